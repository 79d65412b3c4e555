//! What becomes of free dimensions that nothing binds.
//!
//! A leading batch becomes 1, since one of it is what most runs have. Any other size changes what a model is good for, so
//! that a guess would be wrong without a word: those are an error that says where each stands and what binds it.

use crate::cache;
use crate::error::{FreeDim, ImportError};
use crate::interface::{DeclaredDim, DimBinding, Port, free_dims};
use drift_ir::{SymbolId, Symbols};
use std::collections::{BTreeMap, BTreeSet};

/// The free dimensions that are bound by nothing in `bound` and become 1: leading batches. A batch is the first axis of
/// every input that has it, and not the only axis of all of them. Any other free dimension is an error.
pub fn default_dims(
    inputs: &[Port],
    bound: &BTreeMap<String, DimBinding>,
) -> Result<Vec<String>, ImportError> {
    let mut given = given(inputs, bound);
    let follows = cache::follows(inputs, bound);
    given.extend(follows.as_deref());
    let free: Vec<FreeDim> = free_dims(inputs)
        .into_iter()
        .filter(|name| !given.contains(&name.as_str()))
        .map(|name| FreeDim { places: places(inputs, &name), name })
        .collect();
    let (batches, others): (Vec<FreeDim>, Vec<FreeDim>) =
        free.into_iter().partition(|dim| is_batch(inputs, dim));
    if others.is_empty() {
        return Ok(batches.into_iter().map(|dim| dim.name).collect());
    }
    Err(ImportError::FreeDims { dims: others })
}

/// What fixes the free dims of these symbols, as `--dim NAME=N` each, by name.
pub(crate) fn fixing_flags(symbols: &Symbols, free: impl Iterator<Item = SymbolId>) -> String {
    let names: BTreeSet<&str> = free.filter_map(|symbol| Some(symbols.get(symbol)?.dim())).collect();
    names.into_iter().map(|name| format!("--dim {name}=N")).collect::<Vec<_>>().join(" ")
}

/// Names that are bound, directly or because a size that is computed from them is.
fn given<'a>(inputs: &'a [Port], bound: &'a BTreeMap<String, DimBinding>) -> Vec<&'a str> {
    let mut given: Vec<&str> = bound.keys().map(String::as_str).collect();
    for dim in inputs.iter().flat_map(|port| port.dims.iter().flatten()) {
        if let DeclaredDim::Computed(formula) = dim
            && bound.contains_key(formula.text())
        {
            // The import solves for the one that is not given, and says so where there are more.
            let unknown: Vec<&str> = formula.names().filter(|name| !bound.contains_key(*name)).collect();
            if let [only] = unknown[..] {
                given.push(only);
            }
        }
    }
    given
}

fn places(inputs: &[Port], name: &str) -> Vec<(String, usize)> {
    let mut places = Vec::new();
    for port in inputs {
        for (axis, dim) in port.dims.iter().flatten().enumerate() {
            if matches!(dim, DeclaredDim::Free(free) if free == name) {
                places.push((port.name.clone(), axis));
            }
        }
    }
    places
}

fn is_batch(inputs: &[Port], dim: &FreeDim) -> bool {
    let rank = |name: &str| {
        let port = inputs.iter().find(|port| port.name == name);
        port.and_then(|port| port.dims.as_ref()).map_or(0, Vec::len)
    };
    dim.places.iter().all(|(_, axis)| *axis == 0) && dim.places.iter().any(|(input, _)| rank(input) > 1)
}

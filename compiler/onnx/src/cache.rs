//! Caches of keys and values that stay on the device.
//!
//! Exporters of language models write a cache as inputs of `past` rows and outputs of `past + new` rows. Where the number of
//! past rows has a range, each such pair becomes a state of a fixed number of rows, the end of the range: new rows are
//! written at `position`, an input that says how many the cache holds, and the rows behind are not read. Masks and positions
//! that only say so follow from `position`, too.

use crate::error::ImportError;
use crate::interface::{DeclaredDim, DimBinding, Port};
use crate::proto::NodeProto;
use crate::source::ModelSource;
use drift_ir::{SymbolId, ValueId};
use std::collections::{BTreeMap, HashMap};

/// The most rows that a cache may have: places are computed with 32 bits.
const MOST_ROWS: u64 = 1 << 24;

/// What the inputs of a model say of its caches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CacheForm {
    /// The dimension of past rows.
    pub(crate) dim: String,
    /// Rows of a cache.
    pub(crate) capacity: u64,
    /// New rows of a run.
    pub(crate) new: u64,
    /// The dimension of all rows, where it has a name of its own.
    pub(crate) total: Option<String>,
}

/// The dimension with a range that counts past rows, and the names of inputs that have it.
pub fn cache_dim(inputs: &[Port], dims: &BTreeMap<String, DimBinding>) -> Option<(String, Vec<String>)> {
    // Others have ranges for sizes of another kind.
    inputs.iter().find(|port| is_tokens(port))?;
    let ranges = dims.iter().filter(|(_, binding)| matches!(binding, DimBinding::Range(..)));
    let caches = |name: &String| -> Vec<String> {
        inputs.iter().filter(|port| rows_axis(port, name).is_some()).map(|port| port.name.clone()).collect()
    };
    ranges.map(|(name, _)| (name.clone(), caches(name))).find(|(_, caches)| !caches.is_empty())
}

/// A dimension that counts the rows of inputs which are called as caches are, and those inputs; `is_wanted` says of which binding.
fn called_so(
    inputs: &[Port],
    dims: &BTreeMap<String, DimBinding>,
    is_wanted: impl Fn(&DimBinding) -> bool,
) -> Option<(String, Vec<String>)> {
    let is_called = |port: &&Port| port.name.contains("past") || port.name.contains("cache");
    dims.iter().filter(|(_, binding)| is_wanted(binding)).find_map(|(name, _)| {
        let caches = inputs.iter().filter(|port| rows_axis(port, name).is_some()).filter(is_called);
        let caches: Vec<String> = caches.map(|port| port.name.clone()).collect();
        (caches.len() > 1).then(|| (name.clone(), caches))
    })
}

/// A dimension with a range that counts the rows of caches which stay inputs, since no input has the name of tokens, and those caches.
pub(crate) fn without_tokens(
    inputs: &[Port],
    dims: &BTreeMap<String, DimBinding>,
) -> Option<(String, Vec<String>)> {
    if inputs.iter().any(is_tokens) {
        return None;
    }
    called_so(inputs, dims, |binding| !matches!(binding, DimBinding::Fixed(_)))
}

/// The axis of a cache's rows, which `dim` counts.
pub fn rows_axis(port: &Port, dim: &str) -> Option<usize> {
    let dims = port.dims.as_ref().filter(|dims| dims.len() == 4 && port.element.is_float())?;
    dims.iter().position(|own| matches!(own, DeclaredDim::Free(name) if name == dim)).filter(|&axis| axis > 0)
}

/// The name of a dimension that follows from the range of past rows, so that nothing has to bind them.
pub fn follows(inputs: &[Port], dims: &BTreeMap<String, DimBinding>) -> Option<String> {
    let (dim, _) = cache_dim(inputs, dims)?;
    total(inputs, dims, &dim)
}

/// The name of the dimension of all rows: what the mask has.
fn total(inputs: &[Port], dims: &BTreeMap<String, DimBinding>, past: &str) -> Option<String> {
    match inputs.iter().find(|port| is_mask(port))?.dims.as_deref()? {
        [_, DeclaredDim::Free(name)] if name != past && !dims.contains_key(name) => Some(name.clone()),
        _ => None,
    }
}

/// The name of the dimension of all rows, where it was given a size that is not that of a whole cache.
fn given_total(
    inputs: &[Port],
    dims: &BTreeMap<String, DimBinding>,
    past: &str,
    capacity: u64,
) -> Option<String> {
    match inputs.iter().find(|port| is_mask(port))?.dims.as_deref()? {
        [_, DeclaredDim::Free(name)] if name != past => {
            let given = dims.get(name).filter(|&&given| given != DimBinding::Fixed(capacity));
            given.map(|_| name.clone())
        }
        _ => None,
    }
}

/// Sizes of the free dimensions of caches that nothing binds and the model's angles tell: channels of a head are twice the
/// columns of a table of cosines.
pub fn head_sizes(
    source: &ModelSource,
    inputs: &[Port],
    dims: &BTreeMap<String, DimBinding>,
) -> BTreeMap<String, u64> {
    let Some((dim, _)) = cache_dim(inputs, dims) else { return BTreeMap::new() };
    let Some(size) = head_size(source) else { return BTreeMap::new() };
    let caches = inputs.iter().filter(|port| rows_axis(port, &dim).is_some());
    let channels = caches.filter_map(|port| match port.dims.as_deref() {
        Some([.., DeclaredDim::Free(name)]) if *name != dim && !dims.contains_key(name) => Some(name.clone()),
        _ => None,
    });
    channels.map(|name| (name, size)).collect()
}

/// Channels of a head that all rotary embeddings of a model turn whole.
fn head_size(source: &ModelSource) -> Option<u64> {
    let graph = source.model().graph.as_ref()?;
    let columns = |node: &NodeProto| {
        let cosines = node.input.get(match node.op_type.as_str() {
            "GroupQueryAttention" => 7,
            "RotaryEmbedding" => 2,
            _ => return None,
        })?;
        let is_partial = node.attribute.iter().any(|attribute| {
            attribute.name == "rotary_embedding_dim" && attribute.i.is_some_and(|size| size > 0)
        });
        let table = graph.initializer.iter().find(|tensor| tensor.name == *cosines && !is_partial)?;
        u64::try_from(*table.dims.get(1)?).ok()
    };
    let mut found = graph.node.iter().filter_map(columns);
    let first = found.next()?;
    found.all(|other| other == first).then(|| 2 * first)
}

fn is_tokens(port: &Port) -> bool {
    matches!(port.name.as_str(), "input_ids" | "inputs_embeds")
}

fn is_mask(port: &Port) -> bool {
    port.name == "attention_mask" && port.dims.as_ref().is_some_and(|dims| dims.len() == 2)
}

impl CacheForm {
    /// What the inputs of a model say of its caches; none where no dimension of them has a range.
    pub(crate) fn of(
        inputs: &[Port],
        dims: &BTreeMap<String, DimBinding>,
    ) -> Result<Option<Self>, ImportError> {
        let Some((dim, caches)) = cache_dim(inputs, dims) else { return Self::check_steps(inputs, dims) };
        let error = |reason: String| ImportError::Cache { dim: dim.clone(), reason };
        let Some(&DimBinding::Range(_, capacity)) = dims.get(&dim) else { return Ok(None) };
        let tokens = inputs.iter().find(|port| is_tokens(port));
        let Some([batch, new, ..]) = tokens.and_then(|port| port.dims.as_deref()) else {
            return Err(error(
                "the model has no input `input_ids` that says how many tokens are new".to_owned(),
            ));
        };
        let fixed = |dim: &DeclaredDim| match dim {
            DeclaredDim::Fixed(size) => Some(*size),
            DeclaredDim::Free(name) => match dims.get(name) {
                Some(DimBinding::Fixed(size)) => Some(*size),
                Some(DimBinding::Range(..) | DimBinding::Steps(..)) | None => None,
            },
            DeclaredDim::Computed(_) => None,
        };
        let name = |dim: &DeclaredDim| match dim {
            DeclaredDim::Free(name) => name.clone(),
            DeclaredDim::Fixed(_) | DeclaredDim::Computed(_) => "NAME".to_owned(),
        };
        let unbound = |what: &str, dim: &DeclaredDim| {
            error(format!("{what} of `input_ids` is free; fix it with --dim {}=N or --entry", name(dim)))
        };
        if fixed(batch).ok_or_else(|| unbound("the batch", batch))? != 1 {
            return Err(error(format!(
                "a batch above 1 with a past is not supported ({})",
                caches.join(", ")
            )));
        }
        let new = fixed(new).ok_or_else(|| unbound("the number of new tokens", new))?;
        if capacity > MOST_ROWS {
            return Err(error(format!("a cache has at most {MOST_ROWS} rows, not {capacity}")));
        }
        if new == 0 || new > capacity {
            return Err(error(format!("a cache of {capacity} rows does not take {new} new ones at a time")));
        }
        if let Some(total) = given_total(inputs, dims, &dim, capacity) {
            return Err(error(format!(
                "`{total}` counts past rows and new ones, so it follows from the range; give it no size of its own"
            )));
        }
        let total = total(inputs, dims, &dim);
        Ok(Some(Self { dim, capacity, new, total }))
    }

    /// Refuses steps of past rows, of which a run adds as many as there are new tokens.
    fn check_steps(
        inputs: &[Port],
        dims: &BTreeMap<String, DimBinding>,
    ) -> Result<Option<Self>, ImportError> {
        let steps = called_so(inputs, dims, |binding| matches!(binding, DimBinding::Steps(..)));
        let Some((dim, caches)) = steps.filter(|_| inputs.iter().any(is_tokens)) else { return Ok(None) };
        let most = match dims.get(&dim) {
            Some(DimBinding::Steps(_, most, _)) => *most,
            Some(DimBinding::Range(..) | DimBinding::Fixed(_)) | None => 0,
        };
        let reason = format!(
            "it counts the past rows of caches ({}), which grow by the new tokens of each run; give it a range without a step \
             (--dim {dim}=0..{most})",
            caches.join(", ")
        );
        Err(ImportError::Cache { dim, reason })
    }
}

/// The caches of a graph under construction.
pub(crate) struct Caches {
    /// What the inputs say of them.
    pub(crate) form: CacheForm,
    /// The dimension of past rows.
    pub(crate) symbol: SymbolId,
    /// Rows that the caches hold, i32 `[1]`.
    pub(crate) position: ValueId,
    /// The state and its axis of rows that a value is the past rows of.
    pub(crate) past: HashMap<ValueId, Past>,
    /// What each state becomes.
    pub(crate) written: HashMap<ValueId, ValueId>,
}

/// A state that a value is the past rows of.
#[derive(Clone, Copy)]
pub(crate) struct Past {
    /// The state.
    pub(crate) state: ValueId,
    /// Axis of its rows.
    pub(crate) axis: usize,
}

impl Caches {
    /// The state that a value is the past rows of.
    pub(crate) fn state(&self, value: ValueId) -> Option<Past> {
        self.past.get(&value).copied()
    }

    /// Says what a state becomes.
    pub(crate) fn write(&mut self, state: ValueId, becomes: ValueId) {
        self.written.insert(state, becomes);
    }
}

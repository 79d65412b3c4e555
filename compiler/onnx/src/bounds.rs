//! Sizes that data decide when the model runs: each has a bound, so many places, and a count, which says how many are meant.
//!
//! While nodes are read such a size is a symbol of the graph's shapes, like a free dimension, so that shapes are computed with it
//! exactly and operators that need a number refuse it. `padded` then gives each axis its bound.

use crate::error::ImportError;
use drift_ir::{Dim, SymbolId, ValueId};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Places that a size has at most where the caller gives no bound: above it sorting and memory ask for a decision.
pub(crate) const MOST_PLACES: u64 = 1 << 16;

/// Places that a bound may ask for.
pub(crate) const LARGEST_BOUND: u64 = 1 << 24;

/// One size that data decide.
#[derive(Clone, Debug)]
pub(crate) struct RunTimeSize {
    /// The value that has it first, as `--bound` calls it.
    pub(crate) name: String,
    /// What shapes call it.
    pub(crate) symbol: SymbolId,
    /// How many are meant, i64 `[]`; may be more than there are places.
    pub(crate) count: ValueId,
    /// Places.
    pub(crate) bound: u64,
    /// Whether there may be more than there are places.
    pub(crate) may_exceed: bool,
}

/// The sizes of a model that data decide, and what the caller says of them.
#[derive(Debug, Default)]
pub(crate) struct Bounds {
    /// By value or node.
    given: BTreeMap<String, u64>,
    used: BTreeSet<String>,
    pub(crate) sizes: Vec<RunTimeSize>,
    /// Values with all places of others whose sizes data decide.
    pub(crate) whole: HashSet<ValueId>,
}

/// What is known of a size before its count.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    pub(crate) name: String,
    /// How many there are.
    pub(crate) bound: u64,
    /// Whether there may be more.
    pub(crate) may_exceed: bool,
}

impl Places {
    /// So many, all of them meant.
    pub(crate) fn known(bound: u64) -> Self {
        Self { name: String::new(), bound, may_exceed: false }
    }
}

impl Bounds {
    pub(crate) fn new(given: BTreeMap<String, u64>) -> Self {
        Self { given, ..Self::default() }
    }

    /// What the caller says of the first of these names that it knows, and that name.
    pub(crate) fn ask(&mut self, names: &[&str]) -> (Option<u64>, Option<String>) {
        let known = names.iter().find_map(|&name| Some((*self.given.get(name)?, name.to_owned())));
        let (given, name) = known.unzip();
        self.used.extend(name.clone());
        (given, name)
    }

    /// Whether a size is one of them.
    pub(crate) fn has(&self, symbol: SymbolId) -> bool {
        self.sizes.iter().any(|size| size.symbol == symbol)
    }

    /// Whether a size depends on one of them.
    pub(crate) fn decide(&self, dim: &Dim) -> bool {
        dim.symbols().any(|symbol| self.has(symbol))
    }

    /// The size with all bounds in the place of counts; `None` where it depends on free dimensions, too.
    pub(crate) fn largest(&self, dim: &Dim) -> Option<u64> {
        let of = |symbol| self.sizes.iter().find(|size| size.symbol == symbol).map(|size| size.bound);
        dim.evaluate(of).ok()
    }

    /// Refuses bounds that nothing asked for.
    pub(crate) fn check_used(&self) -> Result<(), ImportError> {
        let known = || self.sizes.iter().map(|size| size.name.clone()).collect();
        match self.given.keys().find(|name| !self.used.contains(*name)) {
            Some(name) => Err(ImportError::UnknownBound { name: name.clone(), known: known() }),
            None => Ok(()),
        }
    }
}

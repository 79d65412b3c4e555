//! The sizes that an app has set, and what follows from them.

use std::sync::Arc;

use drift_bundle::manifest::{Entry, FreeDim, IoTensor, SizeExpression, Word};

use crate::error::RuntimeError;

/// A dim of the model whose size is free, with the one that it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dim {
    /// Its name, and which sizes it may have.
    pub free: FreeDim,
    /// The size that is set; the largest until another one is.
    pub size: u64,
}

/// The dims of an entry with their sizes, and the sizes that follow.
#[derive(Clone, Debug)]
pub(crate) struct Sizes {
    dims: Vec<Dim>,
    expressions: Arc<[SizeExpression]>,
    /// One for each expression.
    values: Vec<u32>,
}

impl Sizes {
    /// All dims have their largest sizes.
    pub(crate) fn of(entry: &Entry) -> Self {
        let dims = entry.dims.iter().map(|free| Dim { free: free.clone(), size: free.most() }).collect();
        let mut sizes = Self { dims, expressions: entry.sizes.as_slice().into(), values: Vec::new() };
        sizes.follow();
        sizes
    }

    pub(crate) fn dims(&self) -> &[Dim] {
        &self.dims
    }

    /// The dim of a name, where it may have this size.
    pub(crate) fn find(&self, name: &str, size: u64, entry: &str) -> Result<usize, RuntimeError> {
        let Some(index) = self.dims.iter().position(|dim| dim.free.name == name) else {
            return Err(RuntimeError::NoSuchDim {
                entry: entry.to_owned(),
                wanted: name.to_owned(),
                held: self.dims.iter().map(|dim| dim.free.name.clone()).collect(),
            });
        };
        match &self.dims[index].free {
            free if free.holds(size) => Ok(index),
            free => Err(RuntimeError::DimSize { dim: Box::new(free.clone()), found: size }),
        }
    }

    /// Sets the size of a dim that may have it, and says whether it had another.
    pub(crate) fn set(&mut self, index: usize, size: u64) -> bool {
        let before = std::mem::replace(&mut self.dims[index].size, size);
        if before != size {
            self.follow();
        }
        before != size
    }

    /// Gives a tensor of the entry the shape that it has now, and says whether it had another.
    pub(crate) fn shape(&self, tensor: &mut IoTensor) -> bool {
        let mut changed = false;
        for free in &tensor.free {
            let size = u64::from(self.value(free.size));
            changed |= std::mem::replace(&mut tensor.shape[free.axis as usize], size) != size;
        }
        changed
    }

    /// The value of a word of parameters.
    pub(crate) fn word(&self, word: Word) -> u32 {
        match word {
            Word::Const(value) => value,
            Word::Size(size) => self.value(size),
        }
    }

    /// A size that follows from the dims, by its number in the entry.
    pub(crate) fn value(&self, size: u32) -> u32 {
        self.values[size as usize]
    }

    fn follow(&mut self) {
        let set: Vec<u64> = self.dims.iter().map(|dim| dim.size).collect();
        self.values = self.expressions.iter().map(|expression| value(expression, &set)).collect();
    }
}

fn value(expression: &SizeExpression, set: &[u64]) -> u32 {
    let found = expression.at(set);
    let value =
        found.unwrap_or_else(|flaw| unreachable!("verified: a size has a value, and this one {flaw}"));
    u32::try_from(value).unwrap_or_else(|_| unreachable!("verified: a size has 32 bits"))
}

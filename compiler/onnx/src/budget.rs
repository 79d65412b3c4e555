//! What one import may use. A file of a few hundred bytes can ask for a lot: functions that call each other, sequences of
//! thousands of parts, constants that grow from node to node, names that contain the names around them. Each of these is
//! counted, and what a model may use grows with its file, so that large models are not in the way.

use std::fmt;

/// Something that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    /// Nodes of the file, those of functions at each call and those of loops at each round, weighed by their operands.
    Nodes,
    /// Values of the graph, those that an operator is composed of included.
    Values,
    /// Bytes of names.
    NameBytes,
    /// Tensors in sequences, each copy of a sequence anew.
    SequenceItems,
    /// Bytes of constants that are not as the file holds them.
    ConstantBytes,
}

/// More than a model may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    resource: Resource,
    limit: u64,
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.resource {
            Resource::Nodes => "nodes after functions and loops are expanded",
            Resource::Values => "values",
            Resource::NameBytes => "bytes of names",
            Resource::SequenceItems => "tensors in sequences",
            Resource::ConstantBytes => "bytes of computed constants",
        };
        write!(f, "with it the model has more than {} {what}, the limit for a file of this size", self.limit)
    }
}

impl std::error::Error for Exceeded {}

/// Longest sequence of tensors.
pub(crate) const SEQUENCE: u64 = 1 << 12;

/// Longest list of numbers that an operand may give for a shape, axes, scales and so on.
pub(crate) const LIST: usize = 1 << 12;

/// Steps that folding small constants may take in all; beyond it they are left to the compiler.
const FOLDING: u64 = 1 << 26;

/// What is left.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    left: [u64; 5],
    limits: [u64; 5],
    folding: u64,
}

impl Budget {
    /// For a model whose file has `model` bytes, and `all` bytes with its data files.
    pub(crate) fn new((model, all): (u64, u64)) -> Self {
        let grows = |least: u64, factor: u64, bytes: u64| least.saturating_add(bytes.saturating_mul(factor));
        let nodes = grows(1 << 14, 2, model).min(1 << 18);
        let limits = [
            nodes,
            nodes * 2,
            grows(1 << 24, 16, model),
            1 << 18,
            // Eight bits become 32, and a few steps of that may be alive at once.
            grows(1 << 26, 16, all),
        ];
        Self { left: limits, limits, folding: FOLDING }
    }

    /// Uses up some of a resource.
    pub(crate) fn take(&mut self, resource: Resource, amount: u64) -> Result<(), Exceeded> {
        let at = resource as usize;
        let limit = self.limits[at];
        self.left[at] = self.left[at].checked_sub(amount).ok_or(Exceeded { resource, limit })?;
        Ok(())
    }

    /// Uses up steps of folding, if there are as many left.
    pub(crate) fn fold(&mut self, steps: u64) -> bool {
        self.folding.checked_sub(steps).is_some_and(|left| {
            self.folding = left;
            true
        })
    }
}

//! What has been selected so far: what a candidate may look at, and what the driver adds to.

use super::headroom::LiveBytes;
use super::{Declined, Orders, Samples, grid};
use crate::estimate::Decisions;
use crate::kernel::MOST_ARRAY_BYTES;
use crate::layout::{Precision, device_type};
use crate::physical::size::{self, NotKnown};
use crate::physical::{Element, Size};
use crate::profile::Profile;
use crate::program::{PackedKey, Placement, Program, Storage};
use drift_ir::{Graph, Symbols, Tensor, ValueDef, ValueId};
use indexmap::IndexMap;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bindings that one constant takes at most, which leaves two of eight for the other operand and the result.
const MOST_PARTS: u64 = 6;

/// A graph with the kernels of some of its nodes.
pub struct Selected<'a> {
    /// The graph.
    pub graph: &'a Graph,
    /// Its free dims.
    symbols: Arc<Symbols>,
    /// What the kernels are made for.
    pub profile: &'a Profile,
    /// Precision of floats.
    pub precision: Option<Precision>,
    /// What was estimated of the graph's nodes.
    pub(super) decisions: &'a Decisions,
    /// Errors of Winograd's forms.
    pub(super) samples: &'a Samples,
    /// Orders of weights that entries agreed on.
    pub(super) orders: &'a Orders,
    /// Bytes that are live while each node runs, estimated from the graph once where a kernel asks (`headroom`).
    pub(super) live_bytes: OnceCell<LiveBytes>,
    /// Where each activation is kept.
    pub(super) places: BTreeMap<ValueId, Placement>,
    /// Values that were brought into a dense buffer, for all their later readers.
    pub(super) dense: BTreeMap<ValueId, Placement>,
    /// What has been chosen.
    pub(super) program: Program,
    /// Constants by what they hold.
    pub(super) packed: IndexMap<PackedKey, u32>,
}

/// How much of a program there was at some node.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    storages: usize,
    constants: usize,
    init: usize,
    steps: usize,
    packed: usize,
}

impl<'a> Selected<'a> {
    pub(super) fn new(
        graph: &'a Graph,
        (profile, precision): (&'a Profile, Option<Precision>),
        decisions: &'a Decisions,
        (samples, orders): (&'a Samples, &'a Orders),
    ) -> Self {
        Self {
            graph,
            symbols: Arc::new(graph.symbols.clone()),
            profile,
            precision,
            decisions,
            samples,
            orders,
            live_bytes: OnceCell::new(),
            places: BTreeMap::new(),
            dense: BTreeMap::new(),
            program: Program::default(),
            packed: IndexMap::new(),
        }
    }

    /// The constant that a value is.
    pub(crate) fn constant_tensor(&self, value: ValueId) -> Option<&Tensor> {
        match &self.graph.value(value).def {
            ValueDef::Constant(tensor) => Some(tensor),
            ValueDef::Input(_) | ValueDef::Node { .. } => None,
        }
    }

    /// Whether a value has no elements.
    pub(crate) fn is_empty(&self, value: ValueId) -> bool {
        self.sizes(value).iter().any(|size| size.is_always(0))
    }

    /// Element type of a placed value or of a constant, on the device.
    pub(crate) fn element(&self, value: ValueId) -> Result<Element, Declined> {
        device_type(self.graph, value, self.precision)
            .map(|(element, _)| element)
            .map_err(|error| Declined::Unsupported(error.to_string()))
    }

    /// Sizes of a value, some of which may be free.
    pub(crate) fn sizes(&self, value: ValueId) -> Vec<Size> {
        self.graph.value(value).ty.shape.iter().map(|dim| Size::of(dim, &self.symbols)).collect()
    }

    /// The largest sizes that a value may have: what memory is planned for, and what costs are estimated of.
    pub(crate) fn largest(&self, value: ValueId) -> Vec<u64> {
        size::largest(&self.sizes(value))
    }

    /// Sizes of a value, for a kernel that is made for them.
    pub(crate) fn shape(&self, value: ValueId) -> Result<Vec<u64>, NotKnown> {
        size::known(&self.sizes(value))
    }

    /// How many axes a value has.
    pub(crate) fn rank(&self, value: ValueId) -> usize {
        self.graph.value(value).ty.shape.len()
    }

    /// What tells a packed tensor from all others: the constant, where all variants have it; its content, where selection made it
    /// or a pass for this variant.
    pub(super) fn key(&self, value: Option<ValueId>, tensor: &Tensor, packing: String) -> PackedKey {
        let everywhere = |value| self.graph.constant(value).is_some() && self.graph.is_shared(value);
        if value.is_none_or(everywhere) {
            return PackedKey { value, packing, content: None };
        }
        let mut hasher = blake3::Hasher::new();
        let (element, shape, form) = (tensor.element(), tensor.shape(), tensor.form());
        hasher.update(format!("{element:?} {shape:?} {form:?} ").as_bytes());
        tensor.stored().into_iter().for_each(|bytes| {
            hasher.update(bytes);
        });
        PackedKey { value: None, packing, content: Some(*hasher.finalize().as_bytes()) }
    }

    /// Most bytes that a binding takes of a constant of so many.
    pub(super) fn part_bytes(&self, size_bytes: u64) -> u64 {
        // Beyond that many parts a dispatch would run out of bindings: they grow, and the variant says what it needs.
        let share = size_bytes.div_ceil(MOST_PARTS).next_multiple_of(256);
        self.profile.binding_bytes.max(share).min(MOST_ARRAY_BYTES)
    }

    /// A one-dimensional dispatch of `invocations`, folded into rows where one axis is not enough.
    pub fn linear(&self, invocations: &Size) -> ([u32; 3], [Size; 3]) {
        let size = 64;
        let groups = invocations.div_ceil(size).at_least(&Size::ONE);
        let [x, y] = grid(&groups, u64::from(self.profile.grid_axis));
        ([size as u32, 1, 1], [x, y, Size::ONE])
    }

    /// How much there is.
    pub(super) fn mark(&self) -> Mark {
        let Program { storages, constants, init, steps, .. } = &self.program;
        let (storages, constants) = (storages.len(), constants.len());
        Mark { storages, constants, init: init.len(), steps: steps.len(), packed: self.packed.len() }
    }

    /// Forgets what came after a mark, but for the places of values.
    pub(super) fn back_to(&mut self, mark: Mark) {
        self.program.storages.truncate(mark.storages);
        self.program.constants.truncate(mark.constants);
        self.program.init.truncate(mark.init);
        self.program.steps.truncate(mark.steps);
        self.packed.truncate(mark.packed);
        self.dense.retain(|_, placement| (placement.storage as usize) < mark.storages);
    }

    /// Adds a storage, and says which it is.
    pub(super) fn add_storage(&mut self, storage: Storage) -> u32 {
        self.program.storages.push(storage);
        self.program.storages.len() as u32 - 1
    }
}

//! Slots: the tensor arguments of a kernel, and where each lies in its source.

use super::interface::SizeOf;
use crate::physical::weights::WeightsLayout;
use crate::physical::{Extents, LANES, Layout, Order, Size, View, Window};

/// What a slot refers to: slots of one source share a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// A storage of the variant, planned in the arena or a texture pool.
    Activation(u32),
    /// A packed constant of the program.
    Constant(u32),
}

/// How a kernel uses a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Reads it.
    Read,
    /// Writes it.
    Write,
}

/// A tensor argument of a kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot {
    /// Prefix of its accessors and constants in the kernel's text: `src`, `weights`, `operand_0`.
    pub name: String,
    /// Read or write.
    pub access: Access,
    /// Which binding it lives in.
    pub source: Source,
    /// Logical sizes.
    pub shape: Vec<u64>,
    /// Layout under the axis map that this kernel uses.
    pub layout: Layout,
    /// One channel stands for all: reads return it in every lane.
    pub splat: bool,
    /// Read under the coordinates of a tensor of this shape, to which a dense `shape` of the same rank broadcasts along
    /// some of the axes that share a coordinate. Where coordinates broadcast whole, none is needed.
    pub broadcast: Option<Vec<u64>>,
    /// Most bytes that a binding of it may have; what is larger is bound in parts of this many. Constants only.
    pub part_bytes: Option<u64>,
    /// How weights lie: then `layout` says which coordinates the kernel has for them and no more.
    pub weights: Option<WeightsLayout>,
    /// Where it begins in its source, a multiple of 256: a piece of a derived constant.
    pub offset_bytes: u64,
    /// Where a dense tensor lies in its source, if it is not all of it.
    pub view: Option<View>,
    /// Where a tensor whose channels are kept in slices lies in its source, if it is not all of it.
    pub window: Option<Window>,
    /// Elements by which it begins later, as another slot says when the kernel runs: launches for parts of one tensor
    /// share their shader.
    pub shift: Option<Shift>,
}

/// How far into its source a part of a tensor begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shift {
    /// The slot that says it: a row of integers.
    pub slot: String,
    /// Which of them.
    pub lane: u64,
    /// What all of them are multiples of.
    pub unit: u64,
    /// The largest.
    pub most: u64,
}

impl Slot {
    /// A tensor as it lies in its source, with nothing repeated or split.
    pub fn new(name: &str, access: Access, source: Source, shape: Vec<u64>, layout: Layout) -> Self {
        Self {
            name: name.to_owned(),
            access,
            source,
            shape,
            layout,
            splat: false,
            broadcast: None,
            part_bytes: None,
            weights: None,
            offset_bytes: 0,
            view: None,
            window: None,
            shift: None,
        }
    }

    /// Bytes of its objects that it takes, up to its last element.
    pub(super) fn size_bytes(&self) -> u64 {
        match (&self.weights, &self.view) {
            (Some(weights), _) => weights.size_bytes(),
            (None, Some(view)) => {
                let end = view.end(&self.shape) + self.shift.as_ref().map_or(0, |shift| shift.most);
                // Whole vectors, as storages have.
                let whole = matches!(self.source, Source::Activation(_));
                let end = if whole { end.next_multiple_of(LANES) } else { end };
                end * self.layout.element.size_bytes()
            }
            (None, None) => {
                self.layout.size_bytes(self.window.as_ref().map_or(&self.shape, |window| &window.whole))
            }
        }
    }

    /// Whether it is all of its source.
    pub fn is_whole(&self) -> bool {
        self.view.is_none() && self.window.is_none() && self.shift.is_none()
    }

    /// Sizes of its source's coordinates, for a tensor whose channels are kept in slices, and where it begins along batch,
    /// height, width and slices.
    pub(super) fn place(&self) -> (Extents, [u64; 4]) {
        let first = |window: &Window| {
            let first = window.first(&self.layout.axes, &self.shape);
            (self.layout.axes.extents(&window.whole), first.unwrap_or([0; 4]))
        };
        self.window.as_ref().map_or_else(|| (self.extents(), [0; 4]), first)
    }

    /// Distance in elements between neighbours along each axis of a dense tensor.
    pub(super) fn axis_strides(&self) -> Vec<u64> {
        self.view.as_ref().map_or_else(|| View::whole(&self.shape).strides, |view| view.strides.clone())
    }

    /// The same along the coordinates, where the axes of each walk on as one.
    pub fn strides(&self) -> Option<[u64; 4]> {
        match &self.view {
            Some(view) => view.strides(&self.layout.axes, &self.shape),
            None => Some(self.layout.axes.strides(&self.shape)),
        }
    }

    /// Whether the first element lies at a whole vector of its source.
    pub(super) fn starts_at_vector(&self) -> bool {
        let start = self.view.as_ref().map_or(0, |view| view.start);
        start.is_multiple_of(LANES)
            && self.shift.as_ref().is_none_or(|shift| shift.unit.is_multiple_of(LANES))
    }

    /// Its object, order and element in one line.
    pub fn describe(&self) -> String {
        match &self.weights {
            Some(weights) => weights.describe(),
            None => self.layout.describe(),
        }
    }

    /// Where it lies in its source, for people: nothing if it is all of it.
    pub fn describe_view(&self) -> String {
        match (&self.view, &self.window) {
            (Some(view), _) => format!(", view from element {} by {:?}", view.start, view.strides),
            (None, Some(window)) => format!(", view from {:?} of {:?}", window.starts, window.whole),
            (None, None) => String::new(),
        }
    }

    /// The same tensor as another argument.
    pub fn as_argument(&self, name: &str, access: Access) -> Self {
        Self { name: name.to_owned(), access, ..self.clone() }
    }

    /// Sizes of the coordinates.
    pub fn extents(&self) -> Extents {
        self.layout.axes.extents(&self.shape)
    }

    /// A size along its coordinates, as kernels see it.
    pub fn size(&self, of: SizeOf) -> Size {
        let e = self.extents();
        Size::Const(match of {
            SizeOf::Batch => e.batch,
            SizeOf::Height => e.height,
            SizeOf::Width => e.width,
            SizeOf::Channels => e.channels,
            SizeOf::Slices => e.slices(),
        })
    }

    /// Whether the binding can be an array of vectors: whole slices, dense rows of whole slices, or a dense last axis of
    /// whole slices.
    pub(super) fn vectors(&self) -> bool {
        if self.weights.is_some() {
            return true;
        }
        match self.layout.order {
            Order::RowMajor => {
                let Some([batch, height, width, channels]) = self.strides() else { return false };
                let whole = self.view.is_none() && self.shape.last().is_some_and(|last| last % 4 == 0);
                // Two invocations must never write lanes of one vector: a compiler may store it whole.
                let slices = channels == 1 && self.extents().channels.is_multiple_of(4);
                let rows = slices
                    && [batch, height, width].iter().all(|stride| stride % 4 == 0)
                    && self.starts_at_vector();
                rows || whole && (self.access == Access::Read || slices)
            }
            Order::Slices | Order::TextureRows | Order::TextureLayers => true,
        }
    }
}

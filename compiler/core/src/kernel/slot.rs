//! Slots: the tensor arguments of a kernel, and where each is in its source.

use super::AddressMap;
use super::interface::SizeOf;
use crate::physical::size::{self, NotKnown};
use crate::physical::weights::{PackedRows, WeightsLayout};
use crate::physical::{Extents, LANES, Layout, Order, Size, StorageType, Window};

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
    /// Which binding it is in.
    pub source: Source,
    /// Logical sizes.
    pub shape: Vec<Size>,
    /// Layout under the axis map that this kernel uses.
    pub layout: Layout,
    /// Which element of its source it has at a coordinate.
    pub address: AddressMap,
    /// Most bytes that a binding of it may have; what is larger is bound in parts of this many. Constants only.
    pub part_bytes: Option<u64>,
    /// How weights are laid out: then `layout` says which coordinates the kernel has for them and no more.
    pub weights: Option<WeightsLayout>,
    /// How weights are in rows of inputs, where they do: then, too, `layout` says what coordinates there are and what the kernel
    /// computes with.
    pub rows: Option<PackedRows>,
}

impl Slot {
    /// The storage type that it is bound as. A written image buffer is a plain buffer: only reads go through the texture units.
    pub(super) fn bound_as(&self) -> StorageType {
        match (self.layout.storage_type, self.access) {
            (StorageType::ImageBuffer, Access::Write) => StorageType::Buffer,
            (storage_type, _) => storage_type,
        }
    }

    /// A tensor as it is in its source, with nothing repeated or split.
    pub fn new(name: &str, access: Access, source: Source, shape: Vec<Size>, layout: Layout) -> Self {
        Self {
            name: name.to_owned(),
            access,
            source,
            shape,
            layout,
            address: AddressMap::WHOLE,
            part_bytes: None,
            weights: None,
            rows: None,
        }
    }

    /// The largest sizes that it may have.
    pub fn largest(&self) -> Vec<u64> {
        size::largest(&self.shape)
    }

    /// Its sizes, for a kernel that is made for them.
    pub fn known_shape(&self) -> Result<Vec<u64>, NotKnown> {
        size::known(&self.shape)
    }

    /// Bytes of its resources that it takes at most, up to its last element.
    pub(super) fn size_bytes(&self) -> u64 {
        if let Some(rows) = &self.rows {
            return rows.size_bytes();
        }
        match (&self.weights, self.address.view()) {
            (Some(weights), _) => weights.size_bytes(),
            (None, Some(view)) => {
                let end = view.end(&self.largest()) + self.address.shift().map_or(0, |shift| shift.most);
                // Whole vectors, as storages have.
                let whole = matches!(self.source, Source::Activation(_));
                let end = if whole { end.next_multiple_of(LANES) } else { end };
                end * self.layout.element.size_bytes()
            }
            (None, None) => {
                let whole = self.address.window().map(|window| window.whole.clone());
                self.layout.size_bytes(&whole.unwrap_or_else(|| self.largest()))
            }
        }
    }

    /// Sizes of its source's coordinates, for a tensor whose channels are kept in slices, and where it begins along batch,
    /// height, width and slices.
    pub(super) fn place(&self) -> (Extents<Size>, [u64; 4]) {
        let first = |window: &Window| {
            let first = window.first(&self.layout.axes, &self.largest());
            (self.layout.axes.extents(&size::sizes(&window.whole)), first.unwrap_or([0; 4]))
        };
        self.address.window().map_or_else(|| (self.extents(), [0; 4]), first)
    }

    /// Distance in elements between neighbours along each axis of a dense tensor.
    pub(super) fn axis_strides(&self) -> Vec<Size> {
        let whole = || (0..self.shape.len()).map(|axis| self.shape[axis + 1..].iter().product()).collect();
        self.address.view().map_or_else(whole, |view| size::sizes(&view.strides))
    }

    /// The same along the coordinates, where the axes of each collapse into one.
    pub fn strides(&self) -> Option<[Size; 4]> {
        match self.address.view() {
            // What is free is no view but along axes whose strides are known.
            Some(view) => {
                let strides = view.strides(&self.layout.axes, &self.known_shape().ok()?)?;
                Some(strides.map(Size::Const))
            }
            None => Some(self.layout.axes.strides(&self.shape)),
        }
    }

    /// Whether the first element is at a whole vector of its source.
    pub(super) fn starts_at_vector(&self) -> bool {
        let start = self.address.view().map_or(0, |view| view.start);
        start.is_multiple_of(LANES)
            && self.address.shift().is_none_or(|shift| shift.unit.is_multiple_of(LANES))
    }

    /// Its storage type, order and element in one line.
    pub fn describe(&self) -> String {
        match (&self.weights, &self.rows) {
            (_, Some(rows)) => rows.describe(),
            (Some(weights), None) => weights.describe(),
            (None, None) => self.layout.describe(),
        }
    }

    /// Where it is in its source, for people: nothing if it is all of it.
    pub fn describe_view(&self) -> String {
        match (self.address.view(), self.address.window()) {
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
    pub fn extents(&self) -> Extents<Size> {
        self.layout.axes.extents(&self.shape)
    }

    /// A size along its coordinates, as kernels see it.
    pub fn size(&self, of: SizeOf) -> Size {
        let e = self.extents();
        match of {
            SizeOf::Batch => e.batch,
            SizeOf::Height => e.height,
            SizeOf::Width => e.width,
            SizeOf::Channels => e.channels,
            SizeOf::Slices => e.slices(),
        }
    }

    /// Whether the binding can be an array of vectors: whole slices, dense rows of whole slices, or a dense last axis of
    /// whole slices.
    pub(super) fn vectors(&self) -> bool {
        if self.weights.is_some() || self.rows.is_some() {
            return true;
        }
        match self.layout.order {
            Order::RowMajor => {
                let Some([batch, height, width, channels]) = self.strides() else { return false };
                let whole = self.address.view().is_none()
                    && self.shape.last().is_some_and(|last| last.is_multiple_of(4));
                // Two invocations must never write lanes of one vector: a compiler may store it whole.
                let slices = channels.is_always(1) && self.extents().channels.is_multiple_of(4);
                let rows = slices
                    && [batch, height, width].iter().all(|stride| stride.is_multiple_of(4))
                    && self.starts_at_vector();
                rows || whole && (self.access == Access::Read || slices)
            }
            Order::Slices | Order::TextureRows | Order::TextureLayers => true,
        }
    }
}

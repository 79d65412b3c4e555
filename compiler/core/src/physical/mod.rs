//! Physical layouts: which storage type holds a tensor, in which order, with which element type.
//!
//! A kernel names logical coordinates `(b, y, x, s)`, `s` a slice of four channels; everything below that line is here:
//! the map from a tensor's axes to those coordinates ([`AxisMap`]), the formula from coordinates to an address
//! ([`Layout`]), and the packing of constants ([`Packing`], [`Recipe`]). Which layout a value gets is decided in `layout`.
//! Weights have layouts of their own ([`weights`]).
//!
//! Invariant: in layouts made of whole slices, the dead lanes of the last slice hold zeros.

mod axes;
pub mod content;
mod pack;
pub mod size;
mod transfer;
mod view;
pub mod weights;

pub use axes::{AxisMap, Extents};
pub use pack::{PackError, Packing, Recipe, pack, unpack};
pub use size::{NotKnown, Size};
pub use transfer::Transfer;
pub use view::{Place, View, Window};

use drift_bundle::manifest::{DeviceElement, TextureKind};
use drift_ir::ElementType;
use size::Extent;

/// The largest finite f16.
pub const F16_MAX: f64 = 65_504.0;

/// Channels in a slice; the width of a vector in kernels.
pub const LANES: u64 = 4;

/// The kind of GPU resource that holds a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StorageType {
    /// A range of a storage buffer.
    Buffer,
    /// A texel buffer: a buffer read through the texture units.
    ImageBuffer,
    /// A 2D texture of four channels.
    Texture2d,
    /// An array of 2D textures of four channels.
    TextureArray,
    /// A 3D texture of four channels.
    Texture3d,
}

impl StorageType {
    /// Every kind, simplest first.
    pub const ALL: [Self; 5] =
        [Self::Buffer, Self::ImageBuffer, Self::Texture2d, Self::TextureArray, Self::Texture3d];

    /// Name in the text forms.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Buffer => "buffer",
            Self::ImageBuffer => "image-buffer",
            Self::Texture2d => "texture2d",
            Self::TextureArray => "texture-array",
            Self::Texture3d => "texture3d",
        }
    }

    /// The manifest's word for the kind of texture. Weights and activations that are no texture have none to show.
    pub const fn texture_kind(self) -> TextureKind {
        match self {
            Self::TextureArray => TextureKind::Array,
            Self::Texture3d => TextureKind::D3,
            Self::Texture2d | Self::Buffer | Self::ImageBuffer => TextureKind::D2,
        }
    }

    /// Whether it is one of the textures, which are written and read by coordinates and pooled by shape.
    pub const fn is_texture(self) -> bool {
        match self {
            Self::Texture2d | Self::TextureArray | Self::Texture3d => true,
            Self::Buffer | Self::ImageBuffer => false,
        }
    }
}

/// The order of elements in the resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Order {
    /// Dense, the tensor's own axes, last axis fastest. Any rank.
    RowMajor,
    /// Slices outermost, batch fastest: `((s*H + y)*W + x)*B + b` (the paper's DSHWBC4; PHWC4 when B = 1).
    Slices,
    /// 2D textures: `(x*B + b, y*S + s)` (the paper's HSWBDC4).
    TextureRows,
    /// Texture arrays and 3D textures: `(x*B + b, y, s)` (the paper's DSHWBC4).
    TextureLayers,
}

/// Type of one stored element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Element {
    /// IEEE single.
    F32,
    /// IEEE half.
    F16,
    /// Signed 32-bit: i32, and i64 checked at the boundary.
    I32,
    /// Unsigned 32-bit: bool as 0 or 1.
    U32,
}

/// The manifest's word for a stored element.
impl From<Element> for DeviceElement {
    fn from(element: Element) -> Self {
        match element {
            Element::F32 => Self::F32,
            Element::F16 => Self::F16,
            Element::I32 => Self::I32,
            Element::U32 => Self::U32,
        }
    }
}

impl Element {
    /// Bytes of one element.
    pub const fn size_bytes(self) -> u64 {
        match self {
            Self::F16 => 2,
            Self::F32 | Self::I32 | Self::U32 => 4,
        }
    }

    /// WGSL name of the stored scalar, also its name in text forms.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::I32 => "i32",
            Self::U32 => "u32",
        }
    }

    /// WGSL name of the scalar that kernels compute with: f16 widens to f32.
    pub const fn compute_name(self) -> &'static str {
        match self {
            Self::F32 | Self::F16 => "f32",
            Self::I32 => "i32",
            Self::U32 => "u32",
        }
    }

    /// Whether the element is a float.
    pub const fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F16)
    }

    /// The device form of a graph element type; `None` where a device has none.
    pub const fn of(element: ElementType) -> Option<Self> {
        match element {
            ElementType::F32 => Some(Self::F32),
            ElementType::F16 => Some(Self::F16),
            ElementType::I64
            | ElementType::I32
            | ElementType::I8
            | ElementType::U8
            | ElementType::I16
            | ElementType::U16
            | ElementType::U32
            | ElementType::U64 => Some(Self::I32),
            ElementType::Bool => Some(Self::U32),
            ElementType::F64 => None,
        }
    }
}

/// Where a tensor is kept and in which order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    /// The storage type.
    pub storage_type: StorageType,
    /// The order in it.
    pub order: Order,
    /// The stored element.
    pub element: Element,
    /// Which logical axes are batch, height, width and channels.
    pub axes: AxisMap,
}

impl Layout {
    /// Dense row-major in a buffer, channels last.
    pub fn row_major(element: Element, rank: usize) -> Self {
        Self {
            storage_type: StorageType::Buffer,
            order: Order::RowMajor,
            element,
            axes: AxisMap::channels_last(rank),
        }
    }

    /// Bytes that a tensor of `shape` takes in this layout, or the texel count times texel size for textures.
    pub fn size_bytes(&self, shape: &[u64]) -> u64 {
        let extents = self.axes.extents(shape);
        let elements = match self.order {
            Order::RowMajor => extents.elements(),
            Order::Slices | Order::TextureRows | Order::TextureLayers => {
                extents.pixels().by(&extents.slices()).by(&LANES)
            }
        };
        elements.by(&self.element.size_bytes())
    }

    /// Width, height and depth in texels, or layers, of a texture that holds a tensor of `shape`.
    pub fn texture_extent(&self, shape: &[u64]) -> [u64; 3] {
        let e = self.axes.extents(shape);
        match self.order {
            Order::TextureLayers => [e.width * e.batch, e.height, e.slices()],
            Order::RowMajor | Order::Slices | Order::TextureRows => {
                [e.width * e.batch, e.height * e.slices(), 1]
            }
        }
    }

    /// Where the `size` places from `start` on along a logical axis of a tensor of `shape` begin, in bytes, if they are
    /// together as a tensor of that size would: the axis is outermost in memory, and slices are cut whole.
    pub fn part_offset(&self, shape: &[u64], axis: usize, start: u64, size: u64) -> Option<u64> {
        let elements = match self.order {
            Order::Slices if self.axes.coordinate_of(axis) == Some(3) => {
                let whole = start.is_multiple_of(LANES)
                    && (size.is_multiple_of(LANES) || start + size == shape[axis]);
                whole.then(|| start * self.axes.extents(shape).pixels())
            }
            Order::RowMajor if shape[..axis].iter().all(|&size| size == 1) => {
                Some(start * shape[axis + 1..].iter().product::<u64>())
            }
            Order::RowMajor | Order::Slices | Order::TextureRows | Order::TextureLayers => None,
        };
        elements.map(|elements| elements * self.element.size_bytes())
    }

    /// One line for people: `f16 texture2d texel(x = X*B + b, y = Y*S + s)`.
    pub fn describe(&self) -> String {
        let element = self.element.name();
        let storage_type = self.storage_type.name();
        match self.order {
            Order::RowMajor => format!("{element} {storage_type} row-major {}", self.axes),
            Order::Slices => format!("{element} {storage_type} slices {}", self.axes),
            Order::TextureRows | Order::TextureLayers => format!("{element} {storage_type} {}", self.axes),
        }
    }
}

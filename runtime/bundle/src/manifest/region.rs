//! Memory of a variant, and what a dispatch binds of it.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::{DeviceElement, TextureObject, Variant, Word};

/// Memory that a session takes for a variant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Region {
    /// What it is for.
    pub kind: RegionKind,
    /// Size in bytes.
    pub size: u64,
    /// Alignment of its start in bytes: a power of two and at least [`crate::ALIGNMENT_BYTES`].
    pub alignment: u64,
}

/// What a region is for: who writes it, and how long it keeps what it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RegionKind {
    /// Activations in a buffer, which tensors and sessions share over time.
    Arena,
    /// What `dispatches` keep from run to run: zero when it is made and when it is reset. It is a session's own, or shared with
    /// the sessions that were loaded with it and have a state of this name.
    State {
        /// Unique in the variant: `past_key_values.0.key`.
        name: String,
        /// Type of what it holds, for people and for tools.
        element: DeviceElement,
        /// Sizes of what it holds, outermost first; it is in the region from its start on.
        shape: Vec<u64>,
    },
    /// Inputs or outputs in a buffer of their own. No dispatch writes where an input is.
    Io,
    /// Words that the host writes before a run and dispatches only read, through slots of group 2. Each is four bytes,
    /// little-endian.
    Params(Vec<Word>),
    /// What `init` makes of weights and `dispatches` only read; kept for as long as the session.
    Derived,
    /// A texture that activations share over time; `Region::size` is that of all texels.
    Texture(TextureObject),
}

/// A region of state, as [`Variant::states`] lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateRegion<'a> {
    /// Index in [`Variant::regions`].
    pub region: u32,
    /// Its name.
    pub name: &'a str,
    /// Type of what it holds.
    pub element: DeviceElement,
    /// Sizes of what it holds, outermost first.
    pub shape: &'a [u64],
    /// Bytes of the region, padding included.
    pub size: u64,
    /// Alignment of its start.
    pub alignment: u64,
}

impl RegionKind {
    /// Whether it is kept from run to run.
    pub const fn is_state(&self) -> bool {
        matches!(self, Self::State { .. })
    }

    /// What messages call it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Arena => "arena",
            Self::State { .. } => "state",
            Self::Io => "input or output",
            Self::Params(_) => "parameters",
            Self::Derived => "derived blob",
            Self::Texture(_) => "texture",
        }
    }
}

/// Memory that a dispatch can bind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RegionId {
    /// Index in [`Variant::regions`].
    Variant(u32),
    /// Index in [`super::Manifest::weights`].
    Weight(u32),
}

/// How a slot looks at memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum View {
    /// A range of a buffer.
    Bytes {
        /// Start in the region, 256-byte aligned.
        offset: u64,
        /// Length in bytes.
        size: u64,
    },
    /// Texels over a range of a buffer.
    Texels {
        /// Channel type.
        element: DeviceElement,
        /// Start in the region, 256-byte aligned.
        offset: u64,
        /// Length in bytes.
        size: u64,
    },
    /// A texture: a region that is one, as a whole, or else one that is filled at load from a range of a weight blob, which
    /// holds rows of texels without gaps, then layers.
    Texture {
        /// Start in the region, 256-byte aligned.
        offset: u64,
        /// What it is; the range is as long as its texels.
        object: TextureObject,
    },
}

impl View {
    /// Start and length in the region, bytes.
    pub fn range(&self) -> (u64, u64) {
        match *self {
            Self::Bytes { offset, size } | Self::Texels { offset, size, .. } => (offset, size),
            Self::Texture { offset, object } => (offset, object.size_bytes()),
        }
    }

    /// What messages call it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Bytes { .. } => "range of bytes",
            Self::Texels { .. } => "range of texels",
            Self::Texture { .. } => "texture",
        }
    }
}

/// What a slot is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// Where it is.
    pub region: RegionId,
    /// What of it, and how.
    pub view: View,
}

impl Resource {
    /// A range of bytes.
    pub const fn bytes(region: RegionId, offset: u64, size: u64) -> Self {
        Self { region, view: View::Bytes { offset, size } }
    }

    /// A range of texels.
    pub const fn texels(region: RegionId, element: DeviceElement, offset: u64, size: u64) -> Self {
        Self { region, view: View::Texels { element, offset, size } }
    }

    /// A texture.
    pub const fn texture(region: RegionId, offset: u64, object: TextureObject) -> Self {
        Self { region, view: View::Texture { offset, object } }
    }

    /// Index in [`super::Manifest::weights`] of the blob that holds it, if one does.
    pub const fn weight(&self) -> Option<u32> {
        match self.region {
            RegionId::Weight(blob) => Some(blob),
            RegionId::Variant(_) => None,
        }
    }

    /// The region of `variant` that it is in; none if it is a weight, or if there is no such region.
    pub fn region<'a>(&self, variant: &'a Variant) -> Option<&'a Region> {
        match self.region {
            RegionId::Variant(index) => variant.regions.get(index as usize),
            RegionId::Weight(_) => None,
        }
    }

    /// Index in [`Variant::regions`] of the region that it is in, and which bytes of it; none for weights, which nothing
    /// writes.
    pub fn place(&self) -> Option<(u32, Range<u64>)> {
        match self.region {
            RegionId::Variant(region) => {
                let (offset, size) = self.view.range();
                Some((region, offset..offset.saturating_add(size)))
            }
            RegionId::Weight(_) => None,
        }
    }
}

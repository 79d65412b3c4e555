//! Which element of its source a slot has at a coordinate: one affine map, written out by the accessors.

use crate::physical::{Place, Size, View, Window};

/// How far into its source a part of a tensor begins: dispatches for parts of one tensor share their shader.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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

/// The map from the coordinates under which a slot is used to the elements of its source. Only valid combinations
/// can be expressed: `Block` and `Broadcast` require a dense source, and `Piece` excludes all others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AddressMap {
    /// Each coordinate has an element of its own, unless its axis has one place.
    Direct(Place),
    /// One channel stands for all: reads return it in every lane.
    Splat(Place),
    /// A part of a dense tensor that begins later, as another slot says when the kernel runs.
    Block {
        /// Where it would begin.
        view: View,
        /// How much later it does.
        shift: Shift,
        /// Whether one channel stands for all.
        splat: bool,
    },
    /// Read under the coordinates of a tensor of shape `full`, to which a dense tensor of the same rank broadcasts along some of
    /// the axes that share a coordinate. Where coordinates broadcast whole, the others will do.
    Broadcast {
        /// Sizes of that tensor.
        full: Vec<Size>,
        /// Where the dense one is, if it is not all of its source.
        view: Option<View>,
    },
    /// A piece of a derived constant, which dispatches at load write one after another.
    Piece {
        /// Where it begins, a multiple of 256.
        offset_bytes: u64,
    },
}

impl AddressMap {
    /// All of a source.
    pub const WHOLE: Self = Self::Direct(Place::Whole);

    /// The same map, whose one channel stands for all if `splat` says so.
    pub fn splat(self, splat: bool) -> Self {
        match self {
            Self::Direct(place) if splat => Self::Splat(place),
            Self::Block { view, shift, .. } if splat => Self::Block { view, shift, splat },
            other => other,
        }
    }

    /// The same place, read under the coordinates of a tensor of shape `full`.
    pub fn broadcast(self, full: Vec<Size>) -> Self {
        Self::Broadcast { full, view: self.view().cloned() }
    }

    /// The part of a dense tensor that begins so much later than `view`.
    pub const fn block(&self, view: View, shift: Shift) -> Self {
        Self::Block { view, shift, splat: self.is_splat() }
    }

    /// Strides and first element of a dense tensor that is not all of its source, in the order in which it is stored there.
    pub const fn view(&self) -> Option<&View> {
        match self {
            Self::Direct(place) | Self::Splat(place) => place.view(),
            Self::Block { view, .. } => Some(view),
            Self::Broadcast { view, .. } => view.as_ref(),
            Self::Piece { .. } => None,
        }
    }

    /// The larger tensor that it is a part of, where channels are kept in slices.
    pub const fn window(&self) -> Option<&Window> {
        match self {
            Self::Direct(place) | Self::Splat(place) => place.window(),
            Self::Block { .. } | Self::Broadcast { .. } | Self::Piece { .. } => None,
        }
    }

    /// What says how much later it begins.
    pub const fn shift(&self) -> Option<&Shift> {
        match self {
            Self::Block { shift, .. } => Some(shift),
            Self::Direct(_) | Self::Splat(_) | Self::Broadcast { .. } | Self::Piece { .. } => None,
        }
    }

    /// Whether one channel stands for all.
    pub const fn is_splat(&self) -> bool {
        match self {
            Self::Splat(_) => true,
            Self::Block { splat, .. } => *splat,
            Self::Direct(_) | Self::Broadcast { .. } | Self::Piece { .. } => false,
        }
    }

    /// The shape of the tensor under whose coordinates it is read, where it broadcasts by axes.
    pub fn full(&self) -> Option<&[Size]> {
        match self {
            Self::Broadcast { full, .. } => Some(full),
            Self::Direct(_) | Self::Splat(_) | Self::Block { .. } | Self::Piece { .. } => None,
        }
    }

    /// Bytes of its source before it.
    pub const fn offset_bytes(&self) -> u64 {
        match self {
            Self::Piece { offset_bytes } => *offset_bytes,
            Self::Direct(_) | Self::Splat(_) | Self::Block { .. } | Self::Broadcast { .. } => 0,
        }
    }
}

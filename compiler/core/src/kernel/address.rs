//! Which element of its source a slot has at a coordinate: one affine map, written out by the accessors.

use crate::physical::{View, Window};

/// Where a tensor lies in its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// It is all of it.
    Whole,
    /// A dense tensor along strides of its own.
    View(View),
    /// A part of a dense tensor that begins later, as another slot says when the kernel runs.
    Block {
        /// Where it would begin.
        view: View,
        /// How much later it does.
        shift: Shift,
    },
    /// A part of a larger tensor whose channels are kept in slices.
    Window(Window),
}

/// How far into its source a part of a tensor begins: launches for parts of one tensor share their shader.
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

/// The map from the coordinates under which a slot is used to the elements of its source. Only what can be addressed can be
/// written: what broadcasts by axes is dense and begins at a known element, and a piece of a constant is nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressMap {
    /// Each coordinate has an element of its own, unless its axis has one place.
    Direct(Place),
    /// One channel stands for all: reads return it in every lane.
    Splat(Place),
    /// Read under the coordinates of a tensor of shape `full`, to which a dense tensor of the same rank broadcasts along some of
    /// the axes that share a coordinate. Where coordinates broadcast whole, the others will do.
    Broadcast {
        /// Sizes of that tensor.
        full: Vec<u64>,
        /// Where the dense one lies, if it is not all of its source.
        view: Option<View>,
    },
    /// A piece of a derived constant, which launches at load write one after another.
    Piece {
        /// Where it begins, a multiple of 256.
        offset_bytes: u64,
    },
}

impl AddressMap {
    /// All of a source.
    pub const WHOLE: Self = Self::Direct(Place::Whole);

    /// A tensor that is a view or a window of its source, or all of it.
    pub fn of(view: Option<View>, window: Option<Window>) -> Self {
        Self::Direct(match (view, window) {
            (Some(view), _) => Place::View(view),
            (None, Some(window)) => Place::Window(window),
            (None, None) => Place::Whole,
        })
    }

    /// The same place, whose one channel stands for all if `splat` says so.
    pub fn splat(self, splat: bool) -> Self {
        match self {
            Self::Direct(place) if splat => Self::Splat(place),
            other => other,
        }
    }

    /// The same place, read under the coordinates of a tensor of shape `full`.
    pub fn broadcast(self, full: Vec<u64>) -> Self {
        Self::Broadcast { full, view: self.view().cloned() }
    }

    /// The part of a dense tensor that begins so much later than `view`.
    pub fn block(self, view: View, shift: Shift) -> Self {
        let place = Place::Block { view, shift };
        if self.is_splat() { Self::Splat(place) } else { Self::Direct(place) }
    }

    fn place(&self) -> &Place {
        match self {
            Self::Direct(place) | Self::Splat(place) => place,
            Self::Broadcast { .. } | Self::Piece { .. } => &Place::Whole,
        }
    }

    /// Strides and first element of a dense tensor that is not all of its source, in the order in which it lies there.
    pub fn view(&self) -> Option<&View> {
        match self {
            Self::Direct(Place::View(view) | Place::Block { view, .. })
            | Self::Splat(Place::View(view) | Place::Block { view, .. }) => Some(view),
            Self::Broadcast { view, .. } => view.as_ref(),
            Self::Direct(Place::Whole | Place::Window(_))
            | Self::Splat(Place::Whole | Place::Window(_))
            | Self::Piece { .. } => None,
        }
    }

    /// The larger tensor that it is a part of, where channels are kept in slices.
    pub fn window(&self) -> Option<&Window> {
        match self.place() {
            Place::Window(window) => Some(window),
            Place::Whole | Place::View(_) | Place::Block { .. } => None,
        }
    }

    /// What says how much later it begins.
    pub fn shift(&self) -> Option<&Shift> {
        match self.place() {
            Place::Block { shift, .. } => Some(shift),
            Place::Whole | Place::View(_) | Place::Window(_) => None,
        }
    }

    /// Whether one channel stands for all.
    pub const fn is_splat(&self) -> bool {
        matches!(self, Self::Splat(_))
    }

    /// The shape of the tensor under whose coordinates it is read, where it broadcasts by axes.
    pub fn full(&self) -> Option<&[u64]> {
        match self {
            Self::Broadcast { full, .. } => Some(full),
            Self::Direct(_) | Self::Splat(_) | Self::Piece { .. } => None,
        }
    }

    /// Bytes of its source before it.
    pub const fn offset_bytes(&self) -> u64 {
        match self {
            Self::Piece { offset_bytes } => *offset_bytes,
            Self::Direct(_) | Self::Splat(_) | Self::Broadcast { .. } => 0,
        }
    }
}

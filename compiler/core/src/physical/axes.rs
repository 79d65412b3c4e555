//! Which of a tensor's axes are batch, height, width and channels.

use super::size::{Extent, NotKnown, Size};
use std::fmt;
use std::ops::Range;

/// Each coordinate stands for a run of adjacent logical axes (empty: size 1), so that any rank has a dense view.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AxisMap {
    /// Logical axes that make up the batch coordinate.
    pub batch: Range<usize>,
    /// Logical axes that make up the height coordinate.
    pub height: Range<usize>,
    /// Logical axes that make up the width coordinate.
    pub width: Range<usize>,
    /// Logical axes that make up the channel coordinate.
    pub channels: Range<usize>,
}

/// Sizes of the coordinates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Extents<T = u64> {
    /// Batch size.
    pub batch: T,
    /// Rows.
    pub height: T,
    /// Columns.
    pub width: T,
    /// Channels, before rounding up to slices.
    pub channels: T,
}

impl<T: Extent> Extents<T> {
    /// Slices of four channels, the last one padded.
    pub fn slices(&self) -> T {
        self.channels.in_slices()
    }

    /// Positions that have channels.
    pub fn pixels(&self) -> T {
        self.batch.by(&self.height).by(&self.width)
    }

    /// Elements, without padding.
    pub fn elements(&self) -> T {
        self.pixels().by(&self.channels)
    }

    /// Each of them by itself.
    pub fn as_array(&self) -> [&T; 4] {
        [&self.batch, &self.height, &self.width, &self.channels]
    }
}

impl Extents<Size> {
    /// The numbers, for a kernel that is made for them.
    pub fn known(&self) -> Result<Extents, NotKnown> {
        Ok(Extents {
            batch: self.batch.to_known()?,
            height: self.height.to_known()?,
            width: self.width.to_known()?,
            channels: self.channels.to_known()?,
        })
    }

    /// The largest that each may be.
    pub fn largest(&self) -> Extents {
        Extents {
            batch: self.batch.max(),
            height: self.height.max(),
            width: self.width.max(),
            channels: self.channels.max(),
        }
    }
}

impl AxisMap {
    /// The last axis is channels, the one before it width, then height; all others together are batch.
    pub fn channels_last(rank: usize) -> Self {
        let at = |from_end: usize| match rank.checked_sub(from_end) {
            Some(axis) => axis..axis + 1,
            None => 0..0,
        };
        Self { batch: 0..rank.saturating_sub(3), height: at(3), width: at(2), channels: at(1) }
    }

    /// ONNX's image order `[n, c, h, w]`, aligned at the end so that `[c, 1, 1]` broadcasts. Rank 3 is `[n, c, w]` only
    /// through [`AxisMap::signal`].
    pub fn channels_first(rank: usize) -> Self {
        let at = |from_end: usize| match rank.checked_sub(from_end) {
            Some(axis) => axis..axis + 1,
            None => 0..0,
        };
        Self { batch: 0..rank.saturating_sub(3), channels: at(3), height: at(2), width: at(1) }
    }

    /// A one-dimensional signal `[n, c, w]`.
    pub fn signal() -> Self {
        Self { batch: 0..1, channels: 1..2, height: 2..2, width: 2..3 }
    }

    /// `shape` seen as rows: axes before `first` are rows (width), the others channels.
    pub fn rows(first: usize, rank: usize) -> Self {
        Self { batch: 0..0, height: 0..0, width: 0..first, channels: first..rank }
    }

    /// Sizes of the coordinates for `shape`.
    pub fn extents<T: Extent>(&self, shape: &[T]) -> Extents<T> {
        let product = |axes: &Range<usize>| product(&shape[axes.clone()]);
        Extents {
            batch: product(&self.batch),
            height: product(&self.height),
            width: product(&self.width),
            channels: product(&self.channels),
        }
    }

    /// Distance in elements between neighbours along batch, height, width and channels in a dense row-major tensor.
    pub fn strides<T: Extent>(&self, shape: &[T]) -> [T; 4] {
        let stride = |axes: &Range<usize>| match axes.is_empty() {
            true => T::none(),
            false => product(&shape[axes.end..]),
        };
        [stride(&self.batch), stride(&self.height), stride(&self.width), stride(&self.channels)]
    }

    /// The coordinate (0 batch, 1 height, 2 width, 3 channels) of a logical axis that has one to itself.
    pub fn coordinate_of(&self, axis: usize) -> Option<usize> {
        [&self.batch, &self.height, &self.width, &self.channels]
            .iter()
            .position(|run| run.len() == 1 && run.start == axis)
    }
}

/// All of them multiplied.
pub(super) fn product<T: Extent>(sizes: &[T]) -> T {
    sizes.iter().fold(T::one(), |all, size| all.by(size))
}

impl fmt::Display for AxisMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for (name, run) in
            [("b", &self.batch), ("y", &self.height), ("x", &self.width), ("c", &self.channels)]
        {
            if run.is_empty() {
                continue;
            }
            let separator = if std::mem::take(&mut first) { "" } else { " " };
            match run.len() {
                1 => write!(f, "{separator}{name}={}", run.start)?,
                _ => write!(f, "{separator}{name}={}..{}", run.start, run.end)?,
            }
        }
        Ok(())
    }
}

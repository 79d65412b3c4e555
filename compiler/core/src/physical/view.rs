//! Tensors that are in a larger dense one: slices, splits of heads and permutations that move nothing.

use super::{AxisMap, LANES};
use std::ops::Range;

/// Where the elements of a tensor are in a dense one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct View {
    /// The first.
    pub start: u64,
    /// From one to the next along each axis.
    pub strides: Vec<u64>,
}

impl View {
    /// All of a dense tensor.
    pub fn whole(shape: &[u64]) -> Self {
        Self { start: 0, strides: (0..shape.len()).map(|axis| shape[axis + 1..].iter().product()).collect() }
    }

    /// The places from `first` on along an axis, each `step` after the one before.
    pub fn cut(mut self, axis: usize, first: u64, step: u64) -> Self {
        // What leaves 64 bits is beyond any tensor: a step between places of which there is but one.
        self.start = self.start.saturating_add(first.saturating_mul(self.strides[axis]));
        self.strides[axis] = self.strides[axis].saturating_mul(step);
        self
    }

    /// Axis `i` is axis `perm[i]` of this.
    pub fn permuted(&self, perm: &[usize]) -> Self {
        Self { start: self.start, strides: perm.iter().map(|&axis| self.strides[axis]).collect() }
    }

    /// The same elements, in the same order, with another shape. None where the elements of an axis would not be equally far
    /// apart.
    pub fn reshaped(&self, shape: &[u64], wanted: &[u64]) -> Option<Self> {
        if shape.iter().product::<u64>() != wanted.iter().product::<u64>() || shape.contains(&0) {
            return None;
        }
        let mut strides = vec![0; wanted.len()];
        let (mut from, mut to) = (shape.len(), wanted.len());
        // The fewest axes, innermost first, that hold as many elements on both sides.
        while from > 0 || to > 0 {
            let (from_end, to_end) = (from, to);
            let (mut own, mut other) = (1, 1);
            loop {
                if own <= other && from > 0 {
                    from -= 1;
                    own *= shape[from];
                } else if to > 0 {
                    to -= 1;
                    other *= wanted[to];
                } else {
                    break;
                }
                if own == other && to < to_end {
                    break;
                }
            }
            let distance = self.stride_of(shape, &(from..from_end))?;
            let mut inner = 1;
            for axis in (to..to_end).rev() {
                strides[axis] = distance * inner;
                inner *= wanted[axis];
            }
        }
        Some(Self { start: self.start, strides })
    }

    /// The distance between neighbours along axes that share a coordinate; none where these do not collapse into one.
    pub fn stride_of(&self, shape: &[u64], axes: &Range<usize>) -> Option<u64> {
        let mut several = axes.clone().rev().filter(|&axis| shape[axis] > 1);
        let Some(innermost) = several.next() else {
            return Some(if axes.is_empty() { 0 } else { 1 });
        };
        let stride = self.strides[innermost];
        let mut size = shape[innermost];
        for axis in several {
            if self.strides[axis] != stride * size {
                return None;
            }
            size *= shape[axis];
        }
        Some(stride)
    }

    /// Distances between neighbours along batch, height, width and channels; none where axes that share a coordinate do not
    /// collapse into one.
    pub fn strides(&self, axes: &AxisMap, shape: &[u64]) -> Option<[u64; 4]> {
        let of = |run: &Range<usize>| self.stride_of(shape, run);
        Some([of(&axes.batch)?, of(&axes.height)?, of(&axes.width)?, of(&axes.channels)?])
    }

    /// One more than the last element.
    pub fn end(&self, shape: &[u64]) -> u64 {
        let last = shape.iter().zip(&self.strides).map(|(size, stride)| (size.max(&1) - 1) * stride);
        self.start + last.sum::<u64>() + 1
    }

    /// Whether rows of whole vectors are at whole vectors.
    pub fn is_aligned(&self, shape: &[u64]) -> bool {
        let Some((&columns, outer)) = shape.split_last() else { return false };
        let rows = outer.iter().zip(&self.strides).all(|(&size, stride)| size == 1 || stride % LANES == 0);
        columns % LANES == 0 && self.strides[outer.len()] == 1 && self.start.is_multiple_of(LANES) && rows
    }
}

/// Where a tensor is in a larger one whose channels are kept in slices: at whole slices, and at any place of the other axes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// Sizes of the larger one.
    pub whole: Vec<u64>,
    /// The first place along each axis.
    pub starts: Vec<u64>,
}

impl Window {
    /// All of a tensor.
    pub fn of(shape: &[u64]) -> Self {
        Self { whole: shape.to_vec(), starts: vec![0; shape.len()] }
    }

    /// Where a tensor of `shape` begins along batch, height, width and slices. None where it is cut inside of axes that share a
    /// coordinate, or where lanes of a slice are those of other channels.
    pub fn first(&self, axes: &AxisMap, shape: &[u64]) -> Option<[u64; 4]> {
        let of = |run: &Range<usize>| {
            let outermost = run.clone().find(|&axis| self.whole[axis] > 1).unwrap_or(run.end);
            let inner = (outermost + 1).min(run.end)..run.end;
            let uncut = inner.clone().all(|axis| self.whole[axis] == shape[axis]);
            let start = if outermost < run.end { self.starts[outermost] } else { 0 };
            uncut.then(|| start * shape[inner].iter().product::<u64>())
        };
        let channels = of(&axes.channels)?;
        let (own, all) = (axes.extents(shape).channels, axes.extents(&self.whole).channels);
        let whole_slices = own.is_multiple_of(LANES) || channels + own == all;
        let first = [of(&axes.batch)?, of(&axes.height)?, of(&axes.width)?, channels / LANES];
        (channels.is_multiple_of(LANES) && whole_slices).then_some(first)
    }
}

/// Where a tensor is in its source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Place {
    /// It is all of it.
    #[default]
    Whole,
    /// A dense tensor along strides of its own.
    View(View),
    /// A part of a larger tensor whose channels are kept in slices.
    Window(Window),
}

impl Place {
    /// The strides of a dense tensor that is not all of its source, in the order in which it is stored there.
    pub const fn view(&self) -> Option<&View> {
        match self {
            Self::View(view) => Some(view),
            Self::Whole | Self::Window(_) => None,
        }
    }

    /// The larger tensor that it is a part of, where channels are kept in slices.
    pub const fn window(&self) -> Option<&Window> {
        match self {
            Self::Window(window) => Some(window),
            Self::Whole | Self::View(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(start: u64, strides: &[u64]) -> View {
        View { start, strides: strides.to_vec() }
    }

    /// ONNX writes "to the end" and "in one step" as the largest i64.
    #[test]
    fn a_step_between_places_of_which_there_is_one_may_be_any() {
        let last = View::whole(&[7, 4, 6]).cut(0, 6, i64::MAX.cast_unsigned());
        assert_eq!((last.start, last.stride_of(&[1, 4, 6], &(0..1))), (6 * 24, Some(1)));
        assert_eq!(last.end(&[1, 4, 6]), 7 * 24);
    }

    #[test]
    fn queries_keys_and_values_of_one_projection() {
        // [2, 5, 3 * 4 * 8]: the second third of each row, then its heads.
        let keys = View::whole(&[2, 5, 96]).cut(2, 32, 1);
        assert_eq!(keys, view(32, &[480, 96, 1]));
        let heads = keys.reshaped(&[2, 5, 32], &[2, 5, 4, 8]);
        assert_eq!(heads, Some(view(32, &[480, 96, 8, 1])));
        // The same from [2, 5, 3, 4, 8] with one of three taken.
        let indexed = View::whole(&[2, 5, 3, 4, 8]).cut(2, 1, 1);
        assert_eq!(indexed.reshaped(&[2, 5, 1, 4, 8], &[2, 5, 4, 8]), heads);
        // And from the heads before the rows.
        let moved = View::whole(&[2, 5, 3, 4, 8]).permuted(&[2, 0, 3, 1, 4]).cut(0, 1, 1);
        assert_eq!(moved.reshaped(&[1, 2, 4, 5, 8], &[2, 4, 5, 8]), Some(view(32, &[480, 8, 96, 1])));
        assert_eq!(keys.end(&[2, 5, 32]), 32 + 480 + 4 * 96 + 32);
    }

    #[test]
    fn what_does_not_walk_on_is_no_coordinate() {
        let keys = view(32, &[480, 96, 1]);
        assert_eq!(keys.strides(&AxisMap::rows(2, 3), &[2, 5, 32]), Some([0, 0, 96, 1]));
        let all = AxisMap { batch: 0..0, height: 0..0, width: 0..0, channels: 0..3 };
        assert_eq!(keys.strides(&all, &[2, 5, 32]), None);
        assert_eq!(keys.reshaped(&[2, 5, 32], &[10, 32]), Some(view(32, &[96, 1])));
        assert_eq!(keys.reshaped(&[2, 5, 32], &[320]), None);
        assert_eq!(keys.reshaped(&[2, 5, 32], &[2, 160]), None);
        assert_eq!(keys.reshaped(&[2, 5, 32], &[1; 4]), None);
        assert_eq!(
            (keys.stride_of(&[2, 5, 32], &(0..2)), keys.stride_of(&[2, 5, 32], &(1..3))),
            (Some(96), None)
        );
    }

    #[test]
    fn axes_of_size_one_have_any_distance() {
        let one = view(7, &[90, 30, 1]);
        assert_eq!(one.reshaped(&[1, 3, 1], &[3]), Some(view(7, &[30])));
        assert_eq!(one.reshaped(&[1, 1, 1], &[1, 1]).map(|view| view.end(&[1, 1])), Some(8));
        assert_eq!(one.strides(&AxisMap::rows(1, 3), &[1, 3, 1]), Some([0, 0, 1, 30]));
    }

    #[test]
    fn windows_are_cut_at_slices_and_outermost_axes() {
        let image = AxisMap::channels_first(4);
        let window = Window { whole: vec![2, 24, 6, 5], starts: vec![1, 8, 2, 0] };
        assert_eq!(window.first(&image, &[1, 12, 3, 5]), Some([1, 2, 0, 2]).map(|[b, y, _, s]| [b, y, 0, s]));
        // Lanes of another part follow, unless it is the last.
        assert_eq!(window.first(&image, &[1, 10, 3, 5]), None);
        assert_eq!(window.first(&image, &[1, 16, 3, 5]), Some([1, 2, 0, 2]));
        let within = Window { whole: vec![2, 24, 6, 5], starts: vec![0, 6, 0, 0] };
        assert_eq!(within.first(&image, &[2, 12, 6, 5]), None);
        // Rows and columns as one run of pixels: whole rows only.
        let pixels = AxisMap { batch: 0..1, height: 2..2, width: 2..4, channels: 1..2 };
        let rows = Window { whole: vec![2, 24, 6, 5], starts: vec![0, 0, 2, 0] };
        assert_eq!(rows.first(&pixels, &[2, 24, 3, 5]), Some([0, 0, 10, 0]));
        assert_eq!(rows.first(&pixels, &[2, 24, 3, 4]), None);
    }

    #[test]
    fn vectors_need_all_rows_at_whole_vectors() {
        assert!(view(32, &[480, 96, 1]).is_aligned(&[2, 5, 32]));
        assert!(!view(2, &[480, 96, 1]).is_aligned(&[2, 5, 32]));
        assert!(!view(32, &[480, 90, 1]).is_aligned(&[2, 5, 32]));
        assert!(!view(32, &[480, 96, 1]).is_aligned(&[2, 5, 30]));
        assert!(!view(0, &[1, 4]).is_aligned(&[4, 4]));
    }
}

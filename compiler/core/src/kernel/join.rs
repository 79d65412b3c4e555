//! What a dispatch of the kernel `concat` does.

use super::{Constant, KernelCall, Slot};
use crate::physical::{Order, Size};

/// Parts that a dispatch reads: with the result they are the eight storage buffers that every device has.
pub const MOST_PARTS: usize = 7;

/// Names of each part's slot and of its first coordinate.
const PARTS: [[&str; 2]; MOST_PARTS] = [
    ["src_0", "START_0"],
    ["src_1", "START_1"],
    ["src_2", "START_2"],
    ["src_3", "START_3"],
    ["src_4", "START_4"],
    ["src_5", "START_5"],
    ["src_6", "START_6"],
];

/// Tensors that are joined along a coordinate. The first slots of the call are the parts, its last is the result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// The coordinate: 0 batch, 1 height, 2 width, 3 channels.
    pub along: usize,
    /// Whether every part begins at a whole slice, or another coordinate than channels is joined.
    pub whole_slices: bool,
    /// First coordinate of each part.
    pub starts: Vec<Size>,
    /// The first coordinate along which the dispatch writes, or slice where channels are joined.
    pub first: Size,
    /// How many it writes.
    pub count: Size,
}

impl Join {
    /// Batch, rows, columns and slices that the dispatch writes.
    pub fn sizes(&self, dst: &Slot) -> [Size; 4] {
        let e = dst.extents();
        let slices = e.slices();
        let mut sizes = [e.batch, e.height, e.width, slices];
        sizes[self.along] = self.count.clone();
        sizes
    }

    /// The call that joins `parts`, one for each start, to `dst`.
    pub fn call(
        self,
        parts: &[Slot],
        dst: Slot,
        workgroup_size: [u32; 3],
        workgroups: [Size; 3],
    ) -> KernelCall {
        let mut constants = self.constants(&dst);
        let mut slots = Vec::with_capacity(MOST_PARTS + 1);
        for (n, [name, start]) in PARTS.into_iter().enumerate() {
            // Slots beyond the parts show the first: the kernel reads none of them.
            let part = if n < parts.len() { n } else { 0 };
            slots.push(Slot { name: name.to_owned(), ..parts[part].clone() });
            constants.push((start, Constant::count(self.starts[part].clone())));
        }
        slots.push(dst);
        let call = KernelCall::plain("concat", constants, slots, workgroup_size, workgroups);
        KernelCall { join: Some(self), ..call }
    }

    fn constants(&self, dst: &Slot) -> Vec<(&'static str, Constant)> {
        let number = |number: &Size| Constant::count(number.clone());
        let is_along = |coordinate: usize| Constant::U32(u64::from(coordinate == self.along));
        let mut first = [0; 4].map(Size::Const);
        first[self.along] = self.first.clone();
        let size = self.sizes(dst);
        vec![
            ("PARTS", Constant::U32(self.starts.len() as u64)),
            ("WHOLE_SLICES", Constant::Bool(self.whole_slices)),
            ("CHANNELS_INNERMOST", Constant::Bool(dst.layout.order == Order::RowMajor)),
            ("ALONG_B", is_along(0)),
            ("ALONG_Y", is_along(1)),
            ("ALONG_X", is_along(2)),
            ("ALONG_C", is_along(3)),
            ("FIRST_B", number(&first[0])),
            ("FIRST_Y", number(&first[1])),
            ("FIRST_X", number(&first[2])),
            ("FIRST_S", number(&first[3])),
            ("SIZE_B", number(&size[0])),
            ("SIZE_Y", number(&size[1])),
            ("SIZE_X", number(&size[2])),
            ("SIZE_S", number(&size[3])),
        ]
    }
}

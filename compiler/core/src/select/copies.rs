//! Copies: from one layout to another, and of constants that are results.

use super::strided::{self, Distance, Walk};
use super::{Chosen, Context, Declined};
use crate::kernel::{Access, AddressMap, Constant, KernelCall, Slot, Source};
use crate::physical::{AxisMap, LANES, Layout, Order, Size, View};
use crate::program::Placement;
use drift_ir::ValueId;

impl Context<'_> {
    /// A change of layout.
    pub(super) fn conversion(
        &self,
        value: ValueId,
        from: &Placement,
        to: &Placement,
    ) -> Result<Chosen, Declined> {
        let shape = self.sizes(value);
        let slot = |name: &str, access, placement: &Placement| {
            let source = Source::Activation(placement.storage);
            let slot = Slot::new(name, access, source, shape.clone(), placement.layout.clone());
            Slot { address: AddressMap::Direct(placement.place.clone()), ..slot }
        };
        let (src, dst) = (slot("src", Access::Read, from), slot("dst", Access::Write, to));
        let call = match from.place.view() {
            Some(view) => {
                let (src, View { start, strides }) =
                    self.run_of_view("src", &self.shape(value)?, from, view.clone());
                let distances = strides.iter().map(|&stride| Distance::of(1, &stride.into()));
                let walk = Walk { start: start.into(), axes: shape.iter().cloned().zip(distances).collect() };
                let (elements, axes) = (shape.iter().product(), AxisMap::channels_last(1));
                let layout = Layout { axes, ..dst.layout.clone() };
                strided::copy_along(self, src, Slot { shape: vec![elements], layout, ..dst }, walk)?.call
            }
            None => self.identity_copy(src, dst),
        };
        Ok(plain(call, "readers need other axes"))
    }

    /// The copy of a constant that is a graph output.
    pub(super) fn constant_copy(&mut self, value: ValueId, to: &Placement) -> Result<Chosen, Declined> {
        let src = self.slot("src", Access::Read, value, &to.layout.axes)?;
        let source = Source::Activation(to.storage);
        let dst = Slot::new("dst", Access::Write, source, src.shape.clone(), to.layout.clone());
        Ok(plain(self.identity_copy(src, dst), "a constant output"))
    }

    pub(super) fn identity_copy(&self, src: Slot, dst: Slot) -> KernelCall {
        let (workgroup_size, workgroups) = self.linear(&(dst.extents().pixels() * dst.extents().slices()));
        let maps: Vec<CoordinateMap> =
            (0..4).map(|n| CoordinateMap { from: Some(n), start: Size::Const(0), step: 1 }).collect();
        let (constants, _) = copy_constants(&maps, &dst);
        KernelCall::plain("copy", constants, vec![src, dst], workgroup_size, workgroups)
    }
}

/// A call that no node asked for.
fn plain(call: KernelCall, why: &str) -> Chosen {
    Chosen { call, why: why.to_owned(), declined: Vec::new(), flops: 0 }
}

/// Where the copy kernel finds a source coordinate: `start + step *` the result's coordinate `from`.
pub(super) struct CoordinateMap {
    /// 0 batch, 1 height, 2 width, 3 channels; none where the source has one place.
    pub from: Option<usize>,
    /// At the result's origin.
    pub start: Size,
    /// From one result to the next.
    pub step: i64,
}

/// Constants of the copy kernel for the source's batch, height, width and channels, and whether it moves whole slices.
pub(super) fn copy_constants(maps: &[CoordinateMap], dst: &Slot) -> (Vec<(&'static str, Constant)>, bool) {
    const NAMES: [[&str; 3]; 4] = [
        ["PICK_B", "START_B", "STEP_B"],
        ["PICK_Y", "START_Y", "STEP_Y"],
        ["PICK_X", "START_X", "STEP_X"],
        ["PICK_C", "START_C", "STEP_C"],
    ];
    let whole = maps.last().is_some_and(|channels| {
        channels.from == Some(3) && channels.step == 1 && channels.start.is_multiple_of(LANES)
    });
    let mut constants = vec![
        ("WHOLE_SLICES", Constant::Bool(whole)),
        ("CHANNELS_INNERMOST", Constant::Bool(dst.layout.order == Order::RowMajor)),
    ];
    for (CoordinateMap { from, start, step }, [pick_name, start_name, step_name]) in maps.iter().zip(NAMES) {
        constants.push((pick_name, Constant::U32(from.unwrap_or(4) as u64)));
        constants.push((start_name, Constant::signed_size(start)));
        constants.push((step_name, Constant::I32(*step)));
    }
    (constants, whole)
}

//! Rotary position embedding: one pass over the rows.

use super::{Chosen, Context, Declined};
use crate::kernel::{Access, Constant};
use crate::physical::{AxisMap, Size};
use drift_ir::Node;
use drift_ir::op::Rotary;

pub(super) fn select(context: &mut Context<'_>, node: &Node, op: Rotary) -> Result<Chosen, Declined> {
    let (x, y) = (node.inputs[0], node.outputs[0]);
    let axes = AxisMap::channels_last(context.rank(y));
    let dst = context.slot("dst", Access::Write, y, &axes)?;
    let src = context.slot("src", Access::Read, x, &axes)?;
    let cosine = context.slot("cosine", Access::Read, node.inputs[1], &axes)?;
    let sine = context.slot("sine", Access::Read, node.inputs[2], &axes)?;
    let e = dst.extents();
    let angles = cosine.extents();
    // Several axes may share a coordinate, along which angles repeat in full or not at all.
    let repeats = |(own, full): (&Size, &Size)| own == full || own.is_always(1);
    if !angles.as_array().into_iter().zip(e.as_array()).take(3).all(repeats) {
        return Err(Declined::Shape("angles that repeat along some axes of five or more".to_owned()));
    }
    let constants =
        vec![("PAIRS", Constant::U32(op.turned / 2)), ("INTERLEAVED", Constant::Bool(op.interleaved))];
    let (size, workgroups) = context.linear(&(e.pixels() * e.slices()));
    let call = context.call(node, "rotary", constants, vec![src, cosine, sine], dst, size, workgroups)?;
    let why = "one invocation per slice of the result".to_owned();
    Ok(Chosen { call, why, declined: Vec::new(), flops: 4 * e.elements().max() })
}

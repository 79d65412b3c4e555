//! Attention of few queries over a cache: workgroups share the keys of a query, then their sums are joined.

use super::{axis_map, band_constants, exponent, position, score_program};
use crate::estimate::attention::{Shares, Work};
use crate::kernel::{Access, Constant, KernelCall};
use crate::physical::Element;
use crate::select::{Chosen, Context, Declined};
use drift_ir::Node;
use drift_ir::op::Attention;

/// The keys in shares, then the join.
pub(super) fn select(
    context: &mut Context<'_>,
    node: &Node,
    op: &Attention,
    work: &Work,
    Shares { threads, rows, splits, key_parts }: Shares,
    why: &str,
) -> Result<Vec<Chosen>, Declined> {
    let dst = context.slot("dst", Access::Write, node.outputs[0], &axis_map(&op.y))?;
    let q = context.slot("q", Access::Read, node.inputs[0], &axis_map(&op.q))?;
    let k = context.slot("k", Access::Read, node.inputs[1], &axis_map(&op.k))?;
    let v = context.slot("v", Access::Read, node.inputs[2], &axis_map(&op.v))?;
    let position = position(context, node, op)?;
    let (mut program, score_slots) = score_program(context, node, op, &q, &k)?;
    let (epilogue, operands) = context.epilogue(node, &dst)?;
    let exponent = Constant::F32(exponent(&mut program.steps));
    let sharing = work.heads / work.kv_heads;

    let sizes = |channels: u64| [work.batch, work.heads, work.queries * splits, channels];
    let made =
        context.scratch("made", &format!("{} (sums)", node.name), Element::F32, sizes(work.value_channels));
    let stats = context.scratch("stats", &format!("{} (statistics)", node.name), Element::F32, sizes(4));
    let shares = [("SPLITS", Constant::U32(splits)), ("EXPONENT", exponent)];
    // Queries without keys are told when the sums are joined.
    let band = band_constants(&op.band);
    let own = [("ROWS", rows), ("SHARING", sharing), ("KEY_PARTS", key_parts)];
    let own = own.map(|(name, value)| (name, Constant::U32(value)));
    let call = KernelCall::plain(
        "attention_cached",
        [&shares[..], &band, &own].concat(),
        [vec![q, k, v], Vec::from_iter(position), score_slots, vec![made.clone(), stats.clone()]].concat(),
        [threads as u32, 1, 1],
        [splits, work.kv_heads * (sharing * work.queries).div_ceil(rows), work.batch],
    );
    let call = KernelCall { prologue: Some(program), ..call };
    let sums = Chosen { call, why: why.to_owned(), declined: Vec::new(), flops: work.flops() };

    let e = dst.extents().known()?;
    let constants = [&shares[..], &[("UNSEEN_IS_ZERO", Constant::Bool(op.unseen_is_zero))]].concat();
    let read = [made, stats].map(|slot| {
        let name = slot.name.clone();
        slot.as_argument(&name, Access::Read)
    });
    let slots = [read.to_vec(), operands, vec![dst]].concat();
    let grid = [e.width, e.height, e.batch];
    let call = KernelCall::plain("attention_merge", constants, slots, [threads as u32, 1, 1], grid);
    let call = KernelCall { epilogue, ..call };
    let flops = e.elements() * 2 * splits;
    let join = Chosen { call, why: "joins the shares of each query".to_owned(), declined: Vec::new(), flops };
    Ok(vec![sums, join])
}

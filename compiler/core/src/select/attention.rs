//! Attention as one kernel, without a matrix of scores: on cooperative matrices, or with a query in each invocation's
//! registers; or with scores in memory and most of the softmax in the second product ([`partial`]). Which of these is best was
//! estimated before attention was written out where the ops that it stands for are better still (`crate::estimate`).

mod cached;
mod partial;
mod split;

use super::{Chosen, Context, Declined};
use crate::estimate::attention::{Strategy, Work};
use crate::kernel::scalar::{Kind, ScalarProgram};
use crate::kernel::{Access, Constant, KernelCall, Slot, Source};
use crate::physical::{AxisMap, Layout, Size};
use drift_ir::Node;
use drift_ir::op::attention::{Band, HEADS_FIRST, HeadAxes, HeadSizes};
use drift_ir::op::{Attention, BinaryOp, ScalarOp, Step, StepArg};

/// Batch, heads, rows and channels as the coordinates of a kernel.
fn axis_map(axes: &HeadAxes) -> AxisMap {
    let [batch, height, width, channels] = axes.map(|axis| axis..axis + 1);
    AxisMap { batch, height, width, channels }
}

pub(super) fn select(
    context: &mut Context<'_>,
    node: &Node,
    op: &Attention,
) -> Result<Vec<Chosen>, Declined> {
    let work = work(context, node, op)?;
    let id = context.graph.producer(node.outputs[0]);
    let plan = context.decisions.attention_of(id, &work, context.profile);
    let strategy = plan.fused().ok_or_else(|| Declined::Shape(plan.why_not_fused()))?;
    if let Strategy::Cached(shares) = strategy {
        return cached::select(context, node, op, &work, shares, &plan.explain());
    }
    let [q, k, v] = [0, 1, 2].map(|at: usize| context.sizes(node.inputs[at]));
    let Some((kernel, size, workgroups, mut constants)) = call_of(context, strategy, &op.sizes(&q, &k, &v))
    else {
        return partial::select(context, node, op, &work, &plan.explain());
    };
    constants.push(("SHARING", Constant::U32(work.heads / work.kv_heads)));
    constants.push(("UNSEEN_IS_ZERO", Constant::Bool(op.unseen_is_zero)));
    constants.extend(band_constants(&op.band));
    constants.push(("HAS_POSITION", Constant::Bool(op.has_first)));
    let dst = context.slot("dst", Access::Write, node.outputs[0], &axis_map(&op.y))?;
    let q = context.slot("q", Access::Read, node.inputs[0], &axis_map(&op.q))?;
    let k = context.slot("k", Access::Read, node.inputs[1], &axis_map(&op.k))?;
    let v = context.slot("v", Access::Read, node.inputs[2], &axis_map(&op.v))?;
    let (mut scores, score_slots) = score_program(context, node, op, &q, &k)?;
    constants.push(("EXPONENT", Constant::F32(exponent(&mut scores.steps))));
    let (epilogue, operands) = context.epilogue(node, &dst)?;
    let position = position(context, node, op)?;
    let slots = [vec![q, k, v], Vec::from_iter(position), score_slots, operands, vec![dst]].concat();
    let plain = KernelCall::plain(kernel, constants, slots, size, workgroups);
    let call = KernelCall { prologue: Some(scores), epilogue, ..plain };
    let why = plan.explain();
    Ok(vec![Chosen { call, why, declined: Vec::new(), flops: work.flops() }])
}

/// The band for a kernel, which adds its bounds to the places of queries as i32.
fn band_constants(band: &Band) -> [(&'static str, Constant); 4] {
    let near = |distance: Option<i64>| Constant::I32(distance.unwrap_or(0).clamp(-(1 << 30), 1 << 30));
    [
        ("HAS_FIRST_KEY", Constant::Bool(band.min_offset.is_some())),
        ("HAS_LAST_KEY", Constant::Bool(band.max_offset.is_some())),
        ("FIRST_KEY", near(band.min_offset)),
        ("LAST_KEY", near(band.max_offset)),
    ]
}

/// Kernel, workgroup size, workgroups and constants of a strategy.
type Call = (&'static str, [u32; 3], [Size; 3], Vec<(&'static str, Constant)>);

/// `None` where it takes more than one.
fn call_of(context: &Context<'_>, strategy: Strategy, sizes: &HeadSizes<Size>) -> Option<Call> {
    let grid = |rows: u64| [sizes.queries.div_ceil(rows), sizes.heads.clone(), sizes.batch.clone()];
    Some(match strategy {
        Strategy::Partial | Strategy::Cached(_) => return None,
        Strategy::Cooperative { threads, parts, tile } => (
            "attention_cooperative",
            [threads as u32, 1, 1],
            grid(threads / parts),
            vec![
                ("PARTS", Constant::U32(parts)),
                ("TILE", Constant::U32(tile)),
                ("SUBGROUP_SIZE", Constant::U32(context.profile.subgroup_size.unwrap_or(32).into())),
            ],
        ),
        Strategy::Rows { threads, rows, tile, staged } => (
            "attention_rows",
            [threads as u32, 1, 1],
            grid(rows),
            vec![
                ("TILE", Constant::U32(tile)),
                ("ROWS", Constant::U32(rows)),
                ("STAGED", Constant::Bool(staged)),
            ],
        ),
    })
}

/// Sizes of an attention on this device.
fn work(context: &Context<'_>, node: &Node, op: &Attention) -> Result<Work, Declined> {
    let [q, k, v] = [0, 1, 2].map(|at: usize| context.largest(node.inputs[at]));
    let is_free = (0..3).any(|at| context.shape(node.inputs[at]).is_err());
    Ok(Work::new(node, op, (&op.sizes(&q, &k, &v), is_free), context.element(node.inputs[0])?))
}

/// The steps on the scores, with slots for what they read.
fn score_program(
    context: &mut Context<'_>,
    node: &Node,
    op: &Attention,
    q: &Slot,
    k: &Slot,
) -> Result<(ScalarProgram, Vec<Slot>), Declined> {
    let (rows, keys) = (q.extents(), k.extents());
    // Scores exist in registers only; this says under which coordinates the operands are read.
    let shape = vec![rows.batch, rows.height, rows.width, keys.width];
    let layout = Layout::row_major(q.layout.element, 4);
    let scores = Slot::new("scores", Access::Write, Source::Activation(u32::MAX), shape, layout);
    let (mut slots, mut operands) = (Vec::new(), Vec::new());
    for (n, &value) in op.read_by_scores(&node.inputs[3..]).iter().enumerate() {
        let (slot, operand) = context.operand(&format!("score_{n}"), value, &scores)?;
        slots.push(slot);
        operands.push(operand);
    }
    Ok((ScalarProgram::new(Kind::Float, op.scores.clone(), operands), slots))
}

/// The place of the first query, where it is known when the model runs.
fn position(context: &mut Context<'_>, node: &Node, op: &Attention) -> Result<Option<Slot>, Declined> {
    let Some(&first) = node.inputs.last().filter(|_| op.has_first) else { return Ok(None) };
    context.slot("position", Access::Read, first, &axis_map(&HEADS_FIRST)).map(Some)
}

/// The exponent of a score's weight as a power of two: where the steps only scale, their factor takes the logarithm of e in,
/// and 1 is left. Scores with masks keep their size, since the ends of f32 have to stay finite.
fn exponent(steps: &mut [Step]) -> f32 {
    match steps {
        [Step { op: ScalarOp::Binary(BinaryOp::Mul), args }] => match args.as_mut_slice() {
            [StepArg::Result, StepArg::Const(factor)] => {
                *factor *= std::f64::consts::LOG2_E;
                1.0
            }
            _ => std::f32::consts::LOG2_E,
        },
        _ => std::f32::consts::LOG2_E,
    }
}

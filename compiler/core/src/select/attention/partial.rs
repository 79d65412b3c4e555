//! Attention with its scores in memory once: of the softmax only the largest score and the sum of each row are stored, and
//! the rest happens while the second product reads the scores. Source: "Speed Is All You Need" (arXiv 2304.11267), partially
//! fused softmax.

use super::{axis_map, band_constants, score_program};
use crate::kernel::scalar::{Kind, Operand, ScalarProgram};
use crate::kernel::{Access, Constant, KernelCall, Slot};
use crate::physical::Element;
use crate::select::context::operand_axes;
use crate::select::product::{self, Product};
use crate::select::rows::row_grid;
use crate::select::{Chosen, Context, Declined};
use drift_ir::op::attention::Band;
use drift_ir::op::{Attention, BinaryOp, Epilogue, ScalarOp, Step, StepArg, UnaryOp};

use super::cost::Work;
use drift_ir::{Node, Tensor};

type Make = fn(&mut Context<'_>, &Node, Product) -> Result<Vec<Chosen>, Declined>;

const PRODUCTS: [(&str, Make); 2] =
    [("matmul_cooperative", product::cooperative), ("matmul_tiled", product::tiled)];

/// Product, statistics, product.
pub(super) fn select(
    context: &mut Context<'_>,
    node: &Node,
    op: &Attention,
    work: &Work,
    why: &str,
) -> Result<Vec<Chosen>, Declined> {
    let dst = context.slot("dst", Access::Write, node.outputs[0], &axis_map(&op.y))?;
    let q = context.slot("a", Access::Read, node.inputs[0], &axis_map(&op.q))?;
    let k = context.slot("b", Access::Read, node.inputs[1], &axis_map(&op.k))?;
    let v = context.slot("b", Access::Read, node.inputs[2], &axis_map(&op.v))?;
    let (mut program, mut score_slots) = score_program(context, node, op, &q, &k)?;
    context.epilogue(node, &dst)?;

    let sizes = [work.batch, work.heads, work.queries, work.keys];
    let scores = context.scratch("dst", &format!("{} (scores)", node.name), q.layout.element, sizes);
    if !op.band.is_open() {
        hide_beyond(context, node, &op.band, &scores, (&mut program, &mut score_slots));
    }
    // The scores' own steps take the place of the node's epilogue.
    let bare = Node { epilogue: Epilogue::default(), ..node.clone() };
    let mut steps = product::first(PRODUCTS, |make| {
        let first = Product {
            batches: work.batch * work.heads,
            m: work.queries,
            n: work.keys,
            k: work.channels,
            a: q.clone(),
            b: k.clone(),
            dst: scores.clone(),
            b_transposed: true,
            window: None,
            bias: None,
            flops: 2 * work.scores() * work.channels,
        };
        make(context, &bare, first)
    })?;
    if let Some(last) = steps.last_mut().filter(|_| !program.steps.is_empty()) {
        before_result(&mut last.call, score_slots);
        last.call.epilogue = Some(program);
    }

    let statistic = |context: &mut Context<'_>, name: &str, what: &str| {
        let what = format!("{} ({what})", node.name);
        context.scratch(name, &what, Element::F32, [work.batch, work.heads, work.queries, 1])
    };
    let largest = statistic(context, "largest", "largest scores");
    let inverse = statistic(context, "inverse", "reciprocal sums");
    let read = |slot: &Slot, name: &str, splat: bool| Slot { splat, ..slot.as_argument(name, Access::Read) };
    let threads = work.keys.div_ceil(16).next_power_of_two().clamp(32, 256) as u32;
    let rows = work.batch * work.heads * work.queries;
    let call = KernelCall::plain(
        "attention_stats",
        [vec![("UNSEEN_IS_ZERO", Constant::Bool(op.unseen_is_zero))], band_constants(&op.band).to_vec()]
            .concat(),
        vec![read(&scores, "src", false), largest.clone(), inverse.clone()],
        [threads, 1, 1],
        row_grid(context, rows),
    );
    let flops = 4 * work.seen();
    steps.push(Chosen { call, why: why.to_owned(), declined: Vec::new(), flops });

    let mut second = product::first(PRODUCTS, |make| {
        let second = Product {
            batches: work.batch * work.heads,
            m: work.queries,
            n: work.value_channels,
            k: work.keys,
            a: read(&scores, "a", false),
            b: v.clone(),
            dst: dst.clone(),
            b_transposed: false,
            window: None,
            bias: None,
            flops: 2 * work.scores() * work.value_channels,
        };
        make(context, node, second)
    })?;
    if let Some(reader) = second.first_mut() {
        before_result(
            &mut reader.call,
            vec![read(&largest, "a_largest", true), read(&inverse, "a_inverse", true)],
        );
        reader.call.prologue = Some(weight_of_score());
    }
    steps.append(&mut second);
    Ok(steps)
}

/// Adds to the steps on the scores that those beyond a band become the lowest number of their type.
fn hide_beyond(
    context: &mut Context<'_>,
    node: &Node,
    band: &Band,
    scores: &Slot,
    (program, slots): (&mut ScalarProgram, &mut Vec<Slot>),
) {
    let e = scores.extents();
    let Ok([keys, queries]) = Band::operands(e.width, e.channels) else {
        unreachable!("a model's sizes are less than 2^31")
    };
    let mut slot = |what: &'static str, tensor: &Tensor| {
        let mut slot = context.derived_slot(what, node.outputs[0], what, tensor);
        if let Some(axes) = operand_axes(&slot.shape, scores) {
            slot.layout.axes = axes;
        }
        slot.splat = slot.extents().channels == 1 && e.channels > 1;
        slot
    };
    let (key, query) = (slot("place_of_key", &keys), slot("place_of_query", &queries));
    let first = program.operands.len() as u32;
    let operands = [&key, &query].map(|slot| Operand { slot: slot.name.clone(), kind: Kind::Int });
    let lowest = match scores.layout.element {
        Element::F16 => f64::from(half::f16::MIN),
        Element::F32 | Element::I32 | Element::U32 => f64::from(f32::MIN),
    };
    let given = Epilogue { steps: program.steps.clone(), operands: Vec::new() };
    let steps = band.steps(given, [first, first + 1], StepArg::Const(lowest));
    *program = ScalarProgram::new(Kind::Float, steps, [&program.operands[..], &operands[..]].concat());
    slots.extend([key, query]);
}

/// Puts slots before the last one, which is the result.
fn before_result(call: &mut KernelCall, slots: Vec<Slot>) {
    let at = call.slots.len().saturating_sub(1);
    call.slots.splice(at..at, slots);
}

/// `exp(score - largest) * inverse`.
fn weight_of_score() -> ScalarProgram {
    let operand = |slot: &str| Operand { slot: slot.to_owned(), kind: Kind::Float };
    let binary = |op, args: [StepArg; 2]| Step { op: ScalarOp::Binary(op), args: args.to_vec() };
    let steps = vec![
        binary(BinaryOp::Sub, [StepArg::Result, StepArg::Operand(0)]),
        Step { op: ScalarOp::Unary(UnaryOp::Exp), args: vec![StepArg::Step(0)] },
        binary(BinaryOp::Mul, [StepArg::Step(1), StepArg::Operand(1)]),
    ];
    ScalarProgram::new(Kind::Float, steps, vec![operand("a_largest"), operand("a_inverse")])
}

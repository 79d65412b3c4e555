//! Attention with its scores in memory once: of the softmax only the largest score and the sum of each row are stored, and
//! the rest happens while the second product reads the scores. Source: "Speed Is All You Need" (arXiv 2304.11267), partially
//! fused softmax. Where the scores are too many at once, they go through in blocks ([`split`]).

use super::{axis_map, band_constants, score_program};
use crate::estimate::attention::Work;
use crate::kernel::scalar::{Kind, Operand, ScalarProgram};
use crate::kernel::{Access, Constant, KernelCall, Slot};
use crate::physical::{AxisMap, Element, Order};
use crate::select::product::{self, Product};
use crate::select::rows::row_grid;
use crate::select::{Chosen, Context, Declined};
use drift_ir::op::attention::Band;
use drift_ir::op::{Attention, BinaryOp, Epilogue, ScalarOp, Step, StepArg, UnaryOp};

use super::split::{self, Blocks, Cut};
use crate::select::headroom;
use drift_ir::{Node, Tensor, ValueId};

type Make = fn(&mut Context<'_>, &Node, Product) -> Result<Vec<Chosen>, Declined>;

const PRODUCTS: [(&str, Make); 2] =
    [("matmul_cooperative", product::cooperative), ("matmul_tiled", product::tiled)];

/// Product, statistics, product, for each block of scores.
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
    let (epilogue, operands) = context.epilogue(node, &dst)?;
    if !op.band.is_open() {
        let sizes = [work.queries, work.keys];
        hide_beyond(context, node, &op.band, (sizes, q.layout.element), (&mut program, &mut score_slots))?;
    }
    let (split, cut) = split::choose(context.profile, work, headroom::of(context, node.outputs[0]))?;
    let mut blocks = Blocks::new(split, work);
    let dst = blocks.cut(context, dst, Cut::Queries)?;
    let mut part = |slot: Slot, value: Option<&ValueId>, cut: Cut| -> Result<Slot, Declined> {
        // Constants are packed in slices where they suit vectors so; blocks begin at elements.
        let constant = value.filter(|value| context.constant_tensor(**value).is_some());
        match (blocks.cut(context, slot.clone(), cut), constant) {
            (Err(_), Some(&value)) if slot.layout.order != Order::RowMajor => {
                let Slot { name, shape, layout, address, .. } = slot;
                let dense = context.dense(&name, Access::Read, value, shape, layout.axes)?;
                let address = dense.address.splat(address.is_splat());
                blocks.cut(context, Slot { address, ..dense }, cut)
            }
            (cut, _) => cut,
        }
    };
    let q = part(q, node.inputs.first(), Cut::Queries)?;
    let k = part(k, node.inputs.get(1), Cut::Keys)?;
    let v = part(v, node.inputs.get(2), Cut::Keys)?;
    let mut parts = |slots: Vec<Slot>, values: &[ValueId]| -> Result<Vec<Slot>, Declined> {
        let slots = slots.into_iter().enumerate();
        slots.map(|(n, slot)| part(slot, values.get(n), Cut::Queries)).collect()
    };
    let score_slots = parts(score_slots, &node.inputs[3..])?;
    let operands = parts(operands, &node.epilogue.operands)?;
    let starts = blocks.slots(context, node)?;
    let start: Vec<Slot> = starts.first().filter(|_| !blocks.is_one()).cloned().into_iter().collect();

    let [batch, heads, queries] = split.sizes;
    let scratch = [batch, heads, queries, work.keys];
    let scores = context.scratch("dst", &format!("{} (scores)", node.name), q.layout.element, scratch);
    // The node's epilogue and the steps on the scores are put in place when the products are made.
    let bare = Node { epilogue: Epilogue::default(), ..node.clone() };
    let mut steps = product::first(PRODUCTS, |make| {
        let first = Product {
            batches: (batch * heads).into(),
            m: queries.into(),
            n: work.keys.into(),
            k: work.channels.into(),
            a: q.clone(),
            b: k.clone(),
            dst: scores.clone(),
            b_transposed: true,
            window: None,
            bias: None,
            flops: 2 * split.scores(work) * work.channels,
        };
        make(context, &bare, first)
    })?;
    if let Some(last) = steps.last_mut().filter(|_| !program.steps.is_empty()) {
        before_result(&mut last.call, score_slots);
        last.call.epilogue = Some(program);
    }

    let statistic = |context: &mut Context<'_>, name: &str, what: &str| {
        let what = format!("{} ({what})", node.name);
        context.scratch(name, &what, Element::F32, [batch, heads, queries, 1])
    };
    let largest = statistic(context, "largest", "largest scores");
    let inverse = statistic(context, "inverse", "reciprocal sums");
    let read = |slot: &Slot, name: &str, splat: bool| {
        let address = slot.address.clone().splat(splat);
        Slot { address, ..slot.as_argument(name, Access::Read) }
    };
    let threads = work.keys.div_ceil(16).next_power_of_two().clamp(32, 256) as u32;
    // Places of queries matter to a band only.
    let of_rows = if op.band.is_open() { Vec::new() } else { start.clone() };
    let constants =
        [vec![("UNSEEN_IS_ZERO", Constant::Bool(op.unseen_is_zero))], band_constants(&op.band).to_vec()]
            .concat();
    let call = KernelCall::plain(
        "attention_stats",
        constants,
        [vec![read(&scores, "src", false)], of_rows, vec![largest.clone(), inverse.clone()]].concat(),
        [threads, 1, 1],
        row_grid(context, &(batch * heads * queries).into()),
    );
    let flops = 4 * work.seen() / blocks.count();
    steps.push(Chosen { call, why: format!("{why}{cut}"), declined: Vec::new(), flops });

    let mut second = product::first(PRODUCTS, |make| {
        let second = Product {
            batches: (batch * heads).into(),
            m: queries.into(),
            n: work.value_channels.into(),
            k: work.keys.into(),
            a: read(&scores, "a", false),
            b: v.clone(),
            dst: dst.clone(),
            b_transposed: false,
            window: None,
            bias: None,
            flops: 2 * split.scores(work) * work.value_channels,
        };
        make(context, &bare, second)
    })?;
    if let Some(writer) = second.last_mut() {
        before_result(&mut writer.call, operands);
        writer.call.epilogue = epilogue;
    }
    if let Some(reader) = second.first_mut() {
        before_result(
            &mut reader.call,
            vec![read(&largest, "a_largest", true), read(&inverse, "a_inverse", true)],
        );
        reader.call.prologue = Some(weight_of_score());
    }
    steps.append(&mut second);
    for step in
        steps.iter_mut().filter(|step| step.call.slots.iter().any(|slot| slot.address.shift().is_some()))
    {
        before_result(&mut step.call, start.clone());
    }
    Ok(starts.iter().flat_map(|start| steps.iter().map(move |step| at_block(step, start))).collect())
}

/// The step for the block that begins where `start` says.
fn at_block(step: &Chosen, start: &Slot) -> Chosen {
    Chosen { call: step.call.at_block(start), ..step.clone() }
}

/// Adds to the steps on the scores that those beyond a band become the lowest number of their type, and that those within
/// stay so far above it that masked keys weigh nothing even where all that a query sees is as low. Infinities stay, since by
/// them a query that sees nothing is told.
fn hide_beyond(
    context: &mut Context<'_>,
    node: &Node,
    band: &Band,
    ([queries, keys], element): ([u64; 2], Element),
    (program, slots): (&mut ScalarProgram, &mut Vec<Slot>),
) -> Result<(), Declined> {
    let Ok([key_places, query_places]) = Band::operands(queries, keys) else {
        unreachable!("a model's sizes are less than 2^31")
    };
    let mut slot = |what: &'static str, tensor: &Tensor| -> Result<Slot, Declined> {
        let mut slot = context.derived_slot(what, node.outputs[0], what, tensor)?;
        slot.layout.axes = AxisMap::channels_last(2);
        let splat = slot.extents().channels.is_always(1) && keys > 1;
        slot.address = slot.address.splat(splat);
        Ok(slot)
    };
    let (key, query) = (slot("place_of_key", &key_places)?, slot("place_of_query", &query_places)?);
    let first = program.operands.len() as u32;
    let operands = [&key, &query].map(|slot| Operand { slot: slot.name.clone(), kind: Kind::Int });
    let (lowest, least_seen) = match element {
        // exp(-128) is 0 in f32, and both are f16.
        Element::F16 => (f64::from(half::f16::MIN), f64::from(half::f16::MIN) + 128.0),
        Element::F32 | Element::I32 | Element::U32 => (f64::from(f32::MIN), f64::from(f32::MIN) / 2.0),
    };
    let mut given = Epilogue { steps: program.steps.clone(), operands: Vec::new() };
    let (score, least) = (given.current(), StepArg::Const(least_seen));
    let mut push = |op, args: &[StepArg]| {
        given.steps.push(Step { op, args: args.to_vec() });
        given.current()
    };
    let infinite = push(ScalarOp::Unary(UnaryOp::IsInf), &[score]);
    let raised = push(ScalarOp::Select, &[infinite, score, least]);
    let low = push(ScalarOp::Binary(BinaryOp::Less), &[score, least]);
    push(ScalarOp::Select, &[low, raised, score]);
    let steps = band.steps(given, [first, first + 1], StepArg::Const(lowest));
    *program = ScalarProgram::new(Kind::Float, steps, [&program.operands[..], &operands[..]].concat());
    slots.extend([key, query]);
    Ok(())
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

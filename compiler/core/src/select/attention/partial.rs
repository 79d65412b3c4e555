//! Attention with its scores in memory once: of the softmax only the largest score and the sum of each row are stored, and
//! the rest happens while the second product reads the scores. Source: "Speed Is All You Need" (arXiv 2304.11267), partially
//! fused softmax. Where the scores are too many at once, they go through in blocks ([`split`]).

use super::split::{self, Blocks, Cut, Split};
use super::{axis_map, band_constants, score_program};
use crate::estimate::attention::Work;
use crate::kernel::scalar::{Kind, Operand, ScalarProgram};
use crate::kernel::{Access, Constant, KernelCall, Slot};
use crate::physical::{AxisMap, Element, Order};
use crate::select::headroom;
use crate::select::product::{self, Product};
use crate::select::rows::row_grid;
use crate::select::{Chosen, Context, Declined};
use drift_ir::op::attention::Band;
use drift_ir::op::{Attention, BinaryOp, Epilogue, ScalarOp, Step, StepArg, UnaryOp};
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
    let whole = Slots::of(context, node, op, work)?;
    let (split, cut) = split::choose(context.profile, work, headroom::of(context, node.outputs[0]))?;
    let mut blocks = Blocks::new(split, work);
    let slots = whole.cut(context, node, &mut blocks)?;
    let starts = blocks.slots(context, node)?;
    let start: Vec<Slot> = starts.first().filter(|_| !blocks.is_one()).cloned().into_iter().collect();

    // The node's epilogue and the steps on the scores are put in place when the products are made.
    let bare = Node { epilogue: Epilogue::default(), ..node.clone() };
    let partial = Partial { node: bare, op, work, split, slots };
    let scores = partial.scratch(context, "dst", "scores", partial.slots.q.layout.element, work.keys);
    let mut steps = partial.scores(context, &scores)?;
    let rows = partial.row_statistics(context);
    let call = partial.statistics(context, &scores, &rows, &start);
    let flops = 4 * work.unmasked() / blocks.count();
    steps.push(Chosen { call, why: format!("{why}{cut}"), declined: Vec::new(), flops });
    steps.extend(partial.weighted_sum(context, &scores, &rows)?);
    let is_shifted = |step: &&mut Chosen| step.call.slots.iter().any(|slot| slot.address.shift().is_some());
    for step in steps.iter_mut().filter(is_shifted) {
        before_result(&mut step.call, start.clone());
    }
    Ok(starts.iter().flat_map(|start| steps.iter().map(move |step| at_block(step, start))).collect())
}

/// What a node reads and writes: whole, or the part of a block.
struct Slots {
    q: Slot,
    k: Slot,
    v: Slot,
    dst: Slot,
    /// The steps on the scores, and what they read.
    score_program: ScalarProgram,
    score_slots: Vec<Slot>,
    /// The node's epilogue, and what it reads.
    epilogue: Option<ScalarProgram>,
    operands: Vec<Slot>,
}

impl Slots {
    fn of(context: &mut Context<'_>, node: &Node, op: &Attention, work: &Work) -> Result<Self, Declined> {
        let dst = context.slot("dst", Access::Write, node.outputs[0], &axis_map(&op.y))?;
        let q = context.slot("a", Access::Read, node.inputs[0], &axis_map(&op.q))?;
        let k = context.slot("b", Access::Read, node.inputs[1], &axis_map(&op.k))?;
        let v = context.slot("b", Access::Read, node.inputs[2], &axis_map(&op.v))?;
        let (mut score_program, mut score_slots) = score_program(context, node, op, &q, &k)?;
        let (epilogue, operands) = context.epilogue(node, &dst)?;
        if !op.band.is_open() {
            let sizes = ([work.queries, work.keys], q.layout.element);
            mask_beyond(context, node, &op.band, sizes, (&mut score_program, &mut score_slots))?;
        }
        Ok(Self { q, k, v, dst, score_program, score_slots, epilogue, operands })
    }

    /// Their parts of a block.
    fn cut(self, context: &mut Context<'_>, node: &Node, blocks: &mut Blocks) -> Result<Self, Declined> {
        let dst = blocks.cut(context, self.dst, Cut::Queries)?;
        let mut part = |slot, value: Option<&ValueId>, cut| cut_operand(context, blocks, slot, value, cut);
        let q = part(self.q, node.inputs.first(), Cut::Queries)?;
        let k = part(self.k, node.inputs.get(1), Cut::Keys)?;
        let v = part(self.v, node.inputs.get(2), Cut::Keys)?;
        let mut parts = |slots: Vec<Slot>, values: &[ValueId]| -> Result<Vec<Slot>, Declined> {
            let slots = slots.into_iter().enumerate();
            slots.map(|(n, slot)| part(slot, values.get(n), Cut::Queries)).collect()
        };
        let score_slots = parts(self.score_slots, &node.inputs[3..])?;
        let operands = parts(self.operands, &node.epilogue.operands)?;
        Ok(Self { q, k, v, dst, score_slots, operands, ..self })
    }
}

/// A block's part of an operand. Constants are packed in slices where they suit vectors so; blocks begin at elements.
fn cut_operand(
    context: &mut Context<'_>,
    blocks: &mut Blocks,
    slot: Slot,
    value: Option<&ValueId>,
    cut: Cut,
) -> Result<Slot, Declined> {
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
}

/// What the softmax of a row of scores needs.
struct RowStatistics {
    /// The largest scores.
    largest: Slot,
    /// Reciprocals of sums.
    inverse: Slot,
}

/// The dispatches of one block.
struct Partial<'n> {
    /// The node without its epilogue.
    node: Node,
    op: &'n Attention,
    work: &'n Work,
    split: Split,
    slots: Slots,
}

impl Partial<'_> {
    /// A buffer between two dispatches with so many `columns` for each query.
    fn scratch(
        &self,
        context: &mut Context<'_>,
        slot: &str,
        what: &str,
        element: Element,
        columns: u64,
    ) -> Slot {
        let [batch, heads, queries] = self.split.sizes;
        let name = format!("{} ({what})", self.node.name);
        context.scratch(slot, &name, element, [batch, heads, queries, columns])
    }

    fn row_statistics(&self, context: &mut Context<'_>) -> RowStatistics {
        let largest = self.scratch(context, "largest", "largest scores", Element::F32, 1);
        let inverse = self.scratch(context, "inverse", "reciprocal sums", Element::F32, 1);
        RowStatistics { largest, inverse }
    }

    /// The first product, with the steps on its results.
    fn scores(&self, context: &mut Context<'_>, scores: &Slot) -> Result<Vec<Chosen>, Declined> {
        let Slots { q, k, score_program, score_slots, .. } = &self.slots;
        let [batch, heads, queries] = self.split.sizes;
        let mut steps = product::first(PRODUCTS, |make| {
            let first = Product {
                batches: (batch * heads).into(),
                m: queries.into(),
                n: self.work.keys.into(),
                k: self.work.channels.into(),
                a: q.clone(),
                b: k.clone(),
                dst: scores.clone(),
                b_transposed: true,
                window: None,
                bias: None,
                flops: 2 * self.split.scores(self.work) * self.work.channels,
            };
            make(context, &self.node, first)
        })?;
        if let Some(last) = steps.last_mut().filter(|_| !score_program.steps.is_empty()) {
            before_result(&mut last.call, score_slots.clone());
            last.call.epilogue = Some(score_program.clone());
        }
        Ok(steps)
    }

    /// The largest score and the reciprocal sum of each row; a band asks where queries `start`.
    fn statistics(
        &self,
        context: &Context<'_>,
        scores: &Slot,
        rows: &RowStatistics,
        start: &[Slot],
    ) -> KernelCall {
        let Self { op, work, .. } = self;
        let [batch, heads, queries] = self.split.sizes;
        let threads = work.keys.div_ceil(16).next_power_of_two().clamp(32, 256) as u32;
        let of_rows = if op.band.is_open() { &[] } else { start };
        let mut constants = vec![("UNSEEN_IS_ZERO", Constant::Bool(op.unseen_is_zero))];
        constants.extend(band_constants(&op.band));
        let results = [rows.largest.clone(), rows.inverse.clone()];
        KernelCall::plain(
            "attention_stats",
            constants,
            [&[read(scores, "src", false)][..], of_rows, &results[..]].concat(),
            [threads, 1, 1],
            row_grid(context, &(batch * heads * queries).into()),
        )
    }

    /// The second product, which finishes the scores as it reads them.
    fn weighted_sum(
        &self,
        context: &mut Context<'_>,
        scores: &Slot,
        rows: &RowStatistics,
    ) -> Result<Vec<Chosen>, Declined> {
        let Slots { v, dst, epilogue, operands, .. } = &self.slots;
        let [batch, heads, queries] = self.split.sizes;
        let mut steps = product::first(PRODUCTS, |make| {
            let second = Product {
                batches: (batch * heads).into(),
                m: queries.into(),
                n: self.work.value_channels.into(),
                k: self.work.keys.into(),
                a: read(scores, "a", false),
                b: v.clone(),
                dst: dst.clone(),
                b_transposed: false,
                window: None,
                bias: None,
                flops: 2 * self.split.scores(self.work) * self.work.value_channels,
            };
            make(context, &self.node, second)
        })?;
        if let Some(writer) = steps.last_mut() {
            before_result(&mut writer.call, operands.clone());
            writer.call.epilogue.clone_from(epilogue);
        }
        if let Some(reader) = steps.first_mut() {
            let statistics =
                vec![read(&rows.largest, "a_largest", true), read(&rows.inverse, "a_inverse", true)];
            before_result(&mut reader.call, statistics);
            reader.call.prologue = Some(weight_of_score());
        }
        Ok(steps)
    }
}

/// A slot as an argument of another call.
fn read(slot: &Slot, name: &str, splat: bool) -> Slot {
    let address = slot.address.clone().splat(splat);
    Slot { address, ..slot.as_argument(name, Access::Read) }
}

/// The step for the block that begins where `start` says.
fn at_block(step: &Chosen, start: &Slot) -> Chosen {
    Chosen { call: step.call.at_block(start), ..step.clone() }
}

/// Adds to the steps on the scores that those beyond a band become the lowest number of their type, and that those within
/// stay so far above it that masked keys weigh nothing even where all that a query sees is as low. Infinities stay, since by
/// them a query that sees nothing is told.
fn mask_beyond(
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

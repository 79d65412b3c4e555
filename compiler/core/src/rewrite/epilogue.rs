//! Fuses element-wise nodes into the epilogue of the node that makes their operand, so that a chain of scalar functions
//! costs no dispatch, no write and no read of its own.
//!
//! There is one mechanism: a producer whose result has one user, an element-wise node of the same shape,
//! takes that node over. Longer chains, and diamonds whose branches meet again, come from repeating it. The rules only
//! name which producers take part, so that each can be disabled and is reported by itself.
//!
//! The fused node stands where the consumer stood: all its operands are ready there, and since the producer has no
//! other user, computing it later harms nobody.
//!
//! Types. Epilogue values are f32 for float types, whatever the storage; so a cast between floats inside an epilogue
//! does not round. i32, i64 and bool values keep their device form. An element-wise producer may carry any of these; any
//! other producer computes floats and has to write floats, though a step between may give a bool. f64 exists only in
//! constants, and i8 and u8 wrap around, which i32 arithmetic on a device would not: they are never fused.

use crate::kernel::scalar::is_safe_literal;
use crate::rewrite::declined::Declined;
use crate::rewrite::pattern::{only_user, producer_id, uniform};
use crate::rewrite::rule::{Apply, Outcome, Rule, at};
use drift_ir::op::infer::infer_node;
use drift_ir::op::{Epilogue, Gather, LayerNorm, Operand, RmsNorm, ScalarOp, Softmax, Step, StepArg};
use drift_ir::{Dim, ElementType, Graph, Node, NodeId, Op, ValueId};
use std::collections::BTreeMap;
use std::ops::Range;

/// `g(f(x, y), z)   =>   f(x, y) then g(_, z)`
pub(super) const ELEMENTWISE_CHAIN: Rule = Rule {
    name: "elementwise-chain",
    picture: "g(f(x, y), z) => f(x, y) with epilogue g(_, z)",
    apply: Apply::Node(at::ELEMENTWISE, |graph, node| {
        into_producer(graph, node, |op| matches!(op, Op::Elementwise(_)), false)
    }),
};

/// `g(p, f(p)), p = conv ..   =>   p = conv .. then f(_) then g(p, _)`
pub(super) const DIAMOND: Rule = Rule {
    name: "diamond",
    picture: "g(p, f(p)) => p with epilogue g(_, f(_)), when nobody else reads p",
    apply: Apply::Node(at::ELEMENTWISE, |graph, node| into_producer(graph, node, |_| true, true)),
};

/// `f(p, y), p = conv ..   =>   p = conv .. then f(_, y)`
pub(super) const EPILOGUE: Rule = Rule {
    name: "epilogue",
    picture: "f(p, y) => p with epilogue f(_, y), when nobody else reads p and its kernels run epilogues",
    apply: Apply::Node(at::ELEMENTWISE, |graph, node| {
        into_producer(graph, node, |op| !matches!(op, Op::Elementwise(_)), false)
    }),
};

/// Most values that an epilogue reads beside the result. With three operands and a result of its own, a dispatch then
/// binds the eight storage buffers that every device has.
pub const MAX_EXTRA_OPERANDS: usize = 4;

/// Most steps of an epilogue. Each one that is added copies those before it, so that a chain of any length costs time in
/// proportion.
const MAX_STEPS: usize = 256;

/// Whether kernels of this op run an epilogue.
pub fn takes_epilogue(op: &Op) -> Result<(), Declined> {
    match op {
        Op::Elementwise(_)
        | Op::MatMul(_)
        | Op::Attention(_)
        | Op::Conv(_)
        | Op::ConvTranspose(_)
        | Op::Pool(_)
        | Op::Resize(_)
        | Op::GroupNorm(_)
        | Op::Reduce(_)
        | Op::Softmax(_)
        | Op::LayerNorm(_)
        | Op::RmsNorm(_)
        | Op::Expand(_)
        | Op::Gather(_) => Ok(()),
        // These become views that need no dispatch at all, or kernels that walk strides and know no coordinates.
        Op::Reshape(_) | Op::Transpose(_) | Op::Concat(_) | Op::Slice(_) | Op::Pad(_) => {
            Err(Declined::NoEpilogue { op: op.name() })
        }
        // Rows of any shape, over whose axes operands cannot broadcast, or that go on into a state.
        Op::GatherNd(_)
        | Op::GatherElements(_)
        | Op::ScatterElements(_)
        | Op::ScatterNd(_)
        | Op::WriteRows(_)
        | Op::Rotary(_) => Err(Declined::NoEpilogue { op: op.name() }),
        // These make indices, or running sums that are rarely worth it.
        Op::ArgReduce(_) | Op::TopK(_) | Op::Suppress(_) | Op::CumSum(_) => {
            Err(Declined::NoEpilogue { op: op.name() })
        }
        // These make shapes, a few integers each.
        Op::ShapeOf(_) | Op::Range(_) => Err(Declined::NoEpilogue { op: op.name() }),
    }
}

/// Absorbs `consumer` into the deepest of its operands' producers that `is_producer` selects and that can take it. With
/// `diamond`, only into one whose result it reads in several places, without, only into one that it reads once.
fn into_producer(
    graph: &mut Graph,
    consumer: NodeId,
    is_producer: fn(&Op) -> bool,
    diamond: bool,
) -> Outcome {
    if !matches!(graph.node(consumer).op, Op::Elementwise(_)) {
        return Ok(false);
    }
    let mut first_refusal = None;
    for producer in candidates(graph, consumer, is_producer, diamond) {
        match fused(graph, producer, consumer) {
            Ok(epilogue) => {
                graph.absorb(producer, consumer, epilogue)?;
                return Ok(true);
            }
            Err(reason) => first_refusal = first_refusal.or(Some(reason)),
        }
    }
    first_refusal.map_or(Ok(false), Err)
}

/// Everything that a node reads, each value once.
fn reads(node: &Node) -> Vec<ValueId> {
    let mut reads = node.inputs.clone();
    reads.extend(&node.epilogue.operands);
    reads
}

/// Producers of the values that a node reads, deepest first, of equally deep ones the latest; those that only move data come
/// last.
///
/// Of two branches that meet, the short one can then be computed whenever memory allows: a projected shortcut before the
/// branch that it goes around, so that what both read need not live through it.
fn candidates(
    graph: &mut Graph,
    consumer: NodeId,
    is_producer: fn(&Op) -> bool,
    diamond: bool,
) -> Vec<NodeId> {
    let reads = reads(graph.node(consumer));
    let mut producers: Vec<NodeId> = reads
        .iter()
        .filter(|&&value| (reads.iter().filter(|&&other| other == value).count() > 1) == diamond)
        .filter_map(|&value| producer_id(graph, value))
        .filter(|&producer| is_producer(&graph.node(producer).op))
        .collect();
    let owned = |producer: &&NodeId| {
        let result = graph.node(**producer).outputs[0];
        graph.readers(result).len() == 1 && graph.users(result).len() == 1
    };
    // One alone is no choice.
    let several = producers.iter().filter(owned).count() > 1;
    let depths: BTreeMap<NodeId, u32> = match several {
        true => producers.iter().map(|&producer| (producer, graph.depth(producer))).collect(),
        false => BTreeMap::new(),
    };
    let moves = |producer: NodeId| matches!(graph.node(producer).op, Op::Expand(_));
    let depth = |producer: NodeId| depths.get(&producer).copied().unwrap_or(0);
    producers
        .sort_by(|&a, &b| moves(a).cmp(&moves(b)).then(depth(b).cmp(&depth(a))).then(graph.compare(b, a)));
    producers.dedup();
    producers
}

/// The producer's epilogue with the consumer's steps behind its own.
fn fused(graph: &Graph, producer: NodeId, consumer: NodeId) -> Result<Epilogue, Declined> {
    let (first, second) = (graph.node(producer), graph.node(consumer));
    takes_epilogue(&first.op)?;
    let (made, result) = (first.outputs[0], second.outputs[0]);
    only_user(graph, made, consumer)?;
    let steps = first.epilogue.steps.len() + 1 + second.epilogue.steps.len();
    if steps > MAX_STEPS {
        return Err(Declined::TooManySteps { steps, limit: MAX_STEPS });
    }
    let (made_ty, result_ty) = (&graph.value(made).ty, &graph.value(result).ty);
    if made_ty.shape != result_ty.shape {
        return Err(Declined::shape(graph, result, made));
    }
    check_types(graph, first, second)?;
    let epilogue = joined_epilogue(graph, first, second);
    if epilogue.operands.len() > MAX_EXTRA_OPERANDS {
        return Err(Declined::TooManyOperands {
            operands: epilogue.operands.len(),
            limit: MAX_EXTRA_OPERANDS,
        });
    }
    check_broadcasts(graph, first, &epilogue.operands)?;
    let operands: Vec<Operand<'_>> =
        first.inputs.iter().chain(&epilogue.operands).map(|&value| graph.operand(value)).collect();
    let inferred = infer_node(&first.op, &epilogue, &operands, &graph.symbols);
    if inferred.is_ok_and(|types| &types[0] == result_ty) {
        Ok(epilogue)
    } else {
        Err(Declined::element(result_ty.element))
    }
}

/// Proves the type rules at the head of this file.
fn check_types(graph: &Graph, producer: &Node, consumer: &Node) -> Result<(), Declined> {
    let element = |value: ValueId| graph.value(value).ty.element;
    let ends = [element(producer.outputs[0]), element(consumer.outputs[0])];
    for element in reads(consumer).into_iter().map(element).chain(ends) {
        match element {
            ElementType::F32 | ElementType::F16 | ElementType::I64 | ElementType::I32 | ElementType::Bool => {
            }
            ElementType::F64
            | ElementType::I8
            | ElementType::U8
            | ElementType::I16
            | ElementType::U16
            | ElementType::U32
            | ElementType::U64 => return Err(Declined::element(element)),
        }
    }
    if !matches!(producer.op, Op::Elementwise(_))
        && let Some(&other) = ends.iter().find(|element| !element.is_float())
    {
        return Err(Declined::element(other));
    }
    Ok(())
}

/// Runs of the result's axes that kernels of an op write as one coordinate.
fn kept_together(op: &Op, rank: usize) -> Vec<Range<usize>> {
    match op {
        Op::Softmax(Softmax { axis }) => vec![0..*axis, axis + 1..rank],
        Op::LayerNorm(LayerNorm { axis, .. }) | Op::RmsNorm(RmsNorm { axis, .. }) => {
            vec![0..*axis, *axis..rank]
        }
        Op::Gather(Gather { axis }) => vec![0..*axis, *axis..rank],
        Op::Elementwise(_)
        | Op::MatMul(_)
        | Op::Attention(_)
        | Op::Conv(_)
        | Op::ConvTranspose(_)
        | Op::Pool(_)
        | Op::Resize(_)
        | Op::Pad(_)
        | Op::GroupNorm(_)
        | Op::Reduce(_)
        | Op::Reshape(_)
        | Op::Transpose(_)
        | Op::Expand(_)
        | Op::Concat(_)
        | Op::Slice(_)
        | Op::GatherNd(_)
        | Op::GatherElements(_)
        | Op::ScatterElements(_)
        | Op::ScatterNd(_)
        | Op::WriteRows(_)
        | Op::Rotary(_)
        | Op::ArgReduce(_)
        | Op::TopK(_)
        | Op::Suppress(_)
        | Op::CumSum(_)
        | Op::ShapeOf(_)
        | Op::Range(_) => Vec::new(),
    }
}

/// An operand may broadcast along all of the axes that a kernel keeps together, or along none of them.
fn check_broadcasts(graph: &Graph, producer: &Node, operands: &[ValueId]) -> Result<(), Declined> {
    let result = &graph.value(producer.outputs[0]).ty.shape;
    let one = Dim::Const(1);
    for &operand in operands {
        let shape = &graph.value(operand).ty.shape;
        let missing = result.len() - shape.len();
        let size = |axis: usize| if axis < missing { &one } else { &shape[axis - missing] };
        for run in kept_together(&producer.op, result.len()) {
            let whole = run.clone().all(|axis| *size(axis) == result[axis]);
            let repeated = run.clone().all(|axis| *size(axis) == one);
            if !whole && !repeated {
                let value = graph.value(operand).name.clone();
                return Err(Declined::PartialBroadcast { value, op: producer.op.name() });
            }
        }
    }
    Ok(())
}

/// The producer's steps, the consumer's op as a step, and the consumer's steps.
fn joined_epilogue(graph: &Graph, producer: &Node, consumer: &Node) -> Epilogue {
    let made = producer.outputs[0];
    let mut fused = producer.epilogue.clone();
    let made_arg = fused.current();
    let arg = |value: ValueId, of: ScalarOp, epilogue: &mut Epilogue| {
        if value == made {
            return made_arg;
        }
        match step_constant(graph, value).filter(|&constant| is_safe_literal(of, constant)) {
            Some(constant) => StepArg::Const(constant),
            None => StepArg::Operand(epilogue.operand_index(value)),
        }
    };
    let Op::Elementwise(op) = consumer.op else { unreachable!("only element-wise nodes are absorbed") };
    let args = consumer.inputs.iter().map(|&input| arg(input, op, &mut fused)).collect();
    fused.steps.push(Step { op, args });
    let base = fused.current();
    let shift = fused.steps.len() as u32;
    for step in &consumer.epilogue.steps {
        let args = step.args.iter().map(|&old| match old {
            StepArg::Result => base,
            StepArg::Step(at) => StepArg::Step(shift + at),
            StepArg::Operand(at) => arg(consumer.epilogue.operands[at as usize], step.op, &mut fused),
            StepArg::Const(value) => StepArg::Const(value),
        });
        let args = args.collect();
        fused.steps.push(Step { op: step.op, args });
    }
    fused
}

/// A constant that a step can hold itself. Bools stay operands, because a step's constant takes its type from its
/// neighbours, and so do infinities and NaNs, which no text can name, and integers that a device's i32 cannot hold, which
/// packing refuses by name.
fn step_constant(graph: &Graph, value: ValueId) -> Option<f64> {
    let constant = uniform(graph, value).filter(|constant| constant.is_finite())?;
    let fits = match graph.value(value).ty.element {
        ElementType::Bool => false,
        element => element.is_float() || constant.abs() <= f64::from(i32::MAX),
    };
    fits.then_some(constant)
}

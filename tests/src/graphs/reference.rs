//! What a graph computes in f64, and how much of that rounding could change: every float is f64, and noise of the size of
//! each type's rounding errors shows where small errors grow large, or decide a comparison.

use super::choices::Random;
use super::generate::Case;
use drift_ir::eval::{EvalError, Limits, eval_node};
use drift_ir::op::{BinaryOp, PoolKind, ReduceKind, ScalarOp, Step, UnaryOp};
use drift_ir::{ElementType, Graph, Node, NodeId, Op, Tensor, ValueId};
use std::collections::BTreeMap;

/// Results of the runs: the first without noise. Each holds the elements of each output.
pub type Runs = Vec<Vec<Vec<f64>>>;

/// The graph with its free dims bound to the sizes of the inputs.
pub fn bound(case: &Case) -> Option<Graph> {
    let mut graph = case.graph.clone();
    for (&input, tensor) in case.graph.inputs().iter().zip(&case.inputs) {
        for (dim, &size) in case.graph.value(input).ty.shape.iter().zip(tensor.shape()) {
            if let Some(symbol) = dim.as_symbol() {
                graph.bind_symbol(symbol, size).ok()?;
            }
        }
    }
    Some(graph)
}

/// How large noise is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise {
    /// Roundings that it stands for.
    pub scale: f64,
    /// Whether f32 is stored as f16, inputs and constants included.
    pub f16: bool,
}

impl Noise {
    /// The largest relative error in a value of a type.
    const fn level(self, element: ElementType) -> f64 {
        match element {
            ElementType::F32 if self.f16 => self.scale * unit(ElementType::F16),
            _ => self.scale * unit(element),
        }
    }

    /// The largest absolute error: half the least half.
    fn least(self) -> f64 {
        if self.f16 && self.scale > 0.0 { 3e-8 } else { 0.0 }
    }
}

/// The outputs in f64, without noise and, `count` times, with it.
pub fn runs(case: &Case, noise: Noise, count: u64) -> Option<Runs> {
    let graph = bound(case)?;
    let run = |seed: u64| {
        let noise = Noise { scale: if seed == 0 { 0.0 } else { noise.scale }, ..noise };
        run(&graph, &case.inputs, noise, seed).ok()
    };
    (0..=count).map(run).collect()
}

fn run(graph: &Graph, inputs: &[Tensor], noise: Noise, seed: u64) -> Result<Vec<Vec<f64>>, EvalError> {
    let random = &mut Random::new(seed);
    let mut values: BTreeMap<ValueId, Tensor> = BTreeMap::new();
    // The length of a range is a matter of its bounds to the last bit.
    let is_range = |id: &NodeId| matches!(graph.node(*id).op, Op::Range(_));
    let bounds: Vec<ValueId> =
        graph.nodes().filter(is_range).flat_map(|id| graph.node(id).operands()).collect();
    let given = graph.inputs().iter().copied().zip(inputs);
    let constants = graph.values().filter_map(|(id, _)| Some((id, graph.constant(id)?)));
    for (id, tensor) in given.chain(constants) {
        // Inputs that are stored as f32 are what they are; constants may be combined with others, and rounded again.
        let exact = bounds.contains(&id) || (!noise.f16 && graph.constant(id).is_none());
        let stored = if exact { 0.0 } else { noise.level(tensor.element()) / noise.scale.max(1.0) };
        values.insert(id, noisy(promoted(tensor), stored, noise.least(), random));
    }
    let value = |values: &BTreeMap<ValueId, Tensor>, id: ValueId| values.get(&id).cloned();
    for id in graph.nodes() {
        let node = graph.node(id);
        let own = graph.value(node.outputs[0]).ty.element;
        // A sum of many terms is as good as one of terms that are off by a few roundings each.
        let terms = if sums(node) { noise.level(own) / 16.0 } else { 0.0 };
        let operands = node.operands().filter_map(|operand| value(&values, operand));
        let operands: Vec<Tensor> =
            operands.map(|operand| far(node, noisy(operand, terms, 0.0, random), noise, random)).collect();
        let results = eval_node(&in_f64(node), &operands.iter().collect::<Vec<_>>(), Limits::STANDARD)?;
        let level = if rounds(node) { noise.level(own) } else { 0.0 };
        for (&output, tensor) in node.outputs.iter().zip(results) {
            values.insert(
                output,
                either_zero(noisy(tensor, level, noise.least(), random), level, (seed, random)),
            );
        }
    }
    let results = graph.outputs().iter().filter_map(|&output| value(&values, output));
    Ok(results.map(|tensor| tensor.to_f64_vec()).collect())
}

/// The largest relative error of rounding to a type.
pub const fn unit(element: ElementType) -> f64 {
    match element {
        ElementType::F16 => 1.0 / 2048.0,
        ElementType::F32 => 1.0 / 16_777_216.0,
        ElementType::F64 => 1.2e-16,
        _ => 0.0,
    }
}

fn promoted(tensor: &Tensor) -> Tensor {
    match tensor.element() {
        ElementType::F32 | ElementType::F16 => {
            Tensor::from_f64(tensor.shape().to_vec(), &tensor.to_f64_vec()).unwrap_or_else(|_| tensor.clone())
        }
        _ => tensor.clone(),
    }
}

fn in_f64(node: &Node) -> Node {
    let mut node = node.clone();
    let promote = |op: &mut ScalarOp| {
        if matches!(op, ScalarOp::Cast(ElementType::F32 | ElementType::F16)) {
            *op = ScalarOp::Cast(ElementType::F64);
        }
    };
    let promote_steps = |steps: &mut Vec<Step>| steps.iter_mut().for_each(|step| promote(&mut step.op));
    promote_steps(&mut node.epilogue.steps);
    match &mut node.op {
        Op::Elementwise(op) => promote(op),
        Op::Attention(attention) => promote_steps(&mut attention.scores),
        _ => {}
    }
    node
}

/// Moves numbers that are not zero by a relative and by an absolute error.
fn noisy(tensor: Tensor, level: f64, least: f64, noise: &mut Random) -> Tensor {
    if level == 0.0 || tensor.element() != ElementType::F64 {
        return tensor;
    }
    let moved: Vec<f64> = tensor
        .to_f64_vec()
        .into_iter()
        .map(|value| match value {
            0.0 => value,
            value => value * (1.0 + level * (noise.unit() * 2.0 - 1.0)) + least * (noise.unit() * 2.0 - 1.0),
        })
        .collect();
    Tensor::from_f64(tensor.shape().to_vec(), &moved).unwrap_or(tensor)
}

/// Angles that kernels do not reduce: beyond ten thousand anything may come out.
fn far(node: &Node, tensor: Tensor, noise: Noise, random: &mut Random) -> Tensor {
    use UnaryOp::{Cos, Sin, Tan};
    let is_circular = matches!(node.op, Op::Elementwise(ScalarOp::Unary(Cos | Sin | Tan)));
    if !is_circular || noise.scale == 0.0 || tensor.element() != ElementType::F64 {
        return tensor;
    }
    let moved = |value: f64| if value.abs() > 1e4 { value * (1.0 + 1e-2 * random.unit()) } else { value };
    let moved: Vec<f64> = tensor.to_f64_vec().into_iter().map(moved).collect();
    Tensor::from_f64(tensor.shape().to_vec(), &moved).unwrap_or(tensor)
}

/// Zeros that come of arithmetic with either sign, in one run all with a minus: drivers may leave out a sum with zero.
fn either_zero(tensor: Tensor, level: f64, (seed, noise): (u64, &mut Random)) -> Tensor {
    if level == 0.0 || tensor.element() != ElementType::F64 {
        return tensor;
    }
    let is_minus = |noise: &mut Random| seed == 1 || noise.unit() < 0.5;
    let sign = |value: f64| match value {
        0.0 if is_minus(noise) => -0.0,
        0.0 => 0.0,
        value => value,
    };
    let signed: Vec<f64> = tensor.to_f64_vec().into_iter().map(sign).collect();
    Tensor::from_f64(tensor.shape().to_vec(), &signed).unwrap_or(tensor)
}

/// Whether a node adds, so that what it adds can be large beside the sum.
fn sums(node: &Node) -> bool {
    match &node.op {
        Op::Pool(pool) => pool.kind != PoolKind::Max,
        Op::Reduce(reduce) => !matches!(reduce.kind, ReduceKind::Max | ReduceKind::Min),
        Op::MatMul(_)
        | Op::Conv(_)
        | Op::ConvTranspose(_)
        | Op::LayerNorm(_)
        | Op::RmsNorm(_)
        | Op::GroupNorm(_)
        | Op::Softmax(_)
        | Op::Attention(_)
        | Op::Rotary(_)
        | Op::CumSum(_) => true,
        Op::Elementwise(_)
        | Op::Resize(_)
        | Op::Pad(_)
        | Op::Reshape(_)
        | Op::Transpose(_)
        | Op::Expand(_)
        | Op::Concat(_)
        | Op::Slice(_)
        | Op::Gather(_)
        | Op::GatherNd(_)
        | Op::GatherElements(_)
        | Op::ScatterElements(_)
        | Op::ScatterNd(_)
        | Op::WriteRows(_)
        | Op::ArgReduce(_)
        | Op::TopK(_)
        | Op::Suppress(_)
        | Op::ShapeOf(_)
        | Op::Range(_) => false,
    }
}

/// Whether a node rounds: those that move elements or choose among them do not.
fn rounds(node: &Node) -> bool {
    use UnaryOp::{Abs, Ceil, Floor, Neg, Relu, Round, Sign};
    match node.op {
        Op::Elementwise(op) => !matches!(
            op,
            ScalarOp::Unary(Abs | Ceil | Floor | Neg | Relu | Round | Sign)
                | ScalarOp::Binary(BinaryOp::Max | BinaryOp::Min)
                | ScalarOp::Clip { .. }
                | ScalarOp::Select
        ),
        Op::Pool(ref pool) => pool.kind != PoolKind::Max,
        Op::Reduce(ref reduce) => !matches!(reduce.kind, ReduceKind::Max | ReduceKind::Min),
        Op::Reshape(_)
        | Op::Transpose(_)
        | Op::Expand(_)
        | Op::Concat(_)
        | Op::Slice(_)
        | Op::Gather(_)
        | Op::GatherNd(_)
        | Op::GatherElements(_)
        | Op::Pad(_) => false,
        Op::MatMul(_)
        | Op::Attention(_)
        | Op::Conv(_)
        | Op::ConvTranspose(_)
        | Op::Resize(_)
        | Op::GroupNorm(_)
        | Op::Softmax(_)
        | Op::LayerNorm(_)
        | Op::RmsNorm(_)
        | Op::Rotary(_)
        | Op::ScatterElements(_)
        | Op::ScatterNd(_)
        | Op::WriteRows(_)
        | Op::ArgReduce(_)
        | Op::TopK(_)
        | Op::Suppress(_)
        | Op::CumSum(_)
        | Op::ShapeOf(_)
        | Op::Range(_) => true,
    }
}

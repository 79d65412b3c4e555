//! Keeps intermediates in f32 where they overflow f16 but the final result does not.
//!
//! Squares, powers, exponentials and sums leave the range of f16, 6e-8 to 65504, long before their roots, quotients and
//! logarithms do: a variance of activations around 1e3 is infinite. Three rules, over values that would be stored as f16:
//!
//! - *Statistics*, which are results of sums, means and norms and what is computed from them alone, stay f32 until they meet
//!   an activation. They are few.
//! - *Grown* values, such as squares, stay f32 where they are added up or brought back into range, as by a root.
//! - Constants that f16 does not hold stay f32, and so do masks that are made of a finite one beyond their range. The scores that
//!   are masked by them before a softmax are limited to the range, so that a row of nothing but masked scores does not
//!   turn infinite.
//!
//! Layers, which are all ops with weights or kernels of their own, start afresh: what they accumulate is f32 anyhow.

use super::Precision;
use crate::physical::F16_MAX as MOST;
use drift_ir::graph::EpilogueArg;
use drift_ir::op::{BinaryOp, Op, PoolKind, ReduceKind, ScalarOp, Step, StepArg, UnaryOp};
use drift_ir::{ElementType, Graph, Node, NodeId, Tensor, Value, ValueDef, ValueId};
use std::collections::{BTreeMap, BTreeSet};

/// The smallest normal f16.
const LEAST_NORMAL: f64 = 6.103_515_625e-5;
/// A constant of this magnitude stands for a bound rather than for a number: no score is added to it in earnest.
const BOUND: f64 = 60_000.0;

/// What is known of a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Facts {
    /// It may be outside of the range of f16 although what it is computed from does not.
    grown: bool,
    /// It is computed from reductions alone.
    statistic: bool,
    /// It is computed from a constant that is a bound.
    bounded: bool,
}

/// Keeps in f32 what would be lost in f16 under `precision`, and limits what masks make.
pub fn keep_wide(graph: &mut Graph, precision: Option<Precision>) {
    let stored_f16 = |graph: &Graph, value| is_half(graph, value, precision);
    if precision == Some(Precision::F32) || !graph.values().any(|(value, _)| stored_f16(graph, value)) {
        return;
    }
    let extents = extents(graph);
    let facts = all_facts(graph, &extents);
    let lost = |&(least, most): &(f64, f64)| most > MOST || least.is_finite() && most < LEAST_NORMAL;
    let constants = extents.iter().filter(|(_, extent)| lost(extent)).map(|(&value, _)| value);
    let wide: BTreeSet<ValueId> = wide_values(graph, &facts).into_iter().chain(constants).collect();
    wide.into_iter().for_each(|value| graph.keep_single(value));
    let scores = scores(graph);
    let limited: Vec<NodeId> = graph
        .nodes()
        .filter(|&id| {
            let (node, result) = (graph.node(id), graph.node(id).outputs[0]);
            let is_score = scores[result.0 as usize] || matches!(node.op, Op::Attention(_));
            is_score && facts[result.0 as usize].bounded && makes_numbers(node) && stored_f16(graph, result)
        })
        .collect();
    limited.into_iter().for_each(|id| limit(graph, id));
}

/// Whether a value would be stored as f16.
fn is_half(graph: &Graph, value: ValueId, precision: Option<Precision>) -> bool {
    let element = graph.value(value).ty.element;
    let stored = match precision {
        Some(Precision::F16) => matches!(element, ElementType::F16 | ElementType::F32),
        None => element == ElementType::F16,
        Some(Precision::F32) => false,
    };
    stored && !graph.is_single(value)
}

/// Facts by value index.
fn all_facts(graph: &Graph, extents: &Extents) -> Vec<Facts> {
    let mut facts = vec![Facts::default(); graph.value_capacity()];
    for (&id, &(_, most)) in extents {
        facts[id.0 as usize].bounded = most >= BOUND;
    }
    for id in graph.nodes() {
        let node = graph.node(id);
        let made = of_result(graph, node, &facts);
        for &output in &node.outputs {
            let is_float = graph.value(output).ty.element.is_float();
            facts[output.0 as usize] = if is_float { made } else { Facts::default() };
        }
    }
    facts
}

/// The least magnitude that is not zero, infinite if there is none, and the largest that is finite, of constants.
type Extents = BTreeMap<ValueId, (f64, f64)>;

/// Those of all float constants but weights, which kernels want in f16, and tables.
fn extents(graph: &Graph) -> Extents {
    let is_weight = |reader: &Node, value| match &reader.op {
        Op::MatMul(_) | Op::Conv(_) | Op::ConvTranspose(_) => reader.inputs[..2].contains(&value),
        Op::Gather(_) | Op::GatherNd(_) | Op::GatherElements(_) => reader.inputs[0] == value,
        _ => false,
    };
    let of = |(id, value): (ValueId, &Value)| {
        let ValueDef::Constant(tensor) = &value.def else { return None };
        let computes = tensor.element().is_float()
            && !graph.is_output(id)
            && graph.readers(id).all(|reader| !is_weight(graph.node(reader), id));
        computes.then(|| (id, extent(tensor)))
    };
    graph.values().filter_map(of).collect()
}

fn extent(tensor: &Tensor) -> (f64, f64) {
    let magnitudes = tensor.to_f32_vec().into_iter().map(|value| f64::from(value.abs()));
    let finite = magnitudes.filter(|value| value.is_finite() && *value > 0.0);
    finite.fold((f64::INFINITY, 0.0), |(least, most), value| (least.min(value), f64::max(most, value)))
}

/// The facts of a node's result, its epilogue included.
fn of_result(graph: &Graph, node: &Node, facts: &[Facts]) -> Facts {
    let of = |value: ValueId| facts[value.0 as usize];
    let inputs = || node.inputs.iter().map(|&input| of(input));
    let any = |fact: fn(Facts) -> bool| inputs().any(fact);
    let first = node.inputs.first().map_or(Facts::default(), |&input| of(input));
    let made = match &node.op {
        Op::Elementwise(op) => {
            let args: Vec<Arg> =
                node.inputs.iter().map(|&input| Arg::of_value(graph, input, of(input))).collect();
            after(*op, &args)
        }
        Op::Reduce(op) => {
            let adds = matches!(op.kind, ReduceKind::Sum | ReduceKind::Prod | ReduceKind::L2);
            let picks = matches!(op.kind, ReduceKind::Max | ReduceKind::Min);
            Facts { grown: adds || first.grown, statistic: !picks || first.grown, bounded: false }
        }
        Op::Pool(op) => Facts {
            grown: first.grown || matches!(op.kind, PoolKind::Lp(_)),
            statistic: false,
            bounded: first.bounded && op.kind == PoolKind::Max,
        },
        Op::CumSum(_) => Facts { grown: first.grown, ..Facts::default() },
        Op::Reshape(_)
        | Op::Transpose(_)
        | Op::Expand(_)
        | Op::Slice(_)
        | Op::Concat(_)
        | Op::Pad(_)
        | Op::Gather(_)
        | Op::GatherNd(_)
        | Op::GatherElements(_) => Facts {
            grown: any(|fact| fact.grown),
            statistic: first.statistic && !matches!(node.op, Op::Expand(_) | Op::Concat(_)),
            bounded: any(|fact| fact.bounded),
        },
        // What these make says nothing of what they read.
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
        | Op::ShapeOf(_)
        | Op::Range(_) => Facts::default(),
    };
    let mut steps: Vec<Arg> = Vec::new();
    for step in &node.epilogue.steps {
        let args = step.args.iter().map(|&arg| match arg {
            StepArg::Result => Arg { facts: made, source: Some(arg), constant: None },
            StepArg::Step(at) => Arg { source: Some(arg), ..steps[at as usize] },
            StepArg::Operand(at) => {
                let operand = node.epilogue.operands[at as usize];
                Arg { source: Some(arg), ..Arg::of_value(graph, operand, of(operand)) }
            }
            StepArg::Const(value) => Arg::constant(value),
        });
        let facts = after(step.op, &args.collect::<Vec<Arg>>());
        steps.push(Arg { facts, source: None, constant: None });
    }
    steps.last().map_or(made, |last| last.facts)
}

/// Whether an op only moves elements.
pub(crate) fn is_data_movement(op: &Op) -> bool {
    match op {
        Op::Reshape(_)
        | Op::Transpose(_)
        | Op::Expand(_)
        | Op::Slice(_)
        | Op::Concat(_)
        | Op::Pad(_)
        | Op::Gather(_)
        | Op::GatherNd(_)
        | Op::GatherElements(_) => true,
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
        | Op::Rotary(_)
        | Op::ScatterElements(_)
        | Op::ScatterNd(_)
        | Op::WriteRows(_)
        | Op::ArgReduce(_)
        | Op::TopK(_)
        | Op::Suppress(_)
        | Op::CumSum(_)
        | Op::ShapeOf(_)
        | Op::Range(_) => false,
    }
}

/// Whether the element-wise part of a node computes numbers, to which a limit can be added.
fn makes_numbers(node: &Node) -> bool {
    matches!(node.op, Op::Elementwise(_) | Op::Attention(_)) || !node.epilogue.steps.is_empty()
}

/// Whether a value is a score, by value index: a softmax reads it, also one that is written out, or what element-wise
/// functions and data movement make of it.
fn scores(graph: &Graph) -> Vec<bool> {
    let mut scores = vec![false; graph.value_capacity()];
    for id in graph.nodes().rev() {
        let value = graph.node(id).outputs[0];
        let makes_score = |reader: NodeId| {
            let node = graph.node(reader);
            let exp = ScalarOp::Unary(UnaryOp::Exp);
            let passes = matches!(node.op, Op::Elementwise(_)) || is_data_movement(&node.op);
            match &node.op {
                Op::Softmax(_) | Op::Attention(_) => true,
                Op::Reduce(op) => op.kind == ReduceKind::Max,
                Op::Elementwise(op) if *op == exp => true,
                _ if node.epilogue.steps.iter().any(|step| step.op == exp) => true,
                _ => {
                    (passes || node.epilogue.operands.contains(&value)) && scores[node.outputs[0].0 as usize]
                }
            }
        };
        scores[value.0 as usize] = graph.readers(value).any(makes_score);
    }
    scores
}

/// An argument of a scalar function.
#[derive(Clone, Copy, Debug)]
struct Arg {
    facts: Facts,
    /// What tells it from the other arguments.
    source: Option<StepArg>,
    constant: Option<f64>,
}

impl Arg {
    fn of_value(graph: &Graph, value: ValueId, facts: Facts) -> Self {
        let scalar = graph.constant(value).filter(|tensor| tensor.len() == 1);
        // Values stand for themselves among the operands of one node.
        let source = Some(StepArg::Operand(value.0));
        match graph.constant(value) {
            None => Self { facts, source, constant: None },
            // A constant is a statistic beside statistics.
            Some(_) => {
                let facts = Facts { statistic: true, ..facts };
                let constant = scalar.map_or(Some(f64::NAN), |tensor| tensor.to_f64_vec().first().copied());
                Self { facts, source, constant }
            }
        }
    }

    fn constant(value: f64) -> Self {
        let bounded = value.is_finite() && value.abs() >= BOUND;
        Self { facts: Facts { grown: false, statistic: true, bounded }, source: None, constant: Some(value) }
    }
}

/// What a scalar function makes of its arguments.
fn after(op: ScalarOp, args: &[Arg]) -> Facts {
    let computed = args.iter().any(|arg| arg.constant.is_none());
    let statistic = computed && args.iter().all(|arg| arg.facts.statistic);
    let any = |fact: fn(Facts) -> bool| args.iter().any(|arg| fact(arg.facts));
    let all = Facts { grown: any(|f| f.grown), statistic, bounded: any(|f| f.bounded) };
    let in_range = Facts { grown: false, bounded: false, ..all };
    let grown = Facts { grown: true, ..all };
    match op {
        ScalarOp::Cast(_) => all,
        ScalarOp::Select => {
            let of = |fact: fn(Facts) -> bool| args[1..].iter().any(|arg| fact(arg.facts));
            Facts { grown: of(|f| f.grown), statistic, bounded: of(|f| f.bounded) }
        }
        ScalarOp::Clip { min, max } if min >= -MOST && max <= MOST => in_range,
        ScalarOp::Clip { .. } => all,
        ScalarOp::Unary(op) => match op {
            UnaryOp::Exp | UnaryOp::Expm1 | UnaryOp::Cosh | UnaryOp::Sinh => grown,
            UnaryOp::Abs
            | UnaryOp::Bfloat16
            | UnaryOp::Small(_)
            | UnaryOp::Neg
            | UnaryOp::Relu
            | UnaryOp::Ceil
            | UnaryOp::Floor
            | UnaryOp::Round
            | UnaryOp::Softplus
            | UnaryOp::Gelu(_)
            | UnaryOp::Silu => all,
            UnaryOp::Acos
            | UnaryOp::Acosh
            | UnaryOp::Asin
            | UnaryOp::Asinh
            | UnaryOp::Atan
            | UnaryOp::Atanh
            | UnaryOp::BitNot
            | UnaryOp::Cos
            | UnaryOp::Erf
            | UnaryOp::IsInf
            | UnaryOp::IsNan
            | UnaryOp::Log
            | UnaryOp::Not
            | UnaryOp::Reciprocal
            | UnaryOp::Sigmoid
            | UnaryOp::Sign
            | UnaryOp::Sin
            | UnaryOp::Sqrt
            | UnaryOp::Tan
            | UnaryOp::Tanh => in_range,
        },
        ScalarOp::Binary(op) => match op {
            BinaryOp::Mul => {
                let [a, b] = [args[0], args[1]];
                let square = a.source.is_some() && a.source == b.source;
                let of_statistics = a.constant.is_none() && b.constant.is_none() && statistic;
                if square || of_statistics { grown } else { all }
            }
            BinaryOp::Div if args[1].facts.grown || args[1].facts.bounded => in_range,
            BinaryOp::Pow => match args[1].constant {
                Some(1.0) => all,
                Some(exponent) if (0.0..1.0).contains(&exponent) => in_range,
                _ => grown,
            },
            BinaryOp::Add
            | BinaryOp::Sub
            | BinaryOp::Div
            | BinaryOp::Max
            | BinaryOp::Min
            | BinaryOp::Rem
            | BinaryOp::Mod => all,
            BinaryOp::BitAnd
            | BinaryOp::BitOr
            | BinaryOp::BitXor
            | BinaryOp::ShiftLeft
            | BinaryOp::ShiftRight
            | BinaryOp::Equal
            | BinaryOp::Less
            | BinaryOp::LessOrEqual
            | BinaryOp::Greater
            | BinaryOp::GreaterOrEqual
            | BinaryOp::And
            | BinaryOp::Or
            | BinaryOp::Xor => in_range,
        },
    }
}

/// The results that are to stay f32.
fn wide_values(graph: &Graph, facts: &[Facts]) -> BTreeSet<ValueId> {
    let mut wide = BTreeSet::new();
    // Whether a grown value is brought back, by value index.
    let mut returns = vec![false; graph.value_capacity()];
    for id in graph.nodes().rev() {
        let result = graph.node(id).outputs[0];
        let own = facts[result.0 as usize];
        if graph.is_output(result) || own == Facts::default() {
            continue;
        }
        let readers = || graph.readers(result).map(|reader| graph.node(reader));
        returns[result.0 as usize] =
            own.grown && readers().any(|reader| brings_back(graph, reader, result, facts, &returns));
        // A layer reads f16, and so does what moves elements to it: no copy is worth the digits.
        let stays = |reader: &Node| match &reader.op {
            Op::Elementwise(_) | Op::Reduce(_) | Op::Pool(_) => true,
            Op::Attention(_) => !reader.inputs[..3].contains(&result),
            op if is_data_movement(op) => wide.contains(&reader.outputs[0]),
            _ => !reader.inputs.contains(&result),
        };
        let kept = own.statistic || own.bounded && makes_numbers(graph.node(id));
        if returns[result.0 as usize] || kept && readers().all(stays) {
            wide.insert(result);
        }
    }
    wide
}

/// Whether a reader of a grown value adds it up or makes something of it that is in range, sooner or later.
fn brings_back(graph: &Graph, reader: &Node, value: ValueId, facts: &[Facts], returns: &[bool]) -> bool {
    let result = reader.outputs[0];
    let is_operand = reader.epilogue.operands.contains(&value);
    let computes = match &reader.op {
        Op::Reduce(_) | Op::Pool(_) | Op::CumSum(_) => return true,
        Op::Elementwise(_) => true,
        op => is_data_movement(op) || is_operand,
    };
    let is_float = graph.value(result).ty.element.is_float();
    computes && is_float && (!facts[result.0 as usize].grown || returns[result.0 as usize])
}

/// Appends a limit to what a node computes. A step that does not fit, which no float refuses, leaves the node as it was.
fn limit(graph: &mut Graph, id: NodeId) {
    let clip = ScalarOp::Clip { min: -MOST, max: MOST };
    let node = graph.node(id);
    if let Op::Attention(op) = &node.op {
        let mut op = op.clone();
        let last = op.scores.len().checked_sub(1).map_or(StepArg::Result, |last| StepArg::Step(last as u32));
        op.scores.push(Step { op: clip, args: vec![last] });
        let _ = graph.set_op(id, Op::Attention(op));
        return;
    }
    let _ = graph.push_epilogue(id, clip, &[EpilogueArg::Current]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(text: &str, precision: Option<Precision>) -> (Vec<String>, Graph) {
        let mut graph = drift_ir::text::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        keep_wide(&mut graph, precision);
        let names =
            graph.values().filter(|&(value, _)| graph.is_single(value)).map(|(_, value)| value.name.clone());
        (names.collect(), graph)
    }

    #[test]
    fn squares_and_statistics_of_a_norm_stay_f32() {
        let norm = "%x: f32[2,8,5]\n@n: f32[] = 7.0\n@e: f32[] = 0.001\n%m = reduce_mean %x {axes=[1], keep_dims=true}\n\
             %d = sub %x, %m\n%q = mul %d, %d\n%s = reduce_sum %q {axes=[1], keep_dims=true} epilogue(div @n; sqrt; add @e)\n\
             %y = div %d, %s\nreturn %y";
        assert_eq!(kept(norm, Some(Precision::F16)).0, ["m", "q", "s"]);
        assert!(kept(norm, Some(Precision::F32)).0.is_empty());
        let in_f16 = norm.replace("f32", "f16");
        assert_eq!(kept(&in_f16, None).0, ["m", "q", "s"]);
    }

    #[test]
    fn what_layers_read_is_stored_as_ever() {
        let pooled = "%x: f32[1,8,5]\n@w: f32[8,4] = random(1)\n%m = reduce_mean %x {axes=[2], keep_dims=false}\n%r = reshape %m {shape=[1,8]}\n\
             %1 = matmul %r, @w\n%g = mul %1, %1\n%y = softmax %g {axis=1}\nreturn %y";
        assert!(kept(pooled, Some(Precision::F16)).0.is_empty());
    }

    #[test]
    fn masks_stay_f32_and_masked_scores_in_the_range_of_f16() {
        let masked = "%s: f32[2,4,4]\n%m: f32[4,4]\n@one: f32[] = 1.0\n@low: f32[] = -3.4028235e38\n%o = sub @one, %m\n%b = mul %o, @low\n\
             %a = add %s, %b\n%y = softmax %a {axis=2}\nreturn %y";
        let (names, graph) = kept(masked, Some(Precision::F16));
        assert_eq!(names, ["low", "b"]);
        let text = drift_ir::text::print(&graph);
        let limited: Vec<&str> = text.lines().filter(|line| line.contains("65504")).collect();
        assert!(limited.len() == 1 && limited[0].contains("= add"), "{text}");
    }

    #[test]
    fn only_scores_are_limited() {
        let sum = "%s: f32[2,4]\n@far: f32[4] = [60001.0, -65504.0, 0.0, 1.0]\n%a = add %s, @far\n";
        let limits = |rest: &str| {
            let (_, graph) = kept(&format!("{sum}{rest}"), Some(Precision::F16));
            drift_ir::text::print(&graph).contains("clip")
        };
        assert!(!limits("return %a"), "infinities stay");
        assert!(!limits("@w: f32[4,4] = random(1)\n%y = matmul %a, @w\nreturn %y"));
        assert!(limits("%y = softmax %a {axis=1}\nreturn %y"));
        assert!(limits("%n = neg %a\n%r = reshape %n {shape=[8]}\n%e = exp %r\nreturn %e"));
    }

    #[test]
    fn constants_that_f16_loses_stay_f32_but_for_weights() {
        let constants = "%x: f32[1,4]\n@far: f32[4] = [1e5, 0.0, 1.0, 2.0]\n@tiny: f32[4] = [1e-6, 2e-6, 0.0, 0.0]\n@near: f32[4] = [1e-6, 1.0, 2.0, 3.0]\n\
             @w: f32[4,4] = splat(1e5)\n%1 = mul %x, @tiny\n%2 = add %1, @near\n%3 = matmul %2, @w\n%y = add %3, @far\nreturn %y";
        assert_eq!(kept(constants, Some(Precision::F16)).0, ["far", "tiny"]);
    }
}

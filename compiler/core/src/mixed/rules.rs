//! What graphs alone say of f16: bounds of values, and functions that amplify.

use super::numbers::MOST;
use super::report::{Decided, Depth};
use super::values::Values;
use super::{Why, numbers::Numbers};
use crate::ranges;
use drift_ir::op::{BinaryOp, ScalarOp, StepArg, UnaryOp};
use drift_ir::{Graph, Node, Op, ValueDef, ValueId};
use std::collections::{BTreeMap, BTreeSet};

/// The share of a value that rounding may change before its digits count as lost: that of numbers around 2^-18.
pub(super) const TINY: f64 = 1.0 / 256.0;

/// The magnitude of what an exponential is of up to which an f16 of it changes the result by less than 1 %.
const SMALL_EXPONENT: f64 = 16.0;

/// Bounds from which on nothing is known: those of integers of any size.
const UNKNOWN: f64 = 2_147_483_648.0;

/// Whether bounds show that f16 may not hold a value.
fn is_beyond(bound: f64) -> bool {
    bound > MOST && bound < UNKNOWN
}

/// What stays f32 where the evaluator cannot try it: what may overflow by its bounds, constants that f16 loses, and what an
/// exponential, a logarithm or a division amplifies.
pub(super) fn decide(graph: &Graph, values: &Values) -> Decided {
    let mut kept = BTreeMap::new();
    let bounds = ranges::magnitudes(graph);
    for value in values.all().filter(|&value| values.may_stay(value)) {
        let bound = bounds.get(&value).copied().unwrap_or(f64::INFINITY);
        match graph.constant(value) {
            Some(tensor) => {
                let numbers = Numbers::of(&tensor.to_f32_vec());
                if numbers.largest > MOST {
                    kept.insert(value, Why::Overflow { largest: numbers.largest });
                } else if numbers.relative_rounding() > TINY {
                    kept.insert(value, Why::Underflow { rms: numbers.rms });
                }
            }
            None if is_beyond(bound) => {
                kept.insert(value, Why::Bound { largest: bound });
            }
            None => {}
        }
    }
    for id in graph.nodes() {
        let node = graph.node(id);
        for value in amplified(node) {
            let bound = bounds.get(&value).copied().unwrap_or(f64::INFINITY);
            let is_activation = !matches!(graph.value(value).def, ValueDef::Constant(_));
            if is_activation && bound > SMALL_EXPONENT {
                for source in values.sources(value) {
                    let why = Why::Amplified { node: node.name.clone(), op: node.op.name() };
                    kept.entry(source).or_insert(why);
                }
            }
        }
    }
    Decided { kept, depth: Depth::Structure, error: None }
}

/// Operands that go into an exponential, a logarithm, a power or the lower side of a division.
fn amplified(node: &Node) -> BTreeSet<ValueId> {
    let mut found = BTreeSet::new();
    if let Op::Elementwise(op) = &node.op {
        let at = places(*op).iter().filter_map(|&place| node.inputs.get(place));
        found.extend(at.copied());
    }
    for step in &node.epilogue.steps {
        for arg in places(step.op).iter().filter_map(|&place| step.args.get(place)) {
            match *arg {
                StepArg::Operand(at) => {
                    found.insert(node.epilogue.operands[at as usize]);
                }
                // What an element-wise node computes first is of its operands.
                StepArg::Result if matches!(node.op, Op::Elementwise(_)) => found.extend(&node.inputs),
                StepArg::Result | StepArg::Step(_) | StepArg::Const(_) => {}
            }
        }
    }
    found
}

/// The arguments of which a function amplifies errors.
const fn places(op: ScalarOp) -> &'static [usize] {
    match op {
        ScalarOp::Unary(
            UnaryOp::Exp
            | UnaryOp::Expm1
            | UnaryOp::Cosh
            | UnaryOp::Sinh
            | UnaryOp::Log
            | UnaryOp::Reciprocal
            | UnaryOp::Tan
            | UnaryOp::Acosh
            | UnaryOp::Atanh,
        ) => &[0],
        ScalarOp::Binary(BinaryOp::Div | BinaryOp::Rem | BinaryOp::Mod) => &[1],
        ScalarOp::Binary(BinaryOp::Pow) => &[0, 1],
        ScalarOp::Unary(
            UnaryOp::Abs
            | UnaryOp::Acos
            | UnaryOp::Asin
            | UnaryOp::Asinh
            | UnaryOp::Atan
            | UnaryOp::Bfloat16
            | UnaryOp::BitNot
            | UnaryOp::Ceil
            | UnaryOp::Cos
            | UnaryOp::Erf
            | UnaryOp::Floor
            | UnaryOp::Gelu(_)
            | UnaryOp::IsInf
            | UnaryOp::IsNan
            | UnaryOp::Neg
            | UnaryOp::Not
            | UnaryOp::Relu
            | UnaryOp::Round
            | UnaryOp::Sigmoid
            | UnaryOp::Sign
            | UnaryOp::Silu
            | UnaryOp::Sin
            | UnaryOp::Small(_)
            | UnaryOp::Softplus
            | UnaryOp::Sqrt
            | UnaryOp::Tanh,
        )
        | ScalarOp::Binary(
            BinaryOp::Add
            | BinaryOp::Sub
            | BinaryOp::Mul
            | BinaryOp::Max
            | BinaryOp::Min
            | BinaryOp::BitAnd
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
            | BinaryOp::Xor,
        )
        | ScalarOp::Clip { .. }
        | ScalarOp::Select
        | ScalarOp::Cast(_) => &[],
    }
}

/// What a user of `--precision f16` should know: values whose bounds are beyond f16, of a graph as f16 stores it.
pub fn overflows(graph: &Graph) -> Option<String> {
    /// Values that are named.
    const NAMED: usize = 8;
    let values = Values::of(graph);
    let bounds = ranges::magnitudes(graph);
    let mut beyond = Vec::new();
    for value in values.all().filter(|&value| !values.is_moved(value)) {
        let (bound, is_beyond) = match graph.constant(value) {
            Some(tensor) => {
                let largest = Numbers::of(&tensor.to_f32_vec()).largest;
                (largest, largest > MOST)
            }
            None => {
                let bound = bounds.get(&value).copied().unwrap_or(f64::INFINITY);
                (bound, is_beyond(bound))
            }
        };
        if is_beyond {
            beyond.push(format!("`{}` (up to {bound:.0})", graph.value(value).name));
        }
    }
    let more = beyond.len().saturating_sub(NAMED);
    beyond.truncate(NAMED);
    let and = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!beyond.is_empty()).then(|| {
        format!(
            "f16 ends at 65504, and these values may be beyond it: {}{and}; --precision mixed keeps in f32 what f16 would spoil",
            beyond.join(", ")
        )
    })
}

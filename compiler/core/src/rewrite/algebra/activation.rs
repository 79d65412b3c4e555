//! Activations that exporters write as arithmetic, recognised as one op.
//!
//! Exporters write the factors of an activation in every order, with divisions for products and with scales on either
//! side. Instead of listing the orders, both the activation and the argument of its core function (erf, tanh or sigmoid)
//! are expanded as polynomials and compared with the definition.

use crate::rewrite::edit;
use crate::rewrite::pattern::{
    beside_uniform, constant_tolerance, made_by_binary, made_by_unary, plain_scalar_op, producer, same_type,
    uniform,
};
use crate::rewrite::rule::{Apply, Outcome, Rule, at};
use drift_ir::op::{BinaryOp, GeluKind, ScalarOp, UnaryOp};
use drift_ir::{Graph, NodeId, Op, ValueId};
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

/// `x * 0.5 * (1 + erf(x / sqrt 2))   =>   gelu x` in any order of factors
pub(in crate::rewrite) const GELU_ERF: Rule = Rule {
    name: "gelu-erf",
    picture: "x * 0.5 * (1 + erf(x / sqrt 2)) => gelu x, factors in any order",
    apply: Apply::Node(at::ELEMENTWISE, |graph, node| recognise(graph, node, &ERF_FORM)),
};

/// `0.5 * x * (1 + tanh(sqrt(2/pi) * (x + 0.044715 * x^3)))   =>   gelu(tanh) x` in any order of factors
pub(in crate::rewrite) const GELU_TANH: Rule = Rule {
    name: "gelu-tanh",
    picture: "0.5 * x * (1 + tanh(sqrt(2/pi) * (x + 0.044715 * x^3))) => gelu(tanh) x, factors in any order",
    apply: Apply::Node(at::ELEMENTWISE, |graph, node| recognise(graph, node, &TANH_FORM)),
};

/// `1 / (1 + exp(-x))   =>   sigmoid x`
pub(in crate::rewrite) const SIGMOID: Rule = Rule {
    name: "sigmoid",
    picture: "1 / (1 + exp(-x)) => sigmoid x, and y / (1 + exp(-x)) => y * sigmoid x",
    apply: Apply::Node(at::ELEMENTWISE, sigmoid),
};

/// `x * sigmoid(x)   =>   silu x`
pub(in crate::rewrite) const SILU: Rule = Rule {
    name: "silu",
    picture: "x * sigmoid(x) => silu x",
    apply: Apply::Node(at::ELEMENTWISE, |graph, node| recognise(graph, node, &SILU_FORM)),
};

/// `coefficients[i][j]` belongs to `x^i t^j`, where `t` is the core's result.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Polynomial([[f64; 2]; 4]);

/// An activation: its core function, the core's argument as a polynomial in x, and the whole in x and the core's result.
struct Form {
    core: UnaryOp,
    argument: Polynomial,
    whole: Polynomial,
    becomes: UnaryOp,
}

/// `x / 2 + x t / 2`.
const HALF_X_TIMES_ONE_PLUS_T: Polynomial = Polynomial([[0.0, 0.0], [0.5, 0.5], [0.0, 0.0], [0.0, 0.0]]);

/// `sqrt(2 / pi)`.
const SQRT_2_OVER_PI: f64 = FRAC_2_SQRT_PI * FRAC_1_SQRT_2;

const ERF_FORM: Form = Form {
    core: UnaryOp::Erf,
    argument: Polynomial([[0.0, 0.0], [FRAC_1_SQRT_2, 0.0], [0.0, 0.0], [0.0, 0.0]]),
    whole: HALF_X_TIMES_ONE_PLUS_T,
    becomes: UnaryOp::Gelu(GeluKind::Erf),
};

const TANH_FORM: Form = Form {
    core: UnaryOp::Tanh,
    argument: Polynomial([[0.0, 0.0], [SQRT_2_OVER_PI, 0.0], [0.0, 0.0], [SQRT_2_OVER_PI * 0.044_715, 0.0]]),
    whole: HALF_X_TIMES_ONE_PLUS_T,
    becomes: UnaryOp::Gelu(GeluKind::Tanh),
};

const SILU_FORM: Form = Form {
    core: UnaryOp::Sigmoid,
    argument: Polynomial([[0.0, 0.0], [1.0, 0.0], [0.0, 0.0], [0.0, 0.0]]),
    whole: Polynomial([[0.0, 0.0], [0.0, 1.0], [0.0, 0.0], [0.0, 0.0]]),
    becomes: UnaryOp::Silu,
};

/// Longest path from an activation's result down to its core or to x.
const MAX_DEPTH: u32 = 6;

/// Values looked at below one node; activations have about ten.
const MAX_VALUES: usize = 40;

/// Rewrites `node` if it is the last step of the form.
fn recognise(graph: &mut Graph, node: NodeId, form: &Form) -> Outcome {
    let root = graph.node(node);
    if !is_arithmetic(plain_scalar_op(root)) {
        return Ok(false);
    }
    let result = root.outputs[0];
    let tolerance = constant_tolerance(graph.value(result).ty.element);
    let found = arithmetic_leaves_and_steps(graph, result).into_iter().find_map(|t| {
        let core = producer(graph, t)?;
        if plain_scalar_op(core) != Some(ScalarOp::Unary(form.core)) {
            return None;
        }
        let argument = core.inputs[0];
        arithmetic_leaves_and_steps(graph, argument).into_iter().find(|&x| {
            let expand = |value, t| Polynomial::expand(graph, value, x, t, MAX_DEPTH);
            same_type(graph, x, result)
                && expand(argument, None).is_some_and(|p| p.is_close(&form.argument, tolerance))
                && expand(result, Some(t)).is_some_and(|p| p.is_close(&form.whole, tolerance))
        })
    });
    let Some(x) = found else { return Ok(false) };
    edit::set_op(graph, node, Op::Elementwise(ScalarOp::Unary(form.becomes)), &[x])
}

fn sigmoid(graph: &mut Graph, node: NodeId) -> Outcome {
    let subject = graph.node(node);
    let (numerator, denominator) = match plain_scalar_op(subject) {
        Some(ScalarOp::Unary(UnaryOp::Reciprocal)) => (None, subject.inputs[0]),
        Some(ScalarOp::Binary(BinaryOp::Div)) => (Some(subject.inputs[0]), subject.inputs[1]),
        _ => return Ok(false),
    };
    let Some(x) = logistic_argument(graph, denominator) else { return Ok(false) };
    let sigmoid = Op::Elementwise(ScalarOp::Unary(UnaryOp::Sigmoid));
    if !same_type(graph, x, subject.outputs[0]) {
        return Ok(false);
    }
    match numerator.filter(|&value| uniform(graph, value) != Some(1.0)) {
        None => edit::set_op(graph, node, sigmoid, &[x]),
        Some(y) => {
            let factor = edit::insert_before(graph, node, sigmoid, &[x])?;
            edit::set_op(graph, node, Op::Elementwise(ScalarOp::Binary(BinaryOp::Mul)), &[y, factor])
        }
    }
}

/// `x`, if a value is `1 + exp(-x)`.
fn logistic_argument(graph: &Graph, value: ValueId) -> Option<ValueId> {
    let (exponential, one) = beside_uniform(graph, made_by_binary(graph, value, BinaryOp::Add)?)?;
    let negated = made_by_unary(graph, exponential, UnaryOp::Exp)?;
    (one == 1.0).then_some(())?;
    made_by_unary(graph, negated, UnaryOp::Neg).or_else(|| {
        let (x, factor) = beside_uniform(graph, made_by_binary(graph, negated, BinaryOp::Mul)?)?;
        (factor == -1.0).then_some(x)
    })
}

/// Whether polynomials can be expanded through this op.
fn is_arithmetic(op: Option<ScalarOp>) -> bool {
    use BinaryOp::{Add, Div, Mul, Pow, Sub};
    matches!(op, Some(ScalarOp::Binary(Add | Sub | Mul | Div | Pow) | ScalarOp::Unary(UnaryOp::Neg)))
}

/// The value and everything below it through arithmetic, breadth first, constants left out.
fn arithmetic_leaves_and_steps(graph: &Graph, value: ValueId) -> Vec<ValueId> {
    let mut found = vec![value];
    let mut at = 0;
    while let Some(&value) = found.get(at) {
        at += 1;
        let Some(node) = producer(graph, value) else { continue };
        if !is_arithmetic(plain_scalar_op(node)) {
            continue;
        }
        for &input in &node.inputs {
            if found.len() < MAX_VALUES && !found.contains(&input) && uniform(graph, input).is_none() {
                found.push(input);
            }
        }
    }
    found
}

impl Polynomial {
    fn constant(value: f64) -> Self {
        let mut coefficients = [[0.0; 2]; 4];
        coefficients[0][0] = value;
        Self(coefficients)
    }

    /// Expands `value` in `x` and `t`; `None` if something else is in it, or the degree is too high.
    fn expand(graph: &Graph, value: ValueId, x: ValueId, t: Option<ValueId>, depth: u32) -> Option<Self> {
        if Some(value) == t {
            return Some(Self([[0.0, 1.0], [0.0; 2], [0.0; 2], [0.0; 2]]));
        }
        if value == x {
            return Some(Self([[0.0; 2], [1.0, 0.0], [0.0; 2], [0.0; 2]]));
        }
        if let Some(value) = uniform(graph, value) {
            return Some(Self::constant(value));
        }
        let depth = depth.checked_sub(1)?;
        let node = producer(graph, value)?;
        let operand = |at: usize| Self::expand(graph, node.inputs[at], x, t, depth);
        match plain_scalar_op(node)? {
            ScalarOp::Unary(UnaryOp::Neg) => Some(operand(0)?.scaled(-1.0)),
            ScalarOp::Binary(BinaryOp::Add) => Some(operand(0)?.plus(&operand(1)?)),
            ScalarOp::Binary(BinaryOp::Sub) => Some(operand(0)?.plus(&operand(1)?.scaled(-1.0))),
            ScalarOp::Binary(BinaryOp::Mul) => operand(0)?.times(&operand(1)?),
            ScalarOp::Binary(BinaryOp::Div) => {
                Some(operand(0)?.scaled(1.0 / uniform(graph, node.inputs[1])?))
            }
            ScalarOp::Binary(BinaryOp::Pow) => operand(0)?.power(uniform(graph, node.inputs[1])?),
            _ => None,
        }
    }

    fn scaled(mut self, factor: f64) -> Self {
        self.0.as_flattened_mut().iter_mut().for_each(|c| *c *= factor);
        self
    }

    fn plus(mut self, other: &Self) -> Self {
        for (c, d) in self.0.as_flattened_mut().iter_mut().zip(other.0.as_flattened()) {
            *c += d;
        }
        self
    }

    /// The product; `None` above degree 3 in x or 1 in t.
    fn times(&self, other: &Self) -> Option<Self> {
        let mut product = [[0.0; 2]; 4];
        for (i, j) in (0..4).flat_map(|i| [(i, 0), (i, 1)]) {
            for (k, l) in (0..4).flat_map(|k| [(k, 0), (k, 1)]) {
                let term = self.0[i][j] * other.0[k][l];
                if term != 0.0 {
                    *product.get_mut(i + k)?.get_mut(j + l)? += term;
                }
            }
        }
        Some(Self(product))
    }

    /// The second or third power.
    fn power(&self, exponent: f64) -> Option<Self> {
        let square = self.times(self)?;
        if exponent == 2.0 {
            Some(square)
        } else if exponent == 3.0 {
            square.times(self)
        } else {
            None
        }
    }

    fn is_close(&self, other: &Self, tolerance: f64) -> bool {
        let pairs = self.0.as_flattened().iter().zip(other.0.as_flattened());
        pairs.into_iter().all(|(c, d)| (c - d).abs() <= tolerance * d.abs())
    }
}

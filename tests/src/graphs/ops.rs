//! One node of a random op, of every kind that the graph language has.

use super::generate::Maker;
use super::values::Style;
use super::{data_movement, windows};
use drift_ir::op::attention::{Attention, Band, HEADS_FIRST};
use drift_ir::op::{
    ArgReduce, BinaryOp, CumSum, GroupNorm, LayerNorm, MatMul, Reduce, ReduceKind, RmsNorm, Rotary, ScalarOp,
    Softmax, Step, StepArg, Suppress, TopK, UnaryOp,
};
use drift_ir::{Dim, ElementType, Op, Tensor, ValueId};

type Made = Option<ValueId>;

/// The kinds of ops, and what makes a node of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Elementwise,
    MatMul,
    Attention,
    Conv,
    ConvTranspose,
    Pool,
    Resize,
    Pad,
    GroupNorm,
    Reduce,
    Softmax,
    LayerNorm,
    RmsNorm,
    Rotary,
    Reshape,
    Transpose,
    Expand,
    Concat,
    Slice,
    Gather,
    GatherNd,
    GatherElements,
    ScatterElements,
    ScatterNd,
    WriteRows,
    ArgReduce,
    TopK,
    Suppress,
    CumSum,
    ShapeOf,
    Range,
}

impl Kind {
    /// Every kind, as often as it is wanted.
    const KINDS: [Self; 39] = [
        Self::Elementwise,
        Self::Elementwise,
        Self::Elementwise,
        Self::Elementwise,
        Self::Elementwise,
        Self::Elementwise,
        Self::MatMul,
        Self::MatMul,
        Self::Attention,
        Self::Conv,
        Self::ConvTranspose,
        Self::Pool,
        Self::Resize,
        Self::Pad,
        Self::GroupNorm,
        Self::Reduce,
        Self::Reduce,
        Self::Softmax,
        Self::LayerNorm,
        Self::RmsNorm,
        Self::Rotary,
        Self::Reshape,
        Self::Transpose,
        Self::Expand,
        Self::Concat,
        Self::Slice,
        Self::Slice,
        Self::Gather,
        Self::GatherNd,
        Self::GatherElements,
        Self::ScatterElements,
        Self::ScatterNd,
        Self::WriteRows,
        Self::ArgReduce,
        Self::TopK,
        Self::Suppress,
        Self::CumSum,
        Self::ShapeOf,
        Self::Range,
    ];

    /// The kind of an op: a new op has to be given one, and with it a generator.
    #[cfg(test)]
    const fn of(op: &Op) -> Self {
        match op {
            Op::Elementwise(_) => Self::Elementwise,
            Op::MatMul(_) => Self::MatMul,
            Op::Attention(_) => Self::Attention,
            Op::Conv(_) => Self::Conv,
            Op::ConvTranspose(_) => Self::ConvTranspose,
            Op::Pool(_) => Self::Pool,
            Op::Resize(_) => Self::Resize,
            Op::Pad(_) => Self::Pad,
            Op::GroupNorm(_) => Self::GroupNorm,
            Op::Reduce(_) => Self::Reduce,
            Op::Softmax(_) => Self::Softmax,
            Op::LayerNorm(_) => Self::LayerNorm,
            Op::RmsNorm(_) => Self::RmsNorm,
            Op::Rotary(_) => Self::Rotary,
            Op::Reshape(_) => Self::Reshape,
            Op::Transpose(_) => Self::Transpose,
            Op::Expand(_) => Self::Expand,
            Op::Concat(_) => Self::Concat,
            Op::Slice(_) => Self::Slice,
            Op::Gather(_) => Self::Gather,
            Op::GatherNd(_) => Self::GatherNd,
            Op::GatherElements(_) => Self::GatherElements,
            Op::ScatterElements(_) => Self::ScatterElements,
            Op::ScatterNd(_) => Self::ScatterNd,
            Op::WriteRows(_) => Self::WriteRows,
            Op::ArgReduce(_) => Self::ArgReduce,
            Op::TopK(_) => Self::TopK,
            Op::Suppress(_) => Self::Suppress,
            Op::CumSum(_) => Self::CumSum,
            Op::ShapeOf(_) => Self::ShapeOf,
            Op::Range(_) => Self::Range,
        }
    }

    fn make(self, maker: &mut Maker<'_>) -> Made {
        match self {
            Self::Elementwise => elementwise(maker),
            Self::MatMul => matmul(maker),
            Self::Attention => attention(maker),
            Self::Conv => windows::conv(maker),
            Self::ConvTranspose => windows::conv_transpose(maker),
            Self::Pool => windows::pool(maker),
            Self::Resize => windows::resize(maker),
            Self::Pad => windows::pad(maker),
            Self::GroupNorm => group_norm(maker),
            Self::Reduce => reduce(maker),
            Self::Softmax => softmax(maker),
            Self::LayerNorm => layer_norm(maker),
            Self::RmsNorm => rms_norm(maker),
            Self::Rotary => rotary(maker),
            Self::Reshape => data_movement::reshape(maker),
            Self::Transpose => data_movement::transpose(maker),
            Self::Expand => data_movement::expand(maker),
            Self::Concat => data_movement::concat(maker),
            Self::Slice => data_movement::slice(maker),
            Self::Gather => data_movement::gather(maker),
            Self::GatherNd => data_movement::gather_nd(maker),
            Self::GatherElements => data_movement::gather_elements(maker),
            Self::ScatterElements => data_movement::scatter_elements(maker),
            Self::ScatterNd => data_movement::scatter_nd(maker),
            Self::WriteRows => data_movement::write_rows(maker),
            Self::ArgReduce => arg_reduce(maker),
            Self::TopK => top_k(maker),
            Self::Suppress => suppress(maker),
            Self::CumSum => cumsum(maker),
            Self::ShapeOf => data_movement::shape_of(maker),
            Self::Range => data_movement::range(maker),
        }
    }
}

/// Appends a node of a random kind.
pub(super) fn add(maker: &mut Maker<'_>) -> Made {
    maker.choices.of(&Kind::KINDS).make(maker)
}

fn is_any(_: ElementType) -> bool {
    true
}

pub(super) fn scalar_node(maker: &mut Maker<'_>, op: ScalarOp, inputs: &[ValueId]) -> Made {
    maker.add(Op::Elementwise(op), inputs)
}

/// A random scalar function.
pub(super) fn elementwise(maker: &mut Maker<'_>) -> Made {
    match maker.choices.pick(10) {
        0..=2 => {
            // The number of a small float jumps by an eighth of itself and more, wherever an operand is rounded otherwise.
            let all: Vec<UnaryOp> =
                UnaryOp::ALL.into_iter().filter(|op| !matches!(op, UnaryOp::Small(_))).collect();
            let op = ScalarOp::Unary(maker.choices.of(&all));
            let a = maker.any(0, |element| op.result_element(&[element]).is_ok())?;
            scalar_node(maker, op, &[a])
        }
        3..=6 => binary(maker),
        7 => {
            let a = maker.any(0, is_any)?;
            let to = maker.new_element(is_any)?;
            scalar_node(maker, ScalarOp::Cast(to), &[a])
        }
        8 => {
            let (min, max) = maker.choices.of(&[
                (0.0, 6.0),
                (-1.0, 1.0),
                (0.0, f64::INFINITY),
                (f64::NEG_INFINITY, 0.0),
                (f64::NEG_INFINITY, f64::INFINITY),
                (0.5, 2.5),
                (2.0, -1.0),
            ]);
            let a = maker.any(0, ElementType::is_number)?;
            scalar_node(maker, ScalarOp::Clip { min, max }, &[a])
        }
        _ => select(maker),
    }
}

fn binary(maker: &mut Maker<'_>) -> Made {
    let op = maker.choices.of(&BinaryOp::ALL);
    let a = maker.any(0, |element| ScalarOp::Binary(op).result_element(&[element; 2]).is_ok())?;
    let (element, shape) = (maker.element(a), maker.shape(a));
    let divides =
        matches!(op, BinaryOp::Div | BinaryOp::Rem | BinaryOp::Mod | BinaryOp::Pow) || op.is_bitwise();
    let part = maker.broadcasting(&shape);
    let b = if divides && !element.is_float() {
        maker.fresh_of(element, &part, Style::Positive)?
    } else if maker.choices.once_in(3) {
        maker.any(0, |other| other == element)?
    } else {
        maker.like(element, &part)?
    };
    let swapped = !divides && maker.choices.once_in(3);
    scalar_node(maker, ScalarOp::Binary(op), &if swapped { [b, a] } else { [a, b] })
}

fn select(maker: &mut Maker<'_>) -> Made {
    let a = maker.any(0, is_any)?;
    let (element, shape) = (maker.element(a), maker.shape(a));
    let part = maker.broadcasting(&shape);
    let b = maker.like(element, &part)?;
    let part = maker.broadcasting(&shape);
    let condition = maker.like(ElementType::Bool, &part)?;
    let choice = if maker.choices.once_in(2) { [a, b] } else { [b, a] };
    scalar_node(maker, ScalarOp::Select, &[condition, choice[0], choice[1]])
}

pub(super) fn matmul(maker: &mut Maker<'_>) -> Made {
    let a = maker.any(2, ElementType::is_number)?;
    matmul_of(maker, a)
}

pub(super) fn matmul_of(maker: &mut Maker<'_>, a: ValueId) -> Made {
    let (element, shape) = (maker.element(a), maker.shape(a));
    let (batch, matrix) = shape.split_at(shape.len().checked_sub(2)?);
    let columns = maker.size();
    let transpose_b = maker.choices.once_in(3);
    let mut b = if maker.choices.once_in(2) { maker.broadcasting(batch) } else { Vec::new() };
    let inner = matrix[1].clone();
    b.extend(if transpose_b { [columns, inner] } else { [inner, columns] });
    let b = maker.like(element, &b)?;
    maker.add(Op::MatMul(MatMul { transpose_b }), &[a, b])
}

pub(super) fn attention(maker: &mut Maker<'_>) -> Made {
    let element = maker.new_element(ElementType::is_float)?;
    let [batch, heads, queries, channels] = [(); 4].map(|()| Dim::Const(maker.few(8) + 1));
    let [keys, value_channels] = [(); 2].map(|()| Dim::Const(maker.few(8) + 1));
    let shared = Dim::Const(maker.divisor(heads.as_const()?));
    let shared_batch = if maker.choices.once_in(4) { Dim::Const(1) } else { batch.clone() };
    let mut operand = |sizes: [&Dim; 4]| {
        let axes = maker.choices.of(&[HEADS_FIRST, [0, 2, 1, 3], [1, 0, 2, 3], [0, 1, 3, 2]]);
        let mut shape = vec![Dim::Const(1); 4];
        for (at, &axis) in axes.iter().enumerate() {
            shape[axis] = sizes[at].clone();
        }
        Some((maker.like(element, &shape)?, axes))
    };
    let (q, q_axes) = operand([&batch, &heads, &queries, &channels])?;
    let (k, k_axes) = operand([&shared_batch, &shared, &keys, &channels])?;
    let (v, v_axes) = operand([&shared_batch, &shared, &keys, &value_channels])?;
    let mut inputs = vec![q, k, v];
    let mut scores = Vec::new();
    if maker.choices.once_in(2) {
        let factor = maker.choices.of(&[0.5, 0.125, 1.0, 2.0]);
        scores.push(Step {
            op: ScalarOp::Binary(BinaryOp::Mul),
            args: vec![StepArg::Result, StepArg::Const(factor)],
        });
    }
    if maker.choices.once_in(3) {
        let shape = maker.broadcasting(&[batch.clone(), heads, queries, keys]);
        inputs.push(maker.like(element, &shape)?);
        let before = if scores.is_empty() { StepArg::Result } else { StepArg::Step(0) };
        scores.push(Step { op: ScalarOp::Binary(BinaryOp::Add), args: vec![before, StepArg::Operand(0)] });
    }
    let bounds = [None, None, Some(0), Some(-1), Some(1), Some(-2)];
    let band = Band { min_offset: maker.choices.of(&bounds), max_offset: maker.choices.of(&bounds) };
    let y = maker.choices.of(&[HEADS_FIRST, [0, 2, 1, 3]]);
    let unseen_is_zero = maker.choices.once_in(2);
    let has_first = maker.choices.once_in(4);
    if has_first {
        let places: Vec<i64> = (0..batch.as_const()?).map(|_| maker.choices.of(&[0, 1, 3, -1, 9])).collect();
        let shape = [places.len() as u64, 1, 1, 1];
        let places = Tensor::from_i64_as(ElementType::I32, shape, &places).ok()?;
        inputs.push(maker.constant(places)?);
    }
    let op = Attention { q: q_axes, k: k_axes, v: v_axes, y, scores, unseen_is_zero, band, has_first };
    maker.add(Op::Attention(op), &inputs)
}

pub(super) fn axis(maker: &mut Maker<'_>, value: ValueId) -> usize {
    let rank = maker.shape(value).len();
    rank.saturating_sub(1 + maker.choices.pick(rank))
}

const EPSILONS: [f64; 4] = [1e-5, 1e-3, 1e-12, 0.0];

fn group_norm(maker: &mut Maker<'_>) -> Made {
    let x = maker.any(2, ElementType::is_float)?;
    let channels = maker.shape(x)[1].clone();
    let groups = maker.divisor(channels.as_const()?);
    let mut inputs = vec![x];
    for _ in 0..maker.choices.pick(3) {
        inputs.push(maker.like(maker.element(x), std::slice::from_ref(&channels))?);
    }
    let epsilon = maker.choices.of(&EPSILONS);
    maker.add(Op::GroupNorm(GroupNorm { groups, epsilon }), &inputs)
}

pub(super) fn reduce(maker: &mut Maker<'_>) -> Made {
    let kind = maker.choices.of(&ReduceKind::ALL);
    let takes = |element: ElementType| {
        element.is_float() || element.is_number() && !matches!(kind, ReduceKind::Mean | ReduceKind::L2)
    };
    let x = maker.any(0, takes)?;
    let rank = maker.shape(x).len();
    let axes = (0..rank).filter(|_| maker.choices.once_in(2)).collect();
    let keep_dims = maker.choices.once_in(2);
    maker.add(Op::Reduce(Reduce { kind, axes, keep_dims }), &[x])
}

fn softmax(maker: &mut Maker<'_>) -> Made {
    let x = maker.any(1, ElementType::is_float)?;
    let axis = axis(maker, x);
    maker.add(Op::Softmax(Softmax { axis }), &[x])
}

/// A parameter that broadcasts to the axes from `axis` on; f32 may stand beside f16.
fn parameter(maker: &mut Maker<'_>, x: ValueId, axis: usize) -> Made {
    let shape = maker.broadcasting(&maker.shape(x)[axis..]);
    let element = match maker.element(x) {
        ElementType::F16 if maker.choices.once_in(3) => ElementType::F32,
        element => element,
    };
    maker.like(element, &shape)
}

fn layer_norm(maker: &mut Maker<'_>) -> Made {
    let x = maker.any(1, ElementType::is_float)?;
    let axis = axis(maker, x);
    let mut inputs = vec![x, parameter(maker, x, axis)?];
    if maker.choices.once_in(2) {
        inputs.push(parameter(maker, x, axis)?);
    }
    let epsilon = maker.choices.of(&EPSILONS);
    maker.add(Op::LayerNorm(LayerNorm { axis, epsilon }), &inputs)
}

fn rms_norm(maker: &mut Maker<'_>) -> Made {
    let x = maker.any(1, ElementType::is_float)?;
    let axis = axis(maker, x);
    let scale = parameter(maker, x, axis)?;
    let epsilon = maker.choices.of(&EPSILONS);
    maker.add(Op::RmsNorm(RmsNorm { axis, epsilon }), &[x, scale])
}

fn rotary(maker: &mut Maker<'_>) -> Made {
    let x = maker.any(1, ElementType::is_float)?;
    let channels = *maker.sizes(x).last()?;
    if channels < 2 || maker.sizes(x).len() > 4 {
        return None;
    }
    let pairs = channels / 2 - maker.few(channels / 2);
    let turned = 2 * pairs;
    let mut shape = maker.shape(x);
    let last = shape.len() - 1;
    for size in &mut shape[..last] {
        if maker.choices.once_in(2) {
            *size = Dim::Const(1);
        }
    }
    shape[last] = Dim::Const(maker.choices.of(&[pairs, turned]));
    let [cosine, sine] = [maker.like(maker.element(x), &shape)?, maker.like(maker.element(x), &shape)?];
    let interleaved = maker.choices.once_in(2);
    maker.add(Op::Rotary(Rotary { turned, interleaved }), &[x, cosine, sine])
}

fn arg_reduce(maker: &mut Maker<'_>) -> Made {
    let x = maker.any(1, ElementType::is_number)?;
    let axis = axis(maker, x);
    let [largest, last, keep_dims] = [(); 3].map(|()| maker.choices.once_in(2));
    maker.add(Op::ArgReduce(ArgReduce { largest, axis, last, keep_dims }), &[x])
}

fn top_k(maker: &mut Maker<'_>) -> Made {
    let x = maker.any(1, ElementType::is_number)?;
    let most = *maker.sizes(x).last()?;
    let k = most - maker.few(most + 1);
    let largest = maker.choices.once_in(2);
    maker.add(Op::TopK(TopK { k, largest }), &[x])
}

/// Boxes whose corners are as far apart as a value's elements say, so that most of them overlap some other.
fn suppress(maker: &mut Maker<'_>) -> Made {
    let scores = maker.any(3, |element| element == ElementType::F32)?;
    let sizes = maker.sizes(scores);
    let &[images, classes, boxes] = sizes.as_slice() else { return None };
    let corners = maker.like(ElementType::F32, &[images, boxes, 4].map(Dim::Const))?;
    let candidates = maker.like(ElementType::I32, &[images, classes, boxes].map(Dim::Const))?;
    let most = maker.like(ElementType::F32, &[])?;
    let k = maker.few(boxes + 1);
    maker.add(Op::Suppress(Suppress { k }), &[corners, scores, candidates, most])
}

fn cumsum(maker: &mut Maker<'_>) -> Made {
    let x = maker.any(1, ElementType::is_number)?;
    let axis = axis(maker, x);
    let [exclusive, reverse] = [(); 2].map(|()| maker.choices.once_in(2));
    maker.add(Op::CumSum(CumSum { axis, exclusive, reverse }), &[x])
}

#[cfg(test)]
mod tests {
    use super::Kind;
    use crate::graphs::choices::Choices;
    use crate::graphs::generate::{Limits, case};
    use std::collections::BTreeSet;

    #[test]
    fn every_kind_of_op_is_made() {
        let mut made = BTreeSet::new();
        for seed in 0..2000 {
            let limits = Limits { specials: true, device: false, steps: 6 };
            let Some(case) = case(&mut Choices::seeded(seed), limits) else { continue };
            made.extend(case.graph.nodes().map(|id| Kind::of(&case.graph.node(id).op)));
        }
        let missing: Vec<Kind> = Kind::KINDS.into_iter().filter(|kind| !made.contains(kind)).collect();
        assert_eq!(missing, []);
    }
}

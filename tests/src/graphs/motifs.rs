//! Patterns of nodes that rules look for, with random deviations: some of them a rule has to take, some it has to leave.

use super::generate::Maker;
use super::ops::{self, axis, scalar_node};
use super::values::Style;
use super::{data_movement, windows};
use drift_ir::op::attention::{Attention, Band};
use drift_ir::op::{
    BinaryOp, Expand, Gather, GroupNorm, MatMul, Reduce, ReduceKind, Reshape, ScalarOp, Softmax, Transpose,
    UnaryOp,
};
use drift_ir::{Dim, ElementType, Op, ValueId};

type Made = Option<ValueId>;

/// Appends the nodes of a random pattern, as far as they go.
pub(super) fn add(maker: &mut Maker<'_>) -> Made {
    const ALL: [fn(&mut Maker<'_>) -> Made; 21] = [
        identity,
        casts,
        padded_window,
        scaled_conv,
        moved_data_movement,
        sunk_move,
        slices,
        gathered,
        activation,
        sigmoid,
        softmax,
        normalisation,
        group_norm,
        scaled_product,
        moved_product,
        sliced_product,
        expanded_operand,
        attention,
        projections,
        diamond,
        casts_around,
    ];
    let motif = maker.choices.pick(ALL.len());
    ALL[motif](maker)
}

fn binary(maker: &mut Maker<'_>, op: BinaryOp, a: ValueId, b: ValueId) -> Made {
    scalar_node(maker, ScalarOp::Binary(op), &[a, b])
}

/// The same with operands in either order where that changes nothing.
fn either(maker: &mut Maker<'_>, op: BinaryOp, a: ValueId, b: ValueId) -> Made {
    if maker.choices.once_in(3) { binary(maker, op, b, a) } else { binary(maker, op, a, b) }
}

fn unary(maker: &mut Maker<'_>, op: UnaryOp, a: ValueId) -> Made {
    scalar_node(maker, ScalarOp::Unary(op), &[a])
}

fn with_scalar(maker: &mut Maker<'_>, op: BinaryOp, a: ValueId, value: f64) -> Made {
    let constant = maker.scalar(maker.element(a), value)?;
    binary(maker, op, a, constant)
}

fn any_float(maker: &mut Maker<'_>, least: usize) -> Made {
    maker.any(least, ElementType::is_float)
}

fn identity(maker: &mut Maker<'_>) -> Made {
    let x = maker.any(0, ElementType::is_number)?;
    let (op, neutral) = maker.choices.of(&[
        (BinaryOp::Add, 0.0),
        (BinaryOp::Add, -0.0),
        (BinaryOp::Sub, 0.0),
        (BinaryOp::Sub, -0.0),
        (BinaryOp::Mul, 1.0),
        (BinaryOp::Mul, 0.0),
        (BinaryOp::Div, 1.0),
        (BinaryOp::Pow, 1.0),
        (BinaryOp::Pow, 0.0),
        (BinaryOp::Max, 0.0),
    ]);
    let result = with_scalar(maker, op, x, neutral)?;
    // Division tells zeros apart.
    if maker.element(x).is_float() && maker.choices.once_in(2) {
        return unary(maker, UnaryOp::Reciprocal, result);
    }
    Some(result)
}

fn casts(maker: &mut Maker<'_>) -> Made {
    let mut x = maker.any(0, |_| true)?;
    for _ in 0..2 + maker.choices.pick(2) {
        let to = maker.new_element(|_| true)?;
        x = scalar_node(maker, ScalarOp::Cast(to), &[x])?;
    }
    Some(x)
}

fn padded_window(maker: &mut Maker<'_>) -> Made {
    let mut x = windows::image(maker)?;
    if maker.choices.once_in(2) {
        x = unary(maker, UnaryOp::Relu, x)?;
    }
    let padded = windows::pad_pixels(maker, x)?;
    let pooled = if maker.choices.once_in(3) {
        windows::conv_of(maker, padded)?
    } else {
        windows::pool_of(maker, padded)?
    };
    if maker.choices.once_in(2) {
        let axes = (2..maker.sizes(pooled).len()).collect();
        return maker.add(Op::Reduce(Reduce { kind: ReduceKind::Mean, axes, keep_dims: true }), &[pooled]);
    }
    Some(pooled)
}

/// A parameter for each channel of an image, or something near that.
fn per_channel(maker: &mut Maker<'_>, x: ValueId) -> Made {
    let shape = maker.shape(x);
    let channels = shape.get(1)?.clone();
    let mut parameter = vec![Dim::Const(1); shape.len()];
    parameter[1] = channels;
    let parameter =
        if maker.choices.once_in(4) { maker.broadcasting(&shape) } else { parameter[1..].to_vec() };
    maker.fresh(maker.element(x), &parameter)
}

fn scaled_conv(maker: &mut Maker<'_>) -> Made {
    let mut x = windows::conv(maker)?;
    for _ in 0..=maker.choices.pick(2) {
        let parameter = per_channel(maker, x)?;
        let op = maker.choices.of(&[BinaryOp::Mul, BinaryOp::Add, BinaryOp::Sub, BinaryOp::Div]);
        x = either(maker, op, x, parameter)?;
    }
    Some(x)
}

fn moved_data_movement(maker: &mut Maker<'_>) -> Made {
    let mut x = maker.any(2, |_| true)?;
    for _ in 0..2 + maker.choices.pick(3) {
        x = if maker.choices.once_in(2) {
            data_movement::transpose_of(maker, x)?
        } else {
            data_movement::reshape_of(maker, x)?
        };
    }
    Some(x)
}

fn sunk_move(maker: &mut Maker<'_>) -> Made {
    let computed = maker.any(2, ElementType::is_number)?;
    let computed = unary(maker, UnaryOp::Neg, computed)?;
    let moved = if maker.choices.once_in(2) {
        data_movement::transpose_of(maker, computed)?
    } else {
        data_movement::reshape_of(maker, computed)?
    };
    let (element, shape) = (maker.element(moved), maker.shape(moved));
    let part = maker.broadcasting(&shape);
    let other = maker.fresh(element, &part)?;
    either(maker, BinaryOp::Sub, moved, other)
}

fn slices(maker: &mut Maker<'_>) -> Made {
    let mut x = maker.any(1, |_| true)?;
    for _ in 0..2 + maker.choices.pick(2) {
        x = match maker.choices.pick(3) {
            0 | 1 => data_movement::slice_of(maker, x)?,
            _ => data_movement::concat_of(maker, x)?,
        };
    }
    Some(x)
}

fn gathered(maker: &mut Maker<'_>) -> Made {
    let x = maker.any(1, |_| true)?;
    let axis = axis(maker, x);
    let size = maker.sizes(x)[axis];
    let indices = data_movement::even_places(maker, size)?;
    maker.add(Op::Gather(Gather { axis }), &[x, indices])
}

fn activation(maker: &mut Maker<'_>) -> Made {
    let x = any_float(maker, 0)?;
    let tanh = maker.choices.once_in(2);
    let inner = if tanh {
        let cube = with_scalar(maker, BinaryOp::Pow, x, 3.0)?;
        let scaled = with_scalar(maker, BinaryOp::Mul, cube, 0.044_715)?;
        let sum = either(maker, BinaryOp::Add, x, scaled)?;
        with_scalar(maker, BinaryOp::Mul, sum, 0.797_884_56)?
    } else {
        with_scalar(maker, BinaryOp::Div, x, std::f64::consts::SQRT_2)?
    };
    let core = unary(maker, if tanh { UnaryOp::Tanh } else { UnaryOp::Erf }, inner)?;
    let one = maker.choices.of(&[1.0, 1.0, 1.0, 2.0]);
    let shifted = with_scalar(maker, BinaryOp::Add, core, one)?;
    if maker.choices.once_in(2) {
        let product = either(maker, BinaryOp::Mul, x, shifted)?;
        return with_scalar(maker, BinaryOp::Mul, product, 0.5);
    }
    let half = with_scalar(maker, BinaryOp::Mul, x, 0.5)?;
    either(maker, BinaryOp::Mul, half, shifted)
}

fn sigmoid(maker: &mut Maker<'_>) -> Made {
    let x = any_float(maker, 0)?;
    let negated = unary(maker, UnaryOp::Neg, x)?;
    let exponential = unary(maker, UnaryOp::Exp, negated)?;
    let denominator = with_scalar(maker, BinaryOp::Add, exponential, 1.0)?;
    let sigmoid = match maker.choices.pick(3) {
        0 => unary(maker, UnaryOp::Reciprocal, denominator)?,
        1 => binary(maker, BinaryOp::Div, x, denominator)?,
        _ => unary(maker, UnaryOp::Sigmoid, x)?,
    };
    if maker.choices.once_in(2) { either(maker, BinaryOp::Mul, sigmoid, x) } else { Some(sigmoid) }
}

fn reduced(maker: &mut Maker<'_>, x: ValueId, kind: ReduceKind, axes: &[usize]) -> Made {
    maker.add(Op::Reduce(Reduce { kind, axes: axes.to_vec(), keep_dims: true }), &[x])
}

fn softmax(maker: &mut Maker<'_>) -> Made {
    let x = any_float(maker, 1)?;
    let axis = axis(maker, x);
    let mut shifted = x;
    if maker.choices.once_in(2) {
        let most = reduced(maker, x, ReduceKind::Max, &[axis])?;
        shifted = binary(maker, BinaryOp::Sub, x, most)?;
    }
    let exponential = unary(maker, UnaryOp::Exp, shifted)?;
    let sum = reduced(maker, exponential, ReduceKind::Sum, &[axis])?;
    binary(maker, BinaryOp::Div, exponential, sum)
}

/// Layer and root-mean-square normalisation, with a scale and a bias behind.
fn normalisation(maker: &mut Maker<'_>) -> Made {
    let x = any_float(maker, 1)?;
    let axis = axis(maker, x);
    let rank = maker.shape(x).len();
    let axes: Vec<usize> = if maker.choices.once_in(4) { vec![axis] } else { (axis..rank).collect() };
    let centred = if maker.choices.once_in(2) {
        let mean = reduced(maker, x, ReduceKind::Mean, &axes)?;
        binary(maker, BinaryOp::Sub, x, mean)?
    } else {
        x
    };
    let square = if maker.choices.once_in(2) {
        with_scalar(maker, BinaryOp::Pow, centred, 2.0)?
    } else {
        binary(maker, BinaryOp::Mul, centred, centred)?
    };
    let mean = reduced(maker, square, ReduceKind::Mean, &axes)?;
    let epsilon = maker.choices.of(&[1e-5, 1e-3, 1e-12]);
    let sum = with_scalar(maker, BinaryOp::Add, mean, epsilon)?;
    let root = unary(maker, UnaryOp::Sqrt, sum)?;
    let mut result = if maker.choices.once_in(2) {
        let inverse = unary(maker, UnaryOp::Reciprocal, root)?;
        either(maker, BinaryOp::Mul, centred, inverse)?
    } else {
        binary(maker, BinaryOp::Div, centred, root)?
    };
    for op in [BinaryOp::Mul, BinaryOp::Add].into_iter().take(maker.choices.pick(3)) {
        let shape = maker.shape(x)[axis..].to_vec();
        let parameter = maker.fresh(maker.element(x), &shape)?;
        result = either(maker, op, result, parameter)?;
    }
    Some(result)
}

fn group_norm(maker: &mut Maker<'_>) -> Made {
    let x = windows::image(maker)?;
    let (shape, sizes) = (maker.shape(x), maker.sizes(x));
    let groups = maker.divisor(sizes[1]);
    let rest = sizes[1..].iter().product::<u64>() / groups.max(1);
    let rows = vec![shape[0].clone(), Dim::Const(groups), Dim::Const(rest)];
    let reshaped = maker.add(Op::Reshape(Reshape { shape: rows }), &[x])?;
    let epsilon = 1e-5;
    let normal = maker.add(Op::GroupNorm(GroupNorm { groups, epsilon }), &[reshaped])?;
    let mut result = maker.add(Op::Reshape(Reshape { shape }), &[normal])?;
    for op in [BinaryOp::Mul, BinaryOp::Add].into_iter().take(maker.choices.pick(3)) {
        let parameter = per_channel(maker, x)?;
        result = either(maker, op, result, parameter)?;
    }
    Some(result)
}

fn scaled_product(maker: &mut Maker<'_>) -> Made {
    let a = any_float(maker, 2)?;
    let factor = maker.choices.of(&[0.5, 0.125, 2.0, 1e-3, 0.0, 1e20, 1e-30]);
    let op = maker.choices.of(&[BinaryOp::Mul, BinaryOp::Div]);
    let a = with_scalar(maker, op, a, factor)?;
    ops::matmul_of(maker, a)
}

fn moved_product(maker: &mut Maker<'_>) -> Made {
    let a = any_float(maker, 2)?;
    let shape = maker.shape(a);
    let columns = maker.size();
    let mut b = shape[..shape.len() - 2].to_vec();
    b.extend([columns, shape[shape.len() - 1].clone()]);
    let b = maker.like(maker.element(a), &b)?;
    let mut perm: Vec<usize> = (0..shape.len()).collect();
    perm.swap(shape.len() - 1, shape.len() - 2);
    if maker.choices.once_in(4) {
        return data_movement::transpose_of(maker, b);
    }
    let moved = maker.add(Op::Transpose(Transpose { perm }), &[b])?;
    maker.add(Op::MatMul(MatMul { transpose_b: false }), &[a, moved])
}

fn sliced_product(maker: &mut Maker<'_>) -> Made {
    let a = any_float(maker, 2)?;
    let inner = maker.shape(a).last()?.clone();
    let columns = maker.choices.of(&[4, 6, 8]);
    let element = maker.element(a);
    let b = maker.fresh_of(element, &[inner, Dim::Const(columns)], Style::Ordinary)?;
    let mut product = maker.add(Op::MatMul(MatMul { transpose_b: false }), &[a, b])?;
    if maker.choices.once_in(2) {
        let bias = maker.fresh(element, &[Dim::Const(columns)])?;
        product = either(maker, BinaryOp::Add, product, bias)?;
    }
    let axis = maker.shape(product).len() - 1;
    let half = columns / 2;
    let mut parts = Vec::new();
    for start in [0, half - maker.choices.of(&[0, 0, 0, 1])] {
        let cut = drift_ir::op::data::SliceAxis { axis, start, step: 1, count: Dim::Const(half) };
        parts.push(maker.add(Op::Slice(drift_ir::op::Slice { axes: vec![cut] }), &[product])?);
    }
    binary(maker, BinaryOp::Mul, parts[0], parts[1])
}

fn expanded_operand(maker: &mut Maker<'_>) -> Made {
    let x = maker.any(1, ElementType::is_number)?;
    let wide = data_movement::expand_of(maker, x)?;
    if maker.element(x).is_float() && maker.shape(wide).len() > 1 && maker.choices.once_in(2) {
        return ops::matmul_of(maker, wide);
    }
    let (element, shape) = (maker.element(wide), maker.shape(wide));
    let other = maker.like(element, &shape)?;
    either(maker, BinaryOp::Add, wide, other)
}

/// Two products around a softmax, with scales, masks, repeated heads and data movement.
fn attention(maker: &mut Maker<'_>) -> Made {
    let element = maker.new_element(ElementType::is_float)?;
    let [batch, heads, queries, keys] = [(); 4].map(|()| maker.few(8) + 1);
    let channels = maker.choices.of(&[2, 4]);
    let shape = |sizes: [u64; 4]| sizes.map(Dim::Const);
    let q = if maker.choices.once_in(3) {
        let rows = maker.fresh(element, &shape([batch, queries, heads, channels]))?;
        maker.add(Op::Transpose(Transpose { perm: vec![0, 2, 1, 3] }), &[rows])?
    } else {
        maker.fresh(element, &shape([batch, heads, queries, channels]))?
    };
    let groups = maker.divisor(heads);
    let [k, v] = [(); 2].map(|()| repeated(maker, element, [batch, groups, keys, channels], heads / groups));
    let mut scores = if maker.choices.once_in(2) {
        let perm = vec![0, 1, 3, 2];
        let moved = maker.add(Op::Transpose(Transpose { perm }), &[k?])?;
        maker.add(Op::MatMul(MatMul { transpose_b: false }), &[q, moved])?
    } else {
        maker.add(Op::MatMul(MatMul { transpose_b: true }), &[q, k?])?
    };
    if maker.choices.once_in(2) {
        scores = with_scalar(maker, BinaryOp::Mul, scores, 0.5)?;
    }
    if maker.choices.once_in(2) {
        let mask = band_mask(maker, element, queries, keys)?;
        scores = either(maker, BinaryOp::Add, scores, mask)?;
    }
    let weights = maker.add(Op::Softmax(Softmax { axis: 3 }), &[scores])?;
    let result = maker.add(Op::MatMul(MatMul { transpose_b: false }), &[weights, v?])?;
    if maker.choices.once_in(2) {
        return maker.add(Op::Transpose(Transpose { perm: vec![0, 2, 1, 3] }), &[result]);
    }
    Some(result)
}

/// Queries, keys and values as products of one tensor.
fn projections(maker: &mut Maker<'_>) -> Made {
    let element = maker.new_element(ElementType::is_float)?;
    let rows = maker.few(4) + 1;
    let x = maker.fresh(element, &[1, rows, 4].map(Dim::Const))?;
    let mut heads = Vec::new();
    for _ in 0..3 {
        let weights = maker.fresh(element, &[4, 4].map(Dim::Const))?;
        let mut product = maker.add(Op::MatMul(MatMul { transpose_b: false }), &[x, weights])?;
        if maker.choices.once_in(2) {
            let bias = maker.fresh(element, &[Dim::Const(4)])?;
            product = either(maker, BinaryOp::Add, product, bias)?;
        }
        let shape = [1, rows, 2, 2].map(Dim::Const).to_vec();
        heads.push(maker.add(Op::Reshape(Reshape { shape }), &[product])?);
    }
    let axes = [0, 2, 1, 3];
    let op = Attention {
        q: axes,
        k: axes,
        v: axes,
        y: axes,
        scores: Vec::new(),
        unseen_is_zero: false,
        band: Band::default(),
        has_first: false,
    };
    maker.add(Op::Attention(op), &heads)
}

/// Keys or values whose heads several heads of the queries share.
fn repeated(maker: &mut Maker<'_>, element: ElementType, own: [u64; 4], times: u64) -> Made {
    let [batch, heads, rows, channels] = own;
    let x = maker.fresh(element, &own.map(Dim::Const))?;
    if times == 1 {
        return Some(x);
    }
    let shape = |sizes: &[u64]| sizes.iter().copied().map(Dim::Const).collect::<Vec<Dim>>();
    let single = Reshape { shape: shape(&[batch, heads, 1, rows, channels]) };
    let wide = Expand { shape: shape(&[batch, heads, times, rows, channels]) };
    let merged = Reshape { shape: shape(&[batch, heads * times, rows, channels]) };
    let x = maker.add(Op::Reshape(single), &[x])?;
    let x = maker.add(Op::Expand(wide), &[x])?;
    maker.add(Op::Reshape(merged), &[x])
}

/// A constant that hides keys beyond some distance, or nearly.
fn band_mask(maker: &mut Maker<'_>, element: ElementType, queries: u64, keys: u64) -> Made {
    let low = maker.choices.of(&[f64::NEG_INFINITY, -65504.0, f64::from(f32::MIN), -1e4]);
    let last = maker.choices.of(&[0, 1, -1, 2]);
    let first = maker.choices.of(&[i64::MIN, -1, 0]);
    let places = (0..queries as i64).flat_map(|query| (0..keys as i64).map(move |key| key - query));
    let hidden = |distance: i64| distance > last || distance < first;
    let values: Vec<f64> = places.map(|distance| if hidden(distance) { low } else { 0.0 }).collect();
    maker.constant(drift_ir::Tensor::from_f64_as(element, [queries, keys], &values).ok()?)
}

fn diamond(maker: &mut Maker<'_>) -> Made {
    let p = ops::matmul(maker)?;
    let f = unary(maker, UnaryOp::Abs, p)?;
    let op = maker.choices.of(&[BinaryOp::Add, BinaryOp::Mul, BinaryOp::Sub, BinaryOp::Max]);
    either(maker, op, p, f)
}

/// What accumulates in f32, between casts from f16 and back.
fn casts_around(maker: &mut Maker<'_>) -> Made {
    let x = maker.any(1, |element| element == ElementType::F16)?;
    let wide = scalar_node(maker, ScalarOp::Cast(ElementType::F32), &[x])?;
    let axis = axis(maker, wide);
    let inner = if maker.choices.once_in(2) {
        maker.add(Op::Softmax(Softmax { axis }), &[wide])?
    } else {
        let kind = maker.choices.of(&ReduceKind::ALL);
        reduced(maker, wide, kind, &[axis])?
    };
    scalar_node(maker, ScalarOp::Cast(ElementType::F16), &[inner])
}

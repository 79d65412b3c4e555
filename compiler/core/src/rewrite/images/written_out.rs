//! What no kernel computes over images, by ops that kernels compute: convolutions whose weights are data or that have three
//! spatial axes as products of unfolded images, transposed ones as convolutions of images with gaps, pools over three axes
//! one after the other.

use crate::rewrite::declined::Declined;
use crate::rewrite::edit;
use crate::rewrite::rule::{Apply, Outcome, Rule, at};
use drift_ir::op::data::SliceAxis;
use drift_ir::op::{BinaryOp, Concat, Conv, MatMul, Pad, PadMode, Pool, Reshape, ScalarOp, Slice, Transpose};
use drift_ir::{Dim, Graph, NodeId, Op, ValueDef, ValueId};

/// `conv(x, w)   =>   matmul(w, unfolded x)`
pub(in crate::rewrite) const CONV_BY_PRODUCT: Rule = Rule {
    name: "conv-by-product",
    picture: "conv(x, w) => matmul(w, what each tap sees of x), when w is data and the conv has groups or few results, or over three \
              spatial axes",
    apply: Apply::Node(at::CONV, conv_by_product),
};

/// `conv_transpose(x, w)   =>   conv(x with gaps, w turned round)`
pub(in crate::rewrite) const CONV_TRANSPOSE_BY_CONV: Rule = Rule {
    name: "conv-transpose-by-conv",
    picture: "conv_transpose(x, w) => conv(x with gaps of zeros, w turned round), when w is data, or over three spatial axes",
    apply: Apply::Node(|op| matches!(op, Op::ConvTranspose(_)), conv_transpose_by_conv),
};

/// `pool x   =>   pool(pool x)`
pub(in crate::rewrite) const POOL_BY_AXES: Rule = Rule {
    name: "pool-by-axes",
    picture: "pool over three spatial axes => pool over the first of a pool over the other two",
    apply: Apply::Node(at::POOL, pool_by_axes),
};

/// Most taps whose images are put side by side.
const MOST_TAPS: u64 = 1 << 10;
/// Most elements of an unfolded image.
const MOST_ELEMENTS: u64 = 1 << 28;
/// Up to as many results the kernel for weights that are data is not to be had.
const FEW_RESULTS: u64 = 8;
/// Producers that are looked at to find out whether a value is data.
const LOOKED_AT: usize = 64;

/// Whether a value depends on an input of the model.
fn is_data(graph: &Graph, value: ValueId) -> bool {
    let (mut open, mut left) = (vec![value], LOOKED_AT);
    while let Some(value) = open.pop() {
        match &graph.value(value).def {
            ValueDef::Input(_) => return true,
            ValueDef::Constant(_) => {}
            ValueDef::Node { .. } if left == 0 => return false,
            ValueDef::Node { .. } => {
                left -= 1;
                open.extend(graph.producer(value).into_iter().flat_map(|node| graph.node(node).operands()));
            }
        }
    }
    false
}

fn shape_of(graph: &Graph, value: ValueId) -> Option<Vec<u64>> {
    graph.value(value).ty.static_shape()
}

/// Adds a node before another. What is made of operands that stay f32, such as integers whose sums are exact, stays f32, too.
fn insert(
    graph: &mut Graph,
    at: NodeId,
    what: &str,
    op: Op,
    inputs: &[ValueId],
) -> Result<ValueId, Declined> {
    let made = edit::insert_named(graph, at, what, op, inputs)?;
    if graph.node(at).inputs.iter().any(|&input| graph.is_single(input)) {
        graph.keep_single(made);
    }
    Ok(made)
}

fn reshape(graph: &mut Graph, at: NodeId, x: ValueId, shape: &[u64]) -> Result<ValueId, Declined> {
    let shape = shape.iter().map(|&size| Dim::Const(size)).collect();
    insert(graph, at, "shape", Op::Reshape(Reshape { shape }), &[x])
}

fn slice(graph: &mut Graph, at: NodeId, x: ValueId, axes: Vec<SliceAxis>) -> Result<ValueId, Declined> {
    insert(graph, at, "part", Op::Slice(Slice { axes }), &[x])
}

fn padded(graph: &mut Graph, at: NodeId, x: ValueId, pads: Vec<u64>) -> Result<ValueId, Declined> {
    if pads.iter().all(|&pad| pad == 0) {
        return Ok(x);
    }
    insert(graph, at, "padded", Op::Pad(Pad { mode: PadMode::Constant(0.0), pads }), &[x])
}

/// Padding of spatial axes as that of all.
fn of_all_axes(pads: &[u64]) -> Vec<u64> {
    let (begins, ends) = pads.split_at(pads.len() / 2);
    [&[0, 0], begins, &[0, 0], ends].concat()
}

fn conv_by_product(graph: &mut Graph, node: NodeId) -> Outcome {
    let subject = graph.node(node);
    let Op::Conv(conv) = subject.op.clone() else { return Ok(false) };
    if !subject.epilogue.is_empty() || !graph.value(subject.inputs[0]).ty.element.is_float() {
        return Ok(false);
    }
    let (x, w, bias) = (subject.inputs[0], subject.inputs[1], subject.inputs.get(2).copied());
    let shapes = [x, w, subject.outputs[0]].map(|value| shape_of(graph, value));
    let [Some(_), Some(weights), Some(result)] = shapes else { return Ok(false) };
    let spatial = conv.strides.len();
    let is_hard = conv.groups > 1 || result[1] <= FEW_RESULTS;
    if spatial < 3 && !(is_hard && is_data(graph, w)) {
        return Ok(false);
    }
    let taps: u64 = weights[2..].iter().product();
    let pixels: u64 = result[2..].iter().product();
    let (groups, outputs, inputs) = (conv.groups, result[1] / conv.groups, weights[1]);
    let unfolded = [result[0], groups, inputs, taps, pixels];
    let elements = unfolded.iter().try_fold(1_u64, |all, &size| all.checked_mul(size));
    if taps == 0 || taps > MOST_TAPS || elements.is_none_or(|elements| elements > MOST_ELEMENTS) {
        return Err(Declined::TooLarge { what: "the unfolded image" });
    }
    let x = padded(graph, node, x, of_all_axes(&conv.pads))?;
    let mut images = Vec::new();
    for tap in 0..taps {
        let image = slice(graph, node, x, seen(&conv, tap, &weights[2..], &result[2..]))?;
        images.push(reshape(graph, node, image, &[result[0], groups, inputs, pixels])?);
    }
    let columns = match images[..] {
        [only] => only,
        _ => insert(graph, node, "columns", Op::Concat(Concat { axis: 2 }), &images)?,
    };
    // Rows of weights as columns of the image: taps outermost.
    let w = reshape(graph, node, w, &[groups * outputs, inputs, taps])?;
    let w = insert(graph, node, "taps", Op::Transpose(Transpose { perm: vec![0, 2, 1] }), &[w])?;
    let w = reshape(graph, node, w, &[1, groups, outputs, taps * inputs])?;
    let product = insert(graph, node, "product", Op::MatMul(MatMul::default()), &[w, columns])?;
    let last = Op::Reshape(Reshape { shape: result.iter().map(|&size| Dim::Const(size)).collect() });
    let Some(bias) = bias else { return edit::set_op(graph, node, last, &[product]) };
    let image = insert(graph, node, "image", last, &[product])?;
    let mut along = vec![1; spatial + 1];
    along[0] = result[1];
    let bias = reshape(graph, node, bias, &along)?;
    edit::set_op(graph, node, Op::Elementwise(ScalarOp::Binary(BinaryOp::Add)), &[image, bias])
}

/// What a tap sees of a padded image.
fn seen(conv: &Conv, tap: u64, kernel: &[u64], result: &[u64]) -> Vec<SliceAxis> {
    let mut axes = Vec::new();
    let mut rest = tap;
    for axis in (0..kernel.len()).rev() {
        let start = rest % kernel[axis] * conv.dilations[axis];
        rest /= kernel[axis];
        let (step, count) = (conv.strides[axis] as i64, Dim::Const(result[axis]));
        // One element is taken in any step.
        let step = if result[axis] < 2 { 1 } else { step };
        axes.push(SliceAxis { axis: axis + 2, start, step, count });
    }
    axes.reverse();
    axes
}

fn conv_transpose_by_conv(graph: &mut Graph, node: NodeId) -> Outcome {
    let subject = graph.node(node);
    let Op::ConvTranspose(op) = subject.op.clone() else { return Ok(false) };
    let (x, w, bias) = (subject.inputs[0], subject.inputs[1], subject.inputs.get(2).copied());
    let (Some(image), Some(weights)) = (shape_of(graph, x), shape_of(graph, w)) else { return Ok(false) };
    let spatial = op.strides.len();
    if !subject.epilogue.is_empty() || spatial < 3 && !is_data(graph, w) || image.contains(&0) {
        return Ok(false);
    }
    let x = with_gaps(graph, node, x, &op.strides)?;
    // What the taps reach beyond the image, less what is cut off.
    let (mut pads, mut cuts) = (vec![0; 2 * spatial], Vec::new());
    for axis in 0..spatial {
        let reach = op.dilations[axis] * (weights[axis + 2] - 1);
        let size = (image[axis + 2] - 1) * op.strides[axis] + 1;
        let end = reach + op.output_padding[axis];
        let (first, last) = (op.pads[axis], op.pads[spatial + axis]);
        pads[axis] = reach.saturating_sub(first);
        pads[spatial + axis] = end.saturating_sub(last);
        let (before, behind) = (first.saturating_sub(reach), last.saturating_sub(end));
        if before + behind >= size {
            return Err(Declined::TooLarge { what: "the padding that is cut off" });
        }
        if before + behind > 0 {
            let count = Dim::Const(size - before - behind);
            cuts.push(SliceAxis { axis: axis + 2, start: before, step: 1, count });
        }
    }
    let x = if cuts.is_empty() { x } else { slice(graph, node, x, cuts)? };
    let w = turned(graph, node, w, &weights, op.groups)?;
    let conv = Conv { strides: vec![1; spatial], pads, dilations: op.dilations, groups: op.groups };
    let inputs: Vec<ValueId> = [Some(x), Some(w), bias].into_iter().flatten().collect();
    edit::set_op(graph, node, Op::Conv(conv), &inputs)
}

/// An image with zeros between its elements, so that they are `strides` apart.
fn with_gaps(graph: &mut Graph, node: NodeId, mut x: ValueId, strides: &[u64]) -> Result<ValueId, Declined> {
    for (axis, &stride) in strides.iter().enumerate().filter(|(_, stride)| **stride > 1) {
        let Some(shape) = shape_of(graph, x) else { return Ok(x) };
        let (before, size, behind) = (&shape[..axis + 2], shape[axis + 2], &shape[axis + 3..]);
        let outer: u64 = before.iter().product();
        let inner: u64 = behind.iter().product();
        let apart = reshape(graph, node, x, &[outer * size, 1, inner])?;
        let apart = padded(graph, node, apart, vec![0, 0, 0, 0, stride - 1, 0])?;
        let wide = [before, &[size * stride], behind].concat();
        let wide = reshape(graph, node, apart, &wide)?;
        let count = Dim::Const((size - 1) * stride + 1);
        x = slice(graph, node, wide, vec![SliceAxis { axis: axis + 2, start: 0, step: 1, count }])?;
    }
    Ok(x)
}

/// Weights of a transposed convolution as those of a convolution: results before inputs, taps from the last to the first.
fn turned(
    graph: &mut Graph,
    node: NodeId,
    w: ValueId,
    shape: &[u64],
    groups: u64,
) -> Result<ValueId, Declined> {
    let (inputs, outputs, kernel) = (shape[0] / groups, shape[1], &shape[2..]);
    let taps: u64 = kernel.iter().product();
    let w = reshape(graph, node, w, &[groups, inputs, outputs, taps])?;
    let perm = vec![0, 2, 1, 3];
    let w = insert(graph, node, "swapped", Op::Transpose(Transpose { perm }), &[w])?;
    let w = reshape(graph, node, w, &[&[groups * outputs, inputs], kernel].concat())?;
    let turn = |(axis, &size): (usize, &u64)| {
        (size > 1).then_some(SliceAxis { axis: axis + 2, start: size - 1, step: -1, count: Dim::Const(size) })
    };
    let axes: Vec<SliceAxis> = kernel.iter().enumerate().filter_map(turn).collect();
    if axes.is_empty() { Ok(w) } else { slice(graph, node, w, axes) }
}

fn pool_by_axes(graph: &mut Graph, node: NodeId) -> Outcome {
    let subject = graph.node(node);
    let Op::Pool(pool) = subject.op.clone() else { return Ok(false) };
    let (x, result) = (subject.inputs[0], subject.outputs[0]);
    let (Some(shape), Some(result)) = (shape_of(graph, x), shape_of(graph, result)) else { return Ok(false) };
    if pool.kernel.len() != 3 || !subject.epilogue.is_empty() {
        return Ok(false);
    }
    let of = |axes: std::ops::Range<usize>| Pool {
        kernel: pool.kernel[axes.clone()].to_vec(),
        strides: pool.strides[axes.clone()].to_vec(),
        pads: [&pool.pads[axes.clone()], &pool.pads[axes.start + 3..axes.end + 3]].concat(),
        dilations: pool.dilations[axes].to_vec(),
        ..pool.clone()
    };
    let (n, c, depth) = (shape[0], shape[1], shape[2]);
    let pixels = result[3] * result[4];
    let planes = reshape(graph, node, x, &[n, c * depth, shape[3], shape[4]])?;
    let planes = insert(graph, node, "planes", Op::Pool(of(1..3)), &[planes])?;
    let lines = reshape(graph, node, planes, &[n, c, depth, pixels])?;
    let mut line = of(0..1);
    for list in [&mut line.kernel, &mut line.strides, &mut line.dilations] {
        list.push(1);
    }
    line.pads = vec![line.pads[0], 0, line.pads[1], 0];
    let lines = insert(graph, node, "lines", Op::Pool(line), &[lines])?;
    let last = Op::Reshape(Reshape { shape: result.iter().map(|&size| Dim::Const(size)).collect() });
    edit::set_op(graph, node, last, &[lines])
}

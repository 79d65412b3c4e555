//! Writes ops that walk along a row as ops over its parts, where a workgroup a row is too little: more rounds of a loop than are
//! sure to run, or a device that would idle. Norms and softmax become reductions, which selection splits, and element-wise
//! functions; running sums and searches become the same over chunks, and over what the chunks give.

use super::declined::Declined;
use super::edit::insert_named as insert;
use super::rule::{Apply, At, Device, DeviceOutcome, Rule};
use crate::estimate::wants_parts;
use crate::profile::Profile;
use drift_ir::op::{
    ArgReduce, BinaryOp, CumSum, GatherElements, LayerNorm, Pad, PadMode, Reduce, ReduceKind, Reshape,
    RmsNorm, ScalarOp, Slice, Softmax, Step, StepArg, UnaryOp,
};
use drift_ir::{Dim, ElementType, Graph, NodeId, Op, Tensor, ValueId};

/// `softmax x, layer_norm x, rms_norm x, arg_max x, cumsum x   =>   the same over parts of the row` where it is too long
pub(super) const LONG_WALKS_IN_PARTS: Rule = Rule {
    name: "long-walks-in-parts",
    picture: "softmax, normalisation, search or running sum along a row => ops over its parts, when the row is too long for one \
              workgroup",
    apply: Apply::Device(WALKS, in_workgroups),
};

/// Ops whose kernels walk along a row in one workgroup.
const WALKS: At =
    |op| matches!(op, Op::Softmax(_) | Op::LayerNorm(_) | Op::RmsNorm(_) | Op::ArgReduce(_) | Op::CumSum(_));

/// Elements that an invocation of a row's workgroup takes in a round, times invocations.
const ROW_ROUND: u64 = 4 * 256;

fn in_workgroups(graph: &mut Graph, node: NodeId, device: &Device<'_>) -> DeviceOutcome {
    if !is_long(graph, node, device.profile) {
        return Ok(None);
    }
    write_out(graph, node)?;
    Ok(Some(String::new()))
}

/// Whether a node's own kernel would walk too far.
fn is_long(graph: &Graph, id: NodeId, profile: &Profile) -> bool {
    let node = graph.node(id);
    let shape = || graph.value(*node.inputs.first()?).ty.static_shape();
    let around = |axis: usize| shape().map(|shape| Around::of(&shape, axis..axis + 1));
    let row = |axis: usize| shape().map(|shape| Around::of(&shape, axis..shape.len()));
    let long = match &node.op {
        Op::Softmax(op) => around(op.axis).map(|Around { outer, count, inner }| match inner {
            1 => wants_parts(profile, outer, count.div_ceil(ROW_ROUND), 3),
            _ => {
                let slices = inner.div_ceil(4);
                let across = slices.next_power_of_two().min(32);
                wants_parts(profile, outer * slices.div_ceil(across), count.div_ceil(256 / across), 3)
            }
        }),
        Op::LayerNorm(op) => {
            row(op.axis).map(|row| wants_parts(profile, row.outer, row.count.div_ceil(ROW_ROUND), 3))
        }
        Op::RmsNorm(op) => {
            row(op.axis).map(|row| wants_parts(profile, row.outer, row.count.div_ceil(ROW_ROUND), 2))
        }
        Op::ArgReduce(op) => around(op.axis).map(|Around { outer, count, inner }| {
            wants_parts(profile, outer * inner.div_ceil(4), count.div_ceil(128), 1)
        }),
        // Sums go one after another, and so in an eighth of the rounds as long.
        Op::CumSum(op) => around(op.axis).map(|Around { outer, count, inner }| match inner {
            1 => wants_parts(profile, outer, count.div_ceil(4 * 64).div_ceil(4), 8),
            _ => wants_parts(profile, (outer * inner.div_ceil(4)).div_ceil(64), count.div_ceil(8), 8),
        }),
        // Not one of `WALKS`.
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
        | Op::Rotary(_)
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
        | Op::TopK(_)
        | Op::Suppress(_)
        | Op::ShapeOf(_)
        | Op::Range(_) => None,
    };
    long.unwrap_or(false)
}

/// A shape around some axes: what is outside of them, they themselves, and what is inside.
struct Around {
    outer: u64,
    count: u64,
    inner: u64,
}

impl Around {
    fn of(shape: &[u64], axes: std::ops::Range<usize>) -> Self {
        let size = |axes: &[u64]| axes.iter().product::<u64>();
        Self {
            outer: size(&shape[..axes.start]),
            count: size(&shape[axes.clone()]),
            inner: size(&shape[axes.end..]),
        }
    }

    /// Parts and the size of each: near the root of `count`, and without a remainder where there is such a size.
    fn parts(&self) -> [u64; 2] {
        let ideal = self.count.isqrt().max(1);
        let even = ((ideal / 4).max(1)..=ideal * 4).filter(|&size| self.count.is_multiple_of(size));
        let size = even.min_by_key(|size| size.abs_diff(ideal)).unwrap_or(ideal.next_power_of_two());
        [self.count.div_ceil(size), size]
    }
}

fn write_out(graph: &mut Graph, id: NodeId) -> Result<(), Declined> {
    match graph.node(id).op.clone() {
        Op::Softmax(op) => softmax(graph, id, op),
        Op::LayerNorm(op) => layer_norm(graph, id, op),
        Op::RmsNorm(op) => rms_norm(graph, id, op),
        Op::ArgReduce(op) => arg_reduce(graph, id, op),
        Op::CumSum(op) => cumsum(graph, id, op),
        _ => Ok(()),
    }
}

const fn unary(op: UnaryOp) -> ScalarOp {
    ScalarOp::Unary(op)
}

const fn binary(op: BinaryOp) -> Op {
    Op::Elementwise(ScalarOp::Binary(op))
}

/// A value as f32, in which the kernels compute.
fn wide(graph: &mut Graph, id: NodeId, value: ValueId) -> Result<ValueId, Declined> {
    if graph.value(value).ty.element == ElementType::F32 {
        return Ok(value);
    }
    insert(graph, id, "wide", Op::Elementwise(ScalarOp::Cast(ElementType::F32)), &[value])
}

/// Makes `op` of f32 operands the node's last: its result gets the node's type, and then the node's epilogue.
fn finish(graph: &mut Graph, id: NodeId, op: BinaryOp, inputs: &[ValueId]) -> Result<(), Declined> {
    let element = graph.value(graph.node(id).inputs[0]).ty.element;
    if element == ElementType::F32 {
        return Ok(graph.set_op_and_inputs(id, binary(op), inputs)?);
    }
    let made = insert(graph, id, "made", binary(op), inputs)?;
    Ok(graph.set_op_and_inputs(id, Op::Elementwise(ScalarOp::Cast(element)), &[made])?)
}

/// Appends a step to what computes `value`.
fn then(
    graph: &mut Graph,
    value: ValueId,
    op: ScalarOp,
    others: &[StepArg],
    operands: &[ValueId],
) -> Result<(), Declined> {
    let Some(node) = graph.producer(value) else { return Ok(()) };
    let mut epilogue = graph.node(node).epilogue.clone();
    let args = [&[epilogue.current()], others].concat();
    epilogue.steps.push(Step { op, args });
    epilogue.operands.extend(operands);
    Ok(graph.set_epilogue(node, epilogue)?)
}

fn reduced(
    graph: &mut Graph,
    id: NodeId,
    what: &str,
    (kind, axes): (ReduceKind, std::ops::Range<usize>),
    value: ValueId,
) -> Result<ValueId, Declined> {
    let op = Op::Reduce(Reduce { kind, axes: axes.collect(), keep_dims: true });
    insert(graph, id, what, op, &[value])
}

fn softmax(graph: &mut Graph, id: NodeId, op: Softmax) -> Result<(), Declined> {
    let x = wide(graph, id, graph.node(id).inputs[0])?;
    let axes = op.axis..op.axis + 1;
    let largest = reduced(graph, id, "largest", (ReduceKind::Max, axes.clone()), x)?;
    let weights = insert(graph, id, "weights", binary(BinaryOp::Sub), &[x, largest])?;
    then(graph, weights, unary(UnaryOp::Exp), &[], &[])?;
    let sum = reduced(graph, id, "sum", (ReduceKind::Sum, axes), weights)?;
    finish(graph, id, BinaryOp::Div, &[weights, sum])
}

/// The root of a mean of squares and epsilon.
fn deviation(
    graph: &mut Graph,
    id: NodeId,
    squares: ValueId,
    axes: std::ops::Range<usize>,
    epsilon: f64,
) -> Result<ValueId, Declined> {
    let deviation = reduced(graph, id, "deviation", (ReduceKind::Mean, axes), squares)?;
    then(graph, deviation, ScalarOp::Binary(BinaryOp::Add), &[StepArg::Const(epsilon)], &[])?;
    then(graph, deviation, unary(UnaryOp::Sqrt), &[], &[])?;
    Ok(deviation)
}

fn layer_norm(graph: &mut Graph, id: NodeId, op: LayerNorm) -> Result<(), Declined> {
    let inputs = graph.node(id).inputs.clone();
    let x = wide(graph, id, inputs[0])?;
    let axes = op.axis..graph.value(x).ty.rank();
    let mean = reduced(graph, id, "mean", (ReduceKind::Mean, axes.clone()), x)?;
    let squares = insert(graph, id, "squares", binary(BinaryOp::Sub), &[x, mean])?;
    then(graph, squares, ScalarOp::Binary(BinaryOp::Mul), &[StepArg::Result], &[])?;
    let deviation = deviation(graph, id, squares, axes, op.epsilon)?;
    let normal = insert(graph, id, "normal", binary(BinaryOp::Sub), &[x, mean])?;
    then(graph, normal, ScalarOp::Binary(BinaryOp::Div), &[StepArg::Operand(0)], &[deviation])?;
    let scale = wide(graph, id, inputs[1])?;
    let Some(&bias) = inputs.get(2) else { return finish(graph, id, BinaryOp::Mul, &[normal, scale]) };
    let scaled = insert(graph, id, "scaled", binary(BinaryOp::Mul), &[normal, scale])?;
    let bias = wide(graph, id, bias)?;
    finish(graph, id, BinaryOp::Add, &[scaled, bias])
}

fn rms_norm(graph: &mut Graph, id: NodeId, op: RmsNorm) -> Result<(), Declined> {
    let inputs = graph.node(id).inputs.clone();
    let x = wide(graph, id, inputs[0])?;
    let axes = op.axis..graph.value(x).ty.rank();
    let squares = insert(graph, id, "squares", binary(BinaryOp::Mul), &[x, x])?;
    let deviation = deviation(graph, id, squares, axes, op.epsilon)?;
    let normal = insert(graph, id, "normal", binary(BinaryOp::Div), &[x, deviation])?;
    let scale = wide(graph, id, inputs[1])?;
    finish(graph, id, BinaryOp::Mul, &[normal, scale])
}

fn reshaped(graph: &mut Graph, id: NodeId, value: ValueId, shape: &[u64]) -> Result<ValueId, Declined> {
    let shape = shape.iter().map(|&size| Dim::Const(size)).collect();
    insert(graph, id, "parts", Op::Reshape(Reshape { shape }), &[value])
}

/// The node's first input as `[outer, parts, size, inner]`: the axis in parts, with elements added at one of its ends where
/// they are not all of one size. Gives also how many were added.
fn in_parts(
    graph: &mut Graph,
    id: NodeId,
    (around, [parts, size]): (&Around, [u64; 2]),
    (mode, before): (PadMode, bool),
) -> Result<(ValueId, u64), Declined> {
    let &Around { outer, count, inner } = around;
    let x = graph.node(id).inputs[0];
    let added = parts * size - count;
    let mut whole = x;
    if added > 0 {
        let lines = reshaped(graph, id, x, &[outer, count, inner])?;
        let mut pads = vec![0; 6];
        pads[if before { 1 } else { 4 }] = added;
        whole = insert(graph, id, "padded", Op::Pad(Pad { mode, pads }), &[lines])?;
    }
    Ok((reshaped(graph, id, whole, &[outer, parts, size, inner])?, added))
}

/// The extreme of each part, then among these. Elements that fill a part up are copies of the axis's end where they lose
/// against it.
fn arg_reduce(graph: &mut Graph, id: NodeId, op: ArgReduce) -> Result<(), Declined> {
    let result = graph.value(graph.node(id).outputs[0]).ty.shape.clone();
    let Some(shape) = graph.value(graph.node(id).inputs[0]).ty.static_shape() else { return Ok(()) };
    let around = Around::of(&shape, op.axis..op.axis + 1);
    let [parts, size] = around.parts();
    let (x, added) = in_parts(graph, id, (&around, [parts, size]), (PadMode::Edge, op.last))?;
    let along = |axis: usize| Op::ArgReduce(ArgReduce { axis, keep_dims: true, ..op });
    let found = |axis: usize| Op::GatherElements(GatherElements { axis });
    let places = insert(graph, id, "places", along(2), &[x])?;
    let values = insert(graph, id, "values", found(2), &[x, places])?;
    let part = insert(graph, id, "part", along(1), &[values])?;
    let place = insert(graph, id, "place", found(1), &[places, part])?;
    let name = graph.unique_name(&format!("{}.size", graph.value(graph.node(id).outputs[0]).name));
    let size = graph.add_constant(name, Tensor::scalar_i64(size as i64))?;
    let first = insert(graph, id, "first", binary(BinaryOp::Mul), &[part, size])?;
    let index = insert(graph, id, "index", binary(BinaryOp::Add), &[first, place])?;
    if op.last && added > 0 {
        then(graph, index, ScalarOp::Binary(BinaryOp::Sub), &[StepArg::Const(added as f64)], &[])?;
    }
    Ok(graph.set_op_and_inputs(id, Op::Reshape(Reshape { shape: result }), &[index])?)
}

/// Running sums of each part, and of the sums of the parts before it.
fn cumsum(graph: &mut Graph, id: NodeId, op: CumSum) -> Result<(), Declined> {
    let result = graph.value(graph.node(id).outputs[0]).ty.clone();
    let Some(shape) = result.static_shape() else { return Ok(()) };
    let around = Around::of(&shape, op.axis..op.axis + 1);
    let [parts, size] = around.parts();
    let (x, added) = in_parts(graph, id, (&around, [parts, size]), (PadMode::Constant(0.0), false))?;
    let sums = reduced(graph, id, "sums", (ReduceKind::Sum, 2..3), x)?;
    let before = insert(graph, id, "before", Op::CumSum(CumSum { axis: 1, exclusive: true, ..op }), &[sums])?;
    if result.element.is_float() {
        [sums, before].into_iter().for_each(|value| graph.keep_single(value));
    }
    let own = insert(graph, id, "own", Op::CumSum(CumSum { axis: 2, ..op }), &[x])?;
    let mut all = insert(graph, id, "all", binary(BinaryOp::Add), &[own, before])?;
    if added > 0 {
        let lines = reshaped(graph, id, all, &[around.outer, parts * size, around.inner])?;
        let count = Dim::Const(around.count);
        let cut = drift_ir::op::data::SliceAxis { axis: 1, start: 0, step: 1, count };
        all = insert(graph, id, "cut", Op::Slice(Slice { axes: vec![cut] }), &[lines])?;
    }
    Ok(graph.set_op_and_inputs(id, Op::Reshape(Reshape { shape: result.shape }), &[all])?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rewrite::testing::for_generic;

    fn rewritten(text: &str) -> Vec<String> {
        let graph = drift_ir::text::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let (graph, report) = for_generic(graph);
        assert!(report.declined.is_empty(), "{report:?}");
        graph.nodes().map(|id| graph.node(id).op.name().to_owned()).collect()
    }

    #[test]
    fn ordinary_rows_stay_whole() {
        for text in [
            "%x: f32[1,4096]\n%1 = softmax %x {axis=1}\nreturn %1",
            "%x: f32[2048,1024]\n%1 = cumsum %x {axis=0}\nreturn %1",
            "%x: f32[1,32000]\n%1 = arg_max %x {axis=1}\nreturn %1",
        ] {
            assert_eq!(rewritten(text).len(), 1, "{text}");
        }
    }

    #[test]
    fn long_rows_are_written_out() {
        let softmax = rewritten("%x: f32[1,300000]\n%1 = softmax %x {axis=1} epilogue(relu)\nreturn %1");
        assert_eq!(softmax, ["reduce_max", "sub", "reduce_sum", "div"]);
        let norm = rewritten(
            "%x: f16[1,300000]\n@s: f16[300000] = splat(2.0)\n%1 = rms_norm %x, @s {axis=1, epsilon=1e-5}\nreturn %1",
        );
        assert_eq!(norm, ["cast", "mul", "reduce_mean", "div", "cast", "mul", "cast"]);
        let cumsum = rewritten("%x: i64[300007]\n%1 = cumsum %x {axis=0}\nreturn %1");
        let expected = [
            "reshape",
            "pad",
            "reshape",
            "reduce_sum",
            "cumsum",
            "cumsum",
            "add",
            "reshape",
            "slice",
            "reshape",
        ];
        assert_eq!(cumsum, expected);
    }

    #[test]
    fn parts_leave_no_remainder_where_they_can() {
        for (count, expected) in
            [(1 << 20, [1 << 10, 1 << 10]), (70_000, [280, 250]), (65_537, [256 + 1, 256])]
        {
            let around = Around { outer: 1, count, inner: 1 };
            assert_eq!(around.parts(), expected, "{count}");
        }
    }
}

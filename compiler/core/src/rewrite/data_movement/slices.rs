//! Slices, concatenations and gathers that are one, or none.

use crate::rewrite::edit;
use crate::rewrite::pattern::{only_user, producer};
use crate::rewrite::rule::{Apply, Outcome, Rule, at};
use drift_ir::op::data::SliceAxis;
use drift_ir::op::{Concat, Gather, Reshape, ShapeOf, Slice};
use drift_ir::{Dim, Graph, Node, NodeId, Op, ValueId};

/// `slice (slice x)   =>   slice x`
pub(in crate::rewrite) const SLICE_SLICE: Rule = Rule {
    name: "slice-slice",
    picture: "slice (slice x) => slice x",
    apply: Apply::Node(at::SLICE, slice_slice),
};

/// `slice (concat(.., x, ..))   =>   slice x` when the slice is within x
pub(in crate::rewrite) const SLICE_OF_CONCAT: Rule = Rule {
    name: "slice-of-concat",
    picture: "slice (concat(.., x, ..)) => slice x, when the slice is within x",
    apply: Apply::Node(at::SLICE, slice_of_concat),
};

/// `slice (shape_of x)   =>   shape_of x` when the slice is of adjacent axes
pub(in crate::rewrite) const SLICE_OF_SHAPE: Rule = Rule {
    name: "slice-of-shape",
    picture: "slice (shape_of x) => shape_of x, when the slice is of adjacent axes",
    apply: Apply::Node(at::SLICE, slice_of_shape),
};

/// `concat(a, concat(b, c))   =>   concat(a, b, c)` along one axis
pub(in crate::rewrite) const CONCAT_CONCAT: Rule = Rule {
    name: "concat-concat",
    picture: "concat(a, concat(b, c)) => concat(a, b, c) along one axis, when nobody else reads the inner one",
    apply: Apply::Node(at::CONCAT, concat_concat),
};

/// `concat(slice x, slice x)   =>   slice x` when the second begins where the first ends
pub(in crate::rewrite) const CONCAT_OF_SLICES: Rule = Rule {
    name: "concat-of-slices",
    picture: "concat(.., slice x, slice x, ..) => concat(.., slice x, ..), when the second begins where the first ends",
    apply: Apply::Node(at::CONCAT, concat_of_slices),
};

/// `gather(x, [2, 3, 4])   =>   slice x`
pub(in crate::rewrite) const GATHER_TO_SLICE: Rule = Rule {
    name: "gather-to-slice",
    picture: "gather(x, constant indices at equal distances) => slice x, reshaped for a single index",
    apply: Apply::Node(at::GATHER, gather_to_slice),
};

fn slice_slice(graph: &mut Graph, node: NodeId) -> Outcome {
    let outer = graph.node(node);
    let Op::Slice(Slice { axes: outer_cuts }) = &outer.op else { return Ok(false) };
    let Some(inner) = producer(graph, outer.inputs[0]) else { return Ok(false) };
    let Op::Slice(Slice { axes: inner_cuts }) = &inner.op else { return Ok(false) };
    let rank = graph.value(outer.inputs[0]).ty.rank();
    let cut = |cuts: &[SliceAxis], axis: usize| cuts.iter().find(|cut| cut.axis == axis).cloned();
    let joined: Option<Vec<SliceAxis>> = (0..rank)
        .filter_map(|axis| match (cut(inner_cuts, axis), cut(outer_cuts, axis)) {
            (Some(inner), Some(outer)) => Some(cut_of_cut(&inner, outer)),
            (only, None) | (None, only) => only.map(Some),
        })
        .collect();
    let (Some(axes), x) = (joined, inner.inputs[0]) else { return Ok(false) };
    edit::set_op(graph, node, Op::Slice(Slice { axes }), &[x])
}

fn cut_of_cut(inner: &SliceAxis, outer: SliceAxis) -> Option<SliceAxis> {
    let walked = i64::try_from(outer.start).ok()?.checked_mul(inner.step)?;
    let start = u64::try_from(i64::try_from(inner.start).ok()?.checked_add(walked)?).ok()?;
    Some(SliceAxis { start, step: inner.step.checked_mul(outer.step)?, ..outer })
}

/// First and last position that a cut of known length takes.
fn reach(cut: &SliceAxis) -> Option<(u64, u64)> {
    let steps = i64::try_from(cut.count.as_const()?.checked_sub(1)?).ok()?;
    let last = i64::try_from(cut.start).ok()?.checked_add(steps.checked_mul(cut.step)?)?;
    let last = u64::try_from(last).ok()?;
    Some((cut.start.min(last), cut.start.max(last)))
}

fn slice_of_concat(graph: &mut Graph, node: NodeId) -> Outcome {
    let Some((part, axes)) = part_of_concat(graph, graph.node(node)) else { return Ok(false) };
    edit::set_op(graph, node, Op::Slice(Slice { axes }), &[part])
}

/// The operand of a concatenation that a slice is within, and how it is cut there.
fn part_of_concat(graph: &Graph, node: &Node) -> Option<(ValueId, Vec<SliceAxis>)> {
    let Op::Slice(Slice { axes }) = &node.op else { return None };
    let concat = producer(graph, node.inputs[0])?;
    let Op::Concat(Concat { axis }) = concat.op else { return None };
    let at = axes.iter().position(|cut| cut.axis == axis)?;
    let (first, last) = reach(&axes[at])?;
    let mut offset = 0;
    for &part in &concat.inputs {
        let end = graph.value(part).ty.shape[axis].as_const()? + offset;
        if first < end {
            let mut axes = axes.clone();
            axes[at].start -= offset.min(axes[at].start);
            return (first >= offset && last < end).then_some((part, axes));
        }
        offset = end;
    }
    None
}

fn slice_of_shape(graph: &mut Graph, node: NodeId) -> Outcome {
    let Some((x, op)) = axes_of_shape(graph, graph.node(node)) else { return Ok(false) };
    edit::set_op(graph, node, Op::ShapeOf(op), &[x])
}

/// The tensor and the axes whose sizes a slice takes.
fn axes_of_shape(graph: &Graph, node: &Node) -> Option<(ValueId, ShapeOf)> {
    let Op::Slice(Slice { axes }) = &node.op else { return None };
    let [cut] = &axes[..] else { return None };
    let whole = producer(graph, node.inputs[0])?;
    let Op::ShapeOf(op) = whole.op else { return None };
    let count = usize::try_from(cut.count.as_const()?).ok()?;
    if cut.step != 1 || !whole.epilogue.steps.is_empty() {
        return None;
    }
    let start = op.start.checked_add(usize::try_from(cut.start).ok()?)?;
    let end = start.checked_add(count)?;
    (end <= op.end).then_some((whole.inputs[0], ShapeOf { start, end }))
}

fn concat_concat(graph: &mut Graph, node: NodeId) -> Outcome {
    let outer = graph.node(node);
    let Op::Concat(op) = outer.op else { return Ok(false) };
    for (at, &input) in outer.inputs.iter().enumerate() {
        let Some(inner) = producer(graph, input).filter(|inner| inner.op == Op::Concat(op)) else { continue };
        only_user(graph, input, node)?;
        let mut inputs = outer.inputs.clone();
        inputs.splice(at..=at, inner.inputs.iter().copied());
        return edit::set_op(graph, node, Op::Concat(op), &inputs);
    }
    Ok(false)
}

fn concat_of_slices(graph: &mut Graph, node: NodeId) -> Outcome {
    let subject = graph.node(node);
    let Op::Concat(op) = subject.op else { return Ok(false) };
    let neighbours = subject.inputs.windows(2).enumerate();
    let Some((at, x, axes)) = neighbours
        .filter_map(|(at, pair)| adjacent_slices(graph, op.axis, pair).map(|(x, axes)| (at, x, axes)))
        .next()
    else {
        return Ok(false);
    };
    let mut inputs = subject.inputs.clone();
    let joined = edit::insert_before(graph, node, Op::Slice(Slice { axes }), &[x])?;
    inputs.splice(at..at + 2, [joined]);
    edit::set_op(graph, node, Op::Concat(op), &inputs)
}

/// The value that two slices cut, and the cut that takes both.
fn adjacent_slices(graph: &Graph, axis: usize, pair: &[ValueId]) -> Option<(ValueId, Vec<SliceAxis>)> {
    let slice = |value| {
        let node = producer(graph, value)?;
        let Op::Slice(Slice { axes }) = &node.op else { return None };
        Some((node.inputs[0], axes))
    };
    let ((x, first), (of, second)) = (slice(pair[0])?, slice(pair[1])?);
    let at = first.iter().position(|cut| cut.axis == axis)?;
    let next = second.iter().find(|cut| cut.axis == axis)?;
    let count = first[at].count.as_const()?;
    let follows =
        first[at].step == 1 && next.step == 1 && next.start == first[at].start.checked_add(count)?;
    let mut joined = first.clone();
    joined[at] = next.clone();
    if x != of || !follows || &joined != second {
        return None;
    }
    joined[at].start = first[at].start;
    joined[at].count = next.count.add(&Dim::Const(count)).ok()?;
    Some((x, joined))
}

fn gather_to_slice(graph: &mut Graph, node: NodeId) -> Outcome {
    let subject = graph.node(node);
    let Op::Gather(Gather { axis }) = subject.op else { return Ok(false) };
    let (x, indices) = (subject.inputs[0], subject.inputs[1]);
    if graph.constant(x).is_some() {
        return Ok(false);
    }
    let Some(cut) = evenly_spaced(graph, x, axis, indices) else { return Ok(false) };
    let slice = Op::Slice(Slice { axes: vec![cut] });
    if graph.value(indices).ty.rank() == 1 {
        return edit::set_op(graph, node, slice, &[x]);
    }
    let shape = graph.value(subject.outputs[0]).ty.shape.clone();
    let kept = edit::insert_before(graph, node, slice, &[x])?;
    edit::set_op(graph, node, Op::Reshape(Reshape { shape }), &[kept])
}

/// Constant indices of rank 0 or 1 as a cut.
fn evenly_spaced(graph: &Graph, x: ValueId, axis: usize, indices: ValueId) -> Option<SliceAxis> {
    let tensor = graph.constant(indices).filter(|tensor| tensor.rank() < 2 && !tensor.is_empty())?;
    let size = graph.value(x).ty.shape[axis].as_const().and_then(|size| i64::try_from(size).ok());
    let absolute = |index: i64| if index < 0 { size.map(|size| size + index) } else { Some(index) };
    let positions: Vec<i64> = tensor.to_i64_vec().into_iter().map(absolute).collect::<Option<_>>()?;
    let step = match positions.get(1) {
        Some(second) => second.checked_sub(positions[0])?,
        None => 1,
    };
    let even = step != 0 && positions.windows(2).all(|pair| pair[1].checked_sub(pair[0]) == Some(step));
    let start = u64::try_from(positions[0]).ok()?;
    even.then_some(SliceAxis { axis, start, step, count: Dim::Const(positions.len() as u64) })
}

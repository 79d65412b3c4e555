//! Rotary embeddings that exporters write as slices, a negation, products and a concatenation.

use crate::rewrite::edit;
use crate::rewrite::pattern::{binary, made_by_binary, made_by_unary, producer, same_type};
use crate::rewrite::rule::{Apply, Outcome, Rule, at};
use drift_ir::op::data::SliceAxis;
use drift_ir::op::{BinaryOp, Concat, Reshape, Rotary, UnaryOp};
use drift_ir::{Dim, Graph, NodeId, Op, ValueId};

/// `x * cos + concat(-second half of x, first half of x) * sin   =>   rotary x, cos, sin`
pub(in crate::rewrite) const ROTARY: Rule = Rule {
    name: "rotary",
    picture: "x * cos + concat(-second half of x, first half of x) * sin => rotary x, cos, sin",
    apply: Apply::Node(at::ELEMENTWISE, rotary),
};

/// `concat(rotary(first channels of x), other channels of x)   =>   rotary x`
pub(in crate::rewrite) const ROTARY_ABSORBS_REST: Rule = Rule {
    name: "rotary-absorbs-rest",
    picture: "concat(rotary(first channels of x), the other channels of x) => rotary x, of which only the first turn",
    apply: Apply::Node(at::CONCAT, absorb_rest),
};

/// Kernels have a coordinate for each of four axes.
const MOST_AXES: usize = 4;

/// A range of the channels of a value.
#[derive(PartialEq)]
struct Channels {
    of: ValueId,
    /// What is cut along other axes.
    cuts: Vec<SliceAxis>,
    start: u64,
    count: u64,
}

/// The channels that a value has, of what it is a slice of.
fn channels(graph: &Graph, value: ValueId) -> Option<Channels> {
    let shape = &graph.value(value).ty.shape;
    let count = shape.last()?.as_const()?;
    let whole = Channels { of: value, cuts: Vec::new(), start: 0, count };
    let Some(node) = producer(graph, value) else { return Some(whole) };
    let Op::Slice(slice) = &node.op else { return Some(whole) };
    let is_last = |cut: &&SliceAxis| cut.axis + 1 == shape.len();
    let start = match slice.axes.iter().find(is_last) {
        Some(SliceAxis { start, step: 1, .. }) => *start,
        Some(_) => return Some(whole),
        None => 0,
    };
    let cuts = slice.axes.iter().filter(|cut| !is_last(cut)).cloned().collect();
    Some(Channels { of: node.inputs[0], cuts, start, count })
}

/// Whether `second` begins where `first` ends.
fn follow(first: &Channels, second: &Channels) -> bool {
    (first.of, &first.cuts, first.start + first.count) == (second.of, &second.cuts, second.start)
}

/// Both parts of a concatenation of channels.
fn joined(graph: &Graph, value: ValueId) -> Option<[ValueId; 2]> {
    let node = producer(graph, value)?;
    let Op::Concat(Concat { axis }) = node.op else { return None };
    let rank = graph.value(value).ty.rank();
    <[ValueId; 2]>::try_from(&node.inputs[..]).ok().filter(|_| axis + 1 == rank)
}

/// Whether `value` is `x` with its halves swapped, and the one that comes first negated.
fn is_half_turn(graph: &Graph, value: ValueId, x: ValueId) -> Option<()> {
    let [negated, first] = joined(graph, value)?;
    let second = made_by_unary(graph, negated, UnaryOp::Neg)?;
    let [all, first, second] = [channels(graph, x)?, channels(graph, first)?, channels(graph, second)?];
    let whole =
        Channels { count: first.count * 2, of: first.of, cuts: first.cuts.clone(), start: first.start };
    // Slices of x, which may be a slice that they have become slices of.
    let own = Channels { of: x, cuts: Vec::new(), start: 0, count: all.count };
    (first.count == second.count && follow(&first, &second) && (whole == all || whole == own)).then_some(())
}

fn rotary(graph: &mut Graph, node: NodeId) -> Outcome {
    let Some((x, angles, turned)) = spelled_out(graph, node) else { return Ok(false) };
    let rank = graph.value(x).ty.rank();
    let mut operands = vec![x];
    for angle in angles {
        let shape = &graph.value(angle).ty.shape;
        let missing = rank - shape.len();
        let shape = [vec![Dim::Const(1); missing], shape.clone()].concat();
        operands.push(match missing {
            0 => angle,
            _ => edit::insert_before(graph, node, Op::Reshape(Reshape { shape }), &[angle])?,
        });
    }
    edit::set_op(graph, node, Op::Rotary(Rotary { turned, interleaved: false }), &operands)
}

/// What turns, cosines and sines, and how many channels.
fn spelled_out(graph: &Graph, node: NodeId) -> Option<(ValueId, [ValueId; 2], u64)> {
    let sum = graph.node(node);
    let (a, b) = binary(sum, BinaryOp::Add)?;
    let ordered = |value| made_by_binary(graph, value, BinaryOp::Mul).map(|(a, b)| [(a, b), (b, a)]);
    for (straight, across) in [(a, b), (b, a)] {
        for (x, cosine) in ordered(straight).into_iter().flatten() {
            for (half_turn, sine) in ordered(across).into_iter().flatten() {
                if is_half_turn(graph, half_turn, x).is_none() || !same_type(graph, x, sum.outputs[0]) {
                    continue;
                }
                let shape = &graph.value(x).ty.shape;
                let turned = shape.last()?.as_const()?;
                let fits = |angle: ValueId| {
                    let own = &graph.value(angle).ty.shape;
                    own.len() <= shape.len() && own.last() == shape.last()
                };
                let may_turn = (1..=MOST_AXES).contains(&shape.len()) && turned > 0 && turned % 2 == 0;
                if may_turn && fits(cosine) && fits(sine) {
                    return Some((x, [cosine, sine], turned));
                }
            }
        }
    }
    None
}

fn absorb_rest(graph: &mut Graph, node: NodeId) -> Outcome {
    let result = graph.node(node).outputs[0];
    let found = || {
        let [turned, rest] = joined(graph, result)?;
        let rotary = producer(graph, turned)?;
        let Op::Rotary(op) = rotary.op else { return None };
        let (first, rest) = (channels(graph, rotary.inputs[0])?, channels(graph, rest)?);
        let all = graph.value(first.of).ty.shape.last()?.as_const()?;
        let whole = first.cuts.is_empty() && first.start == 0 && rest.start + rest.count == all;
        (whole && follow(&first, &rest)).then(|| (op, [first.of, rotary.inputs[1], rotary.inputs[2]]))
    };
    let Some((op, operands)) = found() else { return Ok(false) };
    edit::set_op(graph, node, Op::Rotary(op), &operands)
}

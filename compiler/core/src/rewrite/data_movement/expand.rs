//! Expansions that the node behind them does by broadcasting.

use crate::rewrite::edit;
use crate::rewrite::pattern::{keeps_type, producer};
use crate::rewrite::rule::{Apply, Outcome, Rule, at};
use drift_ir::{Graph, NodeId, Op, TensorType, ValueId};

/// `expand(x) + y   =>   x + y` when the result keeps its shape
pub(in crate::rewrite) const ELEMENTWISE_ABSORBS_EXPAND: Rule = Rule {
    name: "elementwise-absorbs-expand",
    picture: "f(expand x, y) => f(x, y), when the result keeps its shape",
    apply: Apply::Node(at::ELEMENTWISE, elementwise_absorbs_expand),
};

fn elementwise_absorbs_expand(graph: &mut Graph, node: NodeId) -> Outcome {
    let subject = graph.node(node);
    let Op::Elementwise(op) = subject.op else { return Ok(false) };
    let inputs: Vec<ValueId> = subject
        .inputs
        .iter()
        .map(|&input| match producer(graph, input) {
            Some(expand) if matches!(expand.op, Op::Expand(_)) => expand.inputs[0],
            Some(_) | None => input,
        })
        .collect();
    let types: Vec<&TensorType> = inputs.iter().map(|&input| &graph.value(input).ty).collect();
    if inputs == subject.inputs || !keeps_type(graph, subject, &types) {
        return Ok(false);
    }
    edit::set_op(graph, node, Op::Elementwise(op), &inputs)
}

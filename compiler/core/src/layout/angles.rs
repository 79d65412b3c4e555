//! Keeps arguments of sin and cos in f32 under f16.
//!
//! f16 counts to 2048 in ones: the sine of a position or a timestep times a frequency would be that of another one. Such
//! angles are computed from inputs and constants by a few small nodes, which cost nothing in f32.

use drift_ir::op::{Op, ScalarOp, StepArg, UnaryOp};
use drift_ir::{ElementType, Graph, Node, ValueDef, ValueId};
use std::collections::BTreeSet;

/// Keeps all that the angles of the graph's sines and cosines are computed from in f32, unless layers stand among it: then the
/// function is an activation, and its operands are as large and as exact as any.
pub fn keep_angles(graph: &mut Graph) {
    let waves = graph.nodes().filter(|&id| is_wave(graph.node(id)));
    let angles: Vec<BTreeSet<ValueId>> = waves.filter_map(|id| sources(graph, graph.node(id))).collect();
    angles.into_iter().flatten().for_each(|value| graph.keep_single(value));
}

fn is_wave(node: &Node) -> bool {
    let own = matches!(&node.op, Op::Elementwise(op) if is_wave_op(op));
    own || node.epilogue.steps.iter().any(|step| is_wave_op(&step.op))
}

fn is_wave_op(op: &ScalarOp) -> bool {
    matches!(op, ScalarOp::Unary(UnaryOp::Sin | UnaryOp::Cos))
}

/// The floats that a node's operands are computed from, themselves included; none where a layer is among their nodes.
fn sources(graph: &Graph, node: &Node) -> Option<BTreeSet<ValueId>> {
    let mut found = BTreeSet::new();
    let mut open = if is_layer(graph, node) { return None } else { angle_operands(node) };
    while let Some(value) = open.pop() {
        if graph.value(value).ty.element != ElementType::F32 || !found.insert(value) {
            continue;
        }
        if let ValueDef::Node { node, .. } = graph.value(value).def {
            let node = graph.node(node);
            if is_layer(graph, node) {
                return None;
            }
            open.extend(node.operands());
        }
    }
    Some(found)
}

/// What a node reads up to its last sine or cosine.
fn angle_operands(node: &Node) -> Vec<ValueId> {
    let steps = &node.epilogue.steps;
    let last = steps.iter().rposition(|step| is_wave_op(&step.op)).map_or(0, |at| at + 1);
    let read = steps[..last].iter().flat_map(|step| &step.args);
    let of_steps = read.filter_map(|arg| match arg {
        StepArg::Operand(at) => Some(node.epilogue.operands[*at as usize]),
        StepArg::Result | StepArg::Step(_) | StepArg::Const(_) => None,
    });
    node.inputs.iter().copied().chain(of_steps).collect()
}

/// Whether a node does more than move elements and compute with single ones. An outer product, of positions and
/// frequencies, adds nothing up.
fn is_layer(graph: &Graph, node: &Node) -> bool {
    match &node.op {
        Op::Elementwise(_)
        | Op::Reshape(_)
        | Op::Transpose(_)
        | Op::Expand(_)
        | Op::Concat(_)
        | Op::Slice(_)
        | Op::Gather(_)
        | Op::CumSum(_)
        | Op::Pad(_)
        | Op::ShapeOf(_)
        | Op::Range(_) => false,
        Op::MatMul(_) => {
            let shape = graph.value(node.inputs[1]).ty.static_shape();
            let rows = shape.and_then(|shape| Some(shape[shape.len().checked_sub(2)?]));
            rows != Some(1)
        }
        Op::Attention(_)
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
        | Op::GatherNd(_)
        | Op::GatherElements(_)
        | Op::ScatterElements(_)
        | Op::ScatterNd(_)
        | Op::WriteRows(_)
        | Op::ArgReduce(_)
        | Op::TopK(_)
        | Op::Suppress(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(text: &str) -> Vec<String> {
        let mut graph = drift_ir::text::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        keep_angles(&mut graph);
        let values = graph.nodes().flat_map(|id| graph.node(id).outputs.clone());
        values.filter(|&v| graph.is_single(v)).map(|v| graph.value(v).name.clone()).collect()
    }

    #[test]
    fn positions_and_their_products_with_frequencies_stay_f32() {
        let of_positions = "%p: i64[1,6]\n@f: f32[4,1] = [1.0, 0.1, 0.01, 0.001]\n%1 = cast %p {to=f32}\n\
             %2 = reshape %1 {shape=[1,6]}\n%3 = matmul @f, %2\n%4 = cos %3\n%5 = sin %3\n%6 = add %4, %5\nreturn %6";
        assert_eq!(kept(of_positions), ["1", "2", "3"]);
    }

    #[test]
    fn an_activation_is_a_float_as_any() {
        let of_a_layer = "%x: f32[3,8]\n@w: f32[8,8] = random(1)\n%1 = matmul %x, @w\n%2 = sin %1\nreturn %2";
        assert!(kept(of_a_layer).is_empty());
        let in_its_epilogue =
            "%x: f32[3,8]\n@w: f32[8,8] = random(1)\n%1 = matmul %x, @w epilogue(sin)\nreturn %1";
        assert!(kept(in_its_epilogue).is_empty());
        let beside_one = "%p: f32[3,1]\n%x: f32[3,8]\n@f: f32[1,8] = random(2)\n@w: f32[8,8] = random(1)\n%1 = tanh %p\n\
             %2 = matmul %x, @w\n%3 = mul %1, @f epilogue(sin; mul %2)\nreturn %3";
        assert_eq!(kept(beside_one), ["1"]);
    }
}

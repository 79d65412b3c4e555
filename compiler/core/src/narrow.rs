//! Eight-bit integers as devices have them: one i32 each.
//!
//! A device moves and compares them as they are, and element-wise steps keep to their range. Sums and the like, which leave
//! it, are computed in i32, between a cast to it and one back, which keeps the low eight bits.

use drift_ir::graph::EditError;
use drift_ir::op::{ReduceKind, ScalarOp, Update};
use drift_ir::{ElementType, Graph, NodeId, Op, ValueId};

/// Rewrites arithmetic on eight-bit integers. A node for which the graph refuses that stays as it is, and finds no kernel.
pub fn widen(graph: &mut Graph) {
    let nodes: Vec<NodeId> = graph.nodes().collect();
    for node in nodes {
        let subject = graph.node(node);
        let [result] = subject.outputs[..] else { continue };
        let element = graph.value(result).ty.element;
        if is_narrow(element) && leaves_range(&subject.op) && subject.epilogue.is_empty() {
            // What was inserted before a refusal is read by nobody, and goes with the other dead code.
            let _refused = in_words(graph, node, element);
        }
    }
}

const fn is_narrow(element: ElementType) -> bool {
    matches!(element, ElementType::I8 | ElementType::U8)
}

/// Turns a node into the cast of its op on words.
fn in_words(graph: &mut Graph, node: NodeId, element: ElementType) -> Result<(), EditError> {
    let subject = graph.node(node);
    let (op, inputs, origins) = (subject.op.clone(), subject.inputs.clone(), subject.origins.clone());
    let result = graph.value(subject.outputs[0]).name.clone();
    let insert = |graph: &mut Graph, op: Op, inputs: &[ValueId]| -> Result<ValueId, EditError> {
        let name = graph.unique_name(&format!("{result}.word"));
        let inserted = graph.insert_node_before(node, name.clone(), op, inputs, [name])?;
        graph.set_origins(inserted, origins.clone());
        Ok(graph.node(inserted).outputs[0])
    };
    let mut words = Vec::with_capacity(inputs.len());
    for input in inputs {
        let narrow = is_narrow(graph.value(input).ty.element);
        let to_word = Op::Elementwise(ScalarOp::Cast(ElementType::I32));
        words.push(if narrow { insert(graph, to_word, &[input])? } else { input });
    }
    let computed = insert(graph, op, &words)?;
    graph.set_op_and_inputs(node, Op::Elementwise(ScalarOp::Cast(element)), &[computed])
}

/// Whether results may be outside of the range that operands have.
fn leaves_range(op: &Op) -> bool {
    match op {
        Op::Reduce(op) => match op.kind {
            ReduceKind::Max | ReduceKind::Min => false,
            ReduceKind::Sum | ReduceKind::Mean | ReduceKind::Prod | ReduceKind::L2 => true,
        },
        Op::ScatterElements(op) => accumulates(op.update),
        Op::ScatterNd(op) => accumulates(op.update),
        Op::WriteRows(_) => false,
        Op::CumSum(_) | Op::MatMul(_) | Op::Range(_) => true,
        // Element-wise steps keep to their operands' type themselves.
        Op::Elementwise(_)
        | Op::Attention(_)
        | Op::Conv(_)
        | Op::ConvTranspose(_)
        | Op::Pool(_)
        | Op::Resize(_)
        | Op::Pad(_)
        | Op::GroupNorm(_)
        | Op::Softmax(_)
        | Op::LayerNorm(_)
        | Op::RmsNorm(_)
        | Op::Rotary(_)
        | Op::Reshape(_)
        | Op::Transpose(_)
        | Op::Expand(_)
        | Op::Concat(_)
        | Op::Slice(_)
        | Op::Gather(_)
        | Op::GatherNd(_)
        | Op::GatherElements(_)
        | Op::ArgReduce(_)
        | Op::TopK(_)
        | Op::ShapeOf(_) => false,
    }
}

const fn accumulates(update: Update) -> bool {
    match update {
        Update::Add | Update::Mul => true,
        Update::Replace | Update::Max | Update::Min => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use drift_ir::op::{CumSum, Reduce, ScatterElements};
    use drift_ir::{Tensor, TensorType, eval};

    /// What reduces.
    fn ops() -> Vec<Op> {
        let mut ops = Vec::new();
        for kind in [ReduceKind::Sum, ReduceKind::Prod, ReduceKind::Max, ReduceKind::Min] {
            ops.push(Op::Reduce(Reduce { kind, axes: vec![0], keep_dims: true }));
        }
        ops.push(Op::CumSum(CumSum { axis: 0, exclusive: false, reverse: false }));
        ops
    }

    fn check(op: &Op, element: ElementType, operands: &[Tensor], indices: Option<&Tensor>) {
        let mut graph = Graph::new("narrow");
        let ty = TensorType::fixed(element, operands[0].shape());
        let mut inputs = Vec::new();
        for at in 0..operands.len() {
            inputs.push(graph.add_input(format!("x{at}"), ty.clone()).unwrap());
        }
        if let Some(indices) = indices {
            let constant = graph.add_constant("i", indices.clone()).unwrap();
            inputs.insert(1, constant);
        }
        let node = graph.add_node("y", op.clone(), &inputs, ["y"]).unwrap();
        graph.set_outputs(&[graph.node(node).outputs[0]]).unwrap();
        let before = eval::run(&graph, operands).unwrap();
        widen(&mut graph);
        drift_ir::verify::verify(&graph).unwrap();
        assert_eq!(eval::run(&graph, operands).unwrap(), before, "{op:?} of {element}");
    }

    #[test]
    fn words_hold_what_bytes_do() {
        let values: Vec<i64> = vec![-128, -127, -1, 0, 1, 2, 7, 8, 100, 127, 128, 200, 255];
        let all = |swap: bool| -> Vec<i64> {
            let pairs = values.iter().flat_map(|&a| values.iter().map(move |&b| if swap { b } else { a }));
            pairs.collect()
        };
        for element in [ElementType::I8, ElementType::U8] {
            let count = (values.len() * values.len()) as u64;
            let operands =
                [false, true].map(|swap| Tensor::from_i64_as(element, [count], &all(swap)).unwrap());
            for op in ops() {
                check(&op, element, &operands[..1], None);
            }
            let places: Vec<i64> = (0..count as i64).map(|at| at / 3).collect();
            let places = Tensor::from_i64([count], &places).unwrap();
            for update in Update::ALL {
                let op = Op::ScatterElements(ScatterElements { axis: 0, update });
                check(&op, element, &operands, Some(&places));
            }
        }
    }
}

//! Integers of eight and sixteen bits, and those without a sign, as devices have them: one i32 each.
//!
//! A device moves them as they are, and element-wise steps keep to their range and know their sign. Sums and the like, which leave
//! the range of the narrow ones, are computed in i32, between a cast to it and one back, which keeps the low bits. What compares
//! unsigned words elsewhere, as the search for a largest does, works on them with the highest bit turned: as i32 these have the
//! order of the words.

use drift_ir::graph::EditError;
use drift_ir::op::{BinaryOp, ReduceKind, ScalarOp, Update};
use drift_ir::{ElementType, Graph, NodeId, Op, Tensor, ValueId};

/// Rewrites arithmetic on these integers. A node for which the graph refuses that stays as it is, and finds no kernel.
pub fn widen(graph: &mut Graph) {
    let nodes: Vec<NodeId> = graph.nodes().collect();
    for node in nodes {
        let subject = graph.node(node);
        let ([_], Some(&source), true) =
            (&subject.outputs[..], subject.inputs.first(), subject.epilogue.is_empty())
        else {
            continue;
        };
        let element = graph.value(source).ty.element;
        let turned = is_word(element) && compares(&subject.op);
        if turned || (is_narrow(element) || is_word(element)) && leaves_range(&subject.op) {
            // What was inserted before a refusal is read by nobody, and goes with the other dead code.
            let _refused = Words { node, element, turned }.rewrite(graph);
        }
    }
}

const fn is_narrow(element: ElementType) -> bool {
    matches!(element, ElementType::I8 | ElementType::U8 | ElementType::I16 | ElementType::U16)
}

const fn is_word(element: ElementType) -> bool {
    matches!(element, ElementType::U32 | ElementType::U64)
}

/// A node whose op is to work on i32 instead of `element`.
struct Words {
    node: NodeId,
    element: ElementType,
    /// With the highest bit turned.
    turned: bool,
}

impl Words {
    /// Makes the node the cast of its op on words, or the op itself where its result is of another type anyhow.
    fn rewrite(&self, graph: &mut Graph) -> Result<(), EditError> {
        let subject = graph.node(self.node);
        let (op, inputs, result) = (subject.op.clone(), subject.inputs.clone(), subject.outputs[0]);
        let mut words = Vec::with_capacity(inputs.len());
        for input in inputs {
            if graph.value(input).ty.element != self.element {
                words.push(input);
                continue;
            }
            let word = self.insert(graph, cast(ElementType::I32), &[input])?;
            words.push(self.turn(graph, word)?);
        }
        if graph.value(result).ty.element != self.element {
            return graph.set_op_and_inputs(self.node, op, &words);
        }
        let computed = self.insert(graph, op, &words)?;
        let computed = self.turn(graph, computed)?;
        graph.set_op_and_inputs(self.node, cast(self.element), &[computed])
    }

    fn turn(&self, graph: &mut Graph, word: ValueId) -> Result<ValueId, EditError> {
        if !self.turned {
            return Ok(word);
        }
        let name = graph.unique_name("highest_bit");
        let least = Tensor::from_i64_as(ElementType::I32, [], &[i32::MIN.into()]);
        let highest = graph.add_constant(name, least.unwrap_or_else(|_| unreachable!("one element")))?;
        self.insert(graph, Op::Elementwise(ScalarOp::Binary(BinaryOp::BitXor)), &[word, highest])
    }

    fn insert(&self, graph: &mut Graph, op: Op, inputs: &[ValueId]) -> Result<ValueId, EditError> {
        let subject = graph.node(self.node);
        let (origins, result) = (subject.origins.clone(), graph.value(subject.outputs[0]).name.clone());
        let name = graph.unique_name(&format!("{result}.word"));
        let inserted = graph.insert_node_before(self.node, name.clone(), op, inputs, [name])?;
        graph.set_origins(inserted, origins);
        Ok(graph.node(inserted).outputs[0])
    }
}

const fn cast(to: ElementType) -> Op {
    Op::Elementwise(ScalarOp::Cast(to))
}

/// Whether an op other than an element-wise one asks which of two elements is larger.
const fn compares(op: &Op) -> bool {
    match op {
        Op::Reduce(op) => matches!(op.kind, ReduceKind::Max | ReduceKind::Min),
        Op::ScatterElements(op) => is_extreme(op.update),
        Op::ScatterNd(op) => is_extreme(op.update),
        Op::ArgReduce(_) | Op::TopK(_) => true,
        _ => false,
    }
}

const fn is_extreme(update: Update) -> bool {
    matches!(update, Update::Max | Update::Min)
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
        | Op::Suppress(_)
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
    use drift_ir::op::{ArgReduce, CumSum, Reduce, ScatterElements, TopK};
    use drift_ir::{Tensor, TensorType, eval};

    /// What reduces.
    fn ops() -> Vec<Op> {
        let mut ops = Vec::new();
        for kind in [ReduceKind::Sum, ReduceKind::Prod, ReduceKind::Max, ReduceKind::Min] {
            ops.push(Op::Reduce(Reduce { kind, axes: vec![0], keep_dims: true }));
        }
        ops.push(Op::CumSum(CumSum { axis: 0, exclusive: false, reverse: false }));
        for largest in [true, false] {
            ops.push(Op::ArgReduce(ArgReduce { axis: 0, largest, last: false, keep_dims: true }));
            ops.push(Op::TopK(TopK { k: 5, largest }));
        }
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
        let values: Vec<i64> =
            vec![-32768, -128, -127, -1, 0, 1, 2, 7, 8, 100, 127, 128, 200, 255, 32768, 65535, (1 << 32) - 1];
        use ElementType::{I8, I16, U8, U16, U32, U64};
        for element in [I8, U8, I16, U16, U32, U64] {
            let values: Vec<i64> =
                values.iter().copied().filter(|&value| element != U64 || (0..256).contains(&value)).collect();
            let all = |swap: bool| -> Vec<i64> {
                let pairs =
                    values.iter().flat_map(|&a| values.iter().map(move |&b| if swap { b } else { a }));
                pairs.collect()
            };
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

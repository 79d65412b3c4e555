//! What weights are for: those of attention's projections, which `--weights 844` keeps in eight bits.

use drift_ir::{Graph, NodeId, Op, ValueId};
use std::collections::BTreeSet;

/// Constant matrices of the products that make queries, keys and values, and of those that take what attention gives.
///
/// Attention is the op, or the products of two activations that it is written out as. Between it and a projection there is what is
/// no product with weights: rotary embeddings, normalizations of heads, permutations, writes to caches.
pub(super) fn of_attention(graph: &Graph) -> BTreeSet<ValueId> {
    let (mut weights, mut seen) = (BTreeSet::new(), BTreeSet::new());
    let mut sources: Vec<ValueId> = Vec::new();
    let mut results: Vec<ValueId> = Vec::new();
    for id in graph.nodes() {
        let node = graph.node(id);
        let inputs = match node.op {
            Op::Attention(_) => &node.inputs[..3],
            Op::MatMul(_) if weight(graph, id).is_none() => &node.inputs[..],
            _ => continue,
        };
        sources.extend(inputs);
        results.extend(&node.outputs);
    }
    while let Some(value) = sources.pop() {
        let Some(producer) = graph.producer(value).filter(|_| seen.insert(value)) else { continue };
        match (weight(graph, producer), &graph.node(producer).op) {
            (Some(matrix), _) => drop(weights.insert(matrix)),
            (None, Op::MatMul(_) | Op::Attention(_)) => {}
            (None, _) => sources.extend(graph.node(producer).operands()),
        }
    }
    while let Some(value) = results.pop() {
        for reader in graph.readers(value) {
            let node = graph.node(reader);
            match (weight(graph, reader), &node.op) {
                (Some(matrix), _) if node.inputs[0] == value => drop(weights.insert(matrix)),
                (None, Op::Reshape(_) | Op::Transpose(_) | Op::Slice(_)) => results.extend(&node.outputs),
                _ => {}
            }
        }
    }
    weights
}

/// The constant matrix that a product multiplies with.
fn weight(graph: &Graph, id: NodeId) -> Option<ValueId> {
    let node = graph.node(id);
    let Op::MatMul(_) = node.op else { return None };
    node.inputs.get(1).copied().filter(|&value| graph.constant(value).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn projections_of_attention_are_told_from_other_products() {
        let text = "%x: f32[8,64]\n@q: f32[64,64] = random(1)\n@k: f32[64,64] = random(2)\n@v: f32[64,64] = random(3)\n\
            @o: f32[64,64] = random(4)\n@up: f32[64,128] = random(5)\n@down: f32[128,64] = random(6)\n\
            %a = matmul %x, @q\n%b = matmul %x, @k\n%c = matmul %x, @v\n%qs = exp %a\n\
            %s = matmul %qs, %b {transpose_b=true}\n%p = softmax %s {axis=1}\n%y = matmul %p, %c\n%z = matmul %y, @o\n\
            %r = add %z, %x\n%u = matmul %r, @up\n%g = exp %u\n%d = matmul %g, @down\nreturn %d";
        let graph = drift_ir::text::parse(text).unwrap_or_else(|error| panic!("{error}"));
        let names: BTreeSet<&str> =
            of_attention(&graph).into_iter().map(|value| graph.value(value).name.as_str()).collect();
        assert_eq!(names, BTreeSet::from(["q", "k", "v", "o"]));
    }
}

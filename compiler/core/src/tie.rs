//! Tied embeddings: a matrix of which rows are gathered, and with the transpose of which a product multiplies, is stored once.
//! Exporters write one as the transposition of the other, which was folded, or both.

use drift_ir::graph::EditError;
use drift_ir::op::MatMul;
use drift_ir::{Graph, NodeId, Op, Tensor, ValueId};

/// Has products read the matrix of which rows are gathered where they multiply with its transpose.
pub(crate) fn embeddings(graph: &mut Graph) -> Result<(), EditError> {
    let gathered: Vec<ValueId> = graph.nodes().filter_map(|node| gathered(graph, node)).collect();
    if gathered.is_empty() {
        return Ok(());
    }
    let nodes: Vec<NodeId> = graph.nodes().collect();
    for node in nodes {
        let subject = graph.node(node);
        let (Op::MatMul(MatMul { transpose_b: false }), &[a, b]) = (&subject.op, &subject.inputs[..]) else {
            continue;
        };
        let Some(weights) = graph.constant(b) else { continue };
        let is_same = |&&rows: &&ValueId| {
            rows != b && graph.constant(rows).is_some_and(|rows| is_transpose(rows, weights))
        };
        let Some(&rows) = gathered.iter().find(is_same) else { continue };
        graph.set_op_and_inputs(node, Op::MatMul(MatMul { transpose_b: true }), &[a, rows])?;
    }
    graph.remove_dead();
    Ok(())
}

/// The constant matrix of which a node gathers rows.
fn gathered(graph: &Graph, node: NodeId) -> Option<ValueId> {
    let node = graph.node(node);
    let Op::Gather(op) = &node.op else { return None };
    let matrix = *node.inputs.first()?;
    (op.axis == 0 && graph.constant(matrix)?.rank() == 2).then_some(matrix)
}

/// Whether one matrix of floats is the transpose of the other, to the bit.
fn is_transpose(a: &Tensor, b: &Tensor) -> bool {
    let (&[rows, columns], &[b_rows, b_columns]) = (a.shape(), b.shape()) else { return false };
    let alike = [rows, columns] == [b_columns, b_rows] && a.element() == b.element();
    if !alike || !a.element().is_float() || a.blocks().is_some() || b.blocks().is_some() {
        return false;
    }
    let sizes = [rows, columns].map(|size| size as usize);
    match a.element().size_bytes() {
        2 => are_transposed::<2>(sizes, a.bytes(), b.bytes()),
        4 => are_transposed::<4>(sizes, a.bytes(), b.bytes()),
        _ => false,
    }
}

/// The same of elements of `N` bytes: some of a row first, which tells most matrices apart, then all in squares that caches hold.
fn are_transposed<const N: usize>([rows, columns]: [usize; 2], a: &[u8], b: &[u8]) -> bool {
    const SQUARE: usize = 64;
    let (a, b) = (a.as_chunks::<N>().0, b.as_chunks::<N>().0);
    let same = |row: usize, column: usize| a[row * columns + column] == b[column * rows + row];
    if !(0..columns.min(SQUARE)).all(|column| rows == 0 || same(rows / 2, column)) {
        return false;
    }
    let squares = |size: usize| (0..size).step_by(SQUARE).map(move |at| at..size.min(at + SQUARE));
    squares(rows).all(|rows| {
        squares(columns)
            .all(|columns| rows.clone().all(|row| columns.clone().all(|column| same(row, column))))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use drift_ir::ElementType;
    use drift_ir::text::parse;

    /// A graph that gathers rows of a matrix and multiplies with another one.
    fn ties(rows: &Tensor, weights: &Tensor) -> bool {
        let mut graph = parse(
            "%i: i64[3]\n@e: f32[3,2] = random(1)\n@w: f32[2,3] = random(2)\n%x = gather @e, %i {axis=0}\n\
             %y = matmul %x, @w\nreturn %y",
        )
        .unwrap_or_else(|error| panic!("{error}"));
        for (name, tensor) in [("e", rows), ("w", weights)] {
            let old = graph.value_by_name(name).expect("a constant");
            let new = graph.add_constant(format!("{name}2"), tensor.clone()).expect("a constant");
            graph.replace_uses(old, new).expect("the same type");
        }
        embeddings(&mut graph).expect("an edit");
        drift_ir::verify::verify(&graph).expect("a graph");
        let product = graph.nodes().last().expect("a product");
        matches!(graph.node(product).op, Op::MatMul(MatMul { transpose_b: true }))
            && graph.values().filter(|(id, _)| graph.constant(*id).is_some()).count() == 1
    }

    #[test]
    fn products_with_the_transpose_of_what_is_gathered_read_that() {
        let rows = Tensor::from_f32([3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, -0.0]).expect("a matrix");
        let turned = Tensor::from_f32([2, 3], &[1.0, 3.0, 5.0, 2.0, 4.0, -0.0]).expect("a matrix");
        assert_eq!(rows.element(), ElementType::F32);
        assert!(ties(&rows, &turned));
        // The sign of a zero is told apart.
        let other = Tensor::from_f32([2, 3], &[1.0, 3.0, 5.0, 2.0, 4.0, 0.0]).expect("a matrix");
        assert!(!ties(&rows, &other));
    }
}

//! Rows written at a place that is known when the model runs: into a state where it is, or into a copy.

use super::{Chosen, Context, Declined, Selected};
use crate::kernel::{Access, Constant, KernelCall};
use drift_ir::op::WriteRows;
use drift_ir::{Node, Op};

impl Selected<'_> {
    /// Whether a node writes rows of a state that nothing else reads: then its result is where the state does.
    pub(super) fn writes_state(&self, node: &Node) -> bool {
        let (Op::WriteRows(_), [state, ..]) = (&node.op, node.inputs.as_slice()) else { return false };
        let reads = node.operands().filter(|operand| operand == state).count();
        let is_pair = |pair: &drift_ir::graph::State| pair.input == *state && pair.output == node.outputs[0];
        self.graph.states().iter().any(is_pair)
            && reads == 1
            && self.graph.readers(*state).count() == 1
            && !self.graph.outputs().contains(state)
    }
}

pub(super) fn select(context: &mut Context<'_>, node: &Node, op: WriteRows) -> Result<Chosen, Declined> {
    let [x, rows, first, y] = [node.inputs[0], node.inputs[1], node.inputs[2], node.outputs[0]];
    let (shape, new) = (context.shape(x)?, context.shape(rows)?[op.axis]);
    let blocks: u64 = shape[1..op.axis].iter().product();
    let inner: u64 = shape[op.axis + 1..].iter().product();
    let sizes = |rows: u64| [shape[0], blocks, rows, inner];
    let rows = context.dense_as("rows", Access::Read, rows, sizes(new))?;
    let first = context.dense_as("first", Access::Read, first, [1, 1, 1, shape[0]])?;
    let dst = context.dense_as("dst", Access::Write, y, sizes(shape[op.axis]))?;
    let constants = vec![("CIRCULAR", Constant::Bool(op.circular))];
    let (kernel, slots, extents, why) = match context.writes_state(node) {
        true => {
            ("write_rows_in_place", vec![rows.clone(), first, dst], rows.extents(), "a state, where it is")
        }
        false => {
            let src = context.dense_as("src", Access::Read, x, sizes(shape[op.axis]))?;
            let extents = dst.extents();
            ("write_rows", vec![src, rows, first, dst], extents, "one invocation per slice of the result")
        }
    };
    let (size, workgroups) = context.linear(&(extents.pixels() * extents.slices()));
    let call = KernelCall::plain(kernel, constants, slots, size, workgroups);
    Ok(Chosen { call, why: why.to_owned(), declined: Vec::new(), flops: 0 })
}

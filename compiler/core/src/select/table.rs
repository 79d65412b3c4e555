//! Which kernels may compute an op.

use super::{
    Chosen, Context, Declined, attention, concat, conv, conv_transpose, data, elementwise, empty, group_norm,
    index, matmul, pad, pool, reduce, resize, rotary, rows, scan, write_rows,
};
use drift_ir::{Node, NodeId, Op};

impl Context<'_> {
    /// The candidates of a node's op, in order of preference: the steps of the first that serves, in execution order.
    pub(super) fn candidates(&mut self, id: NodeId) -> Result<Vec<Chosen>, Declined> {
        let node = self.graph.node(id);
        // Concatenation leaves out the parts that are empty; a size is known whatever has it.
        if node.operands().any(|operand| self.is_empty(operand))
            && !matches!(node.op, Op::Concat(_) | Op::ShapeOf(_))
        {
            return empty::select(self, node).map(|chosen| vec![chosen]);
        }
        let only = match &node.op {
            Op::Attention(op) => return attention::select(self, node, op),
            Op::Concat(op) => return concat::select(self, node, *op),
            Op::Conv(op) => return self.floats_only(node).and_then(|()| conv::select(self, node, op)),
            Op::MatMul(op) => return self.floats_only(node).and_then(|()| matmul::select(self, node, *op)),
            Op::GroupNorm(op) => {
                return self.floats_only(node).and_then(|()| group_norm::select(self, node, *op));
            }
            Op::Reduce(op) => return reduce::select(self, node, op),
            Op::Resize(op) => return resize::select(self, node, op),
            Op::Pad(op) => return pad::select(self, node, op),
            Op::ScatterElements(op) => return index::select_scatter_elements(self, node, *op),
            Op::ScatterNd(op) => return index::select_scatter_nd(self, node, *op),
            Op::Rotary(op) => self.floats_only(node).and_then(|()| rotary::select(self, node, *op)),
            Op::WriteRows(op) => write_rows::select(self, node, *op),
            Op::TopK(op) => return scan::select_top_k(self, node, *op),
            Op::Elementwise(op) => elementwise::select(self, node, *op),
            Op::Expand(_) => elementwise::select_expand(self, node),
            Op::ConvTranspose(op) => {
                self.floats_only(node).and_then(|()| conv_transpose::select(self, node, op))
            }
            Op::Pool(op) => pool::select(self, node, op),
            Op::Softmax(op) => self.floats_only(node).and_then(|()| rows::select_softmax(self, node, *op)),
            Op::LayerNorm(op) => {
                self.floats_only(node).and_then(|()| rows::select_layer_norm(self, node, *op))
            }
            Op::RmsNorm(op) => self.floats_only(node).and_then(|()| rows::select_rms_norm(self, node, *op)),
            Op::Reshape(_) => data::select_reshape(self, node),
            Op::Transpose(op) => data::select_transpose(self, node, op),
            Op::Slice(op) => data::select_slice(self, node, op),
            Op::Gather(op) => data::select_gather(self, node, *op),
            Op::GatherNd(op) => data::select_gather_nd(self, node, *op),
            Op::GatherElements(op) => index::select_gather_elements(self, node, *op),
            Op::ArgReduce(op) => scan::select_arg_reduce(self, node, *op),
            Op::Suppress(op) => scan::select_suppress(self, node, *op),
            Op::CumSum(op) => scan::select_cumsum(self, node, *op),
            Op::ShapeOf(op) => data::select_shape_of(self, node, *op),
            Op::Range(_) => data::select_range(self, node),
        };
        only.map(|chosen| vec![chosen])
    }

    /// Fails unless a node's operands are floats, for kernels that only compute with those.
    fn floats_only(&self, node: &Node) -> Result<(), Declined> {
        for &input in &node.inputs {
            let element = self.element(input)?;
            if !element.is_float() {
                return Err(Declined::Element { needed: "f32 or f16", found: element.name() });
            }
        }
        Ok(())
    }
}

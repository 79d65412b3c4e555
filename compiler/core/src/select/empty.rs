//! Nodes with an operand that has no elements: such an operand is as good as a constant, so what they compute is known, or
//! it is another operand as it is.

use super::copies::{CoordinateMap, copy_constants};
use super::{Chosen, Context, Declined};
use crate::kernel::{Access, Slot};
use crate::layout::device_element;
use crate::physical::{Layout, Packing};
use drift_ir::eval::{self, Limits};
use drift_ir::{Node, Op, Tensor, ValueId};

/// The step of a node that reads an empty operand and whose result is not empty.
pub(super) fn select(context: &mut Context<'_>, node: &Node) -> Result<Chosen, Declined> {
    let (x, y) = (node.inputs[0], node.outputs[0]);
    let axes = context.axes(y);
    let updates = matches!(node.op, Op::ScatterElements(_) | Op::ScatterNd(_) | Op::WriteRows(_))
        && !context.is_empty(x);
    let (src, why) = match updates {
        true => (context.slot("src", Access::Read, x, &axes)?, "nothing is updated"),
        false => {
            let result = result(context, node)?;
            (constant(context, y, &result)?, "follows from an operand without elements")
        }
    };
    let dst = context.slot("dst", Access::Write, y, &axes)?;
    let src = Slot { layout: Layout { axes, ..src.layout.clone() }, ..src };
    // A source of one element stands for all.
    let from = |n| (src.shape == dst.shape).then_some(n);
    let maps: Vec<CoordinateMap> =
        (0..4).map(|n| CoordinateMap { from: from(n), start: 0.into(), step: 1 }).collect();
    let (constants, _) = copy_constants(&maps, &dst);
    let (size, workgroups) = context.linear(&(dst.extents().pixels() * dst.extents().slices()));
    let call = context.call(node, "copy", constants, vec![src], dst, size, workgroups)?;
    Ok(Chosen { call, why: why.to_owned(), declined: Vec::new(), flops: 0 })
}

/// What a node's op computes of constants and of operands without elements.
fn result(context: &Context<'_>, node: &Node) -> Result<Tensor, Declined> {
    let evaluated = |operands: &[&Tensor]| {
        let results = eval::eval_op(&node.op, operands, Limits::STANDARD);
        results.map_err(|error| Declined::Unsupported(error.to_string()))
    };
    let operands = node.inputs.iter().map(|&input| known(context, input)).collect::<Result<Vec<_>, _>>();
    let results = match (&node.op, operands) {
        (_, Ok(operands)) => evaluated(&operands.iter().collect::<Vec<_>>())?,
        // Without keys nothing is seen, whatever asks.
        (Op::Attention(_), Err(_)) => {
            let ty = &context.graph.value(node.outputs[0]).ty;
            let zeros = ty.static_shape().and_then(|shape| {
                let bytes = shape.iter().product::<u64>() * ty.element.size_bytes() as u64;
                Tensor::new(ty.element, shape, vec![0; bytes as usize].into()).ok()
            });
            zeros.into_iter().collect()
        }
        (_, Err(reason)) => return Err(reason),
    };
    let none = || Declined::Unsupported("its result is not known".to_owned());
    results.into_iter().next().ok_or_else(none)
}

fn known(context: &Context<'_>, value: ValueId) -> Result<Tensor, Declined> {
    if let Some(tensor) = context.constant_tensor(value) {
        return Ok(tensor.clone());
    }
    let value_of = context.graph.value(value);
    let refused = |reason: &str| Declined::Unsupported(format!("`{}` {reason}", value_of.name));
    match context.is_empty(value) {
        true => Tensor::new(value_of.ty.element, context.shape(value)?, Vec::new().into())
            .map_err(|error| refused(&error.to_string())),
        false => {
            Err(refused("is computed, and another operand has no elements; drop the node that reads both"))
        }
    }
}

/// A slot for a tensor that follows from the node which makes `owner`; for one element where all are the same.
fn constant(context: &mut Context<'_>, owner: ValueId, tensor: &Tensor) -> Result<Slot, Declined> {
    let refused = |error: drift_ir::tensor::TensorError| Declined::Unsupported(error.to_string());
    let size = tensor.element().size_bytes();
    let bytes = tensor.bytes();
    let uniform = bytes.chunks_exact(size).all(|element| element == &bytes[..size]);
    let one = Tensor::new(tensor.element(), vec![1; tensor.rank()], bytes.slice(..size)).map_err(refused)?;
    let tensor = if uniform { &one } else { tensor };
    let element = device_element(tensor.element(), context.precision)
        .ok_or(Declined::Element { needed: "a device's", found: tensor.element().name() })?;
    let layout = Layout::row_major(element, tensor.rank());
    context.constant("src", (Some(owner), tensor), Packing::plain(tensor.shape()), layout)
}

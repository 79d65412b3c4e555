//! Element-wise nodes and broadcasts: one kernel, the function spliced into its read.

use super::{Chosen, Context, Declined, grid};
use crate::kernel::scalar::ScalarProgram;
use crate::kernel::{Access, Constant, KernelCall, Slot, source};
use crate::physical::{AxisMap, Order};
use drift_ir::Node;
use drift_ir::op::{ScalarOp, Step, StepArg};

/// `elementwise` with the node's function as its prologue.
pub(super) fn select(context: &mut Context<'_>, node: &Node, op: ScalarOp) -> Result<Chosen, Declined> {
    let dst = result_slot(context, node)?;
    let mut slots = Vec::new();
    let mut operands = Vec::new();
    let mut args = Vec::new();
    for (n, &value) in node.inputs.iter().enumerate() {
        if let Some(literal) = context.literal(value) {
            args.push(literal);
            continue;
        }
        let (slot, operand) = context.operand(&format!("input_{n}"), value, &dst)?;
        args.push(StepArg::Operand(operands.len() as u32));
        slots.push(slot);
        operands.push(operand);
    }
    let prologue = ScalarProgram::new(crate::kernel::scalar::Kind::Float, vec![Step { op, args }], operands);
    finish(context, node, prologue, slots, dst)
}

/// A broadcast is an element-wise node without steps.
pub(super) fn select_expand(context: &mut Context<'_>, node: &Node) -> Result<Chosen, Declined> {
    let dst = result_slot(context, node)?;
    let (slot, operand) = context.operand("input_0", node.inputs[0], &dst)?;
    let kind = operand.kind;
    let prologue = ScalarProgram { input: kind, steps: Vec::new(), operands: vec![operand], result: kind };
    finish(context, node, prologue, vec![slot], dst)
}

/// The result's slot. Dense tensors of one shape are a single run of channels.
fn result_slot(context: &mut Context<'_>, node: &Node) -> Result<Slot, Declined> {
    let value = node.outputs[0];
    let axes = context.axes(value);
    let mut dst = context.slot("dst", Access::Write, value, &axes)?;
    let rank = dst.shape.len();
    let same_shape = node.operands().all(|operand| {
        let dense = context.placements.get(&operand).is_none_or(|p| p.layout.order == Order::RowMajor);
        let shape = context.shape(operand);
        dense && (shape == dst.shape || shape.iter().all(|&size| size == 1))
    });
    if dst.layout.order == Order::RowMajor && same_shape && dst.shape.last().is_some_and(|last| last % 4 == 0)
    {
        dst.layout.axes = AxisMap { batch: 0..0, height: 0..0, width: 0..0, channels: 0..rank };
    }
    Ok(dst)
}

fn finish(
    context: &mut Context<'_>,
    node: &Node,
    prologue: ScalarProgram,
    mut slots: Vec<Slot>,
    dst: Slot,
) -> Result<Chosen, Declined> {
    if prologue.has_integral_power() {
        return Err(Declined::Unsupported("powers of integers".to_owned()));
    }
    let (epilogue, operands) = context.epilogue(node, &dst)?;
    slots.extend(operands);
    let extents = dst.extents();
    // Long tensors keep several loads of each invocation in flight; short ones need every invocation they can get.
    let slices = extents.pixels() * extents.slices();
    let (threads, items): (u64, u64) =
        if slices >= u64::from(context.profile.busy_workgroups) * 4096 { (256, 4) } else { (64, 1) };
    let [x, y] = grid(slices.div_ceil(threads * items).max(1), u64::from(context.profile.grid_axis));
    let innermost = dst.layout.order == Order::RowMajor;
    let flops = prologue.flops() * extents.elements();
    slots.push(dst);
    Ok(Chosen {
        call: KernelCall {
            kernel: source("elementwise"),
            constants: vec![
                ("CHANNELS_INNERMOST", Constant::Bool(innermost)),
                ("ITEMS", Constant::U32(items as u32)),
            ],
            slots,
            prologue: Some(prologue),
            epilogue,
            workgroup_size: [threads as u32, 1, 1],
            workgroups: [x, y, 1],
        },
        why: format!("{items} slice(s) an invocation"),
        declined: Vec::new(),
        flops,
    })
}

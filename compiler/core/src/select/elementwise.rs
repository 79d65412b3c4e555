//! Element-wise nodes and broadcasts: one kernel, the function spliced into its read.

use super::{Chosen, Context, Declined, grid};
use crate::kernel::scalar::{Kind, ScalarProgram, is_safe_literal};
use crate::kernel::{Access, Constant, KernelCall, Slot};
use crate::physical::{AxisMap, Order, Size, View};
use drift_ir::op::{ScalarOp, Step, StepArg};
use drift_ir::{Node, ValueId};

/// `elementwise` with the node's function and its epilogue as one program, which reads every operand once.
pub(super) fn select(context: &mut Context<'_>, node: &Node, op: ScalarOp) -> Result<Chosen, Declined> {
    let dst = result_slot(context, node)?;
    // What follows from literals alone would be computed where the kernel is parsed, which refuses what is not finite.
    let varies = node.inputs.iter().any(|&value| context.literal(value).is_none());
    // A literal takes its type from an argument that has one; without such an argument it is a float.
    let typed = matches!(op, ScalarOp::Binary(_));
    let mut read: Vec<ValueId> = Vec::new();
    let mut operand = |value: ValueId| {
        let known = read.iter().position(|&other| other == value);
        StepArg::Operand(known.unwrap_or_else(|| {
            read.push(value);
            read.len() - 1
        }) as u32)
    };
    let args = node.inputs.iter().map(|&value| {
        let takes_literal = varies && (typed || context.graph.value(value).ty.element.is_float());
        let literal = context.literal(value).filter(|_| takes_literal);
        let literal =
            literal.filter(|&arg| !matches!(arg, StepArg::Const(zero) if !is_safe_literal(op, zero)));
        literal.unwrap_or_else(|| operand(value))
    });
    let mut steps = vec![Step { op, args: args.collect() }];
    for step in &node.epilogue.steps {
        let args = step.args.iter().map(|&arg| match arg {
            StepArg::Result => StepArg::Step(0),
            StepArg::Step(at) => StepArg::Step(at + 1),
            StepArg::Operand(at) => operand(node.epilogue.operands[at as usize]),
            StepArg::Const(value) => StepArg::Const(value),
        });
        let args = args.collect();
        steps.push(Step { op: step.op, args });
    }
    let (mut slots, mut operands) = (Vec::new(), Vec::new());
    for (n, &value) in read.iter().enumerate() {
        let (slot, operand) = context.operand(&format!("input_{n}"), value, &dst)?;
        slots.push(slot);
        operands.push(operand);
    }
    let prologue = ScalarProgram::new(Kind::Float, steps, operands);
    finish(context, prologue, None, slots, dst)
}

/// A broadcast is an element-wise node without steps.
pub(super) fn select_expand(context: &mut Context<'_>, node: &Node) -> Result<Chosen, Declined> {
    let dst = result_slot(context, node)?;
    let (slot, operand) = context.operand("input_0", node.inputs[0], &dst)?;
    let kind = operand.kind;
    let prologue = ScalarProgram { input: kind, steps: Vec::new(), operands: vec![operand], result: kind };
    let (epilogue, operands) = context.epilogue(node, &dst)?;
    finish(context, prologue, epilogue, [vec![slot], operands].concat(), dst)
}

/// The result's slot. Between dense tensors, axes along which the same operands repeat are one coordinate: tensors of
/// one shape are a single run of channels.
fn result_slot(context: &mut Context<'_>, node: &Node) -> Result<Slot, Declined> {
    let value = node.outputs[0];
    let axes = context.axes(value);
    let mut dst = context.slot("dst", Access::Write, value, &axes)?;
    if dst.layout.order != Order::RowMajor {
        return Ok(dst);
    }
    let mut sliced = node.operands().filter_map(|operand| {
        let layout = &context.placement(operand)?.layout;
        (layout.order != Order::RowMajor).then_some((operand, layout))
    });
    match sliced.next() {
        None => {
            let shapes: Vec<Vec<Size>> = node.operands().map(|operand| context.sizes(operand)).collect();
            let viewed: Vec<(&View, Vec<u64>)> = node
                .operands()
                .filter_map(|operand| Some((context.view(operand)?, context.largest(operand))))
                .collect();
            let views: Vec<(&View, &[u64])> =
                viewed.iter().map(|(view, shape)| (*view, shape.as_slice())).collect();
            dst.layout.axes = merged_axes(&dst.shape, &shapes, &views);
        }
        // Any axes suit a dense result, so those of an operand that is stored under its own spare a conversion.
        Some((operand, layout)) if context.sizes(operand) == dst.shape => {
            dst.layout.axes = layout.axes.clone();
        }
        Some(_) => {}
    }
    Ok(dst)
}

/// The axes of `shape` in as few coordinates as its broadcast `operands` allow, and those of them that are views. Where that
/// is more than four, the outermost ones share the batch coordinate.
fn merged_axes(shape: &[Size], operands: &[Vec<Size>], views: &[(&View, &[u64])]) -> AxisMap {
    // Whether an axis walks on as one with those inside of it, up to the end of their run.
    let walks_on = |axis: usize, end: usize| {
        views.iter().all(|(view, own)| {
            let lead = shape.len() - own.len();
            axis < lead || view.stride_of(own, &(axis - lead..end - lead)).is_some()
        })
    };
    let repeats = |axis: usize| -> Vec<bool> {
        let from_end = shape.len() - axis;
        operands
            .iter()
            .map(|o| o.len().checked_sub(from_end).is_none_or(|axis| o[axis].is_always(1)))
            .collect()
    };
    // Ends of the runs, innermost first.
    let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
    let mut innermost: Option<Vec<bool>> = None;
    for axis in (0..shape.len()).rev() {
        match runs.last_mut() {
            Some(run)
                if (shape[axis].is_always(1)
                    || innermost.as_ref().is_none_or(|known| *known == repeats(axis)))
                    && walks_on(axis, run.end) =>
            {
                run.start = axis;
            }
            _ => {
                runs.push(axis..axis + 1);
                innermost = None;
            }
        }
        if !shape[axis].is_always(1) && innermost.is_none() {
            innermost = Some(repeats(axis));
        }
    }
    let at = |n: usize| runs.get(n).cloned().unwrap_or(0..0);
    let batch = at(3);
    AxisMap { batch: 0..batch.end, height: at(2), width: at(1), channels: at(0) }
}

fn finish(
    context: &Context<'_>,
    prologue: ScalarProgram,
    epilogue: Option<ScalarProgram>,
    mut slots: Vec<Slot>,
    dst: Slot,
) -> Result<Chosen, Declined> {
    let extents = dst.extents();
    // Long tensors keep several loads of each invocation in flight; short ones need every invocation they can get.
    let slices = extents.pixels() * extents.slices();
    let (threads, items): (u64, u64) =
        if slices.max() >= u64::from(context.profile.busy_workgroups) * 4096 { (256, 4) } else { (64, 1) };
    let [x, y] =
        grid(&slices.div_ceil(threads * items).at_least(&Size::ONE), u64::from(context.profile.grid_axis));
    let innermost = dst.layout.order == Order::RowMajor;
    let flops = prologue.flops() * extents.elements().max();
    slots.push(dst);
    let constants = vec![("CHANNELS_INNERMOST", Constant::Bool(innermost)), ("ITEMS", Constant::U32(items))];
    let call = KernelCall::plain("elementwise", constants, slots, [threads as u32, 1, 1], [x, y, Size::ONE]);
    Ok(Chosen {
        call: KernelCall { prologue: Some(prologue), epilogue, ..call },
        why: format!("{items} slice(s) an invocation"),
        declined: Vec::new(),
        flops,
    })
}

//! Two products of the same rows, of which one is multiplied with a function of the other: the gate of a feed-forward layer.
//! One walk over the rows makes both.

use super::{Users, absorb, fits, leave_out, matvec, only_slot, slot};
use crate::kernel::scalar::{Kind, Operand, ScalarProgram};
use crate::kernel::{Access, KernelCall, Slot, Source};
use crate::profile::Profile;
use crate::program::Program;
use drift_ir::op::{BinaryOp, ScalarOp, Step, StepArg};
use std::collections::BTreeSet;

/// Combines every product with the gate that alone reads it.
pub(super) fn combine(program: &mut Program, profile: &Profile) {
    let users = Users::new(program);
    let mut gone = BTreeSet::new();
    for at in 0..program.steps.len() {
        let Some((gate, call)) = combined(program, profile, &users, at) else { continue };
        let product = program.steps[at].clone();
        let step = &mut program.steps[gate];
        absorb(step, &product, call);
        step.why.push_str(&format!("; beside `{}`", product.name));
        gone.insert(at);
    }
    leave_out(program, &gone);
}

/// The step that multiplies the product at `at` with its own, one of them under a function, and its call with both.
fn combined(program: &Program, profile: &Profile, users: &Users, at: usize) -> Option<(usize, KernelCall)> {
    let product = &program.steps[at].call;
    if !is_plain(product) {
        return None;
    }
    let Source::Activation(made) = slot(product, "dst")?.source else { return None };
    let &[reader] = users.readers_of_own(made, at)? else { return None };
    let other = &program.steps[reader].call;
    let same_rows = |of: &KernelCall| slot(of, "a").cloned();
    if other.kernel != product.kernel
        || !is_plain(other)
        || same_rows(other) != same_rows(product)
        || !users.stays(slot(other, "a")?, at, reader)
        || slot(other, "b")?.rows != slot(product, "b")?.rows
    {
        return None;
    }
    let read = only_slot(other, made)?;
    let is_whole = |slot: &Slot| (slot.layout.clone(), slot.shape.clone(), slot.address.clone());
    if is_whole(read) != is_whole(slot(product, "dst")?) {
        return None;
    }
    let (before, epilogue) = split(other.epilogue.as_ref()?, &read.name)?;
    // The function is that of the one or of the other, and reads nothing of the other's.
    let (plain, gate, prologue) = match &product.epilogue {
        None => (product, other, before),
        Some(function) if before.steps.is_empty() && function.operands.is_empty() => {
            (other, product, function.clone())
        }
        Some(_) => return None,
    };
    let mut slots: Vec<Slot> = other.slots.iter().filter(|slot| slot.name != read.name).cloned().collect();
    let b = slots.iter().position(|slot| slot.name == "b")?;
    slots[b] = slot(plain, "b")?.clone();
    slots.insert(b + 1, slot(gate, "b")?.as_argument("c", Access::Read));
    let call = KernelCall { slots, prologue: Some(prologue), epilogue, ..other.clone() };
    let call = matvec::gated(&call, profile)?;
    fits(program, reader, &call).then_some((reader, call))
}

/// Whether a call is a product of few rows with one matrix.
fn is_plain(call: &KernelCall) -> bool {
    matvec::constant(call, "PRODUCTS") == Some(1) && matvec::constant(call, "SQUARES") == Some(0)
}

/// The steps of an epilogue before those that multiply with the operand of a slot, and those behind them, if nothing behind reads
/// what is before and nothing else reads the slot.
fn split(program: &ScalarProgram, read: &str) -> Option<(ScalarProgram, Option<ScalarProgram>)> {
    let operand = program.operands.iter().position(|operand| operand.slot == read)? as u32;
    let reads = |step: &Step| step.args.contains(&StepArg::Operand(operand));
    let at = program.steps.iter().position(reads)?;
    let before = match at.checked_sub(1) {
        Some(last) => StepArg::Step(last as u32),
        None => StepArg::Result,
    };
    let step = &program.steps[at];
    let is_product = step.op == ScalarOp::Binary(BinaryOp::Mul) && step.args.contains(&before);
    let first = ScalarProgram::new(program.input, program.steps[..at].to_vec(), Vec::new());
    let behind = |arg: &StepArg| match arg {
        StepArg::Step(n) => (*n as usize) >= at,
        StepArg::Result => false,
        StepArg::Operand(n) => *n != operand,
        StepArg::Const(_) => true,
    };
    let rest = &program.steps[at + 1..];
    if !is_product || !rest.iter().flat_map(|step| &step.args).all(behind) {
        return None;
    }
    let shifted = |arg: StepArg| match arg {
        StepArg::Step(n) if n as usize == at => StepArg::Result,
        StepArg::Step(n) => StepArg::Step(n - at as u32 - 1),
        StepArg::Result | StepArg::Operand(_) | StepArg::Const(_) => arg,
    };
    let rest = rest.iter().map(|step| {
        let args = step.args.iter().map(|&arg| shifted(arg)).collect();
        Step { op: step.op, args }
    });
    let rest: Vec<Step> = rest.collect();
    let epilogue = (!rest.is_empty()).then(|| with_operands(program, program.input, rest));
    Some((with_operands(program, first.input, first.steps), epilogue))
}

/// Some steps of a program with the operands that they read.
fn with_operands(program: &ScalarProgram, input: Kind, steps: Vec<Step>) -> ScalarProgram {
    let mut operands: Vec<Operand> = Vec::new();
    let mut arg_of = |arg: StepArg| match arg {
        StepArg::Operand(n) => {
            let operand = &program.operands[n as usize];
            let known = operands.iter().position(|other| other == operand);
            let at = known.unwrap_or(operands.len());
            if known.is_none() {
                operands.push(operand.clone());
            }
            StepArg::Operand(at as u32)
        }
        StepArg::Result | StepArg::Step(_) | StepArg::Const(_) => arg,
    };
    let steps = steps.into_iter().map(|step| {
        let args = step.args.into_iter().map(&mut arg_of).collect();
        Step { op: step.op, args }
    });
    let steps: Vec<Step> = steps.collect();
    ScalarProgram::new(input, steps, operands)
}

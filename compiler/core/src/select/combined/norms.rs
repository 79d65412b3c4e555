//! A root-mean-square normalisation in the products that read its rows. The root is one number a row, by which the sums of a
//! product are multiplied when they are complete; the squares are added up on the same walk.

use super::{Users, absorb, fits, leave_out, matvec, only_slot, slot};
use crate::kernel::scalar::ScalarProgram;
use crate::kernel::{Access, Constant, KernelCall, Slot, Source};
use crate::physical::LANES;
use crate::profile::Profile;
use crate::program::{Program, ProgramStep};
use drift_ir::ElementType;
use drift_ir::op::ScalarOp;
use std::collections::BTreeSet;

/// Rows beyond which sums of squares take too many registers.
const MOST_ROWS: u64 = 2;

/// Combines every normalisation that products alone read.
pub(super) fn combine(program: &mut Program, profile: &Profile) {
    let most = profile.rates.few_rows.most_normalised;
    let users = Users::new(program);
    let mut gone = BTreeSet::new();
    for at in 0..program.steps.len() {
        let Some(calls) = combined(program, &users, at, most) else { continue };
        let norm = program.steps[at].clone();
        for (reader, call) in calls {
            let step = &mut program.steps[reader];
            absorb(step, &norm, call);
            step.why.push_str("; rows normalised on the way");
        }
        gone.insert(at);
    }
    leave_out(program, &gone);
}

/// The calls of all steps that read what the step at `at` normalises, with its work in them. Each multiplies by at most `most`
/// weights.
fn combined(program: &Program, users: &Users, at: usize, most: u64) -> Option<Vec<(usize, KernelCall)>> {
    let ProgramStep { call: norm, .. } = &program.steps[at];
    if norm.kernel.name != "rms_norm" || !norm.epilogue.iter().all(only_rounds) {
        return None;
    }
    let (src, scale, dst) = (slot(norm, "src")?, slot(norm, "scale")?, slot(norm, "dst")?);
    let Source::Activation(made) = dst.source else { return None };
    let readers = users.readers_of_own(made, at).filter(|readers| !readers.is_empty())?;
    let last = readers.last().copied().unwrap_or(at);
    if ![src, scale].iter().all(|slot| users.stays(slot, at, last)) {
        return None;
    }
    let (_, epsilon) = norm.constants.iter().find(|(name, _)| *name == "EPSILON")?;
    let with = |at: usize| {
        let call = with(&program.steps[at].call, made, (src, scale), epsilon)?;
        let weights = slot(&call, "b")?;
        let elements = weights.extents().width.as_known()? * weights.rows.as_ref()?.columns();
        (elements <= most && fits(program, at, &call)).then_some((at, call))
    };
    readers.iter().map(|&at| with(at)).collect()
}

/// Whether all that a program does is to round to a type that it is not stored in any more.
fn only_rounds(program: &ScalarProgram) -> bool {
    let is_cast = |op| matches!(op, ScalarOp::Cast(ElementType::F16 | ElementType::F32));
    program.steps.iter().all(|step| is_cast(step.op))
}

/// A product that normalises the rows that it reads.
fn with(
    product: &KernelCall,
    made: u32,
    (src, scale): (&Slot, &Slot),
    epsilon: &Constant,
) -> Option<KernelCall> {
    let a = only_slot(product, made)?;
    let e = a.extents().known().ok()?;
    let rows = matvec::constant(product, "ROWS_M")?;
    let is_plain = matvec::constant(product, "SQUARES")? == 0 && a.name == "a";
    let is_whole = Some(e) == src.extents().known().ok() && e.channels.is_multiple_of(LANES);
    if !is_plain || !is_whole || rows > MOST_ROWS {
        return None;
    }
    let mut call = product.clone();
    for slot in call.slots.iter_mut().filter(|slot| slot.name == "a") {
        *slot = src.as_argument("a", Access::Read);
    }
    call.slots.insert(1, scale.as_argument("scale", Access::Read));
    for (name, constant) in &mut call.constants {
        match *name {
            "SQUARES" => *constant = Constant::U32(rows.next_multiple_of(LANES)),
            "EPSILON" => *constant = epsilon.clone(),
            _ => {}
        }
    }
    Some(call)
}

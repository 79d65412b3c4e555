//! In-place pairs: a step writes its result over an operand that nothing needs afterwards.
//!
//! That is right where each invocation reads of the operand only what it writes itself: the operand and the result have
//! one shape and one layout in a buffer, and the operand is read by the element-wise function of the step, at the
//! coordinates that are written. Both are then one storage, and one binding.

use crate::kernel::{Access, KernelCall, Slot, Source};
use crate::physical::Object;
use crate::program::{Program, StorageKind};
use std::collections::BTreeSet;

/// A step that may write over an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    /// Index of the step.
    pub(super) step: usize,
    /// The operand's storage: it dies there.
    pub(super) operand: u32,
    /// The result's storage: it is born there.
    pub(super) result: u32,
}

/// The pairs of a program whose storages live as `lives` says, in order of steps, at most one for each.
pub(super) fn pairs(program: &Program, lives: &[(usize, usize)]) -> Vec<Pair> {
    let kept: BTreeSet<u32> =
        program.inputs.iter().chain(&program.outputs).map(|port| port.storage).collect();
    let find = |step: usize| {
        let call = &program.steps[step].call;
        let mut written = call.slots.iter().filter(|slot| slot.access == Access::Write);
        let (dst, None) = (written.next()?, written.next()) else { return None };
        let Source::Activation(result) = dst.source else { return None };
        let born_here = lives[result as usize].0 == step;
        let operand = call.slots.iter().find_map(|slot| match slot.source {
            Source::Activation(operand) if operand != result => Some(operand).filter(|&operand| {
                lives[operand as usize].1 == step
                    && !kept.contains(&operand)
                    && reads_what_it_writes(call, operand, dst)
            }),
            Source::Activation(_) | Source::Constant(_) => None,
        });
        operand.filter(|_| born_here).map(|operand| Pair { step, operand, result })
    };
    (0..program.steps.len()).filter_map(find).collect()
}

/// Whether the call reads of `operand` nothing but the element that it then writes to `dst`.
fn reads_what_it_writes(call: &KernelCall, operand: u32, dst: &Slot) -> bool {
    // Other kernels call their prologue at coordinates of their own.
    let prologue = call.prologue.iter().filter(|_| call.kernel.name == "elementwise");
    let element_wise: Vec<&str> = prologue
        .chain(&call.epilogue)
        .flat_map(|program| &program.operands)
        .map(|operand| operand.slot.as_str())
        .collect();
    call.slots.iter().filter(|slot| slot.source == Source::Activation(operand)).all(|slot| {
        dst.layout.object == Object::Buffer
            && slot.layout == dst.layout
            && slot.shape == dst.shape
            && !slot.splat
            && slot.broadcast.is_none()
            && element_wise.contains(&slot.name.as_str())
    })
}

/// `program` with each pair in one storage: the result's users find it where the operand was. The result's own
/// storage stays in the list, empty and named by nobody.
pub(super) fn merge(program: &Program, pairs: &[Pair]) -> Program {
    let mut merged = program.clone();
    let mut home: Vec<u32> = (0..program.storages.len() as u32).collect();
    for pair in pairs {
        // A chain of pairs ends in the storage of its first operand.
        let operand = home[pair.operand as usize];
        home[pair.result as usize] = operand;
        let result = std::mem::replace(
            &mut merged.storages[pair.result as usize].kind,
            StorageKind::Buffer { size_bytes: 0 },
        );
        let kind = &mut merged.storages[operand as usize].kind;
        *kind = StorageKind::Buffer { size_bytes: kind.size_bytes().max(result.size_bytes()) };
    }
    for slot in merged.steps.iter_mut().flat_map(|step| &mut step.call.slots) {
        if let Source::Activation(storage) = &mut slot.source {
            *storage = home[*storage as usize];
        }
    }
    for port in merged.inputs.iter_mut().chain(&mut merged.outputs) {
        port.storage = home[port.storage as usize];
    }
    merged
}

#[cfg(test)]
mod tests {
    use crate::emit::plan_memory;
    use crate::layout::{self, LayoutChoice};
    use crate::memory::Effort;
    use crate::program::Program;
    use crate::{profile, select};

    fn program(text: &str, choice: LayoutChoice) -> Program {
        let graph = drift_ir::text::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let layouts = layout::assign(&graph, &profile::GENERIC, choice, None).expect("layouts");
        select::choose(&graph, &layouts, &profile::GENERIC, None).expect("kernels")
    }

    /// Steps in place, planned bytes without sharing and with it.
    fn planned(text: &str, choice: LayoutChoice) -> (Vec<usize>, u64, u64) {
        let mut program = program(text, choice);
        let before =
            super::super::plan::place(&program, Effort::Greedy).expect("a plan").report.planned_bytes;
        let plan = plan_memory(&mut program).expect("a plan");
        assert!(plan.report.planned_bytes >= plan.report.lower_bound_bytes);
        assert!(plan.report.planned_bytes <= plan.report.naive_bytes);
        (plan.in_place, before, plan.report.planned_bytes)
    }

    const RESIDUAL: &str = "%x: f32[1,4,8,8]\n@u: f32[8,4,1,1] = random(1)\n@v: f32[8,8,1,1] = random(2)\n\
        %r = conv %x, @u\n%h = conv %r, @v\n%y = conv %h, @v epilogue(add %r)\n%z = conv %y, @v\n\
        return %z";

    #[test]
    fn a_residual_is_added_where_it_lies() {
        let (steps, before, after) = planned(RESIDUAL, LayoutChoice::Buffer);
        assert_eq!(steps, [2]);
        assert_eq!(before - after, 8 * 64 * 4);
    }

    #[test]
    fn textures_are_never_written_over() {
        assert_eq!(planned(RESIDUAL, LayoutChoice::Texture2d).0, []);
    }

    #[test]
    fn an_operand_that_the_step_reads_elsewhere_is_not_written_over() {
        let text = RESIDUAL.replace("%y = conv %h, @v epilogue(add %r)", "%y = conv %h, @v epilogue(add %h)");
        assert_eq!(planned(&text, LayoutChoice::Buffer).0, []);
    }

    #[test]
    fn inputs_and_outputs_are_not_written_over() {
        let text = "%x: f32[4,64]\n%y = exp %x\n%z = mul %x, %y\nreturn %y, %z";
        assert_eq!(planned(text, LayoutChoice::Buffer).0, []);
    }

    #[test]
    fn a_step_that_saves_nothing_is_left_alone() {
        // The first product needs more than the last step, in place or not.
        let text = "%x: f32[4,512]\n@u: f32[512,8] = random(1)\n@v: f32[8,8] = random(2)\n\
            %w = exp %x\n%r = matmul %w, @u\n%h = matmul %r, @v\n%y = matmul %h, @v epilogue(add %r)\nreturn %y";
        let (steps, before, after) = planned(text, LayoutChoice::Buffer);
        assert_eq!((steps, before), (Vec::new(), after));
    }

    #[test]
    fn a_chain_of_pairs_is_one_storage() {
        let text = "%x: f32[4,8]\n@u: f32[8,64] = random(1)\n@v: f32[64,1] = random(2)\n%a = matmul %x, @u\n\
            %s = matmul %a, @v\n%b = exp %a\n%t = matmul %b, @v\n%c = tanh %b\n%w = matmul %c, @v\nreturn %s, %t, %w";
        let mut program = program(text, LayoutChoice::Buffer);
        let plan = plan_memory(&mut program).expect("a plan");
        assert_eq!(plan.in_place, [2, 4]);
        let used: std::collections::BTreeSet<String> = program
            .steps
            .iter()
            .flat_map(|step| &step.call.slots)
            .filter(|slot| slot.shape == [4, 64])
            .map(|slot| format!("{:?}", slot.source))
            .collect();
        assert_eq!(used.len(), 1, "{used:?}");
    }
}

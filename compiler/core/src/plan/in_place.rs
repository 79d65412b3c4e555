//! In-place pairs: a step writes its result over an operand that nothing needs afterwards.
//!
//! That is right where each invocation reads of the operand only what it writes itself: the operand and the result have
//! one shape and one layout in a buffer, and the operand is read by the element-wise function of the step, at the
//! coordinates that are written. It is right as well where a workgroup reads a row or a group, waits, and writes no other.
//! Which kernels do so is in their interfaces.
//! Both are then one storage, and one binding.

use crate::kernel::interface::Prologue;
use crate::kernel::{Access, AddressMap, KernelCall, Slot, Source};
use crate::physical::StorageType;
use crate::program::{Program, StorageKind};
use indexmap::IndexMap;
use std::collections::BTreeSet;

/// Steps that may write their result over an operand: one, or several that each write a share of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    /// Indices of the steps, ascending.
    pub(super) steps: Vec<usize>,
    /// The operand's storage: its last use.
    pub(super) operand: u32,
    /// The result's storage: its first use.
    pub(super) result: u32,
}

/// The pairs of a program whose storages are touched first and last as `live_ranges` says, in order of steps, at most one for
/// each operand and result.
pub(super) fn pairs(program: &Program, live_ranges: &[(usize, usize)]) -> Vec<Pair> {
    let users = users(program);
    let mut taken = BTreeSet::new();
    let mut pairs: Vec<Pair> = Vec::new();
    for pair in possible(program) {
        let Some((&first, &last)) = pair.steps.first().zip(pair.steps.last()) else { continue };
        let (operand, result) = (pair.operand, pair.result);
        // Nothing else reads the operand once a share of it is overwritten.
        let users = &users[operand as usize];
        let others = users.len() - users.partition_point(|&step| step < first) > pair.steps.len();
        let meet = live_ranges[operand as usize].1 == last && live_ranges[result as usize].0 == first;
        // A storage may be the result of one pair and the operand of a later one.
        let free = !taken.contains(&(operand, false)) && !taken.contains(&(result, true));
        if meet && !others && free {
            taken.extend([(operand, false), (result, true)]);
            pairs.push(pair);
        }
    }
    pairs
}

/// Steps that touch each storage, ascending.
pub(super) fn users(program: &Program) -> Vec<Vec<usize>> {
    users_by(program, |_| true)
}

/// Steps that touch each storage through a slot that is `wanted`, ascending.
pub(super) fn users_by(program: &Program, wanted: impl Fn(&Slot) -> bool) -> Vec<Vec<usize>> {
    let mut users: Vec<Vec<usize>> = vec![Vec::new(); program.storages.len()];
    for (step, slot) in
        program.steps.iter().enumerate().flat_map(|(at, s)| s.call.slots.iter().map(move |slot| (at, slot)))
    {
        if let Source::Activation(storage) = slot.source
            && wanted(slot)
            && users[storage as usize].last() != Some(&step)
        {
            users[storage as usize].push(step);
        }
    }
    users
}

/// The pairs that the steps allow, whatever the last uses of their operands, in order of their first steps.
pub(super) fn possible(program: &Program) -> Vec<Pair> {
    // Ports keep their place, and what shares bytes with another storage stays live in it.
    let mut kept: BTreeSet<u32> = program.port_storages().chain(program.state_storages()).collect();
    for (storage, within) in program.storages.iter().enumerate().filter_map(|(n, s)| Some((n, s.within?))) {
        kept.extend([storage as u32, within.storage]);
    }
    let mut pairs: IndexMap<(u32, u32), Vec<usize>> = IndexMap::new();
    for (step, call) in program.steps.iter().map(|step| &step.call).enumerate() {
        let mut written = call.slots.iter().filter(|slot| slot.access == Access::Write);
        let (Some(dst), None) = (written.next(), written.next()) else { continue };
        let Source::Activation(result) = dst.source else { continue };
        for slot in &call.slots {
            if let Source::Activation(operand) = slot.source
                && operand != result
                && !kept.contains(&operand)
                && reads_what_it_writes(call, operand, dst)
            {
                let steps = pairs.entry((operand, result)).or_default();
                if steps.last() != Some(&step) {
                    steps.push(step);
                }
            }
        }
    }
    pairs.into_iter().map(|((operand, result), steps)| Pair { steps, operand, result }).collect()
}

/// Whether the call reads of `operand` nothing but the element that it then writes to `dst`.
fn reads_what_it_writes(call: &KernelCall, operand: u32, dst: &Slot) -> bool {
    let interface = &call.kernel.interface;
    // Other kernels call their prologue at coordinates of their own.
    let prologue = call.prologue.iter().filter(|_| interface.prologue == Prologue::MakesResult);
    let element_wise: Vec<&str> = prologue
        .chain(&call.epilogue)
        .flat_map(|program| &program.operands)
        .map(|operand| operand.slot.as_str())
        .collect();
    let may_be_read = |slot: &Slot| {
        let written_over = interface.slot(&slot.name).is_some_and(|spec| spec.written_over);
        written_over || element_wise.contains(&slot.name.as_str())
    };
    call.slots.iter().filter(|slot| slot.source == Source::Activation(operand)).all(|slot| {
        dst.layout.storage_type == StorageType::Buffer
            && slot.layout == dst.layout
            && slot.shape == dst.shape
            && slot.address == AddressMap::WHOLE
            && dst.address == AddressMap::WHOLE
            && may_be_read(slot)
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
        let result = &mut merged.storages[pair.result as usize];
        let kind = std::mem::replace(&mut result.kind, StorageKind::Buffer { size_bytes: 0 });
        // A result that is within another storage takes the operand there.
        let within = result.within.take();
        let operand = &mut merged.storages[operand as usize];
        operand.kind = StorageKind::Buffer { size_bytes: operand.kind.size_bytes().max(kind.size_bytes()) };
        operand.within = within;
    }
    for within in merged.storages.iter_mut().filter_map(|storage| storage.within.as_mut()) {
        within.storage = home[within.storage as usize];
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
    use crate::layout::{self, LayoutChoice};
    use crate::memory::Effort;
    use crate::plan::{place, plan_memory};
    use crate::program::Program;
    use crate::{profile, select};

    fn program(text: &str, choice: LayoutChoice) -> Program {
        let graph = drift_ir::text::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let layouts = layout::assign(&graph, &profile::GENERIC, choice, None).expect("layouts");
        select::choose(&graph, &layouts, &profile::GENERIC, None).expect("kernels")
    }

    /// Steps in place, planned bytes without sharing and with it.
    fn planned(text: &str, choice: LayoutChoice) -> (Vec<usize>, u64, u64) {
        let program = program(text, choice);
        let before = place(&program, false, Effort::Greedy).expect("a plan").report.planned_bytes;
        let (_, plan) = plan_memory(program, profile::GENERIC.memory).expect("a plan");
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
        let program = program(text, LayoutChoice::Buffer);
        let (program, plan) = plan_memory(program, profile::GENERIC.memory).expect("a plan");
        assert_eq!(plan.in_place, [2, 4]);
        let used: std::collections::BTreeSet<String> = program
            .steps
            .iter()
            .flat_map(|step| &step.call.slots)
            .filter(|slot| slot.largest() == [4, 64])
            .map(|slot| format!("{:?}", slot.source))
            .collect();
        assert_eq!(used.len(), 1, "{used:?}");
    }

    #[test]
    fn rows_and_groups_are_normalised_where_they_lie() {
        let softmax = "%x: f32[16,32]\n@y: f32[32,64] = random(1)\n@z: f32[64,8] = random(2)\n%s = matmul %x, @y\n\
            %p = softmax %s {axis=1}\n%r = matmul %p, @z\nreturn %r";
        assert_eq!(planned(softmax, LayoutChoice::Buffer).0, [1]);
        let norm = "%x: f32[1,4,8,8]\n@w: f32[32,4,1,1] = random(1)\n@v: f32[4,32,1,1] = random(4)\n%h = conv %x, @w\n\
            %n = group_norm %h {groups=4, epsilon=1e-5}\n%r = conv %n, @v\nreturn %r";
        assert_eq!(planned(norm, LayoutChoice::Buffer).0, [1]);
        assert_eq!(planned(norm, LayoutChoice::Texture2d).0, []);
    }

    /// A convolution in blocks of rows writes over the residual that each block adds.
    #[test]
    fn several_steps_write_over_one_operand() {
        let text = "%x: f32[1,64,32,32]\n@u: f32[64,64,3,3] = random(1)\n@v: f32[4,64,1,1] = random(2)\n\
            %r = conv %x, @v2\n%h = exp %r\n%y = conv %h, @u {pads=[1,1,1,1]} epilogue(add %r)\n%z = conv %y, @v\nreturn %z"
            .replace("%r = conv %x, @v2", "@v2: f32[64,64,1,1] = random(3)\n%r = conv %x, @v2");
        let graph = drift_ir::text::parse(&text).unwrap_or_else(|error| panic!("{error}"));
        let blocks = profile::find("winograd-4x4").expect("the profile");
        let small = profile::Winograd { scratch_bytes: 64 << 10, ..blocks.winograd };
        let small = profile::Profile { winograd: small, ..blocks.clone() };
        let layouts = layout::assign(&graph, &small, LayoutChoice::Buffer, None).expect("layouts");
        let program = select::choose(&graph, &layouts, &small, None).expect("kernels");
        let result =
            program.storages.iter().position(|storage| storage.name == "y").expect("a storage") as u32;
        let writes = program.steps.iter().filter(|step| {
            let of = |slot: &crate::kernel::Slot| slot.source == crate::kernel::Source::Activation(result);
            step.call.slots.iter().any(|slot| slot.access == crate::kernel::Access::Write && of(slot))
        });
        let blocks = writes.count();
        assert!(blocks > 1, "{blocks}");
        let (_, plan) = plan_memory(program, profile::GENERIC.memory).expect("a plan");
        assert_eq!(plan.in_place.len(), blocks);
    }
}

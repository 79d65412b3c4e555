//! Makes barriers order memory under the Vulkan memory model.
//!
//! Cooperative matrices need that model. There, an access is private to its invocation unless it says otherwise, and a
//! barrier neither publishes writes nor fetches them unless it says so. naga writes neither; without them a tile that
//! one invocation stores and another loads is a data race. A storage barrier of WGSL orders the work-group, so its
//! scope is the work-group and not the device, which would need a capability more. Only workgroup memory is marked:
//! invocations of one dispatch never exchange values through buffers, and a marked buffer access costs speed.

use std::collections::BTreeMap;

use super::words::{Instruction, Words, op, storage};

const VULKAN_MEMORY_MODEL: u32 = 5345;
const NON_PRIVATE_POINTER: u32 = 0x20;
/// `MakeAvailable | MakeVisible`.
const PUBLISH_AND_FETCH: u32 = 0x2000 | 0x4000;
const DEVICE_SCOPE: u32 = 1;
const WORKGROUP_SCOPE: u32 = 2;

/// Marks accesses to shared memory and completes the semantics of barriers, where the module has that memory model.
pub(super) fn share_memory(words: &mut Words) {
    if !words.has_capability(VULKAN_MEMORY_MODEL) {
        return;
    }
    let shared = SharedPointers::of(words);
    for one in &mut words.instructions {
        match one.opcode {
            op::LOAD if shared.contains(one.operands[2]) => mark(one, 3),
            op::STORE if shared.contains(one.operands[0]) => mark(one, 2),
            op::COOPERATIVE_MATRIX_LOAD if shared.contains(one.operands[2]) => mark(one, 5),
            op::COOPERATIVE_MATRIX_STORE if shared.contains(one.operands[0]) => mark(one, 4),
            _ => {}
        }
    }
    complete_barriers(words);
}

/// Which values point to workgroup memory, the only memory through which invocations of a dispatch exchange values.
struct SharedPointers {
    type_of: BTreeMap<u32, u32>,
    class_of: BTreeMap<u32, u32>,
}

impl SharedPointers {
    fn of(words: &Words) -> Self {
        let pointers = words.instructions.iter().filter(|one| one.opcode == op::TYPE_POINTER);
        Self {
            type_of: words
                .instructions
                .iter()
                .filter_map(|one| one.typed_result().map(|(ty, id)| (id, ty)))
                .collect(),
            class_of: pointers.map(|one| (one.operands[0], one.operands[1])).collect(),
        }
    }

    fn contains(&self, value: u32) -> bool {
        let class = self.type_of.get(&value).and_then(|ty| self.class_of.get(ty));
        class.is_some_and(|class| *class == storage::WORKGROUP)
    }
}

/// Puts memory operands behind the first `fixed` operands, which naga leaves out.
fn mark(access: &mut Instruction, fixed: usize) {
    if access.operands.len() == fixed {
        access.operands.push(NON_PRIVATE_POINTER);
    }
}

fn complete_barriers(words: &mut Words) {
    let constants: BTreeMap<u32, (u32, u32)> = words
        .instructions
        .iter()
        .filter(|one| one.opcode == op::CONSTANT && one.operands.len() == 3)
        .map(|one| (one.operands[1], (one.operands[0], one.operands[2])))
        .collect();
    let mut made: BTreeMap<(u32, u32), u32> = BTreeMap::new();
    let mut instructions = std::mem::take(&mut words.instructions);
    for one in &mut instructions {
        let scope_at = match one.opcode {
            op::CONTROL_BARRIER => 1,
            op::MEMORY_BARRIER => 0,
            _ => continue,
        };
        for (at, change) in [(scope_at, within_workgroup as fn(u32) -> u32), (scope_at + 1, published)] {
            let Some(&(ty, value)) = constants.get(&one.operands[at]) else { continue };
            if change(value) != value {
                one.operands[at] = *made.entry((ty, change(value))).or_insert_with(|| words.fresh_id());
            }
        }
    }
    // Constants stand before the first function.
    let end = instructions.iter().position(|one| one.opcode == op::FUNCTION).unwrap_or(instructions.len());
    let new = made.into_iter().map(|((ty, value), id)| Instruction::new(op::CONSTANT, [ty, id, value]));
    instructions.splice(end..end, new);
    words.instructions = instructions;
}

fn within_workgroup(scope: u32) -> u32 {
    if scope == DEVICE_SCOPE { WORKGROUP_SCOPE } else { scope }
}

fn published(semantics: u32) -> u32 {
    semantics | PUBLISH_AND_FETCH
}

#[cfg(all(test, feature = "spirv-tools"))]
mod tests {
    use super::super::testing::edited;
    use super::share_memory;

    const KERNEL: &str = "
        OpCapability Shader
        OpCapability VulkanMemoryModel
        OpMemoryModel Logical Vulkan
        OpEntryPoint GLCompute %main \"main\" %tile %own
        OpExecutionMode %main LocalSize 1 1 1
        OpName %tile \"tile\"
        OpName %own \"own\"
        OpName %value \"value\"
        %void = OpTypeVoid
        %uint = OpTypeInt 32 0
        %device = OpConstant %uint 1
        %workgroup = OpConstant %uint 2
        %semantics = OpConstant %uint 264
        %in_workgroup = OpTypePointer Workgroup %uint
        %in_private = OpTypePointer Private %uint
        %tile = OpVariable %in_workgroup Workgroup
        %own = OpVariable %in_private Private
        %signature = OpTypeFunction %void
        %main = OpFunction %void None %signature
        %entry = OpLabel
        %value = OpLoad %uint %tile
        OpStore %own %value
        OpControlBarrier %workgroup %device %semantics
        OpReturn
        OpFunctionEnd";

    #[test]
    fn shared_memory_is_marked_and_private_memory_is_not() {
        let text = edited(KERNEL, share_memory);
        assert!(text.contains("OpLoad %uint %tile NonPrivatePointer"), "{text}");
        assert!(text.contains("OpStore %own %value\n"), "{text}");
    }

    #[test]
    fn a_barrier_publishes_and_fetches_within_the_workgroup() {
        let text = edited(KERNEL, share_memory);
        let barrier = text.lines().find(|line| line.contains("OpControlBarrier")).unwrap();
        let ids: Vec<&str> = barrier.split_whitespace().skip(1).collect();
        let value = |id: &str| {
            let declared = text.lines().find(|line| line.starts_with(&format!("{id} = "))).unwrap();
            declared.rsplit(' ').next().unwrap().to_owned()
        };
        assert_eq!(ids.iter().map(|id| value(id)).collect::<Vec<_>>(), ["2", "2", "24840"]);
    }

    #[test]
    fn the_plain_memory_model_is_left_alone() {
        let plain =
            KERNEL.replace("OpCapability VulkanMemoryModel", "").replace("Logical Vulkan", "Logical GLSL450");
        assert_eq!(edited(&plain, share_memory), edited(&plain, |_| ()));
    }
}

//! Drops capabilities that naga declares for 16-bit values but the kernel does not use.
//!
//! naga asks for 16-bit uniform and storage buffers wherever a 16-bit type occurs. Devices exist that compute in f16,
//! or store it, and have no 16-bit uniform buffers; a module must not turn them away.

use std::collections::BTreeSet;

use super::words::{Words, op, storage};

const STORAGE_BUFFER_16BIT: u32 = 4433;
const UNIFORM_AND_STORAGE_BUFFER_16BIT: u32 = 4434;

/// Removes the 16-bit storage capabilities of buffers that hold no 16-bit values.
pub(super) fn drop_unused_16bit_storage(words: &mut Words) {
    let holders = holders_of_16bit(words);
    let held_in = |class: u32| {
        words.instructions.iter().any(|one| {
            one.opcode == op::TYPE_POINTER && one.operands[1] == class && holders.contains(&one.operands[2])
        })
    };
    let (uniform, in_storage) = (held_in(storage::UNIFORM), held_in(storage::STORAGE_BUFFER));
    words.instructions.retain(|one| match (one.opcode, one.operands.first()) {
        (op::CAPABILITY, Some(&UNIFORM_AND_STORAGE_BUFFER_16BIT)) => uniform,
        (op::CAPABILITY, Some(&STORAGE_BUFFER_16BIT)) => in_storage || uniform,
        _ => true,
    });
}

/// 16-bit types and what contains them.
fn holders_of_16bit(words: &Words) -> BTreeSet<u32> {
    let mut holders = BTreeSet::new();
    // A type is declared before those that contain it.
    for one in &words.instructions {
        let Some(id) = one.type_id() else { continue };
        let is_16bit = matches!(one.opcode, op::TYPE_INT | op::TYPE_FLOAT) && one.operands[1] == 16;
        if is_16bit || one.element_types().iter().any(|element| holders.contains(element)) {
            holders.insert(id);
        }
    }
    holders
}

#[cfg(all(test, feature = "spirv-tools"))]
mod tests {
    use super::super::testing::edited;
    use super::drop_unused_16bit_storage;

    /// Capabilities left in a module that has a pointer to structs of `member` in `class`.
    fn left(class: &str, member: &str) -> Vec<String> {
        let text = edited(
            &format!(
                "OpCapability Shader
                OpCapability Float16
                OpCapability StorageBuffer16BitAccess
                OpCapability UniformAndStorageBuffer16BitAccess
                OpMemoryModel Logical GLSL450
                %half = OpTypeFloat 16
                %float = OpTypeFloat 32
                %holder = OpTypeStruct %float %{member}
                %pointer = OpTypePointer {class} %holder"
            ),
            drop_unused_16bit_storage,
        );
        let declared = text.lines().filter_map(|line| line.strip_prefix("OpCapability "));
        declared.map(str::to_owned).filter(|name| name.ends_with("Access")).collect()
    }

    #[test]
    fn only_buffers_that_hold_f16_ask_for_f16_storage() {
        assert_eq!(left("StorageBuffer", "half"), ["StorageBuffer16BitAccess"]);
        assert_eq!(
            left("Uniform", "half"),
            ["StorageBuffer16BitAccess", "UniformAndStorageBuffer16BitAccess"]
        );
        assert!(left("StorageBuffer", "float").is_empty());
        assert!(left("Workgroup", "half").is_empty());
    }
}

//! Keeps memory layouts (`ArrayStride`, `Offset`, ...) to the types of buffers.
//!
//! naga decorates every array and struct. Vulkan forbids that on types of workgroup variables, and from SPIR-V 1.5 on
//! private and function variables too. A type that only such variables use loses its layout; a type that a buffer uses
//! as well is split in two, and everything but the buffer takes the plain half.

use std::collections::{BTreeMap, BTreeSet};

use super::words::{Instruction, Words, op, storage};
use crate::EmitError;

/// `RowMajor`, `ColMajor`, `ArrayStride`, `MatrixStride`, `Offset`.
const LAYOUT_DECORATIONS: [u32; 5] = [4, 5, 6, 7, 35];

/// Removes layouts from what is not in a buffer.
///
/// # Errors
/// When a split type is loaded from a buffer, or stored to one, as a whole.
pub(super) fn keep_to_buffers(words: &mut Words) -> Result<(), EmitError> {
    let types = Types::of(words);
    let laid_out = types.reached_from(has_layout);
    let plain = types.reached_from(is_plain);
    words.instructions.retain(|one| layout_target(one).is_none_or(|target| laid_out.contains(&target)));
    let shared: BTreeSet<u32> =
        laid_out.intersection(&plain).copied().filter(|id| types.is_composite(*id)).collect();
    if shared.is_empty() {
        return Ok(());
    }
    refuse_whole_copies(words, &types, &shared)?;
    split(words, &laid_out, &shared);
    Ok(())
}

fn has_layout(class: u32) -> bool {
    matches!(class, storage::UNIFORM | storage::PUSH_CONSTANT | storage::STORAGE_BUFFER)
}

fn is_plain(class: u32) -> bool {
    matches!(class, storage::WORKGROUP | storage::PRIVATE | storage::FUNCTION)
}

/// The type whose memory layout `one` states.
fn layout_target(one: &Instruction) -> Option<u32> {
    let decoration = match one.opcode {
        op::DECORATE => one.operands[1],
        op::MEMBER_DECORATE => one.operands[2],
        _ => return None,
    };
    LAYOUT_DECORATIONS.contains(&decoration).then(|| one.operands[0])
}

/// The type declarations of a module.
struct Types {
    declarations: BTreeMap<u32, Instruction>,
}

impl Types {
    fn of(words: &Words) -> Self {
        let declared = |one: &Instruction| one.type_id().map(|id| (id, one.clone()));
        Self { declarations: words.instructions.iter().filter_map(declared).collect() }
    }

    fn is_composite(&self, id: u32) -> bool {
        matches!(self.declarations[&id].opcode, op::TYPE_ARRAY | op::TYPE_RUNTIME_ARRAY | op::TYPE_STRUCT)
    }

    /// Everything inside the types that pointers of a class point to.
    fn reached_from(&self, class: fn(u32) -> bool) -> BTreeSet<u32> {
        let pointers = self.declarations.values().filter(|one| one.opcode == op::TYPE_POINTER);
        let mut open: Vec<u32> =
            pointers.filter(|one| class(one.operands[1])).map(|one| one.operands[2]).collect();
        let mut reached = BTreeSet::new();
        while let Some(id) = open.pop() {
            if reached.insert(id) {
                open.extend(self.declarations.get(&id).map_or(&[][..], Instruction::element_types));
            }
        }
        reached
    }

    /// The storage class of the pointer type `id`.
    fn class(&self, id: u32) -> Option<u32> {
        self.declarations.get(&id).filter(|one| one.opcode == op::TYPE_POINTER).map(|one| one.operands[1])
    }
}

/// A load or store of a whole `shared` value at a buffer would need both types at once.
fn refuse_whole_copies(words: &Words, types: &Types, shared: &BTreeSet<u32>) -> Result<(), EmitError> {
    let type_of: BTreeMap<u32, u32> =
        words.instructions.iter().filter_map(|one| one.typed_result().map(|(ty, id)| (id, ty))).collect();
    for one in &words.instructions {
        let (pointer, value_type) = match one.opcode {
            op::LOAD => (one.operands[2], Some(one.operands[0])),
            op::STORE => (one.operands[0], type_of.get(&one.operands[1]).copied()),
            _ => continue,
        };
        let in_buffer = type_of.get(&pointer).and_then(|ty| types.class(*ty)).is_some_and(has_layout);
        if in_buffer && value_type.is_some_and(|ty| shared.contains(&ty)) {
            return Err(EmitError::WholeArrayCopy);
        }
    }
    Ok(())
}

/// Gives each type of `shared` a second declaration without layout, and that one to all but the types in `laid_out`.
fn split(words: &mut Words, laid_out: &BTreeSet<u32>, shared: &BTreeSet<u32>) {
    let twins: BTreeMap<u32, u32> = shared.iter().map(|&id| (id, words.fresh_id())).collect();
    let plain = |id: &mut u32| *id = twins.get(id).copied().unwrap_or(*id);
    let mut instructions = Vec::with_capacity(words.instructions.len() + twins.len());
    for mut one in std::mem::take(&mut words.instructions) {
        let declares = one.type_id();
        let mut twin = None;
        match (one.opcode, declares) {
            (op::NAME | op::MEMBER_NAME, _) => {
                twin = twins.get(&one.operands[0]).map(|&id| renamed(&one, id));
            }
            (op::TYPE_POINTER, _) if is_plain(one.operands[1]) => plain(&mut one.operands[2]),
            (op::TYPE_ARRAY, Some(id)) if twins.contains_key(&id) => {
                let mut copy = renamed(&one, twins[&id]);
                plain(&mut copy.operands[1]);
                twin = Some(copy);
            }
            (op::TYPE_STRUCT, Some(id)) if twins.contains_key(&id) => {
                let mut copy = renamed(&one, twins[&id]);
                copy.operands[1..].iter_mut().for_each(plain);
                twin = Some(copy);
            }
            (op::TYPE_ARRAY, Some(id)) if !laid_out.contains(&id) => plain(&mut one.operands[1]),
            (op::TYPE_STRUCT, Some(id)) if !laid_out.contains(&id) => {
                one.operands[1..].iter_mut().for_each(plain);
            }
            (op::TYPE_FUNCTION, _) => one.operands[1..].iter_mut().for_each(plain),
            (_, Some(_)) => {}
            (_, None) => {
                if one.typed_result().is_some() {
                    plain(&mut one.operands[0]);
                }
            }
        }
        instructions.push(one);
        instructions.extend(twin);
    }
    words.instructions = instructions;
}

/// `one`, about `id`.
fn renamed(one: &Instruction, id: u32) -> Instruction {
    let mut copy = one.clone();
    copy.operands[0] = id;
    copy
}

#[cfg(all(test, feature = "spirv-tools"))]
mod tests {
    use super::super::testing::edited;
    use super::keep_to_buffers;

    fn check(text: &str, expected: &str) {
        let found = edited(text, |words| keep_to_buffers(words).expect("nothing is copied whole"));
        let lines =
            |text: &str| text.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>().join("\n");
        assert_eq!(lines(found.trim()), lines(expected.trim()));
    }

    const HEAD: &str = "OpCapability Shader
        OpMemoryModel Logical GLSL450
        ";

    #[test]
    fn a_type_of_workgroup_memory_only_loses_its_stride() {
        let types = "%uint = OpTypeInt 32 0
            %uint_4 = OpConstant %uint 4
            %_arr_uint_uint_4 = OpTypeArray %uint %uint_4
            %_ptr_Workgroup__arr_uint_uint_4 = OpTypePointer Workgroup %_arr_uint_uint_4";
        check(
            &format!("{HEAD} OpDecorate %_arr_uint_uint_4 ArrayStride 4\n{types}"),
            &format!("{HEAD}{types}"),
        );
    }

    #[test]
    fn a_type_of_buffers_only_keeps_its_stride() {
        let text = format!(
            "{HEAD}OpDecorate %_arr_uint_uint_4 ArrayStride 4
            %uint = OpTypeInt 32 0
            %uint_4 = OpConstant %uint 4
            %_arr_uint_uint_4 = OpTypeArray %uint %uint_4
            %_ptr_StorageBuffer__arr_uint_uint_4 = OpTypePointer StorageBuffer %_arr_uint_uint_4"
        );
        check(&text, &text);
    }

    #[test]
    fn a_shared_type_is_split_and_values_take_the_plain_half() {
        let declared = "%uint = OpTypeInt 32 0
            %uint_4 = OpConstant %uint 4
            %_arr_uint_uint_4 = OpTypeArray %uint %uint_4";
        check(
            &format!(
                "{HEAD}OpDecorate %_arr_uint_uint_4 ArrayStride 4
                {declared}
                %_ptr_StorageBuffer__arr_uint_uint_4 = OpTypePointer StorageBuffer %_arr_uint_uint_4
                %_ptr_Private__arr_uint_uint_4 = OpTypePointer Private %_arr_uint_uint_4
                %7 = OpConstantNull %_arr_uint_uint_4"
            ),
            &format!(
                "{HEAD}OpDecorate %_arr_uint_uint_4 ArrayStride 4
                {declared}
                %_arr_uint_uint_4_0 = OpTypeArray %uint %uint_4
                %_ptr_StorageBuffer__arr_uint_uint_4 = OpTypePointer StorageBuffer %_arr_uint_uint_4
                %_ptr_Private__arr_uint_uint_4_0 = OpTypePointer Private %_arr_uint_uint_4_0
                %6 = OpConstantNull %_arr_uint_uint_4_0"
            ),
        );
    }
}

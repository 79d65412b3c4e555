//! SPIR-V as a list of instructions that passes edit, and the numbers of the instructions they are about.

/// Opcodes, by their names in the SPIR-V specification without `Op`.
pub(super) mod op {
    pub(crate) const UNDEF: u16 = 1;
    pub(crate) const NAME: u16 = 5;
    pub(crate) const MEMBER_NAME: u16 = 6;
    pub(crate) const EXT_INST: u16 = 12;
    pub(crate) const CAPABILITY: u16 = 17;
    pub(crate) const TYPE_INT: u16 = 21;
    pub(crate) const TYPE_FLOAT: u16 = 22;
    pub(crate) const TYPE_VECTOR: u16 = 23;
    pub(crate) const TYPE_MATRIX: u16 = 24;
    pub(crate) const TYPE_IMAGE: u16 = 25;
    pub(crate) const TYPE_ARRAY: u16 = 28;
    pub(crate) const TYPE_RUNTIME_ARRAY: u16 = 29;
    pub(crate) const TYPE_STRUCT: u16 = 30;
    pub(crate) const TYPE_POINTER: u16 = 32;
    pub(crate) const TYPE_FUNCTION: u16 = 33;
    pub(crate) const CONSTANT_TRUE: u16 = 41;
    pub(crate) const CONSTANT: u16 = 43;
    pub(crate) const SPEC_CONSTANT_OP: u16 = 52;
    pub(crate) const FUNCTION: u16 = 54;
    pub(crate) const FUNCTION_END: u16 = 56;
    pub(crate) const LOAD: u16 = 61;
    pub(crate) const STORE: u16 = 62;
    pub(crate) const COPY_MEMORY_SIZED: u16 = 64;
    pub(crate) const DECORATE: u16 = 71;
    pub(crate) const MEMBER_DECORATE: u16 = 72;
    pub(crate) const GROUP_MEMBER_DECORATE: u16 = 75;
    pub(crate) const IMAGE_FETCH: u16 = 95;
    pub(crate) const IMAGE_WRITE: u16 = 99;
    pub(crate) const IMAGE_QUERY_SIZE_LOD: u16 = 103;
    pub(crate) const IMAGE_QUERY_SIZE: u16 = 104;
    pub(crate) const CONTROL_BARRIER: u16 = 224;
    pub(crate) const MEMORY_BARRIER: u16 = 225;
    pub(crate) const ATOMIC_STORE: u16 = 228;
    pub(crate) const LOOP_MERGE: u16 = 246;
    pub(crate) const UNREACHABLE: u16 = 255;
    pub(crate) const NO_LINE: u16 = 317;
    pub(crate) const TYPE_COOPERATIVE_MATRIX: u16 = 4456;
    pub(crate) const COOPERATIVE_MATRIX_LOAD: u16 = 4457;
    pub(crate) const COOPERATIVE_MATRIX_STORE: u16 = 4458;
}

/// Storage classes.
pub(super) mod storage {
    pub(crate) const UNIFORM: u32 = 2;
    pub(crate) const WORKGROUP: u32 = 4;
    pub(crate) const PRIVATE: u32 = 6;
    pub(crate) const FUNCTION: u32 = 7;
    pub(crate) const PUSH_CONSTANT: u32 = 9;
    pub(crate) const STORAGE_BUFFER: u32 = 12;
}

/// One instruction. `operands` are all its words but the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Instruction {
    pub(super) opcode: u16,
    pub(super) operands: Vec<u32>,
}

impl Instruction {
    pub(super) fn new(opcode: u16, operands: impl Into<Vec<u32>>) -> Self {
        Self { opcode, operands: operands.into() }
    }

    /// The type that the instruction defines, if it is a type declaration.
    pub(super) fn type_id(&self) -> Option<u32> {
        matches!(self.opcode, 19..=38 | op::TYPE_COOPERATIVE_MATRIX).then(|| self.operands[0])
    }

    /// The types that a composite type is made of, or none.
    pub(super) fn element_types(&self) -> &[u32] {
        match self.opcode {
            op::TYPE_ARRAY | op::TYPE_RUNTIME_ARRAY | op::TYPE_VECTOR | op::TYPE_MATRIX => {
                &self.operands[1..2]
            }
            op::TYPE_STRUCT => &self.operands[1..],
            _ => &[],
        }
    }

    /// Type and id of the value that the instruction makes. Holds for what a compute kernel contains.
    pub(super) fn typed_result(&self) -> Option<(u32, u32)> {
        let untyped = match self.opcode {
            op::UNDEF | op::EXT_INST | op::CONSTANT_TRUE..=op::SPEC_CONSTANT_OP => false,
            0..op::FUNCTION
            | op::FUNCTION_END
            | op::STORE..=op::COPY_MEMORY_SIZED
            | op::DECORATE..=op::GROUP_MEMBER_DECORATE
            | op::IMAGE_WRITE
            | op::CONTROL_BARRIER
            | op::MEMORY_BARRIER
            | op::ATOMIC_STORE
            | op::LOOP_MERGE..=op::UNREACHABLE
            | op::NO_LINE
            | op::TYPE_COOPERATIVE_MATRIX
            | op::COOPERATIVE_MATRIX_STORE => true,
            _ => false,
        };
        if untyped { None } else { Some((self.operands[0], self.operands[1])) }
    }
}

/// A module: its header and its instructions.
#[derive(Clone, Debug)]
pub(super) struct Words {
    header: [u32; 5],
    pub(super) instructions: Vec<Instruction>,
}

impl Words {
    /// Splits the words of a well-formed module.
    pub(super) fn parse(words: &[u32]) -> Self {
        let Some((header, mut rest)) = words.split_first_chunk::<5>() else {
            unreachable!("naga writes a header of five words")
        };
        let mut instructions = Vec::new();
        while let Some(&first) = rest.first() {
            let count = (first >> 16) as usize;
            let Some(words) = rest.get(1..count) else { unreachable!("naga writes whole instructions") };
            instructions.push(Instruction::new((first & 0xffff) as u16, words));
            rest = &rest[count..];
        }
        Self { header: *header, instructions }
    }

    /// The words of the module.
    pub(super) fn into_words(self) -> Vec<u32> {
        let mut words = self.header.to_vec();
        for instruction in self.instructions {
            let count = instruction.operands.len() as u32 + 1;
            words.push(count << 16 | u32::from(instruction.opcode));
            words.extend(instruction.operands);
        }
        words
    }

    /// An id that nothing has yet.
    pub(super) fn fresh_id(&mut self) -> u32 {
        let id = self.header[3];
        self.header[3] += 1;
        id
    }

    /// Whether the module declares `capability`.
    pub(super) fn has_capability(&self, capability: u32) -> bool {
        self.instructions.iter().any(|one| one.opcode == op::CAPABILITY && one.operands == [capability])
    }
}

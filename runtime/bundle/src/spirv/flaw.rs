//! What can be wrong with a SPIR-V module by itself.

/// One thing in a SPIR-V module that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpirvFlaw {
    /// Not whole words, or not the magic.
    #[error("code must be whole 32-bit words that begin with 0x07230203 and a header of five")]
    NotSpirv,
    /// The header.
    #[error("{problem}")]
    Header {
        /// What is wrong.
        problem: &'static str,
    },
    /// An instruction that leaves the module.
    #[error("the instruction {opcode} at word {word} is {length} words long, which leaves the module")]
    Length {
        /// Where.
        word: usize,
        /// Its opcode.
        opcode: u16,
        /// What it says.
        length: usize,
    },
    /// An instruction that breaks a rule.
    #[error("the instruction {opcode} at word {word} {problem}")]
    Instruction {
        /// Where.
        word: usize,
        /// Its opcode.
        opcode: u16,
        /// Which rule.
        problem: &'static str,
    },
    /// A capability that no compute kernel of ours declares.
    #[error("capability {capability} is none that a kernel may declare")]
    Capability {
        /// Its number.
        capability: u32,
    },
    /// An extension that no compute kernel of ours declares.
    #[error("extension `{name}` is none that a kernel may declare")]
    Extension {
        /// Its name.
        name: String,
    },
    /// Something that every kernel has is missing.
    #[error("there is no {what}")]
    Missing {
        /// What.
        what: &'static str,
    },
}

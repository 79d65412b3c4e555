//! Keeps the optimiser from folding floats.
//!
//! SPIRV-Tools makes 0 of `x * 0` and `x` of `x + 0`, which loses NaN, infinities and the sign of zero. It leaves floats
//! alone in a module that declares `SignedZeroInfNanPreserve`; without the execution mode, which we do not ask devices
//! for, the capability does nothing else. So the module declares it while it is optimised. What is known about floats at
//! compile time was folded before, by rules that keep special values.

use super::words::{Instruction, Words, op};

const SIGNED_ZERO_INF_NAN_PRESERVE: u32 = 4466;
const EXTENSION: &[u8] = b"SPV_KHR_float_controls";

/// `words` as `optimize` leaves them when it may not fold floats.
pub(super) fn while_kept<E>(
    words: &[u32],
    optimize: impl FnOnce(&[u32]) -> Result<Vec<u32>, E>,
) -> Result<Vec<u32>, E> {
    let mut kept = Words::parse(words);
    let (capability, extension) = declarations();
    let after_capabilities = kept.instructions.iter().take_while(|one| one.opcode == op::CAPABILITY).count();
    kept.instructions.splice(after_capabilities..after_capabilities, [capability.clone(), extension.clone()]);
    let mut optimized = Words::parse(&optimize(&kept.into_words())?);
    optimized.instructions.retain(|one| *one != capability && *one != extension);
    Ok(optimized.into_words())
}

/// The capability, and the extension that SPIR-V before 1.4 has it from.
fn declarations() -> (Instruction, Instruction) {
    let mut name = EXTENSION.to_vec();
    // Strings end with a zero and fill whole words.
    name.resize(EXTENSION.len() / 4 * 4 + 4, 0);
    let (chunks, _) = name.as_chunks::<4>();
    let words: Vec<u32> = chunks.iter().map(|chunk| u32::from_le_bytes(*chunk)).collect();
    (Instruction::new(op::CAPABILITY, [SIGNED_ZERO_INF_NAN_PRESERVE]), Instruction::new(op::EXTENSION, words))
}

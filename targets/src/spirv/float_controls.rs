//! Keeps the optimiser from folding float arithmetic.
//!
//! SPIRV-Tools makes 0 of `x * 0` and `x` of `x + 0`, which loses NaN, infinities and the sign of zero. It leaves alone what is
//! decorated as `NoContraction`, so all arithmetic is while it is optimised, and no longer: drivers may contract. (The
//! capability `SignedZeroInfNanPreserve` would do the same, but leaves functions of constants unsettled in the propagation
//! of constants, which then takes them for whatever they meet.) What is known about floats at compile time was folded
//! before, by rules that keep special values.

use super::words::{Instruction, Words, op};

const NO_CONTRACTION: u32 = 42;

/// Opcodes of float arithmetic: negation, sum, difference, product, quotient, remainders, products of vectors.
const ARITHMETIC: [u16; 9] = [127, 129, 131, 133, 136, 140, 141, 142, 148];

/// `words` as `optimize` leaves them when it may not fold float arithmetic.
pub(super) fn while_kept<E>(
    words: &[u32],
    optimize: impl FnOnce(&[u32]) -> Result<Vec<u32>, E>,
) -> Result<Vec<u32>, E> {
    let mut kept = Words::parse(words);
    let arithmetic = kept.instructions.iter().filter(|one| ARITHMETIC.contains(&one.opcode));
    let decorations: Vec<Instruction> = arithmetic
        .filter_map(|one| one.operands.get(1))
        .map(|&result| Instruction::new(op::DECORATE, [result, NO_CONTRACTION]))
        .collect();
    let is_later = |one: &Instruction| {
        matches!(one.opcode, op::DECORATE | op::MEMBER_DECORATE) || one.type_id().is_some()
    };
    let place = kept.instructions.iter().position(is_later).unwrap_or(kept.instructions.len());
    kept.instructions.splice(place..place, decorations);
    let mut optimized = Words::parse(&optimize(&kept.into_words())?);
    let is_ours =
        |one: &Instruction| one.opcode == op::DECORATE && one.operands.get(1) == Some(&NO_CONTRACTION);
    optimized.instructions.retain(|one| !is_ours(one));
    Ok(optimized.into_words())
}

//! Asks the driver to keep NaNs, infinities and the sign of zero, where it can be asked.
//!
//! Without the execution mode `SignedZeroInfNanPreserve` (SPIR-V 2.13, `SPV_KHR_float_controls`) a compiler may take
//! `x / x` for one and `x - x` for zero whatever `x` is. The mode may only stand in a module for a device that offers it,
//! so bundles leave it out and the runtime adds it to each module that it loads.

const CAPABILITY: u32 = 17;
const EXTENSION: u32 = 10;
const ENTRY_POINT: u32 = 15;
const EXECUTION_MODE: u32 = 16;
const FLOAT16: u32 = 9;
const PRESERVE_CAPABILITY: u32 = 4466;
const PRESERVE_MODE: u32 = 4461;
const SPIRV_1_4: u32 = 0x0001_0400;
const HEADER_WORDS: usize = 5;

/// Floats whose special values a device can be asked to keep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Preserved {
    pub(crate) f16: bool,
    pub(crate) f32: bool,
}

/// `words` with the mode for the floats that the device offers it for and the module has. A module that has it already, or
/// that cannot be read, stays as it is.
pub(crate) fn preserve(words: Vec<u32>, offered: Preserved) -> Vec<u32> {
    match Places::find(&words) {
        Some(places) => places.insert(&words, offered).unwrap_or(words),
        None => words,
    }
}

/// Where in a module the instructions go, in words.
struct Places {
    capabilities_end: usize,
    entry_points_end: usize,
    entry_point: u32,
    has_f16: bool,
}

impl Places {
    fn find(words: &[u32]) -> Option<Self> {
        let (mut capabilities_end, mut entry, mut has_f16) = (None, None, false);
        let mut at = HEADER_WORDS;
        while let Some(&first) = words.get(at) {
            let next = at + (first >> 16) as usize;
            let operand = |n: usize| words.get(at + n).copied().filter(|_| at + n < next);
            match first & 0xffff {
                CAPABILITY => {
                    match operand(1)? {
                        PRESERVE_CAPABILITY => return None,
                        FLOAT16 => has_f16 = true,
                        _ => {}
                    }
                    capabilities_end = Some(next);
                }
                ENTRY_POINT => entry = Some((next, operand(2)?)),
                _ if entry.is_some() => break,
                _ => {}
            }
            if next == at {
                return None;
            }
            at = next;
        }
        let (entry_points_end, entry_point) = entry.filter(|(end, _)| *end <= words.len())?;
        Some(Self { capabilities_end: capabilities_end?, entry_points_end, entry_point, has_f16 })
    }

    fn insert(&self, words: &[u32], offered: Preserved) -> Option<Vec<u32>> {
        let widths = [(offered.f16 && self.has_f16, 16), (offered.f32, 32)];
        let modes: Vec<u32> = widths
            .iter()
            .filter(|(wanted, _)| *wanted)
            .flat_map(|&(_, width)| [4 << 16 | EXECUTION_MODE, self.entry_point, PRESERVE_MODE, width])
            .collect();
        if modes.is_empty() {
            return None;
        }
        let mut made = words[..self.capabilities_end].to_vec();
        made.extend([2 << 16 | CAPABILITY, PRESERVE_CAPABILITY]);
        if words[1] < SPIRV_1_4 {
            made.extend(extension("SPV_KHR_float_controls"));
        }
        made.extend(&words[self.capabilities_end..self.entry_points_end]);
        made.extend(modes);
        made.extend(&words[self.entry_points_end..]);
        Some(made)
    }
}

/// `OpExtension` with a literal string: four bytes a word, the lowest first, and a zero at the end.
fn extension(name: &str) -> Vec<u32> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.push(0);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    let literal = bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word));
    let mut instruction = vec![0];
    instruction.extend(literal);
    instruction[0] = (instruction.len() as u32) << 16 | EXTENSION;
    instruction
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: Preserved = Preserved { f16: true, f32: true };

    /// A header, the capabilities Shader and `more`, a memory model, an entry point and what stands after it.
    fn module(version: u32, more: &[u32]) -> Vec<u32> {
        let mut words = vec![0x0723_0203, version, 0, 9, 0, 2 << 16 | CAPABILITY, 1];
        words.extend(more.iter().flat_map(|&capability| [2 << 16 | CAPABILITY, capability]));
        words.extend([3 << 16 | 14, 0, 1, 5 << 16 | ENTRY_POINT, 5, 7, 0x6d, 0]);
        words.extend([6 << 16 | EXECUTION_MODE, 7, 17, 1, 1, 1, 2 << 16 | 19, 3]);
        words
    }

    #[test]
    fn the_mode_stands_after_the_entry_point_and_its_capability_after_the_others() {
        let words = preserve(module(SPIRV_1_4, &[]), BOTH);
        assert_eq!(words[7..9], [2 << 16 | CAPABILITY, PRESERVE_CAPABILITY]);
        assert_eq!(words[9..12], [3 << 16 | 14, 0, 1]);
        assert_eq!(words[17..21], [4 << 16 | EXECUTION_MODE, 7, PRESERVE_MODE, 32]);
        assert_eq!(words[21..], module(SPIRV_1_4, &[])[15..]);
    }

    #[test]
    fn before_spirv_1_4_the_extension_is_named() {
        let words = preserve(module(0x0001_0300, &[]), BOTH);
        assert_eq!(words[9..16], extension("SPV_KHR_float_controls"));
        assert_eq!(words[9], 7 << 16 | EXTENSION);
    }

    #[test]
    fn f16_is_asked_for_where_a_module_has_them() {
        let modes = |words: Vec<u32>| words.iter().filter(|&&word| word == PRESERVE_MODE).count();
        assert_eq!(modes(preserve(module(SPIRV_1_4, &[FLOAT16]), BOTH)), 2);
        assert_eq!(modes(preserve(module(SPIRV_1_4, &[]), BOTH)), 1);
        assert_eq!(modes(preserve(module(SPIRV_1_4, &[FLOAT16]), Preserved { f16: true, f32: false })), 1);
    }

    #[test]
    fn what_needs_nothing_or_cannot_be_read_stays() {
        let stays = |words: Vec<u32>, offered| assert_eq!(preserve(words.clone(), offered), words);
        stays(module(SPIRV_1_4, &[]), Preserved::default());
        stays(module(SPIRV_1_4, &[PRESERVE_CAPABILITY]), BOTH);
        stays(vec![0x0723_0203, SPIRV_1_4, 0, 9, 0, 0, 0], BOTH);
        stays(vec![0x0723_0203, SPIRV_1_4], BOTH);
        stays(module(SPIRV_1_4, &[])[..12].to_vec(), BOTH);
    }
}

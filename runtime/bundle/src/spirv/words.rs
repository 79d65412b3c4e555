//! SPIR-V as whole words: the header, and instructions whose lengths stay within the module.

use super::flaw::SpirvFlaw;

const MAGIC: u32 = 0x0723_0203;
const HEADER_WORDS: usize = 5;

/// Versions that are read: 1.3 has the storage buffers that kernels use, and nothing later than 1.6 is known.
const VERSIONS: [u32; 4] = [0x0001_0300, 0x0001_0400, 0x0001_0500, 0x0001_0600];

/// Ids that any module may use; larger ones may use a few per word. Drivers make a table of them.
const SMALL_BOUND: usize = 1 << 16;

/// One instruction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Instruction<'a> {
    /// Index of its first word in the module.
    pub(super) at: usize,
    pub(super) opcode: u16,
    /// All its words but the first.
    pub(super) operands: &'a [u32],
}

impl<'a> Instruction<'a> {
    /// A flaw of this instruction.
    pub(super) fn flaw(&self, problem: &'static str) -> SpirvFlaw {
        SpirvFlaw::Instruction { word: self.at, opcode: self.opcode, problem }
    }

    /// Fails with `problem` unless `holds`.
    pub(super) fn ensure(&self, holds: bool, problem: &'static str) -> Result<(), SpirvFlaw> {
        if holds { Ok(()) } else { Err(self.flaw(problem)) }
    }

    /// The operands, which must be `N`.
    pub(super) fn exactly<const N: usize>(&self) -> Result<[u32; N], SpirvFlaw> {
        self.operands.try_into().map_err(|_| self.flaw("has another number of operands"))
    }

    /// The first `N` operands and the rest.
    pub(super) fn at_least<const N: usize>(&self) -> Result<([u32; N], &'a [u32]), SpirvFlaw> {
        let (first, rest) =
            self.operands.split_first_chunk::<N>().ok_or_else(|| self.flaw("has too few operands"))?;
        Ok((*first, rest))
    }

    /// A string that begins at operand `from`, and the operands after it.
    pub(super) fn text(&self, from: usize) -> Result<(String, &'a [u32]), SpirvFlaw> {
        let words = self.operands.get(from..).ok_or_else(|| self.flaw("has too few operands"))?;
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let end = bytes.iter().position(|byte| *byte == 0);
        let end = end.ok_or_else(|| self.flaw("holds a string without an end"))?;
        let used = end / 4 + 1;
        let text =
            str::from_utf8(&bytes[..end]).map_err(|_| self.flaw("holds a string that is not UTF-8"))?;
        self.ensure(
            bytes[end..used * 4].iter().all(|byte| *byte == 0),
            "holds a string with bytes after its end",
        )?;
        Ok((text.to_owned(), &words[used..]))
    }
}

/// A module split into words.
#[derive(Debug)]
pub(super) struct Words {
    words: Vec<u32>,
}

impl Words {
    /// Checks the header.
    pub(super) fn read(code: &[u8]) -> Result<Self, SpirvFlaw> {
        let (words, rest) = code.as_chunks::<4>();
        let words: Vec<u32> = words.iter().map(|word| u32::from_le_bytes(*word)).collect();
        let header = words.first_chunk::<HEADER_WORDS>().filter(|header| header[0] == MAGIC);
        let Some(&[_, version, _, bound, schema]) = header.filter(|_| rest.is_empty()) else {
            return Err(SpirvFlaw::NotSpirv);
        };
        if !VERSIONS.contains(&version) {
            return Err(SpirvFlaw::Header { problem: "the version is none of 1.3 to 1.6" });
        }
        let most = SMALL_BOUND.max(words.len().saturating_mul(4));
        if bound == 0 || bound as usize > most {
            return Err(SpirvFlaw::Header { problem: "the bound of ids does not fit the module's length" });
        }
        if schema != 0 {
            return Err(SpirvFlaw::Header { problem: "the schema is not zero" });
        }
        Ok(Self { words })
    }

    /// All ids are below it.
    pub(super) fn bound(&self) -> usize {
        self.words[3] as usize
    }

    /// The version as the header writes it.
    pub(super) fn version(&self) -> u32 {
        self.words[1]
    }

    /// The instructions in order; after an error there are no more.
    pub(super) fn instructions(&self) -> Instructions<'_> {
        Instructions { words: &self.words, at: HEADER_WORDS }
    }
}

/// Iterates over the instructions of [`Words`].
pub(super) struct Instructions<'a> {
    words: &'a [u32],
    at: usize,
}

impl<'a> Iterator for Instructions<'a> {
    type Item = Result<Instruction<'a>, SpirvFlaw>;

    fn next(&mut self) -> Option<Self::Item> {
        let at = self.at;
        let first = *self.words.get(at)?;
        let (length, opcode) = ((first >> 16) as usize, (first & 0xffff) as u16);
        let Some(operands) = self.words.get(at + 1..at + length) else {
            self.at = self.words.len();
            return Some(Err(SpirvFlaw::Length { word: at, opcode, length }));
        };
        self.at = at + length;
        Some(Ok(Instruction { at, opcode, operands }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn instructions_stay_within_the_module() {
        let header = [MAGIC, 0x0001_0300, 0, 9, 0];
        for (tail, lengths) in [(vec![], 0), (vec![1 << 16], 1), (vec![2 << 16, 0, 1 << 16], 2)] {
            let words = Words::read(&code(&[&header[..], &tail].concat())).unwrap();
            assert_eq!(words.instructions().filter(Result::is_ok).count(), lengths);
        }
        for tail in [vec![0], vec![3 << 16, 0], vec![0xffff_0000]] {
            let words = Words::read(&code(&[&header[..], &tail].concat())).unwrap();
            let all: Vec<_> = words.instructions().collect();
            assert!(matches!(all[..], [Err(SpirvFlaw::Length { .. })]), "{all:?}");
        }
    }

    #[test]
    fn headers_are_refused_by_what_is_wrong() {
        let good = [MAGIC, 0x0001_0300, 0, 9, 0];
        let with = |at: usize, value| {
            let mut header = good;
            header[at] = value;
            Words::read(&code(&header)).map(|_| ()).unwrap_err()
        };
        assert_eq!(with(0, 1), SpirvFlaw::NotSpirv);
        assert_eq!(Words::read(&code(&good)[..19]).unwrap_err(), SpirvFlaw::NotSpirv);
        for (at, value) in [(1, 0x0002_0000), (3, 0), (3, u32::MAX), (4, 1)] {
            assert!(matches!(with(at, value), SpirvFlaw::Header { .. }), "{at}");
        }
    }

    #[test]
    fn strings_end_within_their_instruction() {
        let words = [u32::from_le_bytes(*b"main"), 0, 7];
        let one = Instruction { at: 5, opcode: 15, operands: &words };
        assert_eq!(one.text(0).unwrap(), ("main".to_owned(), &words[2..]));
        assert_eq!(one.text(1).unwrap(), (String::new(), &words[2..]));
        for words in [[0x2020_2020, 0x2020_2020], [0x0100_0020, 0]] {
            assert!(Instruction { at: 5, opcode: 15, operands: &words }.text(0).is_err());
        }
    }
}

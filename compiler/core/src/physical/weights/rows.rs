//! Weights as rows of inputs, one for each output, in chunks of sixteen bytes: what a kernel reads that is bound by
//! reading them. Numbers, scales and zero points of quantized weights are one after another in one blob, for one binding.

use crate::physical::{Element, Packing};
use drift_ir::Tensor;
use drift_ir::tensor::blocks::{Blocks, Zeros};
use half::f16;

/// Bytes of a chunk: the widest load that all targets have.
const CHUNK_BYTES: u64 = 16;

/// Elements of a block are a multiple of this, unless a row is one block: chunks and slices do not straddle scales.
const BLOCK_MULTIPLE: u64 = 16;

/// How the elements of a row are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RowFormat {
    /// As floats, f32 or f16.
    Floats(Element),
    /// As numbers of a few bits, whose blocks have a scale and a zero point.
    Blocks {
        /// Bits of a number.
        bits: u64,
        /// Elements of a block.
        size: u64,
        /// Type of a scale.
        scale: Element,
        /// What stands for zero.
        zeros: ZeroFormat,
    },
}

/// How zero points are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ZeroFormat {
    /// One for all blocks, in the kernel's text.
    All(u8),
    /// Numbers like those of the weights.
    Numbers,
    /// Floats.
    Floats(Element),
}

/// Rows in a format.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PackedRows {
    rows: u64,
    columns: u64,
    format: RowFormat,
}

/// Where something begins in the blob, in words of 32 bits, and from one row to the next in its own units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section {
    /// First word.
    pub first_word: u64,
    /// Elements from row to row.
    pub pitch: u64,
}

impl PackedRows {
    /// Rows of floats as they are, if each is whole chunks.
    pub fn floats([rows, columns]: [u64; 2], element: Element) -> Option<Self> {
        let whole = (columns * element.size_bytes()).is_multiple_of(CHUNK_BYTES);
        (element.is_float() && whole).then_some(Self { rows, columns, format: RowFormat::Floats(element) })
    }

    /// Quantized rows, for a kernel that computes with `element`; the reason if kernels do not read them.
    pub fn blocks(blocks: &Blocks, element: Element) -> Result<Self, String> {
        let [rows, columns] = blocks.shape();
        let size = blocks.size();
        if blocks.per_row() > 1 && !size.is_multiple_of(BLOCK_MULTIPLE) {
            return Err(format!("blocks of {size}, which is no multiple of {BLOCK_MULTIPLE}"));
        }
        let zeros = match blocks.zeros() {
            Zeros::All(zero) => ZeroFormat::All(*zero),
            Zeros::Numbers(_) => ZeroFormat::Numbers,
            Zeros::Floats(zeros) => ZeroFormat::Floats(stored(zeros, element)),
        };
        let scale = stored(blocks.scales(), element);
        Ok(Self {
            rows,
            columns,
            format: RowFormat::Blocks { bits: blocks.bits().into(), size, scale, zeros },
        })
    }

    /// How the elements are stored.
    pub fn format(&self) -> RowFormat {
        self.format
    }

    /// Elements of a row.
    pub fn columns(&self) -> u64 {
        self.columns
    }

    /// Bits of an element.
    fn bits(&self) -> u64 {
        match self.format {
            RowFormat::Floats(element) => element.size_bytes() * 8,
            RowFormat::Blocks { bits, .. } => bits,
        }
    }

    /// Elements of a chunk.
    pub fn chunk(&self) -> u64 {
        CHUNK_BYTES * 8 / self.bits()
    }

    /// Chunks of a row.
    pub fn chunks(&self) -> u64 {
        self.columns.div_ceil(self.chunk())
    }

    /// Neighbours of a chunk that are known to share a scale.
    pub fn span(&self) -> u64 {
        match self.format {
            RowFormat::Blocks { size, .. } if self.per_row() > 1 => gcd(size, self.chunk()),
            RowFormat::Blocks { .. } | RowFormat::Floats(_) => self.chunk(),
        }
    }

    /// Scales of a row.
    pub fn per_row(&self) -> u64 {
        match self.format {
            RowFormat::Floats(_) => 1,
            RowFormat::Blocks { size, .. } => self.columns.div_ceil(size),
        }
    }

    /// Bytes of all rows' numbers.
    fn number_bytes(&self) -> u64 {
        self.rows * self.chunks() * CHUNK_BYTES
    }

    /// Where scales begin.
    pub fn scales(&self) -> Section {
        Section { first_word: self.number_bytes() / 4, pitch: self.per_row() }
    }

    fn scale_bytes(&self) -> u64 {
        match self.format {
            RowFormat::Floats(_) => 0,
            RowFormat::Blocks { scale, .. } => self.rows * self.per_row() * scale.size_bytes(),
        }
    }

    /// Where zero points begin.
    pub fn zeros(&self) -> Section {
        let first_word = (self.number_bytes() + self.scale_bytes().next_multiple_of(CHUNK_BYTES)) / 4;
        let pitch = match self.format {
            // Each row of them is whole bytes.
            RowFormat::Blocks { bits, zeros: ZeroFormat::Numbers, .. } => {
                self.per_row().next_multiple_of(8 / bits)
            }
            RowFormat::Blocks { .. } | RowFormat::Floats(_) => self.per_row(),
        };
        Section { first_word, pitch }
    }

    /// Bytes of the whole blob.
    pub fn size_bytes(&self) -> u64 {
        let zeros = match self.format {
            RowFormat::Blocks { bits, zeros: ZeroFormat::Numbers, .. } => {
                self.rows * self.zeros().pitch * bits / 8
            }
            RowFormat::Blocks { zeros: ZeroFormat::Floats(element), .. } => {
                self.rows * self.per_row() * element.size_bytes()
            }
            RowFormat::Blocks { zeros: ZeroFormat::All(_), .. } | RowFormat::Floats(_) => 0,
        };
        self.zeros().first_word * 4 + zeros.next_multiple_of(CHUNK_BYTES)
    }

    /// `q4 in blocks of 32, f16 scales, zero 8, rows of inputs`.
    pub fn describe(&self) -> String {
        match self.format {
            RowFormat::Floats(element) => format!("{} buffer, rows of inputs", element.name()),
            RowFormat::Blocks { bits, size, scale, zeros } => {
                let zeros = match zeros {
                    ZeroFormat::All(zero) => format!("zero {zero}"),
                    ZeroFormat::Numbers => format!("q{bits} zeros"),
                    ZeroFormat::Floats(element) => format!("{} zeros", element.name()),
                };
                let scale = scale.name();
                format!("q{bits} buffer, rows of inputs in blocks of {size}, {scale} scales, {zeros}")
            }
        }
    }

    /// How a quantized constant is brought into this form.
    pub fn packing(&self) -> Packing {
        Packing::rows(self)
    }

    /// The blob.
    pub(in crate::physical) fn pack(&self, blocks: &Blocks) -> Vec<u8> {
        let mut bytes = vec![0; self.size_bytes() as usize];
        let pitch = (self.chunks() * CHUNK_BYTES) as usize;
        let (numbers, row_bytes) = blocks.numbers();
        if row_bytes as usize == pitch {
            bytes[..numbers.len()].copy_from_slice(numbers);
        } else {
            let live = (self.columns * self.bits()).div_ceil(8) as usize;
            for (row, to) in (0..self.rows).zip(bytes.chunks_mut(pitch.max(1))) {
                to[..live].copy_from_slice(&blocks.row(row)[..live]);
            }
        }
        if let RowFormat::Blocks { scale, zeros, .. } = self.format {
            put_floats(&mut bytes[self.scales().first_word as usize * 4..], blocks.scales(), scale);
            let to = &mut bytes[self.zeros().first_word as usize * 4..];
            match (blocks.zeros(), zeros) {
                (Zeros::Numbers(numbers), _) => to[..numbers.len()].copy_from_slice(numbers),
                (Zeros::Floats(floats), ZeroFormat::Floats(element)) => put_floats(to, floats, element),
                (Zeros::Floats(_) | Zeros::All(_), _) => {}
            }
        }
        bytes
    }
}

/// The type that floats are kept in beside activations of `element`: f16 where that is theirs, or where it is the
/// activations' and loses no more of them than of any weight.
fn stored(floats: &Tensor, element: Element) -> Element {
    let normal = |value: &f32| {
        *value == 0.0 || (f32::from(f16::MIN_POSITIVE)..=f32::from(f16::MAX)).contains(&value.abs())
    };
    match floats.element() {
        drift_ir::ElementType::F16 => Element::F16,
        _ if element == Element::F16 && floats.to_f32_vec().iter().all(normal) => Element::F16,
        _ => Element::F32,
    }
}

fn put_floats(to: &mut [u8], floats: &Tensor, element: Element) {
    let values = floats.to_f32_vec();
    match element {
        Element::F16 => {
            for (value, to) in values.into_iter().zip(to.chunks_exact_mut(2)) {
                to.copy_from_slice(&f16::from_f32(value).to_le_bytes());
            }
        }
        Element::F32 | Element::I32 | Element::U32 => {
            for (value, to) in values.into_iter().zip(to.chunks_exact_mut(4)) {
                to.copy_from_slice(&value.to_le_bytes());
            }
        }
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

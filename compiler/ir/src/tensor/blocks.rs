//! Floats of a few bits each: numbers in blocks along the last axis, with a scale and a zero point for each block.
//!
//! An element is `(number - zero) * scale`, computed in f32 and rounded to the tensor's type. This is how quantized
//! weights are stored in models, and they stay so: [`Tensor::bytes`] widens them for whoever has no use for the blocks.

use super::{ElementType, Tensor, TensorError};
use bytes::Bytes;
use half::f16;
use std::ops::Range;

/// Bits that a number may have. They divide a byte, since readers, packings and kernels take no number out of two.
pub const BITS: [u32; 3] = [2, 4, 8];

/// Rows of numbers in blocks. The last block of a row may be short.
#[derive(Clone, Debug, PartialEq)]
pub struct Blocks {
    bits: u32,
    size: u64,
    rows: u64,
    columns: u64,
    row_bytes: u64,
    numbers: Bytes,
    scales: Tensor,
    zeros: Zeros,
}

/// The numbers that stand for zero.
#[derive(Clone, Debug, PartialEq)]
pub enum Zeros {
    /// One for all blocks.
    All(u8),
    /// One for each block, with as many bits as the numbers, each row in whole bytes.
    Numbers(Bytes),
    /// A float for each block, `[rows, blocks]`.
    Floats(Tensor),
}

/// What blocks are made of.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Bits of a number, one of [`BITS`].
    pub bits: u32,
    /// Elements of a block.
    pub size: u64,
    /// Rows and columns of all elements.
    pub shape: [u64; 2],
    /// Unsigned numbers, the first in the low bits, each row in whole bytes and all rows alike.
    pub numbers: Bytes,
    /// f32 or f16, one for each block, `[rows, blocks]` or flat.
    pub scales: Tensor,
    /// What stands for zero.
    pub zeros: Zeros,
}

impl Blocks {
    /// Blocks whose parts fit together.
    pub fn new(parts: Parts) -> Result<Self, TensorError> {
        let Parts { bits, size, shape: [rows, columns], numbers, scales, zeros } = parts;
        if !BITS.contains(&bits) || size == 0 {
            return Err(TensorError::Blocks(format!("{bits} bits in blocks of {size}, not 2, 4 or 8")));
        }
        let per_row = columns.div_ceil(size);
        let too_large = || TensorError::TooLarge { shape: vec![rows, columns] };
        let bits_of = |count: u64| count.checked_mul(u64::from(bits)).ok_or_else(too_large);
        let least = bits_of(columns)?.div_ceil(8);
        let row_bytes = (numbers.len() as u64).checked_div(rows).unwrap_or(least);
        if row_bytes < least || row_bytes.checked_mul(rows) != Some(numbers.len() as u64) {
            let given = numbers.len();
            return Err(TensorError::Blocks(format!(
                "{rows} rows of {least} bytes or more, not {given} bytes"
            )));
        }
        let floats = |tensor: Tensor, what: &str| {
            let right = matches!(tensor.element, ElementType::F32 | ElementType::F16)
                && rows.checked_mul(per_row) == Some(tensor.len() as u64);
            let wrong = || {
                TensorError::Blocks(format!(
                    "{rows} times {per_row} {what} of f32 or f16, not {}{:?}",
                    tensor.element, tensor.shape
                ))
            };
            if right { tensor.reshaped([rows, per_row]) } else { Err(wrong()) }
        };
        let scales = floats(scales, "scales")?;
        let zeros = match zeros {
            Zeros::All(zero) => Zeros::All(zero),
            Zeros::Floats(zeros) => Zeros::Floats(floats(zeros, "zero points")?),
            Zeros::Numbers(bytes) => {
                let expected = bits_of(per_row)?.div_ceil(8).checked_mul(rows);
                if expected != Some(bytes.len() as u64) {
                    let (found, rows) = (bytes.len(), rows);
                    return Err(TensorError::Blocks(format!(
                        "{rows} rows of {per_row} zero points of {bits} bits, not {found} bytes"
                    )));
                }
                Zeros::Numbers(bytes)
            }
        };
        Ok(Self { bits, size, rows, columns, row_bytes, numbers, scales, zeros })
    }

    /// Bits of a number.
    pub fn bits(&self) -> u32 {
        self.bits
    }

    /// Elements of a block.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Rows and columns.
    pub fn shape(&self) -> [u64; 2] {
        [self.rows, self.columns]
    }

    /// Blocks of a row.
    pub fn per_row(&self) -> u64 {
        self.columns.div_ceil(self.size)
    }

    /// The scales, `[rows, blocks]`.
    pub fn scales(&self) -> &Tensor {
        &self.scales
    }

    /// What stands for zero.
    pub fn zeros(&self) -> &Zeros {
        &self.zeros
    }

    /// The numbers of a row, packed, and bytes of padding behind them.
    pub fn row(&self, row: u64) -> &[u8] {
        &self.numbers[(row * self.row_bytes) as usize..][..self.row_bytes as usize]
    }

    /// All rows, and the bytes of each.
    pub fn numbers(&self) -> (&Bytes, u64) {
        (&self.numbers, self.row_bytes)
    }

    /// Bytes of all that is stored.
    pub fn size_bytes(&self) -> u64 {
        self.stored().map(|bytes| bytes.len() as u64).sum()
    }

    /// All bytes that they are made of.
    pub fn stored(&self) -> impl Iterator<Item = &Bytes> {
        let zeros = match &self.zeros {
            Zeros::All(_) => None,
            Zeros::Numbers(bytes) => Some(bytes),
            Zeros::Floats(tensor) => Some(tensor.bytes()),
        };
        [&self.numbers, self.scales.bytes()].into_iter().chain(zeros)
    }

    /// What else tells them from others.
    pub fn describe(&self) -> String {
        let zeros = match &self.zeros {
            Zeros::All(zero) => format!("zero {zero}"),
            Zeros::Numbers(_) => "zeros".to_owned(),
            Zeros::Floats(zeros) => format!("{} zeros", zeros.element),
        };
        format!("{} bits in blocks of {}, {} scales, {zeros}", self.bits, self.size, self.scales.element)
    }

    /// The element at each place, row by row.
    pub fn values(&self) -> impl Iterator<Item = Vec<f32>> + '_ {
        let per_row = self.per_row() as usize;
        let (scales, zeros) = (self.scales.to_f32_vec(), self.zeros_of_blocks());
        (0..self.rows as usize).map(move |row| {
            let numbers = self.row(row as u64);
            let mut values = Vec::with_capacity(self.columns as usize);
            for block in 0..per_row {
                let at = row * per_row + block;
                let zero = zeros.get(at).copied().unwrap_or_else(|| zeros[0]);
                let first = block as u64 * self.size;
                let end = (first + self.size).min(self.columns);
                values.extend((first..end).map(|n| (number(numbers, self.bits, n) - zero) * scales[at]));
            }
            values
        })
    }

    /// The zero points as floats: one for all, or one for each block.
    fn zeros_of_blocks(&self) -> Vec<f32> {
        let per_row = self.per_row();
        match &self.zeros {
            Zeros::All(zero) => vec![f32::from(*zero)],
            Zeros::Floats(zeros) => zeros.to_f32_vec(),
            Zeros::Numbers(bytes) => {
                let row_bytes = (per_row * u64::from(self.bits)).div_ceil(8) as usize;
                let row = |row: usize| &bytes[row * row_bytes..][..row_bytes];
                let rows = (0..self.rows as usize).map(row);
                rows.flat_map(|row| (0..per_row).map(move |n| number(row, self.bits, n))).collect()
            }
        }
    }

    /// All elements, widened.
    pub(super) fn widened(&self, element: ElementType, turned: bool) -> Bytes {
        let size = element.size_bytes();
        let mut bytes = vec![0; (self.rows * self.columns) as usize * size];
        let [step, next_row] = if turned { [self.rows, 1] } else { [1, self.columns] };
        for (row, values) in (0..).zip(self.values()) {
            for (column, value) in (0..).zip(values) {
                let place = (row * next_row + column * step) as usize * size;
                let to = &mut bytes[place..place + size];
                match element {
                    ElementType::F16 => to.copy_from_slice(&f16::from_f32(value).to_le_bytes()),
                    ElementType::F64 => to.copy_from_slice(&f64::from(value).to_le_bytes()),
                    _ => to.copy_from_slice(&value.to_le_bytes()),
                }
            }
        }
        Bytes::from(bytes)
    }

    /// Some of the rows; shares what can be shared.
    pub fn rows(&self, rows: Range<u64>) -> Result<Self, TensorError> {
        let count = rows.end - rows.start;
        let cut = |bytes: &Bytes| {
            let row = bytes.len() / self.rows.max(1) as usize;
            bytes.slice(rows.start as usize * row..rows.end as usize * row)
        };
        let floats =
            |tensor: &Tensor| Tensor::new(tensor.element, [count, self.per_row()], cut(tensor.bytes()));
        let zeros = match &self.zeros {
            Zeros::All(zero) => Zeros::All(*zero),
            Zeros::Numbers(bytes) => Zeros::Numbers(cut(bytes)),
            Zeros::Floats(zeros) => Zeros::Floats(floats(zeros)?),
        };
        let (numbers, scales) = (cut(&self.numbers), floats(&self.scales)?);
        Ok(Self { rows: count, numbers, scales, zeros, ..self.clone() })
    }

    /// The rows of several, one after another, where they are of one form.
    pub fn joined(parts: &[&Self]) -> Option<Self> {
        let first = *parts.first()?;
        let form = |blocks: &Self| (blocks.describe(), blocks.columns, blocks.row_bytes);
        if parts.iter().any(|part| form(part) != form(first)) {
            return None;
        }
        let rows: u64 = parts.iter().map(|part| part.rows).sum();
        let join =
            |pieces: Vec<&Bytes>| Bytes::from(pieces.into_iter().flatten().copied().collect::<Vec<u8>>());
        let floats = |element: ElementType, pieces: Vec<&Bytes>| {
            Tensor::new(element, [rows, first.per_row()], join(pieces)).ok()
        };
        let scales = floats(first.scales.element, parts.iter().map(|part| part.scales.bytes()).collect())?;
        let of_zeros = || -> Vec<&Bytes> { parts.iter().filter_map(|part| part.stored().nth(2)).collect() };
        let zeros = match &first.zeros {
            Zeros::All(zero) => Zeros::All(*zero),
            Zeros::Numbers(_) => Zeros::Numbers(join(of_zeros())),
            Zeros::Floats(zeros) => Zeros::Floats(floats(zeros.element, of_zeros())?),
        };
        let numbers = join(parts.iter().map(|part| &part.numbers).collect());
        Some(Self { rows, numbers, scales, zeros, ..first.clone() })
    }
}

/// Number `index` of a row.
fn number(row: &[u8], bits: u32, index: u64) -> f32 {
    let bit = index * u64::from(bits);
    let byte = row[(bit / 8) as usize] >> (bit % 8);
    f32::from(byte & (u8::MAX >> (8 - bits)))
}

/// Numbers of so many bits, packed: the first in the low bits of a byte.
pub fn pack_numbers(numbers: impl IntoIterator<Item = u8>, bits: u32) -> Vec<u8> {
    let (mut bytes, mut used) = (Vec::new(), 8);
    for number in numbers {
        if used == 8 {
            bytes.push(0);
            used = 0;
        }
        if let Some(last) = bytes.last_mut() {
            *last |= number << used;
        }
        used += bits;
    }
    bytes
}

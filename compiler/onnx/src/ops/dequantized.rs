//! Constants that a model stores as integers with scales and zero points: in blocks where rows of blocks describe them, else
//! as floats.

use super::quantize::Granularity;
use crate::data_type::DataType;
use crate::error::NodeError;
use drift_ir::tensor::blocks::{Blocks, Parts, Zeros, pack_numbers};
use drift_ir::{ElementType, Tensor};

/// Integers, what they stand for, and what of them shares a scale.
pub(super) struct Stored<'a> {
    pub(super) numbers: &'a Tensor,
    /// Their type in the file, where that has fewer than eight bits.
    pub(super) narrow: Option<DataType>,
    pub(super) scales: &'a Tensor,
    pub(super) zeros: Option<&'a Tensor>,
    pub(super) granularity: Granularity,
}

/// Rows whose blocks have a scale each.
struct Rows {
    /// Rows are the columns of the matrix.
    turned: bool,
    count: u64,
    columns: u64,
    /// Elements of a block.
    size: u64,
}

impl Stored<'_> {
    /// The tensor, of a type of floats.
    pub(super) fn tensor(&self, element: ElementType) -> Result<Tensor, NodeError> {
        match self.in_blocks(element)? {
            Some(tensor) => Ok(tensor),
            None => self.floats(element),
        }
    }

    /// The rows whose blocks these are. Where all elements share a scale, a matrix is read as products read it.
    fn rows(&self) -> Option<Rows> {
        let shape = self.numbers.shape();
        let (&last, outer) = shape.split_last().filter(|(_, outer)| !outer.is_empty())?;
        let plain = |size| Rows { turned: false, count: outer.iter().product(), columns: last, size };
        let is_matrix = outer.len() == 1;
        let turned = |size| Rows { turned: true, count: last, columns: outer[0], size };
        match self.granularity {
            Granularity::Tensor if is_matrix => Some(turned(outer[0])),
            Granularity::Tensor => Some(plain(last)),
            Granularity::Axis(axis) if axis + 1 < shape.len() => Some(plain(last)),
            Granularity::Blocks { axis, size } if axis + 1 == shape.len() => Some(plain(size)),
            Granularity::Axis(_) => is_matrix.then(|| turned(outer[0])),
            Granularity::Blocks { size, .. } => is_matrix.then(|| turned(size)),
        }
    }

    fn in_blocks(&self, element: ElementType) -> Result<Option<Tensor>, NodeError> {
        let (x, scales) = (self.numbers, self.scales);
        let is_byte = matches!(x.element(), ElementType::U8 | ElementType::I8);
        let is_float = |ty| matches!(ty, ElementType::F32 | ElementType::F16);
        let Some(rows) = self.rows().filter(|rows| rows.size > 0 && !x.is_empty()) else { return Ok(None) };
        if !is_byte || !is_float(element) || !is_float(scales.element()) {
            return Ok(None);
        }
        let bits = self.narrow.map_or(8, |ty| ty.bits() as u32);
        let least = match (self.narrow.and_then(DataType::range), x.element()) {
            (Some([least, _]), _) => least,
            (None, ElementType::I8) => i8::MIN,
            (None, _) => 0,
        };
        // Unsigned numbers begin at the least signed one.
        let unsigned = |byte: u8| byte.wrapping_sub(least.cast_unsigned());
        let bytes = x.bytes();
        let place = |row: u64, column: u64| match rows.turned {
            true => column * rows.count + row,
            false => row * rows.columns + column,
        };
        let numbers = if bits == 8 && least == 0 && !rows.turned {
            bytes.clone()
        } else {
            let row = |row: u64| {
                let numbers = (0..rows.columns).map(|column| unsigned(bytes[place(row, column) as usize]));
                pack_numbers(numbers, bits)
            };
            (0..rows.count).flat_map(row).collect::<Vec<u8>>().into()
        };
        let per_row = rows.columns.div_ceil(rows.size);
        let parameters: Vec<usize> = (0..rows.count)
            .flat_map(|row| (0..per_row).map(move |block| (row, block)))
            .map(|(row, block)| self.parameter(place(row, block * rows.size)))
            .collect();
        let all = scales.to_f32_vec();
        let of_blocks: Vec<f32> = parameters.iter().map(|&at| all[at]).collect();
        let of_blocks = Tensor::from_f32_as(scales.element(), [rows.count, per_row], &of_blocks)?;
        let zeros = match self.zeros {
            None => Zeros::All(unsigned(0)),
            Some(zeros) => {
                let zeros: Vec<u8> = parameters.iter().map(|&at| zeros.bytes()[at]).map(unsigned).collect();
                match zeros.iter().all(|zero| *zero == zeros[0]) {
                    true => Zeros::All(zeros[0]),
                    false => {
                        let rows = zeros.chunks(per_row as usize);
                        Zeros::Numbers(
                            rows.flat_map(|row| pack_numbers(row.iter().copied(), bits))
                                .collect::<Vec<u8>>()
                                .into(),
                        )
                    }
                }
            }
        };
        let shape = [rows.count, rows.columns];
        let blocks = Blocks::new(Parts { bits, size: rows.size, shape, numbers, scales: of_blocks, zeros })?;
        Ok(Some(match rows.turned {
            true => Tensor::from_turned_blocks(element, blocks)?,
            false => Tensor::from_blocks(element, x.shape(), blocks)?,
        }))
    }

    /// Which of the scales and zero points an element has.
    fn parameter(&self, at: u64) -> usize {
        let shape = self.numbers.shape();
        let inner = |axis: usize| shape[axis + 1..].iter().product::<u64>();
        match self.granularity {
            Granularity::Tensor => 0,
            Granularity::Axis(axis) => (at / inner(axis) % shape[axis]) as usize,
            Granularity::Blocks { axis, size } => {
                let (inner, blocks) = (inner(axis), shape[axis].div_ceil(size));
                let (row, lane) = (at / inner, at % inner);
                let block = row / shape[axis] * blocks + row % shape[axis] / size;
                (block * inner + lane) as usize
            }
        }
    }

    fn floats(&self, element: ElementType) -> Result<Tensor, NodeError> {
        let x = self.numbers;
        let scales = self.scales.to_f32_vec();
        let zeros = self.zeros.map_or_else(|| vec![0; scales.len()], Tensor::to_i64_vec);
        let number = |at: u64, value: i64| -> f32 {
            let parameter = self.parameter(at);
            (value as i32).wrapping_sub(zeros[parameter] as i32) as f32 * scales[parameter]
        };
        let values: Vec<f32> = match x.element() {
            ElementType::U8 => (0..).zip(x.bytes()).map(|(at, &byte)| number(at, byte.into())).collect(),
            ElementType::I8 => {
                (0..).zip(x.bytes()).map(|(at, &byte)| number(at, byte.cast_signed().into())).collect()
            }
            _ => (0..).zip(x.to_i64_vec()).map(|(at, value)| number(at, value)).collect(),
        };
        Ok(Tensor::from_f32_as(element, x.shape(), &values)?)
    }
}

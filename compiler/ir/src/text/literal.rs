//! Numbers as text, exact in both directions, and the patterns that stand for long constants.

use super::ParseErrorKind;
use crate::tensor::blocks::{BITS, Blocks, Parts, Zeros};
use crate::tensor::{ElementType, Tensor, TensorError, checked_product};
use bytes::Bytes;
use half::f16;

/// Elements that a pattern may make.
const MAX_PATTERN: u64 = 1 << 26;

fn bad(text: &str, wanted: &'static str) -> ParseErrorKind {
    ParseErrorKind::Number { text: text.to_owned(), wanted }
}

pub(super) fn parse_int(text: &str) -> Result<i64, ParseErrorKind> {
    text.parse().map_err(|_| bad(text, "64-bit integer"))
}

pub(super) fn parse_unsigned(text: &str) -> Result<u64, ParseErrorKind> {
    text.parse().map_err(|_| bad(text, "non-negative integer"))
}

pub(super) fn parse_f64(text: &str) -> Result<f64, ParseErrorKind> {
    let hex = text.strip_prefix("0x").map(|digits| u64::from_str_radix(digits, 16));
    match hex {
        Some(bits) => bits.map(f64::from_bits).map_err(|_| bad(text, "f64")),
        None => text.parse().map_err(|_| bad(text, "f64")),
    }
}

pub(super) fn show_f64(value: f64) -> String {
    match value {
        value if value.is_nan() && value.to_bits() != f64::NAN.to_bits() => {
            format!("{:#018x}", value.to_bits())
        }
        value if value.is_nan() => "nan".to_owned(),
        value => format!("{value:?}"),
    }
}

/// Appends the little-endian bytes of one element.
pub(super) fn push_element(
    bytes: &mut Vec<u8>,
    text: &str,
    element: ElementType,
) -> Result<(), ParseErrorKind> {
    let wrong = || bad(text, element.name());
    let hex = text.strip_prefix("0x").map(|digits| u64::from_str_radix(digits, 16));
    let bits = hex.transpose().map_err(|_| wrong())?;
    match element {
        ElementType::F32 => {
            let value = match bits {
                Some(bits) => f32::from_bits(u32::try_from(bits).map_err(|_| wrong())?),
                None => text.parse().map_err(|_| wrong())?,
            };
            bytes.extend_from_slice(&value.to_le_bytes());
        }
        ElementType::F16 => {
            let value = match bits {
                Some(bits) => f16::from_bits(u16::try_from(bits).map_err(|_| wrong())?),
                None => f16::from_f64(text.parse().map_err(|_| wrong())?),
            };
            bytes.extend_from_slice(&value.to_le_bytes());
        }
        ElementType::F64 => bytes.extend_from_slice(&parse_f64(text)?.to_le_bytes()),
        ElementType::I64 => bytes.extend_from_slice(&parse_int(text)?.to_le_bytes()),
        ElementType::I32 => bytes.extend_from_slice(&text.parse::<i32>().map_err(|_| wrong())?.to_le_bytes()),
        ElementType::I8 => bytes.extend_from_slice(&text.parse::<i8>().map_err(|_| wrong())?.to_le_bytes()),
        ElementType::U8 => bytes.push(text.parse().map_err(|_| wrong())?),
        ElementType::I16 => bytes.extend_from_slice(&text.parse::<i16>().map_err(|_| wrong())?.to_le_bytes()),
        ElementType::U16 => bytes.extend_from_slice(&text.parse::<u16>().map_err(|_| wrong())?.to_le_bytes()),
        ElementType::U32 => bytes.extend_from_slice(&text.parse::<u32>().map_err(|_| wrong())?.to_le_bytes()),
        ElementType::U64 => bytes.extend_from_slice(&text.parse::<u64>().map_err(|_| wrong())?.to_le_bytes()),
        ElementType::Bool => bytes.push(match text {
            "true" => 1,
            "false" => 0,
            // A byte that stands for true but is not 1; some files have them.
            other => other.parse().map_err(|_| wrong())?,
        }),
    }
    Ok(())
}

/// Every element as text.
pub(super) fn show_elements(tensor: &Tensor) -> Vec<String> {
    let size = tensor.element().size_bytes();
    let elements = tensor.bytes().chunks_exact(size);
    elements.map(|bytes| show_element(bytes, tensor.element())).collect()
}

fn show_element(bytes: &[u8], element: ElementType) -> String {
    fn array<const SIZE: usize>(bytes: &[u8]) -> [u8; SIZE] {
        bytes.try_into().expect("an element has its type's size")
    }
    match element {
        ElementType::F32 => {
            let value = f32::from_le_bytes(array(bytes));
            show_float(f64::from(value), &format!("{value:?}"), f32::NAN.to_bits() == value.to_bits(), || {
                format!("{:#010x}", value.to_bits())
            })
        }
        ElementType::F16 => {
            let value = f16::from_le_bytes(array(bytes));
            let wide = value.to_f32();
            show_float(f64::from(wide), &format!("{wide:?}"), value.to_bits() == f16::NAN.to_bits(), || {
                format!("{:#06x}", value.to_bits())
            })
        }
        ElementType::F64 => show_f64(f64::from_le_bytes(array(bytes))),
        ElementType::I64 => i64::from_le_bytes(array(bytes)).to_string(),
        ElementType::I32 => i32::from_le_bytes(array(bytes)).to_string(),
        ElementType::I8 => i8::from_le_bytes(array(bytes)).to_string(),
        ElementType::U8 => bytes[0].to_string(),
        ElementType::I16 => i16::from_le_bytes(array(bytes)).to_string(),
        ElementType::U16 => u16::from_le_bytes(array(bytes)).to_string(),
        ElementType::U32 => u32::from_le_bytes(array(bytes)).to_string(),
        ElementType::U64 => u64::from_le_bytes(array(bytes)).to_string(),
        ElementType::Bool => match bytes[0] {
            0 => "false".to_owned(),
            1 => "true".to_owned(),
            other => other.to_string(),
        },
    }
}

fn show_float(value: f64, shortest: &str, is_usual_nan: bool, bits: impl Fn() -> String) -> String {
    if !value.is_nan() {
        shortest.to_owned()
    } else if is_usual_nan {
        "nan".to_owned()
    } else {
        bits()
    }
}

fn pattern_length(element: ElementType, shape: &[u64]) -> Result<usize, ParseErrorKind> {
    match checked_product(shape) {
        Some(count) if count <= MAX_PATTERN => Ok(count as usize),
        _ => Err(ParseErrorKind::TooLarge(format!("{element}{shape:?}"))),
    }
}

/// A constant whose elements all have the same bytes.
pub(super) fn splat(element: ElementType, shape: &[u64], bytes: &[u8]) -> Result<Tensor, ParseErrorKind> {
    let count = pattern_length(element, shape)?;
    Ok(Tensor::new(element, shape, Bytes::from(bytes.repeat(count)))?)
}

/// A constant from a seed: floats in [-1, 1), integers in -8..8 (0..16 for u8), bools evenly.
pub(super) fn random(element: ElementType, shape: &[u64], seed: u64) -> Result<Tensor, ParseErrorKind> {
    let count = pattern_length(element, shape)?;
    let tensor: Result<Tensor, TensorError> = if element.is_float() {
        // The top 24 bits, so that f32 holds the value exactly.
        let unit = |index| (mix(seed, index) >> 40) as f64 / f64::from(1u32 << 23) - 1.0;
        let values: Vec<f64> = (0..count as u64).map(unit).collect();
        Tensor::from_f64_as(element, shape, &values)
    } else {
        let modulus = if element == ElementType::Bool { 2 } else { 16 };
        let offset = if matches!(element, ElementType::Bool | ElementType::U8) { 0 } else { 8 };
        let values: Vec<i64> =
            (0..count as u64).map(|index| (mix(seed, index) >> 33) as i64 % modulus - offset).collect();
        Tensor::from_i64_as(element, shape, &values)
    };
    Ok(tensor?)
}

/// A well mixed hash of seed and index (the finaliser of splitmix64).
fn mix(seed: u64, index: u64) -> u64 {
    let mut z = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Zero points of [`random_blocks`].
pub(super) enum Seeded {
    All(u64),
    Numbers,
    Floats(ElementType),
}

/// Blocks from a seed: any numbers, scales of either sign such that elements are about one at most.
pub(super) fn random_blocks(
    (bits, size): (u32, u64),
    [rows, columns]: [u64; 2],
    seed: u64,
    (scales, zeros): (ElementType, Seeded),
) -> Result<Blocks, ParseErrorKind> {
    let too_large = || ParseErrorKind::TooLarge(format!("blocks of [{rows}, {columns}]"));
    if !BITS.contains(&bits) || size == 0 || size > MAX_PATTERN {
        return Err(too_large());
    }
    let per_row = columns.div_ceil(size);
    pattern_length(ElementType::U8, &[rows, per_row, size])?;
    let bytes = |salt: u64, count: u64| -> Bytes {
        (0..count).map(|index| (mix(seed ^ salt, index) >> 32) as u8).collect::<Vec<u8>>().into()
    };
    let floats = |element, salt: u64, of: &dyn Fn(f64) -> f64| {
        let unit = |index| (mix(seed ^ salt, index) >> 40) as f64 / f64::from(1u32 << 23) - 1.0;
        let values: Vec<f64> = (0..rows * per_row).map(|index| of(unit(index))).collect();
        Tensor::from_f64_as(element, [rows, per_row], &values)
    };
    let most = f64::from(1u32 << (bits - 1));
    let numbers = bytes(1, rows * (per_row * size * u64::from(bits)).div_ceil(8));
    let scales = floats(scales, 2, &|unit| unit.signum() * (0.25 + 0.75 * unit.abs()) / most)?;
    let zeros = match zeros {
        Seeded::All(zero) => Zeros::All(u8::try_from(zero).map_err(|_| too_large())?),
        Seeded::Numbers => Zeros::Numbers(bytes(3, rows * (per_row * u64::from(bits)).div_ceil(8))),
        Seeded::Floats(element) => Zeros::Floats(floats(element, 4, &|unit| most + unit * most)?),
    };
    Ok(Blocks::new(Parts { bits, size, shape: [rows, columns], numbers, scales, zeros })?)
}

/// Blocks as text.
pub(super) fn show_blocks(blocks: &Blocks, turned: bool) -> String {
    let bytes = |bytes: &[u8]| bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
    let floats = |tensor: &Tensor| format!("{}[{}]", tensor.element(), show_elements(tensor).join(", "));
    let zeros = match blocks.zeros() {
        Zeros::All(zero) => zero.to_string(),
        Zeros::Numbers(numbers) => format!("[{}]", bytes(numbers)),
        Zeros::Floats(tensor) => floats(tensor),
    };
    format!(
        "{}(bits={}, size={}, numbers=[{}], scales={}, zeros={zeros})",
        if turned { "turned_blocks" } else { "blocks" },
        blocks.bits(),
        blocks.size(),
        bytes(blocks.numbers().0),
        floats(blocks.scales())
    )
}

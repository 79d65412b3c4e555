//! NumPy's `.npy` files: a small, strict reader and writer.
//!
//! Reads versions 1 to 3 with the types that a bundle's inputs can have, little-endian, in C order or in Fortran's. Doubles, which numpy
//! makes by default and no device takes, are rounded to single precision. A file in any other form is refused with the call
//! that converts it.

use crate::host::{HostTensor, HostTensorError};
use drift_bundle::manifest::HostElement;
use std::borrow::Cow;

const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// Headers are a line of text; numpy itself refuses longer ones.
const LONGEST_HEADER_BYTES: usize = 10_000;

/// Why a file is not an array that driftc reads.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NpyError {
    /// Not numpy's format at all.
    #[error("not a .npy file")]
    Magic,
    /// Several arrays in an archive.
    #[error("a .npz archive of arrays; store each alone with numpy.save")]
    Archive,
    /// A version that does not exist.
    #[error(".npy version {0}.{1} is not known; versions 1 to 3 are")]
    Version(u8, u8),
    /// The file ends within its header.
    #[error("the .npy header is cut off")]
    Truncated,
    /// The header is not what numpy writes.
    #[error("the .npy header is malformed near `{0}`")]
    Header(String),
    /// A type that bundles do not take.
    #[error(
        "the .npy type `{found}` is not one of f8, f4, f2, i8, i4, i1, u1, b1 (little-endian); convert it, such as with .astype(numpy.float32)"
    )]
    Type {
        /// numpy's own name.
        found: String,
    },
    /// Data that end within a double.
    #[error("the .npy data end within an element")]
    PartialElement,
    /// Data of another size than the header says.
    #[error("the .npy data does not fit its header")]
    Data(#[from] HostTensorError),
}

/// Reads an array from a file's bytes.
pub fn read(file: &[u8]) -> Result<HostTensor, NpyError> {
    if file.starts_with(b"PK\x03\x04") {
        return Err(NpyError::Archive);
    }
    let rest = file.strip_prefix(MAGIC).ok_or(NpyError::Magic)?;
    let (&[major, minor], rest) = rest.split_first_chunk::<2>().ok_or(NpyError::Truncated)?;
    let (length, rest) = match (major, minor) {
        (1, 0) => {
            let (length, rest) = rest.split_first_chunk::<2>().ok_or(NpyError::Truncated)?;
            (usize::from(u16::from_le_bytes(*length)), rest)
        }
        (2 | 3, 0) => {
            let (length, rest) = rest.split_first_chunk::<4>().ok_or(NpyError::Truncated)?;
            (u32::from_le_bytes(*length) as usize, rest)
        }
        _ => return Err(NpyError::Version(major, minor)),
    };
    if length > LONGEST_HEADER_BYTES {
        return Err(NpyError::Header(format!("a header of {length} bytes")));
    }
    let (header, data) = rest.split_at_checked(length).ok_or(NpyError::Truncated)?;
    let header =
        str::from_utf8(header).map_err(|_| NpyError::Header("bytes that are not UTF-8".to_owned()))?;
    let Header { descr, fortran_order, shape } = Header::parse(header)?;
    let is_double = name(&descr) == "f8";
    let size = if is_double { Some(8) } else { element(&descr).map(HostElement::size_bytes) };
    let data = match size {
        // An array with at most one axis is the same in both orders.
        Some(size) if fortran_order && shape.len() > 1 => Cow::Owned(rows_first(data, &shape, size as usize)),
        _ => Cow::Borrowed(data),
    };
    if is_double {
        let (doubles, rest) = data.as_chunks();
        if !rest.is_empty() {
            return Err(NpyError::PartialElement);
        }
        let rounded = |double: &[u8; 8]| (f64::from_le_bytes(*double) as f32).to_le_bytes();
        return Ok(HostTensor::new(HostElement::F32, shape, doubles.iter().flat_map(rounded).collect())?);
    }
    let element = element(&descr).ok_or(NpyError::Type { found: descr })?;
    Ok(HostTensor::new(element, shape, data.to_vec())?)
}

/// The elements of an array whose first axis runs fastest, so that the last one does. Data that do not fill the shape stay as they
/// are, for the caller to refuse.
fn rows_first(data: &[u8], shape: &[u64], size: usize) -> Vec<u8> {
    let whole = shape.iter().try_fold(size as u64, |bytes, axis| bytes.checked_mul(*axis));
    if whole != Some(data.len() as u64) || data.is_empty() {
        return data.to_vec();
    }
    // All of these are below the length of the data.
    let shape: Vec<usize> = shape.iter().map(|&axis| axis as usize).collect();
    let strides: Vec<usize> = (0..shape.len()).map(|axis| shape[..axis].iter().product()).collect();
    let (mut at, mut from) = (vec![0; shape.len()], 0);
    let mut rows = Vec::with_capacity(data.len());
    while rows.len() < data.len() {
        rows.extend_from_slice(&data[from * size..][..size]);
        for axis in (0..shape.len()).rev() {
            at[axis] += 1;
            from += strides[axis];
            if at[axis] < shape[axis] {
                break;
            }
            from -= strides[axis] * shape[axis];
            at[axis] = 0;
        }
    }
    rows
}

/// Writes an array as version 1, with the data aligned to 64 bytes as numpy does.
pub fn write(tensor: &HostTensor) -> Vec<u8> {
    let axes: Vec<String> = tensor.shape().iter().map(u64::to_string).collect();
    let shape = match axes.as_slice() {
        [one] => format!("({one},)"),
        axes => format!("({})", axes.join(", ")),
    };
    // Types that NumPy has not go as those that hold them.
    let stored = tensor.as_numpy();
    let tensor = stored.as_ref().unwrap_or(tensor);
    let mut header =
        format!("{{'descr': '{}', 'fortran_order': False, 'shape': {shape}, }}", descr(tensor.element()));
    let preamble = MAGIC.len() + 4;
    while !(preamble + header.len() + 1).is_multiple_of(64) {
        header.push(' ');
    }
    header.push('\n');
    // A tensor of the highest rank that a bundle can hold has a header far below 64 KiB.
    let length = u16::try_from(header.len()).unwrap_or(u16::MAX);
    let mut file = Vec::with_capacity(preamble + header.len() + tensor.bytes().len());
    file.extend_from_slice(MAGIC);
    file.extend_from_slice(&[1, 0]);
    file.extend_from_slice(&length.to_le_bytes());
    file.extend_from_slice(header.as_bytes());
    file.extend_from_slice(tensor.bytes());
    file
}

const fn descr(element: HostElement) -> &'static str {
    match element {
        HostElement::F32 => "<f4",
        HostElement::F16 => "<f2",
        HostElement::I64 => "<i8",
        HostElement::I32 => "<i4",
        HostElement::I8 | HostElement::I4 | HostElement::I2 => "|i1",
        HostElement::U8 | HostElement::U4 | HostElement::U2 => "|u1",
        HostElement::Bool => "|b1",
        HostElement::I16 => "<i2",
        HostElement::U16 => "<u2",
        HostElement::U32 => "<u4",
        HostElement::U64 => "<u8",
        HostElement::Bf16
        | HostElement::F8E4M3
        | HostElement::F8E4M3Fnuz
        | HostElement::F8E5M2
        | HostElement::F8E5M2Fnuz
        | HostElement::F8E8M0
        | HostElement::F4E2M1 => "<f4",
    }
}

/// A type without its byte order.
fn name(descr: &str) -> &str {
    // `=` is the writer's own order, which is little-endian on every machine that driftc runs on.
    descr.trim_start_matches('=').trim_start_matches('<').trim_start_matches('|')
}

fn element(descr: &str) -> Option<HostElement> {
    match name(descr) {
        "f4" => Some(HostElement::F32),
        "f2" => Some(HostElement::F16),
        "i8" => Some(HostElement::I64),
        "i4" => Some(HostElement::I32),
        "i1" => Some(HostElement::I8),
        "u1" => Some(HostElement::U8),
        "b1" => Some(HostElement::Bool),
        "i2" => Some(HostElement::I16),
        "u2" => Some(HostElement::U16),
        "u4" => Some(HostElement::U32),
        "u8" => Some(HostElement::U64),
        _ => None,
    }
}

/// The Python dictionary that opens the file.
#[derive(Default)]
struct Header {
    descr: String,
    fortran_order: bool,
    shape: Vec<u64>,
}

impl Header {
    /// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`, its keys in any order, each once.
    fn parse(text: &str) -> Result<Self, NpyError> {
        let mut reader = Reader { rest: text };
        let mut header = Self::default();
        let mut seen = Vec::new();
        reader.expect("{")?;
        while !reader.take("}") {
            let key = reader.quoted()?;
            reader.expect(":")?;
            match key {
                "descr" => reader.quoted()?.clone_into(&mut header.descr),
                "fortran_order" => header.fortran_order = reader.truth()?,
                "shape" => header.shape = reader.tuple()?,
                _ => return Err(NpyError::Header(key.to_owned())),
            }
            if seen.contains(&key) {
                return Err(NpyError::Header(format!("a second {key}")));
            }
            seen.push(key);
            if !reader.take(",") {
                reader.expect("}")?;
                break;
            }
        }
        if !reader.rest.trim().is_empty() {
            return Err(reader.error());
        }
        if seen.len() == 3 {
            Ok(header)
        } else {
            Err(NpyError::Header("its end; a key is missing".to_owned()))
        }
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn take(&mut self, word: &str) -> bool {
        let trimmed = self.rest.trim_start();
        let found = trimmed.strip_prefix(word);
        self.rest = found.unwrap_or(trimmed);
        found.is_some()
    }

    fn expect(&mut self, word: &str) -> Result<(), NpyError> {
        if self.take(word) { Ok(()) } else { Err(self.error()) }
    }

    fn quoted(&mut self) -> Result<&'a str, NpyError> {
        let quote = if self.take("'") {
            '\''
        } else if self.take("\"") {
            '"'
        } else {
            return Err(self.error());
        };
        let (text, rest) = self.rest.split_once(quote).ok_or_else(|| self.error())?;
        self.rest = rest;
        Ok(text)
    }

    fn truth(&mut self) -> Result<bool, NpyError> {
        if self.take("True") {
            Ok(true)
        } else if self.take("False") {
            Ok(false)
        } else {
            Err(self.error())
        }
    }

    fn tuple(&mut self) -> Result<Vec<u64>, NpyError> {
        self.expect("(")?;
        let mut axes = Vec::new();
        while !self.take(")") {
            axes.push(self.number()?);
            if !self.take(",") {
                self.expect(")")?;
                break;
            }
        }
        Ok(axes)
    }

    fn number(&mut self) -> Result<u64, NpyError> {
        let trimmed = self.rest.trim_start();
        let end = trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len());
        let number = trimmed[..end].parse().map_err(|_| self.error())?;
        self.rest = &trimmed[end..];
        Ok(number)
    }

    fn error(&self) -> NpyError {
        NpyError::Header(self.rest.chars().take(20).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(version: u8, header: &str, data: &[u8]) -> Vec<u8> {
        let mut file = MAGIC.to_vec();
        file.extend([version, 0]);
        match version {
            1 => file.extend(u16::try_from(header.len()).unwrap().to_le_bytes()),
            _ => file.extend(u32::try_from(header.len()).unwrap().to_le_bytes()),
        }
        file.extend(header.as_bytes());
        file.extend(data);
        file
    }

    fn header(descr: &str, shape: &str) -> String {
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n")
    }

    #[test]
    fn what_is_written_reads_back() {
        let shapes: [&[u64]; 5] = [&[], &[5], &[2, 3], &[1, 1, 1, 1], &[2, 0, 3]];
        let elements = [
            (HostElement::F32, 4),
            (HostElement::F16, 2),
            (HostElement::I64, 8),
            (HostElement::I32, 4),
            (HostElement::I8, 1),
            (HostElement::U8, 1),
            (HostElement::Bool, 1),
        ];
        for shape in shapes {
            for (element, bytes) in elements {
                let count = shape.iter().product::<u64>() as usize;
                let data: Vec<u8> = (0..count * bytes).map(|i| (i % 2) as u8).collect();
                let tensor = HostTensor::new(element, shape.to_vec(), data).unwrap();
                let file = write(&tensor);
                assert_eq!((file.len() - tensor.bytes().len()) % 64, 0);
                assert_eq!(read(&file), Ok(tensor), "{element:?} {shape:?}");
            }
        }
    }

    #[test]
    fn the_header_is_what_numpy_writes() {
        let tensor = HostTensor::new(HostElement::F32, vec![3], vec![0; 12]).unwrap();
        let file = write(&tensor);
        let expected = b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }";
        assert_eq!(&file[..expected.len()], expected);
    }

    #[test]
    fn every_version_and_key_order_is_read() {
        let data = [1, 0, 0, 0, 2, 0, 0, 0];
        for version in 1..=3 {
            let tensor = read(&file(version, &header("<i4", "(2,)"), &data)).unwrap();
            assert_eq!(tensor.to_f64(), [1.0, 2.0]);
        }
        let turned = "{\"shape\":(2,1),\"fortran_order\":False,\"descr\":\"<i4\"}";
        assert_eq!(read(&file(1, turned, &data)).unwrap().shape(), [2, 1]);
    }

    #[test]
    fn foreign_forms_are_refused_with_what_to_do() {
        let cases: [(Vec<u8>, &str); 11] = [
            (b"PK\x03\x04".to_vec(), "a .npz archive"),
            (b"GIF89a".to_vec(), "not a .npy file"),
            (MAGIC.to_vec(), "the .npy header is cut off"),
            (file(4, "{}", &[]), ".npy version 4.0 is not known; versions 1 to 3 are"),
            (file(1, &header("<c8", "(1,)"), &[0; 8]), "the .npy type `<c8` is not one of"),
            (file(1, &header("<f8", "(1,)"), &[0; 7]), "the .npy data end within an element"),
            (file(1, &header(">f4", "(1,)"), &[0; 4]), "the .npy type `>f4` is not one of"),
            (file(1, &header("<f4", "(2,)"), &[0; 7]), "the .npy data does not fit its header"),
            (file(1, &header("<f4", "(-1,)"), &[]), "the .npy header is malformed near `-1,), }"),
            (file(1, "{'descr': '<f4'}", &[]), "the .npy header is malformed near `its end"),
            (
                file(1, &header("<f4", "(99999999999999999999,)"), &[]),
                "the .npy header is malformed near `9999",
            ),
        ];
        for (file, expected) in cases {
            let message = read(&file).unwrap_err().to_string();
            assert!(message.starts_with(expected), "{message} / {expected}");
        }
    }

    #[test]
    fn doubles_are_rounded() {
        let doubles =
            [0.1_f64, -2.5, f64::NAN].iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>();
        let tensor = read(&file(1, &header("<f8", "(3,)"), &doubles)).unwrap();
        assert_eq!((tensor.element(), tensor.to_f64()[0]), (HostElement::F32, f64::from(0.1_f32)));
        assert!(tensor.to_f64()[2].is_nan());
        assert!(read(&file(1, &header("<f8", "(2,)"), &doubles)).is_err());
    }

    #[test]
    fn every_cut_ends_in_an_error() {
        let tensor = HostTensor::new(HostElement::F32, vec![2, 2], vec![0; 16]).unwrap();
        let file = write(&tensor);
        for end in 0..file.len() {
            assert!(read(&file[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn columns_first_become_rows_first() {
        // numpy.asfortranarray(numpy.arange(6).reshape(2, 3))
        let of = |descr: &str, shape: &str, data: &[u8]| {
            read(&file(1, &header(descr, shape).replace("False", "True"), data))
        };
        let bytes = of("|u1", "(2, 3)", &[0, 3, 1, 4, 2, 5]).unwrap();
        assert_eq!((bytes.shape(), bytes.bytes()), (&[2, 3][..], &[0, 1, 2, 3, 4, 5][..]));
        let cube = of("|u1", "(2, 2, 2)", &[0, 4, 2, 6, 1, 5, 3, 7]).unwrap();
        assert_eq!(cube.bytes(), [0, 1, 2, 3, 4, 5, 6, 7]);
        let doubles: Vec<u8> =
            [1.0_f64, 3.0, 2.0, 4.0].iter().flat_map(|value| value.to_le_bytes()).collect();
        assert_eq!(of("<f8", "(2, 2)", &doubles).unwrap().to_f64(), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(of("|u1", "(3, 0)", &[]).unwrap().shape(), [3, 0]);
        assert_eq!(of("|u1", "(1, 1)", &[7]).unwrap().bytes(), [7]);
        for (shape, data) in
            [("(2, 3)", &[0; 5][..]), ("(2, 2)", &[0; 5]), ("(4294967296, 4294967296, 2)", &[0; 2])]
        {
            assert!(matches!(of("|u1", shape, data), Err(NpyError::Data(_))), "{shape}");
        }
    }
}

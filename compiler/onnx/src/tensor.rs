//! ONNX tensors to constants and back.
//!
//! Reading takes the data from `raw_data` or another file without a copy where the graph's type is the file's, and
//! from the typed fields or by widening otherwise. Whatever a file says, the result has exactly as many bytes as its
//! type and shape need, or there is an error that names the tensor. [`read_tensor_pb`] and [`write_tensor_pb`] serve
//! the `.pb` files of the ONNX backend-test layout.

use crate::data_type::DataType;
use crate::proto::{TensorProto, data_location};
use crate::source::{ExternalError, ModelSource, SourceError, external_error};
use crate::wire::{self, WireError};
use bytes::Bytes;
use drift_ir::{ElementType, HostForm, Tensor};
use half::bf16;
use prost::Message;
use thiserror::Error;

/// Axes that a value may have. Real models have six at most; a limit keeps work per axis small.
pub(crate) const MAX_RANK: usize = 64;

/// Why a tensor could not be read.
#[derive(Debug, Error)]
pub enum TensorError {
    /// The bytes are no tensor message.
    #[error("not a readable ONNX tensor file")]
    Wire(#[from] WireError),
    /// The structure is protobuf, but not that of a tensor.
    #[error("not a readable ONNX tensor file")]
    Decode(#[from] prost::DecodeError),
    /// Its data file was refused.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The tensor contradicts itself, or holds what the graph cannot.
    #[error("tensor `{name}`: {reason}")]
    Invalid {
        /// The tensor.
        name: String,
        /// What is wrong.
        reason: TensorReason,
    },
}

/// What is wrong with a tensor.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum TensorReason {
    /// An element type that the graph has no place for.
    #[error("element type {0} is not supported")]
    ElementType(String),
    /// A negative size.
    #[error("axis {axis} has the negative size {size}")]
    NegativeSize {
        /// Which axis.
        axis: usize,
        /// Its size.
        size: i64,
    },
    /// More axes than any model needs.
    #[error("it has {0} axes; at most {MAX_RANK} are supported")]
    TooManyAxes(usize),
    /// More bytes than can be addressed.
    #[error("shape {0:?} needs more bytes than can be addressed")]
    TooLarge(Vec<i64>),
    /// The data do not fill the shape, or overflow it.
    #[error("shape {shape:?} of {ty} needs {expected} bytes, {found} are given")]
    WrongLength {
        /// The shape.
        shape: Vec<u64>,
        /// Element type.
        ty: &'static str,
        /// Bytes that type and shape need.
        expected: u64,
        /// Bytes in the file.
        found: u64,
    },
    /// A value that its own type or the graph's cannot hold.
    #[error("value {value} does not fit {ty}")]
    OutOfRange {
        /// The value.
        value: i128,
        /// The type.
        ty: &'static str,
    },
    /// Data in more than one place.
    #[error("the data are given in more than one field")]
    SeveralFields,
    /// `data_location` is neither default nor external.
    #[error("data location {0} is unknown")]
    UnknownLocation(i32),
    /// A piece of a larger tensor.
    #[error("it is a segment of a larger tensor; store it whole")]
    Segment,
}

/// Reads the tensor of a `.pb` file: its name, which may be empty, and its value.
pub fn read_tensor_pb(bytes: impl Into<Bytes>) -> Result<(String, Tensor), TensorError> {
    let (name, tensor, _) = read_host_tensor_pb(bytes)?;
    Ok((name, tensor))
}

/// As [`read_tensor_pb`], and how callers have the value where not as its element type.
pub fn read_host_tensor_pb(
    bytes: impl Into<Bytes>,
) -> Result<(String, Tensor, Option<HostForm>), TensorError> {
    let bytes = bytes.into();
    wire::check(&bytes, wire::Kind::Tensor)?;
    let proto = TensorProto::decode(bytes)?;
    let tensor = read(&proto, None)?;
    let form = DataType::from_proto(proto.data_type).ok().and_then(DataType::host_form);
    Ok((proto.name, tensor, form))
}

/// The content of a `.pb` file with this tensor.
pub fn write_tensor_pb(name: &str, tensor: &Tensor) -> Vec<u8> {
    proto(name, tensor).encode_to_vec()
}

/// The message that holds this tensor.
pub(crate) fn proto(name: &str, tensor: &Tensor) -> TensorProto {
    TensorProto {
        // Sizes come from data in memory, so they are far below the sign bit.
        dims: tensor.shape().iter().map(|&size| size as i64).collect(),
        data_type: DataType::code_of(tensor.element()),
        name: name.to_owned(),
        raw_data: Some(tensor.bytes().clone()),
        ..TensorProto::default()
    }
}

/// Reads a tensor of a model; without a source, external data are refused.
pub(crate) fn read(proto: &TensorProto, source: Option<&ModelSource>) -> Result<Tensor, TensorError> {
    let invalid = |reason| TensorError::Invalid { name: proto.name.clone(), reason };
    if proto.segment.is_some() {
        return Err(invalid(TensorReason::Segment));
    }
    let ty = DataType::from_proto(proto.data_type).map_err(TensorReason::ElementType).map_err(invalid)?;
    let shape = shape(&proto.dims).map_err(invalid)?;
    let expected =
        size_bytes(&shape, ty).ok_or_else(|| invalid(TensorReason::TooLarge(proto.dims.clone())))?;
    let bytes = match proto.data_location {
        data_location::DEFAULT => inline_data(proto, ty).map_err(invalid)?,
        data_location::EXTERNAL => {
            no_inline_data(proto).map_err(invalid)?;
            external_data(proto, source, expected)?
        }
        other => return Err(invalid(TensorReason::UnknownLocation(other))),
    };
    let found = bytes.len() as u64;
    if found != expected {
        return Err(invalid(TensorReason::WrongLength { shape, ty: ty.name(), expected, found }));
    }
    let elements = shape.iter().product();
    let bytes = if ty.bits() < 8 { unpack(&bytes, ty, elements) } else { bytes };
    let bytes = widen(bytes, ty).map_err(invalid)?;
    let built = Tensor::new(ty.element(), shape, bytes);
    Ok(built.unwrap_or_else(|_| unreachable!("checked: the bytes fill type and shape")))
}

/// A tensor whose data are in another file with its data.
pub(crate) fn inline(proto: &TensorProto, source: &ModelSource) -> Result<TensorProto, TensorError> {
    let invalid = |reason| TensorError::Invalid { name: proto.name.clone(), reason };
    let ty = DataType::from_proto(proto.data_type).map_err(TensorReason::ElementType).map_err(invalid)?;
    let shape = shape(&proto.dims).map_err(invalid)?;
    let expected =
        size_bytes(&shape, ty).ok_or_else(|| invalid(TensorReason::TooLarge(proto.dims.clone())))?;
    let raw_data = Some(external_data(proto, Some(source), expected)?);
    let data_location = data_location::DEFAULT;
    Ok(TensorProto { raw_data, external_data: Vec::new(), data_location, ..proto.clone() })
}

/// Bytes that reading a tensor makes anew, because they are not in a file as the graph wants them.
pub(crate) fn new_bytes(proto: &TensorProto) -> u64 {
    let Ok(ty) = DataType::from_proto(proto.data_type) else { return 0 };
    let lists = [
        proto.float_data.len(),
        proto.int32_data.len(),
        proto.int64_data.len(),
        proto.double_data.len(),
        proto.uint64_data.len(),
    ];
    let typed = lists.into_iter().max().unwrap_or(0) as u64;
    let stored = match proto.data_location {
        _ if ty.is_exact() => 0,
        data_location::EXTERNAL => {
            shape(&proto.dims).ok().and_then(|shape| size_bytes(&shape, ty)).unwrap_or(0)
        }
        _ => proto.raw_data.as_ref().map_or(0, |raw| raw.len() as u64),
    };
    let widening = ty.element().size_bytes() as u64 * 8 / ty.bits();
    typed.saturating_mul(8).saturating_add(stored.saturating_mul(widening))
}

fn shape(dims: &[i64]) -> Result<Vec<u64>, TensorReason> {
    let size = |(axis, &size): (usize, &i64)| {
        u64::try_from(size).map_err(|_| TensorReason::NegativeSize { axis, size })
    };
    match dims.len() {
        0..=MAX_RANK => dims.iter().enumerate().map(size).collect(),
        rank => Err(TensorReason::TooManyAxes(rank)),
    }
}

/// Bytes in the file, `None` beyond what can be addressed. Axes of size zero do not excuse the others from the limit,
/// so that strides never overflow. Eight bytes leave room for every widening.
fn size_bytes(shape: &[u64], ty: DataType) -> Option<u64> {
    let whole =
        shape.iter().filter(|&&size| size != 0).try_fold(8u64, |bytes, &size| bytes.checked_mul(size))?;
    isize::try_from(whole).ok()?;
    Some((shape.iter().product::<u64>() * ty.bits()).div_ceil(8))
}

fn external_data(
    proto: &TensorProto,
    source: Option<&ModelSource>,
    expected: u64,
) -> Result<Bytes, TensorError> {
    let bytes = source
        .map_or_else(|| Err(external_error(proto, ExternalError::NoFolder)), |s| s.external(proto, expected));
    Ok(bytes?)
}

fn no_inline_data(proto: &TensorProto) -> Result<(), TensorReason> {
    match typed_fields(proto) + usize::from(proto.raw_data.as_ref().is_some_and(|raw| !raw.is_empty())) {
        0 => Ok(()),
        _ => Err(TensorReason::SeveralFields),
    }
}

fn typed_fields(proto: &TensorProto) -> usize {
    [
        proto.float_data.is_empty(),
        proto.int32_data.is_empty(),
        proto.string_data.is_empty(),
        proto.int64_data.is_empty(),
        proto.double_data.is_empty(),
        proto.uint64_data.is_empty(),
    ]
    .iter()
    .filter(|&&empty| !empty)
    .count()
}

/// The data as `raw_data` would hold them. A tensor without any data has no bytes, which fits an empty shape only.
fn inline_data(proto: &TensorProto, ty: DataType) -> Result<Bytes, TensorReason> {
    if let Some(raw) = proto.raw_data.as_ref().filter(|raw| !raw.is_empty()) {
        return if typed_fields(proto) == 0 { Ok(raw.clone()) } else { Err(TensorReason::SeveralFields) };
    }
    if typed_fields(proto) > 1 {
        return Err(TensorReason::SeveralFields);
    }
    Ok(match ty {
        DataType::Float => gather_le(&proto.float_data, |v| v.to_le_bytes()),
        DataType::Double => gather_le(&proto.double_data, |v| v.to_le_bytes()),
        DataType::Int64 => gather_le(&proto.int64_data, |v| v.to_le_bytes()),
        DataType::Uint64 => gather_le(&proto.uint64_data, |v| v.to_le_bytes()),
        DataType::Int32 => gather_le(&proto.int32_data, |v| v.to_le_bytes()),
        DataType::Uint32 => {
            try_gather_le(&proto.uint64_data, ty, |v| u32::try_from(v).map(u32::to_le_bytes))?
        }
        DataType::Int16 => try_gather_le(&proto.int32_data, ty, |v| i16::try_from(v).map(i16::to_le_bytes))?,
        DataType::Int8 => try_gather_le(&proto.int32_data, ty, |v| i8::try_from(v).map(i8::to_le_bytes))?,
        // Those of fewer bits are packed in bytes.
        DataType::Uint8
        | DataType::Bool
        | DataType::Uint4
        | DataType::Int4
        | DataType::Uint2
        | DataType::Int2
        | DataType::Float4E2m1
        | DataType::Float8E4m3fn
        | DataType::Float8E4m3fnuz
        | DataType::Float8E5m2
        | DataType::Float8E5m2fnuz
        | DataType::Float8E8m0 => {
            try_gather_le(&proto.int32_data, ty, |v| u8::try_from(v).map(u8::to_le_bytes))?
        }
        DataType::Uint16 | DataType::Float16 | DataType::Bfloat16 => {
            try_gather_le(&proto.int32_data, ty, |v| u16::try_from(v).map(u16::to_le_bytes))?
        }
    })
}

fn gather_le<T: Copy, const N: usize>(values: &[T], bytes: impl Fn(T) -> [u8; N]) -> Bytes {
    values.iter().flat_map(|&value| bytes(value)).collect()
}

fn try_gather_le<T: Copy + Into<i128>, E, const N: usize>(
    values: &[T],
    ty: DataType,
    bytes: impl Fn(T) -> Result<[u8; N], E>,
) -> Result<Bytes, TensorReason> {
    let mut out = Vec::with_capacity(values.len() * N);
    for &value in values {
        let out_of_range = |_| TensorReason::OutOfRange { value: value.into(), ty: ty.name() };
        out.extend(bytes(value).map_err(out_of_range)?);
    }
    Ok(out.into())
}

/// From elements of a few bits each, the first in the low bits of a byte, to one byte each. What is left of the last byte is
/// padding.
fn unpack(bytes: &[u8], ty: DataType, elements: u64) -> Bytes {
    let unused = 8 - ty.bits();
    let is_signed = ty.element() == ElementType::I8;
    let number = |at: u64| {
        let bit = at * ty.bits();
        let high = bytes[(bit / 8) as usize] >> (bit % 8) << unused;
        if is_signed { (high.cast_signed() >> unused).cast_unsigned() } else { high >> unused }
    };
    (0..elements).map(number).collect()
}

/// From the file's type to the graph's, of elements of whole bytes.
fn widen(bytes: Bytes, ty: DataType) -> Result<Bytes, TensorReason> {
    if let Some(format) = ty.small_float() {
        return Ok(gather_le(&bytes, |byte| format.decode(byte).to_le_bytes()));
    }
    Ok(match ty {
        DataType::Bool => {
            let wrong = bytes.iter().find(|&&byte| byte > 1);
            wrong.map_or(Ok(()), |&byte| Err(TensorReason::OutOfRange { value: byte.into(), ty: "bool" }))?;
            bytes
        }
        DataType::Bfloat16 => gather_le(&words(&bytes, bf16::from_le_bytes), |v| v.to_f32().to_le_bytes()),
        _ => bytes,
    })
}

fn words<T, const N: usize>(bytes: &[u8], word: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks().0.iter().map(|&chunk| word(chunk)).collect()
}

//! Tensors in every field that ONNX has for them, read by us and written by the independent encoder, and the reverse.

use crate::build::{BOOL, FLOAT, INT64, floats, int64s};
use drift_ir::{ElementType, Tensor};
use drift_onnx::{TensorError, TensorReason, read_tensor_pb, write_tensor_pb};
use onnx_protobuf::tensor_proto::Segment;
use onnx_protobuf::{Message, TensorProto};

const UINT8: i32 = 2;
const INT8: i32 = 3;
const UINT16: i32 = 4;
const INT16: i32 = 5;
const INT32: i32 = 6;
const STRING: i32 = 8;
const FLOAT16: i32 = 10;
const DOUBLE: i32 = 11;
const UINT32: i32 = 12;
const UINT64: i32 = 13;
const BFLOAT16: i32 = 16;

fn read(proto: &TensorProto) -> Result<Tensor, TensorError> {
    read_tensor_pb(proto.write_to_bytes().unwrap()).map(|(_, tensor)| tensor)
}

fn reason(proto: &TensorProto) -> TensorReason {
    match read(proto) {
        Err(TensorError::Invalid { reason, .. }) => reason,
        other => panic!("expected an invalid tensor, got {other:?}"),
    }
}

fn of(data_type: i32, dims: &[i64]) -> TensorProto {
    TensorProto { data_type, dims: dims.to_vec(), ..TensorProto::default() }
}

/// A vector in the typed field for 32-bit integers.
fn in_int32_data(data_type: i32, values: &[i32]) -> TensorProto {
    TensorProto { int32_data: values.to_vec(), ..of(data_type, &[values.len() as i64]) }
}

fn in_raw_data(data_type: i32, dims: &[i64], bytes: &[u8]) -> TensorProto {
    TensorProto { raw_data: bytes.to_vec(), ..of(data_type, dims) }
}

fn le<const N: usize>(words: impl IntoIterator<Item = [u8; N]>) -> Vec<u8> {
    words.into_iter().flatten().collect()
}

#[test]
fn each_type_reads_alike_from_its_field_and_from_raw_data() {
    let expected =
        |element, values: &[f64]| Tensor::from_f64_as(element, [values.len() as u64], values).unwrap();
    let check = |typed: TensorProto, raw: Vec<u8>, element, values: &[f64]| {
        let raw = in_raw_data(typed.data_type, &typed.dims, &raw);
        assert_eq!(read(&typed).unwrap(), expected(element, values));
        assert_eq!(read(&raw).unwrap(), expected(element, values));
    };
    let signed = [-3, 0, 100];
    let unsigned = [200, 0, 7];
    let as_f64 = |values: [i32; 3]| values.map(f64::from);
    check(
        in_int32_data(INT8, &signed),
        le(signed.map(|v| (v as i8).to_le_bytes())),
        ElementType::I8,
        &as_f64(signed),
    );
    check(
        in_int32_data(UINT8, &unsigned),
        unsigned.map(|v| v as u8).to_vec(),
        ElementType::U8,
        &as_f64(unsigned),
    );
    check(
        in_int32_data(INT16, &signed),
        le(signed.map(|v| (v as i16).to_le_bytes())),
        ElementType::I16,
        &as_f64(signed),
    );
    let large = [60_000, 0, 7];
    check(
        in_int32_data(UINT16, &large),
        le(large.map(|v| (v as u16).to_le_bytes())),
        ElementType::U16,
        &as_f64(large),
    );
    check(in_int32_data(INT32, &signed), le(signed.map(i32::to_le_bytes)), ElementType::I32, &as_f64(signed));
    check(in_int32_data(BOOL, &[1, 0, 1]), vec![1, 0, 1], ElementType::Bool, &[1.0, 0.0, 1.0]);
    let longs = [-5i64, 0, 1 << 40];
    let long_proto = TensorProto { int64_data: longs.to_vec(), ..of(INT64, &[3]) };
    check(long_proto, le(longs.map(i64::to_le_bytes)), ElementType::I64, &longs.map(|v| v as f64));
    let words = [u64::from(u32::MAX), 0, 9];
    let word_proto = |data_type| TensorProto { uint64_data: words.to_vec(), ..of(data_type, &[3]) };
    let values = words.map(|v| v as f64);
    check(word_proto(UINT32), le(words.map(|v| (v as u32).to_le_bytes())), ElementType::U32, &values);
    check(word_proto(UINT64), le(words.map(u64::to_le_bytes)), ElementType::U64, &values);
    let reals = [-1.5, 0.0, 3.0e4];
    let float_proto = TensorProto { float_data: reals.map(|v| v as f32).to_vec(), ..of(FLOAT, &[3]) };
    check(float_proto, le(reals.map(|v| (v as f32).to_le_bytes())), ElementType::F32, &reals);
    let double_proto = TensorProto { double_data: reals.to_vec(), ..of(DOUBLE, &[3]) };
    check(double_proto, le(reals.map(f64::to_le_bytes)), ElementType::F64, &reals);
    let halves = reals.map(|v| half::f16::from_f64(v).to_bits());
    let half_proto = in_int32_data(FLOAT16, &halves.map(i32::from));
    check(half_proto, le(halves.map(u16::to_le_bytes)), ElementType::F16, &reals);
    let brains = [-1.5, 0.0, 256.0];
    let bits = brains.map(|v| half::bf16::from_f64(v).to_bits());
    let brain_proto = in_int32_data(BFLOAT16, &bits.map(i32::from));
    check(brain_proto, le(bits.map(u16::to_le_bytes)), ElementType::F32, &brains);
}

#[test]
fn small_floats_are_read_as_the_numbers_of_their_bits() {
    let check = |data_type, bytes: &[u8], count: i64, expected: &[f32]| {
        let raw = in_raw_data(data_type, &[count], bytes);
        let typed = TensorProto {
            int32_data: bytes.iter().map(|&byte| i32::from(byte)).collect(),
            ..of(data_type, &[count])
        };
        for proto in [raw, typed] {
            let tensor = read(&proto).unwrap();
            assert_eq!((tensor.element(), tensor.to_f32_vec().as_slice()), (ElementType::F32, expected));
        }
    };
    check(17, &[0x7e, 0x81, 0x38], 3, &[448.0, -0.001_953_125, 1.0]);
    check(18, &[0x7f, 0x00], 2, &[240.0, 0.0]);
    check(19, &[0x7b, 0xfc], 2, &[57344.0, f32::NEG_INFINITY]);
    check(20, &[0x7f, 0x80 | 0x40], 2, &[57344.0, -1.0]);
    check(24, &[127, 130], 2, &[1.0, 8.0]);
    // Two in a byte, the first in the low bits.
    check(23, &[0xf2, 0x01], 3, &[1.0, -6.0, 0.5]);
}

#[test]
fn scalars_and_empty_tensors_have_their_shapes() {
    assert_eq!(read(&floats(&[], &[2.5])).unwrap(), Tensor::scalar_f32(2.5));
    assert_eq!(read(&floats(&[0, 3], &[])).unwrap().shape(), [0, 3]);
    assert_eq!(read(&int64s(&[0], &[])).unwrap().len(), 0);
}

#[test]
fn wrong_amounts_of_data_are_refused() {
    let wrong =
        |expected, found| TensorReason::WrongLength { shape: vec![2, 3], ty: "float", expected, found };
    assert_eq!(reason(&in_raw_data(FLOAT, &[2, 3], &[0; 23])), wrong(24, 23));
    assert_eq!(reason(&in_raw_data(FLOAT, &[2, 3], &[0; 28])), wrong(24, 28));
    assert_eq!(reason(&of(FLOAT, &[2, 3])), wrong(24, 0));
    let other_field = TensorProto { int64_data: vec![1; 6], ..of(FLOAT, &[2, 3]) };
    assert_eq!(reason(&other_field), wrong(24, 0));
}

#[test]
fn hostile_shapes_are_refused_without_an_allocation() {
    assert_eq!(reason(&of(FLOAT, &[1 << 62])), TensorReason::TooLarge(vec![1 << 62]));
    assert_eq!(reason(&of(FLOAT, &[1 << 32, 1 << 32])), TensorReason::TooLarge(vec![1 << 32, 1 << 32]));
    let beside_zero = [0, i64::MAX, i64::MAX];
    assert_eq!(reason(&of(FLOAT, &beside_zero)), TensorReason::TooLarge(beside_zero.to_vec()));
    assert_eq!(reason(&of(FLOAT, &[2, -1])), TensorReason::NegativeSize { axis: 1, size: -1 });
    assert!(matches!(reason(&of(FLOAT, &[1 << 40])), TensorReason::WrongLength { .. }));
}

#[test]
fn values_that_do_not_fit_are_refused() {
    let out_of_range = |value, ty| TensorReason::OutOfRange { value, ty };
    assert_eq!(reason(&in_int32_data(INT8, &[128])), out_of_range(128, "int8"));
    assert_eq!(reason(&in_int32_data(UINT8, &[-1])), out_of_range(-1, "uint8"));
    assert_eq!(reason(&in_int32_data(BOOL, &[2])), out_of_range(2, "bool"));
    assert_eq!(reason(&in_raw_data(BOOL, &[1], &[9])), out_of_range(9, "bool"));
    let huge = TensorProto { uint64_data: vec![u64::MAX], ..of(UINT64, &[1]) };
    assert_eq!(read(&huge).unwrap().bytes().as_ref(), [0xff; 8]);
    let wide = TensorProto { uint64_data: vec![1 << 32], ..of(UINT32, &[1]) };
    assert_eq!(reason(&wide), out_of_range(1 << 32, "uint32"));
}

#[test]
fn ambiguous_and_foreign_tensors_are_refused() {
    assert_eq!(reason(&of(STRING, &[1])), TensorReason::ElementType("string".to_owned()));
    assert_eq!(reason(&of(99, &[1])), TensorReason::ElementType("number 99".to_owned()));
    let twice = TensorProto { float_data: vec![1.0], ..in_raw_data(FLOAT, &[1], &[0; 4]) };
    assert_eq!(reason(&twice), TensorReason::SeveralFields);
    let segment = TensorProto { segment: Some(Segment::new()).into(), ..floats(&[1], &[1.0]) };
    assert_eq!(reason(&segment), TensorReason::Segment);
}

#[test]
fn what_we_write_reads_the_same_elsewhere_and_here() {
    let values = [1.5, -2.0, 0.0, 100.0, 1.0, 7.0];
    for element in ElementType::ALL {
        let tensor = Tensor::from_f64_as(element, [2, 1, 3], &values).unwrap();
        let bytes = write_tensor_pb("weights", &tensor);
        let theirs = TensorProto::parse_from_bytes(&bytes).unwrap();
        assert_eq!((theirs.name.as_str(), theirs.dims.as_slice()), ("weights", &[2i64, 1, 3][..]));
        assert_eq!(theirs.raw_data, tensor.bytes().as_ref());
        assert_eq!(read_tensor_pb(bytes).unwrap(), ("weights".to_owned(), tensor));
    }
}

//! Construction and conversion of tensors.

use super::*;
use half::f16;

#[test]
fn length_must_match_the_shape() {
    assert!(Tensor::from_f32([2, 3], &[0.0; 6]).is_ok());
    assert!(matches!(Tensor::from_f32([2, 3], &[0.0; 5]), Err(TensorError::Length { .. })));
    let five = Bytes::from_static(&[0; 5]);
    assert!(matches!(Tensor::new(ElementType::F32, [1], five), Err(TensorError::Length { .. })));
    assert_eq!(Tensor::from_f32([], &[1.0]).unwrap().rank(), 0);
    assert_eq!(Tensor::from_f32([3, 0], &[]).unwrap().len(), 0);
}

#[test]
fn overflowing_shapes_are_refused() {
    let shape = [1 << 40, 1 << 40];
    assert!(matches!(Tensor::new(ElementType::U8, shape, Bytes::new()), Err(TensorError::TooLarge { .. })));
    let shape = [u64::MAX];
    assert!(matches!(Tensor::new(ElementType::F64, shape, Bytes::new()), Err(TensorError::TooLarge { .. })));
    assert_eq!(checked_product(&[1 << 40, 1 << 40, 0]), Some(0));
}

#[test]
fn bytes_are_shared_and_may_be_unaligned() {
    let mut raw = vec![9u8];
    raw.extend_from_slice(&1.5f32.to_le_bytes());
    let bytes = Bytes::from(raw).slice(1..);
    let at = bytes.as_ptr();
    let tensor = Tensor::new(ElementType::F32, [1], bytes).unwrap();
    assert_eq!(tensor.bytes().as_ptr(), at);
    assert_eq!(tensor.to_f32_vec(), [1.5]);
    assert_eq!(tensor.reshaped([1, 1]).unwrap().bytes().as_ptr(), at);
}

#[test]
fn conversions_saturate_and_truncate() {
    let floats = Tensor::from_f32([4], &[-1.9, f32::NAN, 3e30, 0.5]).unwrap();
    assert_eq!(floats.to_i64_vec(), [-1, 0, i64::MAX, 0]);
    assert_eq!(floats.to_bool_vec(), [true, true, true, true]);
    let narrow = Tensor::from_f64_as(ElementType::U8, [3], &[-4.0, 300.0, 7.9]).unwrap();
    assert_eq!(narrow.to_i64_vec(), [0, 255, 7]);
    let wrapped = Tensor::from_i64_as(ElementType::I8, [2], &[130, -1]).unwrap();
    assert_eq!(wrapped.to_i64_vec(), [-126, -1]);
    let halves = Tensor::from_f32_as(ElementType::F16, [2], &[65520.0, 0.1]).unwrap();
    assert_eq!(halves.to_f32_vec(), [f32::INFINITY, f16::from_f32(0.1).to_f32()]);
    assert_eq!(Tensor::from_f16_bits([1], &[0x3c00]).unwrap().to_f64_vec(), [1.0]);
    assert_eq!(Tensor::scalar_bool(true).to_f32_vec(), [1.0]);
}

#[test]
fn splat_needs_equal_bytes() {
    assert!(Tensor::from_f32([3], &[2.0; 3]).unwrap().splat_bytes().is_some());
    assert!(Tensor::from_f32([2], &[0.0, -0.0]).unwrap().splat_bytes().is_none());
    assert!(Tensor::from_f32([0], &[]).unwrap().splat_bytes().is_none());
}

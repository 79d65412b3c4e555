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

mod in_blocks {
    use super::*;
    use crate::tensor::blocks::{Blocks, Parts, Zeros, pack_numbers};

    /// Two rows of five numbers in blocks of four.
    fn parts(zeros: Zeros) -> Parts {
        let rows = [[1, 2, 3, 4, 5], [15, 14, 13, 12, 11]];
        let numbers: Vec<u8> = rows.into_iter().flat_map(|row| pack_numbers(row, 4)).collect();
        let scales = Tensor::from_f32([4], &[1.0, 0.5, -2.0, 4.0]).unwrap();
        Parts { bits: 4, size: 4, shape: [2, 5], numbers: numbers.into(), scales, zeros }
    }

    fn tensor(zeros: Zeros) -> Tensor {
        Tensor::from_blocks(ElementType::F32, [2, 5], Blocks::new(parts(zeros)).unwrap()).unwrap()
    }

    #[test]
    fn elements_are_numbers_less_zero_points_times_scales() {
        let plain = [1.0, 2.0, 3.0, 4.0, 2.5, -30.0, -28.0, -26.0, -24.0, 44.0];
        assert_eq!(tensor(Zeros::All(0)).to_f32_vec(), plain);
        // 1 and 2 for the first row, 3 and 4 for the second.
        let shifted = [0.0, 1.0, 2.0, 3.0, 1.5, -24.0, -22.0, -20.0, -18.0, 28.0];
        assert_eq!(tensor(Zeros::Numbers(Bytes::from_static(&[0x21, 0x43]))).to_f32_vec(), shifted);
        let floats = Tensor::from_f32([2, 2], &[1.0, 2.0, 3.0, 4.0]).unwrap();
        assert_eq!(tensor(Zeros::Floats(floats)).to_f32_vec(), shifted);
    }

    #[test]
    fn a_turned_matrix_has_the_blocks_in_its_columns() {
        let turned = tensor(Zeros::All(0)).transposed().unwrap();
        assert_eq!((turned.shape(), turned.is_turned()), (&[5, 2][..], true));
        assert_eq!(turned.to_f32_vec()[..4], [1.0, -30.0, 2.0, -28.0]);
        assert_eq!(turned.transposed().unwrap(), tensor(Zeros::All(0)));
    }

    /// Moves of whole rows keep blocks, others widen them; the elements are the same.
    #[test]
    fn whole_rows_stay_in_blocks() {
        let text = |op: &str| {
            format!(
                "@w: f32[6,10] = blocks(bits=4, size=4, random=1, scales=f32, zeros=numbers)\n\
                 @v: f32[10,6] = turned_blocks(bits=4, size=4, random=1, scales=f32, zeros=numbers)\n%1 = {op}\nreturn %1"
            )
        };
        let cases = [
            ("slice @w {axes=[0], starts=[1], counts=[3]}", true),
            ("slice @w {axes=[1], starts=[1], counts=[3]}", false),
            ("slice @v {axes=[1], starts=[1], counts=[3]}", true),
            ("concat @w, @w {axis=0}", true),
            ("concat @v, @v {axis=1}", true),
            ("concat @w, @w {axis=1}", false),
            ("transpose @w {perm=[1,0]}", true),
            ("reshape @w {shape=[2,3,10]}", true),
            ("reshape @w {shape=[3,20]}", false),
            ("cast @w {to=f16}", true),
        ];
        for (op, kept) in cases {
            let graph = crate::text::parse(&text(op)).unwrap_or_else(|error| panic!("{error}: {op}"));
            let node = graph.node(graph.nodes().next().unwrap());
            let constants: Vec<&Tensor> =
                node.inputs.iter().map(|&input| graph.constant(input).unwrap()).collect();
            let result = &node.op.eval(&constants).unwrap()[0];
            assert_eq!(result.blocks().is_some(), kept, "{op}");
            let widened =
                |tensor: &&Tensor| Tensor::new(tensor.element(), tensor.shape(), tensor.bytes().clone());
            let wide: Vec<Tensor> = constants.iter().map(|tensor| widened(tensor).unwrap()).collect();
            let expected = &node.op.eval(&wide.iter().collect::<Vec<_>>()).unwrap()[0];
            assert_eq!(result.bytes(), expected.bytes(), "{op}");
        }
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        let refused = |parts: Parts| assert!(matches!(Blocks::new(parts), Err(TensorError::Blocks(_))));
        let fine = || parts(Zeros::All(8));
        refused(Parts { bits: 3, ..fine() });
        refused(Parts { size: 0, ..fine() });
        refused(Parts { numbers: Bytes::from_static(&[0; 5]), ..fine() });
        refused(Parts { scales: Tensor::from_f32([3], &[1.0; 3]).unwrap(), ..fine() });
        refused(Parts { scales: Tensor::from_i64([4], &[1; 4]).unwrap(), ..fine() });
        refused(parts(Zeros::Numbers(Bytes::from_static(&[0; 3]))));
        let blocks = || Blocks::new(fine()).unwrap();
        assert!(Tensor::from_blocks(ElementType::I32, [2, 5], blocks()).is_err());
        assert!(Tensor::from_blocks(ElementType::F32, [5, 2], blocks()).is_err());
    }
}

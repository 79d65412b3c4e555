//! Reference evaluation of matrix products.

use super::MatMul;
use super::gemm::{Sizes, gemm};
use crate::op::buffer::{Buffer, Raw, Real, wrap};
use crate::op::eval_error::EvalErrorKind;
use crate::op::strided::broadcast_positions;
use crate::tensor::{ElementType, Tensor};

/// Where each product of the batch reads, counted in matrices.
struct Batches {
    a: Vec<usize>,
    b: Vec<usize>,
}

impl MatMul {
    pub(crate) fn compute(&self, operands: &[&Tensor], shape: &[u64]) -> Result<Raw, EvalErrorKind> {
        let [a, b] = operands else { unreachable!("inferred: matmul has two operands") };
        let (batch, result) = shape.split_at(shape.len() - 2);
        let sizes =
            Sizes { m: result[0] as usize, n: result[1] as usize, k: a.shape()[a.rank() - 1] as usize };
        let positions = |operand: &Tensor| {
            broadcast_positions(&operand.shape()[..operand.rank() - 2], batch)
                .expect("inferred: batch axes broadcast")
        };
        let batches = Batches { a: positions(a), b: positions(b) };
        Ok(Raw::Buffer(match (Buffer::from_tensor(a), Buffer::from_tensor(b)) {
            (Buffer::F32(a), Buffer::F32(b)) => Buffer::F32(self.products(sizes, &a, &b, &batches)),
            (Buffer::F64(a), Buffer::F64(b)) => Buffer::F64(self.products(sizes, &a, &b, &batches)),
            (Buffer::Int(left), Buffer::Int(right)) => {
                Buffer::Int(self.int_products(sizes, &left, &right, &batches, a.element()))
            }
            _ => unreachable!("inferred: both operands have one type"),
        }))
    }

    fn products<T: Real>(&self, sizes: Sizes, a: &[T], b: &[T], batches: &Batches) -> Vec<T> {
        let Sizes { m, n, k } = sizes;
        let mut out = vec![T::default(); batches.a.len() * m * n];
        for ((&at_a, &at_b), out) in batches.a.iter().zip(&batches.b).zip(out.chunks_exact_mut(m * n)) {
            let a = &a[at_a * m * k..(at_a + 1) * m * k];
            let b = &b[at_b * k * n..(at_b + 1) * k * n];
            let fill = |p: usize, column: usize, row: &mut [f64]| {
                if self.transpose_b {
                    for (index, value) in row.iter_mut().enumerate() {
                        *value = b[(column + index) * k + p].wide();
                    }
                } else {
                    for (value, source) in row.iter_mut().zip(&b[p * n + column..]) {
                        *value = source.wide();
                    }
                }
            };
            gemm(sizes, a, |_| 0.0, fill, out);
        }
        out
    }

    fn int_products(
        &self,
        sizes: Sizes,
        a: &[i64],
        b: &[i64],
        batches: &Batches,
        element: ElementType,
    ) -> Vec<i64> {
        let Sizes { m, n, k } = sizes;
        let mut out = vec![0i64; batches.a.len() * m * n];
        for ((&at_a, &at_b), out) in batches.a.iter().zip(&batches.b).zip(out.chunks_exact_mut(m * n)) {
            let a = &a[at_a * m * k..];
            let b = &b[at_b * k * n..];
            for (index, out) in out.iter_mut().enumerate() {
                let (row, column) = (index / n, index % n);
                let sum = (0..k).fold(0i64, |sum, p| {
                    let right = if self.transpose_b { b[column * k + p] } else { b[p * n + column] };
                    sum.wrapping_add(a[row * k + p].wrapping_mul(right))
                });
                *out = wrap(sum, element);
            }
        }
        out
    }
}

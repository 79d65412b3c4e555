//! Reference evaluation of pools: one window at a time, accumulated in f64.

use super::{Pool, PoolKind};
use crate::op::buffer::{Buffer, Raw, Real};
use crate::op::eval_error::EvalErrorKind;
use crate::op::strided::strides;
use crate::tensor::Tensor;

impl Pool {
    pub(crate) fn compute(&self, operands: &[&Tensor], shape: &[u64]) -> Result<Raw, EvalErrorKind> {
        let input = &operands[0].shape()[2..];
        Ok(Raw::Buffer(match Buffer::from_tensor(operands[0]) {
            Buffer::F32(x) => Buffer::F32(self.planes(&x, input, &shape[2..])),
            Buffer::F64(x) => Buffer::F64(self.planes(&x, input, &shape[2..])),
            Buffer::Int(_) => unreachable!("inferred: pools take floats only"),
        }))
    }

    fn planes<T: Real>(&self, x: &[T], input: &[u64], output: &[u64]) -> Vec<T> {
        let area = |sizes: &[u64]| sizes.iter().product::<u64>() as usize;
        let mut out = Vec::with_capacity(x.len() / area(input).max(1) * area(output));
        let mut index = vec![0; output.len()];
        for plane in x.chunks_exact(area(input)) {
            for _ in 0..area(output) {
                out.push(T::narrow(self.window(plane, input, &index)));
                advance(&mut index, output);
            }
        }
        out
    }

    /// The pool of one window.
    fn window<T: Real>(&self, plane: &[T], input: &[u64], index: &[u64]) -> f64 {
        let spatial = input.len();
        let steps = strides(input);
        let mut tap = vec![0; spatial];
        let mut largest = f64::NEG_INFINITY;
        let (mut sum, mut inside, mut padded) = (0.0, 0u64, 0u64);
        for _ in 0..self.kernel.iter().product::<u64>() {
            let position = |axis: usize| {
                let at = index[axis] * self.strides[axis] + tap[axis] * self.dilations[axis];
                at as i64 - self.pads[axis] as i64
            };
            let within = |more: &dyn Fn(usize) -> u64| {
                (0..spatial).all(|axis| position(axis) < (input[axis] + more(axis)) as i64)
            };
            padded += u64::from(within(&|axis| self.pads[spatial + axis]));
            if within(&|_| 0) && (0..spatial).all(|axis| position(axis) >= 0) {
                inside += 1;
                let at: usize = (0..spatial).map(|axis| position(axis) as usize * steps[axis]).sum();
                let value = plane[at].wide();
                if value > largest || value.is_nan() {
                    largest = value;
                }
                sum += match self.kind {
                    PoolKind::Lp(p) => value.abs().powf(f64::from(p)),
                    PoolKind::Max | PoolKind::Average { .. } => value,
                };
            }
            advance(&mut tap, &self.kernel);
        }
        match self.kind {
            PoolKind::Max => largest,
            PoolKind::Average { count_padding: false } => sum / inside as f64,
            PoolKind::Average { count_padding: true } => sum / padded as f64,
            PoolKind::Lp(p) => sum.powf(1.0 / f64::from(p)),
        }
    }
}

/// The next index in row-major order; the first again after the last.
fn advance(index: &mut [u64], shape: &[u64]) {
    for (at, &size) in index.iter_mut().zip(shape).rev() {
        *at += 1;
        if *at < size {
            return;
        }
        *at = 0;
    }
}

//! Reference evaluation of resampling, one axis after the other, in f64.

use super::Resize;
use crate::op::buffer::{Buffer, Raw};
use crate::op::eval_error::EvalErrorKind;
use crate::tensor::{ElementType, Tensor};

impl Resize {
    pub(crate) fn compute(&self, operands: &[&Tensor], shape: &[u64]) -> Result<Raw, EvalErrorKind> {
        let mut values = operands[0].to_f64_vec();
        let mut sizes = operands[0].shape().to_vec();
        let mut outside = Vec::new();
        for resized in &self.axes {
            let (axis, output) = (resized.axis, shape[resized.axis]);
            let taps = self.taps(resized, sizes[axis], output);
            let inner = sizes[axis + 1..].iter().product::<u64>() as usize;
            let mut sums = Vec::with_capacity(values.len() / sizes[axis] as usize * output as usize);
            for block in values.chunks_exact(sizes[axis] as usize * inner) {
                for tap in &taps {
                    for lane in 0..inner {
                        let column = block[tap.first as usize * inner + lane..].iter().step_by(inner);
                        sums.push(column.zip(&tap.weights).map(|(value, weight)| value * weight).sum());
                    }
                }
            }
            values = sums;
            sizes[axis] = output;
            outside.push((axis, taps.iter().map(|tap| tap.outside).collect::<Vec<bool>>()));
        }
        for (axis, outside) in outside {
            let inner = shape[axis + 1..].iter().product::<u64>() as usize;
            for (number, line) in values.chunks_exact_mut(inner).enumerate() {
                if outside[number % outside.len()] {
                    line.fill(self.extrapolation);
                }
            }
        }
        Ok(Raw::Buffer(match operands[0].element() {
            ElementType::F64 => Buffer::F64(values),
            _ => Buffer::F32(values.into_iter().map(|value| value as f32).collect()),
        }))
    }
}

//! Reference evaluation of group normalisation; the variance is taken around the mean, in f64.

use super::GroupNorm;
use crate::op::buffer::{Buffer, Raw, Real};
use crate::op::eval_error::EvalErrorKind;
use crate::tensor::Tensor;

impl GroupNorm {
    pub(crate) fn compute(&self, operands: &[&Tensor]) -> Result<Raw, EvalErrorKind> {
        let (batch, channels) = (operands[0].shape()[0] as usize, operands[0].shape()[1] as usize);
        let parameter = |at: usize, default: f64| match operands.get(at) {
            Some(tensor) => tensor.to_f64_vec(),
            None => vec![default; channels],
        };
        let (scale, bias) = (parameter(1, 1.0), parameter(2, 0.0));
        Ok(Raw::Buffer(match Buffer::from_tensor(operands[0]) {
            Buffer::F32(x) => Buffer::F32(self.normalise(x, batch, &scale, &bias)),
            Buffer::F64(x) => Buffer::F64(self.normalise(x, batch, &scale, &bias)),
            Buffer::Int(_) => unreachable!("inferred: group_norm takes floats only"),
        }))
    }

    fn normalise<T: Real>(&self, mut x: Vec<T>, batch: usize, scale: &[f64], bias: &[f64]) -> Vec<T> {
        let groups = self.groups as usize;
        let per_group = scale.len() / groups;
        let group_elements = x.len() / (batch * groups);
        for (index, group) in x.chunks_exact_mut(group_elements).enumerate() {
            let count = group_elements as f64;
            let mean = group.iter().map(|value| value.wide()).sum::<f64>() / count;
            let square = |value: &T| (value.wide() - mean) * (value.wide() - mean);
            let variance = group.iter().map(square).sum::<f64>() / count;
            let deviation = (variance + self.epsilon).sqrt();
            let first = index % groups * per_group;
            for (channel, pixels) in group.chunks_exact_mut(group_elements / per_group).enumerate() {
                let (scale, bias) = (scale[first + channel], bias[first + channel]);
                for value in pixels {
                    *value = T::narrow((value.wide() - mean) / deviation * scale + bias);
                }
            }
        }
        x
    }
}

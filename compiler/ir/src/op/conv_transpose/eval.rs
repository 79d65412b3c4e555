//! Reference evaluation of transposed convolutions: each element adds its taps to the results, in f64.

use super::ConvTranspose;
use crate::op::buffer::{Buffer, Raw, Real};
use crate::op::eval_error::EvalErrorKind;
use crate::op::strided::strides;
use crate::tensor::Tensor;

/// Sizes of one transposed convolution, per batch item and group.
struct Sizes {
    batch: usize,
    groups: usize,
    /// Channels read and made by a group.
    channels: usize,
    outputs: usize,
    input: Vec<u64>,
    kernel: Vec<u64>,
    output: Vec<u64>,
}

impl ConvTranspose {
    pub(crate) fn compute(&self, operands: &[&Tensor], shape: &[u64]) -> Result<Raw, EvalErrorKind> {
        let (x, w) = (operands[0].shape(), operands[1].shape());
        let sizes = Sizes {
            batch: x[0] as usize,
            groups: self.groups as usize,
            channels: (x[1] / self.groups) as usize,
            outputs: w[1] as usize,
            input: x[2..].to_vec(),
            kernel: w[2..].to_vec(),
            output: shape[2..].to_vec(),
        };
        let bias = operands.get(2).map(|bias| bias.to_f64_vec());
        let weights = Buffer::from_tensor(operands[1]);
        Ok(Raw::Buffer(match (Buffer::from_tensor(operands[0]), weights) {
            (Buffer::F32(x), Buffer::F32(w)) => Buffer::F32(self.spread(&sizes, &x, &w, bias.as_deref())),
            (Buffer::F64(x), Buffer::F64(w)) => Buffer::F64(self.spread(&sizes, &x, &w, bias.as_deref())),
            _ => unreachable!("inferred: conv_transpose operands are floats of one type"),
        }))
    }

    fn spread<T: Real>(&self, sizes: &Sizes, x: &[T], w: &[T], bias: Option<&[f64]>) -> Vec<T> {
        let area = |sizes: &[u64]| sizes.iter().product::<u64>() as usize;
        let (input, taps, output) = (area(&sizes.input), area(&sizes.kernel), area(&sizes.output));
        let targets = self.targets(sizes);
        let mut out = Vec::with_capacity(sizes.batch * sizes.groups * sizes.outputs * output);
        for index in 0..sizes.batch * sizes.groups {
            let group = index % sizes.groups;
            for made in 0..sizes.outputs {
                let start = bias.map_or(0.0, |bias| bias[group * sizes.outputs + made]);
                let mut plane = vec![start; output];
                for read in 0..sizes.channels {
                    let source = &x[(index * sizes.channels + read) * input..][..input];
                    let filter =
                        &w[((group * sizes.channels + read) * sizes.outputs + made) * taps..][..taps];
                    for (value, targets) in source.iter().zip(targets.chunks_exact(taps)) {
                        for (weight, target) in filter.iter().zip(targets) {
                            if let Some(target) = *target {
                                plane[target] += value.wide() * weight.wide();
                            }
                        }
                    }
                }
                out.extend(plane.into_iter().map(T::narrow));
            }
        }
        out
    }

    /// For each element of a plane and each tap, the result that it adds to.
    fn targets(&self, sizes: &Sizes) -> Vec<Option<usize>> {
        let (of_element, of_tap, steps) =
            (strides(&sizes.input), strides(&sizes.kernel), strides(&sizes.output));
        let area = |sizes: &[u64]| sizes.iter().product::<u64>() as usize;
        let target = |element: usize, tap: usize| {
            let mut result = 0;
            for axis in 0..steps.len() {
                let element = (element / of_element[axis]) as u64 % sizes.input[axis];
                let tap = (tap / of_tap[axis]) as u64 % sizes.kernel[axis];
                let at = element * self.strides[axis] + tap * self.dilations[axis];
                let at = at.checked_sub(self.pads[axis]).filter(|&at| at < sizes.output[axis])?;
                result += at as usize * steps[axis];
            }
            Some(result)
        };
        let elements = 0..area(&sizes.input);
        elements
            .flat_map(|element| (0..area(&sizes.kernel)).map(move |tap| (element, tap)))
            .map(|(element, tap)| target(element, tap))
            .collect()
    }
}

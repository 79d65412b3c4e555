//! Reference evaluation of padding: whole elements as bytes, one axis after the other.

use super::{Pad, PadMode};
use crate::op::buffer::Raw;
use crate::op::eval_error::EvalErrorKind;
use crate::tensor::Tensor;
use bytes::Bytes;

impl Pad {
    pub(crate) fn compute(&self, operands: &[&Tensor], shape: &[u64]) -> Result<Raw, EvalErrorKind> {
        let x = operands[0];
        let fill = match self.mode {
            PadMode::Constant(value) => Tensor::from_f64_as(x.element(), [], &[value])?,
            PadMode::Edge | PadMode::Reflect | PadMode::Wrap => Tensor::from_f64_as(x.element(), [], &[0.0])?,
        };
        let mut sizes = x.shape().to_vec();
        let mut bytes = x.bytes().to_vec();
        for axis in 0..sizes.len() {
            let (begin, end) = (self.pads[axis], self.pads[sizes.len() + axis]);
            if begin == 0 && end == 0 {
                continue;
            }
            let block = sizes[axis + 1..].iter().product::<u64>() as usize * x.element().size_bytes();
            let outer = sizes[..axis].iter().product::<u64>() as usize;
            let line = sizes[axis] as usize * block;
            let mut padded = Vec::with_capacity(outer * (begin + sizes[axis] + end) as usize * block);
            for number in 0..outer {
                let line = &bytes[number * line..(number + 1) * line];
                for at in 0..begin + sizes[axis] + end {
                    match self.source(at as i64 - begin as i64, sizes[axis] as i64) {
                        Some(from) => padded.extend_from_slice(&line[from * block..(from + 1) * block]),
                        None => padded.extend(fill.bytes().iter().copied().cycle().take(block)),
                    }
                }
            }
            sizes[axis] += begin + end;
            bytes = padded;
        }
        Ok(Raw::Tensor(Tensor::new(x.element(), shape, Bytes::from(bytes))?))
    }

    /// Which element stands at `position`, counted from the operand's first; `None` is the constant.
    fn source(&self, position: i64, size: i64) -> Option<usize> {
        if (0..size).contains(&position) {
            return Some(position as usize);
        }
        match self.mode {
            PadMode::Constant(_) => None,
            PadMode::Edge => Some(position.clamp(0, size - 1) as usize),
            PadMode::Reflect if position < 0 => Some(-position as usize),
            PadMode::Reflect => Some((2 * (size - 1) - position) as usize),
            PadMode::Wrap => Some(position.rem_euclid(size) as usize),
        }
    }
}

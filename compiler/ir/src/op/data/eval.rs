//! Reference evaluation of the ops that move data: whole elements as bytes, whatever their type.

use super::{Concat, Gather, GatherNd, Range, ShapeOf, Slice, Transpose};
use crate::op::buffer::{Buffer, Raw};
use crate::op::eval_error::EvalErrorKind;
use crate::op::strided::{broadcast_strides, strided_copy, strides};
use crate::tensor::Tensor;
use bytes::Bytes;

type Computed = Result<Raw, EvalErrorKind>;

fn moved(like: &Tensor, shape: &[u64], bytes: Vec<u8>) -> Computed {
    Ok(Raw::Tensor(Tensor::new(like.element(), shape, Bytes::from(bytes))?))
}

pub(crate) fn compute_reshape(operands: &[&Tensor], shape: &[u64]) -> Computed {
    Ok(Raw::Tensor(operands[0].reshaped(shape)?))
}

pub(crate) fn compute_expand(operands: &[&Tensor], shape: &[u64]) -> Computed {
    let x = operands[0];
    let strides =
        broadcast_strides(x.shape(), shape).expect("inferred: the operand broadcasts to the result");
    let bytes = strided_copy(x.bytes(), x.element().size_bytes(), shape, &strides, 0);
    moved(x, shape, bytes)
}

impl Transpose {
    pub(crate) fn compute(&self, operands: &[&Tensor], shape: &[u64]) -> Computed {
        let x = operands[0];
        let own = strides(x.shape());
        let permuted: Vec<isize> = self.perm.iter().map(|&axis| own[axis] as isize).collect();
        let bytes = strided_copy(x.bytes(), x.element().size_bytes(), shape, &permuted, 0);
        moved(x, shape, bytes)
    }
}

impl Slice {
    pub(crate) fn compute(&self, operands: &[&Tensor], shape: &[u64]) -> Computed {
        let x = operands[0];
        let mut steps: Vec<isize> = strides(x.shape()).into_iter().map(|stride| stride as isize).collect();
        let mut start = 0;
        for cut in &self.axes {
            start += cut.start as usize * steps[cut.axis] as usize;
            // A step that is never taken may be any size.
            let step = if shape[cut.axis] > 1 { cut.step as isize } else { 1 };
            steps[cut.axis] *= step;
        }
        let bytes = strided_copy(x.bytes(), x.element().size_bytes(), shape, &steps, start);
        moved(x, shape, bytes)
    }
}

impl Concat {
    pub(crate) fn compute(&self, operands: &[&Tensor], shape: &[u64]) -> Computed {
        let outer = shape[..self.axis].iter().product::<u64>() as usize;
        let total: usize = operands.iter().map(|operand| operand.bytes().len()).sum();
        let mut bytes = Vec::with_capacity(total);
        for index in 0..outer {
            for operand in operands {
                let row = operand.bytes().len() / outer;
                bytes.extend_from_slice(&operand.bytes()[index * row..(index + 1) * row]);
            }
        }
        moved(operands[0], shape, bytes)
    }
}

/// Resolves an index that may count from the end.
pub(crate) fn resolve(index: i64, axis: usize, size: u64) -> Result<usize, EvalErrorKind> {
    let signed = i128::from(index);
    let from_start = if signed < 0 { signed + i128::from(size) } else { signed };
    if (0..i128::from(size)).contains(&from_start) {
        return Ok(from_start as usize);
    }
    Err(EvalErrorKind::Index { index, axis, size })
}

impl Gather {
    pub(crate) fn compute(&self, operands: &[&Tensor], shape: &[u64]) -> Computed {
        let (data, indices) = (operands[0], operands[1].to_i64_vec());
        let size = data.shape()[self.axis];
        let indices: Vec<usize> =
            indices.into_iter().map(|index| resolve(index, self.axis, size)).collect::<Result<_, _>>()?;
        let outer = data.shape()[..self.axis].iter().product::<u64>() as usize;
        let inner = data.shape()[self.axis + 1..].iter().product::<u64>() as usize;
        let block = inner * data.element().size_bytes();
        let mut bytes = Vec::with_capacity(outer * indices.len() * block);
        for row in data.bytes().chunks_exact((size as usize * block).max(1)).take(outer) {
            for &index in &indices {
                bytes.extend_from_slice(&row[index * block..(index + 1) * block]);
            }
        }
        moved(data, shape, bytes)
    }
}

impl GatherNd {
    pub(crate) fn compute(&self, operands: &[&Tensor], shape: &[u64]) -> Computed {
        let (data, indices) = (operands[0], operands[1]);
        let width = indices.shape()[indices.rank() - 1] as usize;
        let batches = data.shape()[..self.batch_dims].iter().product::<u64>() as usize;
        let picked = &data.shape()[self.batch_dims..self.batch_dims + width];
        let block_elements = data.shape()[self.batch_dims + width..].iter().product::<u64>() as usize;
        let block = block_elements * data.element().size_bytes();
        let per_batch = picked.iter().product::<u64>() as usize * block;
        let picked_strides = strides(picked);
        let values = indices.to_i64_vec();
        let tuples_per_batch = values.len() / width / batches;
        let mut bytes = Vec::with_capacity(values.len() / width * block);
        for (number, tuple) in values.chunks_exact(width).enumerate() {
            let mut element = 0;
            for (place, &index) in tuple.iter().enumerate() {
                let axis = self.batch_dims + place;
                element += resolve(index, axis, picked[place])? * picked_strides[place];
            }
            let at = number / tuples_per_batch * per_batch + element * block;
            bytes.extend_from_slice(&data.bytes()[at..at + block]);
        }
        moved(data, shape, bytes)
    }
}

impl ShapeOf {
    pub(crate) fn compute(&self, operands: &[&Tensor], shape: &[u64]) -> Computed {
        let sizes: Vec<i64> =
            operands[0].shape()[self.start..self.end].iter().map(|&size| size as i64).collect();
        Ok(Raw::Tensor(Tensor::from_i64(shape, &sizes)?))
    }
}

impl Range {
    pub(crate) fn compute(&self, operands: &[&Tensor], shape: &[u64]) -> Computed {
        let count = shape[0];
        Ok(Raw::Buffer(match (Buffer::from_tensor(operands[0]), Buffer::from_tensor(operands[2])) {
            (Buffer::Int(start), Buffer::Int(delta)) => Buffer::Int(
                (0..count as i64).map(|index| start[0].wrapping_add(index.wrapping_mul(delta[0]))).collect(),
            ),
            (Buffer::F32(start), Buffer::F32(delta)) => {
                let (start, delta) = (f64::from(start[0]), f64::from(delta[0]));
                Buffer::F32((0..count).map(|index| (start + index as f64 * delta) as f32).collect())
            }
            (Buffer::F64(start), Buffer::F64(delta)) => {
                Buffer::F64((0..count).map(|index| start[0] + index as f64 * delta[0]).collect())
            }
            _ => unreachable!("inferred: range operands have one type"),
        }))
    }
}

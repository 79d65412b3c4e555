//! Reference evaluation of reductions and normalisations; statistics are accumulated in f64.

use super::{LayerNorm, Reduce, ReduceKind, RmsNorm, Softmax};
use crate::op::buffer::{Buffer, Raw, Real, in_order, wrap};
use crate::op::eval_error::EvalErrorKind;
use crate::op::strided::{for_each_row, strides};
use crate::tensor::{ElementType, Tensor};

impl Reduce {
    pub(crate) fn compute(&self, operands: &[&Tensor], shape: &[u64]) -> Result<Raw, EvalErrorKind> {
        let x = operands[0];
        let results = shape.iter().product::<u64>() as usize;
        let result_strides = self.result_strides(x.shape());
        Ok(Raw::Buffer(match Buffer::from_tensor(x) {
            Buffer::F32(values) => Buffer::F32(self.real(&values, x.shape(), &result_strides, results)),
            Buffer::F64(values) => Buffer::F64(self.real(&values, x.shape(), &result_strides, results)),
            Buffer::Int(values) => {
                let element = x.element();
                let is_extreme = matches!(self.kind, ReduceKind::Max | ReduceKind::Min);
                let ordered = |value| if is_extreme { in_order(value, element) } else { value };
                let values: Vec<i64> = values.into_iter().map(ordered).collect();
                let sums = self.ints(&values, element, x.shape(), &result_strides, results);
                Buffer::Int(sums.into_iter().map(|sum| wrap(ordered(sum), element)).collect())
            }
        }))
    }

    /// For each operand axis, how far the result moves: not at all along reduced axes.
    fn result_strides(&self, shape: &[u64]) -> Vec<isize> {
        let is_reduced = |axis: &usize| self.axes.binary_search(axis).is_ok();
        let kept: Vec<u64> =
            (0..shape.len()).map(|axis| if is_reduced(&axis) { 1 } else { shape[axis] }).collect();
        let strides = strides(&kept);
        (0..shape.len()).map(|axis| if is_reduced(&axis) { 0 } else { strides[axis] as isize }).collect()
    }

    fn real<T: Real>(&self, values: &[T], shape: &[u64], strides: &[isize], results: usize) -> Vec<T> {
        let count: u64 = self.axes.iter().map(|&axis| shape[axis]).product();
        // What begins at -0 keeps the sign of a zero alone.
        let zero = if count == 0 { 0.0 } else { -0.0 };
        let (start, step): (f64, fn(f64, f64) -> f64) = match self.kind {
            ReduceKind::Sum | ReduceKind::Mean => (zero, |sum, value| sum + value),
            ReduceKind::L2 => (0.0, |sum, value| sum + value * value),
            ReduceKind::Prod => (1.0, |product, value| product * value),
            ReduceKind::Max => {
                (f64::NEG_INFINITY, |most, value| if value > most || value.is_nan() { value } else { most })
            }
            ReduceKind::Min => {
                (f64::INFINITY, |least, value| if value < least || value.is_nan() { value } else { least })
            }
        };
        let folded = fold(values, shape, strides, vec![start; results], |sum, value| step(sum, value.wide()));
        let finish = |value: f64| match self.kind {
            ReduceKind::Mean => value / count as f64,
            ReduceKind::L2 => value.sqrt(),
            ReduceKind::Sum | ReduceKind::Max | ReduceKind::Min | ReduceKind::Prod => value,
        };
        folded.into_iter().map(|value| T::narrow(finish(value))).collect()
    }

    fn ints(
        &self,
        values: &[i64],
        element: ElementType,
        shape: &[u64],
        strides: &[isize],
        results: usize,
    ) -> Vec<i64> {
        let (lowest, highest) = ends(element);
        let (start, step): (i64, fn(i64, i64) -> i64) = match self.kind {
            ReduceKind::Sum => (0, i64::wrapping_add),
            ReduceKind::Prod => (1, i64::wrapping_mul),
            ReduceKind::Max => (lowest, i64::max),
            ReduceKind::Min => (highest, i64::min),
            ReduceKind::Mean | ReduceKind::L2 => unreachable!("inferred: mean and L2 take floats only"),
        };
        fold(values, shape, strides, vec![start; results], step)
    }
}

/// The lowest and the highest number of a type of integers, as [`in_order`] has them: extremes of no element.
fn ends(element: ElementType) -> (i64, i64) {
    match element {
        ElementType::Bool => (0, 1),
        ElementType::I8 => (i8::MIN.into(), i8::MAX.into()),
        ElementType::U8 => (0, u8::MAX.into()),
        ElementType::I16 => (i16::MIN.into(), i16::MAX.into()),
        ElementType::U16 => (0, u16::MAX.into()),
        ElementType::I32 => (i32::MIN.into(), i32::MAX.into()),
        ElementType::U32 => (0, u32::MAX.into()),
        ElementType::I64 | ElementType::U64 | ElementType::F32 | ElementType::F16 | ElementType::F64 => {
            (i64::MIN, i64::MAX)
        }
    }
}

fn fold<T: Copy, A: Copy>(
    values: &[T],
    shape: &[u64],
    strides: &[isize],
    mut results: Vec<A>,
    step: impl Fn(A, T) -> A,
) -> Vec<A> {
    let mut rest = values;
    for_each_row(shape, strides, 0, |offset, count, stride| {
        let (row, after) = rest.split_at(count);
        rest = after;
        if stride == 0 {
            results[offset] = row.iter().fold(results[offset], |sum, &value| step(sum, value));
        } else {
            for (result, &value) in results[offset..offset + count].iter_mut().zip(row) {
                *result = step(*result, value);
            }
        }
    });
    results
}

impl Softmax {
    pub(crate) fn compute(&self, operands: &[&Tensor]) -> Result<Raw, EvalErrorKind> {
        let x = operands[0];
        let size = x.shape()[self.axis] as usize;
        let inner: usize = x.shape()[self.axis + 1..].iter().product::<u64>() as usize;
        Ok(Raw::Buffer(match Buffer::from_tensor(x) {
            Buffer::F32(values) => Buffer::F32(softmax(values, size, inner)),
            Buffer::F64(values) => Buffer::F64(softmax(values, size, inner)),
            Buffer::Int(_) => unreachable!("inferred: softmax takes floats only"),
        }))
    }
}

fn softmax<T: Real>(mut values: Vec<T>, size: usize, inner: usize) -> Vec<T> {
    let mut line = vec![0.0; size];
    for block in values.chunks_exact_mut(size * inner) {
        for lane in 0..inner {
            for (wide, value) in line.iter_mut().zip(block[lane..].iter().step_by(inner)) {
                *wide = value.wide();
            }
            let most = line.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let mut sum = 0.0;
            for value in &mut line {
                *value = (*value - most).exp();
                sum += *value;
            }
            for (value, wide) in block[lane..].iter_mut().step_by(inner).zip(&line) {
                *value = T::narrow(wide / sum);
            }
        }
    }
    values
}

impl LayerNorm {
    pub(crate) fn compute(&self, operands: &[&Tensor]) -> Result<Raw, EvalErrorKind> {
        let normalised = &operands[0].shape()[self.axis..];
        let spread = |operand: &&Tensor| Buffer::from_tensor(operand).broadcast(operand.shape(), normalised);
        let scale = spread(&operands[1]);
        let bias = operands.get(2).map(spread);
        Ok(Raw::Buffer(match (Buffer::from_tensor(operands[0]), scale, bias) {
            (Buffer::F32(x), Buffer::F32(scale), None) => Buffer::F32(self.rows(x, &scale, None)),
            (Buffer::F32(x), Buffer::F32(scale), Some(Buffer::F32(bias))) => {
                Buffer::F32(self.rows(x, &scale, Some(&bias)))
            }
            (Buffer::F64(x), Buffer::F64(scale), None) => Buffer::F64(self.rows(x, &scale, None)),
            (Buffer::F64(x), Buffer::F64(scale), Some(Buffer::F64(bias))) => {
                Buffer::F64(self.rows(x, &scale, Some(&bias)))
            }
            _ => unreachable!("inferred: layer_norm operands are floats of one type"),
        }))
    }

    fn rows<T: Real>(&self, mut x: Vec<T>, scale: &[T], bias: Option<&[T]>) -> Vec<T> {
        for row in x.chunks_exact_mut(scale.len()) {
            let count = row.len() as f64;
            let mean = row.iter().map(|value| value.wide()).sum::<f64>() / count;
            let square = |value: &T| (value.wide() - mean) * (value.wide() - mean);
            let variance = row.iter().map(square).sum::<f64>() / count;
            let deviation = (variance + self.epsilon).sqrt();
            for (index, value) in row.iter_mut().enumerate() {
                let offset = bias.map_or(0.0, |bias| bias[index].wide());
                *value = T::narrow((value.wide() - mean) / deviation * scale[index].wide() + offset);
            }
        }
        x
    }
}

impl RmsNorm {
    pub(crate) fn compute(&self, operands: &[&Tensor]) -> Result<Raw, EvalErrorKind> {
        let (x, scale) = (operands[0], operands[1]);
        let spread = Buffer::from_tensor(scale).broadcast(scale.shape(), &x.shape()[self.axis..]);
        Ok(Raw::Buffer(match (Buffer::from_tensor(x), spread) {
            (Buffer::F32(x), Buffer::F32(scale)) => Buffer::F32(self.rows(x, &scale)),
            (Buffer::F64(x), Buffer::F64(scale)) => Buffer::F64(self.rows(x, &scale)),
            _ => unreachable!("inferred: rms_norm operands are floats of one type"),
        }))
    }

    fn rows<T: Real>(&self, mut x: Vec<T>, scale: &[T]) -> Vec<T> {
        for row in x.chunks_exact_mut(scale.len()) {
            let squares: f64 = row.iter().map(|value| value.wide() * value.wide()).sum();
            let root = (squares / row.len() as f64 + self.epsilon).sqrt();
            for (value, scale) in row.iter_mut().zip(scale) {
                *value = T::narrow(value.wide() / root * scale.wide());
            }
        }
        x
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_nothing(kind: ReduceKind, element: ElementType) -> Tensor {
        let nothing = Tensor::from_f64_as(element, [2, 0], &[]).expect("nothing");
        let reduce = crate::Op::Reduce(Reduce { kind, axes: vec![1], keep_dims: false });
        reduce.eval(&[&nothing]).expect("a result").remove(0)
    }

    #[test]
    fn reductions_of_no_element_give_what_changes_no_other() {
        let real = |kind| of_nothing(kind, ElementType::F32).to_f32_vec();
        assert_eq!(real(ReduceKind::Sum), [0.0; 2]);
        assert_eq!(real(ReduceKind::L2), [0.0; 2]);
        assert_eq!(real(ReduceKind::Prod), [1.0; 2]);
        assert_eq!(real(ReduceKind::Max), [f32::NEG_INFINITY; 2]);
        assert_eq!(real(ReduceKind::Min), [f32::INFINITY; 2]);
        assert!(real(ReduceKind::Mean).iter().all(|mean| mean.is_nan()));
        for (element, lowest, highest) in [
            (ElementType::I8, -128, 127),
            (ElementType::U8, 0, 255),
            (ElementType::I16, -32768, 32767),
            (ElementType::I32, i64::from(i32::MIN), i64::from(i32::MAX)),
            (ElementType::U32, 0, i64::from(u32::MAX)),
            (ElementType::I64, i64::MIN, i64::MAX),
        ] {
            assert_eq!(of_nothing(ReduceKind::Max, element).to_i64_vec(), [lowest; 2], "{element}");
            assert_eq!(of_nothing(ReduceKind::Min, element).to_i64_vec(), [highest; 2], "{element}");
        }
    }
}

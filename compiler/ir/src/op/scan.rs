//! Ops that walk along one axis: the place of an extreme, the largest few, running sums.

use crate::dim::Dim;
use crate::op::buffer::{Buffer, Raw, in_order, wrap};
use crate::op::eval_error::EvalErrorKind;
use crate::op::infer::{Check, InferErrorKind, attribute_error};
use crate::tensor::{ElementType, Tensor, TensorType};
use std::cmp::Ordering;

type Inferred = Result<TensorType, InferErrorKind>;
type Computed = Result<Raw, EvalErrorKind>;

/// ONNX ArgMax and ArgMin: the i64 index of the extreme along `axis`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ArgReduce {
    /// The largest, or the smallest.
    pub largest: bool,
    /// Axis searched.
    pub axis: usize,
    /// Of several equal extremes the last, not the first.
    pub last: bool,
    /// Keep the axis as size 1.
    pub keep_dims: bool,
}

/// The i64 indices of the `k` largest (or smallest) along the last axis, in that order; of equals the lower index first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TopK {
    /// How many.
    pub k: u64,
    /// The largest, or the smallest.
    pub largest: bool,
}

/// Running sums along `axis`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CumSum {
    /// Axis summed along.
    pub axis: usize,
    /// Each sum leaves its own element out.
    pub exclusive: bool,
    /// From the end to the beginning.
    pub reverse: bool,
}

impl ArgReduce {
    pub(crate) fn infer(&self, check: &Check<'_>) -> Inferred {
        check.element(0, ElementType::is_number, "a number")?;
        let mut shape = check.shape(0).to_vec();
        check.axis("axis", self.axis, shape.len())?;
        if shape[self.axis] == Dim::Const(0) {
            return Err(check.shape_error(0, format!("an element along axis {}", self.axis)));
        }
        match self.keep_dims {
            true => shape[self.axis] = Dim::Const(1),
            false => drop(shape.remove(self.axis)),
        }
        Ok(TensorType { element: ElementType::I64, shape })
    }

    pub(crate) fn compute(&self, operands: &[&Tensor]) -> Computed {
        let x = operands[0];
        let found = match Buffer::from_tensor(x) {
            Buffer::F32(values) => self.search(&values, x.shape()),
            Buffer::F64(values) => self.search(&values, x.shape()),
            Buffer::Int(values) => self.search(&ordered(values, x.element()), x.shape()),
        };
        Ok(Raw::Buffer(Buffer::Int(found)))
    }

    fn search<T: Copy + PartialOrd>(&self, values: &[T], shape: &[u64]) -> Vec<i64> {
        // Like NumPy's, a NaN is found before all else, by the search for the smallest too.
        let wins = |new: T, old: T| match (is_nan(new), is_nan(old), new.partial_cmp(&old)) {
            (true, true, _) | (_, _, Some(Ordering::Equal)) => self.last,
            (is_nan, false, None) => is_nan,
            (_, _, Some(Ordering::Greater)) => self.largest,
            (_, _, Some(Ordering::Less)) => !self.largest,
            (false, true, None) => false,
        };
        let mut found = Vec::new();
        for_each_line(shape, self.axis, |first, step, count| {
            let mut best = 0;
            for index in 1..count {
                if wins(values[first + index * step], values[first + best * step]) {
                    best = index;
                }
            }
            found.push(best as i64);
        });
        found
    }
}

/// Integers that compare as their type does.
fn ordered(values: Vec<i64>, element: ElementType) -> Vec<i64> {
    values.into_iter().map(|value| in_order(value, element)).collect()
}

/// Whether a value is not even equal to itself.
fn is_nan<T: Copy + PartialOrd>(value: T) -> bool {
    value.partial_cmp(&value).is_none()
}

impl TopK {
    pub(crate) fn infer(&self, check: &Check<'_>) -> Inferred {
        check.element(0, ElementType::is_number, "a number")?;
        check.rank_at_least(0, 1)?;
        let mut shape = check.shape(0).to_vec();
        let last = shape.len() - 1;
        let (_, most) = shape[last].range(check.symbols);
        if most.is_some_and(|most| self.k > most) {
            let expected = format!("at most {}", shape[last].display(check.symbols));
            return Err(attribute_error("k", expected, self.k));
        }
        shape[last] = Dim::Const(self.k);
        Ok(TensorType { element: ElementType::I64, shape })
    }

    pub(crate) fn compute(&self, operands: &[&Tensor]) -> Computed {
        let x = operands[0];
        let found = match Buffer::from_tensor(x) {
            Buffer::F32(values) => self.search(&values, x.shape()),
            Buffer::F64(values) => self.search(&values, x.shape()),
            Buffer::Int(values) => self.search(&ordered(values, x.element()), x.shape()),
        };
        Ok(Raw::Buffer(Buffer::Int(found)))
    }

    fn search<T: Copy + PartialOrd>(&self, values: &[T], shape: &[u64]) -> Vec<i64> {
        let row = shape[shape.len() - 1] as usize;
        let mut found = Vec::new();
        for values in values.chunks_exact(row) {
            let mut order: Vec<usize> = (0..row).collect();
            // A stable sort leaves equals in the order of their indices.
            order.sort_by(|&a, &b| {
                let (a, b) = (values[a], values[b]);
                // A NaN counts as the largest.
                let ascending = a.partial_cmp(&b).unwrap_or_else(|| is_nan(a).cmp(&is_nan(b)));
                if self.largest { ascending.reverse() } else { ascending }
            });
            found.extend(order.iter().take(self.k as usize).map(|&index| index as i64));
        }
        found
    }
}

impl CumSum {
    pub(crate) fn infer(&self, check: &Check<'_>) -> Inferred {
        check.element(0, ElementType::is_number, "a number")?;
        check.axis("axis", self.axis, check.shape(0).len())?;
        Ok(check.ty(0).clone())
    }

    pub(crate) fn compute(&self, operands: &[&Tensor]) -> Computed {
        let x = operands[0];
        Ok(Raw::Buffer(match Buffer::from_tensor(x) {
            Buffer::F32(values) => {
                let wide: Vec<f64> = values.iter().map(|&value| f64::from(value)).collect();
                let sums = self.sums(&wide, x.shape(), 0.0, |sum, value| sum + value);
                Buffer::F32(sums.into_iter().map(|sum| sum as f32).collect())
            }
            Buffer::F64(values) => Buffer::F64(self.sums(&values, x.shape(), 0.0, |sum, value| sum + value)),
            Buffer::Int(values) => {
                let add = |sum: i64, value| wrap(sum.wrapping_add(value), x.element());
                Buffer::Int(self.sums(&values, x.shape(), 0, add))
            }
        }))
    }

    fn sums<T: Copy>(&self, values: &[T], shape: &[u64], zero: T, add: impl Fn(T, T) -> T) -> Vec<T> {
        let mut sums = vec![zero; values.len()];
        for_each_line(shape, self.axis, |first, step, count| {
            let mut sum = zero;
            for index in 0..count {
                let place = if self.reverse { count - 1 - index } else { index };
                let at = first + place * step;
                let before = sum;
                sum = add(sum, values[at]);
                sums[at] = if self.exclusive { before } else { sum };
            }
        });
        sums
    }
}

/// Calls `line(first, step, count)` for each line along `axis`, in row-major order of the other axes.
fn for_each_line(shape: &[u64], axis: usize, mut line: impl FnMut(usize, usize, usize)) {
    let size = |axes: &[u64]| axes.iter().product::<u64>() as usize;
    let (outer, count, inner) = (size(&shape[..axis]), shape[axis] as usize, size(&shape[axis + 1..]));
    for block in 0..outer {
        for lane in 0..inner {
            line(block * count * inner + lane, inner, count);
        }
    }
}

//! Ops that read or write at computed places. Negative indices count from the end; axes are resolved.

use crate::op::buffer::{Buffer, Raw, Real, in_order, wrap};
use crate::op::data::eval::resolve;
use crate::op::elementwise::eval::{larger, smaller};
use crate::op::eval_error::EvalErrorKind;
use crate::op::infer::{Check, InferErrorKind};
use crate::op::strided::strides;
use crate::tensor::{ElementType, Tensor, TensorType};

type Inferred = Result<TensorType, InferErrorKind>;
type Computed = Result<Raw, EvalErrorKind>;

/// ONNX GatherElements: `y[.., i, ..] = x[.., indices[.., i, ..], ..]` along `axis`. Indices have the rank of the data,
/// and its sizes but for `axis`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GatherElements {
    /// Axis indexed.
    pub axis: usize,
}

/// ONNX ScatterElements: the data with updates at `indices` along `axis`, in the order of the indices, so that of several
/// that replace one element the last stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ScatterElements {
    /// Axis indexed.
    pub axis: usize,
    /// What an update does.
    pub update: Update,
}

/// ONNX ScatterND: the data with slices updated at index tuples, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ScatterNd {
    /// What an update does.
    pub update: Update,
}

/// What an update does with the element that it meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Update {
    /// Replaces it.
    Replace,
    /// Adds to it.
    Add,
    /// Multiplies it.
    Mul,
    /// Keeps the larger.
    Max,
    /// Keeps the smaller.
    Min,
}

impl Update {
    /// Every update.
    pub const ALL: [Self; 5] = [Self::Replace, Self::Add, Self::Mul, Self::Max, Self::Min];

    /// Name in the text form: ONNX's, but for its `none`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Replace => "replace",
            Self::Add => "add",
            Self::Mul => "mul",
            Self::Max => "max",
            Self::Min => "min",
        }
    }

    fn real<T: Real>(self, old: T, new: T) -> T {
        match self {
            Self::Replace => new,
            Self::Add => T::narrow(old.wide() + new.wide()),
            Self::Mul => T::narrow(old.wide() * new.wide()),
            Self::Max => T::narrow(larger(old.wide(), new.wide())),
            Self::Min => T::narrow(smaller(old.wide(), new.wide())),
        }
    }

    fn int(self, old: i64, new: i64) -> i64 {
        match self {
            Self::Replace => new,
            Self::Add => old.wrapping_add(new),
            Self::Mul => old.wrapping_mul(new),
            Self::Max => old.max(new),
            Self::Min => old.min(new),
        }
    }

    /// Updates `data` at `places`, one for each update.
    fn apply(self, data: &Tensor, updates: &Tensor, places: &[usize]) -> Buffer {
        match (Buffer::from_tensor(data), Buffer::from_tensor(updates)) {
            (Buffer::F32(data), Buffer::F32(updates)) => {
                Buffer::F32(updated(data, &updates, places, |old, new| self.real(old, new)))
            }
            (Buffer::F64(data), Buffer::F64(updates)) => {
                Buffer::F64(updated(data, &updates, places, |old, new| self.real(old, new)))
            }
            (Buffer::Int(values), Buffer::Int(updates)) => {
                let element = data.element();
                let combine = |old, new| match self {
                    Self::Max | Self::Min => {
                        in_order(self.int(in_order(old, element), in_order(new, element)), element)
                    }
                    Self::Replace | Self::Add | Self::Mul => wrap(self.int(old, new), element),
                };
                Buffer::Int(updated(values, &updates, places, combine))
            }
            _ => unreachable!("inferred: data and updates have one type"),
        }
    }

    fn check(self, check: &Check<'_>) -> Result<(), InferErrorKind> {
        if self != Self::Replace {
            check.element(0, ElementType::is_number, "a number")?;
        }
        let (data, updates) = (check.ty(0).element, check.ty(2).element);
        if data == updates {
            return Ok(());
        }
        let expected = format!("{data} like operand 0");
        Err(InferErrorKind::Element { operand: 2, expected, actual: updates })
    }
}

fn updated<T: Copy>(
    mut data: Vec<T>,
    updates: &[T],
    places: &[usize],
    combine: impl Fn(T, T) -> T,
) -> Vec<T> {
    for (&place, &update) in places.iter().zip(updates) {
        data[place] = combine(data[place], update);
    }
    data
}

/// Fails unless operand 1 holds indices for the data along `axis`.
fn check_along(check: &Check<'_>, axis: usize) -> Result<(), InferErrorKind> {
    check.index(1)?;
    let (data, indices) = (check.shape(0), check.shape(1));
    check.axis("axis", axis, data.len())?;
    let beside = |at: usize| at == axis || check.unify(&data[at], &indices[at]).is_some();
    if data.len() == indices.len() && (0..data.len()).all(beside) {
        return Ok(());
    }
    Err(check.shape_error(1, format!("{} but for axis {axis}", check.show(data))))
}

/// For each index of `indices`, the element of a tensor of shape `data` that it names along `axis`.
fn places_along(data: &[u64], indices: &Tensor, axis: usize) -> Result<Vec<usize>, EvalErrorKind> {
    let size = data[axis];
    let inner: usize = data[axis + 1..].iter().product::<u64>() as usize;
    let along = indices.shape()[axis] as usize * inner;
    let values = indices.to_i64_vec().into_iter().enumerate();
    let place = |(at, index): (usize, i64)| {
        let row = resolve(index, axis, size)?;
        Ok((at / along * size as usize + row) * inner + at % inner)
    };
    values.map(place).collect()
}

impl GatherElements {
    pub(crate) fn infer(&self, check: &Check<'_>) -> Inferred {
        check_along(check, self.axis)?;
        Ok(TensorType { element: check.ty(0).element, shape: check.shape(1).to_vec() })
    }

    pub(crate) fn compute(&self, operands: &[&Tensor], shape: &[u64]) -> Computed {
        let data = operands[0];
        let size = data.element().size_bytes();
        let mut bytes = Vec::with_capacity(shape.iter().product::<u64>() as usize * size);
        for place in places_along(data.shape(), operands[1], self.axis)? {
            bytes.extend_from_slice(&data.bytes()[place * size..(place + 1) * size]);
        }
        Ok(Raw::Tensor(Tensor::new(data.element(), shape, bytes::Bytes::from(bytes))?))
    }
}

impl ScatterElements {
    pub(crate) fn infer(&self, check: &Check<'_>) -> Inferred {
        check_along(check, self.axis)?;
        self.update.check(check)?;
        let (indices, updates) = (check.shape(1), check.shape(2));
        let same = indices.len() == updates.len()
            && indices.iter().zip(updates).all(|(a, b)| check.unify(a, b).is_some());
        if !same {
            return Err(check.shape_error(2, format!("{} like the indices", check.show(indices))));
        }
        Ok(check.ty(0).clone())
    }

    pub(crate) fn compute(&self, operands: &[&Tensor]) -> Computed {
        let places = places_along(operands[0].shape(), operands[1], self.axis)?;
        Ok(Raw::Buffer(self.update.apply(operands[0], operands[2], &places)))
    }
}

impl ScatterNd {
    pub(crate) fn infer(&self, check: &Check<'_>) -> Inferred {
        check.index(1)?;
        self.update.check(check)?;
        check.rank_at_least(1, 1)?;
        let (data, indices, updates) = (check.shape(0), check.shape(1), check.shape(2));
        let (tuples, width) = indices.split_at(indices.len() - 1);
        let width = width[0].as_const().and_then(|width| usize::try_from(width).ok());
        let Some(width @ 1..) = width.filter(|&width| width <= data.len()) else {
            return Err(
                check.shape_error(1, format!("a last axis that is known and from 1 to {}", data.len()))
            );
        };
        let expected = [tuples, &data[width..]].concat();
        let same = expected.len() == updates.len()
            && expected.iter().zip(updates).all(|(a, b)| check.unify(a, b).is_some());
        if !same {
            return Err(check.shape_error(2, check.show(&expected)));
        }
        Ok(check.ty(0).clone())
    }

    pub(crate) fn compute(&self, operands: &[&Tensor]) -> Computed {
        let (data, indices) = (operands[0], operands[1]);
        let width = indices.shape()[indices.rank() - 1] as usize;
        let strides = strides(data.shape());
        let block = data.shape()[width..].iter().product::<u64>() as usize;
        let mut places = Vec::with_capacity(operands[2].len());
        for tuple in indices.to_i64_vec().chunks_exact(width) {
            let mut first = 0;
            for (axis, &index) in tuple.iter().enumerate() {
                first += resolve(index, axis, data.shape()[axis])? * strides[axis];
            }
            places.extend(first..first + block);
        }
        Ok(Raw::Buffer(self.update.apply(data, operands[2], &places)))
    }
}

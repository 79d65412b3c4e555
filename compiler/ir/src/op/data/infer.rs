//! Types of the ops that move data and make shapes.

use super::{Concat, Expand, Gather, GatherNd, Range, Reshape, ShapeOf, Slice, SliceAxis, Transpose};
use crate::dim::{Dim, IntExpr};
use crate::op::infer::{Check, InferErrorKind, attribute_error, broadcast};
use crate::op::known::range_count;
use crate::tensor::{ElementType, TensorType, product};

type Inferred = Result<TensorType, InferErrorKind>;

impl Reshape {
    pub(crate) fn infer(&self, check: &Check<'_>) -> Inferred {
        let from = product(check.shape(0))?;
        let to = product(&self.shape)?;
        if from != to && from.differs_unless_empty(&to, check.symbols) {
            let expected = format!("{} elements", from.display(check.symbols));
            return Err(attribute_error("shape", expected, check.show(&self.shape)));
        }
        Ok(TensorType { element: check.ty(0).element, shape: self.shape.clone() })
    }
}

impl Transpose {
    pub(crate) fn infer(&self, check: &Check<'_>) -> Inferred {
        let shape = check.shape(0);
        let mut sorted = self.perm.clone();
        sorted.sort_unstable();
        if !sorted.iter().copied().eq(0..shape.len()) {
            let expected = format!("each axis below {} once", shape.len());
            return Err(attribute_error("perm", expected, format!("{:?}", self.perm)));
        }
        Ok(TensorType {
            element: check.ty(0).element,
            shape: self.perm.iter().map(|&axis| shape[axis].clone()).collect(),
        })
    }
}

impl Expand {
    pub(crate) fn infer(&self, check: &Check<'_>) -> Inferred {
        if broadcast(check.shape(0), &self.shape, check.symbols)? != self.shape {
            let expected = format!("a shape to which {} broadcasts", check.show(check.shape(0)));
            return Err(attribute_error("shape", expected, check.show(&self.shape)));
        }
        Ok(TensorType { element: check.ty(0).element, shape: self.shape.clone() })
    }
}

impl Concat {
    pub(crate) fn infer(&self, check: &Check<'_>) -> Inferred {
        let element = check.same_elements()?;
        let mut shape = check.shape(0).to_vec();
        check.axis("axis", self.axis, shape.len())?;
        for operand in 1..check.operands.len() {
            let next = check.shape(operand);
            let mismatch = || {
                check.shape_error(
                    operand,
                    format!("{} but for axis {}", check.show(check.shape(0)), self.axis),
                )
            };
            if next.len() != shape.len() {
                return Err(mismatch());
            }
            for (axis, (joined, size)) in shape.iter_mut().zip(next).enumerate() {
                *joined = if axis == self.axis {
                    joined.add(size)?
                } else {
                    check.unify(joined, size).ok_or_else(mismatch)?
                };
            }
        }
        Ok(TensorType { element, shape })
    }
}

impl Slice {
    pub(crate) fn infer(&self, check: &Check<'_>) -> Inferred {
        let mut shape = check.shape(0).to_vec();
        if !self.axes.is_sorted_by(|a, b| a.axis < b.axis) {
            let axes: Vec<usize> = self.axes.iter().map(|cut| cut.axis).collect();
            return Err(attribute_error("axes", "distinct ascending axes", format!("{axes:?}")));
        }
        for cut in &self.axes {
            check.axis("axes", cut.axis, shape.len())?;
            check_cut(cut, &shape[cut.axis], check)?;
            shape[cut.axis] = cut.count.clone();
        }
        Ok(TensorType { element: check.ty(0).element, shape })
    }
}

/// Refuses a cut that leaves the axis for every size that the axis may have.
fn check_cut(cut: &SliceAxis, size: &Dim, check: &Check<'_>) -> Result<(), InferErrorKind> {
    if cut.step == 0 {
        return Err(attribute_error("steps", "not zero", 0));
    }
    let (least_count, _) = cut.count.range(check.symbols);
    if least_count == 0 {
        return Ok(());
    }
    let start = i128::from(cut.start);
    let last = start + (i128::from(least_count) - 1) * i128::from(cut.step);
    let (_, largest) = size.range(check.symbols);
    let inside = |at: i128| at >= 0 && largest.is_none_or(|size| at < i128::from(size));
    if inside(start) && inside(last) {
        return Ok(());
    }
    let SliceAxis { axis, start, step, .. } = cut;
    let size = size.display(check.symbols);
    let count = cut.count.display(check.symbols);
    let actual = format!("{count} elements from {start} by {step}");
    Err(attribute_error("counts", format!("elements inside axis {axis} of size {size}"), actual))
}

impl Gather {
    pub(crate) fn infer(&self, check: &Check<'_>) -> Inferred {
        check.index(1)?;
        let (data, indices) = (check.shape(0), check.shape(1));
        check.axis("axis", self.axis, data.len())?;
        let shape = [&data[..self.axis], indices, &data[self.axis + 1..]].concat();
        Ok(TensorType { element: check.ty(0).element, shape })
    }
}

impl GatherNd {
    pub(crate) fn infer(&self, check: &Check<'_>) -> Inferred {
        check.index(1)?;
        check.rank_at_least(0, 1)?;
        check.rank_at_least(1, 1)?;
        let (data, indices) = (check.shape(0), check.shape(1));
        let (tuples, width) = indices.split_at(indices.len() - 1);
        if self.batch_dims > tuples.len() || self.batch_dims >= data.len() {
            let limit = tuples.len().min(data.len() - 1);
            return Err(attribute_error("batch_dims", format!("at most {limit}"), self.batch_dims));
        }
        let free = data.len() - self.batch_dims;
        let width = width[0].as_const().and_then(|width| usize::try_from(width).ok());
        let Some(width @ 1..) = width.filter(|&width| width <= free) else {
            return Err(check.shape_error(1, format!("a last axis that is known and from 1 to {free}")));
        };
        let mut shape = Vec::with_capacity(tuples.len() + free);
        for axis in 0..self.batch_dims {
            let size = check.unify(&data[axis], &tuples[axis]);
            shape.push(
                size.ok_or_else(|| check.shape_error(1, format!("the batch axes of {}", check.show(data))))?,
            );
        }
        shape.extend_from_slice(&tuples[self.batch_dims..]);
        shape.extend_from_slice(&data[self.batch_dims + width..]);
        Ok(TensorType { element: check.ty(0).element, shape })
    }
}

impl ShapeOf {
    pub(crate) fn infer(&self, check: &Check<'_>) -> Inferred {
        let rank = check.shape(0).len();
        if self.start > self.end || self.end > rank {
            let expected = format!("start <= end <= {rank}");
            return Err(attribute_error("start, end", expected, format!("{}, {}", self.start, self.end)));
        }
        Ok(TensorType::fixed(ElementType::I64, &[(self.end - self.start) as u64]))
    }
}

impl Range {
    pub(crate) fn infer(&self, check: &Check<'_>) -> Inferred {
        check.element(0, ElementType::is_number, "a number")?;
        let element = check.same_elements()?;
        for operand in 0..3 {
            let is_scalar = check.shape(operand).iter().all(|size| *size == Dim::Const(1));
            if check.shape(operand).len() > 1 || !is_scalar {
                return Err(check.shape_error(operand, "a scalar"));
            }
        }
        let count = if element.is_float() { float_count(check)? } else { int_count(check)? };
        Ok(TensorType { element, shape: vec![count] })
    }
}

fn int_count(check: &Check<'_>) -> Result<Dim, InferErrorKind> {
    let scalar = |operand: usize| -> Result<IntExpr, InferErrorKind> {
        let ints = check.operands[operand].ints();
        let first = ints.and_then(|ints| ints.first().cloned());
        first.ok_or(InferErrorKind::DataDependent { operand })
    };
    let delta = scalar(2)?.as_const().ok_or(InferErrorKind::DataDependent { operand: 2 })?;
    if delta == 0 {
        return Err(attribute_error("delta", "not zero", 0));
    }
    Ok(Dim::try_from(range_count(&scalar(0)?, &scalar(1)?, delta)?)?)
}

fn float_count(check: &Check<'_>) -> Result<Dim, InferErrorKind> {
    let scalar = |operand: usize| -> Result<f64, InferErrorKind> {
        let values = check.operands[operand].constant.map(|constant| constant.to_f64_vec());
        let first = values.and_then(|values| values.first().copied());
        first.ok_or(InferErrorKind::DataDependent { operand })
    };
    let (start, limit, delta) = (scalar(0)?, scalar(1)?, scalar(2)?);
    let count = ((limit - start) / delta).ceil().max(0.0);
    // Beyond 2^53 a float no longer counts.
    if delta == 0.0 || !(limit - start).is_finite() || !delta.is_finite() || count >= 9_007_199_254_740_992.0
    {
        let actual = format!("{start}, {limit}, {delta}");
        return Err(attribute_error(
            "start, limit, delta",
            "finite, with a delta that reaches limit",
            actual,
        ));
    }
    Ok(Dim::Const(count as u64))
}

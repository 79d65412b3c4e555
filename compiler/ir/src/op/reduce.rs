//! Reductions and the normalisations built on them. Axes are non-negative and ascending.

pub(crate) mod eval;

use crate::dim::Dim;
use crate::op::infer::{Check, InferErrorKind, attribute_error, broadcast};
use crate::tensor::{ElementType, TensorType};

/// What a reduction computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReduceKind {
    /// Sum.
    Sum,
    /// Arithmetic mean.
    Mean,
    /// Largest.
    Max,
    /// Smallest.
    Min,
    /// Product.
    Prod,
    /// Square root of the sum of squares.
    L2,
}

/// Reduction over `axes`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reduce {
    /// What is computed.
    pub kind: ReduceKind,
    /// Axes reduced.
    pub axes: Vec<usize>,
    /// Keep reduced axes as size 1.
    pub keep_dims: bool,
}

/// Softmax over `axis`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Softmax {
    /// Axis normalised.
    pub axis: usize,
}

/// `(x - mean) / sqrt(variance + epsilon) * scale + bias`, statistics over the axes from `axis` on, in f32.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerNorm {
    /// First normalised axis.
    pub axis: usize,
    /// Added to the variance.
    pub epsilon: f64,
}

/// `x / sqrt(mean(x^2) + epsilon) * scale`, the mean over the axes from `axis` on, in f32 (arXiv 1910.07467).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RmsNorm {
    /// First normalised axis.
    pub axis: usize,
    /// Added to the mean square.
    pub epsilon: f64,
}

impl ReduceKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [Self::Sum, Self::Mean, Self::Max, Self::Min, Self::Prod, Self::L2];

    /// Name of the reduction in the text form.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sum => "reduce_sum",
            Self::Mean => "reduce_mean",
            Self::Max => "reduce_max",
            Self::Min => "reduce_min",
            Self::Prod => "reduce_prod",
            Self::L2 => "reduce_l2",
        }
    }
}

impl Reduce {
    pub(crate) fn infer(&self, check: &Check<'_>) -> Result<TensorType, InferErrorKind> {
        match self.kind {
            ReduceKind::Mean | ReduceKind::L2 => check.float(0)?,
            ReduceKind::Sum | ReduceKind::Max | ReduceKind::Min | ReduceKind::Prod => {
                check.element(0, ElementType::is_number, "a number")?;
            }
        }
        let shape = check.shape(0);
        let ascending = self.axes.is_sorted_by(|a, b| a < b);
        if !ascending || self.axes.last().is_some_and(|&axis| axis >= shape.len()) {
            let expected = format!("distinct ascending axes below the rank {}", shape.len());
            return Err(attribute_error("axes", expected, format!("{:?}", self.axes)));
        }
        let kept = shape.iter().enumerate().filter_map(|(axis, size)| {
            if self.axes.binary_search(&axis).is_err() {
                Some(size.clone())
            } else {
                self.keep_dims.then_some(Dim::Const(1))
            }
        });
        Ok(TensorType { element: check.ty(0).element, shape: kept.collect() })
    }
}

impl Softmax {
    pub(crate) fn infer(&self, check: &Check<'_>) -> Result<TensorType, InferErrorKind> {
        check.float(0)?;
        check.axis("axis", self.axis, check.shape(0).len())?;
        Ok(check.ty(0).clone())
    }
}

impl LayerNorm {
    pub(crate) fn infer(&self, check: &Check<'_>) -> Result<TensorType, InferErrorKind> {
        infer_norm(check, self.axis, self.epsilon)
    }
}

impl RmsNorm {
    pub(crate) fn infer(&self, check: &Check<'_>) -> Result<TensorType, InferErrorKind> {
        infer_norm(check, self.axis, self.epsilon)
    }
}

/// The first operand's type. All others broadcast to its axes from `axis` on; they may be f32 beside f16.
fn infer_norm(check: &Check<'_>, axis: usize, epsilon: f64) -> Result<TensorType, InferErrorKind> {
    let takes: fn(ElementType) -> bool = match check.ty(0).element {
        ElementType::F64 => |element| element == ElementType::F64,
        _ => |element| element.is_float() && element != ElementType::F64,
    };
    check.float(0)?;
    for operand in 1..check.operands.len() {
        check.element(operand, takes, "a float type, f64 only beside f64")?;
    }
    let shape = check.shape(0);
    check.axis("axis", axis, shape.len())?;
    if !epsilon.is_finite() || epsilon < 0.0 {
        return Err(attribute_error("epsilon", "finite and not negative", epsilon));
    }
    let normalised = &shape[axis..];
    for operand in 1..check.operands.len() {
        if broadcast(normalised, check.shape(operand), check.symbols)? != normalised {
            let wanted = check.show(normalised);
            return Err(check.shape_error(operand, format!("a shape that broadcasts to {wanted}")));
        }
    }
    Ok(check.ty(0).clone())
}

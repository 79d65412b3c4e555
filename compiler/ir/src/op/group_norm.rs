//! Normalisation over groups of channels.

pub(crate) mod eval;

use crate::op::infer::{Check, InferErrorKind, attribute_error};
use crate::tensor::TensorType;

/// `(x - mean) / sqrt(variance + epsilon) * scale + bias` for `x[n, c, spatial..]`. Statistics are taken in f32 over the
/// `c / groups` neighbouring channels of a group and all their pixels; scale and bias have one value per channel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroupNorm {
    /// How many groups the channels make.
    pub groups: u64,
    /// Added to the variance.
    pub epsilon: f64,
}

impl GroupNorm {
    pub(crate) fn infer(&self, check: &Check<'_>) -> Result<TensorType, InferErrorKind> {
        check.float(0)?;
        check.same_elements()?;
        check.rank_at_least(0, 2)?;
        let channels = &check.shape(0)[1];
        if self.groups == 0 || channels.as_const().is_none_or(|channels| channels % self.groups != 0) {
            let expected = format!("a divisor of the {} channels", channels.display(check.symbols));
            return Err(attribute_error("groups", expected, self.groups));
        }
        if !self.epsilon.is_finite() || self.epsilon < 0.0 {
            return Err(attribute_error("epsilon", "finite and not negative", self.epsilon));
        }
        for operand in 1..check.operands.len() {
            if check.shape(operand) != std::slice::from_ref(channels) {
                let wanted = check.show(std::slice::from_ref(channels));
                return Err(check.shape_error(operand, format!("{wanted}, one value per channel")));
            }
        }
        Ok(check.ty(0).clone())
    }
}

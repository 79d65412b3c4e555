//! Transposed convolution.

pub(crate) mod eval;

use crate::dim::{Dim, DimError};
use crate::op::conv::{check_taps, check_window};
use crate::op::infer::{Check, InferErrorKind, attribute_error};
use crate::tensor::TensorType;

/// Transposed convolution of `x[n, c, spatial..]` with `w[c, o/groups, spatial..]` and an optional bias `[o]`: element
/// `i` of an axis adds to the results `i * stride + tap * dilation - pad`. Every list has one entry per spatial axis,
/// `pads` two (all begins, then all ends).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConvTranspose {
    /// Distance between the results of neighbouring elements.
    pub strides: Vec<u64>,
    /// Results cut off: begins, then ends.
    pub pads: Vec<u64>,
    /// Distance between taps.
    pub dilations: Vec<u64>,
    /// Results added at the end.
    pub output_padding: Vec<u64>,
    /// Channel groups.
    pub groups: u64,
}

impl ConvTranspose {
    /// Step 1, no padding, no dilation, one group, for `spatial` axes.
    pub fn plain(spatial: usize) -> Self {
        Self {
            strides: vec![1; spatial],
            pads: vec![0; 2 * spatial],
            dilations: vec![1; spatial],
            output_padding: vec![0; spatial],
            groups: 1,
        }
    }

    pub(crate) fn infer(&self, check: &Check<'_>) -> Result<TensorType, InferErrorKind> {
        check.float(0)?;
        let element = check.same_elements()?;
        check.rank_at_least(0, 3)?;
        let (x, w) = (check.shape(0), check.shape(1));
        if w.len() != x.len() {
            return Err(check.shape_error(1, format!("{} axes, like operand 0", x.len())));
        }
        let spatial = x.len() - 2;
        check_window(&self.strides, &self.pads, &self.dilations, spatial)?;
        if self.output_padding.len() != spatial {
            let (expected, actual) = (format!("{spatial} values"), format!("{:?}", self.output_padding));
            return Err(attribute_error("output_padding", expected, actual));
        }
        let kernel: Vec<u64> = w[2..].iter().filter_map(Dim::as_const).collect();
        check_taps("kernel_shape", &kernel)?;
        let mut shape = vec![x[0].clone(), self.check_channels(check)?];
        for axis in 0..spatial {
            shape.push(self.output_size(axis, check)?);
        }
        Ok(TensorType { element, shape })
    }

    /// The channels of the result.
    fn check_channels(&self, check: &Check<'_>) -> Result<Dim, InferErrorKind> {
        let (x, w) = (check.shape(0), check.shape(1));
        let divides = |size: &Dim| size.as_const().is_none_or(|size| size % self.groups == 0);
        if self.groups == 0 || !divides(&w[0]) {
            let expected = format!("a divisor of the {} input channels", w[0].display(check.symbols));
            return Err(attribute_error("groups", expected, self.groups));
        }
        if check.unify(&x[1], &w[0]).is_none() {
            let read = w[0].display(check.symbols);
            return Err(check.shape_error(0, format!("{read} channels on axis 1, like the weight's axis 0")));
        }
        let outputs = w[1].mul(&Dim::Const(self.groups))?;
        if let Some(bias) = check.operands.get(2) {
            let matches = bias.ty.shape.len() == 1 && check.unify(&bias.ty.shape[0], &outputs).is_some();
            if !matches {
                let outputs = outputs.display(check.symbols);
                return Err(check.shape_error(2, format!("[{outputs}], one value per output channel")));
            }
        }
        Ok(outputs)
    }

    /// `(input - 1) * stride + dilation * (kernel - 1) + 1 + output_padding - pads`
    fn output_size(&self, axis: usize, check: &Check<'_>) -> Result<Dim, InferErrorKind> {
        let spatial = self.strides.len();
        let input = &check.shape(0)[2 + axis];
        let Some(kernel @ 1..) = check.shape(1)[2 + axis].as_const() else {
            return Err(check.shape_error(1, "a kernel size that is known and at least 1".to_owned()));
        };
        let reach = (kernel - 1)
            .checked_mul(self.dilations[axis])
            .and_then(|reach| reach.checked_add(1)?.checked_add(self.output_padding[axis]))
            .ok_or(DimError::Overflow)?;
        let pads = self.pads[axis].checked_add(self.pads[spatial + axis]).ok_or(DimError::Overflow)?;
        let elements = || check.shape_error(0, format!("an element on axis {}", 2 + axis));
        let last = input.sub(&Dim::Const(1)).map_err(|_| elements())?;
        let full = last.mul(&Dim::Const(self.strides[axis]))?.add(&Dim::Const(reach))?;
        let size = full.sub(&Dim::Const(pads));
        size.map_err(|_| {
            let full = full.display(check.symbols).to_string();
            attribute_error("pads", format!("at most the {full} results of axis {}", 2 + axis), pads)
        })
    }
}

//! Convolution.

pub(crate) mod eval;

use crate::dim::{Dim, DimError};
use crate::op::infer::{Check, InferErrorKind, attribute_error};
use crate::tensor::{ElementType, TensorType};

/// Convolution attributes; every list has one entry per spatial axis, `pads` two (all begins, then all ends).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Conv {
    /// Step between outputs.
    pub strides: Vec<u64>,
    /// Zeros added: begins, then ends.
    pub pads: Vec<u64>,
    /// Distance between taps.
    pub dilations: Vec<u64>,
    /// Channel groups.
    pub groups: u64,
}

impl Conv {
    /// Step 1, no padding, no dilation, one group, for `spatial` axes.
    pub fn plain(spatial: usize) -> Self {
        Self { strides: vec![1; spatial], pads: vec![0; 2 * spatial], dilations: vec![1; spatial], groups: 1 }
    }

    pub(crate) fn infer(&self, check: &Check<'_>) -> Result<TensorType, InferErrorKind> {
        let is_summed = |element: ElementType| element.is_float() || element == ElementType::I32;
        check.element(0, is_summed, "a float or i32")?;
        let element = check.same_elements()?;
        check.rank_at_least(0, 3)?;
        let (x, w) = (check.shape(0), check.shape(1));
        if w.len() != x.len() {
            return Err(check.shape_error(1, format!("{} axes, like operand 0", x.len())));
        }
        self.check_attributes(x.len() - 2)?;
        self.check_channels(check)?;
        let kernel: Vec<u64> = w[2..].iter().filter_map(Dim::as_const).collect();
        check_taps("kernel_shape", &kernel)?;
        let mut shape = vec![x[0].clone(), w[0].clone()];
        for axis in 0..x.len() - 2 {
            shape.push(self.output_size(axis, check)?);
        }
        Ok(TensorType { element, shape })
    }

    fn check_attributes(&self, spatial: usize) -> Result<(), InferErrorKind> {
        check_window(&self.strides, &self.pads, &self.dilations, spatial)?;
        if self.groups == 0 {
            return Err(attribute_error("groups", "at least 1", 0));
        }
        Ok(())
    }

    fn check_channels(&self, check: &Check<'_>) -> Result<(), InferErrorKind> {
        let (x, w) = (check.shape(0), check.shape(1));
        let read = w[1].mul(&Dim::Const(self.groups))?;
        if check.unify(&x[1], &read).is_none() {
            let read = read.display(check.symbols);
            let groups = self.groups;
            return Err(check.shape_error(
                0,
                format!("{read} channels on axis 1 (weight's axis 1 times {groups} groups)"),
            ));
        }
        if w[0].as_const().is_some_and(|outputs| outputs % self.groups != 0) {
            return Err(check.shape_error(1, format!("a multiple of {} groups on axis 0", self.groups)));
        }
        if let Some(bias) = check.operands.get(2) {
            let matches = bias.ty.shape.len() == 1 && check.unify(&bias.ty.shape[0], &w[0]).is_some();
            if !matches {
                let outputs = w[0].display(check.symbols);
                return Err(check.shape_error(2, format!("[{outputs}], one value per output channel")));
            }
        }
        Ok(())
    }

    /// `floor((input + pads - (dilation * (kernel - 1) + 1)) / stride) + 1`
    fn output_size(&self, axis: usize, check: &Check<'_>) -> Result<Dim, InferErrorKind> {
        let spatial = self.strides.len();
        let input = &check.shape(0)[2 + axis];
        let Some(kernel @ 1..) = check.shape(1)[2 + axis].as_const() else {
            return Err(check.shape_error(1, "a kernel size that is known and at least 1".to_owned()));
        };
        let reach = (kernel - 1)
            .checked_mul(self.dilations[axis])
            .and_then(|reach| reach.checked_add(1))
            .ok_or(DimError::Overflow)?;
        let pads = self.pads[axis].checked_add(self.pads[spatial + axis]).ok_or(DimError::Overflow)?;
        let padded = input.add(&Dim::Const(pads))?;
        let steps = padded.sub(&Dim::Const(reach)).map_err(|_| {
            check.shape_error(0, format!("at least {reach} on axis {} with padding", 2 + axis))
        })?;
        let stride = Dim::Const(self.strides[axis]);
        Ok(steps.floor_div(&stride)?.add(&Dim::Const(1))?)
    }
}

/// Checks the lists of a window that slides over `spatial` axes.
pub(crate) fn check_window(
    strides: &[u64],
    pads: &[u64],
    dilations: &[u64],
    spatial: usize,
) -> Result<(), InferErrorKind> {
    for (attribute, values) in [("strides", strides), ("dilations", dilations)] {
        if values.len() != spatial || values.contains(&0) {
            let expected = format!("{spatial} values of at least 1");
            return Err(attribute_error(attribute, expected, format!("{values:?}")));
        }
    }
    if pads.len() != 2 * spatial {
        let expected = format!("{} values", 2 * spatial);
        return Err(attribute_error("pads", expected, format!("{pads:?}")));
    }
    for (attribute, values) in [("strides", strides), ("dilations", dilations), ("pads", pads)] {
        if values.iter().any(|&value| value > MOST) {
            return Err(attribute_error(attribute, format!("at most {MOST}"), format!("{values:?}")));
        }
    }
    Ok(())
}

/// Largest stride, dilation and padding: positions stay far inside of 64 bits, and those of real images inside of 32.
const MOST: u64 = i32::MAX as u64;

/// Most elements under a window.
const MOST_TAPS: u64 = 1 << 24;

/// Refuses windows over more elements than any image has along its axes.
pub(crate) fn check_taps(attribute: &'static str, kernel: &[u64]) -> Result<(), InferErrorKind> {
    let taps = kernel.iter().try_fold(1u64, |taps, &size| taps.checked_mul(size));
    if taps.is_some_and(|taps| taps <= MOST_TAPS) {
        return Ok(());
    }
    Err(attribute_error(
        attribute,
        format!("a window of at most {MOST_TAPS} elements"),
        format!("{kernel:?}"),
    ))
}

//! Pooling: a function of the elements under a window that slides over the spatial axes.

pub(crate) mod eval;

use crate::dim::{Dim, DimError};
use crate::op::conv::{check_taps, check_window};
use crate::op::infer::{Check, InferErrorKind, attribute_error};
use crate::tensor::TensorType;

/// What a pool computes of the elements under its window. Padding takes part in none but the average's count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PoolKind {
    /// Largest.
    Max,
    /// Arithmetic mean.
    Average {
        /// Divide by the positions that are on elements or padding, instead of by those on elements.
        count_padding: bool,
    },
    /// `(sum |x|^p)^(1/p)`.
    Lp(u32),
}

/// Pooling of `x[n, c, spatial..]`; every list has one entry per spatial axis, `pads` two (all begins, then all ends).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pool {
    /// What is computed.
    pub kind: PoolKind,
    /// Size of the window.
    pub kernel: Vec<u64>,
    /// Step between outputs.
    pub strides: Vec<u64>,
    /// Padding: begins, then ends.
    pub pads: Vec<u64>,
    /// Distance between taps.
    pub dilations: Vec<u64>,
    /// Round the number of windows up instead of down. The last window then still starts on an element or on the
    /// padding before them, and what it covers beyond the padding does not count (ONNX `ceil_mode`).
    pub ceil: bool,
}

impl PoolKind {
    /// Name in the text form.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Max => "pool_max",
            Self::Average { .. } => "pool_average",
            Self::Lp(_) => "pool_lp",
        }
    }
}

impl Pool {
    /// Elements that a window spans along an axis.
    pub fn reach(&self, axis: usize) -> Option<u64> {
        (self.kernel[axis] - 1).checked_mul(self.dilations[axis])?.checked_add(1)
    }

    pub(crate) fn infer(&self, check: &Check<'_>) -> Result<TensorType, InferErrorKind> {
        check.float(0)?;
        check.rank_at_least(0, 3)?;
        let x = check.shape(0);
        check_window(&self.strides, &self.pads, &self.dilations, x.len() - 2)?;
        if self.kernel.len() != x.len() - 2 || self.kernel.contains(&0) {
            let expected = format!("{} values of at least 1", x.len() - 2);
            return Err(attribute_error("kernel", expected, format!("{:?}", self.kernel)));
        }
        check_taps("kernel", &self.kernel)?;
        if self.kind == PoolKind::Lp(0) {
            return Err(attribute_error("p", "at least 1", 0));
        }
        let mut shape = x[..2].to_vec();
        for axis in 0..x.len() - 2 {
            shape.push(self.output_size(axis, check)?);
        }
        Ok(TensorType { element: check.ty(0).element, shape })
    }

    fn output_size(&self, axis: usize, check: &Check<'_>) -> Result<Dim, InferErrorKind> {
        let spatial = self.kernel.len();
        let input = &check.shape(0)[2 + axis];
        let reach = self.reach(axis).ok_or(DimError::Overflow)?;
        let (begin, end) = (self.pads[axis], self.pads[spatial + axis]);
        if begin.max(end) >= reach {
            let expected = format!("less than the window, which spans {reach}");
            return Err(attribute_error("pads", expected, begin.max(end)));
        }
        let pads = begin.checked_add(end).ok_or(DimError::Overflow)?;
        let steps = input.add(&Dim::Const(pads))?.sub(&Dim::Const(reach)).map_err(|_| {
            check.shape_error(0, format!("at least {reach} on axis {} with padding", 2 + axis))
        })?;
        let stride = self.strides[axis];
        let by = Dim::Const(stride);
        let mut last = steps.floor_div(&by)?;
        if self.ceil {
            let up = steps.add(&Dim::Const(stride - 1))?.floor_div(&by)?;
            let starts = input.add(&Dim::Const(begin))?.sub(&Dim::Const(1));
            let starts = starts.map_err(|_| check.shape_error(0, "an element on each spatial axis"))?;
            last = up.min(&starts.floor_div(&by)?)?;
        }
        let size = last.add(&Dim::Const(1))?;
        if let (Some(input), Some(size)) = (input.as_const(), size.as_const()) {
            self.check_windows(axis, input, size, check)?;
        }
        Ok(size)
    }

    /// Refuses windows that cover padding only, whose largest element or mean does not exist.
    fn check_windows(
        &self,
        axis: usize,
        input: u64,
        size: u64,
        check: &Check<'_>,
    ) -> Result<(), InferErrorKind> {
        let (pad, stride, dilation) = (self.pads[axis], self.strides[axis], self.dilations[axis]);
        // Taps next to each other reach over the padding, which is smaller than the window: a window that starts in it
        // has a tap behind it, less than a dilation away.
        let covers = |out: u64| {
            let start = out * stride;
            start + pad.saturating_sub(start).div_ceil(dilation) * dilation < input + pad
        };
        // Behind the padding the last window is the one that may start beyond the elements. In it, taps fall on the same
        // places again after as many windows as a dilation has elements, and on elements where those are as many.
        let in_padding = pad.div_ceil(stride).min(size);
        let different = if dilation <= input { 0 } else { in_padding.min(dilation) };
        if different > MOST_WINDOWS {
            let expected = format!("at most the {input} elements of axis {}", 2 + axis);
            return Err(attribute_error("dilations", expected, dilation));
        }
        if input > 0 && (0..different).all(covers) && (size == 0 || size <= in_padding || covers(size - 1)) {
            return Ok(());
        }
        Err(check.shape_error(0, format!("an element under each window on axis {}", 2 + axis)))
    }
}

/// Windows that are looked at one by one, at most.
const MOST_WINDOWS: u64 = 1 << 16;

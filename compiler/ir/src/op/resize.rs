//! Resampling along axes.

pub(crate) mod eval;
mod taps;

use crate::dim::Dim;
use crate::op::infer::{Check, InferErrorKind, attribute_error};
use crate::tensor::TensorType;
pub use taps::Taps;

/// Largest scale, its inverse the smallest.
const MOST: f32 = 1e6;

/// Longest result along a resampled axis; each element of it takes a row in a table of weights.
pub const LONGEST: u64 = 1 << 21;

/// How a position between elements is rounded to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NearestMode {
    /// To the nearer, down in the middle.
    RoundPreferFloor,
    /// To the nearer, away from zero in the middle.
    RoundPreferCeil,
    /// Down.
    Floor,
    /// Up.
    Ceil,
}

/// How a result is computed from elements.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Interpolation {
    /// One element.
    Nearest(NearestMode),
    /// The two neighbours by their distance.
    Linear,
    /// Four neighbours, by Keys' cubic convolution ("Cubic Convolution Interpolation for Digital Image Processing", 1981).
    Cubic {
        /// Its parameter `a`.
        coefficient: f64,
        /// Elements beyond the borders take no part, and the weights of the others are scaled to a sum of one.
        exclude_outside: bool,
    },
}

/// Which position among the elements a result stands for (ONNX Resize, `coordinate_transformation_mode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CoordinateMode {
    /// `(x + 0.5) / scale - 0.5`
    HalfPixel,
    /// The same, moved so that the centres of a cut-off result and of the operand coincide.
    HalfPixelSymmetric,
    /// As half pixel, and 0 where the result has one element.
    PytorchHalfPixel,
    /// `(x + 0.5) / scale`, of operator set 11 only.
    TfHalfPixelForNn,
    /// First on first and last on last.
    AlignCorners,
    /// `x / scale`
    Asymmetric,
    /// Spread over the axis's region of interest; results outside of the operand take `extrapolation`.
    TfCropAndResize,
}

/// An axis that is resampled.
#[derive(Clone, Debug, PartialEq)]
pub struct ResizeAxis {
    /// Which.
    pub axis: usize,
    /// Size of the result.
    pub size: Dim,
    /// Results per element, where it is not the quotient of the sizes.
    pub scale: Option<f32>,
    /// First and last position of the region of interest, in axis lengths; the whole axis is `[0, 1]`.
    pub region: [f32; 2],
}

/// Resampling of `axes`, one after the other; the others stay.
#[derive(Clone, Debug, PartialEq)]
pub struct Resize {
    /// Axes, ascending.
    pub axes: Vec<ResizeAxis>,
    /// How results are computed.
    pub interpolation: Interpolation,
    /// Where they stand.
    pub coordinates: CoordinateMode,
    /// Value of results outside of the operand, in the mode that has such.
    pub extrapolation: f64,
}

impl NearestMode {
    /// Every mode, with its name in ONNX and in the text form.
    pub const NAMED: [(&'static str, Self); 4] = [
        ("round_prefer_floor", Self::RoundPreferFloor),
        ("round_prefer_ceil", Self::RoundPreferCeil),
        ("floor", Self::Floor),
        ("ceil", Self::Ceil),
    ];
}

impl CoordinateMode {
    /// Every mode, with its name in ONNX and in the text form.
    pub const NAMED: [(&'static str, Self); 7] = [
        ("half_pixel", Self::HalfPixel),
        ("half_pixel_symmetric", Self::HalfPixelSymmetric),
        ("pytorch_half_pixel", Self::PytorchHalfPixel),
        ("tf_half_pixel_for_nn", Self::TfHalfPixelForNn),
        ("align_corners", Self::AlignCorners),
        ("asymmetric", Self::Asymmetric),
        ("tf_crop_and_resize", Self::TfCropAndResize),
    ];
}

impl ResizeAxis {
    /// Numbers from which a position can be computed.
    fn check_numbers(&self) -> Result<(), InferErrorKind> {
        let sound = |value: f32, least: f32| value.is_finite() && value >= least && value <= MOST;
        if let Some(scale) = self.scale.filter(|&scale| !sound(scale, 1.0 / MOST)) {
            return Err(attribute_error("scale", format!("between 1/{MOST} and {MOST}"), scale));
        }
        if !self.region.iter().all(|&bound| sound(bound, -MOST)) {
            let expected = format!("between -{MOST} and {MOST}");
            return Err(attribute_error("region", expected, format!("{:?}", self.region)));
        }
        Ok(())
    }
}

impl Resize {
    pub(crate) fn infer(&self, check: &Check<'_>) -> Result<TensorType, InferErrorKind> {
        check.float(0)?;
        let mut shape = check.shape(0).to_vec();
        if !self.axes.is_sorted_by(|a, b| a.axis < b.axis) {
            let axes: Vec<usize> = self.axes.iter().map(|axis| axis.axis).collect();
            return Err(attribute_error("axes", "distinct ascending axes", format!("{axes:?}")));
        }
        for resized in &self.axes {
            check.axis("axes", resized.axis, shape.len())?;
            resized.check_numbers()?;
            if resized.size.as_const().is_some_and(|size| size > LONGEST) {
                let actual = resized.size.display(check.symbols).to_string();
                return Err(attribute_error(
                    "sizes",
                    format!("at most {LONGEST} on a resampled axis"),
                    actual,
                ));
            }
            let size = &mut shape[resized.axis];
            if *size == Dim::Const(0) && resized.size != Dim::Const(0) {
                return Err(check.shape_error(0, format!("an element on axis {}", resized.axis)));
            }
            *size = resized.size.clone();
        }
        if !self.extrapolation.is_finite() {
            return Err(attribute_error("extrapolation", "finite", self.extrapolation));
        }
        match self.interpolation {
            Interpolation::Cubic { coefficient, .. } if !coefficient.is_finite() => {
                Err(attribute_error("coefficient", "finite", coefficient))
            }
            _ => Ok(TensorType { element: check.ty(0).element, shape }),
        }
    }
}

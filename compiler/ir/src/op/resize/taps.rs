//! Which elements make a result of a resampled axis, with which weights. Positions are computed in f32 and in
//! onnxruntime's order, because a position in the middle of two elements decides which one is nearest.

use super::{CoordinateMode, Interpolation, NearestMode, Resize, ResizeAxis};

/// The elements that one result along an axis is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Taps {
    /// The first element.
    pub first: u64,
    /// Weights of it and of those after it, all of which exist; a border stands in for what is beyond it.
    pub weights: Vec<f64>,
    /// The result is outside of the operand and takes the extrapolation value.
    pub outside: bool,
}

impl Resize {
    /// For each result along an axis of `input` elements, `output` of them, what it is made of. All have the same number
    /// of weights.
    pub fn taps(&self, axis: &ResizeAxis, input: u64, output: u64) -> Vec<Taps> {
        let scale = axis.scale.unwrap_or(output as f32 / input as f32);
        (0..output)
            .map(|index| {
                let position = self.position(index as f32, scale, input as f32, output as f32, axis.region);
                let beyond = position < 0.0 || position > (input - 1) as f32;
                let outside = self.coordinates == CoordinateMode::TfCropAndResize && beyond;
                let (first, weights) = self.neighbours(position, input);
                inside(first, &weights, input, outside)
            })
            .collect()
    }

    fn position(&self, x: f32, scale: f32, input: f32, output: f32, [start, end]: [f32; 2]) -> f32 {
        match self.coordinates {
            CoordinateMode::HalfPixel => (x + 0.5) / scale - 0.5,
            CoordinateMode::HalfPixelSymmetric => {
                let adjustment = output / (scale * input);
                let offset = input / 2.0 * (1.0 - adjustment);
                (f64::from(offset) + (f64::from(x) + 0.5) / f64::from(scale) - 0.5) as f32
            }
            CoordinateMode::PytorchHalfPixel if output > 1.0 => (x + 0.5) / scale - 0.5,
            CoordinateMode::PytorchHalfPixel => 0.0,
            CoordinateMode::TfHalfPixelForNn => (x + 0.5) / scale,
            CoordinateMode::AlignCorners if output == 1.0 => 0.0,
            CoordinateMode::AlignCorners => x * (input - 1.0) / (output - 1.0),
            CoordinateMode::Asymmetric => x / scale,
            CoordinateMode::TfCropAndResize if output > 1.0 => {
                start * (input - 1.0) + (x * (end - start) * (input - 1.0)) / (output - 1.0)
            }
            CoordinateMode::TfCropAndResize => 0.5 * (start + end) * (input - 1.0),
        }
    }

    /// The first element and the weights, borders not yet considered.
    fn neighbours(&self, position: f32, input: u64) -> (i64, Vec<f64>) {
        let floor = position.floor();
        let ratio = f64::from(position - floor);
        match self.interpolation {
            Interpolation::Nearest(mode) => (nearest(mode, position), vec![1.0]),
            Interpolation::Linear => (floor as i64, vec![1.0 - ratio, ratio]),
            Interpolation::Cubic { coefficient, exclude_outside } => {
                let first = floor as i64 - 1;
                let mut weights: Vec<f64> =
                    (0..4).map(|tap| keys(coefficient, (ratio + 1.0 - f64::from(tap)).abs())).collect();
                if exclude_outside {
                    for (at, weight) in (first..).zip(&mut weights) {
                        *weight *= f64::from(u8::from((0..input as i64).contains(&at)));
                    }
                    let sum: f64 = weights.iter().sum();
                    weights.iter_mut().for_each(|weight| *weight /= sum);
                }
                (first, weights)
            }
        }
    }
}

fn nearest(mode: NearestMode, position: f32) -> i64 {
    let rounded = match mode {
        NearestMode::RoundPreferFloor if position.fract() == 0.5 => position.trunc(),
        NearestMode::RoundPreferFloor | NearestMode::RoundPreferCeil => position.round(),
        NearestMode::Floor => position.floor(),
        NearestMode::Ceil => position.ceil(),
    };
    rounded as i64
}

/// The kernel of cubic convolution at a distance.
fn keys(a: f64, distance: f64) -> f64 {
    let d = distance;
    if d <= 1.0 {
        ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0
    } else if d < 2.0 {
        ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a
    } else {
        0.0
    }
}

/// Moves the weights of elements beyond the borders to the borders.
fn inside(first: i64, weights: &[f64], input: u64, outside: bool) -> Taps {
    let count = weights.len().min(input as usize);
    let start = first.clamp(0, (input as usize - count) as i64);
    let mut kept = vec![0.0; count];
    for (at, weight) in (first..).zip(weights) {
        kept[(at.clamp(0, input as i64 - 1) - start) as usize] += weight;
    }
    Taps { first: start as u64, weights: kept, outside }
}

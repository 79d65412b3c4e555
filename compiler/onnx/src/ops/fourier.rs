//! Discrete Fourier transforms as products with constant matrices, windows, and the matrix of a mel scale.

use super::axis;
use super::index::constant_int;
use crate::budget::{LIST, Resource};
use crate::data_type::DataType;
use crate::error::NodeError;
use crate::node::{NodeCx, Results};
use drift_ir::op::{BinaryOp, Gather, MatMul};
use drift_ir::{Dim, ElementType, Op, Tensor, ValueId};
use std::f64::consts::PI;

/// Bytes that the matrix of one transform may take in f32.
const MATRIX_BYTES: u64 = 1 << 25;

/// A transform of signals of `length`, of which `given` numbers are there.
#[derive(Clone, Copy)]
struct Transform {
    length: u64,
    given: u64,
    /// Whether the signal has imaginary parts.
    complex: bool,
    inverse: bool,
    /// Forward: only the first `length / 2 + 1` results. Inverse: those are given, and the result is real.
    onesided: bool,
}

impl Transform {
    /// How many numbers come out, and of how many parts each is.
    fn results(self) -> (u64, u64) {
        match (self.inverse, self.onesided) {
            (true, true) => (self.length, 1),
            (false, true) => (self.length / 2 + 1, 2),
            (_, false) => (self.length, 2),
        }
    }

    /// The matrix from a signal's numbers, real and imaginary parts side by side, to the results'. `window` multiplies the signal.
    fn matrix(
        self,
        cx: &mut NodeCx<'_, '_>,
        element: ElementType,
        window: Option<&[f64]>,
    ) -> Result<ValueId, NodeError> {
        let parts = if self.complex { 2 } else { 1 };
        let (count, result_parts) = self.results();
        let [rows, columns] = [self.given.saturating_mul(parts), count.saturating_mul(result_parts)];
        let bytes = rows.saturating_mul(columns).saturating_mul(4);
        if bytes > MATRIX_BYTES {
            let reason = format!(
                "a transform of length {} would need a matrix of {bytes} bytes, beyond {MATRIX_BYTES}; compute it outside of the model",
                self.length
            );
            return Err(NodeError::Unsupported(reason));
        }
        cx.take(Resource::ConstantBytes, bytes)?;
        let mut numbers = Vec::with_capacity((rows * columns) as usize);
        for at in 0..self.given {
            let factor = window.map_or(1.0, |window| window[at as usize]);
            for part in 0..parts {
                for to in 0..count {
                    for to_part in 0..result_parts {
                        numbers.push(factor * self.entry((at, part), (to, to_part)));
                    }
                }
            }
        }
        cx.constant(Tensor::from_f64_as(element, [rows, columns], &numbers)?)
    }

    /// What a part of number `at` adds to a part of result `to`.
    fn entry(self, (at, part): (u64, u64), (to, to_part): (u64, u64)) -> f64 {
        // The angle of a whole number of turns less, which is exact.
        let turn = (u128::from(at) * u128::from(to) % u128::from(self.length)) as f64 / self.length as f64;
        let (sine, cosine) = (2.0 * PI * turn).sin_cos();
        let sine = if self.inverse { sine } else { -sine };
        let entry = match (part, to_part) {
            (0, 0) | (1, 1) => cosine,
            (0, 1) => sine,
            _ => -sine,
        };
        if !self.inverse {
            return entry;
        }
        // A number of one side stands for its conjugate on the other too, but for the two that have none.
        let is_pair = self.onesided && at != 0 && 2 * at != self.length;
        entry * if is_pair { 2.0 } else { 1.0 } / self.length as f64
    }
}

/// DFT, since 17: the axis is an attribute, 1 by default; since 20 it is an operand, -2 by default. Both it and the length are constants,
/// and the axis has a known size. One matrix product, in f32 for f16; longer transforms than a matrix of 2^25 bytes holds are refused.
pub(super) fn dft(cx: &mut NodeCx<'_, '_>) -> Results {
    let x = cx.operand(0)?;
    let rank = cx.rank(x);
    let given = match (cx.opset() < 20, cx.optional(2)) {
        (true, _) => cx.attributes.int("axis")?.unwrap_or(1),
        (false, None) => -2,
        (false, Some(_)) => constant_int(cx, 2, "axis")?,
    };
    let along = axis(given, rank)?;
    let inverse = cx.attributes.flag("inverse", false)?;
    let onesided = cx.attributes.flag("onesided", false)?;
    if along + 1 >= rank {
        let expected = "an axis before the last, which holds real and imaginary parts".to_owned();
        return Err(NodeError::Value { name: "axis", value: given.to_string(), expected });
    }
    let (complex, size) = (is_complex(cx, x)?, known(cx, x, along)?);
    let length = match cx.optional(1) {
        Some(_) => constant_int(cx, 1, "dft_length")?,
        None if inverse && onesided => 2 * (size as i64 - 1),
        None => size as i64,
    };
    let length = u64::try_from(length).ok().filter(|&length| length > 0).ok_or_else(|| NodeError::Value {
        name: "dft_length",
        value: length.to_string(),
        expected: "at least 1".to_owned(),
    })?;
    if onesided && complex != inverse {
        let (kind, wanted) = if inverse { ("inverse", "complex") } else { ("forward", "real") };
        return Err(NodeError::Operands(format!("a one-sided {kind} transform is of {wanted} numbers")));
    }
    let read = if inverse && onesided { length / 2 + 1 } else { length };
    let transform = Transform { length, given: size.min(read), complex, inverse, onesided };
    let element = cx.element(x);
    let mut x = cx.widened(x)?;
    x = cx.part(x, along, 0, transform.given)?;
    // The axis goes before the last and back.
    let mut order: Vec<usize> = (0..rank - 1).filter(|&at| at != along).collect();
    let mut back: Vec<usize> = (0..rank - 2).collect();
    order.extend([along, rank - 1]);
    back.insert(along, rank - 2);
    back.push(rank - 1);
    let x = cx.transpose(x, order)?;
    let y = transformed(cx, x, transform, None)?;
    let y = cx.transpose(y, back)?;
    Ok(vec![cx.cast(y, element)?])
}

/// The transform of `x [.., given, parts]`.
fn transformed(
    cx: &mut NodeCx<'_, '_>,
    x: ValueId,
    transform: Transform,
    window: Option<&[f64]>,
) -> Result<ValueId, NodeError> {
    let matrix = transform.matrix(cx, cx.element(x), window)?;
    let mut shape = cx.shape(x);
    let rank = shape.len();
    let (count, parts) = transform.results();
    let others = cx.product(&shape[..rank - 2])?;
    let width = cx.product(&shape[rank - 2..])?;
    let x = cx.reshape(x, vec![others, width])?;
    let y = cx.emit(Op::MatMul(MatMul::default()), &[x, matrix])?;
    shape[rank - 2] = Dim::Const(count);
    shape[rank - 1] = Dim::Const(parts);
    cx.reshape(y, shape)
}

/// STFT, since 17: frames of a signal of known length, each transformed. The step and the frame's length are constants; a constant window
/// is part of the matrix. Bounded like DFT.
pub(super) fn stft(cx: &mut NodeCx<'_, '_>) -> Results {
    let x = cx.operand(0)?;
    let onesided = cx.attributes.flag("onesided", true)?;
    // Before it had to have a third axis, writers left it out.
    let x = if cx.rank(x) == 2 { cx.insert_axis(x, 2)? } else { x };
    if cx.rank(x) != 3 {
        return Err(NodeError::Operands(format!("the signal has rank {}, expected 3", cx.rank(x))));
    }
    let (complex, samples) = (is_complex(cx, x)?, known(cx, x, 1)?);
    let step = constant_int(cx, 1, "frame_step")?;
    let window = cx.optional(2);
    let length = match (cx.optional(3), window) {
        (Some(_), _) => constant_int(cx, 3, "frame_length")?,
        (None, Some(window)) if cx.rank(window) == 1 => known(cx, window, 0)? as i64,
        _ => samples as i64,
    };
    let positive = |name, value: i64, high: u64| {
        let fits = u64::try_from(value).ok().filter(|value| (1..=high).contains(value));
        let expected = format!("1 to {high}");
        fits.ok_or(NodeError::Value { name, value: value.to_string(), expected })
    };
    let (step, length) =
        (positive("frame_step", step, i32::MAX as u64)?, positive("frame_length", length, samples)?);
    if window.is_some_and(|window| cx.shape(window) != [Dim::Const(length)]) {
        return Err(NodeError::Operands(format!("the window does not have the frame's length {length}")));
    }
    if onesided && complex {
        return Err(NodeError::Operands("a one-sided transform is of real numbers".to_owned()));
    }
    let element = cx.element(x);
    let x = cx.widened(x)?;
    let frames = (samples - length) / step + 1;
    cx.take(Resource::ConstantBytes, frames.saturating_mul(length).saturating_mul(8))?;
    let places: Vec<i64> =
        (0..frames).flat_map(|frame| (0..length).map(move |at| (frame * step + at) as i64)).collect();
    let places = cx.constant_i64(&[frames, length], &places)?;
    let mut x = cx.emit(Op::Gather(Gather { axis: 1 }), &[x, places])?;
    let constant = window.and_then(|window| cx.constant_tensor(window)).map(Tensor::to_f64_vec);
    if let (None, Some(window)) = (&constant, window) {
        let window = cx.cast(window, cx.element(x))?;
        let window = cx.insert_axis(window, 1)?;
        x = cx.binary(BinaryOp::Mul, x, window)?;
    }
    let transform = Transform { length, given: length, complex, inverse: false, onesided };
    let y = transformed(cx, x, transform, constant.as_deref())?;
    Ok(vec![cx.cast(y, element)?])
}

/// Whether the last axis holds imaginary parts beside the real ones.
fn is_complex(cx: &NodeCx<'_, '_>, x: ValueId) -> Result<bool, NodeError> {
    match cx.shape(x).last() {
        Some(Dim::Const(1)) => Ok(false),
        Some(Dim::Const(2)) => Ok(true),
        _ => Err(NodeError::Operands("the last axis of the signal has neither one nor two parts".to_owned())),
    }
}

fn known(cx: &NodeCx<'_, '_>, x: ValueId, axis: usize) -> Result<u64, NodeError> {
    cx.shape(x)[axis].as_const().ok_or_else(|| {
        NodeError::Unsupported(format!("axis {axis} of the signal has a free size; fix it with --dim"))
    })
}

/// HannWindow, since 17, of a constant size.
pub(super) fn hann_window(cx: &mut NodeCx<'_, '_>) -> Results {
    window(cx, [0.5, 0.5, 0.0])
}

/// HammingWindow, since 17, of a constant size.
pub(super) fn hamming_window(cx: &mut NodeCx<'_, '_>) -> Results {
    window(cx, [25.0 / 46.0, 21.0 / 46.0, 0.0])
}

/// BlackmanWindow, since 17, of a constant size.
pub(super) fn blackman_window(cx: &mut NodeCx<'_, '_>) -> Results {
    window(cx, [0.42, 0.5, 0.08])
}

/// `a - b cos(2 pi n / N) + c cos(4 pi n / N)`, where N is the size, or one less where the window is symmetric. The symmetric window of one
/// number, for which ONNX divides by zero, is one, as NumPy has it.
fn window(cx: &mut NodeCx<'_, '_>, [a, b, c]: [f64; 3]) -> Results {
    let periodic = cx.attributes.flag("periodic", true)?;
    let ty = output_type(cx)?;
    let size = constant_int(cx, 0, "size")?;
    let count = u64::try_from(size).map_err(|_| NodeError::Value {
        name: "size",
        value: size.to_string(),
        expected: "0 or more".to_owned(),
    })?;
    cx.take(Resource::ConstantBytes, count.saturating_mul(8))?;
    let turn = 2.0 * PI / if periodic { count as f64 } else { count as f64 - 1.0 };
    let number = |at: u64| match count {
        1 if !periodic => 1.0,
        _ => a - b * (turn * at as f64).cos() + c * (2.0 * turn * at as f64).cos(),
    };
    let numbers: Vec<f64> = (0..count).map(number).collect();
    Ok(vec![cx.constant(Tensor::from_f64_as(ty, [count], &numbers)?)?])
}

/// The attribute `output_datatype`, f32 by default.
fn output_type(cx: &mut NodeCx<'_, '_>) -> Result<ElementType, NodeError> {
    let given = cx.attributes.int("output_datatype")?.unwrap_or(1);
    match i32::try_from(given).ok().and_then(|given| DataType::from_proto(given).ok()) {
        Some(ty) if ty.element().is_float() && ty != DataType::Bfloat16 => Ok(ty.element()),
        _ => Err(NodeError::Unsupported(format!(
            "`output_datatype` {given} is not supported; use float, float16 or double"
        ))),
    }
}

/// MelWeightMatrix, since 17, of constants: triangles over the bins of a transform, whose corners lie evenly on the mel scale.
pub(super) fn mel_weight_matrix(cx: &mut NodeCx<'_, '_>) -> Results {
    let ty = output_type(cx)?;
    let (mels, length, rate) = (
        constant_int(cx, 0, "num_mel_bins")?,
        constant_int(cx, 1, "dft_length")?,
        constant_int(cx, 2, "sample_rate")?,
    );
    let mut edges = [0.0; 2];
    for (at, edge) in edges.iter_mut().enumerate() {
        let name = ["lower_edge_hertz", "upper_edge_hertz"][at];
        let value = cx.constant_scalar(cx.operand(3 + at)?);
        *edge = value.filter(|value| value.is_finite() && *value >= 0.0).ok_or_else(|| {
            NodeError::Unsupported(format!("`{name}` is not a constant that is finite and not negative"))
        })?;
    }
    let limit = LIST as i64 * 16;
    if !(0..=limit).contains(&mels) || !(1..=limit).contains(&length) || rate < 1 {
        let value = format!("{mels}, {length} and {rate}");
        let expected = format!("sizes of at most {limit} and a rate of at least 1");
        return Err(NodeError::Value { name: "num_mel_bins, dft_length, sample_rate", value, expected });
    }
    let (mels, bins) = (mels as usize, (length / 2 + 1) as usize);
    cx.take(Resource::ConstantBytes, (mels as u64 * bins as u64).saturating_mul(12))?;
    let numbers = mel_triangles(mels, bins, length, rate, edges)?;
    Ok(vec![cx.constant(Tensor::from_f64_as(ty, [bins as u64, mels as u64], &numbers)?)?])
}

/// Weights `[bins, mels]`.
fn mel_triangles(
    mels: usize,
    bins: usize,
    length: i64,
    rate: i64,
    edges: [f64; 2],
) -> Result<Vec<f64>, NodeError> {
    let [low, high] = edges.map(|edge| 2595.0 * (1.0 + edge / 700.0).log10());
    let step = (high - low) / (mels + 2) as f64;
    let corner = |at: usize| {
        let hertz = 700.0 * (10f64.powf((at as f64 * step + low) / 2595.0) - 1.0);
        let bin = ((length + 1) as f64 * hertz / rate as f64).floor();
        (bin >= 0.0 && bin < bins as f64).then_some(bin as usize)
    };
    let corners: Option<Vec<usize>> = (0..mels + 2).map(corner).collect();
    let corners = corners.filter(|corners| corners.is_sorted()).ok_or_else(|| NodeError::Value {
        name: "upper_edge_hertz",
        value: edges[1].to_string(),
        expected: "above the lower edge, and at most half the sample rate".to_owned(),
    })?;
    let mut numbers = vec![0.0; bins * mels];
    for mel in 0..mels {
        let [lower, center, upper] = [corners[mel], corners[mel + 1], corners[mel + 2]];
        if lower == center {
            numbers[center * mels + mel] = 1.0;
        }
        for bin in lower..=center {
            if lower < center {
                numbers[bin * mels + mel] = (bin - lower) as f64 / (center - lower) as f64;
            }
        }
        for bin in center..upper {
            numbers[bin * mels + mel] = (upper - bin) as f64 / (upper - center) as f64;
        }
    }
    Ok(numbers)
}

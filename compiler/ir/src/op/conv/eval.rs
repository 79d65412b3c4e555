//! Reference evaluation of convolutions: one product per batch item and group, its right-hand side unfolded on the fly.

use super::Conv;
use crate::op::buffer::{Buffer, Raw, Real, wrap};
use crate::op::eval_error::EvalErrorKind;
use crate::op::matmul::gemm::{Sizes, gemm};
use crate::tensor::{ElementType, Tensor};

/// Sizes of one convolution; spatial lists outermost first.
struct Geometry<'a> {
    conv: &'a Conv,
    input: Vec<i64>,
    kernel: Vec<i64>,
    output: Vec<i64>,
}

impl Conv {
    pub(crate) fn compute(&self, operands: &[&Tensor], shape: &[u64]) -> Result<Raw, EvalErrorKind> {
        let buffers: Vec<Buffer> = operands.iter().map(|operand| Buffer::from_tensor(operand)).collect();
        let signed = |sizes: &[u64]| sizes[2..].iter().map(|&size| size as i64).collect();
        let geometry = Geometry {
            conv: self,
            input: signed(operands[0].shape()),
            kernel: signed(operands[1].shape()),
            output: signed(shape),
        };
        let channels = operands[1].shape()[1] as usize;
        let (batch, outputs) = (shape[0] as usize, shape[1] as usize);
        let sizes = (batch, outputs, channels);
        Ok(Raw::Buffer(match buffers.as_slice() {
            [Buffer::F32(x), Buffer::F32(w)] => Buffer::F32(geometry.convolve(sizes, x, w, None)),
            [Buffer::F32(x), Buffer::F32(w), Buffer::F32(bias)] => {
                Buffer::F32(geometry.convolve(sizes, x, w, Some(bias)))
            }
            [Buffer::F64(x), Buffer::F64(w)] => Buffer::F64(geometry.convolve(sizes, x, w, None)),
            [Buffer::F64(x), Buffer::F64(w), Buffer::F64(bias)] => {
                Buffer::F64(geometry.convolve(sizes, x, w, Some(bias)))
            }
            [Buffer::Int(x), Buffer::Int(w)] => Buffer::Int(geometry.integers(sizes, [x, w], None)?),
            [Buffer::Int(x), Buffer::Int(w), Buffer::Int(bias)] => {
                Buffer::Int(geometry.integers(sizes, [x, w], Some(bias))?)
            }
            _ => unreachable!("inferred: conv operands are numbers of one type"),
        }))
    }
}

impl Geometry<'_> {
    /// Integers of 32 bits, which f64 holds with their products and sums below 2^53.
    fn integers(
        &self,
        sizes: (usize, usize, usize),
        factors: [&[i64]; 2],
        bias: Option<&[i64]>,
    ) -> Result<Vec<i64>, EvalErrorKind> {
        let largest =
            |numbers: &[i64]| numbers.iter().map(|number| number.unsigned_abs()).max().unwrap_or(0) as f64;
        let taps: i64 = self.kernel.iter().product();
        let terms = sizes.2 as f64 * taps as f64;
        let sum = largest(factors[0]) * largest(factors[1]) * terms + bias.map_or(0.0, largest);
        if sum >= (1_u64 << f64::MANTISSA_DIGITS) as f64 {
            return Err(EvalErrorKind::InexactSum);
        }
        let wide = |numbers: &[i64]| numbers.iter().map(|&number| number as f64).collect::<Vec<f64>>();
        let [x, w] = factors.map(wide);
        let result = self.convolve(sizes, &x, &w, bias.map(wide).as_deref());
        Ok(result.into_iter().map(|sum| wrap(sum as i64, ElementType::I32)).collect())
    }

    fn convolve<T: Real>(
        &self,
        (batch, outputs, channels): (usize, usize, usize),
        x: &[T],
        w: &[T],
        bias: Option<&[T]>,
    ) -> Vec<T> {
        let groups = self.conv.groups as usize;
        let area = |sizes: &[i64]| sizes.iter().product::<i64>() as usize;
        let (input, taps, pixels) = (area(&self.input), area(&self.kernel), area(&self.output));
        let sizes = Sizes { m: outputs / groups, n: pixels, k: channels * taps };
        let mut out = vec![T::default(); batch * outputs * pixels];
        for (index, out) in out.chunks_exact_mut(sizes.m * pixels).enumerate() {
            let group = index % groups;
            let weights = &w[group * sizes.m * sizes.k..(group + 1) * sizes.m * sizes.k];
            let source = &x[index * channels * input..(index + 1) * channels * input];
            let start = |row: usize| bias.map_or(0.0, |bias| bias[group * sizes.m + row].wide());
            let fill = |p: usize, column: usize, row: &mut [f64]| {
                let plane = &source[p / taps * input..(p / taps + 1) * input];
                self.unfold(plane, p % taps, column, row);
            };
            gemm(sizes, weights, start, fill, out);
        }
        out
    }

    /// What one tap of the kernel sees at the output positions from `first` on.
    fn unfold<T: Real>(&self, plane: &[T], tap: usize, first: usize, row: &mut [f64]) {
        let last = self.output.len() - 1;
        let width = self.output[last] as usize;
        let tap_x = tap as i64 % self.kernel[last];
        let mut done = 0;
        while done < row.len() {
            let position = first + done;
            let (line, x) = (position / width, position % width);
            let run = (width - x).min(row.len() - done);
            let values = &mut row[done..done + run];
            match self.input_line(line, tap as i64 / self.kernel[last]) {
                None => values.fill(0.0),
                Some(line) => {
                    let length = self.input[last] as usize;
                    let source = &plane[line * length..(line + 1) * length];
                    self.unfold_line(source, tap_x, x as i64, values);
                }
            }
            done += run;
        }
    }

    /// Which line of the input an output line reads through a tap; `None` is padding.
    fn input_line(&self, mut line: usize, mut tap: i64) -> Option<usize> {
        let last = self.output.len() - 1;
        let mut result = 0;
        let mut stride = 1;
        for axis in (0..last).rev() {
            let out = line as i64 % self.output[axis];
            let at = self.input_position(axis, out, tap % self.kernel[axis]);
            if !(0..self.input[axis]).contains(&at) {
                return None;
            }
            result += at * stride;
            stride *= self.input[axis];
            line /= self.output[axis] as usize;
            tap /= self.kernel[axis];
        }
        Some(result as usize)
    }

    fn input_position(&self, axis: usize, out: i64, tap: i64) -> i64 {
        let conv = self.conv;
        out * conv.strides[axis] as i64 + tap * conv.dilations[axis] as i64 - conv.pads[axis] as i64
    }

    fn unfold_line<T: Real>(&self, source: &[T], tap: i64, first: i64, values: &mut [f64]) {
        let last = self.output.len() - 1;
        let start = self.input_position(last, first, tap);
        let stride = self.conv.strides[last] as i64;
        let count = values.len() as i64;
        // Positions `before..end` of the run read inside the line.
        let before = div_ceil((-start).max(0), stride).min(count);
        let end = div_ceil((source.len() as i64 - start).max(0), stride).clamp(before, count);
        values[..before as usize].fill(0.0);
        values[end as usize..].fill(0.0);
        let inside = &mut values[before as usize..end as usize];
        if inside.is_empty() {
            return;
        }
        let source = &source[(start + before * stride) as usize..];
        if stride == 1 {
            for (value, source) in inside.iter_mut().zip(source) {
                *value = source.wide();
            }
        } else {
            for (value, source) in inside.iter_mut().zip(source.iter().step_by(stride as usize)) {
                *value = source.wide();
            }
        }
    }
}

/// Quotient of a non-negative number, rounded up.
fn div_ceil(value: i64, divisor: i64) -> i64 {
    value / divisor + i64::from(value % divisor != 0)
}

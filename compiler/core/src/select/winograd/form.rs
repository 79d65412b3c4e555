//! The forms F(2x2, 3x3) and F(4x4, 3x3) of Winograd's convolution: their matrices and the error that a layer would have.
//!
//! With points `a`, row `a` of B^T holds the coefficients of the product of `(x - b)` over the other points `b`, row `a` of G
//! `(1, a, a^2)` over the value of that product at `a`, and column `a` of A^T `(1, a, a^2, ...)`; infinity takes the leading
//! coefficients. Rows of B^T are scaled by powers of two and those of G by their inverses. (Lavin and Gray, "Fast
//! Algorithms for Convolutional Neural Networks", arXiv 1509.09308; the points of F(4x4) are the symmetric ones that
//! lose least when products are rounded to f16.)

use crate::physical::Element;
use drift_ir::Tensor;
use half::f16;
use std::f64::consts::{FRAC_1_SQRT_2, SQRT_2};

/// Taps of a filter along an axis.
const TAPS: usize = 3;

/// Taps of a filter.
const FILTER: usize = TAPS * TAPS;

/// A form, with tiles of 2x2 or 4x4 pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Form {
    Two,
    Four,
}

impl Form {
    /// Pixels of a tile along an axis.
    pub(super) const fn tile(self) -> u64 {
        match self {
            Self::Two => 2,
            Self::Four => 4,
        }
    }

    /// Pixels of an input tile along an axis, and points.
    const fn inner(self) -> usize {
        self.tile() as usize + TAPS - 1
    }

    /// Products that take the place of the convolution.
    pub(super) const fn positions(self) -> u64 {
        (self.inner() * self.inner()) as u64
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Two => "F(2x2, 3x3)",
            Self::Four => "F(4x4, 3x3)",
        }
    }

    /// The points but infinity, which stands last.
    const fn points(self) -> &'static [f64] {
        match self {
            Self::Two => &[0.0, 1.0, -1.0],
            Self::Four => &[0.0, FRAC_1_SQRT_2, -FRAC_1_SQRT_2, SQRT_2, -SQRT_2],
        }
    }

    /// What each row of B^T is scaled by.
    const fn scales(self) -> &'static [f64] {
        match self {
            Self::Two => &[1.0; 4],
            Self::Four => &[0.5, 0.25, 0.25, 0.5, 0.5, 0.5],
        }
    }

    /// B^T, for input tiles.
    fn input_matrix(self) -> Vec<Vec<f64>> {
        let points = self.points();
        let of = |others: Vec<f64>| -> Vec<f64> {
            // Coefficients of the product of (x - b), constant first.
            let mut coefficients = vec![1.0];
            for b in others {
                coefficients.insert(0, 0.0);
                for n in 1..coefficients.len() {
                    coefficients[n - 1] -= b * coefficients[n];
                }
            }
            coefficients.resize(self.inner(), 0.0);
            coefficients
        };
        let without = |skipped: usize| {
            let others = points.iter().enumerate().filter(|&(n, _)| n != skipped);
            others.map(|(_, &b)| b).collect::<Vec<f64>>()
        };
        let rows = (0..=points.len()).map(|n| of(without(n)));
        rows.zip(self.scales()).map(|(row, scale)| row.iter().map(|c| c * scale).collect()).collect()
    }

    /// G, for filters.
    fn filter_matrix(self) -> Vec<[f64; TAPS]> {
        let points = self.points();
        let rows = points.iter().enumerate().map(|(n, a)| {
            let others = points.iter().enumerate().filter(|&(other, _)| other != n);
            let value: f64 = others.map(|(_, b)| a - b).product();
            [1.0 / value, a / value, a * a / value]
        });
        rows.chain([[0.0, 0.0, 1.0]]).zip(self.scales()).map(|(row, scale)| row.map(|c| c / scale)).collect()
    }

    /// G with the scale of filters, half of it on each side.
    fn scaled_filter_matrix(self) -> Vec<[f32; TAPS]> {
        let scale = self.filter_scale().sqrt();
        self.filter_matrix().into_iter().map(|row| row.map(|c| (c * scale) as f32)).collect()
    }

    /// A^T, for tiles.
    fn tile_matrix(self) -> Vec<Vec<f64>> {
        let tile = self.tile() as i32;
        let row = |power: i32| {
            let infinity = if power == tile - 1 { 1.0 } else { 0.0 };
            self.points().iter().map(|a| a.powi(power)).chain([infinity]).collect()
        };
        (0..tile).map(row).collect()
    }

    /// What filters are scaled by, so that transformed ones are no larger than the largest weight: f16 holds them.
    pub(super) const fn filter_scale(self) -> f64 {
        match self {
            Self::Two => 1.0 / 4.0,
            Self::Four => 1.0 / 64.0,
        }
    }
}

/// The largest error of a sample of a layer's results over the largest result: what Winograd's form and its roundings
/// lose, on input tiles of seeded numbers around zero, against the convolution in f64 of the same rounded operands.
pub(super) fn sampled_error(form: Form, weights: &Tensor, stored: Element) -> f64 {
    const INPUT_TILES: usize = 4;
    const FILTERS: usize = 16;
    let (dst, src) = (weights.shape()[0] as usize, weights.shape()[1] as usize);
    let (inner, tile) = (form.inner(), form.tile() as usize);
    let round = |value: f32| match stored {
        Element::F16 => f16::from_f32(value).to_f32(),
        Element::F32 | Element::I32 | Element::U32 => value,
    };
    let single = |rows: Vec<Vec<f64>>| -> Vec<Vec<f32>> {
        rows.into_iter().map(|row| row.into_iter().map(|c| c as f32).collect()).collect()
    };
    let input_matrix = single(form.input_matrix());
    let filter_matrix: Vec<Vec<f32>> = form.scaled_filter_matrix().iter().map(|row| row.to_vec()).collect();
    let tile_matrix = single(form.tile_matrix());

    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let input_tiles: Vec<f32> =
        (0..INPUT_TILES * src * inner * inner).map(|_| round(numbers.next())).collect();
    let transformed: Vec<f32> = input_tiles
        .chunks_exact(inner * inner)
        .flat_map(|input_tile| both_sides(&input_matrix, input_tile))
        .map(round)
        .collect();
    let (mut error, mut largest) = (0.0_f64, 0.0_f64);
    for n in 0..FILTERS.min(dst) {
        let filter: Vec<f32> = channel(weights, n * dst / FILTERS.min(dst)).into_iter().map(round).collect();
        let domain: Vec<f32> = filter
            .chunks_exact(FILTER)
            .flat_map(|taps| both_sides(&filter_matrix, taps))
            .map(round)
            .collect();
        for input_tile in 0..INPUT_TILES {
            let channels = input_tile * src * inner * inner..(input_tile + 1) * src * inner * inner;
            let mut sums = vec![0.0_f32; inner * inner];
            let of_input_tile = transformed[channels.clone()].chunks_exact(inner * inner);
            for (v, u) in of_input_tile.zip(domain.chunks_exact(inner * inner)) {
                sums.iter_mut().zip(v.iter().zip(u)).for_each(|(sum, (v, u))| *sum += v * u);
            }
            let got = both_sides(&tile_matrix, &sums);
            let expected = convolved(&input_tiles[channels], &filter, inner, tile);
            for (got, expected) in got.into_iter().zip(expected) {
                let difference = (f64::from(got) / form.filter_scale() - expected).abs();
                error = error.max(if difference.is_nan() { f64::INFINITY } else { difference });
                largest = largest.max(expected.abs());
            }
        }
    }
    if error == 0.0 { 0.0 } else { error / largest }
}

/// The weights of output channel `o`.
fn channel(weights: &Tensor, o: usize) -> Vec<f32> {
    let shape = &weights.shape()[1..];
    let bytes = shape.iter().product::<u64>() as usize * weights.element().size_bytes();
    let part = weights.bytes().slice(o * bytes..(o + 1) * bytes);
    Tensor::new(weights.element(), shape, part).map_or_else(|_| Vec::new(), |tensor| tensor.to_f32_vec())
}

/// `m d m^T` of a square `d`.
fn both_sides(m: &[Vec<f32>], d: &[f32]) -> Vec<f32> {
    let (rows, size) = (m.len(), m[0].len());
    let mut half = vec![0.0; rows * size];
    for y in 0..rows {
        for x in 0..size {
            half[y * size + x] = (0..size).map(|n| m[y][n] * d[n * size + x]).sum();
        }
    }
    let mut whole = vec![0.0; rows * rows];
    for y in 0..rows {
        for x in 0..rows {
            whole[y * rows + x] = (0..size).map(|n| half[y * size + n] * m[x][n]).sum();
        }
    }
    whole
}

/// The convolution of an input tile in f64.
fn convolved(input_tile: &[f32], filter: &[f32], inner: usize, tile: usize) -> Vec<f64> {
    let mut result = vec![0.0; tile * tile];
    for (d, g) in input_tile.chunks_exact(inner * inner).zip(filter.chunks_exact(FILTER)) {
        for (tap, weight) in g.iter().enumerate() {
            let first = tap / TAPS * inner + tap % TAPS;
            for (sums, row) in result.chunks_exact_mut(tile).zip(d[first..].chunks(inner)) {
                for (sum, pixel) in sums.iter_mut().zip(row) {
                    *sum += f64::from(*pixel) * f64::from(*weight);
                }
            }
        }
    }
    result
}

/// Numbers around zero, near a normal distribution: sums of four uniform ones.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f32 {
        let mut uniform = || {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 >> 40) as f32 / (1 << 24) as f32 - 0.5
        };
        uniform() + uniform() + uniform() + uniform()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(shape: [u64; 4]) -> Tensor {
        let mut numbers = Numbers(7);
        let values: Vec<f32> = (0..shape.iter().product::<u64>()).map(|_| numbers.next() / 8.0).collect();
        Tensor::from_f32(shape, &values).expect("a count for the shape")
    }

    /// A^T ((G g) (B^T d)) is the convolution, for every pair of a pixel and a tap.
    #[test]
    fn the_matrices_convolve() {
        for form in [Form::Two, Form::Four] {
            let (b, g, a) = (form.input_matrix(), form.filter_matrix(), form.tile_matrix());
            let points = || 0..form.inner();
            for (out, pixel, tap) in all(a.len(), form.inner(), TAPS) {
                let value: f64 = points().map(|n| a[out][n] * g[n][tap] * b[n][pixel]).sum();
                let expected = if out + tap == pixel { 1.0 } else { 0.0 };
                assert!((value - expected).abs() < 1e-12, "{form:?} {pixel} {tap} {out}: {value}");
            }
        }
    }

    fn all(outer: usize, middle: usize, inner: usize) -> impl Iterator<Item = (usize, usize, usize)> {
        let of_outer = move |a| (0..middle).flat_map(move |b| (0..inner).map(move |c| (a, b, c)));
        (0..outer).flat_map(of_outer)
    }

    /// Pixels up to 1e4 stay within f16.
    #[test]
    fn input_tiles_fit_f16() {
        for form in [Form::Two, Form::Four] {
            for row in form.input_matrix() {
                let growth: f64 = row.iter().map(|c| c.abs()).sum();
                assert!(growth * growth * 1e4 < f64::from(f16::MAX), "{form:?} {row:?}");
            }
        }
    }

    /// The factors of the error bound in docs/winograd.md.
    #[test]
    fn errors_are_bounded() {
        for (form, bound) in [(Form::Two, 16.0), (Form::Four, 189.0)] {
            let (b, g, a) = (form.input_matrix(), form.filter_matrix(), form.tile_matrix());
            let of_row = |row: &Vec<f64>| -> f64 {
                let of_point = |n: usize| {
                    let input_tile: f64 = b[n].iter().map(|c| c.abs()).sum();
                    row[n].abs() * input_tile * g[n].iter().fold(0.0, |most: f64, c| most.max(c.abs()))
                };
                (0..form.inner()).map(of_point).sum()
            };
            let factor = a.iter().map(of_row).fold(0.0, f64::max).powi(2);
            assert!((factor / bound - 1.0).abs() < 1e-2, "{form:?} {factor}");
        }
    }

    #[test]
    fn filters_fit_f16() {
        for form in [Form::Two, Form::Four] {
            let sums = form.scaled_filter_matrix();
            let largest = sums.iter().map(|row| row.iter().map(|c| c.abs()).sum::<f32>()).fold(0.0, f32::max);
            assert!(largest <= 1.0, "{form:?} {largest}");
        }
    }

    /// f16 loses more with the larger tile; both tiles stay within what their roundings explain.
    #[test]
    fn the_error_of_a_layer_is_sampled() {
        let source = weights([24, 64, 3, 3]);
        let error = |form, stored| sampled_error(form, &source, stored);
        assert!((1e-8..1e-6).contains(&error(Form::Two, Element::F32)));
        assert!((1e-8..1e-5).contains(&error(Form::Four, Element::F32)));
        assert!((1e-4..1e-3).contains(&error(Form::Two, Element::F16)));
        let four = error(Form::Four, Element::F16);
        assert!(four > error(Form::Two, Element::F16) && four < 5e-3, "{four}");
        let zeros = Tensor::from_f32([2, 2, 3, 3], &[0.0; 36]).expect("36");
        assert_eq!(sampled_error(Form::Four, &zeros, Element::F16), 0.0);
    }
}

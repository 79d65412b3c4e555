//! Dense product with f64 accumulation, the inner loop of matrix products and convolutions.
//!
//! The right-hand side is packed a block of columns at a time, so callers can produce it on the fly (im2col). Each
//! output is summed in the order of `k`, so results do not depend on the blocking.

use crate::op::buffer::Real;

/// Columns of the right-hand side that are packed together.
pub(crate) const BLOCK: usize = 64;
/// Rows and columns of the register tile.
const TILE: usize = 4;

/// Sizes of a product `[m, k] x [k, n]`.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) m: usize,
    pub(crate) n: usize,
    pub(crate) k: usize,
}

/// `out[row, column] = start(row) + sum over p of a[row, p] * b[p, column]`.
///
/// `fill(p, column, row)` writes `b[p, column..]` to all of `row`, which has at most [`BLOCK`] entries.
pub(crate) fn gemm<T: Real>(
    sizes: Sizes,
    a: &[T],
    start: impl Fn(usize) -> f64,
    mut fill: impl FnMut(usize, usize, &mut [f64]),
    out: &mut [T],
) {
    let Sizes { m, n, k } = sizes;
    let mut panel = vec![0.0; k * BLOCK];
    let mut rows = vec![0.0; k * TILE];
    for first in (0..n).step_by(BLOCK) {
        let width = BLOCK.min(n - first);
        pack_columns(k, width, first, &mut fill, &mut panel);
        for top in (0..m).step_by(TILE) {
            let height = TILE.min(m - top);
            pack_rows(a, k, top, height, &mut rows);
            for (tile, columns) in
                panel.chunks_exact((k * TILE).max(1)).take(width.div_ceil(TILE)).enumerate()
            {
                let sums = multiply_tile(&rows, columns);
                store(&sums, top, height, first + tile * TILE, n, &start, out);
            }
            if k == 0 {
                store_empty(top, height, first, width, n, &start, out);
            }
        }
    }
}

/// Column tiles one after the other, each `[k][TILE]`.
fn pack_columns(
    k: usize,
    width: usize,
    first: usize,
    fill: &mut impl FnMut(usize, usize, &mut [f64]),
    panel: &mut [f64],
) {
    let mut row = [0.0; BLOCK];
    for p in 0..k {
        fill(p, first, &mut row[..width]);
        row[width..].fill(0.0);
        for (tile, values) in row.chunks_exact(TILE).take(width.div_ceil(TILE)).enumerate() {
            let at = (tile * k + p) * TILE;
            panel[at..at + TILE].copy_from_slice(values);
        }
    }
}

/// `[k][TILE]`, rows beyond `height` zero.
fn pack_rows<T: Real>(a: &[T], k: usize, top: usize, height: usize, rows: &mut [f64]) {
    if height < TILE {
        rows.fill(0.0);
    }
    for row in 0..height {
        let source = &a[(top + row) * k..(top + row + 1) * k];
        for (packed, &value) in rows.chunks_exact_mut(TILE).zip(source) {
            packed[row] = value.wide();
        }
    }
}

fn multiply_tile(rows: &[f64], columns: &[f64]) -> [[f64; TILE]; TILE] {
    let mut sums = [[0.0; TILE]; TILE];
    let (rows, _) = rows.as_chunks::<TILE>();
    let (columns, _) = columns.as_chunks::<TILE>();
    for (a, b) in rows.iter().zip(columns) {
        for (sum, &a) in sums.iter_mut().zip(a) {
            for (sum, &b) in sum.iter_mut().zip(b) {
                *sum += a * b;
            }
        }
    }
    sums
}

fn store<T: Real>(
    sums: &[[f64; TILE]; TILE],
    top: usize,
    height: usize,
    column: usize,
    n: usize,
    start: &impl Fn(usize) -> f64,
    out: &mut [T],
) {
    let width = TILE.min(n - column);
    for (row, sums) in sums.iter().enumerate().take(height) {
        let at = (top + row) * n + column;
        let offset = start(top + row);
        for (out, &sum) in out[at..at + width].iter_mut().zip(sums) {
            *out = T::narrow(sum + offset);
        }
    }
}

fn store_empty<T: Real>(
    top: usize,
    height: usize,
    first: usize,
    width: usize,
    n: usize,
    start: &impl Fn(usize) -> f64,
    out: &mut [T],
) {
    for row in top..top + height {
        out[row * n + first..row * n + first + width].fill(T::narrow(start(row)));
    }
}

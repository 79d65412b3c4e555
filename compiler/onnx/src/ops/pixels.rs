//! Images read at computed places: the pixels as rows of channels, of which a gather takes those that each sample needs.

use crate::error::NodeError;
use crate::node::NodeCx;
use drift_ir::op::{BinaryOp, Gather, ScalarOp, UnaryOp};
use drift_ir::{Dim, ElementType, Op, ValueId};

/// Images `[n, c, spatial..]` as rows `[n * pixels, c]`.
pub(super) struct Pixels {
    rows: ValueId,
    /// Sizes of the spatial axes, none of them zero.
    pub(super) sizes: Vec<u64>,
}

/// One pixel of an axis that a sample reads; both values have the samples' shape.
#[derive(Clone, Copy)]
pub(super) struct Tap {
    /// The place along the axis, i32, inside of it.
    pub(super) place: ValueId,
    /// What the pixel counts; one where it is none.
    pub(super) weight: Option<ValueId>,
    /// Whether the place meant is inside of the image; always where it is none.
    pub(super) inside: Option<ValueId>,
}

impl Pixels {
    /// The pixels of `x`, whose spatial sizes must be known.
    pub(super) fn new(cx: &mut NodeCx<'_, '_>, x: ValueId) -> Result<Self, NodeError> {
        let shape = cx.shape(x);
        let rank = shape.len();
        if rank < 3 {
            return Err(NodeError::Operands(format!("the images have rank {rank}, expected 3 at least")));
        }
        let sizes: Option<Vec<u64>> = shape[2..].iter().map(Dim::as_const).collect();
        let sizes = sizes.ok_or_else(|| {
            NodeError::Unsupported("the images have a free size; fix it with --dim".to_owned())
        })?;
        let pixels = sizes.iter().try_fold(1u64, |product, size| product.checked_mul(*size));
        if !pixels.is_some_and(|pixels| pixels > 0 && pixels <= i32::MAX as u64) {
            let reason = format!(
                "images of {sizes:?} pixels are not supported: there must be some, and fewer than 2^31"
            );
            return Err(NodeError::Unsupported(reason));
        }
        let mut last: Vec<usize> = (0..rank).filter(|&axis| axis != 1).collect();
        last.push(1);
        let rows = cx.transpose(x, last)?;
        let all = [&shape[..1], &shape[2..]].concat();
        let all = cx.product(&all)?;
        let rows = cx.reshape(rows, vec![all, shape[1].clone()])?;
        Ok(Self { rows, sizes })
    }

    /// The weighted sum of the pixels at every combination of the axes' taps, `[samples.., c]` in f32. `image` is each
    /// sample's, i32, and broadcasts. A pixel outside of the image counts as zero, whatever its neighbours hold.
    pub(super) fn sum(
        &self,
        cx: &mut NodeCx<'_, '_>,
        image: ValueId,
        axes: &[Vec<Tap>],
    ) -> Result<ValueId, NodeError> {
        self.combined(cx, image, axes, BinaryOp::Add)
    }

    /// The largest weighted pixel, otherwise like [`Self::sum`].
    pub(super) fn largest(
        &self,
        cx: &mut NodeCx<'_, '_>,
        image: ValueId,
        axes: &[Vec<Tap>],
    ) -> Result<ValueId, NodeError> {
        self.combined(cx, image, axes, BinaryOp::Max)
    }

    fn combined(
        &self,
        cx: &mut NodeCx<'_, '_>,
        image: ValueId,
        axes: &[Vec<Tap>],
        op: BinaryOp,
    ) -> Result<ValueId, NodeError> {
        let mut all = None;
        let mut odometer = vec![0; axes.len()];
        loop {
            let taps: Vec<Tap> = axes.iter().zip(&odometer).map(|(taps, &at)| taps[at]).collect();
            let part = self.weighted(cx, image, &taps)?;
            all = Some(match all {
                None => part,
                Some(all) => cx.binary(op, all, part)?,
            });
            let Some(axis) = (0..axes.len()).rev().find(|&axis| odometer[axis] + 1 < axes[axis].len()) else {
                break;
            };
            odometer[axis] += 1;
            odometer[axis + 1..].fill(0);
        }
        all.ok_or_else(|| NodeError::Operands("the images have no spatial axis".to_owned()))
    }

    /// One pixel of each sample, times its weight.
    fn weighted(&self, cx: &mut NodeCx<'_, '_>, image: ValueId, taps: &[Tap]) -> Result<ValueId, NodeError> {
        let mut row = image;
        let (mut weight, mut inside) = (None, None);
        for (tap, &size) in taps.iter().zip(&self.sizes) {
            let size = cx.scalar_like(row, size as f64)?;
            row = cx.binary(BinaryOp::Mul, row, size)?;
            row = cx.binary(BinaryOp::Add, row, tap.place)?;
            weight = both(cx, BinaryOp::Mul, weight, tap.weight)?;
            inside = both(cx, BinaryOp::And, inside, tap.inside)?;
        }
        let mut pixel = cx.emit(Op::Gather(Gather { axis: 0 }), &[self.rows, row])?;
        let last = cx.rank(pixel) - 1;
        if let Some(inside) = inside {
            let inside = cx.insert_axis(inside, last)?;
            let zero = cx.scalar_like(pixel, 0.0)?;
            pixel = cx.emit(Op::Elementwise(ScalarOp::Select), &[inside, pixel, zero])?;
        }
        let pixel = cx.cast(pixel, ElementType::F32)?;
        match weight {
            Some(weight) => {
                let weight = cx.insert_axis(weight, last)?;
                cx.binary(BinaryOp::Mul, pixel, weight)
            }
            None => Ok(pixel),
        }
    }
}

/// Either, or the two combined.
fn both(
    cx: &mut NodeCx<'_, '_>,
    op: BinaryOp,
    a: Option<ValueId>,
    b: Option<ValueId>,
) -> Result<Option<ValueId>, NodeError> {
    match (a, b) {
        (Some(a), Some(b)) => cx.binary(op, a, b).map(Some),
        (a, b) => Ok(a.or(b)),
    }
}

/// `op(x, number)`.
pub(super) fn with_number(
    cx: &mut NodeCx<'_, '_>,
    op: BinaryOp,
    x: ValueId,
    number: f64,
) -> Result<ValueId, NodeError> {
    let number = cx.scalar_like(x, number)?;
    cx.binary(op, x, number)
}

/// A float position as a place of an axis of `size`, i32: limited to the axis before it is converted, NaN as the first.
pub(super) fn place(cx: &mut NodeCx<'_, '_>, x: ValueId, size: u64) -> Result<ValueId, NodeError> {
    let limited = cx.emit(Op::Elementwise(ScalarOp::Clip { min: 0.0, max: (size - 1) as f64 }), &[x])?;
    cx.cast(limited, ElementType::I32)
}

/// Whether `low <= x <= high`.
pub(super) fn within(cx: &mut NodeCx<'_, '_>, x: ValueId, low: f64, high: f64) -> Result<ValueId, NodeError> {
    let above = with_number(cx, BinaryOp::GreaterOrEqual, x, low)?;
    let below = with_number(cx, BinaryOp::LessOrEqual, x, high)?;
    cx.binary(BinaryOp::And, above, below)
}

/// `x` mirrored at `low` and `high` until it lies between them.
pub(super) fn mirrored(
    cx: &mut NodeCx<'_, '_>,
    x: ValueId,
    low: f64,
    high: f64,
) -> Result<ValueId, NodeError> {
    let range = high - low;
    if range <= 0.0 {
        let same = with_number(cx, BinaryOp::Mul, x, 0.0)?;
        return with_number(cx, BinaryOp::Add, same, low);
    }
    let distance = with_number(cx, BinaryOp::Sub, x, low)?;
    let distance = cx.unary(UnaryOp::Abs, distance)?;
    let turns = with_number(cx, BinaryOp::Div, distance, 2.0 * range)?;
    let turns = cx.unary(UnaryOp::Floor, turns)?;
    let whole = with_number(cx, BinaryOp::Mul, turns, 2.0 * range)?;
    let rest = cx.binary(BinaryOp::Sub, distance, whole)?;
    let from_end = with_number(cx, BinaryOp::Sub, rest, range)?;
    let from_end = cx.unary(UnaryOp::Abs, from_end)?;
    let high = cx.scalar_like(from_end, high)?;
    cx.binary(BinaryOp::Sub, high, from_end)
}

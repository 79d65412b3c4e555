//! Sampling of images at the places of a grid, and the grids of affine maps.

use super::pixels::{Pixels, Tap, mirrored, place, with_number, within};
use crate::budget::Resource;
use crate::error::NodeError;
use crate::node::{NodeCx, Results};
use drift_ir::op::{BinaryOp, MatMul, Range, ScalarOp, ShapeOf, UnaryOp};
use drift_ir::{Dim, ElementType, Op, Tensor, ValueId};

/// How samples between pixels are computed.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Linear,
    Nearest,
    Cubic,
}

/// What is beyond an image.
#[derive(Clone, Copy, PartialEq)]
enum Padding {
    Zeros,
    Border,
    Reflection,
}

/// GridSample, since 16, where the modes are called `bilinear` and `bicubic`; since 20 `linear` and `cubic`, and three spatial axes.
/// A sample sums gathered pixels; `cubic` is that of Keys with a = -0.75. Computes in f32. Refused: `cubic` of other than two spatial axes,
/// free image sizes.
pub(super) fn grid_sample(cx: &mut NodeCx<'_, '_>) -> Results {
    let (x, grid) = (cx.operand(0)?, cx.operand(1)?);
    let mode = match cx.attributes.text("mode")?.unwrap_or("linear") {
        "linear" | "bilinear" => Mode::Linear,
        "nearest" => Mode::Nearest,
        "cubic" | "bicubic" => Mode::Cubic,
        other => return Err(bad_text("mode", other, "`linear`, `nearest` or `cubic`")),
    };
    let padding = match cx.attributes.text("padding_mode")?.unwrap_or("zeros") {
        "zeros" => Padding::Zeros,
        "border" => Padding::Border,
        "reflection" => Padding::Reflection,
        other => return Err(bad_text("padding_mode", other, "`zeros`, `border` or `reflection`")),
    };
    let aligned = cx.attributes.flag("align_corners", false)?;
    let (shape, places) = (cx.shape(x), cx.shape(grid));
    let rank = shape.len();
    if rank < 3 || places.len() != rank || places.last() != Some(&Dim::Const(rank as u64 - 2)) {
        let reason =
            "the grid does not give a place with as many coordinates as the images have spatial axes";
        return Err(NodeError::Operands(reason.to_owned()));
    }
    if places[0] != shape[0] {
        return Err(NodeError::Operands("the grid has another batch than the images".to_owned()));
    }
    if rank > 5 || mode == Mode::Cubic && rank != 4 {
        let reason = format!("images with {} spatial axes are not supported in this mode", rank - 2);
        return Err(NodeError::Unsupported(reason));
    }
    let element = cx.element(x);
    let pixels = Pixels::new(cx, x)?;
    let samples = cx.product(&places[1..rank - 1])?;
    let grid = cx.reshape(grid, vec![places[0].clone(), samples, Dim::Const(rank as u64 - 2)])?;
    let grid = cx.cast(grid, ElementType::F32)?;
    let mut axes = Vec::new();
    for (axis, &size) in pixels.sizes.iter().enumerate() {
        // The last axis has the first coordinate.
        let at = coordinate(cx, grid, (pixels.sizes.len() - 1 - axis) as u64)?;
        let edges = if aligned { (0.0, size as f64 - 1.0) } else { (-0.5, size as f64 - 0.5) };
        let at = pixel_coordinate(cx, at, size, aligned)?;
        axes.push(taps(cx, at, size, edges, mode, padding)?);
    }
    let image = images(cx, x)?;
    let sum = pixels.sum(cx, image, &axes)?;
    let sum = cx.cast(sum, element)?;
    let sum = cx.transpose(sum, vec![0, 2, 1])?;
    let mut result = vec![shape[0].clone(), shape[1].clone()];
    result.extend_from_slice(&places[1..rank - 1]);
    Ok(vec![cx.reshape(sum, result)?])
}

fn bad_text(name: &'static str, value: &str, expected: &str) -> NodeError {
    NodeError::Value { name, value: value.to_owned(), expected: expected.to_owned() }
}

/// The number of each image, i32 `[n, 1]`.
fn images(cx: &mut NodeCx<'_, '_>, x: ValueId) -> Result<ValueId, NodeError> {
    let batch = cx.shape(x)[0].clone();
    let numbers = match batch.as_const() {
        Some(count) => cx.counting(&[count], count)?,
        None => {
            let size = cx.emit(Op::ShapeOf(ShapeOf { start: 0, end: 1 }), &[x])?;
            let size = cx.reshape(size, Vec::new())?;
            let (zero, one) = (cx.constant_i64(&[], &[0])?, cx.constant_i64(&[], &[1])?);
            cx.emit(Op::Range(Range), &[zero, size, one])?
        }
    };
    let numbers = cx.cast(numbers, ElementType::I32)?;
    cx.reshape(numbers, vec![batch, Dim::Const(1)])
}

/// One coordinate of a grid `[n, samples, coordinates]`, `[n, samples]`.
fn coordinate(cx: &mut NodeCx<'_, '_>, grid: ValueId, at: u64) -> Result<ValueId, NodeError> {
    let part = cx.part(grid, 2, at, 1)?;
    let shape = cx.shape(part)[..2].to_vec();
    cx.reshape(part, shape)
}

/// From -1 to 1 over an image to its pixels' numbers.
fn pixel_coordinate(
    cx: &mut NodeCx<'_, '_>,
    at: ValueId,
    size: u64,
    aligned: bool,
) -> Result<ValueId, NodeError> {
    let at = with_number(cx, BinaryOp::Add, at, 1.0)?;
    if aligned {
        return with_number(cx, BinaryOp::Mul, at, (size as f64 - 1.0) / 2.0);
    }
    let at = with_number(cx, BinaryOp::Mul, at, size as f64)?;
    let at = with_number(cx, BinaryOp::Sub, at, 1.0)?;
    with_number(cx, BinaryOp::Mul, at, 0.5)
}

/// The pixels along one axis that a sample at `at` reads.
fn taps(
    cx: &mut NodeCx<'_, '_>,
    at: ValueId,
    size: u64,
    (low, high): (f64, f64),
    mode: Mode,
    padding: Padding,
) -> Result<Vec<Tap>, NodeError> {
    let mut at = if mode == Mode::Nearest { cx.unary(UnaryOp::Round, at)? } else { at };
    if padding != Padding::Zeros {
        let known = within(cx, at, low, high)?;
        let other = match padding {
            Padding::Reflection => mirrored(cx, at, low, high)?,
            _ => cx.emit(Op::Elementwise(ScalarOp::Clip { min: 0.0, max: size as f64 - 1.0 }), &[at])?,
        };
        at = cx.emit(Op::Elementwise(ScalarOp::Select), &[known, at, other])?;
    }
    let tap = |cx: &mut NodeCx<'_, '_>, at: ValueId, weight| {
        let inside = match padding {
            Padding::Zeros => Some(within(cx, at, 0.0, size as f64 - 1.0)?),
            Padding::Border | Padding::Reflection => None,
        };
        let at = if padding == Padding::Reflection { mirrored(cx, at, low, high)? } else { at };
        Ok::<_, NodeError>(Tap { place: place(cx, at, size)?, weight, inside })
    };
    if mode == Mode::Nearest {
        return Ok(vec![tap(cx, at, None)?]);
    }
    let first = cx.unary(UnaryOp::Floor, at)?;
    let part = cx.binary(BinaryOp::Sub, at, first)?;
    let weights = match mode {
        Mode::Cubic => cubic(cx, part)?,
        _ => {
            let one = cx.scalar_like(part, 1.0)?;
            vec![(0.0, cx.binary(BinaryOp::Sub, one, part)?), (1.0, part)]
        }
    };
    let mut taps = Vec::new();
    for (offset, weight) in weights {
        let at = with_number(cx, BinaryOp::Add, first, offset)?;
        taps.push(tap(cx, at, Some(weight))?);
    }
    Ok(taps)
}

/// Offsets and weights of the four pixels around a place that is `part` behind the second.
fn cubic(cx: &mut NodeCx<'_, '_>, part: ValueId) -> Result<Vec<(f64, ValueId)>, NodeError> {
    const A: f64 = -0.75;
    let one = cx.scalar_like(part, 1.0)?;
    let rest = cx.binary(BinaryOp::Sub, one, part)?;
    // Keys: ((a + 2) x - (a + 3)) x^2 + 1 up to one, ((a x - 5 a) x + 8 a) x - 4 a from one to two.
    let near = |cx: &mut NodeCx<'_, '_>, x: ValueId| horner(cx, x, &[A + 2.0, -(A + 3.0), 0.0, 1.0]);
    let far = |cx: &mut NodeCx<'_, '_>, x: ValueId| {
        let x = with_number(cx, BinaryOp::Add, x, 1.0)?;
        horner(cx, x, &[A, -5.0 * A, 8.0 * A, -4.0 * A])
    };
    Ok(vec![(-1.0, far(cx, part)?), (0.0, near(cx, part)?), (1.0, near(cx, rest)?), (2.0, far(cx, rest)?)])
}

/// A polynomial, its highest power first.
fn horner(cx: &mut NodeCx<'_, '_>, x: ValueId, factors: &[f64; 4]) -> Result<ValueId, NodeError> {
    let mut sum = with_number(cx, BinaryOp::Mul, x, factors[0])?;
    for &factor in &factors[1..3] {
        if factor != 0.0 {
            sum = with_number(cx, BinaryOp::Add, sum, factor)?;
        }
        sum = cx.binary(BinaryOp::Mul, sum, x)?;
    }
    with_number(cx, BinaryOp::Add, sum, factors[3])
}

/// AffineGrid, since 20: the places of an image of a constant `size` under maps `theta [n, axes, axes + 1]`, which is the product of
/// the maps with constant places. An aligned axis of one element is at -1.
pub(super) fn affine_grid(cx: &mut NodeCx<'_, '_>) -> Results {
    let (theta, size) = (cx.operand(0)?, cx.operand(1)?);
    let aligned = cx.attributes.flag("align_corners", false)?;
    let size = cx.constant_ints(size, "size")?;
    let sizes: Option<Vec<u64>> = size.iter().map(|&size| u64::try_from(size).ok()).collect();
    let sizes = sizes.filter(|sizes| matches!(sizes.len(), 4 | 5)).ok_or_else(|| NodeError::Value {
        name: "size",
        value: format!("{size:?}"),
        expected: "sizes of a batch, channels and two or three spatial axes".to_owned(),
    })?;
    let (spatial, rank) = (&sizes[2..], sizes.len() - 2);
    let map = [Dim::Const(sizes[0]), Dim::Const(rank as u64), Dim::Const(rank as u64 + 1)];
    if cx.shape(theta) != map {
        let reason = format!("`theta` is not [{}, {rank}, {}], which the size asks for", sizes[0], rank + 1);
        return Err(NodeError::Operands(reason));
    }
    let places = spatial.iter().try_fold(1u64, |product, size| product.checked_mul(*size));
    let numbers = places.and_then(|places| places.checked_mul(rank as u64 + 1)).unwrap_or(u64::MAX);
    cx.take(Resource::ConstantBytes, numbers.saturating_mul(12))?;
    let places = places.unwrap_or(0);
    let mut positions = Vec::with_capacity(numbers as usize);
    for place in 0..places {
        // The last axis comes first.
        let mut inner = 1;
        for &size in spatial.iter().rev() {
            let at = (place / inner % size) as f64;
            inner *= size;
            positions.push(match (aligned, size) {
                (true, 1) => -1.0,
                (true, _) => -1.0 + 2.0 * at / (size as f64 - 1.0),
                (false, _) => (2.0 * at + 1.0) / size as f64 - 1.0,
            });
        }
        positions.push(1.0);
    }
    let element = cx.element(theta);
    let theta = cx.widened(theta)?;
    let shape = [places, rank as u64 + 1];
    let positions = cx.constant(Tensor::from_f64_as(cx.element(theta), shape, &positions)?)?;
    let grid = cx.emit(Op::MatMul(MatMul { transpose_b: true }), &[positions, theta])?;
    let grid = cx.cast(grid, element)?;
    let mut result = vec![Dim::Const(sizes[0])];
    result.extend(spatial.iter().map(|&size| Dim::Const(size)));
    result.push(Dim::Const(rank as u64));
    Ok(vec![cx.reshape(grid, result)?])
}

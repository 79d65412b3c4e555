//! Regions of images, sampled on a grid of their own.

use super::pixels::{Pixels, Tap, place, with_number, within};
use crate::budget::Resource;
use crate::error::NodeError;
use crate::node::{NodeCx, Results};
use drift_ir::op::{BinaryOp, Reduce, ReduceKind, ScalarOp, UnaryOp};
use drift_ir::{Dim, ElementType, Op, Tensor, ValueId};

/// What a node's attributes say.
struct Form {
    /// Bins along the height and the width.
    bins: [u64; 2],
    /// Samples along each axis of a bin.
    samples: u64,
    scale: f64,
    /// Whether places are half a pixel less.
    half_pixel: bool,
}

/// RoiAlign, since 10; since 16 `coordinate_transformation_mode`, `half_pixel` by default, before always `output_half_pixel`. The mean or the
/// maximum of bilinear samples of each bin, in f32; `max` is that of the samples' four weighted pixels, as ONNX Runtime has it. Refused:
/// `sampling_ratio` 0, with which the regions decide how many samples there are, and free image sizes. A region of an image that is not there
/// reads some other.
pub(super) fn roi_align(cx: &mut NodeCx<'_, '_>) -> Results {
    let (x, rois, images) = (cx.operand(0)?, cx.operand(1)?, cx.operand(2)?);
    let shape = cx.shape(x);
    if shape.len() != 4 || cx.rank(rois) != 2 || cx.shape(rois)[1] != Dim::Const(4) || cx.rank(images) != 1 {
        let reason = "expected images of rank 4, regions [n, 4] and the number of an image for each";
        return Err(NodeError::Operands(reason.to_owned()));
    }
    let takes_largest = match cx.attributes.text("mode")?.unwrap_or("avg") {
        "avg" => false,
        "max" => true,
        other => {
            let expected = "`avg` or `max`".to_owned();
            return Err(NodeError::Value { name: "mode", value: other.to_owned(), expected });
        }
    };
    let form = Form::read(cx)?;
    let (element, regions) = (cx.element(x), cx.shape(rois)[0].clone());
    let pixels = Pixels::new(cx, x)?;
    let rois = cx.cast(rois, ElementType::F32)?;
    let rows = taps(cx, &form, rois, 0, pixels.sizes[0])?;
    let columns = taps(cx, &form, rois, 1, pixels.sizes[1])?;
    let image = cx.cast(images, ElementType::I32)?;
    let image = cx.reshape(image, vec![regions.clone(), Dim::Const(1), Dim::Const(1)])?;
    let axes = [rows, columns];
    let sampled = match takes_largest {
        false => pixels.sum(cx, image, &axes)?,
        true => pixels.largest(cx, image, &axes)?,
    };
    // `[regions, rows of samples, columns of samples, channels]`, a bin's rows first, then its columns.
    let kind = if takes_largest { ReduceKind::Max } else { ReduceKind::Mean };
    let [height, width] = form.bins;
    let (samples, channels) = (Dim::Const(form.samples), shape[1].clone());
    let wide = Dim::Const(width * form.samples);
    let rows = cx.product(&[regions.clone(), Dim::Const(height)])?;
    let line = cx.product(&[wide, channels.clone()])?;
    let y = reduced(cx, sampled, vec![rows.clone(), samples.clone(), line], kind)?;
    let bins = cx.product(&[rows, Dim::Const(width)])?;
    let y = reduced(cx, y, vec![bins, samples, channels.clone()], kind)?;
    let y = cx.reshape(y, vec![regions.clone(), Dim::Const(height * width), channels.clone()])?;
    let y = cx.transpose(y, vec![0, 2, 1])?;
    let y = cx.reshape(y, vec![regions, channels, Dim::Const(height), Dim::Const(width)])?;
    Ok(vec![cx.cast(y, element)?])
}

/// Over the middle axis of a shape of three.
fn reduced(
    cx: &mut NodeCx<'_, '_>,
    x: ValueId,
    shape: Vec<Dim>,
    kind: ReduceKind,
) -> Result<ValueId, NodeError> {
    let x = cx.reshape(x, shape)?;
    cx.emit(Op::Reduce(Reduce { kind, axes: vec![1], keep_dims: false }), &[x])
}

impl Form {
    fn read(cx: &mut NodeCx<'_, '_>) -> Result<Self, NodeError> {
        let half_pixel = if cx.opset() < 16 {
            false
        } else {
            match cx.attributes.text("coordinate_transformation_mode")?.unwrap_or("half_pixel") {
                "half_pixel" => true,
                "output_half_pixel" => false,
                other => {
                    let expected = "`half_pixel` or `output_half_pixel`".to_owned();
                    let (name, value) = ("coordinate_transformation_mode", other.to_owned());
                    return Err(NodeError::Value { name, value, expected });
                }
            }
        };
        let samples = cx.attributes.int("sampling_ratio")?.unwrap_or(0);
        if samples == 0 {
            let reason = "`sampling_ratio` 0 lets each region decide how many samples it takes; export the model with a fixed number";
            return Err(NodeError::Unsupported(reason.to_owned()));
        }
        let size = |name, value: i64| {
            let fits = u64::try_from(value).ok().filter(|size| (1..=1 << 12).contains(size));
            let expected = "1 to 4096".to_owned();
            fits.ok_or(NodeError::Value { name, value: value.to_string(), expected })
        };
        Ok(Self {
            samples: size("sampling_ratio", samples)?,
            bins: [
                size("output_height", cx.attributes.int("output_height")?.unwrap_or(1))?,
                size("output_width", cx.attributes.int("output_width")?.unwrap_or(1))?,
            ],
            scale: f64::from(cx.attributes.float("spatial_scale")?.unwrap_or(1.0)),
            half_pixel,
        })
    }
}

/// The two pixels that each sample reads along an axis (0 the rows, 1 the columns), in a shape that broadcasts to
/// `[regions, rows, columns]`.
fn taps(
    cx: &mut NodeCx<'_, '_>,
    form: &Form,
    rois: ValueId,
    axis: usize,
    size: u64,
) -> Result<Vec<Tap>, NodeError> {
    let mut corner = |at: u64| {
        let corner = cx.part(rois, 1, at, 1)?;
        let corner = with_number(cx, BinaryOp::Mul, corner, form.scale)?;
        if form.half_pixel { with_number(cx, BinaryOp::Sub, corner, 0.5) } else { Ok(corner) }
    };
    // A region is x1, y1, x2, y2.
    let (start, end) = (corner(1 - axis as u64)?, corner(3 - axis as u64)?);
    let mut length = cx.binary(BinaryOp::Sub, end, start)?;
    if !form.half_pixel {
        length = with_number(cx, BinaryOp::Max, length, 1.0)?;
    }
    let bins = form.bins[axis];
    cx.take(Resource::ConstantBytes, bins * form.samples * 12)?;
    let parts: Vec<f64> =
        (0..bins * form.samples).map(|at| (at as f64 + 0.5) / (form.samples * bins) as f64).collect();
    let parts = cx.constant(Tensor::from_f64_as(ElementType::F32, [1, bins * form.samples], &parts)?)?;
    let at = cx.binary(BinaryOp::Mul, length, parts)?;
    let at = cx.binary(BinaryOp::Add, at, start)?;
    let at = cx.insert_axis(at, 2 - axis)?;
    // Up to a pixel beyond the image counts as its edge, what is farther as zero.
    let inside = within(cx, at, -1.0, size as f64)?;
    let at = cx.emit(Op::Elementwise(ScalarOp::Clip { min: 0.0, max: (size - 1) as f64 }), &[at])?;
    let first = cx.unary(UnaryOp::Floor, at)?;
    let part = cx.binary(BinaryOp::Sub, at, first)?;
    let one = cx.scalar_like(part, 1.0)?;
    let rest = cx.binary(BinaryOp::Sub, one, part)?;
    let next = with_number(cx, BinaryOp::Add, first, 1.0)?;
    let (first, next) = (place(cx, first, size)?, place(cx, next, size)?);
    let tap = |place, weight| Tap { place, weight: Some(weight), inside: Some(inside) };
    Ok(vec![tap(first, rest), tap(next, part)])
}

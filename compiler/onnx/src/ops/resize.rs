//! Resampling.

use super::axis;
use crate::error::NodeError;
use crate::node::{NodeCx, Results};
use drift_ir::op::{CoordinateMode, Interpolation, NearestMode, Resize, ResizeAxis};
use drift_ir::{Dim, Op, ValueId};

/// Upsample: scales are an attribute in 7 and an operand in 9; 10 replaces it by Resize.
pub(super) fn upsample(cx: &mut NodeCx<'_, '_>) -> Results {
    let scales = match cx.opset() {
        ..9 => cx.attributes.floats("scales")?.map(<[f32]>::to_vec),
        _ => Some(cx.constant_floats(cx.operand(1)?, "scales")?),
    };
    by_scales(cx, scales.unwrap_or_default())
}

/// Resize. 10 has scales only, and no attribute but `mode`. 11 adds sizes, a region of interest and all modes; 13 makes
/// the region optional; 18 adds `axes`, `antialias` and `keep_aspect_ratio_policy` and takes `tf_half_pixel_for_nn` away;
/// 19 adds `half_pixel_symmetric`.
pub(super) fn resize(cx: &mut NodeCx<'_, '_>) -> Results {
    if cx.opset() < 11 {
        let scales = cx.constant_floats(cx.operand(1)?, "scales")?;
        return by_scales(cx, scales);
    }
    let x = cx.operand(0)?;
    let rank = cx.rank(x);
    let axes: Vec<usize> = match cx.attributes.ints("axes")? {
        None => (0..rank).collect(),
        Some(axes) => axes.iter().map(|&given| axis(given, rank)).collect::<Result<_, _>>()?,
    };
    let coordinates = word(cx, "coordinate_transformation_mode", "half_pixel", &CoordinateMode::NAMED)?;
    let regions = regions(cx, coordinates, axes.len())?;
    let (scales, sizes) = (operand(cx, 2), operand(cx, 3));
    let mut resized = match (scales, sizes) {
        (Some(scales), None) => {
            // It says how sizes are met, so it means nothing here; exporters write it nevertheless.
            cx.attributes.ignore(&["keep_aspect_ratio_policy"]);
            let scales = cx.constant_floats(scales, "scales")?;
            scaled(cx, x, &axes, &scales)?
        }
        (None, Some(sizes)) => {
            let sizes = cx.sizes(sizes, "sizes")?;
            sized(cx, x, &axes, &sizes)?
        }
        _ => {
            let reason = "either `scales` or `sizes` has to be given, not both";
            return Err(NodeError::Operands(reason.to_owned()));
        }
    };
    for (resized, region) in resized.iter_mut().zip(regions) {
        resized.region = region;
    }
    let interpolation = interpolation(cx)?;
    if cx.attributes.flag("antialias", false)? {
        check_antialias(cx, x, &resized, interpolation)?;
    }
    let extrapolation = f64::from(cx.attributes.float("extrapolation_value")?.unwrap_or(0.0));
    finish(cx, x, resized, interpolation, coordinates, extrapolation)
}

/// The form before 11: positions are `x / scale`, nearest ones rounded down. For nearest downsampling runtimes disagree on
/// the rounding, so it is refused where rounding matters.
fn by_scales(cx: &mut NodeCx<'_, '_>, scales: Vec<f32>) -> Results {
    let x = cx.operand(0)?;
    let axes: Vec<usize> = (0..cx.rank(x)).collect();
    let resized = scaled(cx, x, &axes, &scales)?;
    let nearest = match cx.attributes.text("mode")?.unwrap_or("nearest") {
        "nearest" => true,
        "linear" | "bilinear" => false,
        other => {
            let expected = "nearest or linear".to_owned();
            return Err(NodeError::Value { name: "mode", value: other.to_owned(), expected });
        }
    };
    if nearest && scales.iter().any(|&scale| scale < 1.0 && (1.0 / scale).fract() != 0.0) {
        let reason = "nearest downsampling by a fraction was rounded in different ways before operator set 11; \
                      export at 11 or later";
        return Err(NodeError::Unsupported(reason.to_owned()));
    }
    let interpolation = match nearest {
        true => Interpolation::Nearest(NearestMode::Floor),
        false => Interpolation::Linear,
    };
    finish(cx, x, resized, interpolation, CoordinateMode::Asymmetric, 0.0)
}

/// An operand that is there and not empty, as exporters write those that are not used.
fn operand(cx: &NodeCx<'_, '_>, index: usize) -> Option<ValueId> {
    cx.optional(index).filter(|&value| cx.shape(value) != [Dim::Const(0)])
}

/// What a word of an attribute stands for.
fn word<T: Copy>(
    cx: &mut NodeCx<'_, '_>,
    name: &'static str,
    default: &'static str,
    words: &[(&'static str, T)],
) -> Result<T, NodeError> {
    let given = cx.attributes.text(name)?.unwrap_or(default);
    let meant = words.iter().find(|(word, _)| *word == given).map(|&(_, meant)| meant);
    meant.ok_or_else(|| {
        let words: Vec<&str> = words.iter().map(|&(word, _)| word).collect();
        NodeError::Value { name, value: given.to_owned(), expected: words.join(", ") }
    })
}

fn interpolation(cx: &mut NodeCx<'_, '_>) -> Result<Interpolation, NodeError> {
    let nearest = word(cx, "nearest_mode", "round_prefer_floor", &NearestMode::NAMED)?;
    let coefficient = f64::from(cx.attributes.float("cubic_coeff_a")?.unwrap_or(-0.75));
    let exclude_outside = cx.attributes.flag("exclude_outside", false)?;
    let modes = [
        ("nearest", Interpolation::Nearest(nearest)),
        ("linear", Interpolation::Linear),
        ("cubic", Interpolation::Cubic { coefficient, exclude_outside }),
    ];
    word(cx, "mode", "nearest", &modes)
}

/// The region of interest of each axis: all starts, then all ends. Only one mode reads it.
fn regions(
    cx: &NodeCx<'_, '_>,
    coordinates: CoordinateMode,
    axes: usize,
) -> Result<Vec<[f32; 2]>, NodeError> {
    if coordinates != CoordinateMode::TfCropAndResize {
        return Ok(vec![[0.0, 1.0]; axes]);
    }
    let bounds = cx.constant_floats(cx.operand(1)?, "roi")?;
    if bounds.len() != 2 * axes {
        let expected = format!("{} numbers", 2 * axes);
        return Err(NodeError::Value { name: "roi", value: format!("{bounds:?}"), expected });
    }
    Ok((0..axes).map(|axis| [bounds[axis], bounds[axes + axis]]).collect())
}

/// Axes resized by factors; a size is the floor of the product, in f32 as runtimes compute it.
fn scaled(
    cx: &NodeCx<'_, '_>,
    x: ValueId,
    axes: &[usize],
    scales: &[f32],
) -> Result<Vec<ResizeAxis>, NodeError> {
    let shape = cx.shape(x);
    let positive = scales.iter().all(|&scale| scale > 0.0 && scale.is_finite());
    if scales.len() != axes.len() || !positive {
        let expected = format!("{} positive numbers", axes.len());
        return Err(NodeError::Value { name: "scales", value: format!("{scales:?}"), expected });
    }
    let resize = |(&axis, &scale): (&usize, &f32)| {
        let size = scaled_size(&shape[axis], scale)?;
        Ok(ResizeAxis { axis, size, scale: Some(scale), region: [0.0, 1.0] })
    };
    axes.iter().zip(scales).map(resize).collect()
}

fn scaled_size(size: &Dim, scale: f32) -> Result<Dim, NodeError> {
    if let Some(size) = size.as_const() {
        return Ok(Dim::Const((scale * size as f32) as u64));
    }
    // Halves, quarters and so on are exact in f32, for every size that an image has.
    const DENOMINATOR: f32 = 256.0;
    let numerator = scale * DENOMINATOR;
    if numerator.fract() != 0.0 || numerator > 65536.0 {
        let reason = format!("a free size times {scale} is not known exactly; fix it with --dim");
        return Err(NodeError::Unsupported(reason));
    }
    if scale.fract() == 0.0 {
        return Ok(size.mul(&Dim::Const(scale as u64))?);
    }
    Ok(size.mul(&Dim::Const(numerator as u64))?.floor_div(&Dim::Const(DENOMINATOR as u64))?)
}

/// Axes resized to sizes, which `keep_aspect_ratio_policy` may shrink or grow to one common factor.
fn sized(
    cx: &mut NodeCx<'_, '_>,
    x: ValueId,
    axes: &[usize],
    sizes: &[Dim],
) -> Result<Vec<ResizeAxis>, NodeError> {
    let shape = cx.shape(x);
    if sizes.len() != axes.len() {
        let expected = format!("{} sizes", axes.len());
        return Err(NodeError::Value { name: "sizes", value: format!("{} sizes", sizes.len()), expected });
    }
    let policies = [("stretch", None), ("not_larger", Some(true)), ("not_smaller", Some(false))];
    let smallest = word(cx, "keep_aspect_ratio_policy", "stretch", &policies)?;
    let resize = |(&axis, size): (&usize, &Dim)| ResizeAxis {
        axis,
        size: size.clone(),
        scale: None,
        region: [0.0, 1.0],
    };
    let mut resized: Vec<ResizeAxis> = axes.iter().zip(sizes).map(resize).collect();
    let Some(smallest) = smallest else { return Ok(resized) };
    let ratios = resized
        .iter()
        .map(|resized| Some(resized.size.as_const()? as f32 / shape[resized.axis].as_const()? as f32));
    let ratios: Option<Vec<f32>> = ratios.collect();
    let ratios = ratios.ok_or_else(|| {
        NodeError::Unsupported("`keep_aspect_ratio_policy` needs known sizes; fix them with --dim".to_owned())
    })?;
    let common = ratios.into_iter().reduce(if smallest { f32::min } else { f32::max });
    for resized in &mut resized {
        let scale = common.unwrap_or(1.0);
        let size = shape[resized.axis].as_const().unwrap_or(0) as f32;
        resized.size = Dim::Const((scale * size).round() as u64);
        resized.scale = Some(scale);
    }
    Ok(resized)
}

/// Antialiasing widens the filter of a smaller result. Where nothing gets smaller, the linear filter stays as it is.
fn check_antialias(
    cx: &NodeCx<'_, '_>,
    x: ValueId,
    resized: &[ResizeAxis],
    interpolation: Interpolation,
) -> Result<(), NodeError> {
    let shape = cx.shape(x);
    let grows = |resized: &ResizeAxis| match (resized.scale, &shape[resized.axis], &resized.size) {
        (Some(scale), ..) => scale >= 1.0,
        (None, Dim::Const(from), Dim::Const(to)) => to >= from,
        (None, from, to) => from == to,
    };
    if interpolation == Interpolation::Linear && resized.iter().all(grows) {
        return Ok(());
    }
    let reason = "`antialias` is supported for linear upsampling only, where it changes nothing";
    Err(NodeError::Unsupported(reason.to_owned()))
}

/// Leaves out the axes that stay as they are.
fn finish(
    cx: &mut NodeCx<'_, '_>,
    x: ValueId,
    mut axes: Vec<ResizeAxis>,
    interpolation: Interpolation,
    coordinates: CoordinateMode,
    extrapolation: f64,
) -> Results {
    let shape = cx.shape(x);
    axes.retain(|resized| {
        let whole = coordinates != CoordinateMode::TfCropAndResize || resized.region == [0.0, 1.0];
        let same = resized.size == shape[resized.axis] && resized.scale.is_none_or(|scale| scale == 1.0);
        !(whole && same)
    });
    axes.sort_by_key(|resized| resized.axis);
    if axes.is_empty() {
        return Ok(vec![x]);
    }
    let op = Resize { axes, interpolation, coordinates, extrapolation };
    Ok(vec![cx.emit(Op::Resize(op), &[x])?])
}

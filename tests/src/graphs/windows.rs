//! Nodes of ops that look at neighbourhoods: convolutions, pools, resampling, padding.

use super::generate::Maker;
use drift_ir::op::{
    Conv, ConvTranspose, CoordinateMode, Interpolation, NearestMode, Pad, PadMode, Pool, PoolKind, Resize,
    ResizeAxis,
};
use drift_ir::{Dim, ElementType, Op, ValueId};

type Made = Option<ValueId>;

/// Strides, pads, dilations and kernel sizes for some spatial axes.
struct Window {
    kernel: Vec<u64>,
    strides: Vec<u64>,
    pads: Vec<u64>,
    dilations: Vec<u64>,
}

fn window(maker: &mut Maker<'_>, spatial: usize) -> Window {
    let mut list = |count: usize, values: &[u64]| (0..count).map(|_| maker.choices.of(values)).collect();
    Window {
        kernel: list(spatial, &[1, 2, 3, 2]),
        strides: list(spatial, &[1, 1, 2, 3]),
        pads: list(2 * spatial, &[0, 0, 1, 0, 2]),
        dilations: list(spatial, &[1, 1, 1, 2]),
    }
}

/// A value with a batch, channels and pixels.
pub(super) fn image(maker: &mut Maker<'_>) -> Made {
    maker.any(3, ElementType::is_float)
}

fn bias(maker: &mut Maker<'_>, element: ElementType, channels: u64, inputs: &mut Vec<ValueId>) -> Option<()> {
    if maker.choices.once_in(2) {
        inputs.push(maker.like(element, &[Dim::Const(channels)])?);
    }
    Some(())
}

pub(super) fn conv(maker: &mut Maker<'_>) -> Made {
    let x = image(maker)?;
    conv_of(maker, x)
}

pub(super) fn conv_of(maker: &mut Maker<'_>, x: ValueId) -> Made {
    let (element, sizes) = (maker.element(x), maker.sizes(x));
    let Window { kernel, strides, pads, dilations } = window(maker, sizes.len() - 2);
    let groups = maker.divisor(sizes[1]);
    let outputs = groups * (maker.few(3) + 1);
    let shape: Vec<Dim> =
        [outputs, sizes[1] / groups.max(1)].into_iter().chain(kernel).map(Dim::Const).collect();
    let mut inputs = vec![x, maker.like(element, &shape)?];
    bias(maker, element, outputs, &mut inputs)?;
    maker.add(Op::Conv(Conv { strides, pads, dilations, groups }), &inputs)
}

pub(super) fn conv_transpose(maker: &mut Maker<'_>) -> Made {
    let x = image(maker)?;
    let (element, sizes) = (maker.element(x), maker.sizes(x));
    let spatial = sizes.len() - 2;
    let Window { kernel, strides, pads, dilations } = window(maker, spatial);
    let groups = maker.divisor(sizes[1]);
    let each = maker.few(3) + 1;
    let shape: Vec<Dim> = [sizes[1], each].into_iter().chain(kernel).map(Dim::Const).collect();
    let mut inputs = vec![x, maker.like(element, &shape)?];
    bias(maker, element, each * groups, &mut inputs)?;
    let output_padding = (0..spatial).map(|_| maker.few(2)).collect();
    maker.add(Op::ConvTranspose(ConvTranspose { strides, pads, dilations, output_padding, groups }), &inputs)
}

pub(super) fn pool(maker: &mut Maker<'_>) -> Made {
    let x = image(maker)?;
    pool_of(maker, x)
}

pub(super) fn pool_of(maker: &mut Maker<'_>, x: ValueId) -> Made {
    let Window { kernel, strides, pads, dilations } = window(maker, maker.sizes(x).len() - 2);
    let kind = maker.choices.of(&[
        PoolKind::Max,
        PoolKind::Average { count_padding: false },
        PoolKind::Average { count_padding: true },
        PoolKind::Lp(2),
        PoolKind::Lp(1),
        PoolKind::Lp(3),
    ]);
    let ceil = maker.choices.once_in(2);
    maker.add(Op::Pool(Pool { kind, kernel, strides, pads, dilations, ceil }), &[x])
}

pub(super) fn pad(maker: &mut Maker<'_>) -> Made {
    let x = maker.any(1, |_| true)?;
    let rank = maker.sizes(x).len();
    let pads = (0..2 * rank).map(|_| maker.few(4)).collect();
    let mode = match maker.choices.pick(5) {
        0 | 1 => PadMode::Constant(if maker.choices.once_in(3) { 1.0 } else { 0.0 }),
        2 => PadMode::Edge,
        3 => PadMode::Reflect,
        _ => PadMode::Wrap,
    };
    maker.add(Op::Pad(Pad { mode, pads }), &[x])
}

/// Padding around pixels with what a window's own padding may stand for.
pub(super) fn pad_pixels(maker: &mut Maker<'_>, x: ValueId) -> Made {
    let rank = maker.sizes(x).len();
    let mut pads: Vec<u64> = (0..2 * rank).map(|_| maker.choices.of(&[0, 1, 0, 2])).collect();
    for outer in [0, 1, rank, rank + 1] {
        pads[outer] = 0;
    }
    let value = maker.choices.of(&[0.0, 0.0, f64::NEG_INFINITY, -0.0, -65504.0, f64::from(f32::MIN), 1.0]);
    maker.add(Op::Pad(Pad { mode: PadMode::Constant(value), pads }), &[x])
}

pub(super) fn resize(maker: &mut Maker<'_>) -> Made {
    let x = maker.any(1, ElementType::is_float)?;
    let sizes = maker.sizes(x);
    let mut axes = Vec::new();
    for (axis, &from) in sizes.iter().enumerate() {
        if maker.choices.once_in(2) {
            let size = maker.choices.of(&[1, 2, 3, 4, 6, 5]);
            let scale = maker.choices.once_in(2).then(|| size as f32 / from.max(1) as f32);
            axes.push(ResizeAxis { axis, size: Dim::Const(size), scale, region: [0.0, 1.0] });
        }
    }
    let coordinates = maker.choices.of(&CoordinateMode::NAMED).1;
    if coordinates == CoordinateMode::TfCropAndResize {
        for axis in &mut axes {
            axis.region = maker.choices.of(&[[0.0, 1.0], [0.25, 0.75], [-0.25, 1.25], [1.0, 0.0]]);
        }
    }
    let interpolation = match maker.choices.pick(4) {
        0 | 1 => Interpolation::Nearest(maker.choices.of(&NearestMode::NAMED).1),
        2 => Interpolation::Linear,
        _ => Interpolation::Cubic { coefficient: -0.75, exclude_outside: maker.choices.once_in(2) },
    };
    let extrapolation = maker.choices.of(&[0.0, 1.5]);
    maker.add(Op::Resize(Resize { axes, interpolation, coordinates, extrapolation }), &[x])
}

//! Attributes of the ops on images: pools, resampling, padding, normalisation over groups, transposed convolution.

use super::{Attributes, Parsed, attribute_error, show_f64, show_list};
use crate::dim::{Dim, Symbols};
use crate::op::{
    ConvTranspose, CoordinateMode, GroupNorm, Interpolation, NearestMode, Op, Pad, PadMode, Pool, PoolKind,
    Resize, ResizeAxis,
};
use crate::tensor::show_shape;

/// Word for each interpolation.
const MODES: [&str; 3] = ["nearest", "linear", "cubic"];

impl Attributes {
    /// The op of that name, if it is one of this family.
    pub(super) fn image_op(&mut self, name: &str, rank: usize) -> Parsed<Option<Op>> {
        let spatial = rank.saturating_sub(2);
        Ok(Some(match name {
            "conv_transpose" => Op::ConvTranspose(self.conv_transpose(spatial)?),
            "pool_max" => Op::Pool(self.pool(PoolKind::Max, spatial)?),
            "pool_average" => {
                let count_padding = self.flag("count_padding")?;
                Op::Pool(self.pool(PoolKind::Average { count_padding }, spatial)?)
            }
            "pool_lp" => {
                let (position, p) = (self.position, self.unsigned("p")?);
                let p = u32::try_from(p.unwrap_or(2));
                let p = p.map_err(|_| attribute_error(position, "p", "is too large"))?;
                Op::Pool(self.pool(PoolKind::Lp(p), spatial)?)
            }
            "resize" => Op::Resize(self.resize()?),
            "pad" => {
                let value = self.float("value")?.unwrap_or(0.0);
                self.pad(PadMode::Constant(value))?
            }
            "pad_edge" => self.pad(PadMode::Edge)?,
            "pad_reflect" => self.pad(PadMode::Reflect)?,
            "pad_wrap" => self.pad(PadMode::Wrap)?,
            "group_norm" => {
                let (groups, epsilon) = (self.unsigned("groups")?, self.float("epsilon")?);
                Op::GroupNorm(GroupNorm {
                    groups: self.required("groups", groups)?,
                    epsilon: self.required("epsilon", epsilon)?,
                })
            }
            _ => return Ok(None),
        }))
    }

    fn conv_transpose(&mut self, spatial: usize) -> Parsed<ConvTranspose> {
        let plain = ConvTranspose::plain(spatial);
        Ok(ConvTranspose {
            strides: self.integers("strides")?.unwrap_or(plain.strides),
            pads: self.integers("pads")?.unwrap_or(plain.pads),
            dilations: self.integers("dilations")?.unwrap_or(plain.dilations),
            output_padding: self.integers("output_padding")?.unwrap_or(plain.output_padding),
            groups: self.unsigned("groups")?.unwrap_or(plain.groups),
        })
    }

    fn pool(&mut self, kind: PoolKind, spatial: usize) -> Parsed<Pool> {
        Ok(Pool {
            kind,
            kernel: self.integers_of("kernel")?,
            strides: self.integers("strides")?.unwrap_or_else(|| vec![1; spatial]),
            pads: self.integers("pads")?.unwrap_or_else(|| vec![0; 2 * spatial]),
            dilations: self.integers("dilations")?.unwrap_or_else(|| vec![1; spatial]),
            ceil: self.flag("ceil")?,
        })
    }

    fn pad(&mut self, mode: PadMode) -> Parsed<Op> {
        Ok(Op::Pad(Pad { mode, pads: self.integers_of("pads")? }))
    }

    fn resize(&mut self) -> Parsed<Resize> {
        let axes: Vec<usize> = self.integers_of("axes")?;
        let sizes = self.dims_of("sizes")?;
        if axes.len() != sizes.len() {
            return Err(attribute_error(self.position, "axes", "has another length than sizes"));
        }
        let mut resized = Vec::new();
        for (axis, size) in axes.into_iter().zip(sizes) {
            let scale = self.float(&format!("scale_{axis}"))?.map(|scale| scale as f32);
            let start = self.float(&format!("start_{axis}"))?.unwrap_or(0.0) as f32;
            let end = self.float(&format!("end_{axis}"))?.unwrap_or(1.0) as f32;
            resized.push(ResizeAxis { axis, size, scale, region: [start, end] });
        }
        let interpolation = match self.word("mode", &MODES.map(|mode| (mode, mode)))? {
            "nearest" => Interpolation::Nearest(self.word("nearest", &NearestMode::NAMED)?),
            "linear" => Interpolation::Linear,
            _ => Interpolation::Cubic {
                coefficient: self.float("coefficient")?.unwrap_or(-0.75),
                exclude_outside: self.flag("exclude_outside")?,
            },
        };
        Ok(Resize {
            axes: resized,
            interpolation,
            coordinates: self.word("coordinates", &CoordinateMode::NAMED)?,
            extrapolation: self.float("extrapolation")?.unwrap_or(0.0),
        })
    }

    /// What a word stands for; the first one where it is absent.
    fn word<T: Copy>(&mut self, name: &str, words: &[(&'static str, T)]) -> Parsed<T> {
        let Some((position, text)) = self.scalar(name)? else { return Ok(words[0].1) };
        let meant = words.iter().find(|(word, _)| *word == text).map(|&(_, meant)| meant);
        meant.ok_or_else(|| attribute_error(position, name, "is not one of its words"))
    }
}

/// The word that stands for a value.
fn word_of<T: PartialEq>(value: T, words: &[(&'static str, T)]) -> &'static str {
    words.iter().find(|(_, meant)| *meant == value).map_or("", |&(word, _)| word)
}

pub(super) fn show_conv_transpose(op: &ConvTranspose) -> String {
    format!(
        " {{strides={}, pads={}, dilations={}, output_padding={}, groups={}}}",
        show_list(&op.strides),
        show_list(&op.pads),
        show_list(&op.dilations),
        show_list(&op.output_padding),
        op.groups
    )
}

pub(super) fn show_pool(op: &Pool) -> String {
    let own = match op.kind {
        PoolKind::Max => String::new(),
        PoolKind::Average { count_padding } => format!(", count_padding={count_padding}"),
        PoolKind::Lp(p) => format!(", p={p}"),
    };
    format!(
        " {{kernel={}, strides={}, pads={}, dilations={}, ceil={}{own}}}",
        show_list(&op.kernel),
        show_list(&op.strides),
        show_list(&op.pads),
        show_list(&op.dilations),
        op.ceil
    )
}

pub(super) fn show_pad(op: &Pad) -> String {
    let pads = show_list(&op.pads);
    match op.mode {
        PadMode::Constant(value) => format!(" {{pads={pads}, value={}}}", show_f64(value)),
        PadMode::Edge | PadMode::Reflect | PadMode::Wrap => format!(" {{pads={pads}}}"),
    }
}

pub(super) fn show_resize(op: &Resize, symbols: &Symbols) -> String {
    let axes: Vec<usize> = op.axes.iter().map(|resized| resized.axis).collect();
    let sizes: Vec<Dim> = op.axes.iter().map(|resized| resized.size.clone()).collect();
    let mut text = format!(" {{axes={}, sizes={}", show_list(&axes), show_shape(&sizes, symbols));
    for ResizeAxis { axis, scale, region: [start, end], .. } in &op.axes {
        if let Some(scale) = scale {
            text += &format!(", scale_{axis}={}", show_f64(f64::from(*scale)));
        }
        if [*start, *end] != [0.0, 1.0] {
            let (start, end) = (show_f64(f64::from(*start)), show_f64(f64::from(*end)));
            text += &format!(", start_{axis}={start}, end_{axis}={end}");
        }
    }
    text += &match op.interpolation {
        Interpolation::Nearest(mode) => {
            format!(", mode=nearest, nearest={}", word_of(mode, &NearestMode::NAMED))
        }
        Interpolation::Linear => ", mode=linear".to_owned(),
        Interpolation::Cubic { coefficient, exclude_outside } => {
            let coefficient = show_f64(coefficient);
            format!(", mode=cubic, coefficient={coefficient}, exclude_outside={exclude_outside}")
        }
    };
    text += &format!(", coordinates={}", word_of(op.coordinates, &CoordinateMode::NAMED));
    if op.coordinates == CoordinateMode::TfCropAndResize {
        text += &format!(", extrapolation={}", show_f64(op.extrapolation));
    }
    text + "}"
}

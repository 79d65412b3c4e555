//! Reads of a dense tensor that broadcasts along some of the axes that share a coordinate: the coordinate is taken apart
//! into its axes, and those that repeat are left out.

use super::{Binding, LANES, Size, Slot, at, count, element, first, sum};
use crate::kernel::line;
use std::ops::Range;

/// The body of `slot_read` for a tensor read under the coordinates of a tensor of shape `full`.
pub(super) fn write_read(text: &mut String, slot: &Slot, full: &[Size], binding: &Binding, scalar: &str) {
    let axes = &slot.layout.axes;
    let channels: Size = full[axes.channels.clone()].iter().product();
    let pixel: Vec<Part> = [("b", &axes.batch), ("y", &axes.height), ("x", &axes.width)]
        .into_iter()
        .flat_map(|(coordinate, run)| parts(coordinate, slot, full, run))
        .collect();
    let lanes = parts("c", slot, full, &axes.channels);
    let in_rows = matches!(&lanes[..], [part] if part.is_whole() && part.stride.is_always(1));
    let vectors = binding.vectors && in_rows && channels.is_multiple_of(LANES);
    if vectors && slot.starts_at_vector() && pixel.iter().all(|part| part.stride.is_multiple_of(LANES)) {
        let mut terms: Vec<Option<String>> = pixel.iter().map(|part| Some(part.text(LANES))).collect();
        terms.push(Some("s".to_owned()));
        terms.push(first(slot, LANES));
        line(text, format_args!("    return vec4<{scalar}>({});", at(binding, &sum(&terms))));
        return;
    }
    let mut terms: Vec<Option<String>> = pixel.iter().map(|part| Some(part.text(1))).collect();
    terms.push(first(slot, 1));
    line(text, format_args!("    let base = {};", sum(&terms)));
    if lanes.is_empty() {
        line(text, format_args!("    return vec4<{scalar}>({scalar}({}));", element(binding, "base")));
        return;
    }
    let value = |lane: u64| {
        let channel = match channels.is_multiple_of(LANES) {
            true => format!("(s * 4u + {lane}u)"),
            false => format!("min(s * 4u + {lane}u, {})", count(&channels.minus(&Size::ONE))),
        };
        let offsets = lanes.iter().map(|part| Some(part.of(&channel).text(1)));
        let terms: Vec<Option<String>> = std::iter::once(Some("base".to_owned())).chain(offsets).collect();
        let value = format!("{scalar}({})", element(binding, &sum(&terms)));
        match channels.is_multiple_of(LANES) {
            true => value,
            false => format!("select({scalar}(0), {value}, s * 4u + {lane}u < {})", count(&channels)),
        }
    };
    let values: Vec<String> = (0..LANES).map(value).collect();
    line(text, format_args!("    return vec4<{scalar}>({});", values.join(", ")));
}

/// Adjacent axes of one coordinate that the tensor has in full: `coordinate / inner % size * stride`.
#[derive(Clone)]
struct Part {
    coordinate: String,
    inner: Size,
    /// Size of the axes together; none where the coordinate has no axes before them.
    size: Option<Size>,
    stride: Size,
}

impl Part {
    /// Whether it is all of its coordinate.
    fn is_whole(&self) -> bool {
        self.inner.is_always(1) && self.size.is_none()
    }

    fn of(&self, coordinate: &str) -> Self {
        Self { coordinate: coordinate.to_owned(), ..self.clone() }
    }

    /// Its distance from the coordinate's origin, in units of `unit` elements.
    fn text(&self, unit: u64) -> String {
        let mut text = self.coordinate.clone();
        if !self.inner.is_always(1) {
            text = format!("{text} / {}", count(&self.inner));
        }
        if let Some(size) = &self.size {
            text = format!("{text} % {}", count(size));
        }
        match self.stride.div_floor(unit) {
            Size::Const(1) => text,
            stride => format!("{text} * {}", count(&stride)),
        }
    }
}

/// The axes of `run` along which a tensor does not repeat in `full`, outermost first.
fn parts(coordinate: &str, slot: &Slot, full: &[Size], run: &Range<usize>) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    let strides = slot.axis_strides();
    let mut inner = Size::ONE;
    let mut joins = false;
    for axis in run.clone().rev().filter(|&axis| full[axis].max() > 1) {
        let (is_full, stride) = (slot.shape[axis] == full[axis], strides[axis].clone());
        let walks_on = |part: &Part| part.size.as_ref().is_some_and(|size| part.stride.times(size) == stride);
        match parts.last_mut().filter(|part| is_full && joins && walks_on(part)) {
            Some(part) => part.size = part.size.as_ref().map(|size| size.times(&full[axis])),
            None if is_full => {
                let coordinate = coordinate.to_owned();
                parts.push(Part { coordinate, inner: inner.clone(), size: Some(full[axis].clone()), stride });
            }
            None => {}
        }
        joins = is_full;
        inner = inner.times(&full[axis]);
    }
    // The outermost needs no remainder where nothing stands before it.
    if let Some(last) = parts.last_mut().filter(|_| joins) {
        last.size = None;
    }
    parts.reverse();
    parts
}

//! Nodes of ops that move data, and that read or write at computed places.

use super::generate::Maker;
use super::ops::axis;
use super::values::{self, Style};
use drift_ir::op::data::SliceAxis;
use drift_ir::op::{
    Concat, Expand, Gather, GatherElements, GatherNd, Range, Reshape, ScatterElements, ScatterNd, ShapeOf,
    Slice, Transpose, Update, WriteRows,
};
use drift_ir::tensor::product;
use drift_ir::{Dim, ElementType, Op, Tensor, ValueId};

type Made = Option<ValueId>;

fn is_any(_: ElementType) -> bool {
    true
}

pub(super) fn reshape(maker: &mut Maker<'_>) -> Made {
    let x = maker.any(0, is_any)?;
    reshape_of(maker, x)
}

/// Merges, splits, adds and drops axes.
pub(super) fn reshape_of(maker: &mut Maker<'_>, x: ValueId) -> Made {
    let mut shape = maker.shape(x);
    for _ in 0..=maker.choices.pick(3) {
        let at = maker.choices.pick(shape.len() + 1);
        match maker.choices.pick(5) {
            0 if at + 1 < shape.len() => {
                let merged = product(&shape[at..at + 2]).ok()?;
                shape.splice(at..at + 2, [merged]);
            }
            1 if at < shape.len() => {
                let size = shape[at].as_const()?;
                let inner = maker.divisor(size);
                shape.splice(at..=at, [Dim::Const(size / inner.max(1)), Dim::Const(inner)]);
            }
            2 => shape.insert(at, Dim::Const(1)),
            3 => shape.retain(|size| *size != Dim::Const(1)),
            _ => {}
        }
    }
    shape.truncate(6);
    maker.add(Op::Reshape(Reshape { shape }), &[x])
}

pub(super) fn transpose(maker: &mut Maker<'_>) -> Made {
    let x = maker.any(1, is_any)?;
    transpose_of(maker, x)
}

pub(super) fn transpose_of(maker: &mut Maker<'_>, x: ValueId) -> Made {
    let mut rest: Vec<usize> = (0..maker.shape(x).len()).rev().collect();
    let mut perm = Vec::new();
    while !rest.is_empty() {
        perm.push(rest.remove(maker.choices.pick(rest.len())));
    }
    maker.add(Op::Transpose(Transpose { perm }), &[x])
}

pub(super) fn expand(maker: &mut Maker<'_>) -> Made {
    let x = maker.any(0, is_any)?;
    expand_of(maker, x)
}

pub(super) fn expand_of(maker: &mut Maker<'_>, x: ValueId) -> Made {
    let mut shape = maker.shape(x);
    for size in &mut shape {
        if *size == Dim::Const(1) && maker.choices.once_in(2) {
            *size = maker.size();
        }
    }
    if maker.choices.once_in(2) {
        shape.insert(0, maker.size());
    }
    maker.add(Op::Expand(Expand { shape }), &[x])
}

pub(super) fn concat(maker: &mut Maker<'_>) -> Made {
    let x = maker.any(1, is_any)?;
    concat_of(maker, x)
}

pub(super) fn concat_of(maker: &mut Maker<'_>, x: ValueId) -> Made {
    let axis = axis(maker, x);
    let mut inputs = vec![x];
    for _ in 0..maker.choices.pick(3) {
        let mut shape = maker.shape(x);
        if maker.choices.once_in(2) {
            shape[axis] = maker.size();
        }
        let other = maker.like(maker.element(x), &shape)?;
        let at = maker.choices.pick(inputs.len() + 1);
        inputs.insert(at, other);
    }
    maker.add(Op::Concat(Concat { axis }), &inputs)
}

pub(super) fn slice(maker: &mut Maker<'_>) -> Made {
    let x = maker.any(1, is_any)?;
    slice_of(maker, x)
}

pub(super) fn slice_of(maker: &mut Maker<'_>, x: ValueId) -> Made {
    let mut axes = Vec::new();
    for (axis, size) in maker.sizes(x).into_iter().enumerate() {
        if maker.choices.once_in(2) && size > 0 {
            axes.push(cut(maker, axis, size));
        }
    }
    maker.add(Op::Slice(Slice { axes }), &[x])
}

fn cut(maker: &mut Maker<'_>, axis: usize, size: u64) -> SliceAxis {
    let start = maker.few(size);
    let step = maker.choices.of(&[1, 1, 2, -1, -2, 3]);
    let (start, reach) =
        if step > 0 { (start, size - 1 - start) } else { (size - 1 - start, size - 1 - start) };
    let most = reach / i64::unsigned_abs(step) + 1;
    let count = most - maker.few(most + 1);
    SliceAxis { axis, start, step, count: Dim::Const(count) }
}

/// Indices into an axis of this size, in a shape.
fn places(maker: &mut Maker<'_>, size: u64, shape: &[Dim]) -> Made {
    let element = if maker.choices.once_in(4) { ElementType::I32 } else { ElementType::I64 };
    maker.fresh_of(element, shape, Style::Places(size))
}

pub(super) fn gather(maker: &mut Maker<'_>) -> Made {
    let x = maker.any(1, is_any)?;
    let axis = axis(maker, x);
    let size = maker.sizes(x)[axis];
    let rank = maker.choices.of(&[1, 0, 2]);
    let shape: Vec<Dim> = (0..rank).map(|_| maker.size()).collect();
    let indices = places(maker, size, &shape)?;
    maker.add(Op::Gather(Gather { axis }), &[x, indices])
}

pub(super) fn gather_nd(maker: &mut Maker<'_>) -> Made {
    let x = maker.any(1, is_any)?;
    let shape = maker.shape(x);
    let batch_dims = maker.few(shape.len() as u64) as usize;
    let (tuples, size) = tuples(maker, x, batch_dims)?;
    let indices = places(maker, size, &tuples)?;
    maker.add(Op::GatherNd(GatherNd { batch_dims }), &[x, indices])
}

/// A shape of index tuples into the axes behind the first few, and the smallest of the axes that they index.
fn tuples(maker: &mut Maker<'_>, x: ValueId, batch_dims: usize) -> Option<(Vec<Dim>, u64)> {
    let shape = maker.shape(x);
    let width = 1 + maker.choices.pick(shape.len() - batch_dims);
    let mut tuples = shape[..batch_dims].to_vec();
    for _ in 0..maker.choices.pick(3) {
        tuples.push(maker.size());
    }
    tuples.push(Dim::Const(width as u64));
    let size = maker.sizes(x)[batch_dims..batch_dims + width].iter().copied().min()?;
    Some((tuples, size))
}

/// Data, and indices of its shape but for the length of one axis.
fn along(maker: &mut Maker<'_>, takes: fn(ElementType) -> bool) -> Option<(ValueId, usize, ValueId)> {
    let x = maker.any(1, takes)?;
    let axis = axis(maker, x);
    let mut shape = maker.shape(x);
    if maker.choices.once_in(2) {
        shape[axis] = maker.size();
    }
    let size = maker.sizes(x)[axis];
    Some((x, axis, places(maker, size, &shape)?))
}

pub(super) fn gather_elements(maker: &mut Maker<'_>) -> Made {
    let (x, axis, indices) = along(maker, is_any)?;
    maker.add(Op::GatherElements(GatherElements { axis }), &[x, indices])
}

pub(super) fn scatter_elements(maker: &mut Maker<'_>) -> Made {
    let update = maker.choices.of(&Update::ALL);
    let takes = if update == Update::Replace { is_any } else { ElementType::is_number };
    let (x, axis, indices) = along(maker, takes)?;
    let shape = maker.shape(indices);
    let updates = maker.like(maker.element(x), &shape)?;
    maker.add(Op::ScatterElements(ScatterElements { axis, update }), &[x, indices, updates])
}

pub(super) fn scatter_nd(maker: &mut Maker<'_>) -> Made {
    let update = maker.choices.of(&Update::ALL);
    let takes = if update == Update::Replace { is_any } else { ElementType::is_number };
    let x = maker.any(1, takes)?;
    let (tuples, size) = tuples(maker, x, 0)?;
    let indices = places(maker, size, &tuples)?;
    let (width, outer) = tuples.split_last()?;
    let shape = [outer, &maker.shape(x)[width.as_const()? as usize..]].concat();
    let updates = maker.like(maker.element(x), &shape)?;
    maker.add(Op::ScatterNd(ScatterNd { update }), &[x, indices, updates])
}

pub(super) fn write_rows(maker: &mut Maker<'_>) -> Made {
    let x = maker.any(2, is_any)?;
    let (mut shape, sizes) = (maker.shape(x), maker.sizes(x));
    let axis = 1 + maker.choices.pick(sizes.len() - 1);
    shape[axis] = Dim::Const(maker.few(sizes[axis] + 1));
    let rows = maker.like(maker.element(x), &shape)?;
    let places: Vec<i64> = (0..sizes[0]).map(|_| maker.choices.of(&[0, 1, 2, -1, 7])).collect();
    let first = maker.constant(Tensor::from_i64_as(ElementType::I32, [sizes[0]], &places).ok()?)?;
    let circular = maker.choices.once_in(2);
    maker.add(Op::WriteRows(WriteRows { axis, circular }), &[x, rows, first])
}

pub(super) fn shape_of(maker: &mut Maker<'_>) -> Made {
    let x = maker.any(0, is_any)?;
    let rank = maker.shape(x).len();
    let start = maker.choices.pick(rank + 1);
    let end = start + maker.choices.pick(rank + 1 - start);
    maker.add(Op::ShapeOf(ShapeOf { start, end }), &[x])
}

pub(super) fn range(maker: &mut Maker<'_>) -> Made {
    let element = maker.new_element(ElementType::is_number)?;
    let [start, limit] = [(); 2].map(|()| maker.choices.of(&[0.0, 3.0, 5.0, 1.0, 7.0]));
    let delta = maker.choices.of(&[1.0, 2.0, 3.0]);
    let delta = if limit < start && element != ElementType::U8 { -delta } else { delta };
    let [start, limit, delta] = [start, limit, delta].map(|value| maker.scalar(element, value));
    maker.add(Op::Range(Range), &[start?, limit?, delta?])
}

/// A constant with indices at equal distances, or nearly.
pub(super) fn even_places(maker: &mut Maker<'_>, size: u64) -> Made {
    let style = if maker.choices.once_in(3) { Style::Places(size) } else { Style::Uniform };
    if style != Style::Uniform {
        let tensor = values::tensor(maker.choices, ElementType::I64, &[2], style)?;
        return maker.constant(tensor);
    }
    let cut = cut(maker, 0, size.max(1));
    let count = cut.count.as_const()?;
    let places: Vec<i64> = (0..count as i64).map(|at| cut.start as i64 + at * cut.step).collect();
    let scalar = places.len() == 1 && maker.choices.once_in(2);
    let shape: Vec<u64> = if scalar { Vec::new() } else { vec![count] };
    maker.constant(drift_ir::Tensor::from_i64(shape, &places).ok()?)
}

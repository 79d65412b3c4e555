//! Reads and updates of single elements and of rows at computed indices.

use super::data::{check_tuple, tuple_constants};
use super::{Chosen, Context, Declined};
use crate::kernel::{Access, Constant, KernelCall, Slot};
use crate::module::LOOP_ROUNDS;
use crate::physical::Element;
use crate::physical::size::sizes as sizes_of;
use drift_ir::op::{GatherElements, ScatterElements, ScatterNd, Update};
use drift_ir::{Node, Tensor, ValueId};

/// A dense tensor around one axis: `[outer, axis, inner]`, or where nothing is inside of it `[outer, axis]` with the
/// axis as channels, so that a slice holds four of its places.
#[derive(Clone, Copy)]
struct Around {
    outer: u64,
    inner: u64,
    along_channels: bool,
}

impl Around {
    fn of(shape: &[u64], axis: usize) -> Self {
        let inner: u64 = shape[axis + 1..].iter().product();
        Self { outer: shape[..axis].iter().product(), inner, along_channels: inner == 1 }
    }

    /// Sizes of the coordinates for `places` along the axis.
    const fn sizes(self, places: u64) -> [u64; 4] {
        match self.along_channels {
            true => [1, 1, self.outer, places],
            false => [1, self.outer, places, self.inner],
        }
    }
}

pub(super) fn select_gather_elements(
    context: &mut Context<'_>,
    node: &Node,
    op: GatherElements,
) -> Result<Chosen, Declined> {
    let (x, indices, y) = (node.inputs[0], node.inputs[1], node.outputs[0]);
    let (size, count) = (context.shape(x)?[op.axis], context.shape(indices)?[op.axis]);
    let around = Around::of(&context.shape(x)?, op.axis);
    let src = context.dense_as("src", Access::Read, x, around.sizes(size))?;
    let indices = context.dense_as("indices", Access::Read, indices, around.sizes(count))?;
    let dst = context.dense_as("dst", Access::Write, y, around.sizes(count))?;
    let constants = vec![("ALONG_C", Constant::Bool(around.along_channels)), ("LIMIT", Constant::U32(size))];
    Ok(chosen(context, "gather_elements", constants, vec![src, indices], dst, "one invocation per slice"))
}

pub(super) fn select_scatter_elements(
    context: &mut Context<'_>,
    node: &Node,
    op: ScatterElements,
) -> Result<Vec<Chosen>, Declined> {
    let [x, indices, updates] = [node.inputs[0], node.inputs[1], node.inputs[2]];
    let (size, count) = (context.shape(x)?[op.axis], context.shape(indices)?[op.axis]);
    let around = Around::of(&context.shape(x)?, op.axis);
    let src = context.dense_as("src", Access::Read, x, around.sizes(size))?;
    let indices = context.dense_as("indices", Access::Read, indices, around.sizes(count))?;
    let updates = context.dense_as("updates", Access::Read, updates, around.sizes(count))?;
    let dst = context.dense_as("dst", Access::Write, node.outputs[0], around.sizes(size))?;
    let constants = vec![
        ("ALONG_C", Constant::Bool(around.along_channels)),
        ("LIMIT", Constant::U32(size)),
        update(op.update),
    ];
    let scatter = Scatter {
        kernel: "scatter_elements",
        constants,
        src,
        indices,
        updates,
        dst,
        count,
        why: "each slice goes through the updates of its line",
    };
    scatter.in_ranges(context, &node.name)
}

pub(super) fn select_scatter_nd(
    context: &mut Context<'_>,
    node: &Node,
    op: ScatterNd,
) -> Result<Vec<Chosen>, Declined> {
    let [x, indices, updates] = [node.inputs[0], node.inputs[1], node.inputs[2]];
    let (shape, index_shape) = (context.shape(x)?, context.shape(indices)?);
    let tuple = index_shape[index_shape.len() - 1];
    let (indexed, block) = shape.split_at(tuple as usize);
    let rows: u64 = indexed.iter().product();
    let count: u64 = index_shape[..index_shape.len() - 1].iter().product();
    let inner: u64 = block.iter().product();
    let along_channels = inner == 1;
    let sizes = |places: u64| if along_channels { [1, 1, 1, places] } else { [1, 1, places, inner] };
    let src = context.dense_as("src", Access::Read, x, sizes(rows))?;
    let updates = context.dense_as("updates", Access::Read, updates, sizes(count))?;
    let dst = context.dense_as("dst", Access::Write, node.outputs[0], sizes(rows))?;
    let mut constants = vec![("ALONG_C", Constant::Bool(along_channels)), update(op.update)];
    if let Some(writers) = writers(context, indices, indexed, op.update) {
        let writers =
            Tensor::from_i64([rows], &writers).map_err(|error| Declined::Unsupported(error.to_string()))?;
        let writer = context.derived_slot("writer", node.outputs[0], "writer of each row", &writers)?;
        let why = "the indices are known, so each row knows its update";
        return Ok(vec![chosen(context, "scatter_known", constants, vec![src, writer, updates], dst, why)]);
    }
    check_tuple(tuple as usize)?;
    let indices = context.dense_as("indices", Access::Read, indices, [1, 1, count, tuple])?;
    constants.extend(tuple_constants(&sizes_of(indexed)));
    let why = "each slice goes through all updates";
    Scatter { kernel: "scatter_nd", constants, src, indices, updates, dst, count, why }
        .in_ranges(context, &node.name)
}

/// A scatter whose slices look at all updates.
struct Scatter {
    kernel: &'static str,
    constants: Vec<(&'static str, Constant)>,
    src: Slot,
    indices: Slot,
    updates: Slot,
    dst: Slot,
    /// Updates that each slice looks at.
    count: u64,
    why: &'static str,
}

impl Scatter {
    /// A dispatch for each range of updates that a loop may go through, in their order: each goes on from what the one before
    /// has made.
    fn in_ranges(self, context: &mut Context<'_>, node: &str) -> Result<Vec<Chosen>, Declined> {
        /// Beyond that, time that grows with slices times updates is out of proportion.
        const MOST_RANGES: u64 = 256;
        let Self { kernel, constants, mut src, indices, updates, dst, count, why } = self;
        let ranges = count.div_ceil(LOOP_ROUNDS).max(1);
        if ranges > MOST_RANGES {
            return Err(Declined::Shape(format!("{count} updates for each slice to look at are too many")));
        }
        let element = if dst.layout.element.is_float() { Element::F32 } else { dst.layout.element };
        let e = dst.extents().known()?;
        let mut steps = Vec::new();
        for range in 0..ranges {
            let (first, end) = (range * LOOP_ROUNDS, ((range + 1) * LOOP_ROUNDS).min(count));
            let to = match range + 1 == ranges {
                true => dst.clone(),
                false => {
                    let what = format!("{node} (updates to {end})");
                    context.scratch("dst", &what, element, [e.batch, e.height, e.width, e.channels])
                }
            };
            let next = to.as_argument("src", Access::Read);
            let range = [("FIRST", Constant::U32(first)), ("END", Constant::U32(end))];
            let constants = [&constants[..], &range].concat();
            let slots = vec![src, indices.clone(), updates.clone()];
            steps.push(chosen(context, kernel, constants, slots, to, why));
            src = next;
        }
        Ok(steps)
    }
}

/// The tuple that updates each row, -1 for none, where the tuples are constant and at most one of them counts.
fn writers(context: &Context<'_>, indices: ValueId, sizes: &[u64], update: Update) -> Option<Vec<i64>> {
    let tuples = context.constant_tensor(indices)?.to_i64_vec();
    let mut writers = vec![-1; sizes.iter().product::<u64>() as usize];
    for (n, tuple) in tuples.chunks_exact(sizes.len()).enumerate() {
        let mut row = 0;
        for (&index, &size) in tuple.iter().zip(sizes) {
            let from_start = if index < 0 { index.checked_add_unsigned(size)? } else { index };
            row = row * size + u64::try_from(from_start).ok().filter(|&index| index < size)?;
        }
        let writer = writers.get_mut(row as usize)?;
        if *writer >= 0 && update != Update::Replace {
            return None;
        }
        *writer = n as i64;
    }
    Some(writers)
}

fn update(update: Update) -> (&'static str, Constant) {
    let number = match update {
        Update::Replace => 0,
        Update::Add => 1,
        Update::Mul => 2,
        Update::Max => 3,
        Update::Min => 4,
    };
    ("UPDATE", Constant::U32(number))
}

fn chosen(
    context: &Context<'_>,
    kernel: &'static str,
    constants: Vec<(&'static str, Constant)>,
    mut slots: Vec<Slot>,
    dst: Slot,
    why: &str,
) -> Chosen {
    let e = dst.extents();
    let (workgroup_size, workgroups) = context.linear(&(e.pixels() * e.slices()));
    slots.push(dst);
    let call = KernelCall::plain(kernel, constants, slots, workgroup_size, workgroups);
    Chosen { call, why: why.to_owned(), declined: Vec::new(), flops: 0 }
}

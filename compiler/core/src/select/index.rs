//! Reads and updates of single elements and of rows at computed indices.

use super::data::{check_tuple, tuple_constants};
use super::{Chosen, Context, Declined};
use crate::kernel::{Access, Constant, KernelCall, Slot};
use drift_ir::op::{GatherElements, ScatterElements, ScatterNd, Update};
use drift_ir::{Node, Tensor, ValueId};

/// A dense tensor around one axis: `[outer, axis, inner]`, or where nothing lies inside of it `[outer, axis]` with the
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
    let (size, count) = (context.shape(x)[op.axis], context.shape(indices)[op.axis]);
    let around = Around::of(&context.shape(x), op.axis);
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
) -> Result<Chosen, Declined> {
    let [x, indices, updates] = [node.inputs[0], node.inputs[1], node.inputs[2]];
    let (size, count) = (context.shape(x)[op.axis], context.shape(indices)[op.axis]);
    let around = Around::of(&context.shape(x), op.axis);
    let src = context.dense_as("src", Access::Read, x, around.sizes(size))?;
    let indices = context.dense_as("indices", Access::Read, indices, around.sizes(count))?;
    let updates = context.dense_as("updates", Access::Read, updates, around.sizes(count))?;
    let dst = context.dense_as("dst", Access::Write, node.outputs[0], around.sizes(size))?;
    let constants = vec![
        ("ALONG_C", Constant::Bool(around.along_channels)),
        ("LIMIT", Constant::U32(size)),
        ("COUNT", Constant::U32(count)),
        update(op.update),
    ];
    let why = "each slice goes through the updates of its line";
    Ok(chosen(context, "scatter_elements", constants, vec![src, indices, updates], dst, why))
}

pub(super) fn select_scatter_nd(
    context: &mut Context<'_>,
    node: &Node,
    op: ScatterNd,
) -> Result<Chosen, Declined> {
    let [x, indices, updates] = [node.inputs[0], node.inputs[1], node.inputs[2]];
    let (shape, index_shape) = (context.shape(x), context.shape(indices));
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
        let writer = context.derived_slot("writer", node.outputs[0], "writer of each row", &writers);
        let why = "the indices are known, so each row knows its update";
        return Ok(chosen(context, "scatter_known", constants, vec![src, writer, updates], dst, why));
    }
    check_tuple(tuple as usize)?;
    let indices = context.dense_as("indices", Access::Read, indices, [1, 1, count, tuple])?;
    constants.push(("COUNT", Constant::U32(count)));
    constants.extend(tuple_constants(indexed));
    let why = "each slice goes through all updates";
    Ok(chosen(context, "scatter_nd", constants, vec![src, indices, updates], dst, why))
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
    let (workgroup_size, workgroups) = context.linear(e.pixels() * e.slices());
    slots.push(dst);
    let call = KernelCall::plain(kernel, constants, slots, workgroup_size, workgroups);
    Chosen { call, why: why.to_owned(), declined: Vec::new(), flops: 0 }
}

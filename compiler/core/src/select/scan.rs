//! Walks along one axis: the place of an extreme, the largest few, running sums.

use super::reduce::coordinates;
use super::rows::row_grid;
use super::{Chosen, Context, Declined};
use crate::kernel::{Access, Constant, KernelCall, Slot};
use crate::module::LOOP_ROUNDS;
use crate::physical::Element;
use crate::physical::Size;
use drift_ir::Node;
use drift_ir::op::{ArgReduce, CumSum, Suppress, TopK};

pub(super) fn select_arg_reduce(
    context: &mut Context<'_>,
    node: &Node,
    op: ArgReduce,
) -> Result<Chosen, Declined> {
    let (x, y) = (node.inputs[0], node.outputs[0]);
    let count = context.sizes(x)[op.axis].clone();
    let axes = coordinates(context, x, y, &[op.axis], op.keep_dims)
        .map_err(|_| Declined::Unsupported("one axis between others makes three runs at most".to_owned()))?;
    let src = context.slot("src", Access::Read, x, &axes.axes)?;
    let dst = context.slot("dst", Access::Write, y, &axes.result)?;
    let e = src.extents();
    let [over_b, over_y, over_x, over_c] = axes.reduced.map(u32::from);
    let along_channels = over_c == 1;
    let steps = if along_channels { e.slices() } else { count };
    let constants = vec![
        ("SMALLEST", Constant::Bool(!op.largest)),
        ("LAST", Constant::Bool(op.last)),
        ("COUNT", Constant::count(steps.clone())),
        ("ALONG_B", Constant::U32(over_b.into())),
        ("ALONG_Y", Constant::U32(over_y.into())),
        ("ALONG_X", Constant::U32(over_x.into())),
        ("ALONG_S", Constant::U32(over_c.into())),
        ("ALONG_C", Constant::Bool(along_channels)),
    ];
    let threads = steps.max().next_power_of_two().clamp(32, 128) as u32;
    let workgroups = row_grid(context, &(dst.extents().pixels() * dst.extents().slices()));
    let flops = e.elements().max();
    let call = call("arg_reduce", constants, src, dst, threads, workgroups);
    Ok(Chosen { call, why: format!("{threads} invocations a slice"), declined: Vec::new(), flops })
}

pub(super) fn select_top_k(
    context: &mut Context<'_>,
    node: &Node,
    op: TopK,
) -> Result<Vec<Chosen>, Declined> {
    let (x, y) = (node.inputs[0], node.outputs[0]);
    let (last, outer) =
        context.shape(x)?.split_last().map_or((1, 1), |(&last, outer)| (last, outer.iter().product()));
    let threads = last.next_power_of_two().clamp(32, 256);
    let search = last.div_ceil(threads) + u64::from(threads.ilog2());
    let rounds = op.k.div_ceil(4) * (1 + 4 * search);
    if rounds > LOOP_ROUNDS {
        return sorted_runs(context, node, op, [outer, last]);
    }
    let src = context.dense_as("src", Access::Read, x, [1, 1, outer, last])?;
    let dst = context.dense_as("dst", Access::Write, y, [1, 1, outer, op.k])?;
    let workgroups = row_grid(context, &(outer).into());
    let constants = vec![("SMALLEST", Constant::Bool(!op.largest))];
    let flops = outer * last * op.k;
    let call = call("top_k", constants, src, dst, threads as u32, workgroups);
    let why = format!("{} searches of a row, one after another", op.k);
    Ok(vec![Chosen { call, why, declined: Vec::new(), flops }])
}

pub(super) fn select_suppress(
    context: &mut Context<'_>,
    node: &Node,
    op: Suppress,
) -> Result<Chosen, Declined> {
    let [boxes, scores, candidates, most] = [0, 1, 2, 3].map(|at: usize| node.inputs[at]);
    let shape = context.shape(scores)?;
    let (images, classes, count) = (shape[0], shape[1], shape[2]);
    let threads = count.next_power_of_two().clamp(32, 256);
    let steps = count.div_ceil(threads);
    let rounds = steps + op.k.div_ceil(4) * (1 + 4 * (steps + u64::from(threads.ilog2())));
    if rounds > LOOP_ROUNDS {
        let reason = format!(
            "keeping {} of {count} boxes goes through them too often for one dispatch; keep fewer of each class (--bound)",
            op.k
        );
        return Err(Declined::Unsupported(reason));
    }
    let rows = images * classes;
    let slots = vec![
        context.dense_as("boxes", Access::Read, boxes, [1, images, count, 4])?,
        context.dense_as("scores", Access::Read, scores, [1, 1, rows, count])?,
        context.dense_as("candidates", Access::Read, candidates, [1, 1, rows, count])?,
        context.dense_as("most", Access::Read, most, [1, 1, 1, 1])?,
        context.dense_as("dst", Access::Write, node.outputs[0], [1, 1, rows, op.k])?,
    ];
    let constants = vec![
        ("CLASSES", Constant::U32(classes)),
        ("STEPS", Constant::U32(steps)),
        ("WORDS", Constant::U32(steps.div_ceil(32))),
    ];
    let workgroups = row_grid(context, &rows.into());
    let call = KernelCall::plain("suppress", constants, slots, [threads as u32, 1, 1], workgroups);
    let flops = rows * count * op.k * 16;
    let why = format!("{} rounds over a row, one box after another", op.k);
    Ok(Chosen { call, why, declined: Vec::new(), flops })
}

/// Sorts short runs of each row, then merges neighbours until one run is left; of each only what may still be asked for.
fn sorted_runs(
    context: &mut Context<'_>,
    node: &Node,
    op: TopK,
    [rows, count]: [u64; 2],
) -> Result<Vec<Chosen>, Declined> {
    /// Elements of a run that each of them looks at.
    const RUN: u64 = 64;
    let src = context.dense_as("src", Access::Read, node.inputs[0], [1, rows, count, 1])?;
    let dst = context.dense_as("dst", Access::Write, node.outputs[0], [1, rows, op.k, 1])?;
    let smallest = ("SMALLEST", Constant::Bool(!op.largest));
    let (mut runs, mut length) = (count.div_ceil(RUN), RUN.min(op.k));
    let what = format!("{} (runs of {RUN})", node.name);
    let mut sorted = context.scratch("dst", &what, Element::I32, [1, rows, runs * length, 1]);
    let constants = vec![
        smallest.clone(),
        ("RUN", Constant::U32(RUN)),
        ("RUNS", Constant::U32(runs)),
        ("KEPT", Constant::U32(length)),
    ];
    let (size, workgroups) = context.linear(&(rows * runs * RUN).into());
    let call = call("sort_runs", constants, src.clone(), sorted.clone(), size[0], workgroups);
    let mut steps = vec![Chosen {
        call,
        why: format!("{runs} runs of {RUN} elements, each element ranked"),
        declined: Vec::new(),
        flops: rows * count * RUN,
    }];
    while runs > 1 {
        let (merged, kept) = (runs.div_ceil(2), (2 * length).min(op.k));
        let to = match merged == 1 {
            true => dst.clone(),
            false => {
                let what = format!("{} ({merged} runs)", node.name);
                context.scratch("dst", &what, Element::I32, [1, rows, merged * kept, 1])
            }
        };
        let halvings = u64::from(length.ilog2()) + 1;
        let constants = vec![
            smallest.clone(),
            ("RUNS", Constant::U32(runs)),
            ("LENGTH", Constant::U32(length)),
            ("KEPT", Constant::U32(kept)),
            ("HALVINGS", Constant::U32(halvings)),
        ];
        let (size, workgroups) = context.linear(&(rows * merged * kept).into());
        let slots = vec![src.clone(), sorted.as_argument("runs", Access::Read), to.clone()];
        let call = KernelCall::plain("merge_runs", constants, slots, size, workgroups);
        let flops = rows * merged * kept * halvings;
        let why = format!("{runs} runs of {length}, two by two");
        steps.push(Chosen { call, why, declined: Vec::new(), flops });
        (sorted, runs, length) = (to, merged, kept);
    }
    Ok(steps)
}

pub(super) fn select_cumsum(context: &mut Context<'_>, node: &Node, op: CumSum) -> Result<Chosen, Declined> {
    let (x, y) = (node.inputs[0], node.outputs[0]);
    let shape = context.shape(x)?;
    let size = |axes: &[u64]| axes.iter().product::<u64>();
    let (outer, count, inner) = (size(&shape[..op.axis]), shape[op.axis], size(&shape[op.axis + 1..]));
    let along_channels = inner == 1;
    let sizes = if along_channels { [1, 1, outer, count] } else { [1, outer, count, inner] };
    let src = context.dense_as("src", Access::Read, x, sizes)?;
    let dst = context.dense_as("dst", Access::Write, y, sizes)?;
    let mut constants =
        vec![("EXCLUSIVE", Constant::Bool(op.exclusive)), ("REVERSE", Constant::Bool(op.reverse))];
    let e = dst.extents().known()?;
    let flops = e.elements();
    let (call, why) = if along_channels {
        let threads = e.slices().next_power_of_two().clamp(32, 64) as u32;
        constants.push(("CHUNK", Constant::U32(e.slices().div_ceil(u64::from(threads)))));
        let workgroups = row_grid(context, &(outer).into());
        (call("cumsum_rows", constants, src, dst, threads, workgroups), "a workgroup a row")
    } else {
        let ([threads, _, _], workgroups) = context.linear(&(e.height * e.slices()).into());
        (call("cumsum", constants, src, dst, threads, workgroups), "an invocation a line")
    };
    Ok(Chosen { call, why: why.to_owned(), declined: Vec::new(), flops })
}

fn call(
    kernel: &'static str,
    constants: Vec<(&'static str, Constant)>,
    src: Slot,
    dst: Slot,
    threads: u32,
    workgroups: [Size; 3],
) -> KernelCall {
    KernelCall::plain(kernel, constants, vec![src, dst], [threads, 1, 1], workgroups)
}

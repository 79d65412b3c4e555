//! Concatenation: each invocation writes one slice of the result and reads it from the part, or the parts, that it
//! stands in. So no two invocations write one vector, wherever a part begins.

use super::{Chosen, Context, Declined};
use crate::kernel::{Access, Join, KernelCall, MOST_PARTS, Slot};
use crate::physical::size::{self, Size};
use crate::physical::{AxisMap, LANES, Order};
use drift_ir::op::Concat;
use drift_ir::{Node, ValueId};
use std::ops::Range;

/// One dispatch: which parts it reads, and which coordinates along the joined axis it writes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    parts: Range<usize>,
    /// Coordinates, or slices where channels are joined.
    written: Range<Size>,
}

impl Group {
    /// All parts at once.
    fn all(starts: &[Size], channels: bool) -> Self {
        let parts = starts.len() - 1;
        let end = starts[parts].div_ceil(if channels { LANES } else { 1 });
        Self { parts: 0..parts, written: Size::Const(0)..end }
    }
}

pub(super) fn select(context: &mut Context<'_>, node: &Node, op: Concat) -> Result<Vec<Chosen>, Declined> {
    let y = node.outputs[0];
    // Parts without elements add nothing.
    let parts: Vec<ValueId> = node.inputs.iter().copied().filter(|&part| !context.is_empty(part)).collect();
    let axes = axes(context, y, &parts, op.axis);
    let runs = [&axes.batch, &axes.height, &axes.width, &axes.channels];
    let along = runs.iter().position(|run| run.contains(&op.axis)).unwrap_or(3);
    let dst = context.slot("dst", Access::Write, y, &axes)?;
    let mut slots = Vec::with_capacity(parts.len());
    for &part in &parts {
        let slot = context.slot("src", Access::Read, part, &axes)?;
        slots.push(slot);
    }
    let mut starts = vec![Size::Const(0)];
    for slot in &slots {
        let e = slot.extents();
        let next = starts[starts.len() - 1].plus(e.as_array()[along]);
        starts.push(next);
    }
    let whole = along != 3 || starts[..slots.len()].iter().all(|start| start.is_multiple_of(LANES));
    let groups = match size::known(&starts) {
        Ok(starts) => groups(&starts, along == 3, whole),
        Err(_) if slots.len() <= MOST_PARTS => vec![Group::all(&starts, along == 3)],
        Err(free) => return Err(free.into()),
    };
    let why = match (groups.len(), whole) {
        (1, true) => "whole slices".to_owned(),
        (1, false) => "channel by channel: a part begins inside of a slice".to_owned(),
        (many, _) => format!("{} parts in {many} dispatches, {MOST_PARTS} at most in each", slots.len()),
    };
    let chosen = groups.iter().map(|group| Chosen {
        call: call(context, group, &slots, &starts, &dst, along, whole),
        why: why.clone(),
        declined: Vec::new(),
        flops: 0,
    });
    Ok(chosen.collect())
}

/// The axes under which all parts are read. A dense result takes those of a part that is stored under its own; between
/// dense tensors, everything inside of the joined axis is one run of channels, which leaves whole rows to copy.
fn axes(context: &Context<'_>, y: ValueId, parts: &[ValueId], axis: usize) -> AxisMap {
    let sliced = std::iter::once(&y).chain(parts).find_map(|value| {
        let layout = &context.placement(*value)?.layout;
        (layout.order != Order::RowMajor).then(|| layout.axes.clone())
    });
    let rank = context.rank(y);
    sliced.unwrap_or(AxisMap { batch: 0..0, height: 0..0, width: 0..axis, channels: axis..rank })
}

/// Divides the result among dispatches. `starts` are the first coordinates of the parts, and the end of the last.
fn groups(starts: &[u64], channels: bool, whole: bool) -> Vec<Group> {
    let (parts, end) = (starts.len() - 1, starts[starts.len() - 1]);
    let unit = if channels { LANES } else { 1 };
    let last = end.div_ceil(unit);
    let mut groups = Vec::new();
    let mut next = 0;
    while next < last {
        // A slice in which parts meet belongs to one group, so the next may begin inside of the same part.
        let first = starts.partition_point(|&start| start <= next * unit) - 1;
        let beyond = first + MOST_PARTS;
        let until = match beyond < parts {
            true if whole => starts[beyond].div_ceil(unit),
            true => starts[beyond] / unit,
            false => last,
        };
        groups.push(Group { parts: first..beyond.min(parts), written: next.into()..until.into() });
        next = until;
    }
    groups
}

fn call(
    context: &Context<'_>,
    group: &Group,
    slots: &[Slot],
    starts: &[Size],
    dst: &Slot,
    along: usize,
    whole_slices: bool,
) -> KernelCall {
    let starts = starts[group.parts.clone()].to_vec();
    let Range { start: first, end } = group.written.clone();
    let join = Join { along, whole_slices, starts, count: end.minus(&first), first };
    let (workgroup_size, workgroups) = context.linear(&join.sizes(dst).iter().product());
    join.call(&slots[group.parts.clone()], dst.clone(), workgroup_size, workgroups)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(parts: Range<usize>, written: Range<u64>) -> Group {
        Group { parts, written: written.start.into()..written.end.into() }
    }

    #[test]
    fn a_slice_in_which_parts_meet_belongs_to_one_group() {
        let starts: Vec<u64> = (0..=20).map(|part| part * 3).collect();
        let groups = groups(&starts, true, false);
        assert_eq!(groups[0], group(0..7, 0..5));
        // Slice 5 is channels 20 to 23: the end of part 6 and the beginning of part 7.
        assert_eq!(groups[1], group(6..13, 5..9));
        for group in &groups {
            let channels = group.written.start.max() * 4..(group.written.end.max() * 4).min(60);
            assert!(starts[group.parts.start] <= channels.start && channels.end <= starts[group.parts.end]);
        }
        assert_eq!(groups.last().map(|group| group.written.end.max()), Some(15));
        assert!(groups.windows(2).all(|pair| pair[0].written.end == pair[1].written.start));
    }

    #[test]
    fn parts_of_whole_slices_go_seven_at_a_time() {
        let starts: Vec<u64> = (0..=9).map(|part| part * 8).collect();
        let expected = [group(0..7, 0..14), group(7..9, 14..18)];
        assert_eq!(groups(&starts, true, true), expected);
        assert_eq!(groups(&starts, false, true)[1], group(7..9, 56..72));
    }

    #[test]
    fn parts_of_one_channel_still_make_progress() {
        let starts: Vec<u64> = (0..=30).collect();
        let groups = groups(&starts, true, false);
        assert!(
            groups.iter().all(|group| group.written.start.max() < group.written.end.max()
                && group.parts.len() <= MOST_PARTS)
        );
        assert_eq!(groups.last().map(|group| group.written.end.max()), Some(8));
    }
}

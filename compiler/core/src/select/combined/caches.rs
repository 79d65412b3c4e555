//! What a decoder does between its projections and attention, in one dispatch: queries and keys turn by the angles of their
//! positions, and keys and values go into the states where they are kept.

use super::{Users, absorb, fits, leave_out, slot};
use crate::kernel::{Access, AddressMap, Constant, KernelCall, Slot, Source};
use crate::physical::{Extents, Order, Place, Size, StorageType, View};
use crate::profile::Profile;
use crate::program::{Program, ProgramStep};
use crate::select::grid;
use std::collections::BTreeSet;

/// Invocations of a workgroup.
const THREADS: u64 = 64;

/// The steps of one layer.
#[derive(Clone, Copy)]
struct Parts {
    /// Turns queries.
    queries: usize,
    /// Turns keys.
    keys: usize,
    /// Writes turned keys.
    write: usize,
    /// Writes values.
    values: Option<usize>,
}

impl Parts {
    fn steps(&self) -> impl Iterator<Item = usize> {
        [self.queries, self.keys, self.write].into_iter().chain(self.values)
    }

    /// The last of them: what they need is there, and nothing has read what they make.
    fn last(&self) -> usize {
        self.steps().fold(0, usize::max)
    }
}

/// Combines the steps of each layer.
pub(super) fn combine(program: &mut Program, profile: &Profile) {
    let users = Users::new(program);
    let mut gone = BTreeSet::new();
    for write in 0..program.steps.len() {
        let Some((parts, call)) = combined(program, profile, &users, (write, &gone)) else { continue };
        let last = parts.last();
        let others: Vec<ProgramStep> =
            parts.steps().filter(|&at| at != last).map(|at| program.steps[at].clone()).collect();
        let step = &mut program.steps[last];
        for other in &others {
            absorb(step, other, call.clone());
        }
        step.why = "queries and keys turn, and rows go into the cache".to_owned();
        gone.extend(parts.steps().filter(|&at| at != last));
    }
    leave_out(program, &gone);
}

/// The steps around one that writes keys, and the call that stands for them.
fn combined(
    program: &Program,
    profile: &Profile,
    users: &Users,
    (write, gone): (usize, &BTreeSet<usize>),
) -> Option<(Parts, KernelCall)> {
    let calls = |at: usize| &program.steps[at].call;
    if calls(write).kernel.name != "write_rows_in_place" {
        return None;
    }
    let keys =
        (0..write).rev().find(|&at| !gone.contains(&at) && makes_rows_of(program, users, at, write))?;
    let is_free = |at: &usize| ![keys, write].contains(at) && !gone.contains(at);
    let nearest = |wanted: &dyn Fn(usize) -> bool| {
        let steps = (0..program.steps.len()).filter(is_free).filter(|&at| wanted(at));
        steps.min_by_key(|&at| at.abs_diff(write))
    };
    let queries = nearest(&|at| turns_alike(calls(at), calls(keys)) && !is_written(program, users, at))?;
    let values = nearest(&|at| writes_alike(calls(at), calls(write)) && !has_turned(program, users, at));
    [values, None].into_iter().find_map(|values| {
        let parts = Parts { queries, keys, write, values };
        let call = call(program, profile, &parts).filter(|_| may_move(program, users, &parts))?;
        fits(program, parts.last(), &call).then_some((parts, call))
    })
}

/// Whether the step at `at` turns the rows that the one at `write` writes into a state, and nobody else reads.
fn makes_rows_of(program: &Program, users: &Users, at: usize, write: usize) -> bool {
    let (turn, write_call) = (&program.steps[at].call, &program.steps[write].call);
    let (Some(made), Some(rows)) = (slot(turn, "dst"), slot(write_call, "rows")) else { return false };
    let Source::Activation(storage) = made.source else { return false };
    turn.kernel.name == "rotary"
        && turn.epilogue.is_none()
        && write_call.kernel.name == "write_rows_in_place"
        && rows.source == made.source
        && users.readers_of_own(storage, at) == Some(&[write])
        && [made, rows].iter().all(|slot| slot.address == AddressMap::WHOLE)
        && made.extents() == rows.extents()
}

/// Whether what a step turns is only written into a state.
fn is_written(program: &Program, users: &Users, at: usize) -> bool {
    (at + 1..program.steps.len()).any(|write| makes_rows_of(program, users, at, write))
}

/// Whether the rows that a step writes have been turned before.
fn has_turned(program: &Program, users: &Users, write: usize) -> bool {
    (0..write).any(|at| makes_rows_of(program, users, at, write))
}

fn turns_alike(call: &KernelCall, other: &KernelCall) -> bool {
    call.kernel.name == "rotary"
        && call.epilogue.is_none()
        && call.constants == other.constants
        && ["cosine", "sine"].iter().all(|name| slot(call, name) == slot(other, name))
}

fn writes_alike(call: &KernelCall, other: &KernelCall) -> bool {
    call.kernel == other.kernel
        && call.constants == other.constants
        && slot(call, "first") == slot(other, "first")
}

/// Whether all may be where the last is: nothing in between reads or writes what they make, or writes what they read.
fn may_move(program: &Program, users: &Users, parts: &Parts) -> bool {
    let last = parts.last();
    parts.steps().all(|at| {
        program.steps[at].call.slots.iter().all(|slot| match (slot.source, slot.access) {
            (_, Access::Read) => at == last || users.stays(slot, at, last),
            (Source::Activation(storage), Access::Write) => {
                let mut between = users.touching(storage).filter(|&user| user > at && user <= last);
                between.all(|user| parts.steps().any(|part| part == user))
            }
            (Source::Constant(_), Access::Write) => false,
        })
    })
}

/// The call that does what all parts do.
fn call(program: &Program, profile: &Profile, parts: &Parts) -> Option<KernelCall> {
    let of = |at: usize, name: &str| slot(&program.steps[at].call, name);
    let named = |slot: &Slot, name: &str| slot.as_argument(name, slot.access);
    // Without values the names stand for what is there.
    let (v, values) = match parts.values {
        Some(at) => (of(at, "rows")?, of(at, "dst")?),
        None => (of(parts.keys, "src")?, of(parts.write, "dst")?),
    };
    let slots = vec![
        in_root(program, named(of(parts.queries, "src")?, "q")),
        in_root(program, named(of(parts.keys, "src")?, "k")),
        in_root(program, named(v, "v")),
        of(parts.keys, "cosine")?.clone(),
        of(parts.keys, "sine")?.clone(),
        of(parts.write, "first")?.clone(),
        named(of(parts.write, "dst")?, "keys"),
        named(values, "values"),
        of(parts.queries, "dst")?.clone(),
    ];
    let items = |e: Extents| e.pixels() * e.slices();
    let mut all = items(slots[0].extents().known().ok()?) + items(slots[1].extents().known().ok()?);
    if parts.values.is_some() {
        all += items(slots[2].extents().known().ok()?);
    }
    let mut constants = program.steps[parts.keys].call.constants.clone();
    constants.extend(program.steps[parts.write].call.constants.iter().cloned());
    constants.push(("HAS_VALUES", Constant::Bool(parts.values.is_some())));
    let [x, y] = grid(&all.div_ceil(THREADS).max(1).into(), u64::from(profile.grid_axis));
    Some(KernelCall::plain("rotary_cache", constants, slots, [THREADS as u32, 1, 1], [x, y, Size::ONE]))
}

/// A dense slot as a view of the storage that its own is in, so that parts of one storage share a binding.
fn in_root(program: &Program, slot: Slot) -> Slot {
    let Source::Activation(storage) = slot.source else { return slot };
    let (root, size) = (program.root(storage), slot.layout.element.size_bytes());
    let is_dense = slot.layout.order == Order::RowMajor && slot.layout.storage_type == StorageType::Buffer;
    let view = match &slot.address {
        AddressMap::Direct(Place::Whole) => match slot.known_shape() {
            Ok(shape) => View::whole(&shape),
            Err(_) => return slot,
        },
        AddressMap::Direct(Place::View(view)) => view.clone(),
        _ => return slot,
    };
    if root.storage == storage || !is_dense || !root.offset_bytes.is_multiple_of(size) {
        return slot;
    }
    let view = View { start: view.start + root.offset_bytes / size, ..view };
    Slot { source: Source::Activation(root.storage), address: AddressMap::Direct(Place::View(view)), ..slot }
}

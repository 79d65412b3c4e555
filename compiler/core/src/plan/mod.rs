//! Memory of a program: live ranges of its storages, order of its steps, pairs that are computed in place, and where everything is.

mod flow;
mod in_place;
mod join;
mod list;
mod peak;
mod schedule;
mod views;

use crate::kernel::Source;
use crate::memory::{self, Effort, MemoryError};
use crate::physical::{Element, StorageType};
use crate::profile::MemoryForms;
use crate::program::{Program, Storage, StorageKind, Within};
use drift_bundle::manifest::{DeviceElement, MemoryReport, MemoryStrategy, TextureObject};
use join::Joiner;
use std::ops::Range;

/// Where every storage of a program is.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryPlan {
    /// Arena offset or texture index of each storage.
    pub places: Vec<Place>,
    /// Bytes of the arena.
    pub arena_bytes: u64,
    /// Sizes of the memory that inputs and outputs have of their own.
    pub io_bytes: Vec<u64>,
    /// Sizes of the states.
    pub state_bytes: Vec<u64>,
    /// Pooled textures.
    pub textures: Vec<TextureObject>,
    /// First and last step that touches each storage by its own name.
    pub live_ranges: Vec<(usize, usize)>,
    /// Steps that write over an operand.
    pub in_place: Vec<usize>,
    /// Bytes alive at each step, and after the last one.
    pub live_bytes: Vec<u64>,
    /// Whether no plan for this order of steps is smaller.
    pub is_smallest: bool,
    /// What planning achieved.
    pub report: MemoryReport,
}

/// Place of one storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Byte offset in the arena.
    Arena(u64),
    /// Index of the texture.
    Texture(u32),
    /// Index of an input's or output's own memory, and byte offset in it.
    Io(u32, u64),
    /// Index of a state, and byte offset in it.
    State(u32, u64),
}

/// First and last step that touches each storage. Inputs live throughout, so that a run can be repeated without writing
/// them again; outputs live from their first write to the end.
fn lifetimes(program: &Program) -> Vec<(usize, usize)> {
    let end = program.steps.len();
    let mut live_ranges = vec![(usize::MAX, 0); program.storages.len()];
    for (task, step) in program.steps.iter().enumerate() {
        for slot in &step.call.slots {
            if let Source::Activation(storage) = slot.source {
                let live_range = &mut live_ranges[storage as usize];
                *live_range = (live_range.0.min(task), live_range.1.max(task));
            }
        }
    }
    for port in &program.inputs {
        live_ranges[port.storage as usize] = (0, end);
    }
    for port in &program.outputs {
        live_ranges[port.storage as usize].1 = end;
    }
    for state in &program.states {
        live_ranges[state.storage as usize] = (0, end);
    }
    // A storage that nothing touches still needs a place, since a port may name it.
    live_ranges
        .into_iter()
        .map(|(first, last)| if first == usize::MAX { (0, last) } else { (first, last) })
        .collect()
}

/// Places every storage of a program. Where that takes less memory, steps go in another order, and write their result over
/// an operand at its last use; the program that is returned says so.
pub fn plan_memory(mut program: Program, forms: MemoryForms) -> Result<(Program, MemoryPlan), MemoryError> {
    let settled = |program: &Program, effort| match forms.in_place {
        true => settled(program, forms.own_io, effort),
        false => Ok((program.clone(), place(program, forms.own_io, effort)?)),
    };
    let naive_bytes = naive_bytes(&program);
    let (mut best, mut plan) = settled(&program, Effort::Greedy)?;
    if let Some(moved) = schedule::reordered(&program).filter(|_| forms.order) {
        let (other, other_plan) = settled(&moved, Effort::Greedy)?;
        if other_plan.report.planned_bytes < plan.report.planned_bytes {
            program = moved;
            (best, plan) = (other, other_plan);
        }
    }
    let planned = |program: &Program| Ok(settled(program, Effort::Greedy)?.1.report.planned_bytes);
    if forms.views
        && let Some(joined) = with_views(&program, plan.report.planned_bytes, &planned)?
    {
        program = joined;
        (best, plan) = settled(&program, Effort::Greedy)?;
    }
    if plan.report.planned_bytes > plan.report.lower_bound_bytes {
        (best, plan) = settled(&program, Effort::COMPILE)?;
    }
    plan.report.naive_bytes = naive_bytes;
    Ok((best, plan))
}

/// Steps of all programs that are planned to join concatenations one after the other: a hundred joins in a thousand steps. What
/// is left then stays apart.
const MOST_PLANNED: usize = 1 << 17;

/// `program` with parts of concatenations in their results, as many as keep what is `planned` within `most` bytes; none if
/// none do.
fn with_views(
    program: &Program,
    most: u64,
    planned: &dyn Fn(&Program) -> Result<u64, MemoryError>,
) -> Result<Option<Program>, MemoryError> {
    let fits = |program: &Program| planned(program).map(|bytes| bytes <= most);
    let mut all = Joiner::new(program);
    if !all.join(&mut |_| Ok(true))? {
        return Ok(None);
    }
    let all = all.program();
    if fits(&all)? {
        return Ok(Some(all));
    }
    // One after the other, each with a plan of its own.
    let mut left = MOST_PLANNED;
    let mut some = Joiner::new(program);
    let joined = some.join(&mut |joiner: &Joiner| {
        left = left.saturating_sub(program.steps.len());
        Ok(left > 0 && fits(&joiner.program())?)
    })?;
    Ok(joined.then(|| some.program()))
}

/// `program` with steps in place, and its plan.
///
/// In-place steps cannot prefetch, so they are used only at the memory peak.
fn settled(program: &Program, own_io: bool, effort: Effort) -> Result<(Program, MemoryPlan), MemoryError> {
    let plain = place(program, own_io, Effort::Greedy)?;
    let pairs = in_place::pairs(program, &plain.live_ranges);
    let attempt = |pairs: &[in_place::Pair], effort| -> Result<(Program, MemoryPlan), MemoryError> {
        let merged = in_place::merge(program, pairs);
        let steps = pairs.iter().flat_map(|pair| pair.steps.iter().copied()).collect();
        let plan = place(&merged, own_io, effort)?;
        Ok((merged, MemoryPlan { in_place: steps, ..plan }))
    };
    // What greedy orders give is there already.
    let again = |pairs: &[in_place::Pair], known| match effort {
        Effort::Greedy => Ok(known),
        effort => attempt(pairs, effort),
    };
    if pairs.is_empty() {
        return again(&[], (program.clone(), plain));
    }
    let all = attempt(&pairs, Effort::Greedy)?;
    let planned = all.1.report.planned_bytes;
    if planned >= plain.report.planned_bytes {
        return again(&[], (program.clone(), plain));
    }
    let scarce = |pair: &&in_place::Pair| pair.steps.iter().any(|&step| plain.live_bytes[step] > planned);
    let needed: Vec<in_place::Pair> = pairs.iter().filter(scarce).cloned().collect();
    let some = attempt(&needed, Effort::Greedy)?;
    match some.1.report.planned_bytes <= planned {
        true => again(&needed, some),
        false => again(&pairs, all),
    }
}

/// Sum of all storages but states, each byte once.
fn naive_bytes(program: &Program) -> u64 {
    let is_state = |index: usize| program.state_storages().any(|state| state as usize == index);
    let roots = program.storages.iter().enumerate();
    let roots = roots.filter(|(index, storage)| storage.within.is_none() && !is_state(*index));
    roots.map(|(_, storage)| storage.kind.size_bytes()).sum()
}

/// A range of a root storage with a live range of its own.
struct Part {
    root: usize,
    offset_bytes: u64,
    tensor: memory::Tensor,
}

/// Live ranges of the storages that cover a byte.
#[derive(Default)]
struct Over {
    firsts: memory::Bag<usize>,
    lasts: memory::Bag<usize>,
}

/// The buffers of a program, cut where storages within them begin and end.
fn parts(program: &Program, live_ranges: &[(usize, usize)]) -> Vec<Part> {
    let align = memory::BINDING_ALIGN_BYTES;
    let roots = program.roots();
    let mut members: Vec<Vec<usize>> = vec![Vec::new(); program.storages.len()];
    for (index, storage) in program.storages.iter().enumerate() {
        if matches!(storage.kind, StorageKind::Buffer { .. }) {
            members[roots[index].storage as usize].push(index);
        }
    }
    let mut parts: Vec<Part> = Vec::new();
    for (root, members) in members.into_iter().enumerate().filter(|(_, members)| !members.is_empty()) {
        let end = program.storages[root].kind.size_bytes();
        let ranges: Vec<(usize, Range<u64>)> =
            members.into_iter().map(|member| (member, program.range(member as u32, &roots))).collect();
        let ends = ranges.iter().map(|(_, range)| range.end.next_multiple_of(align).min(end));
        let mut cuts: Vec<u64> =
            ranges.iter().map(|(_, range)| range.start).chain(ends).chain([end]).collect();
        cuts.sort_unstable();
        cuts.dedup();
        let bounds =
            if cuts.len() < 2 { vec![(0, end)] } else { cuts.windows(2).map(|c| (c[0], c[1])).collect() };
        let mut over = Over::default();
        let (mut beginning, mut ending) = (ranges.clone(), ranges);
        beginning.sort_by_key(|(_, range)| std::cmp::Reverse(range.start));
        ending.sort_by_key(|(_, range)| std::cmp::Reverse(range.end.max(1)));
        for (start, end) in bounds {
            while let Some((member, _)) = beginning.pop_if(|(_, range)| range.start <= start) {
                over.firsts.put(live_ranges[member].0);
                over.lasts.put(live_ranges[member].1);
            }
            while let Some((member, _)) = ending.pop_if(|(_, range)| range.end.max(1) <= start) {
                over.firsts.take(live_ranges[member].0);
                over.lasts.take(live_ranges[member].1);
            }
            let first = over.firsts.least().unwrap_or(0);
            let last = over.lasts.most().unwrap_or(first).max(first);
            let tensor = memory::Tensor { size_bytes: end - start, first, last, align };
            parts.push(Part { root, offset_bytes: start, tensor });
        }
    }
    parts
}

/// The memory of inputs and outputs of their own, or that of states.
#[derive(Default)]
struct OwnIo {
    /// For each storage, if it is the root of one: which.
    of_root: Vec<Option<u32>>,
    bytes: Vec<u64>,
}

impl OwnIo {
    /// One for each distinct root of `storages`, in their order.
    fn of(program: &Program, roots: &[Within], storages: impl Iterator<Item = u32>) -> Self {
        let mut own = Self { of_root: vec![None; program.storages.len()], bytes: Vec::new() };
        for storage in storages {
            let root = roots[storage as usize].storage as usize;
            own.of_root[root].get_or_insert_with(|| {
                own.bytes.push(program.storages[root].kind.size_bytes());
                own.bytes.len() as u32 - 1
            });
        }
        own
    }

    fn has(&self, root: usize) -> Option<u32> {
        self.of_root.get(root).copied().flatten()
    }
}

/// Places every storage of a program as it is, inputs and outputs apart from the others where they have memory of their own.
fn place(program: &Program, own_io: bool, effort: Effort) -> Result<MemoryPlan, MemoryError> {
    let live_ranges = lifetimes(program);
    let roots = program.roots();
    let own = if own_io { OwnIo::of(program, &roots, program.port_storages()) } else { OwnIo::default() };
    let mut parts = parts(program, &live_ranges);
    let states = OwnIo::of(program, &roots, program.state_storages());
    parts.retain(|part| own.has(part.root).is_none() && states.has(part.root).is_none());
    let mut groups: Vec<memory::Group> = Vec::new();
    let mut group_of = vec![None; program.storages.len()];
    for (index, part) in parts.iter().enumerate() {
        let group = *group_of[part.root].get_or_insert_with(|| {
            groups.push(memory::Group::new());
            groups.len() - 1
        });
        groups[group].push((index, part.offset_bytes));
    }
    let tensors: Vec<memory::Tensor> = parts.iter().map(|part| part.tensor).collect();
    let plan = memory::plan_groups(&tensors, &groups, effort)?;
    let (textures, texture_of) = textures(program, &live_ranges);
    let objects = memory::shared_objects(&textures)?;

    let mut places = vec![Place::Arena(0); program.storages.len()];
    for (index, place) in places.iter_mut().enumerate() {
        let within = roots[index];
        if let Some(number) = own.has(within.storage as usize) {
            *place = Place::Io(number, within.offset_bytes);
        } else if let Some(number) = states.has(within.storage as usize) {
            *place = Place::State(number, within.offset_bytes);
        } else if let Some(group) = group_of[within.storage as usize] {
            let (first, distance) = groups[group][0];
            *place = Place::Arena(plan.offsets[first] - distance + within.offset_bytes);
        }
    }
    for (&index, &object) in texture_of.iter().zip(&objects.object_of) {
        places[index] = Place::Texture(object as u32);
    }
    let texture_objects: Vec<TextureObject> = objects
        .objects
        .iter()
        .map(|object| {
            let extent_px = texels(object.extent_px)?;
            let (kind, element) = (object.format.0.texture_kind(), DeviceElement::from(object.format.1));
            Ok(TextureObject { kind, element, extent_px })
        })
        .collect::<Result<_, MemoryError>>()?;
    let pooled: u64 = texture_objects.iter().map(TextureObject::size_bytes).sum();
    let io: u64 = own.bytes.iter().sum();
    let live_bytes: Vec<u64> =
        live_bytes(program, &parts, &live_ranges).into_iter().map(|bytes| bytes + io).collect();
    let report = MemoryReport {
        naive_bytes: naive_bytes(program),
        planned_bytes: plan.peak_bytes + pooled + io,
        lower_bound_bytes: live_bytes.iter().copied().max().unwrap_or(0),
        strategy: match plan.strategy {
            memory::Strategy::BySize => MemoryStrategy::GreedyBySize,
            memory::Strategy::ByBreadth => MemoryStrategy::GreedyByBreadth,
            memory::Strategy::ByTime => MemoryStrategy::GreedyByTime,
            memory::Strategy::Search | memory::Strategy::Fit => MemoryStrategy::Search,
        },
    };
    let (arena_bytes, is_smallest) = (plan.peak_bytes, plan.is_smallest);
    let (textures, in_place) = (texture_objects, Vec::new());
    let (io_bytes, state_bytes) = (own.bytes, states.bytes);
    Ok(MemoryPlan {
        places,
        arena_bytes,
        io_bytes,
        state_bytes,
        textures,
        live_ranges,
        in_place,
        live_bytes,
        is_smallest,
        report,
    })
}

/// The sides of a texture as the manifest has them.
fn texels(extent_px: [u64; 3]) -> Result<[u32; 3], MemoryError> {
    let mut sides = [0; 3];
    for (side, size) in sides.iter_mut().zip(extent_px) {
        *side = u32::try_from(size).map_err(|_| MemoryError::Texture { extent_px })?;
    }
    Ok(sides)
}

/// Kind and channels of a texture.
type Format = (StorageType, Element);

/// The textures of a program, and which storage each is.
fn textures(program: &Program, live_ranges: &[(usize, usize)]) -> (Vec<memory::Texture<Format>>, Vec<usize>) {
    let of = |(index, storage): (usize, &Storage)| match storage.kind {
        StorageKind::Texture { storage_type, element, extent_px } => {
            let (first, last) = live_ranges[index];
            Some((memory::Texture { format: (storage_type, element), extent_px, first, last }, index))
        }
        StorageKind::Buffer { .. } => None,
    };
    program.storages.iter().enumerate().filter_map(of).unzip()
}

/// Bytes alive at each step, and after the last one.
fn live_bytes(program: &Program, parts: &[Part], live_ranges: &[(usize, usize)]) -> Vec<u64> {
    let buffers = parts.iter().map(|part| (part.tensor.size_bytes, part.tensor.first, part.tensor.last));
    let textures =
        program.storages.iter().zip(live_ranges).filter_map(|(storage, &(first, last))| match storage.kind {
            StorageKind::Texture { .. } => Some((storage.kind.size_bytes(), first, last)),
            StorageKind::Buffer { .. } => None,
        });
    let mut born = vec![0; program.steps.len() + 1];
    let mut gone = vec![0; program.steps.len() + 2];
    for (bytes, first, last) in buffers.chain(textures) {
        born[first] += bytes;
        gone[last + 1] += bytes;
    }
    let mut live = 0;
    let sum = |(born, gone): (u64, u64)| {
        live += born;
        live -= gone;
        live
    };
    born.into_iter().zip(gone).map(sum).collect()
}

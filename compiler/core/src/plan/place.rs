//! Where everything is: buffers in the arena, in memory of their own or in states, textures in pooled ones.

use super::{MemoryPlan, Place, lifetimes, naive_bytes};
use crate::memory::{self, Effort, MemoryError};
use crate::physical::{Element, StorageType};
use crate::program::{Program, Storage, StorageKind, Within};
use drift_bundle::manifest::{DeviceElement, MemoryReport, MemoryStrategy, TextureObject};
use std::ops::Range;

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
pub(super) fn place(program: &Program, own_io: bool, effort: Effort) -> Result<MemoryPlan, MemoryError> {
    let live_ranges = lifetimes(program);
    let roots = program.roots();
    let own = if own_io { OwnIo::of(program, &roots, program.port_storages()) } else { OwnIo::default() };
    let states = OwnIo::of(program, &roots, program.state_storages());
    let mut parts = parts(program, &live_ranges);
    parts.retain(|part| own.has(part.root).is_none() && states.has(part.root).is_none());
    let groups = Groups::of(&parts, program.storages.len());
    let tensors: Vec<memory::Tensor> = parts.iter().map(|part| part.tensor).collect();
    let arena = memory::plan_groups(&tensors, &groups.parts, effort)?;
    let (textures, texture_of) = textures(program, &live_ranges);
    let objects = memory::shared_objects(&textures)?;

    let place = |&Within { storage, offset_bytes }: &Within| {
        let root = storage as usize;
        let own = own.has(root).map(|number| Place::Io(number, offset_bytes));
        let state = || states.has(root).map(|number| Place::State(number, offset_bytes));
        let start = || groups.start(root, &arena.offsets).map(|start| Place::Arena(start + offset_bytes));
        own.or_else(state).or_else(start).unwrap_or(Place::Arena(0))
    };
    let mut places: Vec<Place> = roots.iter().map(place).collect();
    for (&index, &object) in texture_of.iter().zip(&objects.object_of) {
        places[index] = Place::Texture(object as u32);
    }
    let textures = objects.objects.iter().map(texture_object).collect::<Result<Vec<_>, MemoryError>>()?;
    let io: u64 = own.bytes.iter().sum();
    let live_bytes: Vec<u64> =
        live_bytes(program, &parts, &live_ranges).into_iter().map(|bytes| bytes + io).collect();
    let pooled: u64 = textures.iter().map(TextureObject::size_bytes).sum();
    let report = MemoryReport {
        naive_bytes: naive_bytes(program),
        planned_bytes: arena.peak_bytes + pooled + io,
        lower_bound_bytes: live_bytes.iter().copied().max().unwrap_or(0),
        strategy: strategy(arena.strategy),
    };
    Ok(MemoryPlan {
        places,
        arena_bytes: arena.peak_bytes,
        io_bytes: own.bytes,
        state_bytes: states.bytes,
        textures,
        live_ranges,
        in_place: Vec::new(),
        live_bytes,
        is_smallest: arena.is_smallest,
        report,
    })
}

/// Parts of one storage, which are placed together.
struct Groups {
    /// The parts of each group, with their offsets.
    parts: Vec<memory::Group>,
    /// The group of each storage that is a root with parts.
    of_root: Vec<Option<usize>>,
}

impl Groups {
    fn of(parts: &[Part], storages: usize) -> Self {
        let mut groups = Self { parts: Vec::new(), of_root: vec![None; storages] };
        for (index, part) in parts.iter().enumerate() {
            let group = *groups.of_root[part.root].get_or_insert_with(|| {
                groups.parts.push(memory::Group::new());
                groups.parts.len() - 1
            });
            groups.parts[group].push((index, part.offset_bytes));
        }
        groups
    }

    /// Where a root begins in the arena, by the offsets of all parts.
    fn start(&self, root: usize, offsets: &[u64]) -> Option<u64> {
        let &(first, distance) = self.parts[self.of_root[root]?].first()?;
        Some(offsets[first] - distance)
    }
}

/// How the arena was planned, as the manifest has it.
fn strategy(strategy: memory::Strategy) -> MemoryStrategy {
    match strategy {
        memory::Strategy::BySize => MemoryStrategy::GreedyBySize,
        memory::Strategy::ByBreadth => MemoryStrategy::GreedyByBreadth,
        memory::Strategy::ByTime => MemoryStrategy::GreedyByTime,
        memory::Strategy::Search | memory::Strategy::Fit => MemoryStrategy::Search,
    }
}

/// A pooled texture as the manifest has it.
fn texture_object(object: &memory::Object<Format>) -> Result<TextureObject, MemoryError> {
    let (kind, element) = (object.format.0.texture_kind(), DeviceElement::from(object.format.1));
    Ok(TextureObject { kind, element, extent_px: texels(object.extent_px)? })
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

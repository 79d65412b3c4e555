//! Memory of a program: lives of its storages, pairs that are computed in place, and where everything lies.

use super::in_place;
use super::{device_element, texture_kind};
use crate::kernel::Source;
use crate::memory::{self, Effort, MemoryError};
use crate::program::{Program, StorageKind};
use drift_bundle::manifest::{MemoryReport, MemoryStrategy, TextureObject};

/// Where every storage of a program lies.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryPlan {
    /// Arena offset or texture index of each storage.
    pub places: Vec<Place>,
    /// Bytes of the arena.
    pub arena_bytes: u64,
    /// Pooled textures.
    pub textures: Vec<TextureObject>,
    /// First and last step that touches each storage.
    pub lives: Vec<(usize, usize)>,
    /// Steps that write over an operand.
    pub in_place: Vec<usize>,
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
}

/// First and last step that touches each storage. Inputs live throughout, so that a run can be repeated without writing
/// them again; outputs live from their first write to the end.
fn lifetimes(program: &Program) -> Vec<(usize, usize)> {
    let end = program.steps.len();
    let mut lives = vec![(usize::MAX, 0); program.storages.len()];
    for (task, step) in program.steps.iter().enumerate() {
        for slot in &step.call.slots {
            if let Source::Activation(storage) = slot.source {
                let life = &mut lives[storage as usize];
                *life = (life.0.min(task), life.1.max(task));
            }
        }
    }
    for port in &program.inputs {
        lives[port.storage as usize] = (0, end);
    }
    for port in &program.outputs {
        lives[port.storage as usize].1 = end;
    }
    // A storage that nothing touches still needs a place, since a port may name it.
    lives
        .into_iter()
        .map(|(first, last)| if first == usize::MAX { (0, last) } else { (first, last) })
        .collect()
}

/// Places every storage of a program. Where that takes less memory, steps write their result over an operand that dies
/// there, and the program then names one storage for both.
///
/// A step in place cannot load ahead of its own stores, so only those are chosen that stand where memory is scarcest.
pub fn plan_memory(program: &mut Program) -> Result<MemoryPlan, MemoryError> {
    let plain = place(program, Effort::Greedy)?;
    let pairs = in_place::pairs(program, &plain.lives);
    let attempt = |pairs: &[in_place::Pair], effort| -> Result<(Program, MemoryPlan), MemoryError> {
        let merged = in_place::merge(program, pairs);
        let steps = pairs.iter().map(|pair| pair.step).collect();
        let plan = place(&merged, effort)?;
        let report = MemoryReport { naive_bytes: plain.report.naive_bytes, ..plan.report };
        Ok((merged, MemoryPlan { in_place: steps, report, ..plan }))
    };
    let all = attempt(&pairs, Effort::Greedy)?;
    let planned = all.1.report.planned_bytes;
    if planned >= plain.report.planned_bytes {
        return place(program, Effort::COMPILE);
    }
    let scarce = |pair: &in_place::Pair| live_bytes(program, &plain.lives, pair.step) > planned;
    let needed: Vec<in_place::Pair> = pairs.iter().copied().filter(scarce).collect();
    let some = attempt(&needed, Effort::Greedy)?;
    let chosen = if some.1.report.planned_bytes <= planned { needed } else { pairs };
    let (merged, plan) = attempt(&chosen, Effort::COMPILE)?;
    *program = merged;
    Ok(plan)
}

/// Places every storage of a program as it is.
pub(super) fn place(program: &Program, effort: Effort) -> Result<MemoryPlan, MemoryError> {
    let lives = lifetimes(program);
    let (mut buffers, mut buffer_of) = (Vec::new(), Vec::new());
    let (mut textures, mut texture_of) = (Vec::new(), Vec::new());
    for (index, (storage, &(first, last))) in program.storages.iter().zip(&lives).enumerate() {
        match storage.kind {
            StorageKind::Buffer { size_bytes } => {
                buffers.push(memory::Tensor { size_bytes, first, last, align: memory::BINDING_ALIGN_BYTES });
                buffer_of.push(index);
            }
            StorageKind::Texture { object, element, extent_px } => {
                textures.push(memory::Texture { format: (object, element), extent_px, first, last });
                texture_of.push(index);
            }
        }
    }
    let plan = memory::plan(&buffers, effort)?;
    let objects = memory::shared_objects(&textures)?;
    let mut places = vec![Place::Arena(0); program.storages.len()];
    for (&index, &offset) in buffer_of.iter().zip(&plan.offsets) {
        places[index] = Place::Arena(offset);
    }
    for (&index, &object) in texture_of.iter().zip(&objects.object_of) {
        places[index] = Place::Texture(object as u32);
    }
    let texture_objects: Vec<TextureObject> = objects
        .objects
        .iter()
        .map(|object| TextureObject {
            kind: texture_kind(object.format.0),
            element: device_element(object.format.1),
            extent_px: object.extent_px.map(|size| size as u32),
        })
        .collect();
    let pooled: u64 = objects
        .objects
        .iter()
        .map(|o| o.extent_px.iter().product::<u64>() * 4 * o.format.1.size_bytes())
        .sum();
    let report = MemoryReport {
        naive_bytes: program.storages.iter().map(|storage| storage.kind.size_bytes()).sum(),
        planned_bytes: plan.peak_bytes + pooled,
        lower_bound_bytes: lower_bound(program, &lives),
        strategy: match plan.strategy {
            memory::Strategy::BySize => MemoryStrategy::GreedyBySize,
            memory::Strategy::ByBreadth => MemoryStrategy::GreedyByBreadth,
            memory::Strategy::Search | memory::Strategy::Fit => MemoryStrategy::Search,
        },
    };
    let (arena_bytes, textures) = (plan.peak_bytes, texture_objects);
    Ok(MemoryPlan { places, arena_bytes, textures, lives, in_place: Vec::new(), report })
}

/// The largest sum of storages alive at one step.
fn lower_bound(program: &Program, lives: &[(usize, usize)]) -> u64 {
    (0..=program.steps.len()).map(|task| live_bytes(program, lives, task)).max().unwrap_or(0)
}

/// Bytes of the storages alive at a step.
fn live_bytes(program: &Program, lives: &[(usize, usize)], task: usize) -> u64 {
    let alive =
        lives.iter().zip(&program.storages).filter(|((first, last), _)| (first..=last).contains(&&task));
    alive.map(|(_, storage)| storage.kind.size_bytes()).sum()
}

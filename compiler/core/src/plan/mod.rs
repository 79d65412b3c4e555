//! Memory of a program: live ranges of its storages, order of its steps, pairs that are computed in place, and where everything is.

mod flow;
mod in_place;
mod join;
mod list;
mod peak;
mod place;
mod schedule;
mod views;

use crate::kernel::Source;
use crate::memory::{Effort, MemoryError};
use crate::profile::MemoryForms;
use crate::program::Program;
use drift_bundle::manifest::{MemoryReport, TextureObject};
use join::Joiner;
use place::place;

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

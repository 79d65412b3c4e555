//! What depends on what in a program: its steps, and the storages that they touch.

use super::in_place::{self, Pair};
use crate::kernel::{Access, Source};
use crate::program::Program;
use std::collections::{BTreeMap, BTreeSet};

/// What moves may not change, and what they cost.
pub(super) struct Flow {
    /// Steps that each step has to wait for, and steps that have to wait for it.
    pub(super) before: Vec<BTreeSet<usize>>,
    pub(super) behind: Vec<BTreeSet<usize>>,
    /// Storages of each step, each once.
    pub(super) touches: Vec<Vec<usize>>,
    /// Bytes of each storage, and whether it is there before the first step or after the last.
    pub(super) bytes: Vec<u64>,
    pub(super) kept: Vec<(bool, bool)>,
    /// What could be computed in place, in the model's order.
    pub(super) pairs: Vec<Pair>,
    /// Operand and result of the same by step, where each is a pair of one step.
    pub(super) single_pairs: Option<Vec<Vec<(usize, usize)>>>,
    /// Steps that touch each storage.
    pub(super) users: Vec<Vec<usize>>,
}

impl Flow {
    pub(super) fn of(program: &Program) -> Self {
        let count = program.steps.len();
        // A view shares its bytes with what it is a view of.
        let roots = program.roots();
        let root = |storage: u32| roots[storage as usize].storage as usize;
        let (mut before, mut behind) = (vec![BTreeSet::new(); count], vec![BTreeSet::new(); count]);
        let mut touches = vec![Vec::new(); count];
        let mut writer: BTreeMap<usize, usize> = BTreeMap::new();
        let mut readers: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let mut wait = |step: usize, other: usize| {
            if step != other {
                before[step].insert(other);
                behind[other].insert(step);
            }
        };
        for (at, step) in program.steps.iter().enumerate() {
            let used = |access| {
                let slots = step.call.slots.iter().filter(move |slot| slot.access == access);
                let storages = slots.filter_map(|slot| match slot.source {
                    Source::Activation(storage) => Some(root(storage)),
                    Source::Constant(_) => None,
                });
                storages.collect::<BTreeSet<usize>>()
            };
            let (reads, writes) = (used(Access::Read), used(Access::Write));
            for storage in reads.union(&writes) {
                writer.get(storage).iter().for_each(|&&other| wait(at, other));
                touches[at].push(*storage);
            }
            for storage in &writes {
                readers.remove(storage).unwrap_or_default().into_iter().for_each(|other| wait(at, other));
                writer.insert(*storage, at);
            }
            reads.difference(&writes).for_each(|storage| readers.entry(*storage).or_default().push(at));
        }
        let mut kept = vec![(false, false); program.storages.len()];
        program.inputs.iter().for_each(|port| kept[root(port.storage)] = (true, true));
        program.outputs.iter().for_each(|port| kept[root(port.storage)].1 = true);
        program.states.iter().for_each(|state| kept[root(state.storage)] = (true, true));
        let is_root = |storage: usize| program.storages[storage].within.is_none();
        let bytes_of = |storage: usize| program.storages[storage].kind.size_bytes();
        let bytes =
            (0..program.storages.len()).map(|storage| if is_root(storage) { bytes_of(storage) } else { 0 });
        let pairs = in_place::possible(program);
        let users = in_place::users(program);
        let single_pairs = pairs.iter().all(|pair| pair.steps.len() == 1).then(|| {
            let mut by_step = vec![Vec::new(); count];
            for Pair { steps, operand, result } in &pairs {
                by_step[steps[0]].push((*operand as usize, *result as usize));
            }
            by_step
        });
        Self { before, behind, touches, bytes: bytes.collect(), kept, pairs, single_pairs, users }
    }
}

//! Fuses selected steps: producers into the product of few rows that reads them, and a decoder's cache updates into one dispatch. In
//! a decode step of a language model each dispatch waits for the one before it, which takes longer than most of them need for their
//! work.
//!
//! This goes over a program whose kernels are chosen, since it depends on them: only some have a place for what is combined.

mod caches;
mod gates;
mod norms;

use super::matvec;
use crate::estimate::STORAGE_BUFFERS;
use crate::kernel::{Access, KernelCall, Slot, Source};
use crate::physical::StorageType;
use crate::profile::Profile;
use crate::program::{Program, ProgramStep, StorageKind};
use std::collections::{BTreeMap, BTreeSet};

/// Combines what the profile allows.
pub(super) fn steps(program: &mut Program, profile: &Profile) {
    if profile.steps.caches {
        caches::combine(program, profile);
    }
    if profile.steps.gates {
        gates::combine(program, profile);
    }
    if profile.steps.norms {
        norms::combine(program, profile);
    }
}

/// Which steps touch each storage.
struct Users {
    /// Steps that write it, and steps that read it, ascending.
    of: Vec<(Vec<usize>, Vec<usize>)>,
    /// Storages of ports and states, and those that share bytes with others.
    shared: BTreeSet<u32>,
    /// Storages that are in a state, and the steps that write to that state.
    in_states: BTreeMap<u32, Vec<usize>>,
}

impl Users {
    fn new(program: &Program) -> Self {
        let mut of = vec![(Vec::new(), Vec::new()); program.storages.len()];
        for (at, step) in program.steps.iter().enumerate() {
            for slot in &step.call.slots {
                let Source::Activation(storage) = slot.source else { continue };
                let (writers, readers) = &mut of[storage as usize];
                let users = if slot.access == Access::Write { writers } else { readers };
                if users.last() != Some(&at) {
                    users.push(at);
                }
            }
        }
        let mut shared: BTreeSet<u32> = program.port_storages().chain(program.state_storages()).collect();
        let within = program.storages.iter().zip(0..).filter_map(|(s, n)| Some([n, s.within?.storage]));
        shared.extend(within.flatten());
        let states: BTreeSet<u32> = program.state_storages().collect();
        let roots = program.roots().into_iter().zip(0..).map(|(root, storage)| (storage, root.storage));
        let in_states: Vec<(u32, u32)> = roots.filter(|(_, root)| states.contains(root)).collect();
        let writers = |state: u32| {
            let parts = in_states.iter().filter(|(_, root)| *root == state);
            parts.flat_map(|(storage, _)| of[*storage as usize].0.iter().copied()).collect()
        };
        let in_states = in_states.iter().map(|&(storage, root)| (storage, writers(root))).collect();
        Self { of, shared, in_states }
    }

    /// The steps that read what one step alone makes, if its bytes are nobody else's.
    fn readers_of_own(&self, storage: u32, maker: usize) -> Option<&[usize]> {
        let (writers, readers) = &self.of[storage as usize];
        (!self.shared.contains(&storage) && *writers == [maker]).then_some(readers)
    }

    /// Steps that touch a storage.
    fn touching(&self, storage: u32) -> impl Iterator<Item = usize> {
        let (writers, readers) = &self.of[storage as usize];
        writers.iter().chain(readers).copied()
    }

    /// Whether what a slot shows at the one step is the same at a later one: all but states is made once.
    fn stays(&self, slot: &Slot, from: usize, to: usize) -> bool {
        let Source::Activation(storage) = slot.source else { return true };
        let writers = self.in_states.get(&storage);
        writers.is_none_or(|writers| !writers.iter().any(|writer| (from..=to).contains(writer)))
    }
}

/// The slot called `name`.
fn slot<'a>(call: &'a KernelCall, name: &str) -> Option<&'a Slot> {
    call.slots.iter().find(|slot| slot.name == name)
}

/// The only slot of a call that shows a storage.
fn only_slot(call: &KernelCall, storage: u32) -> Option<&Slot> {
    let mut slots = call.slots.iter().filter(|slot| slot.source == Source::Activation(storage));
    slots.next().filter(|_| slots.next().is_none())
}

/// Whether devices take a call in place of that of the step at `at`: no more bindings than all have, none of bytes that another one
/// has, and numbers that 32 bits hold.
fn fits(program: &Program, at: usize, call: &KernelCall) -> bool {
    let buffers = call.bindings().into_iter().filter(|binding| binding.storage_type == StorageType::Buffer);
    let step = ProgramStep { call: call.clone(), ..program.steps[at].clone() };
    buffers.count() <= STORAGE_BUFFERS
        && program.clashes(&step, |storage| program.root(storage)).is_empty()
        && call.check_interface().is_ok()
        && call.check(|_| String::new()).is_ok()
}

/// Takes `call` for that of `step`, which now stands for what `other` did, too.
fn absorb(step: &mut ProgramStep, other: &ProgramStep, call: KernelCall) {
    let mut origins = other.origins.clone();
    origins.extend(step.origins.iter().filter(|origin| !other.origins.contains(origin)).cloned());
    step.origins = origins;
    step.flops += other.flops;
    (step.bytes_read, step.bytes_written) = (call.bytes(Access::Read), call.bytes(Access::Write));
    step.call = call;
}

/// Leaves out steps whose work others do. What nobody touches any more takes no bytes.
fn leave_out(program: &mut Program, gone: &BTreeSet<usize>) {
    let storages = |step: &ProgramStep| -> Vec<u32> {
        let sources = step.call.slots.iter().filter_map(|slot| match slot.source {
            Source::Activation(storage) => Some(storage),
            Source::Constant(_) => None,
        });
        sources.collect()
    };
    let touched: Vec<u32> = gone.iter().flat_map(|&at| storages(&program.steps[at])).collect();
    let mut at = 0;
    program.steps.retain(|_| {
        at += 1;
        !gone.contains(&(at - 1))
    });
    let mut kept: BTreeSet<u32> = program.steps.iter().flat_map(storages).collect();
    kept.extend(program.port_storages().chain(program.state_storages()));
    kept.extend(program.storages.iter().filter_map(|storage| Some(storage.within?.storage)));
    for storage in touched.into_iter().filter(|storage| !kept.contains(storage)) {
        program.storages[storage as usize].kind = StorageKind::Buffer { size_bytes: 0 };
    }
}

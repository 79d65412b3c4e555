//! Joins concatenations: puts what may be in their results there, one concatenation after the other.
//!
//! They are taken in order of the steps. A join changes nothing for those before it: it takes storages that are free, and
//! steps that write what only later ones read. So one walk finds what looking at all of them after each join would.

use super::in_place;
use super::views::Concat;
use crate::kernel::{Access, Source};
use crate::memory::MemoryError;
use crate::program::{Program, ProgramStep, StorageKind, Within};
use std::collections::{BTreeSet, HashMap, HashSet};

/// A part of a concatenation that may be in the result: index among the parts, storage, and place in the result.
type Part = (usize, u32, Within);

/// A program whose concatenations are being joined.
#[derive(Clone)]
pub(super) struct Joiner {
    /// The program, with the steps that go still in their places.
    program: Program,
    gone: Vec<bool>,
    /// Steps that touch each storage, and those that write it, ascending.
    users: Vec<Vec<usize>>,
    writers: Vec<Vec<usize>>,
    /// Storages that are within each.
    inner: Vec<Vec<u32>>,
    /// Storages that stay where they are: ports, and the parts of concatenations that were looked at.
    kept: BTreeSet<u32>,
    /// What was tried, by what tells a concatenation from others of its program.
    tried: HashSet<(String, usize, u32)>,
}

impl Joiner {
    pub(super) fn new(program: &Program) -> Self {
        let users = in_place::users(program);
        let writers = in_place::users_by(program, |slot| slot.access == Access::Write);
        let mut inner = vec![Vec::new(); program.storages.len()];
        for (storage, within) in program.storages.iter().enumerate().filter_map(|(n, s)| Some((n, s.within?)))
        {
            inner[within.storage as usize].push(storage as u32);
        }
        let kept = program.port_storages().chain(program.state_storages()).collect();
        let gone = vec![false; program.steps.len()];
        Self { program: program.clone(), gone, users, writers, inner, kept, tried: HashSet::new() }
    }

    /// The program as it is now.
    pub(super) fn program(&self) -> Program {
        let steps = self.program.steps.iter().zip(&self.gone).filter(|(_, gone)| !**gone);
        let steps = steps.map(|(step, _)| step.clone()).collect();
        let Program { storages, constants, init, steps: _, inputs, outputs, states } = &self.program;
        Program {
            storages: storages.clone(),
            constants: constants.clone(),
            init: init.clone(),
            steps,
            inputs: inputs.clone(),
            outputs: outputs.clone(),
            states: states.clone(),
        }
    }

    /// Joins every concatenation that can be and with which the program is `wanted`; says whether there was any.
    pub(super) fn join(
        &mut self,
        wanted: &mut dyn FnMut(&Self) -> Result<bool, MemoryError>,
    ) -> Result<bool, MemoryError> {
        // Where bytes are bound twice as it is, no join leaves a program without.
        if !self.program.bound_twice().is_empty() {
            return Ok(false);
        }
        let mut any = false;
        for step in 0..self.program.steps.len() {
            while let Some(parts) = self.next(step) {
                let Some(before) = self.try_join(step, &parts) else { continue };
                if wanted(self)? {
                    self.settle(step, &parts);
                    any = true;
                } else {
                    self.revert(step, &parts, before);
                }
            }
        }
        Ok(any)
    }

    /// Parts that a step still joins, if that was not tried. Those of what was tried stay where they are.
    fn next(&mut self, step: usize) -> Option<Vec<Part>> {
        let parts = if self.gone[step] { Vec::new() } else { self.parts(step) };
        let &(index, storage, _) = parts.first()?;
        if self.tried.insert((self.program.steps[step].name.clone(), index, storage)) {
            return Some(parts);
        }
        self.kept.extend(parts.iter().map(|&(_, part, _)| part));
        None
    }

    /// The parts of a concatenation that may be in the result.
    fn parts(&self, step: usize) -> Vec<Part> {
        let Some(concat) = Concat::of(&self.program.steps[step].call) else { return Vec::new() };
        let Source::Activation(result) = concat.dst.source else { return Vec::new() };
        let (mut times, mut parts) = (HashMap::new(), Vec::new());
        for slot in concat.parts {
            if let Source::Activation(part) = slot.source {
                *times.entry(part).or_insert(0) += 1;
            }
        }
        for (index, slot) in concat.parts.iter().enumerate() {
            let Source::Activation(part) = slot.source else { continue };
            let Some(offset_bytes) = concat.place(index) else { continue };
            let storage = &self.program.storages[part as usize];
            let whole =
                storage.kind == StorageKind::Buffer { size_bytes: slot.layout.size_bytes(&slot.largest()) };
            // One part is in one result.
            let free = storage.within.is_none() && !self.kept.contains(&part);
            let alone = times.get(&part) == Some(&1);
            if alone && whole && free && part != result && self.made_before(part, step) {
                parts.push((index, part, Within { storage: result, offset_bytes }));
            }
        }
        parts
    }

    /// Whether a storage is written by steps before `step` only, and by one at least.
    fn made_before(&self, storage: u32, step: usize) -> bool {
        self.writers[storage as usize].last().is_some_and(|&last| last < step)
    }

    /// Puts parts of a concatenation in its result, and leaves the step what remains of it; gives the step as it was. None, and
    /// nothing is changed, where some step would then bind the same bytes twice, or where the step would fall apart.
    fn try_join(&mut self, step: usize, parts: &[Part]) -> Option<ProgramStep> {
        let before = self.program.steps[step].clone();
        let concat = Concat::of(&before.call)?;
        let mut moved = vec![true; concat.parts.len()];
        parts.iter().for_each(|&(index, ..)| moved[index] = false);
        let rest: Vec<usize> = (0..moved.len()).filter(|&index| moved[index]).collect();
        match (rest.first(), rest.last()) {
            (Some(&first), Some(&last)) if last - first + 1 == rest.len() => {
                let elements =
                    rest.iter().map(|&index| concat.parts[index].extents().elements().max()).sum::<u64>();
                let bytes = elements * concat.dst.layout.element.size_bytes();
                let step = &mut self.program.steps[step];
                (step.call, step.bytes_read, step.bytes_written) =
                    (concat.only(first..last + 1), bytes, bytes);
                step.why = format!("{}; {} of its parts are in the result", step.why, parts.len());
            }
            (Some(_), Some(_)) => return None,
            _ => self.gone[step] = true,
        }
        for &(_, part, within) in parts {
            self.program.storages[part as usize].within = Some(within);
            self.inner[within.storage as usize].push(part);
        }
        if self.binds_twice(parts) {
            self.revert(step, parts, before);
            return None;
        }
        Some(before)
    }

    /// Takes a join back.
    fn revert(&mut self, step: usize, parts: &[Part], before: ProgramStep) {
        self.program.steps[step] = before;
        self.gone[step] = false;
        for &(_, part, within) in parts {
            self.program.storages[part as usize].within = None;
            self.inner[within.storage as usize].retain(|&inner| inner != part);
        }
    }

    /// Lets the step that makes the last part stand for a concatenation that is gone.
    fn settle(&mut self, step: usize, parts: &[Part]) {
        if !self.gone[step] {
            return;
        }
        if let Some(&(_, _, Within { storage, .. })) = parts.first() {
            self.writers[storage as usize].retain(|&writer| writer != step);
        }
        let makers = parts.iter().filter_map(|&(_, part, _)| self.writers[part as usize].last().copied());
        let Some(maker) = makers.max() else { unreachable!("parts were made before the step") };
        let ProgramStep { name, origins, .. } = self.program.steps[step].clone();
        let maker = &mut self.program.steps[maker];
        maker.origins.extend(origins);
        maker.why = format!("{}; writes into the result of {name}", maker.why);
    }

    /// Whether some step binds bytes twice that bound them once before `parts` lay where they do.
    fn binds_twice(&self, parts: &[Part]) -> bool {
        let mut storages: Vec<u32> = parts.iter().map(|&(_, part, _)| part).collect();
        let mut steps = BTreeSet::new();
        while let Some(storage) = storages.pop() {
            steps.extend(self.users[storage as usize].iter().copied().filter(|&step| !self.gone[step]));
            storages.extend(&self.inner[storage as usize]);
        }
        steps.into_iter().any(|step| {
            let root = |storage| self.program.root(storage);
            !self.program.clashes(&self.program.steps[step], root).is_empty()
        })
    }
}

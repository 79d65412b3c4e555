//! The states of programs that are loaded together: those of one name are one memory.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use drift_bundle::manifest::{DeviceElement, StateRegion};

use crate::error::RuntimeError;
use crate::program::Program;

/// What a session keeps from run to run in one of its regions of state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateTensor {
    /// Its name; sessions that are loaded together share states of one name.
    pub name: String,
    /// Type of its elements on the device.
    pub element: DeviceElement,
    /// Sizes, outermost first.
    pub shape: Vec<u64>,
    /// Bytes on the device, padding included: what is saved and loaded.
    pub bytes: u64,
}

impl StateTensor {
    fn of(state: &StateRegion<'_>) -> Self {
        let StateRegion { name, element, shape, size, .. } = *state;
        Self { name: name.to_owned(), element, shape: shape.to_vec(), bytes: size }
    }
}

impl fmt::Display for StateTensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?} in {} bytes", self.element, self.shape, self.bytes)
    }
}

/// The states of some programs.
#[derive(Debug, Default)]
pub(crate) struct States {
    /// Each once, in the order of the programs and of their regions.
    pub(crate) all: Vec<State>,
    /// For each program the numbers of its states, in the order of its regions.
    pub(crate) of_programs: Vec<Vec<usize>>,
}

/// One state.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// Bytes.
    pub(crate) size: u64,
    /// Of its start: the strictest that a program asks for.
    pub(crate) alignment: u64,
    /// The programs that have it, ascending.
    pub(crate) owners: Vec<usize>,
}

impl States {
    /// Finds the states that several of the programs have; [`RuntimeError::StateMismatch`] where these differ.
    pub(crate) fn of(programs: &[Program<'_>]) -> Result<Self, RuntimeError> {
        let mut states = Self::default();
        let mut known: BTreeMap<&str, (usize, StateRegion<'_>)> = BTreeMap::new();
        for (owner, program) in programs.iter().enumerate() {
            let mut numbers = Vec::new();
            for region in program.variant.states() {
                let number = match known.entry(region.name) {
                    Entry::Occupied(first) => {
                        let (number, first) = *first.get();
                        let state = &mut states.all[number];
                        let pair = [&programs[state.owners[0]], program];
                        same(pair.map(|program| program.entry.name.as_str()), [&first, &region])?;
                        state.alignment = state.alignment.max(region.alignment);
                        state.owners.push(owner);
                        number
                    }
                    Entry::Vacant(new) => {
                        let number = states.all.len();
                        let StateRegion { size, alignment, .. } = region;
                        states.all.push(State { size, alignment, owners: vec![owner] });
                        new.insert((number, region));
                        number
                    }
                };
                numbers.push(number);
            }
            states.of_programs.push(numbers);
        }
        Ok(states)
    }

    /// The states of a program as a caller sees them, in the order of its regions.
    pub(crate) fn tensors(program: &Program<'_>) -> Vec<StateTensor> {
        program.variant.states().map(|state| StateTensor::of(&state)).collect()
    }
}

/// What two entries keep under one name is the same in all but its place.
fn same(entries: [&str; 2], states: [&StateRegion<'_>; 2]) -> Result<(), RuntimeError> {
    let form = |state: &StateRegion<'_>| (state.size, state.element, state.shape.to_vec());
    let [first, second] = states;
    if form(first) == form(second) {
        return Ok(());
    }
    Err(RuntimeError::StateMismatch {
        state: first.name.to_owned(),
        entries: Box::new(entries.map(str::to_owned)),
        found: Box::new(states.map(StateTensor::of)),
    })
}

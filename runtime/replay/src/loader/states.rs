//! The memory of states, and copies between it and the host.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Place, weights};
use crate::api::{Api, Memory, Purpose, Record, Work};
use crate::deadline::Deadline;
use crate::error::RuntimeError;
use crate::states::States;

/// Bytes that are copied at once, so that a state of any size is saved through little memory.
const PART_BYTES: usize = 8 << 20;

/// Buffers with states of the same programs and nothing else, so that a reset zeros whole buffers.
type Set<A> = Arc<Vec<<A as Api>::Buffer>>;

/// Where the states of a program are.
pub(crate) struct StateMemory<A: Api> {
    sets: Vec<Set<A>>,
    /// For each state in which set it is, in which of its buffers, and where.
    places: Vec<(usize, usize, u64)>,
}

impl<A: Api> StateMemory<A> {
    /// Takes memory for all states, once for those that several programs have, and says to each program where its own are.
    pub(crate) fn of(api: &Arc<A>, states: &States) -> Result<Vec<Self>, RuntimeError> {
        let mut by_owners: BTreeMap<&[usize], Vec<usize>> = BTreeMap::new();
        for (number, state) in states.all.iter().enumerate() {
            by_owners.entry(&state.owners).or_default().push(number);
        }
        let mut sets: Vec<Set<A>> = Vec::with_capacity(by_owners.len());
        let mut found = vec![(0, 0, 0); states.all.len()];
        for numbers in by_owners.into_values() {
            let of_set =
                numbers.iter().map(|number| (states.all[*number].size, states.all[*number].alignment));
            let (placed, sizes) = weights::place(of_set, api.info().limits.buffer_bytes);
            for (number, (buffer, offset)) in numbers.into_iter().zip(placed) {
                found[number] = (sets.len(), buffer, offset);
            }
            let buffers = sizes.into_iter().map(|size| api.buffer(size, Purpose::Device));
            sets.push(Arc::new(buffers.collect::<Result<_, _>>()?));
        }
        let own = |numbers: &Vec<usize>| {
            let mut memory = Self { sets: Vec::new(), places: Vec::with_capacity(numbers.len()) };
            let mut known: BTreeMap<usize, usize> = BTreeMap::new();
            for (set, buffer, offset) in numbers.iter().map(|number| found[*number]) {
                let here = *known.entry(set).or_insert_with(|| {
                    memory.sets.push(Arc::clone(&sets[set]));
                    memory.sets.len() - 1
                });
                memory.places.push((here, buffer, offset));
            }
            memory
        };
        Ok(states.of_programs.iter().map(own).collect())
    }

    /// Where a state begins.
    pub(crate) fn place(&self, state: usize) -> Place<'_, A> {
        let (set, buffer, offset) = self.places[state];
        (&self.sets[set][buffer], offset)
    }

    /// All that the program's states are in.
    pub(crate) fn buffers(&self) -> impl Iterator<Item = &A::Buffer> {
        self.sets.iter().flat_map(|set| set.iter())
    }

    /// Copies a state to the host, from its start on.
    pub(crate) fn read(
        &self,
        api: &Arc<A>,
        state: usize,
        into: &mut [u8],
        deadline: Deadline,
    ) -> Result<(), RuntimeError> {
        let (buffer, start) = self.place(state);
        let mut copier = Copier::new(api, into.len(), Purpose::Download)?;
        for (at, part) in (start..).step_by(PART_BYTES).zip(into.chunks_mut(PART_BYTES)) {
            copier.copy(api, deadline, |commands, host| {
                commands.copy((buffer, at), (host, 0), part.len() as u64);
                commands.barrier(Work::Transfer, Work::Host);
            })?;
            part.copy_from_slice(&copier.host.bytes().unwrap_or_else(|| unmapped())[..part.len()]);
        }
        Ok(())
    }

    /// Copies a state from the host, from its start on.
    pub(crate) fn write(
        &self,
        api: &Arc<A>,
        state: usize,
        from: &[u8],
        deadline: Deadline,
    ) -> Result<(), RuntimeError> {
        let (buffer, start) = self.place(state);
        let mut copier = Copier::new(api, from.len(), Purpose::Upload)?;
        for (at, part) in (start..).step_by(PART_BYTES).zip(from.chunks(PART_BYTES)) {
            let host = copier.host.bytes_mut().unwrap_or_else(|| unmapped());
            host[..part.len()].copy_from_slice(part);
            copier.copy(api, deadline, |commands, host| {
                commands.copy((host, 0), (buffer, at), part.len() as u64);
            })?;
        }
        Ok(())
    }
}

fn unmapped() -> ! {
    unreachable!("verified: staging is mapped")
}

/// A buffer of the host that parts of a state pass through, one after another.
struct Copier<A: Api> {
    recordings: A::Recordings,
    /// Number of its commands.
    commands: usize,
    fence: A::Fence,
    host: A::Buffer,
}

impl<A: Api> Copier<A> {
    fn new(api: &Arc<A>, bytes: usize, purpose: Purpose) -> Result<Self, RuntimeError> {
        let mut recordings = api.recordings(false)?;
        let commands = api.record(&mut recordings, |_| ())?;
        let host = api.buffer(bytes.min(PART_BYTES) as u64, purpose)?;
        Ok(Self { recordings, commands, fence: api.fence()?, host })
    }

    /// Submits what `body` records, after all earlier work, and waits for it.
    fn copy(
        &mut self,
        api: &Arc<A>,
        deadline: Deadline,
        body: impl FnOnce(&mut A::Recorder<'_>, &A::Buffer),
    ) -> Result<(), RuntimeError> {
        deadline.check()?;
        let host = &self.host;
        api.record_again(&mut self.recordings, self.commands, |commands| {
            commands.barrier(Work::Any, Work::Transfer);
            body(commands, host);
        })?;
        let serial = api.submit(&mut self.recordings, &[self.commands], Some(&self.fence))?;
        api.wait(&self.fence, serial, deadline)
    }
}

//! Sessions that share arenas or states lease them: one runs at a time.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use crate::deadline::Deadline;
use crate::error::RuntimeError;
use crate::program::Program;
use crate::states::States;

/// A session's right to ask for the memory that it shares.
pub(crate) struct Lease {
    memory: Arc<Memory>,
    own: usize,
    /// Its arenas are those of others too.
    shares_arenas: bool,
    /// Numbers of its states.
    states: Vec<usize>,
    /// For each state that was loaded whether something that writes it has begun and was not seen to end.
    torn: Arc<[AtomicBool]>,
}

/// Memory that one session uses at a time.
#[derive(Default)]
struct Memory {
    now: Mutex<Use>,
    given_back: Condvar,
}

#[derive(Default)]
struct Use {
    /// A session holds the memory. The lock itself is never held while a device is waited for.
    taken: bool,
    /// Who ran last in the arenas.
    last: Option<usize>,
    /// Who else waits, without a thread.
    wakers: Vec<Waker>,
}

/// Held while a session uses the memory.
pub(crate) struct Leased {
    lease: Arc<Lease>,
}

impl Lease {
    /// One for each program. Those that share their arenas or a state lease the same memory, and so do those that share with
    /// these; others have their own.
    pub(crate) fn of(programs: &[Program<'_>], states: &States) -> Vec<Arc<Self>> {
        let arenas: Vec<bool> = programs.iter().map(Program::may_share).collect();
        let mut sets = Sets::new(programs.len());
        let sharing = (0..).zip(&arenas).filter(|(_, shares)| **shares).map(|(own, _)| own);
        sets.join(sharing);
        for state in &states.all {
            sets.join(state.owners.iter().copied());
        }
        let memories: Vec<Arc<Memory>> = programs.iter().map(|_| Arc::default()).collect();
        let torn: Arc<[AtomicBool]> = states.all.iter().map(|_| AtomicBool::new(false)).collect();
        let one = |(own, states): (usize, &Vec<usize>)| Self {
            memory: Arc::clone(&memories[sets.root(own)]),
            own,
            shares_arenas: arenas[own],
            states: states.clone(),
            torn: Arc::clone(&torn),
        };
        states.of_programs.iter().enumerate().map(one).map(Arc::new).collect()
    }

    /// Waits until nobody else uses the memory.
    pub(crate) fn take(self: &Arc<Self>, deadline: Deadline) -> Result<Leased, RuntimeError> {
        let mut memory = self.memory.lock();
        while memory.taken {
            deadline.check()?;
            let woken = self.memory.given_back.wait_timeout(memory, deadline.left());
            memory = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        memory.taken = true;
        Ok(Leased { lease: Arc::clone(self) })
    }

    /// Takes the memory where nobody uses it; otherwise `waker` is woken when it is given back.
    pub(crate) fn try_take(self: &Arc<Self>, waker: &Waker) -> Option<Leased> {
        let mut memory = self.memory.lock();
        if memory.taken {
            if !memory.wakers.iter().any(|other| other.will_wake(waker)) {
                memory.wakers.push(waker.clone());
            }
            return None;
        }
        memory.taken = true;
        Some(Leased { lease: Arc::clone(self) })
    }
}

impl Memory {
    fn lock(&self) -> MutexGuard<'_, Use> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Leased {
    /// Whether another session has run in the arenas since this one did.
    pub(crate) fn is_overwritten(&self) -> bool {
        let last = || self.lease.memory.lock().last;
        self.lease.shares_arenas && last().is_some_and(|last| last != self.lease.own)
    }

    /// The first of the session's states, by its place among them, that a failed run or copy may have left half written.
    pub(crate) fn torn(&self) -> Option<usize> {
        (0..self.lease.states.len()).find(|state| self.is_torn(*state))
    }

    /// Whether that is so of one of them.
    pub(crate) fn is_torn(&self, state: usize) -> bool {
        self.lease.torn[self.lease.states[state]].load(Ordering::Relaxed)
    }

    /// Says that a run begins: the arenas are this session's now, and its states are whole once it [has
    /// ended][Leased::settle].
    pub(crate) fn claim(&self) {
        if self.lease.shares_arenas {
            self.lease.memory.lock().last = Some(self.lease.own);
        }
        self.tear(0..self.lease.states.len());
    }

    /// Says that these of the session's states are about to be written.
    pub(crate) fn tear(&self, states: Range<usize>) {
        self.mark(states, true);
    }

    /// Says that they are whole.
    pub(crate) fn settle(&self, states: Range<usize>) {
        self.mark(states, false);
    }

    fn mark(&self, states: Range<usize>, torn: bool) {
        // The lock of the memory, taken and given back in between, orders what sessions see of each other.
        let marks = self.lease.states[states].iter().map(|state| &self.lease.torn[*state]);
        marks.for_each(|mark| mark.store(torn, Ordering::Relaxed));
    }
}

impl Drop for Leased {
    fn drop(&mut self) {
        let mut memory = self.lease.memory.lock();
        memory.taken = false;
        let wakers = std::mem::take(&mut memory.wakers);
        drop(memory);
        self.lease.memory.given_back.notify_one();
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// Sets of numbers, joined pair by pair; each is known by one of its members.
struct Sets(Vec<usize>);

impl Sets {
    fn new(count: usize) -> Self {
        Self((0..count).collect())
    }

    fn root(&self, mut of: usize) -> usize {
        while self.0[of] != of {
            of = self.0[of];
        }
        of
    }

    fn join(&mut self, mut members: impl Iterator<Item = usize>) {
        let Some(first) = members.next() else { return };
        for member in members {
            let (first, other) = (self.root(first), self.root(member));
            self.0[first.max(other)] = first.min(other);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn leases<const N: usize>(of: [(bool, &[usize]); N]) -> [Arc<Lease>; N] {
        let memory = Arc::new(Memory::default());
        let torn: Arc<[AtomicBool]> = (0..4).map(|_| AtomicBool::new(false)).collect();
        let mut owners = 0..;
        let mut one = |(shares_arenas, states): (bool, &[usize])| Lease {
            memory: Arc::clone(&memory),
            own: owners.next().unwrap(),
            shares_arenas,
            states: states.to_vec(),
            torn: Arc::clone(&torn),
        };
        of.map(|lease| Arc::new(one(lease)))
    }

    #[test]
    fn a_lease_that_is_never_given_back_is_waited_for_until_the_deadline() {
        let [first, second, third] = leases([(true, &[]), (true, &[]), (false, &[])]);
        let now = || Deadline::after(Duration::ZERO);
        let held = first.take(now()).unwrap();
        held.claim();
        let waited = second.take(Deadline::after(Duration::from_millis(20))).map(drop);
        assert!(matches!(waited, Err(RuntimeError::Timeout { .. })));
        drop(held);
        assert!(second.take(now()).unwrap().is_overwritten());
        third.take(now()).unwrap().claim();
        assert!(!third.take(now()).unwrap().is_overwritten(), "its arenas are its own");
        assert!(!first.take(now()).unwrap().is_overwritten(), "who has other arenas writes none of these");
    }

    #[test]
    fn what_a_run_leaves_half_written_is_torn_for_all_who_have_it() {
        let [first, second, third] = leases([(false, &[0, 2]), (false, &[1, 2]), (false, &[1, 3])]);
        let now = || Deadline::after(Duration::ZERO);
        first.take(now()).unwrap().claim();
        let held = second.take(now()).unwrap();
        assert_eq!((held.torn(), held.is_torn(0), held.is_torn(1)), (Some(1), false, true));
        held.settle(1..2);
        assert_eq!(held.torn(), None);
        drop(held);
        assert_eq!(third.take(now()).unwrap().torn(), None);
        assert_eq!(first.take(now()).unwrap().torn(), Some(0));
    }

    #[test]
    fn sets_are_joined_over_any_way() {
        let mut sets = Sets::new(7);
        sets.join([4, 6].into_iter());
        sets.join([1, 3].into_iter());
        sets.join([3, 6].into_iter());
        sets.join([].into_iter());
        let roots: Vec<usize> = (0..7).map(|of| sets.root(of)).collect();
        assert_eq!(roots, [0, 1, 2, 1, 1, 5, 1]);
    }
}

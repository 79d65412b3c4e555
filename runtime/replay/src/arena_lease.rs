//! Sessions that share arenas lease them: one runs at a time.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::deadline::Deadline;
use crate::error::RuntimeError;
use crate::program::Program;

/// A session's right to ask for the arenas that it shares.
pub(crate) struct ArenaLease {
    memory: Arc<Memory>,
    own: usize,
}

/// Arenas that one session uses at a time.
#[derive(Default)]
struct Memory {
    state: Mutex<State>,
    given_back: Condvar,
}

#[derive(Default)]
struct State {
    /// A session holds the arenas. The lock itself is never held while a device is waited for.
    taken: bool,
    /// Who ran last.
    last: Option<usize>,
}

/// Held while a session uses the arenas.
pub(crate) struct Leased<'a> {
    memory: &'a Memory,
    own: usize,
}

impl ArenaLease {
    /// One for each program: those that may share their arenas lease the same, others have their own.
    pub(crate) fn of(programs: &[Program<'_>]) -> Vec<Self> {
        let shared = Arc::new(Memory::default());
        let one = |(own, program): (usize, &Program<'_>)| Self {
            memory: if program.may_share() { Arc::clone(&shared) } else { Arc::default() },
            own,
        };
        programs.iter().enumerate().map(one).collect()
    }

    /// Waits until nobody else uses the memory.
    pub(crate) fn take(&self, deadline: Deadline) -> Result<Leased<'_>, RuntimeError> {
        let mut state = self.memory.lock();
        while state.taken {
            deadline.check()?;
            let woken = self.memory.given_back.wait_timeout(state, deadline.left());
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.taken = true;
        Ok(Leased { memory: &self.memory, own: self.own })
    }
}

impl Memory {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Leased<'_> {
    /// Whether another session has run since this one did.
    pub(crate) fn is_overwritten(&self) -> bool {
        self.memory.lock().last.is_some_and(|last| last != self.own)
    }

    /// Says that the memory is this session's now.
    pub(crate) fn claim(&mut self) {
        self.memory.lock().last = Some(self.own);
    }
}

impl Drop for Leased<'_> {
    fn drop(&mut self) {
        self.memory.lock().taken = false;
        self.memory.given_back.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_lease_that_is_never_given_back_is_waited_for_until_the_deadline() {
        let memory = Arc::new(Memory::default());
        let leases = |own| ArenaLease { memory: Arc::clone(&memory), own };
        let (first, second) = (leases(0), leases(1));
        let mut held = first.take(Deadline::after(Duration::ZERO)).unwrap();
        held.claim();
        let waited = second.take(Deadline::after(Duration::from_millis(20))).map(drop);
        assert!(matches!(waited, Err(RuntimeError::Timeout { .. })));
        drop(held);
        assert!(second.take(Deadline::after(Duration::ZERO)).unwrap().is_overwritten());
    }
}

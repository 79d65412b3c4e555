//! Sessions that share memory take turns in it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::backend::Program;

/// A session's place among those that share its memory.
pub(crate) struct Turns {
    /// Who ran last.
    last: Arc<Mutex<Option<usize>>>,
    own: usize,
}

/// Held while a session uses the memory.
pub(crate) struct Turn<'a> {
    last: MutexGuard<'a, Option<usize>>,
    own: usize,
}

impl Turns {
    /// One for each program: those that may share their memory take turns, others are alone.
    pub(crate) fn of(programs: &[Program<'_>]) -> Vec<Self> {
        let shared = Arc::new(Mutex::new(None));
        let one = |(own, program): (usize, &Program<'_>)| Self {
            last: if program.may_share() { Arc::clone(&shared) } else { Arc::new(Mutex::new(None)) },
            own,
        };
        programs.iter().enumerate().map(one).collect()
    }

    /// Waits until nobody else uses the memory.
    pub(crate) fn take(&self) -> Turn<'_> {
        Turn { last: self.last.lock().unwrap_or_else(PoisonError::into_inner), own: self.own }
    }
}

impl Turn<'_> {
    /// Whether another session has run since this one did.
    pub(crate) fn is_overwritten(&self) -> bool {
        self.last.is_some_and(|last| last != self.own)
    }

    /// Says that the memory is this session's now.
    pub(crate) fn claim(&mut self) {
        *self.last = Some(self.own);
    }
}

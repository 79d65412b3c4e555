//! When a caller stops waiting.

#![cfg_attr(not(feature = "api"), allow(unreachable_pub, reason = "visible with the feature `api` only"))]

use std::time::{Duration, Instant};

use crate::error::RuntimeError;

/// More than anybody waits, and little enough to be added to any time.
const LONGEST: Duration = Duration::from_secs(1 << 30);

/// Work that ends within this time is waited for without sleeping.
const SPIN: Duration = Duration::from_micros(500);

/// A sleep between two looks at longer work.
const SLEEP: Duration = Duration::from_micros(100);

/// The end of all waits of one call.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    end: Instant,
    after: Duration,
}

impl Deadline {
    /// `after` from now.
    pub fn after(after: Duration) -> Self {
        Self { end: Instant::now() + after.min(LONGEST), after }
    }

    /// Time that is left; zero once it has passed.
    pub fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// [`RuntimeError::Timeout`] once it has passed.
    pub fn check(&self) -> Result<(), RuntimeError> {
        if self.left().is_zero() { Err(self.passed()) } else { Ok(()) }
    }

    /// Looks until `look` says that what is waited for is there; false where it is not by the deadline.
    pub fn poll<E>(&self, mut look: impl FnMut() -> Result<bool, E>) -> Result<bool, E> {
        let begin = Instant::now();
        loop {
            if look()? {
                return Ok(true);
            }
            let left = self.left();
            if left.is_zero() {
                return Ok(false);
            }
            if begin.elapsed() < SPIN {
                std::thread::yield_now();
            } else {
                std::thread::sleep(SLEEP.min(left));
            }
        }
    }

    /// The error of a wait that ends here.
    pub fn passed(&self) -> RuntimeError {
        RuntimeError::Timeout { after: self.after }
    }
}

//! When a caller stops waiting.

use std::time::{Duration, Instant};

use crate::error::RuntimeError;

/// More than anybody waits, and little enough to be added to any time.
const LONGEST: Duration = Duration::from_secs(1 << 30);

/// The end of all waits of one call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    end: Instant,
    after: Duration,
}

impl Deadline {
    /// `after` from now.
    pub(crate) fn after(after: Duration) -> Self {
        Self { end: Instant::now() + after.min(LONGEST), after }
    }

    /// Time that is left; zero once it has passed.
    pub(crate) fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// [`RuntimeError::Timeout`] once it has passed.
    pub(crate) fn check(&self) -> Result<(), RuntimeError> {
        if self.left().is_zero() { Err(self.passed()) } else { Ok(()) }
    }

    /// The error of a wait that ends here.
    pub(crate) fn passed(&self) -> RuntimeError {
        RuntimeError::Timeout { after: self.after }
    }
}

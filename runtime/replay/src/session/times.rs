//! Runs in a row, between which the host does nothing.

use super::{Input, Session};
use crate::deadline::Deadline;
use crate::error::RuntimeError;

impl Session {
    /// Runs the program `count` times and waits for the last. Each run begins when the one before has ended, without a round trip to the
    /// host: what changes from run to run is what states hold ([`Session::states`]), and inputs that outputs take the place of. Inputs
    /// are otherwise the same in each run, and results are those of the last. Nothing for 0.
    ///
    /// The timeout of a run is allowed for each of them. Another session that shares memory waits until all have ended.
    pub fn run_times(&mut self, count: u32) -> Result<(), RuntimeError> {
        self.may_run()?;
        if count == 0 {
            return Ok(());
        }
        let deadline = Deadline::after(self.timeout.saturating_mul(count));
        let leased = self.lease.take(deadline)?;
        self.begin(&leased, count)?;
        self.end(&leased, deadline)
    }

    /// Submits the runs behind the first.
    pub(super) fn go_on(&mut self, more: u32) -> Result<(), RuntimeError> {
        self.uploads.clear();
        self.uploads.extend(self.inputs.iter().map(Input::is_overwritten));
        (1..=more).try_for_each(|run| self.replay.begin(&self.uploads, run == more))
    }
}

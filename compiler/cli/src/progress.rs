//! Progress of long work: a line on standard error while it is a terminal, nothing otherwise.

use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;

/// A line that disappears when dropped.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Work of unknown length.
    pub(crate) fn spinner(message: &str) -> Self {
        // indicatif draws on standard error, and only on a terminal.
        let bar = ProgressBar::new_spinner();
        bar.set_message(message.to_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }

    /// Work of `steps` steps.
    pub(crate) fn steps(steps: usize, message: &str) -> Self {
        let bar = ProgressBar::new(steps as u64);
        if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}") {
            bar.set_style(style);
        }
        bar.set_message(message.to_owned());
        Self(bar)
    }

    /// Another stage of the same work.
    pub(crate) fn message(&self, message: &str) {
        self.0.set_message(message.to_owned());
    }

    /// One step is done.
    pub(crate) fn step(&self) {
        self.0.inc(1);
    }

    /// Writes to standard output while the line is out of the way.
    pub(crate) fn suspend<T>(&self, write: impl FnOnce() -> T) -> T {
        self.0.suspend(write)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

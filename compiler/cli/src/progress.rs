//! Progress of long work: a line on standard error while it is a terminal, nothing otherwise.

use crate::screen::printable;
use indicatif::{ProgressBar, ProgressStyle};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A line that disappears when dropped.
pub(crate) struct Progress {
    bar: ProgressBar,
    /// Turns a spinner; none where no thread can be started.
    ticker: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Progress {
    /// Work of unknown length.
    pub(crate) fn spinner(message: &str) -> Self {
        // indicatif draws on standard error, and only on a terminal.
        let bar = ProgressBar::new_spinner();
        bar.set_message(message.to_owned());
        let ticker = if bar.is_hidden() { None } else { tick(&bar) };
        Self { bar, ticker }
    }

    /// Work of `steps` steps.
    pub(crate) fn steps(steps: usize, message: &str) -> Self {
        let bar = ProgressBar::new(steps as u64);
        if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}") {
            bar.set_style(style);
        }
        bar.set_message(message.to_owned());
        Self { bar, ticker: None }
    }

    /// Another stage of the same work.
    pub(crate) fn message(&self, message: &str) {
        self.bar.set_message(printable(message).into_owned());
    }

    /// One step is done.
    pub(crate) fn step(&self) {
        self.bar.inc(1);
    }

    /// Writes to standard output while the line is out of the way.
    pub(crate) fn suspend<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bar.suspend(write)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((stop, ticker)) = self.ticker.take() {
            drop(stop);
            // A line that did not turn is no reason to fail.
            let _joined = ticker.join();
        }
        self.bar.finish_and_clear();
    }
}

/// Turns the spinner until the sender is dropped. (indicatif's own thread panics where it cannot be started.)
fn tick(bar: &ProgressBar) -> Option<(Sender<()>, JoinHandle<()>)> {
    let (stop, stopped) = mpsc::channel();
    let bar = bar.clone();
    let turn = move || {
        while stopped.recv_timeout(Duration::from_millis(100)) == Err(RecvTimeoutError::Timeout) {
            bar.tick();
        }
    };
    Some((stop, thread::Builder::new().spawn(turn).ok()?))
}

//! What is left to do when a signal ends the process: partial files go.

use crate::output;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

/// What of this process holds interrupts back.
static HOLD: Hold = Hold::new();

/// Whether interrupts are held back, and whether one came.
struct Hold {
    is_on: AtomicBool,
    is_heard: AtomicBool,
}

impl Hold {
    const fn new() -> Self {
        Self { is_on: AtomicBool::new(false), is_heard: AtomicBool::new(false) }
    }

    fn begin(&self) {
        self.is_heard.store(false, Ordering::SeqCst);
        self.is_on.store(true, Ordering::SeqCst);
    }

    fn end(&self) {
        self.is_on.store(false, Ordering::SeqCst);
    }

    /// Whether an interrupt that comes now is held back. A second one ends the process as ever.
    #[cfg(unix)]
    fn takes(&self) -> bool {
        self.is_on.load(Ordering::SeqCst) && !self.is_heard.swap(true, Ordering::SeqCst)
    }
}

/// While this lives, the first interrupt (`Ctrl-C`) is heard and nothing else happens, so that work can end by itself.
pub(crate) struct Held;

impl Held {
    pub(crate) fn interrupts() -> Self {
        HOLD.begin();
        Self
    }

    /// Whether an interrupt came; never where signals are not handled.
    pub(crate) fn is_heard(&self) -> bool {
        HOLD.is_heard.load(Ordering::SeqCst)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        HOLD.end();
    }
}

/// From now on, signals that end the process remove its partial files first. What the caller of the program has chosen
/// to ignore (`nohup`, jobs in the background) stays ignored.
#[cfg(unix)]
pub fn clean_up_on_signals() -> io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;
    use signal_hook::low_level::emulate_default_handler;
    use std::sync::mpsc;
    use std::time::Duration;

    let ignored = ignored();
    let wanted = [SIGHUP, SIGINT, SIGTERM].into_iter().filter(|signal| !ignored.contains(signal));
    let wanted: Vec<i32> = wanted.collect();
    // Registered by the thread itself: where none can be started, signals keep their effect.
    let (registered, is_registered) = mpsc::channel();
    let wait = move || {
        let signals = Signals::new(wanted);
        let _told = registered.send(());
        let Ok(mut signals) = signals else { return };
        if let Some(signal) = signals.forever().find(|signal| *signal != SIGINT || !HOLD.takes()) {
            output::remove_partial_files();
            // The process ends by the signal, as its caller expects.
            let _ended = emulate_default_handler(signal);
            std::process::exit(128 + signal);
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(wait)?;
    // Nothing is begun before that: on a busy machine a signal would come first and leave it behind.
    let _registered = is_registered.recv_timeout(Duration::from_secs(5));
    Ok(())
}

/// Elsewhere the next run removes what an interrupted one left.
#[cfg(not(unix))]
pub fn clean_up_on_signals() -> io::Result<()> {
    Ok(())
}

/// Signals that this process ignores, as Linux says; other systems do not tell without unsafe calls.
#[cfg(unix)]
fn ignored() -> Vec<i32> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignored_in(&status)
}

#[cfg(unix)]
fn ignored_in(status: &str) -> Vec<i32> {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    (1..=64).filter(|signal| mask >> (signal - 1) & 1 == 1).collect()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn one_interrupt_is_held_back_while_something_holds_it() {
        let hold = Hold::new();
        assert!(!hold.takes());
        for _ in 0..2 {
            hold.begin();
            assert_eq!([hold.takes(), hold.takes()], [true, false]);
            hold.end();
            assert!(!hold.takes());
        }
    }

    #[test]
    fn ignored_signals_are_read_from_their_mask() {
        assert_eq!(ignored_in("Name:\tdriftc\nSigIgn:\t0000000000001001\n"), [1, 13]);
        assert!(ignored_in("Name:\tdriftc\n").is_empty());
    }
}

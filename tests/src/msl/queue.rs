//! The queue: a thread that does what was submitted, in order.
#![expect(unsafe_code, reason = "copies memory that is shared with its owner")]

use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use drift_runtime::RuntimeError;
use drift_runtime::api::{Deadline, Serial};

use super::kernels::BoundKernel;
use super::memory::Block;

/// How long work may go on after a caller has stopped waiting for it.
const GRACE: Duration = Duration::from_secs(5);

/// A command and everything that it uses.
pub(super) enum Command {
    Copy { from: (Arc<Block>, u64), to: (Arc<Block>, u64), bytes: u64 },
    Zero(Arc<Block>),
    Dispatch { kernel: Arc<BoundKernel>, threadgroups: [u32; 3], stamp: Option<(Stamps, usize)> },
}

/// Times of dispatches, by their number.
pub(super) type Stamps = Arc<Mutex<Vec<Duration>>>;

/// What the kernels of a program did wrong, until somebody is told.
pub(super) type Failure = Arc<Mutex<Option<String>>>;

/// Submitted work.
struct Job {
    serial: Serial,
    lists: Vec<Arc<Vec<Command>>>,
    failure: Failure,
}

/// The thread's progress.
#[derive(Default)]
struct Progress {
    finished: Serial,
    /// Work that a caller has stopped waiting for, and when it is given up.
    overdue: Option<(Serial, Instant)>,
}

/// A queue. Its thread ends with it, after all that was submitted.
pub(super) struct Queue {
    submitted: Mutex<(Serial, Sender<Job>)>,
    progress: Arc<(Mutex<Progress>, Condvar)>,
}

impl Queue {
    pub(super) fn new() -> Self {
        let (sender, jobs) = mpsc::channel::<Job>();
        let progress = Arc::<(Mutex<Progress>, Condvar)>::default();
        let shared = Arc::clone(&progress);
        thread::spawn(move || {
            for job in jobs {
                let failed =
                    job.lists.iter().flat_map(|list| list.iter()).find_map(|command| command.run().err());
                if let Some(message) = failed {
                    lock(&job.failure).get_or_insert(message);
                }
                // What the work held is let go before anybody hears of its end.
                let serial = job.serial;
                drop(job);
                lock(&shared.0).finished = serial;
                shared.1.notify_all();
            }
        });
        Self { submitted: Mutex::new((Serial::default(), sender)), progress }
    }

    pub(super) fn submit(
        &self,
        lists: Vec<Arc<Vec<Command>>>,
        failure: &Failure,
    ) -> Result<Serial, RuntimeError> {
        const DOING: &str = "submitting work";
        self.check(DOING)?;
        let mut submitted = lock(&self.submitted);
        let serial = submitted.0.next();
        let job = Job { serial, lists, failure: Arc::clone(failure) };
        let lost = |_| RuntimeError::DeviceLost { doing: DOING, reason: "its thread has ended" };
        submitted.1.send(job).map_err(lost)?;
        submitted.0 = serial;
        Ok(serial)
    }

    pub(super) fn wait(&self, serial: Serial, deadline: Deadline) -> Result<(), RuntimeError> {
        let mut progress = lock(&self.progress.0);
        while progress.finished < serial {
            let left = deadline.left();
            if left.is_zero() {
                progress.overdue.get_or_insert((serial, Instant::now() + GRACE));
                return Err(deadline.passed());
            }
            let woken = self.progress.1.wait_timeout(progress, left);
            progress = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }

    pub(super) fn has_finished(&self, serial: Serial) -> bool {
        lock(&self.progress.0).finished >= serial
    }

    /// Refuses to go on once something is overdue for longer than its grace.
    pub(super) fn check(&self, doing: &'static str) -> Result<(), RuntimeError> {
        let mut progress = lock(&self.progress.0);
        let finished = progress.finished;
        progress.overdue = progress.overdue.filter(|(serial, _)| *serial > finished);
        match progress.overdue {
            Some((_, until)) if until <= Instant::now() => {
                Err(RuntimeError::DeviceLost { doing, reason: "a kernel did not end" })
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl Command {
    fn run(&self) -> Result<(), String> {
        match self {
            Self::Copy { from: (from, at), to: (to, into), bytes } => {
                assert!(at + bytes <= from.size() && into + bytes <= to.size(), "{bytes} bytes are too many");
                // SAFETY: both ranges are inside of their memory, and nobody else uses it: work is in order, and its
                // owner waits before it looks.
                unsafe { std::ptr::copy(from.at(*at), to.at(*into), *bytes as usize) };
            }
            // SAFETY: as above.
            Self::Zero(block) => unsafe { block.at(0).write_bytes(0, block.size() as usize) },
            Self::Dispatch { kernel, threadgroups, stamp } => {
                let begin = Instant::now();
                kernel.run(*threadgroups).map_err(|what| format!("shader `{}`: {what}", kernel.name()))?;
                if let Some((stamps, dispatch)) = stamp {
                    lock(stamps)[*dispatch] = begin.elapsed();
                }
            }
        }
        Ok(())
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! The thread that watches runs which nobody blocks for: one for each device, begun by the first such run and ended when there
//! has been none for a while.
//!
//! It only looks and wakes. It looks at intervals, since that is what all APIs have in common: some can only be asked, and none
//! waits for several pieces of work of which the first to end counts and for what ends by a deadline. An interval is an
//! eighth of the time that a run has taken so far, from 50 us to 1 ms.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::deadline::Deadline;
use crate::error::RuntimeError;

/// Says, without a wait, whether something is over.
pub(crate) type Watch = Box<dyn Fn() -> bool + Send>;

/// What the thread does besides: steps of runs that end in a callback.
pub(crate) type Step = Box<dyn FnOnce() + Send>;

/// Ends of the intervals between two looks.
const SHORTEST: Duration = Duration::from_micros(50);
const LONGEST: Duration = Duration::from_millis(1);

/// The thread ends when it had nothing to do for so long.
const IDLE: Duration = Duration::from_secs(2);

/// A device's waiter.
#[derive(Default)]
pub(crate) struct Waiter(Arc<Shared>);

#[derive(Default)]
pub(crate) struct Shared {
    list: Mutex<List>,
    changed: Condvar,
}

#[derive(Default)]
struct List {
    watched: Vec<Watched>,
    steps: Vec<Step>,
    /// There is a thread.
    runs: bool,
    /// The device and all its sessions are gone.
    closed: bool,
    /// Number of the last that was watched.
    last: u64,
}

struct Watched {
    number: u64,
    /// None where something else wakes, before the deadline.
    is_over: Option<Watch>,
    since: Instant,
    deadline: Deadline,
    waker: Waker,
}

/// A registration, taken back when it is dropped.
pub(crate) struct Registered {
    number: u64,
    shared: Arc<Shared>,
}

impl Waiter {
    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.0)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes `waker` once `is_over` says so, or else at the deadline.
    pub(crate) fn watch(
        self: &Arc<Self>,
        is_over: Option<Watch>,
        deadline: Deadline,
        waker: &Waker,
    ) -> Result<Registered, RuntimeError> {
        let mut list = self.running()?;
        list.last += 1;
        let number = list.last;
        let since = Instant::now();
        list.watched.push(Watched { number, is_over, since, deadline, waker: waker.clone() });
        self.changed.notify_one();
        Ok(Registered { number, shared: Arc::clone(self) })
    }

    /// Calls `step` on the thread.
    pub(crate) fn call(self: &Arc<Self>, step: Step) -> Result<(), (RuntimeError, Step)> {
        match self.running() {
            Ok(mut list) => {
                list.steps.push(step);
                self.changed.notify_one();
                Ok(())
            }
            Err(error) => Err((error, step)),
        }
    }

    /// The list, for which there is a thread.
    fn running(self: &Arc<Self>) -> Result<MutexGuard<'_, List>, RuntimeError> {
        let mut list = self.lock();
        if !list.runs {
            let shared = Arc::clone(self);
            let thread = std::thread::Builder::new().name("drift-waiter".to_owned());
            let spawned = thread.spawn(move || shared.serve());
            let doing = "starting the thread that watches runs";
            spawned.map_err(|_| RuntimeError::OutOfMemory { doing, bytes: None })?;
            list.runs = true;
        }
        Ok(list)
    }

    /// Looks, wakes and calls until there is nothing left to do.
    fn serve(&self) {
        let mut list = self.lock();
        loop {
            let (due, steps) = list.due();
            if !due.is_empty() || !steps.is_empty() {
                drop(list);
                // What an app's code does wrong has been said by its panic, and keeps no other run from its end.
                for watched in due {
                    let _ = catch_unwind(AssertUnwindSafe(|| watched.waker.wake()));
                }
                for step in steps {
                    let _ = catch_unwind(AssertUnwindSafe(step));
                }
                list = self.lock();
                continue;
            }
            let pause = list.pause();
            if pause.is_none() && list.closed {
                break;
            }
            let waited = self.changed.wait_timeout(list, pause.unwrap_or(IDLE));
            let (again, timed_out) = waited.unwrap_or_else(PoisonError::into_inner);
            list = again;
            if pause.is_none() && timed_out.timed_out() && list.watched.is_empty() && list.steps.is_empty() {
                break;
            }
        }
        list.runs = false;
    }
}

impl List {
    /// Takes what is to be woken and called now. The lock is held while devices are asked, so that what was taken back is asked
    /// for no more.
    fn due(&mut self) -> (Vec<Watched>, Vec<Step>) {
        let (mut due, mut index) = (Vec::new(), 0);
        while let Some(watched) = self.watched.get(index) {
            let over = watched.is_over.as_ref().is_some_and(|is_over| is_over());
            if over || watched.deadline.left().is_zero() {
                due.push(self.watched.swap_remove(index));
            } else {
                index += 1;
            }
        }
        (due, std::mem::take(&mut self.steps))
    }

    /// Time until the next look; none where there is nothing to look at.
    fn pause(&self) -> Option<Duration> {
        let of = |watched: &Watched| match watched.is_over {
            Some(_) => (watched.since.elapsed() / 8).clamp(SHORTEST, LONGEST).min(watched.deadline.left()),
            None => watched.deadline.left(),
        };
        self.watched.iter().map(of).min()
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut list = self.shared.lock();
        let found = list.watched.iter().position(|watched| watched.number == self.number);
        let gone = found.map(|index| list.watched.swap_remove(index));
        drop(list);
        // A waker may own what registers and takes back, too.
        drop(gone);
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn soon(condition: impl Fn() -> bool) -> bool {
        let seen = Deadline::after(Duration::from_secs(20)).poll(|| Ok::<_, ()>(condition()));
        seen == Ok(true)
    }

    #[test]
    fn one_thread_wakes_what_is_over_and_what_is_due_and_then_ends() {
        let waiter = Waiter::default();
        let shared = waiter.shared();
        let (over, due, gone) = (Arc::<Count>::default(), Arc::<Count>::default(), Arc::<Count>::default());
        let flag = Arc::new(AtomicBool::new(false));
        let (long, short) =
            (Deadline::after(Duration::from_secs(600)), Deadline::after(Duration::from_millis(30)));
        let is_set = Arc::clone(&flag);
        let watch: Watch = Box::new(move || is_set.load(Ordering::SeqCst));
        let first = shared.watch(Some(watch), long, &Arc::clone(&over).into()).unwrap();
        let _second = shared.watch(None, short, &Arc::clone(&due).into()).unwrap();
        drop(shared.watch(Some(Box::new(|| false)), long, &Arc::clone(&gone).into()).unwrap());
        assert!(soon(|| due.0.load(Ordering::SeqCst) == 1));
        assert_eq!(over.0.load(Ordering::SeqCst), 0);
        flag.store(true, Ordering::SeqCst);
        assert!(soon(|| over.0.load(Ordering::SeqCst) == 1));
        assert!(
            shared.call(Box::new(|| panic!("an app's fault, which is said and goes no further"))).is_ok()
        );
        let called = Arc::new(AtomicBool::new(false));
        let noted = Arc::clone(&called);
        assert!(shared.call(Box::new(move || noted.store(true, Ordering::SeqCst))).is_ok());
        assert!(soon(|| called.load(Ordering::SeqCst)));
        drop(first);
        assert_eq!((gone.0.load(Ordering::SeqCst), Arc::strong_count(&gone)), (0, 1));
        assert!(shared.lock().runs);
        drop(waiter);
        assert!(soon(|| !shared.lock().runs), "the device is gone, and so is its thread");
    }
}

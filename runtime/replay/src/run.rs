//! Runs that nobody blocks for: as a future, which needs no executor of its own, and with a callback.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use crate::deadline::Deadline;
use crate::error::RuntimeError;
use crate::lease::Leased;
use crate::session::Session;
use crate::waiter::{Registered, Shared};

/// A run, made by [`Session::run_async`]. It begins when it is polled first and is over when it is ready; any executor will do.
/// Its waker is called by one thread of the device, which all runs of the device share and which ends when there are none.
///
/// Dropping it calls the run off. What a GPU has been given it does: nothing is freed under it, and a call to the session that
/// comes before it has ended waits until it has, though for no longer than this run was allowed to take
/// ([`RuntimeError::Timeout`] then, and the session has failed). After that the session is as if the run had been waited
/// for. A run that had not been given to the GPU yet leaves no trace.
#[must_use = "a run begins when it is polled"]
pub struct Run<'s> {
    session: &'s mut Session,
    steps: Steps,
}

/// A run that ends in a callback, made by [`Session::run_then`]. Dropping it calls the run off and drops the session.
#[must_use = "dropping it calls the run off; `detach` lets it go on"]
pub struct RunThen {
    task: Arc<Task>,
    detached: bool,
}

/// How far a run has come.
struct Steps {
    stage: Stage,
    registered: Option<Registered>,
}

enum Stage {
    New,
    /// Until nobody else uses the memory.
    Waits(Deadline),
    /// Until the device has done it.
    Runs(Deadline, Leased),
    Over,
}

impl Session {
    /// Runs the program once, without blocking: the future is ready when the results are there. The timeout begins when it is
    /// polled first.
    pub fn run_async(&mut self) -> Run<'_> {
        Run { session: self, steps: Steps::new() }
    }

    /// Runs the program once, without blocking, and calls `done` with the session and how it went, on a thread of the device that
    /// watches all such runs, so that `done` should return soon. Where there is no such thread to be had, `done` is called with
    /// [`RuntimeError::OutOfMemory`] before this returns.
    pub fn run_then(self, done: impl FnOnce(Session, Result<(), RuntimeError>) + Send + 'static) -> RunThen {
        let shared = self.waiter().shared();
        let work = Work { steps: Steps::new(), session: self, done: Box::new(done) };
        let task = Arc::new(Task { work: Mutex::new(Some(work)), shared });
        Arc::clone(&task).wake();
        RunThen { task, detached: false }
    }
}

impl Steps {
    fn new() -> Self {
        Self { stage: Stage::New, registered: None }
    }

    /// Goes as far as it can without blocking; `waker` is called when it can go on.
    fn poll(&mut self, session: &mut Session, waker: &Waker) -> Poll<Result<(), RuntimeError>> {
        self.registered = None;
        let outcome = self.advance(session, waker);
        match &outcome {
            Ok(true) => self.stage = Stage::Over,
            Ok(false) => return Poll::Pending,
            // Its thread is missing: the run itself goes on.
            Err(_) => self.call_off(session),
        }
        Poll::Ready(outcome.map(drop))
    }

    /// Whether it is over.
    fn advance(&mut self, session: &mut Session, waker: &Waker) -> Result<bool, RuntimeError> {
        if let Stage::New = self.stage {
            if let Some((is_over, deadline)) = session.called_off_and_pending() {
                self.registered = Some(session.waiter().shared().watch(Some(is_over), deadline, waker)?);
                return Ok(false);
            }
            self.stage = Stage::Waits(session.may_run()?);
        }
        if let Stage::Waits(deadline) = self.stage {
            // Before the lease is asked for, so that it is given back to nobody in vain.
            let registered = session.waiter().shared().watch(None, deadline, waker)?;
            let Some(leased) = session.lease().try_take(waker) else {
                deadline.check()?;
                self.registered = Some(registered);
                return Ok(false);
            };
            session.begin(&leased, 1)?;
            self.stage = Stage::Runs(deadline, leased);
        }
        let Stage::Runs(deadline, leased) = &self.stage else { return Ok(true) };
        let is_over = session.watch();
        if is_over() || deadline.left().is_zero() {
            let ended = session.end(leased, *deadline);
            self.stage = Stage::Over;
            return ended.map(|()| true);
        }
        self.registered = Some(session.waiter().shared().watch(Some(is_over), *deadline, waker)?);
        Ok(false)
    }

    /// Stops watching.
    fn call_off(&mut self, session: &mut Session) {
        self.registered = None;
        if let Stage::Runs(deadline, leased) = std::mem::replace(&mut self.stage, Stage::Over) {
            session.call_off(&leased, deadline);
        }
    }
}

impl Future for Run<'_> {
    type Output = Result<(), RuntimeError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let run = self.get_mut();
        run.steps.poll(run.session, context.waker())
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.steps.call_off(self.session);
    }
}

type Done = Box<dyn FnOnce(Session, Result<(), RuntimeError>) + Send>;

struct Work {
    // Dropped before the session that it is of.
    steps: Steps,
    session: Session,
    done: Done,
}

/// A run and who is told of its end, until that begins or the run is called off.
struct Task {
    work: Mutex<Option<Work>>,
    shared: Arc<Shared>,
}

impl Task {
    fn take(&self) -> Option<Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn poll(self: &Arc<Self>) {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Work { session, steps, .. }) = &mut *work else { return };
        let Poll::Ready(outcome) = steps.poll(session, &Arc::clone(self).into()) else { return };
        let ended = work.take();
        drop(work);
        if let Some(Work { session, done, .. }) = ended {
            done(session, outcome);
        }
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        let task = Arc::clone(&self);
        if let Err((error, step)) = self.shared.call(Box::new(move || task.poll())) {
            drop(step);
            if let Some(Work { mut session, mut steps, done }) = self.take() {
                steps.call_off(&mut session);
                done(session, Err(error));
            }
        }
    }
}

impl RunThen {
    /// Calls the run off, as dropping a [`Run`] does, and gives the session back; the callback is not called then. None where it has
    /// been called, or is being called by another thread.
    pub fn cancel(mut self) -> Option<Session> {
        self.detached = true;
        Self::call_off(&self.task)
    }

    /// Lets the run go on by itself.
    pub fn detach(mut self) {
        self.detached = true;
    }

    fn call_off(task: &Task) -> Option<Session> {
        let Work { mut session, mut steps, .. } = task.take()?;
        steps.call_off(&mut session);
        Some(session)
    }
}

impl Drop for RunThen {
    fn drop(&mut self) {
        if !self.detached {
            drop(Self::call_off(&self.task));
        }
    }
}

impl fmt::Debug for Run<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("session", &self.session).finish_non_exhaustive()
    }
}

impl fmt::Debug for RunThen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunThen").finish_non_exhaustive()
    }
}

//! Sessions that a run has taken along, and runs that end in a callback.

use std::ffi::{CString, c_char, c_void};
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;

use drift_runtime::{RunThen, RuntimeError, Session};

use crate::call::{call, shared};
use crate::session::CSession;
use crate::status::{Failure, Status};

/// Where a session is: here, or with a run.
pub(crate) struct Slot(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    returned: Condvar,
}

struct State {
    /// None while a run has it.
    session: Option<Session>,
    run: Option<RunThen>,
    /// The thread that a callback is being called on.
    caller: Option<ThreadId>,
}

/// A session that is here.
pub(crate) struct Here<'a>(MutexGuard<'a, State>);

/// What the callback of an app is given besides.
struct User(*mut c_void);

// SAFETY: the header says that the callback is called on another thread.
unsafe impl Send for User {}

/// Called when a run is over, on a thread of the library: with `user`, and with how it went and words for that (of a failure), which are
/// valid until it returns. The session may be used in it; it should return soon, since other runs wait behind it.
#[expect(non_camel_case_types, reason = "names of C")]
pub type drift_run_done =
    Option<unsafe extern "C" fn(user: *mut c_void, status: Status, message: *const c_char)>;

impl Slot {
    pub(crate) fn new(session: Session) -> Self {
        let state = State { session: Some(session), run: None, caller: None };
        Self(Arc::new(Shared { state: Mutex::new(state), returned: Condvar::new() }))
    }

    /// The session, unless a run has it.
    pub(crate) fn here(&self) -> Result<Here<'_>, Failure> {
        let state = self.0.lock();
        if state.session.is_none() {
            let words = "the session is running; wait for the callback, or call drift_session_cancel";
            return Err(Failure::argument(words));
        }
        Ok(Here(state))
    }

    /// Begins a run that ends in the callback.
    fn begin(&self, done: drift_run_done, user: *mut c_void) -> Result<(), Failure> {
        let Some(done) = done else { return Err(Failure::argument("`done` is null")) };
        let mut here = self.here()?;
        let Some(session) = here.0.session.take() else { unreachable!("verified: the session is here") };
        // The callback may come at once, and takes the lock.
        drop(here);
        let (shared, user) = (Arc::clone(&self.0), User(user));
        let run = session.run_then(move |session, outcome| {
            let user = user;
            shared.give_back(session);
            let (status, message) = told(outcome);
            // SAFETY: the header says what it is and that it may be called here.
            unsafe { done(user.0, status, message.as_ptr()) };
            shared.lock().caller = None;
            shared.returned.notify_all();
        });
        let mut state = self.0.lock();
        if state.session.is_some() || state.run.is_some() {
            drop(state);
            run.detach();
        } else {
            state.run = Some(run);
        }
        Ok(())
    }

    /// Calls a run off; whether its callback has been called or is being called. Waits for one that another thread is in.
    fn cancel(&self) -> bool {
        let mut state = self.0.lock();
        let (run, was_running) = (state.run.take(), state.session.is_none());
        drop(state);
        let stopped = run.and_then(RunThen::cancel);
        state = self.0.lock();
        if let Some(session) = stopped {
            state.session = Some(session);
            return false;
        }
        let elsewhere =
            |state: &State| state.caller.is_some_and(|caller| caller != std::thread::current().id());
        let is_called = was_running || elsewhere(&state);
        while elsewhere(&state) || state.session.is_none() {
            state = self.0.returned.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        is_called
    }
}

/// The status of a run, with words.
fn told(outcome: Result<(), RuntimeError>) -> (Status, CString) {
    match outcome.map_err(Failure::from) {
        Ok(()) => (Status::DRIFT_OK, CString::default()),
        Err(Failure { status, message }) => {
            (status, CString::new(message.replace('\0', "\u{fffd}")).unwrap_or_default())
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the session back from a run that is over, whose callback is called next.
    fn give_back(&self, session: Session) {
        let mut state = self.lock();
        let run = state.run.take();
        (state.session, state.caller) = (Some(session), Some(std::thread::current().id()));
        drop(state);
        if let Some(run) = run {
            run.detach();
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.cancel();
    }
}

impl Deref for Here<'_> {
    type Target = Session;

    fn deref(&self) -> &Session {
        self.0.session.as_ref().unwrap_or_else(|| unreachable!("verified: the session is here"))
    }
}

impl DerefMut for Here<'_> {
    fn deref_mut(&mut self) -> &mut Session {
        self.0.session.as_mut().unwrap_or_else(|| unreachable!("verified: the session is here"))
    }
}

/// Begins a run and returns; `done` is called when it is over. Until then nothing but drift_session_cancel and drift_session_free may
/// be called with the session: calls fail with DRIFT_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drift_session_run_async(
    session: *mut CSession,
    done: drift_run_done,
    user: *mut c_void,
) -> Status {
    // SAFETY: the caller keeps to the header.
    call(|| unsafe { shared(session, "session")?.slot.begin(done, user) })
}

/// Calls a run off, if there is one: its callback is not called any more. Where another thread is in it, this waits until it has
/// returned. `called`, which may be NULL, is set to whether it was called. The device finishes what it was given, and the next
/// call with the session waits for that.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drift_session_cancel(session: *mut CSession, called: *mut bool) -> Status {
    // SAFETY: the caller keeps to the header.
    call(|| unsafe {
        let was_called = shared(session, "session")?.slot.cancel();
        if !called.is_null() {
            called.write(was_called);
        }
        Ok(())
    })
}

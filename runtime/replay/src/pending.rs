//! What was submitted to the one queue, what of it has finished, and what is destroyed once it has.
//!
//! Submissions are numbered. A fence waits for all work before it, so that one number says what has finished. Whatever
//! is dropped while work is pending is kept here until the last submission at that time has finished: no drop waits, and
//! nothing is destroyed under a kernel that still runs. A wait that ends at its deadline begins a grace time; a device
//! that is still not done after it is given up, for every session, and what its work may touch is never destroyed.

use std::collections::VecDeque;
use std::sync::MutexGuard;
use std::time::{Duration, Instant};

use crate::error::RuntimeError;

/// Number of a submission; those of one queue count from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(not(feature = "api"), allow(unreachable_pub, reason = "visible with the feature `api` only"))]
pub struct Serial(u64);

#[cfg(feature = "api")]
impl Serial {
    /// The number after this one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Everything that is known about submitted work: `F` is what an API waits for, `D` what is destroyed once nothing uses
/// it.
pub(crate) struct Pending<F, D> {
    submitted: Serial,
    finished: Serial,
    /// Fences that have not been seen to signal, oldest first.
    fences: Vec<(Serial, F)>,
    retired: VecDeque<(Serial, D)>,
    /// Work that a caller has stopped waiting for, and when it is given up.
    overdue: Option<(Serial, Instant)>,
    lost: Option<Lost>,
}

/// Why nothing can be submitted any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The driver said so: nothing runs any more.
    ByDriver,
    /// Given up: something may run for ever.
    Overdue,
}

impl<F, D> Default for Pending<F, D> {
    fn default() -> Self {
        Self {
            submitted: Serial::default(),
            finished: Serial::default(),
            fences: Vec::new(),
            retired: VecDeque::new(),
            overdue: None,
            lost: None,
        }
    }
}

impl<F: Clone, D> Pending<F, D> {
    /// The number of a submission that is about to be made, which `fence` (or none) signals the end of.
    pub(crate) fn submit(&mut self, fence: Option<F>) -> Serial {
        self.submitted.0 += 1;
        self.fences.extend(fence.map(|fence| (self.submitted, fence)));
        self.submitted
    }

    /// Takes back the last number, whose submission the driver refused.
    pub(crate) fn refuse(&mut self, serial: Serial) {
        self.submitted.0 -= 1;
        self.fences.retain(|(other, _)| *other != serial);
    }

    /// Everything up to `serial` has finished. Returns what can be destroyed now.
    #[must_use]
    pub(crate) fn finish(&mut self, serial: Serial) -> Vec<D> {
        self.finished = self.finished.max(serial);
        self.fences.retain(|(other, _)| *other > self.finished);
        if self.overdue.is_some_and(|(overdue, _)| overdue <= self.finished) {
            self.overdue = None;
        }
        let ready = self.retired.partition_point(|(last, _)| *last <= self.finished);
        self.retired.drain(..ready).map(|(_, destroy)| destroy).collect()
    }

    /// Everything has finished, or never will in a way that matters.
    #[must_use]
    pub(crate) fn finish_all(&mut self) -> Vec<D> {
        self.finish(self.submitted)
    }

    /// Gives `destroy` back where it can be called now, and otherwise keeps it.
    pub(crate) fn retire(&mut self, destroy: D) -> Option<D> {
        if self.is_idle() {
            return Some(destroy);
        }
        self.retired.push_back((self.submitted, destroy));
        None
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.finished == self.submitted || self.lost == Some(Lost::ByDriver)
    }

    pub(crate) fn has_finished(&self, serial: Serial) -> bool {
        self.finished >= serial || self.lost == Some(Lost::ByDriver)
    }

    /// The newest submission whose fence `signalled` knows to have signalled.
    pub(crate) fn newest(&self, signalled: impl Fn(F) -> bool) -> Option<Serial> {
        self.fences.iter().rev().find(|(_, fence)| signalled(fence.clone())).map(|(serial, _)| *serial)
    }

    /// The last of the oldest submissions of which none is pending, where submissions need not end in their order.
    #[cfg(any(test, all(feature = "metal", target_vendor = "apple")))]
    pub(crate) fn oldest(&self, ended: impl Fn(&F) -> bool) -> Option<Serial> {
        self.fences.iter().take_while(|(_, fence)| ended(fence)).last().map(|(serial, _)| *serial)
    }

    /// Submissions that are not known to have finished.
    #[cfg(any(test, all(feature = "metal", target_vendor = "apple")))]
    pub(crate) fn unfinished(&self) -> u64 {
        self.submitted.0 - self.finished.0
    }

    /// A caller has stopped waiting for `serial`. The first such work decides when the device is given up.
    pub(crate) fn is_overdue(&mut self, serial: Serial, grace: Duration) {
        self.overdue.get_or_insert((serial, Instant::now() + grace));
    }

    /// Whether work is overdue, so that fences are worth a look.
    pub(crate) fn has_overdue(&self) -> bool {
        self.overdue.is_some()
    }

    /// How long what is overdue is waited for; `grace` where nothing is.
    pub(crate) fn grace_left(&self, grace: Duration) -> Duration {
        match (self.lost, self.overdue) {
            (Some(_), _) => Duration::ZERO,
            (None, Some((_, until))) => until.saturating_duration_since(Instant::now()),
            (None, None) => grace,
        }
    }

    pub(crate) fn lose(&mut self, lost: Lost) {
        if *self.lost.get_or_insert(lost) == Lost::ByDriver {
            // They may be destroyed from now on.
            self.fences.clear();
        }
    }

    /// Refuses to go on with a device that is lost, which it is too once something is overdue for longer than its grace.
    pub(crate) fn check(&mut self, doing: &'static str) -> Result<(), RuntimeError> {
        if self.overdue.is_some_and(|(_, until)| until <= Instant::now()) {
            self.lose(Lost::Overdue);
        }
        match self.lost {
            None => Ok(()),
            Some(lost) => Err(lost.error(doing)),
        }
    }
}

/// A device's queue, whose submissions are numbered in a [`Pending`].
pub(crate) trait Follow {
    /// What the end of a submission is known by.
    type Fence: Clone;
    /// What is kept while submissions use it.
    type Retired;

    fn pending(&self) -> MutexGuard<'_, Pending<Self::Fence, Self::Retired>>;

    /// Whether a fence is known to have signalled. The lock is held.
    fn has_signalled(&self, fence: Self::Fence) -> bool;

    /// Lets the API find out what has ended, where it does so only when it is asked. No lock is held.
    fn refresh(&self) {}

    /// Lets go of what nothing uses any more. No lock is held.
    fn release(&self, ready: Vec<Self::Retired>) {
        drop(ready);
    }

    /// Refuses to go on where the device is lost or has to be given up.
    fn check(&self, doing: &'static str) -> Result<(), RuntimeError> {
        if self.pending().has_overdue() {
            self.look();
        }
        self.pending().check(doing)
    }

    /// Whether a submission is known to have finished, so that what it used may be touched.
    fn has_finished(&self, serial: Serial) -> bool {
        if !self.pending().has_finished(serial) {
            self.look();
        }
        self.pending().has_finished(serial)
    }

    /// Looks at submissions that nobody waits for any more.
    fn look(&self) {
        self.refresh();
        let newest = self.pending().newest(|fence| self.has_signalled(fence));
        if let Some(serial) = newest {
            self.finish(serial);
        }
    }

    /// Everything up to `serial` has finished.
    fn finish(&self, serial: Serial) {
        let ready = self.pending().finish(serial);
        self.release(ready);
    }
}

impl Lost {
    pub(crate) fn error(self, doing: &'static str) -> RuntimeError {
        let reason = match self {
            Self::ByDriver => "a kernel ran into a watchdog or the driver failed",
            Self::Overdue => "a kernel that ran into a timeout still runs, and may for ever",
        };
        RuntimeError::DeviceLost { doing, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending() -> Pending<u64, ()> {
        Pending::default()
    }

    #[test]
    fn what_is_dropped_waits_for_the_work_before_it_and_for_no_other() {
        let mut pending = pending();
        assert!(pending.retire(()).is_some(), "nothing is pending");
        let first = pending.submit(Some(1));
        assert!(pending.retire(()).is_none());
        let second = pending.submit(None);
        let third = pending.submit(Some(3));
        assert!(pending.retire(()).is_none());
        assert_eq!(pending.finish(first).len(), 1);
        assert!(!pending.has_finished(second));
        assert_eq!(pending.newest(|fence| fence == 3), Some(third));
        assert_eq!(pending.finish(third).len(), 1);
        assert!(pending.has_finished(second) && pending.is_idle());
        assert_eq!(pending.newest(|_| true), None);
    }

    #[test]
    fn work_that_ends_out_of_order_is_known_up_to_the_first_that_is_pending() {
        let mut pending = pending();
        let serials = [1, 2, 3].map(|fence| pending.submit(Some(fence)));
        assert_eq!(pending.oldest(|fence| *fence > 1), None);
        assert_eq!(pending.oldest(|fence| *fence != 2), Some(serials[0]));
        assert_eq!(pending.unfinished(), 3);
        assert!(pending.finish(serials[0]).is_empty());
        assert_eq!((pending.oldest(|_| true), pending.unfinished()), (Some(serials[2]), 2));
    }

    #[test]
    fn a_refused_submission_is_waited_for_by_nobody() {
        let mut pending = pending();
        let serial = pending.submit(Some(1));
        pending.refuse(serial);
        assert!(pending.is_idle() && pending.newest(|_| true).is_none());
    }

    #[test]
    fn overdue_work_that_finishes_in_its_grace_is_forgiven() {
        let mut pending = pending();
        let serial = pending.submit(Some(1));
        pending.is_overdue(serial, Duration::from_secs(60));
        assert!(pending.check("running").is_ok() && pending.has_overdue());
        assert!(pending.finish(serial).is_empty());
        assert!(!pending.has_overdue());
        assert_eq!(pending.grace_left(Duration::from_secs(1)), Duration::from_secs(1));
    }

    #[test]
    fn overdue_work_without_grace_loses_the_device_for_all() {
        let mut pending = pending();
        let serial = pending.submit(Some(1));
        pending.is_overdue(serial, Duration::ZERO);
        assert!(matches!(pending.check("running"), Err(RuntimeError::DeviceLost { doing: "running", .. })));
        assert!(pending.retire(()).is_none(), "it may still run");
        assert_eq!(pending.grace_left(Duration::from_secs(1)), Duration::ZERO);
        pending.lose(Lost::ByDriver);
        assert!(!pending.is_idle(), "the first verdict stays");
    }

    #[test]
    fn nothing_runs_on_a_device_that_the_driver_lost() {
        let mut pending = pending();
        let serial = pending.submit(Some(1));
        pending.lose(Lost::ByDriver);
        assert!(pending.has_finished(serial) && pending.retire(()).is_some());
        assert_eq!(pending.newest(|_| true), None, "fences may be gone");
    }
}

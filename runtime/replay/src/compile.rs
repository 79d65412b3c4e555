//! Compiles kernels on all processors at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use drift_bundle::on_several;

use crate::deadline::Deadline;
use crate::error::RuntimeError;

/// Calls `one` for each of `shaders`; threads take the next one as they finish. A driver that compiles cannot be
/// interrupted, so the deadline is looked at before each. The results are in no order.
pub(crate) fn all<T: Send>(
    shaders: &[usize],
    deadline: Deadline,
    one: impl Fn(usize) -> Result<T, RuntimeError> + Sync,
) -> Vec<(usize, Result<T, RuntimeError>)> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(shaders.len()));
    let work = || {
        while let Some(&index) = shaders.get(next.fetch_add(1, Ordering::Relaxed)) {
            let result = deadline.check().and_then(|()| one(index));
            results.lock().unwrap_or_else(PoisonError::into_inner).push((index, result));
        }
    };
    on_several(shaders.len(), work);
    results.into_inner().unwrap_or_else(PoisonError::into_inner)
}

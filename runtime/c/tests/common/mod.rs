//! What calls of the C interface say.

use std::ffi::CStr;

use drift::{Status, drift_last_error};

/// What the last call that failed says.
fn last_error() -> String {
    // SAFETY: text of this thread, which ends with a zero byte.
    unsafe { CStr::from_ptr(drift_last_error()) }.to_string_lossy().into_owned()
}

/// A call that did what it was asked for.
#[track_caller]
pub(crate) fn fine(status: Status) {
    assert_eq!(status, Status::DRIFT_OK, "{}", last_error());
}

/// A call that was refused as bad usage, in these words.
#[track_caller]
pub(crate) fn refused(status: Status, words: &str) {
    assert_eq!(status, Status::DRIFT_INVALID_ARGUMENT);
    assert!(last_error().contains(words), "{}", last_error());
}

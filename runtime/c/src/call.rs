//! What every function has in common: a closure that may fail or panic becomes a status; pointers become references.

use std::ffi::{CStr, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::status::{Failure, Status, keep};

/// Runs `body`. An object that panics half-way is left to its caller to free; its next use meets a failed session.
pub(crate) fn call(body: impl FnOnce() -> Result<(), Failure>) -> Status {
    let outcome = catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>().map(String::as_str);
        let words = words.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no words");
        Err(Failure { status: Status::DRIFT_INTERNAL_ERROR, message: format!("a fault of drift: {words}") })
    });
    match outcome {
        Ok(()) => Status::DRIFT_OK,
        Err(failure) => keep(failure),
    }
}

/// As [`call`], for functions that make an object: `out` gets it, or null.
pub(crate) unsafe fn make<T>(out: *mut *mut T, body: impl FnOnce() -> Result<T, Failure>) -> Status {
    call(|| {
        if out.is_null() {
            return Err(Failure::argument("`out` is null"));
        }
        // SAFETY: not null; the caller says that it is a place for a pointer.
        unsafe { out.write(std::ptr::null_mut()) };
        let made = Box::into_raw(Box::new(body()?));
        // SAFETY: as above.
        unsafe { out.write(made) };
        Ok(())
    })
}

/// Frees what [`make`] made.
pub(crate) unsafe fn free<T>(object: *mut T) {
    if !object.is_null() {
        // The status of a panic while dropping has nobody to go to.
        let _ = call(|| {
            // SAFETY: the caller says that `make` made it and that it was not freed.
            drop(unsafe { Box::from_raw(object) });
            Ok(())
        });
    }
}

pub(crate) unsafe fn shared<'a, T>(object: *const T, what: &str) -> Result<&'a T, Failure> {
    // SAFETY: the caller says that it is null or an object that was not freed.
    unsafe { object.as_ref() }.ok_or_else(|| Failure::argument(format!("`{what}` is null")))
}

pub(crate) unsafe fn unique<'a, T>(object: *mut T, what: &str) -> Result<&'a mut T, Failure> {
    // SAFETY: as above, and that no other thread uses it.
    unsafe { object.as_mut() }.ok_or_else(|| Failure::argument(format!("`{what}` is null")))
}

/// Text that may be missing.
pub(crate) unsafe fn text<'a>(text: *const c_char, what: &str) -> Result<Option<&'a str>, Failure> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: not null; the caller says that it ends with a zero byte.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map(Some).map_err(|_| Failure::argument(format!("`{what}` is not UTF-8")))
}

/// Text that has to be there.
pub(crate) unsafe fn needed_text<'a>(pointer: *const c_char, what: &str) -> Result<&'a str, Failure> {
    // SAFETY: as for `text`.
    unsafe { text(pointer, what) }?.ok_or_else(|| Failure::argument(format!("`{what}` is null")))
}

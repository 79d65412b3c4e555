//! Panics: caught, so that they end as an internal error with what to report, and heard, so that they say where.

use std::panic::{self, AssertUnwindSafe};
use std::sync::{Mutex, PoisonError};

/// What the first panic since the last [`caught`] said, and where.
static HEARD: Mutex<Option<String>> = Mutex::new(None);

/// From now on panics print nothing by themselves, but where `RUST_BACKTRACE` asks for it. Their message stands in what
/// [`caught`] returns; that of a worker thread would be lost otherwise.
pub fn listen() {
    let default = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        let message = panic.payload_as_str().unwrap_or("without a message");
        let place = panic.location().map(|place| format!(" at {}:{}", place.file(), place.line()));
        let mut heard = HEARD.lock().unwrap_or_else(PoisonError::into_inner);
        heard.get_or_insert_with(|| format!("{message}{}", place.unwrap_or_default()));
        drop(heard);
        if std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0") {
            default(panic);
        }
    }));
}

/// The result of `work`, or what its panic said. Nothing that `work` borrows may be half changed by a panic.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    panic::catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        let message = payload.downcast_ref::<String>().map(String::as_str);
        let message = message.or_else(|| payload.downcast_ref::<&str>().copied());
        let heard = HEARD.lock().unwrap_or_else(PoisonError::into_inner).take();
        heard.unwrap_or_else(|| message.unwrap_or("without a message").to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_with_its_message() {
        assert_eq!(caught(|| 7), Ok(7));
        assert!(caught(|| panic!("slot {} is missing", 3)).unwrap_err().starts_with("slot 3 is missing"));
        assert_eq!(caught(|| std::panic::resume_unwind(Box::new(3))), Err("without a message".to_owned()));
    }
}

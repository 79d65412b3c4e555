//! Outcomes of calls: a code, and words for the thread that made the call.

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};

use drift_runtime::RuntimeError;

/// What came of a call.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(non_camel_case_types, reason = "names of C")]
pub enum Status {
    /// It did what was asked.
    DRIFT_OK = 0,
    /// A null pointer, text that is not UTF-8, a wrong name, type or length, or calls in a wrong order.
    DRIFT_INVALID_ARGUMENT = 1,
    /// The bundle cannot be read, is damaged, or is of another version.
    DRIFT_BAD_BUNDLE = 2,
    /// No driver, or no device of that name.
    DRIFT_NO_DEVICE = 3,
    /// The device lacks what every variant of the bundle requires, or the bundle has nothing for it.
    DRIFT_UNSUPPORTED = 4,
    /// The device or the host has too little memory.
    DRIFT_OUT_OF_MEMORY = 5,
    /// The device did not finish in time.
    DRIFT_TIMEOUT = 6,
    /// The device was lost: free all that was made of it, open it and load the bundle again.
    DRIFT_DEVICE_LOST = 7,
    /// The session's last run failed: load the bundle again.
    DRIFT_SESSION_FAILED = 8,
    /// The driver failed in another way.
    DRIFT_DRIVER_ERROR = 9,
    /// A fault of this library. Please report it.
    DRIFT_INTERNAL_ERROR = 10,
}

/// Why a call failed.
pub(crate) struct Failure {
    pub(crate) status: Status,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn argument(message: impl Into<String>) -> Self {
        Self { status: Status::DRIFT_INVALID_ARGUMENT, message: message.into() }
    }
}

impl From<RuntimeError> for Failure {
    fn from(error: RuntimeError) -> Self {
        let status = match &error {
            RuntimeError::Bundle(_) => Status::DRIFT_BAD_BUNDLE,
            RuntimeError::NoDriver { .. }
            | RuntimeError::NotOnThisPlatform { .. }
            | RuntimeError::NoSuchDevice { .. } => Status::DRIFT_NO_DEVICE,
            RuntimeError::NoTarget { .. }
            | RuntimeError::NoVariant { .. }
            | RuntimeError::NoSelfTest { .. }
            | RuntimeError::StateMismatch { .. } => Status::DRIFT_UNSUPPORTED,
            RuntimeError::OutOfMemory { .. } => Status::DRIFT_OUT_OF_MEMORY,
            RuntimeError::Timeout { .. } => Status::DRIFT_TIMEOUT,
            RuntimeError::DeviceLost { .. } => Status::DRIFT_DEVICE_LOST,
            RuntimeError::Failed => Status::DRIFT_SESSION_FAILED,
            RuntimeError::Driver { .. } => Status::DRIFT_DRIVER_ERROR,
            RuntimeError::NoEntry { .. }
            | RuntimeError::NoSuchVariant { .. }
            | RuntimeError::NoSuchTensor { .. }
            | RuntimeError::NoSuchDim { .. }
            | RuntimeError::DimSize { .. }
            | RuntimeError::ElementType { .. }
            | RuntimeError::Length { .. }
            | RuntimeError::OutOfRange { .. }
            | RuntimeError::NotWritten { .. }
            | RuntimeError::NotRun
            | RuntimeError::Overwritten { .. }
            | RuntimeError::StateTorn { .. }
            | RuntimeError::OwnBuffer { .. }
            | RuntimeError::NoTimings { .. } => Status::DRIFT_INVALID_ARGUMENT,
            // An error that the runtime has gained since.
            _ => Status::DRIFT_INTERNAL_ERROR,
        };
        Self { status, message: error.to_string() }
    }
}

thread_local! {
    static LAST: RefCell<CString> = RefCell::default();
}

/// Keeps the words of a failure for [`drift_last_error`].
pub(crate) fn keep(failure: Failure) -> Status {
    let message = CString::new(failure.message.replace('\0', "\u{fffd}")).unwrap_or_default();
    LAST.with(|last| *last.borrow_mut() = message);
    failure.status
}

/// Words for the last call of this thread that failed, or an empty text. Valid until another call of this thread fails.
#[unsafe(no_mangle)]
pub extern "C" fn drift_last_error() -> *const c_char {
    LAST.with(|last| last.borrow().as_ptr())
}

/// Version of the library: `0.1.0`.
#[unsafe(no_mangle)]
pub extern "C" fn drift_version() -> *const c_char {
    const VERSION: &CStr =
        match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
            Ok(version) => version,
            Err(_) => c"",
        };
    VERSION.as_ptr()
}

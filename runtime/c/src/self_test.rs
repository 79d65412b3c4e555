//! Self-tests: whether a device computes a bundle right.

use std::cell::RefCell;
use std::ffi::{CString, c_char};

use crate::call::{call, shared};
use crate::objects::{CBundle, CDevice};
use crate::options::{LoadOptions, load_options};
use crate::status::{Failure, Status};

thread_local! {
    static REPORT: RefCell<CString> = RefCell::default();
}

/// Runs the self-test of what drift_session_load takes with the same options, which may be NULL. `right` gets whether all
/// samples are right, and `report`, which may be NULL, a report in JSON for the user to send: device, driver, shader and
/// difference. It is valid until the next self-test of this thread. A bundle without self-tests is DRIFT_UNSUPPORTED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drift_device_self_test(
    device: *const CDevice,
    bundle: *const CBundle,
    options: *const LoadOptions,
    right: *mut bool,
    report: *mut *const c_char,
) -> Status {
    // SAFETY: the caller keeps to the header.
    call(|| unsafe {
        if right.is_null() {
            return Err(Failure::argument("`right` is null"));
        }
        right.write(false);
        if !report.is_null() {
            report.write(std::ptr::null());
        }
        let (device, bundle) = (shared(device, "device")?, shared(bundle, "bundle")?);
        let found = device.device.self_test_with(&bundle.0, &load_options(options)?)?;
        if !report.is_null() {
            let json = CString::new(found.to_json()).unwrap_or_default();
            REPORT.with(|kept| *kept.borrow_mut() = json);
            report.write(REPORT.with(|kept| kept.borrow().as_ptr()));
        }
        right.write(found.is_right());
        Ok(())
    })
}

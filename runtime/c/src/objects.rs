//! Bundles and devices.

use std::ffi::{CString, c_char};

use drift_runtime::{Bundle, Device, DeviceKind, OpenOptions};

use crate::call::{free, make, needed_text, shared, text};
use crate::status::{Failure, Status};

/// A bundle: what driftc made.
pub struct CBundle(pub(crate) Bundle);

/// A GPU, or another device that replays.
pub struct CDevice {
    pub(crate) device: Device,
    name: CString,
    driver: CString,
    kind: CString,
}

impl CDevice {
    pub(crate) fn new(device: Device) -> Self {
        let info = device.info();
        let text = |words: &str| CString::new(words.replace('\0', "")).unwrap_or_default();
        let (name, driver) = (text(&info.name), text(&info.driver));
        let kind = text(info.kind.target().name());
        Self { device, name, driver, kind }
    }
}

/// Opens a bundle file and checks it; weights are read when it is loaded.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drift_bundle_open(path: *const c_char, out: *mut *mut CBundle) -> Status {
    // SAFETY: the caller keeps to the header.
    unsafe {
        make(out, || {
            let bundle = Bundle::open(needed_text(path, "path")?);
            Ok(CBundle(bundle.map_err(drift_runtime::RuntimeError::from)?))
        })
    }
}

/// Opens a bundle that is in memory, as a resource of the app for instance, without copying it. The memory must stay as it
/// is until the bundle is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drift_bundle_from_memory(
    data: *const u8,
    bytes: usize,
    out: *mut *mut CBundle,
) -> Status {
    // SAFETY: the caller keeps to the header: the memory outlives the bundle, and sessions keep nothing of it.
    unsafe {
        make(out, || {
            if data.is_null() {
                return Err(Failure::argument("`data` is null"));
            }
            if isize::try_from(bytes).is_err() {
                return Err(Failure::argument(format!("{bytes} bytes are more than memory has")));
            }
            let bundle = Bundle::from_static(std::slice::from_raw_parts(data, bytes));
            Ok(CBundle(bundle.map_err(drift_runtime::RuntimeError::from)?))
        })
    }
}

/// Frees a bundle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drift_bundle_free(bundle: *mut CBundle) {
    // SAFETY: the caller keeps to the header.
    unsafe { free(bundle) }
}

/// Opens a device of a kind: "vulkan", "opencl", ... `device` is its number among those or a part of its name that is no number,
/// as `driftc devices` prints them, or NULL for the best.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drift_device_open(
    kind: *const c_char,
    device: *const c_char,
    out: *mut *mut CDevice,
) -> Status {
    // SAFETY: the caller keeps to the header.
    unsafe {
        make(out, || {
            let wanted = needed_text(kind, "kind")?;
            let kinds = || DeviceKind::ALL.into_iter();
            let kind = kinds().find(|kind| kind.target().name() == wanted).ok_or_else(|| {
                let all: Vec<&str> = kinds().map(|kind| kind.target().name()).collect();
                Failure::argument(format!(
                    "no kind of device is called `{wanted}`; there are: {}",
                    all.join(", ")
                ))
            })?;
            let device = text(device, "device")?.map(str::to_owned);
            Ok(CDevice::new(Device::open_with(kind, &OpenOptions { device, ..OpenOptions::default() })?))
        })
    }
}

/// Opens the best device that replays the bundle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drift_device_open_for(bundle: *const CBundle, out: *mut *mut CDevice) -> Status {
    // SAFETY: the caller keeps to the header.
    unsafe {
        make(out, || {
            let bundle = shared(bundle, "bundle")?;
            Ok(CDevice::new(Device::open_any(&bundle.0, &OpenOptions::default())?))
        })
    }
}

/// The driver's name for the device, or NULL for NULL. Valid until the device is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drift_device_name(device: *const CDevice) -> *const c_char {
    // SAFETY: the caller keeps to the header.
    unsafe { device.as_ref() }.map_or(std::ptr::null(), |device| device.name.as_ptr())
}

/// Driver and its version, or NULL for NULL. Valid until the device is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drift_device_driver(device: *const CDevice) -> *const c_char {
    // SAFETY: the caller keeps to the header.
    unsafe { device.as_ref() }.map_or(std::ptr::null(), |device| device.driver.as_ptr())
}

/// Its kind, as drift_device_open takes it, or NULL for NULL. Valid until the device is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drift_device_kind(device: *const CDevice) -> *const c_char {
    // SAFETY: the caller keeps to the header.
    unsafe { device.as_ref() }.map_or(std::ptr::null(), |device| device.kind.as_ptr())
}

/// Frees a device. Sessions that were loaded on it keep it open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drift_device_free(device: *mut CDevice) {
    // SAFETY: the caller keeps to the header.
    unsafe { free(device) }
}

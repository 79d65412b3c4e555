//! Replays OpenCL C on OpenCL 1.2 and later, through a library that is found at run time.
//!
//! Commands run in the order in which they are issued, so that barriers are never needed. A kernel takes whole buffers, each with the offset at which its
//! range begins, since ranges are aligned to 256 bytes and some devices want more of a sub-buffer.

mod api;
mod bind;
mod cache;
mod commands;
mod context;
mod handle;
mod info;
mod kernels;
mod memory;
mod own;
#[cfg(test)]
mod tests;
mod texture;

use std::sync::{Arc, Mutex, PoisonError};

use opencl3::device::Device;
use opencl3::platform::get_platforms;
use opencl3::types::cl_int;

use crate::device::select;
use crate::error::RuntimeError;
use crate::info::{DeviceInfo, DeviceKind};
use crate::options::OpenOptions;
use crate::pending::Lost;
use context::Context;
pub(crate) use own::open as open_foreign;
pub use own::{OpenClBuffer, OpenClHandles};

/// All OpenCL devices that can replay, best first.
pub(crate) fn devices() -> Result<Vec<DeviceInfo>, RuntimeError> {
    Ok(enumerate()?.into_iter().map(|(_, info)| info).collect())
}

/// Opens the device that `options` name, or the best.
pub(crate) fn open(options: &OpenOptions) -> Result<Arc<Context>, RuntimeError> {
    let found = enumerate()?;
    let infos: Vec<DeviceInfo> = found.iter().map(|(_, info)| info.clone()).collect();
    let chosen = select(&infos, options.device.as_deref())?;
    let (device, info) =
        found.into_iter().nth(chosen).unwrap_or_else(|| unreachable!("selected among these"));
    Ok(Arc::new(Context::new(&device, info, (options.grace, options.priority))?))
}

fn enumerate() -> Result<Vec<(Device, DeviceInfo)>, RuntimeError> {
    // PoCL shows no device to a second thread while the first one is still setting the platform up.
    static SETTING_UP: Mutex<()> = Mutex::new(());
    let _guard = SETTING_UP.lock().unwrap_or_else(PoisonError::into_inner);
    let no_driver = |reason: String| RuntimeError::NoDriver { kind: DeviceKind::OpenCl, reason };
    let platforms = get_platforms().map_err(|error| no_driver(error.to_string()))?;
    let mut found = Vec::new();
    for platform in platforms {
        // A platform without devices says so with an error.
        let ids = platform.get_devices(opencl3::device::CL_DEVICE_TYPE_ALL).unwrap_or_default();
        for device in ids.into_iter().map(Device::new) {
            if let Some(info) = info::read(&platform, &device) {
                found.push((device, info));
            }
        }
    }
    if found.is_empty() {
        return Err(no_driver("no platform has a device of OpenCL 1.2".to_owned()));
    }
    found.sort_by_key(|(_, info)| info.device_type);
    for (index, (_, info)) in found.iter_mut().enumerate() {
        info.index = index;
    }
    Ok(found)
}

/// Turns an error code into an error that says what was being done.
fn failed(doing: &'static str) -> impl Fn(cl_int) -> RuntimeError {
    use opencl3::error_codes::{
        CL_MEM_OBJECT_ALLOCATION_FAILURE, CL_OUT_OF_HOST_MEMORY, CL_OUT_OF_RESOURCES, error_text,
    };
    move |code| match code {
        CL_MEM_OBJECT_ALLOCATION_FAILURE | CL_OUT_OF_HOST_MEMORY => {
            RuntimeError::OutOfMemory { doing, bytes: None }
        }
        // What drivers say of a kernel that failed, too late to say which.
        CL_OUT_OF_RESOURCES => Lost::ByDriver.error(doing),
        code => RuntimeError::Driver { doing, code: error_text(code).to_owned() },
    }
}

//! Replays Metal's shading language, or what Apple's compiler has made of it, on Apple's platforms.
//!
//! One queue is used. Resources are tracked by Metal from pass to pass; inside of a pass dispatches run side by side but for
//! explicit barriers, where the bundle has them. Committed command buffers hold what they use, so that nothing has to be kept
//! here until work has ended.

mod api;
mod archive;
mod bind;
mod commands;
mod context;
mod handle;
mod info;
mod memory;
mod own;
mod pipelines;
mod queries;
#[cfg(test)]
mod tests;
mod texture;

use std::sync::Arc;

use objc2::rc::{Retained, autoreleasepool};
use objc2::runtime::ProtocolObject;
use objc2_foundation::NSError;
use objc2_metal::{MTLCopyAllDevices, MTLDevice};

use crate::device::select;
use crate::error::RuntimeError;
use crate::info::{DeviceInfo, DeviceKind};
use crate::options::OpenOptions;
use context::Context;
pub(crate) use own::open as open_foreign;
pub use own::{MetalBuffer, MetalHandles};

// Programs that draw nothing find no device without it.
#[cfg(target_os = "macos")]
#[link(name = "CoreGraphics", kind = "framework")]
#[expect(unsafe_code, reason = "names a library and nothing of it")]
unsafe extern "C" {}

/// All Metal devices that can replay, best first.
pub(crate) fn devices() -> Result<Vec<DeviceInfo>, RuntimeError> {
    Ok(enumerate()?.into_iter().map(|(_, info)| info).collect())
}

/// Opens the device that `options` name, or the best. Metal's own validation is asked for by its environment variables, when
/// the process starts.
pub(crate) fn open(options: &OpenOptions) -> Result<Arc<Context>, RuntimeError> {
    let found = enumerate()?;
    let infos: Vec<DeviceInfo> = found.iter().map(|(_, info)| info.clone()).collect();
    let chosen = select(&infos, options.device.as_deref())?;
    let (device, info) =
        found.into_iter().nth(chosen).unwrap_or_else(|| unreachable!("selected among these"));
    Ok(Arc::new(Context::new(device, info, (options.grace, options.priority))?))
}

type RawDevice = Retained<ProtocolObject<dyn MTLDevice>>;

fn enumerate() -> Result<Vec<(RawDevice, DeviceInfo)>, RuntimeError> {
    let mut found: Vec<_> = autoreleasepool(|_| {
        let devices = MTLCopyAllDevices();
        devices.iter().filter_map(|device| info::read(&device).map(|info| (device, info))).collect()
    });
    if found.is_empty() {
        let reason =
            "no device is of the family Apple4 or Mac2, under macOS 12 or iOS 15 or later".to_owned();
        return Err(RuntimeError::NoDriver { kind: DeviceKind::Metal, reason });
    }
    found.sort_by_key(|(_, info)| info.device_type);
    for (index, (_, info)) in found.iter_mut().enumerate() {
        info.index = index;
    }
    Ok(found)
}

/// An error in the system's words.
fn words(error: &NSError) -> String {
    format!("{} ({} {})", error.localizedDescription(), error.domain(), error.code())
}

/// The error for an object that Metal did not make, without a word why.
fn not_made(doing: &'static str, bytes: Option<u64>) -> RuntimeError {
    RuntimeError::OutOfMemory { doing, bytes }
}

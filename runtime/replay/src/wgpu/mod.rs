//! Replays WGSL on WebGPU as wgpu implements it, over the machine's own API.
//!
//! wgpu's core is called directly, since each of its calls returns what went wrong: in the layer above it some failures are
//! panics, a lost device among them. The core checks all that is asked of it, orders commands by what they use, and keeps
//! what submitted commands use until they have ended.

mod api;
mod bind;
mod commands;
mod context;
mod handle;
mod info;
mod layout;
mod memory;
mod pipelines;
mod queries;
#[cfg(test)]
mod tests;
mod texture;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use ::wgpu::wgc::global::Global;
use ::wgpu::wgc::id::AdapterId;
use ::wgpu::wgt::error::{ErrorType, WebGpuError};
use ::wgpu::{Backends, InstanceDescriptor, InstanceFlags};

use crate::backend::{Backend, Checked, Loaded, Together};
use crate::device::select;
use crate::error::RuntimeError;
use crate::info::{DeviceInfo, DeviceKind};
use crate::loader;
use crate::options::{LoadOptions, OpenOptions, Priority};
use crate::pending::Lost;
use crate::validation_log::ValidationLog;
use context::Context;
use handle::Handle;

/// All adapters that can replay, best first.
pub(crate) fn devices() -> Result<Vec<DeviceInfo>, RuntimeError> {
    Ok(enumerate(&core(false))?.into_iter().map(|(_, info)| info).collect())
}

/// Opens the adapter that `options` name, or the best.
pub(crate) fn open(options: &OpenOptions) -> Result<WebGpuDevice, RuntimeError> {
    let core = core(options.validation);
    let found = enumerate(&core)?;
    let infos: Vec<DeviceInfo> = found.iter().map(|(_, info)| info.clone()).collect();
    let chosen = select(&infos, options.device.as_deref())?;
    let (adapter, info) =
        found.into_iter().nth(chosen).unwrap_or_else(|| unreachable!("selected among these"));
    let opened = (options.grace, options.priority);
    let context = Context::new(&core, (&adapter, info), Access::Trusted, options.grace)?;
    let context = Arc::new(context);
    Ok(WebGpuDevice { context, checked: Checked::default(), adapter, core, opened })
}

/// What kernels may access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// They keep to their bindings by themselves.
    Trusted,
    /// They are kept to their bindings, and find zeros in workgroup memory.
    Checked,
}

/// An opened adapter.
pub(crate) struct WebGpuDevice {
    context: Arc<Context>,
    checked: Checked<Context>,
    adapter: Handle<AdapterId>,
    core: Arc<Global>,
    opened: (Duration, Priority),
}

impl Backend for WebGpuDevice {
    fn info(&self) -> &DeviceInfo {
        &self.context.info
    }

    /// What a validation layer says goes to the program's log, in which wgpu does not tell devices apart.
    fn validation_log(&self) -> ValidationLog {
        ValidationLog::default()
    }

    fn priority_ignored(&self) -> Option<&'static str> {
        (self.opened.1 != Priority::Normal).then_some("WebGPU has no priorities")
    }

    fn load(&self, programs: Together<'_>, options: &LoadOptions) -> Result<Vec<Loaded>, RuntimeError> {
        if !options.untrusted {
            return loader::load(&self.context, programs, options);
        }
        let adapter = || (&self.adapter, self.context.info.clone());
        let make = || Context::new(&self.core, adapter(), Access::Checked, self.opened.0);
        loader::load(&self.checked.get(make)?, programs, options)
    }
}

/// Finds the APIs that wgpu runs on.
fn core(validation: bool) -> Arc<Global> {
    let mut descriptor = InstanceDescriptor::new_without_display_handle();
    descriptor.backends = Backends::VULKAN | Backends::METAL | Backends::DX12;
    // Without debug objects a layer prints instead of reporting.
    let layers = InstanceFlags::VALIDATION | InstanceFlags::DEBUG;
    descriptor.flags = if validation { layers } else { InstanceFlags::empty() };
    Arc::new(Global::new("drift-runtime", descriptor, None))
}

fn enumerate(core: &Arc<Global>) -> Result<Vec<(Handle<AdapterId>, DeviceInfo)>, RuntimeError> {
    let adapters = core.enumerate_adapters(Backends::all(), false);
    let mut found: Vec<_> =
        adapters.into_iter().map(|id| (Handle::new(core, id), info::read(core, id))).collect();
    if found.is_empty() {
        let reason = "no API below has an adapter".to_owned();
        return Err(RuntimeError::NoDriver { kind: DeviceKind::WebGpu, reason });
    }
    found.sort_by_key(|(_, info)| info.device_type);
    for (index, (_, info)) in found.iter_mut().enumerate() {
        info.index = index;
    }
    Ok(found)
}

/// Turns an error of the core into one that says what was being done.
fn failed<E: WebGpuError>(doing: &'static str) -> impl Fn(E) -> RuntimeError {
    move |error| match error.webgpu_error_type() {
        ErrorType::OutOfMemory => RuntimeError::OutOfMemory { doing, bytes: None },
        ErrorType::DeviceLost => Lost::ByDriver.error(doing),
        ErrorType::Internal | ErrorType::Validation => RuntimeError::Driver { doing, code: words(&error) },
    }
}

/// An error with its causes, on one line but for what a compiler prints.
fn words(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words.push_str(&format!(": {error}"));
        cause = error.source();
    }
    words
}

/// What was made, unless there is an error beside it: the core gives an id either way.
fn made<I: handle::Id, E: WebGpuError>(
    core: &Arc<Global>,
    (id, error): (I, Option<E>),
    doing: &'static str,
) -> Result<Handle<I>, RuntimeError> {
    let handle = Handle::new(core, id);
    error.map_or(Ok(handle), |error| Err(failed(doing)(error)))
}

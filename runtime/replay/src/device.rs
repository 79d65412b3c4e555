//! Devices as a caller sees them: found, opened, and given bundles to load.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use drift_bundle::Bundle;

use crate::backend::Backend;
use crate::choose;
use crate::error::RuntimeError;
use crate::info::{DeviceInfo, DeviceKind};
use crate::session::{LoadOptions, Session};
use crate::vulkan::{self, ValidationLog};

/// Everything on this machine that can replay, best first. [`RuntimeError::NoDriver`] where there is nothing.
pub fn devices() -> Result<Vec<DeviceInfo>, RuntimeError> {
    vulkan::devices()
}

/// Which device to open, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenOptions {
    /// Index in [`devices`], or a part of a device's name, upper and lower case being the same; the best
    /// where none is named.
    pub device: Option<String>,
    /// Whether to run the API's validation layer, if it is installed. By default where the environment
    /// variable `DRIFT_VALIDATION` is `1`.
    pub validation: bool,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            device: None,
            validation: std::env::var_os("DRIFT_VALIDATION").is_some_and(|value| value == "1"),
        }
    }
}

/// An opened device. Clones share it.
#[derive(Clone)]
pub struct Device {
    backend: Arc<dyn Backend>,
}

impl Device {
    /// Opens the best device of `kind`: discrete before integrated before software.
    pub fn open(kind: DeviceKind) -> Result<Self, RuntimeError> {
        Self::open_with(kind, &OpenOptions::default())
    }

    /// Opens a device of `kind`.
    pub fn open_with(kind: DeviceKind, options: &OpenOptions) -> Result<Self, RuntimeError> {
        let backend: Arc<dyn Backend> = match kind {
            DeviceKind::Vulkan => Arc::new(vulkan::open(options)?),
        };
        Ok(Self { backend })
    }

    /// What it is and can do.
    pub fn info(&self) -> &DeviceInfo {
        self.backend.info()
    }

    /// Messages of the API's validation layer, where [`OpenOptions::validation`] asked for it. The log
    /// outlives the device, so that leaks found while it closes are in it.
    pub fn validation_log(&self) -> ValidationLog {
        self.backend.validation_log()
    }

    /// Loads the bundle's `main` entry, or its first, for this device.
    pub fn load(&self, bundle: &Bundle) -> Result<Session, RuntimeError> {
        self.load_with(bundle, &LoadOptions::default())
    }

    /// Loads an entry of the bundle. The session keeps nothing of the bundle.
    pub fn load_with(&self, bundle: &Bundle, options: &LoadOptions) -> Result<Session, RuntimeError> {
        let start = Instant::now();
        let (entry, variant) = (options.entry.as_deref(), options.variant.as_deref());
        let (program, declined) = choose::choose(bundle, self.info(), entry, variant)?;
        if options.verify_weights {
            bundle.verify_weights()?;
        }
        let loaded = self.backend.load(&program, options)?;
        Ok(Session::new(&program, loaded, declined, start.elapsed()))
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Device").field(self.info()).finish()
    }
}

/// Position in `devices` of the one that `wanted` names, or of the best.
pub(crate) fn select(devices: &[DeviceInfo], wanted: Option<&str>) -> Result<usize, RuntimeError> {
    let Some(wanted) = wanted else { return Ok(0) };
    let by_index = wanted.parse().ok().filter(|index: &usize| *index < devices.len());
    let lower = wanted.to_lowercase();
    by_index
        .or_else(|| devices.iter().position(|device| device.name.to_lowercase().contains(&lower)))
        .ok_or_else(|| RuntimeError::NoSuchDevice {
            wanted: wanted.to_owned(),
            available: devices.iter().map(|device| format!("{} `{}`", device.index, device.name)).collect(),
        })
}

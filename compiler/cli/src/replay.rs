//! Opens devices by what the command line says, and moves tensors in and out of sessions.

use crate::error::CliError;
use crate::host::HostTensor;
use drift_bundle::Bundle;
use drift_bundle::manifest::{IoTensor, Target};
use drift_runtime::{Device, DeviceKind, OpenOptions, RuntimeError, Session};

/// Opens the best device for a target, or the one that `wanted` names.
pub fn open(target: Target, wanted: Option<&str>) -> Result<Device, CliError> {
    // The API's own name asks for its best device.
    let device = wanted.filter(|wanted| *wanted != target.name()).map(str::to_owned);
    Ok(Device::open_with(DeviceKind::of(target), &OpenOptions { device, ..OpenOptions::default() })?)
}

/// Opens a device for `target`, or for the first of the bundle's targets that has a device here, and one that `wanted`
/// names.
pub fn open_for(bundle: &Bundle, target: Option<Target>, wanted: Option<&str>) -> Result<Device, CliError> {
    let first = target.unwrap_or_else(|| target_for(bundle));
    let opened = open(first, wanted);
    let is_elsewhere = matches!(opened, Err(CliError::Runtime(RuntimeError::NoSuchDevice { .. })));
    if target.is_some() || !is_elsewhere {
        return opened;
    }
    let mut others =
        bundle.manifest().entries.iter().map(|entry| entry.target).filter(|other| *other != first);
    others.find_map(|other| open(other, wanted).ok()).map_or(opened, Ok)
}

/// The first of the bundle's targets for which a device is here; else the first that this platform can have a device for,
/// whose error then says what is missing; else the bundle's first.
pub fn target_for(bundle: &Bundle) -> Target {
    let targets = || bundle.manifest().entries.iter().map(|entry| entry.target);
    let found = targets().find(|target| drift_runtime::devices_of(DeviceKind::of(*target)).is_ok());
    let possible = || targets().find(|target| DeviceKind::HERE.contains(&DeviceKind::of(*target)));
    found.or_else(possible).or_else(|| targets().next()).unwrap_or(Target::Vulkan)
}

/// The first target that a device is here for.
pub fn target_here() -> Target {
    let kinds = DeviceKind::HERE.iter();
    let found =
        kinds.copied().find(|kind| drift_runtime::devices_of(*kind).is_ok_and(|devices| !devices.is_empty()));
    found.map_or(Target::Vulkan, DeviceKind::target)
}

/// Writes all inputs in their order, runs once and waits.
pub fn run_on(session: &mut Session, inputs: &[HostTensor]) -> Result<(), CliError> {
    write_all(session, inputs)?;
    Ok(session.run()?)
}

/// Writes all inputs in their order. Data of another type or shape than an input are refused by name.
pub fn write_all(session: &mut Session, inputs: &[HostTensor]) -> Result<(), CliError> {
    for (tensor, data) in session.inputs().to_vec().iter().zip(inputs) {
        session.write_raw(&tensor.name, data.fitted(tensor)?.bytes())?;
    }
    Ok(())
}

/// Reads one output after a run.
pub fn read(session: &mut Session, tensor: &IoTensor) -> Result<HostTensor, CliError> {
    let bytes = session.read_raw(&tensor.name)?;
    HostTensor::new(tensor.element, tensor.shape.clone(), bytes)
        .map_err(|source| CliError::Tensor { name: tensor.name.clone(), source })
}

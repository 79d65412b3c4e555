//! Opens devices by what the command line says, and moves tensors in and out of sessions.

use crate::error::CliError;
use crate::host::HostTensor;
use drift_bundle::Bundle;
use drift_bundle::manifest::{IoTensor, Target};
use drift_runtime::{Device, DeviceKind, OpenOptions, Session};

/// Every kind of device that the runtime has, best first.
const KINDS: &[DeviceKind] = &[DeviceKind::Vulkan];

/// Opens the best device for a target, or the one that `wanted` names.
pub fn open(target: Target, wanted: Option<&str>) -> Result<Device, CliError> {
    let kind = KINDS.iter().find(|kind| kind.target() == target).ok_or_else(|| CliError::NoDeviceFor {
        wanted: target.name(),
        known: KINDS.iter().map(|kind| kind.target().name()).collect(),
    })?;
    // The API's own name asks for its best device.
    let device = wanted.filter(|wanted| *wanted != target.name()).map(str::to_owned);
    Ok(Device::open_with(*kind, &OpenOptions { device, ..OpenOptions::default() })?)
}

/// Opens a device for the first of the bundle's targets that can be replayed here.
pub fn open_for(bundle: &Bundle, wanted: Option<&str>) -> Result<Device, CliError> {
    open(target_for(bundle), wanted)
}

/// The first of the bundle's targets that can be replayed here. A bundle without any is refused with the name of the first
/// that it has.
pub fn target_for(bundle: &Bundle) -> Target {
    let targets = || bundle.manifest().entries.iter().map(|entry| entry.target);
    let replayed = targets().find(|target| KINDS.iter().any(|kind| kind.target() == *target));
    replayed.or_else(|| targets().next()).unwrap_or(Target::Vulkan)
}

/// Writes all inputs in their order, runs once and waits.
pub fn run_on(session: &mut Session, inputs: &[HostTensor]) -> Result<(), CliError> {
    write_all(session, inputs)?;
    Ok(session.run()?)
}

/// Writes all inputs in their order. Data of another type or shape than an input are refused by name.
pub fn write_all(session: &mut Session, inputs: &[HostTensor]) -> Result<(), CliError> {
    for (tensor, data) in session.inputs().to_vec().iter().zip(inputs) {
        data.check_is(tensor)?;
        session.write_raw(&tensor.name, data.bytes())?;
    }
    Ok(())
}

/// Reads one output after a run.
pub fn read(session: &mut Session, tensor: &IoTensor) -> Result<HostTensor, CliError> {
    let bytes = session.read_raw(&tensor.name)?;
    HostTensor::new(tensor.element, tensor.shape.clone(), bytes)
        .map_err(|source| CliError::Tensor { name: tensor.name.clone(), source })
}

//! `driftc devices`: what can replay here, with limits.

use crate::args::DevicesArgs;
use crate::error::CliError;
use crate::units::bytes;
use crate::{Console, Outcome, output};
use drift_runtime::{CooperativeMatrix, DeviceInfo};
use serde::Serialize;
use std::io::Write;

/// Runs `driftc devices`.
pub fn run(args: &DevicesArgs, console: &mut Console<'_>) -> Result<Outcome, CliError> {
    let devices = drift_runtime::devices()?;
    if args.json.is_some() {
        let json = DevicesJson { devices: devices.iter().map(DeviceJson::of).collect() };
        output::write_document(args.json.as_deref(), "devices", &json, console)?;
        return Ok(Outcome::Fine);
    }
    devices.iter().try_for_each(|device| print(device, console.out()))?;
    Ok(Outcome::Fine)
}

/// What `driftc devices --json FILE` writes.
#[derive(Serialize)]
struct DevicesJson {
    devices: Vec<DeviceJson>,
}

/// One device.
#[derive(Serialize)]
struct DeviceJson {
    target: &'static str,
    /// Its number among those of the target, as `--device` takes it.
    index: usize,
    name: String,
    api_version: String,
    driver: String,
    vendor_id: u32,
    device_id: u32,
    /// Whether this kind of device was ever run on hardware by driftc's makers.
    is_tried: bool,
    f16: bool,
    subgroup_size: u32,
    /// `MxNxK A->C`.
    cooperative_matrices: Vec<String>,
    timestamps: bool,
    /// `null` where it is not told.
    memory_bytes: Option<u64>,
    buffer_bytes: u64,
    storage_binding_bytes: u64,
    storage_buffers: u32,
    texture_2d_px: u32,
    workgroup_invocations: u32,
    shared_bytes: u32,
}

impl DeviceJson {
    fn of(device: &DeviceInfo) -> Self {
        let (features, limits) = (&device.features, &device.limits);
        Self {
            target: device.kind.target().name(),
            index: device.index,
            name: device.name.clone(),
            api_version: device.api_version.to_string(),
            driver: device.driver.clone(),
            vendor_id: device.vendor_id,
            device_id: device.device_id,
            is_tried: device.kind.is_tried(),
            f16: features.f16,
            subgroup_size: features.subgroups.size,
            cooperative_matrices: features.cooperative_matrices.iter().map(matrix_text).collect(),
            timestamps: features.timestamps,
            memory_bytes: (limits.memory_bytes != u64::MAX).then_some(limits.memory_bytes),
            buffer_bytes: limits.buffer_bytes,
            storage_binding_bytes: limits.storage_binding_bytes,
            storage_buffers: limits.storage_buffers,
            texture_2d_px: limits.texture_2d_px,
            workgroup_invocations: limits.workgroup_invocations,
            shared_bytes: limits.shared_bytes,
        }
    }
}

fn print(device: &DeviceInfo, out: &mut dyn Write) -> std::io::Result<()> {
    let (features, limits) = (&device.features, &device.limits);
    let yes = |has| if has { "yes" } else { "no" };
    writeln!(out, "{} {}: {}", device.kind.target().name(), device.index, device.name)?;
    writeln!(
        out,
        "  {} {}, {:?}, vendor {:#06x} device {:#06x}",
        device.kind.title(),
        device.api_version,
        device.device_type,
        device.vendor_id,
        device.device_id
    )?;
    writeln!(out, "  driver               {}", device.driver)?;
    if !device.kind.is_tried() {
        writeln!(
            out,
            "  note                 {} was never run on hardware by its makers",
            device.kind.title()
        )?;
    }
    writeln!(out, "  f16                  {}", yes(features.f16))?;
    let subgroups = &features.subgroups;
    let selectable = match subgroups.selectable {
        Some((least, most)) => format!(", {least} to {most} on request"),
        None => String::new(),
    };
    writeln!(
        out,
        "  subgroups            {}, size {}{selectable}",
        yes(subgroups.operations),
        subgroups.size
    )?;
    let matrices: Vec<String> = features.cooperative_matrices.iter().map(matrix_text).collect();
    writeln!(
        out,
        "  cooperative matrices {}",
        if matrices.is_empty() { "none".to_owned() } else { matrices.join(", ") }
    )?;
    writeln!(out, "  timestamps           {}", yes(features.timestamps))?;
    let memory = match limits.memory_bytes {
        u64::MAX => "not told".to_owned(),
        told => bytes(told),
    };
    writeln!(out, "  memory               {memory}")?;
    writeln!(
        out,
        "  buffers              {} each, {} in a binding, {} bindings in a dispatch",
        bytes(limits.buffer_bytes),
        bytes(limits.storage_binding_bytes),
        limits.storage_buffers
    )?;
    writeln!(
        out,
        "  textures             {0} x {0} texels, {1} layers, {2} x {2} x {2} in 3D, {3} texels in an image buffer",
        limits.texture_2d_px, limits.texture_layers, limits.texture_3d_px, limits.image_buffer_texels
    )?;
    writeln!(
        out,
        "  workgroups           {} invocations, {} of shared memory",
        limits.workgroup_invocations,
        bytes(limits.shared_bytes.into())
    )
}

fn matrix_text(matrix: &CooperativeMatrix) -> String {
    let CooperativeMatrix { m, n, k, ab, c } = matrix;
    format!("{m}x{n}x{k} {ab:?}->{c:?}")
}

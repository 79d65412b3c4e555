//! `driftc devices`: what can replay here, with limits.

use crate::args::DevicesArgs;
use crate::error::CliError;
use crate::units::bytes;
use crate::{Console, Outcome};
use drift_runtime::{CooperativeMatrix, DeviceInfo};
use std::io::Write;

/// Runs `driftc devices`.
pub fn run(_: &DevicesArgs, console: &mut Console<'_>) -> Result<Outcome, CliError> {
    for device in drift_runtime::devices()? {
        print(&device, console.out())?;
    }
    Ok(Outcome::Fine)
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

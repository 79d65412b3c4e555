//! `cargo xtask sizes [DEVICE]...`: what the runtime adds to an app, as the stripped size of the smallest one with each device alone.

use crate::{Failure, shell};

/// Devices that are measured here, with the most bytes that each may take.
const DEVICES: [(&str, Option<u64>); 3] =
    [("vulkan", Some(1_000_000)), ("opencl", Some(1_000_000)), ("wgpu", None)];

/// Builds the app with each device that is named, or all, and prints its size.
pub(crate) fn sizes(wanted: &[&str]) -> Result<(), Failure> {
    if let Some(unknown) = wanted.iter().find(|name| DEVICES.iter().all(|(known, _)| known != *name)) {
        let known = DEVICES.map(|(name, _)| name).join(", ");
        return Err(Failure::Usage(format!("no device `{unknown}` is measured here, only: {known}")));
    }
    let mut too_large = Vec::new();
    for (device, most) in DEVICES {
        if !wanted.is_empty() && !wanted.contains(&device) {
            continue;
        }
        let package = ["build", "--profile", "app", "--package", "drift-smallest", "--no-default-features"];
        shell::run("cargo", &[&package[..], &["--features", device]].concat())?;
        let program = shell::target_directory().join("app").join("drift-smallest");
        let found = std::fs::metadata(&program)
            .map_err(|error| Failure::Check(format!("{}: {error}", program.display())))?;
        let bytes = found.len();
        let bar = most.map(|most| format!(", of at most {most}")).unwrap_or_default();
        println!("{device}: {bytes} bytes{bar}");
        if most.is_some_and(|most| bytes > most) {
            too_large.push(device);
        }
    }
    if too_large.is_empty() {
        return Ok(());
    }
    Err(Failure::Check(format!("larger than it may be: {}", too_large.join(", "))))
}

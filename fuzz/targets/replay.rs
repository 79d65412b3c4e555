//! Any bytes as the sections of a bundle with right hashes, loaded and run on this machine's Vulkan device. A driver's
//! crash counts as a find: what it was given had been checked.
#![no_main]

use std::sync::OnceLock;
use std::time::Duration;

use drift_bundle::{Bundle, stub};
use drift_runtime::{Device, DeviceKind, LoadOptions, Session};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    static DEVICE: OnceLock<Option<Device>> = OnceLock::new();
    let mut bytes = bytes.to_vec();
    if stub::reseal(&mut bytes).is_err() {
        return;
    }
    let Ok(bundle) = Bundle::from_bytes(bytes) else { return };
    let Some(device) = DEVICE.get_or_init(|| Device::open(DeviceKind::Vulkan).ok()) else { return };
    let options = LoadOptions { timeout: Duration::from_secs(5), ..LoadOptions::default() };
    let Ok(mut session) = device.load_with(&bundle, &options) else { return };
    // With the largest sizes, then with the smallest.
    if run(&mut session) {
        for dim in session.dims().to_vec() {
            session.set_dim(&dim.free.name, dim.free.least()).expect("a dim may have its least size");
        }
        run(&mut session);
    }
});

fn run(session: &mut Session) -> bool {
    for input in session.inputs().to_vec() {
        let elements = input.elements().unwrap_or(0);
        if elements > 1 << 20 {
            return false;
        }
        let zeros = vec![0; (elements * input.element.size_bytes()) as usize];
        if session.write_raw(&input.name, &zeros).is_err() {
            return false;
        }
    }
    session.run().is_ok()
}

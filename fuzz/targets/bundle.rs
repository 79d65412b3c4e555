//! Any bytes as a bundle: what opens can be read whole.
#![no_main]

use drift_bundle::Bundle;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(bundle) = Bundle::from_bytes(bytes.to_vec()) else { return };
    let manifest = bundle.manifest();
    for shader in &manifest.shaders {
        let _ = bundle.shader_code(shader).len();
    }
    for blob in &manifest.weights {
        let _ = bundle.weight_bytes(blob);
    }
    let _ = bundle.verify_weights();
});

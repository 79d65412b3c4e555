//! Any bytes as a bundle: what opens can be read whole, and is accepted from a stream if its weights are right.
#![no_main]

use drift_bundle::{Bundle, BundleError, StreamReader};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let opened = Bundle::from_bytes(bytes.to_vec());
    let verified = opened.as_ref().is_ok_and(|bundle| bundle.verify_weights().is_ok());
    assert_eq!(streamed(bytes).is_ok(), verified);
    let Ok(bundle) = opened else { return };
    let manifest = bundle.manifest();
    for shader in &manifest.shaders {
        let _ = bundle.shader_code(shader).len();
    }
    for blob in &manifest.weights {
        let _ = bundle.weight_bytes(blob);
    }
});

/// Reads the same bytes as a stream.
fn streamed(bytes: &[u8]) -> Result<(), BundleError> {
    let mut reader = StreamReader::new(u64::MAX);
    for mut piece in bytes.chunks(1000) {
        while reader.take(&mut piece)?.is_some() {}
    }
    reader.finish()
}

//! Any bytes as a model: an imported graph verifies, everything else is a typed error.
#![no_main]

use drift_onnx::{ImportOptions, ModelSource, import};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(source) = ModelSource::from_bytes("fuzz", bytes.to_vec()) else { return };
    if let Ok(imported) = import(&source, &ImportOptions::default()) {
        drift_ir::verify::verify(&imported.graph).expect("an imported graph verifies");
    }
});

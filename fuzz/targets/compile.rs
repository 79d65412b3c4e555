//! Any bytes as a model, through the whole compiler: a bundle that its own reader accepts, or a typed error.
#![no_main]

use drift_bundle::Bundle;
use drift_bundle::manifest::Target;
use drift_compiler::{CompileOptions, ModelIdentity, compile};
use drift_onnx::{ImportOptions, ModelSource, import};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(source) = ModelSource::from_bytes("fuzz", bytes.to_vec()) else { return };
    let Ok(imported) = import(&source, &ImportOptions::default()) else { return };
    let options =
        CompileOptions { targets: Target::ALL.to_vec(), optimize: false, ..CompileOptions::default() };
    let identity = ModelIdentity { name: "fuzz".to_owned(), hash: "0".repeat(64) };
    let Ok(compiled) = compile(imported.graph, identity, &options) else { return };
    let bytes = compiled.bundle.to_bytes().expect("what was compiled can be written");
    Bundle::from_bytes(bytes).expect("what was written can be read");
});

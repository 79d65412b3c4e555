//! Some thousands of mutated models end soon and in little memory; `cargo xtask fuzz` runs more.
#![cfg(test)]

#[path = "../../compiler/onnx/tests/it/memory.rs"]
mod memory;

use drift_tests::model_mutants::{End, Plan, fuzz, models};
use std::path::Path;

#[test]
fn mutants_end_soon_and_in_little_memory() {
    let models =
        models(&Path::new(env!("CARGO_MANIFEST_DIR")).join("models/ops")).expect("the carried models");
    let counts =
        fuzz(models, Plan { numbers: 0..3_000, threads: 2, time: None, keep: None }, memory::measured);
    assert!(counts.bad.is_empty(), "{counts}");
    // Most of what a mutation leaves is still a model.
    assert!(counts.of(End::Program) * 10 > counts.total(), "{counts}");
}

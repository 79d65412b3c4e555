//! `driftc generate` and `driftc bench --llm`: what they say of bundles that are no language models.

use crate::build::{Place, scaled};

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/models/tokenizers/llama");

#[test]
fn a_bundle_without_stages_is_refused_before_a_device_is_opened() {
    let place = Place::new();
    place.file("model.onnx", scaled().bytes());
    place.fine("model.onnx --target vulkan -o model.drift");
    let words = ["no entry `prefill`", "its entries: main"];
    // No device has that name, so that it would be missed first.
    let nowhere = "--device nowhere";
    place.fails(&format!("generate model.drift --model-dir {MODEL} --prompt x {nowhere}"), 2, &words);
    place.fails(&format!("generate model.drift --model-dir {MODEL} --chat {nowhere}"), 2, &words);
    place.fails(&format!("bench model.drift --llm -p 8 -n 2 {nowhere}"), 2, &words);
    place.fails("bench model.onnx --llm", 2, &["--llm needs a bundle"]);
    place.fails("bench model.drift --llm --precision f16", 2, &["a compile flag needs a model"]);
    place.fails("generate model.onnx --model-dir . --prompt x", 2, &["cannot use the bundle"]);
    assert_eq!(place.names("."), ["model.drift", "model.onnx"]);
}

#[test]
fn flags_of_sampling_say_what_they_may_be() {
    let place = Place::new();
    let fails = |flags: &str, words: &str| {
        place.fails(&format!("generate m.drift --model-dir . --prompt x {flags}"), 2, &[words]);
    };
    fails("--top-p 0", "it must be above 0 and at most 1");
    fails("--temperature nan", "it must not be negative");
    fails("--min-p 2", "it must be from 0 to 1");
    fails("--repetition-penalty 0", "it must be from 0.01 to 100");
    fails("--system y", "cannot be used with");
}

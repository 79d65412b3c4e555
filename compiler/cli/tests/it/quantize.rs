//! `--weights q8`, `q4` and `844`.

use crate::build::{Place, told};
use std::fs;
use std::path::{Path, PathBuf};

/// A model of the tests, as it is carried.
fn carried(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/models").join(name)
}

/// A decoder step: ten matrices of 4,096 elements or more beside that of the logits.
#[test]
fn weights_are_quantized_and_reported_but_for_those_that_are_kept() {
    let place = Place::new();
    let folder = carried("tiny_llama_torch_dynamo18_static_decode");
    let model = folder.join("model.onnx");
    let (model, folder) = (model.display(), folder.display());
    let size = |name: &str| fs::metadata(place.path(name)).unwrap().len();
    place.fine(&format!("{model} --target vulkan --profile generic -o float.drift"));
    let mut stored = Vec::new();
    for (form, most, rtol) in [("q8", 0.02, "0.1"), ("q4", 0.2, "1")] {
        let flags = format!("--weights {form} --keep m.lm_head.weight --profile generic --target vulkan");
        let done = told(&place.fine(&format!("{model} {flags} --json report.json -o {form}.drift")));
        let report: serde_json::Value =
            serde_json::from_slice(&fs::read(place.path("report.json")).unwrap()).unwrap();
        let weights = report["quantized"].as_array().unwrap();
        assert_eq!(weights.len(), 10, "{weights:?}");
        for weight in weights {
            let (name, error) =
                (weight["name"].as_str().unwrap(), weight["relative_error"].as_f64().unwrap());
            assert!(error > 0.0 && error < most && weight["form"] == form, "{weight}");
            assert!(name != "m.lm_head.weight" && done.contains(&format!("{name}: {form}, ")), "{done}");
        }
        assert!(size(&format!("{form}.drift")) < size("float.drift"));
        stored.push(weights.iter().filter_map(|weight| weight["bytes"].as_u64()).sum::<u64>());
        // The numbers are those of other weights, near the model's.
        place.fine(&format!("verify {form}.drift --data {folder} --rtol {rtol} --atol {rtol}"));
    }
    assert!(stored[1] * 100 < stored[0] * 56, "{stored:?}");

    // Eight bits for queries and outputs of two layers' attention (keys and values are small), four for the rest.
    place.fine(&format!(
        "{model} --weights 844 --profile generic --target vulkan --json report.json -o 844.drift"
    ));
    let report: serde_json::Value =
        serde_json::from_slice(&fs::read(place.path("report.json")).unwrap()).unwrap();
    let forms: Vec<&str> =
        report["quantized"].as_array().unwrap().iter().filter_map(|weight| weight["form"].as_str()).collect();
    let count = |form: &str| forms.iter().filter(|own| **own == form).count();
    assert_eq!((count("q8"), count("q4"), forms.len()), (4, 7, 11), "{forms:?}");
    place.fine(&format!("verify 844.drift --data {folder} --rtol 1 --atol 1"));
    place.fails(
        &format!("{model} --target vulkan --weights q4 --keep none -o x.drift"),
        2,
        &["--keep names `none`"],
    );
    place.fails(
        &format!("{model} --target vulkan --keep none -o x.drift"),
        2,
        &["--weights q8 or q4 or 844"],
    );
    assert!(!place.path("x.drift").exists());
}

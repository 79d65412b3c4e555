//! `--precision mixed`, `--budget` and `--calibrate`.

use crate::build::{FLOAT, Model, Place, told};
use std::fs;

/// `log((x * x)^2)`: tiny for inputs around a thousandth.
fn model(place: &Place) {
    let model = Model::new().input("x", FLOAT, &["4", "8"]).node("Mul", &["x", "x"], "a");
    let model =
        model.node("Identity", &["a"], "b").node("Softmax", &["b"], "s").node("Mul", &["a", "a"], "c");
    place.file("model.onnx", model.node("Log", &["c"], "y").output("y").output("s").bytes());
}

#[test]
fn what_stays_f32_is_told_and_recorded() {
    let place = Place::new();
    model(&place);
    let compile = "model.onnx --target vulkan --profile generic --precision mixed";
    let done = told(&place.fine(&format!("{compile} --budget 1e-5 --json report.json -o a.drift")));
    let report: serde_json::Value =
        serde_json::from_slice(&fs::read(place.path("report.json")).unwrap()).unwrap();
    let mixed = &report["mixed"][0];
    assert!(mixed["entry"] == "main" && mixed["calibration"] == "seeded", "{mixed}");
    assert!(mixed["error"].as_f64().unwrap() <= 5e-5, "{mixed}");
    let kept = mixed["kept"].as_array().unwrap();
    assert!(
        !kept.is_empty() && done.contains(&format!("f32 {} of", kept[0]["value"].as_str().unwrap())),
        "{done}"
    );
    place.fine(&format!("{compile} --budget 1e-5 -o b.drift"));
    assert_eq!(fs::read(place.path("a.drift")).unwrap(), fs::read(place.path("b.drift")).unwrap());
    let inside = told(&place.fine("inspect a.drift"));
    assert!(inside.contains("--precision mixed") && inside.contains("--budget 1e-5"), "{inside}");
    let explained = told(&place.fine("explain model.onnx --target vulkan --precision mixed --budget 1e-5"));
    assert!(explained.contains("precision") && explained.contains("stay f32"), "{explained}");
}

#[test]
fn flags_of_mixed_precision_need_it() {
    let place = Place::new();
    model(&place);
    let compile = "model.onnx --target vulkan -o x.drift";
    place.fails(&format!("{compile} --budget 1e-3"), 2, &["--budget needs --precision mixed"]);
    place.fails(&format!("{compile} --precision f16 --calibrate seeded"), 2, &["--calibrate needs"]);
    place.fails(&format!("{compile} --precision mixed --budget 0"), 2, &["above 0"]);
    fs::create_dir(place.path("empty")).unwrap();
    place.fails(&format!("{compile} --precision mixed --calibrate empty"), 2, &["no .npy file", "`x`"]);
    place.fails(&format!("{compile} --precision mixed --calibrate nowhere"), 2, &["nowhere"]);
}

//! `driftc reduce`.

use crate::build::{FLOAT, Model, Place, told};
use drift_onnx::ModelSource;
use std::fs;

/// Ten nodes in a row that are exact, but for what stands at the fifth place.
fn chain(fifth: &str) -> Model {
    let ops = ["Relu", "Neg", "Abs", "Neg", fifth, "Relu", "Neg", "Abs", "Relu", "Abs"];
    let nodes =
        ops.iter().enumerate().fold(Model::new().input("v0", FLOAT, &["n", "16"]), |model, (at, op)| {
            model.node(op, &[&format!("v{at}")], &format!("v{}", at + 1))
        });
    nodes.output("v10")
}

fn ops(place: &Place, file: &str) -> Vec<String> {
    let source = ModelSource::open(place.path(file)).unwrap();
    source.node_labels().unwrap().into_iter().map(|node| node.op).collect()
}

const EXACTLY: &str = "--target vulkan --rtol 0 --atol 0";

#[test]
fn one_node_is_left_of_wrong_numbers() {
    let place = Place::new();
    place.file("model.onnx", chain("Exp").bytes());
    // No processor computes an exponential exactly.
    place.fails(&format!("verify model.onnx {EXACTLY} --dim n=8"), 1, &["FAIL"]);
    let done = told(
        &place.fine(&format!("reduce model.onnx {EXACTLY} --dim n=8 -o small/model.onnx --json r.json")),
    );
    assert!(done.contains("1 of 10 are left") && done.contains("wrong elements"), "{done}");
    assert_eq!(ops(&place, "small/model.onnx"), ["Exp"]);
    // It fails, with the data beside it, of which there are as few as show it.
    place.fails(&format!("verify small {EXACTLY}"), 1, &["FAIL small/v5"]);
    place.fine("verify small --target vulkan");
    let report: serde_json::Value = serde_json::from_slice(&fs::read(place.path("r.json")).unwrap()).unwrap();
    assert_eq!((&report["nodes_before"], &report["nodes_after"]), (&10.into(), &1.into()));
    assert_eq!((&report["failure"], &report["is_complete"]), (&"numbers".into(), &true.into()));
    let input = fs::metadata(place.path("small/test_data_set_0/input_0.pb")).unwrap().len();
    assert!(input < 8 * 16 * 4, "{input}");
}

#[test]
fn one_node_is_left_of_what_is_refused() {
    let place = Place::new();
    place.file("model.onnx", chain("NoSuchOp").bytes());
    let done = told(&place.fine("reduce model.onnx --target vulkan -o small/model.onnx"));
    assert!(done.contains("1 of 10 are left") && done.contains("NoSuchOp: the operator"), "{done}");
    assert_eq!(ops(&place, "small/model.onnx"), ["NoSuchOp"]);
    place.fails("small/model.onnx --target vulkan", 2, &["NoSuchOp"]);
    assert_eq!(place.names("small/test_data_set_0"), ["input_0.pb"]);
}

#[test]
fn what_cannot_be_reduced_says_why() {
    let place = Place::new();
    place.file("model.onnx", chain("Exp").bytes());
    place.fails("reduce model.onnx --target vulkan -o small/model.onnx", 2, &["does not fail"]);
    assert!(!place.path("small").exists());
    place.file("test_data_set_0/input_0.pb", b"");
    place.fails("reduce model.onnx --target vulkan -o small.onnx", 2, &["is there already"]);
    place.fails("reduce model.onnx --target vulkan -o model.onnx", 2, &["would write over the model"]);
    place.file(
        "sized.onnx",
        Model::new().input("x", FLOAT, &["2", "n"]).node("Exp", &["x"], "y").output("y").bytes(),
    );
    place.fails("reduce sized.onnx --target vulkan -o s/small.onnx", 2, &["--dim n=N"]);
}

//! Cut points: `--inputs` and `--outputs`.

use crate::build::{FLOAT, Model, Place, floats, told};
use std::fs;

const STRING: i32 = 8;

/// Pre- and post-processing of a domain that nobody knows around `c = -relu(pixels) * 2`.
fn pipeline() -> Model {
    Model::new()
        .input("text", STRING, &["1"])
        .node("DecodeText", &["text"], "pixels")
        .node("Relu", &["pixels"], "a")
        .node("Neg", &["a"], "b")
        .node("Add", &["b", "b"], "c")
        .node("DrawText", &["c"], "picture")
        .output("picture")
}

const CUT: &str = "--inputs pixels=f32[n,2] --outputs c";

#[test]
fn every_command_takes_a_part_of_a_model() {
    let place = Place::new();
    place.file("model.onnx", pipeline().bytes());
    place.fails("model.onnx --target vulkan", 2, &["text"]);
    place.fine(&format!("model.onnx --target vulkan {CUT} --dim n=3 -o part.drift"));
    let inspected = told(&place.fine("inspect part.drift"));
    for words in ["in   pixels: f32 [3, 2]", "out  c: f32 [3, 2]", "--inputs pixels=f32[n,2]", "--outputs c"]
    {
        assert!(inspected.contains(words), "{words}: {inspected}");
    }
    let verified = told(&place.fine(&format!("verify model.onnx --target vulkan {CUT} --per-node")));
    assert!(verified.contains("PASS model.onnx/c "), "{verified}");
    place.fine(&format!("bench model.onnx --target vulkan {CUT} --iterations 1"));
    place.fine(&format!("explain model.onnx --target vulkan {CUT}"));
    let ran = told(&place.fine(&format!("run model.onnx --target vulkan {CUT} --dim n=1")));
    assert!(ran.contains("c: f32 [1, 2]"), "{ran}");
    let looked = told(&place.fine(&format!("inspect model.onnx {CUT} --dim n=1")));
    assert!(looked.contains("supported all nodes are read") && looked.contains("nodes     3"), "{looked}");
    place.fails(&format!("run part.drift {CUT}"), 2, &["compiled already"]);
}

/// `y = relu(x * s)` by way of `a`.
fn inner() -> Model {
    Model::new()
        .input("x", FLOAT, &["n", "4"])
        .input("s", FLOAT, &["1"])
        .node("Mul", &["x", "s"], "a")
        .node("Relu", &["a"], "y")
        .output("y")
}

#[test]
fn wrong_cuts_say_what_to_do() {
    let place = Place::new();
    place.file("model.onnx", inner().bytes());
    let fails = |flags: &str, parts: &[&str]| {
        place.fails(&format!("model.onnx --target vulkan {flags}"), 2, parts);
    };
    fails("--inputs aa", &["no value `aa`", "did you mean `a`?"]);
    fails("--inputs s", &["output `y` depends on `x`", "`y` <- `a` <- `x`", "add it"]);
    fails("--inputs a,x,s", &["`x` is not needed"]);
    fails("--inputs a,a", &["`a` is given twice"]);
    fails("--inputs a=f3[1]", &["`f3` is no type"]);
    place.file("other.onnx", pipeline().bytes());
    place.fails(
        "other.onnx --target vulkan --inputs a",
        2,
        &["the shape of `a` is not known", "--inputs a=f32["],
    );
    let two = "a=model.onnx b=model.onnx --target vulkan -o two.drift --outputs y";
    place.fails(two, 2, &["cut one model"]);
    place.fine("model.onnx --target vulkan --entry one:n=2 --outputs a -o one.drift");
}

#[test]
fn sizes_of_what_is_outside_serve() {
    let place = Place::new();
    place.file("model.onnx", inner().bytes());
    place.fine("model.onnx --target vulkan --inputs a --dim n=5 -o part.drift");
    assert!(told(&place.fine("inspect part.drift")).contains("in   a: f32 [5, 4]"));
    place.fails("model.onnx --target vulkan --inputs a --dim m=5", 2, &["no free dimension `m`"]);
}

#[test]
fn data_of_the_whole_serve_where_they_fit() {
    let place = Place::new();
    place.file("m/model.onnx", inner().bytes());
    let x = [1.0, -2.0, 3.0, -4.0];
    place.array("m/test_data_set_0/input_0.npy", &floats(&[1, 4], x));
    place.array("m/test_data_set_0/input_1.npy", &floats(&[1], [2.0]));
    place.array("m/test_data_set_0/output_0.npy", &floats(&[1, 4], [2.0, 0.0, 6.0, 0.0]));
    // All inputs are there; the stored output is none of the part's.
    let done = told(&place.fine("verify m --target vulkan --outputs a"));
    assert!(done.contains("PASS m/a ") && !done.contains("random"), "{done}");
    place.fine("verify m --target vulkan --inputs s,x --outputs y");
    // An inner value is not.
    let done = told(&place.fine("verify m --target vulkan --inputs a"));
    assert!(done.contains("has no data for `a`: seeded random"), "{done}");
    // By its own name it is, and then what is stored is expected.
    let a = drift_onnx::write_tensor_pb("a", &floats(&[1, 4], [9.0, -9.0, 9.0, -9.0]).to_ir().unwrap());
    place.file("part/input_0.pb", a);
    place.array("part/output_0.npy", &floats(&[1, 4], [9.0, 0.0, 9.0, 1.0]));
    place.fails(
        "verify m/model.onnx --data part --target vulkan --inputs a",
        1,
        &["element 3 is 0, expected 1"],
    );
    assert!(fs::exists(place.path("m/test_data_set_0/input_0.npy")).unwrap());
}

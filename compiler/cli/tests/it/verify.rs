//! What `verify` takes, and how it ends.

use crate::build::{BOOL, FLOAT, INT64, Model, Place, floats, scaled, scaled_data, told};
use drift_bundle::manifest::HostElement;
use driftc::host::HostTensor;
use std::fs;

fn json(place: &Place, name: &str) -> serde_json::Value {
    serde_json::from_slice(&fs::read(place.path(name)).unwrap()).unwrap()
}

/// A model with data beside it.
fn place(extension: &str) -> Place {
    let place = Place::new();
    place.file("model/model.onnx", scaled().bytes());
    scaled_data(&place, "model/test_data_set_0", extension);
    place
}

#[test]
fn data_are_read_from_both_kinds_of_files() {
    for extension in ["pb", "npy"] {
        let place = place(extension);
        let done = told(&place.fine("verify model --target vulkan --json report.json"));
        assert!(done.contains("PASS model/y max_abs=0.000e0 max_rel=0.000e0\n"), "{done}");
        assert!(done.contains("1 passed, 0 failed, 0 unsupported\n"), "{done}");
        let model = &json(&place, "report.json")["models"][0];
        assert!(model["variant"].is_string() && model["device"].is_string(), "{model}");
        let errors = &model["outputs"][0]["errors"];
        assert_eq!(
            (&errors["elements"], &errors["equal"], &errors["p99_abs"]),
            (&48.into(), &48.into(), &0.0.into())
        );
        let done = told(&place.fine("verify model --target vulkan --statistics"));
        assert!(
            done.contains("  mean 0.0e0, rms 0.0e0, p50 0.0e0") && done.contains("of 48 elements 48 equal\n"),
            "{done}"
        );
    }
}

#[test]
fn a_bundle_is_verified_as_it_ships() {
    let place = place("npy");
    place.fine("model/model.onnx --target vulkan -o ship.drift");
    place.fine("verify ship.drift --data model");
    place.fine("verify ship.drift --data model/test_data_set_0 --target vulkan --json report.json");
    let model = &json(&place, "report.json")["models"][0];
    assert_eq!((&model["status"], &model["name"]), (&"PASS".into(), &"ship.drift".into()));
    assert!(model["variant"].is_string(), "{model}");
    fs::copy(place.path("ship.drift"), place.path("model/ship.drift")).unwrap();
    place.fine("verify model/ship.drift model --target vulkan");

    // Another number than the stored one.
    place.array("model/test_data_set_0/output_0.npy", &floats(&[1, 3, 4, 4], vec![-1.0; 48]));
    place.fails(
        "verify ship.drift --data model",
        1,
        &["FAIL ship.drift/y", "wrong=48: element 0 is 0, expected -1"],
    );

    place.fails("verify ship.drift", 2, &["--data DIR"]);
    place.fails("verify ship.drift model --data model --target vulkan", 2, &["one model or bundle"]);
    place.fails("verify ship.drift --data model --precision f16", 2, &["compiled already"]);
    place.fails("verify ship.drift --data model --per-node", 2, &["--per-node"]);
    place.fails("verify ship.drift --data model --entry none", 2, &["none"]);
    place.fails("verify model --target vulkan --entry main", 2, &["--entry"]);
    place.fails("verify model", 2, &["--target"]);
}

#[test]
fn special_values_must_be_the_same_ones() {
    let place = Place::new();
    place.file(
        "m/model.onnx",
        Model::new().input("x", FLOAT, &["4"]).node("Neg", &["x"], "y").output("y").bytes(),
    );
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    place.array("m/test_data_set_0/input_0.npy", &floats(&[4], [nan, inf, -inf, 1.0]));
    let expect = |values: [f32; 4]| {
        place.array("m/test_data_set_0/output_0.npy", &floats(&[4], values));
    };
    expect([nan, -inf, inf, -1.0]);
    place.fine("verify m --target vulkan");
    for (wrong, words) in [
        ([0.0, -inf, inf, -1.0], "a NaN where a number is expected"),
        ([nan, f32::MIN, inf, -1.0], "an infinity where a number is expected"),
        ([nan, inf, inf, -1.0], "the other infinity"),
        ([nan, -inf, inf, nan], "a number where a NaN is expected"),
    ] {
        expect(wrong);
        place.fails("verify m --target vulkan", 1, &["FAIL m/y", words]);
    }
}

#[test]
fn what_is_unsupported_fails_where_asked() {
    let place = place("pb");
    let odd = Model::new().input("x", FLOAT, &["4"]).node("NoSuchOp", &["x"], "y").output("y");
    place.file("odd/model.onnx", odd.bytes());
    let done = told(&place.fine("verify odd --target vulkan"));
    assert!(done.contains("UNSUPPORTED odd") && done.contains("NoSuchOp"), "{done}");
    assert!(done.contains("0 passed, 0 failed, 1 unsupported: nothing was verified\n"), "{done}");
    assert!(done.contains("--strict") && !done.contains("FAIL"), "{done}");
    place.fails("verify odd --target vulkan --strict", 1, &["nothing was verified"]);
    place.fine("verify odd model --target vulkan");
    place.fails("verify odd model --target vulkan --strict", 1, &["1 passed, 0 failed, 1 unsupported\n"]);
    place.fine("verify model --target vulkan --strict");
}

#[test]
fn sizes_and_constants_must_agree_with_the_data() {
    let place = place("pb");
    place.fine("verify model --target vulkan --dim batch=1");
    place.fails(
        "verify model --target vulkan --dim batch=2",
        2,
        &["dimension `batch` is 1 in", "--dim batch"],
    );
    place.fine("verify model --target vulkan --bind scale=0.5");
    place.fails(
        "verify model --target vulkan --bind scale=2",
        2,
        &["`scale` cannot be bound", "another value"],
    );
    // Data without the constant.
    fs::remove_file(place.path("model/test_data_set_0/input_1.pb")).unwrap();
    place.fine("verify model --target vulkan --bind scale=0.5");
    place.fails(
        "verify model --target vulkan",
        2,
        &["ERROR model", "holds 1 inputs, the model has 2", "0 failed, 0 unsupported, 1 errors"],
    );
}

/// `y` is `x` reshaped as `shape` says.
fn reshaping() -> Model {
    Model::new()
        .input("x", FLOAT, &["12"])
        .input("shape", INT64, &["2"])
        .node("Reshape", &["x", "shape"], "y")
        .output("y")
}

#[test]
fn a_bound_input_folds_like_an_initializer() {
    let place = Place::new();
    place.file("model.onnx", reshaping().bytes());
    let bytes = [3_i64, 4].iter().flat_map(|value| value.to_le_bytes()).collect();
    place.array("shape.npy", &HostTensor::new(HostElement::I64, vec![2], bytes).unwrap());
    place.fine("model.onnx --target vulkan --bind shape=shape.npy");
    let inspected = told(&place.fine("inspect model.drift"));
    assert!(inspected.contains("out  y: f32 [3, 4]") && !inspected.contains("in   shape"), "{inspected}");
    place.fails("model.onnx --target vulkan --bind shape=3", 2, &["`shape` cannot be bound", ".npy"]);
    place.fails("model.onnx --target vulkan --bind form=3", 2, &["no input `form`", "shape"]);
    let twice = "model.onnx --target vulkan --bind shape=shape.npy --bind shape=shape.npy";
    place.fails(twice, 2, &["`shape` is given twice"]);

    // In one of two entries, and in both.
    place.file("scaled.onnx", scaled().bytes());
    place.fine("a=scaled.onnx b=scaled.onnx --target vulkan -o two.drift --bind scale=2 --bind b.scale=3");
    place.fine("a=scaled.onnx b=scaled.onnx --target vulkan -o two.drift --bind b.scale=3");
    let inspected = told(&place.fine("inspect two.drift"));
    assert_eq!(inspected.matches("in   scale").count(), 1, "{inspected}");
}

#[test]
fn shaders_are_taken_out_as_they_ship() {
    let place = Place::new();
    place.file("model.onnx", scaled().bytes());
    place.fine("model.onnx --target vulkan,metal,webgpu,opencl");
    place.fine("inspect model.drift --shaders out/shaders");
    let files = std::fs::read_dir(place.path("out/shaders")).unwrap();
    let names: Vec<String> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    let looks = [
        ("spv", &b"\x03\x02\x23\x07"[..]),
        ("metal", b"kernel void"),
        ("wgsl", b"@compute"),
        ("cl", b"kernel"),
    ];
    for (extension, part) in looks {
        let name = names.iter().find(|name| name.ends_with(&format!(".{extension}"))).expect(extension);
        let code = std::fs::read(place.path("out/shaders").join(name)).unwrap();
        assert!(code.windows(part.len()).any(|window| window == part), "{name}");
    }
}

#[test]
fn only_a_batch_has_a_default_size() {
    let place = Place::new();
    let model =
        Model::new().input("image", FLOAT, &["n", "3", "h", "w"]).node("Relu", &["image"], "y").output("y");
    place.file("model.onnx", model.bytes());
    let places = ["`h` (axis 2 of `image`)", "`w` (axis 3 of `image`)", "--dim h=N --dim w=N"];
    place.fails("model.onnx --target vulkan --json report.json", 2, &places);
    assert!(json(&place, "report.json")["error"][1].as_str().unwrap().contains("axis 2 of `image`"));
    for command in
        ["explain model.onnx --target vulkan", "bench model.onnx", "verify model.onnx --target vulkan"]
    {
        place.fails(command, 2, &places);
    }
    let done = told(&place.fine("model.onnx --target vulkan --dim h=4 --dim w=6"));
    assert!(done.contains("note: the free dimension `n` becomes 1"), "{done}");
    assert_eq!(place.names(""), ["model.drift", "model.onnx", "report.json"]);
    // A condition that is an input.
    let flag = Model::new().input("c", BOOL, &[]).node("Not", &["c"], "y").output("y");
    place.file("flag.onnx", flag.bytes());
    place.fails("flag.onnx --target vulkan --bind c=maybe", 2, &["`maybe` is no value of type bool"]);
}

/// A node that nobody reads may have a size that data decide, and one node of a free size may be a shape.
#[test]
fn sizes_that_data_or_the_host_decide_are_verified_without_data() {
    let place = Place::new();
    let unread = Model::new()
        .input("x", FLOAT, &["3", "5"])
        .node("NonZero", &["x"], "unread")
        .node("Relu", &["x"], "y")
        .output("y");
    place.file("unread.onnx", unread.bytes());
    let read = Model::new()
        .input("x", FLOAT, &["3", "5"])
        .node("NonZero", &["x"], "at")
        .node("Neg", &["at"], "unread")
        .node("Shape", &["at"], "shape")
        .output("shape");
    place.file("read.onnx", read.bytes());
    let shape = Model::new()
        .input("x", FLOAT, &["n", "m"])
        .node("Shape", &["x"], "shape")
        .node("Neg", &["x"], "minus")
        .node("Expand", &["minus", "shape"], "z")
        .node("Relu", &["z"], "y")
        .output("y");
    place.file("shape.onnx", shape.bytes());
    let beside = Model::new()
        .input("x", FLOAT, &["1", "n"])
        .input("flags", BOOL, &["1"])
        .node("Transpose", &["x"], "t")
        .node("Size", &["x"], "size")
        .node("NonZero", &["flags"], "at")
        .node("Gather", &["x", "at"], "y")
        .output("y")
        .output("size");
    place.file("beside.onnx", beside.bytes());
    for model in
        ["unread.onnx", "read.onnx", "shape.onnx --dim n=1..7 --dim m=1..5", "beside.onnx --dim n=1..7"]
    {
        for flag in ["", " --per-node"] {
            let done = told(&place.fine(&format!("verify {model} --target vulkan{flag}")));
            assert!(done.contains("1 passed, 0 failed, 0 unsupported\n"), "{model}{flag}: {done}");
        }
    }
}

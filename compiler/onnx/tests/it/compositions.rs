//! Operators that are composed of others: what is refused and how, and what onnxruntime has no kernel for.

use crate::build::{
    Model, float, floats, graph_attribute, int, int64s, ints, model, node, text, value_info, with,
};
use drift_ir::Tensor;
use drift_onnx::{ImportOptions, ModelSource, import};
use onnx_protobuf::{AttributeProto, GraphProto};

fn error_of(model: &Model) -> String {
    let source = ModelSource::from_bytes("test", model.bytes()).unwrap();
    import(&source, &ImportOptions::default()).map(|_| ()).unwrap_err().to_string()
}

/// The first output without inputs, or for one.
fn run(model: &Model, inputs: &[Tensor]) -> Tensor {
    let source = ModelSource::from_bytes("test", model.bytes()).unwrap();
    let graph = import(&source, &ImportOptions::default()).unwrap().graph;
    drift_ir::eval::run(&graph, inputs).unwrap().remove(0)
}

/// `s, x -> s + x, s + x`.
fn body() -> AttributeProto {
    let info = |name| value_info(name, 1, &[]);
    graph_attribute(
        "body",
        GraphProto {
            node: vec![node("Add", &["s", "x"], &["t"]), node("Identity", &["t"], &["u"])],
            input: vec![info("s"), info("x")],
            output: vec![info("t"), info("u")],
            ..GraphProto::default()
        },
    )
}

fn scan(opset: i64, size: &str, attributes: &[AttributeProto]) -> Model {
    let mut scan = with(node("Scan", &["start", "x"], &["last", "all"]), body());
    scan.attribute.extend_from_slice(attributes);
    model(opset).input("start", &["2"]).input("x", &[size, "2"]).node(scan).output("all")
}

#[test]
fn scans_are_refused_by_what_they_ask_for() {
    let one = || int("num_scan_inputs", 1);
    let cases = [
        (scan(8, "3", &[one()]), "the form of operator set 8, with a batch and lengths, is not supported"),
        (scan(11, "n", &[one()]), "the axis that it scans has a free size"),
        (scan(11, "0", &[one()]), "it runs no round"),
        (scan(11, "3", &[int("num_scan_inputs", 3)]), "`num_scan_inputs`"),
        (scan(11, "3", &[one(), ints("scan_input_axes", &[2])]), "axis 2"),
        (scan(11, "3", &[one(), ints("scan_input_directions", &[2])]), "0 (forward) or 1 (backward)"),
        (scan(11, "3", &[one(), ints("scan_output_axes", &[0, 0])]), "1 numbers"),
    ];
    for (model, expected) in cases {
        let error = error_of(&model);
        assert!(error.contains("(Scan)") && error.contains(expected), "{expected}: {error}");
    }
}

#[test]
fn compositions_say_what_they_cannot_do() {
    let over = |shape: &[&str], made| model(26).input("x", shape).node(made).output("y");
    let regions = with(node("RoiAlign", &["x", "r", "i"], &["y"]), int("output_height", 2));
    let pixels =
        with(with(node("GridSample", &["x", "g"], &["y"]), text("mode", "cubic")), int("align_corners", 1));
    let cases = [
        (
            over(&["2", "5000", "1"], node("DFT", &["x"], &["y"])),
            "would need a matrix of 200000000 bytes, beyond 33554432",
        ),
        (over(&["2", "n", "1"], node("DFT", &["x"], &["y"])), "axis 1 of the signal has a free size"),
        (over(&["6", "6"], node("Det", &["x"], &["y"])), "other than 1 to 5 rows"),
        (
            over(&["2"], with(node("BitCast", &["x"], &["y"]), int("to", 6))),
            "the bits of f32 that is data cannot be read as int32",
        ),
        (
            over(&["1", "2", "5", "6"], regions)
                .constant("r", floats(&[1, 4], &[0.0, 0.0, 3.0, 3.0]))
                .constant("i", int64s(&[1], &[0])),
            "`sampling_ratio` 0 lets each region decide",
        ),
        (
            over(&["1", "2", "3", "4", "5"], pixels).constant("g", floats(&[1, 1, 1, 1, 3], &[0.0; 3])),
            "images with 3 spatial axes are not supported in this mode",
        ),
        (over(&["2", "3"], node("TfIdfVectorizer", &["x"], &["y"])), "counting n-grams is not supported"),
        (
            over(&["n"], node("HannWindow", &["s"], &["y"])).constant("s", int64s(&[], &[1 << 40])),
            "bytes of computed constants",
        ),
    ];
    for (model, expected) in cases {
        let error = error_of(&model);
        assert!(error.contains("`y`") && error.contains(expected), "{expected}: {error}");
    }
}

#[test]
fn bits_of_constants_are_those_of_the_other_type() {
    let cast = with(node("BitCast", &["c"], &["y"]), int("to", 6));
    let y =
        run(&model(26).constant("c", floats(&[3], &[1.0, -0.0, f32::INFINITY])).node(cast).output("y"), &[]);
    assert_eq!(y.to_i64_vec(), [0x3f80_0000, i64::from(i32::MIN), 0x7f80_0000]);
}

#[test]
fn a_pixel_beyond_the_image_counts_zero_beside_an_infinity() {
    let sampled = with(node("GridSample", &["x", "g"], &["y"]), int("align_corners", 1));
    let grid = floats(&[1, 1, 3, 2], &[1.0, 2.0, f32::NAN, 0.0, 0.0, 0.0]);
    let model = model(20).input("x", &["1", "1", "2", "2"]).constant("g", grid).node(sampled).output("y");
    let x = Tensor::from_f32([1, 1, 2, 2], &[1.0, 2.0, 3.0, f32::INFINITY]).unwrap();
    let y = run(&model, &[x]).to_f32_vec();
    // Half a pixel below the last row: half of an infinity times what is inside, and no NaN from what is not.
    assert_eq!(y[0], f32::INFINITY);
    assert!(y[1].is_nan() && y[2] == f32::INFINITY, "{y:?}");
}

#[test]
fn linear_attention_adds_outer_products_and_decays() {
    let mut attention = node("LinearAttention", &["q", "k", "v", "", "g"], &["y", "state"]);
    attention.attribute = vec![
        int("q_num_heads", 1),
        int("kv_num_heads", 1),
        text("update_rule", "gated"),
        float("scale", 1.0),
    ];
    let half = 0.5f32.ln();
    let model = model(27)
        .input("q", &["1", "2", "1"])
        .constant("k", floats(&[1, 2, 1], &[2.0, 3.0]))
        .constant("v", floats(&[1, 2, 1], &[5.0, 7.0]))
        .constant("g", floats(&[1, 2, 1], &[half, half]))
        .node(attention)
        .output("y");
    let y = run(&model, &[Tensor::from_f32([1, 2, 1], &[1.0, 10.0]).unwrap()]).to_f32_vec();
    // 2 * 5, then half of it and 3 * 7.
    assert!((y[0] - 10.0).abs() < 1e-5 && (y[1] - 260.0).abs() < 1e-4, "{y:?}");
}

//! Sizes that data decide: what their bounds are, what says how much is meant, and what is refused.

use crate::build::{INT64, Model, int, int64s, model, node, with};
use drift_onnx::{ImportError, ImportOptions, Imported, ModelSource, import};

const BOOL: i32 = 9;

fn imported(model: &Model, bounds: &[(&str, u64)]) -> Result<Imported, ImportError> {
    let mut source = ModelSource::from_bytes("bounds", model.bytes()).unwrap();
    for &(name, places) in bounds {
        source.set_bound(name, places);
    }
    import(&source, &ImportOptions::default())
}

/// The outputs of a model's graph with their types.
fn outputs(model: &Model, bounds: &[(&str, u64)]) -> Vec<String> {
    let graph = imported(model, bounds).unwrap().graph;
    drift_ir::verify::verify(&graph).unwrap();
    let text = |&output: &drift_ir::ValueId| {
        let value = graph.value(output);
        format!("{}: {}", value.name, value.ty.display(&graph.symbols))
    };
    graph.outputs().iter().map(text).collect()
}

/// Expects a refusal with all of `words` in it.
#[track_caller]
fn refused(model: &Model, bounds: &[(&str, u64)], words: &[&str]) {
    let text = imported(model, bounds).map(|_| ()).unwrap_err().to_string();
    assert!(words.iter().all(|word| text.contains(word)), "{}: `{text}`", words.join(", "));
}

/// Rows of `x` of which `flags` says which are meant.
fn rows() -> Model {
    let rows = with(node("Compress", &["x", "flags"], &["rows"]), int("axis", 0));
    model(18).input("x", &["6", "4"]).typed_input("flags", BOOL, &["6"]).node(rows)
}

#[test]
fn outputs_are_followed_by_what_says_how_much_is_meant() {
    let rows = rows().node(node("Relu", &["x"], &["y"])).output("rows").output("y");
    assert_eq!(outputs(&rows, &[]), ["rows: f32[6,4]", "y: f32[6,4]", "rows.count: i64[2]"]);
    let all = ["rows: f32[3,4]", "y: f32[6,4]", "rows.count: i64[2]", "rows.bound: i64[2]"];
    assert_eq!(outputs(&rows, &[("rows", 3)]), all);
    // More than there can be is no more places, and never too few.
    assert_eq!(outputs(&rows, &[("rows", 60)]), ["rows: f32[6,4]", "y: f32[6,4]", "rows.count: i64[2]"]);
}

#[test]
fn a_bound_that_is_too_small_shows_where_no_output_has_the_size() {
    let sum = with(node("ReduceMax", &["rows"], &["most"]), int("keepdims", 0));
    let sum = rows().node(sum).output("most");
    assert_eq!(outputs(&sum, &[]), ["most: f32[]"]);
    assert_eq!(outputs(&sum, &[("rows", 2)]), ["most: f32[]", "rows.bound: i64[2]"]);
    // Without the rows it does not matter how many there are.
    let other = rows().node(node("Relu", &["x"], &["y"])).output("y");
    assert_eq!(outputs(&other, &[("rows", 2)]), ["y: f32[6,4]"]);
}

#[test]
fn bounds_that_nobody_asked_for_are_told_and_those_that_are_needed_asked_for() {
    let found = imported(&rows().output("rows"), &[]).unwrap();
    assert!(found.warnings[0].to_string().contains("--bound rows=N"), "{}", found.warnings[0]);
    assert!(imported(&rows().output("rows"), &[("rows", 6)]).unwrap().warnings.is_empty());
    let range = |model: Model| model.node(node("Range", &["zero", "n", "one"], &["y"])).output("y");
    let range = range(
        model(18)
            .constant("zero", int64s(&[], &[0]))
            .typed_input("n", INT64, &[])
            .constant("one", int64s(&[], &[1])),
    );
    refused(&range, &[], &["`y` (Range)", "--bound y=N"]);
    assert_eq!(outputs(&range, &[("y", 5)]), ["y: i64[5]", "y.count: i64[1]", "y.bound: i64[2]"]);
    refused(&range, &[("y", 1 << 40)], &["--bound", "1099511627776"]);
    refused(&range, &[("y", 5), ("z", 5)], &["`z`", "`y`"]);
    let many = model(18).input("x", &["1000", "1000"]).node(node("NonZero", &["x"], &["y"])).output("y");
    refused(&many, &[], &["1000000", "--bound y=N"]);
}

#[test]
fn names_of_outputs_that_say_how_much_is_meant_are_taken() {
    let taken = rows().node(node("Relu", &["x"], &["rows.count"])).output("rows").output("rows.count");
    refused(&taken, &[], &["`rows.count`", "rename"]);
}

#[test]
fn what_mixes_what_is_meant_with_others_is_refused_by_node_and_axis() {
    let after = |op: &str, inputs: &[&str]| rows().node(node(op, inputs, &["y"])).output("y");
    let turned = rows().node(node("Transpose", &["rows"], &["t"]));
    let list = turned
        .constant("flat", int64s(&[1], &[-1]))
        .node(node("Reshape", &["t", "flat"], &["y"]))
        .output("y");
    refused(&list, &[], &["axis", "reshape", "others between"]);
    // The bound is six rows, but whether six are meant is not known.
    refused(&after("Add", &["rows", "x"]), &[], &["axis 0", "not known"]);
    refused(&after("MatMul", &["x", "rows"]), &[], &["`y` (matmul)", "axis 0", "not known"]);
    let norm = rows().node(node("Transpose", &["rows"], &["t"])).input("scale", &["6"]);
    refused(&norm.node(node("RMSNormalization", &["t", "scale"], &["y"])).output("y"), &[], &["y"]);
    let first = with(with(node("TopK", &["rows", "k"], &["v", "i"]), int("axis", 0)), int("largest", 1));
    let first = rows().constant("k", int64s(&[1], &[2])).node(first).output("v").output("i");
    assert_eq!(outputs(&first, &[])[..2], ["v: f32[2,4]", "i: i64[2,4]"]);
}

#[test]
fn sizes_that_are_asked_for_are_computed_when_the_model_runs() {
    let shape = rows().node(node("Shape", &["rows"], &["shape"])).node(node("Size", &["rows"], &["size"]));
    let shape = shape.output("shape").output("size");
    assert_eq!(outputs(&shape, &[]), ["shape: i64[2]", "size: i64[]"]);
    let numbers = rows()
        .node(node("Shape", &["rows"], &["shape"]))
        .constant("first", int64s(&[], &[0]))
        .node(node("Gather", &["shape", "first"], &["n"]))
        .constant("zero", int64s(&[], &[0]))
        .constant("one", int64s(&[], &[1]))
        .node(node("Range", &["zero", "n", "one"], &["places"]))
        .output("places");
    assert_eq!(outputs(&numbers, &[]), ["places: i64[6]", "places.count: i64[1]"]);
}

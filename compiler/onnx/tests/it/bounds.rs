//! Sizes that data decide: what their bounds are, what says how much is meant, and what is refused.

use crate::build::{FLOAT, INT64, Model, floats, int, int64s, model, node, with};
use drift_ir::Tensor;
use drift_onnx::{DimBinding, ImportError, ImportOptions, Imported, ModelSource, import};

const BOOL: i32 = 9;

fn imported(model: &Model, bounds: &[(&str, u64)]) -> Result<Imported, ImportError> {
    with_dims(model, bounds, &[])
}

fn with_dims(
    model: &Model,
    bounds: &[(&str, u64)],
    dims: &[(&str, DimBinding)],
) -> Result<Imported, ImportError> {
    let mut source = ModelSource::from_bytes("bounds", model.bytes()).unwrap();
    for &(name, places) in bounds {
        source.set_bound(name, places);
    }
    let dims = dims.iter().map(|&(name, binding)| (name.to_owned(), binding)).collect();
    import(&source, &ImportOptions { dims, ..ImportOptions::default() })
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

/// The names of axes are those that messages and outputs have.
#[test]
fn each_axis_of_one_value_has_a_bound_of_its_own() {
    let tiled = model(18)
        .input("x", &["2", "3"])
        .typed_input("repeats", INT64, &["2"])
        .node(node("Tile", &["x", "repeats"], &["y"]))
        .output("y");
    refused(&tiled, &[], &["--bound y=N"]);
    let all = ["y.count: i64[2]", "y.bound: i64[2]", "y.2.bound: i64[2]"];
    let with = |bounds: &[(&str, u64)]| outputs(&tiled, bounds);
    assert_eq!(with(&[("y", 4)]), [&["y: f32[4,4]"][..], &all].concat());
    assert_eq!(with(&[("y", 4), ("y.2", 9)]), [&["y: f32[4,9]"][..], &all].concat());
    refused(&tiled, &[("y.2", 9)], &["--bound y=N"]);
    refused(&tiled, &[("y", 4), ("y.3", 9)], &["`y.3`", "`y`, `y.2`"]);
}

#[test]
fn what_nobody_reads_needs_no_bound_and_no_places() {
    let unread = rows().node(node("Relu", &["x"], &["y"])).output("y");
    let graph = imported(&unread, &[]).unwrap().graph;
    drift_ir::verify::verify(&graph).unwrap();
    assert_eq!(graph.nodes().count(), 1, "only what `y` needs");
}

#[test]
fn numbers_that_onnxruntime_refuses_are_refused_where_they_are_constant() {
    let top_k = rows()
        .constant("k", int64s(&[1], &[-1]))
        .node(with(node("TopK", &["rows", "k"], &["v", "i"]), int("axis", 0)))
        .output("v");
    refused(&top_k, &[], &["`k` is -1", "0 or more"]);
    let tile = model(18)
        .input("x", &["2", "3"])
        .constant("minus", int64s(&[1], &[-1]))
        .typed_input("times", INT64, &["1"])
        .node(with(node("Concat", &["times", "minus"], &["repeats"]), int("axis", 0)))
        .node(node("Tile", &["x", "repeats"], &["y"]))
        .output("y");
    refused(&tile, &[("y", 4)], &["`repeats` is -1", "0 or more"]);
    let range = |element: i32, zero| {
        model(18)
            .typed_input("n", element, &[])
            .constant("delta", zero)
            .node(node("Range", &["n", "n", "delta"], &["y"]))
            .output("y")
    };
    refused(&range(INT64, int64s(&[], &[0])), &[("y", 4)], &["`delta` is 0"]);
    refused(&range(FLOAT, floats(&[], &[0.0])), &[("y", 4)], &["`delta` is 0"]);
}

/// What ONNX Runtime refuses when it runs: a device cannot, and gives nothing.
#[test]
fn numbers_that_onnxruntime_refuses_leave_nothing_where_they_are_data() {
    let count = |model: &Model, bound: &str, inputs: &[Tensor]| {
        let graph = imported(model, &[(bound, 4)]).unwrap().graph;
        let results = drift_ir::eval::run(&graph, inputs).unwrap();
        let named = graph.outputs().iter().map(|&output| graph.value(output).name.as_str());
        let found = named.zip(&results).find(|(name, _)| *name == format!("{bound}.count"));
        found.map(|(_, count)| count.to_i64_vec()).unwrap()
    };
    let numbers = |shape: &[u64], values: &[i64]| Tensor::from_i64(shape, values).unwrap();
    let top_k = model(18)
        .typed_input("x", INT64, &["2", "3"])
        .typed_input("k", INT64, &["1"])
        .node(node("TopK", &["x", "k"], &["v", "i"]))
        .output("v");
    let x = numbers(&[2, 3], &[1, 2, 3, 4, 5, 6]);
    assert_eq!(count(&top_k, "v", &[x.clone(), numbers(&[1], &[2])]), [2, 2]);
    assert_eq!(count(&top_k, "v", &[x.clone(), numbers(&[1], &[-1])]), [2, 0]);
    let tile = model(18)
        .typed_input("x", INT64, &["6"])
        .typed_input("repeats", INT64, &["1"])
        .node(node("Tile", &["x", "repeats"], &["y"]))
        .output("y");
    let x = numbers(&[6], &[1, 2, 3, 4, 5, 6]);
    assert_eq!(count(&tile, "y", &[x.clone(), numbers(&[1], &[2])]), [12]);
    assert_eq!(count(&tile, "y", &[x, numbers(&[1], &[-1])]), [0]);
    let range = model(18)
        .typed_input("a", INT64, &[])
        .typed_input("b", INT64, &[])
        .typed_input("d", INT64, &[])
        .node(node("Range", &["a", "b", "d"], &["y"]))
        .output("y");
    let of = |ends: [i64; 2], delta| {
        count(&range, "y", &[ends[0], ends[1], delta].map(|number| numbers(&[], &[number])))
    };
    assert_eq!(of([2, 9], 3), [3]);
    for ends in [[2, 9], [9, 2], [5, 5], [i32::MIN.into(), i32::MAX.into()]] {
        assert_eq!(of(ends, 0), [0], "{ends:?}");
    }
}

/// The names that say how much is meant are read by name alone, so that a model may not have them for something else.
#[test]
fn outputs_of_the_model_that_would_be_taken_for_counts_are_refused() {
    let own = |name: &str, dims: &[&str]| {
        model(18)
            .input("x", &["6", "4"])
            .typed_input("n", INT64, dims)
            .node(node("Relu", &["x"], &["y"]))
            .node(node("Neg", &["n"], &[name]))
            .output("y")
            .output(name)
    };
    refused(&own("y.count", &["2"]), &[], &["`y.count`", "rename"]);
    refused(&own("y.count", &["n"]), &[], &["`y.count`", "rename"]);
    refused(&own("z.bound", &["2"]), &[], &["`z.bound`", "rename"]);
    for (name, dims) in [("z.count", "2"), ("y.count", "3"), ("y.bound", "3"), ("count", "2"), ("bound", "2")]
    {
        assert!(imported(&own(name, &[dims]), &[]).is_ok(), "{name} of {dims}");
    }
}

#[test]
fn a_free_dim_beside_a_size_that_data_decide_is_a_number_when_the_model_runs() {
    let rows = |model: Model| {
        model
            .typed_input("flags", BOOL, &["6"])
            .node(with(node("Compress", &["x", "flags"], &["rows"]), int("axis", 0)))
            .output("rows")
    };
    let beside = rows(model(18).input("x", &["6", "n"]));
    let wide = [("n", DimBinding::Range(1, 9))];
    let graph = with_dims(&beside, &[], &wide).unwrap().graph;
    drift_ir::verify::verify(&graph).unwrap();
    let flat = rows(model(18).input("x", &["6", "n"]))
        .constant("flat", int64s(&[1], &[-1]))
        .node(node("Reshape", &["rows", "flat"], &["y"]))
        .output("y");
    let text = with_dims(&flat, &[], &wide).map(|_| ()).unwrap_err().to_string();
    assert!(text.contains("--dim n=N"), "{text}");
    assert!(with_dims(&flat, &[], &[("n", DimBinding::Fixed(5))]).is_ok());
    // How many there can be is not known.
    let many = model(18).input("x", &["n", "4"]).node(node("NonZero", &["x"], &["y"])).output("y");
    let text = with_dims(&many, &[("y", 8)], &wide).map(|_| ()).unwrap_err().to_string();
    assert!(text.contains("--dim n=N"), "{text}");
    assert!(with_dims(&many, &[("y", 8)], &[("n", DimBinding::Fixed(5))]).is_ok());
}

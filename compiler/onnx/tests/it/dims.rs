//! Free dimensions: bound, bounded, left open, inferred from data.

use crate::build::{INT64, Model, floats, int, int64s, model, node, with};
use drift_ir::Dim;
use drift_onnx::{DeclaredDim, free_dims};
use drift_onnx::{
    DimBinding, ImportError, ImportOptions, ModelSource, import, infer_dims_from_inputs, inputs, outputs,
};
use std::collections::BTreeMap;

fn source(model: &Model) -> ModelSource {
    ModelSource::from_bytes("dims", model.bytes()).unwrap()
}

fn options(dims: &[(&str, DimBinding)]) -> ImportOptions {
    ImportOptions {
        dims: dims.iter().map(|&(name, binding)| (name.to_owned(), binding)).collect(),
        ..ImportOptions::default()
    }
}

fn flat() -> Model {
    model(13)
        .input("x", &["batch", "length", "'64", ""])
        .constant("s", int64s(&[2], &[0, -1]))
        .node(node("Reshape", &["x", "s"], &["y"]))
        .output("y")
}

#[test]
fn interfaces_are_listed_as_declared() {
    let source = source(&flat());
    let ports = inputs(&source).unwrap();
    let free = |name: &str| DeclaredDim::Free(name.to_owned());
    assert_eq!(ports[0].dims, Some(vec![free("batch"), free("length"), DeclaredDim::Fixed(64), free("x.3")]));
    assert_eq!(free_dims(&ports), ["batch", "length", "x.3"]);
    assert_eq!(
        (outputs(&source).unwrap()[0].name.as_str(), &outputs(&source).unwrap()[0].dims),
        ("y", &None)
    );
}

#[test]
fn bindings_replace_names_and_ranges_become_bounds() {
    let bound = [
        ("batch", DimBinding::Fixed(2)),
        ("length", DimBinding::Range(1, 128)),
        ("x.3", DimBinding::Fixed(3)),
    ];
    let graph = import(&source(&flat()), &options(&bound)).unwrap().graph;
    let input = &graph.value(graph.inputs()[0]).ty;
    assert_eq!((&input.shape[0], &input.shape[2]), (&Dim::Const(2), &Dim::Const(64)));
    let length = input.shape[1].as_symbol().unwrap();
    assert_eq!(graph.symbols.bounds(length), (1, Some(128)));
    let output = &graph.value(graph.outputs()[0]).ty;
    assert_eq!(output.shape, [Dim::Const(2), Dim::symbol(length).mul(&Dim::Const(192)).unwrap()]);
}

#[test]
fn open_dims_have_at_least_one_element() {
    let graph = import(&source(&flat()), &ImportOptions::default()).unwrap().graph;
    let bounds: Vec<_> =
        graph.symbols.iter().map(|(_, symbol)| (symbol.name.as_str(), symbol.low, symbol.high)).collect();
    assert_eq!(bounds, [("batch", 1, None), ("length", 1, None), ("x.3", 1, None)]);
}

#[test]
fn unknown_and_empty_bindings_are_refused() {
    let error = import(&source(&flat()), &options(&[("bach", DimBinding::Fixed(1))])).unwrap_err();
    assert_eq!(error.to_string(), "the model has no free dimension `bach`; it has `batch`, `length`, `x.3`");
    let empty = import(&source(&flat()), &options(&[("batch", DimBinding::Range(3, 2))])).unwrap_err();
    assert!(matches!(empty, ImportError::EmptyRange { low: 3, high: 2, .. }));
}

#[test]
fn sizes_that_are_not_known_are_free_each_for_itself() {
    let model = model(13).input("x", &["-1", "?", "'?", ""]).node(node("Relu", &["x"], &["y"])).output("y");
    let ports = inputs(&source(&model)).unwrap();
    assert_eq!(free_dims(&ports), ["x.0", "x.1", "x.2", "x.3"]);
}

#[test]
fn data_bind_free_dims() {
    let source = source(&flat());
    let dims = infer_dims_from_inputs(&source, &[("x", &[2, 5, 64, 1])]).unwrap();
    let expected = [("batch", 2), ("length", 5), ("x.3", 1)]
        .map(|(name, size)| (name.to_owned(), DimBinding::Fixed(size)));
    assert_eq!(dims, BTreeMap::from(expected));
    let wrong = |data: &[(&str, &[u64])]| infer_dims_from_inputs(&source, data).unwrap_err().to_string();
    assert_eq!(
        wrong(&[("x", &[2, 5, 63, 1])]),
        "input `x`: axis 2 of the data has size 63, the model wants 64"
    );
    assert_eq!(wrong(&[("x", &[2, 5])]), "input `x`: the data have rank 2, the model wants 4");
    assert_eq!(wrong(&[("z", &[2])]), "input `z`: the model has no such input, only `x`");
}

#[test]
fn one_name_has_one_size() {
    let model =
        model(13).input("a", &["n"]).input("b", &["n"]).node(node("Add", &["a", "b"], &["y"])).output("y");
    let error = infer_dims_from_inputs(&source(&model), &[("a", &[2]), ("b", &[3])]).unwrap_err();
    assert_eq!(error.to_string(), "input `b`: axis 0 of the data has size 3, the model wants 2");
    let graph = import(&source(&model), &ImportOptions::default()).unwrap().graph;
    assert_eq!(graph.value(graph.outputs()[0]).ty.shape, graph.value(graph.inputs()[0]).ty.shape);
}

#[test]
fn initializers_that_are_also_inputs_are_constants() {
    let model = model(13)
        .input("x", &["2"])
        .input("w", &["2"])
        .constant("w", crate::build::floats(&[2], &[1.0, 2.0]))
        .node(node("Add", &["x", "w"], &["y"]))
        .output("y");
    let graph = import(&source(&model), &ImportOptions::default()).unwrap().graph;
    assert_eq!(graph.inputs().len(), 1);
}

#[test]
fn a_free_size_survives_shape_arithmetic() {
    let model = model(13)
        .input("x", &["batch", "length", "6"])
        .constant("one", int64s(&[], &[1]))
        .constant("axis", int64s(&[1], &[0]))
        .constant("head", int64s(&[2], &[2, -1]))
        .node(node("Shape", &["x"], &["shape"]))
        .node(node("Gather", &["shape", "one"], &["length"]))
        .node(node("Unsqueeze", &["length", "axis"], &["tail"]))
        .node(with(node("Concat", &["tail", "head"], &["target"]), crate::build::int("axis", 0)))
        .node(node("Reshape", &["x", "target"], &["y"]))
        .output("y");
    let graph = import(&source(&model), &ImportOptions::default()).unwrap().graph;
    let [batch, length] = [0, 1].map(|axis| graph.value(graph.inputs()[0]).ty.shape[axis].clone());
    let shape = &graph.value(graph.outputs()[0]).ty.shape;
    assert_eq!(*shape, [length, Dim::Const(2), batch.mul(&Dim::Const(3)).unwrap()]);
}

fn with_past() -> Model {
    let total = "past + sequence";
    model(13)
        .input("past", &["past", "2"])
        .input("now", &["sequence", "2"])
        .input("mask", &[total, "1"])
        .node(with(node("Concat", &["past", "now"], &["all"]), crate::build::int("axis", 0)))
        .node(node("Add", &["all", "mask"], &["y"]))
        .output("y")
}

#[test]
fn sizes_that_are_formulas_follow_from_the_others() {
    let source = source(&with_past());
    let ports = inputs(&source).unwrap();
    assert_eq!(free_dims(&ports), ["past", "sequence"]);
    let graph = import(&source, &ImportOptions::default()).unwrap().graph;
    let shape = |input: usize| graph.value(graph.inputs()[input]).ty.shape[0].clone();
    assert_eq!(shape(2), shape(0).add(&shape(1)).unwrap());
    assert_eq!(graph.value(graph.outputs()[0]).ty.shape[0], shape(2));
    let dims = infer_dims_from_inputs(&source, &[("past", &[4, 2]), ("mask", &[7, 1])]).unwrap();
    assert_eq!(dims["sequence"], DimBinding::Fixed(3));
    let data: [(&str, &[u64]); 3] = [("past", &[4, 2]), ("now", &[3, 2]), ("mask", &[8, 1])];
    assert_eq!(
        infer_dims_from_inputs(&source, &data).unwrap_err().to_string(),
        "input `mask`: axis 0 of the data has size 8, `past + sequence` gives 7"
    );
}

#[test]
fn a_formula_may_be_bound_where_it_agrees() {
    let source = source(&with_past());
    let fixed = |dims: &[(&str, u64)]| {
        let dims: Vec<_> = dims.iter().map(|&(name, size)| (name, DimBinding::Fixed(size))).collect();
        import(&source, &options(&dims)).map(|imported| {
            let graph = imported.graph;
            let size = |input: usize| graph.value(graph.inputs()[input]).ty.shape[0].as_const();
            [size(0), size(1), size(2)]
        })
    };
    let bound = [Some(4), Some(3), Some(7)];
    assert_eq!(fixed(&[("past", 4), ("past + sequence", 7)]).unwrap(), bound);
    assert_eq!(fixed(&[("past", 4), ("sequence", 3)]).unwrap(), bound);
    let error = fixed(&[("past", 4), ("sequence", 3), ("past + sequence", 8)]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "dimension `past + sequence` is bound to 8, which the sizes in it do not give"
    );
    let range = options(&[("past + sequence", DimBinding::Range(1, 8))]);
    assert!(matches!(import(&source, &range), Err(ImportError::ComputedRange { .. })));
}

#[test]
fn a_formula_over_names_that_are_no_dims_is_a_name() {
    let model = model(13).input("x", &["batch*heads", "batch", "unk-1"]).output("x");
    assert_eq!(free_dims(&inputs(&source(&model)).unwrap()), ["batch*heads", "batch", "unk-1"]);
}

/// The largest size of each dim counts: no tensor of the model may be more than can be addressed.
#[test]
fn bounds_that_no_tensor_can_have_are_refused_with_what_to_lower() {
    let image = |node| model(18).input("x", &["'3", "h", "w"]).node(node).output("y");
    let (most, half) = (DimBinding::Range(1, 2_147_483_647), DimBinding::Range(0, 1 << 19));
    let refused = |model: &Model, dims: &[(&str, DimBinding)], words: &[&str]| {
        let text = import(&source(model), &options(dims)).map(|_| ()).unwrap_err().to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{}: `{text}`", words.join(", "));
    };
    let same = image(node("Relu", &["x"], &["y"]));
    let both = ["`x`", "`h` may be up to 2147483647", "`w` may be up to 2147483647", "--dim NAME=LO..HI"];
    refused(&same, &[("h", most), ("w", most)], &both);
    let steps = DimBinding::Steps(64, 2_147_483_647, 64);
    refused(&same, &[("h", steps), ("w", most)], &["`h` may be up to 2147483584"]);
    assert!(import(&source(&same), &options(&[("h", half), ("w", half)])).is_ok());
    // A dim that nobody bounded says nothing yet.
    assert!(import(&source(&same), &options(&[("h", most)])).is_ok());
    // The input can be addressed, the result of a node cannot.
    let four = image(with(node("Concat", &["x", "x", "x", "x"], &["y"]), int("axis", 0)));
    refused(&four, &[("h", half), ("w", half)], &["`y` (Concat)", "f32[12,h,w]", "`h` may be up to 524288"]);
}

/// An image whose height is scaled as a float, rounded by `rounding` and cast back, as the first size of the result.
fn scaled(op: &str, by: &[f32], rounding: &str) -> Model {
    model(18)
        .input("x", &["h", "'3"])
        .constant("first", int64s(&[1], &[0]))
        .constant("by", floats(&[], by))
        .constant("three", int64s(&[1], &[3]))
        .node(node("Shape", &["x"], &["shape"]))
        .node(node("Gather", &["shape", "first"], &["height"]))
        .node(with(node("Cast", &["height"], &["float"]), int("to", 1)))
        .node(named(node(op, &["float", "by"], &["scaled"]), "scale"))
        .node(node(rounding, &["scaled"], &["whole"]))
        .node(with(node("Cast", &["whole"], &["size"]), int("to", 7)))
        .node(with(node("Concat", &["size", "three"], &["sizes"]), int("axis", 0)))
        .constant("one", floats(&[1, 1], &[1.0]))
        .node(node("Expand", &["one", "sizes"], &["y"]))
        .output("y")
}

fn named(mut node: onnx_protobuf::NodeProto, name: &str) -> onnx_protobuf::NodeProto {
    node.name = name.to_owned();
    node
}

#[test]
fn sizes_that_are_scaled_as_floats_are_formulas() {
    let shape = |model: &Model, dim| {
        let graph = import(&source(model), &options(&[("h", dim)])).unwrap().graph;
        graph.value(graph.outputs()[0]).ty.display(&graph.symbols).to_string()
    };
    let most = DimBinding::Range(1, 4096);
    assert_eq!(shape(&scaled("Mul", &[2.0], "Floor"), most), "f32[2*h,3]");
    assert_eq!(shape(&scaled("Mul", &[1.5], "Floor"), most), "f32[floor_div(3*h,2),3]");
    assert_eq!(shape(&scaled("Div", &[2.0], "Ceil"), most), "f32[floor_div(h+1,2),3]");
    assert_eq!(
        shape(&scaled("Mul", &[0.5], "Floor"), DimBinding::Steps(32, 1 << 21, 32)),
        "f32[16*\"h/32\",3]"
    );
}

#[test]
fn scales_that_f32_rounds_here_and_there_name_the_node_and_what_it_multiplies() {
    let refused = |model: &Model, dim| {
        let error = import(&source(model), &options(&[("h", dim)])).map(|_| ()).unwrap_err();
        error.to_string()
    };
    let text = refused(&scaled("Mul", &[0.13], "Floor"), DimBinding::Range(1, 4096));
    for part in ["`y` (Expand)", "h * 0.13", "`scale`", "--dim h=N", "allow fewer sizes"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // What the message says helps.
    let model = scaled("Mul", &[0.13], "Floor");
    for dim in [DimBinding::Fixed(900), DimBinding::Range(1, 800)] {
        assert!(import(&source(&model), &options(&[("h", dim)])).is_ok(), "{dim}");
    }
    let text = refused(&scaled("Pow", &[2.0], "Floor"), DimBinding::Range(1, 4096));
    assert!(text.contains("`scale`") && text.contains("--dim h=N") && !text.contains("data"), "{text}");
}

/// Caches that are called so, whose rows have steps, and such beside tokens of another name.
#[test]
fn caches_that_cannot_be_states_say_what_would_help() {
    let caches = |tokens: &str| {
        let model = model(18).typed_input(tokens, INT64, &["'1", "'1"]);
        let model = model.input("past.0.key", &["'1", "'2", "past", "'8"]);
        model
            .input("past.0.value", &["'1", "'2", "past", "'8"])
            .node(with(node("Concat", &["past.0.key", "past.0.value"], &["y"]), int("axis", 1)))
            .output("y")
    };
    let steps = [("past", DimBinding::Steps(0, 64, 16))];
    let text = import(&source(&caches("input_ids")), &options(&steps)).map(|_| ()).unwrap_err().to_string();
    assert!(text.contains("without a step (--dim past=0..64)") && text.contains("past.0.key"), "{text}");
    let range = [("past", DimBinding::Range(0, 64))];
    let found = import(&source(&caches("tokens")), &options(&range)).unwrap();
    let text = found.warnings.iter().map(ToString::to_string).collect::<String>();
    assert!(text.contains("`input_ids`") && text.contains("--dim past=N"), "{text}");
    let found = import(&source(&caches("tokens")), &options(&[("past", DimBinding::Fixed(8))])).unwrap();
    assert!(found.warnings.is_empty(), "{:?}", found.warnings);
}

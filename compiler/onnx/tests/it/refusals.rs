//! Models that contradict ONNX or ask for more than we have: the error names the node and says what to do.

use crate::build::{
    Model, floats, function, graph_attribute, int, int64s, ints, model, node, value_info, with,
};
use drift_onnx::{ImportError, ImportOptions, ModelSource, import};
use onnx_protobuf::{GraphProto, SparseTensorProto};

fn error_of(model: &Model) -> ImportError {
    match import(&ModelSource::from_bytes("test", model.bytes()).unwrap(), &ImportOptions::default()) {
        Err(error) => error,
        Ok(imported) => panic!("expected an error, got {:?}", imported.graph),
    }
}

/// Expects an error whose text is `expected`.
fn check(model: &Model, expected: &str) {
    assert_eq!(error_of(model).to_string(), expected);
}

fn over_x() -> Model {
    model(13).input("x", &["2", "3"])
}

#[test]
fn an_empty_file_has_no_graph() {
    let source = ModelSource::from_bytes("empty", Vec::new()).unwrap();
    assert!(matches!(import(&source, &ImportOptions::default()), Err(ImportError::NoGraph)));
}

#[test]
fn all_unsupported_nodes_are_listed_at_once() {
    let mut named = node("RegexFullMatch", &["x"], &["b"]);
    named.name = "find".to_owned();
    let mut foreign = node("FancyAttention", &["x"], &["d"]);
    foreign.domain = "com.example".to_owned();
    let model = over_x()
        .node(node("ImageDecoder", &["x"], &["a"]))
        .node(named)
        .node(node("Relu", &["a"], &["skipped"]))
        .node(foreign)
        .node(with(node("Relu", &["x"], &["e"]), int("fast", 1)))
        .node(node("Loop", &["a"], &["f"]))
        .node(node("TfIdfVectorizer", &["x"], &["g"]))
        .output("skipped");
    check(
        &model,
        "5 of the model's nodes cannot be compiled:\
         \n  `a` (ImageDecoder): images are not decoded; give the model their pixels as an input\
         \n  `find` (RegexFullMatch): texts are not supported; give the model what they become as an input\
         \n  `d` (com.example.FancyAttention): the operator is not supported (its domain is not imported)\
         \n  `e` (Relu): attribute `fast` is not known for operator set 13\
         \n  `g` (TfIdfVectorizer): counting n-grams is not supported; count them before the model runs",
    );
}

#[test]
fn order_cycles_and_missing_values_are_told_apart() {
    let swapped = over_x().node(node("Relu", &["b"], &["a"])).node(node("Relu", &["x"], &["b"])).output("a");
    let source = ModelSource::from_bytes("test", swapped.bytes()).unwrap();
    let graph = import(&source, &ImportOptions::default()).unwrap().graph;
    let order: Vec<&str> = graph.nodes().map(|node| graph.node(node).name.as_str()).collect();
    assert_eq!(order, ["b", "a"]);
    let cycle = over_x().node(node("Add", &["x", "b"], &["a"])).node(node("Relu", &["a"], &["b"]));
    let of_cycle = |node, value| {
        format!("node `{node}` reads `{value}`, which is computed from its own result: the graph has a cycle")
    };
    check(&cycle, &of_cycle("b", "a"));
    check(&over_x().node(node("Relu", &["y"], &["y"])), &of_cycle("y", "y"));
    let missing = over_x().node(node("Relu", &["z"], &["y"]));
    check(&missing, "node `y` reads `z`, which no input, initializer or node provides");
    check(&over_x().output("y"), "graph output `y` is made by no node");
}

#[test]
fn names_are_given_once() {
    let twice = |name: &str| format!("the name `{name}` is given to more than one value");
    let relu = || node("Relu", &["x"], &["y"]);
    check(&over_x().node(relu()).node(relu()), &twice("y"));
    check(&over_x().node(node("Relu", &["x"], &["x"])), &twice("x"));
    check(&over_x().input("x", &["1"]), &twice("x"));
    check(&over_x().constant("w", floats(&[1], &[1.0])).constant("w", floats(&[1], &[1.0])), &twice("w"));
}

#[test]
fn operands_and_attributes_are_checked() {
    check(&over_x().node(node("Add", &["x"], &["y"])), "node `y` (Add): 1 operands are given, 2 expected");
    check(&over_x().node(node("Add", &["x", ""], &["y"])), "node `y` (Add): operand 1 is missing");
    check(
        &over_x().node(node("Relu", &["x"], &["y", "z"])),
        "node `y` (Relu): 2 results are named, 1 expected",
    );
    let axis = over_x().node(with(node("Softmax", &["x"], &["y"]), int("axis", 2)));
    check(&axis, "node `y` (Softmax): axis 2 is outside rank 2");
    let wrong_type = over_x().node(with(node("Softmax", &["x"], &["y"]), ints("axis", &[1])));
    check(&wrong_type, "node `y` (Softmax): attribute `axis` is not an integer");
    let twice = with(with(node("Softmax", &["x"], &["y"]), int("axis", 0)), int("axis", 1));
    check(&over_x().node(twice), "node `y` (Softmax): attribute `axis` stands twice");
    let perm = over_x().node(with(node("Transpose", &["x"], &["y"]), ints("perm", &[0, 0])));
    check(&perm, "node `y` (Transpose): `perm` is [0, 0], expected each axis of rank 2 once");
}

#[test]
fn shapes_that_do_not_fit_name_the_node() {
    let reshape = over_x().constant("s", int64s(&[2], &[-1, 4])).node(node("Reshape", &["x", "s"], &["y"]));
    check(&reshape, "node `y` (Reshape): 6 elements cannot be reshaped to 4 times a whole number");
    let twice = over_x().constant("s", int64s(&[2], &[-1, -1])).node(node("Reshape", &["x", "s"], &["y"]));
    assert!(error_of(&twice).to_string().ends_with("expected at most one -1"));
    for (op, other) in [("Add", &[4, 3][..]), ("MatMul", &[4, 3])] {
        let values = vec![0.0; 12];
        let model = over_x().constant("w", floats(other, &values)).node(node(op, &["x", "w"], &["y"]));
        assert!(matches!(error_of(&model), ImportError::Node { node, .. } if node == "y"), "{op}");
    }
}

#[test]
fn shapes_that_depend_on_data_are_unsupported() {
    let model = over_x()
        .typed_input("s", crate::build::INT64, &["2"])
        .node(node("Reshape", &["x", "s"], &["y"]))
        .output("y");
    check(
        &model,
        "1 of the model's nodes cannot be compiled:\n  `y` (Reshape): operand `shape` depends on data; \
         only constants and shapes are supported",
    );
}

#[test]
fn dims_beyond_what_can_be_addressed_are_refused() {
    let huge = "4611686018427387904";
    let model = model(13).input("x", &[huge, huge]).node(node("Relu", &["x"], &["y"])).output("y");
    error_of(&model);
    let shape = int64s(&[3], &[1 << 40, 1 << 40, 1 << 40]);
    error_of(&over_x().constant("s", shape).node(node("ConstantOfShape", &["s"], &["y"])).output("y"));
}

#[test]
fn operator_sets_out_of_range_are_refused() {
    let relu = |opset| model(opset).input("x", &["1"]).node(node("Relu", &["x"], &["y"])).output("y");
    for version in [5, 29, -1] {
        assert!(
            matches!(error_of(&relu(version)), ImportError::Opset { version: found, .. } if found == version)
        );
    }
}

#[test]
fn inputs_need_a_tensor_type_with_a_rank() {
    let mut model = over_x();
    model.graph.input[0].type_.as_mut().unwrap().mut_tensor_type().shape.clear();
    check(&model, "graph input `x`: its rank is not declared; declare its shape");
    check(
        &crate::build::model(13).typed_input("x", 8, &["1"]),
        "graph input `x`: element type string is not supported",
    );
    check(&crate::build::model(13).input("x", &["-3"]), "graph input `x`: axis 0 has the negative size -3");
}

#[test]
fn sparse_initializers_are_refused() {
    let mut model = over_x();
    let values = Some(onnx_protobuf::TensorProto { name: "w".to_owned(), ..floats(&[1], &[1.0]) }).into();
    model.graph.sparse_initializer.push(SparseTensorProto { values, ..SparseTensorProto::default() });
    check(&model, "initializer `w` is sparse, which is not supported; store it dense");
}

fn call(name: &str, input: &str, output: &str) -> onnx_protobuf::NodeProto {
    let mut call = node(name, &[input], &[output]);
    call.domain = "local".to_owned();
    call
}

#[test]
fn functions_that_call_themselves_are_refused() {
    let model =
        over_x().function(function("F", vec![call("F", "a", "b")])).node(call("F", "x", "y")).output("y");
    check(&model, "function `F` is called more than 32 levels deep");
}

#[test]
fn functions_that_multiply_are_refused_soon() {
    let name = |level: usize| format!("F{level}");
    let mut model = over_x().node(call("F0", "x", "y")).output("y");
    for level in 0..30 {
        let next = name(level + 1);
        let body = vec![call(&next, "a", "c"), call(&next, "c", "b")];
        model = model.function(function(&name(level), body));
    }
    let model = model.function(function("F30", vec![node("Identity", &["a"], &["b"])]));
    let text = error_of(&model).to_string();
    assert!(text.contains("nodes after functions and loops are expanded"), "{text}");
}

#[test]
fn branches_on_data_with_results_of_different_shapes_are_unsupported_and_named() {
    let branch = |op: &str| {
        let output = vec![value_info("inner", 1, &[])];
        GraphProto { node: vec![node(op, &["x"], &["inner"])], output, ..GraphProto::default() }
    };
    let mut choice = node("If", &["flag"], &["y"]);
    choice.attribute = vec![
        graph_attribute("then_branch", branch("Neg")),
        graph_attribute("else_branch", branch("ReduceSum")),
    ];
    let model = over_x().typed_input("flag", crate::build::BOOL, &[]).node(choice).output("y");
    check(
        &model,
        "1 of the model's nodes cannot be compiled:\n  `y` (If): its condition depends on data, and its branches give \
         result 0 different shapes or types; fixing free dimensions with --dim, or an input with --bind, may make it \
         constant",
    );
}

#[test]
fn missing_operators_inside_functions_and_undecided_branches_are_listed_too() {
    let graph = |nodes| GraphProto {
        node: nodes,
        output: vec![value_info("inner", 1, &[])],
        ..GraphProto::default()
    };
    let mut choice = node("If", &["flag"], &["y"]);
    let inner = graph(vec![node("ImageDecoder", &["x"], &["inner"])]);
    let mut nested = node("If", &["flag"], &["inner"]);
    nested.attribute =
        vec![graph_attribute("then_branch", inner.clone()), graph_attribute("else_branch", inner)];
    choice.attribute = vec![
        graph_attribute("then_branch", graph(vec![nested])),
        graph_attribute("else_branch", graph(vec![call("F", "x", "inner")])),
    ];
    let model = over_x()
        .typed_input("flag", crate::build::BOOL, &[])
        .function(function("F", vec![node("StringNormalizer", &["a"], &["b"])]))
        .node(call("F", "x", "z"))
        .node(choice)
        .output("y");
    let ImportError::Unsupported { nodes } = error_of(&model) else { panic!("expected a list") };
    let mut listed: Vec<(&str, &str)> = nodes.iter().map(|node| (&*node.node, &*node.op)).collect();
    listed.sort_unstable();
    let expected = [
        ("y/inner/b", "StringNormalizer"),
        ("y/inner/inner", "ImageDecoder"),
        ("y/inner/inner", "ImageDecoder"),
        ("z/b", "StringNormalizer"),
    ];
    assert_eq!(listed, expected);
}

#[test]
fn operators_of_language_models_and_sequences_are_refused_by_name() {
    let mut attention = node("SparseAttention", &["x", "", "", "", "", "", ""], &["a"]);
    attention.domain = "com.microsoft".to_owned();
    let model = over_x()
        .node(attention)
        .typed_input("at", crate::build::INT64, &[])
        .node(node("SplitToSequence", &["x"], &["parts"]))
        .node(node("SequenceAt", &["parts", "at"], &["y"]))
        .output("y");
    let text = error_of(&model).to_string();
    for expected in [
        "`a` (com.microsoft.SparseAttention): it belongs to ONNX Runtime's fused language-model operators",
        "`y` (SequenceAt): operand `position` depends on data",
    ] {
        assert!(text.contains(expected), "{text}");
    }
    let model = over_x()
        .node(node("SplitToSequence", &["x"], &["parts"]))
        .node(node("Relu", &["parts"], &["y"]))
        .output("y");
    check(&model, "node `y` (Relu): operand 0 is a sequence, not a tensor");
    let model = over_x().node(node("SplitToSequence", &["x"], &["parts"])).output("parts");
    check(&model, "graph output `parts`: it is a sequence; only dense tensors are supported");
}

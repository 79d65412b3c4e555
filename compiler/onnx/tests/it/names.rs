//! What things are called after an import, and what the user is told.

use crate::build::{Model, floats, graph_attribute, int, model, node, opset, value_info, with};
use drift_ir::{Graph, Tensor};
use drift_onnx::{ImportOptions, Imported, ModelSource, import};
use onnx_protobuf::{FunctionProto, GraphProto, TensorProto};

fn imported(model: &Model) -> Imported {
    import(&ModelSource::from_bytes("test", model.bytes()).unwrap(), &ImportOptions::default()).unwrap()
}

/// One line per node: its name, its results and the nodes it stands for.
fn lines(graph: &Graph) -> Vec<String> {
    let line = |id| {
        let node = graph.node(id);
        let results: Vec<_> = node.outputs.iter().map(|&value| graph.value(value).name.as_str()).collect();
        format!("{} -> {} of {}", node.name, results.join(","), node.origins.join(","))
    };
    graph.nodes().map(line).collect()
}

fn over_x() -> Model {
    model(18).input("x", &["2", "3"])
}

#[test]
fn a_node_that_becomes_several_stays_recognisable() {
    let mut gemm = with(node("Gemm", &["x", "w", "b"], &["y"]), int("transA", 1));
    gemm.name = "head".to_owned();
    let values = vec![0.5; 8];
    let model = over_x().constant("w", floats(&[2, 4], &values)).constant("b", floats(&[4], &values[..4]));
    let graph = imported(&model.node(gemm).output("y")).graph;
    assert_eq!(
        lines(&graph),
        ["head -> y.part of head", "head.1 -> y.part.1 of head", "head.2 -> y of head"]
    );
}

#[test]
fn nodes_may_share_a_name_and_values_may_look_like_ours() {
    let named = |name: &str, input: &str, output: &str| {
        let mut node = node("HardSwish", &[input], &[output]);
        node.name = name.to_owned();
        node
    };
    let model = over_x().node(named("a", "x", "y.part")).node(named("a", "y.part", "y")).output("y");
    let graph = imported(&model).graph;
    let results: Vec<_> = lines(&graph).into_iter().filter(|line| !line.contains(".part.")).collect();
    assert_eq!(results, ["a.3 -> y.part of a", "a.7 -> y of a"]);
}

#[test]
fn what_functions_hold_is_named_after_the_call() {
    let function = FunctionProto {
        name: "Twice".to_owned(),
        domain: "local".to_owned(),
        input: vec!["a".to_owned()],
        output: vec!["c".to_owned()],
        node: vec![node("Relu", &["a"], &["b"]), node("Neg", &["b"], &["c"])],
        opset_import: vec![opset("", 18)],
        ..FunctionProto::default()
    };
    let mut call = node("Twice", &["x"], &["y"]);
    (call.name, call.domain) = ("block".to_owned(), "local".to_owned());
    let graph = imported(&over_x().function(function).node(call).output("y")).graph;
    assert_eq!(lines(&graph), ["block/b -> block/b of block/b", "block/c -> y of block/c"]);
}

#[test]
fn a_second_name_for_an_output_is_a_copy_and_for_other_values_a_renaming() {
    let model = over_x()
        .node(node("Relu", &["x"], &["a"]))
        .node(node("Identity", &["a"], &["b"]))
        .node(node("Neg", &["b"], &["c"]))
        .node(node("Identity", &["c"], &["d"]))
        .output("a")
        .output("b")
        .output("d");
    let graph = imported(&model).graph;
    assert_eq!(lines(&graph), ["a -> a of a", "c -> d of c", "b -> b of b"]);
}

#[test]
fn dropped_branches_are_told() {
    let branch = |op: &str| {
        let output = vec![value_info("inner", 1, &[])];
        GraphProto { node: vec![node(op, &["x"], &["inner"])], output, ..GraphProto::default() }
    };
    let mut choice = node("If", &["flag"], &["y"]);
    choice.attribute =
        vec![graph_attribute("then_branch", branch("Neg")), graph_attribute("else_branch", branch("Exp"))];
    let flag = TensorProto { data_type: crate::build::BOOL, int32_data: vec![1], ..TensorProto::default() };
    let cast = with(node("Cast", &["y"], &["z"]), int("to", 12));
    let imported = imported(&over_x().constant("flag", flag).node(choice).node(cast).output("y").output("z"));
    let warnings: Vec<_> = imported.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings, ["node `y` has a constant condition; its branch for false is dropped"]);
    let x = Tensor::from_f32([2, 3], &[1.0, -2.0, 3.0, -4.0, 5.0, -6.0]).unwrap();
    let results = drift_ir::eval::run(&imported.graph, &[x]).unwrap();
    assert_eq!(results[0].to_f32_vec(), [-1.0, 2.0, -3.0, 4.0, -5.0, 6.0]);
}

#[test]
fn one_file_always_gives_the_same_graph() {
    let folder =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/models/tiny_bert_dynamo18");
    let options = ImportOptions {
        dims: [("sequence".to_owned(), drift_onnx::DimBinding::Range(1, 32))].into(),
        ..ImportOptions::default()
    };
    let twice = [(); 2].map(|()| {
        let source = ModelSource::open(folder.join("model.onnx")).unwrap();
        format!("{:?}", import(&source, &options).unwrap().graph)
    });
    assert!(twice[0] == twice[1]);
}

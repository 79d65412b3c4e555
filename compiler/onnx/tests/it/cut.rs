//! Parts of models between named values.

use crate::build::{FLOAT, INT64, Model, floats, graph_attribute, int, model, node, value_info, with};
use drift_ir::eval;
use drift_ir::{ElementType, Tensor};
use drift_onnx::{
    Cut, CutError, CutInput, DimBinding, ImportError, ImportOptions, ModelSource, import, inputs,
};
use onnx_protobuf::{GraphProto, NodeProto};
use std::collections::BTreeMap;

const STRING: i32 = 8;

fn custom(op: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
    NodeProto { domain: "ai.onnx.contrib".to_owned(), ..node(op, inputs, outputs) }
}

/// `text -> Decode -> pixels -> Relu a -> Neg b -> Draw -> picture`, and `b + w` as `c`.
fn pipeline() -> Model {
    model(17)
        .typed_input("text", STRING, &["1"])
        .constant("w", floats(&[1], &[2.0]))
        .node(custom("Decode", &["text"], &["pixels"]))
        .node(node("Relu", &["pixels"], &["a"]))
        .node(node("Neg", &["a"], &["b"]))
        .node(node("Add", &["b", "w"], &["c"]))
        .node(custom("Draw", &["c"], &["picture"]))
        .output("picture")
}

fn cut(inputs: &[&str], outputs: &[&str]) -> Cut {
    let input = |name: &&str| CutInput { name: (*name).to_owned(), declared: None };
    Cut {
        inputs: inputs.iter().map(input).collect(),
        outputs: outputs.iter().map(|&name| name.to_owned()).collect(),
    }
}

fn dims(sizes: &[(&str, u64)]) -> BTreeMap<String, DimBinding> {
    sizes.iter().map(|&(name, size)| (name.to_owned(), DimBinding::Fixed(size))).collect()
}

fn part(model: &Model, cut: &Cut, sizes: &[(&str, u64)]) -> Result<ModelSource, ImportError> {
    let mut source = ModelSource::from_bytes("cut", model.bytes()).unwrap();
    source.cut(cut, &dims(sizes)).map(|()| source)
}

fn message(model: &Model, cut: &Cut) -> String {
    part(model, cut, &[]).unwrap_err().to_string()
}

/// What a part computes for one input of these shape and values.
fn computed(source: &ModelSource, shape: &[u64], values: &[f64]) -> Vec<f64> {
    let graph = import(source, &ImportOptions::default()).unwrap().graph;
    let tensor = Tensor::from_f64_as(ElementType::F32, shape, values).unwrap();
    eval::run(&graph, &[tensor]).unwrap()[0].to_f64_vec()
}

#[test]
fn what_is_outside_is_never_read() {
    let mut model = pipeline();
    let whole = ModelSource::from_bytes("cut", model.bytes()).unwrap();
    assert!(import(&whole, &ImportOptions::default()).is_err());
    // Given by the caller, as nobody can infer it.
    let mut given = cut(&["pixels"], &["c"]);
    given.inputs[0].declared = Some((ElementType::F32, vec!["n".to_owned(), "2".to_owned()]));
    let source = part(&model, &given, &[]).unwrap();
    let ports = inputs(&source).unwrap();
    assert_eq!((ports.len(), ports[0].name.as_str()), (1, "pixels"));
    let graph = import(&source, &ImportOptions { dims: dims(&[("n", 3)]), ..ImportOptions::default() })
        .unwrap()
        .graph;
    assert_eq!(graph.value(graph.outputs()[0]).ty.static_shape(), Some(vec![3, 2]));
    assert_eq!(graph.nodes().count(), 3);
    // Or by the file.
    model.graph.value_info.push(value_info("pixels", FLOAT, &["4"]));
    let source = part(&model, &cut(&["pixels"], &["c"]), &[]).unwrap();
    assert_eq!(computed(&source, &[4], &[1.0, -1.0, 3.0, 0.0]), [1.0, 2.0, -1.0, 2.0]);
}

#[test]
fn a_shape_that_nobody_knows_is_refused_with_what_to_do() {
    let mut bytes = pipeline();
    bytes.graph.input[0] = value_info("text", 2, &["1"]);
    for (model, why) in
        [(pipeline(), "graph input `text`: element type string"), (bytes, "it depends on `pixels` (")]
    {
        let told = message(&model, &cut(&["a"], &["c"]));
        for words in ["the shape of `a` is not known", why, "--inputs a=f32["] {
            assert!(told.contains(words), "`{words}` is not in {told}");
        }
    }
}

/// `x [n, h] -> Relu a [n, h] -> Concat with itself b [n, 2h] -> Neg c`, and `y = c * k` of another input `k`.
fn sized() -> Model {
    model(17)
        .input("x", &["n", "h"])
        .input("k", &["1"])
        .node(node("Relu", &["x"], &["a"]))
        .node(with(node("Concat", &["a", "a"], &["b"]), int("axis", 1)))
        .node(node("Neg", &["b"], &["c"]))
        .node(node("Mul", &["c", "k"], &["y"]))
        .output("y")
}

#[test]
fn shapes_of_inner_values_are_inferred() {
    let source = part(&sized(), &cut(&["b"], &["c"]), &[("h", 3)]).unwrap();
    let ports = inputs(&source).unwrap();
    assert_eq!(drift_onnx::sizes(&ports), ["n"]);
    let options = |sizes| ImportOptions { dims: dims(sizes), ..ImportOptions::default() };
    let graph = import(&source, &options(&[("n", 2)])).unwrap().graph;
    assert_eq!(graph.value(graph.inputs()[0]).ty.static_shape(), Some(vec![2, 6]));
    // Sizes that follow from others follow from them in the part, too.
    let source = part(&sized(), &cut(&["a", "b", "k"], &["a", "y"]), &[]).unwrap();
    let graph = import(&source, &options(&[("n", 2), ("h", 5)])).unwrap().graph;
    let shapes: Vec<_> =
        graph.inputs().iter().map(|&id| graph.value(id).ty.static_shape().unwrap()).collect();
    assert_eq!(shapes, [vec![2, 5], vec![2, 10], vec![1]]);
}

#[test]
fn only_inputs_that_outputs_need_are_left() {
    let source = part(&sized(), &cut(&[], &["c"]), &[]).unwrap();
    let names: Vec<String> = inputs(&source).unwrap().into_iter().map(|port| port.name).collect();
    assert_eq!(names, ["x"]);
}

#[test]
fn wrong_cuts_are_refused_by_name() {
    let told = message(&sized(), &cut(&["b"], &[]));
    assert!(told.contains("output `y` depends on `k`") && told.contains("`y` <- `k`"), "{told}");
    let told = message(&sized(), &cut(&["k"], &[]));
    assert!(told.contains("`y` <- `c` <- `b` <- `a` <- `x`"), "{told}");
    assert!(message(&sized(), &cut(&["b", "x", "k"], &[])).contains("`x` is not needed"));
    assert!(message(&sized(), &cut(&["b", "b", "k"], &[])).contains("`b` is given twice"));
    let error = part(&sized(), &cut(&[], &["z"]), &[]).unwrap_err();
    let ImportError::Cut(CutError::UnknownValue { name, known }) = error else { panic!("{error}") };
    assert_eq!((name.as_str(), known.len()), ("z", 6));
}

#[test]
fn long_ways_are_shortened() {
    let names: Vec<String> = (0..40).map(|at| format!("v{at}")).collect();
    let chain = names.windows(2).fold(model(17).input("v0", &["1"]).input("w", &["1"]), |model, pair| {
        model.node(node("Neg", &[&pair[0]], &[&pair[1]]))
    });
    let told = message(&chain.output("v39").output("w"), &cut(&["w"], &[]));
    assert!(told.contains("`v39` <- `v38` <- `v37` <- `v36` <- (32 more) <- `v3` <- `v2`"), "{told}");
}

#[test]
fn a_node_may_make_what_is_an_input_and_what_is_not() {
    let model = model(17)
        .input("x", &["4"])
        .node(node("Split", &["x"], &["a", "b"]))
        .node(node("Sub", &["a", "b"], &["y"]))
        .output("y");
    let mut of = cut(&["a", "x"], &[]);
    of.inputs[0].declared = None;
    let source = part(&model, &of, &[]).unwrap();
    let graph = import(&source, &ImportOptions::default()).unwrap().graph;
    let tensor =
        |values: &[f64]| Tensor::from_f64_as(ElementType::F32, [values.len() as u64], values).unwrap();
    let got = eval::run(&graph, &[tensor(&[10.0, 20.0]), tensor(&[1.0, 2.0, 3.0, 4.0])]).unwrap();
    assert_eq!(got[0].to_f64_vec(), [7.0, 16.0]);
}

#[test]
fn initializers_become_inputs() {
    let model = model(17)
        .input("x", &["2"])
        .constant("w", floats(&[2], &[1.0, 2.0]))
        .node(node("Mul", &["x", "w"], &["y"]))
        .output("y");
    let source = part(&model, &cut(&["w", "x"], &[]), &[]).unwrap();
    let names: Vec<String> = inputs(&source).unwrap().into_iter().map(|port| port.name).collect();
    assert_eq!(names, ["w", "x"]);
}

#[test]
fn what_a_branch_reads_counts() {
    let branch = |op: &str| GraphProto {
        name: op.to_owned(),
        node: vec![node(op, &["a"], &["r"])],
        output: vec![value_info("r", FLOAT, &["2"])],
        ..GraphProto::default()
    };
    let mut chosen = node("If", &["c"], &["y"]);
    chosen = with(chosen, graph_attribute("then_branch", branch("Neg")));
    chosen = with(chosen, graph_attribute("else_branch", branch("Relu")));
    let model = model(17)
        .typed_input("c", 9, &[])
        .input("x", &["2"])
        .typed_input("unused", INT64, &["1"])
        .node(node("Abs", &["x"], &["a"]))
        .node(chosen)
        .output("y");
    let names = |source: &ModelSource| -> Vec<String> {
        inputs(source).unwrap().into_iter().map(|port| port.name).collect()
    };
    assert_eq!(names(&part(&model, &cut(&[], &["y"]), &[]).unwrap()), ["c", "x"]);
    assert_eq!(names(&part(&model, &cut(&["c", "a"], &[]), &[]).unwrap()), ["c", "a"]);
    assert!(message(&model, &cut(&["c"], &[])).contains("`y` <- `a` <- `x`"));
}

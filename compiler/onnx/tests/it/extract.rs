//! Models of some of a model's nodes, and models as files.

use crate::build::{floats, int64s, model, node};
use drift_onnx::{ImportOptions, ModelSource, import, inputs};
use onnx_protobuf::tensor_proto::DataLocation;
use onnx_protobuf::{Message, ModelProto, StringStringEntryProto, TensorProto};
use std::collections::BTreeMap;

/// `x -> a -> b -> y`, and `w` added in between.
fn chain() -> ModelSource {
    let model = model(17)
        .input("x", &["n", "4"])
        .constant("w", floats(&[4], &[1.0, 2.0, 3.0, 4.0]))
        .node(node("Add", &["a", "w"], &["b"]))
        .node(node("Relu", &["x"], &["a"]))
        .node(node("Neg", &["b"], &["y"]))
        .output("y");
    ModelSource::from_bytes("chain", model.bytes()).unwrap()
}

fn names(source: &ModelSource) -> Vec<String> {
    inputs(source).unwrap().into_iter().map(|port| port.name).collect()
}

#[test]
fn some_nodes_are_a_model() {
    let source = chain();
    let labels: Vec<String> = source.node_labels().unwrap().into_iter().map(|node| node.name).collect();
    assert_eq!(labels, ["a", "b", "y"]);
    let types = source.value_types(&BTreeMap::new()).unwrap();
    let part = source.of_nodes(&[1], &types).unwrap().unwrap();
    assert_eq!(names(&part), ["a"]);
    let graph = import(&part, &ImportOptions::default()).unwrap().graph;
    assert_eq!(graph.value(graph.outputs()[0]).name, "b");
    // Two ends, and two beginnings.
    let part = source.of_nodes(&[0, 2], &types).unwrap().unwrap();
    assert_eq!(names(&part), ["x", "b"]);
    assert_eq!(import(&part, &ImportOptions::default()).unwrap().graph.outputs().len(), 2);
    assert!(source.of_nodes(&[], &types).unwrap().is_none());
    // Without types an inner value is no input.
    assert!(source.of_nodes(&[1], &Default::default()).unwrap().is_none());
}

#[test]
fn a_part_is_a_file_that_others_read() {
    let source = chain();
    let types = source.value_types(&BTreeMap::new()).unwrap();
    let bytes = source.of_nodes(&[1, 2], &types).unwrap().unwrap().to_onnx(&types).unwrap();
    let proto = ModelProto::parse_from_bytes(&bytes).unwrap();
    assert_eq!((proto.graph.node.len(), proto.graph.initializer.len(), proto.ir_version), (2, 1, 8));
    let output = &proto.graph.output[0];
    assert_eq!((output.name.as_str(), output.type_.tensor_type().elem_type), ("y", 1));
    let back = ModelSource::from_bytes("back", bytes).unwrap();
    assert_eq!(names(&back), ["a"]);
}

#[test]
fn data_of_other_files_come_along() {
    let folder = tempfile::tempdir().unwrap();
    let entry = |key: &str, value: &str| StringStringEntryProto {
        key: key.to_owned(),
        value: value.to_owned(),
        ..StringStringEntryProto::default()
    };
    let stored = TensorProto {
        data_location: DataLocation::EXTERNAL.into(),
        external_data: vec![entry("location", "w.bin")],
        int64_data: Vec::new(),
        ..int64s(&[2], &[])
    };
    let model =
        model(17).input("x", &["2"]).constant("w", stored).node(node("Identity", &["w"], &["y"])).output("y");
    std::fs::write(folder.path().join("w.bin"), [7_i64.to_le_bytes(), 9_i64.to_le_bytes()].concat()).unwrap();
    std::fs::write(folder.path().join("m.onnx"), model.bytes()).unwrap();
    let source = ModelSource::open(folder.path().join("m.onnx")).unwrap();
    let bytes = source.to_onnx(&Default::default()).unwrap();
    let proto = ModelProto::parse_from_bytes(&bytes).unwrap();
    assert_eq!(proto.graph.initializer[0].raw_data, [7_i64.to_le_bytes(), 9_i64.to_le_bytes()].concat());
    assert!(proto.graph.initializer[0].external_data.is_empty());
}

//! Inputs bound to constants, and what becomes of free dimensions that nothing binds.

use crate::build::{BOOL, INT64, Model, model, node};
use bytes::Bytes;
use drift_ir::{ElementType, Tensor};
use drift_onnx::{DimBinding, ImportOptions, ModelSource, default_dims, import, inputs};
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;

fn source(model: &Model) -> ModelSource {
    ModelSource::from_bytes("bind", model.bytes()).unwrap()
}

fn int64(shape: &[u64], values: &[i64]) -> Tensor {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Tensor::new(ElementType::I64, shape, Bytes::from(bytes)).unwrap()
}

/// `y` is `x` in the shape that `s` says; both know a size `n`.
fn reshape() -> Model {
    model(13)
        .input("x", &["n", "6"])
        .typed_input("s", INT64, &["n"])
        .node(node("Reshape", &["x", "s"], &["y"]))
        .output("y")
}

#[test]
fn a_bound_input_is_a_constant_that_decides_shapes() {
    let mut source = source(&reshape());
    let dims = source.bind("s", &int64(&[2], &[3, 4])).unwrap();
    assert_eq!(dims, BTreeMap::from([("n".to_owned(), DimBinding::Fixed(2))]));
    let names: Vec<String> = inputs(&source).unwrap().into_iter().map(|port| port.name).collect();
    assert_eq!(names, ["x"]);
    let graph = import(&source, &ImportOptions { dims, ..ImportOptions::default() }).unwrap().graph;
    let output = graph.value(graph.outputs()[0]);
    assert_eq!(output.ty.static_shape(), Some(vec![3, 4]));
}

#[test]
fn what_does_not_fit_an_input_is_refused() {
    let message = |name: &str, value: Tensor| source(&reshape()).bind(name, &value).unwrap_err().to_string();
    let truth = Tensor::new(ElementType::Bool, [2], Bytes::from(vec![1, 0])).unwrap();
    assert!(message("t", int64(&[1], &[1])).contains("only `x`, `s`"));
    assert!(message("s", int64(&[1, 1], &[1])).contains("rank 2, the model wants 1"));
    assert!(message("s", truth).contains("the value is bool, the model wants i64"));
    assert!(message("x", int64(&[2, 5], &[0; 10])).contains("axis 1 of the data has size 5"));
}

#[test]
fn every_condition_of_an_if_can_be_bound() {
    let model = model(13).typed_input("c", BOOL, &[]).node(node("Not", &["c"], &["y"])).output("y");
    for value in [0, 1] {
        let mut source = source(&model);
        source.bind("c", &Tensor::new(ElementType::Bool, [], Bytes::from(vec![value])).unwrap()).unwrap();
        assert!(import(&source, &ImportOptions::default()).unwrap().graph.inputs().is_empty());
    }
}

fn defaults(model: &Model, bound: &[&str]) -> Result<Vec<String>, String> {
    let bound = bound.iter().map(|name| ((*name).to_owned(), DimBinding::Fixed(2))).collect();
    default_dims(&inputs(&source(model)).unwrap(), &bound).map_err(|error| error.to_string())
}

#[test]
fn only_a_leading_batch_has_a_default() {
    let image = model(13).input("image", &["batch", "3", "h", ""]).input("scale", &["batch"]);
    assert_eq!(
        defaults(&image, &[]),
        Err("the free dimensions `h` (axis 2 of `image`), `image.3` (axis 3 of `image`) have no size; pass --dim h=N \
             --dim image.3=N"
            .to_owned())
    );
    assert_eq!(defaults(&image, &["h", "image.3"]), Ok(vec!["batch".to_owned()]));
    assert_eq!(defaults(&image, &["h", "image.3", "batch"]), Ok(Vec::new()));
    // The only axis of all inputs that have it is a length, and so is one that stands elsewhere too.
    let sound = model(13).input("sound", &["samples"]);
    assert!(defaults(&sound, &[]).unwrap_err().contains("`samples` (axis 0 of `sound`) has no size"));
    let text = model(13).input("ids", &["t", "1"]).input("mask", &["1", "t"]);
    assert!(defaults(&text, &[]).unwrap_err().contains("(axis 0 of `ids`, axis 1 of `mask`)"));
    // Each place without a name is a size of its own.
    let pair = model(13).input("a", &["", "4"]).input("b", &["", "4"]);
    assert_eq!(defaults(&pair, &[]), Ok(vec!["a.0".to_owned(), "b.0".to_owned()]));
    let odd = model(13).input("x", &["1", "it's"]);
    assert!(defaults(&odd, &[]).unwrap_err().ends_with(r"--dim 'it'\''s'=N"));
}

#[test]
fn a_size_that_follows_from_a_bound_one_needs_no_binding() {
    let cache = model(13).input("past", &["1", "p"]).input("mask", &["1", "p + 1"]);
    assert!(defaults(&cache, &[]).is_err());
    assert_eq!(defaults(&cache, &["p"]), Ok(Vec::new()));
    assert_eq!(defaults(&cache, &["p + 1"]), Ok(Vec::new()));
}

#[test]
fn a_file_that_changes_while_it_is_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    std::fs::write(&path, reshape().bytes()).unwrap();
    let source = ModelSource::open(&path).unwrap();
    source.check_unchanged().unwrap();
    OpenOptions::new().append(true).open(&path).unwrap().write_all(b"more").unwrap();
    assert!(source.check_unchanged().unwrap_err().to_string().contains("model.onnx` changed"));

    // A new file under the old name leaves the one that was opened as it is.
    std::fs::write(&path, reshape().bytes()).unwrap();
    let source = ModelSource::open(&path).unwrap();
    std::fs::write(folder.path().join("new"), b"another").unwrap();
    std::fs::rename(folder.path().join("new"), &path).unwrap();
    source.check_unchanged().unwrap();
}

//! Models in the ONNX backend-test layout, imported, evaluated by `drift_ir::eval` and compared with onnxruntime.

use drift_ir::op::Slice;
use drift_ir::op::data::SliceAxis;
use drift_ir::{Dim, ElementType, Op, Tensor};
use drift_onnx::{
    DimBinding, ImportError, ImportOptions, ModelSource, NodeError, free_dims, import,
    infer_dims_from_inputs, inputs, read_tensor_pb,
};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/models")
}

/// The tensors `KIND_0.pb`, `KIND_1.pb`, ... of a data set.
fn read_all(data: &Path, kind: &str) -> Result<Vec<(String, Tensor)>, String> {
    let path = |index: usize| data.join(format!("{kind}_{index}.pb"));
    let files = (0..).map(path).take_while(|path| path.exists());
    let read = |path: PathBuf| {
        let bytes = fs::read(&path).map_err(|error| error.to_string())?;
        let (name, tensor) = read_tensor_pb(bytes).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok((name, at_the_boundary(tensor)))
    };
    files.map(read).collect()
}

/// Double crosses the model's boundary as f32.
fn at_the_boundary(tensor: Tensor) -> Tensor {
    match tensor.element() {
        ElementType::F64 => Tensor::from_f32(tensor.shape().to_vec(), &tensor.to_f32_vec()).unwrap(),
        _ => tensor,
    }
}

/// Starts the error of a model that is sound but asks for more than this version can do.
const UNSUPPORTED: &str = "unsupported: ";

fn text(error: ImportError) -> String {
    let is_unsupported = match &error {
        ImportError::Unsupported { .. } | ImportError::Opset { .. } | ImportError::Interface { .. } => true,
        ImportError::Node { reason, .. } => matches!(**reason, NodeError::Unsupported(_)),
        _ => false,
    };
    format!("{}{error}", if is_unsupported { UNSUPPORTED } else { "" })
}

/// Largest distance allowed: relative to the larger of the expected value and one.
fn tolerance(element: ElementType) -> f64 {
    match element {
        ElementType::F32 | ElementType::F64 => 1e-5,
        ElementType::F16 => 1e-3,
        _ => 0.0,
    }
}

fn compare(found: &Tensor, expected: &Tensor) -> Result<(), String> {
    if (found.element(), found.shape()) != (expected.element(), expected.shape()) {
        let of = |tensor: &Tensor| format!("{}{:?}", tensor.element().name(), tensor.shape());
        return Err(format!("is {}, expected {}", of(found), of(expected)));
    }
    let allowed = tolerance(expected.element());
    for (at, (x, y)) in found.to_f64_vec().into_iter().zip(expected.to_f64_vec()).enumerate() {
        let close = x == y || (x - y).abs() <= allowed * y.abs().max(1.0) || (x.is_nan() && y.is_nan());
        if !close {
            return Err(format!("element {at} is {x}, expected {y}"));
        }
    }
    Ok(())
}

/// The first elements along each axis: what is meant of a tensor with places for more.
fn front(tensor: &Tensor, sizes: &[i64]) -> Tensor {
    let cut =
        |(axis, &size): (usize, &i64)| SliceAxis { axis, start: 0, step: 1, count: Dim::Const(size as u64) };
    let axes = sizes.iter().enumerate().map(cut).collect();
    Op::Slice(Slice { axes }).eval(&[tensor]).unwrap().remove(0)
}

/// Whether free dimensions are bound to the data before the import, or stay free until evaluation, bounded or not.
#[derive(Clone, Copy)]
enum Dims {
    Bound,
    UpTo(u64),
    Free,
}

/// Runs one data set of a model.
fn run(folder: &Path, data: &Path, dims: Dims) -> Result<(), String> {
    let source = ModelSource::open(folder.join("model.onnx")).map_err(|error| error.to_string())?;
    let ports = inputs(&source).map_err(text)?;
    let given = read_all(data, "input")?;
    let shapes: Vec<(&str, &[u64])> =
        ports.iter().zip(&given).map(|(port, (_, tensor))| (port.name.as_str(), tensor.shape())).collect();
    let dims = match dims {
        Dims::Bound => infer_dims_from_inputs(&source, &shapes).map_err(text)?,
        Dims::UpTo(high) => {
            free_dims(&ports).into_iter().map(|name| (name, DimBinding::Range(1, high))).collect()
        }
        Dims::Free => BTreeMap::new(),
    };
    let imported = import(&source, &ImportOptions { dims, ..ImportOptions::default() }).map_err(text)?;
    drift_ir::verify::verify(&imported.graph).map_err(|error| format!("verify: {error}"))?;
    let given: Vec<Tensor> = given.into_iter().map(|(_, tensor)| tensor).collect();
    let found = drift_ir::eval::run(&imported.graph, &given).map_err(|error| format!("eval: {error}"))?;
    let expected = read_all(data, "output")?;
    let own = |name: &str| expected.iter().any(|(expected, _)| expected == name);
    let names: Vec<&str> =
        imported.graph.outputs().iter().map(|&output| imported.graph.value(output).name.as_str()).collect();
    if let Some(other) =
        names.iter().find(|name| !own(name) && !name.ends_with(".count") && !name.ends_with(".bound"))
    {
        return Err(format!("there is an output `{other}`"));
    }
    let tensors = &found;
    for (at, ((name, expected), found)) in expected.iter().zip(tensors).enumerate() {
        let output = imported.graph.outputs()[at];
        if imported.graph.value(output).name != *name {
            return Err(format!("output {at} is called {}", imported.graph.value(output).name));
        }
        let sizes = names.iter().position(|other| *other == format!("{name}.count"));
        let meant = sizes.map(|at| front(found, &tensors[at].to_i64_vec()));
        compare(meant.as_ref().unwrap_or(found), expected)
            .map_err(|reason| format!("output `{name}` {reason}"))?;
    }
    Ok(())
}

/// Runs all data sets of a model, and says how many there are.
fn check(folder: &Path, dims: Dims) -> Result<usize, String> {
    let sets =
        (0..).map(|index| folder.join(format!("test_data_set_{index}"))).take_while(|path| path.exists());
    let mut count = 0;
    for data in sets {
        run(folder, &data, dims)?;
        count += 1;
    }
    Ok(count)
}

/// The model folders in a folder, by name.
fn folders(of: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(of).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<PathBuf> = entries.filter(|path| path.join("model.onnx").exists()).collect();
    folders.sort();
    folders
}

fn check_operators(dims: Dims) {
    let folders = folders(&models().join("ops"));
    assert!(folders.len() >= 300, "only {} cases; run make_op_cases.py", folders.len());
    let fails = |folder: &PathBuf| {
        let name = folder.file_name().unwrap().to_string_lossy();
        check(folder, dims)
            .map_err(|error| format!("{name}: {error}"))
            .map(|sets| assert!(sets > 0, "{name}"))
            .err()
    };
    let failures: Vec<String> = folders.iter().filter_map(fails).collect();
    assert!(failures.is_empty(), "{} of {} fail:\n{}", failures.len(), folders.len(), failures.join("\n"));
}

#[test]
fn every_operator_case_gives_what_onnxruntime_gives() {
    check_operators(Dims::Bound);
}

#[test]
fn operator_cases_need_no_more_than_bounds_for_their_free_dims() {
    check_operators(Dims::UpTo(8));
}

#[test]
fn a_bert_gives_what_onnxruntime_gives() {
    let model = models().join("tiny_bert_dynamo18");
    assert_eq!(check(&model, Dims::Bound), Ok(2));
    // Its table of positions has 32 rows.
    assert_eq!(check(&model, Dims::UpTo(32)), Ok(2));
}

#[test]
fn a_sequence_that_may_outgrow_the_table_of_positions_asks_for_a_bound() {
    let error = check(&models().join("tiny_bert_dynamo18"), Dims::Free).unwrap_err();
    assert!(
        error.contains("`node_add_1` (Add): shapes [batch,sequence,64] and [1,min(32,sequence),64]"),
        "{error}"
    );
}

#[test]
fn a_mobilenet_gives_what_onnxruntime_gives() {
    let model = models().join("tiny_mobilenetv2_legacy17");
    assert_eq!(check(&model, Dims::Bound), Ok(2));
    assert_eq!(check(&model, Dims::Free), Ok(2));
}

/// Every model of the folder that `DRIFT_MODELS` names: those that are not supported are listed, the others must give the
/// outputs stored beside them. Without it the carried models, none of which may be unsupported.
#[test]
fn every_model_of_a_folder_gives_its_stored_outputs() {
    let named = std::env::var_os("DRIFT_MODELS").map(PathBuf::from);
    let folders = folders(named.as_deref().unwrap_or(&models()));
    let (mut passed, mut unsupported, mut failures) = (0, Vec::new(), Vec::new());
    for folder in &folders {
        let name = folder.file_name().unwrap().to_string_lossy();
        match check(folder, Dims::Bound) {
            Ok(0) => failures.push(format!("FAIL {name} has no data beside it")),
            Ok(_) => passed += 1,
            Err(error) => match error.strip_prefix(UNSUPPORTED).filter(|_| named.is_some()) {
                Some(reason) => unsupported.push(format!("UNSUPPORTED {name} {}", reason.replace('\n', ";"))),
                None => failures.push(format!("FAIL {name} {error}")),
            },
        }
    }
    let summary = format!("{passed} passed, {} failed, {} unsupported", failures.len(), unsupported.len());
    if named.is_some() {
        println!("{}\n{summary}", unsupported.join("\n"));
    }
    assert!(failures.is_empty() && passed > 0, "{summary}\n{}", failures.join("\n"));
}

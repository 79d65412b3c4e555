//! Models and kernel cases as bundles for WebGPU, with inputs and right outputs as files that a page can read.

use std::error::Error;
use std::fs;
use std::path::Path;

use drift_bundle::Bundle;
use drift_bundle::manifest::{Requirement, Target};
use drift_compiler::{CompileOptions, LayoutChoice, ModelIdentity, Precision, WeightsChoice, WeightsStorage};
use drift_ir::{Tensor, eval};
use drift_onnx::{ImportOptions, ModelSource, read_tensor_pb};
use serde_json::{Value, json};

use crate::conformance::{Setting, compiled, graph};
use crate::inputs::inputs;

/// Errors of a whole model against onnxruntime's outputs, as `driftc verify` has them.
const MODEL: (f64, f64) = (1e-4, 1e-3);

/// Errors of a small graph against the evaluator, in f32 and in f16.
const GRAPHS: [(f64, f64); 2] = [(1e-4, 1e-3), (2e-2, 2e-2)];

/// Name, profile, layouts of activations and weights, precision, and graph.
type WebCase = (&'static str, &'static str, LayoutChoice, Option<WeightsStorage>, Precision, &'static str);

/// What browsers' loaders must do that models do not ask of them: each a graph, a layout, a place for weights, a precision and
/// a profile.
const CASES: [WebCase; 8] = [
    ("textures", CONV, LayoutChoice::Texture2d, None, Precision::F32, "generic"),
    ("texture arrays", CONV, LayoutChoice::TextureArray, None, Precision::F32, "generic"),
    ("3D textures", CONV, LayoutChoice::Texture3d, None, Precision::F32, "generic"),
    (
        "weights in textures",
        CONV,
        LayoutChoice::Buffer,
        Some(WeightsStorage::Texture2d),
        Precision::F32,
        "generic",
    ),
    ("f16 kernels", CONV, LayoutChoice::Buffer, None, Precision::F16, "generic"),
    ("f16 in memory", CASTS, LayoutChoice::Buffer, None, Precision::F32, "generic"),
    ("an init program", CONV, LayoutChoice::Buffer, None, Precision::F32, "winograd-4x4"),
    ("integers and truth", INTEGERS, LayoutChoice::Buffer, None, Precision::F32, "generic"),
];

const CONV: &str = "%x: f32[1,4,6,11]\n@w: f32[8,4,3,3] = random(1)\n@v: f32[5,8,1,1] = random(2)\n@h: f32[] = 0.1\n\
     %1 = conv %x, @w {pads=[1,1,1,1]} epilogue(mul @h; relu)\n%2 = conv %1, @v\n%3 = softmax %2 {axis=1}\nreturn %3, %1";

const CASTS: &str = "%x: f32[3,5]\n%h: f16[3,5]\n%1 = cast %x {to=f16}\n%2 = cast %h {to=f32}\nreturn %1, %2";

const INTEGERS: &str = "%i: i64[3,5]\n%j: i64[5]\n%b: bool[3,5]\n%1 = add %i, %j\n%2 = cast %1 {to=f32}\n%3 = greater %i, %j\n\
     %4 = and %3, %b\nreturn %1, %2, %4";

/// A model of so many kernels that software takes 40 s to compile them.
const LONG: &str = "tiny_unet_sd_dynamo18";

/// Writes a bundle and the files of its data for each carried model of one file whose name begins with `tiny_`, and for each case, with
/// `cases.json` that lists them. What takes long is left out unless `long`.
pub fn write(models: &Path, folder: &Path, long: bool) -> Result<(), Box<dyn Error>> {
    let mut names: Vec<String> = fs::read_dir(models)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with("tiny_") && (long || name != LONG))
        .filter(|name| models.join(name).join("model.onnx").is_file())
        .collect();
    names.sort();
    let mut cases = Vec::new();
    for name in names {
        let (bundle, given, expected) =
            model(&models.join(&name)).map_err(|error| format!("{name}: {error}"))?;
        cases.push(case(folder, cases.len(), &name, (&bundle, &given, &expected), MODEL)?);
    }
    for (name, source, layout, storage, precision, profile) in CASES {
        let weights = WeightsChoice { storage, order: None };
        let setting = Setting { layout, precision, weights, profile, keep_attention: false };
        let graph = graph(source);
        let bundle = compiled(&graph, Target::WebGpu, setting).and_then(|made| Ok(made.bundle.to_bytes()?));
        let bundle = bundle.map_err(|error| format!("{name}: {error}"))?;
        let given = inputs(&graph, precision);
        let expected = eval::run(&graph, &given)?;
        let allowed = GRAPHS[usize::from(precision == Precision::F16)];
        cases.push(case(folder, cases.len(), name, (&bundle, &given, &expected), allowed)?);
    }
    fs::write(folder.join("cases.json"), Value::from(cases).to_string())?;
    Ok(())
}

/// Writes what the demo's page asks for: its model as a bundle, and the stored input and logits.
pub fn write_demo(model: &Path, folder: &Path) -> Result<(), Box<dyn Error>> {
    fs::write(folder.join("model.drift"), self::model(model)?.0)?;
    for file in ["input_0.pb", "output_1.pb"] {
        fs::copy(model.join("test_data_set_0").join(file), folder.join(file))?;
    }
    Ok(())
}

type Data = (Vec<u8>, Vec<Tensor>, Vec<Tensor>);

/// A carried model, compiled for the sizes of its first data set.
fn model(folder: &Path) -> Result<Data, Box<dyn Error>> {
    let source = ModelSource::open(folder.join("model.onnx"))?;
    let read = |what: &str| -> Result<Vec<Tensor>, Box<dyn Error>> {
        let paths = (0..).map(|index| folder.join(format!("test_data_set_0/{what}_{index}.pb")));
        let paths = paths.take_while(|path| path.exists());
        paths.map(|path| Ok(read_tensor_pb(fs::read(path)?)?.1)).collect()
    };
    let (given, expected) = (read("input")?, read("output")?);
    let ports = drift_onnx::inputs(&source)?;
    let shapes: Vec<(&str, &[u64])> =
        ports.iter().map(|port| port.name.as_str()).zip(given.iter().map(Tensor::shape)).collect();
    let dims = drift_onnx::infer_dims_from_inputs(&source, &shapes)?;
    let graph = drift_onnx::import(&source, &ImportOptions { dims, ..ImportOptions::default() })?.graph;
    let options = CompileOptions { targets: vec![Target::WebGpu], ..CompileOptions::default() };
    let identity = ModelIdentity { name: "model".to_owned(), hash: "0".repeat(64) };
    Ok((drift_compiler::compile(graph, identity, &options)?.bundle.to_bytes()?, given, expected))
}

/// Writes one case and returns its line.
fn case(
    folder: &Path,
    number: usize,
    name: &str,
    (bundle, given, expected): (&[u8], &[Tensor], &[Tensor]),
    (absolute, relative): (f64, f64),
) -> Result<Value, Box<dyn Error>> {
    let file = format!("{number}.drift");
    fs::write(folder.join(&file), bundle)?;
    let manifest = Bundle::from_bytes(bundle.to_vec())?.manifest().clone();
    let entry = &manifest.entries[0];
    let data = |what: &str, tensors: &[Tensor], names: Vec<&String>| -> Result<Vec<Value>, Box<dyn Error>> {
        assert_eq!(tensors.len(), names.len(), "{name}: {what}");
        let one = |(index, (tensor, name)): (usize, (&Tensor, &String))| -> Result<Value, Box<dyn Error>> {
            let file = format!("{number}.{what}.{index}");
            fs::write(folder.join(&file), tensor.bytes())?;
            Ok(json!({ "name": name, "file": file }))
        };
        tensors.iter().zip(names).enumerate().map(one).collect()
    };
    let inputs = data("input", given, entry.inputs.iter().map(|tensor| &tensor.name).collect())?;
    let outputs = data("output", expected, entry.outputs.iter().map(|tensor| &tensor.name).collect())?;
    Ok(json!({
        "name": name, "bundle": file, "inputs": inputs, "outputs": outputs,
        "absolute": absolute, "relative": relative,
        "f16": entry.variants.iter().all(|variant| variant.requires.contains(&Requirement::F16)),
    }))
}

//! The carried models, compiled for Metal, against onnxruntime's stored outputs.

use drift_bundle::manifest::Target;
use drift_compiler::{LayoutChoice, Precision, WeightsChoice};
use drift_ir::Tensor;
use drift_onnx::{DimBinding, ImportOptions, ModelSource, read_tensor_pb};
use drift_runtime::LoadOptions;
use drift_tests::conformance::{Setting, compile};
use drift_tests::msl;
use driftc::compare::{Tolerance, compare_values};
use driftc::dataset::{Case, find};
use std::error::Error;
use std::path::{Path, PathBuf};

/// Free dimensions of the models that have some, which are the first axes of their first input.
const DIMS: [(&str, &[&str]); 2] =
    [("tiny_bert_dynamo18", &["batch", "sequence"]), ("tiny_mobilenetv2_legacy17", &["batch"])];

const fn setting(layout: LayoutChoice, precision: Precision, profile: &'static str) -> Setting {
    Setting {
        layout,
        precision,
        weights: WeightsChoice { order: None, storage: None },
        profile,
        keep_attention: false,
    }
}

const BUFFERS: Setting = setting(LayoutChoice::Buffer, Precision::F32, "generic");
const TEXTURES: Setting = setting(LayoutChoice::Texture2d, Precision::F32, "generic");
const APPLE_F16: Setting = setting(LayoutChoice::Buffer, Precision::F16, "apple");
const MATRICES_F16: Setting = setting(LayoutChoice::Buffer, Precision::F16, "apple-matrices");

fn tensors(files: &[PathBuf]) -> Result<Vec<Tensor>, Box<dyn Error>> {
    files.iter().map(|path| Ok(read_tensor_pb(std::fs::read(path)?)?.1)).collect()
}

/// Runs each data set of a model, and says what is wrong. None where the model is refused.
fn check(case: &Case, setting: Setting) -> Result<Option<()>, Box<dyn Error>> {
    for data in &case.data_sets {
        let (inputs, expected) = (tensors(&data.inputs)?, tensors(&data.outputs)?);
        let names = DIMS.iter().find(|(name, _)| *name == case.name).map_or(&[][..], |(_, names)| names);
        let shape = inputs.first().map(|first| first.shape().to_vec()).unwrap_or_default();
        let dims = names.iter().zip(shape).map(|(name, size)| ((*name).to_owned(), DimBinding::Fixed(size)));
        let options = ImportOptions { dims: dims.collect(), ..ImportOptions::default() };
        let Ok(imported) = drift_onnx::import(&ModelSource::open(&case.path)?, &options) else {
            return Ok(None);
        };
        let graph = imported.graph;
        let bundle = match compile(&graph, Target::Metal, setting) {
            Ok(bundle) => bundle,
            // What no target takes.
            Err(_) if compile(&graph, Target::Vulkan, setting).is_err() => return Ok(None),
            Err(error) => return Err(error),
        };
        let variant = Some(setting.profile.to_owned());
        let options = LoadOptions { any_vendor: true, untried: true, variant, ..LoadOptions::default() };
        let mut session = msl::open().load_with(&bundle, &options)?;
        for (&id, tensor) in graph.inputs().iter().zip(&inputs) {
            session.write_raw(&graph.value(id).name, tensor.bytes())?;
        }
        session.run()?;
        for ((output, got), expected) in driftc::meant::read(&mut session)?.into_iter().zip(&expected) {
            if got.shape() != expected.shape() {
                return Err(format!("`{}` is {:?}", output.name, got.shape()).into());
            }
            let tolerance = match setting.precision {
                Precision::F32 => Tolerance::F32,
                Precision::F16 => Tolerance::F16,
            };
            let difference = compare_values(&got.to_f64(), &expected.to_f64_vec(), tolerance);
            if !difference.passes() {
                return Err(format!("`{}`: {difference:?}", output.name).into());
            }
        }
    }
    Ok(Some(()))
}

fn models(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(folder)
}

#[track_caller]
fn fine(name: &str, settings: &[Setting]) {
    let cases = find(&models(name), None).expect("a model");
    for &setting in settings {
        let done = check(&cases[0], setting).unwrap_or_else(|error| panic!("{name} {setting:?}: {error}"));
        assert!(done.is_some(), "{name} {setting:?} is refused");
    }
}

#[test]
fn an_encoder_agrees_with_onnxruntime() {
    fine("tiny_bert_dynamo18", &[BUFFERS, APPLE_F16, MATRICES_F16]);
    fine("tiny_bert_sdpa_dynamo23_static", &[TEXTURES]);
}

#[test]
fn a_decoder_agrees_with_onnxruntime() {
    fine("tiny_llama_torch_dynamo18_static_decode", &[BUFFERS, APPLE_F16]);
}

#[test]
fn a_vision_model_agrees_with_onnxruntime() {
    fine("tiny_mobilenetv2_legacy17", &[BUFFERS, TEXTURES, APPLE_F16]);
}

#[test]
fn a_unet_agrees_with_onnxruntime() {
    fine("tiny_unet_sd_dynamo18", &[TEXTURES, APPLE_F16, MATRICES_F16]);
}

/// One model in twenty of one operator each; all of them with `cargo xtask matrix`.
#[test]
fn models_of_one_operator_agree_with_onnxruntime() {
    let is_full = std::env::var("DRIFT_MATRIX").is_ok_and(|matrix| matrix == "full");
    let cases = find(&models("ops"), None).expect("models");
    let (mut failures, mut passed) = (Vec::new(), 0);
    for case in cases.iter().step_by(if is_full { 1 } else { 20 }) {
        match check(case, BUFFERS) {
            Ok(done) => passed += usize::from(done.is_some()),
            Err(error) => failures.push(format!("{}: {error}", case.name)),
        }
    }
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
    assert!(passed >= 25, "only {passed} are not refused");
}

//! Every shader that is emitted for Metal: those of the kernels' cases, and those of the models that are carried.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::Path;

use drift_bundle::Bundle;
use drift_bundle::manifest::Target;
use drift_compiler::{LayoutChoice, Precision, WeightsChoice};
use drift_ir::Graph;
use drift_onnx::{DimBinding, ImportOptions, ModelSource};

use crate::cases;
use crate::conformance::{Setting, compile, graph};

/// A shader's text, and the first that needs it.
#[derive(Clone, Debug)]
pub struct Named {
    /// `softmax/c5 Buffer F32: softmax_0`.
    pub name: String,
    /// MSL.
    pub text: String,
}

/// The models, with the sizes of their free dims.
const MODELS: [(&str, &[(&str, u64)]); 5] = [
    ("tiny_bert_dynamo18", &[("batch", 1), ("sequence", 16)]),
    ("tiny_bert_sdpa_dynamo23_static", &[]),
    ("tiny_llama_torch_dynamo18_static_decode", &[]),
    ("tiny_mobilenetv2_legacy17", &[("batch", 1)]),
    ("tiny_unet_sd_dynamo18", &[]),
];

/// The distinct shaders of the models in `folder`, and, where `all`, of every kernel case under every layout and precision
/// that Metal has.
pub fn shaders(folder: &Path, all: bool) -> Result<Vec<Named>, Box<dyn Error>> {
    let mut found = Found::default();
    for (name, dims) in MODELS {
        let graph = model(folder, name, dims).map_err(|error| format!("{name}: {error}"))?;
        found.add_settings(name, &graph)?;
    }
    for case in cases::all().filter(|_| all) {
        found.add_settings(case.name, &graph(case.graph))?;
    }
    Ok(found.shaders)
}

#[derive(Default)]
struct Found {
    shaders: Vec<Named>,
    seen: BTreeSet<String>,
}

impl Found {
    fn add_settings(&mut self, of: &str, graph: &Graph) -> Result<(), Box<dyn Error>> {
        for setting in settings(of) {
            let Setting { layout, precision, profile, .. } = setting;
            let place = format!("{of} {layout:?} {precision:?} {profile}");
            let bundle =
                compile(graph, Target::Metal, setting).map_err(|error| format!("{place}: {error}"))?;
            self.add(&place, &bundle)?;
        }
        Ok(())
    }

    fn add(&mut self, place: &str, bundle: &Bundle) -> Result<(), Box<dyn Error>> {
        for shader in &bundle.manifest().shaders {
            let text = str::from_utf8(bundle.shader_code(shader))?;
            if self.seen.insert(text.to_owned()) {
                let name = format!("{place}: {}", shader.name);
                self.shaders.push(Named { name, text: text.to_owned() });
            }
        }
        Ok(())
    }
}

/// What a case is compiled under.
pub(super) fn settings(case: &str) -> impl Iterator<Item = Setting> {
    let keep_attention = case.starts_with("attention_");
    let layouts = [LayoutChoice::Buffer, LayoutChoice::Texture2d];
    let setting = move |layout, precision, profile| Setting {
        layout,
        precision,
        weights: WeightsChoice::default(),
        profile,
        keep_attention,
    };
    let generic = layouts.into_iter().flat_map(move |layout| {
        [Precision::F32, Precision::F16].map(|precision| setting(layout, precision, "generic"))
    });
    let has_matrices = case.starts_with("matmul_cooperative/");
    let matrices = layouts.into_iter().filter(move |_| has_matrices);
    generic.chain(matrices.map(move |layout| setting(layout, Precision::F16, "apple-matrices")))
}

fn model(folder: &Path, name: &str, dims: &[(&str, u64)]) -> Result<Graph, Box<dyn Error>> {
    let source = ModelSource::open(folder.join(name).join("model.onnx"))?;
    let dims = dims.iter().map(|&(dim, size)| (dim.to_owned(), DimBinding::Fixed(size))).collect();
    Ok(drift_onnx::import(&source, &ImportOptions { dims, ..ImportOptions::default() })?.graph)
}

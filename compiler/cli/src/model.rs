//! From a path and flags to a graph, and to the options that the compiler takes.

use crate::args::{CompileFlags, DimSize, LayoutArg, PrecisionArg, WeightsArg, WeightsLayoutArg};
use crate::error::CliError;
use drift_bundle::manifest::Target;
use drift_compiler::{
    CompileOptions, LayoutChoice, ModelIdentity, Precision, WeightsChoice, WeightsObject, WeightsPrecision,
};
use drift_ir::Graph;
use drift_onnx::{DimBinding, ImportError, ImportOptions, ModelSource};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;

/// Sizes of free dimensions, by name.
pub type Dims = BTreeMap<String, DimBinding>;

/// An imported model.
pub struct Model {
    /// Its graph.
    pub graph: Graph,
    /// What a bundle says about where it comes from.
    pub identity: ModelIdentity,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// Maps a model file and its external data.
pub fn open(path: &Path) -> Result<ModelSource, CliError> {
    ModelSource::open(path).map_err(|error| CliError::model(path, error.into()))
}

/// Imports an opened model. Free dimensions that nothing binds become 1, with a note.
pub fn import(source: &ModelSource, mut dims: Dims) -> Result<Model, ImportError> {
    let mut notes = Vec::new();
    for name in drift_onnx::free_dims(&drift_onnx::inputs(source)?) {
        if let Entry::Vacant(free) = dims.entry(name) {
            let name = free.key();
            notes
                .push(format!("the free dimension `{name}` becomes 1; --dim {name}=N gives it another size"));
            free.insert(DimBinding::Fixed(1));
        }
    }
    let imported = drift_onnx::import(source, &ImportOptions { dims })?;
    notes.extend(imported.warnings.iter().map(ToString::to_string));
    let identity = identity(source, &imported.graph);
    Ok(Model { graph: imported.graph, identity, notes })
}

/// What a bundle says about where it comes from.
pub fn identity(source: &ModelSource, graph: &Graph) -> ModelIdentity {
    ModelIdentity { name: graph.name.clone(), hash: hash(source) }
}

/// The sizes given on the command line; a later one for the same name wins.
pub fn dims(flags: &CompileFlags) -> Dims {
    let binding = |size| match size {
        DimSize::Fixed(size) => DimBinding::Fixed(size),
        DimSize::Range(low, high) => DimBinding::Range(low, high),
    };
    flags.dim.iter().map(|dim| (dim.name.clone(), binding(dim.size))).collect()
}

/// The sizes for each of several models: `NAME=N` binds that dimension wherever a model has it, `ENTRY.NAME=N` binds it
/// in one of them and wins. A name that no model has is refused by the import of the first.
pub fn entry_dims(
    flags: &CompileFlags,
    entries: &[String],
    sources: &[ModelSource],
) -> Result<Vec<Dims>, (usize, ImportError)> {
    let all = dims(flags);
    let [_, _, ..] = entries else { return Ok(vec![all]) };
    let mut free = Vec::new();
    for (index, source) in sources.iter().enumerate() {
        let inputs = drift_onnx::inputs(source).map_err(|error| (index, error))?;
        free.push(drift_onnx::free_dims(&inputs));
    }
    let mut bound = vec![Dims::new(); entries.len()];
    for (name, binding) in &all {
        let mut used = false;
        for (index, free) in free.iter().enumerate() {
            if free.contains(name) && !all.contains_key(&format!("{}.{name}", entries[index])) {
                bound[index].insert(name.clone(), *binding);
                used = true;
            }
            let own = name.strip_prefix(entries[index].as_str()).and_then(|rest| rest.strip_prefix('.'));
            if let Some(own) = own.filter(|own| free.iter().any(|name| name == own)) {
                bound[index].insert(own.to_owned(), *binding);
                used = true;
            }
        }
        if !used {
            bound[0].insert(name.clone(), *binding);
        }
    }
    Ok(bound)
}

/// What a bundle of several models says about where it comes from.
pub fn joint_identity(entries: &[String], models: impl Iterator<Item = ModelIdentity>) -> ModelIdentity {
    let mut hasher = blake3::Hasher::new();
    let mut names = Vec::new();
    for (entry, model) in entries.iter().zip(models) {
        hasher.update(format!("{entry}={}\n", model.hash).as_bytes());
        names.push(format!("{entry}={}", model.name));
    }
    ModelIdentity { name: names.join(" "), hash: hasher.finalize().to_hex().to_string() }
}

/// The compiler's options for these flags.
pub fn options(flags: &CompileFlags, targets: Vec<Target>) -> CompileOptions {
    CompileOptions {
        targets,
        profiles: flags.profile.clone(),
        precision: flags.precision.map(|precision| match precision {
            PrecisionArg::F32 => Precision::F32,
            PrecisionArg::F16 => Precision::F16,
        }),
        weights: flags.weights.map(|weights| match weights {
            WeightsArg::F32 => WeightsPrecision::F32,
            WeightsArg::F16 => WeightsPrecision::F16,
            WeightsArg::Q8 => WeightsPrecision::Q8,
            WeightsArg::Q844 => WeightsPrecision::Q844,
        }),
        layout: match flags.layout {
            LayoutArg::Auto => LayoutChoice::Auto,
            LayoutArg::Buffer => LayoutChoice::Buffer,
            LayoutArg::Texture2d => LayoutChoice::Texture2d,
            LayoutArg::ImageBuffer => LayoutChoice::ImageBuffer,
            LayoutArg::TextureArray => LayoutChoice::TextureArray,
            LayoutArg::Texture3d => LayoutChoice::Texture3d,
        },
        weights_layout: WeightsChoice {
            object: match flags.weights_layout {
                WeightsLayoutArg::Auto => None,
                WeightsLayoutArg::Buffer => Some(WeightsObject::Buffer),
                WeightsLayoutArg::ImageBuffer => Some(WeightsObject::ImageBuffer),
                WeightsLayoutArg::Texture2d => Some(WeightsObject::Texture2d),
                WeightsLayoutArg::FourTextures => Some(WeightsObject::FourTextures),
            },
            order: None,
        },
        disabled: flags.disable.clone(),
        optimize: true,
    }
}

/// Bytes that are hashed, or packed, before pages of the model are given back: resident memory stays far below the
/// model's size.
pub const RELEASE_BYTES: usize = 64 << 20;

/// BLAKE3 over the model file, then its external data; without such data it is the hash of the file.
fn hash(source: &ModelSource) -> String {
    let mut hasher = blake3::Hasher::new();
    for piece in source.parts().flat_map(|(_, bytes)| bytes.chunks(RELEASE_BYTES)) {
        hasher.update(piece);
        if piece.len() == RELEASE_BYTES {
            source.release_pages();
        }
    }
    hasher.finalize().to_hex().to_string()
}

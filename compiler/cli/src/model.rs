//! From a path and flags to a graph, and to the options that the compiler takes.

use crate::args::{
    BindArg, CompileFlags, DimSize, IoArg, LayoutArg, PrecisionArg, WeightsArg, WeightsLayoutArg,
};
use crate::bind::{self, Bindings, Dims};
use crate::error::CliError;
use crate::{Console, files};
use drift_bundle::manifest::Target;
use drift_compiler::{
    CompileOptions, LayoutChoice, ModelIdentity, Precision, WeightsChoice, WeightsPrecision, WeightsStorage,
};
use drift_ir::Graph;
use drift_onnx::{DimBinding, ImportError, ImportOptions, Logits, ModelSource, Port, SourceError};
use std::path::Path;

/// An imported model.
pub struct Model {
    /// Its graph.
    pub graph: Graph,
    /// What a bundle says about where it comes from.
    pub identity: ModelIdentity,
    /// What was decided where the caller said nothing.
    pub notes: Vec<String>,
    /// What is not exactly as the file has it.
    pub warnings: Vec<String>,
}

impl Model {
    /// Tells notes and warnings, each after the model's name where it has one.
    pub(crate) fn tell(&self, name: Option<&str>, console: &mut Console<'_>) -> Result<(), CliError> {
        let of = |text: &String| name.map_or_else(|| text.clone(), |name| format!("{name}: {text}"));
        console.notes(&self.notes.iter().map(of).collect::<Vec<_>>())?;
        console.warnings(&self.warnings.iter().map(of).collect::<Vec<_>>())
    }
}

/// Refuses flags that shape a model where a bundle is given.
pub fn refuse_flags(flags: &CompileFlags) -> Result<(), CliError> {
    if *flags == CompileFlags::default() {
        return Ok(());
    }
    Err(CliError::Usage("a compile flag needs a model; a bundle is compiled already".to_owned()))
}

/// The same, but for `--dim`, which of a bundle says the size of a dimension that was left free.
pub fn refuse_flags_but_dims(flags: &CompileFlags) -> Result<(), CliError> {
    refuse_flags(&CompileFlags { dim: Vec::new(), ..flags.clone() })
}

/// Maps a model file and its external data.
pub fn open(path: &Path) -> Result<ModelSource, CliError> {
    files::check_regular(path)?;
    ModelSource::open(path).map_err(|error| CliError::model(path, error.into()))
}

/// Opens a model and binds what the flags bind.
pub fn open_bound(path: &Path, flags: &CompileFlags) -> Result<(ModelSource, Bindings), CliError> {
    let mut source = open(path)?;
    let dims = cut(&mut source, path, flags)?;
    for bound in &flags.bound {
        source.set_bound(&bound.name, bound.places);
    }
    let binds: Vec<(&str, &BindArg)> = flags.bind.iter().map(|bind| (bind.name.as_str(), bind)).collect();
    let bindings = bind::apply(&mut source, path, &binds, dims)?;
    Ok((source, bindings))
}

/// Leaves the part of a model that the flags name. Returns the sizes given for it: those that only the rest of the model has
/// have served.
pub fn cut(source: &mut ModelSource, path: &Path, flags: &CompileFlags) -> Result<Dims, CliError> {
    let (cut, mut dims) = (flags.cut(), dims(flags));
    if cut.is_empty() {
        return Ok(dims);
    }
    // A model whose own inputs cannot be read may have a part whose can.
    let names = |source: &ModelSource| drift_onnx::inputs(source).map(|ports| drift_onnx::sizes(&ports));
    let whole = names(source).unwrap_or_default();
    let failed = |error| CliError::model(path, error);
    source.cut(&cut, &dims).map_err(failed)?;
    let part = names(source).map_err(failed)?;
    dims.retain(|name, _| part.contains(name) || !whole.contains(name));
    Ok(dims)
}

/// Opens and imports a model as the flags want it.
pub fn load(path: &Path, flags: &CompileFlags) -> Result<Model, CliError> {
    let (source, bindings) = open_bound(path, flags)?;
    import(&source, bindings.dims, flags.logits.into()).map_err(|error| CliError::model(path, error))
}

/// Imports an opened model. A batch that nothing binds becomes 1, with a note.
pub fn import(source: &ModelSource, mut dims: Dims, logits: Logits) -> Result<Model, ImportError> {
    let mut notes = Vec::new();
    let inputs = drift_onnx::inputs(source)?;
    for (name, size) in drift_onnx::head_sizes(source, &inputs, &dims) {
        notes.push(format!(
            "the free dimension `{name}` becomes {size}, as the model's rotary embeddings have it"
        ));
        dims.insert(name, DimBinding::Fixed(size));
    }
    for name in drift_onnx::default_dims(&inputs, &dims)? {
        notes.push(format!("the free dimension `{name}` becomes 1; --dim {name}=N gives it another size"));
        dims.insert(name, DimBinding::Fixed(1));
    }
    let imported = drift_onnx::import(source, &ImportOptions { dims, logits })?;
    let warnings = imported.warnings.iter().map(ToString::to_string).collect();
    let identity = identity(source, &imported.graph);
    Ok(Model { graph: imported.graph, identity, notes, warnings })
}

/// What a bundle says about where it comes from.
pub fn identity(source: &ModelSource, graph: &Graph) -> ModelIdentity {
    ModelIdentity { name: graph.name.clone(), hash: hash(source) }
}

/// A size as the importer has it.
pub const fn binding(size: DimSize) -> DimBinding {
    match size {
        DimSize::Fixed(size) => DimBinding::Fixed(size),
        DimSize::Range(low, high) => DimBinding::Range(low, high),
        DimSize::Steps(low, high, step) => DimBinding::Steps(low, high, step),
    }
}

/// The sizes given on the command line, none of them twice.
pub fn dims(flags: &CompileFlags) -> Dims {
    flags.dim.iter().map(|dim| (dim.name.clone(), binding(dim.size))).collect()
}

/// Binds the dimensions and inputs of each of several models: `NAME=...` means every model that has one so called,
/// `ENTRY.NAME=...` that of one model, and wins. A name that no model has is left to the first, which refuses it.
pub fn bind_entries(
    flags: &CompileFlags,
    entries: &[String],
    paths: &[&Path],
    sources: &mut [ModelSource],
) -> Result<Vec<Bindings>, CliError> {
    let all = match (&mut *sources, paths) {
        ([source], [path]) => cut(source, path, flags)?,
        _ if flags.cut().is_empty() => dims(flags),
        _ => {
            let text =
                "--inputs and --outputs cut one model; compile a part of several into bundles of their own";
            return Err(CliError::Usage(text.to_owned()));
        }
    };
    set_bounds(flags, entries, sources);
    let mut inputs = Vec::new();
    for (source, path) in sources.iter().zip(paths) {
        inputs.push(drift_onnx::inputs(source).map_err(|error| CliError::model(path, error))?);
    }
    let dims = entry_dims(all, entries, &inputs);
    let has_input = |entry: usize, name: &str| inputs[entry].iter().any(|port| port.name == name);
    let binds = bind::of_entries(&flags.bind, |bind| &bind.name, entries, has_input);
    let all = sources.iter_mut().zip(paths).zip(binds).zip(dims);
    all.map(|(((source, path), binds), dims)| bind::apply(source, path, &binds, dims)).collect()
}

/// Gives each of several models the bounds that are for it.
fn set_bounds(flags: &CompileFlags, entries: &[String], sources: &mut [ModelSource]) {
    let has_name = |entry: usize, name: &str| sources[entry].has_name(name);
    let bounds = bind::of_entries(&flags.bound, |bound| &bound.name, entries, has_name);
    for (source, bounds) in sources.iter_mut().zip(bounds) {
        for (name, bound) in bounds {
            source.set_bound(name, bound.places);
        }
    }
}

fn entry_dims(all: Dims, entries: &[String], inputs: &[Vec<Port>]) -> Vec<Dims> {
    let [_, _, ..] = entries else { return vec![all] };
    let free: Vec<Vec<String>> = inputs.iter().map(|ports| drift_onnx::free_dims(ports)).collect();
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
    bound
}

/// What a bundle of several models says about where it comes from.
pub fn joint_identity(entries: &[String], models: &[ModelIdentity]) -> ModelIdentity {
    let mut hasher = blake3::Hasher::new();
    let mut names = Vec::new();
    for (entry, model) in entries.iter().zip(models) {
        hasher.update(format!("{entry}={}\n", model.hash).as_bytes());
        names.push(format!("{entry}={}", model.name));
    }
    ModelIdentity { name: names.join(" "), hash: hasher.finalize().to_hex().to_string() }
}

/// The compiler's options for these flags, without calibration data.
pub fn options(flags: &CompileFlags, targets: Vec<Target>) -> CompileOptions {
    CompileOptions {
        self_test: false,
        mixed: None,
        targets,
        profiles: flags.profile.clone(),
        precision: flags.precision.map(|precision| match precision {
            PrecisionArg::F32 => Precision::F32,
            PrecisionArg::F16 | PrecisionArg::Mixed => Precision::F16,
        }),
        weights: flags.weights.map(|weights| match weights {
            WeightsArg::F32 => WeightsPrecision::F32,
            WeightsArg::F16 => WeightsPrecision::F16,
            WeightsArg::Q8 => WeightsPrecision::Q8,
            WeightsArg::Q4 => WeightsPrecision::Q4,
            WeightsArg::Q844 => WeightsPrecision::Q844,
        }),
        keep: flags.keep.clone(),
        layout: match flags.layout {
            LayoutArg::Auto => LayoutChoice::Auto,
            LayoutArg::Buffer => LayoutChoice::Buffer,
            LayoutArg::Texture2d => LayoutChoice::Texture2d,
            LayoutArg::ImageBuffer => LayoutChoice::ImageBuffer,
            LayoutArg::TextureArray => LayoutChoice::TextureArray,
            LayoutArg::Texture3d => LayoutChoice::Texture3d,
        },
        weights_layout: WeightsChoice {
            storage: match flags.weights_layout {
                WeightsLayoutArg::Auto => None,
                WeightsLayoutArg::Buffer => Some(WeightsStorage::Buffer),
                WeightsLayoutArg::ImageBuffer => Some(WeightsStorage::ImageBuffer),
                WeightsLayoutArg::Texture2d => Some(WeightsStorage::Texture2d),
                WeightsLayoutArg::FourTextures => Some(WeightsStorage::FourTextures),
            },
            order: None,
        },
        own_io: flags.io == IoArg::Own,
        disabled: flags.disable.clone(),
        optimize: true,
        import_flags: import_flags(flags),
    }
}

/// `--dim`, `--bound`, `--bind` and cut points as a bundle tells them; of a file only its name, since folders are nobody else's business.
fn import_flags(flags: &CompileFlags) -> Vec<String> {
    let mut told: Vec<String> =
        dims(flags).into_iter().map(|(name, binding)| format!("--dim {name}={binding}")).collect();
    let mut binds: Vec<String> = flags
        .bind
        .iter()
        .map(|BindArg { name, value }| {
            let value =
                Path::new(value).file_name().map_or_else(|| value.into(), |name| name.to_string_lossy());
            format!("--bind {name}={value}")
        })
        .collect();
    binds.sort();
    let mut bounds: Vec<String> =
        flags.bound.iter().map(|bound| format!("--bound {}={}", bound.name, bound.places)).collect();
    bounds.sort();
    told.extend(bounds);
    told.extend(binds);
    told.extend(flags.inputs.iter().map(|list| format!("--inputs {list}")));
    told.extend(flags.outputs.iter().map(|list| format!("--outputs {list}")));
    told
}

/// Bytes that are hashed, or packed, before pages of the model are given back: resident memory stays far below the
/// model's size.
pub const RELEASE_BYTES: usize = 64 << 20;

/// Refuses a model whose files changed since its identity was taken: length and time of each, and the hash of all.
pub fn check_unchanged(source: &ModelSource, path: &Path, identity: &ModelIdentity) -> Result<(), CliError> {
    source.check_unchanged().map_err(|error| CliError::model(path, error.into()))?;
    if hash(source) == identity.hash {
        return Ok(());
    }
    let changed = SourceError::Changed { path: path.to_owned() };
    Err(CliError::model(path, changed.into()))
}

/// BLAKE3 over the model file, then its external data; without such data it is the hash of the file.
pub fn hash(source: &ModelSource) -> String {
    let mut hasher = blake3::Hasher::new();
    for piece in source.parts().flat_map(|(_, bytes)| bytes.chunks(RELEASE_BYTES)) {
        hasher.update(piece);
        if piece.len() == RELEASE_BYTES {
            source.release_pages();
        }
    }
    hasher.finalize().to_hex().to_string()
}

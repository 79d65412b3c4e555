//! `driftc MODEL.onnx`: compiles a model into a bundle, or prints a stage on the way there.

use crate::args::{CompileArgs, Emit, EntryArg};
use crate::bind::Dims;
use crate::error::CliError;
use crate::output::{self, Output};
use crate::progress::Progress;
use crate::report::{self, CompileJson};
use crate::spill::Spill;
use crate::units::{bytes, milliseconds};
use crate::{Console, Outcome, calibrate, kept, model};
use drift_bundle::BundleWriter;
use drift_bundle::manifest::Target;
use drift_bundle::self_test::tested_entry;
use drift_compiler::quantize::QuantizedWeight;
use drift_compiler::{
    CompileError, CompileOptions, CompileReport, EntryModel, MAIN_ENTRY, MixedReport, ModelIdentity, Stage,
};
use drift_ir::Graph;
use drift_onnx::{DimBinding, Logits, ModelSource};
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Values that stay f32 under mixed precision that are named on the screen.
const MOST_KEPT: usize = 20;

/// The entry that `--greedy` adds, and the one that it is made from.
pub(crate) const GREEDY: &str = "greedy";
pub(crate) const DECODE: &str = "decode";

/// Runs `driftc MODEL.onnx`, or `driftc NAME=MODEL.onnx...`.
pub fn run(args: &CompileArgs, console: &mut Console<'_>) -> Result<Outcome, CliError> {
    let args = &*with_greedy(args)?;
    let names = entry_names(args)?;
    let progress = Progress::spinner("importing");
    let started = Instant::now();
    let mut sources: Vec<ModelSource> = paths(args).into_iter().map(model::open).collect::<Result<_, _>>()?;
    let imported = import(args, &names, &mut sources)?;
    let import_ms = milliseconds_since(started);
    progress.suspend(|| {
        console.notes(&imported.notes)?;
        console.warnings(&imported.warnings)
    })?;
    progress.message("compiling");
    let targets: Vec<Target> = args.target.iter().map(|target| Target::from(*target)).collect();
    let graphs: Vec<&Graph> = imported.models.iter().map(|model| &model.graph).collect();
    let options = calibrate::options(&args.flags, targets, &graphs)?;
    let options = CompileOptions { self_test: args.self_test, ..options };
    if let Some(emit) = &args.emit {
        let texts = stage_texts(args, imported.models, &options, stage(emit))?;
        drop(progress);
        write_stage(emit, &texts, console)?;
        return Ok(Outcome::Fine);
    }
    let path = args.output.clone().unwrap_or_else(|| default_output(&args.models[0].path));
    // Before the long work, so that a folder that is not there is told at once.
    let mut output = Output::create(&path)?;
    let spill = Spill::beside(&path);
    let store = |numbers: Vec<u8>| {
        let kept = spill.keep(numbers);
        // What they were made of is not needed until the next weight is read.
        sources.iter().for_each(ModelSource::release_pages);
        kept
    };
    let compiled = drift_compiler::compile_entries_with(imported.models, imported.identity, &options, &store)
        .map_err(|error| failed(args, &names, error))?;
    progress.message("writing");
    let started = Instant::now();
    let size = write_bundle(compiled.bundle, &path, &mut output, (&sources, &spill), &progress)?;
    // Entries of one model are one file.
    for ((source, model), identity) in sources.iter().zip(&args.models).zip(&imported.identities) {
        model::check_unchanged(source, &model.path, identity)?;
    }
    output.commit()?;
    let write_ms = milliseconds_since(started);
    drop(progress);

    let mut stages = vec![("import", import_ms)];
    stages.extend(compiled.report.stages.iter().copied());
    stages.push(("write", write_ms));
    let CompileReport { notes, warnings, .. } = &compiled.report;
    console.notes(notes)?;
    console.warnings(warnings)?;
    let warnings = imported.notes.iter().chain(&imported.warnings).chain(notes).chain(warnings);
    let CompileReport { quantized, mixed, .. } = &compiled.report;
    let report = report(&stages, warnings, (quantized, mixed));
    output::write_document(args.json.as_deref(), "compile", &report, console)?;
    for QuantizedWeight { name, form, elements, bytes: size, relative_error } in quantized {
        let bits = *size as f64 * 8.0 / *elements as f64;
        let size = bytes(*size);
        writeln!(
            console.out(),
            "{name}: {form}, {size}, {bits:.2} bits a weight, error {relative_error:.4}"
        )?;
    }
    kept::print(mixed, Some(MOST_KEPT), console.out())?;
    let (size, time) = (bytes(size), milliseconds(report.total_ms));
    writeln!(console.out(), "{}: {size}, compiled in {time}", path.display())?;
    Ok(Outcome::Fine)
}

fn milliseconds_since(started: Instant) -> f64 {
    started.elapsed().as_secs_f64() * 1e3
}

/// Writes the bundle and returns its size. What was packed from the models is not needed again.
fn write_bundle(
    bundle: BundleWriter,
    path: &Path,
    output: &mut Output,
    (sources, spill): (&[ModelSource], &Spill),
    progress: &Progress,
) -> Result<u64, CliError> {
    let released = AtomicU64::new(0);
    let report = |written: u64, total: u64| {
        progress.message(&format!("writing {} of {}", bytes(written), bytes(total)));
        if written - released.load(Ordering::Relaxed) >= model::RELEASE_BYTES as u64 {
            released.store(written, Ordering::Relaxed);
            sources.iter().for_each(ModelSource::release_pages);
            spill.release_pages();
        }
    };
    bundle.finish_into(output.file(), path, &report).map_err(CliError::emitted)?;
    let size = output.file().metadata().map(|metadata| metadata.len());
    size.map_err(|source| CliError::Write { path: path.to_owned(), source })
}

/// The arguments with the entry that `--greedy` adds.
fn with_greedy(args: &CompileArgs) -> Result<Cow<'_, CompileArgs>, CliError> {
    if !args.greedy {
        return Ok(Cow::Borrowed(args));
    }
    let Some(decode) = args.entry.iter().find(|entry| entry.name == DECODE) else {
        let text = format!(
            "--greedy makes the entry `{GREEDY}` of one model from its entry `{DECODE}`; add --entry {DECODE}:NEW=1, where NEW is \
             the model's dimension of new tokens (sequence_length)"
        );
        return Err(CliError::Usage(text));
    };
    let greedy = EntryArg { name: GREEDY.to_owned(), dims: decode.dims.clone() };
    let mut args = args.clone();
    args.entry.push(greedy);
    Ok(Cow::Owned(args))
}

/// The entry that each model becomes: `main` for one model without a name. No entry has the name of another's self-test.
fn entry_names(args: &CompileArgs) -> Result<Vec<String>, CliError> {
    let names = given_names(args)?;
    match names.iter().find(|name| args.self_test && tested_entry(name).is_some()) {
        Some(name) => {
            let text = format!("`{name}` is the name of a self-test; name the entry otherwise");
            Err(CliError::Usage(text))
        }
        None => Ok(names),
    }
}

fn given_names(args: &CompileArgs) -> Result<Vec<String>, CliError> {
    let usage = |text: String| Err(CliError::Usage(text));
    if !args.entry.is_empty() {
        return named_entries(args);
    }
    if let [model] = args.models.as_slice() {
        return Ok(vec![model.entry.clone().unwrap_or_else(|| MAIN_ENTRY.to_owned())]);
    }
    if args.output.is_none() && args.emit.is_none() {
        return usage("several models make one bundle; name it with -o OUT.drift".to_owned());
    }
    let mut names: Vec<String> = Vec::new();
    for model in &args.models {
        match &model.entry {
            None => {
                let path = model.path.display();
                return usage(format!("of several models each needs a name: NAME={path}"));
            }
            Some(name) if names.contains(name) => {
                return usage(format!("two models are named `{name}`"));
            }
            Some(name) => names.push(name.clone()),
        }
    }
    Ok(names)
}

/// The names of `--entry`, each once.
fn named_entries(args: &CompileArgs) -> Result<Vec<String>, CliError> {
    if !matches!(args.models.as_slice(), [model] if model.entry.is_none()) {
        let text = "--entry makes several entries of one model, which has no name of its own".to_owned();
        return Err(CliError::Usage(text));
    }
    let names: Vec<String> = args.entry.iter().map(|entry| entry.name.clone()).collect();
    match (1..names.len()).find(|&at| names[..at].contains(&names[at])) {
        Some(twice) => Err(CliError::Usage(format!("two entries are named `{}`", names[twice]))),
        None => Ok(names),
    }
}

/// The model of each entry.
fn paths(args: &CompileArgs) -> Vec<&Path> {
    match args.entry.len() {
        0 => args.models.iter().map(|model| model.path.as_path()).collect(),
        entries => args.models.iter().flat_map(|model| vec![model.path.as_path(); entries]).collect(),
    }
}

/// What was imported for one bundle.
struct Imported {
    models: Vec<EntryModel>,
    /// Of all models together.
    identity: ModelIdentity,
    /// Of each model.
    identities: Vec<ModelIdentity>,
    notes: Vec<String>,
    warnings: Vec<String>,
}

fn import(args: &CompileArgs, names: &[String], sources: &mut [ModelSource]) -> Result<Imported, CliError> {
    let several = names.len() > 1;
    let paths = paths(args);
    let mut bindings = model::bind_entries(&args.flags, names, &paths, sources)?;
    for (entry, bound) in args.entry.iter().zip(&mut bindings) {
        check_ranges(entry, &bound.dims)?;
        bound.dims.extend(entry.dims.iter().map(|dim| (dim.name.clone(), model::binding(dim.size))));
    }
    let (mut models, mut identities) = (Vec::new(), Vec::new());
    let (mut notes, mut warnings) = (Vec::new(), Vec::new());
    for ((path, source), (name, bindings)) in paths.iter().zip(sources).zip(names.iter().zip(bindings)) {
        let logits = if args.greedy && name == GREEDY { Logits::Greedy } else { args.flags.logits.into() };
        let imported =
            model::import(source, bindings.dims, logits).map_err(|error| CliError::model(path, error))?;
        let of_entry = |text: String| if several { format!("{name}: {text}") } else { text };
        notes.extend(imported.notes.into_iter().map(of_entry));
        warnings.extend(imported.warnings.into_iter().map(of_entry));
        models.push(EntryModel { name: name.clone(), graph: imported.graph });
        identities.push(imported.identity);
    }
    let identity = match identities.as_slice() {
        [only] => only.clone(),
        [first, ..] if !args.entry.is_empty() => first.clone(),
        several => model::joint_identity(names, several),
    };
    Ok(Imported { models, identity, identities, notes, warnings })
}

/// Refuses a size, or another range, of an entry for a dimension that has a range for all: caches of that many rows are states that
/// entries share.
fn check_ranges(entry: &EntryArg, dims: &Dims) -> Result<(), CliError> {
    for dim in &entry.dims {
        let given = model::binding(dim.size);
        if let Some(DimBinding::Range(low, high)) = dims.get(&dim.name)
            && given != DimBinding::Range(*low, *high)
        {
            let (entry, name) = (&entry.name, &dim.name);
            let text = format!(
                "--entry {entry} gives `{name}` a size, but --dim {name}={low}..{high} gives it a range for all entries; \
                 leave one of them out"
            );
            return Err(CliError::Usage(text));
        }
    }
    Ok(())
}

/// Says which model it is that does not compile.
fn failed(args: &CompileArgs, names: &[String], error: CompileError) -> CliError {
    match error {
        CompileError::Entry { entry, source } => {
            let index = names.iter().position(|name| *name == entry).unwrap_or(0);
            CliError::Compile { path: paths(args)[index].to_owned(), source }
        }
        error => CliError::compile(&args.models[0].path, error),
    }
}

/// The texts of a stage, each under its entry's name where there are several.
fn stage_texts(
    args: &CompileArgs,
    models: Vec<EntryModel>,
    options: &CompileOptions,
    stage: Stage,
) -> Result<Vec<(String, String)>, CliError> {
    let several = models.len() > 1;
    let mut texts = Vec::new();
    for (path, EntryModel { name: entry, graph }) in paths(args).into_iter().zip(models) {
        let of_entry = drift_compiler::emit_stage(graph, options, stage)
            .map_err(|error| CliError::compile(path, error))?;
        texts.extend(of_entry.into_iter().map(|(name, text)| match several {
            true => (format!("{entry}.{name}"), text),
            false => (name, text),
        }));
    }
    Ok(texts)
}

const fn stage(emit: &Emit) -> Stage {
    match emit {
        Emit::Graph => Stage::Graph,
        Emit::Dot => Stage::Dot,
        Emit::Layout => Stage::Layout,
        Emit::Program => Stage::Program,
        Emit::Memory => Stage::Memory,
        Emit::Shaders(_) => Stage::Shaders,
    }
}

/// Shaders go to their folder, other texts to standard output, each under its name where there are several.
fn write_stage(emit: &Emit, texts: &[(String, String)], console: &mut Console<'_>) -> Result<(), CliError> {
    if let Emit::Shaders(folder) = emit {
        output::create_folder(folder)?;
        for (name, text) in texts {
            output::write(&folder.join(name), text.as_bytes())?;
        }
        return Ok(writeln!(console.out(), "{}: {} files", folder.display(), texts.len())?);
    }
    for (name, text) in texts {
        if texts.len() > 1 {
            // Graphviz reads several pictures, one after another, with comments between them.
            let mark = if *emit == Emit::Dot { "//" } else { "==" };
            writeln!(console.out(), "{mark} {name}")?;
        }
        console.out().write_all(text.trim_end().as_bytes())?;
        writeln!(console.out())?;
    }
    Ok(())
}

fn default_output(model: &Path) -> PathBuf {
    PathBuf::from(model.file_stem().unwrap_or_default()).with_extension("drift")
}

fn report<'a>(
    stages: &[(&'static str, f64)],
    warnings: impl Iterator<Item = &'a String>,
    (quantized, mixed): (&[QuantizedWeight], &[MixedReport]),
) -> CompileJson {
    CompileJson {
        compile_ms: stages.to_vec(),
        total_ms: stages.iter().map(|(_, ms)| ms).sum(),
        peak_rss_bytes: report::peak_rss_bytes(),
        warnings: warnings.cloned().collect(),
        quantized: quantized.iter().map(report::QuantizedJson::from).collect(),
        mixed: mixed.iter().map(kept::MixedJson::from).collect(),
    }
}

//! `driftc MODEL.onnx`: compiles a model into a bundle, or prints a stage on the way there.

use crate::args::{CompileArgs, Emit};
use crate::error::CliError;
use crate::progress::Progress;
use crate::report::{self, CompileJson};
use crate::units::{bytes, milliseconds};
use crate::{Console, Outcome, files, model};
use drift_bundle::manifest::Target;
use drift_compiler::{CompileError, CompileOptions, EntryModel, MAIN_ENTRY, ModelIdentity, Stage};
use drift_onnx::ModelSource;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Runs `driftc MODEL.onnx`, or `driftc NAME=MODEL.onnx...`.
pub fn run(args: &CompileArgs, console: &mut Console<'_>) -> Result<Outcome, CliError> {
    let names = entry_names(args)?;
    let progress = Progress::spinner("importing");
    let started = Instant::now();
    let sources: Vec<ModelSource> =
        args.models.iter().map(|model| model::open(&model.path)).collect::<Result<_, _>>()?;
    let imported = import(args, &names, &sources)?;
    let import_ms = started.elapsed().as_secs_f64() * 1e3;
    progress.suspend(|| imported.notes.iter().try_for_each(|note| console.note(note)))?;
    progress.message("compiling");
    let targets: Vec<Target> = args.target.iter().map(|target| Target::from(*target)).collect();
    let options = model::options(&args.flags, targets);
    if let Some(emit) = &args.emit {
        let texts = stage_texts(args, imported.models, &options, stage(emit))?;
        drop(progress);
        write_stage(emit, &texts, console)?;
        return Ok(Outcome::Fine);
    }
    let compiled = drift_compiler::compile_entries(imported.models, imported.identity, &options)
        .map_err(|error| failed(args, &names, error))?;
    progress.message("writing");
    let started = Instant::now();
    let output = args.output.clone().unwrap_or_else(|| default_output(&args.models[0].path));
    let released = AtomicU64::new(0);
    compiled.bundle.finish_with(&output, &|written, total| {
        progress.message(&format!("writing {} of {}", bytes(written), bytes(total)));
        // What was packed from the model is not needed again.
        if written - released.load(Ordering::Relaxed) >= model::RELEASE_BYTES as u64 {
            released.store(written, Ordering::Relaxed);
            sources.iter().for_each(ModelSource::release_pages);
        }
    })?;
    let write_ms = started.elapsed().as_secs_f64() * 1e3;
    drop(progress);

    let mut stages = vec![("import", import_ms)];
    stages.extend(compiled.report.stages.iter().copied());
    stages.push(("write", write_ms));
    compiled.report.warnings.iter().try_for_each(|warning| console.note(warning))?;
    let report = report(&stages, &imported.notes, &compiled.report.warnings);
    report::write_json(args.json.as_deref(), &report)?;
    let size =
        std::fs::metadata(&output).map_err(|source| CliError::Read { path: output.clone(), source })?.len();
    writeln!(
        console.out,
        "{}: {}, compiled in {}",
        output.display(),
        bytes(size),
        milliseconds(report.total_ms)
    )?;
    Ok(Outcome::Fine)
}

/// The entry that each model becomes: `main` for one model without a name.
fn entry_names(args: &CompileArgs) -> Result<Vec<String>, CliError> {
    let usage = |text: String| Err(CliError::Usage(text));
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

/// What was imported for one bundle.
struct Imported {
    models: Vec<EntryModel>,
    identity: ModelIdentity,
    notes: Vec<String>,
}

fn import(args: &CompileArgs, names: &[String], sources: &[ModelSource]) -> Result<Imported, CliError> {
    let several = names.len() > 1;
    let dims = model::entry_dims(&args.flags, names, sources)
        .map_err(|(model, error)| CliError::model(&args.models[model].path, error))?;
    let (mut models, mut identities, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    for ((model, source), (name, dims)) in args.models.iter().zip(sources).zip(names.iter().zip(dims)) {
        let imported = model::import(source, dims).map_err(|error| CliError::model(&model.path, error))?;
        notes.extend(imported.notes.into_iter().map(|note| match several {
            true => format!("{name}: {note}"),
            false => note,
        }));
        models.push(EntryModel { name: name.clone(), graph: imported.graph });
        identities.push(imported.identity);
    }
    let identity = match identities.pop() {
        Some(identity) if identities.is_empty() => identity,
        last => model::joint_identity(names, identities.into_iter().chain(last)),
    };
    Ok(Imported { models, identity, notes })
}

/// Says which model it is that does not compile.
fn failed(args: &CompileArgs, names: &[String], error: CompileError) -> CliError {
    match error {
        CompileError::Entry { entry, source } => {
            let index = names.iter().position(|name| *name == entry).unwrap_or(0);
            CliError::Compile { path: args.models[index].path.clone(), source }
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
    for (arg, EntryModel { name: entry, graph }) in args.models.iter().zip(models) {
        let of_entry = drift_compiler::emit_stage(graph, options, stage)
            .map_err(|error| CliError::compile(&arg.path, error))?;
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
        Emit::Layout => Stage::Layout,
        Emit::Program => Stage::Program,
        Emit::Memory => Stage::Memory,
        Emit::Shaders(_) => Stage::Shaders,
    }
}

/// Shaders go to their folder, other texts to standard output, each under its name where there are several.
fn write_stage(emit: &Emit, texts: &[(String, String)], console: &mut Console<'_>) -> Result<(), CliError> {
    if let Emit::Shaders(folder) = emit {
        files::create_folder(folder)?;
        for (name, text) in texts {
            files::write(&folder.join(name), text.as_bytes())?;
        }
        return Ok(writeln!(console.out, "{}: {} files", folder.display(), texts.len())?);
    }
    for (name, text) in texts {
        if texts.len() > 1 {
            writeln!(console.out, "== {name}")?;
        }
        writeln!(console.out, "{}", text.trim_end())?;
    }
    Ok(())
}

fn default_output(model: &Path) -> PathBuf {
    PathBuf::from(model.file_stem().unwrap_or_default()).with_extension("drift")
}

fn report(stages: &[(&'static str, f64)], notes: &[String], warnings: &[String]) -> CompileJson {
    CompileJson {
        compile_ms: stages.to_vec(),
        total_ms: stages.iter().map(|(_, ms)| ms).sum(),
        peak_rss_bytes: report::peak_rss_bytes(),
        warnings: notes.iter().chain(warnings).cloned().collect(),
    }
}

//! `driftc MODEL.onnx`: compiles a model into a bundle, or prints a stage on the way there.

use crate::args::{CompileArgs, Emit};
use crate::error::CliError;
use crate::progress::Progress;
use crate::report::{self, CompileJson};
use crate::units::{bytes, milliseconds};
use crate::{Console, Outcome, files, model};
use drift_bundle::manifest::Target;
use drift_compiler::Stage;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Runs `driftc MODEL.onnx`.
pub fn run(args: &CompileArgs, console: &mut Console<'_>) -> Result<Outcome, CliError> {
    let path = args.model.as_deref().unwrap_or(Path::new(""));
    let progress = Progress::spinner("importing");
    let started = Instant::now();
    let source = model::open(path)?;
    let model =
        model::import(&source, model::dims(&args.flags)).map_err(|source| CliError::model(path, source))?;
    let import_ms = started.elapsed().as_secs_f64() * 1e3;
    progress.suspend(|| model.notes.iter().try_for_each(|note| console.note(note)))?;
    progress.message("compiling");
    let targets: Vec<Target> = args.target.iter().map(|target| Target::from(*target)).collect();
    let options = model::options(&args.flags, targets);
    let failed = |source| CliError::compile(path, source);
    if let Some(emit) = &args.emit {
        let texts = drift_compiler::emit_stage(model.graph, &options, stage(emit)).map_err(failed)?;
        drop(progress);
        write_stage(emit, &texts, console)?;
        return Ok(Outcome::Fine);
    }
    let compiled = drift_compiler::compile(model.graph, model.identity, &options).map_err(failed)?;
    progress.message("writing");
    let started = Instant::now();
    let output = args.output.clone().unwrap_or_else(|| default_output(path));
    let released = AtomicU64::new(0);
    compiled.bundle.finish_with(&output, &|written, total| {
        progress.message(&format!("writing {} of {}", bytes(written), bytes(total)));
        // What was packed from the model is not needed again.
        if written - released.load(Ordering::Relaxed) >= model::RELEASE_BYTES as u64 {
            released.store(written, Ordering::Relaxed);
            source.release_pages();
        }
    })?;
    let write_ms = started.elapsed().as_secs_f64() * 1e3;
    drop(progress);

    let mut stages = vec![("import", import_ms)];
    stages.extend(compiled.report.stages.iter().copied());
    stages.push(("write", write_ms));
    compiled.report.warnings.iter().try_for_each(|warning| console.note(warning))?;
    let report = report(&stages, &model.notes, &compiled.report.warnings);
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

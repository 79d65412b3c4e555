//! `driftc verify`: replays, and compares every output with what is expected.
//!
//! Models are compiled first; bundles are replayed as they ship. Expected are stored outputs; for models without any,
//! those of the reference evaluator. A model that cannot be compiled for a stated reason is unsupported, which is no
//! failure unless `--strict` says so. What cannot be read is bad input; the others are still checked.

mod bundle;
mod data;
mod model;
mod part;
mod states;

pub(crate) use model::{check_source, ir_tensors};

use crate::args::{CompileFlags, VerifyArgs};
use crate::compare::{self, Difference, Tolerance};
use crate::crash;
use crate::dataset::{self, Case, Kind};
use crate::error::CliError;
use crate::host::HostTensor;
use crate::progress::Progress;
use crate::report::{ModelJson, OutputJson, Status, VerifyJson};
use crate::{Console, Outcome, meant, output, replay};
use drift_bundle::manifest::Target;
use drift_runtime::{Device, Session};

/// Runs `driftc verify`.
pub fn run(args: &VerifyArgs, console: &mut Console<'_>) -> Result<Outcome, CliError> {
    let mut cases = Vec::new();
    for path in &args.models {
        cases.extend(dataset::find(path, args.data.as_deref())?);
    }
    check_usage(args, &cases)?;
    let mut devices = Devices { wanted: args.device.as_deref(), open: Vec::new() };
    for target in &args.target {
        devices.of((*target).into())?;
    }
    // A bundle may leave the target open.
    let targets: Vec<Option<Target>> = match args.target.as_slice() {
        [] => vec![None],
        targets => targets.iter().map(|target| Some(Target::from(*target))).collect(),
    };
    let progress = Progress::steps(cases.len() * targets.len(), "verifying");
    let mut tally =
        Tally { several_targets: targets.len() > 1, statistics: args.statistics, ..Tally::default() };
    for case in &cases {
        for target in &targets {
            progress.message(&case.name);
            // Nothing that a check borrows is half changed by a panic: it writes whole lines to the console, and the device
            // drops what was loaded.
            let verdict = crash::caught(|| match (case.kind, target) {
                (Kind::Model, Some(target)) => {
                    model::check(case, *target, devices.of(*target)?, args, console)
                }
                _ => bundle::check(case, *target, &mut devices, args),
            });
            let verdict = verdict.unwrap_or_else(|panic| Err(CliError::Panicked(panic)));
            progress.suspend(|| tally.add(case, *target, verdict, console))?;
            progress.step();
        }
    }
    drop(progress);
    tally.finish(args, console)
}

/// Refuses flags that would be without effect.
fn check_usage(args: &VerifyArgs, cases: &[Case]) -> Result<(), CliError> {
    let usage = |text: &str| Err(CliError::Usage(text.to_owned()));
    let has = |kind| cases.iter().any(|case| case.kind == kind);
    if args.data.is_some() && cases.len() != 1 {
        return usage("--data is for one model or bundle; others have their data beside them");
    }
    if has(Kind::Model) && args.target.is_empty() {
        return usage("a model is compiled first; pass --target vulkan");
    }
    if has(Kind::Model) && args.entry.is_some() {
        return usage("--entry needs a bundle; a model has no entries");
    }
    if has(Kind::Bundle) && args.bind_data {
        return usage("--bind-data needs a model; a bundle's inputs stay inputs");
    }
    if has(Kind::Bundle) && args.per_node {
        return usage("--per-node needs a model; a bundle holds no nodes");
    }
    if has(Kind::Bundle) && args.flags != CompileFlags::default() {
        return crate::model::refuse_flags(&args.flags);
    }
    Ok(())
}

/// Devices, each opened once.
struct Devices<'a> {
    wanted: Option<&'a str>,
    open: Vec<(Target, Device)>,
}

impl Devices<'_> {
    fn of(&mut self, target: Target) -> Result<&Device, CliError> {
        let index = match self.open.iter().position(|(open, _)| *open == target) {
            Some(index) => index,
            None => {
                self.open.push((target, replay::open(target, self.wanted)?));
                self.open.len() - 1
            }
        };
        Ok(&self.open[index].1)
    }
}

/// Counts models and prints their lines.
#[derive(Default)]
struct Tally {
    report: VerifyJson,
    several_targets: bool,
    /// How large differences are is printed.
    statistics: bool,
    /// Something met a bug of driftc.
    internal: bool,
}

impl Tally {
    fn add(
        &mut self,
        case: &Case,
        target: Option<Target>,
        verdict: Result<ModelJson, CliError>,
        console: &mut Console<'_>,
    ) -> Result<(), CliError> {
        let without_numbers = |status, reason: String| ModelJson {
            name: case.name.clone(),
            target: target.map_or("", Target::name),
            device: None,
            variant: None,
            status,
            outputs: Vec::new(),
            reason: Some(reason),
            warnings: Vec::new(),
            first_wrong_node: None,
        };
        let model = match verdict {
            Ok(model) => model,
            Err(error) => match error.unsupported() {
                Some(reason) => without_numbers(Status::Unsupported, reason),
                None => {
                    self.internal |= error.is_internal();
                    console.error(&error)?;
                    let status = if error.is_failed_check() { Status::Fail } else { Status::Error };
                    without_numbers(status, error.in_one_line())
                }
            },
        };
        self.print(&model, console)?;
        match model.status {
            Status::Pass => self.report.passed += 1,
            Status::Folded => self.report.folded += 1,
            Status::Fail => self.report.failed += 1,
            Status::Unsupported => self.report.unsupported += 1,
            Status::Error => self.report.errors += 1,
        }
        self.report.models.push(model);
        Ok(())
    }

    fn print(&self, model: &ModelJson, console: &mut Console<'_>) -> Result<(), CliError> {
        let name = if self.several_targets {
            format!("{}@{}", model.name, model.target)
        } else {
            model.name.clone()
        };
        for output in &model.outputs {
            let OutputJson { status, max_abs, max_rel, wrong, first_wrong, .. } = output;
            let first = first_wrong.as_ref().map(|first| format!(" wrong={wrong}: {first}"));
            writeln!(
                console.out(),
                "{} {name}/{} max_abs={max_abs:.3e} max_rel={max_rel:.3e}{}",
                status.word(),
                output.name,
                first.unwrap_or_default()
            )?;
            if self.statistics {
                writeln!(console.out(), "  {}", output.errors)?;
            }
        }
        if model.status == Status::Folded {
            writeln!(console.out(), "FOLDED {name} constants decide all of it; nothing runs on the device")?;
        }
        if let Some(reason) = &model.reason {
            writeln!(console.out(), "{} {name} {reason}", model.status.word())?;
        }
        if let Some(node) = &model.first_wrong_node {
            writeln!(console.out(), "FIRST {name} {node}")?;
        }
        Ok(())
    }

    /// The last line, the report, and what the whole comes to.
    fn finish(self, args: &VerifyArgs, console: &mut Console<'_>) -> Result<Outcome, CliError> {
        let VerifyJson { passed, folded, failed, unsupported, errors, .. } = self.report;
        let nothing = if self.report.is_empty() { ": nothing was verified" } else { "" };
        let errors_text = if errors > 0 { format!(", {errors} errors") } else { String::new() };
        let folded_text = if folded > 0 { format!(", {folded} folded") } else { String::new() };
        writeln!(
            console.out(),
            "{passed} passed{folded_text}, {failed} failed, {unsupported} unsupported{errors_text}{nothing}"
        )?;
        output::write_document(args.json.as_deref(), "verify", &self.report, console)?;
        if unsupported > 0 && failed == 0 && !args.strict {
            console.note("what is unsupported was not verified; --strict makes it exit code 1")?;
        }
        Ok(if self.internal {
            Outcome::Internal
        } else if errors > 0 {
            Outcome::BadInput
        } else if failed > 0 || args.strict && unsupported > 0 {
            Outcome::CheckFailed
        } else {
            Outcome::Fine
        })
    }
}

/// The worst of each output over several data sets.
#[derive(Default)]
struct Differences(Vec<(String, Difference)>);

impl Differences {
    fn add(&mut self, differences: Vec<(String, Difference)>) {
        for (index, difference) in differences.into_iter().enumerate() {
            match self.0.get_mut(index) {
                Some((_, worst)) => *worst = std::mem::take(worst).worst(difference.1),
                None => self.0.push(difference),
            }
        }
    }

    fn pass(&self) -> bool {
        self.0.iter().all(|(_, difference)| difference.passes())
    }

    fn report(&self) -> Vec<OutputJson> {
        self.0.iter().map(|(name, difference)| OutputJson::new(name, difference)).collect()
    }
}

/// Replays on these inputs and compares each output.
fn differences(
    session: &mut Session,
    inputs: &[HostTensor],
    expected: &[HostTensor],
    tolerance: Tolerance,
) -> Result<Vec<(String, Difference)>, CliError> {
    replay::run_on(session, inputs)?;
    let mut differences = Vec::new();
    for ((tensor, got), expected) in meant::read(session)?.into_iter().zip(expected) {
        let difference = compare::compare(&got, expected, tolerance)
            .map_err(|source| CliError::WrongOutput { name: tensor.name.clone(), source })?;
        differences.push((tensor.name.clone(), difference));
    }
    Ok(differences)
}

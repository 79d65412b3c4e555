//! `driftc self-test`: runs the self-tests of a bundle on a device, and says which dispatch is the first that is wrong.

use crate::args::SelfTestArgs;
use crate::error::CliError;
use crate::{Console, Outcome, files, output, replay};
use drift_bundle::Bundle;
use drift_bundle::manifest::{Entry, Target};
use drift_bundle::self_test::is_self_test;
use drift_runtime::{Device, LoadOptions, RuntimeError, SelfTestReport};
use serde::Serialize;
use serde_json::Value;

/// Runs `driftc self-test`.
pub fn run(args: &SelfTestArgs, console: &mut Console<'_>) -> Result<Outcome, CliError> {
    files::check_regular(&args.bundle)?;
    let bundle = Bundle::open(&args.bundle)?;
    let device = replay::open_for(&bundle, args.target.map(Target::from), args.device.as_deref())?;
    let options = LoadOptions { verify_weights: true, ..args.replay.options() };
    writeln!(console.out(), "device   {} ({})", device.info().name, device.info().driver)?;
    let reports = reports(&bundle, &device, (args.entry.as_deref(), &options), console)?;
    for report in &reports {
        print(report, console)?;
    }
    let json = SelfTestsJson { reports: reports.iter().map(raw).collect::<Result<_, _>>()? };
    output::write_document(args.json.as_deref(), "self-test", &json, console)?;
    let right = reports.iter().all(SelfTestReport::is_right);
    Ok(if right { Outcome::Fine } else { Outcome::CheckFailed })
}

/// What `driftc self-test --json FILE` writes.
#[derive(Serialize)]
struct SelfTestsJson {
    /// One for each variant that was tried, as the runtime writes it.
    reports: Vec<Value>,
}

fn raw(report: &SelfTestReport) -> Result<Value, CliError> {
    serde_json::from_str(&report.to_json()).map_err(|error| CliError::Output(error.into()))
}

/// One for each variant that the device takes, of the entry `wanted` or of all.
fn reports(
    bundle: &Bundle,
    device: &Device,
    (wanted, options): (Option<&str>, &LoadOptions),
    console: &mut Console<'_>,
) -> Result<Vec<SelfTestReport>, CliError> {
    let target = device.info().kind.target();
    let is_wanted = |entry: &&Entry| {
        let named = wanted.is_none_or(|wanted| entry.name == wanted);
        entry.target == target && named && !is_self_test(bundle.manifest(), entry)
    };
    let entries: Vec<&Entry> = bundle.manifest().entries.iter().filter(is_wanted).collect();
    if entries.is_empty() {
        // The runtime's error says what there is.
        let options = LoadOptions { entry: wanted.map(str::to_owned), ..options.clone() };
        return Ok(vec![device.self_test_with(bundle, &options)?]);
    }
    let (mut reports, mut declined) = (Vec::new(), None);
    for entry in entries {
        for variant in &entry.variants {
            let (entry, variant) = (Some(entry.name.clone()), Some(variant.name.clone()));
            let options = LoadOptions { entry, variant, ..options.clone() };
            match device.self_test_with(bundle, &options) {
                Ok(report) => reports.push(report),
                Err(error @ RuntimeError::NoVariant { .. }) => {
                    console.note(&error.to_string())?;
                    declined.get_or_insert(error);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    match declined {
        Some(error) if reports.is_empty() => Err(error.into()),
        _ => Ok(reports),
    }
}

fn print(report: &SelfTestReport, console: &mut Console<'_>) -> Result<(), CliError> {
    let SelfTestReport { entry, variant, tests, wrong, untested, .. } = report;
    let verdict = if wrong.is_empty() { "right" } else { "WRONG" };
    writeln!(console.out(), "{entry}, variant {variant}: {verdict}")?;
    writeln!(console.out(), "  {tests} tests, {} wrong, {} not tested", wrong.len(), untested.len())?;
    for wrong in wrong {
        writeln!(console.out(), "  wrong       {wrong}; shader {}", wrong.shaders.join(", "))?;
    }
    for untested in untested {
        writeln!(console.out(), "  not tested  `{}`: {}", untested.dispatch, untested.reason)?;
    }
    Ok(())
}

//! `driftc bench --ablate`: the model without each technique, one at a time: time, memory, traffic and error.

use crate::args::{BenchArgs, CompileFlags, PrecisionArg};
use crate::error::CliError;
use crate::measure::{Measured, RandomInputs, Subject, measure};
use crate::replay;
use crate::report::AblationJson;
use crate::stats::median;
use crate::units::{bytes, milliseconds};
use drift_bundle::Bundle;
use drift_bundle::manifest::Variant;
use drift_compiler::technique::TECHNIQUES;
use drift_runtime::{Device, LoadOptions};
use std::io::Write;

/// Measures the model without each technique that changes its program. All are compiled for the profile whose variant
/// the device took, and compared with the outputs of the model in f32.
pub(crate) fn run(
    args: &BenchArgs,
    device: &Device,
    subject: &Subject<'_>,
    (whole, measured): (&Bundle, &Measured),
) -> Result<Vec<AblationJson>, CliError> {
    let target = device.info().kind.target();
    let flags = CompileFlags { profile: vec![profile_of(whole, measured)], ..args.flags.clone() };
    let exact = CompileFlags { precision: Some(PrecisionArg::F32), ..flags.clone() };
    let options = args.replay.options();
    let device_options = (device, &options);
    let reference = outputs(&subject.compile(target, &exact)?.0, device_options)?;
    let mut lines = vec![line("nothing", whole, measured, device_options, &reference)?];
    for technique in TECHNIQUES {
        let mut flags = flags.clone();
        flags.disable.push(technique.name.to_owned());
        let (bundle, _) = subject.compile(target, &flags)?;
        if program(&bundle, measured) == program(whole, measured) {
            continue;
        }
        let measured = measure(&bundle, device, (args, &[]))?;
        lines.push(line(technique.name, &bundle, &measured, device_options, &reference)?);
    }
    Ok(lines)
}

fn variant<'a>(bundle: &'a Bundle, measured: &Measured) -> Option<&'a Variant> {
    let mut variants = bundle.manifest().entries.iter().flat_map(|entry| &entry.variants);
    variants.find(|variant| variant.name == measured.variant)
}

fn profile_of(bundle: &Bundle, measured: &Measured) -> String {
    variant(bundle, measured).map_or_else(|| measured.variant.clone(), |variant| variant.profile.clone())
}

/// What a device runs: the code of each dispatch and its size. Numbers of shaders and weights depend on the bundle.
fn program<'a>(bundle: &'a Bundle, measured: &Measured) -> Vec<(&'a [u8], [u32; 3])> {
    let dispatches = variant(bundle, measured).map_or(&[][..], |variant| variant.dispatches.as_slice());
    let code = |shader: u32| bundle.shader_code(&bundle.manifest().shaders[shader as usize]);
    dispatches.iter().map(|dispatch| (code(dispatch.shader), dispatch.workgroups)).collect()
}

fn line(
    without: &str,
    bundle: &Bundle,
    measured: &Measured,
    device_options: (&Device, &LoadOptions),
    reference: &[Vec<f64>],
) -> Result<AblationJson, CliError> {
    let sum = |of: fn(&drift_bundle::manifest::Dispatch) -> u64| measured.program.iter().map(of).sum();
    Ok(AblationJson {
        without: without.to_owned(),
        median_ms: median(&measured.runs_ms).unwrap_or_default(),
        dispatches: measured.program.len(),
        activations_planned_bytes: variant(bundle, measured)
            .map_or(0, |variant| variant.memory.planned_bytes),
        bytes_read: sum(|dispatch| dispatch.bytes_read),
        bytes_written: sum(|dispatch| dispatch.bytes_written),
        error: error(&outputs(bundle, device_options)?, reference),
    })
}

/// All outputs for the inputs that are always the same random numbers.
fn outputs(bundle: &Bundle, (device, options): (&Device, &LoadOptions)) -> Result<Vec<Vec<f64>>, CliError> {
    let mut session = device.load_with(bundle, options)?;
    RandomInputs::default().write(&mut session)?;
    session.run()?;
    let tensors = session.outputs().to_vec();
    tensors.iter().map(|tensor| Ok(replay::read(&mut session, tensor)?.to_f64())).collect()
}

/// The largest difference over the largest magnitude, of the output that is worst off.
fn error(found: &[Vec<f64>], reference: &[Vec<f64>]) -> Option<f64> {
    let of = |(found, reference): (&Vec<f64>, &Vec<f64>)| {
        let largest = reference.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
        let pairs = found.iter().zip(reference);
        let difference = pairs.fold(0.0_f64, |most, (a, b)| {
            // A number that is none must not be passed over.
            let off = (a - b).abs();
            if off.is_nan() || most.is_nan() { f64::NAN } else { most.max(off) }
        });
        if largest > 0.0 { difference / largest } else { difference }
    };
    let worst = found
        .iter()
        .zip(reference)
        .map(of)
        .try_fold(0.0_f64, |most, error| error.is_finite().then(|| most.max(error)));
    worst.filter(|worst| worst.is_finite())
}

/// A line a technique.
pub(crate) fn print(lines: &[AblationJson], out: &mut dyn Write) -> std::io::Result<()> {
    let Some(whole) = lines.first() else { return Ok(()) };
    writeln!(out)?;
    writeln!(out, "   replay           activations     writes      reads  dispatches    error  without")?;
    for line in lines {
        let error = line.error.map_or_else(|| "not finite".to_owned(), |error| format!("{error:.1e}"));
        writeln!(
            out,
            "{:>9} {:>6.2} x  {:>12}  {:>9}  {:>9}  {:>8}  {error:>7}  {}",
            milliseconds(line.median_ms),
            line.median_ms / whole.median_ms,
            bytes(line.activations_planned_bytes),
            bytes(line.bytes_written),
            bytes(line.bytes_read),
            line.dispatches,
            line.without
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_relative_to_the_largest_value_and_nothing_is_passed_over() {
        let reference = vec![vec![1.0, -4.0], vec![0.5]];
        assert_eq!(error(&[vec![1.0, -3.0], vec![0.5]], &reference), Some(0.25));
        assert_eq!(error(&[vec![1.0, -4.0], vec![0.0]], &reference), Some(1.0));
        assert_eq!(error(&[vec![f64::NAN, -4.0], vec![0.5]], &reference), None);
        assert_eq!(error(&[vec![f64::NAN, 9.0], vec![0.5]], &reference), None);
        assert_eq!(error(&[vec![f64::INFINITY, 9.0], vec![0.5]], &reference), None);
    }
}

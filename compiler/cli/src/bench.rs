//! `driftc bench`: how long loading, the first run and a replay take, and where the time goes.

use crate::args::{BenchArgs, DimArg};
use crate::error::CliError;
use crate::measure::{Measured, RandomInputs, Subject, measure};
use crate::report::{BenchJson, DispatchJson};
use crate::trace::{self, Trace};
use crate::units::{bytes, milliseconds};
use crate::{Console, Outcome, ablate, files, generate, model, output, replay};
use drift_bundle::Bundle;
use drift_bundle::manifest::Target;
use drift_runtime::{Device, LoadOptions};
use std::io::Write;

/// Part of a replay without work on the GPU from which on it is worth a hint.
const HOST_BOUND: f64 = 0.4;

/// Runs `driftc bench`.
pub fn run(args: &BenchArgs, console: &mut Console<'_>) -> Result<Outcome, CliError> {
    if args.language.llm {
        refuse_model_flags(args)?;
        return generate::bench::run(args, console);
    }
    if files::is_bundle(&args.model)? {
        refuse_model_flags(args)?;
        let bundle = Bundle::open(&args.model)?;
        let device = replay::open_for(&bundle, args.target.map(Target::from), args.device.as_deref())?;
        let measured = measure(&bundle, &device, (args, &args.flags.dim))?;
        let trace = trace_of(&bundle, &device, (args, &args.flags.dim), &measured)?;
        return finish(args, measured.report(args), (&measured, trace), console);
    }
    let target = args.target.map_or(Target::Vulkan, Target::from);
    let device = replay::open(target, args.device.as_deref())?;
    let subject = Subject::import(args, console)?;
    let (bundle, warnings) = subject.compile(target, &args.flags)?;
    console.warnings(&warnings)?;
    let measured = measure(&bundle, &device, (args, &[]))?;
    let mut report = measured.report(args);
    report.warnings = subject.model.warnings.iter().chain(&warnings).cloned().collect();
    if args.ablate {
        report.ablation = ablate::run(args, &device, &subject, (&bundle, &measured))?;
    }
    let trace = trace_of(&bundle, &device, (args, &[]), &measured)?;
    finish(args, report, (&measured, trace), console)
}

/// A replay on its own, where one is to be written: the others are not slowed down by it.
fn trace_of(
    bundle: &Bundle,
    device: &Device,
    (args, dims): (&BenchArgs, &[DimArg]),
    measured: &Measured,
) -> Result<Option<Trace>, CliError> {
    let record = || {
        let options = LoadOptions { entry: args.entry.clone(), ..args.replay.options() };
        trace::record((bundle, &measured.program), device, options, &mut RandomInputs::of(dims))
    };
    args.trace.as_ref().map(|_| record()).transpose()
}

fn refuse_model_flags(args: &BenchArgs) -> Result<(), CliError> {
    if args.ablate {
        let text = "--ablate needs a model; a bundle is compiled already".to_owned();
        return Err(CliError::Usage(text));
    }
    model::refuse_flags_but_dims(&args.flags)
}

fn finish(
    args: &BenchArgs,
    report: BenchJson,
    (measured, trace): (&Measured, Option<Trace>),
    console: &mut Console<'_>,
) -> Result<Outcome, CliError> {
    print(&report, measured.program.len(), console.out())?;
    if args.per_dispatch {
        match report.dispatches.as_slice() {
            [] => console.note("this device does not measure dispatches")?,
            dispatches => print_dispatches(dispatches, console.out())?,
        }
    }
    if let (Some(path), Some(trace)) = (&args.trace, trace) {
        if !trace.has_gpu_times() {
            console.note("this device does not measure dispatches; the trace has what the host did")?;
        }
        output::write(path, format!("{:#}\n", trace.json(&report.device)).as_bytes())?;
    }
    output::write_document(args.json.as_deref(), "bench", &report, console)?;
    Ok(Outcome::Fine)
}

fn print(report: &BenchJson, dispatches: usize, out: &mut dyn Write) -> std::io::Result<()> {
    let ms = milliseconds;
    writeln!(out, "device     {}", report.device)?;
    writeln!(out, "variant    {}, {dispatches} dispatches", report.variant)?;
    writeln!(out, "load       {}, pipeline cache {}", ms(report.load_ms), report.pipeline_cache)?;
    writeln!(out, "first run  {}", ms(report.first_run_ms))?;
    let (load, first) = (ms(report.warm_load_ms), ms(report.warm_first_run_ms));
    let init = ms(report.init_ms);
    writeln!(out, "again      load {load} ({init} to init), first run {first}, from the pipeline cache")?;
    writeln!(
        out,
        "replay     median {}, min {}, p90 {}, p95 {}, p99 {} of {}",
        ms(report.median_ms),
        ms(report.min_ms),
        ms(report.p90_ms),
        ms(report.p95_ms),
        ms(report.p99_ms),
        report.iterations
    )?;
    if let Some(gpu) = report.gpu_median_ms {
        writeln!(out, "on the GPU median {}", ms(gpu))?;
    }
    if let Some(share) = report.host_share.filter(|share| *share > HOST_BOUND) {
        writeln!(
            out,
            "host-bound the GPU has nothing to do for {:.0} % of a replay: submitting and waiting take longer than the work; a larger \
             batch, or several sessions side by side, would use it",
            100.0 * share
        )?;
    }
    let (kept, peak) = (bytes(report.kept_device_bytes), bytes(report.peak_device_bytes));
    writeln!(out, "memory     {kept} on the device, {peak} while loading")?;
    ablate::print(&report.ablation, out)?;
    Ok(())
}

/// Longest first, each with what it achieves.
fn print_dispatches(dispatches: &[DispatchJson], out: &mut dyn Write) -> std::io::Result<()> {
    let total: f64 = dispatches.iter().map(|dispatch| dispatch.gpu_median_ms).sum();
    let mut sorted: Vec<&DispatchJson> = dispatches.iter().collect();
    sorted.sort_by(|a, b| b.gpu_median_ms.total_cmp(&a.gpu_median_ms));
    writeln!(out)?;
    writeln!(out, " share        time      GB/s    GFLOP/s  dispatch")?;
    for dispatch in sorted {
        let DispatchJson { name, gpu_median_ms, bytes_read, bytes_written, flops } = dispatch;
        // A timer with coarse ticks reads zero for short dispatches, which gives no rate.
        let rate = |count: u64| if *gpu_median_ms > 0.0 { count as f64 / gpu_median_ms / 1e6 } else { 0.0 };
        let share = if total > 0.0 { 100.0 * gpu_median_ms / total } else { 0.0 };
        let (bandwidth, arithmetic) = (rate(bytes_read + bytes_written), rate(*flops));
        let time = milliseconds(*gpu_median_ms);
        writeln!(out, "{share:5.1}%  {time:>10}  {bandwidth:>8.1}  {arithmetic:>9.1}  {name}")?;
    }
    Ok(())
}

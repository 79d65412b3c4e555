//! `driftc explain`: per dispatch which ONNX nodes it computes, with which kernel and layouts, and why; and what was
//! declined and why.

use crate::args::ExplainArgs;
use crate::error::CliError;
use crate::model;
use crate::progress::Progress;
use crate::units::{bytes, flops};
use crate::{Console, Outcome, calibrate, kept};
use drift_bundle::manifest::Target;
use drift_compiler::{CompileReport, DispatchReport, RuleReport, VariantReport};
use std::collections::BTreeMap;
use std::io::Write;

/// Runs `driftc explain`.
pub fn run(args: &ExplainArgs, console: &mut Console<'_>) -> Result<Outcome, CliError> {
    let progress = Progress::spinner("compiling");
    let model = model::load(&args.model, &args.flags)?;
    progress.suspend(|| model.tell(None, console))?;
    let targets = args.target.iter().map(|target| Target::from(*target)).collect();
    let options = calibrate::options(&args.flags, targets, &[&model.graph])?;
    let compiled = drift_compiler::compile(model.graph, model.identity, &options)
        .map_err(|source| CliError::compile(&args.model, source))?;
    drop(progress);
    compiled.report.warnings.iter().try_for_each(|warning| console.warning(warning))?;
    print(&compiled.report, console.out())?;
    Ok(Outcome::Fine)
}

fn print(report: &CompileReport, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(out, "rules")?;
    for RuleReport { rule, node, outcome } in &report.rules {
        writeln!(out, "  {rule}  {node}: {outcome}")?;
    }
    if !report.mixed.is_empty() {
        writeln!(out)?;
        writeln!(out, "precision")?;
        for mixed in &report.mixed {
            writeln!(out, "  {}", mixed.summary())?;
        }
        kept::print(&report.mixed, None, out)?;
    }
    for VariantReport { target, variant, profile, init, dispatches, .. } in &report.variants {
        writeln!(out)?;
        writeln!(
            out,
            "{} / {variant} for profile {profile}: {} dispatches, {} more at load",
            target.name(),
            dispatches.len(),
            init.len()
        )?;
        for (index, dispatch) in init.iter().enumerate() {
            print_dispatch(&format!("init {index}"), dispatch, out)?;
        }
        for (index, dispatch) in dispatches.iter().enumerate() {
            print_dispatch(&format!("{index:4}"), dispatch, out)?;
        }
        print_traffic(dispatches, out)?;
    }
    Ok(())
}

/// What the dispatches of each kernel read, write and compute, and all of them together.
fn print_traffic(dispatches: &[DispatchReport], out: &mut dyn Write) -> std::io::Result<()> {
    let add = |sums: [u64; 4], counts: [u64; 4]| std::array::from_fn(|n| sums[n] + counts[n]);
    let mut kernels: BTreeMap<&str, [u64; 4]> = BTreeMap::new();
    for dispatch in dispatches {
        let sums = kernels.entry(&dispatch.kernel).or_default();
        *sums = add(*sums, [1, dispatch.bytes_read, dispatch.bytes_written, dispatch.flops]);
    }
    let all = kernels.values().copied().fold([0; 4], add);
    writeln!(out)?;
    writeln!(out, "  dispatches       reads      writes      computes  kernel")?;
    for (kernel, [dispatches, read, written, computed]) in kernels.into_iter().chain([("in all", all)]) {
        let (read, written, computed) = (bytes(read), bytes(written), flops(computed));
        writeln!(out, "  {dispatches:10}  {read:>10}  {written:>10}  {computed:>12}  {kernel}")?;
    }
    Ok(())
}

fn print_dispatch(index: &str, dispatch: &DispatchReport, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(out, "{index}  {}", dispatch.name)?;
    writeln!(out, "      computes {}", dispatch.origins.join(", "))?;
    writeln!(out, "      kernel   {}: {}", dispatch.kernel, dispatch.why)?;
    writeln!(out, "      layouts  {}", dispatch.layouts)?;
    dispatch.declined.iter().try_for_each(|declined| writeln!(out, "      declined {declined}"))?;
    writeln!(
        out,
        "      reads {}, writes {}, {}",
        bytes(dispatch.bytes_read),
        bytes(dispatch.bytes_written),
        flops(dispatch.flops)
    )
}

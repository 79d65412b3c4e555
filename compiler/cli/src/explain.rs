//! `driftc explain`: per dispatch which ONNX nodes it computes, with which kernel and layouts, and why; and what was
//! declined and why.

mod report;

use crate::args::ExplainArgs;
use crate::error::CliError;
use crate::progress::Progress;
use crate::units::{bytes, flops};
use crate::{Console, Outcome, files, model, output, tally};
use drift_bundle::Bundle;
use drift_bundle::manifest::Target;
use report::{Choice, Explained, ExplainedDispatch, ExplainedRule, ExplainedVariant};
use std::collections::BTreeMap;
use std::io::Write;

/// Runs `driftc explain`.
pub fn run(args: &ExplainArgs, console: &mut Console<'_>) -> Result<Outcome, CliError> {
    let explained = match files::is_bundle(&args.model)? {
        true => of_bundle(args)?,
        false => of_model(args, console)?,
    };
    output::write_document(args.json.as_deref(), "explain", &explained, console)?;
    let all = console.lists_all();
    print(&explained, all, console.out())?;
    Ok(Outcome::Fine)
}

fn targets(args: &ExplainArgs) -> Vec<Target> {
    args.target.iter().map(|target| Target::from(*target)).collect()
}

fn of_bundle(args: &ExplainArgs) -> Result<Explained, CliError> {
    model::refuse_flags(&args.flags)?;
    let bundle = Bundle::open(&args.model)?;
    let explained = Explained::of_bundle(&bundle, &targets(args));
    match explained.variants.is_empty() {
        true => Err(CliError::Usage(
            "the bundle holds nothing for these targets; `driftc inspect` lists its own".to_owned(),
        )),
        false => Ok(explained),
    }
}

fn of_model(args: &ExplainArgs, console: &mut Console<'_>) -> Result<Explained, CliError> {
    if args.target.is_empty() {
        return Err(CliError::Usage("a model is compiled first; pass --target vulkan".to_owned()));
    }
    let progress = Progress::spinner("compiling");
    let model = model::load(&args.model, &args.flags)?;
    progress.suspend(|| model.tell(None, console))?;
    let name = model.identity.name.clone();
    let options = model::options(&args.flags, targets(args));
    let compiled = drift_compiler::compile(model.graph, model.identity, &options)
        .map_err(|source| CliError::compile(&args.model, source))?;
    drop(progress);
    console.warnings(&compiled.report.warnings)?;
    Ok(Explained::of_model(name, &compiled.report))
}

fn print(explained: &Explained, all: bool, out: &mut dyn Write) -> std::io::Result<()> {
    if explained.kind == "model" {
        writeln!(out, "rules")?;
        print_rules(&explained.rules, all, out)?;
    }
    for ExplainedVariant { target, variant, profile, init, dispatches, .. } in &explained.variants {
        writeln!(out)?;
        writeln!(
            out,
            "{target} / {variant} for profile {profile}: {} dispatches, {} more at load",
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

/// What each rule did; nodes at which it did the same are counted, unless all are asked for.
fn print_rules(rules: &[ExplainedRule], all: bool, out: &mut dyn Write) -> std::io::Result<()> {
    let groups = match all {
        true => rules.iter().map(|rule| vec![rule]).collect(),
        false => tally::groups(rules.iter().collect(), |rule| format!("{}: {}", rule.rule, rule.outcome)),
    };
    for group in groups {
        let ExplainedRule { rule, node, outcome } = group[0];
        match group.len() {
            1 => writeln!(out, "  {rule}  {node}: {outcome}")?,
            nodes => writeln!(out, "  {rule}  {nodes} nodes (first: {node}): {outcome}")?,
        }
    }
    Ok(())
}

/// What the dispatches of each kernel read, write and compute, and all of them together.
fn print_traffic(dispatches: &[ExplainedDispatch], out: &mut dyn Write) -> std::io::Result<()> {
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

fn print_dispatch(index: &str, dispatch: &ExplainedDispatch, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(out, "{index}  {}", dispatch.name)?;
    writeln!(out, "      computes {}", dispatch.origins.join(", "))?;
    match &dispatch.choice {
        Some(Choice { why, layouts, declined }) => {
            writeln!(out, "      kernel   {}: {why}", dispatch.kernel)?;
            writeln!(out, "      layouts  {layouts}")?;
            declined.iter().try_for_each(|declined| writeln!(out, "      declined {declined}"))?;
        }
        None => writeln!(out, "      shader   {}", dispatch.kernel)?,
    }
    if let Some([x, y, z]) = dispatch.workgroups {
        writeln!(out, "      grid     {x} x {y} x {z} workgroups")?;
    }
    writeln!(
        out,
        "      reads {}, writes {}, {}",
        bytes(dispatch.bytes_read),
        bytes(dispatch.bytes_written),
        flops(dispatch.flops)
    )
}

//! `driftc explain`: per dispatch which ONNX nodes it computes, with which kernel and layouts, and why; and what was
//! declined and why.

mod page;
mod report;
mod times;

use crate::args::ExplainArgs;
use crate::error::CliError;
use crate::progress::Progress;
use crate::units::{bytes, flops};
use crate::{Console, Outcome, calibrate, files, in_memory, kept, model, output, tally};
use drift_bundle::Bundle;
use drift_bundle::manifest::Target;
use report::{Choice, Explained, ExplainedDispatch, ExplainedRule, ExplainedVariant};
use std::collections::BTreeMap;
use std::io::Write;
use times::Times;

/// Runs `driftc explain`.
pub fn run(args: &ExplainArgs, console: &mut Console<'_>) -> Result<Outcome, CliError> {
    let times = args.times.as_deref().map(Times::read).transpose()?;
    let (explained, bundle) = match files::is_bundle(&args.model)? {
        true => of_bundle(args)?,
        false => of_model(args, console)?,
    };
    if let Some(times) = &times
        && !explained.variants.iter().any(|own| times.of(own).is_some())
    {
        let text = "--times are of other dispatches than these; measure the same model with the same flags"
            .to_owned();
        return Err(CliError::Usage(text));
    }
    if let (Some(path), Some(bundle)) = (&args.html, &bundle) {
        let page = page::page(&explained, times.as_ref(), |shader| source(bundle, shader));
        output::write(path, page.as_bytes())?;
    }
    output::write_document(args.json.as_deref(), "explain", &explained, console)?;
    let all = console.lists_all();
    print(&explained, all, console.out())?;
    Ok(Outcome::Fine)
}

fn targets(args: &ExplainArgs) -> Vec<Target> {
    args.target.iter().map(|target| Target::from(*target)).collect()
}

/// The text of a shader.
fn source(bundle: &Bundle, shader: u32) -> Option<String> {
    let shader = bundle.manifest().shaders.get(shader as usize)?;
    Some(drift_compiler::emit::code_text(bundle.shader_code(shader), shader.target))
}

fn of_bundle(args: &ExplainArgs) -> Result<(Explained, Option<Bundle>), CliError> {
    model::refuse_flags(&args.flags)?;
    let bundle = Bundle::open(&args.model)?;
    let explained = Explained::of_bundle(&bundle, &targets(args));
    if explained.variants.is_empty() {
        let text = "the bundle holds nothing for these targets; `driftc inspect` lists its own".to_owned();
        return Err(CliError::Usage(text));
    }
    Ok((explained, Some(bundle)))
}

fn of_model(args: &ExplainArgs, console: &mut Console<'_>) -> Result<(Explained, Option<Bundle>), CliError> {
    if args.target.is_empty() {
        return Err(CliError::Usage("a model is compiled first; pass --target vulkan".to_owned()));
    }
    let progress = Progress::spinner("compiling");
    let model = model::load(&args.model, &args.flags)?;
    progress.suspend(|| model.tell(None, console))?;
    let name = model.identity.name.clone();
    let parts = (model.graph, model.identity);
    // A page shows shaders, which the bundle has.
    let (report, bundle) = match args.html {
        Some(_) => {
            let (bundle, report) = in_memory::bundle(parts, &args.model, &args.flags, targets(args))?;
            (report, Some(bundle))
        }
        None => {
            let options = calibrate::options(&args.flags, targets(args), &[&parts.0])?;
            let compiled = drift_compiler::compile(parts.0, parts.1, &options)
                .map_err(|source| CliError::compile(&args.model, source))?;
            (compiled.report, None)
        }
    };
    drop(progress);
    console.warnings(&report.warnings)?;
    let mut explained = Explained::of_model(name, &report);
    if let Some(bundle) = &bundle {
        explained.join(bundle);
    }
    Ok((explained, bundle))
}

fn print(explained: &Explained, all: bool, out: &mut dyn Write) -> std::io::Result<()> {
    if explained.kind == "model" {
        writeln!(out, "rules")?;
        print_rules(&explained.rules, all, out)?;
    }
    if !explained.mixed.is_empty() {
        writeln!(out)?;
        writeln!(out, "precision")?;
        for mixed in &explained.mixed {
            writeln!(out, "  {}", mixed.summary())?;
        }
        kept::print(&explained.mixed, None, out)?;
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

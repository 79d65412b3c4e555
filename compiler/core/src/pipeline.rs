//! The compiler from a graph to a bundle: each pass by name, in order.
//!
//! [`drafts`] begins with what [`plans`] makes, that with [`layouts`], and that with [`graphs`]: `--emit` stops at one of them.

mod agree;
mod checks;
mod passes;
mod precision;
mod self_tests;

use crate::emit::{self, Draft, KernelModules};
use crate::error::CompileError;
use crate::estimate::Decisions;
use crate::layout;
use crate::mixed;
use crate::narrow;
use crate::options::{CompileOptions, EntryModel, MAIN_ENTRY, ModelIdentity};
use crate::plan;
use crate::profile::MemoryForms;
use crate::quantize::Keep;
use crate::ranges;
use crate::report::{self, CompileReport};
use crate::rewrite::{self, Device};
use crate::select::{self, Orders, Samples};
use crate::stage::{self, Stage};
use crate::tie;
use bytes::Bytes;
use drift_bundle::BundleWriter;
use drift_bundle::manifest::Provenance;
use drift_ir::Graph;
use passes::{LaidOut, Passes, Planned, Variant};

/// A finished bundle, ready to be written, and what was decided on the way.
pub struct Compiled {
    /// The bundle.
    pub bundle: BundleWriter,
    /// The decisions.
    pub report: CompileReport,
}

/// Compiles `graph` for every target and profile asked for, as the bundle's only entry.
pub fn compile(
    graph: Graph,
    identity: ModelIdentity,
    options: &CompileOptions,
) -> Result<Compiled, CompileError> {
    compile_entries(vec![EntryModel { name: MAIN_ENTRY.to_owned(), graph }], identity, options)
}

/// Compiles each model for every target and profile asked for, into one bundle: equal shaders and equal weights are stored
/// once.
pub fn compile_entries(
    models: Vec<EntryModel>,
    identity: ModelIdentity,
    options: &CompileOptions,
) -> Result<Compiled, CompileError> {
    compile_entries_with(models, identity, options, &Bytes::from)
}

/// As [`compile_entries`], with a place for what is made of weights until the bundle is written.
pub fn compile_entries_with(
    models: Vec<EntryModel>,
    identity: ModelIdentity,
    options: &CompileOptions,
    store: Keep<'_>,
) -> Result<Compiled, CompileError> {
    let mut passes = Passes::new(&models, options, store)?;
    let mut kernels = KernelModules::new(options.optimize);
    let drafts = drafts(&mut passes, models, &mut kernels)?;
    checks::every_kept_weight_is_found(&passes)?;
    checks::states_are_alike(&passes.names, &drafts)?;
    let provenance = Provenance {
        compiler: format!("driftc {}", env!("CARGO_PKG_VERSION")),
        flags: options.flags(),
        model: identity.name,
        model_hash: identity.hash,
        profiles: Draft::profiles(&drafts),
    };
    let (names, targets) = (passes.names.clone(), options.distinct_targets());
    let bundle = passes.time("emit", || emit::bundle((&names, &targets), &drafts, &kernels, provenance))?;
    Ok(Compiled { bundle, report: passes.report(&drafts) })
}

/// Prints a stage as text: one for each target and profile where they differ.
pub fn emit_stage(
    graph: Graph,
    options: &CompileOptions,
    stage: Stage,
) -> Result<Vec<(String, String)>, CompileError> {
    let models = vec![EntryModel { name: MAIN_ENTRY.to_owned(), graph }];
    let passes = &mut Passes::new(&models, options, &Bytes::from)?;
    match stage {
        Stage::Graph | Stage::Dot => {
            Ok(graphs(passes, models)?.iter().map(|graph| stage::graph_file(graph, stage)).collect())
        }
        Stage::Layout => {
            let all = layouts(passes, models)?;
            Ok(all.iter().flatten().map(LaidOut::file).collect())
        }
        Stage::Program | Stage::Memory | Stage::Shaders => {
            let mut files = Vec::new();
            for planned in plans(passes, models)?.iter().flatten() {
                files.extend(planned.files(stage, options.optimize)?);
            }
            Ok(files)
        }
    }
}

/// The graph of each entry that every target and profile starts from.
fn graphs(passes: &mut Passes<'_>, models: Vec<EntryModel>) -> Result<Vec<Graph>, CompileError> {
    passes.each_entry(models, |passes, EntryModel { name, mut graph }| {
        passes.time("rewrite", || narrow::widen(&mut graph));
        let graph = passes.rewrite(None, |rules| rewrite::simplify(graph, rules));
        let mut graph = passes.rewrite(None, |rules| rewrite::fuse(graph, rules));
        precision::keep_angles(passes, &mut graph);
        passes.time("rewrite", || tie::embeddings(&mut graph))?;
        precision::quantize(passes, &mut graph)?;
        precision::choose(passes, &name, &mut graph)?;
        graph.share();
        passes.warnings.extend(ranges::warning(&graph));
        Ok(graph)
    })
}

/// For each entry, target and profile: its graph, and a layout for each of its activations.
fn layouts(passes: &mut Passes<'_>, models: Vec<EntryModel>) -> Result<Vec<Vec<LaidOut>>, CompileError> {
    let graphs = graphs(passes, models)?;
    passes.each_entry(graphs, |passes, graph| {
        let variants = passes.variants()?.into_iter();
        variants.map(|variant| lay_out(passes, &graph, variant)).collect()
    })
}

fn lay_out(passes: &mut Passes<'_>, graph: &Graph, variant: Variant) -> Result<LaidOut, CompileError> {
    let (options, profile) = (passes.options, &*variant.adjusted);
    let decisions = passes.time("rewrite", || Decisions::of(graph, profile, options.precision));
    let device = Device { profile, decisions: &decisions, buffers: options.in_buffers(profile) };
    let rewrite = |rules: &_| rewrite::for_device(graph.clone(), &device, rules);
    let mut graph = passes.rewrite(Some(profile.name), rewrite);
    if options.mixed.is_some() {
        passes.time("rewrite", || mixed::spread(&mut graph));
    }
    passes.time("rewrite", || layout::keep_wide(&mut graph, options.precision));
    let assign = || layout::assign(&graph, profile, options.layout, options.precision);
    let layouts = passes.time("layout", assign)?;
    Ok(LaidOut { variant, graph, layouts, decisions })
}

/// For each entry, target and profile: its kernels, and where everything is.
fn plans(passes: &mut Passes<'_>, models: Vec<EntryModel>) -> Result<Vec<Vec<Planned>>, CompileError> {
    let layouts = layouts(passes, models)?;
    let orders = agree::orders(passes, &layouts);
    passes.each_entry(layouts, |passes, variants| {
        let samples = Samples::default();
        let plan = |(laid_out, orders)| plan(passes, laid_out, (&samples, orders));
        variants.into_iter().zip(&orders).map(plan).collect()
    })
}

fn plan(
    passes: &mut Passes<'_>,
    laid_out: LaidOut,
    shared: (&Samples, &Orders),
) -> Result<Planned, CompileError> {
    let LaidOut { variant, graph, layouts, decisions } = &laid_out;
    let profile = &*variant.adjusted;
    let device = (profile, passes.options.precision);
    let select = || select::choose_with(graph, layouts, device, decisions, shared);
    let program = passes.time("select", select)?;
    let unplanned = profile.memory.own_io.then(|| program.clone());
    let (program, plan) = passes.time("memory", || plan::plan_memory(program, profile.memory))?;
    if let Some(unplanned) = unplanned {
        let in_arena = MemoryForms { own_io: false, ..profile.memory };
        let (_, without) = passes.time("memory", || plan::plan_memory(unplanned, in_arena))?;
        passes.note_once(report::own_io(profile.name, &plan, &without));
    }
    Ok(Planned { laid_out, program, plan })
}

/// For each entry, target and profile: its shaders, and a self-test where one is asked for.
fn drafts(
    passes: &mut Passes<'_>,
    models: Vec<EntryModel>,
    kernels: &mut KernelModules,
) -> Result<Vec<Draft>, CompileError> {
    let plans = plans(passes, models)?;
    let drafts = passes.each_entry(plans, |passes, variants| {
        let mut drafts = Vec::new();
        for planned in variants {
            let Variant { target, profile, .. } = planned.laid_out.variant;
            let numbers = passes.time("shaders", || kernels.make(&planned.program, target, profile))?;
            drafts.push(planned.draft(passes.entry, numbers));
        }
        let mut drafts = passes::distinct(drafts);
        self_tests::add(passes, &mut drafts, kernels)?;
        Ok(drafts.into_iter().map(|(draft, _)| draft).collect::<Vec<_>>())
    })?;
    Ok(drafts.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests;

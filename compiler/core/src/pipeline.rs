//! The compiler from a graph to a bundle: each pass by name, in order.

use crate::emit::{self, Draft, KernelModules};
use crate::error::CompileError;
use crate::expand::{self, Decision};
use crate::fuse;
use crate::layout::{self, LayoutChoice, LayoutMap, Precision};
use crate::narrow;
use crate::options::{CompileOptions, EntryModel, MAIN_ENTRY, ModelIdentity};
use crate::plan::{self, MemoryPlan};
use crate::profile::{LayoutCosts, Profile};
use crate::program::Program;
use crate::projections;
use crate::ranges;
use crate::report::{self, Clock, CompileReport, RuleReport};
use crate::select::{self, Samples};
use crate::simplify;
use crate::stage::{self, Stage};
use crate::technique::Enabled;
use drift_bundle::BundleWriter;
use drift_bundle::manifest::Provenance;
use drift_ir::Graph;
use std::borrow::Cow;
use std::collections::HashSet;

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
    let several = models.len() > 1;
    let mut passes = Passes::new(options)?;
    let mut kernels = KernelModules::new(options.optimize);
    let (mut names, mut drafts) = (Vec::new(), Vec::new());
    for EntryModel { name, graph } in models {
        let warned = passes.warnings.len();
        let made = passes.drafts(names.len(), graph, &mut kernels).map_err(|error| match several {
            true => CompileError::Entry { entry: name.clone(), source: Box::new(error) },
            false => error,
        })?;
        if several {
            passes.warnings[warned..].iter_mut().for_each(|text| *text = format!("entry `{name}`: {text}"));
        }
        names.push(name);
        drafts.extend(made);
    }
    let Passes { mut clock, warnings, rules, .. } = passes;
    let provenance = Provenance {
        compiler: format!("driftc {}", env!("CARGO_PKG_VERSION")),
        flags: options.flags(),
        model: identity.name,
        model_hash: identity.hash,
        profiles: Draft::profiles(&drafts),
    };
    let targets = options.distinct_targets();
    let entries = (&names[..], &targets[..]);
    let bundle = clock.time("emit", || emit::bundle(entries, &drafts, &kernels, provenance));
    let of = |draft: &Draft| {
        report::variant(&names[draft.entry], draft.target, draft.profile.name, &draft.program)
    };
    let variants = drafts.iter().map(of).collect();
    Ok(Compiled { bundle, report: CompileReport { stages: clock.stages, warnings, variants, rules } })
}

/// Prints a stage as text: one for each target and profile where they differ.
pub fn emit_stage(
    graph: Graph,
    options: &CompileOptions,
    stage: Stage,
) -> Result<Vec<(String, String)>, CompileError> {
    let mut passes = Passes::new(options)?;
    let graph = passes.rewrite(graph);
    if stage == Stage::Graph {
        return Ok(vec![("graph.txt".to_owned(), stage::graph_text(&graph))]);
    }
    let mut files = Vec::new();
    for (target, profile) in options.variants()? {
        let name = format!("{}-{}", emit::emission_target(target), profile.name);
        let reduced = passes.adjusted(profile);
        let (graph, layouts) = passes.lay_out(&graph, &reduced)?;
        if stage == Stage::Layout {
            files.push((format!("{name}.layout.txt"), stage::layouts_text(&graph, &layouts)));
            continue;
        }
        let (program, plan) = passes.plan((&graph, &layouts), &reduced, &Samples::default())?;
        match stage {
            Stage::Graph | Stage::Layout => {}
            Stage::Program => files.push((format!("{name}.program.txt"), stage::program_text(&program))),
            Stage::Memory => files.push((format!("{name}.memory.txt"), stage::memory_text(&program, &plan))),
            Stage::Shaders => {
                files.extend(stage::shader_files(&name, &program, (target, profile), options.optimize)?);
            }
        }
    }
    Ok(files)
}

/// The passes, and what they leave for the report.
struct Passes<'a> {
    options: &'a CompileOptions,
    enabled: Enabled,
    clock: Clock,
    warnings: Vec<String>,
    rules: Vec<RuleReport>,
    /// What passes for one profile decided, each once.
    decided: HashSet<RuleReport>,
}

impl<'a> Passes<'a> {
    fn new(options: &'a CompileOptions) -> Result<Self, CompileError> {
        options.check()?;
        let enabled = Enabled::without(&options.disabled)?;
        let (warnings, rules) = (Vec::new(), Vec::new());
        Ok(Self { options, enabled, clock: Clock::default(), warnings, rules, decided: HashSet::new() })
    }

    /// All variants of one model, the `entry`th.
    fn drafts(
        &mut self,
        entry: usize,
        graph: Graph,
        kernels: &mut KernelModules,
    ) -> Result<Vec<Draft>, CompileError> {
        let graph = self.rewrite(graph);
        self.warnings.extend(ranges::warning(&graph));
        let (mut drafts, samples) = (Vec::new(), Samples::default());
        for (target, profile) in self.options.variants()? {
            let reduced = self.adjusted(profile);
            let (graph, layouts) = self.lay_out(&graph, &reduced)?;
            let (program, plan) = self.plan((&graph, &layouts), &reduced, &samples)?;
            let kernels = self.clock.time("shaders", || kernels.make(&program, target, profile))?;
            drafts.push(Draft { entry, target, profile, program, plan, kernels });
        }
        Ok(Draft::without_duplicates(drafts))
    }

    /// The graph that every target and profile starts from.
    fn rewrite(&mut self, graph: Graph) -> Graph {
        let (graph, reports) =
            self.clock.time("rewrite", || rewrite(graph, &self.enabled, self.options.precision));
        self.rules.extend(reports);
        graph
    }

    /// The profile as the options want it.
    fn adjusted<'p>(&self, profile: &'p Profile) -> Cow<'p, Profile> {
        self.options.adjusted(&self.enabled, profile)
    }

    /// The graph for one profile, and a layout for each of its activations.
    fn lay_out(&mut self, graph: &Graph, profile: &Profile) -> Result<(Graph, LayoutMap), CompileError> {
        let Self { options, enabled, clock, rules, decided, .. } = self;
        let (graph, decisions) = clock.time("expand", || expanded(graph, profile, options, enabled));
        for decision in decisions {
            if decided.insert(decision.clone()) {
                rules.push(decision);
            }
        }
        let layouts =
            clock.time("layout", || layout::assign(&graph, profile, options.layout, options.precision))?;
        Ok((graph, layouts))
    }

    /// The kernels, and where everything lies.
    fn plan(
        &mut self,
        (graph, layouts): (&Graph, &LayoutMap),
        profile: &Profile,
        samples: &Samples,
    ) -> Result<(Program, MemoryPlan), CompileError> {
        let Self { options, clock, .. } = self;
        let program = clock
            .time("select", || select::choose_with(graph, layouts, profile, options.precision, samples))?;
        Ok(clock.time("memory", || plan::plan_memory(program, profile.memory))?)
    }
}

/// Simplifies and fuses, and decides what stays f32 in halves.
fn rewrite(mut graph: Graph, enabled: &Enabled, precision: Option<Precision>) -> (Graph, Vec<RuleReport>) {
    narrow::widen(&mut graph);
    let (graph, simplified) = simplify::simplify(graph, &enabled.rules);
    let (mut graph, fused) = fuse::fuse(graph, &enabled.rules);
    if precision == Some(Precision::F16) {
        layout::keep_angles(&mut graph);
    }
    graph.share();
    (graph, report::rule_reports(simplified).chain(report::rule_reports(fused)).collect())
}

/// The graph for one profile: attention as a node where a kernel of its own is best, written out elsewhere; long walks in
/// parts; and what stays f32 among halves.
fn expanded(
    graph: &Graph,
    profile: &Profile,
    options: &CompileOptions,
    enabled: &Enabled,
) -> (Graph, Vec<RuleReport>) {
    let mut graph = graph.clone();
    let keep = !enabled.rules.allows(expand::NAME);
    let decisions = expand::attention(&mut graph, profile, options.precision, keep);
    let mut reports = decided(expand::NAME, decisions);
    reports.extend(decided(expand::LONG, expand::long(&mut graph, profile)));
    // Only buffers have views of what lies inside of rows.
    let buffers = match options.layout {
        LayoutChoice::Auto => profile.layout == LayoutCosts::BUFFERS,
        choice => choice == LayoutChoice::Buffer,
    };
    if buffers && enabled.rules.allows(projections::NAME) {
        let packed = projections::pack(&mut graph, profile).into_iter();
        let of_profile =
            |Decision { node, outcome }| Decision { node, outcome: format!("{}: {outcome}", profile.name) };
        reports.extend(decided(projections::NAME, packed.map(of_profile)));
    }
    layout::keep_wide(&mut graph, options.precision);
    (graph, reports)
}

/// What a pass decided, under its name.
fn decided(rule: &str, decisions: impl IntoIterator<Item = Decision>) -> Vec<RuleReport> {
    let report = |Decision { node, outcome }| RuleReport { rule: rule.to_owned(), node, outcome };
    decisions.into_iter().map(report).collect()
}

#[cfg(test)]
mod tests;

//! The compiler from a graph to a bundle: each pass by name, in order.

use crate::emit::{self, Draft, KernelModules, SelfTestDraft};
use crate::error::CompileError;
use crate::estimate::Decisions;
use crate::layout::{self, LayoutChoice, LayoutMap, Precision};
use crate::mixed::{self, MixedReport};
use crate::narrow;
use crate::options::{CompileOptions, EntryModel, MAIN_ENTRY, ModelIdentity};
use crate::plan::{self, MemoryPlan};
use crate::profile::{LayoutCosts, MemoryForms, Profile};
use crate::program::{Program, StatePort};
use crate::quantize::{self, Keep, QuantizedWeight};
use crate::ranges;
use crate::report::{self, Clock, CompileReport, RuleReport, rule_reports};
use crate::rewrite::{self, Device};
use crate::select::{self, Agreement, Orders, Samples};
use crate::self_test::{self, Evaluator, Subject};
use crate::stage::{self, Stage};
use crate::technique::Enabled;
use crate::tie;
use bytes::Bytes;
use drift_bundle::BundleWriter;
use drift_bundle::manifest::{Provenance, Target};
use drift_bundle::self_test::{SelfTest, Untested};
use drift_ir::Graph;
use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};

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
    let several = models.len() > 1;
    let mut passes = Passes::new(options, store)?;
    let mut kernels = KernelModules::new(options.optimize);
    let names: Vec<String> = models.iter().map(|model| model.name.clone()).collect();
    let named = |entry: usize, error| match several {
        true => CompileError::Entry { entry: names[entry].clone(), source: Box::new(error) },
        false => error,
    };
    let mut prepared = Vec::new();
    for (entry, EntryModel { graph, .. }) in models.into_iter().enumerate() {
        let noted = passes.noted();
        let variants = passes.prepare(&names[entry], graph).map_err(|error| named(entry, error))?;
        passes.name_notes(noted, several.then_some(&names[entry]));
        prepared.push(variants);
    }
    let agreements = if several { passes.agree(&names, &prepared)? } else { Vec::new() };
    let mut drafts = Vec::new();
    for (entry, variants) in prepared.into_iter().enumerate() {
        let noted = passes.noted();
        let made = passes.drafts(entry, variants, &agreements, &mut kernels);
        drafts.extend(made.map_err(|error| named(entry, error))?);
        passes.name_notes(noted, several.then_some(&names[entry]));
    }
    passes.check_kept()?;
    check_states(&names, &drafts)?;
    let Passes { mut clock, warnings, notes, rules, quantized, mixed, .. } = passes;
    let provenance = Provenance {
        compiler: format!("driftc {}", env!("CARGO_PKG_VERSION")),
        flags: options.flags(),
        model: identity.name,
        model_hash: identity.hash,
        profiles: Draft::profiles(&drafts),
    };
    let targets = options.distinct_targets();
    let entries = (&names[..], &targets[..]);
    let bundle = clock.time("emit", || emit::bundle(entries, &drafts, &kernels, provenance))?;
    let of = |draft: &Draft| {
        report::variant(&names[draft.entry], draft.target, draft.profile.name, &draft.program)
    };
    let variants = drafts.iter().map(of).collect();
    Ok(Compiled {
        bundle,
        report: CompileReport { stages: clock.stages, warnings, notes, variants, rules, quantized, mixed },
    })
}

/// Refuses states of one name that entries cannot share, for one target and profile.
fn check_states(names: &[String], drafts: &[Draft]) -> Result<(), CompileError> {
    let form = |state: &StatePort| format!("{} {:?}", state.device.name(), state.shape);
    let of = |draft: &Draft| (draft.target, draft.profile.name);
    for (at, draft) in drafts.iter().enumerate() {
        for earlier in drafts[..at].iter().filter(|earlier| of(earlier) == of(draft)) {
            for state in &draft.program.states {
                let mut others = earlier.program.states.iter();
                let other = others.find(|other| other.name == state.name && form(other) != form(state));
                if let Some(other) = other {
                    return Err(CompileError::UnlikeStates {
                        state: state.name.clone(),
                        entries: [earlier, draft].map(|draft| names[draft.entry].clone()),
                        forms: [other, state].map(form),
                    });
                }
            }
        }
    }
    Ok(())
}

/// Prints a stage as text: one for each target and profile where they differ.
pub fn emit_stage(
    graph: Graph,
    options: &CompileOptions,
    stage: Stage,
) -> Result<Vec<(String, String)>, CompileError> {
    let mut passes = Passes::new(options, &Bytes::from)?;
    let graph = passes.rewrite(MAIN_ENTRY, graph)?;
    if stage == Stage::Graph {
        return Ok(vec![("graph.txt".to_owned(), stage::graph_text(&graph))]);
    }
    if stage == Stage::Dot {
        return Ok(vec![("graph.dot".to_owned(), drift_ir::view::dot(&graph))]);
    }
    let mut files = Vec::new();
    for (target, profile) in options.variants()? {
        let name = format!("{}-{}", emit::emission_target(target), profile.name);
        let reduced = passes.adjusted(target, profile);
        let laid_out = passes.lay_out(&graph, &reduced)?;
        if stage == Stage::Layout {
            let text = stage::layouts_text(&laid_out.graph, &laid_out.layouts);
            files.push((format!("{name}.layout.txt"), text));
            continue;
        }
        let (program, plan) = passes.plan(&laid_out, &reduced, (&Samples::default(), &Orders::default()))?;
        match stage {
            Stage::Graph | Stage::Dot | Stage::Layout => {}
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
    store: Keep<'a>,
    enabled: Enabled,
    clock: Clock,
    warnings: Vec<String>,
    notes: Vec<String>,
    rules: Vec<RuleReport>,
    quantized: Vec<QuantizedWeight>,
    mixed: Vec<MixedReport>,
    /// Names for `--keep` that nothing has had so far.
    unknown: BTreeSet<String>,
    /// What passes for one profile decided, each once.
    decided: HashSet<RuleReport>,
}

impl<'a> Passes<'a> {
    fn new(options: &'a CompileOptions, store: Keep<'a>) -> Result<Self, CompileError> {
        options.check()?;
        let enabled = Enabled::without(&options.disabled)?;
        let (warnings, notes, rules) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self {
            options,
            store,
            enabled,
            clock: Clock::default(),
            warnings,
            notes,
            rules,
            quantized: Vec::new(),
            mixed: Vec::new(),
            unknown: options.keep.iter().cloned().collect(),
            decided: HashSet::new(),
        })
    }

    /// The graphs of one model for each target and profile, with layouts.
    fn prepare(&mut self, entry: &str, graph: Graph) -> Result<Vec<LaidOut>, CompileError> {
        let graph = self.rewrite(entry, graph)?;
        self.warnings.extend(ranges::warning(&graph));
        let variants = self.options.variants()?.into_iter();
        variants
            .map(|(target, profile)| {
                let reduced = self.adjusted(target, profile);
                self.lay_out(&graph, &reduced)
            })
            .collect()
    }

    /// The orders in which entries read weights that they share, for each target and profile.
    fn agree(&mut self, names: &[String], prepared: &[Vec<LaidOut>]) -> Result<Vec<Agreement>, CompileError> {
        let mut agreements = Vec::new();
        for (at, (target, profile)) in self.options.variants()?.into_iter().enumerate() {
            let graphs = prepared.iter().filter_map(|variants| Some(&variants.get(at)?.graph));
            if !select::share_matrices(graphs) {
                agreements.push(Agreement::default());
                continue;
            }
            let reduced = self.adjusted(target, profile);
            let (samples, orders) = (Samples::default(), Orders::default());
            let device = (&*reduced, self.options.precision);
            let alone = |variants: &Vec<LaidOut>| {
                let LaidOut { graph, layouts, decisions } = variants.get(at)?;
                // What has no kernel fails when the entry's program is made.
                select::choose_with(graph, layouts, device, decisions, (&samples, &orders)).ok()
            };
            let programs: Vec<_> =
                self.clock.time("select", || prepared.iter().map(alone).collect::<Vec<_>>());
            let agreement = select::agree(&programs, &reduced);
            let note = report::agreement(profile.name, names, &agreement);
            self.notes.extend(note.filter(|note| !self.notes.contains(note)));
            agreements.push(agreement);
        }
        Ok(agreements)
    }

    /// All variants of one model, the `entry`th.
    fn drafts(
        &mut self,
        entry: usize,
        variants: Vec<LaidOut>,
        agreements: &[Agreement],
        kernels: &mut KernelModules,
    ) -> Result<Vec<Draft>, CompileError> {
        let (mut drafts, mut laid_outs) = (Vec::new(), Vec::new());
        let (samples, none) = (Samples::default(), Orders::default());
        for (at, ((target, profile), laid_out)) in
            self.options.variants()?.into_iter().zip(variants).enumerate()
        {
            let reduced = self.adjusted(target, profile);
            let orders = agreements.get(at).map_or(&none, |agreement| &agreement.orders);
            let (program, plan) = self.plan(&laid_out, &reduced, (&samples, orders))?;
            let kernels = self.clock.time("shaders", || kernels.make(&program, target, profile))?;
            drafts.push(Draft { entry, target, profile, program, plan, kernels, self_test: None });
            laid_outs.extend(self.options.self_test.then_some(laid_out));
        }
        let kept = Draft::distinct(&drafts);
        if self.options.self_test {
            let subjects = drafts.iter_mut().zip(&laid_outs).zip(&kept);
            let subjects = subjects.filter(|(_, kept)| **kept).map(|(subject, _)| subject);
            let (free, subjects): (Vec<_>, Vec<_>) = subjects.partition(|(draft, _)| draft.program.is_free());
            self.notes.extend(free.first().map(|(draft, _)| {
                let target = draft.target.name();
                format!("self-test for {target}: none, since sizes of inputs are free; bind them for one")
            }));
            self.self_tests(subjects, kernels)?;
        }
        Ok(drafts.into_iter().zip(kept).filter_map(|(draft, kept)| kept.then_some(draft)).collect())
    }

    /// Adds the self-tests of an entry's variants.
    fn self_tests(
        &mut self,
        mut drafts: Vec<(&mut Draft, &LaidOut)>,
        kernels: &mut KernelModules,
    ) -> Result<(), CompileError> {
        let mut evaluator = Evaluator::default();
        let mut make = |(draft, laid_out): &(&mut Draft, &LaidOut)| {
            let profile = draft.profile;
            let LaidOut { graph, layouts, .. } = laid_out;
            let (program, kernels, precision) = (&draft.program, &draft.kernels[..], self.options.precision);
            let subject = Subject { graph, layouts, program, kernels, profile, precision };
            self_test::make(subject, &mut evaluator)
        };
        let made: Vec<_> = self.clock.time("self-test", || drafts.iter().map(&mut make).collect::<Vec<_>>());
        let most = made.iter().map(|(_, right)| right.tests.len()).max().unwrap_or(0);
        for ((draft, _), (mut program, right)) in drafts.iter_mut().zip(made) {
            let of = format!("self-test of {} for {}", draft.profile.name, draft.target.name());
            self.notes.extend(self_test_notes(&of, &right));
            if right.tests.is_empty() {
                continue;
            }
            self_test::make_room(&mut program, most);
            let forms = MemoryForms { in_place: false, order: false, views: false, own_io: false };
            let planned = self.clock.time("memory", || plan::plan_memory(program, forms));
            let (program, plan) = planned?;
            let (target, profile) = (draft.target, draft.profile);
            let kernels = self.clock.time("shaders", || kernels.make(&program, target, profile))?;
            let right = right.encode()?;
            draft.self_test = Some(Box::new(SelfTestDraft { program, plan, kernels, right }));
        }
        Ok(())
    }

    /// How many warnings and notes there are.
    fn noted(&self) -> [usize; 2] {
        [self.warnings.len(), self.notes.len()]
    }

    /// Puts the entry that they are about before what was noted since.
    fn name_notes(&mut self, [warned, noted]: [usize; 2], entry: Option<&String>) {
        let Some(entry) = entry else { return };
        let new = self.warnings[warned..].iter_mut().chain(&mut self.notes[noted..]);
        new.for_each(|text| *text = format!("entry `{entry}`: {text}"));
    }

    /// The graph that every target and profile starts from.
    fn rewrite(&mut self, entry: &str, graph: Graph) -> Result<Graph, CompileError> {
        let (mut graph, reports) =
            self.clock.time("rewrite", || rewrite(graph, &self.enabled, self.options.precision));
        self.rules.extend(reports);
        self.clock.time("rewrite", || tie::embeddings(&mut graph))?;
        if let Some(forms) = self.options.quantized() {
            let Self { clock, options, store, unknown, .. } = self;
            let quantize = || quantize::weights(&mut graph, forms, (&options.keep, unknown), *store);
            self.quantized.extend(clock.time("quantize", quantize)?);
        }
        self.choose_precision(entry, &mut graph)?;
        graph.share();
        Ok(graph)
    }

    /// Keeps in f32 what f16 would spoil, or warns of what it may not hold.
    fn choose_precision(&mut self, entry: &str, graph: &mut Graph) -> Result<(), CompileError> {
        let Self { clock, options, .. } = self;
        let strict = |graph: &mut Graph| layout::keep_wide(graph, Some(Precision::F16));
        if let Some(mixed) = &options.mixed {
            let report = clock.time("calibrate", || mixed::keep(graph, entry, mixed, strict))?;
            self.notes.push(report.summary());
            self.warnings.extend(report.warning());
            self.mixed.push(report);
        } else if options.precision == Some(Precision::F16) {
            let mut stored = graph.clone();
            strict(&mut stored);
            self.warnings.extend(mixed::overflows(&stored));
        }
        Ok(())
    }

    /// Fails where a weight was to be kept that no model has.
    fn check_kept(&self) -> Result<(), CompileError> {
        if self.unknown.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = self.unknown.iter().map(|name| format!("`{name}`")).collect();
        Err(CompileError::UnknownWeights { names: names.join(", ") })
    }

    /// The profile as the options want it.
    fn adjusted<'p>(&self, target: Target, profile: &'p Profile) -> Cow<'p, Profile> {
        self.options.adjusted(&self.enabled, target, profile)
    }

    /// The graph for one profile, and a layout for each of its activations.
    fn lay_out(&mut self, graph: &Graph, profile: &Profile) -> Result<LaidOut, CompileError> {
        let Self { options, enabled, clock, rules, decided, .. } = self;
        let decide = || Decisions::of(graph, profile, options.precision);
        let decisions = clock.time("expand", decide);
        let rewritten = || for_profile(graph, profile, &decisions, options, enabled);
        let (graph, reports) = clock.time("expand", rewritten);
        for report in reports {
            if decided.insert(report.clone()) {
                rules.push(report);
            }
        }
        let layouts =
            clock.time("layout", || layout::assign(&graph, profile, options.layout, options.precision))?;
        Ok(LaidOut { graph, layouts, decisions })
    }

    /// The kernels, and where everything is.
    fn plan(
        &mut self,
        LaidOut { graph, layouts, decisions }: &LaidOut,
        profile: &Profile,
        shared: (&Samples, &Orders),
    ) -> Result<(Program, MemoryPlan), CompileError> {
        let Self { options, clock, notes, .. } = self;
        let device = (profile, options.precision);
        let program =
            clock.time("select", || select::choose_with(graph, layouts, device, decisions, shared))?;
        let own_io = profile.memory.own_io.then(|| program.clone());
        let (program, plan) = clock.time("memory", || plan::plan_memory(program, profile.memory))?;
        if let Some(program) = own_io {
            let shared = MemoryForms { own_io: false, ..profile.memory };
            let (_, without) = clock.time("memory", || plan::plan_memory(program, shared))?;
            let note = report::own_io(profile.name, &plan, &without);
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
        Ok((program, plan))
    }
}

/// The graph for one profile, and what was decided for it.
struct LaidOut {
    graph: Graph,
    layouts: LayoutMap,
    decisions: Decisions,
}

/// What a self-test tests, and what not.
fn self_test_notes(of: &str, right: &SelfTest) -> Vec<String> {
    let dispatches: u32 = right.tests.iter().map(|test| test.count).sum();
    let left_out = right.untested.len();
    let tests = right.tests.len();
    let summary = format!("{of}: {tests} tests of {dispatches} dispatches, {left_out} not tested");
    let not =
        |Untested { dispatch, reason }: &Untested| format!("{of}: `{dispatch}` is not tested: {reason}");
    [summary].into_iter().chain(right.untested.iter().map(not)).collect()
}

/// Simplifies and fuses, and decides what stays f32 under f16.
fn rewrite(mut graph: Graph, enabled: &Enabled, precision: Option<Precision>) -> (Graph, Vec<RuleReport>) {
    narrow::widen(&mut graph);
    let (graph, simplified) = rewrite::simplify(graph, &enabled.rules);
    let (mut graph, fused) = rewrite::fuse(graph, &enabled.rules);
    if precision == Some(Precision::F16) {
        layout::keep_angles(&mut graph);
    }
    (graph, rule_reports(simplified, None).chain(rule_reports(fused, None)).collect())
}

/// The graph for one profile: attention as a node where a kernel of its own is best, written out elsewhere; long walks in
/// parts; and what stays f32 under f16.
fn for_profile(
    graph: &Graph,
    profile: &Profile,
    decisions: &Decisions,
    options: &CompileOptions,
    enabled: &Enabled,
) -> (Graph, Vec<RuleReport>) {
    let buffers = match options.layout {
        LayoutChoice::Auto => profile.layout == LayoutCosts::BUFFERS,
        choice => choice == LayoutChoice::Buffer,
    };
    let device = Device { profile, decisions, buffers };
    let (mut graph, report) = rewrite::for_device(graph.clone(), &device, &enabled.rules);
    if options.mixed.is_some() {
        mixed::spread(&mut graph);
    }
    layout::keep_wide(&mut graph, options.precision);
    (graph, rule_reports(report, Some(profile.name)).collect())
}

#[cfg(test)]
mod tests;

//! The compiler from a graph to a bundle: each pass by name, in order.

use crate::emit::{self, Blobs, KernelModules, MemoryPlan, ShaderError};
use crate::expand::{self, Decision};
use crate::fuse;
use crate::layout::{self, LayoutChoice, LayoutError, LayoutMap, Precision};
use crate::memory::MemoryError;
use crate::narrow;
use crate::physical::weights::WeightsChoice;
use crate::profile::{self, LayoutCosts, Profile};
use crate::program::{Program, ProgramStep};
use crate::projections;
use crate::ranges;
use crate::select::{self, Samples, SelectError};
use crate::simplify::{self, UnknownRule};
use crate::technique::Enabled;
use drift_bundle::BundleWriter;
use drift_bundle::manifest::{Entry, Provenance, Target};
use drift_ir::Graph;
use std::borrow::Cow;
use std::time::Instant;

/// How weights are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WeightsPrecision {
    /// As f32.
    F32,
    /// As f16.
    F16,
    /// Eight bits per weight, scaled per channel.
    Q8,
    /// Eight bits for attention, four elsewhere.
    Q844,
}

/// What to compile for, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompileOptions {
    /// Targets in the order wanted.
    pub targets: Vec<Target>,
    /// Profiles by name; empty for each target's own.
    pub profiles: Vec<String>,
    /// Precision of floats; `None` keeps the model's types.
    pub precision: Option<Precision>,
    /// Precision of weights; `None` keeps that of activations.
    pub weights: Option<WeightsPrecision>,
    /// Objects that hold activations.
    pub layout: LayoutChoice,
    /// Forms of weights, where not the profile's.
    pub weights_layout: WeightsChoice,
    /// Rules and techniques switched off.
    pub disabled: Vec<String>,
    /// Run the SPIR-V optimiser.
    pub optimize: bool,
    /// What was decided before the graph came here, as flags for the bundle's provenance.
    pub import_flags: Vec<String>,
}

/// What a bundle says about its model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelIdentity {
    /// The graph's name.
    pub name: String,
    /// BLAKE3 of the model's bytes, hex.
    pub hash: String,
}

/// A model that becomes an entry of a bundle.
#[derive(Debug)]
pub struct EntryModel {
    /// The entry's name.
    pub name: String,
    /// The model.
    pub graph: Graph,
}

/// Name of the entry of a bundle that has one.
pub const MAIN_ENTRY: &str = "main";

/// A finished bundle, ready to be written, and what was decided on the way.
pub struct Compiled {
    /// The bundle.
    pub bundle: BundleWriter,
    /// The decisions.
    pub report: CompileReport,
}

/// What was decided, and how long it took.
#[derive(Clone, Debug, Default)]
pub struct CompileReport {
    /// Milliseconds by stage.
    pub stages: Vec<(&'static str, f64)>,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// Each variant made.
    pub variants: Vec<VariantReport>,
    /// What the rules did, and why they did not.
    pub rules: Vec<RuleReport>,
}

/// One variant.
#[derive(Clone, Debug)]
pub struct VariantReport {
    /// Its entry.
    pub entry: String,
    /// Its target.
    pub target: Target,
    /// Its name.
    pub variant: String,
    /// Its profile.
    pub profile: String,
    /// Its launches at load.
    pub init: Vec<DispatchReport>,
    /// Its launches of a run.
    pub dispatches: Vec<DispatchReport>,
}

/// One launch.
#[derive(Clone, Debug)]
pub struct DispatchReport {
    /// Name.
    pub name: String,
    /// Model nodes that it computes.
    pub origins: Vec<String>,
    /// Kernel chosen.
    pub kernel: String,
    /// Layouts of its arguments.
    pub layouts: String,
    /// Why this kernel.
    pub why: String,
    /// Kernels declined before it.
    pub declined: Vec<String>,
    /// Bytes read at least.
    pub bytes_read: u64,
    /// Bytes written at least.
    pub bytes_written: u64,
    /// Arithmetic.
    pub flops: u64,
}

/// What a rule did at a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleReport {
    /// The rule.
    pub rule: String,
    /// The node.
    pub node: String,
    /// `applied`, or why not.
    pub outcome: String,
}

/// Why a model does not compile.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// One of several entries.
    #[error("entry `{entry}`")]
    Entry {
        /// Its name.
        entry: String,
        /// Why it does not compile.
        #[source]
        source: Box<CompileError>,
    },
    /// No target.
    #[error("no target was given; pass --target vulkan, metal, webgpu or opencl")]
    NoTarget,
    /// A profile that is not known.
    #[error("there is no profile `{name}`; the profiles are {known}")]
    UnknownProfile {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// A rule that is not known.
    #[error(transparent)]
    UnknownRule(#[from] UnknownRule),
    /// Something that this version cannot do.
    #[error("{0}")]
    Unsupported(String),
    /// No layout.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// No kernel.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// A kernel could not be made.
    #[error(transparent)]
    Shader(#[from] ShaderError),
    /// Memory could not be planned.
    #[error(transparent)]
    Memory(#[from] MemoryError),
}

impl CompileError {
    /// Whether this is a fault of the compiler, which a user can only report: a kernel that does not parse, code that does
    /// not validate, a pass that broke the graph or the plan. All else is the model's, the options' or a device's doing.
    pub fn is_internal(&self) -> bool {
        match self {
            Self::Entry { source, .. } => source.is_internal(),
            Self::Shader(error) => error.is_internal(),
            Self::Memory(error) => error.is_internal(),
            Self::NoTarget
            | Self::UnknownProfile { .. }
            | Self::UnknownRule(_)
            | Self::Unsupported(_)
            | Self::Layout(_)
            | Self::Select(_) => false,
        }
    }
}

/// A stage that can be printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The graph after simplification and fusion.
    Graph,
    /// A layout for each activation.
    Layout,
    /// The launches.
    Program,
    /// The memory plan.
    Memory,
    /// Each launch's shader.
    Shaders,
}

/// A variant on its way: what `select` and `memory` decided.
struct Draft {
    /// Which of the models.
    entry: usize,
    target: Target,
    profile: &'static Profile,
    program: Program,
    plan: MemoryPlan,
    /// The kernel of each step at load, then of each step of a run.
    kernels: Vec<usize>,
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
    check(options)?;
    let several = models.len() > 1;
    let mut work = Work {
        clock: Clock::default(),
        kernels: KernelModules::new(options.optimize),
        warnings: Vec::new(),
        several,
        options,
    };
    let (mut names, mut drafts, mut rules) = (Vec::new(), Vec::new(), Vec::new());
    for EntryModel { name, graph } in models {
        let (made, fired) = work.drafts((names.len(), &name), graph).map_err(|error| match several {
            true => CompileError::Entry { entry: name.clone(), source: Box::new(error) },
            false => error,
        })?;
        names.push(name);
        drafts.extend(made);
        rules.extend(fired);
    }
    let Work { mut clock, kernels, warnings, .. } = work;
    let bundle = clock.time("emit", || bundle(&names, &drafts, &kernels, identity, options));
    let variants = drafts.iter().map(|draft| report(&names[draft.entry], draft)).collect();
    Ok(Compiled { bundle, report: CompileReport { stages: clock.stages, warnings, variants, rules } })
}

/// What the models of one bundle share while they are compiled.
struct Work<'a> {
    clock: Clock,
    kernels: KernelModules,
    warnings: Vec<String>,
    /// Whether the bundle has several entries.
    several: bool,
    options: &'a CompileOptions,
}

impl Work<'_> {
    /// The variants of one model, and what the rules did to it.
    fn drafts(
        &mut self,
        (entry, name): (usize, &str),
        graph: Graph,
    ) -> Result<(Vec<Draft>, Vec<RuleReport>), CompileError> {
        let Self { clock, kernels, warnings, several, options } = self;
        let enabled = Enabled::without(&options.disabled)?;
        let (graph, mut rules) = clock.time("rewrite", || rewrite(graph, &enabled, options.precision));
        warnings.extend(ranges::warning(&graph).map(|warning| match several {
            true => format!("entry `{name}`: {warning}"),
            false => warning,
        }));
        let (mut drafts, samples) = (Vec::new(), Samples::default());
        for (target, profile) in wanted(options)? {
            let reduced = adjusted(&enabled, profile, options);
            let (graph, decisions) = clock.time("expand", || expanded(&graph, &reduced, options, &enabled));
            for decision in decisions {
                if !rules.contains(&decision) {
                    rules.push(decision);
                }
            }
            let layouts = clock
                .time("layout", || layout::assign(&graph, &reduced, options.layout, options.precision))?;
            let mut program = clock.time("select", || {
                select::choose_with(&graph, &layouts, &reduced, options.precision, &samples)
            })?;
            let plan = clock.time("memory", || emit::plan_memory(&mut program, reduced.memory))?;
            let steps = clock.time("shaders", || kernels.make(&program, target, profile))?;
            drafts.push(Draft { entry, target, profile, program, plan, kernels: steps });
        }
        Ok((without_duplicates(drafts), rules))
    }
}

fn check(options: &CompileOptions) -> Result<(), CompileError> {
    if options.targets.is_empty() {
        return Err(CompileError::NoTarget);
    }
    let activations = options.precision;
    match (options.weights, activations) {
        (None, _)
        | (Some(WeightsPrecision::F32), Some(Precision::F32))
        | (Some(WeightsPrecision::F16), Some(Precision::F16)) => Ok(()),
        (Some(weights), _) => Err(CompileError::Unsupported(format!(
            "weights stored as {weights:?} beside other activations are not supported yet; leave --weights out, or give \
             --precision the same type"
        ))),
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
    (graph, rule_reports(simplified).chain(rule_reports(fused)).collect())
}

/// The profile as the caller wants it.
fn adjusted<'a>(enabled: &Enabled, profile: &'a Profile, options: &CompileOptions) -> Cow<'a, Profile> {
    let mut reduced = enabled.profile(profile);
    if options.weights_layout != WeightsChoice::default() {
        let profile = reduced.to_mut();
        profile.weights = profile.weights.with(options.weights_layout);
    }
    reduced
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
    let mut reports: Vec<RuleReport> = decisions
        .into_iter()
        .map(|Decision { node, outcome }| RuleReport { rule: expand::NAME.to_owned(), node, outcome })
        .collect();
    reports.extend(
        expand::long(&mut graph, profile).into_iter().map(|Decision { node, outcome }| RuleReport {
            rule: expand::LONG.to_owned(),
            node,
            outcome,
        }),
    );
    // Only buffers have views of what lies inside of rows.
    let buffers = match options.layout {
        LayoutChoice::Auto => profile.layout == LayoutCosts::BUFFERS,
        choice => choice == LayoutChoice::Buffer,
    };
    if buffers && enabled.rules.allows(projections::NAME) {
        reports.extend(projections::pack(&mut graph).into_iter().map(|Decision { node, outcome }| {
            RuleReport {
                rule: projections::NAME.to_owned(),
                node,
                outcome: format!("{}: {outcome}", profile.name),
            }
        }));
    }
    layout::keep_wide(&mut graph, options.precision);
    (graph, reports)
}

fn rule_reports(report: simplify::Report) -> impl Iterator<Item = RuleReport> {
    let entry = |rule: &'static str, node, outcome| RuleReport { rule: rule.to_owned(), node, outcome };
    let applied = report.applied.into_iter().map(move |a| entry(a.rule, a.node, "applied".to_owned()));
    let declined =
        report.declined.into_iter().map(move |d| entry(d.rule, d.node, format!("declined: {}", d.reason)));
    applied.chain(declined)
}

/// Targets and profiles to make: tuned ones first, since a device takes the first that it can run.
fn wanted(options: &CompileOptions) -> Result<Vec<(Target, &'static Profile)>, CompileError> {
    let named: Vec<&'static Profile> = options
        .profiles
        .iter()
        .map(|name| {
            profile::find(name).ok_or_else(|| CompileError::UnknownProfile {
                name: name.clone(),
                known: profile::ALL.iter().map(|p| p.name).collect::<Vec<_>>().join(", "),
            })
        })
        .collect::<Result<_, _>>()?;
    let mut wanted = Vec::new();
    for &target in &options.targets {
        match (named.is_empty(), target) {
            (false, _) => wanted.extend(named.iter().map(|profile| (target, *profile))),
            (true, Target::Vulkan) => wanted.extend(profile::VULKAN.iter().map(|profile| (target, *profile))),
            (true, Target::Metal | Target::WebGpu | Target::OpenCl) => {
                wanted.push((target, &profile::GENERIC))
            }
        }
    }
    Ok(wanted)
}

/// Leaves out a tuned variant whose program is that of a later one for the same target.
fn without_duplicates(drafts: Vec<Draft>) -> Vec<Draft> {
    let same = |a: &Draft, b: &Draft| a.target == b.target && a.program == b.program;
    let keep: Vec<bool> =
        (0..drafts.len()).map(|n| !drafts[n + 1..].iter().any(|later| same(&drafts[n], later))).collect();
    drafts.into_iter().zip(keep).filter_map(|(draft, keep)| keep.then_some(draft)).collect()
}

fn bundle(
    names: &[String],
    drafts: &[Draft],
    kernels: &KernelModules,
    identity: ModelIdentity,
    options: &CompileOptions,
) -> BundleWriter {
    let mut profiles: Vec<String> = drafts.iter().map(|draft| draft.profile.name.to_owned()).collect();
    profiles.sort();
    profiles.dedup();
    let mut bundle = BundleWriter::new(Provenance {
        compiler: format!("driftc {}", env!("CARGO_PKG_VERSION")),
        flags: flags(options),
        model: identity.name,
        model_hash: identity.hash,
        profiles,
    });
    let mut blobs = Blobs::default();
    for (index, name) in names.iter().enumerate() {
        blobs.begin_entry(if names.len() > 1 { format!("{name}/") } else { String::new() });
        for &target in &options.targets {
            let of_target = || drafts.iter().filter(|draft| (draft.entry, draft.target) == (index, target));
            let mut variants = Vec::new();
            for draft in of_target() {
                let kernels = kernels.of(&draft.kernels);
                let sink = emit::Sink { bundle: &mut bundle, blobs: &mut blobs, kernels };
                variants.push(emit::variant(&draft.program, &draft.plan, draft.profile, target, sink));
            }
            if let Some(first) = of_target().next() {
                bundle.add_entry(Entry {
                    name: name.clone(),
                    target,
                    inputs: emit::io_tensors(&first.program.inputs),
                    outputs: emit::io_tensors(&first.program.outputs),
                    variants,
                });
            }
        }
    }
    bundle
}

/// Flags that change the output, in a canonical order.
fn flags(options: &CompileOptions) -> Vec<String> {
    let mut flags = Vec::new();
    if let Some(precision) = options.precision {
        flags.push(format!("--precision {precision:?}").to_lowercase());
    }
    if options.layout != LayoutChoice::Auto {
        flags.push(format!("--layout {}", options.layout.name()));
    }
    if let Some(object) = options.weights_layout.object {
        flags.push(format!("--weights-layout {}", object.name()));
    }
    flags.extend(options.weights_layout.order.map(|order| format!("weights in the order {order}")));
    let mut disabled = options.disabled.clone();
    disabled.sort();
    flags.extend(disabled.iter().map(|rule| format!("--disable {rule}")));
    flags.extend(options.import_flags.iter().cloned());
    flags
}

fn report(entry: &str, draft: &Draft) -> VariantReport {
    let one = |step: &ProgramStep| DispatchReport {
        name: step.name.clone(),
        origins: step.origins.clone(),
        kernel: step.call.kernel.name.to_owned(),
        layouts: layouts_of(step),
        why: step.why.clone(),
        declined: step.declined.clone(),
        bytes_read: step.bytes_read,
        bytes_written: step.bytes_written,
        flops: step.flops,
    };
    VariantReport {
        entry: entry.to_owned(),
        target: draft.target,
        variant: draft.profile.name.to_owned(),
        profile: draft.profile.name.to_owned(),
        init: draft.program.init.iter().map(one).collect(),
        dispatches: draft.program.steps.iter().map(one).collect(),
    }
}

fn layouts_of(step: &ProgramStep) -> String {
    let slots = step.call.slots.iter().map(|slot| {
        let view = slot.describe_view();
        format!("{} {:?} {}{view}", slot.name, slot.shape, slot.describe())
    });
    slots.collect::<Vec<_>>().join("; ")
}

/// Prints a stage as text: one for each target and profile where they differ.
pub fn emit_stage(
    graph: Graph,
    options: &CompileOptions,
    stage: Stage,
) -> Result<Vec<(String, String)>, CompileError> {
    check(options)?;
    let enabled = Enabled::without(&options.disabled)?;
    let (graph, _) = rewrite(graph, &enabled, options.precision);
    if stage == Stage::Graph {
        return Ok(vec![(
            "graph.txt".to_owned(),
            drift_ir::text::print_with(&graph, drift_ir::text::PrintOptions { elide_above: Some(16) }),
        )]);
    }
    let mut files = Vec::new();
    for (target, profile) in wanted(options)? {
        let name = format!("{}-{}", emit::emission_target(target), profile.name);
        let reduced = adjusted(&enabled, profile, options);
        let (graph, _) = expanded(&graph, &reduced, options, &enabled);
        let layouts = layout::assign(&graph, &reduced, options.layout, options.precision)?;
        if stage == Stage::Layout {
            files.push((format!("{name}.layout.txt"), layouts_text(&graph, &layouts)));
            continue;
        }
        let mut program = select::choose(&graph, &layouts, &reduced, options.precision)?;
        let plan = emit::plan_memory(&mut program, reduced.memory)?;
        match stage {
            Stage::Graph | Stage::Layout => {}
            Stage::Program => files.push((format!("{name}.program.txt"), program_text(&program))),
            Stage::Memory => files.push((format!("{name}.memory.txt"), memory_text(&program, &plan))),
            Stage::Shaders => files.extend(shader_files(&name, &program, (target, profile), options)?),
        }
    }
    Ok(files)
}

fn layouts_text(graph: &Graph, layouts: &LayoutMap) -> String {
    layouts
        .iter()
        .map(|(value, layout)| format!("{}: {}\n", one_line(&graph.value(*value).name), layout.describe()))
        .collect()
}

/// A model's name for something, which may hold anything, as part of a line.
fn one_line(name: &str) -> String {
    name.replace(['\n', '\r'], " ")
}

/// One line a launch; those at load first, as `init`.
pub fn program_text(program: &Program) -> String {
    let mut text = String::new();
    let at_load = program.init.iter().enumerate().map(|(index, step)| (format!("init {index}"), step));
    let of_runs = program.steps.iter().enumerate().map(|(index, step)| (format!("{index:4}"), step));
    for (index, step) in at_load.chain(of_runs) {
        let [x, y, z] = step.call.workgroups;
        let [a, b, c] = step.call.workgroup_size;
        text.push_str(&format!(
            "{index} {} {} workgroups {x}x{y}x{z} of {a}x{b}x{c}: {}\n",
            step.call.kernel.name,
            one_line(&step.name),
            layouts_of(step)
        ));
    }
    text
}

/// Totals, then one line a storage: where it lies, its size, the steps that it lives through; at last what is alive where
/// most is.
pub fn memory_text(program: &Program, plan: &MemoryPlan) -> String {
    let report = &plan.report;
    let mut text = format!(
        "naive {} B, planned {} B{}, lower bound {} B, {:?}, {} steps in place\n",
        report.naive_bytes,
        report.planned_bytes,
        if plan.is_smallest { " (proved smallest)" } else { "" },
        report.lower_bound_bytes,
        report.strategy,
        plan.in_place.len()
    );
    let mut lines: Vec<(u64, usize, usize, String)> = Vec::new();
    for ((storage, place), &(first, own_last)) in program.storages.iter().zip(&plan.places).zip(&plan.lives) {
        let size = storage.kind.size_bytes();
        if size == 0 {
            continue;
        }
        // A part is needed for as long as the whole is.
        let wholes = std::iter::successors(storage.within, |w| program.storages[w.storage as usize].within);
        let last = wholes.map(|whole| plan.lives[whole.storage as usize].1).fold(own_last, usize::max);
        let place = match place {
            emit::Place::Arena(offset) => format!("arena +{offset}"),
            emit::Place::Texture(index) => format!("texture {index}"),
        };
        let within = storage.within.map(|within| &program.storages[within.storage as usize].name);
        let within = within.map_or(String::new(), |name| format!(" (within {})", one_line(name)));
        let name = one_line(&storage.name);
        lines.push((
            size,
            first,
            last,
            format!("{place:>16} {size:>10} B  steps {first}..={last}  {name}{within}\n"),
        ));
    }
    lines.iter().for_each(|(.., line)| text.push_str(line));
    if !plan.in_place.is_empty() {
        text.push_str("in place:\n");
    }
    for &step in &plan.in_place {
        text.push_str(&format!("{step:>6} {}\n", one_line(&program.steps[step].name)));
    }
    let most = plan.live_bytes.iter().copied().max().unwrap_or(0);
    if let Some(peak) = plan.live_bytes.iter().position(|&bytes| bytes == most).filter(|_| most > 0) {
        let step = program.steps.get(peak).map_or("the end".to_owned(), |step| one_line(&step.name));
        text.push_str(&format!("most is alive at step {peak}, {step}: {most} B\n"));
        lines.retain(|&(_, first, last, _)| (first..=last).contains(&peak));
        lines.sort_by_key(|&(size, ..)| std::cmp::Reverse(size));
        lines.iter().for_each(|(.., line)| text.push_str(line));
    }
    text
}

fn shader_files(
    name: &str,
    program: &Program,
    (target, profile): (Target, &Profile),
    options: &CompileOptions,
) -> Result<Vec<(String, String)>, CompileError> {
    let mut kernels = KernelModules::new(options.optimize);
    let numbers = kernels.make(program, target, profile)?;
    let mut files: Vec<(String, String)> = Vec::new();
    for (step, kernel) in program.all_steps().zip(kernels.of(&numbers)) {
        let extension = match target {
            Target::Vulkan => "spvasm",
            Target::Metal => "metal",
            Target::WebGpu => "wgsl",
            Target::OpenCl => "cl",
        };
        let file = format!("{name}.{}_{}.{extension}", step.call.kernel.name, kernel.index);
        if files.iter().all(|(known, _)| *known != file) {
            files.push((file, emit::shader_text(kernel, target)));
        }
    }
    Ok(files)
}

/// Wall time by stage, in order of first use.
#[derive(Default)]
struct Clock {
    stages: Vec<(&'static str, f64)>,
}

impl Clock {
    fn time<T>(&mut self, stage: &'static str, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        let ms = start.elapsed().as_secs_f64() * 1e3;
        match self.stages.iter_mut().find(|(name, _)| *name == stage) {
            Some((_, total)) => *total += ms,
            None => self.stages.push((stage, ms)),
        }
        result
    }
}

//! What passes take and leave: a variant on its way to a bundle, and what is noted for the report.

use crate::emit::{self, Draft};
use crate::error::CompileError;
use crate::estimate::Decisions;
use crate::layout::LayoutMap;
use crate::mixed::MixedReport;
use crate::options::{CompileOptions, EntryModel};
use crate::plan::MemoryPlan;
use crate::profile::Profile;
use crate::program::Program;
use crate::quantize::{Keep, QuantizedWeight};
use crate::report::{self, Clock, CompileReport, RuleReport, rule_reports};
use crate::rewrite::{Report, Rules};
use crate::stage::{self, Stage};
use crate::technique::Enabled;
use drift_bundle::manifest::Target;
use drift_ir::Graph;
use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};

/// A target and a profile that a variant of each entry is made for.
pub(super) struct Variant {
    pub(super) target: Target,
    /// The profile as it is listed.
    pub(super) profile: &'static Profile,
    /// The profile as the options want it.
    pub(super) adjusted: Cow<'static, Profile>,
}

/// The graph for one variant, and what was decided for it.
pub(super) struct LaidOut {
    pub(super) variant: Variant,
    pub(super) graph: Graph,
    pub(super) layouts: LayoutMap,
    pub(super) decisions: Decisions,
}

/// The dispatches of one variant, and where everything is.
pub(super) struct Planned {
    pub(super) laid_out: LaidOut,
    pub(super) program: Program,
    pub(super) plan: MemoryPlan,
}

impl Variant {
    /// How files of it begin.
    fn file_name(&self) -> String {
        format!("{}-{}", emit::emission_target(self.target), self.profile.name)
    }
}

impl LaidOut {
    /// Its layouts as a file.
    pub(super) fn file(&self) -> (String, String) {
        let text = stage::layouts_text(&self.graph, &self.layouts);
        (format!("{}.layout.txt", self.variant.file_name()), text)
    }
}

impl Planned {
    /// A stage behind the layouts as files.
    pub(super) fn files(&self, stage: Stage, optimize: bool) -> Result<Vec<(String, String)>, CompileError> {
        let Self { laid_out: LaidOut { variant, .. }, program, plan } = self;
        let name = variant.file_name();
        Ok(match stage {
            Stage::Graph | Stage::Dot | Stage::Layout => Vec::new(),
            Stage::Program => vec![(format!("{name}.program.txt"), stage::program_text(program))],
            Stage::Memory => vec![(format!("{name}.memory.txt"), stage::memory_text(program, plan))],
            Stage::Shaders => {
                stage::shader_files(&name, program, (variant.target, variant.profile), optimize)?
            }
        })
    }

    /// It with its kernels, and what it was made of.
    pub(super) fn draft(self, entry: usize, kernels: Vec<usize>) -> (Draft, LaidOut) {
        let Self { laid_out, program, plan } = self;
        let Variant { target, profile, .. } = laid_out.variant;
        (Draft { entry, target, profile, program, plan, kernels, self_test: None }, laid_out)
    }
}

/// The drafts of one entry that are kept.
pub(super) fn distinct(drafts: Vec<(Draft, LaidOut)>) -> Vec<(Draft, LaidOut)> {
    let (drafts, laid_out): (Vec<Draft>, Vec<LaidOut>) = drafts.into_iter().unzip();
    let kept = Draft::distinct(&drafts);
    drafts.into_iter().zip(laid_out).zip(kept).filter_map(|(draft, kept)| kept.then_some(draft)).collect()
}

/// What passes are asked for, and what they leave for the report.
pub(super) struct Passes<'a> {
    pub(super) options: &'a CompileOptions,
    pub(super) store: Keep<'a>,
    /// Names of the entries.
    pub(super) names: Vec<String>,
    /// The entry that a pass is at.
    pub(super) entry: usize,
    pub(super) warnings: Vec<String>,
    /// What options cost.
    pub(super) notes: Vec<String>,
    pub(super) quantized: Vec<QuantizedWeight>,
    pub(super) mixed: Vec<MixedReport>,
    /// Names for `--keep` that nothing has had so far.
    pub(super) unknown: BTreeSet<String>,
    enabled: Enabled,
    clock: Clock,
    rules: Vec<RuleReport>,
    /// What rules for one profile decided, each once.
    decided: HashSet<RuleReport>,
}

impl<'a> Passes<'a> {
    pub(super) fn new(
        models: &[EntryModel],
        options: &'a CompileOptions,
        store: Keep<'a>,
    ) -> Result<Self, CompileError> {
        options.check()?;
        let enabled = Enabled::without(&options.disabled)?;
        Ok(Self {
            options,
            store,
            names: models.iter().map(|model| model.name.clone()).collect(),
            entry: 0,
            warnings: Vec::new(),
            notes: Vec::new(),
            quantized: Vec::new(),
            mixed: Vec::new(),
            unknown: options.keep.iter().cloned().collect(),
            enabled,
            clock: Clock::default(),
            rules: Vec::new(),
            decided: HashSet::new(),
        })
    }

    /// The variants to make of each entry.
    pub(super) fn variants(&self) -> Result<Vec<Variant>, CompileError> {
        let variant = |(target, profile)| {
            let adjusted = self.options.adjusted(&self.enabled, target, profile);
            Variant { target, profile, adjusted }
        };
        Ok(self.options.variants()?.into_iter().map(variant).collect())
    }

    /// Runs a pass on each entry. Of several, what it notes and its error name theirs.
    pub(super) fn each_entry<T, U>(
        &mut self,
        entries: Vec<T>,
        mut pass: impl FnMut(&mut Self, T) -> Result<U, CompileError>,
    ) -> Result<Vec<U>, CompileError> {
        let mut made = Vec::new();
        for (at, entry) in entries.into_iter().enumerate() {
            self.entry = at;
            let noted = [self.warnings.len(), self.notes.len()];
            let result = pass(self, entry);
            if self.names.len() == 1 {
                made.push(result?);
                continue;
            }
            let name = &self.names[at];
            let of_entry = |error| CompileError::Entry { entry: name.clone(), source: Box::new(error) };
            made.push(result.map_err(of_entry)?);
            let new = self.warnings[noted[0]..].iter_mut().chain(&mut self.notes[noted[1]..]);
            new.for_each(|text| *text = format!("entry `{name}`: {text}"));
        }
        Ok(made)
    }

    /// Does some work, timed as part of a stage.
    pub(super) fn time<T>(&mut self, stage: &'static str, work: impl FnOnce() -> T) -> T {
        self.clock.time(stage, work)
    }

    /// Runs rewrite rules, for one profile or for all; what they decided is reported once.
    pub(super) fn rewrite(
        &mut self,
        profile: Option<&str>,
        pass: impl FnOnce(&Rules) -> (Graph, Report),
    ) -> Graph {
        let (graph, report) = self.clock.time("rewrite", || pass(&self.enabled.rules));
        for report in rule_reports(report, profile) {
            if profile.is_none() || self.decided.insert(report.clone()) {
                self.rules.push(report);
            }
        }
        graph
    }

    /// Notes what holds for several entries or targets once.
    pub(super) fn note_once(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// What was decided on the way to some drafts.
    pub(super) fn report(self, drafts: &[Draft]) -> CompileReport {
        let variant = |draft: &Draft| {
            let entry = &self.names[draft.entry];
            report::variant(entry, draft.target, draft.profile.name, &draft.program)
        };
        let variants = drafts.iter().map(variant).collect();
        let Self { clock, warnings, notes, rules, quantized, mixed, .. } = self;
        CompileReport { stages: clock.stages, warnings, notes, variants, rules, quantized, mixed }
    }
}

//! What `driftc explain` knows of a model that was compiled, or of a bundle.

use crate::contents::shown;
use crate::kept::MixedJson;
use drift_bundle::Bundle;
use drift_bundle::manifest::{Dispatch, Entry, Manifest, Target, Variant};
use drift_compiler::{CompileReport, DispatchReport, MixedReport, RuleReport, VariantReport};
use serde::{Serialize, Serializer};

/// What `driftc explain --json FILE` writes.
#[derive(Debug, Serialize)]
pub(crate) struct Explained {
    /// `model` or `bundle`.
    pub(crate) kind: &'static str,
    /// Name of the model.
    pub(crate) model: String,
    /// What the rules did at which node; empty for a bundle.
    pub(crate) rules: Vec<ExplainedRule>,
    /// What mixed precision keeps in f32; empty for other precisions and for a bundle.
    #[serde(serialize_with = "mixed")]
    pub(crate) mixed: Vec<MixedReport>,
    /// Each variant.
    pub(crate) variants: Vec<ExplainedVariant>,
}

fn mixed<S: Serializer>(reports: &[MixedReport], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(reports.iter().map(MixedJson::from))
}

/// What a rule did at a node.
#[derive(Debug, Serialize)]
pub(crate) struct ExplainedRule {
    pub(crate) rule: String,
    pub(crate) node: String,
    /// `applied`, or why not.
    pub(crate) outcome: String,
}

/// One variant.
#[derive(Debug, Serialize)]
pub(crate) struct ExplainedVariant {
    pub(crate) entry: String,
    pub(crate) target: &'static str,
    pub(crate) variant: String,
    pub(crate) profile: String,
    /// Its dispatches at load.
    pub(crate) init: Vec<ExplainedDispatch>,
    /// Its dispatches of a run.
    pub(crate) dispatches: Vec<ExplainedDispatch>,
}

/// One dispatch.
#[derive(Debug, Serialize)]
pub(crate) struct ExplainedDispatch {
    pub(crate) name: String,
    /// Nodes of the model that it computes.
    pub(crate) origins: Vec<String>,
    /// The kernel; of a bundle the shader.
    pub(crate) kernel: String,
    /// Bytes read at least.
    pub(crate) bytes_read: u64,
    /// Bytes written at least.
    pub(crate) bytes_written: u64,
    /// Arithmetic.
    pub(crate) flops: u64,
    /// What only compiling tells.
    #[serde(flatten)]
    pub(crate) choice: Option<Choice>,
    /// Number of its shader in the bundle.
    #[serde(skip)]
    pub(crate) shader: Option<u32>,
    /// What only a bundle tells: workgroups along each axis.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) workgroups: Option<[u32; 3]>,
}

/// Why a kernel was chosen.
#[derive(Debug, Serialize)]
pub(crate) struct Choice {
    pub(crate) why: String,
    /// Layouts of its arguments.
    pub(crate) layouts: String,
    /// Kernels declined before it, each with the reason.
    pub(crate) declined: Vec<String>,
}

impl Explained {
    /// What compiling a model told.
    pub(crate) fn of_model(model: String, report: &CompileReport) -> Self {
        let rule = |RuleReport { rule, node, outcome }| ExplainedRule { rule, node, outcome };
        let variants = report.variants.iter().map(|of: &VariantReport| ExplainedVariant {
            entry: of.entry.clone(),
            target: of.target.name(),
            variant: of.variant.clone(),
            profile: of.profile.clone(),
            init: of.init.iter().map(compiled).collect(),
            dispatches: of.dispatches.iter().map(compiled).collect(),
        });
        Self {
            kind: "model",
            model,
            rules: report.rules.iter().cloned().map(rule).collect(),
            mixed: report.mixed.clone(),
            variants: variants.collect(),
        }
    }

    /// Adds what the bundle of the same model knows: shaders and workgroups.
    pub(crate) fn join(&mut self, bundle: &Bundle) {
        for own in &mut self.variants {
            let mut entries = bundle.manifest().entries.iter();
            let entry = entries.find(|entry| entry.name == own.entry && entry.target.name() == own.target);
            let variant =
                entry.and_then(|entry| entry.variants.iter().find(|variant| variant.name == own.variant));
            let Some(variant) = variant else { continue };
            let pairs = own.init.iter_mut().zip(&variant.init);
            for (own, stored) in pairs.chain(own.dispatches.iter_mut().zip(&variant.dispatches)) {
                (own.shader, own.workgroups) = (Some(stored.shader), Some(stored.workgroups));
            }
        }
    }

    /// What a bundle holds for the targets asked for; for all where none is.
    pub(crate) fn of_bundle(bundle: &Bundle, targets: &[Target]) -> Self {
        let manifest = bundle.manifest();
        let entries = shown(manifest).filter(|entry| targets.is_empty() || targets.contains(&entry.target));
        let variants = entries.flat_map(|entry| entry.variants.iter().map(move |variant| (entry, variant)));
        let one = |(entry, variant): (&Entry, &Variant)| ExplainedVariant {
            entry: entry.name.clone(),
            target: entry.target.name(),
            variant: variant.name.clone(),
            profile: variant.profile.clone(),
            init: variant.init.iter().map(|dispatch| stored(manifest, dispatch)).collect(),
            dispatches: variant.dispatches.iter().map(|dispatch| stored(manifest, dispatch)).collect(),
        };
        Self {
            kind: "bundle",
            model: manifest.provenance.model.clone(),
            rules: Vec::new(),
            mixed: Vec::new(),
            variants: variants.map(one).collect(),
        }
    }
}

fn compiled(dispatch: &DispatchReport) -> ExplainedDispatch {
    let DispatchReport { name, origins, kernel, layouts, why, declined, bytes_read, bytes_written, flops } =
        dispatch.clone();
    let choice = Some(Choice { why, layouts, declined });
    ExplainedDispatch {
        name,
        origins,
        kernel,
        bytes_read,
        bytes_written,
        flops,
        choice,
        shader: None,
        workgroups: None,
    }
}

fn stored(manifest: &Manifest, dispatch: &Dispatch) -> ExplainedDispatch {
    let shader = manifest.shaders.get(dispatch.shader as usize);
    ExplainedDispatch {
        name: dispatch.name.clone(),
        origins: dispatch.origins.clone(),
        kernel: shader.map_or_else(String::new, |shader| shader.name.clone()),
        bytes_read: dispatch.bytes_read,
        bytes_written: dispatch.bytes_written,
        flops: dispatch.flops,
        choice: None,
        shader: Some(dispatch.shader),
        workgroups: Some(dispatch.workgroups),
    }
}

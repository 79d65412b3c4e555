//! Variants of one or several models as a bundle.

use super::{Blobs, KernelModules, Sink, io_tensors, variant};
use crate::plan::MemoryPlan;
use crate::profile::Profile;
use crate::program::Program;
use drift_bundle::BundleWriter;
use drift_bundle::manifest::{Entry, Provenance, Target};

/// A variant before it is emitted.
pub struct Draft {
    /// Which of the models.
    pub entry: usize,
    /// Its target.
    pub target: Target,
    /// Its profile.
    pub profile: &'static Profile,
    /// Its dispatches.
    pub program: Program,
    /// Where everything is.
    pub plan: MemoryPlan,
    /// The kernel of each step at load, then of each step of a run.
    pub kernels: Vec<usize>,
}

impl Draft {
    /// Profiles of some drafts by name, each once.
    pub fn profiles(drafts: &[Self]) -> Vec<String> {
        let mut profiles: Vec<String> = drafts.iter().map(|draft| draft.profile.name.to_owned()).collect();
        profiles.sort();
        profiles.dedup();
        profiles
    }

    /// Leaves out a tuned variant whose program is that of a later one for the same target.
    pub fn without_duplicates(drafts: Vec<Self>) -> Vec<Self> {
        let same = |a: &Self, b: &Self| a.target == b.target && a.program == b.program;
        let keep: Vec<bool> =
            (0..drafts.len()).map(|n| !drafts[n + 1..].iter().any(|later| same(&drafts[n], later))).collect();
        drafts.into_iter().zip(keep).filter_map(|(draft, keep)| keep.then_some(draft)).collect()
    }
}

/// The bundle of `entries`, whose variants are `drafts`: for each entry and target, variants in the order of `drafts`.
pub fn bundle(
    (entries, targets): (&[String], &[Target]),
    drafts: &[Draft],
    kernels: &KernelModules,
    provenance: Provenance,
) -> BundleWriter {
    let mut bundle = BundleWriter::new(provenance);
    let mut blobs = Blobs::default();
    for (index, name) in entries.iter().enumerate() {
        blobs.begin_entry(if entries.len() > 1 { format!("{name}/") } else { String::new() });
        for &target in targets {
            let of_target = || drafts.iter().filter(|draft| (draft.entry, draft.target) == (index, target));
            let mut variants = Vec::new();
            for draft in of_target() {
                let kernels = kernels.of(&draft.kernels);
                let sink = Sink { bundle: &mut bundle, blobs: &mut blobs, kernels };
                variants.push(variant(&draft.program, &draft.plan, draft.profile, target, sink));
            }
            if let Some(first) = of_target().next() {
                bundle.add_entry(Entry {
                    name: name.clone(),
                    target,
                    inputs: io_tensors(&first.program.inputs),
                    outputs: io_tensors(&first.program.outputs),
                    variants,
                });
            }
        }
    }
    bundle
}

//! Variants of one or several models as a bundle.

use super::{Blobs, KernelModules, Sink, SizeError, Sizes, io_tensors, variant};
use crate::plan::MemoryPlan;
use crate::profile::Profile;
use crate::program::Program;
use drift_bundle::BundleWriter;
use drift_bundle::manifest::{Entry, Provenance, Target, Variant};
use drift_bundle::self_test::{blob_name, entry_name};
use std::sync::Arc;

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
    /// Its self-test, where there is one.
    pub self_test: Option<Box<SelfTestDraft>>,
}

/// The self-test of a variant before it is emitted.
pub struct SelfTestDraft {
    /// Its dispatches.
    pub program: Program,
    /// Where everything is.
    pub plan: MemoryPlan,
    /// The kernel of each step at load, then of each step of a run.
    pub kernels: Vec<usize>,
    /// The right values, as the bundle holds them.
    pub right: Vec<u8>,
}

impl Draft {
    /// Profiles of some drafts by name, each once.
    pub fn profiles(drafts: &[Self]) -> Vec<String> {
        let mut profiles: Vec<String> = drafts.iter().map(|draft| draft.profile.name.to_owned()).collect();
        profiles.sort();
        profiles.dedup();
        profiles
    }

    /// Which of some drafts of one entry are kept: all but tuned variants whose program is that of a later one for the same
    /// target.
    pub fn distinct(drafts: &[Self]) -> Vec<bool> {
        let same = |a: &Self, b: &Self| a.target == b.target && a.program.runs_as(&b.program);
        (0..drafts.len()).map(|n| !drafts[n + 1..].iter().any(|later| same(&drafts[n], later))).collect()
    }
}

/// The bundle of `entries`, whose variants are `drafts`: for each entry and target, variants in the order of `drafts`. Their
/// self-tests follow behind all of them.
pub fn bundle(
    (entries, targets): (&[String], &[Target]),
    drafts: &[Draft],
    kernels: &KernelModules,
    provenance: Provenance,
) -> Result<BundleWriter, SizeError> {
    let mut bundle = BundleWriter::new(provenance);
    let mut blobs = Blobs::default();
    let mut self_tests = Vec::new();
    for (index, name) in entries.iter().enumerate() {
        blobs.begin_entry(if entries.len() > 1 { format!("{name}/") } else { String::new() });
        for &target in targets {
            let programs = drafts.iter().filter(|draft| (draft.entry, draft.target) == (index, target));
            let sizes = Sizes::of(programs.map(|draft| &draft.program))?;
            let of_target = || drafts.iter().filter(|draft| (draft.entry, draft.target) == (index, target));
            let mut variants = Vec::new();
            for draft in of_target() {
                let kernels = kernels.of(&draft.kernels);
                let sink = Sink { bundle: &mut bundle, blobs: &mut blobs, sizes: &sizes, kernels };
                variants.push(variant(&draft.program, &draft.plan, draft.profile, target, sink));
            }
            if let Some(first) = of_target().next() {
                bundle.add_entry(entry((name.clone(), target), &first.program, &sizes, variants));
            }
            self_tests.extend(self_test((name, target), of_target(), (&mut bundle, &mut blobs), kernels));
        }
    }
    for entry in self_tests {
        bundle.add_entry(entry);
    }
    Ok(bundle)
}

fn entry(
    (name, target): (String, Target),
    program: &Program,
    sizes: &Sizes,
    variants: Vec<Variant>,
) -> Entry {
    let (inputs, outputs) = (io_tensors(&program.inputs, sizes), io_tensors(&program.outputs, sizes));
    Entry { name, target, dims: sizes.dims(), sizes: sizes.expressions(), inputs, outputs, variants }
}

/// The self-test of an entry's variants for one target, as an entry; its right values become weights.
fn self_test<'a>(
    (name, target): (&str, Target),
    drafts: impl Iterator<Item = &'a Draft>,
    (bundle, blobs): (&mut BundleWriter, &mut Blobs),
    kernels: &KernelModules,
) -> Option<Entry> {
    let name = entry_name(name);
    let mut first = None;
    let mut variants = Vec::new();
    // Tests are of programs whose sizes are known.
    let sizes = Sizes::default();
    for (draft, test) in drafts.filter_map(|draft| Some((draft, draft.self_test.as_ref()?))) {
        let sink = Sink {
            bundle: &mut *bundle,
            blobs: &mut *blobs,
            sizes: &sizes,
            kernels: kernels.of(&test.kernels),
        };
        let variant = variant(&test.program, &test.plan, draft.profile, target, sink);
        let right = blob_name(target, &name, &variant.name);
        bundle.add_packed_weight(&right, Arc::new(test.right.clone()));
        variants.push(variant);
        first.get_or_insert(&test.program);
    }
    first.map(|program| entry((name, target), program, &sizes, variants))
}

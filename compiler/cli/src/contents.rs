//! What is inside a bundle, counted.

use crate::host::entry_io_text;
use crate::units::bytes;
use drift_bundle::Bundle;
use drift_bundle::manifest::{
    Entry, FreeDim, Manifest, MemoryStrategy, RegionKind, Requirement, Resource, StateRegion, Variant,
};
use drift_bundle::self_test::{SelfTest, Untested, is_self_test, tested_entry};
use serde::Serialize;
use std::collections::BTreeSet;

/// What `--json` prints.
#[derive(Debug, Serialize)]
pub struct BundleReport {
    /// `bundle`; a model has `model`.
    pub kind: &'static str,
    /// `driftc` and its version.
    pub compiler: String,
    /// Name of the model.
    pub model: String,
    /// BLAKE3 of the model, hex.
    pub model_hash: String,
    /// Flags that shaped the bundle.
    pub flags: Vec<String>,
    /// Profiles that it was compiled for.
    pub profiles: Vec<String>,
    /// Size of the file.
    pub file_bytes: u64,
    /// Shaders stored, over all targets.
    pub shaders: usize,
    /// Weights stored, over all targets.
    pub weights_bytes: u64,
    /// What can be run, but for self-tests.
    pub entries: Vec<EntryReport>,
    /// Its self-tests.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub self_tests: Vec<SelfTestReport>,
}

/// The self-test of a variant.
#[derive(Debug, Serialize)]
pub struct SelfTestReport {
    /// The entry that it tests.
    pub entry: String,
    /// API of its shaders.
    pub target: &'static str,
    /// Name of the variant.
    pub variant: String,
    /// Tests of distinct dispatches; `null` where the right values cannot be read.
    pub tests: Option<usize>,
    /// Dispatches that are left out, each with the reason.
    pub untested: Vec<String>,
}

/// The entries of a model, without those that are self-tests.
pub fn shown(manifest: &Manifest) -> impl Iterator<Item = &Entry> {
    manifest.entries.iter().filter(|entry| !is_self_test(manifest, entry))
}

fn self_tests(bundle: &Bundle) -> Vec<SelfTestReport> {
    let manifest = bundle.manifest();
    let entries = manifest.entries.iter().filter(|entry| is_self_test(manifest, entry));
    let variants = entries.flat_map(|entry| entry.variants.iter().map(move |variant| (entry, variant)));
    let one = |(entry, variant): (&Entry, &Variant)| {
        let right = SelfTest::of(bundle, entry, variant).ok().flatten();
        let untested = right.iter().flat_map(|right| &right.untested);
        SelfTestReport {
            entry: tested_entry(&entry.name).unwrap_or_default().to_owned(),
            target: entry.target.name(),
            variant: variant.name.clone(),
            tests: right.as_ref().map(|right| right.tests.len()),
            untested: untested.map(|Untested { dispatch, reason }| format!("{dispatch}: {reason}")).collect(),
        }
    };
    variants.map(one).collect()
}

/// One entry for one target.
#[derive(Debug, Serialize)]
pub struct EntryReport {
    /// Name of the entry.
    pub name: String,
    /// API of its shaders.
    pub target: &'static str,
    /// Dims of the model whose sizes are free.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dims: Vec<DimReport>,
    /// Inputs as text.
    pub inputs: Vec<String>,
    /// Outputs as text.
    pub outputs: Vec<String>,
    /// In the order in which they are tried.
    pub variants: Vec<VariantReport>,
}

/// A dim of the model whose size is free.
#[derive(Debug, Serialize)]
pub struct DimReport {
    /// Its name.
    pub name: String,
    /// The least size that it may have.
    pub low: u64,
    /// The greatest.
    pub high: u64,
    /// What its sizes are multiples of.
    pub step: u64,
    /// The same as text.
    pub sizes: String,
}

impl DimReport {
    fn of(dim: &FreeDim) -> Self {
        let (low, high, step) = (dim.least(), dim.most(), dim.step);
        Self { name: dim.name.clone(), low, high, step, sizes: dim.in_words() }
    }
}

/// One way to run an entry.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct VariantReport {
    /// Name of the variant.
    pub name: String,
    /// Device profile that it was made for.
    pub profile: String,
    /// What a device must have.
    pub requires: Vec<String>,
    /// Dispatches per run.
    pub dispatches: usize,
    /// Dispatches once at load.
    pub init_dispatches: usize,
    /// Different shaders among them.
    pub kernels: usize,
    /// Weight blobs that it reads, each counted once; those that only dispatches at load read are given back after them.
    pub weights_bytes: u64,
    /// What dispatches at load make of weights, kept for as long as the program is.
    pub derived_bytes: u64,
    /// The arenas.
    pub arena_bytes: u64,
    /// Textures of activations.
    pub texture_bytes: u64,
    /// Inputs and outputs in memory of their own.
    pub io_bytes: u64,
    /// What runs keep for the next one.
    pub state_bytes: u64,
    /// Each of them.
    pub states: Vec<StateReport>,
    /// Words that the host writes before a run.
    pub params_bytes: u64,
    /// Sum over all activation tensors.
    pub activations_naive_bytes: u64,
    /// What the plan takes.
    pub activations_planned_bytes: u64,
    /// Largest sum of tensors alive at once.
    pub activations_lower_bound_bytes: u64,
    /// The strategy that won.
    pub memory_strategy: &'static str,
    /// Bytes that a run must read at least.
    pub bytes_read: u64,
    /// Bytes that a run must write at least.
    pub bytes_written: u64,
    /// Arithmetic of a run.
    pub flops: u64,
}

/// What runs keep under a name, shared by entries that are loaded together.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct StateReport {
    /// Its name.
    pub name: String,
    /// Type of its elements on the device.
    pub element: String,
    /// Sizes, outermost first.
    pub shape: Vec<u64>,
    /// Bytes on the device.
    pub bytes: u64,
}

impl StateReport {
    fn of(state: &StateRegion<'_>) -> Self {
        let StateRegion { name, element, shape, size, .. } = *state;
        let element = format!("{element:?}").to_lowercase();
        Self { name: name.to_owned(), element, shape: shape.to_vec(), bytes: size }
    }
}

/// Counts and sums over a bundle, and the entries of `manifest`: its own, or some of them.
pub fn report(bundle: &Bundle, manifest: &Manifest) -> BundleReport {
    let provenance = &manifest.provenance;
    BundleReport {
        kind: "bundle",
        compiler: provenance.compiler.clone(),
        model: provenance.model.clone(),
        model_hash: provenance.model_hash.clone(),
        flags: provenance.flags.clone(),
        profiles: provenance.profiles.clone(),
        file_bytes: bundle.file_bytes(),
        shaders: manifest.shaders.len(),
        weights_bytes: manifest.weights.iter().map(|blob| blob.size).sum(),
        entries: shown(manifest).map(|entry| entry_report(manifest, entry)).collect(),
        self_tests: self_tests(bundle),
    }
}

fn entry_report(manifest: &Manifest, entry: &Entry) -> EntryReport {
    EntryReport {
        name: entry.name.clone(),
        target: entry.target.name(),
        dims: entry.dims.iter().map(DimReport::of).collect(),
        inputs: entry.inputs.iter().map(|tensor| entry_io_text(entry, tensor)).collect(),
        outputs: entry.outputs.iter().map(|tensor| entry_io_text(entry, tensor)).collect(),
        variants: entry.variants.iter().map(|variant| variant_report(manifest, variant)).collect(),
    }
}

fn variant_report(manifest: &Manifest, variant: &Variant) -> VariantReport {
    let all = || variant.init.iter().chain(&variant.dispatches);
    let kernels: BTreeSet<u32> = all().map(|dispatch| dispatch.shader).collect();
    let blobs: BTreeSet<u32> =
        all().flat_map(|dispatch| &dispatch.bindings).filter_map(Resource::weight).collect();
    let blob_bytes = |blob: &u32| manifest.weights.get(*blob as usize).map_or(0, |blob| blob.size);
    VariantReport {
        name: variant.name.clone(),
        profile: variant.profile.clone(),
        requires: variant.requires.iter().map(requirement_text).collect(),
        dispatches: variant.dispatches.len(),
        init_dispatches: variant.init.len(),
        kernels: kernels.len(),
        weights_bytes: blobs.iter().map(blob_bytes).sum(),
        derived_bytes: region_bytes(variant, |kind| *kind == RegionKind::Derived),
        arena_bytes: region_bytes(variant, |kind| *kind == RegionKind::Arena),
        texture_bytes: region_bytes(variant, |kind| matches!(kind, RegionKind::Texture(_))),
        io_bytes: region_bytes(variant, |kind| *kind == RegionKind::Io),
        state_bytes: region_bytes(variant, RegionKind::is_state),
        states: variant.states().map(|state| StateReport::of(&state)).collect(),
        params_bytes: region_bytes(variant, |kind| matches!(kind, RegionKind::Params(_))),
        activations_naive_bytes: variant.memory.naive_bytes,
        activations_planned_bytes: variant.memory.planned_bytes,
        activations_lower_bound_bytes: variant.memory.lower_bound_bytes,
        memory_strategy: strategy_text(variant.memory.strategy),
        bytes_read: variant.dispatches.iter().map(|dispatch| dispatch.bytes_read).sum(),
        bytes_written: variant.dispatches.iter().map(|dispatch| dispatch.bytes_written).sum(),
        flops: variant.dispatches.iter().map(|dispatch| dispatch.flops).sum(),
    }
}

impl VariantReport {
    /// Memory beside arenas and weights, of the kinds that there are: what it is, and its bytes.
    pub fn other_memory(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let all = [
            ("derived from weights, at load", self.derived_bytes),
            ("in textures", self.texture_bytes),
            ("inputs and outputs of their own", self.io_bytes),
            ("state, kept from run to run", self.state_bytes),
            ("parameters", self.params_bytes),
        ];
        all.into_iter().filter(|(_, bytes)| *bytes > 0)
    }
}

/// Bytes of all regions of one kind.
fn region_bytes(variant: &Variant, wanted: fn(&RegionKind) -> bool) -> u64 {
    variant.regions.iter().filter(|region| wanted(&region.kind)).map(|region| region.size).sum()
}

fn strategy_text(strategy: MemoryStrategy) -> &'static str {
    match strategy {
        MemoryStrategy::GreedyBySize => "greedy by size",
        MemoryStrategy::GreedyByBreadth => "greedy by breadth",
        MemoryStrategy::Search => "search",
        MemoryStrategy::GreedyByTime => "greedy by time",
    }
}

/// A predicate on a device, in words.
pub fn requirement_text(requirement: &Requirement) -> String {
    match requirement {
        Requirement::F16 => "f16".to_owned(),
        Requirement::Subgroups => "subgroups".to_owned(),
        Requirement::SubgroupSize(size) => format!("subgroups of {size}"),
        Requirement::CooperativeMatrix { m, n, k, ab, c } => {
            format!("cooperative matrices {m}x{n}x{k} of {ab:?} into {c:?}")
        }
        Requirement::SharedBytes(size) => format!("{} of workgroup memory", bytes(u64::from(*size))),
        Requirement::WorkgroupInvocations(count) => format!("{count} invocations per workgroup"),
        Requirement::StorageBindingBytes(size) => format!("{} in a binding", bytes(*size)),
        Requirement::BufferBytes(size) => format!("{} in a buffer", bytes(*size)),
        Requirement::Texture2dSize(size) => format!("2D textures of {size}x{size}"),
        Requirement::Texture3dSize(size) => format!("3D textures of {size}x{size}x{size}"),
        Requirement::TextureLayers(layers) => format!("{layers} layers in a texture array"),
        Requirement::ImageBufferTexels(count) => format!("{count} texels in an image buffer"),
        Requirement::StorageBuffers(count) => format!("{count} storage buffers in a dispatch"),
        Requirement::Vendor(ids) => {
            let ids: Vec<String> = ids.iter().map(|id| format!("{id:#06x}")).collect();
            format!("vendor {}", ids.join(" or "))
        }
    }
}

//! What a caller asks of the compiler.

use crate::emit::emission_target;
use crate::error::CompileError;
use crate::layout::{LayoutChoice, Precision};
use crate::mixed::Mixed;
use crate::physical::weights::WeightsChoice;
use crate::profile::{self, LayoutCosts, MatrixShape, Profile};
use crate::quantize::{Form, Forms};
use crate::technique::Enabled;
use drift_bundle::manifest::Target;
use drift_ir::Graph;
use drift_targets::Limits;
use std::borrow::Cow;

/// How weights are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WeightsPrecision {
    /// As f32.
    F32,
    /// As f16.
    F16,
    /// Eight bits for weights of products, scaled per output.
    Q8,
    /// Four bits for weights of products, scaled per block of 32.
    Q4,
    /// Eight bits for attention, four elsewhere.
    Q844,
}

/// What to compile for, and how.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CompileOptions {
    /// Targets in the order wanted.
    pub targets: Vec<Target>,
    /// Profiles by name; empty for each target's own.
    pub profiles: Vec<String>,
    /// Precision of floats; `None` keeps the model's types.
    pub precision: Option<Precision>,
    /// With [`Precision::F16`]: keep in f32 what f16 would spoil.
    pub mixed: Option<Mixed>,
    /// Precision of weights; `None` keeps that of activations.
    pub weights: Option<WeightsPrecision>,
    /// Weights that are not quantized, by their names or those of their products.
    pub keep: Vec<String>,
    /// Storage types that hold activations.
    pub layout: LayoutChoice,
    /// Forms of weights, where not the profile's.
    pub weights_layout: WeightsChoice,
    /// Give each input and output memory of its own, in place of a range of the arena.
    pub own_io: bool,
    /// Add a self-test of each variant.
    pub self_test: bool,
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

impl CompileOptions {
    /// Whether this version can do it.
    pub(crate) fn check(&self) -> Result<(), CompileError> {
        if self.targets.is_empty() {
            return Err(CompileError::NoTarget);
        }
        let activations = self.precision;
        if let Some(Mixed { budget, .. }) = &self.mixed
            && (activations != Some(Precision::F16) || !budget.is_finite() || *budget <= 0.0)
        {
            let text = "mixed precision is f16 with a budget above 0, such as 1e-3".to_owned();
            return Err(CompileError::Unsupported(text));
        }
        if self.quantized().is_some() {
            return Ok(());
        }
        if !self.keep.is_empty() {
            return Err(CompileError::Unsupported(
                "--keep names weights that are not quantized, so it needs --weights q8 or q4 or 844"
                    .to_owned(),
            ));
        }
        match (self.weights, activations) {
            (None, _)
            | (Some(WeightsPrecision::F32), Some(Precision::F32))
            | (Some(WeightsPrecision::F16), Some(Precision::F16)) => Ok(()),
            (Some(weights), _) => Err(CompileError::Unsupported(format!(
                "weights stored as {weights:?} beside other activations are not supported yet; leave --weights out, or give \
                 --precision the same type"
            ))),
        }
    }

    /// The targets, each once, in the order in which they were first named.
    pub(crate) fn distinct_targets(&self) -> Vec<Target> {
        let first = |&(at, target): &(usize, &Target)| !self.targets[..at].contains(target);
        self.targets.iter().enumerate().filter(first).map(|(_, &target)| target).collect()
    }

    /// The forms in which weights of products are stored, where the model's are floats.
    pub(crate) fn quantized(&self) -> Option<Forms> {
        match self.weights? {
            WeightsPrecision::Q8 => Some(Forms::All(Form::Q8)),
            WeightsPrecision::Q4 => Some(Forms::All(Form::Q4)),
            WeightsPrecision::Q844 => Some(Forms::ByRole),
            WeightsPrecision::F32 | WeightsPrecision::F16 => None,
        }
    }

    /// Targets and profiles to make: tuned ones first, since a device takes the first that it can run.
    pub(crate) fn variants(&self) -> Result<Vec<(Target, &'static Profile)>, CompileError> {
        let named: Vec<&'static Profile> = self
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
        for target in self.distinct_targets() {
            match (named.is_empty(), target) {
                (false, Target::Metal) => {
                    wanted.extend(with_first(&named).into_iter().map(|profile| (target, profile)));
                }
                (false, Target::Vulkan | Target::WebGpu | Target::OpenCl) => {
                    wanted.extend(named.iter().map(|profile| (target, *profile)));
                }
                (true, Target::Vulkan) => {
                    wanted.extend(profile::VULKAN.iter().map(|profile| (target, *profile)))
                }
                (true, Target::Metal | Target::WebGpu | Target::OpenCl) => {
                    wanted.push((target, &profile::GENERIC))
                }
            }
        }
        Ok(wanted)
    }

    /// The profile as the caller wants it, less what the target's language has no words for.
    pub(crate) fn adjusted<'a>(
        &self,
        enabled: &Enabled,
        target: Target,
        profile: &'a Profile,
    ) -> Cow<'a, Profile> {
        let mut reduced = enabled.profile(profile);
        if profile
            .cooperative
            .is_some_and(|shape| !profile.cooperative_as_loops && !has_matrices(target, shape))
        {
            reduced.to_mut().cooperative = None;
        }
        if let Some(limits) = emission_target(target).limits() {
            keep_within(limits, &mut reduced);
        }
        if target == Target::OpenCl && profile.subgroups {
            let profile = reduced.to_mut();
            (profile.subgroups, profile.subgroup_size) = (false, None);
        }
        if self.weights_layout != WeightsChoice::default() {
            let profile = reduced.to_mut();
            profile.weights = profile.weights.with(self.weights_layout);
        }
        if self.own_io {
            reduced.to_mut().memory.own_io = true;
        }
        reduced
    }

    /// Whether all activations for a profile are in buffers.
    pub(crate) fn in_buffers(&self, profile: &Profile) -> bool {
        match self.layout {
            LayoutChoice::Auto => profile.layout == LayoutCosts::BUFFERS,
            choice => choice == LayoutChoice::Buffer,
        }
    }

    /// Flags that change the output, in a canonical order.
    pub(crate) fn flags(&self) -> Vec<String> {
        let mut flags = Vec::new();
        if let Some(Mixed { budget, told, .. }) = &self.mixed {
            flags.push("--precision mixed".to_owned());
            flags.push(format!("--budget {budget:e}"));
            flags.push(format!("--calibrate {told}"));
        } else if let Some(precision) = self.precision {
            flags.push(format!("--precision {precision:?}").to_lowercase());
        }
        flags.extend(self.quantized().map(|form| format!("--weights {}", form.name())));
        flags.extend(self.keep.iter().map(|name| format!("--keep {name}")));
        if self.layout != LayoutChoice::Auto {
            flags.push(format!("--layout {}", self.layout.name()));
        }
        if let Some(storage) = self.weights_layout.storage {
            flags.push(format!("--weights-layout {}", storage.name()));
        }
        flags.extend(self.weights_layout.order.map(|order| format!("weights in the order {order}")));
        if self.own_io {
            flags.push("--io own".to_owned());
        }
        if self.self_test {
            flags.push("--self-test".to_owned());
        }
        let mut disabled = self.disabled.clone();
        disabled.sort();
        flags.extend(disabled.iter().map(|rule| format!("--disable {rule}")));
        flags.extend(self.import_flags.iter().cloned());
        flags
    }
}

/// Lowers what a profile has more of than the target's devices.
fn keep_within(limits: &Limits, profile: &mut Cow<'_, Profile>) {
    let within = Profile {
        shared_bytes: profile.shared_bytes.min(limits.workgroup_bytes),
        workgroup_invocations: profile.workgroup_invocations.min(limits.invocations),
        texture_2d_px: profile.texture_2d_px.min(limits.texture_2d_px.into()),
        texture_3d_px: profile.texture_3d_px.min(limits.texture_3d_px.into()),
        texture_layers: profile.texture_layers.min(limits.texture_layers.into()),
        ..(**profile).clone()
    };
    if within != **profile {
        *profile = Cow::Owned(within);
    }
}

/// Whether the target's language has cooperative matrices of this size.
fn has_matrices(target: Target, shape: MatrixShape) -> bool {
    match target {
        Target::Vulkan => true,
        Target::Metal => shape == MatrixShape { m: 8, n: 8, k: 8 },
        Target::WebGpu | Target::OpenCl => false,
    }
}

/// The profiles, each behind the one that Metal's devices take first, where nobody has named that.
fn with_first(named: &[&'static Profile]) -> Vec<&'static Profile> {
    let mut all = Vec::new();
    for &profile in named {
        let is_before = |(_, behind): &&(&Profile, &Profile)| behind.name == profile.name;
        let first = profile::METAL_FIRST.iter().find(is_before).map(|&(first, _)| first);
        all.extend(first.filter(|first| named.iter().all(|other| other.name != first.name)));
        all.push(profile);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(options: &CompileOptions) -> Vec<(Target, &'static str)> {
        let variants = options.variants().unwrap_or_else(|error| panic!("{error}"));
        variants.into_iter().map(|(target, profile)| (target, profile.name)).collect()
    }

    #[test]
    fn metal_has_the_matrices_of_a_profile_before_it() {
        let options = |profiles: &[&str]| CompileOptions {
            targets: vec![Target::Vulkan, Target::Metal],
            profiles: profiles.iter().map(|&name| name.to_owned()).collect(),
            ..CompileOptions::default()
        };
        let (vulkan, metal) = (Target::Vulkan, Target::Metal);
        assert_eq!(
            names(&options(&["apple", "generic"])),
            [
                (vulkan, "apple"),
                (vulkan, "generic"),
                (metal, "apple-matrices"),
                (metal, "apple"),
                (metal, "generic")
            ]
        );
        let own_order =
            [(vulkan, "apple"), (vulkan, "apple-matrices"), (metal, "apple"), (metal, "apple-matrices")];
        assert_eq!(names(&options(&["apple", "apple-matrices"])), own_order);
    }

    #[test]
    fn targets_take_what_their_languages_and_devices_have() {
        let enabled = Enabled::without(&[]).unwrap_or_else(|error| panic!("{error}"));
        let adjusted = |target, name| {
            let profile = profile::find(name).expect("a profile");
            CompileOptions::default().adjusted(&enabled, target, profile).into_owned()
        };
        for (name, target, sides) in [
            ("nvidia", Target::Vulkan, Some(16)),
            ("nvidia", Target::Metal, None),
            ("apple-matrices", Target::Vulkan, Some(8)),
            ("apple-matrices", Target::Metal, Some(8)),
            ("apple-matrices", Target::WebGpu, None),
            ("apple-matrices", Target::OpenCl, None),
        ] {
            let found = adjusted(target, name).cooperative.map(|shape| shape.m);
            assert_eq!(found, sides, "{name} for {}", target.name());
        }
        let (here, there) = (adjusted(Target::Vulkan, "nvidia"), adjusted(Target::Metal, "nvidia"));
        assert_eq!((here.shared_bytes, there.shared_bytes), (49_152, 32_768));
        assert_eq!((here.texture_2d_px, there.texture_2d_px), (32_768, 16_384));
    }
}

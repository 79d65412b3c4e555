//! Damaged and forged bundles: made from a seed and a number, counted by the stage that they reach.
//!
//! A mutant is a bundle that this build compiled, changed in one place and written again, with right hashes where the
//! change is not of raw bytes. So a change of the format changes the mutants with it. In this process a mutant is opened,
//! and its shaders are judged by SPIRV-Tools where the bundle is accepted; whether it can be loaded and run is asked of
//! a child process ([`Child`]), which may crash.

mod change;
mod child;
pub mod hostile;
mod seeds;

pub use change::Random;
pub use child::{Child, serve};
use seeds::Parsed;
pub use seeds::{Seed, seeds};

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::AddAssign;

use drift_bundle::manifest::Target;
use drift_bundle::{Bundle, BundleError, Flaw};

/// What is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Bytes of the file.
    Bytes,
    /// Bytes of a section, with right hashes.
    Section,
    /// One field of the decoded manifest.
    Manifest,
    /// Words of one SPIR-V module.
    Words,
    /// Signs of one text shader.
    Text,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 5] = [Self::Bytes, Self::Section, Self::Manifest, Self::Words, Self::Text];
}

/// How far a mutant came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// The file's header, its hashes or its padding.
    Header,
    /// The manifest's bytes are none.
    Manifest,
    /// A rule about a shader's code.
    Code,
    /// Another rule of the validator.
    Rules,
    /// Accepted by the reader, and nothing more was asked.
    Opened,
    /// Accepted by the reader, though SPIRV-Tools refuses a shader.
    Invalid,
    /// No variant fits the device.
    Device,
    /// The runtime refused to load or to run it.
    Refused,
    /// It ran.
    Ran,
    /// It did not end in time, by the runtime's own account.
    Timeout,
    /// The child process ended without an answer.
    Crashed,
    /// The child process gave no answer in time.
    Hung,
}

/// One mutant.
#[derive(Clone, Debug)]
pub struct Mutant {
    /// What was changed.
    pub kind: Kind,
    /// Name of the bundle that it was made from.
    pub seed: String,
    /// The file.
    pub bytes: Vec<u8>,
}

/// Mutant `number` of the run `run`: the same for the same build.
pub fn mutant(seeds: &[Seed], run: u64, number: u64, kinds: &[Kind]) -> Mutant {
    let mut random =
        Random(run.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number.wrapping_mul(0xd1b5_4a32_d192_ed03));
    let kind = kinds[random.below(kinds.len())];
    let fits = |seed: &&Seed| match kind {
        Kind::Words => seed.target == Target::Vulkan,
        Kind::Text => seed.target != Target::Vulkan,
        Kind::Bytes | Kind::Section | Kind::Manifest => true,
    };
    let fitting: Vec<&Seed> = seeds.iter().filter(fits).collect();
    let seed = fitting[random.below(fitting.len())];
    Mutant { kind, seed: seed.name.clone(), bytes: change::apply(seed, kind, &mut random) }
}

/// Code of shaders that SPIRV-Tools need not see again: a mutant has most of its shaders from a sound bundle.
#[derive(Clone, Debug, Default)]
pub struct Known(BTreeSet<Vec<u8>>);

impl Known {
    /// The shaders of sound bundles.
    pub fn of(seeds: &[Seed]) -> Self {
        let codes = seeds.iter().filter(|seed| seed.target == Target::Vulkan).flat_map(|seed| {
            let Parsed { manifest, shaders, .. } = &seed.parsed;
            manifest.shaders.iter().map(|one| shaders[one.offset as usize..][..one.size as usize].to_vec())
        });
        Self(codes.filter(|code| is_valid(code).is_ok()).collect())
    }

    /// How far a file comes in this process, and the reason where SPIRV-Tools disagrees.
    pub fn open(&self, bytes: &[u8]) -> (Stage, String) {
        let bundle = match Bundle::from_bytes(bytes.to_vec()) {
            Ok(bundle) => bundle,
            Err(error) => return (rejected(&error), error.to_string()),
        };
        let mut judged = BTreeSet::new();
        for shader in &bundle.manifest().shaders {
            if shader.target == Target::Vulkan && judged.insert(shader.offset) {
                let code = bundle.shader_code(shader);
                if !self.0.contains(code)
                    && let Err(error) = is_valid(code)
                {
                    return (Stage::Invalid, error);
                }
            }
        }
        (Stage::Opened, String::new())
    }
}

fn is_valid(code: &[u8]) -> Result<(), String> {
    let words: Vec<u32> = code.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
    drift_targets::validate_words(&words).map_err(|error| error.to_string())
}

fn rejected(error: &BundleError) -> Stage {
    match error {
        BundleError::Decode { .. } => Stage::Manifest,
        BundleError::Invalid { flaw: Flaw::Shader(_) | Flaw::NotRequired { .. }, .. } => Stage::Code,
        BundleError::Invalid { .. } => Stage::Rules,
        _ => Stage::Header,
    }
}

/// How many mutants of each kind reached each stage.
#[derive(Clone, Debug, Default)]
pub struct Counts(BTreeMap<(Kind, Stage), u64>);

impl Counts {
    /// Counts one.
    pub fn add(&mut self, kind: Kind, stage: Stage) {
        *self.0.entry((kind, stage)).or_default() += 1;
    }

    /// Those of a stage, of all kinds.
    pub fn of(&self, stage: Stage) -> u64 {
        self.0.iter().filter(|((_, at), _)| *at == stage).map(|(_, count)| count).sum()
    }

    /// Those that crashed or hung and must not: a changed word of SPIR-V can make an index leave its array, or a loop
    /// endless, and nothing but a device with checked accesses helps against that.
    pub fn harmed(&self) -> u64 {
        let harmed = |kind: &Kind, stage: &Stage| {
            *kind != Kind::Words && matches!(stage, Stage::Crashed | Stage::Hung)
        };
        self.0.iter().filter(|((kind, stage), _)| harmed(kind, stage)).map(|(_, count)| count).sum()
    }

    /// All.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        for (key, count) in other.0 {
            *self.0.entry(key).or_default() += count;
        }
    }
}

/// A table: a row for each stage, a column for each kind.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<10}", "")?;
        Kind::ALL.iter().try_for_each(|kind| write!(f, "{:>10}", format!("{kind:?}")))?;
        writeln!(f, "{:>10}", "all")?;
        let mut row = |name: &str, counts: &dyn Fn(Kind) -> u64| {
            write!(f, "{name:<10}")?;
            Kind::ALL.iter().try_for_each(|&kind| write!(f, "{:>10}", counts(kind)))?;
            writeln!(f, "{:>10}", Kind::ALL.iter().map(|&kind| counts(kind)).sum::<u64>())
        };
        for stage in self.0.keys().map(|(_, stage)| *stage).collect::<BTreeSet<_>>() {
            row(&format!("{stage:?}"), &|kind| self.0.get(&(kind, stage)).copied().unwrap_or(0))?;
        }
        let of_kind = |kind: Kind| -> u64 {
            self.0.iter().filter(|((own, _), _)| *own == kind).map(|(_, count)| count).sum()
        };
        row("all", &of_kind)
    }
}

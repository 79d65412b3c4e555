//! What a session tells about itself: which variant and why, what loading cost, what dispatches took.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use drift_bundle::manifest::Requirement;

/// Why a variant does not run on a device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeclineReason {
    /// A predicate of the variant does not hold.
    #[error("needs {requirement}, the device has {available}{}", way_out(requirement))]
    Requires {
        /// The predicate.
        requirement: Requirement,
        /// What the device has instead.
        available: String,
    },
    /// An untrusted bundle uses what the device cannot check.
    #[error("the device cannot keep accesses to {what} in bounds, which an untrusted bundle needs")]
    Unbounded {
        /// Plural name of it.
        what: &'static str,
    },
    /// A limit of the device is exceeded.
    #[error("{place} needs {needed} {what}, the device allows {available}")]
    Limit {
        /// The dispatch, texture or buffer.
        place: String,
        /// What is limited.
        what: &'static str,
        /// Needed.
        needed: u64,
        /// Limit.
        available: u64,
    },
    /// The device computes it wrong.
    #[error("its self-test fails{}: {what}", if *remembered { " (remembered)" } else { "" })]
    SelfTest {
        /// The first wrong dispatch, in words.
        what: String,
        /// Whether an earlier load found it.
        remembered: bool,
    },
    /// It has a kind of kernel that has run on no such device, and no self-test that would do in place of that.
    #[error(
        "no {device} device has run its cooperative matrices, and {missing} (`LoadOptions::untried`, `--untried`, waives that)"
    )]
    Untried {
        /// The kind of device.
        device: &'static str,
        /// What its self-test lacks, in words.
        missing: String,
    },
    /// Inputs and outputs are too large to pass between host and device.
    #[error(
        "inputs and outputs need {needed} bytes between host and device, {available} are allowed; allow more with \
         `LoadOptions::staging_bytes`"
    )]
    Staging {
        /// Needed.
        needed: u64,
        /// Allowed.
        available: u64,
    },
}

/// What can be done about a predicate that does not hold.
fn way_out(requirement: &Requirement) -> &'static str {
    match requirement {
        Requirement::Vendor(_) => " (`LoadOptions::any_vendor`, `--any-vendor`, waives that)",
        _ => "",
    }
}

/// A variant that was passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclinedVariant {
    /// Its name.
    pub variant: String,
    /// Why; never empty. Only the first exceeded limit is listed.
    pub reasons: Vec<DeclineReason>,
}

impl fmt::Display for DeclinedVariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` declined (", self.variant)?;
        for (index, reason) in self.reasons.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{reason}")?;
        }
        f.write_str(")")
    }
}

/// What [`crate::Device::load`] did.
#[derive(Clone, Debug)]
pub struct LoadReport {
    /// The entry.
    pub entry: String,
    /// The variant that was chosen.
    pub variant: String,
    /// Variants before it, in the bundle's order.
    pub declined: Vec<DeclinedVariant>,
    /// Pipelines that were created: one for each shader in use.
    pub pipelines: usize,
    /// Dispatches of one run.
    pub dispatches: usize,
    /// Submissions of one run.
    pub submissions: usize,
    /// What is known of the variant's self-test.
    pub self_test: SelfTestUse,
    /// How the pipeline cache was used.
    pub cache: CacheUse,
    /// How long each stage took.
    pub times: LoadTimes,
    /// Memory that was taken.
    pub bytes: DeviceBytes,
}

/// What is known of a variant's self-test.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SelfTestUse {
    /// Nobody asked for it.
    #[default]
    Off,
    /// It passed during this load.
    Passed,
    /// It passed during an earlier one.
    Remembered,
}

/// How the pipeline cache was used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CacheUse {
    /// No folder was given.
    Off,
    /// There was none for this device, driver and bundle; one was written.
    Created(PathBuf),
    /// It was read.
    Used(PathBuf),
    /// It was damaged, or not this user's own, and was replaced.
    Replaced(PathBuf),
    /// It could not be written; loading went on without.
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        reason: String,
    },
}

/// How long each stage of loading took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadTimes {
    /// Buffers and textures; weights are counted with their upload.
    pub allocate: Duration,
    /// Weights, from the file to the device.
    pub upload: Duration,
    /// Pipelines, their cache included.
    pub pipelines: Duration,
    /// Descriptors and command buffers.
    pub record: Duration,
    /// The variant's init program.
    pub init: Duration,
    /// Everything.
    pub total: Duration,
}

/// Memory that a session took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceBytes {
    /// Activations in buffers.
    pub arena: u64,
    /// Activations in textures.
    pub textures: u64,
    /// Weights and constants that runs read.
    pub weights: u64,
    /// What the init program made.
    pub derived: u64,
    /// What runs keep for the next one.
    pub state: u64,
    /// Inputs and outputs in buffers of their own.
    pub io: u64,
    /// Words that the host writes before a run.
    pub params: u64,
    /// Visible to the host: inputs, outputs.
    pub staging: u64,
    /// Most that was allocated at once: also weights that only the init program reads, and the buffers through which
    /// weights pass.
    pub peak: u64,
}

impl DeviceBytes {
    /// What stays allocated while the session lives.
    pub fn total(&self) -> u64 {
        let Self { arena, textures, weights, derived, state, io, params, staging, peak: _ } = *self;
        arena + textures + weights + derived + state + io + params + staging
    }
}

/// GPU times of the last run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timings {
    /// In the order of the program.
    pub dispatches: Vec<DispatchTiming>,
    /// From the first dispatch's start to the last one's end, gaps between submissions included.
    pub total: Duration,
}

/// GPU time of one dispatch: from the end of all before it to its own end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DispatchTiming {
    /// The dispatch's name.
    pub name: String,
    /// When it began, counted from the first one's start. What lies between one's end and the next one's start is a gap.
    pub start: Duration,
    /// How long it took.
    pub time: Duration,
}

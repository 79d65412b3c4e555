//! How a device is opened and a bundle loaded.

use std::path::PathBuf;
use std::time::Duration;

/// Which device to open, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenOptions {
    /// [Index][crate::DeviceInfo::index] among the devices of a kind, or a part of a device's name that is no number, upper
    /// and lower case being the same; the best where none is named.
    pub device: Option<String>,
    /// Whether to run the API's validation layer, if it is installed. By default where the environment
    /// variable `DRIFT_VALIDATION` is `1`.
    pub validation: bool,
    /// How long work may go on after a caller has stopped waiting for it ([`crate::RuntimeError::Timeout`]) before the device
    /// counts as lost, and the longest that closing a busy device waits. Sessions of a lost device fail with
    /// [`crate::RuntimeError::DeviceLost`]; what the endless work may touch is left allocated until the process ends.
    pub grace: Duration,
    /// How the device's work stands beside that of other programs, and of others in this one. Where the API or the driver has no
    /// such thing it is ignored: [`crate::Device::priority_ignored`] says why.
    pub priority: Priority,
}

/// How urgent work is, for the GPU's scheduler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Priority {
    /// After what others do.
    Low,
    /// As the driver has it.
    #[default]
    Normal,
    /// Before what others do. Drivers may want a privilege for that.
    High,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            device: None,
            grace: Duration::from_secs(2),
            priority: Priority::Normal,
            validation: std::env::var_os("DRIFT_VALIDATION").is_some_and(|value| value == "1"),
        }
    }
}

/// How to load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadOptions {
    /// Entry to load; `main`, or else the first, where none is named.
    pub entry: Option<String>,
    /// Variant to load, if its predicates hold; otherwise the first whose predicates hold.
    pub variant: Option<String>,
    /// Folder in which compiled pipelines are kept for the next load.
    pub cache_dir: Option<PathBuf>,
    /// Whether to take a GPU timestamp around each dispatch.
    pub timestamps: bool,
    /// Whether to hash the weights that are loaded as they are read, and to compare with the bundle's hashes before a session
    /// is returned. Off by default: hashing takes longer than reading. Without it, a file that was changed since
    /// the bundle was opened is noticed by its length and time of change.
    pub verify_weights: bool,
    /// Whether variants for some vendors' devices may run on all others too: whether they are right, not whether they
    /// are fast, can be seen anywhere that has the features.
    pub any_vendor: bool,
    /// Whether variants are taken whose kind of kernel has run on no such device ([`crate::DeviceKind::has_tried_matrices`]). By
    /// default one is taken only if it is wholly tested by its self-test and that passes here, or has passed before; a bundle
    /// without self-tests then runs as its next variant.
    pub untried: bool,
    /// Whether the bundle comes from somebody who is not to be trusted with this process's memory on the device. It is
    /// then loaded on a logical device of its own that checks every access to buffers and textures; a variant that uses
    /// what the device cannot check is declined. Memory bounds are all that this promises: not that loops end (timeouts
    /// say so), not that workgroup memory holds nothing of others, and not that the driver's compiler withstands its
    /// input.
    pub untrusted: bool,
    /// Whether a variant is taken only if its self-test passes here, or has passed here before ([`LoadOptions::cache_dir`] is
    /// where that is remembered, for this device, driver and bundle); the next one is tried otherwise. A bundle without
    /// self-tests is refused then ([`crate::RuntimeError::NoSelfTest`]).
    pub self_test: bool,
    /// Most memory that inputs and outputs take together on their way between host and device. A variant that needs more
    /// is declined. Weights pass through 16 MiB.
    pub staging_bytes: u64,
    /// How long one run, or one read of a result, waits for the device and for sessions that share its memory. What
    /// still runs after that has [`crate::OpenOptions::grace`] to finish, or else the device is lost.
    pub timeout: Duration,
    /// How long a load waits for the device in all. A driver that compiles a kernel cannot be interrupted, so that this
    /// is looked at before each, and before each part of the weights.
    pub load_timeout: Duration,
    /// How much to submit at once.
    pub submit: SubmitLimits,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            entry: None,
            variant: None,
            cache_dir: None,
            timestamps: false,
            verify_weights: false,
            any_vendor: false,
            untried: false,
            untrusted: false,
            self_test: false,
            staging_bytes: 4 << 30,
            // Software devices take minutes for large models.
            timeout: Duration::from_secs(600),
            load_timeout: Duration::from_secs(600),
            submit: SubmitLimits::default(),
        }
    }
}

/// How much goes into one submission. Watchdogs, which reset a GPU after some seconds, count per submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubmitLimits {
    /// Dispatches.
    pub dispatches: usize,
    /// Arithmetic, as the bundle states it.
    pub flops: u64,
    /// Memory traffic, as the bundle states it.
    pub bytes: u64,
}

impl Default for SubmitLimits {
    fn default() -> Self {
        // Half a second each at 400 GFLOP/s and at 20 GB/s, which a phone of the last years reaches.
        Self { dispatches: 1024, flops: 200_000_000_000, bytes: 10_000_000_000 }
    }
}

//! Everything that can go wrong between a bundle and its results.

use std::time::Duration;

use drift_bundle::BundleError;
use drift_bundle::manifest::{FreeDim, HostElement, Target};

use crate::info::DeviceKind;
use crate::own::BufferProblem;
use crate::report::DeclinedVariant;
use crate::states::StateTensor;

/// Why something could not be opened, loaded, written, run or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// The bundle itself is damaged or invalid.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// Nothing on this machine can replay.
    #[error(
        "no {} driver was found ({reason}); {}, then list what is found with `driftc devices`", kind.title(), kind.way_out()
    )]
    NoDriver {
        /// What was looked for.
        kind: DeviceKind,
        /// What the loader said.
        reason: String,
    },
    /// A kind of device that this platform does not have.
    #[error(
        "there is no `{}` device on this platform, which replays {}; compile the bundle with one of these as `--target`, or \
         replay it where {} is", kind.target().name(), names_here(), kind.title()
    )]
    NotOnThisPlatform {
        /// What was asked for.
        kind: DeviceKind,
    },
    /// A device was asked for by an index or a name that none has.
    #[error("no device matches `{wanted}`; there are: {}", available.join(", "))]
    NoSuchDevice {
        /// What was asked for.
        wanted: String,
        /// Index and name of each device.
        available: Vec<String>,
    },
    /// The bundle was not compiled for this kind of device.
    #[error(
        "the bundle holds nothing for `{}`, only: {}; compile it with `--target {}`", wanted.name(), held.join(", "), wanted.name()
    )]
    NoTarget {
        /// What the device replays.
        wanted: Target,
        /// `entry for target`, each.
        held: Vec<String>,
    },
    /// The bundle has no entry of this name for this target.
    #[error("the bundle has no entry `{wanted}` for `{}`, only: {}", target.name(), held.join(", "))]
    NoEntry {
        /// What was asked for.
        wanted: String,
        /// The device's target.
        target: Target,
        /// Names of the entries for it.
        held: Vec<String>,
    },
    /// The entry has no variant of this name.
    #[error("entry `{entry}` has no variant `{wanted}`, only: {}", held.join(", "))]
    NoSuchVariant {
        /// The entry.
        entry: String,
        /// What was asked for.
        wanted: String,
        /// Names of its variants.
        held: Vec<String>,
    },
    /// None of the variants that were tried runs on this device.
    #[error("no variant of entry `{entry}` runs on `{device}`: {}", in_words(declined))]
    NoVariant {
        /// The entry.
        entry: String,
        /// Name of the device.
        device: String,
        /// Each variant that was tried, with why not.
        declined: Vec<DeclinedVariant>,
    },
    /// A self-test was asked for that the bundle does not have.
    #[error(
        "variant `{variant}` of entry `{entry}` has no self-test; compile the bundle with `--self-test`, or load it without \
         `LoadOptions::self_test`"
    )]
    NoSelfTest {
        /// The entry.
        entry: String,
        /// The variant that the device takes.
        variant: String,
    },
    /// An input, output or state of a name that the entry does not have.
    #[error("entry `{entry}` has no {what} `{wanted}`, only: {}", held.join(", "))]
    NoSuchTensor {
        /// The entry.
        entry: String,
        /// `input`, `output` or `state`.
        what: &'static str,
        /// What was asked for.
        wanted: String,
        /// Names that there are.
        held: Vec<String>,
    },
    /// A dim whose size cannot be set.
    #[error("entry `{entry}` has no dim `{wanted}` whose size is free, {}", free_dims(held))]
    NoSuchDim {
        /// The entry.
        entry: String,
        /// What was asked for.
        wanted: String,
        /// Names of those that are free.
        held: Vec<String>,
    },
    /// A size that a dim may not have.
    #[error("dim `{}` cannot be {found}; it may be {}", dim.name, dim.in_words())]
    DimSize {
        /// The dim.
        dim: Box<FreeDim>,
        /// What was asked for.
        found: u64,
    },
    /// Values of another type than the model declares.
    #[error("`{tensor}` holds {expected:?} values, {found:?} were given or asked for")]
    ElementType {
        /// The input or output.
        tensor: String,
        /// The model's type.
        expected: HostElement,
        /// The caller's.
        found: HostElement,
    },
    /// More or fewer values than the shape takes.
    #[error("`{tensor}` has shape {shape:?}, which is {expected} {unit}; {found} were given")]
    Length {
        /// The input or state.
        tensor: String,
        /// Its shape.
        shape: Vec<u64>,
        /// `values`, or `bytes` of raw data, or `bytes on the device`.
        unit: &'static str,
        /// What the shape takes.
        expected: u64,
        /// What was given.
        found: u64,
    },
    /// A 64-bit value that a device, which computes with 32 bits, cannot hold.
    #[error("`{tensor}`: element {index} is {value}, outside the 32-bit range that devices compute with")]
    OutOfRange {
        /// The input.
        tensor: String,
        /// Position in row-major order.
        index: usize,
        /// The value.
        value: i64,
    },
    /// A run without all inputs.
    #[error("input `{tensor}` was never written; call `write` before `run`")]
    NotWritten {
        /// The input.
        tensor: String,
    },
    /// Results were asked for before the first run, or before the first after a size has changed.
    #[error("there are no results yet; call `run` first")]
    NotRun,
    /// Results that are gone.
    #[error(
        "the results of entry `{entry}` are gone, because another entry has run in the memory that they share; read \
         them before that"
    )]
    Overwritten {
        /// The entry whose results were asked for.
        entry: String,
    },
    /// Two entries that are loaded together keep something else under one name.
    #[error(
        "entries `{}` and `{}` cannot share state `{state}`, which is {} in the one and {} in the other; compile them \
         together, choose variants that agree (`LoadOptions::variant`), or load each by itself",
        entries[0], entries[1], found[0], found[1]
    )]
    StateMismatch {
        /// Its name.
        state: String,
        /// Names of the entries.
        entries: Box<[String; 2]>,
        /// What it is in each.
        found: Box<[StateTensor; 2]>,
    },
    /// State that a run or a copy that failed may have left half written.
    #[error(
        "state `{state}` of entry `{entry}` may be half written, because something that writes it has failed; call \
         `reset_state`, or write it"
    )]
    StateTorn {
        /// The entry whose session was asked.
        entry: String,
        /// Name of the state.
        state: String,
    },
    /// A buffer of the app's that an input or output was to be in.
    #[error("the app's buffer for `{tensor}` cannot be used: {problem}")]
    OwnBuffer {
        /// The input or output.
        tensor: String,
        /// Why not.
        problem: BufferProblem,
    },
    /// Timings of a session that takes none.
    #[error("there are no timings: {reason}")]
    NoTimings {
        /// Why.
        reason: &'static str,
    },
    /// The device or the host has not enough memory.
    #[error("out of memory while {doing}{}; close other users of the GPU, or compile a smaller model", of_bytes(*bytes))]
    OutOfMemory {
        /// What needed it.
        doing: &'static str,
        /// How much, where known.
        bytes: Option<u64>,
    },
    /// The driver gave up on the device.
    #[error(
        "the device was lost while {doing}: {reason}; open the device again, with smaller `SubmitLimits` if the bundle is \
         to be trusted"
    )]
    DeviceLost {
        /// What was being done.
        doing: &'static str,
        /// Who says so, and why.
        reason: &'static str,
    },
    /// The device did not finish in time.
    #[error(
        "the device did not finish within {} s; allow more with `LoadOptions::timeout` or `load_timeout` (`--timeout`)",
        after.as_secs_f32()
    )]
    Timeout {
        /// How long it was waited for.
        after: Duration,
    },
    /// The session cannot go on after an earlier failure.
    #[error("an earlier run of this session failed; load the bundle again")]
    Failed,
    /// The driver refused something that the device's limits allow.
    #[error("the driver failed while {doing}: {code}")]
    Driver {
        /// What was being done.
        doing: &'static str,
        /// The API's own code.
        code: String,
    },
}

/// Targets of this platform's devices, as the command line names them.
fn names_here() -> String {
    DeviceKind::HERE.iter().map(|kind| kind.target().name()).collect::<Vec<_>>().join(", ")
}

fn free_dims(held: &[String]) -> String {
    match held {
        [] => "nor any other; compile the model with `--dim NAME=LOW..HIGH`".to_owned(),
        held => format!("only: {}", held.join(", ")),
    }
}

fn in_words(declined: &[DeclinedVariant]) -> String {
    declined.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn of_bytes(bytes: Option<u64>) -> String {
    bytes.map(|bytes| format!(" ({bytes} bytes)")).unwrap_or_default()
}

//! The arguments of `driftc self-test`.

use super::{ReplayFlags, TargetArg};
use clap::Args;
use std::path::PathBuf;

/// `driftc self-test`
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  driftc model.onnx --target vulkan --self-test -o model.drift\n  driftc self-test model.drift \
                  --json report.json"
)]
pub struct SelfTestArgs {
    /// The bundle
    #[arg(value_name = "OUT.drift")]
    pub bundle: PathBuf,
    /// Which of the bundle's targets to try [default: the first that a device is here for]
    #[arg(long, value_name = "T")]
    pub target: Option<TargetArg>,
    /// Device to try: its number among those of the target, or a part of its name, as `driftc devices` prints them
    #[arg(long, value_name = "D")]
    pub device: Option<String>,
    /// Entry to try [default: all]
    #[arg(long, value_name = "NAME")]
    pub entry: Option<String>,
    /// Write the reports as JSON to a file, or to standard output (-): device, driver, shader and difference
    #[arg(long, value_name = "FILE|-")]
    pub json: Option<PathBuf>,
    /// How bundles are loaded and replayed.
    #[command(flatten)]
    pub replay: ReplayFlags,
}

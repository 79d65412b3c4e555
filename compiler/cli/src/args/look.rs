//! What the commands take that only look: inspect, explain, devices and operators.

use super::CompileFlags;
use super::values::TargetArg;
use crate::output::document;
use clap::Args;
use std::path::{Path, PathBuf};

/// `driftc inspect`
#[derive(Args, Debug)]
#[command(
    after_help = "Of the compile flags, those that say what is read of a model have an effect: --dim, --bind, --inputs, \
                  --outputs.\n\nExamples:\n  driftc inspect model.drift --html model.html\n  driftc inspect model.onnx"
)]
pub struct InspectArgs {
    /// A bundle, or a model: what it takes, gives and holds, and which of its nodes cannot be compiled
    #[arg(value_name = "OUT.drift|MODEL.onnx", required_unless_present = "json")]
    pub input: Option<PathBuf>,
    /// Only this entry, where a bundle has several
    #[arg(long, value_name = "NAME")]
    pub entry: Option<String>,
    /// Write a page with the memory picture (bundles only)
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Write each shader as it ships, one file each, for the tools of its language: spirv-val, a Metal compiler (bundles only)
    #[arg(long, value_name = "DIR")]
    pub shaders: Option<PathBuf>,
    /// Write it as JSON to a file, or to standard output, where nothing else goes then: - or no file
    #[arg(long, value_name = "FILE|-", num_args = 0..=1, default_missing_value = document::STANDARD_OUTPUT)]
    pub json: Option<PathBuf>,
    /// Flags that shape the result.
    #[command(flatten)]
    pub flags: CompileFlags,
}

impl InspectArgs {
    /// The bundle or model. `inspect --json OUT.drift` names it behind the flag, and means standard output.
    pub fn file(&self) -> Option<&Path> {
        self.input.as_deref().or(self.json.as_deref())
    }

    /// Where the document goes.
    pub fn json(&self) -> Option<&Path> {
        let json = self.json.as_deref()?;
        Some(if self.input.is_none() { Path::new(document::STANDARD_OUTPUT) } else { json })
    }
}

/// `driftc explain`
#[derive(Args, Debug)]
#[command(
    after_help = "Of a bundle, what it holds: dispatches with the nodes that they compute, their shaders, bytes and arithmetic. Why a \
                  kernel was\nchosen, and what was declined, only compiling says.\n\n\
                  Examples:\n  driftc explain model.onnx --target vulkan --profile adreno-7xx\n  driftc explain model.drift --html model.html"
)]
pub struct ExplainArgs {
    /// A model, or a bundle
    #[arg(value_name = "MODEL.onnx|OUT.drift")]
    pub model: PathBuf,
    /// GPU APIs to explain; of a bundle [default: all that it holds]
    #[arg(long, value_name = "T[,T...]", value_delimiter = ',')]
    pub target: Vec<TargetArg>,
    /// Write it as a page with each dispatch's source, that can be searched
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Show measured times in the page: what `driftc bench --per-dispatch --json FILE` wrote for the same model
    #[arg(long, value_name = "FILE", requires = "html")]
    pub times: Option<PathBuf>,
    /// Write it as JSON to a file, or to standard output (-), where nothing else goes then
    #[arg(long, value_name = "FILE|-")]
    pub json: Option<PathBuf>,
    /// Flags that shape the result.
    #[command(flatten)]
    pub flags: CompileFlags,
}

/// `driftc devices`
#[derive(Args, Debug)]
pub struct DevicesArgs {
    /// Write them as JSON to a file, or to standard output (-), where nothing else goes then
    #[arg(long, value_name = "FILE|-")]
    pub json: Option<PathBuf>,
}

/// `driftc operators`
#[derive(Args, Debug)]
pub struct OperatorsArgs {
    /// Write them as JSON to a file, or to standard output, where nothing else goes then: - or no file [default: print the page
    /// docs/operators.md]
    #[arg(long, value_name = "FILE|-", num_args = 0..=1, default_missing_value = document::STANDARD_OUTPUT)]
    pub json: Option<PathBuf>,
}

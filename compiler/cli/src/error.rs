//! Everything that stops a command: bad usage and bad input, each with its cause. All of it ends in exit
//! code 2, but what is a bug of driftc: that ends in 70.

use crate::compare::Mismatch;
use crate::generate_error::GenerateError;
use crate::host::{BoundaryError, HostTensorError};
use crate::npy::NpyError;
use drift_bundle::BundleError;
use drift_bundle::manifest::FreeDim;
use drift_compiler::CompileError;
use drift_ir::eval::EvalError;
use drift_onnx::{DimBinding, ImportError, NodeError, TensorError, TensorReason};
use drift_runtime::RuntimeError;
use std::error::Error;
use std::path::{Path, PathBuf};

/// Why a command stopped before it could say whether anything is right or wrong.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// A file that cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// Something else than a file.
    #[error("{} is {what}, not a file", path.display())]
    NotAFile {
        /// Its path.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// A file or folder that cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// Standard output or error that cannot be written.
    #[error("cannot write the report")]
    Output(#[from] std::io::Error),
    /// More values than a bound has places for.
    #[error(
        "`{name}` has {count} values, and places for {bound}, so that what follows is not right; compile with --bound {name}={count} or more"
    )]
    OverBound {
        /// What is bounded.
        name: String,
        /// Values that there are.
        count: u64,
        /// Places.
        bound: u64,
    },
    /// A model that cannot be imported.
    #[error("cannot import {}", path.display())]
    Model {
        /// The model.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<ImportError>,
    },
    /// A model that cannot be compiled.
    #[error("cannot compile {}", path.display())]
    Compile {
        /// The model.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<CompileError>,
    },
    /// A folder without models.
    #[error("{} holds no model.onnx, and no folder in it does", .0.display())]
    NoModel(PathBuf),
    /// A folder given for its data that holds none.
    #[error("{} holds no test_data_set_N and no input_J or output_J as .pb or .npy", .0.display())]
    NoData(PathBuf),
    /// A folder for calibration that holds no set.
    #[error(
        "--calibrate {} holds no test_data_set_N, and no .npy file for each of the model's inputs: {}", folder.display(),
        inputs.iter().map(|input| format!("`{input}`")).collect::<Vec<_>>().join(", ")
    )]
    NoCalibration {
        /// The folder.
        folder: PathBuf,
        /// The inputs.
        inputs: Vec<String>,
    },
    /// A bundle without anything to compare with.
    #[error("{} has no stored outputs to compare with; give the folder that holds them with --data DIR, or compile it with --self-test to try each dispatch", .0.display())]
    NoStoredOutputs(PathBuf),
    /// A tensor stored twice.
    #[error("{} holds {file} twice, as .pb and as .npy; remove one", folder.display())]
    DataTwice {
        /// The data set.
        folder: PathBuf,
        /// The file without its extension.
        file: String,
    },
    /// A size given on the command line that something else contradicts.
    #[error(
        "dimension `{dim}` is {size} in {by}, and {given} by --dim; leave --dim {dim} out, or let it allow that size"
    )]
    DimContradicted {
        /// The dimension.
        dim: String,
        /// What contradicts.
        by: String,
        /// The size that it has there.
        size: u64,
        /// What the command line says.
        given: DimBinding,
    },
    /// Data of one run that have different sizes for one dim.
    #[error("axis {axis} of `{tensor}` has {found} elements where {size} is {expected}: {said}")]
    SizeContradicted {
        /// The input.
        tensor: String,
        /// Which of its axes.
        axis: usize,
        /// What its data have.
        found: u64,
        /// What the axis is, in words.
        size: String,
        /// What it has to be.
        expected: u64,
        /// Which inputs say so.
        said: String,
    },
    /// Data of a size that a dim may not have.
    #[error(
        "axis {axis} of `{tensor}` has {found} elements, which no size of dim `{}` gives; it may be {}",
        dim.name, dim.in_words()
    )]
    NoSuchSize {
        /// The input.
        tensor: String,
        /// Which of its axes.
        axis: usize,
        /// What its data have.
        found: u64,
        /// The dim.
        dim: Box<FreeDim>,
    },
    /// An input that cannot be bound to what is given.
    #[error("input `{name}` cannot be bound: {reason}")]
    Bind {
        /// The input.
        name: String,
        /// Why.
        reason: String,
    },
    /// A file beside a model that does not say what it should.
    #[error("cannot read the tolerance in {}: {reason}", path.display())]
    CaseFile {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A data set that skips a number.
    #[error("{} skips {file}", folder.display())]
    DataGap {
        /// The data set.
        folder: PathBuf,
        /// The file that should be there.
        file: String,
    },
    /// A data set that does not fit the bundle.
    #[error("with the data in {}", folder.display())]
    DataSet {
        /// The data set.
        folder: PathBuf,
        /// Why.
        #[source]
        source: Box<CliError>,
    },
    /// A data set with more tensors than the model has.
    #[error("{} holds {found} {what}s, the model has {expected}", folder.display())]
    DataCount {
        /// The data set.
        folder: PathBuf,
        /// `input` or `output`.
        what: &'static str,
        /// Tensors stored.
        found: usize,
        /// Tensors that the model has.
        expected: usize,
    },
    /// A bundle that cannot be opened.
    #[error("cannot use the bundle")]
    Bundle(#[from] BundleError),
    /// A bundle of driftc's own that does not pass the checks of bundles.
    #[error("the bundle that was made of the model is not valid")]
    Emitted(#[source] BundleError),
    /// A device that cannot be opened, or that fails.
    #[error("cannot replay")]
    Runtime(#[from] RuntimeError),
    /// The reference evaluator cannot say what is expected.
    #[error("the reference evaluator cannot run {}", path.display())]
    Reference {
        /// The model.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<EvalError>,
    },
    /// An input that the model or bundle does not have.
    #[error("there is no input `{name}`; there are {}", known.join("; "))]
    UnknownInput {
        /// The name given.
        name: String,
        /// Inputs that it has.
        known: Vec<String>,
    },
    /// An input given twice.
    #[error("input `{0}` is given twice")]
    InputTwice(String),
    /// What a model takes or gives, against what callers may hold.
    #[error(transparent)]
    Boundary(#[from] BoundaryError),
    /// An input or output whose data cannot be made.
    #[error("tensor `{name}` cannot be made")]
    Tensor {
        /// The input or output.
        name: String,
        /// Why.
        #[source]
        source: HostTensorError,
    },
    /// A `.npy` file that cannot be used.
    #[error("cannot use {}", path.display())]
    Npy {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: NpyError,
    },
    /// A `.pb` file that cannot be used.
    #[error("cannot use {}", path.display())]
    TensorPb {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: TensorError,
    },
    /// Data in a file of an unknown kind.
    #[error("{} has no known extension; data are read from .npy or .pb files", .0.display())]
    TensorFile(PathBuf),
    /// A tensor that the graph language cannot hold.
    #[error(transparent)]
    IrTensor(#[from] drift_ir::tensor::TensorError),
    /// An output of another type or shape than expected.
    #[error("output `{name}` is not what is expected")]
    WrongOutput {
        /// The output.
        name: String,
        /// Both types and shapes.
        #[source]
        source: Mismatch,
    },
    /// A bundle whose data would have to say which of its axes count rows.
    #[error(
        "the caches of {} are states, and stored data have past rows; verify the model that it was made of: driftc verify \
         MODEL.onnx --target T --dim PAST=0..N", .0.display()
    )]
    StatefulBundle(PathBuf),
    /// An entry that a bundle does not have.
    #[error("the bundle has no entry `{wanted}`, only: {}", known.join(", "))]
    UnknownEntry {
        /// What was asked for.
        wanted: String,
        /// Its entries.
        known: Vec<String>,
    },
    /// Data with more rows than a cache has.
    #[error(
        "the data in {} have {past} past rows and {new} new ones, but caches of {capacity} rows were asked for; pass --dim \
         {dim}=0..N with N at least {}", folder.display(), past + new
    )]
    CacheTooSmall {
        /// The data set.
        folder: PathBuf,
        /// The dimension of past rows.
        dim: String,
        /// Rows stored.
        past: u64,
        /// Rows that the run adds.
        new: u64,
        /// Rows of a cache.
        capacity: u64,
    },
    /// Data of another shape than a cache has.
    #[error("the data for the cache `{name}` are {found}, which are no rows of it")]
    WrongCache {
        /// The input.
        name: String,
        /// Type and shape of the data.
        found: String,
    },
    /// A bug of driftc, caught so that other models are still checked.
    #[error("driftc panicked: {0}")]
    Panicked(String),
    /// A text that cannot be generated.
    #[error(transparent)]
    Generate(#[from] GenerateError),
    /// A flag that does not go with the file given.
    #[error("{0}")]
    Usage(String),
}

impl CliError {
    /// A model that cannot be imported.
    pub fn model(path: &Path, source: ImportError) -> Self {
        Self::Model { path: path.to_owned(), source: Box::new(source) }
    }

    /// A model that cannot be compiled.
    pub fn compile(path: &Path, source: CompileError) -> Self {
        Self::Compile { path: path.to_owned(), source: Box::new(source) }
    }

    /// A bundle of driftc's own that cannot be written or read back.
    pub fn emitted(source: BundleError) -> Self {
        match source {
            BundleError::Io { .. } | BundleError::OutOfMemory { .. } => Self::Bundle(source),
            source => Self::Emitted(source),
        }
    }

    /// A model that the reference evaluator cannot run.
    pub fn reference(path: &Path, source: EvalError) -> Self {
        Self::Reference { path: path.to_owned(), source: Box::new(source) }
    }

    /// The error and its causes, one after another.
    pub fn chain(&self) -> impl Iterator<Item = &(dyn Error + 'static)> {
        let first: &(dyn Error + 'static) = self;
        std::iter::successors(Some(first), |error| (*error).source())
    }

    /// Why, as one line: the causes of the error, or the error itself where it has none.
    pub fn in_one_line(&self) -> String {
        let mut causes: Vec<String> = self.chain().map(ToString::to_string).collect();
        if causes.len() > 1 {
            causes.remove(0);
        }
        causes.join(": ").split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The reason, where the model is sound and only asks for more than this version or this device can do.
    pub fn unsupported(&self) -> Option<String> {
        let unsupported = match self {
            Self::Model { source, .. } => match &**source {
                ImportError::Unsupported { .. }
                | ImportError::Opset { .. }
                | ImportError::Interface { .. }
                | ImportError::SparseInitializer { .. } => true,
                ImportError::Tensor(error) => is_missing_type(error),
                ImportError::Node { reason, .. } => match &**reason {
                    NodeError::Unsupported(_) | NodeError::Limit(_) => true,
                    NodeError::Tensor(error) => is_missing_type(error),
                    _ => false,
                },
                _ => false,
            },
            Self::Compile { source, .. } => is_refusal(source),
            Self::DataSet { source, .. } => source.unsupported().is_some(),
            Self::Runtime(source) => {
                matches!(source, RuntimeError::NoVariant { .. } | RuntimeError::OutOfRange { .. })
            }
            // Data of a type that this version has no place for.
            Self::TensorPb { source, .. } => is_missing_type(source),
            Self::Boundary(BoundaryError::Type(_) | BoundaryError::FreeShape(_)) => true,
            _ => false,
        };
        unsupported.then(|| self.in_one_line())
    }

    /// Whether the model was read and is sound, so that failing to compile or replay it is a failed check.
    pub fn is_failed_check(&self) -> bool {
        match self {
            Self::Compile { source, .. } => source.is_internal(),
            Self::DataSet { source, .. } => source.is_failed_check(),
            Self::Runtime(source) => !is_usage(source),
            Self::Emitted(_) | Self::Reference { .. } | Self::WrongOutput { .. } | Self::Panicked(_) => true,
            _ => false,
        }
    }

    /// Whether it is a bug of driftc, whatever the input.
    pub fn is_internal(&self) -> bool {
        match self {
            Self::Compile { source, .. } => source.is_internal(),
            Self::DataSet { source, .. } => source.is_internal(),
            Self::Panicked(_) | Self::Emitted(_) => true,
            _ => false,
        }
    }
}

/// A compiler that says what it, or a target, cannot do.
fn is_refusal(error: &CompileError) -> bool {
    match error {
        CompileError::Entry { source, .. } => is_refusal(source),
        CompileError::NoTarget | CompileError::UnknownProfile { .. } | CompileError::UnknownRule(_) => false,
        error => !error.is_internal(),
    }
}

/// A device, target, entry or variant that was asked for and is not there.
fn is_usage(error: &RuntimeError) -> bool {
    matches!(
        error,
        RuntimeError::Bundle(_)
            | RuntimeError::NoDriver { .. }
            | RuntimeError::NoSuchDevice { .. }
            | RuntimeError::NoTarget { .. }
            | RuntimeError::NoEntry { .. }
            | RuntimeError::NoSuchVariant { .. }
            | RuntimeError::NoSuchDim { .. }
            | RuntimeError::DimSize { .. }
    )
}

/// A type of ONNX that this version has no place for.
fn is_missing_type(error: &TensorError) -> bool {
    matches!(error, TensorError::Invalid { reason: TensorReason::ElementType(_), .. })
}

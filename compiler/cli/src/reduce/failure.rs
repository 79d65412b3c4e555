//! How a model fails, and whether two failures are the same.

use crate::args::VerifyArgs;
use crate::bind::Dims;
use crate::error::CliError;
use crate::report::Status;
use crate::{Console, crash, tally, verify};
use drift_onnx::{ImportError, ModelSource, UnsupportedNode};
use drift_runtime::Device;
use std::fmt;
use std::io;

/// How a model fails.
pub(super) enum Failure {
    /// An output differs from that of the reference evaluator: which, and the first element.
    Numbers(String),
    /// Nodes that cannot be compiled: operator and reason of each kind.
    Nodes(Vec<(String, String)>),
    /// Another error, in one line.
    Error(String),
}

impl Failure {
    /// Whether it is that which is looked for.
    pub(super) fn is_like(&self, wanted: &Self) -> bool {
        match (self, wanted) {
            (Self::Numbers(_), Self::Numbers(_)) => true,
            (Self::Nodes(found), Self::Nodes(wanted)) => {
                wanted.first().is_some_and(|first| found.contains(first))
            }
            (Self::Error(found), Self::Error(wanted)) => tally::form(found) == tally::form(wanted),
            _ => false,
        }
    }

    /// As JSON has it.
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::Numbers(_) => "numbers",
            Self::Nodes(_) | Self::Error(_) => "error",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Numbers(what) | Self::Error(what) => f.write_str(what),
            Self::Nodes(kinds) => match kinds.first() {
                Some((op, reason)) => write!(f, "{op}: {reason}"),
                None => Ok(()),
            },
        }
    }
}

/// How a model fails on seeded random inputs, if it does. An error is one of the caller's: a size that is missing, a file that changed.
pub(super) fn of(
    source: &ModelSource,
    dims: Dims,
    device: &Device,
    args: &VerifyArgs,
) -> Result<Option<Failure>, CliError> {
    let (mut out, mut err) = (io::sink(), io::sink());
    let mut console = Console::new(&mut out, &mut err);
    let verdict = crash::caught(|| verify::check_source(source.clone(), dims, device, args, &mut console));
    match verdict {
        Err(panic) => Ok(Some(Failure::Error(format!("driftc panicked: {panic}")))),
        Ok(Ok(model)) if model.status == Status::Fail => {
            let wrong = model.outputs.iter().find(|output| output.status == Status::Fail);
            let text = wrong.map(|output| {
                let first = output.first_wrong.as_deref().unwrap_or_default();
                format!("output `{}` has {} wrong elements: {first}", output.name, output.wrong)
            });
            Ok(Some(Failure::Numbers(text.unwrap_or_default())))
        }
        Ok(Ok(_)) => Ok(None),
        Ok(Err(error)) => of_error(error).map(Some),
    }
}

fn of_error(error: CliError) -> Result<Failure, CliError> {
    match &error {
        CliError::Model { source, .. } => match &**source {
            ImportError::Unsupported { nodes } => {
                let kind = |group: Vec<&UnsupportedNode>| (group[0].op.clone(), group[0].reason.clone());
                return Ok(Failure::Nodes(UnsupportedNode::groups(nodes).into_iter().map(kind).collect()));
            }
            ImportError::Source(_)
            | ImportError::FreeDims { .. }
            | ImportError::UnknownDim { .. }
            | ImportError::EmptyRange { .. }
            | ImportError::ComputedRange { .. }
            | ImportError::ComputedDim { .. }
            | ImportError::Cut(_) => return Err(error),
            _ => {}
        },
        CliError::Compile { .. } => {}
        _ if error.is_failed_check() || error.unsupported().is_some() => {}
        _ => return Err(error),
    }
    Ok(Failure::Error(error.in_one_line()))
}

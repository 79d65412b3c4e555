//! Bundles that are replayed as soon as they are compiled, without a file between.

use crate::args::CompileFlags;
use crate::calibrate;
use crate::error::CliError;
use drift_bundle::Bundle;
use drift_bundle::manifest::Target;
use drift_compiler::{CompileReport, ModelIdentity};
use drift_ir::Graph;
use std::path::Path;

/// A bundle of a model in memory, and what the compiler warned of.
pub(crate) fn bundle(
    (graph, identity): (Graph, ModelIdentity),
    path: &Path,
    flags: &CompileFlags,
    targets: Vec<Target>,
) -> Result<(Bundle, CompileReport), CliError> {
    let options = calibrate::options(flags, targets, &[&graph])?;
    let compiled = drift_compiler::compile(graph, identity, &options)
        .map_err(|source| CliError::compile(path, source))?;
    let bytes = compiled.bundle.to_bytes().map_err(CliError::emitted)?;
    Ok((Bundle::from_bytes(bytes).map_err(CliError::emitted)?, compiled.report))
}

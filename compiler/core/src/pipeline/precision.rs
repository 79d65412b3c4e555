//! The passes over an entry's graph that depend on the precision asked for.

use super::passes::Passes;
use crate::error::CompileError;
use crate::layout::{self, Precision};
use crate::mixed;
use crate::quantize;
use drift_ir::Graph;

/// Under f16, keeps the arguments of sin and cos in f32.
pub(super) fn keep_angles(passes: &mut Passes<'_>, graph: &mut Graph) {
    if passes.options.precision == Some(Precision::F16) {
        passes.time("rewrite", || layout::keep_angles(graph));
    }
}

/// Quantizes the weights of products, where that is asked for.
pub(super) fn quantize(passes: &mut Passes<'_>, graph: &mut Graph) -> Result<(), CompileError> {
    let Some(forms) = passes.options.quantized() else { return Ok(()) };
    let (keep, store) = (&passes.options.keep, passes.store);
    let mut unknown = std::mem::take(&mut passes.unknown);
    let quantize = || quantize::weights(graph, forms, (keep, &mut unknown), store);
    let quantized = passes.time("quantize", quantize);
    passes.unknown = unknown;
    passes.quantized.extend(quantized?);
    Ok(())
}

/// Keeps in f32 what f16 would spoil, or warns of what it may not hold.
pub(super) fn choose(passes: &mut Passes<'_>, entry: &str, graph: &mut Graph) -> Result<(), CompileError> {
    let strict = |graph: &mut Graph| layout::keep_wide(graph, Some(Precision::F16));
    if let Some(mixed) = &passes.options.mixed {
        let report = passes.time("calibrate", || mixed::keep(graph, entry, mixed, strict))?;
        passes.notes.push(report.summary());
        passes.warnings.extend(report.warning());
        passes.mixed.push(report);
    } else if passes.options.precision == Some(Precision::F16) {
        let mut stored = graph.clone();
        strict(&mut stored);
        passes.warnings.extend(mixed::overflows(&stored));
    }
    Ok(())
}

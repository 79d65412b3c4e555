//! What `--precision mixed` kept in f32, as people and scripts read it.

use crate::units::{bytes, flops};
use drift_compiler::mixed::{Depth, Error};
use drift_compiler::{KeptValue, MixedReport};
use serde::Serialize;
use std::io::Write;

/// What was decided for an entry.
#[derive(Debug, Serialize)]
pub struct MixedJson {
    /// The entry.
    pub entry: String,
    /// The largest share of an output's largest magnitude by which f16 may change it.
    pub budget: f64,
    /// What the calibration data are.
    pub calibration: String,
    /// Calibration sets that were evaluated; 0 where bounds and rules decided.
    pub sets: usize,
    /// The share by which outputs change on them; `null` where nothing was measured.
    pub error: Option<f64>,
    /// The same where f16 stores everything.
    pub strict_error: Option<f64>,
    /// Values that stay f32.
    pub kept_values: usize,
    /// Values that are f16.
    pub half_values: usize,
    /// Bytes of a run that f16 saves where it stores all values.
    pub all_bytes: u64,
    /// Bytes of these that are given up.
    pub kept_bytes: u64,
    /// Arithmetic of a run, a multiply-add counting two.
    pub all_flops: u64,
    /// That of nodes that read a value that stays f32, of products those whose factor is one.
    pub kept_flops: u64,
    /// Each value that stays f32, but for those that only hold what another one does.
    pub kept: Vec<KeptJson>,
}

/// A value that stays f32.
#[derive(Debug, Serialize)]
pub struct KeptJson {
    /// Its name.
    pub value: String,
    /// What makes it.
    pub node: String,
    /// In one word: `overflow`, `underflow`, `error`, `amplified`, `not-finite`.
    pub kind: &'static str,
    /// In a sentence.
    pub why: String,
    /// Bytes of a run that f16 would save of it.
    pub bytes: u64,
}

impl From<&MixedReport> for MixedJson {
    fn from(report: &MixedReport) -> Self {
        let kept = |KeptValue { value, node, why, bytes }: &KeptValue| KeptJson {
            value: value.clone(),
            node: node.clone(),
            kind: why.kind(),
            why: why.to_string(),
            bytes: *bytes,
        };
        Self {
            entry: report.entry.clone(),
            budget: report.budget,
            calibration: report.calibration.clone(),
            sets: match report.depth {
                Depth::Measured { sets, .. } => sets,
                Depth::Structure => 0,
            },
            error: report.error.map(|Error { mixed, .. }| mixed),
            strict_error: report.error.map(|Error { strict, .. }| strict),
            kept_values: report.kept_values,
            half_values: report.half_values,
            all_bytes: report.all_bytes,
            kept_bytes: report.kept_bytes,
            all_flops: report.all_flops,
            kept_flops: report.kept_flops,
            kept: report.kept.iter().map(kept).collect(),
        }
    }
}

/// Each value that stays f32, with why; at most `most` of them, if that is given.
pub fn print(reports: &[MixedReport], most: Option<usize>, out: &mut dyn Write) -> std::io::Result<()> {
    for report in reports {
        let several = if reports.len() > 1 { format!("entry `{}`: ", report.entry) } else { String::new() };
        let shown = most.unwrap_or(usize::MAX);
        for KeptValue { value, node, why, bytes: size } in report.kept.iter().take(shown) {
            writeln!(out, "{several}f32 {value} of {node}: {why} ({})", bytes(*size))?;
        }
        if report.kept.len() > shown {
            let more = report.kept.len() - shown;
            writeln!(out, "{several}and {more} more, which `driftc explain` and --json name")?;
        }
        writeln!(
            out,
            "{several}{} of {} values stay f32: {} of {} that f16 saves are given up, and {} of {} touch f32",
            report.kept_values,
            report.kept_values + report.half_values,
            bytes(report.kept_bytes),
            bytes(report.all_bytes),
            flops(report.kept_flops),
            flops(report.all_flops),
        )?;
    }
    Ok(())
}

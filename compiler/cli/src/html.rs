//! The page that `driftc inspect --html` writes: one file, nothing loaded from elsewhere.

use crate::contents::{BundleReport, VariantReport, shown};
use crate::picture::{self, escape};
use crate::units::{bytes, flops};
use drift_bundle::manifest::{Manifest, Variant};

const STYLE: &str = "\
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 70em; padding: 0 1em }
table { border-collapse: collapse; margin: 1em 0 }
td, th { border-bottom: 1px solid #ddd; padding: .2em .8em .2em 0; text-align: left; vertical-align: top }
td.n { text-align: right; font-variant-numeric: tabular-nums }
svg { background: #f4f4f4; width: 100% }";

/// The whole page.
pub(crate) fn page(manifest: &Manifest, report: &BundleReport) -> String {
    let mut body = vec![
        format!("<h1>{}</h1>", escape(&report.model)),
        table(&[
            ("made by", report.compiler.clone()),
            ("flags", report.flags.join(" ")),
            ("profiles", report.profiles.join(", ")),
            ("model, BLAKE3", report.model_hash.clone()),
            ("file", bytes(report.file_bytes)),
            ("shaders", report.shaders.to_string()),
            ("weights", bytes(report.weights_bytes)),
        ]),
    ];
    for (entry, entry_report) in shown(manifest).zip(&report.entries) {
        body.push(format!("<h2>{} for {}</h2>", escape(&entry_report.name), entry_report.target));
        body.push(table(&[("in", entry_report.inputs.join("; ")), ("out", entry_report.outputs.join("; "))]));
        for (variant, variant_report) in entry.variants.iter().zip(&entry_report.variants) {
            body.push(variant_table(variant_report));
            for picture::Drawn { region, bytes, blocks } in picture::arenas(manifest, entry, variant) {
                body.push(format!(
                    "<p>The arena (region {region}): dispatches to the right, addresses upwards; dashed, what no plan can go \
                     below. Point at a block to see what wrote it.</p>"
                ));
                // What is elsewhere is counted in the bound as well.
                let elsewhere = variant_report.io_bytes;
                let lower_bound = variant.memory.lower_bound_bytes.saturating_sub(elsewhere);
                body.push(picture::svg(&blocks, variant.dispatches.len(), bytes, lower_bound));
            }
            body.push(dispatch_table(manifest, variant));
        }
    }
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{}</title>\n\
         <style>\n{STYLE}\n</style></head>\n<body>\n{}\n</body></html>\n",
        escape(&report.model),
        body.join("\n")
    )
}

fn variant_table(variant: &VariantReport) -> String {
    let heading = format!("<h3>{} for profile {}</h3>\n", escape(&variant.name), escape(&variant.profile));
    let mut rows = vec![
        ("requires", variant.requires.join(", ")),
        ("dispatches", format!("{} of {} kernels", variant.dispatches, variant.kernels)),
        ("dispatches at load", variant.init_dispatches.to_string()),
        ("weights", bytes(variant.weights_bytes)),
        ("arenas", bytes(variant.arena_bytes)),
    ];
    rows.extend(variant.other_memory().map(|(what, size)| (what, bytes(size))));
    rows.extend([
        ("activations planned", bytes(variant.activations_planned_bytes)),
        ("activations without sharing", bytes(variant.activations_naive_bytes)),
        ("activations at least", bytes(variant.activations_lower_bound_bytes)),
        ("reads", bytes(variant.bytes_read)),
        ("writes", bytes(variant.bytes_written)),
        ("computes", flops(variant.flops)),
    ]);
    heading + &table(&rows)
}

fn dispatch_table(manifest: &Manifest, variant: &Variant) -> String {
    let rows: Vec<String> = variant
        .dispatches
        .iter()
        .enumerate()
        .map(|(index, dispatch)| {
            let shader = manifest.shaders.get(dispatch.shader as usize).map_or("", |shader| &shader.name);
            let [x, y, z] = dispatch.workgroups;
            format!(
                "<tr><td class=n>{index}</td><td>{}</td><td>{}</td><td>{}</td><td class=n>{x} x {y} x {z}</td>\
                 <td class=n>{}</td><td class=n>{}</td><td class=n>{}</td></tr>",
                escape(&dispatch.name),
                escape(shader),
                escape(&dispatch.origins.join(", ")),
                bytes(dispatch.bytes_read),
                bytes(dispatch.bytes_written),
                flops(dispatch.flops)
            )
        })
        .collect();
    format!(
        "<table><tr><th></th><th>dispatch</th><th>shader</th><th>computes the nodes</th><th>workgroups</th>\
         <th>reads</th><th>writes</th><th>computes</th></tr>\n{}\n</table>",
        rows.join("\n")
    )
}

fn table(rows: &[(&str, String)]) -> String {
    let rows: Vec<String> = rows
        .iter()
        .map(|(name, value)| format!("<tr><th>{name}</th><td>{}</td></tr>", escape(value)))
        .collect();
    format!("<table>\n{}\n</table>", rows.join("\n"))
}

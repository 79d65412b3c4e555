//! `driftc inspect`: what is inside a bundle, who made it, and how its memory is planned.

use crate::args::InspectArgs;
use crate::contents::{BundleReport, SelfTestReport, StateReport, VariantReport, report, shown};
use crate::error::CliError;
use crate::units::{bytes, flops};
use crate::{Console, Outcome, files, html, output};
use crate::{model, model_contents, picture};
use drift_bundle::Bundle;
use drift_bundle::manifest::{Manifest, Target};
use std::borrow::Cow;
use std::io::Write;
use std::path::Path;

/// Runs `driftc inspect`.
pub fn run(args: &InspectArgs, console: &mut Console<'_>) -> Result<Outcome, CliError> {
    let path = args.file().unwrap_or(Path::new(""));
    if files::is_model(path)? {
        return model_contents::run(path, args, console);
    }
    model::refuse_flags(&args.flags)?;
    let bundle = Bundle::open(path)?;
    bundle.verify_weights()?;
    let manifest = with_entry(bundle.manifest(), args.entry.as_deref())?;
    let report = report(&bundle, &manifest);
    if let Some(path) = &args.html {
        output::write(path, html::page(&manifest, &report).as_bytes())?;
    }
    if let Some(folder) = &args.shaders {
        write_shaders(&bundle, folder)?;
    }
    output::write_document(args.json(), "inspect", &report, console)?;
    if args.json().is_none() {
        print(&manifest, &report, console.out())?;
    }
    Ok(Outcome::Fine)
}

/// A manifest with the one entry that is asked for, for each of its targets; all entries where none is.
fn with_entry<'a>(manifest: &'a Manifest, wanted: Option<&str>) -> Result<Cow<'a, Manifest>, CliError> {
    let Some(wanted) = wanted else { return Ok(Cow::Borrowed(manifest)) };
    let mut own = manifest.clone();
    own.entries.retain(|entry| entry.name == wanted);
    if own.entries.is_empty() {
        let mut known: Vec<String> = manifest.entries.iter().map(|entry| entry.name.clone()).collect();
        known.dedup();
        return Err(CliError::UnknownEntry { wanted: wanted.to_owned(), known });
    }
    Ok(Cow::Owned(own))
}

/// The code of each shader as a file of its own, named after it.
fn write_shaders(bundle: &Bundle, folder: &Path) -> Result<(), CliError> {
    output::create_folder(folder)?;
    let shaders = &bundle.manifest().shaders;
    for target in Target::ALL {
        let of_target = || shaders.iter().filter(|shader| shader.target == target);
        let names = output::file_names(of_target().map(|shader| &*shader.name), target.code_extension());
        for (shader, name) in of_target().zip(names) {
            let (mut path, code) = (folder.join(name), bundle.shader_code(shader));
            if shader.is_metal_library(code) {
                path.set_extension("metallib");
            }
            output::write(&path, code)?;
        }
    }
    Ok(())
}

fn print(manifest: &Manifest, report: &BundleReport, out: &mut dyn Write) -> Result<(), CliError> {
    writeln!(out, "model     {} (blake3 {})", report.model, report.model_hash)?;
    writeln!(out, "made by   {} {}", report.compiler, report.flags.join(" "))?;
    writeln!(out, "profiles  {}", report.profiles.join(", "))?;
    writeln!(
        out,
        "file      {}: {} shaders, {} of weights",
        bytes(report.file_bytes),
        report.shaders,
        bytes(report.weights_bytes)
    )?;
    for SelfTestReport { entry, target, variant, tests, untested } in &report.self_tests {
        let tests = tests.map_or_else(|| "unreadable".to_owned(), |tests| format!("{tests} tests"));
        let left_out = untested.len();
        writeln!(out, "self-test {entry} for {target}, variant {variant}: {tests}, {left_out} not tested")?;
    }
    for (entry, entry_report) in shown(manifest).zip(&report.entries) {
        writeln!(out)?;
        writeln!(out, "entry {} for {}", entry_report.name, entry_report.target)?;
        entry_report.dims.iter().try_for_each(|dim| writeln!(out, "  dim  {}: {}", dim.name, dim.sizes))?;
        entry_report.inputs.iter().try_for_each(|input| writeln!(out, "  in   {input}"))?;
        entry_report.outputs.iter().try_for_each(|output| writeln!(out, "  out  {output}"))?;
        for (variant, variant_report) in entry.variants.iter().zip(&entry_report.variants) {
            print_variant(variant_report, out)?;
            for picture::Drawn { region, bytes, blocks } in picture::arenas(manifest, entry, variant) {
                writeln!(out, "    the arena (region {region}), dispatch by dispatch:")?;
                let drawing = picture::text(&blocks, variant.dispatches.len(), bytes);
                drawing.lines().try_for_each(|line| writeln!(out, "      {line}"))?;
            }
        }
    }
    Ok(())
}

fn print_variant(variant: &VariantReport, out: &mut dyn Write) -> Result<(), CliError> {
    writeln!(out)?;
    writeln!(out, "  variant {} for profile {}", variant.name, variant.profile)?;
    let requires =
        if variant.requires.is_empty() { "nothing".to_owned() } else { variant.requires.join(", ") };
    writeln!(out, "    requires     {requires}")?;
    writeln!(
        out,
        "    dispatches   {} of {} kernels, {} more at load",
        variant.dispatches, variant.kernels, variant.init_dispatches
    )?;
    writeln!(out, "    weights      {}", bytes(variant.weights_bytes))?;
    writeln!(out, "    arenas       {}", bytes(variant.arena_bytes))?;
    for (what, size) in variant.other_memory() {
        writeln!(out, "    memory       {} {what}", bytes(size))?;
    }
    for StateReport { name, element, shape, bytes: size } in &variant.states {
        writeln!(out, "    state        {name}: {element} {shape:?}, {}", bytes(*size))?;
    }
    writeln!(
        out,
        "    activations  {} planned ({}), {} without sharing, {} at least",
        bytes(variant.activations_planned_bytes),
        variant.memory_strategy,
        bytes(variant.activations_naive_bytes),
        bytes(variant.activations_lower_bound_bytes)
    )?;
    writeln!(
        out,
        "    a run        reads {}, writes {}, computes {}",
        bytes(variant.bytes_read),
        bytes(variant.bytes_written),
        flops(variant.flops)
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use drift_bundle::manifest::{
        BindingKind, BindingSlot, DeviceElement, Dispatch, Entry, FreeAxis, FreeDim, HostElement, IoBinding,
        IoTensor, MemoryReport, MemoryStrategy, Provenance, Region, RegionId, RegionKind, Requirement,
        Resource, Shader, SizeExpression, SizeTerm, Target, Variant,
    };
    use drift_bundle::{ALIGNMENT_BYTES, BundleWriter, stub};

    fn whole_report(bundle: &Bundle) -> BundleReport {
        report(bundle, bundle.manifest())
    }

    #[test]
    fn one_entry_is_reported_alone() {
        let bundle = bundle();
        let name = &bundle.manifest().entries[0].name;
        let manifest = with_entry(bundle.manifest(), Some(name)).unwrap();
        assert!(report(&bundle, &manifest).entries.iter().all(|entry| entry.name == *name));
        let error = with_entry(bundle.manifest(), Some("other")).unwrap_err().to_string();
        assert!(error.contains("no entry `other`") && error.contains(name.as_str()), "{error}");
    }

    /// `y = x + w`, twice over: two dispatches of one shader, and a weight that both read.
    fn bundle() -> Bundle {
        let slot = |group, binding, writable| BindingSlot {
            group,
            binding,
            kind: BindingKind::StorageBuffer { min_bytes: 64 },
            writable,
        };
        let provenance = Provenance {
            compiler: "driftc 0.0.0".to_owned(),
            flags: vec!["--target vulkan".to_owned()],
            model: "two <adds>".to_owned(),
            model_hash: "00".to_owned(),
            profiles: vec!["generic".to_owned()],
        };
        let mut writer = BundleWriter::new(provenance);
        let blob = writer.add_weight("w", [0; 64]).unwrap();
        let shader = Shader {
            name: "add".to_owned(),
            target: Target::WebGpu,
            entry_point: "main".to_owned(),
            offset: 0,
            size: 0,
            workgroup_size: [16, 1, 1],
            shared_bytes: 0,
            subgroup_size: None,
            bindings: vec![slot(0, 0, false), slot(0, 1, true), slot(1, 0, false)],
        };
        let shader = writer.add_shader(shader.clone(), &stub::code(&shader));
        let dispatch = |from, to| Dispatch {
            name: format!("add_{to}: add"),
            shader,
            bindings: vec![
                Resource::bytes(RegionId::Variant(0), from, 64),
                Resource::bytes(RegionId::Variant(0), to, 64),
                Resource::bytes(RegionId::Weight(blob), 0, 64),
            ],
            workgroups: [1, 1, 1],
            free_workgroups: [None; 3],
            barrier: true,
            origins: vec!["Add_0".to_owned()],
            bytes_read: 128,
            bytes_written: 64,
            flops: 16,
        };
        let place = |offset| IoBinding { region: 0, offset, element: DeviceElement::F32 };
        let tensor = |name: &str| IoTensor {
            name: name.to_owned(),
            element: HostElement::F32,
            shape: vec![4, 4],
            free: if name == "x" { vec![FreeAxis { axis: 0, size: 0 }] } else { Vec::new() },
        };
        let (name, element) = ("layer 0 <key>".to_owned(), DeviceElement::F16);
        let cache = RegionKind::State { name, element, shape: vec![8, 60] };
        let variant = Variant {
            name: "generic".to_owned(),
            profile: "generic".to_owned(),
            requires: vec![Requirement::StorageBuffers(3)],
            regions: vec![
                Region { kind: RegionKind::Arena, size: 768, alignment: ALIGNMENT_BYTES },
                Region { kind: cache, size: 1024, alignment: ALIGNMENT_BYTES },
            ],
            inputs: vec![place(0)],
            outputs: vec![place(512)],
            init: Vec::new(),
            dispatches: vec![dispatch(0, 256), dispatch(256, 512)],
            memory: MemoryReport {
                naive_bytes: 768,
                planned_bytes: 768,
                lower_bound_bytes: 512,
                strategy: MemoryStrategy::default(),
            },
        };
        writer.add_entry(Entry {
            name: "main".to_owned(),
            target: Target::WebGpu,
            dims: vec![FreeDim { name: "rows".to_owned(), low: 1, high: 4, step: 1 }],
            sizes: vec![SizeExpression(vec![SizeTerm::Dim(0)])],
            inputs: vec![tensor("x")],
            outputs: vec![tensor("y")],
            variants: vec![variant],
        });
        Bundle::from_bytes(writer.to_bytes().unwrap()).unwrap()
    }

    #[test]
    fn counts_and_sums_are_over_the_variant() {
        let report = whole_report(&bundle());
        let variant = &report.entries[0].variants[0];
        assert_eq!((variant.dispatches, variant.kernels, variant.weights_bytes), (2, 1, 64));
        assert_eq!((variant.bytes_read, variant.bytes_written, variant.flops), (256, 128, 32));
    }

    #[test]
    fn json_has_the_keys_that_scripts_rely_on() {
        let json = serde_json::to_value(whole_report(&bundle())).unwrap();
        let entry = &json["entries"][0];
        assert_eq!((&entry["name"], &entry["target"]), (&"main".into(), &"webgpu".into()));
        for key in [
            "dispatches",
            "kernels",
            "weights_bytes",
            "derived_bytes",
            "arena_bytes",
            "texture_bytes",
            "io_bytes",
            "state_bytes",
            "params_bytes",
            "activations_naive_bytes",
            "activations_planned_bytes",
            "activations_lower_bound_bytes",
            "bytes_read",
            "bytes_written",
            "flops",
        ] {
            assert!(entry["variants"][0][key].is_u64(), "{key}");
        }
        let state =
            serde_json::json!({"name": "layer 0 <key>", "element": "f16", "shape": [8, 60], "bytes": 1024});
        assert_eq!(entry["variants"][0]["states"], serde_json::json!([state]));
        let dim = serde_json::json!({"name": "rows", "low": 1, "high": 4, "step": 1, "sizes": "1 to 4"});
        assert_eq!(entry["dims"], serde_json::json!([dim]));
    }

    #[test]
    fn the_text_names_everything_and_draws_the_arena() {
        let bundle = bundle();
        let mut out = Vec::new();
        print(bundle.manifest(), &whole_report(&bundle), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        for part in [
            "two <adds>",
            "dim  rows: 1 to 4",
            "x: f32 [rows, 4]",
            "y: f32 [4, 4]",
            "3 storage buffers in a dispatch",
            "state        layer 0 <key>: f16 [8, 60], 1.0 KiB",
            "      #.",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }

    #[test]
    fn blocks_live_from_their_write_to_their_last_read() {
        let bundle = bundle();
        let manifest = bundle.manifest();
        let drawn = picture::arenas(manifest, &manifest.entries[0], &manifest.entries[0].variants[0]);
        let live_ranges: Vec<_> =
            drawn[0].blocks.iter().map(|block| (block.offset, block.first, block.last)).collect();
        assert_eq!(live_ranges, [(0, 0, 0), (256, 0, 1), (512, 1, 1)]);
    }

    #[test]
    fn the_page_escapes_what_the_model_says() {
        let bundle = bundle();
        let page = html::page(bundle.manifest(), &whole_report(&bundle));
        assert!(page.contains("two &lt;adds&gt;") && !page.contains("<adds>"));
        assert!(page.contains("add_256: add"));
    }
}

//! Every kernel on every layout and precision, run on lavapipe (SPIR-V) and PoCL (OpenCL C) against the evaluator.

use drift_compiler::{LayoutChoice, Precision};
use drift_tests::cases::{self, Case};
use drift_tests::conformance::{Setting, Worst, graph as graph_of, inner, on_opencl, on_vulkan};
use std::error::Error;

/// What one kernel is compiled under.
type Settings = (&'static [LayoutChoice], &'static [Precision]);

const EVERYTHING: Settings = (
    &[LayoutChoice::Buffer, LayoutChoice::Texture2d, LayoutChoice::ImageBuffer],
    &[Precision::F32, Precision::F16],
);

/// Error allowed, relative to the larger of 1 and the value. Halves round inputs, weights and every stored
/// intermediate to 11 bits; the deepest cases add some hundreds of products of magnitude up to 20.
fn tolerance(precision: Precision) -> f64 {
    match precision {
        Precision::F32 => 1e-4,
        Precision::F16 => 3e-2,
    }
}

type Run = fn(&drift_ir::Graph, Setting) -> Result<Option<Worst>, Box<dyn Error>>;

/// Runs all cases whose names start with `prefix`, and with the environment's `DRIFT_CASES` where somebody works on one
/// kernel; reports all failures at once. At least `least` runs must happen: a device may lack what a variant says it
/// needs, but not quietly everything.
fn prove(run: Run, profile: &'static str, prefix: &str, settings: Settings, least: usize) {
    let (layouts, precisions) = settings;
    let wanted = std::env::var("DRIFT_CASES").unwrap_or_default();
    let least = if wanted.is_empty() { least } else { 1 };
    let mut failures = Vec::new();
    let mut runs = 0;
    for Case { name, graph: text, .. } in cases::all() {
        if !name.starts_with(prefix) || !name.starts_with(&wanted) {
            continue;
        }
        let Ok(graph) = std::panic::catch_unwind(|| graph_of(text)) else {
            failures.push(format!("{name}: the graph does not parse"));
            continue;
        };
        let among_others = graph_of(&inner(text));
        for &layout in layouts {
            // What a graph takes and gives are dense buffers: only between other nodes does a kernel meet its layout.
            let graph = if layout == LayoutChoice::Buffer { &graph } else { &among_others };
            for &precision in precisions {
                let keep_attention = name.starts_with("attention_");
                let setting = Setting { layout, precision, profile, keep_attention };
                let outcome =
                    std::panic::catch_unwind(|| run(graph, setting).map_err(|error| chain(&*error)));
                match outcome.unwrap_or_else(|_| Err("panicked".to_owned())) {
                    Ok(None) => {}
                    Ok(Some(worst)) if worst.relative <= tolerance(precision) => runs += 1,
                    Ok(Some(worst)) => failures.push(format!("{name} {layout:?} {precision:?}: {worst:?}")),
                    Err(error) => failures.push(format!("{name} {layout:?} {precision:?}: {error}")),
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} failed, {runs} passed:\n{}", failures.len(), failures.join("\n"));
    assert!(runs >= least, "only {runs} runs happened");
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

#[test]
fn vulkan_agrees_with_the_evaluator() {
    prove(on_vulkan, "generic", "", EVERYTHING, cases::all().count() * 6);
}

/// These differ from 2D textures in the accessors only, so each has one precision.
#[test]
fn vulkan_agrees_with_the_evaluator_on_texture_arrays() {
    let settings: Settings = (&[LayoutChoice::TextureArray], &[Precision::F32]);
    prove(on_vulkan, "generic", "", settings, cases::all().count());
}

#[test]
fn vulkan_agrees_with_the_evaluator_on_3d_textures() {
    let settings: Settings = (&[LayoutChoice::Texture3d], &[Precision::F16]);
    prove(on_vulkan, "generic", "", settings, cases::all().count());
}

#[test]
fn opencl_agrees_with_the_evaluator_on_texture_arrays_and_3d_textures() {
    let settings: Settings = (&[LayoutChoice::TextureArray, LayoutChoice::Texture3d], &[Precision::F32]);
    prove(on_opencl, "generic", "conv_", settings, 20);
}

#[test]
fn opencl_agrees_with_the_evaluator() {
    prove(on_opencl, "generic", "", EVERYTHING, cases::all().count() * 3 + 20);
}

#[test]
fn subgroup_kernels_agree_with_the_evaluator() {
    prove(on_vulkan, "subgroups", "softmax/", EVERYTHING, 30);
}

#[test]
fn constants_split_over_bindings_agree_with_the_evaluator() {
    prove(on_vulkan, "small-bindings", "large/", EVERYTHING, 36);
}

#[test]
fn constants_split_over_bindings_agree_on_opencl() {
    prove(on_opencl, "small-bindings", "large/", EVERYTHING, 18);
}

#[test]
fn cooperative_attention_agrees_with_the_evaluator_as_loops() {
    prove(
        on_vulkan,
        "cooperative-loops",
        "attention_cooperative/",
        (&[LayoutChoice::Buffer, LayoutChoice::Texture2d], &[Precision::F16]),
        14,
    );
}

#[test]
fn cooperative_kernels_agree_with_the_evaluator_as_loops() {
    prove(
        on_vulkan,
        "cooperative-loops",
        "matmul_cooperative/",
        (&[LayoutChoice::Buffer, LayoutChoice::Texture2d], &[Precision::F16]),
        14,
    );
}

#[test]
fn convolutions_after_winograd_agree_with_the_evaluator() {
    for profile in ["winograd-2x2", "winograd-4x4"] {
        prove(on_vulkan, profile, "winograd/", EVERYTHING, 78);
    }
}

#[test]
fn convolutions_after_winograd_agree_on_opencl() {
    for profile in ["winograd-2x2", "winograd-4x4"] {
        prove(on_opencl, profile, "winograd/", EVERYTHING, 39);
    }
}

/// A product of rows in whole tiles, wide enough for the tiling that puts two workgroups on a unit.
#[test]
fn paired_cooperative_workgroups_agree_with_the_evaluator() {
    let graph = graph_of("%a: f32[1536,32]\n@b: f32[32,1024] = random(5)\n%1 = matmul %a, @b\nreturn %1");
    let setting = Setting {
        layout: LayoutChoice::Buffer,
        precision: Precision::F16,
        profile: "cooperative-loops",
        keep_attention: false,
    };
    let worst = on_vulkan(&graph, setting).unwrap_or_else(|error| panic!("{}", chain(&*error)));
    assert!(worst.is_some_and(|worst| worst.relative <= tolerance(Precision::F16)), "{worst:?}");
}

//! Kernels that are damaged on purpose: the device says what is wrong with each, or its numbers do.

use drift_bundle::manifest::Target;
use drift_bundle::{Bundle, BundleWriter};
use drift_compiler::{LayoutChoice, Precision, WeightsChoice};
use drift_ir::Graph;
use drift_runtime::{LoadOptions, RuntimeError};
use drift_tests::conformance::{Setting, compile, graph};
use drift_tests::msl;

const SOFTMAX: &str = "%x: f32[6,70]\n%1 = softmax %x {axis=1}\nreturn %1";
const CONV: &str = "%x: f32[1,8,7,9]\n@w: f32[8,8,3,3] = random(1)\n%a = tanh %x\n%b = conv %a, @w\n%c = conv %b, @w\nreturn %c";

/// The bundle of a graph, whose shaders have `to` for each `from`.
fn damaged(graph: &Graph, layout: LayoutChoice, change: (&str, &str)) -> Bundle {
    let weights = WeightsChoice::default();
    let (precision, profile) = (Precision::F32, "generic");
    let setting = Setting { layout, precision, weights, profile, keep_attention: false };
    let bundle = compile(graph, Target::Metal, setting).unwrap_or_else(|error| panic!("{error}"));
    with_shaders(&bundle, change)
}

/// The bundle with other shaders.
pub(super) fn with_shaders(bundle: &Bundle, (from, to): (&str, &str)) -> Bundle {
    let manifest = bundle.manifest();
    let mut writer = BundleWriter::new(manifest.provenance.clone());
    for blob in &manifest.weights {
        writer.add_weight(&blob.name, bundle.weight_bytes(blob).expect("weights")).expect("a blob");
    }
    let mut found = false;
    for shader in &manifest.shaders {
        let text = std::str::from_utf8(bundle.shader_code(shader)).expect("MSL is text");
        found |= text.contains(from);
        writer.add_shader(shader.clone(), text.replace(from, to).as_bytes());
    }
    assert!(found, "no shader has `{from}`");
    for entry in &manifest.entries {
        writer.add_entry(entry.clone());
    }
    Bundle::from_bytes(writer.to_bytes().expect("a bundle")).expect("a sound bundle")
}

/// Loads and runs a damaged graph on inputs of ones and twos.
fn run(source: &str, layout: LayoutChoice, change: (&str, &str)) -> Result<Vec<f32>, RuntimeError> {
    let graph = graph(source);
    let bundle = damaged(&graph, layout, change);
    let options = LoadOptions { any_vendor: true, ..LoadOptions::default() };
    let mut session = msl::open().load_with(&bundle, &options)?;
    for tensor in session.inputs().to_vec() {
        let values: Vec<f32> = (0..tensor.elements().unwrap_or(0)).map(|n| (n % 7) as f32 / 3.0).collect();
        session.write(&tensor.name, &values)?;
    }
    session.run()?;
    let name = session.outputs()[0].name.clone();
    session.read(&name)
}

#[track_caller]
fn found(source: &str, layout: LayoutChoice, change: (&str, &str), words: &str) {
    match run(source, layout, change) {
        Ok(values) => panic!("`{}` passes: {values:?}", change.1),
        Err(error) => assert!(error.to_string().contains(words), "{error}"),
    }
}

const BARRIER: &str = "metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);";

/// What is replaced by itself.
const NOTHING: (&str, &str) = ("kernel", "kernel");

#[test]
fn whole_kernels_run() {
    for (source, layout) in [(SOFTMAX, LayoutChoice::Buffer), (CONV, LayoutChoice::Texture2d)] {
        let values = run(source, layout, NOTHING).unwrap_or_else(|error| panic!("{error}"));
        assert!(values.iter().all(|value| value.is_finite()), "{values:?}");
    }
}

#[test]
fn an_index_outside_of_a_buffer_is_found() {
    let change = ("dst_data.inner[", "dst_data.inner[420u + ");
    found(SOFTMAX, LayoutChoice::Buffer, change, "is outside of 'float[420]'");
}

#[test]
fn an_index_outside_of_workgroup_memory_is_found() {
    found(
        SOFTMAX,
        LayoutChoice::Buffer,
        ("shared_part.inner[first]", "shared_part.inner[first + 4096u]"),
        "is outside of 'float[",
    );
}

#[test]
fn a_texel_outside_of_a_texture_is_found() {
    let change = (".read(metal::uint2(metal::int2(", ".read(metal::uint2(metal::int2(100 + ");
    found(CONV, LayoutChoice::Texture2d, change, "is outside of the texture");
}

#[test]
fn a_barrier_that_some_threads_miss_is_found() {
    let guarded = format!("if (local > 0u) {{ {BARRIER} }}");
    let change = (BARRIER, guarded.as_str());
    found(SOFTMAX, LayoutChoice::Buffer, change, "while");
}

#[test]
fn a_missing_barrier_shows_in_the_numbers() {
    let whole = run(SOFTMAX, LayoutChoice::Buffer, NOTHING).unwrap_or_else(|error| panic!("{error}"));
    let hasty = run(SOFTMAX, LayoutChoice::Buffer, (BARRIER, "")).unwrap_or_else(|error| panic!("{error}"));
    let differ = |(a, b): (&f32, &f32)| b.is_nan() || (a - b).abs() > 1e-4;
    assert!(whole.iter().zip(&hasty).any(differ));
}

#[test]
fn workgroup_memory_is_no_zeros() {
    // Nobody writes what is read.
    let change = ("shared_part.inner[shared_part_index] = metal::max", "metal::max");
    match run(SOFTMAX, LayoutChoice::Buffer, change) {
        Ok(values) => assert!(values.iter().all(|value| value.is_nan()), "{values:?}"),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn more_workgroup_memory_than_the_bundle_says_is_found() {
    found(
        SOFTMAX,
        LayoutChoice::Buffer,
        (
            "threadgroup type_4 shared_part;",
            "threadgroup type_4 shared_part;\n    threadgroup type_4 other;\n    other.inner[0] = 0.0;",
        ),
        "and the bundle says",
    );
}

#[test]
fn a_division_by_zero_is_found() {
    found(SOFTMAX, LayoutChoice::Buffer, ("/ 2u;", "/ (id.z * 2u);"), "is divided by 0");
}

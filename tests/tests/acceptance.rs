//! Every case's kernels as Metal and as WebGPU get them: clang reads the MSL, a browser compiles the WGSL. Each case alone in one of
//! its layouts and precisions, and among others in one, the same ones at each run; in all of them with `DRIFT_MATRIX=full`.
//! Nothing runs: that these kernels compute what they should is proved in `kernels.rs`.

use drift_bundle::manifest::Target;
use drift_compiler::{LayoutChoice, Precision, WeightsChoice, WeightsStorage};
use drift_ir::Graph;
use drift_onnx::{DimBinding, ImportOptions, ModelSource};
use drift_tests::cases;
use drift_tests::chromium::{Verdict, Wgsl, check_wgsl};
use drift_tests::conformance::{Setting, compile, graph, inner};
use drift_tests::msl::clang;
use std::collections::BTreeSet;
use std::path::Path;

/// What the browser's adapter may lack.
const MAY_LACK: &str = "shader-f16";

/// A shader and the first case that needs it.
struct Shader {
    /// `softmax/c5 Buffer F32: softmax_0`.
    name: String,
    /// `softmax Buffer F32`.
    kind: String,
    text: String,
}

/// The distinct shaders of all cases for `target`.
fn shaders(target: Target) -> Vec<Shader> {
    let (mut shaders, mut seen) = (Vec::new(), BTreeSet::new());
    let alone = cases::all().map(|case| (case.name.to_owned(), graph(case.graph)));
    let among = cases::all().map(|case| (format!("{} among others", case.name), graph(&inner(case.graph))));
    for (case, graph) in alone.chain(among).chain(MODELS.map(model)) {
        for setting in settings(&case) {
            let bundle = compile(&graph, target, setting)
                .unwrap_or_else(|error| panic!("{case} {setting:?} for {target:?}: {error}"));
            for shader in &bundle.manifest().shaders {
                let text =
                    String::from_utf8(bundle.shader_code(shader).to_vec()).expect("MSL and WGSL are text");
                if seen.insert(text.clone()) {
                    let Setting { layout, precision, .. } = setting;
                    let name = format!("{case} {layout:?} {precision:?}: {}", shader.name);
                    let kernel = shader.name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '_');
                    shaders.push(Shader { name, kind: format!("{kernel} {layout:?} {precision:?}"), text });
                }
            }
        }
    }
    shaders
}

const MODELS: [(&str, &[(&str, u64)]); 2] = [
    ("tiny_bert_dynamo18", &[("batch", 1), ("sequence", 16)]),
    ("tiny_mobilenetv2_legacy17", &[("batch", 1)]),
];

fn model((name, dims): (&str, &[(&str, u64)])) -> (String, Graph) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(name).join("model.onnx");
    let source = ModelSource::open(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    let dims = dims.iter().map(|&(dim, size)| (dim.to_owned(), DimBinding::Fixed(size))).collect();
    let imported = drift_onnx::import(&source, &ImportOptions { dims, ..ImportOptions::default() });
    (name.to_owned(), imported.unwrap_or_else(|error| panic!("{name}: {error}")).graph)
}

/// One of these, which follows from the case's name, or all where everything is asked for.
fn sampled(case: &str, settings: Vec<Setting>) -> Vec<Setting> {
    if std::env::var("DRIFT_MATRIX").is_ok_and(|matrix| matrix == "full") {
        return settings;
    }
    let hash = case.bytes().fold(0_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    vec![settings[hash as usize % settings.len()]]
}

/// Image buffers are left out: Metal and WebGPU have none, and get buffers.
fn settings(case: &str) -> Vec<Setting> {
    let layouts = [LayoutChoice::Buffer, LayoutChoice::Texture2d];
    let mut settings = Vec::new();
    // On buffers, a kernel among others differs little from one alone.
    for &layout in &layouts[usize::from(case.ends_with("among others"))..] {
        for precision in [Precision::F32, Precision::F16] {
            let keep_attention = case.starts_with("attention_");
            let weights = WeightsChoice::default();
            settings.push(Setting { layout, precision, weights, profile: "generic", keep_attention });
        }
    }
    let first = settings[0];
    // Models have kernels of all families.
    if case.contains('/') {
        settings = sampled(case, settings);
    }
    if case.starts_with("weights/") {
        for storage in [WeightsStorage::Texture2d, WeightsStorage::FourTextures] {
            let weights = WeightsChoice { storage: Some(storage), order: None };
            settings.push(Setting { weights, ..first });
        }
    }
    if ["softmax/", "matvec/"].iter().any(|kernel| case.starts_with(kernel)) {
        settings.push(Setting { profile: "subgroups", ..first });
    }
    settings
}

/// Fails if anything was rejected, with the messages and the texts.
fn judge(rejections: &[(&Shader, String)]) {
    let news: Vec<String> = rejections
        .iter()
        .map(|(shader, message)| format!("{}:\n{message}\n{}", shader.name, shader.text))
        .collect();
    assert!(news.is_empty(), "{} rejected:\n{}", news.len(), news.join("\n"));
}

fn complaints(msl: &str) -> String {
    let headers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../targets/tests/metal_stdlib");
    clang::complaints(&headers, msl).unwrap_or_else(|error| panic!("{error}"))
}

/// Many shaders as one text, each in a namespace, so that clang reads the headers once.
fn together(shaders: &[Shader]) -> String {
    let is_include = |line: &&str| line.starts_with("#include");
    let includes: BTreeSet<&str> =
        shaders.iter().flat_map(|shader| shader.text.lines().filter(is_include)).collect();
    let mut text: String = includes.iter().map(|line| format!("{line}\n")).collect();
    for (n, shader) in shaders.iter().enumerate() {
        text.push_str(&format!("namespace shader_{n} {{\n"));
        text.extend(shader.text.lines().filter(|line| !is_include(line)).flat_map(|line| [line, "\n"]));
        text.push_str("}\n");
    }
    text
}

#[test]
fn clang_accepts_every_kernel_for_metal() {
    let shaders = shaders(Target::Metal);
    assert!(shaders.len() >= 400, "only {} shaders", shaders.len());
    let mut rejections = Vec::new();
    for group in shaders.chunks(32) {
        // A group that passes is done; in another, each shader answers for itself.
        if !complaints(&together(group)).is_empty() {
            let alone = group.iter().map(|shader| (shader, complaints(&shader.text)));
            let before = rejections.len();
            rejections.extend(alone.filter(|(_, said)| !said.is_empty()));
            assert!(
                rejections.len() > before,
                "shaders disagree only together:\n{}",
                complaints(&together(group))
            );
        }
    }
    judge(&rejections);
}

#[test]
fn a_shader_that_is_wrong_is_found_among_others() {
    let shader = |text: &str| Shader { name: String::new(), kind: String::new(), text: text.to_owned() };
    let right =
        "#include <metal_stdlib>\nusing metal::uint;\nuint twice(uint x) { return metal::max(x, x) * 2u; }\n";
    let wrong = right.replace("metal::max(x, x)", "metal::largest(x, x)");
    assert_eq!(complaints(&together(&[shader(right), shader(right)])), "");
    assert!(complaints(&together(&[shader(right), shader(&wrong)])).contains("largest"));
}

/// Digits of the longest decimal literal in a text.
fn longest_literal(wgsl: &str) -> usize {
    let words = wgsl.split(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '_');
    let numbers =
        words.filter(|word| word.starts_with(|c: char| c.is_ascii_digit()) && !word.starts_with("0x"));
    numbers.map(|word| word.chars().filter(char::is_ascii_digit).count()).max().unwrap_or(0)
}

#[test]
fn a_browser_accepts_every_kernel_for_webgpu() {
    let shaders = shaders(Target::WebGpu);
    // Some lexers stop reading a literal long before its end.
    let long: Vec<&str> = shaders
        .iter()
        .filter(|shader| longest_literal(&shader.text) > 16)
        .map(|shader| shader.name.as_str())
        .collect();
    assert!(long.is_empty(), "long literals in {long:?}");
    let mut kinds = BTreeSet::new();
    let asked: Vec<Wgsl> = shaders
        .iter()
        .map(|shader| Wgsl {
            name: shader.name.clone(),
            source: shader.text.clone(),
            // What follows the text of a kernel and its layouts needs one pipeline; the others differ by constants.
            pipeline: kinds.insert(shader.kind.clone()),
        })
        .collect();
    let results = check_wgsl(&asked).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(results.len(), shaders.len());
    let (mut accepted, mut rejections, mut unchecked) = (0, Vec::new(), Vec::new());
    for (shader, result) in shaders.iter().zip(results) {
        match result.verdict {
            Verdict::Accepted => accepted += 1,
            Verdict::Rejected(message) => rejections.push((shader, message)),
            Verdict::NotChecked(reason) if reason.contains(MAY_LACK) => {}
            Verdict::NotChecked(reason) => unchecked.push(format!("{}: {reason}", shader.name)),
        }
    }
    judge(&rejections);
    assert!(unchecked.is_empty(), "not checked:\n{}", unchecked.join("\n"));
    assert!(accepted >= 300, "only {accepted} of {} shaders are accepted", shaders.len());
}

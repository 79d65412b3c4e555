//! Language models whose caches are states: prompts in chunks and tokens one by one give what the whole sequence at once gives in
//! the reference evaluator, on every device.

use drift_bundle::Bundle;
use drift_compiler::{CompileOptions, EntryModel, ModelIdentity, Precision, WeightsPrecision};
use drift_ir::{Graph, Tensor, eval};
use drift_onnx::{DeclaredDim, DimBinding, ImportOptions, Logits, ModelSource};
use drift_runtime::{Device, DeviceKind, LoadOptions, OpenOptions, Session};
use std::collections::BTreeMap;
use std::path::PathBuf;

#[path = "language/greedy.rs"]
mod greedy;

/// Rows of the caches.
const CAPACITY: u64 = 12;

/// Tokens of a chunk of a prompt.
const CHUNK: usize = 4;

const TOKENS: [i64; 11] = [17, 3, 250, 99, 42, 7, 7, 128, 200, 1, 64];

/// Models, and the dimensions that none of their inputs' data decide.
const MODELS: [(&str, &[(&str, u64)]); 2] =
    [("tiny_llama_genai_fp32_cpu", &[("kv_cache_dim", 16)]), ("tiny_llama_optimum", &[])];

fn source(name: &str) -> ModelSource {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("models").join(name);
    ModelSource::open(folder.join("model.onnx")).expect("a model")
}

/// The model with so many new tokens; its caches are states of [`CAPACITY`] rows, or else inputs of `past` rows.
fn import(name: &str, sizes: &[(&str, u64)], new: usize, past: Option<u64>) -> Graph {
    import_with(name, sizes, (new, past), Logits::All)
}

/// The logits of the last token of a chunk.
fn import_last(name: &str, sizes: &[(&str, u64)]) -> Graph {
    import_with(name, sizes, (CHUNK, None), Logits::Last)
}

fn import_with(
    name: &str,
    sizes: &[(&str, u64)],
    (new, past): (usize, Option<u64>),
    logits: Logits,
) -> Graph {
    let source = source(name);
    let mut dims: BTreeMap<String, DimBinding> =
        sizes.iter().map(|&(name, size)| (name.to_owned(), DimBinding::Fixed(size))).collect();
    for port in drift_onnx::inputs(&source).expect("inputs") {
        let declared = port.dims.unwrap_or_default();
        let (rank, rows) = (declared.len(), if declared.len() == 4 { 2 } else { 1 });
        for (axis, dim) in declared.into_iter().enumerate() {
            let DeclaredDim::Free(name) = dim else { continue };
            let binding = match (axis, past) {
                (0, _) => DimBinding::Fixed(1),
                (axis, None) if axis == rows && rank == 4 => DimBinding::Range(0, CAPACITY),
                (axis, Some(past)) if axis == rows && rank == 4 => DimBinding::Fixed(past),
                (_, Some(past)) if port.name == "attention_mask" => DimBinding::Fixed(past + new as u64),
                (axis, _) if axis == rows && port.name != "attention_mask" => DimBinding::Fixed(new as u64),
                _ => continue,
            };
            dims.insert(name, binding);
        }
    }
    drift_onnx::import(&source, &ImportOptions { dims, logits }).expect("a graph").graph
}

/// The logits of each of the first `count` tokens, from the evaluator, which sees them all at once.
fn expected(name: &str, sizes: &[(&str, u64)], count: usize) -> Vec<Vec<f32>> {
    expected_of(name, sizes, &TOKENS[..count])
}

/// The same of each of these tokens.
fn expected_of(name: &str, sizes: &[(&str, u64)], tokens: &[i64]) -> Vec<Vec<f32>> {
    let count = tokens.len();
    let graph = import(name, sizes, count, Some(0));
    let inputs: Vec<Tensor> = graph
        .inputs()
        .iter()
        .map(|&input| {
            let value = graph.value(input);
            let shape = value.ty.static_shape().expect("all sizes are bound");
            match value.name.as_str() {
                "input_ids" => Tensor::from_i64(shape, tokens),
                "position_ids" => Tensor::from_i64(shape, &(0..count as i64).collect::<Vec<_>>()),
                "attention_mask" => Tensor::from_i64(shape, &vec![1; count]),
                _ => Tensor::new(value.ty.element, shape, Vec::new().into()),
            }
            .expect("an input")
        })
        .collect();
    let outputs = eval::run(&graph, &inputs).expect("an evaluation");
    let logits = graph.outputs().iter().position(|&output| graph.value(output).name == "logits");
    let logits = outputs[logits.expect("logits")].to_f32_vec();
    logits.chunks_exact(logits.len() / count).map(<[f32]>::to_vec).collect()
}

fn bundle(name: &str, sizes: &[(&str, u64)], kind: DeviceKind) -> Bundle {
    let entry = |name: &str, graph| EntryModel { name: name.to_owned(), graph };
    let entries = vec![
        entry("prefill", import(name, sizes, CHUNK, None)),
        entry("decode", import(name, sizes, 1, None)),
        entry("last", import_last(name, sizes)),
    ];
    compile(name, entries, CompileOptions { targets: vec![kind.target()], ..CompileOptions::default() })
}

/// A bundle for the generic profile.
fn compile(name: &str, entries: Vec<EntryModel>, options: CompileOptions) -> Bundle {
    let options = CompileOptions { profiles: vec!["generic".to_owned()], ..options };
    let identity = ModelIdentity { name: name.to_owned(), hash: "0".repeat(64) };
    let compiled = drift_compiler::compile_entries(entries, identity, &options).expect("a bundle");
    Bundle::from_bytes(compiled.bundle.to_bytes().expect("bytes")).expect("a sound bundle")
}

/// Runs `tokens` behind `position` others, and gives the logits of each.
fn feed(session: &mut Session, tokens: &[i64], position: usize) -> Vec<Vec<f32>> {
    let count = session.inputs().iter().find(|input| input.name == "input_ids").expect("tokens").shape[1];
    let mut padded = tokens.to_vec();
    padded.resize(count as usize, 0);
    session.write("input_ids", &padded).expect("tokens");
    session.write("position", &[position as i32]).expect("a position");
    session.run().expect("a run");
    let rows = session.outputs().iter().find(|output| output.name == "logits").expect("logits").shape[1];
    let logits: Vec<f32> = session.read("logits").expect("logits");
    logits.chunks_exact(logits.len() / rows as usize).take(tokens.len()).map(<[f32]>::to_vec).collect()
}

fn check(what: &str, made: &[Vec<f32>], expected: &[Vec<f32>]) {
    check_within(1e-4, what, made, expected);
}

/// The same within a share of the largest logit.
fn check_within(tolerance: f32, what: &str, made: &[Vec<f32>], expected: &[Vec<f32>]) {
    assert_eq!(made.len(), expected.len(), "{what}");
    for (at, (made, expected)) in made.iter().zip(expected).enumerate() {
        let largest = expected.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
        for (n, (a, b)) in made.iter().zip(expected).enumerate() {
            assert!((a - b).abs() <= tolerance * largest, "{what}, token {at}, logit {n}: {a}, expected {b}");
        }
    }
}

fn agrees(kind: DeviceKind) {
    let options = OpenOptions { validation: true, ..OpenOptions::default() };
    let device = Device::open_with(kind, &options).expect("`cargo xtask test` installs one");
    for (name, sizes) in MODELS {
        let expected = expected(name, sizes, TOKENS.len());
        let bundle = bundle(name, sizes, kind);
        let sessions = device.load_entries(&bundle, &["prefill", "decode", "last"], &LoadOptions::default());
        let sessions = <[Session; 3]>::try_from(sessions.expect("sessions"));
        let [mut prefill, mut decode, mut last] = sessions.expect("three");
        for round in 0..2 {
            // A prompt in two chunks, the second of which is not full, then tokens one by one.
            let mut made = feed(&mut prefill, &TOKENS[..CHUNK], 0);
            made.extend(feed(&mut prefill, &TOKENS[CHUNK..CHUNK + 2], CHUNK));
            for (at, token) in TOKENS.iter().enumerate().skip(CHUNK + 2) {
                made.extend(feed(&mut decode, &[*token], at));
            }
            check(&format!("{name} on {kind:?}, round {round}"), &made, &expected);
            // The padding of the last chunk reaches beyond the caches.
            let at_the_end = feed(&mut prefill, &TOKENS[9..], 9);
            check(&format!("{name} on {kind:?}, at the end"), &at_the_end, &expected[9..]);
            last.write("count", &[3_i32]).expect("a count");
            let of_last = feed(&mut last, &TOKENS[2..5], 2);
            check(&format!("{name} on {kind:?}, last of three"), &of_last, &expected[4..5]);
            // What a longer sequence left behind the position is not read.
            let again = feed(&mut decode, &[TOKENS[5]], 5);
            check(&format!("{name} on {kind:?}, cut off"), &again, &expected[5..6]);
        }
        assert_eq!(decode.states().len(), prefill.states().len());
        let rows = decode.states().iter().all(|state| state.shape[2] == CAPACITY);
        assert!(rows && !decode.states().is_empty(), "{name}: {:?}", decode.states());
    }
    assert_eq!(device.validation_log().messages(), Vec::<String>::new());
}

#[test]
fn caches_as_states_agree_on_vulkan() {
    agrees(DeviceKind::Vulkan);
}

#[test]
fn caches_as_states_agree_on_opencl() {
    agrees(DeviceKind::OpenCl);
}

#[test]
fn caches_as_states_agree_on_webgpu() {
    agrees(DeviceKind::WebGpu);
}

/// A prompt's entry and a token's read weights in one order, and a tied embedding is stored once: both take hardly more bytes than
/// either, and what each computes is what its own bundle computes.
#[test]
fn entries_hold_each_weight_once() {
    let device = Device::open(DeviceKind::Vulkan).expect("`cargo xtask test` installs one");
    let forms = [
        (None, None),
        (Some(Precision::F16), None),
        (None, Some(WeightsPrecision::Q8)),
        (Some(Precision::F16), Some(WeightsPrecision::Q4)),
    ];
    for (name, sizes) in MODELS {
        for (precision, weights) in forms {
            let what = format!("{name}, {precision:?}, {weights:?}");
            let bundle = |stages: &[(&str, usize)]| {
                let entry = |&(entry, new): &(&str, usize)| EntryModel {
                    name: entry.to_owned(),
                    graph: import(name, sizes, new, None),
                };
                let targets = vec![DeviceKind::Vulkan.target()];
                let options = CompileOptions { targets, precision, weights, ..CompileOptions::default() };
                compile(name, stages.iter().map(entry).collect(), options)
            };
            let stages = [("prefill", 2 * CHUNK), ("decode", 1)];
            let [both, prefill, decode] = [&stages[..], &stages[..1], &stages[1..]].map(bundle);
            let [all, least] = [weight_bytes(&both), weight_bytes(&prefill).min(weight_bytes(&decode))];
            assert!(all as f64 <= 1.02 * least as f64, "{what}: {all} bytes, {least} in one entry");
            let load = |bundle: &Bundle, entries: &[&str]| {
                device.load_entries(bundle, entries, &LoadOptions::default()).expect("sessions")
            };
            let mut shared = load(&both, &["prefill", "decode"]);
            let made = feed(&mut shared[0], &TOKENS[..8], 0);
            let mut alone = load(&prefill, &["prefill"]).remove(0);
            let tolerance = if precision == Some(Precision::F16) { 1e-2 } else { 1e-5 };
            check_within(tolerance, &what, &made, &feed(&mut alone, &TOKENS[..8], 0));
            let mut alone = load(&decode, &["decode"]).remove(0);
            for (at, token) in TOKENS[..8].iter().enumerate() {
                let made = feed(&mut shared[1], &[*token], at);
                check_within(tolerance, &what, &made, &feed(&mut alone, &[*token], at));
            }
        }
    }
}

/// So they do where a token's entry walks two matrices at once.
#[test]
fn entries_hold_each_weight_once_where_products_are_gated() {
    for (name, sizes) in MODELS {
        let bundle = |stages: &[(&str, usize)]| {
            let entry = |&(entry, new): &(&str, usize)| EntryModel {
                name: entry.to_owned(),
                graph: import(name, sizes, new, None),
            };
            let options = CompileOptions {
                targets: vec![DeviceKind::Vulkan.target()],
                profiles: vec!["nvidia".to_owned()],
                precision: Some(Precision::F16),
                ..CompileOptions::default()
            };
            compile(name, stages.iter().map(entry).collect(), options)
        };
        let stages = [("prefill", 2 * CHUNK), ("decode", 1)];
        let [both, decode] = [&stages[..], &stages[1..]].map(|stages| weight_bytes(&bundle(stages)));
        assert!(both as f64 <= 1.02 * decode as f64, "{name}: {both} bytes, {decode} in one entry");
    }
}

fn weight_bytes(bundle: &Bundle) -> u64 {
    bundle.manifest().weights.iter().map(|blob| blob.size).sum()
}

/// A state cannot be given another size by one entry than by the other, and is named where the model cannot have it.
#[test]
fn what_cannot_be_a_state_is_told() {
    let source = source("tiny_llama_optimum");
    let import = |dims: &[(&str, DimBinding)]| {
        let dims = dims.iter().map(|(name, binding)| ((*name).to_owned(), *binding)).collect();
        let error = drift_onnx::import(&source, &ImportOptions { dims, ..ImportOptions::default() }).err();
        error.map(|error| error.to_string()).unwrap_or_default()
    };
    let past = ("past_sequence_length", DimBinding::Range(0, 16));
    let (one, two) = (DimBinding::Fixed(1), DimBinding::Fixed(2));
    let error = import(&[past, ("sequence_length", one), ("batch_size", two)]);
    assert!(error.contains("a batch above 1 with a past is not supported"), "{error}");
    let error = import(&[
        ("past_sequence_length", DimBinding::Range(0, 1 << 40)),
        ("sequence_length", one),
        ("batch_size", one),
    ]);
    assert!(error.contains("a cache has at most"), "{error}");
    let error = import(&[past, ("batch_size", one)]);
    assert!(error.contains("the number of new tokens of `input_ids` is free"), "{error}");
    let error = import(&[past, ("sequence_length", DimBinding::Fixed(17)), ("batch_size", one)]);
    assert!(error.contains("a cache of 16 rows does not take 17 new ones"), "{error}");
    let options = ImportOptions { logits: Logits::Last, ..ImportOptions::default() };
    let error =
        drift_onnx::import(&source, &options).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains("only of a model whose caches are states"), "{error}");
}

/// Entries share states by name, so states that differ are refused when they are compiled.
#[test]
fn states_that_entries_cannot_share_are_told() {
    let source = source("tiny_llama_optimum");
    let entry = |name: &str, rows: u64| {
        let dims = [
            ("past_sequence_length", DimBinding::Range(0, rows)),
            ("sequence_length", DimBinding::Fixed(1)),
            ("batch_size", DimBinding::Fixed(1)),
        ];
        let dims = dims.map(|(name, binding)| (name.to_owned(), binding)).into();
        let graph = drift_onnx::import(&source, &ImportOptions { dims, ..ImportOptions::default() })
            .expect("a graph");
        EntryModel { name: name.to_owned(), graph: graph.graph }
    };
    let options = CompileOptions {
        targets: vec![DeviceKind::Vulkan.target()],
        profiles: vec!["generic".to_owned()],
        ..CompileOptions::default()
    };
    let identity = ModelIdentity { name: String::new(), hash: "0".repeat(64) };
    let entries = vec![entry("short", 16), entry("long", 32)];
    let error = drift_compiler::compile_entries(entries, identity, &options).err().expect("a refusal");
    let error = error.to_string();
    assert!(
        error.contains("entries `short` and `long` have different states `past_key_values.0.key`"),
        "{error}"
    );
}

/// What a command returns, prints and complains of.
fn driftc(words: &[&str]) -> (u8, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut console = driftc::Console::new(&mut out, &mut err);
    let code = driftc::execute_words(["driftc"].into_iter().chain(words.iter().copied()), &mut console);
    (code, String::from_utf8(out).expect("UTF-8"), String::from_utf8(err).expect("UTF-8"))
}

/// `driftc generate` takes the tokens that the evaluator finds likeliest, with the tokenizer that is carried; `driftc compare` finds a
/// bundle equal to itself and near its quantized form.
#[test]
fn text_is_generated_and_bundles_are_compared() {
    const PROMPT: [i64; 14] = [254, 51, 98, 114, 68, 76, 113, 88, 118, 96, 95, 38, 47, 52];
    let (name, sizes) = MODELS[0];
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("models").join(name);
    let scratch = tempfile::tempdir().expect("a folder");
    let path = |name: &str| scratch.path().join(name).to_string_lossy().into_owned();
    let model = folder.join("model.onnx").to_string_lossy().into_owned();
    let folder = folder.to_string_lossy().into_owned();
    let [plain, quantized, json] = ["plain.drift", "q4.drift", "out.json"].map(path);
    for (bundle, more) in [(&plain, &["--logits", "last"][..]), (&quantized, &["--weights", "q4"])] {
        let words = [&model, "--target", "vulkan", "--dim", "past_sequence_length=0..40", "-o", bundle];
        let entries = ["--entry", "prefill:sequence_length=8", "--entry", "decode:sequence_length=1"];
        let (code, out, err) = driftc(&[&words[..], &entries, more].concat());
        assert_eq!(code, 0, "{out}{err}");
    }
    let words = ["generate", &plain, "--model-dir", &folder, "--prompt", "The memory of a GPU"];
    let (code, out, err) = driftc(&[&words[..], &["--max-tokens", "12", "--json", &json]].concat());
    assert_eq!(code, 0, "{out}{err}");
    let report: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&json).expect("a report")).expect("JSON");
    let turn = &report["turns"][0];
    let tokens: Vec<i64> =
        turn["tokens"].as_array().expect("tokens").iter().filter_map(|id| id.as_i64()).collect();
    assert_eq!(turn["prompt_tokens"].as_u64(), Some(PROMPT.len() as u64));
    // It ends at the tokenizer's end of a text, or at the most tokens.
    let is_stop = turn["stopped_by"] == "token" && tokens.last() == Some(&255);
    assert!(is_stop || turn["stopped_by"] == "limit" && tokens.len() == 12, "{turn}");
    let all = [&PROMPT[..], &tokens].concat();
    let logits = expected_of(name, sizes, &all);
    for (at, &token) in tokens.iter().enumerate() {
        let row = &logits[PROMPT.len() + at - 1];
        let best = row.iter().copied().fold(f32::MIN, f32::max);
        assert!(best - row[token as usize] <= 1e-4 * best.abs(), "token {at}: {token}, {row:?}");
    }
    assert!(out.contains(turn["text"].as_str().expect("a text")), "{out}");

    let ids = path("ids.txt");
    let text: Vec<String> = all.iter().map(ToString::to_string).collect();
    std::fs::write(&ids, text.join(" ")).expect("a file");
    let compare = |other: &str| -> serde_json::Value {
        let (code, out, err) = driftc(&["compare", &plain, other, "--tokens", &ids, "--json", &json]);
        assert_eq!(code, 0, "{out}{err}");
        serde_json::from_slice(&std::fs::read(&json).expect("a report")).expect("JSON")
    };
    let same = compare(&plain);
    assert_eq!(
        (same["kl"]["max"].as_f64(), same["top1_agreement"].as_f64()),
        (Some(0.0), Some(1.0)),
        "{same}"
    );
    let near = compare(&quantized);
    let mean = near["kl"]["mean"].as_f64().expect("a figure");
    assert!(mean > 1e-7 && mean < 0.1, "{near}");
    // The evaluator's perplexity over the same tokens.
    let log_p = |row: &[f32], id: i64| {
        let sum: f64 = row.iter().map(|logit| f64::from(*logit).exp()).sum();
        f64::from(row[id as usize]) - sum.ln()
    };
    let sum: f64 = logits.iter().zip(&all[1..]).map(|(row, &next)| log_p(row, next)).sum();
    let perplexity = (-sum / (all.len() - 1) as f64).exp();
    let found = near["perplexity_a"].as_f64().expect("a figure");
    assert!((found / perplexity - 1.0).abs() < 1e-4, "{found}, expected {perplexity}");
}

/// Stored data of past rows and all rows are replayed against states, as are random ones.
#[test]
fn stored_data_are_verified_against_states() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("models");
    for (name, more) in [
        ("tiny_llama_optimum", &["--logits", "last"][..]),
        ("tiny_llama_genai_fp32_cpu", &["--precision", "f16"]),
        ("tiny_llama_optimum", &["--per-node"]),
    ] {
        let model = folder.join(name).to_string_lossy().into_owned();
        let words = [&model, "--target", "vulkan", "--dim", "past_sequence_length=0..40"];
        let (code, out, err) = driftc(&[&["verify"], &words[..], more].concat());
        assert_eq!(code, 0, "{name}: {out}{err}");
        let compared = out.lines().filter(|line| line.starts_with("PASS")).count();
        assert_eq!(compared, 5, "logits, and keys and values of two layers: {out}");
    }
    // No data beside a model of another name: states and inputs are random.
    let scratch = tempfile::tempdir().expect("a folder");
    let alone = scratch.path().join("alone.onnx");
    std::fs::copy(folder.join("tiny_llama_optimum/model.onnx"), &alone).expect("a copy");
    let alone = alone.to_string_lossy().into_owned();
    let words =
        [&alone, "--target", "vulkan", "--dim", "past_sequence_length=0..9", "--dim", "sequence_length=3"];
    let (code, out, err) = driftc(&[&["verify"], &words[..]].concat());
    assert_eq!((code, out.matches("PASS").count()), (0, 5), "{out}{err}");
    // The data have more rows than the caches.
    let model = folder.join("tiny_llama_optimum").to_string_lossy().into_owned();
    let (code, _, err) =
        driftc(&["verify", &model, "--target", "vulkan", "--dim", "past_sequence_length=0..11"]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("N at least 12"), "{err}");
}

//! The command line as a whole: good input gives results, bad input gives a message and exit code 2, and nothing panics.

use drift_bundle::manifest::{
    BindingKind, BindingSlot, DeviceElement, Dispatch, Entry, HostElement, IoBinding, IoTensor, MemoryReport,
    Provenance, Region, RegionId, RegionKind, Resource, Shader, Target, Variant,
};
use drift_bundle::{ALIGNMENT_BYTES, BundleWriter, stub};
use drift_tests::command_line::{driftc, fine, refused};
use std::fs;
use std::path::{Path, PathBuf};

fn models() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it for tests");
    Path::new(&here).join("models")
}

fn model(name: &str) -> String {
    models().join(name).join("model.onnx").to_string_lossy().into_owned()
}

const MOBILENET: &str = "tiny_mobilenetv2_legacy17";
const BERT: &str = "tiny_bert_dynamo18";

/// A folder that goes away, and paths in it.
struct Scratch(tempfile::TempDir);

impl Scratch {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_string_lossy().into_owned()
    }

    fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.path(name);
        fs::write(&path, bytes).expect("a writable folder");
        path
    }

    fn is_empty(&self) -> bool {
        fs::read_dir(self.0.path()).expect("a readable folder").next().is_none()
    }
}

#[test]
fn help_names_every_command() {
    let help = fine(&["--help"]).out;
    for command in [
        "run",
        "verify",
        "bench",
        "generate",
        "inspect",
        "explain",
        "devices",
        "operators",
        "--target",
        "--dim",
        "Exit codes",
    ] {
        assert!(help.contains(command), "`{command}` is not in\n{help}");
    }
}

#[test]
fn bad_usage_is_refused() {
    refused(&[], &["Usage"]);
    refused(&["model.onnx"], &["--target"]);
    refused(&["model.onnx", "--target", "vulcan"], &["vulcan", "vulkan"]);
    refused(&["model.onnx", "--target", "vulkan", "--dim", "batch"], &["NAME=N"]);
    refused(&["verify", "--target", "vulkan"], &["MODEL.onnx"]);
    refused(&["run", "model.drift", "--input", "x"], &["NAME=FILE"]);
    let twice = ["model.onnx", "--target", "vulkan", "--dim", "n=1", "--dim", "n=2"];
    refused(&twice, &["--dim n is given twice"]);
    for words in [&["verfy", "model.onnx", "--target", "vulkan"][..], &["verfy"], &["verfy ", "model.onnx"]] {
        refused(words, &["neither a file nor a command `verfy"]);
    }
}

#[test]
fn missing_files_are_named() {
    let scratch = Scratch::new();
    let (onnx, drift) = (scratch.path("nowhere.onnx"), scratch.path("nowhere.drift"));
    for words in [
        vec![onnx.as_str(), "--target", "vulkan"],
        vec!["verify", &onnx, "--target", "vulkan"],
        vec!["explain", &onnx, "--target", "vulkan"],
        vec!["bench", &onnx],
    ] {
        refused(&words, &["nowhere.onnx"]);
    }
    for command in ["run", "inspect", "bench"] {
        refused(&[command, &drift], &["nowhere.drift"]);
    }
    refused(&["verify", &scratch.path(""), "--target", "vulkan"], &["model.onnx"]);
    assert!(scratch.is_empty());
}

#[test]
fn a_model_cut_anywhere_is_refused() {
    let scratch = Scratch::new();
    let whole = fs::read(model(MOBILENET)).expect("a carried model");
    for part in 0..16 {
        let cut = scratch.file("cut.onnx", &whole[..whole.len() * part / 16]);
        let out = scratch.path("cut.drift");
        refused(&[&cut, "--target", "vulkan", "-o", &out], &["cut.onnx"]);
        assert!(!Path::new(&out).exists(), "a bundle was written from {part}/16 of a model");
    }
}

#[test]
fn random_bytes_are_no_model_and_no_bundle() {
    let scratch = Scratch::new();
    let mut state = 1_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    })
    .take(5000)
    .collect();
    for start in [0, 1, 7, 100, 1000] {
        let onnx = scratch.file("noise.onnx", &noise[start..]);
        let drift = scratch.file("noise.drift", &noise[start..]);
        refused(&[&onnx, "--target", "vulkan", "-o", &scratch.path("out.drift")], &["noise.onnx"]);
        refused(&["verify", &onnx, "--target", "vulkan"], &["noise.onnx"]);
        refused(&["inspect", &drift], &["not a bundle"]);
        refused(&["run", &drift], &["not a bundle"]);
    }
}

#[test]
fn dims_that_the_model_does_not_have_are_refused() {
    let scratch = Scratch::new();
    let out = scratch.path("out.drift");
    let compile = |dim: &str, message: &[&str]| {
        refused(&[&model(MOBILENET), "--target", "vulkan", "-o", &out, "--dim", dim], message);
    };
    compile("bach=1", &["bach", "batch"]);
    assert!(scratch.is_empty());
}

#[test]
fn unknown_rules_and_profiles_are_refused() {
    let scratch = Scratch::new();
    let out = scratch.path("out.drift");
    refused(
        &[&model(MOBILENET), "--target", "vulkan", "-o", &out, "--disable", "no-such-rule"],
        &["no-such-rule"],
    );
    refused(
        &[&model(MOBILENET), "--target", "vulkan", "-o", &out, "--profile", "no-such-gpu"],
        &["no-such-gpu"],
    );
    assert!(scratch.is_empty());
}

#[test]
fn a_model_is_not_written_over_and_two_files_have_two_places() {
    let scratch = Scratch::new();
    let copy = scratch.path("copy.onnx");
    let bytes = fs::read(model(MOBILENET)).expect("a model");
    fs::write(&copy, &bytes).expect("a copy");
    let dims = ["--dim", "batch=1"];
    refused(
        &[&[copy.as_str(), "--target", "webgpu", "-o", &copy], &dims[..]].concat(),
        &["-o would write over the model"],
    );
    refused(
        &[&[copy.as_str(), "--target", "webgpu", "--json", &copy], &dims[..]].concat(),
        &["--json would write over the model"],
    );
    let both = scratch.path("both");
    refused(
        &[&[copy.as_str(), "--target", "webgpu", "-o", &both, "--json", &both], &dims[..]].concat(),
        &["-o and --json both name"],
    );
    assert_eq!(fs::read(&copy).expect("the copy"), bytes);
    let twice = scratch.path("twice.drift");
    fine(&[&[copy.as_str(), "--target", "webgpu,webgpu", "-o", &twice], &dims[..]].concat());
}

#[test]
fn an_output_folder_that_does_not_exist_is_refused() {
    let scratch = Scratch::new();
    refused(
        &[&model(MOBILENET), "--target", "vulkan", "-o", &scratch.path("no/such/out.drift")],
        &["out.drift"],
    );
}

#[test]
fn a_compiled_model_can_be_inspected_and_run() {
    let scratch = Scratch::new();
    let (bundle, report) = (scratch.path("out.drift"), scratch.path("report.json"));
    let done = fine(&[
        &model(MOBILENET),
        "--target",
        "vulkan",
        "--dim",
        "batch=2",
        "-o",
        &bundle,
        "--json",
        &report,
    ]);
    assert!(done.out.contains("out.drift"), "{done:?}");
    let report: serde_json::Value =
        serde_json::from_slice(&fs::read(&report).expect("--json writes it")).expect("JSON");
    assert!(report["compile_ms"].as_object().is_some_and(|stages| stages.len() > 2), "{report}");
    assert!(report["peak_rss_bytes"].is_u64(), "{report}");

    let inspected: serde_json::Value =
        serde_json::from_str(&fine(&["inspect", &bundle, "--json"]).out).expect("JSON");
    assert_eq!(inspected["entries"][0]["target"], "vulkan");
    assert!(inspected["entries"][0]["variants"][0]["dispatches"].as_u64() > Some(0), "{inspected}");

    let page = scratch.path("page.html");
    fine(&["inspect", &bundle, "--html", &page]);
    assert!(fs::read_to_string(page).expect("--html writes it").contains("<svg"));

    let outputs = scratch.path("outputs");
    let done = fine(&["run", &bundle, "--output-dir", &outputs]);
    assert!(done.out.contains("output: f32 [2, 10]"), "{done:?}");
    assert!(done.err.contains("input `pixel_values` is random"), "{done:?}");
    let stored =
        driftc::npy::read(&fs::read(Path::new(&outputs).join("output.npy")).expect("stored")).expect(".npy");
    assert_eq!(stored.shape(), [2, 10]);
}

#[test]
fn a_bundle_is_replayed_on_each_target_that_it_has() {
    let scratch = Scratch::new();
    let bundle = scratch.path("both.drift");
    fine(&[&model(MOBILENET), "--target", "opencl,vulkan,webgpu", "-o", &bundle]);
    let device = |words: &[&str]| {
        let done = fine(words);
        let line = done.out.lines().find_map(|line| line.strip_prefix("device   "));
        line.unwrap_or_else(|| panic!("{done:?}")).to_owned()
    };
    // The first target of the bundle, unless another is asked for.
    assert_eq!(device(&["run", &bundle]), device(&["run", &bundle, "--target", "opencl"]));
    assert_ne!(device(&["run", &bundle]), device(&["run", &bundle, "--target", "vulkan"]));
    device(&["run", &bundle, "--target", "webgpu", "--untrusted"]);
    refused(&["run", &bundle, "--target", "metal"], &["metal", "vulkan, opencl, webgpu"]);
    // A device of the other target, by its name.
    let other = device(&["run", &bundle, "--target", "vulkan"]);
    assert_eq!(device(&["run", &bundle, "--device", &other]), other);
    // Names of devices have digits, and numbers are no parts of names.
    refused(&["run", &bundle, "--device", "99"], &["no device matches `99`"]);
    let listed = fine(&["devices"]).out;
    for kind in ["vulkan", "opencl", "webgpu"] {
        assert!(listed.contains(&format!("{kind} 0: ")), "{listed}");
    }
}

#[test]
fn profiles_lose_what_a_targets_language_has_no_words_for() {
    let scratch = Scratch::new();
    for (at, name) in [MOBILENET, "tiny_bert_sdpa_dynamo23_static"].into_iter().enumerate() {
        let bundle = scratch.path(&format!("{at}.drift"));
        let words = ["--target", "vulkan,opencl,webgpu,metal", "--profile", "nvidia,generic"];
        fine(&[&[model(name).as_str()], &words[..], &["--precision", "f16", "-o", &bundle]].concat());
    }
}

#[test]
fn names_of_inputs_may_hold_the_sign_that_ends_them() {
    let input: driftc::args::InputArg = "a=b=c=d.npy".parse().expect("a name and a file");
    let split = |known: &[&'static str]| {
        let (name, file) = input.split(known.iter().copied());
        (name.to_owned(), file.to_str().expect("UTF-8").to_owned())
    };
    assert_eq!(split(&["a"]), ("a".to_owned(), "b=c=d.npy".to_owned()));
    assert_eq!(split(&["a", "a=b"]), ("a=b".to_owned(), "c=d.npy".to_owned()));
    assert_eq!(split(&["b"]), ("a".to_owned(), "b=c=d.npy".to_owned()));
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let scratch = Scratch::new();
    let (first, second) = (scratch.path("first.drift"), scratch.path("second.drift"));
    for out in [&first, &second] {
        fine(&[&model(MOBILENET), "--target", "vulkan", "-o", out]);
    }
    assert!(fs::read(first).expect("written") == fs::read(second).expect("written"), "the bundles differ");
}

#[test]
fn wrong_inputs_to_run_are_refused() {
    let scratch = Scratch::new();
    let bundle = scratch.path("out.drift");
    fine(&[&model(MOBILENET), "--target", "vulkan", "-o", &bundle]);
    let store = |name: &str, element, shape: &[u64]| {
        let tensor = driftc::random::tensor("x", element, shape).expect("small");
        scratch.file(name, &driftc::npy::write(&tensor))
    };
    let given = |file: &str| format!("pixel_values={file}");
    let turned = given(&store("turned.npy", HostElement::F32, &[1, 32, 32, 3]));
    let short = given(&store("short.npy", HostElement::F32, &[1, 3, 32, 31]));
    let integers = given(&store("integers.npy", HostElement::I64, &[1, 3, 32, 32]));
    let text = given(&scratch.file("text.npy", b"not an array"));
    let unknown = format!("pixels={}", scratch.path("turned.npy"));
    refused(&["run", &bundle, "--input", &turned], &["pixel_values", "[1, 3, 32, 32]", "[1, 32, 32, 3]"]);
    refused(&["run", &bundle, "--input", &short], &["pixel_values", "[1, 3, 32, 31]"]);
    refused(&["run", &bundle, "--input", &integers], &["f32", "i64"]);
    refused(&["run", &bundle, "--input", &text], &["text.npy", "not a .npy file"]);
    refused(&["run", &bundle, "--input", &unknown], &["pixels", "pixel_values"]);
    refused(&["run", &bundle, "--device", "no such GPU"], &["no such GPU"]);
}

#[test]
fn tensors_without_elements_are_right_on_a_device() {
    let empty = [
        "mul_of_nothing",
        "range_empty",
        "reshape_allowzero",
        "slice_to_nothing",
        "reductions_of_nothing",
        "reductions_of_nothing_i32",
        "reductions_of_nothing_i8",
    ];
    let folders = empty.map(|name| models().join("ops").join(name).to_string_lossy().into_owned());
    let words: Vec<&str> =
        ["verify", "--target", "vulkan"].into_iter().chain(folders.iter().map(String::as_str)).collect();
    assert!(fine(&words).out.ends_with("7 passed, 0 failed, 0 unsupported\n"));
}

#[test]
fn techniques_can_be_left_out_and_compared() {
    let scratch = Scratch::new();
    let report = scratch.path("report.json");
    let words = ["--dim", "batch=1", "--iterations", "2", "--warm-up", "0", "--ablate", "--json", &report];
    let done = fine(&[&["bench", &model(MOBILENET)], &words[..]].concat());
    assert!(done.out.contains("element-wise-fusion"), "{done:?}");
    let report: serde_json::Value =
        serde_json::from_slice(&fs::read(&report).expect("--json writes it")).expect("JSON");
    let lines = report["ablation"].as_array().expect("a list");
    assert_eq!(lines[0]["without"], "nothing");
    let fusion =
        lines.iter().find(|line| line["without"] == "element-wise-fusion").expect("it changes the program");
    assert!(fusion["dispatches"].as_u64() > lines[0]["dispatches"].as_u64(), "{report}");
    assert!(fusion["bytes_written"].as_u64() > lines[0]["bytes_written"].as_u64(), "{report}");
    assert!(lines.iter().all(|line| line["error"].as_f64().is_some_and(|error| error < 1e-5)), "{report}");
    // MobileNetV2 has no such thing.
    assert!(lines.iter().all(|line| line["without"] != "group-normalisation"), "{report}");
}

#[test]
fn several_models_make_one_bundle() {
    let scratch = Scratch::new();
    let (bundle, again) = (scratch.path("both.drift"), scratch.path("again.drift"));
    let (vision, text) = (format!("vision={}", model(MOBILENET)), format!("text={}", model(BERT)));
    let dims = ["--dim", "batch=1", "--dim", "text.batch=2", "--dim", "sequence=5"];
    let compile = |output: &str| {
        let words = [&[&vision, &text, "--target", "vulkan", "-o", output], &dims[..]].concat();
        fine(&words);
    };
    compile(&bundle);
    compile(&again);
    assert!(fs::read(&bundle).unwrap() == fs::read(&again).unwrap(), "the same models give the same bytes");

    let inspected: serde_json::Value =
        serde_json::from_str(&fine(&["inspect", &bundle, "--json"]).out).expect("JSON");
    let entries = inspected["entries"].as_array().expect("a list");
    let names: Vec<&str> = entries.iter().filter_map(|entry| entry["name"].as_str()).collect();
    assert_eq!(names, ["vision", "text"]);
    assert!(entries[0]["inputs"][0].as_str().is_some_and(|text| text.contains("[1, ")), "{inspected}");
    assert!(entries[1]["inputs"][0].as_str().is_some_and(|text| text.contains("[2, 5]")), "{inspected}");
    assert!(fine(&["run", &bundle, "--entry", "text"]).out.contains("last_hidden_state"));
    refused(&["run", &bundle, "--entry", "speech"], &["speech", "vision, text"]);

    // The same model twice: its tensors' names are those of both entries.
    let twice = [&format!("a={}", model(MOBILENET)), &format!("b={}", model(MOBILENET))];
    fine(&[twice[0], twice[1], "--target", "vulkan", "-o", &again]);
    fine(&["run", &again, "--entry", "b"]);
    // Their weights, its shaders and its plan are there once: what is left are the manifest's lines.
    fine(&[&model(MOBILENET), "--target", "vulkan", "-o", &bundle]);
    let size = |path: &str| fs::metadata(path).unwrap().len();
    assert!(size(&again) * 10 < size(&bundle) * 13, "{} of {} bytes", size(&again), size(&bundle));

    refused(&[&vision, &text, "--target", "vulkan"], &["-o OUT.drift"]);
    refused(&[&model(BERT), &text, "--target", "vulkan", "-o", &again], &["needs a name"]);
    refused(&[&vision, &vision, "--target", "vulkan", "-o", &again], &["two models are named `vision`"]);
    let wrong = [&[&vision, &text, "--target", "vulkan", "-o", &again], &["--dim", "depth=2"][..]].concat();
    refused(&wrong, &["no free dimension `depth`"]);
}

#[test]
fn a_bundle_for_another_target_is_refused() {
    let scratch = Scratch::new();
    let bundle = scratch.file("metal.drift", &copying_bundle(Target::Metal));
    refused(&["run", &bundle], &["metal"]);
    refused(&["bench", &bundle], &["metal"]);
    fine(&["inspect", &bundle]);
}

#[test]
fn a_damaged_bundle_is_refused() {
    let scratch = Scratch::new();
    let whole = copying_bundle(Target::Metal);
    for part in 1..16 {
        let cut = scratch.file("cut.drift", &whole[..whole.len() * part / 16]);
        refused(&["inspect", &cut], &["bundle"]);
    }
    for at in (0..whole.len()).step_by(whole.len() / 97) {
        let mut changed = whole.clone();
        changed[at] ^= 0x10;
        let changed = scratch.file("changed.drift", &changed);
        // Padding between sections may hold anything.
        let done = driftc(&["inspect", &changed]);
        assert!(done.code == 0 || done.code == 2, "byte {at}: {done:?}");
    }
}

#[test]
fn bundles_take_no_flags_of_the_compiler() {
    let scratch = Scratch::new();
    let bundle = scratch.file("metal.drift", &copying_bundle(Target::Metal));
    refused(&["bench", &bundle, "--ablate"], &["--ablate"]);
    refused(&["bench", &bundle, "--precision", "f16"], &["compile flag"]);
}

#[test]
fn carried_models_agree_with_onnxruntime() {
    let scratch = Scratch::new();
    let report = scratch.path("report.json");
    let folder = |name: &str| models().join(name).to_string_lossy().into_owned();
    let (mobilenet, bert, unet) = (folder(MOBILENET), folder(BERT), folder("tiny_unet_sd_dynamo18"));
    let done = fine(&["verify", &mobilenet, &bert, &unet, "--target", "vulkan", "--json", &report]);
    assert!(done.out.contains(&format!("PASS {MOBILENET}/output ")), "{done:?}");
    assert!(done.out.contains(&format!("PASS {BERT}/last_hidden_state ")), "{done:?}");
    assert!(done.out.ends_with("3 passed, 0 failed, 0 unsupported\n"), "{done:?}");
    // As devices of other families would run it.
    for family in ["adreno-6xx", "adreno-7xx", "mali-valhall", "amd-rdna"] {
        let done =
            fine(&["verify", &unet, &mobilenet, "--target", "vulkan", "--profile", family, "--any-vendor"]);
        assert!(done.out.ends_with("2 passed, 0 failed, 0 unsupported\n"), "{family}: {done:?}");
    }
    let report: serde_json::Value =
        serde_json::from_slice(&fs::read(&report).expect("--json writes it")).expect("JSON");
    assert_eq!(report["models"][0]["status"], "PASS");
    assert!(report["models"][0]["outputs"][0]["max_abs"].is_f64(), "{report}");
}

#[test]
fn a_model_without_data_is_verified_against_the_evaluator() {
    let scratch = Scratch::new();
    let copy = scratch.file("alone.onnx", &fs::read(model(MOBILENET)).expect("a carried model"));
    let done = fine(&["verify", &copy, "--target", "vulkan"]);
    assert!(done.out.contains("PASS alone.onnx/output "), "{done:?}");
    assert!(done.err.contains("--dim batch=N"), "{done:?}");
}

#[test]
fn wrong_numbers_fail_with_exit_code_1() {
    let scratch = Scratch::new();
    let folder = scratch.path("wrong");
    let data = Path::new(&folder).join("test_data_set_0");
    fs::create_dir_all(&data).expect("a writable folder");
    let carried = models().join(MOBILENET);
    for file in ["model.onnx", "test_data_set_0/input_0.pb", "test_data_set_0/output_0.pb"] {
        fs::copy(carried.join(file), Path::new(&folder).join(file)).expect("a carried file");
    }
    let output = data.join("output_0.pb");
    let mut bytes = fs::read(&output).expect("just copied");
    // The last bytes are the last float's: its exponent changes.
    let last = bytes.len() - 1;
    bytes[last] ^= 0x02;
    fs::write(&output, bytes).expect("a writable file");
    let done = driftc(&["verify", &folder, "--target", "vulkan"]);
    assert_eq!(done.code, 1, "{done:?}");
    assert!(done.out.contains("FAIL wrong/output ") && done.out.contains("0 passed, 1 failed"), "{done:?}");
}

#[test]
fn one_broken_model_does_not_hide_the_others() {
    let scratch = Scratch::new();
    let broken = scratch.file("broken.onnx", b"\x08\x07\xff");
    let done = driftc(&["verify", &broken, &model(MOBILENET), "--target", "vulkan"]);
    assert_eq!(done.code, 2, "{done:?}");
    assert!(done.out.ends_with("1 passed, 0 failed, 0 unsupported, 1 errors\n"), "{done:?}");
}

#[test]
fn every_node_of_a_right_model_is_right() {
    let done = fine(&["verify", &model(MOBILENET), "--target", "vulkan", "--per-node"]);
    assert!(done.out.ends_with("1 passed, 0 failed, 0 unsupported\n"), "{done:?}");
}

#[test]
fn stages_can_be_printed() {
    let scratch = Scratch::new();
    for stage in ["graph", "layout", "program", "memory"] {
        let done = fine(&[&model(MOBILENET), "--target", "vulkan", "--emit", stage]);
        assert!(done.out.lines().count() > 5, "{stage}: {done:?}");
    }
    let shaders = scratch.path("shaders");
    fine(&[&model(MOBILENET), "--target", "vulkan", "--emit", &format!("shaders:{shaders}")]);
    assert!(fs::read_dir(shaders).expect("a folder of shaders").count() > 0);
}

#[test]
fn a_replay_can_be_measured_and_explained() {
    let scratch = Scratch::new();
    let (report, trace) = (scratch.path("report.json"), scratch.path("trace.json"));
    let words = ["bench", &model(MOBILENET), "--iterations", "3", "--json", &report, "--trace", &trace];
    fine(&words);
    let read = |path: &str| -> serde_json::Value {
        serde_json::from_slice(&fs::read(path).expect("written")).expect("JSON")
    };
    let report = read(&report);
    for key in [
        "load_ms",
        "first_run_ms",
        "warm_load_ms",
        "warm_first_run_ms",
        "median_ms",
        "min_ms",
        "p95_ms",
        "peak_device_bytes",
    ] {
        assert!(report[key].is_number(), "{key} in {report}");
    }
    assert!(report["device"].is_string() && report["variant"].is_string(), "{report}");
    assert_eq!(report["pipeline_cache"], "created");
    assert!(read(&trace)["traceEvents"].is_array());

    let explained = fine(&["explain", &model(MOBILENET), "--target", "vulkan"]).out;
    assert!(explained.contains("kernel") && explained.contains("layouts"), "{explained}");
    assert!(explained.lines().last().is_some_and(|line| line.ends_with("in all")), "{explained}");
}

#[test]
fn compiled_pipelines_outlive_the_process_where_asked() {
    let scratch = Scratch::new();
    let (report, folder) = (scratch.path("report.json"), scratch.path("pipelines"));
    for expected in ["created", "used"] {
        let words =
            ["bench", &model(MOBILENET), "--iterations", "1", "--json", &report, "--pipeline-cache", &folder];
        fine(&words);
        let report: serde_json::Value =
            serde_json::from_slice(&fs::read(&report).expect("written")).expect("JSON");
        assert_eq!(report["pipeline_cache"], expected, "{report}");
    }
}

/// A sound bundle that copies sixteen floats.
fn copying_bundle(target: Target) -> Vec<u8> {
    let slot = |binding, writable| BindingSlot {
        group: 0,
        binding,
        kind: BindingKind::StorageBuffer { min_bytes: 64 },
        writable,
    };
    let mut writer = BundleWriter::new(Provenance {
        compiler: "driftc".to_owned(),
        flags: Vec::new(),
        model: "copy".to_owned(),
        model_hash: "00".to_owned(),
        profiles: vec!["generic".to_owned()],
    });
    let shader = Shader {
        name: "copy".to_owned(),
        target,
        entry_point: "main0".to_owned(),
        offset: 0,
        size: 0,
        workgroup_size: [16, 1, 1],
        shared_bytes: 0,
        subgroup_size: None,
        bindings: vec![slot(0, false), slot(1, true)],
    };
    let shader = writer.add_shader(shader.clone(), &stub::code(&shader));
    let dispatch = Dispatch {
        name: "copy".to_owned(),
        shader,
        bindings: vec![
            Resource::bytes(RegionId::Variant(0), 0, 64),
            Resource::bytes(RegionId::Variant(0), 256, 64),
        ],
        workgroups: [1, 1, 1],
        free_workgroups: [None; 3],
        barrier: false,
        origins: vec!["Identity_0".to_owned()],
        bytes_read: 64,
        bytes_written: 64,
        flops: 0,
    };
    let place = |offset| IoBinding { region: 0, offset, element: DeviceElement::F32 };
    let tensor = |name: &str| IoTensor {
        name: name.to_owned(),
        element: HostElement::F32,
        shape: vec![16],
        free: Vec::new(),
    };
    writer.add_entry(Entry {
        name: "main".to_owned(),
        target,
        dims: Vec::new(),
        sizes: Vec::new(),
        inputs: vec![tensor("x")],
        outputs: vec![tensor("y")],
        variants: vec![Variant {
            name: "generic".to_owned(),
            profile: "generic".to_owned(),
            requires: Vec::new(),
            regions: vec![Region { kind: RegionKind::Arena, size: 512, alignment: ALIGNMENT_BYTES }],
            inputs: vec![place(0)],
            outputs: vec![place(256)],
            init: Vec::new(),
            dispatches: vec![dispatch],
            memory: MemoryReport::default(),
        }],
    });
    writer.to_bytes().expect("a sound bundle")
}

//! What every command has in common: hints, completions, manual pages, JSON, and one line for many that are alike.

use crate::build::{FLOAT, Model, Place, scaled, scaled_data, told};
use clap::CommandFactory;
use driftc::Cli;
use serde_json::Value;
use std::fs;
use std::process::Output;

/// A model with data, and a bundle of it.
fn place() -> Place {
    let place = Place::new();
    place.file("m/model.onnx", scaled().bytes());
    scaled_data(&place, "m/test_data_set_0", "pb");
    place.file("model.onnx", scaled().bytes());
    place.fine("model.onnx --target vulkan --self-test");
    place
}

#[test]
fn misspelt_words_get_the_right_hint() {
    let place = place();
    for (line, hint) in [
        ("verfy m --target vulkan", "did you mean `verify`?"),
        ("self-tst model.drift", "did you mean `self-test`?"),
        ("model.onnx --taget vulkan", "'--target'"),
        ("model.onnx --target vulcan", "'vulkan'"),
        ("model.onnx --target vulkan --profile nvida", "did you mean `nvidia`?"),
        ("model.onnx --target vulkan --disable conv-absorb-bias", "did you mean `conv-absorbs-bias`?"),
        ("model.onnx --target vulkan --dim bach=2", "did you mean `batch`?"),
        ("model.onnx --target vulkan --bind scal=2", "did you mean `scale`?"),
        ("model.onnx --target vulkan --emit grph", "did you mean `graph`?"),
        ("model.onnx --target vulkan --outputs scald", "did you mean `scaled`"),
        ("run model.drift --input imag=x.npy", "did you mean `image`?"),
        ("run model.drift --entry mian", "did you mean `main`?"),
        ("inspect model.drift --entry mian", "did you mean `main`?"),
        ("man verfy", "did you mean `verify`?"),
        ("completions zhs", "zsh"),
    ] {
        place.fails(line, 2, &[hint]);
    }
}

#[test]
fn every_shell_gets_completions() {
    let place = Place::new();
    for (shell, part) in [
        ("bash", "complete -F _driftc"),
        ("zsh", "#compdef driftc"),
        ("fish", "complete -c driftc"),
        ("powershell", "Register-ArgumentCompleter"),
        ("elvish", "set edit:completion:arg-completer[driftc]"),
    ] {
        let script = String::from_utf8(place.fine(&format!("completions {shell}")).stdout).unwrap();
        for word in [part, "verify", "weights-layout"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn every_command_has_a_manual_page() {
    let place = Place::new();
    let page = |line: &str| String::from_utf8(place.fine(line).stdout).unwrap();
    assert!(page("man").contains(".TH driftc 1") && page("man").contains("\\-\\-target"));
    for command in Cli::command().get_subcommands() {
        let name = command.get_name();
        let page = page(&format!("man {name}"));
        assert!(
            page.starts_with(".ie")
                && page.contains(&format!("driftc\\-{name}").replace("self-test", "self\\-test")),
            "{page}"
        );
    }
}

fn stdout(done: &Output) -> String {
    String::from_utf8(done.stdout.clone()).unwrap()
}

#[test]
fn every_command_writes_json_the_same_way() {
    let place = place();
    let lines = [
        ("compile", "model.onnx --target vulkan -o other.drift"),
        ("run", "run model.drift"),
        ("verify", "verify m --target vulkan"),
        ("self-test", "self-test model.drift"),
        ("bench", "bench model.drift --iterations 2"),
        ("inspect", "inspect model.drift"),
        ("inspect", "inspect model.onnx"),
        ("explain", "explain model.onnx --target vulkan"),
        ("explain", "explain model.drift"),
        ("reduce", "reduce exp.onnx --target vulkan --rtol 0 --atol 0 -o small/model.onnx"),
        ("devices", "devices"),
        ("operators", "operators"),
    ];
    // Those of language models are tested with one.
    let all = Cli::command();
    let have =
        all.get_subcommands().filter(|command| command.get_arguments().any(|arg| arg.get_id() == "json"));
    for name in have.map(clap::Command::get_name).filter(|name| !["generate", "compare"].contains(name)) {
        assert!(lines.iter().any(|(known, _)| *known == name), "{name}");
    }
    let exp = Model::new().input("x", FLOAT, &["64"]).node("Exp", &["x"], "y").output("y");
    place.file("exp.onnx", exp.bytes());
    for (name, line) in lines {
        // What is reduced goes to a folder without data.
        let clean = || drop(fs::remove_dir_all(place.path("small")));
        let shown: Value = serde_json::from_str(&stdout(&place.fine(&format!("{line} --json -"))))
            .unwrap_or_else(|error| panic!("{line}: {error}"));
        clean();
        place.fine(&format!("{line} --json report.json"));
        clean();
        let stored: Value = serde_json::from_slice(&fs::read(place.path("report.json")).unwrap()).unwrap();
        for document in [shown, stored] {
            assert_eq!(document["schema_version"], 1, "{line}");
            assert_eq!(document["command"], name, "{line}");
        }
        // A failure is told there as well.
        let done = place.run(&format!("{line} --json nowhere/report.json"));
        assert_eq!(done.status.code(), Some(2), "{line}: {}", told(&done));
    }
    let failed = stdout(&place.run("run nowhere.drift --json -"));
    let document: Value = serde_json::from_str(&failed).unwrap();
    assert!(document["error"][0].as_str().unwrap().contains("nowhere.drift"), "{document}");
    assert_eq!((&document["command"], &document["schema_version"]), (&"run".into(), &1.into()));
}

#[test]
fn json_without_a_file_goes_to_standard_output() {
    let place = place();
    for line in ["inspect model.drift --json", "inspect --json model.drift"] {
        let document: Value = serde_json::from_str(&stdout(&place.fine(line))).unwrap();
        assert_eq!(document["kind"], "bundle", "{line}");
    }
    assert!(driftc_bundle_is_whole(&place));
}

fn driftc_bundle_is_whole(place: &Place) -> bool {
    fs::read(place.path("model.drift")).unwrap().starts_with(&drift_bundle::MAGIC)
}

#[test]
fn no_file_is_written_over_what_is_read() {
    let place = place();
    for line in [
        "run model.drift --json model.drift",
        "bench model.drift --trace model.drift",
        "bench model.drift --iterations 1 --trace t.json --json t.json",
        "inspect model.drift --html ./model.drift",
        "explain model.drift --json model.drift",
        "verify model.drift --json model.drift",
    ] {
        place.fails(line, 2, &["name"]);
    }
    assert!(driftc_bundle_is_whole(&place) && !place.path("t.json").exists());
}

#[test]
fn models_and_bundles_are_taken_alike() {
    let place = place();
    for line in [
        "run model.onnx --target vulkan",
        "run model.onnx --dim batch=2",
        "inspect model.onnx",
        "explain model.drift",
        "explain model.drift --target vulkan",
        "bench model.onnx --iterations 1",
        "verify model.drift",
    ] {
        place.fine(line);
    }
    let done = told(&place.fine("verify model.drift"));
    assert!(done.contains("PASS model.drift self-test: "), "{done}");
    place.fails("run model.onnx --entry main", 2, &["--entry needs a bundle"]);
    place.fails("explain model.onnx", 2, &["--target"]);
    place.fails("explain model.drift --target metal", 2, &["nothing for these targets"]);
    place.fails("explain model.drift --precision f16", 2, &["compiled already"]);
    place.fails("inspect model.onnx --html x.html", 2, &["--html needs a bundle"]);
    place.fine("model.onnx --target vulkan -o plain.drift");
    place.fails("verify plain.drift", 2, &["--data DIR", "--self-test"]);
}

/// Five nodes of one unknown operator and one of another.
fn odd() -> Model {
    let chain = (0..5).fold(Model::new().input("v0", FLOAT, &["4"]), |model, at| {
        model.node("NoSuchOp", &["v0"], &format!("v{}", at + 1))
    });
    chain.node("OtherOp", &["v0"], "y").output("y")
}

#[test]
fn many_alike_are_one_line() {
    let place = Place::new();
    place.file("odd.onnx", odd().bytes());
    let done = told(&place.run("odd.onnx --target vulkan"));
    assert!(done.contains("NoSuchOp: 5 nodes (first: `v1`)") && !done.contains("`v3`"), "{done}");
    let done = told(&place.run("odd.onnx --target vulkan --all"));
    assert!(done.contains("`v3` (NoSuchOp)"), "{done}");
    let looked = told(&place.fine("inspect odd.onnx"));
    for words in ["     5  NoSuchOp", "refused   6 nodes", "NoSuchOp, 5 nodes (first: `v1`)"] {
        assert!(looked.contains(words), "{words}: {looked}");
    }
    let document: Value = serde_json::from_str(&stdout(&place.fine("inspect odd.onnx --json"))).unwrap();
    assert_eq!(document["unsupported"].as_array().unwrap().len(), 6);
    assert_eq!((&document["is_supported"], &document["kind"]), (&false.into(), &"model".into()));
    // The rules that did the same at many nodes.
    let chain = (0..6).fold(Model::new().input("v0", FLOAT, &["4"]), |model, at| {
        let op = if at % 2 == 0 { "Relu" } else { "Exp" };
        model.node(op, &[&format!("v{at}")], &format!("v{}", at + 1))
    });
    place.file("chain.onnx", chain.output("v6").bytes());
    let few = stdout(&place.fine("explain chain.onnx --target vulkan"));
    let all = stdout(&place.fine("explain chain.onnx --target vulkan --all"));
    let rules = |text: &str| text.lines().skip(1).take_while(|line| !line.is_empty()).count();
    assert!(rules(&few) < rules(&all) && few.contains(" nodes (first: "), "{few}\n{all}");
}

#[test]
fn the_graph_is_drawn() {
    let place = place();
    let picture = stdout(&place.fine("model.onnx --target vulkan --emit dot"));
    assert!(picture.starts_with("digraph {") && picture.trim_end().ends_with('}'), "{picture}");
    for part in ["image f32[1,3,4,4]", "y f32[1,3,4,4]", "Mul", " -> "] {
        assert!(picture.to_lowercase().contains(&part.to_lowercase()), "{part}: {picture}");
    }
    assert!(!place.path("dot.drift").exists());
}

#[test]
fn the_page_of_an_explanation_is_whole() {
    let place = place();
    let odd = "x<script>alert(1)</script>&\"";
    let odd2 = "y<script>alert(2)</script>";
    let model = Model::new()
        .input(odd, FLOAT, &["2", "4"])
        .node("Exp", &[odd], "y")
        .node("Relu", &["y"], odd2)
        .output("y")
        .output(odd2);
    place.file("odd.onnx", model.bytes());
    place.fine("odd.onnx --target vulkan,webgpu");
    place.fine("bench odd.onnx --target vulkan --iterations 2 --per-dispatch --json times.json");
    place.fine("explain odd.onnx --target vulkan,webgpu --html page.html --times times.json");
    let page = fs::read_to_string(place.path("page.html")).unwrap();
    assert!(page.contains("y&lt;script&gt;") && !page.contains("<script>alert"), "{page}");
    for part in [
        "OpFunction",
        "@compute",
        "data-shader=\"0\"",
        "id=\"shader-0\"",
        "prefers-color-scheme",
        "class=bar",
    ] {
        assert!(page.contains(part), "{part}");
    }
    // Nothing comes from elsewhere.
    for part in ["http:", "https:", "src=", "@import", "url("] {
        assert!(!page.contains(part), "{part}");
    }
    place.fine("explain odd.drift --html bundle.html");
    let page = fs::read_to_string(place.path("bundle.html")).unwrap();
    assert!(
        page.contains("OpFunction") && page.contains("workgroups") && !page.contains("class=bar"),
        "{page}"
    );
    place.fails(
        "explain model.onnx --target vulkan --html p.html --times times.json",
        2,
        &["other dispatches"],
    );
    place.fails("explain model.onnx --target vulkan --times times.json", 2, &["--html"]);
    place.fine("bench model.onnx --target vulkan --iterations 1 --json none.json");
    place.fails("explain odd.onnx --target vulkan --html p.html --times none.json", 2, &["--per-dispatch"]);
}

#[test]
fn a_trace_has_what_the_host_does_and_when_dispatches_run() {
    let place = place();
    let done = told(&place.fine("bench model.drift --iterations 2 --trace trace.json --json bench.json"));
    assert!(done.contains("p90 ") && done.contains("p99 "), "{done}");
    let read =
        |name: &str| -> Value { serde_json::from_slice(&fs::read(place.path(name)).unwrap()).unwrap() };
    let (trace, bench) = (read("trace.json"), read("bench.json"));
    let events = trace["traceEvents"].as_array().unwrap();
    let spans = |cat: &str| -> Vec<&Value> { events.iter().filter(|event| event["cat"] == cat).collect() };
    let names: Vec<&str> = spans("host").iter().filter_map(|event| event["name"].as_str()).collect();
    let stages = ["load", "allocate", "upload", "pipelines", "record", "init"];
    assert_eq!(names[..6], stages);
    assert_eq!(names[6..], ["write", "first run", "submit", "wait", "read"]);
    let end = |event: &Value| event["ts"].as_f64().unwrap() + event["dur"].as_f64().unwrap();
    let dispatches = spans("dispatch");
    for pair in dispatches.windows(2) {
        assert!(pair[1]["ts"].as_f64().unwrap() >= end(pair[0]) - 1.0, "{pair:?}");
    }
    for key in ["median_ms", "p90_ms", "p95_ms", "p99_ms"] {
        assert!(bench[key].is_number(), "{key}: {bench}");
    }
    assert_eq!(bench["target"], "vulkan");
    assert_eq!(bench["gpu_median_ms"].is_null(), dispatches.is_empty());
}

//! `cargo xtask demo`: the carried models from ONNX to numbers on a Vulkan device, one visible command after another.

use crate::prerequisites::{self, C_COMPILER, SPIRV_VAL, VULKAN_DRIVER, VULKAN_LOADER};
use crate::{Failure, shell};
use serde_json::Value;
use std::path::Path;

/// A model under `tests/models`, and what its free dims are compiled for.
struct Model {
    /// Folder, in the ONNX backend-test layout: its expected outputs are onnxruntime's.
    name: &'static str,
    /// Flags that bind its free dims to the sizes of its first data set.
    dims: &'static [&'static str],
    /// Inputs, in the order of the data set's files.
    inputs: &'static [&'static str],
}

const MODELS: &[Model] = &[
    Model { name: "tiny_mobilenetv2_legacy17", dims: &["--dim", "batch=1"], inputs: &["pixel_values"] },
    Model {
        name: "tiny_bert_dynamo18",
        dims: &["--dim", "batch=1", "--dim", "sequence=16"],
        inputs: &["input_ids", "attention_mask", "token_type_ids"],
    },
];

/// Verifies each model, then takes the first through compile, inspect and run.
pub(crate) fn demo() -> Result<(), Failure> {
    step("What this machine has");
    prerequisites::ensure(&[&C_COMPILER, &VULKAN_LOADER, &VULKAN_DRIVER, &SPIRV_VAL])?;

    step("Building driftc (a first build takes a few minutes)");
    // Without SPIRV-Tools, whose C++ takes several times as long as all the rest; what ships is validated below.
    let build = ["build", "--locked", "--package", "driftc", "--no-default-features"];
    shell::run("cargo", &build)?;

    step("What can replay here");
    driftc(&["devices"])?;

    step("Every model against the outputs that onnxruntime computed for it");
    let out = shell::root().join("target/demo");
    std::fs::create_dir_all(&out)
        .map_err(|error| Failure::Usage(format!("cannot create {}: {error}", out.display())))?;
    let folders: Vec<String> = MODELS.iter().map(|model| format!("tests/models/{}", model.name)).collect();
    let mut verify = vec!["verify"];
    verify.extend(folders.iter().map(String::as_str));
    verify.extend(["--target", "vulkan", "--json", "target/demo/verify.json"]);
    driftc(&verify)?;
    all_passed(&out.join("verify.json"))?;

    for model in MODELS {
        ship(model)?;
    }

    generate()?;

    step("Done");
    println!("The numbers above agree with onnxruntime's. The bundles and outputs are in target/demo.");
    Ok(())
}

/// A model that is not supported fails no check of `driftc verify`, but here all must pass.
fn all_passed(report: &Path) -> Result<(), Failure> {
    let unreadable = |error: &dyn std::fmt::Display| Failure::Check(format!("{}: {error}", report.display()));
    let text = std::fs::read_to_string(report).map_err(|error| unreadable(&error))?;
    let report: Value = serde_json::from_str(&text).map_err(|error| unreadable(&error))?;
    match report["passed"].as_u64() {
        Some(passed) if passed == MODELS.len() as u64 => Ok(()),
        _ => Err(Failure::Check(format!("not all {} models passed", MODELS.len()))),
    }
}

/// Compiles one model into a bundle, shows what is inside, and replays it on the carried inputs.
fn ship(model: &Model) -> Result<(), Failure> {
    let source = format!("tests/models/{}/model.onnx", model.name);
    let bundle = format!("target/demo/{}.drift", model.name);

    step(&format!("{}: compile", model.name));
    let mut compile = vec![source.as_str(), "--target", "vulkan", "-o", &bundle];
    compile.extend(model.dims);
    driftc(&compile)?;

    step(&format!("{}: inspect, and what SPIRV-Tools says of its shaders", model.name));
    let shaders = format!("target/demo/{}.shaders", model.name);
    let _ = std::fs::remove_dir_all(shell::root().join(&shaders));
    driftc(&["inspect", &bundle, "--shaders", &shaders])?;
    validate(&shaders)?;

    step(&format!("{}: run", model.name));
    let inputs: Vec<String> = (0..)
        .zip(model.inputs)
        .map(|(index, input): (u32, _)| {
            format!("{input}=tests/models/{}/test_data_set_0/input_{index}.pb", model.name)
        })
        .collect();
    let outputs = format!("target/demo/{}", model.name);
    let mut run = vec!["run", bundle.as_str()];
    for input in &inputs {
        run.extend(["--input", input]);
    }
    run.extend(["--output-dir", &outputs]);
    driftc(&run)
}

/// Compiles a language model whose caches are states, and generates text with the tokenizer beside it. The weights are random, and
/// so is what it says: that the same tokens come of the reference evaluator is a test's business.
fn generate() -> Result<(), Failure> {
    const NAME: &str = "tiny_llama_genai_fp32_cpu";
    let (folder, bundle) = (format!("tests/models/{NAME}"), format!("target/demo/{NAME}.drift"));
    step(&format!("{NAME}: compile for prompts and for single tokens"));
    let model = format!("{folder}/model.onnx");
    let dims = ["--dim", "past_sequence_length=0..128", "--logits", "last"];
    let entries =
        ["--entry", "prefill:sequence_length=16", "--entry", "decode:sequence_length=1", "--greedy"];
    driftc(&[&[model.as_str(), "--target", "vulkan", "-o", &bundle], &dims[..], &entries].concat())?;

    step(&format!("{NAME}: generate (its weights are random, and so is what it says)"));
    driftc(&[
        "generate",
        &bundle,
        "--model-dir",
        &folder,
        "--prompt",
        "The memory of a GPU",
        "--max-tokens",
        "24",
    ])
}

/// Runs `spirv-val` over each file of a folder.
fn validate(folder: &str) -> Result<(), Failure> {
    let unreadable = |error: std::io::Error| Failure::Check(format!("{folder}: {error}"));
    let files = std::fs::read_dir(shell::root().join(folder)).map_err(unreadable)?;
    let args = ["--target-env", "vulkan1.2"];
    shell::announce("spirv-val", &[args[0], args[1], &format!("{folder}/*.spv")]);
    let mut valid = 0;
    for file in files {
        let file = file.map_err(unreadable)?.path().display().to_string();
        let status = shell::command("spirv-val", &[args[0], args[1], &file]).status();
        let status = status.map_err(|error| shell::cannot_start("spirv-val", &error))?;
        if !status.success() {
            return Err(Failure::Check(format!("spirv-val refuses {file}")));
        }
        valid += 1;
    }
    if valid == 0 {
        return Err(Failure::Check(format!("{folder} holds no shader")));
    }
    println!("{valid} shaders are valid");
    Ok(())
}

fn step(title: &str) {
    println!("\n== {title}");
}

/// Runs what the build step built. `cargo run --package driftc` would build its libraries again, with other features.
fn driftc(args: &[&str]) -> Result<(), Failure> {
    let built =
        shell::target_directory().join("debug").join(format!("driftc{}", std::env::consts::EXE_SUFFIX));
    shell::run(&built.display().to_string(), args)
}

//! `--help` promises nothing that is refused.

use crate::build::{FLOAT, Model, Place, floats, scaled, scaled_data, told};
use clap::ValueEnum;
use driftc::args::{LayoutArg, PrecisionArg, TargetArg, WeightsArg, WeightsLayoutArg};
use std::fs;

const COMMANDS: &[&str] =
    &["", "run ", "verify ", "bench ", "inspect ", "explain ", "devices ", "operators ", "man "];

/// A folder in which the files are that examples name, fresh for each.
fn place() -> Place {
    let place = Place::new();
    for name in ["model.onnx", "text.onnx", "unet.onnx", "MODEL.onnx", "TEXT.onnx", "UNET.onnx"] {
        place.file(name, scaled().bytes());
    }
    for folder in ["model", "FOLDER"] {
        place.file(&format!("{folder}/model.onnx"), scaled().bytes());
        scaled_data(&place, &format!("{folder}/test_data_set_0"), "pb");
    }
    place.array("cat.npy", &floats(&[1, 3, 4, 4], vec![1.0; 48]));
    place.fine("model.onnx --target vulkan --self-test");
    place
}

#[test]
fn every_example_works() {
    let help = Place::new();
    let mut examples = Vec::new();
    for command in COMMANDS {
        let text = told(&help.fine(&format!("{command}--help")));
        examples.extend(text.lines().filter_map(|line| line.strip_prefix("  driftc ").map(str::to_owned)));
    }
    assert!(examples.len() >= 12, "{examples:?}");
    examples.iter().for_each(|line| drop(place().fine(line)));
}

#[test]
fn every_line_of_the_readme_works() {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md")).unwrap();
    let lines = readme.lines().filter_map(|line| line.strip_prefix("    driftc "));
    // What follows two spaces says what the command is for.
    let lines: Vec<&str> = lines.map(|line| line.split("  ").next().unwrap_or(line)).collect();
    assert!(lines.len() >= 10, "{lines:?}");
    lines.iter().for_each(|line| drop(place().fine(line)));
}

#[test]
fn every_exit_code_is_named() {
    let text = told(&Place::new().fine("--help"));
    for code in ["0 fine", "1 a check failed", "2 bad usage or bad input", "70 an internal error"] {
        assert!(text.contains(code), "{code}");
    }
}

/// The values that help shows.
fn shown<V: ValueEnum>() -> Vec<String> {
    let values = V::value_variants().iter().filter_map(ValueEnum::to_possible_value);
    values.filter(|value| !value.is_hide_set()).map(|value| value.get_name().to_owned()).collect()
}

#[test]
fn every_value_that_is_shown_is_taken() {
    let place = Place::new();
    let model = Model::new()
        .input("a", FLOAT, &["1", "8", "6", "6"])
        .node("Relu", &["a"], "b")
        .node("GlobalAveragePool", &["b"], "y")
        .output("y");
    place.file("model.onnx", model.bytes());
    let mut flags = Vec::new();
    flags.extend(shown::<TargetArg>().iter().map(|value| format!("--target {value}")));
    let on_vulkan = |flag: String| format!("--target vulkan {flag}");
    flags.extend(shown::<PrecisionArg>().iter().map(|value| on_vulkan(format!("--precision {value}"))));
    flags.extend(shown::<LayoutArg>().iter().map(|value| on_vulkan(format!("--layout {value}"))));
    flags.extend(
        shown::<WeightsLayoutArg>().iter().map(|value| on_vulkan(format!("--weights-layout {value}"))),
    );
    // Floats are stored in the type of activations.
    flags.extend(shown::<WeightsArg>().iter().map(|value| {
        let is_float = value.starts_with('f');
        let precision = if is_float { format!(" --precision {value}") } else { String::new() };
        on_vulkan(format!("--weights {value}{precision}"))
    }));
    for stage in ["graph", "layout", "program", "memory", "shaders:shaders"] {
        flags.push(on_vulkan(format!("--emit {stage}")));
    }
    assert!(flags.len() >= 20, "{flags:?}");
    for flags in flags {
        place.fine(&format!("model.onnx {flags} -o out.drift"));
    }
}

//! Files of others: what is no file, names that act on a terminal, and a system that gives no threads.

use crate::build::{FLOAT, Model, Place, scaled, scaled_data, told, words};
use std::process::Stdio;
use std::time::{Duration, Instant};

#[test]
fn pipes_and_devices_are_no_models_or_bundles() {
    let place = Place::new();
    place.pipe("pipe");
    place.pipe("pipe.npy");
    place.file("model.onnx", scaled().bytes());
    place.fine("model.onnx --target vulkan");
    std::fs::create_dir(place.path("folder")).unwrap();
    for line in [
        "pipe --target vulkan",
        "run pipe",
        "verify pipe --target vulkan",
        "bench pipe",
        "inspect pipe",
        "explain pipe --target vulkan",
        "run model.drift --input image=pipe.npy",
        "model.onnx --target vulkan --bind scale=pipe.npy",
        "/dev/zero --target vulkan",
        "run /dev/zero",
        "folder --target vulkan",
        "inspect folder",
    ] {
        let mut child =
            place.driftc(words(line)).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let started = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if started.elapsed() > Duration::from_secs(60) {
                child.kill().unwrap();
                panic!("driftc {line} hangs");
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        assert_eq!(status.code(), Some(2), "driftc {line}");
    }
}

#[test]
fn names_reach_no_terminal_raw() {
    let place = Place::new();
    let hostile = "x\u{1b}]0;t\u{7}\u{9b}2J\u{202e}\u{200b}\nPASS forged";
    let of = |op: &str| {
        Model::new()
            .input(hostile, FLOAT, &["2", "4"])
            .node(op, &[hostile], "y\u{1b}[2K")
            .output("y\u{1b}[2K")
    };
    place.file("model.onnx", of("Relu").bytes());
    place.file("odd.onnx", of("NoSuch\u{1b}[1mOp").bytes());
    place.fine("model.onnx --target vulkan");
    for line in [
        "run model.drift",
        "run model.drift --input z=z.npy",
        "verify model.onnx --target vulkan --per-node",
        "verify odd.onnx --target vulkan",
        "odd.onnx --target vulkan",
        "inspect model.drift",
        "inspect model.drift --json",
        "explain model.onnx --target vulkan",
        "bench model.drift --iterations 1 --per-dispatch",
        "model.onnx --target vulkan --emit graph",
        "model.onnx --target vulkan --emit program",
        "model.onnx --target vulkan --emit memory",
        "model.onnx --target vulkan --emit layout",
    ] {
        let text = told(&place.run(line));
        let acts = |c: char| c.is_control() && c != '\n' || matches!(c, '\u{202e}' | '\u{200b}');
        assert!(!text.contains(acts), "driftc {line}: {text:?}");
        assert!(!text.lines().any(|told| told.starts_with("PASS forged")), "driftc {line}: {text}");
    }
    place.fine("inspect model.drift --html page.html");
    let page = std::fs::read_to_string(place.path("page.html")).unwrap();
    assert!(!page.contains(['\u{1b}', '\u{7}', '\u{202e}', '\u{200b}']));
}

#[test]
fn without_threads_the_work_is_done_all_the_same() {
    let place = Place::new();
    place.file("model/model.onnx", scaled().bytes());
    scaled_data(&place, "model/test_data_set_0", "pb");
    for line in [
        "model/model.onnx --target vulkan,metal,webgpu,opencl",
        "run model.drift",
        "verify model --target vulkan",
        "verify model.drift --data model",
        "bench model.drift --iterations 1",
        "explain model/model.onnx --target vulkan",
    ] {
        // No thread of the standard library can have so large a stack.
        let done =
            place.driftc(words(line)).env("RUST_MIN_STACK", (1_u64 << 60).to_string()).output().unwrap();
        assert!(done.status.success(), "driftc {line}: {}", told(&done));
    }
}

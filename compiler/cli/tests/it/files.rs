//! Where results go, and that interrupted runs leave nothing behind.

use crate::build::{Place, is_file, scaled, told, words};
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const COMPILE: &str = "model.onnx --target vulkan -o out/model.drift";

/// A place with a model and a folder for results.
fn place() -> Place {
    let place = Place::new();
    place.file("model.onnx", scaled().bytes());
    fs::create_dir(place.path("out")).unwrap();
    place
}

/// A model that takes its time.
const LARGE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/models/tiny_mobilenetv2_legacy17/model.onnx");

/// Begins to compile a model, and waits until a partial file is there.
fn begun(place: &Place, model: &str) -> Child {
    let line = format!("{model} --target vulkan,metal,webgpu,opencl -o out/model.drift");
    let mut child = place.driftc(words(&line)).stderr(Stdio::piped()).spawn().unwrap();
    let started = Instant::now();
    while place.names("out").is_empty() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it wrote anything");
        assert!(started.elapsed() < Duration::from_secs(120), "nothing is written");
        std::thread::sleep(Duration::from_millis(1));
    }
    child
}

/// As [`begun`], and then a signal is sent.
fn interrupted(place: &Place, signal: &str) -> Child {
    let child = begun(place, LARGE);
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    child
}

/// Whether whoever runs these tests ignores a signal, as shells do for jobs in the background; children do it too then.
fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap_or("0");
    u64::from_str_radix(mask.trim(), 16).unwrap() >> (signal - 1) & 1 == 1
}

#[test]
fn a_signal_ends_a_run_and_leaves_nothing() {
    for (signal, number) in [("-INT", 2), ("-TERM", 15), ("-HUP", 1)] {
        if is_ignored(number) {
            continue;
        }
        let place = place();
        let status = interrupted(&place, signal).wait().unwrap();
        assert_eq!(status.signal(), Some(number), "{signal}: {status}");
        assert_eq!(place.names("out"), [""; 0], "{signal}");
    }
}

#[test]
fn no_bundle_is_made_of_a_model_that_changes_meanwhile() {
    let (bytes, half) = (fs::read(LARGE).unwrap(), fs::metadata(LARGE).unwrap().len() / 2);
    let change = |path: &Path, keep_time: bool| {
        let mut file = File::options().write(true).open(path).unwrap();
        let time = file.metadata().unwrap().modified().unwrap();
        // In the middle of the weights, so that everything still reads well.
        file.seek(SeekFrom::Start(half)).unwrap();
        file.write_all(&[!bytes[half as usize]]).unwrap();
        file.set_modified(if keep_time { time } else { time + Duration::from_secs(1) }).unwrap();
    };
    for keep_time in [false, true] {
        let place = place();
        let path = place.file("large.onnx", &bytes);
        let child = begun(&place, "large.onnx");
        change(&path, keep_time);
        let done = child.wait_with_output().unwrap();
        assert_eq!(done.status.code(), Some(2), "{}", told(&done));
        assert!(told(&done).contains("large.onnx` changed while it was read"), "{}", told(&done));
        assert_eq!(place.names("out"), [""; 0]);
    }
}

#[test]
fn what_a_killed_run_left_goes_with_the_next() {
    let place = place();
    assert_eq!(interrupted(&place, "-KILL").wait().unwrap().signal(), Some(9));
    assert_eq!(place.names("out").len(), 1);
    place.fine(COMPILE);
    assert_eq!(place.names("out"), ["model.drift"]);
}

#[test]
fn what_the_caller_ignores_stays_ignored() {
    let place = place();
    let script = format!("trap '' HUP; exec {} {COMPILE}", env!("CARGO_BIN_EXE_driftc"));
    let mut child = Command::new("sh").args(["-c", &script]).current_dir(place.path("")).spawn().unwrap();
    while place.names("out").is_empty() {
        std::thread::sleep(Duration::from_millis(1));
    }
    Command::new("kill").args(["-HUP", &child.id().to_string()]).status().unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(place.names("out"), ["model.drift"]);
}

#[test]
fn a_bundle_goes_wherever_a_path_leads() {
    let place = place();
    place.fine(COMPILE);
    let bundle = fs::read(place.path("out/model.drift")).unwrap();

    // Standard output holds the bundle alone.
    let done = place.fine("model.onnx --target vulkan -o /dev/stdout");
    assert!(done.stdout == bundle && told(&done).contains("compiled in"));
    // A file that it was redirected to goes on where it was.
    place.file("log", b"before ");
    let log = File::options().append(true).open(place.path("log")).unwrap();
    let line = "model.onnx --target vulkan -o /dev/fd/1";
    assert!(place.driftc(words(line)).stdout(log).status().unwrap().success());
    assert!(fs::read(place.path("log")).unwrap() == [b"before ".as_slice(), &bundle].concat());

    place.fine("model.onnx --target vulkan -o /dev/null");
    assert!(!is_file(Path::new("/dev/null")));

    std::os::unix::fs::symlink("out/model.drift", place.path("link.drift")).unwrap();
    fs::set_permissions(place.path("out/model.drift"), fs::Permissions::from_mode(0o640)).unwrap();
    place.fine("model.onnx --target vulkan -o link.drift");
    assert!(!is_file(&place.path("link.drift")) && is_file(&place.path("out/model.drift")));
    let mode = fs::metadata(place.path("out/model.drift")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);

    let pipe = place.pipe("pipe");
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| fs::read(&pipe).unwrap());
        place.fine("model.onnx --target vulkan -o pipe");
        assert!(reader.join().unwrap() == bundle);
    });
    assert!(!is_file(&pipe));
}

#[test]
fn a_report_on_standard_output_stands_alone() {
    let place = place();
    for line in [
        "model.onnx --target vulkan -o out/model.drift --json /dev/stdout",
        "verify model.onnx --target vulkan --json /dev/stdout",
        "bench out/model.drift --iterations 1 --warm-up 0 --json /dev/stdout",
        "bench out/model.drift --iterations 1 --warm-up 0 --trace /dev/stdout",
        "inspect out/model.drift --json",
    ] {
        let done = place.fine(line);
        let json: Result<serde_json::Value, _> = serde_json::from_slice(&done.stdout);
        assert!(json.is_ok(), "{line}: {}", told(&done));
    }
}

#[test]
fn a_folder_that_is_not_there_is_told_before_the_work() {
    let place = place();
    place.fails("model.onnx --target vulkan -o no/model.drift", 2, &["cannot write no/model.drift"]);
    place.fails("model.onnx --target vulkan -o out", 2, &["cannot write out"]);
    assert_eq!(place.names(""), ["model.onnx", "out"]);
}

#[test]
fn outputs_of_different_names_are_different_files() {
    use crate::build::{FLOAT, Model};
    let place = Place::new();
    let mut model = Model::new().input("x", FLOAT, &["4"]);
    let names = ["a/b", "a_b", "a:b", "A_b", "../a", ".a", "a b"];
    for (name, op) in names.iter().zip(["Relu", "Neg", "Abs", "Sign", "Exp", "Floor", "Ceil"]) {
        model = model.node(op, &["x"], name).output(name);
    }
    place.file("model.onnx", model.bytes());
    place.fine("model.onnx --target vulkan");
    place.fine("run model.drift --output-dir out");
    assert_eq!(place.names("out").len(), names.len(), "{:?}", place.names("out"));
    assert_eq!(place.names(""), ["model.drift", "model.onnx", "out"]);
}

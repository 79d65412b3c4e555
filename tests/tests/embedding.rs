//! The C interface as an app uses it: programs in C and C++ are compiled, linked with the shared and the static library, and replay
//! a bundle to the numbers that the Rust interface gives.

use drift_runtime::{Bundle, Device, DeviceKind, OpenOptions, Session};
use driftc::Console;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it for tests");
    Path::new(&here).parent().expect("the workspace").to_owned()
}

/// Where cargo puts the libraries: beside the tests.
fn libraries() -> PathBuf {
    let test = std::env::current_exe().expect("this test");
    test.parent().expect("a folder").to_owned()
}

/// Runs a command and fails with its words where it fails.
#[track_caller]
fn done(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{words}", output.status);
    output
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// How a program is linked with the library.
#[derive(Clone, Copy, PartialEq)]
enum Linked {
    Shared,
    Static,
}

/// Compiles an example with all warnings as errors.
fn compile(folder: &Path, example: &str, linked: Linked) -> PathBuf {
    let (source, program) =
        (root().join("runtime/c/examples").join(example), folder.join(example.replace('.', "_")));
    let (compiler, standard) =
        if example.ends_with(".c") { ("cc", "-std=c99") } else { ("c++", "-std=c++17") };
    let mut command = Command::new(compiler);
    command
        .args([standard, "-Wall", "-Wextra", "-Werror", "-pedantic", "-I"])
        .arg(root().join("runtime/c/include"));
    command.arg(source).arg("-o").arg(&program);
    match linked {
        Linked::Shared => {
            let mut path = std::ffi::OsString::from("-Wl,-rpath,");
            path.push(libraries());
            command.arg("-L").arg(libraries()).arg("-ldrift").arg(path);
        }
        Linked::Static => {
            command.arg(libraries().join("libdrift.a")).args(["-lpthread", "-ldl", "-lm"]);
        }
    }
    done(&mut command);
    program
}

/// A carried model as a bundle for these targets.
fn bundle(folder: &Path, model: &str, targets: &str) -> PathBuf {
    let (model, path) =
        (root().join("tests/models").join(model).join("model.onnx"), folder.join("model.drift"));
    let words = [model.as_os_str(), "--target".as_ref(), targets.as_ref(), "-o".as_ref(), path.as_os_str()];
    let words = words.map(|word| word.to_str().expect("UTF-8"));
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code =
        driftc::execute_words(std::iter::once("driftc").chain(words), &mut Console::new(&mut out, &mut err));
    assert_eq!(code, 0, "{}", String::from_utf8_lossy(&err));
    path
}

/// The same bundle through the Rust interface.
fn session(bundle: &Path, kind: DeviceKind) -> Session {
    let bundle = Bundle::open(bundle).expect("a bundle");
    let device = Device::open_with(kind, &OpenOptions::default()).expect("a device");
    device.load(&bundle).expect("a session")
}

const MOBILENET: &str = "tiny_mobilenetv2_legacy17";

#[test]
fn a_program_in_c_replays_a_bundle() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let program = compile(folder, "replay.c", Linked::Static);
    for (targets, kind) in [("vulkan", DeviceKind::Vulkan), ("opencl", DeviceKind::OpenCl)] {
        let bundle = bundle(folder, MOBILENET, targets);
        let mut session = session(&bundle, kind);
        let count: u64 = session.inputs()[0].shape.iter().product();
        let values: Vec<f32> = (0..count).map(|index| (index % 17) as f32 / 17.0 - 0.5).collect();
        session.write("pixel_values", &values).expect("an input");
        session.run().expect("a run");
        let wanted = session.read_raw("output").expect("an output");

        let (input, output) = (folder.join("in.bin"), folder.join("out.bin"));
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        std::fs::write(&input, bytes).expect("an input file");
        let mut command = Command::new(&program);
        command.arg(&bundle).arg(format!("pixel_values={}", input.display()));
        command.arg(format!("output:{}", output.display()));
        let printed = text(&done(&mut command));
        assert!(printed.contains(&format!("({targets})")) && printed.contains("output: 1 10"), "{printed}");
        assert_eq!(std::fs::read(&output).expect("the output file"), wanted, "{targets}");
    }
}

#[test]
fn a_program_in_cpp_replays_a_bundle_and_catches_errors() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let program = compile(folder, "replay.cpp", Linked::Shared);
    let bundle = bundle(folder, MOBILENET, "opencl");
    let mut session = session(&bundle, DeviceKind::OpenCl);
    let count: u64 = session.inputs()[0].shape.iter().product();
    session.write("pixel_values", &vec![0.25_f32; count as usize]).expect("an input");
    session.run().expect("a run");
    let wanted: Vec<f32> = session.read("output").expect("an output");

    let printed = text(&done(Command::new(&program).arg(&bundle).arg("0.25")));
    let (values, error): (Vec<&str>, Vec<&str>) =
        printed.lines().partition(|line| !line.starts_with("error"));
    let values: Vec<f32> = values.iter().map(|line| line.parse().expect("a number")).collect();
    assert_eq!(values, wanted);
    assert_eq!(error, ["error 1: there is no `no such output`"]);
}

#[test]
fn a_program_in_cpp_sets_sizes() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let program = compile(folder, "replay.cpp", Linked::Shared);
    let bundle = folder.join("sizes.drift");
    std::fs::write(&bundle, drift_tests::web::handwritten::sized().expect("a bundle")).expect("a file");
    let replay = |dims: &[&str]| {
        let output = Command::new(&program).arg(&bundle).arg("0.25").args(dims).output().expect("it starts");
        let values: Vec<f32> = text(&output).lines().filter_map(|line| line.parse().ok()).collect();
        (values, String::from_utf8_lossy(&output.stderr).into_owned())
    };
    // Sums of rows, then all values, then sums of two.
    let expected = |rows: usize, cols: usize| -> Vec<f32> {
        let pairs = if rows > 0 { cols / 2 } else { 0 };
        let parts = [(rows, cols as f32 * 0.25), (rows * cols, 0.25), (pairs, 0.5)];
        parts.into_iter().flat_map(|(count, value)| vec![value; count]).collect()
    };
    assert_eq!(replay(&[]).0, expected(12, 10));
    let (values, said) = replay(&["rows=3", "cols=5"]);
    assert_eq!(values, expected(3, 5));
    assert!(said.contains("cols is 5") && said.contains("rows is 3"), "{said}");
    assert_eq!(replay(&["rows=0"]).0, expected(0, 10));
    let (values, said) = replay(&["rows=4"]);
    assert!(values.is_empty() && said.contains("dim `rows` cannot be 4; it may be multiples of 3"), "{said}");
}

#[test]
fn what_goes_wrong_is_a_code_and_words() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let program = compile(folder, "replay.c", Linked::Shared);
    let fails = |arguments: &[&Path], words: &[&str]| {
        let output = Command::new(&program).args(arguments).output().expect("it starts");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {error}");
        for part in words {
            assert!(error.contains(part), "{arguments:?}: `{part}` is not in {error}");
        }
    };
    fails(&[Path::new("missing.drift")], &["opening the bundle: error 2", "missing.drift"]);
    let damaged = folder.join("damaged.drift");
    std::fs::write(&damaged, b"no bundle").expect("a file");
    fails(&[&damaged], &["opening the bundle: error 2"]);
    let metal = bundle(folder, MOBILENET, "metal");
    fails(&[&metal], &["opening a device: error 4", "metal"]);
}

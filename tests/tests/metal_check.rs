//! What `cargo xtask metal-check` does without a Mac: an `xcrun` of ours stands before PATH, which writes libraries as Apple's
//! compiler does, and refuses what it is told to.
#![cfg(unix)]

use drift_bundle::Bundle;
use drift_bundle::manifest::{Entry, Target};
use driftc::Console;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Writes a container with one kernel, named as the source names it; asked for its version it has one. Refuses a source that
/// holds the words in `FAKE_REFUSES`.
const XCRUN: &str = r##"#!/bin/sh
set -eu
[ "$1" = --sdk ] && [ "$3" = metal ]
sdk=$2; shift 3
if [ "$1" = --version ]; then echo "Apple metal version 0.0 for $sdk (ours)"; exit 0; fi
for word in "$@"; do last=$word; done
while [ "$1" != -o ]; do echo "$1" >> "$FAKE_LOG"; shift; done
out=$2
if [ -n "${FAKE_REFUSES:-}" ] && grep -q "$FAKE_REFUSES" "$last"; then echo "$last:1:1: error: refused" >&2; exit 1; fi
name=$(sed -n 's/.*kernel void \([A-Za-z0-9_]*\).*/\1/p' "$last" | head -n 1)
word() { printf "\\$(printf %o $(($1 & 255)))\\$(printf %o $(($1 >> 8 & 255)))"; }
quad() { word "$1"; printf '\0\0\0\0\0\0'; }
length=${#name}
tags=$((4 + 6 + length + 1 + 7 + 4))
list=$((4 + tags))
end=$((88 + list))
{
  printf 'MTLB\001\200\002\0\007\0\0\201\016\0\0\0'
  quad $end; quad 88; quad $list; quad $end; quad 0; quad $end; quad 0; quad $end; quad 0
  printf '\001\0\0\0'; word $tags; printf '\0\0'
  printf NAME; word $((length + 1)); printf '%s\0' "$name"
  printf 'TYPE\001\0\002ENDT'
} > "$out"
"##;

/// A folder with the `xcrun` of ours.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().expect("a folder"));
        let tools = place.path("tools");
        fs::create_dir(&tools).expect("a folder");
        fs::write(tools.join("xcrun"), XCRUN).expect("a file");
        fs::set_permissions(tools.join("xcrun"), fs::Permissions::from_mode(0o755)).expect("a mode");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs the check with these words; `tools` stands before PATH.
    fn run(&self, tools: bool, refuses: &str, args: &[&str]) -> Output {
        let path = std::env::var("PATH").expect("a path");
        let path = if tools { format!("{}:{path}", self.path("tools").display()) } else { path };
        Command::new(env!("CARGO_BIN_EXE_metal_check"))
            .args(args)
            .args(["--report", self.path("out/report.txt").to_str().expect("UTF-8")])
            .env("PATH", path)
            .env("FAKE_LOG", self.path("log"))
            .env("FAKE_REFUSES", refuses)
            .output()
            .expect("it starts")
    }

    fn bundle(&self, targets: &str) -> PathBuf {
        let bundle = self.path("model.drift");
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/tiny_mobilenetv2_legacy17/model.onnx");
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let [model, to] = [&model, &bundle].map(|path| path.to_str().expect("UTF-8"));
        let words = ["driftc", model, "--target", targets, "-o", to];
        let code = driftc::execute_words(words, &mut Console::new(&mut out, &mut err));
        assert_eq!(code, 0, "{}", String::from_utf8_lossy(&err));
        bundle
    }
}

fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// On a Mac the real one is found.
#[cfg(not(target_os = "macos"))]
#[test]
fn elsewhere_than_on_a_mac_nothing_is_checked_and_it_says_so() {
    let place = Place::new();
    let done = place.run(false, "", &[]);
    assert_eq!(done.status.code(), Some(2));
    assert!(error(&done).contains("runs on a Mac with Xcode only; nothing was checked"), "{}", error(&done));
}

#[test]
fn a_bundle_gets_libraries_in_the_place_of_its_text() {
    let place = Place::new();
    let (from, to) = (place.bundle("vulkan,metal"), place.path("compiled.drift"));
    let args = ["--metallib", from.to_str().unwrap(), to.to_str().unwrap(), "--sdk", "iphoneos"];
    let done = place.run(true, "", &args);
    assert_eq!(done.status.code(), Some(0), "{}", error(&done));
    let [before, after] = [&from, &to].map(|path| Bundle::open(path).unwrap());
    after.verify_weights().unwrap();
    let (old, new) = (before.manifest(), after.manifest());
    assert_eq!((&old.weights, &old.provenance), (&new.weights, &new.provenance));
    assert_eq!(old.entries.len(), new.entries.len());
    for (old_entry, new_entry) in old.entries.iter().zip(&new.entries) {
        let dispatches = |entry: &Entry| entry.variants[0].dispatches.clone();
        for (old_one, new_one) in dispatches(old_entry).into_iter().zip(dispatches(new_entry)) {
            let (was, is) = (&old.shaders[old_one.shader as usize], &new.shaders[new_one.shader as usize]);
            assert_eq!((&was.entry_point, &was.bindings), (&is.entry_point, &is.bindings));
            let is_metal = was.target == Target::Metal;
            assert_eq!(is.is_metal_library(after.shader_code(is)), is_metal);
            assert!(is_metal || before.shader_code(was) == after.shader_code(is));
        }
    }
    let flags = fs::read_to_string(place.path("log")).unwrap();
    assert!(flags.contains("-fno-fast-math") && flags.contains("-std=ios-metal2.4"), "{flags}");
    // What is a library already is none of the compiler's business.
    let again = place.path("again.drift");
    let done = place.run(true, "", &["--metallib", to.to_str().unwrap(), again.to_str().unwrap()]);
    assert_eq!(done.status.code(), Some(2));
    assert!(error(&done).contains("holds no text for Metal") && !again.exists(), "{}", error(&done));
}

#[test]
fn a_shader_that_the_compiler_refuses_is_named_and_nothing_is_written() {
    let place = Place::new();
    let (from, to) = (place.bundle("metal"), place.path("compiled.drift"));
    let args = ["--metallib", from.to_str().unwrap(), to.to_str().unwrap()];
    let done = place.run(true, "kernel void conv", &args);
    assert_eq!(done.status.code(), Some(2));
    let said = error(&done);
    assert!(
        said.contains("the compiler refuses") && said.contains("conv") && said.contains("error: refused"),
        "{said}"
    );
    assert!(!to.exists());
    let done = place.run(true, "", &[&args[..], &["--sdk", "windows"]].concat());
    assert!(done.status.code() == Some(2) && error(&done).contains("no SDK `windows`"));
}

#[test]
fn the_report_tells_what_was_compiled_and_what_was_not() {
    let place = Place::new();
    let done = place.run(true, "", &["--models", "--no-device"]);
    assert_eq!(done.status.code(), Some(0), "{}", error(&done));
    let report = fs::read_to_string(place.path("out/report.txt")).unwrap();
    assert!(report.contains("Apple metal version 0.0 for macosx (ours)"), "{report}");
    assert!(report.contains(" compiled, 0 rejected"), "{report}");
    let done = place.run(true, "kernel void softmax", &["--models", "--no-device"]);
    assert_eq!(done.status.code(), Some(1));
    let report = fs::read_to_string(place.path("out/report.txt")).unwrap();
    assert!(report.contains("\nrejected: tiny_bert") && report.contains("error: refused"), "{report}");
    assert!(report.contains("kernel void softmax"), "the text is there to be looked at");
    // Where there is no device, all is not right.
    if !drift_runtime::DeviceKind::HERE.contains(&drift_runtime::DeviceKind::Metal) {
        let done = place.run(true, "", &["--models"]);
        assert_eq!(done.status.code(), Some(1));
        let report = fs::read_to_string(place.path("out/report.txt")).unwrap();
        assert!(report.contains("device     none: there is no `metal` device on this platform"), "{report}");
    }
}

//! The command line on bundles whose sizes are free: shown, set, and followed by data.

use drift_bundle::manifest::HostElement;
use drift_tests::command_line::{driftc, fine, refused};
use drift_tests::web::handwritten;
use driftc::host::HostTensor;
use std::fs;
use std::path::Path;

/// Writes a file into a folder and returns its path.
fn file(folder: &Path, name: &str, bytes: &[u8]) -> String {
    let path = folder.join(name);
    fs::write(&path, bytes).expect("a writable folder");
    path.to_string_lossy().into_owned()
}

/// The bundle with free dims, as a file.
fn bundle(folder: &Path) -> String {
    file(folder, "sizes.drift", &handwritten::sized().expect("a bundle"))
}

#[test]
fn free_sizes_are_set_and_shown() {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let bundle = bundle(scratch.path());
    let shown = fine(&["inspect", &bundle]).out;
    for part in [
        "dim  cols: 1 to 10",
        "dim  rows: multiples of 3 from 0 to 12",
        "in   x: f32 [rows, cols]",
        "out  p: f32 [min(rows, 1), floor(cols / 2)]",
    ] {
        assert!(shown.contains(part), "`{part}` is not in\n{shown}");
    }
    let ran = |words: &[&str]| fine(&[&["run", &bundle], words].concat()).out;
    assert!(ran(&[]).contains("t: f32 [10, 12]"), "the largest");
    assert!(ran(&["--dim", "rows=3", "--dim", "cols=7"]).contains("t: f32 [7, 3]"));
    let store = |name: &str, shape: &[u64]| {
        let tensor = driftc::random::tensor("x", HostElement::F32, shape).expect("small");
        format!("x={}", file(scratch.path(), name, &driftc::npy::write(&tensor)))
    };
    let (fits, other) = (store("fits.npy", &[6, 5]), store("other.npy", &[5, 5]));
    assert!(ran(&["--input", &fits]).contains("t: f32 [5, 6]"), "sizes are those of the data");
    refused(&["run", &bundle, "--input", &other], &["axis 0 of `x` has 5 elements", "dim `rows`"]);
    let contradicted = ["run", &bundle, "--input", &fits, "--dim", "rows=3"];
    refused(&contradicted, &["input `x` is f32 [3, 5], but its data are f32 [6, 5]"]);
    refused(&["run", &bundle, "--dim", "rows=4"], &["dim `rows` cannot be 4; it may be multiples of 3"]);
    refused(&["run", &bundle, "--dim", "n=4"], &["no dim `n` whose size is free, only: cols, rows"]);
    refused(&["run", &bundle, "--dim", "rows=3..6"], &["--dim rows needs one size"]);
    refused(&["run", &bundle, "--dim", "rows=3", "--dim", "rows=3"], &["--dim rows is given twice"]);
    let bench = ["bench", &bundle, "--iterations", "1", "--dim"];
    fine(&[&bench[..], &["rows=3"]].concat());
    refused(&[&bench[..], &["rows=4"]].concat(), &["dim `rows` cannot be 4"]);
    refused(&[&bench[..], &["rows=3", "--precision", "f16"]].concat(), &["a compile flag needs a model"]);
}

#[test]
fn a_bundle_is_verified_at_the_sizes_of_each_data_set() {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let bundle = bundle(scratch.path());
    let tensor = |shape: &[u64], values: Vec<f32>| {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let tensor = HostTensor::new(HostElement::F32, shape.to_vec(), bytes).expect("as many");
        driftc::npy::write(&tensor)
    };
    let store = |set: usize, rows: u64, cols: u64, first: f32| {
        let folder = scratch.path().join(format!("test_data_set_{set}"));
        fs::create_dir_all(&folder).expect("a writable folder");
        let x = |row: u64, col: u64| (10 * row + col) as f32;
        let all = (0..rows).flat_map(|row| (0..cols).map(move |col| (row, col)));
        let sum = |row: u64| (0..cols).map(|col| x(row, col)).sum::<f32>();
        let mut sums: Vec<f32> = (0..rows).map(sum).collect();
        sums.iter_mut().take(1).for_each(|sum| *sum += first);
        let turned = (0..cols).flat_map(|col| (0..rows).map(move |row| x(row, col)));
        let pairs = (0..cols / 2).map(|pair| x(0, 2 * pair) + x(0, 2 * pair + 1));
        let files = [
            ("input_0", tensor(&[rows, cols], all.map(|(row, col)| x(row, col)).collect())),
            ("output_0", tensor(&[rows], sums)),
            ("output_1", tensor(&[cols, rows], turned.collect())),
            ("output_2", tensor(&[1, cols / 2], pairs.collect())),
        ];
        for (name, bytes) in files {
            file(&folder, &format!("{name}.npy"), &bytes);
        }
    };
    for (set, (rows, cols)) in [(12, 10), (3, 1), (9, 7), (12, 10)].into_iter().enumerate() {
        store(set, rows, cols, 0.0);
    }
    let done = fine(&["verify", &bundle]);
    assert!(done.out.contains("1 passed, 0 failed"), "{done:?}");
    store(2, 9, 7, 1.0);
    let done = driftc(&["verify", &bundle]);
    assert_eq!(done.code, 1, "{done:?}");
    store(2, 4, 7, 0.0);
    let done = driftc(&["verify", &bundle]);
    assert_eq!(done.code, 2, "{done:?}");
    assert!(
        done.err.contains("test_data_set_2") && done.err.contains("no size of dim `rows` gives"),
        "{done:?}"
    );
}

#[test]
fn outputs_are_cut_to_what_data_say_and_a_bound_that_is_too_small_is_an_error() {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it for tests");
    let folder = Path::new(&here).join("models/ops/counted_rows_as_they_are");
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let (folder_name, model) = (folder.to_string_lossy().into_owned(), path("model.onnx"));
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let bundle = scratch.path().join("rows.drift").to_string_lossy().into_owned();
    let out = scratch.path().join("out").to_string_lossy().into_owned();
    let warned = fine(&[&model, "--target", "vulkan", "-o", &bundle]).err;
    assert!(warned.contains("--bound at=N gives it fewer"), "{warned}");
    let shown = fine(&["inspect", &bundle]).out;
    assert!(shown.contains("out  rows: f32 [9, 4]") && shown.contains("out  rows.count: i64 [2]"), "{shown}");
    let inputs: Vec<String> = ["x", "score", "least"]
        .iter()
        .enumerate()
        .map(|(at, name)| format!("{name}={}", path(&format!("test_data_set_0/input_{at}.pb"))))
        .collect();
    let mut run = vec!["run", &bundle, "--output-dir", &out];
    inputs.iter().for_each(|input| run.extend(["--input", input.as_str()]));
    let ran = fine(&run).out;
    assert!(ran.contains("rows: f32 [5, 4]"), "{ran}");
    let stored = fs::read(Path::new(&out).join("rows.npy")).expect("an output");
    assert_eq!(driftc::npy::read(&stored).expect("a tensor").shape(), [5, 4]);
    fine(&["verify", &bundle, "--data", &folder_name]);
    fine(&["verify", &folder_name, "--target", "vulkan", "--bound", "at=5"]);
    let small = ["verify", &folder_name, "--target", "vulkan", "--bound", "at=4"];
    refused(&small, &["`at` has 5 values, and places for 4", "--bound at=5"]);
    run[1] = &model;
    run.extend(["--bound", "at=4"]);
    refused(&run, &["`at` has 5 values, and places for 4"]);
    let wrong = |bound: &'static str| ["run", &model, "--bound", bound].map(str::to_owned);
    let refused = |bound: &'static str, words: &[&str]| {
        refused(&wrong(bound).each_ref().map(String::as_str), words);
    };
    refused("to=4", &["data decide no size of a value or node `to`", "`at`"]);
    refused("at=0", &["N at least 1"]);
    refused("at", &["expected NAME=N"]);
}

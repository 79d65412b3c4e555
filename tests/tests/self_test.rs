//! Self-tests: healthy devices pass those of every kind of kernel, layout and precision; bundles hold them out of the way;
//! commands and the C interface run them. Devices that are wrong on purpose are in `msl/self_test.rs`.

use drift_bundle::manifest::Target;
use drift_bundle::self_test::{Samples, SelfTest, entry_of, is_self_test};
use drift_bundle::{Bundle, BundleError, BundleWriter};
use drift_compiler::{CompileOptions, EntryModel, LayoutChoice, ModelIdentity, Precision};
use drift_runtime::{LoadOptions, SelfTestUse};
use drift_tests::cases;
use drift_tests::conformance::{self, graph};
use driftc::Console;
use std::path::Path;

/// Convolutions, a residual, a pool, a product that is split, a softmax, views, a concatenation whose parts are in place, and
/// indices.
const IMAGES: &str = "%x: f32[1,6,9,7]\n@w: f32[8,6,3,3] = random(1)\n@u: f32[8,8,1,1] = random(2)\n\
    %a = conv %x, @w {pads=[1,1,1,1]} epilogue(relu)\n%b = conv %a, @u epilogue(add %a)\n%c = conv %b, @u\n\
    %d = concat %b, %c {axis=1}\n%e = pool_average %d {kernel=[2,2]}\n%f = reduce_mean %e {axes=[2,3]}\nreturn %f, %c";
const ROWS: &str = "%x: f32[5,96]\n%i: i64[3]\n@u: f32[96,512] = random(1)\n@v: f32[512,24] = random(2)\n\
    @s: f32[24] = random(3)\n%a = matmul %x, @u epilogue(gelu)\n%b = matmul %a, @v\n%c = slice %b {axes=[1], starts=[4], counts=[16]}\n\
    %d = softmax %c {axis=1}\n%e = gather %d, %i {axis=0}\n%f = transpose %e {perm=[1,0]}\n%g = layer_norm %b, @s {axis=1, epsilon=1e-5}\n\
    %h = arg_max %g {axis=1}\nreturn %f, %h, %g";

const SETTINGS: [(LayoutChoice, Precision); 4] = [
    (LayoutChoice::Buffer, Precision::F32),
    (LayoutChoice::Texture2d, Precision::F32),
    (LayoutChoice::Buffer, Precision::F16),
    (LayoutChoice::TextureArray, Precision::F16),
];

fn options(target: Target, (layout, precision): (LayoutChoice, Precision)) -> CompileOptions {
    CompileOptions {
        targets: vec![target],
        profiles: vec!["generic".to_owned()],
        precision: Some(precision),
        layout,
        self_test: true,
        ..CompileOptions::default()
    }
}

fn bytes(source: &str, options: &CompileOptions) -> Vec<u8> {
    let identity = ModelIdentity { name: "case".to_owned(), hash: "0".repeat(64) };
    let compiled = drift_compiler::compile(graph(source), identity, options);
    compiled.unwrap_or_else(|error| panic!("{error}\n{source}")).bundle.to_bytes().expect("bytes")
}

fn bundle(source: &str, options: &CompileOptions) -> Bundle {
    Bundle::from_bytes(bytes(source, options)).expect("a sound bundle")
}

#[test]
fn healthy_devices_are_right() {
    let options_of = LoadOptions { any_vendor: true, ..LoadOptions::default() };
    for device in conformance::devices() {
        for (source, least) in [(IMAGES, 5), (ROWS, 6)] {
            for setting in SETTINGS {
                let bundle = bundle(source, &options(device.info().kind.target(), setting));
                let report = device.self_test_with(&bundle, &options_of);
                let report =
                    report.unwrap_or_else(|error| panic!("{:?} {setting:?}: {error}", device.info().kind));
                let whose = format!("{:?} {setting:?}: {report:?}", device.info().kind);
                assert!(report.is_right() && report.untested.is_empty() && report.tests >= least, "{whose}");
            }
        }
    }
}

/// The first device has all kernels in its bundles' variants; a case that is left out says why.
#[test]
fn every_case_of_the_kernel_suite_is_tested_or_says_why_not() {
    let device = conformance::devices().next().expect("a device");
    let (mut tests, mut left_out, mut untested, mut bad) = (0, Vec::new(), Vec::new(), Vec::new());
    // Walks that go in parts are long for an evaluator, too.
    let cases = cases::all().filter(|case| !case.name.starts_with("parts/"));
    let is_full = std::env::var("DRIFT_MATRIX").is_ok_and(|matrix| matrix == "full");
    for case in cases.step_by(if is_full { 1 } else { 7 }) {
        let options = options(device.info().kind.target(), SETTINGS[0]);
        let bundle = bundle(case.graph, &options);
        let manifest = bundle.manifest();
        let Some(entry) = entry_of(manifest, &manifest.entries[0]) else {
            untested.push(case.name);
            continue;
        };
        assert!(is_self_test(manifest, entry));
        let report = device.self_test(&bundle).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        tests += report.tests;
        left_out.extend(
            report.untested.iter().map(|one| format!("{}: {}: {}", case.name, one.dispatch, one.reason)),
        );
        bad.extend(report.wrong.iter().map(|wrong| format!("{}: {wrong}", case.name)));
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
    println!("{tests} tests; cases without any: {untested:?}; not tested:\n{}", left_out.join("\n"));
    assert!(tests > 5 * (untested.len() + left_out.len()), "{tests} tests; without any: {untested:?}");
}

#[test]
fn same_input_gives_the_same_bytes_and_each_entry_its_own_test() {
    let options = options(Target::OpenCl, SETTINGS[0]);
    assert_eq!(bytes(ROWS, &options), bytes(ROWS, &options));
    let models = [("unet", IMAGES), ("text", ROWS)]
        .map(|(name, source)| EntryModel { name: name.to_owned(), graph: graph(source) });
    let identity = ModelIdentity { name: "two".to_owned(), hash: "0".repeat(64) };
    let compiled = drift_compiler::compile_entries(models.into(), identity, &options).expect("a bundle");
    let bundle = Bundle::from_bytes(compiled.bundle.to_bytes().expect("bytes")).expect("a sound bundle");
    let names: Vec<&str> = bundle.manifest().entries.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["unet", "text", "self_test.unet", "self_test.text"]);
    for (index, entry) in bundle.manifest().entries.iter().enumerate() {
        let right = SelfTest::of(&bundle, entry, &entry.variants[0]).expect("readable");
        assert_eq!(right.is_some_and(|right| !right.tests.is_empty()), index >= 2, "{}", entry.name);
    }
}

/// Right values that are not those of the program are an error, and no verdict.
#[test]
fn damaged_right_values_are_refused() {
    let whole = bundle(ROWS, &options(Target::OpenCl, SETTINGS[0]));
    let manifest = whole.manifest();
    let entry = entry_of(manifest, &manifest.entries[0]).expect("a self-test");
    let right = SelfTest::of(&whole, entry, &entry.variants[0]).expect("readable").expect("right values");
    let with = |change: &dyn Fn(&mut SelfTest)| {
        let mut changed = right.clone();
        change(&mut changed);
        let mut writer = BundleWriter::new(manifest.provenance.clone());
        for blob in &manifest.weights {
            let bytes = match blob.name.starts_with("self_test/") {
                true => changed.encode().expect("bytes"),
                false => whole.weight_bytes(blob).expect("bytes").into_owned(),
            };
            writer.add_weight(&blob.name, bytes).expect("a weight");
        }
        for shader in &manifest.shaders {
            writer.add_shader(shader.clone(), whole.shader_code(shader));
        }
        manifest.entries.iter().for_each(|entry| writer.add_entry(entry.clone()));
        let bundle = Bundle::from_bytes(writer.to_bytes().expect("bytes")).expect("a sound bundle");
        SelfTest::of(&bundle, entry, &entry.variants[0])
    };
    assert_eq!(with(&|_| {}).expect("whole").as_ref(), Some(&right));
    let changes: [&dyn Fn(&mut SelfTest); 6] = [
        &|right| right.tests[0].first = u32::MAX,
        &|right| right.tests[0].count = 0,
        &|right| right.tests[0].sample = u32::MAX,
        &|right| right.tests[0].relative = f32::NAN,
        &|right| right.tests[0].absolute = -1.0,
        &|right| right.tests[0].expected = Samples::Floats(vec![f32::NAN]),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let refused = with(change);
        assert!(matches!(refused, Err(BundleError::SelfTest { .. })), "{number}: {refused:?}");
    }
}

fn driftc(words: &[&str]) -> (u8, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut console = Console::new(&mut out, &mut err);
    let code = driftc::execute_words(std::iter::once("driftc").chain(words.iter().copied()), &mut console);
    let text = |bytes| String::from_utf8(bytes).expect("driftc writes UTF-8");
    (code, text(out), text(err))
}

#[test]
fn the_command_line_makes_and_runs_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let here = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it for tests");
    let model =
        Path::new(&here).join("models/tiny_mobilenetv2_legacy17/model.onnx").to_string_lossy().into_owned();
    let (bundle, plain, json, cache) = (path("a.drift"), path("b.drift"), path("report.json"), path("cache"));
    let fine = |words: &[&str]| {
        let (code, out, err) = driftc(words);
        assert_eq!(code, 0, "{words:?}\n{out}\n{err}");
        (out, err)
    };
    let (_, notes) = fine(&[&model, "--target", "opencl", "--self-test", "-o", &bundle]);
    assert!(notes.contains("self-test of generic for opencl") && notes.contains(", 0 not tested"), "{notes}");
    let (shown, _) = fine(&["inspect", &bundle]);
    assert!(shown.contains("self-test main for opencl") && !shown.contains("entry self_test"), "{shown}");
    let (told, _) = fine(&["self-test", &bundle, "--json", &json]);
    assert!(told.contains("main, variant generic: right"), "{told}");
    let written: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&json).expect("a report")).expect("JSON");
    let report = &written["reports"][0];
    assert_eq!((&report["right"], &report["entry"]), (&true.into(), &"main".into()));
    for _ in 0..2 {
        let (run, _) = fine(&["run", &bundle, "--self-test", "--pipeline-cache", &cache]);
        assert!(run.contains("output"), "{run}");
    }
    let is_verdicts = |path: std::path::PathBuf| path.extension().is_some_and(|end| end == "verdicts");
    let files = std::fs::read_dir(&cache).expect("a cache").map(|file| file.expect("a file").path());
    assert_eq!(files.filter(|path| is_verdicts(path.clone())).count(), 1);

    fine(&[&model, "--target", "opencl", "-o", &plain]);
    for words in [&["self-test", &*plain][..], &["run", &plain, "--self-test"]] {
        let (code, _, err) = driftc(words);
        assert!(
            code == 2 && err.contains("compile the bundle with `--self-test`"),
            "{words:?}: {code} {err}"
        );
    }
    let named = format!("self_test={model}");
    let (code, _, err) = driftc(&[&named, "--target", "opencl", "--self-test", "-o", &plain]);
    assert!(code == 2 && err.contains("is the name of a self-test"), "{code} {err}");
}

#[test]
fn a_load_says_that_the_self_test_passed() {
    let device = conformance::devices().next().expect("a device");
    let bundle = bundle(ROWS, &options(device.info().kind.target(), SETTINGS[0]));
    let used = |self_test| {
        let options = LoadOptions { self_test, ..LoadOptions::default() };
        device.load_with(&bundle, &options).expect("a session").report().self_test
    };
    assert_eq!([used(false), used(true)], [SelfTestUse::Off, SelfTestUse::Passed]);
}

/// The C interface, called as C calls it.
#[test]
#[expect(unsafe_code, reason = "calls as C makes them")]
fn the_c_interface_runs_them() {
    use drift::*;
    use std::ffi::{CStr, c_char};
    use std::ptr;
    let (whole, without) = (
        options(Target::OpenCl, SETTINGS[0]),
        CompileOptions { self_test: false, ..options(Target::OpenCl, SETTINGS[0]) },
    );
    for (options, expected) in [(whole, Status::DRIFT_OK), (without, Status::DRIFT_UNSUPPORTED)] {
        let bytes = bytes(ROWS, &options);
        let (mut bundle, mut device) = (ptr::null_mut(), ptr::null_mut());
        let (mut right, mut report): (bool, *const c_char) = (false, ptr::null());
        // SAFETY: objects that the library made, places for what it gives, and memory that outlives the bundle.
        unsafe {
            assert_eq!(
                drift_bundle_from_memory(bytes.as_ptr(), bytes.len(), &raw mut bundle),
                Status::DRIFT_OK
            );
            assert_eq!(drift_device_open_for(bundle, &raw mut device), Status::DRIFT_OK);
            let status = drift_device_self_test(device, bundle, ptr::null(), &raw mut right, &raw mut report);
            assert_eq!(status, expected);
            assert_eq!(right, expected == Status::DRIFT_OK);
            if right {
                let json = CStr::from_ptr(report).to_str().expect("UTF-8");
                let json: serde_json::Value = serde_json::from_str(json).expect("JSON");
                assert_eq!(json["right"], true);
            } else {
                assert!(report.is_null());
            }
            let null = drift_device_self_test(device, bundle, ptr::null(), ptr::null_mut(), ptr::null_mut());
            assert_eq!(null, Status::DRIFT_INVALID_ARGUMENT);
            drift_device_free(device);
            drift_bundle_free(bundle);
        }
    }
}

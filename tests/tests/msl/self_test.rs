//! Self-tests on a device that is made wrong on purpose: what they find, what they call it, and what the loader then does.

use super::faults::with_shaders;
use drift_bundle::Bundle;
use drift_bundle::manifest::Target;
use drift_compiler::{CompileOptions, ModelIdentity, Precision};
use drift_runtime::{
    DeclineReason, Device, Fault, LoadOptions, RuntimeError, SelfTestReport, SelfTestUse, WrongDispatch,
};
use drift_tests::conformance::graph;
use drift_tests::msl::{self, Damage, How};
use std::path::Path;
use std::time::Duration;

/// A convolution, products of two shapes, and a softmax that the two profiles compute with kernels of their own.
const GRAPH: &str = "%x: f32[1,8,7,9]\n%y: f32[6,64]\n@w: f32[8,8,3,3] = random(1)\n@u: f32[64,32] = random(2)\n\
    @v: f32[32,96] = random(3)\n%a = conv %x, @w {pads=[1,1,1,1]} epilogue(relu)\n%b = matmul %y, @u\n%c = matmul %b, @v\n\
    %d = softmax %c {axis=1}\nreturn %a, %d";

fn bundle(profiles: &[&str], self_test: bool) -> Bundle {
    bundle_of(GRAPH, (profiles, Precision::F32), self_test)
}

fn bundle_of(text: &str, (profiles, precision): (&[&str], Precision), self_test: bool) -> Bundle {
    let options = CompileOptions {
        targets: vec![Target::Metal],
        profiles: profiles.iter().map(|profile| (*profile).to_owned()).collect(),
        precision: Some(precision),
        self_test,
        ..CompileOptions::default()
    };
    let identity = ModelIdentity { name: "case".to_owned(), hash: "0".repeat(64) };
    let compiled = drift_compiler::compile(graph(text), identity, &options).expect("a bundle");
    Bundle::from_bytes(compiled.bundle.to_bytes().expect("bytes")).expect("a sound bundle")
}

fn report(device: &Device, bundle: &Bundle) -> SelfTestReport {
    device.self_test(bundle).unwrap_or_else(|error| panic!("{error}"))
}

/// What the self-test says of a device that is wrong where `hits` says.
fn found(how: How, hits: fn(&str, [u32; 3]) -> bool) -> Vec<WrongDispatch> {
    report(&msl::open_damaged(Damage::new(how, hits)), &bundle(&["generic"], true)).wrong
}

fn is_softmax(name: &str, _: [u32; 3]) -> bool {
    name.starts_with("softmax")
}

#[test]
fn a_sound_device_is_right() {
    for profile in ["generic", "apple"] {
        let report = report(&msl::open(), &bundle(&[profile], true));
        assert!(report.is_right() && report.untested.is_empty(), "{report:?}");
        assert!(report.tests >= 4, "{report:?}");
        assert_eq!((&*report.entry, &*report.variant), ("main", profile));
    }
}

#[test]
fn a_wrong_kernel_is_named_with_its_node_and_its_worst_sample() {
    let wrong = found(How::Larger, is_softmax);
    let [WrongDispatch { dispatches, shaders, nodes, fault }] = wrong.as_slice() else { panic!("{wrong:?}") };
    assert_eq!(dispatches, &["d: softmax"]);
    assert!(shaders[0].starts_with("softmax_"), "{shaders:?}");
    assert_eq!(nodes, &["d"]);
    let Fault::Values { expected, got, tolerance, .. } = fault else { panic!("{fault:?}") };
    assert!((got / expected - 1.01).abs() < 1e-3 && (got - expected).abs() > *tolerance, "{fault:?}");
}

/// Both products are one kernel; the wider one has more threadgroups along its columns.
#[test]
fn one_wrong_shape_of_a_kernel_is_told_from_the_others() {
    let bundle = bundle(&["generic"], true);
    let variant = &bundle.manifest().entries[0].variants[0];
    let grid = |node: &str| {
        let named = |name: &str| name.split(':').next() == Some(node);
        variant.dispatches.iter().find(|dispatch| named(&dispatch.name)).expect("a dispatch").workgroups
    };
    assert_ne!(grid("b"), grid("c"), "the shapes are told apart by their grids");
    let hits: fn(&str, [u32; 3]) -> bool = |name, grid| name.starts_with("mat") && grid[0] > 1;
    let hit: Vec<&str> = ["b", "c"].into_iter().filter(|node| grid(node)[0] > 1).collect();
    let [node] = hit.as_slice() else { panic!("{hit:?}") };
    let wrong = found(How::Larger, hits);
    let [WrongDispatch { nodes, .. }] = wrong.as_slice() else { panic!("{wrong:?}") };
    assert_eq!(nodes, &[(*node).to_owned()]);
}

#[test]
fn nan_is_wrong_whatever_the_tolerance() {
    let wrong = found(How::Nan, is_softmax);
    let [WrongDispatch { fault: Fault::Values { got, wrong, samples, .. }, .. }] = wrong.as_slice() else {
        panic!("{wrong:?}")
    };
    assert!(got.is_nan() && wrong == samples);
}

#[test]
fn numbers_within_tolerance_that_differ_from_run_to_run_are_told() {
    let wrong = found(How::Unsteady, is_softmax);
    let [WrongDispatch { fault: Fault::Unsteady { differ, .. }, dispatches, .. }] = wrong.as_slice() else {
        panic!("{wrong:?}")
    };
    assert!(*differ > 0);
    assert_eq!(dispatches, &["d: softmax"]);
}

/// Two variants, the first of which has kernels of subgroups and is tuned for another vendor's devices.
const PROFILES: [&str; 2] = ["nvidia", "generic"];

/// Options of a load that asks for self-tests.
fn asking() -> LoadOptions {
    LoadOptions { self_test: true, any_vendor: true, ..LoadOptions::default() }
}

/// The same, which remembers them in `folder`.
fn remembering(folder: &Path) -> LoadOptions {
    LoadOptions { cache_dir: Some(folder.to_owned()), ..asking() }
}

fn damaged_subgroups() -> Device {
    msl::open_damaged(Damage::new(How::Larger, |name, _| name.starts_with("softmax_subgroup")))
}

#[test]
fn the_next_variant_is_taken_and_the_verdict_remembered() {
    let folder = tempfile::tempdir().expect("a folder");
    let bundle = bundle(&PROFILES, true);
    let options = remembering(folder.path());
    let load = |device: &Device| {
        let session = device.load_with(&bundle, &options).unwrap_or_else(|error| panic!("{error}"));
        let report = session.report();
        let reasons: Vec<DeclineReason> = report.declined.iter().flat_map(|d| d.reasons.clone()).collect();
        (report.variant.clone(), report.self_test, reasons)
    };
    let (variant, tested, reasons) = load(&damaged_subgroups());
    assert_eq!((&*variant, tested), ("generic", SelfTestUse::Passed));
    let [DeclineReason::SelfTest { what, remembered: false }] = reasons.as_slice() else {
        panic!("{reasons:?}")
    };
    assert!(what.contains("softmax_subgroup") && what.contains("(for d)"), "{what}");

    // The same device, driver and bundle: nothing runs again, so that even a sound one is not asked.
    let (variant, tested, reasons) = load(&msl::open());
    assert_eq!((&*variant, tested), ("generic", SelfTestUse::Remembered));
    assert!(matches!(reasons.as_slice(), [DeclineReason::SelfTest { remembered: true, .. }]), "{reasons:?}");

    // A damaged file counts for nothing, and is replaced.
    let files: Vec<_> =
        std::fs::read_dir(folder.path()).expect("files").map(|f| f.expect("a file").path()).collect();
    let [file] = files.as_slice() else { panic!("{files:?}") };
    let mut bytes = std::fs::read(file).expect("bytes");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(file, bytes).expect("written");
    assert_eq!(load(&msl::open()), ("nvidia".to_owned(), SelfTestUse::Passed, Vec::new()));
    assert_eq!(load(&msl::open()), ("nvidia".to_owned(), SelfTestUse::Remembered, Vec::new()));
}

#[test]
fn a_device_that_gets_all_variants_wrong_loads_none() {
    let device = msl::open_damaged(Damage::new(How::Nan, is_softmax));
    let error = device.load_with(&bundle(&PROFILES, true), &asking()).expect_err("an error");
    let RuntimeError::NoVariant { declined, .. } = &error else { panic!("{error}") };
    assert_eq!(declined.len(), 2);
    assert!(error.to_string().contains("its self-test fails: `d: softmax"), "{error}");
    // Nobody asked, nobody is told.
    assert!(device.load(&bundle(&["generic"], true)).is_ok());
}

#[test]
fn a_bundle_without_self_tests_is_refused_where_they_are_asked_for() {
    let (device, bundle) = (msl::open(), bundle(&["generic"], false));
    for error in [device.load_with(&bundle, &asking()).err(), device.self_test(&bundle).err()] {
        assert!(matches!(error, Some(RuntimeError::NoSelfTest { .. })), "{error:?}");
    }
    let mut session = device.load(&bundle).expect("a session");
    assert!(matches!(session.self_test(), Err(RuntimeError::NoSelfTest { .. })));
}

#[test]
fn the_report_is_json_that_says_where_and_what() {
    let device = msl::open_damaged(Damage::new(How::Nan, is_softmax));
    let json = report(&device, &bundle(&["generic"], true)).to_json();
    let value: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(value["device"], device.info().name);
    assert_eq!(value["driver"], device.info().driver);
    assert_eq!(value["right"], false);
    let wrong = &value["wrong"][0];
    assert_eq!(wrong["nodes"][0], "d");
    assert_eq!(wrong["got"], "NaN");
    assert!(wrong["shaders"][0].as_str().expect("a name").starts_with("softmax"));
    assert!(wrong["expected"].as_f64().is_some() && wrong["tolerance"].as_f64().is_some());
}

/// A product that is on matrices where nothing stands against them.
const PRODUCT: &str =
    "%a: f32[40,72]\n@w: f32[72,48] = random(1)\n%1 = matmul %a, @w epilogue(relu)\nreturn %1";

fn on_matrices(self_test: bool) -> Bundle {
    bundle_of(PRODUCT, (&["apple"], Precision::F16), self_test)
}

/// The variant that a device takes, what it knows of its self-test, and why it passed over others.
fn taken(device: &Device, bundle: &Bundle, options: &LoadOptions) -> (String, SelfTestUse, Vec<String>) {
    let mut session = device.load_with(bundle, options).unwrap_or_else(|error| panic!("{error}"));
    session.write("a", &[0.5_f32; 40 * 72]).expect("an input");
    session.run().expect("a run");
    let report = session.report();
    (report.variant.clone(), report.self_test, report.declined.iter().map(ToString::to_string).collect())
}

#[test]
fn matrices_that_no_device_has_run_are_taken_after_their_self_test_only() {
    let names = |bundle: &Bundle| {
        let variants = &bundle.manifest().entries[0].variants;
        variants.iter().map(|variant| variant.name.clone()).collect::<Vec<_>>()
    };
    let (plain, tested) = (on_matrices(false), on_matrices(true));
    for bundle in [&plain, &tested] {
        assert_eq!(names(bundle), ["apple-matrices", "apple"]);
    }
    let usual = LoadOptions::default();
    let (variant, used, declined) = taken(&msl::open(), &plain, &usual);
    assert_eq!((&*variant, used), ("apple", SelfTestUse::Off));
    let [why] = declined.as_slice() else { panic!("{declined:?}") };
    assert!(why.contains("no Metal device has run") && why.contains("no self-test of it"), "{why}");

    let named = LoadOptions { variant: Some("apple-matrices".to_owned()), ..usual.clone() };
    let error = msl::open().load_with(&plain, &named).expect_err("an error");
    assert!(matches!(error, RuntimeError::NoVariant { .. }), "{error}");
    let waived = LoadOptions { untried: true, ..named };
    assert_eq!(taken(&msl::open(), &plain, &waived).0, "apple-matrices");

    assert_eq!(
        taken(&msl::open(), &tested, &usual),
        ("apple-matrices".to_owned(), SelfTestUse::Passed, Vec::new())
    );
}

#[test]
fn a_device_that_gets_matrices_wrong_takes_the_variant_without() {
    let folder = tempfile::tempdir().expect("a folder");
    let bundle = on_matrices(true);
    let options = LoadOptions { cache_dir: Some(folder.path().to_owned()), ..LoadOptions::default() };
    let damaged =
        || msl::open_damaged(Damage::new(How::Nan, |name, _| name.starts_with("matmul_cooperative_8x8")));
    for (device, remembered) in [(damaged(), false), (msl::open(), true)] {
        let (variant, used, declined) = taken(&device, &bundle, &options);
        assert_eq!((&*variant, used), ("apple", SelfTestUse::Off));
        let [why] = declined.as_slice() else { panic!("{declined:?}") };
        assert!(why.contains("its self-test fails") && why.contains("matmul_cooperative_8x8"), "{why}");
        assert_eq!(why.contains("(remembered)"), remembered, "{why}");
    }
}

/// What naga and clang take need not be what Metal's compiler takes.
#[test]
fn matrices_that_a_compiler_refuses_are_passed_over() {
    let bundle =
        with_shaders(&on_matrices(true), ("simdgroup_multiply_accumulate(", "simdgroup_multiply_mixed("));
    let (variant, _, declined) = taken(&msl::open(), &bundle, &LoadOptions::default());
    assert_eq!(variant, "apple");
    let [why] = declined.as_slice() else { panic!("{declined:?}") };
    assert!(why.contains("its self-test does not run: the driver failed"), "{why}");
}

/// What hangs a device hangs it once.
#[test]
fn a_self_test_of_matrices_that_does_not_end_is_remembered() {
    let folder = tempfile::tempdir().expect("a folder");
    let bundle = on_matrices(true);
    let options = LoadOptions { cache_dir: Some(folder.path().to_owned()), ..LoadOptions::default() };
    let hasty = LoadOptions { load_timeout: Duration::ZERO, ..options.clone() };
    let error = msl::open().load_with(&bundle, &hasty).expect_err("an error");
    assert!(matches!(error, RuntimeError::Timeout { .. }), "{error}");
    let (variant, _, declined) = taken(&msl::open(), &bundle, &options);
    assert_eq!(variant, "apple");
    let [why] = declined.as_slice() else { panic!("{declined:?}") };
    assert!(why.contains("its self-test fails (remembered): the device did not finish"), "{why}");
}

/// The product's right values take more steps than the compiler spends on one test.
#[test]
fn a_self_test_without_one_of_the_matrix_kernels_does_not_do() {
    let text = format!("%b: f32[2048,2048]\n%c: f32[2048,2112]\n{PRODUCT}, %2")
        .replace("return", "%2 = matmul %b, %c\nreturn");
    let bundle = bundle_of(&text, (&["apple"], Precision::F16), true);
    let session = msl::open().load(&bundle).unwrap_or_else(|error| panic!("{error}"));
    let report = session.report();
    assert_eq!(report.variant, "apple");
    let [declined] = report.declined.as_slice() else { panic!("{:?}", report.declined) };
    let why = declined.to_string();
    assert!(why.contains("its self-test leaves `2: matmul_cooperative_8x8` out"), "{why}");
}

/// Where floats are f32 nothing is on matrices, and one variant is enough.
#[test]
fn a_variant_without_matrices_is_not_there_twice() {
    let bundle = bundle_of(PRODUCT, (&["apple"], Precision::F32), false);
    let names: Vec<&str> = bundle.manifest().entries[0].variants.iter().map(|v| &*v.name).collect();
    assert_eq!(names, ["apple"]);
}

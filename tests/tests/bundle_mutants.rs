//! Seeded mutants of bundles and models, and hostile bundles: refused by name, or run without harm.

use std::path::Path;
use std::sync::OnceLock;

use drift_tests::mutants::{self, Child, Counts, Kind, Known, Seed, Stage, hostile::hostile};

/// Mutants of WGSL that reach the device.
const TEXTS: u64 = 300;

fn seeds() -> &'static [Seed] {
    static SEEDS: OnceLock<Vec<Seed>> = OnceLock::new();
    SEEDS.get_or_init(|| mutants::seeds().expect("the seeds compile"))
}

/// How far a file comes; every shader is judged anew.
fn open(bytes: &[u8]) -> (Stage, String) {
    Known::default().open(bytes)
}

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_mutants"))
}

#[test]
fn mutants_are_valid_or_refused() {
    let mut counts = Counts::default();
    for number in 0..6000 {
        let mutant = mutants::mutant(seeds(), 7, number, &Kind::ALL);
        let (stage, _) = open(&mutant.bytes);
        counts.add(mutant.kind, stage);
    }
    for stage in [Stage::Header, Stage::Manifest, Stage::Code, Stage::Rules, Stage::Opened] {
        assert!(counts.of(stage) > 50, "the mutants do not reach {stage:?}:\n{counts}");
    }
    // The walk over SPIR-V is no whole validator; what it lets through must stay rare.
    assert!(100 * counts.of(Stage::Invalid) <= counts.total(), "{counts}");
}

#[test]
fn a_mutant_is_the_same_each_time() {
    for number in 0..50 {
        let make = || mutants::mutant(seeds(), 3, number, &Kind::ALL).bytes;
        assert!(make() == make());
    }
}

#[test]
fn accepted_manifests_run_without_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mutant.drift");
    let mut child = Child::start(program()).unwrap();
    let (mut counts, mut number) = (Counts::default(), 0);
    while counts.total() < 60 {
        let mutant = mutants::mutant(seeds(), 11, number, &[Kind::Manifest]);
        number += 1;
        if open(&mutant.bytes).0 != Stage::Opened {
            continue;
        }
        std::fs::write(&path, &mutant.bytes).unwrap();
        let (stage, said) = child.ask(&path).unwrap();
        assert!(!matches!(stage, Stage::Crashed | Stage::Hung), "number {}: {stage:?} {said}", number - 1);
        counts.add(mutant.kind, stage);
    }
    assert!(counts.of(Stage::Ran) > 10, "{counts}");
}

/// WGSL is checked where it is compiled: whatever it says, that ends in an error or in a run within its bindings.
#[test]
fn accepted_texts_for_webgpu_run_without_a_crash() {
    let is_webgpu = |seed: &&Seed| seed.name.contains("webgpu");
    let seeds: Vec<Seed> = seeds().iter().filter(is_webgpu).cloned().collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mutant.drift");
    let mut child = Child::start(program()).unwrap();
    let (mut counts, mut number) = (Counts::default(), 0);
    while counts.total() < TEXTS {
        let mutant = mutants::mutant(&seeds, 13, number, &[Kind::Text]);
        number += 1;
        if open(&mutant.bytes).0 != Stage::Opened {
            continue;
        }
        std::fs::write(&path, &mutant.bytes).unwrap();
        let (stage, said) = child.ask(&path).unwrap();
        assert!(!matches!(stage, Stage::Crashed | Stage::Hung), "number {}: {stage:?} {said}", number - 1);
        counts.add(mutant.kind, stage);
    }
    assert!(counts.of(Stage::Ran) > 2 && counts.of(Stage::Refused) > 100, "{counts}");
}

#[test]
fn hostile_bundles_are_refused_by_what_is_wrong() {
    for one in hostile(seeds()).unwrap() {
        let start = std::time::Instant::now();
        let (stage, found) = open(&one.bytes);
        match one.said {
            Some(said) => {
                assert!(matches!(stage, Stage::Code | Stage::Rules), "{}: {stage:?}", one.name);
                assert!(found.contains(said), "{}: expected `{said}`, found `{found}`", one.name);
            }
            None => assert_eq!(stage, Stage::Opened, "{}: {found}", one.name),
        }
        assert!(start.elapsed().as_secs() < 10, "{}: {:?}", one.name, start.elapsed());
    }
}

#[test]
fn every_seed_is_accepted_and_runs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("seed.drift");
    let mut child = Child::start(program()).unwrap();
    for seed in seeds() {
        assert_eq!(open(&seed.bytes).0, Stage::Opened, "{}", seed.name);
        std::fs::write(&path, &seed.bytes).unwrap();
        let (stage, said) = child.ask(&path).unwrap();
        let is_run = seed.name.contains("vulkan") || seed.name.contains("webgpu");
        let expected = if is_run { Stage::Ran } else { Stage::Device };
        assert_eq!(stage, expected, "{}: {said}", seed.name);
    }
}

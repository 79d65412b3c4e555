//! Mutated models from import to a planned program: whatever fields say, the end is a program or a typed error, soon and in
//! little memory.
//!
//! Models in `tests/models/ops` are decoded, a few fields are changed (sizes, attributes, types, operators, names, numbers
//! of constants), and the result goes through import, simplification, fusion, layouts, kernels and the memory plan.
//! `DRIFT_MUTANTS=FROM..TO` runs other seeds; the seed decides everything.
#![cfg(test)]

#[path = "../../compiler/onnx/tests/it/memory.rs"]
mod memory;
#[path = "mutants/mutate.rs"]
mod mutate;

use drift_bundle::manifest::Target;
use drift_compiler::{CompileError, CompileOptions, Stage, emit_stage};
use drift_onnx::{DimBinding, ImportError, ImportOptions, ModelSource, free_dims, import, inputs};
use mutate::{Random, mutate};
use onnx_protobuf::{Message, ModelProto};
use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What one mutant may take; the models themselves are of a few kilobytes.
const MOST_BYTES: u64 = 512 << 20;
const LONGEST: Duration = Duration::from_secs(5);

/// Where a mutant ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Refused,
    Unsupported,
    Layout,
    Select,
    Memory,
    OtherError,
    Program,
}

/// The seeds to run, 3,000 unless told.
fn seeds() -> Range<u64> {
    let given = std::env::var("DRIFT_MUTANTS").ok();
    let range = given.as_deref().and_then(|text| text.split_once(".."));
    match range {
        Some((from, to)) => from.parse().unwrap()..to.parse().unwrap(),
        None => 0..3_000,
    }
}

fn models() -> Vec<(String, ModelProto)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/ops");
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let read = |path: PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = fs::read(path.join("model.onnx")).ok()?;
        Some((name, ModelProto::parse_from_bytes(&bytes).ok()?))
    };
    paths.into_iter().filter_map(read).collect()
}

/// Takes a model as far as it goes.
fn run(bytes: Vec<u8>) -> End {
    let refused = |error: ImportError| match error {
        ImportError::Unsupported { .. } | ImportError::Opset { .. } => End::Unsupported,
        _ => End::Refused,
    };
    let Ok(source) = ModelSource::from_bytes("mutant", bytes) else { return End::Refused };
    let free = match inputs(&source) {
        Ok(ports) => free_dims(&ports),
        Err(error) => return refused(error),
    };
    let dims: BTreeMap<String, DimBinding> =
        free.into_iter().map(|name| (name, DimBinding::Fixed(2))).collect();
    let graph = match import(&source, &ImportOptions { dims }) {
        Ok(imported) => imported.graph,
        Err(error) => return refused(error),
    };
    drift_ir::verify::verify(&graph).unwrap();
    let options = CompileOptions {
        targets: vec![Target::Vulkan],
        profiles: vec!["generic".to_owned()],
        ..CompileOptions::default()
    };
    match emit_stage(graph, &options, Stage::Memory) {
        Ok(_) => End::Program,
        Err(CompileError::Layout(_)) => End::Layout,
        Err(CompileError::Select(_)) => End::Select,
        Err(CompileError::Memory(_)) => End::Memory,
        Err(_) => End::OtherError,
    }
}

#[test]
fn mutants_end_soon_and_in_little_memory() {
    let models = models();
    let mut reached: BTreeMap<End, usize> = BTreeMap::new();
    let mut bad = Vec::new();
    for seed in seeds() {
        let mut random = Random::new(seed);
        let (name, original) = &models[random.below(models.len())];
        let mut mutant = original.clone();
        for _ in 0..1 + random.below(3) {
            mutate(&mut mutant, &mut random);
        }
        let Ok(bytes) = mutant.write_to_bytes() else { continue };
        if let Ok(folder) = std::env::var("DRIFT_MUTANTS_KEEP") {
            fs::write(Path::new(&folder).join("last.onnx"), &bytes).unwrap();
        }
        let start = memory::now();
        let (outcome, peak) = memory::peak_bytes(|| catch_unwind(AssertUnwindSafe(|| run(bytes))));
        let time = memory::busy_since(start);
        match outcome {
            Ok(stage) => *reached.entry(stage).or_default() += 1,
            Err(_) => bad.push(format!("seed {seed} ({name}) panicked")),
        }
        if time > LONGEST || peak > MOST_BYTES {
            bad.push(format!("seed {seed} ({name}) took {time:?} and {} MiB", peak >> 20));
        }
    }
    assert!(bad.is_empty(), "{} of the mutants:\n{}\n{reached:?}", bad.len(), bad.join("\n"));
    // Most of what a mutation leaves is still a model.
    let ran: usize = reached.values().sum();
    assert!(ran < 100 || reached.get(&End::Program).is_some_and(|&count| count * 10 > ran), "{reached:?}");
    if std::env::var("DRIFT_MUTANTS").is_ok() {
        println!("{ran} mutants, all well: {reached:?}");
    }
}

//! Damaged and malicious files: always an error or a graph, never a panic, soon, and without large allocations.

use crate::build::{floats, int64s, model, node, with};
use drift_onnx::{ImportOptions, ModelSource, import, read_tensor_pb};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// A generator whose whole state is its seed.
struct XorShift(u64);

impl XorShift {
    /// Distinct seeds start far from each other.
    fn new(seed: u64) -> Self {
        Self((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

/// Imports bytes as they come; only that it returns is of interest.
fn try_import(bytes: Vec<u8>) {
    if let Ok(source) = ModelSource::from_bytes("hostile", bytes) {
        let _outcome = import(&source, &ImportOptions::default());
    }
}

fn survives(what: &str, attempt: impl FnOnce()) {
    assert!(catch_unwind(AssertUnwindSafe(attempt)).is_ok(), "panicked on {what}");
}

/// A model with most of what a file can hold.
fn small_model() -> Vec<u8> {
    model(13)
        .input("x", &["batch", "3", "8", "8"])
        .constant("w", floats(&[4, 3, 3, 3], &[0.5; 108]))
        .constant("s", int64s(&[3], &[0, 2, -1]))
        .node(with(node("Conv", &["x", "w"], &["c"]), crate::build::ints("pads", &[1, 1, 1, 1])))
        .node(node("Relu", &["c"], &["r"]))
        .node(node("Reshape", &["r", "s"], &["f"]))
        .node(with(node("Softmax", &["f"], &["y"]), crate::build::int("axis", -1)))
        .output("y")
        .bytes()
}

/// Bytes with a few random edits of the kinds that decoders get wrong.
fn mutate(original: &[u8], random: &mut XorShift) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for _ in 0..1 + random.below(4) {
        let at = random.below(bytes.len());
        let end = (at + random.below(16)).min(bytes.len());
        match random.below(7) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.next() as u8,
            2 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
            3 => drop(bytes.drain(at..end)),
            4 => {
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
            5 => bytes.truncate(at.max(1)),
            _ => drop(bytes.splice(at..at, [0xff; 9])),
        }
        if bytes.is_empty() {
            return bytes;
        }
    }
    bytes
}

#[test]
fn every_truncation_of_a_model_is_survived() {
    let bytes = small_model();
    for length in 0..bytes.len() {
        survives(&format!("the first {length} bytes"), || try_import(bytes[..length].to_vec()));
    }
}

#[test]
fn random_bytes_are_survived() {
    for seed in 0..2_000 {
        let mut random = XorShift::new(seed);
        let length = random.below(300);
        let bytes: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
        survives(&format!("random bytes of seed {seed}"), || {
            let _outcome = read_tensor_pb(bytes.clone());
            try_import(bytes);
        });
    }
}

#[test]
fn mutants_of_models_are_survived() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/models/ops");
    let mut folders: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    let mut originals: Vec<Vec<u8>> =
        folders.iter().map(|path| fs::read(path.join("model.onnx")).unwrap()).collect();
    originals.push(small_model());
    for seed in 0..10_000 {
        let mut random = XorShift::new(seed as u64);
        let mutant = mutate(&originals[seed % originals.len()], &mut random);
        survives(&format!("mutant {seed}"), || try_import(mutant));
    }
}

#[test]
fn a_length_that_claims_gigabytes_allocates_nothing() {
    // Field 7 (graph) with a length of 2^40 and no content; the same for a tensor's raw data.
    let claim = |field: u8| vec![field << 3 | 2, 0x80, 0x80, 0x80, 0x80, 0x80, 0x20];
    assert!(ModelSource::from_bytes("claim", claim(7)).is_err());
    assert!(read_tensor_pb(claim(9)).is_err());
}

#[test]
fn deeply_nested_graphs_are_refused() {
    // Built from inside: attribute 6 (a graph) in node 5 in graph 1, again and again, in graph 7 of the model.
    let mut message = Vec::new();
    for level in 0..300 {
        message = field([6, 5, 1][level % 3], &message);
    }
    assert!(ModelSource::from_bytes("deep", field(7, &message)).is_err());
}

/// A length-delimited field.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    let mut length = content.len();
    while length >= 0x80 {
        bytes.push(length as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend(content);
    bytes
}

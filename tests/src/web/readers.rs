//! Bundles with the Rust reader's verdicts, for the browser's reader to agree with.

use std::error::Error;
use std::fs;
use std::path::Path;

use drift_bundle::manifest::Target;
use drift_bundle::{Bundle, BundleError, Flaw};
use drift_compiler::{CompileOptions, ModelIdentity};
use serde_json::{Value, json};

use super::handwritten;
use crate::conformance::graph;
use crate::mutants::{self, Kind, Seed};

/// Mutants of bundles for WebGPU, and of bundles for all targets; `DRIFT_MUTANTS=N` makes N times as many.
const MUTANTS: [u64; 2] = [1500, 300];

/// A manifest byte by byte.
const VECTOR: &str = include_str!("../../../runtime/bundle/tests/vectors/manifest.txt");

/// Writes `manifest.txt`, `bundles.bin` and `verdicts.json`: bundles that this build compiles or that are handwritten, and mutants of them.
pub fn write(folder: &Path) -> Result<(), Box<dyn Error>> {
    let times = std::env::var("DRIFT_MUTANTS").ok().and_then(|times| times.parse::<u64>().ok()).unwrap_or(1);
    fs::write(folder.join("manifest.txt"), VECTOR)?;
    let mut written = Written::default();
    let everything = mutants::seeds()?;
    let mut ours: Vec<Seed> =
        everything.iter().filter(|seed| seed.target == Target::WebGpu).cloned().collect();
    for (name, bytes) in more()? {
        ours.push(Seed::of(name, Target::WebGpu, bytes)?);
    }
    for seed in everything.iter().filter(|seed| seed.target != Target::WebGpu).chain(&ours) {
        written.add(&seed.name, &seed.bytes);
    }
    for (seeds, count) in [&ours, &everything].into_iter().zip(MUTANTS) {
        for number in 0..times * count {
            let mutant = mutants::mutant(seeds, 17, number, &Kind::ALL[..3]);
            written.add(&format!("{:?} {number} of {}", mutant.kind, mutant.seed), &mutant.bytes);
        }
    }
    for number in 0..times * MUTANTS[0] / 3 {
        let mutant = mutants::mutant(&ours, 19, number, &[Kind::Text]);
        written.add(&format!("Text {number} of {}", mutant.seed), &mutant.bytes);
    }
    fs::write(folder.join("bundles.bin"), &written.bytes)?;
    fs::write(folder.join("verdicts.json"), Value::from(written.verdicts).to_string())?;
    Ok(())
}

/// A name and the bytes of a file.
type NamedBytes = (String, Vec<u8>);

/// What the seeds of the mutants lack: regions of every kind, an init program, and several targets in one file.
fn more() -> Result<Vec<NamedBytes>, Box<dyn Error>> {
    let compile = |source: &str, options: CompileOptions| {
        let identity = ModelIdentity { name: "case".to_owned(), hash: "0".repeat(64) };
        drift_compiler::compile(graph(source), identity, &options)?
            .bundle
            .to_bytes()
            .map_err(Box::<dyn Error>::from)
    };
    let conv = "%x: f32[1,4,6,11]\n@w: f32[8,4,3,3] = random(1)\n%1 = conv %x, @w\nreturn %1";
    let profile = |name: &str| CompileOptions {
        targets: vec![Target::WebGpu],
        profiles: vec![name.to_owned()],
        ..CompileOptions::default()
    };
    let own_io = CompileOptions { own_io: true, ..profile("generic") };
    let targets = CompileOptions { targets: Target::ALL.to_vec(), ..profile("generic") };
    Ok(vec![
        ("state".to_owned(), handwritten::accumulator()?),
        ("conv-webgpu-winograd".to_owned(), compile(conv, profile("winograd-4x4"))?),
        ("conv-webgpu-own-io".to_owned(), compile(conv, own_io)?),
        ("conv-all-targets".to_owned(), compile(conv, targets)?),
    ])
}

#[derive(Default)]
struct Written {
    bytes: Vec<u8>,
    verdicts: Vec<Value>,
}

impl Written {
    fn add(&mut self, name: &str, bundle: &[u8]) {
        let verdict = Bundle::from_bytes(bundle.to_vec()).and_then(|bundle| {
            bundle.verify_weights()?;
            Ok(bundle)
        });
        let (manifest, error, is_foreign) = match verdict {
            Ok(bundle) => (serde_json::to_string(bundle.manifest()).ok(), None, false),
            Err(error) => {
                let of_code = matches!(
                    error,
                    BundleError::Invalid { flaw: Flaw::Shader(_) | Flaw::NotRequired { .. }, .. }
                );
                let is_ours = name.contains("webgpu") || name.contains("state");
                (None, Some(error.to_string()), of_code && !is_ours)
            }
        };
        self.verdicts.push(json!({
            "name": name, "offset": self.bytes.len(), "size": bundle.len(),
            "manifest": manifest, "error": error, "isForeign": is_foreign,
        }));
        self.bytes.extend_from_slice(bundle);
    }
}

//! The bundles that mutants are made from: small graphs over kernels, storage types and targets.

use std::error::Error;

use drift_bundle::manifest::Target;
use drift_bundle::{Bundle, Section, stub};
use drift_compiler::{LayoutChoice, Precision, WeightsChoice};
use drift_ir::text;

use crate::conformance::{Setting, compiled};
use crate::web::handwritten;

/// A sound bundle.
#[derive(Clone, Debug)]
pub struct Seed {
    /// What it is made of.
    pub name: String,
    /// Its target.
    pub target: Target,
    /// The file.
    pub bytes: Vec<u8>,
    pub(super) parsed: Parsed,
}

/// A bundle in the parts that can be put together again.
#[derive(Clone, Debug)]
pub(super) struct Parsed {
    pub(super) manifest: drift_bundle::manifest::Manifest,
    pub(super) shaders: Vec<u8>,
    pub(super) weights: Vec<u8>,
    /// The manifest as fields and lists.
    pub(super) fields: serde_json::Value,
}

const GRAPHS: [(&str, &str); 6] = [
    ("relu", "%x: f32[2,8]\n%1 = relu %x\nreturn %1"),
    (
        "mlp",
        "%x: f32[4,12]\n@w: f32[12,20] = random(5)\n@b: f32[20] = random(6)\n%1 = matmul %x, @w epilogue(add @b; gelu)\n%2 = softmax %1 {axis=1}\nreturn %2",
    ),
    (
        "data-movement",
        "%x: f32[2,5,3]\n%1 = transpose %x {perm=[2,0,1]}\n%2 = reduce_sum %1 {axes=[1]}\n%3 = exp %2\nreturn %1, %3",
    ),
    (
        "integers",
        "%i: i64[3,4]\n%j: i64[4]\n%1 = add %i, %j\n%2 = cast %1 {to=f32}\n%3 = greater %i, %j\nreturn %1, %2, %3",
    ),
    (
        "conv",
        "%x: f32[1,3,9,9]\n@w: f32[8,3,3,3] = random(2)\n@b: f32[8] = random(4)\n%1 = conv %x, @w, @b {pads=[1,1,1,1]} epilogue(relu)\nreturn %1",
    ),
    (
        "many-steps",
        "%x: f32[1,4,8]\n%y: f32[1,8,4]\n%1 = matmul %x, %y\n%2 = softmax %1 {axis=2}\n%3 = tanh %x\n%4 = matmul %2, %3\n%5 = add %4, %x\nreturn %5",
    ),
];

const SETTINGS: [(&str, Target, LayoutChoice, Precision); 6] = [
    ("vulkan", Target::Vulkan, LayoutChoice::Auto, Precision::F32),
    ("vulkan-texture2d", Target::Vulkan, LayoutChoice::Texture2d, Precision::F32),
    ("vulkan-image-buffer", Target::Vulkan, LayoutChoice::ImageBuffer, Precision::F32),
    ("opencl", Target::OpenCl, LayoutChoice::Auto, Precision::F32),
    ("metal", Target::Metal, LayoutChoice::Auto, Precision::F32),
    ("webgpu", Target::WebGpu, LayoutChoice::Texture2d, Precision::F32),
];

/// Compiles all of them.
pub fn seeds() -> Result<Vec<Seed>, Box<dyn Error>> {
    let mut seeds = Vec::new();
    for (graph, source) in GRAPHS {
        for (name, target, layout, precision) in SETTINGS {
            let setting = Setting {
                layout,
                precision,
                weights: WeightsChoice::default(),
                profile: "generic",
                keep_attention: false,
            };
            let name = format!("{graph}-{name}");
            seeds.push(
                seed(name.clone(), source, target, setting).map_err(|error| format!("{name}: {error}"))?,
            );
        }
    }
    // With sizes that the host says, words and grids that follow from them.
    seeds.push(Seed::of("sizes-webgpu".to_owned(), Target::WebGpu, handwritten::sized()?)?);
    Ok(seeds)
}

fn seed(name: String, source: &str, target: Target, setting: Setting) -> Result<Seed, Box<dyn Error>> {
    let graph = text::parse(source)?;
    Seed::of(name, target, compiled(&graph, target, setting)?.bundle.to_bytes()?)
}

impl Seed {
    /// Takes a sound bundle for `target`.
    pub fn of(name: String, target: Target, bytes: Vec<u8>) -> Result<Self, Box<dyn Error>> {
        let parsed = Parsed::of(&bytes)?;
        Ok(Self { name, target, bytes, parsed })
    }
}

impl Parsed {
    /// Takes a sound bundle apart.
    pub(super) fn of(bytes: &[u8]) -> Result<Self, Box<dyn Error>> {
        let manifest = Bundle::from_bytes(bytes.to_vec())?.manifest().clone();
        let section = |section| stub::range(bytes, section).map(|range| bytes[range].to_vec());
        let (shaders, weights) = (section(Section::Shaders)?, section(Section::Weights)?);
        let fields = serde_json::to_value(&manifest)?;
        Ok(Self { manifest, shaders, weights, fields })
    }
}

#[cfg(test)]
mod tests {
    use super::SETTINGS;
    use drift_bundle::manifest::Target;

    #[test]
    fn code_of_every_target_is_damaged() {
        for target in Target::ALL {
            assert!(SETTINGS.iter().any(|setting| setting.1 == target), "`SETTINGS` lacks {target:?}");
        }
    }
}

//! One change of a bundle, drawn at random.

use drift_bundle::manifest::{Manifest, Target};
use drift_bundle::{Section, stub};
use serde_json::Value;

use super::Kind;
use super::seeds::{Parsed, Seed};

/// SplitMix64: enough randomness for tests, the same on every machine.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`, which is not zero.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.draw() % limit as u64) as usize
    }

    fn byte(&mut self, before: u8) -> u8 {
        // Markers of bincode's wide integers reach large values that single random bytes do not.
        const MARKERS: [u8; 8] = [0, 1, 250, 251, 252, 253, 254, 255];
        match self.below(4) {
            0 => MARKERS[self.below(MARKERS.len())],
            1 => before ^ (1 << self.below(8)),
            _ => self.draw() as u8,
        }
    }
}

/// A file that differs from `seed` by one change.
pub(super) fn apply(seed: &Seed, kind: Kind, random: &mut Random) -> Vec<u8> {
    let Parsed { manifest, shaders, weights, fields } = &seed.parsed;
    match kind {
        Kind::Bytes => {
            let mut bytes = seed.bytes.clone();
            for _ in 0..=random.below(4) {
                let at = random.below(bytes.len());
                bytes[at] = random.byte(bytes[at]);
            }
            if random.below(8) == 0 {
                bytes.truncate(random.below(bytes.len()));
            }
            bytes
        }
        Kind::Section => section(seed, random),
        Kind::Manifest => sealed(&changed(manifest, fields, random), shaders, weights),
        Kind::Words | Kind::Text => {
            let (mut manifest, mut shaders) = (manifest.clone(), shaders.clone());
            code(&mut manifest, &mut shaders, random);
            sealed(&manifest, &shaders, weights)
        }
    }
}

fn sealed(manifest: &Manifest, shaders: &[u8], weights: &[u8]) -> Vec<u8> {
    stub::file(manifest, shaders, weights).unwrap_or_default()
}

/// Changes bytes of the encoded manifest or of the shaders and makes the hashes right.
fn section(seed: &Seed, random: &mut Random) -> Vec<u8> {
    let mut bytes = seed.bytes.clone();
    for _ in 0..=random.below(3) {
        let section = if random.below(8) == 0 { Section::Shaders } else { Section::Manifest };
        let Ok(range) = stub::range(&seed.bytes, section) else { return bytes };
        let at = range.start + random.below(range.len());
        bytes[at] = random.byte(bytes[at]);
    }
    // The header is sound, so this does not fail.
    let _ = stub::reseal(&mut bytes);
    bytes
}

/// The manifest with one field, list or variant of an enum changed.
fn changed(manifest: &Manifest, whole: &Value, random: &mut Random) -> Manifest {
    let mut nodes = 0;
    visit(whole, &mut |_| nodes += 1);
    // Not every change gives a manifest: an enum has no such variant.
    for _ in 0..64 {
        let mut value = whole.clone();
        let (chosen, mut n) = (random.below(nodes), 0);
        visit_mut(&mut value, &mut |node| {
            if n == chosen {
                alter(node, random);
            }
            n += 1;
        });
        if value != *whole
            && let Ok(manifest) = serde_json::from_value(value)
        {
            return manifest;
        }
    }
    manifest.clone()
}

fn visit(value: &Value, at: &mut impl FnMut(&Value)) {
    at(value);
    match value {
        Value::Array(list) => list.iter().for_each(|one| visit(one, at)),
        Value::Object(map) => map.values().for_each(|one| visit(one, at)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn visit_mut(value: &mut Value, at: &mut impl FnMut(&mut Value)) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(|one| visit_mut(one, at)),
        Value::Object(map) => map.values_mut().for_each(|one| visit_mut(one, at)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    at(value);
}

/// Names of variants that enums of the manifest have, so that one can stand for another.
const VARIANTS: [&str; 32] = [
    "F32",
    "F16",
    "I32",
    "U32",
    "I64",
    "I8",
    "U8",
    "Bool",
    "Vulkan",
    "Metal",
    "WebGpu",
    "OpenCl",
    "D2",
    "Array",
    "D3",
    "Arena",
    "State",
    "Io",
    "Subgroups",
    "main",
    "",
    "StorageBuffer",
    "UniformBuffer",
    "GreedyBySize",
    "Search",
    "Add",
    "Sub",
    "Mul",
    "FloorDiv",
    "CeilDiv",
    "Max",
    "Min",
];

fn alter(node: &mut Value, random: &mut Random) {
    match node {
        Value::Bool(truth) => *truth = !*truth,
        Value::Number(number) => {
            let before = number.as_u64().unwrap_or(0);
            let near = [
                before.wrapping_add(1),
                before.saturating_sub(1),
                before * 2,
                before / 2,
                before ^ (1 << random.below(20)),
                before + 256,
                before.saturating_sub(256),
                random.below(8) as u64,
                u64::from(random.draw() as u32),
                random.draw(),
                [0, 255, 65_535, 65_536, u32::MAX.into(), 1 << 40, u64::MAX, i64::MAX as u64]
                    [random.below(8)],
            ];
            *node = near[random.below(near.len())].into();
        }
        Value::String(text) => match random.below(8) {
            0 => text.push('\0'),
            1 => *text = "x".repeat(5000),
            2 => text.insert_str(0, "\u{1b}[2J"),
            _ => *text = VARIANTS[random.below(VARIANTS.len())].to_owned(),
        },
        Value::Array(list) if !list.is_empty() => {
            let (a, b) = (random.below(list.len()), random.below(list.len()));
            match random.below(4) {
                0 => drop(list.remove(a)),
                1 => list.insert(a, list[b].clone()),
                2 => list.swap(a, b),
                _ => list[a] = list[b].clone(),
            }
        }
        Value::Object(map) if map.len() == 1 => {
            // A variant with fields becomes another with the same fields.
            const TAGS: [&str; 16] = [
                "StorageBuffer",
                "UniformBuffer",
                "Texture",
                "ImageBuffer",
                "Arena",
                "Weights",
                "ArenaTexels",
                "WeightTexels",
                "Derived",
                "DerivedTexels",
                "WeightTexture",
                "SharedBytes",
                "Const",
                "Dim",
                "Size",
                "Params",
            ];
            let fields = map.values().next().cloned().unwrap_or_default();
            map.clear();
            map.insert(TAGS[random.below(TAGS.len())].to_owned(), fields);
        }
        Value::Null | Value::Array(_) | Value::Object(_) => {}
    }
}

/// Changes the code of one shader. Those that share it share the change.
fn code(manifest: &mut Manifest, section: &mut Vec<u8>, random: &mut Random) {
    let shader = manifest.shaders[random.below(manifest.shaders.len())].clone();
    let range = shader.offset as usize..(shader.offset + shader.size) as usize;
    let code = &section[range];
    let new = if shader.target == Target::Vulkan { words(code, random) } else { text(code, random) };
    // The new code goes to the end, so that its length is free.
    section.resize(section.len().next_multiple_of(4), 0);
    let (offset, size) = (section.len() as u64, new.len() as u64);
    section.extend(new);
    for other in &mut manifest.shaders {
        if other.offset == shader.offset {
            (other.offset, other.size) = (offset, size);
        }
    }
}

fn words(code: &[u8], random: &mut Random) -> Vec<u8> {
    let mut words: Vec<u32> = code.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
    let starts = starts(&words);
    let at = random.below(words.len());
    let (one, other) = (random.below(starts.len()), random.below(starts.len()));
    let instruction = |n: usize| starts[n].0..starts[n].0 + starts[n].1;
    match random.below(12) {
        0 => words[at] = random.draw() as u32,
        1 => words[at] ^= 1 << random.below(32),
        2 => words[at] = words[random.below(words.len())],
        3 => words[at] = words[at].wrapping_add(1),
        4 => words[at] = random.below(300) as u32,
        5 => drop(words.drain(instruction(one))),
        6 => {
            let copy = words[instruction(other)].to_vec();
            words.splice(starts[one].0..starts[one].0, copy);
        }
        7 => words.truncate(at),
        8 => {
            let new = random.below(400) as u32;
            let word = &mut words[starts[one].0];
            *word = *word & 0xffff_0000 | new;
        }
        9 | 10 => {
            // An operand becomes that of another instruction.
            let (from, to) = (instruction(other), instruction(one));
            if from.len() > 1 && to.len() > 1 {
                let (from, to) = (
                    from.start + 1 + random.below(from.len() - 1),
                    to.start + 1 + random.below(to.len() - 1),
                );
                words[to] = words[from];
            }
        }
        _ => {
            let (a, b) = (instruction(one.min(other)), instruction(one.max(other)));
            if a.end <= b.start {
                let (first, second) = (words[a.clone()].to_vec(), words[b.clone()].to_vec());
                words.splice(b, first);
                words.splice(a, second);
            }
        }
    }
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// First word and length of each instruction of a sound module.
fn starts(words: &[u32]) -> Vec<(usize, usize)> {
    let (mut at, mut starts) = (5, Vec::new());
    while let Some(word) = words.get(at) {
        let length = (word >> 16).max(1) as usize;
        starts.push((at, length));
        at += length;
    }
    starts
}

fn text(code: &[u8], random: &mut Random) -> Vec<u8> {
    const PIECES: [&str; 12] = [
        "{",
        ")",
        ",",
        "[[buffer(9)]]",
        "/*",
        "#include \"x\"\n",
        "@",
        "\u{e9}",
        "const ",
        "0",
        "kernel void",
        "<",
    ];
    let mut code = code.to_vec();
    let at = random.below(code.len());
    match random.below(4) {
        0 => code[at] = random.draw() as u8,
        1 => drop(code.splice(at..at, PIECES[random.below(PIECES.len())].bytes())),
        2 => drop(code.drain(at..(at + 1 + random.below(20)).min(code.len()))),
        _ => code.truncate(at),
    }
    code
}

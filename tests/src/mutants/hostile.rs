//! Hostile bundles, as edits of a sound one: a change of the format changes them too.

use std::error::Error;

use drift_bundle::manifest::{BindingKind, Manifest, Shader};
use drift_bundle::stub;

use super::seeds::{Parsed, Seed};

/// A bundle that someone made on purpose.
#[derive(Clone, Debug)]
pub struct Hostile {
    /// What was done.
    pub name: &'static str,
    /// The file.
    pub bytes: Vec<u8>,
    /// Part of what the reader says, or nothing where only the device can tell.
    pub said: Option<&'static str>,
}

type Edit = fn(&mut Manifest, &mut Vec<u32>);

/// A change of what the manifest says of a shader.
type Lie = fn(&mut Shader);

/// Manifests that say something else than their SPIR-V, and what is said of each.
const LIES: [(&str, &str, Lie); 8] = [
    ("workgroup", "the workgroup is", |shader| shader.workgroup_size = [1024, 1, 1]),
    ("bindings", "no such slot", |shader| shader.bindings[0].binding = 7),
    ("fewer bindings", "", |shader| {
        shader.bindings.pop();
    }),
    ("kind", "another kind", |shader| {
        shader.bindings[0].kind = BindingKind::UniformBuffer { min_bytes: 16 };
    }),
    ("writable", "may write it", |shader| {
        shader.bindings.iter_mut().for_each(|slot| slot.writable = false);
    }),
    ("bytes", "the slot 4", |shader| {
        shader.bindings[0].kind = BindingKind::StorageBuffer { min_bytes: 4 };
    }),
    ("entry point", "the entry point is", |shader| shader.entry_point = "other".to_owned()),
    ("entry point with an end", "the entry point is", |shader| shader.entry_point.push('\0')),
];

/// Changes of the SPIR-V of one shader, and what is said of each.
const CODES: [(&str, Option<&str>, Edit); 14] = [
    ("header alone", Some("there is no"), |_, words| words.truncate(5)),
    ("cut in the middle of an instruction", Some("leaves the module"), |_, words| {
        words.truncate(words.len() * 2 / 3);
        let last = words.len() - 1;
        words[last] = 9 << 16 | 128;
    }),
    ("cut between instructions", Some("there is no"), |_, words| {
        let at = first(words, FUNCTION);
        words.truncate(at);
    }),
    ("instruction without words", Some("leaves the module"), |_, words| words[5] = 17),
    ("bound of all ids", Some("the bound"), |_, words| words[3] = u32::MAX),
    ("bound below the ids", Some("not below the bound"), |_, words| words[3] = 3),
    ("workgroup by a built-in", Some("decoration fits"), |_, words| {
        let at = first(words, DECORATE);
        words.splice(at..at, [4 << 16 | DECORATE, 1, 11, 25]);
    }),
    ("second entry point", Some("second entry point"), |_, words| repeat(words, 15)),
    ("second workgroup", Some("second workgroup"), |_, words| repeat(words, 16)),
    ("physical addressing", Some("memory model"), |_, words| {
        let at = first(words, 14);
        words[at + 1] = 2;
    }),
    ("capability Kernel", Some("capability 6"), |_, words| {
        words.splice(5..5, [2 << 16 | 17, 6]);
    }),
    ("halves that are not required", Some("does not require"), |_, words| {
        words.splice(5..5, [2 << 16 | 17, 9]);
    }),
    ("larger array", Some("bytes, the slot"), |_, words| {
        // The length of the first array.
        let mut done = false;
        each(words, 43, |one| {
            if !done && one[3] > 8 {
                (one[3], done) = (2 * one[3], true);
            }
        });
    }),
    ("endless loop", None, |_, words| {
        // The way out of each loop leads back into it.
        let mut ends = Vec::new();
        each(words, 246, |one| ends.push(one[1]));
        each(words, 250, |one| {
            if ends.contains(&one[3]) {
                one[3] = one[2];
            } else if ends.contains(&one[2]) {
                one[2] = one[3];
            }
        });
    }),
];

const DECORATE: u32 = 71;
const FUNCTION: u32 = 54;

/// All of them, from the bundle of a graph with a loop.
pub fn hostile(seeds: &[Seed]) -> Result<Vec<Hostile>, Box<dyn Error>> {
    let seed = seeds.iter().find(|seed| seed.name == "mlp-vulkan").ok_or("there is no such seed")?;
    let Parsed { manifest, shaders, weights, .. } = &seed.parsed;
    let mut made = Vec::new();
    for (name, said, edit) in LIES {
        let mut manifest = manifest.clone();
        edit(&mut manifest.shaders[0]);
        made.push(Hostile { name, bytes: stub::file(&manifest, shaders, weights)?, said: Some(said) });
    }
    for (name, said, edit) in CODES {
        let (mut manifest, mut shaders) = (manifest.clone(), shaders.clone());
        let Shader { offset, size, .. } = manifest.shaders[0];
        let code = &shaders[offset as usize..][..size as usize];
        let mut words: Vec<u32> =
            code.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
        edit(&mut manifest, &mut words);
        (manifest.shaders[0].offset, manifest.shaders[0].size) =
            (shaders.len().next_multiple_of(4) as u64, 4 * words.len() as u64);
        shaders.resize(shaders.len().next_multiple_of(4), 0);
        shaders.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        made.push(Hostile { name, bytes: stub::file(&manifest, &shaders, weights)?, said });
    }
    made.push(overlapping(&seed.parsed)?);
    Ok(made)
}

/// Many shaders whose ranges overlap, so that a reader that takes each by itself reads the section as many times.
fn overlapping(parsed: &Parsed) -> Result<Hostile, Box<dyn Error>> {
    let Parsed { manifest, shaders, weights, .. } = parsed;
    let mut manifest = manifest.clone();
    let start = shaders.len().next_multiple_of(4);
    let mut section = shaders.clone();
    section.resize(start, 0);
    section.resize(start + (1 << 20), b' ');
    let shader = manifest.shaders[0].clone();
    for n in 0..10_000 {
        let (offset, size) = (start as u64 + 4 * n, (1 << 20) - 4 * n);
        manifest.shaders.push(Shader { offset, size, ..shader.clone() });
    }
    let bytes = stub::file(&manifest, &section, weights)?;
    Ok(Hostile { name: "overlapping code", bytes, said: Some("overlaps that of shader") })
}

/// Calls `at` on the words of each instruction of `opcode`.
fn each(words: &mut [u32], opcode: u32, mut at: impl FnMut(&mut [u32])) {
    let mut start = 5;
    while start < words.len() {
        let end = start + (words[start] >> 16) as usize;
        if words[start] & 0xffff == opcode {
            at(&mut words[start..end]);
        }
        start = end;
    }
}

/// Where the first instruction of `opcode` stands.
fn first(words: &[u32], opcode: u32) -> usize {
    let mut start = 5;
    while start < words.len() && words[start] & 0xffff != opcode {
        start += (words[start] >> 16) as usize;
    }
    start
}

/// Writes the first instruction of `opcode` twice.
fn repeat(words: &mut Vec<u32>, opcode: u32) {
    let at = first(words, opcode);
    let copy = words[at..at + (words[at] >> 16) as usize].to_vec();
    words.splice(at..at, copy);
}

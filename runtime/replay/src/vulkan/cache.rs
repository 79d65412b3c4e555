//! Keeps compiled pipelines between loads, in one file per device, driver and shader section.
//!
//! Drivers check the head of what they are given and trust the rest, so a file carries a hash and a damaged
//! one is never shown to a driver. Nothing here fails a load: without a cache, pipelines are compiled anew.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use drift_bundle::{Bundle, Section};

use super::context::Context;
use crate::report::CacheUse;

const HASH_BYTES: usize = 32;

/// The cache file of one load.
pub(crate) struct CacheFile {
    path: PathBuf,
    found: Found,
}

enum Found {
    Nothing,
    Damaged,
    Data(Vec<u8>),
}

impl CacheFile {
    pub(crate) fn open(folder: &Path, context: &Context, bundle: &Bundle) -> Self {
        let path = folder.join(file_name(context, bundle));
        let found = match fs::read(&path) {
            Ok(file) => unseal(&file).map_or(Found::Damaged, |data| Found::Data(data.to_vec())),
            Err(_) => Found::Nothing,
        };
        Self { path, found }
    }

    /// What an earlier load left, if it is whole.
    pub(crate) fn data(&self) -> &[u8] {
        match &self.found {
            Found::Data(data) => data,
            Found::Nothing | Found::Damaged => &[],
        }
    }

    /// Keeps `data`, unless it is what was found.
    pub(crate) fn store(self, data: &[u8]) -> CacheUse {
        if matches!(&self.found, Found::Data(found) if found == data) {
            return CacheUse::Used(self.path);
        }
        match replace(&self.path, &seal(data)) {
            Err(error) => CacheUse::Unwritable { path: self.path, reason: error.to_string() },
            Ok(()) => match self.found {
                Found::Nothing => CacheUse::Created(self.path),
                Found::Damaged => CacheUse::Replaced(self.path),
                Found::Data(_) => CacheUse::Used(self.path),
            },
        }
    }
}

/// Names the device, its driver (Vulkan's cache UUID changes with it) and the shaders.
fn file_name(context: &Context, bundle: &Bundle) -> String {
    let info = &context.info;
    let shaders = &bundle.section_hash(Section::Shaders)[..16];
    format!(
        "{:x}-{:x}-{}-{}.pipelines",
        info.vendor_id,
        info.device_id,
        hex(&context.cache_uuid),
        hex(shaders)
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn seal(data: &[u8]) -> Vec<u8> {
    [blake3::hash(data).as_bytes(), data].concat()
}

fn unseal(file: &[u8]) -> Option<&[u8]> {
    let (hash, data) = file.split_at_checked(HASH_BYTES)?;
    (blake3::hash(data).as_bytes() == hash).then_some(data)
}

/// Other processes may load the same bundle, so the file appears whole or not at all.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let partial = path.with_extension(format!("{}.partial", std::process::id()));
    fs::write(&partial, bytes).and_then(|()| fs::rename(&partial, path)).inspect_err(|_| {
        let _ = fs::remove_file(&partial);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_files_are_not_unsealed() {
        let file = seal(b"pipelines");
        assert_eq!(unseal(&file), Some(&b"pipelines"[..]));
        for at in 0..file.len() {
            let mut damaged = file.clone();
            damaged[at] ^= 1;
            assert_eq!(unseal(&damaged), None);
            assert_eq!(unseal(&file[..at]), None);
        }
    }
}

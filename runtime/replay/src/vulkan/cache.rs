//! Keeps compiled pipelines between loads, in one file per device, driver and shader section.
//!
//! Drivers check the head of what they are given and trust the rest, so a file is used only if it is the user's own, its
//! hash says that it is whole and its head names this device and driver. Nothing here fails a load: without a cache,
//! pipelines are compiled anew.

use std::path::{Path, PathBuf};

use drift_bundle::{Bundle, Section};

use super::cache_file::{self, MOST_BYTES};
use super::context::Context;
use crate::report::CacheUse;

const HASH_BYTES: usize = 32;

/// What Vulkan puts before a driver's own data: length, version 1, vendor, device, cache UUID.
const HEAD_BYTES: usize = 32;

/// The cache file of one load.
pub(crate) struct CacheFile {
    path: PathBuf,
    found: Found,
}

enum Found {
    Nothing,
    /// Damaged, somebody else's, or of another device.
    Unusable,
    Data(Vec<u8>),
}

/// The device and driver that data must be of.
#[derive(Clone, Copy)]
struct Owner<'a> {
    vendor: u32,
    device: u32,
    uuid: &'a [u8; ash::vk::UUID_SIZE],
}

impl CacheFile {
    pub(crate) fn open(folder: &Path, context: &Context, bundle: &Bundle) -> Self {
        let path = folder.join(file_name(context, bundle));
        let owner = Owner {
            vendor: context.info.vendor_id,
            device: context.info.device_id,
            uuid: &context.cache_uuid,
        };
        let found = match cache_file::read(&path) {
            Ok(file) => match unseal(&file).filter(|data| is_of(data, owner)) {
                Some(data) => Found::Data(data.to_vec()),
                None => Found::Unusable,
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Found::Nothing,
            Err(_) => Found::Unusable,
        };
        Self { path, found }
    }

    /// What an earlier load left, if it is whole.
    pub(crate) fn data(&self) -> &[u8] {
        match &self.found {
            Found::Data(data) => data,
            Found::Nothing | Found::Unusable => &[],
        }
    }

    /// Keeps `data`, unless it is what was found.
    pub(crate) fn store(self, data: &[u8]) -> CacheUse {
        if matches!(&self.found, Found::Data(found) if found == data) {
            return CacheUse::Used(self.path);
        }
        let sealed = seal(data);
        if sealed.len() as u64 > MOST_BYTES {
            let reason = format!("{} bytes where at most {MOST_BYTES} are kept", sealed.len());
            return CacheUse::Unwritable { path: self.path, reason };
        }
        match cache_file::replace(&self.path, &sealed) {
            Err(error) => CacheUse::Unwritable { path: self.path, reason: error.to_string() },
            Ok(()) => match self.found {
                Found::Nothing => CacheUse::Created(self.path),
                Found::Unusable => CacheUse::Replaced(self.path),
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

/// Whether the head is whole and names this device and driver.
fn is_of(data: &[u8], owner: Owner<'_>) -> bool {
    let Some(head) = data.get(..HEAD_BYTES) else { return false };
    let words: Vec<u32> =
        head.as_chunks::<4>().0.iter().take(4).map(|word| u32::from_le_bytes(*word)).collect();
    let [length, version, vendor, device] = words[..] else { return false };
    (HEAD_BYTES..=data.len()).contains(&(length as usize))
        && version == ash::vk::PipelineCacheHeaderVersion::ONE.as_raw() as u32
        && (vendor, device) == (owner.vendor, owner.device)
        && head[16..] == owner.uuid[..]
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

    #[test]
    fn data_of_another_device_or_driver_is_not_for_this_one() {
        let owner = Owner { vendor: 0x10005, device: 7, uuid: &[9; 16] };
        let mut data: Vec<u8> = [32_u32, 1, 0x10005, 7].iter().flat_map(|word| word.to_le_bytes()).collect();
        data.extend([9; 16]);
        data.extend(b"the driver's own");
        assert!(is_of(&data, owner));
        for at in 0..HEAD_BYTES {
            let mut other = data.clone();
            other[at] ^= 0x80;
            assert!(!is_of(&other, owner), "byte {at}");
        }
        assert!(!is_of(&data[..31], owner) && !is_of(&[], owner));
    }
}

//! Keeps compiled kernels between loads, in one file per device, driver and shader section.
//!
//! Drivers trust most of what they are given, so a file is used only if it is the user's own and its hash says that it is
//! whole. Nothing here fails a load: without a cache, kernels are compiled anew.

use std::path::{Path, PathBuf};

use drift_bundle::Bundle;

use crate::cache_file::{self, MOST_BYTES};
use crate::info::DeviceInfo;
use crate::report::CacheUse;

const HASH_BYTES: usize = 32;

/// Tells a device with its driver from all others.
#[cfg(any(feature = "opencl", feature = "wgpu", all(feature = "metal", target_vendor = "apple")))]
pub(crate) type DriverHash = [u8; 16];

/// The hash of a device whose driver has none of its own.
#[cfg(any(feature = "opencl", feature = "wgpu", all(feature = "metal", target_vendor = "apple")))]
pub(crate) fn driver_hash(info: &DeviceInfo) -> DriverHash {
    let text = format!("{}\n{}\n{}\n{:x}", info.name, info.driver, info.api_version, info.vendor_id);
    let mut hash = DriverHash::default();
    let length = hash.len();
    hash.copy_from_slice(&blake3::hash(text.as_bytes()).as_bytes()[..length]);
    hash
}

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

impl CacheFile {
    /// The file in `folder` for the kernels of `bundle` on a device whose driver `driver` tells from all others. What is in
    /// it counts where `is_ours` says that it is of this device and driver.
    pub(crate) fn open(
        folder: &Path,
        (info, driver): (&DeviceInfo, &[u8]),
        bundle: &Bundle,
        is_ours: impl Fn(&[u8]) -> bool,
    ) -> Self {
        let path = folder.join(file_name(info, driver, bundle));
        let found = match cache_file::read(&path) {
            Ok(file) => match unseal(&file).filter(|data| is_ours(data)) {
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

    /// Nothing is kept, for a reason of the device's own.
    #[cfg(all(feature = "metal", target_vendor = "apple"))]
    pub(crate) fn unwritable(self, reason: String) -> CacheUse {
        CacheUse::Unwritable { path: self.path, reason }
    }
}

/// Names the device, its driver and the shaders.
fn file_name(info: &DeviceInfo, driver: &[u8], bundle: &Bundle) -> String {
    let shaders = &bundle.contents().shaders_hash()[..16];
    format!("{:x}-{:x}-{}-{}.pipelines", info.vendor_id, info.device_id, hex(driver), hex(shaders))
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

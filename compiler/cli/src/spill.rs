//! Quantized weights on their way to the bundle: in a file without a name beside it, mapped, so that the system needs no memory for
//! them. The one place of this crate with `unsafe`.
#![expect(unsafe_code, reason = "mapping a file is unsafe because another process may change it underneath")]

use bytes::Bytes;
use memmap2::Mmap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// What is smaller stays in memory.
const LEAST_BYTES: usize = 1 << 20;

/// Files of a compilation, which go away with the bytes that are cut from them.
pub(crate) struct Spill {
    folder: PathBuf,
    maps: Mutex<Vec<Mapped>>,
}

#[derive(Clone)]
struct Mapped(Arc<Mmap>);

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Spill {
    /// Files in the folder of `bundle`, which has to have room for as much anyway.
    pub(crate) fn beside(bundle: &Path) -> Self {
        let folder = bundle.parent().filter(|folder| !folder.as_os_str().is_empty());
        Self { folder: folder.unwrap_or(Path::new(".")).to_owned(), maps: Mutex::new(Vec::new()) }
    }

    /// The same bytes, in a file. Where there can be none they stay in memory.
    pub(crate) fn keep(&self, bytes: Vec<u8>) -> Bytes {
        if bytes.len() < LEAST_BYTES {
            return Bytes::from(bytes);
        }
        match self.written(&bytes) {
            Ok(map) => {
                self.maps.lock().unwrap_or_else(PoisonError::into_inner).push(map.clone());
                Bytes::from_owner(map)
            }
            Err(_) => Bytes::from(bytes),
        }
    }

    fn written(&self, bytes: &[u8]) -> io::Result<Mapped> {
        let mut file: File = tempfile::tempfile_in(&self.folder)?;
        file.write_all(bytes)?;
        // SAFETY: the file has no name, so that nobody else opens it, and nothing here writes to it again.
        let map = unsafe { Mmap::map(&file)? };
        let map = Mapped(Arc::new(map));
        release(&map);
        Ok(map)
    }

    /// Lets the system take back the memory of pages that were read.
    pub(crate) fn release_pages(&self) {
        self.maps.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(release);
    }
}

fn release(map: &Mapped) {
    #[cfg(unix)]
    {
        // SAFETY: the map is of a file, shared and read-only, so its pages hold nothing that the file does not.
        let released = unsafe { map.0.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) };
        // Advice that is not taken costs memory and nothing else.
        drop(released);
    }
    #[cfg(not(unix))]
    let _unused = map;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_the_same_in_a_file_and_without_one() {
        let folder = tempfile::tempdir().unwrap();
        let large: Vec<u8> = (0..LEAST_BYTES * 2).map(|n| (n % 251) as u8).collect();
        for place in [folder.path().join("a.drift"), folder.path().join("none/a.drift")] {
            let spill = Spill::beside(&place);
            let kept = [spill.keep(vec![1, 2, 3]), spill.keep(large.clone())];
            spill.release_pages();
            assert_eq!(kept, [Bytes::from(vec![1, 2, 3]), Bytes::from(large.clone())]);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

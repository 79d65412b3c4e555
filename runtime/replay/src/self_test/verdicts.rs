//! What self-tests found, kept beside the pipeline cache: one file for each device, driver and bundle.
//!
//! A file counts only if it is the user's own, whole, and says that it is of this device, driver and bundle. Anything else is as
//! if it were not there: the tests run again, and the file is replaced. Nothing here fails a load.

use std::path::{Path, PathBuf};

use crate::cache_file;
use crate::info::DeviceInfo;

const HASH_BYTES: usize = 32;

/// The first line of what a file holds; another version of it is another file.
const VERSION: &str = "driftc self-test verdicts 1";

/// What was found of one variant of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) entry: String,
    pub(crate) variant: String,
    /// What is wrong, in words; empty where all is right.
    pub(crate) wrong: String,
}

/// The verdicts of one device, driver and bundle.
pub(crate) struct Verdicts {
    /// None where nothing is kept.
    path: Option<PathBuf>,
    key: String,
    known: Vec<Verdict>,
}

impl Verdicts {
    /// Those that `folder` has for the bundle with this hash; none where there is no folder or nothing sound in it.
    pub(crate) fn open(folder: Option<&Path>, info: &DeviceInfo, bundle: &[u8; 32], untrusted: bool) -> Self {
        let key = format!(
            "{VERSION}\n{:?}\n{:?}\n{:?} {:?}\n{:x} {:x} {untrusted}\n{}",
            info.name,
            info.driver,
            info.kind,
            info.api_version,
            info.vendor_id,
            info.device_id,
            hex(bundle)
        );
        let name = hex(&blake3::hash(key.as_bytes()).as_bytes()[..16]);
        let path = folder.map(|folder| folder.join(format!("{name}.verdicts")));
        let file = path.as_deref().and_then(|path| cache_file::read(path).ok());
        let known = file.and_then(|file| decode(&file, &key)).unwrap_or_default();
        Self { path, key, known }
    }

    /// What is known of a variant.
    pub(crate) fn of(&self, entry: &str, variant: &str) -> Option<&Verdict> {
        self.known.iter().find(|verdict| verdict.entry == entry && verdict.variant == variant)
    }

    /// Keeps a verdict, in place of an older one. What cannot be written is found out again next time.
    pub(crate) fn keep(&mut self, verdict: Verdict) {
        self.known.retain(|old| (&old.entry, &old.variant) != (&verdict.entry, &verdict.variant));
        self.known.push(verdict);
        if let Some(path) = &self.path {
            let _unwritable = cache_file::replace(path, &encode(&self.key, &self.known));
        }
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The hash of all that follows, then texts with their lengths: the key, and three for each verdict.
fn encode(key: &str, verdicts: &[Verdict]) -> Vec<u8> {
    let texts = verdicts.iter().flat_map(|verdict| [&*verdict.entry, &verdict.variant, &verdict.wrong]);
    let mut data = Vec::new();
    for text in [key].into_iter().chain(texts) {
        data.extend((text.len() as u64).to_le_bytes());
        data.extend(text.as_bytes());
    }
    [blake3::hash(&data).as_bytes(), &data[..]].concat()
}

fn decode(file: &[u8], key: &str) -> Option<Vec<Verdict>> {
    let (hash, mut data) = file.split_at_checked(HASH_BYTES)?;
    if blake3::hash(data).as_bytes() != hash {
        return None;
    }
    let mut texts = Vec::new();
    while !data.is_empty() {
        let (length, rest) = data.split_first_chunk::<8>()?;
        let (text, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        texts.push(std::str::from_utf8(text).ok()?.to_owned());
        data = rest;
    }
    let (first, verdicts) = texts.split_first()?;
    let (verdicts, rest) = verdicts.as_chunks::<3>();
    if first != key || !rest.is_empty() {
        return None;
    }
    let verdict = |[entry, variant, wrong]: &[String; 3]| {
        let (entry, variant, wrong) = (entry.clone(), variant.clone(), wrong.clone());
        Verdict { entry, variant, wrong }
    };
    Some(verdicts.iter().map(verdict).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(variant: &str, wrong: &str) -> Verdict {
        Verdict { entry: "main".to_owned(), variant: variant.to_owned(), wrong: wrong.to_owned() }
    }

    #[test]
    fn what_is_kept_is_read_and_nothing_else_is() {
        let verdicts = [verdict("a\nb", ""), verdict("generic", "`conv` is wrong")];
        let file = encode("key", &verdicts);
        assert_eq!(decode(&file, "key").as_deref(), Some(&verdicts[..]));
        assert_eq!(decode(&file, "another"), None);
        for at in 0..file.len() {
            let mut damaged = file.clone();
            damaged[at] ^= 1;
            assert_eq!(decode(&damaged, "key"), None);
            assert_eq!(decode(&file[..at], "key"), None);
        }
    }

    #[test]
    fn sealed_nonsense_is_not_read() {
        for data in [&b"short"[..], &[255; 64], &8_u64.to_le_bytes()] {
            let file = [blake3::hash(data).as_bytes(), data].concat();
            assert_eq!(decode(&file, "key"), None);
        }
        let mut two_of_three = encode("key", &[verdict("a", "")]);
        two_of_three.truncate(two_of_three.len() - 8);
        let data = &two_of_three[HASH_BYTES..];
        assert_eq!(decode(&[blake3::hash(data).as_bytes(), data].concat(), "key"), None);
    }
}

//! File names for what a model names: different names give different files, on every file system.

use std::collections::BTreeMap;

/// Bytes of a name before its extension. File systems take 255.
const LONGEST_STEM_BYTES: usize = 200;

/// A file name for each of these names. Letters, digits and `-_.` stay, every other byte is written as `%2F`, a leading
/// dot too; a long name ends in a hash of the whole. Where two differ only in case, which some file systems ignore, so do
/// their capitals.
pub fn file_names<'a>(names: impl IntoIterator<Item = &'a str>, extension: &str) -> Vec<String> {
    let names: Vec<&str> = names.into_iter().collect();
    let mut alike: BTreeMap<String, usize> = BTreeMap::new();
    for name in &names {
        *alike.entry(name.to_ascii_lowercase()).or_default() += 1;
    }
    let stem = |name: &&str| stem(name, alike[&name.to_ascii_lowercase()] > 1);
    names.iter().map(|name| format!("{}.{extension}", stem(name))).collect()
}

fn stem(name: &str, with_capitals: bool) -> String {
    let mut stem = String::with_capacity(name.len());
    for (index, byte) in name.bytes().enumerate() {
        let plain = match byte {
            b'A'..=b'Z' => !with_capitals,
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => true,
            // A leading dot hides a file, or leaves the folder.
            b'.' => index > 0,
            _ => false,
        };
        if plain {
            stem.push(char::from(byte));
        } else {
            stem.push_str(&format!("%{byte:02X}"));
        }
    }
    if stem.is_empty() {
        // No name gives this, since two digits follow each percent sign.
        return "%".to_owned();
    }
    if stem.len() > LONGEST_STEM_BYTES {
        let hash = blake3::hash(name.as_bytes()).to_hex();
        stem.truncate(LONGEST_STEM_BYTES - 33);
        stem.push('~');
        stem.push_str(&hash[..32]);
    }
    stem
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_from_models_stay_in_their_folder() {
        let names = ["/decoder/layer.0/out", "../../etc/passwd", "logits", "..", "", "größe"];
        assert_eq!(
            file_names(names, "npy"),
            [
                "%2Fdecoder%2Flayer.0%2Fout.npy",
                "%2E.%2F..%2Fetc%2Fpasswd.npy",
                "logits.npy",
                "%2E..npy",
                "%.npy",
                "gr%C3%B6%C3%9Fe.npy"
            ]
        );
    }

    #[test]
    fn different_names_give_different_files_whatever_the_case() {
        let long = "x".repeat(300);
        let names = [
            "a/b",
            "a_b",
            "a:b",
            "a%b",
            "a%2Fb",
            "a%2fb",
            "A/B",
            "A_b",
            "%",
            "",
            ".",
            "%2E",
            "a b",
            "a\u{0}b",
            "a\nb",
            "é",
            "e\u{301}",
            &long,
            &long[1..],
            "Y",
            "y",
        ];
        let files: BTreeSet<String> =
            file_names(names, "npy").iter().map(|name| name.to_ascii_lowercase()).collect();
        assert_eq!(files.len(), names.len());
        assert!(files.iter().all(|file| file.len() <= 255 && !file.contains(['/', '\\', ':', '\0'])));
    }
}

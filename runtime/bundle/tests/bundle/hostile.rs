//! Damaged and forged files: every one is refused with a typed error, or is valid; none panics or hangs.

use drift_bundle::{Bundle, BundleError, Section};

use crate::sample::{self, Random};

fn open(bytes: &[u8]) -> Result<Bundle, BundleError> {
    Bundle::from_bytes(bytes.to_vec())
}

/// Touches everything that an accepted bundle promises.
fn use_all(bundle: &Bundle) {
    let manifest = bundle.manifest();
    for shader in &manifest.shaders {
        assert_eq!(bundle.shader_code(shader).len() as u64, shader.size);
    }
    for blob in &manifest.weights {
        assert!(bundle.weight_bytes(blob).is_ok_and(|bytes| bytes.len() as u64 == blob.size));
    }
    for entry in &manifest.entries {
        for dispatch in
            entry.variants.iter().flat_map(|variant| variant.init.iter().chain(&variant.dispatches))
        {
            let shader = &manifest.shaders[dispatch.shader as usize];
            assert_eq!(shader.bindings.len(), dispatch.bindings.len());
        }
    }
}

#[test]
fn every_truncation_is_refused() {
    let bytes = sample::bytes();
    for length in 0..bytes.len() {
        let error = open(&bytes[..length]).unwrap_err();
        match length {
            0 => assert!(matches!(error, BundleError::Magic), "{length}: {error}"),
            _ => assert!(matches!(error, BundleError::Truncated { .. }), "{length}: {error}"),
        }
    }
}

#[test]
fn trailing_bytes_are_refused() {
    let mut bytes = sample::bytes();
    bytes.push(0);
    assert!(matches!(open(&bytes), Err(BundleError::Header { .. })));
}

#[test]
fn random_bytes_are_refused() {
    let mut random = Random(1);
    for length in [1, 7, 8, 9, 100, 4095, 4096, 4097, 9000] {
        for _ in 0..20 {
            let mut bytes: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
            open(&bytes).unwrap_err();
            let head = bytes.len().min(8);
            bytes[..head].copy_from_slice(&drift_bundle::MAGIC[..head]);
            open(&bytes).unwrap_err();
        }
    }
}

#[test]
fn another_version_is_named() {
    let mut bytes = sample::bytes();
    bytes[8] += 1;
    let error = open(&bytes).unwrap_err();
    let expected = drift_bundle::FORMAT_VERSION;
    assert!(matches!(error, BundleError::Version { found, .. } if found == expected + 1), "{error}");
}

#[test]
fn a_file_copied_as_text_is_not_a_bundle() {
    let mut bytes = sample::bytes();
    bytes.remove(5);
    assert!(matches!(open(&bytes), Err(BundleError::Magic)));
}

#[test]
fn damage_is_found_in_the_section_where_it_is() {
    for (index, section) in [Section::Manifest, Section::Shaders].into_iter().enumerate() {
        let mut bytes = sample::bytes();
        let at = sample::section(&bytes, index).start + 3;
        bytes[at] ^= 0x10;
        match open(&bytes) {
            Err(BundleError::Hash { section: found }) => assert_eq!(found, section),
            other => panic!("{section}: {other:?}"),
        }
    }
}

#[test]
fn damaged_weights_open_but_do_not_verify() {
    let mut bytes = sample::bytes();
    bytes[4096 + 5] ^= 1;
    let bundle = open(&bytes).unwrap();
    assert!(matches!(bundle.verify_weights(), Err(BundleError::Hash { section: Section::Weights })));
}

#[test]
fn bytes_between_sections_must_be_zero() {
    let mut bytes = sample::bytes();
    let end = sample::section(&bytes, 2).end;
    bytes[end] = 1;
    assert!(matches!(open(&bytes), Err(BundleError::Header { .. })));
    bytes[end] = 0;
    bytes[4000] = 1;
    assert!(matches!(open(&bytes), Err(BundleError::Header { .. })));
}

#[test]
fn mutated_files_are_valid_or_refused() {
    let original = sample::bytes();
    let mut random = Random(2);
    for _ in 0..5000 {
        let mut bytes = original.clone();
        for _ in 0..=random.below(4) {
            let at = random.below(bytes.len());
            bytes[at] = random.next() as u8;
        }
        if let Ok(bundle) = open(&bytes) {
            use_all(&bundle);
        }
    }
}

#[test]
fn forged_manifests_with_right_hashes_are_valid_or_refused() {
    let original = sample::bytes();
    let (manifest, shaders) = (sample::section(&original, 0), sample::section(&original, 1));
    let mut random = Random(3);
    let mut accepted = 0;
    for _ in 0..10_000 {
        let mut bytes = original.clone();
        for _ in 0..=random.below(3) {
            let section = if random.below(8) == 0 { shaders.clone() } else { manifest.clone() };
            let at = section.start + random.below(section.len());
            // Markers of bincode's wide integers reach large values that single random bytes do not.
            bytes[at] = match random.below(4) {
                0 => [0, 1, 250, 251, 252, 253, 254, 255][random.below(8)],
                1 => bytes[at] ^ (1 << random.below(8)),
                _ => random.next() as u8,
            };
        }
        sample::reseal(&mut bytes);
        if let Ok(bundle) = open(&bytes) {
            use_all(&bundle);
            accepted += 1;
        }
    }
    assert!(accepted > 100, "only {accepted} were accepted: the mutations do not reach the rules");
}

#[test]
fn a_forged_list_length_is_refused_without_the_memory_it_claims() {
    let original = sample::bytes();
    let manifest = sample::section(&original, 0);
    for at in manifest.start..manifest.end - 9 {
        let mut bytes = original.clone();
        bytes[at] = 253;
        bytes[at + 1..at + 9].copy_from_slice(&u64::MAX.to_le_bytes());
        sample::reseal(&mut bytes);
        if let Ok(bundle) = open(&bytes) {
            use_all(&bundle);
        }
    }
}

//! Damaged and forged files: every one is refused with a typed error, or is valid; none panics or hangs.

use drift_bundle::{Bundle, BundleError, Section, stub};

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
    for length in [1, 7, 8, 9, 100, 255, 256, 257, 4096, 9000] {
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
    for (index, section) in [Section::Manifest, Section::Shaders, Section::Hashes].into_iter().enumerate() {
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
    let at = sample::weights_byte(&bytes, 5);
    bytes[at] ^= 1;
    let bundle = open(&bytes).unwrap();
    let error = bundle.verify_weights().unwrap_err();
    assert!(matches!(&error, BundleError::WeightHash { name } if name == "conv1.weight:o4i4"), "{error}");
}

#[test]
fn bytes_between_sections_must_be_zero() {
    let mut bytes = sample::bytes();
    // The last bytes of the header, and those behind each section but the last.
    let ends = [0, sample::SHADERS, sample::HASHES].map(|index| sample::section(&bytes, index).end);
    for at in [255].into_iter().chain(ends) {
        bytes[at] = 1;
        let error = open(&bytes).unwrap_err();
        assert!(matches!(error, BundleError::Header { .. }), "{at}: {error}");
        bytes[at] = 0;
    }
    let gap = sample::weights_byte(&bytes, 700);
    bytes[gap] = 1;
    let error = open(&bytes).unwrap().verify_weights().unwrap_err();
    assert!(error.to_string().contains("between sections or weights are not zero"), "{error}");
}

#[test]
fn a_wrong_hash_in_the_table_is_of_one_weight() {
    let mut bytes = sample::bytes();
    let second = sample::section(&bytes, sample::HASHES).start + 32;
    bytes[second] ^= 1;
    sample::reseal(&mut bytes);
    let bundle = open(&bytes).unwrap();
    let weights = &bundle.manifest().weights;
    for (index, expected) in [(0, None), (1, Some("conv1.bias"))] {
        let mut reader = bundle.verifying_weight_reader();
        reader.read(&weights[index], 3, &mut [0; 5]).unwrap();
        let named = match reader.finish() {
            Err(BundleError::WeightHash { name }) => Some(name),
            other => other.map(|()| None).unwrap(),
        };
        assert_eq!(named.as_deref(), expected, "a reader checks what it read");
    }
    bundle.verify_weights().unwrap_err();
}

#[test]
fn the_table_has_a_hash_for_each_weight() {
    let bytes = sample::bytes();
    let manifest = sample::bundle().manifest().clone();
    let sections = [sample::SHADERS, sample::WEIGHTS].map(|index| &bytes[sample::section(&bytes, index)]);
    for (change, expected) in [(-1, "32 bytes of hashes where"), (1, "96 bytes of hashes where")] {
        let count = (manifest.weights.len() as i64 + change) as u64;
        let error =
            open(&stub::file_with_hashes(&manifest, sections[0], count, sections[1]).unwrap()).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn section_tables_that_overlap_or_leave_gaps_are_refused() {
    let original = sample::bytes();
    let at = |index: usize, size: bool| 16 + 48 * index + 8 * usize::from(size);
    let values = [0, 1, 255, 256, 4096, original.len() as u64, 1 << 40, u64::MAX - 4095, u64::MAX];
    for (index, size) in [0, 1, 2, 3].into_iter().flat_map(|index| [(index, false), (index, true)]) {
        let field = at(index, size)..at(index, size) + 8;
        for value in values {
            let mut bytes = original.clone();
            bytes[field.clone()].copy_from_slice(&value.to_le_bytes());
            if bytes == original {
                continue;
            }
            let error = open(&bytes).unwrap_err();
            // Another size of a hashed section may leave the ones after it where they are.
            let hashed = size && index < sample::WEIGHTS;
            let expected = match error {
                BundleError::Header { .. } | BundleError::Truncated { .. } => true,
                BundleError::Hash { .. } => hashed,
                _ => false,
            };
            assert!(expected, "section {index}, {value}: {error}");
        }
    }
    // A section over another.
    let mut bytes = original.clone();
    let shaders = bytes[at(1, false)..at(1, false) + 16].to_vec();
    bytes[at(2, false)..at(2, false) + 16].copy_from_slice(&shaders);
    assert!(matches!(open(&bytes), Err(BundleError::Header { .. })));
}

#[test]
fn huge_sections_are_refused_before_memory_is_taken() {
    let original = sample::bytes();
    let most = [128_u64 << 20, 1 << 30, 32 << 20];
    for (index, most) in most.into_iter().enumerate() {
        let mut bytes = original.clone();
        bytes[16 + 48 * index + 8..][..8].copy_from_slice(&(most + 1).to_le_bytes());
        let error = open(&bytes).unwrap_err();
        assert!(error.to_string().contains(&format!("where at most {most} are accepted")), "{error}");
    }
    for count in [0, 3, 5, u32::MAX] {
        let mut bytes = original.clone();
        bytes[12..16].copy_from_slice(&count.to_le_bytes());
        let error = open(&bytes).unwrap_err();
        assert!(error.to_string().contains(&format!("{count} sections where there are 4")), "{error}");
    }
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

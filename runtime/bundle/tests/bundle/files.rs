//! Bundles as files: read by position or mapped, replaced, changed and shortened while they are open, and things that are
//! no files at all.
#![expect(clippy::unwrap_used, reason = "a test helper fails by panicking")]

use std::fs::{self, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use drift_bundle::{Bundle, BundleError, BundleWriter, Section};
use tempfile::TempDir;

use crate::sample;

/// The sample as a file in a folder of its own.
fn stored(writer: BundleWriter) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.drift");
    writer.finish(&path).unwrap();
    (folder, path)
}

/// Weights of several pieces of a verifying reader, the last one short.
fn with_large_weights() -> (BundleWriter, Vec<Vec<u8>>) {
    let mut writer = BundleWriter::new(sample::provenance());
    let sizes = [700, 3 << 20, 1, (1 << 20) + 77, 5000];
    let weights: Vec<Vec<u8>> =
        sizes.iter().map(|size| (0..*size).map(|at| (at % 251 + size % 7) as u8).collect()).collect();
    for (index, bytes) in weights.iter().enumerate() {
        writer.add_weight(&format!("w{index}"), bytes.clone()).unwrap();
    }
    (writer, weights)
}

fn overwrite(path: &Path, at: u64, bytes: &[u8]) {
    let mut file = OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(bytes).unwrap();
}

#[test]
fn a_file_is_the_bundle_in_memory() {
    let (_folder, path) = stored(sample::writer());
    // SAFETY: nobody else knows the file.
    #[expect(unsafe_code, reason = "a test that owns the file")]
    let mapped = unsafe { Bundle::map(&path) }.unwrap();
    for bundle in [Bundle::open(&path).unwrap(), mapped] {
        assert_eq!(bundle.manifest(), sample::bundle().manifest());
        assert_eq!(bundle.file_bytes(), sample::bytes().len() as u64);
        for (blob, bytes) in bundle.manifest().weights.iter().zip(sample::weights()) {
            assert_eq!(bundle.weight_bytes(blob).unwrap(), bytes);
        }
        bundle.verify_weights().unwrap();
    }
}

#[test]
fn an_open_bundle_survives_its_replacement() {
    let (_folder, path) = stored(sample::writer());
    let old = Bundle::open(&path).unwrap();
    BundleWriter::new(sample::provenance()).finish(&path).unwrap();
    old.verify_weights().unwrap();
    assert!(Bundle::open(&path).unwrap().manifest().entries.is_empty());
}

#[test]
fn ranges_of_weights_are_read_in_any_order_and_checked() {
    let (writer, weights) = with_large_weights();
    let (_folder, path) = stored(writer);
    let bundle = Bundle::open(&path).unwrap();
    let blobs = &bundle.manifest().weights;
    for mut reader in [bundle.weight_reader(), bundle.verifying_weight_reader()] {
        for (index, offset, size) in [(3, 5, 1 << 20), (1, 0, 3 << 20), (1, 4096, 17), (0, 699, 1), (4, 0, 0)]
        {
            let mut into = vec![0; size];
            reader.read(&blobs[index], offset, &mut into).unwrap();
            assert!(into == weights[index][offset as usize..][..size], "{index} {offset} {size}");
        }
        let error = reader.read(&blobs[0], 700, &mut [0]).unwrap_err();
        assert_eq!(error.to_string(), "weight `w0`: bytes 700 + 1 leave the blob of 700 bytes");
        reader.finish().unwrap();
    }
}

#[test]
fn one_wrong_byte_anywhere_in_the_weights_is_found() {
    let (writer, _) = with_large_weights();
    let bytes = writer.to_bytes().unwrap();
    let whole = Bundle::from_bytes(bytes.clone()).unwrap();
    for (index, blob) in whole.manifest().weights.iter().enumerate() {
        let piece = 1 << 20;
        let within = [0, 400, piece - 1, piece, 2 * piece + 5, blob.size - 1];
        for at in within.into_iter().filter(|at| *at < blob.size) {
            let mut bytes = bytes.clone();
            let at = sample::weights_byte(&bytes, (blob.offset + at) as usize);
            bytes[at] ^= 1;
            let bundle = Bundle::from_bytes(bytes).unwrap();
            let error = bundle.verify_weights().unwrap_err();
            let named = format!("w{index}");
            assert!(matches!(&error, BundleError::WeightHash { name } if *name == named), "{at}: {error}");
        }
    }
}

#[test]
fn the_hash_of_pieces_is_the_hash_of_the_weight() {
    let piece = 1 << 20;
    for size in [1, 1023, 1024, 1025, piece - 1, piece, piece + 1, 2 * piece, 5 * piece + 3, 9 * piece] {
        let mut writer = BundleWriter::new(sample::provenance());
        writer.add_weight("w", vec![size as u8; size]).unwrap();
        Bundle::from_bytes(writer.to_bytes().unwrap()).unwrap().verify_weights().unwrap();
    }
}

#[test]
fn a_reader_checks_the_weights_that_it_reads_and_no_others() {
    let (writer, _) = with_large_weights();
    let mut bytes = writer.to_bytes().unwrap();
    let blobs = Bundle::from_bytes(bytes.clone()).unwrap().manifest().weights.clone();
    let at = sample::weights_byte(&bytes, (blobs[1].offset + (2 << 20)) as usize);
    bytes[at] ^= 1;
    let bundle = Bundle::from_bytes(bytes).unwrap();
    let mut reader = bundle.verifying_weight_reader();
    for blob in [&blobs[0], &blobs[3]] {
        reader.read(blob, 10, &mut [0; 100]).unwrap();
    }
    reader.finish().unwrap();
    let mut reader = bundle.verifying_weight_reader();
    // Far from the damage: the rest of the weight is read at the end.
    reader.read(&blobs[1], 0, &mut [0; 100]).unwrap();
    assert!(matches!(reader.finish(), Err(BundleError::WeightHash { name }) if name == "w1"));
}

#[test]
fn a_weight_of_another_bundle_is_refused() {
    let bundle = Bundle::from_bytes(with_large_weights().0.to_bytes().unwrap()).unwrap();
    let other = sample::bundle();
    let foreign = &other.manifest().weights[1];
    let error = bundle.weight_reader().read(foreign, 0, &mut [0; 4]).unwrap_err();
    assert_eq!(error.to_string(), "weight `conv1.bias`: is no weight of this bundle");
    assert!(bundle.weight_bytes(foreign).is_err());
}

#[test]
fn a_file_that_is_shortened_while_open_is_an_error() {
    let (writer, _) = with_large_weights();
    let (_folder, path) = stored(writer);
    let bundle = Bundle::open(&path).unwrap();
    let manifest = bundle.manifest().clone();
    OpenOptions::new().write(true).open(&path).unwrap().set_len(20_000).unwrap();
    // What is owned stays; what is not is an error, not a signal.
    assert_eq!(*bundle.manifest(), manifest);
    for result in [
        bundle.weight_bytes(&manifest.weights[3]).map(drop),
        bundle.verify_weights(),
        bundle.weight_reader().read(&manifest.weights[1], 1 << 20, &mut [0; 10]),
        bundle.weight_reader().finish(),
    ] {
        let error = result.unwrap_err();
        assert!(matches!(&error, BundleError::Changed { path: named } if *named == path), "{error}");
    }
}

#[test]
fn bytes_that_change_between_hash_and_use_are_found() {
    let (writer, weights) = with_large_weights();
    let (_folder, path) = stored(writer);
    let bundle = Bundle::open(&path).unwrap();
    let blob = &bundle.manifest().weights[1];
    let mut reader = bundle.verifying_weight_reader();
    let mut into = vec![0; 100];
    reader.read(blob, 0, &mut into).unwrap();
    assert!(into == weights[1][..100]);
    let start = bundle.file_bytes() - bundle.section_bytes(Section::Weights) + blob.offset;
    overwrite(&path, start + (2 << 20), &[0xff; 64]);
    reader.read(blob, 2 << 20, &mut into).unwrap();
    assert_eq!(into[..64], [0xff; 64]);
    // Put back: bytes that were handed out are what counts, not what the file holds in the end.
    overwrite(&path, start + (2 << 20), &weights[1][2 << 20..][..64]);
    let error = reader.finish().unwrap_err();
    assert!(matches!(&error, BundleError::WeightHash { name } if name == "w1"), "{error}");
}

#[test]
fn a_file_that_is_written_to_while_open_is_noticed_without_hashes() {
    let (_folder, path) = stored(with_large_weights().0);
    let bundle = Bundle::open(&path).unwrap();
    bundle.weight_reader().finish().unwrap();
    let later = fs::metadata(&path).unwrap().modified().unwrap() + std::time::Duration::from_secs(5);
    overwrite(&path, 5000, &[1, 2, 3]);
    OpenOptions::new().write(true).open(&path).unwrap().set_modified(later).unwrap();
    assert!(matches!(bundle.weight_reader().finish(), Err(BundleError::Changed { .. })));
}

#[test]
fn folders_are_refused_by_kind() {
    let folder = tempfile::tempdir().unwrap();
    let error = Bundle::open(folder.path()).unwrap_err();
    assert!(matches!(error, BundleError::NotAFile { found: "a folder", .. }), "{error}");
}

#[cfg(unix)]
#[test]
fn pipes_and_devices_are_refused_without_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    for (path, expected) in [(path.as_path(), "a pipe"), (Path::new("/dev/zero"), "a device")] {
        let error = Bundle::open(path).unwrap_err();
        assert!(matches!(error, BundleError::NotAFile { found, .. } if found == expected), "{error}");
    }
}

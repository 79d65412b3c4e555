//! A bundle that arrives in pieces: what is read, when it is there, and where it is refused.

use drift_bundle::{Bundle, BundleError, BundleWriter, Section, StreamReader, Streamed};

use crate::sample::{self, Random};

/// More than any weight here has.
const MOST: u64 = 1 << 20;

/// What a reader makes of pieces of these sizes, the last one being used again and again: for each thing that is complete,
/// how many bytes had been taken.
fn read(file: &[u8], sizes: &[usize]) -> Result<Vec<(usize, Streamed)>, BundleError> {
    let mut reader = StreamReader::new(MOST);
    let (mut streamed, mut rest, mut number) = (Vec::new(), file, 0);
    while !rest.is_empty() {
        let size = sizes[number.min(sizes.len() - 1)].min(rest.len());
        number += 1;
        let (mut piece, later) = rest.split_at(size);
        while let Some(one) = reader.take(&mut piece)? {
            assert!(reader.contents().is_some());
            streamed.push((file.len() - later.len() - piece.len(), one));
        }
        assert!(piece.is_empty());
        rest = later;
    }
    assert_eq!(reader.contents().map(|contents| contents.manifest()), Some(sample::bundle().manifest()));
    reader.finish()?;
    Ok(streamed)
}

#[test]
fn pieces_of_any_size_give_the_same() {
    let file = sample::bytes();
    let weights = sample::section(&file, sample::WEIGHTS);
    let [first, second] = sample::weights();
    let expected = [
        (weights.start, Streamed::Contents),
        (weights.start + 700, Streamed::Weight { index: 0, bytes: first }),
        (file.len(), Streamed::Weight { index: 1, bytes: second }),
    ];
    let mut random = Random(4);
    let odd: Vec<usize> = (0..file.len()).map(|_| 1 + random.below(97)).collect();
    for sizes in [&[1][..], &[7], &[255, 256, 257], &[4096], &[file.len()], &odd] {
        assert_eq!(read(&file, sizes).unwrap(), expected, "{sizes:?}");
    }
}

#[test]
fn what_came_is_the_bundle_of_the_file() {
    let file = sample::bytes();
    let mut reader = StreamReader::new(MOST);
    assert!(matches!(reader.take(&mut &file[..]), Ok(Some(Streamed::Contents))));
    let contents = reader.contents().unwrap();
    let bundle = sample::bundle();
    assert_eq!(contents.manifest(), bundle.manifest());
    for shader in &contents.manifest().shaders {
        assert_eq!(contents.shader_code(shader), bundle.shader_code(shader));
    }
    assert_eq!(contents.file_bytes(), bundle.file_bytes());
    assert_eq!(contents.section_bytes(Section::Weights), bundle.section_bytes(Section::Weights));
}

#[test]
fn every_truncation_is_refused() {
    let file = sample::bytes();
    for length in 0..file.len() {
        let error = read_all(&file[..length]).unwrap_err();
        assert!(
            matches!(error, BundleError::Truncated { found, .. } if found == length as u64),
            "{length}: {error}"
        );
    }
}

/// As [`read`] in one piece, without a look at what comes out.
fn read_all(file: &[u8]) -> Result<usize, BundleError> {
    let mut reader = StreamReader::new(MOST);
    let (mut rest, mut count) = (file, 0);
    while reader.take(&mut rest)?.is_some() {
        count += 1;
    }
    reader.finish()?;
    Ok(count)
}

#[test]
fn bytes_after_the_end_are_refused() {
    let mut file = sample::bytes();
    file.push(0);
    let error = read_all(&file).unwrap_err();
    assert!(error.to_string().contains("1 bytes follow the last section"), "{error}");
}

/// One wrong byte: a stream is refused where the file is, with the same words, and a wrong weight where the file's weights
/// are found to be wrong.
#[test]
fn a_stream_is_refused_as_the_file_is() {
    let original = sample::bytes();
    for at in 0..original.len() {
        let mut file = original.clone();
        file[at] ^= 1 << (at % 8);
        let whole = Bundle::from_bytes(file.clone()).and_then(|bundle| bundle.verify_weights());
        let (whole, stream) = (whole.unwrap_err(), read_all(&file).unwrap_err());
        // Where the size of the file is another, a stream does not know it yet.
        let by_size = matches!(whole, BundleError::Truncated { .. } | BundleError::Header { .. });
        assert!(whole.to_string() == stream.to_string() || by_size, "{at}: {whole}; {stream}");
    }
}

#[test]
fn nothing_is_handed_out_before_its_hash_is_right() {
    let mut file = sample::bytes();
    let second = sample::weights_byte(&file, 768);
    file[second] ^= 1;
    let mut reader = StreamReader::new(MOST);
    let mut rest = &file[..];
    assert_eq!(reader.take(&mut rest).unwrap(), Some(Streamed::Contents));
    assert!(matches!(reader.take(&mut rest).unwrap(), Some(Streamed::Weight { index: 0, .. })));
    let error = reader.take(&mut rest).unwrap_err();
    assert!(matches!(&error, BundleError::WeightHash { name } if name == "conv1.bias"), "{error}");
    // It stays refused.
    assert!(matches!(reader.take(&mut rest), Err(BundleError::Refused)));
    assert!(reader.contents().is_none());
    assert!(matches!(reader.finish(), Err(BundleError::Refused)));
}

#[test]
fn what_is_no_bundle_is_refused_at_its_first_bytes() {
    let mut reader = StreamReader::new(MOST);
    assert!(matches!(reader.take(&mut &b"DRI"[..]), Ok(None)));
    assert!(matches!(reader.take(&mut &b"P"[..]), Err(BundleError::Magic)));
    assert!(matches!(StreamReader::new(MOST).finish(), Err(BundleError::Truncated { found: 0, .. })));
}

#[test]
fn a_weight_that_is_larger_than_asked_for_is_named() {
    let file = sample::bytes();
    let mut reader = StreamReader::new(699);
    let mut rest = &file[..];
    assert_eq!(reader.take(&mut rest).unwrap(), Some(Streamed::Contents));
    let error = reader.take(&mut rest).unwrap_err();
    let said = "weight `conv1.weight:o4i4` has 700 bytes where the reader may hold 699; allow more, or open the bundle as a file";
    assert_eq!(error.to_string(), said);
}

#[test]
fn memory_grows_with_what_came_and_not_with_what_is_claimed() {
    let mut file = sample::bytes();
    // A gigabyte of shaders, with sections after them where they must then be.
    let word = |at: usize, file: &[u8]| u64::from_le_bytes(file[at..at + 8].try_into().unwrap());
    let (shaders, size) = (word(64, &file), 1_u64 << 30);
    let hashes = (shaders + size).next_multiple_of(64);
    let weights = (hashes + word(120, &file)).next_multiple_of(4096);
    for (at, value) in [(72, size), (112, hashes), (160, weights)] {
        file[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
    // So many readers would take 200 GiB.
    let mut readers: Vec<StreamReader> = (0..200).map(|_| StreamReader::new(MOST)).collect();
    for reader in &mut readers {
        assert_eq!(reader.take(&mut &file[..]).unwrap(), None);
    }
    for reader in readers {
        let error = reader.finish().unwrap_err();
        let (expected, found) = (weights + 808, file.len() as u64);
        assert!(
            matches!(error, BundleError::Truncated { expected: e, found: f } if (e, f) == (expected, found)),
            "{error}"
        );
    }
}

#[test]
fn a_bundle_without_weights_ends_with_its_contents() {
    let file = BundleWriter::new(sample::provenance()).to_bytes().unwrap();
    assert_eq!(read_all(&file).unwrap(), 1);
    let first = StreamReader::new(0).take(&mut &file[..]).unwrap();
    assert_eq!(first, Some(Streamed::Contents), "no weight is too large");
}

#[test]
fn mutated_streams_are_valid_or_refused() {
    let original = sample::bytes();
    let mut random = Random(5);
    for _ in 0..3000 {
        let mut file = original.clone();
        for _ in 0..=random.below(4) {
            let at = random.below(file.len());
            file[at] = random.next() as u8;
        }
        if random.below(2) == 0 {
            sample::reseal_if_sound(&mut file);
        }
        let by_file = Bundle::from_bytes(file.clone()).and_then(|bundle| bundle.verify_weights());
        assert_eq!(read_all(&file).is_ok(), by_file.is_ok());
    }
}

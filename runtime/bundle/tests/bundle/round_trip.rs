//! Writing and reading undamaged bundles.

use drift_bundle::manifest::Target;
use drift_bundle::{ALIGNMENT_BYTES, Bundle, BundleError, BundleWriter, Flaw, Section, WeightSource};
use std::borrow::Cow;
use std::sync::{Arc, Mutex};

use crate::sample;

#[test]
fn what_is_written_is_read() {
    let writer = sample::writer();
    let expected = writer.manifest().clone();
    let bundle = Bundle::from_bytes(writer.to_bytes().unwrap()).unwrap();
    assert_eq!(*bundle.manifest(), expected);
    let manifest = bundle.manifest();
    for (blob, bytes) in manifest.weights.iter().zip(sample::weights()) {
        assert_eq!(bundle.weight_bytes(blob).unwrap(), bytes);
        assert!(blob.offset.is_multiple_of(ALIGNMENT_BYTES));
    }
    assert_eq!(bundle.shader_code(&manifest.shaders[0]), sample::spirv());
    assert!(bundle.shader_code(&manifest.shaders[1]).starts_with(b"__kernel"));
    bundle.verify_weights().unwrap();
}

#[test]
fn same_calls_give_same_bytes_in_memory_and_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.drift");
    sample::writer().finish(&path).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), sample::bytes());
    assert_eq!(sample::bytes(), sample::bytes());
}

/// Bytes that are made when they are asked for, of another size than announced if `missing` is not zero.
struct Made {
    seed: u64,
    size: usize,
    missing: usize,
}

impl Made {
    fn make(&self) -> Vec<u8> {
        let mut random = sample::Random(self.seed);
        (0..self.size - self.missing).map(|_| random.next() as u8).collect()
    }
}

impl WeightSource for Made {
    fn size_bytes(&self) -> u64 {
        self.size as u64
    }

    fn bytes(&self) -> Cow<'_, [u8]> {
        Cow::Owned(self.make())
    }
}

#[test]
fn weights_made_while_writing_are_those_given_as_bytes() {
    // Sizes from one byte to more than a piece, so that threads finish out of order.
    let sizes = [1, 20 << 20, 0, 255, 256, 257, 3 << 20, 1000, 17 << 20, 5];
    let made = |seed, size| Made { seed: seed as u64, size, missing: 0 };
    let (mut lazy, mut eager) =
        (BundleWriter::new(sample::provenance()), BundleWriter::new(sample::provenance()));
    for (seed, size) in sizes.into_iter().enumerate().filter(|(_, size)| *size > 0) {
        let name = format!("w{seed}");
        let index = lazy.add_packed_weight(&name, Arc::new(made(seed, size)));
        assert_eq!(eager.add_weight(&name, made(seed, size).make()).unwrap(), index);
    }
    let reported = Mutex::new(Vec::new());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.drift");
    lazy.finish_with(&path, &|written, total| reported.lock().unwrap().push((written, total))).unwrap();
    assert!(std::fs::read(&path).unwrap() == eager.to_bytes().unwrap());
    let reported = reported.into_inner().unwrap();
    assert!(reported.is_sorted());
    assert!(reported.last().is_some_and(|(written, total)| written == total));
    Bundle::open(&path).unwrap().verify_weights().unwrap();
}

#[test]
fn a_weight_of_another_size_than_announced_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = BundleWriter::new(sample::provenance());
    for seed in 0..8 {
        writer.add_packed_weight(
            &format!("w{seed}"),
            Arc::new(Made { seed, size: 5000, missing: usize::from(seed == 3) }),
        );
    }
    let error = writer.finish(&folder.path().join("model.drift")).unwrap_err();
    assert!(error.to_string().contains("weight `w3` has 4999 bytes, 5000 were announced"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn equal_weights_are_stored_once_under_their_first_name() {
    let mut writer = BundleWriter::new(sample::provenance());
    let first = writer.add_weight("a", [1, 2, 3]).unwrap();
    let other = writer.add_weight("b", [4; 300]).unwrap();
    assert_eq!(writer.add_weight("c", [1, 2, 3]).unwrap(), first);
    assert_eq!(writer.add_weight("a", [1, 2, 3]).unwrap(), first);
    assert_ne!(first, other);
    let names: Vec<&str> = writer.manifest().weights.iter().map(|blob| blob.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn one_name_for_two_weights_is_refused() {
    let mut writer = BundleWriter::new(sample::provenance());
    writer.add_weight("a", [1, 2, 3]).unwrap();
    let error = writer.add_weight("a", [1, 2, 4]).unwrap_err();
    assert!(matches!(error, BundleError::Invalid { flaw: Flaw::WeightTwice { .. }, .. }), "{error}");
}

#[test]
fn shaders_that_differ_by_name_only_are_one() {
    let mut writer = BundleWriter::new(sample::provenance());
    let first = writer.add_shader(sample::shader(Target::Vulkan, "conv_0"), &sample::spirv());
    assert_eq!(writer.add_shader(sample::shader(Target::Vulkan, "conv_1"), &sample::spirv()), first);
    let mut wider = sample::shader(Target::Vulkan, "conv_2");
    wider.workgroup_size = [16, 16, 1];
    let second = writer.add_shader(wider, &sample::spirv());
    assert_ne!(first, second);
    let shaders = &writer.manifest().shaders;
    assert_eq!(shaders.len(), 2);
    assert_eq!(shaders[0].offset, shaders[1].offset, "equal code is stored once");
}

#[test]
fn a_bundle_without_anything_is_valid() {
    let bundle = Bundle::from_bytes(BundleWriter::new(sample::provenance()).to_bytes().unwrap()).unwrap();
    assert_eq!(bundle.section_bytes(Section::Weights), 0);
    bundle.verify_weights().unwrap();
}

#[test]
fn weights_start_at_a_page() {
    let bytes = sample::bytes();
    let weights = sample::section(&bytes, sample::WEIGHTS);
    assert!(weights.start.is_multiple_of(4096));
    assert_eq!(weights.end, bytes.len(), "they come last");
    assert_eq!(bytes[weights][..700], sample::weights()[0]);
}

#[test]
fn an_invalid_bundle_is_not_written_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.drift");
    std::fs::write(&path, b"what was there").unwrap();
    let mut writer = sample::writer();
    let again = writer.manifest().entries[0].clone();
    writer.add_entry(again);
    let error = writer.finish(&path).unwrap_err();
    assert!(error.to_string().contains("entry `main` for vulkan"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), b"what was there");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_folder_that_is_not_there_is_an_error_with_its_path() {
    let path = std::path::Path::new("no-such-folder/model.drift");
    let error = sample::writer().finish(path).unwrap_err();
    assert!(error.to_string().contains("no-such-folder"), "{error}");
    assert!(Bundle::open(path).unwrap_err().to_string().contains("no-such-folder"));
}

#[test]
fn a_bundle_may_be_a_part_of_the_program() {
    let bytes: &'static [u8] = Vec::leak(sample::bytes());
    let bundle = Bundle::from_static(bytes).unwrap();
    assert_eq!(bundle.manifest(), sample::bundle().manifest());
    let blob = &bundle.manifest().weights[0];
    let weights = bundle.weight_bytes(blob).unwrap();
    assert!(matches!(weights, std::borrow::Cow::Borrowed(_)), "they are where they were");
    assert!(bytes.as_ptr_range().contains(&weights.as_ptr()));
    bundle.verify_weights().unwrap();
}

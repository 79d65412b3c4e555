//! Writing and reading undamaged bundles.

use drift_bundle::manifest::Target;
use drift_bundle::{ALIGNMENT_BYTES, Bundle, BundleError, BundleWriter, Flaw, Section};

use crate::sample;

#[test]
fn what_is_written_is_read() {
    let writer = sample::writer();
    let expected = writer.manifest().clone();
    let bundle = Bundle::from_bytes(writer.to_bytes().unwrap()).unwrap();
    assert_eq!(*bundle.manifest(), expected);
    let manifest = bundle.manifest();
    for (blob, bytes) in manifest.weights.iter().zip(sample::weights()) {
        assert_eq!(bundle.weight_bytes(blob), bytes);
        assert!(blob.offset.is_multiple_of(ALIGNMENT_BYTES));
    }
    assert_eq!(bundle.shader_code(&manifest.shaders[0]), sample::spirv());
    assert!(bundle.shader_code(&manifest.shaders[1]).starts_with(b"kernel void"));
    bundle.verify_weights().unwrap();
}

#[test]
fn same_calls_give_same_bytes_in_memory_and_streamed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.drift");
    let mut streamed = BundleWriter::streaming(sample::provenance(), &path).unwrap();
    sample::fill(&mut streamed);
    streamed.finish(&path).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), sample::bytes());

    let again = folder.path().join("again.drift");
    sample::writer().finish(&again).unwrap();
    assert_eq!(std::fs::read(&again).unwrap(), sample::bytes());
    let mut streamed = BundleWriter::streaming(sample::provenance(), &path).unwrap();
    sample::fill(&mut streamed);
    assert_eq!(streamed.to_bytes().unwrap(), sample::bytes());
}

#[test]
fn a_mapped_bundle_is_the_one_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.drift");
    sample::writer().finish(&path).unwrap();
    let mapped = Bundle::open(&path).unwrap();
    assert_eq!(mapped.manifest(), sample::bundle().manifest());
    assert_eq!(mapped.file_bytes(), sample::bytes().len() as u64);
    mapped.verify_weights().unwrap();
}

#[test]
fn a_mapped_bundle_survives_its_replacement() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.drift");
    sample::writer().finish(&path).unwrap();
    let old = Bundle::open(&path).unwrap();
    BundleWriter::new(sample::provenance()).finish(&path).unwrap();
    old.verify_weights().unwrap();
    assert!(Bundle::open(&path).unwrap().manifest().entries.is_empty());
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
    let weights = sample::section(&bytes, 2);
    assert_eq!(weights.start, 4096);
    assert_eq!(bytes[weights][..700], sample::weights()[0]);
}

#[test]
fn an_invalid_bundle_is_not_written_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.drift");
    std::fs::write(&path, b"what was there").unwrap();
    let mut writer = BundleWriter::streaming(sample::provenance(), &path).unwrap();
    sample::fill(&mut writer);
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

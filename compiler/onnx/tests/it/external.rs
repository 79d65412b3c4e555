//! Data in files beside the model: found where they are, refused where they must not be.

use crate::build::{FLOAT, model, node};
use drift_ir::ValueDef;
use drift_onnx::{ExternalError, ImportError, ImportOptions, ModelSource, SourceError, import};
use onnx_protobuf::tensor_proto::DataLocation;
use onnx_protobuf::{StringStringEntryProto, TensorProto};
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

/// A folder `outer/model` with a model in it whose tensor `w` has two elements.
struct Folder {
    root: TempDir,
}

impl Folder {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("model")).unwrap();
        let bytes: Vec<u8> = [7.0f32, 1.5, -2.5].iter().flat_map(|value| value.to_le_bytes()).collect();
        fs::write(root.path().join("model/weights.bin"), &bytes).unwrap();
        fs::write(root.path().join("outside.bin"), &bytes).unwrap();
        Self { root }
    }

    fn path(&self, below: &str) -> PathBuf {
        self.root.path().join(below)
    }

    fn source(&self, entries: &[(&str, &str)]) -> Result<ModelSource, SourceError> {
        let bytes = model(13).input("x", &["2"]).constant("w", external(entries)).node(node(
            "Add",
            &["x", "w"],
            &["y"],
        ));
        fs::write(self.path("model/model.onnx"), bytes.output("y").bytes()).unwrap();
        ModelSource::open(self.path("model/model.onnx"))
    }

    /// The reason for which this location is refused, when the file is opened or when the tensor is read.
    fn refusal(&self, entries: &[(&str, &str)]) -> ExternalError {
        let error = match self.source(entries) {
            Err(error) => error,
            Ok(source) => match import(&source, &ImportOptions::default()) {
                Err(ImportError::Tensor(drift_onnx::TensorError::Source(error))) => error,
                other => panic!("expected a refusal of {entries:?}, got {other:?}"),
            },
        };
        match error {
            SourceError::External { tensor, reason, .. } if tensor == "w" => reason,
            other => panic!("expected a refusal of tensor `w`, got {other:?}"),
        }
    }
}

fn external(entries: &[(&str, &str)]) -> TensorProto {
    let entry = |&(key, value): &(&str, &str)| StringStringEntryProto {
        key: key.to_owned(),
        value: value.to_owned(),
        ..StringStringEntryProto::default()
    };
    TensorProto {
        dims: vec![2],
        data_type: FLOAT,
        external_data: entries.iter().map(entry).collect(),
        data_location: DataLocation::EXTERNAL.into(),
        ..TensorProto::default()
    }
}

#[test]
fn offset_and_length_pick_the_bytes() {
    let folder = Folder::new();
    for entries in [
        &[("location", "weights.bin"), ("offset", "4"), ("length", "8"), ("checksum", "whatever")][..],
        &[("location", "./weights.bin"), ("offset", "4")],
    ] {
        let source = folder.source(entries).unwrap();
        let graph = import(&source, &ImportOptions::default()).unwrap().graph;
        let constants = graph.values().filter_map(|(_, value)| match &value.def {
            ValueDef::Constant(tensor) => Some(tensor.to_f32_vec()),
            ValueDef::Input(_) | ValueDef::Node { .. } => None,
        });
        assert_eq!(constants.collect::<Vec<_>>(), [[1.5, -2.5]]);
        let parts: Vec<_> = source.parts().map(|(name, bytes)| (name.to_owned(), bytes.len())).collect();
        assert_eq!((parts[0].0.as_str(), &parts[1]), ("model", &("weights.bin".to_owned(), 12)));
    }
}

#[test]
fn paths_that_leave_the_folder_are_refused() {
    let folder = Folder::new();
    assert!(matches!(folder.refusal(&[("location", "../outside.bin")]), ExternalError::ParentFolder));
    assert!(matches!(folder.refusal(&[("location", "sub/../weights.bin")]), ExternalError::ParentFolder));
    let absolute = folder.path("model/weights.bin");
    assert!(matches!(folder.refusal(&[("location", absolute.to_str().unwrap())]), ExternalError::Absolute));
    assert!(matches!(folder.refusal(&[("location", "/dev/zero")]), ExternalError::Absolute));
}

#[cfg(unix)]
#[test]
fn links_are_followed_within_the_folder_and_refused_beyond() {
    use std::os::unix::fs::symlink;
    let folder = Folder::new();
    symlink(folder.path("outside.bin"), folder.path("model/out.bin")).unwrap();
    symlink(folder.path("model/weights.bin"), folder.path("model/in.bin")).unwrap();
    symlink(folder.root.path(), folder.path("model/up")).unwrap();
    symlink("/dev/zero", folder.path("model/zero")).unwrap();
    assert!(matches!(folder.refusal(&[("location", "out.bin")]), ExternalError::LeavesFolder));
    assert!(matches!(folder.refusal(&[("location", "up/outside.bin")]), ExternalError::LeavesFolder));
    assert!(matches!(folder.refusal(&[("location", "zero")]), ExternalError::LeavesFolder));
    let source = folder.source(&[("location", "in.bin"), ("length", "8")]).unwrap();
    assert_eq!(source.parts().map(|(name, _)| name).collect::<Vec<_>>(), ["model", "weights.bin"]);
}

#[test]
fn ranges_beyond_the_file_are_refused() {
    let folder = Folder::new();
    let at = |offset, length| {
        folder.refusal(&[("location", "weights.bin"), ("offset", offset), ("length", length)])
    };
    assert!(matches!(at("8", "8"), ExternalError::OutOfRange { offset: 8, length: 8, file: 12 }));
    assert!(matches!(at("18446744073709551615", "8"), ExternalError::OutOfRange { .. }));
    assert!(matches!(at("0", "12"), ExternalError::WrongLength { expected: 8, found: 12 }));
    assert!(matches!(at("-4", "8"), ExternalError::BadNumber { key: "offset", .. }));
    assert!(matches!(at("4", "8.0"), ExternalError::BadNumber { key: "length", .. }));
}

#[test]
fn entries_that_make_no_sense_are_refused() {
    let folder = Folder::new();
    assert!(matches!(folder.refusal(&[]), ExternalError::NoLocation));
    assert!(matches!(folder.refusal(&[("location", "")]), ExternalError::NoLocation));
    assert!(matches!(folder.refusal(&[("location", "missing.bin")]), ExternalError::Io(_)));
    assert!(matches!(folder.refusal(&[("location", ".")]), ExternalError::NotAFile));
    assert!(matches!(folder.refusal(&[("location", "a\0b")]), ExternalError::Io(_)));
    let twice = [("location", "weights.bin"), ("location", "weights.bin")];
    assert!(matches!(folder.refusal(&twice), ExternalError::DuplicateKey(key) if key == "location"));
    let unknown = [("location", "weights.bin"), ("basepath", "/etc")];
    assert!(matches!(folder.refusal(&unknown), ExternalError::UnknownKey(key) if key == "basepath"));
}

#[test]
fn a_model_from_memory_has_no_folder() {
    let bytes = model(13).constant("w", external(&[("location", "weights.bin")])).bytes();
    let error = ModelSource::from_bytes("memory", bytes).unwrap_err();
    assert!(matches!(error, SourceError::External { reason: ExternalError::NoFolder, .. }), "{error:?}");
}

#[test]
fn folders_and_missing_files_are_no_models() {
    let folder = Folder::new();
    assert!(matches!(ModelSource::open(folder.path("model")), Err(SourceError::NotAFile { .. })));
    assert!(matches!(ModelSource::open(folder.path("none.onnx")), Err(SourceError::Open { .. })));
}

#[test]
fn inline_weights_are_not_copied() {
    let values: Vec<f32> = (0..4096).map(|value| value as f32).collect();
    let bytes = model(13).constant("w", crate::build::floats(&[4096], &values)).bytes();
    let source = ModelSource::from_bytes("large", bytes).unwrap();
    let graph = import(&source, &ImportOptions::default()).unwrap().graph;
    let (_, file) = source.parts().next().unwrap();
    let constant = graph.values().find_map(|(_, value)| match &value.def {
        ValueDef::Constant(tensor) => Some(tensor.bytes().as_ptr_range()),
        ValueDef::Input(_) | ValueDef::Node { .. } => None,
    });
    let (file, constant) = (file.as_ptr_range(), constant.unwrap());
    assert!(file.start <= constant.start && constant.end <= file.end);
}

//! Small models and data, a folder to run in, and the program itself.

use drift_bundle::manifest::HostElement;
use driftc::host::HostTensor;
use onnx_protobuf::tensor_shape_proto::{Dimension, dimension};
use onnx_protobuf::type_proto::{self, Tensor as TensorKind};
use onnx_protobuf::{
    GraphProto, Message, ModelProto, NodeProto, OperatorSetIdProto, TensorShapeProto, TypeProto,
    ValueInfoProto,
};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub(crate) const FLOAT: i32 = 1;
pub(crate) const INT64: i32 = 7;
pub(crate) const BOOL: i32 = 9;

/// A model under construction.
pub(crate) struct Model(GraphProto);

impl Model {
    pub(crate) fn new() -> Self {
        Self(GraphProto { name: "small".to_owned(), ..GraphProto::default() })
    }

    /// Sizes are numbers or names.
    pub(crate) fn input(mut self, name: &str, element: i32, dims: &[&str]) -> Self {
        let dim = |size: &&str| {
            let value = match size.parse() {
                Ok(size) => dimension::Value::DimValue(size),
                Err(_) => dimension::Value::DimParam((*size).to_owned()),
            };
            Dimension { value: Some(value), ..Dimension::default() }
        };
        let shape = TensorShapeProto { dim: dims.iter().map(dim).collect(), ..TensorShapeProto::default() };
        let tensor = TensorKind { elem_type: element, shape: Some(shape).into(), ..TensorKind::default() };
        let ty = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() };
        let input =
            ValueInfoProto { name: name.to_owned(), type_: Some(ty).into(), ..ValueInfoProto::default() };
        self.0.input.push(input);
        self
    }

    pub(crate) fn node(mut self, op: &str, inputs: &[&str], output: &str) -> Self {
        self.0.node.push(NodeProto {
            op_type: op.to_owned(),
            input: inputs.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.to_owned()],
            ..NodeProto::default()
        });
        self
    }

    pub(crate) fn output(mut self, name: &str) -> Self {
        self.0.output.push(ValueInfoProto { name: name.to_owned(), ..ValueInfoProto::default() });
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let opset = OperatorSetIdProto { version: 17, ..OperatorSetIdProto::default() };
        let model = ModelProto {
            ir_version: 8,
            graph: Some(self.0.clone()).into(),
            opset_import: vec![opset],
            ..ModelProto::default()
        };
        model.write_to_bytes().unwrap()
    }
}

/// `y = relu(image * scale)`, whose image has a free batch.
pub(crate) fn scaled() -> Model {
    Model::new()
        .input("image", FLOAT, &["batch", "3", "4", "4"])
        .input("scale", FLOAT, &[])
        .node("Mul", &["image", "scale"], "scaled")
        .node("Relu", &["scaled"], "y")
        .output("y")
}

/// A tensor of floats.
pub(crate) fn floats(shape: &[u64], values: impl IntoIterator<Item = f32>) -> HostTensor {
    let bytes = values.into_iter().flat_map(f32::to_le_bytes).collect();
    HostTensor::new(HostElement::F32, shape.to_vec(), bytes).unwrap()
}

/// A folder that a test runs in.
pub(crate) struct Place(tempfile::TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    pub(crate) fn array(&self, name: &str, tensor: &HostTensor) -> PathBuf {
        self.file(name, driftc::npy::write(tensor))
    }

    pub(crate) fn pipe(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        path
    }

    /// The names in a folder of it, hidden ones too.
    pub(crate) fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder)).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// `driftc` in this folder.
    pub(crate) fn driftc(&self, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_driftc"));
        command.args(words).current_dir(self.0.path()).stdin(Stdio::null());
        command
    }

    /// What `driftc` with the words of a line does.
    pub(crate) fn run(&self, line: &str) -> Output {
        self.driftc(words(line)).output().unwrap()
    }

    /// As [`Place::run`], where all must be fine.
    #[track_caller]
    pub(crate) fn fine(&self, line: &str) -> Output {
        let done = self.run(line);
        assert!(done.status.success(), "driftc {line}: {}", told(&done));
        done
    }

    /// A failure with this exit code, and with these words in what it says.
    #[track_caller]
    pub(crate) fn fails(&self, line: &str, code: i32, parts: &[&str]) {
        let done = self.run(line);
        assert_eq!(done.status.code(), Some(code), "driftc {line}: {}", told(&done));
        for part in parts {
            assert!(told(&done).contains(part), "driftc {line}: `{part}` is not in {}", told(&done));
        }
    }
}

/// A line's words; none of those in these tests holds a space.
pub(crate) fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

pub(crate) fn told(done: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr))
}

/// A data set for [`scaled`] with a batch of 1: a scale of 0.5.
pub(crate) fn scaled_data(place: &Place, folder: &str, extension: &str) {
    let image: Vec<f32> = (0..48).map(|n| n as f32 - 20.0).collect();
    let result = image.iter().map(|value| (value * 0.5).max(0.0));
    let store = |name: &str, tensor: &HostTensor| match extension {
        "pb" => {
            let bytes = drift_onnx::write_tensor_pb("", &tensor.to_ir().unwrap());
            place.file(&format!("{folder}/{name}.pb"), bytes);
        }
        _ => drop(place.array(&format!("{folder}/{name}.npy"), tensor)),
    };
    store("output_0", &floats(&[1, 3, 4, 4], result));
    store("input_0", &floats(&[1, 3, 4, 4], image));
    store("input_1", &floats(&[], [0.5]));
}

pub(crate) fn is_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file())
}

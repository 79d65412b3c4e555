//! Small models, written with the independent encoder.

use onnx_protobuf::attribute_proto::AttributeType;
use onnx_protobuf::tensor_shape_proto::{Dimension, dimension};
use onnx_protobuf::type_proto::{self, Tensor as TensorKind};
use onnx_protobuf::{
    AttributeProto, FunctionProto, GraphProto, Message, ModelProto, NodeProto, OperatorSetIdProto,
    TensorProto, TensorShapeProto, TypeProto, ValueInfoProto,
};

pub(crate) const FLOAT: i32 = 1;
pub(crate) const INT64: i32 = 7;
pub(crate) const INT8: i32 = 3;
pub(crate) const BOOL: i32 = 9;
pub(crate) const DOUBLE: i32 = 11;

/// A model under construction; fields are public so that tests can break them.
#[derive(Default)]
pub(crate) struct Model {
    pub(crate) graph: GraphProto,
    pub(crate) functions: Vec<FunctionProto>,
    pub(crate) opset: i64,
}

pub(crate) fn model(opset: i64) -> Model {
    Model { opset, ..Model::default() }
}

impl Model {
    /// An f32 input; sizes are numbers or names.
    pub(crate) fn input(self, name: &str, dims: &[&str]) -> Self {
        self.typed_input(name, FLOAT, dims)
    }

    pub(crate) fn typed_input(mut self, name: &str, element: i32, dims: &[&str]) -> Self {
        self.graph.input.push(value_info(name, element, dims));
        self
    }

    pub(crate) fn output(mut self, name: &str) -> Self {
        self.graph.output.push(ValueInfoProto { name: name.to_owned(), ..value_info(name, FLOAT, &[]) });
        if let Some(ty) = self.graph.output.last_mut().and_then(|info| info.type_.as_mut()) {
            ty.mut_tensor_type().shape.clear();
        }
        self
    }

    pub(crate) fn constant(mut self, name: &str, tensor: TensorProto) -> Self {
        self.graph.initializer.push(TensorProto { name: name.to_owned(), ..tensor });
        self
    }

    pub(crate) fn node(mut self, node: NodeProto) -> Self {
        self.graph.node.push(node);
        self
    }

    pub(crate) fn function(mut self, function: FunctionProto) -> Self {
        self.functions.push(function);
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let proto = ModelProto {
            ir_version: 8,
            graph: Some(self.graph.clone()).into(),
            functions: self.functions.clone(),
            opset_import: vec![opset("", self.opset), opset("local", 1), opset("com.microsoft", 1)],
            ..ModelProto::default()
        };
        proto.write_to_bytes().unwrap()
    }
}

pub(crate) fn opset(domain: &str, version: i64) -> OperatorSetIdProto {
    OperatorSetIdProto { domain: domain.to_owned(), version, ..OperatorSetIdProto::default() }
}

pub(crate) fn value_info(name: &str, element: i32, dims: &[&str]) -> ValueInfoProto {
    let dim = |size: &&str| {
        let value = match size.parse() {
            Ok(size) => dimension::Value::DimValue(size),
            // A leading quote marks a size that is written as text.
            Err(_) => dimension::Value::DimParam(size.trim_start_matches('\'').to_owned()),
        };
        let value = if size.is_empty() { None } else { Some(value) };
        Dimension { value, ..Dimension::default() }
    };
    let shape = TensorShapeProto { dim: dims.iter().map(dim).collect(), ..TensorShapeProto::default() };
    let tensor = TensorKind { elem_type: element, shape: Some(shape).into(), ..TensorKind::default() };
    let ty = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() };
    ValueInfoProto { name: name.to_owned(), type_: Some(ty).into(), ..ValueInfoProto::default() }
}

pub(crate) fn node(op: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    NodeProto { op_type: op.to_owned(), input: owned(inputs), output: owned(outputs), ..NodeProto::default() }
}

pub(crate) fn with(mut node: NodeProto, attribute: AttributeProto) -> NodeProto {
    node.attribute.push(attribute);
    node
}

pub(crate) fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        i: value,
        type_: AttributeType::INT.into(),
        ..AttributeProto::default()
    }
}

pub(crate) fn ints(name: &str, values: &[i64]) -> AttributeProto {
    let ints = values.to_vec();
    AttributeProto {
        name: name.to_owned(),
        ints,
        type_: AttributeType::INTS.into(),
        ..AttributeProto::default()
    }
}

pub(crate) fn graph_attribute(name: &str, graph: GraphProto) -> AttributeProto {
    let (name, g) = (name.to_owned(), Some(graph).into());
    AttributeProto { name, g, type_: AttributeType::GRAPH.into(), ..AttributeProto::default() }
}

pub(crate) fn floats(dims: &[i64], values: &[f32]) -> TensorProto {
    let raw_data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    TensorProto { dims: dims.to_vec(), data_type: FLOAT, raw_data, ..TensorProto::default() }
}

pub(crate) fn int64s(dims: &[i64], values: &[i64]) -> TensorProto {
    TensorProto {
        dims: dims.to_vec(),
        data_type: INT64,
        int64_data: values.to_vec(),
        ..TensorProto::default()
    }
}

pub(crate) fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        s: value.as_bytes().to_vec(),
        type_: AttributeType::STRING.into(),
        ..AttributeProto::default()
    }
}

pub(crate) fn raw(data_type: i32, dims: &[i64], raw_data: Vec<u8>) -> TensorProto {
    TensorProto { dims: dims.to_vec(), data_type, raw_data, ..TensorProto::default() }
}

pub(crate) fn bools(dims: &[i64], values: &[bool]) -> TensorProto {
    raw(BOOL, dims, values.iter().map(|&value| u8::from(value)).collect())
}

pub(crate) fn float_attribute(name: &str, value: f32) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        f: value,
        type_: AttributeType::FLOAT.into(),
        ..AttributeProto::default()
    }
}

/// A function of the domain `local`, from `a` to `b`.
pub(crate) fn function(name: &str, nodes: Vec<NodeProto>) -> FunctionProto {
    FunctionProto {
        name: name.to_owned(),
        domain: "local".to_owned(),
        input: vec!["a".to_owned()],
        output: vec!["b".to_owned()],
        node: nodes,
        opset_import: vec![opset("", 13), opset("local", 1)],
        ..FunctionProto::default()
    }
}

pub(crate) fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        f: value,
        type_: AttributeType::FLOAT.into(),
        ..AttributeProto::default()
    }
}

//! What is in a model file, counted: for people who look at it before they compile it.

use crate::data_type::DataType;
use crate::error::ImportError;
use crate::proto::{GraphProto, NodeProto, TensorProto};
use crate::scope::operator_name;
use crate::source::ModelSource;
use std::collections::BTreeMap;

/// What is in a model file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelSummary {
    /// The tool that wrote it, with its version; empty where the file does not say.
    pub producer: String,
    /// Version of the file format; none where the file does not say.
    pub ir_version: Option<i64>,
    /// Domains and versions of their operators; the domain of ONNX itself is `ai.onnx`.
    pub opsets: Vec<(String, i64)>,
    /// Nodes of the main graph and of the graphs inside of its nodes.
    pub nodes: usize,
    /// Functions that the file brings along.
    pub functions: usize,
    /// How many of these nodes there are of each operator, most first.
    pub operators: Vec<(String, usize)>,
    /// Stored tensors that are no inputs.
    pub weights: usize,
    /// Their elements.
    pub parameters: u64,
    /// Bytes that these take, by ONNX's names of types, most first.
    pub bytes_by_type: Vec<(String, u64)>,
}

/// Counts what is in a model file. Nothing of it needs to be known here.
pub fn summary(source: &ModelSource) -> Result<ModelSummary, ImportError> {
    let model = source.model();
    let graph = model.graph.as_ref().ok_or(ImportError::NoGraph)?;
    let mut counted = Counted::default();
    counted.graph(graph);
    let domain = |name: &str| if name.is_empty() { "ai.onnx".to_owned() } else { name.to_owned() };
    let producer = format!("{} {}", model.producer_name, model.producer_version);
    Ok(ModelSummary {
        producer: producer.trim().to_owned(),
        ir_version: model.ir_version,
        opsets: model.opset_import.iter().map(|opset| (domain(&opset.domain), opset.version)).collect(),
        nodes: counted.operators.values().sum(),
        functions: model.functions.len(),
        operators: most_first(counted.operators),
        weights: counted.weights,
        parameters: counted.parameters,
        bytes_by_type: most_first(counted.bytes),
    })
}

#[derive(Default)]
struct Counted {
    operators: BTreeMap<String, usize>,
    weights: usize,
    parameters: u64,
    bytes: BTreeMap<String, u64>,
}

impl Counted {
    /// The decoder bounds the depth of this recursion.
    fn graph(&mut self, graph: &GraphProto) {
        graph.initializer.iter().for_each(|tensor| self.tensor(tensor));
        graph.node.iter().for_each(|node| self.node(node));
    }

    fn node(&mut self, node: &NodeProto) {
        *self.operators.entry(operator_name(node)).or_default() += 1;
        for attribute in &node.attribute {
            attribute.g.iter().chain(&attribute.graphs).for_each(|graph| self.graph(graph));
        }
    }

    /// Sizes are a stranger's: they are no sizes of anything that is allocated.
    fn tensor(&mut self, tensor: &TensorProto) {
        let sizes = tensor.dims.iter().map(|&size| u64::try_from(size).unwrap_or(0));
        let elements = sizes.fold(1_u64, u64::saturating_mul);
        let (name, bits) = match DataType::from_proto(tensor.data_type) {
            Ok(ty) => (ty.name().to_owned(), ty.bits()),
            Err(name) => (name, 8),
        };
        self.weights += 1;
        self.parameters = self.parameters.saturating_add(elements);
        let bytes = self.bytes.entry(name).or_default();
        *bytes = bytes.saturating_add(elements.saturating_mul(bits).div_ceil(8));
    }
}

fn most_first<N: Copy + Ord>(counts: BTreeMap<String, N>) -> Vec<(String, N)> {
    let mut counts: Vec<(String, N)> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    counts
}

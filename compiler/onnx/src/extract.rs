//! Models of some of a model's nodes: what a tool needs that looks for the node at fault.

use crate::error::ImportError;
use crate::import;
use crate::interface::{self, DimBinding};
use crate::order::{self, reads};
use crate::proto::{
    GraphProto, ModelProto, TensorProto, TensorTypeProto, TypeProto, TypeValue, ValueInfoProto, data_location,
};
use crate::scope::{Scope, operator_name};
use crate::source::{ModelSource, SourceError};
use crate::tensor;
use prost::Message;
use std::collections::{BTreeMap, HashMap, HashSet};

/// A node of the main graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeLabel {
    /// Its name; that of its first result where it has none.
    pub name: String,
    /// Its operator, with the domain where that is not ONNX's own.
    pub op: String,
}

/// The types of a model's values, as far as they are known.
#[derive(Clone, Debug, Default)]
pub struct ValueTypes(HashMap<String, TensorTypeProto>);

impl ModelSource {
    /// The nodes of the main graph in execution order, which is also the order of [`ModelSource::of_nodes`]'s places.
    pub fn node_labels(&self) -> Result<Vec<NodeLabel>, ImportError> {
        let graph = self.main_graph()?;
        let scope = Scope::of_model(&self.model().opset_import);
        let order = order::execution(&graph.node, |node| scope.label(node))?;
        let label = |at: usize| {
            let node = &graph.node[at];
            NodeLabel { name: scope.label(node), op: operator_name(node) }
        };
        Ok(order.into_iter().map(label).collect())
    }

    /// Types of all values that can be inferred, with these sizes of free dimensions; others keep their names.
    pub fn value_types(&self, dims: &BTreeMap<String, DimBinding>) -> Result<ValueTypes, ImportError> {
        let graph = self.main_graph()?;
        let names: Vec<String> = graph.node.iter().flat_map(|node| &node.output).cloned().collect();
        let names: Vec<String> = names.into_iter().filter(|name| !name.is_empty()).collect();
        let inferred = import::value_types(self, &names, dims.clone())?;
        let inferred = names.into_iter().zip(inferred).filter_map(|(name, ty)| Some((name, ty.ok()?)));
        Ok(ValueTypes(inferred.collect()))
    }

    /// The model of the nodes at these places, which ascend. What they read and none of them makes is an input; what they make
    /// and none of them reads is an output, if the model reads it or gives it. None where the type of such an input is not
    /// known, or where nothing comes out.
    pub fn of_nodes(&self, places: &[usize], types: &ValueTypes) -> Result<Option<Self>, ImportError> {
        let graph = self.main_graph()?;
        let scope = Scope::of_model(&self.model().opset_import);
        let order = order::execution(&graph.node, |node| scope.label(node))?;
        let nodes: Vec<usize> = places.iter().filter_map(|&place| order.get(place).copied()).collect();
        let Some(graph) = part(graph, &nodes, types) else { return Ok(None) };
        let mut of_nodes = self.clone();
        of_nodes.model_mut().graph = Some(graph);
        Ok(Some(of_nodes))
    }

    /// The model as a file of its own: data of other files are in it. What this reader does not know of the format (notes,
    /// training, devices) is left out.
    pub fn to_onnx(&self, types: &ValueTypes) -> Result<Vec<u8>, ImportError> {
        let mut model: ModelProto = self.model().clone();
        let graph = model.graph.as_mut().ok_or(ImportError::NoGraph)?;
        self.inline(graph)?;
        if graph.name.is_empty() {
            "model".clone_into(&mut graph.name);
        }
        for output in &mut graph.output {
            if let (None, Some(ty)) = (&output.r#type, types.0.get(&output.name)) {
                output.r#type = Some(TypeProto { value: Some(TypeValue::Tensor(ty.clone())) });
            }
        }
        // A protobuf message has two gigabytes at most.
        match i32::try_from(model.encoded_len()) {
            Ok(_) => Ok(model.encode_to_vec()),
            Err(_) => Err(ImportError::Source(SourceError::TooLarge { bytes: model.encoded_len() as u64 })),
        }
    }

    /// Puts data of other files into a graph and those inside of its nodes. The decoder bounds the depth of this recursion.
    fn inline(&self, graph: &mut GraphProto) -> Result<(), ImportError> {
        let attributes = graph.node.iter_mut().flat_map(|node| &mut node.attribute);
        let mut stored: Vec<&mut TensorProto> = graph.initializer.iter_mut().collect();
        for attribute in attributes {
            stored.extend(attribute.t.iter_mut().chain(&mut attribute.tensors));
            for graph in attribute.g.iter_mut().chain(&mut attribute.graphs) {
                self.inline(graph)?;
            }
        }
        for stored in stored.into_iter().filter(|stored| stored.data_location == data_location::EXTERNAL) {
            *stored = tensor::inline(stored, self)?;
        }
        Ok(())
    }

    fn main_graph(&self) -> Result<&GraphProto, ImportError> {
        self.model().graph.as_ref().ok_or(ImportError::NoGraph)
    }
}

fn part(graph: &GraphProto, nodes: &[usize], types: &ValueTypes) -> Option<GraphProto> {
    let made: HashSet<&str> =
        nodes.iter().flat_map(|&at| &graph.node[at].output).map(String::as_str).collect();
    let mut read: Vec<&str> = Vec::new();
    let mut seen = HashSet::new();
    for name in nodes.iter().flat_map(|&at| reads(&graph.node[at])) {
        if seen.insert(name) {
            read.push(name);
        }
    }
    let stored: HashSet<&str> = graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    let mut inputs: Vec<ValueInfoProto> =
        interface::runtime_inputs(graph).filter(|info| seen.contains(info.name.as_str())).cloned().collect();
    let own: HashSet<String> = inputs.iter().map(|info| info.name.clone()).collect();
    for name in
        read.iter().filter(|name| !made.contains(*name) && !stored.contains(*name) && !own.contains(**name))
    {
        let ty = TypeProto { value: Some(TypeValue::Tensor(types.0.get(*name)?.clone())) };
        inputs.push(ValueInfoProto { name: (*name).to_owned(), r#type: Some(ty) });
    }
    let wanted: HashSet<&str> =
        graph.node.iter().flat_map(reads).chain(graph.output.iter().map(|info| info.name.as_str())).collect();
    let given: HashSet<&str> = graph.output.iter().map(|info| info.name.as_str()).collect();
    let outputs = nodes.iter().flat_map(|&at| &graph.node[at].output).map(String::as_str);
    let outputs: Vec<ValueInfoProto> = outputs
        .filter(|name| wanted.contains(name) && (!seen.contains(name) || given.contains(name)))
        .map(|name| output(graph, name, types))
        .collect();
    if outputs.is_empty() {
        return None;
    }
    let mut part = GraphProto { name: graph.name.clone(), ..GraphProto::default() };
    part.node = nodes.iter().map(|&at| graph.node[at].clone()).collect();
    part.initializer =
        graph.initializer.iter().filter(|tensor| seen.contains(tensor.name.as_str())).cloned().collect();
    (part.input, part.output) = (inputs, outputs);
    Some(part)
}

/// How an output is declared: as it is known, else as the file has it.
fn output(graph: &GraphProto, name: &str, types: &ValueTypes) -> ValueInfoProto {
    let known = types.0.get(name).map(|ty| TypeProto { value: Some(TypeValue::Tensor(ty.clone())) });
    let stored = || {
        let infos = graph.output.iter().chain(&graph.value_info);
        infos.filter(|info| info.name == name).find_map(|info| info.r#type.clone())
    };
    ValueInfoProto { name: name.to_owned(), r#type: known.or_else(stored) }
}

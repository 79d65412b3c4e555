//! Cut points: a model becomes its part between named values.
//!
//! Nothing that reads the model needs to know: inner values are inputs and outputs from then on, and the nodes outside are not
//! there. Only values of the main graph can be named; what subgraphs read from it counts.

use crate::cut_error::CutError;
use crate::data_type::DataType;
use crate::error::ImportError;
use crate::import;
use crate::interface::{self, DimBinding};
use crate::order::reads;
use crate::proto::{
    DimensionProto, DimensionValue, GraphProto, NodeProto, TensorShapeProto, TensorTypeProto, TypeProto,
    TypeValue, ValueInfoProto,
};
use crate::source::ModelSource;
use drift_ir::ElementType;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

/// Where a model is cut. Empty lists leave that side of the model as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// The inputs of the part, in their order.
    pub inputs: Vec<CutInput>,
    /// Its outputs, in their order.
    pub outputs: Vec<String>,
}

/// An input of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CutInput {
    /// Name of the value.
    pub name: String,
    /// Its type and the sizes of its axes, numbers or names, where the caller gives them; else the file or shape inference
    /// has to.
    pub declared: Option<(ElementType, Vec<String>)>,
}

impl Cut {
    /// Whether nothing is cut.
    pub fn is_empty(&self) -> bool {
        self.inputs.is_empty() && self.outputs.is_empty()
    }
}

impl ModelSource {
    /// Leaves the part of the model between the named values. `dims` are the sizes that its own inputs have, for shape
    /// inference; sizes that nothing binds stay free, under their names.
    pub fn cut(&mut self, cut: &Cut, dims: &BTreeMap<String, DimBinding>) -> Result<(), ImportError> {
        let graph = self.model().graph.as_ref().ok_or(ImportError::NoGraph)?;
        check_names(graph, cut)?;
        let outputs: Vec<&str> = match cut.outputs.as_slice() {
            [] => graph.output.iter().map(|info| info.name.as_str()).collect(),
            outputs => outputs.iter().map(String::as_str).collect(),
        };
        let named: HashSet<&str> = cut.inputs.iter().map(|input| input.name.as_str()).collect();
        let part = Part::between(graph, &named, &outputs);
        if !cut.inputs.is_empty() {
            part.check_inputs(graph, cut)?;
        }
        let declared = self.declarations(graph, &part, cut, dims)?;
        let outputs = outputs.into_iter().map(|name| output(graph, name)).collect();
        let nodes: Vec<usize> = (0..graph.node.len()).filter(|at| part.nodes.contains(at)).collect();
        let read: HashSet<String> = part.from.keys().map(|&name| name.to_owned()).collect();
        let named: HashSet<String> = named.into_iter().map(str::to_owned).collect();
        let graph = self.model_mut().graph.as_mut().ok_or(ImportError::NoGraph)?;
        graph.input = declared;
        graph.output = outputs;
        graph.initializer.retain(|tensor| read.contains(&tensor.name) && !named.contains(&tensor.name));
        let is_read = |name: Option<&str>| name.is_some_and(|name| read.contains(name));
        graph.sparse_initializer.retain(|sparse| is_read(sparse.values.as_ref().map(|v| v.name.as_str())));
        let mut all: Vec<Option<NodeProto>> = std::mem::take(&mut graph.node).into_iter().map(Some).collect();
        graph.node = nodes.into_iter().filter_map(|at| all[at].take()).collect();
        // A node may make other values beside one that is an input now.
        for name in graph.node.iter_mut().flat_map(|node| &mut node.output) {
            if named.contains(name) {
                name.clear();
            }
        }
        Ok(())
    }

    /// How the part's inputs are declared, in order.
    fn declarations(
        &self,
        graph: &GraphProto,
        part: &Part<'_>,
        cut: &Cut,
        dims: &BTreeMap<String, DimBinding>,
    ) -> Result<Vec<ValueInfoProto>, ImportError> {
        if cut.inputs.is_empty() {
            let read = |info: &&ValueInfoProto| part.from.contains_key(info.name.as_str());
            return Ok(interface::runtime_inputs(graph).filter(read).cloned().collect());
        }
        let stored: Vec<Option<ValueInfoProto>> =
            cut.inputs.iter().map(|input| given(input).or_else(|| stored(graph, &input.name))).collect();
        // Inputs and initializers are as the file has them.
        let made: HashSet<&str> =
            graph.node.iter().flat_map(|node| &node.output).map(String::as_str).collect();
        let open = cut.inputs.iter().zip(&stored).filter(|(input, info)| {
            input.declared.is_none()
                && made.contains(input.name.as_str())
                && !info.as_ref().is_some_and(is_whole)
        });
        let open: Vec<String> = open.map(|(input, _)| input.name.clone()).collect();
        let mut inferred = self.inferred(&open, dims)?;
        let mut declared = Vec::with_capacity(stored.len());
        for (input, stored) in cut.inputs.iter().zip(stored) {
            let name = &input.name;
            declared.push(match (inferred.remove(name), stored) {
                (None, Some(stored)) => stored,
                (Some(Ok(tensor)), _) => info(name, tensor),
                // Names of sizes that the file gives are better than nothing.
                (Some(Err(_)), Some(stored)) if has_rank(&stored) => stored,
                (found, _) => {
                    let reason = found.and_then(Result::err).unwrap_or_default();
                    return Err(CutError::UnknownShape { name: name.clone(), reason }.into());
                }
            });
        }
        Ok(declared)
    }

    /// Types and shapes of inner values, by importing what they are computed from; or why that cannot be.
    fn inferred(
        &self,
        names: &[String],
        dims: &BTreeMap<String, DimBinding>,
    ) -> Result<BTreeMap<String, Result<TensorTypeProto, String>>, ImportError> {
        if names.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut before = self.clone();
        before.cut(&Cut { inputs: Vec::new(), outputs: names.to_vec() }, dims)?;
        let known = interface::inputs(&before).map(|inputs| interface::sizes(&inputs));
        let types = known.and_then(|known| {
            let dims = dims.iter().filter(|(name, _)| known.contains(*name));
            let dims = dims.map(|(name, binding)| (name.clone(), *binding)).collect();
            import::value_types(&before, names, dims)
        });
        Ok(match types {
            Ok(types) => names.iter().cloned().zip(types).collect(),
            Err(error) => names.iter().map(|name| (name.clone(), Err(one_line(&error)))).collect(),
        })
    }
}

fn one_line(error: &ImportError) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Refuses names that the main graph does not have, and those that are given twice.
fn check_names(graph: &GraphProto, cut: &Cut) -> Result<(), CutError> {
    let inputs: Vec<&str> = cut.inputs.iter().map(|input| input.name.as_str()).collect();
    let outputs: Vec<&str> = cut.outputs.iter().map(String::as_str).collect();
    let values: HashSet<&str> = values(graph).collect();
    for side in [&inputs, &outputs] {
        let mut seen = HashSet::new();
        for &name in side {
            if !values.contains(name) {
                let known = self::values(graph).map(str::to_owned).collect();
                return Err(CutError::UnknownValue { name: name.to_owned(), known });
            }
            if !seen.insert(name) {
                return Err(CutError::Twice { name: name.to_owned() });
            }
        }
    }
    Ok(())
}

/// The names of the main graph: inputs, initializers, and what nodes make.
fn values(graph: &GraphProto) -> impl Iterator<Item = &str> {
    let inputs = graph.input.iter().map(|info| info.name.as_str());
    let stored = graph.initializer.iter().map(|tensor| tensor.name.as_str());
    let made = graph.node.iter().flat_map(|node| &node.output).map(String::as_str);
    inputs.chain(made).chain(stored).filter(|name| !name.is_empty())
}

/// What outputs depend on, up to where the model is cut.
struct Part<'g> {
    /// The nodes, by their places in the file.
    nodes: HashSet<usize>,
    /// For each value that is needed, the value that needs it; none for the outputs.
    from: HashMap<&'g str, Option<&'g str>>,
}

impl<'g> Part<'g> {
    /// Breadth first, so that the way back to an output is a short one.
    fn between(graph: &'g GraphProto, inputs: &HashSet<&str>, outputs: &[&'g str]) -> Self {
        let mut makers: HashMap<&str, usize> = HashMap::new();
        for (at, node) in graph.node.iter().enumerate() {
            for name in &node.output {
                makers.entry(name).or_insert(at);
            }
        }
        let mut open: VecDeque<&'g str> = outputs.iter().copied().collect();
        let from = outputs.iter().map(|&output| (output, None)).collect();
        let mut part = Self { nodes: HashSet::new(), from };
        while let Some(value) = open.pop_front() {
            let maker = makers.get(value).copied().filter(|_| !inputs.contains(value));
            let Some(maker) = maker.filter(|&maker| part.nodes.insert(maker)) else { continue };
            for name in reads(&graph.node[maker]) {
                if !part.from.contains_key(name) {
                    part.from.insert(name, Some(value));
                    open.push_back(name);
                }
            }
        }
        part
    }

    /// Refuses inputs that are missing or not needed.
    fn check_inputs(&self, graph: &'g GraphProto, cut: &Cut) -> Result<(), CutError> {
        let is_input = |name: &str| cut.inputs.iter().any(|input| input.name == name);
        for info in interface::runtime_inputs(graph) {
            let name = info.name.as_str();
            if self.from.contains_key(name) && !is_input(name) {
                let path = self.path(name);
                let output = path.first().cloned().unwrap_or_default();
                return Err(CutError::Outside { output, outside: name.to_owned(), path });
            }
        }
        match cut.inputs.iter().find(|input| !self.from.contains_key(input.name.as_str())) {
            Some(input) => Err(CutError::Unneeded { name: input.name.clone() }),
            None => Ok(()),
        }
    }

    /// From an output back to a value.
    fn path(&self, to: &'g str) -> Vec<String> {
        let step = |name: &&'g str| self.from.get(*name).copied().flatten();
        let mut path: Vec<String> = std::iter::successors(Some(to), step).map(str::to_owned).collect();
        path.reverse();
        path
    }
}

/// What the caller says of an input.
fn given(input: &CutInput) -> Option<ValueInfoProto> {
    let (element, dims) = input.declared.as_ref()?;
    // A number as text is read as one.
    let dim = |text: &String| DimensionProto { value: Some(DimensionValue::Param(text.clone())) };
    let shape = TensorShapeProto { dim: dims.iter().map(dim).collect() };
    Some(info(&input.name, TensorTypeProto { elem_type: DataType::code_of(*element), shape: Some(shape) }))
}

/// What the file says of a value.
fn stored(graph: &GraphProto, name: &str) -> Option<ValueInfoProto> {
    let infos = graph.input.iter().chain(&graph.output).chain(&graph.value_info);
    let found = infos.filter(|info| info.name == name).find(|info| info.r#type.is_some());
    found.cloned().or_else(|| {
        let tensor = graph.initializer.iter().find(|tensor| tensor.name == name)?;
        let dim = |&size: &i64| DimensionProto { value: Some(DimensionValue::Value(size)) };
        let shape = TensorShapeProto { dim: tensor.dims.iter().map(dim).collect() };
        Some(info(name, TensorTypeProto { elem_type: tensor.data_type, shape: Some(shape) }))
    })
}

/// How an output is declared: as the file has it, if it has.
fn output(graph: &GraphProto, name: &str) -> ValueInfoProto {
    let found = graph.output.iter().chain(&graph.value_info).find(|info| info.name == name).cloned();
    found.unwrap_or_else(|| ValueInfoProto { name: name.to_owned(), r#type: None })
}

fn info(name: &str, tensor: TensorTypeProto) -> ValueInfoProto {
    let ty = TypeProto { value: Some(TypeValue::Tensor(tensor)) };
    ValueInfoProto { name: name.to_owned(), r#type: Some(ty) }
}

fn shape(info: &ValueInfoProto) -> Option<&TensorShapeProto> {
    match info.r#type.as_ref()?.value.as_ref()? {
        TypeValue::Tensor(tensor) if tensor.elem_type != 0 => tensor.shape.as_ref(),
        _ => None,
    }
}

fn has_rank(info: &ValueInfoProto) -> bool {
    shape(info).is_some()
}

/// Whether a declaration leaves nothing open.
fn is_whole(info: &ValueInfoProto) -> bool {
    shape(info).is_some_and(|shape| {
        shape.dim.iter().all(|dim| matches!(dim.value, Some(DimensionValue::Value(size)) if size >= 0))
    })
}

//! Runs whole graphs, freeing each value after its last use.

use super::{EvalError, Limits, eval_node};
use crate::dim::SymbolId;
use crate::graph::{Graph, NodeId, ValueId};
use crate::tensor::Tensor;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Computes the graph's outputs. Free dims take their size from the inputs.
pub fn run(graph: &Graph, inputs: &[Tensor]) -> Result<Vec<Tensor>, EvalError> {
    run_with(graph, inputs, Limits::STANDARD, |_, _| {})
}

/// Like [`run`], and shows the results of each node as they are computed.
pub fn run_observed(
    graph: &Graph,
    inputs: &[Tensor],
    observe: impl FnMut(NodeId, &[Tensor]),
) -> Result<Vec<Tensor>, EvalError> {
    run_with(graph, inputs, Limits::STANDARD, observe)
}

/// Like [`run_observed`], under limits of the caller's choice.
pub fn run_with(
    graph: &Graph,
    inputs: &[Tensor],
    limits: Limits,
    mut observe: impl FnMut(NodeId, &[Tensor]),
) -> Result<Vec<Tensor>, EvalError> {
    let bound = bound(graph, inputs)?;
    run_bound(&bound, inputs, limits, &mut observe)
}

/// The graph with the sizes of its free dims that these inputs decide; its nodes and values have the numbers that they had.
/// Fails where the inputs do not fit.
pub fn bound<'a>(graph: &'a Graph, inputs: &[Tensor]) -> Result<Cow<'a, Graph>, EvalError> {
    let sizes = check_inputs(graph, inputs)?;
    let mut bound = Cow::Borrowed(graph);
    for (symbol, size) in sizes {
        bound.to_mut().bind_symbol(symbol, size)?;
    }
    Ok(bound)
}

/// Checks types and gives the sizes of the free dims that the inputs decide.
fn check_inputs(graph: &Graph, inputs: &[Tensor]) -> Result<BTreeMap<SymbolId, u64>, EvalError> {
    if inputs.len() != graph.inputs().len() {
        return Err(EvalError::InputCount { expected: graph.inputs().len(), actual: inputs.len() });
    }
    let mut sizes: BTreeMap<SymbolId, u64> = BTreeMap::new();
    for (&value, tensor) in graph.inputs().iter().zip(inputs) {
        for (dim, &size) in graph.value(value).ty.shape.iter().zip(tensor.shape()) {
            // What is no multiple is told where the shape is checked.
            if let Some((symbol, times)) = dim.as_multiple() {
                sizes.entry(symbol).or_insert(size / times);
            }
        }
    }
    for (&value, tensor) in graph.inputs().iter().zip(inputs) {
        check_input(graph, value, tensor, &sizes)?;
    }
    Ok(sizes)
}

fn check_input(
    graph: &Graph,
    value: ValueId,
    tensor: &Tensor,
    sizes: &BTreeMap<SymbolId, u64>,
) -> Result<(), EvalError> {
    let value = graph.value(value);
    let ty = &value.ty;
    if let Some(free) =
        ty.shape.iter().flat_map(|dim| dim.symbols()).find(|symbol| !sizes.contains_key(symbol))
    {
        return Err(EvalError::FreeDim(graph.symbols.name(free)));
    }
    let size_fits = |(dim, &size): (&crate::dim::Dim, &u64)| {
        dim.evaluate(|symbol| sizes.get(&symbol).copied()) == Ok(size)
    };
    let fits = ty.element == tensor.element()
        && ty.rank() == tensor.rank()
        && ty.shape.iter().zip(tensor.shape()).all(size_fits);
    if fits {
        return Ok(());
    }
    Err(EvalError::Input {
        name: value.name.clone(),
        expected: ty.display(&graph.symbols).to_string(),
        actual: tensor.ty().display(&graph.symbols).to_string(),
    })
}

fn run_bound(
    graph: &Graph,
    inputs: &[Tensor],
    limits: Limits,
    observe: &mut dyn FnMut(NodeId, &[Tensor]),
) -> Result<Vec<Tensor>, EvalError> {
    let mut live = Live::new(graph);
    for (&value, tensor) in graph.inputs().iter().zip(inputs) {
        live.put(value, tensor.clone());
    }
    for id in graph.nodes() {
        let node = graph.node(id);
        let operands: Vec<Tensor> = node.operands().map(|value| live.get(value)).collect();
        let operands: Vec<&Tensor> = operands.iter().collect();
        let results = eval_node(node, &operands, limits)?;
        observe(id, &results);
        node.operands().for_each(|value| live.used(value));
        for (&value, tensor) in node.outputs.iter().zip(results) {
            live.put(value, tensor);
        }
    }
    Ok(graph.outputs().iter().map(|&value| live.get(value)).collect())
}

/// Tensors that are still needed. Clones share their bytes.
struct Live<'a> {
    graph: &'a Graph,
    tensors: Vec<Option<Tensor>>,
    uses: Vec<u32>,
}

impl<'a> Live<'a> {
    fn new(graph: &'a Graph) -> Self {
        let mut uses = vec![0u32; graph.value_capacity()];
        let operands = graph.nodes().flat_map(|id| graph.node(id).operands());
        for value in operands.chain(graph.outputs().iter().copied()) {
            uses[value.0 as usize] += 1;
        }
        Self { graph, tensors: vec![None; uses.len()], uses }
    }

    fn put(&mut self, value: ValueId, tensor: Tensor) {
        if self.uses[value.0 as usize] > 0 {
            self.tensors[value.0 as usize] = Some(tensor);
        }
    }

    fn get(&self, value: ValueId) -> Tensor {
        if let Some(constant) = self.graph.constant(value) {
            return constant.clone();
        }
        let tensor = self.tensors[value.0 as usize].clone();
        tensor.expect("nodes are in execution order and values live until their last use")
    }

    fn used(&mut self, value: ValueId) {
        let uses = &mut self.uses[value.0 as usize];
        *uses -= 1;
        if *uses == 0 {
            self.tensors[value.0 as usize] = None;
        }
    }
}

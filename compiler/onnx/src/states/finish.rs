//! From a graph over past rows to one over states of fixed size.
//!
//! Sizes and data part here. A size that counts past rows becomes that of a full cache; a number that is computed with,
//! such as the place of a token, follows from `position`.

use crate::cache::{Caches, Past};
use crate::error::ImportError;
use crate::import::Logits;
use crate::importer::Importer;
use drift_ir::graph::EditError;
use drift_ir::op::data::SliceAxis;
use drift_ir::op::{BinaryOp, Concat, Gather, ScalarOp, Slice, WriteRows};
use drift_ir::{Dim, ElementType, Graph, NodeId, Op, SymbolId, Tensor, TensorType, ValueId};

impl Importer<'_> {
    /// Makes states of the caches, if there are any.
    pub(crate) fn finish_caches(&mut self, logits: Logits) -> Result<(), ImportError> {
        let Some(caches) = self.caches.take() else {
            return if logits == Logits::All { Ok(()) } else { Err(ImportError::NoCaches) };
        };
        let past = caches.form.capacity - caches.form.new;
        let numbers = Numbers {
            symbol: caches.symbol,
            position: caches.position,
            most: past,
            capacity: caches.form.capacity,
        };
        self.graph.remove_dead();
        if logits == Logits::Last {
            self.last_logits(caches.form.new)?;
        }
        let graph = &mut self.graph;
        ranges(graph, &numbers, caches.form.capacity).map_err(Box::new)?;
        shapes(graph, &numbers).map_err(|fault| fault.explain(&caches.form.dim))?;
        graph.bind_symbol(caches.symbol, past).map_err(Box::new)?;
        let caches = joins(graph, caches).map_err(Box::new)?;
        pair(graph, &caches)?;
        if logits == Logits::Greedy { self.choose_next(&caches) } else { Ok(()) }
    }

    /// The output `logits`, where it has a row for each of `new` tokens.
    pub(super) fn logits(&self, new: u64) -> Option<ValueId> {
        let outputs = self.graph.outputs().iter().copied();
        let named = outputs
            .map(|output| (output, self.graph.value(output)))
            .find(|(_, value)| value.name == "logits");
        let (logits, value) = named?;
        (value.ty.shape.len() == 3 && value.ty.shape[1] == Dim::Const(new)).then_some(logits)
    }
}

impl Importer<'_> {
    /// Keeps the row of `logits` that belongs to the last of `count` new tokens; `count` is an input, i32 `[1]`.
    fn last_logits(&mut self, new: u64) -> Result<(), ImportError> {
        let Some(logits) = self.logits(new) else { return Err(ImportError::NoLogits) };
        if new == 1 {
            return Ok(());
        }
        let name = self.names.unique("count");
        let ty = TensorType { element: ElementType::I32, shape: vec![Dim::Const(1)] };
        let count = self.graph.add_input(name, ty).map_err(Box::new)?;
        let one = self.cache_constant(Tensor::from_i64_as(ElementType::I32, [1], &[1]))?;
        let last = self.cache_node("last", binary(BinaryOp::Sub), &[count, one])?;
        let all = self.names.unique("logits.all");
        self.rename(logits, &all);
        let node = self.node_names.unique("logits.last");
        let added = self.graph.add_node(node, Op::Gather(Gather { axis: 1 }), &[logits, last], ["logits"]);
        let added = added.map_err(|error| Box::new(EditError::from(error)))?;
        let last = self.graph.node(added).outputs[0];
        let outputs = self.graph.outputs().iter().map(|&output| if output == logits { last } else { output });
        let outputs: Vec<ValueId> = outputs.collect();
        Ok(self.graph.set_outputs(&outputs).map_err(Box::new)?)
    }
}

/// What becomes of a number that counts past rows.
struct Numbers {
    symbol: SymbolId,
    position: ValueId,
    /// Past rows at most, as sizes count them: new rows fit behind.
    most: u64,
    /// Past rows at most, as a number: the new rows of a padded chunk may reach beyond the last row.
    capacity: u64,
}

enum Fault {
    Edit(Box<EditError>),
    /// A size that is not a multiple of the past rows and something beside.
    Form {
        value: String,
    },
}

impl From<EditError> for Fault {
    fn from(error: EditError) -> Self {
        Self::Edit(Box::new(error))
    }
}

impl Fault {
    fn explain(self, dim: &str) -> ImportError {
        match self {
            Self::Edit(error) => ImportError::Graph(error),
            Self::Form { value } => {
                let reason = format!(
                    "`{value}` computes with the number of past rows in a form that is not supported"
                );
                ImportError::Cache { dim: dim.to_owned(), reason }
            }
        }
    }
}

impl Numbers {
    /// `a + b * past`, if a size has that form.
    fn affine(&self, dim: &Dim) -> Option<(u64, u64)> {
        let at = |past: u64| dim.evaluate(|symbol| (symbol == self.symbol).then_some(past)).ok();
        let start = at(0)?;
        let step = at(1.min(self.most))?.checked_sub(start)?;
        let fits = [self.most / 2, self.most].into_iter().all(|past| at(past) == Some(start + step * past));
        fits.then_some((start, step))
    }
}

fn nodes(graph: &Graph) -> Vec<NodeId> {
    graph.nodes().collect()
}

/// A node before another one.
fn before(graph: &mut Graph, anchor: NodeId, op: Op, inputs: &[ValueId]) -> Result<ValueId, EditError> {
    let name = graph.unique_name(&format!("{}.place", graph.value(graph.node(anchor).outputs[0]).name));
    let origins = graph.node(anchor).origins.clone();
    let node = graph.insert_node_before(anchor, name.clone(), op, inputs, [name])?;
    graph.set_origins(node, origins);
    Ok(graph.node(node).outputs[0])
}

fn constant(
    graph: &mut Graph,
    element: ElementType,
    shape: &[u64],
    numbers: &[i64],
) -> Result<ValueId, EditError> {
    let tensor = Tensor::from_i64_as(element, shape.to_vec(), numbers);
    let tensor = tensor.unwrap_or_else(|error| unreachable!("as many numbers as the shape has: {error}"));
    let name = graph.unique_name("cache.number");
    graph.add_constant(name, tensor)
}

const fn binary(op: BinaryOp) -> Op {
    Op::Elementwise(ScalarOp::Binary(op))
}

/// Ranges whose start or step will be data: `start + delta * (0, 1, ..)`, as long as they are.
fn ranges(graph: &mut Graph, numbers: &Numbers, capacity: u64) -> Result<(), EditError> {
    for id in nodes(graph) {
        let node = graph.node(id);
        let is_constant = node.inputs.iter().all(|&input| graph.constant(input).is_some());
        let (Op::Range(_), false) = (&node.op, is_constant) else { continue };
        let (inputs, result) = (node.inputs.clone(), node.outputs[0]);
        let ty = graph.value(result).ty.clone();
        let most = ty.shape[0].substitute(numbers.symbol, numbers.most)?.as_const().unwrap_or(capacity);
        if ty.element.is_float() {
            continue;
        }
        let all: Vec<i64> = (0..most.max(1) as i64).collect();
        let all = constant(graph, ty.element, &[all.len() as u64], &all)?;
        let cut = SliceAxis { axis: 0, start: 0, step: 1, count: ty.shape[0].clone() };
        let count = before(graph, id, Op::Slice(Slice { axes: vec![cut] }), &[all])?;
        let steps = before(graph, id, binary(BinaryOp::Mul), &[count, inputs[2]])?;
        let made = before(graph, id, binary(BinaryOp::Add), &[steps, inputs[0]])?;
        graph.replace_uses(result, made)?;
    }
    graph.remove_dead();
    Ok(())
}

/// Sizes that nodes compute with, as numbers that follow from the position.
fn shapes(graph: &mut Graph, numbers: &Numbers) -> Result<(), Fault> {
    for id in nodes(graph) {
        let node = graph.node(id);
        let Op::ShapeOf(op) = node.op else { continue };
        let (source, result) = (node.inputs[0], node.outputs[0]);
        let dims = graph.value(source).ty.shape[op.start..op.end].to_vec();
        if dims.iter().all(|dim| dim.as_const().is_some()) {
            continue;
        }
        let affine: Option<Vec<(u64, u64)>> = dims.iter().map(|dim| numbers.affine(dim)).collect();
        let Some(affine) = affine else {
            return Err(Fault::Form { value: graph.value(source).name.clone() });
        };
        let [starts, steps]: [Vec<i64>; 2] = [
            affine.iter().map(|&(start, _)| start as i64).collect(),
            affine.iter().map(|&(_, step)| step as i64).collect(),
        ];
        let count = [affine.len() as u64];
        let starts = constant(graph, ElementType::I64, &count, &starts)?;
        let steps = constant(graph, ElementType::I64, &count, &steps)?;
        let cast = Op::Elementwise(ScalarOp::Cast(ElementType::I64));
        // The host gives no other number, and no product of it leaves 32 bits.
        let clip = Op::Elementwise(ScalarOp::Clip { min: 0.0, max: numbers.capacity as f64 });
        let position = before(graph, id, clip, &[numbers.position])?;
        let position = before(graph, id, cast, &[position])?;
        let steps = before(graph, id, binary(BinaryOp::Mul), &[steps, position])?;
        let made = before(graph, id, binary(BinaryOp::Add), &[steps, starts])?;
        graph.replace_uses(result, made)?;
    }
    graph.remove_dead();
    Ok(())
}

/// Past rows with new ones behind them: the new ones are written into the state.
fn joins(graph: &mut Graph, mut caches: Caches) -> Result<Caches, EditError> {
    for id in nodes(graph) {
        let node = graph.node(id);
        let (Op::Concat(Concat { axis }), [past, new]) = (&node.op, node.inputs.as_slice()) else { continue };
        let (axis, past, new, result) = (*axis, *past, *new, node.outputs[0]);
        let Some(Past { state, .. }) = caches.state(past).filter(|past| past.axis == axis) else { continue };
        let write = Op::WriteRows(WriteRows { axis, circular: false });
        graph.set_op_and_inputs(id, write, &[state, new, caches.position])?;
        caches.write(state, result);
    }
    graph.remove_dead();
    Ok(caches)
}

/// Pairs each state with the output that it becomes.
fn pair(graph: &mut Graph, caches: &Caches) -> Result<(), ImportError> {
    let error = |reason: String| ImportError::Cache { dim: caches.form.dim.clone(), reason };
    let mut all: Vec<(ValueId, ValueId)> =
        caches.past.iter().map(|(past, Past { state, .. })| (*state, *past)).collect();
    all.sort();
    for (state, past) in all {
        let name = graph.value(state).name.clone();
        if graph.get_value(past).is_some_and(|_| graph.is_read(past) || graph.is_output(past)) {
            return Err(error(format!(
                "the model reads the cache `{name}` otherwise than to write new rows behind it"
            )));
        }
        let written = caches.written.get(&state);
        let Some(&written) = written.filter(|&&written| graph.get_value(written).is_some()) else {
            return Err(error(format!("the model writes no new rows to the cache `{name}`")));
        };
        // Outputs of the same name as other values are copies.
        let copy = |output: &ValueId| {
            graph.producer(*output).is_some_and(|node| {
                let node = graph.node(node);
                matches!(node.op, Op::Reshape(_)) && node.inputs[0] == written
            })
        };
        let output = graph.outputs().iter().copied().find(|output| *output == written || copy(output));
        let Some(output) = output else {
            return Err(error(format!("the model does not return what becomes of the cache `{name}`")));
        };
        graph.add_state(state, output).map_err(Box::new)?;
    }
    Ok(())
}

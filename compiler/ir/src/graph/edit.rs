//! Edits. Each one either leaves a consistent graph (order, types, names) or changes nothing and says why.
//!
//! No edit of nodes changes the type of a value that a node outside of the edit reads, or that is a graph output: a
//! rewrite that would is refused as [`EditError::TypeChanged`], whatever the build. Only [`Graph::bind_symbol`] changes
//! types, all at once.

use super::build::{Staged, infer_error};
use super::error::EditError;
use super::order::Order;
use super::{Graph, Node, NodeId, Value, ValueDef, ValueId};
use crate::dim::{DimError, SymbolId};
use crate::op::infer::InferError;
use crate::op::{Epilogue, Op, ScalarOp, Step, StepArg};
use crate::tensor::TensorType;
use std::collections::{BTreeMap, BTreeSet};

/// Argument of a step that [`Graph::push_epilogue`] appends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum EpilogueArg {
    /// The value so far: the last step, or the op's result.
    Current,
    /// An element of a value that broadcasts to the result.
    Value(ValueId),
    /// A constant.
    Const(f64),
}

impl Graph {
    /// Replaces a node's op.
    pub fn set_op(&mut self, id: NodeId, op: Op) -> Result<(), EditError> {
        self.edit_node(id, |node| node.op = op)
    }

    /// Replaces a node's inputs. They must be computed before the node.
    pub fn set_inputs(&mut self, id: NodeId, inputs: &[ValueId]) -> Result<(), EditError> {
        self.edit_node(id, |node| node.inputs = inputs.to_vec())
    }

    /// Replaces op and inputs at once, for rewrites that change both.
    pub fn set_op_and_inputs(&mut self, id: NodeId, op: Op, inputs: &[ValueId]) -> Result<(), EditError> {
        self.edit_node(id, |node| (node.op, node.inputs) = (op, inputs.to_vec()))
    }

    /// Replaces a node's epilogue.
    pub fn set_epilogue(&mut self, id: NodeId, epilogue: Epilogue) -> Result<(), EditError> {
        self.edit_node(id, |node| node.epilogue = epilogue)
    }

    /// Replaces all that a node computes at once.
    pub fn set_node(
        &mut self,
        id: NodeId,
        op: Op,
        inputs: &[ValueId],
        epilogue: Epilogue,
    ) -> Result<(), EditError> {
        self.edit_node(id, |node| (node.op, node.inputs, node.epilogue) = (op, inputs.to_vec(), epilogue))
    }

    fn edit_node(&mut self, id: NodeId, change: impl FnOnce(&mut Node)) -> Result<(), EditError> {
        let mut node = self.node(id).clone();
        change(&mut node);
        self.replace_nodes(BTreeMap::from([(id, node)]))
    }

    /// Makes `epilogue` the whole of what `consumer` did with the result of `producer`, which nobody else reads, and removes
    /// the consumer. Its place, its result's name and its origins go to the producer.
    pub fn absorb(
        &mut self,
        producer: NodeId,
        consumer: NodeId,
        epilogue: Epilogue,
    ) -> Result<(), EditError> {
        let (made, result) = (self.node(producer).outputs[0], self.node(consumer).outputs[0]);
        self.move_before(producer, consumer)?;
        let (mut absorbing, mut absorbed) = (self.node(producer).clone(), self.node(consumer).clone());
        absorbing.epilogue = epilogue;
        // Until it goes, the consumer passes on what the producer makes.
        absorbed.op = Op::Elementwise(ScalarOp::Cast(self.value(result).ty.element));
        absorbed.inputs = vec![made];
        absorbed.epilogue = Epilogue::default();
        self.replace_nodes(BTreeMap::from([(producer, absorbing), (consumer, absorbed)]))?;
        // The graph itself swaps the names of an output.
        if !self.is_output(result) {
            self.swap_names(made, result);
        }
        self.replace_uses(result, made)?;
        self.merge_origins(producer, consumer);
        self.remove_node(consumer)?;
        Ok(())
    }

    /// Appends a step to a node's epilogue. A value that the epilogue reads already keeps its place.
    pub fn push_epilogue(&mut self, id: NodeId, op: ScalarOp, args: &[EpilogueArg]) -> Result<(), EditError> {
        let mut epilogue = self.node(id).epilogue.clone();
        let current = epilogue.current();
        let args = args
            .iter()
            .map(|&arg| match arg {
                EpilogueArg::Current => current,
                EpilogueArg::Const(value) => StepArg::Const(value),
                EpilogueArg::Value(value) => StepArg::Operand(epilogue.operand_index(value)),
            })
            .collect();
        epilogue.steps.push(Step { op, args });
        self.set_epilogue(id, epilogue)
    }

    /// Sets the model's own nodes that a node stands for.
    pub fn set_origins(&mut self, id: NodeId, origins: Vec<String>) {
        if let Some(Some(node)) = self.nodes.get_mut(id.0 as usize) {
            node.origins = origins;
        }
    }

    /// Appends the origins of `from` to those of `into`, for a node that takes over another's work.
    pub fn merge_origins(&mut self, into: NodeId, from: NodeId) {
        let known = &self.node(into).origins;
        let new = |origin: &&String| !known.contains(*origin);
        let added: Vec<String> = self.node(from).origins.iter().filter(new).cloned().collect();
        if let Some(Some(node)) = self.nodes.get_mut(into.0 as usize) {
            node.origins.extend(added);
        }
    }

    /// Makes every reader of `old` read `new`, graph outputs included. An output keeps its name: `new` takes it over
    /// from `old`. Where it cannot, because `new` is itself an input or an output, the graph goes on giving out `old`.
    /// Both must have one type.
    pub fn replace_uses(&mut self, old: ValueId, new: ValueId) -> Result<(), EditError> {
        for value in [old, new] {
            if self.get_value(value).is_none() {
                return Err(EditError::UnknownValue(value));
            }
        }
        if old == new {
            return Ok(());
        }
        if self.value(old).ty != self.value(new).ty {
            return Err(self.type_changed(self.value(old), &self.value(new).ty));
        }
        let replace = |value: &mut ValueId| {
            if *value == old {
                *value = new;
            }
        };
        let edits = self.readers[old.0 as usize].iter().map(|&id| {
            let mut node = self.node(id).clone();
            node.inputs.iter_mut().for_each(replace);
            node.epilogue.operands.iter_mut().for_each(replace);
            (id, node)
        });
        self.replace_nodes(edits.collect())?;
        let keeps_name = self.is_output(new) || self.is_input(new);
        if self.is_output(old) && !keeps_name {
            self.outputs.iter_mut().for_each(replace);
            self.given_out.remove(&old);
            self.given_out.insert(new);
            self.states.iter_mut().for_each(|state| replace(&mut state.output));
            self.swap_names(old, new);
        }
        Ok(())
    }

    /// Refuses the type that an edit stages for a value, unless only nodes of the edit read it.
    fn check_type(
        &self,
        id: ValueId,
        ty: &TensorType,
        edits: &BTreeMap<NodeId, Node>,
    ) -> Result<(), EditError> {
        let value = self.value(id);
        let survives =
            || self.is_output(id) || self.readers[id.0 as usize].iter().any(|user| !edits.contains_key(user));
        if value.ty != *ty && survives() {
            return Err(self.type_changed(value, ty));
        }
        Ok(())
    }

    fn type_changed(&self, value: &Value, after: &TensorType) -> EditError {
        EditError::TypeChanged {
            value: value.name.clone(),
            before: value.ty.display(&self.symbols).to_string(),
            after: after.display(&self.symbols).to_string(),
        }
    }

    /// Commits changed nodes together with the types and known elements that follow from them.
    fn replace_nodes(&mut self, edits: BTreeMap<NodeId, Node>) -> Result<(), EditError> {
        let mut staged = Staged::new();
        // In execution order, so that a node is inferred once, after everything that it reads.
        let mut pending: BTreeSet<(u64, NodeId)> =
            edits.keys().map(|&id| (self.order.rank(id), id)).collect();
        while let Some((_, id)) = pending.pop_first() {
            let edited = edits.get(&id);
            let node = edited.unwrap_or_else(|| self.node(id));
            if edited.is_some() {
                self.check_order(node, Some(id)).map_err(|kind| infer_error(node, kind))?;
            }
            for (&output, (ty, known)) in node.outputs.iter().zip(self.infer_results(node, &staged)?) {
                self.check_type(output, &ty, &edits)?;
                if self.value(output).ty != ty || self.known[output.0 as usize] != known {
                    staged.insert(output, (ty, known));
                    let readers = self.readers[output.0 as usize].iter();
                    pending.extend(readers.map(|&reader| (self.order.rank(reader), reader)));
                }
            }
        }
        for (id, node) in edits {
            self.forget_depth(id);
            self.unlist_reader(id);
            for value in node.operands() {
                self.readers[value.0 as usize].insert(id);
            }
            self.nodes[id.0 as usize] = Some(node);
        }
        self.commit(staged);
        Ok(())
    }

    /// Takes a node out of the readers of its operands.
    fn unlist_reader(&mut self, id: NodeId) {
        for value in self.nodes[id.0 as usize].iter().flat_map(Node::operands) {
            self.readers[value.0 as usize].remove(&id);
        }
    }

    fn commit(&mut self, staged: Staged) {
        for (id, (ty, known)) in staged {
            if let Some(value) = &mut self.values[id.0 as usize] {
                value.ty = ty;
            }
            self.known[id.0 as usize] = known;
        }
    }

    /// Renames a value.
    pub fn rename_value(&mut self, id: ValueId, name: impl Into<String>) -> Result<(), EditError> {
        let name = name.into();
        match self.value_by_name(&name) {
            Some(owner) if owner == id => return Ok(()),
            Some(_) => return Err(EditError::NameTaken(name)),
            None => {}
        }
        let Some(Some(value)) = self.values.get_mut(id.0 as usize) else {
            return Err(EditError::UnknownValue(id));
        };
        let old = std::mem::replace(&mut value.name, name.clone());
        self.value_names.remove(&old);
        self.value_names.insert(name, id);
        Ok(())
    }

    /// Gives two values each other's names.
    pub fn swap_names(&mut self, a: ValueId, b: ValueId) {
        let (name_a, name_b) = (self.value(a).name.clone(), self.value(b).name.clone());
        for (id, name) in [(a, name_b), (b, name_a)] {
            self.value_names.insert(name.clone(), id);
            if let Some(value) = &mut self.values[id.0 as usize] {
                value.name = name;
            }
        }
    }

    /// Moves a node earlier or later, to just before `anchor`; everything it reads must be computed by then, and nothing
    /// may read it sooner.
    pub fn move_before(&mut self, id: NodeId, anchor: NodeId) -> Result<(), EditError> {
        if id == anchor {
            return Ok(());
        }
        let node = self.node(id);
        let is_read_earlier = |value: &ValueId| {
            self.readers[value.0 as usize].iter().any(|&user| self.compare(user, anchor).is_lt())
        };
        let read_earlier = node.outputs.iter().copied().find(is_read_earlier);
        let computed_later = node.operands().find(|&value| {
            self.producer(value).is_some_and(|producer| self.compare(producer, anchor).is_ge())
        });
        if let Some(value) = read_earlier.or(computed_later) {
            return Err(EditError::Order {
                node: node.name.clone(),
                anchor: self.node(anchor).name.clone(),
                value: self.value(value).name.clone(),
            });
        }
        self.order.remove(id);
        self.order.insert(id, Some(anchor));
        Ok(())
    }

    /// Removes a node whose results nobody reads, and gives it back.
    pub fn remove_node(&mut self, id: NodeId) -> Result<Node, EditError> {
        let node = self.node(id);
        let is_used = |value: &&ValueId| self.is_output(**value) || self.is_read(**value);
        if let Some(&value) = node.outputs.iter().find(is_used) {
            return Err(EditError::StillUsed {
                node: node.name.clone(),
                value: self.value(value).name.clone(),
            });
        }
        let node = node.clone();
        self.drop_node(id);
        Ok(node)
    }

    /// Removes nodes from number `end` on whose results nobody reads: what an abandoned rewrite has added.
    pub fn remove_unread_from(&mut self, end: usize) {
        for id in (end..self.nodes.len()).rev().map(|number| NodeId(number as u32)) {
            if self.get_node(id).is_some() {
                // What is read stays.
                self.remove_node(id).ok();
            }
        }
    }

    fn drop_node(&mut self, id: NodeId) {
        self.order.remove(id);
        self.unlist_reader(id);
        if let Some(node) = self.nodes[id.0 as usize].take() {
            self.node_names.remove(&node.name);
            node.outputs.iter().for_each(|&value| self.drop_value(value));
        }
    }

    fn drop_value(&mut self, id: ValueId) {
        if let Some(value) = self.values[id.0 as usize].take() {
            self.value_names.remove(&value.name);
            self.known[id.0 as usize] = None;
            self.readers[id.0 as usize].clear();
        }
    }

    /// Removes nodes and constants that no output needs; says how many.
    pub fn remove_dead(&mut self) -> usize {
        let mut needed = vec![false; self.values.len()];
        self.outputs.iter().for_each(|value| needed[value.0 as usize] = true);
        let mut dead = Vec::new();
        for id in self.nodes().rev() {
            let node = self.node(id);
            if node.outputs.iter().any(|value| needed[value.0 as usize]) {
                node.operands().for_each(|value| needed[value.0 as usize] = true);
            } else {
                dead.push(id);
            }
        }
        for &id in &dead {
            self.drop_node(id);
        }
        let constants: Vec<ValueId> = self
            .values()
            .filter(|(id, value)| matches!(value.def, ValueDef::Constant(_)) && !needed[id.0 as usize])
            .map(|(id, _)| id)
            .collect();
        constants.iter().for_each(|&id| self.drop_value(id));
        dead.len() + constants.len()
    }

    /// Renumbers nodes in execution order and values in the order of their arena, without gaps. Ids taken before are
    /// void after.
    pub fn compact(&mut self) {
        let mut new_values = vec![ValueId(u32::MAX); self.values.len()];
        for (new, (old, _)) in (0u32..).zip(self.values()) {
            new_values[old.0 as usize] = ValueId(new);
        }
        let renumber = |value: &mut ValueId| *value = new_values[value.0 as usize];
        let mut new_nodes = vec![NodeId(u32::MAX); self.nodes.len()];
        let order: Vec<NodeId> = self.nodes().collect();
        let mut nodes = Vec::with_capacity(order.len());
        for (new, old) in (0u32..).zip(order) {
            new_nodes[old.0 as usize] = NodeId(new);
            nodes.push(self.nodes[old.0 as usize].take());
        }
        for node in nodes.iter_mut().flatten() {
            node.inputs.iter_mut().for_each(renumber);
            node.epilogue.operands.iter_mut().for_each(renumber);
            node.outputs.iter_mut().for_each(renumber);
        }
        let is_live: Vec<bool> = self.values.iter().map(Option::is_some).collect();
        let mut live = is_live.iter();
        self.known.retain(|_| live.next().is_some_and(|&live| live));
        self.values.retain(Option::is_some);
        for value in self.values.iter_mut().flatten() {
            if let ValueDef::Node { node, .. } = &mut value.def {
                *node = new_nodes[node.0 as usize];
            }
        }
        self.nodes = nodes;
        self.order = Order::of((0u32..).map(NodeId).take(self.nodes.len()));
        self.readers = vec![BTreeSet::new(); self.values.len()];
        for (id, node) in (0u32..).map(NodeId).zip(self.nodes.iter().flatten()) {
            for value in node.operands() {
                self.readers[value.0 as usize].insert(id);
            }
        }
        self.inputs.iter_mut().chain(&mut self.outputs).for_each(renumber);
        self.given_out = self.outputs.iter().copied().collect();
        self.depths.clear();
        for state in &mut self.states {
            renumber(&mut state.input);
            renumber(&mut state.output);
        }
        self.value_names.values_mut().for_each(renumber);
    }

    /// Fixes a free dim: replaces it in every type and attribute, and infers every node again.
    pub fn bind_symbol(&mut self, symbol: SymbolId, size: u64) -> Result<(), EditError> {
        let (low, high) = self.symbols.bounds(symbol);
        if size < low || high.is_some_and(|high| size > high) {
            return Err(EditError::Dim(DimError::OutOfBounds {
                name: self.symbols.name(symbol),
                low,
                high,
                value: size,
            }));
        }
        let mut bound = self.clone();
        bound.symbols.set_bounds(symbol, size, Some(size))?;
        for &input in &self.inputs {
            if let Some(value) = &mut bound.values[input.0 as usize] {
                for dim in &mut value.ty.shape {
                    *dim = dim.substitute(symbol, size)?;
                }
            }
        }
        for node in bound.nodes.iter_mut().flatten() {
            node.op.substitute(symbol, size)?;
        }
        bound.infer_all()?;
        *self = bound;
        Ok(())
    }

    /// Infers every node again after input types or attributes changed.
    fn infer_all(&mut self) -> Result<(), InferError> {
        for id in self.nodes().collect::<Vec<_>>() {
            let node = self.node(id);
            let results = self.infer_results(node, &Staged::new())?;
            let staged = node.outputs.iter().copied().zip(results).collect();
            self.commit(staged);
        }
        Ok(())
    }
}

impl Epilogue {
    /// Place of a value among the operands; appends it where it is new.
    pub fn operand_index(&mut self, value: ValueId) -> u32 {
        let known = self.operands.iter().position(|&operand| operand == value);
        let index = known.unwrap_or_else(|| {
            self.operands.push(value);
            self.operands.len() - 1
        });
        u32::try_from(index).expect("fewer than 2^32 operands")
    }
}

//! Adding inputs, constants and nodes; every node is inferred as it is added.

use super::{EditError, Graph, Node, NodeId, State, Value, ValueDef, ValueId};
use crate::op::infer::{InferError, InferErrorKind, Operand, check_addressable, infer_node};
use crate::op::known::{self, Known};
use crate::op::{Epilogue, Op};
use crate::tensor::{Tensor, TensorType};
use std::collections::{BTreeMap, BTreeSet};

/// Type and known elements of one result.
pub(super) type Inferred = (TensorType, Option<Known>);

/// Results whose types an edit changes, before it is committed.
pub(super) type Staged = BTreeMap<ValueId, Inferred>;

impl Graph {
    /// Adds a graph input.
    pub fn add_input(&mut self, name: impl Into<String>, ty: TensorType) -> Result<ValueId, EditError> {
        let index = u32::try_from(self.inputs.len()).expect("fewer than 2^32 inputs");
        let name = name.into();
        if let Err(problem) = check_addressable(&ty, &self.symbols) {
            return Err(EditError::TooLarge { name, problem });
        }
        let value = self.add_value(name, ty, ValueDef::Input(index), None)?;
        self.inputs.push(value);
        Ok(value)
    }

    /// Adds a constant.
    pub fn add_constant(&mut self, name: impl Into<String>, tensor: Tensor) -> Result<ValueId, EditError> {
        let known = known::of_constant(&tensor).map(|ints| Known::Ints(ints.into()));
        self.add_value(name.into(), tensor.ty(), ValueDef::Constant(tensor), known)
    }

    fn add_value(
        &mut self,
        name: String,
        ty: TensorType,
        def: ValueDef,
        known: Option<Known>,
    ) -> Result<ValueId, EditError> {
        if self.value_names.contains_key(&name) {
            return Err(EditError::NameTaken(name));
        }
        let id = ValueId(u32::try_from(self.values.len()).expect("fewer than 2^32 values"));
        self.value_names.insert(name.clone(), id);
        self.values.push(Some(Value { name, ty, def }));
        self.known.push(known);
        self.readers.push(BTreeSet::new());
        Ok(id)
    }

    /// Infers and appends a node. Its results take `output_names`, which must be free; its own name gets a number when
    /// it is taken. `origins` starts as the name given.
    pub fn add_node<S: Into<String>>(
        &mut self,
        name: impl Into<String>,
        op: Op,
        inputs: &[ValueId],
        output_names: impl IntoIterator<Item = S>,
    ) -> Result<NodeId, InferError> {
        self.insert_node(None, name.into(), op, inputs, output_names.into_iter().map(Into::into).collect())
    }

    /// Like [`Graph::add_node`], at the place just before `anchor`.
    pub fn insert_node_before<S: Into<String>>(
        &mut self,
        anchor: NodeId,
        name: impl Into<String>,
        op: Op,
        inputs: &[ValueId],
        output_names: impl IntoIterator<Item = S>,
    ) -> Result<NodeId, InferError> {
        self.insert_node(
            Some(anchor),
            name.into(),
            op,
            inputs,
            output_names.into_iter().map(Into::into).collect(),
        )
    }

    /// Like [`Graph::add_node`], at the place just after `anchor`.
    pub fn insert_node_after<S: Into<String>>(
        &mut self,
        anchor: NodeId,
        name: impl Into<String>,
        op: Op,
        inputs: &[ValueId],
        output_names: impl IntoIterator<Item = S>,
    ) -> Result<NodeId, InferError> {
        self.insert_node(
            self.order.next(anchor),
            name.into(),
            op,
            inputs,
            output_names.into_iter().map(Into::into).collect(),
        )
    }

    fn insert_node(
        &mut self,
        before: Option<NodeId>,
        name: String,
        op: Op,
        inputs: &[ValueId],
        output_names: Vec<String>,
    ) -> Result<NodeId, InferError> {
        let id = NodeId(u32::try_from(self.nodes.len()).expect("fewer than 2^32 nodes"));
        let mut node = Node {
            origins: vec![name.clone()],
            name,
            op,
            inputs: inputs.to_vec(),
            epilogue: Epilogue::default(),
            outputs: Vec::new(),
        };
        let fail = |node: &Node, kind| Err(infer_error(node, kind));
        if let Some(taken) = self.first_taken(&output_names) {
            return fail(&node, InferErrorKind::NameTaken(taken));
        }
        if let Err(kind) = self.check_order(&node, before) {
            return fail(&node, kind);
        }
        let results = self.infer_results(&node, &Staged::new())?;
        if results.len() != output_names.len() {
            let expected = results.len();
            let actual = output_names.len();
            return fail(&node, InferErrorKind::ResultCount { expected, actual });
        }
        for (output, ((ty, known), name)) in (0u32..).zip(results.into_iter().zip(output_names)) {
            let def = ValueDef::Node { node: id, output };
            node.outputs.push(self.add_value(name, ty, def, known).expect("result names are free"));
        }
        node.name = self.unique_node_name(&node.name);
        self.node_names.insert(node.name.clone());
        node.operands().for_each(|value| {
            self.readers[value.0 as usize].insert(id);
        });
        self.nodes.push(Some(node));
        self.order.insert(id, before);
        Ok(id)
    }

    fn first_taken(&self, names: &[String]) -> Option<String> {
        let repeats = |index: usize| names[..index].contains(&names[index]);
        (0..names.len())
            .find(|&index| self.value_names.contains_key(&names[index]) || repeats(index))
            .map(|index| names[index].clone())
    }

    /// Every operand of a node exists and is computed before `place`, or at all.
    pub(super) fn check_order(&self, node: &Node, place: Option<NodeId>) -> Result<(), InferErrorKind> {
        for (index, operand) in node.operands().enumerate() {
            let Some(value) = self.get_value(operand) else {
                return Err(InferErrorKind::UnknownValue(index));
            };
            let ValueDef::Node { node: producer, .. } = value.def else {
                continue;
            };
            if place.is_some_and(|place| self.compare(producer, place).is_ge()) {
                return Err(InferErrorKind::UsedBeforeDefined(value.name.clone()));
            }
        }
        Ok(())
    }

    /// Types and known elements of a node's results, reading staged types before stored ones.
    pub(super) fn infer_results(&self, node: &Node, staged: &Staged) -> Result<Vec<Inferred>, InferError> {
        let operands: Vec<Operand<'_>> = node
            .operands()
            .map(|value| match staged.get(&value) {
                Some((ty, known)) => Operand { ty, known: known.as_ref(), constant: None },
                None => self.operand(value),
            })
            .collect();
        let types = infer_node(&node.op, &node.epilogue, &operands, &self.symbols)
            .map_err(|kind| infer_error(node, kind))?;
        let results = types.into_iter().map(|ty| {
            let known = if node.epilogue.is_empty() {
                known::of_result(&node.op, &operands, &ty, &self.symbols)
            } else {
                None
            };
            (ty, known)
        });
        Ok(results.collect())
    }

    /// Names the graph's outputs.
    pub fn set_outputs(&mut self, outputs: &[ValueId]) -> Result<(), EditError> {
        for &value in outputs {
            if self.get_value(value).is_none() {
                return Err(EditError::UnknownValue(value));
            }
        }
        if let Some(lost) = self.states.iter().find(|state| !outputs.contains(&state.output)) {
            let output = self.value(lost.output).name.clone();
            return Err(EditError::StateOutput { output });
        }
        self.outputs = outputs.to_vec();
        self.given_out = outputs.iter().copied().collect();
        Ok(())
    }

    /// Pairs an input with the output that becomes its content for the next run. Their types must be equal.
    pub fn add_state(&mut self, input: ValueId, output: ValueId) -> Result<(), EditError> {
        let known = |value: ValueId| self.get_value(value).ok_or(EditError::UnknownValue(value));
        let (from, to) = (known(input)?, known(output)?);
        if !self.inputs.contains(&input) {
            return Err(EditError::NotAnInput(from.name.clone()));
        }
        if !self.outputs.contains(&output) {
            return Err(EditError::NotAnOutput(to.name.clone()));
        }
        let is_paired = |state: &State| state.input == input || state.output == output;
        if from.ty != to.ty || self.states.iter().any(is_paired) {
            return Err(EditError::StatePair {
                input: from.name.clone(),
                input_type: from.ty.display(&self.symbols).to_string(),
                output: to.name.clone(),
                output_type: to.ty.display(&self.symbols).to_string(),
            });
        }
        self.states.push(State { input, output });
        Ok(())
    }
}

pub(super) fn infer_error(node: &Node, kind: InferErrorKind) -> InferError {
    InferError { node: node.name.clone(), op: node.op.name(), kind }
}

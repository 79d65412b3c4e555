//! Goes through a graph and builds what is proposed for each node.

use super::propose::Refusal;
use super::{SelectError, Selected};
use crate::layout::{LayoutMap, device_type};
use crate::physical::{Layout, Place};
use crate::program::{Placement, Port, Program, Storage, StorageKind};
use drift_ir::{NodeId, Op, ValueId};
use std::collections::{BTreeMap, BTreeSet};

/// Slices that lie in what they are slices of, by their storages.
pub(super) type Slices = BTreeMap<u32, ValueId>;

/// A selection under way.
pub(super) struct Driver<'a> {
    pub(super) selected: Selected<'a>,
    pub(super) layouts: &'a LayoutMap,
    pub(super) slices: Slices,
    /// Slices that are moved although they could lie there.
    pub(super) moved: &'a BTreeSet<ValueId>,
    /// Nodes without a kernel.
    failures: Vec<String>,
}

impl<'a> Driver<'a> {
    pub(super) fn new(selected: Selected<'a>, layouts: &'a LayoutMap, moved: &'a BTreeSet<ValueId>) -> Self {
        Self { selected, layouts, slices: Slices::new(), moved, failures: Vec::new() }
    }

    /// The program, and the slices in it that lie in what they are slices of.
    pub(super) fn run(mut self) -> Result<(Program, Slices), SelectError> {
        self.place_inputs()?;
        let graph = self.selected.graph;
        for id in graph.nodes() {
            match &graph.node(id).op {
                _ if self.computes_nothing(id) => {}
                Op::Reshape(_) if self.view(id)? => {}
                Op::Slice(op) if self.slice(id, op) || self.lies_in_source(id, &graph.node(id).op) => {}
                op @ Op::Transpose(_) if self.lies_in_source(id, op) => {}
                _ => self.select(id)?,
            }
        }
        if !self.failures.is_empty() {
            return Err(SelectError::NoKernel { nodes: self.failures });
        }
        self.place_outputs()?;
        self.selected.program.drop_unread_init();
        Ok((self.selected.program, self.slices))
    }

    fn place_inputs(&mut self) -> Result<(), SelectError> {
        for index in 0..self.selected.graph.inputs().len() {
            let value = self.selected.graph.inputs()[index];
            self.place(value);
            let port = self.port(value)?;
            self.selected.program.inputs.push(port);
        }
        Ok(())
    }

    /// Gives `value` a storage of its own.
    fn place(&mut self, value: ValueId) {
        let layout = self.layouts[&value].clone();
        // No texture has a side of zero.
        let layout = match self.selected.is_empty(value) {
            true => Layout::row_major(layout.element, self.selected.shape(value).len()),
            false => layout,
        };
        self.place_as(value, layout);
    }

    fn place_as(&mut self, value: ValueId, layout: Layout) {
        let graph = self.selected.graph;
        let shape = graph.value(value).ty.static_shape().unwrap_or_default();
        let name = graph.value(value).name.clone();
        let kind = StorageKind::of(&layout, &shape);
        let storage = self.selected.add_storage(Storage { name, kind, within: None });
        self.selected.places.insert(value, Placement { storage, layout, place: Place::Whole });
    }

    fn port(&self, value: ValueId) -> Result<Port, SelectError> {
        let (device, shape) = device_type(self.selected.graph, value, self.selected.precision)?;
        let v = self.selected.graph.value(value);
        let storage = self.selected.places[&value].storage;
        Ok(Port { name: v.name.clone(), element: v.ty.element, shape, device, storage })
    }

    /// Whether a node's results have no elements: then they have a place, and nothing writes to it.
    fn computes_nothing(&mut self, id: NodeId) -> bool {
        let graph = self.selected.graph;
        let outputs = &graph.node(id).outputs;
        let nothing = outputs.iter().all(|&output| self.selected.is_empty(output));
        if nothing {
            outputs.iter().for_each(|&output| self.place(output));
        }
        nothing
    }

    /// Builds the kernels that are proposed for a node.
    fn select(&mut self, id: NodeId) -> Result<(), SelectError> {
        let node = self.selected.graph.node(id);
        for &output in &node.outputs {
            self.place(output);
        }
        match self.selected.propose(id) {
            Ok(proposal) => self.selected.build(proposal),
            Err(Refusal::NoKernel(reason)) => {
                self.failures.push(format!("`{}` ({}): {reason}", node.name, node.op.name()));
            }
            Err(Refusal::Error(error)) => return Err(error),
        }
        Ok(())
    }

    /// Copies `value` into a dense buffer; once for all its readers.
    pub(super) fn convert(&mut self, value: ValueId) -> Result<Placement, SelectError> {
        let proposed = self.selected.propose_dense(value);
        let missing = |reason: String| SelectError::NoKernel {
            nodes: vec![format!("`{}`: {reason}", self.selected.graph.value(value).name)],
        };
        match proposed {
            Ok(proposal) => self.selected.build(proposal),
            Err(Refusal::NoKernel(reason)) => return Err(missing(reason.to_string())),
            Err(Refusal::Error(error)) => return Err(error),
        }
        self.selected.dense.get(&value).cloned().ok_or_else(|| missing("it has no place".to_owned()))
    }

    fn place_outputs(&mut self) -> Result<(), SelectError> {
        for index in 0..self.selected.graph.outputs().len() {
            let value = self.selected.graph.outputs()[index];
            if !self.selected.places.contains_key(&value) {
                self.materialise(value)?;
            }
            let port = self.port(value)?;
            self.selected.program.outputs.push(port);
        }
        Ok(())
    }

    /// A constant that is a graph output: copied at each run.
    fn materialise(&mut self, value: ValueId) -> Result<(), SelectError> {
        let (element, shape) = device_type(self.selected.graph, value, self.selected.precision)?;
        self.place_as(value, Layout::row_major(element, shape.len()));
        let proposal = self.selected.propose_constant(value)?;
        self.selected.build(proposal);
        Ok(())
    }
}

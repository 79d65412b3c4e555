//! Goes through a graph and builds what is proposed for each node.

use super::propose::Refusal;
use super::selected::Mark;
use super::{SelectError, Selected};
use crate::layout::{LayoutMap, device_type};
use crate::physical::{Layout, Place};
use crate::program::{Placement, Port, Program, StatePort, Storage, StorageKind};
use drift_ir::{NodeId, Op, ValueId};
use std::collections::{BTreeMap, BTreeSet};

/// A selection under way.
pub(super) struct Driver<'a> {
    pub(super) selected: Selected<'a>,
    pub(super) layouts: &'a LayoutMap,
    /// The node at hand, by its place in the order.
    at: usize,
    /// Slices that are in what they are slices of, by their storages.
    slices: BTreeMap<u32, Slice>,
    /// Slices that are moved although they could be there.
    pub(super) moved: BTreeSet<ValueId>,
    /// Nodes without a kernel.
    failures: Vec<String>,
}

/// A slice that is in what it is a slice of.
#[derive(Clone, Copy)]
struct Slice {
    value: ValueId,
    /// Place of its node in the order.
    node: usize,
    /// What had been selected before it.
    before: Mark,
}

impl<'a> Driver<'a> {
    pub(super) fn new(selected: Selected<'a>, layouts: &'a LayoutMap) -> Self {
        let (slices, moved) = (BTreeMap::new(), BTreeSet::new());
        Self { selected, layouts, at: 0, slices, moved, failures: Vec::new() }
    }

    /// The program.
    pub(super) fn run(mut self) -> Result<Program, SelectError> {
        self.place_inputs()?;
        let nodes: Vec<NodeId> = self.selected.graph.nodes().collect();
        loop {
            while let Some(&id) = nodes.get(self.at) {
                self.node(id)?;
                self.at += 1;
            }
            if !self.failures.is_empty() {
                return Err(SelectError::NoKernel { nodes: self.failures });
            }
            if !self.goes_back(&nodes) {
                break;
            }
        }
        self.place_outputs()?;
        self.selected.program.drop_unread_init();
        Ok(self.selected.program)
    }

    /// Places a node's results, where another value is or where a kernel writes them.
    fn node(&mut self, id: NodeId) -> Result<(), SelectError> {
        let graph = self.selected.graph;
        match &graph.node(id).op {
            _ if self.computes_nothing(id) => {}
            Op::Reshape(_) if self.view(id)? => {}
            Op::Slice(op) if self.slice(id, op) || self.is_left_in_source(id, &graph.node(id).op) => {}
            op @ Op::Transpose(_) if self.is_left_in_source(id, op) => {}
            _ => self.select(id)?,
        }
        Ok(())
    }

    /// Notes that the result of the node at hand is a slice that is in a storage within its source's; `before` it.
    pub(super) fn note_slice(&mut self, value: ValueId, storage: u32, before: Mark) {
        self.slices.insert(storage, Slice { value, node: self.at, before });
    }

    /// Goes back to the first slice of which some step binds bytes that it binds in another storage too, so that such slices
    /// are moved; false if there is none. What was selected before it stays.
    fn goes_back(&mut self, nodes: &[NodeId]) -> bool {
        let clashes = self.selected.program.bound_twice();
        let clashing = self.slices.iter().filter(|(storage, _)| clashes.contains(storage));
        let clashing: Vec<Slice> = clashing.map(|(_, &slice)| slice).collect();
        // Storages of later nodes have larger numbers.
        let Some(&Slice { node, before, .. }) = clashing.first() else { return false };
        self.moved.extend(clashing.iter().map(|slice| slice.value));
        let outputs = nodes[node..].iter().flat_map(|&id| &self.selected.graph.node(id).outputs);
        for output in outputs {
            self.selected.places.remove(output);
        }
        self.selected.back_to(before);
        self.slices.retain(|_, slice| slice.node < node);
        self.at = node;
        true
    }

    fn place_inputs(&mut self) -> Result<(), SelectError> {
        for index in 0..self.selected.graph.inputs().len() {
            let value = self.selected.graph.inputs()[index];
            self.place(value);
            let port = self.port(value)?;
            match self.selected.graph.states().iter().any(|state| state.input == value) {
                true => {
                    if let Err(free) = self.selected.shape(value) {
                        return Err(SelectError::NoKernel {
                            nodes: vec![format!("state `{}` {free}", port.name)],
                        });
                    }
                    let Port { name, shape, device, storage, .. } = port;
                    self.selected.program.states.push(StatePort { name, shape, device, storage });
                }
                false => self.selected.program.inputs.push(port),
            }
        }
        Ok(())
    }

    /// Gives `value` a storage of its own.
    fn place(&mut self, value: ValueId) {
        let layout = self.layouts[&value].clone();
        // No texture has a side of zero.
        let layout = match self.selected.is_empty(value) {
            true => Layout::row_major(layout.element, self.selected.rank(value)),
            false => layout,
        };
        self.place_as(value, layout);
    }

    fn place_as(&mut self, value: ValueId, layout: Layout) {
        let graph = self.selected.graph;
        let shape = self.selected.largest(value);
        let name = graph.value(value).name.clone();
        let kind = StorageKind::of(&layout, &shape);
        let storage = self.selected.add_storage(Storage { name, kind, within: None });
        self.selected.places.insert(value, Placement { storage, layout, place: Place::Whole });
    }

    fn port(&self, value: ValueId) -> Result<Port, SelectError> {
        let (device, shape) = device_type(self.selected.graph, value, self.selected.precision)?;
        let v = self.selected.graph.value(value);
        let storage = self.selected.places[&value].storage;
        let sizes = self.selected.sizes(value);
        let form = self.selected.graph.host_forms.get(&v.name).copied();
        Ok(Port { name: v.name.clone(), element: v.ty.element, form, shape, sizes, device, storage })
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
            match node.inputs.first().filter(|_| self.selected.writes_state(node)) {
                Some(state) => {
                    let placement = self.selected.places[state].clone();
                    self.selected.places.insert(output, placement);
                }
                None => self.place(output),
            }
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
            if let Some(state) = self.selected.graph.states().iter().find(|state| state.output == value) {
                self.keep(state.input, value)?;
                continue;
            }
            let port = self.port(value)?;
            self.selected.program.outputs.push(port);
        }
        Ok(())
    }

    /// Copies what a state becomes to where it is, behind all that reads it, unless it was written there.
    fn keep(&mut self, state: ValueId, becomes: ValueId) -> Result<(), SelectError> {
        let [from, to] = [becomes, state].map(|value| self.selected.places[&value].clone());
        if from.storage == to.storage {
            return Ok(());
        }
        let proposal = self.selected.propose_copy(becomes, &from, &to)?;
        self.selected.build(proposal);
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

#[cfg(test)]
mod tests {
    use crate::layout::{self, LayoutChoice};
    use crate::{profile, select};
    use std::collections::BTreeSet;

    /// `%b` would be bound beside `%a`, in which it is; what is selected before and behind it is selected once.
    #[test]
    fn a_slice_that_is_read_beside_its_source_is_gone_back_for() {
        let text = "%x: f32[8,16]\n@u: f32[16,64] = random(1)\n%a = matmul %x, @u\n\
            %b = slice %a {axes=[0], starts=[4], counts=[1]}\n%c = slice %a {axes=[0], starts=[0], counts=[4]}\n\
            %d = mul %a, %b\n%e = softmax %c {axis=1}\n%f = matmul %d, @v\nreturn %e, %f";
        let text = text.replace("%a = matmul", "@v: f32[64,8] = random(2)\n%a = matmul");
        let graph = drift_ir::text::parse(&text).expect("a graph");
        let profile = &profile::GENERIC;
        let layouts = layout::assign(&graph, profile, LayoutChoice::Buffer, None).expect("layouts");
        let program = select::choose(&graph, &layouts, profile, None).expect("kernels");
        assert!(program.bound_twice().is_empty());
        let steps: Vec<&str> = program.steps.iter().map(|step| step.name.as_str()).collect();
        assert_eq!(steps, ["a", "d", "e", "f"]);
        let names: Vec<&str> = program.storages.iter().map(|storage| storage.name.as_str()).collect();
        assert_eq!(names, ["x", "a", "c", "d", "e", "f"]);
        assert!(program.storages[2].within.is_some());
        let keys: BTreeSet<String> =
            program.constants.iter().map(|constant| format!("{:?}", constant.key)).collect();
        assert_eq!(keys.len(), program.constants.len());
    }
}

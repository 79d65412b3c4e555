//! From sizes that data decide to axes of a known size.
//!
//! Each such size becomes its bound. The places that are meant come first along an axis, the others behind them hold something or
//! other. Ops that keep places apart compute with all of them; where an op would mix them, those that are not meant are masked so that
//! they change nothing, or the op is refused. What computes with a size computes with its count.

mod numbers;
mod rules;

use crate::bounds::RunTimeSize;
use crate::error::{ImportError, UnsupportedNode};
use crate::free::fixing_flags;
use crate::importer::Importer;
use drift_ir::graph::EditError;
use drift_ir::op::ScalarOp;
use drift_ir::{Dim, ElementType, Graph, NodeId, Op, Tensor, ValueId};
use numbers::Numbers;
pub(crate) use rules::extreme;
use std::collections::{BTreeSet, HashSet};

/// Behind the name of an output: the sizes that it really has, i64 with one for each axis.
const COUNT: &str = "count";
/// Behind the name of a bound that may be too small: how many values there are, and how many places, i64 `[2]`.
const BOUND: &str = "bound";

impl Importer<'_> {
    /// Gives all sizes that data decide their bounds, and adds the outputs that say how much of each output is meant.
    pub(crate) fn finish_bounds(&mut self) -> Result<(), ImportError> {
        let outputs = self.graph.outputs().to_vec();
        let own = outputs.len();
        self.check_own_names(&outputs)?;
        if self.bounds.sizes.is_empty() {
            return Ok(());
        }
        let sizes = self.read_sizes();
        if sizes.is_empty() {
            // Nobody reads what has such a size, and nobody could evaluate it.
            self.graph.remove_dead();
            return Ok(());
        }
        let counts: BTreeSet<ValueId> = sizes.iter().map(|size| size.count).collect();
        let kept: Vec<ValueId> = outputs
            .iter()
            .copied()
            .chain(counts.into_iter().filter(|count| !outputs.contains(count)))
            .collect();
        self.graph.set_outputs(&kept).map_err(Box::new)?;
        self.graph.remove_dead();
        let mut padder =
            Padder { numbers: Numbers::new(&sizes), graph: &mut self.graph, whole: &self.bounds.whole };
        let mut refused = Vec::new();
        // While it is still known which numbers follow from sizes.
        for id in padder.graph.nodes().collect::<Vec<_>>() {
            match padder.range(id) {
                Ok(()) => {}
                Err(Refusal::Edit(error)) => return Err(ImportError::Graph(error)),
                Err(refusal) => refused.push(padder.refused(id, refusal)),
            }
        }
        padder.graph.remove_dead();
        padder.numbers = Numbers::new(&sizes);
        for id in padder.graph.nodes().collect::<Vec<_>>() {
            match padder.pad(id) {
                Ok(()) => {}
                Err(Refusal::Edit(error)) => return Err(ImportError::Graph(error)),
                Err(refusal) => refused.push(padder.refused(id, refusal)),
            }
        }
        if !refused.is_empty() {
            return Err(ImportError::Unsupported { nodes: refused });
        }
        // What gives them may be another node by now.
        let outputs = padder.graph.outputs()[..own].to_vec();
        padder.outputs(&outputs, &sizes)?;
        for size in &sizes {
            self.graph.bind_symbol(size.symbol, size.bound).map_err(Box::new)?;
        }
        self.graph.remove_dead();
        Ok(())
    }

    /// Refuses outputs of the model itself that would be taken for what says how much of another is meant.
    fn check_own_names(&self, outputs: &[ValueId]) -> Result<(), ImportError> {
        for &output in outputs {
            let value = self.graph.value(output);
            let [size] = &value.ty.shape[..] else { continue };
            if value.ty.element != ElementType::I64 {
                continue;
            }
            let may_be = |wanted: usize| !size.differs_from(&Dim::Const(wanted as u64), &self.graph.symbols);
            let counts = |of: &str| {
                let of = outputs.iter().map(|&of| self.graph.value(of)).find(|other| other.name == of);
                of.is_some_and(|of| may_be(of.ty.shape.len()))
            };
            let name = &value.name;
            let is_count =
                name.strip_suffix(COUNT).and_then(|name| name.strip_suffix('.')).is_some_and(counts);
            let is_bound = name.strip_suffix(BOUND).is_some_and(|name| name.ends_with('.')) && may_be(2);
            if is_count || is_bound {
                return Err(taken(name));
            }
        }
        Ok(())
    }

    /// The sizes that something which the outputs need has.
    fn read_sizes(&self) -> Vec<RunTimeSize> {
        let all = &self.bounds.sizes;
        let (mut needed, mut found) = (vec![false; self.graph.value_capacity()], vec![false; all.len()]);
        self.graph.outputs().iter().for_each(|value| needed[value.0 as usize] = true);
        loop {
            for id in self.graph.nodes().rev() {
                let node = self.graph.node(id);
                if node.outputs.iter().any(|value| needed[value.0 as usize]) {
                    node.operands().for_each(|value| needed[value.0 as usize] = true);
                }
            }
            let mut is_new = false;
            for (at, size) in all.iter().enumerate().filter(|(at, _)| !found[*at]).collect::<Vec<_>>() {
                let has = |dim: &Dim| dim.symbols().any(|symbol| symbol == size.symbol);
                let mut values = self.graph.values().filter(|(value, _)| needed[value.0 as usize]);
                if values.any(|(_, value)| value.ty.shape.iter().any(has)) {
                    needed[size.count.0 as usize] = true;
                    (found[at], is_new) = (true, true);
                }
            }
            if !is_new {
                let found = all.iter().zip(found).filter(|(_, found)| *found);
                return found.map(|(size, _)| size.clone()).collect();
            }
        }
    }
}

/// Why a node cannot be padded.
enum Refusal {
    /// The graph refused an edit.
    Edit(Box<EditError>),
    /// The node mixes places that are meant with others.
    Mixes { axis: usize, reason: String },
    /// A size depends on free dims beside what data decide, or on a free dim that no input has.
    Free(Dim),
}

impl From<EditError> for Refusal {
    fn from(error: EditError) -> Self {
        Self::Edit(Box::new(error))
    }
}

impl From<drift_ir::InferError> for Refusal {
    fn from(error: drift_ir::InferError) -> Self {
        Self::Edit(Box::new(EditError::from(error)))
    }
}

impl From<drift_ir::dim::DimError> for Refusal {
    fn from(error: drift_ir::dim::DimError) -> Self {
        Self::Edit(Box::new(EditError::from(error)))
    }
}

type Padded<T> = Result<T, Refusal>;

/// A graph whose sizes are on the way to their bounds.
struct Padder<'g> {
    graph: &'g mut Graph,
    numbers: Numbers,
    /// Slices that have all places where what they read has a size that data decide.
    whole: &'g HashSet<ValueId>,
}

/// A name of the model's own where one is needed that says how much of an output is meant.
fn taken(name: &str) -> ImportError {
    ImportError::Interface {
        what: "output",
        name: name.to_owned(),
        reason: "the model has a value of this name, which says how much of an output is meant; rename it"
            .to_owned(),
    }
}

impl Padder<'_> {
    /// A node that cannot be padded, with the reason and what would help.
    fn refused(&self, id: NodeId, refusal: Refusal) -> UnsupportedNode {
        let node = self.graph.node(id);
        let reason = match refusal {
            Refusal::Mixes { axis, reason } => {
                format!("data decide the size of axis {axis} of its operand: {reason}")
            }
            Refusal::Free(size) => self.beside(&size),
            Refusal::Edit(error) => error.to_string(),
        };
        let name = node.origins.first().unwrap_or(&node.name).clone();
        UnsupportedNode { node: name, op: node.op.name().to_owned(), reason }
    }

    /// What helps where a size depends on free dims beside what data decide.
    fn beside(&self, size: &Dim) -> String {
        let symbols = &self.graph.symbols;
        let free = size.symbols().filter(|&symbol| !self.numbers.decide(&Dim::symbol(symbol)));
        let flags = fixing_flags(symbols, free);
        let size = size.display(symbols);
        format!("data decide the size {size}, in which there is a free dim as well; fix that with {flags}")
    }

    fn shape(&self, value: ValueId) -> Vec<Dim> {
        self.graph.value(value).ty.shape.clone()
    }

    /// The axes of a value whose sizes data decide.
    fn counted_axes(&self, value: ValueId) -> Vec<usize> {
        let shape = &self.graph.value(value).ty.shape;
        (0..shape.len()).filter(|&axis| self.numbers.decide(&shape[axis])).collect()
    }

    /// A node before `anchor`, for which it stands.
    fn before(&mut self, anchor: NodeId, op: Op, inputs: &[ValueId]) -> Padded<ValueId> {
        let name = self.graph.unique_name(&format!("{}.places", self.graph.node(anchor).name));
        let origins = self.graph.node(anchor).origins.clone();
        let node = self.graph.insert_node_before(anchor, name.clone(), op, inputs, [name])?;
        self.graph.set_origins(node, origins);
        Ok(self.graph.node(node).outputs[0])
    }

    fn constant(&mut self, tensor: Tensor) -> Padded<ValueId> {
        let name = self.graph.unique_name("places.constant");
        Ok(self.graph.add_constant(name, tensor)?)
    }

    /// A value whose places that are not meant, along these axes, hold `fill`.
    fn masked(&mut self, anchor: NodeId, value: ValueId, axes: &[usize], fill: f64) -> Padded<ValueId> {
        let element = self.graph.value(value).ty.element;
        let fill = Tensor::from_f64_as(element, [], &[fill]);
        let fill = self.constant(fill.unwrap_or_else(|error| unreachable!("one element: {error}")))?;
        let mut masked = value;
        for &axis in axes {
            let shape = self.shape(value);
            if self.numbers.decide(&shape[axis]) {
                let is_meant = self.mask(anchor, &shape[axis], shape.len() - 1 - axis)?;
                masked = self.before(anchor, Op::Elementwise(ScalarOp::Select), &[is_meant, masked, fill])?;
            }
        }
        Ok(masked)
    }

    /// Zeros behind what is meant of each output, and the outputs that say how much that is.
    fn outputs(&mut self, outputs: &[ValueId], sizes: &[RunTimeSize]) -> Result<(), ImportError> {
        // Everything new stands before a last node, which goes again.
        let name = self.graph.unique_node_name("places.end");
        let Some(&first) = outputs.first() else { return Ok(()) };
        let same = Op::Reshape(drift_ir::op::Reshape { shape: self.shape(first) });
        let end_value = self.graph.unique_name("places.end");
        let end = self.graph.add_node(name, same, &[first], [end_value]);
        let end = end.map_err(|error| Box::new(EditError::from(error)))?;
        let (mut given, mut counts) = (Vec::new(), Vec::new());
        for &output in outputs {
            let axes = self.counted_axes(output);
            if axes.is_empty() {
                given.push(output);
                continue;
            }
            let zeros = self.masked(end, output, &axes, 0.0);
            let zeros = zeros.map_err(|refusal| self.refused_output(output, refusal))?;
            self.graph.swap_names(output, zeros);
            given.push(zeros);
            let sizes = self.vector(end, &self.shape(zeros));
            let sizes = sizes.map_err(|refusal| self.refused_output(zeros, refusal))?;
            counts.push(self.companion(zeros, sizes, COUNT)?);
        }
        for size in sizes.iter().filter(|size| size.may_exceed) {
            let places = Dim::Const(size.bound);
            let both = self.vector(end, &[Dim::symbol(size.symbol), places]);
            let both = both.map_err(|refusal| self.refused_output(size.count, refusal))?;
            // One value may have several such sizes, which their symbols tell apart.
            let taken = format!("{}.{BOUND}", self.graph.symbols.name(size.symbol));
            counts.push(self.named(both, &taken)?);
        }
        given.extend(counts);
        self.graph.set_outputs(&given).map_err(Box::new)?;
        self.graph.remove_node(end).map_err(Box::new)?;
        Ok(())
    }

    /// An output that goes with another one.
    fn companion(&mut self, of: ValueId, value: ValueId, suffix: &str) -> Result<ValueId, ImportError> {
        let name = format!("{}.{suffix}", self.graph.value(of).name);
        self.named(value, &name)
    }

    fn named(&mut self, value: ValueId, name: &str) -> Result<ValueId, ImportError> {
        self.graph.rename_value(value, name).map_err(|_| taken(name))?;
        Ok(value)
    }

    fn refused_output(&self, output: ValueId, refusal: Refusal) -> ImportError {
        let reason = match refusal {
            Refusal::Edit(error) => return ImportError::Graph(error),
            Refusal::Mixes { reason, .. } => reason,
            Refusal::Free(size) => self.beside(&size),
        };
        let name = self.graph.value(output).name.clone();
        ImportError::Interface { what: "output", name, reason }
    }
}

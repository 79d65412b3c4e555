//! Makes a graph of random choices, node by node. What inference refuses is left out, so generators need not know every rule
//! about attributes.

use super::choices::Choices;
use super::values::{self, Style};
use super::{motifs, ops};
use drift_ir::{Dim, ElementType, Graph, NodeId, Op, SymbolId, Tensor, TensorType, ValueId};

/// A graph and what it is run on.
#[derive(Clone, Debug)]
pub struct Case {
    /// The graph.
    pub graph: Graph,
    /// One tensor for each input.
    pub inputs: Vec<Tensor>,
}

/// What graphs may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// NaN, infinities and the ends of types among inputs and constants.
    pub specials: bool,
    /// Only element types and sizes that a device takes, and no free dims.
    pub device: bool,
    /// Nodes and patterns of nodes, at most.
    pub steps: usize,
}

/// Elements of one tensor, at most.
const MOST_ELEMENTS: u64 = 600;

/// A graph in the making.
pub(super) struct Maker<'c> {
    pub(super) choices: &'c mut Choices,
    pub(super) graph: Graph,
    inputs: Vec<Tensor>,
    limits: Limits,
    free: Option<(SymbolId, u64)>,
}

/// The graph of some choices; `None` where nothing came of them.
pub fn case(choices: &mut Choices, limits: Limits) -> Option<Case> {
    let mut maker = Maker { choices, graph: Graph::new(""), inputs: Vec::new(), limits, free: None };
    if !limits.device && maker.choices.once_in(8) {
        let size = maker.choices.of(&[2, 1, 3, 4]);
        maker.free = Some((maker.graph.symbols.intern("n"), size));
    }
    for _ in 0..=maker.choices.pick(limits.steps) {
        if maker.choices.once_in(3) {
            motifs::add(&mut maker)
        } else {
            ops::add(&mut maker)
        };
    }
    maker.finish()
}

impl Maker<'_> {
    /// Outputs are what nobody reads, and sometimes what somebody reads.
    fn finish(mut self) -> Option<Case> {
        let nodes: Vec<NodeId> = self.graph.nodes().collect();
        let results: Vec<ValueId> = nodes.iter().map(|&id| self.graph.node(id).outputs[0]).collect();
        let mut outputs = Vec::new();
        for &result in &results {
            if !self.graph.is_read(result) || self.choices.once_in(8) {
                outputs.push(result);
            }
        }
        if outputs.is_empty() {
            return None;
        }
        self.graph.set_outputs(&outputs).ok()?;
        self.graph.remove_dead();
        drift_ir::verify::verify(&self.graph).ok()?;
        Some(Case { graph: self.graph, inputs: self.inputs })
    }

    /// Appends a node; gives its result.
    pub(super) fn add(&mut self, op: Op, inputs: &[ValueId]) -> Option<ValueId> {
        let name = self.graph.unique_name(&format!("v{}", self.graph.value_capacity()));
        let node = self.graph.add_node(name.clone(), op, inputs, [name]).ok()?;
        let result = self.graph.node(node).outputs[0];
        let count = self.sizes(result).iter().product::<u64>();
        if count > MOST_ELEMENTS {
            self.graph.remove_node(node).ok();
            return None;
        }
        Some(result)
    }

    /// The sizes that a shape has when the graph is run.
    pub(super) fn static_shape(&self, shape: &[Dim]) -> Vec<u64> {
        let size = |symbol| self.free.filter(|free| free.0 == symbol).map(|free| free.1);
        shape.iter().map(|dim| dim.evaluate(size).unwrap_or(0)).collect()
    }

    pub(super) fn sizes(&self, value: ValueId) -> Vec<u64> {
        self.static_shape(&self.graph.value(value).ty.shape)
    }

    pub(super) fn shape(&self, value: ValueId) -> Vec<Dim> {
        self.graph.value(value).ty.shape.clone()
    }

    pub(super) fn element(&self, value: ValueId) -> ElementType {
        self.graph.value(value).ty.element
    }

    /// A size of a new axis.
    pub(super) fn size(&mut self) -> Dim {
        if let Some((symbol, _)) = self.free.filter(|_| self.choices.once_in(3)) {
            return Dim::symbol(symbol);
        }
        Dim::Const(self.choices.of(&[1, 2, 3, 4, 5, 1, 2, 3, 4, 7, 0, 8]))
    }

    /// A new shape of `least` axes or more.
    pub(super) fn new_shape(&mut self, least: usize) -> Vec<Dim> {
        let rank = least + self.choices.of(&[1, 0, 2, 1, 0, 3, 2]);
        let mut shape: Vec<Dim> = (0..rank.min(least.max(5))).map(|_| self.size()).collect();
        while self.static_shape(&shape).iter().product::<u64>() > MOST_ELEMENTS / 4 {
            shape.pop();
            shape.insert(0, Dim::Const(1));
        }
        shape
    }

    /// One of the element types that something takes.
    pub(super) fn new_element(&mut self, takes: impl Fn(ElementType) -> bool) -> Option<ElementType> {
        use ElementType::{Bool, F16, F32, F64, I8, I32, I64, U8};
        let all = [F32, F32, F32, I64, F16, F32, F16, I32, Bool, F32, U8, I8, F64];
        let fitting: Vec<ElementType> = all
            .into_iter()
            .filter(|&element| takes(element) && !(self.limits.device && element == F64))
            .collect();
        (!fitting.is_empty()).then(|| self.choices.of(&fitting))
    }

    /// A new input or constant.
    pub(super) fn fresh(&mut self, element: ElementType, shape: &[Dim]) -> Option<ValueId> {
        let style = values::style(self.choices, self.limits.specials);
        self.fresh_of(element, shape, style)
    }

    /// The same with elements of some style; uniform ones are constants.
    pub(super) fn fresh_of(&mut self, element: ElementType, shape: &[Dim], style: Style) -> Option<ValueId> {
        let sizes = self.static_shape(shape);
        let is_static = shape.iter().all(|dim| dim.as_const().is_some());
        let constant = is_static && (style == Style::Uniform || self.choices.once_in(2));
        let tensor = values::tensor(self.choices, element, &sizes, style)?;
        if constant {
            return self.constant(tensor);
        }
        let name = self.graph.unique_name(&format!("x{}", self.inputs.len()));
        let input = self.graph.add_input(name, TensorType::new(element, shape)).ok()?;
        self.inputs.push(tensor);
        Some(input)
    }

    pub(super) fn constant(&mut self, tensor: Tensor) -> Option<ValueId> {
        let name = self.graph.unique_name(&format!("c{}", self.graph.value_capacity()));
        self.graph.add_constant(name, tensor).ok()
    }

    /// A constant scalar.
    pub(super) fn scalar(&mut self, element: ElementType, value: f64) -> Option<ValueId> {
        self.constant(Tensor::from_f64_as(element, [], &[value]).ok()?)
    }

    /// An operand of `least` axes or more: new, the latest value that fits, or an earlier one.
    pub(super) fn any(&mut self, least: usize, takes: impl Fn(ElementType) -> bool) -> Option<ValueId> {
        let fits = |value: &ValueId| {
            let ty = &self.graph.value(*value).ty;
            takes(ty.element) && ty.rank() >= least && ty.rank() <= 6
        };
        let known: Vec<ValueId> = self.graph.values().map(|(id, _)| id).filter(fits).collect();
        match (self.choices.pick(8), known.last()) {
            (1..=4, Some(&latest)) => Some(latest),
            (5.., Some(_)) => Some(self.choices.of(&known)),
            _ => {
                let element = self.new_element(takes)?;
                let shape = self.new_shape(least);
                self.fresh(element, &shape)
            }
        }
    }

    /// An operand of exactly this type.
    pub(super) fn like(&mut self, element: ElementType, shape: &[Dim]) -> Option<ValueId> {
        let fits = |value: &ValueId| {
            let ty = &self.graph.value(*value).ty;
            ty.element == element && ty.shape == shape
        };
        let known: Vec<ValueId> = self.graph.values().map(|(id, _)| id).filter(fits).collect();
        if known.is_empty() || self.choices.pick(3) == 0 {
            return self.fresh(element, shape);
        }
        Some(self.choices.of(&known))
    }

    /// A shape that broadcasts to `shape`.
    pub(super) fn broadcasting(&mut self, shape: &[Dim]) -> Vec<Dim> {
        let dropped = if self.choices.once_in(2) { self.choices.pick(shape.len() + 1) } else { 0 };
        let mut part = shape[dropped..].to_vec();
        for size in &mut part {
            if self.choices.once_in(4) {
                *size = Dim::Const(1);
            }
        }
        part
    }

    /// A number below `end`, small ones more often.
    pub(super) fn few(&mut self, end: u64) -> u64 {
        self.choices.of(&[0, 0, 1, 0, 2, 1, 3]).min(end.saturating_sub(1))
    }

    /// A divisor of a number.
    pub(super) fn divisor(&mut self, of: u64) -> u64 {
        let divisors: Vec<u64> = (1..=of.max(1)).filter(|&divisor| of.is_multiple_of(divisor)).collect();
        self.choices.of(&divisors)
    }
}

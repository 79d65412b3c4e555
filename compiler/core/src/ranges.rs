//! Which int64 results may leave the 32 bits that a device has for them: an interval for the elements of every value, from
//! the inputs to the outputs.
//!
//! Inputs are checked when they are written, so they fit. Everything that cannot be proved to fit is named once, and counts
//! as whatever 32 bits hold from there on, so that what follows from it is not blamed.

mod interval;
mod scalar;

use drift_ir::op::{Op, PadMode, PoolKind, Reduce, ReduceKind, StepArg, Update};
use drift_ir::{ElementType, Graph, Node, NodeId, Tensor, ValueDef, ValueId};
use interval::Interval;
use std::collections::BTreeMap;

/// Elements of a constant of floats up to which its range is looked for.
const MOST_FLOATS: u64 = 1 << 16;

/// What the user should know of a graph's int64 results: nothing where all are proved to fit.
pub(crate) fn warning(graph: &Graph) -> Option<String> {
    let nodes = unproved(graph);
    let named = nodes.iter().map(|(node, range)| {
        let Node { name, op, .. } = graph.node(*node);
        format!("`{name}` ({}, {range})", op.name())
    });
    let named: Vec<String> = named.collect();
    (!named.is_empty()).then(|| {
        format!(
            "int64 and uint64 have 32 bits on a device, and results beyond them differ there; not proved to fit: {}",
            named.join(", ")
        )
    })
}

/// Producers behind one another that [`magnitude`] looks at.
const DEPTH: usize = 16;

/// The largest magnitude of a value's elements, as far as what it is computed from says.
pub(crate) fn magnitude(graph: &Graph, value: ValueId) -> f64 {
    let mut ranges = Ranges { graph, indices: BTreeMap::new(), known: BTreeMap::new() };
    ranges.look_at(value, DEPTH);
    ranges.of(value).magnitude()
}

/// The largest magnitudes of the elements of what nodes make; infinite where nothing bounds them.
pub(crate) fn magnitudes(graph: &Graph) -> BTreeMap<ValueId, f64> {
    let mut ranges = Ranges { graph, indices: indices(graph), known: BTreeMap::new() };
    for id in graph.nodes() {
        let node = graph.node(id);
        let (range, _) = ranges.of_node(node);
        ranges.known.extend(node.outputs.iter().map(|&output| (output, range)));
    }
    ranges.known.into_iter().map(|(value, range)| (value, range.magnitude())).collect()
}

/// Nodes with an int64 or uint64 result that may not fit, and the range that it was proved to have.
fn unproved(graph: &Graph) -> Vec<(NodeId, Interval)> {
    let mut ranges = Ranges { graph, indices: indices(graph), known: BTreeMap::new() };
    let mut nodes = Vec::new();
    for id in graph.nodes() {
        let node = graph.node(id);
        let (range, beyond) = ranges.of_node(node);
        nodes.extend(beyond.map(|beyond| (id, beyond)));
        ranges.known.extend(node.outputs.iter().map(|&output| (output, range)));
    }
    nodes
}

/// Values that index an axis: a model that is valid keeps them within it.
fn indices(graph: &Graph) -> BTreeMap<ValueId, Interval> {
    let mut indices: BTreeMap<ValueId, Interval> = BTreeMap::new();
    for id in graph.nodes() {
        let node = graph.node(id);
        let axis = match node.op {
            Op::Gather(op) => op.axis,
            Op::GatherElements(op) => op.axis,
            Op::ScatterElements(op) => op.axis,
            _ => continue,
        };
        let size = graph.value(node.inputs[0]).ty.static_shape().map(|shape| shape[axis] as f64);
        if let Some(size) = size.filter(|&size| size > 0.0) {
            let within = Interval::new(-size, size - 1.0);
            let known = indices.entry(node.inputs[1]).or_insert(within);
            *known = known.within(within);
        }
    }
    indices
}

struct Ranges<'a> {
    graph: &'a Graph,
    indices: BTreeMap<ValueId, Interval>,
    known: BTreeMap<ValueId, Interval>,
}

impl Ranges<'_> {
    /// Makes the range of a value known by those of what it is computed from, as many producers deep.
    fn look_at(&mut self, value: ValueId, depth: usize) {
        let Some(producer) = self.graph.producer(value) else { return };
        if depth == 0 || self.known.contains_key(&value) {
            return;
        }
        let node = self.graph.node(producer);
        node.operands().for_each(|operand| self.look_at(operand, depth - 1));
        let (range, _) = self.of_node(node);
        self.known.extend(node.outputs.iter().map(|&output| (output, range)));
    }

    fn of(&self, value: ValueId) -> Interval {
        let of = self.graph.value(value);
        let known = match &of.def {
            ValueDef::Constant(tensor) => of_constant(tensor),
            ValueDef::Input(_) => Interval::stored(of.ty.element),
            ValueDef::Node { .. } => {
                self.known.get(&value).copied().unwrap_or_else(|| Interval::stored(of.ty.element))
            }
        };
        self.indices.get(&value).map_or(known, |&within| known.within(within))
    }

    /// Elements of a value; more than anything can count where they are not known.
    fn count(&self, value: ValueId) -> f64 {
        self.graph.value(value).ty.static_element_count().map_or(f64::INFINITY, |count| count as f64)
    }

    fn size(&self, value: ValueId, axis: usize) -> f64 {
        let shape = self.graph.value(value).ty.static_shape();
        shape.map_or(f64::INFINITY, |shape| shape[axis] as f64)
    }

    /// The range of a node's result, and what it would be where that may not fit.
    fn of_node(&self, node: &Node) -> (Interval, Option<Interval>) {
        let element = match &node.op {
            Op::Elementwise(op) => scalar::element(*op, &self.elements(node)),
            Op::ShapeOf(_) | Op::ArgReduce(_) | Op::TopK(_) | Op::Suppress(_) => ElementType::I64,
            Op::MatMul(_)
            | Op::Attention(_)
            | Op::Conv(_)
            | Op::ConvTranspose(_)
            | Op::Pool(_)
            | Op::Resize(_)
            | Op::Pad(_)
            | Op::GroupNorm(_)
            | Op::Reduce(_)
            | Op::Softmax(_)
            | Op::LayerNorm(_)
            | Op::RmsNorm(_)
            | Op::Rotary(_)
            | Op::Reshape(_)
            | Op::Transpose(_)
            | Op::Expand(_)
            | Op::Concat(_)
            | Op::Slice(_)
            | Op::Gather(_)
            | Op::GatherNd(_)
            | Op::GatherElements(_)
            | Op::ScatterElements(_)
            | Op::ScatterNd(_)
            | Op::WriteRows(_)
            | Op::CumSum(_)
            | Op::Range(_) => self.graph.value(node.inputs[0]).ty.element,
        };
        let (mut value, mut beyond) = kept(self.of_op(node), element);
        let mut steps: Vec<(Interval, ElementType)> = Vec::new();
        for step in &node.epilogue.steps {
            let args = step.args.iter().map(|arg| match *arg {
                StepArg::Result => (value, Some(element)),
                StepArg::Step(n) => (steps[n as usize].0, Some(steps[n as usize].1)),
                StepArg::Operand(n) => {
                    let operand = node.epilogue.operands[n as usize];
                    (self.of(operand), Some(self.graph.value(operand).ty.element))
                }
                StepArg::Const(number) => (Interval::new(number, number), None),
            });
            let (args, elements): (Vec<Interval>, Vec<Option<ElementType>>) = args.unzip();
            // A literal takes its type from the others.
            let other = elements.iter().rev().find_map(|element| *element).unwrap_or(ElementType::F32);
            let elements: Vec<ElementType> = elements.into_iter().map(|own| own.unwrap_or(other)).collect();
            let made = scalar::element(step.op, &elements);
            let (range, left) = kept(scalar::range(step.op, &args, &elements), made);
            beyond = beyond.or(left);
            steps.push((range, made));
        }
        if let Some(&(last, _)) = steps.last() {
            value = last;
        }
        (value, beyond)
    }

    fn elements(&self, node: &Node) -> Vec<ElementType> {
        node.inputs.iter().map(|&input| self.graph.value(input).ty.element).collect()
    }

    /// What an op computes exactly, before 32 bits keep it.
    fn of_op(&self, node: &Node) -> Interval {
        let range = |at: usize| self.of(node.inputs[at]);
        match &node.op {
            Op::Elementwise(op) => {
                let args: Vec<Interval> = (0..node.inputs.len()).map(range).collect();
                scalar::range(*op, &args, &self.elements(node))
            }
            Op::Reshape(_)
            | Op::Transpose(_)
            | Op::Expand(_)
            | Op::Slice(_)
            | Op::Gather(_)
            | Op::GatherNd(_)
            | Op::GatherElements(_)
            | Op::Resize(_) => range(0),
            Op::Pool(op) => match op.kind {
                PoolKind::Max => range(0),
                PoolKind::Average { .. } => range(0).join(Interval::ZERO),
                PoolKind::Lp(_) => Interval::ALL,
            },
            Op::Pad(op) => match op.mode {
                PadMode::Constant(value) => range(0).join(Interval::new(value, value)),
                PadMode::Edge | PadMode::Reflect | PadMode::Wrap => range(0),
            },
            Op::Concat(_) => (1..node.inputs.len()).fold(range(0), |all, at| all.join(range(at))),
            Op::ScatterElements(op) => self.scattered(node, op.update),
            Op::ScatterNd(op) => self.scattered(node, op.update),
            Op::WriteRows(_) => range(0).join(range(1)),
            Op::ArgReduce(op) => Interval::below(self.size(node.inputs[0], op.axis)),
            Op::TopK(_) => {
                let rank = self.graph.value(node.inputs[0]).ty.rank();
                Interval::below(self.size(node.inputs[0], rank.saturating_sub(1)))
            }
            Op::Suppress(_) => Interval::below(self.size(node.inputs[1], 2)).join(Interval::new(-1.0, -1.0)),
            // Sizes are checked when memory is planned for them.
            Op::ShapeOf(_) => Interval::new(0.0, f64::from(i32::MAX)),
            Op::CumSum(op) => range(0).join(Interval::ZERO).times(self.size(node.inputs[0], op.axis)),
            Op::Range(_) => range(0).join(range(1)),
            Op::Reduce(op) => self.reduced(node, op),
            Op::MatMul(_) => {
                let rank = self.graph.value(node.inputs[0]).ty.rank();
                let product = range(0).multiply(range(1));
                product.join(Interval::ZERO).times(self.size(node.inputs[0], rank.saturating_sub(1)))
            }
            Op::Softmax(_) => Interval::new(0.0, 1.0),
            Op::Attention(_)
            | Op::Conv(_)
            | Op::ConvTranspose(_)
            | Op::GroupNorm(_)
            | Op::LayerNorm(_)
            | Op::RmsNorm(_)
            | Op::Rotary(_) => Interval::ALL,
        }
    }

    fn scattered(&self, node: &Node, update: Update) -> Interval {
        let (data, updates) = (self.of(node.inputs[0]), self.of(node.inputs[2]));
        match update {
            Update::Replace | Update::Max | Update::Min => data.join(updates),
            Update::Add => data.add(updates.join(Interval::ZERO).times(self.count(node.inputs[2]))),
            Update::Mul => Interval::ALL,
        }
    }

    fn reduced(&self, node: &Node, op: &Reduce) -> Interval {
        let (x, count) = (self.of(node.inputs[0]), self.count(node.inputs[0]) / self.count(node.outputs[0]));
        // Over nothing a quotient of sizes says nothing.
        let count = if count.is_finite() { count } else { self.count(node.inputs[0]) };
        match op.kind {
            ReduceKind::Sum => x.join(Interval::ZERO).times(count),
            ReduceKind::Mean | ReduceKind::Max | ReduceKind::Min => x.join(Interval::ZERO),
            ReduceKind::Prod => {
                let most = x.magnitude().powf(count).max(1.0);
                Interval::new(if x.low < 0.0 { -most } else { 0.0 }, most)
            }
            ReduceKind::L2 => Interval::new(0.0, x.magnitude() * count.sqrt()),
        }
    }
}

/// A result as a device keeps it, and the exact one where the two may differ.
fn kept(exact: Interval, element: ElementType) -> (Interval, Option<Interval>) {
    let stored = Interval::stored(element);
    match stored.contains(exact) {
        true => (exact, None),
        // 32 bits wrap in ONNX as well.
        false => (stored, matches!(element, ElementType::I64 | ElementType::U64).then_some(exact)),
    }
}

fn of_constant(tensor: &Tensor) -> Interval {
    let element = tensor.element();
    let numbers = match element.is_float() {
        true if tensor.len() as u64 > MOST_FLOATS => return Interval::ALL,
        true => tensor.to_f64_vec(),
        false => tensor.to_i64_vec().into_iter().map(|number| number as f64).collect(),
    };
    let ends = |range: Option<(f64, f64)>, number: f64| match range {
        None => Some((number, number)),
        Some((low, high)) => Some((low.min(number), high.max(number))),
    };
    match numbers.into_iter().fold(None, ends) {
        Some((low, high)) => Interval::new(low, high),
        None => Interval::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of nodes that are not proved to fit.
    fn named(text: &str) -> Vec<String> {
        let graph = drift_ir::text::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        unproved(&graph).iter().map(|(node, _)| graph.node(*node).name.clone()).collect()
    }

    const NONE: [&str; 0] = [];

    #[test]
    fn what_follows_from_sizes_and_indices_is_proved() {
        let text = "%x: f32[3,50]\n%s: i64[3,50]\n@one: i64[] = 1\n@two: i64[] = 2\n%a = arg_max %x {axis=1}\n%b = add %a, @one\n\
            %c = mul %b, %b\n%d = cumsum %c {axis=0}\n%e = mod %s, @two\n%f = reduce_sum %e {axes=[0,1], keep_dims=false}\n\
            return %d, %f";
        assert_eq!(named(text), NONE);
    }

    #[test]
    fn arithmetic_on_whole_inputs_is_named_once() {
        let text = "%x: i64[4]\n%y: i64[4]\n@one: i64[] = 1\n%a = add %x, %y\n%b = max %a, @one\n%c = div %b, @one\nreturn %c";
        assert_eq!(named(text), ["a"]);
    }

    #[test]
    fn what_indexes_an_axis_lies_within_it() {
        let text = "@table: f32[1000,4] = random(1)\n%ids: i64[7]\n@shift: i64[] = 2147482000\n%e = gather @table, %ids {axis=0}\n\
            %a = sub %ids, @shift\nreturn %e, %a";
        assert_eq!(named(text), NONE);
    }

    #[test]
    fn casts_of_floats_are_proved_by_their_bounds() {
        let text = "%x: f32[4]\n%a = cast %x {to=i64}\n%b = clip %x {min=-10.0, max=1000000.0}\n%c = cast %b {to=i64}\n\
            %d = sigmoid %x\n%e = cast %d {to=i64}\nreturn %a, %c, %e";
        assert_eq!(named(text), ["a"]);
    }

    #[test]
    fn steps_of_an_epilogue_count_too() {
        let text = "%x: i64[4]\n%y = reshape %x {shape=[2,2]} epilogue(mul 3)\nreturn %y";
        assert_eq!(named(text), ["y"]);
    }

    #[test]
    fn int32_wraps_by_itself() {
        assert_eq!(named("%x: i32[4]\n%y = add %x, %x\nreturn %y"), NONE);
    }

    #[test]
    fn the_warning_names_node_op_and_range() {
        let graph = drift_ir::text::parse("%x: i64[4]\n%y = add %x, %x\nreturn %y").expect("a graph");
        let warning = warning(&graph).expect("a warning");
        assert!(warning.contains("`y` (add, -4294967296..=4294967294)"), "{warning}");
    }
}

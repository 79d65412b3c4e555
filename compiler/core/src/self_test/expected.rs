//! The right results of tests, from the reference evaluator.

use super::seeded::{self, Range};
use drift_ir::eval::{Limits, eval_node, work_of};
use drift_ir::{Graph, Node, NodeId, Op, Tensor, ValueDef, ValueId};
use std::collections::{BTreeMap, HashMap};

/// Elementary steps of the evaluator for one test.
const MOST_WORK: u64 = 8_000_000_000;

/// The same for all tests of an entry, its variants together.
const MOST_WORK_OF_ENTRY: u64 = 40_000_000_000;

/// Bytes of results that are kept for other variants of the same entry.
const MOST_KEPT_BYTES: u64 = 512 << 20;

/// What a node gives on seeded operands.
#[derive(Clone)]
pub(super) struct Expected {
    /// Its result.
    pub(super) result: Tensor,
    /// The operands that are made, each with its range; their places in the list are their ordinals.
    pub(super) operands: Vec<(ValueId, Range)>,
}

/// Evaluates nodes of one entry's graphs, equal ones once.
#[derive(Default)]
pub struct Evaluator {
    known: HashMap<[u8; 32], Result<(Tensor, usize), String>>,
    work: u64,
    kept_bytes: u64,
}

/// The node, or the copy, that is tested.
#[derive(Clone, Copy)]
pub(super) enum Tested {
    /// A node.
    Node(NodeId),
    /// A value as it is.
    Value(ValueId),
}

impl Evaluator {
    /// What `tested` gives where each value that `is_made` says yes to holds seeded numbers. Other values are constants, or
    /// views of such values. In words why that is not known, if it is not.
    pub(super) fn expected(
        &mut self,
        graph: &Graph,
        tested: Tested,
        is_made: &dyn Fn(ValueId) -> bool,
    ) -> Result<Expected, String> {
        let mut sources = Sources { graph, is_made, made: Vec::new(), indices: BTreeMap::new() };
        let mut description = String::new();
        match tested {
            Tested::Value(value) => sources.describe(value, None, &mut description)?,
            Tested::Node(node) => {
                let node = graph.node(node);
                description = format!("{:?} {:?}", node.op, node.epilogue);
                for (place, value) in node.operands().enumerate() {
                    let indices = index_places(graph, node, place);
                    sources.describe(value, indices, &mut description)?;
                }
            }
        }
        let key = *blake3::hash(description.as_bytes()).as_bytes();
        let (result, attempt) = match self.known.get(&key) {
            Some(known) => known.clone()?,
            None => {
                let found = self.evaluate(&sources, tested);
                let bytes = found.as_ref().map_or(0, |(result, _)| result.size_bytes());
                if self.kept_bytes + bytes <= MOST_KEPT_BYTES {
                    self.kept_bytes += bytes;
                    self.known.insert(key, found.clone());
                }
                found?
            }
        };
        let operands = sources.made.iter().map(|&value| (value, sources.range(value, attempt))).collect();
        Ok(Expected { result, operands })
    }

    /// Tries ranges of operands until the result is finite. Where it never is, it may be infinite, as masks are.
    fn evaluate(&mut self, sources: &Sources<'_>, tested: Tested) -> Result<(Tensor, usize), String> {
        let (mut reason, mut infinite) = (String::new(), None);
        for attempt in 0..Range::ATTEMPTS {
            match self.attempt(sources, tested, attempt) {
                Ok(result) => {
                    let values = result.to_f64_vec();
                    if values.iter().all(|value| value.is_finite()) {
                        return Ok((result, attempt));
                    }
                    match values.iter().any(|value| value.is_nan()) {
                        true => "its results are no numbers on all operands that were tried"
                            .clone_into(&mut reason),
                        false => infinite = infinite.or(Some((result, attempt))),
                    }
                }
                Err(Stopped::TooMuch(words)) => return Err(words),
                Err(Stopped::Refused(words)) => reason = words,
            }
        }
        infinite.ok_or(reason)
    }

    fn attempt(&mut self, sources: &Sources<'_>, tested: Tested, attempt: usize) -> Result<Tensor, Stopped> {
        let node = match tested {
            Tested::Value(value) => return sources.tensor(value, attempt).map_err(Stopped::Refused),
            Tested::Node(node) => sources.graph.node(node),
        };
        let operands: Vec<Tensor> = node
            .operands()
            .map(|value| sources.tensor(value, attempt))
            .collect::<Result<_, _>>()
            .map_err(Stopped::Refused)?;
        let operands: Vec<&Tensor> = operands.iter().collect();
        let work = work_of(&node.op, &operands[..node.inputs.len()]).unwrap_or(0);
        if work > MOST_WORK || self.work + work > MOST_WORK_OF_ENTRY {
            let most = if work > MOST_WORK { MOST_WORK } else { MOST_WORK_OF_ENTRY };
            let whose = if work > MOST_WORK { "one test" } else { "all tests of an entry" };
            return Err(Stopped::TooMuch(format!(
                "its right values take {work} steps of the evaluator; {whose} may take {most}"
            )));
        }
        self.work += work;
        let results = eval_node(node, &operands, Limits::STANDARD);
        let results = results.map_err(|error| Stopped::Refused(error.to_string()))?;
        results.into_iter().next().ok_or_else(|| Stopped::Refused("it has no result".to_owned()))
    }
}

/// Why an attempt gives nothing.
enum Stopped {
    /// Other operands may do.
    Refused(String),
    /// No operands will.
    TooMuch(String),
}

/// Where the operands of a test come from.
struct Sources<'a> {
    graph: &'a Graph,
    is_made: &'a dyn Fn(ValueId) -> bool,
    /// Values that are made, in the order in which they are met.
    made: Vec<ValueId>,
    /// Of those that hold indices, the number of places.
    indices: BTreeMap<ValueId, u64>,
}

impl Sources<'_> {
    /// Appends what `value` follows from; `indices` is the number of places that it says one of, if it says places.
    fn describe(
        &mut self,
        value: ValueId,
        indices: Option<u64>,
        description: &mut String,
    ) -> Result<(), String> {
        let graph = self.graph;
        let name = &graph.value(value).name;
        let shape =
            graph.value(value).ty.static_shape().ok_or_else(|| format!("`{name}` has a free size"))?;
        if shape.contains(&0) {
            return Err(format!("`{name}` has no elements"));
        }
        if (self.is_made)(value) {
            let ordinal = self.made.iter().position(|known| *known == value).unwrap_or_else(|| {
                self.made.push(value);
                self.made.len() - 1
            });
            if let Some(places) = indices {
                let known = self.indices.entry(value).or_insert(places);
                *known = places.min(*known);
            }
            let element = graph.value(value).ty.element;
            description.push_str(&format!("; made {ordinal} {element} {shape:?} {indices:?}"));
            return Ok(());
        }
        match &graph.value(value).def {
            ValueDef::Constant(tensor) => {
                let mut hasher = blake3::Hasher::new();
                tensor.stored().into_iter().for_each(|bytes| {
                    hasher.update(bytes);
                });
                let (element, form) = (tensor.element(), tensor.form());
                description.push_str(&format!("; {element} {shape:?} {form:?} {}", hasher.finalize()));
                Ok(())
            }
            ValueDef::Node { node, .. } if is_view(graph.node(*node)) => {
                description.push_str(&format!("; {:?} of", graph.node(*node).op));
                let source = graph.node(*node).inputs[0];
                self.describe(source, indices, description)
            }
            ValueDef::Input(_) | ValueDef::Node { .. } => {
                Err(format!("it reads `{name}`, which no storage holds before it"))
            }
        }
    }

    fn range(&self, value: ValueId, attempt: usize) -> Range {
        let element = self.graph.value(value).ty.element;
        Range::of(element, self.indices.get(&value).copied(), attempt)
    }

    fn tensor(&self, value: ValueId, attempt: usize) -> Result<Tensor, String> {
        let of = self.graph.value(value);
        if let Some(ordinal) = self.made.iter().position(|known| *known == value) {
            let shape = of.ty.static_shape().unwrap_or_default();
            let range = self.range(value, attempt);
            return seeded::tensor(of.ty.element, &shape, range, ordinal as u32)
                .map_err(|error| error.to_string());
        }
        match &of.def {
            ValueDef::Constant(tensor) => Ok(tensor.clone()),
            ValueDef::Node { node, .. } => {
                let node = self.graph.node(*node);
                let source = self.tensor(node.inputs[0], attempt)?;
                let results = eval_node(node, &[&source], Limits::STANDARD);
                let results = results.map_err(|error| error.to_string())?;
                results.into_iter().next().ok_or_else(|| "a view has no result".to_owned())
            }
            ValueDef::Input(_) => Err(format!("`{}` is an input that no storage holds", of.name)),
        }
    }
}

/// Whether a node may be a view of what it reads.
fn is_view(node: &Node) -> bool {
    node.epilogue.is_empty() && matches!(node.op, Op::Reshape(_) | Op::Slice(_) | Op::Transpose(_))
}

/// How many places operand `place` of a node says one of, if it holds indices.
fn index_places(graph: &Graph, node: &Node, place: usize) -> Option<u64> {
    let sizes = graph.value(*node.inputs.first()?).ty.static_shape()?;
    match &node.op {
        Op::Gather(op) if place == 1 => sizes.get(op.axis).copied(),
        Op::GatherNd(_) | Op::GatherElements(_) | Op::ScatterElements(_) | Op::ScatterNd(_) if place == 1 => {
            sizes.into_iter().min()
        }
        _ => None,
    }
}

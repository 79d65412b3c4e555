//! Why a model could not be imported, in the model's own words.

use crate::budget::Exceeded;
use crate::cut_error::CutError;
use crate::source::SourceError;
use crate::tensor::TensorError;
use drift_ir::graph::EditError;
use drift_ir::op::infer::InferErrorKind;
use std::collections::HashMap;
use std::fmt;
use thiserror::Error;

/// Why a model could not be imported.
#[derive(Debug, Error)]
pub enum ImportError {
    /// A file could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// An initializer could not be read.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// A part of the model that cannot be compiled alone.
    #[error(transparent)]
    Cut(#[from] CutError),
    /// No graph.
    #[error("the file has no graph; it is empty, or not an ONNX model")]
    NoGraph,
    /// The model says nothing about a domain that it uses.
    #[error("the model imports no operator set for domain `{domain}`, which node `{node}` uses")]
    NoOpset {
        /// The domain; empty is ONNX's own.
        domain: String,
        /// A node that uses it.
        node: String,
    },
    /// An operator set outside what this version knows.
    #[error(
        "operator set {version} is not supported, only {oldest} to {newest}; export or convert the model to one of those"
    )]
    Opset {
        /// The model's version.
        version: i64,
        /// Oldest supported.
        oldest: i64,
        /// Newest supported.
        newest: i64,
    },
    /// A binding for a dimension that the model does not have.
    #[error("the model has no free dimension `{name}`; {}", known_dims(known))]
    UnknownDim {
        /// The name given.
        name: String,
        /// The model's free dimensions.
        known: Vec<String>,
    },
    /// A binding whose lower bound is above its upper bound.
    #[error("dimension `{name}` is bound to {low}..{high}, which is empty")]
    EmptyRange {
        /// The dimension.
        name: String,
        /// Lower bound.
        low: u64,
        /// Upper bound.
        high: u64,
    },
    /// A range without a multiple of its step.
    #[error("dimension `{name}` is bound to {low}..{high}/{step}, in which there is no multiple of {step}")]
    EmptySteps {
        /// The dimension.
        name: String,
        /// Lower bound.
        low: u64,
        /// Upper bound.
        high: u64,
        /// What sizes are multiples of.
        step: u64,
    },
    /// A range for a size that follows from others.
    #[error("dimension `{name}` follows from others; give ranges to those")]
    ComputedRange {
        /// The size's formula.
        name: String,
    },
    /// A size that follows from others, and that does not agree with them.
    #[error("dimension `{name}` is bound to {size}, which the sizes in it do not give")]
    ComputedDim {
        /// The size's formula.
        name: String,
        /// The size given.
        size: u64,
    },
    /// A bound for a size that the model does not have.
    #[error("data decide no size of a value or node `{name}`; {}", known_bounds(known))]
    UnknownBound {
        /// The name given.
        name: String,
        /// Values whose sizes data decide.
        known: Vec<String>,
    },
    /// Free dimensions that only the caller can give a size.
    #[error("{}; pass {}", free_places(dims), free_flags(dims))]
    FreeDims {
        /// All of them, in the order in which the inputs name them.
        dims: Vec<FreeDim>,
    },
    /// Data whose shapes cannot be those of the model's inputs.
    #[error("input `{input}`: {reason}")]
    InputData {
        /// The input.
        input: String,
        /// What is wrong.
        reason: String,
    },
    /// Past rows of caches whose range is given, in a model whose caches cannot become states.
    #[error("dimension `{dim}`: {reason}")]
    Cache {
        /// The dimension of past rows.
        dim: String,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// The last row of the logits, or a choice of the next token, of a model without caches.
    #[error(
        "only of a model whose caches are states the last logits can be kept or the next token chosen; give its dimension \
         of past rows a range, such as --dim past_sequence_length=0..2048"
    )]
    NoCaches,
    /// The last row of an output that is not there, or a choice by it.
    #[error("the model has no output `logits` with a row for each new token, of which the last is wanted")]
    NoLogits,
    /// A graph input or output of a kind that cannot be compiled.
    #[error("graph {what} `{name}`: {reason}")]
    Interface {
        /// `input` or `output`.
        what: &'static str,
        /// Its name.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// Two values with one name.
    #[error("the name `{name}` is given to more than one value")]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// An initializer stored sparsely.
    #[error("initializer `{name}` is sparse, which is not supported; store it dense")]
    SparseInitializer {
        /// Its name.
        name: String,
    },
    /// A value that nothing makes.
    #[error("node `{node}` reads `{value}`, which no input, initializer or node provides")]
    Undefined {
        /// The reader.
        node: String,
        /// The name.
        value: String,
    },
    /// Nodes that wait for each other.
    #[error("node `{node}` reads `{value}`, which is computed from its own result: the graph has a cycle")]
    Cycle {
        /// A node of the cycle.
        node: String,
        /// The value that closes it.
        value: String,
    },
    /// A graph output that nothing makes.
    #[error("graph output `{name}` is made by no node")]
    MissingOutput {
        /// Its name.
        name: String,
    },
    /// A node that contradicts the ONNX specification.
    #[error("node `{node}` ({op}): {reason}")]
    Node {
        /// Its name.
        node: String,
        /// Its operator.
        op: String,
        /// What is wrong.
        reason: Box<NodeError>,
    },
    /// Nodes that are valid, but that this version cannot compile.
    #[error("{} of the model's nodes cannot be compiled:{}", nodes.len(), UnsupportedList(nodes))]
    Unsupported {
        /// All of them, in model order.
        nodes: Vec<UnsupportedNode>,
    },
    /// Functions that call each other too deeply, or in a circle.
    #[error("function `{function}` is called more than {limit} levels deep")]
    FunctionDepth {
        /// The function.
        function: String,
        /// The limit.
        limit: usize,
    },
    /// The graph that results is not consistent.
    #[error("the model does not describe a valid graph")]
    Graph(#[from] Box<EditError>),
}

/// A valid node that this version cannot compile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsupportedNode {
    /// Its name.
    pub node: String,
    /// Its operator, with the domain where that is not ONNX's own.
    pub op: String,
    /// Why, and what would help.
    pub reason: String,
}

/// What is wrong with one node.
#[derive(Debug, Error)]
pub enum NodeError {
    /// An operand that the operator cannot do without.
    #[error("operand {0} is missing")]
    MissingOperand(usize),
    /// More or fewer operands than the operator has.
    #[error("{found} operands are given, {expected} expected")]
    OperandCount {
        /// How many there are.
        found: usize,
        /// How many there may be.
        expected: String,
    },
    /// More or fewer results than the operator has.
    #[error("{found} results are named, {expected} expected")]
    ResultCount {
        /// How many there are.
        found: usize,
        /// How many there may be.
        expected: String,
    },
    /// An attribute that the operator cannot do without.
    #[error("attribute `{0}` is missing")]
    MissingAttribute(&'static str),
    /// An attribute given twice.
    #[error("attribute `{0}` stands twice")]
    DuplicateAttribute(String),
    /// An attribute of another type than the operator's.
    #[error("attribute `{name}` is not {expected}")]
    AttributeType {
        /// Its name.
        name: String,
        /// The type in words.
        expected: &'static str,
    },
    /// An attribute or a constant operand with a value that makes no sense.
    #[error("`{name}` is {value}, expected {expected}")]
    Value {
        /// Name of the attribute or operand.
        name: &'static str,
        /// Its value.
        value: String,
        /// What is allowed.
        expected: String,
    },
    /// An axis outside the operand's rank.
    #[error("axis {axis} is outside rank {rank}")]
    Axis {
        /// The axis as given.
        axis: i64,
        /// The rank.
        rank: usize,
    },
    /// Operand shapes or types that do not fit each other.
    #[error("{0}")]
    Operands(String),
    /// Valid, but not something that this version compiles.
    #[error("{0}")]
    Unsupported(String),
    /// The model asks for more than a file of its size may.
    #[error(transparent)]
    Limit(#[from] Exceeded),
    /// A tensor in an attribute could not be read.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// A constant is too large.
    #[error(transparent)]
    Constant(#[from] drift_ir::tensor::TensorError),
    /// A size has no value, or one that is too large.
    #[error(transparent)]
    Dim(#[from] drift_ir::dim::DimError),
    /// The operands do not fit the operation.
    #[error(transparent)]
    Infer(Box<InferErrorKind>),
    /// The graph refused a value.
    #[error(transparent)]
    Graph(Box<EditError>),
}

impl NodeError {
    /// A refusal by the graph. What ONNX allows and the graph does not is unsupported, everything else a mistake of the
    /// model; shapes with free sizes may turn out to fit, so they count as the former.
    pub(crate) fn of_infer(kind: InferErrorKind, has_free_sizes: bool) -> Self {
        match kind {
            InferErrorKind::DataDependent { .. } | InferErrorKind::Element { .. } => {
                Self::Unsupported(kind.to_string())
            }
            InferErrorKind::Broadcast { .. } | InferErrorKind::Shape { .. } if has_free_sizes => {
                Self::Unsupported(kind.to_string())
            }
            _ => Self::Infer(Box::new(kind)),
        }
    }
}

impl From<EditError> for NodeError {
    fn from(error: EditError) -> Self {
        Self::Graph(Box::new(error))
    }
}

fn known_dims(known: &[String]) -> String {
    match known {
        [] => "all its sizes are fixed".to_owned(),
        _ => format!("it has `{}`", known.join("`, `")),
    }
}

fn known_bounds(known: &[String]) -> String {
    match known {
        [] => "they decide none of this model".to_owned(),
        _ => format!("they decide those of `{}`", known.join("`, `")),
    }
}

/// A free dimension that nothing binds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreeDim {
    /// Its name.
    pub name: String,
    /// The inputs that have it, each with the axis.
    pub places: Vec<(String, usize)>,
}

impl fmt::Display for FreeDim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 4;
        write!(f, "`{}` (", self.name)?;
        for (index, (input, axis)) in self.places.iter().take(SHOWN).enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}axis {axis} of `{input}`")?;
        }
        match self.places.len().saturating_sub(SHOWN) {
            0 => write!(f, ")"),
            more => write!(f, " and {more} more)"),
        }
    }
}

fn free_places(dims: &[FreeDim]) -> String {
    let names: Vec<String> = dims.iter().map(FreeDim::to_string).collect();
    let (noun, verb) = if dims.len() == 1 { ("dimension", "has") } else { ("dimensions", "have") };
    format!("the free {noun} {} {verb} no size", names.join(", "))
}

fn free_flags(dims: &[FreeDim]) -> String {
    let flags: Vec<String> = dims.iter().map(|dim| format!("--dim {}=N", quoted(&dim.name))).collect();
    flags.join(" ")
}

/// As a shell takes it for one word.
fn quoted(name: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "._-/:+,@%".contains(c);
    if name.chars().all(is_plain) { name.to_owned() } else { format!("'{}'", name.replace('\'', "'\\''")) }
}

/// Prints nodes line by line, operators that are missing for the same reason together.
struct UnsupportedList<'a>(&'a [UnsupportedNode]);

impl fmt::Display for UnsupportedList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for group in UnsupportedNode::groups(self.0) {
            let UnsupportedNode { node, op, reason } = group[0];
            match group.len() {
                1 => write!(f, "\n  `{node}` ({op}): {reason}")?,
                count => write!(f, "\n  {op}: {count} nodes (first: `{node}`): {reason}")?,
            }
        }
        Ok(())
    }
}

impl UnsupportedNode {
    /// Nodes of one operator that are missing for the same reason, together, in the order of the first of each group.
    pub fn groups(nodes: &[Self]) -> Vec<Vec<&Self>> {
        let mut places: HashMap<(&str, &str), usize> = HashMap::new();
        let mut groups: Vec<Vec<&Self>> = Vec::new();
        for node in nodes {
            let place = *places.entry((&node.op, &node.reason)).or_insert(groups.len());
            match groups.get_mut(place) {
                Some(group) => group.push(node),
                None => groups.push(vec![node]),
            }
        }
        groups
    }
}

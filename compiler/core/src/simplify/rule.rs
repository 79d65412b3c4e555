//! What a rewrite rule is, which rules run, and the report of what they did. `simplify` and `fuse` share this engine.
//!
//! A rule looks at one node and answers: applied, not its pattern, or declined with a typed reason. The engine visits
//! nodes in execution order and repeats until nothing changes; `explain` prints the report.

use drift_ir::graph::EditError;
use drift_ir::op::InferError;
use drift_ir::tensor::TensorError;
use drift_ir::{ElementType, Graph, NodeId, ValueId, verify};
use std::collections::BTreeSet;
use std::fmt;
use thiserror::Error;

/// Whether a rule changed the graph. `Ok(false)` means that the node is not the rule's pattern, which nobody reports.
pub type Outcome = Result<bool, Declined>;

/// A rewrite rule.
#[derive(Clone, Copy)]
pub struct Rule {
    /// Kebab-case name: the same in code, in `--disable`, in the test case and in reports.
    pub name: &'static str,
    /// The rewrite in one line, for documents and `explain`.
    pub picture: &'static str,
    /// How to try it.
    pub apply: Apply,
}

/// Where a rule looks.
#[derive(Clone, Copy)]
pub enum Apply {
    /// At one node, which stays alive or goes; others may come or go.
    Node(fn(&mut Graph, NodeId) -> Outcome),
    /// At the whole graph, after each sweep over its nodes. Gives the names of the nodes and values that went.
    Graph(fn(&mut Graph) -> Vec<String>),
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.picture)
    }
}

/// Why a rule saw its pattern and did not rewrite it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Declined {
    /// Others still need the value.
    #[error("`{value}` has {users} users")]
    SeveralUsers {
        /// The value that would disappear.
        value: String,
        /// Nodes that read it.
        users: usize,
    },
    /// The value is a result of the model.
    #[error("`{value}` is a graph output")]
    GraphOutput {
        /// The value that would disappear.
        value: String,
    },
    /// Shapes that would have to be equal.
    #[error("{expected} is needed, the producer makes {found}")]
    ShapeDiffers {
        /// Shape that the rewrite needs.
        expected: String,
        /// Shape there is.
        found: String,
    },
    /// A constant would become much larger than what it is made from.
    #[error("the folded constant would take {bytes} bytes, more than {limit}")]
    WouldGrow {
        /// Bytes of the result.
        bytes: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// A shape that depends on free dims.
    #[error("`{value}` has a free dim; pass --dim NAME=SIZE to fold it")]
    FreeDim {
        /// The value.
        value: String,
    },
    /// The evaluator refused a constant expression.
    #[error("cannot be evaluated: {why}")]
    CannotEvaluate {
        /// The evaluator's words.
        why: String,
    },
    /// A constant beyond what its type holds.
    #[error("a constant would leave the range of {element}")]
    OutOfRange {
        /// The type.
        element: &'static str,
    },
    /// A constant that cannot be made.
    #[error(transparent)]
    Constant(#[from] TensorError),
    /// An edit that the graph refuses, because a node would no longer be well typed, or a value would change its type.
    #[error("the graph refuses the rewrite: {0}")]
    Refused(#[from] EditError),
    /// An op that writes its result without an epilogue.
    #[error("{op} takes no epilogue")]
    NoEpilogue {
        /// The producer's op.
        op: &'static str,
    },
    /// An operand that repeats along some of the axes that a kernel writes as one coordinate.
    #[error("`{value}` broadcasts along a part of the axes that {op} writes as one")]
    PartialBroadcast {
        /// The operand.
        value: String,
        /// The producer's op.
        op: &'static str,
    },
    /// An element type that the rewrite cannot carry.
    #[error("element type {element} is not carried through this rewrite")]
    ElementType {
        /// The type.
        element: &'static str,
    },
    /// More steps than an epilogue takes.
    #[error("{steps} steps, at most {limit} make one epilogue")]
    TooManySteps {
        /// Steps after the rewrite.
        steps: usize,
        /// Most that are allowed.
        limit: usize,
    },
    /// More operands than a dispatch can bind.
    #[error("{operands} extra operands, at most {limit} fit into a dispatch")]
    TooManyOperands {
        /// Operands after the rewrite.
        operands: usize,
        /// Most that are allowed.
        limit: usize,
    },
}

impl From<InferError> for Declined {
    fn from(error: InferError) -> Self {
        Self::Refused(error.into())
    }
}

impl Declined {
    /// Shapes that would have to be equal.
    pub(crate) fn shape(graph: &Graph, expected: ValueId, found: ValueId) -> Self {
        let text = |value: ValueId| graph.value(value).ty.display(&graph.symbols).to_string();
        Self::ShapeDiffers { expected: text(expected), found: text(found) }
    }

    /// An element type that the rewrite cannot carry.
    pub(crate) const fn element(element: ElementType) -> Self {
        Self::ElementType { element: element.name() }
    }
}

/// Which rules run: all but the disabled ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    disabled: BTreeSet<String>,
}

/// A name given to `--disable` that no rule has.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no rule is named `{name}`; known rules: {}", known.join(", "))]
pub struct UnknownRule {
    /// The name given.
    pub name: String,
    /// All names that there are.
    pub known: Vec<&'static str>,
}

impl Rules {
    /// All rules of `simplify` and `fuse` but those named.
    pub fn disabling<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Result<Self, UnknownRule> {
        let mut known: Vec<&'static str> =
            crate::simplify::RULES.iter().chain(crate::fuse::RULES).map(|r| r.name).collect();
        known.extend([crate::expand::NAME, crate::projections::NAME]);
        let mut disabled = BTreeSet::new();
        for name in names {
            let name = name.into();
            if !known.contains(&name.as_str()) {
                return Err(UnknownRule { name, known });
            }
            disabled.insert(name);
        }
        Ok(Self { disabled })
    }

    /// Whether a rule runs.
    pub fn allows(&self, rule: &str) -> bool {
        !self.disabled.contains(rule)
    }
}

/// A rewrite that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The node at which the rule matched.
    pub node: String,
    /// The rule.
    pub rule: &'static str,
}

/// A rewrite that was possible but did not happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The node at which the rule matched.
    pub node: String,
    /// The rule.
    pub rule: &'static str,
    /// Why not.
    pub reason: Declined,
}

/// What a pass did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Rewrites, in the order in which they happened.
    pub applied: Vec<Applied>,
    /// Refusals that still hold at the end, in execution order.
    pub declined: Vec<Refusal>,
}

impl Report {
    /// How often a rule applied.
    pub fn count(&self, rule: &str) -> usize {
        self.applied.iter().filter(|applied| applied.rule == rule).count()
    }
}

/// Sweeps that a pass makes at most. Every rule makes its node simpler, so a graph that needs more has rules that undo
/// each other; stopping there costs speed, never correctness.
const MAX_SWEEPS: usize = 64;

/// Rewrites at one node in one sweep, at most.
const MAX_REPEATS: usize = 64;

/// Runs rules over a graph until nothing changes.
pub(crate) fn run(graph: &mut Graph, rules: &[Rule], options: &Rules) -> Report {
    let allowed = || rules.iter().filter(|rule| options.allows(rule.name));
    let mut report = Report::default();
    for _ in 0..MAX_SWEEPS {
        report.declined.clear();
        let applied_before = report.applied.len();
        let nodes: Vec<NodeId> = graph.nodes().collect();
        for node in nodes {
            visit(graph, node, allowed(), &mut report);
        }
        for rule in allowed() {
            if let Apply::Graph(apply) = rule.apply {
                let gone = apply(graph).into_iter();
                report.applied.extend(gone.map(|node| Applied { node, rule: rule.name }));
            }
        }
        debug_assert_eq!(verify::verify(graph), Ok(()));
        if report.applied.len() == applied_before {
            break;
        }
    }
    report
}

/// Applies rules to one node until none applies any more. Refusals count only from the last round.
fn visit<'r>(
    graph: &mut Graph,
    node: NodeId,
    rules: impl Iterator<Item = &'r Rule> + Clone,
    report: &mut Report,
) {
    for _ in 0..MAX_REPEATS {
        let Some(name) = graph.get_node(node).map(|subject| subject.name.clone()) else { return };
        let mut refusals = Vec::new();
        let mut applied = false;
        for rule in rules.clone() {
            let Apply::Node(apply) = rule.apply else { continue };
            let end = graph.node_capacity();
            match apply(graph, node) {
                Ok(true) => {
                    report.applied.push(Applied { node: name.clone(), rule: rule.name });
                    applied = true;
                    break;
                }
                Ok(false) => {}
                Err(reason) => {
                    graph.remove_unread_from(end);
                    refusals.push(Refusal { node: name.clone(), rule: rule.name, reason });
                }
            }
        }
        if !applied {
            report.declined.append(&mut refusals);
            return;
        }
    }
}

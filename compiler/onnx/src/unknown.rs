//! Why an operand that decides shapes is not known: it is data, or arithmetic with free sizes that has no formula of whole numbers.

use crate::error::NodeError;
use crate::free::fixing_flags;
use crate::node::NodeCx;
use drift_ir::op::known::{Known, MOST_TRIED};
use drift_ir::op::{BinaryOp, ScalarOp, UnaryOp};
use drift_ir::{Graph, Node, Op, SymbolId, ValueId};
use std::collections::BTreeSet;

/// Nodes on the way from an operand to the one that is to blame.
const MOST_NODES: usize = 1 << 10;

impl NodeCx<'_, '_> {
    /// A refusal of an operand whose elements are not known.
    pub(crate) fn unknown(&self, value: ValueId, name: &str) -> NodeError {
        let graph = self.graph();
        let reason = culprit(graph, value).and_then(|node| self.arithmetic(node));
        NodeError::Unsupported(match reason {
            Some(reason) => format!("operand `{name}` follows from free sizes, but {reason}"),
            None => format!("operand `{name}` depends on data; only constants and shapes are supported"),
        })
    }

    /// What a node computes of free sizes, and what to do about it.
    fn arithmetic(&self, node: &Node) -> Option<String> {
        let graph = self.graph();
        let known: Vec<Option<Known>> = node.inputs.iter().map(|&input| known(graph, input)).collect();
        let symbols: BTreeSet<SymbolId> = known.iter().flatten().flat_map(symbols_of).collect();
        let is_decided = symbols.iter().any(|&symbol| self.bounds().has(symbol));
        let flags = fixing_flags(&graph.symbols, symbols.into_iter());
        let advice = match (flags.is_empty(), is_decided) {
            (true, _) => return None,
            (_, true) => "cut the model before it (--outputs)".to_owned(),
            _ => format!("bind {flags}"),
        };
        let name = node.origins.first().unwrap_or(&node.name);
        let shown: Vec<String> = known
            .iter()
            .map(|known| known.as_ref().map_or_else(|| "data".to_owned(), |known| shown(graph, known)))
            .collect();
        let shown = shown.join(" and ");
        let is_float = known.iter().flatten().any(|known| known.floats().is_some());
        let rounds = match node.op {
            Op::Elementwise(ScalarOp::Cast(_)) => Some("casts"),
            Op::Elementwise(ScalarOp::Unary(UnaryOp::Floor | UnaryOp::Ceil | UnaryOp::Round)) => {
                Some("rounds")
            }
            _ => None,
        };
        Some(match (rounds, is_float) {
            (Some(verb), true) => {
                let made = scaled_by(graph, node.inputs[0]).map_or_else(String::new, |by| {
                    format!(", which node `{}` makes of it", by.origins.first().unwrap_or(&by.name))
                });
                format!(
                    "node `{name}` {verb} {shown}{made}, and no formula of whole numbers gives that at every size that is allowed, as f32 \
                     rounds it, or there are more than {MOST_TRIED} of them; {advice}, or allow fewer sizes"
                )
            }
            _ => {
                let verb = match node.op {
                    Op::Elementwise(ScalarOp::Binary(BinaryOp::Mul)) => "multiplies",
                    Op::Elementwise(ScalarOp::Binary(BinaryOp::Div)) => "divides",
                    _ => "computes with",
                };
                format!(
                    "node `{name}` ({}) {verb} {shown}, which is not followed before the model runs; {advice}",
                    node.op.name()
                )
            }
        })
    }
}

/// The first node on the way to a value that makes what is not known of what is.
fn culprit(graph: &Graph, mut value: ValueId) -> Option<&Node> {
    for _ in 0..MOST_NODES {
        let node = graph.node(graph.producer(value)?);
        match node.inputs.iter().find(|&&input| known(graph, input).is_none()) {
            Some(&unknown) => value = unknown,
            None => return Some(node),
        }
    }
    None
}

/// The node that scales a float on its way to a value.
fn scaled_by(graph: &Graph, mut value: ValueId) -> Option<&Node> {
    for _ in 0..MOST_NODES {
        let node = graph.node(graph.producer(value)?);
        if let Op::Elementwise(ScalarOp::Binary(BinaryOp::Mul | BinaryOp::Div)) = node.op {
            return Some(node);
        }
        value = *node
            .inputs
            .iter()
            .find(|&&input| graph.known(input).is_some_and(|known| known.floats().is_some()))?;
    }
    None
}

/// What is known of a value; of a constant as much as an operand has.
fn known(graph: &Graph, value: ValueId) -> Option<Known> {
    let operand = graph.operand(value);
    let ints = || Some(Known::Ints(operand.ints()?.into_owned().into()));
    ints().or_else(|| Some(Known::Floats(operand.floats()?.into_owned().into())))
}

fn symbols_of(known: &Known) -> Vec<SymbolId> {
    match known {
        Known::Ints(ints) => ints.iter().flat_map(|int| int.symbols()).collect(),
        Known::Floats(floats) => floats.iter().flat_map(|float| float.symbols()).collect(),
    }
}

/// The elements that depend on symbols, or all of them where none does.
fn shown(graph: &Graph, known: &Known) -> String {
    let symbols = &graph.symbols;
    let all: Vec<(bool, String)> = match known {
        Known::Ints(ints) => {
            ints.iter().map(|int| (int.as_const().is_none(), int.display(symbols).to_string())).collect()
        }
        Known::Floats(floats) => {
            floats.iter().map(|float| (float.symbols().next().is_some(), float.display(symbols))).collect()
        }
    };
    let some: Vec<&str> = all.iter().filter(|(free, _)| *free).map(|(_, text)| text.as_str()).collect();
    match some.is_empty() {
        true => all.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join(", "),
        false => some.join(", "),
    }
}

//! Fuses element-wise nodes into the epilogue of the node that makes their operand, so that a chain of scalar functions
//! costs no dispatch, no write and no read of its own.
//!
//! There is one mechanism, [`absorb`]: a producer whose result has one user, an element-wise node of the same shape,
//! takes that node over. Longer chains, and diamonds whose branches meet again, come from repeating it. The rules only
//! name which producers take part, so that each can be disabled and is reported by itself.
//!
//! The fused node stands where the consumer stood: all its operands are ready there, and since the producer has no
//! other user, computing it later harms nobody.

mod absorb;
mod attention;
mod band;
#[cfg(test)]
mod tests;

pub use absorb::{MAX_EXTRA_OPERANDS, takes_epilogue};

use crate::simplify::rule::{self, Apply, Report, Rule, Rules};
use drift_ir::{Graph, Op};

/// All rules, in the order in which a node tries them. Element-wise chains come first, because a chain that is one node
/// can move into another producer whole.
pub const RULES: &[Rule] = &[
    ELEMENTWISE_CHAIN,
    DIAMOND,
    EPILOGUE,
    attention::ATTENTION,
    band::ATTENTION_BAND,
    attention::ATTENTION_ABSORBS_TRANSPOSE,
    attention::ATTENTION_ABSORBS_REPEAT,
    attention::ATTENTION_WRITES_TRANSPOSED,
];

/// `g(f(x, y), z)   =>   f(x, y) then g(_, z)`
const ELEMENTWISE_CHAIN: Rule = Rule {
    name: "elementwise-chain",
    picture: "g(f(x, y), z) => f(x, y) with epilogue g(_, z)",
    apply: Apply::Node(|graph, node| {
        absorb::into_producer(graph, node, |op| matches!(op, Op::Elementwise(_)), false)
    }),
};

/// `g(p, f(p)), p = conv ..   =>   p = conv .. then f(_) then g(p, _)`
const DIAMOND: Rule = Rule {
    name: "diamond",
    picture: "g(p, f(p)) => p with epilogue g(_, f(_)), when nobody else reads p",
    apply: Apply::Node(|graph, node| absorb::into_producer(graph, node, |_| true, true)),
};

/// `f(p, y), p = conv ..   =>   p = conv .. then f(_, y)`
const EPILOGUE: Rule = Rule {
    name: "epilogue",
    picture: "f(p, y) => p with epilogue f(_, y), when nobody else reads p and its kernels run epilogues",
    apply: Apply::Node(|graph, node| {
        absorb::into_producer(graph, node, |op| !matches!(op, Op::Elementwise(_)), false)
    }),
};

/// Fuses all that the enabled rules allow.
pub fn fuse(mut graph: Graph, options: &Rules) -> (Graph, Report) {
    let report = rule::run(&mut graph, RULES, options);
    (graph, report)
}

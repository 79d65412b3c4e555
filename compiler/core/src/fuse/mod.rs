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
    CONV_EPILOGUE,
    MATMUL_EPILOGUE,
    REDUCE_EPILOGUE,
    SOFTMAX_EPILOGUE,
    LAYER_NORM_EPILOGUE,
    GATHER_EPILOGUE,
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

/// `f(conv(x, w, b), y)   =>   conv(x, w, b) then f(_, y)`
const CONV_EPILOGUE: Rule = Rule {
    name: "conv-epilogue",
    picture: "f(conv(x, w, b), y) => conv(x, w, b) with epilogue f(_, y)",
    apply: Apply::Node(|graph, node| {
        absorb::into_producer(graph, node, |op| matches!(op, Op::Conv(_)), false)
    }),
};

/// `f(matmul(a, b), y)   =>   matmul(a, b) then f(_, y)`
const MATMUL_EPILOGUE: Rule = Rule {
    name: "matmul-epilogue",
    picture: "f(matmul(a, b), y) => matmul(a, b) with epilogue f(_, y)",
    apply: Apply::Node(|graph, node| {
        absorb::into_producer(graph, node, |op| matches!(op, Op::MatMul(_)), false)
    }),
};

/// `f(reduce x, y)   =>   reduce x then f(_, y)`
const REDUCE_EPILOGUE: Rule = Rule {
    name: "reduce-epilogue",
    picture: "f(reduce x, y) => reduce x with epilogue f(_, y)",
    apply: Apply::Node(|graph, node| {
        absorb::into_producer(graph, node, |op| matches!(op, Op::Reduce(_)), false)
    }),
};

/// `f(softmax x, y)   =>   softmax x then f(_, y)`
const SOFTMAX_EPILOGUE: Rule = Rule {
    name: "softmax-epilogue",
    picture: "f(softmax x, y) => softmax x with epilogue f(_, y)",
    apply: Apply::Node(|graph, node| {
        absorb::into_producer(graph, node, |op| matches!(op, Op::Softmax(_)), false)
    }),
};

/// `f(layer_norm(x, s, b), y)   =>   layer_norm(x, s, b) then f(_, y)`
const LAYER_NORM_EPILOGUE: Rule = Rule {
    name: "layer-norm-epilogue",
    picture: "f(layer_norm(x, s, b), y) => layer_norm(x, s, b) with epilogue f(_, y)",
    apply: Apply::Node(|graph, node| {
        absorb::into_producer(graph, node, |op| matches!(op, Op::LayerNorm(_)), false)
    }),
};

/// `f(gather(x, i), y)   =>   gather(x, i) then f(_, y)`
const GATHER_EPILOGUE: Rule = Rule {
    name: "gather-epilogue",
    picture: "f(gather(x, i), y) => gather(x, i) with epilogue f(_, y)",
    apply: Apply::Node(|graph, node| {
        absorb::into_producer(graph, node, |op| matches!(op, Op::Gather(_)), false)
    }),
};

/// Fuses all that the enabled rules allow.
pub fn fuse(mut graph: Graph, options: &Rules) -> (Graph, Report) {
    let report = rule::run(&mut graph, RULES, options);
    (graph, report)
}

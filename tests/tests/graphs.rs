//! Random graphs before and after every rewrite, and on a device. Seeds are fixed; `cargo xtask fuzz-graphs` runs others, and
//! more.

use drift_ir::op::attention::Band;
use drift_ir::op::{BinaryOp, Expand, Pad, PadMode, Pool, PoolKind, ScalarOp};
use drift_ir::{ElementType, Graph, Node, Op, Tensor, ValueDef, ValueId, text};
use drift_tests::graphs::campaign::{Plan, choices_of, limits_of, on_device, rewrites};
use drift_tests::graphs::device::{Checker, Outcome, SETTINGS};
use drift_tests::graphs::effects::Effect;
use drift_tests::graphs::generate::{Case, case};
use drift_tests::graphs::rewrites::compare;
use std::collections::BTreeMap;

#[test]
fn rewrites_keep_what_random_graphs_compute() {
    let done = rewrites(Plan { threads: 2, ..Plan::new(0, 6000) }).unwrap_or_else(|error| panic!("{error}"));
    assert!(done.findings.total() == 0, "{done}");
    let report = done.report;
    // Most graphs are changed by some rule, and few are refused.
    let reached = |stage: &str| report.stages.get(stage).copied().unwrap_or(0);
    assert!(report.graphs > 5000 && reached("simplified") + reached("fused") > 2000, "{report}");
    assert!(reached("refused by the evaluator") < report.graphs / 4, "{report}");
}

/// Faults of kernels that are known, by a part of what the fuzzer says of them. Each goes when it is mended.
const KNOWN: [(&str, &str); 4] = [
    ("is zero: texture", "values without elements have textures"),
    ("expm1", "expm1 ends below infinity"),
    ("= pow ", "a negative base has no fractional power; with halves it gets one"),
    ("group_norm", "a variance of zero without epsilon gives zeros instead of NaN"),
];

#[test]
fn a_device_computes_what_random_graphs_say() {
    let done = on_device(Plan::new(0, 512)).unwrap_or_else(|error| panic!("{error}"));
    let (report, failures) = (&done.report, done.findings.examples().map(ToString::to_string));
    let new: Vec<String> =
        failures.filter(|failure| !KNOWN.iter().any(|(part, _)| failure.contains(part))).collect();
    assert!(new.is_empty(), "{}", new.join("\n"));
    let agrees = report.stages.get("agrees").copied().unwrap_or(0);
    assert!(agrees > report.graphs / 2, "{report}");
}

/// What an optimiser or a driver might fold to zero.
#[test]
fn special_values_times_zero_stay_on_a_device() {
    let graph = text::parse(
        "%x: f32[2,4]\n@z: f32[] = 0.0\n@w: f32[4,4] = splat(1.0)\n%y = mul %x, @z\n%p = matmul %x, @w\n%q = mul @z, %p\n\
         return %y, %q",
    )
    .unwrap_or_else(|error| panic!("{error}"));
    let values = [f32::NAN, 1.0, 2.0, 3.0, f32::INFINITY, 1.0, f32::NEG_INFINITY, 0.0];
    let case = Case { graph, inputs: vec![Tensor::from_f32([2, 4], &values).expect("eight values")] };
    let mut checker = Checker::open().unwrap_or_else(|error| panic!("{error}"));
    for setting in SETTINGS {
        assert_eq!(checker.check_one(&case, setting), Outcome::Agrees, "{setting:?}");
    }
}

/// What a faulty rewrite makes of a node, if it takes it.
type Fault = fn(&Graph, &Node) -> Option<(Op, Vec<ValueId>)>;

/// Faults that rewrites had, or that an optimiser has.
const FAULTS: [(&str, Fault); 7] = [
    ("a pad moves into a pool that rounds up", pad_into_pool),
    ("x + 0 is x", |graph, node| neutral(graph, node, BinaryOp::Add, 0.0, |x, _| (copy(graph, x), x))),
    ("x - -0 is x", |graph, node| neutral(graph, node, BinaryOp::Sub, -0.0, |x, _| (copy(graph, x), x))),
    ("x * 0 is 0", |graph, node| {
        let shape = graph.value(node.outputs[0]).ty.shape.clone();
        neutral(graph, node, BinaryOp::Mul, 0.0, |_, zero| (Op::Expand(Expand { shape }), zero))
    }),
    ("casts of casts lose the one between", |graph, node| {
        let cast = |node: &Node| matches!(node.op, Op::Elementwise(ScalarOp::Cast(_)));
        let inner = graph.node(graph.producer(node.inputs[0])?);
        let (from, between) =
            [inner.inputs[0], node.inputs[0]].map(|value| graph.value(value).ty.element).into();
        let holds = from == ElementType::U8 && between == ElementType::F16;
        let holds = holds || from == ElementType::I32 && between == ElementType::F64;
        let holds = holds || from == ElementType::I8 && between == ElementType::F32;
        (cast(node) && cast(inner) && holds).then(|| (node.op.clone(), inner.inputs.clone()))
    }),
    ("a band is dropped", |_, node| {
        let Op::Attention(mut attention) = node.op.clone() else { return None };
        attention.band = Band::default();
        Some((Op::Attention(attention), node.inputs.clone()))
    }),
    ("a slice of a slice forgets the first", |graph, node| {
        let Op::Slice(_) = &node.op else { return None };
        let inner = graph.node(graph.producer(node.inputs[0])?);
        let same = graph.value(inner.inputs[0]).ty.rank() == graph.value(node.inputs[0]).ty.rank();
        (matches!(inner.op, Op::Slice(_)) && same).then(|| (node.op.clone(), inner.inputs.clone()))
    }),
];

fn copy(graph: &Graph, value: ValueId) -> Op {
    let shape = graph.value(value).ty.shape.clone();
    Op::Expand(Expand { shape })
}

/// Matches `x op c` with a constant of one value, whose sign counts.
fn neutral(
    graph: &Graph,
    node: &Node,
    op: BinaryOp,
    wanted: f64,
    make: impl FnOnce(ValueId, ValueId) -> (Op, ValueId),
) -> Option<(Op, Vec<ValueId>)> {
    let &[x, constant] = &node.inputs[..] else { return None };
    let values = graph.constant(constant)?.to_f64_vec();
    let is_wanted = !values.is_empty() && values.iter().all(|value| value.to_bits() == wanted.to_bits());
    let float = graph.value(x).ty.element.is_float();
    let matches = node.op == Op::Elementwise(ScalarOp::Binary(op)) && is_wanted && float;
    let (made, operand) = matches.then(|| make(x, constant))?;
    Some((made, vec![operand]))
}

/// Zero pads moved into averages, as they were before types were looked at.
fn pad_into_pool(graph: &Graph, node: &Node) -> Option<(Op, Vec<ValueId>)> {
    let Op::Pool(pool) = &node.op else { return None };
    let padded = graph.node(graph.producer(node.inputs[0])?);
    let Op::Pad(Pad { mode: PadMode::Constant(value), pads }) = &padded.op else { return None };
    let (begins, ends) = pads.split_at(pads.len() / 2);
    let outer = begins[..2].iter().chain(&ends[..2]).any(|&pad| pad != 0);
    let fits = matches!(pool.kind, PoolKind::Lp(_) | PoolKind::Average { count_padding: true });
    if outer || !fits || *value != 0.0 || !pool.ceil {
        return None;
    }
    let more = begins[2..].iter().chain(&ends[2..]);
    let pads = pool.pads.iter().zip(more).map(|(own, more)| own + more).collect();
    Some((Op::Pool(Pool { pads, ..pool.clone() }), padded.inputs.clone()))
}

/// The graph with every node that a fault takes made anew; types follow. None where it took none, or nothing fits.
fn faulty(graph: &Graph, fault: Fault) -> Option<Graph> {
    let mut made = Graph::new("");
    let mut ids: BTreeMap<ValueId, ValueId> = BTreeMap::new();
    let mut applied = false;
    for &input in graph.inputs() {
        let value = graph.value(input);
        ids.insert(input, made.add_input(value.name.clone(), value.ty.clone()).ok()?);
    }
    for (id, value) in graph.values() {
        if let ValueDef::Constant(tensor) = &value.def {
            ids.insert(id, made.add_constant(value.name.clone(), tensor.clone()).ok()?);
        }
    }
    for id in graph.nodes() {
        let node = graph.node(id);
        let changed = fault(graph, node);
        applied |= changed.is_some();
        let (op, inputs) = changed.unwrap_or_else(|| (node.op.clone(), node.inputs.clone()));
        let inputs: Vec<ValueId> = inputs.iter().map(|input| ids[input]).collect();
        let name = graph.value(node.outputs[0]).name.clone();
        let added = made.add_node(name.clone(), op, &inputs, [name]).ok()?;
        ids.insert(node.outputs[0], made.node(added).outputs[0]);
    }
    let outputs: Vec<ValueId> = graph.outputs().iter().map(|output| ids[output]).collect();
    made.set_outputs(&outputs).ok()?;
    applied.then_some(made)
}

/// The fuzzer is worth something only if it finds what was once wrong.
#[test]
fn every_known_fault_is_found() {
    let mut missed = Vec::new();
    for (name, fault) in FAULTS {
        let found = (0..40_000).find(|&number| {
            let mut limits = limits_of(number, false, true);
            limits.steps = 3;
            let Some(case) = case(&mut choices_of(7, number), limits) else { return false };
            let Some(rewritten) = faulty(&case.graph, fault) else { return false };
            compare(&case, &rewritten, Effect::Same).is_err()
        });
        match found {
            Some(number) => println!("{name}: graph {number}"),
            None => missed.push(name),
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}

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

#[test]
fn a_device_computes_what_random_graphs_say() {
    let done = on_device(Plan::new(0, 256)).unwrap_or_else(|error| panic!("{error}"));
    assert!(done.findings.total() == 0, "{done}");
    let report = &done.report;
    let agrees = report.stages.get("agrees").copied().unwrap_or(0);
    assert!(agrees > report.graphs / 2, "{report}");
}

/// A graph and its inputs, as random graphs were found with and made small.
fn example(text: &str, inputs: &[&[f64]]) -> Case {
    let graph = text::parse(text).unwrap_or_else(|error| panic!("{error}"));
    let tensor = |(&id, values): (&ValueId, &&[f64])| {
        let ty = &graph.value(id).ty;
        Tensor::from_f64_as(ty.element, ty.static_shape().expect("a fixed shape"), values)
            .expect("as many values")
    };
    let inputs = graph.inputs().iter().zip(inputs).map(tensor).collect();
    Case { graph, inputs }
}

const INF: f64 = f64::INFINITY;

/// What was wrong once, and what an optimiser or a driver might get wrong.
#[test]
fn small_graphs_of_special_values_are_right_on_a_device() {
    let examples = [
        // A product with zero is not zero.
        example(
            "%x: f32[2,4]\n@z: f32[] = 0.0\n@w: f32[4,4] = splat(1.0)\n%y = mul %x, @z\n%p = matmul %x, @w\n%q = mul @z, %p\n\
             return %y, %q",
            &[&[f64::NAN, 1.0, 2.0, 3.0, INF, 1.0, -INF, 0.0]],
        ),
        // Attention of one key, whose weight is one, and of no other.
        example(
            "%q: f32[3,1,1,4]\n%k: f32[3,1,1,4]\n%v: f32[3,1,1,4]\n%s = matmul %q, %k {transpose_b=true}\n\
             %p = softmax %s {axis=3}\n%y = matmul %p, %v\nreturn %y",
            &[&[0.5; 12], &[0.25; 12], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 0.0, 1.0, INF, 2.0]],
        ),
        // What ends at infinity, what has no power, what has no variance, and what has no elements.
        example("%x: f32[4]\n%y = expm1 %x\nreturn %y", &[&[88.9, 100.0, INF, -INF]]),
        example(
            "%x: f32[4]\n%e: f32[4]\n%y = pow %x, %e\nreturn %y",
            &[&[-2.0, -0.5, 2.0, -3.0], &[0.5, 1.5, 0.5, 2.0]],
        ),
        example(
            "%x: f32[1,2,2]\n%s: f32[2]\n%b: f32[2]\n%y = group_norm %x, %s, %b {groups=2, epsilon=0.0}\nreturn %y",
            &[&[3.0, 3.0, 1.0, 2.0], &[1.0, 2.0], &[0.5, 1.0]],
        ),
        example("%x: f32[0,3]\n%y = relu %x\n%z = reduce_sum %y {axes=[0]}\nreturn %y, %z", &[&[]]),
        // Axes that keep their sizes and are moved by half an element.
        example(
            "%x: f32[1,2,2,3]\n%y = resize %x {axes=[0,3], sizes=[2,3], mode=cubic, coefficient=-0.75, \
             exclude_outside=false, coordinates=tf_half_pixel_for_nn}\nreturn %y",
            &[&[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, -1.0, -2.0, -4.0, -8.0, -16.0, -32.0]],
        ),
        // Functions of constants alone that are not finite.
        example("@c: f16[] = -2.5\n%y = sqrt @c\nreturn %y", &[]),
        example(
            "@c: f32[3] = [0.0, 1.0, 2.0]\n@z: f32[] = 0.0\n%y = max @c, @z\n%r = reciprocal @z\nreturn %y, %r",
            &[],
        ),
    ];
    let mut checker = Checker::open().unwrap_or_else(|error| panic!("{error}"));
    for (number, example) in examples.iter().enumerate() {
        for setting in SETTINGS {
            assert_eq!(checker.check_one(example, setting), Outcome::Agrees, "{number} {setting:?}");
        }
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

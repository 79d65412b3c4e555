//! The one way in which rules are tested: text in, text out, and the same numbers before and after.

use super::{Device, Report, Rules, for_device};
use crate::estimate::Decisions;
use crate::profile::GENERIC;
use drift_ir::{ElementType, Graph, Tensor, eval, text, verify};

/// A pass under test.
pub(crate) type Pass = fn(Graph, &Rules) -> (Graph, Report);

/// Runs a pass on `before` and compares with `after`, as printed without node names. The rule must have applied, must
/// not apply when disabled, and both graphs must compute the same.
pub(crate) fn check(pass: Pass, rule: &str, before: &str, after: &str) {
    let graph = parse(before);
    let (rewritten, report) = pass(graph.clone(), &Rules::default());
    verify::verify(&rewritten).unwrap();
    assert_eq!(canonical(&rewritten), canonical(&parse(after)), "{report:#?}");
    assert!(report.count(rule) > 0, "`{rule}` did not apply: {report:#?}");
    let (unchanged, report) = pass(graph.clone(), &Rules::disabling([rule]).unwrap());
    verify::verify(&unchanged).unwrap();
    assert_eq!(report.count(rule), 0);
    same_numbers(&graph, &rewritten);
    same_numbers(&graph, &unchanged);
}

/// Runs a pass and checks only the numbers; gives the report.
pub(crate) fn report_of(pass: Pass, before: &str) -> Report {
    let graph = parse(before);
    let (rewritten, report) = pass(graph.clone(), &Rules::default());
    verify::verify(&rewritten).unwrap();
    same_numbers(&graph, &rewritten);
    report
}

/// A graph from text.
pub(crate) fn parse(source: &str) -> Graph {
    text::parse(source).unwrap_or_else(|error| panic!("{error}\n{source}"))
}

/// Nodes in order, with operands by content instead of by name: what has to be equal for two graphs to be one.
fn canonical(graph: &Graph) -> String {
    let mut names = std::collections::BTreeMap::new();
    for (at, &input) in graph.inputs().iter().enumerate() {
        names.insert(input, format!("in{at}"));
    }
    let mut lines = String::new();
    for id in graph.nodes() {
        let node = graph.node(id);
        let name = |value| match graph.constant(value) {
            Some(tensor) if tensor.len() <= 16 => {
                format!("{}{:?}", tensor.ty().display(&graph.symbols), tensor.to_f32_vec())
            }
            Some(tensor) => {
                format!("{}{:?}..", tensor.ty().display(&graph.symbols), &tensor.to_f32_vec()[..4])
            }
            None => names[&value].clone(),
        };
        let inputs: Vec<String> = node.inputs.iter().map(|&value| name(value)).collect();
        let operands: Vec<String> = node.epilogue.operands.iter().map(|&value| name(value)).collect();
        let result = graph.value(node.outputs[0]);
        let ty = result.ty.display(&graph.symbols);
        lines += &format!("{ty} = {:?} {inputs:?} {:?} {operands:?}\n", node.op, node.epilogue.steps);
        let line = names.len();
        names.insert(node.outputs[0], format!("v{line}"));
    }
    for &output in graph.outputs() {
        let source = graph.constant(output).map_or_else(|| names[&output].clone(), |_| "constant".to_owned());
        lines += &format!("return {} from {source}\n", graph.value(output).name);
    }
    lines
}

/// Evaluates both graphs on three sets of seeded inputs; free dims are 3.
pub(crate) fn same_numbers(a: &Graph, b: &Graph) {
    // A fused value is not rounded to f16 in between.
    let has_f16 = a.values().any(|(_, value)| value.ty.element == ElementType::F16);
    let tolerance = if has_f16 { 4e-3 } else { 1e-5 };
    for seed in 1..4 {
        let inputs: Vec<Tensor> =
            (0_u64..).zip(a.inputs()).map(|(at, &input)| random(a, input, seed * 100 + at)).collect();
        let (expected, found) = (eval::run(a, &inputs).unwrap(), eval::run(b, &inputs).unwrap());
        for (expected, found) in expected.iter().zip(&found) {
            assert_eq!(expected.ty(), found.ty());
            for (x, y) in expected.to_f64_vec().into_iter().zip(found.to_f64_vec()) {
                let close =
                    (x - y).abs() <= tolerance * x.abs().max(1.0) || x == y || (x.is_nan() && y.is_nan());
                assert!(close, "{x} became {y}\n{}", canonical(b));
            }
        }
    }
}

/// Values between -3 and 3, with zeros; indices and bools between 0 and 1.
fn random(graph: &Graph, input: drift_ir::ValueId, seed: u64) -> Tensor {
    let ty = &graph.value(input).ty;
    let shape: Vec<u64> = ty.shape.iter().map(|dim| dim.evaluate(|_| Some(3)).unwrap()).collect();
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / f64::from(1 << 24)
    };
    let values: Vec<f64> = (0..shape.iter().product::<u64>())
        .map(|at| match ty.element {
            ElementType::F32 | ElementType::F16 | ElementType::F64 if at % 7 == 3 => 0.0,
            ElementType::F32 | ElementType::F16 | ElementType::F64 => next() * 6.0 - 3.0,
            _ => (next() * 2.0).floor(),
        })
        .collect();
    Tensor::from_f64_as(ty.element, shape, &values).unwrap()
}

/// A graph as the profile that serves every device has it, all of whose values are buffers.
pub(crate) fn for_generic(graph: Graph) -> (Graph, Report) {
    let decisions = Decisions::of(&graph, &GENERIC, None);
    let device = Device { profile: &GENERIC, decisions: &decisions, buffers: true };
    for_device(graph, &device, &Rules::default())
}

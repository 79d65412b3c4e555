//! What mixed precision keeps of small graphs, and why.

use super::values::Values;
use super::*;
use crate::layout::{Precision, keep_wide};

fn parse(text: &str) -> Graph {
    drift_ir::text::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn strict(graph: &mut Graph) {
    keep_wide(graph, Some(Precision::F16));
}

/// A set of f32 inputs that repeat these numbers.
fn set(graph: &Graph, numbers: &[f32]) -> CalibrationSet {
    let tensor = |&input: &drift_ir::ValueId| {
        let value = graph.value(input);
        let shape = value.ty.static_shape().unwrap();
        let count = shape.iter().product::<u64>() as usize;
        let values: Vec<f32> = (0..count).map(|n| numbers[n % numbers.len()]).collect();
        (value.name.clone(), Tensor::from_f32(shape, &values).unwrap())
    };
    graph.inputs().iter().map(tensor).collect()
}

fn decided(text: &str, numbers: &[f32]) -> MixedReport {
    let mut graph = parse(text);
    let options = Mixed { budget: DEFAULT_BUDGET, sets: vec![set(&graph, numbers)], told: "test".to_owned() };
    keep(&mut graph, "main", &options, strict).unwrap()
}

fn kept(report: &MixedReport) -> Vec<(&str, &str)> {
    report.kept.iter().map(|kept| (kept.value.as_str(), kept.why.kind())).collect()
}

#[test]
fn what_overflows_with_headroom_stays_with_what_is_moved_from_it() {
    let text = "%x: f32[2,4]\n@k: f32[] = 20000.0\n@s: f32[] = 1e-4\n%a = mul %x, @k\n%b = reshape %a {shape=[4,2]}\n%y = mul %b, @s\nreturn %y";
    let report = decided(text, &[1.0, 0.5, -0.25]);
    assert_eq!(kept(&report), [("a", "overflow")]);
    assert_eq!(report.kept_values, 2, "the reshaped one as well: {report:#?}");
    assert!(report.kept[0].why.to_string().contains("2.0000e4"), "{}", report.kept[0].why);
    let small = text.replace("20000.0", "1000.0");
    assert!(kept(&decided(&small, &[1.0, 0.5, -0.25])).is_empty());
}

#[test]
fn what_is_proved_to_fit_needs_no_headroom() {
    let text = "%x: f32[8]\n@k: f32[] = 60000.0\n@s: f32[] = 1e-4\n%t = tanh %x\n%a = mul %t, @k\n%y = mul %a, @s\nreturn %y";
    assert!(kept(&decided(text, &[3.0, -2.0, 0.5, 0.25])).is_empty());
}

#[test]
fn an_amplified_error_is_named_with_what_amplifies_it() {
    // Neighbours of a large number are subtracted from it.
    let text = "%x: f32[1,64]\n@w: f32[64,64] = random(1)\n@o: f32[] = 900.0\n%a = matmul %x, @w epilogue(add @o)\n%m = reduce_mean %a {axes=[1], keep_dims=true}\n\
                %d = sub %a, %m\n%y = mul %d, %d\nreturn %y";
    let report = decided(text, &[0.5, -0.25, 1.0, 0.125, -0.75]);
    let error = report.error.unwrap();
    assert!(error.strict > 1e-2 && error.mixed <= SLACK * report.budget, "{report:#?}");
    let of_a = report.kept.iter().find(|kept| kept.value == "a").expect("a");
    assert!(of_a.why.to_string().contains("`d` (sub) amplifies it"), "{}", of_a.why);
}

#[test]
fn what_makes_infinities_is_found() {
    let text = "%x: f32[8]\n@k: f32[] = 1e-6\n%a = mul %x, @k\n%b = mul %a, @k\n%y = log %b\nreturn %y";
    let report = decided(text, &[1.0, 0.5, 0.75]);
    assert!(report.error.unwrap().mixed <= SLACK * report.budget, "{report:#?}");
    assert!(report.kept.iter().any(|kept| kept.value == "b"), "{report:#?}");
}

#[test]
fn weights_that_f16_loses_stay() {
    let text = "%x: f32[2,4]\n@w: f32[4,4] = splat(1e5)\n@v: f32[4,4] = splat(1e-8)\n@s: f32[] = 1e-5\n%a = matmul %x, @w epilogue(mul @s)\n%b = matmul %a, @v\n\
                @t: f32[] = 1e8\n%y = mul %b, @t\nreturn %y";
    let report = decided(text, &[1.0, 0.5]);
    let named = kept(&report);
    assert!(named.contains(&("w", "overflow")) && named.contains(&("v", "underflow")), "{named:?}");
    assert!(report.kept.iter().any(|kept| kept.node == "a weight"));
}

#[test]
fn the_budget_decides_how_much_stays() {
    let text = "%x: f32[4,32]\n@a: f32[32,32] = random(1)\n@b: f32[32,32] = random(2)\n%1 = matmul %x, @a epilogue(relu)\n%2 = matmul %1, @b\n%y = tanh %2\nreturn %y";
    let mut graph = parse(text);
    let with = |graph: &mut Graph, budget| {
        let sets = vec![set(graph, &[0.3, -0.7, 0.11])];
        keep(graph, "main", &Mixed { budget, sets, told: String::new() }, strict).unwrap()
    };
    let loose = with(&mut graph.clone(), 1e-2);
    let tight = with(&mut graph, 1e-6);
    assert!(loose.kept.is_empty() && tight.kept.len() > 2, "{loose:#?} {tight:#?}");
    assert!(tight.error.unwrap().mixed <= SLACK * 1e-6);
}

#[test]
fn truth_values_are_those_of_f32_and_what_they_are_made_of_counts() {
    let text = "%x: f32[64]\n@o: f32[] = 1000.0\n@z: f32[] = 1000.2\n%a = add %x, @o\n%b = sub %a, @z\n%c = arg_max %b {axis=0}\nreturn %c";
    let report = decided(text, &[0.1, 0.3, 0.2]);
    assert!(report.kept.iter().any(|kept| kept.value == "a"), "{report:#?}");
}

#[test]
fn without_evaluations_bounds_and_rules_decide() {
    let text = "%i: u8[8]\n%x: f32[8]\n@k: f32[] = 300.0\n%f = cast %i {to=f32}\n%a = mul %f, @k\n%b = sqrt %a\n%l = log %x\n%d = add %b, %l\nreturn %d";
    let graph = parse(text);
    let decided = rules::decide(&graph, &Values::of(&graph));
    let named: Vec<(&str, &str)> =
        decided.kept.iter().map(|(&value, why)| (graph.value(value).name.as_str(), why.kind())).collect();
    assert_eq!(named, [("x", "amplified"), ("a", "overflow")]);
    assert_eq!(overflows(&graph).map(|text| text.contains("`a` (up to 76500)")), Some(true));
}

#[test]
fn a_set_that_does_not_fit_is_told() {
    let mut graph = parse("%x: f32[4]\n%y = exp %x\nreturn %y");
    let mut options = Mixed { budget: 1e-3, sets: vec![CalibrationSet::new()], told: "1 set".to_owned() };
    let error = keep(&mut graph, "main", &options, strict).unwrap_err().to_string();
    assert!(error.contains("no input `x`") && error.contains("1 set"), "{error}");
    options.sets = vec![[("x".to_owned(), Tensor::from_f32([4], &[f32::NAN; 4]).unwrap())].into()];
    assert!(matches!(keep(&mut graph, "main", &options, strict), Err(MixedError::NotFinite { .. })));
}

#[test]
fn what_rewrites_make_between_kept_values_is_kept() {
    let mut graph = parse("%x: f32[4]\n%a = exp %x\n%b = tanh %a\n%y = neg %b\nreturn %y");
    let a = graph.value_by_name("a").unwrap();
    graph.keep_single(a);
    graph.share();
    let last = graph.producer(graph.value_by_name("b").unwrap()).unwrap();
    let op = drift_ir::Op::Elementwise(drift_ir::op::ScalarOp::Unary(drift_ir::op::UnaryOp::Abs));
    let node = graph.insert_node_before(last, "part", op, &[a], ["part"]).unwrap();
    let part = graph.node(node).outputs[0];
    spread(&mut graph);
    assert!(graph.is_single(part));
    assert!(!graph.is_single(graph.value_by_name("b").unwrap()), "decided on");
}

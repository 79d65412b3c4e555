//! One case per rule, named like the rule, and cases of what must not be rewritten.

mod data_movement;
mod fused;
mod images;
mod patterns;
mod products;

use super::testing::{check as check_pass, parse, report_of};
use super::{Declined, Rules, simplify};

fn check(rule: &str, before: &str, after: &str) {
    check_pass(simplify, rule, before, after);
}

/// The graph stays as it is.
fn unchanged(source: &str) {
    let (after, report) = simplify(parse(source), &Rules::default());
    assert_eq!(report.applied, [], "{}", drift_ir::text::print(&after));
}

#[test]
fn fold_constants() {
    check(
        "fold-constants",
        "%x: f32[2,3]
         @a: f32[3] = [1.0, 2.0, -4.0]
         @b: f32[3] = [0.5, 0.0, 2.0]
         %c = mul @a, @b
         %d = sub %c, @a
         %y = add %x, %d
         return %y",
        "%x: f32[2,3]
         @d: f32[3] = [-0.5, -2.0, -4.0]
         %y = add %x, @d
         return %y",
    );
}

#[test]
fn folding_stops_where_constants_would_grow() {
    let report = report_of(
        simplify,
        "%x: f32[64,64]
         @a: f32[64,1] = random(3)
         @b: f32[1,64] = random(4)
         %c = add @a, @b
         %y = matmul %x, %c
         return %y",
    );
    let refusal = &report.declined[0];
    assert_eq!((refusal.node.as_str(), refusal.rule), ("c", "fold-constants"));
    assert_eq!(refusal.reason, Declined::WouldGrow { bytes: 16384, limit: 4096 });
}

#[test]
fn scalar_constant() {
    check(
        "scalar-constant",
        "%x: f32[2,5]
         @c: f32[2,5] = splat(0.25)
         %y = mul %x, @c
         return %y",
        "%x: f32[2,5]
         @c: f32[] = 0.25
         %y = mul %x, @c
         return %y",
    );
    // Here the constant's shape decides the result's.
    unchanged(
        "%x: f32[1,5]
         @c: f32[2,1] = splat(0.25)
         %y = mul %x, @c
         return %y",
    );
}

#[test]
fn static_shape() {
    check(
        "static-shape",
        "symbol n: 1..8
         %x: f32[n,5]
         %s = shape_of %x {start=1, end=2}
         %f = cast %s {to=f32}
         %y = mul %x, %f
         return %y",
        "symbol n: 1..8
         %x: f32[n,5]
         @f: f32[1] = [5.0]
         %y = mul %x, @f
         return %y",
    );
}

#[test]
fn identity_arithmetic() {
    check(
        "identity-arithmetic",
        "%x: f32[2,3]
         %c: bool[2,3]
         @zero: f32[1] = [0.0]
         @minus_zero: f32[1] = [-0.0]
         @one: f32[3] = splat(1.0)
         @yes: bool[] = true
         %1 = add @minus_zero, %x
         %2 = sub %1, @zero
         %3 = mul %2, @one
         %4 = div %3, @one
         %5 = pow %4, @one
         %6 = and @yes, %c
         %7 = not %6
         %8 = not %7
         %9 = select %8, %5, @zero
         %y = relu %9
         return %y",
        "%x: f32[2,3]
         %c: bool[2,3]
         @zero: f32[1] = [0.0]
         %9 = select %c, %x, @zero
         %y = relu %9
         return %y",
    );
    // 0 - x and 1 / x are not x, and a constant may be the larger operand.
    unchanged(
        "%x: f32[1,3]
         @zero: f32[] = 0.0
         @ones: f32[2,1] = splat(1.0)
         %1 = sub @zero, %x
         %2 = mul %1, @ones
         return %2",
    );
    // -0 + 0 is 0, and -0 - -0, too.
    unchanged(
        "%x: f32[3]
         @zero: f32[] = 0.0
         @minus_zero: f32[] = -0.0
         %1 = add %x, @zero
         %2 = sub %1, @minus_zero
         return %2",
    );
    check(
        "identity-arithmetic",
        "%x: i32[3]
         @zero: i32[] = 0
         %1 = add %x, @zero
         %y = neg %1
         return %y",
        "%x: i32[3]
         %y = neg %x
         return %y",
    );
}

#[test]
fn a_rule_that_would_change_a_type_is_declined() {
    use super::driver::Driver;
    use super::rule::{Apply, Rule, at};
    use drift_ir::Op;
    use drift_ir::op::{Reshape, Transpose};
    const WRONG: Rule = Rule {
        name: "wrong",
        picture: "relu x => transpose (reshape x), whatever the shape",
        apply: Apply::Node(at::ANY, |graph, node| {
            let x = graph.node(node).inputs[0];
            let shape = graph.value(x).ty.shape.clone();
            let copy = super::edit::insert_before(graph, node, Op::Reshape(Reshape { shape }), &[x])?;
            super::edit::set_op(graph, node, Op::Transpose(Transpose { perm: vec![1, 0] }), &[copy])
        }),
    };
    let mut graph = parse("%x: f32[2,3]\n%1 = relu %x\n%y = neg %1\nreturn %y");
    let before = drift_ir::text::print(&graph);
    let report = Driver::new([WRONG].iter()).run(&mut graph);
    let reasons: Vec<String> = report.declined.iter().map(|declined| declined.reason.to_string()).collect();
    assert_eq!(report.applied, []);
    assert!(reasons[0].contains("`1` is f32[2,3], which the edit would change to f32[3,2]"), "{reasons:?}");
    assert_eq!(drift_ir::text::print(&graph), before);
}

#[test]
fn identity_move() {
    check(
        "identity-move",
        "%x: f32[2,1,5]
         %1 = reshape %x {shape=[2,1,5]}
         %2 = transpose %1 {perm=[0,1,2]}
         %3 = cast %2 {to=f32}
         %4 = slice %3 {axes=[2], starts=[0], counts=[5]}
         %5 = expand %4 {shape=[2,1,5]}
         %6 = concat %5 {axis=1}
         %7 = reduce_max %6 {axes=[1], keep_dims=true}
         %y = exp %7
         return %y",
        "%x: f32[2,1,5]
         %y = exp %x
         return %y",
    );
    unchanged(
        "%x: f32[2,1,5]
         %1 = slice %x {axes=[2], starts=[4], steps=[-1], counts=[5]}
         %2 = reduce_l2 %1 {axes=[1], keep_dims=true}
         return %2",
    );
}

#[test]
fn a_copy_from_input_to_output_stays() {
    let source = "%x: f32[2,3]
         %y = reshape %x {shape=[2,3]}
         return %y";
    unchanged(source);
    let report = report_of(simplify, source);
    assert_eq!(report.declined[0].reason, Declined::GraphOutput { value: "y".to_owned() });
}

#[test]
fn outputs_keep_their_names_when_their_node_goes() {
    let (after, _) = simplify(
        parse(
            "%x: f32[2,3]
             %1 = relu %x
             %result = reshape %1 {shape=[2,3]}
             return %result",
        ),
        &Rules::default(),
    );
    assert_eq!(after.nodes().len(), 1);
    assert_eq!(after.value(after.outputs()[0]).name, "result");
}

#[test]
fn select_known() {
    check(
        "select-known",
        "%m: bool[2,3]
         %a: f32[2,3]
         %b: f32[2,3]
         @no: bool[2,1] = splat(false)
         %1 = or %m, @no
         %2 = select @no, %b, %a
         %y = select %1, %2, %b
         return %y",
        "%m: bool[2,3]
         %a: f32[2,3]
         %b: f32[2,3]
         %y = select %m, %a, %b
         return %y",
    );
}

#[test]
fn reshape_reshape() {
    check(
        "reshape-reshape",
        "%x: f32[2,3,4]
         %1 = reshape %x {shape=[6,4]}
         %2 = reshape %1 {shape=[4,6]}
         return %2",
        "%x: f32[2,3,4]
         %2 = reshape %x {shape=[4,6]}
         return %2",
    );
}

#[test]
fn transpose_transpose() {
    check(
        "transpose-transpose",
        "%x: f32[2,3,4]
         %1 = transpose %x {perm=[1,2,0]}
         %2 = transpose %1 {perm=[0,2,1]}
         return %2",
        "%x: f32[2,3,4]
         %2 = transpose %x {perm=[1,0,2]}
         return %2",
    );
}

#[test]
fn transpose_to_reshape() {
    check(
        "transpose-to-reshape",
        "%x: f32[2,1,4]
         %y = transpose %x {perm=[0,2,1]}
         return %y",
        "%x: f32[2,1,4]
         %y = reshape %x {shape=[2,4,1]}
         return %y",
    );
}

#[test]
fn common_subexpression() {
    check(
        "common-subexpression",
        "%x: f32[2,3]
         %1 = exp %x
         %2 = exp %x
         %3 = neg %1
         %4 = neg %2
         %y = mul %3, %4
         return %y",
        "%x: f32[2,3]
         %1 = exp %x
         %3 = neg %1
         %y = mul %3, %3
         return %y",
    );
}

#[test]
fn equal_constants() {
    check(
        "equal-constants",
        "%x: f32[2,3]
         @a: f32[3] = [1.0, 2.0, 3.0]
         @b: f32[3] = [1.0, 2.0, 3.0]
         %1 = add %x, @a
         %2 = add %x, @b
         %y = mul %1, %2
         return %y",
        "%x: f32[2,3]
         @a: f32[3] = [1.0, 2.0, 3.0]
         %1 = add %x, @a
         %y = mul %1, %1
         return %y",
    );
}

#[test]
fn dead_code() {
    check(
        "dead-code",
        "%x: f32[2,3]
         %1 = exp %x
         %2 = neg %1
         %y = relu %x
         return %y",
        "%x: f32[2,3]
         %y = relu %x
         return %y",
    );
}

#[test]
fn every_rule_has_a_kebab_case_name_of_its_own_and_stands_in_the_document() {
    let document = include_str!("../../../../../docs/rewrite-rules.md");
    let mut names: Vec<&str> = super::rules::all().map(|rule| rule.name).collect();
    for name in &names {
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{name}");
        assert!(document.contains(&format!("| `{name}` |")), "docs/rewrite-rules.md has no row for {name}");
    }
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn an_unknown_rule_is_refused_with_the_names_there_are() {
    let error = Rules::disabling(["gelu"]).unwrap_err().to_string();
    assert!(
        error.starts_with("no rule is named `gelu`; known rules: static-shape, fold-constants"),
        "{error}"
    );
}

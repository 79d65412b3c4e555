//! One case per rule, named like the rule, and one per reason not to fuse.

mod attention;
mod band;
mod images;

use crate::rewrite::testing::{Pass, check as check_pass, parse, report_of, same_numbers};
use crate::rewrite::{Declined, Rules, simplify};
use crate::rewrite::{fuse, takes_epilogue};
use drift_ir::Op;

fn check(rule: &str, before: &str, after: &str) {
    check_pass(fuse, rule, before, after);
}

/// The reason why `rule` declined at `node`.
fn reason(rule: &str, node: &str, source: &str) -> Declined {
    let report = report_of(fuse, source);
    let refusal = report.declined.iter().find(|refusal| refusal.rule == rule && refusal.node == node);
    refusal.unwrap_or_else(|| panic!("{report:#?}")).reason.clone()
}

#[test]
fn elementwise_chain() {
    check(
        "elementwise-chain",
        "%x: f32[2,3,5]
         %b: f32[5]
         @two: f32[] = 2.0
         %1 = add %x, %b
         %2 = tanh %1
         %y = sub @two, %2
         return %y",
        "%x: f32[2,3,5]
         %b: f32[5]
         %y = add %x, %b epilogue(tanh result; sub 2.0, step0)
         return %y",
    );
}

#[test]
fn integers_and_bools_chain_behind_elementwise_producers() {
    check(
        "elementwise-chain",
        "%x: i64[2,3]
         %m: bool[2,1]
         @two: i64[] = 2
         @far: f32[] = -1000.0
         @near: f32[] = 0.0
         %1 = add %x, @two
         %2 = greater %1, %x
         %3 = and %2, %m
         %y = select %3, @near, @far
         return %y",
        "%x: i64[2,3]
         %m: bool[2,1]
         @two: i64[] = 2
         %y = add %x, @two epilogue(greater result, %x; and step0, %m; select step1, 0.0, -1000.0)
         return %y",
    );
}

#[test]
fn diamond() {
    // Hard swish behind a convolution.
    check(
        "diamond",
        "%x: f32[2,3,4,5]
         @w: f32[5,3,3,1] = random(1)
         @three: f32[] = 3.0
         @six: f32[] = 6.0
         %p = conv %x, @w
         %1 = add %p, @three
         %2 = clip %1 {min=0, max=6}
         %3 = mul %p, %2
         %y = div %3, @six
         return %y",
        "%x: f32[2,3,4,5]
         @w: f32[5,3,3,1] = random(1)
         %y = conv %x, @w epilogue(add result, 3.0; clip step0 {min=0, max=6}; mul result, step1; div step2, 6.0)
         return %y",
    );
}

#[test]
fn both_branches_of_a_diamond_merge() {
    check(
        "diamond",
        "%x: f32[2,5]
         %p = softmax %x {axis=1}
         %f = exp %p
         %g = neg %p
         %y = mul %f, %g
         return %y",
        "%x: f32[2,5]
         %y = softmax %x {axis=1} epilogue(exp result; neg result; mul step0, step1)
         return %y",
    );
}

#[test]
fn epilogue_of_conv() {
    // The residual comes from a later node, so the convolution moves behind it.
    check(
        "epilogue",
        "%x: f32[2,3,4,5]
         %z: f32[2,5,2,5]
         @w: f32[5,3,3,1] = random(1)
         %1 = conv %x, @w
         %r = transpose %z {perm=[0,1,2,3]}
         %2 = add %r, %1
         %y = clip %2 {min=0, max=6}
         return %y",
        "%x: f32[2,3,4,5]
         %z: f32[2,5,2,5]
         @w: f32[5,3,3,1] = random(1)
         %r = transpose %z {perm=[0,1,2,3]}
         %y = conv %x, @w epilogue(add %r, result; clip step0 {min=0, max=6})
         return %y",
    );
}

#[test]
fn of_two_convolutions_the_later_absorbs_the_sum() {
    check(
        "epilogue",
        "%x: f32[2,3,4,5]
         @v: f32[5,3,1,1] = random(1)
         @w: f32[5,3,1,1] = random(2)
         %1 = conv %x, @v
         %2 = conv %x, @w
         %y = add %2, %1
         return %y",
        "%x: f32[2,3,4,5]
         @v: f32[5,3,1,1] = random(1)
         @w: f32[5,3,1,1] = random(2)
         %1 = conv %x, @v
         %y = conv %x, @w epilogue(add result, %1)
         return %y",
    );
}

#[test]
fn epilogue_of_matmul() {
    check(
        "epilogue",
        "%a: f32[2,3,5]
         %b: f32[5,7]
         @bias: f32[7] = random(3)
         %1 = matmul %a, %b
         %2 = add %1, @bias
         %y = gelu %2
         return %y",
        "%a: f32[2,3,5]
         %b: f32[5,7]
         @bias: f32[7] = random(3)
         %y = matmul %a, %b epilogue(add result, @bias; gelu step0)
         return %y",
    );
}

#[test]
fn epilogue_of_reduce() {
    check(
        "epilogue",
        "%x: f32[2,3,5]
         @eps: f32[] = 0.001
         %1 = reduce_mean %x {axes=[2], keep_dims=true}
         %2 = abs %1
         %3 = add %2, @eps
         %y = sqrt %3
         return %y",
        "%x: f32[2,3,5]
         %y = reduce_mean %x {axes=[2], keep_dims=true} epilogue(abs result; add step0, 0.0010000000474974513; sqrt step1)
         return %y",
    );
}

#[test]
fn epilogue_of_softmax() {
    check(
        "epilogue",
        "%x: f16[2,3]
         %1 = softmax %x {axis=1}
         %2 = cast %1 {to=f32}
         %y = mul %2, %2
         return %y",
        "%x: f16[2,3]
         %y = softmax %x {axis=1} epilogue(cast result {to=f32}; mul step0, step0)
         return %y",
    );
}

#[test]
fn epilogue_of_layer_norm() {
    check(
        "epilogue",
        "%x: f32[2,5]
         %s: f32[5]
         %1 = layer_norm %x, %s {axis=1, epsilon=0.001}
         %y = add %x, %1
         return %y",
        "%x: f32[2,5]
         %s: f32[5]
         %y = layer_norm %x, %s {axis=1, epsilon=0.001} epilogue(add %x, result)
         return %y",
    );
}

#[test]
fn epilogue_of_rms_norm() {
    check(
        "epilogue",
        "%x: f16[2,5]
         %s: f16[5]
         %1 = rms_norm %x, %s {axis=1, epsilon=0.001}
         %y = cast %1 {to=f32}
         return %y",
        "%x: f16[2,5]
         %s: f16[5]
         %y = rms_norm %x, %s {axis=1, epsilon=0.001} epilogue(cast result {to=f32})
         return %y",
    );
}

#[test]
fn an_operand_that_repeats_within_merged_axes_stays_outside() {
    let source = "%x: f32[2,3,5]
         %z: f32[3,5]
         %p = softmax %x {axis=2}
         %y = add %p, %z
         return %y";
    let expected = Declined::PartialBroadcast { value: "z".to_owned(), op: "softmax" };
    assert_eq!(reason("epilogue", "y", source), expected);
}

#[test]
fn epilogue_of_gather() {
    check(
        "epilogue",
        "%t: f32[2,5]
         %i: i64[3]
         %p: f32[3,5]
         %1 = gather %t, %i {axis=0}
         %y = add %1, %p
         return %y",
        "%t: f32[2,5]
         %i: i64[3]
         %p: f32[3,5]
         %y = gather %t, %i {axis=0} epilogue(add result, %p)
         return %y",
    );
}

#[test]
fn a_value_with_other_readers_stays_materialised() {
    let several = "%x: f32[2,5]
         %p = softmax %x {axis=1}
         %y = exp %p
         %z = transpose %p {perm=[1,0]}
         return %y, %z";
    assert_eq!(reason("epilogue", "y", several), Declined::SeveralUsers { value: "p".to_owned(), users: 2 });
    let output = "%x: f32[2,5]
         %p = softmax %x {axis=1}
         %y = exp %p
         return %y, %p";
    assert_eq!(reason("epilogue", "y", output), Declined::GraphOutput { value: "p".to_owned() });
}

#[test]
fn a_result_that_is_broadcast_is_not_recomputed_per_element() {
    let source = "%x: f32[2,5]
         %m = reduce_sum %x {axes=[1], keep_dims=true}
         %y = sub %x, %m
         return %y";
    let expected = Declined::ShapeDiffers { expected: "f32[2,5]".to_owned(), found: "f32[2,1]".to_owned() };
    assert_eq!(reason("epilogue", "y", source), expected);
}

#[test]
fn a_dispatch_stays_within_its_bindings() {
    let mut source = "%a: f32[2,3]\n%b: f32[3,5]\n".to_owned();
    for at in 0..5 {
        source += &format!("%e{at}: f32[2,5]\n");
    }
    source += "%s0 = matmul %a, %b\n";
    for at in 0..5 {
        source += &format!("%s{} = add %s{at}, %e{at}\n", at + 1);
    }
    source += "return %s5";
    assert_eq!(reason("epilogue", "s5", &source), Declined::TooManyOperands { operands: 5, limit: 4 });
}

#[test]
fn types_that_an_epilogue_cannot_carry_are_refused() {
    let bytes = "%x: u8[2,5]
         %1 = add %x, %x
         %y = mul %1, %x
         return %y";
    assert_eq!(reason("elementwise-chain", "y", bytes), Declined::ElementType { element: "u8" });
    let compared = "%x: f32[2,5]
         @c: f32[] = 0.1
         %1 = softmax %x {axis=1}
         %y = greater %1, @c
         return %y";
    assert_eq!(reason("epilogue", "y", compared), Declined::ElementType { element: "bool" });
}

#[test]
fn ops_that_only_move_data_take_no_epilogue() {
    let graph = parse(
        "%x: f32[2,5]
         %y = transpose %x {perm=[1,0]}
         return %y",
    );
    let op: Option<&Op> = graph.nodes().next().map(|id| &graph.node(id).op);
    assert_eq!(takes_epilogue(op.unwrap()), Err(Declined::NoEpilogue { op: "transpose" }));
}

#[test]
fn the_fused_node_stands_for_all_it_took_in() {
    let (after, _) = fuse(
        parse(
            "%a: f32[2,3]
             %b: f32[3,5]
             %1 = matmul %a, %b
             %2 = relu %1
             %last = neg %2
             return %last",
        ),
        &Rules::default(),
    );
    let node = after.nodes().next().map(|id| after.node(id)).unwrap();
    assert_eq!(node.origins, ["1", "2", "last"]);
    assert_eq!(after.value(node.outputs[0]).name, "last");
}

/// A graph of random element-wise nodes, reductions and movements over `f32[2,3,5]` and shapes that broadcast to it.
fn random_graph(seed: u64) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut below = |limit: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % limit
    };
    let mut source = "%x: f32[2,3,5]
         %z: f32[3,5]
         %n: f32[2,1,1]
         @one: f32[] = 1.0
         @zero: f32[5] = splat(0.0)
         @half: f32[3,1] = splat(0.5)
         @c: f32[5] = random(7)
         @s: f32[5] = random(8)\n"
        .to_owned();
    let mut full = vec!["%x".to_owned()];
    for at in 0..14 {
        let a = full[below(full.len())].clone();
        let b = match below(3) {
            0 => full[below(full.len())].clone(),
            1 => full[full.len() - 1].clone(),
            _ => ["%z", "%n", "@one", "@zero", "@half", "@c"][below(6)].to_owned(),
        };
        source += &match below(16) {
            0..3 => format!("%v{at} = add {a}, {b}\n"),
            3..5 => format!("%v{at} = mul {b}, {a}\n"),
            5 => format!("%v{at} = sub {a}, {b}\n"),
            6 => format!("%v{at} = tanh {a}\n"),
            7 => format!("%t{at} = sigmoid {a}\n%v{at} = mul %t{at}, {a}\n"),
            8 => format!("%v{at} = clip {a} {{min=-1, max=2}}\n"),
            9 => format!("%t{at} = less {a}, {b}\n%v{at} = select %t{at}, {b}, {a}\n"),
            10 => format!("%v{at} = softmax {a} {{axis={}}}\n", below(3)),
            11 => format!("%v{at} = layer_norm {a}, @s {{axis=2, epsilon=0.01}}\n"),
            12 => {
                format!("%t{at} = reduce_mean {a} {{axes=[1], keep_dims=true}}\n%v{at} = sub {a}, %t{at}\n")
            }
            13 => {
                format!("%t{at} = reshape {a} {{shape=[6,5]}}\n%v{at} = reshape %t{at} {{shape=[2,3,5]}}\n")
            }
            14 => format!(
                "%t{at} = transpose {a} {{perm=[2,0,1]}}\n%v{at} = transpose %t{at} {{perm=[1,2,0]}}\n"
            ),
            _ => format!("%v{at} = relu {a}\n"),
        };
        full.push(format!("%v{at}"));
    }
    source + &format!("return {}, %v13", full[1 + below(12)])
}

#[test]
fn random_graphs_compute_the_same_after_both_passes() {
    let both: Pass = |graph, rules| fuse(simplify(graph, rules).0, rules);
    let mut fused = 0;
    for seed in 0..200 {
        fused += report_of(both, &random_graph(seed)).applied.len();
    }
    assert!(fused > 300, "{fused} rewrites");
}

#[test]
fn random_graphs_compute_the_same_without_any_one_rule() {
    use crate::rewrite::rules::{ALWAYS, FUSE, SIMPLIFY};
    let rules = SIMPLIFY.iter().chain(FUSE).filter(|rule| !ALWAYS.contains(&rule.name));
    for (seed, rule) in (1000..).zip(rules) {
        let graph = parse(&random_graph(seed));
        let rules = Rules::disabling([rule.name]).unwrap();
        let (rewritten, _) = fuse(simplify(graph.clone(), &rules).0, &rules);
        same_numbers(&graph, &rewritten);
    }
}

#[test]
fn a_second_run_finds_nothing() {
    for seed in 2000..2050 {
        let rules = Rules::default();
        let (graph, _) = simplify(parse(&random_graph(seed)), &rules);
        let (graph, report) = simplify(graph, &rules);
        assert_eq!(report.applied, [], "seed {seed}");
        let (graph, _) = fuse(graph, &rules);
        assert_eq!(fuse(graph, &rules).1.applied, [], "seed {seed}");
    }
}

#[test]
fn a_chain_of_a_thousand_nodes_is_as_few_as_their_steps_allow() {
    let mut source = "%v0: f32[2,5]\n".to_owned();
    for at in 1..1000 {
        source += &format!("%v{at} = {} %v{}\n", ["tanh", "neg", "relu"][at % 3], at - 1);
    }
    let (after, _) = fuse(parse(&(source + "return %v999")), &Rules::default());
    let steps: Vec<usize> = after.nodes().map(|id| 1 + after.node(id).epilogue.steps.len()).collect();
    assert_eq!(steps, [257, 257, 257, 228]);
}

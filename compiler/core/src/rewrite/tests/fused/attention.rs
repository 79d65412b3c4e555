//! Attention in the spellings of exporters, and where it stays what it is.

use super::{check, reason};
use crate::rewrite::attention::written_out::write_out_all;
use crate::rewrite::testing::{check as check_pass, for_generic, parse, same_numbers};
use crate::rewrite::{Declined, Rules, fuse, simplify};
use drift_ir::{Graph, Op};

const OPERANDS: &str = "%q: f32[2,3,4,5]\n%k: f32[2,3,6,5]\n%v: f32[2,3,6,7]\n%m: f32[2,1,1,6]\n";

fn both(graph: Graph, rules: &Rules) -> (Graph, crate::rewrite::Report) {
    fuse(simplify(graph, rules).0, rules)
}

#[test]
fn attention() {
    check(
        "attention",
        &format!(
            "{OPERANDS}@s: f32[] = 0.5\n%1 = matmul %q, %k {{transpose_b=true}}\n%2 = mul %1, @s\n%3 = add %2, %m\n\
             %4 = softmax %3 {{axis=3}}\n%y = matmul %4, %v\nreturn %y"
        ),
        &format!("{OPERANDS}%y = attention %q, %k, %v scores(mul 0.5; add %m)\nreturn %y"),
    );
}

#[test]
fn attention_with_the_scale_on_both_factors_or_as_a_divisor() {
    let wanted = |scale: &str| {
        format!("{OPERANDS}%y = attention %q, %k, %v {{k=[0,1,2,3]}} scores({scale})\nreturn %y")
    };
    let spellings = [
        ("%1 = mul %q, @s\n%2 = mul %k, @s\n%3 = matmul %1, %2 {transpose_b=true}", "mul 0.25"),
        ("%2 = matmul %q, %k {transpose_b=true}\n%3 = div %2, @s", "div 0.5"),
    ];
    for (scores, scale) in spellings {
        check_pass(
            both,
            "attention",
            &format!(
                "{OPERANDS}@s: f32[] = 0.5\n{scores}\n%4 = softmax %3 {{axis=3}}\n%y = matmul %4, %v\nreturn %y"
            ),
            &wanted(scale),
        );
    }
}

#[test]
fn attention_with_a_condition_and_nans_replaced() {
    check(
        "attention",
        &format!(
            "{OPERANDS}%c: bool[4,6]\n@low: f32[] = -inf\n@zero: f32[] = 0.0\n%1 = matmul %q, %k {{transpose_b=true}}\n\
             %2 = select %c, %1, @low\n%3 = softmax %2 {{axis=3}}\n%4 = is_nan %3\n%5 = select %4, @zero, %3\n\
             %y = matmul %5, %v\nreturn %y"
        ),
        &format!(
            "{OPERANDS}%c: bool[4,6]\n@low: f32[] = -inf\n\
             %y = attention %q, %k, %v {{unseen_is_zero=true}} scores(select %c, result, @low)\nreturn %y"
        ),
    );
}

#[test]
fn attention_in_f16_whose_softmax_is_cast() {
    check(
        "attention",
        "%q: f16[2,3,4,5]\n@s: f32[] = 0.5\n%1 = matmul %q, %q {transpose_b=true}\n%2 = cast %1 {to=f32}\n\
         %3 = mul %2, @s\n%4 = softmax %3 {axis=3}\n%5 = cast %4 {to=f16}\n%y = matmul %5, %q\nreturn %y",
        "%q: f16[2,3,4,5]\n%y = attention %q, %q, %q scores(cast {to=f32}; mul 0.5)\nreturn %y",
    );
}

#[test]
fn attention_of_rank_three() {
    check(
        "attention",
        "%q: f32[8,4,5]\n%k: f32[8,6,5]\n%1 = matmul %q, %k {transpose_b=true}\n%2 = softmax %1 {axis=2}\n\
         %y = matmul %2, %k\nreturn %y",
        "%q: f32[8,4,5]\n%k: f32[8,6,5]\n%1 = reshape %q {shape=[1,8,4,5]}\n%2 = reshape %k {shape=[1,8,6,5]}\n\
         %3 = reshape %k {shape=[1,8,6,5]}\n%4 = attention %1, %2, %3\n%y = reshape %4 {shape=[8,4,5]}\nreturn %y",
    );
}

#[test]
fn attention_stays_where_others_read_scores_or_weights() {
    let graph = |returned: &str| {
        format!(
            "{OPERANDS}%1 = matmul %q, %k {{transpose_b=true}}\n%2 = softmax %1 {{axis=3}}\n%y = matmul %2, %v\n\
             return %y, {returned}"
        )
    };
    for value in ["1", "2"] {
        let refusal = reason("attention", "y", &graph(&format!("%{value}")));
        assert_eq!(refusal, Declined::GraphOutput { value: value.to_owned() });
    }
}

#[test]
fn attention_absorbs_transpose() {
    check(
        "attention-absorbs-transpose",
        "%q: f32[2,4,3,5]\n%k: f32[6,2,3,5]\n%1 = transpose %q {perm=[0,2,1,3]}\n%2 = transpose %k {perm=[1,2,0,3]}\n\
         %3 = transpose %k {perm=[1,2,3,0]}\n%y = attention %1, %2, %2\n%z = attention %1, %3, %2 {k=[0,1,3,2]}\n\
         return %y, %z",
        "%q: f32[2,4,3,5]\n%k: f32[6,2,3,5]\n%1 = transpose %q {perm=[0,2,1,3]}\n%2 = transpose %k {perm=[1,2,0,3]}\n\
         %y = attention %1, %2, %2\n%z = attention %1, %k, %2 {k=[1,2,0,3]}\nreturn %y, %z",
    );
}

#[test]
fn attention_absorbs_transposes_behind_axes_of_size_one() {
    check(
        "attention-absorbs-transpose",
        "%q: f32[1,1,4,5]\n%k: f32[1,6,5]\n%1 = transpose %k {perm=[0,2,1]}\n%2 = reshape %1 {shape=[1,1,5,6]}\n\
         %3 = reshape %k {shape=[1,1,6,5]}\n%y = attention %q, %2, %3 {k=[0,1,3,2]}\nreturn %y",
        "%q: f32[1,1,4,5]\n%k: f32[1,6,5]\n%3 = reshape %k {shape=[1,1,6,5]}\n%2 = reshape %k {shape=[1,1,6,5]}\n\
         %y = attention %q, %2, %3 {k=[0,1,2,3]}\nreturn %y",
    );
}

#[test]
fn attention_absorbs_repeat() {
    check(
        "attention-absorbs-repeat",
        "%q: f32[2,6,4,5]\n%k: f32[2,3,1,7,5]\n%v: f32[2,3,1,7,6]\n%1 = expand %k {shape=[2,3,2,7,5]}\n\
         %2 = reshape %1 {shape=[2,6,7,5]}\n%3 = expand %v {shape=[2,3,2,7,6]}\n%4 = reshape %3 {shape=[2,6,7,6]}\n\
         %y = attention %q, %2, %4 scores(mul 0.5)\nreturn %y",
        "%q: f32[2,6,4,5]\n%k: f32[2,3,1,7,5]\n%v: f32[2,3,1,7,6]\n%1 = reshape %k {shape=[2,3,7,5]}\n\
         %2 = reshape %v {shape=[2,3,7,6]}\n%y = attention %q, %1, %2 scores(mul 0.5)\nreturn %y",
    );
}

#[test]
fn attention_writes_transposed() {
    check(
        "attention-writes-transposed",
        "%q: f32[2,3,4,5]\n%1 = attention %q, %q, %q\n%2 = reshape %1 {shape=[6,4,5]}\n%3 = reshape %2 {shape=[2,3,4,5]}\n\
         %y = transpose %3 {perm=[0,2,1,3]}\nreturn %y",
        "%q: f32[2,3,4,5]\n%y = attention %q, %q, %q {y=[0,2,1,3]}\nreturn %y",
    );
}

#[test]
fn attention_written_out_computes_the_same() {
    let graphs = [
        format!("{OPERANDS}%y = attention %q, %k, %v {{y=[0,2,1,3]}} scores(mul 0.5; add %m)\nreturn %y"),
        "%q: f32[4,2,6,5]\n%k: f32[2,2,5,7]\n%v: f32[2,2,7,3]\n%c: bool[4,7]\n@low: f32[] = -inf\n\
         %y = attention %q, %k, %v {q=[1,2,0,3], k=[0,1,3,2], unseen_is_zero=true} scores(select %c, result, @low) \
         epilogue(relu)\nreturn %y"
            .to_owned(),
        "%q: f16[1,4,3,8]\n%k: f16[1,2,3,8]\n%y = attention %q, %k, %k scores(cast {to=f32}; mul 0.5)\nreturn %y"
            .to_owned(),
    ];
    for text in graphs {
        let graph = parse(&text);
        let mut written = graph.clone();
        // Small sizes: two products around a softmax are estimated to be faster than a kernel for so few rows.
        let decisions = write_out_all(&mut written).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(decisions, 1);
        assert!(written.nodes().all(|id| !matches!(written.node(id).op, Op::Attention(_))));
        drift_ir::verify::verify(&written).unwrap_or_else(|error| panic!("{error}"));
        same_numbers(&graph, &written);
    }
}

#[test]
fn attention_without_a_kernel_is_written_out_with_its_reason() {
    let text = "%q: f32[1,4,2,512]\n%k: f32[1,2,8,512]\n%y = attention %q, %k, %k\nreturn %y";
    let (graph, report) = for_generic(parse(text));
    let applied = &report.applied[0];
    assert_eq!(applied.rule, "attention-without-kernel");
    assert!(applied.why.contains("512 and 512 channels are too many"), "{applied:?}");
    assert!(graph.nodes().all(|id| !matches!(graph.node(id).op, Op::Attention(_))));
}

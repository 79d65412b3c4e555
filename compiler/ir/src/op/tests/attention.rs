//! Attention: its result type, its text, and its numbers against the ops that it stands for.

use super::{inferred, refused};
use crate::eval;
use crate::tensor::Tensor;
use crate::text::{parse, print};

#[test]
fn attention_finds_sizes_on_the_axes_that_it_is_given() {
    let graph = |attributes: &str| {
        format!(
            "%q: f16[b,77,8,40]\n%k: f16[b,2,s,40]\n%v: f16[b,2,s,6]\n%1 = attention %q, %k, %v {attributes}"
        )
    };
    assert_eq!(inferred(&graph("{q=[0,2,1,3]}")), "f16[b,8,77,6]");
    assert_eq!(inferred(&graph("{q=[0,2,1,3], y=[0,2,1,3]}")), "f16[b,77,8,6]");
    refused(&graph("{q=[0,2,1,1]}"), "each of 0 to 3 once");
    refused(&graph("{q=[0,1,2]}"), "does not name four axes");
    refused(&graph(""), "a number of heads that divides");
    refused("%q: f32[1,2,3,4]\n%k: f32[1,2,5,3]\n%1 = attention %q, %k, %k", "4 channels");
    refused("%q: f32[1,2,3,4]\n%k: f16[1,2,5,4]\n%1 = attention %q, %k, %k", "f32 like operand 0");
    refused("%q: f32[2,3,4]\n%1 = attention %q, %q, %q", "rank 4");
    refused("%q: f32[3,2,3,4]\n%k: f32[2,2,5,4]\n%1 = attention %q, %k, %k", "one for all");
    refused("%q: f32[1,2,3,4]\n%m: f32[2]\n%1 = attention %q, %q, %q scores(add %m)", "broadcast");
    refused("%q: f32[1,2,3,4]\n%1 = attention %q, %q, %q scores(is_nan)", "end in a float");
}

#[test]
fn attention_prints_as_it_stands() {
    let text = "\
%q: f32[1,4,2,8]
%m: bool[1,1,4,4]
@low: f32[] = -inf
%1: f32[1,4,2,8] = attention %q, %q, %q {q=[0,2,1,3], k=[0,2,1,3], v=[0,2,1,3], y=[0,2,1,3], unseen_is_zero=true} scores(mul 0.5; select %m, step0, @low) epilogue(relu)
return %1
";
    let graph = parse(text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(print(&graph), text);
}

fn run(text: &str) -> Vec<Tensor> {
    let graph = parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    crate::verify::verify(&graph).unwrap();
    eval::run(&graph, &[]).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[test]
fn attention_is_two_products_around_a_softmax() {
    let outputs = run("\
@q: f32[2,3,4,5] = random(1)
@k: f32[2,3,6,5] = random(2)
@v: f32[2,3,6,7] = random(3)
@m: f32[2,1,4,6] = random(4)
%1 = attention @q, @k, @v scores(mul 0.5; add @m)
%2 = matmul @q, @k {transpose_b=true} epilogue(mul 0.5; add @m)
%3 = softmax %2 {axis=3}
%4 = matmul %3, @v
%5 = transpose @q {perm=[3,0,2,1]}
%6 = attention %5, @k, @v {q=[1,3,2,0], y=[0,2,1,3]} scores(mul 0.5; add @m)
%7 = transpose %6 {perm=[0,2,1,3]}
return %1, %4, %7");
    let [fused, plain, moved] = [0, 1, 2].map(|at: usize| outputs[at].to_f64_vec());
    assert_eq!(fused, moved);
    assert!(fused.iter().zip(&plain).all(|(a, b)| (a - b).abs() < 1e-6), "{fused:?}\n{plain:?}");
}

#[test]
fn heads_of_queries_share_heads_of_keys_in_order() {
    let outputs = run("\
@q: f32[1,4,3,5] = random(1)
@k: f32[1,2,1,6,5] = random(2)
%1 = reshape @k {shape=[1,2,6,5]}
%2 = attention @q, %1, %1
%3 = expand @k {shape=[1,2,2,6,5]}
%4 = reshape %3 {shape=[1,4,6,5]}
%5 = attention @q, %4, %4
return %2, %5");
    assert_eq!(outputs[0].to_f64_vec(), outputs[1].to_f64_vec());
}

#[test]
fn a_query_that_sees_no_key_gives_nan_or_zeros() {
    let unseen = |attributes: &str| {
        let outputs = run(&format!(
            "@q: f32[1,1,2,3] = random(1)\n@m: bool[2,1] = [false, true]\n@low: f32[] = -inf\n\
             %1 = attention @q, @q, @q {attributes} scores(select @m, result, @low)\nreturn %1"
        ));
        outputs[0].to_f64_vec()
    };
    assert!(unseen("")[..3].iter().all(|value| value.is_nan()));
    assert_eq!(unseen("{unseen_is_zero=true}")[..3], [0.0; 3]);
    assert!(unseen("{unseen_is_zero=true}")[3..].iter().all(|value| value.is_finite()));
}

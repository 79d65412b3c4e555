//! Compile time is in proportion to the number of nodes, whatever their shape.

use super::compile;
use crate::options::{CompileOptions, ModelIdentity};
use drift_bundle::manifest::Target;
use drift_ir::{Graph, text};
use std::time::{Duration, Instant};

/// Blocks of the smaller model.
const FEW: usize = 150;

/// How many times as many the larger one has.
const TIMES: usize = 4;

/// How many times as long that may take: a machine has other work too, and a square would be sixteen.
const MOST: u32 = 9;

/// How often each is measured, since others interrupt.
const TURNS: usize = 3;

/// A model of `count` blocks between its inputs and its results.
fn graph(inputs: &str, count: usize, block: impl Fn(usize) -> String, results: &str) -> Graph {
    let blocks: String = (0..count).map(block).collect();
    text::parse(&format!("{inputs}\n{blocks}return {results}")).unwrap_or_else(|error| panic!("{error}"))
}

/// The time from a graph to a bundle's bytes.
fn time(graph: &Graph) -> Duration {
    let profiles = vec!["generic".to_owned()];
    let options = CompileOptions { targets: vec![Target::Metal], profiles, ..CompileOptions::default() };
    let identity = ModelIdentity { name: String::new(), hash: String::new() };
    let start = Instant::now();
    let compiled = compile(graph.clone(), identity, &options).expect("it compiles");
    compiled.bundle.to_bytes().expect("a bundle");
    start.elapsed()
}

fn assert_linear(of: impl Fn(usize) -> Graph) {
    let (small, large) = (of(FEW), of(FEW * TIMES));
    let least = |graph| (0..TURNS).map(|_| time(graph)).min().unwrap_or_default();
    let (few, many) = (least(&small), least(&large));
    assert!(many < few * MOST, "{few:?} for {FEW} blocks, {many:?} for {TIMES} times as many");
}

#[test]
fn products_beside_each_other() {
    let block = |at: usize| format!("@w{at}: f32[64,8] = random({at})\n%y{at} = matmul %x, @w{at}\n");
    let results = |count: usize| (0..count).map(|at| format!("%y{at}")).collect::<Vec<_>>().join(", ");
    assert_linear(|count| graph("%x: f32[4,64]", count, block, &results(count)));
}

#[test]
fn a_chain_of_functions() {
    let block = |at: usize| format!("%y{} = tanh %y{at}\n", at + 1);
    assert_linear(|count| graph("%y0: f32[4,64]", 8 * count, block, &format!("%y{}", 8 * count)));
}

#[test]
fn a_chain_of_products_around_which_results_are_added() {
    let block = |at: usize| {
        format!(
            "%a{at} = matmul %y{at}, @u\n%b{at} = matmul %y{at}, @v\n%c{at} = add %a{at}, %b{at}\n\
             %y{} = add %c{at}, %y{at}\n",
            at + 1
        )
    };
    let inputs = "%y0: f32[4,64]\n@u: f32[64,64] = random(1)\n@v: f32[64,64] = random(2)";
    assert_linear(|count| graph(inputs, count, block, &format!("%y{count}")));
}

#[test]
fn a_chain_of_concatenations() {
    let block = |at: usize| {
        format!(
            "%a{at} = conv %y{at}, @u\n%b{at} = conv %a{at}, @u\n%c{at} = concat %a{at}, %b{at} {{axis=1}}\n\
             %y{} = conv %c{at}, @v\n",
            at + 1
        )
    };
    let inputs = "%y0: f32[1,8,8,8]\n@u: f32[8,8,1,1] = random(1)\n@v: f32[8,16,1,1] = random(2)";
    assert_linear(|count| graph(inputs, count, block, &format!("%y{count}")));
}

/// Each has a shader of its own, since the scales differ.
#[test]
fn scaled_softmaxes_beside_each_other() {
    let block = |at: usize| {
        let scale = 0.5 + at as f32 / 1024.0;
        format!("@s{at}: f32[] = {scale}\n%a{at} = mul %x, @s{at}\n%y{at} = softmax %a{at} {{axis=1}}\n")
    };
    let results = |count: usize| (0..count).map(|at| format!("%y{at}")).collect::<Vec<_>>().join(", ");
    assert_linear(|count| graph("%x: f32[4,64]", count, block, &results(count)));
}

//! What a decoder does around its cache in one dispatch: queries and keys turn, keys and values go into states. Each graph on every
//! device, in both precisions, against the evaluator, and whether the dispatches are those that are meant.

use drift_bundle::manifest::Target;
use drift_compiler::{CompileOptions, LayoutChoice, Precision, Stage, WeightsChoice, emit_stage};
use drift_tests::conformance::{self, Outcome, Setting, on_opencl, on_vulkan, on_webgpu};

/// A graph, the kernels of its program in order, and what is hard about it.
struct Steps {
    what: &'static str,
    kernels: &'static [&'static str],
    graph: String,
}

/// Queries, keys and values of one packed tensor with `heads` and `kv` heads of `channels`, `rows` new rows in a state of 9.
fn packed(
    (heads, kv, channels, rows): (u64, u64, u64, u64),
    rotary: &str,
    angles: u64,
    first: i64,
    circular: bool,
) -> String {
    let all = heads + 2 * kv;
    let part = |name: &str, start: u64, count: u64| {
        format!(
            "%{name}s = slice %x {{axes=[2], starts=[{start}], steps=[1], counts=[{count}]}}\n\
             %{name} = transpose %{name}s {{perm=[0,2,1,3]}}\n"
        )
    };
    format!(
        "%x: f32[1,{rows},{all},{channels}]\n%c: f32[1,1,{rows},{angles}]\n%s: f32[1,1,{rows},{angles}]\n\
         %ks: f32[1,{kv},9,{channels}]\n%vs: f32[1,{kv},9,{channels}]\n@p: i32[1] = [{first}]\n{}{}{}\
         %q = rotary %aq, %c, %s {{{rotary}}}\n%kr = rotary %ak, %c, %s {{{rotary}}}\n\
         %kn = write_rows %ks, %kr, @p {{axis=2, circular={circular}}}\n\
         %vn = write_rows %vs, %av, @p {{axis=2, circular={circular}}}\n\
         return %q, %kn, %vn\nstate %ks = %kn\nstate %vs = %vn",
        part("aq", 0, heads),
        part("ak", heads, kv),
        part("av", heads + kv, kv),
    )
}

/// The three from tensors of their own, for two batches whose places differ.
fn apart(first: [i64; 2]) -> String {
    let [a, b] = first;
    format!(
        "%aq: f32[2,4,2,12]\n%ak: f32[2,2,2,12]\n%av: f32[2,2,2,10]\n%c: f32[2,1,2,5]\n%s: f32[2,1,2,5]\n\
         %ks: f32[2,2,7,12]\n%vs: f32[2,2,7,10]\n@p: i32[2] = [{a},{b}]\n\
         %q = rotary %aq, %c, %s {{turned=10}}\n%kr = rotary %ak, %c, %s {{turned=10}}\n\
         %kn = write_rows %ks, %kr, @p {{axis=2}}\n%vn = write_rows %vs, %av, @p {{axis=2}}\n\
         return %q, %kn, %vn\nstate %ks = %kn\nstate %vs = %vn"
    )
}

const ONE: &[&str] = &["rotary_cache"];

fn all() -> Vec<Steps> {
    let steps = |what, kernels, graph| Steps { what, kernels, graph };
    vec![
        steps("a token", ONE, packed((4, 2, 16, 1), "turned=16", 8, 4, false)),
        steps("angles of channels", ONE, packed((2, 1, 64, 1), "turned=64", 64, 8, false)),
        steps("neighbours", ONE, packed((4, 4, 16, 1), "turned=16, interleaved=true", 8, 0, false)),
        steps("a part of the channels", ONE, packed((4, 2, 16, 1), "turned=6", 3, 7, false)),
        steps("a chunk", ONE, packed((4, 2, 16, 3), "turned=8", 4, 2, false)),
        steps("behind the last row", ONE, packed((4, 2, 16, 4), "turned=16", 8, 7, false)),
        steps("before the first row", ONE, packed((2, 2, 8, 3), "turned=8", 4, -2, false)),
        steps("around", ONE, packed((2, 1, 16, 4), "turned=16", 16, 7, true)),
        steps("two batches apart", &["write_rows_in_place", "rotary_cache"], apart([5, -1])),
        steps(
            "keys that others read",
            &["rotary", "rotary", "write_rows_in_place", "write_rows_in_place", "elementwise"],
            packed((4, 2, 16, 1), "turned=16", 8, 4, false)
                .replace("return %q,", "%e = tanh %kr\nreturn %e, %q,"),
        ),
        steps(
            "other angles",
            &["rotary", "rotary", "write_rows_in_place", "write_rows_in_place"],
            packed((4, 2, 16, 1), "turned=16", 8, 4, false)
                .replace("%q = rotary %aq, %c, %s", "%q = rotary %aq, %s, %c"),
        ),
    ]
}

fn kernels(graph: &str, profile: &str) -> Vec<String> {
    let options = CompileOptions {
        targets: vec![Target::Vulkan],
        profiles: vec![profile.to_owned()],
        ..CompileOptions::default()
    };
    let files = emit_stage(conformance::graph(graph), &options, Stage::Program).expect("a program");
    let of = |line: &str| line.split_whitespace().nth(1).unwrap_or_default().to_owned();
    files[0].1.lines().map(of).collect()
}

#[test]
fn steps_are_combined_and_others_are_not() {
    for Steps { what, kernels: expected, graph } in all() {
        let (mut found, mut expected) = (kernels(&graph, "generic"), expected.to_vec());
        found.sort();
        expected.sort_unstable();
        assert_eq!(found, expected, "{what}");
    }
}

#[test]
fn decode_steps_agree_with_the_evaluator_on_every_device() {
    let mut failures = Vec::new();
    for Steps { what, graph, .. } in all() {
        let graph = conformance::graph(&graph);
        for (precision, most) in [(Precision::F32, 1e-5), (Precision::F16, 1e-2)] {
            let setting = Setting {
                layout: LayoutChoice::Buffer,
                precision,
                weights: WeightsChoice::default(),
                profile: "generic",
                keep_attention: false,
            };
            for (device, run) in
                [("vulkan", on_vulkan as fn(&_, _) -> _), ("opencl", on_opencl), ("webgpu", on_webgpu)]
            {
                match run(&graph, setting) {
                    Ok(Outcome::Ran(worst)) if worst.relative <= most => {}
                    Ok(Outcome::Declined(_)) if precision == Precision::F16 => {}
                    other => failures.push(format!("{what} {precision:?} on {device}: {other:?}")),
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

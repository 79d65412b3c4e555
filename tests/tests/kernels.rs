//! Every kernel on every layout and precision, run on lavapipe (SPIR-V), PoCL (OpenCL C), wgpu over lavapipe (WGSL) and
//! the processor (MSL) against the evaluator.
//!
//! A sample of the settings of each case, the same ones at each run, unless `DRIFT_MATRIX=full` asks for all of them, as
//! `cargo xtask matrix` does: the drivers' compilers take nearly all of the time. Under the profile that every device has, each
//! case runs once on Vulkan and once on OpenCL or WebGPU; of everything else a fifth or a tenth.

use drift_bundle::manifest::{Requirement, Target};
use drift_compiler::physical::{Element, Layout, pack, unpack};
use drift_compiler::{
    CompileOptions, LayoutChoice, ModelIdentity, Precision, WeightsChoice, WeightsOrder, WeightsStorage,
    profile,
};
use drift_ir::Graph;
use drift_runtime::Device;
use drift_tests::cases::{self, Case};
use drift_tests::conformance::{
    self, Outcome, Setting, are_software, compiled, derived_on, graph as graph_of, inner, on_msl,
    on_msl_at_the_ends, on_opencl, on_opencl_at_the_ends, on_vulkan, on_vulkan_at_the_ends, on_webgpu,
    on_webgpu_at_the_ends,
};
use std::collections::BTreeMap;
use std::error::Error;

#[path = "kernels/matrices.rs"]
mod matrices;

/// What one kernel is compiled under.
type Settings = (&'static [LayoutChoice], &'static [Precision]);

const EVERYTHING: Settings = (
    &[LayoutChoice::Buffer, LayoutChoice::Texture2d, LayoutChoice::ImageBuffer],
    &[Precision::F32, Precision::F16],
);

/// Error allowed, relative to the larger of 1 and the value. f16 rounds inputs, weights and every stored
/// intermediate to 11 bits; the deepest cases add some hundreds of products of magnitude up to 20.
fn tolerance(precision: Precision) -> f64 {
    match precision {
        Precision::F32 => 1e-4,
        Precision::F16 => 3e-2,
    }
}

/// Which settings of a case are part of the sample.
#[derive(Clone, Copy, Debug)]
enum Sample {
    /// One in so many, or none where a case has fewer.
    OneIn(usize),
    /// One of the first so many.
    Once(usize),
    /// The same, for one half of the cases or the other.
    OnceInHalf(usize, usize),
}

/// Of suites with a profile or a prefix of their own.
const A_FIFTH: Sample = Sample::OneIn(5);

/// Of suites that take all cases once more, in one setting, for what differs in few of them.
const A_TENTH: Sample = Sample::OneIn(10);

/// Of [`EVERYTHING`].
const ON_VULKAN: Sample = Sample::Once(6);
const ON_OPENCL: Sample = Sample::OnceInHalf(6, 0);
/// Not in image buffers, which come last and which WebGPU lacks.
const ON_WEBGPU: Sample = Sample::OnceInHalf(4, 1);

/// Whether every setting is wanted, and not a sample.
fn is_full() -> bool {
    std::env::var("DRIFT_MATRIX").is_ok_and(|matrix| matrix == "full")
}

/// Profiles that have so few cases that a fifth of them would be none.
const WHOLE: [&str; 2] = ["winograd-small-bindings", "subgroups-of-8"];

/// Whether a case runs under its setting of this number. The sample follows from the case's name, so that a new case changes
/// no other's.
fn is_wanted(sample: Sample, case: &str, setting: usize) -> bool {
    // What is about special values meets each of them once at least.
    let is_special = setting == 0 && case.starts_with("special/");
    is_full() || is_special || is_sampled(sample, case, setting)
}

fn is_sampled(sample: Sample, case: &str, setting: usize) -> bool {
    let hash = case.bytes().fold(0_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let (hash, half) = (hash as usize, (hash >> 16) as usize % 2);
    match sample {
        Sample::OneIn(count) => (hash % count + setting).is_multiple_of(count),
        Sample::Once(count) => hash % count == setting,
        Sample::OnceInHalf(count, wanted) => half == wanted && hash % count == setting,
    }
}

/// Whatever the sample leaves out, no case is left out on all devices.
#[test]
fn every_case_runs_on_vulkan_and_on_one_other_device() {
    let runs = |sample, name| (0..6).filter(|&setting| is_sampled(sample, name, setting)).count();
    for Case { name, .. } in cases::all() {
        let others = runs(ON_OPENCL, name) + runs(ON_WEBGPU, name);
        assert_eq!((runs(ON_VULKAN, name), others), (1, 1), "{name}");
    }
}

/// Whether a case's values can be stored in this precision.
fn holds(precision: Precision, case: &str) -> bool {
    precision == Precision::F32 || !cases::BEYOND_F16.contains(&case)
}

type Run = fn(&drift_ir::Graph, Setting) -> Result<Outcome, Box<dyn Error>>;

/// How many runs of a part of the matrix happened, and how many a device declined, by why.
#[must_use = "counts are held against those that are kept"]
#[derive(Debug, Default)]
struct Counts {
    executed: usize,
    declined: BTreeMap<&'static str, usize>,
}

impl Counts {
    fn add(&mut self, reason: Option<&'static str>) {
        match reason {
            None => self.executed += 1,
            Some(reason) => *self.declined.entry(reason).or_default() += 1,
        }
    }

    fn and(mut self, other: Self) -> Self {
        self.executed += other.executed;
        for (reason, count) in other.declined {
            *self.declined.entry(reason).or_default() += count;
        }
        self
    }

    /// Holds the counts of the sample, on software devices, against those that are kept under `name`: a device may lack what a
    /// setting needs, but nothing falls out in silence.
    #[track_caller]
    fn are_kept(&self, name: &str) {
        let some_cases = std::env::var_os("DRIFT_CASES").is_some();
        assert!(self.executed > 0 || some_cases, "{self:?}");
        if is_full() || some_cases || !are_software() {
            return;
        }
        let mut text = format!("executed {}", self.executed);
        for (reason, count) in &self.declined {
            text.push_str(&format!("\ndeclined {count}: {reason}"));
        }
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path("../../golden/runs");
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!(name, text));
    }
}

/// Runs all cases whose names start with `prefix`, and with the environment's `DRIFT_CASES` where somebody works on one
/// kernel; reports all failures at once.
fn prove(run: Run, profile: &'static str, prefix: &str, settings: Settings) -> Counts {
    prove_sample(A_FIFTH, run, profile, prefix, settings)
}

/// The same of a sample of its own.
fn prove_sample(sample: Sample, run: Run, profile: &'static str, prefix: &str, settings: Settings) -> Counts {
    let (layouts, precisions) = settings;
    let wanted = std::env::var("DRIFT_CASES").unwrap_or_default();
    let (mut failures, mut counts) = (Vec::new(), Counts::default());
    for Case { name, graph: text, .. } in cases::all() {
        if !name.starts_with(prefix) || !name.starts_with(&wanted) {
            continue;
        }
        let Ok(graph) = std::panic::catch_unwind(|| graph_of(text)) else {
            failures.push(format!("{name}: the graph does not parse"));
            continue;
        };
        let among_others = graph_of(&inner(text));
        let numbers = |layout: usize| (layout * precisions.len()..).zip(precisions);
        for (n, &layout) in layouts.iter().enumerate() {
            // What a graph takes and gives are dense buffers: only between other nodes does a kernel meet its layout.
            let graph = if layout == LayoutChoice::Buffer { &graph } else { &among_others };
            let wanted =
                numbers(n).filter(|&(number, _)| WHOLE.contains(&profile) || is_wanted(sample, name, number));
            for (_, &precision) in wanted.filter(|&(_, &precision)| holds(precision, name)) {
                let keep_attention = name.starts_with("attention_");
                let weights = WeightsChoice::default();
                let setting = Setting { layout, precision, weights, profile, keep_attention };
                match outcome(run, graph, setting) {
                    Ok(reason) => counts.add(reason),
                    Err(error) => failures.push(format!("{name} {layout:?} {precision:?}: {error}")),
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} failed, {counts:?}:\n{}", failures.len(), failures.join("\n"));
    counts
}

/// What the compiler says of a grid that no shape holds.
const GRID_REFUSED: &str = "a device is given at most";

/// Why the device declined it, if it did; an error where it failed or is wrong.
fn outcome(run: Run, graph: &Graph, setting: Setting) -> Result<Option<&'static str>, String> {
    let outcome = std::panic::catch_unwind(|| run(graph, setting).map_err(|error| chain(&*error)));
    match outcome.unwrap_or_else(|_| Err("panicked".to_owned())) {
        // So few workgroups along each axis are too few for some cases.
        Err(error) if setting.profile.starts_with("small-grids") && error.contains(GRID_REFUSED) => {
            Ok(Some("more workgroups than the profile's few along each axis hold"))
        }
        Err(error) => Err(error),
        Ok(Outcome::Declined(reason)) => Ok(Some(reason)),
        Ok(Outcome::Ran(worst)) if worst.relative <= tolerance(setting.precision) => Ok(None),
        Ok(Outcome::Ran(worst)) => Err(format!("{worst:?}")),
    }
}

/// Runs the cases whose names start with `prefix` with weights in `orders` and in every storage type, with the activations'
/// layout that goes with it and the precisions in turn.
fn prove_weights(
    run: Run,
    (profile, prefix): (&'static str, &str),
    precisions: &[Precision],
    orders: &[WeightsOrder],
) -> Counts {
    let pairs = || {
        let storages =
            |n: usize| WeightsStorage::ALL.into_iter().enumerate().map(move |(m, storage)| (n + m, storage));
        orders
            .iter()
            .enumerate()
            .flat_map(move |(n, order)| storages(n).map(move |(n, storage)| (n, *order, storage)))
    };
    let (mut failures, mut counts) = (Vec::new(), Counts::default());
    for case in cases::all().filter(|case| case.name.starts_with(prefix)) {
        for (n, order, storage) in
            pairs().enumerate().filter(|&(k, _)| is_wanted(A_FIFTH, case.name, k)).map(|(_, p)| p)
        {
            let layout = match storage {
                WeightsStorage::Buffer => LayoutChoice::Buffer,
                WeightsStorage::ImageBuffer => LayoutChoice::ImageBuffer,
                WeightsStorage::Texture2d | WeightsStorage::FourTextures => LayoutChoice::Texture2d,
            };
            let precision = precisions[n % precisions.len()];
            let weights = WeightsChoice { order: Some(order), storage: Some(storage) };
            let setting = Setting { layout, precision, weights, profile, keep_attention: false };
            match outcome(run, &graph_of(case.graph), setting) {
                Ok(reason) => counts.add(reason),
                Err(error) => {
                    failures.push(format!("{} {storage:?} {order} {precision:?}: {error}", case.name))
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} failed, {counts:?}:\n{}", failures.len(), failures.join("\n"));
    counts
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

#[test]
fn vulkan_agrees_with_the_evaluator() {
    prove_sample(ON_VULKAN, on_vulkan, "generic", "", EVERYTHING).are_kept("vulkan");
}

/// Families whose every case takes whatever floats there are: products and convolutions would show NaNs only.
const AT_THE_ENDS: [&str; 9] = [
    "special/",
    "concat/",
    "copy/",
    "gather/",
    "pad/",
    "softmax/",
    "softmax_axis/",
    "strided/",
    "transpose_tiled/",
];

#[test]
fn vulkan_agrees_with_the_evaluator_at_the_ends_of_types() {
    let buffers: Settings = (&[LayoutChoice::Buffer], &[Precision::F32]);
    let in_buffers = AT_THE_ENDS.map(|prefix| prove(on_vulkan_at_the_ends, "generic", prefix, buffers));
    // Nothing between two f16 overflows in these.
    let textures: Settings = (&[LayoutChoice::Texture2d], &[Precision::F16]);
    let names = ["activations", "extremes", "comparisons", "reductions", "rows", "pools", "arguments"];
    let in_textures =
        names.map(|name| prove(on_vulkan_at_the_ends, "generic", &format!("special/{name}"), textures));
    in_buffers.into_iter().chain(in_textures).fold(Counts::default(), Counts::and).are_kept("vulkan-ends");
}

/// These differ from 2D textures in the accessors only, so each has one precision.
#[test]
fn vulkan_agrees_with_the_evaluator_on_texture_arrays() {
    let settings: Settings = (&[LayoutChoice::TextureArray], &[Precision::F32]);
    prove_sample(A_TENTH, on_vulkan, "generic", "", settings).are_kept("vulkan-texture-arrays");
}

#[test]
fn vulkan_agrees_with_the_evaluator_on_3d_textures() {
    let settings: Settings = (&[LayoutChoice::Texture3d], &[Precision::F16]);
    prove_sample(A_TENTH, on_vulkan, "generic", "", settings).are_kept("vulkan-3d-textures");
}

/// What every device but Vulkan's runs; a new one is a line below.
macro_rules! conformance {
    ($($device:ident: $run:ident, $at_the_ends:ident, $sample:expr;)*) => {$(
        mod $device {
            use super::*;

            fn kept(counts: Counts, part: &str) {
                counts.are_kept(&format!("{}{part}", stringify!($device)));
            }

            #[test]
            fn agrees_with_the_evaluator() {
                kept(prove_sample($sample, $run, "generic", "", EVERYTHING), "");
            }

            #[test]
            fn agrees_with_the_evaluator_at_the_ends_of_types() {
                let buffers: Settings = (&[LayoutChoice::Buffer], &[Precision::F32]);
                kept(prove($at_the_ends, "generic", "special/", buffers), "-ends");
            }

            #[test]
            fn texture_arrays_and_3d_textures_agree() {
                let settings: Settings =
                    (&[LayoutChoice::TextureArray, LayoutChoice::Texture3d], &[Precision::F32]);
                kept(prove($run, "generic", "conv_", settings), "-texture-arrays-and-3d");
            }

            #[test]
            fn constants_split_over_bindings_agree() {
                kept(prove($run, "small-bindings", "large/", EVERYTHING), "-small-bindings");
            }

            /// A block holds 256 scores of f32: a few queries of one head.
            #[test]
            fn attention_in_blocks_of_scores_agrees() {
                kept(prove($run, "small-scores", "attention_stats/", EVERYTHING), "-small-scores");
            }

            #[test]
            fn convolutions_after_winograd_agree() {
                let counts = ["winograd-2x2", "winograd-4x4"]
                    .map(|profile| prove($run, profile, "winograd/", EVERYTHING));
                kept(counts.into_iter().fold(Counts::default(), Counts::and), "-winograd");
            }

            #[test]
            fn weights_in_every_storage_agree() {
                let precisions = [Precision::F32, Precision::F16];
                let counts = prove_weights($run, ("generic", "weights/"), &precisions, &some_orders(1));
                kept(counts, "-weights");
            }
        }
    )*};
}

conformance! {
    opencl: on_opencl, on_opencl_at_the_ends, ON_OPENCL;
    webgpu: on_webgpu, on_webgpu_at_the_ends, ON_WEBGPU;
    msl: on_msl, on_msl_at_the_ends, A_FIFTH;
}

/// Its orders of weights are no other profile's.
#[test]
fn the_profile_of_apples_devices_agrees_as_msl() {
    let buffers: Settings = (&[LayoutChoice::Buffer], &[Precision::F32, Precision::F16]);
    prove(on_msl, "apple", "conv_", buffers).are_kept("msl-apple");
}

#[test]
fn subgroup_kernels_agree_with_the_evaluator() {
    prove(on_vulkan, "subgroups", "softmax/", EVERYTHING).are_kept("vulkan-subgroups");
    prove(on_webgpu, "subgroups", "softmax/", EVERYTHING).are_kept("webgpu-subgroups");
    let buffers: Settings = (&[LayoutChoice::Buffer], &[Precision::F32, Precision::F16]);
    prove(on_vulkan, "subgroups-of-8", "matvec_rows/", buffers).are_kept("vulkan-subgroups-of-8");
    prove(on_msl, "subgroups", "softmax/", EVERYTHING).are_kept("msl-subgroups");
}

#[test]
fn constants_split_over_bindings_agree_with_the_evaluator() {
    prove(on_vulkan, "small-bindings", "large/", EVERYTHING).are_kept("vulkan-small-bindings");
}

/// A block holds 256 scores of f32: a few queries of one head.
#[test]
fn attention_in_blocks_of_scores_agrees_with_the_evaluator() {
    prove(on_vulkan, "small-scores", "attention_stats/", EVERYTHING).are_kept("vulkan-small-scores");
}

#[test]
fn cooperative_attention_agrees_with_the_evaluator_as_loops() {
    let settings: Settings = (&[LayoutChoice::Buffer, LayoutChoice::Texture2d], &[Precision::F16]);
    prove(on_vulkan, "cooperative-loops", "attention_cooperative/", settings)
        .are_kept("vulkan-cooperative-attention");
}

#[test]
fn cooperative_kernels_agree_with_the_evaluator_as_loops() {
    let settings: Settings = (&[LayoutChoice::Buffer, LayoutChoice::Texture2d], &[Precision::F16]);
    prove(on_vulkan, "cooperative-loops", "matmul_cooperative/", settings)
        .are_kept("vulkan-cooperative-products");
}

/// Every kernel that some case dispatches in more workgroups than an axis takes, in another shape.
#[test]
fn kernels_agree_when_their_grids_are_folded() {
    let buffers: Settings = (&[LayoutChoice::Buffer], &[Precision::F32]);
    prove_sample(A_TENTH, on_webgpu, "small-grids", "", buffers).are_kept("webgpu-small-grids");
    let textures: Settings = (&[LayoutChoice::Texture2d], &[Precision::F16]);
    let others = ["conv_", "matmul_tiled/", "elementwise/", "pool/", "reduce/"];
    let others = others.map(|prefix| prove(on_vulkan, "small-grids", prefix, textures));
    let cooperative = ["matmul_cooperative/", "attention_cooperative/"];
    let cooperative =
        cooperative.map(|prefix| prove(on_vulkan, "small-grids-cooperative", prefix, COOPERATIVE));
    let all = prove_sample(A_TENTH, on_vulkan, "small-grids", "", buffers).and(prove(
        on_vulkan,
        "small-grids-subgroups",
        "softmax/",
        buffers,
    ));
    others.into_iter().chain(cooperative).fold(all, Counts::and).are_kept("vulkan-small-grids");
}

/// What is folded is no kernel's business; this says how many kernels the cases fold.
#[test]
fn most_kernels_are_folded_by_some_case() {
    let mut folded = std::collections::BTreeSet::new();
    for case in cases::all() {
        let options = CompileOptions {
            targets: vec![Target::Vulkan],
            profiles: vec!["small-grids".to_owned()],
            layout: LayoutChoice::Buffer,
            ..CompileOptions::default()
        };
        let stage = drift_compiler::Stage::Program;
        let program = drift_compiler::emit_stage(graph_of(case.graph), &options, stage);
        for (_, text) in program.unwrap_or_else(|error| panic!("{}: {error}", case.name)) {
            for line in text.lines() {
                let mut words = line.trim_start_matches("init ").split_whitespace().skip(1);
                let kernel = words.next().unwrap_or_default().to_owned();
                let grid = words.skip_while(|word| *word != "workgroups").nth(1).unwrap_or_default();
                if grid.split('x').take(2).any(|count| count.parse().is_ok_and(|count: u64| count > 2)) {
                    folded.insert(kernel);
                }
            }
        }
    }
    assert!(folded.len() >= 24, "only {} kernels are folded: {folded:?}", folded.len());
}

const COOPERATIVE: Settings = (&[LayoutChoice::Buffer], &[Precision::F16]);

#[test]
fn convolutions_after_winograd_agree_with_the_evaluator() {
    let counts =
        ["winograd-2x2", "winograd-4x4"].map(|profile| prove(on_vulkan, profile, "winograd/", EVERYTHING));
    counts.into_iter().fold(Counts::default(), Counts::and).are_kept("vulkan-winograd");
}

/// Those that have names, and `count` others from all over.
fn some_orders(count: usize) -> Vec<WeightsOrder> {
    let named = [
        WeightsOrder::BLOCKS,
        WeightsOrder::GROUPS,
        WeightsOrder::GROUPS_OF_INPUTS,
        WeightsOrder::ROWS,
        WeightsOrder::ROWS_OF_INPUTS,
    ];
    let all = WeightsOrder::all();
    // Lanes change from one to the next, so an odd step takes both kinds.
    let others = (0..count).map(|n| all[(7 + n * 91) % all.len()]);
    named.into_iter().chain(others).collect()
}

#[test]
fn weights_in_every_storage_agree_with_the_evaluator() {
    let precisions = [Precision::F32, Precision::F16];
    let orders = some_orders(4);
    prove_weights(on_vulkan, ("generic", "weights/"), &precisions, &orders).are_kept("vulkan-weights");
}

#[test]
fn weights_of_cooperative_products_agree_in_every_storage() {
    let orders = [WeightsOrder::ROWS, WeightsOrder::ROWS_OF_INPUTS];
    let case = "matmul_cooperative/whole-tiles-b2";
    prove_weights(on_vulkan, ("cooperative-loops", case), &[Precision::F16], &orders)
        .are_kept("vulkan-cooperative-weights");
}

/// What does not fit a texture is in a buffer, and the step says so.
#[test]
fn weights_beyond_a_texture_are_in_a_buffer() {
    let graph = graph_of("%a: f32[1,4]\n@b: f32[4,32772] = random(5)\n%1 = matmul %a, @b\nreturn %1");
    let weights = WeightsChoice { order: None, storage: Some(WeightsStorage::Texture2d) };
    let options = CompileOptions {
        targets: vec![Target::Vulkan],
        profiles: vec!["generic".to_owned()],
        weights_layout: weights,
        ..CompileOptions::default()
    };
    let identity = ModelIdentity { name: "wide".to_owned(), hash: "0".repeat(64) };
    let compiled = drift_compiler::compile(graph.clone(), identity, &options).expect("it compiles");
    let step = &compiled.report.variants[0].dispatches[0];
    let reason = "weights in a buffer: 8193x4 px of a texture2d are above 8192";
    assert!(step.why.contains(reason), "{}", step.why);
    assert!(step.layouts.contains("f32 buffer HWD S_I I4 G S_O O4"), "{}", step.layouts);
    let layout = LayoutChoice::Buffer;
    let setting =
        Setting { layout, precision: Precision::F32, weights, profile: "generic", keep_attention: false };
    assert_eq!(outcome(on_vulkan, &graph, setting), Ok(None));
}

/// Products of whole tiles, large enough for the tiling that puts two workgroups on a unit.
#[test]
fn paired_cooperative_workgroups_agree_with_the_evaluator() {
    let texts = [
        "%a: f32[128,256]\n@b: f32[256,384] = random(5)\n%1 = matmul %a, @b\nreturn %1",
        "%x: f32[1,32,8,16]\n@w: f32[256,32,3,3] = random(1)\n%1 = conv %x, @w {pads=[1,1,1,1]}\nreturn %1",
    ];
    for text in texts {
        let graph = graph_of(text);
        let setting = Setting {
            layout: LayoutChoice::Buffer,
            precision: Precision::F16,
            weights: WeightsChoice::default(),
            profile: "cooperative-loops-small-device",
            keep_attention: false,
        };
        let kernels = steps(&graph, setting);
        assert!(kernels.iter().any(|why| why.contains("128x128x32 tiles")), "{kernels:?}");
        assert_eq!(outcome(on_vulkan, &graph, setting), Ok(None));
    }
}

/// Why each dispatch got its kernel.
fn steps(graph: &drift_ir::Graph, setting: Setting) -> Vec<String> {
    steps_for(Target::Vulkan, graph, setting)
}

fn steps_for(target: Target, graph: &drift_ir::Graph, setting: Setting) -> Vec<String> {
    let compiled = compiled(graph, target, setting).expect("a case compiles");
    compiled.report.variants[0].dispatches.iter().map(|dispatch| dispatch.why.clone()).collect()
}

#[test]
fn filters_made_and_read_in_several_bindings_agree_with_the_evaluator() {
    let buffers: Settings = (&[LayoutChoice::Buffer], &[Precision::F32, Precision::F16]);
    let runs: [(Run, &str); 4] =
        [(on_vulkan, "vulkan"), (on_opencl, "opencl"), (on_webgpu, "webgpu"), (on_msl, "msl")];
    for (run, device) in runs {
        let counts = ["winograd/c5", "winograd/deep"]
            .map(|prefix| prove(run, "winograd-small-bindings", prefix, buffers));
        let counts = counts.into_iter().fold(Counts::default(), Counts::and);
        counts.are_kept(&format!("{device}-winograd-small-bindings"));
    }
}

/// Rows of G with their scales: `(1, a, a^2)` over the product of the distances of point `a` from the others.
fn filter_matrix(tile: usize) -> Vec<[f64; 3]> {
    let (near, far) = (0.5_f64.sqrt(), 2.0_f64.sqrt());
    let (points, scales, filter_scale): (&[f64], &[f64], f64) = match tile {
        2 => (&[0.0, 1.0, -1.0], &[1.0; 4], 0.5),
        _ => (&[0.0, near, -near, far, -far], &[0.5, 0.25, 0.25, 0.5, 0.5, 0.5], 0.125),
    };
    let of = |a: &f64| {
        let distances: f64 = points.iter().filter(|b| *b != a).map(|b| a - b).product();
        [1.0 / distances, a / distances, a * a / distances]
    };
    let rows = points.iter().map(of).chain([[0.0, 0.0, 1.0]]);
    rows.zip(scales).map(|(row, scale)| row.map(|value| value / scale * filter_scale)).collect()
}

/// Positions of G g G^T, `[position, input channel, output channel]` in whole slices, with the dead ones zero.
fn check_filters(device: &Device, tile: usize, profile: &'static str, precision: Precision) {
    let graph = graph_of("%x: f32[1,5,9,7]\n@w: f32[6,5,3,3] = random(1)\n%1 = conv %x, @w\nreturn %1");
    let weights = WeightsChoice::default();
    let setting =
        Setting { layout: LayoutChoice::Buffer, precision, weights, profile, keep_attention: false };
    let blobs = derived_on(device, &graph, setting).unwrap_or_else(|error| panic!("{}", chain(&*error)));
    let [blob] = &blobs[..] else { panic!("{} derived blobs", blobs.len()) };
    let element = if precision == Precision::F16 { Element::F16 } else { Element::F32 };
    let matrix = filter_matrix(tile);
    let (inner, rows, columns) = (matrix.len(), 8, 8);
    let shape = [inner * inner, rows, columns].map(|size| size as u64);
    let made = unpack(blob, &Layout::row_major(element, 3), &shape);
    let node = graph.node(graph.nodes().next().expect("the convolution"));
    // What the bundle stores of them.
    let weights = graph.constant(node.inputs[1]).expect("weights");
    let dense = Layout::row_major(element, 4);
    let weights = unpack(&pack(weights, &dense).expect("floats"), &dense, weights.shape());
    let tap = |o: usize, i: usize, y: usize, x: usize| match o < 6 && i < 5 {
        true => weights[(o * 5 + i) * 9 + y * 3 + x],
        false => 0.0,
    };
    // The rounding of what is stored, and those of three sums in f32.
    let rounding = if precision == Precision::F16 { 1.0 / 2048.0 } else { 0.0 };
    for (at, got) in made.into_iter().enumerate() {
        let (position, i, o) = (at / (rows * columns), at / columns % rows, at % columns);
        let (row, column) = (&matrix[position / inner], &matrix[position % inner]);
        let taps = (0..9).map(|n| row[n / 3] * tap(o, i, n / 3, n % 3) * column[n % 3]);
        let expected: f64 = taps.sum();
        let allowed = expected.abs() * rounding + 1e-6;
        assert!(
            (got - expected).abs() <= allowed,
            "{profile} {position} {i} {o}: {got}, expected {expected}"
        );
        assert!((o < 6 && i < 5) || got == 0.0, "{profile} {position} {i} {o}: {got} in a dead lane");
    }
}

#[test]
fn filters_made_at_load_are_what_the_matrices_say() {
    for precision in [Precision::F32, Precision::F16] {
        for device in conformance::devices() {
            check_filters(device, 2, "winograd-2x2", precision);
            check_filters(device, 4, "winograd-4x4", precision);
            check_filters(device, 4, "winograd-small-bindings", precision);
        }
    }
}

/// Even where no kernel of the variant is tuned: its tiles and layouts are.
#[test]
fn variants_of_profiles_that_name_vendors_require_one_of_them() {
    let graph = graph_of("%x: f32[2,3]\n%1 = exp %x\nreturn %1");
    for profile in profile::ALL.iter().chain(profile::TESTS) {
        for target in Target::ALL {
            let (layout, precision) = (LayoutChoice::Buffer, Precision::F32);
            let weights = WeightsChoice::default();
            let setting =
                Setting { layout, precision, weights, profile: profile.name, keep_attention: false };
            let compiled = compiled(&graph, target, setting).unwrap_or_else(|error| panic!("{error}"));
            let variant = &compiled.bundle.manifest().entries[0].variants[0];
            let vendors = variant.requires.iter().find_map(|requirement| match requirement {
                Requirement::Vendor(ids) => Some(ids.as_slice()),
                _ => None,
            });
            let expected = (!profile.vendors.is_empty()).then_some(profile.vendors);
            assert_eq!(vendors, expected, "{} for {}", profile.name, target.name());
        }
    }
}

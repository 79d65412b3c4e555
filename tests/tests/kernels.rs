//! Every kernel on every layout and precision, run on lavapipe (SPIR-V), PoCL (OpenCL C), wgpu over lavapipe (WGSL) and
//! the processor (MSL) against the evaluator.
//!
//! A sample of the settings of each case (`kernels/sample.rs`), the same ones at each run, unless `DRIFT_MATRIX=full` asks for all
//! of them, as `cargo xtask matrix` does: the drivers' compilers take nearly all of the time.

use drift_bundle::manifest::{Requirement, Target};
use drift_compiler::physical::{Element, Layout, pack, unpack};
use drift_compiler::{
    CompileOptions, LayoutChoice, ModelIdentity, Precision, WeightsChoice, WeightsOrder, WeightsStorage,
    profile,
};
use drift_ir::Graph;
use drift_runtime::Device;
use drift_tests::cases;
use drift_tests::conformance::{
    self, Outcome, Setting, are_software, compiled, derived_on, graph as graph_of, inner, on_msl, on_opencl,
    on_vulkan, on_webgpu,
};
use sample::{MSL, OPENCL, On, VULKAN, WEBGPU, graph_for, is_full, is_one_in, kernels};
use std::collections::BTreeMap;
use std::error::Error;

#[path = "kernels/filters.rs"]
mod filters;
#[path = "kernels/matrices.rs"]
mod matrices;
#[path = "kernels/sample.rs"]
mod sample;

const PRECISIONS: [Precision; 2] = [Precision::F32, Precision::F16];

/// In f32, in buffers.
const GENERIC: Setting = Setting {
    layout: LayoutChoice::Buffer,
    precision: Precision::F32,
    weights: WeightsChoice { order: None, storage: None },
    profile: "generic",
    keep_attention: false,
};

/// Error allowed, relative to the larger of 1 and the value. f16 rounds inputs, weights and every stored
/// intermediate to 11 bits; the deepest cases add some hundreds of products of magnitude up to 20.
fn tolerance(precision: Precision) -> f64 {
    match precision {
        Precision::F32 => 1e-4,
        Precision::F16 => 3e-2,
    }
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

/// Runs a part of the suite, and of its cases those whose names start with the environment's `DRIFT_CASES` where somebody works on
/// one kernel; reports all failures at once, and holds the counts against those that are kept.
#[track_caller]
fn prove(device: &On, part: &str) {
    let (run, trials) = device.trials(part, is_full());
    let wanted = std::env::var("DRIFT_CASES").unwrap_or_default();
    let (mut failures, mut counts) = (Vec::new(), Counts::default());
    for (case, setting) in trials.into_iter().filter(|(case, _)| case.name.starts_with(&wanted)) {
        let described =
            || format!("{} {} {:?} {:?}", case.name, setting.profile, setting.layout, setting.precision);
        let Ok(graph) = std::panic::catch_unwind(|| graph_for(case, setting.layout)) else {
            failures.push(format!("{}: the graph does not parse", case.name));
            continue;
        };
        match outcome(run, &graph, setting) {
            Ok(reason) => counts.add(reason),
            Err(error) => failures.push(format!("{}: {error}", described())),
        }
    }
    assert!(failures.is_empty(), "{} failed, {counts:?}:\n{}", failures.len(), failures.join("\n"));
    counts.are_kept(&format!("{}{part}", device.name));
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
/// layout that goes with it and the precisions in turn; one in so many of these is in the sample.
fn prove_weights(
    run: Run,
    (profile, prefix): (&'static str, &str),
    precisions: &[Precision],
    orders: &[WeightsOrder],
    one_in: usize,
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
            pairs().enumerate().filter(|&(k, _)| is_full() || is_one_in(one_in, case.name, k)).map(|(_, p)| p)
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
    prove(&VULKAN, "");
}

#[test]
fn vulkan_agrees_with_the_evaluator_at_the_ends_of_types() {
    prove(&VULKAN, "-ends");
}

#[test]
fn vulkan_agrees_with_the_evaluator_on_texture_arrays() {
    prove(&VULKAN, "-texture-arrays");
}

#[test]
fn vulkan_agrees_with_the_evaluator_on_3d_textures() {
    prove(&VULKAN, "-3d-textures");
}

/// What every device but Vulkan's runs; a new one is a line below.
macro_rules! conformance {
    ($($device:ident: $on:ident, $run:ident;)*) => {$(
        mod $device {
            use super::*;

            #[test]
            fn agrees_with_the_evaluator() {
                prove(&$on, "");
            }

            #[test]
            fn agrees_with_the_evaluator_at_the_ends_of_types() {
                prove(&$on, "-ends");
            }

            #[test]
            fn texture_arrays_and_3d_textures_agree() {
                prove(&$on, "-texture-arrays-and-3d");
            }

            #[test]
            fn constants_split_over_bindings_agree() {
                prove(&$on, "-small-bindings");
            }

            #[test]
            fn attention_in_blocks_of_scores_agrees() {
                prove(&$on, "-small-scores");
            }

            #[test]
            fn convolutions_after_winograd_agree() {
                prove(&$on, "-winograd");
            }

            #[test]
            fn filters_made_and_read_in_several_bindings_agree() {
                prove(&$on, "-winograd-small-bindings");
            }

            #[test]
            fn weights_in_every_storage_agree() {
                prove_weights($run, ("generic", "weights/"), &PRECISIONS, &some_orders(1), 12)
                    .are_kept(&format!("{}-weights", $on.name));
            }
        }
    )*};
}

conformance! {
    opencl: OPENCL, on_opencl;
    webgpu: WEBGPU, on_webgpu;
    msl: MSL, on_msl;
}

#[test]
fn the_profile_of_apples_devices_agrees_as_msl() {
    prove(&MSL, "-apple");
}

#[test]
fn subgroup_kernels_agree_with_the_evaluator() {
    prove(&VULKAN, "-subgroups");
    prove(&WEBGPU, "-subgroups");
    prove(&VULKAN, "-subgroups-of-8");
    prove(&MSL, "-subgroups");
}

#[test]
fn constants_split_over_bindings_agree_with_the_evaluator() {
    prove(&VULKAN, "-small-bindings");
}

#[test]
fn attention_in_blocks_of_scores_agrees_with_the_evaluator() {
    prove(&VULKAN, "-small-scores");
}

#[test]
fn cooperative_attention_agrees_with_the_evaluator_as_loops() {
    prove(&VULKAN, "-cooperative-attention");
}

#[test]
fn cooperative_kernels_agree_with_the_evaluator_as_loops() {
    prove(&VULKAN, "-cooperative-products");
}

/// Some kernels that a case dispatches in more workgroups than an axis takes, in another shape.
#[test]
fn kernels_agree_when_their_grids_are_folded() {
    prove(&WEBGPU, "-small-grids");
    prove(&VULKAN, "-small-grids");
}

/// What is folded is no kernel's business; this says how many kernels the cases fold.
#[test]
fn most_kernels_are_folded_by_some_case() {
    let mut folded = std::collections::BTreeSet::new();
    let setting = Setting { profile: "small-grids", ..GENERIC };
    for case in cases::all() {
        for (kernel, grid) in kernels(&(case, setting), Target::Vulkan) {
            if grid.split('x').take(2).any(|count| count.parse().is_ok_and(|count: u64| count > 2)) {
                folded.insert(kernel);
            }
        }
    }
    assert!(folded.len() >= 24, "only {} kernels are folded: {folded:?}", folded.len());
}

#[test]
fn convolutions_after_winograd_agree_with_the_evaluator() {
    prove(&VULKAN, "-winograd");
}

#[test]
fn filters_made_and_read_in_several_bindings_agree_with_the_evaluator() {
    prove(&VULKAN, "-winograd-small-bindings");
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
    prove_weights(on_vulkan, ("generic", "weights/"), &PRECISIONS, &some_orders(4), 9)
        .are_kept("vulkan-weights");
}

#[test]
fn weights_of_cooperative_products_agree_in_every_storage() {
    let orders = [WeightsOrder::ROWS, WeightsOrder::ROWS_OF_INPUTS];
    let case = "matmul_cooperative/whole-tiles-b2";
    prove_weights(on_vulkan, ("cooperative-loops", case), &[Precision::F16], &orders, 8)
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

/// Products of whole tiles, large enough for the tiling that puts two workgroups on a unit. lavapipe compiles such loops for long, so the
/// convolution, whose products are the same, is compiled only unless everything is asked for.
#[test]
fn paired_cooperative_workgroups_agree_with_the_evaluator() {
    let texts = [
        "%a: f32[128,256]\n@b: f32[256,384] = random(5)\n%1 = matmul %a, @b\nreturn %1",
        "%x: f32[1,32,8,16]\n@w: f32[256,32,3,3] = random(1)\n%1 = conv %x, @w {pads=[1,1,1,1]}\nreturn %1",
    ];
    for (n, text) in texts.iter().enumerate() {
        let graph = graph_of(text);
        let setting =
            Setting { precision: Precision::F16, profile: "cooperative-loops-small-device", ..GENERIC };
        let kernels = steps(&graph, setting);
        assert!(kernels.iter().any(|why| why.contains("128x128x32 tiles")), "{kernels:?}");
        if n == 0 || is_full() {
            assert_eq!(outcome(on_vulkan, &graph, setting), Ok(None));
        }
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

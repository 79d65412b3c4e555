//! The parts of the suite on each device, and which settings of which cases are in its sample.
//!
//! On Vulkan each case runs once, in one of its settings, and each special value; every other part takes a share of its cases
//! that follows from names alone. What that would leave out of the kernels is named in [`FOR_KERNELS`], and a test here finds it.

use super::{Run, cases, graph_of, inner};
use drift_bundle::manifest::Target;
use drift_compiler::LayoutChoice::{Buffer, ImageBuffer, Texture2d, Texture3d, TextureArray};
use drift_compiler::Precision::{F16, F32};
use drift_compiler::{LayoutChoice, Precision, Stage, WeightsChoice, kernel};
use drift_ir::Graph;
use drift_tests::cases::Case;
use drift_tests::conformance::{
    Setting, on_msl, on_msl_at_the_ends, on_opencl, on_opencl_at_the_ends, on_vulkan, on_vulkan_at_the_ends,
    on_webgpu, on_webgpu_at_the_ends, options,
};
use std::collections::BTreeSet;

/// Layouts and precisions that cases run under, each with each.
type Settings = (&'static [LayoutChoice], &'static [Precision]);

const EVERYTHING: Settings = (&[Buffer, Texture2d, ImageBuffer], &[F32, F16]);
const BUFFERS: Settings = (&[Buffer], &[F32]);
const IN_HALVES: Settings = (&[Buffer], &[F16]);
const BOTH_PRECISIONS: Settings = (&[Buffer], &[F32, F16]);
const TEXTURES_IN_HALVES: Settings = (&[Texture2d], &[F16]);
const COOPERATIVE: Settings = (&[Buffer, Texture2d], &[F16]);

/// Families whose every case takes whatever floats there are: products and convolutions would show NaNs only.
const AT_THE_ENDS: [&str; 8] =
    ["concat/", "copy/", "gather/", "pad/", "softmax/", "softmax_axis/", "strided/", "transpose_tiled/"];

/// Special values between which nothing overflows in f16.
const HALVES_AT_THE_ENDS: [&str; 7] = [
    "special/activations",
    "special/extremes",
    "special/comparisons",
    "special/reductions",
    "special/rows",
    "special/pools",
    "special/arguments",
];

/// Cases that have a kernel which nothing else in the sample of a device that is not Vulkan's has.
const FOR_KERNELS: [&str; 13] = [
    "conv_depthwise/3x3-c6-b2",
    "cumsum/middle-axis",
    "gather_nd/pairs",
    "group_norm/instance-c6-b2",
    "merge_runs/all-of-odd-rows",
    "range/floats",
    "reshape/rank-6-to-4",
    "resize_repeat/by-2-c6",
    "scatter_known/elements",
    "sort_runs/ties",
    "suppress/two-classes",
    "transpose_tiled/m36-n20-b2",
    "write_rows/keys",
];

/// Kernels that no case has: those of self-tests (`self_test.rs`), of sizes that the host says (`free_sizes.rs`) and of states
/// (`decode_steps.rs`).
const ELSEWHERE: [&str; 5] =
    ["self_test_fill", "self_test_sample", "resize_linear", "rotary_cache", "write_rows_in_place"];

/// Which share of a suite is in the sample.
#[derive(Clone, Copy, Debug)]
enum Sample {
    /// Every case, in one of its first so many settings.
    Once(usize),
    /// One case in `of`, in one of its first `settings`. Shares of different numbers are different cases.
    Share { of: usize, number: usize, settings: usize },
}

use Sample::{Once, Share};

/// Cases under a profile.
struct Suite {
    profile: &'static str,
    /// What the names of its cases start with.
    prefixes: &'static [&'static str],
    settings: Settings,
    sample: Sample,
}

const fn suite(
    profile: &'static str,
    prefixes: &'static [&'static str],
    settings: Settings,
    sample: Sample,
) -> Suite {
    Suite { profile, prefixes, settings, sample }
}

/// What the counts of some suites are kept under: the device's name and this. Those of [`ENDS`] have special inputs.
type Part = (&'static str, Vec<Suite>);

const ENDS: &str = "-ends";

/// A device, and how cases run there.
pub(super) struct On {
    pub(super) name: &'static str,
    run: Run,
    at_the_ends: Run,
    target: Target,
    parts: fn() -> Vec<Part>,
    /// Kernels that it cannot have.
    lacks: &'static [&'static str],
}

pub(super) const VULKAN: On = On {
    name: "vulkan",
    run: on_vulkan,
    at_the_ends: on_vulkan_at_the_ends,
    target: Target::Vulkan,
    parts: of_vulkan,
    lacks: &[],
};

pub(super) const OPENCL: On = On {
    name: "opencl",
    run: on_opencl,
    at_the_ends: on_opencl_at_the_ends,
    target: Target::OpenCl,
    parts: || of_others(0, 6),
    lacks: &[
        "attention_cooperative",
        "matmul_cooperative",
        "matmul_cooperative_8x8",
        "matvec_rows_subgroup",
        "softmax_subgroup",
    ],
};

pub(super) const WEBGPU: On = On {
    name: "webgpu",
    run: on_webgpu,
    at_the_ends: on_webgpu_at_the_ends,
    target: Target::WebGpu,
    parts: of_webgpu,
    lacks: &["attention_cooperative", "matmul_cooperative", "matmul_cooperative_8x8", "matvec_rows_subgroup"],
};

pub(super) const MSL: On = On {
    name: "msl",
    run: on_msl,
    at_the_ends: on_msl_at_the_ends,
    target: Target::Metal,
    parts: of_msl,
    // Matrices of 16x16, and subgroups of a width that only one of Vulkan's profiles has.
    lacks: &["attention_cooperative", "matmul_cooperative", "matvec_rows_subgroup"],
};

fn of_vulkan() -> Vec<Part> {
    let share = |of, settings| Share { of, number: 0, settings };
    vec![
        ("", vec![suite("generic", &[""], EVERYTHING, Once(6))]),
        (
            ENDS,
            vec![
                suite("generic", &["special/"], BUFFERS, Once(1)),
                suite("generic", &AT_THE_ENDS, BUFFERS, share(5, 1)),
                suite("generic", &HALVES_AT_THE_ENDS, TEXTURES_IN_HALVES, share(3, 1)),
            ],
        ),
        // These differ from 2D textures in the accessors only, so each has one precision.
        ("-texture-arrays", vec![suite("generic", &[""], (&[TextureArray], &[F32]), share(20, 1))]),
        ("-3d-textures", vec![suite("generic", &[""], (&[Texture3d], &[F16]), share(20, 1))]),
        ("-subgroups", vec![suite("subgroups", &["softmax/"], EVERYTHING, share(2, 6))]),
        ("-subgroups-of-8", vec![suite("subgroups-of-8", &["matvec_rows/"], BOTH_PRECISIONS, Once(2))]),
        ("-small-bindings", vec![suite("small-bindings", &["large/"], EVERYTHING, share(2, 6))]),
        // A block holds 256 scores of f32: a few queries of one head.
        ("-small-scores", vec![suite("small-scores", &["attention_stats/"], EVERYTHING, share(3, 6))]),
        (
            "-cooperative-attention",
            vec![suite("cooperative-loops", &["attention_cooperative/"], COOPERATIVE, share(4, 2))],
        ),
        (
            "-cooperative-products",
            vec![suite("cooperative-loops", &["matmul_cooperative/"], COOPERATIVE, share(6, 2))],
        ),
        (
            "-8x8-matrices",
            vec![suite("cooperative-loops-8x8", &["matmul_cooperative/"], IN_HALVES, share(5, 1))],
        ),
        (
            "-small-grids",
            vec![
                suite("small-grids", &[""], BUFFERS, share(30, 1)),
                suite(
                    "small-grids",
                    &["conv_", "matmul_tiled/", "elementwise/", "pool/", "reduce/"],
                    TEXTURES_IN_HALVES,
                    share(15, 1),
                ),
                suite("small-grids-subgroups", &["softmax/"], BUFFERS, share(5, 1)),
                suite(
                    "small-grids-cooperative",
                    &["matmul_cooperative/", "attention_cooperative/"],
                    IN_HALVES,
                    share(10, 1),
                ),
            ],
        ),
        ("-winograd", winograd(share(2, 6))),
        (
            "-winograd-small-bindings",
            vec![suite("winograd-small-bindings", &SMALL_WINOGRAD, BOTH_PRECISIONS, Once(2))],
        ),
    ]
}

const SMALL_WINOGRAD: [&str; 2] = ["winograd/c5", "winograd/deep"];

fn winograd(sample: Sample) -> Vec<Suite> {
    ["winograd-2x2", "winograd-4x4"].map(|profile| suite(profile, &["winograd/"], EVERYTHING, sample)).into()
}

/// Of a device whose number is one of three: shares are its own. Of [`EVERYTHING`] it takes so many settings: image buffers come last.
fn of_others(number: usize, settings: usize) -> Vec<Part> {
    let share = |of, settings| Share { of, number, settings };
    vec![
        (
            "",
            vec![
                suite("generic", &[""], EVERYTHING, share(7, settings)),
                suite("generic", &FOR_KERNELS, EVERYTHING, Once(settings)),
            ],
        ),
        (ENDS, vec![suite("generic", &["special/"], BUFFERS, Once(1))]),
        (
            "-texture-arrays-and-3d",
            vec![suite("generic", &["conv_"], (&[TextureArray, Texture3d], &[F32]), share(5, 2))],
        ),
        ("-small-bindings", vec![suite("small-bindings", &["large/"], EVERYTHING, share(3, settings))]),
        ("-small-scores", vec![suite("small-scores", &["attention_stats/"], EVERYTHING, share(7, settings))]),
        ("-winograd", winograd(share(5, settings))),
        (
            "-winograd-small-bindings",
            vec![suite("winograd-small-bindings", &["winograd/c5"], BOTH_PRECISIONS, Once(2))],
        ),
    ]
}

fn of_webgpu() -> Vec<Part> {
    let mut parts = of_others(1, 4);
    parts.push((
        "-subgroups",
        vec![suite("subgroups", &["softmax/"], EVERYTHING, Share { of: 2, number: 1, settings: 4 })],
    ));
    parts.push((
        "-small-grids",
        vec![suite("small-grids", &[""], BUFFERS, Share { of: 40, number: 1, settings: 1 })],
    ));
    parts
}

fn of_msl() -> Vec<Part> {
    let share = |of, settings| Share { of, number: 2, settings };
    let mut parts = of_others(2, 4);
    parts.push(("-subgroups", vec![suite("subgroups", &["softmax/"], EVERYTHING, share(3, 4))]));
    // Its orders of weights are no other profile's.
    parts.push(("-apple", vec![suite("apple", &["conv_"], BOTH_PRECISIONS, share(8, 2))]));
    parts.push((
        "-apple-matrices",
        vec![suite(
            "apple-matrices",
            &["matmul_cooperative/", "matmul_tiled/", "conv_"],
            IN_HALVES,
            share(5, 1),
        )],
    ));
    parts
}

/// Whether every setting is wanted, and not a sample.
pub(super) fn is_full() -> bool {
    std::env::var("DRIFT_MATRIX").is_ok_and(|matrix| matrix == "full")
}

/// A number that follows from two names alone, so that a new case changes no other's sample.
fn hash(profile: &str, case: &str) -> usize {
    let bytes = case.bytes().chain(profile.bytes());
    bytes.fold(0_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)) as usize
}

/// Whether a case runs under its setting of this number.
fn is_sampled(sample: Sample, profile: &str, case: &str, setting: usize) -> bool {
    let hash = hash(profile, case);
    match sample {
        Once(settings) => hash % settings == setting,
        Share { of, number, settings } => (hash >> 12) % of == number % of && hash % settings == setting,
    }
}

/// Whether this setting is one of the share of a case's settings.
pub(super) fn is_one_in(count: usize, case: &str, setting: usize) -> bool {
    (hash("", case) + setting).is_multiple_of(count)
}

/// Whether a case's values can be stored in this precision.
fn holds(precision: Precision, case: &str) -> bool {
    precision == F32 || !cases::BEYOND_F16.contains(&case)
}

/// A case, and what it is compiled under.
pub(super) type Trial = (&'static Case, Setting);

impl Suite {
    /// Its settings of a case.
    fn of_case(&self, case: &'static Case, full: bool) -> impl Iterator<Item = Trial> {
        let (layouts, precisions) = self.settings;
        let pairs =
            layouts.iter().flat_map(|layout| precisions.iter().map(move |precision| (*layout, *precision)));
        let wanted = pairs
            .enumerate()
            .filter(move |(number, _)| full || is_sampled(self.sample, self.profile, case.name, *number));
        wanted.filter(|(_, (_, precision))| holds(*precision, case.name)).map(
            move |(_, (layout, precision))| {
                let weights = WeightsChoice::default();
                let keep_attention = case.name.starts_with("attention_");
                (case, Setting { layout, precision, weights, profile: self.profile, keep_attention })
            },
        )
    }

    fn takes(&self, case: &Case) -> bool {
        self.prefixes.iter().any(|prefix| case.name.starts_with(prefix))
    }
}

impl On {
    /// What this part runs, each once, and how.
    pub(super) fn trials(&self, part: &str, full: bool) -> (Run, Vec<Trial>) {
        let suites = (self.parts)().into_iter().find_map(|(name, suites)| (name == part).then_some(suites));
        let suites = suites.unwrap_or_else(|| panic!("{} has no part `{part}`", self.name));
        let (mut seen, mut trials) = (BTreeSet::new(), Vec::new());
        for suite in &suites {
            for (case, setting) in
                cases::all().filter(|case| suite.takes(case)).flat_map(|case| suite.of_case(case, full))
            {
                let key =
                    format!("{} {:?} {:?} {}", case.name, setting.layout, setting.precision, setting.profile);
                if seen.insert(key) {
                    trials.push((case, setting));
                }
            }
        }
        (if part == ENDS { self.at_the_ends } else { self.run }, trials)
    }
}

/// What a graph takes and gives are dense buffers: only between other nodes does a kernel meet its layout.
pub(super) fn graph_for(case: &Case, layout: LayoutChoice) -> Graph {
    if layout == Buffer { graph_of(case.graph) } else { graph_of(&inner(case.graph)) }
}

/// Kernels of a compiled case, and the grids of their dispatches.
pub(super) fn kernels((case, setting): &Trial, target: Target) -> Vec<(String, String)> {
    let options = options(target, *setting);
    let program = drift_compiler::emit_stage(graph_for(case, setting.layout), &options, Stage::Program);
    let texts = program.unwrap_or_else(|error| panic!("{}: {error}", case.name));
    let of_line = |line: &str| {
        let mut words = line.trim_start_matches("init ").split_whitespace().skip(1);
        let kernel = words.next().unwrap_or_default().to_owned();
        let grid = words.skip_while(|word| *word != "workgroups").nth(1).unwrap_or_default();
        (kernel, grid.to_owned())
    };
    texts.iter().flat_map(|(_, text)| text.lines().map(of_line)).collect()
}

/// Whatever the sample leaves out, no case is left out on Vulkan, nor one of special values among special inputs.
#[test]
fn every_case_runs_on_vulkan() {
    let [once, at_the_ends] = ["", ENDS].map(|part| VULKAN.trials(part, false).1);
    let count = |trials: &[Trial], name| trials.iter().filter(|(case, _)| case.name == name).count();
    for &Case { name, .. } in cases::all() {
        assert_eq!(count(&once, name), 1, "{name}");
        assert!(!name.starts_with("special/") || count(&at_the_ends, name) > 0, "{name}");
    }
}

/// Whatever the sample leaves out, no kernel is left out on a device that can have it.
#[test]
fn every_kernel_runs_on_every_device_that_can_have_it() {
    let mut wrong = Vec::new();
    for device in [VULKAN, OPENCL, WEBGPU, MSL] {
        let mut found = BTreeSet::new();
        for (part, _) in (device.parts)() {
            for trial in device.trials(part, false).1 {
                found.extend(kernels(&trial, device.target).into_iter().map(|(kernel, _)| kernel));
            }
        }
        for source in kernel::ALL.iter().filter(|source| !ELSEWHERE.contains(&source.name)) {
            match (found.contains(source.name), device.lacks.contains(&source.name)) {
                (false, false) => {
                    wrong.push(format!("{} on {} runs in no case of the sample", source.name, device.name))
                }
                (true, true) => wrong.push(format!("{} does run on {}", source.name, device.name)),
                (true, false) | (false, true) => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Parts without a test that keeps their counts would run nowhere.
#[test]
fn every_part_is_kept() {
    for device in [VULKAN, OPENCL, WEBGPU, MSL] {
        for (part, _) in (device.parts)() {
            let name = format!("../golden/runs/{}{part}.snap", device.name);
            assert!(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(&name).is_file(), "{name}");
        }
    }
}

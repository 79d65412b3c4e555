//! `--precision mixed`: models that strict f16 gets wrong are right with it on devices, and models that strict f16 gets right
//! keep what it saves.

use drift_bundle::Bundle;
use drift_bundle::manifest::Target;
use drift_compiler::{
    CalibrationSet, CompileOptions, CompileReport, EntryModel, LayoutChoice, Mixed, ModelIdentity, Precision,
    WeightsChoice, compile_entries,
};
use drift_ir::{ElementType, Graph, Tensor, eval};
use drift_runtime::{Device, DeviceKind, LoadOptions};
use drift_tests::cases::{self, Case};
use drift_tests::conformance::{self, Outcome, Setting, graph};

/// What an output may be off by, as a share of its largest magnitude.
const MOST: f64 = 1e-2;
/// The share of the bytes that f16 saves which mixed precision saves of models that f16 gets right.
const SAVED: f64 = 0.8;

/// Models that f16 spoils.
const SPOILED: [(&str, &str); 6] = [
    (
        "the logarithm of a power spectrum of tiny numbers",
        "%x: f32[8,64]\n@k: f32[] = 1e-5\n@r: f32[64,36] = random(1)\n@i: f32[64,36] = random(2)\n@m: f32[36,12] = splat(0.1)\n\
         @e: f32[] = 1e-12\n%s = mul %x, @k\n%a = matmul %s, @r\n%b = matmul %s, @i\n%c = mul %a, %a\n%d = mul %b, %b\n%p = add %c, %d\n\
         %q = matmul %p, @m\n%f = max %q, @e\n%y = log %f\nreturn %y",
    ),
    (
        "squares beyond f16 that a layer brings back",
        "%x: f32[6,32]\n@u: f32[32,32] = random(1)\n@k: f32[] = 400.0\n@w: f32[32,16] = random(2)\n@s: f32[] = 1e-5\n%a = matmul %x, @u\n\
         %b = mul %a, @k\n%c = mul %b, %b\n%d = matmul %c, @w\n%e = mul %d, @s\n%y = tanh %e\nreturn %y",
    ),
    (
        "a long sum of which neighbours are subtracted",
        "%x: f32[2,4096]\n@h: f32[] = 2.0\n%p = add %x, @h\n%c = cumsum %p {axis=1}\n%a = slice %c {axes=[1], starts=[8], counts=[4088]}\n\
         %b = slice %c {axes=[1], starts=[0], counts=[4088]}\n%d = sub %a, %b\n%y = tanh %d epilogue(mul %d)\nreturn %y",
    ),
    (
        "a division by a small variance",
        "%x: f32[4,32]\n@u: f32[32,64] = random(1)\n@k: f32[] = 0.05\n@o: f32[] = 800.0\n@e: f32[] = 1e-6\n%a = matmul %x, @u\n%b = mul %a, @k\n\
         %c = add %b, @o\n%m = reduce_mean %c {axes=[1], keep_dims=true}\n%d = sub %c, %m\n%q = mul %d, %d\n\
         %v = reduce_mean %q {axes=[1], keep_dims=true}\n%w = add %v, @e\n%r = sqrt %w\n%y = div %d, %r\nreturn %y",
    ),
    (
        "a layer norm over large values",
        "%x: f32[1,6,64]\n@u: f32[64,64] = random(1)\n@o: f32[64] = splat(2500.0)\n@s: f32[64] = random(2)\n@w: f32[64,16] = random(3)\n\
         %a = matmul %x, @u\n%b = add %a, @o\n%n = layer_norm %b, @s {axis=2, epsilon=1e-5}\n%y = matmul %n, @w\nreturn %y",
    ),
    (
        "a network of convolutions with large activations",
        "%x: f32[1,3,16,16]\n@a: f32[16,3,3,3] = random(1)\n@b: f32[16,16,3,3] = random(2)\n@c: f32[1,16,1,1] = random(3)\n\
         @k: f32[] = 60000.0\n@s: f32[] = 2e-6\n%p = conv %x, @a {pads=[1,1,1,1]} epilogue(relu)\n%l = mul %p, @k\n\
         %q = conv %l, @b {pads=[1,1,1,1]} epilogue(relu)\n%r = conv %q, @c\n%t = mul %r, @s\n%y = sigmoid %t\nreturn %y",
    ),
];

/// Models that f16 gets right.
const SOUND: [(&str, &str); 3] = [
    (
        "a perceptron",
        "%x: f32[8,64]\n@a: f32[64,128] = random(1)\n@b: f32[128,64] = random(2)\n@c: f32[64,10] = random(3)\n%1 = matmul %x, @a epilogue(gelu)\n\
         %2 = matmul %1, @b epilogue(relu)\n%3 = matmul %2, @c\n%y = softmax %3 {axis=1}\nreturn %y",
    ),
    (
        "a small image network",
        "%x: f32[1,3,16,16]\n@a: f32[16,3,3,3] = random(1)\n@b: f32[16,16,3,3] = random(2)\n@c: f32[8,16,1,1] = random(3)\n@d: f32[8,4] = random(4)\n\
         %1 = conv %x, @a {pads=[1,1,1,1]} epilogue(relu)\n%2 = conv %1, @b {pads=[1,1,1,1]} epilogue(add %1; relu)\n%3 = conv %2, @c\n\
         %4 = pool_average %3 {kernel=[16,16]}\n%5 = reshape %4 {shape=[1,8]}\n%y = matmul %5, @d\nreturn %y",
    ),
    (
        "a block of attention",
        "%x: f32[1,12,64]\n@s: f32[64] = splat(1.0)\n@q: f32[64,64] = random(1)\n@k: f32[64,64] = random(2)\n@v: f32[64,64] = random(3)\n\
         @o: f32[64,64] = random(4)\n%n = layer_norm %x, @s {axis=2, epsilon=1e-5}\n%a = matmul %n, @q\n%b = matmul %n, @k\n%c = matmul %n, @v\n\
         %1 = reshape %a {shape=[1,12,2,32]}\n%2 = reshape %b {shape=[1,12,2,32]}\n%3 = reshape %c {shape=[1,12,2,32]}\n\
         %4 = attention %1, %2, %3 {q=[0,2,1,3], k=[0,2,1,3], v=[0,2,1,3], y=[0,2,1,3]} scores(mul 0.01)\n\
         %5 = reshape %4 {shape=[1,12,64]}\n%6 = matmul %5, @o\n%y = add %x, %6\nreturn %y",
    ),
];

/// Numbers from -1 to 1, others for each seed.
fn inputs(graph: &Graph, seed: u64) -> CalibrationSet {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    let mut set = CalibrationSet::new();
    for &input in graph.inputs() {
        let value = graph.value(input);
        let shape = value.ty.static_shape().expect("sizes are known");
        let numbers: Vec<f32> = (0..shape.iter().product::<u64>()).map(|_| next()).collect();
        set.insert(
            value.name.clone(),
            Tensor::from_f32_as(value.ty.element, shape, &numbers).expect("a tensor"),
        );
    }
    set
}

fn mixed(graph: &Graph) -> Mixed {
    Mixed { budget: 1e-3, sets: vec![inputs(graph, 1)], told: "seeded".to_owned() }
}

fn options(target: Target, mixed: Option<Mixed>) -> CompileOptions {
    CompileOptions {
        targets: vec![target],
        precision: Some(Precision::F16),
        mixed,
        ..CompileOptions::default()
    }
}

fn compiled(models: Vec<EntryModel>, options: &CompileOptions) -> (Vec<u8>, CompileReport) {
    let identity = ModelIdentity { name: "case".to_owned(), hash: "0".repeat(64) };
    let compiled = compile_entries(models, identity, options).unwrap_or_else(|error| panic!("{error}"));
    (compiled.bundle.to_bytes().expect("bytes"), compiled.report)
}

fn alone(graph: &Graph) -> Vec<EntryModel> {
    vec![EntryModel { name: "main".to_owned(), graph: graph.clone() }]
}

/// By how much the device's outputs are off, as a share of the largest magnitude of each; the worst.
fn error(device: &Device, graph: &Graph, bytes: Vec<u8>, set: &CalibrationSet) -> f64 {
    let bundle = Bundle::from_bytes(bytes).expect("a sound bundle");
    let options = LoadOptions { any_vendor: true, ..LoadOptions::default() };
    let mut session = device.load_with(&bundle, &options).expect("a session");
    let tensors: Vec<Tensor> =
        graph.inputs().iter().map(|&input| set[&graph.value(input).name].clone()).collect();
    for (&input, tensor) in graph.inputs().iter().zip(&tensors) {
        session.write_raw(&graph.value(input).name, tensor.bytes()).expect("an input");
    }
    session.run().expect("a run");
    let expected = eval::run(graph, &tensors).expect("an evaluation");
    let mut worst = 0.0_f64;
    for (&output, expected) in graph.outputs().iter().zip(expected) {
        let bytes = session.read_raw(&graph.value(output).name).expect("an output");
        let got = Tensor::new(ElementType::F32, expected.shape().to_vec(), bytes.into()).expect("a tensor");
        let (expected, got) = (expected.to_f64_vec(), got.to_f64_vec());
        let largest = expected.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
        for (expected, got) in expected.iter().zip(got) {
            let off = (expected - got).abs() / largest;
            worst = if off.is_nan() { f64::INFINITY } else { worst.max(off) };
        }
    }
    worst
}

fn device(kind: DeviceKind) -> &'static Device {
    conformance::devices().find(|device| device.info().kind == kind).expect("the device of the suite")
}

#[test]
fn what_f16_spoils_is_right() {
    let mut faults = Vec::new();
    for (name, text) in SPOILED {
        let graph = graph(text);
        for kind in [DeviceKind::Vulkan, DeviceKind::OpenCl] {
            let device = device(kind);
            let (strict, _) = compiled(alone(&graph), &options(kind.target(), None));
            let (bytes, report) = compiled(alone(&graph), &options(kind.target(), Some(mixed(&graph))));
            // Other inputs than those of calibration.
            let set = inputs(&graph, 7);
            let [strict, mixed] = [strict, bytes].map(|bytes| error(device, &graph, bytes, &set));
            if strict <= MOST || mixed > MOST || report.mixed[0].kept.is_empty() {
                faults.push(format!(
                    "{name} on {kind:?}: f16 {strict:.1e}, mixed {mixed:.1e}; {:#?}",
                    report.mixed
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn what_f16_gets_right_keeps_what_it_saves() {
    let device = device(DeviceKind::Vulkan);
    for (name, text) in SOUND {
        let graph = graph(text);
        let (strict, _) = compiled(alone(&graph), &options(Target::Vulkan, None));
        let (bytes, report) = compiled(alone(&graph), &options(Target::Vulkan, Some(mixed(&graph))));
        let set = inputs(&graph, 7);
        let [strict, mixed] = [strict, bytes].map(|bytes| error(device, &graph, bytes, &set));
        assert!(strict <= MOST && mixed <= MOST, "{name}: f16 {strict:.1e}, mixed {mixed:.1e}");
        let decided = &report.mixed[0];
        let saved = 1.0 - decided.kept_bytes as f64 / decided.all_bytes as f64;
        assert!(saved >= SAVED, "{name}: {saved}; {decided:#?}");
    }
}

#[test]
fn the_same_data_give_the_same_bytes() {
    let graph = graph(SPOILED[0].1);
    let of = |seed| {
        let mixed = Mixed { sets: vec![inputs(&graph, seed)], ..mixed(&graph) };
        compiled(alone(&graph), &options(Target::Vulkan, Some(mixed))).0
    };
    assert_eq!(of(3), of(3));
    let bundle = Bundle::from_bytes(of(3)).expect("a sound bundle");
    let flags = &bundle.manifest().provenance.flags;
    for flag in ["--precision mixed", "--budget 1e-3", "--calibrate seeded"] {
        assert!(flags.iter().any(|told| told == flag), "{flag}: {flags:?}");
    }
}

/// Each entry has its own decision, also where two share weights.
#[test]
fn entries_decide_for_themselves() {
    let [loud, quiet] = [1000.0, 1.0].map(|factor| {
        graph(&format!(
            "%x: f32[4,32]\n@w: f32[32,32] = random(1)\n@k: f32[] = {factor:?}\n@s: f32[] = 0.001\n%a = mul %x, @k\n%b = matmul %a, @w\n\
             %c = mul %b, %b epilogue(mul @s)\n%y = matmul %c, @w\nreturn %y"
        ))
    });
    let model = |name: &str, graph: &Graph| EntryModel { name: name.to_owned(), graph: graph.clone() };
    let models = vec![model("loud", &loud), model("quiet", &quiet)];
    let (_, report) = compiled(models, &options(Target::Vulkan, Some(mixed(&loud))));
    let [loud, quiet] = &report.mixed[..] else { panic!("{:?}", report.mixed) };
    assert_eq!((loud.entry.as_str(), quiet.entry.as_str()), ("loud", "quiet"));
    assert!(loud.kept.iter().any(|kept| kept.why.kind() == "overflow"), "{loud:#?}");
    assert!(quiet.kept.iter().all(|kept| kept.why.kind() != "overflow"), "{quiet:#?}");
}

/// Every kernel reads and writes any mix of f32 and f16: of the values of each case a third is f32, which third follows from the
/// case's place among all. Every seventh case, unless `DRIFT_MATRIX=full` asks for all.
#[test]
fn kernels_take_any_mix_of_types() {
    let suites: Vec<&Case> = cases::all().filter(|case| !cases::BEYOND_F16.contains(&case.name)).collect();
    let is_full = std::env::var("DRIFT_MATRIX").is_ok_and(|matrix| matrix == "full");
    let mut faults = Vec::new();
    for (at, case) in suites.iter().enumerate().step_by(if is_full { 1 } else { 7 }) {
        let mut graph = graph(case.graph);
        let floats: Vec<_> = graph
            .values()
            .filter(|(_, value)| value.ty.element == ElementType::F32)
            .map(|(id, _)| id)
            .collect();
        for (n, &value) in floats.iter().enumerate() {
            if (n + at) % 3 == 0 {
                graph.keep_single(value);
            }
        }
        let setting = Setting {
            layout: LayoutChoice::Buffer,
            precision: Precision::F16,
            weights: WeightsChoice::default(),
            profile: "generic",
            keep_attention: true,
        };
        match conformance::on_vulkan(&graph, setting) {
            Ok(Outcome::Ran(worst)) if worst.relative <= 3e-2 => {}
            Ok(Outcome::Declined(_)) => {}
            Ok(Outcome::Ran(worst)) => faults.push(format!("{}: {worst:?}", case.name)),
            Err(error) => faults.push(format!("{}: {error}", case.name)),
        }
    }
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), suites.len(), faults.join("\n"));
}

//! Inputs and outputs of their own (`--io own`): the same numbers as from the arena, and nothing but tensors of the program
//! there.

use drift_bundle::Bundle;
use drift_bundle::manifest::{IoBinding, RegionKind, Variant};
use drift_compiler::{CompileOptions, LayoutChoice, ModelIdentity, Precision};
use drift_ir::{Graph, text};
use drift_runtime::{Device, DeviceKind, OpenOptions};

/// Inputs that are outputs, outputs of two shapes, parts of outputs, results over operands, and textures between.
const GRAPHS: [(&str, LayoutChoice, &str); 8] = [
    ("one step", LayoutChoice::Buffer, "%x: f32[2,5]\n%1 = tanh %x\nreturn %1"),
    ("an input as it is", LayoutChoice::Buffer, "%x: f32[2,5]\n%1 = tanh %x\nreturn %x, %1"),
    ("reshaped", LayoutChoice::Buffer, "%x: f32[2,6]\n%1 = reshape %x {shape=[3,4]}\nreturn %1"),
    (
        "two shapes",
        LayoutChoice::Buffer,
        "%x: f32[2,5]\n%1 = tanh %x\n%2 = reshape %1 {shape=[5,2]}\nreturn %1, %2",
    ),
    (
        "parts",
        LayoutChoice::Buffer,
        "%x: f32[1,4,8,8]\n@u: f32[8,4,1,1] = random(1)\n%a = conv %x, @u\n%b = conv %x, @u epilogue(tanh)\n\
         %c = concat %b, %a {axis=1}\nreturn %c, %a",
    ),
    (
        "slices",
        LayoutChoice::Buffer,
        "%x: f32[1,16,4,4]\n%a = tanh %x\n%b = slice %a {axes=[1], starts=[4], counts=[8]}\n%c = exp %b\nreturn %a, %b, %c",
    ),
    (
        "in place",
        LayoutChoice::Buffer,
        "%x: f32[1,4,8,8]\n@u: f32[64,4,1,1] = random(1)\n@v: f32[8,64,1,1] = random(2)\n%a = conv %x, @u\n%h = tanh %a\n\
         %y = conv %h, @v\nreturn %y",
    ),
    (
        "textures",
        LayoutChoice::Texture2d,
        "%x: f32[1,4,8,8]\n@u: f32[8,4,1,1] = random(1)\n%a = conv %x, @u\n%b = tanh %a\n%c = conv %x, @u epilogue(add %b)\n\
         return %c",
    ),
];

fn bundle(graph: &Graph, layout: LayoutChoice, kind: DeviceKind, own_io: bool) -> (Bundle, Vec<String>) {
    let options = CompileOptions {
        targets: vec![kind.target()],
        profiles: vec!["generic".to_owned()],
        precision: Some(Precision::F32),
        layout,
        own_io,
        ..CompileOptions::default()
    };
    let identity = ModelIdentity { name: "case".to_owned(), hash: "0".repeat(64) };
    let compiled = drift_compiler::compile(graph.clone(), identity, &options).expect("a bundle");
    let bytes = compiled.bundle.to_bytes().expect("bytes");
    (Bundle::from_bytes(bytes).expect("a sound bundle"), compiled.report.notes)
}

/// What two runs give that the inputs are written once for.
fn outputs(device: &Device, bundle: &Bundle) -> Vec<Vec<u8>> {
    let mut session = device.load(bundle).expect("a session");
    for tensor in session.inputs().to_vec() {
        let values: Vec<f32> =
            (0..tensor.elements().expect("a size")).map(|n| (n * 37 % 17) as f32 / 8.0 - 1.0).collect();
        session.write(&tensor.name, &values).expect("an input");
    }
    let names: Vec<String> = session.outputs().iter().map(|output| output.name.clone()).collect();
    let mut read = Vec::new();
    for _ in 0..2 {
        session.run().expect("a run");
        read.extend(names.iter().map(|name| session.read_raw(name).expect("an output")));
    }
    read
}

fn same_numbers(kind: DeviceKind) {
    let options = OpenOptions { validation: true, ..OpenOptions::default() };
    let device = Device::open_with(kind, &options).expect("`cargo xtask test` installs one");
    for (name, layout, source) in GRAPHS {
        let graph = text::parse(source).unwrap_or_else(|error| panic!("{name}: {error}"));
        let [(arena, nothing), (own, notes)] =
            [false, true].map(|own_io| bundle(&graph, layout, kind, own_io));
        assert!(nothing.is_empty(), "{nothing:?}");
        let [cost] = &notes[..] else { panic!("{name}: {notes:?}") };
        let variant = &own.manifest().entries[0].variants[0];
        let io: u64 = of(variant, RegionKind::Io).sum();
        let takes = format!(
            "have {io} bytes of their own; with them activations take {} bytes",
            variant.memory.planned_bytes
        );
        assert!(cost.contains(&takes), "{name}: {cost}");
        let planned: u64 = variant.regions.iter().map(|region| region.size).sum();
        assert_eq!(planned, variant.memory.planned_bytes, "{name}: nothing else takes memory");
        let apart = |binding: &IoBinding| variant.regions[binding.region as usize].kind == RegionKind::Io;
        assert!(variant.inputs.iter().chain(&variant.outputs).all(apart), "{name}");
        assert_eq!(outputs(&device, &arena), outputs(&device, &own), "{name}");
        assert!(own.manifest().provenance.flags.contains(&"--io own".to_owned()));
    }
    assert_eq!(device.validation_log().messages(), Vec::<String>::new());
}

/// Sizes of the regions of a kind.
fn of(variant: &Variant, kind: RegionKind) -> impl Iterator<Item = u64> {
    variant.regions.iter().filter(move |region| region.kind == kind).map(|region| region.size)
}

#[test]
fn inputs_and_outputs_of_their_own_hold_the_same_numbers_on_vulkan() {
    same_numbers(DeviceKind::Vulkan);
}

#[test]
fn inputs_and_outputs_of_their_own_hold_the_same_numbers_on_opencl() {
    same_numbers(DeviceKind::OpenCl);
}

#[test]
fn nothing_but_inputs_and_outputs_needs_no_arena() {
    let graph = text::parse("%x: f32[2,5]\n%1 = tanh %x\nreturn %1").expect("a graph");
    let (own, _) = bundle(&graph, LayoutChoice::Buffer, DeviceKind::Vulkan, true);
    let variant = &own.manifest().entries[0].variants[0];
    assert_eq!(of(variant, RegionKind::Arena).count(), 0);
    assert_eq!(of(variant, RegionKind::Io).collect::<Vec<_>>(), [48, 48]);
    let (arena, _) = bundle(&graph, LayoutChoice::Buffer, DeviceKind::Vulkan, false);
    let codes = |bundle: &Bundle| -> Vec<Vec<u8>> {
        bundle.manifest().shaders.iter().map(|shader| bundle.shader_code(shader).to_vec()).collect()
    };
    assert_eq!(codes(&arena), codes(&own), "kernels do not know where their operands are");
}

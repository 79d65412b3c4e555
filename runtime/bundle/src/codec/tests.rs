//! The bytes of a manifest that has one of everything, as a file that other readers are held against.

use super::{annotate, decode, encode};
use crate::limits::MANIFEST_BYTES;
use crate::manifest::*;
use std::fs;
use std::path::Path;

/// What the file says of itself.
const HEAD: &str = "\
# A manifest byte by byte: bytes in hexadecimal, what they are, and `= VALUE` as JSON has it, or `: WORDS` for what stands before a value.
# docs/bundle-format.md has the format. UPDATE_VECTORS=1 cargo test -p drift-bundle --lib codec writes this file anew.
";

fn slot(group: u32, kind: BindingKind, writable: bool) -> BindingSlot {
    BindingSlot { group, binding: 250, kind, writable }
}

fn texture(kind: TextureKind) -> TextureObject {
    TextureObject { kind, element: DeviceElement::F16, extent_px: [1, 250, 251] }
}

fn shader(target: Target, subgroup_size: Option<u32>) -> Shader {
    Shader {
        name: "conv_tiled_3".to_owned(),
        target,
        entry_point: "main".to_owned(),
        offset: 65_535,
        size: 65_536,
        workgroup_size: [8, 8, 1],
        shared_bytes: u32::MAX,
        subgroup_size,
        bindings: vec![
            slot(0, BindingKind::StorageBuffer { min_bytes: u64::from(u32::MAX) }, true),
            slot(1, BindingKind::UniformBuffer { min_bytes: u64::from(u32::MAX) + 1 }, false),
            slot(1, BindingKind::Texture { kind: TextureKind::Array, element: DeviceElement::I32 }, true),
            slot(2, BindingKind::ImageBuffer { element: DeviceElement::U32 }, false),
        ],
    }
}

fn requirements() -> Vec<Requirement> {
    let (ab, c) = (DeviceElement::F16, DeviceElement::F32);
    vec![
        Requirement::F16,
        Requirement::Subgroups,
        Requirement::SubgroupSize(32),
        Requirement::CooperativeMatrix { m: 16, n: 16, k: 8, ab, c },
        Requirement::SharedBytes(49_152),
        Requirement::WorkgroupInvocations(256),
        Requirement::StorageBindingBytes(1 << 27),
        Requirement::BufferBytes(1 << 40),
        Requirement::Texture2dSize(4096),
        Requirement::Texture3dSize(2048),
        Requirement::TextureLayers(256),
        Requirement::ImageBufferTexels(65_536),
        Requirement::StorageBuffers(8),
        Requirement::Vendor(vec![0x10de, 0x8086]),
    ]
}

fn variant(strategy: MemoryStrategy) -> Variant {
    let region = |kind| Region { kind, size: 1024, alignment: 256 };
    let (name, element) = ("past.0.key".to_owned(), DeviceElement::F16);
    let resource = |region, view| Resource { region, view };
    let dispatch = Dispatch {
        name: "conv_1: conv_tiled".to_owned(),
        shader: 1,
        bindings: vec![
            resource(RegionId::Variant(0), View::Bytes { offset: 256, size: 60 }),
            resource(RegionId::Weight(0), View::Texels { element, offset: 0, size: 64 }),
            resource(RegionId::Variant(5), View::Texture { offset: 0, object: texture(TextureKind::D3) }),
        ],
        workgroups: [3, 2, 1],
        free_workgroups: [Some(1), None, Some(300)],
        barrier: true,
        origins: vec!["conv_1".to_owned()],
        bytes_read: 460,
        bytes_written: 30,
        flops: u64::MAX,
    };
    Variant {
        name: "generic".to_owned(),
        profile: "generic".to_owned(),
        requires: requirements(),
        regions: vec![
            region(RegionKind::Arena),
            region(RegionKind::State { name, element, shape: vec![8, 1 << 33] }),
            region(RegionKind::Io),
            region(RegionKind::Params(vec![Word::Const(0), Word::Const(70_000), Word::Size(1)])),
            region(RegionKind::Derived),
            region(RegionKind::Texture(texture(TextureKind::D2))),
        ],
        inputs: vec![IoBinding { region: 0, offset: 0, element: DeviceElement::F32 }],
        outputs: vec![IoBinding { region: 2, offset: 256, element: DeviceElement::U32 }],
        init: Vec::new(),
        dispatches: vec![dispatch],
        memory: MemoryReport { naive_bytes: 768, planned_bytes: 512, lower_bound_bytes: 500, strategy },
    }
}

/// One of everything: each variant of each enum, and numbers on both sides of each width.
fn manifest() -> Manifest {
    let free = vec![FreeAxis { axis: 1, size: 0 }];
    let tensor =
        |element| IoTensor { name: "größe".to_owned(), element, shape: vec![1, 3], free: free.clone() };
    let strategies = [
        MemoryStrategy::GreedyBySize,
        MemoryStrategy::GreedyByBreadth,
        MemoryStrategy::Search,
        MemoryStrategy::GreedyByTime,
    ];
    let terms = [
        SizeTerm::Const(251),
        SizeTerm::Dim(0),
        SizeTerm::Add,
        SizeTerm::Sub,
        SizeTerm::Mul,
        SizeTerm::FloorDiv,
        SizeTerm::CeilDiv,
        SizeTerm::Max,
        SizeTerm::Min,
    ];
    Manifest {
        provenance: Provenance {
            compiler: "driftc 0.1.0".to_owned(),
            flags: vec!["--target webgpu".to_owned(), String::new()],
            model: "sample".to_owned(),
            model_hash: "00ff".to_owned(),
            profiles: vec!["generic".to_owned()],
        },
        weights: vec![WeightBlob { name: "w".to_owned(), offset: 0, size: 700 }],
        shaders: Target::ALL.map(|target| shader(target, (target == Target::Vulkan).then_some(32))).to_vec(),
        entries: vec![Entry {
            name: "main".to_owned(),
            target: Target::WebGpu,
            dims: vec![FreeDim { name: "rows".to_owned(), low: 1, high: 1 << 20, step: 8 }],
            sizes: vec![SizeExpression(terms.to_vec())],
            inputs: HostElement::ALL.map(tensor).to_vec(),
            outputs: [HostElement::U8, HostElement::Bool].map(tensor).to_vec(),
            variants: strategies.map(variant).to_vec(),
        }],
    }
}

#[test]
fn the_format_is_that_of_the_file() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/manifest.txt");
    let written = HEAD.to_owned() + &annotate::lines(&manifest()).unwrap().join("\n") + "\n";
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        fs::write(&path, &written).unwrap();
    }
    let stored = fs::read_to_string(&path).unwrap().replace("\r\n", "\n");
    assert!(
        stored == written,
        "the format changed: raise FORMAT_VERSION, and write the file anew as it says"
    );
    // What ships agrees with what was written down, both ways.
    let body = stored.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
    let bytes = annotate::bytes(&body);
    assert_eq!(encode::<MANIFEST_BYTES>(&manifest()).unwrap(), bytes);
    assert_eq!(decode::<MANIFEST_BYTES, Manifest>(&bytes).unwrap(), manifest());
}

#[test]
fn what_is_no_manifest_is_refused() {
    let bytes = encode::<MANIFEST_BYTES>(&manifest()).unwrap();
    let of = |bytes: &[u8]| decode::<MANIFEST_BYTES, Manifest>(bytes);
    for length in 0..bytes.len() {
        assert!(of(&bytes[..length]).is_err(), "{length}");
    }
    assert_eq!(of(&[&bytes[..], &[0]].concat()).unwrap_err(), "1 bytes are left over");
    // A list of more items than there is room for.
    assert!(of(&[253, 255, 255, 255, 255, 255, 255, 255, 255]).is_err());
    assert!(decode::<8, Vec<u64>>(&[9, 0, 0, 0, 0, 0, 0, 0, 0, 0]).is_err());
}

/// The file above, and tests that go through all targets, have those of `ALL`.
#[test]
fn a_target_that_is_not_listed_is_no_target() {
    let listed = u8::try_from(Target::ALL.len()).unwrap();
    assert_eq!(decode::<8, Target>(&[listed - 1]).unwrap(), Target::ALL[Target::ALL.len() - 1]);
    assert!(decode::<8, Target>(&[listed]).is_err(), "`Target::ALL` lacks a target");
}

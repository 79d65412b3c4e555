//! Words of MSL that no kernel of the suite uses so far, from the modules under `golden/targets`.

use drift_bundle::manifest::{
    BindingKind, BindingSlot, DeviceElement, Dispatch, Entry, HostElement, IoBinding, IoTensor, MemoryReport,
    Provenance, Region, RegionId, RegionKind, Resource, Shader, Target, Variant, View,
};
use drift_bundle::{ALIGNMENT_BYTES, Bundle, BundleWriter};
use drift_targets::Code;
use drift_tests::msl;
use naga::valid::{Capabilities, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator};
use std::path::Path;

/// Which buffer a module writes.
const WRITTEN: usize = 1;

/// A module of one kernel over buffers of words, which are given in the order of its bindings.
struct Module<'a> {
    name: &'a str,
    threads: [u32; 3],
    groups: [u32; 3],
    shared_bytes: u32,
    buffers: &'a [Vec<u32>],
}

impl Module<'_> {
    fn bundle(&self) -> Bundle {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../golden/targets").join(self.name);
        let source = std::fs::read_to_string(folder.join("input.wgsl")).expect("a module");
        let module = naga::front::wgsl::parse_str(&source).expect("it is WGSL");
        let info = Validator::new(ValidationFlags::all(), Capabilities::all())
            .subgroup_stages(ShaderStages::COMPUTE)
            .subgroup_operations(SubgroupOperationSet::all())
            .validate(&module)
            .expect("it is valid");
        let options = drift_targets::Options::default();
        let emitted = drift_targets::emit(drift_targets::Target::Metal, &module, &info, &options);
        let emitted = emitted.expect("Metal has it");
        let Code::Text(text) = &emitted.code else { panic!("MSL is text") };
        let bytes = |n: usize| self.buffers[n].len() as u64 * 4;
        let slot = |(n, index): (usize, &drift_targets::BindingIndex)| {
            let kind = BindingKind::StorageBuffer { min_bytes: bytes(n) };
            BindingSlot { group: index.group, binding: index.binding, kind, writable: n == WRITTEN }
        };
        let shader = Shader {
            name: self.name.to_owned(),
            target: Target::Metal,
            entry_point: emitted.entry_point.clone(),
            offset: 0,
            size: 0,
            workgroup_size: self.threads,
            shared_bytes: self.shared_bytes,
            subgroup_size: None,
            bindings: emitted.bindings.iter().enumerate().map(slot).collect(),
        };
        let mut writer = BundleWriter::new(Provenance {
            compiler: "a test".to_owned(),
            flags: Vec::new(),
            model: self.name.to_owned(),
            model_hash: "0".repeat(64),
            profiles: Vec::new(),
        });
        let numbers = 0..self.buffers.len();
        let resource = |n: usize| Resource {
            region: RegionId::Variant(n as u32),
            view: View::Bytes { offset: 0, size: bytes(n) },
        };
        let dispatch = Dispatch {
            name: self.name.to_owned(),
            shader: writer.add_shader(shader, text.as_bytes()),
            bindings: numbers.clone().map(resource).collect(),
            workgroups: self.groups,
            free_workgroups: [None; 3],
            barrier: false,
            origins: Vec::new(),
            bytes_read: 0,
            bytes_written: 0,
            flops: 0,
        };
        let region =
            |n: usize| Region { kind: RegionKind::Arena, size: bytes(n), alignment: ALIGNMENT_BYTES };
        let place = |n: usize| IoBinding { region: n as u32, offset: 0, element: DeviceElement::I32 };
        let tensor = |prefix: &str, n: usize| IoTensor {
            name: format!("{prefix}{n}"),
            element: HostElement::I32,
            shape: vec![bytes(n) / 4],
            free: Vec::new(),
        };
        writer.add_entry(Entry {
            name: "main".to_owned(),
            target: Target::Metal,
            dims: Vec::new(),
            sizes: Vec::new(),
            inputs: numbers.clone().map(|n| tensor("in", n)).collect(),
            outputs: numbers.clone().map(|n| tensor("out", n)).collect(),
            variants: vec![Variant {
                name: "generic".to_owned(),
                profile: "generic".to_owned(),
                requires: Vec::new(),
                regions: numbers.clone().map(region).collect(),
                inputs: numbers.clone().map(place).collect(),
                outputs: numbers.map(place).collect(),
                init: Vec::new(),
                dispatches: vec![dispatch],
                memory: MemoryReport::default(),
            }],
        });
        Bundle::from_bytes(writer.to_bytes().expect("a bundle")).expect("a sound bundle")
    }

    /// Runs it, and gives the words that it wrote.
    fn run(&self) -> Vec<u32> {
        let bundle = self.bundle();
        let mut session = msl::open().load(&bundle).unwrap_or_else(|error| panic!("{}: {error}", self.name));
        for (n, words) in self.buffers.iter().enumerate() {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            session.write_raw(&format!("in{n}"), &bytes).expect("an input");
        }
        session.run().unwrap_or_else(|error| panic!("{}: {error}", self.name));
        let bytes = session.read_raw(&format!("out{WRITTEN}")).expect("an output");
        bytes.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]])).collect()
    }
}

fn bits(values: impl IntoIterator<Item = f32>) -> Vec<u32> {
    values.into_iter().map(f32::to_bits).collect()
}

/// Small whole numbers, whose sums are exact.
fn values(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|n| ((n * 37 + seed * 11) % 13) as f32 - 6.0).collect()
}

#[test]
fn matrices_of_8x8_multiply_rows_by_columns() {
    let (a, b) = (values(256, 1), values(256, 2));
    let buffers = [bits(a.clone()), vec![0; 256], bits(b.clone())];
    let module = Module {
        name: "cooperative-matrix",
        threads: [32, 1, 1],
        groups: [2, 2, 1],
        shared_bytes: 256,
        buffers: &buffers,
    };
    let product = (0..256).map(|n| (0..16).map(|k| a[n / 16 * 16 + k] * b[k * 16 + n % 16]).sum::<f32>());
    assert_eq!(module.run(), bits(product));
}

#[test]
fn lanes_of_a_simdgroup_add_up() {
    let src = values(350, 3);
    let buffers = [bits(src.clone()), vec![0; 5]];
    let module = Module {
        name: "subgroup-sum",
        threads: [32, 1, 1],
        groups: [5, 1, 1],
        shared_bytes: 0,
        buffers: &buffers,
    };
    let expected = src.chunks(70).map(|row| {
        let of_lane = |lane: usize| row.iter().skip(lane).step_by(32).sum::<f32>();
        // Lane 0 chooses between the sum of all and that of its neighbour.
        row.iter().sum::<f32>().max(of_lane(1))
    });
    assert_eq!(module.run(), bits(expected));
}

#[test]
fn threads_of_a_workgroup_exchange_through_its_memory() {
    let src: Vec<u32> = (0..192).collect();
    let buffers = [src, vec![0; 192]];
    let module = Module {
        name: "workgroup-barrier",
        threads: [8, 8, 1],
        groups: [3, 1, 1],
        shared_bytes: 256,
        buffers: &buffers,
    };
    let expected: Vec<u32> = (0..192).map(|n| n / 64 * 64 + n % 8 * 8 + n % 64 / 8).collect();
    assert_eq!(module.run(), expected);
}

#[test]
fn halves_are_packed_into_words() {
    let pack = |a: f32, b: f32| {
        u32::from(drift_runtime::f16::from_f32(a).to_bits())
            | u32::from(drift_runtime::f16::from_f32(b).to_bits()) << 16
    };
    let values: Vec<(f32, f32)> = (0..30).map(|n| (n as f32 * 0.25 - 3.0, n as f32 * 1.5)).collect();
    let buffers = [values.iter().map(|(a, b)| pack(*a, *b)).collect(), vec![0; 30]];
    let module = Module {
        name: "half-packed",
        threads: [15, 1, 1],
        groups: [1, 1, 1],
        shared_bytes: 0,
        buffers: &buffers,
    };
    let expected: Vec<u32> = values.iter().map(|(a, b)| pack(a * a, b * b)).collect();
    assert_eq!(module.run(), expected);
}

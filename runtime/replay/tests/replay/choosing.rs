//! Which entry, variant and device run, and what is said about the others.

use std::fs;

use drift_bundle::manifest::{DeviceElement, RegionKind, Requirement, Target};
use drift_runtime::{
    CacheUse, Device, DeviceKind, LoadOptions, OpenOptions, RuntimeError, devices, devices_of,
};

use crate::program::{Program, arena, dispatch, on_device, region};

const NEGATE: &str = "
    @group(0) @binding(0) var<storage, read_write> x: array<f32, 3>;
    @compute @workgroup_size(3) fn main(@builtin(global_invocation_id) at: vec3<u32>) { x[at.x] = -x[at.x]; }";

fn negate() -> Program {
    Program::new(256).f32_input("x", &[3], 0).f32_output("y", &[3], 0).dispatch(
        NEGATE,
        &[arena(0, 12)],
        [1, 1, 1],
    )
}

#[test]
fn devices_are_listed_with_their_limits() {
    let found = devices().expect("a driver is needed: apt install mesa-vulkan-drivers pocl-opencl-icd");
    for &kind in DeviceKind::HERE {
        let of_kind: Vec<usize> =
            found.iter().filter(|device| device.kind == kind).map(|device| device.index).collect();
        assert!(!of_kind.is_empty() && of_kind.iter().copied().eq(0..of_kind.len()), "{kind:?}: {of_kind:?}");
    }
    for device in &found {
        assert!(!device.name.is_empty());
        // What Vulkan guarantees.
        assert!(device.limits.workgroup_invocations >= 128 && device.limits.shared_bytes >= 16384);
        assert!(device.limits.storage_binding_bytes >= 1 << 27 && device.limits.storage_buffers >= 4);
        assert!(device.limits.buffer_bytes >= 1 << 30 && device.limits.memory_bytes > 0);
    }
}

#[test]
fn every_target_has_a_kind_of_device_that_is_listed() {
    for target in Target::ALL {
        let kind = DeviceKind::of(target);
        assert_eq!(kind.target(), target);
        assert!(DeviceKind::ALL.contains(&kind), "`DeviceKind::ALL` lacks {kind:?}");
        let elsewhere = matches!(devices_of(kind), Err(RuntimeError::NotOnThisPlatform { .. }));
        assert_eq!(DeviceKind::HERE.contains(&kind), !elsewhere, "`DeviceKind::HERE` and {kind:?}");
    }
}

#[test]
fn devices_open_by_index_and_by_name() {
    let open = |wanted: &str| {
        let options = OpenOptions { device: Some(wanted.to_owned()), ..OpenOptions::default() };
        Device::open_with(DeviceKind::Vulkan, &options)
    };
    let first = open("0").unwrap();
    let name = first.info().name.to_uppercase();
    assert_eq!(open(&name).unwrap().info().name, first.info().name);
    let error = open("no such device").unwrap_err();
    assert!(
        matches!(&error, RuntimeError::NoSuchDevice { available, .. } if !available.is_empty()),
        "{error}"
    );
}

#[test]
fn the_first_variant_whose_predicates_hold_runs() {
    on_device(|device| {
        let mut program = negate();
        let mut tuned = program.variant.clone();
        tuned.name = "tuned".to_owned();
        tuned.requires = vec![
            Requirement::CooperativeMatrix {
                m: 3,
                n: 5,
                k: 7,
                ab: DeviceElement::F16,
                c: DeviceElement::F32,
            },
            Requirement::SharedBytes(u32::MAX),
        ];
        program.entry.variants.push(tuned);
        let bundle = program.bundle();
        let session = device.load(&bundle).unwrap();
        let report = session.report();
        assert_eq!(report.variant, "generic");
        assert_eq!((report.declined.len(), report.declined[0].reasons.len()), (1, 2));
        let said = report.declined[0].to_string();
        assert!(said.starts_with("`tuned` declined (needs cooperative matrices of 3x"), "{said}");

        let options = LoadOptions { variant: Some("tuned".to_owned()), ..LoadOptions::default() };
        assert!(matches!(device.load_with(&bundle, &options), Err(RuntimeError::NoVariant { .. })));
        let options = LoadOptions { variant: Some("other".to_owned()), ..LoadOptions::default() };
        let error = device.load_with(&bundle, &options).unwrap_err().to_string();
        assert_eq!(error, "entry `main` has no variant `other`, only: tuned, generic");
    });
}

#[test]
fn what_exceeds_a_limit_is_declined_before_the_device_sees_it() {
    on_device(|device| {
        let limits = device.info().limits;
        let mut program = Program::new(256).f32_input("x", &[3], 0).f32_output("y", &[3], 0);
        let greedy = program.shader(NEGATE, |shader| shader.shared_bytes = limits.shared_bytes + 1);
        let wide = program.shader(NEGATE, |_| ());
        let mut shared = program.variant.clone();
        shared.name = "shared".to_owned();
        shared.dispatches.push(dispatch("conv", greedy, &[arena(0, 12)], [1, 1, 1]));
        let mut long = program.variant.clone();
        long.name = "long".to_owned();
        long.dispatches.push(dispatch("matmul", wide, &[arena(0, 12)], [1, 1, u32::MAX]));
        let mut large = program.variant.clone();
        large.name = "large".to_owned();
        large.regions[0].size = 1 << 47;
        program.entry.variants.extend([shared, long, large]);
        program.variant.dispatches.push(dispatch("negate", wide, &[arena(0, 12)], [1, 1, 1]));
        let session = device.load(&program.bundle()).unwrap();
        let said: Vec<String> = session.report().declined.iter().map(ToString::to_string).collect();
        assert_eq!(session.report().variant, "generic");
        let needed = format!("dispatch `conv` needs {} bytes of workgroup memory", limits.shared_bytes + 1);
        assert!(said[0].contains(&needed), "{}", said[0]);
        assert!(
            said[1].contains("dispatch `matmul` needs 4294967295 workgroups along an axis"),
            "{}",
            said[1]
        );
        assert!(said[2].contains("region 0 (arena) needs 140737488355328 bytes in a buffer"), "{}", said[2]);
    });
}

#[test]
fn derived_blobs_count_as_memory_of_the_device() {
    on_device(|device| {
        let most = device.info().limits.buffer_bytes;
        let mut program = negate();
        let mut large = program.variant.clone();
        large.name = "large".to_owned();
        large.regions.extend([256, most + 1].map(|size| region(RegionKind::Derived, size)));
        program.entry.variants.push(large);
        let session = device.load(&program.bundle()).unwrap();
        let said = session.report().declined[0].to_string();
        assert!(
            said.contains(&format!("region 2 (derived blob) needs {} bytes in a buffer", most + 1)),
            "{said}"
        );
        assert_eq!(session.report().variant, "generic");
    });
}

#[test]
fn a_variant_for_other_vendors_runs_only_where_that_is_waived() {
    on_device(|device| {
        let mut program = negate();
        program.variant.requires = vec![Requirement::Vendor(vec![!device.info().vendor_id])];
        let bundle = program.bundle();
        let error = device.load(&bundle).unwrap_err();
        assert!(matches!(error, RuntimeError::NoVariant { .. }), "{error}");
        assert!(error.to_string().contains("--any-vendor"), "{error}");
        let options = LoadOptions { any_vendor: true, ..LoadOptions::default() };
        let mut session = device.load_with(&bundle, &options).unwrap();
        session.write("x", &[1.0_f32, 2.0, -3.0]).unwrap();
        session.run().unwrap();
        assert_eq!(session.read::<f32>("y").unwrap(), [-1.0, -2.0, 3.0]);
    });
}

#[test]
fn staging_memory_is_held_to_its_limit() {
    on_device(|device| {
        let bundle = negate().bundle();
        // An input and an output, a buffer each.
        let load = |staging_bytes| {
            device.load_with(&bundle, &LoadOptions { staging_bytes, ..LoadOptions::default() })
        };
        assert!(load(512).is_ok());
        let error = load(511).unwrap_err();
        let expected = "inputs and outputs need 512 bytes between host and device, 511 are allowed";
        assert!(error.to_string().contains(expected), "{error}");
    });
}

#[test]
fn a_bundle_for_other_targets_says_what_it_holds() {
    on_device(|device| {
        let mut program = Program::new(256).f32_input("x", &[3], 0).f32_output("y", &[3], 0);
        program.entry.target = Target::Metal;
        let error = device.load(&program.bundle()).unwrap_err().to_string();
        assert_eq!(
            error,
            "the bundle holds nothing for `vulkan`, only: `main` for metal; compile it with `--target vulkan`"
        );
    });
}

#[test]
fn entries_are_chosen_by_name() {
    on_device(|device| {
        let mut program = negate();
        program.entry.name = "decode".to_owned();
        let bundle = program.bundle();
        assert_eq!(device.load(&bundle).unwrap().report().entry, "decode");
        let options = LoadOptions { entry: Some("prefill".to_owned()), ..LoadOptions::default() };
        let error = device.load_with(&bundle, &options).unwrap_err().to_string();
        assert_eq!(error, "the bundle has no entry `prefill` for `vulkan`, only: decode");
    });
}

#[test]
fn a_subgroup_size_is_asked_for_where_the_device_offers_it() {
    on_device(|device| {
        let lanes = device.info().features.subgroups.size;
        let mut program = Program::new(256).f32_input("x", &[3], 0).f32_output("y", &[3], 0);
        let shader = program.shader(NEGATE, |shader| shader.subgroup_size = Some(lanes));
        let odd = program.shader(NEGATE, |shader| shader.subgroup_size = Some(1));
        let mut other = program.variant.clone();
        other.name = "one lane".to_owned();
        other.dispatches.push(dispatch("negate", odd, &[arena(0, 12)], [1, 1, 1]));
        program.entry.variants.push(other);
        program.variant.requires.push(Requirement::SubgroupSize(lanes));
        program.variant.dispatches.push(dispatch("negate", shader, &[arena(0, 12)], [1, 1, 1]));
        let mut session = device.load(&program.bundle()).unwrap();
        assert_eq!(session.report().variant, "generic");
        assert!(session.report().declined[0].to_string().contains("lanes in a subgroup, exactly"));
        session.write("x", &[1.0_f32, -2.0, 0.5]).unwrap();
        session.run().unwrap();
        assert_eq!(session.read::<f32>("y").unwrap(), [-1.0, 2.0, -0.5]);
    });
}

#[test]
fn compiled_pipelines_are_kept_and_damaged_ones_replaced() {
    on_device(|device| {
        let folder = tempfile::tempdir().unwrap();
        let cache_dir = folder.path().join("not/there/yet");
        let bundle = negate().bundle();
        let options = LoadOptions { cache_dir: Some(cache_dir), ..LoadOptions::default() };
        let load = || {
            let mut session = device.load_with(&bundle, &options).unwrap();
            session.write("x", &[1.0_f32, -2.0, 0.5]).unwrap();
            session.run().unwrap();
            assert_eq!(session.read::<f32>("y").unwrap(), [-1.0, 2.0, -0.5]);
            session.report().cache.clone()
        };
        let CacheUse::Created(path) = load() else { panic!("no cache was written") };
        assert!(matches!(load(), CacheUse::Used(used) if used == path));
        let mut damaged = fs::read(&path).unwrap();
        let last = damaged.len() - 1;
        damaged[last] ^= 0xff;
        fs::write(&path, &damaged).unwrap();
        assert!(matches!(load(), CacheUse::Replaced(used) if used == path));
        assert!(matches!(load(), CacheUse::Used(used) if used == path));
        let only = fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(only, 1, "no temporary file is left");
    });
}

#[test]
fn a_cache_that_cannot_be_written_does_not_stop_a_load() {
    on_device(|device| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a file");
        fs::write(&file, b"").unwrap();
        let options = LoadOptions { cache_dir: Some(file), ..LoadOptions::default() };
        let session = device.load_with(&negate().bundle(), &options).unwrap();
        assert!(matches!(session.report().cache, CacheUse::Unwritable { .. }));
    });
}

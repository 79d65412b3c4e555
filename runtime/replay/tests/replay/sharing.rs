//! Entries that are loaded together share weights and memory, and take turns.

use drift_runtime::{LoadOptions, RuntimeError};

use crate::program::{FIRST, Program, arena, on_device, weight};
use drift_bundle::manifest::Resource;

const SCALE: &str = "
    @group(0) @binding(0) var<storage, read_write> x: array<f32, 3>;
    @group(0) @binding(1) var<storage, read_write> y: array<f32, 3>;
    @group(1) @binding(0) var<storage, read> by: array<f32, 3>;
    @compute @workgroup_size(3) fn main(@builtin(global_invocation_id) at: vec3<u32>) { y[at.x] = x[at.x] * by[at.x]; }";

const COUNT: &str = "
    @group(0) @binding(0) var<storage, read_write> state: array<f32, 3>;
    @compute @workgroup_size(3) fn main(@builtin(global_invocation_id) at: vec3<u32>) { state[at.x] += 1.0; }";

/// Two entries that scale by the same weight, with their tensors where the other has its own the other way round; and
/// one with state.
fn three_entries() -> drift_bundle::Bundle {
    let weight = || weight(0, 0, 12);
    Program::new(512)
        .f32_weight("by", &[1.0, 2.0, 3.0])
        .f32_input("x", &[3], 0)
        .f32_output("y", &[3], 256)
        .dispatch(SCALE, &[arena(0, 12), arena(256, 12), weight()], [1, 1, 1])
        .then("second", 768)
        .f32_input("x", &[3], 256)
        .f32_output("y", &[3], 0)
        .dispatch(SCALE, &[arena(256, 12), arena(0, 12), weight()], [1, 1, 1])
        .then("count", 256)
        .f32_input("before", &[3], 0)
        .f32_output("after", &[3], 0)
        .dispatch(COUNT, &[arena(0, 12)], [1, 1, 1])
        .bundle()
}

#[test]
fn entries_share_memory_and_weights_and_state_is_left_alone() {
    on_device(|device| {
        let entries = ["main", "second", "count"];
        let mut sessions = device.load_entries(&three_entries(), &entries, &LoadOptions::default()).unwrap();
        let bytes: Vec<(u64, u64)> =
            sessions.iter().map(|s| (s.report().bytes.arena, s.report().bytes.weights)).collect();
        assert_eq!(bytes, [(768, 12), (768, 12), (256, 12)]);
        let [main, second, count] = &mut sessions[..] else { panic!("three entries") };
        main.write("x", &[1.0_f32; 3]).unwrap();
        second.write("x", &[5.0_f32; 3]).unwrap();
        for round in 1..4 {
            // Nothing is written again: inputs that the other entry wrote over are uploaded once more.
            main.run().unwrap();
            assert_eq!(main.read::<f32>("y").unwrap(), [1.0, 2.0, 3.0]);
            second.run().unwrap();
            count.run().unwrap();
            assert_eq!(second.read::<f32>("y").unwrap(), [5.0, 10.0, 15.0]);
            assert_eq!(count.read::<f32>("after").unwrap(), [round as f32; 3]);
            let error = main.read::<f32>("y").unwrap_err();
            assert!(matches!(&error, RuntimeError::Overwritten { entry } if entry == "main"), "{error}");
        }
    });
}

const DOUBLE: &str = "
    @group(0) @binding(0) var<storage, read_write> made: array<f32, 3>;
    @group(1) @binding(0) var<storage, read> by: array<f32, 3>;
    @compute @workgroup_size(3) fn main(@builtin(global_invocation_id) at: vec3<u32>) { made[at.x] = 2.0 * by[at.x]; }";

/// Entries whose init programs make derived blobs of one weight, and one whose init program leaves its result in the arena.
fn entries_with_init() -> drift_bundle::Bundle {
    let weight = || weight(0, 0, 12);
    let derived = || Resource::bytes(FIRST, 0, 12);
    Program::new(512)
        .f32_weight("by", &[1.0, 2.0, 3.0])
        .derived(12)
        .f32_input("x", &[3], 0)
        .f32_output("y", &[3], 256)
        .init(DOUBLE, &[derived(), weight()], [1, 1, 1])
        .dispatch(SCALE, &[arena(0, 12), arena(256, 12), derived()], [1, 1, 1])
        .then("second", 512)
        .derived(12)
        .f32_input("x", &[3], 256)
        .f32_output("y", &[3], 0)
        .init(DOUBLE, &[derived(), weight()], [1, 1, 1])
        .dispatch(SCALE, &[arena(256, 12), arena(0, 12), derived()], [1, 1, 1])
        .then("in the arena", 768)
        .f32_input("x", &[3], 256)
        .f32_output("y", &[3], 512)
        .init(DOUBLE, &[arena(0, 12), weight()], [1, 1, 1])
        .dispatch(SCALE, &[arena(256, 12), arena(512, 12), arena(0, 12)], [1, 1, 1])
        .bundle()
}

#[test]
fn derived_blobs_are_each_entrys_own_and_do_not_keep_it_from_sharing() {
    on_device(|device| {
        let entries = ["main", "second", "in the arena"];
        let mut sessions =
            device.load_entries(&entries_with_init(), &entries, &LoadOptions::default()).unwrap();
        let bytes: Vec<_> = sessions.iter().map(|s| s.report().bytes).collect();
        let taken: Vec<_> = bytes.iter().map(|b| (b.arena, b.weights, b.derived)).collect();
        assert_eq!(taken, [(512, 0, 12), (512, 0, 12), (768, 0, 0)], "nothing of the weight is left");
        for round in 1..3 {
            for session in &mut sessions {
                session.write("x", &[round as f32; 3]).unwrap();
                session.run().unwrap();
                assert_eq!(session.read::<f32>("y").unwrap(), [2.0, 4.0, 6.0].map(|y| y * round as f32));
            }
        }
    });
}

#[test]
fn sessions_that_share_memory_may_run_on_several_threads() {
    on_device(|device| {
        let sessions = device.load_entries(&three_entries(), &["main", "second"], &LoadOptions::default());
        std::thread::scope(|scope| {
            for mut session in sessions.unwrap() {
                scope.spawn(move || {
                    for round in 0..50 {
                        let x = round as f32;
                        session.write("x", &[x; 3]).unwrap();
                        session.run().unwrap();
                        match session.read::<f32>("y") {
                            Ok(y) => assert_eq!(y, [x, 2.0 * x, 3.0 * x]),
                            Err(error) => {
                                assert!(matches!(error, RuntimeError::Overwritten { .. }), "{error}")
                            }
                        }
                    }
                });
            }
        });
    });
}

#[test]
fn an_entry_that_is_not_there_stops_the_load_of_all() {
    on_device(|device| {
        let error = device.load_entries(&three_entries(), &["main", "third"], &LoadOptions::default());
        assert_eq!(
            error.unwrap_err().to_string(),
            "the bundle has no entry `third` for `vulkan`, only: main, second, count"
        );
    });
}

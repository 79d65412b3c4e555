//! Kernels that outlast their callers' patience: timeouts come on time, for every session, nothing is destroyed under a
//! kernel that runs, and a device that does not finish is given up. What never ends runs in a process of its own.
#![expect(clippy::unwrap_used, reason = "a test helper fails by panicking")]

use std::time::{Duration, Instant};

use drift_bundle::Bundle;
use drift_bundle::manifest::Resource;
use drift_runtime::{Device, DeviceKind, LoadOptions, OpenOptions, RuntimeError, Session};

use crate::child;
use crate::program::{FIRST, Program, SECOND, arena, state};

/// Set in the child to the name of what it does.
const CHILD: &str = "DRIFT_TEST_ENDLESS";

const FINE: &str = "
    @group(0) @binding(0) var<storage, read> x: array<f32, 3>;
    @group(0) @binding(1) var<storage, read_write> y: array<f32, 3>;
    @compute @workgroup_size(3) fn main(@builtin(global_invocation_id) at: vec3<u32>) { y[at.x] = 2.0 * x[at.x]; }";

/// Software drivers end an invocation's loops after some ten thousand rounds in all, so that only many workgroups take
/// long.
const LONG: &str = "
    @group(0) @binding(0) var<storage, read_write> x: array<f32, 3>;
    @group(0) @binding(1) var<storage, read_write> y: array<f32, 3>;
    @compute @workgroup_size(3) fn main(@builtin(local_invocation_id) at: vec3<u32>) {
        for (var i = 0u; i < 30000u; i++) { y[at.x] = y[at.x] * x[at.x] + 1.0; }
    }";

/// Months on any device.
const ENDLESS: [u32; 3] = [65_535, 65_535, 1];

fn bundle(kernel: &str, workgroups: [u32; 3]) -> Bundle {
    Program::new(512)
        .f32_input("x", &[3], 0)
        .f32_output("y", &[3], 256)
        .dispatch(kernel, &[arena(0, 12), arena(256, 12)], workgroups)
        .bundle()
}

fn fine() -> Bundle {
    bundle(FINE, [1, 1, 1])
}

fn endless_at_load() -> Bundle {
    let derived = || Resource::bytes(FIRST, 0, 12);
    Program::new(512)
        .derived(12)
        .f32_input("x", &[3], 0)
        .f32_output("y", &[3], 256)
        .init(LONG, &[arena(0, 12), derived()], ENDLESS)
        .dispatch(FINE, &[derived(), arena(256, 12)], [1, 1, 1])
        .bundle()
}

fn open(grace: Duration, validation: bool) -> Device {
    let options = OpenOptions { grace, validation, ..OpenOptions::default() };
    Device::open_with(DeviceKind::Vulkan, &options).unwrap()
}

fn load(device: &Device, bundle: &Bundle, timeout: Duration) -> Session {
    let mut session = device.load_with(bundle, &LoadOptions { timeout, ..LoadOptions::default() }).unwrap();
    session.write("x", &[1.0_f32, 2.0, 3.0]).unwrap();
    session
}

/// What `call` returns, which it does within two seconds.
#[track_caller]
fn soon<T>(call: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = call();
    assert!(start.elapsed() < Duration::from_secs(2), "took {:?}", start.elapsed());
    result
}

#[track_caller]
fn lost<T>(call: impl FnOnce() -> Result<T, RuntimeError>) {
    let error = soon(call).map(drop).unwrap_err();
    assert!(matches!(error, RuntimeError::DeviceLost { .. }), "{error}");
}

#[track_caller]
fn timed_out<T>(call: impl FnOnce() -> Result<T, RuntimeError>) {
    let error = soon(call).map(drop).unwrap_err();
    assert!(matches!(error, RuntimeError::Timeout { .. }), "{error}");
}

/// Runs `child` in another process, which has to end by itself and well.
fn in_a_child(name: &str, child: impl FnOnce()) {
    if std::env::var(CHILD).is_ok_and(|wanted| wanted == name) {
        return child();
    }
    let output = child::run(&format!("endless::{name}"), (CHILD, name));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{}\n{said}", output.status);
}

#[test]
fn an_endless_kernel_stops_nobody_for_longer_than_asked() {
    in_a_child("an_endless_kernel_stops_nobody_for_longer_than_asked", || {
        let (fine, endless) = (fine(), bundle(LONG, ENDLESS));
        let device = open(Duration::from_millis(700), false);
        let mut other = load(&device, &fine, Duration::from_millis(100));
        let mut third = load(&device, &fine, Duration::from_secs(600));
        // A busy machine may need longer than the timeout of the others.
        let mut first = load(&device, &fine, Duration::from_secs(30));
        first.run().unwrap();
        assert_eq!(first.read::<f32>("y").unwrap(), [2.0, 4.0, 6.0]);
        drop(first);
        let mut stuck = load(&device, &endless, Duration::from_millis(200));
        timed_out(|| stuck.run());
        // The device may still read its inputs.
        let error = soon(|| stuck.write("x", &[0.0_f32; 3])).unwrap_err();
        assert!(matches!(error, RuntimeError::Failed), "{error}");
        let error = soon(|| stuck.reset_state()).unwrap_err();
        assert!(matches!(error, RuntimeError::Failed), "{error}");
        // In its grace the device takes work, and others' timeouts are their own.
        timed_out(|| other.run());
        // A wait that began in it ends with it.
        lost(|| third.run());
        lost(|| other.write("x", &[0.0_f32; 3]));
        lost(|| third.read::<f32>("y"));
        lost(|| stuck.run());
        lost(|| device.load(&fine));
        soon(|| drop(stuck));
        soon(|| drop((other, third)));
        soon(|| drop(device));
        // Opened anew it works, whatever still runs.
        let device = open(Duration::from_millis(700), false);
        let mut again = load(&device, &fine, Duration::from_secs(30));
        again.run().unwrap();
        assert_eq!(again.read::<f32>("y").unwrap(), [2.0, 4.0, 6.0]);
    });
}

/// An entry that doubles a state, and one that never ends with it.
fn endless_with_state() -> Bundle {
    let bytes = |region| Resource::bytes(region, 0, 12);
    Program::new(512)
        .region(state("shared", &[3]), 12)
        .region(state("own", &[3]), 12)
        .f32_output("y", &[3], 256)
        .dispatch(FINE, &[bytes(FIRST), arena(256, 12)], [1, 1, 1])
        .then("endless", 512)
        .region(state("apart", &[3]), 12)
        .region(state("shared", &[3]), 12)
        .f32_output("y", &[3], 256)
        .dispatch(LONG, &[bytes(SECOND), arena(256, 12)], ENDLESS)
        .bundle()
}

#[test]
fn a_state_that_a_run_was_not_seen_to_finish_is_not_read() {
    in_a_child("a_state_that_a_run_was_not_seen_to_finish_is_not_read", || {
        let device = open(Duration::from_secs(30), false);
        let options = LoadOptions { timeout: Duration::from_millis(200), ..LoadOptions::default() };
        let mut sessions =
            device.load_entries(&endless_with_state(), &["main", "endless", "main"], &options).unwrap();
        let [fine, stuck, other] = &mut sessions[..] else { panic!("three sessions") };
        timed_out(|| stuck.run());
        let torn = |result: Result<(), RuntimeError>| {
            let error = result.unwrap_err();
            assert!(matches!(&error, RuntimeError::StateTorn { state, .. } if state == "shared"), "{error}");
        };
        torn(soon(|| fine.run()));
        torn(soon(|| fine.read_state("shared").map(drop)));
        // What was not written is waited for, with a deadline of its own, and so is what would replace the state.
        timed_out(|| fine.read_state("own"));
        timed_out(|| other.write_state("shared", &[0; 12]));
        let error = soon(|| stuck.read_state("apart")).unwrap_err();
        assert!(matches!(error, RuntimeError::Failed), "{error}");
        // The device is busy, and left so.
        std::mem::forget((sessions, device));
    });
}

#[test]
fn a_device_that_is_closed_while_busy_is_waited_for_and_then_left() {
    in_a_child("a_device_that_is_closed_while_busy_is_waited_for_and_then_left", || {
        let device = open(Duration::from_millis(300), false);
        let mut stuck = load(&device, &bundle(LONG, ENDLESS), Duration::from_millis(50));
        timed_out(|| stuck.run());
        soon(|| drop((stuck, device)));
    });
}

#[test]
fn a_load_is_bounded_too() {
    in_a_child("a_load_is_bounded_too", || {
        let device = open(Duration::from_millis(100), false);
        let options = LoadOptions { load_timeout: Duration::from_millis(200), ..LoadOptions::default() };
        timed_out(|| device.load_with(&endless_at_load(), &options));
        std::thread::sleep(Duration::from_millis(100));
        lost(|| device.load(&fine()));
        soon(|| drop(device));
    });
}

#[test]
fn a_load_without_time_left_compiles_nothing() {
    let device = open(Duration::from_secs(60), true);
    let options = LoadOptions { load_timeout: Duration::ZERO, ..LoadOptions::default() };
    timed_out(|| device.load_with(&fine(), &options));
    assert!(device.load(&fine()).is_ok(), "nothing was submitted, so nothing is overdue");
}

#[test]
fn what_finishes_in_its_grace_does_no_harm_even_when_its_session_is_gone() {
    let (fine, slow) = (fine(), bundle(LONG, [5000, 1, 1]));
    let device = open(Duration::from_secs(300), true);
    let log = device.validation_log();
    let mut other = load(&device, &fine, Duration::from_secs(300));
    let mut stuck = load(&device, &slow, Duration::from_millis(1));
    let error = stuck.run().unwrap_err();
    assert!(matches!(error, RuntimeError::Timeout { .. }), "{error}");
    // Its memory, pipelines and commands are in use; the validation layer would see them destroyed.
    soon(|| drop(stuck));
    other.run().unwrap();
    assert_eq!(other.read::<f32>("y").unwrap(), [2.0, 4.0, 6.0]);
    assert!(device.load(&fine).is_ok());
    drop((other, device));
    assert_eq!(log.messages(), [""; 0]);
}

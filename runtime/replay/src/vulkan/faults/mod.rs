//! Every Vulkan call that can fail is made to fail, once with each code that it may return, from opening a device to closing
//! it: an error with a name comes out, nothing leaks, and other sessions go on.

mod shims;

#[expect(dead_code, reason = "the tests of whole programs use more of it")]
#[path = "../../../tests/replay/program.rs"]
mod program;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ash::vk;
use drift_bundle::Bundle;
use drift_bundle::manifest::{BindingKind, DeviceElement, RegionId, Resource, TextureKind, TextureObject};

use super::instance::Instance;
use crate::device::Device;
use crate::error::RuntimeError;
use crate::options::{LoadOptions, OpenOptions, SubmitLimits};
use crate::session::Session;
use crate::validation_log::ValidationLog;
use program::{ARENA, FIRST, Program, SECOND, arena, dispatch, weight};
use shims::{Fault, Hit, counting, failing};

const DERIVE: &str = "
    @group(1) @binding(0) var<storage, read> w: array<f32, 4>;
    @group(0) @binding(0) var<storage, read_write> twice: array<f32, 4>;
    @compute @workgroup_size(4) fn main(@builtin(global_invocation_id) at: vec3<u32>) { twice[at.x] = 2.0 * w[at.x]; }";

const FILL: &str = "
    @group(0) @binding(0) var<storage, read> x: array<vec4<f32>, 1>;
    @group(0) @binding(1) var t: texture_storage_2d<rgba32float, write>;
    @compute @workgroup_size(1) fn main() { textureStore(t, vec2<u32>(0u, 0u), x[0]); }";

const ADD: &str = "
    @group(0) @binding(0) var t: texture_2d<f32>;
    @group(1) @binding(0) var w: texture_2d<f32>;
    @group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>, 1>;
    @compute @workgroup_size(1) fn main() {
        y[0] = textureLoad(t, vec2<u32>(0u, 0u), 0) + textureLoad(w, vec2<u32>(0u, 0u), 0);
    }";

const ADD_TEXELS: &str = "
    @group(0) @binding(0) var x: texture_1d<f32>;
    @group(1) @binding(0) var w: texture_1d<f32>;
    @group(0) @binding(1) var y: texture_storage_1d<rgba32float, write>;
    @compute @workgroup_size(1) fn main() { textureStore(y, 0u, textureLoad(x, 0u, 0) + textureLoad(w, 0u, 0)); }";

const X: [f32; 4] = [1.0, 2.0, 3.0, 4.0];
const Y: [f32; 4] = [113.0, 226.0, 339.0, 452.0];

/// A program with every kind of resource, an init program and weights that pass through staging.
fn bundle() -> Bundle {
    let element = DeviceElement::F32;
    let texture = TextureObject { kind: TextureKind::D2, element, extent_px: [1; 3] };
    let mut program = Program::new(768)
        .f32_weight("w", &[1.0, 2.0, 3.0, 4.0].map(|w: f32| w * 6.0))
        .f32_weight("v", &[100.0, 200.0, 300.0, 400.0])
        .derived(16)
        .texture(TextureKind::D2, element, [1; 3])
        .f32_input("x", &[4], 0)
        .f32_output("y", &[4], 512)
        .init(DERIVE, &[weight(0, 0, 16), Resource::bytes(FIRST, 0, 16)], [1, 1, 1]);
    let fill = program.shader(FILL, |_| ());
    let add = program.shader(ADD, |shader| {
        for slot in shader.bindings.iter_mut().filter(|slot| matches!(slot.kind, BindingKind::Texture { .. }))
        {
            slot.kind = BindingKind::Texture { kind: TextureKind::D2, element };
        }
    });
    let weights = Resource::texture(RegionId::Weight(1), 0, texture);
    program.variant.dispatches.extend([
        dispatch("fill", fill, &[arena(0, 16), Resource::texture(SECOND, 0, texture)], [1, 1, 1]),
        dispatch("add", add, &[Resource::texture(SECOND, 0, texture), weights, arena(256, 16)], [1, 1, 1]),
    ]);
    let texels = |offset| Resource::texels(ARENA, element, offset, 16);
    let derived = Resource::texels(FIRST, element, 0, 16);
    program.dispatch(ADD_TEXELS, &[texels(256), derived, texels(512)], [1, 1, 1]).bundle()
}

/// Tests that make calls fail take turns.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens a device whose calls can be made to fail; the log is there as soon as there is an instance.
fn open(log: &mut Option<ValidationLog>) -> Result<Device, RuntimeError> {
    let instance = Instance::on(shims::entry(), true)?;
    *log = Some(instance.validation_log());
    let options = OpenOptions { grace: Duration::from_millis(500), ..OpenOptions::default() };
    Ok(Device::over(Arc::new(super::open_on(Arc::new(instance), &options)?)))
}

/// A device on which one session is there before anything fails.
struct Machine {
    other: Session,
    device: Device,
    log: ValidationLog,
}

impl Machine {
    fn new(bundle: &Bundle) -> Self {
        let mut log = None;
        let device = open(&mut log).unwrap();
        let other = device.load(bundle).unwrap();
        Self { other, device, log: log.unwrap() }
    }

    /// Closes it, and asserts that the validation layer has seen nothing wrong, leaks included.
    fn close(self) {
        let Self { other, device, log } = self;
        assert!(log.is_active(), "the validation layer is needed: apt install vulkan-validationlayers");
        drop((other, device));
        assert_eq!(log.messages(), [""; 0]);
    }
}

/// One dispatch a submission, timestamps, a pipeline cache.
fn options(cache: &std::path::Path) -> LoadOptions {
    LoadOptions {
        cache_dir: Some(cache.to_owned()),
        timestamps: true,
        submit: SubmitLimits { dispatches: 1, ..SubmitLimits::default() },
        ..LoadOptions::default()
    }
}

/// Writes, runs and reads: right numbers or an error.
fn used(session: &mut Session) -> Result<(), RuntimeError> {
    session.write("x", &X)?;
    session.run()?;
    assert_eq!(session.read::<f32>("y")?, Y);
    match session.timings() {
        Err(RuntimeError::NoTimings { .. }) => Ok(()),
        timings => timings.map(drop),
    }
}

/// Loads and uses a session; one that fails is used once more.
fn through(device: &Device, bundle: &Bundle, options: &LoadOptions) -> Result<(), RuntimeError> {
    let mut session = device.load_with(bundle, options)?;
    let first = used(&mut session);
    if first.is_err() {
        // Wrong numbers panic.
        let _ = used(&mut session);
    }
    first
}

/// Whether an error says what the code said.
#[track_caller]
fn fits(hit: Hit, result: Result<(), RuntimeError>) {
    let is_typed = match (hit.code, &result) {
        // Asked again, or only a look.
        (vk::Result::TIMEOUT | vk::Result::NOT_READY, result) => result.is_ok(),
        (_, Ok(())) => hit.name == "vkGetFenceStatus",
        (
            vk::Result::ERROR_OUT_OF_HOST_MEMORY
            | vk::Result::ERROR_OUT_OF_DEVICE_MEMORY
            | vk::Result::ERROR_OUT_OF_POOL_MEMORY
            | vk::Result::ERROR_FRAGMENTED_POOL
            | vk::Result::ERROR_TOO_MANY_OBJECTS,
            Err(error),
        ) => matches!(error, RuntimeError::OutOfMemory { .. }),
        (vk::Result::ERROR_DEVICE_LOST, Err(error)) => matches!(error, RuntimeError::DeviceLost { .. }),
        (_, Err(error)) => matches!(error, RuntimeError::Driver { .. } | RuntimeError::NoDriver { .. }),
    };
    assert!(is_typed, "{hit:?}: {result:?}");
}

#[test]
fn a_call_that_fails_fails_its_session_and_no_other() {
    let _turn = turn();
    let (bundle, cache) = (bundle(), tempfile::tempdir().unwrap());
    let options = options(cache.path());
    let mut machine = Machine::new(&bundle);
    let (whole, calls) = counting(|| through(&machine.device, &bundle, &options));
    whole.unwrap();
    let calls = calls.len();
    assert!(calls > 80, "{calls}");
    let (mut names, mut faults) = (std::collections::BTreeSet::new(), 0);
    for at in 0..calls {
        for code in 0.. {
            // A device that is lost stays lost.
            let fault = Fault { at, code, lasts: false };
            let (result, hit) = failing(fault, || through(&machine.device, &bundle, &options));
            let Some(hit) = hit else { break };
            faults += 1;
            names.insert(hit.name);
            fits(hit, result);
            if hit.code == vk::Result::ERROR_DEVICE_LOST {
                std::mem::replace(&mut machine, Machine::new(&bundle)).close();
            } else {
                used(&mut machine.other)
                    .unwrap_or_else(|error| panic!("{hit:?}, then another session: {error}"));
            }
        }
    }
    through(&machine.device, &bundle, &options).unwrap();
    machine.close();
    assert!(names.len() > 20 && faults > 2 * calls, "{faults} faults of {names:?}");
}

#[test]
fn a_device_that_fails_to_open_leaves_nothing_behind() {
    let _turn = turn();
    let (opened, calls) = counting(|| open(&mut None));
    drop(opened.unwrap());
    let calls = calls.len();
    assert!(calls > 8, "{calls}");
    for at in 0..calls {
        for code in 0.. {
            let mut log = None;
            let fault = Fault { at, code, lasts: false };
            let (opened, hit) = failing(fault, || open(&mut log).map(drop));
            let Some(hit) = hit else { break };
            fits(hit, opened);
            assert_eq!(log.map_or(Vec::new(), |log| log.messages()), [""; 0], "{hit:?}");
        }
    }
    Machine::new(&bundle()).close();
}

#[test]
fn work_that_is_never_seen_to_end_times_out_and_a_lost_device_stays_lost() {
    let _turn = turn();
    let (bundle, cache) = (bundle(), tempfile::tempdir().unwrap());
    let patience = Duration::from_millis(300);
    let options = LoadOptions { timeout: patience, load_timeout: patience, ..options(cache.path()) };
    let (whole, calls) = {
        let machine = Machine::new(&bundle);
        let counted = counting(|| through(&machine.device, &bundle, &options));
        machine.close();
        counted
    };
    whole.unwrap();
    let waits = calls.iter().zip(0..).filter(|(name, _)| **name == "vkWaitForFences").map(|(_, at)| at);
    let waits: Vec<usize> = waits.collect();
    assert!(waits.len() >= 4, "{waits:?}");
    for (at, code) in waits.into_iter().flat_map(|at| [(at, 2), (at, 3)]) {
        let machine = Machine::new(&bundle);
        let fault = Fault { at, code, lasts: true };
        let (result, hit) = failing(fault, || through(&machine.device, &bundle, &options));
        let expected = match hit.map(|hit| hit.code) {
            Some(vk::Result::TIMEOUT) => matches!(result, Err(RuntimeError::Timeout { .. })),
            Some(vk::Result::ERROR_DEVICE_LOST) => matches!(result, Err(RuntimeError::DeviceLost { .. })),
            _ => false,
        };
        assert!(expected, "{hit:?}: {result:?}");
        machine.close();
    }
}

/// A session whose wait fails leaves its work to the closing of the device, where calls can fail as well.
#[test]
fn a_busy_device_whose_closing_fails_is_left_or_closed_without_a_leak() {
    let _turn = turn();
    let bundle = bundle();
    let mut hits = 0;
    for (at, code) in (0..3).flat_map(|at| (0..4).map(move |code| (at, code))) {
        let Machine { mut other, device, log } = Machine::new(&bundle);
        let (used, calls) = counting(|| used(&mut other));
        used.unwrap();
        let wait = calls.iter().position(|name| *name == "vkWaitForFences").unwrap();
        let fault = Fault { at: wait, code: 0, lasts: false };
        let (result, hit) = failing(fault, || self::used(&mut other));
        fits(hit.unwrap(), result);
        let ((), hit) = failing(Fault { at, code, lasts: false }, || drop((other, device)));
        hits += usize::from(hit.is_some());
        assert_eq!(log.messages(), [""; 0], "{hit:?}");
    }
    // A fence is made, submitted and waited for.
    assert_eq!(hits, 2 + 3 + 4);
}

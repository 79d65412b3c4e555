//! Inputs and outputs: types, checks, and how long values live.

use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};

use drift_bundle::manifest::{DeviceElement, HostElement};
use drift_bundle::{Bundle, BundleError, Section};
use drift_runtime::{LoadOptions, RuntimeError};

use crate::program::{Program, arena, on_device, weight};

const COPY_AND_CLOBBER: &str = "
    @group(0) @binding(0) var<storage, read_write> x: array<f32, 3>;
    @group(0) @binding(1) var<storage, read_write> y: array<f32, 3>;
    @compute @workgroup_size(3) fn main(@builtin(global_invocation_id) at: vec3<u32>) { y[at.x] = x[at.x]; x[at.x] = -1.0; }";

const ADD_TO_STATE: &str = "
    @group(0) @binding(0) var<storage, read_write> state: array<f32, 3>;
    @group(0) @binding(1) var<storage, read> x: array<f32, 3>;
    @compute @workgroup_size(3) fn main(@builtin(global_invocation_id) at: vec3<u32>) { state[at.x] += x[at.x]; }";

fn identity(host: HostElement, device: DeviceElement) -> Bundle {
    Program::new(256).input("x", host, &[2, 2], 0, device).output("y", host, &[4], 0, device).bundle()
}

#[test]
fn what_an_app_keeps_may_be_used_by_its_threads() {
    fn is_sent<T: Send>() {}
    fn is_shared<T: Send + Sync>() {}
    is_sent::<drift_runtime::Session>();
    is_shared::<drift_runtime::Device>();
    is_shared::<drift_runtime::Bundle>();
    is_shared::<drift_runtime::RuntimeError>();
}

#[test]
fn every_element_type_goes_in_and_out_typed_and_raw() {
    macro_rules! check {
        ($device:expr, $type:ty, $host:ident, $element:ident, $values:expr) => {{
            let mut session = $device.load(&identity(HostElement::$host, DeviceElement::$element)).unwrap();
            let values: [$type; 4] = $values;
            session.write("x", &values).unwrap();
            session.run().unwrap();
            assert_eq!(session.read::<$type>("y").unwrap(), values);
            let mut mine = [<$type>::default(); 4];
            session.read_into("y", &mut mine).unwrap();
            assert_eq!(mine, values);
            assert!(matches!(session.read_into("y", &mut mine[1..]), Err(RuntimeError::Length { .. })));
            let raw = session.read_raw("y").unwrap();
            assert_eq!(raw.len() as u64, 4 * HostElement::$host.size_bytes());
            session.write_raw("x", &raw).unwrap();
            session.run().unwrap();
            assert_eq!(session.read_raw("y").unwrap(), raw);
            assert_eq!(session.read::<$type>("y").unwrap(), values);
        }};
    }
    on_device(|device| {
        check!(device, f32, F32, F32, [0.0, -1.5, f32::MAX, 1e-30]);
        check!(device, f32, F32, F16, [0.0, -1.5, 65504.0, 0.25]);
        check!(device, half::f16, F16, F32, [0.0, -1.5, 65504.0, 0.25].map(half::f16::from_f32));
        check!(device, i64, I64, I32, [0, -1, i64::from(i32::MIN), i64::from(i32::MAX)]);
        check!(device, i32, I32, I32, [0, -1, i32::MIN, i32::MAX]);
        check!(device, i8, I8, I32, [0, -1, i8::MIN, i8::MAX]);
        check!(device, u8, U8, U32, [0, 1, 128, 255]);
        check!(device, bool, Bool, U32, [true, false, false, true]);
    });
}

#[test]
fn mistakes_are_named() {
    on_device(|device| {
        let mut session = device.load(&identity(HostElement::I64, DeviceElement::I32)).unwrap();
        let message = |result: Result<(), RuntimeError>| result.unwrap_err().to_string();
        assert_eq!(message(session.write("z", &[1_i64])), "entry `main` has no input `z`, only: x");
        assert_eq!(
            message(session.write("x", &[1_i32; 4])),
            "`x` holds I64 values, I32 were given or asked for"
        );
        assert_eq!(
            message(session.write("x", &[1_i64; 5])),
            "`x` has shape [2, 2], which is 4 values; 5 were given"
        );
        assert_eq!(
            message(session.write_raw("x", &[0; 31])),
            "`x` has shape [2, 2], which is 32 bytes; 31 were given"
        );
        assert_eq!(
            message(session.write("x", &[0, 1, 1_i64 << 40, 3])),
            "`x`: element 2 is 1099511627776, outside the 32-bit range that devices compute with"
        );
        assert_eq!(
            message(session.read::<f32>("y").map(drop)),
            "`y` holds I64 values, F32 were given or asked for"
        );
        assert_eq!(message(session.read::<i64>("x").map(drop)), "entry `main` has no output `x`, only: y");
    });
}

#[test]
fn order_of_calls_matters() {
    on_device(|device| {
        let bundle = Program::new(512)
            .f32_input("x", &[3], 0)
            .f32_output("y", &[3], 256)
            .dispatch(COPY_AND_CLOBBER, &[arena(0, 12), arena(256, 12)], [1, 1, 1])
            .bundle();
        let mut session = device.load(&bundle).unwrap();
        assert!(matches!(session.read::<f32>("y"), Err(RuntimeError::NotRun)));
        assert!(matches!(session.timings(), Err(RuntimeError::NotRun)));
        let error = session.run().unwrap_err();
        assert_eq!(error.to_string(), "input `x` was never written; call `write` before `run`");
        session.write("x", &[1.0_f32; 3]).unwrap();
        session.run().unwrap();
        assert!(matches!(session.timings(), Err(RuntimeError::NoTimings { .. })));
    });
}

#[test]
fn an_input_keeps_its_values_though_the_program_writes_over_it() {
    on_device(|device| {
        let bundle = Program::new(512)
            .f32_input("x", &[3], 0)
            .f32_output("y", &[3], 256)
            .dispatch(COPY_AND_CLOBBER, &[arena(0, 12), arena(256, 12)], [1, 1, 1])
            .bundle();
        let mut session = device.load(&bundle).unwrap();
        session.write("x", &[1.0_f32, 2.0, 3.0]).unwrap();
        for _ in 0..3 {
            session.run().unwrap();
            assert_eq!(session.read::<f32>("y").unwrap(), [1.0, 2.0, 3.0]);
        }
    });
}

#[test]
fn state_starts_at_zero_goes_on_and_can_be_set() {
    on_device(|device| {
        let bundle = Program::new(512)
            .f32_input("state", &[3], 0)
            .f32_input("x", &[3], 256)
            .f32_output("next", &[3], 0)
            .dispatch(ADD_TO_STATE, &[arena(0, 12), arena(256, 12)], [1, 1, 1])
            .bundle();
        let mut session = device.load(&bundle).unwrap();
        session.write("x", &[1.0_f32, 2.0, 3.0]).unwrap();
        session.run().unwrap();
        session.run().unwrap();
        assert_eq!(session.read::<f32>("next").unwrap(), [2.0, 4.0, 6.0]);
        session.write("state", &[100.0_f32, 0.0, 0.0]).unwrap();
        session.run().unwrap();
        session.run().unwrap();
        assert_eq!(session.read::<f32>("next").unwrap(), [102.0, 4.0, 6.0]);
    });
}

#[test]
fn tensors_without_elements_are_fine() {
    on_device(|device| {
        let bundle = Program::new(256).f32_input("x", &[0, 3], 0).f32_output("y", &[0], 0).bundle();
        let mut session = device.load(&bundle).unwrap();
        session.run().unwrap();
        assert!(session.read::<f32>("y").unwrap().is_empty());
    });
}

const ADD: &str = "
    @group(0) @binding(0) var<storage, read_write> y: array<f32, 64>;
    @group(1) @binding(0) var<storage, read> by: array<f32, 64>;
    @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) at: vec3<u32>) { y[at.x] += by[at.x]; }";

#[test]
fn a_file_that_changes_after_it_was_opened_is_refused_at_load() {
    on_device(|device| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.drift");
        let opened = || {
            let weight = weight(0, 0, 256);
            Program::new(256)
                .f32_weight("by", &[1.0; 64])
                .f32_input("x", &[64], 0)
                .f32_output("y", &[64], 0)
                .dispatch(ADD, &[arena(0, 256), weight], [1, 1, 1])
                .stored(&path)
        };
        let write = || OpenOptions::new().write(true).open(&path).unwrap();
        let load = |bundle: &Bundle, verify_weights| {
            device.load_with(bundle, &LoadOptions { verify_weights, ..LoadOptions::default() })
        };
        for verify_weights in [false, true] {
            let bundle = opened();
            assert!(load(&bundle, verify_weights).is_ok());
            write().set_len(4100).unwrap();
            let error = load(&bundle, verify_weights).unwrap_err();
            assert!(matches!(error, RuntimeError::Bundle(BundleError::Changed { .. })), "{error}");
        }
        // Whoever can write to the file can set its time as well. The hash does not depend on that.
        let bundle = opened();
        let modified = write().metadata().unwrap().modified().unwrap();
        let mut file = write();
        let weights = bundle.file_bytes() - bundle.section_bytes(Section::Weights);
        file.seek(SeekFrom::Start(weights)).unwrap();
        file.write_all(&[1]).unwrap();
        file.set_modified(modified).unwrap();
        assert!(load(&bundle, false).is_ok());
        let error = load(&bundle, true).unwrap_err();
        assert!(matches!(error, RuntimeError::Bundle(BundleError::WeightHash { .. })), "{error}");
    });
}

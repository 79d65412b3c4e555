//! Sizes through the C interface, of a bundle that computes nothing: its output is its input, as long as it is.
#![expect(unsafe_code, reason = "calls as C makes them")]

mod common;

use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;
use std::ptr;

use common::{fine, refused};
use drift::*;
use drift_bundle::manifest::{
    DeviceElement, Entry, FreeAxis, FreeDim, HostElement, IoBinding, IoTensor, MemoryReport, Provenance,
    Region, RegionKind, SizeExpression, SizeTerm, Target, Variant,
};
use drift_bundle::{ALIGNMENT_BYTES, BundleWriter};

/// `x` and `y` are [2, n], where `n` is a multiple of two from 0 to 8.
fn bundle() -> Vec<u8> {
    let provenance = Provenance {
        compiler: "test".to_owned(),
        flags: Vec::new(),
        model: "test".to_owned(),
        model_hash: String::new(),
        profiles: Vec::new(),
    };
    let mut writer = BundleWriter::new(provenance);
    let tensor = |name: &str| IoTensor {
        name: name.to_owned(),
        element: HostElement::F32,
        shape: vec![2, 8],
        free: vec![FreeAxis { axis: 1, size: 0 }],
    };
    let place = IoBinding { region: 0, offset: 0, element: DeviceElement::F32 };
    writer.add_entry(Entry {
        name: "main".to_owned(),
        target: Target::Vulkan,
        dims: vec![FreeDim { name: "n".to_owned(), low: 0, high: 9, step: 2 }],
        sizes: vec![SizeExpression(vec![SizeTerm::Dim(0)])],
        inputs: vec![tensor("x")],
        outputs: vec![tensor("y")],
        variants: vec![Variant {
            name: "generic".to_owned(),
            profile: "generic".to_owned(),
            requires: Vec::new(),
            regions: vec![Region { kind: RegionKind::Io, size: 64, alignment: ALIGNMENT_BYTES }],
            inputs: vec![place],
            outputs: vec![place],
            init: Vec::new(),
            dispatches: Vec::new(),
            memory: MemoryReport::default(),
        }],
    });
    writer.to_bytes().expect("a bundle")
}

/// Bounds, step and size of the first dim.
unsafe fn dim(session: *const CSession) -> (u64, u64, u64, u64) {
    let mut found = MaybeUninit::<Dim>::zeroed();
    // SAFETY: the session is one, and there is a place for a dim.
    let found = unsafe {
        fine(drift_session_dim(session, 0, found.as_mut_ptr()));
        found.assume_init()
    };
    // SAFETY: the name is the session's.
    assert_eq!(unsafe { CStr::from_ptr(found.name) }, c"n");
    (found.low, found.high, found.step, found.size)
}

/// Second size and bytes of the input and of the output.
unsafe fn sizes(session: *const CSession) -> [(u64, usize); 2] {
    [drift_session_input, drift_session_output].map(|describe| {
        let mut found = MaybeUninit::<Tensor>::zeroed();
        // SAFETY: the session is one, and there is a place for a tensor, whose shape is the session's.
        unsafe {
            fine(describe(session, 0, found.as_mut_ptr()));
            let found = found.assume_init();
            (std::slice::from_raw_parts(found.shape, found.rank)[1], found.bytes)
        }
    })
}

#[test]
fn sizes_are_described_set_and_refused() {
    let bytes = bundle();
    let names = ["x", "y", "n", "m"].map(|name| CString::new(name).expect("no zero bytes"));
    let [x, y, n, m] = names.each_ref().map(|name| name.as_ptr());
    let (mut bundle, mut device, mut session) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
    // SAFETY: pointers are null where that is tried, and otherwise to what the header says; objects are freed once.
    unsafe {
        fine(drift_bundle_from_memory(bytes.as_ptr(), bytes.len(), &raw mut bundle));
        fine(drift_device_open_for(bundle, &raw mut device));
        fine(drift_session_load(device, bundle, ptr::null(), &raw mut session));
        assert_eq!((drift_session_dim_count(session), drift_session_dim_count(ptr::null())), (1, 0));
        assert_eq!((dim(session), sizes(session)), ((0, 8, 2, 8), [(8, 64); 2]));
        for size in [8_usize, 2, 6, 0, 8] {
            fine(drift_session_set_dim(session, n, size as u64));
            assert_eq!(
                (dim(session), sizes(session)),
                ((0, 8, 2, size as u64), [(size as u64, 8 * size); 2])
            );
            let values: Vec<f32> = (0..2 * size).map(|at| at as f32 + 0.5).collect();
            fine(drift_session_write(session, x, values.as_ptr().cast(), 8 * size));
            fine(drift_session_run(session));
            let mut read = vec![0.0_f32; 2 * size];
            fine(drift_session_read(session, y, read.as_mut_ptr().cast(), 8 * size));
            assert_eq!(read, values);
        }
        let mut none = [0.0_f32; 16];
        fine(drift_session_set_dim(session, n, 4));
        refused(
            drift_session_read(session, y, none.as_mut_ptr().cast(), 64),
            "shape [2, 4] and takes 32 bytes",
        );
        refused(drift_session_read(session, y, none.as_mut_ptr().cast(), 32), "no results yet");
        refused(drift_session_run(session), "input `x` was never written");
        refused(
            drift_session_set_dim(session, n, 3),
            "dim `n` cannot be 3; it may be multiples of 2 from 0 to 8",
        );
        refused(drift_session_set_dim(session, m, 4), "no dim `m` whose size is free, only: n");
        refused(drift_session_set_dim(session, ptr::null(), 4), "`name`");
        refused(drift_session_set_dim(ptr::null_mut(), n, 4), "`session`");
        refused(
            drift_session_dim(session, 1, MaybeUninit::zeroed().as_mut_ptr()),
            "there are 1 dims; number 1",
        );
        refused(drift_session_dim(session, 0, ptr::null_mut()), "`out`");
        assert_eq!(dim(session), (0, 8, 2, 4), "what is refused changes nothing");
        drift_session_free(session);
        drift_device_free(device);
        drift_bundle_free(bundle);
    }
}

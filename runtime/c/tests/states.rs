//! States through the C interface, of a bundle that keeps some and computes nothing.
#![expect(unsafe_code, reason = "calls as C makes them")]

use std::ffi::{CStr, CString, c_char};
use std::ptr;

use drift::*;
use drift_bundle::manifest::{
    DeviceElement, Entry, MemoryReport, Provenance, Region, RegionKind, Target, Variant,
};
use drift_bundle::{ALIGNMENT_BYTES, BundleWriter};

/// Entries `main` and `next`, which share `cache`.
fn bundle() -> Vec<u8> {
    let provenance = Provenance {
        compiler: "test".to_owned(),
        flags: Vec::new(),
        model: "test".to_owned(),
        model_hash: String::new(),
        profiles: Vec::new(),
    };
    let mut writer = BundleWriter::new(provenance);
    let state = |name: &str, element, size| Region {
        kind: RegionKind::State { name: name.to_owned(), element, shape: vec![2, 3] },
        size,
        alignment: ALIGNMENT_BYTES,
    };
    for (entry, own) in [("main", "steps"), ("next", "rounds")] {
        writer.add_entry(Entry {
            name: entry.to_owned(),
            target: Target::Vulkan,
            dims: Vec::new(),
            sizes: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            variants: vec![Variant {
                name: "generic".to_owned(),
                profile: "generic".to_owned(),
                requires: Vec::new(),
                regions: vec![state(own, DeviceElement::U32, 24), state("cache", DeviceElement::F16, 16)],
                inputs: Vec::new(),
                outputs: Vec::new(),
                init: Vec::new(),
                dispatches: Vec::new(),
                memory: MemoryReport::default(),
            }],
        });
    }
    writer.to_bytes().expect("a bundle")
}

fn last_error() -> String {
    // SAFETY: text of this thread, which ends with a zero byte.
    unsafe { CStr::from_ptr(drift_last_error()) }.to_string_lossy().into_owned()
}

#[test]
fn states_are_described_shared_saved_and_reset() {
    let bytes = bundle();
    let names = ["main", "next", "cache", "steps"].map(|name| CString::new(name).expect("no zero bytes"));
    let [main, next, cache, steps] = names.each_ref().map(|name| name.as_ptr());
    let (mut bundle, mut device) = (ptr::null_mut(), ptr::null_mut());
    let mut sessions: [*mut CSession; 2] = [ptr::null_mut(); 2];
    // SAFETY: pointers are null where that is tried, and otherwise to what the header says, which is freed once at the end.
    unsafe {
        assert_eq!(drift_bundle_from_memory(bytes.as_ptr(), bytes.len(), &raw mut bundle), Status::DRIFT_OK);
        assert_eq!(drift_device_open_for(bundle, &raw mut device), Status::DRIFT_OK, "{}", last_error());
        let load = |entries: *const *const c_char, out: *mut *mut CSession| {
            drift_session_load_entries(device, bundle, entries, 2, ptr::null(), out)
        };
        assert_eq!(load(ptr::null(), sessions.as_mut_ptr()), Status::DRIFT_INVALID_ARGUMENT);
        assert_eq!(load([main, ptr::null()].as_ptr(), sessions.as_mut_ptr()), Status::DRIFT_INVALID_ARGUMENT);
        assert_eq!(load([main, cache].as_ptr(), sessions.as_mut_ptr()), Status::DRIFT_INVALID_ARGUMENT);
        assert!(last_error().contains("no entry `cache`"), "{}", last_error());
        assert_eq!(sessions, [ptr::null_mut(); 2]);
        assert_eq!(load([main, next].as_ptr(), sessions.as_mut_ptr()), Status::DRIFT_OK, "{}", last_error());
        let [first, second] = sessions;

        assert_eq!((drift_session_state_count(first), drift_session_state_count(ptr::null())), (2, 0));
        let mut found = std::mem::MaybeUninit::<Tensor>::uninit();
        assert_eq!(drift_session_state(first, 2, found.as_mut_ptr()), Status::DRIFT_INVALID_ARGUMENT);
        assert_eq!(last_error(), "there are 2 states; number 2 was asked for");
        assert_eq!(drift_session_state(first, 0, found.as_mut_ptr()), Status::DRIFT_OK);
        let found = found.assume_init();
        assert_eq!(CStr::from_ptr(found.name), CStr::from_ptr(steps));
        assert_eq!((found.element, found.rank, found.bytes), (Element::DRIFT_U32, 2, 24));
        assert_eq!(std::slice::from_raw_parts(found.shape, 2), [2, 3]);

        let (saved, mut read) = ([7_u8; 16], [0_u8; 16]);
        assert_eq!(drift_session_write_state(first, cache, saved.as_ptr(), 16), Status::DRIFT_OK);
        assert_eq!(drift_session_read_state(second, cache, read.as_mut_ptr(), 16), Status::DRIFT_OK);
        assert_eq!(read, saved, "they share it");
        assert_eq!(drift_session_reset_state(second), Status::DRIFT_OK);
        assert_eq!(drift_session_read_state(first, cache, read.as_mut_ptr(), 16), Status::DRIFT_OK);
        assert_eq!(read, [0; 16]);
        let wrong = [
            drift_session_read_state(first, cache, read.as_mut_ptr(), 12),
            drift_session_read_state(first, cache, ptr::null_mut(), 16),
            drift_session_read_state(first, ptr::null(), read.as_mut_ptr(), 16),
            drift_session_write_state(first, cache, saved.as_ptr(), 0),
            drift_session_write_state(first, cache, ptr::null(), 16),
            drift_session_write_state(second, steps, saved.as_ptr(), 16),
            drift_session_reset_state(ptr::null_mut()),
        ];
        assert!(wrong.iter().all(|status| *status == Status::DRIFT_INVALID_ARGUMENT), "{wrong:?}");
        sessions.iter().for_each(|session| drift_session_free(*session));
        drift_device_free(device);
        drift_bundle_free(bundle);
    }
}

//! The runtime for C: `include/drift.h`, which cbindgen writes from this crate (`tests/header.rs`), and
//! `include/drift.hpp` over it for C++.
//!
//! Every function catches panics, so that none unwinds into C, and checks what it can of its arguments: null pointers, text that is
//! not UTF-8, lengths, sizes of structs. That pointers point to what the header says they do is its caller's promise.

#![expect(unsafe_code, reason = "callers in C pass pointers")]
#![expect(
    clippy::missing_safety_doc,
    reason = "each pointer has to be what the header says: an object of its type that was not freed, or memory of the stated size"
)]

mod buffers;
mod call;
mod dims;
mod handles;
mod objects;
mod options;
mod run;
mod self_test;
mod session;
mod state;
mod status;

pub use buffers::{Need, OwnedBuffer, drift_device_need, drift_session_load_onto};
pub use dims::{Dim, drift_session_dim, drift_session_dim_count, drift_session_set_dim};
pub use handles::{
    CVulkanFeatures, Vulkan, drift_device_from_opencl, drift_device_from_vulkan, drift_vulkan_features_chain,
    drift_vulkan_features_extensions, drift_vulkan_features_free, drift_vulkan_features_required,
};
pub use objects::{
    CBundle, CDevice, drift_bundle_free, drift_bundle_from_memory, drift_bundle_open, drift_device_driver,
    drift_device_free, drift_device_kind, drift_device_name, drift_device_open, drift_device_open_for,
};
pub use options::LoadOptions;
pub use run::{drift_run_done, drift_session_cancel, drift_session_run_async};
pub use self_test::drift_device_self_test;
pub use session::{
    CSession, Element, Tensor, drift_session_free, drift_session_gpu_seconds, drift_session_input,
    drift_session_input_count, drift_session_load, drift_session_load_entries, drift_session_output,
    drift_session_output_count, drift_session_read, drift_session_run, drift_session_run_times,
    drift_session_write,
};
pub use state::{
    drift_session_read_state, drift_session_reset_state, drift_session_state, drift_session_state_count,
    drift_session_write_state,
};
pub use status::{Status, drift_last_error, drift_version};

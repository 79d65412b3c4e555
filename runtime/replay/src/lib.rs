//! Loads a bundle and replays it on a GPU. It picks a prepared variant by stated predicates and decides
//! nothing else.
//!
//! ```no_run
//! use drift_runtime::{Bundle, Device, OpenOptions, RuntimeError};
//!
//! fn main() -> Result<(), RuntimeError> {
//!     let (pixels, mut logits) = (vec![0.0_f32; 3 * 224 * 224], [0.0_f32; 1000]);
//!     let bundle = Bundle::open("model.drift")?;
//!     let device = Device::open_any(&bundle, &OpenOptions::default())?;
//!     let mut session = device.load(&bundle)?;
//!     session.write("image", &pixels)?;
//!     session.run()?;
//!     session.read_into("logits", &mut logits)
//! }
//! ```
//!
//! Without a thread that waits, and with a run that is called off when it is not wanted any more:
//!
//! ```no_run
//! # async fn work(mut session: drift_runtime::Session) -> Result<(), drift_runtime::RuntimeError> {
//! session.run_async().await?;
//! session
//!     .run_then(|mut session, outcome| {
//!         if outcome.is_ok() {
//!             let logits = session.read::<f32>("logits");
//!         }
//!     })
//!     .detach();
//! # Ok(())
//! # }
//! ```
//!
//! A bundle can be a part of the program: `Bundle::from_static(include_bytes!("model.drift"))`. A [`Device`] is shared by its
//! clones and by threads. A [`Session`] belongs to one thread at a time and can be handed to another, a worker that runs it
//! for instance. [`Session::run`] waits, [`Session::run_async`] and [`Session::run_then`] do not; sessions of one device run side by side, those that share memory in turn. After
//! [`RuntimeError::DeviceLost`] nothing that was made of the device works any more: open it again and load the bundle again.
//!
//! Inputs and outputs may be in buffers of the app's own ([`Device::load_onto`]), on a device of its own
//! ([`Device::from_vulkan`], [`Device::from_opencl`]).
//!
//! What a bundle promises is checked when it is opened, what a device can do is checked in [`Device::load`],
//! before the first GPU call. Sessions and the loader know no GPU API: a device is a folder that implements the
//! traits of `api`.

#![cfg_attr(
    not(all(feature = "vulkan", feature = "opencl", feature = "wgpu")),
    allow(dead_code, reason = "with fewer devices, parts of what all share are unused")
)]

// Test helpers name this crate as its users do.
#[cfg(test)]
extern crate self as drift_runtime;

#[cfg(not(feature = "api"))]
mod api;
#[cfg(feature = "api")]
#[doc(hidden)]
pub mod api;
mod backend;
mod cache;
mod cache_file;
mod choose;
mod compile;
mod deadline;
mod device;
mod error;
mod host;
#[cfg(any(feature = "opencl", feature = "wgpu"))]
mod host_memory;
mod info;
mod lease;
mod limits;
mod loader;
#[cfg(all(feature = "metal", target_vendor = "apple"))]
mod metal;
#[cfg(all(feature = "metal", any(target_vendor = "apple", test)))]
mod metal_facts;
#[cfg(feature = "opencl")]
mod opencl;
mod options;
mod own;
mod pending;
mod program;
mod report;
mod run;
mod self_test;
mod session;
mod sizes;
mod states;
mod validation_log;
#[cfg(feature = "vulkan")]
mod vulkan;
mod waiter;
#[cfg(feature = "wgpu")]
mod wgpu;

pub use device::{Device, devices, devices_of};
pub use drift_bundle::manifest::{
    DeviceElement, FreeAxis, FreeDim, HostElement, IoTensor, Manifest, Requirement, Target,
};
pub use drift_bundle::{Bundle, BundleError};
pub use error::RuntimeError;
pub use half::{bf16, f16};
pub use host::{F4E2M1, F8E4M3, F8E4M3Fnuz, F8E5M2, F8E5M2Fnuz, F8E8M0, HostScalar, I2, I4, U2, U4};
pub use info::{
    CooperativeMatrix, DeviceFeatures, DeviceInfo, DeviceKind, DeviceLimits, DeviceType, SubgroupFeatures,
};
#[cfg(all(feature = "metal", target_vendor = "apple"))]
pub use metal::{MetalBuffer, MetalHandles};
#[cfg(feature = "opencl")]
pub use opencl::{OpenClBuffer, OpenClHandles};
pub use options::{LoadOptions, OpenOptions, Priority, SubmitLimits};
pub use own::{BufferProblem, IoBuffer, OwnBuffer};
pub use report::{
    CacheUse, DeclineReason, DeclinedVariant, DeviceBytes, DispatchTiming, LoadReport, LoadTimes,
    SelfTestUse, Timings,
};
pub use run::{Run, RunThen};
pub use self_test::{Fault, SelfTestReport, Untested, WrongDispatch};
pub use session::Session;
pub use sizes::Dim;
pub use states::StateTensor;
pub use validation_log::ValidationLog;
#[cfg(feature = "vulkan")]
pub use vulkan::{QueueLock, VulkanBuffer, VulkanFeatures, VulkanHandles, VulkanInstance};

/// Vulkan's types, as [`VulkanInstance`] and its kin have them.
#[cfg(feature = "vulkan")]
pub use ash;

/// Metal's types, as [`MetalHandles`] and [`MetalBuffer`] have them.
#[cfg(all(feature = "metal", target_vendor = "apple"))]
pub use objc2_metal;

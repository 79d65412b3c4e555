//! Executes MSL on the processor: a device of target Metal under the runtime's loader, for machines without Metal.
//!
//! A program's kernels become one C++ file, which clang compiles against a stand-in for Metal's library
//! (`targets/tests/metal_stdlib`) into a shared library. Each invocation of a workgroup runs on a stack of its own, from one
//! barrier to the next. Checked on the way: indices of arrays in all memory, texels, divisions, shifts and conversions of
//! whole numbers, barriers that not all threads reach, workgroup memory beyond what the bundle says, and arguments of the
//! text against the bundle's bindings. Workgroup memory and new buffers hold ones in all bits, and no zeros.

#[path = "../../../targets/tests/metal_stdlib/clang.rs"]
pub mod clang;
mod damage;
mod device;
mod kernels;
mod memory;
mod queue;
mod text;
mod toolchain;

use std::sync::Arc;

use drift_runtime::Device;

pub use damage::{Damage, How};

/// Opens the device.
pub fn open() -> Device {
    Device::of_api(Arc::new(device::StandIn::new(None)))
}

/// Opens one that gets some dispatches wrong.
pub fn open_damaged(damage: Damage) -> Device {
    Device::of_api(Arc::new(device::StandIn::new(Some(Arc::new(damage)))))
}

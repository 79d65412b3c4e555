//! What the loader asks of an API, on lavapipe under Vulkan's validation layer, leaks included.
#![cfg(feature = "vulkan")]
#![expect(unsafe_code, reason = "leaves something for the layer to find")]

use std::sync::{Mutex, PoisonError};

use super::*;
use crate::loader::weights::tests::weights_arrive_whole;

/// What wgpu writes to the program's log as an error; what the layer says is among it.
static SAID: Said = Said(Mutex::new(Vec::new()));

struct Said(Mutex<Vec<String>>);

impl log::Log for Said {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() == log::Level::Error
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

fn said() -> Vec<String> {
    std::mem::take(&mut *SAID.0.lock().unwrap_or_else(PoisonError::into_inner))
}

fn open_validated() -> WebGpuDevice {
    let options = OpenOptions { validation: true, ..OpenOptions::default() };
    open(&options).expect("a Vulkan driver is needed: apt install mesa-vulkan-drivers")
}

#[test]
fn weights_pass_through_staging_and_nothing_is_left() {
    log::set_logger(&SAID).unwrap();
    log::set_max_level(log::LevelFilter::Error);
    let device = open_validated();
    weights_arrive_whole(&device.context);
    drop(device);
    assert_eq!(said(), [""; 0]);
    // The layer is there, and heard: it tells of what is left.
    let device = open_validated();
    let context = &device.context;
    // SAFETY: the device outlives the guard, and nothing uses the fence.
    unsafe {
        let raw = context.core.device_as_hal::<::wgpu::hal::api::Vulkan>(context.device()).unwrap();
        raw.raw_device().create_fence(&ash::vk::FenceCreateInfo::default(), None).unwrap();
    }
    drop(device);
    let said = said();
    assert!(said.iter().any(|message| message.contains("VkFence")), "{said:#?}");
}

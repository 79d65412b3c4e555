//! What the loader asks of an API, on lavapipe.

use super::*;
use crate::loader::weights::tests::weights_arrive_whole;

fn device() -> WebGpuDevice {
    open(&OpenOptions::default()).expect("a Vulkan driver is needed: apt install mesa-vulkan-drivers")
}

#[test]
fn weights_pass_through_staging() {
    weights_arrive_whole(&device().context);
}

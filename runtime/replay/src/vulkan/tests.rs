//! What the loader asks of an API, and what only this one has.

use super::*;
use crate::api::{Api, Purpose, Record};
use crate::loader::weights::tests::weights_arrive_whole;

fn device() -> VulkanDevice {
    open(&OpenOptions { validation: true, ..OpenOptions::default() })
        .expect("a Vulkan driver is needed: apt install mesa-vulkan-drivers")
}

#[test]
fn weights_pass_through_staging() {
    let device = device();
    weights_arrive_whole(&device.context);
    assert_eq!(device.validation_log().messages(), [""; 0]);
}

#[test]
fn the_validation_layer_is_heard() {
    let device = device();
    let context = &device.context;
    let first = context.buffer(256, Purpose::Device).unwrap();
    let second = context.buffer(256, Purpose::Device).unwrap();
    let mut recordings = context.recordings(false).unwrap();
    // Without a barrier the second copy may read before the first has written. It is recorded and never
    // submitted.
    let recorded = context.record(&mut recordings, |commands| {
        commands.copy((&first, 0), (&second, 0), 256);
        commands.copy((&second, 0), (&first, 0), 256);
    });
    recorded.unwrap();
    let messages = device.validation_log().messages();
    assert!(messages.iter().any(|message| message.contains("SYNC-HAZARD-READ-AFTER-WRITE")), "{messages:#?}");
}

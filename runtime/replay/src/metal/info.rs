//! What a device says of itself.

use objc2::runtime::{NSObjectProtocol, ProtocolObject};
use objc2::sel;
use objc2_foundation::NSProcessInfo;
use objc2_metal::{MTLCounterSamplingPoint, MTLDevice, MTLGPUFamily};

use super::queries::timestamp_counters;
use crate::info::{DeviceInfo, DeviceKind};
use crate::metal_facts::{FAMILIES, Told};

/// Reads a device that can replay.
pub(crate) fn read(device: &ProtocolObject<dyn MTLDevice>) -> Option<DeviceInfo> {
    // Systems before macOS 12 and iOS 15 lack calls that are made here, and the language that kernels are in.
    if !device.respondsToSelector(sel!(newBinaryArchiveWithDescriptor:error:)) || !is_recent() {
        return None;
    }
    let told = told(device);
    told.is_usable().then(|| DeviceInfo {
        kind: DeviceKind::Metal,
        index: 0,
        name: told.name.clone(),
        driver: format!(
            "{} {}",
            std::env::consts::OS,
            NSProcessInfo::processInfo().operatingSystemVersionString()
        ),
        api_version: told.family_names(),
        vendor_id: told.vendor_id(),
        device_id: 0,
        device_type: told.device_type(),
        features: told.features(),
        limits: told.limits(),
    })
}

fn is_recent() -> bool {
    let version = NSProcessInfo::processInfo().operatingSystemVersion();
    let least = if cfg!(target_os = "macos") { 12 } else { 15 };
    // visionOS counts from 1.
    version.majorVersion >= least || cfg!(target_os = "visionos")
}

fn told(device: &ProtocolObject<dyn MTLDevice>) -> Told {
    let size = device.maxThreadsPerThreadgroup();
    let families = FAMILIES.iter().map(|(family, _)| *family);
    let says_memory = device.respondsToSelector(sel!(recommendedMaxWorkingSetSize));
    Told {
        name: device.name().to_string(),
        families: families.filter(|family| device.supportsFamily(MTLGPUFamily(*family))).collect(),
        has_unified_memory: device.hasUnifiedMemory(),
        is_low_power: cfg!(target_os = "macos") && device.isLowPower(),
        workgroup_size: [size.width, size.height, size.depth].map(|side| side as u64),
        shared_bytes: device.maxThreadgroupMemoryLength() as u64,
        buffer_bytes: device.maxBufferLength() as u64,
        memory_bytes: if says_memory { device.recommendedMaxWorkingSetSize() } else { u64::MAX },
        timestamps: device.supportsCounterSampling(MTLCounterSamplingPoint::AtStageBoundary)
            && timestamp_counters(device).is_some(),
    }
}

//! What a device says of itself.

use opencl3::device::{CL_DEVICE_TYPE_CPU, CL_DEVICE_TYPE_GPU, Device, get_device_data};
use opencl3::platform::Platform;

use crate::info::{DeviceFeatures, DeviceInfo, DeviceKind, DeviceLimits, DeviceType, SubgroupFeatures};

/// Lanes of a subgroup, where NVIDIA says so (`cl_nv_device_attribute_query`).
const WARP_SIZE_NV: u32 = 0x4003;
/// The same, of AMD (`cl_amd_device_attribute_query`).
const WAVEFRONT_WIDTH_AMD: u32 = 0x4043;

/// Bytes of an argument: a buffer and the offset in it.
const ARGUMENT_BYTES: usize = 16;

/// Reads a device that can replay: OpenCL 1.2, little-endian, with a compiler.
pub(crate) fn read(platform: &Platform, device: &Device) -> Option<DeviceInfo> {
    let version = version(&device.version().ok()?)?;
    let usable =
        device.available().ok()? && device.compiler_available().ok()? && device.endian_little().ok()?;
    if version < (1, 2) || !usable {
        return None;
    }
    let extensions = device.extensions().unwrap_or_default();
    let has = |name: &str| extensions.split_whitespace().any(|extension| extension == name);
    let kind = device.dev_type().ok()?;
    let device_type = if kind & CL_DEVICE_TYPE_GPU != 0 {
        let shares = device.host_unified_memory().unwrap_or(false);
        if shares { DeviceType::Integrated } else { DeviceType::Discrete }
    } else if kind & CL_DEVICE_TYPE_CPU != 0 {
        DeviceType::Cpu
    } else {
        DeviceType::Other
    };
    Some(DeviceInfo {
        kind: DeviceKind::OpenCl,
        index: 0,
        name: device.name().unwrap_or_default().trim().to_owned(),
        driver: format!(
            "{} {}",
            platform.name().unwrap_or_default().trim(),
            device.driver_version().unwrap_or_default().trim()
        ),
        api_version: format!("{}.{}", version.0, version.1),
        vendor_id: device.vendor_id().unwrap_or(0),
        device_id: 0,
        device_type,
        features: DeviceFeatures {
            f16: has("cl_khr_fp16"),
            subgroups: subgroups(device, has("cl_khr_subgroups")),
            cooperative_matrices: Vec::new(),
            timestamps: true,
            bounded_buffers: false,
            bounded_textures: false,
            bounded_matrices: false,
        },
        limits: limits(device)?,
    })
}

/// `(1, 2)` of `OpenCL 1.2 and more`.
fn version(text: &str) -> Option<(u32, u32)> {
    let number = text.strip_prefix("OpenCL ")?.split_whitespace().next()?;
    let (major, minor) = number.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// No device lets a kernel choose a size.
fn subgroups(device: &Device, operations: bool) -> SubgroupFeatures {
    let size = [WARP_SIZE_NV, WAVEFRONT_WIDTH_AMD].into_iter().find_map(|question| {
        let bytes = get_device_data(device.id(), question).ok()?;
        Some(u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?))
    });
    SubgroupFeatures { operations, size: size.unwrap_or(0), selectable: None }
}

fn limits(device: &Device) -> Option<DeviceLimits> {
    let narrow = |size: usize| u32::try_from(size).unwrap_or(u32::MAX);
    let sizes = device.max_work_item_sizes().ok()?;
    let axis = |index: usize| sizes.get(index).map_or(1, |size| narrow(*size));
    let images = device.image_support().unwrap_or(false);
    let image = |size: Result<usize, _>| if images { size.map_or(0, narrow) } else { 0 };
    let side_3d = [device.image3d_max_width(), device.image3d_max_height(), device.image3d_max_depth()];
    let allocation = device.max_mem_alloc_size().ok()?;
    let arguments = narrow(device.max_parameter_size().ok()? / ARGUMENT_BYTES);
    Some(DeviceLimits {
        // OpenCL has no limit but that of all invocations together, which `bind` holds dispatches against.
        workgroups: [u32::MAX; 3],
        workgroup_size: [axis(0), axis(1), axis(2)],
        workgroup_invocations: narrow(device.max_work_group_size().ok()?),
        workgroup_subgroups: 0,
        shared_bytes: u32::try_from(device.local_mem_size().ok()?).unwrap_or(u32::MAX),
        storage_binding_bytes: allocation,
        uniform_binding_bytes: device.max_constant_buffer_size().ok()?,
        buffer_bytes: allocation,
        texture_2d_px: image(device.image2d_max_width()).min(image(device.image2d_max_height())),
        texture_3d_px: side_3d.into_iter().map(image).min().unwrap_or(0),
        texture_layers: image(device.image_max_array_size()),
        image_buffer_texels: image(device.image_max_buffer_size()),
        storage_buffers: arguments,
        uniform_buffers: device.max_constant_args().ok()?,
        sampled_images: if images { device.max_read_image_args().unwrap_or(0) } else { 0 },
        storage_images: if images { device.max_write_image_args().unwrap_or(0) } else { 0 },
        resources: arguments,
        memory_bytes: device.global_mem_size().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_whatever_follows_them() {
        assert_eq!(version("OpenCL 3.0 CUDA"), Some((3, 0)));
        assert_eq!(version("OpenCL 1.2 pocl HSTR: cpu"), Some((1, 2)));
        assert_eq!(version("1.2"), None);
        assert_eq!(version("OpenCL one"), None);
    }
}

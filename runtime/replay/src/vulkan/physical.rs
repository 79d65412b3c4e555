//! Finds physical devices and what they can do, and says what to enable.
#![expect(unsafe_code, reason = "calls Vulkan")]

use std::ffi::CStr;

use ash::{ext, khr, vk};
use drift_bundle::manifest::DeviceElement;

use super::failed;
use super::features::FeatureChain;
use super::float_controls::Preserved;
use super::instance::Instance;
use crate::error::RuntimeError;
use crate::info::{
    CooperativeMatrix, DeviceFeatures, DeviceInfo, DeviceKind, DeviceLimits, DeviceType, SubgroupFeatures,
};

/// A physical device that can replay.
pub(crate) struct PhysicalDevice {
    pub(crate) raw: vk::PhysicalDevice,
    pub(crate) info: DeviceInfo,
    pub(crate) queue_family: u32,
    /// Extensions to enable, all of which it has.
    pub(crate) extensions: Vec<&'static CStr>,
    /// Identity of device and driver, for the pipeline cache.
    pub(crate) cache_uuid: [u8; vk::UUID_SIZE],
    /// Nanoseconds of a timestamp tick.
    pub(crate) timestamp_period: f32,
    /// Bits of a timestamp that count.
    pub(crate) timestamp_bits: u32,
    /// What to enable.
    pub(crate) features: FeatureChain,
    /// Floats whose special values it can be asked to keep.
    pub(crate) preserved: Preserved,
    pub(crate) api_version: u32,
    /// It takes priorities of queues beside those of other programs.
    pub(crate) priority_extension: Option<&'static CStr>,
}

/// All devices with Vulkan 1.1 and a compute queue, best first.
pub(crate) fn enumerate(instance: &Instance) -> Result<Vec<PhysicalDevice>, RuntimeError> {
    // SAFETY: the instance is alive.
    let raw = unsafe { instance.raw.enumerate_physical_devices() }.map_err(|code| match code {
        vk::Result::ERROR_INITIALIZATION_FAILED | vk::Result::ERROR_INCOMPATIBLE_DRIVER => {
            RuntimeError::NoDriver {
                kind: DeviceKind::Vulkan,
                reason: "the driver found no device".to_owned(),
            }
        }
        code => failed("listing devices")(code),
    })?;
    let mut devices = Vec::new();
    for device in raw {
        devices.extend(inspect(instance, device, None)?);
    }
    if devices.is_empty() {
        return Err(RuntimeError::NoDriver {
            kind: DeviceKind::Vulkan,
            reason: "no device has Vulkan 1.1 and a compute queue".to_owned(),
        });
    }
    devices.sort_by_key(|device| device.info.device_type);
    for (index, device) in devices.iter_mut().enumerate() {
        device.info.index = index;
    }
    Ok(devices)
}

/// Reads a device, as an instance for at most a version sees it; none where it cannot replay.
pub(crate) fn inspect(
    instance: &Instance,
    raw: vk::PhysicalDevice,
    at_most: Option<u32>,
) -> Result<Option<PhysicalDevice>, RuntimeError> {
    // SAFETY: `raw` belongs to the instance, here and below.
    let mut properties = unsafe { instance.raw.get_physical_device_properties(raw) };
    properties.api_version = properties.api_version.min(at_most.unwrap_or(u32::MAX));
    if properties.api_version < vk::API_VERSION_1_1 {
        return Ok(None);
    }
    // SAFETY: as above.
    let families = unsafe { instance.raw.get_physical_device_queue_family_properties(raw) };
    let Some(queue_family) =
        families.iter().position(|family| family.queue_flags.contains(vk::QueueFlags::COMPUTE))
    else {
        return Ok(None);
    };
    // SAFETY: as above.
    let listed = unsafe { instance.raw.enumerate_device_extension_properties(raw) }
        .map_err(failed("listing device extensions"))?;
    let extensions: Vec<&'static CStr> = WANTED
        .iter()
        .filter(|(_, core_since)| core_since.is_none_or(|version| properties.api_version < version))
        .map(|(name, _)| *name)
        .filter(|wanted| listed.iter().any(|known| known.extension_name_as_c_str() == Ok(wanted)))
        .collect();
    let chain = FeatureChain::query(instance, raw, properties.api_version, &extensions);
    let timestamp_bits = families[queue_family].timestamp_valid_bits;
    let version = properties.api_version;
    let described = Described::query(instance, raw, version, &extensions);
    let features = DeviceFeatures {
        f16: chain.has_f16(),
        subgroups: described.subgroups(&chain),
        cooperative_matrices: cooperative_matrices(instance, raw, &chain)?,
        timestamps: timestamp_bits > 0,
        bounded_buffers: true,
        bounded_textures: chain.can_bound_textures(),
        bounded_matrices: chain.can_bound_matrices(),
    };
    let info = DeviceInfo {
        kind: DeviceKind::Vulkan,
        index: 0,
        name: text(properties.device_name_as_c_str()),
        driver: described.driver(),
        api_version: format!(
            "{}.{}.{}",
            vk::api_version_major(version),
            vk::api_version_minor(version),
            vk::api_version_patch(version)
        ),
        vendor_id: properties.vendor_id,
        device_id: properties.device_id,
        device_type: device_type(properties.device_type),
        features,
        limits: limits(&properties.limits, &described, memory_bytes(instance, raw)),
    };
    Ok(Some(PhysicalDevice {
        raw,
        info,
        queue_family: queue_family as u32,
        extensions,
        cache_uuid: properties.pipeline_cache_uuid,
        timestamp_period: properties.limits.timestamp_period,
        timestamp_bits,
        features: chain,
        preserved: described.preserved(),
        api_version: version,
        priority_extension: [khr::global_priority::NAME, ext::global_priority::NAME]
            .into_iter()
            .find(|name| listed.iter().any(|known| known.extension_name_as_c_str() == Ok(name))),
    }))
}

impl PhysicalDevice {
    /// Leaves out what nothing needs: halves, cooperative matrices, and the checks of accesses, which are for a device of untrusted
    /// bundles.
    pub(crate) fn restrict(&mut self, halves: bool, matrices: bool) {
        self.extensions.retain(|name| {
            (matrices || *name != khr::cooperative_matrix::NAME)
                && *name != ext::robustness2::NAME
                && *name != ext::image_robustness::NAME
        });
        self.features.restrict(halves, matrices);
        let features = &mut self.info.features;
        features.f16 &= halves;
        if !matrices {
            features.cooperative_matrices.clear();
        }
        (features.bounded_buffers, features.bounded_textures, features.bounded_matrices) =
            (false, false, false);
    }

    /// Takes another family of queues.
    pub(crate) fn use_family(&mut self, instance: &Instance, queue_family: u32) {
        // SAFETY: the device belongs to the instance.
        let families = unsafe { instance.raw.get_physical_device_queue_family_properties(self.raw) };
        self.queue_family = queue_family;
        self.timestamp_bits =
            families.get(queue_family as usize).map_or(0, |family| family.timestamp_valid_bits);
        self.info.features.timestamps = self.timestamp_bits > 0;
    }
}

/// Extensions that variants may need, and the version that made them part of Vulkan.
const WANTED: &[(&CStr, Option<u32>)] = &[
    (khr::cooperative_matrix::NAME, None),
    (khr::portability_subset::NAME, None),
    (khr::driver_properties::NAME, Some(vk::API_VERSION_1_2)),
    (khr::shader_float16_int8::NAME, Some(vk::API_VERSION_1_2)),
    (khr::shader_float_controls::NAME, Some(vk::API_VERSION_1_2)),
    (khr::vulkan_memory_model::NAME, Some(vk::API_VERSION_1_2)),
    (khr::shader_subgroup_extended_types::NAME, Some(vk::API_VERSION_1_2)),
    (khr::_8bit_storage::NAME, Some(vk::API_VERSION_1_2)),
    (khr::maintenance4::NAME, Some(vk::API_VERSION_1_3)),
    (khr::shader_integer_dot_product::NAME, Some(vk::API_VERSION_1_3)),
    (ext::subgroup_size_control::NAME, Some(vk::API_VERSION_1_3)),
    (ext::image_robustness::NAME, Some(vk::API_VERSION_1_3)),
    (ext::robustness2::NAME, None),
];

/// Properties beyond Vulkan 1.0.
struct Described {
    subgroup: vk::PhysicalDeviceSubgroupProperties<'static>,
    subgroup_sizes: vk::PhysicalDeviceSubgroupSizeControlProperties<'static>,
    maintenance3: vk::PhysicalDeviceMaintenance3Properties<'static>,
    maintenance4: vk::PhysicalDeviceMaintenance4Properties<'static>,
    driver: vk::PhysicalDeviceDriverProperties<'static>,
    floats: vk::PhysicalDeviceFloatControlsProperties<'static>,
}

impl Described {
    fn query(instance: &Instance, raw: vk::PhysicalDevice, api_version: u32, extensions: &[&CStr]) -> Self {
        let known = |core_since: u32, name: &CStr| api_version >= core_since || extensions.contains(&name);
        let mut subgroup = vk::PhysicalDeviceSubgroupProperties::default();
        let mut subgroup_sizes = vk::PhysicalDeviceSubgroupSizeControlProperties::default();
        let mut maintenance3 = vk::PhysicalDeviceMaintenance3Properties::default();
        let mut maintenance4 = vk::PhysicalDeviceMaintenance4Properties::default();
        let mut driver = vk::PhysicalDeviceDriverProperties::default();
        let mut floats = vk::PhysicalDeviceFloatControlsProperties::default();
        let mut properties =
            vk::PhysicalDeviceProperties2::default().push_next(&mut subgroup).push_next(&mut maintenance3);
        if known(vk::API_VERSION_1_3, ext::subgroup_size_control::NAME) {
            properties = properties.push_next(&mut subgroup_sizes);
        }
        if known(vk::API_VERSION_1_3, khr::maintenance4::NAME) {
            properties = properties.push_next(&mut maintenance4);
        }
        if known(vk::API_VERSION_1_2, khr::driver_properties::NAME) {
            properties = properties.push_next(&mut driver);
        }
        if known(vk::API_VERSION_1_2, khr::shader_float_controls::NAME) {
            properties = properties.push_next(&mut floats);
        }
        // SAFETY: `raw` belongs to the instance; the chain holds only structs that the device knows.
        unsafe { instance.raw.get_physical_device_properties2(raw, &mut properties) };
        Self {
            subgroup: vk::PhysicalDeviceSubgroupProperties { p_next: std::ptr::null_mut(), ..subgroup },
            subgroup_sizes: vk::PhysicalDeviceSubgroupSizeControlProperties {
                p_next: std::ptr::null_mut(),
                ..subgroup_sizes
            },
            maintenance3: vk::PhysicalDeviceMaintenance3Properties {
                p_next: std::ptr::null_mut(),
                ..maintenance3
            },
            maintenance4: vk::PhysicalDeviceMaintenance4Properties {
                p_next: std::ptr::null_mut(),
                ..maintenance4
            },
            driver: vk::PhysicalDeviceDriverProperties { p_next: std::ptr::null_mut(), ..driver },
            floats: vk::PhysicalDeviceFloatControlsProperties { p_next: std::ptr::null_mut(), ..floats },
        }
    }

    fn driver(&self) -> String {
        let words = [text(self.driver.driver_name_as_c_str()), text(self.driver.driver_info_as_c_str())];
        words.join(" ").trim().to_owned()
    }

    fn preserved(&self) -> Preserved {
        Preserved {
            f16: self.floats.shader_signed_zero_inf_nan_preserve_float16 == vk::TRUE,
            f32: self.floats.shader_signed_zero_inf_nan_preserve_float32 == vk::TRUE,
        }
    }

    /// One buffer has one allocation, so both limits hold.
    fn buffer_bytes(&self) -> u64 {
        let allocation = self.maintenance3.max_memory_allocation_size;
        match self.maintenance4.max_buffer_size {
            0 => allocation,
            buffer => buffer.min(allocation),
        }
    }

    fn subgroups(&self, features: &FeatureChain) -> SubgroupFeatures {
        let needed = vk::SubgroupFeatureFlags::BASIC
            | vk::SubgroupFeatureFlags::ARITHMETIC
            | vk::SubgroupFeatureFlags::SHUFFLE;
        let compute = vk::ShaderStageFlags::COMPUTE;
        let in_compute = self.subgroup.supported_stages.contains(compute);
        let sizes = &self.subgroup_sizes;
        let selectable =
            features.selects_subgroup_size() && sizes.required_subgroup_size_stages.contains(compute);
        SubgroupFeatures {
            operations: in_compute && self.subgroup.supported_operations.contains(needed),
            size: if in_compute { self.subgroup.subgroup_size } else { 0 },
            selectable: selectable.then_some((sizes.min_subgroup_size, sizes.max_subgroup_size)),
        }
    }
}

fn cooperative_matrices(
    instance: &Instance,
    raw: vk::PhysicalDevice,
    features: &FeatureChain,
) -> Result<Vec<CooperativeMatrix>, RuntimeError> {
    if !features.has_cooperative_matrices() {
        return Ok(Vec::new());
    }
    let matrices = khr::cooperative_matrix::Instance::new(&instance.entry, &instance.raw);
    // SAFETY: `raw` belongs to the instance and has the extension.
    let shapes = unsafe { matrices.get_physical_device_cooperative_matrix_properties(raw) }
        .map_err(failed("listing cooperative matrices"))?;
    Ok(shapes.iter().filter_map(cooperative_matrix).collect())
}

/// The shape, where kernels can use it: one type for A and B, one for C and the result, subgroup scope.
fn cooperative_matrix(shape: &vk::CooperativeMatrixPropertiesKHR<'_>) -> Option<CooperativeMatrix> {
    let usable = shape.scope == vk::ScopeKHR::SUBGROUP
        && shape.a_type == shape.b_type
        && shape.c_type == shape.result_type
        && shape.saturating_accumulation == vk::FALSE;
    let (ab, c) = (component(shape.a_type)?, component(shape.c_type)?);
    usable.then_some(CooperativeMatrix { m: shape.m_size, n: shape.n_size, k: shape.k_size, ab, c })
}

fn component(component: vk::ComponentTypeKHR) -> Option<DeviceElement> {
    match component {
        vk::ComponentTypeKHR::FLOAT16 => Some(DeviceElement::F16),
        vk::ComponentTypeKHR::FLOAT32 => Some(DeviceElement::F32),
        vk::ComponentTypeKHR::SINT32 => Some(DeviceElement::I32),
        vk::ComponentTypeKHR::UINT32 => Some(DeviceElement::U32),
        _ => None,
    }
}

fn device_type(kind: vk::PhysicalDeviceType) -> DeviceType {
    match kind {
        vk::PhysicalDeviceType::DISCRETE_GPU => DeviceType::Discrete,
        vk::PhysicalDeviceType::INTEGRATED_GPU => DeviceType::Integrated,
        vk::PhysicalDeviceType::VIRTUAL_GPU => DeviceType::Virtual,
        vk::PhysicalDeviceType::CPU => DeviceType::Cpu,
        _ => DeviceType::Other,
    }
}

fn limits(limits: &vk::PhysicalDeviceLimits, described: &Described, memory_bytes: u64) -> DeviceLimits {
    DeviceLimits {
        workgroups: limits.max_compute_work_group_count,
        workgroup_size: limits.max_compute_work_group_size,
        workgroup_invocations: limits.max_compute_work_group_invocations,
        workgroup_subgroups: described.subgroup_sizes.max_compute_workgroup_subgroups,
        shared_bytes: limits.max_compute_shared_memory_size,
        storage_binding_bytes: limits.max_storage_buffer_range.into(),
        uniform_binding_bytes: limits.max_uniform_buffer_range.into(),
        buffer_bytes: described.buffer_bytes(),
        texture_2d_px: limits.max_image_dimension2_d,
        texture_3d_px: limits.max_image_dimension3_d,
        texture_layers: limits.max_image_array_layers,
        image_buffer_texels: limits.max_texel_buffer_elements,
        storage_buffers: limits
            .max_per_stage_descriptor_storage_buffers
            .min(limits.max_descriptor_set_storage_buffers),
        uniform_buffers: limits
            .max_per_stage_descriptor_uniform_buffers
            .min(limits.max_descriptor_set_uniform_buffers),
        sampled_images: limits
            .max_per_stage_descriptor_sampled_images
            .min(limits.max_descriptor_set_sampled_images),
        storage_images: limits
            .max_per_stage_descriptor_storage_images
            .min(limits.max_descriptor_set_storage_images),
        resources: limits.max_per_stage_resources,
        memory_bytes,
    }
}

/// Size of the largest heap that the device calls its own.
fn memory_bytes(instance: &Instance, raw: vk::PhysicalDevice) -> u64 {
    // SAFETY: `raw` belongs to the instance.
    let memory = unsafe { instance.raw.get_physical_device_memory_properties(raw) };
    let heaps = memory.memory_heaps_as_slice().iter();
    heaps
        .filter(|heap| heap.flags.contains(vk::MemoryHeapFlags::DEVICE_LOCAL))
        .map(|heap| heap.size)
        .max()
        .unwrap_or(0)
}

fn text<E>(words: Result<&CStr, E>) -> String {
    words.map(|words| words.to_string_lossy().into_owned()).unwrap_or_default()
}

//! What an adapter says of itself.

use ::wgpu::wgc::global::Global;
use ::wgpu::wgc::id::AdapterId;
use ::wgpu::{Features, Limits};

use crate::info::{DeviceFeatures, DeviceInfo, DeviceKind, DeviceLimits, DeviceType, SubgroupFeatures};

/// What a device is opened with, where the adapter has it.
pub(crate) const WANTED: Features = Features::SHADER_F16
    .union(Features::SUBGROUP)
    .union(Features::TIMESTAMP_QUERY)
    .union(Features::PIPELINE_CACHE);

/// Reads an adapter.
pub(crate) fn read(core: &Global, adapter: AdapterId) -> DeviceInfo {
    let about = core.adapter_get_info(adapter);
    let features = core.adapter_features(adapter);
    // No kernel chooses a size: it knows one only where there is one.
    let size = if about.subgroup_min_size == about.subgroup_max_size { about.subgroup_min_size } else { 0 };
    let subgroups =
        SubgroupFeatures { operations: features.contains(Features::SUBGROUP), size, selectable: None };
    DeviceInfo {
        kind: DeviceKind::WebGpu,
        index: 0,
        name: about.name,
        driver: format!("{} {}", about.driver, about.driver_info).trim().to_owned(),
        api_version: format!("over {:?}", about.backend),
        vendor_id: about.vendor,
        device_id: about.device,
        device_type: match about.device_type {
            ::wgpu::DeviceType::DiscreteGpu => DeviceType::Discrete,
            ::wgpu::DeviceType::IntegratedGpu => DeviceType::Integrated,
            ::wgpu::DeviceType::VirtualGpu => DeviceType::Virtual,
            ::wgpu::DeviceType::Cpu => DeviceType::Cpu,
            ::wgpu::DeviceType::Other => DeviceType::Other,
        },
        features: DeviceFeatures {
            f16: features.contains(Features::SHADER_F16),
            subgroups,
            cooperative_matrices: Vec::new(),
            timestamps: features.contains(Features::TIMESTAMP_QUERY),
            bounded_buffers: true,
            bounded_textures: true,
            bounded_matrices: false,
        },
        limits: limits(&core.adapter_limits(adapter)),
    }
}

fn limits(limits: &Limits) -> DeviceLimits {
    DeviceLimits {
        workgroups: [limits.max_compute_workgroups_per_dimension; 3],
        workgroup_size: [
            limits.max_compute_workgroup_size_x,
            limits.max_compute_workgroup_size_y,
            limits.max_compute_workgroup_size_z,
        ],
        workgroup_invocations: limits.max_compute_invocations_per_workgroup,
        workgroup_subgroups: 0,
        shared_bytes: limits.max_compute_workgroup_storage_size,
        storage_binding_bytes: limits.max_storage_buffer_binding_size,
        uniform_binding_bytes: limits.max_uniform_buffer_binding_size,
        buffer_bytes: limits.max_buffer_size,
        texture_2d_px: limits.max_texture_dimension_2d,
        texture_3d_px: limits.max_texture_dimension_3d,
        texture_layers: limits.max_texture_array_layers,
        image_buffer_texels: 0,
        storage_buffers: limits.max_storage_buffers_per_shader_stage,
        uniform_buffers: limits.max_uniform_buffers_per_shader_stage,
        sampled_images: limits.max_sampled_textures_per_shader_stage,
        storage_images: limits.max_storage_textures_per_shader_stage,
        // Of one group, which is the least that all three have.
        resources: limits.max_bindings_per_bind_group,
        // WebGPU does not tell.
        memory_bytes: u64::MAX,
    }
}

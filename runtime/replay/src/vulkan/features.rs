//! Optional features: queried once, and enabled as they were found, because any variant may need them.
#![expect(unsafe_code, reason = "calls Vulkan")]

use std::ffi::CStr;
use std::ptr::null_mut;

use ash::{ext, khr, vk};

use super::instance::Instance;

/// The feature structs that matter to kernels.
#[derive(Clone, Default)]
pub(crate) struct FeatureChain {
    core: vk::PhysicalDeviceFeatures,
    storage_16bit: vk::PhysicalDevice16BitStorageFeatures<'static>,
    storage_8bit: vk::PhysicalDevice8BitStorageFeatures<'static>,
    float16_int8: vk::PhysicalDeviceShaderFloat16Int8Features<'static>,
    memory_model: vk::PhysicalDeviceVulkanMemoryModelFeatures<'static>,
    subgroup_types: vk::PhysicalDeviceShaderSubgroupExtendedTypesFeatures<'static>,
    subgroup_size: vk::PhysicalDeviceSubgroupSizeControlFeatures<'static>,
    integer_dot: vk::PhysicalDeviceShaderIntegerDotProductFeatures<'static>,
    maintenance4: vk::PhysicalDeviceMaintenance4Features<'static>,
    cooperative_matrix: vk::PhysicalDeviceCooperativeMatrixFeaturesKHR<'static>,
    image_robustness: vk::PhysicalDeviceImageRobustnessFeatures<'static>,
    robustness2: vk::PhysicalDeviceRobustness2FeaturesEXT<'static>,
    has_robust: Robust,
}

/// Checks of accesses that a device has: they cost time, so that only a device for untrusted bundles enables them.
#[derive(Clone, Copy, Default)]
struct Robust {
    buffers: vk::Bool32,
    buffers2: vk::Bool32,
    images: vk::Bool32,
    images2: vk::Bool32,
    matrices: vk::Bool32,
}

impl FeatureChain {
    /// What the device has, less what would cost speed or is never used.
    pub(crate) fn query(
        instance: &Instance,
        raw: vk::PhysicalDevice,
        api_version: u32,
        extensions: &[&CStr],
    ) -> Self {
        let mut chain = Self::default();
        let mut features = chain.linked(api_version, extensions);
        // SAFETY: `raw` belongs to the instance; the chain holds only structs that the device knows.
        unsafe { instance.raw.get_physical_device_features2(raw, &mut features) };
        let has = features.features;
        chain.has_robust = Robust {
            buffers: has.robust_buffer_access,
            buffers2: chain.robustness2.robust_buffer_access2,
            images: chain.image_robustness.robust_image_access,
            images2: chain.robustness2.robust_image_access2,
            matrices: chain.cooperative_matrix.cooperative_matrix_robust_buffer_access,
        };
        // Of the core features only these matter to kernels.
        chain.core = vk::PhysicalDeviceFeatures::default()
            .shader_int16(has.shader_int16 == vk::TRUE)
            .shader_int64(has.shader_int64 == vk::TRUE)
            .shader_storage_image_extended_formats(has.shader_storage_image_extended_formats == vk::TRUE);
        chain.robustness2.null_descriptor = vk::FALSE;
        chain.enable(Robust::default());
        chain
    }

    /// Leaves out halves and cooperative matrices, where nothing needs them.
    pub(crate) fn restrict(&mut self, halves: bool, matrices: bool) {
        if !halves {
            self.float16_int8.shader_float16 = vk::FALSE;
            self.storage_16bit = vk::PhysicalDevice16BitStorageFeatures::default();
        }
        if !matrices {
            self.cooperative_matrix = vk::PhysicalDeviceCooperativeMatrixFeaturesKHR::default();
        }
    }

    /// The same with all accesses checked that the device can check.
    pub(crate) fn robust(&self) -> Self {
        let mut chain = self.clone();
        chain.enable(self.has_robust);
        chain
    }

    fn enable(&mut self, robust: Robust) {
        self.core.robust_buffer_access = robust.buffers;
        self.robustness2.robust_buffer_access2 = robust.buffers2;
        self.image_robustness.robust_image_access = robust.images;
        self.robustness2.robust_image_access2 = robust.images2;
        self.cooperative_matrix.cooperative_matrix_robust_buffer_access = robust.matrices;
    }

    /// Accesses to textures can be checked.
    pub(crate) fn can_bound_textures(&self) -> bool {
        self.has_robust.images == vk::TRUE || self.has_robust.images2 == vk::TRUE
    }

    /// Accesses of cooperative matrices to buffers can be checked.
    pub(crate) fn can_bound_matrices(&self) -> bool {
        self.has_robust.matrices == vk::TRUE
    }

    /// All structs that a device of this version and these extensions knows, as one chain.
    pub(crate) fn linked(
        &mut self,
        api_version: u32,
        extensions: &[&CStr],
    ) -> vk::PhysicalDeviceFeatures2<'_> {
        self.unlink();
        let known = |core_since: u32, name: &CStr| api_version >= core_since || extensions.contains(&name);
        let mut features =
            vk::PhysicalDeviceFeatures2::default().features(self.core).push_next(&mut self.storage_16bit);
        if known(vk::API_VERSION_1_2, khr::_8bit_storage::NAME) {
            features = features.push_next(&mut self.storage_8bit);
        }
        if known(vk::API_VERSION_1_2, khr::shader_float16_int8::NAME) {
            features = features.push_next(&mut self.float16_int8);
        }
        if known(vk::API_VERSION_1_2, khr::vulkan_memory_model::NAME) {
            features = features.push_next(&mut self.memory_model);
        }
        if known(vk::API_VERSION_1_2, khr::shader_subgroup_extended_types::NAME) {
            features = features.push_next(&mut self.subgroup_types);
        }
        if known(vk::API_VERSION_1_3, ext::subgroup_size_control::NAME) {
            features = features.push_next(&mut self.subgroup_size);
        }
        if known(vk::API_VERSION_1_3, khr::shader_integer_dot_product::NAME) {
            features = features.push_next(&mut self.integer_dot);
        }
        if known(vk::API_VERSION_1_3, khr::maintenance4::NAME) {
            features = features.push_next(&mut self.maintenance4);
        }
        if known(vk::API_VERSION_1_3, ext::image_robustness::NAME) {
            features = features.push_next(&mut self.image_robustness);
        }
        if extensions.contains(&ext::robustness2::NAME) {
            features = features.push_next(&mut self.robustness2);
        }
        if extensions.contains(&khr::cooperative_matrix::NAME) {
            features = features.push_next(&mut self.cooperative_matrix);
        }
        features
    }

    /// Forgets an earlier chain, whose pointers may be stale.
    fn unlink(&mut self) {
        self.storage_16bit.p_next = null_mut();
        self.storage_8bit.p_next = null_mut();
        self.float16_int8.p_next = null_mut();
        self.memory_model.p_next = null_mut();
        self.subgroup_types.p_next = null_mut();
        self.subgroup_size.p_next = null_mut();
        self.integer_dot.p_next = null_mut();
        self.maintenance4.p_next = null_mut();
        self.cooperative_matrix.p_next = null_mut();
        self.image_robustness.p_next = null_mut();
        self.robustness2.p_next = null_mut();
    }

    /// Arithmetic and storage in 16-bit floats. The uniform form counts too, since naga's SPIR-V declares it
    /// with any use.
    pub(crate) fn has_f16(&self) -> bool {
        self.float16_int8.shader_float16 == vk::TRUE
            && self.storage_16bit.storage_buffer16_bit_access == vk::TRUE
            && self.storage_16bit.uniform_and_storage_buffer16_bit_access == vk::TRUE
    }

    pub(crate) fn selects_subgroup_size(&self) -> bool {
        self.subgroup_size.subgroup_size_control == vk::TRUE
    }

    pub(crate) fn has_full_subgroups(&self) -> bool {
        self.subgroup_size.compute_full_subgroups == vk::TRUE
    }

    /// Cooperative matrices, and the memory model that their SPIR-V is written in.
    pub(crate) fn has_cooperative_matrices(&self) -> bool {
        self.cooperative_matrix.cooperative_matrix == vk::TRUE
            && self.memory_model.vulkan_memory_model == vk::TRUE
    }
}

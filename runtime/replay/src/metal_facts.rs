//! What is known of Metal without a device: limits by GPU family, what errors mean, which language a kernel is in. Kept apart
//! from the calls, so that it is tested on every platform.

use drift_bundle::manifest::{Argument, BindingKind, DeviceElement, Shader};

use crate::info::{CooperativeMatrix, DeviceFeatures, DeviceLimits, DeviceType, SubgroupFeatures};

/// A family of GPUs by its number in Metal's headers, with its name.
pub(crate) const FAMILIES: [(isize, &str); 13] = [
    (1001, "Apple1"),
    (1002, "Apple2"),
    (1003, "Apple3"),
    (1004, "Apple4"),
    (1005, "Apple5"),
    (1006, "Apple6"),
    (1007, "Apple7"),
    (1008, "Apple8"),
    (1009, "Apple9"),
    (1010, "Apple10"),
    (2002, "Mac2"),
    (5001, "Metal3"),
    (5002, "Metal4"),
];

/// Entries of the buffer argument table, of all families.
pub(crate) const BUFFERS: u32 = 31;

/// Lanes of a subgroup of Apple's own GPUs.
const APPLE_LANES: u32 = 32;

/// What a device says of itself, in numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    pub(crate) name: String,
    /// Those of [`FAMILIES`] that it is of.
    pub(crate) families: Vec<isize>,
    pub(crate) has_unified_memory: bool,
    pub(crate) is_low_power: bool,
    pub(crate) workgroup_size: [u64; 3],
    pub(crate) shared_bytes: u64,
    pub(crate) buffer_bytes: u64,
    /// `u64::MAX` where it does not say.
    pub(crate) memory_bytes: u64,
    /// Timestamps at the ends of a pass.
    pub(crate) timestamps: bool,
}

impl Told {
    /// The highest of Apple's own families; 0 for other vendors' GPUs.
    fn apple(&self) -> isize {
        let own = self.families.iter().filter(|family| (1001..2000).contains(*family));
        own.max().map_or(0, |family| family - 1000)
    }

    fn is(&self, family: isize) -> bool {
        self.families.contains(&family)
    }

    /// Whether kernels can run on it as they are written: Apple4 (A11) and Mac2 have workgroups of 1024 invocations, 32 KiB
    /// of workgroup memory and barriers inside of a pass.
    pub(crate) fn is_usable(&self) -> bool {
        self.apple() >= 4 || self.is(2002)
    }

    /// Names of its families, in order.
    pub(crate) fn family_names(&self) -> String {
        // Of Apple's own each includes those before it.
        let newest = |family: isize| family >= 2000 || family == 1000 + self.apple();
        let names = FAMILIES.iter().filter(|(family, _)| newest(*family) && self.is(*family));
        names.map(|(_, name)| *name).collect::<Vec<_>>().join(" ")
    }

    /// The PCI vendor id that goes with the name, since Metal tells none; 0 where no vendor is known by it.
    pub(crate) fn vendor_id(&self) -> u32 {
        let of_names = [("Apple", 0x106b), ("AMD", 0x1002), ("Intel", 0x8086), ("NVIDIA", 0x10de)];
        let named = of_names.into_iter().find(|(name, _)| self.name.starts_with(name)).map(|(_, id)| id);
        if self.apple() > 0 { 0x106b } else { named.unwrap_or(0) }
    }

    pub(crate) fn device_type(&self) -> DeviceType {
        let is_integrated = self.apple() > 0 || self.has_unified_memory || self.is_low_power;
        if is_integrated { DeviceType::Integrated } else { DeviceType::Discrete }
    }

    pub(crate) fn features(&self) -> DeviceFeatures {
        let reduces = self.apple() >= 7 || self.is(2002);
        DeviceFeatures {
            f16: true,
            subgroups: SubgroupFeatures {
                operations: reduces,
                // Other vendors' compilers choose one for each kernel.
                size: if self.apple() > 0 { APPLE_LANES } else { 0 },
                selectable: None,
            },
            cooperative_matrices: if self.apple() >= 7 { matrices() } else { Vec::new() },
            timestamps: self.timestamps,
            // A kernel's pointers go anywhere in the process's memory on the GPU.
            bounded_buffers: false,
            bounded_textures: false,
            bounded_matrices: false,
        }
    }

    /// After Metal's feature set tables, where the device does not say it.
    pub(crate) fn limits(&self) -> DeviceLimits {
        let narrow = |size: u64| u32::try_from(size).unwrap_or(u32::MAX);
        let textures = if self.apple() >= 6 || self.is(2002) { 128 } else { 96 };
        DeviceLimits {
            // The tables name none; positions in a grid are 32 bits wide.
            workgroups: [i32::MAX as u32; 3],
            workgroup_size: self.workgroup_size.map(narrow),
            workgroup_invocations: narrow(self.workgroup_size[0]),
            workgroup_subgroups: 0,
            shared_bytes: narrow(self.shared_bytes),
            storage_binding_bytes: self.buffer_bytes,
            // What GPUs with the least have in the constant address space.
            uniform_binding_bytes: 65_536,
            buffer_bytes: self.buffer_bytes,
            texture_2d_px: if self.apple() >= 10 { 32_768 } else { 16_384 },
            texture_3d_px: 2048,
            texture_layers: 2048,
            image_buffer_texels: 1 << 26,
            storage_buffers: BUFFERS,
            uniform_buffers: BUFFERS,
            sampled_images: textures,
            storage_images: textures,
            resources: BUFFERS + textures,
            memory_bytes: self.memory_bytes,
        }
    }
}

/// `simdgroup_matrix`: 8x8 of float or half, with sums of float or half.
fn matrices() -> Vec<CooperativeMatrix> {
    let of = |ab, c| CooperativeMatrix { m: 8, n: 8, k: 8, ab, c };
    let (half, float) = (DeviceElement::F16, DeviceElement::F32);
    vec![of(half, float), of(half, half), of(float, float)]
}

/// What the failure of a submission means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    OutOfMemory,
    /// Nothing that comes after can be relied on.
    Lost(&'static str),
    /// This submission did not run; later ones may.
    Refused,
}

/// The meaning of a command buffer's error code.
pub(crate) fn verdict(code: isize) -> Verdict {
    match code {
        2 => Verdict::Lost("a kernel ran into the GPU's watchdog"),
        3 => Verdict::Lost("a kernel accessed memory that is not there"),
        4 => Verdict::Lost("the system has revoked the GPU after earlier failures"),
        7 => Verdict::Refused,
        8 => Verdict::OutOfMemory,
        11 => Verdict::Lost("the GPU was removed"),
        12 => Verdict::Lost("a kernel ran out of stack"),
        // Internal errors, invalid resources and what later systems add.
        _ => Verdict::Lost("the driver failed"),
    }
}

/// The language version that a kernel's text names in its first lines, as `// language: metal2.4`.
pub(crate) fn language_version(text: &str) -> Option<(u8, u8)> {
    let named = text.lines().take(4).find_map(|line| line.strip_prefix("// language: metal"))?;
    let (major, minor) = named.trim().split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// An argument that a compiled kernel has, as its reflection tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reflected {
    pub(crate) argument: Argument,
    pub(crate) is_written: bool,
}

/// What disagrees between a compiled kernel's arguments and the manifest, if anything does. A kernel without text has nothing
/// else to be checked by.
pub(crate) fn disagreement(shader: &Shader, found: &[Reflected]) -> Option<String> {
    let arguments = shader.metal_arguments();
    let one = |reflected: &Reflected| {
        let at = arguments.iter().position(|argument| *argument == reflected.argument);
        let Some(slot) = at.map(|at| &shader.bindings[at]) else {
            return Some(format!("it has {}, which the manifest does not", reflected.argument));
        };
        let may_write = slot.writable && !matches!(slot.kind, BindingKind::UniformBuffer { .. });
        (reflected.is_written && !may_write)
            .then(|| format!("it writes {}, which the manifest says is only read", reflected.argument))
    };
    let missing = arguments.iter().zip(&shader.bindings).find(|(argument, slot)| {
        slot.writable && !found.iter().any(|reflected| reflected.argument == **argument)
    });
    let missing =
        missing.map(|(argument, _)| format!("it lacks {argument}, which the manifest says it writes"));
    found.iter().find_map(one).or(missing)
}

#[cfg(test)]
mod tests {
    use drift_bundle::manifest::{BindingSlot, Target, TextureKind};

    use super::*;

    fn m1() -> Told {
        Told {
            name: "Apple M1".to_owned(),
            families: vec![1001, 1002, 1003, 1004, 1005, 1006, 1007, 2002, 5001],
            has_unified_memory: true,
            workgroup_size: [1024; 3],
            shared_bytes: 32_768,
            buffer_bytes: 9 << 30,
            memory_bytes: 11 << 30,
            timestamps: true,
            is_low_power: false,
        }
    }

    #[test]
    fn families_say_what_a_device_can_do() {
        let m1 = m1();
        assert!(m1.is_usable());
        assert_eq!(m1.family_names(), "Apple7 Mac2 Metal3");
        assert_eq!((m1.vendor_id(), m1.device_type()), (0x106b, DeviceType::Integrated));
        let features = m1.features();
        assert!(features.f16 && features.subgroups.offers(32) && features.subgroups.operations);
        assert_eq!(features.cooperative_matrices.len(), 3);
        assert!(!features.bounded_buffers && !features.bounded_textures && !features.bounded_matrices);
        let limits = m1.limits();
        assert_eq!((limits.workgroup_invocations, limits.shared_bytes), (1024, 32_768));
        assert_eq!((limits.texture_2d_px, limits.sampled_images), (16_384, 128));
        assert_eq!(limits.storage_binding_bytes, 9 << 30);

        let a12 = Told { name: "Apple A12 GPU".to_owned(), families: vec![1001, 1004, 1005], ..m1.clone() };
        assert!(a12.is_usable() && !a12.features().subgroups.operations);
        assert_eq!((a12.features().cooperative_matrices.len(), a12.limits().sampled_images), (0, 96));

        let radeon = Told {
            name: "AMD Radeon Pro 5500M".to_owned(),
            families: vec![2002, 5001],
            has_unified_memory: false,
            ..m1.clone()
        };
        assert!(radeon.is_usable() && radeon.features().cooperative_matrices.is_empty());
        assert_eq!((radeon.vendor_id(), radeon.device_type()), (0x1002, DeviceType::Discrete));
        assert!(!radeon.features().subgroups.offers(32), "its compiler chooses");

        let a8 = Told { families: vec![1001, 1002], ..m1 };
        assert!(!a8.is_usable());
    }

    #[test]
    fn errors_of_submissions_are_told_apart() {
        assert_eq!(verdict(8), Verdict::OutOfMemory);
        assert_eq!(verdict(7), Verdict::Refused);
        for lost in [0, 1, 2, 3, 4, 9, 10, 11, 12, 99] {
            assert!(matches!(verdict(lost), Verdict::Lost(_)), "{lost}");
        }
    }

    #[test]
    fn the_language_is_read_from_the_text() {
        let text = "#pragma METAL fp math_mode(safe)\n// language: metal2.4\n#include <metal_stdlib>\n";
        assert_eq!(language_version(text), Some((2, 4)));
        assert_eq!(language_version("// language: metal3.0\n"), Some((3, 0)));
        assert_eq!(language_version("kernel void main() {}"), None);
        assert_eq!(language_version("// language: metal3\n"), None);
        assert_eq!(language_version("\n\n\n\n\n// language: metal2.4\n"), None, "only at the head");
    }

    #[test]
    fn a_compiled_kernel_is_held_against_the_manifest() {
        let slot = |binding, kind, writable| BindingSlot { group: 0, binding, kind, writable };
        let texture = BindingKind::Texture { kind: TextureKind::D2, element: DeviceElement::F32 };
        let shader = Shader {
            name: "k".to_owned(),
            target: Target::Metal,
            entry_point: "k".to_owned(),
            offset: 0,
            size: 0,
            workgroup_size: [32, 1, 1],
            shared_bytes: 0,
            subgroup_size: None,
            bindings: vec![
                slot(2, BindingKind::StorageBuffer { min_bytes: 4 }, true),
                slot(0, BindingKind::StorageBuffer { min_bytes: 4 }, false),
                slot(1, texture, false),
            ],
        };
        let of = |argument, is_written| Reflected { argument, is_written };
        let right =
            [of(Argument::Buffer(1), true), of(Argument::Buffer(0), false), of(Argument::Texture(0), false)];
        assert_eq!(disagreement(&shader, &right), None);
        assert_eq!(disagreement(&shader, &right[..1]), None, "what is not read is dropped");
        let said = disagreement(&shader, &right[1..]).unwrap();
        assert!(said.contains("lacks buffer 1"), "{said}");
        let said = disagreement(&shader, &[right[0], of(Argument::Buffer(0), true)]).unwrap();
        assert!(said.contains("writes buffer 0"), "{said}");
        let said = disagreement(&shader, &[right[0], of(Argument::Texture(1), false)]).unwrap();
        assert!(said.contains("it has texture 1"), "{said}");
    }
}

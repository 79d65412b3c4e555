//! Makes image buffers of one-dimensional images.
//!
//! The kernel dialect spells an image buffer as `texture_1d` or `texture_storage_1d`; naga writes a 1D image. Vulkan's
//! texel buffers have dimension `Buffer`, no level of detail, and their own capabilities.

use std::collections::{BTreeMap, BTreeSet};

use super::words::{Instruction, Words, op};

const DIM_1D: u32 = 0;
const DIM_BUFFER: u32 = 5;
const SAMPLED_1D: u32 = 43;
const IMAGE_1D: u32 = 44;
const SAMPLED_BUFFER: u32 = 46;
const IMAGE_BUFFER: u32 = 47;
/// The bit of image operands that says that a level of detail follows.
const LOD: u32 = 0x2;

/// Turns every 1D image into an image buffer.
pub(super) fn from_1d_images(words: &mut Words) {
    let images: BTreeSet<u32> =
        words.instructions.iter().filter(|one| is_1d(one)).map(|one| one.operands[0]).collect();
    if images.is_empty() {
        return;
    }
    let values: BTreeMap<u32, u32> =
        words.instructions.iter().filter_map(|one| one.typed_result().map(|(ty, id)| (id, ty))).collect();
    let is_buffer = |image: u32| values.get(&image).is_some_and(|ty| images.contains(ty));
    for one in &mut words.instructions {
        match one.opcode {
            op::CAPABILITY => one.operands[0] = capability(one.operands[0]),
            op::TYPE_IMAGE if is_1d(one) => one.operands[2] = DIM_BUFFER,
            op::IMAGE_FETCH if is_buffer(one.operands[2]) => without_level(one),
            op::IMAGE_QUERY_SIZE_LOD if is_buffer(one.operands[2]) => {
                one.opcode = op::IMAGE_QUERY_SIZE;
                one.operands.truncate(3);
            }
            _ => {}
        }
    }
}

fn is_1d(one: &Instruction) -> bool {
    one.opcode == op::TYPE_IMAGE && one.operands[2] == DIM_1D
}

fn capability(declared: u32) -> u32 {
    match declared {
        SAMPLED_1D => SAMPLED_BUFFER,
        IMAGE_1D => IMAGE_BUFFER,
        other => other,
    }
}

/// Drops the level of detail, the first of the image operands; naga gives a fetch no other.
fn without_level(fetch: &mut Instruction) {
    if fetch.operands.get(4) == Some(&LOD) {
        fetch.operands.truncate(4);
    }
}

#[cfg(all(test, feature = "spirv-tools"))]
mod tests {
    use super::super::testing::edited;
    use super::from_1d_images;

    fn kernel(dim: &str, capability: &str, coordinate: &str) -> String {
        format!(
            "OpCapability Shader
            OpCapability {capability}
            OpCapability ImageQuery
            OpMemoryModel Logical GLSL450
            OpEntryPoint GLCompute %main \"main\"
            OpExecutionMode %main LocalSize 1 1 1
            OpName %held \"held\"
            %void = OpTypeVoid
            %float = OpTypeFloat 32
            %int = OpTypeInt 32 1
            %zero = OpConstant %int 0
            %pair = OpTypeVector %int 2
            %zeros = OpConstantNull %pair
            %v4float = OpTypeVector %float 4
            %image = OpTypeImage %float {dim} 0 0 0 1 Unknown
            %pointer = OpTypePointer UniformConstant %image
            %src = OpVariable %pointer UniformConstant
            %signature = OpTypeFunction %void
            %main = OpFunction %void None %signature
            %entry = OpLabel
            %held = OpLoad %image %src
            %texel = OpImageFetch %v4float %held {coordinate} Lod %zero
            OpReturn
            OpFunctionEnd"
        )
    }

    #[test]
    fn a_fetch_from_a_1d_image_becomes_a_fetch_from_a_buffer() {
        let text = edited(&kernel("1D", "Sampled1D", "%zero"), from_1d_images);
        assert!(text.contains("OpCapability SampledBuffer"), "{text}");
        assert!(text.contains("OpTypeImage %float Buffer 0 0 0 1 Unknown"), "{text}");
        assert!(text.contains("OpImageFetch %v4float %held %int_0\n"), "{text}");
    }

    #[test]
    fn a_2d_image_keeps_its_level_of_detail() {
        let text = kernel("2D", "Shader", "%zeros");
        assert_eq!(edited(&text, from_1d_images), edited(&text, |_| ()));
    }
}

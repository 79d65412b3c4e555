//! Textures of four channels, and texels over a range of a buffer.
#![expect(unsafe_code, reason = "describes textures, whose sizes Metal does not check")]

use drift_bundle::manifest::{DeviceElement, TextureKind, TextureObject};
use objc2::rc::autoreleasepool;
use objc2_metal::{
    MTLBuffer, MTLDevice, MTLPixelFormat, MTLResource, MTLResourceOptions, MTLStorageMode, MTLTexture,
    MTLTextureDescriptor, MTLTextureType, MTLTextureUsage,
};

use super::context::Context;
use super::handle::Shared;
use super::memory::Buffer;
use super::not_made;
use crate::api::{Memory, Purpose, Role};
use crate::error::RuntimeError;

/// Zeros that textures are cleared with, in parts.
const ZERO_BYTES: u64 = 1 << 20;

/// Textures that were made together.
pub(crate) struct Textures {
    pub(crate) images: Vec<Shared<dyn MTLTexture>>,
    pub(crate) objects: Vec<TextureObject>,
    /// What they take.
    pub(crate) size: u64,
    /// At least a row of each, where they are cleared.
    pub(crate) zeros: Option<Buffer>,
}

impl Textures {
    pub(crate) fn new(
        context: &Context,
        objects: &[TextureObject],
        role: Role,
    ) -> Result<Self, RuntimeError> {
        let images: Vec<_> =
            objects.iter().map(|object| image(context, object, role)).collect::<Result<_, _>>()?;
        let size = images.iter().map(|image| image.allocatedSize() as u64).sum();
        let zeros = match (role, objects.iter().map(row_bytes).max()) {
            (Role::Activations, Some(longest)) => Some(zeros(context, longest.max(ZERO_BYTES))?),
            (Role::Weights, _) | (_, None) => None,
        };
        Ok(Self { images, objects: objects.to_vec(), size, zeros })
    }
}

/// A row of texels.
pub(crate) fn row_bytes(object: &TextureObject) -> u64 {
    u64::from(object.extent_px[0]) * object.element.texel_bytes()
}

fn zeros(context: &Context, bytes: u64) -> Result<Buffer, RuntimeError> {
    let mut zeros = Buffer::new(context, bytes, Purpose::Upload)?;
    if let Some(bytes) = zeros.bytes_mut() {
        bytes.fill(0);
    }
    Ok(zeros)
}

const fn format(element: DeviceElement) -> MTLPixelFormat {
    match element {
        DeviceElement::F32 => MTLPixelFormat::RGBA32Float,
        DeviceElement::F16 => MTLPixelFormat::RGBA16Float,
        DeviceElement::I32 => MTLPixelFormat::RGBA32Sint,
        DeviceElement::U32 => MTLPixelFormat::RGBA32Uint,
    }
}

fn image(
    context: &Context,
    object: &TextureObject,
    role: Role,
) -> Result<Shared<dyn MTLTexture>, RuntimeError> {
    let [width, height, last] = object.extent_px.map(|size| size as usize);
    let (kind, depth, layers) = match object.kind {
        TextureKind::D2 => (MTLTextureType::Type2D, 1, 1),
        TextureKind::Array => (MTLTextureType::Type2DArray, 1, last),
        TextureKind::D3 => (MTLTextureType::Type3D, last, 1),
    };
    let usage = match role {
        Role::Activations => MTLTextureUsage::ShaderRead | MTLTextureUsage::ShaderWrite,
        Role::Weights => MTLTextureUsage::ShaderRead,
    };
    let made = autoreleasepool(|_| {
        let descriptor = MTLTextureDescriptor::new();
        descriptor.setTextureType(kind);
        descriptor.setPixelFormat(format(object.element));
        // SAFETY: no side is zero, which the bundle's validator has checked, and all are within the device's limits.
        unsafe {
            descriptor.setWidth(width);
            descriptor.setHeight(height);
            descriptor.setDepth(depth);
            descriptor.setArrayLength(layers);
        }
        descriptor.setStorageMode(MTLStorageMode::Private);
        descriptor.setUsage(usage);
        context.device.newTextureWithDescriptor(&descriptor)
    });
    let failed = || not_made("creating a texture", Some(object.size_bytes()));
    made.map(Shared::from).ok_or_else(failed)
}

/// Texels over a range of a buffer, whose memory they share.
pub(crate) fn texels(
    buffer: &Buffer,
    element: DeviceElement,
    (offset, size): (u64, u64),
    is_written: bool,
) -> Result<Shared<dyn MTLTexture>, RuntimeError> {
    let usage = if is_written {
        MTLTextureUsage::ShaderRead | MTLTextureUsage::ShaderWrite
    } else {
        MTLTextureUsage::ShaderRead
    };
    let made = autoreleasepool(|_| {
        let options: MTLResourceOptions = buffer.raw.resourceOptions();
        let count = (size / element.texel_bytes()) as usize;
        // SAFETY: the range is whole texels, no more than the device's limit.
        let descriptor = unsafe {
            MTLTextureDescriptor::textureBufferDescriptorWithPixelFormat_width_resourceOptions_usage(
                format(element),
                count,
                options,
                usage,
            )
        };
        buffer.raw.newTextureWithDescriptor_offset_bytesPerRow(&descriptor, offset as usize, size as usize)
    });
    made.map(Shared::from).ok_or_else(|| not_made("creating texels over a buffer", None))
}

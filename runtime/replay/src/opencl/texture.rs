//! Textures: images of four channels.
#![expect(unsafe_code, reason = "calls OpenCL")]

use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;

use drift_bundle::manifest::{DeviceElement, TextureKind, TextureObject};
use opencl3::memory::{
    CL_FLOAT, CL_HALF_FLOAT, CL_MEM_OBJECT_IMAGE1D_BUFFER, CL_MEM_OBJECT_IMAGE2D,
    CL_MEM_OBJECT_IMAGE2D_ARRAY, CL_MEM_OBJECT_IMAGE3D, CL_MEM_READ_WRITE, CL_RGBA, CL_SIGNED_INT32,
    CL_UNSIGNED_INT32, create_image,
};
use opencl3::types::{cl_image_desc, cl_image_format};

use super::context::Context;
use super::failed;
use super::handle::Handle;
use crate::error::RuntimeError;

/// Textures that were made together.
pub(crate) struct Textures {
    pub(crate) images: Vec<Arc<Handle>>,
    pub(crate) objects: Vec<TextureObject>,
}

impl Textures {
    pub(crate) fn new(context: &Context, objects: &[TextureObject]) -> Result<Self, RuntimeError> {
        let images =
            objects.iter().map(|object| image(context, object).map(Arc::new)).collect::<Result<_, _>>()?;
        Ok(Self { images, objects: objects.to_vec() })
    }

    /// Bytes of all texels.
    pub(crate) fn size(&self) -> u64 {
        self.objects.iter().map(TextureObject::size_bytes).sum()
    }
}

fn format(element: DeviceElement) -> cl_image_format {
    let image_channel_data_type = match element {
        DeviceElement::F32 => CL_FLOAT,
        DeviceElement::F16 => CL_HALF_FLOAT,
        DeviceElement::I32 => CL_SIGNED_INT32,
        DeviceElement::U32 => CL_UNSIGNED_INT32,
    };
    cl_image_format { image_channel_order: CL_RGBA, image_channel_data_type }
}

fn image(context: &Context, object: &TextureObject) -> Result<Handle, RuntimeError> {
    let [width, height, last] = object.extent_px.map(|size| size as usize);
    let (image_type, depth, layers) = match object.kind {
        TextureKind::D2 => (CL_MEM_OBJECT_IMAGE2D, 1, 1),
        TextureKind::Array => (CL_MEM_OBJECT_IMAGE2D_ARRAY, 1, last),
        TextureKind::D3 => (CL_MEM_OBJECT_IMAGE3D, last, 1),
    };
    let description = cl_image_desc {
        image_width: width,
        image_height: height,
        image_depth: depth,
        image_array_size: layers,
        ..empty(image_type)
    };
    create(context, object.element, &description, "creating a texture")
}

/// An image buffer of `texels` over the whole of `buffer`.
pub(crate) fn image_buffer(
    context: &Context,
    buffer: &Handle,
    element: DeviceElement,
    texels: usize,
) -> Result<Handle, RuntimeError> {
    let description = cl_image_desc {
        image_width: texels,
        image_height: 1,
        image_depth: 1,
        image_array_size: 1,
        buffer: buffer.raw(),
        ..empty(CL_MEM_OBJECT_IMAGE1D_BUFFER)
    };
    create(context, element, &description, "creating an image buffer")
}

fn empty(image_type: u32) -> cl_image_desc {
    cl_image_desc {
        image_type,
        image_width: 0,
        image_height: 0,
        image_depth: 0,
        image_array_size: 0,
        // Without gaps.
        image_row_pitch: 0,
        image_slice_pitch: 0,
        num_mip_levels: 0,
        num_samples: 0,
        buffer: ptr::null_mut::<c_void>(),
    }
}

fn create(
    context: &Context,
    element: DeviceElement,
    description: &cl_image_desc,
    doing: &'static str,
) -> Result<Handle, RuntimeError> {
    let format = format(element);
    // SAFETY: the context is alive, format and description outlive the call, and the size is within the device's limits.
    let made = unsafe {
        create_image(
            context.raw(),
            CL_MEM_READ_WRITE,
            &raw const format,
            std::ptr::from_ref(description),
            ptr::null_mut(),
        )
    };
    made.map(Handle::memory).map_err(failed(doing))
}

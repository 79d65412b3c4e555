//! Kernels with their arguments: one object for each dispatch, so that a run sets none.
#![expect(unsafe_code, reason = "calls OpenCL")]

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::sync::Arc;

use drift_bundle::manifest::{DeviceElement, Dispatch, Resource};
use opencl3::kernel::set_kernel_arg;
use opencl3::memory::{CL_BUFFER_CREATE_TYPE_REGION, CL_MEM_READ_WRITE, cl_buffer_region, create_sub_buffer};
use opencl3::types::{cl_mem, cl_ulong};

use super::context::Context;
use super::failed;
use super::handle::Handle;
use super::kernels::Kernels;
use super::memory::Buffer;
use super::texture;
use crate::api::{Bound, Memory};
use crate::error::RuntimeError;

/// Kernels of the dispatches of one list, with their arguments.
pub(crate) struct Bindings {
    kernels: Vec<Arc<Handle>>,
    /// Image buffers, by buffer, element and the part of the buffer that they are of.
    texels: BTreeMap<(usize, DeviceElement, Part), ImageBuffer>,
}

/// An image over a buffer, or over a part of one that is more than an image can hold.
struct ImageBuffer {
    image: Handle,
    /// The image holds it too, on all devices but some.
    _part: Option<Handle>,
}

/// Offset and size of what an image buffer is made of.
type Part = (u64, u64);

impl Bindings {
    pub(crate) fn new<'m>(
        context: &Context,
        kernels: &Kernels,
        dispatches: &[Dispatch],
        bound: impl Fn(&Resource) -> Bound<'m, Context>,
    ) -> Result<Self, RuntimeError> {
        let mut bindings = Self { kernels: Vec::with_capacity(dispatches.len()), texels: BTreeMap::new() };
        for dispatch in dispatches {
            check_grid(kernels, dispatch)?;
            let kernel = kernels.of(dispatch.shader).kernel()?;
            bindings.set_arguments(context, &kernel, dispatch, &bound)?;
            bindings.kernels.push(Arc::new(kernel));
        }
        Ok(bindings)
    }

    /// The kernel of dispatch `index`.
    pub(crate) fn of(&self, index: usize) -> Arc<Handle> {
        Arc::clone(&self.kernels[index])
    }

    /// Sets one argument for each resource, then, in the same order, the offset of each that is a range of a buffer: bytes,
    /// or texels of an image buffer.
    fn set_arguments<'m>(
        &mut self,
        context: &Context,
        kernel: &Handle,
        dispatch: &Dispatch,
        bound: &impl Fn(&Resource) -> Bound<'m, Context>,
    ) -> Result<(), RuntimeError> {
        let mut offsets = Vec::new();
        for (resource, argument) in dispatch.bindings.iter().zip(0..) {
            let memory = match bound(resource) {
                Bound::Buffer { buffer, offset, .. } => {
                    offsets.push(offset);
                    device_memory(buffer).raw()
                }
                Bound::Texels { buffer, element, offset, size } => {
                    let part = Self::part(context, buffer, element, (offset, size));
                    offsets.push((offset - part.0) / element.texel_bytes());
                    self.image_buffer(context, buffer, element, part)?
                }
                Bound::Texture { textures, index, .. } => textures.images[index].raw(),
            };
            set::<cl_mem>(kernel, argument, &memory)?;
        }
        let after = dispatch.bindings.len() as u32;
        for (offset, argument) in offsets.iter().zip(after..) {
            set::<cl_ulong>(kernel, argument, offset)?;
        }
        Ok(())
    }

    /// What an image for a range of texels is made of: the whole buffer, since not all devices make images of sub-buffers;
    /// where that is more than an image can hold, as little as the device's alignment allows.
    fn part(context: &Context, buffer: &Buffer, element: DeviceElement, (offset, size): (u64, u64)) -> Part {
        let whole = buffer.size() / element.texel_bytes();
        if whole <= context.info.limits.image_buffer_texels.into() {
            return (0, whole * element.texel_bytes());
        }
        let start = offset - offset % context.base_alignment_bytes;
        (start, offset + size - start)
    }

    /// The image over a part of a buffer, made once for each.
    fn image_buffer(
        &mut self,
        context: &Context,
        buffer: &Buffer,
        element: DeviceElement,
        part: Part,
    ) -> Result<cl_mem, RuntimeError> {
        let memory = device_memory(buffer);
        let key = (memory.raw() as usize, element, part);
        if let Some(made) = self.texels.get(&key) {
            return Ok(made.image.raw());
        }
        let (start, bytes) = part;
        let is_whole = start == 0 && bytes + element.texel_bytes() > buffer.size();
        let sub_buffer = if is_whole { None } else { Some(sub_buffer(memory, part)?) };
        let texels = (bytes / element.texel_bytes()) as usize;
        let image = texture::image_buffer(context, sub_buffer.as_ref().unwrap_or(memory), element, texels)?;
        let raw = image.raw();
        self.texels.insert(key, ImageBuffer { image, _part: sub_buffer });
        Ok(raw)
    }
}

/// Refuses more invocations than drivers count without an overflow.
fn check_grid(kernels: &Kernels, dispatch: &Dispatch) -> Result<(), RuntimeError> {
    let sizes = dispatch.workgroups.into_iter().chain(kernels.of(dispatch.shader).workgroup_size);
    let invocations = sizes.fold(1_u128, |product, size| product.saturating_mul(size.into()));
    if invocations <= i64::MAX as u128 {
        return Ok(());
    }
    let code = format!("dispatch `{}` has {invocations} invocations", dispatch.name);
    Err(RuntimeError::Driver { doing: "binding a kernel", code })
}

fn sub_buffer(buffer: &Handle, (start, bytes): Part) -> Result<Handle, RuntimeError> {
    let region = cl_buffer_region { origin: start as usize, size: bytes as usize };
    // SAFETY: the part is inside of the buffer, and begins where the device lets a sub-buffer begin.
    let made = unsafe {
        create_sub_buffer(
            buffer.raw(),
            CL_MEM_READ_WRITE,
            CL_BUFFER_CREATE_TYPE_REGION,
            (&raw const region).cast::<c_void>(),
        )
    };
    made.map(Handle::memory).map_err(failed("creating a sub-buffer"))
}

fn device_memory(buffer: &Buffer) -> &Handle {
    match buffer {
        Buffer::Device { memory, .. } => memory,
        Buffer::Host(_) => unreachable!("verified: kernels are given device memory"),
    }
}

fn set<T>(kernel: &Handle, argument: u32, value: &T) -> Result<(), RuntimeError> {
    // SAFETY: the value is of the size that is given, and is copied by the call; no other thread has the kernel so far.
    unsafe { set_kernel_arg(kernel.raw(), argument, size_of::<T>(), std::ptr::from_ref(value).cast()) }
        .map_err(failed("setting a kernel's argument"))
}

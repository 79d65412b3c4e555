//! Inputs and outputs in buffers of the app's own.

use std::ffi::{c_char, c_void};

use drift_runtime::{DeviceElement, IoBuffer, OwnBuffer};

use crate::call::{call, make, needed_text, shared};
use crate::objects::{CBundle, CDevice};
use crate::options::{LoadOptions, load_options};
use crate::session::{CSession, Element};
use crate::status::{Failure, Status};

/// What a buffer has to be that an input or output can be in: dense, row-major, of elements as the device computes with them.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Need {
    /// Type of an element on the device.
    pub element: Element,
    /// Where the first element is, in bytes from the start that the app chooses.
    pub offset: u64,
    /// Bytes from that start on, padding included.
    pub bytes: u64,
    /// What that start is a multiple of.
    pub alignment: u64,
    /// An input is there.
    pub is_input: bool,
    /// An output is there.
    pub is_output: bool,
    /// VkBufferUsageFlags that a buffer of Vulkan needs; 0 without Vulkan.
    pub vulkan_usage: u32,
}

/// A buffer of the app's own for an input or output.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OwnedBuffer {
    /// Name of the input or output.
    pub tensor: *const c_char,
    /// On an OpenCL device the cl_mem, of which the session keeps a reference; else NULL.
    pub opencl: *mut c_void,
    /// On a Vulkan device the VkBuffer, which has to stay until the session is freed; else 0.
    pub vulkan: u64,
    /// `size` of the VkBufferCreateInfo.
    pub vulkan_size: u64,
    /// `usage` of the VkBufferCreateInfo.
    pub vulkan_usage: u32,
    /// Where in the buffer its bytes begin.
    pub offset: u64,
}

/// Says what a buffer has to be for the input or output `name` of what `options`, which may be NULL, load.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drift_device_need(
    device: *const CDevice,
    bundle: *const CBundle,
    options: *const LoadOptions,
    name: *const c_char,
    out: *mut Need,
) -> Status {
    // SAFETY: the caller keeps to the header.
    call(|| unsafe {
        let (device, bundle) = (shared(device, "device")?, shared(bundle, "bundle")?);
        let name = needed_text(name, "name")?;
        if out.is_null() {
            return Err(Failure::argument("`out` is null"));
        }
        let needs = device.device.io_buffers(&bundle.0, &load_options(options)?)?;
        let found = needs.iter().find(|need| need.tensor.name == name).ok_or_else(|| {
            let held: Vec<&str> = needs.iter().map(|need| need.tensor.name.as_str()).collect();
            Failure::argument(format!(
                "no input or output `{name}` can be in a buffer of the app's, only: {}; compile with `--io own`",
                held.join(", ")
            ))
        })?;
        out.write(need(found));
        Ok(())
    })
}

fn need(needs: &IoBuffer) -> Need {
    #[cfg(feature = "vulkan")]
    let vulkan_usage = drift_runtime::VulkanBuffer::usage(needs).as_raw();
    #[cfg(not(feature = "vulkan"))]
    let vulkan_usage = 0;
    Need {
        element: match needs.element {
            DeviceElement::F32 => Element::DRIFT_F32,
            DeviceElement::F16 => Element::DRIFT_F16,
            DeviceElement::I32 => Element::DRIFT_I32,
            DeviceElement::U32 => Element::DRIFT_U32,
        },
        offset: needs.offset,
        bytes: needs.bytes,
        alignment: needs.alignment,
        is_input: needs.is_input,
        is_output: needs.is_output,
        vulkan_usage,
    }
}

/// As drift_session_load, with inputs and outputs in buffers of the app's own: `count` of them, on the device's own context
/// (drift_device_from_vulkan, drift_device_from_opencl).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drift_session_load_onto(
    device: *const CDevice,
    bundle: *const CBundle,
    options: *const LoadOptions,
    buffers: *const OwnedBuffer,
    count: usize,
    out: *mut *mut CSession,
) -> Status {
    // SAFETY: the caller keeps to the header.
    unsafe {
        make(out, || {
            let (device, bundle) = (shared(device, "device")?, shared(bundle, "bundle")?);
            if buffers.is_null() && count > 0 {
                return Err(Failure::argument("`buffers` is null"));
            }
            let mut own = Vec::new();
            for index in 0..count {
                let buffer = buffers.add(index).read();
                own.push((needed_text(buffer.tensor, "buffers[].tensor")?, own_buffer(&buffer)?));
            }
            let session = device.device.load_onto(&bundle.0, &load_options(options)?, &own)?;
            Ok(CSession::new(session))
        })
    }
}

/// The buffer is what the header says.
unsafe fn own_buffer(buffer: &OwnedBuffer) -> Result<OwnBuffer, Failure> {
    match (buffer.opencl.is_null(), buffer.vulkan) {
        #[cfg(feature = "opencl")]
        // SAFETY: as the caller says.
        (false, 0) => {
            Ok(OwnBuffer::OpenCl(unsafe { drift_runtime::OpenClBuffer::new(buffer.opencl, buffer.offset) }))
        }
        #[cfg(feature = "vulkan")]
        (true, raw) if raw != 0 => {
            use drift_runtime::ash::vk::{self, Handle};
            let usage = vk::BufferUsageFlags::from_raw(buffer.vulkan_usage);
            let (raw, size) = (vk::Buffer::from_raw(raw), buffer.vulkan_size);
            // SAFETY: as the caller says.
            let buffer = unsafe { drift_runtime::VulkanBuffer::new(raw, size, usage, buffer.offset) };
            Ok(OwnBuffer::Vulkan(buffer))
        }
        _ => Err(Failure::argument(
            "a buffer of the app's is either `opencl` or `vulkan`, of a device that this library is built with",
        )),
    }
}

//! Runs one OpenCL C kernel on the first CPU device, so that emitted text is executed and not only read.
//!
//! One call builds, binds, dispatches, waits and reads everything back. PoCL is the device in mind: OpenCL C 1.2,
//! neither `cl_khr_fp16` nor subgroups. It supports 2D images, 2D arrays, 3D images and image buffers of RGBA in
//! f32, f16, i32 and u32, the formats of [`Texels`]. Its version 3.1 knows no size of an image buffer: a kernel that
//! asks for one aborts the process.
#![expect(unsafe_code, reason = "the OpenCL API takes raw memory; each call states why it is sound")]

use std::ffi::c_void;
use std::fmt;
use std::ptr;
use std::sync::{Mutex, PoisonError};

use opencl3::command_queue::CommandQueue;
use opencl3::context::Context;
use opencl3::device::{CL_DEVICE_TYPE_CPU, Device};
use opencl3::kernel::{ExecuteKernel, Kernel};
use opencl3::memory::{
    Buffer, CL_FLOAT, CL_HALF_FLOAT, CL_MEM_COPY_HOST_PTR, CL_MEM_OBJECT_IMAGE1D_BUFFER,
    CL_MEM_OBJECT_IMAGE2D, CL_MEM_OBJECT_IMAGE2D_ARRAY, CL_MEM_OBJECT_IMAGE3D, CL_MEM_READ_WRITE, CL_RGBA,
    CL_SIGNED_INT32, CL_UNSIGNED_INT32, ClMem, Image,
};
use opencl3::platform::get_platforms;
use opencl3::program::Program;
use opencl3::types::{CL_BLOCKING, cl_image_desc, cl_image_format, cl_mem};

/// Why a kernel did not run.
#[derive(Debug)]
pub enum ClError {
    /// There is no OpenCL platform with a CPU device.
    NoDevice,
    /// The compiler refused the source.
    Build {
        /// The compiler's words.
        log: String,
        /// The source, with line numbers.
        source: String,
    },
    /// The kernel's parameters and the arguments differ in number.
    ArgumentCount {
        /// What the kernel takes.
        expected: usize,
        /// What was given.
        found: usize,
    },
    /// An image's data does not fill its size.
    ImageSize {
        /// Which argument.
        argument: usize,
    },
    /// A call failed.
    Call {
        /// What was tried.
        what: &'static str,
        /// OpenCL's name of the error.
        error: String,
    },
}

impl fmt::Display for ClError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDevice => write!(
                f,
                "no OpenCL platform with a CPU device; on Debian install `pocl-opencl-icd` and `ocl-icd-libopencl1`"
            ),
            Self::Build { log, source } => write!(f, "the kernel does not compile:\n{log}\n{source}"),
            Self::ArgumentCount { expected, found } => {
                write!(f, "the kernel takes {expected} arguments, {found} were given")
            }
            Self::ImageSize { argument } => {
                write!(f, "argument {argument}: the texels do not fill the image, at four components each")
            }
            Self::Call { what, error } => write!(f, "{what}: {error}"),
        }
    }
}

impl std::error::Error for ClError {}

/// The components of an image, four to a texel, rows first.
#[derive(Clone, Debug, PartialEq)]
pub enum Texels {
    /// `rgba32float`
    F32(Vec<f32>),
    /// `rgba16float`, as the bits of the f16.
    F16(Vec<u16>),
    /// `rgba32sint`
    I32(Vec<i32>),
    /// `rgba32uint`
    U32(Vec<u32>),
}

impl Texels {
    fn format(&self) -> cl_image_format {
        let image_channel_data_type = match self {
            Self::F32(_) => CL_FLOAT,
            Self::F16(_) => CL_HALF_FLOAT,
            Self::I32(_) => CL_SIGNED_INT32,
            Self::U32(_) => CL_UNSIGNED_INT32,
        };
        cl_image_format { image_channel_order: CL_RGBA, image_channel_data_type }
    }

    fn texel_count(&self) -> usize {
        let components = match self {
            Self::F32(data) => data.len(),
            Self::F16(data) => data.len(),
            Self::I32(data) => data.len(),
            Self::U32(data) => data.len(),
        };
        components / 4
    }

    fn as_mut_ptr(&mut self) -> *mut c_void {
        match self {
            Self::F32(data) => data.as_mut_ptr().cast(),
            Self::F16(data) => data.as_mut_ptr().cast(),
            Self::I32(data) => data.as_mut_ptr().cast(),
            Self::U32(data) => data.as_mut_ptr().cast(),
        }
    }

    fn byte_len(&self) -> usize {
        match self {
            Self::F32(data) => size_of_val(data.as_slice()),
            Self::F16(data) => size_of_val(data.as_slice()),
            Self::I32(data) => size_of_val(data.as_slice()),
            Self::U32(data) => size_of_val(data.as_slice()),
        }
    }
}

/// One argument of a kernel. What the kernel writes replaces the data.
#[derive(Clone, Debug, PartialEq)]
pub enum ClArg {
    /// A `__global` or `__constant` pointer.
    Buffer(Vec<u8>),
    /// `image2d_t`
    Image2d {
        /// Texels in a row.
        width: usize,
        /// Rows.
        height: usize,
        /// The data.
        texels: Texels,
    },
    /// `image2d_array_t`
    Image2dArray {
        /// Texels in a row.
        width: usize,
        /// Rows.
        height: usize,
        /// Layers.
        layers: usize,
        /// The data.
        texels: Texels,
    },
    /// `image3d_t`
    Image3d {
        /// Texels in a row.
        width: usize,
        /// Rows.
        height: usize,
        /// Planes.
        depth: usize,
        /// The data.
        texels: Texels,
    },
    /// `image1d_buffer_t`
    ImageBuffer {
        /// The data.
        texels: Texels,
    },
}

impl ClArg {
    /// A buffer of the bytes of `words`.
    #[must_use]
    pub fn f32(words: &[f32]) -> Self {
        Self::Buffer(words.iter().flat_map(|word| word.to_ne_bytes()).collect())
    }

    /// A buffer of the bytes of `words`.
    #[must_use]
    pub fn u32(words: &[u32]) -> Self {
        Self::Buffer(words.iter().flat_map(|word| word.to_ne_bytes()).collect())
    }

    /// A buffer of the bytes of `words`.
    #[must_use]
    pub fn i32(words: &[i32]) -> Self {
        Self::Buffer(words.iter().flat_map(|word| word.to_ne_bytes()).collect())
    }

    /// The bytes of a buffer; empty for an image.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Buffer(bytes) => bytes,
            Self::Image2d { .. }
            | Self::Image2dArray { .. }
            | Self::Image3d { .. }
            | Self::ImageBuffer { .. } => &[],
        }
    }

    /// The words of a buffer.
    #[must_use]
    pub fn to_f32(&self) -> Vec<f32> {
        self.words().map(f32::from_ne_bytes).collect()
    }

    /// The words of a buffer.
    #[must_use]
    pub fn to_u32(&self) -> Vec<u32> {
        self.words().map(u32::from_ne_bytes).collect()
    }

    /// The words of a buffer.
    #[must_use]
    pub fn to_i32(&self) -> Vec<i32> {
        self.words().map(i32::from_ne_bytes).collect()
    }

    fn words(&self) -> impl Iterator<Item = [u8; 4]> {
        self.bytes().chunks_exact(4).map(|word| [word[0], word[1], word[2], word[3]])
    }
}

/// A CPU that runs kernels.
pub struct ClDevice {
    name: String,
    context: Context,
    queue: CommandQueue,
}

impl fmt::Debug for ClDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClDevice").field("name", &self.name).finish_non_exhaustive()
    }
}

impl ClDevice {
    /// The first CPU device of the first platform that has one.
    ///
    /// # Errors
    /// [`ClError::NoDevice`] where none is installed.
    pub fn open() -> Result<Self, ClError> {
        // PoCL shows no device to a second thread while the first one is still setting the platform up.
        static SETTING_UP: Mutex<()> = Mutex::new(());
        let _guard = SETTING_UP.lock().unwrap_or_else(PoisonError::into_inner);
        let platforms = get_platforms().map_err(|_| ClError::NoDevice)?;
        let id = platforms
            .iter()
            .filter_map(|platform| platform.get_devices(CL_DEVICE_TYPE_CPU).ok())
            .flatten()
            .next()
            .ok_or(ClError::NoDevice)?;
        let device = Device::new(id);
        let name = device.name().map_err(call("reading the device's name"))?;
        let context = Context::from_device(&device).map_err(call("creating a context"))?;
        let queue =
            CommandQueue::create_default_with_properties(&context, 0, 0).map_err(call("creating a queue"))?;
        Ok(Self { name, context, queue })
    }

    /// The device's own name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Builds `source` and runs its kernel `entry` with `workgroups` groups of `workgroup_size` invocations.
    ///
    /// # Errors
    /// When the source does not compile, the arguments do not fit, or a call fails.
    pub fn run(
        &self,
        source: &str,
        entry: &str,
        workgroups: [u32; 3],
        workgroup_size: [u32; 3],
        args: &mut [ClArg],
    ) -> Result<(), ClError> {
        let kernel = self.build(source, entry)?;
        // After the resources, each range of a buffer has the offset at which it begins.
        let is_range = |arg: &&ClArg| matches!(arg, ClArg::Buffer(_) | ClArg::ImageBuffer { .. });
        let offsets = args.iter().filter(is_range).count();
        let expected = kernel.num_args().map_err(call("counting the kernel's arguments"))? as usize;
        if expected != args.len() + offsets {
            return Err(ClError::ArgumentCount { expected, found: args.len() + offsets });
        }
        let memory = args
            .iter_mut()
            .enumerate()
            .map(|(index, arg)| self.upload(index, arg))
            .collect::<Result<Vec<_>, _>>()?;
        let local = workgroup_size.map(|size| size as usize);
        let global = [0, 1, 2].map(|axis| workgroups[axis] as usize * local[axis]);
        let mut call_kernel = ExecuteKernel::new(&kernel);
        for object in &memory {
            // SAFETY: each argument is a memory object that outlives the dispatch.
            unsafe { call_kernel.set_arg(&object.handle()) };
        }
        for _ in 0..offsets {
            // SAFETY: the value is copied by the call.
            unsafe { call_kernel.set_arg(&0_u64) };
        }
        call_kernel.set_global_work_sizes(&global).set_local_work_sizes(&local);
        // SAFETY: every argument is set, and the kernel stays within the memory that the caller sized for it.
        unsafe { call_kernel.enqueue_nd_range(&self.queue) }.map_err(call("enqueueing the kernel"))?;
        self.queue.finish().map_err(call("waiting for the kernel"))?;
        args.iter_mut().zip(&memory).try_for_each(|(arg, memory)| self.download(arg, memory))
    }

    fn build(&self, source: &str, entry: &str) -> Result<Kernel, ClError> {
        let program = Program::create_and_build_from_source(&self.context, source, "-cl-std=CL1.2")
            .map_err(|log| ClError::Build { log, source: numbered(source) })?;
        Kernel::create(&program, entry).map_err(call("finding the kernel in its program"))
    }

    fn upload(&self, index: usize, arg: &mut ClArg) -> Result<Memory, ClError> {
        match arg {
            // OpenCL has no empty buffers.
            ClArg::Buffer(bytes) if bytes.is_empty() => self.buffer(&mut [0; 4]).map(Memory::Buffer),
            ClArg::Buffer(bytes) => self.buffer(bytes).map(Memory::Buffer),
            ClArg::Image2d { width, height, texels } => {
                self.image(index, CL_MEM_OBJECT_IMAGE2D, [*width, *height, 1], texels)
            }
            ClArg::Image2dArray { width, height, layers, texels } => {
                self.image(index, CL_MEM_OBJECT_IMAGE2D_ARRAY, [*width, *height, *layers], texels)
            }
            ClArg::Image3d { width, height, depth, texels } => {
                self.image(index, CL_MEM_OBJECT_IMAGE3D, [*width, *height, *depth], texels)
            }
            ClArg::ImageBuffer { texels } => self.image_buffer(texels),
        }
    }

    fn buffer(&self, bytes: &mut [u8]) -> Result<Buffer<u8>, ClError> {
        let flags = CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR;
        // SAFETY: the call copies `bytes.len()` bytes from a slice of that length.
        unsafe { Buffer::create(&self.context, flags, bytes.len(), bytes.as_mut_ptr().cast()) }
            .map_err(call("creating a buffer"))
    }

    fn image(
        &self,
        argument: usize,
        ty: u32,
        size: [usize; 3],
        texels: &mut Texels,
    ) -> Result<Memory, ClError> {
        if size.iter().product::<usize>() != texels.texel_count() {
            return Err(ClError::ImageSize { argument });
        }
        let [image_width, image_height, planes] = size;
        let is_array = ty == CL_MEM_OBJECT_IMAGE2D_ARRAY;
        let description = cl_image_desc {
            image_type: ty,
            image_width,
            image_height,
            image_depth: if is_array { 1 } else { planes },
            image_array_size: if is_array { planes } else { 1 },
            image_row_pitch: 0,
            image_slice_pitch: 0,
            num_mip_levels: 0,
            num_samples: 0,
            buffer: ptr::null_mut(),
        };
        let flags = CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR;
        let format = texels.format();
        // SAFETY: the texels fill the image, as checked above, and the call copies them.
        let image = unsafe {
            Image::create(
                &self.context,
                flags,
                &raw const format,
                &raw const description,
                texels.as_mut_ptr(),
            )
        };
        image.map(|image| Memory::Image { image, size }).map_err(call("creating an image"))
    }

    fn image_buffer(&self, texels: &mut Texels) -> Result<Memory, ClError> {
        let flags = CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR;
        // SAFETY: the call copies as many bytes as the texels hold.
        let buffer: Buffer<u8> =
            unsafe { Buffer::create(&self.context, flags, texels.byte_len(), texels.as_mut_ptr()) }
                .map_err(call("creating a buffer"))?;
        let description = cl_image_desc {
            image_type: CL_MEM_OBJECT_IMAGE1D_BUFFER,
            image_width: texels.texel_count(),
            image_height: 1,
            image_depth: 1,
            image_array_size: 1,
            image_row_pitch: 0,
            image_slice_pitch: 0,
            num_mip_levels: 0,
            num_samples: 0,
            buffer: buffer.get(),
        };
        let format = texels.format();
        // SAFETY: the image is as large as the buffer that it is made from, and the buffer outlives it.
        let image = unsafe {
            Image::create(
                &self.context,
                CL_MEM_READ_WRITE,
                &raw const format,
                &raw const description,
                ptr::null_mut(),
            )
        };
        image.map(|image| Memory::ImageBuffer { image, buffer }).map_err(call("creating an image buffer"))
    }

    fn download(&self, arg: &mut ClArg, memory: &Memory) -> Result<(), ClError> {
        match (arg, memory) {
            (ClArg::Buffer(bytes), Memory::Buffer(buffer)) => self.read_buffer(buffer, bytes),
            (ClArg::ImageBuffer { texels }, Memory::ImageBuffer { buffer, .. }) => {
                let length = texels.byte_len();
                // SAFETY: the texels own `length` bytes, of types for which every bit pattern is a value.
                let bytes = unsafe { std::slice::from_raw_parts_mut(texels.as_mut_ptr().cast(), length) };
                self.read_buffer(buffer, bytes)
            }
            (
                ClArg::Image2d { texels, .. }
                | ClArg::Image2dArray { texels, .. }
                | ClArg::Image3d { texels, .. },
                Memory::Image { image, size },
            ) => {
                let origin = [0_usize; 3];
                // SAFETY: the texels fill the image, which the upload has checked, and the call waits.
                unsafe {
                    self.queue.enqueue_read_image(
                        image,
                        CL_BLOCKING,
                        origin.as_ptr(),
                        size.as_ptr(),
                        0,
                        0,
                        texels.as_mut_ptr(),
                        &[],
                    )
                }
                .map(|_| ())
                .map_err(call("reading an image back"))
            }
            _ => unreachable!("memory is made from the argument of the same index"),
        }
    }

    fn read_buffer(&self, buffer: &Buffer<u8>, bytes: &mut [u8]) -> Result<(), ClError> {
        if bytes.is_empty() {
            return Ok(());
        }
        // SAFETY: the buffer was made from these bytes, so it is as long, and the call waits.
        unsafe { self.queue.enqueue_read_buffer(buffer, CL_BLOCKING, 0, bytes, &[]) }
            .map(|_| ())
            .map_err(call("reading a buffer back"))
    }
}

enum Memory {
    Buffer(Buffer<u8>),
    Image { image: Image, size: [usize; 3] },
    ImageBuffer { image: Image, buffer: Buffer<u8> },
}

impl Memory {
    fn handle(&self) -> cl_mem {
        match self {
            Self::Buffer(buffer) => buffer.get(),
            Self::Image { image, .. } | Self::ImageBuffer { image, .. } => image.get(),
        }
    }
}

fn call(what: &'static str) -> impl Fn(opencl3::error_codes::ClError) -> ClError {
    move |error| ClError::Call { what, error: error.to_string() }
}

fn numbered(source: &str) -> String {
    source.lines().enumerate().map(|(index, line)| format!("{:4} {line}\n", index + 1)).collect()
}

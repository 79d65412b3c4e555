//! The runtime on a real driver: small programs in, numbers out, and not one word from the validation layer.
//!
//! Needs a Vulkan driver, the Khronos validation layer and an OpenCL device (Debian and Ubuntu: `apt install
//! mesa-vulkan-drivers vulkan-validationlayers pocl-opencl-icd`); a machine without them fails these tests, and says so.

mod anywhere;
mod asynchronous;
mod child;
mod choosing;
mod embedded;
mod endless;
mod io;
mod no_driver;
mod numbers;
mod opencl;
mod program;
mod regions;
mod sharing;
mod sizes;
mod states;
mod webgpu;

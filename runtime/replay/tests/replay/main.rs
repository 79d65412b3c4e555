//! The runtime on a real driver: small programs in, numbers out, and not one word from the validation layer.
//!
//! Needs a Vulkan driver and the Khronos validation layer (Debian and Ubuntu: `apt install
//! mesa-vulkan-drivers vulkan-validationlayers`); a machine without them fails these tests, and says so.

mod choosing;
mod endless;
mod io;
mod no_driver;
mod numbers;
mod program;
mod sharing;

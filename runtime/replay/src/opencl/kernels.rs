//! Programs, one for each shader in use, built on all processors at once.
#![expect(unsafe_code, reason = "calls OpenCL")]

use std::collections::BTreeMap;
use std::ffi::CString;
use std::path::Path;
use std::ptr;

use drift_bundle::Bundle;
use drift_bundle::manifest::Shader;
use opencl3::kernel::{
    CL_KERNEL_LOCAL_MEM_SIZE, CL_KERNEL_WORK_GROUP_SIZE, create_kernel, get_kernel_work_group_info,
};
use opencl3::program::{
    CL_PROGRAM_BINARIES, CL_PROGRAM_BUILD_LOG, build_program, create_program_with_binary,
    create_program_with_source, get_program_build_info, get_program_info,
};

use super::cache::{self, Binaries, Origin};
use super::context::Context;
use super::failed;
use super::handle::Handle;
use crate::cache::{CacheFile, driver_hash};
use crate::compile;
use crate::deadline::Deadline;
use crate::error::RuntimeError;
use crate::program::Program;
use crate::report::CacheUse;

const DOING: &str = "compiling a kernel";

/// What kernels are written in.
const OPTIONS: &std::ffi::CStr = c"-cl-std=CL1.2";

/// The kernels of a program.
pub(crate) struct Kernels {
    by_shader: BTreeMap<usize, Kernel>,
}

/// A built program with one kernel.
pub(crate) struct Kernel {
    program: Handle,
    entry_point: CString,
    origin: Origin,
    pub(crate) workgroup_size: [u32; 3],
}

impl Kernels {
    /// Builds all kernels of a program; `cache_dir` makes the next time fast.
    pub(crate) fn new(
        context: &Context,
        program: &Program<'_>,
        cache_dir: Option<&Path>,
        deadline: Deadline,
    ) -> Result<(Self, CacheUse), RuntimeError> {
        let driver = driver_hash(&context.info);
        let file = cache_dir.map(|folder| {
            let device = (&context.info, &driver[..]);
            CacheFile::open(folder, device, program.bundle, |data| Binaries::decode(data, &driver).is_some())
        });
        let kept = file.as_ref().and_then(|file| Binaries::decode(file.data(), &driver)).unwrap_or_default();
        let one = |index: usize| {
            let shader = &program.bundle.manifest().shaders[index];
            Kernel::build(context, program.bundle, shader, &kept)
        };
        let mut by_shader = BTreeMap::new();
        for (index, kernel) in compile::all(&program.used_shaders(), deadline, one) {
            by_shader.insert(index, kernel?);
        }
        let used = match file {
            Some(file) => {
                let pairs = by_shader.values().map(|kernel| (kernel.origin, kernel.binary()));
                file.store(&Binaries::encode(&driver, pairs))
            }
            None => CacheUse::Off,
        };
        Ok((Self { by_shader }, used))
    }

    /// The kernel of a shader in use.
    pub(crate) fn of(&self, shader: u32) -> &Kernel {
        &self.by_shader[&(shader as usize)]
    }
}

impl Kernel {
    /// Takes the binary that an earlier load made of the same source, or compiles the source.
    fn build(
        context: &Context,
        bundle: &Bundle,
        shader: &Shader,
        kept: &Binaries<'_>,
    ) -> Result<Self, RuntimeError> {
        let wrong = |code| RuntimeError::Driver { doing: DOING, code };
        let entry_point = CString::new(shader.entry_point.as_str())
            .map_err(|_| wrong(format!("shader `{}` has a name with a zero byte", shader.name)))?;
        let code = bundle.shader_code(shader);
        let origin = cache::origin(OPTIONS.to_bytes(), shader, code);
        let made = |program| Self {
            program,
            entry_point: entry_point.clone(),
            origin,
            workgroup_size: shader.workgroup_size,
        };
        let found = kept.of(&origin).and_then(|binary| from_binary(context, binary)).map(made);
        // A binary without the kernel is no better than none.
        let kernel = match found.filter(|kernel| kernel.kernel().is_ok()) {
            Some(kernel) => kernel,
            None => {
                let source = std::str::from_utf8(code)
                    .map_err(|_| wrong(format!("shader `{}` is not UTF-8", shader.name)))?;
                let built = from_source(context, source);
                made(built.map_err(|log| wrong(format!("shader `{}`: {log}", shader.name)))?)
            }
        };
        kernel.check_limits(context, shader)?;
        Ok(kernel)
    }

    /// How many invocations a kernel may have depends on the registers that it takes, which the compiler decides, and how
    /// much workgroup memory it has is for the compiler to say.
    fn check_limits(&self, context: &Context, shader: &Shader) -> Result<(), RuntimeError> {
        let kernel = self.kernel()?;
        let most: usize = get_kernel_work_group_info(kernel.raw(), context.device, CL_KERNEL_WORK_GROUP_SIZE)
            .map_err(failed(DOING))?
            .into();
        let needed = self.workgroup_size.iter().map(|size| *size as usize).product::<usize>();
        if needed > most {
            let code = format!(
                "shader `{}` needs {needed} invocations in a workgroup, and the driver's compiler leaves room for {most}",
                shader.name
            );
            return Err(RuntimeError::Driver { doing: DOING, code });
        }
        let shared: u64 = get_kernel_work_group_info(kernel.raw(), context.device, CL_KERNEL_LOCAL_MEM_SIZE)
            .map_err(failed(DOING))?
            .into();
        let available = context.info.limits.shared_bytes;
        if shared > available.into() {
            let code = format!(
                "shader `{}` has {shared} bytes of workgroup memory, the device {available}",
                shader.name
            );
            return Err(RuntimeError::Driver { doing: DOING, code });
        }
        Ok(())
    }

    /// A kernel object with arguments of its own.
    pub(crate) fn kernel(&self) -> Result<Handle, RuntimeError> {
        let made = create_kernel(self.program.raw(), &self.entry_point);
        made.map(Handle::kernel).map_err(failed("finding a kernel in its program"))
    }

    /// What the driver made of it; empty where it does not say.
    fn binary(&self) -> Vec<u8> {
        let binaries: Option<Vec<Vec<u8>>> =
            get_program_info(self.program.raw(), CL_PROGRAM_BINARIES).ok().map(Into::into);
        binaries.and_then(|binaries| binaries.into_iter().next()).unwrap_or_default()
    }
}

/// The program of a binary that this driver made; none where it does not take it any more.
fn from_binary(context: &Context, binary: &[u8]) -> Option<Handle> {
    // SAFETY: the context has this one device. The hash of the file that the binary is from says that the driver made it.
    let made = unsafe { create_program_with_binary(context.raw(), &[context.device], &[binary]) };
    let program = Handle::program(made.ok()?);
    build_program(program.raw(), &[context.device], OPTIONS, None, ptr::null_mut()).ok()?;
    Some(program)
}

/// Compiles a program; the compiler's words where it refuses.
fn from_source(context: &Context, source: &str) -> Result<Handle, String> {
    let words = |code| opencl3::error_codes::error_text(code).to_owned();
    let program = Handle::program(create_program_with_source(context.raw(), &[source]).map_err(words)?);
    build_program(program.raw(), &[context.device], OPTIONS, None, ptr::null_mut()).map_err(|code| {
        let log = get_program_build_info(program.raw(), context.device, CL_PROGRAM_BUILD_LOG);
        log.map_or_else(|_| words(code), |log| format!("{}: {}", words(code), String::from(log).trim()))
    })?;
    Ok(program)
}

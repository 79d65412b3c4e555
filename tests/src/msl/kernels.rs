//! Compiled kernels, and what each dispatch gives them.
#![expect(unsafe_code, reason = "reads what a compiled library says of itself, and calls it")]

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_void};
use std::sync::{Arc, Mutex, PoisonError};

use drift_bundle::manifest::{BindingKind, Dispatch, Shader};
use drift_runtime::RuntimeError;
use drift_runtime::api::{Bound, Deadline, Program};

use super::damage::Damage;
use super::device::StandIn;
use super::memory::{Block, Texture};
use super::text::{Source, translation_unit};
use super::toolchain::{Library, Toolchain, failed};

const BINDING: &str = "binding a kernel";

/// The layouts of `stand_in/machine.h`.
#[repr(C)]
struct RawArgument {
    kind: u32,
    index: u32,
    bytes: u64,
    element: u32,
    written: u32,
}

#[repr(C)]
struct RawEntry {
    name: *const c_char,
    run: *const c_void,
    arguments: *const RawArgument,
    count: u32,
    waits: u32,
}

#[repr(C)]
struct RawTexture {
    texels: *mut u8,
    extent: [u32; 3],
    element: u32,
}

#[repr(C)]
struct RawBound {
    buffers: *const *mut u8,
    bytes: *const u64,
    count: u32,
    textures: *const *const RawTexture,
}

#[repr(C)]
struct RawDispatch {
    what: *const RawEntry,
    memory: *const RawBound,
    threadgroups: [u32; 3],
    threads: [u32; 3],
    shared_bytes: u32,
}

/// The kernels of a program.
pub(super) struct Kernels(BTreeMap<usize, Arc<Kernel>>);

/// One of them.
pub(super) struct Kernel {
    name: String,
    entry: *const RawEntry,
    arguments: Vec<Argument>,
    threads: [u32; 3],
    shared_bytes: u32,
    /// Where `entry` is.
    _library: Arc<Library>,
}

// SAFETY: the entry is constant data of the library.
unsafe impl Send for Kernel {}
// SAFETY: as above.
unsafe impl Sync for Kernel {}

/// What the text says of an argument.
struct Argument {
    kind: u32,
    index: u32,
    bytes: u64,
    element: u32,
    is_written: bool,
}

impl Kernels {
    /// Compiles all kernels of a program as one file.
    pub(super) fn new(program: &Program<'_>, deadline: Deadline) -> Result<Self, RuntimeError> {
        let toolchain = Toolchain::get()?;
        let used = program.used_shaders();
        if used.is_empty() {
            return Ok(Self(BTreeMap::new()));
        }
        let bundle = program.bundle;
        let shaders: Vec<&Shader> = used.iter().map(|index| &bundle.manifest().shaders[*index]).collect();
        let source = |shader: &&Shader| {
            std::str::from_utf8(bundle.shader_code(shader))
                .map_err(|_| failed(format!("shader `{}` is not UTF-8", shader.name)))
        };
        let texts = shaders.iter().map(source).collect::<Result<Vec<&str>, _>>()?;
        let sources: Vec<Source<'_>> = shaders
            .iter()
            .zip(texts)
            .map(|(shader, text)| Source { entry_point: &shader.entry_point, text })
            .collect();
        let (text, signatures) = translation_unit(&sources).map_err(failed)?;
        for (shader, signature) in shaders.iter().zip(&signatures) {
            let threads = shader.workgroup_size.iter().product::<u32>();
            if threads != signature.most_threads {
                return Err(failed(format!(
                    "shader `{}` has {threads} invocations, and its text {}",
                    shader.name, signature.most_threads
                )));
            }
        }
        let library = Arc::new(toolchain.compile(&text, deadline)?);
        let table = library.symbol(c"msl_entries")?.cast::<RawEntry>().cast_const();
        let one = |(n, (index, shader)): (usize, (usize, &&Shader))| {
            // SAFETY: the table has one entry for each source, in order, and its arguments are as many as it says.
            let (entry, arguments) = unsafe {
                let entry = table.add(n);
                let count = (*entry).count as usize;
                (entry, std::slice::from_raw_parts((*entry).arguments, count.max(1)).get(..count))
            };
            let arguments = arguments.unwrap_or_default().iter().map(Argument::of).collect();
            let name = shader.name.clone();
            let (threads, shared_bytes) = (shader.workgroup_size, shader.shared_bytes);
            let library = Arc::clone(&library);
            (index, Arc::new(Kernel { name, entry, arguments, threads, shared_bytes, _library: library }))
        };
        Ok(Self(used.iter().copied().zip(&shaders).enumerate().map(one).collect()))
    }

    fn of(&self, shader: u32) -> &Arc<Kernel> {
        &self.0[&(shader as usize)]
    }
}

impl Argument {
    fn of(raw: &RawArgument) -> Self {
        let RawArgument { kind, index, bytes, element, written } = *raw;
        Self { kind, index, bytes, element, is_written: written != 0 }
    }
}

/// A kernel with what it is given: ranges of buffers and textures, each by its index.
pub(super) struct BoundKernel {
    kernel: Arc<Kernel>,
    buffers: Vec<(Arc<Block>, u64, u64)>,
    textures: Vec<(Arc<Block>, [u32; 3], u32)>,
    /// Which of the buffers are written.
    written: Vec<usize>,
    /// What becomes of them on a device that is wrong on purpose.
    damage: Option<Arc<Damage>>,
}

impl BoundKernel {
    /// Binds each slot of a dispatch under the index that the bundle's order gives it: buffers and textures are counted
    /// apart. The text has to say the same.
    pub(super) fn new<'m>(
        kernels: &Kernels,
        program: &Program<'_>,
        dispatch: &Dispatch,
        bound: impl Fn(usize) -> Bound<'m, StandIn>,
    ) -> Result<Self, RuntimeError> {
        let kernel = Arc::clone(kernels.of(dispatch.shader));
        let wrong = |what: String| {
            let code = format!("dispatch `{}`, kernel `{}`: {what}", dispatch.name, kernel.name);
            RuntimeError::Driver { doing: BINDING, code }
        };
        let slots = &program.shader(dispatch).bindings;
        let (mut buffers, mut textures, mut written) = (Vec::new(), Vec::new(), Vec::new());
        let mut found = 0;
        let mut order: Vec<usize> = (0..slots.len()).collect();
        order.sort_by_key(|n| (slots[*n].group, slots[*n].binding));
        for n in order {
            let slot = &slots[n];
            let place = format!("@group({}) @binding({})", slot.group, slot.binding);
            let is_texture = matches!(slot.kind, BindingKind::Texture { .. });
            let index = if is_texture { textures.len() } else { buffers.len() } as u32;
            let at = |argument: &&Argument| (argument.kind != 0) == is_texture && argument.index == index;
            // What no statement uses is no argument, and keeps its index.
            let argument = kernel.arguments.iter().find(at);
            found += usize::from(argument.is_some());
            if !slot.writable && argument.is_some_and(|argument| argument.is_written) {
                return Err(wrong(format!("{place} is written by the text, and only read by the bundle")));
            }
            match bound(n) {
                Bound::Buffer { buffer, offset, size } => {
                    if let Some(Argument { bytes, .. }) = argument
                        && *bytes > size
                    {
                        return Err(wrong(format!("{place}: the text takes {bytes} bytes of {size}")));
                    }
                    written.extend(slot.writable.then_some(buffers.len()));
                    buffers.push((Arc::clone(&buffer.0), offset, size));
                }
                Bound::Texture { textures: all, index, .. } => {
                    let texture: &Texture = &all[index];
                    // Floats of either size are floats to a kernel; whole numbers are of one type.
                    let element = texture.element().saturating_sub(1);
                    let is_other =
                        |argument: &Argument| (texture.kind(), element) != (argument.kind, argument.element);
                    if argument.is_some_and(is_other) {
                        return Err(wrong(format!("{place} is another kind of texture in the text")));
                    }
                    let block = Arc::clone(&texture.texels);
                    textures.push((block, texture.object.extent_px, texture.element()));
                }
                Bound::Texels { .. } => return Err(wrong(format!("{place} is an image buffer"))),
            }
        }
        if found < kernel.arguments.len() {
            return Err(wrong(format!(
                "{} arguments of the text are bound to nothing",
                kernel.arguments.len() - found
            )));
        }
        Ok(Self { kernel, buffers, textures, written, damage: None })
    }

    /// The same, for a device that gets some dispatches wrong.
    pub(super) fn damaged_by(self, damage: Option<&Arc<Damage>>, dispatch: &Dispatch) -> Self {
        let hit = damage.filter(|damage| (damage.hits)(&self.kernel.name, dispatch.workgroups));
        Self { damage: hit.cloned(), ..self }
    }

    /// Runs it in so many threadgroups. The message of what it did wrong, if it did.
    pub(super) fn run(&self, threadgroups: [u32; 3]) -> Result<(), String> {
        let buffers: Vec<*mut u8> = self.buffers.iter().map(|(block, offset, _)| block.at(*offset)).collect();
        let bytes: Vec<u64> = self.buffers.iter().map(|(_, _, size)| *size).collect();
        let raw = |(texels, extent, element): &(Arc<Block>, [u32; 3], u32)| RawTexture {
            texels: texels.at(0),
            extent: *extent,
            element: *element,
        };
        let textures: Vec<RawTexture> = self.textures.iter().map(raw).collect();
        let pointers: Vec<*const RawTexture> = textures.iter().map(std::ptr::from_ref).collect();
        let memory = RawBound {
            buffers: buffers.as_ptr(),
            bytes: bytes.as_ptr(),
            count: buffers.len() as u32,
            textures: pointers.as_ptr(),
        };
        let raw = RawDispatch {
            what: self.kernel.entry,
            memory: &raw const memory,
            threadgroups,
            threads: self.kernel.threads,
            shared_bytes: self.kernel.shared_bytes,
        };
        execute(&raw)?;
        if let Some(damage) = &self.damage {
            for (block, offset, size) in self.written.iter().map(|&index| &self.buffers[index]) {
                damage.apply(block, *offset, *size);
            }
        }
        Ok(())
    }

    pub(super) fn name(&self) -> &str {
        &self.kernel.name
    }
}

/// One dispatch at a time: there is one machine.
fn execute(dispatch: &RawDispatch) -> Result<(), String> {
    type Run = unsafe extern "C" fn(*const RawDispatch) -> *const c_char;
    static MACHINE: Mutex<()> = Mutex::new(());
    let machine = &Toolchain::get().map_err(|error| error.to_string())?.machine;
    let run = machine.symbol(c"msl_run").map_err(|error| error.to_string())?;
    let _guard = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: the symbol is this function. All that the dispatch points to is alive, of these layouts, and as large as it
    // says; nobody else uses it, since work is in order and waited for.
    let said = unsafe { std::mem::transmute::<*mut c_void, Run>(run)(dispatch) };
    if said.is_null() {
        return Ok(());
    }
    // SAFETY: the machine's message ends with a zero, and stays until the next dispatch, which the lock keeps away.
    Err(CString::from(unsafe { CStr::from_ptr(said) }).to_string_lossy().into_owned())
}

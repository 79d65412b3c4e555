//! Writes one compute kernel as OpenCL C 1.2.
//!
//! The module must be validated and hold one compute entry point. The text keeps the names of the WGSL source and
//! gives each construct the meaning that WGSL gives it; what OpenCL C cannot say is refused with a typed [`Error`],
//! never approximated. The choices that a reader of the output should know:
//!
//! - **Arguments** are the module's bound variables in (group, binding) order, then, in the same order, a `ulong` for
//!   each that is a range of a buffer: where it begins, in bytes, or in texels of an image buffer. A host can so pass
//!   whole buffers, whatever alignment its device wants of a sub-buffer. Pointers are `restrict`: the binding ABI gives
//!   each distinct range of memory one binding (an in-place pair is one binding), so no two alias.
//! - **Images** hold texels that are read unfiltered. A `texture_1d` is an image buffer (`image1d_buffer_t`).
//! - **Workgroup variables** are not zeroed, and indices are not checked: kernels of the fenced dialect store before
//!   they load and stay in bounds.
//! - **Integers**: division and remainder by a value that may be zero go through helper functions which answer as
//!   WGSL does, because a CPU traps there. Shift counts need no mask (OpenCL C takes them modulo the width). Signed
//!   overflow is undefined in C; [`Options::wrap_signed`] buys wrapping with less readable text.
//! - **Conversions** from float to integer saturate, as in WGSL.
//! - **Vectors of bool** are integer vectors of 0 and -1.
//! - The global work offset is zero, and the dispatch is a whole number of work-groups.

mod builtins;
mod constants;
mod conversions;
mod counters;
mod evaluation;
mod expressions;
mod function;
mod helpers;
mod images;
mod loops;
mod names;
mod places;
mod scope;
mod shortcuts;
mod statements;
mod stores;
mod subgroups;
mod text;
mod types;
mod usage;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use naga::valid::ModuleInfo;
use naga::{
    AddressSpace, GlobalVariable, Handle, ImageClass, ImageDimension, Module, ShaderStage, StorageAccess,
    TypeInner,
};

use names::Scopes;
use types::Types;

/// What the device can do beyond OpenCL C 1.2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The device has `cl_khr_fp16`.
    pub fp16: bool,
    /// The device has `cl_khr_subgroups` and those of its companions that [`Output::extensions`] names.
    pub subgroups: bool,
    /// The device has `cl_khr_integer_dot_product`; without it, packed dot products are written out.
    pub integer_dot: bool,
    /// Signed additions, subtractions and multiplications wrap on overflow, which C leaves undefined.
    pub wrap_signed: bool,
}

/// The text of a kernel and what its host must know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// OpenCL C, for `clCreateProgramWithSource`.
    pub source: String,
    /// The kernel's name in `source`: that of the WGSL entry point, unless OpenCL C reserves it.
    pub entry_point: String,
    /// The kernel's arguments, in order.
    pub arguments: Vec<Argument>,
    /// The extensions that `source` enables.
    pub extensions: Vec<&'static str>,
}

/// One argument of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argument {
    /// `@group` of the WGSL variable.
    pub group: u32,
    /// `@binding` of the WGSL variable.
    pub binding: u32,
    /// What to bind.
    pub kind: ArgumentKind,
}

/// What an argument is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgumentKind {
    /// A `__global` pointer.
    StorageBuffer {
        /// The kernel does not write it.
        read_only: bool,
    },
    /// A `__constant` pointer.
    UniformBuffer,
    /// `image1d_buffer_t`: an image made from a buffer.
    ImageBuffer(ImageAccess),
    /// `image2d_t`.
    Image2d(ImageAccess),
    /// `image2d_array_t`.
    Image2dArray(ImageAccess),
    /// `image3d_t`.
    Image3d(ImageAccess),
}

/// How a kernel uses an image. OpenCL C 1.2 has no images that one kernel both reads and writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageAccess {
    /// `read_only`
    Read,
    /// `write_only`
    Write,
}

/// Why a module has no OpenCL C form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file holds one kernel.
    #[error("expected one compute entry point, found {found}; write each kernel as its own module")]
    EntryPoints {
        /// How many the module has.
        found: usize,
    },
    /// `f16` is arithmetic only with an extension.
    #[error(
        "the kernel computes in f16, which needs cl_khr_fp16; run the `f16-storage-only` lowering, which keeps f16 in \
         memory as packed u32 words and computes in f32"
    )]
    NeedsFp16,
    /// Subgroups need an extension.
    #[error("`{operation}` needs cl_khr_subgroups; choose the variant of the kernel without subgroups")]
    NeedsSubgroups {
        /// The operation or built-in value.
        operation: &'static str,
    },
    /// Cooperative matrices have no OpenCL C form.
    #[error("cooperative matrices have no OpenCL C form; run the `coop-to-loops` lowering first")]
    CooperativeMatrix,
    /// The kernel asks for the length of a runtime-sized array.
    #[error(
        "the length of `{name}` is unknown in OpenCL C; give the array a size or pass the length as a parameter"
    )]
    RuntimeArray {
        /// The array.
        name: String,
    },
    /// An image that is read and written by one kernel.
    #[error(
        "`{name}` is both read and written; OpenCL C 1.2 has no such images, use two textures or a buffer"
    )]
    ReadWriteImage {
        /// The texture.
        name: String,
    },
    /// A struct whose WGSL layout C cannot follow.
    #[error(
        "WGSL places `{member}` of struct `{name}` where C cannot (behind a vec3); use vec4 or order the members anew"
    )]
    StructLayout {
        /// The struct.
        name: String,
        /// The member.
        member: String,
    },
    /// An infinite or NaN literal, which the dialect forbids.
    #[error("a literal is infinite or NaN; kernels use finite minima instead")]
    NonFiniteLiteral,
    /// A pipeline-overridable constant is left.
    #[error("the module has overrides; replace them by constants first")]
    Override,
    /// Something else that kernels do not use.
    #[error("OpenCL C: {construct} is not supported")]
    Unsupported {
        /// What was met.
        construct: &'static str,
    },
}

/// Writes the compute kernel of `module`.
///
/// # Errors
/// When the module holds a construct without an OpenCL C form under `options`.
pub fn write(module: &Module, info: &ModuleInfo, options: &Options) -> Result<Output, Error> {
    let mut writer = ModuleWriter::new(module, info, options)?;
    let kernel = writer.kernel()?;
    let mut functions = String::new();
    for (handle, _) in module.functions.iter() {
        functions.push_str(&writer.function(handle)?);
    }
    let arguments = writer.bound.iter().map(|&global| argument(module, global)).collect::<Result<_, _>>()?;
    // Types and constants come after the code that asks for them, since only what is asked for is written.
    let body = [writer.types.structs()?, writer.constants()?, writer.helpers(), functions, kernel].concat();
    Ok(Output {
        source: format!("{}{body}", writer.head()),
        entry_point: writer.kernel_name,
        arguments,
        extensions: writer.extensions.into_iter().collect(),
    })
}

/// What all functions of a module share while they are written.
#[derive(Debug)]
struct ModuleWriter<'a> {
    module: &'a Module,
    info: &'a ModuleInfo,
    options: &'a Options,
    types: Types<'a>,
    names: Scopes,
    kernel_name: String,
    function_names: Vec<String>,
    constant_names: Vec<String>,
    /// Constants that some function mentions, by index.
    used_constants: BTreeSet<usize>,
    /// Bound variables in (group, binding) order.
    bound: Vec<Handle<GlobalVariable>>,
    helpers: BTreeMap<String, String>,
    extensions: BTreeSet<&'static str>,
    /// The name of the sampler, once an image is read.
    sampler: Option<String>,
}

impl<'a> ModuleWriter<'a> {
    fn new(module: &'a Module, info: &'a ModuleInfo, options: &'a Options) -> Result<Self, Error> {
        let [entry_point] = module.entry_points.as_slice() else {
            return Err(Error::EntryPoints { found: module.entry_points.len() });
        };
        if entry_point.stage != ShaderStage::Compute {
            return Err(Error::EntryPoints { found: 0 });
        }
        if !module.overrides.is_empty() {
            return Err(Error::Override);
        }
        let mut names = Scopes::new();
        let kernel_name = names.declare(&entry_point.name);
        let types = Types::new(module, options.fp16, &mut names);
        let function_names = module
            .functions
            .iter()
            .map(|(_, function)| names.declare(function.name.as_deref().unwrap_or("function")))
            .collect();
        let constant_names = module
            .constants
            .iter()
            .map(|(_, constant)| names.declare(constant.name.as_deref().unwrap_or("table")))
            .collect();
        let mut bound: Vec<_> =
            module.global_variables.iter().filter(|(_, global)| global.binding.is_some()).collect();
        bound.sort_by_key(|(_, global)| global.binding);
        Ok(Self {
            module,
            info,
            options,
            types,
            names,
            kernel_name,
            function_names,
            constant_names,
            used_constants: BTreeSet::new(),
            bound: bound.into_iter().map(|(handle, _)| handle).collect(),
            helpers: BTreeMap::new(),
            extensions: BTreeSet::new(),
            sampler: None,
        })
    }

    /// Extensions and the sampler.
    fn head(&mut self) -> String {
        let mut head = String::new();
        if self.options.fp16 && uses_half(self.module) {
            self.extensions.insert("cl_khr_fp16");
        }
        for extension in &self.extensions {
            let _ = writeln!(head, "#pragma OPENCL EXTENSION {extension} : enable");
        }
        if !head.is_empty() {
            head.push('\n');
        }
        if let Some(sampler) = &self.sampler {
            let _ = writeln!(
                head,
                "__constant sampler_t {sampler} = CLK_NORMALIZED_COORDS_FALSE | CLK_ADDRESS_CLAMP | \
                 CLK_FILTER_NEAREST;\n"
            );
        }
        head
    }

    fn helpers(&self) -> String {
        self.helpers.values().map(|text| format!("{text}\n")).collect()
    }
}

fn uses_half(module: &Module) -> bool {
    module.types.iter().any(|(_, ty)| ty.inner.scalar() == Some(naga::Scalar::F16))
}

/// How the host binds `global`.
fn argument(module: &Module, global: Handle<GlobalVariable>) -> Result<Argument, Error> {
    let variable = &module.global_variables[global];
    let Some(binding) = variable.binding else { unreachable!("only bound variables are arguments") };
    let kind = match variable.space {
        AddressSpace::Storage { access } => {
            ArgumentKind::StorageBuffer { read_only: !access.contains(StorageAccess::STORE) }
        }
        AddressSpace::Uniform => ArgumentKind::UniformBuffer,
        AddressSpace::Handle => image_kind(module, variable)?,
        AddressSpace::Function
        | AddressSpace::Private
        | AddressSpace::WorkGroup
        | AddressSpace::Immediate
        | AddressSpace::TaskPayload
        | AddressSpace::RayPayload
        | AddressSpace::IncomingRayPayload => {
            return Err(Error::Unsupported {
                construct: "a bound variable outside storage, uniform and textures",
            });
        }
    };
    Ok(Argument { group: binding.group, binding: binding.binding, kind })
}

fn image_kind(module: &Module, variable: &GlobalVariable) -> Result<ArgumentKind, Error> {
    let TypeInner::Image { dim, arrayed, class } = module.types[variable.ty].inner else {
        return Err(Error::Unsupported { construct: "a sampler or an acceleration structure" });
    };
    let access = match class {
        ImageClass::Sampled { multi: false, .. } => ImageAccess::Read,
        ImageClass::Storage { access, .. } if access == StorageAccess::LOAD => ImageAccess::Read,
        ImageClass::Storage { access, .. } if access == StorageAccess::STORE => ImageAccess::Write,
        ImageClass::Storage { .. } => {
            return Err(Error::ReadWriteImage { name: variable.name.clone().unwrap_or_default() });
        }
        ImageClass::Sampled { multi: true, .. } | ImageClass::Depth { .. } | ImageClass::External => {
            return Err(Error::Unsupported { construct: "a multisampled, depth or external texture" });
        }
    };
    match (dim, arrayed) {
        (ImageDimension::D1, false) => Ok(ArgumentKind::ImageBuffer(access)),
        (ImageDimension::D2, false) => Ok(ArgumentKind::Image2d(access)),
        (ImageDimension::D2, true) => Ok(ArgumentKind::Image2dArray(access)),
        (ImageDimension::D3, false) => Ok(ArgumentKind::Image3d(access)),
        (ImageDimension::D1 | ImageDimension::D3, true) | (ImageDimension::Cube, _) => {
            Err(Error::Unsupported { construct: "a cube texture or an array of 1D textures" })
        }
    }
}

#[cfg(test)]
mod tests;

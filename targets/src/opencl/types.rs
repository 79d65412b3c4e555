//! How naga types are spelled in OpenCL C, and where the two languages lay out memory differently.
//!
//! OpenCL C has no vectors of `bool`: comparisons of vectors give integer vectors whose lanes are 0 or -1. A
//! `vecN<bool>` is an `intN` with such lanes everywhere in the emitted text. Vectors of three lanes take the room
//! of four in both languages, save where WGSL places another struct member into the fourth lane: such a vector is
//! an array of three in the struct, read by `vload3` and written by `vstore3`.

use std::fmt::Write as _;

use naga::proc::TypeResolution;
use naga::{ArraySize, Handle, Module, Scalar, ScalarKind, StructMember, Type, TypeInner, VectorSize};

use super::Error;
use super::names::Scopes;

/// Spells types of one module.
#[derive(Debug)]
pub(super) struct Types<'a> {
    module: &'a Module,
    fp16: bool,
    /// One entry per type; empty for all but structs.
    struct_names: Vec<String>,
    struct_members: Vec<Vec<String>>,
}

impl<'a> Types<'a> {
    pub(super) fn new(module: &'a Module, fp16: bool, names: &mut Scopes) -> Self {
        let mut struct_names = Vec::with_capacity(module.types.len());
        let mut struct_members = Vec::with_capacity(module.types.len());
        for (_, ty) in module.types.iter() {
            let TypeInner::Struct { members, .. } = &ty.inner else {
                struct_names.push(String::new());
                struct_members.push(Vec::new());
                continue;
            };
            struct_names.push(names.declare(ty.name.as_deref().unwrap_or("Struct")));
            let mut scope = Scopes::new();
            let member = |member: &StructMember| scope.declare(member.name.as_deref().unwrap_or("member"));
            struct_members.push(members.iter().map(member).collect());
        }
        Self { module, fp16, struct_names, struct_members }
    }

    pub(super) fn member(&self, ty: Handle<Type>, index: u32) -> &str {
        &self.struct_members[ty.index()][index as usize]
    }

    pub(super) fn struct_name(&self, ty: Handle<Type>) -> &str {
        &self.struct_names[ty.index()]
    }

    /// Whether member `index` of the struct is a vector of three lanes without room for a fourth.
    pub(super) fn is_packed(&self, ty: Handle<Type>, index: u32) -> bool {
        let TypeInner::Struct { ref members, span } = self.module.types[ty].inner else { return false };
        let member = &members[index as usize];
        let end = members.get(index as usize + 1).map_or(span, |next| next.offset);
        match self.module.types[member.ty].inner {
            TypeInner::Vector { size: VectorSize::Tri, scalar } => {
                end < member.offset + 4 * u32::from(scalar.width)
            }
            _ => false,
        }
    }

    /// `float`, `uint`, ...
    pub(super) fn scalar(&self, scalar: Scalar) -> Result<&'static str, Error> {
        match (scalar.kind, scalar.width) {
            (ScalarKind::Bool, _) => Ok("bool"),
            (ScalarKind::Sint, 4) => Ok("int"),
            (ScalarKind::Uint, 4) => Ok("uint"),
            (ScalarKind::Uint, 2) => Ok("ushort"),
            (ScalarKind::Sint, 8) => Ok("long"),
            (ScalarKind::Uint, 8) => Ok("ulong"),
            (ScalarKind::Float, 4) => Ok("float"),
            (ScalarKind::Float, 2) if self.fp16 => Ok("half"),
            (ScalarKind::Float, 2) => Err(Error::NeedsFp16),
            (ScalarKind::Float, _) => Err(Error::Unsupported { construct: "f64" }),
            (ScalarKind::AbstractInt | ScalarKind::AbstractFloat, _) => {
                unreachable!("validated: no abstract types")
            }
            (ScalarKind::Sint | ScalarKind::Uint, _) => Err(Error::Unsupported {
                construct: "signed integers of 16 bits and integers of 8 (pack them into u32 words)",
            }),
        }
    }

    /// `float4`; `float` where `size` is none; `int4` for a vector of four bools.
    pub(super) fn vector(&self, size: Option<VectorSize>, scalar: Scalar) -> Result<String, Error> {
        match size {
            None => Ok(self.scalar(scalar)?.to_owned()),
            Some(size) if scalar.kind == ScalarKind::Bool => Ok(format!("int{}", size as u8)),
            Some(size) => Ok(format!("{}{}", self.scalar(scalar)?, size as u8)),
        }
    }

    /// The type of a value that is not an array: `float4`, `Params`.
    pub(super) fn value(&self, ty: &TypeResolution) -> Result<String, Error> {
        match ty.inner_with(&self.module.types) {
            TypeInner::Struct { .. } => match ty.handle() {
                Some(handle) => Ok(self.struct_name(handle).to_owned()),
                None => unreachable!("structs are types of the module"),
            },
            inner => self.inner(inner),
        }
    }

    fn inner(&self, inner: &TypeInner) -> Result<String, Error> {
        match *inner {
            TypeInner::Scalar(scalar) | TypeInner::Atomic(scalar) => self.vector(None, scalar),
            TypeInner::Vector { size, scalar } => self.vector(Some(size), scalar),
            TypeInner::Matrix { .. } => Err(Error::Unsupported {
                construct: "matrices (OpenCL C has none; kernels keep columns as vectors)",
            }),
            TypeInner::CooperativeMatrix { .. } => Err(Error::CooperativeMatrix),
            TypeInner::Array { .. } => Err(Error::Unsupported { construct: "an array as a value" }),
            TypeInner::Struct { .. }
            | TypeInner::Pointer { .. }
            | TypeInner::ValuePointer { .. }
            | TypeInner::Image { .. }
            | TypeInner::Sampler { .. }
            | TypeInner::AccelerationStructure { .. }
            | TypeInner::RayQuery { .. }
            | TypeInner::BindingArray { .. } => {
                Err(Error::Unsupported { construct: "a pointer or handle as a value" })
            }
        }
    }

    /// `float4 name`, `float name[8][4]`, `Params name`.
    pub(super) fn declaration(&self, ty: &TypeResolution, name: &str) -> Result<String, Error> {
        match *ty.inner_with(&self.module.types) {
            TypeInner::Array { base, size, .. } => self
                .declaration(&TypeResolution::Handle(base), &format!("{name}[{}]", array_len(size, name)?)),
            _ => Ok(format!("{} {name}", self.value(ty)?)),
        }
    }

    /// A pointer to `ty`, or to its first element where it is an array: `float *name`, `float (*name)[4]`.
    /// `qualifiers` stand between the star and the name.
    pub(super) fn pointer(&self, ty: Handle<Type>, qualifiers: &str, name: &str) -> Result<String, Error> {
        let pointee = match self.module.types[ty].inner {
            TypeInner::Array { base, .. } => base,
            _ => ty,
        };
        let pointee_is_array = matches!(self.module.types[pointee].inner, TypeInner::Array { .. });
        let name = if qualifiers.is_empty() { format!("*{name}") } else { format!("*{qualifiers} {name}") };
        let name = if pointee_is_array { format!("({name})") } else { name };
        self.declaration(&TypeResolution::Handle(pointee), &name)
    }

    /// The `typedef struct`s of the module, with explicit padding where WGSL wants more than C would leave.
    pub(super) fn structs(&self) -> Result<String, Error> {
        let mut out = String::new();
        for (handle, ty) in self.module.types.iter() {
            let TypeInner::Struct { members, span } = &ty.inner else { continue };
            if self.module.special_types.predeclared_types.values().any(|&special| special == handle) {
                continue;
            }
            out.push_str("typedef struct {\n");
            let mut end = 0;
            let mut alignment = 1;
            for (index, member) in members.iter().enumerate() {
                let name = self.member(handle, index as u32);
                let layout = self.member_layout(handle, index as u32, member)?;
                pad(&mut out, &mut end, layout.align, member.offset).ok_or_else(|| Error::StructLayout {
                    name: self.struct_name(handle).to_owned(),
                    member: name.to_owned(),
                })?;
                let declaration = match self.module.types[member.ty].inner {
                    TypeInner::Vector { scalar, .. } if self.is_packed(handle, index as u32) => {
                        format!("{} {name}[3]", self.scalar(scalar)?)
                    }
                    _ => self.declaration(&TypeResolution::Handle(member.ty), name)?,
                };
                let _ = writeln!(out, "    {declaration};");
                end += layout.size;
                alignment = alignment.max(layout.align);
            }
            pad(&mut out, &mut end, alignment, *span).ok_or_else(|| Error::StructLayout {
                name: self.struct_name(handle).to_owned(),
                member: "its end".to_owned(),
            })?;
            let _ = writeln!(out, "}} {};\n", self.struct_name(handle));
        }
        Ok(out)
    }

    fn member_layout(&self, ty: Handle<Type>, index: u32, member: &StructMember) -> Result<Layout, Error> {
        match self.module.types[member.ty].inner {
            TypeInner::Vector { scalar, .. } if self.is_packed(ty, index) => {
                Ok(Layout { size: 3 * u32::from(scalar.width), align: u32::from(scalar.width) })
            }
            _ => self.layout(member.ty, self.member(ty, index)),
        }
    }

    /// Size and alignment that C gives to `ty`.
    fn layout(&self, ty: Handle<Type>, name: &str) -> Result<Layout, Error> {
        match self.module.types[ty].inner {
            TypeInner::Scalar(scalar) | TypeInner::Atomic(scalar) => {
                Ok(Layout { size: u32::from(scalar.width), align: u32::from(scalar.width) })
            }
            TypeInner::Vector { size, scalar } => {
                let lanes = if size == VectorSize::Bi { 2 } else { 4 };
                let width = if scalar.kind == ScalarKind::Bool { 4 } else { u32::from(scalar.width) };
                Ok(Layout { size: lanes * width, align: lanes * width })
            }
            TypeInner::Array { base, size, .. } => {
                let element = self.layout(base, name)?;
                Ok(Layout { size: element.size * array_len(size, name)?, align: element.align })
            }
            TypeInner::Struct { ref members, span } => {
                let mut align = 1;
                for (index, member) in members.iter().enumerate() {
                    align = align.max(self.member_layout(ty, index as u32, member)?.align);
                }
                Ok(Layout { size: span, align })
            }
            ref other => {
                self.inner(other).and(Err(Error::Unsupported { construct: "this type in a struct" }))
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Layout {
    size: u32,
    align: u32,
}

/// Moves `end` to `offset`, writing a padding member where C's own alignment would stop short of it. None when C
/// would already be past it.
fn pad(out: &mut String, end: &mut u32, align: u32, offset: u32) -> Option<()> {
    let natural = end.next_multiple_of(align);
    if natural < offset {
        let _ = writeln!(out, "    char _padding_{end}[{}];", offset - *end);
    } else if natural > offset {
        return None;
    }
    *end = offset;
    Some(())
}

/// The element count of an array whose size is known.
pub(super) fn array_len(size: ArraySize, name: &str) -> Result<u32, Error> {
    match size {
        ArraySize::Constant(count) => Ok(count.get()),
        ArraySize::Pending(_) => Err(Error::Override),
        ArraySize::Dynamic => Err(Error::RuntimeArray { name: name.to_owned() }),
    }
}

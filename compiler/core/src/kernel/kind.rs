//! What scalar functions compute with.

use crate::physical::Element;
use drift_ir::ElementType;

/// What a step computes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// f32.
    Float,
    /// i32.
    Int,
    /// i8, in an i32.
    I8,
    /// u8, in an i32.
    U8,
    /// i16, in an i32.
    I16,
    /// u16, in an i32.
    U16,
    /// u32, as the i32 of its bits.
    U32,
    /// Truth value.
    Bool,
}

impl Kind {
    /// The kind that stored elements are computed with.
    pub const fn of(element: Element) -> Self {
        match element {
            Element::F32 | Element::F16 => Self::Float,
            Element::I32 => Self::Int,
            Element::U32 => Self::Bool,
        }
    }

    /// The kind of a graph element type.
    pub const fn of_graph(element: ElementType) -> Self {
        match element {
            ElementType::F32 | ElementType::F16 | ElementType::F64 => Self::Float,
            ElementType::I64 | ElementType::I32 => Self::Int,
            ElementType::I8 => Self::I8,
            ElementType::U8 => Self::U8,
            ElementType::I16 => Self::I16,
            ElementType::U16 => Self::U16,
            ElementType::U32 | ElementType::U64 => Self::U32,
            ElementType::Bool => Self::Bool,
        }
    }

    /// The integers that it wraps to, where they are fewer than those of 32 bits.
    pub(super) const fn narrow(self) -> Option<(f64, f64)> {
        Some(match self {
            Self::I8 => (-128.0, 127.0),
            Self::U8 => (0.0, 255.0),
            Self::I16 => (-32768.0, 32767.0),
            Self::U16 => (0.0, 65535.0),
            Self::Float | Self::Int | Self::U32 | Self::Bool => return None,
        })
    }

    /// What a lane is at a function boundary.
    pub(super) const fn boundary(self) -> Element {
        match self {
            Self::Float => Element::F32,
            Self::Int | Self::I8 | Self::U8 | Self::I16 | Self::U16 | Self::U32 => Element::I32,
            Self::Bool => Element::U32,
        }
    }

    /// Type of four lanes at a function boundary.
    pub const fn parameter(self) -> &'static str {
        match self.boundary() {
            Element::F32 | Element::F16 => "vec4<f32>",
            Element::I32 => "vec4<i32>",
            Element::U32 => "vec4<u32>",
        }
    }

    /// `name`, in its boundary form, as a step takes it.
    pub(super) fn inner(self, name: &str) -> String {
        if self == Self::Bool { format!("({name} != vec4<u32>(0u))") } else { name.to_owned() }
    }

    /// `name`, as a step gives it, in its boundary form.
    pub(super) fn outer(self, name: &str) -> String {
        if self == Self::Bool {
            format!("select(vec4<u32>(0u), vec4<u32>(1u), {name})")
        } else {
            name.to_owned()
        }
    }
}

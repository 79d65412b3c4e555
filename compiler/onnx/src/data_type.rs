//! ONNX element types and what they become.
//!
//! drift-ir has fewer element types than ONNX. Integers of fewer than eight bits and the floats that it lacks widen to the next type that
//! holds all their values; types that none of ours holds are refused by name.

use drift_ir::{ElementType, HostForm, SmallFloat};

/// ONNX element types whose values drift-ir can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DataType {
    Float,
    Uint8,
    Int8,
    Uint16,
    Int16,
    Int32,
    Int64,
    Bool,
    Float16,
    Double,
    Uint32,
    Uint64,
    Bfloat16,
    Uint4,
    Int4,
    Uint2,
    Int2,
    Float8E4m3fn,
    Float8E4m3fnuz,
    Float8E5m2,
    Float8E5m2fnuz,
    Float4E2m1,
    Float8E8m0,
}

impl DataType {
    /// All of them, by ONNX's numbers.
    pub(crate) const ALL: [Self; 23] = [
        Self::Float,
        Self::Uint8,
        Self::Int8,
        Self::Uint16,
        Self::Int16,
        Self::Int32,
        Self::Int64,
        Self::Bool,
        Self::Float16,
        Self::Double,
        Self::Uint32,
        Self::Uint64,
        Self::Bfloat16,
        Self::Uint4,
        Self::Int4,
        Self::Uint2,
        Self::Int2,
        Self::Float8E4m3fn,
        Self::Float8E4m3fnuz,
        Self::Float8E5m2,
        Self::Float8E5m2fnuz,
        Self::Float4E2m1,
        Self::Float8E8m0,
    ];

    /// From `TensorProto.DataType`; the error is the name of the type.
    pub(crate) fn from_proto(code: i32) -> Result<Self, String> {
        Ok(match code {
            1 => Self::Float,
            2 => Self::Uint8,
            3 => Self::Int8,
            4 => Self::Uint16,
            5 => Self::Int16,
            6 => Self::Int32,
            7 => Self::Int64,
            9 => Self::Bool,
            10 => Self::Float16,
            11 => Self::Double,
            12 => Self::Uint32,
            13 => Self::Uint64,
            16 => Self::Bfloat16,
            17 => Self::Float8E4m3fn,
            18 => Self::Float8E4m3fnuz,
            19 => Self::Float8E5m2,
            20 => Self::Float8E5m2fnuz,
            21 => Self::Uint4,
            22 => Self::Int4,
            23 => Self::Float4E2m1,
            24 => Self::Float8E8m0,
            25 => Self::Uint2,
            26 => Self::Int2,
            _ => return Err(unsupported_name(code)),
        })
    }

    /// The code that a file uses for one of our types.
    pub(crate) fn code_of(element: ElementType) -> i32 {
        match element {
            ElementType::F32 => 1,
            ElementType::U8 => 2,
            ElementType::I8 => 3,
            ElementType::U16 => 4,
            ElementType::I16 => 5,
            ElementType::I32 => 6,
            ElementType::I64 => 7,
            ElementType::Bool => 9,
            ElementType::F16 => 10,
            ElementType::F64 => 11,
            ElementType::U32 => 12,
            ElementType::U64 => 13,
        }
    }

    /// The type that holds its values in the graph.
    pub(crate) fn element(self) -> ElementType {
        match self {
            Self::Float
            | Self::Bfloat16
            | Self::Float8E4m3fn
            | Self::Float8E4m3fnuz
            | Self::Float8E5m2
            | Self::Float8E5m2fnuz
            | Self::Float4E2m1
            | Self::Float8E8m0 => ElementType::F32,
            Self::Uint8 | Self::Uint4 | Self::Uint2 => ElementType::U8,
            Self::Int8 | Self::Int4 | Self::Int2 => ElementType::I8,
            Self::Uint16 => ElementType::U16,
            Self::Int16 => ElementType::I16,
            Self::Int32 => ElementType::I32,
            Self::Int64 => ElementType::I64,
            Self::Uint32 => ElementType::U32,
            Self::Uint64 => ElementType::U64,
            Self::Bool => ElementType::Bool,
            Self::Float16 => ElementType::F16,
            Self::Double => ElementType::F64,
        }
    }

    /// Whether the graph's type is the same as the file's.
    pub(crate) fn is_exact(self) -> bool {
        self.host_form().is_none()
    }

    /// How callers have its values, where the graph's type is another one.
    pub(crate) fn host_form(self) -> Option<HostForm> {
        Some(match self {
            Self::Bfloat16 => HostForm::Bf16,
            Self::Uint4 => HostForm::U4,
            Self::Int4 => HostForm::I4,
            Self::Uint2 => HostForm::U2,
            Self::Int2 => HostForm::I2,
            _ => HostForm::Small(self.small_float()?),
        })
    }

    /// The type whose values callers have in a form.
    pub(crate) fn of_form(form: HostForm) -> Self {
        let of = Self::ALL.into_iter().find(|ty| ty.host_form() == Some(form));
        of.unwrap_or_else(|| unreachable!("every form is that of a type"))
    }

    /// The format of a float of eight or fewer bits.
    pub(crate) fn small_float(self) -> Option<SmallFloat> {
        Some(match self {
            Self::Float8E4m3fn => SmallFloat::E4M3,
            Self::Float8E4m3fnuz => SmallFloat::E4M3Fnuz,
            Self::Float8E5m2 => SmallFloat::E5M2,
            Self::Float8E5m2fnuz => SmallFloat::E5M2Fnuz,
            Self::Float4E2m1 => SmallFloat::E2M1,
            Self::Float8E8m0 => SmallFloat::E8M0,
            _ => return None,
        })
    }

    /// Whether it is a float of eight or fewer bits or an integer of fewer: few operators know them.
    pub(crate) fn is_narrow(self) -> bool {
        self != Self::Bfloat16 && !self.is_exact()
    }

    /// Bits of one element in `raw_data`.
    pub(crate) fn bits(self) -> u64 {
        match self {
            Self::Uint2 | Self::Int2 => 2,
            Self::Uint4 | Self::Int4 | Self::Float4E2m1 => 4,
            Self::Uint8
            | Self::Int8
            | Self::Bool
            | Self::Float8E4m3fn
            | Self::Float8E4m3fnuz
            | Self::Float8E5m2
            | Self::Float8E5m2fnuz
            | Self::Float8E8m0 => 8,
            Self::Uint16 | Self::Int16 | Self::Float16 | Self::Bfloat16 => 16,
            Self::Float | Self::Int32 | Self::Uint32 => 32,
            Self::Int64 | Self::Double | Self::Uint64 => 64,
        }
    }

    /// The least and the largest of the integers of fewer than eight bits.
    pub(crate) fn range(self) -> Option<[i8; 2]> {
        Some(match self {
            Self::Uint4 => [0, 15],
            Self::Int4 => [-8, 7],
            Self::Uint2 => [0, 3],
            Self::Int2 => [-2, 1],
            _ => return None,
        })
    }

    /// ONNX's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Float => "float",
            Self::Uint8 => "uint8",
            Self::Int8 => "int8",
            Self::Uint16 => "uint16",
            Self::Int16 => "int16",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Bool => "bool",
            Self::Float16 => "float16",
            Self::Double => "double",
            Self::Uint32 => "uint32",
            Self::Uint64 => "uint64",
            Self::Bfloat16 => "bfloat16",
            Self::Uint4 => "uint4",
            Self::Int4 => "int4",
            Self::Uint2 => "uint2",
            Self::Int2 => "int2",
            Self::Float8E4m3fn => "float8e4m3fn",
            Self::Float8E4m3fnuz => "float8e4m3fnuz",
            Self::Float8E5m2 => "float8e5m2",
            Self::Float8E5m2fnuz => "float8e5m2fnuz",
            Self::Float4E2m1 => "float4e2m1",
            Self::Float8E8m0 => "float8e8m0",
        }
    }
}

fn unsupported_name(code: i32) -> String {
    let name = match code {
        0 => "undefined",
        8 => "string",
        14 => "complex64",
        15 => "complex128",
        _ => return format!("number {code}"),
    };
    name.to_owned()
}

//! Names of the scalar functions in the text form, and how many operands they take.

use super::{BinaryOp, GeluKind, ScalarOp, UnaryOp};
use crate::small_float::SmallRounding;

/// The names of an enum's functions in the text form, and the list of all of them: one table, so that none with a name is missing
/// from the list that the text form is read by.
macro_rules! names {
    ($of:ident, $all:literal, $($variant:ident $(($kind:path))? => $name:literal,)*) => {
        impl $of {
            #[doc = $all]
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$variant $(($kind))?),*];

            /// Name in the text form.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant $(($kind))? => $name,)*
                }
            }
        }
    };
}

names!(
    UnaryOp,
    "Every function of one scalar.",
    Abs => "abs",
    Acos => "acos",
    Acosh => "acosh",
    Asin => "asin",
    Asinh => "asinh",
    Atan => "atan",
    Atanh => "atanh",
    Bfloat16 => "bfloat16",
    BitNot => "bit_not",
    Ceil => "ceil",
    Cos => "cos",
    Cosh => "cosh",
    Erf => "erf",
    Exp => "exp",
    Expm1 => "expm1",
    Floor => "floor",
    Gelu(GeluKind::Erf) => "gelu",
    Gelu(GeluKind::Tanh) => "gelu_tanh",
    IsInf => "is_inf",
    IsNan => "is_nan",
    Log => "log",
    Neg => "neg",
    Not => "not",
    Reciprocal => "reciprocal",
    Relu => "relu",
    Round => "round",
    Sigmoid => "sigmoid",
    Sign => "sign",
    Silu => "silu",
    Sin => "sin",
    Sinh => "sinh",
    Small(SmallRounding::E4M3) => "f8e4m3",
    Small(SmallRounding::E4M3Open) => "f8e4m3_open",
    Small(SmallRounding::E4M3Fnuz) => "f8e4m3fnuz",
    Small(SmallRounding::E4M3FnuzOpen) => "f8e4m3fnuz_open",
    Small(SmallRounding::E5M2) => "f8e5m2",
    Small(SmallRounding::E5M2Open) => "f8e5m2_open",
    Small(SmallRounding::E5M2Fnuz) => "f8e5m2fnuz",
    Small(SmallRounding::E5M2FnuzOpen) => "f8e5m2fnuz_open",
    Small(SmallRounding::E2M1) => "f4e2m1",
    Small(SmallRounding::E8M0) => "f8e8m0",
    Small(SmallRounding::E8M0Up) => "f8e8m0_up",
    Small(SmallRounding::E8M0Down) => "f8e8m0_down",
    Softplus => "softplus",
    Sqrt => "sqrt",
    Tan => "tan",
    Tanh => "tanh",
);

impl UnaryOp {
    /// Whether the result is bool whatever the operand is.
    pub const fn is_test(self) -> bool {
        matches!(self, Self::IsInf | Self::IsNan)
    }
}

names!(
    BinaryOp,
    "Every function of two scalars.",
    Add => "add",
    Sub => "sub",
    Mul => "mul",
    Div => "div",
    Max => "max",
    Min => "min",
    Pow => "pow",
    Rem => "rem",
    Mod => "mod",
    BitAnd => "bit_and",
    BitOr => "bit_or",
    BitXor => "bit_xor",
    ShiftLeft => "shift_left",
    ShiftRight => "shift_right",
    Equal => "equal",
    Less => "less",
    LessOrEqual => "less_or_equal",
    Greater => "greater",
    GreaterOrEqual => "greater_or_equal",
    And => "and",
    Or => "or",
    Xor => "xor",
);

impl BinaryOp {
    /// Whether the result is bool whatever the operands are.
    pub const fn is_comparison(self) -> bool {
        matches!(self, Self::Equal | Self::Less | Self::LessOrEqual | Self::Greater | Self::GreaterOrEqual)
    }

    /// Whether the operands are integers, taken bit by bit.
    pub const fn is_bitwise(self) -> bool {
        matches!(self, Self::BitAnd | Self::BitOr | Self::BitXor | Self::ShiftLeft | Self::ShiftRight)
    }

    /// Whether the operands and the result are bool.
    pub const fn is_logic(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Xor)
    }
}

impl ScalarOp {
    /// How many operands the function takes.
    pub const fn arity(&self) -> usize {
        match self {
            Self::Unary(_) | Self::Clip { .. } | Self::Cast(_) => 1,
            Self::Binary(_) => 2,
            Self::Select => 3,
        }
    }

    /// Name in the text form.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Unary(op) => op.name(),
            Self::Binary(op) => op.name(),
            Self::Clip { .. } => "clip",
            Self::Select => "select",
            Self::Cast(_) => "cast",
        }
    }
}

//! Names of the scalar functions in the text form, and how many operands they take.

use super::{BinaryOp, GeluKind, ScalarOp, UnaryOp};

impl UnaryOp {
    /// Every function of one scalar.
    pub const ALL: [Self; 36] = [
        Self::Abs,
        Self::Acos,
        Self::Acosh,
        Self::Asin,
        Self::Asinh,
        Self::Atan,
        Self::Atanh,
        Self::Bfloat16,
        Self::BitNot,
        Self::Ceil,
        Self::Cos,
        Self::Cosh,
        Self::Erf,
        Self::Exp,
        Self::Expm1,
        Self::Floor,
        Self::Gelu(GeluKind::Erf),
        Self::Gelu(GeluKind::Tanh),
        Self::IsInf,
        Self::IsNan,
        Self::Log,
        Self::Neg,
        Self::Not,
        Self::Reciprocal,
        Self::Reciprocal,
        Self::Relu,
        Self::Round,
        Self::Sigmoid,
        Self::Sign,
        Self::Silu,
        Self::Sin,
        Self::Sinh,
        Self::Softplus,
        Self::Sqrt,
        Self::Tan,
        Self::Tanh,
    ];

    /// Name in the text form.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Abs => "abs",
            Self::Acos => "acos",
            Self::Acosh => "acosh",
            Self::Asin => "asin",
            Self::Asinh => "asinh",
            Self::Atan => "atan",
            Self::Atanh => "atanh",
            Self::Bfloat16 => "bfloat16",
            Self::BitNot => "bit_not",
            Self::Ceil => "ceil",
            Self::Cos => "cos",
            Self::Cosh => "cosh",
            Self::Erf => "erf",
            Self::Exp => "exp",
            Self::Expm1 => "expm1",
            Self::Floor => "floor",
            Self::Gelu(GeluKind::Erf) => "gelu",
            Self::Gelu(GeluKind::Tanh) => "gelu_tanh",
            Self::IsInf => "is_inf",
            Self::IsNan => "is_nan",
            Self::Log => "log",
            Self::Neg => "neg",
            Self::Not => "not",
            Self::Reciprocal => "reciprocal",
            Self::Relu => "relu",
            Self::Round => "round",
            Self::Sigmoid => "sigmoid",
            Self::Sign => "sign",
            Self::Silu => "silu",
            Self::Sin => "sin",
            Self::Sinh => "sinh",
            Self::Softplus => "softplus",
            Self::Sqrt => "sqrt",
            Self::Tan => "tan",
            Self::Tanh => "tanh",
        }
    }
}

impl UnaryOp {
    /// Whether the result is bool whatever the operand is.
    pub const fn is_test(self) -> bool {
        matches!(self, Self::IsInf | Self::IsNan)
    }
}

impl BinaryOp {
    /// Every function of two scalars.
    pub const ALL: [Self; 22] = [
        Self::Add,
        Self::Sub,
        Self::Mul,
        Self::Div,
        Self::Max,
        Self::Min,
        Self::Pow,
        Self::Rem,
        Self::Mod,
        Self::BitAnd,
        Self::BitOr,
        Self::BitXor,
        Self::ShiftLeft,
        Self::ShiftRight,
        Self::Equal,
        Self::Less,
        Self::LessOrEqual,
        Self::Greater,
        Self::GreaterOrEqual,
        Self::And,
        Self::Or,
        Self::Xor,
    ];

    /// Name in the text form.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Sub => "sub",
            Self::Mul => "mul",
            Self::Div => "div",
            Self::Max => "max",
            Self::Min => "min",
            Self::Pow => "pow",
            Self::Rem => "rem",
            Self::Mod => "mod",
            Self::BitAnd => "bit_and",
            Self::BitOr => "bit_or",
            Self::BitXor => "bit_xor",
            Self::ShiftLeft => "shift_left",
            Self::ShiftRight => "shift_right",
            Self::Equal => "equal",
            Self::Less => "less",
            Self::LessOrEqual => "less_or_equal",
            Self::Greater => "greater",
            Self::GreaterOrEqual => "greater_or_equal",
            Self::And => "and",
            Self::Or => "or",
            Self::Xor => "xor",
        }
    }

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

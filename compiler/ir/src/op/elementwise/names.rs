//! Names of the scalar functions in the text form, and how many operands they take.

use super::{BinaryOp, GeluKind, ScalarOp, UnaryOp};

impl UnaryOp {
    /// Every function of one scalar.
    pub const ALL: [Self; 20] = [
        Self::Abs,
        Self::Ceil,
        Self::Cos,
        Self::Erf,
        Self::Exp,
        Self::Floor,
        Self::Gelu(GeluKind::Erf),
        Self::Gelu(GeluKind::Tanh),
        Self::Log,
        Self::Neg,
        Self::Not,
        Self::Reciprocal,
        Self::Relu,
        Self::Round,
        Self::Sigmoid,
        Self::Sign,
        Self::Silu,
        Self::Sin,
        Self::Sqrt,
        Self::Tanh,
    ];

    /// Name in the text form.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Abs => "abs",
            Self::Ceil => "ceil",
            Self::Cos => "cos",
            Self::Erf => "erf",
            Self::Exp => "exp",
            Self::Floor => "floor",
            Self::Gelu(GeluKind::Erf) => "gelu",
            Self::Gelu(GeluKind::Tanh) => "gelu_tanh",
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
            Self::Sqrt => "sqrt",
            Self::Tanh => "tanh",
        }
    }
}

impl BinaryOp {
    /// Every function of two scalars.
    pub const ALL: [Self; 15] = [
        Self::Add,
        Self::Sub,
        Self::Mul,
        Self::Div,
        Self::Max,
        Self::Min,
        Self::Pow,
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

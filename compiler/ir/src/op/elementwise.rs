//! Scalar functions: as nodes of their own, and as the steps of another node's epilogue.

mod epilogue;
pub(crate) mod eval;
mod infer;
mod names;
mod run;
pub(crate) mod special;

use crate::id::ValueId;
use crate::small_float::SmallRounding;
use crate::tensor::ElementType;

/// Functions of one scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnaryOp {
    /// Absolute value.
    Abs,
    /// Inverse cosine, in 0..=pi.
    Acos,
    /// Inverse hyperbolic cosine.
    Acosh,
    /// Inverse sine, in -pi/2..=pi/2.
    Asin,
    /// Inverse hyperbolic sine.
    Asinh,
    /// Inverse tangent, in -pi/2..=pi/2.
    Atan,
    /// Inverse hyperbolic tangent.
    Atanh,
    /// The float next to it that a bfloat16 holds, of two the even one.
    Bfloat16,
    /// Every bit of an integer inverted.
    BitNot,
    /// Smallest integer not below.
    Ceil,
    /// Cosine.
    Cos,
    /// Hyperbolic cosine.
    Cosh,
    /// Gauss error function.
    Erf,
    /// Exponential.
    Exp,
    /// `exp(x) - 1`, accurate near zero.
    Expm1,
    /// Largest integer not above.
    Floor,
    /// Gaussian error linear unit.
    Gelu(GeluKind),
    /// Whether a float is infinite; a bool.
    IsInf,
    /// Whether a float is NaN; a bool.
    IsNan,
    /// Natural logarithm.
    Log,
    /// Negation.
    Neg,
    /// Logical not of a bool.
    Not,
    /// Reciprocal.
    Reciprocal,
    /// max(x, 0); a NaN stays.
    Relu,
    /// To nearest, ties to even.
    Round,
    /// 1 / (1 + exp(-x)).
    Sigmoid,
    /// -1, 0 or 1; a NaN stays.
    Sign,
    /// x * sigmoid(x).
    Silu,
    /// Sine.
    Sin,
    /// Hyperbolic sine.
    Sinh,
    /// `log(1 + exp(x))`.
    Softplus,
    /// The number of a float of eight or fewer bits that it goes to.
    Small(SmallRounding),
    /// Square root.
    Sqrt,
    /// Tangent.
    Tan,
    /// Hyperbolic tangent.
    Tanh,
}

/// Which GELU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GeluKind {
    /// `0.5 x (1 + erf(x / sqrt 2))`.
    Erf,
    /// `0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))`.
    Tanh,
}

/// Functions of two scalars. Comparisons and logic give bool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// Sum.
    Add,
    /// Difference.
    Sub,
    /// Product.
    Mul,
    /// Quotient; integers truncate, and by zero give zero.
    Div,
    /// Larger; NaN where either is.
    Max,
    /// Smaller; NaN where either is.
    Min,
    /// First to the power of second, as `powf` has it: one where the second is zero or the first is one, whatever the other
    /// is. Integers wrap, and a negative second truncates the reciprocal.
    Pow,
    /// Remainder of the division rounded toward zero: it has the sign of the first. Of integers by zero, zero.
    Rem,
    /// Remainder of the division rounded down: it has the sign of the second. Of integers by zero, zero.
    Mod,
    /// Bits that both integers have.
    BitAnd,
    /// Bits that either integer has.
    BitOr,
    /// Bits that exactly one integer has.
    BitXor,
    /// Integer shifted to the left; shifted by its width or more, zero.
    ShiftLeft,
    /// Integer shifted to the right, its sign kept; shifted by its width or more, zero or minus one.
    ShiftRight,
    /// Equal.
    Equal,
    /// Less.
    Less,
    /// Less or equal.
    LessOrEqual,
    /// Greater.
    Greater,
    /// Greater or equal.
    GreaterOrEqual,
    /// Both.
    And,
    /// Either.
    Or,
    /// Exactly one.
    Xor,
}

/// A scalar function with its attributes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ScalarOp {
    /// One operand.
    Unary(UnaryOp),
    /// Two operands.
    Binary(BinaryOp),
    /// One operand, limited to `min..=max`. Bounds are finite or infinite, never NaN.
    Clip {
        /// Lower bound.
        min: f64,
        /// Upper bound.
        max: f64,
    },
    /// Operands condition (bool), a, b: `condition ? a : b`.
    Select,
    /// One operand converted. Floats become integers toward zero, at the type's ends where they are beyond, zero where
    /// they are NaN; integers keep their low bits; anything to bool is `!= 0`.
    Cast(ElementType),
}

/// Operand of an epilogue step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StepArg {
    /// What the node's op computed for this element (in f32 for float types, whatever the storage).
    Result,
    /// Result of an earlier step.
    Step(u32),
    /// Element of `Epilogue::operands[n]`, broadcast to the node's result.
    Operand(u32),
    /// A constant.
    Const(f64),
}

/// One scalar step.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What it computes.
    pub op: ScalarOp,
    /// Its operands; as many as `op` has.
    pub args: Vec<StepArg>,
}

/// Element-wise program applied to a node's result 0 before it is written; empty when nothing was fused.
/// The last step's value is written. The value named by `outputs[0]` has the type after the epilogue.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Epilogue {
    /// Steps in order.
    pub steps: Vec<Step>,
    /// Extra values that steps read; each broadcasts to the shape of result 0.
    pub operands: Vec<ValueId>,
}

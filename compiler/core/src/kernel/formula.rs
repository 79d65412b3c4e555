//! Scalar functions as WGSL expressions of four lanes.
//!
//! Special values are told by their bits: a compiler may assume that float comparisons never see a NaN, and which operand
//! WGSL's `min`, `max`, `clamp` and `sign` give where one is a NaN is left open. So these choose among numbers only, and
//! the NaN is chosen by an integer comparison, or the formula is one that makes a NaN of it on every path. The table of what each
//! function gives is in `docs/onnx.md`.

use super::kind::Kind;
use super::literal::Literal;
use drift_ir::op::{BinaryOp, GeluKind, ScalarOp, UnaryOp};
use drift_ir::{ElementType, SmallFloat, SmallRounding};

/// An argument of a formula.
#[derive(Clone, Debug)]
pub(super) struct Arg {
    /// A name or a literal: formulas repeat it.
    pub(super) text: String,
    /// Its value, where it is a literal.
    pub(super) constant: Option<f64>,
}

/// Writes formulas and keeps the names of the functions that they call.
#[derive(Debug, Default)]
pub(super) struct Formulas {
    /// In order of the calls.
    pub(super) called: Vec<&'static str>,
}

/// Magnitude bits of infinity; those of NaNs are larger.
const INFINITY: &str = "vec4<u32>(0x7f800000u)";

/// A constant in all lanes.
pub(super) fn constant(value: f64, kind: Kind) -> String {
    let literal = match kind {
        Kind::Float => Literal::F32(value as f32),
        Kind::U32 => Literal::I32(i64::from((value as u32).cast_signed())),
        Kind::Int | Kind::I8 | Kind::U8 | Kind::I16 | Kind::U16 => Literal::I32(i64::from(value as i32)),
        Kind::Bool => Literal::Bool(value != 0.0),
    };
    literal.in_all_lanes()
}

/// The bits of floats without their signs.
fn magnitude_bits(a: &str) -> String {
    format!("(bitcast<vec4<u32>>({a}) & vec4<u32>(0x7fffffffu))")
}

fn is_nan(a: &str) -> String {
    format!("{} > {INFINITY}", magnitude_bits(a))
}

/// `value`, which was computed of `a` as if that was a number.
fn unless_nan(value: &str, a: &str) -> String {
    format!("select({value}, {a}, {})", is_nan(a))
}

/// An integer that arithmetic may have carried out of its narrow type, as that type wraps.
fn wrapped(value: String, kind: Kind) -> String {
    match kind {
        Kind::I8 => format!("(({value}) << vec4<u32>(24u)) >> vec4<u32>(24u)"),
        Kind::U8 => format!("({value}) & vec4<i32>(255i)"),
        Kind::I16 => format!("(({value}) << vec4<u32>(16u)) >> vec4<u32>(16u)"),
        Kind::U16 => format!("({value}) & vec4<i32>(65535i)"),
        Kind::Float | Kind::Int | Kind::U32 | Kind::Bool => value,
    }
}

impl Formulas {
    /// One scalar function: from `from` to `to`.
    pub(super) fn scalar(&mut self, op: ScalarOp, args: &[Arg], from: Kind, to: Kind) -> String {
        let a = &args[0].text;
        match op {
            ScalarOp::Unary(op) => self.unary(op, a, from),
            ScalarOp::Binary(op) => self.binary(op, &args[0], &args[1], from),
            ScalarOp::Clip { min, max } => clip(a, min, max, from),
            ScalarOp::Select => format!("select({}, {}, {a})", args[2].text, args[1].text),
            ScalarOp::Cast(element) => self.cast(a, from, to, element),
        }
    }

    /// A call of one of the prelude's functions.
    fn call(&mut self, name: &'static str, args: &str) -> String {
        self.called.push(name);
        format!("{name}({args})")
    }

    fn cast(&mut self, a: &str, from: Kind, to: Kind, element: ElementType) -> String {
        let zero = "vec4<i32>(0i)";
        match (from, to) {
            (Kind::Bool, Kind::Bool) => a.to_owned(),
            (Kind::Float, Kind::Bool) => format!("{} != vec4<u32>(0u)", magnitude_bits(a)),
            (Kind::Int | Kind::I8 | Kind::U8 | Kind::I16 | Kind::U16 | Kind::U32, Kind::Bool) => {
                format!("{a} != {zero}")
            }
            (Kind::Bool, Kind::Float) => format!("select(vec4<f32>(0.0f), vec4<f32>(1.0f), {a})"),
            (Kind::Bool, Kind::Int | Kind::I8 | Kind::U8 | Kind::I16 | Kind::U16 | Kind::U32) => {
                format!("select({zero}, vec4<i32>(1i), {a})")
            }
            (Kind::Float, Kind::Float) if element == ElementType::F16 => self.call("rounded_to_half", a),
            (Kind::Float, Kind::Float) => a.to_owned(),
            (Kind::Float, Kind::Int) => self.call("saturated", a),
            (Kind::Float, Kind::U32) => self.call("saturated_word", a),
            (Kind::Float, Kind::I8 | Kind::U8 | Kind::I16 | Kind::U16) => {
                let (low, high) = to.narrow().unwrap_or_default();
                let (low, high) = (constant(low, from), constant(high, from));
                format!("select(vec4<i32>(clamp({a}, {low}, {high})), {zero}, {})", is_nan(a))
            }
            (_, Kind::Float) => {
                let float = match from {
                    Kind::U32 => format!("vec4<f32>({})", word(a)),
                    _ => format!("vec4<f32>({a})"),
                };
                if element == ElementType::F16 { self.call("rounded_to_half", &float) } else { float }
            }
            (_, _) if from == to => a.to_owned(),
            (_, Kind::Int | Kind::U32 | Kind::I8 | Kind::U8 | Kind::I16 | Kind::U16) => {
                wrapped(a.to_owned(), to)
            }
        }
    }

    fn unary(&mut self, op: UnaryOp, a: &str, kind: Kind) -> String {
        match op {
            UnaryOp::Abs | UnaryOp::Relu if kind == Kind::U32 => a.to_owned(),
            UnaryOp::Sign if kind == Kind::U32 => {
                format!("select(vec4<i32>(1i), vec4<i32>(0i), {a} == vec4<i32>(0i))")
            }
            UnaryOp::Abs => wrapped(format!("abs({a})"), kind),
            UnaryOp::Acos => self.call("inverse_cosine", a),
            UnaryOp::Acosh => self.call("inverse_hyperbolic_cosine", a),
            UnaryOp::Asin => self.call("inverse_sine", a),
            UnaryOp::Asinh => self.call("inverse_hyperbolic_sine", a),
            UnaryOp::Atan => self.call("inverse_tangent", a),
            UnaryOp::Atanh => self.call("inverse_hyperbolic_tangent", a),
            UnaryOp::Bfloat16 => self.call("rounded_to_bfloat16", a),
            UnaryOp::BitNot => wrapped(format!("~({a})"), kind),
            UnaryOp::Ceil => format!("ceil({a})"),
            UnaryOp::Cos => self.call("cosine", a),
            UnaryOp::Cosh => self.call("hyperbolic_cosine", a),
            UnaryOp::Erf => self.call("erf", a),
            UnaryOp::Exp => format!("exp({a})"),
            UnaryOp::Expm1 => self.call("expm1", a),
            UnaryOp::Floor => format!("floor({a})"),
            UnaryOp::Gelu(GeluKind::Erf) => {
                let scaled = format!("{a} * {}", Literal::F32(std::f32::consts::FRAC_1_SQRT_2));
                let erf = self.call("erf", &scaled);
                format!("0.5f * {a} * (1.0f + {erf})")
            }
            // (1 + tanh u) / 2 is 1 / (1 + exp(-2 u)), which keeps its digits where tanh is next to -1; 2 sqrt(2 / pi).
            UnaryOp::Gelu(GeluKind::Tanh) => {
                format!("{a} / (1.0f + exp(-1.5957691f * ({a} + 0.044715f * {a} * {a} * {a})))")
            }
            UnaryOp::IsInf => format!("{} == {INFINITY}", magnitude_bits(a)),
            UnaryOp::IsNan => is_nan(a),
            UnaryOp::Log => format!("log({a})"),
            UnaryOp::Neg => wrapped(format!("-({a})"), kind),
            UnaryOp::Not => format!("!({a})"),
            UnaryOp::Reciprocal => format!("1.0f / {a}"),
            // As integers, negative numbers are up to the bits of minus infinity, and NaNs of either sign are above.
            UnaryOp::Relu if kind == Kind::Float => {
                format!("select({a}, vec4<f32>(0.0f), bitcast<vec4<i32>>({a}) <= vec4<i32>(-8388608i))")
            }
            UnaryOp::Relu => format!("max({a}, {})", constant(0.0, kind)),
            UnaryOp::Round => format!("round({a})"),
            UnaryOp::Sigmoid => format!("1.0f / (1.0f + exp(-{a}))"),
            UnaryOp::Sign if kind == Kind::Float => unless_nan(&format!("sign({a})"), a),
            UnaryOp::Sign => format!("sign({a})"),
            UnaryOp::Silu => format!("{a} / (1.0f + exp(-{a}))"),
            UnaryOp::Sin => self.call("sine", a),
            UnaryOp::Sinh => self.call("hyperbolic_sine", a),
            UnaryOp::Softplus => self.call("softplus", a),
            UnaryOp::Small(rounding) => self.small(rounding, a),
            UnaryOp::Sqrt => format!("sqrt({a})"),
            UnaryOp::Tan => self.call("tangent", a),
            UnaryOp::Tanh => unless_nan(&self.call("hyperbolic_tangent", a), a),
        }
    }

    fn binary(&mut self, op: BinaryOp, left: &Arg, right: &Arg, kind: Kind) -> String {
        let (a, b) = (&left.text, &right.text);
        let both = format!("{a}, {b}");
        let is_float = kind == Kind::Float;
        if kind == Kind::U32
            && let Some(text) = self.binary_of_words(op, a, b)
        {
            return text;
        }
        match op {
            BinaryOp::Add => wrapped(format!("{a} + {b}"), kind),
            BinaryOp::Sub => wrapped(format!("{a} - {b}"), kind),
            BinaryOp::Mul => wrapped(format!("{a} * {b}"), kind),
            BinaryOp::Div if is_float => format!("{a} / {b}"),
            BinaryOp::Div => wrapped(self.call("quotient_of_integers", &both), kind),
            BinaryOp::Max | BinaryOp::Min => self.extreme(op, left, right, kind),
            BinaryOp::Pow if is_float => self.power(a, right),
            BinaryOp::Pow => match right.constant {
                Some(2.0) => wrapped(format!("{a} * {a}"), kind),
                Some(3.0) => wrapped(format!("{a} * {a} * {a}"), kind),
                _ => wrapped(self.call("integer_power", &both), kind),
            },
            BinaryOp::Rem if is_float => self.call("remainder", &both),
            BinaryOp::Rem => self.call("remainder_of_integers", &both),
            BinaryOp::Mod if is_float => self.call("floored_remainder", &both),
            BinaryOp::Mod => self.call("floored_remainder_of_integers", &both),
            BinaryOp::ShiftLeft => wrapped(self.call("shift_left", &both), kind),
            BinaryOp::ShiftRight => self.call("shift_right", &both),
            BinaryOp::BitAnd | BinaryOp::And => format!("{a} & {b}"),
            BinaryOp::BitOr | BinaryOp::Or => format!("{a} | {b}"),
            BinaryOp::BitXor => format!("{a} ^ {b}"),
            BinaryOp::Equal => format!("{a} == {b}"),
            BinaryOp::Less => format!("{a} < {b}"),
            BinaryOp::LessOrEqual => format!("{a} <= {b}"),
            BinaryOp::Greater => format!("{a} > {b}"),
            BinaryOp::GreaterOrEqual => format!("{a} >= {b}"),
            BinaryOp::Xor => format!("{a} != {b}"),
        }
    }

    /// The number of a small float format that a float goes to.
    fn small(&mut self, rounding: SmallRounding, a: &str) -> String {
        let up = match rounding {
            SmallRounding::E8M0 => 0x0040_0000,
            SmallRounding::E8M0Up => 0x007f_ffff,
            SmallRounding::E8M0Down => 0,
            _ => {
                let format = rounding.format();
                let least = format.least_exponent() + 127;
                let beyond = (rounding.beyond() as f32).to_bits();
                let signed = if format.has_negative_zero() { 1 } else { 0 };
                let nan = if format == SmallFloat::E2M1 { 0 } else { f32::NAN.to_bits() };
                let most = Literal::F32(format.most() as f32);
                let bits = format.mantissa_bits();
                let forms = format!("{a}, {bits}u, {least}u, {most}, {beyond}u, {signed}u, {nan}u");
                return self.call("rounded_to_small", &forms);
            }
        };
        self.call("rounded_to_scale", &format!("{a}, {up}u"))
    }

    /// What u32 computes otherwise than i32 does with the same bits.
    fn binary_of_words(&mut self, op: BinaryOp, a: &str, b: &str) -> Option<String> {
        let both = format!("{a}, {b}");
        let (left, right) = (word(a), word(b));
        Some(match op {
            BinaryOp::Div => self.call("quotient_of_words", &both),
            BinaryOp::Rem | BinaryOp::Mod => self.call("remainder_of_words", &both),
            BinaryOp::ShiftRight => self.call("shift_word_right", &both),
            BinaryOp::Pow => self.call("word_power", &both),
            BinaryOp::Max => format!("vec4<i32>(max({left}, {right}))"),
            BinaryOp::Min => format!("vec4<i32>(min({left}, {right}))"),
            BinaryOp::Less => format!("{left} < {right}"),
            BinaryOp::LessOrEqual => format!("{left} <= {right}"),
            BinaryOp::Greater => format!("{left} > {right}"),
            BinaryOp::GreaterOrEqual => format!("{left} >= {right}"),
            BinaryOp::Add
            | BinaryOp::Sub
            | BinaryOp::Mul
            | BinaryOp::BitAnd
            | BinaryOp::BitOr
            | BinaryOp::BitXor
            | BinaryOp::ShiftLeft
            | BinaryOp::Equal
            | BinaryOp::And
            | BinaryOp::Or
            | BinaryOp::Xor => return None,
        })
    }

    /// The larger or smaller; a NaN where either is one.
    fn extreme(&mut self, op: BinaryOp, left: &Arg, right: &Arg, kind: Kind) -> String {
        let (plain, of_floats) = if op == BinaryOp::Max { ("max", "maximum") } else { ("min", "minimum") };
        let both = format!("{}, {}", left.text, right.text);
        let is_number = |arg: &Arg| arg.constant.is_some_and(|value| !value.is_nan());
        match (kind, is_number(left), is_number(right)) {
            (Kind::Float, true, _) => unless_nan(&format!("{plain}({both})"), &right.text),
            (Kind::Float, _, true) => unless_nan(&format!("{plain}({both})"), &left.text),
            (Kind::Float, false, false) => self.call(of_floats, &both),
            (_, _, _) => format!("{plain}({both})"),
        }
    }

    /// Small constant exponents are products, which are exact where the result is.
    fn power(&mut self, a: &str, exponent: &Arg) -> String {
        match exponent.constant {
            Some(1.0) => a.to_owned(),
            Some(2.0) => format!("{a} * {a}"),
            Some(3.0) => format!("{a} * {a} * {a}"),
            Some(4.0) => format!("({a} * {a}) * ({a} * {a})"),
            Some(-1.0) => format!("1.0f / {a}"),
            Some(-2.0) => format!("1.0f / ({a} * {a})"),
            // A power of minus infinity is infinite, its root is none.
            Some(0.5) => {
                format!("select(sqrt({a}), -{a}, bitcast<vec4<u32>>({a}) == vec4<u32>(0xff800000u))")
            }
            _ => self.call("power", &format!("{a}, {}", exponent.text)),
        }
    }
}

/// The bits of a u32, which an i32 carries, as a u32.
fn word(a: &str) -> String {
    format!("vec4<u32>({a})")
}

/// Like ONNX, `max` wins where the bounds cross; a NaN stays.
fn clip(a: &str, min: f64, max: f64, kind: Kind) -> String {
    if kind == Kind::U32 {
        let [low, high] = [min.ceil(), max.floor()].map(|bound| word(&constant(bound, kind)));
        return format!("vec4<i32>(min(max({}, {low}), {high}))", word(a));
    }
    let (lowest, highest) = match kind {
        Kind::Float => (f64::NEG_INFINITY, f64::INFINITY),
        _ => (f64::from(i32::MIN), f64::from(i32::MAX)),
    };
    let (min, max) = if kind == Kind::Float { (min, max) } else { (min.ceil(), max.floor()) };
    let (low, high) = (constant(min, kind), constant(max, kind));
    let limited = match (min > lowest, max < highest) {
        (true, true) if min <= max => format!("clamp({a}, {low}, {high})"),
        (true, true) => format!("min(max({a}, {low}), {high})"),
        (true, false) => format!("max({a}, {low})"),
        (false, true) => format!("min({a}, {high})"),
        (false, false) => return a.to_owned(),
    };
    if kind == Kind::Float { unless_nan(&limited, a) } else { limited }
}

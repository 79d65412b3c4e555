//! Element-wise steps as WGSL: the text inside prologues and epilogues.
//!
//! Steps compute in f32, i32 or bool, four lanes at once. Truth values cross function boundaries as `vec4<u32>`.

use super::{functions, line};
use crate::physical::Element;
use drift_ir::ElementType;
use drift_ir::op::{BinaryOp, GeluKind, ScalarOp, Step, StepArg, UnaryOp};

/// What a step computes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// f32.
    Float,
    /// i32.
    Int,
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
            ElementType::I64 | ElementType::I32 | ElementType::I8 | ElementType::U8 => Self::Int,
            ElementType::Bool => Self::Bool,
        }
    }

    /// Type of four lanes at a function boundary.
    pub const fn parameter(self) -> &'static str {
        match self {
            Self::Float => "vec4<f32>",
            Self::Int => "vec4<i32>",
            Self::Bool => "vec4<u32>",
        }
    }

    /// Type of four lanes inside a step.
    const fn local(self) -> &'static str {
        match self {
            Self::Float => "vec4<f32>",
            Self::Int => "vec4<i32>",
            Self::Bool => "vec4<bool>",
        }
    }
}

/// An operand of a program: a slot of the call that broadcasts to the result.
#[derive(Clone, Debug, PartialEq)]
pub struct Operand {
    /// Name of the slot.
    pub slot: String,
    /// What it is read as.
    pub kind: Kind,
}

/// A straight-line element-wise program.
#[derive(Clone, Debug, PartialEq)]
pub struct ScalarProgram {
    /// Kind of `StepArg::Result`.
    pub input: Kind,
    /// Steps in order; the last one's value is the result.
    pub steps: Vec<Step>,
    /// Operands.
    pub operands: Vec<Operand>,
    /// Kind of the result.
    pub result: Kind,
}

impl ScalarProgram {
    /// Infers kinds.
    pub fn new(input: Kind, steps: Vec<Step>, operands: Vec<Operand>) -> Self {
        let mut program = Self { input, steps, operands, result: input };
        if let Some(kind) = program.kinds().last() {
            program.result = *kind;
        }
        program
    }

    /// The functions that are called.
    pub(super) fn functions(&self) -> Vec<&'static str> {
        let kinds = self.kinds();
        self.steps.iter().zip(kinds).filter_map(|(step, kind)| functions::of(step.op, kind)).collect()
    }

    /// Arithmetic per element, in flops.
    pub fn flops(&self) -> u64 {
        self.steps.len() as u64
    }

    fn kinds(&self) -> Vec<Kind> {
        let mut kinds: Vec<Kind> = Vec::new();
        for step in &self.steps {
            let kind = match step.op {
                ScalarOp::Cast(element) => Kind::of_graph(element),
                ScalarOp::Binary(op) if is_comparison(op) => Kind::Bool,
                ScalarOp::Unary(op) if op.is_test() => Kind::Bool,
                ScalarOp::Select => self.common_kind(&step.args[1..], &kinds),
                ScalarOp::Unary(_) | ScalarOp::Binary(_) | ScalarOp::Clip { .. } => {
                    self.common_kind(&step.args, &kinds)
                }
            };
            kinds.push(kind);
        }
        kinds
    }

    /// The kind of the arguments that have one; constants take theirs from the others.
    fn common_kind(&self, args: &[StepArg], kinds: &[Kind]) -> Kind {
        args.iter().find_map(|arg| self.arg_kind(*arg, kinds)).unwrap_or(Kind::Float)
    }

    fn arg_kind(&self, arg: StepArg, kinds: &[Kind]) -> Option<Kind> {
        match arg {
            StepArg::Result => Some(self.input),
            StepArg::Step(n) => Some(kinds[n as usize]),
            StepArg::Operand(n) => Some(self.operands[n as usize].kind),
            StepArg::Const(_) => None,
        }
    }

    /// Writes the steps; returns the expression of the result in its boundary form.
    pub(super) fn write(&self, text: &mut String, result: Option<&str>) -> String {
        let kinds = self.kinds();
        for (n, operand) in self.operands.iter().enumerate() {
            let read = format!("{}_read(b, y, x, s)", operand.slot);
            let value = if operand.kind == Kind::Bool { format!("{read} != vec4<u32>(0u)") } else { read };
            line(text, format_args!("    let operand_{n} = {value};"));
        }
        let expression = |arg: StepArg, kind: Kind| match arg {
            StepArg::Result => {
                let name = result.unwrap_or_else(|| unreachable!("a prologue has no result to start from"));
                if self.input == Kind::Bool { format!("({name} != vec4<u32>(0u))") } else { name.to_owned() }
            }
            StepArg::Step(n) => format!("step_{n}"),
            StepArg::Operand(n) => format!("operand_{n}"),
            StepArg::Const(value) => constant(value, kind),
        };
        for (n, step) in self.steps.iter().enumerate() {
            let from = match step.op {
                ScalarOp::Select => kinds[n],
                ScalarOp::Unary(_) | ScalarOp::Binary(_) | ScalarOp::Clip { .. } | ScalarOp::Cast(_) => {
                    self.common_kind(&step.args, &kinds)
                }
            };
            let args: Vec<String> = match step.op {
                ScalarOp::Select => vec![
                    expression(step.args[0], Kind::Bool),
                    expression(step.args[1], from),
                    expression(step.args[2], from),
                ],
                ScalarOp::Unary(_) | ScalarOp::Binary(_) | ScalarOp::Clip { .. } | ScalarOp::Cast(_) => {
                    step.args.iter().map(|arg| expression(*arg, from)).collect()
                }
            };
            line(text, format_args!("    let step_{n} = {};", scalar(step.op, &args, from, kinds[n])));
        }
        match (self.steps.len(), self.result) {
            (0, _) => result.unwrap_or("operand_0").to_owned(),
            (n, Kind::Bool) => format!("select(vec4<u32>(0u), vec4<u32>(1u), step_{})", n - 1),
            (n, Kind::Float | Kind::Int) => format!("step_{}", n - 1),
        }
    }
}

/// `value`, in its boundary form, converted to what is stored.
pub(super) fn store(value: &str, kind: Kind, stored: Element) -> String {
    if kind == Kind::of(stored) && stored != Element::F16 {
        return value.to_owned();
    }
    format!("vec4<{}>({value})", stored.name())
}

/// Whether the result is a truth value whatever the operands are.
const fn is_comparison(op: BinaryOp) -> bool {
    op.is_comparison() || op.is_logic()
}

/// A constant in all lanes. Values beyond f32's range become its finite ends.
fn constant(value: f64, kind: Kind) -> String {
    match kind {
        Kind::Float => format!("vec4<f32>({})", float(value as f32)),
        Kind::Int => format!("vec4<i32>({}i)", value as i32),
        Kind::Bool => format!("vec4<bool>({})", value != 0.0),
    }
}

/// The shortest literal that reads back as `value`; infinities become the finite ends of f32.
pub(super) fn float(value: f32) -> String {
    let finite = value.clamp(f32::MIN, f32::MAX);
    let text = format!("{finite:?}");
    if text.contains('e') || text.contains('.') { format!("{text}f") } else { format!("{text}.0f") }
}

/// One scalar function over four lanes: from `from` to `to`.
fn scalar(op: ScalarOp, args: &[String], from: Kind, to: Kind) -> String {
    let a = &args[0];
    match op {
        ScalarOp::Unary(unary) => self::unary(unary, a, from),
        ScalarOp::Binary(binary) => self::binary(binary, a, &args[1], from),
        ScalarOp::Clip { min, max } => clip(a, min, max, from),
        ScalarOp::Select => format!("select({}, {}, {a})", args[2], args[1]),
        ScalarOp::Cast(_) => cast(a, from, to),
    }
}

fn cast(a: &str, from: Kind, to: Kind) -> String {
    match (from, to) {
        (Kind::Float, Kind::Bool) => format!("{a} != vec4<f32>(0.0f)"),
        (Kind::Int, Kind::Bool) => format!("{a} != vec4<i32>(0i)"),
        (Kind::Bool, Kind::Float) => format!("select(vec4<f32>(0.0f), vec4<f32>(1.0f), {a})"),
        (Kind::Bool, Kind::Int) => format!("select(vec4<i32>(0i), vec4<i32>(1i), {a})"),
        (Kind::Float, Kind::Int) | (Kind::Int, Kind::Float) => format!("{}({a})", to.local()),
        (Kind::Float, Kind::Float) | (Kind::Int, Kind::Int) | (Kind::Bool, Kind::Bool) => a.to_owned(),
    }
}

fn clip(a: &str, min: f64, max: f64, kind: Kind) -> String {
    match (min.is_finite(), max.is_finite()) {
        (true, true) => format!("clamp({a}, {}, {})", constant(min, kind), constant(max, kind)),
        (true, false) => format!("max({a}, {})", constant(min, kind)),
        (false, true) => format!("min({a}, {})", constant(max, kind)),
        (false, false) => a.to_owned(),
    }
}

fn unary(op: UnaryOp, a: &str, kind: Kind) -> String {
    let zero = constant(0.0, kind);
    match op {
        UnaryOp::Abs => format!("abs({a})"),
        UnaryOp::BitNot => format!("~({a})"),
        UnaryOp::Ceil => format!("ceil({a})"),
        UnaryOp::Exp => format!("exp({a})"),
        UnaryOp::Floor => format!("floor({a})"),
        UnaryOp::Gelu(GeluKind::Erf) => {
            format!("0.5f * {a} * (1.0f + erf({a} * {}))", float(std::f32::consts::FRAC_1_SQRT_2))
        }
        // sqrt(2 / pi); tanh is flat beyond 10, and some drivers overflow there.
        UnaryOp::Gelu(GeluKind::Tanh) => format!(
            "0.5f * {a} * (1.0f + tanh(clamp(0.7978846f * ({a} + 0.044715f * {a} * {a} * {a}), vec4<f32>(-10.0f), vec4<f32>(10.0f))))"
        ),
        UnaryOp::IsInf => format!("{} == vec4<u32>(0x7f800000u)", magnitude_bits(a)),
        UnaryOp::IsNan => format!("{} > vec4<u32>(0x7f800000u)", magnitude_bits(a)),
        UnaryOp::Log => format!("log({a})"),
        UnaryOp::Neg => format!("-({a})"),
        UnaryOp::Not => format!("!({a})"),
        UnaryOp::Reciprocal => format!("1.0f / {a}"),
        UnaryOp::Relu => format!("max({a}, {zero})"),
        UnaryOp::Round => format!("round({a})"),
        // exp overflows beyond 88, and drivers may assume that there are no infinities.
        UnaryOp::Sigmoid => format!("1.0f / (1.0f + exp(-max({a}, vec4<f32>(-87.0f))))"),
        UnaryOp::Sign => format!("sign({a})"),
        UnaryOp::Silu => format!("{a} / (1.0f + exp(-max({a}, vec4<f32>(-87.0f))))"),
        UnaryOp::Sqrt => format!("sqrt({a})"),
        UnaryOp::Tanh => format!("tanh(clamp({a}, vec4<f32>(-10.0f), vec4<f32>(10.0f)))"),
        UnaryOp::Acos
        | UnaryOp::Acosh
        | UnaryOp::Asin
        | UnaryOp::Asinh
        | UnaryOp::Atan
        | UnaryOp::Atanh
        | UnaryOp::Cos
        | UnaryOp::Cosh
        | UnaryOp::Erf
        | UnaryOp::Expm1
        | UnaryOp::Sin
        | UnaryOp::Sinh
        | UnaryOp::Softplus
        | UnaryOp::Tan => call(ScalarOp::Unary(op), kind, a),
    }
}

/// A call of the function that computes a step.
fn call(op: ScalarOp, kind: Kind, args: &str) -> String {
    let name =
        functions::of(op, kind).unwrap_or_else(|| unreachable!("`{}` is computed by a function", op.name()));
    format!("{name}({args})")
}

/// The bits of floats without their signs. Infinities and NaNs are told by their bits, because compilers may assume that
/// comparisons never see them. A half that was stored as infinity is one: what overflows in f16 counts as infinite there.
fn magnitude_bits(a: &str) -> String {
    format!("(bitcast<vec4<u32>>({a}) & vec4<u32>(0x7fffffffu))")
}

fn binary(op: BinaryOp, a: &str, b: &str, kind: Kind) -> String {
    match op {
        BinaryOp::Add => format!("{a} + {b}"),
        BinaryOp::Sub => format!("{a} - {b}"),
        BinaryOp::Mul => format!("{a} * {b}"),
        BinaryOp::Div => format!("{a} / {b}"),
        BinaryOp::Max => format!("max({a}, {b})"),
        BinaryOp::Min => format!("min({a}, {b})"),
        BinaryOp::Pow => power(a, b, kind),
        BinaryOp::Rem if kind != Kind::Float => format!("{a} % {b}"),
        BinaryOp::Rem | BinaryOp::Mod | BinaryOp::ShiftLeft | BinaryOp::ShiftRight => {
            call(ScalarOp::Binary(op), kind, &format!("{a}, {b}"))
        }
        BinaryOp::BitAnd => format!("{a} & {b}"),
        BinaryOp::BitOr => format!("{a} | {b}"),
        BinaryOp::BitXor => format!("{a} ^ {b}"),
        BinaryOp::Equal => format!("{a} == {b}"),
        BinaryOp::Less => format!("{a} < {b}"),
        BinaryOp::LessOrEqual => format!("{a} <= {b}"),
        BinaryOp::Greater => format!("{a} > {b}"),
        BinaryOp::GreaterOrEqual => format!("{a} >= {b}"),
        BinaryOp::And => format!("{a} & {b}"),
        BinaryOp::Or => format!("{a} | {b}"),
        BinaryOp::Xor => format!("{a} != {b}"),
    }
}

/// WGSL's `pow` is undefined below zero; an integral exponent has an answer there.
fn power(a: &str, b: &str, kind: Kind) -> String {
    match (kind, b) {
        (_, "vec4<f32>(2.0f)" | "vec4<i32>(2i)") => format!("{a} * {a}"),
        (_, "vec4<f32>(3.0f)" | "vec4<i32>(3i)") => format!("{a} * {a} * {a}"),
        (_, "vec4<f32>(0.5f)") => format!("sqrt({a})"),
        (Kind::Float, _) => format!(
            "select(pow(abs({a}), {b}), -pow(abs({a}), {b}), ({a} < vec4<f32>(0.0f)) & (fract({b} * 0.5f) != vec4<f32>(0.0f)))"
        ),
        (Kind::Int | Kind::Bool, _) => call(ScalarOp::Binary(BinaryOp::Pow), kind, &format!("{a}, {b}")),
    }
}

/// Whether shader compilers leave `op` with this literal alone: many make 0 of a product with a zero that they see, and so
/// lose NaN and infinities. A zero that they read from memory keeps them.
pub fn is_safe_literal(op: ScalarOp, literal: f64) -> bool {
    literal != 0.0 || !matches!(op, ScalarOp::Binary(BinaryOp::Mul | BinaryOp::Div))
}

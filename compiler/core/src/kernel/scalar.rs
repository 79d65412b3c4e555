//! Element-wise steps as WGSL: the text inside prologues and epilogues.
//!
//! Steps compute in f32, i32 or bool, four lanes at once. Truth values cross function boundaries as `vec4<u32>`. What a
//! step computes is for [`formula`](super::formula) to say.

use super::formula::{Arg, Formulas, constant};
pub use super::kind::Kind;
use super::line;
use crate::physical::Element;
use drift_ir::op::{BinaryOp, ScalarOp, Step, StepArg};

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
        let mut formulas = Formulas::default();
        self.formulas(&mut formulas, "");
        formulas.called
    }

    /// The numbers among the arguments of its steps and their bounds.
    pub(super) fn numbers(&self) -> impl Iterator<Item = f64> {
        self.steps.iter().flat_map(|step| {
            let bounds = match step.op {
                ScalarOp::Clip { min, max } => vec![min, max],
                ScalarOp::Unary(_) | ScalarOp::Binary(_) | ScalarOp::Select | ScalarOp::Cast(_) => Vec::new(),
            };
            let arguments = step.args.iter().filter_map(|arg| match *arg {
                StepArg::Const(value) => Some(value),
                StepArg::Result | StepArg::Step(_) | StepArg::Operand(_) => None,
            });
            bounds.into_iter().chain(arguments)
        })
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

    /// Writes the steps; returns the expression of the result in its boundary form. `result` names what
    /// `StepArg::Result` stands for, in its boundary form.
    pub(super) fn write(&self, text: &mut String, result: Option<&str>) -> String {
        for (n, operand) in self.operands.iter().enumerate() {
            let value = match operand.kind {
                Kind::Bool => format!("{}_read(b, y, x, s) != vec4<u32>(0u)", operand.slot),
                _ => format!("{}_read(b, y, x, s)", operand.slot),
            };
            line(text, format_args!("    let operand_{n} = {value};"));
        }
        for (n, formula) in
            self.formulas(&mut Formulas::default(), result.unwrap_or_default()).iter().enumerate()
        {
            line(text, format_args!("    let step_{n} = {formula};"));
        }
        match (self.steps.len(), result) {
            (0, Some(result)) => result.to_owned(),
            (0, None) => self.result.outer("operand_0"),
            (n, _) => self.result.outer(&format!("step_{}", n - 1)),
        }
    }

    /// What each step computes.
    fn formulas(&self, formulas: &mut Formulas, result: &str) -> Vec<String> {
        let kinds = self.kinds();
        let argument = |arg: StepArg, kind: Kind| match arg {
            StepArg::Result => Arg { text: self.input.inner(result), constant: None },
            StepArg::Step(n) => Arg { text: format!("step_{n}"), constant: None },
            StepArg::Operand(n) => Arg { text: format!("operand_{n}"), constant: None },
            StepArg::Const(value) => Arg { text: constant(value, kind), constant: Some(value) },
        };
        let formula = |(n, step): (usize, &Step)| {
            let from = match step.op {
                ScalarOp::Select => kinds[n],
                ScalarOp::Unary(_) | ScalarOp::Binary(_) | ScalarOp::Clip { .. } | ScalarOp::Cast(_) => {
                    self.common_kind(&step.args, &kinds)
                }
            };
            let is_condition = |index: usize| step.op == ScalarOp::Select && index == 0;
            let kind_of = |index: usize| if is_condition(index) { Kind::Bool } else { from };
            let args: Vec<Arg> =
                step.args.iter().enumerate().map(|(index, arg)| argument(*arg, kind_of(index))).collect();
            formulas.scalar(step.op, &args, from, kinds[n])
        };
        self.steps.iter().enumerate().map(formula).collect()
    }
}

/// `value`, in its boundary form, converted to what is stored.
pub(super) fn store(value: &str, kind: Kind, stored: Element) -> String {
    if kind.boundary() == stored {
        return value.to_owned();
    }
    format!("vec4<{}>({value})", stored.name())
}

/// Whether the result is a truth value whatever the operands are.
const fn is_comparison(op: BinaryOp) -> bool {
    op.is_comparison() || op.is_logic()
}

/// Whether shader compilers leave `op` with this literal alone: many make 0 of a product with a zero that they see, and so
/// lose NaN and infinities. A zero that they read from memory keeps them.
pub fn is_safe_literal(op: ScalarOp, literal: f64) -> bool {
    literal != 0.0 || !matches!(op, ScalarOp::Binary(BinaryOp::Mul | BinaryOp::Div))
}

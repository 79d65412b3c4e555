//! Types and checks of epilogues.

use super::{Epilogue, ScalarOp, Step, StepArg};
use crate::dim::Symbols;
use crate::op::infer::{InferErrorKind, Operand, broadcast};
use crate::tensor::{ElementType, TensorType};

/// What an argument of a step is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum ArgType {
    /// An element of a tensor or of an earlier step.
    Typed(ElementType),
    /// A constant, which takes the type of the arguments beside it.
    Const(f64),
}

impl Epilogue {
    /// Whether nothing was fused.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.operands.is_empty()
    }

    /// What the next step calls the value so far: the last step, or the node's result.
    pub fn current(&self) -> StepArg {
        match self.steps.len().checked_sub(1) {
            Some(last) => StepArg::Step(u32::try_from(last).expect("fewer than 2^32 steps")),
            None => StepArg::Result,
        }
    }

    /// Element type after the last step. `result` is what the node's op gives, `operands` are the epilogue's own.
    pub fn infer(
        &self,
        result: &TensorType,
        operands: &[Operand<'_>],
        symbols: &Symbols,
    ) -> Result<ElementType, InferErrorKind> {
        if self.steps.is_empty() && !self.operands.is_empty() {
            return Err(step_error(0, "there are operands but no steps; remove the operands".to_owned()));
        }
        self.infer_steps(result, operands, symbols)
    }

    /// The same for steps whose operands are kept elsewhere.
    pub(crate) fn infer_steps(
        &self,
        result: &TensorType,
        operands: &[Operand<'_>],
        symbols: &Symbols,
    ) -> Result<ElementType, InferErrorKind> {
        for (index, operand) in operands.iter().enumerate() {
            if broadcast(&result.shape, &operand.ty.shape, symbols)? != result.shape {
                let shown = operand.ty.display(symbols);
                let wanted = result.display(symbols);
                let problem =
                    format!("operand {index} ({shown}) does not broadcast to the result ({wanted})");
                return Err(step_error(0, problem));
            }
        }
        let operands: Vec<ElementType> = operands.iter().map(|operand| operand.ty.element).collect();
        let elements = self.step_elements(result.element, &operands)?;
        Ok(elements.last().copied().unwrap_or(result.element))
    }

    /// Element type of each step.
    pub(crate) fn step_elements(
        &self,
        result: ElementType,
        operands: &[ElementType],
    ) -> Result<Vec<ElementType>, InferErrorKind> {
        let mut elements: Vec<ElementType> = Vec::new();
        for (index, step) in self.steps.iter().enumerate() {
            let args: Vec<ArgType> = step
                .args
                .iter()
                .map(|&arg| arg_type(arg, result, operands, &elements))
                .collect::<Option<_>>()
                .ok_or_else(|| {
                    let problem = "an argument names a later step or an operand that is not there";
                    step_error(index, problem.to_owned())
                })?;
            elements.push(step.element(index, &args)?);
        }
        Ok(elements)
    }
}

fn step_error(step: usize, problem: String) -> InferErrorKind {
    InferErrorKind::Epilogue { step, problem }
}

fn arg_type(
    arg: StepArg,
    result: ElementType,
    operands: &[ElementType],
    earlier: &[ElementType],
) -> Option<ArgType> {
    Some(match arg {
        StepArg::Result => ArgType::Typed(result),
        StepArg::Step(step) => ArgType::Typed(*earlier.get(step as usize)?),
        StepArg::Operand(operand) => ArgType::Typed(*operands.get(operand as usize)?),
        StepArg::Const(value) => ArgType::Const(value),
    })
}

impl Step {
    /// Element type of every argument of a step that inference accepted; `typed` knows those that are not constants.
    pub(crate) fn arg_elements(&self, typed: impl Fn(StepArg) -> Option<ElementType>) -> Vec<ElementType> {
        let args: Vec<ArgType> = self
            .args
            .iter()
            .map(|&arg| match (typed(arg), arg) {
                (Some(element), _) => ArgType::Typed(element),
                (None, StepArg::Const(value)) => ArgType::Const(value),
                (None, _) => unreachable!("inferred: every argument but a constant has a type"),
            })
            .collect();
        arg_elements(self.op, &args).expect("inferred: constants stand beside a typed argument")
    }

    fn element(&self, index: usize, args: &[ArgType]) -> Result<ElementType, InferErrorKind> {
        let elements = arg_elements(self.op, args)
            .ok_or_else(|| step_error(index, "at least one argument must not be a constant".to_owned()))?;
        for (&arg, &element) in args.iter().zip(&elements) {
            if let ArgType::Const(value) = arg
                && !represents(element, value)
            {
                return Err(step_error(index, format!("the constant {value} is no {element}")));
            }
        }
        self.op
            .result_element(&elements)
            .map_err(|error| step_error(index, format!("`{}`: {error}", self.op.name())))
    }
}

/// Element type of every argument; a constant takes that of its neighbours. `None` if only constants stand there.
fn arg_elements(op: ScalarOp, args: &[ArgType]) -> Option<Vec<ElementType>> {
    let is_condition = |index: usize| op == ScalarOp::Select && index == 0;
    let shared = args.iter().enumerate().find_map(|(index, &arg)| match arg {
        ArgType::Typed(element) if !is_condition(index) => Some(element),
        ArgType::Typed(_) | ArgType::Const(_) => None,
    });
    args.iter()
        .enumerate()
        .map(|(index, &arg)| match arg {
            ArgType::Typed(element) => Some(element),
            ArgType::Const(_) if is_condition(index) => Some(ElementType::Bool),
            // A choice between two constants has nothing to take a type from, so it is a float.
            ArgType::Const(_) if op == ScalarOp::Select => Some(shared.unwrap_or(ElementType::F32)),
            ArgType::Const(_) => shared,
        })
        .collect()
}

fn represents(element: ElementType, value: f64) -> bool {
    let whole = |low: f64, high: f64| value.fract() == 0.0 && (low..=high).contains(&value);
    match element {
        ElementType::F32 | ElementType::F16 | ElementType::F64 => true,
        // Up to 2^53 every integer is an exact f64.
        ElementType::I64 => whole(-9_007_199_254_740_992.0, 9_007_199_254_740_992.0),
        ElementType::I32 => whole(f64::from(i32::MIN), f64::from(i32::MAX)),
        ElementType::I8 => whole(-128.0, 127.0),
        ElementType::U8 => whole(0.0, 255.0),
        ElementType::I16 => whole(f64::from(i16::MIN), f64::from(i16::MAX)),
        ElementType::U16 => whole(0.0, f64::from(u16::MAX)),
        ElementType::U32 => whole(0.0, f64::from(u32::MAX)),
        ElementType::U64 => whole(0.0, 9_007_199_254_740_992.0),
        ElementType::Bool => whole(0.0, 1.0),
    }
}

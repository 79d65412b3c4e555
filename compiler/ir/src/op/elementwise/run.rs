//! Reference evaluation of epilogues.

use super::eval::{Arg, apply, spread};
use super::{Epilogue, StepArg};
use crate::op::buffer::Buffer;
use crate::op::eval_error::EvalErrorKind;
use crate::tensor::{ElementType, Tensor};
use std::borrow::Cow;

impl Epilogue {
    /// Applies the steps to an un-rounded result.
    pub(crate) fn run(
        &self,
        result: Buffer,
        element: ElementType,
        operands: &[&Tensor],
        shape: &[u64],
    ) -> Result<Buffer, EvalErrorKind> {
        let count = result.len();
        let operand_elements: Vec<ElementType> = operands.iter().map(|operand| operand.element()).collect();
        let elements = self.step_elements(element, &operand_elements)?;
        let operands: Vec<Buffer> = operands.iter().map(|operand| spread(operand, shape)).collect();
        let mut steps: Vec<Buffer> = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            let typed = |arg: StepArg| match arg {
                StepArg::Result => Some((&result, element)),
                StepArg::Step(step) => Some((&steps[step as usize], elements[step as usize])),
                StepArg::Operand(operand) => {
                    Some((&operands[operand as usize], operand_elements[operand as usize]))
                }
                StepArg::Const(_) => None,
            };
            let arg_elements = step.arg_elements(|arg| typed(arg).map(|(_, element)| element));
            let args: Vec<Arg<'_>> = step
                .args
                .iter()
                .zip(arg_elements)
                .map(|(&arg, element)| {
                    let buffer = match (typed(arg), arg) {
                        (Some((buffer, _)), _) => Cow::Borrowed(buffer),
                        (None, StepArg::Const(value)) => Cow::Owned(Buffer::constant(value, element)),
                        (None, _) => unreachable!("only constants have no type of their own"),
                    };
                    Arg { buffer, element }
                })
                .collect();
            let computed = apply(step.op, &args, count);
            steps.push(computed);
        }
        Ok(steps.pop().unwrap_or(result))
    }
}

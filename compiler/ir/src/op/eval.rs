//! Evaluation of one op and its epilogue: what every op's own `compute` shares.

pub(crate) mod buffer;
mod work;

pub(crate) use buffer::{Buffer, Raw};

use super::elementwise::eval::{Arg, apply, spread};
use super::infer::{InferErrorKind, Operand, infer_node};
use super::{Epilogue, Op, StepArg};
use crate::dim::DimError;
use crate::tensor::{ElementType, Tensor, TensorError, TensorType, checked_product};
use std::borrow::Cow;

/// What an evaluation may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Elements of one tensor.
    pub elements: u64,
    /// Elementary steps of one node: multiplications, taps under windows, elements that are moved.
    pub work: u64,
}

impl Limits {
    /// 2^28 elements, 1 GiB of f32: more than an activation of any model that driftc targets.
    pub const STANDARD: Self = Self { elements: 1 << 28, work: u64::MAX };
}

/// What went wrong in a node.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EvalErrorKind {
    /// Operands or attributes that inference refuses.
    #[error(transparent)]
    Infer(#[from] InferErrorKind),
    /// A size still depends on a free dim.
    #[error("the result's shape depends on free dims; bind them with --dim")]
    FreeDim,
    /// The result is larger than the limit.
    #[error("the result has {elements} elements, the evaluator's limit is {limit}")]
    Limit {
        /// Elements of the result.
        elements: u64,
        /// Elements allowed.
        limit: u64,
    },
    /// The node would take longer than the limit.
    #[error("the node takes {steps} steps, the evaluator's limit is {limit}")]
    Work {
        /// Elementary steps.
        steps: u64,
        /// Steps allowed.
        limit: u64,
    },
    /// An index is outside its axis.
    #[error("index {index} is outside axis {axis} of size {size}")]
    Index {
        /// The index.
        index: i64,
        /// The axis of the data.
        axis: usize,
        /// Its size.
        size: u64,
    },
    /// A tensor could not be made.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// Shape arithmetic failed.
    #[error(transparent)]
    Dim(#[from] DimError),
}

/// Elementary steps that an op without an epilogue takes on constants, if its result can be evaluated at all.
pub fn work_of(op: &Op, operands: &[&Tensor]) -> Option<u64> {
    let types: Vec<TensorType> = operands.iter().map(|operand| operand.ty()).collect();
    let known = as_constants(operands, &types);
    let result = infer_node(op, &Epilogue::default(), &known, &crate::dim::Symbols::default()).ok()?;
    Some(work::of(op, &Epilogue::default(), &types, result.first()?.static_element_count()?))
}

/// Operands of which inference knows everything.
fn as_constants<'a>(operands: &[&'a Tensor], types: &'a [TensorType]) -> Vec<Operand<'a>> {
    let pairs = operands.iter().zip(types);
    pairs.map(|(&operand, ty)| Operand { ty, known: None, constant: Some(operand) }).collect()
}

/// Computes an op's results without an epilogue.
pub fn eval_op(op: &Op, operands: &[&Tensor], limits: Limits) -> Result<Vec<Tensor>, EvalErrorKind> {
    eval_fused(op, &Epilogue::default(), operands, limits)
}

/// The same with the steps of an epilogue, whose operands follow the op's.
pub(crate) fn eval_fused(
    op: &Op,
    epilogue: &Epilogue,
    operands: &[&Tensor],
    limits: Limits,
) -> Result<Vec<Tensor>, EvalErrorKind> {
    let types: Vec<TensorType> = operands.iter().map(|operand| operand.ty()).collect();
    let known = as_constants(operands, &types);
    // Tensors have no free dims, so there are no symbols to look up.
    let results = infer_node(op, epilogue, &known, &crate::dim::Symbols::default())?;
    let result = &results[0];
    let shape = result.static_shape().ok_or(EvalErrorKind::FreeDim)?;
    let elements = checked_product(&shape).unwrap_or(u64::MAX);
    if elements > limits.elements {
        let limit = limits.elements;
        return Err(EvalErrorKind::Limit { elements, limit });
    }
    if elements == 0 {
        return Ok(vec![Tensor::new(result.element, shape, bytes::Bytes::new())?]);
    }
    let steps = work::of(op, epilogue, &types, elements);
    if steps > limits.work {
        let limit = limits.work;
        return Err(EvalErrorKind::Work { steps, limit });
    }
    let (inputs, extra) = operands.split_at(operands.len() - epilogue.operands.len());
    let before = &op.infer(&known[..inputs.len()], &crate::dim::Symbols::default())?[0];
    let tensor = match op.compute(inputs, &shape)? {
        Raw::Tensor(tensor) if epilogue.is_empty() => tensor,
        Raw::Buffer(buffer) if epilogue.is_empty() => buffer.into_tensor(result.element, &shape)?,
        Raw::Tensor(tensor) => {
            let buffer = Buffer::from_tensor(&tensor);
            run_epilogue(epilogue, buffer, before.element, extra, &shape)?
                .into_tensor(result.element, &shape)?
        }
        Raw::Buffer(buffer) => run_epilogue(epilogue, buffer, before.element, extra, &shape)?
            .into_tensor(result.element, &shape)?,
    };
    Ok(vec![tensor])
}

/// Applies the steps to an un-rounded result.
pub(crate) fn run_epilogue(
    epilogue: &Epilogue,
    result: Buffer,
    element: ElementType,
    operands: &[&Tensor],
    shape: &[u64],
) -> Result<Buffer, EvalErrorKind> {
    let count = result.len();
    let operand_elements: Vec<ElementType> = operands.iter().map(|operand| operand.element()).collect();
    let elements = epilogue.step_elements(element, &operand_elements)?;
    let operands: Vec<Buffer> = operands.iter().map(|operand| spread(operand, shape)).collect();
    let mut steps: Vec<Buffer> = Vec::with_capacity(epilogue.steps.len());
    for step in &epilogue.steps {
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

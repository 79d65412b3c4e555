//! Evaluation of one op and its epilogue, within limits.

mod kept;
pub(crate) mod work;

use super::buffer::{Buffer, Raw};
use super::eval_error::EvalErrorKind;
use super::infer::{Operand, infer_node};
use super::{Epilogue, Op};
use crate::tensor::{Tensor, TensorType, checked_product};

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
    if epilogue.is_empty()
        && let Some(tensor) = kept::kept(op, operands, &shape)
    {
        return Ok(vec![tensor]);
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
            epilogue.run(buffer, before.element, extra, &shape)?.into_tensor(result.element, &shape)?
        }
        Raw::Buffer(buffer) => {
            epilogue.run(buffer, before.element, extra, &shape)?.into_tensor(result.element, &shape)?
        }
    };
    Ok(vec![tensor])
}

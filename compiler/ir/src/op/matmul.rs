//! Matrix products.

pub(crate) mod eval;
pub(crate) mod gemm;

use crate::op::infer::{Check, InferErrorKind, broadcast};
use crate::tensor::{ElementType, TensorType};

/// Batched matrix product. `transpose_b` reads `b[.., n, k]` (Gemm's `transB`, and K in attention).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct MatMul {
    /// Read `b` as `[.., n, k]`.
    pub transpose_b: bool,
}

impl MatMul {
    pub(crate) fn infer(&self, check: &Check<'_>) -> Result<TensorType, InferErrorKind> {
        check.element(0, ElementType::is_number, "a number")?;
        let element = check.same_elements()?;
        check.rank_at_least(0, 2)?;
        check.rank_at_least(1, 2)?;
        let (batch_a, a) = check.shape(0).split_at(check.shape(0).len() - 2);
        let (batch_b, b) = check.shape(1).split_at(check.shape(1).len() - 2);
        let (inner, columns) = if self.transpose_b { (&b[1], &b[0]) } else { (&b[0], &b[1]) };
        if check.unify(&a[1], inner).is_none() {
            let k = a[1].display(check.symbols);
            let place = if self.transpose_b { "last" } else { "second to last" };
            return Err(check.shape_error(1, format!("{k} on its {place} axis, to match operand 0")));
        }
        let mut shape = broadcast(batch_a, batch_b, check.symbols)?;
        shape.extend([a[0].clone(), columns.clone()]);
        Ok(TensorType { element, shape })
    }
}

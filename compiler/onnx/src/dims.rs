//! Arithmetic on sizes that may depend on free dimensions, with the rules by which ONNX combines shapes.

use crate::error::NodeError;
use drift_ir::tensor::product;
use drift_ir::{Dim, Symbols};

/// The sizes as numbers, when none is free and all fit i64.
pub(crate) fn all_known(dims: &[Dim]) -> Option<Vec<i64>> {
    let known = |dim: &Dim| match dim {
        Dim::Const(size) => i64::try_from(*size).ok(),
        Dim::Expr(_) => None,
    };
    dims.iter().map(known).collect()
}

/// Whether a size depends on free dimensions.
pub(crate) fn has_free_sizes(dims: &[Dim]) -> bool {
    dims.iter().any(|dim| matches!(dim, Dim::Expr(_)))
}

/// Product of the sizes of `whole` divided by that of `part`: what a -1 in a Reshape stands for.
pub(crate) fn quotient(whole: &[Dim], part: &[Dim]) -> Result<Dim, NodeError> {
    let (above, below) = (product(whole)?, product(part)?);
    match (&above, &below) {
        (_, Dim::Const(0)) => Err(NodeError::Operands("a size beside zeros cannot be inferred".to_owned())),
        (Dim::Const(above), Dim::Const(below)) if above % below != 0 => {
            let reason = format!("{above} elements cannot be reshaped to {below} times a whole number");
            Err(NodeError::Operands(reason))
        }
        _ => Ok(above.floor_div(&below)?),
    }
}

/// The smaller of two sizes, decided by the bounds of the free dimensions where they allow it.
pub(crate) fn min(a: &Dim, b: &Dim, symbols: &Symbols) -> Result<Dim, NodeError> {
    if at_most(a, b, symbols) {
        return Ok(a.clone());
    }
    if at_most(b, a, symbols) {
        return Ok(b.clone());
    }
    Ok(a.min(b)?)
}

/// `a - b`, or zero where `b` is larger.
pub(crate) fn sub_or_zero(a: &Dim, b: &Dim, symbols: &Symbols) -> Result<Dim, NodeError> {
    if at_most(b, a, symbols) {
        return Ok(a.sub(b)?);
    }
    // max(a, b) - b keeps every intermediate result at zero or above.
    Ok(a.max(b)?.sub(b)?)
}

/// Whether the bounds say that `a` is never larger than `b`.
fn at_most(a: &Dim, b: &Dim, symbols: &Symbols) -> bool {
    a == b || a.range(symbols).1.is_some_and(|high| high <= b.range(symbols).0)
}

/// `a / by`, rounded up.
pub(crate) fn div_ceil(a: &Dim, by: u64) -> Result<Dim, NodeError> {
    match by {
        1 => Ok(a.clone()),
        _ => Ok(a.add(&Dim::Const(by - 1))?.floor_div(&Dim::Const(by))?),
    }
}

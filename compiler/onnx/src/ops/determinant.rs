//! Determinants of small matrices.

use crate::error::NodeError;
use crate::node::{NodeCx, Results};
use drift_ir::op::data::SliceAxis;
use drift_ir::op::{BinaryOp, Slice, UnaryOp};
use drift_ir::{Dim, Op, ValueId};

/// Rows of the largest matrices: each more doubles the minors.
const LARGEST: u64 = 5;

/// Det, since 11, of matrices of up to five rows: Laplace's expansion row by row, in which every minor of the rows so far is computed once, in f32
/// for f16.
pub(super) fn det(cx: &mut NodeCx<'_, '_>) -> Results {
    let x = cx.operand(0)?;
    let shape = cx.shape(x);
    let rank = shape.len();
    if rank < 2 || shape[rank - 1] != shape[rank - 2] {
        return Err(NodeError::Operands("the last two axes are not those of square matrices".to_owned()));
    }
    let Some(size) = shape[rank - 1].as_const().filter(|size| (1..=LARGEST).contains(size)) else {
        let reason = format!("matrices of other than 1 to {LARGEST} rows are not supported");
        return Err(NodeError::Unsupported(reason));
    };
    let element = cx.element(x);
    let x = cx.widened(x)?;
    // The minors of the rows so far, by the set of their columns.
    let mut minors: Vec<Option<ValueId>> = vec![None; 1 << size];
    for row in 0..size {
        let entries =
            (0..size).map(|column| entry(cx, x, row, column)).collect::<Result<Vec<ValueId>, _>>()?;
        let mut next = vec![None; 1 << size];
        for columns in (0..1usize << size).filter(|columns| u64::from(columns.count_ones()) == row + 1) {
            next[columns] = Some(minor(cx, &entries, &minors, columns)?);
        }
        minors = next;
    }
    let y = minors.pop().flatten().unwrap_or_else(|| unreachable!("the set of all columns is the last"));
    Ok(vec![cx.cast(y, element)?])
}

/// One entry of each matrix, without the matrices' axes.
fn entry(cx: &mut NodeCx<'_, '_>, x: ValueId, row: u64, column: u64) -> Result<ValueId, NodeError> {
    let mut shape = cx.shape(x);
    let rank = shape.len();
    let cut = |axis, start| SliceAxis { axis, start, step: 1, count: Dim::Const(1) };
    let entry = cx.emit(Op::Slice(Slice { axes: vec![cut(rank - 2, row), cut(rank - 1, column)] }), &[x])?;
    shape.truncate(rank - 2);
    cx.reshape(entry, shape)
}

/// The minor of a set of columns, expanded along its last row.
fn minor(
    cx: &mut NodeCx<'_, '_>,
    entries: &[ValueId],
    minors: &[Option<ValueId>],
    columns: usize,
) -> Result<ValueId, NodeError> {
    let mut sum = None;
    let mut negative = columns.count_ones().is_multiple_of(2);
    for (column, &entry) in entries.iter().enumerate().filter(|(column, _)| columns >> column & 1 == 1) {
        let part = match minors[columns & !(1 << column)] {
            Some(rest) => cx.binary(BinaryOp::Mul, entry, rest)?,
            None => entry,
        };
        sum = Some(match sum {
            None if negative => cx.unary(UnaryOp::Neg, part)?,
            None => part,
            Some(sum) => cx.binary(if negative { BinaryOp::Sub } else { BinaryOp::Add }, sum, part)?,
        });
        negative = !negative;
    }
    sum.ok_or_else(|| NodeError::Operands("no column".to_owned()))
}

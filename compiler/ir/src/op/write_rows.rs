//! Rows written at a place that is known when a model runs: how caches of keys and values grow.

use crate::op::buffer::{Buffer, Raw};
use crate::op::eval_error::EvalErrorKind;
use crate::op::infer::{Check, InferErrorKind};
use crate::tensor::{Tensor, TensorType};

/// ONNX TensorScatter (opset 24): operand 0 with rows of operand 1 in place of its own along `axis`, from row
/// `operand 2 [batch]` on. Axis 0 is the batch. Rows that would be behind the last are left out, or with `circular` go to the
/// front; so are rows before the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WriteRows {
    /// Axis of the rows, not the batch.
    pub axis: usize,
    /// Rows behind the last go to the front.
    pub circular: bool,
}

impl WriteRows {
    /// The row that number `index` of the new ones goes to, of `rows`.
    pub fn row(&self, first: i64, index: u64, rows: u64) -> Option<u64> {
        let row = first.checked_add(i64::try_from(index).ok()?)?;
        let rows = i64::try_from(rows).ok()?;
        let row = if self.circular && rows > 0 { row.rem_euclid(rows) } else { row };
        u64::try_from(row).ok().filter(|_| row < rows)
    }

    pub(crate) fn infer(&self, check: &Check<'_>) -> Result<TensorType, InferErrorKind> {
        check.index(2)?;
        let (data, rows) = (check.shape(0), check.shape(1));
        check.axis("axis", self.axis, data.len())?;
        let (element, actual) = (check.ty(0).element, check.ty(1).element);
        if element != actual {
            let expected = format!("{element} like operand 0");
            return Err(InferErrorKind::Element { operand: 1, expected, actual });
        }
        let beside = |at: usize| at == self.axis || check.unify(&data[at], &rows[at]).is_some();
        if data.len() != rows.len() || !(0..data.len()).all(beside) {
            return Err(check.shape_error(1, format!("{} but for axis {}", check.show(data), self.axis)));
        }
        if let (Some(size), Some(new)) = (data[self.axis].as_const(), rows[self.axis].as_const())
            && new > size
        {
            return Err(check.shape_error(1, format!("at most {size} rows along axis {}", self.axis)));
        }
        if self.axis == 0 || check.shape(2).len() != 1 || check.unify(&data[0], &check.shape(2)[0]).is_none()
        {
            return Err(check.shape_error(2, "one row for each batch, which is axis 0".to_owned()));
        }
        Ok(check.ty(0).clone())
    }

    pub(crate) fn compute(&self, operands: &[&Tensor]) -> Result<Raw, EvalErrorKind> {
        let [data, rows, first] = operands else { unreachable!("inferred: three operands") };
        let Buffer::Int(first) = Buffer::from_tensor(first) else {
            unreachable!("inferred: places are integers")
        };
        let places = Places { op: self, shape: data.shape(), new: rows.shape()[self.axis], first: &first };
        Ok(Raw::Buffer(match (Buffer::from_tensor(data), Buffer::from_tensor(rows)) {
            (Buffer::F32(data), Buffer::F32(rows)) => Buffer::F32(places.written(data, &rows)),
            (Buffer::F64(data), Buffer::F64(rows)) => Buffer::F64(places.written(data, &rows)),
            (Buffer::Int(data), Buffer::Int(rows)) => Buffer::Int(places.written(data, &rows)),
            _ => unreachable!("inferred: data and rows have one type"),
        }))
    }
}

/// Where the new rows of a tensor go.
struct Places<'a> {
    op: &'a WriteRows,
    shape: &'a [u64],
    new: u64,
    first: &'a [i64],
}

impl Places<'_> {
    fn written<T: Copy>(&self, mut data: Vec<T>, rows: &[T]) -> Vec<T> {
        let axis = self.op.axis;
        let size = |axes: &[u64]| axes.iter().product::<u64>() as usize;
        let (blocks, inner) = (size(&self.shape[1..axis]), size(&self.shape[axis + 1..]));
        let own = self.shape[axis];
        for (batch, &first) in self.first.iter().enumerate() {
            for block in 0..blocks {
                let block = batch * blocks + block;
                for index in 0..self.new {
                    let Some(row) = self.op.row(first, index, own) else { continue };
                    let to = (block * own as usize + row as usize) * inner;
                    let from = (block * self.new as usize + index as usize) * inner;
                    data[to..to + inner].copy_from_slice(&rows[from..from + inner]);
                }
            }
        }
        data
    }
}

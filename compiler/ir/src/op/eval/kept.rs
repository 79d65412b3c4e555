//! What moves whole rows of quantized weights leaves their blocks as they are.

use crate::op::{Op, ScalarOp};
use crate::tensor::blocks::Blocks;
use crate::tensor::{ElementType, Tensor};

/// The result of an op on constants in blocks, where it is in blocks, too.
pub(super) fn kept(op: &Op, operands: &[&Tensor], shape: &[u64]) -> Option<Tensor> {
    let first = *operands.first()?;
    let blocks = first.blocks()?;
    let (turned, last) = (first.is_turned(), first.rank().checked_sub(1)?);
    // The axis of whole rows.
    let outer = usize::from(turned);
    let (mut element, mut turned_after) = (first.element(), turned);
    let kept = match op {
        Op::Slice(slice) => {
            let [cut] = &slice.axes[..] else { return None };
            if cut.axis != outer || last == 0 || cut.step != 1 {
                return None;
            }
            // Rows at each place along that axis.
            let rows: u64 = if turned { 1 } else { first.shape()[1..last].iter().product() };
            blocks.rows(cut.start * rows..(cut.start + cut.count.as_const()?) * rows).ok()?
        }
        Op::Concat(concat) if concat.axis == outer && last > 0 => {
            let like = |operand: &&&Tensor| operand.is_turned() == turned;
            let parts = operands.iter().map(|operand| Some(operand).filter(like)?.blocks());
            Blocks::joined(&parts.collect::<Option<Vec<&Blocks>>>()?)?
        }
        Op::Transpose(transpose) if transpose.perm == [1, 0] => {
            turned_after = !turned;
            blocks.clone()
        }
        Op::Elementwise(ScalarOp::Cast(ElementType::F16)) if element == ElementType::F32 => {
            element = ElementType::F16;
            blocks.clone()
        }
        _ => return None,
    };
    match turned_after {
        true => Tensor::from_turned_blocks(element, kept).ok(),
        false => Tensor::from_blocks(element, shape, kept).ok(),
    }
}

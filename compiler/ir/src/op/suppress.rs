//! Boxes that are kept out of many that overlap.

use crate::dim::Dim;
use crate::op::buffer::{Buffer, Raw};
use crate::op::eval_error::EvalErrorKind;
use crate::op::infer::{Check, InferErrorKind};
use crate::tensor::{ElementType, Tensor, TensorType};
use std::cmp::Ordering;

/// Places of the boxes that are kept, in the order of falling scores, of equals the lower place first: each that overlaps none
/// which was kept before it by more than a threshold. Operands are the corners `[n, boxes, 4]` (low and low, high and high), scores
/// `[n, classes, boxes]`, candidates (i32 like the scores, zero for those that are left out) and the threshold `[]`; a score that is
/// NaN is left out, too. The result is i64 `[n, classes, k]`, -1 behind the last that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Suppress {
    /// How many are kept at most.
    pub k: u64,
}

impl Suppress {
    pub(crate) fn infer(&self, check: &Check<'_>) -> Result<TensorType, InferErrorKind> {
        for operand in [0, 1, 3] {
            check.float(operand)?;
        }
        check.element(2, |element| element == ElementType::I32, "i32")?;
        let (corners, scores) = (check.shape(0), check.shape(1));
        if corners.len() != 3 || corners[2] != Dim::Const(4) {
            return Err(check.shape_error(0, "three axes, of which the last has four elements"));
        }
        let fits = |scores: &[Dim]| {
            scores.len() == 3
                && check.unify(&scores[0], &corners[0]).is_some()
                && check.unify(&scores[2], &corners[1]).is_some()
        };
        for operand in [1, 2] {
            if !fits(check.shape(operand)) || check.unify(&check.shape(operand)[1], &scores[1]).is_none() {
                return Err(check.shape_error(operand, "a score of each class for each box"));
            }
        }
        if !check.shape(3).is_empty() {
            return Err(check.shape_error(3, "a scalar"));
        }
        let shape = vec![corners[0].clone(), scores[1].clone(), Dim::Const(self.k)];
        Ok(TensorType { element: ElementType::I64, shape })
    }

    pub(crate) fn compute(&self, operands: &[&Tensor]) -> Result<Raw, EvalErrorKind> {
        let (corners, scores) = (operands[0].to_f32_vec(), operands[1].to_f32_vec());
        let (candidates, limit) = (operands[2].to_i64_vec(), operands[3].to_f32_vec()[0]);
        let (classes, boxes) = (operands[1].shape()[1] as usize, operands[1].shape()[2] as usize);
        let mut found = Vec::new();
        for row in 0..operands[1].shape()[0] as usize * classes {
            let image = row / classes;
            let corner = |place: usize| -> &[f32] { &corners[(image * boxes + place) * 4..][..4] };
            let score = |place: usize| scores[row * boxes + place];
            let is_candidate =
                |place: &usize| candidates[row * boxes + place] != 0 && !score(*place).is_nan();
            let mut order: Vec<usize> = (0..boxes).filter(is_candidate).collect();
            // A stable sort leaves equals in the order of their places.
            order.sort_by(|&a, &b| score(b).partial_cmp(&score(a)).unwrap_or(Ordering::Equal));
            let mut kept: Vec<usize> = Vec::new();
            for place in order {
                if kept.len() as u64 == self.k {
                    break;
                }
                if !kept.iter().any(|&other| overlap(corner(place), corner(other), limit)) {
                    kept.push(place);
                }
            }
            found.extend(kept.iter().map(|&place| place as i64));
            found.extend(std::iter::repeat_n(-1, self.k as usize - kept.len()));
        }
        Ok(Raw::Buffer(Buffer::Int(found)))
    }
}

/// Whether what two boxes share is more than `limit` of what they cover. In f32, as ONNX Runtime and kernels do: more digits would
/// decide otherwise at the limit.
fn overlap(a: &[f32], b: &[f32], limit: f32) -> bool {
    let sizes = [0, 1].map(|axis: usize| a[axis + 2].min(b[axis + 2]) - a[axis].max(b[axis]));
    let area = |corners: &[f32]| (corners[2] - corners[0]) * (corners[3] - corners[1]);
    let (shared, own, other) = (sizes[0] * sizes[1], area(a), area(b));
    let all = own + other - shared;
    let is_there = [sizes[0], sizes[1], shared, own, other, all].into_iter().all(|size| size > 0.0);
    is_there && shared / all > limit
}

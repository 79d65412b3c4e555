//! Products and convolutions of integers as such of f32, where every sum is exact: integers below 2^24 are numbers of f32, and
//! sums of less than that are the same in any order. What adds up to more goes in parts of the sum, which are added as integers.

use crate::ranges;
use crate::rewrite::declined::Declined;
use crate::rewrite::edit;
use crate::rewrite::rule::{Apply, At, Outcome, Rule};
use drift_ir::op::data::SliceAxis;
use drift_ir::op::{BinaryOp, ScalarOp, Slice};
use drift_ir::{Dim, ElementType, Graph, NodeId, Op, Tensor, ValueId};

/// `matmul(i32, i32)   =>   cast matmul(cast, cast)`
pub(in crate::rewrite) const INTEGER_PRODUCTS: Rule = Rule {
    name: "integer-products",
    picture: "matmul or conv of integers => cast of that of f32, in as many parts of the sum as keep it exact",
    apply: Apply::Node(AT, integer_products),
};

const AT: At = |op| matches!(op, Op::MatMul(_) | Op::Conv(_));

/// Largest magnitude up to which f32 holds every integer.
const EXACT: f64 = 16_777_216.0;

/// What a product adds up.
struct Sum {
    /// The axis of each operand along which it is cut.
    axes: [usize; 2],
    /// Its size.
    count: u64,
    /// Terms for each place along it.
    terms: u64,
    /// Whether the second operand is filters, whose first axis alone is not added up.
    filters: bool,
}

fn integer_products(graph: &mut Graph, node: NodeId) -> Outcome {
    let subject = graph.node(node);
    let element = graph.value(subject.inputs[0]).ty.element;
    if element.is_float() || !subject.epilogue.is_empty() {
        return Ok(false);
    }
    let Some(sum) = Sum::of(graph, node) else { return Ok(false) };
    let (op, inputs) = (subject.op.clone(), [subject.inputs[0], subject.inputs[1]]);
    let part = sum.part(graph, inputs)?;
    let mut total = None;
    let mut start = 0;
    loop {
        let count = part.min(sum.count - start);
        let mut factors = inputs;
        for (factor, axis) in factors.iter_mut().zip(sum.axes) {
            if count < sum.count {
                let axes = vec![SliceAxis { axis, start, step: 1, count: Dim::Const(count) }];
                *factor = edit::insert_before(graph, node, Op::Slice(Slice { axes }), &[*factor])?;
            }
            *factor = edit::insert_before(graph, node, cast(ElementType::F32), &[*factor])?;
            graph.keep_single(*factor);
        }
        let product = edit::insert_before(graph, node, op.clone(), &factors)?;
        graph.keep_single(product);
        start += count;
        let is_last = start == sum.count;
        let Some(before) = total else {
            if is_last {
                return edit::set_op(graph, node, cast(element), &[product]);
            }
            total = Some(edit::insert_before(graph, node, cast(element), &[product])?);
            continue;
        };
        let product = edit::insert_before(graph, node, cast(element), &[product])?;
        let add = Op::Elementwise(ScalarOp::Binary(BinaryOp::Add));
        if is_last {
            return edit::set_op(graph, node, add, &[before, product]);
        }
        total = Some(edit::insert_before(graph, node, add, &[before, product])?);
    }
}

fn cast(to: ElementType) -> Op {
    Op::Elementwise(ScalarOp::Cast(to))
}

impl Sum {
    /// None where sizes are free or nothing is added up.
    fn of(graph: &Graph, node: NodeId) -> Option<Self> {
        let node = graph.node(node);
        let shape = |at: usize| graph.value(node.inputs[at]).ty.static_shape();
        let (a, b) = (shape(0)?, shape(1)?);
        let sum = match &node.op {
            Op::MatMul(op) => {
                let rows = b.len() - if op.transpose_b { 1 } else { 2 };
                Self { axes: [a.len() - 1, rows], count: *a.last()?, terms: 1, filters: false }
            }
            Op::Conv(op) => {
                // Groups have channels of their own, so that no slice of all of them is a part of each sum.
                let whole = op.groups > 1;
                let taps: u64 = b[2..].iter().product();
                Self {
                    axes: [1, 1],
                    count: if whole { 1 } else { b[1] },
                    terms: if whole { b[1] * taps } else { taps },
                    filters: true,
                }
            }
            _ => return None,
        };
        (sum.count > 0 && sum.terms > 0).then_some(sum)
    }

    /// Places whose sum is exact, whatever the operands hold.
    fn part(&self, graph: &Graph, inputs: [ValueId; 2]) -> Result<u64, Declined> {
        let [x, y] = inputs.map(|input| ranges::magnitude(graph, input));
        if let Some(weights) = graph.constant(inputs[1])
            && x * self.largest_sum(weights) <= EXACT
        {
            return Ok(self.count);
        }
        let most = (EXACT / (x * y * self.terms as f64).max(1.0)) as u64;
        if most == 0 {
            return Err(Declined::InexactSum { terms: self.terms, magnitudes: [x as u64, y as u64] });
        }
        // Parts of about the same size, in whole slices of channels where that is no more.
        let parts = self.count.div_ceil(most);
        Ok(self.count.div_ceil(parts).next_multiple_of(4).min(most).min(self.count))
    }

    /// The largest sum of magnitudes of the second operand that one result multiplies.
    fn largest_sum(&self, weights: &Tensor) -> f64 {
        let (shape, numbers) = (weights.shape(), weights.to_i64_vec());
        let (count, inner) = match self.filters {
            true => (shape[1..].iter().product::<u64>(), 1),
            false => (shape[self.axes[1]], shape[self.axes[1] + 1..].iter().product::<u64>()),
        };
        let (count, inner) = (count as usize, inner as usize);
        let mut most = 0;
        for block in numbers.chunks_exact((count * inner).max(1)) {
            for column in 0..inner {
                let numbers = block.iter().skip(column).step_by(inner);
                most = most.max(numbers.map(|number| number.unsigned_abs()).fold(0, u64::saturating_add));
            }
        }
        most as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(weights: &[i64], shape: &[u64], axis: usize, filters: bool) -> f64 {
        let weights = Tensor::from_i64(shape, weights).expect("shape fits");
        Sum { axes: [0, axis], count: 1, terms: 1, filters }.largest_sum(&weights)
    }

    #[test]
    fn sums_go_along_what_a_result_multiplies() {
        let numbers = [1, -2, 3, -4, 5, -6, 7, 8];
        assert_eq!(sum(&numbers, &[4, 2], 0, false), 20.0);
        assert_eq!(sum(&numbers, &[4, 2], 1, false), 15.0);
        assert_eq!(sum(&numbers, &[2, 2, 2], 1, false), 14.0);
        assert_eq!(sum(&numbers, &[2, 2, 2], 1, true), 26.0);
    }
}

//! How far a right result may be from the evaluator's.

use crate::kernel::{Access, Source};
use crate::physical::Element;
use crate::program::ProgramStep;
use drift_ir::{Node, Op};

/// Results beyond it may overflow where they are stored as f16.
pub(super) const MOST_F16: f64 = 60_000.0;

/// What functions such as `exp` and `tanh` take of a result's size on a device in f32: the same share as the kernel tests
/// allow (`tests/tests/kernels.rs`).
const FUNCTIONS: f64 = 1e-4;

/// Rounding of f16, and how often it happens on the way: operands are exact, weights and results are rounded.
const F16: f64 = 8.0 / 1024.0;

/// Winograd's transforms add numbers that cancel (`docs/winograd.md`).
const WINOGRAD: f64 = 8.0;

/// Whether some float that the steps touch is stored as f16.
pub(super) fn has_f16(steps: &[&ProgramStep], result: Element) -> bool {
    let slots = || steps.iter().flat_map(|step| &step.call.slots);
    result == Element::F16 || slots().any(|slot| slot.layout.element == Element::F16)
}

/// The tolerance as a share of the larger of a value and the root mean square of the result's `elements`.
///
/// Sums are f32 on a device, in another order than the evaluator's, so that an error grows with the square root of their
/// lengths. What only moves numbers is exact, since seeded operands are the same in all types; weights in f16 are rounded.
pub(super) fn share(steps: &[&ProgramStep], node: Option<&Node>, elements: usize, is_f16: bool) -> f64 {
    let slots = || steps.iter().flat_map(|step| &step.call.slots);
    let reads_constants = slots().any(|slot| {
        slot.access == Access::Read
            && matches!(slot.source, Source::Constant(_))
            && slot.layout.element == Element::F16
    });
    if node.is_none_or(only_moves) && !reads_constants {
        return 0.0;
    }
    let flops: u64 = steps.iter().map(|step| step.flops).sum();
    let length = flops as f64 / (2 * elements.max(1)) as f64;
    let sums = 4.0 * f64::from(f32::EPSILON) * length.max(1.0).sqrt();
    let of_type = if is_f16 { F16 } else { FUNCTIONS };
    let winograd = steps.iter().any(|step| step.call.kernel.name.starts_with("winograd"));
    (of_type + sums) * if winograd { WINOGRAD } else { 1.0 }
}

/// Whether a node's results are elements of its operands.
fn only_moves(node: &Node) -> bool {
    node.epilogue.is_empty()
        && match &node.op {
            Op::Reshape(_)
            | Op::Transpose(_)
            | Op::Expand(_)
            | Op::Concat(_)
            | Op::Slice(_)
            | Op::Gather(_)
            | Op::GatherNd(_)
            | Op::GatherElements(_)
            | Op::WriteRows(_) => true,
            Op::Elementwise(_)
            | Op::MatMul(_)
            | Op::Attention(_)
            | Op::Conv(_)
            | Op::ConvTranspose(_)
            | Op::Pool(_)
            | Op::Resize(_)
            | Op::Pad(_)
            | Op::GroupNorm(_)
            | Op::Reduce(_)
            | Op::Softmax(_)
            | Op::LayerNorm(_)
            | Op::RmsNorm(_)
            | Op::Rotary(_)
            | Op::ScatterElements(_)
            | Op::ScatterNd(_)
            | Op::ArgReduce(_)
            | Op::TopK(_)
            | Op::Suppress(_)
            | Op::CumSum(_)
            | Op::ShapeOf(_)
            | Op::Range(_) => false,
        }
}

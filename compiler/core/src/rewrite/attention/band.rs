//! Masks that follow from places alone: causal ones and windows. A kernel that knows the band of keys that a query sees
//! reads no others, and no mask.

use crate::physical::F16_MAX;
use crate::rewrite::edit;
use crate::rewrite::pattern::uniform;
use crate::rewrite::rule::{Apply, Outcome, Rule, at};
use drift_ir::eval::{Limits, eval_node};
use drift_ir::op::attention::Band;
use drift_ir::op::{Attention, BinaryOp, ScalarOp, Step, StepArg};
use drift_ir::{ElementType, Graph, NodeId, Op, Tensor, ValueId};

/// `attention q, k, v scores(.., mask)   =>   attention q, k, v {band} scores(..)`
pub(in crate::rewrite) const ATTENTION_BAND: Rule = Rule {
    name: "attention-band",
    picture: "attention q, k, v scores(.., mask) => attention q, k, v {band} scores(..), when the mask is constant and hides all \
              keys beyond some distance from the query's place; a mask that says more stays beside the band",
    apply: Apply::Node(at::ATTENTION, band),
};

/// Masks of more elements are not looked at.
const MOST_ELEMENTS: u64 = 1 << 24;

/// Masks are evaluated where so many nodes on one another make them of constants: two comparisons of places, joined and cast.
const MOST_DEPTH: usize = 4;

/// Scores from here on down are masked: the lowest f16, which exporters write where they do not write minus infinity.
const MASKED: f64 = -F16_MAX;

/// How far biases and scores may be from zero for [`MASKED`] to stand out.
const ORDINARY: f64 = 1e4;

/// Operands of the scores' steps beside which a band's three still fit, should attention be written out (`expand`).
const MOST_OPERANDS: usize = 2;

/// A step of the scores that masks some of them.
struct Mask {
    /// Which, for each leading place, query and key.
    masked: Vec<bool>,
    /// Whether the others keep their scores.
    is_pure: bool,
    /// Whether the masked ones become minus infinity, rather than a number that is merely low.
    is_infinite: bool,
    rows: usize,
    columns: usize,
}

fn band(graph: &mut Graph, node: NodeId) -> Outcome {
    let subject = graph.node(node);
    let Op::Attention(op) = &subject.op else { return Ok(false) };
    let shape = |at: usize| graph.value(subject.inputs[at]).ty.static_shape();
    let (Some(q), Some(k), Some(v)) = (shape(0), shape(1), shape(2)) else { return Ok(false) };
    let sizes = op.sizes(&q, &k, &v);
    if !op.band.is_open() || op.has_first || !is_chain(&op.scores) {
        return Ok(false);
    }
    let operands = &subject.inputs[3..];
    let found = (0..op.scores.len()).find_map(|at| {
        let mask = mask(graph, operands, &op.scores, at, [sizes.queries, sizes.keys])?;
        let band = mask.band()?;
        let others_agree =
            op.scores.iter().enumerate().filter(|&(other, _)| other != at).all(|(other, step)| {
                match mask.is_infinite {
                    true => other < at || keeps_infinite(graph, operands, step),
                    false => is_ordinary(graph, operands, step, other > at),
                }
            });
        (others_agree && (mask.is_infinite || mask.all_see())).then_some((at, mask, band))
    });
    let Some((at, mask, band)) = found else { return Ok(false) };
    let (mut op, mut inputs) = (Attention { band, ..op.clone() }, subject.inputs.clone());
    if mask.is_exactly(&band) {
        let kept = without(&mut op.scores, at);
        inputs = [&inputs[..3], &kept.iter().map(|&n| inputs[3 + n as usize]).collect::<Vec<_>>()].concat();
    }
    if inputs.len() > 3 + MOST_OPERANDS {
        return Ok(false);
    }
    edit::set_op(graph, node, Op::Attention(op), &inputs)
}

/// What a step calls the value before it.
fn before(at: usize) -> StepArg {
    at.checked_sub(1).map_or(StepArg::Result, |last| StepArg::Step(last as u32))
}

/// Whether each step goes on from the one before it, and from no other.
fn is_chain(steps: &[Step]) -> bool {
    let goes_on = |(at, step): (usize, &Step)| {
        let mut made = step.args.iter().filter(|arg| matches!(arg, StepArg::Result | StepArg::Step(_)));
        made.next() == Some(&before(at)) && made.next().is_none()
    };
    steps.iter().enumerate().all(goes_on)
}

/// The one value of an argument.
fn number(graph: &Graph, operands: &[ValueId], arg: StepArg) -> Option<f64> {
    match arg {
        StepArg::Const(value) => Some(value),
        StepArg::Operand(n) => uniform(graph, operands[n as usize]),
        StepArg::Result | StepArg::Step(_) => None,
    }
}

/// A value that follows from constants in at most so many steps.
fn known(graph: &Graph, value: ValueId, depth: usize) -> Option<Tensor> {
    if let Some(tensor) = graph.constant(value) {
        return Some(tensor.clone());
    }
    let elements = graph.value(value).ty.static_element_count()?;
    let node = graph.node(graph.producer(value).filter(|_| depth > 0 && elements <= MOST_ELEMENTS)?);
    let operands: Vec<Tensor> =
        node.operands().map(|operand| known(graph, operand, depth - 1)).collect::<Option<_>>()?;
    let results = eval_node(node, &operands.iter().collect::<Vec<_>>(), Limits::STANDARD).ok()?;
    let place = node.outputs.iter().position(|&output| output == value)?;
    results.into_iter().nth(place)
}

/// Which scores a step masks, if that is known.
fn mask(
    graph: &Graph,
    operands: &[ValueId],
    steps: &[Step],
    at: usize,
    [queries, keys]: [u64; 2],
) -> Option<Mask> {
    let step = &steps[at];
    let is_current = |arg: StepArg| arg == before(at);
    let operand = |arg: StepArg| match arg {
        StepArg::Operand(n) => Some(operands[n as usize]),
        StepArg::Result | StepArg::Step(_) | StepArg::Const(_) => None,
    };
    let (value, low, masks_where) = match (step.op, &step.args[..]) {
        (ScalarOp::Binary(BinaryOp::Add), &[a, b]) => {
            (operand(if is_current(a) { b } else { a })?, None, true)
        }
        (ScalarOp::Select, &[condition, a, b]) if is_current(a) => {
            (operand(condition)?, Some(number(graph, operands, b)?), false)
        }
        (ScalarOp::Select, &[condition, a, b]) if is_current(b) => {
            (operand(condition)?, Some(number(graph, operands, a)?), true)
        }
        _ => return None,
    };
    let shape = graph.value(value).ty.static_shape()?;
    let [.., rows, columns] = shape[..] else { return None };
    if (rows, columns) != (queries, keys) || shape.iter().product::<u64>() > MOST_ELEMENTS {
        return None;
    }
    let tensor = known(graph, value, MOST_DEPTH)?;
    let (rows, columns) = (rows as usize, columns as usize);
    match low {
        Some(low) if low <= MASKED && tensor.element() == ElementType::Bool => {
            let masked = tensor.to_bool_vec().into_iter().map(|holds| holds == masks_where).collect();
            Some(Mask { masked, is_pure: true, is_infinite: low == f64::NEG_INFINITY, rows, columns })
        }
        None if tensor.element().is_float() => {
            let values = tensor.to_f64_vec();
            let masked: Vec<bool> = values.iter().map(|&value| value <= MASKED).collect();
            let among = |which: bool| values.iter().zip(&masked).filter(move |(_, masked)| **masked == which);
            let is_infinite = among(true).all(|(value, _)| *value == f64::NEG_INFINITY);
            let is_plain = among(false).all(|(value, _)| value.abs() <= ORDINARY);
            let is_pure = among(false).all(|(value, _)| *value == 0.0);
            is_plain.then_some(Mask { masked, is_pure, is_infinite, rows, columns })
        }
        Some(_) | None => None,
    }
}

impl Mask {
    /// Rows, each with its query.
    fn queries(&self) -> impl Iterator<Item = (usize, &[bool])> {
        self.masked.chunks(self.columns).enumerate().map(|(row, masked)| (row % self.rows, masked))
    }

    /// The narrowest band that all unmasked keys are in; none if that masks nothing.
    fn band(&self) -> Option<Band> {
        let (mut first, mut last) = (i64::MAX, i64::MIN);
        for (query, masked) in self.queries() {
            let distance = |from: Option<usize>| from.map(|key| key as i64 - query as i64);
            if let Some(offset) = distance(masked.iter().position(|masked| !masked)) {
                first = first.min(offset);
            }
            if let Some(offset) = distance(masked.iter().rposition(|masked| !masked)) {
                last = last.max(offset);
            }
        }
        if first > last {
            return None;
        }
        // The first query sees farthest ahead, the last one farthest back.
        let first = Some(first).filter(|&first| first > 1 - self.rows as i64);
        let last = Some(last).filter(|&last| last < self.columns as i64 - 1);
        Some(Band { min_offset: first, max_offset: last }).filter(|band| !band.is_open())
    }

    /// Whether each query sees a key.
    fn all_see(&self) -> bool {
        self.queries().all(|(_, masked)| masked.iter().any(|masked| !masked))
    }

    /// Whether the mask says what `band` does, and nothing else.
    fn is_exactly(&self, band: &Band) -> bool {
        let agrees = |(query, masked): (usize, &[bool])| {
            let unmasked = band.seen(query as u64, self.columns as u64);
            masked.iter().enumerate().all(|(key, masked)| *masked != unmasked.contains(&(key as u64)))
        };
        self.is_pure && self.queries().all(agrees)
    }
}

/// Whether minus infinity stays what it is: what else masks scores may join in, what makes numbers of it may not.
fn keeps_infinite(graph: &Graph, operands: &[ValueId], step: &Step) -> bool {
    let is_low = |arg: StepArg| number(graph, operands, arg).is_some_and(|low| low <= MASKED);
    let is_made = |arg: StepArg| matches!(arg, StepArg::Result | StepArg::Step(_));
    match (step.op, &step.args[..]) {
        (ScalarOp::Binary(BinaryOp::Add), _) => true,
        (ScalarOp::Binary(BinaryOp::Sub), &[a, _]) => is_made(a),
        (ScalarOp::Binary(BinaryOp::Mul), &[a, b]) => {
            number(graph, operands, if is_made(a) { b } else { a }).is_some_and(|factor| factor > 0.0)
        }
        (ScalarOp::Binary(BinaryOp::Div), &[a, b]) => {
            is_made(a) && number(graph, operands, b).is_some_and(|divisor| divisor > 0.0)
        }
        (ScalarOp::Cast(element), _) => element.is_float(),
        (ScalarOp::Select, &[_, a, b]) => (is_made(a) || is_low(a)) && (is_made(b) || is_low(b)),
        _ => false,
    }
}

/// Whether a step is safe beside a finite mask: it neither masks scores nor, behind the mask, raises masked ones.
fn is_ordinary(graph: &Graph, operands: &[ValueId], step: &Step, is_behind: bool) -> bool {
    let is_made = |arg: &StepArg| matches!(arg, StepArg::Result | StepArg::Step(_));
    let beside: Option<Vec<f64>> =
        step.args.iter().filter(|arg| !is_made(arg)).map(|&arg| number(graph, operands, arg)).collect();
    let Some(beside) = beside else { return false };
    let plain = beside.iter().all(|value| value.abs() <= ORDINARY);
    let factor = || beside.iter().all(|value| (1e-2..=1e2).contains(value));
    match step.op {
        ScalarOp::Select => false,
        _ if !is_behind => plain,
        ScalarOp::Binary(BinaryOp::Add) => plain,
        ScalarOp::Binary(BinaryOp::Sub) => plain && step.args.first().is_some_and(is_made),
        ScalarOp::Binary(BinaryOp::Mul) => factor(),
        ScalarOp::Binary(BinaryOp::Div) => factor() && step.args.first().is_some_and(is_made),
        ScalarOp::Cast(element) => element.is_float(),
        ScalarOp::Unary(_) | ScalarOp::Binary(_) | ScalarOp::Clip { .. } => false,
    }
}

/// Takes a step out of a chain, and out of its list the operands that only this step read; gives those that stay.
fn without(steps: &mut Vec<Step>, at: usize) -> Vec<u32> {
    steps.remove(at);
    let mut kept: Vec<u32> = Vec::new();
    for (place, step) in steps.iter_mut().enumerate() {
        for arg in &mut step.args {
            *arg = match *arg {
                StepArg::Result | StepArg::Step(_) => before(place),
                StepArg::Operand(n) => {
                    let known = kept.iter().position(|&known| known == n);
                    let place = known.unwrap_or_else(|| {
                        kept.push(n);
                        kept.len() - 1
                    });
                    StepArg::Operand(place as u32)
                }
                StepArg::Const(_) => *arg,
            };
        }
    }
    kept
}

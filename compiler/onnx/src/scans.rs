//! `Scan`: a loop over the slices of tensors, whose length is that of an axis. Each round becomes nodes of its own.

use crate::bodies::{collect, side_by_side};
use crate::error::{ImportError, NodeError};
use crate::importer::Importer;
use crate::node::NodeCx;
use crate::ops::axis;
use crate::proto::{GraphProto, NodeProto};
use crate::scope::{Scope, Slot};
use drift_ir::{Dim, ValueId};

/// What is refused of the operator.
pub(crate) const REFUSED: &str = "the form of operator set 8; axes of free size";

/// A scan on its way into the graph.
struct Scan<'m> {
    body: &'m GraphProto,
    /// What a round hands on to the next.
    states: Vec<Slot>,
    inputs: Vec<ValueId>,
    /// The axis of each input that is scanned, and whether it is from the end.
    along: Vec<(usize, bool)>,
    /// Where each result's rounds are put together, and whether the last comes first.
    output_axes: Vec<(i64, bool)>,
    /// What the rounds so far gave to each of the results that collect.
    collected: Vec<Vec<ValueId>>,
    rounds: u64,
}

impl<'m> Importer<'m> {
    /// Unrolls a `Scan`, since 9, along axes of known length. That of operator set 8, which has a batch and lengths, is refused.
    pub(crate) fn unroll_scan(
        &mut self,
        node: &'m NodeProto,
        operands: &[Slot],
        scope: &Scope<'m, '_>,
    ) -> Result<Vec<Slot>, ImportError> {
        let label = scope.label(node);
        let error = |reason| scope.error(node, reason);
        if scope.opset("", &label)? < 9 {
            self.note_branches(node, &label, scope);
            let reason = "the form of operator set 8, with a batch and lengths, is not supported; export the model with operator set 9 or later";
            return Err(error(NodeError::Unsupported(reason.to_owned())));
        }
        let mut this = self.read_scan(node, operands, scope).map_err(|reason| {
            if matches!(reason, NodeError::Unsupported(_)) {
                self.note_branches(node, &label, scope);
            }
            error(reason)
        })?;
        let known = self.unsupported.len();
        for round in 0..this.rounds {
            self.scan_round(node, &mut this, round, scope)?;
            if self.unsupported.len() > known {
                // The other rounds would only say the same again.
                return Ok(Vec::new());
            }
        }
        self.collect_scan(node, this, scope).map_err(error)
    }

    /// The attributes, held against the operands.
    fn read_scan(
        &mut self,
        node: &'m NodeProto,
        operands: &[Slot],
        scope: &Scope<'m, '_>,
    ) -> Result<Scan<'m>, NodeError> {
        let mut attributes = scope.attributes(node)?;
        let body: &'m GraphProto = attributes.graph("body")?.ok_or(NodeError::MissingAttribute("body"))?;
        let scanned =
            attributes.int("num_scan_inputs")?.ok_or(NodeError::MissingAttribute("num_scan_inputs"))?;
        let states = usize::try_from(scanned).ok().filter(|&count| count > 0);
        let states = states.and_then(|count| operands.len().checked_sub(count));
        let Some(states) = states else {
            let expected = format!("1 to the number of operands, {}", operands.len());
            return Err(NodeError::Value { name: "num_scan_inputs", value: scanned.to_string(), expected });
        };
        let collects = body.output.len().checked_sub(states);
        let Some(collects) = collects.filter(|_| body.input.len() == operands.len()) else {
            let reason = "its body does not take and give its states and slices";
            return Err(NodeError::Operands(reason.to_owned()));
        };
        let inputs = operands[states..].iter().enumerate().map(|(at, slot)| {
            let bad = || NodeError::Operands(format!("operand {} is no tensor", states + at));
            slot.value().ok_or_else(bad)
        });
        let inputs: Vec<ValueId> = inputs.collect::<Result<_, _>>()?;
        let input_axes = numbers(attributes.ints("scan_input_axes")?, inputs.len(), "scan_input_axes")?;
        let backward =
            directions(attributes.ints("scan_input_directions")?, inputs.len(), "scan_input_directions")?;
        let output_axes = numbers(attributes.ints("scan_output_axes")?, collects, "scan_output_axes")?;
        let reversed =
            directions(attributes.ints("scan_output_directions")?, collects, "scan_output_directions")?;
        if let Some(name) = attributes.unread() {
            return Err(NodeError::Unsupported(format!("attribute `{name}` is not known for Scan")));
        }
        let (along, rounds) = self.scan_axes(&inputs, &input_axes, &backward)?;
        Ok(Scan {
            body,
            states: operands[..states].to_vec(),
            inputs,
            along,
            output_axes: output_axes.into_iter().zip(reversed).collect(),
            collected: vec![Vec::new(); collects],
            rounds,
        })
    }

    /// The axes that are scanned, and their length.
    fn scan_axes(
        &self,
        inputs: &[ValueId],
        axes: &[i64],
        backward: &[bool],
    ) -> Result<(Vec<(usize, bool)>, u64), NodeError> {
        let mut along = Vec::new();
        let mut rounds = None;
        for ((&input, &given), &from_end) in inputs.iter().zip(axes).zip(backward) {
            let shape = &self.graph.value(input).ty.shape;
            let at = axis(given, shape.len())?;
            let Dim::Const(size) = shape[at] else {
                let reason = "the axis that it scans has a free size; fix it with --dim";
                return Err(NodeError::Unsupported(reason.to_owned()));
            };
            if let Some(other) = rounds.replace(size).filter(|&other| other != size) {
                let reason = format!("it scans axes of {other} and of {size} slices, which must be equal");
                return Err(NodeError::Operands(reason));
            }
            along.push((at, from_end));
        }
        Ok((along, rounds.unwrap_or(0)))
    }

    /// Imports the body once more.
    fn scan_round(
        &mut self,
        node: &'m NodeProto,
        this: &mut Scan<'m>,
        round: u64,
        scope: &Scope<'m, '_>,
    ) -> Result<(), ImportError> {
        let error = |reason| scope.error(node, reason);
        let mut inner = scope.inside(format!("{}/{round}", scope.label(node)));
        for (info, &slot) in this.body.input.iter().zip(&this.states) {
            inner.insert(info.name.clone(), slot);
        }
        let slices = self.slices(node, this, round, scope).map_err(error)?;
        for (info, slice) in this.body.input[this.states.len()..].iter().zip(slices) {
            inner.insert(info.name.clone(), Slot::Value(slice));
        }
        let given = self.import_body(this.body, inner)?;
        if given.contains(&Slot::Unavailable) {
            return Ok(());
        }
        let (states, collected) = given.split_at(this.states.len());
        this.states = states.to_vec();
        collect(&mut this.collected, collected).map_err(error)
    }

    /// The slices that a round reads, without the scanned axis.
    fn slices(
        &mut self,
        node: &'m NodeProto,
        this: &Scan<'m>,
        round: u64,
        scope: &Scope<'m, '_>,
    ) -> Result<Vec<ValueId>, NodeError> {
        let attributes = scope.attributes(node)?;
        let mut cx = NodeCx::new(self, node, scope, Vec::new(), attributes, 0);
        let mut slices = Vec::new();
        for (&input, &(axis, from_end)) in this.inputs.iter().zip(&this.along) {
            let start = if from_end { this.rounds - 1 - round } else { round };
            let slice = cx.part(input, axis, start, 1)?;
            let mut shape = cx.shape(slice);
            shape.remove(axis);
            slices.push(cx.reshape(slice, shape)?);
        }
        Ok(slices)
    }

    /// The results: the states after the last round, and what all rounds gave, side by side.
    fn collect_scan(
        &mut self,
        node: &'m NodeProto,
        this: Scan<'m>,
        scope: &Scope<'m, '_>,
    ) -> Result<Vec<Slot>, NodeError> {
        let attributes = scope.attributes(node)?;
        let mut cx = NodeCx::new(self, node, scope, Vec::new(), attributes, 0);
        let mut slots = this.states;
        for (mut parts, (given, reversed)) in this.collected.into_iter().zip(this.output_axes) {
            if reversed {
                parts.reverse();
            }
            slots.push(Slot::Value(side_by_side(&mut cx, parts, given)?));
        }
        Ok(slots)
    }
}

/// One number for each of `count`, or zeros.
fn numbers(given: Option<&[i64]>, count: usize, name: &'static str) -> Result<Vec<i64>, NodeError> {
    match given {
        None => Ok(vec![0; count]),
        Some(given) if given.len() == count => Ok(given.to_vec()),
        Some(given) => {
            let expected = format!("{count} numbers");
            Err(NodeError::Value { name, value: format!("{given:?}"), expected })
        }
    }
}

/// Whether each of `count` goes backward.
fn directions(given: Option<&[i64]>, count: usize, name: &'static str) -> Result<Vec<bool>, NodeError> {
    let given = numbers(given, count, name)?;
    if given.iter().any(|direction| !(0..=1).contains(direction)) {
        let expected = "0 (forward) or 1 (backward) for each".to_owned();
        return Err(NodeError::Value { name, value: format!("{given:?}"), expected });
    }
    Ok(given.iter().map(|&direction| direction == 1).collect())
}

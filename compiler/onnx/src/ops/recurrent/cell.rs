//! One step of each network.

use super::Kind;
use super::activation::Activation;
use super::form::{Form, Pass};
use super::weights::Weights;
use crate::error::NodeError;
use crate::node::NodeCx;
use drift_ir::op::{BinaryOp, ScalarOp};
use drift_ir::{Op, ValueId};

/// What a step hands on, `[batch, hidden]` each; the first step's may have a batch of 1.
#[derive(Clone, Copy)]
pub(super) struct State {
    pub(super) hidden: ValueId,
    /// Of an LSTM.
    pub(super) cell: Option<ValueId>,
}

/// What all steps of a direction share.
pub(super) struct Cell<'p> {
    /// Added to the products of all inputs.
    pub(super) input_bias: Option<ValueId>,
    /// Weights of the gates that multiply the state itself.
    recurrence: Weights,
    /// Added to that product.
    state_bias: Option<ValueId>,
    /// A GRU's weights of the candidate, and what is added to its product.
    candidate: Option<(Weights, Option<ValueId>)>,
    /// Of the input, the output and the forget gate, in this order.
    peepholes: Option<[ValueId; 3]>,
    activations: &'p [Activation],
}

impl<'p> Cell<'p> {
    pub(super) fn new(cx: &mut NodeCx<'_, '_>, form: &Form, pass: &'p Pass) -> Result<Self, NodeError> {
        let mut cell = Self {
            input_bias: pass.bias.map(|[input, _]| input),
            recurrence: pass.recurrence,
            state_bias: None,
            candidate: None,
            peepholes: None,
            activations: &pass.activations,
        };
        let hidden = form.hidden;
        match (form.kind, pass.bias) {
            (Kind::Gru, bias) => {
                cell.recurrence = pass.recurrence.rows(cx, 0, 2 * hidden)?;
                let candidate = pass.recurrence.rows(cx, 2 * hidden, hidden)?;
                let mut candidate_bias = None;
                if let Some([_, state]) = bias {
                    cell.state_bias = Some(cx.part(state, 0, 0, 2 * hidden)?);
                    candidate_bias = Some(cx.part(state, 0, 2 * hidden, hidden)?);
                }
                cell.candidate = Some((candidate, candidate_bias));
            }
            (_, Some([input, state])) => {
                cell.input_bias = Some(cx.binary(BinaryOp::Add, input, state)?);
            }
            (_, None) => {}
        }
        if let Some(all) = pass.peepholes {
            let mut of = |at: u64| cx.part(all, 0, at * hidden, hidden);
            cell.peepholes = Some([of(0)?, of(1)?, of(2)?]);
        }
        Ok(cell)
    }

    /// The state after a step whose inputs' products are `inputs`, `[batch, gates * hidden]`.
    pub(super) fn step(
        &self,
        cx: &mut NodeCx<'_, '_>,
        form: &Form,
        inputs: ValueId,
        before: State,
    ) -> Result<State, NodeError> {
        match (form.kind, before.cell) {
            (Kind::Gru, _) => self.gru(cx, form, inputs, before.hidden),
            (Kind::Lstm, Some(cell)) => self.lstm(cx, form, inputs, before.hidden, cell),
            _ => {
                let sum = self.with_state(cx, inputs, before.hidden)?;
                let hidden = self.activate(cx, form, 0, sum)?;
                Ok(State { hidden, cell: None })
            }
        }
    }

    /// Gates in the order update, reset, candidate.
    fn gru(
        &self,
        cx: &mut NodeCx<'_, '_>,
        form: &Form,
        inputs: ValueId,
        before: ValueId,
    ) -> Result<State, NodeError> {
        let hidden = form.hidden;
        let Some((candidate, bias)) = self.candidate else {
            return Err(NodeError::Operands("a GRU without weights of its candidate".to_owned()));
        };
        let gates = cx.part(inputs, 1, 0, 2 * hidden)?;
        let gates = self.with_state(cx, gates, before)?;
        let gates = self.activate(cx, form, 0, gates)?;
        let update = cx.part(gates, 1, 0, hidden)?;
        let reset = cx.part(gates, 1, hidden, hidden)?;
        let state = if form.reset_after {
            let state = product(cx, before, candidate, bias)?;
            cx.binary(BinaryOp::Mul, reset, state)?
        } else {
            let kept = cx.binary(BinaryOp::Mul, reset, before)?;
            product(cx, kept, candidate, bias)?
        };
        let input = cx.part(inputs, 1, 2 * hidden, hidden)?;
        let sum = cx.binary(BinaryOp::Add, input, state)?;
        let new = self.activate(cx, form, 1, sum)?;
        let one = cx.scalar_like(update, 1.0)?;
        let share = cx.binary(BinaryOp::Sub, one, update)?;
        let new = cx.binary(BinaryOp::Mul, share, new)?;
        let old = cx.binary(BinaryOp::Mul, update, before)?;
        Ok(State { hidden: cx.binary(BinaryOp::Add, new, old)?, cell: None })
    }

    /// Gates in the order input, output, forget, cell.
    fn lstm(
        &self,
        cx: &mut NodeCx<'_, '_>,
        form: &Form,
        inputs: ValueId,
        before: ValueId,
        cell: ValueId,
    ) -> Result<State, NodeError> {
        let hidden = form.hidden;
        let sum = self.with_state(cx, inputs, before)?;
        let mut gate = |at: u64| cx.part(sum, 1, at * hidden, hidden);
        let [input, output, forget, new] = [gate(0)?, gate(1)?, gate(2)?, gate(3)?];
        let input = self.peep(cx, 0, input, cell)?;
        let input = self.activate(cx, form, 0, input)?;
        let forget = if form.coupled {
            let one = cx.scalar_like(input, 1.0)?;
            cx.binary(BinaryOp::Sub, one, input)?
        } else {
            let forget = self.peep(cx, 2, forget, cell)?;
            self.activate(cx, form, 0, forget)?
        };
        let new = self.activate(cx, form, 1, new)?;
        let kept = cx.binary(BinaryOp::Mul, forget, cell)?;
        let added = cx.binary(BinaryOp::Mul, input, new)?;
        let cell = cx.binary(BinaryOp::Add, kept, added)?;
        let output = self.peep(cx, 1, output, cell)?;
        let output = self.activate(cx, form, 0, output)?;
        let shown = self.activations[2].apply(cx, cell)?;
        let hidden = cx.binary(BinaryOp::Mul, output, shown)?;
        Ok(State { hidden, cell: Some(cell) })
    }

    /// A gate that reads the cell through a peephole, if there are any.
    fn peep(
        &self,
        cx: &mut NodeCx<'_, '_>,
        gate: usize,
        sum: ValueId,
        cell: ValueId,
    ) -> Result<ValueId, NodeError> {
        let Some(peepholes) = self.peepholes else { return Ok(sum) };
        let seen = cx.binary(BinaryOp::Mul, cell, peepholes[gate])?;
        cx.binary(BinaryOp::Add, sum, seen)
    }

    /// Adds the state's product.
    fn with_state(
        &self,
        cx: &mut NodeCx<'_, '_>,
        inputs: ValueId,
        state: ValueId,
    ) -> Result<ValueId, NodeError> {
        let state = product(cx, state, self.recurrence, self.state_bias)?;
        cx.binary(BinaryOp::Add, state, inputs)
    }

    /// The activation of a kind of gate, of a number cut off by `clip`.
    fn activate(
        &self,
        cx: &mut NodeCx<'_, '_>,
        form: &Form,
        which: usize,
        mut sum: ValueId,
    ) -> Result<ValueId, NodeError> {
        if let Some(bound) = form.clip {
            sum = cx.emit(Op::Elementwise(ScalarOp::Clip { min: -bound, max: bound }), &[sum])?;
        }
        self.activations[which].apply(cx, sum)
    }
}

/// `x` times the transpose of `weights`, and what is added to it.
fn product(
    cx: &mut NodeCx<'_, '_>,
    x: ValueId,
    weights: Weights,
    bias: Option<ValueId>,
) -> Result<ValueId, NodeError> {
    let product = weights.product(cx, x)?;
    match bias {
        Some(bias) => cx.binary(BinaryOp::Add, product, bias),
        None => Ok(product),
    }
}

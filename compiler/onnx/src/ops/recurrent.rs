//! Recurrent networks, unrolled: the products of all steps' inputs are one matrix product, and each step adds the product of
//! the state before it. Formulas and the order of gates are those of ONNX's operator pages.

mod activation;
mod cell;
mod form;
mod weights;

use crate::error::NodeError;
use crate::node::{NodeCx, Results};
use cell::{Cell, State};
use drift_ir::op::{BinaryOp, ScalarOp};
use drift_ir::{Dim, Op, ValueId};
use form::{Form, Pass};

/// Which network a node is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Gru,
    Lstm,
    Rnn,
}

impl Kind {
    /// Rows of the weights, in units of the hidden size.
    const fn gates(self) -> u64 {
        match self {
            Self::Gru => 3,
            Self::Lstm => 4,
            Self::Rnn => 1,
        }
    }
}

/// GRU, since 7; `layout` since 14. `linear_before_reset` multiplies by the weights before the reset gate does.
pub(super) fn gru(cx: &mut NodeCx<'_, '_>) -> Results {
    recurrent(cx, Kind::Gru, false)
}

/// LSTM, since 7; `layout` since 14. With peepholes, and with the input gate coupled to the forget gate.
pub(super) fn lstm(cx: &mut NodeCx<'_, '_>) -> Results {
    recurrent(cx, Kind::Lstm, false)
}

/// RNN, since 7; `layout` since 14.
pub(super) fn rnn(cx: &mut NodeCx<'_, '_>) -> Results {
    recurrent(cx, Kind::Rnn, false)
}

/// DynamicQuantizeLSTM of ONNX Runtime: weights are integers of eight bits, what they multiply is quantized by its own range: the
/// input in whole, and the state in each step.
pub(super) fn dynamic_quantize_lstm(cx: &mut NodeCx<'_, '_>) -> Results {
    recurrent(cx, Kind::Lstm, true)
}

/// Y `[sequence, directions, batch, hidden]`, Y_h and, of an LSTM, Y_c `[directions, batch, hidden]`; with `layout` 1 the batch
/// comes first.
fn recurrent(cx: &mut NodeCx<'_, '_>, kind: Kind, is_quantized: bool) -> Results {
    let form = Form::read(cx, kind, is_quantized)?;
    let (mut all, mut last, mut cells) = (Vec::new(), Vec::new(), Vec::new());
    for pass in &form.passes {
        let (steps, state) = run(cx, &form, pass)?;
        all.push(cx.insert_axis(steps, 1)?);
        last.push(cx.insert_axis(state.hidden, 0)?);
        if let Some(cell) = state.cell {
            cells.push(cx.insert_axis(cell, 0)?);
        }
    }
    let mut results = vec![cx.concat(1, &all)?, cx.concat(0, &last)?];
    if kind == Kind::Lstm {
        results.push(cx.concat(0, &cells)?);
    }
    if form.batch_first {
        results[0] = cx.transpose(results[0], vec![2, 0, 1, 3])?;
        for state in &mut results[1..] {
            *state = cx.transpose(*state, vec![1, 0, 2])?;
        }
    }
    Ok(results)
}

/// One direction: the hidden states of all steps, `[sequence, batch, hidden]` in the sequence's order, and the state after the
/// last of them.
fn run(cx: &mut NodeCx<'_, '_>, form: &Form, pass: &Pass) -> Result<(ValueId, State), NodeError> {
    let mut products = pass.weights.product(cx, form.x)?;
    let cell = Cell::new(cx, form, pass)?;
    if let Some(bias) = cell.input_bias {
        products = cx.binary(BinaryOp::Add, products, bias)?;
    }
    let mut state = pass.initial;
    let mut steps = Vec::new();
    for round in 0..form.sequence {
        let at = if pass.reversed { form.sequence - 1 - round } else { round };
        let inputs = cx.part(products, 0, at, 1)?;
        let inputs =
            cx.reshape(inputs, vec![form.batch.clone(), Dim::Const(form.kind.gates() * form.hidden)])?;
        let next = cell.step(cx, form, inputs, state)?;
        let (hidden, after) = within_length(cx, form, at, state, next)?;
        state = after;
        steps.push(cx.insert_axis(hidden, 0)?);
    }
    if pass.reversed {
        steps.reverse();
    }
    let mut shape = vec![form.batch.clone(), Dim::Const(form.hidden)];
    state.hidden = cx.expand(state.hidden, shape.clone())?;
    state.cell = state.cell.map(|cell| cx.expand(cell, shape.clone())).transpose()?;
    let steps = if steps.is_empty() {
        // No step: nothing of the product, in the result's shape.
        shape.insert(0, Dim::Const(0));
        cx.reshape(products, shape)?
    } else {
        cx.concat(0, &steps)?
    };
    Ok((steps, state))
}

/// What a step gives and leaves behind where its place may lie behind the end of a batch's sequence: there the result is zero and
/// the state stays, so that the other direction begins at each sequence's own end.
fn within_length(
    cx: &mut NodeCx<'_, '_>,
    form: &Form,
    at: u64,
    before: State,
    after: State,
) -> Result<(ValueId, State), NodeError> {
    let Some(lengths) = form.lengths else { return Ok((after.hidden, after)) };
    let place = cx.scalar_like(lengths, at as f64)?;
    let inside = cx.binary(BinaryOp::Less, place, lengths)?;
    let mut either = |new, old| cx.emit(Op::Elementwise(ScalarOp::Select), &[inside, new, old]);
    let hidden = either(after.hidden, before.hidden)?;
    let cell = match (after.cell, before.cell) {
        (Some(new), Some(old)) => Some(either(new, old)?),
        _ => None,
    };
    let zero = cx.scalar_like(after.hidden, 0.0)?;
    let result = cx.emit(Op::Elementwise(ScalarOp::Select), &[inside, after.hidden, zero])?;
    Ok((result, State { hidden, cell }))
}

/// A state of zeros, which broadcasts over the batch.
fn zeros(cx: &mut NodeCx<'_, '_>, like: ValueId, hidden: u64) -> Result<ValueId, NodeError> {
    let zero = cx.scalar_like(like, 0.0)?;
    cx.expand(zero, vec![Dim::Const(1), Dim::Const(hidden)])
}

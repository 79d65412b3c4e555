//! What a recurrent node is given, per direction.

use super::activation::Activation;
use super::cell::State;
use super::weights::{Weights, row};
use super::{Kind, zeros};
use crate::error::NodeError;
use crate::node::NodeCx;
use drift_ir::{Dim, ElementType, ValueId};

/// A node's operands and attributes.
pub(super) struct Form {
    pub(super) kind: Kind,
    /// `[sequence, batch, input]`.
    pub(super) x: ValueId,
    pub(super) sequence: u64,
    pub(super) batch: Dim,
    /// Channels of the state.
    pub(super) hidden: u64,
    /// Each batch's steps, i32 `[batch, 1]`; none where all batches have the whole sequence.
    pub(super) lengths: Option<ValueId>,
    /// Whether operands and results have the batch before the sequence.
    pub(super) batch_first: bool,
    /// Bound of the magnitude of what activations are applied to.
    pub(super) clip: Option<f64>,
    /// Whether the forget gate is one less the input gate.
    pub(super) coupled: bool,
    /// Whether the reset gate multiplies after the weights.
    pub(super) reset_after: bool,
    pub(super) passes: Vec<Pass>,
}

/// One direction.
pub(super) struct Pass {
    /// Whether it runs from the sequence's end.
    pub(super) reversed: bool,
    /// `[gates * hidden, input]`.
    pub(super) weights: Weights,
    /// `[gates * hidden, hidden]`.
    pub(super) recurrence: Weights,
    /// Of the inputs and of the state, `[gates * hidden]` each.
    pub(super) bias: Option<[ValueId; 2]>,
    /// Of the gates that read the cell, `[3 * hidden]`.
    pub(super) peepholes: Option<ValueId>,
    pub(super) initial: State,
    pub(super) activations: Vec<Activation>,
}

impl Form {
    /// Weights of an operator whose weights are quantized are transposed, and have scales and zero points behind the other operands.
    pub(super) fn read(cx: &mut NodeCx<'_, '_>, kind: Kind, is_quantized: bool) -> Result<Self, NodeError> {
        // Before 7 it said whether all states are wanted, which the results' names say.
        cx.attributes.ignore(&["output_sequence"]);
        let directions = directions(cx)?;
        let batch_first = cx.attributes.flag("layout", false)?;
        let mut x = cx.operand(0)?;
        if cx.rank(x) != 3 {
            return Err(NodeError::Operands(format!("the input has rank {}, expected 3", cx.rank(x))));
        }
        if batch_first {
            x = cx.transpose(x, vec![1, 0, 2])?;
        }
        let [sequence, batch, input] = <[Dim; 3]>::try_from(cx.shape(x)).map_err(|_| unknown_sizes())?;
        let (Dim::Const(sequence), Dim::Const(input)) = (sequence, input) else {
            return Err(unknown_sizes());
        };
        let recurrence = cx.operand(2)?;
        let axis = if is_quantized { 1 } else { 2 };
        let Some(Dim::Const(hidden)) = cx.shape(recurrence).get(axis).cloned() else {
            return Err(unknown_sizes());
        };
        if hidden == 0 {
            return Err(NodeError::Operands("the state has no channels".to_owned()));
        }
        match cx.attributes.int("hidden_size")? {
            Some(given) if u64::try_from(given) != Ok(hidden) => {
                let expected = format!("{hidden}, as the recurrence weights have");
                let name = "hidden_size";
                return Err(NodeError::Value { name, value: given.to_string(), expected });
            }
            _ => {}
        }
        let clip = clip(cx)?;
        let is_lstm = kind == Kind::Lstm;
        let coupled = is_lstm && cx.attributes.flag("input_forget", false)?;
        let reset_after = kind == Kind::Gru && cx.attributes.flag("linear_before_reset", false)?;
        let mut form = Self {
            kind,
            x,
            sequence,
            batch,
            hidden,
            lengths: None,
            batch_first,
            clip,
            coupled,
            reset_after,
            passes: Vec::new(),
        };
        form.lengths = form.lengths(cx)?;
        form.passes = form.passes(cx, directions, input, is_quantized)?;
        Ok(form)
    }

    /// The lengths, unless constants say that every batch has the whole sequence.
    fn lengths(&self, cx: &mut NodeCx<'_, '_>) -> Result<Option<ValueId>, NodeError> {
        let Some(lengths) = cx.optional(4) else { return Ok(None) };
        expect(cx, lengths, "sequence_lens", std::slice::from_ref(&self.batch))?;
        if let Some(known) = cx.constant_tensor(lengths) {
            let known = known.to_i64_vec();
            let fits = |&length: &i64| u64::try_from(length).is_ok_and(|length| length <= self.sequence);
            if let Some(other) = known.iter().find(|length| !fits(length)) {
                let expected = format!("0 to {}, the length of the sequence", self.sequence);
                let name = "sequence_lens";
                return Err(NodeError::Value { name, value: other.to_string(), expected });
            }
            if known.iter().all(|&length| length as u64 == self.sequence) {
                return Ok(None);
            }
        }
        let lengths = cx.cast(lengths, ElementType::I32)?;
        Ok(Some(cx.insert_axis(lengths, 1)?))
    }

    fn passes(
        &self,
        cx: &mut NodeCx<'_, '_>,
        directions: &[bool],
        input: u64,
        is_quantized: bool,
    ) -> Result<Vec<Pass>, NodeError> {
        let count = directions.len() as u64;
        // An axis has fewer than 2^31 elements.
        let rows = self.hidden * self.kind.gates();
        let sizes = |sizes: &[u64]| sizes.iter().map(|&size| Dim::Const(size)).collect::<Vec<_>>();
        let of = if is_quantized { Weights::quantized } else { Weights::floats };
        let weights = of(cx, ("W", 1), [count, rows, input])?;
        let recurrence = of(cx, ("R", 2), [count, rows, self.hidden])?;
        let bias = cx.optional(3);
        if let Some(bias) = bias {
            expect(cx, bias, "B", &sizes(&[count, 2 * rows]))?;
        }
        let is_lstm = self.kind == Kind::Lstm;
        let peepholes = if is_lstm { cx.optional(7) } else { None };
        if let Some(peepholes) = peepholes {
            expect(cx, peepholes, "P", &sizes(&[count, 3 * self.hidden]))?;
        }
        let hidden = self.initial(cx, 5, "initial_h", count)?;
        let cell = if is_lstm { self.initial(cx, 6, "initial_c", count)? } else { None };
        let default: &[&str] = match self.kind {
            Kind::Gru => &["Sigmoid", "Tanh"],
            Kind::Lstm => &["Sigmoid", "Tanh", "Tanh"],
            Kind::Rnn => &["Tanh"],
        };
        let activations = Activation::read(cx, default, directions.len())?;
        let mut passes = Vec::new();
        for (at, &reversed) in directions.iter().enumerate() {
            let place = at as u64;
            let bias = match bias {
                Some(bias) => {
                    let both = row(cx, bias, place)?;
                    Some([cx.part(both, 0, 0, rows)?, cx.part(both, 0, rows, rows)?])
                }
                None => None,
            };
            let peepholes = peepholes.map(|all| row(cx, all, place)).transpose()?;
            let hidden = self.state(cx, hidden, place)?;
            let cell = if is_lstm { Some(self.state(cx, cell, place)?) } else { None };
            passes.push(Pass {
                reversed,
                weights: weights.row(cx, place)?,
                recurrence: recurrence.row(cx, place)?,
                bias,
                peepholes,
                initial: State { hidden, cell },
                activations: activations[at * default.len()..][..default.len()].to_vec(),
            });
        }
        Ok(passes)
    }

    /// States before the first step, `[directions, batch, hidden]`.
    fn initial(
        &self,
        cx: &mut NodeCx<'_, '_>,
        operand: usize,
        name: &str,
        directions: u64,
    ) -> Result<Option<ValueId>, NodeError> {
        let Some(mut state) = cx.optional(operand) else { return Ok(None) };
        if self.batch_first && cx.rank(state) == 3 {
            state = cx.transpose(state, vec![1, 0, 2])?;
        }
        expect(cx, state, name, &[Dim::Const(directions), self.batch.clone(), Dim::Const(self.hidden)])?;
        Ok(Some(state))
    }

    /// A direction's state before the first step, `[batch or 1, hidden]`.
    fn state(&self, cx: &mut NodeCx<'_, '_>, all: Option<ValueId>, at: u64) -> Result<ValueId, NodeError> {
        match all {
            Some(all) => row(cx, all, at),
            None => zeros(cx, self.x, self.hidden),
        }
    }
}

/// Whether each direction is reversed.
fn directions(cx: &mut NodeCx<'_, '_>) -> Result<&'static [bool], NodeError> {
    match cx.attributes.text("direction")?.unwrap_or("forward") {
        "forward" => Ok(&[false]),
        "reverse" => Ok(&[true]),
        "bidirectional" => Ok(&[false, true]),
        other => {
            let expected = "`forward`, `reverse` or `bidirectional`".to_owned();
            Err(NodeError::Value { name: "direction", value: other.to_owned(), expected })
        }
    }
}

fn clip(cx: &mut NodeCx<'_, '_>) -> Result<Option<f64>, NodeError> {
    match cx.attributes.float("clip")? {
        Some(clip) if clip.is_nan() || clip <= 0.0 => {
            let expected = "a positive number".to_owned();
            Err(NodeError::Value { name: "clip", value: clip.to_string(), expected })
        }
        clip => Ok(clip.map(f64::from)),
    }
}

pub(super) fn expect(cx: &NodeCx<'_, '_>, x: ValueId, name: &str, shape: &[Dim]) -> Result<(), NodeError> {
    let found = cx.shape(x);
    if found == shape {
        return Ok(());
    }
    let text = |dims: &[Dim]| {
        let dims: Vec<String> = dims
            .iter()
            .map(|dim| dim.as_const().map_or_else(|| "?".to_owned(), |size| size.to_string()))
            .collect();
        dims.join(", ")
    };
    Err(NodeError::Operands(format!("`{name}` is [{}], expected [{}]", text(&found), text(shape))))
}

pub(super) fn unknown_sizes() -> NodeError {
    NodeError::Unsupported("a sequence, an input or a state of free size; fix it with --dim".to_owned())
}

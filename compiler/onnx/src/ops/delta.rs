//! Layers with a state that a token at a time updates: linear attention, and the causal convolution before it.

use crate::budget::Resource;
use crate::error::NodeError;
use crate::node::{NodeCx, Results};
use drift_ir::op::{BinaryOp, Concat, Conv, MatMul, UnaryOp};
use drift_ir::{Dim, ElementType, Op, Tensor, ValueId};

/// Taps up to which a kernel that is data is applied one by one.
const MOST_TAPS: u64 = 16;

/// CausalConvWithState, since 27: each channel's own convolution of the rows so far, `past_state` or zeros before them. Refused: free batch
/// and channels where there is no past.
pub(super) fn causal_conv_with_state(cx: &mut NodeCx<'_, '_>) -> Results {
    let (x, weight) = (cx.operand(0)?, cx.operand(1)?);
    let (shape, kernel) = (cx.shape(x), cx.shape(weight));
    let ([_, channels, length], [of, Dim::Const(1), Dim::Const(taps)]) = (&shape[..], &kernel[..]) else {
        let reason = "expected an input of rank 3 and a weight [channels, 1, k] of known k";
        return Err(NodeError::Operands(reason.to_owned()));
    };
    let (Dim::Const(channels), Dim::Const(length)) = (channels, length) else {
        let reason = "the channels or the length are free; fix them with --dim";
        return Err(NodeError::Unsupported(reason.to_owned()));
    };
    if *of != Dim::Const(*channels) || *taps == 0 {
        let reason = format!("the weight is not for {channels} channels, or has no taps");
        return Err(NodeError::Operands(reason));
    }
    let carried = taps - 1;
    let state = vec![shape[0].clone(), Dim::Const(*channels), Dim::Const(carried)];
    let rows = match cx.optional(3) {
        _ if carried == 0 => x,
        Some(past) if cx.shape(past) != state => {
            return Err(NodeError::Operands(format!(
                "`past_state` is not [batch, {channels}, {carried}], as the kernel asks for"
            )));
        }
        Some(past) => cx.emit(Op::Concat(Concat { axis: 2 }), &[past, x])?,
        None => {
            let zero = cx.scalar_like(x, 0.0)?;
            let zeros = cx.expand(zero, state.clone())?;
            cx.emit(Op::Concat(Concat { axis: 2 }), &[zeros, x])?
        }
    };
    let y = if cx.constant_tensor(weight).is_none() && *taps <= MOST_TAPS {
        by_taps(cx, rows, weight, (*taps, *length))?
    } else {
        let conv = Conv { groups: *channels, ..Conv::plain(1) };
        let operands: Vec<ValueId> =
            [Some(rows), Some(weight), cx.optional(2)].into_iter().flatten().collect();
        cx.emit(Op::Conv(conv), &operands)?
    };
    let y = match cx.attributes.text("activation")?.unwrap_or("none") {
        "none" => y,
        "silu" | "swish" => cx.unary(UnaryOp::Silu, y)?,
        other => {
            let expected = "`silu`, `swish` or `none`".to_owned();
            return Err(NodeError::Value { name: "activation", value: other.to_owned(), expected });
        }
    };
    if !cx.wants_result(1) {
        return Ok(vec![y]);
    }
    let start = if carried == 0 { 0 } else { *length };
    let present = cx.part(rows, 2, start, carried)?;
    Ok(vec![y, present])
}

/// The convolution by a kernel that is data, which devices have no kernel for: the rows that each tap reads times the tap, in f32 for f16.
fn by_taps(
    cx: &mut NodeCx<'_, '_>,
    rows: ValueId,
    weight: ValueId,
    (taps, length): (u64, u64),
) -> Result<ValueId, NodeError> {
    let element = cx.element(rows);
    let (rows, weight) = (cx.widened(rows)?, cx.widened(weight)?);
    let channels = cx.shape(weight)[0].clone();
    let mut sum = match cx.optional(2) {
        Some(bias) => {
            let bias = cx.widened(bias)?;
            Some(cx.reshape(bias, vec![channels.clone(), Dim::Const(1)])?)
        }
        None => None,
    };
    for tap in 0..taps {
        let read = cx.part(rows, 2, tap, length)?;
        let factor = cx.part(weight, 2, tap, 1)?;
        let factor = cx.reshape(factor, vec![channels.clone(), Dim::Const(1)])?;
        let product = cx.binary(BinaryOp::Mul, read, factor)?;
        sum = Some(match sum {
            None => product,
            Some(sum) => cx.binary(BinaryOp::Add, sum, product)?,
        });
    }
    let sum = sum.unwrap_or(rows);
    cx.cast(sum, element)
}

/// Heads of linear attention at most.
const MOST_HEADS: u64 = 1 << 20;

/// The sizes of linear attention, and its rule.
struct Form {
    batch: Dim,
    tokens: u64,
    query_heads: u64,
    heads: u64,
    keys: u64,
    values: u64,
    /// Whether a state decays, and whether it is corrected rather than added to.
    rule: (bool, bool),
}

/// The operands of all tokens in f32, heads apart.
struct Sequences {
    /// `[batch, tokens, query heads, keys]`, times the scale.
    query: ValueId,
    /// `[batch, tokens, heads, keys]`.
    key: ValueId,
    /// `[batch, tokens, heads, values]`.
    value: ValueId,
    /// What the state is multiplied by: `[batch, tokens, heads, keys or 1]`.
    decay: Option<ValueId>,
    /// `[batch, tokens, heads or 1, 1]`.
    beta: Option<ValueId>,
}

/// LinearAttention, since 27: a state `[batch, heads, keys, values]` that each token decays (`gated`) and adds to, or corrects (`delta`), and
/// that its query reads. Unrolled over a known number of tokens, in f32; `chunk_size` is a hint.
pub(super) fn linear_attention(cx: &mut NodeCx<'_, '_>) -> Results {
    cx.attributes.ignore(&["chunk_size"]);
    let form = Form::read(cx)?;
    let [element, state_element] =
        [cx.operand(0)?, cx.optional(3).map_or(cx.operand(0)?, |past| past)].map(|value| cx.element(value));
    let sequences = form.sequences(cx)?;
    let shape =
        vec![form.batch.clone(), Dim::Const(form.heads), Dim::Const(form.keys), Dim::Const(form.values)];
    let mut state = match cx.optional(3) {
        Some(past) if cx.shape(past) != shape => {
            let (heads, keys, values) = (form.heads, form.keys, form.values);
            let reason = format!("`past_state` is not [batch, {heads}, {keys}, {values}]");
            return Err(NodeError::Operands(reason));
        }
        Some(past) => cx.cast(past, ElementType::F32)?,
        None => {
            let zero = cx.constant(Tensor::scalar_f32(0.0))?;
            cx.expand(zero, shape)?
        }
    };
    let mut outputs = Vec::new();
    for token in 0..form.tokens {
        state = form.updated(cx, &sequences, state, token)?;
        outputs.push(form.read_state(cx, &sequences, state, token)?);
    }
    let y = match outputs[..] {
        [only] => only,
        _ => cx.emit(Op::Concat(Concat { axis: 1 }), &outputs)?,
    };
    Ok(vec![cx.cast(y, element)?, cx.cast(state, state_element)?])
}

impl Form {
    fn read(cx: &mut NodeCx<'_, '_>) -> Result<Self, NodeError> {
        let heads = |cx: &mut NodeCx<'_, '_>, name: &'static str| {
            let given = cx.attributes.int(name)?.ok_or(NodeError::MissingAttribute(name))?;
            let expected = format!("1 to {MOST_HEADS}");
            let error = NodeError::Value { name, value: given.to_string(), expected };
            u64::try_from(given).ok().filter(|heads| (1..=MOST_HEADS).contains(heads)).ok_or(error)
        };
        let (query_heads, kv_heads) = (heads(cx, "q_num_heads")?, heads(cx, "kv_num_heads")?);
        if query_heads % kv_heads != 0 {
            let expected = format!("a multiple of `kv_num_heads` {kv_heads}");
            return Err(NodeError::Value { name: "q_num_heads", value: query_heads.to_string(), expected });
        }
        let rule = match cx.attributes.text("update_rule")?.unwrap_or("gated_delta") {
            "linear" => (false, false),
            "gated" => (true, false),
            "delta" => (false, true),
            "gated_delta" => (true, true),
            other => {
                let expected = "`linear`, `gated`, `delta` or `gated_delta`".to_owned();
                return Err(NodeError::Value { name: "update_rule", value: other.to_owned(), expected });
            }
        };
        let shapes = [cx.shape(cx.operand(0)?), cx.shape(cx.operand(1)?), cx.shape(cx.operand(2)?)];
        let size = |shape: &[Dim], heads: u64| match shape {
            [batch, tokens, Dim::Const(width)]
                if *batch == shapes[0][0] && *tokens == shapes[0][1] && width % heads == 0 =>
            {
                Ok(width / heads)
            }
            _ => {
                let reason = format!(
                    "expected query, key and value [batch, tokens, heads * size] of {query_heads}, {kv_heads} and {kv_heads} heads"
                );
                Err(NodeError::Operands(reason))
            }
        };
        let keys = size(&shapes[0], query_heads)?;
        let (key, values) = (size(&shapes[1], kv_heads)?, size(&shapes[2], kv_heads)?);
        if key != keys {
            return Err(NodeError::Operands(format!("keys have size {key}, queries {keys}")));
        }
        let Some(tokens) = shapes[0][1].as_const().filter(|&tokens| tokens > 0) else {
            let reason = "the number of tokens is free or zero; fix it with --dim";
            return Err(NodeError::Unsupported(reason.to_owned()));
        };
        // Each token takes a dozen values.
        cx.take(Resource::Values, tokens)?;
        Ok(Self { batch: shapes[0][0].clone(), tokens, query_heads, heads: kv_heads, keys, values, rule })
    }

    fn sequences(&self, cx: &mut NodeCx<'_, '_>) -> Result<Sequences, NodeError> {
        let scale = match cx.attributes.float("scale")?.unwrap_or(0.0) {
            0.0 => 1.0 / (self.keys as f64).sqrt(),
            scale => f64::from(scale),
        };
        let (query, key, value) = (cx.operand(0)?, cx.operand(1)?, cx.operand(2)?);
        let query = self.split(cx, query, self.query_heads, self.keys)?;
        let factor = cx.scalar_like(query, scale)?;
        let wide = |cx: &NodeCx<'_, '_>, value: ValueId, heads: u64| {
            cx.shape(value).get(2) == Some(&Dim::Const(heads))
        };
        let decay = match (self.rule.0, cx.optional(4)) {
            (false, _) => None,
            (true, None) => return Err(NodeError::MissingOperand(4)),
            (true, Some(decay)) => {
                let size = if wide(cx, decay, self.heads) { 1 } else { self.keys };
                let decay = self.split(cx, decay, self.heads, size)?;
                Some(cx.unary(UnaryOp::Exp, decay)?)
            }
        };
        let beta = match (self.rule.1, cx.optional(5)) {
            (false, _) => None,
            (true, None) => return Err(NodeError::MissingOperand(5)),
            (true, Some(beta)) => {
                let heads = if wide(cx, beta, 1) { 1 } else { self.heads };
                Some(self.split(cx, beta, heads, 1)?)
            }
        };
        Ok(Sequences {
            query: cx.binary(BinaryOp::Mul, query, factor)?,
            key: self.split(cx, key, self.heads, self.keys)?,
            value: self.split(cx, value, self.heads, self.values)?,
            decay,
            beta,
        })
    }

    /// `[batch, tokens, heads * size]` as `[batch, tokens, heads, size]` in f32.
    fn split(
        &self,
        cx: &mut NodeCx<'_, '_>,
        x: ValueId,
        heads: u64,
        size: u64,
    ) -> Result<ValueId, NodeError> {
        if cx.shape(x) != [self.batch.clone(), Dim::Const(self.tokens), Dim::Const(heads * size)] {
            let reason = format!("an operand is not [batch, {}, {heads} * {size}]", self.tokens);
            return Err(NodeError::Operands(reason));
        }
        let x = cx.cast(x, ElementType::F32)?;
        let shape = vec![self.batch.clone(), Dim::Const(self.tokens), Dim::Const(heads), Dim::Const(size)];
        cx.reshape(x, shape)
    }

    /// One token of `[batch, tokens, heads, size]` as `[batch, heads, rows, columns]`.
    fn token(
        &self,
        cx: &mut NodeCx<'_, '_>,
        x: ValueId,
        token: u64,
        [heads, rows, columns]: [u64; 3],
    ) -> Result<ValueId, NodeError> {
        let x = cx.part(x, 1, token, 1)?;
        let sizes = [heads, rows, columns].map(Dim::Const);
        cx.reshape(x, [&[self.batch.clone()][..], &sizes].concat())
    }

    /// The state after a token.
    fn updated(
        &self,
        cx: &mut NodeCx<'_, '_>,
        sequences: &Sequences,
        mut state: ValueId,
        token: u64,
    ) -> Result<ValueId, NodeError> {
        if let Some(decay) = sequences.decay {
            let size = cx.shape(decay)[3].as_const().unwrap_or(1);
            let decay = self.token(cx, decay, token, [self.heads, size, 1])?;
            state = cx.binary(BinaryOp::Mul, decay, state)?;
        }
        let mut value = self.token(cx, sequences.value, token, [self.heads, 1, self.values])?;
        if let Some(beta) = sequences.beta {
            let key = self.token(cx, sequences.key, token, [self.heads, 1, self.keys])?;
            let known = cx.emit(Op::MatMul(MatMul::default()), &[key, state])?;
            let heads = cx.shape(beta)[2].as_const().unwrap_or(1);
            let beta = self.token(cx, beta, token, [heads, 1, 1])?;
            let missing = cx.binary(BinaryOp::Sub, value, known)?;
            value = cx.binary(BinaryOp::Mul, beta, missing)?;
        }
        let key = self.token(cx, sequences.key, token, [self.heads, self.keys, 1])?;
        let outer = cx.binary(BinaryOp::Mul, key, value)?;
        cx.binary(BinaryOp::Add, state, outer)
    }

    /// What a token's queries read, `[batch, 1, query heads * values]`.
    fn read_state(
        &self,
        cx: &mut NodeCx<'_, '_>,
        sequences: &Sequences,
        state: ValueId,
        token: u64,
    ) -> Result<ValueId, NodeError> {
        let shared = self.query_heads / self.heads;
        let query = self.token(cx, sequences.query, token, [self.heads, shared, self.keys])?;
        let y = cx.emit(Op::MatMul(MatMul::default()), &[query, state])?;
        let width = Dim::Const(self.query_heads * self.values);
        cx.reshape(y, vec![self.batch.clone(), Dim::Const(1), width])
    }
}

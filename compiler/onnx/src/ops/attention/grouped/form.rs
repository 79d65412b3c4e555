//! What the attributes of a `GroupQueryAttention` say, and which of its forms are refused.

use crate::error::NodeError;
use crate::node::NodeCx;

/// What the fourth result shows.
#[derive(Clone, Copy)]
pub(super) enum Qk {
    None,
    Scores,
    Weights,
}

/// What the node's attributes say.
pub(super) struct Form {
    pub(super) heads: i64,
    pub(super) kv_heads: i64,
    pub(super) scale: Option<f64>,
    pub(super) softcap: f64,
    pub(super) is_causal: bool,
    /// How many keys a query sees, its own included.
    pub(super) window: Option<i64>,
    pub(super) rotates: bool,
    pub(super) interleaved: bool,
    /// Whether one is added to what the softmax divides by.
    pub(super) is_smooth: bool,
    /// Of the norms of queries and keys.
    pub(super) norm_epsilons: [f64; 2],
    pub(super) qk: Qk,
}

pub(super) fn read(cx: &mut NodeCx<'_, '_>) -> Result<Form, NodeError> {
    refuse(cx)?;
    let heads = count(cx, "num_heads")?;
    let kv_heads = count(cx, "kv_num_heads")?;
    if heads % kv_heads != 0 {
        let expected = format!("a multiple of `kv_num_heads` {kv_heads}");
        return Err(NodeError::Value { name: "num_heads", value: heads.to_string(), expected });
    }
    let window = match cx.attributes.int("local_window_size")?.unwrap_or(-1) {
        -1 => None,
        size @ 0.. => Some(size),
        other => {
            let (name, expected) = ("local_window_size", "-1 or a number of keys".to_owned());
            return Err(NodeError::Value { name, value: other.to_string(), expected });
        }
    };
    let is_causal = cx.attributes.flag("causal", true)?;
    if !is_causal && window.is_some() {
        let (name, expected) = ("local_window_size", "-1 beside `causal` 0".to_owned());
        return Err(NodeError::Value { name, value: format!("{window:?}"), expected });
    }
    let qk = match cx.attributes.int("qk_output")?.unwrap_or(0) {
        0 => Qk::None,
        1 => Qk::Scores,
        2 => Qk::Weights,
        other => {
            let expected = "0 to 2".to_owned();
            return Err(NodeError::Value { name: "qk_output", value: other.to_string(), expected });
        }
    };
    let common = cx.attributes.float("qk_norm_epsilon")?.unwrap_or(1e-6);
    let mut norm_epsilons = [0.0; 2];
    for (epsilon, name) in norm_epsilons.iter_mut().zip(["q_norm_epsilon", "k_norm_epsilon"]) {
        *epsilon = f64::from(cx.attributes.float(name)?.unwrap_or(common));
    }
    Ok(Form {
        heads,
        kv_heads,
        scale: cx.attributes.float("scale")?.map(f64::from).filter(|&scale| scale != 0.0),
        softcap: f64::from(cx.attributes.float("softcap")?.unwrap_or(0.0)),
        is_causal,
        window,
        rotates: cx.attributes.flag("do_rotary", false)?,
        interleaved: cx.attributes.flag("rotary_interleaved", false)?,
        is_smooth: cx.attributes.int("smooth_softmax")?.unwrap_or(-1) == 1,
        norm_epsilons,
        qk,
    })
}

/// A number of heads.
fn count(cx: &mut NodeCx<'_, '_>, name: &'static str) -> Result<i64, NodeError> {
    let given = cx.attributes.int(name)?.ok_or(NodeError::MissingAttribute(name))?;
    match given {
        1..=0xffff => Ok(given),
        _ => {
            let expected = "a number of heads".to_owned();
            Err(NodeError::Value { name, value: given.to_string(), expected })
        }
    }
}

/// Caches of quantized keys and values, windows of caches, and ragged queries are refused.
fn refuse(cx: &mut NodeCx<'_, '_>) -> Result<(), NodeError> {
    for name in ["k_quant_type", "v_quant_type"] {
        if let Some(other) = cx.attributes.text(name)?.filter(|&ty| ty != "NONE") {
            let reason = format!("`{name}` {other} is not supported, only NONE: a cache of floats");
            return Err(NodeError::Unsupported(reason));
        }
    }
    if let Some(bits) = cx.attributes.int("kv_cache_bit_width")?.filter(|&bits| bits != 0) {
        let reason = format!("`kv_cache_bit_width` {bits} is not supported, only 0: a cache of floats");
        return Err(NodeError::Unsupported(reason));
    }
    if cx.attributes.flag("sliding_window_cache", false)? {
        let reason = "`sliding_window_cache` 1 is not supported, only caches of all keys";
        return Err(NodeError::Unsupported(reason.to_owned()));
    }
    for (operand, name) in [(12, "k_scale"), (13, "v_scale"), (16, "query_seqlens")] {
        if cx.optional(operand).is_some() {
            return Err(NodeError::Unsupported(format!("operand `{name}` is not supported")));
        }
    }
    Ok(())
}

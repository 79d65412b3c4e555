//! The activations that a recurrent operator names.

use super::super::activation::{elu_of, hard_sigmoid_of, leaky_of, softsign_of, thresholded_of, times};
use crate::error::NodeError;
use crate::node::NodeCx;
use drift_ir::ValueId;
use drift_ir::op::{BinaryOp, UnaryOp};

/// A function of one number.
#[derive(Clone, Copy)]
pub(super) enum Activation {
    /// `alpha x + beta`.
    Affine(f64, f64),
    Elu(f64),
    HardSigmoid(f64, f64),
    LeakyRelu(f64),
    Relu,
    /// `alpha tanh(beta x)`.
    ScaledTanh(f64, f64),
    Sigmoid,
    Softplus,
    Softsign,
    Tanh,
    ThresholdedRelu(f64),
}

/// Names, the numbers `alpha` and `beta` that each takes, and what they are where the node gives none.
const NAMES: [(&str, &[f64]); 11] = [
    ("affine", &[1.0, 0.0]),
    ("elu", &[1.0]),
    ("hardsigmoid", &[0.2, 0.5]),
    ("leakyrelu", &[0.01]),
    ("relu", &[]),
    ("scaledtanh", &[1.0, 1.0]),
    ("sigmoid", &[]),
    ("softplus", &[]),
    ("softsign", &[]),
    ("tanh", &[]),
    ("thresholdedrelu", &[1.0]),
];

impl Activation {
    /// Those of the attributes `activations`, `activation_alpha` and `activation_beta`, or `default` for each direction. Functions
    /// take their numbers from the lists in their order; names are compared without case, as ONNX Runtime does.
    pub(super) fn read(
        cx: &mut NodeCx<'_, '_>,
        default: &[&str],
        directions: usize,
    ) -> Result<Vec<Self>, NodeError> {
        let named = cx.attributes.texts("activations")?;
        let names = named.unwrap_or_else(|| default.repeat(directions));
        if names.len() != default.len() * directions {
            let expected = format!("{} names", default.len() * directions);
            return Err(NodeError::Value { name: "activations", value: format!("{names:?}"), expected });
        }
        let mut alphas = cx.attributes.floats("activation_alpha")?.unwrap_or_default().iter();
        let mut betas = cx.attributes.floats("activation_beta")?.unwrap_or_default().iter();
        let mut all = Vec::new();
        for name in names {
            let lower = name.to_ascii_lowercase();
            let Some((_, defaults)) = NAMES.iter().find(|(known, _)| *known == lower) else {
                let expected = format!("one of {}", NAMES.map(|(name, _)| name).join(", "));
                return Err(NodeError::Value { name: "activations", value: name.to_owned(), expected });
            };
            let next = |at: usize, list: &mut std::slice::Iter<'_, f32>| {
                defaults.get(at).map(|&default| list.next().map_or(default, |&given| f64::from(given)))
            };
            let (alpha, beta) = (next(0, &mut alphas), next(1, &mut betas));
            all.push(Self::of(&lower, alpha.unwrap_or(0.0), beta.unwrap_or(0.0)));
        }
        Ok(all)
    }

    fn of(name: &str, alpha: f64, beta: f64) -> Self {
        match name {
            "affine" => Self::Affine(alpha, beta),
            "elu" => Self::Elu(alpha),
            "hardsigmoid" => Self::HardSigmoid(alpha, beta),
            "leakyrelu" => Self::LeakyRelu(alpha),
            "relu" => Self::Relu,
            "scaledtanh" => Self::ScaledTanh(alpha, beta),
            "sigmoid" => Self::Sigmoid,
            "softplus" => Self::Softplus,
            "softsign" => Self::Softsign,
            "thresholdedrelu" => Self::ThresholdedRelu(alpha),
            _ => Self::Tanh,
        }
    }

    /// Its value at `x`.
    pub(super) fn apply(self, cx: &mut NodeCx<'_, '_>, x: ValueId) -> Result<ValueId, NodeError> {
        match self {
            Self::Affine(alpha, beta) => {
                let scaled = times(cx, x, alpha)?;
                let beta = cx.scalar_like(x, beta)?;
                cx.binary(BinaryOp::Add, scaled, beta)
            }
            Self::Elu(alpha) => elu_of(cx, x, alpha),
            Self::HardSigmoid(alpha, beta) => hard_sigmoid_of(cx, x, alpha, beta),
            Self::LeakyRelu(alpha) => leaky_of(cx, x, alpha),
            Self::Relu => cx.unary(UnaryOp::Relu, x),
            Self::ScaledTanh(alpha, beta) => {
                let scaled = times(cx, x, beta)?;
                let y = cx.unary(UnaryOp::Tanh, scaled)?;
                times(cx, y, alpha)
            }
            Self::Sigmoid => cx.unary(UnaryOp::Sigmoid, x),
            Self::Softplus => cx.unary(UnaryOp::Softplus, x),
            Self::Softsign => softsign_of(cx, x),
            Self::Tanh => cx.unary(UnaryOp::Tanh, x),
            Self::ThresholdedRelu(alpha) => thresholded_of(cx, x, alpha),
        }
    }
}

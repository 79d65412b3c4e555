//! Normalisations over images.

use super::axis;
use crate::error::NodeError;
use crate::node::{NodeCx, Results};
use drift_ir::op::{BinaryOp, GroupNorm, Pool, PoolKind, Reduce, ReduceKind, UnaryOp};
use drift_ir::{Dim, Op, ValueId};

/// The number of channels, which a group count has to divide.
fn channels(cx: &NodeCx<'_, '_>, x: ValueId, least_rank: usize) -> Result<u64, NodeError> {
    let shape = cx.shape(x);
    if shape.len() < least_rank {
        let reason = format!("the input has rank {}, expected at least {least_rank}", shape.len());
        return Err(NodeError::Operands(reason));
    }
    shape[1]
        .as_const()
        .ok_or_else(|| NodeError::Unsupported("the number of channels is free; fix it with --dim".to_owned()))
}

fn epsilon(cx: &mut NodeCx<'_, '_>) -> Result<f64, NodeError> {
    Ok(f64::from(cx.attributes.float("epsilon")?.unwrap_or(1e-5)))
}

/// InstanceNormalization: one group per channel.
pub(super) fn instance_normalization(cx: &mut NodeCx<'_, '_>) -> Results {
    let (x, scale, bias) = (cx.operand(0)?, cx.operand(1)?, cx.operand(2)?);
    let (groups, epsilon) = (channels(cx, x, 3)?, epsilon(cx)?);
    Ok(vec![cx.emit(Op::GroupNorm(GroupNorm { groups, epsilon }), &[x, scale, bias])?])
}

/// GroupNormalization. Scale and bias have one value per group in 18, which 21 replaces by one per channel. Statistics
/// are computed in f32, which is what `stash_type` 1 (21) asks for.
pub(super) fn group_normalization(cx: &mut NodeCx<'_, '_>) -> Results {
    let (x, epsilon) = (cx.operand(0)?, epsilon(cx)?);
    let channels = channels(cx, x, 2)?;
    let given = cx.attributes.int("num_groups")?.unwrap_or(0);
    let divides = |groups: &u64| *groups > 0 && channels % groups == 0;
    let groups = u64::try_from(given).ok().filter(divides).ok_or_else(|| NodeError::Value {
        name: "num_groups",
        value: given.to_string(),
        expected: format!("a divisor of the {channels} channels"),
    })?;
    if let Some(other) = cx.attributes.int("stash_type")?.filter(|&ty| ty != 1) {
        return Err(NodeError::Unsupported(format!("`stash_type` {other} is not supported, only 1 (float)")));
    }
    let mut operands = vec![x];
    for index in [1, 2] {
        let mut parameter = cx.operand(index)?;
        if cx.opset() < 21 {
            let column = cx.reshape(parameter, vec![Dim::Const(groups), Dim::Const(1)])?;
            let wide = cx.expand(column, vec![Dim::Const(groups), Dim::Const(channels / groups)])?;
            parameter = cx.reshape(wide, vec![Dim::Const(channels)])?;
        }
        operands.push(parameter);
    }
    Ok(vec![cx.emit(Op::GroupNorm(GroupNorm { groups, epsilon }), &operands)?])
}

/// MeanVarianceNormalization: `(x - mean) / (sqrt(variance) + 1e-9)`. The variance is taken around the mean.
pub(super) fn mean_variance_normalization(cx: &mut NodeCx<'_, '_>) -> Results {
    let x = cx.operand(0)?;
    let rank = cx.rank(x);
    let given = cx.attributes.ints("axes")?.unwrap_or(&[0, 2, 3]);
    let mut axes = given.iter().map(|&given| axis(given, rank)).collect::<Result<Vec<_>, _>>()?;
    axes.sort_unstable();
    axes.dedup();
    let mean = Op::Reduce(Reduce { kind: ReduceKind::Mean, axes, keep_dims: true });
    let average = cx.emit(mean.clone(), &[x])?;
    let deviation = cx.binary(BinaryOp::Sub, x, average)?;
    let square = cx.binary(BinaryOp::Mul, deviation, deviation)?;
    let variance = cx.emit(mean, &[square])?;
    let root = cx.unary(UnaryOp::Sqrt, variance)?;
    let least = cx.scalar_like(x, 1e-9)?;
    let divisor = cx.binary(BinaryOp::Add, root, least)?;
    Ok(vec![cx.binary(BinaryOp::Div, deviation, divisor)?])
}

/// LRN: `x / (bias + alpha / size * sum of squares)^beta` over `size` neighbouring channels, of which
/// `floor((size - 1) / 2)` come before. The sum by the size is an average pool over the channel axis with zeros around.
pub(super) fn local_response_normalization(cx: &mut NodeCx<'_, '_>) -> Results {
    let x = cx.operand(0)?;
    let shape = cx.shape(x);
    if shape.len() < 3 {
        return Err(NodeError::Operands(format!("the input has rank {}, expected at least 3", shape.len())));
    }
    let mut number = |name, default: f32| -> Result<f64, NodeError> {
        Ok(f64::from(cx.attributes.float(name)?.unwrap_or(default)))
    };
    let (alpha, beta, bias) = (number("alpha", 1e-4)?, number("beta", 0.75)?, number("bias", 1.0)?);
    let given = cx.attributes.int("size")?.unwrap_or(0);
    let size = u64::try_from(given).ok().filter(|&size| size > 0).ok_or_else(|| NodeError::Value {
        name: "size",
        value: given.to_string(),
        expected: "a positive number".to_owned(),
    })?;
    let square = cx.binary(BinaryOp::Mul, x, x)?;
    let pixels = cx.product(&shape[2..])?;
    let plane = vec![shape[0].clone(), Dim::Const(1), shape[1].clone(), pixels];
    let square = cx.reshape(square, plane)?;
    let pool = Pool {
        kind: PoolKind::Average { count_padding: true },
        kernel: vec![size, 1],
        strides: vec![1, 1],
        pads: vec![(size - 1) / 2, 0, size / 2, 0],
        dilations: vec![1, 1],
        ceil: false,
    };
    let mean = cx.emit(Op::Pool(pool), &[square])?;
    let mean = cx.reshape(mean, shape)?;
    let (alpha, beta, bias) = (cx.scalar_like(x, alpha)?, cx.scalar_like(x, beta)?, cx.scalar_like(x, bias)?);
    let scaled = cx.binary(BinaryOp::Mul, mean, alpha)?;
    let moved = cx.binary(BinaryOp::Add, scaled, bias)?;
    let divisor = cx.binary(BinaryOp::Pow, moved, beta)?;
    Ok(vec![cx.binary(BinaryOp::Div, x, divisor)?])
}

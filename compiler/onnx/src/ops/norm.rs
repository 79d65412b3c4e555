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

/// MeanVarianceNormalization: `(x - mean) / (sqrt(variance) + 1e-9)`. The variance is taken around the mean; of f16, the
/// deviation is f32, since they do not hold 1e-9.
pub(super) fn mean_variance_normalization(cx: &mut NodeCx<'_, '_>) -> Results {
    let x = cx.operand(0)?;
    let (rank, element) = (cx.rank(x), cx.element(x));
    let given = cx.attributes.ints("axes")?.unwrap_or(&[0, 2, 3]);
    let mut axes = given.iter().map(|&given| axis(given, rank)).collect::<Result<Vec<_>, _>>()?;
    axes.sort_unstable();
    axes.dedup();
    let mean = Op::Reduce(Reduce { kind: ReduceKind::Mean, axes, keep_dims: true });
    let average = cx.emit(mean.clone(), &[x])?;
    let deviation = cx.binary(BinaryOp::Sub, x, average)?;
    let square = cx.binary(BinaryOp::Mul, deviation, deviation)?;
    let variance = cx.emit(mean, &[square])?;
    let variance = cx.widened(variance)?;
    let root = cx.unary(UnaryOp::Sqrt, variance)?;
    let least = cx.scalar_like(root, 1e-9)?;
    let divisor = cx.binary(BinaryOp::Add, root, least)?;
    let deviation = cx.widened(deviation)?;
    let y = cx.binary(BinaryOp::Div, deviation, divisor)?;
    Ok(vec![cx.cast(y, element)?])
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
    let element = cx.element(x);
    let (x, mean) = (cx.widened(x)?, cx.widened(mean)?);
    let [alpha, beta, bias] = [alpha, beta, bias].map(|number| cx.scalar_like(x, number));
    let scaled = cx.binary(BinaryOp::Mul, mean, alpha?)?;
    let moved = cx.binary(BinaryOp::Add, scaled, bias?)?;
    let divisor = cx.binary(BinaryOp::Pow, moved, beta?)?;
    let y = cx.binary(BinaryOp::Div, x, divisor)?;
    Ok(vec![cx.cast(y, element)?])
}

/// BatchNormalization. At inference it is `x s + (bias - mean s)` with `s = scale / sqrt(variance + epsilon)`, per channel; of
/// f16, in f32 unless both factors are f16 of moderate size. Before 7 `is_test` asks for inference; before 9 `spatial` may be 0, which is refused; before 14
/// training is asked for by naming more results, which is refused; since then by `training_mode`.
pub(super) fn batch_normalization(cx: &mut NodeCx<'_, '_>) -> Results {
    let momentum = f64::from(cx.attributes.float("momentum")?.unwrap_or(0.9));
    if !cx.attributes.flag("spatial", true)? {
        let reason = "only the form over channels is supported, `spatial` 1";
        return Err(NodeError::Unsupported(reason.to_owned()));
    }
    if cx.is_before(7) && !cx.attributes.flag("is_test", false)? {
        let reason = "training before operator set 14 is not supported; `is_test` 1 is inference";
        return Err(NodeError::Unsupported(reason.to_owned()));
    }
    let epsilon = epsilon(cx)?;
    let x = cx.operand(0)?;
    let parameters: Vec<ValueId> = (1..5).map(|index| cx.operand(index)).collect::<Result<_, _>>()?;
    let rank = cx.rank(x);
    if rank < 2 {
        return Err(NodeError::Operands(format!("the input has rank {rank}, expected at least 2")));
    }
    if cx.attributes.flag("training_mode", false)? {
        return batch_statistics(cx, x, &parameters, epsilon, momentum);
    }
    cx.only_first_result("running statistics are results for training")?;
    let wide: Vec<ValueId> = parameters.iter().map(|&value| cx.widened(value)).collect::<Result<_, _>>()?;
    let &[scale, bias, mean, variance] = &wide[..] else { unreachable!("four parameters were read") };
    let least = cx.scalar_like(variance, epsilon)?;
    let variance = cx.binary(BinaryOp::Add, variance, least)?;
    let deviation = cx.unary(UnaryOp::Sqrt, variance)?;
    let factor = cx.binary(BinaryOp::Div, scale, deviation)?;
    let moved = cx.binary(BinaryOp::Mul, mean, factor)?;
    let offset = cx.binary(BinaryOp::Sub, bias, moved)?;
    let element = cx.element(x);
    let narrow = [factor, offset].iter().all(|&value| is_moderate(cx, value));
    let mut y = if narrow { x } else { cx.widened(x)? };
    for (op, operand) in [(BinaryOp::Mul, factor), (BinaryOp::Add, offset)] {
        let operand = per_channel(cx, x, operand)?;
        let operand = cx.cast(operand, cx.element(y))?;
        y = cx.binary(op, y, operand)?;
    }
    Ok(vec![cx.cast(y, element)?])
}

/// Whether a value is constant and f16 holds it about as exactly as they do activations.
fn is_moderate(cx: &NodeCx<'_, '_>, value: ValueId) -> bool {
    let fits = |&value: &f32| value == 0.0 || (1e-4..1024.0).contains(&value.abs());
    cx.constant_tensor(value).is_some_and(|tensor| tensor.to_f32_vec().iter().all(fits))
}

/// One value per channel, as it is along axis 1 of `x`.
fn per_channel(cx: &mut NodeCx<'_, '_>, x: ValueId, value: ValueId) -> Result<ValueId, NodeError> {
    let mut shape = vec![Dim::Const(1); cx.rank(x) - 1];
    shape[0] = cx.shape(x)[1].clone();
    cx.reshape(value, shape)
}

/// BatchNormalization in training mode, since 14: `x` by the mean and the variance of its own channels. The other results are
/// the running statistics, `momentum` of the old ones and the rest of the new.
fn batch_statistics(
    cx: &mut NodeCx<'_, '_>,
    x: ValueId,
    parameters: &[ValueId],
    epsilon: f64,
    momentum: f64,
) -> Results {
    let axes: Vec<usize> = (0..cx.rank(x)).filter(|&axis| axis != 1).collect();
    let reduce = Op::Reduce(Reduce { kind: ReduceKind::Mean, axes, keep_dims: true });
    let (element, shape) = (cx.element(x), cx.shape(parameters[0]));
    let mean = cx.emit(reduce.clone(), &[x])?;
    let deviation = cx.binary(BinaryOp::Sub, x, mean)?;
    let square = cx.binary(BinaryOp::Mul, deviation, deviation)?;
    let variance = cx.emit(reduce, &[square])?;
    let wide = cx.widened(variance)?;
    let least = cx.scalar_like(wide, epsilon)?;
    let sum = cx.binary(BinaryOp::Add, wide, least)?;
    let root = cx.unary(UnaryOp::Sqrt, sum)?;
    let deviation = cx.widened(deviation)?;
    let mut y = cx.binary(BinaryOp::Div, deviation, root)?;
    for (op, parameter) in [(BinaryOp::Mul, parameters[0]), (BinaryOp::Add, parameters[1])] {
        let parameter = per_channel(cx, x, parameter)?;
        let parameter = cx.cast(parameter, cx.element(y))?;
        y = cx.binary(op, y, parameter)?;
    }
    let mut results = vec![cx.cast(y, element)?];
    for (index, (old, new)) in [(parameters[2], mean), (parameters[3], variance)].into_iter().enumerate() {
        if !cx.wants_result(index + 1) {
            results.push(results[0]);
            continue;
        }
        let new = cx.reshape(new, shape.clone())?;
        let new = cx.cast(new, cx.element(old))?;
        let (kept, fresh) = (cx.scalar_like(old, momentum)?, cx.scalar_like(old, 1.0 - momentum)?);
        let (old, new) = (cx.binary(BinaryOp::Mul, old, kept)?, cx.binary(BinaryOp::Mul, new, fresh)?);
        results.push(cx.binary(BinaryOp::Add, old, new)?);
    }
    Ok(results)
}

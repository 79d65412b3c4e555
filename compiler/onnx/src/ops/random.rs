//! Random numbers, made when a model is imported: they are constants, so that each run gives the same.

mod philox;

use crate::budget::Resource;
use crate::data_type::DataType;
use crate::dims;
use crate::error::NodeError;
use crate::node::{NodeCx, Results};
use crate::warning::Warning;
use drift_ir::op::{BinaryOp, CumSum, Reduce, ReduceKind, Softmax};
use drift_ir::{ElementType, Op, Tensor, ValueId};
use philox::Philox;

/// RandomNormal, since 7: of a shape that is an attribute, by Box and Muller from pairs of uniform numbers.
pub(super) fn random_normal(cx: &mut NodeCx<'_, '_>) -> Results {
    let shape = given_shape(cx)?;
    let element = element_type(cx, Some(ElementType::F32))?;
    normal(cx, &shape, element)
}

/// RandomNormalLike, since 7: of the shape of an operand, which must be known.
pub(super) fn random_normal_like(cx: &mut NodeCx<'_, '_>) -> Results {
    let shape = operand_shape(cx)?;
    let like = cx.element(cx.operand(0)?);
    let element = element_type(cx, Some(like))?;
    normal(cx, &shape, element)
}

/// RandomUniform, since 7: of a shape that is an attribute, from `low` to `high`.
pub(super) fn random_uniform(cx: &mut NodeCx<'_, '_>) -> Results {
    let shape = given_shape(cx)?;
    let element = element_type(cx, Some(ElementType::F32))?;
    uniform(cx, &shape, element)
}

/// RandomUniformLike, since 7: of the shape of an operand, which must be known.
pub(super) fn random_uniform_like(cx: &mut NodeCx<'_, '_>) -> Results {
    let shape = operand_shape(cx)?;
    let like = cx.element(cx.operand(0)?);
    let element = element_type(cx, Some(like))?;
    uniform(cx, &shape, element)
}

/// Bernoulli, since 15: one where a uniform number is below the probability, of a known shape. A probability that is NaN gives zero.
pub(super) fn bernoulli(cx: &mut NodeCx<'_, '_>) -> Results {
    let x = cx.operand(0)?;
    let shape = operand_shape(cx)?;
    let ty = result_type(cx)?;
    let element = ty.unwrap_or(cx.element(x));
    let numbers = uniform_numbers(cx, &shape)?;
    let x = cx.cast(x, ElementType::F32)?;
    let ones = cx.binary(BinaryOp::Less, numbers, x)?;
    Ok(vec![cx.cast(ones, element)?])
}

/// Multinomial, since 7: classes drawn by log probabilities `[batch, classes]`, of known sizes: the number of classes but the last whose
/// cumulated probability a uniform number reaches.
pub(super) fn multinomial(cx: &mut NodeCx<'_, '_>) -> Results {
    let x = cx.operand(0)?;
    let shape = operand_shape(cx)?;
    let samples = cx.attributes.int("sample_size")?.unwrap_or(1);
    let samples = u64::try_from(samples).map_err(|_| NodeError::Value {
        name: "sample_size",
        value: samples.to_string(),
        expected: "0 or more".to_owned(),
    })?;
    let element = match result_type(cx)?.unwrap_or(ElementType::I32) {
        element @ (ElementType::I32 | ElementType::I64) => element,
        other => {
            let reason = format!("classes as {} are not supported; use int32 or int64", other.name());
            return Err(NodeError::Unsupported(reason));
        }
    };
    let &[batch, classes] = &shape[..] else {
        return Err(NodeError::Operands(format!("the input has rank {}, expected 2", shape.len())));
    };
    if classes == 0 {
        return Err(NodeError::Operands("there is no class to draw".to_owned()));
    }
    let numbers = uniform_numbers(cx, &[batch, samples, 1])?;
    let x = cx.cast(x, ElementType::F32)?;
    let x = cx.emit(Op::Softmax(Softmax { axis: 1 }), &[x])?;
    let sums = cx.emit(Op::CumSum(CumSum { axis: 1, exclusive: false, reverse: false }), &[x])?;
    let sums = cx.part(sums, 1, 0, classes - 1)?;
    let sums = cx.insert_axis(sums, 1)?;
    let reached = cx.binary(BinaryOp::LessOrEqual, sums, numbers)?;
    let reached = cx.cast(reached, ElementType::I32)?;
    let count = Reduce { kind: ReduceKind::Sum, axes: vec![2], keep_dims: false };
    let count = cx.emit(Op::Reduce(count), &[reached])?;
    Ok(vec![cx.cast(count, element)?])
}

/// The attribute `shape`.
fn given_shape(cx: &mut NodeCx<'_, '_>) -> Result<Vec<u64>, NodeError> {
    let given = cx.attributes.ints("shape")?.ok_or(NodeError::MissingAttribute("shape"))?;
    let shape: Option<Vec<u64>> = given.iter().map(|&size| u64::try_from(size).ok()).collect();
    shape.ok_or_else(|| NodeError::Value {
        name: "shape",
        value: format!("{given:?}"),
        expected: "sizes".to_owned(),
    })
}

/// The shape of operand 0.
fn operand_shape(cx: &NodeCx<'_, '_>) -> Result<Vec<u64>, NodeError> {
    let shape = dims::all_known(&cx.shape(cx.operand(0)?));
    let reason = "random numbers of a free size are not supported; fix it with --dim";
    let shape = shape.ok_or_else(|| NodeError::Unsupported(reason.to_owned()))?;
    Ok(shape.iter().map(|&size| size as u64).collect())
}

/// The attribute `dtype`, where it is there.
fn result_type(cx: &mut NodeCx<'_, '_>) -> Result<Option<ElementType>, NodeError> {
    let Some(given) = cx.attributes.int("dtype")? else { return Ok(None) };
    match i32::try_from(given).ok().map(DataType::from_proto) {
        // Only a few values are drawn, which wider types hold too.
        Some(Ok(ty)) if !ty.is_narrow() => Ok(Some(ty.element())),
        _ => Err(NodeError::Unsupported(format!("`dtype` {given} is not supported"))),
    }
}

/// The attribute `dtype` of an operator that gives floats.
fn element_type(cx: &mut NodeCx<'_, '_>, default: Option<ElementType>) -> Result<ElementType, NodeError> {
    let is_bfloat = cx.attributes.int("dtype")? == Some(16);
    match result_type(cx)?.or(default) {
        Some(element) if element.is_float() && !is_bfloat => Ok(element),
        _ => Err(NodeError::Unsupported(
            "random numbers of other types than float, float16 and double are not supported".to_owned(),
        )),
    }
}

/// Numbers from the node's `seed`, or from its name, with a warning: the file wants other numbers at each run.
fn generator(cx: &mut NodeCx<'_, '_>) -> Result<Philox, NodeError> {
    let seed = cx.attributes.float("seed")?;
    let node = cx.name().to_owned();
    let key = match seed {
        Some(seed) => u64::from(seed.to_bits()),
        None => name_hash(&node),
    };
    cx.warn(Warning::SameNumbers { node });
    Ok(Philox::new(key))
}

/// FNV-1a of 64 bits.
fn name_hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// How many elements a shape has, counted as constants with what making them takes.
fn count(cx: &mut NodeCx<'_, '_>, shape: &[u64]) -> Result<u64, NodeError> {
    let count = shape.iter().try_fold(1u64, |product, &size| product.checked_mul(size));
    let count = count.unwrap_or(u64::MAX);
    cx.take(Resource::ConstantBytes, count.saturating_mul(8))?;
    Ok(count)
}

fn normal(cx: &mut NodeCx<'_, '_>, shape: &[u64], element: ElementType) -> Results {
    let mean = f64::from(cx.attributes.float("mean")?.unwrap_or(0.0));
    let scale = f64::from(cx.attributes.float("scale")?.unwrap_or(1.0));
    let mut numbers = generator(cx)?;
    let count = count(cx, shape)?;
    let values: Vec<f64> = (0..count).map(|_| mean + scale * numbers.normal()).collect();
    Ok(vec![cx.constant(Tensor::from_f64_as(element, shape, &values)?)?])
}

fn uniform(cx: &mut NodeCx<'_, '_>, shape: &[u64], element: ElementType) -> Results {
    let low = f64::from(cx.attributes.float("low")?.unwrap_or(0.0));
    let high = f64::from(cx.attributes.float("high")?.unwrap_or(1.0));
    let mut numbers = generator(cx)?;
    let count = count(cx, shape)?;
    let values: Vec<f64> = (0..count).map(|_| low + (high - low) * numbers.uniform(element)).collect();
    Ok(vec![cx.constant(Tensor::from_f64_as(element, shape, &values)?)?])
}

/// From 0 up to below 1, in f32.
fn uniform_numbers(cx: &mut NodeCx<'_, '_>, shape: &[u64]) -> Result<ValueId, NodeError> {
    let mut numbers = generator(cx)?;
    let count = count(cx, shape)?;
    let values: Vec<f64> = (0..count).map(|_| numbers.uniform(ElementType::F32)).collect();
    cx.constant(Tensor::from_f64_as(ElementType::F32, shape, &values)?)
}

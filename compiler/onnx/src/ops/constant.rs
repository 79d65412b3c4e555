//! Constants, and operators that do nothing at inference.

use crate::budget::Resource;
use crate::data_type::DataType;
use crate::error::NodeError;
use crate::node::{NodeCx, Results};
use drift_ir::Tensor;

/// Constant. Since 11 also `sparse_value`, since 12 `value_float` and its kin; texts and sparse tensors are refused.
pub(super) fn constant(cx: &mut NodeCx<'_, '_>) -> Results {
    let refused = ["sparse_value", "value_string", "value_strings"];
    if let Some(name) = refused.iter().find(|name| cx.attributes.has(name)) {
        return Err(NodeError::Unsupported(format!(
            "`{name}` is not supported; store a dense tensor of numbers"
        )));
    }
    let value = if let Some(proto) = cx.attributes.tensor("value")? {
        let tensor = cx.read_tensor(proto)?;
        let value = cx.constant(tensor)?;
        cx.set_narrow(value, DataType::from_proto(proto.data_type).ok());
        return Ok(vec![value]);
    } else if let Some(value) = cx.attributes.float("value_float")? {
        Tensor::scalar_f32(value)
    } else if let Some(values) = cx.attributes.floats("value_floats")? {
        cx.take(Resource::ConstantBytes, values.len() as u64 * 4)?;
        Tensor::from_f32([values.len() as u64], values)?
    } else if let Some(value) = cx.attributes.int("value_int")? {
        return Ok(vec![cx.constant_i64(&[], &[value])?]);
    } else if let Some(values) = cx.attributes.ints("value_ints")? {
        return Ok(vec![cx.constant_i64(&[values.len() as u64], values)?]);
    } else {
        return Err(NodeError::MissingAttribute("value"));
    };
    Ok(vec![cx.constant(value)?])
}

/// ConstantOfShape, since 9: one value (an f32 zero by default) at every place.
pub(super) fn constant_of_shape(cx: &mut NodeCx<'_, '_>) -> Results {
    let shape = cx.operand(0)?;
    let shape = cx.sizes(shape, "input")?;
    let value = match cx.attributes.tensor("value")? {
        Some(proto) if DataType::from_proto(proto.data_type).is_ok_and(DataType::is_narrow) => {
            let reason = "a `value` of fewer than eight bits is not supported";
            return Err(NodeError::Unsupported(reason.to_owned()));
        }
        Some(proto) => cx.read_tensor(proto)?,
        None => Tensor::scalar_f32(0.0),
    };
    if value.len() != 1 {
        let expected = "a tensor of one element".to_owned();
        return Err(NodeError::Value { name: "value", value: format!("{:?}", value.shape()), expected });
    }
    let scalar = cx.constant(Tensor::new(value.element(), [], value.bytes().clone())?)?;
    Ok(vec![cx.expand(scalar, shape)?])
}

/// Identity.
pub(super) fn identity(cx: &mut NodeCx<'_, '_>) -> Results {
    Ok(vec![cx.operand(0)?])
}

/// Dropout, which hands its operand on at inference; the optional mask is true everywhere. Before 7 `is_test` asks for inference; before 12 `ratio` is an
/// attribute, since then an operand beside `training_mode`, which must be a constant false.
pub(super) fn dropout(cx: &mut NodeCx<'_, '_>) -> Results {
    cx.attributes.ignore(&["ratio", "seed"]);
    let x = cx.operand(0)?;
    if cx.is_before(7) && !cx.attributes.flag("is_test", false)? {
        let reason = "only inference is supported, `is_test` 1; export the model in evaluation mode";
        return Err(NodeError::Unsupported(reason.to_owned()));
    }
    if let Some(training) = cx.optional(2)
        && cx.constant_scalar(training) != Some(0.0)
    {
        let reason = "only inference is supported; export the model in evaluation mode";
        return Err(NodeError::Unsupported(reason.to_owned()));
    }
    if !cx.wants_result(1) {
        return Ok(vec![x]);
    }
    let shape = cx.shape(x);
    let yes = cx.constant(Tensor::scalar_bool(true))?;
    Ok(vec![x, cx.expand(yes, shape)?])
}

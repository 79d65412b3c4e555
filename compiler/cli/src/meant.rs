//! Outputs of which data decide how much is meant: a bundle holds places for all that may be, and beside each such output `NAME.count`,
//! which says its sizes. `NAME.bound` says how many values a bound was for, and how many there are places for.

use crate::error::CliError;
use crate::host::HostTensor;
use crate::replay;
use drift_bundle::manifest::{HostElement, IoTensor};
use drift_runtime::Session;

/// What an output is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The model's own.
    Own,
    /// It says the sizes of the output of this number.
    CountOf(usize),
    /// It says whether a bound is large enough.
    Bound,
}

/// What each of several outputs is for, by its name, element and shape.
pub fn roles(outputs: &[(&str, HostElement, &[u64])]) -> Vec<Role> {
    let role = |&(name, element, shape): &(&str, HostElement, &[u64])| {
        if element != HostElement::I64 {
            return Role::Own;
        }
        let own = name.strip_suffix(".count");
        let of = own.and_then(|own| outputs.iter().position(|(name, _, _)| *name == own));
        match of {
            Some(of) if shape == [outputs[of].2.len() as u64] => Role::CountOf(of),
            _ if name.ends_with(".bound") && shape == [2] => Role::Bound,
            _ => Role::Own,
        }
    };
    outputs.iter().map(role).collect()
}

/// The names of a model's own outputs among those of a bundle.
pub fn own_names(outputs: &[IoTensor]) -> Vec<String> {
    let listed: Vec<(&str, HostElement, &[u64])> = outputs
        .iter()
        .map(|tensor| (tensor.name.as_str(), tensor.element, tensor.shape.as_slice()))
        .collect();
    let own = outputs.iter().zip(roles(&listed)).filter(|(_, role)| *role == Role::Own);
    own.map(|(tensor, _)| tensor.name.clone()).collect()
}

/// Reads all outputs after a run, each cut to what is meant of it.
pub fn read(session: &mut Session) -> Result<Vec<(IoTensor, HostTensor)>, CliError> {
    let outputs = session.outputs().to_vec();
    let mut tensors = Vec::with_capacity(outputs.len());
    for tensor in outputs {
        let data = replay::read(session, &tensor)?;
        tensors.push((tensor.name.clone(), data));
    }
    let meant = cut(tensors)?;
    let outputs = session.outputs().iter().cloned();
    Ok(outputs
        .zip(meant)
        .map(|(tensor, data)| (IoTensor { shape: data.shape().to_vec(), ..tensor }, data))
        .collect())
}

/// Outputs by name, each cut to what is meant of it. An error names a bound that was too small.
pub fn cut(outputs: Vec<(String, HostTensor)>) -> Result<Vec<HostTensor>, CliError> {
    let listed: Vec<(&str, HostElement, &[u64])> =
        outputs.iter().map(|(name, data)| (name.as_str(), data.element(), data.shape())).collect();
    let roles = roles(&listed);
    let numbers = |data: &HostTensor| -> Vec<u64> {
        data.to_f64().into_iter().map(|size| size.max(0.0) as u64).collect()
    };
    for ((name, data), _) in outputs.iter().zip(&roles).filter(|(_, role)| **role == Role::Bound) {
        if let [count, bound] = numbers(data)[..]
            && count > bound
        {
            let name = name.trim_end_matches(".bound").to_owned();
            return Err(CliError::OverBound { name, count, bound });
        }
    }
    let mut meant: Vec<HostTensor> = outputs.iter().map(|(_, data)| data.clone()).collect();
    for ((_, count), role) in outputs.iter().zip(&roles) {
        let Role::CountOf(of) = *role else { continue };
        let (name, data) = &outputs[of];
        let sizes = numbers(count);
        if let Some((&count, &bound)) = sizes.iter().zip(data.shape()).find(|(size, places)| size > places) {
            return Err(CliError::OverBound { name: name.clone(), count, bound });
        }
        meant[of] = front(data, &sizes).map_err(|source| CliError::Tensor { name: name.clone(), source })?;
    }
    Ok(meant)
}

/// The first elements along each axis, as many as `sizes` says, which is no more than there are.
fn front(data: &HostTensor, sizes: &[u64]) -> Result<HostTensor, crate::host::HostTensorError> {
    let width = data.element().size_bytes() as usize;
    let mut bytes = data.bytes().to_vec();
    for axis in (0..sizes.len()).rev() {
        // Axes behind this one are cut already.
        let inner = sizes[axis + 1..].iter().product::<u64>() as usize * width;
        let (all, kept) = (data.shape()[axis] as usize * inner, sizes[axis] as usize * inner);
        bytes = match all {
            0 => Vec::new(),
            all => bytes.chunks(all).flat_map(|block| &block[..kept]).copied().collect(),
        };
    }
    HostTensor::new(data.element(), sizes.to_vec(), bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn i64s(shape: &[u64], values: &[i64]) -> HostTensor {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        HostTensor::new(HostElement::I64, shape.to_vec(), bytes).unwrap()
    }

    fn named(outputs: &[(&str, HostTensor)]) -> Vec<(String, HostTensor)> {
        outputs.iter().map(|(name, data)| ((*name).to_owned(), data.clone())).collect()
    }

    #[test]
    fn outputs_are_cut_to_what_is_meant() {
        let data = i64s(&[2, 3], &[1, 2, 3, 4, 5, 6]);
        let of = |count: [i64; 2]| cut(named(&[("y", data.clone()), ("y.count", i64s(&[2], &count))]));
        assert_eq!(of([2, 2]).unwrap()[0], i64s(&[2, 2], &[1, 2, 4, 5]));
        assert_eq!(of([1, 3]).unwrap()[0], i64s(&[1, 3], &[1, 2, 3]));
        assert_eq!(of([2, 0]).unwrap()[0], i64s(&[2, 0], &[]));
        assert!(of([2, 4]).unwrap_err().to_string().contains("`y`"), "more than there are places");
    }

    #[test]
    fn a_bound_that_is_too_small_is_an_error() {
        let of = |count| cut(named(&[("kept.bound", i64s(&[2], &[count, 3]))]));
        assert!(of(3).is_ok());
        let error = of(4).unwrap_err().to_string();
        assert!(
            error.contains("`kept`") && error.contains('4') && error.contains("--bound kept=4"),
            "{error}"
        );
    }

    #[test]
    fn outputs_of_other_types_and_shapes_are_the_models_own() {
        let outputs: [(&str, HostElement, &[u64]); 6] = [
            ("y", HostElement::F32, &[3, 4]),
            ("y.count", HostElement::I64, &[2]),
            ("y.bound", HostElement::F32, &[2]),
            ("z.count", HostElement::I64, &[2]),
            ("w", HostElement::I64, &[5]),
            ("w.count", HostElement::I64, &[2]),
        ];
        let expected = [Role::Own, Role::CountOf(0), Role::Own, Role::Own, Role::Own, Role::Own];
        assert_eq!(roles(&outputs), expected);
    }
}

//! Models whose caches are states: stored past rows are written into them, and what they hold after the run is compared with
//! the rows that are expected, past and new.

use super::{Difference, compare};
use crate::compare::Tolerance;
use crate::error::CliError;
use crate::host::{HostTensor, element_name, shape_text};
use crate::replay;
use drift_bundle::manifest::{DeviceElement, HostElement};
use drift_ir::Graph;
use drift_onnx::{DimBinding, ModelSource};
use drift_runtime::Session;
use half::f16;
use std::collections::BTreeMap;
use std::path::Path;

/// The caches of a model, and what one run finds and leaves in them.
pub(super) struct Caches {
    /// Axis of the rows of each state, by its name.
    axes: BTreeMap<String, usize>,
    /// Rows before the run.
    past: u64,
    /// Rows that it adds.
    new: u64,
}

impl Caches {
    /// Those of a graph of `source`, with the past rows of a data set, or else with half of what fits; none if it has no states.
    pub(super) fn of(
        (source, path): (&ModelSource, &Path),
        graph: &Graph,
        dims: &BTreeMap<String, DimBinding>,
        stored: Option<(&Path, &[(String, HostTensor)])>,
    ) -> Result<Option<Self>, CliError> {
        if graph.states().is_empty() {
            return Ok(None);
        }
        let ports = drift_onnx::inputs(source).map_err(|error| CliError::model(path, error))?;
        let (dim, _) = drift_onnx::cache_dim(&ports, dims)
            .unwrap_or_else(|| unreachable!("imported: states have a dimension with a range"));
        let axis = |port| drift_onnx::rows_axis(port, &dim).map(|axis| (port.name.clone(), axis));
        let axes: BTreeMap<String, usize> = ports.iter().filter_map(axis).collect();
        let shape =
            |name: &str| -> Option<Vec<u64>> { graph.value(graph.value_by_name(name)?).ty.static_shape() };
        let capacity = axes.iter().find_map(|(name, &axis)| shape(name)?.get(axis).copied()).unwrap_or(0);
        // The graph's own tokens say how many are new.
        let tokens = ["input_ids", "inputs_embeds"].into_iter().find_map(shape);
        let new = tokens.and_then(|shape| shape.get(1).copied()).unwrap_or(1);
        let Some((folder, stored)) = stored else {
            return Ok(Some(Self { axes, past: (capacity - new) / 2, new }));
        };
        let rows = |(name, tensor): &(String, HostTensor)| tensor.shape().get(*axes.get(name)?).copied();
        let past = stored.iter().find_map(rows).unwrap_or(0);
        if past + new > capacity {
            return Err(CliError::CacheTooSmall { folder: folder.to_owned(), dim, past, new, capacity });
        }
        Ok(Some(Self { axes, past, new }))
    }

    /// The inputs of a graph in its order, states among them: stored ones, with past rows at the beginning of a whole state,
    /// and the numbers that say how many rows and tokens there are.
    pub(super) fn inputs(
        &self,
        graph: &Graph,
        stored: Vec<(String, HostTensor)>,
    ) -> Result<Vec<HostTensor>, CliError> {
        let mut stored: BTreeMap<String, HostTensor> = stored.into_iter().collect();
        let mut numbers = self.numbers();
        let mut inputs = Vec::new();
        for &input in graph.inputs() {
            let value = graph.value(input);
            let name = &value.name;
            let tensor = match (stored.remove(name), self.axes.get(name)) {
                (Some(past), Some(&axis)) => {
                    let capacity = value.ty.static_shape().map_or(0, |shape| shape[axis]);
                    with_rows(&past, axis, capacity).ok_or_else(|| wrong(name, &past))?
                }
                (Some(tensor), None) => tensor,
                (None, _) => {
                    numbers.next().unwrap_or_else(|| unreachable!("`{name}` is no input of the file"))
                }
            };
            inputs.push(tensor);
        }
        Ok(inputs)
    }

    /// Replaces the numbers among random inputs of a graph, of which `of_file` are inputs of the file.
    pub(super) fn number(&self, graph: &Graph, of_file: &[String], inputs: &mut [HostTensor]) {
        let own = |name: &String| !of_file.contains(name);
        let places = graph.inputs().iter().map(|&input| &graph.value(input).name);
        let places = places.enumerate().filter(|(_, name)| own(name)).map(|(place, _)| place);
        for (place, number) in places.zip(self.numbers()) {
            inputs[place] = number;
        }
    }

    /// What the importer's own inputs are: `position`, and `count` where there is one.
    fn numbers(&self) -> impl Iterator<Item = HostTensor> + use<> {
        [self.past, self.new].into_iter().map(|number| {
            let bytes = (number as i32).to_le_bytes().to_vec();
            HostTensor::new(HostElement::I32, vec![1], bytes)
                .unwrap_or_else(|error| unreachable!("one number: {error}"))
        })
    }

    /// Writes states and inputs, runs, and compares outputs and what the states hold, all in the graph's order.
    pub(super) fn differences(
        &self,
        graph: &Graph,
        session: &mut Session,
        (inputs, expected): (&[HostTensor], &[HostTensor]),
        tolerance: Tolerance,
    ) -> Result<Vec<(String, Difference)>, CliError> {
        self.run(graph, session, inputs)?;
        let mut differences = Vec::new();
        for (&output, expected) in graph.outputs().iter().zip(expected) {
            let name = graph.value(output).name.clone();
            let state = graph.states().iter().find(|state| state.output == output);
            let (got, expected) = match state {
                Some(state) => self.rows(&graph.value(state.input).name, session, expected)?,
                None => {
                    let tensor = session.outputs().iter().find(|tensor| tensor.name == name).cloned();
                    let tensor = tensor.unwrap_or_else(|| unreachable!("compiled: `{name}` is an output"));
                    let got = replay::read(session, &tensor)?;
                    let expected = self.last_row(&got, expected);
                    (got, expected)
                }
            };
            let difference = compare::compare(&got, &expected, tolerance)
                .map_err(|source| CliError::WrongOutput { name: name.clone(), source })?;
            differences.push((name, difference));
        }
        Ok(differences)
    }

    /// Writes states and inputs, and runs.
    pub(super) fn run(
        &self,
        graph: &Graph,
        session: &mut Session,
        inputs: &[HostTensor],
    ) -> Result<(), CliError> {
        let mut others = Vec::new();
        for (&input, tensor) in graph.inputs().iter().zip(inputs) {
            if !graph.states().iter().any(|state| state.input == input) {
                others.push(tensor.clone());
                continue;
            }
            let name = &graph.value(input).name;
            let state = session.states().iter().find(|state| state.name == *name).cloned();
            let state = state.unwrap_or_else(|| unreachable!("compiled: `{name}` is a state"));
            if state.shape != tensor.shape() {
                return Err(wrong(name, tensor));
            }
            let mut bytes = on_device(&tensor.to_f64(), state.element);
            bytes.resize(state.bytes as usize, 0);
            session.write_state(name, &bytes)?;
        }
        replay::run_on(session, &others)
    }

    /// The rows that a state has after a run, and the same of what is expected.
    fn rows(
        &self,
        name: &str,
        session: &mut Session,
        expected: &HostTensor,
    ) -> Result<(HostTensor, HostTensor), CliError> {
        let state = session.states().iter().find(|state| state.name == name).cloned();
        let state = state.unwrap_or_else(|| unreachable!("compiled: `{name}` is a state"));
        let bytes = session.read_state(name)?;
        let elements: u64 = state.shape.iter().product();
        let got = on_host(&bytes, state.element, expected.element(), elements as usize);
        let got = HostTensor::new(expected.element(), state.shape, got)
            .map_err(|source| CliError::Tensor { name: name.to_owned(), source })?;
        let (axis, rows) = (self.axes.get(name).copied().unwrap_or(2), self.past + self.new);
        let cut = |tensor: &HostTensor| with_rows(tensor, axis, rows).ok_or_else(|| wrong(name, tensor));
        // Fewer rows than the run leaves are no expectation of them.
        if expected.shape().get(axis).is_none_or(|&own| own < rows) {
            return Err(wrong(name, expected));
        }
        Ok((cut(&got)?, cut(expected)?))
    }

    /// The last token's row of logits, where that is all that a bundle gives of stored logits of all tokens.
    fn last_row(&self, got: &HostTensor, expected: &HostTensor) -> HostTensor {
        let (&[_, rows, _], &[_, all, width]) = (got.shape(), expected.shape()) else {
            return expected.clone();
        };
        if rows != 1 || all != self.new || all == 1 {
            return expected.clone();
        }
        let row = expected.bytes().len() / all as usize;
        let last = expected.bytes()[expected.bytes().len() - row..].to_vec();
        HostTensor::new(expected.element(), vec![1, 1, width], last).unwrap_or_else(|_| expected.clone())
    }
}

/// Data that are not of the shape that a cache has.
fn wrong(name: &str, found: &HostTensor) -> CliError {
    let found = format!("{} {}", element_name(found.element()), shape_text(found.shape()));
    CliError::WrongCache { name: name.to_owned(), found }
}

/// A tensor with so many rows along an axis: cut off, or filled up with zeros.
fn with_rows(tensor: &HostTensor, axis: usize, rows: u64) -> Option<HostTensor> {
    let mut shape = tensor.shape().to_vec();
    let own = std::mem::replace(shape.get_mut(axis)?, rows) as usize;
    let inner = shape[axis + 1..].iter().product::<u64>() * tensor.element().size_bytes();
    let outer: u64 = shape[..axis].iter().product();
    let (inner, rows) = (inner as usize, rows as usize);
    let mut bytes = vec![0; outer as usize * rows * inner];
    if own > 0 && rows > 0 && inner > 0 {
        let shared = own.min(rows) * inner;
        for (from, to) in tensor.bytes().chunks(own * inner).zip(bytes.chunks_mut(rows * inner)) {
            to[..shared].copy_from_slice(&from[..shared]);
        }
    }
    HostTensor::new(tensor.element(), shape, bytes).ok()
}

/// Floats as a state holds them.
fn on_device(values: &[f64], element: DeviceElement) -> Vec<u8> {
    match element {
        DeviceElement::F16 => values.iter().flat_map(|&value| f16::from_f64(value).to_le_bytes()).collect(),
        _ => values.iter().flat_map(|&value| (value as f32).to_le_bytes()).collect(),
    }
}

/// What a state holds as floats of the host.
fn on_host(bytes: &[u8], from: DeviceElement, to: HostElement, count: usize) -> Vec<u8> {
    let values: Vec<f32> = match from {
        DeviceElement::F16 => {
            bytes.as_chunks::<2>().0.iter().map(|&bytes| f16::from_le_bytes(bytes).to_f32()).collect()
        }
        _ => bytes.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect(),
    };
    let values = values.into_iter().take(count);
    match to {
        HostElement::F16 => values.flat_map(|value| f16::from_f32(value).to_le_bytes()).collect(),
        _ => values.flat_map(f32::to_le_bytes).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(shape: [u64; 3], values: &[f32]) -> HostTensor {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        HostTensor::new(HostElement::F32, shape.to_vec(), bytes).unwrap()
    }

    #[test]
    fn rows_are_cut_off_and_filled_up() {
        let two = rows([2, 2, 1], &[1.0, 2.0, 3.0, 4.0]);
        assert_eq!(with_rows(&two, 1, 1).unwrap(), rows([2, 1, 1], &[1.0, 3.0]));
        assert_eq!(with_rows(&two, 1, 3).unwrap(), rows([2, 3, 1], &[1.0, 2.0, 0.0, 3.0, 4.0, 0.0]));
        assert_eq!(with_rows(&rows([2, 0, 1], &[]), 1, 1).unwrap(), rows([2, 1, 1], &[0.0, 0.0]));
        assert_eq!(with_rows(&two, 3, 1), None);
    }

    #[test]
    fn halves_come_back_as_they_went() {
        let bytes = on_device(&[0.5, -2.0], DeviceElement::F16);
        assert_eq!(
            on_host(&bytes, DeviceElement::F16, HostElement::F32, 2),
            on_device(&[0.5, -2.0], DeviceElement::F32)
        );
    }
}

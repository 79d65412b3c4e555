//! Finds the first node whose result is wrong: every intermediate value becomes an output and is compared.
//!
//! A model compiled like this fuses less, since each value has one more user. Where it is right and the model is not,
//! the fault is in a fusion.

use crate::compare::{self, Tolerance};
use crate::error::CliError;
use crate::host::{HostTensor, host_element};
use crate::replay;
use drift_ir::eval::EvalError;
use drift_ir::graph::EditError;
use drift_ir::{Graph, Op, Tensor, ValueId};
use drift_runtime::Session;
use std::collections::BTreeMap;

/// What the reference evaluator computed for each value.
pub(crate) type Observed = BTreeMap<ValueId, Tensor>;

/// Evaluates a graph and keeps the results of its nodes that can leave a device. Sizes, and what is computed of them alone, are no work
/// of a device.
pub(crate) fn observe(graph: &Graph, inputs: &[Tensor]) -> Result<Observed, EvalError> {
    let mut observed = Observed::new();
    drift_ir::eval::run_observed(graph, inputs, |node, results| {
        for (value, tensor) in graph.node(node).outputs.iter().zip(results) {
            let is_size = graph.known(*value).is_some();
            if !is_size && !tensor.is_empty() && host_element(tensor.element()).is_ok() {
                observed.insert(*value, tensor.clone());
            }
        }
    })?;
    Ok(observed)
}

/// Values that are outputs at once, beside the model's own: a bundle takes 4,096 in all.
const AT_ONCE: usize = 3_000;

/// Observed values in parts that a bundle takes as outputs, in the order in which they are computed.
pub(crate) fn parts(observed: Observed) -> impl Iterator<Item = Observed> {
    let mut left = observed.into_iter();
    std::iter::from_fn(move || {
        let part: Observed = left.by_ref().take(AT_ONCE).collect();
        (!part.is_empty()).then_some(part)
    })
}

/// The same graph with every observed value as an output, after its own.
pub(crate) fn with_all_outputs(graph: &Graph, observed: &Observed) -> Result<Graph, EditError> {
    let mut all = graph.clone();
    let own = graph.outputs().to_vec();
    let more = observed.keys().copied().filter(|&value| !own.contains(&value) && !is_in_state(graph, value));
    all.set_outputs(&own.iter().copied().chain(more).collect::<Vec<_>>())?;
    Ok(all)
}

/// Whether a value may be where a state is, which no output can be: what the state holds is compared instead.
fn is_in_state(graph: &Graph, value: ValueId) -> bool {
    if graph.states().iter().any(|state| state.input == value || state.output == value) {
        return true;
    }
    let Some(node) = graph.producer(value).map(|node| graph.node(node)) else { return false };
    let is_view = matches!(node.op, Op::Reshape(_) | Op::Slice(_) | Op::Transpose(_) | Op::WriteRows(_));
    is_view && node.inputs.first().is_some_and(|&source| is_in_state(graph, source))
}

/// Compares all values after a run, in execution order, and describes the first that is wrong.
pub(crate) fn first_wrong(
    graph: &Graph,
    observed: &Observed,
    session: &mut Session,
    tolerance: Tolerance,
) -> Result<Option<String>, CliError> {
    let outputs = session.outputs().to_vec();
    for node in graph.nodes().map(|node| graph.node(node)) {
        for value in &node.outputs {
            let name = &graph.value(*value).name;
            let (Some(expected), Some(tensor)) =
                (observed.get(value), outputs.iter().find(|tensor| tensor.name == *name))
            else {
                continue;
            };
            let got = replay::read(session, tensor)?;
            let form = graph.host_forms.get(&tensor.name).copied();
            let expected = HostTensor::from_ir_as(expected, form)?;
            let difference = compare::compare(&got, &expected, tolerance)
                .map_err(|source| CliError::WrongOutput { name: name.clone(), source })?;
            if let Some(first) = difference.first_wrong {
                let count = difference.wrong;
                return Ok(Some(format!(
                    "node `{}`: value `{name}` has {count} wrong elements; {first}",
                    node.name
                )));
            }
        }
    }
    Ok(None)
}

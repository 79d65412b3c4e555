//! What is left of a model, as a file with its data beside it.

use super::failure::Failure;
use super::known;
use crate::args::ReduceArgs;
use crate::bind::Dims;
use crate::error::CliError;
use crate::host::{HostTensor, host_element};
use crate::{calibrate, model, output, random, verify};
use drift_onnx::{DeclaredDim, DimBinding, Logits, ModelSource, Port, ValueTypes};
use std::path::{Path, PathBuf};

/// The folder of the data.
const FOLDER: &str = "test_data_set_0";

fn folder(output: &Path) -> PathBuf {
    output.with_file_name(FOLDER)
}

/// Refuses a place beside which data stand already: they would be another model's.
pub(super) fn check_folder(output: &Path) -> Result<(), CliError> {
    let folder = folder(output);
    if !folder.exists() {
        return Ok(());
    }
    let text = format!(
        "{} is there already; name a file in another folder, such as -o small/model.onnx",
        folder.display()
    );
    Err(CliError::Usage(text))
}

/// Writes a model and its data: the inputs on which it fails, and what the reference evaluator expects where it can.
pub(super) fn model(
    args: &ReduceArgs,
    small: &ModelSource,
    types: &ValueTypes,
    dims: &Dims,
    kind: &Failure,
) -> Result<PathBuf, CliError> {
    let bytes = small.to_onnx(types).map_err(|error| CliError::model(&args.model, error))?;
    let folder = folder(&args.output);
    output::create_folder(&folder)?;
    output::write(&args.output, &bytes)?;
    let dims = known(small, dims);
    let imported = match kind {
        Failure::Numbers(_) => model::import(small, dims.clone(), Logits::All).ok(),
        Failure::Nodes(_) | Failure::Error(_) => None,
    };
    match imported {
        Some(model) => {
            let inputs = calibrate::random_inputs(&model.graph)?;
            let tensors = verify::ir_tensors(&inputs)?;
            let outputs = drift_ir::eval::run(&model.graph, &tensors)
                .map_err(|source| CliError::reference(&args.model, source))?;
            let outputs = outputs.iter().map(HostTensor::from_ir).collect::<Result<Vec<_>, _>>()?;
            let name = |id: &drift_ir::ValueId| model.graph.value(*id).name.clone();
            store(&folder, "input", model.graph.inputs().iter().map(name).zip(&inputs))?;
            store(&folder, "output", model.graph.outputs().iter().map(name).zip(&outputs))?;
        }
        None => {
            let ports = drift_onnx::inputs(small).unwrap_or_default();
            let inputs: Vec<(String, HostTensor)> =
                ports.iter().filter_map(|port| Some((port.name.clone(), random_of(port, &dims)?))).collect();
            store(&folder, "input", inputs.iter().map(|(name, tensor)| (name.clone(), tensor)))?;
        }
    }
    Ok(folder)
}

fn store<'a>(
    folder: &Path,
    what: &str,
    tensors: impl Iterator<Item = (String, &'a HostTensor)>,
) -> Result<(), CliError> {
    for (index, (name, tensor)) in tensors.enumerate() {
        let bytes = drift_onnx::write_tensor_pb(&name, &tensor.to_ir()?);
        output::write(&folder.join(format!("{what}_{index}.pb")), &bytes)?;
    }
    Ok(())
}

/// Data of an input whose sizes are known.
fn random_of(port: &Port, dims: &Dims) -> Option<HostTensor> {
    let size = |dim: &DeclaredDim| match dim {
        DeclaredDim::Fixed(size) => Some(*size),
        DeclaredDim::Free(name) => match dims.get(name) {
            Some(DimBinding::Fixed(size) | DimBinding::Range(_, size)) => Some(*size),
            Some(DimBinding::Steps(_, high, step)) => Some(high / step * step),
            None => Some(1),
        },
        DeclaredDim::Computed(_) => None,
    };
    let shape: Vec<u64> = port.dims.as_ref()?.iter().map(size).collect::<Option<_>>()?;
    random::tensor(&port.name, host_element(port.element).ok()?, &shape).ok()
}

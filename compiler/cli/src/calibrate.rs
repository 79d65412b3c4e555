//! What `--precision mixed` tries a model on: seeded inputs, or those of a folder (`--calibrate`).

use crate::args::{CalibrateArg, CompileFlags, PrecisionArg};
use crate::dataset::{self, DataSet};
use crate::error::CliError;
use crate::host::{self, HostTensor};
use crate::output::file_names;
use crate::{model, random, tensor_file};
use drift_bundle::manifest::{IoTensor, Target};
use drift_compiler::mixed::DEFAULT_BUDGET;
use drift_compiler::{CalibrationSet, CompileOptions, Mixed};
use drift_ir::{Graph, Tensor, ValueId};
use std::path::{Path, PathBuf};

/// The compiler's options for these flags, with calibration data for what is to be compiled where the precision is mixed.
pub(crate) fn options(
    flags: &CompileFlags,
    targets: Vec<Target>,
    graphs: &[&Graph],
) -> Result<CompileOptions, CliError> {
    let options = model::options(flags, targets);
    if flags.precision != Some(PrecisionArg::Mixed) {
        return Ok(options);
    }
    let (sets, told) = match flags.calibrate.clone().unwrap_or_default() {
        CalibrateArg::Seeded => (seeded_sets(graphs)?, "seeded".to_owned()),
        CalibrateArg::Folder(folder) => {
            let sets = stored_sets(&folder, graphs)?;
            let told = told(&sets);
            (sets, told)
        }
    };
    let budget = flags.budget.unwrap_or(DEFAULT_BUDGET);
    Ok(CompileOptions { mixed: Some(Mixed { budget, sets, told }), ..options })
}

/// Random inputs for the shapes that a graph has, in its order: those that `driftc verify` replays without data. Free sizes are
/// the largest that they may be.
pub(crate) fn random_inputs(graph: &Graph) -> Result<Vec<HostTensor>, CliError> {
    let random = |id: &ValueId| {
        let value = graph.value(*id);
        let largest = |dim: &drift_ir::Dim| dim.range(&graph.symbols).1;
        let sizes: Option<Vec<u64>> = value.ty.shape.iter().map(largest).collect();
        let form = graph.host_forms.get(&value.name).copied();
        let IoTensor { name, element, shape, .. } = match sizes {
            Some(shape) => {
                host::io_tensor(&value.name, &drift_ir::TensorType::fixed(value.ty.element, &shape), form)?
            }
            None => host::io_tensor(&value.name, &value.ty, form)?,
        };
        random::tensor(&name, element, &shape)
            .map_err(|source| CliError::Tensor { name: value.name.clone(), source })
    };
    graph.inputs().iter().map(random).collect()
}

fn seeded_sets(graphs: &[&Graph]) -> Result<Vec<CalibrationSet>, CliError> {
    let of_graph = |graph: &&Graph| {
        let names = graph.inputs().iter().map(|&input| graph.value(input).name.clone());
        let tensors = random_inputs(graph)?;
        let pairs = names.zip(tensors).map(|(name, tensor)| Ok((name, tensor.to_ir()?)));
        pairs.collect::<Result<CalibrationSet, CliError>>()
    };
    graphs.iter().map(of_graph).collect()
}

/// The sets of a folder: `test_data_set_N`, as the ONNX backend tests have them, or `.npy` files called as inputs are, in the folder or in
/// folders of it.
fn stored_sets(folder: &Path, graphs: &[&Graph]) -> Result<Vec<CalibrationSet>, CliError> {
    let mut sets = Vec::new();
    for data in dataset::numbered_sets(folder)? {
        for graph in graphs {
            sets.extend(numbered_set(&data, graph)?);
        }
    }
    let mut folders = vec![folder.to_owned()];
    folders.extend(dataset::list(folder)?.into_iter().filter(|path| path.is_dir()));
    for folder in folders {
        for graph in graphs {
            sets.extend(named_set(&folder, graph)?);
        }
    }
    match sets.is_empty() {
        false => Ok(sets),
        true => {
            let inputs = |graph: &&Graph| names(graph).collect::<Vec<_>>();
            let inputs = graphs.iter().flat_map(inputs).collect();
            Err(CliError::NoCalibration { folder: folder.to_owned(), inputs })
        }
    }
}

fn names<'a>(graph: &'a Graph) -> impl Iterator<Item = String> + 'a {
    graph.inputs().iter().map(|&input| graph.value(input).name.clone())
}

/// `input_J`, by the names that the files hold, or else as they are numbered. Files for inputs that became constants are
/// left out where they have names.
fn numbered_set(data: &DataSet, graph: &Graph) -> Result<Option<CalibrationSet>, CliError> {
    let names: Vec<String> = names(graph).collect();
    let stored: Vec<(String, HostTensor)> =
        data.inputs.iter().map(|path| tensor_file::read_named(path)).collect::<Result<_, _>>()?;
    let by_name = |name: &String| stored.iter().find(|(other, _)| other == name).map(|(_, tensor)| tensor);
    let found: Option<Vec<&HostTensor>> = names.iter().map(by_name).collect();
    let in_order =
        || (stored.len() == names.len()).then(|| stored.iter().map(|(_, tensor)| tensor).collect());
    found.or_else(in_order).map(|tensors| set(&names, tensors)).transpose()
}

/// `NAME.npy` for each input, under the names that `driftc run --output-dir` gives files.
fn named_set(folder: &Path, graph: &Graph) -> Result<Option<CalibrationSet>, CliError> {
    let names: Vec<String> = names(graph).collect();
    let files = file_names(names.iter().map(String::as_str), "npy");
    let path = |(name, file): (&String, String)| -> Option<PathBuf> {
        let is_plain = !name.contains(['/', '\\', '\0']);
        let plain = is_plain.then(|| folder.join(format!("{name}.npy")));
        [Some(folder.join(file)), plain].into_iter().flatten().find(|path| path.is_file())
    };
    let Some(paths) = names.iter().zip(files).map(path).collect::<Option<Vec<_>>>() else { return Ok(None) };
    if paths.is_empty() {
        return Ok(None);
    }
    let tensors = paths.iter().map(|path| tensor_file::read(path)).collect::<Result<Vec<_>, _>>()?;
    set(&names, tensors.iter().collect()).map(Some)
}

fn set(names: &[String], tensors: Vec<&HostTensor>) -> Result<CalibrationSet, CliError> {
    let pairs = names.iter().zip(tensors).map(|(name, tensor)| Ok((name.clone(), tensor.to_ir()?)));
    pairs.collect()
}

/// What a bundle says of the data: how many sets, and a hash of what is in them; folders are nobody else's business.
fn told(sets: &[CalibrationSet]) -> String {
    let mut hasher = blake3::Hasher::new();
    for (at, set) in sets.iter().enumerate() {
        for (name, tensor) in set {
            hash(&mut hasher, at, name, tensor);
        }
    }
    format!("{} set(s) {}", sets.len(), &hasher.finalize().to_hex()[..16])
}

fn hash(hasher: &mut blake3::Hasher, at: usize, name: &str, tensor: &Tensor) {
    hasher.update(format!("{at} {name:?} {:?} {:?} ", tensor.element(), tensor.shape()).as_bytes());
    tensor.stored().into_iter().for_each(|bytes| {
        hasher.update(bytes);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn graph() -> Graph {
        drift_ir::text::parse("%x: f32[2]\n%z: f32[1]\n%y = add %x, %z\nreturn %y").unwrap()
    }

    fn write(path: &Path, values: &[f32]) {
        let data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let tensor =
            HostTensor::new(drift_bundle::manifest::HostElement::F32, vec![values.len() as u64], data)
                .unwrap();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, crate::npy::write(&tensor)).unwrap();
    }

    #[test]
    fn folders_hold_sets_by_number_or_by_name() {
        let root = tempfile::tempdir().unwrap();
        let graph = graph();
        assert!(stored_sets(root.path(), &[&graph]).unwrap_err().to_string().contains("`x`, `z`"));
        write(&root.path().join("a/x.npy"), &[1.0, 2.0]);
        assert!(stored_sets(root.path(), &[&graph]).is_err(), "z is missing");
        write(&root.path().join("a/z.npy"), &[3.0]);
        write(&root.path().join("test_data_set_0/input_0.npy"), &[4.0, 5.0]);
        write(&root.path().join("test_data_set_0/input_1.npy"), &[6.0]);
        let sets = stored_sets(root.path(), &[&graph]).unwrap();
        let first: Vec<f32> = sets.iter().map(|set| set["x"].to_f32_vec()[0]).collect();
        assert_eq!(first, [4.0, 1.0]);
        let before = told(&sets);
        write(&root.path().join("a/z.npy"), &[3.5]);
        assert_ne!(before, told(&stored_sets(root.path(), &[&graph]).unwrap()), "other data, another flag");
    }
}

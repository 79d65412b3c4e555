//! Parts of models: what a data set of the whole has for them.

use crate::dataset::DataSet;
use crate::error::CliError;
use crate::host::HostTensor;
use crate::tensor_file;
use drift_ir::Graph;
use std::path::PathBuf;

/// A model that is cut.
pub(super) struct Part {
    /// The outputs of the whole.
    pub(super) all_outputs: Vec<String>,
}

impl Part {
    /// The stored outputs of a part, if all of them are stored.
    pub(super) fn outputs(
        &self,
        data: &DataSet,
        own: &[String],
    ) -> Result<Option<Vec<HostTensor>>, CliError> {
        let mut stored = named(&data.outputs, &self.all_outputs, own)?;
        let take = |name: &String| {
            let at = stored.iter().position(|(stored, _)| stored == name)?;
            Some(stored.swap_remove(at).1)
        };
        Ok(own.iter().map(take).collect())
    }
}

/// The stored inputs of a part, in its order; some may be missing.
pub(super) fn inputs(
    data: &DataSet,
    all: &[String],
    own: &[String],
) -> Result<Vec<(String, HostTensor)>, CliError> {
    let mut stored = named(&data.inputs, all, own)?;
    stored.sort_by_key(|(name, _)| own.iter().position(|own| own == name));
    Ok(stored)
}

/// Inputs in the graph's order: stored where they are, else random.
pub(super) fn filled(
    mut inputs: Vec<HostTensor>,
    graph: &Graph,
    stored: Vec<(String, HostTensor)>,
) -> Vec<HostTensor> {
    for (name, tensor) in stored {
        let place = graph.inputs().iter().position(|&input| graph.value(input).name == name);
        if let Some(place) = place {
            inputs[place] = tensor;
        }
    }
    inputs
}

/// The tensors of a part among those of a data set: by the names in the files, else as they are numbered, in the whole or in the
/// part, whichever has so many. Files of others are not read where their numbers say so.
fn named(files: &[PathBuf], all: &[String], own: &[String]) -> Result<Vec<(String, HostTensor)>, CliError> {
    let numbered = [all, own].into_iter().find(|names| names.len() == files.len());
    let mut found: Vec<(String, HostTensor)> = Vec::new();
    for (index, path) in files.iter().enumerate() {
        let by_number = numbered.map(|names| &names[index]);
        let read = tensor_file::read_named(path);
        let (name, tensor) = match (read, by_number) {
            // What the part does not read may be of any type.
            (Err(_), Some(name)) if !own.contains(name) => continue,
            (read, _) => read?,
        };
        let is_known = all.contains(&name) || own.contains(&name);
        let name = if is_known { Some(name) } else { by_number.cloned() };
        if let Some(name) = name.filter(|name| own.contains(name))
            && !found.iter().any(|(earlier, _)| *earlier == name)
        {
            found.push((name, tensor));
        }
    }
    Ok(found)
}

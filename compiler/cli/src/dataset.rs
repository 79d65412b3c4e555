//! Finds models, bundles and their data in the ONNX backend-test layout.
//!
//! A folder holds `model.onnx` beside `test_data_set_N/{input,output}_J.pb`, or `.npy`. A folder without a model of its own
//! stands for the model folders in it. A model file stands for itself, with the data beside it if it is called
//! `model.onnx`; a bundle has the data beside it whatever its name. Data may be in a folder of their own too. A file `case.json` beside
//! `model.onnx` may say by how much results may differ, `{"rtol": 1e-3, "atol": 1e-7}`, and what the case is about (`ops`, `dtypes`, `kind`), and nothing else.

use crate::error::CliError;
use crate::files;
use std::fs;
use std::path::{Path, PathBuf};

/// What a case replays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A model, which is compiled first.
    Model,
    /// A bundle.
    Bundle,
}

/// A model or a bundle with its data sets.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// Name of the folder, or of the file where it is not called `model.onnx`.
    pub name: String,
    /// Which of both.
    pub kind: Kind,
    /// The model or bundle.
    pub path: PathBuf,
    /// In numeric order; empty where there is no data.
    pub data_sets: Vec<DataSet>,
    /// What its folder says of the tolerance.
    pub tolerance: OwnTolerance,
}

/// By how much results of a model may differ, where its folder says it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct OwnTolerance {
    /// Relative.
    pub rtol: Option<f64>,
    /// Absolute.
    pub atol: Option<f64>,
}

/// One folder of inputs and the outputs expected for them, both in numeric order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataSet {
    /// The folder.
    pub folder: PathBuf,
    /// `input_J`.
    pub inputs: Vec<PathBuf>,
    /// `output_J`.
    pub outputs: Vec<PathBuf>,
}

/// What tensors are stored in.
const EXTENSIONS: &[&str] = &[".pb", ".npy"];

/// The models and bundles that `path` stands for, in the order of their names, with the data in `data` or beside them.
pub fn find(path: &Path, data: Option<&Path>) -> Result<Vec<Case>, CliError> {
    if !path.is_dir() {
        let kind = if files::is_bundle(path)? { Kind::Bundle } else { Kind::Model };
        let folder = path.parent().unwrap_or(Path::new(""));
        return Ok(vec![case(folder, path, kind, data)?]);
    }
    let own = path.join("model.onnx");
    if own.is_file() {
        return Ok(vec![case(path, &own, Kind::Model, data)?]);
    }
    let mut cases = Vec::new();
    for folder in list(path)? {
        let model = folder.join("model.onnx");
        if model.is_file() {
            cases.push(case(&folder, &model, Kind::Model, data)?);
        }
    }
    if cases.is_empty() { Err(CliError::NoModel(path.to_owned())) } else { Ok(cases) }
}

fn case(folder: &Path, path: &Path, kind: Kind, data: Option<&Path>) -> Result<Case, CliError> {
    let is_layout = path.file_name().is_some_and(|name| name == "model.onnx");
    // `.` has no name of its own, but the folder that it stands for has.
    let named = if is_layout { fs::canonicalize(folder).ok().as_deref().and_then(last) } else { None };
    let name = named.or_else(|| last(path)).unwrap_or_default();
    let data_sets = match data {
        Some(data) => given_data_sets(data)?,
        None if is_layout || kind == Kind::Bundle => data_sets(folder)?,
        None => Vec::new(),
    };
    let tolerance = if is_layout { own_tolerance(folder)? } else { OwnTolerance::default() };
    Ok(Case { name, kind, path: path.to_owned(), data_sets, tolerance })
}

fn own_tolerance(folder: &Path) -> Result<OwnTolerance, CliError> {
    /// Bytes of a file that says two numbers and perhaps what the case is about.
    const MOST: u64 = 1 << 20;
    /// What the file may say. A key that is none of these is a mistake that nobody would notice otherwise.
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "what a case is about is for people")]
    struct Said {
        rtol: Option<f64>,
        atol: Option<f64>,
        ops: Option<serde::de::IgnoredAny>,
        dtypes: Option<serde::de::IgnoredAny>,
        kind: Option<serde::de::IgnoredAny>,
    }
    let path = folder.join("case.json");
    let error = |reason: String| CliError::CaseFile { path: path.clone(), reason };
    match fs::metadata(&path) {
        Ok(file) if file.is_file() && file.len() <= MOST => {}
        Ok(_) => return Err(error(format!("no file of at most {MOST} bytes"))),
        Err(_) => return Ok(OwnTolerance::default()),
    }
    let text = fs::read_to_string(&path).map_err(|source| error(source.to_string()))?;
    let said: Said = serde_json::from_str(&text).map_err(|source| error(source.to_string()))?;
    let own = OwnTolerance { rtol: said.rtol, atol: said.atol };
    let is_tolerance = |number: f64| number.is_finite() && number >= 0.0;
    if !own.rtol.into_iter().chain(own.atol).all(is_tolerance) {
        return Err(error("`rtol` and `atol` are numbers from 0 on".to_owned()));
    }
    Ok(own)
}

/// The sets in a folder, or the folder as the only one.
fn given_data_sets(folder: &Path) -> Result<Vec<DataSet>, CliError> {
    let mut sets = data_sets(folder)?;
    if sets.is_empty() {
        sets.push(data_set(folder.to_owned())?);
    }
    if sets.iter().all(|set| set.inputs.is_empty() && set.outputs.is_empty()) {
        return Err(CliError::NoData(folder.to_owned()));
    }
    Ok(sets)
}

/// The sets of a folder that are numbered; none where it has no such.
pub fn numbered_sets(folder: &Path) -> Result<Vec<DataSet>, CliError> {
    data_sets(folder)
}

fn data_sets(folder: &Path) -> Result<Vec<DataSet>, CliError> {
    numbered(folder, "test_data_set_", &[""])?.into_iter().map(|(_, folder)| data_set(folder)).collect()
}

fn data_set(folder: PathBuf) -> Result<DataSet, CliError> {
    let files = |prefix| {
        let files = numbered(&folder, prefix, EXTENSIONS)?;
        if let Some([_, (number, _)]) = files.array_windows().find(|[(a, _), (b, _)]| a == b) {
            return Err(CliError::DataTwice { folder: folder.clone(), file: format!("{prefix}{number}") });
        }
        match files.iter().zip(0..).find(|((number, _), index)| number != index) {
            None => Ok(files.into_iter().map(|(_, path)| path).collect()),
            Some((_, index)) => {
                Err(CliError::DataGap { folder: folder.clone(), file: format!("{prefix}{index}.pb") })
            }
        }
    };
    let (inputs, outputs) = (files("input_")?, files("output_")?);
    Ok(DataSet { inputs, outputs, folder })
}

/// What is called `PREFIX N SUFFIX` in a folder, by N, with any of the suffixes.
fn numbered(folder: &Path, prefix: &str, suffixes: &[&str]) -> Result<Vec<(u64, PathBuf)>, CliError> {
    let number = |path: &PathBuf| {
        let name = last(path)?;
        let rest = name.strip_prefix(prefix)?;
        suffixes.iter().find_map(|suffix| rest.strip_suffix(suffix)?.parse::<u64>().ok())
    };
    let mut found: Vec<(u64, PathBuf)> =
        list(folder)?.into_iter().filter_map(|path| number(&path).map(|number| (number, path))).collect();
    found.sort();
    Ok(found)
}

/// What is in a folder, in the order of the names.
pub fn list(folder: &Path) -> Result<Vec<PathBuf>, CliError> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let unreadable = |source| CliError::Read { path: folder.to_owned(), source };
    let entries = fs::read_dir(folder).map_err(unreadable)?;
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(unreadable)?;
    paths.sort();
    Ok(paths)
}

fn last(path: &Path) -> Option<String> {
    path.file_name().map(|name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"").unwrap();
        }
        root
    }

    fn names(cases: &[Case]) -> Vec<&str> {
        cases.iter().map(|case| case.name.as_str()).collect()
    }

    #[test]
    fn numbers_are_ordered_as_numbers() {
        let files: Vec<String> = (0..12).map(|index| format!("m/test_data_set_0/input_{index}.pb")).collect();
        let mut files: Vec<&str> = files.iter().map(String::as_str).collect();
        files.extend(["m/model.onnx", "m/test_data_set_0/output_0.pb", "m/test_data_set_10/input_0.pb"]);
        files.extend(["m/test_data_set_2/input_0.pb", "m/test_data_set_x/input_0.pb"]);
        let root = make(&files);
        let cases = find(&root.path().join("m"), None).unwrap();
        assert_eq!(names(&cases), ["m"]);
        let sets: Vec<_> = cases[0].data_sets.iter().map(|set| last(&set.folder).unwrap()).collect();
        assert_eq!(sets, ["test_data_set_0", "test_data_set_2", "test_data_set_10"]);
        assert_eq!(last(&cases[0].data_sets[0].inputs[11]).unwrap(), "input_11.pb");
        assert_eq!(cases[0].data_sets[0].outputs.len(), 1);
    }

    #[test]
    fn a_folder_of_folders_is_all_its_models() {
        let root = make(&["b/model.onnx", "a/model.onnx", "c/readme.md"]);
        assert_eq!(names(&find(root.path(), None).unwrap()), ["a", "b"]);
    }

    #[test]
    fn a_file_of_another_name_has_no_data() {
        let root = make(&["net.onnx", "test_data_set_0/input_0.pb"]);
        let cases = find(&root.path().join("net.onnx"), None).unwrap();
        assert_eq!(names(&cases), ["net.onnx"]);
        assert!(cases[0].data_sets.is_empty());
    }

    #[test]
    fn data_may_be_arrays_and_lie_elsewhere() {
        let root = make(&[
            "net.onnx",
            "d/test_data_set_0/input_0.npy",
            "d/test_data_set_0/input_1.pb",
            "e/output_0.npy",
        ]);
        fs::write(root.path().join("net.drift"), drift_bundle::MAGIC).unwrap();
        let found = |file: &str, data: &str| {
            find(&root.path().join(file), Some(&root.path().join(data))).map(|mut cases| cases.remove(0))
        };
        let sets = found("net.onnx", "d").unwrap().data_sets;
        assert_eq!((sets.len(), last(&sets[0].inputs[0]).unwrap().as_str()), (1, "input_0.npy"));
        let bundle = found("net.drift", "e").unwrap();
        assert_eq!((bundle.kind, bundle.data_sets[0].outputs.len()), (Kind::Bundle, 1));
        assert!(matches!(found("net.onnx", ""), Err(CliError::NoData(_))));
        fs::write(root.path().join("e/output_0.pb"), b"").unwrap();
        assert!(found("net.onnx", "e").unwrap_err().to_string().contains("output_0 twice"));
    }

    #[test]
    fn a_bundle_has_the_data_beside_it() {
        let root = make(&["test_data_set_0/input_0.pb"]);
        fs::write(root.path().join("net.drift"), drift_bundle::MAGIC).unwrap();
        assert_eq!(find(&root.path().join("net.drift"), None).unwrap()[0].data_sets.len(), 1);
    }

    #[test]
    fn a_case_says_what_is_known_and_nothing_else() {
        let root = make(&["m/model.onnx"]);
        let path = root.path().join("m");
        let of = |text: &str| {
            fs::write(path.join("case.json"), text).unwrap();
            find(&path, None).map(|cases| cases[0].tolerance)
        };
        let own = OwnTolerance { rtol: Some(1e-3), atol: None };
        assert_eq!(of(r#"{"rtol": 1e-3, "ops": ["Add"], "dtypes": [], "kind": "tensor"}"#).unwrap(), own);
        assert!(of(r#"{"rtoll": 1e-3}"#).unwrap_err().to_string().contains("rtoll"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let root = make(&["m/model.onnx", "m/test_data_set_0/input_1.pb", "empty/readme.md"]);
        let message = |path: &str| find(&root.path().join(path), None).unwrap_err().to_string();
        assert!(message("m").contains("input_0.pb"), "{}", message("m"));
        assert!(message("empty").contains("model.onnx"), "{}", message("empty"));
        assert!(message("nowhere.onnx").contains("cannot read"));
    }
}

//! `cargo xtask node-tests FOLDER`: the onnx package's node tests against the list of those that are not right. Takes minutes.
//!
//! The folder holds a folder for each test, with its `model.onnx`, its data sets and a `case.json` of its tolerance. A test that
//! `tests/models/node_tests.txt` does not name has to be right, and run on the device; one that it names has to end as it says, refused for the
//! reason of its class. So a test that becomes right leaves the list in the change that makes it so.

use crate::prerequisites::{self, CPP_COMPILER, VULKAN_DRIVER, VULKAN_LOADER};
use crate::{Failure, shell};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The list, from the root.
const LIST: &str = "tests/models/node_tests.txt";

/// How a test ends that is not right.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    /// For the reason of this class.
    Refused(String),
    /// Constants decide all of it.
    Folded,
    /// Other numbers than the package's, for the reason of this class.
    Differs(String),
}

/// The list's classes and tests.
#[derive(Debug, Default, PartialEq)]
struct List {
    /// By name, what a refusal's reason says.
    classes: BTreeMap<String, String>,
    /// By name, for one target or, without one, for all.
    tests: BTreeMap<(String, Option<String>), End>,
}

/// What the command line says.
#[derive(Debug, PartialEq)]
struct Options {
    folder: PathBuf,
    target: String,
    driftc: Option<PathBuf>,
}

/// Verifies the folder and prints where a test ends otherwise than the list says.
pub(crate) fn node_tests(words: &[&str]) -> Result<(), Failure> {
    let options = options(words)?;
    let text = std::fs::read_to_string(LIST).map_err(|error| Failure::Check(format!("{LIST}: {error}")))?;
    let list = List::parse(&text).map_err(Failure::Check)?;
    prerequisites::ensure(&[&CPP_COMPILER, &VULKAN_LOADER, &VULKAN_DRIVER])?;
    let driftc = match options.driftc {
        Some(driftc) => driftc,
        None => {
            shell::run("cargo", &["build", "--release", "--locked", "--package", "driftc"])?;
            shell::target_directory().join("release").join(format!("driftc{}", std::env::consts::EXE_SUFFIX))
        }
    };
    let report = shell::target_directory().join("node-tests.json");
    let _ = std::fs::remove_file(&report);
    let [program, folder, json] = [&driftc, &options.folder, &report].map(|path| path.display().to_string());
    let verify = ["verify", &folder, "--target", &options.target, "--bind-data", "--json", &json];
    // Tests that are refused or differ are in the report, and no failure of the command.
    let _ = shell::run(&program, &verify);
    let models = models(&report)?;
    let wrong: Vec<String> =
        models.iter().filter_map(|model| list.contradicted_by(model, &options.target)).collect();
    let count = |status: &str| models.iter().filter(|model| model["status"] == status).count();
    println!(
        "\n{}\n{} right, {} folded, {} refused, {} differ, of {}; {} not as {LIST} says",
        wrong.join("\n"),
        count("PASS"),
        count("FOLDED"),
        count("UNSUPPORTED"),
        count("FAIL"),
        models.len(),
        wrong.len()
    );
    if wrong.is_empty() { Ok(()) } else { Err(Failure::Reported) }
}

fn options(words: &[&str]) -> Result<Options, Failure> {
    let (&[folder], mut rest) = words.split_at(words.len().min(1)) else {
        return Err(Failure::Usage("node-tests needs the folder of the tests".to_owned()));
    };
    let path =
        |text: &str| std::path::absolute(text).map_err(|error| Failure::Usage(format!("{text}: {error}")));
    let mut options = Options { folder: path(folder)?, target: "vulkan".to_owned(), driftc: None };
    while let [flag, tail @ ..] = rest {
        let [value, tail @ ..] = tail else {
            return Err(Failure::Usage(format!("`{flag}` is not known, or needs a value")));
        };
        match *flag {
            "--target" => options.target = (*value).to_owned(),
            "--driftc" => options.driftc = Some(path(value)?),
            other => return Err(Failure::Usage(format!("node-tests knows no `{other}`"))),
        }
        rest = tail;
    }
    Ok(options)
}

fn models(report: &Path) -> Result<Vec<Value>, Failure> {
    let bad = |error: &dyn std::fmt::Display| Failure::Check(format!("{}: {error}", report.display()));
    let text = std::fs::read_to_string(report).map_err(|error| bad(&error))?;
    let report: Value = serde_json::from_str(&text).map_err(|error| bad(&error))?;
    match report["models"].as_array() {
        Some(models) if !models.is_empty() => Ok(models.clone()),
        _ => Err(Failure::Check("no test was tried".to_owned())),
    }
}

impl List {
    /// Reads `class NAME = TEXT`, `refused CLASS TEST`, `differs CLASS TEST` and `folded TEST`; the last three may begin with `TARGET:`. A line
    /// with `#` is for people.
    fn parse(text: &str) -> Result<Self, String> {
        let mut list = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            let wrong = |what: &str| format!("{LIST}:{number}: {what}");
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some((name, text)) = line.strip_prefix("class ").and_then(|rest| rest.split_once(" = ")) {
                list.classes.insert(name.trim().to_owned(), text.trim().to_owned());
                continue;
            }
            let (target, line) = match line.split_once(':') {
                Some((target, rest)) => (Some(target.to_owned()), rest),
                None => (None, line),
            };
            let words: Vec<&str> = line.split_whitespace().collect();
            let (end, test) = match words.as_slice() {
                ["refused", class, test] => (End::Refused((*class).to_owned()), test),
                ["differs", class, test] => (End::Differs((*class).to_owned()), test),
                ["folded", test] => (End::Folded, test),
                _ => return Err(wrong("no line of the list")),
            };
            match &end {
                End::Refused(class) | End::Differs(class) if !list.classes.contains_key(class) => {
                    return Err(wrong(&format!("no class `{class}` before it")));
                }
                End::Refused(_) | End::Differs(_) | End::Folded => {}
            }
            if list.tests.insert(((*test).to_owned(), target), end).is_some() {
                return Err(wrong("the test is there twice"));
            }
        }
        Ok(list)
    }

    /// What of a test's end is not as the list says.
    fn contradicted_by(&self, model: &Value, target: &str) -> Option<String> {
        let field = |name: &str| model[name].as_str().unwrap_or_default();
        let (name, status, reason) = (field("name"), field("status"), field("reason"));
        let of = |target: Option<&str>| self.tests.get(&(name.to_owned(), target.map(str::to_owned)));
        let listed = of(Some(target)).or_else(|| of(None));
        let agrees = match (status, listed) {
            ("PASS", None) | ("FOLDED", Some(End::Folded)) | ("FAIL", Some(End::Differs(_))) => true,
            ("UNSUPPORTED", Some(End::Refused(class))) => reason.contains(self.classes[class].as_str()),
            _ => false,
        };
        let said = match listed {
            None => "right".to_owned(),
            Some(End::Folded) => "folded".to_owned(),
            Some(End::Refused(class)) => format!("refused ({class})"),
            Some(End::Differs(class)) => format!("other numbers ({class})"),
        };
        (!agrees).then(|| format!("{name}: {status} {reason}; listed as {said}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const TEXT: &str = "# people\nclass texts = element type string\nclass random = -\n\nrefused texts test_a\n\
                        folded test_b\ndiffers random test_c\nwebgpu: refused texts test_d\n";

    #[test]
    fn a_test_ends_as_it_is_listed_or_is_told() {
        let list = List::parse(TEXT).unwrap();
        let told = |name: &str, status: &str, reason: &str, target: &str| {
            let model = json!({ "name": name, "status": status, "reason": reason });
            list.contradicted_by(&model, target)
        };
        assert_eq!(told("test_a", "UNSUPPORTED", "x: element type string is not supported", "vulkan"), None);
        assert_eq!(told("test_b", "FOLDED", "", "vulkan"), None);
        assert_eq!(told("test_c", "FAIL", "", "opencl"), None);
        assert_eq!(told("test_e", "PASS", "", "opencl"), None);
        assert_eq!(told("test_d", "UNSUPPORTED", "element type string", "webgpu"), None);
        for (name, status, reason) in [
            ("test_a", "PASS", ""),
            ("test_a", "UNSUPPORTED", "another reason"),
            ("test_b", "PASS", ""),
            ("test_d", "UNSUPPORTED", "element type string"),
            ("test_e", "FAIL", ""),
        ] {
            assert!(told(name, status, reason, "vulkan").is_some(), "{name} {status}");
        }
    }

    #[test]
    fn a_line_that_says_nothing_is_refused() {
        for text in ["refused test_a", "refused none test_a", "folded test_a\nfolded test_a", "what"] {
            assert!(List::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_list_is_one() {
        let text =
            std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(LIST)).unwrap();
        assert!(!List::parse(&text).unwrap().tests.is_empty());
    }

    #[test]
    fn a_folder_is_needed() {
        assert!(
            options(&[]).is_err()
                && options(&["f", "--target"]).is_err()
                && options(&["f", "--x", "y"]).is_err()
        );
        assert_eq!(options(&["f", "--target", "webgpu"]).unwrap().target, "webgpu");
    }
}

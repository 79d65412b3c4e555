//! Every operator of ONNX's own domain and of ONNX Runtime's, and what is read of each: `docs/operators.md` and
//! `driftc operators`.
//!
//! Names, operator sets and types come from `schemas`; what is read, from the tables that the importer itself looks
//! operators up in.

use crate::data_type::DataType;
use crate::schemas::{MICROSOFT, Schema, schemas};
use crate::scope::{NEWEST_OPSET, OLDEST_OPSET};
use crate::{branches, loops, ops, scans, sequence, walk};
use std::fmt::Write;

/// What is read of one operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorSupport {
    /// Empty for ONNX's own domain.
    pub domain: &'static str,
    /// The operator.
    pub name: &'static str,
    /// Operator sets in which its form changed, ascending.
    pub since: Vec<u32>,
    /// The operator set that removed it, where one did; models of later ones that use it are read all the same.
    pub removed: Option<u32>,
    /// Element types of the newest form's operands that the importer holds, by ONNX's names. Empty where it is not read.
    pub types: Vec<&'static str>,
    /// Element types of the newest form's operands that it does not hold.
    pub missing_types: Vec<&'static str>,
    /// Whether nodes are read.
    pub status: OperatorStatus,
    /// Valid forms that are refused, or why the operator is; empty where there is nothing to say.
    pub refused: &'static str,
}

/// Whether an operator's nodes are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperatorStatus {
    /// They are, but for the forms that are refused.
    Supported,
    /// They are refused, for a reason that the error states.
    Refused,
    /// Nothing is known of them.
    Unsupported,
}

impl OperatorStatus {
    /// As JSON has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Supported => "supported",
            Self::Refused => "refused",
            Self::Unsupported => "not supported",
        }
    }
}

/// All operators, by domain, then name.
pub fn operators() -> Vec<OperatorSupport> {
    schemas().map(one).collect()
}

fn one(Schema { domain, name, since, types }: Schema) -> OperatorSupport {
    let (status, refused) = status(domain, name);
    let number = |text: &str| text.trim_end_matches('!').parse::<u32>().ok();
    let forms: Vec<u32> = since.split(',').filter_map(number).collect();
    // A form that a later one replaced is one of its forms, even where ONNX withdrew it.
    let (since, removed) = match forms.split_last() {
        Some((&last, rest)) if since.ends_with('!') => (rest.to_vec(), Some(last)),
        _ => (forms, None),
    };
    let all = types.split(',').filter(|&ty| ty != "-");
    let (types, missing_types) = match status {
        OperatorStatus::Supported => all.partition(|ty| holds(name, ty)),
        OperatorStatus::Refused | OperatorStatus::Unsupported => (Vec::new(), all.collect()),
    };
    OperatorSupport { domain, name, since, removed, types, missing_types, status, refused }
}

/// Whether an operator's nodes are read, and what is refused of them.
fn status(domain: &str, name: &str) -> (OperatorStatus, &'static str) {
    if let Some(operator) = ops::find(domain, name) {
        return (OperatorStatus::Supported, operator.refused);
    }
    match (domain, name) {
        ("", "If") => (OperatorStatus::Supported, branches::REFUSED),
        ("", "Loop") => (OperatorStatus::Supported, loops::REFUSED),
        ("", "Scan") => (OperatorStatus::Supported, scans::REFUSED),
        ("", "SequenceMap") => (OperatorStatus::Supported, sequence::REFUSED),
        ("", name) if sequence::is_operator(name) => (OperatorStatus::Supported, sequence::REFUSED),
        _ => match walk::why_refused(domain, name) {
            Some(reason) => (OperatorStatus::Refused, reason),
            None => (OperatorStatus::Unsupported, ""),
        },
    }
}

/// Whether an operator's operands may have the type: integers of fewer than eight bits are known to some only.
fn holds(operator: &str, name: &str) -> bool {
    let known = DataType::ALL.into_iter().find(|ty| ty.name() == name);
    known.is_some_and(|ty| !ty.is_narrow() || walk::knows_narrow(operator))
}

/// The page `docs/operators.md`.
pub fn operators_page() -> String {
    let all = operators();
    let mut page = format!(
        "# Operators\n\n\
         Written by `driftc operators`, which prints this page; `cargo test -p drift-onnx` compares the two. `--json` gives the same as JSON.\n\n\
         Operator sets {OLDEST_OPSET} to {NEWEST_OPSET} are read. *Changed in* are the operator sets that gave the operator a new form; all forms from \
         {OLDEST_OPSET} on are read, and an\noperator that a later set removed is read there, too. *Types* are those of the newest form's operands that the \
         importer holds (`onnx.md`\nsays as what, and which may be inputs and outputs of a model); not held are {UNHELD}, nor floats of\neight and fewer bits and integers of fewer than eight \
         where they are not listed. *Refused* are valid forms that end in an error which names the node; operands\nthat are shapes, axes, scales and the \
         like must be constants or follow from shapes everywhere.\n"
    );
    for (domain, title) in [("", "ONNX"), (MICROSOFT, "ONNX Runtime (`com.microsoft`)")] {
        let of: Vec<&OperatorSupport> = all.iter().filter(|operator| operator.domain == domain).collect();
        let read = of.iter().filter(|operator| operator.status == OperatorStatus::Supported).count();
        // Writing to a string cannot fail.
        let _ = write!(
            page,
            "\n## {title}\n\n{read} of {} operators are read.\n\n\
             | Operator | Changed in | Types | Refused |\n|---|---|---|---|\n",
            of.len()
        );
        for operator in of {
            page.push_str(&row(operator));
        }
    }
    page
}

/// Types that the importer holds for no operator.
const UNHELD: &str = "strings and complex numbers";

fn row(operator: &OperatorSupport) -> String {
    let mut since: Vec<String> = operator.since.iter().map(u32::to_string).collect();
    since.extend(operator.removed.map(|set| format!("removed in {set}")));
    let types: Vec<String> = operator.types.iter().map(|ty| short(ty)).collect();
    let refused = match operator.status {
        OperatorStatus::Supported => operator.refused.to_owned(),
        OperatorStatus::Refused => format!("refused: {}", operator.refused),
        OperatorStatus::Unsupported => "not supported".to_owned(),
    };
    format!("| `{}` | {} | {} | {refused} |\n", operator.name, since.join(", "), types.join(" "))
}

/// `float16` as `f16`, `uint8` as `u8`: the table stays readable.
fn short(ty: &str) -> String {
    match ty {
        "double" => "f64".to_owned(),
        "float" => "f32".to_owned(),
        "bool" => "bool".to_owned(),
        _ => ty.replace("bfloat", "bf").replace("float", "f").replace("uint", "u").replace("int", "i"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bodies;
    use crate::schemas::is_unknown;

    #[test]
    fn the_page_is_what_the_tables_say() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operators.md");
        let stored = std::fs::read_to_string(path).unwrap();
        assert!(
            stored == operators_page(),
            "docs/operators.md is not what the tables say; `driftc operators > docs/operators.md` writes it"
        );
    }

    #[test]
    fn all_that_the_importer_knows_is_listed() {
        let tables = ops::names().chain(sequence::OPERATORS.map(|name| ("", name)));
        let with_bodies = bodies::OPERATORS.map(|name| ("", name));
        for (domain, name) in tables.chain(with_bodies).chain(walk::refused_names()) {
            assert!(!is_unknown(domain, name), "`{domain}` `{name}` is in no list of operators");
        }
        assert!(
            is_unknown("", "Fancy") && is_unknown(MICROSOFT, "Relu") && !is_unknown("com.example", "Relu")
        );
    }

    #[test]
    fn a_refused_operator_is_in_no_other_table() {
        for (domain, name) in walk::refused_names() {
            assert!(ops::find(domain, name).is_none() && !sequence::is_operator(name), "{name}");
        }
    }

    #[test]
    fn each_operator_is_listed_once_with_its_forms() {
        let all = operators();
        let names: Vec<_> = all.iter().map(|operator| (operator.domain, operator.name)).collect();
        assert!(names.is_sorted_by(|a, b| a < b));
        assert!(all.iter().all(|operator| operator.since.is_sorted() && !operator.since.is_empty()));
        let upsample = all.iter().find(|operator| operator.name == "Upsample").unwrap();
        assert_eq!((upsample.since.as_slice(), upsample.removed), (&[1, 7, 9][..], Some(10)));
        let group = all.iter().find(|operator| operator.name == "GroupNormalization").unwrap();
        assert_eq!((group.since.as_slice(), group.removed), (&[18, 21][..], None));
        let refused = all.iter().find(|operator| operator.name == "ImageDecoder").unwrap();
        assert_eq!((refused.status, refused.types.len()), (OperatorStatus::Refused, 0));
    }
}

//! The names of all operators, the operator sets in which their forms changed and the types of their operands:
//! `schemas.txt`, which `schemas.py` writes from the registries of onnx and onnxruntime.

const SCHEMAS: &str = include_str!("schemas.txt");
/// ONNX Runtime's domain, which the file writes in front of a name.
pub(crate) const MICROSOFT: &str = "com.microsoft";

/// One operator.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schema {
    /// Empty for ONNX's own domain.
    pub(crate) domain: &'static str,
    pub(crate) name: &'static str,
    /// Operator sets with commas between them; one that ends in `!` removed the operator.
    pub(crate) since: &'static str,
    /// ONNX's names of the newest form's element types with commas between them; `-` where there is none.
    pub(crate) types: &'static str,
}

/// All operators, by domain, then name.
pub(crate) fn schemas() -> impl Iterator<Item = Schema> {
    let lines = SCHEMAS.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| {
        let mut words = line.split(' ');
        let (name, since, types) = (words.next()?, words.next()?, words.next()?);
        let (domain, name) = name.rsplit_once('.').unwrap_or(("", name));
        Some(Schema { domain, name, since, types })
    })
}

/// Whether the domain is one whose operators are listed, and has none of this name.
pub(crate) fn is_unknown(domain: &str, name: &str) -> bool {
    ["", MICROSOFT].contains(&domain)
        && !schemas().any(|schema| (schema.domain, schema.name) == (domain, name))
}

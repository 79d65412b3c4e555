//! Makes matrices in Metal's own words.
//!
//! naga writes `metal::simdgroup_float8x8 {}` for a matrix of zeros, of which Metal's specification says nothing: what it has is a
//! function that fills one. And a variable that is set later begins as `= {}`, which is left out.

const TYPES: [(&str, &str); 2] = [
    ("metal::simdgroup_float8x8", "metal::make_filled_simdgroup_matrix<float, 8, 8>(0.0f)"),
    ("metal::simdgroup_half8x8", "metal::make_filled_simdgroup_matrix<half, 8, 8>(0.0h)"),
];

/// `text` with zeros that are filled in, and variables without a value that nothing reads.
pub(super) fn in_metals_words(text: &str) -> String {
    if !text.contains("metal::simdgroup_") {
        return text.to_owned();
    }
    text.split_inclusive('\n').map(line).collect()
}

fn line(line: &str) -> String {
    let is_matrix = |(name, _): &&(&str, &str)| line.trim_start().starts_with(name);
    match (TYPES.iter().find(is_matrix), line.strip_suffix(" = {};\n")) {
        (Some(_), Some(variable)) => format!("{variable};\n"),
        _ => TYPES
            .iter()
            .fold(line.to_owned(), |line, (name, zeros)| line.replace(&format!("{name} {{}}"), zeros)),
    }
}

#[cfg(test)]
mod tests {
    use super::in_metals_words;

    #[track_caller]
    fn check(before: &str, after: &str) {
        assert_eq!(in_metals_words(before), after);
    }

    #[test]
    fn zeros_are_filled_in() {
        check(
            "    metal::simdgroup_half8x8 a = metal::simdgroup_half8x8 {};\n",
            "    metal::simdgroup_half8x8 a = metal::make_filled_simdgroup_matrix<half, 8, 8>(0.0h);\n",
        );
        check(
            "    s = f(a, metal::simdgroup_float8x8 {});\n",
            "    s = f(a, metal::make_filled_simdgroup_matrix<float, 8, 8>(0.0f));\n",
        );
    }

    #[test]
    fn variables_begin_without_a_value() {
        check("    metal::simdgroup_float8x8 sum = {};\n", "    metal::simdgroup_float8x8 sum;\n");
    }

    #[test]
    fn all_else_stays() {
        let text =
            "    metal::simdgroup_float8x8 d;\n    uint i = {};\n    metal::float4 v = metal::float4 {};\n}";
        check(text, text);
    }
}

//! Identifiers of the emitted text.
//!
//! Names of the WGSL source are kept; a number is appended only where C could not tell two things apart, or where
//! OpenCL C gives the word a meaning of its own. Scopes follow the blocks of the emitted text, so that two loops
//! may both count with `i`.

use std::collections::HashSet;

/// The names visible at one point of the emitted text, innermost scope last.
#[derive(Clone, Debug)]
pub(super) struct Scopes {
    scopes: Vec<HashSet<String>>,
}

impl Scopes {
    pub(super) fn new() -> Self {
        Self { scopes: vec![HashSet::new()] }
    }

    pub(super) fn enter(&mut self) {
        self.scopes.push(HashSet::new());
    }

    pub(super) fn leave(&mut self) {
        self.scopes.pop();
    }

    /// Whether the innermost scope has declared anything.
    pub(super) fn innermost_is_empty(&self) -> bool {
        self.scopes.last().is_none_or(HashSet::is_empty)
    }

    /// Declares `wanted` in the innermost scope under the nearest free identifier, which it returns.
    pub(super) fn declare(&mut self, wanted: &str) -> String {
        let base = identifier(wanted);
        let name = if self.is_free(&base) {
            base
        } else {
            (1..)
                .map(|suffix| format!("{base}_{suffix}"))
                .find(|candidate| self.is_free(candidate))
                .unwrap_or(base)
        };
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name.clone());
        }
        name
    }

    fn is_free(&self, name: &str) -> bool {
        !is_reserved(name) && !self.scopes.iter().any(|scope| scope.contains(name))
    }
}

/// The ASCII identifier nearest to `wanted`, which may hold any character that WGSL allows.
fn identifier(wanted: &str) -> String {
    let mut name = String::with_capacity(wanted.len());
    for c in wanted.chars() {
        match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' => name.push(c),
            ':' | '<' | '>' | ',' | ' ' => name.push('_'),
            _ => name.push_str(&format!("u{:04x}", u32::from(c))),
        }
    }
    if name.is_empty() {
        name.push_str("unnamed");
    }
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert(0, '_');
    }
    name
}

fn is_reserved(name: &str) -> bool {
    // C reserves the first two; the others are names of OpenCL C and our own.
    const PREFIXES: [&str; 15] = [
        "__",
        "_Z",
        "as_",
        "convert_",
        "wgsl_",
        "texel_sampler",
        "_padding_",
        "get_",
        "read_image",
        "write_image",
        "vload",
        "vstore",
        "atomic_",
        "sub_group_",
        "CLK_",
    ];
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || KEYWORDS.contains(&name)
        || MACROS.contains(&name)
        || BUILTINS.contains(&name)
        || is_type_name(name)
}

/// `float`, `float4`, `image2d_t`, ...
fn is_type_name(name: &str) -> bool {
    let base = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let lanes = &name[base.len()..];
    TYPES.contains(&name) || (ELEMENTS.contains(&base) && matches!(lanes, "" | "2" | "3" | "4" | "8" | "16"))
}

const ELEMENTS: [&str; 13] = [
    "bool", "char", "uchar", "short", "ushort", "int", "uint", "long", "ulong", "half", "float", "double",
    "quad",
];

const TYPES: [&str; 27] = [
    "complex",
    "imaginary",
    "signed",
    "unsigned",
    "void",
    "size_t",
    "ptrdiff_t",
    "intptr_t",
    "uintptr_t",
    "event_t",
    "sampler_t",
    "image1d_t",
    "image1d_buffer_t",
    "image1d_array_t",
    "image2d_t",
    "image2d_array_t",
    "image2d_depth_t",
    "image2d_array_depth_t",
    "image2d_msaa_t",
    "image2d_array_msaa_t",
    "image3d_t",
    "queue_t",
    "ndrange_t",
    "clk_event_t",
    "reserve_id_t",
    "cl_mem_fence_flags",
    "bool_t",
];

const KEYWORDS: [&str; 57] = [
    "auto",
    "break",
    "case",
    "const",
    "continue",
    "default",
    "do",
    "else",
    "enum",
    "extern",
    "for",
    "goto",
    "if",
    "inline",
    "register",
    "restrict",
    "return",
    "sizeof",
    "static",
    "struct",
    "switch",
    "typedef",
    "typeof",
    "union",
    "volatile",
    "while",
    "asm",
    "kernel",
    "global",
    "local",
    "constant",
    "private",
    "generic",
    "read_only",
    "write_only",
    "read_write",
    "uniform",
    "pipe",
    "true",
    "false",
    "main",
    // OpenCL C++ and clang's C++ for OpenCL read these files too.
    "class",
    "delete",
    "namespace",
    "new",
    "operator",
    "template",
    "this",
    "throw",
    "try",
    "catch",
    "typename",
    "using",
    "virtual",
    "public",
    "protected",
    "friend",
];

const MACROS: [&str; 32] = [
    "NULL",
    "NAN",
    "INFINITY",
    "MAXFLOAT",
    "HUGE_VAL",
    "HUGE_VALF",
    "CHAR_BIT",
    "CHAR_MAX",
    "CHAR_MIN",
    "SCHAR_MAX",
    "SCHAR_MIN",
    "UCHAR_MAX",
    "SHRT_MAX",
    "SHRT_MIN",
    "USHRT_MAX",
    "INT_MAX",
    "INT_MIN",
    "UINT_MAX",
    "LONG_MAX",
    "LONG_MIN",
    "ULONG_MAX",
    "FLT_DIG",
    "FLT_EPSILON",
    "FLT_MANT_DIG",
    "FLT_MAX",
    "FLT_MIN",
    "FLT_RADIX",
    "HALF_MAX",
    "HALF_MIN",
    "M_E_F",
    "M_PI_F",
    "FP_CONTRACT",
];

/// Functions that a local variable of the same name would hide from the text around it.
const BUILTINS: [&str; 106] = [
    "abs",
    "abs_diff",
    "acos",
    "acosh",
    "add_sat",
    "all",
    "any",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "barrier",
    "bitselect",
    "cbrt",
    "ceil",
    "clamp",
    "clz",
    "copysign",
    "cos",
    "cosh",
    "cospi",
    "cross",
    "ctz",
    "degrees",
    "distance",
    "dot",
    "dot_4x8packed_ss_int",
    "dot_4x8packed_uu_uint",
    "erf",
    "erfc",
    "exp",
    "exp10",
    "exp2",
    "expm1",
    "fabs",
    "fast_length",
    "fdim",
    "floor",
    "fma",
    "fmax",
    "fmin",
    "fmod",
    "fract",
    "frexp",
    "hadd",
    "hypot",
    "ilogb",
    "isequal",
    "isfinite",
    "isgreater",
    "isinf",
    "isless",
    "isnan",
    "isnormal",
    "ldexp",
    "length",
    "lgamma",
    "log",
    "log10",
    "log1p",
    "log2",
    "logb",
    "mad",
    "mad24",
    "mad_hi",
    "max",
    "mem_fence",
    "min",
    "mix",
    "modf",
    "mul24",
    "mul_hi",
    "nextafter",
    "normalize",
    "popcount",
    "pow",
    "pown",
    "powr",
    "prefetch",
    "printf",
    "radians",
    "remainder",
    "remquo",
    "rhadd",
    "rint",
    "rootn",
    "rotate",
    "round",
    "rsqrt",
    "select",
    "shuffle",
    "shuffle2",
    "sign",
    "signbit",
    "sin",
    "sincos",
    "sinh",
    "smoothstep",
    "sqrt",
    "step",
    "sub_sat",
    "tan",
    "tanh",
    "tgamma",
    "trunc",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_name_is_kept_as_it_is() {
        assert_eq!(Scopes::new().declare("acc_4x4"), "acc_4x4");
    }

    #[test]
    fn words_of_the_language_get_a_number() {
        let mut names = Scopes::new();
        assert_eq!(names.declare("kernel"), "kernel_1");
        assert_eq!(names.declare("float4"), "float4_1");
        assert_eq!(names.declare("step"), "step_1");
        assert_eq!(names.declare("main"), "main_1");
        assert_eq!(names.declare("float5"), "float5");
    }

    #[test]
    fn a_name_is_free_again_after_its_scope() {
        let mut names = Scopes::new();
        names.enter();
        assert_eq!(names.declare("i"), "i");
        assert_eq!(names.declare("i"), "i_1");
        names.leave();
        assert_eq!(names.declare("i"), "i");
    }

    #[test]
    fn letters_outside_ascii_are_spelled_out() {
        assert_eq!(Scopes::new().declare("größe"), "gru00f6u00dfe");
    }
}

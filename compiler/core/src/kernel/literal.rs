//! Numbers as WGSL text: the one place that spells them, so that what has no literal cannot be written as one.

use std::fmt;

/// A number or truth value of a kernel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Literal {
    /// `f32`.
    F32(f32),
    /// `i32`.
    I32(i64),
    /// `u32`.
    U32(u64),
    /// `bool`.
    Bool(bool),
}

impl Literal {
    /// The type in WGSL.
    const fn ty(self) -> &'static str {
        match self {
            Self::F32(_) => "f32",
            Self::I32(_) => "i32",
            Self::U32(_) => "u32",
            Self::Bool(_) => "bool",
        }
    }

    /// The same in four lanes.
    pub(super) fn in_all_lanes(self) -> String {
        format!("vec4<{}>({self})", self.ty())
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            // WGSL has no literal of infinities and NaNs, but their bits have one.
            Self::F32(value) if !value.is_finite() => write!(f, "bitcast<f32>({:#x}u)", value.to_bits()),
            // The shortest that reads back.
            Self::F32(value) => write!(f, "{value:?}f"),
            // The digits of the least i32 alone are too large.
            Self::I32(value) if value == i64::from(i32::MIN) => f.write_str("(-2147483647i - 1i)"),
            Self::I32(value) => write!(f, "{value}i"),
            Self::U32(value) => write!(f, "{value}u"),
            Self::Bool(value) => write!(f, "{value}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use naga::{Expression, Literal as Parsed};

    /// What naga reads: the value of the only literal, or the bits of one that is bitcast.
    fn read(literal: Literal) -> Vec<Parsed> {
        let source = format!("@compute @workgroup_size(1) fn f() {{ var a = {literal}; }}");
        let module = crate::module::parse(&source).expect("a literal parses");
        let entry = &module.entry_points[0].function;
        let literals = entry.expressions.iter().chain(module.global_expressions.iter());
        literals.filter_map(|(_, e)| if let Expression::Literal(l) = e { Some(*l) } else { None }).collect()
    }

    #[test]
    fn every_number_reads_back() {
        let floats = [0.0, -0.0, 1.0, -2.5, 0.1, 1e-45, f32::MIN_POSITIVE, f32::MAX, f32::MIN, 1e30, 3e9];
        for value in floats {
            let found = read(Literal::F32(value));
            let same = |l: &Parsed| matches!(l, Parsed::F32(v) if v.to_bits() == value.to_bits());
            assert!(found.iter().any(same), "{value}: {found:?}");
        }
        for value in [0, 1, -1, i32::MAX, i32::MIN, i32::MIN + 1] {
            assert!(read(Literal::I32(value.into())).contains(&Parsed::I32(value)), "{value}");
        }
        for value in [0, u32::MAX] {
            assert!(read(Literal::U32(value.into())).contains(&Parsed::U32(value)), "{value}");
        }
        for value in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
            assert!(read(Literal::F32(value)).contains(&Parsed::U32(value.to_bits())), "{value}");
        }
    }
}

//! WGSL as WebGPU accepts it.
//!
//! naga's own dialect differs: it needs no `enable subgroups;` and prints none, so that line is added here. What only
//! native devices have (cooperative matrices, image buffers, wide integers) is refused.

use std::collections::BTreeSet;

use naga::Module;
use naga::back::wgsl;
use naga::valid::ModuleInfo;

use crate::{Code, EmitError, Emitted, Feature, Target, bindings};

pub(crate) fn emit(
    module: &Module,
    info: &ModuleInfo,
    features: BTreeSet<Feature>,
) -> Result<Emitted, EmitError> {
    for &feature in &features {
        refuse(feature)?;
    }
    let text = wgsl::write_string(module, info, wgsl::WriterFlags::empty()).map_err(EmitError::Wgsl)?;
    Ok(Emitted {
        target: Target::WebGpu,
        entry_point: module.entry_points[0].name.clone(),
        code: Code::Text(format!("{}{}", enables(&features), special_values(short_literals(&text)))),
        bindings: bindings::as_declared(module),
        features,
        validated: false,
    })
}

/// Float literals as every browser reads them. naga prints all digits before and after the point, up to 45 of them, and not
/// every lexer takes so many; with an exponent nine are enough. The largest f32 has decimal forms above itself only, which
/// browsers refuse, so it is in hexadecimal.
fn short_literals(text: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    let mut spelled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_part) {
        let (before, from) = rest.split_at(start);
        let (word, after) = from.split_at(from.find(|c| !is_part(c)).unwrap_or(from.len()));
        spelled.push_str(before);
        match short_literal(word) {
            Some(short) => spelled.push_str(&short),
            None => spelled.push_str(word),
        }
        rest = after;
    }
    spelled.push_str(rest);
    spelled
}

/// Digits of a literal that is left as naga prints it.
const MOST_DIGITS: usize = 16;

fn short_literal(word: &str) -> Option<String> {
    let digits = word.strip_suffix(['f', 'h'])?;
    let plain = digits.chars().all(|c| c.is_ascii_digit() || c == '.');
    if !plain || digits.len() <= MOST_DIGITS {
        return None;
    }
    let value: f32 = digits.parse().ok()?;
    let suffix = &word[digits.len()..];
    Some(if value == f32::MAX { "0x1.fffffep+127f".to_owned() } else { format!("{value:e}{suffix}") })
}

/// Infinities and NaNs at run time. WGSL refuses an expression of constants that is not finite, and `bitcast<f32>` of a
/// literal is one, but not what a variable holds.
fn special_values(mut text: String) -> String {
    const CAST: &str = "bitcast<f32>(";
    let mut declared = BTreeSet::new();
    let mut at = 0;
    while let Some(found) = text[at..].find(CAST) {
        at += found + CAST.len();
        let Some((literal, _)) = text[at..].split_once("u)") else { break };
        let Some(bits) = literal.parse().ok().filter(|&bits| !f32::from_bits(bits).is_finite()) else {
            continue;
        };
        let end = at + literal.len() + "u".len();
        text.replace_range(at..end, &variable(bits));
        declared.insert(bits);
    }
    for bits in declared {
        text.push_str(&format!("\nvar<private> {}: u32 = {bits:#x}u;\n", variable(bits)));
    }
    text
}

fn variable(bits: u32) -> String {
    format!("bits_{bits:x}")
}

/// The lines that naga leaves out. `enable f16;` is printed by naga.
fn enables(features: &BTreeSet<Feature>) -> &'static str {
    if !features.contains(&Feature::Subgroups) {
        return "";
    }
    // naga ends its own lines with an empty one.
    if features.contains(&Feature::F16) { "enable subgroups;\n" } else { "enable subgroups;\n\n" }
}

fn refuse(feature: Feature) -> Result<(), EmitError> {
    let reason = match feature {
        Feature::F64 => "WebGPU has no double precision; use f32",
        Feature::Int16 => "WebGPU has no 16-bit integers; pack them in u32",
        Feature::Int64 => "WebGPU has no 64-bit integers; use i32 or pairs of u32",
        Feature::CooperativeMatrix { .. } | Feature::CooperativeVectorMemory => {
            "WebGPU has none; run the `coop-to-loops` lowering first"
        }
        Feature::ImageBuffer => "WebGPU has no texel buffers; use a buffer or a 2D texture",
        Feature::F16 | Feature::Subgroups | Feature::PackedDot | Feature::RuntimeSizedArray => return Ok(()),
    };
    Err(EmitError::Unsupported { target: Target::WebGpu, feature, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_literals_have_exponents() {
        let long = "a_100000000000000000000000000000f = 100000000000000000000000000000f + x[3u] * 0.000000075497894f;";
        let short = "a_100000000000000000000000000000f = 1e29f + x[3u] * 7.5497894e-8f;";
        assert_eq!(short_literals(long), short);
        let limit = short_literals("vec4(-340282350000000000000000000000000000000f)");
        assert_eq!(limit, "vec4(-0x1.fffffep+127f)");
        let least = format!("{}f", f32::from_bits(1));
        assert_eq!(short_literals(&least), "1e-45f");
        for plain in ["1.5f", "12345678901234567890u", "0x7fffffffu", "f32", "x.yzw", "65504h", ""] {
            assert_eq!(short_literals(plain), plain);
        }
    }

    #[test]
    fn what_is_not_finite_comes_from_a_variable() {
        let text = "let a = bitcast<f32>(4286578688u) + bitcast<f32>(x) + bitcast<f32>(4286578688u);\n";
        let expected = "let a = bitcast<f32>(bits_ff800000) + bitcast<f32>(x) + bitcast<f32>(bits_ff800000);\n\
                        \nvar<private> bits_ff800000: u32 = 0xff800000u;\n";
        assert_eq!(special_values(text.to_owned()), expected);
        let finite = "let a = bitcast<f32>(1u);";
        assert_eq!(special_values(finite.to_owned()), finite);
    }
}

//! Accessors of weights in rows of inputs ([`PackedRows`]). They are read like any other tensor whose rows are outputs and whose
//! channels are inputs, decoded, or in chunks of sixteen bytes that the kernel keeps until it needs their numbers:
//! `b_words(row, chunk) -> vec4<u32>`, `b_numbers(words, slice) -> vec4<f32>` for slice `slice` of a chunk, and
//! `b_parameters(row, block) -> vec2<f32>`: an element is its number less the second, times the first.

use super::{Accessors, Binding, Slot, at, line};
use crate::kernel::interface::Accessor;
use crate::physical::weights::{PackedRows, RowFormat, Section, ZeroFormat};
use crate::physical::{Element, LANES};

/// Writes those accessors of `slot` that the kernel calls.
pub(super) fn write(text: &mut String, slot: &Slot, rows: &PackedRows, accessors: &Accessors<'_>) {
    let (name, binding) = (&slot.name, accessors.binding(slot));
    line(text, format_args!("fn {name}_word(index: u32) -> u32 {{"));
    line(text, format_args!("    return {}[index % 4u];\n}}", at(binding, "index / 4u")));
    write_parameters(text, name, rows);
    let compute = slot.layout.element.compute_name();
    if accessors.calls(slot, Accessor::Words) {
        write_chunks(text, slot, rows, binding);
    }
    if accessors.calls(slot, Accessor::Packed) {
        let ty = format!("{}_PACKED", name.to_uppercase());
        line(text, format_args!("alias {ty} = vec4<{compute}>;"));
        line(
            text,
            format_args!("fn {name}_widen(packed: {ty}) -> vec4<{compute}> {{\n    return packed;\n}}"),
        );
        write_read(text, slot, rows, ("packed", compute));
    }
    if accessors.calls(slot, Accessor::Read) {
        write_read(text, slot, rows, ("read", compute));
    }
    if accessors.calls(slot, Accessor::Load) {
        write_read(text, slot, rows, ("load", slot.layout.element.name()));
    }
}

/// What is added to numbers where they are taken out of a word: a power of two whose mantissa they become, so that no
/// conversion of integers is needed.
fn bias(bits: u64) -> u64 {
    if bits == 8 { 0 } else { 1 << bits }
}

/// Four numbers from the low bits of `word`, with their bias.
fn numbers(bits: u64, word: &str) -> String {
    let lanes =
        |of: &dyn Fn(u64) -> u64| (0..LANES).map(|n| format!("{}u", of(n))).collect::<Vec<_>>().join(", ");
    if bits == 8 {
        let shifts = lanes(&|n| n * 8);
        return format!("vec4<f32>((vec4<u32>({word}) >> vec4<u32>({shifts})) & vec4<u32>(255u))");
    }
    let mantissa = 23 - bits;
    let shifts = lanes(&|n| mantissa - n * bits);
    let (mask, exponent) = (((1u64 << bits) - 1) << mantissa, (127 + bits) << 23);
    format!(
        "bitcast<vec4<f32>>(((vec4<u32>({word}) << vec4<u32>({shifts})) & vec4<u32>({mask}u)) | vec4<u32>({exponent}u))"
    )
}

/// `b_parameters`.
fn write_parameters(text: &mut String, name: &str, rows: &PackedRows) {
    line(text, format_args!("fn {name}_parameters(row: u32, block: u32) -> vec2<f32> {{"));
    let RowFormat::Blocks { bits, scale, zeros, .. } = rows.format() else {
        return line(text, format_args!("    return vec2<f32>(1.0, 0.0);\n}}"));
    };
    let scale = float(text, name, "scale", (rows.scales(), scale));
    let bias = bias(bits);
    let zero = match zeros {
        ZeroFormat::All(zero) => format!("{}.0", bias + u64::from(zero)),
        ZeroFormat::Floats(element) => {
            let zero = float(text, name, "zero", (rows.zeros(), element));
            format!("{bias}.0 + {zero}")
        }
        ZeroFormat::Numbers => {
            let Section { first_word, pitch } = rows.zeros();
            let (per_word, most) = (32 / bits, (1u64 << bits) - 1);
            line(text, format_args!("    let zero_at = row * {pitch}u + block;"));
            line(
                text,
                format_args!("    let zero_word = {name}_word({first_word}u + zero_at / {per_word}u);"),
            );
            format!("f32((zero_word >> (zero_at % {per_word}u * {bits}u)) & {most}u) + {bias}.0")
        }
    };
    line(text, format_args!("    return vec2<f32>({scale}, {zero});\n}}"));
}

/// The float of a block in a section.
fn float(text: &mut String, name: &str, what: &str, (section, element): (Section, Element)) -> String {
    let Section { first_word, pitch } = section;
    line(text, format_args!("    let {what}_at = row * {pitch}u + block;"));
    if element == Element::F16 {
        let words = format!("{name}_word({first_word}u + {what}_at / 2u)");
        return format!("unpack2x16float({words} >> ({what}_at % 2u * 16u)).x");
    }
    format!("bitcast<f32>({name}_word({first_word}u + {what}_at))")
}

/// `b_words` and `b_numbers`.
fn write_chunks(text: &mut String, slot: &Slot, rows: &PackedRows, binding: &Binding) {
    let (name, chunks) = (&slot.name, rows.chunks());
    line(text, format_args!("fn {name}_words(row: u32, chunk: u32) -> vec4<u32> {{"));
    line(text, format_args!("    return {};\n}}", at(binding, &format!("row * {chunks}u + chunk"))));
    line(text, format_args!("fn {name}_numbers(words: vec4<u32>, slice: u32) -> vec4<f32> {{"));
    let value = match rows.format() {
        RowFormat::Floats(Element::F16) => {
            "vec4<f32>(unpack2x16float(words[slice * 2u]), unpack2x16float(words[slice * 2u + 1u]))"
                .to_owned()
        }
        RowFormat::Floats(_) => "bitcast<vec4<f32>>(words)".to_owned(),
        RowFormat::Blocks { bits: 8, .. } => numbers(8, "words[slice]"),
        RowFormat::Blocks { bits, .. } => {
            let slices = 8 / bits;
            numbers(bits, &format!("(words[slice / {slices}u] >> (slice % {slices}u * {}u))", LANES * bits))
        }
    };
    line(text, format_args!("    return {value};\n}}"));
}

/// `b_read` and its kin: four inputs of an output, decoded.
fn write_read(text: &mut String, slot: &Slot, rows: &PackedRows, (suffix, scalar): (&str, &str)) {
    let name = &slot.name;
    line(text, format_args!("fn {name}_{suffix}(b: u32, y: u32, x: u32, s: u32) -> vec4<{scalar}> {{"));
    let RowFormat::Blocks { bits, size, .. } = rows.format() else {
        unreachable!("rows of floats are for kernels that read them in chunks")
    };
    let (words, slices) = (rows.chunks() * 4, 8 / bits);
    let word = match slices {
        1 => format!("{name}_word(x * {words}u + s)"),
        _ => format!("{name}_word(x * {words}u + s / {slices}u) >> (s % {slices}u * {}u)", LANES * bits),
    };
    line(text, format_args!("    let word = {word};"));
    let block = if rows.per_row() == 1 { "0u".to_owned() } else { format!("s / {}u", size / LANES) };
    line(text, format_args!("    let parameters = {name}_parameters(x, {block});"));
    let value = format!("({} - vec4<f32>(parameters.y)) * parameters.x", numbers(bits, "word"));
    let value = match rows.columns().is_multiple_of(LANES) {
        true => value,
        false => {
            let live = rows.columns();
            line(text, format_args!("    let decoded = {value};"));
            format!(
                "select(vec4<f32>(), decoded, vec4<u32>(s * 4u) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>({live}u))"
            )
        }
    };
    line(text, format_args!("    return vec4<{scalar}>({value});\n}}"));
}

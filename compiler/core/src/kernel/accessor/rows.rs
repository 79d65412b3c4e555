//! Accessors of weights in rows of inputs ([`PackedRows`]). They are read like any other tensor whose rows are outputs and whose
//! channels are inputs, decoded, or in chunks of sixteen bytes that the kernel keeps until it needs their numbers:
//! `b_words(row, chunk) -> vec4<u32>`, `b_numbers(words, slice) -> vec4<f32>` for slice `slice` of a chunk, `b_biases() -> vec4<f32>`
//! and `b_parameters(row, block) -> vec2<f32>`: an element is its number less its lane's bias and the second parameter, times the first.

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

/// Numbers of a word that are moved into the mantissa at once, each to a place of its own.
fn moved_at_once(bits: u64) -> u64 {
    8 / bits.max(2)
}

/// What is added to each lane's number where it is taken out of a word: a power of two whose mantissa it becomes, so that no
/// conversion of integers is needed. The lower its place there, the larger the power.
fn biases(bits: u64) -> [u64; LANES as usize] {
    let at_once = moved_at_once(bits).min(LANES);
    std::array::from_fn(|lane| 1 << (bits * (at_once - lane as u64 % at_once)))
}

/// A value for each lane, as the arguments of a vector.
fn lanes<T: std::fmt::Display>(of: impl Fn(u64) -> T) -> String {
    (0..LANES).map(|n| of(n).to_string()).collect::<Vec<_>>().join(", ")
}

/// The biases as a vector, with `zero` added.
fn centre(bits: u64, zero: &str) -> String {
    format!("(vec4<f32>({}) + vec4<f32>({zero}))", lanes(|n| format!("{}.0", biases(bits)[n as usize])))
}

/// Four numbers from the low bits of `word`, with their biases.
fn numbers(bits: u64, word: &str) -> String {
    let biases = biases(bits);
    // A number with a bias of 2^n has its lowest bit at 23 - n of the mantissa.
    let place = |lane: u64| 23 - u64::from(biases[lane as usize].ilog2());
    let shift = |lane: u64| place(lane) as i64 - (lane * bits) as i64;
    let left = lanes(|n| format!("{}u", shift(n).max(0)));
    let right = lanes(|n| format!("{}u", (-shift(n)).max(0)));
    let mask = lanes(|n| format!("{}u", ((1u64 << bits) - 1) << place(n)));
    let exponent = lanes(|n| format!("{}u", (127 + u64::from(biases[n as usize].ilog2())) << 23));
    let moved = match (0..LANES).any(|n| shift(n) < 0) {
        true => format!("((vec4<u32>({word}) << vec4<u32>({left})) >> vec4<u32>({right}))"),
        false => format!("(vec4<u32>({word}) << vec4<u32>({left}))"),
    };
    format!("bitcast<vec4<f32>>(({moved} & vec4<u32>({mask})) | vec4<u32>({exponent}))")
}

/// `b_parameters`.
fn write_parameters(text: &mut String, name: &str, rows: &PackedRows) {
    line(text, format_args!("fn {name}_parameters(row: u32, block: u32) -> vec2<f32> {{"));
    let RowFormat::Blocks { bits, scale, zeros, .. } = rows.format() else {
        return line(text, format_args!("    return vec2<f32>(1.0, 0.0);\n}}"));
    };
    let scale = float(text, name, "scale", (rows.scales(), scale));
    let zero = match zeros {
        ZeroFormat::All(zero) => format!("{zero}.0"),
        ZeroFormat::Floats(element) => float(text, name, "zero", (rows.zeros(), element)),
        ZeroFormat::Numbers => {
            let Section { first_word, pitch } = rows.zeros();
            let (per_word, most) = (32 / bits, (1u64 << bits) - 1);
            line(text, format_args!("    let zero_at = row * {pitch}u + block;"));
            line(
                text,
                format_args!("    let zero_word = {name}_word({first_word}u + zero_at / {per_word}u);"),
            );
            format!("f32((zero_word >> (zero_at % {per_word}u * {bits}u)) & {most}u)")
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
    let biases = match rows.format() {
        RowFormat::Floats(_) => lanes(|_| "0.0"),
        RowFormat::Blocks { bits, .. } => lanes(|n| format!("{}.0", biases(bits)[n as usize])),
    };
    line(text, format_args!("fn {name}_biases() -> vec4<f32> {{\n    return vec4<f32>({biases});\n}}"));
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
    let value = format!("({} - {}) * parameters.x", numbers(bits, "word"), centre(bits, "parameters.y"));
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

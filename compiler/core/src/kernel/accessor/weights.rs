//! Accessors of weights. For a slot `weights` a kernel that goes over blocks of four outputs and four inputs calls
//! `weights_block(o, tap, i)`, the place of the block of output slice `o` and input slice `i`, and
//! `weights_read(block, k) -> vec4<f32>`, vector `k` of its four. A kernel for which weights are the rhs of a product
//! calls `b_read(b, y, row, s) -> vec4<f32>` or `b_load(b, y, row, s) -> vec4<STORED>`: rows are inputs (taps outside) and `s`
//! output slices, or rows outputs and `s` input slices (taps outside) where the lanes of a vector are inputs.

use super::{Accessors, at};
use crate::kernel::interface::Accessor;
use crate::kernel::{Binding, Slot, line};
use crate::physical::StorageType;
use crate::physical::weights::{Factor, Lanes, Step, WeightsLayout};

/// A coordinate of the kernel and the factors that it is made of, outermost first.
type Coordinate<'a> = (&'a str, &'a [Factor]);

const OUTPUT: &[Factor] = &[Factor::Group, Factor::OutputSlice];
const ROW_OF_INPUT: &[Factor] = &[Factor::Tap, Factor::InputSlice, Factor::Vector];
const ROW_OF_OUTPUT: &[Factor] = &[Factor::Group, Factor::OutputSlice, Factor::Vector];
const TAPS_OF_INPUT: &[Factor] = &[Factor::Tap, Factor::InputSlice];

/// Writes those accessors of `slot` that the kernel calls.
pub(super) fn write(text: &mut String, slot: &Slot, layout: &WeightsLayout, accessors: &Accessors<'_>) {
    let name = &slot.name;
    let element = slot.layout.element;
    if accessors.calls(slot, Accessor::Block) {
        write_block(text, name, layout);
        write_vector(text, name, layout, &bindings_of(slot, layout, accessors));
        return;
    }
    for (accessor, suffix, scalar) in
        [(Accessor::Read, "read", element.compute_name()), (Accessor::Load, "load", element.name())]
    {
        if accessors.calls(slot, accessor) {
            write_rows(text, slot, layout, accessors, (suffix, scalar));
        }
    }
}

/// `b_read` and its kin: a vector of a row of the rhs of a product, as `scalar`.
pub(super) fn write_rows(
    text: &mut String,
    slot: &Slot,
    layout: &WeightsLayout,
    accessors: &Accessors<'_>,
    (suffix, scalar): (&str, &str),
) {
    let name = &slot.name;
    line(text, format_args!("fn {name}_{suffix}(b: u32, y: u32, x: u32, s: u32) -> vec4<{scalar}> {{"));
    write_load(text, &bindings_of(slot, layout, accessors), &row(layout), "x % 4u", scalar);
}

/// Index in its buffer of a vector of a row.
pub(super) fn row_index(layout: &WeightsLayout) -> String {
    let [column, _] = row(layout);
    column
}

/// The bindings that hold `slot`.
fn bindings_of<'a>(slot: &Slot, layout: &WeightsLayout, accessors: &Accessors<'a>) -> Vec<&'a Binding> {
    let holds =
        |binding: &&Binding| binding.source == slot.source && binding.storage_type == layout.storage_type();
    accessors.bindings.iter().filter(holds).collect()
}

/// `weights_block`: where the vectors of a block begin.
fn write_block(text: &mut String, name: &str, layout: &WeightsLayout) {
    let coordinates: [Coordinate<'_>; 3] =
        [("o", OUTPUT), ("tap", &[Factor::Tap]), ("i", &[Factor::InputSlice])];
    let [rows, columns] = layout.steps();
    let column = sum(&coordinates, layout, &columns);
    let (ty, value) = match layout.storage_type().is_texture() {
        true => ("vec2<u32>", format!("vec2<u32>({column}, {})", sum(&coordinates, layout, &rows))),
        false => ("u32", column),
    };
    line(text, format_args!("fn {name}_block(o: u32, tap: u32, i: u32) -> {ty} {{\n    return {value};\n}}"));
}

/// `weights_read`: a vector of a block.
fn write_vector(text: &mut String, name: &str, layout: &WeightsLayout, bindings: &[&Binding]) {
    let [rows, columns] = layout.steps();
    let vector: [Coordinate<'_>; 1] = [("k", &[Factor::Vector])];
    let after = |begin: &str, steps: &[Step]| match terms(&vector, layout, steps) {
        None => begin.to_owned(),
        Some(offset) => format!("{begin} + {offset}"),
    };
    let (ty, place) = match layout.storage_type().is_texture() {
        true => ("vec2<u32>", [after("block.x", &columns), after("block.y", &rows)]),
        false => ("u32", [after("block", &columns), String::new()]),
    };
    line(text, format_args!("fn {name}_read(block: {ty}, k: u32) -> vec4<f32> {{"));
    write_load(text, bindings, &place, "k", "f32");
}

/// Where a vector of a row of the rhs of a product is: an index, or a column and row.
fn row(layout: &WeightsLayout) -> [String; 2] {
    let coordinates: [Coordinate<'_>; 2] = match layout.lanes() {
        Lanes::Outputs => [("x", ROW_OF_INPUT), ("s", OUTPUT)],
        Lanes::Inputs => [("x", ROW_OF_OUTPUT), ("s", TAPS_OF_INPUT)],
    };
    let [rows, columns] = layout.steps();
    [sum(&coordinates, layout, &columns), sum(&coordinates, layout, &rows)]
}

/// The rest of a function that returns the vector at `place`; vector `k` of a block is in part `k`, where there are several.
fn write_load(text: &mut String, bindings: &[&Binding], place: &[String; 2], k: &str, scalar: &str) {
    let textures = bindings.len() > 1 && bindings[0].storage_type.is_texture();
    if !textures {
        line(text, format_args!("    return vec4<{scalar}>({});\n}}", vector(bindings[0], place)));
        return;
    }
    line(text, format_args!("    var value = vec4<{scalar}>();\n    switch {k} {{"));
    for (part, binding) in bindings.iter().enumerate().skip(1) {
        let value = vector(binding, place);
        line(
            text,
            format_args!(
                "        case {part}u: {{\n            value = vec4<{scalar}>({value});\n        }}"
            ),
        );
    }
    let value = vector(bindings[0], place);
    line(
        text,
        format_args!(
            "        default: {{\n            value = vec4<{scalar}>({value});\n        }}\n    }}\n    return value;\n}}"
        ),
    );
}

/// The vector at an index, or at a column and row.
fn vector(binding: &Binding, [column, row]: &[String; 2]) -> String {
    let name = &binding.name;
    match binding.storage_type {
        StorageType::Texture2d | StorageType::TextureArray | StorageType::Texture3d => {
            format!("textureLoad({name}, vec2<i32>(i32({column}), i32({row})), 0)")
        }
        StorageType::ImageBuffer => format!("textureLoad({name}, i32({column}), 0)"),
        StorageType::Buffer if binding.vectors => at(binding, column),
        // Another argument of the kernel has the same constant and reads it element by element.
        StorageType::Buffer => {
            let lanes: Vec<String> =
                (0..4).map(|lane| at(binding, &format!("({column}) * 4u + {lane}u"))).collect();
            format!("vec4<{}>({})", binding.element.name(), lanes.join(", "))
        }
    }
}

/// Where the coordinates are along `steps`.
fn sum(coordinates: &[Coordinate<'_>], layout: &WeightsLayout, steps: &[Step]) -> String {
    terms(coordinates, layout, steps).unwrap_or_else(|| "0u".to_owned())
}

/// The same, or nothing where all are at the beginning: the digits of each are multiplied with the strides of its factors, and digits
/// that follow one another as in the coordinate are taken together.
fn terms(coordinates: &[Coordinate<'_>], layout: &WeightsLayout, steps: &[Step]) -> Option<String> {
    let step = |factor: Factor| steps.iter().find(|step| step.factor == factor);
    let mut terms: Vec<(u64, String)> = Vec::new();
    for (name, factors) in coordinates {
        let digits: Vec<Factor> = factors.iter().copied().filter(|&factor| layout.size(factor) > 1).collect();
        let size = |digits: &[Factor]| digits.iter().map(|&factor| layout.size(factor)).product::<u64>();
        let mut first = 0;
        while first < digits.len() {
            let begin = first;
            first += 1;
            let Some(mut stride) = step(digits[begin]).map(|step| step.stride) else { continue };
            while let Some(next) = digits.get(first).and_then(|&factor| step(factor))
                && stride == next.stride * next.size
            {
                stride = next.stride;
                first += 1;
            }
            let mut digit = (*name).to_owned();
            if first < digits.len() {
                digit = format!("{digit} / {}u", size(&digits[first..]));
            }
            if begin > 0 {
                digit = format!("{digit} % {}u", size(&digits[begin..first]));
            }
            terms.push((stride, if stride == 1 { digit } else { format!("{digit} * {stride}u") }));
        }
    }
    terms.sort_by_key(|(stride, _)| std::cmp::Reverse(*stride));
    let terms: Vec<String> = terms.into_iter().map(|(_, term)| term).collect();
    (!terms.is_empty()).then(|| terms.join(" + "))
}

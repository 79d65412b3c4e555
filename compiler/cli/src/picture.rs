//! The memory picture of a variant: which part of the arena is in use at which dispatch.
//!
//! A bundle names no tensors, only the ranges that dispatches touch. A write begins a block, reads prolong it, and the
//! next write over it ends it: that is when the content is needed, and all that a plan has to respect.

use crate::screen::printable;
use drift_bundle::manifest::{
    DeviceElement, Entry, IoBinding, IoTensor, Manifest, Region, RegionKind, Variant,
};
use std::fmt::Write;

/// Content of a range of the arena, from its first to its last use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// What wrote it: a dispatch or an input.
    pub(crate) label: String,
    /// Start in the arena, bytes.
    pub(crate) offset: u64,
    /// Length in bytes.
    pub(crate) size: u64,
    /// Dispatch that writes it; 0 for inputs.
    pub(crate) first: usize,
    /// Last dispatch that uses it.
    pub(crate) last: usize,
}

impl Block {
    fn overlaps(&self, offset: u64, size: u64) -> bool {
        self.offset < offset.saturating_add(size) && offset < self.offset.saturating_add(self.size)
    }
}

/// An arena of a variant, and what is kept in it.
pub(crate) struct Drawn {
    /// Index of its region.
    pub(crate) region: u32,
    /// Its size.
    pub(crate) bytes: u64,
    /// In the order in which they begin.
    pub(crate) blocks: Vec<Block>,
}

/// The arenas of a variant.
pub(crate) fn arenas(manifest: &Manifest, entry: &Entry, variant: &Variant) -> Vec<Drawn> {
    let arenas = (0..).zip(&variant.regions).filter(|(_, region)| region.kind == RegionKind::Arena);
    let drawn = |(index, region): (u32, &Region)| Drawn {
        region: index,
        bytes: region.size,
        blocks: blocks(manifest, entry, variant, index),
    };
    arenas.map(drawn).collect()
}

/// All blocks in an arena, in the order in which they begin.
fn blocks(manifest: &Manifest, entry: &Entry, variant: &Variant, region: u32) -> Vec<Block> {
    let mut arena = Arena::default();
    let here = |(_, place): &(&IoTensor, &IoBinding)| place.region == region;
    for (tensor, place) in entry.inputs.iter().zip(&variant.inputs).filter(here) {
        arena.write(&tensor.name, place.offset, device_bytes(place.element, &tensor.shape), 0);
    }
    for (step, dispatch) in variant.dispatches.iter().enumerate() {
        let slots = manifest.shaders.get(dispatch.shader as usize).map_or(&[][..], |shader| &shader.bindings);
        let ranges = || {
            dispatch.bindings.iter().zip(slots).filter_map(|(resource, slot)| {
                let (_, range) = resource.place().filter(|(bound, _)| *bound == region)?;
                Some((range.start, range.end - range.start, slot.writable))
            })
        };
        ranges().filter(|(.., writes)| !writes).for_each(|(offset, size, _)| arena.read(offset, size, step));
        ranges().filter(|(.., writes)| *writes).for_each(|(offset, size, _)| {
            arena.write(&dispatch.name, offset, size, step);
        });
    }
    let end = variant.dispatches.len().saturating_sub(1);
    for (tensor, place) in entry.outputs.iter().zip(&variant.outputs).filter(here) {
        arena.read(place.offset, device_bytes(place.element, &tensor.shape), end);
    }
    arena.blocks
}

/// Inputs and outputs are dense on the device.
fn device_bytes(element: DeviceElement, shape: &[u64]) -> u64 {
    shape.iter().fold(element.size_bytes(), |size, axis| size.saturating_mul(*axis))
}

#[derive(Default)]
struct Arena {
    blocks: Vec<Block>,
    /// Indices of the blocks whose content is still there.
    live: Vec<usize>,
}

impl Arena {
    fn read(&mut self, offset: u64, size: u64, step: usize) {
        for &index in &self.live {
            let block = &mut self.blocks[index];
            if block.overlaps(offset, size) {
                block.last = block.last.max(step);
            }
        }
    }

    fn write(&mut self, label: &str, offset: u64, size: u64, step: usize) {
        let Self { blocks, live } = self;
        live.retain(|&index| !blocks[index].overlaps(offset, size));
        live.push(blocks.len());
        blocks.push(Block { label: label.to_owned(), offset, size, first: step, last: step });
    }
}

/// Draws the arena with text: time to the right, addresses upwards, `#` where something is kept.
pub(crate) fn text(blocks: &[Block], dispatches: usize, arena_bytes: u64) -> String {
    const ROWS: u64 = 12;
    const COLUMNS: usize = 72;
    let columns = dispatches.clamp(1, COLUMNS);
    let mut picture = String::new();
    for row in (0..ROWS).rev() {
        let low = u128::from(arena_bytes) * u128::from(row) / u128::from(ROWS);
        let high = u128::from(arena_bytes) * u128::from(row + 1) / u128::from(ROWS);
        let mut line = String::with_capacity(columns);
        for column in 0..columns {
            let (from, to) =
                (column * dispatches / columns, ((column + 1) * dispatches / columns).max(1) - 1);
            let kept = blocks.iter().any(|block| {
                let end = u128::from(block.offset) + u128::from(block.size);
                block.first <= to && from <= block.last && u128::from(block.offset) < high && low < end
            });
            line.push(if kept { '#' } else { '.' });
        }
        picture.push_str(&line);
        picture.push('\n');
    }
    picture
}

/// Where the drawing stands in the SVG: room for the marks of both axes.
const FRAME: Frame = Frame { left: 90.0, top: 10.0, width: 1000.0, height: 420.0 };

struct Frame {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
}

/// Draws a memory plan as SVG, dispatches to the right and addresses upwards; pointing at a block names it. A dashed line
/// shows the bytes that no plan can go below.
pub(crate) fn svg(blocks: &[Block], dispatches: usize, arena_bytes: u64, lower_bound_bytes: u64) -> String {
    let Frame { left, top, width, height } = FRAME;
    let across = width / dispatches.max(1) as f64;
    let up = height / arena_bytes.max(1) as f64;
    let mut svg = format!(
        "<svg viewBox=\"0 0 {} {}\" role=\"img\" data-dispatches=\"{dispatches}\" data-bytes=\"{arena_bytes}\">\n",
        left + width + 10.0,
        top + height + 40.0
    );
    // Writing to a string cannot fail.
    for (index, block) in blocks.iter().enumerate() {
        let x = left + block.first as f64 * across;
        let wide = (block.last + 1 - block.first) as f64 * across;
        let high = block.size as f64 * up;
        let y = top + height - block.offset as f64 * up - high;
        // Steps of the golden angle keep neighbours apart in colour.
        let hue = (index * 137) % 360;
        let _infallible = writeln!(
            svg,
            "<rect x=\"{x:.4}\" y=\"{y:.4}\" width=\"{wide:.4}\" height=\"{high:.4}\" fill=\"hsl({hue} 60% 70%)\" \
             stroke=\"#fff\" stroke-width=\"0.5\"><title>{}: {} at {}, dispatches {} to {}</title></rect>",
            escape(&block.label),
            crate::units::bytes(block.size),
            block.offset,
            block.first,
            block.last
        );
    }
    if arena_bytes > 0 {
        let _infallible = svg.write_str(&marks(dispatches, arena_bytes, lower_bound_bytes));
    }
    svg.push_str("</svg>\n");
    svg
}

/// Both axes, and the line at the lower bound.
fn marks(dispatches: usize, arena_bytes: u64, lower_bound_bytes: u64) -> String {
    const MARKS: u64 = 4;
    let Frame { left, top, width, height } = FRAME;
    let mut marks = String::new();
    let mut text = |x: f64, y: f64, anchor: &str, what: &str| {
        let _infallible = writeln!(
            marks,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"12\" text-anchor=\"{anchor}\">{}</text>",
            escape(what)
        );
    };
    for mark in 0..=MARKS {
        let part = mark as f64 / MARKS as f64;
        let address = (u128::from(arena_bytes) * u128::from(mark) / u128::from(MARKS)) as u64;
        text(left - 6.0, top + height * (1.0 - part) + 4.0, "end", &crate::units::bytes(address));
        let dispatch = dispatches as u64 * mark / MARKS;
        text(left + width * part, top + height + 16.0, "middle", &dispatch.to_string());
    }
    text(left + width / 2.0, top + height + 34.0, "middle", "dispatch");
    let y = top + height * (1.0 - lower_bound_bytes.min(arena_bytes) as f64 / arena_bytes as f64);
    let _infallible = writeln!(
        marks,
        "<line x1=\"{left}\" y1=\"{y:.4}\" x2=\"{}\" y2=\"{y:.4}\" stroke=\"#333\" stroke-dasharray=\"6 4\">\
         <title>live lower bound: {}</title></line>",
        left + width,
        escape(&crate::units::bytes(lower_bound_bytes))
    );
    marks
}

/// Text as HTML shows it.
pub(crate) fn escape(text: &str) -> String {
    printable(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use drift_bundle::Bundle;
    use drift_bundle::manifest::Target;
    use drift_compiler::{CompileOptions, ModelIdentity};

    fn block(label: &str, offset: u64, size: u64, first: usize, last: usize) -> Block {
        Block { label: label.to_owned(), offset, size, first, last }
    }

    #[test]
    fn a_write_ends_what_it_overwrites() {
        let mut arena = Arena::default();
        arena.write("input", 0, 256, 0);
        arena.read(0, 256, 0);
        arena.write("a", 256, 256, 0);
        arena.read(256, 256, 1);
        arena.write("b", 0, 512, 2);
        arena.read(0, 256, 5);
        let expected = [block("input", 0, 256, 0, 0), block("a", 256, 256, 0, 1), block("b", 0, 512, 2, 5)];
        assert_eq!(arena.blocks, expected);
    }

    #[test]
    fn parts_written_apart_live_until_the_whole_is_read() {
        let mut arena = Arena::default();
        arena.write("left", 0, 256, 0);
        arena.write("right", 256, 256, 1);
        arena.read(0, 512, 4);
        assert_eq!(arena.blocks, [block("left", 0, 256, 0, 4), block("right", 256, 256, 1, 4)]);
    }

    #[test]
    fn the_text_shows_addresses_upwards_and_time_to_the_right() {
        let blocks = [block("low", 0, 600, 0, 1), block("high", 600, 600, 2, 3)];
        let picture = text(&blocks, 4, 1200);
        let lines: Vec<&str> = picture.lines().collect();
        assert_eq!(lines.len(), 12);
        assert_eq!((lines[0], lines[11]), ("..##", "##.."));
    }

    #[test]
    fn an_empty_program_draws_nothing() {
        assert!(text(&[], 0, 0).lines().all(|line| line == "."));
        assert!(!svg(&[], 0, 0, 0).contains("rect"));
    }

    #[test]
    fn labels_cannot_leave_their_tag() {
        let picture = svg(&[block("</title><script>", 0, 1, 0, 0)], 1, 1, 1);
        assert!(!picture.contains("<script>"), "{picture}");
    }

    /// Numbers of an attribute of every tag of a kind.
    fn numbers(svg: &str, tag: &str, attribute: &str) -> Vec<f64> {
        let tags = svg.lines().filter(|line| line.starts_with(&format!("<{tag} ")));
        let value = |line: &str| {
            let (_, rest) = line.split_once(&format!(" {attribute}=\"")).expect("the attribute");
            let (number, _) = rest.split_once('"').expect("its end");
            number.parse().expect("a number")
        };
        tags.map(value).collect()
    }

    /// A graph compiled without some techniques.
    fn bundle(text: &str, disabled: &[&str]) -> Bundle {
        let graph = drift_ir::text::parse(text).unwrap_or_else(|error| panic!("{error}"));
        let options = CompileOptions {
            targets: vec![Target::WebGpu],
            disabled: disabled.iter().map(|&name| name.to_owned()).collect(),
            ..CompileOptions::default()
        };
        let identity = ModelIdentity { name: "drawn".to_owned(), hash: "00".to_owned() };
        let compiled = drift_compiler::compile(graph, identity, &options).expect("a bundle");
        Bundle::from_bytes(compiled.bundle.to_bytes().expect("bytes")).expect("valid")
    }

    #[test]
    fn what_saves_memory_can_be_left_out() {
        let measured = |text: &str, disabled: &[&str]| {
            let bundle = bundle(text, disabled);
            let variant = &bundle.manifest().entries[0].variants[0];
            (variant.dispatches.len(), variant.memory.planned_bytes)
        };
        let concat = "%x: f32[1,4,8,8]\n@u: f32[8,4,1,1] = random(1)\n@w: f32[4,16,1,1] = random(3)\n%a = conv %x, @u\n\
            %b = conv %x, @u epilogue(tanh)\n%c = concat %b, %a {axis=1}\n%d = conv %c, @w\nreturn %d";
        assert_eq!(measured(concat, &[]).0 + 1, measured(concat, &["views"]).0);
        let residual = "%x: f32[1,4,8,8]\n@u: f32[8,4,1,1] = random(1)\n@v: f32[8,8,1,1] = random(2)\n%r = conv %x, @u\n\
            %h = conv %r, @v\n%y = conv %h, @v epilogue(add %r)\n%z = conv %y, @v\nreturn %z";
        assert!(measured(residual, &[]).1 < measured(residual, &["in-place"]).1);
        let branches = "%x: f32[1,4,8,8]\n@u: f32[64,4,1,1] = random(1)\n@v: f32[8,64,1,1] = random(2)\n\
            @w: f32[8,64,1,1] = random(3)\n@z: f32[8,8,1,1] = random(4)\n%a = conv %x, @u\n\
            %h = tanh %a\n%k = conv %h, @w\n%s = conv %a, @v\n%y = conv %s, @z epilogue(add %k)\nreturn %y";
        assert!(measured(branches, &[]).1 < measured(branches, &["step-order"]).1);
    }

    /// What a model's bundle draws, read back from the SVG, is the plan that its variant was made with.
    #[test]
    fn the_drawing_is_the_plan() {
        let text = "%x: f32[1,4,16,16]\n@u: f32[16,4,1,1] = random(1)\n@v: f32[8,16,1,1] = random(2)\n\
            @w: f32[8,8,1,1] = random(3)\n%a = conv %x, @u\n%b = conv %a, @v\n%c = conv %b, @w\n\
            %d = conv %c, @w epilogue(add %b)\nreturn %d";
        let bundle = bundle(text, &[]);
        let entry = &bundle.manifest().entries[0];
        let variant = &entry.variants[0];
        let drawn = arenas(bundle.manifest(), entry, variant);
        let [Drawn { region: 0, bytes: arena_bytes, blocks }] = &drawn[..] else { panic!("one arena") };
        let dispatches = variant.dispatches.len();
        let picture = svg(blocks, dispatches, *arena_bytes, variant.memory.lower_bound_bytes);

        let attribute = |name: &str| numbers(&picture, "rect", name);
        let (x, y, width, height) = (attribute("x"), attribute("y"), attribute("width"), attribute("height"));
        let step = |x: f64| ((x - FRAME.left) * dispatches as f64 / FRAME.width).round() as usize;
        let byte =
            |y: f64| ((FRAME.top + FRAME.height - y) * *arena_bytes as f64 / FRAME.height).round() as u64;
        let mut live = vec![0; dispatches];
        let mut highest = 0;
        assert_eq!(x.len(), blocks.len());
        for (n, block) in blocks.iter().enumerate() {
            assert_eq!((step(x[n]), step(x[n] + width[n])), (block.first, block.last + 1), "{block:?}");
            assert_eq!(
                (byte(y[n] + height[n]), byte(y[n])),
                (block.offset, block.offset + block.size),
                "{block:?}"
            );
            live[block.first..=block.last].iter_mut().for_each(|bytes| *bytes += block.size);
            highest = highest.max(block.offset + block.size);
            for other in &blocks[..n] {
                let meet = block.first <= other.last && other.first <= block.last;
                // A step in place ends one block and begins the next in the same dispatch.
                let in_place = block.first == other.last && block.offset == other.offset;
                assert!(
                    !meet || in_place || !block.overlaps(other.offset, other.size),
                    "{block:?} {other:?}"
                );
            }
        }
        assert_eq!(highest, variant.memory.planned_bytes);
        assert!(live.iter().all(|&bytes| bytes <= variant.memory.planned_bytes));
        let line = numbers(&picture, "line", "y1");
        assert_eq!(line.iter().map(|&y| byte(y)).collect::<Vec<_>>(), [variant.memory.lower_bound_bytes]);
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere() {
        let picture = svg(&[block("a", 0, 256, 0, 0)], 1, 256, 256);
        assert!(!picture.contains("http") && !picture.contains("href"), "{picture}");
    }
}

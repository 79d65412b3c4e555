//! The memory picture of a variant: which part of the arena is in use at which dispatch.
//!
//! A bundle names no tensors, only the ranges that dispatches touch. A write begins a block, reads prolong it, and the
//! next write over it ends it: that is when the content is needed, and all that a plan has to respect.

use drift_bundle::manifest::{DeviceElement, Entry, Manifest, Resource, Variant};
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

/// All blocks of a variant, in the order in which they begin.
pub(crate) fn blocks(manifest: &Manifest, entry: &Entry, variant: &Variant) -> Vec<Block> {
    let mut arena = Arena::default();
    for (tensor, place) in entry.inputs.iter().zip(&variant.inputs) {
        arena.write(&tensor.name, place.offset, device_bytes(place.element, &tensor.shape), 0);
    }
    for (step, dispatch) in variant.dispatches.iter().enumerate() {
        let slots = manifest.shaders.get(dispatch.shader as usize).map_or(&[][..], |shader| &shader.bindings);
        let ranges = || {
            dispatch.bindings.iter().zip(slots).filter_map(|(resource, slot)| match *resource {
                Resource::Arena { offset, size } | Resource::ArenaTexels { offset, size, .. } => {
                    Some((offset, size, slot.writable))
                }
                Resource::Weights { .. } | Resource::Texture(_) | Resource::WeightTexels { .. } => None,
            })
        };
        ranges().filter(|(.., writes)| !writes).for_each(|(offset, size, _)| arena.read(offset, size, step));
        ranges().filter(|(.., writes)| *writes).for_each(|(offset, size, _)| {
            arena.write(&dispatch.name, offset, size, step);
        });
    }
    let end = variant.dispatches.len().saturating_sub(1);
    for (tensor, place) in entry.outputs.iter().zip(&variant.outputs) {
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

/// Draws the arena as SVG; pointing at a block names it.
pub(crate) fn svg(blocks: &[Block], dispatches: usize, arena_bytes: u64) -> String {
    const WIDTH: f64 = 1000.0;
    const HEIGHT: f64 = 400.0;
    let across = WIDTH / dispatches.max(1) as f64;
    let up = HEIGHT / arena_bytes.max(1) as f64;
    let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\n");
    for (index, block) in blocks.iter().enumerate() {
        let x = block.first as f64 * across;
        let width = (block.last + 1 - block.first) as f64 * across;
        let height = block.size as f64 * up;
        let y = HEIGHT - block.offset as f64 * up - height;
        // Steps of the golden angle keep neighbours apart in colour.
        let hue = (index * 137) % 360;
        // Writing to a string cannot fail.
        let _infallible = writeln!(
            svg,
            "<rect x=\"{x:.2}\" y=\"{y:.2}\" width=\"{width:.2}\" height=\"{height:.2}\" fill=\"hsl({hue} 60% 70%)\" \
             stroke=\"#fff\" stroke-width=\"0.5\"><title>{}: {} at {}, dispatches {} to {}</title></rect>",
            escape(&block.label),
            crate::units::bytes(block.size),
            block.offset,
            block.first,
            block.last
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// Text as HTML shows it.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(!svg(&[], 0, 0).contains("rect"));
    }

    #[test]
    fn labels_cannot_leave_their_tag() {
        let picture = svg(&[block("</title><script>", 0, 1, 0, 0)], 1, 1);
        assert!(!picture.contains("<script>"), "{picture}");
    }
}

//! Constants that dispatches make of packed ones when a program is loaded: bundles hold the packed ones only.

use super::{Chosen, Context, Declined};
use crate::kernel::{Access, AddressMap, Slot, Source};
use crate::memory::BINDING_ALIGN_BYTES;
use crate::physical::Layout;
use crate::physical::size::sizes;
use crate::program::{Content, PackedConstant, PackedKey};
use drift_ir::ValueId;

/// A constant to be made at load.
pub(super) struct Derivation<'a> {
    /// The constant that it is made of.
    pub(super) value: ValueId,
    /// What tells it from others that are made of it.
    pub(super) what: &'a str,
    /// Sizes; the first axis is cut where one dispatch cannot write all.
    pub(super) shape: &'a [u64],
    /// A dense buffer.
    pub(super) layout: Layout,
}

/// What one dispatch writes of it.
pub(super) struct Piece {
    /// First of the piece along the first axis.
    pub(super) first: u64,
    /// The argument `dst`.
    pub(super) dst: Slot,
}

impl Context<'_> {
    /// A slot for a derived constant, made by the dispatches that `make` returns for its pieces, or for an earlier
    /// node in the same way.
    pub(super) fn derive(
        &mut self,
        name: &str,
        derivation: Derivation<'_>,
        mut make: impl FnMut(&mut Self, Piece) -> Result<Chosen, Declined>,
    ) -> Result<Slot, Declined> {
        let Derivation { value, what, shape, layout } = derivation;
        let packing = format!("{what}:{} at load", layout.describe());
        let key = match self.constant_tensor(value) {
            Some(tensor) => self.key(Some(value), tensor, packing),
            None => PackedKey { value: Some(value), packing, content: None },
        };
        let index = match self.packed_before(&key) {
            Some(known) => known,
            None => {
                let name = format!("{}:{}", self.graph.value(value).name, key.packing);
                let content = Content::Derived { size_bytes: layout.size_bytes(shape) };
                let index = self.add_constant(PackedConstant { name, key: key.clone(), content });
                for piece in self.pieces(index, shape, &layout) {
                    let chosen = make(self, piece)?;
                    self.made.init.push(chosen);
                }
                self.made.packed.insert(key, index);
                index
            }
        };
        let part_bytes = self.part_bytes(layout.size_bytes(shape));
        let slot = Slot::new(name, Access::Read, Source::Constant(index), sizes(shape), layout);
        Ok(Slot { part_bytes: Some(part_bytes), ..slot })
    }

    /// The constant in pieces that a binding holds and that begin where a binding may.
    fn pieces(&self, index: u32, shape: &[u64], layout: &Layout) -> Vec<Piece> {
        let one = layout.size_bytes(&[&[1], &shape[1..]].concat()).max(1);
        let aligned = BINDING_ALIGN_BYTES >> one.trailing_zeros().min(BINDING_ALIGN_BYTES.trailing_zeros());
        let most = self.part_bytes(layout.size_bytes(shape)) / one;
        let count = (most / aligned * aligned).max(aligned);
        let firsts = (0..shape[0]).step_by(count as usize);
        let piece = |first: u64| {
            let part = [&[count.min(shape[0] - first)], &shape[1..]].concat();
            let dst = Slot::new("dst", Access::Write, Source::Constant(index), sizes(&part), layout.clone());
            Piece { first, dst: Slot { address: AddressMap::Piece { offset_bytes: first * one }, ..dst } }
        };
        firsts.map(piece).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Orders, Samples, Selected};
    use super::*;
    use crate::estimate::Decisions;
    use crate::physical::Element;
    use crate::profile::{self, Profile};

    /// First of each piece, sizes along the first axis and offsets.
    fn pieces(binding_bytes: u64, shape: &[u64], element: Element) -> Vec<(u64, u64, u64)> {
        let graph = drift_ir::text::parse("%x: f32[1]\n%1 = exp %x\nreturn %1").expect("a graph");
        let profile = Profile { binding_bytes, ..profile::GENERIC };
        let (decisions, samples, orders) = (Decisions::default(), Samples::default(), Orders::default());
        let selected = Selected::new(&graph, (&profile, None), &decisions, (&samples, &orders));
        let context = Context::new(&selected);
        let pieces = context.pieces(0, shape, &Layout::row_major(element, shape.len()));
        pieces
            .iter()
            .map(|piece| (piece.first, piece.dst.largest()[0], piece.dst.address.offset_bytes()))
            .collect()
    }

    #[test]
    fn what_a_binding_holds_is_one_piece() {
        assert_eq!(pieces(1 << 20, &[36, 8, 12], Element::F32), [(0, 36, 0)]);
    }

    #[test]
    fn pieces_begin_where_bindings_may() {
        // A position takes 96 f16, 192 bytes: every fourth one begins at a multiple of 256.
        let expected = [(0, 8, 0), (8, 8, 1536), (16, 8, 3072), (24, 8, 4608), (32, 4, 6144)];
        assert_eq!(pieces(1792, &[36, 8, 12], Element::F16), expected);
        // Bindings that hold less than that hold it all the same, and the variant says so.
        assert_eq!(pieces(256, &[6, 8, 12], Element::F16), [(0, 4, 0), (4, 2, 768)]);
    }
}

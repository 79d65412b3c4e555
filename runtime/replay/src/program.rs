//! A chosen variant of a bundle, as loaders look at it.

use std::collections::BTreeSet;

use drift_bundle::Bundle;
use drift_bundle::manifest::{
    Dispatch, Entry, IoBinding, IoTensor, RegionId, RegionKind, Resource, Shader, TextureObject, Variant,
    View,
};

use crate::options::SubmitLimits;

/// The variant that was chosen, in its bundle.
#[derive(Clone, Copy)]
#[cfg_attr(not(feature = "api"), allow(unreachable_pub, reason = "visible with the feature `api` only"))]
pub struct Program<'a> {
    /// The bundle.
    pub bundle: &'a Bundle,
    pub(crate) entry: &'a Entry,
    pub(crate) variant: &'a Variant,
}

impl<'a> Program<'a> {
    /// Init dispatches, then those of each run.
    pub(crate) fn all_dispatches(&self) -> impl Iterator<Item = &'a Dispatch> + use<'a> {
        self.variant.init.iter().chain(&self.variant.dispatches)
    }

    /// The shader of a dispatch.
    #[cfg_attr(not(feature = "api"), allow(unreachable_pub, reason = "visible with the feature `api` only"))]
    pub fn shader(&self, dispatch: &Dispatch) -> &'a Shader {
        &self.bundle.manifest().shaders[dispatch.shader as usize]
    }

    /// Indices of the shaders in use, ascending.
    #[cfg_attr(not(feature = "api"), allow(unreachable_pub, reason = "visible with the feature `api` only"))]
    pub fn used_shaders(&self) -> Vec<usize> {
        let mut used: Vec<usize> = self.all_dispatches().map(|dispatch| dispatch.shader as usize).collect();
        used.sort_unstable();
        used.dedup();
        used
    }

    /// The weights in use.
    pub(crate) fn used_weights(&self) -> UsedWeights {
        UsedWeights::of(self.all_dispatches())
    }

    /// The weights that runs read.
    pub(crate) fn weights_of_runs(&self) -> UsedWeights {
        UsedWeights::of(&self.variant.dispatches)
    }

    /// The weights that the init program reads.
    pub(crate) fn weights_of_init(&self) -> UsedWeights {
        UsedWeights::of(&self.variant.init)
    }

    /// Whether another program may use the arenas between two runs: there are some, and nothing in them has to outlive a
    /// run.
    pub(crate) fn may_share(&self) -> bool {
        let mut bound_by_init = self.variant.init.iter().flat_map(|dispatch| &dispatch.bindings);
        let is_arena = |resource: &Resource| {
            resource.region(self.variant).is_some_and(|region| region.kind == RegionKind::Arena)
        };
        self.arena_sizes().next().is_some()
            && !bound_by_init.any(is_arena)
            && !self.state_inputs().contains(&true)
    }

    /// For each input whether an output is exactly there, so that the two are state: in an arena, where dispatches may
    /// write over it.
    pub(crate) fn state_inputs(&self) -> Vec<bool> {
        let outputs = self.output_ranges();
        let is_state = |(range, binding): (IoRange, &IoBinding)| {
            range.size > 0 && self.is_in_arena(binding) && outputs.contains(&range)
        };
        self.input_ranges().into_iter().zip(&self.variant.inputs).map(is_state).collect()
    }

    /// Whether sessions may share the region that a tensor is in.
    pub(crate) fn is_in_arena(&self, binding: &IoBinding) -> bool {
        self.variant.regions[binding.region as usize].kind == RegionKind::Arena
    }

    /// Bytes of each arena.
    pub(crate) fn arena_sizes(&self) -> impl Iterator<Item = u64> + use<'a> {
        let arenas = self.variant.regions.iter().filter(|region| region.kind == RegionKind::Arena);
        arenas.map(|region| region.size)
    }

    /// Where each input is.
    pub(crate) fn input_ranges(&self) -> Vec<IoRange> {
        self.entry.inputs.iter().zip(&self.variant.inputs).map(IoRange::of).collect()
    }

    /// Where each output is.
    pub(crate) fn output_ranges(&self) -> Vec<IoRange> {
        self.entry.outputs.iter().zip(&self.variant.outputs).map(IoRange::of).collect()
    }
}

/// A range of a region: where an input or output is, or what is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct IoRange {
    /// Index of the variant's region.
    pub(crate) region: u32,
    /// Start in it, bytes.
    pub(crate) offset: u64,
    /// Bytes on the device.
    pub(crate) size: u64,
}

impl IoRange {
    fn of((tensor, binding): (&IoTensor, &IoBinding)) -> Self {
        let elements = tensor.elements().unwrap_or_else(|| unreachable!("verified: shapes do not overflow"));
        let IoBinding { region, offset, element } = *binding;
        Self { region, offset, size: elements * element.size_bytes() }
    }

    /// What a dispatch binds of the variant's regions.
    pub(crate) fn bound(resource: &Resource) -> Option<Self> {
        let (region, range) = resource.place()?;
        Some(Self { region, offset: range.start, size: range.end - range.start })
    }

    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.region == other.region
            && self.offset < other.offset + other.size
            && other.offset < self.offset + self.size
    }
}

/// A texture of weights: where its texels are stored, and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WeightTexture {
    pub(crate) blob: usize,
    pub(crate) offset: u64,
    pub(crate) object: TextureObject,
}

/// Weights as dispatches bind them.
#[derive(Clone, Debug, Default)]
pub(crate) struct UsedWeights {
    /// Indices of the blobs that are in buffers.
    pub(crate) blobs: BTreeSet<usize>,
    pub(crate) textures: BTreeSet<WeightTexture>,
}

impl UsedWeights {
    fn of<'a>(dispatches: impl IntoIterator<Item = &'a Dispatch>) -> Self {
        let mut used = Self::default();
        for resource in dispatches.into_iter().flat_map(|dispatch| &dispatch.bindings) {
            match WeightTexture::of(resource) {
                Some(texture) => {
                    used.textures.insert(texture);
                }
                None => used.blobs.extend(resource.weight().map(|blob| blob as usize)),
            }
        }
        used
    }

    /// All that either of two uses.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.blobs.extend(other.blobs);
        self.textures.extend(other.textures);
        self
    }
}

impl WeightTexture {
    /// The texture of weights that is bound, if one is.
    pub(crate) fn of(resource: &Resource) -> Option<Self> {
        match *resource {
            Resource { region: RegionId::Weight(blob), view: View::Texture { offset, object } } => {
                Some(Self { blob: blob as usize, offset, object })
            }
            _ => None,
        }
    }
}

/// Splits a program into submissions, none of which exceeds `limits` unless a single dispatch does.
pub(crate) fn submissions(dispatches: &[Dispatch], limits: &SubmitLimits) -> Vec<std::ops::Range<usize>> {
    let mut parts = Vec::new();
    let (mut start, mut flops, mut bytes) = (0, 0_u64, 0_u64);
    for (index, dispatch) in dispatches.iter().enumerate() {
        let own_bytes = dispatch.bytes_read.saturating_add(dispatch.bytes_written);
        (flops, bytes) = (flops.saturating_add(dispatch.flops), bytes.saturating_add(own_bytes));
        let full = index - start >= limits.dispatches.max(1) || flops > limits.flops || bytes > limits.bytes;
        if full && index > start {
            parts.push(start..index);
            (start, flops, bytes) = (index, dispatch.flops, own_bytes);
        }
    }
    if start < dispatches.len() {
        parts.push(start..dispatches.len());
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(flops: &[u64], limits: SubmitLimits, expected: &[(usize, usize)]) {
        let work: Vec<_> = flops.iter().map(|flops| (*flops, 0, 0)).collect();
        check_work(&work, limits, expected);
    }

    /// Work is flops, bytes read, bytes written.
    fn check_work(work: &[(u64, u64, u64)], limits: SubmitLimits, expected: &[(usize, usize)]) {
        let dispatches: Vec<Dispatch> = work
            .iter()
            .map(|(flops, bytes_read, bytes_written)| Dispatch {
                name: String::new(),
                shader: 0,
                bindings: Vec::new(),
                workgroups: [1; 3],
                free_workgroups: [None; 3],
                barrier: false,
                origins: Vec::new(),
                bytes_read: *bytes_read,
                bytes_written: *bytes_written,
                flops: *flops,
            })
            .collect();
        let parts: Vec<_> =
            submissions(&dispatches, &limits).into_iter().map(|part| (part.start, part.end)).collect();
        assert_eq!(parts, expected);
    }

    #[test]
    fn a_program_is_split_where_a_limit_is_reached() {
        let limits = |dispatches, flops| SubmitLimits { dispatches, flops, bytes: u64::MAX };
        check(&[], limits(4, 100), &[]);
        check(&[1, 1, 1], limits(4, 100), &[(0, 3)]);
        check(&[1, 1, 1, 1, 1], limits(2, 100), &[(0, 2), (2, 4), (4, 5)]);
        check(&[60, 60, 30, 10], limits(9, 100), &[(0, 1), (1, 4)]);
        check(&[500, 1, 500], limits(9, 100), &[(0, 1), (1, 2), (2, 3)]);
        check(&[u64::MAX, u64::MAX], limits(9, u64::MAX), &[(0, 2)]);
        check(&[1, 1], limits(0, 0), &[(0, 1), (1, 2)]);
        // Copies have no arithmetic, and keep a device busy as well.
        let limits = SubmitLimits { dispatches: 9, flops: 100, bytes: 100 };
        check_work(&[(0, 30, 30), (0, 40, 0), (0, 1, 0), (0, 0, 99)], limits, &[(0, 2), (2, 4)]);
        check_work(&[(0, u64::MAX, 1), (0, 1, 0)], limits, &[(0, 1), (1, 2)]);
    }
}

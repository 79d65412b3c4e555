//! Host-visible copies of inputs or outputs.

use std::sync::Arc;

use drift_bundle::ALIGNMENT_BYTES;

use crate::api::{Api, Memory, Purpose, Record, Work};
use crate::error::RuntimeError;

/// A buffer with a copy of each range of the arena.
pub(crate) struct Staged<A: Api> {
    buffer: A::Buffer,
    ranges: Vec<Range>,
}

#[derive(Clone, Copy)]
struct Range {
    here: u64,
    in_arena: u64,
    bytes: u64,
}

impl<A: Api> Staged<A> {
    /// Lays out copies of these ranges: offset in the arena and size of each.
    pub(crate) fn new(api: &Arc<A>, ranges: &[(u64, u64)], purpose: Purpose) -> Result<Self, RuntimeError> {
        let mut end = 0_u64;
        let mut placed = Vec::with_capacity(ranges.len());
        for &(in_arena, bytes) in ranges {
            placed.push(Range { here: end, in_arena, bytes });
            end = (end + bytes).next_multiple_of(ALIGNMENT_BYTES);
        }
        Ok(Self { buffer: api.buffer(end, purpose)?, ranges: placed })
    }

    pub(crate) fn size(&self) -> u64 {
        self.buffer.size()
    }

    /// Records the upload of each range as a list of its own.
    pub(crate) fn record_uploads(
        &self,
        api: &A,
        recordings: &mut A::Recordings,
        arena: &A::Buffer,
    ) -> Result<Vec<usize>, RuntimeError> {
        let one = |range: &Range| {
            api.record(recordings, |commands| {
                commands.barrier(Work::Any, Work::Transfer);
                commands.copy((&self.buffer, range.here), (arena, range.in_arena), range.bytes);
            })
        };
        self.ranges.iter().map(one).collect()
    }

    /// Records the download of each range as a list of its own.
    pub(crate) fn record_downloads(
        &self,
        api: &A,
        recordings: &mut A::Recordings,
        arena: &A::Buffer,
    ) -> Result<Vec<usize>, RuntimeError> {
        let one = |range: &Range| {
            api.record(recordings, |commands| {
                commands.barrier(Work::Any, Work::Transfer);
                commands.copy((arena, range.in_arena), (&self.buffer, range.here), range.bytes);
                commands.barrier(Work::Transfer, Work::Host);
            })
        };
        self.ranges.iter().map(one).collect()
    }

    pub(crate) fn bytes_mut(&mut self, index: usize) -> &mut [u8] {
        let Range { here, bytes, .. } = self.ranges[index];
        let all = self.buffer.bytes_mut().unwrap_or_else(|| unreachable!("verified: staging is mapped"));
        &mut all[here as usize..][..bytes as usize]
    }

    pub(crate) fn bytes(&self, index: usize) -> &[u8] {
        let Range { here, bytes, .. } = self.ranges[index];
        let all = self.buffer.bytes().unwrap_or_else(|| unreachable!("verified: staging is mapped"));
        &all[here as usize..][..bytes as usize]
    }
}

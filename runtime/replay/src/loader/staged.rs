//! Host-visible copies of inputs or outputs.

use std::sync::Arc;

use drift_bundle::ALIGNMENT_BYTES;

use super::regions::Regions;
use crate::api::{Api, Memory, Purpose, Record, Work};
use crate::error::RuntimeError;
use crate::program::IoRange;

/// A buffer with a copy of each range.
pub(crate) struct Staged<A: Api> {
    buffer: A::Buffer,
    /// Where each copy begins, and what it is of.
    ranges: Vec<(u64, IoRange)>,
}

impl<A: Api> Staged<A> {
    /// Lays out copies of these ranges.
    pub(crate) fn new(api: &Arc<A>, ranges: Vec<IoRange>, purpose: Purpose) -> Result<Self, RuntimeError> {
        let mut end = 0_u64;
        let mut placed = Vec::with_capacity(ranges.len());
        for range in ranges {
            placed.push((end, range));
            end = (end + range.size).next_multiple_of(ALIGNMENT_BYTES);
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
        regions: &Regions<A>,
    ) -> Result<Vec<usize>, RuntimeError> {
        let one = |(here, range): &(u64, IoRange)| {
            let (region, start) = regions.place(range.region);
            api.record(recordings, |commands| {
                commands.barrier(Work::Any, Work::Transfer);
                commands.copy((&self.buffer, *here), (region, start + range.offset), range.size);
            })
        };
        self.ranges.iter().map(one).collect()
    }

    /// Records the download of each range as a list of its own.
    pub(crate) fn record_downloads(
        &self,
        api: &A,
        recordings: &mut A::Recordings,
        regions: &Regions<A>,
    ) -> Result<Vec<usize>, RuntimeError> {
        let one = |(here, range): &(u64, IoRange)| {
            let (region, start) = regions.place(range.region);
            api.record(recordings, |commands| {
                commands.barrier(Work::Any, Work::Transfer);
                commands.copy((region, start + range.offset), (&self.buffer, *here), range.size);
                commands.barrier(Work::Transfer, Work::Host);
            })
        };
        self.ranges.iter().map(one).collect()
    }

    pub(crate) fn bytes_mut(&mut self, index: usize) -> &mut [u8] {
        let (here, IoRange { size, .. }) = self.ranges[index];
        let all = self.buffer.bytes_mut().unwrap_or_else(|| unreachable!("verified: staging is mapped"));
        &mut all[here as usize..][..size as usize]
    }

    pub(crate) fn bytes(&self, index: usize) -> &[u8] {
        let (here, IoRange { size, .. }) = self.ranges[index];
        let all = self.buffer.bytes().unwrap_or_else(|| unreachable!("verified: staging is mapped"));
        &all[here as usize..][..size as usize]
    }
}

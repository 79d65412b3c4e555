//! Host-visible copies of inputs, outputs or parameters.

use std::sync::Arc;

use drift_bundle::ALIGNMENT_BYTES;
use drift_bundle::manifest::{Region, RegionKind, Variant};

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

    /// The words of all parameters of a variant; none where it has no parameters.
    pub(crate) fn params(api: &Arc<A>, variant: &Variant) -> Result<Option<Self>, RuntimeError> {
        let params =
            (0..).zip(&variant.regions).filter_map(|(region, Region { kind, size, .. })| match kind {
                RegionKind::Params(words) => Some((IoRange { region, offset: 0, size: *size }, words)),
                _ => None,
            });
        let (ranges, words): (Vec<IoRange>, Vec<&Vec<u32>>) = params.unzip();
        if ranges.is_empty() {
            return Ok(None);
        }
        let mut staged = Self::new(api, ranges, Purpose::Upload)?;
        for (index, words) in words.into_iter().enumerate() {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            staged.bytes_mut(index).copy_from_slice(&bytes);
        }
        Ok(Some(staged))
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
        let one = |index| {
            api.record(recordings, |commands| {
                commands.barrier(Work::Any, Work::Transfer);
                self.record_upload(commands, regions, index);
            })
        };
        (0..self.ranges.len()).map(one).collect()
    }

    /// Records the upload of all ranges, after earlier copies and fills.
    pub(crate) fn record_all_uploads(&self, commands: &mut A::Recorder<'_>, regions: &Regions<A>) {
        commands.barrier(Work::Transfer, Work::Transfer);
        (0..self.ranges.len()).for_each(|index| self.record_upload(commands, regions, index));
    }

    fn record_upload(&self, commands: &mut A::Recorder<'_>, regions: &Regions<A>, index: usize) {
        let (here, range) = self.ranges[index];
        let (region, start) = regions.place(range.region);
        commands.copy((&self.buffer, here), (region, start + range.offset), range.size);
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

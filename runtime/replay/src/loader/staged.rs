//! Host-visible copies of inputs, outputs or parameters.

use std::sync::Arc;

use drift_bundle::ALIGNMENT_BYTES;

use super::Place;
use super::regions::Regions;
use crate::api::{Api, Memory, Purpose, Record, Work};
use crate::error::RuntimeError;
use crate::program::IoRange;

/// A buffer with a copy of each range.
pub(crate) struct Staged<A: Api> {
    buffer: A::Buffer,
    /// Where each copy begins, and what it is of.
    ranges: Vec<(u64, IoRange)>,
    /// Bytes that the list of each copy copies.
    recorded: Vec<u64>,
}

impl<A: Api> Staged<A> {
    /// Lays out copies of these ranges.
    pub(crate) fn new(api: &Arc<A>, ranges: Vec<IoRange>, purpose: Purpose) -> Result<Self, RuntimeError> {
        let mut end = 0_u64;
        let mut placed = Vec::with_capacity(ranges.len());
        let recorded = ranges.iter().map(|range| range.size).collect();
        for range in ranges {
            placed.push((end, range));
            end = (end + range.size).next_multiple_of(ALIGNMENT_BYTES);
        }
        Ok(Self { buffer: api.buffer(end, purpose)?, ranges: placed, recorded })
    }

    pub(crate) fn size(&self) -> u64 {
        self.buffer.size()
    }

    /// Has each range hold no more than so many bytes, which are no more than it was made with.
    pub(crate) fn resize(&mut self, sizes: &[u64]) {
        self.ranges.iter_mut().zip(sizes).for_each(|((_, range), size)| range.size = *size);
    }

    /// Records the upload of each range as a list of its own.
    pub(crate) fn record_uploads(
        &self,
        api: &A,
        recordings: &mut A::Recordings,
        regions: &Regions<A>,
    ) -> Result<Vec<usize>, RuntimeError> {
        let one = |index| api.record(recordings, |commands| self.upload(commands, regions, index));
        (0..self.ranges.len()).map(one).collect()
    }

    /// Records those of `lists` again whose ranges have another size than when they were recorded.
    pub(crate) fn follow_uploads(
        &mut self,
        api: &A,
        recordings: &mut A::Recordings,
        (regions, lists): (&Regions<A>, &[usize]),
    ) -> Result<(), RuntimeError> {
        self.follow(|staged, index| {
            api.record_again(recordings, lists[index], |commands| staged.upload(commands, regions, index))
        })
    }

    fn upload(&self, commands: &mut A::Recorder<'_>, regions: &Regions<A>, index: usize) {
        commands.barrier(Work::Any, Work::Transfer);
        self.record_upload(commands, regions, index);
    }

    /// Records the copies of all ranges to the device, and nothing else. Neighbours that lie as far apart there as here are one
    /// copy: what is between them is nobody's.
    pub(crate) fn record_joined(&self, commands: &mut A::Recorder<'_>, regions: &Regions<A>) {
        let mut joined: Vec<(u64, Place<'_, A>, u64)> = Vec::new();
        for (here, range) in &self.ranges {
            let (buffer, start) = regions.place(range.region);
            let there = start + range.offset;
            match joined.last_mut() {
                Some((from, (into, to), bytes))
                    if std::ptr::eq(*into, buffer) && there.checked_sub(*to) == Some(here - *from) =>
                {
                    *bytes = here - *from + range.size;
                }
                _ => joined.push((*here, (buffer, there), range.size)),
            }
        }
        for (from, to, bytes) in joined {
            commands.copy((&self.buffer, from), to, bytes);
        }
    }

    /// Records the copy of a range to the device, and nothing else.
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
        let one = |index| api.record(recordings, |commands| self.download(commands, regions, index));
        (0..self.ranges.len()).map(one).collect()
    }

    /// As [`Staged::follow_uploads`].
    pub(crate) fn follow_downloads(
        &mut self,
        api: &A,
        recordings: &mut A::Recordings,
        (regions, lists): (&Regions<A>, &[usize]),
    ) -> Result<(), RuntimeError> {
        self.follow(|staged, index| {
            api.record_again(recordings, lists[index], |commands| staged.download(commands, regions, index))
        })
    }

    fn download(&self, commands: &mut A::Recorder<'_>, regions: &Regions<A>, index: usize) {
        let (here, range) = self.ranges[index];
        let (region, start) = regions.place(range.region);
        commands.barrier(Work::Any, Work::Transfer);
        commands.copy((region, start + range.offset), (&self.buffer, here), range.size);
        commands.barrier(Work::Transfer, Work::Host);
    }

    /// Calls `record` for each range whose list copies another number of bytes.
    fn follow(
        &mut self,
        mut record: impl FnMut(&Self, usize) -> Result<(), RuntimeError>,
    ) -> Result<(), RuntimeError> {
        for index in 0..self.ranges.len() {
            let (_, IoRange { size, .. }) = self.ranges[index];
            if self.recorded[index] != size {
                record(self, index)?;
                self.recorded[index] = size;
            }
        }
        Ok(())
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

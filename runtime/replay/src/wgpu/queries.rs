//! GPU timestamps around dispatches.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use ::wgpu::wgc::command::PassTimestampWrites;
use ::wgpu::wgc::global::Global;
use ::wgpu::wgc::id::{BufferId, CommandEncoderId, QuerySetId};
use ::wgpu::wgt::QuerySetDescriptor;
use ::wgpu::{BufferUsages, QUERY_SET_MAX_QUERIES, QueryType};

use super::context::Context;
use super::handle::Handle;
use super::memory::Buffer;
use super::{failed, made};
use crate::api::{Memory, Purpose, Times};
use crate::error::RuntimeError;

/// A timestamp.
const TICK_BYTES: u64 = size_of::<u64>() as u64;

/// Timestamps of a program: two of each dispatch, which is a pass of its own, since not every API takes one inside of a
/// pass.
pub(crate) struct Timestamps {
    sets: Vec<Handle<QuerySetId>>,
    /// All of them, for the way to the host.
    pub(crate) resolved: Arc<Handle<BufferId>>,
    pub(crate) dispatches: usize,
}

/// Timestamps with where the host reads them.
pub(crate) struct Queries {
    pub(crate) timestamps: Arc<Timestamps>,
    pub(crate) landing: Buffer,
    /// Nanoseconds of a tick.
    period: f32,
}

impl Timestamps {
    /// Where the pass of a dispatch writes its times.
    pub(crate) fn of(&self, dispatch: usize) -> PassTimestampWrites {
        let first = 2 * dispatch;
        let most = QUERY_SET_MAX_QUERIES as usize;
        PassTimestampWrites {
            query_set: self.sets[first / most].id(),
            beginning_of_pass_write_index: Some((first % most) as u32),
            end_of_pass_write_index: Some((first % most) as u32 + 1),
        }
    }

    /// Encodes the way of all of them into one buffer.
    pub(crate) fn resolve(&self, core: &Global, commands: CommandEncoderId) -> Result<(), RuntimeError> {
        for (set, range) in self.sets.iter().zip(ranges(self.dispatches)) {
            let (offset, count) = (range.start as u64 * TICK_BYTES, range.len() as u32);
            core.command_encoder_resolve_query_set(commands, set.id(), 0, count, self.resolved.id(), offset)
                .map_err(failed("recording commands"))?;
        }
        Ok(())
    }
}

/// The timestamps of each set.
fn ranges(dispatches: usize) -> impl Iterator<Item = Range<usize>> {
    let (all, most) = (2 * dispatches, QUERY_SET_MAX_QUERIES as usize);
    (0..all).step_by(most).map(move |start| start..all.min(start + most))
}

impl Queries {
    pub(crate) fn new(context: &Context, submissions: &[Range<usize>]) -> Result<Self, RuntimeError> {
        let dispatches = submissions.last().map_or(0, |last| last.end);
        let set = |range: Range<usize>| {
            let descriptor =
                QuerySetDescriptor { label: None, ty: QueryType::Timestamp, count: range.len() as u32 };
            let created = context.core.device_create_query_set(context.device(), &descriptor, None);
            made(&context.core, created, "creating timestamps")
        };
        let sets = ranges(dispatches).map(set).collect::<Result<_, _>>()?;
        let landing = Buffer::new(context, 2 * dispatches as u64 * TICK_BYTES, Purpose::Download)?;
        let usage = BufferUsages::QUERY_RESOLVE | BufferUsages::COPY_SRC;
        let resolved = Arc::new(context.raw_buffer(landing.size(), usage)?);
        let timestamps = Arc::new(Timestamps { sets, resolved, dispatches });
        let period = context.core.queue_get_timestamp_period(context.queue());
        Ok(Self { timestamps, landing, period })
    }

    /// Times of the last run, which has been waited for.
    pub(crate) fn read(&self) -> Times {
        let bytes = self.landing.bytes().unwrap_or_default();
        let words = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
        let ticks: Vec<u64> = words.take(2 * self.timestamps.dispatches).collect();
        let first = ticks.first().copied().unwrap_or_default();
        let since = |tick: u64| self.elapsed(first, tick);
        let pairs = ticks.as_chunks::<2>().0.iter();
        let dispatches = pairs.map(|[start, end]| since(*start)..since(*end)).collect();
        let total = match (ticks.first(), ticks.last()) {
            (Some(start), Some(end)) => self.elapsed(*start, *end),
            _ => Duration::ZERO,
        };
        Times { dispatches, total }
    }

    fn elapsed(&self, from: u64, to: u64) -> Duration {
        Duration::from_nanos((to.saturating_sub(from) as f64 * f64::from(self.period)) as u64)
    }
}

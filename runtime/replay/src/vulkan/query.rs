//! GPU timestamps around dispatches.
#![expect(unsafe_code, reason = "calls Vulkan")]

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use ash::vk;

use super::context::Context;
use super::failed;
use crate::api::Times;
use crate::error::RuntimeError;

/// Timestamps of a program: for each submission one at its start, then one after each dispatch.
pub(crate) struct Queries {
    context: Arc<Context>,
    raw: vk::QueryPool,
    count: u32,
    submissions: Vec<Range<usize>>,
}

impl Queries {
    pub(crate) fn new(context: &Arc<Context>, submissions: &[Range<usize>]) -> Result<Self, RuntimeError> {
        let dispatches = submissions.last().map_or(0, |last| last.end);
        let count = (dispatches + submissions.len()) as u32;
        let info = vk::QueryPoolCreateInfo::default().query_type(vk::QueryType::TIMESTAMP).query_count(count);
        // SAFETY: the device is alive; there is at least one submission.
        let raw = unsafe { context.device.create_query_pool(&info, None) }
            .map_err(failed("creating timestamps"))?;
        Ok(Self { context: Arc::clone(context), raw, count, submissions: submissions.to_vec() })
    }

    /// Forgets the timestamps of the last run.
    pub(crate) fn record_reset(&self, commands: vk::CommandBuffer) {
        // SAFETY: the command buffer is recording.
        unsafe { self.context.device.cmd_reset_query_pool(commands, self.raw, 0, self.count) };
    }

    /// Takes the timestamp before the first dispatch of a submission.
    pub(crate) fn record_start(&self, commands: vk::CommandBuffer, submission: usize) {
        self.record(commands, self.start_of(submission));
    }

    /// Takes the timestamp after a dispatch.
    pub(crate) fn record_end(&self, commands: vk::CommandBuffer, submission: usize, dispatch: usize) {
        let within = dispatch - self.submissions[submission].start;
        self.record(commands, self.start_of(submission) + 1 + within);
    }

    fn start_of(&self, submission: usize) -> usize {
        self.submissions[submission].start + submission
    }

    fn record(&self, commands: vk::CommandBuffer, query: usize) {
        let end = vk::PipelineStageFlags::BOTTOM_OF_PIPE;
        // SAFETY: the command buffer is recording and the query was reset before.
        unsafe { self.context.device.cmd_write_timestamp(commands, end, self.raw, query as u32) };
    }

    /// Times of the last run, which has been waited for.
    pub(crate) fn read(&self) -> Result<Times, RuntimeError> {
        let mut ticks = vec![0_u64; self.count as usize];
        // Without a wait for results, which are there: the run that writes them has finished.
        let flags = vk::QueryResultFlags::TYPE_64;
        // SAFETY: the pool has as many queries, all written by the last run.
        unsafe { self.context.device.get_query_pool_results(self.raw, 0, &mut ticks, flags) }
            .map_err(failed("reading timestamps"))?;
        let mut dispatches = Vec::with_capacity(ticks.len());
        for (submission, range) in self.submissions.iter().enumerate() {
            let start = self.start_of(submission);
            let pairs = ticks[start..].windows(2).take(range.len());
            let since = |tick: u64| self.elapsed(ticks[0], tick);
            dispatches.extend(pairs.map(|pair| since(pair[0])..since(pair[1])));
        }
        let total = self.elapsed(ticks[0], ticks[ticks.len() - 1]);
        Ok(Times { dispatches, total })
    }

    fn elapsed(&self, from: u64, to: u64) -> Duration {
        let mask = u64::MAX >> (64 - self.context.timestamp_bits.clamp(1, 64));
        let ticks = to.wrapping_sub(from) & mask;
        Duration::from_nanos((ticks as f64 * f64::from(self.context.timestamp_period)) as u64)
    }
}

impl Drop for Queries {
    fn drop(&mut self) {
        let pool = self.raw;
        // SAFETY: no work that uses it is pending.
        self.context.retire(move |device| unsafe { device.destroy_query_pool(pool, None) });
    }
}

//! Records dispatches into command buffers, once.
#![expect(unsafe_code, reason = "calls Vulkan")]

use std::ops::Range;

use ash::vk;
use drift_bundle::manifest::Dispatch;

use super::bind::Bindings;
use super::commands::{Work, barrier};
use super::context::Context;
use super::pipeline::Pipelines;
use super::query::Queries;

/// A program whose parts can be recorded.
#[derive(Clone, Copy)]
pub(crate) struct Recorder<'a> {
    pub(crate) context: &'a Context,
    pub(crate) pipelines: &'a Pipelines,
    pub(crate) bindings: &'a Bindings,
    /// Those that `bindings` are of.
    pub(crate) dispatches: &'a [Dispatch],
    pub(crate) queries: Option<&'a Queries>,
}

impl Recorder<'_> {
    /// Records one submission. The first waits for all earlier work, uploads and the last run included.
    pub(crate) fn record(&self, commands: vk::CommandBuffer, submission: usize, range: Range<usize>) {
        if submission == 0 {
            barrier(self.context, commands, Work::Any, Work::Any);
            if let Some(queries) = self.queries {
                queries.record_reset(commands);
            }
        }
        if let Some(queries) = self.queries {
            queries.record_start(commands, submission);
        }
        for index in range {
            self.dispatch(commands, index);
            if let Some(queries) = self.queries {
                queries.record_end(commands, submission, index);
            }
        }
    }

    fn dispatch(&self, commands: vk::CommandBuffer, index: usize) {
        let dispatch = &self.dispatches[index];
        let pipeline = self.pipelines.of(dispatch.shader);
        let sets = self.bindings.of(index);
        let device = &self.context.device;
        if dispatch.barrier {
            barrier(self.context, commands, Work::Compute, Work::Compute);
        }
        let [x, y, z] = dispatch.workgroups;
        // SAFETY: the command buffer is recording; pipeline and sets match since both come from the shader's
        // slots; the counts are within the device's limits.
        unsafe {
            device.cmd_bind_pipeline(commands, vk::PipelineBindPoint::COMPUTE, pipeline.raw);
            if !sets.is_empty() {
                device.cmd_bind_descriptor_sets(
                    commands,
                    vk::PipelineBindPoint::COMPUTE,
                    pipeline.layout,
                    0,
                    sets,
                    &[],
                );
            }
            device.cmd_dispatch(commands, x, y, z);
        }
    }
}

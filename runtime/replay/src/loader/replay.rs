//! A program that is loaded once and submitted many times.

use std::ops::Range;
use std::sync::Arc;

use super::regions::Regions;
use super::sized::{Params, Steps};
use super::staged::Staged;
use super::weights::Weights;
use super::{DispatchList, submit_all};
use crate::api::Api;
use crate::backend::Replay;
use crate::deadline::Deadline;
use crate::error::RuntimeError;
use crate::pending::Serial;
use crate::program::Program;
use crate::report::{DispatchTiming, Timings};
use crate::sizes::Sizes;
use crate::waiter::Watch;

/// Everything that a run uses.
pub(crate) struct Replayed<A: Api> {
    recordings: A::Recordings,
    recorded: Recorded,
    /// Reused by each run: numbers of its uploads, then of the first part of the program.
    first: Vec<usize>,
    fence: A::Fence,
    timed: TimedDispatches<A>,
    steps: Steps,
    /// Dispatches of each part of the program.
    parts: Vec<Range<usize>>,
    params: Option<Params<A>>,
    /// Sizes that the next run follows and the last one did not.
    resized: Option<Sizes>,
    inputs: Staged<A>,
    outputs: Staged<A>,
    memory: Kept<A>,
    /// The last submission.
    last: Serial,
    api: Arc<A>,
}

/// What recorded commands refer to, users before what they use: bindings, pipelines, regions, weights.
pub(crate) type Kept<A> = (<A as Api>::Bindings, <A as Api>::Pipelines, Regions<A>, Arc<Weights<A>>);

/// Numbers of the lists of a run.
pub(crate) struct Recorded {
    /// For each input.
    pub(crate) uploads: Vec<usize>,
    /// At least one.
    pub(crate) program: Vec<usize>,
    /// For each output.
    pub(crate) downloads: Vec<usize>,
    /// Zeros state.
    pub(crate) reset: usize,
}

/// Timestamps of a program where they are asked for and can be had, and otherwise why there are none.
pub(crate) enum TimedDispatches<A: Api> {
    Queries { queries: A::Queries, names: Vec<String> },
    None { reason: &'static str },
}

impl<A: Api> TimedDispatches<A> {
    pub(crate) fn new(
        api: &Arc<A>,
        program: &Program<'_>,
        parts: &[Range<usize>],
        wanted: bool,
    ) -> Result<Self, RuntimeError> {
        if !wanted {
            return Ok(Self::None { reason: "load with `LoadOptions::timestamps`" });
        }
        if !api.info().features.timestamps {
            return Ok(Self::None { reason: "the device has no timestamps" });
        }
        let names = program.variant.dispatches.iter().map(|dispatch| dispatch.name.clone()).collect();
        Ok(Self::Queries { queries: api.queries(parts)?, names })
    }

    pub(crate) fn queries(&self) -> Option<&A::Queries> {
        match self {
            Self::Queries { queries, .. } => Some(queries),
            Self::None { .. } => None,
        }
    }
}

impl<A: Api> Replayed<A> {
    pub(crate) fn new(
        api: &Arc<A>,
        (recordings, recorded, fence, timed): (A::Recordings, Recorded, A::Fence, TimedDispatches<A>),
        (steps, parts, params): (Steps, Vec<Range<usize>>, Option<Params<A>>),
        (inputs, outputs): (Staged<A>, Staged<A>),
        memory: Kept<A>,
    ) -> Self {
        let first = Vec::with_capacity(recorded.uploads.len() + 2);
        let api = Arc::clone(api);
        let last = Serial::default();
        Self {
            recordings,
            recorded,
            first,
            fence,
            timed,
            steps,
            parts,
            params,
            resized: None,
            inputs,
            outputs,
            memory,
            last,
            api,
        }
    }
}

impl<A: Api> Replayed<A> {
    /// Records again what follows from sizes that were set: copies of inputs and outputs of another length, parts of the
    /// program with another grid, and words.
    fn follow(&mut self, sizes: &Sizes) -> Result<(), RuntimeError> {
        let (api, recordings) = (&*self.api, &mut self.recordings);
        let (bindings, pipelines, regions, _) = &self.memory;
        self.inputs.follow_uploads(api, recordings, (regions, &self.recorded.uploads))?;
        self.outputs.follow_downloads(api, recordings, (regions, &self.recorded.downloads))?;
        for (number, (list, range)) in self.recorded.program.iter().zip(&self.parts).enumerate() {
            if self.steps.follow(range.clone(), sizes) {
                let queries = self.timed.queries();
                let steps = DispatchList::<A> { pipelines, bindings, steps: &self.steps, queries };
                api.record_again(recordings, *list, |commands| {
                    steps.record(commands, number, range.clone())
                })?;
            }
        }
        if let Some(params) = &mut self.params {
            params.write(sizes);
        }
        Ok(())
    }

    /// Submits one list and waits for it.
    fn submit_alone(&mut self, number: usize, deadline: Deadline) -> Result<(), RuntimeError> {
        self.last = self.api.submit(&mut self.recordings, &[number], Some(&self.fence))?;
        self.api.wait(&self.fence, self.last, deadline)
    }
}

impl<A: Api> Replay for Replayed<A> {
    fn check(&self, doing: &'static str) -> Result<(), RuntimeError> {
        self.api.check(doing)
    }

    fn input(&mut self, index: usize) -> Result<&mut [u8], RuntimeError> {
        if !self.api.has_finished(self.last) {
            return Err(RuntimeError::Failed);
        }
        Ok(self.inputs.bytes_mut(index))
    }

    fn resize(&mut self, sizes: &Sizes, inputs: &[u64], outputs: &[u64]) {
        self.inputs.resize(inputs);
        self.outputs.resize(outputs);
        self.resized = Some(sizes.clone());
    }

    fn begin(&mut self, uploads: &[bool], is_last: bool) -> Result<(), RuntimeError> {
        self.first.clear();
        if let Some(sizes) = self.resized.take() {
            self.follow(&sizes)?;
            self.first.extend(self.params.as_ref().and_then(Params::upload));
        }
        let Some((start, rest)) = self.recorded.program.split_first() else {
            unreachable!("verified: a program has at least one part")
        };
        let wanted = self.recorded.uploads.iter().zip(uploads).filter(|(_, wanted)| **wanted);
        self.first.extend(wanted.map(|(upload, _)| *upload));
        self.first.push(*start);
        let fence = is_last.then_some(&self.fence);
        let first = if rest.is_empty() { fence } else { None };
        self.last = self.api.submit(&mut self.recordings, &self.first, first)?;
        if !rest.is_empty() {
            self.last = submit_all(&*self.api, &mut self.recordings, rest, fence)?;
        }
        Ok(())
    }

    fn end(&mut self, deadline: Deadline) -> Result<(), RuntimeError> {
        self.api.wait(&self.fence, self.last, deadline)
    }

    fn watch(&self) -> Watch {
        let (api, last) = (Arc::clone(&self.api), self.last);
        Box::new(move || api.has_finished(last) || api.check("watching a run").is_err())
    }

    fn reset_state(&mut self, deadline: Deadline) -> Result<(), RuntimeError> {
        self.submit_alone(self.recorded.reset, deadline)
    }

    fn read_state(&mut self, state: usize, into: &mut [u8], deadline: Deadline) -> Result<(), RuntimeError> {
        let (_, _, regions, _) = &self.memory;
        regions.states().read(&self.api, state, into, deadline)
    }

    fn write_state(&mut self, state: usize, from: &[u8], deadline: Deadline) -> Result<(), RuntimeError> {
        let (_, _, regions, _) = &self.memory;
        regions.states().write(&self.api, state, from, deadline)
    }

    fn fetch(&mut self, index: usize, deadline: Deadline) -> Result<(), RuntimeError> {
        self.submit_alone(self.recorded.downloads[index], deadline)
    }

    fn output(&self, index: usize) -> &[u8] {
        self.outputs.bytes(index)
    }

    fn timings(&mut self) -> Result<Timings, RuntimeError> {
        let (queries, names) = match &self.timed {
            TimedDispatches::Queries { queries, names } => (queries, names),
            TimedDispatches::None { reason } => return Err(RuntimeError::NoTimings { reason }),
        };
        let times = self.api.times(queries, &self.steps.run())?;
        let named = names.iter().cloned().zip(times.dispatches);
        let timing = named.map(|(name, Range { start, end })| DispatchTiming {
            name,
            start,
            time: end.saturating_sub(start),
        });
        let dispatches = timing.collect();
        Ok(Timings { dispatches, total: times.total })
    }
}

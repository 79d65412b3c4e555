//! Loads programs onto any [`Api`], and replays them: memory that sessions share, weights, init programs, submissions.

mod memory;
mod regions;
mod replay;
mod sized;
mod staged;
mod states;
pub(crate) mod weights;

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use drift_bundle::WeightReader;

use crate::api::{Api, Purpose, Record, Work};
use crate::backend::{Loaded, Together};
use crate::deadline::Deadline;
use crate::error::RuntimeError;
use crate::options::LoadOptions;
use crate::pending::Serial;
use crate::program::{Program, UsedWeights, submissions};
use crate::report::{DeviceBytes, LoadTimes};
use crate::sizes::Sizes;
use memory::Places;
use regions::{Arenas, Regions, Shared};
use replay::{Recorded, Replayed, TimedDispatches};
use sized::{Params, Steps};
use staged::Staged;
use states::StateMemory;
use weights::Weights;

/// A buffer, and where in it something begins.
type Place<'m, A> = (&'m <A as Api>::Buffer, u64);

/// Loads programs; see [`crate::backend::Backend::load`].
pub(crate) fn load<A: Api>(
    api: &Arc<A>,
    (programs, states, own): Together<'_>,
    options: &LoadOptions,
) -> Result<Vec<Loaded>, RuntimeError> {
    let Some(bundle) = programs.first().map(|program| program.bundle) else { return Ok(Vec::new()) };
    let deadline = Deadline::after(options.load_timeout);
    api.check("loading")?;
    let mut clock = Clock(Instant::now());
    let used = programs.iter().map(Program::weights_of_runs).fold(UsedWeights::default(), UsedWeights::and);
    let mut reader =
        if options.verify_weights { bundle.verifying_weight_reader() } else { bundle.weight_reader() };
    let stored = &bundle.manifest().weights;
    let weights = Arc::new(Weights::load(api, (stored, &mut reader), &used, deadline)?);
    let upload = clock.lap();
    let shared = Arenas::new(api, programs.iter().filter(|program| program.may_share()))?;
    let states = StateMemory::of(api, states)?;
    let mut loaded = Vec::with_capacity(programs.len());
    for (program, states) in programs.iter().zip(states) {
        let arenas = if program.may_share() { Arc::clone(&shared) } else { Arenas::new(api, [program])? };
        let memory = ((arenas, states, own), Arc::clone(&weights), &mut reader);
        loaded.push(load_one(api, program, memory, upload, (options, deadline))?);
    }
    reader.finish()?;
    Ok(loaded)
}

/// Loads `program` into memory that is there already; `reader` is for weights that only its init program uses.
fn load_one<A: Api>(
    api: &Arc<A>,
    program: &Program<'_>,
    (shared, weights, reader): (Shared<'_, A>, Arc<Weights<A>>, &mut WeightReader<'_>),
    upload: Duration,
    (options, deadline): (&LoadOptions, Deadline),
) -> Result<Loaded, RuntimeError> {
    let mut clock = Clock(Instant::now());
    let variant = program.variant;
    let regions = Regions::new(api, variant, shared)?;
    let inputs = Staged::new(api, program.input_ranges(), Purpose::Upload)?;
    let outputs = Staged::new(api, program.output_ranges(), Purpose::Download)?;
    let allocate = clock.lap();
    let (pipelines, cache) = api.pipelines(program, options.cache_dir.as_deref(), deadline)?;
    let compile = clock.lap();
    let none = Weights::none();
    let places = Places::<A> { regions: &regions, weights: &weights, init_only: &none };
    let bindings = api.bind(program, &pipelines, &variant.dispatches, |resource| places.bound(resource))?;
    let mut parts = submissions(&variant.dispatches, &options.submit);
    if parts.is_empty() {
        parts.push(0..0);
    }
    let submissions = parts.len();
    let timed = TimedDispatches::new(api, program, &parts, options.timestamps)?;
    let fence = api.fence()?;
    let mut recordings = api.recordings(timed.queries().is_some())?;
    let sizes = Sizes::of(program.entry);
    let steps = Steps::new(&variant.dispatches, &sizes);
    let list = DispatchList::<A> {
        pipelines: &pipelines,
        bindings: &bindings,
        steps: &steps,
        queries: timed.queries(),
    };
    let uploads = inputs.record_uploads(api, &mut recordings, &regions)?;
    let downloads = outputs.record_downloads(api, &mut recordings, &regions)?;
    let reset = api.record(&mut recordings, |commands| {
        commands.barrier(Work::Any, Work::Transfer);
        regions.record_reset(commands);
    })?;
    let program_lists = list.record_all(api, &mut recordings, &parts)?;
    let mut params = Params::new(api, variant, &sizes)?;
    if let Some(params) = &mut params {
        params.record_upload(api, &mut recordings, &regions)?;
    }
    let recorded = Recorded { uploads, program: program_lists, downloads, reset };
    let record = clock.lap();
    let (init_only_bytes, init_upload) =
        initialise(api, program, &pipelines, (places, reader, params.as_ref()), (options, deadline))?;
    let init = clock.lap().saturating_sub(init_upload);
    let staging = inputs.size() + outputs.size() + params.as_ref().map_or(0, Params::size);
    let bytes = DeviceBytes { weights: weights.bytes(), staging, ..regions.bytes() };
    let bytes = DeviceBytes { peak: bytes.total() + weights.staging_bytes.max(init_only_bytes), ..bytes };
    let upload = upload + init_upload;
    let times = LoadTimes { allocate, upload, pipelines: compile, record, init, total: Duration::ZERO };
    let replay = Replayed::new(
        api,
        (recordings, recorded, fence, timed),
        (steps, parts, params),
        (inputs, outputs),
        (bindings, pipelines, regions, weights),
    );
    let pipelines = program.used_shaders().len();
    Ok(Loaded { replay: Box::new(replay), pipelines, submissions, cache, times, bytes })
}

/// Zeros all regions, writes parameters, then runs the init program. Weights that only it reads are there meanwhile: returns the bytes that they took and the time of their upload.
fn initialise<A: Api>(
    api: &Arc<A>,
    program: &Program<'_>,
    pipelines: &A::Pipelines,
    (places, reader, params): (Places<'_, A>, &mut WeightReader<'_>, Option<&Params<A>>),
    (options, deadline): (&LoadOptions, Deadline),
) -> Result<(u64, Duration), RuntimeError> {
    let mut clock = Clock(Instant::now());
    let mut used = program.weights_of_init();
    used.blobs.retain(|blob| places.weights.place(*blob).is_none());
    used.textures.retain(|texture| places.weights.texture(texture).is_none());
    let stored = &program.bundle.manifest().weights;
    let init_only = Weights::load(api, (stored, reader), &used, deadline)?;
    let upload = clock.lap();
    let places = Places { init_only: &init_only, ..places };
    let dispatches = &program.variant.init;
    let bindings = api.bind(program, pipelines, dispatches, |resource| places.bound(resource))?;
    let fence = api.fence()?;
    let mut recordings = api.recordings(false)?;
    let clear = api.record(&mut recordings, |commands| {
        places.regions.record_clear(commands);
        if let Some(params) = params {
            commands.barrier(Work::Transfer, Work::Transfer);
            params.record_copies(commands, places.regions);
        }
    })?;
    let steps = Steps::new(dispatches, &Sizes::of(program.entry));
    let list = DispatchList::<A> { pipelines, bindings: &bindings, steps: &steps, queries: None };
    let mut parts = vec![clear];
    parts.extend(list.record_all(api, &mut recordings, &submissions(dispatches, &options.submit))?);
    let last = submit_all(&**api, &mut recordings, &parts, Some(&fence))?;
    api.wait(&fence, last, deadline)?;
    Ok((init_only.bytes() + init_only.staging_bytes, upload))
}

/// Submits one after another; the fence, if there is one, signals after the last, whose number is returned.
fn submit_all<A: Api>(
    api: &A,
    recordings: &mut A::Recordings,
    parts: &[usize],
    fence: Option<&A::Fence>,
) -> Result<Serial, RuntimeError> {
    let mut last = Serial::default();
    for (index, part) in parts.iter().enumerate() {
        let ends = index + 1 == parts.len();
        last = api.submit(recordings, &[*part], fence.filter(|_| ends))?;
    }
    Ok(last)
}

/// Dispatches that are recorded in order.
struct DispatchList<'a, A: Api> {
    pipelines: &'a A::Pipelines,
    bindings: &'a A::Bindings,
    /// Those that `bindings` are of.
    steps: &'a Steps,
    queries: Option<&'a A::Queries>,
}

impl<A: Api> DispatchList<'_, A> {
    /// Records each part as one list of commands, whose numbers are returned.
    fn record_all(
        &self,
        api: &A,
        recordings: &mut A::Recordings,
        parts: &[Range<usize>],
    ) -> Result<Vec<usize>, RuntimeError> {
        let one = |(index, range): (usize, &Range<usize>)| {
            api.record(recordings, |commands| self.record(commands, index, range.clone()))
        };
        parts.iter().enumerate().map(one).collect()
    }

    /// Records one submission. The first waits for all earlier work, uploads and the last run included. What comes before a
    /// dispatch that is left out is waited for all the same, since those after it may rely on that.
    fn record(&self, commands: &mut A::Recorder<'_>, submission: usize, range: Range<usize>) {
        if submission == 0 {
            commands.barrier(Work::Any, Work::Any);
            if let Some(queries) = self.queries {
                commands.reset_times(queries);
            }
        }
        if let Some(queries) = self.queries {
            commands.stamp_start(queries, submission);
        }
        for index in range {
            if self.steps.has_barrier(index) {
                commands.barrier(Work::Compute, Work::Compute);
            }
            let step = self.steps.step(index);
            if let Some(step) = step {
                commands.dispatch(self.pipelines, self.bindings, index, step);
            }
            match (self.queries, step) {
                (Some(queries), Some(_)) => commands.stamp_end(queries, submission, index),
                (Some(queries), None) => commands.stamp_left_out(queries, submission, index),
                (None, _) => {}
            }
        }
    }
}

/// Time since it was last asked.
struct Clock(Instant);

impl Clock {
    fn lap(&mut self) -> Duration {
        let now = Instant::now();
        let lap = now - self.0;
        self.0 = now;
        lap
    }
}

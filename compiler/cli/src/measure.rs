//! How long loading, the first run and replays of a bundle take.

use crate::args::{BenchArgs, CompileFlags, DimArg};
use crate::error::CliError;
use crate::host::HostTensor;
use crate::model::Model;
use crate::output::Registered;
use crate::progress::Progress;
use crate::report::{BenchJson, DispatchJson};
use crate::stats::{Statistics, median};
use crate::{Console, in_memory, model, random, replay, sizes};
use drift_bundle::Bundle;
use drift_bundle::manifest::{Dispatch, IoTensor, Target};
use drift_runtime::{CacheUse, Device, LoadOptions, LoadReport, Session, Timings};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The model that is measured: imported once, however often it is compiled.
pub(crate) struct Subject<'a> {
    path: &'a Path,
    pub(crate) model: Model,
}

impl<'a> Subject<'a> {
    pub(crate) fn import(args: &'a BenchArgs, console: &mut Console<'_>) -> Result<Self, CliError> {
        let path = args.model.as_path();
        let _progress = Progress::spinner("importing");
        let model = model::load(path, &args.flags)?;
        model.tell(None, console)?;
        Ok(Self { path, model })
    }

    /// A bundle of the model, and what the compiler warned of.
    pub(crate) fn compile(
        &self,
        target: Target,
        flags: &CompileFlags,
    ) -> Result<(Bundle, Vec<String>), CliError> {
        let _progress = Progress::spinner("compiling");
        let Model { graph, identity, .. } = &self.model;
        let (bundle, report) =
            in_memory::bundle((graph.clone(), identity.clone()), self.path, flags, vec![target])?;
        Ok((bundle, report.warnings))
    }
}

/// What was measured on one bundle.
pub(crate) struct Measured {
    device: String,
    target: Target,
    pub(crate) variant: String,
    load_ms: f64,
    first_run_ms: f64,
    pipeline_cache: CacheUse,
    warm_load_ms: f64,
    warm_first_run_ms: f64,
    init_ms: f64,
    /// Whole replays, as the caller sees them.
    pub(crate) runs_ms: Vec<f64>,
    /// What the GPU measured in other replays; empty where it cannot.
    timings: Vec<Timings>,
    /// The dispatches of a replay.
    pub(crate) program: Vec<Dispatch>,
    peak_device_bytes: u64,
    kept_device_bytes: u64,
}

/// Loads and replays a bundle whose free dims have these sizes.
pub(crate) fn measure(
    bundle: &Bundle,
    device: &Device,
    (args, dims): (&BenchArgs, &[DimArg]),
) -> Result<Measured, CliError> {
    let progress = Progress::steps(2 * args.iterations as usize, "measuring");
    let (cache, mut inputs) = (Cache::open(args)?, RandomInputs::of(dims));
    let first = started(bundle, device, args, cache.folder(), &mut inputs)?;
    let pipeline_cache = first.session.report().cache.clone();
    let (load_ms, first_run_ms) = (first.load_ms, first.first_run_ms);
    drop(first);
    let Started { mut session, load_ms: warm_load_ms, first_run_ms: warm_first_run_ms } =
        started(bundle, device, args, cache.folder(), &mut inputs)?;
    for _ in 0..args.warm_up {
        timed(&mut session)?;
    }
    let mut runs_ms = Vec::new();
    for _ in 0..args.iterations {
        runs_ms.push(timed(&mut session)?);
        progress.step();
    }
    let report = session.report().clone();
    let program = program(bundle, device.info().kind.target(), &report);
    drop(session);
    Ok(Measured {
        device: device.info().name.clone(),
        target: device.info().kind.target(),
        variant: report.variant,
        load_ms,
        first_run_ms,
        pipeline_cache,
        warm_load_ms,
        warm_first_run_ms,
        init_ms: milliseconds_of(report.times.init),
        runs_ms,
        timings: gpu_timings(bundle, device, args, &mut inputs, &progress)?,
        program,
        peak_device_bytes: report.bytes.peak,
        kept_device_bytes: report.bytes.total(),
    })
}

/// A loaded bundle after its first run.
struct Started {
    session: Session,
    load_ms: f64,
    first_run_ms: f64,
}

fn started(
    bundle: &Bundle,
    device: &Device,
    args: &BenchArgs,
    cache: &Path,
    inputs: &mut RandomInputs<'_>,
) -> Result<Started, CliError> {
    let cache_dir = Some(cache.to_owned());
    let options = LoadOptions { entry: args.entry.clone(), cache_dir, ..args.replay.options() };
    let started = Instant::now();
    let mut session = device.load_with(bundle, &options)?;
    let load_ms = elapsed_ms(started);
    inputs.write(&mut session)?;
    let first_run_ms = timed(&mut session)?;
    Ok(Started { session, load_ms, first_run_ms })
}

/// Where pipelines are kept from the first load to the second.
enum Cache {
    /// The user's folder.
    Given(PathBuf),
    /// A folder that goes with this, on signals too.
    Own { folder: TempDir, _registered: Registered },
}

impl Cache {
    fn open(args: &BenchArgs) -> Result<Self, CliError> {
        if let Some(folder) = &args.pipeline_cache {
            return Ok(Self::Given(folder.clone()));
        }
        let made = tempfile::Builder::new().prefix("driftc-bench-").tempdir();
        let folder = made.map_err(|source| CliError::Write { path: std::env::temp_dir(), source })?;
        let registered = Registered::new(folder.path().to_owned());
        Ok(Self::Own { folder, _registered: registered })
    }

    fn folder(&self) -> &Path {
        match self {
            Self::Given(folder) => folder,
            Self::Own { folder, .. } => folder.path(),
        }
    }
}

const fn cache_word(cache: &CacheUse) -> &'static str {
    match cache {
        CacheUse::Off => "off",
        CacheUse::Created(_) => "created",
        CacheUse::Used(_) => "used",
        CacheUse::Replaced(_) => "replaced",
        CacheUse::Unwritable { .. } => "unwritable",
    }
}

/// GPU times come from a session of their own, since a timestamp around each dispatch slows the replay down.
fn gpu_timings(
    bundle: &Bundle,
    device: &Device,
    args: &BenchArgs,
    inputs: &mut RandomInputs<'_>,
    progress: &Progress,
) -> Result<Vec<Timings>, CliError> {
    if !device.info().features.timestamps {
        return Ok(Vec::new());
    }
    let options = LoadOptions { entry: args.entry.clone(), timestamps: true, ..args.replay.options() };
    let mut session = device.load_with(bundle, &options)?;
    inputs.write(&mut session)?;
    let mut timings = Vec::new();
    for _ in 0..args.iterations {
        session.run()?;
        timings.push(session.timings()?);
        progress.step();
    }
    Ok(timings)
}

/// Random inputs of an entry, made once for all its sessions, and the sizes that they have.
#[derive(Default)]
pub(crate) struct RandomInputs<'a> {
    dims: &'a [DimArg],
    made: Vec<HostTensor>,
}

impl<'a> RandomInputs<'a> {
    pub(crate) fn of(dims: &'a [DimArg]) -> Self {
        Self { dims, made: Vec::new() }
    }

    pub(crate) fn write(&mut self, session: &mut Session) -> Result<(), CliError> {
        sizes::set(session, self.dims)?;
        if self.made.is_empty() {
            let random = |tensor: &IoTensor| {
                random::tensor(&tensor.name, tensor.element, &tensor.shape)
                    .map_err(|source| CliError::Tensor { name: tensor.name.clone(), source })
            };
            self.made = session.inputs().iter().map(random).collect::<Result<_, _>>()?;
        }
        replay::write_all(session, &self.made)
    }
}

fn timed(session: &mut Session) -> Result<f64, CliError> {
    let started = Instant::now();
    session.run()?;
    Ok(elapsed_ms(started))
}

fn elapsed_ms(started: Instant) -> f64 {
    started.elapsed().as_secs_f64() * 1e3
}

/// The dispatches of the variant that was loaded.
fn program(bundle: &Bundle, target: Target, report: &LoadReport) -> Vec<Dispatch> {
    let entries = bundle.manifest().entries.iter();
    let entry = entries.filter(|entry| entry.target == target).find(|entry| entry.name == report.entry);
    let variant =
        entry.and_then(|entry| entry.variants.iter().find(|variant| variant.name == report.variant));
    variant.map(|variant| variant.dispatches.clone()).unwrap_or_default()
}

impl Measured {
    pub(crate) fn report(&self, args: &BenchArgs) -> BenchJson {
        let runs = Statistics::of(&self.runs_ms).expect("at least one iteration is measured");
        let totals: Vec<f64> = self.timings.iter().map(|timings| milliseconds_of(timings.total)).collect();
        BenchJson {
            device: self.device.clone(),
            target: self.target.name(),
            variant: self.variant.clone(),
            load_ms: self.load_ms,
            first_run_ms: self.first_run_ms,
            pipeline_cache: cache_word(&self.pipeline_cache),
            warm_load_ms: self.warm_load_ms,
            warm_first_run_ms: self.warm_first_run_ms,
            init_ms: self.init_ms,
            median_ms: runs.median,
            min_ms: runs.min,
            p90_ms: runs.p90,
            p95_ms: runs.p95,
            p99_ms: runs.p99,
            gpu_median_ms: median(&totals),
            host_share: median(&totals).map(|gpu| ((runs.median - gpu) / runs.median).clamp(0.0, 1.0)),
            peak_device_bytes: self.peak_device_bytes,
            kept_device_bytes: self.kept_device_bytes,
            iterations: args.iterations,
            warnings: Vec::new(),
            dispatches: if args.per_dispatch { self.dispatches() } else { Vec::new() },
            ablation: Vec::new(),
        }
    }

    /// The middle GPU time of each dispatch over all replays, in order; empty where the device does not measure.
    pub(crate) fn dispatches(&self) -> Vec<DispatchJson> {
        let one = |(index, dispatch): (usize, &Dispatch)| {
            let times = self.timings.iter().filter_map(|timings| timings.dispatches.get(index));
            let sample: Vec<f64> = times.map(|timing| milliseconds_of(timing.time)).collect();
            median(&sample).map(|gpu_median_ms| DispatchJson {
                name: dispatch.name.clone(),
                gpu_median_ms,
                bytes_read: dispatch.bytes_read,
                bytes_written: dispatch.bytes_written,
                flops: dispatch.flops,
            })
        };
        self.program.iter().enumerate().filter_map(one).collect()
    }
}

fn milliseconds_of(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

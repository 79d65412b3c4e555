//! One replay as a trace that chrome://tracing and Perfetto open: what the host did, and when each dispatch ran.

use crate::error::CliError;
use crate::measure::RandomInputs;
use crate::replay;
use drift_bundle::Bundle;
use drift_bundle::manifest::Dispatch;
use drift_runtime::{Device, LoadOptions, LoadTimes, RuntimeError, Session};
use serde_json::{Value, json};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// What the host did for a while.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HostSpan {
    name: &'static str,
    start: Duration,
    time: Duration,
}

/// GPU time of one dispatch.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GpuSpan {
    /// Name of the dispatch.
    name: String,
    /// When it began, counted from the first one's start.
    start: Duration,
    time: Duration,
    /// What it must read and write at least.
    bytes: u64,
    /// Its arithmetic.
    flops: u64,
}

/// One replay from load to results.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Trace {
    host: Vec<HostSpan>,
    /// When the replay was submitted: the GPU's clock is another one, so that its first dispatch is put there.
    submitted: Duration,
    /// Empty where the device does not measure.
    gpu: Vec<GpuSpan>,
}

/// Loads a bundle, replays it twice, and notes the second replay.
pub(crate) fn record(
    (bundle, program): (&Bundle, &[Dispatch]),
    device: &Device,
    options: LoadOptions,
    inputs: &mut RandomInputs<'_>,
) -> Result<Trace, CliError> {
    let timestamps = device.info().features.timestamps;
    let mut clock = Clock { began: Instant::now(), spans: Vec::new() };
    let options = LoadOptions { timestamps, ..options };
    let loading = clock.began;
    let mut session = device.load_with(bundle, &options)?;
    clock.load(loading.elapsed(), session.report().times);
    clock.time("write", || inputs.write(&mut session))?;
    clock.time("first run", || session.run())?;
    let submitting = clock.now();
    let waiting = run(&mut session)?;
    let (submitted, end) = (waiting.duration_since(clock.began), clock.now());
    clock.add("submit", submitting, submitted);
    clock.add("wait", submitted, end);
    clock.time("read", || {
        let outputs = session.outputs().to_vec();
        outputs.iter().try_for_each(|output| replay::read(&mut session, output).map(drop))
    })?;
    let timings = if timestamps { session.timings()?.dispatches } else { Vec::new() };
    let span = |(timing, dispatch): (drift_runtime::DispatchTiming, &Dispatch)| GpuSpan {
        name: timing.name,
        start: timing.start,
        time: timing.time,
        bytes: dispatch.bytes_read + dispatch.bytes_written,
        flops: dispatch.flops,
    };
    let gpu = timings.into_iter().zip(program).map(span).collect();
    Ok(Trace { host: clock.spans, submitted, gpu })
}

/// Spans since a beginning.
struct Clock {
    began: Instant,
    spans: Vec<HostSpan>,
}

impl Clock {
    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn add(&mut self, name: &'static str, start: Duration, end: Duration) {
        self.spans.push(HostSpan { name, start, time: end.saturating_sub(start) });
    }

    fn time<T, E>(&mut self, name: &'static str, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let start = self.now();
        let done = work();
        let end = self.now();
        self.add(name, start, end);
        done
    }

    /// Loading, and its stages in the order in which they run.
    fn load(&mut self, whole: Duration, times: LoadTimes) {
        self.add("load", Duration::ZERO, whole);
        let LoadTimes { allocate, upload, pipelines, record, init, .. } = times;
        let mut start = Duration::ZERO;
        for (name, time) in [
            ("allocate", allocate),
            ("upload", upload),
            ("pipelines", pipelines),
            ("record", record),
            ("init", init),
        ] {
            self.add(name, start, start + time);
            start += time;
        }
    }
}

/// Runs once; the moment between giving the run to the device and waiting for it.
fn run(session: &mut Session) -> Result<Instant, RuntimeError> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut running = pin!(session.run_async());
    let mut poll = running.as_mut().poll(&mut context);
    let submitted = Instant::now();
    loop {
        match poll {
            Poll::Ready(done) => return done.map(|_| submitted),
            Poll::Pending => thread::park(),
        }
        poll = running.as_mut().poll(&mut context);
    }
}

/// Wakes the thread that waits.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl Trace {
    /// Whether the device measured.
    pub(crate) fn has_gpu_times(&self) -> bool {
        !self.gpu.is_empty()
    }

    /// Host and GPU as two processes of the trace. Times are microseconds.
    pub(crate) fn json(&self, device: &str) -> Value {
        let microseconds = |time: Duration| time.as_secs_f64() * 1e6;
        let name = |pid: u32, name: &str| json!({ "name": "process_name", "ph": "M", "pid": pid, "args": { "name": name } });
        let mut events = vec![name(0, "host"), name(1, device)];
        events.extend(self.host.iter().map(|HostSpan { name, start, time }| {
            json!({
                "name": name, "cat": "host", "ph": "X", "pid": 0, "tid": 0,
                "ts": microseconds(*start), "dur": microseconds(*time),
            })
        }));
        let mut end = Duration::ZERO;
        for GpuSpan { name, start, time, bytes, flops } in &self.gpu {
            let gap = microseconds(start.saturating_sub(end));
            events.push(json!({
                "name": name, "cat": "dispatch", "ph": "X", "pid": 1, "tid": 0,
                "ts": microseconds(self.submitted + *start), "dur": microseconds(*time),
                "args": { "bytes": bytes, "flops": flops, "gap_before_us": gap },
            }));
            end = end.max(*start + *time);
        }
        json!({
            "displayTimeUnit": "ms",
            "traceEvents": events,
            "otherData": { "note": "the GPU has a clock of its own: its first dispatch is put where the replay was submitted" },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(milliseconds: f64) -> Duration {
        Duration::from_secs_f64(milliseconds / 1e3)
    }

    #[test]
    fn dispatches_stand_where_they_ran_with_the_gaps_between_them() {
        let span = |name: &str, start, time| GpuSpan {
            name: name.to_owned(),
            start: ms(start),
            time: ms(time),
            bytes: 8,
            flops: 4,
        };
        let trace = Trace {
            host: vec![HostSpan { name: "submit", start: ms(1.0), time: ms(1.0) }],
            submitted: ms(2.0),
            gpu: vec![span("a", 0.0, 0.5), span("b", 0.75, 0.25)],
        };
        let trace = trace.json("a device");
        let events = trace["traceEvents"].as_array().unwrap();
        assert_eq!(
            (events.len(), &events[2]["name"], &events[2]["dur"]),
            (5, &"submit".into(), &1000.0.into())
        );
        assert_eq!((events[4]["ts"].as_f64(), events[4]["dur"].as_f64()), (Some(2750.0), Some(250.0)));
        assert_eq!(events[4]["args"]["gap_before_us"].as_f64(), Some(250.0));
    }
}

//! Runs that nobody blocks for, on every device: futures under an executor of ten lines, callbacks, and runs that are called off.
#![expect(clippy::unwrap_used, reason = "a test helper fails by panicking")]

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use drift_runtime::{Device, DeviceKind, LoadOptions, OpenOptions, Run, RunThen, RuntimeError, Session};

use crate::anywhere::{KINDS, Work, in_arena, load, on_each, with_work};
use crate::child;
use crate::program::{Program, arena, state};

const Y: [f32; 4] = [2.0, 4.0, 6.0, 8.0];

/// Wakes a thread, and counts how often.
struct Unpark(Thread, AtomicUsize);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.unpark();
    }
}

/// Polls when it is woken, and else not.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let unpark = Arc::new(Unpark(std::thread::current(), AtomicUsize::new(0)));
    let waker: Waker = Arc::clone(&unpark).into();
    let mut future = pin!(future);
    let start = Instant::now();
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        while unpark.1.swap(0, Ordering::SeqCst) == 0 {
            assert!(start.elapsed() < Duration::from_secs(120), "nobody woke");
            std::thread::park_timeout(Duration::from_secs(1));
        }
    }
}

/// Polls once, with a waker that does nothing.
fn poll_once(run: &mut Run<'_>) -> Poll<Result<(), RuntimeError>> {
    Pin::new(run).poll(&mut Context::from_waker(Waker::noop()))
}

fn limits(timeout: Duration) -> LoadOptions {
    LoadOptions { timeout, ..LoadOptions::default() }
}

#[test]
fn what_runs_elsewhere_may_be_sent_there() {
    fn is_sent<T: Send + 'static>() {}
    is_sent::<Session>();
    is_sent::<Run<'static>>();
    is_sent::<RunThen>();
}

#[test]
fn a_future_needs_no_executor_in_particular() {
    on_each(|device, kind| {
        let mut session = load(device, &in_arena(kind, Work::Double), &LoadOptions::default());
        for factor in [1.0_f32, 3.0] {
            session.write("x", &[1.0, 2.0, 3.0, 4.0].map(|x| x * factor)).unwrap();
            block_on(session.run_async()).unwrap();
            assert_eq!(session.read::<f32>("y").unwrap(), Y.map(|y| y * factor), "{kind:?}");
        }
        // One that is never polled does nothing.
        session.write("x", &[0.0_f32; 4]).unwrap();
        drop(session.run_async());
        assert_eq!(session.read::<f32>("y").unwrap(), Y.map(|y| y * 3.0));
        let mut unwritten = device.load(&in_arena(kind, Work::Double)).unwrap();
        let error = block_on(unwritten.run_async()).unwrap_err();
        assert!(matches!(error, RuntimeError::NotWritten { .. }), "{error}");
    });
}

#[test]
fn two_sessions_run_side_by_side_on_one_thread() {
    on_each(|device, kind| {
        let mut slow = load(device, &in_arena(kind, Work::Long(200)), &LoadOptions::default());
        let mut fast = load(device, &in_arena(kind, Work::Double), &LoadOptions::default());
        for _ in 0..3 {
            let (mut first, mut second) = (pin!(slow.run_async()), pin!(fast.run_async()));
            let (mut one, mut other) = (None, None);
            block_on(std::future::poll_fn(|context| {
                if one.is_none()
                    && let Poll::Ready(done) = first.as_mut().poll(context)
                {
                    one = Some(done);
                }
                if other.is_none()
                    && let Poll::Ready(done) = second.as_mut().poll(context)
                {
                    other = Some(done);
                }
                if one.is_some() && other.is_some() { Poll::Ready(()) } else { Poll::Pending }
            }));
            assert!(matches!((one, other), (Some(Ok(())), Some(Ok(())))));
        }
        assert_eq!(fast.read::<f32>("y").unwrap(), Y);
    });
}

/// Two entries that share a state and arenas, each of which doubles `x`.
fn sharing(kind: DeviceKind) -> drift_bundle::Bundle {
    let entry = |program: Program| {
        let program = program.region(state("kept", &[4]), 16);
        program.f32_input("x", &[4], 0).f32_output("y", &[4], 256)
    };
    let places = [arena(0, 16), arena(256, 16)];
    let first = with_work(entry(Program::new(512)), kind, Work::Double, &places);
    with_work(entry(first.then("other", 512)), kind, Work::Long(20), &places).bundle()
}

#[test]
fn runs_that_share_memory_take_turns_without_blocking() {
    on_each(|device, kind| {
        let mut sessions =
            device.load_entries(&sharing(kind), &["main", "other"], &LoadOptions::default()).unwrap();
        let [first, second] = &mut sessions[..] else { panic!("two sessions") };
        for session in [&mut *first, &mut *second] {
            session.write("x", &[1.0_f32, 2.0, 3.0, 4.0]).unwrap();
        }
        let mut held = second.run_async();
        let began = poll_once(&mut held);
        if began.is_pending() {
            // The other one holds the memory, although the device may have finished.
            assert!(poll_once(&mut first.run_async()).is_pending());
        }
        let worker = std::thread::scope(|scope| {
            let worker = scope.spawn(|| block_on(first.run_async()));
            std::thread::sleep(Duration::from_millis(20));
            if began.is_pending() {
                block_on(held).unwrap();
            }
            worker.join().unwrap()
        });
        worker.unwrap();
        assert_eq!(first.read::<f32>("y").unwrap(), Y);
        // Whoever calls off gives the memory back, and the states are whole.
        let mut called_off = second.run_async();
        let _ = poll_once(&mut called_off);
        drop(called_off);
        assert_eq!(first.read_state("kept").unwrap(), [0; 16]);
        block_on(first.run_async()).unwrap();
        assert_eq!(first.read::<f32>("y").unwrap(), Y);
    });
}

#[test]
fn a_run_that_is_dropped_is_finished_by_the_device_and_the_session_goes_on() {
    on_each(|device, kind| {
        let mut session = load(device, &in_arena(kind, Work::Long(2000)), &LoadOptions::default());
        for _ in 0..3 {
            let mut run = session.run_async();
            assert!(poll_once(&mut run).is_pending(), "{kind:?} is faster than thought");
            drop(run);
            // It waits for what was called off, whose input it would change.
            session.write("x", &[1.0_f32, 2.0, 3.0, 4.0]).unwrap();
            assert!(session.read::<f32>("y").unwrap()[0] > 1.0);
        }
        let mut run = session.run_async();
        assert!(poll_once(&mut run).is_pending());
        drop(run);
        block_on(session.run_async()).unwrap();
        // With its session, and with its device.
        let mut run = session.run_async();
        assert!(poll_once(&mut run).is_pending());
        drop(run);
        drop(session);
        let mut session = load(device, &in_arena(kind, Work::Double), &LoadOptions::default());
        block_on(session.run_async()).unwrap();
        assert_eq!(session.read::<f32>("y").unwrap(), Y);
    });
}

#[test]
fn a_callback_gets_the_session_back() {
    on_each(|device, kind| {
        let (sender, ended) = mpsc::channel();
        for _ in 0..2 {
            let session = load(device, &in_arena(kind, Work::Double), &LoadOptions::default());
            let sender = sender.clone();
            session.run_then(move |session, outcome| sender.send((session, outcome)).unwrap()).detach();
        }
        for _ in 0..2 {
            let (mut session, outcome) = ended.recv_timeout(Duration::from_secs(120)).unwrap();
            outcome.unwrap();
            assert_eq!(session.read::<f32>("y").unwrap(), Y);
        }
        // What cannot begin is said there, too.
        let unwritten = device.load(&in_arena(kind, Work::Double)).unwrap();
        unwritten.run_then(move |session, outcome| sender.send((session, outcome)).unwrap()).detach();
        let (_, outcome) = ended.recv_timeout(Duration::from_secs(120)).unwrap();
        assert!(matches!(outcome, Err(RuntimeError::NotWritten { .. })));
    });
}

#[test]
fn a_callback_that_is_called_off_is_never_called() {
    on_each(|device, kind| {
        let (sender, ended) = mpsc::channel::<Result<(), RuntimeError>>();
        let session = load(device, &in_arena(kind, Work::Long(2000)), &LoadOptions::default());
        let sent = sender.clone();
        let run = session.run_then(move |_, outcome| sent.send(outcome).unwrap());
        std::thread::sleep(Duration::from_millis(2));
        let mut session = run.cancel().expect("it takes longer");
        session.run().unwrap();
        assert!(session.read::<f32>("y").unwrap()[0] > 1.0);
        let sent = sender.clone();
        drop(session.run_then(move |_, outcome| sent.send(outcome).unwrap()));
        drop(sender);
        // Nobody is left who could call.
        let nobody = ended.recv_timeout(Duration::from_secs(120));
        assert!(matches!(nobody, Err(mpsc::RecvTimeoutError::Disconnected)), "{kind:?}");
    });
}

const CHILD: &str = "DRIFT_TEST_ASYNCHRONOUS";

/// A run's deadline holds, polled or dropped; after its grace the device is lost, which ends every run.
#[test]
fn an_endless_run_ends_at_its_deadline() {
    const NAME: &str = "asynchronous::an_endless_run_ends_at_its_deadline";
    if let Ok(kind) = std::env::var(CHILD) {
        let kind = KINDS.into_iter().find(|known| known.target().name() == kind).unwrap();
        endless(kind);
        std::process::abort();
    }
    for kind in KINDS {
        let output = child::run(NAME, (CHILD, kind.target().name()));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("given up as it should be"), "{kind:?}: {said}");
    }
}

#[expect(clippy::print_stderr, reason = "the parent reads it")]
fn endless(kind: DeviceKind) {
    let options = OpenOptions { grace: Duration::from_millis(700), ..OpenOptions::default() };
    let open = || Device::open_with(kind, &options).unwrap();
    let (fine, endless) = (in_arena(kind, Work::Double), in_arena(kind, Work::Endless));
    let short = limits(Duration::from_millis(300));
    let device = open();
    // Under wgpu some drivers take work only when the work before it has ended; PoCL has one pool for all its devices.
    let polled_on = if kind == DeviceKind::WebGpu { open() } else { device.clone() };
    let mut other = load(&device, &fine, &limits(Duration::from_secs(600)));
    let third = load(&device, &fine, &limits(Duration::from_secs(600)));
    let mut dropped = load(&device, &endless, &short);
    let mut stuck = load(&polled_on, &endless, &short);
    let start = Instant::now();
    let mut run = dropped.run_async();
    assert!(poll_once(&mut run).is_pending());
    drop(run);
    let error = block_on(stuck.run_async()).unwrap_err();
    assert!(matches!(error, RuntimeError::Timeout { .. }), "{error}");
    let error = block_on(stuck.run_async()).unwrap_err();
    assert!(matches!(error, RuntimeError::Failed), "{error}");
    let error = dropped.write("x", &[0.0_f32; 4]).unwrap_err();
    assert!(matches!(error, RuntimeError::Timeout { .. }), "{error}");
    let error = dropped.write("x", &[0.0_f32; 4]).unwrap_err();
    assert!(matches!(error, RuntimeError::Failed), "{error}");
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    // Those that wait in the grace end with it.
    let (sender, ended) = mpsc::channel();
    third.run_then(move |_, outcome| sender.send(outcome).unwrap()).detach();
    let error = block_on(other.run_async()).unwrap_err();
    assert!(matches!(error, RuntimeError::DeviceLost { .. }), "{error}");
    let error = ended.recv_timeout(Duration::from_secs(5)).unwrap().unwrap_err();
    assert!(matches!(error, RuntimeError::DeviceLost { .. }), "{error}");
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    drop((stuck, dropped, other, device, polled_on));
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    eprintln!("given up as it should be");
}

//! How much memory a thread has asked for at most: tests of hostile files hold that to a limit.
#![expect(
    unsafe_code,
    reason = "an allocator is an unsafe trait; this one hands everything on to the system's"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::{Duration, Instant};

struct Counting;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    // Gone while a thread ends.
    let _ended = LIVE.try_with(|live| {
        live.set(live.get() + bytes);
        PEAK.try_with(|peak| peak.set(peak.get().max(live.get())))
    });
}

// SAFETY: every call goes to the system's allocator as it came; counting beside it allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size.cast_signed() - layout.size().cast_signed());
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Processor time of this thread, so that others on the machine do not count; without it the time since `start`.
fn busy_since(start: (Instant, Option<Duration>)) -> Duration {
    match (busy(), start.1) {
        (Some(now), Some(before)) => now.saturating_sub(before),
        _ => start.0.elapsed(),
    }
}

fn busy() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// Runs something on this thread; says how long the processor took, and the most bytes that it held at once.
pub(crate) fn measured(run: &mut dyn FnMut()) -> (Duration, u64) {
    let (before, start) = (LIVE.get(), (Instant::now(), busy()));
    PEAK.set(before);
    run();
    let peak = (PEAK.get() - before).max(0).unsigned_abs();
    (busy_since(start), peak as u64)
}

//! Work on several threads that gets done even where the system gives none.

use std::thread;

/// Runs `work`, which takes pieces from what it shares until there are none, on up to `most` threads, of which the
/// caller's is one: a thread that cannot start is done without. A panic of any goes on in the caller.
pub fn on_several(most: usize, work: impl Fn() + Sync) {
    spawning(most, &work, thread::Builder::new);
}

fn spawning(most: usize, work: &(impl Fn() + Sync), builder: impl Fn() -> thread::Builder) {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(most);
    thread::scope(|scope| {
        for _ in 1..threads {
            // More would fail as well.
            if builder().spawn_scoped(scope, work).is_err() {
                break;
            }
        }
        work();
    });
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn all_work_is_done_where_no_thread_can_start() {
        let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let work = || {
            while next.fetch_add(1, Ordering::Relaxed) < 100 {
                done.fetch_add(1, Ordering::Relaxed);
            }
        };
        // No system has room for such a stack.
        spawning(8, &work, || thread::Builder::new().stack_size(usize::MAX / 4));
        assert_eq!(done.into_inner(), 100);
    }

    #[test]
    fn nothing_to_share_is_work_for_one() {
        let calls = AtomicUsize::new(0);
        on_several(0, || {
            calls.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(calls.into_inner(), 1);
    }
}

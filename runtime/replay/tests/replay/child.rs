//! Tests that run in a process of their own, which what never ends may keep from ending.
#![expect(clippy::unwrap_used, reason = "a test helper fails by panicking")]

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Runs one test of this binary in a process with `variable` set, which ends within a minute.
pub(crate) fn run(test: &str, (variable, value): (&str, &str)) -> Output {
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(variable, value)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while process.try_wait().unwrap().is_none() {
        if start.elapsed() > Duration::from_secs(60) {
            process.kill().unwrap();
            panic!("the process did not end");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    process.wait_with_output().unwrap()
}

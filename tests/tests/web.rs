//! The package for browsers (`runtime/web`): its size, its reader against the Rust reader, and replays in headless Chromium.
//! `DRIFT_MATRIX=full` replays the models that take long, too.

use drift_tests::web::{cases, handwritten, package, readers};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

/// Most bytes of the minified package, gzipped.
const MOST_BYTES: u64 = 40_000;

/// How long a script may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// Weights of the large bundle, the last of which nothing reads, and their size: 1 GiB and a part.
const LARGE: (u32, u64) = (17, 64 << 20);

fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it for tests");
    Path::new(&here).parent().expect("the workspace").to_owned()
}

/// The folder in which the package is built, and what the build printed.
fn package() -> &'static (PathBuf, String) {
    static PACKAGE: OnceLock<(PathBuf, String)> = OnceLock::new();
    PACKAGE.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("web");
        let printed = package::build(&root(), &folder).unwrap_or_else(|error| panic!("{error}"));
        (folder, printed)
    })
}

/// Runs a script of the package's tests, which says by its exit code whether all is well.
fn node(script: &str, argument: &Path) {
    let (folder, _) = package();
    let mut child = Command::new("node")
        .arg(folder.join("dist-test").join(script))
        .arg(argument)
        .current_dir(folder)
        .stdin(Stdio::null())
        .spawn()
        .expect("node, which `cargo xtask test` installs");
    let start = Instant::now();
    let status = loop {
        match child.try_wait().expect("a child of this process") {
            Some(status) => break status,
            None if start.elapsed() > PATIENCE => {
                child.kill().expect("a child of this process");
                panic!("{script} did not end within {} s", PATIENCE.as_secs());
            }
            None => thread::sleep(Duration::from_millis(20)),
        }
    };
    assert!(status.success(), "{script}: {status}");
}

#[test]
fn the_package_is_small() {
    let (_, printed) = package();
    let size = printed.lines().find_map(|line| line.strip_prefix("drift.min.js: "));
    let size = size.and_then(|rest| rest.split(' ').next()?.parse::<u64>().ok());
    let size = size.unwrap_or_else(|| panic!("the build prints no size:\n{printed}"));
    println!("drift.min.js: {size} bytes gzipped");
    assert!(size < MOST_BYTES, "{size} bytes gzipped");
}

#[test]
fn the_readers_of_bundles_agree() {
    let folder = tempfile::tempdir().expect("a folder");
    readers::write(folder.path()).expect("bundles");
    node("reader.mjs", folder.path());
}

/// The app of `docs/web.md`, for the model of the demo.
fn documented_app() -> String {
    let page = fs::read_to_string(root().join("docs/web.md")).expect("docs/web.md");
    let (_, rest) = page.split_once("## A complete app\n\n").expect("an app");
    let lines = rest.lines().map_while(|line| line.strip_prefix("    "));
    lines.flat_map(|line| [line, "\n"]).collect::<String>().replace("3 * 224 * 224", "32 * 32")
}

#[test]
fn chromium_replays_bundles() {
    // Beside the build, since a temporary folder may be in memory.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let folder = folder.path();
    let long = std::env::var("DRIFT_MATRIX").is_ok_and(|matrix| matrix == "full");
    cases::write(&root().join("tests/models"), folder, long).expect("bundles");
    cases::write_demo(&root().join("runtime/web/demo/shapes"), folder).expect("the demo's files");
    let write = |name: &str, bytes| fs::write(folder.join(name), bytes).expect("a file");
    write("app.html", documented_app().into_bytes());
    write("state.drift", handwritten::accumulator().expect("a bundle"));
    write("sizes.drift", handwritten::sized().expect("a bundle"));
    write("too-much.drift", handwritten::asking_for_too_much().expect("a bundle"));
    write("broken.drift", handwritten::not_compiling().expect("a bundle"));
    let sums = handwritten::large(&folder.join("large.drift"), LARGE.0, LARGE.1).expect("a bundle");
    let (weights, bytes) = LARGE;
    let sums = serde_json::json!({
        "all": sums.all, "two": sums.two, "dispatches": sums.dispatches, "weights": weights, "bytes": bytes,
    });
    write("large.json", sums.to_string().into_bytes());
    node("browser.mjs", folder);
}

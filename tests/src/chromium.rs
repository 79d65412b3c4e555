//! Asks a browser whether it accepts WGSL: what WebGPU users have, and not what naga thinks of it.
//!
//! One headless Chromium compiles every shader into a compute pipeline on its CPU adapter (SwiftShader). WebGPU wants a
//! secure context, and a page from the loopback address is one, so a small server on it hands out the page and the
//! shaders and takes the verdicts. Nothing else is reached, and the browser's profile is thrown away.

use std::fmt;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A shader to ask about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wgsl {
    /// For people.
    pub name: String,
    /// The text.
    pub source: String,
    /// Whether to make a pipeline of it, which takes ten times as long as reading it and finds what only the driver refuses.
    pub pipeline: bool,
}

/// What the browser says of one shader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckResult {
    /// The name that the shader was given under.
    pub name: String,
    /// Whether the browser takes it.
    pub verdict: Verdict,
}

/// Whether a shader becomes a compute pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It compiles.
    Accepted,
    /// It does not; the browser's messages.
    Rejected(String),
    /// The adapter lacks a feature that the shader enables; which.
    NotChecked(String),
}

/// Why there are no verdicts.
#[derive(Debug)]
pub enum ChromiumError {
    /// No browser is installed.
    NotFound,
    /// The server or the browser does not start.
    Io(io::Error),
    /// The page runs, but has no WebGPU device.
    NoWebGpu(String),
    /// The page went silent.
    Silent {
        /// Shaders without a verdict.
        missing: usize,
    },
}

impl fmt::Display for ChromiumError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("chromium is not installed; `cargo xtask test` installs it"),
            Self::Io(error) => write!(f, "chromium cannot be asked: {error}"),
            Self::NoWebGpu(reason) => write!(f, "chromium has no WebGPU device: {reason}"),
            Self::Silent { missing } => {
                write!(f, "chromium said nothing for {} s about {missing} shaders", PATIENCE.as_secs())
            }
        }
    }
}

impl std::error::Error for ChromiumError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::NotFound | Self::NoWebGpu(_) | Self::Silent { .. } => None,
        }
    }
}

impl From<io::Error> for ChromiumError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// How long the page may be silent.
const PATIENCE: Duration = Duration::from_secs(90);

/// Names under which the browser is installed.
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// No window, no sandbox (tests run as root in containers), WebGPU on the CPU, nothing fetched in the background.
const FLAGS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",
    "--enable-features=Vulkan",
    "--disable-vulkan-surface",
];

const PAGE: &str = r#"<!doctype html><meta charset="utf-8"><script>
const WHOLE = new Set([INDICES]);
const FEATURES = { f16: "shader-f16", subgroups: "subgroups" };
const post = (path, text) => fetch(path, { method: "POST", body: text });

async function verdict(device, features, code, whole) {
    for (const [, name] of code.matchAll(/^enable (\w+);/gm)) {
        const feature = FEATURES[name];
        if (feature && !features.has(feature)) return "not checked\nthe adapter has no " + feature;
    }
    // What is wrong with a module is in its own messages, so that several may be on their way at once.
    const module = device.createShaderModule({ code });
    const info = await module.getCompilationInfo();
    const errors = info.messages.filter(m => m.type === "error").map(m => `${m.lineNum}:${m.linePos} ${m.message}`);
    if (errors.length > 0) return "rejected\n" + errors.join("\n");
    if (!whole) return "accepted\n";
    let failure = null;
    await device.createComputePipelineAsync({ layout: "auto", compute: { module } }).catch(e => failure = e.message);
    return failure === null ? "accepted\n" : "rejected\n" + failure;
}

async function run(count) {
    const adapter = await navigator.gpu?.requestAdapter();
    if (!adapter) return post("/failed", "no adapter");
    const limits = {};
    for (const name of ["maxComputeWorkgroupStorageSize", "maxComputeInvocationsPerWorkgroup",
        "maxComputeWorkgroupSizeX", "maxComputeWorkgroupSizeY", "maxStorageBuffersPerShaderStage"]) {
        limits[name] = adapter.limits[name];
    }
    const features = new Set(Object.values(FEATURES).filter(name => adapter.features.has(name)));
    const device = await adapter.requestDevice({ requiredFeatures: [...features], requiredLimits: limits });
    let next = 0;
    const worker = async () => {
        while (next < count) {
            const i = next++;
            const code = await (await fetch("/shader/" + i)).text();
            await post("/verdict/" + i, await verdict(device, features, code, WHOLE.has(i)));
        }
    };
    await Promise.all(Array.from({ length: 4 }, worker));
}
run(COUNT).catch(error => post("/failed", String(error)));
</script>"#;

/// Shows each shader to Chromium; the results are in the order of `shaders`.
///
/// # Errors
/// When there is no browser, it has no WebGPU, or it stops answering.
pub fn check_wgsl(shaders: &[Wgsl]) -> Result<Vec<CheckResult>, ChromiumError> {
    if shaders.is_empty() {
        return Ok(Vec::new());
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let url = format!("http://{}/", listener.local_addr()?);
    let session = Arc::new(Session::of(shaders));
    let _browser = Browser::open(&url)?;
    serve(&listener, &session)?;
    let verdicts = std::mem::take(&mut session.state().verdicts);
    Ok(shaders
        .iter()
        .zip(verdicts.into_iter().flatten())
        .map(|(shader, verdict)| CheckResult { name: shader.name.clone(), verdict })
        .collect())
}

/// What the server hands out and takes in.
struct Session {
    sources: Vec<String>,
    /// Positions of those that become pipelines, as a list for the page.
    whole: String,
    state: Mutex<State>,
}

struct State {
    verdicts: Vec<Option<Verdict>>,
    failure: Option<String>,
    heard: Instant,
}

impl Session {
    fn of(shaders: &[Wgsl]) -> Self {
        let sources: Vec<String> = shaders.iter().map(|shader| shader.source.clone()).collect();
        let whole = shaders.iter().enumerate().filter(|(_, shader)| shader.pipeline);
        let whole: Vec<String> = whole.map(|(index, _)| index.to_string()).collect();
        let state = State { verdicts: vec![None; sources.len()], failure: None, heard: Instant::now() };
        Self { sources, whole: whole.join(", "), state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing while verdicts are missing and the page may still speak.
    fn outcome(&self) -> Option<Result<(), ChromiumError>> {
        let state = self.state();
        if let Some(failure) = &state.failure {
            return Some(Err(ChromiumError::NoWebGpu(failure.clone())));
        }
        match state.verdicts.iter().filter(|verdict| verdict.is_none()).count() {
            0 => Some(Ok(())),
            missing if state.heard.elapsed() > PATIENCE => Some(Err(ChromiumError::Silent { missing })),
            _ => None,
        }
    }

    /// The answer to a request: a content type and a body.
    fn answer(&self, method: &str, path: &str, body: &str) -> (&'static str, String) {
        const TEXT: &str = "text/plain; charset=utf-8";
        let mut state = self.state();
        state.heard = Instant::now();
        let index = path.rsplit('/').next().and_then(|number| number.parse::<usize>().ok());
        match (method, path) {
            ("GET", "/") => {
                let page = PAGE.replace("COUNT", &self.sources.len().to_string());
                ("text/html; charset=utf-8", page.replace("INDICES", &self.whole))
            }
            ("GET", _) => {
                (TEXT, index.and_then(|index| self.sources.get(index)).cloned().unwrap_or_default())
            }
            ("POST", "/failed") => {
                state.failure = Some(body.to_owned());
                (TEXT, String::new())
            }
            _ => {
                if let Some(slot) = index.and_then(|index| state.verdicts.get_mut(index)) {
                    *slot = Some(verdict(body));
                }
                (TEXT, String::new())
            }
        }
    }
}

fn verdict(body: &str) -> Verdict {
    match body.split_once('\n') {
        Some(("accepted", _)) => Verdict::Accepted,
        Some(("not checked", reason)) => Verdict::NotChecked(reason.to_owned()),
        Some((_, messages)) => Verdict::Rejected(messages.to_owned()),
        None => Verdict::Rejected(body.to_owned()),
    }
}

/// Answers requests until every shader has its verdict. The browser opens connections that it never uses, so each is
/// served on its own thread.
fn serve(listener: &TcpListener, session: &Arc<Session>) -> Result<(), ChromiumError> {
    listener.set_nonblocking(true)?;
    loop {
        if let Some(outcome) = session.outcome() {
            return outcome;
        }
        match listener.accept() {
            Ok((stream, _)) => {
                let session = Arc::clone(session);
                // A connection that breaks off is the browser's business; what it did not say is missing.
                thread::spawn(move || converse(stream, &session));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                thread::sleep(Duration::from_millis(2))
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// One request and its answer.
fn converse(stream: TcpStream, session: &Session) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut words = first.split_whitespace();
    let (Some(method), Some(path)) = (words.next(), words.next()) else { return Ok(()) };
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = String::new();
    reader.by_ref().take(length).read_to_string(&mut body)?;
    let (kind, answer) = session.answer(method, path, &body);
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        answer.len()
    );
    reader.get_mut().write_all(format!("{head}{answer}").as_bytes())
}

/// A browser with a profile of its own; both go when this is dropped.
struct Browser {
    child: Child,
    profile: PathBuf,
}

impl Browser {
    fn open(url: &str) -> Result<Self, ChromiumError> {
        static OPENED: AtomicU32 = AtomicU32::new(0);
        let number = OPENED.fetch_add(1, Ordering::Relaxed);
        let profile = std::env::temp_dir().join(format!("driftc-chromium-{}-{number}", std::process::id()));
        fs::create_dir_all(&profile)?;
        for program in BROWSERS {
            let started = Command::new(program)
                .args(FLAGS)
                .arg(format!("--user-data-dir={}", profile.display()))
                .arg(url)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn();
            match started {
                Ok(child) => return Ok(Self { child, profile }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        let _ = fs::remove_dir_all(&profile);
        Err(ChromiumError::NotFound)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser has ended by itself, or ends now; its profile may be written to until then.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.profile);
    }
}

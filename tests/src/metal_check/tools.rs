//! Apple's compiler, as `xcrun` finds it.

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// Why there is no compiler.
#[derive(Debug)]
pub enum ToolError {
    /// No `xcrun`, so no Mac with Xcode.
    NoXcrun {
        /// What the system says.
        reason: String,
    },
    /// `xcrun` finds no Metal compiler.
    NoCompiler {
        /// What it was asked for.
        sdk: String,
        /// What it says.
        said: String,
    },
    /// A name that is no SDK of Apple's.
    NoSdk(String),
}

impl std::error::Error for ToolError {}

impl fmt::Display for ToolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoXcrun { reason } => write!(
                f,
                "there is no `xcrun` here ({reason}): Apple's Metal compiler runs on a Mac with Xcode only; nothing was checked"
            ),
            Self::NoCompiler { sdk, said } => write!(
                f,
                "`xcrun --sdk {sdk} metal` does not run: {said}; install Xcode, then `xcodebuild -downloadComponent MetalToolchain`"
            ),
            Self::NoSdk(name) => write!(f, "no SDK `{name}`; there are macosx, iphoneos and iphonesimulator"),
        }
    }
}

/// The compiler of one of Apple's SDKs.
#[derive(Debug)]
pub struct Compiler {
    sdk: &'static str,
    version: String,
}

impl Compiler {
    /// The compiler for macOS (`macosx`), iOS (`iphoneos`) or its simulator (`iphonesimulator`).
    pub fn find(sdk: &str) -> Result<Self, ToolError> {
        let known = ["macosx", "iphoneos", "iphonesimulator"].into_iter().find(|known| *known == sdk);
        let sdk = known.ok_or_else(|| ToolError::NoSdk(sdk.to_owned()))?;
        let asked = run(sdk, [OsStr::new("metal"), OsStr::new("--version")]);
        let output = asked.map_err(|error| ToolError::NoXcrun { reason: error.to_string() })?;
        if !output.status.success() {
            return Err(ToolError::NoCompiler { sdk: sdk.to_owned(), said: said(&output) });
        }
        let version = String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned();
        Ok(Self { sdk, version })
    }

    /// What the compiler calls itself.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Compiles one shader to a library, by way of files that begin with `place`; the compiler's words where it refuses.
    pub fn library(&self, text: &str, place: &Path) -> Result<Vec<u8>, String> {
        let (source, library) = (place.with_extension("metal"), place.with_extension("metallib"));
        fs::write(&source, text).map_err(|error| format!("{}: {error}", source.display()))?;
        let words = |error: std::io::Error| format!("xcrun: {error}");
        let standard = self.standard(text);
        // As the runtime has text compiled: no float is assumed to be finite, no sum is reordered.
        let mut args =
            vec![OsStr::new("metal"), OsStr::new("-x"), OsStr::new("metal"), OsStr::new("-fno-fast-math")];
        args.extend(standard.as_deref().map(OsStr::new));
        args.extend([OsStr::new("-o"), library.as_os_str(), source.as_os_str()]);
        let output = run(self.sdk, args).map_err(words)?;
        if !output.status.success() {
            return Err(said(&output));
        }
        let made = fs::read(&library).map_err(|error| format!("{}: {error}", library.display()))?;
        let _ = fs::remove_file(source).and_then(|()| fs::remove_file(library));
        Ok(made)
    }

    /// The language that a text names in its first lines, as the compiler's flag: versions before 3.0 have one for each system.
    fn standard(&self, text: &str) -> Option<String> {
        let named = text.lines().take(4).find_map(|line| line.strip_prefix("// language: metal"))?.trim();
        let system = if self.sdk == "macosx" { "macos" } else { "ios" };
        let is_old = named
            .split('.')
            .next()
            .and_then(|major| major.parse::<u32>().ok())
            .is_some_and(|major| major < 3);
        Some(if is_old { format!("-std={system}-metal{named}") } else { format!("-std=metal{named}") })
    }
}

fn run<'a>(sdk: &str, args: impl IntoIterator<Item = &'a OsStr>) -> std::io::Result<Output> {
    Command::new("xcrun").args(["--sdk", sdk]).args(args).output()
}

fn said(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    if error.trim().is_empty() { format!("it ended with {}", output.status) } else { error.trim().to_owned() }
}

//! Builds the package for browsers: a copy of `runtime/web` in a folder of the build, with the npm packages of its lock file.
//! `cargo xtask` shares this file.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What is copied.
const PARTS: [&str; 8] = [
    "package.json",
    "package-lock.json",
    "tsconfig.json",
    "tsconfig.test.json",
    "build.mjs",
    "src",
    "test",
    "demo",
];

/// Why there is no package.
#[derive(Debug)]
pub enum PackageError {
    /// A file cannot be copied.
    Io(PathBuf, io::Error),
    /// A program cannot be started.
    NotFound(&'static str, io::Error),
    /// A program failed, with these words.
    Failed(String, String),
}

impl fmt::Display for PackageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
            Self::NotFound(program, error) => {
                write!(f, "cannot start `{program}`, which `cargo xtask test` installs on Debian: {error}")
            }
            Self::Failed(command, words) => write!(f, "`{command}` failed:\n{words}"),
        }
    }
}

impl std::error::Error for PackageError {}

/// Builds `runtime/web` of the repository at `root` in `folder`, and returns what the build prints.
pub fn build(root: &Path, folder: &Path) -> Result<String, PackageError> {
    let from = root.join("runtime/web");
    fs::create_dir_all(folder).map_err(|error| PackageError::Io(folder.to_owned(), error))?;
    for part in PARTS {
        let (from, to) = (from.join(part), folder.join(part));
        let _ = fs::remove_dir_all(&to);
        copy(&from, &to).map_err(|error| PackageError::Io(from, error))?;
    }
    install(folder)?;
    run(folder, "node", &["build.mjs", "--tests"])
}

/// Installs the packages of the lock file, unless they are those that are there.
fn install(folder: &Path) -> Result<(), PackageError> {
    let (lock, installed) =
        (folder.join("package-lock.json"), folder.join("node_modules/.installed-lock.json"));
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| PackageError::Io(path, error)
    };
    let wanted = fs::read(&lock).map_err(failed(&lock))?;
    if fs::read(&installed).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    // No package needs to run anything of its own.
    run(folder, "npm", &["ci", "--ignore-scripts", "--no-audit", "--no-fund"])?;
    fs::write(&installed, wanted).map_err(failed(&installed))
}

/// Runs a program in `folder` and returns what it prints.
fn run(folder: &Path, program: &'static str, args: &[&str]) -> Result<String, PackageError> {
    let mut command = Command::new(program);
    command.args(args).current_dir(folder).stdin(Stdio::null());
    let output = command.output().map_err(|error| PackageError::NotFound(program, error))?;
    let [printed, said] =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    match output.status.success() {
        true => Ok(printed),
        false => Err(PackageError::Failed(format!("{program} {}", args.join(" ")), printed + &said)),
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if !from.is_dir() {
        return fs::copy(from, to).map(drop);
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

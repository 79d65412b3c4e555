//! Clang with the stand-in's headers, precompiled once, and the machine that runs what it compiles.

#![expect(unsafe_code, reason = "loads libraries")]

use std::ffi::{CStr, CString, c_char, c_void};
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use drift_runtime::RuntimeError;
use drift_runtime::api::Deadline;

use super::clang;

const DOING: &str = "compiling MSL for the processor";

/// The stand-in's files, below [`headers`].
const FILES: [&str; 8] = [
    "metal_stdlib",
    "machine.cpp",
    "simd/simd.h",
    "stand_in/machine.h",
    "stand_in/math.h",
    "stand_in/textures.h",
    "stand_in/together.h",
    "stand_in/vectors.h",
];

/// Where they are in the repository.
fn headers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../targets/tests/metal_stdlib")
}

/// How code is made: indices and whole numbers are checked, and what is found calls the machine.
const CODE: [&str; 6] = [
    "-O1",
    "-fPIC",
    "-fvisibility=hidden",
    "-fsanitize=bounds,integer-divide-by-zero,shift,signed-integer-overflow,float-cast-overflow",
    "-fno-sanitize-recover=all",
    "-fstrict-flex-arrays=3",
];

/// A compiler that is ready.
pub(super) struct Toolchain {
    clang: &'static str,
    headers: PathBuf,
    precompiled: PathBuf,
    /// How libraries are linked.
    link: &'static [&'static str],
    pub(super) machine: Library,
}

/// A loaded shared library.
pub(super) struct Library(*mut c_void);

// SAFETY: a handle of the dynamic linker, which takes calls from all threads.
unsafe impl Send for Library {}
// SAFETY: as above.
unsafe impl Sync for Library {}

impl Toolchain {
    /// The toolchain of this process. What it compiles of its own is beside the tests' binaries and is made once.
    pub(super) fn get() -> Result<&'static Self, RuntimeError> {
        static MADE: OnceLock<Result<Toolchain, String>> = OnceLock::new();
        let made = MADE.get_or_init(|| Self::new().map_err(|error| error.to_string()));
        made.as_ref().map_err(|error| failed(error.clone()))
    }

    fn new() -> io::Result<Self> {
        let (clang, version) = clang::program()?;
        let text = |name: &&str| fs::read_to_string(headers().join(name));
        let files = FILES.iter().map(text).collect::<io::Result<Vec<String>>>()?;
        let mut hasher = DefaultHasher::new();
        (version, &files, clang::LANGUAGE, CODE, processor()).hash(&mut hasher);
        let binary = std::env::current_exe()?;
        let parent = binary.parent().unwrap_or(Path::new(".")).join("msl-stand-in");
        let folder = parent.join(format!("{:016x}", hasher.finish()));
        if !folder.exists() {
            write_all(&files, &parent, &folder)?;
        }
        let precompiled = folder.join("metal.pch");
        let machine = folder.join("machine.so");
        let base = || {
            let mut command = Command::new(clang);
            command.args(clang::LANGUAGE).args(CODE).args(processor()).arg("-I").arg(&folder);
            command
        };
        make(&precompiled, |into| {
            base().args(["-x", "c++-header"]).arg(folder.join("metal_stdlib")).arg("-o").arg(into).output()
        })?;
        make(&machine, |into| {
            let mut command = Command::new(clang);
            command.args(["-std=c++17", "-O2", "-fPIC", "-fno-exceptions", "-fno-rtti", "-shared", "-I"]);
            command.arg(&folder).arg(folder.join("machine.cpp")).args(["-lm", "-o"]).arg(into).output()
        })?;
        let machine = Library::open(&machine, libc::RTLD_GLOBAL)?;
        Ok(Self { clang, headers: folder, precompiled, link: linker(), machine })
    }

    /// Compiles a file's text into a library.
    pub(super) fn compile(&self, text: &str, deadline: Deadline) -> Result<Library, RuntimeError> {
        let folder = tempfile::tempdir().map_err(|error| failed(error.to_string()))?;
        let (source, library) = (folder.path().join("kernels.cpp"), folder.path().join("kernels.so"));
        let said = folder.path().join("said");
        let run = || -> io::Result<bool> {
            fs::write(&source, text)?;
            let mut child = Command::new(self.clang)
                .args(clang::LANGUAGE)
                .args(CODE)
                .args(processor())
                .arg("-I")
                .arg(&self.headers)
                .arg("-include-pch")
                .arg(&self.precompiled)
                .args(self.link)
                .args(["-shared", "-o"])
                .arg(&library)
                .arg(&source)
                .stdin(Stdio::null())
                .stderr(fs::File::create(&said)?)
                .spawn()?;
            let ended = deadline.poll(|| child.try_wait().map(|status| status.is_some()));
            if !matches!(ended, Ok(true)) {
                child.kill()?;
            }
            Ok(child.wait()?.success())
        };
        match run() {
            Ok(true) => Library::open(&library, libc::RTLD_LOCAL).map_err(|error| failed(error.to_string())),
            Ok(false) => {
                deadline.check()?;
                Err(failed(fs::read_to_string(&said).unwrap_or_default()))
            }
            Err(error) => Err(failed(format!("{}: {error}", self.clang))),
        }
    }
}

pub(super) fn failed(code: String) -> RuntimeError {
    RuntimeError::Driver { doing: DOING, code }
}

/// What this processor has that makes f16 and fma fast; without it code calls the compiler's own library.
fn processor() -> &'static [&'static str] {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("f16c")
        && std::arch::is_x86_feature_detected!("fma")
        && std::arch::is_x86_feature_detected!("avx2")
    {
        return &["-mf16c", "-mfma", "-mavx2"];
    }
    &[]
}

/// A linker that is faster than clang's own choice, where it is there.
fn linker() -> &'static [&'static str] {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = std::env::split_paths(&path).any(|folder| folder.join("ld.gold").exists());
    if is_there { &["-fuse-ld=gold"] } else { &[] }
}

/// Writes the stand-in's files to `folder`, all or none. Another process may be first.
fn write_all(files: &[String], parent: &Path, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(parent)?;
    let made = tempfile::tempdir_in(parent)?;
    for (name, text) in FILES.iter().zip(files) {
        let path = made.path().join(name);
        fs::create_dir_all(path.parent().unwrap_or(parent))?;
        fs::write(path, text)?;
    }
    match fs::rename(made.path(), folder) {
        Err(error) if !folder.exists() => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Makes `path` where it is not there yet, so that it is whole whenever it is there.
fn make(path: &Path, make: impl FnOnce(&Path) -> io::Result<std::process::Output>) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    let into = path.with_extension(format!("{}.part", std::process::id()));
    let output = make(&into)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(io::Error::other(format!("the stand-in for Metal's library does not compile: {said}")));
    }
    fs::rename(into, path)
}

impl Library {
    fn open(path: &Path, scope: i32) -> io::Result<Self> {
        let name = CString::new(path.as_os_str().as_bytes())?;
        // SAFETY: the name ends with a zero; the library is one that was just compiled, whose constructors are none.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | scope) };
        if handle.is_null() { Err(io::Error::other(last_error())) } else { Ok(Self(handle)) }
    }

    /// The address of a symbol.
    pub(super) fn symbol(&self, name: &CStr) -> Result<*mut c_void, RuntimeError> {
        // SAFETY: the handle is open and the name ends with a zero.
        let found = unsafe { libc::dlsym(self.0, name.as_ptr()) };
        if found.is_null() { Err(failed(last_error())) } else { Ok(found) }
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // SAFETY: whoever uses its code holds it.
        unsafe { libc::dlclose(self.0) };
    }
}

/// What the dynamic linker said last on this thread.
fn last_error() -> String {
    // SAFETY: the text is the linker's, and is copied before another call of this thread.
    let text: *const c_char = unsafe { libc::dlerror() };
    if text.is_null() {
        return "the dynamic linker does not say why".to_owned();
    }
    // SAFETY: it is not null, so it ends with a zero.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

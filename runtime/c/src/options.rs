//! How to load.

use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::path::PathBuf;
use std::time::Duration;

use crate::call::text;
use crate::status::Failure;

/// How to load. Set all of it to zero and `size` to its size: what is zero has its default. Later versions add members at the
/// end.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct LoadOptions {
    /// sizeof(drift_load_options)
    pub size: usize,
    /// Entry to load; NULL for `main`, or else the first.
    pub entry: *const c_char,
    /// Variant to load, if the device has what it requires; NULL for the first such.
    pub variant: *const c_char,
    /// Folder in which compiled kernels are kept for the next load; NULL for none.
    pub cache_dir: *const c_char,
    /// Most milliseconds that one run or read takes; 0 for ten minutes.
    pub timeout_ms: u64,
    /// Most milliseconds that loading waits for the device; 0 for ten minutes.
    pub load_timeout_ms: u64,
    /// Compare weights with their hashes.
    pub verify_weights: bool,
    /// The bundle comes from somebody who is not to be trusted: the device checks every access.
    pub untrusted: bool,
    /// Take GPU times, for drift_session_gpu_seconds.
    pub timestamps: bool,
    /// Take a variant only if its self-test passes on the device; what was found is kept in `cache_dir`.
    pub self_test: bool,
}

/// What `options` asks for; the defaults where it is null.
pub(crate) unsafe fn load_options(
    options: *const LoadOptions,
) -> Result<drift_runtime::LoadOptions, Failure> {
    let mut made = drift_runtime::LoadOptions::default();
    if options.is_null() {
        return Ok(made);
    }
    // SAFETY: not null, and every version of the struct begins with its size.
    let size = unsafe { options.cast::<usize>().read() };
    if !(size_of::<usize>()..=size_of::<LoadOptions>()).contains(&size) {
        return Err(Failure::argument(format!(
            "`options.size` is {size}; this version of the library knows {} bytes of options",
            size_of::<LoadOptions>()
        )));
    }
    let mut whole = MaybeUninit::<LoadOptions>::zeroed();
    // SAFETY: the caller says that `size` bytes are there, and they fit. Zeros are a value of each member.
    let options = unsafe {
        std::ptr::copy_nonoverlapping(options.cast::<u8>(), whole.as_mut_ptr().cast(), size);
        whole.assume_init()
    };
    // SAFETY: the caller says that texts end with zero bytes.
    let owned = |pointer, what| unsafe { text(pointer, what) }.map(|text| text.map(str::to_owned));
    made.entry = owned(options.entry, "options.entry")?;
    made.variant = owned(options.variant, "options.variant")?;
    made.cache_dir = owned(options.cache_dir, "options.cache_dir")?.map(PathBuf::from);
    let time = |ms: u64, default: Duration| if ms == 0 { default } else { Duration::from_millis(ms) };
    made.timeout = time(options.timeout_ms, made.timeout);
    made.load_timeout = time(options.load_timeout_ms, made.load_timeout);
    made.verify_weights = options.verify_weights;
    made.untrusted = options.untrusted;
    made.timestamps = options.timestamps;
    made.self_test = options.self_test;
    Ok(made)
}

//! Devices as a caller sees them: found, opened, and given bundles to load.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use drift_bundle::Bundle;

use crate::backend::Backend;
use crate::choose;
use crate::error::RuntimeError;
use crate::info::{DeviceInfo, DeviceKind};
use crate::lease::Lease;
#[cfg(all(feature = "metal", target_vendor = "apple"))]
use crate::metal;
#[cfg(feature = "opencl")]
use crate::opencl;
use crate::options::{LoadOptions, OpenOptions};
use crate::own::{self, BufferProblem, IoBuffer, OwnBuffer};
use crate::program::Program;
use crate::report::{DeclineReason, DeclinedVariant, SelfTestUse};
use crate::self_test::verdicts::{Verdict, Verdicts};
use crate::self_test::{Plan, SelfTestReport};
use crate::session::{Choice, Session};
use crate::states::States;
use crate::validation_log::ValidationLog;
#[cfg(feature = "vulkan")]
use crate::vulkan::{self, VulkanFeatures, VulkanHandles};
use crate::waiter::Waiter;
#[cfg(feature = "wgpu")]
use crate::wgpu;

/// Everything on this machine that can replay: kind by kind, the best of each first. [`RuntimeError::NoDriver`], of the
/// first kind, where there is nothing.
pub fn devices() -> Result<Vec<DeviceInfo>, RuntimeError> {
    let (mut found, mut error) = (Vec::new(), None);
    for &kind in DeviceKind::HERE {
        match devices_of(kind) {
            Ok(devices) => found.extend(devices),
            Err(other) => {
                error.get_or_insert(other);
            }
        }
    }
    match error {
        Some(error) if found.is_empty() => Err(error),
        _ => Ok(found),
    }
}

/// The devices of one kind, best first. [`RuntimeError::NoDriver`] where there is none,
/// [`RuntimeError::NotOnThisPlatform`] where there never is one.
pub fn devices_of(kind: DeviceKind) -> Result<Vec<DeviceInfo>, RuntimeError> {
    match kind {
        #[cfg(feature = "vulkan")]
        DeviceKind::Vulkan => vulkan::devices(),
        #[cfg(feature = "opencl")]
        DeviceKind::OpenCl => opencl::devices(),
        #[cfg(feature = "wgpu")]
        DeviceKind::WebGpu => wgpu::devices(),
        #[cfg(all(feature = "metal", target_vendor = "apple"))]
        DeviceKind::Metal => metal::devices(),
        #[cfg(not(all(
            feature = "vulkan",
            feature = "opencl",
            feature = "wgpu",
            feature = "metal",
            target_vendor = "apple"
        )))]
        kind => Err(not_built(kind)),
    }
}

/// An opened device. Clones share it.
#[derive(Clone)]
pub struct Device {
    backend: Arc<dyn Backend>,
    waiter: Arc<Waiter>,
}

impl Device {
    /// Opens the best device of `kind`: discrete before integrated before software.
    pub fn open(kind: DeviceKind) -> Result<Self, RuntimeError> {
        Self::open_with(kind, &OpenOptions::default())
    }

    /// Opens a device of `kind`.
    pub fn open_with(kind: DeviceKind, options: &OpenOptions) -> Result<Self, RuntimeError> {
        let backend: Arc<dyn Backend> = match kind {
            #[cfg(feature = "vulkan")]
            DeviceKind::Vulkan => Arc::new(vulkan::open(options)?),
            #[cfg(feature = "opencl")]
            DeviceKind::OpenCl => Arc::new(opencl::open(options)?),
            #[cfg(feature = "wgpu")]
            DeviceKind::WebGpu => Arc::new(wgpu::open(options)?),
            #[cfg(all(feature = "metal", target_vendor = "apple"))]
            DeviceKind::Metal => Arc::new(metal::open(options)?),
            #[cfg(not(all(
                feature = "vulkan",
                feature = "opencl",
                feature = "wgpu",
                feature = "metal",
                target_vendor = "apple"
            )))]
            kind => return Err(not_built(kind)),
        };
        Ok(Self::over(backend))
    }

    /// Opens the best device that replays `bundle`: of the kinds that the bundle has shaders for, in the order of
    /// [`DeviceKind::HERE`], the first of which a driver is there. The error is the first kind's.
    pub fn open_any(bundle: &Bundle, options: &OpenOptions) -> Result<Self, RuntimeError> {
        let entries = &bundle.manifest().entries;
        let held = |kind: &DeviceKind| entries.iter().any(|entry| entry.target == kind.target());
        let mut first_error = None;
        for kind in DeviceKind::HERE.iter().filter(|kind| held(kind)) {
            match Self::open_with(*kind, options) {
                Ok(device) => return Ok(device),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        Err(first_error.unwrap_or_else(|| choose::no_target(bundle, DeviceKind::HERE[0].target())))
    }

    /// Replays on a Vulkan device and a queue that the app has made. Ask [`VulkanFeatures::required`] before it is made what to
    /// enable; `options` are looked at for [`OpenOptions::grace`] alone. Untrusted bundles are declined: they need a device
    /// of their own.
    ///
    /// # Safety
    ///
    /// The device was made of the physical device and instance that `features` is of, with its extensions and features enabled.
    /// Device and instance stay until this, its clones and all sessions are dropped. The queue is one of the device and of that
    /// family, takes compute work, and is used by no other thread while a session submits to it, for which there is
    /// [`VulkanHandles::lock`].
    #[cfg(feature = "vulkan")]
    #[expect(unsafe_code, reason = "takes handles of the app's")]
    pub unsafe fn from_vulkan(
        features: VulkanFeatures,
        handles: VulkanHandles,
        options: &OpenOptions,
    ) -> Self {
        // SAFETY: as the caller says.
        Self::over(Arc::new(unsafe { vulkan::open_foreign(features, handles, options) }))
    }

    /// Replays in an OpenCL context of the app's, on its queue; both are kept until this, its clones and all sessions are dropped.
    /// `options` are looked at for [`OpenOptions::grace`] alone.
    ///
    /// # Safety
    ///
    /// The handles are what they are said to be.
    #[cfg(feature = "opencl")]
    #[expect(unsafe_code, reason = "takes handles of the app's")]
    pub unsafe fn from_opencl(
        handles: &opencl::OpenClHandles,
        options: &OpenOptions,
    ) -> Result<Self, RuntimeError> {
        // SAFETY: as the caller says.
        Ok(Self::over(Arc::new(unsafe { opencl::open_foreign(handles, options) }?)))
    }

    /// Replays on a Metal device and a queue of the app's, which it keeps. `options` are looked at for [`OpenOptions::grace`] alone.
    #[cfg(all(feature = "metal", target_vendor = "apple"))]
    pub fn from_metal(handles: metal::MetalHandles, options: &OpenOptions) -> Result<Self, RuntimeError> {
        Ok(Self::over(Arc::new(Arc::new(metal::open_foreign(handles, options)?))))
    }

    /// A device of another crate.
    #[cfg(feature = "api")]
    #[doc(hidden)]
    pub fn of_api<A: crate::api::Api>(api: Arc<A>) -> Self {
        Self::over(Arc::new(api))
    }

    pub(crate) fn over(backend: Arc<dyn Backend>) -> Self {
        Self { backend, waiter: Arc::default() }
    }

    /// What it is and can do.
    pub fn info(&self) -> &DeviceInfo {
        self.backend.info()
    }

    /// Messages of the API's validation layer, where [`OpenOptions::validation`] asked for it. The log
    /// outlives the device, so that leaks found while it closes are in it.
    pub fn validation_log(&self) -> ValidationLog {
        self.backend.validation_log()
    }

    /// Why [`OpenOptions::priority`] is not taken, where it is not: the API or the driver has none, or the queue is the app's own.
    pub fn priority_ignored(&self) -> Option<&'static str> {
        self.backend.priority_ignored()
    }

    /// Loads the bundle's `main` entry, or its first, for this device.
    pub fn load(&self, bundle: &Bundle) -> Result<Session, RuntimeError> {
        self.load_with(bundle, &LoadOptions::default())
    }

    /// Loads an entry of the bundle. The session keeps nothing of the bundle.
    pub fn load_with(&self, bundle: &Bundle, options: &LoadOptions) -> Result<Session, RuntimeError> {
        self.load_onto(bundle, options, &[])
    }

    /// Loads several entries of the bundle into the same memory: weights once, states of one name once
    /// ([`RuntimeError::StateMismatch`] where these differ), and arenas, each as large as the
    /// largest needs, for all entries whose activations end with a run (those with state in an arena have their own). The
    /// sessions come in the order of `entries`; `options.entry` is not looked at.
    ///
    /// What one session's run leaves in a state that others have, their next runs find there.
    /// Their runs take turns. One that comes after another session's run uploads its inputs again, and outputs
    /// have to be read before another session runs ([`RuntimeError::Overwritten`]), except for those that are in memory of
    /// their own.
    pub fn load_entries(
        &self,
        bundle: &Bundle,
        entries: &[&str],
        options: &LoadOptions,
    ) -> Result<Vec<Session>, RuntimeError> {
        let entries: Vec<Option<&str>> = entries.iter().copied().map(Some).collect();
        self.load_all(bundle, &entries, (options, &[]))
    }

    /// Loads an entry of the bundle whose inputs and outputs of these names are in buffers of the app's own. The bundle has to be
    /// compiled for that (`--io own`); [`Device::io_buffers`] says what the buffers have to be.
    ///
    /// An input in such a buffer need not be written here, and is read by every run as the app left it. Where commands of the app
    /// make it on the device, or use an output there, they are submitted to the same queue, before and after the run; they have
    /// to make what they wrote visible to compute shaders, and to wait for compute shaders before they read (a pipeline
    /// barrier in Vulkan, nothing in a queue of OpenCL, which is in order). After [`Session::run`] the device has finished.
    pub fn load_onto(
        &self,
        bundle: &Bundle,
        options: &LoadOptions,
        buffers: &[(&str, OwnBuffer)],
    ) -> Result<Session, RuntimeError> {
        let mut sessions = self.load_all(bundle, &[options.entry.as_deref()], (options, buffers))?;
        Ok(sessions.pop().unwrap_or_else(|| unreachable!("one session for each entry")))
    }

    /// What buffers of the app's own have to be for the inputs and outputs of the entry and variant that `options` load: those that
    /// can be in one.
    pub fn io_buffers(&self, bundle: &Bundle, options: &LoadOptions) -> Result<Vec<IoBuffer>, RuntimeError> {
        let (program, _) = choose::choose(bundle, self.info(), options.entry.as_deref(), options, &[])?;
        Ok(own::needs(&program).into_iter().map(|(_, needs)| needs).collect())
    }

    fn load_all(
        &self,
        bundle: &Bundle,
        entries: &[Option<&str>],
        (options, buffers): (&LoadOptions, &[(&str, OwnBuffer)]),
    ) -> Result<Vec<Session>, RuntimeError> {
        let start = Instant::now();
        let chosen = self.choose_all(bundle, entries, options)?;
        let (programs, choices): (Vec<Program<'_>>, Vec<_>) = chosen.into_iter().unzip();
        let states = States::of(&programs)?;
        let own = match (&programs[..], buffers) {
            ([program], [_, ..]) => own::own_regions(program, buffers)?,
            _ => Vec::new(),
        };
        if options.untrusted
            && let [first, ..] = &own[..]
        {
            let reason = "an untrusted bundle is loaded on a logical device of its own";
            let (tensor, problem) = (first.needs.tensor.name.clone(), BufferProblem::NotTaken { reason });
            return Err(RuntimeError::OwnBuffer { tensor, problem });
        }
        let loaded = self.backend.load((&programs, &states, &own), options)?;
        let leases = Lease::of(&programs, &states);
        let parts = programs.iter().zip(loaded).zip(choices).zip(leases);
        let sessions = parts.map(|(((program, loaded), choice), lease)| {
            let waiter = Arc::clone(&self.waiter);
            Session::new(program, (loaded, &own), choice, (lease, waiter), (options.timeout, start.elapsed()))
        });
        Ok(sessions.collect())
    }

    /// The variant of each entry, whose self-test passes where `options` ask for that, or where the variant is untried.
    fn choose_all<'a>(
        &self,
        bundle: &'a Bundle,
        entries: &[Option<&str>],
        options: &LoadOptions,
    ) -> Result<Vec<(Program<'a>, Choice)>, RuntimeError> {
        let mut verdicts: Option<Verdicts> = None;
        let mut choose = |entry: &Option<&str>| {
            let mut wrong: Vec<DeclinedVariant> = Vec::new();
            loop {
                let (program, declined) = choose::choose(bundle, self.info(), *entry, options, &wrong)?;
                let self_test = Plan::of(&program, self.info())?;
                let mut choice = Choice { declined, tested: SelfTestUse::Off, self_test };
                let untried = choose::is_untried(&program, self.info(), options);
                // A self-test has none itself.
                if !(options.self_test || untried) || choice.self_test.is_some() {
                    return Ok((program, choice));
                }
                let verdicts = verdicts.get_or_insert_with(|| {
                    let (folder, hash) = (options.cache_dir.as_deref(), bundle.contents().hash());
                    Verdicts::open(folder, self.info(), &hash, options.untrusted)
                });
                let (verdict, remembered) = match self.verdict(&program, verdicts, options) {
                    Err(error) if untried => {
                        wrong.push(self.declined_by(&program, error, verdicts)?);
                        continue;
                    }
                    verdict => verdict?,
                };
                if verdict.wrong.is_empty() {
                    choice.tested = if remembered { SelfTestUse::Remembered } else { SelfTestUse::Passed };
                    return Ok((program, choice));
                }
                let reasons = vec![DeclineReason::SelfTest { what: verdict.wrong, remembered }];
                wrong.push(DeclinedVariant { variant: program.variant.name.clone(), reasons });
            }
        };
        entries.iter().map(&mut choose).collect()
    }

    /// How an untried variant is passed over whose self-test ends with `error`: what no such device has compiled may be what
    /// this one does not. Where the device is gone, or is not done in time, only the next load takes another.
    fn declined_by(
        &self,
        program: &Program<'_>,
        error: RuntimeError,
        verdicts: &mut Verdicts,
    ) -> Result<DeclinedVariant, RuntimeError> {
        let (entry, variant) = (program.entry.name.clone(), program.variant.name.clone());
        match error {
            RuntimeError::Driver { doing, code } => {
                let missing = format!("its self-test does not run: the driver failed while {doing}: {code}");
                let reasons = vec![DeclineReason::Untried { device: self.info().kind.title(), missing }];
                Ok(DeclinedVariant { variant, reasons })
            }
            RuntimeError::DeviceLost { .. } | RuntimeError::Timeout { .. } => {
                verdicts.keep(Verdict { entry, variant, wrong: error.to_string() });
                Err(error)
            }
            error => Err(error),
        }
    }

    /// What is known of a variant, or is found out now; and whether it was known.
    fn verdict(
        &self,
        program: &Program<'_>,
        verdicts: &mut Verdicts,
        options: &LoadOptions,
    ) -> Result<(Verdict, bool), RuntimeError> {
        let (entry, variant) = (&program.entry.name, &program.variant.name);
        if let Some(known) = verdicts.of(entry, variant) {
            return Ok((known.clone(), true));
        }
        let verdict = |wrong: String| Verdict { entry: entry.clone(), variant: variant.clone(), wrong };
        match self.self_test_of(program, options) {
            Ok(report) => {
                let found = verdict(report.first_wrong().map(ToString::to_string).unwrap_or_default());
                verdicts.keep(found.clone());
                Ok((found, false))
            }
            // Other options may let it run.
            Err(error @ RuntimeError::NoVariant { .. }) => Ok((verdict(error.to_string()), false)),
            Err(error) => Err(error),
        }
    }

    /// Runs the self-test of the variant that [`Device::load`] takes of the bundle's `main` entry, or of its first.
    /// [`RuntimeError::NoSelfTest`] if it has none.
    pub fn self_test(&self, bundle: &Bundle) -> Result<SelfTestReport, RuntimeError> {
        self.self_test_with(bundle, &LoadOptions::default())
    }

    /// The same of another entry or variant; one that is named is tested as far as its self-test goes. Nothing is remembered of it,
    /// nor is what was remembered looked at: `options.self_test` changes nothing.
    pub fn self_test_with(
        &self,
        bundle: &Bundle,
        options: &LoadOptions,
    ) -> Result<SelfTestReport, RuntimeError> {
        let entry = options.entry.as_deref();
        let untried = options.untried || options.variant.is_some();
        let chosen = LoadOptions { untried, ..options.clone() };
        let (program, _) = choose::choose(bundle, self.info(), entry, &chosen, &[])?;
        self.self_test_of(&program, options)
    }

    fn self_test_of(
        &self,
        program: &Program<'_>,
        options: &LoadOptions,
    ) -> Result<SelfTestReport, RuntimeError> {
        let (entry, variant) = (program.entry, &program.variant.name);
        let missing = || RuntimeError::NoSelfTest { entry: entry.name.clone(), variant: variant.clone() };
        let test = drift_bundle::self_test::entry_of(program.bundle.manifest(), entry).ok_or_else(missing)?;
        if !test.variants.iter().any(|other| other.name == *variant) {
            return Err(missing());
        }
        let options = LoadOptions {
            entry: Some(test.name.clone()),
            variant: Some(variant.clone()),
            self_test: false,
            timestamps: false,
            ..options.clone()
        };
        self.load_with(program.bundle, &options)?.self_test()
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Device").field(self.info()).finish()
    }
}

/// The error for a kind that this platform or this build has no device of.
#[cfg(not(all(
    feature = "vulkan",
    feature = "opencl",
    feature = "wgpu",
    feature = "metal",
    target_vendor = "apple"
)))]
fn not_built(kind: DeviceKind) -> RuntimeError {
    let feature = match kind {
        DeviceKind::Vulkan => "vulkan",
        DeviceKind::OpenCl => "opencl",
        DeviceKind::WebGpu => "wgpu",
        DeviceKind::Metal if !cfg!(target_vendor = "apple") => {
            return RuntimeError::NotOnThisPlatform { kind };
        }
        DeviceKind::Metal => "metal",
    };
    let reason = format!("this program is built without drift-runtime's feature `{feature}`");
    RuntimeError::NoDriver { kind, reason }
}

/// Position in `devices` of the one that `wanted` names, or of the best.
pub(crate) fn select(devices: &[DeviceInfo], wanted: Option<&str>) -> Result<usize, RuntimeError> {
    let Some(wanted) = wanted else { return Ok(0) };
    let lower = wanted.to_lowercase();
    // A number is never a part of a name: most names have digits.
    let found = match wanted.parse::<usize>() {
        Ok(index) => Some(index).filter(|index| *index < devices.len()),
        Err(_) => devices.iter().position(|device| device.name.to_lowercase().contains(&lower)),
    };
    found.ok_or_else(|| RuntimeError::NoSuchDevice {
        wanted: wanted.to_owned(),
        available: devices.iter().map(|device| format!("{} `{}`", device.index, device.name)).collect(),
    })
}

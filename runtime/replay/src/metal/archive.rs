//! What is kept of compiled kernels: a binary archive of Metal's, in the file that every device's cache is
//! ([`crate::cache`]), so that one that is damaged, somebody else's, or of another device, system or bundle is not used.
//!
//! Metal reads and writes archives by their path only. They pass through the user's own temporary folder.

use std::fs::{self, DirBuilder};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use drift_bundle::Bundle;
use objc2::rc::{Retained, autoreleasepool};
use objc2_foundation::NSURL;
use objc2_metal::{MTLBinaryArchive, MTLBinaryArchiveDescriptor, MTLDevice};

use super::context::Context;
use super::handle::Shared;
use super::pipelines::Built;
use super::words;
use crate::cache::{CacheFile, DriverHash, driver_hash};
use crate::deadline::Deadline;
use crate::report::CacheUse;

type RawArchive = Shared<dyn MTLBinaryArchive>;

/// The archive of one load.
pub(crate) struct Archive {
    file: CacheFile,
    /// Of the device and the system, at the head of the file.
    driver: DriverHash,
    /// What an earlier load left, if Metal takes it.
    kept: Option<RawArchive>,
    /// Where `kept` is: Metal may read it when a kernel is looked for.
    scratch: io::Result<Scratch>,
}

impl Archive {
    pub(crate) fn open(context: &Context, folder: &Path, bundle: &Bundle) -> Self {
        let driver = driver_hash(&context.info);
        let file =
            CacheFile::open(folder, (&context.info, &driver), bundle, |data| data.starts_with(&driver));
        let scratch = Scratch::new();
        let found = file.data().strip_prefix(&driver).filter(|data| !data.is_empty());
        let kept = found.zip(scratch.as_ref().ok()).and_then(|(data, scratch)| {
            let path = scratch.0.join("found");
            fs::write(&path, data).ok()?;
            // A system that has changed since takes its own archives no more: then there is none.
            open(context, Some(&path)).ok()
        });
        Self { file, driver, kept, scratch }
    }

    /// Where kernels are looked for first.
    pub(crate) fn kept(&self) -> Option<&RawArchive> {
        self.kept.as_ref()
    }

    /// Keeps the kernels that were not there. Nothing here fails a load.
    pub(crate) fn close(self, context: &Context, built: &[&Built], deadline: Deadline) -> CacheUse {
        if self.kept.is_some() && built.iter().all(|built| built.was_kept) {
            let data = self.file.data().to_vec();
            return self.file.store(&data);
        }
        match self.serialize(context, built, deadline) {
            Ok(data) => self.file.store(&data),
            Err(reason) => self.file.unwritable(reason),
        }
    }

    fn serialize(&self, context: &Context, built: &[&Built], deadline: Deadline) -> Result<Vec<u8>, String> {
        let scratch = self.scratch.as_ref().map_err(ToString::to_string)?;
        let archive = match &self.kept {
            Some(kept) => kept.clone(),
            None => open(context, None)?,
        };
        for built in built.iter().filter(|built| self.kept.is_none() || !built.was_kept) {
            deadline.check().map_err(|_| "the load's time is over".to_owned())?;
            autoreleasepool(|_| {
                let descriptor = built.descriptor();
                archive
                    .addComputePipelineFunctionsWithDescriptor_error(&descriptor)
                    .map_err(|error| words(&error))
            })?;
        }
        let path = scratch.0.join("made");
        autoreleasepool(|_| archive.serializeToURL_error(&*url(&path)?).map_err(|error| words(&error)))?;
        let data = fs::read(&path).map_err(|error| error.to_string())?;
        Ok([&self.driver[..], &data].concat())
    }
}

/// An archive from a file, or an empty one.
fn open(context: &Context, path: Option<&Path>) -> Result<RawArchive, String> {
    autoreleasepool(|_| {
        let descriptor = MTLBinaryArchiveDescriptor::new();
        descriptor.setUrl(path.map(url).transpose()?.as_deref());
        let made = context.device.newBinaryArchiveWithDescriptor_error(&descriptor);
        made.map(Shared::from).map_err(|error| words(&error))
    })
}

fn url(path: &Path) -> Result<Retained<NSURL>, String> {
    NSURL::from_file_path(path).ok_or_else(|| "the temporary folder has no path".to_owned())
}

/// A folder that nobody else may look into, removed when it is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> io::Result<Self> {
        let name = format!("drift-{:016x}", RandomState::new().hash_one(std::process::id()));
        let path = std::env::temp_dir().join(name);
        // Not where something is already, whoever put it there.
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // The system clears its temporary folders itself.
        let _ = fs::remove_dir_all(&self.0);
    }
}

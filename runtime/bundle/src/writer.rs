//! Writes bundles: all but hashes, which only the bytes of weights say, then weights, then the header and the hashes of the
//! weights into the places that were left for them.
//!
//! Weights may be made when they are written ([`WeightSource`]), so that memory never holds all of them. Equal shaders
//! and equal weights that were given as bytes are stored once. What is written has passed [`validate`], and a file
//! appears under its name only when it is whole. The same calls in the same order give the same bytes.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::contents::encode_manifest;
use crate::error::{BundleError, Flaw};
use crate::format::{ALIGNMENT_BYTES, HASH_BYTES, Hash, Header};
use crate::manifest::{Entry, Manifest, Provenance, Shader, WeightBlob};
use crate::validate::{SectionBytes, validate};
use crate::weights::{self, Pending, WeightSource};

/// Collects a bundle's parts, then writes it.
#[derive(Debug)]
pub struct BundleWriter {
    manifest: Manifest,
    shader_code: Vec<u8>,
    /// One for each blob of the manifest.
    weights: Vec<Pending>,
    // Looked up, never iterated: the order of output is the order of calls.
    blobs: HashMap<Hash, u32>,
    blob_names: HashMap<String, Hash>,
    codes: HashMap<Hash, u64>,
    /// Shaders by the offset of their code.
    of_codes: HashMap<u64, Vec<u32>>,
}

impl BundleWriter {
    /// A bundle without anything in it.
    pub fn new(provenance: Provenance) -> Self {
        Self {
            manifest: Manifest { provenance, weights: Vec::new(), shaders: Vec::new(), entries: Vec::new() },
            shader_code: Vec::new(),
            weights: Vec::new(),
            blobs: HashMap::new(),
            blob_names: HashMap::new(),
            codes: HashMap::new(),
            of_codes: HashMap::new(),
        }
    }

    /// What was added so far.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Adds a blob and returns its index in [`Manifest::weights`]. Bytes that are already there are not
    /// stored again: their index is returned, and they keep their first name.
    pub fn add_weight(&mut self, name: &str, bytes: impl AsRef<[u8]>) -> Result<u32, BundleError> {
        let bytes = bytes.as_ref();
        let hash = *blake3::hash(bytes).as_bytes();
        let named = self.blob_names.entry(name.to_owned()).or_insert(hash);
        if *named != hash {
            return Err(BundleError::Invalid {
                place: "weights".to_owned(),
                flaw: Flaw::WeightTwice { name: name.to_owned() },
            });
        }
        if let Some(index) = self.blobs.get(&hash) {
            return Ok(*index);
        }
        let index = self.add_packed_weight(name, Arc::new(bytes.to_vec()));
        self.blobs.insert(hash, index);
        Ok(index)
    }

    /// Adds a blob whose bytes are made when the bundle is written, and returns its index in [`Manifest::weights`].
    /// Nothing is compared: whoever adds it knows whether it is there already.
    pub fn add_packed_weight(&mut self, name: &str, source: Arc<dyn WeightSource>) -> u32 {
        let offset = self.weights_bytes().next_multiple_of(ALIGNMENT_BYTES);
        let index = self.manifest.weights.len() as u32;
        self.manifest.weights.push(WeightBlob { name: name.to_owned(), offset, size: source.size_bytes() });
        self.weights.push(Pending(source));
        index
    }

    fn weights_bytes(&self) -> u64 {
        self.manifest.weights.last().map_or(0, |blob| blob.offset + blob.size)
    }

    /// Adds a shader and returns its index in [`Manifest::shaders`]. `shader.offset` and `shader.size` are
    /// set here. A shader that differs from an earlier one by name only gets that one's index; equal code is
    /// stored once.
    pub fn add_shader(&mut self, mut shader: Shader, code: &[u8]) -> u32 {
        let end = self.shader_code.len() as u64;
        let offset = *self.codes.entry(*blake3::hash(code).as_bytes()).or_insert(end);
        if offset == end {
            self.shader_code.extend_from_slice(code);
            // Shaders start at whole words, because SPIR-V is read in words.
            self.shader_code.resize(self.shader_code.len().next_multiple_of(4), 0);
        }
        shader.offset = offset;
        shader.size = code.len() as u64;
        let shaders = &mut self.manifest.shaders;
        let of_code = self.of_codes.entry(offset).or_default();
        let same = |index: &&u32| same_but_name(&shaders[**index as usize], &shader);
        if let Some(&index) = of_code.iter().find(same) {
            return index;
        }
        let index = shaders.len() as u32;
        of_code.push(index);
        shaders.push(shader);
        index
    }

    /// Adds an entry; entries keep their order.
    pub fn add_entry(&mut self, entry: Entry) {
        self.manifest.entries.push(entry);
    }

    /// Validates the bundle and gives it its name. On failure nothing is left behind and a file that was
    /// there before is untouched.
    pub fn finish(self, path: &Path) -> Result<(), BundleError> {
        self.finish_with(path, &|_, _| {})
    }

    /// As [`BundleWriter::finish`]. `progress` is told how many bytes of weights are written, and how many there are,
    /// after each piece of a few megabytes.
    pub fn finish_with(self, path: &Path, progress: &(dyn Fn(u64, u64) + Sync)) -> Result<(), BundleError> {
        self.validate()?;
        let mut partial = PartialFile::create(path)?;
        let name = partial.path.clone();
        self.write_into(&mut partial.file, &name, progress)?;
        partial.rename_to(path)
    }

    /// Validates the bundle and writes it into an empty file that the caller gives a name; `path` is for messages.
    pub fn finish_into(
        self,
        file: &mut File,
        path: &Path,
        progress: &(dyn Fn(u64, u64) + Sync),
    ) -> Result<(), BundleError> {
        self.validate()?;
        self.write_into(file, path, progress)
    }

    /// Writes what was validated.
    fn write_into(
        mut self,
        file: &mut File,
        path: &Path,
        progress: &(dyn Fn(u64, u64) + Sync),
    ) -> Result<(), BundleError> {
        let failed = |source| BundleError::Io { action: "write", path: path.to_owned(), source };
        let mut front = self.front()?;
        file.write_all(&front.bytes).map_err(failed)?;
        let hashes = self.write_weights(&mut |bytes| file.write_all(bytes).map_err(failed), progress)?;
        for range in front.seal(&hashes) {
            file.seek(SeekFrom::Start(range.start as u64)).map_err(failed)?;
            file.write_all(&front.bytes[range]).map_err(failed)?;
        }
        Ok(())
    }

    /// Validates the bundle and returns its bytes.
    pub fn to_bytes(mut self) -> Result<Vec<u8>, BundleError> {
        self.validate()?;
        let mut front = self.front()?;
        let mut file = Vec::with_capacity(front.bytes.len() + self.weights_bytes() as usize);
        file.extend_from_slice(&front.bytes);
        let append = &mut |bytes: &[u8]| {
            file.extend_from_slice(bytes);
            Ok(())
        };
        let hashes = self.write_weights(append, &|_, _| {})?;
        for range in front.seal(&hashes) {
            file[range.clone()].copy_from_slice(&front.bytes[range]);
        }
        Ok(file)
    }

    fn validate(&self) -> Result<(), BundleError> {
        validate(&self.manifest, SectionBytes { shaders: &self.shader_code, weights: self.weights_bytes() })
    }

    fn write_weights(
        &mut self,
        sink: &mut weights::Sink<'_>,
        progress: &weights::Progress<'_>,
    ) -> Result<Vec<Hash>, BundleError> {
        weights::write(&self.manifest.weights, std::mem::take(&mut self.weights), sink, progress)
    }

    /// Everything before the weights.
    fn front(&self) -> Result<Front, BundleError> {
        let manifest = encode_manifest(&self.manifest)?;
        Front::new(&manifest, &self.shader_code, self.manifest.weights.len() as u64, self.weights_bytes())
    }
}

/// Everything before the weights.
pub(crate) struct Front {
    header: Header,
    pub(crate) bytes: Vec<u8>,
}

impl Front {
    /// Lays out a file of these sections; the hashes of `weights` weights, and with them the header, are still to come.
    pub(crate) fn new(
        manifest: &[u8],
        shaders: &[u8],
        weights: u64,
        weights_bytes: u64,
    ) -> Result<Self, BundleError> {
        let of = |bytes: &[u8]| (bytes.len() as u64, *blake3::hash(bytes).as_bytes());
        let hashes = (weights * HASH_BYTES, Hash::default());
        let header = Header::new([of(manifest), of(shaders), hashes], weights_bytes).ok_or_else(|| {
            BundleError::Encode { reason: "the file would exceed 64-bit offsets".to_owned() }
        })?;
        let mut bytes = vec![0; header.weights.offset as usize];
        for (entry, section) in [(&header.manifest, manifest), (&header.shaders, shaders)] {
            bytes[entry.offset as usize..][..section.len()].copy_from_slice(section);
        }
        Ok(Self { header, bytes })
    }

    /// Fills in one hash for each weight; returns the ranges of bytes that have changed.
    pub(crate) fn seal(&mut self, hashes: &[Hash]) -> [Range<usize>; 2] {
        let table = hashes.as_flattened();
        self.header.hashes.hash = Some(*blake3::hash(table).as_bytes());
        let parts = [(self.header.hashes.offset, table), (0, &self.header.encode())];
        parts.map(|(offset, part)| {
            let range = offset as usize..offset as usize + part.len();
            self.bytes[range.clone()].copy_from_slice(part);
            range
        })
    }
}

fn same_but_name(a: &Shader, b: &Shader) -> bool {
    a.offset == b.offset && a.size == b.size && {
        let Shader {
            name: _,
            target,
            entry_point,
            offset: _,
            size: _,
            workgroup_size,
            shared_bytes,
            subgroup_size,
            bindings,
        } = a;
        (target, entry_point, workgroup_size, shared_bytes, subgroup_size, bindings)
            == (&b.target, &b.entry_point, &b.workgroup_size, &b.shared_bytes, &b.subgroup_size, &b.bindings)
    }
}

/// A file under a temporary name, removed on drop unless it was renamed.
#[derive(Debug)]
struct PartialFile {
    path: PathBuf,
    file: File,
    renamed: bool,
}

impl PartialFile {
    /// Creates a file beside `target`, so that a rename stays on one file system.
    fn create(target: &Path) -> Result<Self, BundleError> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        for attempt in 0..1000 {
            let path = target.with_file_name(format!(".{name}.{}.{attempt}.partial", std::process::id()));
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => return Ok(Self { path, file, renamed: false }),
                Err(source) if source.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(BundleError::Io { action: "create", path, source }),
            }
        }
        Err(BundleError::Io {
            action: "create a temporary file beside",
            path: target.to_owned(),
            source: std::io::ErrorKind::AlreadyExists.into(),
        })
    }

    fn rename_to(mut self, path: &Path) -> Result<(), BundleError> {
        // Without this a crash of the machine could leave the new name on an empty file.
        self.file.sync_all().map_err(|source| self.error("write", source))?;
        fs::rename(&self.path, path).map_err(|source| BundleError::Io {
            action: "replace",
            path: path.to_owned(),
            source,
        })?;
        self.renamed = true;
        Ok(())
    }

    fn error(&self, action: &'static str, source: std::io::Error) -> BundleError {
        BundleError::Io { action, path: self.path.clone(), source }
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        if !self.renamed {
            // Nothing can be done about a failure here, and the error that led here is already on its way.
            let _ = fs::remove_file(&self.path);
        }
    }
}

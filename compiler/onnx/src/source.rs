//! A model file and the data files beside it.
//!
//! [`ModelSource::open`] maps the model, decodes its structure and maps each file that its tensors refer to, once.
//! Weights stay in the maps. Data files are looked up relative to the model's folder and must be in it after all
//! symbolic links are followed; a file that is exchanged between that check and its opening is outside what we promise.
//! Turning bytes into tensors is the business of [`crate::tensor`].

use crate::map::{Mapped, map};
use crate::proto::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, data_location};
use crate::wire::{self, WireError};
use bytes::Bytes;
use prost::Message;
use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};
use thiserror::Error;

/// Why a model file or one of its data files could not be read.
#[derive(Debug, Error)]
pub enum SourceError {
    /// The file could not be opened or mapped.
    #[error("cannot open `{}`", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A folder, a pipe or a device.
    #[error("`{}` is not a regular file; name the `.onnx` file itself", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// A file that another process wrote to while it was read.
    #[error("`{}` changed while it was read; compile again when nothing writes to it", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// A model that no file can hold.
    #[error(
        "the model with all its data has {bytes} bytes; a file without others beside it holds 2147483647"
    )]
    TooLarge {
        /// Its size.
        bytes: u64,
    },
    /// The bytes are no ONNX model.
    #[error("the file is not a readable ONNX model")]
    Wire(#[from] WireError),
    /// The structure is protobuf, but not ONNX's.
    #[error("the file is not a readable ONNX model")]
    Decode(#[from] prost::DecodeError),
    /// A tensor's data file was refused.
    #[error("tensor `{tensor}` has its data in `{location}`: {reason}")]
    External {
        /// The tensor.
        tensor: String,
        /// The file as the model names it.
        location: String,
        /// What is wrong.
        reason: ExternalError,
    },
}

/// Why a tensor's data file was refused.
#[derive(Debug, Error)]
pub enum ExternalError {
    /// No `location` entry.
    #[error("the `location` entry is missing")]
    NoLocation,
    /// The model was read from memory.
    #[error("the model was read from memory, so there is no folder to look in; open it from a file")]
    NoFolder,
    /// An absolute path.
    #[error("absolute paths are refused; put the file beside the model and name it without a folder")]
    Absolute,
    /// A path with `..`.
    #[error("paths with `..` are refused; put the file beside the model")]
    ParentFolder,
    /// Links lead out of the folder.
    #[error("symbolic links lead out of the model's folder; copy the file into it")]
    LeavesFolder,
    /// A folder, a pipe or a device.
    #[error("not a regular file")]
    NotAFile,
    /// The file could not be opened or mapped.
    #[error("{0}")]
    Io(io::Error),
    /// An entry that is not part of the format.
    #[error("entry `{0}` is unknown; expected location, offset, length and checksum")]
    UnknownKey(String),
    /// An entry that stands twice.
    #[error("entry `{0}` stands twice")]
    DuplicateKey(String),
    /// A number that is none, or is negative.
    #[error("`{key}` is `{value}`, not a number of bytes")]
    BadNumber {
        /// Which entry.
        key: &'static str,
        /// Its text.
        value: String,
    },
    /// A range past the end of the file.
    #[error("{length} bytes from byte {offset} on reach beyond the end of the file, which has {file} bytes")]
    OutOfRange {
        /// First byte.
        offset: u64,
        /// Bytes.
        length: u64,
        /// Size of the file.
        file: u64,
    },
    /// The range differs from what the tensor's type and shape need.
    #[error("`length` is {found}, but the tensor's type and shape need {expected} bytes")]
    WrongLength {
        /// Bytes that type and shape need.
        expected: u64,
        /// Bytes that the entry gives.
        found: u64,
    },
}

/// A decoded model and the bytes that it refers to.
#[derive(Debug, Clone)]
pub struct ModelSource {
    name: String,
    bytes: Bytes,
    model: ModelProto,
    /// Data files by their path below the model's folder, with `/` between folders.
    files: BTreeMap<String, Bytes>,
    /// From the text of a `location` entry to the key in `files`.
    locations: BTreeMap<String, String>,
    /// What the bytes above are cut from.
    maps: Vec<Mapped>,
    /// How many places sizes get that data decide, by value or node.
    bounds: BTreeMap<String, u64>,
}

impl ModelSource {
    /// Opens a model file, and the data files that it names.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, SourceError> {
        let path = path.as_ref();
        let opened = |source| SourceError::Open { path: path.to_owned(), source };
        // Asked before opening, because opening a pipe waits for a writer.
        if !path.metadata().map_err(opened)?.is_file() {
            return Err(SourceError::NotAFile { path: path.to_owned() });
        }
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let folder = folder.canonicalize().map_err(opened)?;
        let map = map(path).map_err(opened)?;
        let bytes = map.as_ref().map(Mapped::bytes).unwrap_or_default();
        let mut source = Self::decode(name, bytes, Some(&folder))?;
        source.maps.extend(map);
        Ok(source)
    }

    /// Says how many places a size gets that data decide: that of the value, or of the first result of the node, of this name.
    pub fn set_bound(&mut self, name: &str, places: u64) {
        self.bounds.insert(name.to_owned(), places);
    }

    /// Whether the main graph has a value or a node of this name.
    pub fn has_name(&self, name: &str) -> bool {
        let nodes = self.model.graph.iter().flat_map(|graph| &graph.node);
        let mut names = nodes.flat_map(|node| std::iter::once(&node.name).chain(&node.output));
        names.any(|known| known == name)
    }

    /// How many places sizes get that data decide.
    pub(crate) fn bounds(&self) -> &BTreeMap<String, u64> {
        &self.bounds
    }

    /// Reads a model from memory. Tensors with external data are refused, because there is no folder to look in.
    pub fn from_bytes(name: &str, bytes: impl Into<Bytes>) -> Result<Self, SourceError> {
        Self::decode(name.to_owned(), bytes.into(), None)
    }

    fn decode(name: String, bytes: Bytes, folder: Option<&Path>) -> Result<Self, SourceError> {
        wire::check(&bytes, wire::Kind::Model)?;
        let model = ModelProto::decode(bytes.clone())?;
        let mut source = Self {
            name,
            bytes,
            model: ModelProto::default(),
            files: BTreeMap::new(),
            locations: BTreeMap::new(),
            maps: Vec::new(),
            bounds: BTreeMap::new(),
        };
        for_each_tensor(&model, &mut |tensor| source.map_external(tensor, folder))?;
        source.model = model;
        Ok(source)
    }

    /// Name of the model: its file's name without extension.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The bytes that define the model, for hashing: the model file under the name `model`, then each data file under
    /// its path below the model's folder, in name order.
    pub fn parts(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let files = self.files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_ref()));
        std::iter::once(("model", self.bytes.as_ref())).chain(files)
    }

    /// Bytes of the model file, and of it with its data files.
    pub(crate) fn size_bytes(&self) -> (u64, u64) {
        let files = self.files.values().map(|bytes| bytes.len() as u64);
        let model = self.bytes.len() as u64;
        (model, model + files.sum::<u64>())
    }

    /// Lets the system take back the memory of all weights that were read from files. Reading them again is as right as
    /// before, only slower.
    pub fn release_pages(&self) {
        self.maps.iter().for_each(Mapped::release_pages);
    }

    /// Refuses files whose length or time is no longer that of the moment when they were mapped: what was read from them
    /// may be a mixture. A file system keeps times in steps, so that whoever must be sure compares [`ModelSource::parts`]
    /// too.
    pub fn check_unchanged(&self) -> Result<(), SourceError> {
        match self.maps.iter().find(|map| map.is_changed()) {
            Some(map) => Err(SourceError::Changed { path: map.path().to_owned() }),
            None => Ok(()),
        }
    }

    /// The decoded model.
    pub(crate) fn model(&self) -> &ModelProto {
        &self.model
    }

    /// The `expected` bytes of a tensor whose data are in another file.
    pub(crate) fn external(&self, tensor: &TensorProto, expected: u64) -> Result<Bytes, SourceError> {
        let place = Place::read(tensor).map_err(|reason| external_error(tensor, reason))?;
        let file = self.locations.get(place.location).and_then(|key| self.files.get(key));
        // Tensors that `for_each_tensor` does not visit, such as those of a test data file, have no folder.
        let file = file.ok_or(ExternalError::NoFolder).map_err(|reason| external_error(tensor, reason))?;
        let range = place.range(expected, file.len() as u64);
        Ok(file.slice(range.map_err(|reason| external_error(tensor, reason))?))
    }

    /// The decoded model, for a caller that decides more than the file does.
    pub(crate) fn model_mut(&mut self) -> &mut ModelProto {
        &mut self.model
    }

    fn map_external(&mut self, tensor: &TensorProto, folder: Option<&Path>) -> Result<(), SourceError> {
        if tensor.data_location != data_location::EXTERNAL {
            return Ok(());
        }
        let place = Place::read(tensor).map_err(|reason| external_error(tensor, reason))?;
        if !self.locations.contains_key(place.location) {
            let folder =
                folder.ok_or(ExternalError::NoFolder).map_err(|reason| external_error(tensor, reason))?;
            let file = find(folder, place.location).map_err(|reason| external_error(tensor, reason))?;
            let key = key_of(folder, &file);
            if !self.files.contains_key(&key) {
                let map = map(&file).map_err(|error| external_error(tensor, ExternalError::Io(error)))?;
                self.files.insert(key.clone(), map.as_ref().map(Mapped::bytes).unwrap_or_default());
                self.maps.extend(map);
            }
            self.locations.insert(place.location.to_owned(), key);
        }
        Ok(())
    }
}

/// A refusal of the data file of `tensor`.
pub(crate) fn external_error(tensor: &TensorProto, reason: ExternalError) -> SourceError {
    let location = tensor.external_data.iter().find(|entry| entry.key == "location");
    SourceError::External {
        tensor: tensor.name.clone(),
        location: location.map(|entry| entry.value.clone()).unwrap_or_default(),
        reason,
    }
}

/// Where a tensor's bytes are, as its entries say.
struct Place<'a> {
    location: &'a str,
    offset: u64,
    length: Option<u64>,
}

impl<'a> Place<'a> {
    /// Reads the entries. `checksum` is accepted and ignored, as its meaning is not specified well enough to check.
    fn read(tensor: &'a TensorProto) -> Result<Self, ExternalError> {
        let (mut location, mut offset, mut length, mut checksum) = (None, None, None, None);
        for entry in &tensor.external_data {
            let slot = match entry.key.as_str() {
                "location" => &mut location,
                "offset" => &mut offset,
                "length" => &mut length,
                "checksum" => &mut checksum,
                _ => return Err(ExternalError::UnknownKey(entry.key.clone())),
            };
            if slot.replace(entry.value.as_str()).is_some() {
                return Err(ExternalError::DuplicateKey(entry.key.clone()));
            }
        }
        Ok(Self {
            location: location.filter(|text| !text.is_empty()).ok_or(ExternalError::NoLocation)?,
            offset: offset.map(|text| number("offset", text)).transpose()?.unwrap_or(0),
            length: length.map(|text| number("length", text)).transpose()?,
        })
    }

    /// The byte range in a file of `file` bytes, checked against the `expected` size.
    fn range(&self, expected: u64, file: u64) -> Result<std::ops::Range<usize>, ExternalError> {
        let length = self.length.unwrap_or(expected);
        if length != expected {
            return Err(ExternalError::WrongLength { expected, found: length });
        }
        let outside = ExternalError::OutOfRange { offset: self.offset, length, file };
        match self.offset.checked_add(length) {
            // Both fit `usize`, because a file of that size is mapped.
            Some(end) if end <= file => Ok(self.offset as usize..end as usize),
            _ => Err(outside),
        }
    }
}

fn number(key: &'static str, text: &str) -> Result<u64, ExternalError> {
    text.trim().parse().map_err(|_| ExternalError::BadNumber { key, value: text.to_owned() })
}

/// The canonical path of a data file, which is in `folder` (canonical too).
fn find(folder: &Path, location: &str) -> Result<PathBuf, ExternalError> {
    let relative = Path::new(location);
    for component in relative.components() {
        match component {
            Component::Normal(_) | Component::CurDir => {}
            Component::ParentDir => return Err(ExternalError::ParentFolder),
            Component::RootDir | Component::Prefix(_) => return Err(ExternalError::Absolute),
        }
    }
    let file = folder.join(relative).canonicalize().map_err(ExternalError::Io)?;
    if !file.starts_with(folder) {
        return Err(ExternalError::LeavesFolder);
    }
    if !file.metadata().map_err(ExternalError::Io)?.is_file() {
        return Err(ExternalError::NotAFile);
    }
    Ok(file)
}

/// Path below the folder with `/` on every system, so that hashes over names agree.
fn key_of(folder: &Path, file: &Path) -> String {
    let below = file.strip_prefix(folder).unwrap_or(file);
    let parts: Vec<_> = below.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}

/// What [`for_each_tensor`] calls.
type Visit<'a> = dyn FnMut(&TensorProto) -> Result<(), SourceError> + 'a;

/// Calls `visit` for every tensor of a model: initializers and attributes, also of subgraphs and functions, but not
/// sparse ones, which are refused later. The depth of this recursion is bounded by that of the decoder.
fn for_each_tensor(model: &ModelProto, visit: &mut Visit<'_>) -> Result<(), SourceError> {
    if let Some(graph) = &model.graph {
        visit_graph(graph, visit)?;
    }
    for function in &model.functions {
        visit_nodes(&function.node, visit)?;
        visit_attributes(&function.attribute_proto, visit)?;
    }
    Ok(())
}

fn visit_graph(graph: &GraphProto, visit: &mut Visit<'_>) -> Result<(), SourceError> {
    graph.initializer.iter().try_for_each(&mut *visit)?;
    visit_nodes(&graph.node, visit)
}

fn visit_nodes(nodes: &[NodeProto], visit: &mut Visit<'_>) -> Result<(), SourceError> {
    nodes.iter().try_for_each(|node| visit_attributes(&node.attribute, visit))
}

fn visit_attributes(attributes: &[AttributeProto], visit: &mut Visit<'_>) -> Result<(), SourceError> {
    for attribute in attributes {
        attribute.t.iter().chain(&attribute.tensors).try_for_each(&mut *visit)?;
        attribute.g.iter().chain(&attribute.graphs).try_for_each(|graph| visit_graph(graph, visit))?;
    }
    Ok(())
}

//! Everything that can be wrong with a bundle, in the bundle's own words.

use std::fmt;
use std::path::PathBuf;

use crate::code::ShaderFlaw;
use crate::manifest::{DeviceElement, HostElement, Requirement, SizeFlaw, Target, TextureKind};

/// A part of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Section {
    /// The encoded [`crate::manifest::Manifest`].
    Manifest,
    /// Shader code.
    Shaders,
    /// Hashes of the weight blobs.
    Hashes,
    /// Weight blobs.
    Weights,
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Manifest => "manifest",
            Self::Shaders => "shader",
            Self::Hashes => "hashes",
            Self::Weights => "weights",
        })
    }
}

/// Why a bundle could not be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// The file system refused.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried: `open`, `read`, `map`, `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// Something that is no regular file.
    #[error("`{}` is {found}, a bundle is a regular file", path.display())]
    NotAFile {
        /// What was opened.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// The file is not as it was when it was opened.
    #[error("`{}` was changed while it was in use as a bundle; open it again once it is written", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The host has not enough memory.
    #[error("out of memory while reading {bytes} bytes of a bundle")]
    OutOfMemory {
        /// How much was needed at once.
        bytes: u64,
    },
    /// The file does not begin as a bundle does.
    #[error("not a bundle: the file does not begin with the magic bytes `DRIFT`")]
    Magic,
    /// Another version of the format.
    #[error(
        "bundle format {found} is not {expected}, the one this build reads; compile the model again with a driftc of the \
         same release"
    )]
    Version {
        /// In the file.
        found: u32,
        /// Ours.
        expected: u32,
    },
    /// The file is shorter than its header or than what its header says.
    #[error("bundle is cut short: {found} bytes where {expected} are expected; copy or download it again")]
    Truncated {
        /// Bytes that there must be.
        expected: u64,
        /// Bytes that there are.
        found: u64,
    },
    /// The header contradicts itself.
    #[error("bundle header is damaged: {problem}")]
    Header {
        /// What is wrong.
        problem: String,
    },
    /// A section's bytes are not those that were written.
    #[error(
        "{section} section is damaged: its BLAKE3 hash is not the one in the header; copy or download the bundle again"
    )]
    Hash {
        /// Which.
        section: Section,
    },
    /// A weight's bytes are not those that were written.
    #[error(
        "weight `{name}` is damaged: its BLAKE3 hash is not the one in the bundle; copy or download the bundle again"
    )]
    WeightHash {
        /// The weight.
        name: String,
    },
    /// A weight is larger than a reader of a stream may hold.
    #[error(
        "weight `{name}` has {size} bytes where the reader may hold {most}; allow more, or open the bundle as a file"
    )]
    LargeWeight {
        /// The weight.
        name: String,
        /// Its size.
        size: u64,
        /// What the reader was made with.
        most: u64,
    },
    /// A reader of a stream that has refused it is asked to go on.
    #[error("the bundle was refused before; begin with a new reader")]
    Refused,
    /// The manifest's bytes are not a manifest.
    #[error("manifest cannot be decoded: {reason}")]
    Decode {
        /// The decoder's words.
        reason: String,
    },
    /// The manifest cannot be encoded, or is larger than a reader would take.
    #[error("manifest cannot be encoded: {reason}")]
    Encode {
        /// The encoder's words.
        reason: String,
    },
    /// The right values of a self-test are not those of its program.
    #[error("right values `{name}` of a self-test: {reason}; compile the model again")]
    SelfTest {
        /// Name of the weight that holds them.
        name: String,
        /// What does not hold.
        reason: String,
    },
    /// The manifest says something that does not hold.
    #[error("{place}: {flaw}")]
    Invalid {
        /// Entry, variant and dispatch, as far as they apply.
        place: String,
        /// What does not hold.
        #[source]
        flaw: Flaw,
    },
}

/// One thing in a manifest that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// A list longer than its cap.
    #[error("{count} {what} where at most {most} are accepted")]
    TooMany {
        /// Plural name of the list.
        what: &'static str,
        /// Found.
        count: usize,
        /// Cap.
        most: usize,
    },
    /// A list that must hold something is empty.
    #[error("no {what}")]
    Empty {
        /// Plural name of the list.
        what: &'static str,
    },
    /// A string longer than its cap.
    #[error("{what} is {bytes} bytes long where at most {most} are accepted")]
    TooLong {
        /// Which string.
        what: &'static str,
        /// Found.
        bytes: usize,
        /// Cap.
        most: usize,
    },
    /// A name that must be there is empty.
    #[error("{what} is empty")]
    Unnamed {
        /// Which string.
        what: &'static str,
    },
    /// Two things of one list share a name.
    #[error("two {what} are named `{name}`")]
    Duplicate {
        /// Plural name of the list.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// An index past the end of its list.
    #[error("{what} {index} does not exist, there are {count}")]
    Index {
        /// What is indexed.
        what: &'static str,
        /// Found.
        index: u32,
        /// Length of the list.
        count: usize,
    },
    /// A range that leaves what it is in.
    #[error("bytes {offset} + {size} leave the {within} of {available} bytes")]
    Range {
        /// Start.
        offset: u64,
        /// Length.
        size: u64,
        /// What it must be in.
        within: &'static str,
        /// Its size.
        available: u64,
    },
    /// A number that must be a multiple of another.
    #[error("{what} is {value}, not a multiple of {of}")]
    Alignment {
        /// Which number.
        what: &'static str,
        /// Found.
        value: u64,
        /// Needed factor.
        of: u64,
    },
    /// A number that must not be zero.
    #[error("{what} is zero")]
    Zero {
        /// Which number.
        what: &'static str,
    },
    /// A number over its cap, or one that overflows.
    #[error("{what} is too large, at most {most} is accepted")]
    TooLarge {
        /// Which number.
        what: &'static str,
        /// Cap.
        most: u64,
    },
    /// A dim that has no size, or one that 32 bits do not hold.
    #[error("dim `{name}` is a multiple of {step} from {low} to {high}, which no size of 32 bits is")]
    Dim {
        /// The dim.
        name: String,
        /// Its least size.
        low: u64,
        /// Its greatest size.
        high: u64,
        /// What its sizes are multiples of.
        step: u64,
    },
    /// Lists whose order makes them unique, in another order.
    #[error("{what} are not in ascending order")]
    Order {
        /// Plural name of the list.
        what: &'static str,
    },
    /// A size that cannot be computed for all sizes of the dims.
    #[error("size {index} {flaw}")]
    Size {
        /// Index in `Entry::sizes`.
        index: usize,
        /// What does not hold.
        flaw: SizeFlaw,
    },
    /// Something that is stated to be the most where there is more, or never as much.
    #[error(
        "{what} is stated to be at most {stated}, its size {index} is {largest} at the largest dims and may be up to {most}"
    )]
    Maximum {
        /// Which number.
        what: String,
        /// What the manifest says.
        stated: u64,
        /// Index in `Entry::sizes`.
        index: u32,
        /// What it is where all dims have their largest sizes.
        largest: u64,
        /// Its bound over all sizes.
        most: u64,
    },
    /// A dispatch that runs once, of a grid that follows from dims.
    #[error("the grid of a dispatch of `init` follows from a dim")]
    FreeInit,
    /// A shader's code by itself, or against the manifest.
    #[error(transparent)]
    Shader(#[from] ShaderFlaw),
    /// A shader that needs more of a device than its variant requires.
    #[error("the code of shader `{shader}` needs {needed:?}, which the variant does not require")]
    NotRequired {
        /// The shader.
        shader: String,
        /// What is missing.
        needed: Requirement,
    },
    /// Two slots of a shader at one place.
    #[error("group {group} binding {binding} is declared twice")]
    SlotTwice {
        /// Group.
        group: u32,
        /// Binding.
        binding: u32,
    },
    /// A dispatch that binds more or fewer resources than its shader declares.
    #[error("{found} resources are bound, shader `{shader}` declares {expected}")]
    BindingCount {
        /// The shader.
        shader: String,
        /// Bound.
        found: usize,
        /// Declared.
        expected: usize,
    },
    /// A dispatch of an entry for one target that uses a shader of another.
    #[error("shader `{shader}` is for {found:?}, the entry is for {expected:?}")]
    ShaderTarget {
        /// The shader.
        shader: String,
        /// Its target.
        found: Target,
        /// The entry's.
        expected: Target,
    },
    /// A resource of a kind that its slot does not take.
    #[error("slot {slot} takes a {expected}, a {found} is bound")]
    Kind {
        /// Position in the shader's list.
        slot: usize,
        /// What it takes.
        expected: &'static str,
        /// What it is given.
        found: &'static str,
    },
    /// A texture of other dimensions.
    #[error("slot {slot} takes a texture of kind {expected:?}, one of kind {found:?} is bound")]
    TextureKind {
        /// Position in the shader's list.
        slot: usize,
        /// What it takes.
        expected: TextureKind,
        /// What it is given.
        found: TextureKind,
    },
    /// A texture or texel buffer of another channel type.
    #[error("slot {slot} takes {expected:?} channels, {found:?} is bound")]
    Element {
        /// Position in the shader's list.
        slot: usize,
        /// What it takes.
        expected: DeviceElement,
        /// What it is given.
        found: DeviceElement,
    },
    /// A range smaller than what the shader may touch.
    #[error("slot {slot} needs {needed} bytes, {size} are bound")]
    TooSmall {
        /// Position in the shader's list.
        slot: usize,
        /// Needed.
        needed: u64,
        /// Bound.
        size: u64,
    },
    /// A texture where memory is none, or another view of a texture.
    #[error("slot {slot} is bound to a {view}, its region is of kind `{region}`")]
    View {
        /// Position in the shader's list.
        slot: usize,
        /// How it is looked at.
        view: &'static str,
        /// What it is.
        region: &'static str,
    },
    /// A writable slot bound to something that this dispatch must not change.
    #[error("slot {slot} is writable and bound to {reason}")]
    Writes {
        /// Position in the shader's list.
        slot: usize,
        /// What it is bound to, and who may write it.
        reason: &'static str,
    },
    /// A dispatch of `init` that touches what runs are for.
    #[error("slot {slot} is bound to a region of kind `{region}`, which `init` may not touch")]
    Init {
        /// Position in the shader's list.
        slot: usize,
        /// What it is.
        region: &'static str,
    },
    /// Parameters at a slot of another group.
    #[error("slot {slot} of group {group} is bound to parameters, which slots of group 2 take")]
    ParamsGroup {
        /// Position in the shader's list.
        slot: usize,
        /// Its group.
        group: u32,
    },
    /// A region of inputs or outputs that holds none.
    #[error("region {region} is for an input or output and holds none")]
    UnusedIo {
        /// Index in `Variant::regions`.
        region: u32,
    },
    /// A dispatch of a run that reads what nothing has made.
    #[error("slot {slot} reads bytes of region {region}, a derived blob, that `init` does not write")]
    NotDerived {
        /// Position in the shader's list.
        slot: usize,
        /// Index in `Variant::regions`.
        region: u32,
    },
    /// A region whose size is not what it is made of.
    #[error("region of kind `{kind}` has {expected} bytes, {found} are stated")]
    RegionSize {
        /// What it is.
        kind: &'static str,
        /// What follows from its kind.
        expected: u64,
        /// Stated.
        found: u64,
    },
    /// An input or output in memory that holds none.
    #[error(
        "tensor `{tensor}` is in a region of kind `{region}`, inputs and outputs are in arenas or in regions of their own"
    )]
    IoRegion {
        /// The input or output.
        tensor: String,
        /// Where it is.
        region: &'static str,
    },
    /// A writable uniform buffer slot.
    #[error("slot {slot} is a uniform buffer and cannot be writable")]
    WritableUniform {
        /// Position in the shader's list.
        slot: usize,
    },
    /// Two slots of a dispatch share memory and one of them writes.
    #[error("slots {first} and {second} share memory and one of them writes; an in-place pair is one slot")]
    Overlap {
        /// Position in the shader's list.
        first: usize,
        /// Position in the shader's list.
        second: usize,
    },
    /// A dispatch that may run at the same time as an earlier one that it depends on.
    #[error("slot {slot} touches memory that an earlier dispatch {earlier}, with no barrier between them")]
    NoBarrier {
        /// Position in the shader's list.
        slot: usize,
        /// `reads` or `writes`.
        earlier: &'static str,
    },
    /// Two inputs share memory.
    #[error("inputs `{first}` and `{second}` share memory")]
    InputsOverlap {
        /// Name.
        first: String,
        /// Name.
        second: String,
    },
    /// A variant that places more or fewer tensors than its entry declares.
    #[error("{found} {what} are placed, the entry declares {expected}")]
    IoCount {
        /// `inputs` or `outputs`.
        what: &'static str,
        /// Placed.
        found: usize,
        /// Declared.
        expected: usize,
    },
    /// A device type that does not hold a host type.
    #[error("tensor `{tensor}` is {host:?} for the caller and cannot be {device:?} on the device")]
    IoElement {
        /// The input or output.
        tensor: String,
        /// Caller's type.
        host: HostElement,
        /// Device type.
        device: DeviceElement,
    },
    /// A weight of another bundle.
    #[error("is no weight of this bundle")]
    ForeignWeight,
    /// A weight that is not where those before it end.
    #[error("starts at {found} in the weights section, {expected} follows from the weights before it")]
    WeightOffset {
        /// Stated.
        found: u64,
        /// Right.
        expected: u64,
    },
    /// A weights section with more than the weights.
    #[error("the weights take {expected} bytes of a section of {found}")]
    WeightsSection {
        /// Size of the section.
        found: u64,
        /// End of the last weight.
        expected: u64,
    },
    /// More or fewer hashes than weights.
    #[error("{found} bytes of hashes where the weights have {expected}")]
    WeightHashes {
        /// Size of the section of hashes.
        found: u64,
        /// That of one hash for each weight.
        expected: u64,
    },
    /// A weight with more or fewer bytes than it was announced with.
    #[error("weight `{name}` has {found} bytes, {expected} were announced")]
    WeightSize {
        /// The name.
        name: String,
        /// Announced.
        expected: u64,
        /// Made.
        found: u64,
    },
    /// Two weights of one name and different bytes.
    #[error("weight `{name}` is added twice with different bytes")]
    WeightTwice {
        /// The name.
        name: String,
    },
}

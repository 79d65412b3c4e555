//! Caps on what a reader accepts. Each is far above what a model needs and low enough that a hostile file can
//! neither exhaust memory nor keep the validator busy.

/// Encoded manifest: a thousand times what a vision model needs. Bounds what a forged length can make the
/// decoder claim, and with it the decoded form, which takes up to ten times as much.
pub const MANIFEST_BYTES: usize = 128 << 20;

/// Shader section: a thousand times what a model with many variants needs. It is read into memory as a whole.
pub const SHADER_BYTES: u64 = 1 << 30;

/// Any string: exporters write module paths of some hundreds of bytes as node names.
pub const NAME_BYTES: usize = 4096;

/// Flags, and profiles, in the provenance.
pub const FLAGS: usize = 4096;

/// Weight blobs: a mixture-of-experts model with every expert in its own tensors has tens of thousands.
pub const WEIGHTS: usize = 1 << 20;

/// Shaders over all targets.
pub const SHADERS: usize = 1 << 16;

/// Entries over all targets; a model has a handful.
pub const ENTRIES: usize = 1 << 10;

/// Variants of one entry: about one per device profile.
pub const VARIANTS: usize = 1 << 8;

/// Inputs, and outputs, of one entry: a KV cache of a hundred layers passes two each way per layer.
pub const TENSORS: usize = 1 << 12;

/// Axes of an input or output: models use up to eight.
pub const RANK: usize = 16;

/// Dims of one entry whose sizes the host says: a model has a handful of symbolic ones.
pub const DIMS: usize = 1 << 6;

/// Sizes of one entry that follow from its dims: strides, counts and grids of every dispatch of the largest models, most of which
/// are equal.
pub const SIZES: usize = 1 << 16;

/// Terms of one size: each window that an image passes through adds up to eight.
pub const TERMS: usize = 1 << 10;

/// Elements of an input or output: eight bytes each must still be addressable.
pub const ELEMENTS: u64 = 1 << 48;

/// Predicates of one variant, and vendors in one predicate.
pub const REQUIREMENTS: usize = 1 << 8;

/// Textures among the regions of one variant, and textures of weights that it binds.
pub const TEXTURES: usize = 1 << 16;

/// Width and height of a texture: twice the largest limit that a device reports today.
pub const TEXTURE_PX: u32 = 1 << 16;

/// Dispatches of one program: the largest models have tens of thousands.
pub const DISPATCHES: usize = 1 << 20;

/// Nodes that one dispatch stands for.
pub const ORIGINS: usize = 1 << 16;

/// Resources of one dispatch. The overlap check compares pairs.
pub const BINDINGS: usize = 64;

/// Groups: activations, weights and parameters.
pub const GROUPS: u32 = 3;

/// The group of parameters.
pub(crate) const PARAMS_GROUP: u32 = 2;

/// Index of a binding in its group; descriptor layouts have an entry for each up to the highest on some
/// drivers.
pub const BINDING: u32 = 256;

/// Invocations of a workgroup: what any device reports today is at most 2048.
pub const INVOCATIONS: u32 = 1 << 14;

/// Lanes of a subgroup: the most that Vulkan's ballots can express.
pub const SUBGROUP: u32 = 128;

/// Regions of one variant: derived blobs are no more than the weights that they are made from.
pub const REGIONS: usize = WEIGHTS;

/// Arenas of one variant: each is a buffer. An API that keeps operands and results apart needs two.
pub const ARENAS: usize = 1 << 8;

/// Bytes of all regions of a variant: no device has as much, and sums of a few such numbers stay in 64 bits.
pub const REGION_BYTES: u64 = 1 << 48;

/// Words of a region of parameters: a uniform buffer of the smallest limit has 4,096.
pub const PARAMS: usize = 1 << 16;

/// Alignment of a region: the largest page that an allocator is asked for.
pub const REGION_ALIGNMENT: u64 = 1 << 16;

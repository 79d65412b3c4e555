//! Device profiles: what a family of GPUs can do and prefers. Data only; vendor names appear here and nowhere else.

mod adreno;
mod amd;
mod apple;
mod families;
mod intel;
mod mali;
pub mod rates;
#[cfg(any(test, feature = "test-profiles"))]
mod testing;

pub use families::{ALL, GENERIC, METAL_FIRST, VULKAN};
pub use rates::Rates;
#[cfg(any(test, feature = "test-profiles"))]
pub use testing::TESTS;

use crate::physical::weights::{WeightsChoice, WeightsForm, WeightsOrder};

/// Sizes of a cooperative matrix product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatrixShape {
    /// Rows of the result.
    pub m: u32,
    /// Columns of the result.
    pub n: u32,
    /// Depth.
    pub k: u32,
}

/// Which 3x3 convolutions take Winograd's form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WinogradWhen {
    /// None.
    Never,
    /// Those that are faster, in the faster form.
    Faster,
    /// All, in tiles with sides of 2 or 4 pixels, whatever it costs and loses.
    Always(u64),
}

/// How convolutions take Winograd's form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Winograd {
    /// Which convolutions take it.
    pub when: WinogradWhen,
    /// Bytes that a layer's intermediates may take: larger images go through in blocks of rows of tiles.
    pub scratch_bytes: u64,
}

/// What a byte costs in each storage type, in percent of what it costs in a storage buffer of a common device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorageCosts {
    /// Storage buffers.
    pub buffer: u32,
    /// Texel buffers.
    pub image_buffer: u32,
    /// 2D textures.
    pub texture_2d: u32,
    /// Arrays of 2D textures.
    pub texture_array: u32,
    /// 3D textures.
    pub texture_3d: u32,
}

/// What layout assignment weighs against each other (`layout::assign`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayoutCosts {
    /// Reads of windows: neighbours read the same bytes again, near in two dimensions (convolutions, pools, resampling).
    pub window: StorageCosts,
    /// Reads of each byte once, or in tiles that a kernel keeps (products, element-wise nodes, reductions).
    pub stream: StorageCosts,
    /// Writes.
    pub write: StorageCosts,
    /// A dispatch that changes a layout, beside its bytes; in bytes of a storage buffer.
    pub dispatch_bytes: u64,
}

impl LayoutCosts {
    /// Buffers for everything: what is right where nothing is known, and where caches serve buffers as well as textures.
    pub const BUFFERS: Self = {
        let equal = StorageCosts {
            buffer: 100,
            image_buffer: 101,
            texture_2d: 110,
            texture_array: 110,
            texture_3d: 110,
        };
        Self { window: equal, stream: equal, write: equal, dispatch_bytes: 1 << 16 }
    };
}

/// In which form kernels have their weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeightsForms {
    /// Convolutions and transposed convolutions over blocks of pixels and slices.
    pub direct: WeightsForm,
    /// Convolutions with one filter a channel.
    pub depthwise: WeightsForm,
    /// The constant rhs of a product: fully connected ops, and convolutions as products of pixels.
    pub product: WeightsForm,
}

impl WeightsForms {
    /// Storage buffers: blocks for direct convolutions, rows for the tiles of products.
    pub const BUFFERS: Self = Self {
        direct: WeightsForm::buffer(WeightsOrder::BLOCKS),
        depthwise: WeightsForm::buffer(WeightsOrder::ROWS),
        product: WeightsForm::buffer(WeightsOrder::ROWS),
    };

    /// Groups of two output slices for direct convolutions, which make as many at once.
    pub const GROUPS: Self = Self { direct: WeightsForm::buffer(WeightsOrder::GROUPS), ..Self::BUFFERS };

    /// These forms with what a caller asked for.
    pub fn with(self, choice: WeightsChoice) -> Self {
        Self {
            direct: choice.apply(self.direct),
            depthwise: choice.apply(self.depthwise),
            product: choice.apply(self.product),
        }
    }
}

/// What memory planning may do with a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryForms {
    /// Results over operands at their last use.
    pub in_place: bool,
    /// Steps in an order that keeps less alive.
    pub order: bool,
    /// Parts of concatenations and slices as ranges of the whole.
    pub views: bool,
    /// Inputs and outputs apart from what is planned, each in memory of its own.
    pub own_io: bool,
}

impl MemoryForms {
    /// Everything that lowers a plan.
    pub const ALL: Self = Self { in_place: true, order: true, views: true, own_io: false };
}

/// Which steps of a program may become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepForms {
    /// Normalisations in the products that read their rows.
    pub norms: bool,
    /// Two products of the same rows, one of which is the other's gate.
    pub gates: bool,
    /// Rotary embeddings of queries and keys, and the writes of keys and values into a cache.
    pub caches: bool,
}

impl StepForms {
    /// Everything that saves a dispatch.
    pub const ALL: Self = Self { norms: true, gates: true, caches: true };
}

/// What a family of devices can do. A variant compiled for a profile carries the predicates that its kernels need, so
/// a profile is a promise about speed, never about correctness.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// Name for `--profile`.
    pub name: &'static str,
    /// Where the figures come from, and whether we ran it.
    pub source: &'static str,
    /// PCI vendor ids that tuned kernels are allowed on; empty for every vendor.
    pub vendors: &'static [u32],
    /// Subgroup operations may be used.
    pub subgroups: bool,
    /// Width of a subgroup, where kernels may rely on one.
    pub subgroup_size: Option<u32>,
    /// Cooperative matrices of f16 with f32 accumulators.
    pub cooperative: Option<MatrixShape>,
    /// Rewrite cooperative matrices as loops: for running such kernels where there are none.
    pub cooperative_as_loops: bool,
    /// Workgroup memory that a kernel may use, bytes.
    pub shared_bytes: u32,
    /// Invocations in a workgroup.
    pub workgroup_invocations: u32,
    /// Workgroups that keep the device busy: below this, kernels split their work finer.
    pub busy_workgroups: u32,
    /// The same of the largest devices of the family. Matrix products are cut so that neither these nor the others lose much.
    pub most_busy_workgroups: u32,
    /// Largest side of a 2D texture.
    pub texture_2d_px: u64,
    /// Largest side of a 3D texture.
    pub texture_3d_px: u64,
    /// Most layers of a texture array.
    pub texture_layers: u64,
    /// Texels in an image buffer.
    pub image_buffer_texels: u64,
    /// Bytes of a storage buffer binding; constants that are larger are bound in parts. A multiple of 256, as the offsets of
    /// bindings are.
    pub binding_bytes: u64,
    /// Winograd's form of convolutions.
    pub winograd: Winograd,
    /// Bytes of an attention's scores that may be in memory at once; more go through in blocks.
    pub score_bytes: u64,
    /// Workgroups along each of the first two axes of a dispatch.
    pub grid_axis: u32,
    /// Workgroups along the third.
    pub grid_depth: u32,
    /// Costs of the storage types that a value may have.
    pub layout: LayoutCosts,
    /// Forms of weights.
    pub weights: WeightsForms,
    /// How memory is saved.
    pub memory: MemoryForms,
    /// How dispatches are saved.
    pub steps: StepForms,
    /// Rates of its kernels, which estimates are made of.
    pub rates: &'static Rates,
}

impl Profile {
    /// Compute units: each is busy with two workgroups.
    pub fn compute_units(&self) -> u64 {
        u64::from(self.busy_workgroups / 2).max(1)
    }

    /// Compute units of the family's largest devices.
    pub fn most_compute_units(&self) -> u64 {
        u64::from(self.most_busy_workgroups / 2).max(1)
    }
}

const fn check(profiles: &[Profile]) {
    let mut at = 0;
    while at < profiles.len() {
        assert!(profiles[at].binding_bytes.is_multiple_of(256), "offsets of bindings are multiples of 256");
        at += 1;
    }
}

const _: () = {
    check(ALL);
    check(TESTS);
};

/// Profiles for tests: none without the feature for them, and so none in the program that ships.
#[cfg(not(any(test, feature = "test-profiles")))]
pub const TESTS: &[Profile] = &[];

/// The profile called `name`, those for tests included where they are compiled in.
pub fn find(name: &str) -> Option<&'static Profile> {
    ALL.iter().chain(TESTS).find(|profile| profile.name == name)
}

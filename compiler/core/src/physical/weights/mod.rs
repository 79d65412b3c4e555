//! Layouts of weights: the order of their factors and the storage type that holds them, as data.
//!
//! A weight belongs to an output channel, a tap of the window and an input channel. Channels are taken apart into slices of
//! four and lanes, output slices into groups: six factors, `G S_O O4 HWD S_I I4` (section 3.1 of the ML Drift paper). One
//! of the two lanes is the vector; the others stand in any order. What a factor is multiplied with to give a place follows
//! from that order ([`WeightsLayout`]), for the packer here and for the accessors of kernels alike.

mod pack;
mod rows;

pub use pack::Filters;
pub use rows::{PackedRows, RowFormat, Section, ZeroFormat};

use super::{Element, LANES, StorageType};
use std::fmt;

/// Offsets of bindings are multiples of this.
const PART_ALIGN_BYTES: u64 = 256;

/// A number that the place of a weight follows from, beside its lane in the vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Factor {
    /// `G`: groups of output slices.
    Group,
    /// `S_O`: output slices of a group.
    OutputSlice,
    /// `HWD`: taps of the window.
    Tap,
    /// `S_I`: input slices.
    InputSlice,
    /// `I4` or `O4`: which of the four vectors that a slice of outputs and a slice of inputs have in common.
    Vector,
}

/// Channels that are side by side in a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lanes {
    /// `O4`: a vector is scaled by one input and added to four outputs.
    Outputs,
    /// `I4`: a vector is multiplied with four inputs and adds up to one output.
    Inputs,
}

/// A permutation of the six factors that ends with the lanes of a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WeightsOrder {
    factors: [Factor; 5],
    lanes: Lanes,
}

impl WeightsOrder {
    /// Blocks of four outputs and four inputs, those of one output slice together: `G S_O HWD S_I I4 O4`.
    pub const BLOCKS: Self = Self::new(
        [Factor::Group, Factor::OutputSlice, Factor::Tap, Factor::InputSlice, Factor::Vector],
        Lanes::Outputs,
    );
    /// Blocks of a group of output slices side by side: `G HWD S_I S_O I4 O4`.
    pub const GROUPS: Self = Self::new(
        [Factor::Group, Factor::Tap, Factor::InputSlice, Factor::OutputSlice, Factor::Vector],
        Lanes::Outputs,
    );
    /// The same for sums of products of four inputs: `G HWD S_I S_O O4 I4`.
    pub const GROUPS_OF_INPUTS: Self = Self { lanes: Lanes::Inputs, ..Self::GROUPS };
    /// Rows of all outputs: `HWD S_I I4 G S_O O4`.
    pub const ROWS: Self = Self::new(
        [Factor::Tap, Factor::InputSlice, Factor::Vector, Factor::Group, Factor::OutputSlice],
        Lanes::Outputs,
    );
    /// Rows of all inputs, of one output each: `G S_O O4 HWD S_I I4`, which is OHWI.
    pub const ROWS_OF_INPUTS: Self = Self::new(
        [Factor::Group, Factor::OutputSlice, Factor::Vector, Factor::Tap, Factor::InputSlice],
        Lanes::Inputs,
    );

    /// The order of all factors but the lanes, outermost first.
    pub const fn new(factors: [Factor; 5], lanes: Lanes) -> Self {
        let (mut seen, mut at) = (0_u32, 0);
        while at < factors.len() {
            seen |= 1 << factors[at] as u32;
            at += 1;
        }
        assert!(seen == 0b1_1111, "an order has each factor once");
        Self { factors, lanes }
    }

    /// Every order.
    pub fn all() -> Vec<Self> {
        use Factor::{Group, InputSlice, OutputSlice, Tap, Vector};
        let grown = (0..5).fold(vec![Vec::new()], |begun: Vec<Vec<Factor>>, _| {
            let longer = |order: Vec<Factor>| {
                let rest = [Group, OutputSlice, Tap, InputSlice, Vector];
                let rest = rest.into_iter().filter(|factor| !order.contains(factor)).collect::<Vec<_>>();
                rest.into_iter().map(move |factor| [order.clone(), vec![factor]].concat())
            };
            begun.into_iter().flat_map(longer).collect()
        });
        let orders = grown.into_iter().filter_map(|order| <[Factor; 5]>::try_from(order).ok());
        orders
            .flat_map(|factors| [Lanes::Outputs, Lanes::Inputs].map(|lanes| Self { factors, lanes }))
            .collect()
    }

    /// Whether each group of output slices is followed by the next one as its slices are.
    fn groups_are_one(&self) -> bool {
        let at = |wanted| self.factors.iter().position(|&factor| factor == wanted);
        at(Factor::Group).map(|group| group + 1) == at(Factor::OutputSlice)
    }
}

impl fmt::Display for WeightsOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (vector, lanes) = match self.lanes {
            Lanes::Outputs => ("I4", "O4"),
            Lanes::Inputs => ("O4", "I4"),
        };
        for factor in self.factors {
            let name = match factor {
                Factor::Group => "G",
                Factor::OutputSlice => "S_O",
                Factor::Tap => "HWD",
                Factor::InputSlice => "S_I",
                Factor::Vector => vector,
            };
            write!(f, "{name} ")?;
        }
        f.write_str(lanes)
    }
}

/// What holds weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WeightsStorage {
    /// A storage buffer.
    Buffer,
    /// A texel buffer.
    ImageBuffer,
    /// A 2D texture.
    Texture2d,
    /// Four 2D textures: one for each vector of the blocks that a slice of outputs and a slice of inputs have in common, so
    /// that a block is read by four loads at one coordinate.
    FourTextures,
}

impl WeightsStorage {
    /// Every kind, simplest first.
    pub const ALL: [Self; 4] = [Self::Buffer, Self::ImageBuffer, Self::Texture2d, Self::FourTextures];

    /// Name for `--weights-layout`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Buffer => "buffer",
            Self::ImageBuffer => "image-buffer",
            Self::Texture2d => "texture2d",
            Self::FourTextures => "four-textures",
        }
    }

    /// What is bound.
    pub const fn storage_type(self) -> StorageType {
        match self {
            Self::Buffer => StorageType::Buffer,
            Self::ImageBuffer => StorageType::ImageBuffer,
            Self::Texture2d | Self::FourTextures => StorageType::Texture2d,
        }
    }
}

/// How weights are kept, whatever their sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WeightsForm {
    /// Their order.
    pub order: WeightsOrder,
    /// Output slices of a group, where groups do not follow one another anyway.
    pub group: u64,
    /// What holds them.
    pub storage: WeightsStorage,
}

impl WeightsForm {
    /// An order in a storage buffer, in groups of two output slices.
    pub const fn buffer(order: WeightsOrder) -> Self {
        Self { order, group: 2, storage: WeightsStorage::Buffer }
    }
}

/// What the caller asks for in place of a profile's forms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct WeightsChoice {
    /// An order for all weights.
    pub order: Option<WeightsOrder>,
    /// A storage type for all weights that fit it.
    pub storage: Option<WeightsStorage>,
}

impl WeightsChoice {
    /// `form` with what was asked for.
    pub fn apply(self, form: WeightsForm) -> WeightsForm {
        WeightsForm {
            order: self.order.unwrap_or(form.order),
            storage: self.storage.unwrap_or(form.storage),
            ..form
        }
    }
}

/// A factor, how many values it has, and how far apart they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The factor.
    pub factor: Factor,
    /// Its values.
    pub size: u64,
    /// Vectors from one to the next; in a texture, texels along its axis.
    pub stride: u64,
}

/// Weights in a form.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightsLayout {
    filters: Filters,
    form: WeightsForm,
    element: Element,
    /// Sizes of the factors, by their place in [`Factor`].
    sizes: [u64; 5],
    /// Why they are not in the form that was wanted.
    instead: Option<String>,
}

impl WeightsLayout {
    /// `filters` in `form`.
    pub fn new(filters: Filters, mut form: WeightsForm, element: Element) -> Self {
        let slices = filters.outputs().div_ceil(LANES);
        let group = if form.order.groups_are_one() { slices } else { form.group.clamp(1, slices) };
        // One input: a vector over inputs would be three parts zeros.
        let (input_slices, vectors) = match filters.is_depthwise() {
            true => (1, 1),
            false => (filters.inputs().div_ceil(LANES), LANES),
        };
        if filters.is_depthwise() {
            form.order.lanes = Lanes::Outputs;
        }
        let sizes = [slices.div_ceil(group), group, filters.taps(), input_slices, vectors];
        Self { filters, form, element, sizes, instead: None }
    }

    /// The same in place of another form, for this reason.
    pub fn instead(self, reason: String) -> Self {
        Self { instead: Some(reason), ..self }
    }

    /// Why they are not in the form that was wanted, if they are not.
    pub fn why_instead(&self) -> Option<&str> {
        self.instead.as_deref()
    }

    /// How they are kept.
    pub fn form(&self) -> WeightsForm {
        self.form
    }

    /// What they are.
    pub fn filters(&self) -> &Filters {
        &self.filters
    }

    /// The channels of a vector.
    pub fn lanes(&self) -> Lanes {
        self.form.order.lanes
    }

    /// What is bound.
    pub fn storage_type(&self) -> StorageType {
        self.form.storage.storage_type()
    }

    /// How many values a factor has.
    pub fn size(&self, factor: Factor) -> u64 {
        self.sizes[factor as usize]
    }

    /// Textures, or one buffer.
    pub fn parts(&self) -> u64 {
        if self.is_apart() { LANES } else { 1 }
    }

    /// Whether the vectors of a block are in textures of their own.
    fn is_apart(&self) -> bool {
        self.form.storage == WeightsStorage::FourTextures && self.size(Factor::Vector) > 1
    }

    /// The factors of one resource, outermost first.
    fn inner(&self) -> impl Iterator<Item = Factor> + Clone {
        let apart = self.is_apart();
        self.form.order.factors.into_iter().filter(move |&factor| !(apart && factor == Factor::Vector))
    }

    /// Vectors of one resource, dead ones included.
    fn object_vectors(&self) -> u64 {
        self.inner().map(|factor| self.size(factor)).product()
    }

    /// Bytes of a vector.
    pub const fn vector_bytes(&self) -> u64 {
        LANES * self.element.size_bytes()
    }

    /// Bytes of one resource.
    pub fn part_bytes(&self) -> u64 {
        match self.parts() {
            1 => self.size_bytes(),
            _ => self.object_vectors() * self.vector_bytes(),
        }
    }

    /// Where a part begins.
    pub fn part_offset(&self, part: u64) -> u64 {
        part * self.part_bytes().next_multiple_of(PART_ALIGN_BYTES)
    }

    /// Bytes of all resources together.
    pub fn size_bytes(&self) -> u64 {
        self.vectors() * self.vector_bytes()
    }

    /// Vectors from the first to the last one stored.
    fn vectors(&self) -> u64 {
        if self.is_apart() {
            let last = self.part_offset(self.parts() - 1) / self.vector_bytes();
            return last + self.object_vectors();
        }
        let in_a_row = !self.storage_type().is_texture();
        match self.filters.ends_with_the_last() && in_a_row {
            true => self.last_live() + 1,
            false => self.object_vectors(),
        }
    }

    /// Vectors from one value of a factor to the next.
    fn stride(&self, factor: Factor) -> u64 {
        if self.is_apart() && factor == Factor::Vector {
            return self.part_offset(1) / self.vector_bytes();
        }
        let after = self.inner().skip_while(|&other| other != factor).skip(1);
        after.map(|factor| self.size(factor)).product()
    }

    /// Factors along the width of a texture: the split of the order that makes it most nearly square.
    fn columns(&self) -> usize {
        let sizes: Vec<u64> = self.inner().map(|factor| self.size(factor)).collect();
        let side = |columns: &usize| {
            let (rows, columns) = sizes.split_at(sizes.len() - columns);
            rows.iter().product::<u64>().max(columns.iter().product())
        };
        (0..=sizes.len()).rev().min_by_key(side).unwrap_or(0)
    }

    /// Width and height of a texture that is one resource; of a buffer all its vectors in one row.
    pub fn extent_px(&self) -> [u64; 2] {
        let [rows, columns] = self.steps();
        let product = |steps: &[Step]| steps.iter().map(|step| step.size).product();
        [product(&columns), product(&rows)]
    }

    /// The factors that a place in one resource follows from, outermost first: of a texture those of its rows and those of its
    /// columns, of a buffer the second list alone.
    pub fn steps(&self) -> [Vec<Step>; 2] {
        let inner: Vec<Factor> = self.inner().collect();
        let rows = if self.storage_type().is_texture() { inner.len() - self.columns() } else { 0 };
        let steps = |factors: &[Factor]| {
            let step = |(at, &factor): (usize, &Factor)| {
                let stride = factors[at + 1..].iter().map(|&inner| self.size(inner)).product();
                Step { factor, size: self.size(factor), stride }
            };
            factors.iter().enumerate().map(step).collect()
        };
        [steps(&inner[..rows]), steps(&inner[rows..])]
    }

    /// `f16 four textures of 4x2, G S_O HWD S_I I4 O4`.
    pub fn describe(&self) -> String {
        let [width, height] = self.extent_px();
        let storage = match self.form.storage {
            WeightsStorage::Buffer | WeightsStorage::ImageBuffer => self.storage_type().name().to_owned(),
            WeightsStorage::FourTextures if self.is_apart() => format!("four texture2d {width}x{height}"),
            WeightsStorage::Texture2d | WeightsStorage::FourTextures => format!("texture2d {width}x{height}"),
        };
        let groups = match self.form.order.groups_are_one() {
            true => String::new(),
            false => format!(" in groups of {}", self.size(Factor::OutputSlice)),
        };
        format!("{} {storage} {}{groups}", self.element.name(), self.form.order)
    }
}

#[cfg(test)]
mod tests;

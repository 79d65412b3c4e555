//! A variant's program: storages, packed constants and an ordered list of kernel calls. Data only.

use crate::kernel::{Access, KernelCall, Source};
use crate::physical::{Element, LANES, Layout, Place, Recipe, Size, StorageType};
use drift_ir::{ElementType, HostForm, ValueId};
use std::collections::BTreeSet;

/// Something that activations are kept in: one resource, shared by a value and its views.
#[derive(Clone, Debug, PartialEq)]
pub struct Storage {
    /// Name of the value that it was made for.
    pub name: String,
    /// What it is.
    pub kind: StorageKind,
    /// Where it is, if its bytes are those of another storage.
    pub within: Option<Within>,
}

/// Bytes of another storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Within {
    /// The other storage, which may be within a third one.
    pub storage: u32,
    /// Where the bytes begin in it.
    pub offset_bytes: u64,
}

/// Kinds of storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorageKind {
    /// A range of the arena.
    Buffer {
        /// Length.
        size_bytes: u64,
    },
    /// A texture of four channels.
    Texture {
        /// Which kind of texture.
        storage_type: StorageType,
        /// Channel type.
        element: Element,
        /// Width, height and depth in texels, or layers.
        extent_px: [u64; 3],
    },
}

impl StorageKind {
    /// The storage that a tensor of `shape` needs.
    pub fn of(layout: &Layout, shape: &[u64]) -> Self {
        match layout.storage_type {
            storage_type @ (StorageType::Texture2d | StorageType::TextureArray | StorageType::Texture3d) => {
                Self::Texture {
                    storage_type,
                    element: layout.element,
                    extent_px: layout.texture_extent(shape),
                }
            }
            // Whole vectors, so that a dense tensor can be bound as an array of vec4 and as texels.
            StorageType::Buffer | StorageType::ImageBuffer => Self::Buffer {
                size_bytes: layout.size_bytes(shape).next_multiple_of(LANES * layout.element.size_bytes()),
            },
        }
    }

    /// Bytes that it takes.
    pub fn size_bytes(&self) -> u64 {
        match self {
            Self::Buffer { size_bytes } => *size_bytes,
            Self::Texture { element, extent_px, .. } => {
                extent_px.iter().product::<u64>() * 4 * element.size_bytes()
            }
        }
    }
}

/// A value's storage and layout.
#[derive(Clone, Debug, PartialEq)]
pub struct Placement {
    /// Index in [`Program::storages`].
    pub storage: u32,
    /// How the value is laid out in it.
    pub layout: Layout,
    /// Where it is there.
    pub place: Place,
}

/// What a packed constant is, within one graph and its variants' copies: equal keys have equal bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PackedKey {
    /// The graph's constant, where it is one that all variants have.
    pub value: Option<ValueId>,
    /// Packing and layout.
    pub packing: String,
    /// Hash of what is packed, where selection made it, or a pass for one variant; none for what the packing says by itself.
    pub content: Option<[u8; 32]>,
}

/// Where a constant's bytes come from.
#[derive(Clone, Debug)]
pub enum Content {
    /// They are packed when the bundle is written.
    Packed(Box<Recipe>),
    /// Steps of [`Program::init`] make them of packed constants when the program is loaded.
    Derived {
        /// How many there are.
        size_bytes: u64,
    },
}

/// A constant as a kernel reads it.
#[derive(Clone, Debug)]
pub struct PackedConstant {
    /// Model's tensor and packing.
    pub name: String,
    /// What distinguishes it.
    pub key: PackedKey,
    /// Its bytes.
    pub content: Content,
}

impl PartialEq for PackedConstant {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

/// An input or output of the program.
#[derive(Clone, Debug, PartialEq)]
pub struct Port {
    /// Name as the model writes it.
    pub name: String,
    /// Type in the graph.
    pub element: ElementType,
    /// Type on the host, where it is another one.
    pub form: Option<HostForm>,
    /// The largest sizes.
    pub shape: Vec<u64>,
    /// Sizes, of which some may be free.
    pub sizes: Vec<Size>,
    /// Type on the device.
    pub device: Element,
    /// Where it is, dense row-major.
    pub storage: u32,
}

/// What a program keeps from run to run.
#[derive(Clone, Debug, PartialEq)]
pub struct StatePort {
    /// Name of the input that reads it.
    pub name: String,
    /// Sizes.
    pub shape: Vec<u64>,
    /// Type on the device.
    pub device: Element,
    /// Where it is, dense row-major.
    pub storage: u32,
}

/// One kernel dispatch.
#[derive(Clone, Debug, PartialEq)]
pub struct ProgramStep {
    /// First model node that it stands for.
    pub name: String,
    /// All model nodes that it stands for.
    pub origins: Vec<String>,
    /// The kernel and its arguments.
    pub call: KernelCall,
    /// Why this kernel.
    pub why: String,
    /// Kernels that were considered before it, and why not.
    pub declined: Vec<String>,
    /// Bytes read at least.
    pub bytes_read: u64,
    /// Bytes written at least.
    pub bytes_written: u64,
    /// Arithmetic, a multiply-add counting two.
    pub flops: u64,
}

impl ProgramStep {
    /// Whether another step is the same but for the words about why it is so.
    fn runs_as(&self, other: &Self) -> bool {
        let Self { name, origins, call, why: _, declined: _, bytes_read, bytes_written, flops } = self;
        (name, origins, call) == (&other.name, &other.origins, &other.call)
            && (bytes_read, bytes_written, flops) == (&other.bytes_read, &other.bytes_written, &other.flops)
    }
}

/// A variant before memory planning.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Program {
    /// Storages of activations.
    pub storages: Vec<Storage>,
    /// Packed constants.
    pub constants: Vec<PackedConstant>,
    /// Dispatches at load, in order: they write derived constants, and read constants only.
    pub init: Vec<ProgramStep>,
    /// Dispatches of a run, in order.
    pub steps: Vec<ProgramStep>,
    /// Inputs in the model's order.
    pub inputs: Vec<Port>,
    /// Outputs in the model's order.
    pub outputs: Vec<Port>,
    /// States in the order of their inputs, which are not among the others.
    pub states: Vec<StatePort>,
}

impl Program {
    /// Dispatches at load, then those of a run.
    pub fn all_steps(&self) -> impl Iterator<Item = &ProgramStep> {
        self.init.iter().chain(&self.steps)
    }

    /// Whether another program is the same but for the words about why it is so.
    pub fn runs_as(&self, other: &Self) -> bool {
        let same = |a: &[ProgramStep], b: &[ProgramStep]| {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.runs_as(b))
        };
        let Self { storages, constants, init, steps, inputs, outputs, states } = self;
        same(init, &other.init)
            && same(steps, &other.steps)
            && *storages == other.storages
            && *constants == other.constants
            && (inputs, outputs, states) == (&other.inputs, &other.outputs, &other.states)
    }

    /// Whether sizes of its inputs or outputs are free.
    pub fn is_free(&self) -> bool {
        self.inputs.iter().chain(&self.outputs).any(|port| port.sizes.iter().any(Size::is_free))
    }

    /// Storages of inputs, then of outputs.
    pub fn port_storages(&self) -> impl Iterator<Item = u32> {
        self.inputs.iter().chain(&self.outputs).map(|port| port.storage)
    }

    /// Storages of states.
    pub fn state_storages(&self) -> impl Iterator<Item = u32> {
        self.states.iter().map(|state| state.storage)
    }

    /// Leaves out dispatches at load whose results nothing reads.
    pub fn drop_unread_init(&mut self) {
        let of = |step: &ProgramStep, access| -> Vec<u32> {
            let slots = step.call.slots.iter().filter(|slot| slot.access == access);
            let constant = |source| match source {
                Source::Constant(index) => Some(index),
                Source::Activation(_) => None,
            };
            slots.filter_map(|slot| constant(slot.source)).collect()
        };
        let mut read: BTreeSet<u32> = self.steps.iter().flat_map(|step| of(step, Access::Read)).collect();
        for step in std::mem::take(&mut self.init).into_iter().rev() {
            if of(&step, Access::Write).iter().any(|made| read.contains(made)) {
                read.extend(of(&step, Access::Read));
                self.init.push(step);
            }
        }
        self.init.reverse();
    }

    /// The storage that each one is in at last, and where: a storage of its own is in itself.
    pub fn roots(&self) -> Vec<Within> {
        let mut roots: Vec<Option<Within>> = vec![None; self.storages.len()];
        let mut chain = Vec::new();
        for storage in 0..self.storages.len() as u32 {
            let mut next = Some(storage);
            // Up to one whose root is known, then back down.
            let mut above = Within { storage, offset_bytes: 0 };
            while let Some(at) = next {
                if let Some(known) = roots[at as usize] {
                    above = known;
                    break;
                }
                chain.push(at);
                above = Within { storage: at, offset_bytes: 0 };
                next = self.storages[at as usize].within.map(|within| within.storage);
            }
            while let Some(at) = chain.pop() {
                if let Some(within) = self.storages[at as usize].within {
                    above = Within { offset_bytes: above.offset_bytes + within.offset_bytes, ..above };
                }
                roots[at as usize] = Some(above);
            }
        }
        roots.into_iter().flatten().collect()
    }

    /// The storage that another one is in at last, and where: a storage of its own is in itself.
    pub fn root(&self, storage: u32) -> Within {
        let mut root = Within { storage, offset_bytes: 0 };
        while let Some(within) = self.storages[root.storage as usize].within {
            root = Within { offset_bytes: root.offset_bytes + within.offset_bytes, ..within };
        }
        root
    }

    /// Storages of which some step binds bytes that it binds in another storage too. One buffer cannot be bound twice for
    /// writing, and on WebGPU not even for reading, where a dispatch may write another range of it.
    pub fn bound_twice(&self) -> BTreeSet<u32> {
        let roots = self.roots();
        self.steps.iter().flat_map(|step| self.clashes(step, |storage| roots[storage as usize])).collect()
    }

    /// Storages whose bytes a step binds in another storage too, where `root` says where each is.
    pub fn clashes(&self, step: &ProgramStep, root: impl Fn(u32) -> Within) -> BTreeSet<u32> {
        let bound = step.call.slots.iter().filter_map(|slot| match slot.source {
            Source::Activation(storage) => Some(storage),
            Source::Constant(_) => None,
        });
        let bound: BTreeSet<u32> = bound.collect();
        let range = |storage: u32| {
            let Within { storage: root, offset_bytes } = root(storage);
            (root, offset_bytes..offset_bytes + self.storages[storage as usize].kind.size_bytes())
        };
        let ranges: Vec<_> = bound.into_iter().map(|storage| (storage, range(storage))).collect();
        let mut twice = BTreeSet::new();
        for (at, (one, (root, range))) in ranges.iter().enumerate() {
            for (other, (other_root, other_range)) in &ranges[..at] {
                let share = range.start < other_range.end && other_range.start < range.end;
                if root == other_root && share {
                    twice.extend([*one, *other]);
                }
            }
        }
        twice
    }

    /// The bytes of its root that a storage takes.
    pub fn range(&self, storage: u32, roots: &[Within]) -> std::ops::Range<u64> {
        let start = roots[storage as usize].offset_bytes;
        start..start + self.storages[storage as usize].kind.size_bytes()
    }
}

//! The memory that a variant takes: its regions, and the buffers and textures that hold them.

use std::sync::Arc;

use drift_bundle::manifest::{Region, RegionKind, TextureObject, Variant};

use super::{Place, weights};
use crate::api::{Api, Memory, Purpose, Record, Role};
use crate::error::RuntimeError;
use crate::program::Program;
use crate::report::DeviceBytes;

/// The arenas of a program, or those that several share: as many as the one with the most has, each as large as the largest.
pub(crate) struct Arenas<A: Api>(Vec<A::Buffer>);

impl<A: Api> Arenas<A> {
    /// Arenas that each of these programs may use.
    pub(crate) fn new<'a>(
        api: &Arc<A>,
        programs: impl IntoIterator<Item = &'a Program<'a>>,
    ) -> Result<Arc<Self>, RuntimeError> {
        let mut sizes: Vec<u64> = Vec::new();
        for program in programs {
            for (index, size) in program.arena_sizes().enumerate() {
                match sizes.get_mut(index) {
                    Some(most) => *most = (*most).max(size),
                    None => sizes.push(size),
                }
            }
        }
        let arenas = sizes.into_iter().map(|size| api.buffer(size, Purpose::Device));
        Ok(Arc::new(Self(arenas.collect::<Result<_, _>>()?)))
    }
}

/// The regions of a variant.
pub(crate) struct Regions<A: Api> {
    held: Vec<Held>,
    arenas: Arc<Arenas<A>>,
    derived: Vec<A::Buffer>,
    textures: A::Textures,
}

/// Where a region is.
#[derive(Clone, Copy)]
enum Held {
    /// Number of the arena.
    Arena(usize),
    /// Which of the buffers of derived blobs, and where in it.
    Derived(usize, u64),
    /// Number among the textures.
    Texture(usize),
}

impl<A: Api> Regions<A> {
    /// Takes memory for all regions but the arenas, which are there already.
    pub(crate) fn new(api: &Arc<A>, variant: &Variant, arenas: Arc<Arenas<A>>) -> Result<Self, RuntimeError> {
        let objects: Vec<TextureObject> = variant.textures().copied().collect();
        let textures = api.textures(&objects, Role::Activations)?;
        let is_derived = |region: &&Region| region.kind == RegionKind::Derived;
        let derived = variant.regions.iter().filter(is_derived).map(|region| (region.size, region.alignment));
        let (places, sizes) = weights::place(derived, api.info().limits.buffer_bytes);
        let derived =
            sizes.into_iter().map(|size| api.buffer(size, Purpose::Device)).collect::<Result<_, _>>()?;
        let (mut arena_numbers, mut texture_numbers, mut places) = (0.., 0.., places.into_iter());
        let held = variant.regions.iter().filter_map(|region| match region.kind {
            RegionKind::Arena => arena_numbers.next().map(Held::Arena),
            RegionKind::Derived => places.next().map(|(buffer, offset)| Held::Derived(buffer, offset)),
            RegionKind::Texture(_) => texture_numbers.next().map(Held::Texture),
        });
        Ok(Self { held: held.collect(), arenas, derived, textures })
    }

    /// Where a region that is in a buffer begins.
    pub(crate) fn place(&self, region: u32) -> Place<'_, A> {
        match self.held[region as usize] {
            Held::Arena(number) => (&self.arenas.0[number], 0),
            Held::Derived(buffer, offset) => (&self.derived[buffer], offset),
            Held::Texture(_) => unreachable!("verified: a texture is bound as one"),
        }
    }

    /// A region that is a texture: the set that it belongs to, and its number there.
    pub(crate) fn texture(&self, region: u32) -> (&A::Textures, usize) {
        match self.held[region as usize] {
            Held::Texture(number) => (&self.textures, number),
            Held::Arena(_) | Held::Derived(..) => unreachable!("verified: what is bound as a texture is one"),
        }
    }

    /// What the regions take.
    pub(crate) fn bytes(&self) -> DeviceBytes {
        let sum = |buffers: &[A::Buffer]| buffers.iter().map(Memory::size).sum();
        DeviceBytes {
            arena: sum(&self.arenas.0),
            textures: A::texture_bytes(&self.textures),
            derived: sum(&self.derived),
            ..DeviceBytes::default()
        }
    }

    /// Records zeros in all memory, so that results never depend on what it held before.
    pub(crate) fn record_clear(&self, commands: &mut A::Recorder<'_>) {
        self.arenas.0.iter().chain(&self.derived).for_each(|buffer| commands.zero(buffer));
        commands.clear(&self.textures);
    }
}

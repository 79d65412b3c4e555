//! The memory that a variant takes: its regions, and the buffers and textures that hold them.

use std::collections::BTreeMap;
use std::sync::Arc;

use drift_bundle::manifest::{Region, RegionKind, TextureObject, Variant};

use super::states::StateMemory;
use super::{Place, weights};
use crate::api::{Api, Memory, Purpose, Record, Role};
use crate::error::RuntimeError;
use crate::own::OwnRegion;
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

/// Memory of a program that others may have as well, and what is the app's.
pub(crate) type Shared<'a, A> = (Arc<Arenas<A>>, StateMemory<A>, &'a [OwnRegion]);

/// The regions of a variant.
pub(crate) struct Regions<A: Api> {
    held: Vec<Held>,
    arenas: Arc<Arenas<A>>,
    states: StateMemory<A>,
    /// One for each [`Pool`].
    pools: [Vec<A::Buffer>; Pool::ALL.len()],
    /// Buffers of the app's, which are neither zeroed nor counted.
    own: Vec<A::Buffer>,
    textures: A::Textures,
}

/// Where a region is.
#[derive(Clone, Copy)]
enum Held {
    /// Number of the arena.
    Arena(usize),
    /// Number among the states.
    State(usize),
    /// Which of the buffers of a pool, and where in it.
    Pooled(Pool, usize, u64),
    /// Number among the buffers of the app's, and where in it.
    Own(usize, u64),
    /// Number among the textures.
    Texture(usize),
}

/// Regions of one kind that are a session's own.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pool {
    Io,
    Params,
    Derived,
}

impl Pool {
    const ALL: [Self; 3] = [Self::Io, Self::Params, Self::Derived];

    const fn of(kind: &RegionKind) -> Option<Self> {
        match kind {
            RegionKind::Io => Some(Self::Io),
            RegionKind::Params(_) => Some(Self::Params),
            RegionKind::Derived => Some(Self::Derived),
            RegionKind::Arena | RegionKind::State { .. } | RegionKind::Texture(_) => None,
        }
    }

    /// Bytes of a buffer that several regions share; 0 where each has its own.
    const fn shared_bytes(self) -> u64 {
        match self {
            Self::Io => 0,
            Self::Params | Self::Derived => u64::MAX,
        }
    }
}

impl<A: Api> Regions<A> {
    /// Takes memory for all regions but arenas and states, which are there already.
    pub(crate) fn new(
        api: &Arc<A>,
        variant: &Variant,
        (arenas, states, own): Shared<'_, A>,
    ) -> Result<Self, RuntimeError> {
        let objects: Vec<TextureObject> = variant.textures().copied().collect();
        let textures = api.textures(&objects, Role::Activations)?;
        let is_own = |index: u32| own.iter().any(|own| own.region == index);
        let mut own_buffers = Vec::with_capacity(own.len());
        let mut own_places = BTreeMap::new();
        for region in own {
            let (buffer, offset) = api.import(&region.memory, &region.needs)?;
            own_places.insert(region.region, Held::Own(own_buffers.len(), offset));
            own_buffers.push(buffer);
        }
        let mut own_places = own_places.into_values();
        let mut pools = Pool::ALL.map(|_| Vec::new());
        let mut places = Vec::with_capacity(pools.len());
        for (pool, buffers) in Pool::ALL.into_iter().zip(&mut pools) {
            let pooled =
                |(index, region): &(u32, &Region)| Pool::of(&region.kind) == Some(pool) && !is_own(*index);
            let regions = (0..).zip(&variant.regions).filter(pooled).map(|(_, region)| region);
            let most = pool.shared_bytes().min(api.info().limits.buffer_bytes);
            let (placed, sizes) = weights::place(regions.map(|region| (region.size, region.alignment)), most);
            for size in sizes {
                buffers.push(api.buffer(size, Purpose::Device)?);
            }
            places.push(placed.into_iter());
        }
        let (mut arena_numbers, mut state_numbers, mut texture_numbers) = (0.., 0.., 0..);
        let held = |(index, region): (u32, &Region)| match (&region.kind, Pool::of(&region.kind)) {
            (_, Some(_)) if is_own(index) => own_places.next(),
            (_, Some(pool)) => {
                let (buffer, offset) = places[pool as usize].next()?;
                Some(Held::Pooled(pool, buffer, offset))
            }
            (RegionKind::State { .. }, None) => state_numbers.next().map(Held::State),
            (RegionKind::Texture(_), None) => texture_numbers.next().map(Held::Texture),
            (_, None) => arena_numbers.next().map(Held::Arena),
        };
        let held = (0..).zip(&variant.regions).filter_map(held).collect();
        Ok(Self { held, arenas, states, pools, own: own_buffers, textures })
    }

    fn pool(&self, pool: Pool) -> &[A::Buffer] {
        &self.pools[pool as usize]
    }

    /// Where a region that is in a buffer begins.
    pub(crate) fn place(&self, region: u32) -> Place<'_, A> {
        match self.held[region as usize] {
            Held::Arena(number) => (&self.arenas.0[number], 0),
            Held::State(number) => self.states.place(number),
            Held::Pooled(pool, buffer, offset) => (&self.pool(pool)[buffer], offset),
            Held::Own(number, offset) => (&self.own[number], offset),
            Held::Texture(_) => unreachable!("verified: a texture is bound as one"),
        }
    }

    /// The states of the variant.
    pub(crate) fn states(&self) -> &StateMemory<A> {
        &self.states
    }

    /// A region that is a texture: the set that it belongs to, and its number there.
    pub(crate) fn texture(&self, region: u32) -> (&A::Textures, usize) {
        match self.held[region as usize] {
            Held::Texture(number) => (&self.textures, number),
            Held::Arena(_) | Held::State(_) | Held::Pooled(..) | Held::Own(..) => {
                unreachable!("verified: what is bound as a texture is one")
            }
        }
    }

    /// What the regions take.
    pub(crate) fn bytes(&self) -> DeviceBytes {
        let sum = |buffers: &[A::Buffer]| buffers.iter().map(Memory::size).sum();
        DeviceBytes {
            arena: sum(&self.arenas.0),
            textures: A::texture_bytes(&self.textures),
            derived: sum(self.pool(Pool::Derived)),
            state: self.states.buffers().map(Memory::size).sum(),
            io: sum(self.pool(Pool::Io)),
            params: sum(self.pool(Pool::Params)),
            ..DeviceBytes::default()
        }
    }

    /// Records zeros in all memory that is not the app's, so that results never depend on what it held before.
    pub(crate) fn record_clear(&self, commands: &mut A::Recorder<'_>) {
        let buffers = self.arenas.0.iter().chain(self.states.buffers()).chain(self.pools.iter().flatten());
        buffers.for_each(|buffer| commands.zero(buffer));
        commands.clear(&self.textures);
    }

    /// Records zeros in all state.
    pub(crate) fn record_reset(&self, commands: &mut A::Recorder<'_>) {
        self.states.buffers().for_each(|buffer| commands.zero(buffer));
    }
}

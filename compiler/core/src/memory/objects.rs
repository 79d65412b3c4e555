//! Pools textures: objects of one format that textures with disjoint live ranges share.
//!
//! A texture may use any object of its format; the object grows to the largest extents of its users. Two greedy
//! strategies compete and the smaller total volume wins: by size, and by size improved (Pisarchyk and Lee 2020), which
//! takes textures in bands of the sizes that no plan can avoid and inside a band prefers the object that idles least.

use super::MemoryError;
use super::alive::Alive;
use std::cmp::Reverse;

/// A texture to pool. `F` names its format; only textures of one format share an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Texture<F> {
    /// Format of a texel.
    pub format: F,
    /// Width, height and depth in texels, or layers.
    pub extent_px: [u64; 3],
    /// Task that first writes it.
    pub first: usize,
    /// Task that last touches it, inclusive.
    pub last: usize,
}

/// Most textures that are taken in bands, which takes time in proportion to their square. Beyond them the plain strategy has
/// to do.
const MOST_IN_BANDS: usize = 4096;

/// A shared object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Object<F> {
    /// Format of a texel.
    pub format: F,
    /// Width, height and depth or layers: of each the most that a user needs.
    pub extent_px: [u64; 3],
}

/// Which object each texture uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectPlan<F> {
    /// Index into `objects` of each texture, in the order given.
    pub object_of: Vec<usize>,
    /// The objects.
    pub objects: Vec<Object<F>>,
}

impl<F> ObjectPlan<F> {
    /// Texels of all objects together.
    pub fn total_volume_px(&self) -> u128 {
        self.objects.iter().map(|o| volume(o.extent_px)).sum()
    }
}

/// Pools all textures: the smaller total volume of the strategies, plain by-size on a tie.
pub fn shared_objects<F: Copy + PartialEq>(textures: &[Texture<F>]) -> Result<ObjectPlan<F>, MemoryError> {
    for (tensor, &Texture { first, last, .. }) in textures.iter().enumerate() {
        if first > last {
            return Err(MemoryError::ReversedLife { tensor, first, last });
        }
    }
    let by_size = size_order(textures);
    let maxima = positional_maxima(textures, &by_size);
    let mut best = assign(textures, by_size.iter().map(|&i| vec![i]));
    // Of one format, any plan has a `k`th object of at least the `k`th maximum.
    let least: u128 = maxima.iter().flat_map(|(_, maxima)| maxima).sum();
    if best.total_volume_px() > least && textures.len() <= MOST_IN_BANDS {
        let improved = assign(textures, bands(textures, &by_size, &maxima));
        if improved.total_volume_px() < best.total_volume_px() {
            best = improved;
        }
    }
    debug_assert_eq!(check_objects(&best, textures), Ok(()));
    Ok(best)
}

/// Proves that textures in one object are never live together, have its format and fit into it.
pub fn check_objects<F: Copy + PartialEq>(
    plan: &ObjectPlan<F>,
    textures: &[Texture<F>],
) -> Result<(), MemoryError> {
    if plan.object_of.len() != textures.len() {
        return Err(MemoryError::WrongLength { placed: plan.object_of.len(), expected: textures.len() });
    }
    let mut users: Vec<Vec<usize>> = vec![Vec::new(); plan.objects.len()];
    for (index, (texture, &at)) in textures.iter().zip(&plan.object_of).enumerate() {
        let fits = plan.objects.get(at).is_some_and(|object| {
            object.format == texture.format
                && object.extent_px.iter().zip(texture.extent_px).all(|(&has, needs)| has >= needs)
        });
        if !fits {
            return Err(MemoryError::WrongObject { texture: index, object: at });
        }
        users[at].push(index);
    }
    for users in &mut users {
        users.sort_by_key(|&i| textures[i].first);
        for pair in users.windows(2) {
            if textures[pair[1]].first <= textures[pair[0]].last {
                return Err(MemoryError::Overlap { a: pair[0].min(pair[1]), b: pair[0].max(pair[1]) });
            }
        }
    }
    Ok(())
}

/// Largest volume first; equal ones keep the order given.
fn size_order<F>(textures: &[Texture<F>]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..textures.len()).collect();
    order.sort_by_key(|&i| Reverse(volume(textures[i].extent_px)));
    order
}

/// Cuts the order into bands. The `k`th positional maximum is the largest `k`th-largest volume live in any task: any plan
/// has a `k`th object of at least that volume, so the textures between two maxima compete for the same objects.
fn bands<F: Copy + PartialEq>(
    textures: &[Texture<F>],
    by_size: &[usize],
    of_formats: &[(F, Vec<u128>)],
) -> Vec<Vec<usize>> {
    let mut maxima: Vec<u128> = Vec::new();
    for (rank, &maximum) in of_formats.iter().flat_map(|(_, maxima)| maxima.iter().enumerate()) {
        match maxima.get_mut(rank) {
            Some(known) => *known = maximum.max(*known),
            None => maxima.push(maximum),
        }
    }
    let mut bands: Vec<Vec<usize>> = vec![Vec::new(); maxima.len() + 1];
    for &index in by_size {
        let size = volume(textures[index].extent_px);
        bands[maxima.partition_point(|&maximum| maximum > size)].push(index);
    }
    bands.retain(|band| !band.is_empty());
    bands
}

/// For each format and rank, the largest volume that has this rank among the textures of the format in one task; descending.
fn positional_maxima<F: Copy + PartialEq>(textures: &[Texture<F>], by_size: &[usize]) -> Vec<(F, Vec<u128>)> {
    let mut alive = Alive::new(textures.iter().map(|texture| texture.first));
    let mut place = vec![0; textures.len()];
    for (at, &index) in by_size.iter().enumerate() {
        alive.add(index, textures[index].last);
        place[index] = at;
    }
    // Every set of textures that no other one contains is live at somebody's birth.
    let mut births: Vec<usize> = textures.iter().map(|t| t.first).collect();
    births.sort_unstable();
    births.dedup();
    let mut maxima: Vec<(F, Vec<u128>)> = Vec::new();
    for task in births {
        let mut live = alive.meeting(task, task, usize::MAX).unwrap_or_default();
        live.sort_unstable_by_key(|&index| place[index]);
        let mut ranks = vec![0; maxima.len()];
        for texture in live.into_iter().map(|index| &textures[index]) {
            let size = volume(texture.extent_px);
            let known = maxima.iter().position(|(format, _)| *format == texture.format);
            let of_format = known.unwrap_or_else(|| {
                maxima.push((texture.format, Vec::new()));
                ranks.push(0);
                maxima.len() - 1
            });
            let (rank, of_format) = (&mut ranks[of_format], &mut maxima[of_format].1);
            match of_format.get_mut(*rank) {
                Some(maximum) => *maximum = size.max(*maximum),
                None => of_format.push(size),
            }
            *rank += 1;
        }
    }
    maxima
}

/// An object while it is filled: its live ranges, ascending.
struct Filling<F> {
    object: Object<F>,
    live_ranges: Vec<(usize, usize)>,
}

/// What it costs a texture to use an object; smaller is better.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Cost {
    growth_px: u128,
    idle_tasks: usize,
    object: usize,
}

impl<F: Copy + PartialEq> Filling<F> {
    /// The cost of taking `texture` in; `None` if a user is live with it, the format differs, or a new object is cheaper.
    fn cost(&self, texture: &Texture<F>, object: usize) -> Option<Cost> {
        if self.object.format != texture.format {
            return None;
        }
        let at = self.live_ranges.partition_point(|live_range| live_range.0 <= texture.first);
        let before = at.checked_sub(1).map(|at| self.live_ranges[at]);
        let after = self.live_ranges.get(at);
        if before.is_some_and(|live_range| live_range.1 >= texture.first)
            || after.is_some_and(|live_range| live_range.0 <= texture.last)
        {
            return None;
        }
        let idle_before = before.map_or(usize::MAX, |live_range| texture.first - live_range.1);
        let idle_after = after.map_or(usize::MAX, |live_range| live_range.0 - texture.last);
        let grown = self.grown(texture);
        let growth_px = volume(grown.extent_px) - volume(self.object.extent_px);
        (growth_px <= volume(texture.extent_px)).then(|| Cost {
            growth_px,
            idle_tasks: idle_before.min(idle_after),
            object,
        })
    }

    fn grown(&self, texture: &Texture<F>) -> Object<F> {
        Object {
            format: self.object.format,
            extent_px: std::array::from_fn(|axis| self.object.extent_px[axis].max(texture.extent_px[axis])),
        }
    }

    fn take(&mut self, texture: &Texture<F>) {
        self.object = self.grown(texture);
        let at = self.live_ranges.partition_point(|live_range| live_range.0 <= texture.first);
        self.live_ranges.insert(at, (texture.first, texture.last));
    }
}

/// Assigns band by band. Inside a band the cheapest pair of texture and object goes first; when none fits, the largest
/// texture that is left opens an object.
fn assign<F: Copy + PartialEq>(
    textures: &[Texture<F>],
    bands: impl IntoIterator<Item = Vec<usize>>,
) -> ObjectPlan<F> {
    let mut fillings: Vec<Filling<F>> = Vec::new();
    let mut object_of = vec![usize::MAX; textures.len()];
    for mut band in bands {
        let mut costs: Vec<Option<Cost>> = band.iter().map(|&i| cheapest(&fillings, &textures[i])).collect();
        while !band.is_empty() {
            let best = (0..band.len()).filter_map(|at| costs[at].map(|cost| (cost, at))).min();
            let (at, object) = match best {
                Some((cost, at)) => (at, cost.object),
                None => (0, fillings.len()),
            };
            let index = band.remove(at);
            costs.remove(at);
            let texture = &textures[index];
            if object == fillings.len() {
                let Texture { format, extent_px, .. } = *texture;
                fillings.push(Filling { object: Object { format, extent_px }, live_ranges: Vec::new() });
            }
            fillings[object].take(texture);
            object_of[index] = object;
            // Only this object changed: costs that name it are stale, and it may now suit others better.
            for (cost, &i) in costs.iter_mut().zip(&band) {
                if cost.is_some_and(|cost| cost.object == object) {
                    *cost = cheapest(&fillings, &textures[i]);
                } else if let Some(new) = fillings[object].cost(&textures[i], object) {
                    *cost = Some(cost.map_or(new, |old| old.min(new)));
                }
            }
        }
    }
    ObjectPlan { object_of, objects: fillings.into_iter().map(|filling| filling.object).collect() }
}

/// The cheapest object for a texture.
fn cheapest<F: Copy + PartialEq>(fillings: &[Filling<F>], texture: &Texture<F>) -> Option<Cost> {
    fillings.iter().enumerate().filter_map(|(at, filling)| filling.cost(texture, at)).min()
}

/// Texels of a texture.
fn volume(extent_px: [u64; 3]) -> u128 {
    extent_px.into_iter().map(u128::from).product()
}

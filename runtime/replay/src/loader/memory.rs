//! Where resources are.

use drift_bundle::manifest::Resource;

use super::Place;
use super::derived::Derived;
use super::weights::Weights;
use crate::api::{Api, Bound, Role};
use crate::program::WeightTexture;

/// The memory that resources are in.
pub(crate) struct Places<'m, A: Api> {
    pub(crate) arena: &'m A::Buffer,
    pub(crate) weights: &'m Weights<A>,
    /// Weights that are there for the init program only.
    pub(crate) init_only: &'m Weights<A>,
    pub(crate) derived: &'m Derived<A>,
    pub(crate) textures: &'m A::Textures,
}

impl<A: Api> Clone for Places<'_, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A: Api> Copy for Places<'_, A> {}

impl<'m, A: Api> Places<'m, A> {
    /// Where `resource` is.
    pub(crate) fn bound(&self, resource: &Resource) -> Bound<'m, A> {
        match *resource {
            Resource::Arena { offset, size } => Bound::Buffer { buffer: self.arena, offset, size },
            Resource::Weights { blob, offset, size } => range(self.weight(blob), offset, size),
            Resource::Derived { blob, offset, size } => range(self.derived.place(blob), offset, size),
            Resource::ArenaTexels { element, offset, size } => {
                Bound::Texels { buffer: self.arena, element, offset, size }
            }
            Resource::WeightTexels { element, blob, offset, size } => {
                let (buffer, start) = self.weight(blob);
                Bound::Texels { buffer, element, offset: start + offset, size }
            }
            Resource::DerivedTexels { element, blob, offset, size } => {
                let (buffer, start) = self.derived.place(blob);
                Bound::Texels { buffer, element, offset: start + offset, size }
            }
            Resource::Texture(index) => {
                Bound::Texture { textures: self.textures, index: index as usize, role: Role::Activations }
            }
            Resource::WeightTexture { blob, offset, texture: object } => {
                let (textures, index) =
                    self.weight_texture(&WeightTexture { blob: blob as usize, offset, object });
                Bound::Texture { textures, index, role: Role::Weights }
            }
        }
    }

    fn weight(&self, blob: u32) -> Place<'m, A> {
        let found = self.weights.place(blob as usize).or_else(|| self.init_only.place(blob as usize));
        found.unwrap_or_else(|| unreachable!("verified: every weight in use is loaded"))
    }

    fn weight_texture(&self, texture: &WeightTexture) -> (&'m A::Textures, usize) {
        let found = self.weights.texture(texture).or_else(|| self.init_only.texture(texture));
        found.unwrap_or_else(|| unreachable!("verified: every texture of weights in use is loaded"))
    }
}

fn range<A: Api>((buffer, start): Place<'_, A>, offset: u64, size: u64) -> Bound<'_, A> {
    Bound::Buffer { buffer, offset: start + offset, size }
}

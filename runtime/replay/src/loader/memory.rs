//! Where resources are.

use drift_bundle::manifest::{RegionId, Resource, View};

use super::Place;
use super::regions::Regions;
use super::weights::Weights;
use crate::api::{Api, Bound, Role};
use crate::program::WeightTexture;

/// The memory that resources are in.
pub(crate) struct Places<'m, A: Api> {
    pub(crate) regions: &'m Regions<A>,
    pub(crate) weights: &'m Weights<A>,
    /// Weights that are there for the init program only.
    pub(crate) init_only: &'m Weights<A>,
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
        match (resource.view, resource.region) {
            (View::Bytes { offset, size }, region) => {
                let (buffer, start) = self.buffer(region);
                Bound::Buffer { buffer, offset: start + offset, size }
            }
            (View::Texels { element, offset, size }, region) => {
                let (buffer, start) = self.buffer(region);
                Bound::Texels { buffer, element, offset: start + offset, size }
            }
            (View::Texture { .. }, RegionId::Variant(region)) => {
                let (textures, index) = self.regions.texture(region);
                Bound::Texture { textures, index, role: Role::Activations }
            }
            (View::Texture { offset, object }, RegionId::Weight(blob)) => {
                let (textures, index) =
                    self.weight_texture(&WeightTexture { blob: blob as usize, offset, object });
                Bound::Texture { textures, index, role: Role::Weights }
            }
        }
    }

    fn buffer(&self, region: RegionId) -> Place<'m, A> {
        match region {
            RegionId::Variant(region) => self.regions.place(region),
            RegionId::Weight(blob) => {
                let blob = blob as usize;
                let found = self.weights.place(blob).or_else(|| self.init_only.place(blob));
                found.unwrap_or_else(|| unreachable!("verified: every weight in use is loaded"))
            }
        }
    }

    fn weight_texture(&self, texture: &WeightTexture) -> (&'m A::Textures, usize) {
        let found = self.weights.texture(texture).or_else(|| self.init_only.texture(texture));
        found.unwrap_or_else(|| unreachable!("verified: every texture of weights in use is loaded"))
    }
}

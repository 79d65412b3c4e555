//! Arguments of dispatches, under the numbers that the kernel's language gives them.

use std::collections::BTreeMap;
use std::sync::Arc;

use drift_bundle::manifest::{DeviceElement, Dispatch, Resource};
use objc2_metal::{MTLBuffer, MTLTexture};

use super::handle::Shared;
use super::texture::texels;
use crate::api::Bound;
use crate::error::RuntimeError;
use crate::program::Program;

use super::context::Context;

/// An argument with its number.
pub(crate) enum Bind {
    Buffer { buffer: Shared<dyn MTLBuffer>, offset: usize, index: usize },
    Texture { texture: Shared<dyn MTLTexture>, index: usize },
}

/// Arguments of the dispatches of one list.
pub(crate) struct Bindings(Vec<Arc<[Bind]>>);

/// Texels by the address of their buffer, element, range, and whether they are written.
type Texels = BTreeMap<(usize, DeviceElement, u64, u64, bool), Shared<dyn MTLTexture>>;

impl Bindings {
    pub(crate) fn new<'m>(
        program: &Program<'_>,
        dispatches: &[Dispatch],
        bound: impl Fn(&Resource) -> Bound<'m, Context>,
    ) -> Result<Self, RuntimeError> {
        let mut made = Texels::new();
        let one = |dispatch: &Dispatch| {
            let shader = program.shader(dispatch);
            let places = dispatch.bindings.iter().map(&bound);
            let slots = shader.bindings.iter().zip(shader.metal_arguments());
            let arguments = slots.zip(places).map(|((slot, argument), place)| {
                let index = argument.index() as usize;
                Ok(match place {
                    Bound::Buffer { buffer, offset, .. } => {
                        Bind::Buffer { buffer: buffer.raw.clone(), offset: offset as usize, index }
                    }
                    Bound::Texels { buffer, element, offset, size } => {
                        let address = std::ptr::from_ref(&*buffer.raw).cast::<()>() as usize;
                        let key = (address, element, offset, size, slot.writable);
                        let texture = match made.get(&key) {
                            Some(texture) => texture.clone(),
                            None => {
                                let texture = texels(buffer, element, (offset, size), slot.writable)?;
                                made.entry(key).or_insert(texture).clone()
                            }
                        };
                        Bind::Texture { texture, index }
                    }
                    Bound::Texture { textures, index: number, .. } => {
                        Bind::Texture { texture: textures.images[number].clone(), index }
                    }
                })
            });
            arguments.collect::<Result<Vec<_>, RuntimeError>>().map(Arc::from)
        };
        Ok(Self(dispatches.iter().map(one).collect::<Result<_, _>>()?))
    }

    /// Arguments of dispatch `index`.
    pub(crate) fn of(&self, index: usize) -> Arc<[Bind]> {
        Arc::clone(&self.0[index])
    }
}

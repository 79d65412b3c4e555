//! Bind groups: what each slot of each dispatch is bound to.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use ::wgpu::wgc::binding_model::{BindGroupDescriptor, BindGroupEntry, BindingResource, BufferBinding};
use ::wgpu::wgc::id::{BindGroupId, BufferId};
use drift_bundle::manifest::{BindingKind, BindingSlot, Dispatch, Resource};

use super::context::Context;
use super::handle::Handle;
use super::layout::is_written;
use super::made;
use super::memory::{Buffer, whole};
use super::pipelines::Pipelines;
use crate::api::Bound;
use crate::error::RuntimeError;
use crate::program::Program;

const DOING: &str = "binding a kernel";

/// The bind groups of a dispatch with their numbers.
pub(crate) type Groups = Vec<(u32, Handle<BindGroupId>)>;

/// Bind groups of the dispatches of one list.
pub(crate) struct Bindings(Vec<Arc<Groups>>);

impl Bindings {
    pub(crate) fn new<'m>(
        context: &Context,
        program: &Program<'_>,
        pipelines: &Pipelines,
        dispatches: &[Dispatch],
        bound: impl Fn(&Resource) -> Bound<'m, Context>,
    ) -> Result<Self, RuntimeError> {
        let one = |dispatch: &Dispatch| {
            let slots = &program.shader(dispatch).bindings;
            let places = dispatch.bindings.iter().map(&bound);
            let bound: Vec<(&BindingSlot, Bound<'m, Context>)> = slots.iter().zip(places).collect();
            check_uses(dispatch, &bound)?;
            let layouts = &pipelines.of(dispatch.shader).layout.groups;
            let groups = (0_u32..).zip(layouts).filter_map(|(group, layout)| Some((group, layout.as_ref()?)));
            let made = groups.map(|(group, layout)| {
                let of_group = bound.iter().filter(|(slot, _)| slot.group == group);
                let entries = of_group.map(|(slot, place)| entry(slot, place)).collect();
                let descriptor =
                    BindGroupDescriptor { label: None, layout: layout.id(), entries: Cow::Owned(entries) };
                let created = context.core.device_create_bind_group(context.device(), &descriptor, None);
                Ok((group, made(&context.core, created, DOING)?))
            });
            Ok(Arc::new(made.collect::<Result<Groups, RuntimeError>>()?))
        };
        Ok(Self(dispatches.iter().map(one).collect::<Result<_, RuntimeError>>()?))
    }

    /// Groups of dispatch `index`.
    pub(crate) fn of(&self, index: usize) -> Arc<Groups> {
        Arc::clone(&self.0[index])
    }
}

/// Refuses what WebGPU does not allow, and says only when it is submitted: one buffer that is bound to be written and to be
/// read only.
fn check_uses(dispatch: &Dispatch, bound: &[(&BindingSlot, Bound<'_, Context>)]) -> Result<(), RuntimeError> {
    let mut uses: BTreeMap<BufferId, bool> = BTreeMap::new();
    for (slot, place) in bound {
        let Bound::Buffer { buffer, .. } = place else { continue };
        let written = matches!(slot.kind, BindingKind::StorageBuffer { .. }) && is_written(slot);
        if *uses.entry(device_memory(buffer)).or_insert(written) != written {
            let code =
                format!("dispatch `{}` both writes a buffer and binds it to be read only", dispatch.name);
            return Err(RuntimeError::Driver { doing: DOING, code });
        }
    }
    Ok(())
}

fn entry(slot: &BindingSlot, place: &Bound<'_, Context>) -> BindGroupEntry<'static> {
    let resource = match place {
        Bound::Buffer { buffer, offset, size } => BindingResource::Buffer(BufferBinding {
            buffer: device_memory(buffer),
            offset: *offset,
            size: Some(whole(*size)),
        }),
        Bound::Texture { textures, index, .. } => {
            BindingResource::TextureView(textures.textures[*index].view.id())
        }
        Bound::Texels { .. } => unreachable!("verified: no texel is within the limits of WebGPU"),
    };
    BindGroupEntry { binding: slot.binding, resource }
}

fn device_memory(buffer: &Buffer) -> BufferId {
    match buffer {
        Buffer::Device { raw, .. } => raw.id(),
        Buffer::Upload(_) | Buffer::Download(_) => unreachable!("verified: kernels are given device memory"),
    }
}

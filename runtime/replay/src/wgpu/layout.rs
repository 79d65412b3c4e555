//! Layouts of bind groups: what each slot of a shader is bound to.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use ::wgpu::wgc::binding_model::{BindGroupLayoutDescriptor, PipelineLayoutDescriptor};
use ::wgpu::wgc::id::{BindGroupLayoutId, PipelineLayoutId};
use ::wgpu::{
    BindGroupLayoutEntry, BindingType, BufferBindingType, ShaderStages, StorageTextureAccess,
    TextureSampleType,
};
use drift_bundle::manifest::{BindingKind, BindingSlot, DeviceElement, Shader};

use super::context::Context;
use super::handle::Handle;
use super::{made, texture};
use crate::error::RuntimeError;

/// The group of activations, and of what an init program writes.
const ACTIVATIONS: u32 = 0;

/// Layouts by what they hold; shaders share them.
#[derive(Default)]
pub(crate) struct Layouts(HashMap<Vec<BindGroupLayoutEntry>, Arc<Handle<BindGroupLayoutId>>>);

/// The layout of a pipeline.
pub(crate) struct PipelineLayout {
    pub(crate) raw: Handle<PipelineLayoutId>,
    /// One for each group up to the highest; none where the shader has no such group.
    pub(crate) groups: Vec<Option<Arc<Handle<BindGroupLayoutId>>>>,
}

impl Layouts {
    /// The layout of a shader's pipeline.
    pub(crate) fn of(&mut self, context: &Context, shader: &Shader) -> Result<PipelineLayout, RuntimeError> {
        let count = shader.bindings.iter().map(|slot| slot.group + 1).max().unwrap_or(0);
        let groups =
            (0..count).map(|group| self.group(context, shader, group)).collect::<Result<Vec<_>, _>>()?;
        let ids: Vec<_> = groups.iter().map(|group| group.as_ref().map(|layout| layout.id())).collect();
        let descriptor =
            PipelineLayoutDescriptor { label: None, bind_group_layouts: Cow::Owned(ids), immediate_size: 0 };
        let created = context.core.device_create_pipeline_layout(context.device(), &descriptor, None);
        Ok(PipelineLayout { raw: made(&context.core, created, "creating a pipeline layout")?, groups })
    }

    fn group(
        &mut self,
        context: &Context,
        shader: &Shader,
        group: u32,
    ) -> Result<Option<Arc<Handle<BindGroupLayoutId>>>, RuntimeError> {
        let of_group = shader.bindings.iter().filter(|slot| slot.group == group);
        let mut entries: Vec<BindGroupLayoutEntry> = of_group.map(entry).collect();
        if entries.is_empty() {
            return Ok(None);
        }
        entries.sort_unstable_by_key(|entry| entry.binding);
        if let Some(layout) = self.0.get(&entries) {
            return Ok(Some(Arc::clone(layout)));
        }
        let descriptor = BindGroupLayoutDescriptor { label: None, entries: Cow::Borrowed(&entries) };
        let created = context.core.device_create_bind_group_layout(context.device(), &descriptor, None);
        let layout = Arc::new(made(&context.core, created, "creating a bind group layout")?);
        Ok(Some(Arc::clone(self.0.entry(entries).or_insert(layout))))
    }
}

/// Whether a storage buffer is bound to be written. All of the arena's ranges are, since one dispatch cannot bind a buffer
/// both to be read only and to be written; code declares them so.
pub(crate) const fn is_written(slot: &BindingSlot) -> bool {
    slot.writable || slot.group == ACTIVATIONS
}

fn entry(slot: &BindingSlot) -> BindGroupLayoutEntry {
    let buffer = |ty| BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None };
    let ty = match slot.kind {
        BindingKind::StorageBuffer { .. } => {
            buffer(BufferBindingType::Storage { read_only: !is_written(slot) })
        }
        BindingKind::UniformBuffer { .. } => buffer(BufferBindingType::Uniform),
        BindingKind::Texture { kind, element } if slot.writable => BindingType::StorageTexture {
            access: StorageTextureAccess::WriteOnly,
            format: texture::format(element),
            view_dimension: texture::view_dimension(kind),
        },
        BindingKind::Texture { kind, element } => BindingType::Texture {
            sample_type: match element {
                DeviceElement::F32 | DeviceElement::F16 => TextureSampleType::Float { filterable: false },
                DeviceElement::I32 => TextureSampleType::Sint,
                DeviceElement::U32 => TextureSampleType::Uint,
            },
            view_dimension: texture::view_dimension(kind),
            multisampled: false,
        },
        BindingKind::ImageBuffer { .. } => unreachable!("verified: no texel is within the limits of WebGPU"),
    };
    BindGroupLayoutEntry { binding: slot.binding, visibility: ShaderStages::COMPUTE, ty, count: None }
}

//! Textures of four channels.

use std::borrow::Cow;
use std::sync::Arc;

use ::wgpu::wgc::id::{TextureId, TextureViewId};
use ::wgpu::wgc::resource::TextureViewDescriptor;
use ::wgpu::wgt::TextureDescriptor;
use ::wgpu::{
    Extent3d, ImageSubresourceRange, TextureDimension, TextureFormat, TextureUsages, TextureViewDimension,
};
use drift_bundle::manifest::{DeviceElement, TextureKind, TextureObject};

use super::context::Context;
use super::handle::Handle;
use super::made;
use crate::api::Role;
use crate::error::RuntimeError;

/// Textures that were made together.
pub(crate) struct Textures {
    pub(crate) textures: Vec<Texture>,
    /// Bytes of all texels.
    pub(crate) size: u64,
}

/// A texture with a view of all of it.
pub(crate) struct Texture {
    pub(crate) view: Handle<TextureViewId>,
    pub(crate) raw: Arc<Handle<TextureId>>,
}

impl Textures {
    pub(crate) fn new(
        context: &Context,
        objects: &[TextureObject],
        role: Role,
    ) -> Result<Self, RuntimeError> {
        let textures =
            objects.iter().map(|object| Texture::new(context, object, role)).collect::<Result<_, _>>()?;
        Ok(Self { textures, size: objects.iter().map(TextureObject::size_bytes).sum() })
    }
}

impl Texture {
    fn new(context: &Context, object: &TextureObject, role: Role) -> Result<Self, RuntimeError> {
        let [width, height, depth_or_array_layers] = object.extent_px;
        let filled_by = match role {
            Role::Activations => TextureUsages::STORAGE_BINDING,
            Role::Weights => TextureUsages::COPY_DST,
        };
        let descriptor = TextureDescriptor {
            label: None,
            size: Extent3d { width, height, depth_or_array_layers },
            mip_level_count: 1,
            sample_count: 1,
            dimension: match object.kind {
                TextureKind::D2 | TextureKind::Array => TextureDimension::D2,
                TextureKind::D3 => TextureDimension::D3,
            },
            format: format(object.element),
            usage: TextureUsages::TEXTURE_BINDING | filled_by,
            view_formats: Vec::new(),
        };
        let core = &context.core;
        let created = core.device_create_texture(context.device(), &descriptor, None);
        let raw = made(core, created, "creating a texture")?;
        let descriptor = TextureViewDescriptor {
            label: Some(Cow::Borrowed("")),
            format: None,
            dimension: Some(view_dimension(object.kind)),
            usage: None,
            range: ImageSubresourceRange::default(),
        };
        let created = core.texture_create_view(raw.id(), &descriptor, None);
        Ok(Self { view: made(core, created, "creating a texture view")?, raw: Arc::new(raw) })
    }
}

/// The format of a texel of four channels.
pub(crate) const fn format(element: DeviceElement) -> TextureFormat {
    match element {
        DeviceElement::F32 => TextureFormat::Rgba32Float,
        DeviceElement::F16 => TextureFormat::Rgba16Float,
        DeviceElement::I32 => TextureFormat::Rgba32Sint,
        DeviceElement::U32 => TextureFormat::Rgba32Uint,
    }
}

/// The dimensions as shaders declare them.
pub(crate) const fn view_dimension(kind: TextureKind) -> TextureViewDimension {
    match kind {
        TextureKind::D2 => TextureViewDimension::D2,
        TextureKind::Array => TextureViewDimension::D2Array,
        TextureKind::D3 => TextureViewDimension::D3,
    }
}

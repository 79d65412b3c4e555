//! Textures against what a target's devices have at most.

use super::error::ShaderError;
use crate::physical::StorageType;
use crate::program::{Program, StorageKind};

/// Fails where a texture of a program, or of its weights, is larger than those of the target's devices.
pub(super) fn check_textures(program: &Program, target: drift_targets::Target) -> Result<(), ShaderError> {
    let Some(limits) = target.limits() else { return Ok(()) };
    let check = |tensor: &str, storage_type: StorageType, extent_px: [u64; 3]| {
        let [width, height, depth] = extent_px;
        let flat = ("pixels a side of a 2D texture", width.max(height), limits.texture_2d_px);
        let counts = match storage_type {
            StorageType::Buffer | StorageType::ImageBuffer => Vec::new(),
            StorageType::Texture2d => vec![flat],
            StorageType::TextureArray => vec![flat, ("layers of an array", depth, limits.texture_layers)],
            StorageType::Texture3d => {
                vec![("pixels a side of a 3D texture", width.max(height).max(depth), limits.texture_3d_px)]
            }
        };
        match counts.into_iter().find(|&(_, found, limit)| found > limit.into()) {
            Some((what, _, limit)) => {
                Err(ShaderError::Texture { tensor: tensor.to_owned(), extent_px, target, what, limit })
            }
            None => Ok(()),
        }
    };
    for storage in &program.storages {
        if let StorageKind::Texture { storage_type, extent_px, .. } = storage.kind {
            check(&storage.name, storage_type, extent_px)?;
        }
    }
    for step in program.all_steps() {
        for binding in step.call.bindings() {
            if let Some([width, height]) = binding.extent_px {
                check(&step.name, binding.storage_type, [width, height, 1])?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::ShaderError;
    use crate::emit::KernelModules;
    use crate::layout::{self, LayoutChoice};
    use crate::{CompileOptions, profile, select};
    use drift_bundle::manifest::Target;

    /// Textures that another profile allows, and that Metal's devices have not, are refused by name; the pipeline makes none.
    #[test]
    fn a_texture_larger_than_metals_is_refused_by_name() {
        let text = "%x: f32[1,4,2,20000]\n%wide = exp %x\n%y = abs %wide\nreturn %y";
        let graph = drift_ir::text::parse(text).expect("a graph");
        let profile = profile::find("nvidia").expect("a profile");
        let layouts = layout::assign(&graph, profile, LayoutChoice::Texture2d, None).expect("layouts");
        let program = select::choose(&graph, &layouts, profile, None).expect("a program");
        assert!(KernelModules::new(false).make(&program, Target::Vulkan, profile).is_ok());
        let refused = KernelModules::new(false).make(&program, Target::Metal, profile);
        let Err(error @ ShaderError::Texture { limit: 16_384, .. }) = refused else { panic!("{refused:?}") };
        assert!(error.to_string().starts_with("`wide` is in a texture of [2, 20000, 1] pixels"), "{error}");
        assert!(!error.is_internal());

        let options = CompileOptions {
            targets: vec![Target::Metal],
            profiles: vec!["nvidia".to_owned()],
            layout: LayoutChoice::Texture2d,
            ..CompileOptions::default()
        };
        crate::emit_stage(graph, &options, crate::Stage::Shaders).expect("it fits in another layout");
    }
}

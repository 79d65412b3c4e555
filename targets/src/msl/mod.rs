//! Metal Shading Language.
//!
//! - **Arguments**: buffers are numbered from zero in (group, binding) order, and so are textures, apart from them.
//! - **Math**: the text asks for the safe math mode, so that no value is assumed finite and no sum is reordered.
//!   The pragma is of Metal 3.2, and hidden where the text is compiled as an older language: there the host disables fast math.
//! - **Workgroup memory** is declared in the kernel's body, so the host sets no sizes.
//! - **Cooperative matrices** are `simdgroup_matrix`, which is 8x8 and reads arrays of scalars only. Factors of half go into sums of float, as
//!   Metal's compiler takes them.

mod matrices;
mod threadgroup;

use std::collections::BTreeSet;

use naga::back::msl;
use naga::proc::BoundsCheckPolicies;
use naga::valid::ModuleInfo;
use naga::{AddressSpace, Module, ResourceBinding, ShaderStage, StorageAccess, TypeInner};

use crate::bindings::{self, BindingIndex, BindingKind};
use crate::{Code, EmitError, Emitted, Feature, Target, limits};

/// A bundle's reader knows these lines and no other conditions.
const MATH_MODE: &str = "#if __METAL_VERSION__ >= 320\n#pragma METAL fp math_mode(safe)\n#endif\n";

pub(crate) fn emit(
    module: &Module,
    info: &ModuleInfo,
    features: BTreeSet<Feature>,
) -> Result<Emitted, EmitError> {
    for &feature in &features {
        refuse(feature)?;
    }
    let bindings = bindings::by_kind(module);
    limits::check(Target::Metal, module, &bindings)?;
    let options = options(module, &bindings, &features);
    let entry_point = (ShaderStage::Compute, module.entry_points[0].name.clone());
    let pipeline = msl::PipelineOptions { entry_point: Some(entry_point), ..msl::PipelineOptions::default() };
    let (text, translation) = msl::write_string(module, info, &options, &pipeline).map_err(EmitError::Msl)?;
    let text = matrices::in_metals_words(&threadgroup::declared_in_kernel(&text));
    let Some(name) = translation.entry_point_names.into_iter().next() else {
        unreachable!("asked naga for one entry point")
    };
    Ok(Emitted {
        target: Target::Metal,
        entry_point: name.map_err(EmitError::MslEntryPoint)?,
        code: Code::Text(format!("{MATH_MODE}{text}")),
        bindings,
        features,
        validated: false,
    })
}

fn refuse(feature: Feature) -> Result<(), EmitError> {
    let reason = match feature {
        Feature::F64 => "Metal has no double precision; use f32",
        Feature::CooperativeMatrix { columns: 8, rows: 8 } => return Ok(()),
        Feature::CooperativeMatrix { .. } => {
            "simdgroup matrices are 8x8; choose the 8x8 variant of the kernel"
        }
        Feature::CooperativeVectorMemory => {
            "simdgroup_load takes a pointer to scalars; declare arrays of scalars"
        }
        Feature::ImageBuffer => {
            "naga writes a 1D texture, which holds 16384 texels at most and is not made from a buffer; use a buffer or \
             a 2D texture"
        }
        Feature::RuntimeSizedArray => "naga would pass a buffer of lengths; give the array its size",
        Feature::F16 | Feature::Int16 | Feature::Int64 | Feature::Subgroups | Feature::PackedDot => {
            return Ok(());
        }
    };
    Err(EmitError::Unsupported { target: Target::Metal, feature, reason })
}

fn options(module: &Module, bindings: &[BindingIndex], features: &BTreeSet<Feature>) -> msl::Options {
    let resources = bindings
        .iter()
        .map(|index| (ResourceBinding { group: index.group, binding: index.binding }, target(module, index)))
        .collect();
    let resources = msl::EntryPointResources { resources, ..msl::EntryPointResources::default() };
    msl::Options {
        lang_version: language_version(features),
        per_entry_point_map: [(module.entry_points[0].name.clone(), resources)].into(),
        inline_samplers: Vec::new(),
        spirv_cross_compatibility: false,
        fake_missing_bindings: false,
        bounds_check_policies: BoundsCheckPolicies::default(),
        zero_initialize_workgroup_memory: false,
        force_loop_bounding: false,
        task_dispatch_limits: None,
        mesh_shader_primitive_indices_clamp: false,
        emit_int_div_checks: false,
        ray_query_initialization_tracking: false,
    }
}

/// The lowest version that knows everything the kernel uses.
fn language_version(features: &BTreeSet<Feature>) -> (u8, u8) {
    let matrices = features.iter().any(|feature| matches!(feature, Feature::CooperativeMatrix { .. }));
    if matrices { (3, 0) } else { (2, 4) }
}

fn target(module: &Module, index: &BindingIndex) -> msl::BindTarget {
    // Slots are u8 in naga; the limits are below 256.
    let slot = u8::try_from(index.index).ok();
    let Some(variable) = bindings::variable(module, index) else {
        unreachable!("indices come from the module")
    };
    let storage = |access: StorageAccess| access.contains(StorageAccess::STORE);
    let mutable = match (variable.space, &module.types[variable.ty].inner) {
        (AddressSpace::Storage { access }, _) => storage(access),
        (_, &TypeInner::Image { class: naga::ImageClass::Storage { access, .. }, .. }) => storage(access),
        _ => false,
    };
    match index.kind {
        BindingKind::Buffer => msl::BindTarget { buffer: slot, mutable, ..msl::BindTarget::default() },
        BindingKind::Texture => msl::BindTarget { texture: slot, mutable, ..msl::BindTarget::default() },
    }
}

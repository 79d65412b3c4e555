//! WGSL as WebGPU accepts it.
//!
//! naga's own dialect differs: it needs no `enable subgroups;` and prints none, so that line is added here. What only
//! native devices have (cooperative matrices, image buffers, wide integers) is refused.

use std::collections::BTreeSet;

use naga::Module;
use naga::back::wgsl;
use naga::valid::ModuleInfo;

use crate::{Code, EmitError, Emitted, Feature, Target, bindings};

pub(crate) fn emit(
    module: &Module,
    info: &ModuleInfo,
    features: BTreeSet<Feature>,
) -> Result<Emitted, EmitError> {
    for &feature in &features {
        refuse(feature)?;
    }
    let text = wgsl::write_string(module, info, wgsl::WriterFlags::empty()).map_err(EmitError::Wgsl)?;
    Ok(Emitted {
        target: Target::WebGpu,
        entry_point: module.entry_points[0].name.clone(),
        code: Code::Text(format!("{}{}", enables(&features), exact_limits(&text))),
        bindings: bindings::as_declared(module),
        features,
        validated: false,
    })
}

/// naga prints the largest f32 in its fewest decimal digits, and those lie above it; browsers refuse them. In
/// hexadecimal it is exact.
fn exact_limits(text: &str) -> String {
    text.replace("340282350000000000000000000000000000000f", "0x1.fffffep+127f")
}

/// The lines that naga leaves out. `enable f16;` is printed by naga.
fn enables(features: &BTreeSet<Feature>) -> &'static str {
    if !features.contains(&Feature::Subgroups) {
        return "";
    }
    // naga ends its own lines with an empty one.
    if features.contains(&Feature::F16) { "enable subgroups;\n" } else { "enable subgroups;\n\n" }
}

fn refuse(feature: Feature) -> Result<(), EmitError> {
    let reason = match feature {
        Feature::F64 => "WebGPU has no double precision; use f32",
        Feature::Int16 => "WebGPU has no 16-bit integers; pack them in u32",
        Feature::Int64 => "WebGPU has no 64-bit integers; use i32 or pairs of u32",
        Feature::CooperativeMatrix { .. } | Feature::CooperativeVectorMemory => {
            "WebGPU has none; run the `coop-to-loops` lowering first"
        }
        Feature::ImageBuffer => "WebGPU has no texel buffers; use a buffer or a 2D texture",
        Feature::F16 | Feature::Subgroups | Feature::PackedDot | Feature::RuntimeSizedArray => return Ok(()),
    };
    Err(EmitError::Unsupported { target: Target::WebGpu, feature, reason })
}

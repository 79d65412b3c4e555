//! What a target cannot say is refused by name, with a next step.

use drift_targets::{BindingKind, EmitError, Feature, Target};

use crate::cases;

fn refused(case: &str, target: Target) -> EmitError {
    let case = cases::named(case);
    match cases::emitted(&case.source, target, false) {
        Ok(_) => panic!("{} is not refused on {target}", case.name),
        Err(error) => error,
    }
}

#[test]
fn cooperative_matrices_need_a_lowering_on_webgpu_and_opencl() {
    for target in [Target::WebGpu, Target::OpenCl] {
        let reason = cases::reason(&refused("cooperative-matrix", target));
        assert!(reason.contains("coop-to-loops"), "{reason}");
    }
}

#[test]
fn metal_takes_8x8_cooperative_matrices_only() {
    let error = cases::emitted(
        "enable wgpu_cooperative_matrix;
        @group(0) @binding(0) var<storage, read_write> dst: array<f32, 256>;
        @compute @workgroup_size(32)
        fn clear() { var sum = coop_mat16x16<f32, C>(); coopStoreT(sum, &dst[0], 16u); }",
        Target::Metal,
        false,
    );
    let feature = Feature::CooperativeMatrix { columns: 16, rows: 16 };
    assert!(
        matches!(error, Err(EmitError::Unsupported { feature: found, .. }) if found == feature),
        "{error:?}"
    );
}

#[test]
fn metal_refuses_cooperative_matrices_in_arrays_of_vectors() {
    let error = cases::emitted(
        "enable wgpu_cooperative_matrix;
        @group(0) @binding(0) var<storage, read_write> dst: array<vec4<f32>, 16>;
        @compute @workgroup_size(32)
        fn clear() { var sum = coop_mat8x8<f32, C>(); coopStoreT(sum, &dst[0], 2u); }",
        Target::Metal,
        false,
    );
    assert!(
        matches!(error, Err(EmitError::Unsupported { feature: Feature::CooperativeVectorMemory, .. })),
        "{error:?}"
    );
}

#[test]
fn image_buffers_are_refused_on_metal_and_webgpu() {
    for target in [Target::Metal, Target::WebGpu] {
        let error = refused("image-buffer", target);
        assert!(matches!(error, EmitError::Unsupported { feature: Feature::ImageBuffer, .. }), "{error:?}");
    }
}

#[test]
fn a_module_with_two_kernels_is_refused() {
    let error = cases::emitted(
        "@compute @workgroup_size(1) fn one() {} @compute @workgroup_size(1) fn two() {}",
        Target::Metal,
        false,
    );
    assert!(matches!(error, Err(EmitError::EntryPoints { found: 2 })), "{error:?}");
}

#[test]
fn a_vertex_shader_is_not_a_kernel() {
    let error = cases::emitted(
        "@vertex fn corner() -> @builtin(position) vec4<f32> { return vec4<f32>(); }",
        Target::WebGpu,
        false,
    );
    assert!(matches!(error, Err(EmitError::EntryPoints { found: 0 })), "{error:?}");
}

#[test]
fn metal_counts_buffers_and_textures_apart_and_opencl_together() {
    let source = "
        @group(1) @binding(0) var<storage, read> weights: array<f32, 4>;
        @group(0) @binding(3) var src: texture_2d<f32>;
        @group(0) @binding(1) var<storage, read_write> dst: array<vec4<f32>, 4>;
        @compute @workgroup_size(4)
        fn weigh(@builtin(local_invocation_index) i: u32) {
            dst[i] = textureLoad(src, vec2<u32>(i, 0u), 0) * weights[i];
        }";
    let found = |target| {
        let emitted = cases::emitted(source, target, false).unwrap();
        emitted.bindings.iter().map(|one| (one.group, one.binding, one.kind, one.index)).collect::<Vec<_>>()
    };
    use BindingKind::{Buffer, Texture};
    assert_eq!(found(Target::Metal), [(0, 1, Buffer, 0), (0, 3, Texture, 0), (1, 0, Buffer, 1)]);
    assert_eq!(found(Target::OpenCl), [(0, 1, Buffer, 0), (0, 3, Texture, 1), (1, 0, Buffer, 2)]);
    assert_eq!(found(Target::Vulkan), [(0, 1, Buffer, 1), (0, 3, Texture, 3), (1, 0, Buffer, 0)]);
}

/// The feature that `target` refuses in a kernel that fills `dst`, declared as given.
fn refused_feature(target: Target, dst: &str, value: &str) -> Option<Feature> {
    let source = format!(
        "@group(0) @binding(0) var<storage, read_write> dst: array<{dst}>;
        @compute @workgroup_size(4)
        fn fill(@builtin(local_invocation_index) i: u32) {{ dst[i] = {value}; }}"
    );
    match cases::emitted(&source, target, false) {
        Ok(_) => None,
        Err(EmitError::Unsupported { feature, .. }) => Some(feature),
        Err(error) => panic!("{}", cases::reason(&error)),
    }
}

#[test]
fn types_that_a_target_does_not_have_are_refused() {
    assert_eq!(refused_feature(Target::WebGpu, "i64, 4", "i64(i)"), Some(Feature::Int64));
    assert_eq!(refused_feature(Target::WebGpu, "f64, 4", "f64(i)"), Some(Feature::F64));
    assert_eq!(refused_feature(Target::Metal, "f64, 4", "f64(i)"), Some(Feature::F64));
    assert_eq!(refused_feature(Target::Metal, "f32", "f32(i)"), Some(Feature::RuntimeSizedArray));
    assert_eq!(refused_feature(Target::Metal, "i64, 4", "i64(i)"), None);
    assert_eq!(refused_feature(Target::Vulkan, "i64, 4", "i64(i)"), None);
    assert_eq!(refused_feature(Target::Vulkan, "f32", "f32(i)"), None);
}

#[test]
fn metal_has_32_kib_of_workgroup_memory_and_1024_invocations() {
    let kernel = |words: u32, invocations: u32| {
        let text = format!(
            "var<workgroup> w: array<u32, {words}>;
            @group(0) @binding(0) var<storage, read_write> dst: array<u32, 4>;
            @compute @workgroup_size({invocations}) fn fill() {{ w[0] = 1u; workgroupBarrier(); dst[0] = w[0]; }}"
        );
        cases::emitted(&text, Target::Metal, false)
    };
    assert!(kernel(8_192, 1_024).is_ok());
    let memory = kernel(8_193, 1);
    let what = "bytes of workgroup memory";
    assert!(
        matches!(memory, Err(EmitError::Limit { what: found, found: 32_784, limit: 32_768, .. }) if found == what),
        "{memory:?}"
    );
    let invocations = kernel(1, 1_025);
    assert!(
        matches!(invocations, Err(EmitError::Limit { found: 1_025, limit: 1_024, .. })),
        "{invocations:?}"
    );
}

#[test]
fn metal_has_places_for_31_buffers() {
    let kernel = |count: usize| {
        let buffers: String = (0..count)
            .map(|n| format!("@group(0) @binding({n}) var<storage, read_write> b{n}: array<f32, 4>;\n"))
            .collect();
        let stores: String = (0..count).map(|n| format!("b{n}[0] = 1.0; ")).collect();
        cases::emitted(
            &format!("{buffers}@compute @workgroup_size(1) fn fill() {{ {stores} }}"),
            Target::Metal,
            false,
        )
    };
    assert!(kernel(31).is_ok());
    let error = kernel(32);
    assert!(
        matches!(error, Err(EmitError::Limit { what: "buffers", found: 32, limit: 31, .. })),
        "{error:?}"
    );
}

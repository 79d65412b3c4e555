//! SPIR-V that SPIRV-Tools accepts, before and after optimisation, and what it asks of a device.

use drift_targets::{Code, EmitError, Target};

use crate::cases;

#[test]
fn every_construct_is_valid_as_written_and_optimised() {
    for case in cases::all() {
        for optimize in [false, true] {
            match cases::emitted(&case.source, Target::Vulkan, optimize) {
                Ok(emitted) => assert!(emitted.validated, "{}", case.name),
                Err(error) => panic!("{}, optimize = {optimize}: {}", case.name, cases::reason(&error)),
            }
        }
    }
}

#[test]
fn optimising_keeps_the_entry_point_and_its_bindings() {
    for case in cases::all() {
        let written = cases::emitted(&case.source, Target::Vulkan, false).unwrap();
        let optimized = cases::emitted(&case.source, Target::Vulkan, true).unwrap();
        assert_eq!(written.entry_point, optimized.entry_point);
        assert_eq!(written.bindings, optimized.bindings);
        let text = cases::text(&optimized);
        for index in &written.bindings {
            assert!(text.contains(&format!("Binding {}", index.binding)), "{}: {index:?}", case.name);
        }
        assert!(text.contains(&format!("\"{}\"", written.entry_point)), "{}", case.name);
    }
}

#[test]
fn a_module_asks_for_the_lowest_vulkan_that_has_its_features() {
    let version = |case: &str| {
        let case = cases::named(case);
        match cases::emitted(&case.source, Target::Vulkan, true).unwrap().code {
            Code::SpirV(words) => words[1],
            Code::Text(_) => unreachable!("Vulkan takes SPIR-V"),
        }
    };
    assert_eq!(version("select-min-max"), 0x1_03_00);
    assert_eq!(version("subgroup-sum"), 0x1_03_00);
    assert_eq!(version("cooperative-matrix"), 0x1_05_00);
}

#[test]
fn half_values_in_registers_do_not_ask_for_half_storage() {
    let text = assembly(
        "enable f16;
        @group(0) @binding(0) var<storage, read_write> dst: array<f32, 5>;
        @compute @workgroup_size(5)
        fn narrow(@builtin(local_invocation_index) i: u32) { dst[i] = f32(f16(dst[i]) * 0.5h); }",
    );
    assert!(text.contains("OpCapability Float16"), "{text}");
    assert!(!text.contains("16BitAccess"), "{text}");
}

#[test]
fn half_storage_buffers_do_not_ask_for_half_uniform_buffers() {
    let text = assembly(
        "enable f16;
        @group(0) @binding(0) var<storage, read_write> dst: array<f16, 5>;
        @compute @workgroup_size(5)
        fn double(@builtin(local_invocation_index) i: u32) { dst[i] += dst[i]; }",
    );
    assert!(text.contains("OpCapability StorageBuffer16BitAccess"), "{text}");
    assert!(!text.contains("UniformAndStorageBuffer16BitAccess"), "{text}");
}

#[test]
fn workgroup_memory_is_not_zeroed_and_loops_are_not_bounded() {
    let text = assembly(
        "@group(0) @binding(0) var<storage, read_write> dst: array<f32, 64>;
        var<workgroup> tile: array<f32, 64>;
        @compute @workgroup_size(64)
        fn reverse(@builtin(local_invocation_index) i: u32) {
            tile[i] = dst[i];
            workgroupBarrier();
            for (var k = 0u; k < 2u; k += 1u) { dst[i] += tile[63u - i]; }
        }",
    );
    assert_eq!(text.matches("OpControlBarrier").count(), 1, "{text}");
    assert!(!text.contains("OpConstantNull"), "{text}");
    assert!(!text.contains("loop_bound"), "{text}");
}

#[test]
fn an_array_type_of_a_buffer_and_of_workgroup_memory_is_split() {
    let text = assembly(
        "@group(0) @binding(0) var<storage, read_write> dst: array<vec4<f32>, 8>;
        var<workgroup> tile: array<vec4<f32>, 8>;
        @compute @workgroup_size(8)
        fn reverse(@builtin(local_invocation_index) i: u32) {
            var kept: array<vec4<f32>, 8>;
            tile[i] = dst[i];
            workgroupBarrier();
            kept = tile;
            dst[i] = kept[7u - i];
        }",
    );
    assert_eq!(text.matches("= OpTypeArray").count(), 2, "{text}");
    assert_eq!(text.matches("ArrayStride").count(), 1, "{text}");
}

#[test]
fn copying_a_whole_array_from_a_buffer_to_workgroup_memory_is_refused() {
    let error = cases::emitted(
        "@group(0) @binding(0) var<storage, read_write> dst: array<f32, 8>;
        var<workgroup> tile: array<f32, 8>;
        @compute @workgroup_size(1)
        fn copy() { tile = dst; workgroupBarrier(); dst[0] = tile[7]; }",
        Target::Vulkan,
        false,
    );
    assert!(matches!(error, Err(EmitError::WholeArrayCopy)), "{error:?}");
}

#[test]
fn image_buffers_answer_their_size() {
    let text = assembly(
        "@group(0) @binding(0) var src: texture_1d<f32>;
        @group(0) @binding(1) var<storage, read_write> dst: array<u32, 1>;
        @compute @workgroup_size(1)
        fn size() { dst[0] = textureDimensions(src); }",
    );
    assert!(text.contains("OpImageQuerySize "), "{text}");
    assert!(text.contains("OpCapability SampledBuffer"), "{text}");
}

#[test]
fn barriers_of_cooperative_kernels_publish_what_was_stored() {
    let case = cases::named("cooperative-matrix");
    let text = cases::text(&cases::emitted(&case.source, Target::Vulkan, false).unwrap());
    assert!(text.contains("OpMemoryModel Logical Vulkan"), "{text}");
    // Of the two operands, one is in a buffer and one in workgroup memory; the result goes to a buffer.
    let marked = |what: &str| {
        let lines: Vec<bool> = text
            .lines()
            .filter(|line| line.contains(what))
            .map(|line| line.contains("NonPrivatePointer"))
            .collect();
        (lines.len(), lines.iter().filter(|&&marked| marked).count())
    };
    assert_eq!(marked("OpCooperativeMatrixLoadKHR"), (2, 1), "{text}");
    assert_eq!(marked("OpCooperativeMatrixStoreKHR"), (1, 0), "{text}");
}

#[test]
fn the_optimiser_folds_no_floats() {
    let source = "@group(0) @binding(0) var<storage, read_write> dst: array<f32, 4>;
        @compute @workgroup_size(1)
        fn fold() {
            dst[0] = dst[0] * 0.0;
            dst[1] = dst[1] + 0.0;
            dst[2] = 0.0 / dst[2];
            dst[3] = dst[3] - dst[3];
        }";
    let emitted = cases::emitted(source, Target::Vulkan, true).unwrap_or_else(|error| panic!("{error}"));
    let text = cases::text(&emitted);
    for kept in ["OpFMul", "OpFAdd", "OpFDiv", "OpFSub"] {
        assert!(text.contains(kept), "{kept} is gone: {text}");
    }
    assert!(!text.contains("NoContraction"), "{text}");
}

/// What is computed of constants alone reaches a loop, whose first round it must not be taken for.
#[test]
fn functions_of_constants_settle() {
    let source = "@group(0) @binding(0) var<storage, read_write> dst: array<f32, 4>;
        @compute @workgroup_size(1)
        fn settle() {
            var sum = 0.0;
            for (var k = 0u; k < 0u; k += 1u) { sum += dst[k]; }
            let root = sqrt(sum / 0.0625 + 0.5);
            var kept = 1.0;
            for (var k = 0u; k < u32(dst[1]); k += 1u) { kept = root * kept; }
            dst[0] = kept + exp2(sum);
        }";
    for optimize in [false, true] {
        cases::emitted(source, Target::Vulkan, optimize)
            .unwrap_or_else(|error| panic!("{}", cases::reason(&error)));
    }
}

fn assembly(source: &str) -> String {
    match cases::emitted(source, Target::Vulkan, false) {
        Ok(emitted) => cases::text(&emitted),
        Err(error) => panic!("{}", cases::reason(&error)),
    }
}

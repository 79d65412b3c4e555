//! Cooperative matrices: checks, shapes, and the same products as loops.

use super::{
    done,
    interpreter::{floats, numbers, run, vectors},
    refusal, text,
};
use crate::module::{CooperativeShape, ModuleError, lower::coop_to_loops, specialize, stats};
use naga::Scalar;

fn product(size: u32, load_b: &str, body: &str) -> String {
    format!(
        "enable wgpu_cooperative_matrix;
         @group(0) @binding(0) var<storage, read> a: array<f32>;
         @group(0) @binding(1) var<storage, read> b: array<{load_b}>;
         @group(0) @binding(2) var<storage, read_write> d: array<f32>;
         alias MatrixA = coop_mat{size}x{size}<f32, A>;
         alias MatrixB = coop_mat{size}x{size}<f32, B>;
         alias MatrixC = coop_mat{size}x{size}<f32, C>;
         @compute @workgroup_size(32, 1, 1)
         fn kernel(@builtin(workgroup_id) tile: vec3<u32>) {{ {body} }}"
    )
}

const MATMUL_8: &str = "
    const K: u32 = 24u; const N: u32 = 16u;
    var acc: array<MatrixC, 2>;
    for (var k = 0u; k < K; k += 8u) {
        let left = coopLoadT<MatrixA>(&a[tile.y * 8u * K + k], K);
        for (var u_n = 0u; u_n < 2u; u_n++) {
            let right = coopLoadT<MatrixB>(&b[k * N + u_n * 8u], N);
            acc[u_n] = coopMultiplyAdd(left, right, acc[u_n]);
        }
    }
    for (var u_n = 0u; u_n < 2u; u_n++) { coopStoreT(acc[u_n], &d[tile.y * 8u * N + u_n * 8u], N); }";

#[test]
fn products_as_loops_are_products() {
    let (m, n, k) = (16_usize, 16_usize, 24_usize);
    let a: Vec<f32> = (0..m * k).map(|index| (index * 5 % 13) as f32 - 6.0).collect();
    let b: Vec<f32> = (0..k * n).map(|index| (index * 7 % 11) as f32 - 5.0).collect();
    for subgroup in [8, 16, 32] {
        let lowered = coop_to_loops(done(&product(8, "f32", MATMUL_8)), subgroup).unwrap();
        let mut buffers =
            [("a", floats(a.clone())), ("b", floats(b.clone())), ("d", floats(vec![99.0; m * n]))];
        run(&lowered.module, [1, 2], &mut buffers);
        let expected: Vec<f64> = (0..m * n)
            .map(|at| (0..k).map(|i| f64::from(a[at / n * k + i]) * f64::from(b[i * n + at % n])).sum())
            .collect();
        assert_eq!(numbers(&buffers[2].1), expected, "groups of {subgroup}");
    }
}

#[test]
fn column_major_vectors_and_scaling_as_loops() {
    let body = "
        let left = coopLoad<MatrixA>(&a[0], 8u);
        let right = coopLoadT<MatrixB>(&b[0], 2u);
        let start = coopLoadT<MatrixC>(&a[64], 8u);
        let sum = coopMultiplyAdd(left, right, start * 2.0) + start;
        coopStore(sum, &d[0], 8u);";
    let a: Vec<f32> = (0..128_u8).map(|index| f32::from(index % 9) - 4.0).collect();
    let b: Vec<f32> = (0..64_u8).map(|index| f32::from(index % 7) - 3.0).collect();
    let lowered = coop_to_loops(done(&product(8, "vec4<f32>", body)), 32).unwrap();
    let mut buffers = [("a", floats(a.clone())), ("b", vectors(&b)), ("d", floats(vec![0.0; 64]))];
    run(&lowered.module, [1, 1], &mut buffers);
    let sum = |row: usize, column: usize| -> f64 {
        let product: f64 = (0..8).map(|i| f64::from(a[i * 8 + row]) * f64::from(b[i * 8 + column])).sum();
        product + 3.0 * f64::from(a[64 + row * 8 + column])
    };
    // The result is stored column by column.
    let expected: Vec<f64> = (0..64).map(|at| sum(at % 8, at / 8)).collect();
    assert_eq!(numbers(&buffers[2].1), expected);
}

#[test]
fn tiles_in_workgroup_memory_can_be_lowered() {
    let body = "
        tile[tile_index % 16u] = b[tile_index];
        workgroupBarrier();
        let left = coopLoadT<MatrixA>(&a[0], 8u);
        let right = coopLoadT<MatrixB>(&tile[0], 2u);
        coopStoreT(coopMultiplyAdd(left, right, MatrixC()), &d[0], 8u);";
    let source = product(8, "vec4<f32>", body)
        .replace("@builtin(workgroup_id) tile: vec3<u32>", "@builtin(local_invocation_index) tile_index: u32")
        .replace("alias MatrixA", "var<workgroup> tile: array<vec4<f32>, 16>; alias MatrixA");
    let full = done(&source);
    assert_eq!(stats(&full).shared_bytes, 256);
    assert!(text(&coop_to_loops(full, 16).unwrap()).contains("tile["));
}

/// A driver puts variables one after another, so that one of four bytes would move the tiles behind it.
#[test]
fn workgroup_memory_beside_matrices_is_whole_sixteen_bytes() {
    let source = |size: u32| {
        let body = "
            tile[tile_index % 16u] = b[tile_index];
            extra[0] = tile_index;
            let count = workgroupUniformLoad(&extra[0]);
            let left = coopLoadT<MatrixA>(&a[count], 8u);
            let right = coopLoadT<MatrixB>(&tile[0], 2u);
            coopStoreT(coopMultiplyAdd(left, right, MatrixC()), &d[0], 8u);";
        let tile = "@builtin(workgroup_id) tile: vec3<u32>";
        let variables =
            format!("var<workgroup> tile: array<vec4<f32>, 16>; var<workgroup> extra: array<u32, {size}>;");
        product(8, "vec4<f32>", body)
            .replace(tile, "@builtin(local_invocation_index) tile_index: u32")
            .replace("alias MatrixA", &format!("{variables} alias MatrixA"))
    };
    assert_eq!(stats(&done(&source(4))).shared_bytes, 256 + 16);
    let error = refusal(&source(1));
    let reason = "`extra` takes 4 bytes of workgroup memory";
    assert!(
        matches!(&error, ModuleError::Cooperative { reason: found, .. } if found.starts_with(reason)),
        "{error}"
    );
}

#[test]
fn the_lowered_module_needs_no_feature() {
    let lowered = coop_to_loops(done(&product(8, "f32", MATMUL_8)), 32).unwrap();
    let needs = stats(&lowered);
    assert!(needs.cooperative.is_empty() && !needs.uses_subgroups);
    assert!(!text(&lowered).contains("coop"));
}

#[test]
fn shapes_are_reported_once() {
    let needs = stats(&done(&product(
        8,
        "vec4<f32>",
        &MATMUL_8.replace("&b[k * N + u_n * 8u], N", "&b[(k * N + u_n * 8u) / 4u], N / 4u"),
    )));
    let shape = CooperativeShape { m: 8, n: 8, k: 8, factor: Scalar::F32, accumulator: Scalar::F32 };
    assert_eq!(needs.cooperative, [shape]);
    assert!(needs.cooperative_vectors && needs.uses_subgroups);
}

#[test]
fn sixteen_by_sixteen_f16_with_f32_accumulators_reaches_spirv() {
    let source = "enable f16; enable wgpu_cooperative_matrix;
        @group(0) @binding(0) var<storage, read> a: array<f16>;
        @group(0) @binding(1) var<storage, read_write> d: array<f32>;
        @compute @workgroup_size(32, 1, 1)
        fn kernel(@builtin(workgroup_id) tile: vec3<u32>) {
            let left = coopLoadT<coop_mat16x16<f16, A>>(&a[tile.x * 256u], 16u);
            let right = coopLoad<coop_mat16x16<f16, B>>(&a[tile.y * 256u + 16u], 16u);
            coopStoreT(coopMultiplyAdd(left, right, coop_mat16x16<f32, C>()), &d[tile.x * 256u + tile.y], 16u);
        }";
    let done = done(source);
    let shape = CooperativeShape { m: 16, n: 16, k: 16, factor: Scalar::F16, accumulator: Scalar::F32 };
    assert_eq!(stats(&done).cooperative, [shape]);
    let options = naga::back::spv::Options { lang_version: (1, 4), ..Default::default() };
    assert!(naga::back::spv::write_vec(&done.module, &done.info, &options, None).is_ok());
}

#[test]
fn a_declared_element_type_must_be_that_of_the_memory() {
    let error =
        refusal(&product(8, "f32", "let left = coopLoadT<coop_mat8x8<f16, A>>(&a[tile.x], 8u);").replacen(
            "enable",
            "enable f16; enable",
            1,
        ));
    assert!(
        matches!(&error, ModuleError::Cooperative { reason, .. } if reason.contains("element type")),
        "{error}"
    );
}

#[test]
fn factors_must_fit() {
    let body = "
        let left = coopLoadT<MatrixA>(&a[0], 8u);
        let right = coopLoadT<coop_mat16x16<f32, B>>(&b[0], 16u);
        coopStoreT(coopMultiplyAdd(left, right, MatrixC()), &d[0], 8u);";
    let error = refusal(&product(8, "f32", body));
    assert!(
        matches!(&error, ModuleError::Cooperative { reason, .. } if reason.contains("columns of A")),
        "{error}"
    );
}

#[test]
fn groups_that_do_not_fit_are_refused() {
    for subgroup in [0, 4, 12, 64] {
        let error = coop_to_loops(done(&product(8, "f32", MATMUL_8)), subgroup).unwrap_err();
        assert!(matches!(error, ModuleError::Cooperative { .. }), "{subgroup}: {error}");
    }
}

#[test]
fn the_index_of_a_store_is_evaluated_before_the_store() {
    let module =
        crate::module::parse(&product(8, "f32", "coopStoreT(MatrixC(), &d[tile.x * 64u + tile.y], 8u);"))
            .unwrap();
    assert!(specialize(module).is_ok());
}

#[test]
fn operations_that_invocations_do_not_reach_together_are_refused() {
    let refused = [
        "if lane < 4u { coopStoreT(MatrixC(), &d[0], 8u); }",
        "var n = 1u; if lane < 4u { n = 2u; } if n == 1u { coopStoreT(MatrixC(), &d[0], 8u); }",
        "for (var i = 0u; i < 9u; i++) { if i > lane { break; } coopStoreT(MatrixC(), &d[i], 8u); }",
        "if d[0] > 1.0 { let m = coopLoadT<MatrixA>(&a[0], 8u); coopStoreT(m, &d[0], 8u); }",
        "if tile.x > 4u { if lane == 3u { return; } } workgroupBarrier();",
        "for (var i = 0u; i < lane; i++) { workgroupBarrier(); }",
    ];
    for body in refused {
        let source = product(8, "f32", body)
            .replace("tile: vec3<u32>", "tile: vec3<u32>, @builtin(local_invocation_index) lane: u32");
        let error = refusal(&source);
        assert!(matches!(error, ModuleError::Divergent { .. }), "{body}: {error}");
    }
}

#[test]
fn operations_under_uniform_conditions_are_accepted() {
    let accepted = [
        "for (var i = 0u; i < 9u; i++) { if i + 1u < tile.y { coopStoreT(MatrixC(), &d[i], 8u); } workgroupBarrier(); }",
        "if a[tile.x] > 1.0 { coopStoreT(MatrixC(), &d[0], 8u); } else { workgroupBarrier(); }",
        "var n = 0u; loop { if n > tile.x { break; } if n == 3u { n += 2u; continue; } workgroupBarrier(); n += 1u; }",
        "if lane == 0u { d[0] = 1.0; } workgroupBarrier(); coopStoreT(MatrixC(), &d[0], 8u);",
    ];
    for body in accepted {
        done(
            &product(8, "f32", body)
                .replace("tile: vec3<u32>", "tile: vec3<u32>, @builtin(local_invocation_index) lane: u32"),
        );
    }
}

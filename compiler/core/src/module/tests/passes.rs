//! What each pass writes.

use super::{check, done, kernel, refusal, text};
use crate::module::{ModuleError, parse};

#[test]
fn a_call_becomes_the_callee_and_takes_the_callers_name() {
    check(
        "fn src_read(x: u32, s: u32) -> f32 { let texel = src[x * 4u + s]; return texel; }",
        "let value = src_read(id.x, 2u); dst[id.x] = value * value;",
        "let value = src[((id.x * 4u) + 2u)];
         dst[id.x] = (value * value);",
    );
}

#[test]
fn a_local_of_a_callee_is_initialised_on_every_call() {
    check(
        "fn twice(x: u32) -> f32 { var sum = 1.0; for (var i = 0u; i < x; i++) { sum += src[i]; } return sum; }",
        "for (var k = 0u; k < id.y; k++) { dst[k] = twice(k); }",
        "var k: u32 = 0u;
         var sum: f32;
         var i: u32;
         loop {
         let k_1 = k;
         if (k_1 >= id.y) {
         break;
         }
         sum = 1f;
         i = 0u;
         loop {
         let i_1 = i;
         if (i_1 >= k_1) {
         break;
         }
         let sum_1 = sum;
         let src_value = src[i_1];
         sum = (sum_1 + src_value);
         i = (i_1 + 1u);
         }
         let sum_2 = sum;
         dst[k_1] = sum_2;
         k = (k_1 + 1u);
         }",
    );
}

#[test]
fn pointers_to_locals_are_passed_by_name() {
    check(
        "fn add(sum: ptr<function, f32>, value: f32) { *sum = *sum + value; }",
        "var total = src[0]; add(&total, src[1]); add(&total, src[2]); dst[id.x] = total;",
        "let total = src[0];
         let src_value = src[1];
         let total_1 = (total + src_value);
         let src_value_1 = src[2];
         let total_2 = (total_1 + src_value_1);
         dst[id.x] = total_2;",
    );
}

#[test]
fn a_return_in_each_branch_is_one_exit() {
    check(
        "fn pick(x: u32) -> f32 { if x > 2u { return src[0]; } else { return src[1]; } }",
        "dst[id.x] = pick(id.x);",
        "var pick: f32;
         if (id.x > 2u) {
         let src_value = src[0];
         pick = src_value;
         } else {
         let src_value_1 = src[1];
         pick = src_value_1;
         }
         let pick_1 = pick;
         dst[id.x] = pick_1;",
    );
}

#[test]
fn an_early_return_is_refused_by_name() {
    let source = kernel(
        "fn pick(x: u32) -> f32 { if x > 2u { return src[0]; } return src[1]; }",
        "dst[id.x] = pick(id.x);",
    );
    assert!(matches!(refusal(&source), ModuleError::NotSingleExit { function } if function == "pick"));
}

#[test]
fn constants_and_identities_of_integers_fold() {
    check(
        "const ONE: u32 = 1u; const ZERO: u32 = 0u; const W: u32 = 6u;",
        "dst[((id.x * ONE + ZERO) / ONE) * W * 2u + id.y % ONE + min(W, 9u)] = src[max(id.x, 0u) + 1u + 2u];",
        "let src_value = src[(id.x + 3u)];
         dst[((id.x * 12u) + 6u)] = src_value;",
    );
}

#[test]
fn dead_branches_selects_and_loops_vanish() {
    check(
        "const FUSED: bool = false; const COUNT: u32 = 0u; const MODE: u32 = 2u;",
        "var value = src[id.x];
         if FUSED { value = 0.0; } else { value *= 2.0; }
         for (var i = 0u; i < COUNT; i++) { value += src[i]; }
         switch MODE { case 1u: { value = 1.0; } case 2u: { value += 3.0; } default: { value = 4.0; } }
         dst[id.x] = select(value, -value, FUSED);",
        "let value = src[id.x];
         let value_1 = (value * 2f);
         let value_2 = (value_1 + 3f);
         dst[id.x] = value_2;",
    );
}

#[test]
fn masks_that_are_known_to_be_full_vanish() {
    check(
        "const CHANNELS: u32 = 8u;",
        "let v = vec4<f32>(src[id.x]) * vec4<f32>(1.0, 2.0, 3.0, 4.0);
         let live = vec4<bool>(CHANNELS % 4u == 0u) | (vec4<u32>(id.x) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(CHANNELS));
         dst[id.x] = dot(select(vec4<f32>(0.0), v, live), vec4<f32>(1.0));",
        "let src_value = src[id.x];
         let v = (vec4(src_value) * vec4<f32>(1f, 2f, 3f, 4f));
         dst[id.x] = dot(v, vec4(1f));",
    );
}

#[test]
fn floats_are_not_reassociated_and_keep_products_with_zero() {
    check(
        "",
        "dst[id.x] = (src[0] + 1.0) + 2.0 + src[1] * 0.0 + src[2] * 1.0;",
        "let src_value = src[0];
         let src_value_1 = src[1];
         let src_value_2 = src[2];
         dst[id.x] = ((((src_value + 1f) + 2f) + (src_value_1 * 0f)) + src_value_2);",
    );
}

#[test]
fn parts_of_vectors_just_made_are_the_parts() {
    check(
        "",
        "let v = vec4<f32>(src[0], src[1], src[2], src[3]); let w = v.wzyx; dst[id.x] = w.x + vec3<f32>(2.0).y + v.xy.y;",
        "let src_value = src[1];
         let src_value_1 = src[3];
         dst[id.x] = ((src_value_1 + 2f) + src_value);",
    );
}

#[test]
fn conditions_joined_by_and_stay_one_expression_unless_they_guard_a_read() {
    check(
        "",
        "if id.x < 5u && id.y < 4u || id.z == 1u { dst[id.x] = 1.0; }",
        "if (((id.x < 5u) && (id.y < 4u)) || (id.z == 1u)) {
         dst[id.x] = 1f;
         }",
    );
    let guarded = text(&done(&kernel("", "if id.x < 5u && src[id.x] > 0.0 { dst[id.x] = 1.0; }")));
    assert!(!guarded.contains("&&"), "{guarded}");
}

#[test]
fn a_marked_loop_becomes_its_iterations_and_the_array_becomes_variables() {
    check(
        "const TILE: u32 = 2u;",
        "var acc: array<f32, 2>;
         for (var k = 0u; k < 3u; k++) {
             for (var u_i = 0u; u_i < TILE; u_i++) { acc[u_i] += src[k * TILE + u_i]; }
         }
         for (var u_i = 0u; u_i < TILE; u_i++) { dst[id.x * TILE + u_i] = acc[u_i]; }",
        "var k: u32 = 0u;
         var acc_0_: f32;
         var acc_1_: f32;
         loop {
         let k_1 = k;
         if (k_1 >= 3u) {
         break;
         }
         let acc_0_1 = acc_0_;
         let k_offset = (k_1 * 2u);
         let src_value = src[k_offset];
         acc_0_ = (acc_0_1 + src_value);
         let acc_1_1 = acc_1_;
         let src_value_1 = src[(k_offset + 1u)];
         acc_1_ = (acc_1_1 + src_value_1);
         k = (k_1 + 1u);
         }
         let id_x_offset = (id.x * 2u);
         let acc_0_2 = acc_0_;
         dst[id_x_offset] = acc_0_2;
         let acc_1_2 = acc_1_;
         dst[(id_x_offset + 1u)] = acc_1_2;",
    );
}

#[test]
fn nested_and_descending_marked_loops_unroll() {
    check(
        "",
        "var grid: array<array<f32, 2>, 2>;
         for (var u_i = 1i; u_i >= 0i; u_i -= 1i) { for (var u_j = 0i; u_j < 2i; u_j++) { grid[u_i][u_j] = src[u_i * 2i + u_j]; } }
         dst[id.x] = grid[0][1] - grid[1][0];",
        "let grid_1_0_ = src[2];
         let grid_0_1_ = src[1];
         dst[id.x] = (grid_0_1_ - grid_1_0_);",
    );
}

#[test]
fn an_array_with_a_computed_index_stays() {
    let kept = text(&done(&kernel(
        "",
        "var table: array<f32, 4>; for (var u_i = 0u; u_i < 4u; u_i++) { table[u_i] = src[u_i]; } dst[id.x] = table[id.x];",
    )));
    assert!(kept.contains("var table: array<f32, 4>"), "{kept}");
}

#[test]
fn a_marked_loop_that_cannot_be_unrolled_says_why() {
    let reasons = [
        ("for (var u_i = 0u; u_i < id.x; u_i++) { dst[u_i] = 1.0; }", "bound"),
        ("for (var u_i = id.x; u_i < 4u; u_i++) { dst[u_i] = 1.0; }", "first value"),
        ("for (var u_i = 0u; u_i < 4u; u_i++) { if id.x == 3u { break; } dst[u_i] = 1.0; }", "`break`"),
        ("for (var u_i = 0u; u_i < 4u; u_i++) { if id.x == 3u { continue; } dst[u_i] = 1.0; }", "`continue`"),
        ("for (var u_i = 0u; u_i < 4u; u_i++) { u_i += id.x; }", "changes the counter"),
        ("for (var u_i = 0u; u_i < 4u; u_i += 0u) { dst[u_i] = 1.0; }", "too often"),
    ];
    for (body, reason) in reasons {
        let error = refusal(&kernel("", body)).to_string();
        assert!(error.contains("`u_i`") && error.contains(reason), "{body}: {error}");
    }
}

#[test]
fn too_much_unrolling_is_refused() {
    let body = "for (var u_i = 0u; u_i < 200u; u_i++) { for (var u_j = 0u; u_j < 200u; u_j++) { dst[u_i * id.x + u_j] = 1.0; } }";
    assert!(matches!(refusal(&kernel("", body)), ModuleError::TooLarge { .. }));
}

#[test]
fn a_plain_loop_that_runs_once_is_its_body() {
    check(
        "const SLICES: u32 = 1u;",
        "var sum = 0.0; for (var s = 0u; s < SLICES; s++) { sum += src[id.x * SLICES + s]; } dst[id.x] = sum;",
        "let sum = src[id.x];
         dst[id.x] = sum;",
    );
}

#[test]
fn functions_constants_and_variables_that_nothing_uses_are_gone() {
    let text = text(&done(&kernel(
        "const UNUSED: u32 = 5u; const TABLE: array<f32, 2> = array<f32, 2>(1.0, 2.0); var<workgroup> tile: array<f32, 8>;
         fn unused() -> f32 { return src[0]; }",
        "var nothing = 3.0; nothing = 4.0; dst[id.x] = TABLE[id.x];",
    )));
    assert!(text.contains("const TABLE"), "{text}");
    for gone in ["UNUSED", "tile", "unused", "nothing"] {
        assert!(!text.contains(gone), "{gone} in {text}");
    }
}

/// Metal and OpenCL count the places of arguments.
#[test]
fn bound_variables_stay_that_nothing_reads() {
    let text = text(&done(
        "@group(0) @binding(0) var<storage, read> unread: array<vec4<f32>, 3>;
         @group(0) @binding(1) var plane: texture_2d<f32>;
         @group(0) @binding(2) var<storage, read_write> dst: array<f32>;
         fn value() -> f32 { return unread[2].x + textureLoad(plane, vec2<u32>(0u, 1u), 0u).x; }
         @compute @workgroup_size(1)
         fn kernel() { let nothing = value(); dst[0] = 1.0; }",
    ));
    for kept in ["var<storage> unread: array<vec4<f32>, 3>", "var plane: texture_2d<f32>"] {
        assert!(text.contains(kept), "{kept} in {text}");
    }
    assert!(!text.contains("nothing"), "{text}");
}

#[test]
fn no_number_of_an_expression_is_printed() {
    let text = text(&done(&kernel(
        "",
        "let v = vec4<f32>(src[0], 1.0, 2.0, src[3]) * src[1]; dst[id.x] = dot(v, v) + length(v) + f32(id.x / 3u + id.x / 3u);",
    )));
    assert!(!text.contains("_e"), "{text}");
}

#[test]
fn text_that_does_not_parse_shows_the_line() {
    let error = parse("fn broken() {\n    let x = 1u +;\n}").unwrap_err().to_string();
    assert!(error.contains("let x = 1u +;") && error.contains('^'), "{error}");
    let error = parse("fn broken() -> f32 {\n    return 1u;\n}").unwrap_err().to_string();
    assert!(error.contains("return 1u;"), "{error}");
}

#[test]
fn an_override_is_outside_the_dialect() {
    let source = kernel("override SIZE: u32 = 4u;", "dst[id.x] = f32(SIZE);");
    assert!(matches!(refusal(&source), ModuleError::OutsideDialect { place, .. } if place == "SIZE"));
}

#[test]
fn the_same_text_gives_the_same_module() {
    let source = kernel(
        "",
        "var a: array<f32, 3>; for (var u_i = 0u; u_i < 3u; u_i++) { a[u_i] = src[u_i]; } dst[id.x] = a[0] + a[1] + a[2];",
    );
    assert_eq!(text(&done(&source)), text(&done(&source)));
}

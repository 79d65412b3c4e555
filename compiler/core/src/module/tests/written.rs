//! How the passes that run last write a kernel.

use super::check;

#[test]
fn a_loop_keeps_a_block_that_a_continue_goes_to() {
    check(
        "",
        "for (var k = 0u; k < id.y; k++) { if src[k] < 0.0 { continue; } dst[k] = 1.0; }",
        "var k: u32 = 0u;
         loop {
         let k_1 = k;
         if (k_1 >= id.y) {
         break;
         }
         let src_value = src[k_1];
         if (src_value < 0f) {
         continue;
         }
         dst[k_1] = 1f;
         continuing {
         let k_2 = k;
         k = (k_2 + 1u);
         }
         }",
    );
}

#[test]
fn a_branch_that_does_nothing_asks_for_the_opposite() {
    // Neither holds for NaN, so of floats the whole question is turned.
    check(
        "",
        "if id.x < 2u { } else { dst[0] = 1.0; }
         if src[0] < src[1] { } else { dst[1] = 1.0; }",
        "if (id.x >= 2u) {
         dst[0] = 1f;
         }
         let src_value = src[0];
         let src_value_1 = src[1];
         if !((src_value < src_value_1)) {
         dst[1] = 1f;
         }",
    );
}

#[test]
fn a_loop_with_break_if_ends_with_a_branch() {
    check(
        "",
        "var k = 0u; loop { dst[k] = 1.0; continuing { k++; break if k >= 4u; } }",
        "var k: u32 = 0u;
         loop {
         let k_1 = k;
         dst[k_1] = 1f;
         let k_2 = (k_1 + 1u);
         k = k_2;
         if (k_2 >= 4u) {
         break;
         }
         }",
    );
}

#[test]
fn what_is_computed_once_has_the_name_of_its_use() {
    check(
        "",
        "dst[(id.x / 3u) * 4u + id.y] = src[id.x * 4u] + src[id.x * 4u + 1u];
         dst[(id.x / 3u) * 4u + id.y + 1u] = 1.0;",
        "let dst_index = (((id.x / 3u) * 4u) + id.y);
         let id_x_offset = (id.x * 4u);
         let src_value = src[id_x_offset];
         let src_value_1 = src[(id_x_offset + 1u)];
         dst[dst_index] = (src_value + src_value_1);
         dst[(dst_index + 1u)] = 1f;",
    );
}

#[test]
fn a_sum_with_a_constant_is_written_again() {
    check(
        "",
        "if id.x + 1u < 4u { dst[id.x + 1u] = 1.0; }",
        "if ((id.x + 1u) < 4u) {
         dst[(id.x + 1u)] = 1f;
         }",
    );
}

#[test]
fn memory_is_read_as_often_as_it_was() {
    check(
        "",
        "dst[0] = dst[1]; dst[2] = dst[1];",
        "let dst_value = dst[1];
         dst[0] = dst_value;
         let dst_value_1 = dst[1];
         dst[2] = dst_value_1;",
    );
}

#[test]
fn a_value_of_one_branch_is_none_of_the_other() {
    check(
        "",
        "if id.x < 2u { dst[id.y * 4u] = 1.0; } else { dst[id.y * 4u] = 2.0; }",
        "if (id.x < 2u) {
         dst[(id.y * 4u)] = 1f;
         } else {
         dst[(id.y * 4u)] = 2f;
         }",
    );
}

#[test]
fn a_float_is_not_kept_over_a_barrier_and_an_index_is() {
    check(
        "",
        "let a = src[0]; let b = src[1];
         dst[id.x * 4u] = a * b;
         workgroupBarrier();
         dst[id.x * 4u + 1u] = a * b; dst[id.x * 4u + 2u] = a * b;",
        "let a = src[0];
         let b = src[1];
         let id_x_offset = (id.x * 4u);
         dst[id_x_offset] = (a * b);
         workgroupBarrier();
         let value = (a * b);
         dst[(id_x_offset + 1u)] = value;
         dst[(id_x_offset + 2u)] = value;",
    );
}

#[test]
fn a_variable_that_only_its_initialiser_sets_is_a_value() {
    check(
        "",
        "var largest = vec2<f32>(-1.0); largest = max(largest, vec2<f32>(src[0], src[1])); dst[0] = largest.x + largest.y;",
        "let src_value = src[0];
         let src_value_1 = src[1];
         let largest = max(vec2(-1f), vec2<f32>(src_value, src_value_1));
         dst[0] = (largest.x + largest.y);",
    );
}

#[test]
fn a_long_value_has_its_parts_on_lines_of_their_own() {
    check(
        "fn part(s: u32) -> f32 { return select(0.0, src[min(s, 40u) * 12u + id_of(s)], s < 40u); }
         fn id_of(s: u32) -> u32 { return s % 7u; }",
        "let texel = vec4<f32>(part(id.x), part(id.x + 1u), part(id.x + 2u), part(id.x + 3u)); dst[0] = dot(texel, texel);",
        "let src_value = src[((min(id.x, 40u) * 12u) + (id.x % 7u))];
         let texel_x = select(0f, src_value, (id.x < 40u));
         let index = (id.x + 1u);
         let src_value_1 = src[((min(index, 40u) * 12u) + (index % 7u))];
         let texel_y = select(0f, src_value_1, (index < 40u));
         let index_1 = (id.x + 2u);
         let src_value_2 = src[((min(index_1, 40u) * 12u) + (index_1 % 7u))];
         let texel_z = select(0f, src_value_2, (index_1 < 40u));
         let index_2 = (id.x + 3u);
         let src_value_3 = src[((min(index_2, 40u) * 12u) + (index_2 % 7u))];
         let texel_w = select(0f, src_value_3, (index_2 < 40u));
         let texel = vec4<f32>(texel_x, texel_y, texel_z, texel_w);
         dst[0] = dot(texel, texel);",
    );
}

//! Matrix products, normalisations and what they take over.

use super::{check, unchanged};

#[test]
fn matmul_absorbs_transpose() {
    check(
        "matmul-absorbs-transpose",
        "%a: f32[2,3,5]
         %b: f32[2,4,5]
         %t = transpose %b {perm=[0,2,1]}
         %y = matmul %a, %t
         return %y",
        "%a: f32[2,3,5]
         %b: f32[2,4,5]
         %y = matmul %a, %b {transpose_b=true}
         return %y",
    );
}

/// Heads change places with rows; the innermost axis stays where it is.
#[test]
fn matmul_absorbs_transpose_of_the_last_axes_only() {
    check(
        "matmul-absorbs-transpose",
        "%a: f32[2,3,6,5]
         %b: f32[2,4,3,5]
         %t = transpose %b {perm=[0,2,3,1]}
         %y = matmul %a, %t
         return %y",
        "%a: f32[2,3,6,5]
         %b: f32[2,4,3,5]
         %t = transpose %b {perm=[0,2,1,3]}
         %y = matmul %a, %t {transpose_b=true}
         return %y",
    );
}

#[test]
fn matmul_hoists_scale() {
    check(
        "matmul-hoists-scale",
        "%a: f16[2,3,5]
         %b: f16[2,5,4]
         @s: f16[1] = [0.5]
         @t: f16[] = 4.0
         %1 = mul %a, @s
         %2 = div %b, @t
         %y = matmul %1, %2
         return %y",
        "%a: f16[2,3,5]
         %b: f16[2,5,4]
         %y = matmul %a, %b epilogue(mul 0.125)
         return %y",
    );
    unchanged(
        "%a: i32[3,5]
         %b: i32[5,4]
         @s: i32[] = 2
         %1 = mul %a, @s
         %y = matmul %1, %b
         return %y",
    );
}

#[test]
fn matmul_absorbs_expand() {
    check(
        "matmul-absorbs-expand",
        "%a: f32[2,3,5]
         %b: f32[1,5,4]
         %e = expand %b {shape=[2,5,4]}
         %y = matmul %a, %e
         return %y",
        "%a: f32[2,3,5]
         %b: f32[1,5,4]
         %y = matmul %a, %b
         return %y",
    );
}

/// The halves of a gated unit need no copies.
#[test]
fn matmul_absorbs_slice() {
    check(
        "matmul-absorbs-slice",
        "%a: f32[3,2]
         @w: f32[2,4] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
         @b: f32[4] = [0.5, -1.0, -2.0, -3.0]
         %1 = matmul %a, @w
         %2 = add @b, %1
         %l = slice %2 {axes=[1], starts=[0], counts=[2]}
         %r = slice %2 {axes=[1], starts=[2], counts=[2]}
         %y = mul %l, %r
         return %y",
        "%a: f32[3,2]
         @v: f32[2,2] = [1.0, 2.0, 5.0, 6.0]
         @w: f32[2,2] = [3.0, 4.0, 7.0, 8.0]
         @b: f32[2] = [0.5, -1.0]
         @c: f32[2] = [-2.0, -3.0]
         %1 = matmul %a, @v
         %l = add @b, %1
         %2 = matmul %a, @w
         %r = add @c, %2
         %y = mul %l, %r
         return %y",
    );
    check(
        "matmul-absorbs-slice",
        "%a: f32[3,2]
         @w: f32[3,2] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
         %1 = matmul %a, @w {transpose_b=true}
         %y = slice %1 {axes=[1], starts=[1], counts=[2]}
         return %y",
        "%a: f32[3,2]
         @w: f32[2,2] = [3.0, 4.0, 5.0, 6.0]
         %y = matmul %a, @w {transpose_b=true}
         return %y",
    );
}

#[test]
fn a_product_that_is_read_whole_or_twice_stays_whole() {
    for reader in ["%r = tanh %1", "%r = slice %1 {axes=[1], starts=[1], counts=[2]}"] {
        unchanged(&format!(
            "%a: f32[3,2]
             @w: f32[2,4] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
             %1 = matmul %a, @w
             %l = slice %1 {{axes=[1], starts=[0], counts=[2]}}
             {reader}
             return %l, %r"
        ));
    }
}

/// A decoder with grouped queries repeats its cache for each query of a group.
#[test]
fn matmul_absorbs_repeat() {
    check(
        "matmul-absorbs-repeat",
        "%q: f32[1,6,1,5]
         %k: f32[1,2,7,5]
         %1 = reshape %k {shape=[1,2,1,7,5]}
         %2 = expand %1 {shape=[1,2,3,7,5]}
         %3 = reshape %2 {shape=[1,6,7,5]}
         %4 = transpose %3 {perm=[0,1,3,2]}
         %y = matmul %q, %4
         return %y",
        "%q: f32[1,6,1,5]
         %k: f32[1,2,7,5]
         %1 = reshape %q {shape=[1,2,3,5]}
         %2 = matmul %1, %k {transpose_b=true}
         %y = reshape %2 {shape=[1,6,1,7]}
         return %y",
    );
    unchanged(
        "%q: f32[1,6,2,5]
         %k: f32[1,2,1,5,7]
         %2 = expand %k {shape=[1,2,3,5,7]}
         %3 = reshape %2 {shape=[1,6,5,7]}
         %y = matmul %q, %3
         return %y",
    );
}

const RMS: [&str; 4] = [
    "%q = pow %x, @two
     %m = reduce_mean %q {axes=[2], keep_dims=true}
     %e = add %m, @eps
     %r = sqrt %e
     %i = reciprocal %r
     %n = mul %x, %i",
    "%q = mul %x, %x
     %m = reduce_mean %q {axes=[2], keep_dims=true}
     %e = add @eps, %m
     %r = sqrt %e
     %n = div %x, %r",
    "%q = pow %x, @two
     %m = reduce_mean %q {axes=[2], keep_dims=true}
     %e = add %m, @eps
     %i = pow %e, @minus_half
     %n = mul %i, %x",
    "%q = pow %x, @two
     %m = reduce_mean %q {axes=[2], keep_dims=true}
     %e = add %m, @eps
     %r = sqrt %e
     %i = div @one, %r
     %n = mul %x, %i",
];

const RMS_CONSTANTS: &str = "%x: f32[2,3,5]
     @two: f32[] = 2.0
     @one: f32[] = 1.0
     @eps: f32[1] = [0.000001]
     @minus_half: f32[] = -0.5";

#[test]
fn rms_norm() {
    for body in RMS {
        check(
            "rms-norm",
            &format!("{RMS_CONSTANTS}\n{body}\nreturn %n"),
            "%x: f32[2,3,5]
             @s: f32[5] = splat(1.0)
             %n = rms_norm %x, @s {axis=2, epsilon=9.999999974752427e-7}
             return %n",
        );
    }
}

#[test]
fn rms_norm_absorbs_scale() {
    // Gemma's scale is an offset from one.
    let body = RMS[0];
    check(
        "rms-norm-absorbs-scale",
        &format!(
            "{RMS_CONSTANTS}
             @w: f32[1,1,5] = [0.0, 1.0, -2.0, 0.5, 3.0]
             {body}
             %s = add @w, @one
             %y = mul %n, %s
             return %y"
        ),
        "%x: f32[2,3,5]
         @s: f32[5] = [1.0, 2.0, -1.0, 1.5, 4.0]
         %y = rms_norm %x, @s {axis=2, epsilon=9.999999974752427e-7}
         return %y",
    );
}

/// Models in f16 compute the statistics in f32.
#[test]
fn accumulation_absorbs_casts() {
    check(
        "accumulation-absorbs-casts",
        "%x: f16[2,3,5]
         @w: f16[5] = [0.25, 1.0, -2.0, 0.5, 3.0]
         @two: f32[] = 2.0
         @eps: f32[1] = [0.000001]
         %c = cast %x {to=f32}
         %q = pow %c, @two
         %m = reduce_mean %q {axes=[2], keep_dims=true}
         %e = add %m, @eps
         %r = sqrt %e
         %i = reciprocal %r
         %n = mul %c, %i
         %h = cast %n {to=f16}
         %y = mul @w, %h
         return %y",
        "%x: f16[2,3,5]
         @w: f16[5] = [0.25, 1.0, -2.0, 0.5, 3.0]
         %y = rms_norm %x, @w {axis=2, epsilon=9.999999974752427e-7}
         return %y",
    );
    check(
        "accumulation-absorbs-casts",
        "%x: f16[2,3,5]
         %c = cast %x {to=f32}
         %s = softmax %c {axis=2}
         %y = cast %s {to=f16}
         return %y",
        "%x: f16[2,3,5]
         %y = softmax %x {axis=2}
         return %y",
    );
    // Gemma's scale is computed in f32.
    check(
        "accumulation-absorbs-casts",
        "%x: f16[2,3,5]
         @w: f32[5] = [0.1, 1.0, -2.0, 0.5, 3.0]
         %c = cast %x {to=f32}
         %n = rms_norm %c, @w {axis=2, epsilon=0.001}
         %y = cast %n {to=f16}
         return %y",
        "%x: f16[2,3,5]
         @w: f32[5] = [0.1, 1.0, -2.0, 0.5, 3.0]
         %y = rms_norm %x, @w {axis=2, epsilon=0.001}
         return %y",
    );
}

#[test]
fn sigmoid() {
    check(
        "sigmoid",
        "%x: f32[2,3]
         @one: f32[] = 1.0
         %1 = neg %x
         %2 = exp %1
         %3 = add %2, @one
         %y = reciprocal %3
         %z = div %x, %3
         return %y, %z",
        "%x: f32[2,3]
         %y = sigmoid %x
         %z = silu %x
         return %y, %z",
    );
}

#[test]
fn an_expanded_inner_axis_stays_whatever_its_size() {
    unchanged(
        "%x: f32[n,1]
         %w: f32[n,1]
         %1 = expand %x {shape=[n,n]}
         %y = matmul %1, %w
         return %y",
    );
}

#[test]
fn extreme_scales_stay_where_they_are() {
    unchanged(
        "%x: f32[2,3]
         %w: f32[3,2]
         @tiny: f32[] = 1e-30
         @huge: f32[] = 1e30
         %1 = mul %x, @tiny
         %2 = mul %w, @huge
         %y = matmul %1, %2
         return %y",
    );
}

/// Operations after the rewrite, with the element type of each result.
fn operations(source: &str) -> Vec<(&'static str, drift_ir::ElementType)> {
    let (graph, _) = super::simplify(super::parse(source), &super::Rules::default());
    let of = |id| (graph.node(id).op.name(), graph.value(graph.node(id).outputs[0]).ty.element);
    graph.nodes().map(of).collect()
}

#[test]
fn products_of_bytes_are_those_of_floats() {
    use drift_ir::ElementType::{F32, I32};
    let found = operations(
        "%a: u8[2,3]
         @z: i32[] = 128
         @b: i32[3,2] = [1, 2, 3, 4, 5, 6]
         %1 = cast %a {to=i32}
         %2 = sub %1, @z
         %y = matmul %2, @b
         return %y",
    );
    let expected = [("cast", I32), ("sub", I32), ("cast", F32), ("matmul", F32), ("cast", I32)];
    assert_eq!(found, expected);
}

/// 255 times 255 times 258 is just below 2^24.
#[test]
fn products_of_many_bytes_go_in_exact_parts() {
    let graph = |k: u64| {
        format!(
            "%a: u8[2,{k}]
             %b: u8[{k},4]
             %1 = cast %a {{to=i32}}
             %2 = cast %b {{to=i32}}
             %y = matmul %1, %2
             return %y"
        )
    };
    let products = |k: u64| operations(&graph(k)).iter().filter(|(op, _)| *op == "matmul").count();
    assert_eq!([258, 259, 516, 517].map(products), [1, 2, 2, 3]);
}

/// Nothing is known of these integers, and no kernel multiplies them.
#[test]
fn products_of_any_integers_stay() {
    unchanged(
        "%a: i32[2,9]
         %b: i32[9,4]
         %y = matmul %a, %b
         return %y",
    );
}

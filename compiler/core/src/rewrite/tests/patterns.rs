//! Activations, normalisations, and what moves into weights.

use super::{check, unchanged};
use crate::rewrite::testing::{parse, report_of};
use crate::rewrite::{Declined, Rules, simplify};

/// The orders in which exporters write the erf form; the first is tiny BERT's.
#[test]
fn gelu_erf() {
    let factors = [
        "%d = div %h, @root
         %e = erf %d
         %s = add %e, @one
         %m = mul %s, @half
         %y = mul %h, %m",
        "%d = div %h, @root
         %e = erf %d
         %s = add @one, %e
         %m = mul %h, %s
         %y = mul %m, @half",
        "%d = mul %h, @inverse
         %e = erf %d
         %s = add %e, @one
         %m = mul @half, %h
         %y = mul %m, %s",
        "%d = div %h, @root
         %e = erf %d
         %s = add %e, @one
         %m = mul %s, %h
         %y = div %m, @two",
    ];
    for body in factors {
        let before = format!(
            "%x: f32[2,3,5]
             @b: f32[5] = [0.5, -1.0, 2.0, 0.0, 3.0]
             @root: f32[] = 1.4142135
             @inverse: f32[1] = [0.70710677]
             @one: f32[] = 1.0
             @half: f32[] = 0.5
             @two: f32[] = 2.0
             %h = add %x, @b
             {body}
             return %y"
        );
        check(
            "gelu-erf",
            &before,
            "%x: f32[2,3,5]
             @b: f32[5] = [0.5, -1.0, 2.0, 0.0, 3.0]
             %h = add %x, @b
             %y = gelu %h
             return %y",
        );
    }
}

#[test]
fn gelu_tanh() {
    let cubes = ["%c = pow %x, @three", "%q = mul %x, %x\n%c = mul %q, %x"];
    for cube in cubes {
        let before = format!(
            "%x: f32[2,3,5]
             @three: f32[] = 3.0
             @k: f32[] = 0.044715
             @r: f32[] = 0.7978846
             @one: f32[] = 1.0
             @half: f32[] = 0.5
             {cube}
             %k = mul @k, %c
             %a = add %x, %k
             %r = mul %a, @r
             %t = tanh %r
             %s = add %t, @one
             %h = mul %x, @half
             %y = mul %h, %s
             return %y"
        )
        .replace("@k", "@cubic")
        .replace("@r", "@root");
        check(
            "gelu-tanh",
            &before,
            "%x: f32[2,3,5]
             %y = gelu_tanh %x
             return %y",
        );
    }
}

#[test]
fn almost_gelu_stays() {
    unchanged(
        "%x: f32[2,3]
         @root: f32[] = 1.5
         @one: f32[] = 1.0
         @half: f32[] = 0.5
         %d = div %x, @root
         %e = erf %d
         %s = add %e, @one
         %m = mul %s, @half
         %y = mul %x, %m
         return %y",
    );
}

#[test]
fn silu() {
    check(
        "silu",
        "%x: f16[2,3]
         %s = sigmoid %x
         %y = mul %s, %x
         return %y",
        "%x: f16[2,3]
         %y = silu %x
         return %y",
    );
}

const LAYER_NORM: &str = "%x: f32[2,3,5]
     @two: f32[] = 2.0
     @eps: f32[] = 0.00001
     @scale: f32[5] = [1.0, 2.0, -1.0, 0.5, 0.0]
     @bias: f32[5] = [0.0, 1.0, 2.0, 3.0, -4.0]
     %m = reduce_mean %x {axes=[2], keep_dims=true}
     %d = sub %x, %m
     %q = pow %d, @two
     %v = reduce_mean %q {axes=[2], keep_dims=true}
     %e = add %v, @eps
     %r = sqrt %e
     %n = div %d, %r";

#[test]
fn layer_norm() {
    check(
        "layer-norm",
        &format!("{LAYER_NORM}\nreturn %n"),
        "%x: f32[2,3,5]
         @one: f32[5] = splat(1.0)
         %n = layer_norm %x, @one {axis=2, epsilon=0.000009999999747378752}
         return %n",
    );
}

#[test]
fn layer_norm_over_channels_of_an_image() {
    check(
        "layer-norm",
        "%x: f32[2,3,5,4]
         @two: f32[] = 2.0
         @eps: f32[] = 1e-6
         %m = reduce_mean %x {axes=[1], keep_dims=true}
         %d = sub %x, %m
         %q = pow %d, @two
         %v = reduce_mean %q {axes=[1], keep_dims=true}
         %e = add %v, @eps
         %r = sqrt %e
         %n = div %d, %r
         return %n",
        "%x: f32[2,3,5,4]
         @one: f32[3] = splat(1.0)
         %t = transpose %x {perm=[0,2,3,1]}
         %l = layer_norm %t, @one {axis=3, epsilon=0.0000009999999974752427}
         %n = transpose %l {perm=[0,3,1,2]}
         return %n",
    );
}

#[test]
fn layer_norm_absorbs_scale() {
    check(
        "layer-norm-absorbs-scale",
        &format!("{LAYER_NORM}\n%y = mul @scale, %n\nreturn %y"),
        "%x: f32[2,3,5]
         @scale: f32[5] = [1.0, 2.0, -1.0, 0.5, 0.0]
         %n = layer_norm %x, @scale {axis=2, epsilon=0.000009999999747378752}
         return %n as y"
            .replace("%n", "%y")
            .replace(" as y", "")
            .as_str(),
    );
}

#[test]
fn layer_norm_absorbs_bias() {
    check(
        "layer-norm-absorbs-bias",
        &format!("{LAYER_NORM}\n%s = mul %n, @scale\n%y = add %s, @bias\nreturn %y"),
        "%x: f32[2,3,5]
         @scale: f32[5] = [1.0, 2.0, -1.0, 0.5, 0.0]
         @bias: f32[5] = [0.0, 1.0, 2.0, 3.0, -4.0]
         %y = layer_norm %x, @scale, @bias {axis=2, epsilon=0.000009999999747378752}
         return %y",
    );
}

#[test]
fn softmax() {
    check(
        "softmax",
        "%x: f32[2,3,5]
         %m = reduce_max %x {axes=[1], keep_dims=true}
         %d = sub %x, %m
         %e = exp %d
         %s = reduce_sum %e {axes=[1], keep_dims=true}
         %y = div %e, %s
         return %y",
        "%x: f32[2,3,5]
         %y = softmax %x {axis=1}
         return %y",
    );
}

#[test]
fn conv_absorbs_scale() {
    check(
        "conv-absorbs-scale",
        "%x: f32[2,1,3,2]
         @w: f32[3,1,1,1] = [1.0, 2.0, 3.0]
         @b: f32[3] = [1.0, 0.0, -1.0]
         @c: f32[1,3,1,1] = [2.0, 0.0, -1.0]
         %1 = conv %x, @w, @b
         %y = mul @c, %1
         return %y",
        "%x: f32[2,1,3,2]
         @w: f32[3,1,1,1] = [2.0, 0.0, -3.0]
         @b: f32[3] = [2.0, 0.0, 1.0]
         %y = conv %x, @w, @b
         return %y",
    );
}

#[test]
fn conv_absorbs_bias() {
    check(
        "conv-absorbs-bias",
        "%x: f32[2,1,3,2]
         @w: f32[3,1,1,1] = [1.0, 2.0, 3.0]
         @c: f32[3,1,1] = [2.0, 0.0, -1.0]
         %1 = conv %x, @w
         %y = sub %1, @c
         return %y",
        "%x: f32[2,1,3,2]
         @w: f32[3,1,1,1] = [1.0, 2.0, 3.0]
         @b: f32[3] = [-2.0, 0.0, 1.0]
         %y = conv %x, @w, @b
         return %y",
    );
}

#[test]
fn a_conv_keeps_its_weights_when_others_need_its_result_or_the_constant_is_no_channel_vector() {
    let report = report_of(
        simplify,
        "%x: f32[1,1,3,3]
         @w: f32[3,1,1,1] = [1.0, 2.0, 3.0]
         @c: f32[3,1,1] = [2.0, 1.0, -1.0]
         %1 = conv %x, @w
         %y = mul %1, @c
         return %y, %1",
    );
    assert_eq!(report.declined[0].reason, Declined::GraphOutput { value: "1".to_owned() });
    unchanged(
        "%x: f32[1,1,3,3]
         @w: f32[3,1,1,1] = [1.0, 2.0, 3.0]
         @c: f32[3] = [2.0, 1.0, -1.0]
         %1 = conv %x, @w
         %y = mul %1, @c
         return %y",
    );
}

#[test]
fn elementwise_absorbs_expand() {
    check(
        "elementwise-absorbs-expand",
        "%x: f32[2,3]
         %m: f32[1,3]
         %e = expand %m {shape=[2,3]}
         %y = add %x, %e
         return %y",
        "%x: f32[2,3]
         %m: f32[1,3]
         %y = add %x, %m
         return %y",
    );
    unchanged(
        "%x: f32[1,3]
         %m: f32[1,3]
         %e = expand %m {shape=[2,3]}
         %y = add %x, %e
         return %y",
    );
}

#[test]
fn a_node_that_takes_over_stands_for_all_it_replaced() {
    let (after, _) = simplify(parse(&format!("{LAYER_NORM}\nreturn %n")), &Rules::default());
    let node = after.nodes().next().map(|id| after.node(id).origins.clone()).unwrap();
    assert_eq!(node, ["m", "d", "q", "v", "e", "r", "n"]);
}

#[test]
fn norm_expands_parameters() {
    check(
        "norm-expands-parameters",
        "%x: f32[2,3,2]
         %b: f32[1,2]
         @s: f32[] = 2.5
         %y = layer_norm %x, @s, %b {axis=1, epsilon=1e-5}
         return %y",
        "%x: f32[2,3,2]
         %b: f32[1,2]
         @s: f32[3,2] = splat(2.5)
         %1 = expand %b {shape=[3,2]}
         %y = layer_norm %x, @s, %1 {axis=1, epsilon=1e-5}
         return %y",
    );
    check(
        "norm-expands-parameters",
        "%x: f16[2,3]
         %s: f32[1]
         %y = rms_norm %x, %s {axis=1, epsilon=1e-5}
         return %y",
        "%x: f16[2,3]
         %s: f32[1]
         %1 = expand %s {shape=[3]}
         %y = rms_norm %x, %1 {axis=1, epsilon=1e-5}
         return %y",
    );
}

/// Sums and products in any order; halves of a tensor, or of a slice of one.
#[test]
fn rotary() {
    let sums = [
        "%a = mul %x, %c\n%b = mul %t, %s\n%y = add %a, %b",
        "%a = mul %c, %x\n%b = mul %s, %t\n%y = add %b, %a",
    ];
    for sum in sums {
        let before = format!(
            "%x: f32[1,2,3,8]
             %c: f32[1,1,3,8]
             %s: f32[3,8]
             %l = slice %x {{axes=[3], starts=[0], steps=[1], counts=[4]}}
             %h = slice %x {{axes=[3], starts=[4], steps=[1], counts=[4]}}
             %n = neg %h
             %t = concat %n, %l {{axis=3}}
             {sum}
             return %y"
        );
        check(
            "rotary",
            &before,
            "%x: f32[1,2,3,8]
             %c: f32[1,1,3,8]
             %s: f32[3,8]
             %r = reshape %s {shape=[1,1,3,8]}
             %y = rotary %x, %c, %r {turned=8}
             return %y",
        );
    }
    // The second half is not negated, halves are of another tensor, or are no halves.
    let left = |steps: &str| {
        let report = report_of(
            simplify,
            &format!(
                "%x: f32[2,8]\n%z: f32[2,8]\n%c: f32[2,8]\n%s: f32[2,8]\n{steps}\n%a = mul %x, %c\n%b = mul %t, %s\n\
                 %y = add %a, %b\nreturn %y"
            ),
        );
        assert_eq!(report.count("rotary"), 0);
    };
    let cut = |name: &str, of: &str, start: u64, count: u64| {
        format!("%{name} = slice %{of} {{axes=[1], starts=[{start}], steps=[1], counts=[{count}]}}\n")
    };
    let joined = "%n = neg %h\n%t = concat %n, %l {axis=1}";
    left(&format!("{}{}%t = concat %h, %l {{axis=1}}", cut("l", "x", 0, 4), cut("h", "x", 4, 4)));
    left(&format!("{}{}{joined}", cut("l", "z", 0, 4), cut("h", "z", 4, 4)));
    left(&format!("{}{}{joined}", cut("l", "x", 0, 6), cut("h", "x", 6, 2)));
    left(&format!("{}{}{joined}", cut("l", "x", 4, 4), cut("h", "x", 0, 4)));
}

/// GPT-NeoX's form: what turns is a slice, of which the halves have become slices of the whole.
#[test]
fn rotary_absorbs_rest() {
    let before = |rest: u64| {
        format!(
            "%x: f32[1,2,3,10]
             %c: f32[1,1,3,6]
             %s: f32[1,1,3,6]
             %p = slice %x {{axes=[3], starts=[0], steps=[1], counts=[6]}}
             %r = slice %x {{axes=[3], starts=[{rest}], steps=[1], counts=[{}]}}
             %l = slice %p {{axes=[3], starts=[0], steps=[1], counts=[3]}}
             %h = slice %p {{axes=[3], starts=[3], steps=[1], counts=[3]}}
             %n = neg %h
             %t = concat %n, %l {{axis=3}}
             %a = mul %p, %c
             %b = mul %t, %s
             %z = add %a, %b
             %y = concat %z, %r {{axis=3}}
             return %y",
            10 - rest
        )
    };
    check(
        "rotary-absorbs-rest",
        &before(6),
        "%x: f32[1,2,3,10]
         %c: f32[1,1,3,6]
         %s: f32[1,1,3,6]
         %y = rotary %x, %c, %s {turned=6}
         return %y",
    );
    let report = report_of(simplify, &before(7));
    assert_eq!((report.count("rotary"), report.count("rotary-absorbs-rest")), (1, 0));
}

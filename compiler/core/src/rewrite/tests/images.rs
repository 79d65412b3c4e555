//! Normalisation over groups, and padding that moves into windows.

use super::{check, unchanged};
use crate::rewrite::simplify;
use crate::rewrite::testing::report_of;

/// What torch writes for 2 groups of 3 channels.
const GROUPS: &str = "%x: f32[2,6,2,3]
         @ones: f32[2] = splat(1.0)
         @zeros: f32[2] = splat(0.0)
         @s: f32[6,1,1] = [1.0, -2.0, 0.5, 3.0, 1.5, 2.0]
         @b: f32[1,6,1,1] = [0.5, 1.0, 0.0, -1.0, 2.0, 3.0]
         %r = reshape %x {shape=[2,2,18]}
         %n = group_norm %r, @ones, @zeros {groups=2, epsilon=1e-5}
         %i = reshape %n {shape=[2,6,2,3]}";

#[test]
fn group_norm() {
    check(
        "group-norm",
        &format!("{GROUPS}\nreturn %i"),
        "%x: f32[2,6,2,3]
         %i = group_norm %x {groups=2, epsilon=1e-5}
         return %i",
    );
}

#[test]
fn group_norm_absorbs_scale() {
    check(
        "group-norm-absorbs-scale",
        &format!("{GROUPS}\n%y = mul @s, %i\nreturn %y"),
        "%x: f32[2,6,2,3]
         @s: f32[6] = [1.0, -2.0, 0.5, 3.0, 1.5, 2.0]
         %y = group_norm %x, @s {groups=2, epsilon=1e-5}
         return %y",
    );
}

#[test]
fn group_norm_absorbs_bias() {
    check(
        "group-norm-absorbs-bias",
        &format!("{GROUPS}\n%m = mul %i, @s\n%y = add %m, @b\nreturn %y"),
        "%x: f32[2,6,2,3]
         @s: f32[6] = [1.0, -2.0, 0.5, 3.0, 1.5, 2.0]
         @b: f32[6] = [0.5, 1.0, 0.0, -1.0, 2.0, 3.0]
         %y = group_norm %x, @s, @b {groups=2, epsilon=1e-5}
         return %y",
    );
    check(
        "group-norm-absorbs-bias",
        &format!("{GROUPS}\n%y = add %i, @b\nreturn %y"),
        "%x: f32[2,6,2,3]
         @s: f32[6] = splat(1.0)
         @b: f32[6] = [0.5, 1.0, 0.0, -1.0, 2.0, 3.0]
         %y = group_norm %x, @s, @b {groups=2, epsilon=1e-5}
         return %y",
    );
}

#[test]
fn a_group_norm_of_rows_that_are_no_groups_of_channels_stays() {
    // Batch items are merged with channels.
    unchanged(
        "%x: f32[2,6,2,3]
         %r = reshape %x {shape=[1,4,18]}
         %n = group_norm %r {groups=4, epsilon=1e-5}
         %y = reshape %n {shape=[2,6,2,3]}
         return %y",
    );
    // Groups begin within channels.
    unchanged(
        "%x: f32[2,6,2,3]
         %r = reshape %x {shape=[2,4,9]}
         %n = group_norm %r {groups=4, epsilon=1e-5}
         %y = reshape %n {shape=[2,6,2,3]}
         return %y",
    );
    // The scale of a row is that of a group, not of a channel.
    unchanged(
        "%x: f32[2,6,2,3]
         @s: f32[2] = [2.0, 3.0]
         %r = reshape %x {shape=[2,2,18]}
         %n = group_norm %r, @s {groups=2, epsilon=1e-5}
         %y = reshape %n {shape=[2,6,2,3]}
         return %y",
    );
    // A bias was added before the scale.
    unchanged(
        "%x: f32[2,2,3,3]
         @s: f32[2] = [2.0, 3.0]
         @b: f32[2] = [1.0, -1.0]
         @c: f32[2,1,1] = [4.0, 5.0]
         %n = group_norm %x, @s, @b {groups=2, epsilon=1e-5}
         %y = mul %n, @c
         return %y",
    );
    // The constant varies along the columns.
    unchanged(
        "%x: f32[2,3,3,3]
         @c: f32[3] = [4.0, 5.0, 6.0]
         %n = group_norm %x {groups=3, epsilon=1e-5}
         %y = mul %n, @c
         return %y",
    );
}

#[test]
fn conv_absorbs_pad() {
    check(
        "conv-absorbs-pad",
        "%x: f32[1,2,4,5]
         @w: f32[3,2,3,3] = random(1)
         %p = pad %x {pads=[0,0,0,2,0,0,1,1]}
         %y = conv %p, @w {pads=[1,0,0,0], strides=[1,2]}
         return %y",
        "%x: f32[1,2,4,5]
         @w: f32[3,2,3,3] = random(1)
         %y = conv %x, @w {pads=[1,2,1,1], strides=[1,2]}
         return %y",
    );
}

#[test]
fn pool_absorbs_pad() {
    let pools = [
        ("", "pad %x {pads=[0,0,1,1,0,0,1,1], value=-inf}", "pool_max %p", "pool_max %x", ""),
        ("%r = relu %x\n", "pad %r {pads=[0,0,1,1,0,0,1,1]}", "pool_max %p", "pool_max %r", ""),
        ("", "pad %x {pads=[0,0,1,1,0,0,1,1]}", "pool_average %p", "pool_average %x", ", count_padding=true"),
    ];
    for (first, pad, before, after, attribute) in pools {
        check(
            "pool-absorbs-pad",
            &format!(
                "%x: f32[1,2,5,7]\n{first}%p = {pad}\n%y = {before} {{kernel=[3,3], strides=[2,2]}}\nreturn %y"
            ),
            &format!(
                "%x: f32[1,2,5,7]\n{first}%y = {after} {{kernel=[3,3], strides=[2,2], pads=[1,1,1,1]{attribute}}}\nreturn %y"
            ),
        );
    }
}

#[test]
fn a_pad_that_a_window_does_not_mean_stays() {
    let pad = |pads: &str, node: &str| {
        format!(
            "%x: f32[1,2,5,7]\n@w: f32[3,2,3,3] = random(1)\n@v: f32[3,4,3,3] = random(1)\n%p = {pads}\n%y = {node}\nreturn %y"
        )
    };
    let around = "pad %x {pads=[0,0,1,1,0,0,1,1]}";
    for (pads, node) in [
        ("pad %x {pads=[0,0,1,1,0,0,1,1], value=1.0}", "conv %p, @w"),
        ("pad_edge %x {pads=[0,0,1,1,0,0,1,1]}", "conv %p, @w"),
        ("pad %x {pads=[0,1,1,1,0,1,1,1]}", "conv %p, @v"),
        (around, "pool_max %p {kernel=[3,3]}"),
        (around, "pool_average %p {kernel=[3,3], pads=[1,1,1,1]}"),
    ] {
        unchanged(&pad(pads, node));
    }
    // The lowest number wins over a window of minus infinities, and -0 may win over 0.
    unchanged(&pad("pad %x {pads=[0,0,1,1,0,0,1,1], value=-3.4028235e38}", "pool_max %p {kernel=[3,3]}"));
    unchanged(
        "%x: f32[1,2,5,7]
         %r = relu %x
         %p = pad %r {pads=[0,0,1,1,0,0,1,1], value=-0.0}
         %y = pool_max %p {kernel=[3,3]}
         return %y",
    );
    // A window of padding only has no largest element.
    let report = report_of(
        simplify,
        "%x: f32[1,1,4,4]
         %r = relu %x
         %p = pad %r {pads=[0,0,3,3,0,0,0,0]}
         %y = pool_max %p {kernel=[2,2]}
         return %y",
    );
    assert_eq!(report.declined[0].rule, "pool-absorbs-pad", "{report:#?}");
}

/// Every small pool behind every small pad: a rewrite either keeps type and numbers, or does not happen.
#[test]
fn padded_pools_compute_the_same_whatever_their_windows() {
    let kinds = [
        ("pool_max", "-inf", ""),
        ("pool_max", "-2.0", ""),
        ("pool_max", "0.0", ""),
        ("pool_average", "0.0", ""),
        ("pool_average", "0.0", ", count_padding=true"),
        ("pool_average", "1.0", ""),
        ("pool_lp", "0.0", ", p=2"),
    ];
    let windows = [(1, 1, 1), (2, 1, 1), (2, 2, 1), (3, 2, 1), (2, 1, 2), (3, 2, 2), (2, 3, 1)];
    let (mut pools, mut applied) = (0, 0);
    for (kind, value, more) in kinds {
        for (kernel, stride, dilation) in windows {
            for size in 3..=6 {
                for (begin, end, own) in
                    [(0, 1, 0), (1, 0, 0), (1, 1, 0), (0, 2, 0), (1, 1, 1), (0, 1, 1), (2, 2, 0)]
                {
                    for (ceil, before) in [(false, "neg"), (true, "neg"), (true, "relu")] {
                        let text = format!(
                            "%x: f32[1,1,{size}]\n%1 = {before} %x\n%2 = pad %1 {{value={value}, pads=[0,0,{begin},0,0,{end}]}}\n\
                             %3 = {kind} %2 {{kernel=[{kernel}], strides=[{stride}], dilations=[{dilation}], \
                             pads=[{own},{own}], ceil={ceil}{more}}}\n%y = reduce_mean %3 {{axes=[2], keep_dims=true}}\n\
                             return %y, %3"
                        );
                        // Pads as wide as the window are refused.
                        if drift_ir::text::parse(&text).is_err() {
                            continue;
                        }
                        pools += 1;
                        applied += report_of(simplify, &text).count("pool-absorbs-pad");
                    }
                }
            }
        }
    }
    assert!(pools > 2000 && applied > 500, "{applied} of {pools}");
}

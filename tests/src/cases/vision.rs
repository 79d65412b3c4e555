//! Images: pools, resampling, padding, normalisation over groups, transposed convolutions.

use super::{Case, case, golden};

pub(super) const CASES: &[Case] = &[
    // Pools.
    golden(
        "pool/max-3x3-stride2-c6",
        "%x: f32[1,6,9,7]\n%1 = pool_max %x {kernel=[3,3], strides=[2,2], pads=[1,1,1,1]} epilogue(relu)\nreturn %1",
    ),
    case(
        "pool/max-negatives-b2-c5",
        "%x: f32[2,5,6,9]\n%n = abs %x\n%m = neg %n\n%1 = pool_max %m {kernel=[2,3], pads=[1,1,0,2]}\nreturn %1",
    ),
    case(
        "pool/max-dilated",
        "%x: f32[1,4,9,8]\n%1 = pool_max %x {kernel=[3,2], dilations=[2,3], pads=[1,2,2,1]}\nreturn %1",
    ),
    case(
        "pool/max-ceil",
        "%x: f32[1,3,6,7]\n%1 = pool_max %x {kernel=[2,2], strides=[3,3], ceil=true}\nreturn %1",
    ),
    case(
        "pool/max-wide-window",
        "%x: f32[1,8,13,21]\n%1 = pool_max %x {kernel=[13,19], pads=[6,9,6,9]}\nreturn %1",
    ),
    case(
        "pool/max-blocks",
        "%x: f32[1,8,64,131]\n%1 = pool_max %x {kernel=[3,3], pads=[1,1,1,1]}\nreturn %1",
    ),
    case(
        "pool/average-blocks-stride2",
        "%x: f32[1,8,64,257]\n%1 = pool_average %x {kernel=[2,3], strides=[1,2], pads=[1,1,0,1]}\nreturn %1",
    ),
    case(
        "pool/max-wide-blocks",
        "%x: f32[1,4,128,131]\n%1 = pool_max %x {kernel=[1,15], pads=[0,7,0,7]}\nreturn %1",
    ),
    case("pool/average-one-pixel", "%x: f32[1,1,1,1]\n%1 = pool_average %x {kernel=[1,1]}\nreturn %1"),
    case(
        "pool/average-skips-padding",
        "%x: f32[2,6,5,9]\n%1 = pool_average %x {kernel=[3,3], strides=[2,1], pads=[1,1,1,1]}\nreturn %1",
    ),
    case(
        "pool/average-counts-padding",
        "%x: f32[1,7,5,9]\n%1 = pool_average %x {kernel=[3,3], strides=[2,2], pads=[1,1,0,1], count_padding=true}\nreturn %1",
    ),
    case(
        "pool/average-counts-padding-ceil",
        "%x: f32[1,4,6,8]\n%1 = pool_average %x {kernel=[3,3], strides=[2,2], pads=[0,1,0,0], count_padding=true, ceil=true}\nreturn %1",
    ),
    case(
        "pool/average-dilated",
        "%x: f32[1,5,7,9]\n%1 = pool_average %x {kernel=[3,3], dilations=[1,2], pads=[1,2,1,1]}\nreturn %1",
    ),
    case(
        "pool/average-signal",
        "%x: f32[2,5,16]\n%1 = pool_average %x {kernel=[4], strides=[3], pads=[1,2]}\nreturn %1",
    ),
    case(
        "pool/norms",
        "%x: f32[1,6,5,6]\n%1 = pool_lp %x {kernel=[3,3], pads=[1,1,1,1], p=1}\n%2 = pool_lp %x {kernel=[3,3], strides=[2,2], p=2}\n%3 = pool_lp %x {kernel=[2,2], p=3}\nreturn %1, %2, %3",
    ),
    case(
        "pool/after-conv",
        "%x: f32[1,6,14,14]\n@w: f32[10,6,1,1] = random(1)\n@v: f32[4,10,1,1] = random(2)\n%c = conv %x, @w\n%p = pool_max %c {kernel=[3,3], strides=[2,2], pads=[1,1,1,1]}\n%1 = conv %p, @v\nreturn %1",
    ),
    // Resampling.
    golden(
        "resize/linear-half-pixel-c6",
        "%x: f32[1,6,5,7]\n%1 = resize %x {axes=[2,3], sizes=[9,12], mode=linear, coordinates=half_pixel}\nreturn %1",
    ),
    case(
        "resize/linear-align-corners-down",
        "%x: f32[2,5,9,8]\n%1 = resize %x {axes=[2,3], sizes=[4,3], mode=linear, coordinates=align_corners}\nreturn %1",
    ),
    case(
        "resize/cubic-b2",
        "%x: f32[2,4,5,6]\n%1 = resize %x {axes=[2,3], sizes=[11,9], mode=cubic, coordinates=half_pixel}\nreturn %1",
    ),
    case(
        "resize/cubic-excludes-outside",
        "%x: f32[1,3,3,7]\n%1 = resize %x {axes=[2,3], sizes=[8,5], mode=cubic, coordinates=asymmetric, coefficient=-0.5, exclude_outside=true} epilogue(relu)\nreturn %1",
    ),
    case(
        "resize/nearest-leaves-out-the-last",
        "%x: f32[2,3,4,6]\n%1 = resize %x {axes=[2,3], sizes=[8,5], mode=nearest, nearest=floor, coordinates=asymmetric}\nreturn %1",
    ),
    case(
        "resize/nearest-fraction",
        "%x: f32[1,5,4,6]\n%1 = resize %x {axes=[2,3], sizes=[7,4], mode=nearest, nearest=round_prefer_ceil, coordinates=half_pixel}\nreturn %1",
    ),
    case(
        "resize/crop-extrapolates",
        "%x: f32[1,5,4,6]\n%1 = resize %x {axes=[2,3], sizes=[5,7], start_2=-0.25, end_2=0.75, start_3=0.25, end_3=1.5, mode=linear, coordinates=tf_crop_and_resize, extrapolation=-3.5}\nreturn %1",
    ),
    case(
        "resize/one-pixel",
        "%x: f32[1,1,1,1]\n%1 = resize %x {axes=[2,3], sizes=[3,2], mode=linear, coordinates=half_pixel}\nreturn %1",
    ),
    case(
        "resize/signal",
        "%x: f32[2,5,7]\n%1 = resize %x {axes=[2], sizes=[12], mode=linear, coordinates=half_pixel}\nreturn %1",
    ),
    case(
        "resize/one-axis",
        "%x: f32[1,6,5,7]\n%1 = resize %x {axes=[2], sizes=[8], mode=cubic, coordinates=half_pixel}\nreturn %1",
    ),
    case(
        "resize/channels-last",
        "%x: f32[2,4,5,6]\n%1 = resize %x {axes=[1,2], sizes=[7,8], mode=linear, coordinates=half_pixel}\nreturn %1",
    ),
    golden(
        "resize_repeat/by-2-c6",
        "%x: f32[1,6,5,7]\n%1 = resize %x {axes=[2,3], sizes=[10,14], scale_2=2.0, scale_3=2.0, mode=nearest, nearest=floor, coordinates=asymmetric} epilogue(silu)\nreturn %1",
    ),
    case(
        "resize_repeat/by-3-and-1-b2",
        "%x: f32[2,5,4,6]\n%1 = resize %x {axes=[2], sizes=[12], mode=nearest, coordinates=half_pixel}\nreturn %1",
    ),
    // Padding.
    golden("pad/image-c6", "%x: f32[1,6,4,5]\n%1 = pad %x {pads=[0,0,1,2,0,0,3,0], value=-1.5}\nreturn %1"),
    case("pad/everything-b2", "%x: f32[2,3,4,5]\n%1 = pad %x {pads=[1,2,0,1,0,1,2,3], value=0.5}\nreturn %1"),
    case("pad/edge", "%x: f32[2,5,3,4]\n%1 = pad_edge %x {pads=[0,1,4,2,0,2,1,5]}\nreturn %1"),
    case("pad/reflect", "%x: f32[1,5,4,6]\n%1 = pad_reflect %x {pads=[0,0,3,2,0,0,1,5]}\nreturn %1"),
    case("pad/wrap", "%x: f32[1,5,3,4]\n%1 = pad_wrap %x {pads=[0,3,7,2,0,6,1,5]}\nreturn %1"),
    case("pad/rows", "%x: f32[3,7]\n%1 = pad %x {pads=[0,1,0,0]}\nreturn %1"),
    case("pad/one", "%x: f32[1]\n%1 = pad_edge %x {pads=[2,3]}\nreturn %1"),
    case(
        "pad/integers-and-bools",
        "%i: i64[2,3]\n%b: bool[3]\n%1 = pad %i {pads=[1,0,0,2], value=-7.0}\n%2 = pad %b {pads=[1,1], value=1.0}\nreturn %1, %2",
    ),
    case(
        "pad/after-conv",
        "%x: f32[1,6,5,6]\n@w: f32[10,6,1,1] = random(1)\n%c = conv %x, @w\n%1 = pad_reflect %c {pads=[0,0,1,2,0,0,2,1]}\nreturn %1",
    ),
    // Normalisation over groups.
    golden(
        "group_norm/groups-of-8-b2",
        "%x: f32[2,16,3,5]\n@s: f32[16] = random(1)\n@b: f32[16] = random(2)\n%1 = group_norm %x, @s, @b {groups=2, epsilon=1e-5} epilogue(silu)\nreturn %1",
    ),
    case(
        "group_norm/instance-c6-b2",
        "%x: f32[2,6,5,7]\n@s: f32[6] = random(1)\n@b: f32[6] = random(2)\n%1 = group_norm %x, @s, @b {groups=6, epsilon=1e-5}\nreturn %1",
    ),
    case(
        "group_norm/pairs",
        "%x: f32[1,6,5,7]\n@s: f32[6] = random(1)\n%1 = group_norm %x, @s {groups=3, epsilon=1e-3}\nreturn %1",
    ),
    case(
        "group_norm/one-group-c5",
        "%x: f32[2,5,3,4]\n%1 = group_norm %x {groups=1, epsilon=1e-5}\nreturn %1",
    ),
    case(
        "group_norm/one-element",
        "%x: f32[1,1,1,1]\n%1 = group_norm %x {groups=1, epsilon=1e-2}\nreturn %1",
    ),
    case("group_norm/signal", "%x: f32[2,8,37]\n%1 = group_norm %x {groups=2, epsilon=1e-5}\nreturn %1"),
    case("group_norm/no-pixels", "%x: f32[3,8]\n%1 = group_norm %x {groups=2, epsilon=1e-5}\nreturn %1"),
    case("group_norm/volume", "%x: f32[1,8,2,3,4]\n%1 = group_norm %x {groups=2, epsilon=1e-5}\nreturn %1"),
    case(
        "group_norm/large-offset",
        "%x: f32[1,8,6,6]\n@o: f32[] = 1000.0\n%r = round %x\n%a = add %r, @o\n%1 = group_norm %a {groups=2, epsilon=1e-5}\nreturn %1",
    ),
    golden(
        "group_norm_moments/groups-of-3-b2",
        "%x: f32[2,6,5,7]\n@s: f32[6] = random(1)\n@b: f32[6] = random(2)\n%1 = group_norm %x, @s, @b {groups=2, epsilon=1e-5} epilogue(silu)\nreturn %1",
    ),
    golden(
        "group_norm_combine/groups-of-10",
        "%x: f32[1,20,9,65]\n@s: f32[20] = random(1)\n@b: f32[20] = random(2)\n%1 = group_norm %x, @s, @b {groups=2, epsilon=1e-5}\nreturn %1",
    ),
    golden(
        "group_norm_apply/large-groups",
        "%x: f32[1,8,65,67]\n%1 = group_norm %x {groups=2, epsilon=1e-5}\nreturn %1",
    ),
    case(
        "group_norm_moments/large-offset",
        "%x: f32[1,8,65,67]\n@o: f32[] = 1000.0\n%r = round %x\n%a = add %r, @o\n%1 = group_norm %a {groups=1, epsilon=1e-5}\nreturn %1",
    ),
    case(
        "group_norm_apply/residual",
        "%x: f32[1,6,9,7]\n%z: f32[1,6,9,7]\n@v: f32[6,1,1] = random(3)\n%1 = group_norm %x {groups=2, epsilon=1e-5} epilogue(mul @v; add %z)\nreturn %1",
    ),
    // Transposed convolutions.
    golden(
        "conv_transpose/3x3-stride2-c5-to-6",
        "%x: f32[1,5,4,5]\n@w: f32[5,6,3,3] = random(1)\n@b: f32[6] = random(2)\n%1 = conv_transpose %x, @w, @b {strides=[2,2], pads=[1,1,1,1], output_padding=[1,1]} epilogue(relu)\nreturn %1",
    ),
    case(
        "conv_transpose/4x4-stride4-b2",
        "%x: f32[2,8,3,4]\n@w: f32[8,4,4,4] = random(1)\n%1 = conv_transpose %x, @w {strides=[4,4]}\nreturn %1",
    ),
    case(
        "conv_transpose/stride1-dilated",
        "%x: f32[1,4,6,5]\n@w: f32[4,8,3,2] = random(1)\n%1 = conv_transpose %x, @w {pads=[1,0,2,1], dilations=[2,3]}\nreturn %1",
    ),
    case(
        "conv_transpose/stride-and-dilation",
        "%x: f32[1,4,5,4]\n@w: f32[4,5,3,3] = random(1)\n%1 = conv_transpose %x, @w {strides=[3,2], dilations=[2,2], output_padding=[1,0]}\nreturn %1",
    ),
    case(
        "conv_transpose/groups-of-4",
        "%x: f32[1,8,5,4]\n@w: f32[8,4,3,3] = random(1)\n%1 = conv_transpose %x, @w {groups=2, strides=[2,1]}\nreturn %1",
    ),
    case(
        "conv_transpose/depthwise",
        "%x: f32[2,6,5,4]\n@w: f32[6,1,2,3] = random(1)\n@b: f32[6] = random(2)\n%1 = conv_transpose %x, @w, @b {groups=6, strides=[2,2]}\nreturn %1",
    ),
    case(
        "conv_transpose/gap-between-taps",
        "%x: f32[1,3,4,3]\n@w: f32[3,5,1,1] = random(1)\n@b: f32[5] = random(2)\n%1 = conv_transpose %x, @w, @b {strides=[3,2]}\nreturn %1",
    ),
    case(
        "conv_transpose/one-pixel",
        "%x: f32[1,1,1,1]\n@w: f32[1,1,1,1] = random(1)\n%1 = conv_transpose %x, @w\nreturn %1",
    ),
    case(
        "conv_transpose/signal",
        "%x: f32[2,5,9]\n@w: f32[5,6,4] = random(1)\n%1 = conv_transpose %x, @w {strides=[2], pads=[1,1]}\nreturn %1",
    ),
    case(
        "conv_transpose/wide-blocks",
        "%x: f32[1,8,64,63]\n@w: f32[8,8,3,3] = random(1)\n%1 = conv_transpose %x, @w {strides=[2,2], pads=[1,1,0,0]}\nreturn %1",
    ),
];

//! Ops at computed places and along one axis: scatters, searches, running sums, softmax between other axes.

use super::{Case, case, golden};

pub(super) const CASES: &[Case] = &[
    golden("arg_reduce/last-axis-c7", "%x: f32[3,7]\n%1 = arg_max %x {axis=1}\nreturn %1"),
    case(
        "arg_reduce/axes",
        "%x: f32[2,9,3,6]\n%1 = arg_max %x {axis=1, keep_dims=true}\n%2 = arg_min %x {axis=0}\n%3 = arg_min %x {axis=3, keep_dims=true}\n%4 = arg_max %x {axis=2}\nreturn %1, %2, %3, %4",
    ),
    case(
        "arg_reduce/equals-of-integers",
        "%i: i64[4,300]\n%1 = arg_max %i {axis=1}\n%2 = arg_max %i {axis=1, last=true}\n%3 = arg_min %i {axis=0, last=true}\nreturn %1, %2, %3",
    ),
    case(
        "arg_reduce/images",
        "%x: f32[2,6,3,5]\n@w: f32[7,6,1,1] = random(1)\n%1 = conv %x, @w\n%2 = arg_max %1 {axis=1}\n%3 = arg_max %1 {axis=3, keep_dims=true}\nreturn %2, %3",
    ),
    case("arg_reduce/one", "%x: f32[1,1]\n%1 = arg_max %x {axis=1}\nreturn %1"),
    golden("softmax_axis/channels-of-an-image", "%x: f32[2,5,3,4]\n%1 = softmax %x {axis=1}\nreturn %1"),
    case("softmax_axis/long-axis-odd-channels", "%x: f32[2,300,7]\n%1 = softmax %x {axis=1}\nreturn %1"),
    case(
        "softmax_axis/first-axis-epilogue",
        "%x: f32[9,5]\n%y: f32[5]\n%1 = softmax %x {axis=0} epilogue(mul %y)\nreturn %1",
    ),
    case(
        "softmax_axis/of-a-convolution",
        "%x: f32[1,6,3,5]\n@w: f32[7,6,1,1] = random(1)\n%1 = conv %x, @w\n%2 = softmax %1 {axis=1}\nreturn %2",
    ),
    case("softmax/before-axes-of-one", "%x: f32[3,6,1,1]\n%1 = softmax %x {axis=1}\nreturn %1"),
    golden("cumsum/middle-axis", "%x: f32[2,5,6]\n%1 = cumsum %x {axis=1, exclusive=true}\nreturn %1"),
    case("cumsum/reverse", "%x: f32[4,3,5]\n%1 = cumsum %x {axis=0, reverse=true}\nreturn %1"),
    golden("cumsum_rows/c7-reverse", "%x: f32[3,7]\n%1 = cumsum %x {axis=1, reverse=true}\nreturn %1"),
    case(
        "cumsum_rows/long-rows",
        "%i: i64[2,403]\n%1 = cumsum %i {axis=1}\n%2 = cumsum %i {axis=1, exclusive=true, reverse=true}\n%3 = cumsum %i {axis=1, exclusive=true}\nreturn %1, %2, %3",
    ),
    golden("top_k/three-of-nine", "%x: f32[2,9]\n%1 = top_k %x {k=3, largest=true}\nreturn %1"),
    case("top_k/smallest-all", "%x: f32[3,7]\n%1 = top_k %x {k=7}\nreturn %1"),
    case(
        "top_k/equals-of-integers",
        "%i: i64[2,70]\n%1 = top_k %i {k=30, largest=true}\n%2 = top_k %i {k=5}\nreturn %1, %2",
    ),
    golden(
        "suppress/two-classes",
        "@b: f32[1,5,4] = [0, 0, 2, 2, 0, 0, 2, 1.9, 5, 5, 6, 6, 0.5, 0, 2, 2, 5, 5, 5.5, 6]\n%s: f32[1,2,5]\n@c: i32[1,2,5] = [1, 1, 1, 1, 1, 1, 0, 1, 1, 1]\n@t: f32[] = 0.4\n%1 = suppress @b, %s, @c, @t {k=3}\nreturn %1",
    ),
    case(
        "suppress/all-of-two-images",
        "%i: i64[2,7,2]\n%w = cast %i {to=f32}\n%x = clip %w {min=-3.0, max=3.0}\n@a: f32[] = 3.0\n%y = add %x, @a\n%b = concat %x, %y {axis=2}\n%j: i64[2,3,7]\n%s = cast %j {to=f32}\n%k: i64[2,3,7]\n%c = cast %k {to=i32}\n@t: f32[] = 0.26\n%1 = suppress %b, %s, %c, @t {k=7}\nreturn %1",
    ),
    case(
        "suppress/more-than-a-workgroup",
        "%i: i64[1,600,2]\n%x = cast %i {to=f32}\n@a: f32[] = 3.0\n%y = add %x, @a\n%b = concat %x, %y {axis=2}\n%j: i64[1,1,600]\n%s = cast %j {to=f32}\n@c: i32[1,1,600] = splat(1)\n@t: f32[] = 0.26\n%1 = suppress %b, %s, @c, @t {k=70}\nreturn %1",
    ),
    golden(
        "gather_elements/last-axis",
        "%x: f32[3,7]\n%i: i64[3,5]\n%1 = gather_elements %x, %i {axis=1}\nreturn %1",
    ),
    case(
        "gather_elements/middle-axis-c5",
        "%x: f32[2,4,5]\n%i: i64[2,3,5]\n@n: i64[2,1,5] = [-1, 0, -2, 3, 1, 1, -4, 0, 2, -3]\n%1 = gather_elements %x, %i {axis=1}\n%2 = gather_elements %x, @n {axis=1}\nreturn %1, %2",
    ),
    case(
        "gather_elements/values-of-top-k",
        "%x: f32[3,2,9]\n%1 = top_k %x {k=4, largest=true}\n%2 = gather_elements %x, %1 {axis=2}\nreturn %2",
    ),
    case(
        "gather_elements/bools",
        "%m: bool[3,4]\n%i: i64[2,4]\n%1 = gather_elements %m, %i {axis=0}\nreturn %1",
    ),
    golden(
        "scatter_elements/middle-axis-add",
        "%x: f32[2,4,5]\n%i: i64[2,3,5]\n%u: f32[2,3,5]\n%1 = scatter_elements %x, %i, %u {axis=1, update=add}\nreturn %1",
    ),
    case(
        "scatter_elements/last-axis-last-wins",
        "%x: f32[3,7]\n%i: i64[3,5]\n%u: f32[3,5]\n%1 = scatter_elements %x, %i, %u {axis=1}\n%2 = scatter_elements %x, %i, %u {axis=1, update=mul}\n%3 = scatter_elements %x, %i, %u {axis=1, update=max}\n%4 = scatter_elements %x, %i, %u {axis=1, update=min}\nreturn %1, %2, %3, %4",
    ),
    case(
        "scatter_elements/integers",
        "%x: i64[4,3]\n%i: i64[2,3]\n%u: i64[2,3]\n%1 = scatter_elements %x, %i, %u {axis=0, update=add}\nreturn %1",
    ),
    golden(
        "scatter_nd/rows-add",
        "%x: f32[3,4,5]\n%i: i64[6,1]\n%u: f32[6,4,5]\n%1 = scatter_nd %x, %i, %u {update=add}\nreturn %1",
    ),
    case(
        "scatter_nd/elements-last-wins",
        "%x: f32[3,5]\n%i: i64[7,2]\n%u: f32[7]\n%1 = scatter_nd %x, %i, %u\n%2 = scatter_nd %x, %i, %u {update=max}\nreturn %1, %2",
    ),
    case(
        "scatter_nd/pairs-of-rows",
        "%x: f32[3,4,6]\n%i: i64[2,2,2]\n%u: f32[2,2,6]\n%1 = scatter_nd %x, %i, %u\n%2 = scatter_nd %x, %i, %u {update=min}\nreturn %1, %2",
    ),
    case(
        "scatter_nd/known-duplicates-add",
        "%x: f32[3,2]\n@i: i64[4,1] = [0, -1, 0, 1]\n%u: f32[4,2]\n%1 = scatter_nd %x, @i, %u {update=add}\nreturn %1",
    ),
    golden(
        "scatter_known/rows",
        "%x: f32[4,8]\n@i: i64[3,1] = [2, -4, 2]\n%u: f32[3,8]\n%1 = scatter_nd %x, @i, %u\nreturn %1",
    ),
    case(
        "scatter_known/elements",
        "%x: f32[3,3]\n@i: i64[3,2] = [0, 1, 2, -1, -1, 0]\n%u: f32[3]\n%1 = scatter_nd %x, @i, %u {update=add}\n%2 = scatter_nd %x, @i, %u\nreturn %1, %2",
    ),
    golden(
        "range/floats",
        "@a: f32[] = -3.0\n@b: f32[] = 9.9\n@d: f32[] = 0.01\n%x: f32[1290]\n%1 = range @a, @b, @d\n%2 = mul %x, %1\nreturn %2",
    ),
    case(
        "range/integers",
        "@a: i64[] = 7\n@b: i64[] = -1000\n@d: i64[] = -1\n%x: i64[1007]\n%1 = range @a, @b, @d\n%2 = add %x, %1\nreturn %2",
    ),
];

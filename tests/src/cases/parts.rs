//! Walks so long that they are done in parts: more rounds of a loop than every driver runs, or few results of much. What picks
//! places picks among integers, or among floats that are made of integers, since a layout may round what it stores.

use super::{Case, case, golden};

pub(super) const CASES: &[Case] = &[
    case(
        "parts/reduce-one-axis",
        "%x: f32[140001]\n%1 = reduce_sum %x {axes=[0], keep_dims=true}\n%2 = reduce_mean %x {axes=[0]}\n%3 = reduce_max %x {axes=[0], keep_dims=true}\n\
         %4 = reduce_min %x {axes=[0]}\n%5 = reduce_l2 %x {axes=[0], keep_dims=true}\nreturn %1, %2, %3, %4, %5",
    ),
    case(
        "parts/reduce-axis-between-others",
        "%x: f32[1,33001,5]\n%y: f32[5]\n%1 = reduce_mean %x {axes=[1]} epilogue(mul %y)\n%2 = reduce_l2 %x {axes=[1], keep_dims=true}\n\
         %3 = reduce_max %x {axes=[1], keep_dims=true}\nreturn %1, %2, %3",
    ),
    case(
        "parts/reduce-batch-and-channels",
        "%x: f32[500,3,301]\n%1 = reduce_mean %x {axes=[0,2], keep_dims=true}\nreturn %1",
    ),
    case(
        "parts/reduce-images",
        "%x: f32[2,5,260,130]\n%1 = reduce_mean %x {axes=[2,3], keep_dims=true}\n%2 = reduce_sum %x {axes=[0,2,3]}\nreturn %1, %2",
    ),
    case(
        "parts/reduce-integers",
        "%i: i64[3,45001]\n%1 = reduce_sum %i {axes=[0,1]}\n%2 = reduce_max %i {axes=[0,1]}\nreturn %1, %2",
    ),
    case("parts/reduce-product", "%x: f32[33002,2]\n%1 = sign %x\n%2 = reduce_prod %1 {axes=[0]}\nreturn %2"),
    case(
        "parts/extremes-with-nans-and-infinities",
        "%i: i64[32771,2]\n@one: f32[] = 1.0\n%x = cast %i {to=f32} epilogue(sub @one; log)\n@two: f32[] = 2.0\n\
         %y = cast %i {to=f32} epilogue(sub @two; abs; log)\n%1 = reduce_max %x {axes=[0]}\n%2 = reduce_min %y {axes=[0]}\n\
         %3 = arg_min %x {axis=0, last=true}\n%4 = arg_min %y {axis=0, last=true}\n%5 = arg_max %y {axis=0}\nreturn %1, %2, %3, %4, %5",
    ),
    case(
        "parts/arg-of-equals",
        "%i: i64[1,32771]\n%1 = arg_max %i {axis=1}\n%2 = arg_max %i {axis=1, last=true}\n%3 = arg_min %i {axis=1, last=true, keep_dims=true}\nreturn %1, %2, %3",
    ),
    case(
        "parts/arg-between-others",
        "%i: i64[1,33001,3]\n@k: i64[] = 7919\n@m: i64[] = 33013\n%s = cumsum %i {axis=1}\n%x = mul %s, @k epilogue(mod @m)\n\
         %1 = arg_max %x {axis=1}\n%2 = arg_min %x {axis=1, keep_dims=true, last=true}\nreturn %1, %2",
    ),
    case(
        "parts/softmax-of-a-row",
        "%x: f32[270001]\n@k: f32[] = 100000.0\n%1 = softmax %x {axis=0} epilogue(mul @k)\nreturn %1",
    ),
    case(
        "parts/softmax-between-others",
        "%x: f32[1,65793,3]\n@k: f32[] = 20000.0\n%1 = softmax %x {axis=1} epilogue(mul @k)\nreturn %1",
    ),
    case(
        "parts/layer-norm-of-a-row",
        "%x: f32[1,270001]\n@s: f32[270001] = random(1)\n@b: f32[270001] = random(2)\n%1 = layer_norm %x, @s, @b {axis=1, epsilon=1e-5} epilogue(relu)\nreturn %1",
    ),
    case(
        "parts/rms-norm-of-a-row",
        "%x: f32[1,3,90001]\n@s: f32[3,90001] = random(1)\n%1 = rms_norm %x, @s {axis=1, epsilon=1e-5}\nreturn %1",
    ),
    case("parts/cumsum-between-others", "%x: f32[66001,2]\n%1 = cumsum %x {axis=0}\nreturn %1"),
    case(
        "parts/cumsum-from-the-end",
        "%x: f32[32771,3]\n%1 = cumsum %x {axis=0, exclusive=true, reverse=true}\nreturn %1",
    ),
    case(
        "parts/cumsum-of-a-row",
        "%i: i64[1,270001]\n%1 = cumsum %i {axis=1, exclusive=true}\n%2 = cumsum %i {axis=1, reverse=true}\nreturn %1, %2",
    ),
    golden(
        "sort_runs/ties",
        "%i: i64[2,9001]\n@k: i64[] = 7919\n@m: i64[] = 4001\n%s = cumsum %i {axis=1}\n%x = mul %s, @k epilogue(mod @m)\n\
         %1 = top_k %x {k=1500, largest=true}\nreturn %1",
    ),
    golden(
        "merge_runs/all-of-odd-rows",
        "%i: i64[3,2111]\n@k: i64[] = 7919\n@m: i64[] = 1009\n%s = cumsum %i {axis=1}\n%x = mul %s, @k epilogue(mod @m)\n\
         %1 = top_k %x {k=2111}\nreturn %1",
    ),
    case(
        "parts/top-k-with-nans-and-infinities",
        "%i: i64[1,9000]\n@one: f32[] = 1.0\n%x = cast %i {to=f32} epilogue(sub @one; log)\n%1 = top_k %x {k=4000, largest=true}\n\
         %2 = top_k %x {k=4000}\nreturn %1, %2",
    ),
    case(
        "parts/scatter-nd-adds-of-all-updates",
        "%x: f32[3]\n%i: i64[70001,1]\n%u: f32[70001]\n%1 = scatter_nd %x, %i, %u {update=add}\nreturn %1",
    ),
    case(
        "parts/scatter-nd-last-of-all-updates",
        "%x: i64[3,2]\n%i: i64[33001,1]\n%u: i64[33001,2]\n%1 = scatter_nd %x, %i, %u\nreturn %1",
    ),
    case(
        "parts/scatter-elements-of-a-row",
        "%x: f32[2,5]\n%i: i64[2,33001]\n%u: f32[2,33001]\n%1 = scatter_elements %x, %i, %u {axis=1, update=add}\n\
         %2 = scatter_elements %x, %i, %u {axis=1}\nreturn %1, %2",
    ),
    case(
        "parts/product-of-long-rows",
        "%a: f32[8,120001]\n@b: f32[120001,5] = random(5)\n%1 = matmul %a, @b\nreturn %1",
    ),
];

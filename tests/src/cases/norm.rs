//! Normalisations over the last axes, and what they read and write on the way.

use super::{Case, case, golden};

pub(super) const CASES: &[Case] = &[
    golden(
        "rms_norm/c10",
        "%x: f32[2,3,10]\n@s: f32[10] = random(1)\n%1 = rms_norm %x, @s {axis=2, epsilon=1e-5}\nreturn %1",
    ),
    case(
        "rms_norm/one-element",
        "%x: f32[1,1,1,1]\n@s: f32[1] = [2.0]\n%1 = rms_norm %x, @s {axis=3, epsilon=1e-6}\nreturn %1",
    ),
    case(
        "rms_norm/two-axes-then-residual",
        "%x: f32[3,4,6]\n@s: f32[4,6] = random(1)\n%1 = rms_norm %x, @s {axis=1, epsilon=1e-5} epilogue(add %x)\nreturn %1",
    ),
    case(
        "rms_norm/wide-rows-scale-at-run-time",
        "%x: f32[2,1030]\n%s: f32[1030]\n%1 = rms_norm %x, %s {axis=1, epsilon=1e-5}\nreturn %1",
    ),
    case(
        "rms_norm/large-values",
        "%x: f32[2,8]\n@k: f32[] = 3000.0\n@s: f32[8] = random(1)\n%1 = mul %x, @k\n%2 = rms_norm %1, @s {axis=1, epsilon=1e-6}\nreturn %2",
    ),
    case(
        "rms_norm/f16-scaled-in-f32",
        "%x: f16[2,3,10]\n@s: f32[10] = random(1)\n%1 = rms_norm %x, @s {axis=2, epsilon=1e-5} epilogue(cast {to=f32})\nreturn %1",
    ),
    case(
        "elementwise/one-operand-in-many-places",
        "%x: f32[2,3,5]\n%z: f32[5]\n%1 = mul %x, %z epilogue(tanh; add %x; mul %z; sub %x)\nreturn %1",
    ),
    case(
        "elementwise/masks-in-a-chain",
        "%i: i64[3,4]\n%m: bool[3,1]\n@two: i64[] = 2\n%1 = add %i, @two epilogue(greater result, %i; and step0, %m; select step1, 0.0, -1000.0)\nreturn %1",
    ),
    case(
        "layer_norm/residual-of-a-channel-vector",
        "%x: f32[2,3,10]\n%c: f32[10]\n@s: f32[10] = random(1)\n%1 = layer_norm %x, @s {axis=2, epsilon=1e-5} epilogue(mul %c; relu)\nreturn %1",
    ),
    case(
        "elementwise/expand-then-multiply",
        "%x: f32[3,1]\n%z: f32[3,4]\n%1 = expand %x {shape=[2,3,4]} epilogue(mul %z)\nreturn %1",
    ),
];

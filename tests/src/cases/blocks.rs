//! Attention whose scores are stored, in one piece or, where a profile has little headroom for them, block by block: over groups of
//! heads and over queries.

use super::{Case, case, golden};

pub(super) const CASES: &[Case] = &[
    golden(
        "attention_stats/groups-of-heads",
        "%q: f32[1,8,8,112]\n%k: f32[1,8,8,112]\n%v: f32[1,8,8,100]\n%1 = attention %q, %k, %v scores(mul 0.03)\nreturn %1",
    ),
    case(
        "attention_stats/heads-second-batch-2-77-keys",
        "%q: f32[2,70,3,112]\n%k: f32[2,77,3,112]\n%v: f32[2,77,3,112]\n%1 = attention %q, %k, %v {q=[0,2,1,3], k=[0,2,1,3], v=[0,2,1,3], y=[0,2,1,3]} scores(mul 0.03)\nreturn %1",
    ),
    case(
        "attention_stats/queries-of-one-head-overlap-at-the-end",
        "%q: f32[1,1,100,120]\n%k: f32[1,1,50,120]\n%1 = attention %q, %k, %k scores(mul 0.03)\nreturn %1",
    ),
    case(
        "attention_stats/masks-of-all-shapes",
        "%q: f32[2,2,40,112]\n%k: f32[2,2,24,112]\n%m: f32[2,1,1,24]\n%b: f32[2,40,24]\n%c: bool[2,1,40,1]\n@low: f32[] = -inf\n%1 = attention %q, %k, %k {unseen_is_zero=true} scores(mul 0.03; add %m; add %b; select %c, step2, @low)\nreturn %1",
    ),
    case(
        "attention_stats/a-constant-bias-of-c6-keys",
        "%q: f32[1,2,70,112]\n%k: f32[1,2,6,112]\n@b: f32[2,70,6] = random(3)\n%1 = attention %q, %k, %k scores(mul 0.03; add @b)\nreturn %1",
    ),
    case(
        "attention_stats/grouped-queries",
        "%q: f32[2,6,9,112]\n%k: f32[2,2,11,112]\n%v: f32[2,2,11,108]\n%1 = attention %q, %k, %v scores(mul 0.03)\nreturn %1",
    ),
    case(
        "attention_stats/grouped-queries-heads-second-causal-and-residual",
        "%q: f32[1,40,4,112]\n%k: f32[1,40,2,112]\n%r: f32[1,40,4,112]\n%1 = attention %q, %k, %k {q=[0,2,1,3], k=[0,2,1,3], v=[0,2,1,3], y=[0,2,1,3], band_last=0} scores(mul 0.03) epilogue(add %r)\nreturn %1",
    ),
    case(
        "attention_stats/window-of-later-queries",
        "%q: f32[1,2,70,112]\n%k: f32[1,2,60,112]\n%1 = attention %q, %k, %k {band_first=-9, band_last=3, unseen_is_zero=true} scores(mul 0.03)\nreturn %1",
    ),
    case(
        "attention_stats/channels-c109-and-values-c111-with-a-residual",
        "%q: f32[1,2,40,109]\n%k: f32[1,2,33,109]\n%v: f32[1,2,33,111]\n%r: f32[1,1,40,111]\n%1 = attention %q, %k, %v scores(mul 0.03) epilogue(add %r; tanh)\nreturn %1",
    ),
    case(
        "attention_stats/queries-keys-and-values-of-one-projection",
        "%x: f32[1,34,8]\n%w: f32[8,672]\n%p = matmul %x, %w epilogue(mul 0.02)\n%q = slice %p {axes=[2], starts=[0], counts=[224]}\n%k = slice %p {axes=[2], starts=[224], counts=[224]}\n%v = slice %p {axes=[2], starts=[448], counts=[224]}\n%1 = reshape %q {shape=[1,34,2,112]}\n%2 = reshape %k {shape=[1,34,2,112]}\n%3 = reshape %v {shape=[1,34,2,112]}\n%y = attention %1, %2, %3 {q=[0,2,1,3], k=[0,2,1,3], v=[0,2,1,3], y=[0,2,1,3]} scores(mul 0.02)\nreturn %y",
    ),
    case(
        "attention_stats/heads-of-one-tensor",
        "%x: f32[2,6,40,112]\n%p = tanh %x\n%q = slice %p {axes=[1], starts=[0], counts=[2]}\n%k = slice %p {axes=[1], starts=[2], counts=[2]}\n%v = slice %p {axes=[1], starts=[4], counts=[2]}\n%1 = attention %q, %k, %v scores(mul 0.1)\nreturn %1",
    ),
    case(
        "attention_stats/constant-queries-c110",
        "@q: f32[1,2,40,110] = random(4)\n%k: f32[1,2,33,110]\n%v: f32[1,2,33,112]\n%1 = attention @q, %k, %v scores(mul 0.03)\nreturn %1",
    ),
    case(
        "attention_stats/constant-keys-channels-first-and-values-c111",
        "%q: f32[2,4,40,112]\n@k: f32[2,2,112,34] = random(5)\n@v: f32[2,2,34,111] = random(6)\n%1 = attention %q, @k, @v {k=[0,1,3,2]} scores(mul 0.03)\nreturn %1",
    ),
];

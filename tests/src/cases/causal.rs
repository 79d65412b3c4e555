//! Attention whose queries see a band of keys: causal and windowed, over the borders of tiles, with other masks and without.

use super::{Case, case, golden};

pub(super) const CASES: &[Case] = &[
    golden(
        "attention_rows/causal",
        "%q: f32[1,2,9,8]\n%k: f32[1,2,9,8]\n%1 = attention %q, %k, %k {band_last=0} scores(mul 0.35)\nreturn %1",
    ),
    case(
        "attention_rows/causal-fewer-queries-with-a-past",
        "%q: f32[2,3,4,40]\n%k: f32[2,77,2,40]\n%1 = attention %q, %k, %k {q=[0,2,1,3], k=[0,2,1,3], v=[0,2,1,3], y=[0,2,1,3], band_last=74} scores(mul 0.158)\nreturn %1",
    ),
    case(
        "attention_rows/causal-more-queries-than-keys",
        "%q: f32[1,2,70,8]\n%k: f32[1,1,33,8]\n%1 = attention %q, %k, %k {band_last=0}\nreturn %1",
    ),
    case(
        "attention_rows/window-beside-a-mask",
        "%q: f32[2,2,65,8]\n%k: f32[2,2,66,8]\n%m: bool[2,1,1,66]\n@low: f32[] = -inf\n%1 = attention %q, %k, %k {band_first=-3, band_last=2, unseen_is_zero=true} scores(mul 0.4; select %m, step0, @low)\nreturn %1",
    ),
    case(
        "attention_rows/first-queries-see-nothing",
        "%q: f32[1,1,6,8]\n%k: f32[1,1,6,8]\n%1 = attention %q, %k, %k {band_last=-3, unseen_is_zero=true}\nreturn %1",
    ),
    case(
        "attention_rows/one-query-and-its-window",
        "%q: f32[1,3,1,16]\n%k: f32[1,3,301,16]\n%1 = attention %q, %k, %k {band_first=100, band_last=250} scores(mul 0.25)\nreturn %1",
    ),
    case(
        "attention_cooperative/causal-several-tiles",
        "%q: f32[1,1,130,16]\n%k: f32[1,1,130,16]\n%1 = attention %q, %k, %k {band_last=0} scores(mul 0.25)\nreturn %1",
    ),
    case(
        "attention_cooperative/causal-with-a-past-batch-2",
        "%q: f32[2,2,33,40]\n%k: f32[2,1,64,40]\n%1 = attention %q, %k, %k {band_last=31} scores(mul 0.05)\nreturn %1",
    ),
    case(
        "attention_cooperative/window-beside-a-mask",
        "%q: f32[1,2,100,24]\n%k: f32[1,2,97,24]\n%m: f32[1,1,1,97]\n%1 = attention %q, %k, %k {band_first=-40, band_last=5, unseen_is_zero=true} scores(mul 0.2; add %m)\nreturn %1",
    ),
    case(
        "attention_cooperative/first-queries-see-nothing",
        "%q: f32[1,1,70,16]\n%k: f32[1,1,70,16]\n%1 = attention %q, %k, %k {band_last=-34, unseen_is_zero=true}\nreturn %1",
    ),
    case(
        "attention_stats/causal-c112",
        "%q: f32[1,9,2,112]\n%k: f32[1,2,13,112]\n%m: f32[13]\n%1 = attention %q, %k, %k {q=[0,2,1,3], y=[0,2,1,3], band_last=4} scores(mul 0.09; add %m)\nreturn %1",
    ),
    case(
        "attention_stats/window-c120-unseen-rows",
        "%q: f32[2,1,20,120]\n%k: f32[2,1,16,120]\n%1 = attention %q, %k, %k {band_first=-2, band_last=1, unseen_is_zero=true} scores(mul 0.09)\nreturn %1",
    ),
    case(
        "attention_stats/causal-and-first-queries-see-the-lowest-scores-only",
        "%q: f32[1,2,9,112]\n%k: f32[1,2,13,112]\n@m: bool[13] = [false, false, false, true, true, true, true, false, true, true, true, true, true]\n%1 = attention %q, %k, %k {band_last=0} scores(mul 0.09; select @m, step0, -3.4028234e38)\nreturn %1",
    ),
    case(
        "attention_stats/causal-and-first-queries-see-the-lowest-f16-only",
        "%q: f32[1,2,9,112]\n%k: f32[1,2,13,112]\n@m: f32[13] = [-65504.0, -65504.0, -65504.0, 0.0, 0.0, 0.0, 0.0, -65504.0, 0.0, 0.0, 0.0, 0.0, 0.0]\n%1 = attention %q, %k, %k {band_last=0} scores(mul 0.000001; add @m)\nreturn %1",
    ),
    case(
        "attention_stats/causal-and-first-queries-see-infinities-only",
        "%q: f32[1,2,9,112]\n%k: f32[1,2,13,112]\n@m: bool[13] = [false, false, false, true, true, true, true, false, true, true, true, true, true]\n@low: f32[] = -inf\n%1 = attention %q, %k, %k {band_last=0, unseen_is_zero=true} scores(mul 0.09; select @m, step0, @low)\nreturn %1",
    ),
    case(
        "attention/causal-written-out",
        "%q: f32[1,4,3,512]\n%k: f32[1,2,3,512]\n%1 = attention %q, %k, %k {band_last=0} scores(mul 0.04)\nreturn %1",
    ),
    case(
        "attention/mask-recognised-as-causal",
        "%q: f32[2,3,3,8]\n%k: f32[2,3,4,8]\n@m: f32[1,1,3,4] = [0, -inf, -inf, -inf, 0, 0, -inf, -inf, 0, 0, 0, -inf]\n%1 = matmul %q, %k {transpose_b=true}\n%2 = add %1, @m\n%3 = softmax %2 {axis=3}\n%4 = matmul %3, %k\nreturn %4",
    ),
];

//! Attention as one kernel: axes, shapes, masks and magnitudes. Those named after a kernel keep it whatever is estimated.

use super::{Case, case, golden};

pub(super) const CASES: &[Case] = &[
    golden(
        "attention_rows/heads-first",
        "%q: f32[1,2,5,8]\n%k: f32[1,2,7,8]\n%v: f32[1,2,7,8]\n%1 = attention %q, %k, %v scores(mul 0.35)\nreturn %1",
    ),
    case(
        "attention_rows/one-element",
        "%q: f32[1,1,1,1]\n%k: f32[1,1,1,1]\n%1 = attention %q, %k, %q\nreturn %1",
    ),
    golden(
        "attention_rows/heads-second-c40-cross",
        "%q: f32[2,33,4,40]\n%k: f32[2,77,2,40]\n%v: f32[2,77,2,40]\n%1 = attention %q, %k, %v {q=[0,2,1,3], k=[0,2,1,3], v=[0,2,1,3], y=[0,2,1,3]} scores(mul 0.158)\nreturn %1",
    ),
    case(
        "attention_rows/c5-values-c6-bias-of-all-rows",
        "%q: f32[2,2,9,5]\n%k: f32[2,2,10,5]\n%v: f32[2,2,10,6]\n%m: f32[1,1,9,10]\n%1 = attention %q, %k, %v {y=[0,2,1,3]} scores(mul 0.4; add %m)\nreturn %1",
    ),
    case(
        "attention_rows/hidden-keys-and-unseen-rows",
        "%q: f32[2,2,6,8]\n%k: f32[2,2,6,8]\n%m: bool[2,1,6,6]\n@row: bool[6,1] = [true, false, true, true, true, false]\n@low: f32[] = -inf\n%1 = attention %q, %k, %k {unseen_is_zero=true} scores(mul 0.4; select %m, step0, @low; select @row, step1, @low)\nreturn %1",
    ),
    case(
        "attention_rows/first-keys-hidden-by-a-large-bias",
        "%q: f32[1,1,3,4]\n%k: f32[1,1,6,4]\n@m: f32[6] = [-3.4028234e38, -3.4028234e38, -10000.0, -10000.0, 0.0, 0.0]\n%1 = attention %q, %k, %k scores(add @m)\nreturn %1",
    ),
    case(
        "attention_rows/four-heads-share-two",
        "%q: f32[1,4,3,8]\n%k: f32[1,2,9,8]\n%v: f32[1,2,9,12]\n%1 = attention %q, %k, %v\nreturn %1",
    ),
    case(
        "attention_rows/keys-of-one-batch-and-channels-outermost",
        "%q: f32[3,2,4,8]\n%k: f32[1,2,8,5]\n%v: f32[1,2,5,4]\n%1 = attention %q, %k, %v {k=[0,1,3,2]} scores(mul 0.3)\nreturn %1",
    ),
    case(
        "attention_rows/capped-scores-then-residual",
        "%q: f32[1,2,5,8]\n%r: f32[1,2,5,8]\n%1 = attention %q, %q, %q scores(div 5.0; tanh; mul 5.0) epilogue(add %r; relu)\nreturn %1",
    ),
    case(
        "attention_rows/one-query-many-keys",
        "%q: f32[1,3,1,16]\n%k: f32[1,3,301,16]\n%v: f32[1,3,301,16]\n%1 = attention %q, %k, %v scores(mul 0.25)\nreturn %1",
    ),
    case(
        "attention_rows/many-queries",
        "%q: f32[1,4,150,16]\n%k: f32[1,2,70,16]\n%1 = attention %q, %k, %k scores(mul 0.25)\nreturn %1",
    ),
    case(
        "attention_rows/large-values",
        "%x: f32[1,2,20,8]\n@k: f32[] = 25.0\n%1 = mul %x, @k\n%2 = attention %1, %1, %x\nreturn %2",
    ),
    case(
        "attention_rows/constant-keys",
        "%q: f32[1,2,5,8]\n@k: f32[1,2,7,8] = random(1)\n@v: f32[1,2,7,6] = random(2)\n%1 = attention %q, @k, @v\nreturn %1",
    ),
    case(
        "attention_cooperative/c40-77-keys",
        "%q: f32[1,50,2,40]\n%k: f32[1,77,2,40]\n%v: f32[1,77,2,40]\n%1 = attention %q, %k, %v {q=[0,2,1,3], k=[0,2,1,3], v=[0,2,1,3], y=[0,2,1,3]} scores(mul 0.158)\nreturn %1",
    ),
    case(
        "attention_cooperative/c48-several-tiles-batch-2",
        "%q: f32[2,1,70,48]\n%k: f32[2,1,64,48]\n%v: f32[2,1,64,48]\n%1 = attention %q, %k, %v scores(mul 0.05)\nreturn %1",
    ),
    case(
        "attention_cooperative/c5-values-c6-masks",
        "%q: f32[2,2,9,5]\n%k: f32[2,2,40,5]\n%v: f32[2,2,40,6]\n%m: f32[1,1,9,40]\n%b: bool[2,1,1,40]\n@low: f32[] = -inf\n%1 = attention %q, %k, %v {y=[0,2,1,3]} scores(mul 0.4; add %m; select %b, step1, @low)\nreturn %1",
    ),
    case(
        "attention_cooperative/one-element",
        "%q: f32[1,1,1,1]\n%k: f32[1,1,1,1]\n%1 = attention %q, %k, %q\nreturn %1",
    ),
    case(
        "attention_cooperative/unseen-rows-and-shared-heads",
        "%q: f32[1,4,6,16]\n%k: f32[1,2,70,16]\n@row: bool[6,1] = [true, false, true, true, true, false]\n@low: f32[] = -inf\n%1 = attention %q, %k, %k {unseen_is_zero=true} scores(mul 0.25; select @row, step0, @low)\nreturn %1",
    ),
    case(
        "attention_cooperative/later-keys-outgrow-earlier-ones",
        "%q: f32[1,1,40,16]\n%k: f32[1,1,130,16]\n@s: f32[130,1] = random(5)\n@g: f32[] = 10.0\n%1 = mul %k, @s\n%2 = mul %1, @g\n%3 = attention %q, %2, %k\nreturn %3",
    ),
    case(
        "attention_cooperative/c72",
        "%q: f32[1,1,20,72]\n%k: f32[1,1,33,72]\n%1 = attention %q, %k, %k scores(mul 0.118)\nreturn %1",
    ),
    golden(
        "attention_stats/c112",
        "%q: f32[1,9,2,112]\n%k: f32[1,2,13,112]\n%m: f32[13]\n%1 = attention %q, %k, %k {q=[0,2,1,3], y=[0,2,1,3]} scores(mul 0.09; add %m)\nreturn %1",
    ),
    case(
        "attention_stats/c120-unseen-rows-then-residual",
        "%q: f32[2,1,20,120]\n%k: f32[2,1,36,120]\n%r: f32[2,1,20,120]\n@row: bool[20,1] = [true, false, true, true, true, false, true, true, true, true, true, true, true, true, true, true, true, true, true, false]\n@low: f32[] = -inf\n%1 = attention %q, %k, %k {unseen_is_zero=true} scores(mul 0.09; select @row, step0, @low) epilogue(add %r)\nreturn %1",
    ),
    case(
        "attention_stats/c128-one-head-of-keys-many-rows",
        "%q: f32[1,3,70,128]\n%k: f32[1,1,300,128]\n%1 = attention %q, %k, %k scores(mul 0.03)\nreturn %1",
    ),
    case(
        "attention/written-out-with-transposes",
        "%q: f32[1,6,4,8]\n%k: f32[1,9,2,8]\n%m: f32[9]\n%1 = attention %q, %k, %k {q=[0,2,1,3], k=[0,2,1,3], v=[0,2,1,3], y=[0,2,1,3]} scores(mul 0.3; add %m)\nreturn %1",
    ),
    case(
        "attention/recognised-with-scale-and-mask",
        "%q: f32[2,3,5,8]\n%k: f32[2,3,7,8]\n%m: f32[2,1,1,7]\n@s: f32[] = 0.35\n%1 = transpose %k {perm=[0,1,3,2]}\n%2 = matmul %q, %1\n%3 = mul %2, @s\n%4 = add %3, %m\n%5 = softmax %4 {axis=3}\n%6 = matmul %5, %k\nreturn %6",
    ),
];

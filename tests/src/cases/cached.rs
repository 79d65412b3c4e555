//! Attention over caches, where the place of the first query is data, and rows that are written at such a place.

use super::{Case, case, golden};

pub(super) const CASES: &[Case] = &[
    golden(
        "attention_cached/one-query-of-four-heads-on-two",
        "%q: f32[1,4,1,16]\n%k: f32[1,2,37,16]\n%v: f32[1,2,37,16]\n@p: i32[1,1,1,1] = [21]\n\
         %1 = attention %q, %k, %v {band_last=0, has_first=true} scores[@p](mul 0.25)\nreturn %1",
    ),
    case(
        "attention_cached/queries-over-places-of-two-batches",
        "%q: f32[2,6,3,12]\n%k: f32[2,2,300,12]\n%v: f32[2,2,300,20]\n@p: i32[2,1,1,1] = [250, 4]\n\
         %1 = attention %q, %k, %v {band_last=0, has_first=true} scores[@p](mul 0.3)\nreturn %1",
    ),
    case(
        "attention_cached/window-bias-and-cap",
        "%q: f32[1,3,2,10]\n%k: f32[1,1,70,10]\n%v: f32[1,1,70,6]\n%m: f32[1,3,2,70]\n@p: i64[1,1,1,1] = [64]\n\
         %1 = attention %q, %k, %v {y=[0,2,1,3], band_first=-20, band_last=0, has_first=true} scores[%m, @p](mul 0.3; div 4.0; tanh; mul 4.0; add %m) \
         epilogue(tanh)\nreturn %1",
    ),
    case(
        "attention_cached/nothing-to-see",
        "%q: f32[2,2,2,8]\n%k: f32[2,2,9,8]\n@p: i32[2,1,1,1] = [-1, -5]\n\
         %1 = attention %q, %k, %k {unseen_is_zero=true, band_last=0, has_first=true} scores[@p]()\nreturn %1",
    ),
    case(
        "attention_cached/place-behind-the-cache",
        "%q: f32[1,2,1,8]\n%k: f32[1,2,9,8]\n@p: i32[1,1,1,1] = [2000000000]\n\
         %1 = attention %q, %k, %k {band_last=0, has_first=true} scores[@p](mul 0.3)\nreturn %1",
    ),
    case(
        "attention_cached/wide-heads",
        "%q: f32[1,2,1,256]\n%k: f32[1,1,40,256]\n%v: f32[1,1,40,256]\n%p: i64[1,1,1,1]\n\
         %1 = attention %q, %k, %v {band_last=30, has_first=true} scores[%p](mul 0.06)\nreturn %1",
    ),
    golden(
        "attention_rows/chunk-over-a-cache",
        "%q: f32[1,4,12,16]\n%k: f32[1,2,48,16]\n%v: f32[1,2,48,16]\n@p: i32[1,1,1,1] = [17]\n\
         %1 = attention %q, %k, %v {band_first=-9, band_last=0, has_first=true} scores[@p](mul 0.25)\nreturn %1",
    ),
    case(
        "attention_cooperative/chunk-over-a-cache",
        "%q: f32[1,4,40,32]\n%k: f32[1,2,96,32]\n%v: f32[1,2,96,32]\n@p: i32[1,1,1,1] = [33]\n\
         %1 = attention %q, %k, %v {band_last=0, has_first=true} scores[@p](mul 0.18)\nreturn %1",
    ),
    golden(
        "write_rows/keys",
        "%x: f32[1,2,9,8]\n%r: f32[1,2,3,8]\n@p: i32[1] = [4]\n%1 = write_rows %x, %r, @p {axis=2}\nreturn %1",
    ),
    case(
        "write_rows/two-batches-behind-and-before",
        "%x: f32[2,3,5]\n%r: f32[2,2,5]\n@p: i64[2] = [2, -1]\n%1 = write_rows %x, %r, @p {axis=1}\nreturn %1",
    ),
    case(
        "write_rows/around",
        "%x: f32[2,2,5,3]\n%r: f32[2,2,4,3]\n@p: i32[2] = [3, -7]\n%1 = write_rows %x, %r, @p {axis=2, circular=true}\nreturn %1",
    ),
    case(
        "write_rows/integers-of-one-column",
        "%x: i64[1,6]\n%r: i64[1,2]\n%p: i64[1]\n%1 = write_rows %x, %r, %p {axis=1}\nreturn %1",
    ),
];

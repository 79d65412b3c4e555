//! Eight-bit integers, which take one i32 each on a device.

use super::{Case, case};

pub(super) const CASES: &[Case] = &[
    case(
        "bytes/data-movement",
        "%x: u8[3,7]\n%y: i8[3,7]\n%1 = transpose %x {perm=[1,0]}\n%2 = concat %y, %y {axis=0}\n%3 = slice %x {axes=[1], starts=[2], steps=[2], counts=[3]}\nreturn %1, %2, %3",
    ),
    case(
        "bytes/gather-of-weights",
        "@w: u8[4,5] = [0,1,2,127,128,255,254,3,4,5,200,100,50,25,12,6,7,8,9,10]\n@v: i8[4,5] = [0,1,-2,127,-128,-1,4,3,4,5,-100,100,50,25,12,6,7,8,9,10]\n%i: i64[6]\n%1 = gather @w, %i {axis=0}\n%2 = cast %1 {to=f32}\n%3 = gather @v, %i {axis=0}\n%4 = cast %3 {to=f32}\nreturn %1, %2, %3, %4",
    ),
    case(
        "bytes/reduced-and-compared",
        "%x: u8[4,9]\n%y: i8[4,9]\n%1 = reduce_max %x {axes=[1]}\n%2 = reduce_min %y {axes=[0]}\n%3 = arg_max %y {axis=1}\n%4 = reduce_sum %x {axes=[1]}\n%5 = cumsum %y {axis=1}\n%6 = cast %x {to=i32}\nreturn %1, %2, %3, %4, %5, %6",
    ),
];

//! Slices, concatenations, casts, and movements that go behind arithmetic.

use super::{check, parse, unchanged};
use crate::rewrite::{Rules, simplify};

#[test]
fn cast_cast() {
    check(
        "cast-cast",
        "%x: f16[2,3]
         %1 = cast %x {to=f32}
         %y = cast %1 {to=bool}
         return %y",
        "%x: f16[2,3]
         %y = cast %x {to=bool}
         return %y",
    );
    unchanged(
        "%x: f32[2,3]
         %1 = cast %x {to=f16}
         %y = cast %1 {to=f32}
         return %y",
    );
}

/// Ends, zeros, ties and what no type but one holds.
const EDGES: [f64; 40] = [
    0.0,
    -0.0,
    0.25,
    0.5,
    1.0,
    1.5,
    2.5,
    -0.5,
    -1.0,
    -1.5,
    127.0,
    127.5,
    128.0,
    129.0,
    -128.0,
    -129.0,
    200.0,
    255.0,
    256.0,
    300.0,
    2047.0,
    2049.0,
    65504.0,
    65519.0,
    65520.0,
    -65520.0,
    16_777_217.0,
    2_147_483_647.0,
    2_147_483_648.0,
    -2_147_483_648.0,
    -2_147_483_904.0,
    1e-8,
    6e-8,
    1e-40,
    3e38,
    1e39,
    -1e39,
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
];

/// Integers that floats do not hold.
const EDGE_INTEGERS: [i64; 8] =
    [i64::MAX, i64::MIN, 4_294_967_296, 4_294_967_297, -4_294_967_297, 9_007_199_254_740_993, -129, 511];

#[test]
fn casts_of_casts_keep_every_value() {
    use drift_ir::{ElementType, Tensor, eval};
    for from in ElementType::ALL {
        let input = if from.is_float() {
            Tensor::from_f64_as(from, [40], &EDGES).unwrap()
        } else {
            let integers = EDGES.iter().map(|&value| value as i64).chain(EDGE_INTEGERS);
            Tensor::from_i64_as(from, [48], &integers.collect::<Vec<_>>()).unwrap()
        };
        for (between, to) in ElementType::ALL.into_iter().flat_map(|a| ElementType::ALL.map(|b| (a, b))) {
            let count = input.len();
            let text = format!(
                "%x: {from}[{count}]\n%1 = cast %x {{to={between}}}\n%y = cast %1 {{to={to}}}\nreturn %y"
            );
            let before = parse(&text);
            let (simplified, _) = simplify(before.clone(), &Rules::default());
            let (fused, _) = crate::rewrite::fuse(simplified.clone(), &Rules::default());
            let of = |graph| eval::run(graph, std::slice::from_ref(&input)).unwrap()[0].clone();
            assert_eq!(of(&before).bytes(), of(&simplified).bytes(), "simplified from\n{text}");
            assert_eq!(of(&before).bytes(), of(&fused).bytes(), "fused from\n{text}");
        }
    }
}

#[test]
fn slice_slice() {
    check(
        "slice-slice",
        "%x: f32[4,20]
         %1 = slice %x {axes=[1], starts=[18], steps=[-2], counts=[9]}
         %y = slice %1 {axes=[0,1], starts=[1,2], steps=[1,3], counts=[2,2]}
         return %y",
        "%x: f32[4,20]
         %y = slice %x {axes=[0,1], starts=[1,14], steps=[1,-6], counts=[2,2]}
         return %y",
    );
}

#[test]
fn slice_of_shape() {
    check(
        "slice-of-shape",
        "symbol n: 1..8
         symbol m: 1..8
         %x: f32[2,n,m]
         %s = shape_of %x {start=0, end=3}
         %y = slice %s {axes=[0], starts=[1], counts=[2]}
         %z = slice %s {axes=[0], starts=[2], steps=[-1], counts=[2]}
         return %y, %z",
        "symbol n: 1..8
         symbol m: 1..8
         %x: f32[2,n,m]
         %s = shape_of %x {start=0, end=3}
         %y = shape_of %x {start=1, end=3}
         %z = slice %s {axes=[0], starts=[2], steps=[-1], counts=[2]}
         return %y, %z",
    );
}

#[test]
fn slice_of_concat() {
    check(
        "slice-of-concat",
        "%a: f32[2,3]
         %b: f32[2,5]
         %1 = concat %a, %b {axis=1}
         %y = slice %1 {axes=[1], starts=[7], steps=[-2], counts=[3]}
         %z = slice %1 {axes=[0], starts=[1], counts=[1]}
         return %y, %z",
        "%a: f32[2,3]
         %b: f32[2,5]
         %1 = concat %a, %b {axis=1}
         %y = slice %b {axes=[1], starts=[4], steps=[-2], counts=[3]}
         %z = slice %1 {axes=[0], starts=[1], counts=[1]}
         return %y, %z",
    );
    unchanged(
        "%a: f32[2,3]
         %b: f32[2,5]
         %1 = concat %a, %b {axis=1}
         %y = slice %1 {axes=[1], starts=[2], counts=[3]}
         return %y",
    );
}

#[test]
fn concat_concat() {
    check(
        "concat-concat",
        "%a: f32[2,3]
         %b: f32[2,5]
         %1 = concat %a, %b {axis=1}
         %y = concat %b, %1, %a {axis=1}
         return %y",
        "%a: f32[2,3]
         %b: f32[2,5]
         %y = concat %b, %a, %b, %a {axis=1}
         return %y",
    );
}

#[test]
fn concat_of_slices() {
    check(
        "concat-of-slices",
        "%x: f32[2,9]
         %1 = slice %x {axes=[1], starts=[0], counts=[4]}
         %2 = slice %x {axes=[1], starts=[4], counts=[2]}
         %3 = slice %x {axes=[1], starts=[6], counts=[3]}
         %4 = concat %1, %2, %3 {axis=1}
         %5 = concat %3, %1, %2 {axis=1}
         %y = neg %4
         return %y, %5",
        "%x: f32[2,9]
         %3 = slice %x {axes=[1], starts=[6], counts=[3]}
         %12 = slice %x {axes=[1], starts=[0], counts=[6]}
         %5 = concat %3, %12 {axis=1}
         %y = neg %x
         return %y, %5",
    );
}

#[test]
fn gather_to_slice() {
    check(
        "gather-to-slice",
        "%x: f32[4,6]
         @i: i64[3] = [-1, 3, 1]
         @j: i64[] = 2
         %1 = gather %x, @i {axis=1}
         %2 = gather %x, @j {axis=0}
         return %1, %2",
        "%x: f32[4,6]
         %1 = slice %x {axes=[1], starts=[5], steps=[-2], counts=[3]}
         %k = slice %x {axes=[0], starts=[2], counts=[1]}
         %2 = reshape %k {shape=[6]}
         return %1, %2",
    );
    unchanged(
        "%x: f32[4,6]
         @i: i64[3] = [0, 1, 3]
         %1 = gather %x, @i {axis=1}
         return %1",
    );
}

/// Torch's decomposition of attention transposes keys in three dimensions.
#[test]
fn transpose_between_reshapes() {
    check(
        "transpose-between-reshapes",
        "%x: f32[b,4,7,5]
         %1 = reshape %x {shape=[b*4,7,5]}
         %2 = transpose %1 {perm=[0,2,1]}
         %y = reshape %2 {shape=[b,4,5,7]}
         return %y",
        "%x: f32[b,4,7,5]
         %y = transpose %x {perm=[0,1,3,2]}
         return %y",
    );
    check(
        "transpose-between-reshapes",
        "%x: f32[1,1,4,7,5]
         %1 = reshape %x {shape=[4,7,5]}
         %2 = transpose %1 {perm=[0,2,1]}
         %y = reshape %2 {shape=[1,2,2,5,7]}
         return %y",
        "%x: f32[1,1,4,7,5]
         %1 = reshape %x {shape=[1,2,2,7,5]}
         %y = transpose %1 {perm=[0,1,2,4,3]}
         return %y",
    );
    // The outer reshape merges.
    unchanged(
        "%x: f32[4,35]
         %1 = reshape %x {shape=[4,7,5]}
         %2 = transpose %1 {perm=[0,2,1]}
         %y = reshape %2 {shape=[20,7]}
         return %y",
    );
}

#[test]
fn transpose_sinks() {
    check(
        "transpose-sinks",
        "%a: f32[2,3,4]
         %b: f32[4,5]
         @c: f32[5,1] = [1.0, 2.0, 3.0, 4.0, 5.0]
         @two: f32[] = 2.0
         %1 = matmul %a, %b
         %2 = transpose %1 {perm=[0,2,1]}
         %3 = mul %2, @c
         %y = add %3, @two
         return %y",
        "%a: f32[2,3,4]
         %b: f32[4,5]
         @c: f32[5] = [1.0, 2.0, 3.0, 4.0, 5.0]
         @two: f32[] = 2.0
         %1 = matmul %a, %b
         %3 = mul %1, @c
         %4 = add %3, @two
         %y = transpose %4 {perm=[0,2,1]}
         return %y",
    );
    // Two become one, wherever the operands come from.
    check(
        "transpose-sinks",
        "%a: f32[2,3]
         %b: f32[2,3]
         %1 = transpose %a {perm=[1,0]}
         %2 = transpose %b {perm=[1,0]}
         %y = mul %1, %2
         return %y",
        "%a: f32[2,3]
         %b: f32[2,3]
         %1 = mul %a, %b
         %y = transpose %1 {perm=[1,0]}
         return %y",
    );
}

/// A transpose that others read stays for them; the one that goes behind the sum meets its inverse.
#[test]
fn transpose_sinks_beside_a_shared_transpose() {
    check(
        "transpose-sinks",
        "%a: f32[2,3]
         %b: f32[3,4]
         %r: f32[2,4]
         %1 = matmul %a, %b
         %2 = transpose %1 {perm=[1,0]}
         %s = transpose %r {perm=[1,0]}
         %3 = add %2, %s
         %y = transpose %3 {perm=[1,0]}
         return %y, %s",
        "%a: f32[2,3]
         %b: f32[3,4]
         %r: f32[2,4]
         %1 = matmul %a, %b
         %s = transpose %r {perm=[1,0]}
         %y = add %1, %r
         return %y, %s",
    );
}

#[test]
fn movements_stay_before_arithmetic_where_nothing_can_take_it_over() {
    unchanged(
        "%a: f32[2,3]
         %1 = transpose %a {perm=[1,0]}
         %2 = reshape %a {shape=[6]}
         %y = tanh %1
         %z = tanh %2
         return %y, %z",
    );
    unchanged(
        "%a: f32[2,3]
         %b: f32[3,4]
         %1 = matmul %a, %b
         %2 = transpose %1 {perm=[1,0]}
         %y = tanh %2
         return %y, %2",
    );
}

#[test]
fn reshape_sinks() {
    check(
        "reshape-sinks",
        "%a: f32[2,3]
         %b: f32[3,4]
         %c: f32[4]
         %1 = matmul %a, %b
         %2 = reshape %1 {shape=[1,2,4]}
         %y = add %c, %2
         return %y",
        "%a: f32[2,3]
         %b: f32[3,4]
         %c: f32[4]
         %1 = matmul %a, %b
         %2 = add %c, %1
         %y = reshape %2 {shape=[1,2,4]}
         return %y",
    );
    unchanged(
        "%a: f32[2,3]
         %b: f32[3,4]
         %c: f32[2]
         %1 = matmul %a, %b
         %2 = reshape %1 {shape=[4,2]}
         %y = add %2, %c
         return %y",
    );
}

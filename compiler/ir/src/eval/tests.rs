//! Values that ops compute: numpy's and ONNX's answers for small, awkward shapes.

mod special;

use super::*;
use crate::text::parse;
use half::f16;

/// Runs a graph without inputs; its first output as f64.
fn eval(text: &str) -> Vec<f64> {
    let graph = parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    crate::verify::verify(&graph).unwrap();
    let outputs = run(&graph, &[]).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(outputs[0].ty(), graph.value(graph.outputs()[0]).ty);
    outputs[0].to_f64_vec()
}

fn fails(text: &str, because: &str) {
    let error = run(&parse(text).unwrap(), &[]).unwrap_err().to_string();
    assert!(error.contains(because), "{error}");
}

fn close(actual: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(actual.len(), expected.len(), "{actual:?}");
    for (a, e) in actual.iter().zip(expected) {
        assert!((a - e).abs() <= tolerance, "{actual:?}\n{expected:?}");
    }
}

fn unary(op: &str, values: &str) -> Vec<f64> {
    let count = values.split(',').count();
    eval(&format!("@x: f32[{count}] = [{values}]\n%1 = {op} @x\nreturn %1"))
}

#[test]
fn scalar_functions_have_their_known_values() {
    assert_eq!(
        unary("round", "0.5, 1.5, 2.5, -0.5, -1.5, 1e20"),
        [0.0, 2.0, 2.0, 0.0, -2.0, f64::from(1e20f32)]
    );
    assert_eq!(unary("relu", "-1, 0, 2"), [0.0, 0.0, 2.0]);
    assert!(unary("relu", "nan")[0].is_nan());
    assert_eq!(unary("sign", "-3, 0, 0.5"), [-1.0, 0.0, 1.0]);
    assert_eq!(unary("floor", "-1.5, 1.5"), [-2.0, 1.0]);
    assert_eq!(unary("ceil", "-1.5, 1.5"), [-1.0, 2.0]);
    close(&unary("erf", "0.5, -2"), &[0.520_499_877_8, -0.995_322_265], 1e-7);
    close(&unary("gelu", "1, -1"), &[0.841_344_746, -0.158_655_254], 1e-7);
    close(&unary("gelu_tanh", "1, -1"), &[0.841_191_99, -0.158_808_01], 1e-7);
    close(&unary("silu", "1, -100"), &[0.731_058_58, 0.0], 1e-7);
    close(&unary("sigmoid", "0, -1000, 1000"), &[0.5, 0.0, 1.0], 0.0);
    close(&unary("tanh", "1"), &[0.761_594_156], 1e-7);
    close(&unary("log", "1, 2.718281828"), &[0.0, 1.0], 1e-7);
    close(&unary("reciprocal", "4, -0.5"), &[0.25, -2.0], 0.0);
}

#[test]
fn clip_and_casts_state_their_edges() {
    let clip = |values: &str, bounds: &str| {
        eval(&format!("@x: f32[3] = [{values}]\n%1 = clip @x {bounds}\nreturn %1"))
    };
    assert_eq!(clip("-1, 3, 9", "{min=0, max=6}"), [0.0, 3.0, 6.0]);
    assert_eq!(clip("-1, 3, 9", "{min=5, max=2}"), [2.0, 2.0, 2.0]);
    let cast = |from: &str, values: &str, to: &str| {
        eval(&format!("@x: {from}[3] = [{values}]\n%1 = cast @x {{to={to}}}\nreturn %1"))
    };
    assert_eq!(cast("f32", "-1.9, 3e9, nan", "i32"), [-1.0, f64::from(i32::MAX), 0.0]);
    assert_eq!(cast("f32", "-1.0, 256.0, 7.9", "u8"), [0.0, 255.0, 7.0]);
    assert_eq!(cast("i64", "4294967297, -1, 128", "i32"), [1.0, -1.0, 128.0]);
    assert_eq!(cast("f32", "0.0, -0.5, nan", "bool"), [0.0, 1.0, 1.0]);
    assert_eq!(cast("bool", "true, false, true", "f16"), [1.0, 0.0, 1.0]);
    assert_eq!(
        cast("f32", "65504.0, 65520.0, 0.1", "f16"),
        [65504.0, f64::INFINITY, f16::from_f32(0.1).to_f64()]
    );
}

#[test]
fn integers_truncate_and_wrap() {
    let int = |element: &str, op: &str, a: &str, b: &str| {
        let count = a.split(',').count();
        eval(&format!(
            "@a: {element}[{count}] = [{a}]\n@b: {element}[{count}] = [{b}]\n%1 = {op} @a, @b\nreturn %1"
        ))
    };
    assert_eq!(int("i64", "div", "-7, 7, 8", "2, -2, 3"), [-3.0, -3.0, 2.0]);
    assert_eq!(int("i32", "add", "2147483647", "1"), [f64::from(i32::MIN)]);
    assert_eq!(int("u8", "sub", "3", "5"), [254.0]);
    assert_eq!(int("i8", "mul", "100", "3"), [44.0]);
    assert_eq!(int("i64", "pow", "2, -1, 3, 1, -3", "10, -3, 0, -5, -1"), [1024.0, -1.0, 1.0, 1.0, 0.0]);
    assert_eq!(int("i64", "less", "1, 2", "2, 1"), [1.0, 0.0]);
    assert_eq!(int("i64", "div", "7, -7", "0, 0"), [0.0, 0.0]);
    assert_eq!(int("i32", "div", "-2147483648", "-1"), [f64::from(i32::MIN)]);
    assert_eq!(int("i64", "rem", "7, -7", "0, 0"), [0.0, 0.0]);
    assert_eq!(int("i32", "mod", "-2147483648, 5", "-1, 0"), [0.0, 0.0]);
    assert_eq!(int("i64", "pow", "0, 0", "-1, 0"), [0.0, 1.0]);
}

#[test]
fn broadcasting_repeats_axes() {
    let text = "@a: f32[2,1,2] = [1,2,3,4]\n@b: f32[3,1] = [10,20,30]\n%1 = add @a, @b\nreturn %1";
    assert_eq!(eval(text), [11.0, 12.0, 21.0, 22.0, 31.0, 32.0, 13.0, 14.0, 23.0, 24.0, 33.0, 34.0]);
    let text = "@c: bool[2,1] = [true, false]\n@a: f32[] = 5.0\n@b: f32[3] = [1,2,3]\n%1 = select @c, @a, @b\nreturn %1";
    assert_eq!(eval(text), [5.0, 5.0, 5.0, 1.0, 2.0, 3.0]);
    let text = "@a: f32[1] = [nan]\n@b: f32[2] = [1, 2]\n%1 = max @a, @b\nreturn %1";
    assert!(eval(text).iter().all(|value| value.is_nan()));
}

#[test]
fn products_match_the_definition() {
    let text = "@a: f32[2,3] = [1,2,3,4,5,6]\n@b: f32[3,2] = [1,0,0,1,2,-1]\n%1 = matmul @a, @b\nreturn %1";
    assert_eq!(eval(text), [7.0, -1.0, 16.0, -1.0]);
    let text = "@a: i64[2,3] = [1,2,3,4,5,6]\n@b: i64[2,3] = [1,0,2,0,1,-1]\n%1 = matmul @a, @b {transpose_b=true}\nreturn %1";
    assert_eq!(eval(text), [7.0, -1.0, 16.0, -1.0]);
    let text = "@a: f32[2,0] = []\n@b: f32[0,3] = []\n%1 = matmul @a, @b\nreturn %1";
    assert_eq!(eval(text), [0.0; 6]);
    // Larger than one block, with tails, batches that repeat, and both readings of `b`.
    let head = "@a: f32[2,1,7,70] = random(1)\n@b: f32[3,70,67] = random(2)\n";
    let actual = eval(&format!("{head}%1 = matmul @a, @b\nreturn %1"));
    let flipped = eval(&format!(
        "{head}%t = transpose @b {{perm=[0,2,1]}}\n%1 = matmul @a, %t {{transpose_b=true}}\nreturn %1"
    ));
    assert_eq!(actual, flipped);
    let a = eval(&format!("{head}%1 = reshape @a {{shape=[14,70]}}\nreturn %1"));
    let b = eval(&format!("{head}%1 = reshape @b {{shape=[210,67]}}\nreturn %1"));
    for (index, &value) in actual.iter().enumerate() {
        let (batch, row, column) = (index / 469, index / 67 % 7, index % 67);
        let sum: f64 =
            (0..70).map(|k| a[(batch / 3 * 7 + row) * 70 + k] * b[(batch % 3 * 70 + k) * 67 + column]).sum();
        assert!((sum - value).abs() < 1e-5);
    }
}

/// A convolution by its definition, for any number of spatial axes.
fn naive_conv(x: &Tensor, w: &Tensor, conv: &crate::op::Conv, out_shape: &[u64]) -> Vec<f64> {
    let (xs, ws) = (x.shape(), w.shape());
    let (xv, wv) = (x.to_f64_vec(), w.to_f64_vec());
    let spatial = xs.len() - 2;
    let unravel = |mut index: u64, sizes: &[u64]| {
        let mut at = vec![0; sizes.len()];
        for axis in (0..sizes.len()).rev() {
            at[axis] = index % sizes[axis];
            index /= sizes[axis];
        }
        at
    };
    let ravel = |at: &[u64], sizes: &[u64]| {
        at.iter().zip(sizes).fold(0, |sum, (&at, &size)| sum * size + at) as usize
    };
    (0..out_shape.iter().product())
        .map(|index| {
            let at = unravel(index, out_shape);
            let group = at[1] / (ws[0] / conv.groups);
            let mut sum = 0.0;
            for tap in 0..ws[1..].iter().product() {
                let tap = unravel(tap, &ws[1..]);
                let mut source = vec![at[0], group * ws[1] + tap[0]];
                for axis in 0..spatial {
                    let place = (at[2 + axis] * conv.strides[axis] + tap[1 + axis] * conv.dilations[axis])
                        .checked_sub(conv.pads[axis]);
                    source.extend(place.filter(|&place| place < xs[2 + axis]));
                }
                if source.len() == xs.len() {
                    let weight: Vec<u64> = [at[1]].into_iter().chain(tap).collect();
                    sum += xv[ravel(&source, xs)] * wv[ravel(&weight, ws)];
                }
            }
            sum
        })
        .collect()
}

#[test]
fn convolutions_match_the_definition() {
    let cases = [
        ("[1,1,1,1]", "[1,1,1,1]", "{}"),
        ("[2,5,7,6]", "[3,5,3,2]", "{strides=[2,1], pads=[1,0,2,1], dilations=[1,2]}"),
        ("[1,6,9,8]", "[6,1,3,3]", "{groups=6, pads=[1,1,1,1], strides=[2,2]}"),
        ("[2,6,5,4]", "[8,3,1,1]", "{groups=2}"),
        ("[2,3,11]", "[5,3,4]", "{strides=[3], pads=[5,0], dilations=[2]}"),
        ("[1,2,4,5,6]", "[3,2,2,3,2]", "{pads=[1,0,1,0,1,0], strides=[1,2,3]}"),
        ("[1,5,19,17]", "[7,5,5,5]", "{pads=[2,2,2,2]}"),
    ];
    for (x, w, attributes) in cases {
        let text = format!(
            "@x: f32{x} = random(3)\n@w: f32{w} = random(4)\n%1 = conv @x, @w {attributes}\nreturn %1"
        );
        let graph = parse(&text).unwrap();
        let node = graph.node(graph.nodes().next().unwrap());
        let crate::Op::Conv(conv) = &node.op else { panic!("a conv") };
        let operand = |index: usize| graph.constant(node.inputs[index]).unwrap();
        let actual = run(&graph, &[]).unwrap().remove(0);
        let expected = naive_conv(operand(0), operand(1), conv, actual.shape());
        close(&actual.to_f64_vec(), &expected, 1e-5);
    }
}

#[test]
fn bias_is_added_per_output_channel() {
    let text = "@x: f32[1,1,2] = [1,2]\n@w: f32[2,1,1] = [1,10]\n@b: f32[2] = [0.5,-1]\n%1 = conv @x, @w, @b\nreturn %1";
    assert_eq!(eval(text), [1.5, 2.5, 9.0, 19.0]);
}

#[test]
fn reductions_reduce() {
    let reduce = |op: &str, attributes: &str| {
        eval(&format!(
            "@x: f32[2,3,2] = [1,2,3,4,5,6,-1,-2,-3,-4,-5,-6]\n%1 = reduce_{op} @x {attributes}\nreturn %1"
        ))
    };
    assert_eq!(reduce("sum", "{axes=[1]}"), [9.0, 12.0, -9.0, -12.0]);
    assert_eq!(reduce("sum", "{axes=[0,2], keep_dims=true}"), [0.0, 0.0, 0.0]);
    assert_eq!(reduce("mean", "{axes=[2]}"), [1.5, 3.5, 5.5, -1.5, -3.5, -5.5]);
    assert_eq!(reduce("max", "{axes=[0,1,2]}"), [6.0]);
    assert_eq!(reduce("min", "{axes=[0]}"), [-1.0, -2.0, -3.0, -4.0, -5.0, -6.0]);
    assert_eq!(reduce("prod", "{axes=[1,2]}"), [720.0, 720.0]);
    close(&reduce("l2", "{axes=[1]}"), &[35f64.sqrt(), 56f64.sqrt(), 35f64.sqrt(), 56f64.sqrt()], 1e-6);
    assert_eq!(reduce("sum", "{axes=[]}").len(), 12);
    assert_eq!(eval("@x: f32[0,2] = []\n%1 = reduce_sum @x {axes=[0]}\nreturn %1"), [0.0, 0.0]);
    assert_eq!(eval("@x: i32[3] = [1,-5,7]\n%1 = reduce_max @x {axes=[0]}\nreturn %1"), [7.0]);
}

#[test]
fn normalisations_are_stable() {
    let text = "@x: f32[2,2] = [1000,1001,-1,1]\n%1 = softmax @x {axis=1}\nreturn %1";
    close(&eval(text), &[0.268_941_42, 0.731_058_58, 0.119_202_92, 0.880_797_08], 1e-7);
    let text = "@x: f32[2,2] = [0,3,0,3]\n%1 = softmax @x {axis=0}\nreturn %1";
    close(&eval(text), &[0.5; 4], 0.0);
    let text = "@x: f32[2,3] = [1e4,10001,10002,0,0,0]\n@s: f32[3] = [1,2,1]\n@b: f32[1] = [0.5]\n%1 = layer_norm @x, @s, @b {axis=1, epsilon=0.0}\nreturn %1";
    let third = 1.5f64.sqrt();
    let actual = eval(text);
    close(&actual[..3], &[0.5 - third, 0.5, 0.5 + third], 1e-6);
    assert!(actual[3].is_nan());
    let text = "@x: f16[2,2] = [3e4,-3e4,0,0]\n@s: f16[2] = [1,2]\n%1 = rms_norm @x, @s {axis=1, epsilon=1e-6}\nreturn %1";
    close(&eval(text), &[1.0, -2.0, 0.0, 0.0], 1e-3);
}

#[test]
fn data_moves_as_numpy_moves_it() {
    let x = "@x: i64[2,3] = [0,1,2,3,4,5]\n";
    let of = |op: &str| eval(&format!("{x}{op}\nreturn %1"));
    assert_eq!(of("%1 = transpose @x {perm=[1,0]}"), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
    assert_eq!(of("%1 = reshape @x {shape=[3,2]}"), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(
        of("%1 = slice @x {axes=[0,1], starts=[1,2], steps=[-1,-2], counts=[2,2]}"),
        [5.0, 3.0, 2.0, 0.0]
    );
    assert_eq!(of("%1 = slice @x {axes=[1], starts=[0], counts=[0]}"), [0.0; 0]);
    assert_eq!(
        of("%1 = concat @x, @x {axis=1}"),
        [0.0, 1.0, 2.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 3.0, 4.0, 5.0]
    );
    assert_eq!(of("@e: i64[2,0] = []\n%1 = concat @e, @x, @e {axis=1}"), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(of("@i: i64[2,1] = [-1,0]\n%1 = gather @x, @i {axis=1}"), [2.0, 0.0, 5.0, 3.0]);
    assert_eq!(of("@i: i64[] = -2\n%1 = gather @x, @i {axis=0}"), [0.0, 1.0, 2.0]);
    assert_eq!(of("@i: i64[2,2] = [1,-1,0,1]\n%1 = gather_nd @x, @i"), [5.0, 1.0]);
    assert_eq!(of("@i: i64[2,1] = [2,0]\n%1 = gather_nd @x, @i {batch_dims=1}"), [2.0, 3.0]);
    assert_eq!(of("%1 = shape_of @x"), [2.0, 3.0]);
    assert_eq!(
        eval("@x: u8[2,1] = [7,9]\n%1 = expand @x {shape=[2,2,3]}\nreturn %1"),
        [7.0, 7.0, 7.0, 9.0, 9.0, 9.0, 7.0, 7.0, 7.0, 9.0, 9.0, 9.0]
    );
    assert_eq!(
        eval("@x: f16[2,2,2] = [0,1,2,3,4,5,6,7]\n%1 = transpose @x {perm=[2,0,1]}\nreturn %1"),
        [0.0, 2.0, 4.0, 6.0, 1.0, 3.0, 5.0, 7.0]
    );
    assert_eq!(
        eval("@a: i64[] = 5\n@b: i64[] = 0\n@c: i64[] = -2\n%1 = range @a, @b, @c\nreturn %1"),
        [5.0, 3.0, 1.0]
    );
    fails(
        &format!("{x}@i: i64[1] = [3]\n%1 = gather @x, @i {{axis=1}}\nreturn %1"),
        "index 3 is outside axis 1 of size 3",
    );
    fails(
        &format!("{x}@i: i64[1] = [-3]\n%1 = gather_nd @x, @i\nreturn %1")
            .replace("[1] = [-3]", "[1,1] = [-3]"),
        "index -3",
    );
}

#[test]
fn searches_prefer_the_first_of_equals_unless_told_otherwise() {
    let of = |line: &str| eval(&format!("@x: f32[2,4] = [3,5,5,1,2,2,0,7]\n%1 = {line}\nreturn %1"));
    assert_eq!(of("arg_max @x {axis=1}"), [1.0, 3.0]);
    assert_eq!(of("arg_max @x {axis=1, last=true}"), [2.0, 3.0]);
    assert_eq!(of("arg_min @x {axis=0, keep_dims=true}"), [1.0, 1.0, 1.0, 0.0]);
    assert_eq!(of("top_k @x {k=3, largest=true}"), [1.0, 2.0, 0.0, 3.0, 0.0, 1.0]);
    assert_eq!(of("top_k @x {k=2}"), [3.0, 0.0, 2.0, 0.0]);
}

#[test]
fn boxes_that_overlap_a_better_one_are_dropped() {
    // Boxes 0 and 1 share a third of what they cover, box 3 shares 0.6 with each of them. Box 4 has no area.
    let boxes = "@b: f32[1,5,4] = [0,0,4,4, 2,0,6,4, 9,9,11,11, 1,0,5,4, 9,9,9,11]\n";
    let of = |scores: &str, flags: &str, most: &str, k: u64| {
        eval(&format!(
            "{boxes}@s: f32[1,1,5] = [{scores}]\n@c: i32[1,1,5] = [{flags}]\n@t: f32[] = {most}\n%1 = suppress @b, @s, @c, @t {{k={k}}}\nreturn %1"
        ))
    };
    assert_eq!(of("5,4,3,2,1", "1,1,1,1,1", "0.5", 5), [0.0, 1.0, 2.0, 4.0, -1.0]);
    assert_eq!(of("5,4,3,2,1", "1,1,1,1,1", "0.2", 5), [0.0, 2.0, 4.0, -1.0, -1.0]);
    assert_eq!(
        of("1,4,4,5,nan", "1,1,1,0,1", "0.9", 3),
        [1.0, 2.0, 0.0],
        "equals by place; neither flag nor NaN"
    );
    assert_eq!(of("-inf,inf,0,0,0", "1,1,0,0,0", "0.5", 2), [1.0, 0.0]);
    assert_eq!(of("1,1,1,1,1", "0,0,0,0,0", "0.5", 1), [-1.0]);
}

#[test]
fn running_sums_go_either_way() {
    let of = |line: &str| eval(&format!("@x: f32[2,3] = [1,2,3,10,20,30]\n%1 = {line}\nreturn %1"));
    assert_eq!(of("cumsum @x {axis=1}"), [1.0, 3.0, 6.0, 10.0, 30.0, 60.0]);
    assert_eq!(of("cumsum @x {axis=1, exclusive=true}"), [0.0, 1.0, 3.0, 0.0, 10.0, 30.0]);
    assert_eq!(of("cumsum @x {axis=1, reverse=true}"), [6.0, 5.0, 3.0, 60.0, 50.0, 30.0]);
    assert_eq!(of("cumsum @x {axis=0, exclusive=true, reverse=true}"), [10.0, 20.0, 30.0, 0.0, 0.0, 0.0]);
}

#[test]
fn updates_are_made_in_order() {
    let x = "@x: f32[2,3] = [0,1,2,3,4,5]\n@i: i64[2,2] = [1,1,-1,0]\n@u: f32[2,2] = [10,20,30,40]\n";
    let of = |line: &str| eval(&format!("{x}%1 = {line}\nreturn %1"));
    assert_eq!(of("gather_elements @x, @i {axis=1}"), [1.0, 1.0, 5.0, 3.0]);
    assert_eq!(of("scatter_elements @x, @i, @u {axis=1}"), [0.0, 20.0, 2.0, 40.0, 4.0, 30.0]);
    assert_eq!(of("scatter_elements @x, @i, @u {axis=1, update=add}"), [0.0, 31.0, 2.0, 43.0, 4.0, 35.0]);
    let tuples = "@t: i64[3,1] = [1,-2,1]\n@r: f32[3,3] = [1,1,1,2,2,2,9,0,9]\n";
    let nd =
        |update: &str| eval(&format!("{x}{tuples}%1 = scatter_nd @x, @t, @r {{update={update}}}\nreturn %1"));
    assert_eq!(nd("replace"), [2.0, 2.0, 2.0, 9.0, 0.0, 9.0]);
    assert_eq!(nd("mul"), [0.0, 2.0, 4.0, 27.0, 0.0, 45.0]);
    assert_eq!(nd("max"), [2.0, 2.0, 2.0, 9.0, 4.0, 9.0]);
    assert_eq!(nd("min"), [0.0, 1.0, 2.0, 1.0, 0.0, 1.0]);
}

#[test]
fn the_epilogue_rounds_once() {
    // 2048 + 1 is no f16, but 2048 + 1 + 1 is: rounding after each step would give 2048.
    let text = "@x: f16[2] = [2048, 1]\n%1 = abs @x epilogue(add 1.0; add 1.0)\nreturn %1";
    assert_eq!(eval(text), [2050.0, 3.0]);
    let text = "@x: f16[1] = [2048]\n%1 = abs @x epilogue(add 1.0; cast {to=f16}; add 1.0)\nreturn %1";
    assert_eq!(eval(text), [2048.0]);
}

#[test]
fn epilogues_read_results_steps_operands_and_constants() {
    let text = "@x: f32[2,2] = [1,-2,3,-4]\n@r: f32[2] = [10,20]\n%1 = neg @x epilogue(sigmoid; mul result; greater 0.0; select step2, @r, result)\nreturn %1";
    assert_eq!(eval(text), [-1.0, 20.0, -3.0, 20.0]);
    let text = "@x: f32[2,2] = [1,-2,3,-4]\n%1 = transpose @x {perm=[1,0]} epilogue(cast {to=i64}; mul 3)\nreturn %1";
    assert_eq!(eval(text), [3.0, 9.0, -6.0, -12.0]);
}

#[test]
fn free_dims_take_their_size_from_the_inputs() {
    let graph =
        parse("%x: f32[n,2]\n%y: f32[n+1]\n%1 = reshape %x {shape=[2*n]}\n%2 = neg %1\nreturn %2").unwrap();
    let x = Tensor::from_f32([3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
    let y = Tensor::from_f32([4], &[0.0; 4]).unwrap();
    let outputs = run(&graph, &[x.clone(), y]).unwrap();
    assert_eq!(outputs[0].shape(), [6]);
    let short = Tensor::from_f32([3], &[0.0; 3]).unwrap();
    assert!(matches!(run(&graph, &[x.clone(), short]), Err(EvalError::Input { .. })));
    assert!(matches!(run(&graph, &[x]), Err(EvalError::InputCount { .. })));
}

#[test]
fn every_node_is_observed_in_order() {
    let graph = parse("%x: f32[1]\n%1 = neg %x\n%2 = abs %1\n%3 = neg %1\nreturn %2").unwrap();
    let mut seen = Vec::new();
    let x = Tensor::from_f32([1], &[2.0]).unwrap();
    let outputs = run_observed(&graph, &[x], |id, results| {
        seen.push((graph.node(id).name.clone(), results[0].to_f32_vec()[0]));
    });
    assert_eq!(outputs.unwrap()[0].to_f32_vec(), [2.0]);
    assert_eq!(seen, [("1".to_owned(), -2.0), ("2".to_owned(), 2.0), ("3".to_owned(), 2.0)]);
}

#[test]
fn large_results_are_refused_before_they_are_allocated() {
    fails("@x: f32[1] = [1]\n%1 = expand @x {shape=[1073741824]}\nreturn %1", "limit is 268435456");
    let graph = parse("@x: f32[4] = [1,2,3,4]\n%1 = neg @x\nreturn %1").unwrap();
    let tight = run_with(&graph, &[], Limits { elements: 3, ..Limits::STANDARD }, |_, _| {});
    assert!(tight.unwrap_err().to_string().contains("4 elements"));
    let graph = parse("@x: f32[2,2] = [1,2,3,4]\n%1 = matmul @x, @x\nreturn %1").unwrap();
    let short = run_with(&graph, &[], Limits { work: 15, ..Limits::STANDARD }, |_, _| {});
    assert!(short.unwrap_err().to_string().contains("the node takes 20 steps, the evaluator's limit is 15"));
    // Empty results never loop over their other axes.
    let text = "@x: f32[1073741824,0] = []\n%1 = concat @x, @x {axis=1}\nreturn %1";
    assert!(eval(text).is_empty());
}

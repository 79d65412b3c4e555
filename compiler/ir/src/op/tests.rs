//! Inference, by example: result types, and refusals that say what was expected.

mod attention;
mod images;

use crate::text::{parse, print};

/// The inferred type of the last node.
fn inferred(text: &str) -> String {
    let graph = parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let last = graph.nodes().next_back().unwrap();
    let value = graph.value(graph.node(last).outputs[0]);
    value.ty.display(&graph.symbols).to_string()
}

fn refused(text: &str, because: &str) {
    let error = parse(text).map(|graph| print(&graph)).unwrap_err().to_string();
    assert!(error.contains(because), "{error}");
}

#[test]
fn element_wise_shapes_broadcast() {
    assert_eq!(inferred("%a: f32[2,1,5]\n%b: f32[3,1]\n%1 = add %a, %b"), "f32[2,3,5]");
    assert_eq!(inferred("%a: f32[n,1]\n%b: f32[1,n]\n%1 = less %a, %b"), "bool[n,n]");
    assert_eq!(inferred("%a: f32[n,4]\n%b: f32[8,4]\n%1 = add %a, %b"), "f32[8,4]");
    assert_eq!(inferred("%a: f32[]\n%b: f32[0]\n%1 = add %a, %b"), "f32[0]");
    assert_eq!(inferred("%c: bool[3]\n%a: i64[2,1]\n%1 = select %c, %a, %a"), "i64[2,3]");
    refused("%a: f32[2]\n%b: f32[3]\n%1 = add %a, %b", "do not broadcast");
    refused("%a: f32[n]\n%b: f32[m]\n%1 = add %a, %b", "--dim");
    refused("symbol n: 2..4\n%a: f32[n]\n%b: f32[8]\n%1 = add %a, %b", "do not broadcast");
    let table = "symbol n: 1..4\n%a: f32[n]\n%b: f32[min(2,n)]\n%1 = add %a, %b";
    refused(table, "n may be at most 2 here: --dim n=1..2");
    refused("%a: f32[2]\n%b: f16[2]\n%1 = add %a, %b", "operand 1 is f16, expected f32");
    refused("%a: i64[2]\n%1 = exp %a", "expected a float type");
    refused("%a: bool[2]\n%1 = add %a, %a", "expected a number");
    refused("%a: f32[2]\n%1 = clip %a {min=nan}", "not NaN");
    refused("%a: f32[2]\n%1 = add %a", "expected 2 operands, got 1");
}

#[test]
fn products_check_the_inner_axis() {
    assert_eq!(inferred("%a: f32[b,1,4,5]\n%w: f32[3,5,6]\n%1 = matmul %a, %w"), "f32[b,3,4,6]");
    assert_eq!(inferred("%a: f32[s,5]\n%w: f32[6,5]\n%1 = matmul %a, %w {transpose_b=true}"), "f32[s,6]");
    refused("%a: f32[4,5]\n%w: f32[4,6]\n%1 = matmul %a, %w", "5 on its second to last axis");
    refused("%a: f32[5]\n%w: f32[5,6]\n%1 = matmul %a, %w", "at least 2 axes");
}

#[test]
fn convolutions_compute_their_size() {
    let conv = |attributes: &str| {
        inferred(&format!(
            "%x: f32[n,4,h,9]\n%w: f32[6,2,3,2]\n%b: f32[6]\n%1 = conv %x, %w, %b {attributes}"
        ))
    };
    assert_eq!(conv("{groups=2}"), "f32[n,6,h-2,8]");
    assert_eq!(conv("{groups=2, pads=[1,0,1,3], strides=[1,2], dilations=[1,3]}"), "f32[n,6,h,5]");
    assert_eq!(conv("{groups=2, strides=[2,1], pads=[1,0,1,0]}"), "f32[n,6,floor_div(h-1,2)+1,8]");
    refused("%x: f32[1,4,8]\n%w: f32[6,3,3]\n%1 = conv %x, %w", "3 channels on axis 1");
    refused("%x: f32[1,4,2]\n%w: f32[6,4,3]\n%1 = conv %x, %w", "at least 3 on axis 2");
    refused("%x: f32[1,4,8]\n%w: f32[5,2,3]\n%1 = conv %x, %w {groups=2}", "multiple of 2 groups");
    refused(
        "%x: f32[1,4,8]\n%w: f32[6,4,3]\n%b: f32[5]\n%1 = conv %x, %w, %b",
        "one value per output channel",
    );
    refused("%x: f32[1,4,8]\n%w: f32[6,4,3]\n%1 = conv %x, %w {pads=[1]}", "2 values");
}

#[test]
fn reductions_drop_or_keep_axes() {
    assert_eq!(inferred("%x: f32[n,3,5]\n%1 = reduce_sum %x {axes=[0,2]}"), "f32[3]");
    assert_eq!(inferred("%x: f32[n,3,5]\n%1 = reduce_sum %x {axes=[0,2], keep_dims=true}"), "f32[1,3,1]");
    refused("%x: f32[3,5]\n%1 = reduce_sum %x {axes=[1,0]}", "ascending axes below the rank 2");
    refused("%x: f32[3,5]\n%1 = reduce_sum %x {axes=[2]}", "below the rank 2");
    refused("%x: i64[3,5]\n%1 = reduce_mean %x {axes=[1]}", "a float type");
    refused("%x: f32[3,5]\n%1 = softmax %x {axis=2}", "below the rank 2");
    refused("%x: f32[3,5]\n%s: f32[3]\n%1 = layer_norm %x, %s {axis=1, epsilon=0.1}", "do not broadcast");
    refused("%x: f32[3,1]\n%s: f32[3]\n%1 = layer_norm %x, %s {axis=1, epsilon=0.1}", "broadcasts to [1]");
    refused("%x: f32[3,4]\n%s: f32[4]\n%1 = rms_norm %x, %s {axis=1, epsilon=-1.0}", "not negative");
}

#[test]
fn data_movement_checks_elements_and_axes() {
    assert_eq!(inferred("%x: f32[b,s,6]\n%1 = reshape %x {shape=[b*s,2,3]}"), "f32[b*s,2,3]");
    refused("%x: f32[2,3]\n%1 = reshape %x {shape=[5]}", "6 elements");
    refused("%x: f32[b,3]\n%1 = reshape %x {shape=[b,3,2]}", "3*b elements");
    assert_eq!(inferred("%x: f32[3,1]\n%1 = expand %x {shape=[2,3,n]}"), "f32[2,3,n]");
    refused("%x: f32[3,1]\n%1 = expand %x {shape=[1]}", "to which [3,1] broadcasts");
    assert_eq!(inferred("%x: f32[n,3]\n%y: f32[2,3]\n%1 = concat %x, %y, %x {axis=0}"), "f32[2*n+2,3]");
    refused("%x: f32[n,3]\n%y: f32[2,4]\n%1 = concat %x, %y {axis=0}", "[n,3] but for axis 0");
    assert_eq!(
        inferred("%x: f32[7,n]\n%1 = slice %x {axes=[0], starts=[5], steps=[-2], counts=[3]}"),
        "f32[3,n]"
    );
    assert_eq!(inferred("%x: f32[7,n]\n%i: i32[2,2]\n%1 = gather %x, %i {axis=1}"), "f32[7,2,2]");
    refused("%x: f32[7]\n%i: f32[2]\n%1 = gather %x, %i {axis=0}", "i64 or i32");
    assert_eq!(inferred("%x: f32[2,3,4]\n%i: i64[5,2]\n%1 = gather_nd %x, %i"), "f32[5,4]");
    assert_eq!(inferred("%x: f32[2,3,4]\n%i: i64[2,1]\n%1 = gather_nd %x, %i {batch_dims=1}"), "f32[2,4]");
    refused("%x: f32[2]\n%i: i64[5,2]\n%1 = gather_nd %x, %i", "from 1 to 1");
}

#[test]
fn ranges_need_operands_that_are_known() {
    assert_eq!(
        inferred("@a: f32[] = 1.0\n@b: f32[] = 2.05\n@c: f32[] = 0.5\n%1 = range @a, @b, @c"),
        "f32[3]"
    );
    assert_eq!(inferred("@a: i64[] = 5\n@b: i64[] = 0\n@c: i64[] = -2\n%1 = range @a, @b, @c"), "i64[3]");
    assert_eq!(inferred("@a: i64[] = 5\n@b: i64[] = 0\n@c: i64[] = 2\n%1 = range @a, @b, @c"), "i64[0]");
    refused("%a: i64[]\n@c: i64[] = 2\n%1 = range %a, %a, @c", "must be a constant");
    refused("@a: i64[] = 5\n%1 = range @a, @a, @a epilogue(add 0.5)", "is no i64");
    refused("@a: i64[] = 5\n@c: i64[] = 0\n%1 = range @a, @a, @c", "not zero");
    refused("@a: f32[] = inf\n@c: f32[] = 1.0\n%1 = range @c, @a, @c", "finite");
}

//! Ops on images that take over the element-wise node after them.

use super::{check, reason};
use crate::rewrite::Declined;

#[test]
fn images_take_over_the_function_after_them() {
    let nodes = [
        ("%x: f32[1,2,3,4]\n@w: f32[2,3,2,2] = random(1)", "conv_transpose %x, @w {strides=[2,2]}"),
        ("%x: f32[2,6,3,4]\n@w: f32[6] = random(1)", "group_norm %x, @w {groups=3, epsilon=1e-5}"),
        ("%x: f32[1,2,5,4]", "pool_average %x {kernel=[2,2]}"),
        ("%x: f32[1,2,5,4]", "resize %x {axes=[2,3], sizes=[7,9], mode=linear, coordinates=half_pixel}"),
    ];
    for (operands, node) in nodes {
        check(
            "epilogue",
            &format!("{operands}\n%1 = {node}\n%y = silu %1\nreturn %y"),
            &format!("{operands}\n%y = {node} epilogue(silu)\nreturn %y"),
        );
    }
}

#[test]
fn pads_take_no_epilogue() {
    let refusal =
        reason("diamond", "y", "%x: f32[2,3]\n%1 = pad %x {pads=[0,1,0,0]}\n%y = mul %1, %1\nreturn %y");
    assert_eq!(refusal, Declined::NoEpilogue { op: "pad" });
}

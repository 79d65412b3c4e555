//! Ops on images: sizes of results, and operands and attributes that are refused.

use super::{inferred, refused};

#[test]
fn pools_count_their_windows() {
    let pool = |attributes: &str| inferred(&format!("%x: f32[n,4,h,9]\n%1 = pool_max %x {attributes}"));
    assert_eq!(pool("{kernel=[3,2]}"), "f32[n,4,h-2,8]");
    assert_eq!(pool("{kernel=[3,2], strides=[1,3], pads=[1,0,1,1], dilations=[1,2]}"), "f32[n,4,h,3]");
    let ceil = |size: u64, rest: &str| {
        inferred(&format!("%x: f32[1,1,{size}]\n%1 = pool_max %x {{ceil=true, {rest}}}"))
    };
    assert_eq!(ceil(7, "kernel=[2], strides=[2]"), "f32[1,1,4]");
    // The last window would start behind the last element.
    assert_eq!(ceil(4, "kernel=[1], strides=[4]"), "f32[1,1,1]");
    assert_eq!(ceil(4, "kernel=[2], strides=[3], pads=[1,1]"), "f32[1,1,2]");
    refused("%x: f32[1,1,4]\n%1 = pool_max %x {kernel=[3,3]}", "1 values of at least 1");
    refused(
        "%x: f32[1,1,4]\n%1 = pool_max %x {kernel=[2], pads=[2,0]}",
        "less than the window, which spans 2",
    );
    refused("%x: f32[1,1,2]\n%1 = pool_max %x {kernel=[3]}", "at least 3 on axis 2");
    refused(
        "%x: f32[1,1,1]\n%1 = pool_max %x {kernel=[2], dilations=[2], pads=[1,1]}",
        "an element under each window",
    );
    refused("%x: f32[1,1,4]\n%1 = pool_lp %x {kernel=[2], p=0}", "at least 1");
    refused("%x: i64[1,1,4]\n%1 = pool_max %x {kernel=[2]}", "a float type");
}

#[test]
fn resampling_takes_its_sizes() {
    assert_eq!(inferred("%x: f32[n,3,h,w]\n%1 = resize %x {axes=[2,3], sizes=[2*h,7]}"), "f32[n,3,2*h,7]");
    refused("%x: f32[1,3]\n%1 = resize %x {axes=[2], sizes=[4]}", "below the rank 2");
    refused("%x: f32[1,3]\n%1 = resize %x {axes=[1,0], sizes=[4,4]}", "ascending axes");
    refused("%x: f32[1,3]\n%1 = resize %x {axes=[1], sizes=[4], scale_1=0.0}", "between 1/");
    refused("%x: f32[1,3]\n%1 = resize %x {axes=[1], sizes=[4], mode=bicubic}", "is not one of its words");
    refused("%x: f32[1,0]\n%1 = resize %x {axes=[1], sizes=[4]}", "an element on axis 1");
    refused("%x: f32[1,3]\n%1 = resize %x {axes=[1], sizes=[4], end_1=nan}", "between -");
}

#[test]
fn pads_add_to_any_axis() {
    assert_eq!(inferred("%x: f32[n,3]\n%1 = pad %x {pads=[1,0,2,4]}"), "f32[n+3,7]");
    assert_eq!(inferred("%x: bool[3]\n%1 = pad %x {pads=[1,2], value=1.0}"), "bool[6]");
    refused("%x: f32[3]\n%1 = pad %x {pads=[1]}", "2 values");
    refused("%x: f32[3]\n%1 = pad_reflect %x {pads=[3,0]}", "at least 4 on axis 0");
    refused("%x: f32[0]\n%1 = pad_edge %x {pads=[1,0]}", "at least 1 on axis 0");
    refused("%x: i64[3]\n%1 = pad %x {pads=[1,0], value=0.5}", "a number that i64 holds");
    refused("%x: i64[3]\n%1 = pad %x {pads=[1,0], value=nan}", "a number that i64 holds");
    assert_eq!(inferred("%x: f32[3]\n%1 = pad %x {pads=[1,0], value=nan}"), "f32[4]");
}

#[test]
fn groups_divide_channels() {
    let norm =
        |rest: &str| format!("%x: f32[n,6,h]\n@s: f32[6] = random(1)\n@t: f32[2] = random(1)\n%1 = {rest}");
    assert_eq!(inferred(&norm("group_norm %x {groups=3, epsilon=0.1}")), "f32[n,6,h]");
    assert_eq!(inferred(&norm("group_norm %x, @s, @s {groups=6, epsilon=0.1}")), "f32[n,6,h]");
    refused(&norm("group_norm %x {groups=4, epsilon=0.1}"), "a divisor of the 6 channels");
    refused(&norm("group_norm %x, @t {groups=2, epsilon=0.1}"), "[6], one value per channel");
    refused(&norm("group_norm %x {groups=2, epsilon=-1.0}"), "finite and not negative");
}

#[test]
fn transposed_convolutions_compute_their_size() {
    let conv = |attributes: &str| {
        format!("%x: f32[n,4,h,5]\n%w: f32[4,3,3,2]\n%b: f32[6]\n%1 = conv_transpose %x, %w, %b {attributes}")
    };
    assert_eq!(inferred(&conv("{groups=2}")), "f32[n,6,h+2,6]");
    assert_eq!(
        inferred(&conv("{groups=2, strides=[2,3], pads=[1,0,1,1], output_padding=[1,0], dilations=[1,2]}")),
        "f32[n,6,2*h,14]"
    );
    refused(&conv("{groups=1}"), "[3], one value per output channel");
    refused(&conv("{groups=3}"), "a divisor of the 4 input channels");
    refused(&conv("{groups=2, pads=[0,9,0,0]}"), "at most the 6 results of axis 3");
    refused("%x: f32[1,5,4]\n%w: f32[4,3,3]\n%1 = conv_transpose %x, %w", "4 channels on axis 1");
}

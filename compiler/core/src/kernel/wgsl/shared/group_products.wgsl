// Products within groups, where groups share slices: weights between groups are zero, and zero times infinity is NaN.
fn group_products(
    pixel: vec4<f32>,
    dst_s: u32,
    src_s: u32,
    weights_0: vec4<f32>,
    weights_1: vec4<f32>,
    weights_2: vec4<f32>,
    weights_3: vec4<f32>,
) -> vec4<f32> {
    let lanes = vec4<u32>(0u, 1u, 2u, 3u);
    let dst_groups = (vec4<u32>(dst_s * 4u) + lanes) / vec4<u32>(GROUP_DST_CHANNELS);
    let src_groups = (vec4<u32>(src_s * 4u) + lanes) / vec4<u32>(GROUP_SRC_CHANNELS);
    let none = vec4<f32>(0.0);
    if INPUT_LANES {
        return vec4<f32>(
            dot(select(none, pixel, src_groups == vec4<u32>(dst_groups.x)), weights_0),
            dot(select(none, pixel, src_groups == vec4<u32>(dst_groups.y)), weights_1),
            dot(select(none, pixel, src_groups == vec4<u32>(dst_groups.z)), weights_2),
            dot(select(none, pixel, src_groups == vec4<u32>(dst_groups.w)), weights_3),
        );
    } else {
        return select(none, pixel.x * weights_0, dst_groups == vec4<u32>(src_groups.x))
            + select(none, pixel.y * weights_1, dst_groups == vec4<u32>(src_groups.y))
            + select(none, pixel.z * weights_2, dst_groups == vec4<u32>(src_groups.z))
            + select(none, pixel.w * weights_3, dst_groups == vec4<u32>(src_groups.w));
    }
}

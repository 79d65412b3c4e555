//! Images of every shape.

use drift_tests::opencl::{ClArg, Texels};

use crate::packing::half_bits;
use crate::run_groups;

#[test]
fn textures_are_read_and_written_by_texel() {
    let wgsl = "
        @group(0) @binding(0) var src: texture_2d<f32>;
        @group(0) @binding(1) var dst: texture_storage_2d<rgba16float, write>;
        @group(0) @binding(2) var shifted: texture_storage_2d<rgba32float, write>;
        @compute @workgroup_size(1)
        fn mirror(@builtin(global_invocation_id) id: vec3<u32>) {
            let size = textureDimensions(src);
            let at = vec2(size.x - 1u - id.x, id.y);
            let texel = textureLoad(src, at, 0);
            textureStore(dst, id.xy, texel * 2.0);
            textureStore(shifted, vec2<i32>(i32(id.x), i32(id.y)), textureLoad(src, vec2(i32(at.x) + 1, i32(id.y)), 0));
        }";
    let texels: Vec<f32> = (0..5 * 3 * 4).map(|i| i as f32 * 0.25 - 4.0).collect();
    let mut args = [
        ClArg::Image2d { width: 5, height: 3, texels: Texels::F32(texels.clone()) },
        ClArg::Image2d { width: 5, height: 3, texels: Texels::F16(vec![0; 60]) },
        ClArg::Image2d { width: 5, height: 3, texels: Texels::F32(vec![9.0; 60]) },
    ];
    run_groups(wgsl, [5, 3, 1], [1, 1, 1], &mut args);
    let texel = |x: usize, y: usize, lane: usize| texels[(y * 5 + x) * 4 + lane];
    let each = |f: &dyn Fn(usize, usize, usize) -> f32| -> Vec<f32> {
        (0..60).map(|i| f(i / 4 % 5, i / 20, i % 4)).collect()
    };
    let doubled = each(&|x, y, lane| 2.0 * texel(4 - x, y, lane)).into_iter().map(half_bits).collect();
    // One texel to the right of the mirror image; the column outside reads as zeros.
    let shifted = each(&|x, y, lane| if x == 0 { 0.0 } else { texel(5 - x, y, lane) });
    assert_eq!(args[1], ClArg::Image2d { width: 5, height: 3, texels: Texels::F16(doubled) });
    assert_eq!(args[2], ClArg::Image2d { width: 5, height: 3, texels: Texels::F32(shifted) });
}

#[test]
fn image_buffers_hold_a_line_of_texels() {
    let wgsl = "
        @group(0) @binding(0) var src: texture_1d<f32>;
        @group(0) @binding(1) var counts: texture_1d<u32>;
        @group(0) @binding(2) var dst: texture_storage_1d<rgba32float, write>;
        @group(0) @binding(3) var ints: texture_storage_1d<rgba32sint, write>;
        @compute @workgroup_size(1)
        fn reverse(@builtin(global_invocation_id) id: vec3<u32>) {
            textureStore(dst, id.x, textureLoad(src, 6u - id.x, 0) + vec4(0.5));
            textureStore(ints, i32(id.x), -vec4<i32>(textureLoad(counts, i32(id.x), 0)));
        }";
    let src: Vec<u16> = (0..28).map(|i| half_bits(i as f32 - 7.5)).collect();
    let mut args = [
        ClArg::ImageBuffer { texels: Texels::F16(src) },
        ClArg::ImageBuffer { texels: Texels::U32((0..28).collect()) },
        ClArg::ImageBuffer { texels: Texels::F32(vec![0.0; 28]) },
        ClArg::ImageBuffer { texels: Texels::I32(vec![0; 28]) },
    ];
    run_groups(wgsl, [7, 1, 1], [1, 1, 1], &mut args);
    let reversed = (0..28).map(|i| ((6 - i / 4) * 4 + i % 4) as f32 - 7.0).collect();
    assert_eq!(args[2], ClArg::ImageBuffer { texels: Texels::F32(reversed) });
    assert_eq!(args[3], ClArg::ImageBuffer { texels: Texels::I32((0..28).map(|i| -i).collect()) });
}

#[test]
fn layers_and_planes_are_addressed() {
    let wgsl = "
        @group(0) @binding(0) var layers: texture_2d_array<f32>;
        @group(0) @binding(1) var volume: texture_3d<f32>;
        @group(0) @binding(2) var dst: texture_storage_2d_array<rgba32float, write>;
        @group(0) @binding(3) var planes: texture_storage_3d<rgba32float, write>;
        @compute @workgroup_size(1)
        fn turn(@builtin(global_invocation_id) id: vec3<u32>) {
            let depth = textureNumLayers(layers) + textureDimensions(volume).z;
            textureStore(dst, id.xy, id.z, textureLoad(volume, id, 0) + f32(depth));
            textureStore(planes, id, textureLoad(layers, vec2(id.x, id.y), 1u - id.z, 0));
        }";
    let texels: Vec<f32> = (0..3 * 2 * 2 * 4).map(|i| i as f32).collect();
    let array =
        |data: Vec<f32>| ClArg::Image2dArray { width: 3, height: 2, layers: 2, texels: Texels::F32(data) };
    let volume = |data: Vec<f32>| ClArg::Image3d { width: 3, height: 2, depth: 2, texels: Texels::F32(data) };
    let mut args =
        [array(texels.clone()), volume(texels.clone()), array(vec![0.0; 48]), volume(vec![0.0; 48])];
    run_groups(wgsl, [3, 2, 2], [1, 1, 1], &mut args);
    assert_eq!(args[2], array(texels.iter().map(|value| value + 4.0).collect()));
    assert_eq!(args[3], volume([&texels[24..], &texels[..24]].concat()));
}

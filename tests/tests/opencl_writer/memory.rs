//! Structs, atomics and private variables in memory.

use drift_tests::opencl::ClArg;

use crate::run_groups;

#[test]
fn structs_lie_in_memory_as_wgsl_lays_them_out() {
    let wgsl = "
        struct Inner { at: vec2<f32>, weight: f32 }
        struct Item { id: u32, @align(16) color: vec3<f32>, inner: array<Inner, 2>, @size(16) last: i32 }
        struct Params { scale: f32, offset: vec4<f32>, count: u32 }
        @group(2) @binding(0) var<uniform> params: Params;
        @group(0) @binding(0) var<storage, read_write> items: array<Item, 2>;
        @group(0) @binding(3) var<storage, read_write> total: f32;
        @group(0) @binding(5) var<storage, read_write> counter: atomic<u32>;
        var<private> seen: u32 = 3u;
        fn note(by: u32) {
            seen += by;
            atomicAdd(&counter, params.count);
        }
        @compute @workgroup_size(2)
        fn update(@builtin(local_invocation_id) local: vec3<u32>) {
            let item = items[local.x];
            note(local.x + 1u);
            items[local.x].color = item.color * params.scale + params.offset.xyz;
            items[local.x].inner[1].weight += params.offset.w;
            items[local.x].inner[0] = Inner(item.inner[1].at.yx, 5.0);
            items[local.x].last = i32(seen);
            storageBarrier();
            if local.x == 1u {
                total = items[0].color.z + items[1].inner[1].weight;
            }
        }";
    let mut words = [0.0_f32; 2 * 20];
    words.iter_mut().enumerate().for_each(|(index, word)| *word = index as f32);
    let params = [2.0, 0.0, 0.0, 0.0, 10.0, 20.0, 30.0, 40.0, f32::from_bits(7), 0.0, 0.0, 0.0];
    let mut args = [ClArg::f32(&words), ClArg::f32(&[0.0]), ClArg::u32(&[1]), ClArg::f32(&params)];
    run_groups(wgsl, [1, 1, 1], [2, 1, 1], &mut args);
    let mut expected = words;
    for item in 0..2 {
        let at = item * 20;
        for lane in 0..3 {
            expected[at + 4 + lane] = words[at + 4 + lane] * 2.0 + params[4 + lane];
        }
        expected[at + 8] = words[at + 13];
        expected[at + 9] = words[at + 12];
        expected[at + 10] = 5.0;
        expected[at + 14] = words[at + 14] + 40.0;
        expected[at + 16] = f32::from_bits(4 + item as u32);
    }
    let found = args[0].to_f32();
    // Padding is nobody's: the lane behind `color`, the word behind each weight, and the tail.
    for index in (0..40).filter(|index| ![1, 2, 3, 7, 11, 15, 17, 18, 19].contains(&(index % 20))) {
        assert_eq!(found[index].to_bits(), expected[index].to_bits(), "word {index}");
    }
    assert_eq!(args[1].to_f32(), [words[6] * 2.0 + 30.0 + words[34] + 40.0]);
    assert_eq!(args[2].to_u32(), [1 + 14]);
}

#[test]
fn a_vec3_shares_its_fourth_lane_with_the_next_member() {
    let wgsl = "
        struct Ray { at: vec3<f32>, length: f32, toward: vec3<i32>, id: u32 }
        @group(0) @binding(0) var<storage, read_write> rays: array<Ray, 3>;
        @compute @workgroup_size(1)
        fn march(@builtin(global_invocation_id) id: vec3<u32>) {
            var ray = rays[id.x];
            rays[id.x].at = ray.at + rays[id.x].length;
            rays[id.x].at.y *= 2.0;
            rays[id.x].at[id.x] += 100.0;
            rays[id.x].at += vec3(1.0, 2.0, 3.0);
            ray.toward.z = i32(ray.id);
            rays[id.x].toward = ray.toward.zyx;
            if id.x == 2u {
                rays[id.x] = Ray(ray.at.zyx, 7.0, vec3(-1), 8u);
            }
        }";
    let words: Vec<u32> =
        (0..24).map(|index| if index % 8 < 4 { (index as f32).to_bits() } else { index }).collect();
    let mut args = [ClArg::u32(&words)];
    run_groups(wgsl, [3, 1, 1], [1, 1, 1], &mut args);
    let float = f32::to_bits;
    let expected = [
        [float(104.0), float(10.0), float(8.0), float(3.0), 7, 5, 4, 7],
        [float(20.0), float(142.0), float(24.0), float(11.0), 15, 13, 12, 15],
        [float(18.0), float(17.0), float(16.0), float(7.0), u32::MAX, u32::MAX, u32::MAX, 8],
    ];
    assert_eq!(args[0].to_u32(), expected.as_flattened());
}

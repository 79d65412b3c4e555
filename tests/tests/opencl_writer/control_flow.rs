//! Loops, branches, calls and barriers, and the order of reads and writes.

use drift_tests::opencl::ClArg;

use crate::{assert_close, run_groups};

#[test]
fn a_loop_sums_rows_of_awkward_length() {
    let wgsl = "
        const width = 5u;
        @group(0) @binding(0) var<storage, read> src: array<f32, 15>;
        @group(0) @binding(1) var<storage, read_write> dst: array<f32, 3>;
        @compute @workgroup_size(1)
        fn sum_rows(@builtin(global_invocation_id) id: vec3<u32>) {
            let row = id.x;
            var sum = 0.0;
            for (var i = 0u; i < width; i++) {
                sum += src[row * width + i];
            }
            dst[row] = sum;
        }";
    let src: Vec<f32> = (0..15).map(|i| i as f32 * 0.5 - 3.0).collect();
    let mut args = [ClArg::f32(&src), ClArg::f32(&[0.0; 3])];
    run_groups(wgsl, [3, 1, 1], [1, 1, 1], &mut args);
    let expected: Vec<f32> = src.chunks(5).map(|row| row.iter().sum()).collect();
    assert_eq!(args[1].to_f32(), expected);
}

#[test]
fn a_tile_is_shared_across_barriers() {
    let wgsl = "
        var<workgroup> tile: array<array<f32, 4>, 4>;
        @group(0) @binding(0) var<storage, read> src: array<f32>;
        @group(0) @binding(1) var<storage, read_write> dst: array<f32>;
        @compute @workgroup_size(4, 4)
        fn transpose(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>,
                     @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) index: u32) {
            let width = groups.x * 4u;
            let height = groups.y * 4u;
            tile[local.y][local.x] = src[(group.y * 4u + local.y) * width + group.x * 4u + local.x];
            workgroupBarrier();
            let y = index / 4u;
            let x = index % 4u;
            dst[(group.x * 4u + y) * height + group.y * 4u + x] = tile[x][y];
        }";
    let (width, height) = (12, 8);
    let src: Vec<f32> = (0..width * height).map(|i| i as f32).collect();
    let mut args = [ClArg::f32(&src), ClArg::f32(&vec![0.0; width * height])];
    run_groups(wgsl, [3, 2, 1], [4, 4, 1], &mut args);
    let expected: Vec<f32> =
        (0..width).flat_map(|x| (0..height).map(move |y| (y * width + x) as f32)).collect();
    assert_eq!(args[1].to_f32(), expected);
}

#[test]
fn a_work_group_reduces_through_local_memory() {
    let wgsl = "
        var<workgroup> partial: array<f32, 8>;
        var<workgroup> total: f32;
        @group(0) @binding(0) var<storage, read> src: array<f32, 37>;
        @group(0) @binding(1) var<storage, read_write> dst: array<f32, 37>;
        @compute @workgroup_size(8)
        fn mean(@builtin(local_invocation_index) lane: u32) {
            var sum = 0.0;
            for (var i = lane; i < 37u; i += 8u) {
                sum += src[i];
            }
            partial[lane] = sum;
            workgroupBarrier();
            var stride = 4u;
            loop {
                if lane < stride {
                    partial[lane] += partial[lane + stride];
                }
                workgroupBarrier();
                continuing {
                    stride = stride / 2u;
                    break if stride == 0u;
                }
            }
            if lane == 0u {
                total = partial[0];
            }
            let all = workgroupUniformLoad(&total);
            for (var i = lane; i < 37u; i += 8u) {
                dst[i] = src[i] - all / 37.0;
            }
        }";
    let src: Vec<f32> = (0..37).map(|i| (i * 7 % 11) as f32).collect();
    let mut args = [ClArg::f32(&src), ClArg::f32(&[0.0; 37])];
    run_groups(wgsl, [1, 1, 1], [8, 1, 1], &mut args);
    let mean = src.iter().sum::<f32>() / 37.0;
    let expected: Vec<f32> = src.iter().map(|value| value - mean).collect();
    assert_close(&args[1].to_f32(), &expected, "mean");
}

#[test]
fn every_form_of_control_flow_takes_the_right_turn() {
    let wgsl = "
        struct Pair { first: i32, second: i32 }
        @group(0) @binding(0) var<storage, read> src: array<i32>;
        @group(0) @binding(1) var<storage, read_write> dst: array<i32>;
        const weights = array<i32, 4>(1, 10, 100, 1000);
        fn swap_if(p: Pair, yes: bool) -> Pair {
            if yes {
                return Pair(p.second, p.first);
            }
            return p;
        }
        fn bump(at: ptr<function, i32>, by: i32) {
            *at = *at + by;
        }
        @compute @workgroup_size(2)
        fn flow(@builtin(global_invocation_id) id: vec3<u32>) {
            if id.x >= 5u {
                return;
            }
            let n = src[id.x];
            var odd = 0;
            var i = 0;
            loop {
                if i >= n { break; }
                let was = i;
                if was % 2 == 0 { continue; }
                odd += was;
                continuing {
                    i = i + 1;
                    odd = odd + 1;
                }
            }
            var kind = 0;
            switch n {
                case 0: { kind = 7; }
                case 1, 2: { kind = 8; }
                case -3: {
                    for (var k = 0; k < 5; k++) {
                        if k == 3 { break; }
                        kind += k;
                    }
                }
                default: {
                    kind = 9;
                    if n > 100 { break; }
                    kind += 1;
                }
            }
            var j = 0;
            while j * j < n {
                j++;
            }
            var table = weights;
            var sum = 0;
            for (var y = 0; y < 2; y++) {
                for (var x = 0; x < 2; x++) {
                    var fresh = 0;
                    fresh += table[y * 2 + x];
                    sum += fresh * (x + 1);
                }
                table[y] = n;
            }
            let before = sum;
            bump(&sum, n);
            let copy = table;
            table[0] = -1;
            let pair = swap_if(Pair(before, sum), n > 1 || n < -1);
            var label = 1;
            if n < 0 { label = 2; } else if n == 0 { label = 3; } else if n < 3 { label = 4; } else { label = 5; }
            var both = 0;
            if n > 0 && src[u32(n) % 5u] > 2 { both = 1; }
            let at = id.x * 9u;
            dst[at] = odd;
            dst[at + 1u] = kind;
            dst[at + 2u] = j;
            dst[at + 3u] = pair.first;
            dst[at + 4u] = pair.second;
            dst[at + 5u] = copy[0] * 10 + table[0];
            dst[at + 6u] = label;
            dst[at + 7u] = both;
            dst[at + 8u] = weights[u32(n) % 4u];
        }";
    let src = [0, 1, 2, -3, 200];
    let mut args = [ClArg::i32(&src), ClArg::i32(&[0; 45])];
    run_groups(wgsl, [3, 1, 1], [2, 1, 1], &mut args);
    let expected: Vec<i32> = src.iter().flat_map(|&n| flow_in_rust(&src, n)).collect();
    assert_eq!(args[1].to_i32(), expected);
}

fn flow_in_rust(src: &[i32; 5], n: i32) -> [i32; 9] {
    const WEIGHTS: [i32; 4] = [1, 10, 100, 1000];
    let odd = (0..n).map(|i| 1 + if i % 2 == 0 { 0 } else { i }).sum();
    let kind = match n {
        0 => 7,
        1 | 2 => 8,
        -3 => 3,
        _ if n > 100 => 9,
        _ => 10,
    };
    let root = (0..).find(|j| j * j >= n).unwrap_or_default();
    let before = 1 + 20 + 100 + 2000;
    let pair = if (-1..=1).contains(&n) { [before, before + n] } else { [before + n, before] };
    let label = match n {
        ..0 => 2,
        0 => 3,
        1 | 2 => 4,
        _ => 5,
    };
    let both = n > 0 && src[n as usize % 5] > 2;
    [odd, kind, root, pair[0], pair[1], n * 10 - 1, label, i32::from(both), WEIGHTS[n as u32 as usize % 4]]
}

#[test]
fn a_value_is_read_before_the_store_that_follows_it() {
    let wgsl = "
        @group(0) @binding(0) var<storage, read_write> data: array<i32, 8>;
        fn take(at: u32) -> i32 {
            let was = data[at];
            data[at] = 0;
            return was;
        }
        @compute @workgroup_size(1)
        fn order() {
            let first = data[0];
            data[0] = data[1] + 1;
            data[1] = first;
            var i = 2u;
            let old = i;
            i += 1u;
            data[old] = i32(i) * 10;
            data[3] = data[4] + take(4u) * 100 + data[4];
            var x = 5;
            {
                let i = x * 2;
                x = i + 1;
            }
            data[5] = x;
            let p = &data[i + 3u];
            i = 0u;
            *p += 1;
            *p *= 2;
            data[7] = i32(i);
        }";
    let mut args = [ClArg::i32(&[1, 2, 3, 4, 5, 6, 7, 8])];
    run_groups(wgsl, [1, 1, 1], [1, 1, 1], &mut args);
    assert_eq!(args[0].to_i32(), [3, 1, 30, 505, 0, 11, 16, 0]);
}

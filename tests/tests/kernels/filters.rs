//! Filters that init programs make at load.

use super::*;
use drift_runtime::DeviceKind;

/// Rows of G with their scales: `(1, a, a^2)` over the product of the distances of point `a` from the others.
fn filter_matrix(tile: usize) -> Vec<[f64; 3]> {
    let (near, far) = (0.5_f64.sqrt(), 2.0_f64.sqrt());
    let (points, scales, filter_scale): (&[f64], &[f64], f64) = match tile {
        2 => (&[0.0, 1.0, -1.0], &[1.0; 4], 0.5),
        _ => (&[0.0, near, -near, far, -far], &[0.5, 0.25, 0.25, 0.5, 0.5, 0.5], 0.125),
    };
    let of = |a: &f64| {
        let distances: f64 = points.iter().filter(|b| *b != a).map(|b| a - b).product();
        [1.0 / distances, a / distances, a * a / distances]
    };
    let rows = points.iter().map(of).chain([[0.0, 0.0, 1.0]]);
    rows.zip(scales).map(|(row, scale)| row.map(|value| value / scale * filter_scale)).collect()
}

/// Positions of G g G^T, `[position, input channel, output channel]` in whole slices, with the dead ones zero.
fn check_filters(device: &Device, tile: usize, profile: &'static str, precision: Precision) {
    let graph = graph_of("%x: f32[1,5,9,7]\n@w: f32[6,5,3,3] = random(1)\n%1 = conv %x, @w\nreturn %1");
    let weights = WeightsChoice::default();
    let setting =
        Setting { layout: LayoutChoice::Buffer, precision, weights, profile, keep_attention: false };
    let blobs = derived_on(device, &graph, setting).unwrap_or_else(|error| panic!("{}", chain(&*error)));
    let [blob] = &blobs[..] else { panic!("{} derived blobs", blobs.len()) };
    let element = if precision == Precision::F16 { Element::F16 } else { Element::F32 };
    let matrix = filter_matrix(tile);
    let (inner, rows, columns) = (matrix.len(), 8, 8);
    let shape = [inner * inner, rows, columns].map(|size| size as u64);
    let made = unpack(blob, &Layout::row_major(element, 3), &shape);
    let node = graph.node(graph.nodes().next().expect("the convolution"));
    // What the bundle stores of them.
    let weights = graph.constant(node.inputs[1]).expect("weights");
    let dense = Layout::row_major(element, 4);
    let weights = unpack(&pack(weights, &dense).expect("floats"), &dense, weights.shape());
    let tap = |o: usize, i: usize, y: usize, x: usize| match o < 6 && i < 5 {
        true => weights[(o * 5 + i) * 9 + y * 3 + x],
        false => 0.0,
    };
    // The rounding of what is stored, and those of three sums in f32.
    let rounding = if precision == Precision::F16 { 1.0 / 2048.0 } else { 0.0 };
    for (at, got) in made.into_iter().enumerate() {
        let (position, i, o) = (at / (rows * columns), at / columns % rows, at % columns);
        let (row, column) = (&matrix[position / inner], &matrix[position % inner]);
        let taps = (0..9).map(|n| row[n / 3] * tap(o, i, n / 3, n % 3) * column[n % 3]);
        let expected: f64 = taps.sum();
        let allowed = expected.abs() * rounding + 1e-6;
        assert!(
            (got - expected).abs() <= allowed,
            "{profile} {position} {i} {o}: {got}, expected {expected}"
        );
        assert!((o < 6 && i < 5) || got == 0.0, "{profile} {position} {i} {o}: {got} in a dead lane");
    }
}

/// All on Vulkan; elsewhere each tile in one precision, unless everything is asked for.
#[test]
fn filters_made_at_load_are_what_the_matrices_say() {
    for device in conformance::devices() {
        let all = is_full() || device.info().kind == DeviceKind::Vulkan;
        for precision in PRECISIONS {
            let is_half = precision == Precision::F16;
            if all || !is_half {
                check_filters(device, 2, "winograd-2x2", precision);
            }
            if all || is_half {
                check_filters(device, 4, "winograd-4x4", precision);
            }
            if all {
                check_filters(device, 4, "winograd-small-bindings", precision);
            }
        }
    }
}

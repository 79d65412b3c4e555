//! Products and convolutions on matrices of 8x8: as Metal has them, executed by the processor, and as loops.

use super::*;

const fn setting(profile: &'static str) -> Setting {
    Setting {
        layout: LayoutChoice::Buffer,
        precision: Precision::F16,
        weights: WeightsChoice { order: None, storage: None },
        profile,
        keep_attention: false,
    }
}

#[test]
fn products_on_8x8_matrices_agree_with_the_evaluator() {
    prove(&MSL, "-apple-matrices");
    prove(&VULKAN, "-8x8-matrices");
}

/// Products with sizes around those of matrices and tiles: all fit or none does, batches, one row, one column, a k of one; and with
/// rows and columns that are no numbers or infinite.
fn edges_of_8x8_matrices() -> Vec<String> {
    let matmul = |a: &str, b: &str| format!("%a: f32[{a}]\n%b: f32[{b}]\n%1 = matmul %a, %b\nreturn %1");
    let turned = |a: &str, b: &str| {
        format!(
            "%a: f32[{a}]\n%b: f32[{b}]\n%1 = matmul %a, %b {{transpose_b=true}} epilogue(relu)\nreturn %1"
        )
    };
    let zeros_but = |count: usize, others: &[(usize, &str)]| {
        let of = |n: usize| others.iter().find(|(at, _)| *at == n).map_or("0", |(_, value)| value);
        (0..count).map(of).collect::<Vec<_>>().join(", ")
    };
    let special = |columns: &[(usize, &str)]| {
        let rows = zeros_but(33, &[(3, "nan"), (20, "inf"), (32, "-inf")]);
        let columns = zeros_but(40, columns);
        format!(
            "%a: f32[33,40]\n%b: f32[40,21]\n@r: f32[33,1] = [{rows}]\n@c: f32[1,40] = [{columns}]\n\
             %s = add %a, @r\n%t = add %s, @c\n%1 = matmul %t, %b\nreturn %1"
        )
    };
    vec![
        matmul("64,32", "32,64"),
        matmul("65,33", "33,67"),
        matmul("2,31,31", "2,31,33"),
        matmul("9,1", "1,9"),
        matmul("40,8", "8,1"),
        turned("2,1,70", "2,37,70"),
        turned("64,64", "64,64"),
        turned("17,23", "9,23"),
        matmul("9,2600", "2600,12"),
        special(&[]),
        special(&[(39, "inf")]),
        "%x: f32[2,9,7,5]\n@w: f32[11,9,3,3] = random(1)\n@b: f32[11] = random(2)\n\
         %1 = conv %x, @w, @b {strides=[2,1], pads=[1,0,1,1]} epilogue(relu)\nreturn %1"
            .to_owned(),
    ]
}

#[test]
fn edges_of_8x8_matrices_agree_with_the_evaluator() {
    let runs: [(Run, Target, &str); 2] =
        [(on_msl, Target::Metal, "apple-matrices"), (on_vulkan, Target::Vulkan, "cooperative-loops-8x8")];
    for (n, text) in edges_of_8x8_matrices().iter().enumerate() {
        let graph = graph_of(text);
        // lavapipe compiles these loops for long.
        let on_vulkan_too = if is_full() { n % 3 == 1 } else { n == 1 };
        for (run, target, profile) in runs.into_iter().take(if on_vulkan_too { 2 } else { 1 }) {
            let setting = setting(profile);
            let compiled = compiled(&graph, target, setting).expect("a case compiles");
            let variant = &compiled.bundle.manifest().entries[0].variants[0];
            let names: Vec<&str> = variant.dispatches.iter().map(|dispatch| &*dispatch.name).collect();
            assert!(names.iter().any(|name| name.ends_with(": matmul_cooperative_8x8")), "{text}\n{names:?}");
            assert_eq!(outcome(run, &graph, setting), Ok(None), "{profile}\n{text}");
        }
    }
}

/// Each tile of the 8x8 matrices, where it overhangs and where it is whole.
#[test]
fn every_tile_of_8x8_matrices_agrees_with_the_evaluator() {
    let turned = "%a: f32[120,70]\n%b: f32[125,70]\n%1 = matmul %a, %b {transpose_b=true}\nreturn %1";
    let cases = [
        ("%a: f32[128,64]\n@b: f32[64,128] = random(5)\n%1 = matmul %a, @b\nreturn %1", "64x64x32 tiles"),
        (turned, "64x64x32 tiles"),
        (
            "%x: f32[1,36,12,14]\n@w: f32[120,36,3,3] = random(1)\n%1 = conv %x, @w\nreturn %1",
            "64x64x32 tiles, one",
        ),
        ("%a: f32[250,200]\n@b: f32[200,29] = random(5)\n%1 = matmul %a, @b\nreturn %1", "64x32x32 tiles"),
        ("%a: f32[31,200]\n@b: f32[200,250] = random(5)\n%1 = matmul %a, @b\nreturn %1", "32x64x32 tiles"),
        ("%a: f32[31,70]\n@b: f32[70,29] = random(5)\n%1 = matmul %a, @b\nreturn %1", "32x32x32 tiles"),
    ];
    for (text, tile) in cases {
        let graph = graph_of(text);
        let setting = setting("8x8-matrices-small-device");
        let kernels = steps_for(Target::Metal, &graph, setting);
        assert!(kernels.iter().any(|why| why.contains(tile)), "{text}\n{kernels:?}");
        assert_eq!(outcome(on_msl, &graph, setting), Ok(None), "{text}");
    }
}

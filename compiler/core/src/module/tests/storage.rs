//! f16 storage without f16 arithmetic.

use naga::Literal;

use super::{
    done,
    interpreter::{Value, numbers, run},
    text,
};
use crate::module::{
    ModuleError, Specialized,
    lower::{OneF16, f16_storage_only},
    stats,
};

const SCALE: &str = "enable f16;
    @group(0) @binding(0) var<storage, read> src: array<vec4<f16>>;
    @group(0) @binding(1) var<storage, read_write> dst: array<vec4<f16>>;
    @group(1) @binding(0) var<storage, read> bias: array<f16>;
    @group(1) @binding(1) var<storage, read> pairs: array<vec2<f16>>;
    @compute @workgroup_size(3, 1, 1)
    fn kernel(@builtin(global_invocation_id) id: vec3<u32>) {
        var sum = src[id.x] * 2.0h + vec4<f16>(f16(id.x));
        sum.y += src[0].w * bias[3u];
        dst[id.x] = sum + vec4<f16>(bias[id.x], pairs[1], pairs[id.x][id.x % 2u]);
    }";

fn halves(values: &[f32]) -> Vec<half::f16> {
    values.iter().map(|value| half::f16::from_f32(*value)).collect()
}

fn grouped(values: &[f32], lanes: usize) -> Value {
    let scalars = halves(values).into_iter().map(|value| Value::Scalar(Literal::F16(value)));
    let flat: Vec<Value> = scalars.collect();
    if lanes == 1 {
        Value::Composite(flat)
    } else {
        Value::Composite(flat.chunks(lanes).map(|chunk| Value::Composite(chunk.to_vec())).collect())
    }
}

fn words(values: &[f32], per_element: usize) -> Value {
    let words: Vec<Value> = halves(values)
        .chunks(2)
        .map(|pair| {
            Value::Scalar(Literal::U32(
                u32::from(pair[0].to_bits()) | u32::from(pair.get(1).map_or(0, |high| high.to_bits())) << 16,
            ))
        })
        .collect();
    if per_element == 1 {
        Value::Composite(words)
    } else {
        Value::Composite(words.chunks(2).map(|pair| Value::Composite(pair.to_vec())).collect())
    }
}

#[test]
fn packed_storage_gives_the_same_numbers() {
    let src: Vec<f32> = (0..12_u8).map(|index| f32::from(index) * 0.5 - 2.0).collect();
    let bias = [1.0, -2.0, 0.25, 4.0, 8.0];
    let pairs = [0.5, -1.0, 3.0, 2.0, -4.0, 16.0];
    let full = done(SCALE);
    let mut expected = [
        ("src", grouped(&src, 4)),
        ("dst", grouped(&[0.0; 12], 4)),
        ("bias", grouped(&bias, 1)),
        ("pairs", grouped(&pairs, 2)),
    ];
    run(&full.module, [1, 1], &mut expected);
    let packed = f16_storage_only(full, OneF16::HalfWord).unwrap();
    let mut found = [
        ("src", words(&src, 2)),
        ("dst", words(&[0.0; 12], 2)),
        ("bias", words(&bias, 1)),
        ("pairs", words(&pairs, 1)),
    ];
    run(&packed.module, [1, 1], &mut found);
    let want: Vec<f32> = numbers(&expected[1].1).iter().map(|value| *value as f32).collect();
    assert_eq!(found[1].1, words(&want, 2));
}

#[test]
fn no_f16_is_left() {
    let packed = f16_storage_only(done(SCALE), OneF16::HalfWord).unwrap();
    assert!(!stats(&packed).uses_f16);
    let text = text(&packed);
    assert!(!text.contains("f16") || !text.contains("enable"), "{text}");
    assert!(text.contains("var<storage> src: array<vec2<u32>>"), "{text}");
}

#[test]
fn workgroup_arrays_grow() {
    let source = "enable f16;
        @group(0) @binding(0) var<storage, read_write> dst: array<vec4<f16>>;
        var<workgroup> tile: array<vec4<f16>, 8>;
        @compute @workgroup_size(8, 1, 1)
        fn kernel(@builtin(local_invocation_index) lane: u32) {
            tile[lane] = dst[lane];
            workgroupBarrier();
            dst[lane] = tile[7u - lane];
        }";
    let full = done(source);
    assert_eq!(stats(&full).shared_bytes, 64);
    assert_eq!(stats(&f16_storage_only(full, OneF16::HalfWord).unwrap()).shared_bytes, 128);
}

#[track_caller]
fn refused(declaration: &str, statement: &str, expected: &str) {
    let source = format!(
        "enable f16; {declaration} @compute @workgroup_size(1, 1, 1) fn kernel(@builtin(global_invocation_id) id: vec3<u32>) {{ {statement} }}"
    );
    match f16_storage_only(done(&source), OneF16::HalfWord) {
        Err(ModuleError::F16Storage { variable, reason }) => {
            assert!(reason.contains(expected), "{variable}: {reason}")
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn writes_that_two_invocations_could_share_are_refused() {
    let scalars = "@group(0) @binding(0) var<storage, read_write> dst: array<f16>;";
    refused(scalars, "dst[id.x] = 1.0h;", "single f16");
    let vectors = "@group(0) @binding(0) var<storage, read_write> dst: array<vec4<f16>>;";
    refused(vectors, "dst[id.x].y = 1.0h;", "single f16");
}

#[test]
fn words_of_16_bits_take_one_f16_each() {
    let source = "enable f16;
        @group(0) @binding(0) var<storage, read> src: array<f16, 5>;
        @group(0) @binding(1) var<storage, read_write> dst: array<f16, 5>;
        @compute @workgroup_size(5, 1, 1)
        fn kernel(@builtin(global_invocation_id) id: vec3<u32>) { dst[id.x] = src[4u - id.x] * 2.0h; }";
    let lowered = f16_storage_only(done(source), OneF16::U16).unwrap();
    let is = |inner: &naga::TypeInner, scalar| inner.scalar() == Some(scalar);
    let has = |scalar| lowered.module.types.iter().any(|(_, ty)| is(&ty.inner, scalar));
    assert!(has(naga::Scalar::U16) && !has(naga::Scalar::F16));
}

#[test]
fn layouts_without_whole_words_are_refused() {
    refused(
        "@group(0) @binding(0) var<storage, read_write> dst: array<vec3<f16>>;",
        "dst[id.x] = vec3<f16>(1.0h);",
        "vec4<f16>",
    );
    refused(
        "struct S { a: f16, b: f16 } @group(0) @binding(0) var<storage, read_write> dst: S;",
        "dst.a = f16(id.x) + dst.b;",
        "storage buffers",
    );
}

#[test]
fn a_module_without_f16_is_returned_as_it_is() {
    let source = super::kernel("", "dst[id.x] = src[id.x];");
    let same: Specialized = f16_storage_only(done(&source), OneF16::HalfWord).unwrap();
    assert_eq!(text(&same), text(&done(&source)));
}

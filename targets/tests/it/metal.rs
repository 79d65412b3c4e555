//! Emitted MSL is accepted by clang with a stand-in for Metal's library, and wrong MSL is not.

#[expect(unreachable_pub, reason = "other crates share the file")]
#[path = "../metal_stdlib/clang.rs"]
mod clang;

use std::path::Path;

use drift_targets::Target;

use crate::cases;

fn complaints(msl: &str) -> String {
    let headers = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/metal_stdlib");
    clang::complaints(&headers, msl).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_golden_is_accepted() {
    let mut checked = 0;
    for case in cases::all() {
        // What Metal refuses is in `refusals`.
        let Ok(emitted) = cases::emitted(&case.source, Target::Metal, false) else { continue };
        let said = complaints(&cases::text(&emitted));
        assert!(said.is_empty(), "{}:\n{said}", case.name);
        checked += 1;
    }
    assert!(checked >= 12, "only {checked} cases reach Metal");
}

/// The golden of `case` with `from` replaced by `to`, which must not pass.
fn rejected(case: &str, from: &str, to: &str) {
    let case = cases::named(case);
    let emitted = cases::emitted(&case.source, Target::Metal, false).expect("Metal takes the case");
    let text = cases::text(&emitted);
    assert!(text.contains(from), "`{from}` is not in {text}");
    let said = complaints(&text.replacen(from, to, 1));
    assert!(said.contains("error:"), "`{to}` passes for `{from}`: {said}");
}

#[test]
fn a_vector_of_the_wrong_width_is_rejected() {
    rejected("f16-vec4", "metal::half4 _e15", "metal::half3 _e15");
}

#[test]
fn a_vector_of_too_few_parts_is_rejected() {
    rejected(
        "half-packed",
        "metal::uint2(as_type<uint>(half2(squared.xy)), ",
        "metal::uint4(as_type<uint>(half2(squared.xy)), ",
    );
}

#[test]
fn writing_to_a_texture_that_is_read_is_rejected() {
    rejected("texture-write", "metal::access::write", "metal::access::read");
}

#[test]
fn a_function_that_metal_does_not_have_is_rejected() {
    rejected("select-min-max", "metal::rsqrt", "metal::inversesqrt");
}

#[test]
fn writing_through_a_read_only_buffer_is_rejected() {
    rejected("workgroup-barrier", "device type_3& dst", "device type_3 const& dst");
}

#[test]
fn a_cooperative_load_from_the_wrong_address_space_is_rejected() {
    rejected("cooperative-matrix", "const threadgroup float* ptr", "const thread float* ptr");
}

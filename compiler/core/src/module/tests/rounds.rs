//! How often loops run at most.

use super::{done, kernel};
use crate::module::{ModuleError, rounds};

#[track_caller]
fn bound(statements: &str) -> Result<u64, ModuleError> {
    rounds(&done(&kernel("", statements)).module, &[])
}

#[track_caller]
fn check(statements: &str, expected: u64) {
    let found = bound(statements).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(found, expected, "{statements}");
}

const ADD: &str = "dst[id.x] += 1.0;";

#[test]
fn a_counted_loop_runs_to_its_end() {
    check(&format!("for (var i = 0u; i < 70u; i++) {{ {ADD} }}"), 70);
    check(&format!("for (var i = 5u; i <= 70u; i += 4u) {{ {ADD} }}"), 17);
    check(&format!("for (var i = 0u; 10u > i; i += 3u) {{ {ADD} }}"), 4);
    check(&format!("for (var i = 0u; i < min(id.x, 9u); i++) {{ {ADD} }}"), 9);
    check(&format!("for (var i = id.x % 4u; i < 100u; i += 4u) {{ {ADD} }}"), 25);
}

#[test]
fn loops_in_loops_multiply_and_loops_after_loops_add() {
    check(&format!("for (var i = 0u; i < 7u; i++) {{ for (var k = 0u; k < 5u; k++) {{ {ADD} }} }}"), 7 + 35);
    let branches = format!(
        "if id.x > 3u {{ for (var i = 0u; i < 7u; i++) {{ {ADD} }} }} else {{ for (var i = 0u; i < 5u; i++) {{ {ADD} }} }}"
    );
    check(&branches, 12);
}

#[test]
fn halving_ends() {
    check(&format!("for (var i = 64u; i > 0u; i = i / 2u) {{ {ADD} }}"), 7);
    check(&format!("for (var i = 64u; i > 0u; i = i >> 2u) {{ {ADD} }}"), 4);
}

#[test]
fn what_start_and_end_share_falls_away() {
    let ends = "let end = min(first + 12u, 1000u);";
    check(&format!("let first = id.y * 12u; {ends} for (var i = first; i < end; i++) {{ {ADD} }}"), 12);
    check(
        &format!(
            "let end = min((id.y + 1u) * 12u, 1000u); for (var i = id.y * 12u + id.x; i < end; i += 4u) {{ {ADD} }}"
        ),
        3,
    );
}

#[test]
fn a_start_that_may_be_another_is_none() {
    check(&format!("var i = 5u; if id.x > 2u {{ i = 0u; }} for (; i < 10u; i++) {{ {ADD} }}"), 10);
}

#[test]
fn any_of_several_conditions_bounds_a_loop() {
    check(&format!("for (var i = 0u; i < 27u && (id.y ^ i) < id.x; i++) {{ {ADD} }}"), 27);
}

#[test]
fn what_cannot_be_read_is_refused() {
    for statements in [
        format!("for (var i = 0u; i < id.x; i++) {{ {ADD} }}"),
        format!("for (var i = 1u; i < 9u; i = i * 2u) {{ {ADD} }}"),
        format!("for (var i = 0u; i < 9u; i++) {{ {ADD} i = i - id.x; }}"),
        format!("for (var i = 0u; i < u32(src[3]); i++) {{ {ADD} }}"),
        format!("for (var i = -9i; i < 9i; i++) {{ {ADD} }}"),
        format!("loop {{ if src[0] > 1.0 {{ break; }} {ADD} }}"),
    ] {
        let found = bound(&statements);
        assert!(matches!(found, Err(ModuleError::Unbounded { .. })), "{statements}: {found:?}");
    }
}

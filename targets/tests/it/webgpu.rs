//! Emitted WGSL through the compiler that WebGPU users have.

#[expect(unreachable_pub, reason = "public in drift-tests, whose module this is")]
#[path = "../../../tests/src/chromium.rs"]
mod chromium;

use chromium::{Verdict, Wgsl, check_wgsl};
use drift_targets::Target;

use crate::cases;

#[test]
fn chromium_accepts_every_golden_and_rejects_what_is_wrong() {
    let whole = |name: String, source: String| Wgsl { name, source, pipeline: true };
    let mut shaders: Vec<Wgsl> = cases::all()
        .iter()
        // What WebGPU refuses is in `refusals`.
        .filter_map(|case| {
            let emitted = cases::emitted(&case.source, Target::WebGpu, false).ok()?;
            Some(whole(case.name.clone(), cases::text(&emitted)))
        })
        .collect();
    let right = shaders.len();
    for (name, source) in WRONG {
        shaders.push(whole((*name).to_owned(), (*source).to_owned()));
    }
    let results = check_wgsl(&shaders).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(results.len(), shaders.len());
    let (right, wrong) = results.split_at(right);
    for result in right {
        match &result.verdict {
            Verdict::Accepted => {}
            Verdict::Rejected(messages) => panic!("{}:\n{messages}", result.name),
            Verdict::NotChecked(reason) => println!("{}: not checked, {reason}", result.name),
        }
    }
    let accepted = right.iter().filter(|result| result.verdict == Verdict::Accepted).count();
    assert!(accepted >= 10, "only {accepted} of {} are checked", right.len());
    for result in wrong {
        assert!(matches!(result.verdict, Verdict::Rejected(_)), "{}: {:?}", result.name, result.verdict);
    }
}

const WRONG: &[(&str, &str)] = &[
    ("a type error", "@compute @workgroup_size(1) fn main() { let x: u32 = 1.5; }"),
    (
        "a subgroup operation that is not enabled",
        "@compute @workgroup_size(1) fn main() { _ = subgroupAdd(1u); }",
    ),
    ("too large a work-group", "@compute @workgroup_size(65536) fn main() {}"),
];

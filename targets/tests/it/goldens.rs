//! The text of each construct in each language, as snapshots under `golden/targets`.

use drift_targets::Target;

use crate::cases::{self, Case};

#[test]
fn each_construct_reads_as_its_golden_in_every_language() {
    for case in cases::all() {
        for target in Target::ALL {
            check(&case, target, language(target));
        }
    }
}

const fn language(target: Target) -> &'static str {
    match target {
        Target::Vulkan => "spvasm",
        Target::Metal => "msl",
        Target::WebGpu => "wgsl",
        Target::OpenCl => "cl",
    }
}

fn check(case: &Case, target: Target, language: &str) {
    let text = match cases::emitted(&case.source, target, false) {
        Ok(emitted) => cases::text(&emitted),
        Err(error) => format!("refused: {}\n", cases::reason(&error)),
    };
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(&case.folder);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(format!("out.{language}"), text));
}

#[test]
fn the_same_module_emits_the_same_bytes() {
    for case in cases::all() {
        for target in Target::ALL {
            let bytes = || {
                cases::emitted(&case.source, target, true)
                    .ok()
                    .map(|emitted| emitted.code.bytes().into_owned())
            };
            assert_eq!(bytes(), bytes(), "{}: {target}", case.name);
        }
    }
}

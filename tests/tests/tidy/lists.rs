//! What the lists of files to touch (`docs/extending.md`) ask for, where no other test does.

use super::{all_files, read, report, root, rust_files, short};
use std::collections::BTreeMap;

/// Rules without a test of their own: graphs at random and cases of kernels go through them.
const BY_CASES: &[&str] = &[
    "gather-before-rows",
    "conv-by-product",
    "conv-transpose-by-conv",
    "pool-by-axes",
    "attention-decomposed",
];

#[test]
fn every_rewrite_rule_has_a_test() {
    let folder = "compiler/core/src/rewrite/";
    let of_rewrites: Vec<(String, String)> = rust_files()
        .into_iter()
        .map(|(path, text)| (short(&path), text))
        .filter(|(name, _)| name.starts_with(folder))
        .collect();
    let tests = format!("{folder}tests/");
    let is_told = |rule: &str| {
        let quoted = format!("\"{rule}\"");
        of_rewrites.iter().any(|(name, text)| name.starts_with(&tests) && text.contains(&quoted))
    };
    let mut breaches = Vec::new();
    let mut exceptions = 0;
    for (name, text) in of_rewrites.iter().filter(|(name, _)| !name.starts_with(&tests)) {
        for opening in text.split("Rule = Rule {").skip(1) {
            let rule = opening.split('"').nth(1).unwrap_or_default();
            let tested = is_told(rule) || text.contains("#[test]");
            if BY_CASES.contains(&rule) {
                exceptions += 1;
                if tested {
                    breaches.push(format!("{rule} has a test: take it out of BY_CASES"));
                }
            } else if !tested {
                breaches.push(format!("{name}: no test in {tests} names {rule}, and the file has none"));
            }
        }
    }
    if exceptions != BY_CASES.len() {
        breaches.push("BY_CASES names a rule that there is not".to_owned());
    }
    report(&breaches);
}

#[test]
fn lists_name_files_that_are_there() {
    let files: Vec<String> = all_files().iter().map(|path| short(path)).collect();
    let endings = [".rs", ".md", ".toml", ".lock", ".py", ".ts", ".txt", ".json"];
    let mut breaches = Vec::new();
    for document in ["docs/extending.md", "docs/adding-an-op.md", "docs/adding-a-device.md"] {
        let text = read(&root().join(document));
        for named in text.split('`').skip(1).step_by(2) {
            let is_plain = named.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
            let is_path = named.contains('/') || endings.iter().any(|ending| named.ends_with(ending));
            let wanted = format!("/{}", named.trim_matches('/'));
            // A file, one without its ending, or a folder.
            let ends = ["", ".rs", "/"].map(|end| format!("{wanted}{end}"));
            let is_there = |file: &String| {
                let file = format!("/{file}");
                file.ends_with(&ends[0]) || file.ends_with(&ends[1]) || file.contains(&ends[2])
            };
            if is_plain && is_path && !files.iter().any(is_there) {
                breaches.push(format!("{document}: there is no {named}"));
            }
        }
    }
    report(&breaches);
}

/// `driftc` as it ships does not know the profiles that only tests compile for.
#[test]
fn only_tests_have_the_profiles_for_tests() {
    let manifests = all_files().into_iter().filter(|path| path.ends_with("Cargo.toml"));
    let with = manifests.filter(|path| read(path).contains("\"test-profiles\""));
    let named: Vec<String> = with.map(|path| short(&path)).collect();
    assert_eq!(named, ["tests/Cargo.toml"]);
}

/// A file that no `mod` names is not compiled, and rustc does not say so.
#[test]
fn every_source_file_is_part_of_its_crate() {
    let crates =
        ["compiler/ir", "compiler/onnx", "compiler/core", "compiler/cli", "targets", "runtime/replay"];
    let files: BTreeMap<String, String> =
        rust_files().into_iter().map(|(path, text)| (short(&path), text)).collect();
    let mut breaches = Vec::new();
    let mut checked = 0;
    for name in files.keys() {
        let Some(source) = crates.iter().map(|of| format!("{of}/src/")).find(|of| name.starts_with(of))
        else {
            continue;
        };
        let module = name.trim_end_matches(".rs").trim_end_matches("/mod");
        let Some((folder, own)) = module.rsplit_once('/') else { continue };
        if name.starts_with(&format!("{source}bin/"))
            || [format!("{source}lib"), format!("{source}main")].contains(&module.to_owned())
        {
            continue;
        }
        checked += 1;
        let above = ["/mod.rs", "/lib.rs", "/main.rs", ".rs"].map(|end| format!("{folder}{end}"));
        let declared = format!("mod {own};");
        if !above.iter().filter_map(|above| files.get(above)).any(|text| text.contains(&declared)) {
            breaches.push(format!("{name}: no `mod {own};` names it"));
        }
    }
    assert!(checked > 300, "{checked} files");
    report(&breaches);
}

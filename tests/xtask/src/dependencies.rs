//! Checks every crate that the lock file names: license, source, version rules.
//!
//! Reads `cargo metadata`, so it needs no tool beyond cargo and looks at all platforms, not only at this one.

use crate::{Failure, shell, spdx};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Licenses that anyone may ship in a product, with or without our source.
const LICENSES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Licenses accepted for one crate: name, license, reason.
const LICENSE_EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("cbindgen", "MPL-2.0", "writes drift.h in a test; never in a shipped binary"),
    ("onnx-protobuf", "MPL-2.0", "the second ONNX reader of the tests; never in a shipped binary"),
];

/// Crates that may be there in more than one version: name, reason.
const DUPLICATES: &[(&str, &str)] = &[
    ("bit-set", "the regex engine of tokenizers is on 0.8, naga on 0.10"),
    ("bit-vec", "each bit-set has its own"),
    ("foldhash", "petgraph 0.8 is on hashbrown 0.15, everyone else on 0.17"),
    ("getrandom", "tokenizers hash with ahash, which is on 0.3; tempfile is on 0.4"),
    ("hashbrown", "petgraph 0.8 is on hashbrown 0.15, everyone else on 0.17"),
    ("miniz_oxide", "png, an example's dependency, is on 0.8, flate2 on 0.9"),
    ("r-efi", "of both versions of getrandom; for UEFI only"),
    ("syn", "derive macros are moving from syn 2 to 3; at build time only"),
    ("thiserror", "protobuf, a test dependency, is on thiserror 1"),
    ("thiserror-impl", "protobuf, a test dependency, is on thiserror 1"),
    ("winnow", "toml, which cbindgen reads its settings with in a test, is between two"),
];

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Fails when a dependency breaks a rule; prints every breach.
pub(crate) fn check() -> Result<(), Failure> {
    shell::capture("git", &["ls-files", "--error-unmatch", "Cargo.lock"])
        .map_err(|_| Failure::Check("Cargo.lock is not under version control".to_owned()))?;
    // All platforms' crates, which an offline look at the metadata needs.
    shell::run("cargo", &["fetch", "--locked", "--quiet"])?;
    let text = shell::capture("cargo", &["metadata", "--offline", "--locked", "--format-version", "1"])?;
    let metadata: Value =
        serde_json::from_str(&text).map_err(|error| Failure::Check(format!("cargo metadata: {error}")))?;
    let packages = packages(&metadata);
    let breaches = breaches(&packages);
    for breach in &breaches {
        println!("{breach}");
    }
    if breaches.is_empty() {
        println!("dependencies: {} crates, fine", packages.len());
        Ok(())
    } else {
        Err(Failure::Check(format!("{} rules on dependencies are broken", breaches.len())))
    }
}

/// What the rules look at.
#[derive(Debug, Default)]
struct Package {
    name: String,
    version: String,
    /// SPDX expression; empty where the crate states none.
    license: String,
    /// Where it comes from; `None` for a crate of this workspace.
    source: Option<String>,
    /// Registry dependencies: name and requirement.
    dependencies: Vec<(String, String)>,
}

fn packages(metadata: &Value) -> Vec<Package> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    list(&metadata["packages"])
        .iter()
        .map(|package| Package {
            name: text(&package["name"]),
            version: text(&package["version"]),
            license: text(&package["license"]),
            source: package["source"].as_str().map(str::to_owned),
            dependencies: list(&package["dependencies"])
                .iter()
                .filter(|dependency| dependency["path"].is_null())
                .map(|dependency| (text(&dependency["name"]), text(&dependency["req"])))
                .collect(),
        })
        .collect()
}

/// One line for each rule broken, in the order of the packages.
fn breaches(packages: &[Package]) -> Vec<String> {
    let mut breaches = Vec::new();
    for package in packages {
        let Package { name, version, license, .. } = package;
        if !spdx::accepted(license, &licenses_for(name)) {
            breaches.push(format!("{name} {version}: license `{license}` is not on the list"));
        }
        if package.source.as_deref().is_some_and(|source| source != REGISTRY) {
            breaches.push(format!("{name} {version}: comes from {:?}, not from crates.io", package.source));
        }
        if package.source.is_none() {
            let wild = package.dependencies.iter().filter(|(_, requirement)| requirement == "*");
            breaches.extend(
                wild.map(|(dependency, _)| format!("{name}: depends on any version of {dependency}")),
            );
        }
    }
    breaches.extend(duplicate_breaches(packages));
    breaches
}

fn licenses_for(name: &str) -> Vec<&'static str> {
    let exceptions =
        LICENSE_EXCEPTIONS.iter().filter(|(package, ..)| *package == name).map(|(_, license, _)| license);
    LICENSES.iter().chain(exceptions).copied().collect()
}

/// Duplicates without an exception, and exceptions that nothing needs any more.
fn duplicate_breaches(packages: &[Package]) -> Vec<String> {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in packages {
        versions.entry(&package.name).or_default().insert(&package.version);
    }
    let allowed: BTreeSet<&str> = DUPLICATES.iter().map(|(name, _)| *name).collect();
    let duplicated: BTreeSet<&str> =
        versions.iter().filter(|(_, versions)| versions.len() > 1).map(|(name, _)| *name).collect();
    let unexpected = duplicated.difference(&allowed).map(|name| {
        let versions: Vec<&str> = versions[name].iter().copied().collect();
        format!("{name}: in several versions ({}) without a reason on the list", versions.join(", "))
    });
    let stale = allowed
        .difference(&duplicated)
        .map(|name| format!("{name}: no longer duplicated; drop its exception"));
    unexpected.chain(stale).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, version: &str, license: &str) -> Package {
        Package {
            name: name.to_owned(),
            version: version.to_owned(),
            license: license.to_owned(),
            source: Some(REGISTRY.to_owned()),
            ..Package::default()
        }
    }

    /// Every package that may be duplicated, twice, so that no exception is stale.
    fn with_expected_duplicates(packages: Vec<Package>) -> Vec<Package> {
        let expected = DUPLICATES
            .iter()
            .flat_map(|(name, _)| [package(name, "1.0.0", "MIT"), package(name, "2.0.0", "MIT")]);
        packages.into_iter().chain(expected).collect()
    }

    #[test]
    fn accepted_packages_break_nothing() {
        let packages = with_expected_duplicates(vec![package("a", "1.0.0", "MIT OR Apache-2.0")]);
        assert_eq!(breaches(&packages), Vec::<String>::new());
    }

    #[test]
    fn a_license_exception_holds_for_its_crate_only() {
        let packages = with_expected_duplicates(vec![
            package("onnx-protobuf", "0.2.3", "MPL-2.0"),
            package("other", "1.0.0", "MPL-2.0"),
        ]);
        assert_eq!(breaches(&packages), ["other 1.0.0: license `MPL-2.0` is not on the list"]);
    }

    #[test]
    fn sources_wildcards_and_duplicates_are_reported() {
        let mut elsewhere = package("elsewhere", "1.0.0", "MIT");
        elsewhere.source = Some("git+https://example.org/x".to_owned());
        let mut ours = package("ours", "0.1.0", "MIT");
        ours.source = None;
        ours.dependencies = vec![("a".to_owned(), "*".to_owned()), ("b".to_owned(), "^1".to_owned())];
        let packages = with_expected_duplicates(vec![
            elsewhere,
            ours,
            package("twice", "1.0.0", "MIT"),
            package("twice", "1.1.0", "MIT"),
        ]);
        assert_eq!(
            breaches(&packages),
            [
                "elsewhere 1.0.0: comes from Some(\"git+https://example.org/x\"), not from crates.io",
                "ours: depends on any version of a",
                "twice: in several versions (1.0.0, 1.1.0) without a reason on the list",
            ]
        );
    }

    #[test]
    fn a_stale_exception_is_reported() {
        let stale = breaches(&[]);
        assert_eq!(stale.len(), DUPLICATES.len());
        assert!(stale[0].contains("drop its exception"), "{}", stale[0]);
    }
}

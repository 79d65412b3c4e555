//! What the compiler cannot check about the repository itself: who imports whom, how files open, what text may not hold.
//!
//! Each test prints every breach, one per line, so that one run names all there is to do.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Who may import whom. `dev` holds what only a crate's own tests may import.
struct Arrows {
    folder: &'static str,
    name: &'static str,
    may: &'static [&'static str],
    dev: &'static [&'static str],
}

const CRATES: &[Arrows] = &[
    Arrows { folder: "compiler/ir", name: "drift-ir", may: &[], dev: &[] },
    Arrows { folder: "compiler/onnx", name: "drift-onnx", may: &["drift-ir"], dev: &[] },
    Arrows { folder: "targets", name: "drift-targets", may: &["naga"], dev: &[] },
    Arrows { folder: "runtime/bundle", name: "drift-bundle", may: &[], dev: &[] },
    // Its tests build shaders for the device.
    Arrows { folder: "runtime/replay", name: "drift-runtime", may: &["drift-bundle"], dev: &["naga"] },
    Arrows {
        folder: "compiler/core",
        name: "drift-compiler",
        may: &["drift-ir", "drift-onnx", "drift-targets", "drift-bundle", "naga"],
        dev: &[],
    },
    Arrows {
        folder: "compiler/cli",
        name: "driftc",
        may: &["drift-ir", "drift-onnx", "drift-compiler", "drift-bundle", "drift-runtime"],
        dev: &[],
    },
    Arrows {
        folder: "tests",
        name: "drift-tests",
        may: &[
            "drift-ir",
            "drift-onnx",
            "drift-compiler",
            "drift-targets",
            "drift-bundle",
            "drift-runtime",
            "driftc",
        ],
        dev: &["naga"],
    },
    Arrows { folder: "tests/xtask", name: "xtask", may: &[], dev: &[] },
];

/// Modules of drift-compiler from top to bottom. A module uses those on its own line and on lines below it.
const COMPILER_LAYERS: &[&[&str]] = &[
    &["pipeline"],
    // What is asked of it, and its stages as text.
    &["stage", "options"],
    // What it says of what it did, or why it could not.
    &["report", "error"],
    // Groups of rules, and what profiles allow.
    &["technique"],
    // Two sets of rules in one rule language.
    &["simplify", "fuse"],
    // Eight-bit integers as words, before anything else looks at the graph.
    &["narrow"],
    // What may not fit a device's integers.
    &["ranges"],
    // Asks selection's estimates whether attention stays one node; packs what the rest of it reads.
    &["expand", "projections"],
    // Turns what the stages below made into a bundle.
    &["emit"],
    // Orders steps and places what they touch.
    &["plan"],
    // Reads the layout of each value to choose a kernel for it.
    &["select"],
    &["layout"],
    &["program"],
    &["kernel"],
    &["module"],
    &["memory"],
    // Vocabulary that every stage shares.
    &["physical", "profile"],
];

const LONGEST_FILE_LINES: usize = 700;

#[test]
fn crates_import_only_along_the_arrows() {
    let ours: Vec<&str> = CRATES.iter().map(|arrows| arrows.name).chain(["naga"]).collect();
    let mut breaches = Vec::new();
    for Arrows { folder, name, may, dev } in CRATES {
        let manifest = read(&root().join(folder).join("Cargo.toml"));
        for (table, dependency) in dependencies(&manifest) {
            let test_only = table.ends_with("dev-dependencies");
            // A crate's tests may use any feature of what the crate itself may import, and its own features.
            let for_tests = dev.contains(&dependency.as_str()) || dependency == *name;
            let allowed = may.contains(&dependency.as_str()) || test_only && for_tests;
            if ours.contains(&dependency.as_str()) && !allowed {
                breaches.push(format!("{name} may not import {dependency} ({folder}/Cargo.toml, [{table}])"));
            }
        }
    }
    for member in workspace_members() {
        if !CRATES.iter().any(|arrows| arrows.folder == member) {
            breaches.push(format!("{member} is a member of the workspace, but has no line in CRATES"));
        }
    }
    report(&breaches);
}

#[test]
fn compiler_modules_import_downwards_only() {
    let source = root().join("compiler/core/src");
    let mut breaches = Vec::new();
    for (path, text) in rust_files().into_iter().filter(|(path, _)| path.starts_with(&source)) {
        let Some(module) = module_of(path.strip_prefix(&source).expect("filtered by prefix")) else {
            continue;
        };
        let Some(own_layer) = layer_of(&module) else {
            breaches.push(format!("{}: module `{module}` has no place in COMPILER_LAYERS", short(&path)));
            continue;
        };
        for (line, used) in crate_paths(&text) {
            // A name that is no module is an item that lib.rs declares; lib.rs holds re-exports only.
            let Some(layer) = layer_of(&used) else { continue };
            if layer < own_layer {
                breaches.push(format!("{}:{line}: `{module}` may not use `{used}` above it", short(&path)));
            }
        }
    }
    report(&breaches);
}

#[test]
fn every_source_file_opens_with_what_it_is() {
    let silent = |(path, text): (PathBuf, String)| {
        (!text.starts_with("//! ")).then(|| format!("{}: does not open with `//! `", short(&path)))
    };
    report(&rust_files().into_iter().filter_map(silent).collect::<Vec<_>>());
}

#[test]
fn source_files_stay_short() {
    let long = |(path, text): (PathBuf, String)| {
        let lines = text.lines().count();
        (lines > LONGEST_FILE_LINES)
            .then(|| format!("{}: {lines} lines; split it by construct", short(&path)))
    };
    report(&rust_files().into_iter().filter_map(long).collect::<Vec<_>>());
}

#[test]
fn nothing_is_left_for_later() {
    // Written in two parts, so that this file does not find itself.
    let words = [
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("#[", "ignore"),
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("allow(", "dead_code)"),
    ];
    report(&lines_with(&rust_files(), &words));
}

#[test]
fn texts_name_no_machine() {
    let words = [
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!("C:\\", "Users"),
        concat!("local", "host:"),
        concat!("127.0", ".0.1"),
    ];
    let mut breaches = lines_with(&text_files(), &words);
    // A private package host reaches the repository by cargo's configuration, by the lock file or by a URL.
    for (path, text) in text_files() {
        let name = short(&path);
        if name.starts_with(".cargo/") {
            let tables =
                text.lines().filter(|line| line.starts_with("[source") || line.starts_with("[registr"));
            breaches.extend(tables.map(|line| format!("{name}: configures a package host: {line}")));
        }
        for (number, line) in text.lines().enumerate() {
            let private = hosts(line).into_iter().find(|host| is_private(host));
            breaches
                .extend(private.map(|host| format!("{name}:{}: names the private host {host}", number + 1)));
        }
    }
    let lock = read(&root().join("Cargo.lock"));
    let foreign = lock.lines().filter(|line| {
        line.starts_with("source = ")
            && !line.contains("registry+https://github.com/rust-lang/crates.io-index")
    });
    breaches.extend(foreign.map(|line| format!("Cargo.lock: {line}")));
    report(&breaches);
}

/// Words of ours that the field's own have replaced.
#[test]
fn texts_use_the_words_of_the_field() {
    let words = [
        // ArenaLease
        concat!("Tur", "ns::"),
        // contiguous, or: collapse into one
        concat!("walk on as ", "one"),
        // split-K partial sums
        concat!("parts of ", "sums"),
        concat!("parts of its ", "sums"),
        // depthwise
        concat!("Filters::per_", "channel"),
        // lacks
        concat!("{profile} has ", "not"),
    ];
    report(&lines_with(&text_files(), &words));
}

#[test]
fn no_snapshot_waits_for_review() {
    let pending = all_files().into_iter().filter(|path| {
        let name = short(path);
        name.ends_with(".snap.new") || name.ends_with(".pending-snap")
    });
    report(
        &pending
            .map(|path| format!("{}: accept or drop it with cargo insta review", short(&path)))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn lines_end_in_lf() {
    let crlf =
        |(path, text): (PathBuf, String)| text.contains('\r').then(|| format!("{}: has CR", short(&path)));
    report(&text_files().into_iter().filter_map(crlf).collect::<Vec<_>>());
}

#[test]
fn the_checks_find_what_they_look_for() {
    let manifest = "[package]\nname = \"x\"\n[dependencies]\na.workspace = true\n# b = 1\n\"c\" = { version = \"1\" }\n\
                    [target.'cfg(unix)'.dependencies]\nd = \"1\"\n[dev-dependencies.e]\nversion = \"1\"\n";
    let found: Vec<String> = dependencies(manifest).into_iter().map(|(_, dependency)| dependency).collect();
    assert_eq!(found, ["a", "c", "d", "e"]);

    let source = "\
use crate::fuse::{Rule};
use crate::{
    layout::{Choice, Map},
    select,
};
// crate::memory is only spoken of
let x = crate::emit::go();
#[cfg(test)]
mod tests {
    use crate::pipeline;
}
";
    let paths: Vec<(usize, String)> = crate_paths(source);
    let expected = [(1, "fuse"), (2, "layout"), (2, "select"), (7, "emit")];
    assert_eq!(paths, expected.map(|(line, module)| (line, module.to_owned())));

    assert!(is_private("10.0.0.1") && is_private("mirror") && is_private("pypi.corp.internal"));
    assert!(!is_private("arxiv.org") && !is_private("docs.rs"));
    let urls = concat!("http:", "//mirror:8080/x and http:", "//10.1.2.3 and https://docs.rs/ash");
    assert_eq!(hosts(urls), ["mirror", "10.1.2.3", "docs.rs"]);
}

fn report(breaches: &[String]) {
    assert!(breaches.is_empty(), "{} breaches:\n{}", breaches.len(), breaches.join("\n"));
}

fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it for tests");
    Path::new(&here).parent().expect("tests/ lies in the root").to_owned()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn short(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).to_string_lossy().replace('\\', "/")
}

/// Every file of the repository, without what git ignores, in a fixed order.
fn all_files() -> Vec<PathBuf> {
    let skipped = ["target", ".git", "fuzz/target", "fuzz/corpus", "fuzz/artifacts"];
    let mut files = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("a readable folder").path();
            // A link may leave the repository.
            let kind = fs::symlink_metadata(&path).expect("just listed").file_type();
            // In a work tree of git's, `.git` is a file.
            if skipped.contains(&short(&path).as_str()) {
                continue;
            }
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// Every file that is UTF-8, with its text.
fn text_files() -> Vec<(PathBuf, String)> {
    let binary = ["onnx", "pb", "bin", "drift", "npy", "gz"];
    let is_text =
        |path: &PathBuf| !path.extension().is_some_and(|ext| binary.iter().any(|binary| ext == *binary));
    let read = |path: PathBuf| fs::read_to_string(&path).ok().map(|text| (path, text));
    all_files().into_iter().filter(is_text).filter_map(read).collect()
}

fn rust_files() -> Vec<(PathBuf, String)> {
    text_files().into_iter().filter(|(path, _)| path.extension().is_some_and(|ext| ext == "rs")).collect()
}

fn lines_with(files: &[(PathBuf, String)], words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in files {
        for (number, line) in text.lines().enumerate() {
            let words = words.iter().filter(|word| line.contains(**word));
            found.extend(words.map(|word| format!("{}:{}: holds `{word}`", short(path), number + 1)));
        }
    }
    found
}

/// The dependencies that a Cargo.toml declares, each with the name of its table.
fn dependencies(manifest: &str) -> Vec<(String, String)> {
    let mut table = String::new();
    let mut found = Vec::new();
    for line in manifest.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(header) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            table = header.to_owned();
            // `[dependencies.name]` declares one dependency by itself.
            if let Some((parent, name)) = header.rsplit_once('.')
                && parent.ends_with("dependencies")
            {
                found.push((parent.to_owned(), name.to_owned()));
            }
        } else if table.ends_with("dependencies") {
            let name = line.split(['=', '.', ' ']).next().unwrap_or_default().trim_matches('"');
            found.push((table.clone(), name.to_owned()));
        }
    }
    found
}

fn workspace_members() -> Vec<String> {
    let manifest = read(&root().join("Cargo.toml"));
    let (_, after) = manifest.split_once("members = [").expect("the workspace lists its members");
    let (list, _) = after.split_once(']').expect("the list ends");
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The top-level module that a file of drift-compiler belongs to; `None` for lib.rs.
fn module_of(path: &Path) -> Option<String> {
    let first = path.components().next()?.as_os_str().to_string_lossy().into_owned();
    let module = first.strip_suffix(".rs").unwrap_or(&first);
    (module != "lib").then(|| module.to_owned())
}

fn layer_of(module: &str) -> Option<usize> {
    COMPILER_LAYERS.iter().position(|layer| layer.contains(&module))
}

/// First segments of all `crate::` paths outside comments and the file's own tests, with their line numbers from 1.
fn crate_paths(text: &str) -> Vec<(usize, String)> {
    let (text, _tests) = text.split_once("#[cfg(test)]\nmod tests {").unwrap_or((text, ""));
    let code = |line: &str| if line.trim_start().starts_with("//") { String::new() } else { line.to_owned() };
    let code = text.lines().map(code).collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    for (at, word) in code.match_indices("crate::") {
        let (before, path) = code.split_at(at + word.len());
        let number = before.lines().count();
        let segments: Vec<String> = match path.strip_prefix('{') {
            Some(group) => group_heads(group),
            None => vec![identifier(path)],
        };
        found.extend(segments.into_iter().map(|segment| (number, segment)));
    }
    found
}

/// First segment of each path in `a::b, c::{d, e}, f}`.
fn group_heads(group: &str) -> Vec<String> {
    let mut depth = 0_usize;
    let mut start = true;
    let mut heads = Vec::new();
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => start = true,
            _ if start && !character.is_whitespace() => {
                heads.push(identifier(&group[at..]));
                start = false;
            }
            _ => {}
        }
    }
    heads
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|character| character.is_alphanumeric() || *character == '_').collect()
}

/// Hosts of the URLs in a line, without port.
fn hosts(line: &str) -> Vec<&str> {
    let mut hosts = Vec::new();
    for (at, separator) in line.match_indices("://") {
        if line[..at].ends_with("http") || line[..at].ends_with("https") {
            let rest = &line[at + separator.len()..];
            let end = rest.find(|c: char| !(c.is_alphanumeric() || "-._".contains(c))).unwrap_or(rest.len());
            hosts.extend(Some(&rest[..end]).filter(|host| !host.is_empty()));
        }
    }
    hosts
}

/// Whether a host is known inside one network only: an address, a bare name, or a name of a private zone.
fn is_private(host: &str) -> bool {
    let private_zones = ["local", "localhost", "internal", "intranet", "corp", "lan", "home"];
    let zone = host.rsplit('.').next().unwrap_or_default();
    !host.contains('.') || zone.chars().all(|c| c.is_ascii_digit()) || private_zones.contains(&zone)
}

#[test]
fn crate_names_match_their_folders() {
    let mut names = BTreeMap::new();
    for Arrows { folder, name, .. } in CRATES {
        let manifest = read(&root().join(folder).join("Cargo.toml"));
        let declared = manifest.lines().find_map(|line| line.strip_prefix("name = ")).unwrap_or_default();
        assert_eq!(declared.trim_matches('"'), *name, "{folder}/Cargo.toml");
        assert!(names.insert(*name, folder).is_none(), "{name} is listed twice");
    }
}

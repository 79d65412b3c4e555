//! Who imports whom: crates, modules of drift-compiler, and circles of modules.

use super::{read, report, root, rust_files, short};
use std::collections::{BTreeMap, BTreeSet};
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
    Arrows { folder: "runtime/c", name: "drift-c", may: &["drift-runtime"], dev: &["drift-bundle"] },
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
            "drift-c",
            "drift-runtime",
            "driftc",
        ],
        dev: &["naga"],
    },
    Arrows { folder: "tests/smallest", name: "drift-smallest", may: &["drift-runtime"], dev: &[] },
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
    // Rules on the graph, for all devices and for one.
    &["rewrite"],
    // Eight-bit integers as words, before anything else looks at the graph.
    &["narrow", "quantize", "tie"],
    // What may be stored as f16.
    &["mixed"],
    // What may not fit a device's integers.
    &["ranges"],
    // Programs that try the dispatches of others.
    &["self_test"],
    // Turns what the stages below made into a bundle.
    &["emit"],
    // Orders steps and places what they touch.
    &["plan"],
    // Reads the layout of each value to choose a kernel for it.
    &["select"],
    // What kernels take, for rewriting and for selection.
    &["estimate"],
    &["layout"],
    &["program"],
    &["kernel"],
    &["module"],
    &["memory"],
    // Vocabulary that every stage shares.
    &["physical", "profile"],
];

/// Folders whose modules do not import one another in circles, and how a path to one of their modules begins.
const ONE_WAY: &[(&str, &str)] = &[
    ("compiler/ir/src", "crate::"),
    ("compiler/ir/src/op", "crate::op::"),
    ("compiler/onnx/src", "crate::"),
    ("compiler/cli/src", "crate::"),
];

/// Crates for which that holds of every folder.
const ONE_WAY_THROUGHOUT: &[&str] = &["compiler/core/src", "targets/src"];

/// Modules of `rewrite` from top to bottom.
const REWRITE_LAYERS: &[&[&str]] = &[
    // Which rules there are.
    &["rules"],
    // The rules, by topic.
    &[
        "algebra",
        "attention",
        "constants",
        "data_movement",
        "epilogue",
        "images",
        "long",
        "norms",
        "products",
    ],
    // What rules ask and do, and what runs them.
    &["edit", "driver"],
    &["pattern", "report"],
    // The language that all of them speak.
    &["rule"],
    &["declined"],
];

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
fn the_rewriter_imports_downwards_only() {
    let layer = |module: &str| REWRITE_LAYERS.iter().position(|layer| layer.contains(&module));
    let uses = module_uses(&rust_files(), &root().join("compiler/core/src/rewrite"), "crate::rewrite::");
    let mut breaches = Vec::new();
    for (module, used) in uses.iter().filter(|(module, _)| !["tests", "testing"].contains(&module.as_str())) {
        let Some(own) = layer(module) else {
            breaches.push(format!("`{module}` has no place in REWRITE_LAYERS"));
            continue;
        };
        let above = used.iter().filter(|(used, _)| layer(used).is_some_and(|layer| layer < own));
        breaches.extend(above.map(|(used, at)| format!("{at}: `{module}` may not use `{used}` above it")));
    }
    report(&breaches);
}

#[test]
fn modules_import_one_another_in_one_direction_only() {
    let files = rust_files();
    let mut breaches = Vec::new();
    let mut folders: Vec<(String, String)> =
        ONE_WAY.iter().map(|(folder, prefix)| ((*folder).to_owned(), (*prefix).to_owned())).collect();
    folders.extend(ONE_WAY_THROUGHOUT.iter().flat_map(|source| folders_of_modules(source, &files)));
    assert!(folders.len() > 20, "{folders:?}");
    for (folder, prefix) in folders {
        let circular = circular(module_uses(&files, &root().join(&folder), &prefix));
        let breach = |(module, used, at): (String, String, String)| {
            format!("{folder}: `{module}` and `{used}` use each other, directly or through others ({at})")
        };
        breaches.extend(circular.into_iter().map(breach));
    }
    report(&breaches);
}

/// Each folder of a crate that holds modules, and how a path to one of them begins.
fn folders_of_modules(source: &str, files: &[(PathBuf, String)]) -> BTreeSet<(String, String)> {
    let inside = files.iter().filter_map(|(path, _)| path.strip_prefix(root().join(source)).ok());
    let folder = |path: &Path| {
        let names: Vec<String> =
            path.parent()?.iter().map(|name| name.to_string_lossy().into_owned()).collect();
        let folder = [&[source.to_owned()], &names[..]].concat().join("/");
        let prefix = names.iter().map(|name| format!("{name}::")).collect::<String>();
        Some((folder, format!("crate::{prefix}")))
    };
    inside.filter_map(folder).collect()
}

/// Modules of a folder, what each uses of the others, and where.
type Uses = BTreeMap<String, BTreeMap<String, String>>;

fn module_uses(files: &[(PathBuf, String)], folder: &Path, prefix: &str) -> Uses {
    let mut uses = Uses::new();
    for (path, text) in files {
        let Ok(inside) = path.strip_prefix(folder) else { continue };
        let Some(module) = module_of(inside).filter(|module| module != "mod" && module != "main") else {
            continue;
        };
        let parts: Vec<String> =
            inside.with_extension("").iter().map(|part| part.to_string_lossy().into()).collect();
        let own = uses.entry(module.clone()).or_default();
        if parts.iter().any(|part| ["tests", "testing"].contains(&part.as_str())) {
            continue;
        }
        let depth = parts.len() - usize::from(parts.last().is_some_and(|part| part == "mod"));
        let found = paths_under(text, prefix).into_iter().chain(paths_under(text, &"super::".repeat(depth)));
        for (line, used) in found.filter(|(_, used)| *used != module) {
            own.entry(used).or_insert_with(|| format!("{}:{line}", short(path)));
        }
    }
    uses
}

/// Uses that are part of a circle, or are between two.
fn circular(mut uses: Uses) -> Vec<(String, String, String)> {
    loop {
        let before = uses.len();
        let modules: BTreeSet<String> = uses.keys().cloned().collect();
        uses.values_mut().for_each(|used| used.retain(|module, _| modules.contains(module)));
        let used: BTreeSet<String> = uses.values().flat_map(|used| used.keys().cloned()).collect();
        uses.retain(|module, of| !of.is_empty() && used.contains(module));
        if uses.len() == before {
            break;
        }
    }
    let flat = |(module, used): (String, BTreeMap<String, String>)| {
        used.into_iter().map(move |(used, at)| (module.clone(), used, at))
    };
    uses.into_iter().flat_map(flat).collect()
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

#[test]
fn the_checks_of_imports_find_what_they_look_for() {
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
    let files = [
        ("a.rs", "use crate::b::X;"),
        ("b.rs", "use super::c;"),
        ("c/mod.rs", "use crate::d;"),
        ("c/deep.rs", "use super::super::a;\nuse super::deep;"),
        ("d.rs", "// crate::a"),
        ("e.rs", "use crate::a;"),
    ];
    let files: Vec<(PathBuf, String)> =
        files.map(|(path, text)| (Path::new("src").join(path), text.to_owned())).into();
    let found = circular(module_uses(&files, Path::new("src"), "crate::"));
    let pairs: Vec<(&str, &str)> = found.iter().map(|(a, b, _)| (a.as_str(), b.as_str())).collect();
    assert_eq!(pairs, [("a", "b"), ("b", "c"), ("c", "a")]);
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
    paths_under(text, "crate::")
}

/// First segments behind `prefix` of all paths that begin with it.
fn paths_under(text: &str, prefix: &str) -> Vec<(usize, String)> {
    let (text, _tests) = text.split_once("#[cfg(test)]\nmod tests {").unwrap_or((text, ""));
    let code = |line: &str| if line.trim_start().starts_with("//") { String::new() } else { line.to_owned() };
    let code = text.lines().map(code).collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    for (at, word) in code.match_indices(prefix) {
        let (before, path) = code.split_at(at + word.len());
        // `super::super::` is another module than the `super::` in it.
        if code[..at].ends_with("::") {
            continue;
        }
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

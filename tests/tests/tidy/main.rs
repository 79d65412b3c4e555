//! What the compiler cannot check about the repository itself: who imports whom, how files open, what text may not hold.
//!
//! Each test prints every breach, one per line, so that one run names all there is to do.

mod imports;
mod lists;

use std::fs;
use std::path::{Path, PathBuf};

const LONGEST_FILE_LINES: usize = 700;

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
        // Lease
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
        // dispatch
        concat!("laun", "ch"),
        // rhs
        concat!("right ", "side of a product"),
        // min_offset
        concat!("band.", "first"),
        // f16
        concat!("range of ", "halves"),
        concat!("stored as ", "halves"),
        concat!("\"hal", "ves/"),
        // storage type
        concat!("Weights", "Object"),
        concat!("Object::", "Buffer"),
        concat!("layout.", "object"),
        // is at, starts at
        concat!("where it ", "lies"),
        concat!("they ", "lie "),
        concat!(" lies ", "at "),
        concat!(" lies ", "in "),
        // live range, last use
        concat!("let ", "lives"),
        concat!("operands that ", "die"),
        concat!("an operand ", "dies"),
        // headroom
        concat!(" roo", "m::of"),
        concat!("select/", "room"),
        // transform domain, input tiles
        concat!("form.", "planes"),
        concat!("patch", "_matrix"),
        concat!("PLANES_", "WIDTH"),
        // data movement
        concat!("moves-in-", "products"),
        concat!("sinking-", "moves"),
        concat!("moves", "::"),
        concat!("fn mo", "ves("),
        // collapse when every operand treats them alike
        concat!("axes that move ", "together"),
        // arguments of sin and cos
        concat!("sines and cosines ", "are of"),
        // does not look at values
        concat!("looks at no ", "number"),
        // the largest f16, the smallest normal f16
        concat!("The largest ", "half."),
        concat!("The least ", "half with"),
        concat!("has_hal", "ves"),
        // masked, unmasked
        concat!("hides_", "where"),
        concat!("hide_", "beyond"),
        concat!("work.", "seen("),
        // left in its source
        concat!("lies_in_", "source"),
        // compute unit
        concat!(" Unit", "Limits"),
        // only the first are valid
        concat!("hold something ", "or other"),
    ];
    // A name of another's interface is as it is.
    let files = text_files()
        .into_iter()
        .map(|(path, text)| (path, text.replace(concat!("chromium.lau", "nch("), "")));
    report(&lines_with(&files.collect::<Vec<_>>(), &words));
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
    Path::new(&here).parent().expect("tests/ is in the root").to_owned()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn short(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).to_string_lossy().replace('\\', "/")
}

/// Every file of the repository, without what git ignores, in a fixed order.
fn all_files() -> Vec<PathBuf> {
    let skipped = [
        "target",
        ".git",
        "fuzz/target",
        "fuzz/corpus",
        "fuzz/artifacts",
        "runtime/web/node_modules",
        "runtime/web/dist",
        "runtime/web/dist-test",
    ];
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

//! `include/drift.h` is what cbindgen writes of this crate. `DRIFT_UPDATE_HEADER=1` writes it anew.

use std::path::Path;

#[test]
fn the_header_is_what_the_crate_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("the settings");
    let mut header = Vec::new();
    let mut builder = cbindgen::Builder::new().with_config(config);
    let files = [
        "status",
        "objects",
        "handles",
        "options",
        "session",
        "dims",
        "buffers",
        "run",
        "state",
        "self_test",
    ];
    for file in files {
        builder = builder.with_src(root.join("src").join(file).with_extension("rs"));
    }
    builder.generate().expect("a header").write(&mut header);
    let header = String::from_utf8(header).expect("UTF-8");
    let path = root.join("include/drift.h");
    if std::env::var_os("DRIFT_UPDATE_HEADER").is_some() {
        std::fs::write(&path, &header).expect("the header can be written");
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stored == header,
        "run this test with DRIFT_UPDATE_HEADER=1 and look at the difference:\n{header}"
    );
}

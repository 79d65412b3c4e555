//! `cargo xtask web-demo`: a page that replays a bundle in the browser that opens it.

use crate::prerequisites::{self, C_COMPILER, NODE, NPM};
use crate::web_server::{Page, Server};
use crate::{Failure, package, shell};

const HELP: &str = "usage: cargo xtask web-demo [--no-ranges] [--port N]";

/// The model that the page replays, with an input and onnxruntime's output for it.
const MODEL: &str = "runtime/web/demo/shapes";

/// Builds the package, a bundle and the page, and serves them until it is interrupted.
pub(crate) fn web_demo(flags: &[&str]) -> Result<(), Failure> {
    let (mut ranges, mut port) = (true, 0);
    let mut flags = flags.iter();
    while let Some(flag) = flags.next() {
        match *flag {
            "--no-ranges" => ranges = false,
            "--port" => {
                let number = flags.next().and_then(|number| number.parse().ok());
                port = number.ok_or_else(|| Failure::Usage(HELP.to_owned()))?;
            }
            _ => return Err(Failure::Usage(HELP.to_owned())),
        }
    }
    prerequisites::ensure(&[&C_COMPILER, &NODE, &NPM])?;
    let built = shell::target_directory().join("tmp/web");
    println!("building runtime/web in {}", built.display());
    let printed =
        package::build(&shell::root(), &built).map_err(|error| Failure::Check(error.to_string()))?;
    print!("{printed}");
    let bundle = compile()?;
    let root = shell::root();
    let pages = vec![
        Page { path: "/", file: root.join("runtime/web/demo/index.html"), kind: "text/html; charset=utf-8" },
        Page { path: "/drift.min.js", file: built.join("dist/drift.min.js"), kind: "text/javascript" },
        Page { path: "/demo.js", file: built.join("dist-test/demo.js"), kind: "text/javascript" },
        Page { path: "/model.drift", file: bundle, kind: "application/octet-stream" },
        Page {
            path: "/input_0.pb",
            file: root.join(MODEL).join("test_data_set_0/input_0.pb"),
            kind: "application/octet-stream",
        },
        Page {
            path: "/output_1.pb",
            file: root.join(MODEL).join("test_data_set_0/output_1.pb"),
            kind: "application/octet-stream",
        },
    ];
    let failed = |error: std::io::Error| Failure::Usage(format!("cannot serve: {error}"));
    let server = Server::bind(port, pages, ranges).map_err(failed)?;
    let with = if ranges { "with" } else { "without" };
    println!("\n{}  (a server {with} range requests; interrupt it to end)", server.url().map_err(failed)?);
    server.serve().map_err(failed)
}

/// Compiles the model for WebGPU.
fn compile() -> Result<std::path::PathBuf, Failure> {
    shell::run("cargo", &["build", "--locked", "--package", "driftc", "--no-default-features"])?;
    let out = shell::target_directory().join("web-demo");
    std::fs::create_dir_all(&out)
        .map_err(|error| Failure::Usage(format!("cannot create {}: {error}", out.display())))?;
    let driftc =
        shell::target_directory().join("debug").join(format!("driftc{}", std::env::consts::EXE_SUFFIX));
    let (model, bundle) = (format!("{MODEL}/model.onnx"), out.join("model.drift"));
    let arguments = [model.as_str(), "--target", "webgpu", "-o", &bundle.display().to_string()];
    shell::run(&driftc.display().to_string(), &arguments)?;
    Ok(bundle)
}

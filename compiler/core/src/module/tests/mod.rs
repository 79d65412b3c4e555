//! Kernels in, text or numbers out.

mod behaviour;
mod cooperative;
mod generated;
mod goldens;
mod grids;
mod interpreter;
mod passes;
mod rounds;
mod storage;
mod written;

use super::{ModuleError, Specialized, parse, specialize};

/// Two buffers and a kernel body with `id`.
fn kernel(declarations: &str, body: &str) -> String {
    format!(
        "@group(0) @binding(0) var<storage, read> src: array<f32>;
         @group(0) @binding(1) var<storage, read_write> dst: array<f32>;
         {declarations}
         @compute @workgroup_size(4, 1, 1)
         fn kernel(@builtin(global_invocation_id) id: vec3<u32>) {{ {body} }}"
    )
}

#[track_caller]
fn done(source: &str) -> Specialized {
    let module = parse(source).unwrap_or_else(|error| panic!("{error}"));
    specialize(module).unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn refusal(source: &str) -> ModuleError {
    match parse(source).and_then(specialize) {
        Ok(_) => panic!("accepted"),
        Err(error) => error,
    }
}

fn text(done: &Specialized) -> String {
    naga::back::wgsl::write_string(&done.module, &done.info, naga::back::wgsl::WriterFlags::empty()).unwrap()
}

/// The lines of the kernel's body, without indentation.
#[track_caller]
fn body(source: &str) -> String {
    let text = text(&done(source));
    let body = text.split_once("fn kernel(").unwrap().1.split_once('\n').unwrap().1;
    let lines: Vec<&str> = body
        .trim_end()
        .trim_end_matches('}')
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    lines.join("\n")
}

/// Expects the specialised body of a kernel.
#[track_caller]
fn check(declarations: &str, statements: &str, expected: &str) {
    let expected: Vec<&str> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(body(&kernel(declarations, statements)), expected.join("\n"));
}

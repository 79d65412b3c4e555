//! Sizes that are set at run time, on the processor: words, grids without workgroups, and inputs and outputs as large as they are.

use drift_bundle::manifest::Target;
use drift_bundle::{Bundle, BundleWriter};
use drift_runtime::{LoadOptions, Session};
use drift_targets::Code;
use drift_tests::msl;
use drift_tests::web::handwritten;
use naga::valid::{Capabilities, ValidationFlags, Validator};

/// The browser's bundle with free dims, its kernels in MSL.
fn bundle() -> Bundle {
    let wgsl = Bundle::from_bytes(handwritten::sized().expect("a bundle")).expect("a sound bundle");
    let manifest = wgsl.manifest();
    let mut writer = BundleWriter::new(manifest.provenance.clone());
    for shader in &manifest.shaders {
        let text = std::str::from_utf8(wgsl.shader_code(shader)).expect("WGSL is text");
        let module = naga::front::wgsl::parse_str(text).expect("it is WGSL");
        let info = Validator::new(ValidationFlags::all(), Capabilities::all()).validate(&module);
        let info = info.expect("it is valid");
        let options = drift_targets::Options::default();
        let emitted = drift_targets::emit(drift_targets::Target::Metal, &module, &info, &options);
        let emitted = emitted.expect("Metal has it");
        let Code::Text(text) = &emitted.code else { panic!("MSL is text") };
        let mut shader = shader.clone();
        (shader.target, shader.entry_point) = (Target::Metal, emitted.entry_point.clone());
        writer.add_shader(shader, text.as_bytes());
    }
    for entry in &manifest.entries {
        let mut entry = entry.clone();
        entry.target = Target::Metal;
        writer.add_entry(entry);
    }
    Bundle::from_bytes(writer.to_bytes().expect("a bundle")).expect("a sound bundle")
}

fn check(session: &mut Session, rows: u64, cols: u64) {
    session.set_dim("rows", rows).expect("a size of the dim");
    session.set_dim("cols", cols).expect("a size of the dim");
    let x = |row: u64, col: u64| (100 * row + col) as f32 + 0.5;
    let all: Vec<f32> = (0..rows).flat_map(|row| (0..cols).map(move |col| x(row, col))).collect();
    session.write("x", &all).expect("an input");
    session.run().expect("a run");
    let sums: Vec<f32> = (0..rows).map(|row| (0..cols).map(|col| x(row, col)).sum()).collect();
    let turned: Vec<f32> = (0..cols).flat_map(|col| (0..rows).map(move |row| x(row, col))).collect();
    let pairs = if rows > 0 { cols / 2 } else { 0 };
    let pairs: Vec<f32> = (0..pairs).map(|pair| x(0, 2 * pair) + x(0, 2 * pair + 1)).collect();
    for (name, expected) in [("y", sums), ("t", turned), ("p", pairs)] {
        let found: Vec<f32> = session.read(name).expect("an output");
        assert_eq!(found, expected, "{name} of {rows} rows, {cols} columns");
    }
}

#[test]
fn sizes_are_set_and_set_back() {
    let (device, bundle) = (msl::open(), bundle());
    let load = |timestamps| {
        device.load_with(&bundle, &LoadOptions { timestamps, ..LoadOptions::default() }).expect("a session")
    };
    let (mut session, mut other) = (load(true), load(false));
    for (rows, cols) in [(12, 10), (0, 1), (3, 1), (9, 7), (12, 10), (3, 10), (6, 3), (12, 10)] {
        check(&mut session, rows, cols);
        check(&mut other, 12 - rows, 11 - cols);
        let timings = session.timings().expect("times");
        let left_out: Vec<bool> = timings.dispatches.iter().map(|one| one.time.is_zero()).collect();
        assert!(rows > 0 || left_out[0], "{timings:?}");
        assert!(rows > 0 && cols > 1 || left_out[1], "{timings:?}");
    }
}

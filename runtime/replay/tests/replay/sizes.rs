//! Sizes that are set at run time, on every device: loops, strides and grids that follow words, and inputs and outputs as large
//! as they are.
#![expect(clippy::unwrap_used, reason = "a test helper fails by panicking")]

use drift_bundle::Bundle;
use drift_bundle::manifest::*;
use drift_runtime::{Device, DeviceKind, LoadOptions, RuntimeError, Session, SubmitLimits};

use crate::anywhere::on_each;
use crate::program::{Program, dispatch};

/// Sums and transposes rows of `x`, then adds neighbours of the first row, then adds one to each sum.
const KERNELS: [&str; 3] = [
    "if (at < ROWS) {
        FLOAT sum = b[0];
        for (UINT c = 0u; c < COLS; c++) { sum += x[at * COLS + c]; t[c * ROWS + at] = x[at * COLS + c]; }
        y[at] = sum;
    }",
    "p[at] = x[2u * at] + x[2u * at + 1u];",
    "if (at < ROWS) { z[at] = y[at] + 1.0f; }",
];

/// What each of them binds: name, elements at most, whether it is written.
const BUFFERS: [(&str, u64, bool); 6] =
    [("x", 120, false), ("b", 1, false), ("y", 12, true), ("t", 120, true), ("p", 5, true), ("z", 12, true)];

/// Which of [`BUFFERS`] a kernel has, and which of those it writes.
const USES: [&[(usize, bool)]; 3] =
    [&[(0, false), (1, false), (2, true), (3, true)], &[(0, false), (4, true)], &[(2, false), (5, true)]];

const GROUPS: [u32; 3] = [4, 1, 4];

/// The dims: `cols` is 1 to 10, `rows` a multiple of three up to twelve.
fn dims() -> Vec<FreeDim> {
    let dim = |name: &str, low, high, step| FreeDim { name: name.to_owned(), low, high, step };
    vec![dim("cols", 1, 10, 1), dim("rows", 0, 12, 3)]
}

fn sizes() -> Vec<SizeExpression> {
    use SizeTerm::{CeilDiv, Const, Dim, FloorDiv, Min, Mul};
    let (cols, rows) = (Dim(0), Dim(1));
    let pairs = [cols, Const(2), FloorDiv];
    let any_row = [rows, Const(1), Min];
    vec![
        SizeExpression(vec![rows]),
        SizeExpression(vec![cols]),
        SizeExpression(vec![rows, Const(4), CeilDiv]),
        SizeExpression(pairs.to_vec()),
        SizeExpression(any_row.to_vec()),
        SizeExpression([&pairs[..], &any_row, &[Mul]].concat()),
    ]
}

/// Where inputs and outputs are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Io {
    Arena,
    Own,
}

/// Adds the kernels to a program that begins.
fn fill(mut program: Program, kind: DeviceKind, io: Io) -> Program {
    program.entry.target = kind.target();
    (program.entry.dims, program.entry.sizes) = (dims(), sizes());
    let words = vec![Word::Size(0), Word::Size(1), Word::Const(7), Word::Size(3)];
    program = program.region(RegionKind::Params(words), 16);
    // Every 512 bytes of the arena, or a region for each.
    let place = |n: usize| match io {
        Io::Arena => (0, 512 * n as u64),
        Io::Own => (2 + n as u32, 0),
    };
    if io == Io::Own {
        for (_, elements, _) in BUFFERS {
            program = program.region(RegionKind::Io, 4 * elements);
        }
    }
    let shapes: [(&[u64], &[u32]); 6] = [
        (&[12, 10], &[0, 1]),
        (&[1], &[]),
        (&[12], &[0]),
        (&[10, 12], &[1, 0]),
        (&[1, 5], &[4, 3]),
        (&[12], &[0]),
    ];
    for (n, ((name, _, written), (shape, free))) in BUFFERS.into_iter().zip(shapes).enumerate() {
        let free = (0..).zip(free).map(|(axis, size)| FreeAxis { axis, size: *size }).collect();
        let (element, shape) = (HostElement::F32, shape.to_vec());
        let tensor = IoTensor { name: name.to_owned(), element, shape, free };
        let (region, offset) = place(n);
        let binding = IoBinding { region, offset, element: DeviceElement::F32 };
        let (tensors, bindings) = match written {
            false => (&mut program.entry.inputs, &mut program.variant.inputs),
            true => (&mut program.entry.outputs, &mut program.variant.outputs),
        };
        tensors.push(tensor);
        bindings.push(binding);
    }
    let grids = [([3, 1, 1], Some(2)), ([5, 1, 1], Some(5)), ([3, 1, 1], Some(2))];
    for (kernel, (grid, free)) in grids.into_iter().enumerate() {
        let shader = shader(&mut program, kind, kernel);
        let bound = USES[kernel].iter().map(|(n, _)| {
            let (region, offset) = place(*n);
            Resource::bytes(RegionId::Variant(region), offset, 4 * BUFFERS[*n].1)
        });
        let params = Resource::bytes(RegionId::Variant(1), 0, 16);
        let bindings: Vec<Resource> = bound.chain([params]).collect();
        let mut step = dispatch(&format!("step {kernel}"), shader, &bindings, grid);
        step.free_workgroups[0] = free;
        // The last relies on what comes before the second, which may be left out.
        step.barrier = kernel != 2;
        program.variant.dispatches.push(step);
    }
    program
}

fn shader(program: &mut Program, kind: DeviceKind, kernel: usize) -> u32 {
    let buffer = |binding, n: usize, writable| BindingSlot {
        group: 0,
        binding,
        kind: BindingKind::StorageBuffer { min_bytes: 4 * BUFFERS[n].1 },
        writable,
    };
    let mut bindings: Vec<BindingSlot> =
        (0..).zip(USES[kernel]).map(|(binding, (n, writable))| buffer(binding, *n, *writable)).collect();
    let params = match kind {
        DeviceKind::OpenCl => BindingKind::StorageBuffer { min_bytes: 16 },
        _ => BindingKind::UniformBuffer { min_bytes: 16 },
    };
    bindings.push(BindingSlot { group: 2, binding: 0, kind: params, writable: false });
    let shader = Shader {
        name: format!("step_{kernel}"),
        target: kind.target(),
        entry_point: "apply".to_owned(),
        offset: 0,
        size: 0,
        workgroup_size: [GROUPS[kernel], 1, 1],
        shared_bytes: 0,
        subgroup_size: None,
        bindings,
    };
    match kind {
        DeviceKind::OpenCl => program.text_shader(shader, &opencl(kernel)),
        DeviceKind::WebGpu => program.text_shader(shader, &wgsl(kernel, true)),
        _ => program.shader(&wgsl(kernel, false), |_| ()),
    }
}

/// WebGPU declares all of group 0 as written.
fn wgsl(kernel: usize, all_written: bool) -> String {
    let buffer = |(binding, (n, written)): (usize, &(usize, bool))| {
        let (name, elements, _) = BUFFERS[*n];
        let access = if *written || all_written { "read_write" } else { "read" };
        format!("@group(0) @binding({binding}) var<storage, {access}> {name}: array<f32, {elements}>;\n")
    };
    let buffers: String = USES[kernel].iter().enumerate().map(buffer).collect();
    let body = KERNELS[kernel].replace("FLOAT", "var").replace("UINT", "var");
    let body = body.replace("ROWS", "size.x").replace("COLS", "size.y");
    let (groups, entry) = (GROUPS[kernel], if all_written { "apply" } else { "main" });
    format!(
        "{buffers}@group(2) @binding(0) var<uniform> size: vec4<u32>;
@compute @workgroup_size({groups}, 1, 1) fn {entry}(@builtin(global_invocation_id) id: vec3<u32>) {{
    let at = id.x;
    // Every kernel binds the words.
    if (size.z != 7u) {{ return; }}
    {body}
}}
"
    )
}

fn opencl(kernel: usize) -> String {
    let names: Vec<&str> = USES[kernel].iter().map(|(n, _)| BUFFERS[*n].0).collect();
    let pointers: String = USES[kernel]
        .iter()
        .map(|(n, written)| {
            let access = if *written { "" } else { "const " };
            format!("__global {access}float *restrict {}, ", BUFFERS[*n].0)
        })
        .collect();
    let offsets: String = names.iter().map(|name| format!("const ulong {name}_offset, ")).collect();
    let moves: String =
        names.iter().map(|name| format!("    {name} += {name}_offset / sizeof(*{name});\n")).collect();
    let body = KERNELS[kernel].replace("FLOAT", "float").replace("UINT", "uint");
    let body = body.replace("ROWS", "size[0]").replace("COLS", "size[1]");
    let groups = GROUPS[kernel];
    format!(
        "__kernel __attribute__((reqd_work_group_size({groups}, 1, 1)))
void apply({pointers}__global const uint *restrict size, {offsets}const ulong size_offset) {{
{moves}    size += size_offset / sizeof(*size);
    uint at = get_global_id(0);
    if (size[2] != 7u) return;
    {body}
}}
"
    )
}

fn bundle(kind: DeviceKind, io: Io) -> Bundle {
    fill(Program::new(if io == Io::Arena { 512 * 6 } else { 0 }), kind, io).bundle()
}

fn value(row: u64, col: u64) -> f32 {
    (100 * row + col) as f32 + 0.5
}

/// Sets sizes, writes `x` where it has to be, runs and compares all that comes out with what is right.
fn check(session: &mut Session, rows: u64, cols: u64) {
    session.set_dim("rows", rows).unwrap();
    session.set_dim("cols", cols).unwrap();
    let x: Vec<f32> = (0..rows).flat_map(|row| (0..cols).map(move |col| value(row, col))).collect();
    session.write("x", &x).unwrap();
    session.run().unwrap();
    compare(session, rows, cols);
}

fn compare(session: &mut Session, rows: u64, cols: u64) {
    let sums: Vec<f32> =
        (0..rows).map(|row| 2.0 + (0..cols).map(|col| value(row, col)).sum::<f32>()).collect();
    let turned: Vec<f32> = (0..cols).flat_map(|col| (0..rows).map(move |row| value(row, col))).collect();
    let pairs: Vec<f32> = match rows {
        0 => Vec::new(),
        _ => (0..cols / 2).map(|pair| value(0, 2 * pair) + value(0, 2 * pair + 1)).collect(),
    };
    let more: Vec<f32> = sums.iter().map(|sum| sum + 1.0).collect();
    let shapes: Vec<Vec<u64>> = session.outputs().iter().map(|tensor| tensor.shape.clone()).collect();
    assert_eq!(shapes, [vec![rows], vec![cols, rows], vec![rows.min(1), cols / 2], vec![rows]]);
    for (name, expected) in [("y", sums), ("t", turned), ("p", pairs), ("z", more)] {
        assert_eq!(session.read::<f32>(name).unwrap(), expected, "{name} of {rows} rows, {cols} columns");
    }
}

fn loaded(device: &Device, bundle: &Bundle, options: &LoadOptions) -> Session {
    let mut session = device.load_with(bundle, options).unwrap();
    session.write("b", &[2.0_f32]).unwrap();
    session
}

/// Least, odd, largest, and back again.
const SIZES: [(u64, u64); 9] =
    [(12, 10), (0, 1), (3, 1), (9, 7), (12, 10), (3, 10), (0, 10), (6, 3), (12, 10)];

#[test]
fn every_size_is_right_on_every_device() {
    on_each(|device, kind| {
        for io in [Io::Arena, Io::Own] {
            let bundle = bundle(kind, io);
            let one_each = SubmitLimits { dispatches: 1, ..SubmitLimits::default() };
            for submit in [SubmitLimits::default(), one_each] {
                let mut session = loaded(device, &bundle, &LoadOptions { submit, ..LoadOptions::default() });
                for (rows, cols) in SIZES {
                    check(&mut session, rows, cols);
                    // Nothing is recorded or written anew for a second run.
                    session.run().unwrap();
                    compare(&mut session, rows, cols);
                }
            }
        }
    });
}

#[test]
fn dims_say_what_they_may_be_and_are() {
    on_each(|device, kind| {
        let mut session = loaded(device, &bundle(kind, Io::Arena), &LoadOptions::default());
        let now = |session: &Session| -> Vec<(String, u64)> {
            session.dims().iter().map(|dim| (dim.free.name.clone(), dim.size)).collect()
        };
        let are = |cols, rows| vec![("cols".to_owned(), cols), ("rows".to_owned(), rows)];
        assert_eq!(now(&session), are(10, 12), "the largest at first");
        let refused =
            |session: &mut Session, name: &str, size| session.set_dim(name, size).unwrap_err().to_string();
        assert_eq!(
            refused(&mut session, "rows", 4),
            "dim `rows` cannot be 4; it may be multiples of 3 from 0 to 12"
        );
        assert_eq!(refused(&mut session, "cols", 0), "dim `cols` cannot be 0; it may be 1 to 10");
        assert_eq!(
            refused(&mut session, "cols", u64::MAX),
            format!("dim `cols` cannot be {}; it may be 1 to 10", u64::MAX)
        );
        assert_eq!(
            refused(&mut session, "batch", 1),
            "entry `main` has no dim `batch` whose size is free, only: cols, rows"
        );
        assert_eq!(now(&session), are(10, 12), "and stay so");
        check(&mut session, 6, 5);
        assert_eq!(now(&session), are(5, 6));
    });
}

#[test]
fn what_a_size_changes_has_to_be_made_anew() {
    on_each(|device, kind| {
        let mut session = loaded(device, &bundle(kind, Io::Arena), &LoadOptions::default());
        check(&mut session, 6, 5);
        session.set_dim("cols", 5).unwrap();
        compare(&mut session, 6, 5);
        session.set_dim("cols", 4).unwrap();
        assert!(matches!(session.read::<f32>("y"), Err(RuntimeError::NotRun)), "no result has these sizes");
        assert!(matches!(session.timings(), Err(RuntimeError::NotRun)));
        let error = session.run().unwrap_err();
        assert!(matches!(&error, RuntimeError::NotWritten { tensor } if tensor == "x"), "{error}");
        let error = session.write("x", &[0.0_f32; 30]).unwrap_err().to_string();
        assert_eq!(error, "`x` has shape [6, 4], which is 24 values; 30 were given");
        assert!(matches!(session.write_raw("x", &[0; 95]), Err(RuntimeError::Length { expected: 96, .. })));
        // Its other input is as it was written.
        check(&mut session, 6, 4);
        let mut short = [0.0_f32; 5];
        assert!(matches!(session.read_into("y", &mut short), Err(RuntimeError::Length { expected: 6, .. })));
        // Nothing has to be written where there is nothing.
        session.set_dim("rows", 0).unwrap();
        session.run().unwrap();
        compare(&mut session, 0, 4);
    });
}

#[test]
fn sessions_of_one_bundle_have_sizes_of_their_own() {
    on_each(|device, kind| {
        let bundle = bundle(kind, Io::Arena);
        let mut sessions = [0, 1].map(|_| loaded(device, &bundle, &LoadOptions::default()));
        for round in 0..3 {
            let [first, second] = &mut sessions;
            check(first, 3 * (round + 1), 3 + round);
            check(second, 12 - 3 * round, 10 - round);
            first.run().unwrap();
            compare(first, 3 * (round + 1), 3 + round);
            compare(second, 12 - 3 * round, 10 - round);
        }
    });
}

#[test]
fn entries_that_share_an_arena_have_sizes_of_their_own() {
    on_each(|device, kind| {
        let first = fill(Program::new(512 * 6), kind, Io::Arena);
        let bundle = fill(first.then("second", 512 * 7), kind, Io::Arena).bundle();
        let mut sessions =
            device.load_entries(&bundle, &["main", "second"], &LoadOptions::default()).unwrap();
        sessions.iter_mut().for_each(|session| session.write("b", &[2.0_f32]).unwrap());
        let [first, second] = &mut sessions[..] else { panic!("two entries") };
        for (rows, cols) in SIZES {
            check(first, rows, cols);
            check(second, 12 - rows, 11 - cols);
            // What was written last is uploaded again, as large as it is now.
            first.run().unwrap();
            compare(first, rows, cols);
            let error = second.read::<f32>("z").unwrap_err();
            assert!(matches!(error, RuntimeError::Overwritten { .. }), "{error}");
        }
    });
}

#[test]
fn a_run_that_was_called_off_is_waited_for() {
    on_each(|device, kind| {
        let mut session = loaded(device, &bundle(kind, Io::Arena), &LoadOptions::default());
        session.write("x", &[1.0_f32; 120]).unwrap();
        for (rows, cols) in SIZES {
            let mut run = session.run_async();
            let waker = std::task::Waker::noop();
            let _ = std::pin::Pin::new(&mut run).poll(&mut std::task::Context::from_waker(waker));
            drop(run);
            check(&mut session, rows, cols);
        }
        let (sender, receiver) = std::sync::mpsc::channel();
        session.set_dim("rows", 9).unwrap();
        session
            .write("x", &(0..9).flat_map(|row| (0..10).map(move |col| value(row, col))).collect::<Vec<f32>>())
            .unwrap();
        session.run_then(move |session, outcome| sender.send((session, outcome)).unwrap()).detach();
        let (mut session, outcome) = receiver.recv().unwrap();
        outcome.unwrap();
        compare(&mut session, 9, 10);
    });
}

#[test]
fn times_are_those_of_what_ran() {
    on_each(|device, kind| {
        if !device.info().features.timestamps {
            return;
        }
        let options = LoadOptions { timestamps: true, ..LoadOptions::default() };
        let mut session = loaded(device, &bundle(kind, Io::Arena), &options);
        for (rows, cols) in SIZES {
            check(&mut session, rows, cols);
            let timings = session.timings().unwrap();
            let names: Vec<&str> = timings.dispatches.iter().map(|one| one.name.as_str()).collect();
            assert_eq!(names, ["step 0", "step 1", "step 2"]);
            if kind != DeviceKind::Vulkan {
                let left_out: Vec<bool> = timings.dispatches.iter().map(|one| one.time.is_zero()).collect();
                let pairs = rows > 0 && cols > 1;
                assert!(rows > 0 || left_out[0] && left_out[2], "{kind:?} {timings:?}");
                assert!(pairs || left_out[1], "{kind:?} {timings:?}");
            }
        }
    });
}

#[test]
fn a_static_program_has_no_dims() {
    on_each(|device, kind| {
        let bundle = crate::anywhere::in_arena(kind, crate::anywhere::Work::Double);
        let mut session = crate::anywhere::load(device, &bundle, &LoadOptions::default());
        assert!(session.dims().is_empty());
        let said = session.set_dim("n", 1).unwrap_err().to_string();
        assert!(
            said.starts_with("entry `main` has no dim `n` whose size is free, nor any other; compile"),
            "{said}"
        );
        session.run().unwrap();
    });
}

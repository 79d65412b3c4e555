//! States that entries share by their names: what one run leaves, another entry's run finds; saved, loaded and reset.
#![expect(clippy::unwrap_used, reason = "a test helper fails by panicking")]

use drift_bundle::Bundle;
use drift_bundle::manifest::*;
use drift_runtime::{Device, DeviceKind, LoadOptions, OpenOptions, RuntimeError, Session};

use crate::program::{FIRST, Program, SECOND, arena, dispatch, on_device, state};

/// What a kernel binds: the names and types of its slots, and their bytes.
type Slots<'a> = &'a [(&'a str, &'a str, u64)];

/// Adds a kernel of one invocation, whose slots are of group 0 and written; its body is C and WGSL alike but for `VAR`.
fn kernel(program: &mut Program, slots: Slots<'_>, body: &str) -> u32 {
    let target = program.entry.target;
    let binding = |(binding, (_, _, min_bytes)): (u32, &(&str, &str, u64))| BindingSlot {
        group: 0,
        binding,
        kind: BindingKind::StorageBuffer { min_bytes: *min_bytes },
        writable: true,
    };
    let shader = Shader {
        name: "step".to_owned(),
        target,
        entry_point: "apply".to_owned(),
        offset: 0,
        size: 0,
        workgroup_size: [1; 3],
        shared_bytes: 0,
        subgroup_size: None,
        bindings: (0..).zip(slots).map(binding).collect(),
    };
    if target == Target::OpenCl {
        let list = |one: &dyn Fn(&str, &str) -> String| {
            slots.iter().map(|(name, of, _)| one(name, of)).collect::<Vec<_>>().join(", ")
        };
        let c = |of: &str| if of == "u32" { "uint" } else { "float" };
        let buffers = list(&|name, of| format!("__global {} *restrict {name}", c(of)));
        let offsets = list(&|name, _| format!("const ulong {name}_offset"));
        let moves = list(&|name, _| format!("{name} += {name}_offset / sizeof(*{name})"));
        let body = body.replace("VAR", "uint").replace("f32(", "(float)(");
        let head = "__kernel __attribute__((reqd_work_group_size(1, 1, 1)))";
        let code = format!("{head}\nvoid apply({buffers}, {offsets}) {{\n    {moves};\n    {body}\n}}\n");
        return program.text_shader(shader, &code);
    }
    let variables: String = (0..)
        .zip(slots)
        .map(|(n, (name, of, bytes))| {
            let count = bytes / 4;
            format!("@group(0) @binding({n})\nvar<storage, read_write> {name}: array<{of}, {count}>;\n")
        })
        .collect::<Vec<_>>()
        .concat();
    let body = body.replace("VAR", "var");
    let code = format!("{variables}\n@compute @workgroup_size(1, 1, 1)\nfn apply() {{\n    {body}\n}}\n");
    match target {
        Target::Vulkan => program.shader(&code, |own| own.entry_point = shader.entry_point),
        _ => program.text_shader(shader, &code),
    }
}

fn cache() -> RegionKind {
    state("cache", &[16, 4])
}

fn step() -> RegionKind {
    RegionKind::State { name: "step".to_owned(), element: DeviceElement::U32, shape: vec![] }
}

fn bind(region: RegionId, size: u64) -> Resource {
    Resource::bytes(region, 0, size)
}

/// `append` writes a row into a cache, at a step that it advances, and `total` adds up the rows. Each counts its runs in a
/// state that the other has not, or has not under that name, and lists the shared ones in another order. `kind` is what
/// `total` takes the cache for.
fn bundle_with(target: Target, kind: RegionKind) -> Bundle {
    let mut append = Program::new(512)
        .f32_input("x", &[4], 0)
        .f32_output("y", &[2], 256)
        .region(step(), 4)
        .region(state("appends", &[1]), 4)
        .region(cache(), 300);
    append.entry.name = "append".to_owned();
    append.entry.target = target;
    let slots: Slots<'_> =
        &[("x", "f32", 16), ("step", "u32", 4), ("runs", "f32", 4), ("cache", "f32", 256), ("y", "f32", 8)];
    let body = "for (VAR i = 0u; i < 4u; i++) { cache[4u * step[0] + i] = x[i]; }
    step[0] = step[0] + 1u;
    runs[0] = runs[0] + 1.0f;
    y[0] = f32(step[0]);
    y[1] = runs[0];";
    let shader = kernel(&mut append, slots, body);
    let third = RegionId::Variant(3);
    let bindings = [arena(0, 16), bind(FIRST, 4), bind(SECOND, 4), bind(third, 256), arena(256, 8)];
    append.variant.dispatches.push(dispatch("append", shader, &bindings, [1; 3]));

    let mut total = append
        .then("total", 768)
        .f32_output("y", &[5], 512)
        .region(kind, 300)
        .region(step(), 4)
        .region(state("totals", &[1]), 4);
    total.entry.target = target;
    let slots: Slots<'_> = &[("cache", "f32", 256), ("step", "u32", 4), ("runs", "f32", 4), ("y", "f32", 20)];
    let body = "runs[0] = runs[0] + 1.0f;
    y[4] = runs[0];
    for (VAR i = 0u; i < 4u; i++) { y[i] = 0.0f; }
    for (VAR row = 0u; row < step[0]; row++) {
        for (VAR i = 0u; i < 4u; i++) { y[i] = y[i] + cache[4u * row + i]; }
    }";
    let shader = kernel(&mut total, slots, body);
    let bindings = [bind(FIRST, 256), bind(SECOND, 4), bind(third, 4), arena(512, 20)];
    total.variant.dispatches.push(dispatch("total", shader, &bindings, [1; 3]));
    total.bundle()
}

fn load(device: &Device, bundle: &Bundle) -> [Session; 2] {
    let sessions = device.load_entries(bundle, &["append", "total"], &LoadOptions::default()).unwrap();
    sessions.try_into().unwrap()
}

fn append(session: &mut Session, value: f32) -> Vec<f32> {
    session.write("x", &[1.0, 2.0, 3.0, 4.0].map(|x| x * value)).unwrap();
    session.run().unwrap();
    session.read("y").unwrap()
}

fn total(session: &mut Session) -> Vec<f32> {
    session.run().unwrap();
    session.read("y").unwrap()
}

fn sums(of: f32, runs: f32) -> [f32; 5] {
    [of, 2.0 * of, 3.0 * of, 4.0 * of, runs]
}

fn states_are_shared(device: &Device, bundle: &Bundle) {
    let [mut first, mut second] = load(device, bundle);
    // Step and cache, in the order of the first entry; then what is its own.
    assert_eq!([&first, &second].map(|session| session.report().bytes.state), [256 + 300 + 4; 2]);
    let names = |session: &Session| -> Vec<(String, u64)> {
        session.states().iter().map(|state| (state.name.clone(), state.bytes)).collect()
    };
    let named = |of: [(&str, u64); 3]| of.map(|(name, bytes)| (name.to_owned(), bytes));
    assert_eq!(names(&first), named([("step", 4), ("appends", 4), ("cache", 300)]));
    assert_eq!(names(&second), named([("cache", 300), ("step", 4), ("totals", 4)]));
    assert_eq!((first.states()[2].element, &*first.states()[2].shape), (DeviceElement::F32, &[16, 4][..]));

    assert_eq!(total(&mut second), sums(0.0, 1.0), "state is zero when it is loaded");
    assert_eq!(append(&mut first, 1.0), [1.0, 1.0]);
    assert_eq!(total(&mut second), sums(1.0, 2.0));
    assert_eq!(append(&mut first, 10.0), [2.0, 2.0]);
    assert_eq!(append(&mut first, 100.0), [3.0, 3.0]);
    assert_eq!(total(&mut second), sums(111.0, 3.0));

    // Saved through one and the other, and loaded into memory of others.
    let save = |session: &mut Session| -> Vec<(String, Vec<u8>)> {
        let names: Vec<String> = session.states().iter().map(|state| state.name.clone()).collect();
        names.into_iter().map(|name| (name.clone(), session.read_state(&name).unwrap())).collect()
    };
    let (of_first, of_second) = (save(&mut first), save(&mut second));
    assert_eq!((&of_first[0].1, &of_first[2].1), (&of_second[1].1, &of_second[0].1));
    assert_eq!(of_first[0].1, 3_u32.to_le_bytes());
    assert_eq!(of_first[2].1[16..20], 10.0_f32.to_le_bytes());

    // A reset is for all who have a state, and for what only others have it is none.
    second.reset_state().unwrap();
    assert_eq!(total(&mut second), sums(0.0, 1.0));
    assert_eq!(append(&mut first, 7.0), [1.0, 4.0]);
    assert_eq!(total(&mut second), sums(7.0, 2.0));

    let [mut third, mut fourth] = load(device, bundle);
    of_second.iter().for_each(|(name, bytes)| fourth.write_state(name, bytes).unwrap());
    assert_eq!(append(&mut third, 1000.0), [4.0, 1.0]);
    assert_eq!(total(&mut fourth), sums(1111.0, 4.0));
    assert_eq!(total(&mut second), sums(7.0, 3.0), "another load is memory of its own");
    of_first.iter().for_each(|(name, bytes)| third.write_state(name, bytes).unwrap());
    assert_eq!(total(&mut fourth), sums(111.0, 5.0));
    assert_eq!(append(&mut third, 0.0), [4.0, 4.0]);

    // An entry by itself has all of its states to itself.
    let options = LoadOptions { entry: Some("total".to_owned()), ..LoadOptions::default() };
    assert_eq!(total(&mut device.load_with(bundle, &options).unwrap()), sums(0.0, 1.0));
}

/// Runs in a row leave what runs one by one leave; an input that they write over is there again in each of them.
fn runs_in_a_row_go_on_from_one_another(device: &Device, bundle: &Bundle) {
    let [mut first, mut second] = load(device, bundle);
    assert!(matches!(first.run_times(2), Err(RuntimeError::NotWritten { .. })));
    first.write("x", &[1.0, 2.0, 3.0, 4.0]).unwrap();
    first.run_times(0).unwrap();
    assert_eq!(total(&mut second), sums(0.0, 1.0));
    first.run_times(5).unwrap();
    assert_eq!(first.read::<f32>("y").unwrap(), [5.0, 5.0]);
    assert_eq!(total(&mut second), sums(5.0, 2.0));
    assert_eq!(append(&mut first, 10.0), [6.0, 6.0]);
    second.run_times(3).unwrap();
    assert_eq!(second.read::<f32>("y").unwrap(), sums(15.0, 5.0));

    let mut over =
        Program::new(512).f32_input("x", &[1], 0).f32_output("y", &[1], 256).region(state("sum", &[1]), 4);
    over.entry.target = bundle.manifest().entries[0].target;
    let slots: Slots<'_> = &[("x", "f32", 4), ("sum", "f32", 4), ("y", "f32", 4)];
    let shader = kernel(&mut over, slots, "sum[0] = sum[0] + x[0];\n    x[0] = 100.0f;\n    y[0] = sum[0];");
    over.variant.dispatches.push(dispatch(
        "over",
        shader,
        &[arena(0, 4), bind(FIRST, 4), arena(256, 4)],
        [1; 3],
    ));
    let mut session = device.load(&over.bundle()).unwrap();
    session.write("x", &[2.0_f32]).unwrap();
    session.run_times(4).unwrap();
    assert_eq!(session.read::<f32>("y").unwrap(), [8.0]);
}

/// Results of whole runs only, in whatever order the threads get at the memory.
fn threads_take_turns(device: &Device, bundle: &Bundle) {
    let [mut first, mut second] = load(device, bundle);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..16 {
                first.write("x", &[1.0_f32, 2.0, 3.0, 4.0]).unwrap();
                first.run().unwrap();
            }
        });
        let mut before = 0.0;
        for run in 1..=40 {
            second.run().unwrap();
            let y = match second.read::<f32>("y") {
                Ok(y) => y,
                Err(RuntimeError::Overwritten { .. }) => continue,
                Err(error) => panic!("{error}"),
            };
            assert_eq!(y, sums(y[0], run as f32));
            assert!(y[0] >= before && y[0].fract() == 0.0, "{y:?} after {before}");
            before = y[0];
        }
    });
    assert_eq!(total(&mut second), sums(16.0, 41.0));
}

fn wrong_names_and_lengths_change_nothing(device: &Device, bundle: &Bundle) {
    let [mut first, mut second] = load(device, bundle);
    append(&mut first, 1.0);
    let said = |result: Result<(), RuntimeError>| result.unwrap_err().to_string();
    let expected = "entry `append` has no state `totals`, only: step, appends, cache";
    assert_eq!(said(first.write_state("totals", &[0; 4])), expected);
    assert_eq!(said(first.read_state("totals").map(drop)), expected);
    let expected = "`cache` has shape [16, 4], which is 300 bytes on the device; 256 were given";
    assert_eq!(said(first.write_state("cache", &[0; 256])), expected);
    assert_eq!(said(first.read_state_into("cache", &mut [0; 256])), expected);
    assert_eq!(total(&mut second), sums(1.0, 1.0));
}

fn states_that_differ_are_named(device: &Device, target: Target) {
    let half =
        RegionKind::State { name: "cache".to_owned(), element: DeviceElement::F16, shape: vec![16, 4] };
    for (kind, is) in [(half, "F16 [16, 4]"), (state("cache", &[64]), "F32 [64]")] {
        let bundle = bundle_with(target, kind);
        let both = device.load_entries(&bundle, &["append", "total"], &LoadOptions::default());
        let error = both.unwrap_err();
        assert!(matches!(&error, RuntimeError::StateMismatch { state, .. } if state == "cache"), "{error}");
        let expected = format!(
            "entries `append` and `total` cannot share state `cache`, which is F32 [16, 4] in 300 bytes in the one and \
             {is} in 300 bytes in the other"
        );
        assert!(error.to_string().starts_with(&expected), "{error}");
        let alone = device.load_entries(&bundle, &["total", "total"], &LoadOptions::default());
        let [first, second] = &mut alone.unwrap()[..] else { panic!("two sessions") };
        // Sessions of one entry share what it keeps as well.
        assert_eq!(total(first), sums(0.0, 1.0));
        assert_eq!(total(second), sums(0.0, 2.0));
    }
}

/// More parts than one, the last of them short and of no whole word.
fn large_states_are_copied_in_parts(device: &Device, target: Target) {
    let size = (16 << 20) + 7;
    let mut program =
        Program::new(0).region(state("other", &[1]), 4).region(state("large", &[3, 1 << 20]), size);
    program.entry.target = target;
    let mut session = device.load(&program.bundle()).unwrap();
    let bytes: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
    session.write_state("large", &bytes).unwrap();
    assert!(session.read_state("large").unwrap() == bytes);
    assert_eq!(session.read_state("other").unwrap(), [0; 4]);
    session.reset_state().unwrap();
    assert!(session.read_state("large").unwrap().iter().all(|byte| *byte == 0));
}

fn all(device: &Device, target: Target) {
    let bundle = bundle_with(target, cache());
    states_are_shared(device, &bundle);
    runs_in_a_row_go_on_from_one_another(device, &bundle);
    threads_take_turns(device, &bundle);
    wrong_names_and_lengths_change_nothing(device, &bundle);
    states_that_differ_are_named(device, target);
    large_states_are_copied_in_parts(device, target);
}

#[test]
fn states_are_shared_saved_and_reset_on_vulkan() {
    on_device(|device| all(device, Target::Vulkan));
}

#[test]
fn states_are_shared_saved_and_reset_on_opencl() {
    let device = Device::open_with(DeviceKind::OpenCl, &OpenOptions::default());
    all(&device.expect("an OpenCL device is needed: apt install pocl-opencl-icd"), Target::OpenCl);
}

#[test]
fn states_are_shared_saved_and_reset_on_webgpu() {
    let device = Device::open(DeviceKind::WebGpu);
    all(&device.expect("a Vulkan driver is needed: apt install mesa-vulkan-drivers"), Target::WebGpu);
}

//! Kernels written as OpenCL C, run on a CPU and compared with the same arithmetic in Rust.
//!
//! Needs PoCL; without a device the tests fail and say what to install.

mod arithmetic;
mod control_flow;
mod extensions;
mod images;
mod memory;
mod packing;
mod vectors;

use std::fmt::Write as _;

use drift_targets::opencl::{Options, Output, write};
use drift_tests::opencl::{ClArg, ClDevice};

fn translate(wgsl: &str, options: &Options) -> Output {
    let module =
        naga::front::wgsl::parse_str(wgsl).unwrap_or_else(|error| panic!("{}", error.emit_to_string(wgsl)));
    let info =
        naga::valid::Validator::new(naga::valid::ValidationFlags::all(), naga::valid::Capabilities::all())
            .validate(&module)
            .unwrap_or_else(|error| panic!("{}", error.emit_to_string(wgsl)));
    write(&module, &info, options).unwrap_or_else(|error| panic!("{error}\n{wgsl}"))
}

/// Runs the kernel of `wgsl` with `workgroups` groups of `size` invocations.
fn run_groups(wgsl: &str, workgroups: [u32; 3], size: [u32; 3], args: &mut [ClArg]) {
    run_with(wgsl, &Options::default(), workgroups, size, args);
}

fn run_with(wgsl: &str, options: &Options, workgroups: [u32; 3], size: [u32; 3], args: &mut [ClArg]) {
    let output = translate(wgsl, options);
    assert_eq!(output.arguments.len(), args.len(), "{}", output.source);
    let device = ClDevice::open().unwrap_or_else(|error| panic!("{error}"));
    device
        .run(&output.source, &output.entry_point, workgroups, size, args)
        .unwrap_or_else(|error| panic!("{error}\n{}", output.source));
}

/// The values of each expression for each `i`, where `a` and `b` are the elements of `inputs` at `i`. One kernel
/// computes them all.
fn map<T: Word, R: Word>(expressions: &[&str], inputs: &[&[T]]) -> Vec<Vec<R>> {
    map_with(&Options::default(), expressions, inputs)
}

fn map_with<T: Word, R: Word>(options: &Options, expressions: &[&str], inputs: &[&[T]]) -> Vec<Vec<R>> {
    let count = inputs[0].len();
    let mut wgsl = String::new();
    let mut body = String::new();
    for (index, name) in ["a", "b"][..inputs.len()].iter().enumerate() {
        let _ =
            writeln!(wgsl, "@group(1) @binding({index}) var<storage, read> src_{name}: array<{}>;", T::WGSL);
        let _ = writeln!(body, "let {name} = src_{name}[i];");
    }
    for (index, expression) in expressions.iter().enumerate() {
        let _ = writeln!(body, "dst[{}u + i] = {expression};", index * count);
    }
    let _ = write!(
        wgsl,
        "@group(2) @binding(0) var<storage, read_write> dst: array<{}>;
        @compute @workgroup_size(1)
        fn map(@builtin(global_invocation_id) id: vec3<u32>) {{
            let i = id.x;
            {body}
        }}",
        R::WGSL
    );
    let mut args: Vec<_> = inputs.iter().map(|input| ClArg::Buffer(T::bytes(input))).collect();
    args.push(ClArg::Buffer(vec![0; expressions.len() * count * 4]));
    run_with(&wgsl, options, [count as u32, 1, 1], [1, 1, 1], &mut args);
    let words: Vec<_> = args[inputs.len()]
        .bytes()
        .chunks_exact(4)
        .map(|word| R::from_bytes([word[0], word[1], word[2], word[3]]))
        .collect();
    words.chunks(count).map(<[R]>::to_vec).collect()
}

/// A type of four bytes that WGSL and Rust share.
trait Word: Copy {
    const WGSL: &str;
    fn bytes(words: &[Self]) -> Vec<u8>;
    fn from_bytes(bytes: [u8; 4]) -> Self;
}

macro_rules! words {
    ($($ty:ident),*) => {$(
        impl Word for $ty {
            const WGSL: &str = stringify!($ty);
            fn bytes(words: &[Self]) -> Vec<u8> {
                words.iter().flat_map(|word| word.to_ne_bytes()).collect()
            }
            fn from_bytes(bytes: [u8; 4]) -> Self {
                Self::from_ne_bytes(bytes)
            }
        }
    )*};
}

words!(f32, i32, u32);

fn assert_close(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        let tolerance = 2e-6 * expected.abs().max(1e-3);
        let close = (found - expected).abs() <= tolerance || found == expected;
        assert!(close, "{what}: element {index} is {found}, expected {expected}");
    }
}

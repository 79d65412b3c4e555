//! Programs whose sizes the host says: one bundle for a bound, run at several sizes inside it, each against the evaluator.

use drift_bundle::Bundle;
use drift_bundle::manifest::RegionKind;
use drift_compiler::{CompileError, CompileOptions, ModelIdentity, Precision};
use drift_ir::dim::SymbolId;
use drift_ir::op::Conv;
use drift_ir::{Dim, ElementType, Graph, Op, Tensor, TensorType, text};
use drift_onnx::{DimBinding, ImportOptions, ModelSource};
use drift_runtime::{Device, DeviceKind, LoadOptions, OpenOptions};
use drift_tests::conformance::compare;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

/// A graph over `n`, and over `m` where it names it.
struct Case {
    what: &'static str,
    bounds: &'static str,
    graph: &'static str,
    /// Sizes of `n`, then of `m`.
    sizes: &'static [[u64; 2]],
}

const ONE: &str = "symbol n: 1..37\n";
const TWO: &str = "symbol n: 1..24\nsymbol m: 1..19\n";
const OF_ONE: &[[u64; 2]] = &[[37, 0], [1, 0], [4, 0], [17, 0]];
const OF_TWO: &[[u64; 2]] = &[[24, 19], [1, 1], [1, 19], [24, 1], [7, 4]];

/// Each op that takes free sizes: as rows, as columns, and where the innermost size is no multiple of anything.
const CASES: &[Case] = &[
    Case { what: "a row", bounds: ONE, graph: "%x: f32[n]\n%1 = tanh %x\nreturn %1", sizes: OF_ONE },
    Case {
        what: "rows",
        bounds: ONE,
        graph: "%x: f32[n,8]\n%1 = tanh %x\n%2 = mul %1, %x\nreturn %2",
        sizes: OF_ONE,
    },
    Case {
        what: "a constant along rows and one along columns",
        bounds: ONE,
        graph: "%x: f32[n,6]\n@b: f32[6] = random(1)\n@c: f32[1,1] = random(2)\n%1 = add %x, @b\n%2 = mul %1, @c\nreturn %2",
        sizes: OF_ONE,
    },
    Case {
        what: "broadcasts along either free axis",
        bounds: TWO,
        graph: "%x: f32[n,1,m]\n%y: f32[1,5,m]\n%z: f32[n,5,1]\n%1 = add %x, %y\n%2 = mul %1, %z\nreturn %2",
        sizes: OF_TWO,
    },
    Case {
        what: "a mask over heads",
        bounds: TWO,
        graph: "%x: f32[m,3,n,n]\n%k: f32[m,1,1,n]\n%1 = add %x, %k\n%2 = softmax %1 {axis=3}\nreturn %2",
        sizes: OF_TWO,
    },
    Case {
        what: "expanded",
        bounds: TWO,
        graph: "%x: f32[n,1]\n%y: f32[m]\n%1 = expand %x {shape=[n,m]}\n%2 = add %1, %y\nreturn %2",
        sizes: OF_TWO,
    },
    Case {
        what: "reshaped: batches and rows are one axis",
        bounds: TWO,
        graph: "%x: f32[n,m,8]\n%1 = reshape %x {shape=[n*m,8]}\n%2 = exp %1\n%3 = reshape %2 {shape=[n,m,2,4]}\n%4 = neg %3\nreturn %4",
        sizes: OF_TWO,
    },
    Case {
        what: "heads first",
        bounds: TWO,
        graph: "%x: f32[m,n,3,8]\n%1 = transpose %x {perm=[0,2,1,3]}\n%2 = tanh %1\nreturn %2",
        sizes: OF_TWO,
    },
    Case {
        what: "free columns become rows, in tiles and element by element",
        bounds: TWO,
        graph: "%x: f32[n,m]\n%y: f32[n,20]\n%1 = transpose %x {perm=[1,0]}\n%2 = transpose %y {perm=[1,0]}\nreturn %1, %2",
        sizes: OF_TWO,
    },
    Case {
        what: "keys across",
        bounds: TWO,
        graph: "%x: f32[m,n,2,16]\n%1 = transpose %x {perm=[0,2,3,1]}\n%2 = transpose %1 {perm=[3,0,1,2]}\nreturn %1, %2",
        sizes: OF_TWO,
    },
    Case {
        what: "slices beside a free axis",
        bounds: ONE,
        graph: "%x: f32[n,24]\n%1 = slice %x {axes=[1], starts=[8], counts=[8]}\n%2 = slice %x {axes=[1], starts=[3], counts=[5]}\nreturn %1, %2",
        sizes: OF_ONE,
    },
    Case {
        what: "the first row, the last one is cut off",
        bounds: "symbol n: 2..37\n",
        graph: "%x: f32[2,n,8]\n%1 = slice %x {axes=[1], starts=[0], counts=[1]}\n%2 = slice %x {axes=[1], starts=[1], counts=[n-1]}\nreturn %1, %2",
        sizes: &[[37, 0], [2, 0], [5, 0]],
    },
    Case {
        what: "a table cut to the rows there are",
        bounds: ONE,
        graph: "%x: f32[2,n,8]\n@t: f32[37,8] = random(1)\n%1 = slice @t {axes=[0], starts=[0], counts=[n]}\n%2 = add %x, %1\nreturn %2",
        sizes: OF_ONE,
    },
    Case {
        what: "joined along a free axis, and beside one",
        bounds: TWO,
        graph: "%x: f32[2,n,4]\n%y: f32[2,m,4]\n%z: f32[2,n,3]\n%1 = concat %x, %y {axis=1}\n%2 = concat %x, %z {axis=2}\nreturn %1, %2",
        sizes: OF_TWO,
    },
    Case {
        what: "places in rows, counted by sizes",
        bounds: TWO,
        graph: "%x: f32[m,n,2]\n%s = shape_of %x {start=0, end=3}\n%a = slice %s {axes=[0], starts=[1], counts=[1]}\n%b = slice %s {axes=[0], starts=[0], counts=[1]}\n%1 = mul %a, %b\nreturn %1",
        sizes: OF_TWO,
    },
    Case {
        what: "gathered rows",
        bounds: TWO,
        graph: "%i: i64[m,n]\n@t: f32[3,12] = random(1)\n%1 = gather @t, %i {axis=0}\n%2 = tanh %1\nreturn %2",
        sizes: OF_TWO,
    },
    Case {
        what: "one row gathered of free ones",
        bounds: ONE,
        graph: "%x: f32[2,n,8]\n@i: i64[1] = [0]\n%1 = gather %x, @i {axis=1}\n%2 = tanh %1\nreturn %2",
        sizes: OF_ONE,
    },
    Case {
        what: "sums, means and maxima",
        bounds: TWO,
        graph: "%x: f32[n,m,8]\n%1 = reduce_mean %x {axes=[1], keep_dims=true}\n%2 = reduce_sum %x {axes=[0,1], keep_dims=false}\n\
                %3 = reduce_max %x {axes=[2], keep_dims=false}\n%4 = reduce_mean %x {axes=[0,2], keep_dims=false}\nreturn %1, %2, %3, %4",
        sizes: OF_TWO,
    },
    Case {
        what: "softmax over a free axis, last and not",
        bounds: TWO,
        graph: "%x: f32[2,n,m]\n%1 = softmax %x {axis=2}\n%2 = softmax %x {axis=1}\nreturn %1, %2",
        sizes: OF_TWO,
    },
    Case {
        what: "norms of free rows",
        bounds: TWO,
        graph: "%x: f32[m,n,12]\n@s: f32[12] = random(1)\n@b: f32[12] = random(2)\n%1 = layer_norm %x, @s, @b {axis=2, epsilon=1e-5}\n\
                %2 = rms_norm %x, @s {axis=2, epsilon=1e-5}\nreturn %1, %2",
        sizes: OF_TWO,
    },
    Case {
        what: "rows times a matrix, with an epilogue",
        bounds: TWO,
        graph: "%x: f32[m,n,24]\n@w: f32[24,20] = random(1)\n@b: f32[20] = random(2)\n%1 = matmul %x, @w epilogue(add @b; tanh)\n\
                %2 = reshape %x {shape=[m*n,24]}\n%3 = matmul %2, @w\nreturn %1, %3",
        sizes: OF_TWO,
    },
    Case {
        what: "scores and their values: free columns, then a free inner size",
        bounds: TWO,
        graph: "%q: f32[m,2,n,8]\n%k: f32[m,2,n,8]\n%v: f32[m,2,n,8]\n%1 = matmul %q, %k {transpose_b=true}\n%2 = softmax %1 {axis=3}\n\
                %3 = matmul %2, %v\nreturn %3",
        sizes: OF_TWO,
    },
    Case {
        what: "a product of two free matrices",
        bounds: TWO,
        graph: "%a: f32[n,m]\n%b: f32[m,n]\n%1 = matmul %a, %b\n%2 = matmul %b, %a\nreturn %1, %2",
        sizes: OF_TWO,
    },
    Case {
        what: "attention",
        bounds: TWO,
        graph: "%q: f32[m,n,2,8]\n%k: f32[m,n,2,8]\n%v: f32[m,n,2,8]\n%y: f32[m,n,2,8] = attention %q, %k, %v \
                {q=[0,2,1,3], k=[0,2,1,3], v=[0,2,1,3], y=[0,2,1,3]}\nreturn %y",
        sizes: OF_TWO,
    },
    Case {
        what: "few rows, however many",
        bounds: "symbol n: 1..3\n",
        graph: "%x: f32[n,24]\n@w: f32[24,20] = random(1)\n@v: f32[22,20] = random(2)\n%1 = matmul %x, @w\n\
                %2 = matmul %1, @v {transpose_b=true}\n%3 = softmax %2 {axis=1}\nreturn %1, %3",
        sizes: &[[3, 0], [1, 0], [2, 0]],
    },
    Case {
        what: "padded, repeated and interpolated",
        bounds: "symbol n: 1..3\n",
        graph: "%x: f32[n,6,5,7]\n%1 = pad_edge %x {pads=[0,0,1,2,0,0,3,0]}\n\
                %2 = resize %x {axes=[2,3], sizes=[10,14], mode=nearest, coordinates=asymmetric}\n\
                %3 = resize %x {axes=[2,3], sizes=[8,11]}\nreturn %1, %2, %3",
        sizes: &[[3, 0], [1, 0], [2, 0]],
    },
    Case {
        what: "images of any size, doubled",
        bounds: "symbol n: 1..6\nsymbol m: 1..9\n",
        graph: "%x: f32[1,8,2*n,m]\n%1 = resize %x {axes=[2,3], sizes=[4*n,2*m], mode=nearest, nearest=floor, coordinates=asymmetric}\n\
                @s: f32[8] = random(1)\n@b: f32[8] = random(2)\n%2 = group_norm %1, @s, @b {groups=2, epsilon=1e-5}\nreturn %1, %2",
        sizes: &[[6, 9], [1, 1], [6, 1], [2, 3]],
    },
    Case {
        what: "images of any size, interpolated",
        bounds: "symbol n: 1..6\nsymbol m: 1..9\n",
        graph: "%x: f32[1,6,2*n,m]\n%1 = resize %x {axes=[2,3], sizes=[8*n,3*m], mode=linear, coordinates=half_pixel}\n\
                %2 = resize %x {axes=[2,3], sizes=[n,m+2], mode=linear, coordinates=align_corners}\n\
                %3 = resize %x {axes=[3], sizes=[2*m], mode=linear, coordinates=asymmetric}\n\
                %4 = resize %x {axes=[2,3], sizes=[n,11], mode=linear, coordinates=pytorch_half_pixel} epilogue(tanh)\n\
                return %1, %2, %3, %4",
        sizes: &[[6, 9], [1, 1], [6, 1], [2, 3]],
    },
    Case {
        what: "norms of groups that begin within slices, and of large ones",
        bounds: "symbol n: 1..4\nsymbol m: 1..40\n",
        graph: "%x: f32[n,6,m,40]\n@s: f32[6] = random(1)\n@b: f32[6] = random(2)\n%1 = group_norm %x, @s, @b {groups=2, epsilon=1e-5}\n\
                %2 = reshape %x {shape=[n,24,m,10]}\n@t: f32[24] = random(3)\n@c: f32[24] = random(4)\n\
                %3 = group_norm %2, @t, @c {groups=3, epsilon=1e-5} epilogue(relu)\n%4 = reshape %x {shape=[n,4,m,60]}\n\
                @u: f32[4] = random(5)\n@d: f32[4] = random(6)\n%5 = group_norm %4, @u, @d {groups=1, epsilon=1e-5}\nreturn %1, %3, %5",
        sizes: &[[4, 40], [1, 1], [4, 1], [1, 37], [2, 13]],
    },
    Case {
        what: "a batch of images",
        bounds: "symbol n: 1..5\n",
        graph: "%x: f32[n,3,9,9]\n@w: f32[16,3,3,3] = random(1)\n@d: f32[16,1,3,3] = random(2)\n@p: f32[8,16,1,1] = random(3)\n\
                %1 = conv %x, @w {pads=[1,1,1,1], strides=[2,2]}\n%2 = relu %1\n%3 = conv %2, @d {pads=[1,1,1,1], groups=16}\n\
                %4 = conv %3, @p\n%5 = reduce_mean %4 {axes=[2,3], keep_dims=false}\nreturn %5",
        sizes: &[[5, 0], [1, 0], [2, 0], [3, 0]],
    },
    Case {
        what: "images of any size",
        bounds: "symbol n: 4..21\nsymbol m: 5..18\n",
        graph: "%x: f32[1,3,n,m]\n@w: f32[12,3,3,3] = random(1)\n@p: f32[6,12,1,1] = random(3)\n\
                %1 = conv %x, @w {pads=[1,1,1,1], strides=[2,2]}\n%2 = conv %1, @p\n\
                %3 = pool_max %x {kernel=[3,3], strides=[2,2], pads=[1,1,1,1]}\n%4 = pool_average %x {kernel=[2,2], strides=[2,2]}\n\
                return %2, %3, %4",
        sizes: &[[21, 18], [4, 5], [4, 18], [21, 5], [8, 8], [13, 7]],
    },
];

fn graph_of(case: &Case) -> Graph {
    let source = format!("{}{}", case.bounds, case.graph);
    text::parse(&source).unwrap_or_else(|error| panic!("{}: {error}\n{source}", case.what))
}

fn device(kind: DeviceKind) -> &'static Device {
    static DEVICES: [OnceLock<Device>; DeviceKind::ALL.len()] =
        [const { OnceLock::new() }; DeviceKind::ALL.len()];
    let at = DeviceKind::ALL.iter().position(|other| *other == kind).expect("a listed kind");
    let options = OpenOptions { validation: true, ..OpenOptions::default() };
    DEVICES[at].get_or_init(|| Device::open_with(kind, &options).expect("`cargo xtask test` installs one"))
}

/// A profile, a precision, and the error that it explains.
type Setting = (&'static str, Precision, f64);

const PLAIN: Setting = ("generic", Precision::F32, 1e-4);

fn compiled(
    graph: &Graph,
    kind: DeviceKind,
    (profile, precision, _): Setting,
) -> Result<Bundle, Box<CompileError>> {
    let options = CompileOptions {
        targets: vec![kind.target()],
        profiles: vec![profile.to_owned()],
        precision: Some(precision),
        ..CompileOptions::default()
    };
    let identity = ModelIdentity { name: "free".to_owned(), hash: "0".repeat(64) };
    let compiled = drift_compiler::compile(graph.clone(), identity, &options).map_err(Box::new)?;
    Ok(Bundle::from_bytes(compiled.bundle.to_bytes().expect("bytes")).expect("a sound bundle"))
}

/// Inputs for sizes of the dims: floats around zero, indices 0 and 1.
fn inputs(graph: &Graph, sizes: &BTreeMap<SymbolId, u64>) -> Vec<Tensor> {
    let of = |input: &drift_ir::ValueId| {
        let ty = &graph.value(*input).ty;
        let shape: Vec<u64> = ty
            .shape
            .iter()
            .map(|dim| dim.evaluate(|symbol| sizes.get(&symbol).copied()).expect("a size"))
            .collect();
        let count = shape.iter().product::<u64>();
        let values: Vec<f64> = (0..count)
            .map(|n| match ty.element {
                ElementType::F32 | ElementType::F16 => ((n * 2_654_435_761) % 1009) as f64 / 252.0 - 2.0,
                _ => (n % 2) as f64,
            })
            .collect();
        Tensor::from_f64_as(ty.element, shape, &values).expect("as many as there are")
    };
    graph.inputs().iter().map(of).collect()
}

/// Runs one bundle of `graph` at each of the sizes, and compares.
fn at_sizes(
    what: &str,
    graph: &Graph,
    kind: DeviceKind,
    sizes: &[BTreeMap<SymbolId, u64>],
    setting: Setting,
) {
    let bundle = compiled(graph, kind, setting).unwrap_or_else(|error| panic!("{what}: {error:?}"));
    let (profile, precision, tolerance) = setting;
    let what = format!("{what}, {profile}");
    let device = device(kind);
    let earlier = device.validation_log().messages().len();
    let options = LoadOptions { any_vendor: true, ..LoadOptions::default() };
    let mut session = device.load_with(&bundle, &options).unwrap_or_else(|error| panic!("{what}: {error}"));
    for sizes in sizes {
        for (&symbol, &size) in sizes {
            let name = graph.symbols.name(symbol);
            session.set_dim(&name, size).unwrap_or_else(|error| panic!("{what}: {error}"));
        }
        let inputs = inputs(graph, sizes);
        for (&id, tensor) in graph.inputs().iter().zip(&inputs) {
            let name = &graph.value(id).name;
            session
                .write_raw(name, tensor.bytes())
                .unwrap_or_else(|error| panic!("{what} {sizes:?}: {error}"));
        }
        session.run().unwrap_or_else(|error| panic!("{what}: {error}"));
        let read = |&id: &drift_ir::ValueId| {
            let value = graph.value(id);
            let tensor =
                session.outputs().iter().find(|output| output.name == value.name).expect("an output");
            let shape = tensor.shape.clone();
            Tensor::new(value.ty.element, shape, session.read_raw(&value.name).expect("an output").into())
                .expect("a whole tensor")
        };
        let got: Vec<Tensor> = graph.outputs().iter().map(read).collect();
        let worst = compare(graph, precision, &inputs, &got);
        assert!(worst.relative <= tolerance, "{what} at {sizes:?}: {worst:?}");
    }
    let messages = &device.validation_log().messages()[earlier..];
    assert!(messages.is_empty(), "{what}: {messages:?}");
}

fn of_case(case: &Case, kind: DeviceKind, setting: Setting) {
    let graph = graph_of(case);
    let named = |name: &str, size: u64| Some((graph.symbols.find(name)?, size));
    let sizes: Vec<BTreeMap<SymbolId, u64>> = case
        .sizes
        .iter()
        .map(|[n, m]| [named("n", *n), named("m", *m)].into_iter().flatten().collect())
        .collect();
    at_sizes(case.what, &graph, kind, &sizes, setting);
}

fn of_cases(kind: DeviceKind) {
    CASES.iter().for_each(|case| of_case(case, kind, PLAIN));
}

#[test]
fn each_op_is_right_at_every_size_on_vulkan() {
    of_cases(DeviceKind::Vulkan);
}

#[test]
fn each_op_is_right_at_every_size_on_opencl() {
    of_cases(DeviceKind::OpenCl);
}

#[test]
fn each_op_is_right_at_every_size_on_webgpu() {
    of_cases(DeviceKind::WebGpu);
}

/// Where the profile has other kernels: rows by subgroups, and products of halves on cooperative matrices.
#[test]
fn products_and_rows_are_right_at_every_size_with_subgroups_and_in_half_precision() {
    let with = |names: &[&str], setting| {
        let cases: Vec<&Case> = CASES.iter().filter(|case| names.contains(&case.what)).collect();
        assert_eq!(cases.len(), names.len(), "{names:?}");
        cases.into_iter().for_each(|case| of_case(case, DeviceKind::Vulkan, setting));
    };
    with(
        &["softmax over a free axis, last and not", "few rows, however many"],
        ("subgroups", Precision::F32, 1e-4),
    );
    with(&["rows times a matrix, with an epilogue"], ("cooperative-loops", Precision::F16, 0.03));
}

/// A model of `tests/models` with dims that are left free inside of bounds.
fn model(name: &str, dims: &[(&str, u64, u64)]) -> Graph {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(name).join("model.onnx");
    let source = ModelSource::open(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    let dims = dims.iter().map(|&(dim, low, high)| (dim.to_owned(), DimBinding::Range(low, high))).collect();
    let options = ImportOptions { dims, ..ImportOptions::default() };
    drift_onnx::import(&source, &options).unwrap_or_else(|error| panic!("{name}: {error}")).graph
}

fn of_model(name: &str, dims: &[(&str, u64, u64)], sizes: &[&[u64]], kind: DeviceKind) {
    let graph = model(name, dims);
    let sizes: Vec<BTreeMap<SymbolId, u64>> = sizes
        .iter()
        .map(|sizes| {
            let of = |((dim, ..), &size): (&(&str, u64, u64), &u64)| Some((graph.symbols.find(dim)?, size));
            dims.iter().zip(*sizes).filter_map(of).collect()
        })
        .collect();
    at_sizes(name, &graph, kind, &sizes, ("generic", Precision::F32, 1e-3));
}

#[test]
fn bert_is_right_at_every_batch_and_length() {
    let sizes: &[&[u64]] = &[&[4, 32], &[1, 1], &[1, 32], &[4, 1], &[2, 7], &[3, 31], &[1, 16]];
    of_model("tiny_bert_dynamo18", &[("batch", 1, 4), ("sequence", 1, 32)], sizes, DeviceKind::Vulkan);
}

#[test]
fn mobilenet_is_right_at_every_batch() {
    of_model("tiny_mobilenetv2_legacy17", &[("batch", 1, 4)], &[&[4], &[1], &[3]], DeviceKind::Vulkan);
}

/// One compile, and the stored data of onnxruntime at the sizes that they have.
#[test]
fn verify_replays_each_data_set_at_its_own_size() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join("tiny_bert_dynamo18");
    let model = folder.to_string_lossy().into_owned();
    let dims = ["--dim", "batch=1..4", "--dim", "sequence=1..32"];
    let words = [&["driftc", "verify", &model, "--target", "vulkan"][..], &dims].concat();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = driftc::execute_words(words, &mut driftc::Console::new(&mut out, &mut err));
    let [out, err] = [out, err].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(code == 0 && out.contains(" passed, 0 failed, 0 unsupported"), "{code}\n{out}\n{err}");
}

/// What strides and windows make of multiples of a step is exact: the halves below are halves, not quotients with a remainder.
#[test]
fn images_of_multiples_of_a_step_are_right_at_every_size() {
    let mut graph = Graph::new("steps");
    let [height, width] = ["height", "width"].map(|dim| {
        let symbol = graph.symbols.intern_steps(dim, 4);
        graph.symbols.set_bounds(symbol, 2, Some(6)).expect("bounds");
        symbol
    });
    let four = |symbol: SymbolId| Dim::symbol(symbol).mul(&Dim::Const(4)).expect("a size");
    let shape = vec![Dim::Const(1), Dim::Const(3), four(height), four(width)];
    let x = graph.add_input("x", TensorType { element: ElementType::F32, shape }).expect("an input");
    let weights: Vec<f32> = (0..16 * 3 * 9).map(|n| (n % 7) as f32 / 10.0 - 0.3).collect();
    let weights = Tensor::from_f32([16, 3, 3, 3], &weights).expect("weights");
    let weights = graph.add_constant("w", weights).expect("a constant");
    let conv = Conv { strides: vec![2, 2], pads: vec![1; 4], dilations: vec![1, 1], groups: 1 };
    let node = graph.add_node("y", Op::Conv(conv), &[x, weights], ["y"]).expect("a node");
    graph.set_outputs(&graph.node(node).outputs.clone()).expect("an output");
    let output = &graph.value(graph.outputs()[0]).ty.shape[2];
    assert_eq!(output.as_multiple(), Some((height, 2)), "{}", output.display(&graph.symbols));

    let bundle = compiled(&graph, DeviceKind::Vulkan, PLAIN).expect("a bundle");
    let dims = &bundle.manifest().entries[0].dims;
    let stated: Vec<_> = dims.iter().map(|dim| (dim.name.as_str(), dim.low, dim.high, dim.step)).collect();
    assert_eq!(stated, [("height", 8, 24, 4), ("width", 8, 24, 4)]);
    let mut session = device(DeviceKind::Vulkan).load(&bundle).expect("a session");
    assert!(session.set_dim("height", 10).is_err());
    for [own_height, own_width] in [[6, 6], [2, 2], [2, 6], [3, 5]] {
        session.set_dim("height", own_height * 4).expect("a size");
        session.set_dim("width", own_width * 4).expect("a size");
        let inputs = inputs(&graph, &BTreeMap::from([(height, own_height), (width, own_width)]));
        session.write_raw("x", inputs[0].bytes()).expect("an input");
        session.run().expect("a run");
        let shape = session.outputs()[0].shape.clone();
        let got = Tensor::new(ElementType::F32, shape, session.read_raw("y").expect("an output").into());
        let worst = compare(&graph, Precision::F32, &inputs, &[got.expect("a whole tensor")]);
        assert!(worst.relative <= 1e-4, "{own_height} {own_width}: {worst:?}");
    }
}

/// Words are all that tells sizes apart: the shaders and the plan of a bundle are those of the largest.
#[test]
fn a_program_with_free_dims_says_what_the_host_may_set() {
    let graph = text::parse("symbol n: 2..37\n%x: f32[n,8]\n%1 = tanh %x\nreturn %1").expect("a graph");
    let bundle = compiled(&graph, DeviceKind::Vulkan, PLAIN).expect("a bundle");
    let entry = &bundle.manifest().entries[0];
    assert_eq!(
        entry.dims.iter().map(|dim| (dim.name.as_str(), dim.low, dim.high)).collect::<Vec<_>>(),
        [("n", 2, 37)]
    );
    assert_eq!((&entry.inputs[0].shape, entry.inputs[0].free.len()), (&vec![37, 8], 1));
    let variant = &entry.variants[0];
    assert!(variant.regions.iter().any(|region| matches!(region.kind, RegionKind::Params(_))));
    let known = text::parse("%x: f32[37,8]\n%1 = tanh %x\nreturn %1").expect("a graph");
    let known = compiled(&known, DeviceKind::Vulkan, PLAIN).expect("a bundle");
    let entry = &known.manifest().entries[0];
    assert!(entry.dims.is_empty() && entry.sizes.is_empty());
    assert!(!entry.variants[0].regions.iter().any(|region| matches!(region.kind, RegionKind::Params(_))));
}

#[test]
fn what_needs_known_sizes_says_which_dim_to_bind() {
    let down = "@zero: i64[] = 0\n@down: i64[] = -1\n%s = shape_of %x {start=0, end=1}\n%l = reshape %s {shape=[]}\n\
                %places = range %l, @zero, @down\nreturn %places";
    for (name, nodes) in [("sums", "%sums = cumsum %x {axis=0}\nreturn %sums"), ("places", down)] {
        let graph = text::parse(&format!("symbol n: 2..37\n%x: f32[n,8]\n{nodes}")).expect("a graph");
        let error = compiled(&graph, DeviceKind::Vulkan, PLAIN).expect_err("no kernel");
        let message = error.to_string();
        assert!(message.contains(&format!("`{name}`")) && message.contains("--dim n=N"), "{message}");
        assert!(!error.is_internal(), "{message}");
    }
}

#[test]
fn a_dim_without_a_bound_says_how_to_give_it_one() {
    let graph = text::parse("symbol n: 1..\n%x: f32[n,8]\n%1 = tanh %x\nreturn %1").expect("a graph");
    let error = compiled(&graph, DeviceKind::Vulkan, PLAIN).expect_err("no bound");
    assert!(error.to_string().contains("--dim"), "{error}");
}

/// Bounds as wide as 32 bits allow and narrower ones: each op compiles or is refused in words that help.
#[test]
fn wide_bounds_compile_or_are_refused_by_name() {
    let mut refused = 0;
    for case in CASES {
        for most in [i32::MAX as u64, 1 << 28, 1 << 24, 1 << 20, 1 << 16] {
            let bounds = case.bounds.lines().map(|line| {
                let (low, _) = line.split_once("..").expect("a symbol with bounds");
                format!("{low}..{most}\n")
            });
            let graph = match text::parse(&format!("{}{}", bounds.collect::<String>(), case.graph)) {
                Ok(graph) => graph,
                Err(error) => {
                    let message = error.to_string();
                    assert!(
                        message.contains("may be up to") || message.contains("--dim"),
                        "{} to {most}: {message}",
                        case.what
                    );
                    refused += 1;
                    continue;
                }
            };
            if let Err(error) = compiled(&graph, DeviceKind::Vulkan, PLAIN) {
                assert!(!error.is_internal(), "{} to {most}: {error}", case.what);
            }
        }
    }
    assert!(refused > 0, "two dims of 2^31 - 1 are more than 2^40 elements");
}

/// Sizes that exporters scale as floats: one compile each, and the data of onnxruntime at several sizes.
#[test]
fn sizes_scaled_as_floats_are_right_at_each_size() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/ops");
    let names = ["twice", "half_more", "halves", "seven_tenths", "list", "mask"];
    for name in names.map(|name| format!("free_sizes_{name}_as_floats")) {
        let model = folder.join(&name).to_string_lossy().into_owned();
        let dims = ["--dim", "height=1..40", "--dim", "width=1..33"];
        let words = [&["driftc", "verify", &model, "--target", "vulkan"][..], &dims].concat();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = driftc::execute_words(words, &mut driftc::Console::new(&mut out, &mut err));
        let [out, err] = [out, err].map(|text| String::from_utf8_lossy(&text).into_owned());
        assert!(
            code == 0 && out.contains("1 passed, 0 failed, 0 unsupported"),
            "{name}: {code}\n{out}\n{err}"
        );
    }
}

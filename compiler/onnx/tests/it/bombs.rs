//! Small files that ask for a lot: each place where the importer or inference works in proportion to a number in the file.
//! All end soon, in little memory, with an error that names the node or input.

use crate::build::{
    FLOAT, INT64, Model, bools, float_attribute, floats, function, graph_attribute, int, int64s, ints, model,
    node, raw, text, value_info, with,
};
use crate::memory::measured;
use drift_onnx::{ImportOptions, ModelSource, import};
use onnx_protobuf::{GraphProto, NodeProto};
use std::time::Duration;

/// What a file of a few kilobytes may take.
const MOST_BYTES: u64 = 200 << 20;
/// Three times as long without optimisation.
const LONGEST: Duration = Duration::from_secs(if cfg!(debug_assertions) { 3 } else { 1 });

/// Beyond every real size.
const HUGE: i64 = 1 << 62;

/// Imports a model under the limits and gives the error's text, empty where there is none.
fn outcome(what: &str, model: &Model) -> String {
    let (mut bytes, mut text) = (model.bytes(), String::new());
    let (time, peak) = measured(&mut || {
        text = match ModelSource::from_bytes("bomb", std::mem::take(&mut bytes)) {
            Ok(source) => import(&source, &ImportOptions::default())
                .map_or_else(|error| chain(&error), |_| String::new()),
            Err(error) => chain(&error),
        };
    });
    assert!(time < LONGEST, "{what}: {time:?}");
    assert!(peak < MOST_BYTES, "{what}: {peak} bytes");
    text
}

/// An error and its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Expects a refusal with all of `words` in it.
#[track_caller]
fn refused(model: &Model, words: &[&str]) {
    let what = words.join(", ");
    let text = outcome(&what, model);
    assert!(words.iter().all(|word| text.contains(word)), "{what}: `{text}`");
}

/// Expects that the limits hold, whatever comes of it.
#[track_caller]
fn survived(what: &str, model: &Model) {
    outcome(what, model);
}

fn over(dims: &[&str]) -> Model {
    model(18).input("x", dims)
}

/// One node of one input, with attributes.
fn one(op: &str, dims: &[&str], attributes: &[onnx_protobuf::AttributeProto]) -> Model {
    let node = attributes.iter().cloned().fold(node(op, &["x"], &["y"]), with);
    over(dims).node(node).output("y")
}

/// One node of an input and a list.
fn by_list(op: &str, dims: &[&str], list: &[i64]) -> Model {
    over(dims)
        .constant("list", int64s(&[list.len() as i64], list))
        .node(node(op, &["x", "list"], &["y"]))
        .output("y")
}

#[test]
fn sizes_of_inputs() {
    refused(&one("Relu", &["1099511627776", "4"], &[]), &["x", "too large"]);
    refused(&one("Relu", &["2147483648", "1"], &[]), &["x", "too large"]);
    refused(&one("Relu", &["0", "9223372036854775807", "9223372036854775807"], &[]), &["x", "too large"]);
    let conv = over(&["1", "3", "8", "8"]).input("w", &["68719476736", "3", "3", "3"]);
    refused(&conv.node(node("Conv", &["x", "w"], &["y"])).output("y"), &["w", "too large"]);
}

#[test]
fn windows() {
    let image = &["1", "1", "2147483647", "4"];
    let kernel = ints("kernel_shape", &[3, 3]);
    survived("pool over a long axis", &one("MaxPool", image, &[kernel.clone(), ints("pads", &[1, 1, 1, 1])]));
    let strange = [kernel.clone(), ints("dilations", &[1 << 30, 1]), ints("pads", &[1 << 30, 0, 1 << 30, 0])];
    survived("windows far apart", &one("MaxPool", &["1", "1", "64", "8"], &strange));
    let dilated = [kernel.clone(), ints("dilations", &[HUGE, 1])];
    refused(&one("AveragePool", &["1", "1", "64", "8"], &dilated), &["`y`"]);
    refused(
        &one("MaxPool", &["1", "1", "64", "8"], &[kernel, ints("strides", &[HUGE, 1])]),
        &["`y`", "strides"],
    );
    let wide = [ints("kernel_shape", &[1 << 31, 1 << 31]), ints("pads", &[1 << 30; 4])];
    refused(&one("AveragePool", &["1", "1", "64", "8"], &wide), &["`y`", "window"]);
    refused(&one("LpPool", &["1", "1", "64", "8"], &[ints("kernel_shape", &[HUGE, 1])]), &["`y`"]);
    for size in [4_294_967_297, i64::MAX] {
        refused(&one("LRN", &["1", "8", "4", "4"], &[int("size", size)]), &["`y`"]);
    }
    let filter = over(&["1", "1", "8", "8"]).input("w", &["1", "1", "1048576", "1048576"]);
    let pads = ints("pads", &[1 << 30; 4]);
    refused(&filter.node(with(node("Conv", &["x", "w"], &["y"]), pads)).output("y"), &["`y`", "window"]);
    let transposed = over(&["1", "1", "8", "8"]).constant("w", floats(&[1, 1, 1, 1], &[1.0]));
    let strides = ints("strides", &[HUGE, 1]);
    refused(
        &transposed.node(with(node("ConvTranspose", &["x", "w"], &["y"]), strides)).output("y"),
        &["`y`"],
    );
}

/// A causal mask is a band; one by the number of valid keys, which is data, is made of the positions of queries and keys.
#[test]
fn masks_of_long_sequences() {
    let causal = |operands: &[&str]| with(node("Attention", operands, &["y"]), int("is_causal", 1));
    let keys = &["1", "2", "2147483647", "8"];
    let over = || model(24).input("q", &["1", "2", "5", "8"]).input("k", keys).input("v", keys);
    survived("a causal mask", &over().node(causal(&["q", "k", "v"])).output("y"));
    let valid = over().typed_input("valid", crate::build::INT64, &["1"]);
    let masked = valid.node(causal(&["q", "k", "v", "", "", "", "valid"]));
    refused(&masked.output("y"), &["bytes of computed constants"]);
}

#[test]
fn sizes_given_by_lists() {
    refused(&by_list("Expand", &["1"], &[1 << 40]), &["`y`", "too large"]);
    refused(&by_list("Expand", &["1"], &[1 << 30, 1 << 30, 1 << 30]), &["`y`", "too large"]);
    refused(&by_list("Tile", &["2"], &[HUGE]), &["`y`"]);
    refused(&by_list("Tile", &["2", "2"], &[1 << 30, 1 << 30]), &["`y`", "too large"]);
    refused(&by_list("Pad", &["2"], &[HUGE, HUGE]), &["`y`"]);
    refused(&by_list("Pad", &["2"], &[1 << 40, 0]), &["`y`", "too large"]);
    refused(&by_list("Reshape", &["0"], &[1 << 40, 0]), &["`y`"]);
    survived("a long list of zeros", &by_list("Reshape", &["0"], &[0; 4096]));
    refused(&by_list("Reshape", &["2"], &[1; 5000]), &["`y`", "4096"]);
    refused(&by_list("Unsqueeze", &["2"], &(0..4000).collect::<Vec<_>>()), &["`y`", "axes"]);
    let constant = model(18).constant("s", int64s(&[2], &[1 << 31, 1 << 31]));
    refused(&constant.node(node("ConstantOfShape", &["s"], &["y"])).output("y"), &["`y`", "too large"]);
    let range = |limit: i64, delta: i64| {
        let model = model(18).constant("a", int64s(&[], &[0])).constant("b", int64s(&[], &[limit]));
        let model = model.constant("c", int64s(&[], &[delta]));
        model.node(node("Range", &["a", "b", "c"], &["y"])).output("y")
    };
    refused(&range(HUGE, 1), &["`y`", "too large"]);
    refused(&range(i64::MIN, -1), &["`y`"]);
    let floats_range = model(18).constant("a", floats(&[], &[0.0])).constant("b", floats(&[], &[1e30]));
    let floats_range = floats_range.constant("c", floats(&[], &[1e-30]));
    refused(&floats_range.node(node("Range", &["a", "b", "c"], &["y"])).output("y"), &["`y`"]);
    let one_hot = model(18).typed_input("x", INT64, &["4"]).constant("d", int64s(&[], &[HUGE]));
    let one_hot = one_hot.constant("v", floats(&[2], &[0.0, 1.0]));
    refused(&one_hot.node(node("OneHot", &["x", "d", "v"], &["y"])).output("y"), &["`y`", "too large"]);
    let top_k = over(&["4"]).constant("k", int64s(&[1], &[HUGE]));
    refused(&top_k.node(node("TopK", &["x", "k"], &["y", "i"])).output("y"), &["`y`"]);
    let split = over(&["6"]).constant("s", int64s(&[2], &[HUGE, HUGE]));
    refused(&split.node(node("Split", &["x", "s"], &["y", "z"])).output("y"), &["`y`"]);
    let blocks = one("DepthToSpace", &["1", "4", "2", "2"], &[int("blocksize", 1 << 40)]);
    refused(&blocks, &["`y`", "blocksize"]);
}

#[test]
fn resampling() {
    let resize = |op: &str, opset, list: onnx_protobuf::TensorProto, inputs: &[&str]| {
        let resize = with(node(op, inputs, &["y"]), text("mode", "linear"));
        model(opset).input("x", &["1", "1", "2", "1"]).constant("l", list).node(resize).output("y")
    };
    let sizes = int64s(&[4], &[1, 1, 1 << 38, 1]);
    refused(&resize("Resize", 18, sizes, &["x", "", "", "l"]), &["`y`"]);
    let sizes = int64s(&[4], &[1, 1, (1 << 31) - 1, 1]);
    refused(&resize("Resize", 18, sizes, &["x", "", "", "l"]), &["`y`", "resampled axis"]);
    for scale in [1e6, 1e18, f32::MAX] {
        let scales = floats(&[4], &[1.0, 1.0, scale, 1.0]);
        survived("resize by scales", &resize("Resize", 18, scales.clone(), &["x", "", "l"]));
        survived("upsample", &resize("Upsample", 9, scales, &["x", "l"]));
    }
}

#[test]
fn sequences() {
    let mut model = over(&["65536"]);
    for at in 0..10 {
        model = model.node(node("SplitToSequence", &["x"], &[&format!("s{at}")]));
    }
    refused(&model, &["`s0`", "at most 4096 sizes"]);
    let mut model = over(&["4096"]);
    for at in 0..200 {
        model = model.node(node("SplitToSequence", &["x"], &[&format!("s{at}")]));
    }
    refused(&model, &["(SplitToSequence)", "the limit"]);
    let mut model = over(&["4000"]).node(node("SplitToSequence", &["x"], &["s0"]));
    for at in 0..5000 {
        let (from, to) = (format!("s{at}"), format!("s{}", at + 1));
        model = model.node(node("SequenceInsert", &[&from, "x"], &[&to]));
    }
    refused(&model, &["(SequenceInsert)", "tensors in sequences"]);
    let parts = over(&["2", "6", "3", "2", "6", "3"]);
    let parts = parts.constant("row", floats(&[2, 3], &[0.0; 6]));
    let split = with(with(node("SplitToSequence", &["x"], &["s"]), int("axis", 1)), int("keepdims", 0));
    let joined = with(with(node("ConcatFromSequence", &["m"], &["y"]), int("axis", -1)), int("new_axis", 1));
    let parts = parts.node(split).node(node("SequenceInsert", &["s", "row", ""], &["m"])).node(joined);
    refused(&parts.output("y"), &["`y`", "ranks 5 and 2"]);
}

/// A call of a function of the model.
fn call(name: &str, input: &str, output: &str) -> NodeProto {
    let mut call = node(name, &[input], &[output]);
    call.domain = "local".to_owned();
    call
}

/// Functions `F0` to `F30`, each of which calls the next one twice; the last one has this body.
fn doubling(name: impl Fn(usize) -> String, last: Vec<NodeProto>) -> Model {
    let mut model = over(&["4"]).node(call(&name(0), "x", "y")).output("y");
    for level in 0..30 {
        let next = name(level + 1);
        let body = vec![call(&next, "a", "c"), call(&next, "c", "b")];
        model = model.function(function(&name(level), body));
    }
    model.function(function(&name(30), last))
}

#[test]
fn functions() {
    let short = |level: usize| format!("F{level}");
    let over_limit = "nodes after functions and loops are expanded";
    refused(&doubling(short, vec![node("Relu", &["a"], &["b"])]), &[over_limit]);
    let many: Vec<&str> = vec!["a"; 5000];
    let wide = with(node("Concat", &many, &["c"]), int("axis", 0));
    let cut = with(with(node("Slice", &["c"], &["b"]), ints("starts", &[0])), ints("ends", &[4]));
    survived("functions with many operands", &doubling(short, vec![wide, cut]));
    let mut relu = node("Relu", &["a"], &["b"]);
    relu.name = "n".repeat(20_000);
    refused(&doubling(short, vec![relu]), &["bytes of names"]);
    let mut missing = node("ImageDecoder", &["a"], &["b"]);
    missing.name = "n".repeat(20_000);
    refused(&doubling(short, vec![missing]), &["bytes of names"]);
    let values: Vec<i64> = vec![1; 4000];
    let constant = with(node("Constant", &[], &["c"]), ints("value_ints", &values));
    let body = vec![constant, node("Relu", &["a"], &["b"])];
    survived("functions with constants", &doubling(short, body));
}

fn looped(body: Vec<NodeProto>) -> NodeProto {
    let info = |name: &str| value_info(name, FLOAT, &[]);
    let graph = GraphProto {
        input: vec![info("i"), info("go"), info("v")],
        output: vec![info("go"), info("w")],
        node: body,
        ..GraphProto::default()
    };
    with(node("Loop", &["count", "", "x"], &["y"]), graph_attribute("body", graph))
}

fn around(rounds: i64, inner: NodeProto) -> Model {
    over(&["4"]).constant("count", int64s(&[], &[rounds])).node(inner).output("y")
}

#[test]
fn loops_and_branches() {
    let relu = || vec![node("Relu", &["v"], &["w"])];
    refused(&around(HUGE, looped(relu())), &["`y", "the limit"]);
    refused(&around(HUGE, looped(vec![node("Identity", &["v"], &["w"])])), &["`y", "the limit"]);
    let mut inner = looped(relu());
    inner.input[2] = "v".to_owned();
    inner.output[0] = "w".to_owned();
    refused(&around(3000, looped(vec![inner])), &["the limit"]);
    let grows = vec![with(node("Concat", &["v", "v"], &["w"]), int("axis", 0))];
    refused(&around(100, looped(grows)), &["too large"]);
    let mut branch = GraphProto {
        node: vec![node("Relu", &["x"], &["r"])],
        output: vec![value_info("r", FLOAT, &[])],
        ..GraphProto::default()
    };
    for _ in 0..25 {
        let both = ["then_branch", "else_branch"].map(|name| graph_attribute(name, branch.clone()));
        let mut choice = node("If", &["yes"], &["r"]);
        choice.attribute = both[..1].to_vec();
        branch = GraphProto { node: vec![choice], ..branch };
    }
    let mut model = over(&["4"]).constant("yes", bools(&[], &[true])).output("r");
    model.graph.node = branch.node;
    survived("branches within branches", &model);
}

#[test]
fn constants() {
    let mut model = over(&["4"]).constant("c0", floats(&[64], &[1.0; 64]));
    for at in 0..60 {
        let (from, to) = (format!("c{at}"), format!("c{}", at + 1));
        model = model.node(with(node("Concat", &[&from, &from], &[&to]), int("axis", 0)));
    }
    refused(&model.output("c60"), &["too large"]);
    let bytes = raw(3, &[65536], vec![1; 65536]);
    let mut model = over(&["4"]).constant("w", bytes).constant("s", floats(&[], &[1.0]));
    for at in 0..2000 {
        model = model.node(node("DequantizeLinear", &["w", "s"], &[&format!("d{at}")]));
    }
    refused(&model, &["(DequantizeLinear)", "bytes of computed constants"]);
    let mut dims = vec![1; 63];
    dims.push(65536);
    let mut model = over(&["4"]).constant("w", raw(3, &dims, vec![1; 65536]));
    for at in 0..2000 {
        model = model.node(node("NonZero", &["w"], &[&format!("d{at}")]));
    }
    refused(&model, &["(NonZero)", "bytes of computed constants"]);
    let mut model = over(&["16777216"]);
    for at in 0..200 {
        model = model.node(node("Hardmax", &["x"], &[&format!("d{at}")]));
    }
    refused(&model, &["(Hardmax)", "bytes of computed constants"]);
    let mut model = over(&["4"]).constant("a", floats(&[64, 64], &[0.5; 4096]));
    for at in 0..2000 {
        model = model.node(node("MatMul", &["a", "a"], &[&format!("d{at}")]));
    }
    survived("products of constants", &model);
    let wide = int64s(&[3], &[1, 1, 1]);
    let mut model = over(&["4"]).constant("s", wide);
    for at in 0..2000 {
        let fill = node("ConstantOfShape", &["s"], &[&format!("d{at}")]);
        model = model.node(fill);
    }
    survived("many constants", &model);
}

#[test]
fn texts_and_lists() {
    let letters = "i".repeat(1 << 20);
    for equation in [format!("{letters}->i"), format!("i->{letters}"), format!("{letters},{letters}->")] {
        refused(&one("Einsum", &["4"], &[text("equation", &equation)]), &["`y`"]);
    }
    let axes: Vec<i64> = (0..200_000).collect();
    let unsqueeze = with(node("Unsqueeze", &["x"], &["y"]), ints("axes", &axes));
    survived("many axes", &model(11).input("x", &["4"]).node(unsqueeze).output("y"));
    let alpha = with(node("Celu", &["x"], &["y"]), float_attribute("alpha", f32::MIN_POSITIVE));
    survived("a tiny factor", &over(&["4"]).node(alpha).output("y"));
}

#[test]
fn free_sizes_that_multiply() {
    let mut model = over(&["n"]).constant("flat", int64s(&[1], &[-1]));
    let mut from = "x".to_owned();
    for at in 0..70 {
        let [row, column, square, flat] = ["r", "c", "q", "f"].map(|name| format!("{name}{at}"));
        model = model
            .constant(&format!("z{at}"), int64s(&[1], &[0]))
            .constant(&format!("o{at}"), int64s(&[1], &[1]))
            .node(node("Unsqueeze", &[&from, &format!("z{at}")], &[&row]))
            .node(node("Unsqueeze", &[&from, &format!("o{at}")], &[&column]))
            .node(node("Mul", &[&row, &column], &[&square]))
            .node(node("Reshape", &[&square, "flat"], &[&flat]));
        from = flat;
    }
    survived("squares of free sizes", &model);
    let mut model = over(&["n"]);
    let mut from = "x".to_owned();
    for at in 0..70 {
        let to = format!("f{at}");
        model = model.node(with(node("Concat", &[&from, &from], &[&to]), int("axis", 0)));
        from = to;
    }
    survived("doubles of free sizes", &model);
}

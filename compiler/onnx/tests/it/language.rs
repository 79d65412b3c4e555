//! Operators of language models: forms that onnxruntime's CPU provider does not run are held against others that it does, and
//! what is refused is refused by name.

use crate::build::{INT64, Model, float_attribute, floats, int, int64s, ints, model, node, raw, text, with};
use drift_ir::{Graph, HostForm, Op, Tensor};
use drift_onnx::{ImportOptions, ModelSource, import};
use onnx_protobuf::{AttributeProto, NodeProto, TensorProto};

const UINT8: i32 = 2;
const INT32: i32 = 6;
const INT4: i32 = 22;

/// A node of ONNX Runtime's domain.
fn microsoft(op: &str, inputs: &[&str], outputs: &[&str], attributes: &[AttributeProto]) -> NodeProto {
    let plain = NodeProto { domain: "com.microsoft".to_owned(), ..node(op, inputs, outputs) };
    attributes.iter().cloned().fold(plain, with)
}

fn imported(model: &Model) -> Graph {
    let source = ModelSource::from_bytes("test", model.bytes()).unwrap();
    import(&source, &ImportOptions::default()).unwrap_or_else(|error| panic!("{error}")).graph
}

fn run(model: &Model, inputs: &[Tensor]) -> Vec<Vec<f32>> {
    let graph = imported(model);
    drift_ir::verify::verify(&graph).unwrap();
    drift_ir::eval::run(&graph, inputs).unwrap().iter().map(Tensor::to_f32_vec).collect()
}

/// Expects an error that says all of `expected`.
fn refused(model: &Model, expected: &[&str]) {
    let source = ModelSource::from_bytes("test", model.bytes()).unwrap();
    let text = import(&source, &ImportOptions::default()).expect_err("a refusal").to_string();
    for expected in expected {
        assert!(text.contains(expected), "{text:?} does not say {expected:?}");
    }
}

/// Numbers between -1 and 1 that look random.
fn numbers(shape: &[u64], seed: u64) -> Tensor {
    let count = shape.iter().product::<u64>();
    let number = |at: u64| ((at * 37 + seed * 101) % 89) as f32 / 44.0 - 1.0;
    Tensor::from_f32(shape.to_vec(), &(0..count).map(number).collect::<Vec<_>>()).unwrap()
}

fn int32s(dims: &[i64], values: &[i32]) -> TensorProto {
    raw(INT32, dims, values.iter().flat_map(|value| value.to_le_bytes()).collect())
}

/// `[batch, sequence, heads, size]` for each of several parts, as one tensor with the parts on axis 3.
fn packed(parts: &[&Tensor], [batch, sequence, heads, size]: [u64; 4]) -> Tensor {
    let values: Vec<Vec<f32>> = parts.iter().map(|part| part.to_f32_vec()).collect();
    let mut all = Vec::new();
    for head in 0..(batch * sequence * heads) as usize {
        for part in &values {
            all.extend(&part[head * size as usize..(head + 1) * size as usize]);
        }
    }
    Tensor::from_f32(vec![batch, sequence, heads, parts.len() as u64, size], &all).unwrap()
}

#[test]
fn packed_projections_are_those_apart() {
    let [q, k, v] = [1, 2, 3].map(|seed| numbers(&[2, 3, 8], seed));
    let heads = [int("num_heads", 2)];
    let bias = floats(&[24], &numbers(&[24], 4).to_f32_vec());
    let apart = model(20)
        .input("q", &["2", "3", "8"])
        .input("k", &["2", "3", "8"])
        .input("v", &["2", "3", "8"])
        .constant("b", bias.clone())
        .node(microsoft("MultiHeadAttention", &["q", "k", "v", "b"], &["y", "pk", "pv"], &heads))
        .output("y")
        .output("pk")
        .output("pv");
    let expected = run(&apart, &[q.clone(), k.clone(), v.clone()]);
    let all = model(20)
        .input("qkv", &["2", "3", "2", "3", "4"])
        .constant("b", bias.clone())
        .node(microsoft("MultiHeadAttention", &["qkv", "", "", "b"], &["y", "pk", "pv"], &heads))
        .output("y")
        .output("pk")
        .output("pv");
    assert_eq!(run(&all, &[packed(&[&q, &k, &v], [2, 3, 2, 4])]), expected);
    let two = model(20)
        .input("q", &["2", "3", "8"])
        .input("kv", &["2", "3", "2", "2", "4"])
        .constant("b", bias)
        .node(microsoft("MultiHeadAttention", &["q", "kv", "", "b"], &["y", "pk", "pv"], &heads))
        .output("y")
        .output("pk")
        .output("pv");
    assert_eq!(run(&two, &[q, packed(&[&k, &v], [2, 3, 2, 4])]), expected);
}

/// Grouped queries of 4 heads over 2 of 8 channels, one batch, behind a past of 2.
fn grouped(inputs: &[&str], attributes: &[AttributeProto]) -> Model {
    let heads = [int("num_heads", 4), int("kv_num_heads", 2)];
    model(20)
        .input("q", &["1", "3", "32"])
        .input("k", &["1", "3", "16"])
        .input("v", &["1", "3", "16"])
        .input("pk", &["1", "2", "2", "8"])
        .input("pv", &["1", "2", "2", "8"])
        .typed_input("lengths", INT32, &["1"])
        .constant("known", int32s(&[1], &[4]))
        .constant("total", int32s(&[], &[5]))
        .node(microsoft("GroupQueryAttention", inputs, &["y", "ok", "ov"], &[&heads, attributes].concat()))
        .output("y")
        .output("ok")
        .output("ov")
}

const GROUPED: [&str; 7] = ["q", "k", "v", "pk", "pv", "lengths", "total"];

fn grouped_inputs(length: i64) -> Vec<Tensor> {
    let shapes: [&[u64]; 5] = [&[1, 3, 32], &[1, 3, 16], &[1, 3, 16], &[1, 2, 2, 8], &[1, 2, 2, 8]];
    let mut inputs: Vec<Tensor> = shapes.iter().zip(1..).map(|(shape, seed)| numbers(shape, seed)).collect();
    inputs.push(Tensor::from_i64_as(drift_ir::ElementType::I32, [1], &[length]).unwrap());
    inputs
}

#[test]
fn heads_of_queries_and_keys_are_normalised_before_they_turn() {
    let (weights, table) = (numbers(&[8], 9).to_f32_vec(), numbers(&[5, 4], 7).to_f32_vec());
    let norms = |model: Model| {
        model
            .constant("wq", floats(&[8], &weights))
            .constant("wk", floats(&[8], &weights))
            .constant("cos", floats(&[5, 4], &table))
            .constant("sin", floats(&[5, 4], &table))
    };
    let rotary = int("do_rotary", 1);
    let names = [&GROUPED[..], &["cos", "sin", "", "", "", "", "", "wq", "wk"]].concat();
    let epsilons =
        [rotary.clone(), float_attribute("qk_norm_epsilon", 0.5), float_attribute("k_norm_epsilon", 0.25)];
    let fused = norms(grouped(&names, &epsilons));
    let mut composed =
        norms(grouped(&["qn", "kn", "v", "pk", "pv", "lengths", "total", "cos", "sin"], &[rotary]));
    for (x, shape, epsilon) in [("q", [1, 3, 4, 8], 0.5), ("k", [1, 3, 2, 8], 0.25)] {
        let [heads, norm, normal, joined] = ["heads", "norm", "n", "flat"].map(|part| format!("{x}{part}"));
        let rms = node("SimplifiedLayerNormalization", &[&heads, &format!("w{x}")], &[&norm]);
        composed = composed
            .constant(&format!("{x}s"), int64s(&[4], &shape))
            .constant(&joined, int64s(&[3], &[1, 3, shape[2] * 8]))
            .node(node("Reshape", &[x, &format!("{x}s")], &[&heads]))
            .node(with(rms, float_attribute("epsilon", epsilon)))
            .node(node("Reshape", &[&norm, &joined], &[&normal]));
    }
    for length in [2, 4] {
        let inputs = grouped_inputs(length);
        assert_eq!(run(&fused, &inputs), run(&composed, &inputs));
    }
}

/// The names of a graph's ops that attention has a part in.
fn ops(graph: &Graph) -> Vec<&'static str> {
    let names = graph.nodes().map(|node| graph.node(node).op.name());
    names.filter(|name| ["attention", "softmax", "matmul", "gather", "select"].contains(name)).collect()
}

#[test]
fn known_lengths_leave_a_band_and_no_gathers() {
    let known =
        imported(&grouped(&["q", "k", "v", "pk", "pv", "known", "total"], &[int("local_window_size", 2)]));
    assert_eq!(ops(&known), ["attention"]);
    let band = known.nodes().find_map(|node| match &known.node(node).op {
        Op::Attention(op) => Some(op.band),
        _ => None,
    });
    let expected = drift_ir::op::attention::Band { min_offset: Some(1), max_offset: Some(2) };
    assert_eq!(band, Some(expected));
    let data = imported(&grouped(&GROUPED, &[]));
    assert_eq!(ops(&data), ["select", "select", "gather", "select", "select", "gather", "attention"]);
}

#[test]
fn nan_of_a_query_stays_in_its_row() {
    let mut inputs = grouped_inputs(4);
    let mut q = inputs[0].to_f32_vec();
    q[32 + 9] = f32::NAN;
    inputs[0] = Tensor::from_f32([1, 3, 32], &q).unwrap();
    let y = &run(&grouped(&GROUPED, &[]), &inputs)[0];
    let is_of_the_head = |at: usize| (32 + 8..32 + 16).contains(&at);
    assert!(y.iter().enumerate().all(|(at, value)| value.is_nan() == is_of_the_head(at)), "{y:?}");
}

#[test]
fn forms_of_grouped_queries_are_refused_by_name() {
    let with_attribute = |attribute: AttributeProto| grouped(&GROUPED, &[attribute]);
    let name = "`y` (com.microsoft.GroupQueryAttention)";
    refused(&with_attribute(text("k_quant_type", "PER_TENSOR")), &[name, "`k_quant_type` PER_TENSOR"]);
    refused(&with_attribute(int("kv_cache_bit_width", 8)), &[name, "`kv_cache_bit_width` 8"]);
    refused(&with_attribute(int("sliding_window_cache", 1)), &[name, "`sliding_window_cache` 1"]);
    refused(&with_attribute(int("local_window_size", -2)), &[name, "`local_window_size` is -2"]);
    refused(&with_attribute(int("do_rotary", 1)), &[name, "operand 7 is missing"]);
    refused(&with_attribute(int("new", 1)), &[name, "attribute `new` is not known"]);
    let mut total = grouped(&["q", "k", "v", "pk", "pv", "lengths", "rows"], &[]);
    total = total.typed_input("rows", INT32, &[]);
    refused(&total, &[name, "`total_sequence_length` depends on data", "--bind"]);
    let long =
        grouped(&["q", "k", "v", "pk", "pv", "known", "rows"], &[]).constant("rows", int32s(&[], &[9]));
    refused(&long, &[name, "`total_sequence_length` is 9", "2 past and 3 new"]);
    let far = grouped(&["q", "k", "v", "pk", "pv", "far", "total"], &[]).constant("far", int32s(&[1], &[5]));
    refused(&far, &[name, "`seqlens_k` is 5, expected 2 to 4"]);
    let heads = model(20)
        .input("q", &["1", "3", "30"])
        .constant("one", int32s(&[1], &[2]))
        .constant("total", int32s(&[], &[3]))
        .node(microsoft(
            "GroupQueryAttention",
            &["q", "", "", "", "", "one", "total"],
            &["y"],
            &[int("num_heads", 4), int("kv_num_heads", 2)],
        ));
    refused(&heads, &[name, "divides the last axis, 30"]);
    let batches = model(20)
        .input("q", &["2", "3", "64"])
        .input("p", &["2", "2", "2", "8"])
        .constant("four", int32s(&[2], &[4, 4]))
        .constant("total", int32s(&[], &[5]))
        .node(microsoft(
            "GroupQueryAttention",
            &["q", "", "", "p", "p", "four", "total"],
            &["y"],
            &[int("num_heads", 4), int("kv_num_heads", 2)],
        ));
    refused(&batches, &[name, "a batch of 2 with 3 new tokens behind a past"]);
}

#[test]
fn forms_of_multi_head_attention_are_refused_by_name() {
    let over = |inputs: &[&str], outputs: &[&str], attribute: Option<AttributeProto>| {
        let attributes: Vec<AttributeProto> =
            [Some(int("num_heads", 2)), attribute].into_iter().flatten().collect();
        model(20)
            .input("q", &["2", "3", "8"])
            .input("k", &["2", "5", "8"])
            .typed_input("m", INT32, &["2", "4"])
            .node(microsoft("MultiHeadAttention", inputs, outputs, &attributes))
            .output("y")
    };
    let name = "`y` (com.microsoft.MultiHeadAttention)";
    refused(&over(&["q", "k", "k", "", "m"], &["y"], None), &[name, "a mask of [2, 4]"]);
    refused(&over(&["q", "k", "k"], &["y", "", "", "qk"], None), &[name, "result `qk`"]);
    refused(&over(&["q"], &["y"], None), &[name, "rank 3"]);
    let causal = over(&["q", "k", "k"], &["y"], Some(int("unidirectional", 1)));
    refused(&causal, &[name, "3 queries and 5 new keys"]);
    let shared = over(&["q", "k", "k", "", "", "", "", "", "m"], &["y"], None);
    refused(&shared, &[name, "`past_sequence_length`"]);
    let rotary = model(20)
        .input("x", &["1", "2", "6"])
        .constant("w", floats(&[6, 12], &[0.5; 72]))
        .node(microsoft("Attention", &["x", "w", ""], &["y"], &[int("num_heads", 2), int("do_rotary", 1)]));
    refused(&rotary, &["`y` (com.microsoft.Attention)", "`do_rotary` 1"]);
}

/// A product with 2 rows of 32 columns in 4 bits.
fn product(attributes: &[AttributeProto], inputs: &[&str]) -> Model {
    let sizes = [int("K", 32), int("N", 2), int("bits", 4), int("block_size", 16)];
    let kept = sizes.into_iter().filter(|size| attributes.iter().all(|other| other.name != size.name));
    let all: Vec<AttributeProto> = kept.chain(attributes.iter().cloned()).collect();
    model(20)
        .input("a", &["3", "32"])
        .typed_input("data", UINT8, &["2", "2", "8"])
        .constant("b", raw(UINT8, &[2, 2, 8], vec![0x5a; 32]))
        .constant("scales", floats(&[2, 2], &[0.5; 4]))
        .constant("zeros", raw(UINT8, &[2, 1], vec![0x21; 2]))
        .constant("groups", int32s(&[32], &[1; 32]))
        .constant("beyond", int32s(&[32], &[2; 32]))
        .node(microsoft("MatMulNBits", inputs, &["y"], &all))
        .output("y")
}

#[test]
fn forms_of_products_with_blocks_are_refused_by_name() {
    let (name, plain) = ("`y` (com.microsoft.MatMulNBits)", &["a", "b", "scales"]);
    imported(&product(&[], plain));
    refused(&product(&[int("bits", 3)], plain), &[name, "weights of 3 bits"]);
    refused(&product(&[int("block_size", 8)], plain), &[name, "`block_size` is 8"]);
    refused(&product(&[int("block_size", 24)], plain), &[name, "`block_size` is 24"]);
    refused(&product(&[int("weight_prepacked", 1)], plain), &[name, "`weight_prepacked` 1"]);
    refused(&product(&[int("N", -1)], plain), &[name, "`N` is -1"]);
    refused(&product(&[int("N", 1 << 30)], plain), &[name, "`B` is a tensor u8[2, 2, 8]"]);
    refused(&product(&[int("K", 31)], plain), &[name, "not `K`, 31"]);
    refused(&product(&[], &["a", "data", "scales"]), &[name, "`B` depends on data"]);
    refused(&product(&[], &["a", "b", "zeros"]), &[name, "`scales` is a tensor u8[2, 1]"]);
    refused(
        &product(&[], &["a", "b", "scales", "zeros", "groups"]),
        &[name, "`g_idx` with 4 bits or with packed"],
    );
    refused(&product(&[], &["a", "b", "scales", "", "beyond"]), &[name, "`g_idx` is 2"]);
}

#[test]
fn integers_of_four_bits_are_read_by_what_knows_their_range() {
    let four =
        || model(21).constant("x", raw(INT4, &[3], vec![0x7f, 0x08])).constant("s", floats(&[], &[1.0]));
    let floats_of = four().node(node("DequantizeLinear", &["x", "s"], &["y"])).output("y");
    assert_eq!(run(&floats_of, &[]), [[-1.0, 7.0, -8.0]]);
    refused(&four().node(node("Add", &["x", "x"], &["y"])).output("y"), &["`y` (Add)", "operand 0 is int4"]);
    let given = imported(&four().output("x"));
    assert_eq!(given.host_forms.get("x"), Some(&HostForm::I4));
    let cast = model(21).input("f", &["2"]).node(with(node("Cast", &["f"], &["y"]), int("to", INT4.into())));
    let cast = cast.output("y");
    // The low four bits.
    let numbers = Tensor::from_f32([2], &[8.0, -9.5]).unwrap();
    assert_eq!(drift_ir::eval::run(&imported(&cast), &[numbers]).unwrap()[0].to_i64_vec(), [-8, 7]);
    let moved =
        four().constant("shape", int64s(&[2], &[3, 1])).node(node("Reshape", &["x", "shape"], &["m"]));
    refused(&moved.node(node("Relu", &["m"], &["y"])).output("y"), &["`y` (Relu)", "operand 0 is int4"]);
    let listed = four().node(node("SequenceConstruct", &["x"], &["y"]));
    refused(&listed, &["`y` (SequenceConstruct)", "operand 0 is int4"]);
}

#[test]
fn positions_and_packed_batches_of_rotary_embeddings_are_checked() {
    let over = |positions: &[i64], attribute: AttributeProto| {
        model(20)
            .input("x", &["1", "2", "8"])
            .constant("ids", int64s(&[1, 2], positions))
            .constant("cache", floats(&[5, 4], &[0.5; 20]))
            .node(microsoft("RotaryEmbedding", &["x", "ids", "cache", "cache"], &["y"], &[attribute]))
            .output("y")
    };
    let name = "`y` (com.microsoft.RotaryEmbedding)";
    imported(&over(&[0, 4], int("interleaved", 0)));
    refused(&over(&[0, 5], int("interleaved", 0)), &[name, "`position_ids` is 5, expected 0 to 4"]);
    refused(&over(&[-1, 4], int("interleaved", 0)), &[name, "`position_ids` is -1"]);
    refused(&over(&[0, 4], int("is_packed_batching", 1)), &[name, "`is_packed_batching` 1"]);
    refused(&over(&[0, 4], int("rotary_embedding_dim", 8)), &[name, "`num_heads` is 0"]);
    let data = model(20).typed_input("ids", INT64, &["1"]).input("x", &["1", "n", "8"]);
    let free = data
        .constant("cache", floats(&[5, 4], &[0.5; 20]))
        .node(microsoft("RotaryEmbedding", &["x", "ids", "cache", "cache"], &["y"], &[]))
        .output("y");
    refused(&free, &[name, "a known sequence length; fix it with --dim"]);
    let sizes =
        model(20).input("x", &["1", "2", "6"]).constant("w", floats(&[6, 12], &[0.5; 72])).node(microsoft(
            "Attention",
            &["x", "w", ""],
            &["y"],
            &[int("num_heads", 2), ints("qkv_hidden_sizes", &[4, 4, 5])],
        ));
    refused(&sizes, &["`qkv_hidden_sizes` is [4, 4, 5]", "12 together"]);
}

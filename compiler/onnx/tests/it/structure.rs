//! What the importer makes of loops, doubles, diagonals, quantized constants and outputs that are listed twice.

use crate::build::{
    DOUBLE, INT8, Model, bools, floats, graph_attribute, int, int64s, model, node, raw, text, value_info,
    with,
};
use drift_ir::{ElementType, Graph, Tensor};
use drift_onnx::{ImportOptions, Imported, ModelSource, import};
use onnx_protobuf::{AttributeProto, GraphProto, NodeProto};

fn imported(model: &Model) -> Imported {
    import(&ModelSource::from_bytes("test", model.bytes()).unwrap(), &ImportOptions::default()).unwrap()
}

fn error_of(model: &Model) -> String {
    let source = ModelSource::from_bytes("test", model.bytes()).unwrap();
    import(&source, &ImportOptions::default()).unwrap_err().to_string()
}

/// The first output for one input.
fn run(graph: &Graph, x: &Tensor) -> Vec<f32> {
    drift_ir::eval::run(graph, std::slice::from_ref(x)).unwrap()[0].to_f32_vec()
}

fn names(graph: &Graph) -> Vec<&str> {
    graph.outputs().iter().map(|&output| graph.value(output).name.as_str()).collect()
}

/// `x -> x + round`, with a collected `x`; the condition is `condition`, or the one handed in.
fn body(condition: Option<&str>) -> AttributeProto {
    let info = |name: &str| value_info(name, 1, &[]);
    let mut add = with(node("Cast", &["round"], &["number"]), int("to", 1));
    add.name = "number".to_owned();
    let keep = node("Identity", &[condition.unwrap_or("go")], &["goes_on"]);
    let graph = GraphProto {
        input: vec![info("round"), info("go"), info("carried")],
        output: vec![info("goes_on"), info("next"), info("seen")],
        node: vec![
            add,
            node("Add", &["carried", "number"], &["next"]),
            node("Identity", &["carried"], &["seen"]),
            keep,
        ],
        ..GraphProto::default()
    };
    graph_attribute("body", graph)
}

fn looped(rounds: i64, condition: Option<&str>) -> Model {
    model(17)
        .input("x", &["2"])
        .constant("rounds", int64s(&[], &[rounds]))
        .constant("go", bools(&[], &[true]))
        .constant("stop", bools(&[], &[false]))
        .node(with(node("Loop", &["rounds", "go", "x"], &["y", "all"]), body(condition)))
        .output("y")
        .output("all")
}

#[test]
fn loops_with_a_constant_count_are_unrolled() {
    let graph = imported(&looped(4, None)).graph;
    let x = Tensor::from_f32([2], &[1.0, 2.0]).unwrap();
    let results = drift_ir::eval::run(&graph, &[x]).unwrap();
    assert_eq!(results[0].to_f32_vec(), [7.0, 8.0]);
    assert_eq!(results[1].shape(), [4, 2]);
    assert_eq!(results[1].to_f32_vec(), [1.0, 2.0, 1.0, 2.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(names(&graph), ["y", "all"]);
}

#[test]
fn loops_end_where_their_condition_is_a_constant_false() {
    let graph = imported(&looped(1_000_000_000, Some("stop"))).graph;
    assert_eq!(run(&graph, &Tensor::from_f32([2], &[1.0, 2.0]).unwrap()), [1.0, 2.0]);
}

#[test]
fn loops_over_data_are_refused_by_name() {
    let model = model(17)
        .input("x", &["2"])
        .typed_input("rounds", crate::build::INT64, &[])
        .node(with(node("Loop", &["rounds", "", "x"], &["y", "all"]), body(None)))
        .output("y");
    let text = error_of(&model);
    assert!(text.contains("`y` (Loop): how often it runs depends on data"), "{text}");
}

#[test]
fn a_loop_without_a_round_collects_nothing_of_the_declared_shape() {
    let graph = imported(&looped(0, None)).graph;
    let x = Tensor::from_f32([2], &[1.0, 2.0]).unwrap();
    let results = drift_ir::eval::run(&graph, &[x]).unwrap();
    assert_eq!(results[0].to_f32_vec(), [1.0, 2.0]);
    assert_eq!(results[1].shape(), [0]);
}

fn einsum(equation: &str, dims: &[&str]) -> Model {
    let einsum = with(node("Einsum", &["x"], &["y"]), text("equation", equation));
    model(17).input("x", dims).node(einsum).output("y")
}

#[test]
fn einsum_takes_diagonals() {
    let numbers: Vec<f32> = (0..27).map(|at| at as f32).collect();
    let cube = Tensor::from_f32([3, 3, 3], &numbers).unwrap();
    let square = Tensor::from_f32([3, 3], &numbers[..9]).unwrap();
    let of = |equation: &str, dims: &[&str], x: &Tensor| run(&imported(&einsum(equation, dims)).graph, x);
    assert_eq!(of("ii->i", &["3", "3"], &square), [0.0, 4.0, 8.0]);
    assert_eq!(of("ii", &["3", "3"], &square), [12.0]);
    assert_eq!(of("iii->i", &["3", "3", "3"], &cube), [0.0, 13.0, 26.0]);
    assert_eq!(of("iji->ji", &["3", "3", "3"], &cube), [0.0, 10.0, 20.0, 3.0, 13.0, 23.0, 6.0, 16.0, 26.0]);
    let text = error_of(&einsum("ii->i", &["3", "4"]));
    assert!(text.contains("a diagonal of 3 x 4 elements does not exist"), "{text}");
}

#[test]
fn an_output_listed_twice_is_two_outputs() {
    let model = model(17).input("x", &["2"]).node(node("Relu", &["x"], &["y"])).output("y").output("y");
    let graph = imported(&model).graph;
    assert_eq!(names(&graph), ["y", "y.1"]);
    let results = drift_ir::eval::run(&graph, &[Tensor::from_f32([2], &[-1.0, 2.0]).unwrap()]).unwrap();
    assert_eq!(results[0], results[1]);
}

/// `float(double(x) + k) + 1`, where `k` is computed from constants.
fn double_inside() -> Model {
    let doubles = |values: &[f64]| {
        raw(DOUBLE, &[values.len() as i64], values.iter().flat_map(|v| v.to_le_bytes()).collect())
    };
    model(17)
        .input("x", &["2"])
        .constant("large", doubles(&[1e16, 1e16]))
        .constant("one", doubles(&[1.0, 2.0]))
        .constant("float_one", floats(&[], &[1.0]))
        .node(with(node("Cast", &["x"], &["wide"]), int("to", 11)))
        .node(node("Add", &["large", "one"], &["sum"]))
        .node(node("Sub", &["sum", "large"], &["k"]))
        .node(node("Add", &["wide", "k"], &["moved"]))
        .node(with(node("Cast", &["moved"], &["narrow"]), int("to", 1)))
        .node(node("Add", &["narrow", "float_one"], &["y"]))
        .output("y")
}

#[test]
fn doubles_inside_are_floats_and_constants_are_folded_as_doubles() {
    let Imported { graph, warnings } = imported(&double_inside());
    // 1e16 + 2 is a double, and no float.
    assert_eq!(run(&graph, &Tensor::from_f32([2], &[0.5, 0.5]).unwrap()), [1.5, 3.5]);
    let computed = graph.nodes().flat_map(|node| graph.node(node).operands().collect::<Vec<_>>());
    for value in computed {
        assert_eq!(graph.value(value).ty.element, ElementType::F32);
    }
    let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings, ["these nodes compute in double in the file and in f32 here: `moved`"]);
}

#[test]
fn doubles_at_the_boundary_are_floats() {
    let model = model(17)
        .typed_input("x", DOUBLE, &["2"])
        .constant("c", raw(DOUBLE, &[], 2.0f64.to_le_bytes().to_vec()))
        .node(node("Mul", &["x", "c"], &["y"]))
        .output("y")
        .output("c");
    let Imported { graph, warnings } = imported(&model);
    let results = drift_ir::eval::run(&graph, &[Tensor::from_f32([2], &[1.0, 2.0]).unwrap()]).unwrap();
    assert_eq!((results[0].to_f32_vec(), results[1].to_f32_vec()), (vec![2.0, 4.0], vec![2.0]));
    assert!(results.iter().all(|result| result.element() == ElementType::F32));
    assert_eq!(warnings.len(), 2, "{warnings:?}");
}

fn bytes(dims: &[i64], values: &[i8]) -> onnx_protobuf::TensorProto {
    raw(INT8, dims, values.iter().map(|value| value.cast_unsigned()).collect())
}

/// Weights, their scale and zero point, and what the node says.
fn dequantized(shape: &[i64], scale: &[i64], attributes: Vec<AttributeProto>, is_constant: bool) -> Model {
    let count = |dims: &[i64]| dims.iter().product::<i64>() as usize;
    let weights: Vec<i8> = (0..count(shape)).map(|at| (at * 37 % 251) as i8).collect();
    let scales: Vec<f32> = (0..count(scale)).map(|at| 0.5 + at as f32).collect();
    let zeros: Vec<i8> = (0..count(scale)).map(|at| at as i8 - 1).collect();
    let mut dequantize: NodeProto = node("DequantizeLinear", &["w", "s", "z"], &["y"]);
    dequantize.attribute = attributes;
    let sizes: Vec<String> = shape.iter().map(ToString::to_string).collect();
    let sizes: Vec<&str> = sizes.iter().map(String::as_str).collect();
    let model = model(21).constant("s", floats(scale, &scales)).constant("z", bytes(scale, &zeros));
    let model = match is_constant {
        true => model.constant("w", bytes(shape, &weights)),
        false => model.typed_input("w", INT8, &sizes),
    };
    model.node(dequantize).output("y")
}

#[test]
fn constants_dequantize_as_data_do() {
    let along = |axis, block| vec![int("axis", axis), int("block_size", block)];
    let cases: [(&[i64], &[i64], Vec<AttributeProto>); 7] = [
        (&[2, 3], &[], Vec::new()),
        (&[2, 3], &[1], Vec::new()),
        (&[2, 3, 4], &[3], Vec::new()),
        (&[2, 3, 4], &[4], vec![int("axis", -1)]),
        (&[8], &[2], along(0, 4)),
        (&[2, 7, 3], &[2, 3, 3], along(1, 3)),
        (&[5, 4], &[2, 4], along(0, 3)),
    ];
    for (shape, scale, attributes) in cases {
        let constant = imported(&dequantized(shape, scale, attributes.clone(), true)).graph;
        let folded = &drift_ir::eval::run(&constant, &[]).unwrap()[0];
        let graph = imported(&dequantized(shape, scale, attributes, false)).graph;
        let count = shape.iter().product::<i64>() as usize;
        let data: Vec<i8> = (0..count).map(|at| (at * 37 % 251) as i8).collect();
        let sizes: Vec<u64> = shape.iter().map(|&size| size as u64).collect();
        let computed = &drift_ir::eval::run(&graph, &[Tensor::from_i8(sizes, &data).unwrap()]).unwrap()[0];
        assert_eq!(folded.ty(), computed.ty(), "{shape:?} by {scale:?}");
        assert_eq!(folded.bytes(), computed.bytes(), "{shape:?} by {scale:?}");
    }
}

#[test]
fn quantizing_rounds_half_to_even_and_saturates() {
    let model = model(21)
        .input("x", &["6"])
        .constant("s", floats(&[], &[2.0]))
        .constant("z", bytes(&[], &[10]))
        .node(node("QuantizeLinear", &["x", "s", "z"], &["y"]))
        .output("y");
    let graph = imported(&model).graph;
    let x = Tensor::from_f32([6], &[1.0, 3.0, 5.0, -1.0, 1e6, -1e6]).unwrap();
    let y = &drift_ir::eval::run(&graph, &[x]).unwrap()[0];
    assert_eq!((y.element(), y.to_i64_vec()), (ElementType::I8, vec![10, 12, 12, 10, 127, -128]));
}

#[test]
fn pads_that_cut_more_than_there_is_leave_the_constant() {
    for (pads, expected) in
        [([-6, 3], vec![7.0]), ([3, -6], vec![7.0]), ([-1, -1], vec![1.0, 2.0]), ([-4, 0], vec![])]
    {
        let model = model(18)
            .input("x", &["4"])
            .constant("p", int64s(&[2], &pads))
            .constant("v", floats(&[], &[7.0]))
            .node(node("Pad", &["x", "p", "v"], &["y"]))
            .output("y");
        let x = Tensor::from_f32([4], &[0.0, 1.0, 2.0, 3.0]).unwrap();
        assert_eq!(run(&imported(&model).graph, &x), expected, "{pads:?}");
    }
}

fn pad(mode: &str, dims: &[&str], pads: &[i64], value: f32) -> Model {
    model(19)
        .input("x", dims)
        .constant("p", int64s(&[pads.len() as i64], pads))
        .constant("v", floats(&[], &[value]))
        .node(with(node("Pad", &["x", "p", "v"], &["y"]), text("mode", mode)))
        .output("y")
}

#[test]
fn pads_mirror_single_elements_and_hold_any_constant() {
    let row = Tensor::from_f32([1, 2], &[1.0, 2.0]).unwrap();
    let mirrored = imported(&pad("reflect", &["1", "2"], &[1, 0, 1, 1], 0.0)).graph;
    assert_eq!(run(&mirrored, &row), [1.0, 2.0, 1.0, 1.0, 2.0, 1.0, 1.0, 2.0, 1.0]);
    let text = error_of(&pad("reflect", &["1", "2"], &[0, 2, 0, 0], 0.0));
    assert!(text.contains("`y` (Pad): axis 1 has 2 elements, too few to mirror 2"), "{text}");
    let nan = imported(&pad("constant", &["1", "2"], &[0, 1, 0, 0], f32::NAN)).graph;
    assert!(run(&nan, &row)[0].is_nan());
}

#[test]
fn casts_to_sixteen_bits_wrap_and_saturate() {
    let cast = |from: i32, to: i64| {
        let model = model(17).typed_input("x", from, &["5"]);
        model.node(with(node("Cast", &["x"], &["y"]), int("to", to))).output("y")
    };
    let longs = Tensor::from_i64([5], &[1, 70000, -1, 32768, -70000]).unwrap();
    let of = |to: i64, x: &Tensor, from: i32| {
        drift_ir::eval::run(&imported(&cast(from, to)).graph, std::slice::from_ref(x)).unwrap()[0]
            .to_i64_vec()
    };
    assert_eq!(of(4, &longs, crate::build::INT64), [1, 4464, 65535, 32768, 61072]);
    assert_eq!(of(5, &longs, crate::build::INT64), [1, 4464, -1, -32768, -4464]);
    let numbers = Tensor::from_f32([5], &[1.9, 70000.0, -1.5, f32::NAN, -70000.0]).unwrap();
    assert_eq!(of(4, &numbers, crate::build::FLOAT), [1, 65535, 0, 0, 0]);
    assert_eq!(of(5, &numbers, crate::build::FLOAT), [1, 32767, -1, 0, -32768]);
}

#[test]
fn bytes_are_pooled() {
    let pool = with(node("MaxPool", &["x"], &["y"]), crate::build::ints("kernel_shape", &[2]));
    let graph = imported(&model(12).typed_input("x", INT8, &["1", "1", "3"]).node(pool).output("y")).graph;
    let y = &drift_ir::eval::run(&graph, &[Tensor::from_i8([1, 1, 3], &[-128, -3, 7]).unwrap()]).unwrap()[0];
    assert_eq!((y.element(), y.to_i64_vec()), (ElementType::I8, vec![-3, 7]));
}

#[test]
fn transposed_convolutions_give_as_many_results_as_are_asked_for() {
    let weight = floats(&[1, 1, 2], &[1.0, 10.0]);
    let sizes = |asked: i64| {
        let node = with(node("ConvTranspose", &["x", "w"], &["y"]), crate::build::ints("strides", &[3]));
        let node = with(node, crate::build::ints("output_shape", &[asked]));
        let model =
            model(17).input("x", &["1", "1", "2"]).constant("w", weight.clone()).node(node).output("y");
        run(&imported(&model).graph, &Tensor::from_f32([1, 1, 2], &[1.0, 2.0]).unwrap())
    };
    assert_eq!(sizes(5), [1.0, 10.0, 0.0, 2.0, 20.0]);
    assert_eq!(sizes(7), [1.0, 10.0, 0.0, 2.0, 20.0, 0.0, 0.0]);
    assert_eq!(sizes(4).len(), 4);
}

#[test]
fn operator_set_6_broadcasts_from_an_axis() {
    let add = |attributes: &[(&str, i64)]| {
        let add = attributes
            .iter()
            .fold(node("Add", &["x", "b"], &["y"]), |add, (name, value)| with(add, int(name, *value)));
        model(6).input("x", &["2", "3"]).constant("b", floats(&[2], &[10.0, 20.0])).node(add).output("y")
    };
    let x = Tensor::from_f32([2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
    let graph = imported(&add(&[("broadcast", 1), ("axis", 0)])).graph;
    assert_eq!(run(&graph, &x), [11.0, 12.0, 13.0, 24.0, 25.0, 26.0]);
    assert!(error_of(&add(&[])).contains("different shapes need `broadcast`"));
    assert!(error_of(&add(&[("broadcast", 1), ("axis", 2)])).contains("axis 2"));
    let slopes = model(6)
        .input("x", &["2", "3"])
        .constant("s", floats(&[3], &[0.5, 2.0, 0.0]))
        .node(node("PRelu", &["x", "s"], &["y"]))
        .output("y");
    let negative = Tensor::from_f32([2, 3], &[-1.0, -1.0, -1.0, 2.0, -2.0, -2.0]).unwrap();
    assert_eq!(run(&imported(&slopes).graph, &negative), [-0.5, -2.0, 0.0, 2.0, -4.0, 0.0]);
    let dropped = model(6).input("x", &["2"]).node(node("Dropout", &["x"], &["y"])).output("y");
    assert!(error_of(&dropped).contains("`is_test` 1"));
    let old = model(6).input("x", &["2"]).node(node("LSTM", &["x", "x", "x"], &["y"])).output("y");
    assert!(error_of(&old).contains("before operator set 7"));
}

#[test]
fn an_item_is_inserted_before_the_one_that_a_negative_position_names() {
    let inserted = |position: i64| {
        let model = model(12)
            .input("x", &["1"])
            .constant("a", floats(&[1], &[1.0]))
            .constant("b", floats(&[1], &[2.0]))
            .constant("at", int64s(&[], &[position]))
            .node(node("SequenceConstruct", &["a", "b"], &["s"]))
            .node(node("SequenceInsert", &["s", "x", "at"], &["t"]))
            .node(with(node("ConcatFromSequence", &["t"], &["y"]), int("axis", 0)))
            .output("y");
        run(&imported(&model).graph, &Tensor::from_f32([1], &[9.0]).unwrap())
    };
    assert_eq!(inserted(-1), [1.0, 9.0, 2.0]);
    assert_eq!(inserted(-2), [9.0, 1.0, 2.0]);
    assert_eq!((inserted(0), inserted(2)), (vec![9.0, 1.0, 2.0], vec![1.0, 2.0, 9.0]));
}

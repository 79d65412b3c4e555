//! Round trips of every construct, and text that is not a graph.

use super::*;
use crate::dim::Dim;
use crate::graph::{EpilogueArg, Graph};
use crate::op::{BinaryOp, Epilogue, ScalarOp, Step, StepArg, UnaryOp};
use crate::tensor::{ElementType, Tensor, TensorType};
use crate::verify::verify;

/// Printing what was parsed gives the same text again, and the graph is sound.
fn round_trip(text: &str) -> String {
    let graph = parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    verify(&graph).unwrap();
    let printed = print(&graph);
    let again = parse(&printed).unwrap_or_else(|error| panic!("{error}\n{printed}"));
    assert_eq!(print(&again), printed);
    printed
}

fn fails(text: &str, line: usize, column: usize, message: &str) {
    let error = parse(text).unwrap_err();
    assert!(error.to_string().contains(message), "{error}");
    assert_eq!((error.line, error.column), (line, column), "{error}");
}

#[test]
fn canonical_text_prints_as_it_stands() {
    let text = "\
graph \"net\"
symbol batch: 1..8
symbol seq: 0..
%x: f32[batch,5,8,6]
%mask: bool[batch,1,1,1]
@w: f32[4,5,1,1] = splat(0.5)
@b: f32[4] = [1.0, -2.5, inf, nan]
@s: i64[] = -3
%1: f32[batch,4,8,6] = conv %x, @w {strides=[1,1], pads=[0,0,0,0], dilations=[1,1], groups=1} epilogue(relu; clip {min=0.0, max=6.0}) as \"conv1\" from [\"Conv_0\", \"Relu_1\"]
%\"a/b:0\": f32[batch,4,8,6] = select %mask, %1, %1
return %\"a/b:0\", @s
";
    assert_eq!(round_trip(text), text);
}

#[test]
fn every_op_round_trips() {
    for op in UnaryOp::ALL {
        let element = match op {
            UnaryOp::Not => "bool",
            UnaryOp::BitNot => "i32",
            _ => "f16",
        };
        round_trip(&format!("%x: {element}[2,3]\n%1 = {} %x\nreturn %1", op.name()));
    }
    for op in BinaryOp::ALL {
        let element = if op.is_logic() { "bool" } else { "i64" };
        let name = op.name();
        round_trip(&format!("%x: {element}[2,3]\n%y: {element}[3]\n%1 = {name} %x, %y\nreturn %1"));
    }
    let rest = [
        "clip %x {min=-1.5}",
        "cast %x {to=i8}",
        "matmul %x, @w",
        "matmul %x, @v {transpose_b=true}",
        "conv %x, @k",
        "conv %x, @k, @b {strides=[2], pads=[1,0], dilations=[1], groups=1}",
        "conv_transpose %x, @t",
        "conv_transpose %x, @t, @c {strides=[2], pads=[1,0], dilations=[1], output_padding=[1], groups=1}",
        "pool_max %x {kernel=[3]}",
        "pool_max %x {kernel=[3], strides=[2], pads=[1,0], dilations=[2], ceil=true}",
        "pool_average %x {kernel=[3], count_padding=true}",
        "pool_lp %x {kernel=[3], p=3}",
        "resize %x {axes=[2], sizes=[9]}",
        "resize %x {axes=[0,2], sizes=[2*n,9], scale_0=2.0, scale_2=1.8, mode=linear, coordinates=asymmetric}",
        "resize %x {axes=[2], sizes=[9], mode=nearest, nearest=ceil, coordinates=align_corners}",
        "resize %x {axes=[2], sizes=[9], mode=cubic, coefficient=-0.5, exclude_outside=true}",
        "resize %x {axes=[2], sizes=[9], start_2=-0.5, end_2=1.5, coordinates=tf_crop_and_resize, extrapolation=3.0}",
        "pad %x {pads=[0,1,0,2,0,3]}",
        "pad %x {pads=[0,1,0,2,0,3], value=-inf}",
        "pad_edge %x {pads=[0,1,0,2,0,3]}",
        "pad_reflect %x {pads=[0,1,0,2,0,3]}",
        "pad_wrap %x {pads=[0,1,0,2,0,3]}",
        "group_norm %x {groups=1, epsilon=1e-5}",
        "group_norm %x, @g, @g {groups=3, epsilon=0.1}",
        "reduce_sum %x {axes=[0,2]}",
        "reduce_mean %x {axes=[1], keep_dims=true}",
        "reduce_max %x {axes=[1]}",
        "reduce_min %x {axes=[1]}",
        "reduce_prod %x {axes=[]}",
        "reduce_l2 %x {axes=[0,1,2]}",
        "softmax %x {axis=1}",
        "layer_norm %x, @b {axis=2, epsilon=1e-5}",
        "layer_norm %x, @b, @b {axis=2, epsilon=0.0}",
        "rms_norm %x, @b {axis=2, epsilon=1e-6}",
        "rotary %x, @a, @a {turned=2, interleaved=true}",
        "reshape %x {shape=[n,15]}",
        "transpose %x {perm=[2,0,1]}",
        "expand %x {shape=[2,n,3,5]}",
        "concat %x, %x, %x {axis=0}",
        "slice %x {axes=[1,2], starts=[2,0], steps=[-1,2], counts=[3,3]}",
        "gather %x, @i {axis=2}",
        "gather_nd %x, @j",
        "arg_max %x {axis=1, last=true, keep_dims=true}",
        "arg_min %x {axis=0, last=false, keep_dims=false}",
        "top_k %x {k=2, largest=true}",
        "suppress @boxes, @scores, @flags, @most {k=2}",
        "cumsum %x {axis=1, exclusive=true, reverse=true}",
        "gather_elements @u, @q {axis=1}",
        "scatter_elements @u, @q, @e {axis=1, update=max}",
        "scatter_elements @u, @q, @e {axis=1}",
        "scatter_nd %x, @j, @u {update=add}",
        "gather_nd %x, @m {batch_dims=1}",
        "shape_of %x",
        "shape_of %x {start=1, end=2}",
        "range @zero, @nine, @two",
    ];
    for op in rest {
        let batch = if op.contains("batch_dims") { "2" } else { "n" };
        let text = format!(
            "%x: f32[{batch},3,5]\n@w: f32[5,4] = random(1)\n@v: f32[4,5] = random(2)\n@k: f32[5,3,2] = random(3)\n@t: f32[3,3,2] = random(3)\n@c: f32[3] = random(4)\n@g: f32[3] = random(5)\n\
             @a: f32[1,1,2] = random(6)\n@b: f32[5] = [1,2,3,4,5]\n@i: i64[2] = [0,-1]\n@j: i64[2,2] = [0,1,0,2]\n@m: i64[2,1] = [0,2]\n\
             @u: f32[2,5] = random(4)\n@e: f32[2,3] = random(5)\n@q: i64[2,3] = [0,1,2,4,3,-1]\n\
             @boxes: f32[1,3,4] = random(1)\n@scores: f32[1,2,3] = random(2)\n@flags: i32[1,2,3] = [1,0,1,1,1,1]\n@most: f32[] = 0.5\n\
             @zero: i64[] = 0\n@nine: i64[] = 9\n@two: i64[] = 2\n%1 = {op}\nreturn %1"
        );
        round_trip(&text);
    }
}

#[test]
fn every_element_prints_exactly() {
    let elements = [
        "f32[6] = [0.1, -0.0, 1e-45, inf, -inf, 0x7fc00001]",
        "f16[4] = [0.1, 65504.0, nan, 0x7e01]",
        "f64[3] = [0.1, 1e300, 0x7ff8000000000001]",
        "i64[2] = [-9223372036854775808, 9223372036854775807]",
        "i32[2] = [-2147483648, 7]",
        "i8[2] = [-128, 127]",
        "u8[2] = [0, 255]",
        "bool[3] = [true, false, 2]",
        "f32[0,3] = []",
        "i8[64] = random(9)",
        "u8[64] = random(9)",
        "bool[64] = random(9)",
        "f16[64] = random(9)",
        "f16[2,24] = blocks(bits=4, size=16, random=1, scales=f16, zeros=8)",
        "f32[2,2,9] = blocks(bits=2, size=4, random=2, scales=f32, zeros=numbers)",
        "f32[5,3] = turned_blocks(bits=8, size=2, random=3, scales=f16, zeros=f32)",
    ];
    for element in elements {
        round_trip(&format!("@c: {element}\nreturn @c"));
    }
    let bytes = |text: &str| {
        let graph = parse(text).unwrap();
        let constant = graph.constant(graph.outputs()[0]).unwrap();
        constant.bytes().clone()
    };
    let text = "@c: f32[3] = [nan, 0x7fc00001, 1e-45]\nreturn @c";
    assert_eq!(bytes(text), bytes(&print(&parse(text).unwrap())));
}

#[test]
fn sizes_are_expressions() {
    let printed = round_trip("%x: f32[2*s+1, floor_div(s+3,2), max(s, t-1), (s+t)*2, \"a b\"]\nreturn %x");
    assert!(printed.contains("symbol \"a b\": 0..\n"), "{printed}");
    assert!(printed.contains("f32[2*s+1,"), "{printed}");
    let same = parse("%x: f32[s+s]\n%y: f32[2*s]\n%1 = add %x, %y\nreturn %1");
    assert!(same.is_ok());
    let nested = format!("%x: f32[{}s{}]\nreturn %x", "(".repeat(50_000), ")".repeat(50_000));
    assert_eq!(print(&parse(&nested).unwrap()), "symbol s: 0..\n%x: f32[s]\nreturn %x\n");
}

#[test]
fn epilogues_name_steps_operands_and_constants() {
    let head = "%x: f32[2,3]\n%r: f32[3]\n@c: f32[] = 2.0\n";
    for epilogue in [
        "relu",
        "add %r; mul @c; relu",
        "sigmoid; mul result, step0",
        "sub 1.0, step0",
        "add %r; add %r",
        "greater 0.0; select step0, result, -1.0",
        "cast {to=f16}",
        "mul nan",
    ] {
        round_trip(&format!(
            "{head}%1 = neg %x epilogue({})\nreturn %1",
            epilogue.replace("sub 1.0, step0", "exp; sub 1.0, step0")
        ));
    }
    let listed =
        format!("{head}%1: f32[2,3] = neg %x epilogue[%r, @c](add operand1; mul operand0)\nreturn %1\n");
    assert!(round_trip(&listed).contains("epilogue[%r, @c](add operand1; mul operand0)"));
}

#[test]
fn a_built_graph_prints_what_was_built() {
    let mut graph = Graph::new("");
    let batch = Dim::symbol(graph.symbols.intern("n"));
    let ty = TensorType::new(ElementType::F32, [batch, Dim::Const(3)]);
    let x = graph.add_input("x", ty).unwrap();
    let node =
        graph.add_node("first", crate::Op::Elementwise(ScalarOp::Unary(UnaryOp::Neg)), &[x], ["y"]).unwrap();
    let add = ScalarOp::Binary(BinaryOp::Add);
    graph.push_epilogue(node, add, &[EpilogueArg::Value(x), EpilogueArg::Current]).unwrap();
    let y = graph.node(node).outputs[0];
    graph.set_outputs(&[y]).unwrap();
    let text = "symbol n: 0..\n%x: f32[n,3]\n%y: f32[n,3] = neg %x epilogue(add %x, result) as \"first\"\nreturn %y\n";
    assert_eq!(print(&graph), text);
    assert_eq!(round_trip(&print(&graph)), print(&graph));
}

#[test]
fn elided_constants_are_for_reading_only() {
    let mut graph = Graph::new("");
    let values: Vec<f32> = (0u8..10).map(f32::from).collect();
    let c = graph.add_constant("c", Tensor::from_f32([10], &values).unwrap()).unwrap();
    graph.set_outputs(&[c]).unwrap();
    let text = print_with(&graph, PrintOptions { elide_above: Some(4) });
    assert_eq!(text, "@c: f32[10] = ...\nreturn @c\n");
    assert!(parse(&text).is_err());
}

#[test]
fn errors_say_where_and_what() {
    fails("%x: f32[2]\n%1 = relu %y", 2, 11, "`y` is not defined above");
    fails("%x: f32[2]\n%1 = frob %x", 2, 6, "no op `frob`");
    fails("%x: f32[2]\n%1: f32[3] = relu %x", 2, 1, "f32[2], not f32[3]");
    fails("%x: f32[2]\n%1 = softmax %x", 2, 16, "`axis` is missing");
    fails("%x: f32[2]\n%1 = relu %x {slope=2}", 2, 15, "is not one of this op's");
    fails("%x: f32[2]\n%1 = relu @x", 2, 11, "`%x`, since it is no constant");
    fails("%x: f32[2]\n%x: f32[2]", 2, 1, "is taken");
    fails("%x: f33[2]", 1, 5, "element type");
    fails("@c: f32[2] = [1.0]", 1, 14, "2 elements, 1 are written");
    fails("@c: u8[1] = [256]", 1, 14, "no u8");
    fails("@c: f32[s] = [1.0]", 1, 5, "sizes to be known");
    fails("%x: f32[2-3]", 1, 9, "never negative");
    fails("%x: f32[2", 1, 10, "`]`");
    fails("%\"open", 1, 2, "closing quote");
    fails("%x: f32[2]\n%1 = matmul %x, %x", 2, 6, "at least 2 axes");
    fails("%x: f32[2]\nstate %x = %x", 2, 1, "not a graph output");
    fails("symbol s: 5..2", 1, 11, "bounded");
    fails("!", 1, 1, "a name, a number or a mark");
}

#[test]
fn hostile_text_is_an_error_and_never_a_crash() {
    let huge = "18446744073709551615";
    let texts = [
        format!("%x: f32[{huge}]"),
        "%x: f32[9223372036854775807,9223372036854775807]".to_owned(),
        "%x: f32[4611686018427387904]".to_owned(),
        "@c: f32[4611686018427387904,4] = splat(1.0)".to_owned(),
        "@c: f32[1000000000000] = random(1)".to_owned(),
        "@c: f32[9223372036854775807] = []".to_owned(),
        "%x: f32[1]\n%1 = expand %x {shape=[9223372036854775807,9]}".to_owned(),
        "%x: f32[1]\n%1 = neg %x epilogue(relu; add step7)".to_owned(),
        "%x: f32[1]\n%1 = neg %x epilogue(add operand3)".to_owned(),
        "%x: f32[1]\n%y: f32[2]\n%1 = neg %x epilogue(add %y)".to_owned(),
        "%x: f32[1]\n%1 = neg %x epilogue[%x](relu; relu".to_owned(),
        "%x: i64[1]\n%1 = neg %x epilogue(add 0.5)".to_owned(),
        "%x: f32[1]\n%1 = neg %x epilogue(select 1.0, result)".to_owned(),
        "%x: f32[floor_div(s,0)]".to_owned(),
        "%x: f32[max(1)]".to_owned(),
        "%x: f32[max(1,2,3)]".to_owned(),
        "%x: f32[1,2,3".to_owned(),
        "%x: f32[s*s*s*s*s*s*s*s*s*s*s*s*s*s*s*s*s*s]".to_owned(),
        format!("%x: f32[{}1]", "(".repeat(100_000)),
        format!("%x: f32[{}1]", "max(".repeat(100_000)),
        format!("%x: f32[{}1]", "1+".repeat(100_000)),
        "%x: f32[1,1,4]\n@w: f32[1,1,2] = [1,2]\n%1 = conv %x, @w {strides=[0]}".to_owned(),
        "%x: f32[1,1,4]\n@w: f32[1,1,2] = [1,2]\n%1 = conv %x, @w {groups=0}".to_owned(),
        "%x: f32[1,1,4]\n@w: f32[1,1,2] = [1,2]\n%1 = conv %x, @w {dilations=[9223372036854775807]}"
            .to_owned(),
        "%x: f32[1,1,4]\n@w: f32[1,1,2] = [1,2]\n%1 = conv %x, @w {pads=[9223372036854775807,1]}".to_owned(),
        "%x: f32[4]\n%1 = slice %x {axes=[0], starts=[9], counts=[1]}".to_owned(),
        "%x: f32[4]\n%1 = slice %x {axes=[0], starts=[3], steps=[-2], counts=[3]}".to_owned(),
        "%x: f32[4]\n%1 = slice %x {axes=[0,0], starts=[0,0], counts=[1,1]}".to_owned(),
        "%x: f32[4]\n%1 = transpose %x {perm=[1]}".to_owned(),
        "%x: f32[4]\n%1, %2 = relu %x".to_owned(),
        "%x: f32[4]\n%1, %1 = relu %x".to_owned(),
        "% = relu".to_owned(),
        "return %".to_owned(),
        "%\"\\u{d800}\": f32[1]".to_owned(),
        "graph".to_owned(),
    ];
    for text in texts {
        assert!(parse(&text).is_err(), "{}", &text[..text.len().min(80)]);
    }
}

#[test]
fn every_prefix_of_a_graph_parses_or_fails_in_peace() {
    let text = "symbol n: 1..4\n%x: f32[n,2*n]\n@c: f16[2] = [1.5, -0x3]\n%1: f32[n,2*n] = clip %x {min=-1.0} epilogue(add %x; mul 2.0) as \"k\" from [\"a\"]\nreturn %1\nstate %x = %1";
    for end in 0..text.len() {
        let _ = parse(&text[..end]);
    }
}

#[test]
fn operands_out_of_order_are_listed() {
    let mut graph = parse("%x: f32[2]\n%a: f32[2]\n%b: f32[2]\n%1 = neg %x\nreturn %1").unwrap();
    let node = graph.nodes().next().unwrap();
    let (a, b) = (graph.value_by_name("a").unwrap(), graph.value_by_name("b").unwrap());
    let step = |operand| Step {
        op: ScalarOp::Binary(BinaryOp::Add),
        args: vec![StepArg::Result, StepArg::Operand(operand)],
    };
    let epilogue = Epilogue { steps: vec![step(1), step(0)], operands: vec![b, a] };
    graph.set_epilogue(node, epilogue.clone()).unwrap();
    let again = parse(&print(&graph)).unwrap();
    let read = &again.node(again.nodes().next().unwrap()).epilogue;
    assert_eq!(read.steps, epilogue.steps);
    let names: Vec<&str> = read.operands.iter().map(|&value| again.value(value).name.as_str()).collect();
    assert_eq!(names, ["b", "a"]);
}

//! Edits keep order, types and names; known integers follow shape arithmetic.

use super::*;
use crate::dim::Dim;
use crate::op::data::{Concat, Gather, Reshape, ShapeOf, Transpose};
use crate::op::{BinaryOp, Epilogue, ScalarOp, Step, StepArg, UnaryOp};
use crate::tensor::ElementType;
use crate::text::{parse, print};
use crate::verify::{VerifyError, verify};

fn value(graph: &Graph, name: &str) -> ValueId {
    graph.value_by_name(name).unwrap()
}

fn node(graph: &Graph, result: &str) -> NodeId {
    graph.producer(value(graph, result)).unwrap()
}

fn unary(op: UnaryOp) -> Op {
    Op::Elementwise(ScalarOp::Unary(op))
}

#[test]
fn shape_arithmetic_of_exporters_stays_symbolic() {
    let mut graph = Graph::new("");
    let batch = Dim::symbol(graph.symbols.intern("batch"));
    let seq = Dim::symbol(graph.symbols.intern("seq"));
    let ty = TensorType::new(ElementType::F32, [batch.clone(), seq.clone(), Dim::Const(768)]);
    let x = graph.add_input("x", ty).unwrap();
    let zero = graph.add_constant("zero", Tensor::from_i64([1], &[0]).unwrap()).unwrap();
    let rest = graph.add_constant("rest", Tensor::from_i64([2], &[12, 64]).unwrap()).unwrap();
    let result = |graph: &Graph, node| graph.node(node).outputs[0];
    let shape = graph.add_node("shape", Op::ShapeOf(ShapeOf { start: 0, end: 3 }), &[x], ["shape"]).unwrap();
    let shape = result(&graph, shape);
    let gather = Op::Gather(Gather { axis: 0 });
    let first = graph.add_node("first", gather, &[shape, zero], ["first"]).unwrap();
    let first = result(&graph, first);
    let slice = parse("%s: i64[3]\n%1 = slice %s {axes=[0], starts=[1], counts=[1]}").unwrap();
    let slice = slice.node(slice.nodes().next().unwrap()).op.clone();
    let second = graph.add_node("second", slice, &[shape], ["second"]).unwrap();
    let second = result(&graph, second);
    let joined =
        graph.add_node("joined", Op::Concat(Concat { axis: 0 }), &[first, second, rest], ["joined"]).unwrap();
    let joined = result(&graph, joined);
    let wanted: Vec<Dim> =
        graph.known_ints(joined).unwrap().iter().map(|size| Dim::try_from(size.clone()).unwrap()).collect();
    assert_eq!(wanted, [batch, seq, Dim::Const(12), Dim::Const(64)]);
    let reshape = Op::Reshape(Reshape { shape: wanted });
    let heads = graph.add_node("heads", reshape, &[x], ["heads"]).unwrap();
    graph.set_outputs(&[result(&graph, heads)]).unwrap();
    verify(&graph).unwrap();

    let symbol = graph.symbols.find("seq").unwrap();
    graph.bind_symbol(symbol, 7).unwrap();
    verify(&graph).unwrap();
    assert_eq!(graph.known_ints(second), Some([IntExpr::Const(7)].as_slice()));
    let heads = graph.value(graph.outputs()[0]).ty.display(&graph.symbols).to_string();
    assert_eq!(heads, "f32[batch,7,12,64]");
    assert!(graph.bind_symbol(symbol, 8).is_err());
}

#[test]
fn arithmetic_on_known_integers_is_followed() {
    let graph = parse(
        "%x: f32[n,4]\n@two: i64[1] = [2]\n@one: i64[] = 1\n@zero: i64[] = 0\n%s = shape_of %x {start=0, end=1}\n%d = mul %s, @two\n\
         %e = sub %d, %s\n%q = div %d, @two\n%c = cast %q {to=i32}\n%k = reshape %s {shape=[]}\n%r = range @zero, %k, @one\n\
         %eq = equal %e, %s\nreturn %r",
    )
    .unwrap();
    let known = |name: &str| graph.known_ints(value(&graph, name)).unwrap()[0].clone();
    let n = Dim::symbol(graph.symbols.find("n").unwrap());
    assert_eq!(known("d"), n.mul(&Dim::Const(2)).unwrap().to_int().unwrap());
    for same in ["e", "q", "c", "k"] {
        assert_eq!(known(same), n.to_int().unwrap(), "{same}");
    }
    assert_eq!(known("eq"), IntExpr::Const(1));
    assert_eq!(graph.value(value(&graph, "r")).ty.shape, [n]);
}

#[test]
fn an_edit_changes_no_type_that_others_see() {
    let mut graph = parse(
        "%x: f32[2,3]\n%w: f32[2,1]\n@c: f32[2,3] = splat(1.0)\n%1 = neg %x\n%2 = relu %1\n%3 = add %w, @c\n%4 = abs %x\n\
         return %2, %3",
    )
    .unwrap();
    let before = print(&graph);
    let first = node(&graph, "1");
    let transpose = Op::Transpose(Transpose { perm: vec![1, 0] });
    let is_type_change = |result: Result<(), EditError>| {
        assert!(matches!(result, Err(EditError::TypeChanged { .. })), "{result:?}");
    };
    is_type_change(graph.set_op(first, transpose.clone()));
    is_type_change(graph.set_op_and_inputs(node(&graph, "2"), transpose.clone(), &[value(&graph, "1")]));
    is_type_change(graph.set_inputs(first, &[value(&graph, "w")]));
    is_type_change(graph.replace_uses(value(&graph, "c"), value(&graph, "w")));
    is_type_change(graph.replace_uses(value(&graph, "3"), value(&graph, "w")));
    let to_f16 = ScalarOp::Cast(ElementType::F16);
    is_type_change(graph.push_epilogue(first, to_f16, &[EpilogueArg::Current]));
    let error = graph.set_inputs(first, &[value(&graph, "2")]).unwrap_err();
    assert!(error.to_string().contains("before it is computed"), "{error}");
    assert_eq!(print(&graph), before);
    // Nobody sees this one.
    graph.set_op(node(&graph, "4"), transpose).unwrap();
    assert_eq!(graph.value(value(&graph, "4")).ty, TensorType::fixed(ElementType::F32, &[3, 2]));
    verify(&graph).unwrap();
}

#[test]
fn what_absorbs_its_only_user_takes_its_type() {
    let text = "%x: f32[2]\n%1 = neg %x\n%2 = cast %1 {to=f16}\n%3 = abs %2\nreturn %3";
    let cast = |to| Epilogue {
        steps: vec![Step { op: ScalarOp::Cast(to), args: vec![StepArg::Result] }],
        operands: Vec::new(),
    };
    let mut graph = parse(text).unwrap();
    let (producer, consumer) = (node(&graph, "1"), node(&graph, "2"));
    graph.absorb(producer, consumer, cast(ElementType::F16)).unwrap();
    verify(&graph).unwrap();
    assert_eq!(graph.value(value(&graph, "2")).ty, TensorType::fixed(ElementType::F16, &[2]));
    let mut graph = parse(text).unwrap();
    let refused = graph.absorb(producer, consumer, cast(ElementType::F64));
    assert!(matches!(refused, Err(EditError::TypeChanged { .. })), "{refused:?}");
    verify(&graph).unwrap();
}

#[test]
fn replaced_outputs_keep_their_names() {
    let mut graph = parse("%x: f32[2]\n%1 = neg %x\n%y = relu %1\nreturn %y").unwrap();
    let (inner, output) = (value(&graph, "1"), value(&graph, "y"));
    let relu = ScalarOp::Unary(UnaryOp::Relu);
    let first = graph.producer(inner).unwrap();
    graph.push_epilogue(first, relu, &[EpilogueArg::Current]).unwrap();
    let second = graph.producer(output).unwrap();
    graph.merge_origins(first, second);
    graph.replace_uses(output, inner).unwrap();
    graph.remove_node(second).unwrap();
    verify(&graph).unwrap();
    assert_eq!(
        print(&graph),
        "%x: f32[2]\n%y: f32[2] = neg %x epilogue(relu) as \"1\" from [\"1\", \"y\"]\nreturn %y\n"
    );
}

#[test]
fn an_output_that_would_become_an_input_stays() {
    let mut graph = parse("%x: f32[2]\n%y = reshape %x {shape=[2]}\n%z = neg %y\nreturn %y, %z").unwrap();
    graph.replace_uses(value(&graph, "y"), value(&graph, "x")).unwrap();
    verify(&graph).unwrap();
    assert_eq!(graph.node(node(&graph, "z")).inputs, [value(&graph, "x")]);
    assert_eq!(graph.outputs()[0], value(&graph, "y"));
}

#[test]
fn removal_spares_what_is_needed() {
    let mut graph = parse(
        "%x: f32[2]\n@a: f32[2] = [1,2]\n@b: f32[2] = [3,4]\n%1 = add %x, @a\n%2 = add %x, @b\n%3 = neg %2\nreturn %1",
    )
    .unwrap();
    let second = node(&graph, "2");
    assert!(matches!(graph.remove_node(second), Err(EditError::StillUsed { .. })));
    assert_eq!(graph.remove_dead(), 3);
    assert_eq!(graph.remove_dead(), 0);
    assert!(graph.get_node(second).is_none());
    let before = print(&graph);
    graph.compact();
    verify(&graph).unwrap();
    assert_eq!(print(&graph), before);
    assert_eq!(graph.node_capacity(), 1);
    assert_eq!(graph.value_capacity(), 3);
}

#[test]
fn nodes_go_where_they_are_put() {
    let mut graph = parse("%x: f32[2]\n%1 = neg %x\n%2 = abs %x\n%3 = add %1, %2\nreturn %3").unwrap();
    let (first, second, third) = (node(&graph, "1"), node(&graph, "2"), node(&graph, "3"));
    graph.move_before(first, third).unwrap();
    assert_eq!(graph.nodes().collect::<Vec<_>>(), [second, first, third]);
    assert!(matches!(graph.move_before(third, first), Err(EditError::Order { .. })));
    let x = value(&graph, "x");
    let early = graph.insert_node_before(second, "early", unary(UnaryOp::Exp), &[x], ["e"]).unwrap();
    let late = graph.insert_node_after(second, "early", unary(UnaryOp::Exp), &[x], ["l"]).unwrap();
    assert_eq!(graph.nodes().collect::<Vec<_>>(), [early, second, late, first, third]);
    assert_eq!(graph.node(late).name, "early_1");
    assert_eq!(graph.node(late).origins, ["early"]);
    let sum = value(&graph, "3");
    assert!(graph.insert_node_before(third, "bad", unary(UnaryOp::Exp), &[sum], ["b"]).is_err());
    verify(&graph).unwrap();
}

#[test]
fn names_are_unique() {
    let mut graph = parse("%x: f32[2]\n%1 = neg %x\nreturn %1").unwrap();
    let x = value(&graph, "x");
    let error = graph.add_node("n", unary(UnaryOp::Abs), &[x], ["1"]).unwrap_err();
    assert!(error.to_string().contains("taken"), "{error}");
    assert_eq!(graph.unique_name("1"), "1_1");
    assert!(graph.rename_value(x, "1").is_err());
    graph.rename_value(x, "image").unwrap();
    assert_eq!(graph.value_by_name("x"), None);
    assert!(graph.add_node("n", unary(UnaryOp::Abs), &[ValueId(99)], ["n"]).is_err());
    assert!(graph.add_node("n", unary(UnaryOp::Abs), &[x], Vec::<String>::new()).is_err());
    verify(&graph).unwrap();
}

#[test]
fn uses_are_listed_with_their_place() {
    let graph = parse("%x: f32[2]\n%1 = neg %x epilogue(add %x)\n%2 = mul %1, %1\nreturn %2").unwrap();
    let (first, second) = (node(&graph, "1"), node(&graph, "2"));
    let x = value(&graph, "x");
    assert_eq!(graph.users(x), [(first, Use::Input(0)), (first, Use::Epilogue(0))]);
    let uses = UseMap::new(&graph);
    assert_eq!(uses.of(x), graph.users(x));
    let inner = value(&graph, "1");
    assert_eq!(uses.of(inner), [(second, Use::Input(0)), (second, Use::Input(1))]);
    assert_eq!(uses.only_use(inner), None);
    assert!(uses.is_output(value(&graph, "2")));
}

#[test]
fn epilogue_operands_are_shared_and_checked() {
    let mut graph = parse("%x: f32[2,3]\n%r: f32[3]\n%big: f32[4,2,3]\n%1 = neg %x\nreturn %1").unwrap();
    let id = node(&graph, "1");
    let add = ScalarOp::Binary(BinaryOp::Add);
    let r = value(&graph, "r");
    for _ in 0..2 {
        graph.push_epilogue(id, add, &[EpilogueArg::Current, EpilogueArg::Value(r)]).unwrap();
    }
    assert_eq!(graph.node(id).epilogue.operands, [r]);
    let big = value(&graph, "big");
    let error = graph.push_epilogue(id, add, &[EpilogueArg::Current, EpilogueArg::Value(big)]);
    assert!(error.unwrap_err().to_string().contains("does not broadcast"));
    let one_arg = graph.push_epilogue(id, add, &[EpilogueArg::Current]);
    assert!(one_arg.is_err());
    assert_eq!(graph.node(id).operands().collect::<Vec<_>>(), [value(&graph, "x"), r]);
}

#[test]
fn states_pair_equal_types() {
    let mut graph = parse("%k: f32[2]\n%h: f16[2]\n%1 = neg %k\nreturn %1").unwrap();
    let (k, h, out) = (value(&graph, "k"), value(&graph, "h"), value(&graph, "1"));
    assert!(matches!(graph.add_state(h, out), Err(EditError::StatePair { .. })));
    graph.add_state(k, out).unwrap();
    assert!(graph.add_state(k, out).is_err());
    assert!(graph.set_outputs(&[]).is_err());
    verify(&graph).unwrap();
}

#[test]
fn a_state_of_two_types_is_found() {
    let text = "%x: f32[2,s]\n%y: f16[2,s]\n%1 = neg %x\n%2 = neg %y\nreturn %1, %2\nstate %x = %1";
    let mut graph = parse(text).unwrap();
    assert_eq!(verify(&graph), Ok(()));
    graph.states[0].input = value(&graph, "y");
    assert_eq!(verify(&graph), Err(VerifyError::State(0)));
}

#[test]
fn known_integers_do_not_leave_their_type() {
    let text = "@a: u8[1] = [1]\n@b: u8[1] = [255]\n%1 = sub @a, @b\n%2 = add @a, @a\n%3 = max %1, @a\nreturn %2, %3";
    let graph = parse(text).unwrap();
    assert_eq!(graph.known_ints(value(&graph, "1")), None);
    assert_eq!(graph.known_ints(value(&graph, "2")), Some(&[IntExpr::Const(2)][..]));
    assert_eq!(graph.known_ints(value(&graph, "3")), None);
}

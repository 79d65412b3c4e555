"""What exporters write around operators: sequences of known length, formulas as sizes, constants of all kinds."""
import numpy as np
from onnx import helper

F32, I64 = np.float32, np.int64


def cases(write, node, Rand):
    r = Rand("habits")
    x = [("x", r.f(2, 6, 3))]
    write("sequence_split_and_join", [
        node("SplitToSequence", ["x", "size"], ["parts"], axis=1),
        node("SequenceAt", ["parts", "first"], ["a"]),
        node("SequenceAt", ["parts", "last"], ["b"]),
        node("SequenceConstruct", ["b", "a"], ["swapped"]),
        node("ConcatFromSequence", ["swapped"], ["y"], axis=1)],
        x, ["y"], 13, [("size", I64(4)), ("first", I64(0)), ("last", I64(-1))])
    write("sequence_stack", [
        node("SplitToSequence", ["x"], ["parts"], axis=1, keepdims=0),
        node("SequenceErase", ["parts", "zero"], ["fewer"]),
        node("SequenceInsert", ["fewer", "row", "zero"], ["more"]),
        node("SequenceLength", ["more"], ["length"]),
        node("ConcatFromSequence", ["more"], ["y"], axis=-1, new_axis=1)],
        x, ["y", "length"], 11, [("zero", I64(0)), ("row", r.f(2, 3))])
    write("dims_by_formula", [
        node("Concat", ["past", "now"], ["all"], axis=1),
        node("Add", ["all", "mask"], ["y"])],
        [("past", r.f(1, 4, 2)), ("now", r.f(1, 3, 2)), ("mask", r.f(1, 7, 1))], ["y"], 13,
        free=[("past", 1, "past_sequence"), ("now", 1, "sequence"), ("mask", 1, "past_sequence + sequence")])
    write("constants_of_all_kinds", [
        node("Constant", [], ["a"], value_float=0.5),
        node("Constant", [], ["b"], value_floats=[1.0, 2.0, 3.0]),
        node("Constant", [], ["c"], value_int=2),
        node("Constant", [], ["d"], value_ints=[2, 3, 6]),
        node("Mul", ["x", "a"], ["xa"]),
        node("Add", ["xa", "b"], ["xab"]),
        node("Reshape", ["xab", "d"], ["moved"]),
        node("Gather", ["moved", "c"], ["y"], axis=2)],
        x, ["y"], 13)
    branch = [helper.make_graph([node("Reshape", ["x", shape], ["out"])], name, [],
                                [helper.make_empty_tensor_value_info("out")])
              for name, shape in (("same", "same"), ("other", "flat"))]
    write("if_on_rank", [
        node("Shape", ["x"], ["shape"]),
        node("Size", ["shape"], ["rank"]),
        node("Equal", ["rank", "three"], ["is_three"]),
        node("Not", ["is_three"], ["is_other"]),
        node("If", ["is_other"], ["y"], then_branch=branch[0], else_branch=branch[1])],
        x, ["y"], 14, [("three", I64(3)), ("same", np.array([0, 0, 0], I64)), ("flat", np.array([-1], I64))])

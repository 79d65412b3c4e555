"""`If` on conditions that are data."""
import numpy as np
from onnx import TensorProto, helper

F32, BOOL = np.float32, np.bool_


def cases(write, node, Rand):
    r = Rand("branches")

    def branch(nodes, outputs):
        return helper.make_graph(nodes, "branch", [], [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in outputs])

    def choice(flag, taken, other, outputs=("y",)):
        return node("If", [flag], list(outputs), name="choice", then_branch=taken, else_branch=other)

    def one(nodes):
        return branch(nodes, [nodes[-1].output[0]])

    taken = one([node("MatMul", ["x", "w"], ["p"]), node("Relu", ["p"], ["then_y"])])
    other = one([node("Softmax", ["x"], ["q"], axis=-1), node("Neg", ["q"], ["else_y"])])
    for name, flag in (("true", True), ("false", False)):
        write(f"if_on_data_{name}", [choice("flag", taken, other)],
              [("x", r.f(3, 6)), ("flag", np.array([flag], BOOL))], ["y"], 16, [("w", r.f(6, 6))])
    write("if_on_a_result", [
        node("ReduceMax", ["x"], ["most"], keepdims=0), node("GreaterOrEqual", ["most", "bound"], ["flag"]),
        choice("flag", branch([node("Exp", ["x"], ["a"]), node("Identity", ["most"], ["b"])], ["a", "b"]),
               branch([node("Identity", ["x"], ["c"]), node("Neg", ["most"], ["d"])], ["c", "d"]), ("y", "z"))],
        [("x", r.f(2, 5))], ["y", "z"], 16, [("bound", np.array(0.5, F32))])
    inner = one([choice("flag", one([node("Sqrt", ["x"], ["e"])]), one([node("Abs", ["x"], ["f"])]), ("inner_y",))])
    write("if_in_an_if_on_data", [choice("outer", inner, one([node("Log", ["x"], ["else_y"])]))],
          [("x", r.f(4, 3, low=-1)), ("flag", np.array(False)), ("outer", np.array(True))], ["y"], 13)

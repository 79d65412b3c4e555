"""`Scan` and `SequenceMap`: axes, directions, states, names of the graph around it."""
import numpy as np
from onnx import TensorProto, helper

F32 = np.float32


def cases(write, node, Rand):
    r = Rand("scans")

    def body(nodes, inputs, outputs, constants=()):
        info = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in [*inputs, *outputs]]
        return helper.make_graph(nodes, "body", info[:len(inputs)], info[len(inputs):], list(constants))

    running = body([node("Add", ["s", "x"], ["t"]), node("Mul", ["t", "x"], ["p"])], ["s", "x"], ["t", "p"])
    start = ("start", r.f(2, 3))
    for name, opset, attributes in [
            ("plain", 9, {}),
            ("backward", 11, {"scan_input_directions": [1]}),
            ("prepends", 16, {"scan_output_directions": [1]}),
            ("output_axis", 11, {"scan_output_axes": [1]}),
            ("output_axis_from_end", 11, {"scan_output_axes": [-1], "scan_input_directions": [1], "scan_output_directions": [1]})]:
        write(f"scan_{name}", [node("Scan", ["start", "x"], ["last", "all"], num_scan_inputs=1, body=running, **attributes)],
              [start, ("x", r.f(4, 2, 3))], ["last", "all"], opset)
    write("scan_input_axis", [
        node("Scan", ["start", "x"], ["last", "all"], num_scan_inputs=1, body=running, scan_input_axes=[-2])],
        [start, ("x", r.f(2, 5, 3))], ["last", "all"], 11)
    write("scan_one_round", [node("Scan", ["start", "x"], ["last", "all"], num_scan_inputs=1, body=running)],
          [start, ("x", r.f(1, 2, 3))], ["last", "all"], 11)
    both = body([node("MatMul", ["a", "w"], ["aw"]), node("Sub", ["aw", "b"], ["d"]), node("Max", ["m", "d"], ["n"]),
                 node("Neg", ["d"], ["e"])], ["m", "a", "b"], ["n", "d", "e"])
    write("scan_two_inputs_and_a_name_of_outside", [
        node("Scan", ["start", "a", "b"], ["most", "d", "e"], num_scan_inputs=2, body=both, scan_input_axes=[1, 0],
             scan_input_directions=[0, 1], scan_output_axes=[1, 0], scan_output_directions=[0, 1])],
        [start, ("a", r.f(2, 4, 5)), ("b", r.f(4, 2, 3)), ("w", r.f(5, 3))], ["most", "d", "e"], 16)
    write("scan_without_states", [
        node("Scan", ["x"], ["y"], num_scan_inputs=1, body=body([node("Softmax", ["a"], ["b"], axis=-1)], ["a"], ["b"]),
             scan_input_axes=[1], scan_output_axes=[1])],
        [("x", r.f(2, 3, 4))], ["y"], 13)
    pair = body([node("Mul", ["a", "b"], ["p"]), node("Add", ["p", "bias"], ["q"]), node("Neg", ["a"], ["n"])], ["a", "b", "bias"], ["q", "n"])
    write("sequencemap", [
        node("SplitToSequence", ["x"], ["xs"], axis=0), node("SplitToSequence", ["z"], ["zs"], axis=0),
        node("SequenceMap", ["xs", "zs", "bias"], ["qs", "ns"], body=pair),
        node("ConcatFromSequence", ["qs"], ["q"], axis=1), node("ConcatFromSequence", ["ns"], ["n"], axis=0)],
        [("x", r.f(3, 2, 4)), ("z", r.f(3, 2, 4)), ("bias", r.f(4))], ["q", "n"], 17)

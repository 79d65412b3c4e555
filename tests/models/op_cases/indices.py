"""Searches, running sums, reads and updates at indices, and operators that are made of such."""
import numpy as np
from onnx import TensorProto

F32, I64, I32, BOOL = np.float32, np.int64, np.int32, np.bool_


def i64(*values):
    return np.array(values, I64)


def cases(write, node, Rand):
    r = Rand("indices")

    def op(name, kind, args, opset, outputs=1, const=(), **attributes):
        names = ["" if v is None else f"x{j}" for j, v in enumerate(args)]
        out = [f"y{j}" for j in range(outputs)]
        pairs = [(n, np.asarray(v)) for n, v in zip(names, args) if n]
        stored = {f"x{j}" for j in const}
        write(name, [node(kind, names, out, name=f"{kind.lower()}_0", **attributes)],
              [p for p in pairs if p[0] not in stored], out, opset, [p for p in pairs if p[0] in stored])

    equals = np.array([[3, 5, 5, 1], [2, 2, 0, 2]], F32)
    op("arg_max_default", "ArgMax", [r.f(3, 5)], 7)
    op("arg_max_last_axis", "ArgMax", [r.f(2, 3, 5)], 11, axis=-1, keepdims=0)
    op("arg_max_first_of_equals", "ArgMax", [equals], 13, axis=1)
    op("arg_max_last_of_equals", "ArgMax", [equals], 12, axis=1, select_last_index=1)
    op("arg_min_i32", "ArgMin", [r.i(2, 3, 5, dtype=I32)], 13, axis=1, keepdims=0)
    op("arg_min_last_of_equals", "ArgMin", [equals], 13, axis=0, select_last_index=1)
    for exclusive in (0, 1):
        for reverse in (0, 1):
            op(f"cum_sum_exclusive_{exclusive}_reverse_{reverse}", "CumSum", [r.f(2, 3, 5), I64(1)], 14, const=[1],
               exclusive=exclusive, reverse=reverse)
    op("cum_sum_i64_last_axis", "CumSum", [r.i(2, 7), np.array(-1, I32)], 11, const=[1])
    op("top_k_attribute", "TopK", [r.f(3, 7)], 7, outputs=2, k=3)
    op("top_k_operand", "TopK", [r.f(3, 7), i64(4)], 10, outputs=2, const=[1])
    op("top_k_smallest_middle_axis", "TopK", [r.f(2, 7, 3), i64(2)], 11, outputs=2, const=[1], axis=1, largest=0)
    op("top_k_equals", "TopK", [equals, i64(3)], 11, outputs=2, const=[1])
    op("top_k_i64", "TopK", [r.i(2, 9), i64(5)], 11, outputs=2, const=[1], axis=-1)
    op("gather_elements", "GatherElements", [r.f(3, 5), r.i(2, 5, low=-3, high=3)], 13)
    op("gather_elements_smaller_beside_the_axis", "GatherElements", [r.f(3, 5, 4), r.i(2, 7, 3, low=-5, high=5)], 11, axis=1)
    rows = np.array([[0, -1, 1], [2, 0, -2]], I64)
    op("scatter_elements_opset_11", "ScatterElements", [r.f(3, 3), rows, r.f(2, 3)], 11)
    op("scatter_elements_last_axis", "ScatterElements", [r.f(2, 5), rows, r.f(2, 3)], 13, axis=-1)
    op("scatter_opset_9", "Scatter", [r.f(3, 3), np.abs(rows), r.f(2, 3)], 9)
    repeated = np.array([[1, 1, 0], [0, 0, 0]], I64)
    for reduction, opset in (("add", 16), ("mul", 16), ("max", 18), ("min", 18)):
        op(f"scatter_elements_{reduction}", "ScatterElements", [r.f(2, 5), repeated, r.f(2, 3)], opset, axis=1,
           reduction=reduction)
        op(f"scatter_nd_{reduction}", "ScatterND", [r.f(3, 5), i64([1], [1], [0]), r.f(3, 5)], opset,
           reduction=reduction)
    op("scatter_nd_rows", "ScatterND", [r.f(4, 3), i64([3], [-3]), r.f(2, 3)], 11)
    op("scatter_nd_tuples_known", "ScatterND", [r.f(2, 3, 4), i64([[0, 1]], [[1, -1]]), r.f(2, 1, 4)], 13, const=[1])
    op("scatter_nd_i64", "ScatterND", [r.i(6), i64([4], [0]), r.i(2)], 18)
    op("one_hot", "OneHot", [i64([0, 2], [-1, 7]), I64(4), np.array([0.5, 2], F32)], 11, const=[1, 2])
    op("one_hot_axis", "OneHot", [i64(1, 0, 2), i64(3), i64(-1, 1)], 11, const=[1, 2], axis=0)
    op("one_hot_of_floats", "OneHot", [np.array([1, 0, 5], F32), F32(3), np.array([0, 1], F32)], 9, const=[1, 2])
    op("tile", "Tile", [r.f(2, 3), i64(2, 3)], 13, const=[1])
    op("tile_some_axes", "Tile", [r.f(2, 1, 3), i64(1, 4, 2)], 7, const=[1])
    for upper in (0, 1):
        op(f"trilu_upper_{upper}", "Trilu", [r.f(2, 3, 5)], 14, upper=upper)
        op(f"trilu_upper_{upper}_k", "Trilu", [r.i(4, 3), I64(-1)], 14, const=[1], upper=upper)
    op("trilu_k_at_run_time", "Trilu", [r.f(3, 4), I64(1)], 14)
    op("eye_like", "EyeLike", [r.f(3, 4)], 9, k=1)
    op("eye_like_dtype", "EyeLike", [r.f(3, 3)], 9, k=-1, dtype=TensorProto.INT64)
    op("reverse_sequence_time_first", "ReverseSequence", [r.f(4, 3, 2), i64(4, 1, 3)], 10)
    op("reverse_sequence_batch_first", "ReverseSequence", [r.f(3, 4), i64(1, 4, 2)], 10, const=[1], batch_axis=0, time_axis=1)
    flags = np.array([1, 0, 1, 1], BOOL)
    op("compress_known", "Compress", [r.f(3, 4), flags], 11, const=[1], axis=1)
    op("compress_known_flat", "Compress", [r.f(3, 2), flags], 9, const=[1])
    write("non_zero_of_a_constant", [node("NonZero", ["mask"], ["places"]), node("Transpose", ["places"], ["tuples"]),
                                     node("GatherND", ["x", "tuples"], ["y"])],
          [("x", r.f(2, 3))], ["y"], 13, [("mask", np.array([[0, 1, 0], [2, 0, 3]], F32))])
    op("reduce_max_bool", "ReduceMax", [r.b(3, 4), i64(1)], 20, const=[1])
    op("reduce_min_bool", "ReduceMin", [r.b(3, 4), i64(0)], 20, const=[1], keepdims=0)
    x = ("x", r.f(2, 3, 6))
    free = [("x", 0, "batch"), ("x", 1, "length")]
    write("trilu_of_a_free_length", [
        node("MatMul", ["x", "turned"], ["scores"]), node("Trilu", ["scores"], ["y"], upper=0)],
        [x], ["y"], 14, [("turned", r.f(6, 6))], free=free)
    write("split_uneven_views", [
        node("Split", ["x"], ["a", "b"], axis=0, num_outputs=2), node("Relu", ["a"], ["y"]), node("Relu", ["b"], ["z"])],
        [("x", r.f(7, 64))], ["y", "z"], 18)

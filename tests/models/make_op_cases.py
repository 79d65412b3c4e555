#!/usr/bin/env python3
"""Writes ops/CASE/: one small model per ONNX operator form, with onnxruntime's outputs as the expectation.

Usage: python3 make_op_cases.py [OUT_DIR]     needs numpy, onnx and onnxruntime

Each case is a folder in the ONNX backend-test layout. Shapes are small and awkward on purpose: channel counts that are
no multiple of four, height other than width, batches of two, axes of size one. Values come from one seeded generator per
group of cases, so the output is the same at each run.
"""
import pathlib
import runpy
import shutil
import sys
import zlib

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

OUT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent / "ops")
F32, F16, F64, I64, I32, U8, BOOL = np.float32, np.float16, np.float64, np.int64, np.int32, np.uint8, np.bool_
INT64_MAX, INT64_MIN = np.iinfo(I64).max, np.iinfo(I64).min
written = []


def ir_version(opset):
    return 8 if opset <= 18 else 10


class Rand:
    """Values for one group of cases."""

    def __init__(self, name):
        self.rng = np.random.default_rng(zlib.crc32(name.encode()))

    def f(self, *shape, low=-2.0, high=2.0, dtype=F32):
        return self.rng.uniform(low, high, shape).astype(dtype)

    def i(self, *shape, low=-9, high=10, dtype=I64):
        return self.rng.integers(low, high, shape).astype(dtype)

    def b(self, *shape):
        return self.rng.integers(0, 2, shape).astype(BOOL)


def i64(*values):
    return np.array(values, I64)


def write(name, nodes, inputs, outputs, opset, constants=(), functions=(), extra_opsets=(), free=(), more=()):
    """One case. `inputs` and `constants` are (name, array) pairs, `free` the (input, axis, dim name) left open, `more` the inputs of
    further data sets."""
    assert name not in written and opset >= 7, name
    written.append(name)
    free = {(i, a): d for i, a, d in free}

    def declared(n, v):
        dims = [free.get((n, axis), size) for axis, size in enumerate(v.shape)]
        return helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(v.dtype), dims)

    graph = helper.make_graph(
        nodes, name, [declared(n, v) for n, v in inputs],
        [helper.make_empty_tensor_value_info(n) for n in outputs],
        [numpy_helper.from_array(v, n) for n, v in constants])
    opsets = [helper.make_opsetid("", opset), *extra_opsets]
    model = helper.make_model(graph, opset_imports=opsets, functions=list(functions), ir_version=ir_version(opset))
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    for value in graph.output:  # onnxruntime infers types itself, but the file should say them too
        value.CopyFrom(onnx.ValueInfoProto(name=value.name))
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    results = session.run(list(outputs), dict(inputs))
    for value, result in zip(graph.output, results):
        value.CopyFrom(helper.make_tensor_value_info(
            value.name, helper.np_dtype_to_tensor_dtype(result.dtype), [None] * result.ndim if free else result.shape))
    folder = OUT / name
    for k, given in enumerate([inputs, *more]):
        data = folder / f"test_data_set_{k}"
        data.mkdir(parents=True)
        found = results if k == 0 else session.run(list(outputs), dict(given))
        for kind, pairs in (("input", given), ("output", zip(outputs, found))):
            for j, (n, v) in enumerate(pairs):
                (data / f"{kind}_{j}.pb").write_bytes(numpy_helper.from_array(np.asarray(v), n).SerializeToString())
    (folder / "model.onnx").write_bytes(graph_bytes(model))


def graph_bytes(model):
    model.producer_name = "make_op_cases.py"
    return model.SerializeToString()


def op(name, kind, args, opset, outputs=1, const=(), **attributes):
    """A case of one node. `args` are arrays or None for an absent operand; those at indices in `const` are stored."""
    names = ["" if v is None else f"x{j}" for j, v in enumerate(args)]
    out = [f"y{j}" for j in range(outputs)]
    pairs = [(n, np.asarray(v)) for n, v in zip(names, args) if n]
    stored = {f"x{j}" for j in const}
    write(name, [helper.make_node(kind, names, out, name=f"{kind.lower()}_0", **attributes)],
          [p for p in pairs if p[0] not in stored], out, opset, [p for p in pairs if p[0] in stored])


def elementwise():
    for name, kind, opset in [("add", "Add", 7), ("sub", "Sub", 14), ("mul", "Mul", 13), ("div", "Div", 7)]:
        r = Rand(name)
        op(f"{name}_broadcasts_both_ways", kind, [r.f(2, 3, 1, 5), r.f(3, 4, 1)], opset)
    r = Rand("binary")
    op("add_i64", "Add", [r.i(2, 3), r.i(3)], 14)
    op("add_f16", "Add", [r.f(2, 5, dtype=F16), r.f(5, dtype=F16)], 14)
    op("sub_scalar", "Sub", [r.f(1, 1, 1, 1), r.f()], 7)
    op("mul_i32", "Mul", [r.i(2, 1, 5, dtype=I32), r.i(3, 1, dtype=I32)], 13)
    op("mul_of_nothing", "Mul", [r.f(0, 3), r.f(1, 3)], 13)
    op("div_i64_truncates", "Div", [i64(7, -7, 7, -7, 0, 1), i64(2, 2, -2, -2, 5, 3)], 13)
    op("pow_f32", "Pow", [r.f(2, 5, low=0.1, high=3.0), r.f(5)], 7)
    op("pow_of_negatives_by_i64", "Pow", [r.f(2, 3), i64(2, 3, 0)], 12)
    op("pow_square", "Pow", [r.f(2, 3), np.float32(2.0)], 15, const=[1])
    op("pow_i64", "Pow", [r.i(3, 2, low=-4, high=5), i64(3, 2)], 15)
    op("max_of_three", "Max", [r.f(2, 1, 5), r.f(3, 1), r.f(5)], 8)
    op("max_of_one", "Max", [r.f(2, 5)], 13)
    op("max_i64", "Max", [r.i(2, 5), i64(0)], 13)
    op("min_of_three", "Min", [r.f(2, 1, 5), r.f(3, 1), r.f(5)], 13)
    op("min_i32", "Min", [r.i(5, dtype=I32), r.i(5, dtype=I32)], 12)
    unary = [("Neg", 7, {}), ("Abs", 13, {}), ("Exp", 13, {}), ("Erf", 13, {}), ("Tanh", 13, {}), ("Sigmoid", 13, {}),
             ("Relu", 14, {}), ("Floor", 13, {}), ("Ceil", 13, {}), ("Sign", 13, {}), ("Sin", 7, {}), ("Cos", 7, {}),
             ("HardSwish", 14, {}), ("LeakyRelu", 16, {}), ("HardSigmoid", 7, {})]
    for kind, opset, attributes in unary:
        x = np.concatenate([r.f(9, low=-5, high=5), np.array([0, -0.0, 1, -1, 30, -30], F32)]).reshape(3, 5)
        op(kind.lower(), kind, [x], opset, **attributes)
    op("leakyrelu_steep", "LeakyRelu", [r.f(2, 5)], 7, alpha=1.5)
    op("hardsigmoid_attributes", "HardSigmoid", [r.f(2, 5)], 7, alpha=0.3, beta=0.6)
    op("sqrt", "Sqrt", [r.f(3, 5, low=0.0, high=100.0)], 13)
    op("log", "Log", [r.f(3, 5, low=1e-3, high=100.0)], 13)
    op("reciprocal", "Reciprocal", [r.f(3, 5, low=0.1)], 13)
    op("round_ties_to_even", "Round", [np.array([0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.4, -0.6, 7.0], F32)], 11)
    op("gelu_erf", "Gelu", [r.f(3, 5, low=-4, high=4)], 20)
    op("gelu_tanh", "Gelu", [r.f(3, 5, low=-4, high=4)], 20, approximate="tanh")
    op("neg_i64", "Neg", [r.i(2, 3)], 13)
    op("abs_i32", "Abs", [r.i(2, 3, dtype=I32)], 13)
    op("sign_i64", "Sign", [r.i(2, 3, low=-2, high=3)], 13)
    op("prelu", "PRelu", [r.f(2, 3, 5), r.f(3, 1)], 16)
    op("sum_of_three", "Sum", [r.f(2, 1, 5), r.f(3, 1), r.f(5)], 8)
    op("mean_of_three", "Mean", [r.f(2, 1, 5), r.f(3, 1), r.f(5)], 13)
    op("relu_f16", "Relu", [r.f(2, 5, dtype=F16)], 13)
    op("not", "Not", [r.b(2, 3)], 7)


def logic():
    r = Rand("logic")
    for kind in ("And", "Or", "Xor"):
        op(kind.lower(), kind, [r.b(2, 1, 5), r.b(3, 1)], 7)
    op("equal_i64", "Equal", [r.i(3, 5, low=0, high=3), r.i(5, low=0, high=3)], 7)
    op("equal_f32", "Equal", [r.f(5).round(), r.f(5).round()], 11)
    op("equal_bool", "Equal", [r.b(2, 5), r.b(5)], 13)
    op("less_f32", "Less", [r.f(2, 5), r.f(5)], 7)
    op("less_i64", "Less", [r.i(2, 5), r.i(5)], 9)
    op("less_or_equal_i64", "LessOrEqual", [r.i(2, 5, low=0, high=3), r.i(5, low=0, high=3)], 12)
    op("greater_f32", "Greater", [r.f(3, 1), r.f(5)], 9)
    op("greater_or_equal_i64", "GreaterOrEqual", [r.i(3, 1, low=0, high=3), r.i(5, low=0, high=3)], 16)
    op("where_broadcasts_all_three", "Where", [r.b(2, 1, 1), r.f(3, 1), r.f(5)], 9)
    op("where_i64", "Where", [r.b(5), r.i(5), i64(-1)], 16)
    op("clip_attributes", "Clip", [r.f(3, 5)], 7, min=-0.5, max=1.0)
    op("clip_attributes_only_max", "Clip", [r.f(3, 5)], 7, max=0.25)
    op("clip_relu6", "Clip", [r.f(3, 5, low=-9, high=9), F32(0), F32(6)], 13, const=[1, 2])
    op("clip_only_min", "Clip", [r.f(3, 5), F32(0.5)], 11, const=[1])
    op("clip_only_max", "Clip", [r.f(3, 5), None, F32(0.5)], 11, const=[2])
    op("clip_without_bounds", "Clip", [r.f(3, 5)], 13)
    op("clip_bounds_at_run_time", "Clip", [r.f(3, 5), F32(-0.3), F32(0.7)], 13)
    op("clip_i64", "Clip", [r.i(3, 5), I64(-2), I64(3)], 13, const=[1, 2])
    floats = np.array([0.0, 0.9, -0.9, 1.5, -1.5, 100.25, -3.0, 7.0], F32)
    casts = [("f32_to_i64", floats, TensorProto.INT64), ("f32_to_i32", floats, TensorProto.INT32),
             ("f32_to_bool", floats, TensorProto.BOOL), ("f32_to_f16", floats, TensorProto.FLOAT16),
             ("f32_to_u8", np.abs(floats), TensorProto.UINT8), ("f32_to_f64", floats, TensorProto.DOUBLE),
             ("f16_to_f32", floats.astype(F16), TensorProto.FLOAT), ("i64_to_f32", r.i(2, 3), TensorProto.FLOAT),
             ("i64_to_i32", r.i(2, 3), TensorProto.INT32), ("i64_to_bool", r.i(9, low=-1, high=2), TensorProto.BOOL),
             ("bool_to_f32", r.b(2, 3), TensorProto.FLOAT), ("bool_to_i64", r.b(2, 3), TensorProto.INT64),
             ("f32_to_f32", floats, TensorProto.FLOAT)]
    op("cast_like", "CastLike", [floats, i64(0)], 15)
    for name, x, to in casts:
        op(f"cast_{name}", "Cast", [x], 13, to=to)


def linear():
    r = Rand("linear")
    op("matmul_2d", "MatMul", [r.f(3, 5), r.f(5, 7)], 13)
    op("matmul_1x1", "MatMul", [r.f(1, 1), r.f(1, 1)], 13)
    op("matmul_broadcasts_batches", "MatMul", [r.f(2, 1, 3, 5), r.f(4, 5, 2)], 9)
    op("matmul_row_vector", "MatMul", [r.f(5), r.f(2, 5, 3)], 13)
    op("matmul_column_vector", "MatMul", [r.f(2, 3, 5), r.f(5)], 13)
    op("matmul_two_vectors", "MatMul", [r.f(5), r.f(5)], 13)
    op("matmul_i32", "MatMul", [r.i(2, 3, dtype=I32), r.i(3, 2, dtype=I32)], 13)
    op("gemm_plain", "Gemm", [r.f(3, 5), r.f(5, 7), r.f(7)], 13)
    op("gemm_without_c", "Gemm", [r.f(3, 5), r.f(5, 7)], 11)
    op("gemm_trans_b", "Gemm", [r.f(3, 5), r.f(7, 5), r.f(3, 7)], 13, const=[1, 2], transB=1)
    op("gemm_trans_a", "Gemm", [r.f(5, 3), r.f(5, 7), r.f(3, 1)], 9, transA=1)
    op("gemm_everything", "Gemm", [r.f(5, 3), r.f(7, 5), r.f(1)], 7, transA=1, transB=1, alpha=0.5, beta=-1.5)
    op("gemm_beta_zero", "Gemm", [r.f(3, 5), r.f(5, 7), r.f(7)], 13, beta=0.0)
    op("gemm_scalar_c", "Gemm", [r.f(3, 5), r.f(5, 7), r.f()], 13, alpha=2.0)

    def conv(name, x, w, bias=None, opset=11, **attributes):
        args = [x, w] if bias is None else [x, w, bias]
        op(f"conv_{name}", "Conv", args, opset, const=range(1, len(args)), **attributes)

    conv("1x1", r.f(2, 5, 4, 3), r.f(6, 5, 1, 1), r.f(6))
    conv("3x3_pads", r.f(1, 3, 5, 7), r.f(5, 3, 3, 3), r.f(5), pads=[1, 1, 1, 1], kernel_shape=[3, 3])
    conv("asymmetric", r.f(2, 3, 7, 6), r.f(5, 3, 3, 2), pads=[0, 1, 2, 3], strides=[2, 1])
    conv("dilated", r.f(1, 2, 9, 8), r.f(3, 2, 3, 3), dilations=[2, 3], pads=[2, 3, 2, 3])
    conv("groups", r.f(2, 6, 5, 4), r.f(9, 2, 3, 3), r.f(9), group=3, pads=[1, 1, 1, 1])
    conv("depthwise", r.f(1, 5, 6, 5), r.f(5, 1, 3, 3), r.f(5), group=5, strides=[2, 2], pads=[1, 1, 1, 1])
    conv("same_upper", r.f(1, 3, 6, 5), r.f(2, 3, 3, 4), auto_pad="SAME_UPPER", strides=[2, 2])
    conv("same_lower", r.f(1, 3, 6, 5), r.f(2, 3, 3, 4), auto_pad="SAME_LOWER", strides=[2, 3])
    conv("valid", r.f(1, 3, 6, 5), r.f(2, 3, 3, 2), auto_pad="VALID")
    conv("1d", r.f(2, 3, 9), r.f(4, 3, 3), r.f(4), pads=[1, 2], strides=[2])
    conv("3d", r.f(1, 2, 4, 3, 5), r.f(3, 2, 2, 1, 3), r.f(3), pads=[1, 0, 1, 0, 0, 1])
    op("conv_weights_at_run_time", "Conv", [r.f(1, 3, 4, 4), r.f(2, 3, 3, 3)], 11)


def reduce():
    r = Rand("reduce")
    x = (2, 3, 1, 5)
    op("reduce_mean_attr_axes", "ReduceMean", [r.f(*x)], 11, axes=[-1, 1])
    op("reduce_mean_input_axes", "ReduceMean", [r.f(*x), i64(-2, 0)], 18, const=[1], keepdims=0)
    op("reduce_mean_all", "ReduceMean", [r.f(*x)], 13, keepdims=0)
    op("reduce_sum_attr_axes", "ReduceSum", [r.f(*x)], 11, axes=[2, 3], keepdims=0)
    op("reduce_sum_input_axes", "ReduceSum", [r.f(*x), i64(1)], 13, const=[1])
    op("reduce_sum_noop", "ReduceSum", [r.f(*x)], 13, noop_with_empty_axes=1)
    op("reduce_sum_empty_axes", "ReduceSum", [r.f(*x), np.zeros(0, I64)], 13, const=[1])
    op("reduce_sum_i64", "ReduceSum", [r.i(2, 3), i64(0)], 13, const=[1], keepdims=0)
    op("reduce_max_attr_axes", "ReduceMax", [r.f(*x)], 12, axes=[3])
    op("reduce_max_input_axes", "ReduceMax", [r.f(*x), i64(1, 3)], 18, const=[1], keepdims=0)
    op("reduce_min", "ReduceMin", [r.f(*x)], 13, axes=[0, -1], keepdims=0)
    op("reduce_prod", "ReduceProd", [r.f(*x), i64(3)], 18, const=[1])
    op("reduce_l2", "ReduceL2", [r.f(*x), i64(-1)], 18, const=[1])
    op("reduce_l2_attr_axes", "ReduceL2", [r.f(*x)], 11, axes=[1], keepdims=0)
    op("reduce_l1", "ReduceL1", [r.f(*x), i64(1)], 18, const=[1])
    op("reduce_sum_square", "ReduceSumSquare", [r.f(*x)], 13, axes=[1, 3], keepdims=0)
    op("global_max_pool", "GlobalMaxPool", [r.f(2, 5, 3, 4)], 7)
    op("global_average_pool_2d", "GlobalAveragePool", [r.f(2, 5, 3, 4)], 7)
    op("global_average_pool_1d", "GlobalAveragePool", [r.f(2, 5, 7)], 7)
    op("global_average_pool_3d", "GlobalAveragePool", [r.f(1, 3, 2, 3, 4)], 7)
    op("softmax_coerced_default", "Softmax", [r.f(2, 3, 5)], 11)
    op("softmax_coerced_axis_0", "Softmax", [r.f(2, 3)], 7, axis=0)
    op("softmax_coerced_last", "Softmax", [r.f(2, 3, 5)], 11, axis=-1)
    op("softmax_last", "Softmax", [r.f(2, 3, 5, low=-50, high=50)], 13)
    op("softmax_middle", "Softmax", [r.f(2, 3, 5)], 13, axis=1)
    op("layer_norm", "LayerNormalization", [r.f(2, 3, 5), r.f(5), r.f(5)], 17, const=[1, 2])
    op("layer_norm_two_axes", "LayerNormalization", [r.f(2, 3, 5), r.f(3, 5), r.f(3, 5)], 17, axis=1, epsilon=1e-2)
    op("layer_norm_without_bias", "LayerNormalization", [r.f(2, 3, 5), r.f(5)], 17, const=[1], axis=-1)
    for opset in (9, 15):
        statistics = [r.f(5), r.f(5), r.f(5), r.f(5, low=0.1)]
        op(f"batch_norm_opset_{opset}", "BatchNormalization", [r.f(2, 5, 3, 4), *statistics], opset,
           const=[1, 2, 3, 4], epsilon=1e-3)
    op("batch_norm_1d", "BatchNormalization", [r.f(3, 5), r.f(5), r.f(5), r.f(5), r.f(5, low=0.1)], 14, const=[1, 2, 3, 4])
    op("batch_norm_at_run_time", "BatchNormalization", [r.f(2, 3, 4), r.f(3), r.f(3), r.f(3), r.f(3, low=0.1)], 15)


def shapes():
    r = Rand("shapes")
    op("reshape_infers", "Reshape", [r.f(2, 3, 4), i64(0, -1)], 13, const=[1])
    op("reshape_to_scalar", "Reshape", [r.f(1, 1), np.zeros(0, I64)], 13, const=[1])
    op("reshape_allowzero", "Reshape", [r.f(0, 3, 4), i64(3, 0, 2)], 14, const=[1], allowzero=1)
    for axis in (0, 1, 2, -1, 4):
        op(f"flatten_axis_{axis}".replace("-", "minus_"), "Flatten", [r.f(2, 3, 4, 5)], 13, axis=axis)
    op("transpose_default", "Transpose", [r.f(2, 3, 5)], 13)
    op("transpose_perm", "Transpose", [r.f(2, 3, 4, 5)], 13, perm=[0, 3, 1, 2])
    op("squeeze_attr_axes", "Squeeze", [r.f(1, 3, 1, 5)], 11, axes=[0, -2])
    op("squeeze_input_axes", "Squeeze", [r.f(1, 3, 1, 5), i64(-2)], 13, const=[1])
    op("squeeze_all", "Squeeze", [r.f(1, 3, 1, 5)], 13)
    op("unsqueeze_attr_axes", "Unsqueeze", [r.f(3, 5)], 11, axes=[0, 3])
    op("unsqueeze_input_axes", "Unsqueeze", [r.f(3, 5), i64(-1, 1)], 13, const=[1])
    op("expand", "Expand", [r.f(3, 1), i64(2, 1, 6)], 8, const=[1])
    op("expand_smaller_shape", "Expand", [r.f(2, 3, 4), i64(3, 1)], 13, const=[1])
    op("concat_three", "Concat", [r.f(2, 1, 5), r.f(2, 3, 5), r.f(2, 2, 5)], 13, axis=1)
    op("concat_negative_axis", "Concat", [r.i(2, 1), r.i(2, 3)], 13, axis=-1)
    op("concat_one", "Concat", [r.f(2, 3)], 7, axis=0)
    x = (4, 5, 6)
    op("slice_attributes", "Slice", [r.f(*x)], 9, starts=[1, -3], ends=[3, INT64_MAX], axes=[0, 2])
    op("slice_attributes_without_axes", "Slice", [r.f(*x)], 7, starts=[0, 1], ends=[2, -1])
    op("slice_steps", "Slice", [r.f(*x), i64(0, 1), i64(4, 100), i64(0, -1), i64(3, 2)], 13, const=[1, 2, 3, 4])
    op("slice_backwards", "Slice", [r.f(*x), i64(-1, 4), i64(INT64_MIN, 0), i64(1, 2), i64(-1, -2)], 11,
       const=[1, 2, 3, 4])
    op("slice_to_the_end", "Slice", [r.f(*x), i64(2), i64(INT64_MAX), i64(1)], 13, const=[1, 2, 3])
    op("slice_i32_indices", "Slice", [r.f(*x), np.array([-2], I32), np.array([9], I32)], 10, const=[1, 2])
    op("slice_to_nothing", "Slice", [r.f(*x), i64(3), i64(3), i64(0)], 13, const=[1, 2, 3])
    op("split_equal", "Split", [r.f(2, 6)], 11, outputs=3, axis=1)
    op("split_attr_sizes", "Split", [r.f(2, 6)], 11, outputs=2, axis=-1, split=[2, 4])
    op("split_input_sizes", "Split", [r.f(5, 3), i64(1, 0, 4)], 13, outputs=3, const=[1])
    op("split_num_outputs_uneven", "Split", [r.f(2, 7)], 18, outputs=3, axis=1, num_outputs=3)
    op("gather_rows", "Gather", [r.f(5, 3), i64(0, 4, -1, 2)], 13)
    op("gather_columns_2d", "Gather", [r.f(3, 5, 2), np.array([[0, -5], [4, 1]], I64)], 11, axis=1)
    op("gather_scalar_index", "Gather", [r.f(3, 5), i64(-1)[0]], 13, const=[1], axis=-1)
    op("gather_i32_indices", "Gather", [r.i(4), np.array([3, 3, 0], I32)], 13)
    op("gather_nd", "GatherND", [r.f(2, 3, 4), np.array([[1, 2], [0, -1]], I64)], 13)
    op("gather_nd_batch", "GatherND", [r.f(2, 3, 4), np.array([[2], [0]], I64)], 12, batch_dims=1)
    op("gather_nd_full_tuples", "GatherND", [r.f(2, 3), np.array([[[0, 0]], [[1, 2]]], I64)], 11)
    op("shape", "Shape", [r.f(2, 3, 5)], 13)
    op("shape_start_end", "Shape", [r.f(2, 3, 5, 7)], 15, start=-3, end=-1)
    op("size", "Size", [r.f(2, 3, 5)], 13)
    op("range_i64", "Range", [I64(3), I64(20), I64(4)], 11, const=[0, 1, 2])
    op("range_down", "Range", [I64(5), I64(-4), I64(-3)], 11, const=[0, 1, 2])
    op("range_f32", "Range", [F32(0.5), F32(3.0), F32(0.75)], 11, const=[0, 1, 2])
    op("range_empty", "Range", [I64(5), I64(5), I64(1)], 11, const=[0, 1, 2])
    op("constant_of_shape_default", "ConstantOfShape", [i64(2, 3)], 9, const=[0])
    op("constant_of_shape_i64", "ConstantOfShape", [i64(2, 1, 3)], 9, const=[0],
       value=helper.make_tensor("value", TensorProto.INT64, [1], [-7]))
    op("constant_of_shape_scalar", "ConstantOfShape", [np.zeros(0, I64)], 9, const=[0])
    op("identity", "Identity", [r.f(2, 3)], 13)
    op("dropout_opset_7", "Dropout", [r.f(2, 3)], 7, ratio=0.9)
    op("dropout_with_mask", "Dropout", [r.f(2, 3), F32(0.5)], 13, outputs=2, const=[1])
    op("constant_value", "Constant", [], 13, value=numpy_helper.from_array(r.f(2, 3)))
    op("constant_float", "Constant", [], 13, value_float=1.5)
    op("constant_floats", "Constant", [], 13, value_floats=[1.5, -2.5])
    op("constant_int", "Constant", [], 13, value_int=-3)
    op("constant_ints", "Constant", [], 13, value_ints=[1, INT64_MAX])


def graphs():
    """Several nodes: shape arithmetic over free dimensions, branches, functions, names that stand for one value."""
    r, node = Rand("graphs"), helper.make_node
    x = ("x", r.f(2, 3, 6))
    free = [("x", 0, "batch"), ("x", 1, "length")]
    write("split_heads_by_shape_arithmetic", [
        node("Shape", ["x"], ["shape"]), node("Gather", ["shape", "zero"], ["batch"]),
        node("Gather", ["shape", "one"], ["length"]), node("Unsqueeze", ["batch", "axis"], ["batch_1"]),
        node("Unsqueeze", ["length", "axis"], ["length_1"]),
        node("Concat", ["batch_1", "length_1", "heads"], ["target"], axis=0),
        node("Reshape", ["x", "target"], ["split"]), node("Transpose", ["split"], ["y"], perm=[0, 2, 1, 3])],
        [x], ["y"], 13,
        [("zero", I64(0)), ("one", I64(1)), ("axis", i64(0)), ("heads", i64(2, -1))], free=free)
    write("range_over_a_free_dimension", [
        node("Shape", ["x"], ["shape"], start=1, end=2), node("Squeeze", ["shape"], ["length"]),
        node("Range", ["zero", "length", "one"], ["positions"]),
        node("Cast", ["positions"], ["as_float"], to=TensorProto.FLOAT),
        node("Unsqueeze", ["as_float", "last"], ["column"]), node("Add", ["x", "column"], ["y"])],
        [x], ["y"], 15, [("zero", I64(0)), ("one", I64(1)), ("last", i64(-1))], free=free)
    write("expand_and_slice_by_a_free_dimension", [
        node("Shape", ["x"], ["length"], start=1, end=2), node("Slice", ["table", "from", "length"], ["rows"]),
        node("Concat", ["from_two", "length", "minus_one"], ["target"], axis=0),
        node("Shape", ["x"], ["full"]), node("Expand", ["rows", "full"], ["wide"]),
        node("Sub", ["x", "wide"], ["shifted"]), node("Reshape", ["shifted", "target"], ["y"])],
        [x], ["y"], 15, [("table", r.f(8, 6)), ("from", i64(0)), ("from_two", i64(0)), ("minus_one", i64(-1))],
        free=free)
    write("mask_made_of_shapes", [
        node("Shape", ["x"], ["shape"], end=2), node("ConstantOfShape", ["shape"], ["zeros"]),
        node("Shape", ["x"], ["features"], start=-1), node("Cast", ["features"], ["width"], to=TensorProto.FLOAT),
        node("Add", ["zeros", "width"], ["filled"]), node("Unsqueeze", ["filled", "last"], ["column"]),
        node("Mul", ["x", "column"], ["y"])],
        [x], ["y"], 15, [("last", i64(-1))], free=free)
    write("last_position_of_a_free_length", [
        node("Slice", ["x", "minus_one", "far", "one"], ["last"]), node("Squeeze", ["last", "one"], ["y"])],
        [x], ["y"], 13, [("minus_one", i64(-1)), ("far", i64(INT64_MAX)), ("one", i64(1))], free=free)
    write("all_but_the_last_of_a_free_length", [node("Slice", ["x", "from", "to", "axis"], ["y"])],
          [x], ["y"], 13, [("from", i64(1)), ("to", i64(-1)), ("axis", i64(1))], free=free)
    write("one_value_with_three_names", [
        node("Relu", ["x"], ["a"]), node("Identity", ["a"], ["b"]), node("Identity", ["b"], ["c"])],
        [x], ["a", "b", "c"], 13)
    write("outputs_that_are_inputs_and_constants", [
        node("Identity", ["x"], ["y"]), node("Constant", [], ["z"], value_ints=[3, 4])], [x], ["y", "z"], 13)
    branch = [helper.make_graph([node("Neg", ["x"], ["inner"])], "negate", [],
                                [helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)]),
              helper.make_graph([node("Exp", ["x"], ["inner"])], "exponential", [],
                                [helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)])]
    write("if_with_a_constant_condition", [
        node("Constant", [], ["flag"], value=numpy_helper.from_array(np.array(False))),
        node("If", ["flag"], ["y"], then_branch=branch[0], else_branch=branch[1])], [x], ["y"], 13)
    write("if_over_a_shape", [
        node("Shape", ["x"], ["shape"]), node("Gather", ["shape", "two"], ["width"]),
        node("Equal", ["width", "six"], ["flag"]),
        node("If", ["flag"], ["y"], then_branch=branch[0], else_branch=branch[1])],
        [x], ["y"], 13, [("two", I64(2)), ("six", I64(6))])
    scale = node("Mul", ["a", "factor"], ["scaled"])
    factor = node("Constant", [], ["factor"])
    reference = onnx.AttributeProto(name="value_float", ref_attr_name="by", type=onnx.AttributeProto.FLOAT)
    factor.attribute.append(reference)
    opset = helper.make_opsetid("", 18)
    inner = helper.make_function("local", "Scale", ["a"], ["scaled"], [factor, scale], [opset], ["by"])
    outer = helper.make_function(
        "local", "ScaleTwice", ["a"], ["b"],
        [node("Scale", ["a"], ["once"], domain="local", by=2.0), node("Scale", ["once"], ["b"], domain="local", by=-0.5)],
        [opset, helper.make_opsetid("local", 1)])
    write("functions_within_functions", [
        node("ScaleTwice", ["x"], ["first"], domain="local"), node("ScaleTwice", ["first"], ["y"], domain="local")],
        [x], ["y"], 18, functions=[inner, outer], extra_opsets=[helper.make_opsetid("local", 1)])


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    for family in (elementwise, logic, linear, reduce, shapes, graphs):
        family()
    for path in sorted((pathlib.Path(__file__).parent / "op_cases").glob("*.py")):
        runpy.run_path(str(path))["cases"](write, helper.make_node, Rand)
    size = sum(f.stat().st_size for f in OUT.rglob("*") if f.is_file())
    print(f"{len(written)} cases, {size} bytes")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Writes models of many small nodes, by which compile time is measured (docs/performance.md).

Usage: python3 make_long_models.py FORM NODES OUT.onnx     needs numpy and onnx

FORM is one of
  chain     unary functions and softmaxes in turn on [1, 16]
  blocks    product with a weight of its own, bias, softmax and residual, one block after the other
  side      a third as many scaled softmaxes of one input, each with a scale of its own, added up in pairs
NODES is about how many nodes the model has. The output is the same at each run.
"""
import pathlib
import sys

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save

WIDTH = 16
rng = np.random.default_rng(0)
nodes, constants = [], []


def constant(name, values):
    constants.append(numpy_helper.from_array(np.asarray(values, np.float32), name))
    return name


def node(op, inputs, output, **attributes):
    nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
    return output


def chain(count):
    value = "x"
    functions = ["Tanh", "Sigmoid", "Softmax", "Sin", "Cos", "Softmax"]
    for at in range(count):
        op = functions[at % len(functions)]
        value = node(op, [value], f"y{at}", **({"axis": -1} if op == "Softmax" else {}))
    return value


def blocks(count):
    value = "x"
    for at in range(count // 4):
        weight = constant(f"w{at}", rng.uniform(-0.5, 0.5, (WIDTH, WIDTH)))
        bias = constant(f"b{at}", rng.uniform(-0.5, 0.5, WIDTH))
        product = node("MatMul", [value, weight], f"product{at}")
        biased = node("Add", [product, bias], f"biased{at}")
        weights = node("Softmax", [biased], f"softmax{at}", axis=-1)
        value = node("Add", [weights, value], f"residual{at}")
    return value


def side(count):
    values = []
    for at in range(count // 3):
        scaled = node("Mul", ["x", constant(f"scale{at}", 0.5 + at / count)], f"scaled{at}")
        values.append(node("Softmax", [scaled], f"softmax{at}", axis=-1))
    level = 0
    while len(values) > 1:
        sums = [node("Add", pair, f"sum{level}_{at}") for at, pair in enumerate(zip(values[::2], values[1::2]))]
        values = sums + values[len(values) // 2 * 2 :]
        level += 1
    return values[0]


form, count, out = sys.argv[1], int(sys.argv[2]), pathlib.Path(sys.argv[3])
result = {"chain": chain, "blocks": blocks, "side": side}[form](count)
shape = [1, WIDTH]
graph = helper.make_graph(
    nodes,
    f"{form}_{count}",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
    [helper.make_tensor_value_info(result, TensorProto.FLOAT, shape)],
    constants,
)
save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), out)

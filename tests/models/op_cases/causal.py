"""Causal attention whose queries and keys differ in number, and masks that say the same."""
import numpy as np


def cases(write, node, Rand):
    r = Rand("causal attention")
    for name, queries, keys in [("fewer_queries", 5, 9), ("more_queries", 9, 5), ("a_tile_and_one", 65, 65)]:
        inputs = [("q", r.f(1, 2, queries, 8)), ("k", r.f(1, 2, keys, 8)), ("v", r.f(1, 2, keys, 8))]
        write(f"attention_causal_{name}", [node("Attention", ["q", "k", "v"], ["y"], is_causal=1)], inputs, ["y"], 23)
    past = [("q", r.f(2, 2, 3, 8)), ("k", r.f(2, 2, 3, 8)), ("v", r.f(2, 2, 3, 8)), ("pk", r.f(2, 2, 6, 8)), ("pv", r.f(2, 2, 6, 8))]
    attention = node("Attention", ["q", "k", "v", "", "pk", "pv"], ["y", "present_k", "present_v"], is_causal=1)
    write("attention_causal_past", [attention], past, ["y", "present_k", "present_v"], 23)
    hidden = np.triu(np.full((6, 6), np.finfo(np.float32).min, np.float32), 1)[None, None]
    decomposed = [
        node("Transpose", ["k"], ["kt"], perm=[0, 1, 3, 2]),
        node("MatMul", ["q", "kt"], ["s"]),
        node("Add", ["s", "mask"], ["masked"]),
        node("Softmax", ["masked"], ["p"], axis=-1),
        node("MatMul", ["p", "v"], ["y"]),
    ]
    inputs = [("q", r.f(2, 3, 6, 5)), ("k", r.f(2, 3, 6, 5)), ("v", r.f(2, 3, 6, 7))]
    write("attention_causal_mask", decomposed, inputs, ["y"], 18, constants=[("mask", hidden)])

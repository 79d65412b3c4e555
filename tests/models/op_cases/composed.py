"""Operators that are imported as compositions: along one axis, einsum, attention, ONNX Runtime's own."""
import numpy as np
from onnx import helper

F16, F32, I64 = np.float16, np.float32, np.int64
MICROSOFT = [helper.make_opsetid("com.microsoft", 1)]


def cases(write, node, Rand):
    def op(name, kind, args, opset, outputs=1, const=(), domain="", extra=(), **attributes):
        names = ["" if v is None else f"x{j}" for j, v in enumerate(args)]
        out = [f"y{j}" for j in range(outputs)]
        pairs = [(n, v) for n, v in zip(names, args) if n]
        stored = {f"x{j}" for j in const}
        write(name, [node(kind, names, out, name=f"{kind.lower()}_0", domain=domain, **attributes)],
              [p for p in pairs if p[0] not in stored], out, opset, [p for p in pairs if p[0] in stored],
              extra_opsets=extra)

    r = Rand("composed")
    op("logsoftmax", "LogSoftmax", [r.f(2, 3, 5, low=-9, high=9)], 13)
    op("logsoftmax_axis_1", "LogSoftmax", [r.f(2, 3, 5)], 13, axis=1)
    op("logsoftmax_coerces", "LogSoftmax", [r.f(2, 3, 5)], 11)
    op("hardmax", "Hardmax", [np.array([[1, 3, 3, 2], [5, 1, 5, 5]], F32)], 13)
    op("hardmax_axis_0", "Hardmax", [r.f(3, 2, 4)], 13, axis=0)
    op("hardmax_coerces", "Hardmax", [r.f(3, 2, 4)], 11)
    op("lpnormalization", "LpNormalization", [np.array([[3, 4, 0], [1, -2, 2]], F32)], 22)
    op("lpnormalization_p1_axis_0", "LpNormalization", [r.f(3, 2, 4)], 7, p=1, axis=0)
    op("reducelogsum", "ReduceLogSum", [r.f(2, 3, 5, low=0.1, high=3)], 13, axes=[1])
    op("reducelogsumexp", "ReduceLogSumExp", [r.f(2, 3, 5, low=60, high=120)], 13, axes=[0, 2], keepdims=0)
    op("reducelogsumexp_all", "ReduceLogSumExp", [r.f(2, 3)], 18)

    for name, equation, shapes in [
            ("matmul", "ij,jk->ik", [(3, 4), (4, 5)]),
            ("implied", "bij, bkj", [(2, 3, 4), (2, 5, 4)]),
            ("attention_scores", "bhqd,bhkd->bhqk", [(2, 3, 4, 5), (2, 3, 6, 5)]),
            ("attention_values", "bhqk,bkhd->bqhd", [(2, 3, 4, 6), (2, 6, 3, 5)]),
            ("ellipsis", "...ij,...jk->...ik", [(2, 1, 3, 4), (2, 5, 4, 2)]),
            ("transpose", "ijk->kij", [(2, 3, 4)]),
            ("sum", "ijk->j", [(2, 3, 4)]),
            ("sum_of_everything", "ij->", [(2, 3)]),
            ("outer", "i,j->ij", [(3,), (4,)]),
            ("hadamard", "ij,ij->ij", [(3, 4), (3, 4)]),
            ("dot", "i,i", [(5,), (5,)]),
            ("three", "ij,jk,kl->il", [(2, 3), (3, 4), (4, 5)]),
            ("two_summed", "aibj,cij->abc", [(2, 3, 4, 5), (6, 3, 5)]),
            ("own_sums", "ijx,jky->ik", [(2, 3, 4), (3, 5, 2)])]:
        op(f"einsum_{name}", "Einsum", [r.f(*shape) for shape in shapes], 12, equation=equation)

    scale = [r.f(8), r.f(8), r.f(8)]
    x, skip = r.f(2, 3, 8), r.f(2, 3, 8)
    for name, kind, args, attributes in [
            ("gelu", "Gelu", [r.f(2, 5)], {}),
            ("biasgelu", "BiasGelu", [r.f(2, 3, 8), scale[0]], {}),
            ("fastgelu", "FastGelu", [r.f(2, 3, 8), scale[0]], {}),
            ("fastgelu_without_bias", "FastGelu", [r.f(2, 3, 8)], {}),
            ("quickgelu", "QuickGelu", [r.f(2, 5)], {"alpha": 1.702}),
            ("fusedmatmul", "FusedMatMul", [r.f(2, 4, 3), r.f(2, 5, 4)], {"transA": 1, "transB": 1, "alpha": 0.5}),
            ("fusedmatmul_batches", "FusedMatMul", [r.f(3, 2, 4), r.f(4, 2, 5)], {"transBatchA": 1, "transBatchB": 1})]:
        op(f"microsoft_{name}", kind, args, 17, domain="com.microsoft", extra=MICROSOFT, **attributes)
    names = ["x", "skip", "gamma", "beta", "bias"]
    values = [x, skip, *scale]
    write("microsoft_skiplayernormalization", [
        node("SkipLayerNormalization", names, ["y", "", "", "sum"], domain="com.microsoft", epsilon=1e-3)],
        list(zip(names[:2], values[:2])), ["y", "sum"], 17, list(zip(names[2:], values[2:])), extra_opsets=MICROSOFT)

    q, k, v = r.f(2, 4, 3, 8), r.f(2, 4, 5, 8), r.f(2, 4, 5, 6)
    op("attention", "Attention", [q, k, v], 23)
    op("attention_bias", "Attention", [q, k, v, r.f(3, 5)], 23)
    op("attention_condition", "Attention", [q, k, v, np.tril(np.ones((2, 1, 3, 5), np.bool_), 1)], 23)
    op("attention_shared_heads", "Attention", [q, r.f(2, 2, 5, 8), r.f(2, 2, 5, 6)], 23, is_causal=1)
    op("attention_flat", "Attention", [r.f(2, 3, 32), r.f(2, 5, 16), r.f(2, 5, 12)], 23,
       q_num_heads=4, kv_num_heads=2, scale=0.2, softcap=1.5)
    op("attention_past", "Attention", [q, k, v, None, r.f(2, 4, 2, 8), r.f(2, 4, 2, 6)], 23, outputs=3)

    cos, sin = r.f(10, 4), r.f(10, 4)
    positions = np.array([[0, 3, 9], [1, 2, 5]], I64)
    op("rotary", "RotaryEmbedding", [r.f(2, 4, 3, 8), cos, sin, positions], 23, const=(1, 2))
    op("rotary_interleaved", "RotaryEmbedding", [r.f(2, 4, 3, 8), cos, sin, positions], 23, const=(1, 2), interleaved=1)
    op("rotary_flat_part", "RotaryEmbedding", [r.f(2, 3, 24), r.f(2, 3, 2), r.f(2, 3, 2)], 23,
       num_heads=3, rotary_embedding_dim=4)

"""Layers with a state: causal convolution, linear attention, rows written into a cache."""
import numpy as np

F16, F32, I64 = np.float16, np.float32, np.int64


def cases(write, node, Rand):
    r = Rand("states")

    def op(name, kind, args, opset, outputs=1, **attributes):
        names = ["" if v is None else f"x{j}" for j, v in enumerate(args)]
        out = [f"y{j}" for j in range(outputs)]
        write(name, [node(kind, names, out, name=f"{kind.lower()}_0", **attributes)],
              [(n, np.asarray(v)) for n, v in zip(names, args) if n], out, opset)

    cache, rows = r.f(2, 3, 6, 4), r.f(2, 3, 2, 4)
    op("tensorscatter", "TensorScatter", [cache, rows, I64([3, 1])], 24)
    op("tensorscatter_from_zero", "TensorScatter", [cache, rows], 24)
    op("tensorscatter_circular", "TensorScatter", [cache, rows, I64([5, 4])], 24, mode="circular")
    op("tensorscatter_axis_1", "TensorScatter", [r.f(2, 5, 4, dtype=F16), r.f(2, 3, 4, dtype=F16), I64([0, 2])], 24, axis=1)
    x, kernel, bias = r.f(2, 3, 5), r.f(3, 1, 4), r.f(3)
    op("causalconvwithstate", "CausalConvWithState", [x, kernel], 27, outputs=2)
    op("causalconvwithstate_past", "CausalConvWithState", [r.f(2, 3, 2), kernel, bias, r.f(2, 3, 3)], 27, outputs=2, activation="silu")
    for rule in ("linear", "gated", "delta", "gated_delta"):
        op(f"linearattention_{rule}", "LinearAttention",
           [r.f(2, 3, 20), r.f(2, 3, 10), r.f(2, 3, 6), r.f(2, 2, 5, 3),
            r.f(2, 3, 10, low=-1, high=0) if "gated" in rule else None, r.f(2, 3, 2) if "delta" in rule else None],
           27, outputs=2, q_num_heads=4, kv_num_heads=2, update_rule=rule)
    write("causalconvwithstate_constant_kernel", [
        node("CausalConvWithState", ["x", "w", "b", "past"], ["y", "present"], activation="swish")],
        [("x", r.f(2, 3, 5)), ("past", r.f(2, 3, 3))], ["y", "present"], 27, [("w", kernel), ("b", bias)])

"""Weights of a few bits each in blocks, and integers of eight and fewer bits that stand for numbers."""
import ml_dtypes
import numpy as np
from onnx import helper

F16, F32, I64, I32, I8, U8 = np.float16, np.float32, np.int64, np.int32, np.int8, np.uint8
MICROSOFT = [helper.make_opsetid("com.microsoft", 1)]


def cases(write, node, Rand):
    def op(name, kind, args, outputs=1, const=(), domain="com.microsoft", opset=22, **attributes):
        names = ["" if v is None else f"x{j}" for j, v in enumerate(args)]
        out = [f"y{j}" for j in range(outputs)]
        pairs = [(n, np.asarray(v)) for n, v in zip(names, args) if n]
        stored = {f"x{j}" for j in const}
        write(name, [node(kind, names, out, name=f"{kind.lower()}_0", domain=domain, **attributes)],
              [p for p in pairs if p[0] not in stored], out, opset, [p for p in pairs if p[0] in stored],
              extra_opsets=MICROSOFT)

    products(op, Rand("products with blocks"))
    rows(op, write, node, Rand("rows of blocks"))
    linear(op, write, node, Rand("linear quantization of few bits"))
    weights(write, node, Rand("products with dequantized weights"))


def bytes_of(r, *shape):
    return r.i(*shape, low=0, high=256, dtype=U8)


def products(op, r):
    def case(name, columns, bits, block, a=(2, 3), n=5, zero=None, groups=None, bias=False, dtype=F32, flat=False, **more):
        blocks = -(-columns // block)
        zeros = {None: None, "bytes": bytes_of(r, n, -(-blocks * bits // 8)),
                 "floats": r.i(n, blocks, low=0, high=2**bits).astype(dtype)}[zero]
        scales = r.f(n, blocks, low=-0.5 / 2**bits, high=0.5 / 2**bits, dtype=dtype)
        args = [r.f(*a, columns, dtype=dtype), bytes_of(r, n, blocks, block * bits // 8),
                scales.reshape(-1) if flat else scales, zeros, groups, r.f(n, dtype=dtype) if bias else None]
        while args[-1] is None:
            args.pop()
        op(f"matmul_n_bits_{name}", "MatMulNBits", args, const=[1, 2] + [j for j in (3, 4) if j < len(args)
           and args[j] is not None], K=columns, N=n, bits=bits, block_size=block, **more)

    for bits in (2, 4, 8):
        case(f"{bits}", 48, bits, 16)
        case(f"{bits}_tail", 40, bits, 32)
        case(f"{bits}_zeros", 41, bits, 16, zero="bytes")
    case("2_floats", 40, 2, 16, zero="floats")
    case("4_floats", 40, 4, 16, zero="floats")
    case("one_block", 20, 4, 128)
    case("groups", 48, 4, 16, groups=r.rng.permutation(np.arange(48) // 16).astype(I32))
    case("groups_floats", 40, 4, 16, zero="floats", groups=r.rng.permutation(np.arange(40) // 16).astype(I32))
    case("bias", 32, 4, 16, bias=True)
    case("vector", 32, 4, 16, a=())
    case("rank_4", 32, 4, 16, a=(2, 1, 3))
    case("one_row", 32, 4, 16, a=(1,), n=1)
    case("flat", 40, 4, 16, flat=True)
    case("f16", 40, 4, 16, dtype=F16)
    case("f16_zeros_bias", 40, 4, 32, dtype=F16, zero="bytes", bias=True)
    case("accuracy_level_1", 32, 4, 16, accuracy_level=1)


def rows(op, write, node, r):
    kind, ids = "GatherBlockQuantized", np.array([[1, -1], [5, 0]], I64)

    def case(name, data, scales, zeros=None, ids=ids, **attributes):
        args = [data, ids, scales] + ([] if zeros is None else [zeros])
        op(f"gather_block_quantized_{name}", kind, args, const=[0, 2, 3][:len(args) - 1], **attributes)

    case("4", bytes_of(r, 6, 16), r.f(6, 2), bits=4, block_size=16)
    case("4_zeros", bytes_of(r, 6, 24), r.f(6, 3), bytes_of(r, 6, 2), bits=4, block_size=16)
    case("4_tail", bytes_of(r, 6, 20), r.f(6, 3), bits=4, block_size=16)
    case("8", bytes_of(r, 6, 32), r.f(6, 2), bits=8, block_size=16)
    case("8_zeros", bytes_of(r, 6, 32), r.f(6, 2), bytes_of(r, 6, 2), bits=8, block_size=16)
    case("2_zeros", bytes_of(r, 6, 16), r.f(6, 4), bytes_of(r, 6, 1), bits=2, block_size=16)
    case("three_axes", bytes_of(r, 3, 4, 16), r.f(3, 4, 2), ids=np.array([2, 0], I32), bits=4, block_size=16,
         quantize_axis=2)
    case("f16_one_row", bytes_of(r, 6, 16), r.f(6, 2, dtype=F16), ids=np.array(3, I64), bits=4, block_size=16)
    signed = lambda *shape: r.i(*shape, low=-8, high=8).astype(ml_dtypes.int4)
    unsigned = lambda *shape: r.i(*shape, low=0, high=16).astype(ml_dtypes.uint4)
    case("int4", signed(6, 32), r.f(6, 2), block_size=16)
    case("int4_along_rows", signed(32, 6), r.f(2, 6), signed(2, 6), gather_axis=1, quantize_axis=0, block_size=16)
    case("uint4_middle_axis", unsigned(7, 17, 3), r.f(7, 2, 3), unsigned(7, 2, 3), block_size=16)
    # Tied embeddings: the rows of the last product's weights.
    columns, n = 32, 6
    weights, scales = bytes_of(r, n, 2, 8), r.f(n, 2, low=-0.1, high=0.1)
    write("gather_block_quantized_tied", [
        node("Reshape", ["weights", "shape"], ["table"]),
        node(kind, ["table", "ids", "scales"], ["x"], domain="com.microsoft", bits=4, block_size=16),
        node("MatMulNBits", ["x", "weights", "scales"], ["y"], domain="com.microsoft", K=columns, N=n, bits=4,
             block_size=16)],
        [("ids", ids)], ["y"], 22, [("weights", weights), ("scales", scales), ("shape", np.array([n, 16], I64))],
        extra_opsets=MICROSOFT)


def linear(op, write, node, r):
    def dequantize(name, x, scale, zero=None, opset=21, **attributes):
        args = [x, scale] + ([] if zero is None else [zero])
        op(f"dequantize_{name}", "DequantizeLinear", args, const=range(len(args)), domain="", opset=opset, **attributes)

    signed = r.i(5, 7, low=-8, high=8).astype(ml_dtypes.int4)
    unsigned = r.i(5, 7, low=0, high=16).astype(ml_dtypes.uint4)
    dequantize("int4", signed, F32(0.25))
    dequantize("int4_axis_0", signed, r.f(5), np.arange(-2, 3).astype(ml_dtypes.int4), axis=0)
    dequantize("uint4_blocks", unsigned, r.f(5, 3), r.i(5, 3, low=0, high=16).astype(ml_dtypes.uint4), axis=1,
               block_size=3)
    dequantize("int4_blocks_f16", signed, r.f(2, 7, dtype=F16), axis=0, block_size=3)
    write("dequantize_int4_moved", [
        node("Transpose", ["x"], ["moved"]), node("DequantizeLinear", ["moved", "scale"], ["y"])], [], ["y"], 21,
        [("x", signed), ("scale", F32(0.5))])
    for name, zero in [("int4", np.array(-3).astype(ml_dtypes.int4)), ("uint4", np.array(5).astype(ml_dtypes.uint4))]:
        write(f"quantize_{name}", [
            node("QuantizeLinear", ["x", "scale", "zero"], ["q"]), node("DequantizeLinear", ["q", "scale", "zero"], ["y"])],
            [("x", r.f(4, 5, low=-9, high=9))], ["y"], 21, [("scale", F32(0.75)), ("zero", zero)])
    write("cast_of_int4", [node("Cast", ["x"], ["y"], to=1)], [], ["y"], 21, [("x", signed)])
    op("quantize_blocks", "QuantizeLinear", [r.f(4, 7), r.f(4, 3, low=0.01, high=0.1), r.i(4, 3, low=0, high=256, dtype=U8)],
       const=[1, 2], domain="", opset=21, axis=1, block_size=3)
    for name, x in [("", r.f(3, 5)), ("_positive", r.f(3, 5, low=1.0)), ("_zeros", np.zeros((2, 3), F32)),
                    ("_ties", np.array([-1.0, 0.0, 1.55, 0.5, 0.25], F32))]:
        op(f"dynamic_quantize{name}", "DynamicQuantizeLinear", [x], outputs=3, domain="", opset=11)
    a, b = r.i(2, 3, 5, low=0, high=256, dtype=U8), r.i(5, 4, low=-128, high=128, dtype=I8)
    op("matmul_integer", "MatMulInteger", [a, b], domain="", opset=10)
    op("matmul_integer_zeros", "MatMulInteger", [a, b, U8(131), I8(-5)], domain="", opset=10)
    op("matmul_integer_zero_by_column", "MatMulInteger", [a, b, np.array([7], U8), r.i(4, low=-9, high=9, dtype=I8)],
       domain="", opset=10, const=[1, 2, 3])


def weights(write, node, r):
    def case(name, x, w, scale, zero=None, product=("MatMul", {}), **attributes):
        names = ["w", "scale"] + ([] if zero is None else ["zero"])
        write(f"dequantize_{name}", [
            node("DequantizeLinear", names, ["wide"], **attributes),
            node(product[0], ["x", "wide"], ["y"], **product[1])],
            [("x", x)], ["y"], 21, list(zip(names, [w, scale] + ([] if zero is None else [zero]))))

    int8 = lambda *shape: r.i(*shape, low=-128, high=128, dtype=I8)
    int4 = lambda *shape: r.i(*shape, low=-8, high=8).astype(ml_dtypes.int4)
    case("product_by_column", r.f(2, 24), int8(24, 7), r.f(7, low=-0.02, high=0.02), int8(7), axis=1)
    case("product_by_tensor", r.f(2, 3, 24), r.i(24, 7, low=0, high=256, dtype=U8), F32(0.01), U8(131))
    case("product_by_row", r.f(5, 24), int8(7, 24), r.f(7, low=-0.02, high=0.02), product=("Gemm", {"transB": 1}), axis=0)
    case("product_by_blocks", r.f(1, 40), int4(40, 6), r.f(3, 6, low=-0.1, high=0.1), int4(3, 6), axis=0, block_size=16)
    case("product_by_row_against_k", r.f(2, 24), int8(24, 7), r.f(24, low=-0.02, high=0.02), axis=0)

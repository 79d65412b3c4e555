"""Integers of sixteen bits and without a sign, at both ends of their ranges, where onnxruntime's CPU has the type."""
import numpy as np
from onnx import TensorProto

I16, U16, U32, U64, I32, I64, F32 = np.int16, np.uint16, np.uint32, np.uint64, np.int32, np.int64, np.float32


def cases(write, node, Rand):
    r = Rand("widths")

    def op(name, kind, args, opset, outputs=1, const=(), **attributes):
        names = [f"x{j}" for j in range(len(args))]
        out = [f"y{j}" for j in range(outputs)]
        pairs = list(zip(names, args))
        stored = {f"x{j}" for j in const}
        write(name, [node(kind, names, out, name=f"{kind.lower()}_0", **attributes)],
              [p for p in pairs if p[0] not in stored], out, opset, [p for p in pairs if p[0] in stored])

    def ends(dtype, *shape):
        """Numbers at both ends of what a device has of a type, and in its middle."""
        low, high = (0, 2**32 - 1) if dtype in (U32, U64) else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        middle = (low + high) // 2
        some = np.array([low, high, middle, middle + 1, low + 1, high - 1, 7, 100], np.int64)
        return some[r.i(*shape, low=0, high=len(some))].astype(dtype)

    name_of = {I16: "i16", U16: "u16", U32: "u32", U64: "u64"}
    code_of = {I16: TensorProto.INT16, U16: TensorProto.UINT16, U32: TensorProto.UINT32, U64: TensorProto.UINT64}
    floats = np.array([[-1e10, -70000.5, -1.5, -0.5, 0.5], [1.5, 300.7, 32767.9, 65535.5, 70000.0]], F32)
    inside = {I16: np.array([[-1.5, -0.5], [32767.9, -32768.9]], F32), U16: np.abs(floats[:, 2:4]), U32: np.array([[0.5, 3e9], [4e9, 7.9]], F32),
              U64: np.array([[0.5, 3e9], [4e9, 7.9]], F32)}
    for dtype, name in name_of.items():
        x, y = ends(dtype, 3, 5), ends(dtype, 3, 5)
        op(f"{name}_cast_to_float", "Cast", [x], 13, to=TensorProto.FLOAT)
        op(f"{name}_cast_from_float", "Cast", [inside[dtype]], 13, to=code_of[dtype])
        op(f"{name}_cast_from_int32", "Cast", [np.abs(r.i(2, 5, low=0, high=2**31, dtype=I32))], 13, to=code_of[dtype])
        op(f"{name}_cast_to_u8", "Cast", [x], 13, to=TensorProto.UINT8)
        op(f"{name}_mod", "Mod", [x, y | dtype(1)], 13)
        op(f"{name}_bitwise_and", "BitwiseAnd", [x, y], 18)
        op(f"{name}_bitwise_or", "BitwiseOr", [x, y], 18)
        op(f"{name}_bitwise_xor", "BitwiseXor", [x, y], 18)
        op(f"{name}_gather", "Gather", [x, np.array([2, 0], I64)], 13)
        op(f"{name}_concat", "Concat", [x, y], 13, axis=1)
        op(f"{name}_transpose", "Transpose", [x], 13)
        op(f"{name}_sign", "Sign", [x], 13)
        op(f"{name}_abs", "Abs", [np.where(x == np.iinfo(dtype).min, dtype(3), x)], 13)
    for dtype in (U32, U64):
        name, x, y = name_of[dtype], ends(dtype, 3, 5), ends(dtype, 3, 5)
        op(f"{name}_max", "Max", [x, y], 13)
        op(f"{name}_min", "Min", [x, y], 13)
        op(f"{name}_shift_right", "BitShift", [x, r.i(3, 5, low=0, high=32).astype(dtype)], 11, direction="RIGHT")
        op(f"{name}_clip", "Clip", [x, dtype(5), dtype(3_000_000_000)], 13, const=[1, 2])
    op("u32_shift_left", "BitShift", [ends(U32, 3, 5), r.i(3, 5, low=0, high=32).astype(U32)], 11, direction="LEFT")
    op("u32_bitwise_not", "BitwiseNot", [ends(U32, 3, 5)], 18)
    op("u16_bitwise_not", "BitwiseNot", [ends(U16, 3, 5)], 18)
    op("i16_bitwise_not", "BitwiseNot", [ends(I16, 3, 5)], 18)
    # To floats of eight bits and back: numbers at which rounding and the ends of the formats can go wrong.
    formats = {"e4m3fn": (TensorProto.FLOAT8E4M3FN, 448.0), "e4m3fnuz": (TensorProto.FLOAT8E4M3FNUZ, 240.0),
               "e5m2": (TensorProto.FLOAT8E5M2, 57344.0), "e5m2fnuz": (TensorProto.FLOAT8E5M2FNUZ, 57344.0)}
    for name, (code, most) in formats.items():
        tiny = 2.0 ** -17 * np.arange(0, 24)
        near = np.array([1.0, 1.0625, 1.125, 1.1875, 1.25, 1.375, 1.4375, -1.5625, -1.6875, most, most * 1.01, -most * 1.2])
        x = np.concatenate([tiny, near, -tiny[::3], np.array([np.nan, np.inf, -np.inf, -0.0])]).astype(F32)
        for saturate in (1, 0):
            write(f"float8{name}_saturate_{saturate}",
                  [node("Cast", ["x"], ["small"], to=code, saturate=saturate),
                   node("Cast", ["small"], ["y"], to=TensorProto.FLOAT)],
                  [("x", x)], ["y"], 19)

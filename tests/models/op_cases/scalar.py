"""Scalar functions: trigonometry, exponentials, activations, tests, remainders, bits."""
import numpy as np

F16, F32, F64, I32, I64, U8 = np.float16, np.float32, np.float64, np.int32, np.int64, np.uint8


def cases(write, node, Rand):
    def op(name, kind, args, opset, **attributes):
        names = [f"x{j}" for j in range(len(args))]
        write(name, [node(kind, names, ["y"], name=f"{kind.lower()}_0", **attributes)],
              list(zip(names, args)), ["y"], opset)

    r = Rand("scalar")
    wide = np.concatenate([r.f(10, low=-6, high=6), np.array([0, -0.0, 1, -1, 0.01, -0.01, 30, -30], F32)]).reshape(2, 9)
    unit = np.concatenate([r.f(6, low=-1, high=1), np.array([0, 1, -1, 0.999, -0.999, 1e-4], F32)]).reshape(3, 4)
    above = np.concatenate([r.f(6, low=1, high=9), np.array([1, 1.0001, 1e4, 1e20], F32)]).reshape(2, 5)
    for kind, opset, x in [("Tan", 7, wide), ("Atan", 7, wide), ("Asin", 7, unit), ("Acos", 7, unit), ("Sinh", 9, wide),
                           ("Cosh", 9, wide), ("Asinh", 9, wide), ("Acosh", 9, above), ("Atanh", 9, unit * F32(0.9999))]:
        op(kind.lower(), kind, [x], opset)
    for kind, opset in [("Elu", 6 + 1), ("Selu", 7), ("Celu", 12), ("Softplus", 7), ("Softsign", 7), ("Mish", 18),
                        ("ThresholdedRelu", 10)]:
        op(kind.lower(), kind, [wide], opset)
    op("elu_steep", "Elu", [wide], 7, alpha=2.5)
    op("celu_alpha", "Celu", [wide], 12, alpha=0.3)
    op("selu_attributes", "Selu", [wide], 7, alpha=0.5, gamma=1.5)
    op("thresholdedrelu_negative", "ThresholdedRelu", [wide], 10, alpha=-2.0)
    op("shrink_hard", "Shrink", [wide], 9, lambd=1.5)
    op("shrink_soft", "Shrink", [wide], 9, lambd=1.5, bias=1.5)
    strange = np.array([[1, np.inf, -np.inf], [np.nan, 3.4e38, -0.0]], F32)
    op("isnan", "IsNaN", [strange], 13)
    op("isnan_f16", "IsNaN", [np.array([1, np.inf, np.nan], F16)], 13)
    op("isinf", "IsInf", [strange], 10)
    op("isinf_positive", "IsInf", [strange], 10, detect_negative=0)
    op("isinf_negative", "IsInf", [strange], 10, detect_positive=0)
    op("isinf_neither", "IsInf", [strange], 10, detect_positive=0, detect_negative=0)
    a, b = np.array([7, -7, 7, -7, 0, 5], I64), np.array([3, 3, -3, -3, 5, -5], I64)
    op("mod_i64", "Mod", [a, b], 10)
    op("mod_i64_fmod", "Mod", [a, b], 10, fmod=1)
    op("mod_i32", "Mod", [a.astype(I32), b.astype(I32)], 13)
    op("mod_f32", "Mod", [r.f(3, 4, low=-9, high=9), np.array([2.5, -2.5, 0.1, 4], F32)], 13, fmod=1)
    x, y = r.i(2, 5, low=-1000, high=1000, dtype=I32), r.i(5, low=-1000, high=1000, dtype=I32)
    for kind in ("And", "Or", "Xor"):
        op(f"bitwise_{kind.lower()}", f"Bitwise{kind}", [x, y], 18)
    op("bitwise_not", "BitwiseNot", [x], 18)
    op("bitwise_and_u8", "BitwiseAnd", [r.i(4, low=0, high=256, dtype=U8), r.i(4, low=0, high=256, dtype=U8)], 18)
    bytes_ = np.array([1, 3, 200, 255], U8)
    op("bitshift_left_u8", "BitShift", [bytes_, np.array([1, 7, 1, 4], U8)], 11, direction="LEFT")
    op("bitshift_right_u8", "BitShift", [bytes_, np.array([1, 1, 3, 7], U8)], 11, direction="RIGHT")
    op("cast_f32_to_i32_truncates", "Cast", [np.array([1.9, -1.9, 0.5, -0.5, 3e6, -7], F32)], 13, to=6)
    op("cast_f32_to_i64_truncates", "Cast", [np.array([1.9, -1.9, 0.5, -0.5, 3e6, -7], F32)], 13, to=7)
    op("where_i64_broadcasts", "Where", [np.array([True, False, True]), np.array([1, 2, 3], I64), np.array([[4], [5]], I64)], 16)
    op("where_u8", "Where", [np.array([True, False]), np.array([1, 2], U8), np.array([3, 4], U8)], 16)
    op("pow_i32_by_f32", "Pow", [np.array([2, 3, 4], I32), np.array([0.5, 2, 1.5], F32)], 15)
    op("pow_f32_by_i32", "Pow", [np.array([2, -3, 4], F32), np.array([3, 3, -1], I32)], 15)
    op("castlike_f16", "CastLike", [r.f(2, 3), np.zeros(1, F16)], 15)
    op("mean_of_one", "Mean", [r.f(2, 3)], 13)
    op("sum_of_one", "Sum", [r.f(2, 3)], 13)
    op("min_f64", "Min", [r.f(3, dtype=F64), r.f(2, 1, dtype=F64)], 13)

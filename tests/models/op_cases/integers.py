"""Products and convolutions of integers of eight bits, and operators between quantized tensors."""
import numpy as np
from onnx import helper

F32, I32, I8, U8 = np.float32, np.int32, np.int8, np.uint8
MICROSOFT = [helper.make_opsetid("com.microsoft", 1)]


def cases(write, node, Rand):
    r = Rand("integers")

    def op(name, kind, args, outputs=1, const=(), domain="", opset=13, **attributes):
        names = ["" if v is None else f"x{j}" for j, v in enumerate(args)]
        out = [f"y{j}" for j in range(outputs)]
        pairs = [(n, np.asarray(v)) for n, v in zip(names, args) if n]
        stored = {f"x{j}" for j in const}
        write(name, [node(kind, names, out, name=f"{kind.lower()}_0", domain=domain, **attributes)],
              [p for p in pairs if p[0] not in stored], out, opset, [p for p in pairs if p[0] in stored],
              extra_opsets=MICROSOFT if domain else ())

    def u8(*shape):
        return r.i(*shape, low=0, high=256, dtype=U8)

    def i8(*shape):
        return r.i(*shape, low=-128, high=128, dtype=I8)

    def some(*shape, low=0.005, high=0.05):
        return r.f(*shape, low=low, high=high)

    op("matmul_integer_long", "MatMulInteger", [u8(3, 1300), i8(1300, 7), U8(3), I8(-5)], const=[1, 2, 3])
    op("matmul_integer_long_of_data", "MatMulInteger", [u8(2, 3, 600), u8(2, 600, 5), U8(130), U8(120)], const=[2, 3])
    op("conv_integer", "ConvInteger", [u8(2, 5, 6, 4), i8(7, 5, 3, 3), U8(128), I8(3)], const=[1, 3], pads=[1, 1, 1, 1])
    op("conv_integer_without_zeros", "ConvInteger", [u8(1, 3, 5, 6), u8(4, 3, 2, 2)], const=[1], strides=[2, 1])
    op("conv_integer_many_channels", "ConvInteger", [u8(1, 130, 5, 4), i8(6, 130, 3, 3), U8(255)], const=[1, 2],
       pads=[1, 1, 1, 1])
    op("conv_integer_depthwise", "ConvInteger", [u8(1, 6, 7, 5), i8(6, 1, 3, 3), U8(100)], const=[1, 2], group=6, dilations=[2, 1])
    op("conv_integer_filters_as_input", "ConvInteger", [u8(1, 5, 6, 4), u8(7, 5, 1, 1), U8(128), U8(3)], const=[2, 3])
    for name, w, zero in (("by_tensor", u8, U8(127)), ("by_channel", i8, np.zeros(6, I8))):
        scale = some(6) if zero.shape else np.float32(0.02)
        op(f"qlinear_conv_{name}", "QLinearConv", [u8(2, 5, 6, 4), F32(0.03), U8(120), w(6, 5, 3, 3), scale, zero, F32(0.7), U8(100),
           r.i(6, low=-900, high=900, dtype=I32)], const=range(1, 9), pads=[1, 0, 1, 0])
    op("qlinear_conv_signed", "QLinearConv", [i8(1, 4, 5, 5), F32(0.03), I8(3), i8(4, 2, 3, 3), F32(0.02), I8(0), F32(0.4), I8(-10)],
       const=range(1, 8), group=2, strides=[2, 2])
    op("qlinear_matmul", "QLinearMatMul", [u8(2, 3, 9), F32(0.03), U8(120), u8(9, 5), F32(0.02), U8(130), F32(0.2), U8(128)],
       const=range(1, 8), opset=10)
    op("qlinear_matmul_by_column", "QLinearMatMul", [u8(3, 9), F32(0.03), U8(120), i8(9, 5), some(5), np.zeros(5, I8), F32(0.2), U8(128)],
       const=range(1, 8), opset=21)

    def ours(name, kind, args, **more):
        op(name, kind, args, domain="com.microsoft", **more)

    ours("matmul_integer_to_float", "MatMulIntegerToFloat", [u8(3, 9), i8(9, 5), F32(0.03), some(5), U8(120), np.zeros(5, I8), r.f(5)],
         const=range(1, 7))
    ours("matmul_integer_to_float_plain", "MatMulIntegerToFloat", [u8(2, 3, 9), i8(9, 5), F32(0.03), F32(0.02)], const=range(1, 4))
    ours("dynamic_quantize_matmul", "DynamicQuantizeMatMul", [r.f(2, 3, 9), i8(9, 5), F32(0.02), I8(4), r.f(5)], const=range(1, 5))
    ours("qgemm", "QGemm", [u8(3, 9), F32(0.03), U8(120), i8(5, 9), F32(0.02), I8(0), r.i(5, low=-99, high=99, dtype=I32), F32(0.2), U8(128)],
         const=range(1, 9), transB=1)
    ours("qgemm_to_float", "QGemm", [u8(3, 9), F32(0.03), U8(120), i8(9, 5), some(5), np.zeros(5, I8)], const=range(1, 6), alpha=0.5)
    for kind in ("QLinearAdd", "QLinearMul"):
        low = kind.lower().replace("qlinear", "qlinear_")
        ours(low, kind, [u8(2, 5, 6), F32(0.0317), U8(120), u8(5, 6), F32(0.0219), U8(130), F32(0.0431), U8(125)], const=[1, 2, 4, 5, 6, 7])
    ours("qlinear_leaky_relu", "QLinearLeakyRelu", [i8(3, 7), F32(0.0313), I8(5), F32(0.0219), I8(-20)], const=range(1, 5), alpha=0.2)
    ours("qlinear_sigmoid", "QLinearSigmoid", [u8(3, 7), F32(0.05), U8(128), F32(1 / 256), U8(0)], const=range(1, 5))
    ours("qlinear_global_average_pool", "QLinearGlobalAveragePool", [u8(2, 5, 6, 4), F32(0.05), U8(128), F32(0.03), U8(100)],
         const=range(1, 5), channels_last=0)
    ours("qlinear_concat", "QLinearConcat", [F32(0.0431), U8(120), u8(2, 3, 4), F32(0.0517), U8(128), u8(2, 2, 4), F32(0.0313), U8(99)],
         const=[0, 1, 3, 4, 6, 7], axis=1)

    def lstm(name, sequence, hidden, scales, directions=1, **attributes):
        x, size = r.f(sequence, 1, 5), 5
        rows = 4 * hidden
        scale = (lambda: some(directions)) if scales == "tensor" else (lambda: some(directions, rows))
        zero = (lambda: r.i(directions, low=-5, high=5, dtype=I8)) if scales == "tensor" else (lambda: np.zeros((directions, rows), I8))
        args = [x, i8(directions, size, rows), i8(directions, hidden, rows), r.f(directions, 2 * rows), None, r.f(directions, 1, hidden),
                r.f(directions, 1, hidden), None, scale(), zero(), scale(), zero()]
        ours(name, "DynamicQuantizeLSTM", args, outputs=3, const=[1, 2, 3, 8, 9, 10, 11], hidden_size=hidden, **attributes)

    lstm("dynamic_quantize_lstm", 3, 6, "tensor")
    lstm("dynamic_quantize_lstm_by_row", 4, 8, "row", directions=2, direction="bidirectional")

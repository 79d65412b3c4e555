"""Root-mean-square normalisation, as the standard writes it and as onnxruntime's tools do."""
import numpy as np


def cases(write, node, Rand):
    r = Rand("rms_norm")

    def case(name, kind, x, scale, opset, **attributes):
        write(name, [node(kind, ["x", "scale"], ["y"], name=f"{kind.lower()}_0", **attributes)],
              [("x", x)], ["y"], opset, [("scale", scale)])

    case("rms_norm", "RMSNormalization", r.f(2, 3, 5), r.f(5), 23)
    case("rms_norm_two_axes", "RMSNormalization", r.f(2, 3, 5), r.f(3, 5), 23, axis=1, epsilon=1e-2)
    case("rms_norm_scale_broadcasts", "RMSNormalization", r.f(2, 3, 5), r.f(1), 23, axis=-2)
    case("rms_norm_f16", "RMSNormalization", r.f(2, 6, low=-300, high=300, dtype=np.float16), r.f(6, dtype=np.float16),
         23)
    case("simplified_layer_norm", "SimplifiedLayerNormalization", r.f(2, 3, 5), r.f(5), 17, axis=-1, epsilon=1e-6,
         stash_type=1)

    x = r.f(2, 3, 6)
    decomposed = [
        node("Mul", ["x", "x"], ["square"]), node("ReduceMean", ["square", "last"], ["mean"], keepdims=1),
        node("Add", ["mean", "epsilon"], ["shifted"]), node("Sqrt", ["shifted"], ["root"]),
        node("Reciprocal", ["root"], ["inverse"]), node("Mul", ["x", "inverse"], ["normal"]),
        node("Add", ["weight", "one"], ["scale"]), node("Mul", ["normal", "scale"], ["y"])]
    write("rms_norm_decomposed_with_offset_scale", decomposed, [("x", x)], ["y"], 18, [
        ("last", np.array([-1])), ("epsilon", np.float32(1e-6)), ("one", np.float32(1)), ("weight", r.f(6))])

"""Images read at computed places."""
import numpy as np

F16, F32, I64 = np.float16, np.float32, np.int64


def cases(write, node, Rand):
    r = Rand("sampling")

    def op(name, kind, args, opset, const=(), outputs=1, **attributes):
        names = ["" if v is None else f"x{j}" for j, v in enumerate(args)]
        pairs = [(n, v) for n, v in zip(names, args) if n]
        stored = {f"x{j}" for j in const}
        out = [f"y{j}" for j in range(outputs)]
        write(name, [node(kind, names, out, name=f"{kind.lower()}_0", **attributes)],
              [p for p in pairs if p[0] not in stored], out, opset, [p for p in pairs if p[0] in stored])

    def grid(*shape):
        places = r.f(*shape, low=-1.0, high=1.0)
        beyond = r.f(*shape, low=-3.5, high=3.5)
        return np.where(r.b(*shape), places, beyond).astype(F32)

    for mode in ("bilinear", "nearest", "bicubic"):
        for padding in ("zeros", "border", "reflection"):
            for align in (0, 1):
                # Within half a pixel of an edge onnxruntime's bicubic treats one axis as the other's place says.
                places = grid(2, 4, 6, 2)
                if (mode, padding) == ("bicubic", "border"):
                    places = np.clip(places, -0.8, 0.8)
                op(f"gridsample_{mode}_{padding}_{align}", "GridSample", [r.f(2, 3, 5, 7), places], 16,
                   mode=mode, padding_mode=padding, align_corners=align)
    op("gridsample_linear", "GridSample", [r.f(1, 5, 4, 3), grid(1, 2, 3, 2)], 20, mode="linear")
    op("gridsample_cubic", "GridSample", [r.f(1, 5, 4, 3), grid(1, 2, 3, 2)], 20, mode="cubic")
    ties = np.array([-0.5, -0.25, 0, 0.25, 0.5, -1, 1, 0.75], F32)
    ties = np.stack(np.meshgrid(ties, ties), -1)[None]
    op("gridsample_nearest_ties", "GridSample", [r.f(1, 1, 4, 4), ties], 16, mode="nearest", padding_mode="zeros")
    op("gridsample_one_pixel", "GridSample", [r.f(2, 3, 1, 1), grid(2, 3, 2, 2)], 16, padding_mode="reflection")
    op("gridsample_of_infinities", "GridSample", [
        np.array([[[[np.inf, 1], [2, 3]]]], F32), np.array([[[[1, 1], [0.5, 0.5]]]], F32)], 16, align_corners=0)
    for mode in ("linear", "nearest"):
        for padding, align in (("zeros", 1), ("border", 0), ("reflection", 0), ("reflection", 1)):
            op(f"gridsample_3d_{mode}_{padding}_{align}", "GridSample", [r.f(2, 3, 3, 4, 5), grid(2, 2, 3, 4, 3)], 20,
               mode=mode, padding_mode=padding, align_corners=align)
    for align in (0, 1):
        op(f"affinegrid_2d_{align}", "AffineGrid", [r.f(2, 2, 3), np.array([2, 3, 4, 5], I64)], 20, const=[1], align_corners=align)
        # Of an aligned axis of one element onnxruntime makes 1, where ONNX's reference makes -1.
        op(f"affinegrid_3d_{align}", "AffineGrid", [r.f(2, 3, 4), np.array([2, 3, 3, 1 + align, 5], I64)], 20, const=[1], align_corners=align)

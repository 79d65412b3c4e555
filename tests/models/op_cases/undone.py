"""Regions of images, columns put back into images, maxima put back; determinants."""
import numpy as np

F16, F32, I64 = np.float16, np.float32, np.int64


def cases(write, node, Rand):
    r = Rand("undone")

    def op(name, kind, args, opset, const=(), outputs=1, **attributes):
        names = ["" if v is None else f"x{j}" for j, v in enumerate(args)]
        pairs = [(n, np.asarray(v)) for n, v in zip(names, args) if n]
        stored = {f"x{j}" for j in const}
        out = [f"y{j}" for j in range(outputs)]
        write(name, [node(kind, names, out, name=f"{kind.lower()}_0", **attributes)],
              [p for p in pairs if p[0] not in stored], out, opset, [p for p in pairs if p[0] in stored])

    image = r.f(2, 3, 7, 9)
    corners = r.f(5, 2, low=0, high=8)
    rois = np.concatenate([corners, corners + r.f(5, 2, low=0.2, high=6)], 1).astype(F32)
    rois[4] = [-9, -8, 14, 13]
    which = np.array([0, 1, 1, 0, 1], I64)
    for name, opset, attributes in [
            ("avg", 16, {}), ("max", 16, {"mode": "max"}), ("output_half_pixel", 16, {"coordinate_transformation_mode": "output_half_pixel"}),
            ("opset_10", 10, {"spatial_scale": 0.5}), ("scaled", 16, {"spatial_scale": 0.75, "output_width": 3})]:
        sizes = {"output_height": 3, "output_width": 2, "sampling_ratio": 2}
        op(f"roialign_{name}", "RoiAlign", [image, rois, which], opset, **{**sizes, **attributes})
    for name, x, size, block, attributes in [
            ("overlapping", r.f(2, 27, 6), [4, 5], [3, 3], {}),
            ("strides", r.f(1, 8, 9), [5, 7], [2, 2], {"strides": [2, 3], "pads": [0, 1, 1, 1]}),
            ("dilations", r.f(2, 6, 8), [5, 6], [1, 3], {"dilations": [1, 2], "strides": [2, 1], "pads": [1, 0, 2, 0]}),
            ("3d", r.f(1, 16, 12), [3, 4, 3], [2, 2, 2], {})]:
        op(f"col2im_{name}", "Col2Im", [x, np.array(size, I64), np.array(block, I64)], 18, const=[1, 2], **attributes)
    planes, rows, columns = np.meshgrid(np.arange(6), np.arange(2), np.arange(3), indexing="ij")
    found = planes * 24 + (2 * rows + r.i(6, 2, 3, low=0, high=2)) * 6 + 2 * columns + r.i(6, 2, 3, low=0, high=2)
    found = found.reshape(2, 3, 2, 3).astype(I64)
    op("maxunpool", "MaxUnpool", [r.f(2, 3, 2, 3), found], 11, kernel_shape=[2, 2], strides=[2, 2])
    op("maxunpool_output_shape", "MaxUnpool", [r.f(2, 3, 2, 3), found, I64([2, 3, 4, 6])], 9, const=[2], kernel_shape=[2, 2], strides=[2, 2])
    op("maxunpool_pads", "MaxUnpool", [r.f(1, 2, 2, 3), I64([[[[1, 3, 5], [13, 14, 16]], [[22, 20, 25], [29, 33, 35]]]])], 11,
       kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 0])
    for size in (1, 2, 3, 4, 5):
        op(f"det_{size}", "Det", [r.f(2, 3, size, size)], 11)
    op("det_of_one_matrix", "Det", [r.f(3, 3)], 22)
    for name, shape, attributes in [
            ("plain", (2, 3, 5, 7), {}), ("pads", (1, 3, 5, 4), {"pads": [1, 0, 1, 1]}), ("strides", (2, 2, 6, 7), {"strides": [2, 3]}),
            ("columns", (2, 2, 4, 5), {"storage_order": 1, "strides": [1, 2]}), ("dilations", (1, 2, 6, 6), {"dilations": [2, 1]})]:
        op(f"maxpool_indices_{name}", "MaxPool", [r.f(*shape)], 12, outputs=2, kernel_shape=[2, 3], **attributes)
    op("maxpool_indices_1d", "MaxPool", [r.f(2, 3, 9)], 8, outputs=2, kernel_shape=[3], strides=[2])
    op("maxpool_indices_of_equals", "MaxPool", [r.i(1, 2, 5, 5, low=0, high=3).astype(F32)], 12, outputs=2, kernel_shape=[3, 3])
    write("maxpool_and_back", [
        node("MaxPool", ["x"], ["p", "i"], kernel_shape=[2, 2], strides=[2, 2]),
        node("MaxUnpool", ["p", "i"], ["y"], kernel_shape=[2, 2], strides=[2, 2])], [("x", r.f(2, 3, 4, 6))], ["y"], 11)

"""Images: pools, resampling, padding, normalisations, transposed convolutions."""
import numpy as np
from onnx import helper

I64, F32, F16 = np.int64, np.float32, np.float16


def i64(*values):
    return np.array(values, I64)


def cases(write, node, Rand):
    def op(name, kind, args, opset, const=(), **attributes):
        names = ["" if v is None else f"x{j}" for j, v in enumerate(args)]
        pairs = [(n, np.asarray(v)) for n, v in zip(names, args) if n]
        stored = {f"x{j}" for j in const}
        write(name, [node(kind, names, ["y0"], name=f"{kind.lower()}_0", **attributes)],
              [p for p in pairs if p[0] not in stored], ["y0"], opset, [p for p in pairs if p[0] in stored])

    pools(op, Rand("pools"))
    resizes(op, Rand("resizes"))
    pads(op, Rand("pads"))
    norms(op, Rand("norms"))
    transposed(op, Rand("transposed"))
    rearranged(op, Rand("rearranged"))
    free_sizes(write, node, Rand("free sizes"))


def pools(op, r):
    x = r.f(2, 5, 7, 6)
    op("max_pool_opset_7", "MaxPool", [x], 7, kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 1])
    op("max_pool_all_negative", "MaxPool", [-np.abs(x)], 8, kernel_shape=[3, 3], pads=[1, 1, 1, 1], storage_order=1)
    op("max_pool_dilated", "MaxPool", [x], 10, kernel_shape=[3, 2], dilations=[2, 3], pads=[1, 1, 2, 0])
    for stride, kernel, pads in ((2, 3, 0), (3, 2, 0), (4, 1, 0), (2, 2, 1), (4, 2, 1)):
        op(f"max_pool_ceil_stride_{stride}_kernel_{kernel}_pads_{pads}", "MaxPool", [x], 12, ceil_mode=1,
           kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pads] * 4)
    op("max_pool_same_upper", "MaxPool", [x], 11, kernel_shape=[3, 2], strides=[2, 2], auto_pad="SAME_UPPER")
    op("max_pool_same_lower", "MaxPool", [x], 22, kernel_shape=[3, 2], strides=[2, 2], auto_pad="SAME_LOWER", ceil_mode=1)
    op("max_pool_valid_ceil", "MaxPool", [x], 22, kernel_shape=[3, 2], strides=[2, 2], auto_pad="VALID", ceil_mode=1)
    op("max_pool_1d", "MaxPool", [r.f(2, 3, 9)], 12, kernel_shape=[3], strides=[2], pads=[1, 1])
    op("max_pool_3d", "MaxPool", [r.f(1, 2, 4, 5, 3)], 12, kernel_shape=[2, 3, 2], pads=[0, 1, 1, 1, 1, 0])
    op("max_pool_f16", "MaxPool", [r.f(1, 2, 4, 5, dtype=F16)], 12, kernel_shape=[2, 3])
    for opset in (7, 11, 19, 22):
        for include in (0, 1):
            op(f"average_pool_opset_{opset}_include_{include}", "AveragePool", [x], opset, kernel_shape=[3, 2],
               strides=[2, 1], pads=[1, 0, 1, 1], count_include_pad=include)
    for include in (0, 1):
        op(f"average_pool_ceil_include_{include}", "AveragePool", [x], 19, kernel_shape=[3, 2], strides=[2, 4],
           pads=[1, 0, 0, 1], ceil_mode=1, count_include_pad=include)
        op(f"average_pool_dilated_include_{include}", "AveragePool", [x], 19, kernel_shape=[3, 2], dilations=[2, 3],
           pads=[2, 1, 1, 1], count_include_pad=include)
    op("average_pool_same_lower", "AveragePool", [x], 11, kernel_shape=[2, 3], auto_pad="SAME_LOWER")
    op("average_pool_1d", "AveragePool", [r.f(2, 3, 9)], 10, kernel_shape=[4], strides=[3], pads=[1, 2])
    op("lp_pool_default", "LpPool", [x], 11, kernel_shape=[2, 3], strides=[2, 1], pads=[1, 0, 0, 1])
    op("lp_pool_1", "LpPool", [x], 18, kernel_shape=[2, 3], p=1)
    op("lp_pool_3_dilated_ceil", "LpPool", [x], 18, kernel_shape=[2, 3], dilations=[2, 1], strides=[2, 2], p=3, ceil_mode=1)
    for p in (1, 2, 3):
        op(f"global_lp_pool_{p}", "GlobalLpPool", [r.f(2, 3, 4, 5)], 7, p=p)


def resizes(op, r):
    x = r.f(2, 3, 4, 6)
    none = np.zeros(0, F32)
    up, down, mixed = [np.array([1, 1, *s], F32) for s in ((2, 2), (0.6, 0.7), (1.7, 0.5))]
    op("upsample_opset_7_nearest", "Upsample", [x], 7, scales=[1.0, 1.0, 2.0, 1.5])
    op("upsample_opset_9_nearest", "Upsample", [x, np.array([1, 1, 3, 2], F32)], 9, const=[1])
    op("upsample_opset_9_linear", "Upsample", [x, up], 9, const=[1], mode="linear")
    op("resize_opset_10_nearest", "Resize", [x, up], 10, const=[1])
    op("resize_opset_10_nearest_halves", "Resize", [x, np.array([1, 1, 0.5, 0.5], F32)], 10, const=[1])
    op("resize_opset_10_linear", "Resize", [x, mixed], 10, const=[1], mode="linear")
    for coordinates in ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"):
        for mode in ("nearest", "linear", "cubic"):
            for name, scales in (("up", up), ("down", down), ("mixed", mixed)):
                op(f"resize_{mode}_{coordinates}_{name}", "Resize", [x, none, scales], 11, const=[1, 2], mode=mode,
                   coordinate_transformation_mode=coordinates)
    for nearest in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"):
        for coordinates, sizes in (("half_pixel", (7, 3)), ("asymmetric", (8, 5))):
            op(f"resize_nearest_{nearest}_{coordinates}", "Resize", [x, None, None, i64(2, 3, *sizes)], 13, const=[3],
               mode="nearest", nearest_mode=nearest, coordinate_transformation_mode=coordinates)
    op("resize_tf_half_pixel_for_nn", "Resize", [x, none, up], 11, const=[1, 2],
       coordinate_transformation_mode="tf_half_pixel_for_nn")
    for mode in ("nearest", "linear", "cubic"):
        op(f"resize_{mode}_half_pixel_symmetric", "Resize", [x, None, np.array([1.3, 1.9], F32)], 19, const=[2], axes=[2, 3],
           mode=mode, coordinate_transformation_mode="half_pixel_symmetric")
        roi = np.array([0, 0, 0.4, -0.3, 1, 1, 1.2, 0.8], F32)
        op(f"resize_{mode}_crop", "Resize", [x, roi, None, i64(2, 3, 5, 4)], 13, const=[1, 3], mode=mode,
           coordinate_transformation_mode="tf_crop_and_resize", extrapolation_value=7.5)
    op("resize_crop_to_one", "Resize", [x, np.array([0, 0, 0.2, 0.3, 1, 1, 0.8, 0.7], F32), None, i64(2, 3, 1, 1)], 13,
       const=[1, 3], mode="linear", coordinate_transformation_mode="tf_crop_and_resize")
    op("resize_to_one", "Resize", [x, None, None, i64(2, 3, 1, 1)], 13, const=[3], mode="linear",
       coordinate_transformation_mode="pytorch_half_pixel")
    op("resize_cubic_exclude_outside", "Resize", [x, None, np.array([1, 1, 1.8, 0.8], F32)], 13, const=[2], mode="cubic",
       cubic_coeff_a=-0.5, exclude_outside=1)
    op("resize_cubic_of_few", "Resize", [r.f(1, 2, 3, 2), None, np.array([1, 1, 3, 2.5], F32)], 13, const=[2], mode="cubic")
    op("resize_axes", "Resize", [x, None, None, i64(9, 7)], 18, const=[3], axes=[3, 2], mode="linear")
    op("resize_negative_axes", "Resize", [x, None, np.array([2, 0.5], F32)], 18, const=[2], axes=[-1, -2], mode="linear")
    for policy in ("not_larger", "not_smaller"):
        op(f"resize_{policy}", "Resize", [x, None, None, i64(7, 9)], 18, const=[3], axes=[2, 3], mode="linear",
           keep_aspect_ratio_policy=policy)
    op("resize_policy_beside_scales", "Resize", [x, None, up], 18, const=[2], keep_aspect_ratio_policy="stretch", antialias=0,
       coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    op("resize_antialias_up", "Resize", [x, None, up], 18, const=[2], mode="linear", antialias=1)
    op("resize_to_the_same", "Resize", [x, None, None, i64(2, 3, 4, 6)], 13, const=[3], mode="cubic")
    op("resize_signal", "Resize", [r.f(2, 3, 7), None, np.array([1, 1, 1.5], F32)], 13, const=[2], mode="linear")
    op("resize_scale_rounds_in_f32", "Resize", [r.f(1, 1, 10, 5), None, np.array([1, 1, 0.7, 0.6], F32)], 13, const=[2],
       mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")


def pads(op, r):
    x = r.f(2, 3, 4, 5)
    op("pad_opset_2", "Pad", [x], 7, pads=[0, 0, 1, 2, 0, 1, 0, 3], value=1.5)
    op("pad_opset_2_reflect", "Pad", [x], 10, pads=[0, 0, 3, 2, 0, 0, 1, 4], mode="reflect")
    op("pad_constant", "Pad", [x, i64(1, 0, 1, 2, 0, 1, 0, 3), F32(-2)], 11, const=[1, 2])
    op("pad_without_value", "Pad", [x, i64(0, 0, 1, 2, 0, 0, 0, 3)], 13, const=[1])
    op("pad_edge", "Pad", [x, i64(0, 2, 1, 2, 1, 0, 6, 3)], 13, const=[1], mode="edge")
    op("pad_axes", "Pad", [x, i64(1, 2, 3, 0), None, i64(-1, 1)], 18, const=[1, 3])
    op("pad_axes_value", "Pad", [x, i64(1, 2), F32(4), i64(2)], 21, const=[1, 2, 3])
    op("pad_wrap", "Pad", [x, i64(0, 0, 5, 2, 0, 1, 0, 11)], 19, const=[1], mode="wrap")
    for mode in ("constant", "edge", "reflect"):
        op(f"pad_negative_{mode}", "Pad", [x, i64(0, 0, -1, 2, 0, -1, 2, -2)], 13, const=[1], mode=mode)
    op("pad_crop_only", "Pad", [x, i64(0, -1, -1, 0, 0, 0, -2, -1)], 13, const=[1])
    op("pad_nothing", "Pad", [x, i64(0, 0, 0, 0, 0, 0, 0, 0)], 13, const=[1])
    op("pad_i64", "Pad", [r.i(2, 3), i64(1, 0, 0, 2), I64(-9)], 13, const=[1, 2])
    op("pad_bool", "Pad", [r.b(2, 3), i64(1, 0, 0, 2), np.bool_(True)], 13, const=[1, 2])
    op("pad_of_nothing", "Pad", [r.f(0, 3), i64(1, 0, 1, 2), F32(3)], 13, const=[1, 2])


def norms(op, r):
    x = r.f(2, 6, 3, 5)
    op("instance_norm", "InstanceNormalization", [x, r.f(6), r.f(6)], 7, const=[1, 2], epsilon=1e-2)
    op("instance_norm_1d", "InstanceNormalization", [r.f(2, 3, 7), r.f(3), r.f(3)], 22, const=[1, 2])
    op("instance_norm_at_run_time", "InstanceNormalization", [r.f(1, 3, 2, 4), r.f(3), r.f(3)], 6 + 1)
    op("group_norm_opset_18", "GroupNormalization", [x, r.f(2), r.f(2)], 18, const=[1, 2], num_groups=2)
    op("group_norm_opset_21", "GroupNormalization", [x, r.f(6), r.f(6)], 21, const=[1, 2], num_groups=3, epsilon=1e-3)
    op("group_norm_3d", "GroupNormalization", [r.f(1, 4, 2, 3, 2), r.f(4), r.f(4)], 21, const=[1, 2], num_groups=2)
    op("mean_variance_norm", "MeanVarianceNormalization", [x], 13)
    op("mean_variance_norm_axes", "MeanVarianceNormalization", [x], 9, axes=[1, -1])
    op("lrn", "LRN", [r.f(2, 7, 3, 4)], 7, size=3)


def transposed(op, r):
    def conv(name, x, w, bias=None, opset=11, **attributes):
        args = [x, w] if bias is None else [x, w, bias]
        op(f"conv_transpose_{name}", "ConvTranspose", args, opset, const=range(1, len(args)), **attributes)

    x = r.f(2, 3, 4, 5)
    conv("plain", x, r.f(3, 5, 3, 2), r.f(5))
    conv("strides_pads", x, r.f(3, 5, 3, 2), strides=[2, 3], pads=[1, 0, 2, 1])
    conv("output_padding", x, r.f(3, 5, 3, 2), strides=[2, 3], output_padding=[1, 2])
    conv("dilated", x, r.f(3, 5, 3, 2), dilations=[2, 3], strides=[1, 2])
    conv("groups", r.f(1, 6, 3, 4), r.f(6, 2, 3, 3), r.f(6), group=3, strides=[2, 2])
    for auto_pad in ("NOTSET", "SAME_UPPER", "SAME_LOWER"):
        conv(f"output_shape_{auto_pad.lower()}", x, r.f(3, 2, 3, 4), strides=[2, 2], output_shape=[8, 9], auto_pad=auto_pad)
    for auto_pad in ("SAME_UPPER", "SAME_LOWER", "VALID"):
        conv(auto_pad.lower(), x, r.f(3, 2, 3, 3), strides=[2, 2], auto_pad=auto_pad, opset=22)
    conv("1d", r.f(2, 3, 5), r.f(3, 4, 4), r.f(4), strides=[2], pads=[1, 1])
    conv("3d", r.f(1, 2, 2, 3, 2), r.f(2, 3, 2, 2, 3), strides=[2, 1, 1])
    conv("output_shape_beyond", r.f(1, 2, 3, 3), r.f(2, 3, 3, 3), strides=[3, 2], output_shape=[11, 8])


def rearranged(op, r):
    op("depth_to_space_opset_7", "DepthToSpace", [r.f(2, 12, 2, 3)], 7, blocksize=2)
    op("depth_to_space_dcr", "DepthToSpace", [r.f(1, 18, 2, 3)], 11, blocksize=3, mode="DCR")
    op("depth_to_space_crd", "DepthToSpace", [r.f(2, 12, 2, 3)], 13, blocksize=2, mode="CRD")
    op("space_to_depth", "SpaceToDepth", [r.f(2, 3, 4, 6)], 13, blocksize=2)


def free_sizes(write, node, r):
    """Sizes of images that are not known before the model runs."""
    x = ("x", r.f(2, 3, 7, 6))
    free = [("x", 0, "batch"), ("x", 2, "height"), ("x", 3, "width")]
    none = np.zeros(0, F32)
    write("pool_of_free_sizes", [
        node("MaxPool", ["x"], ["a"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1),
        node("AveragePool", ["a"], ["y"], kernel_shape=[2, 2])], [x], ["y"], 13, free=free)
    write("resize_free_sizes_by_scales", [
        node("Resize", ["x", "", "scales"], ["y"], mode="linear")], [x], ["y"], 13,
        [("scales", np.array([1, 1, 2, 1.5], F32))], free=free)
    write("resize_free_sizes_like_another", [
        node("Relu", ["x"], ["small"]), node("MaxPool", ["small"], ["pooled"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Shape", ["x"], ["shape"]), node("Shape", ["pooled"], ["pooled_shape"]),
        node("Slice", ["shape", "two", "four"], ["sizes"]), node("Slice", ["pooled_shape", "zero", "two"], ["outer"]),
        node("Concat", ["outer", "sizes"], ["target"], axis=0),
        node("Resize", ["pooled", "none", "none", "target"], ["up"], mode="linear",
             coordinate_transformation_mode="align_corners"),
        node("Add", ["up", "x"], ["y"])], [x], ["y"], 11,
        [("none", none), ("zero", i64(0)), ("two", i64(2)), ("four", i64(4))], free=free)
    write("pad_and_transposed_conv_of_free_sizes", [
        node("Pad", ["x", "pads"], ["wide"], mode="edge"),
        node("ConvTranspose", ["wide", "w"], ["y"], strides=[2, 2], pads=[1, 0, 1, 0])], [x], ["y"], 13,
        [("pads", i64(0, 0, 1, 0, 0, 0, 0, 2)), ("w", r.f(3, 2, 3, 2))], free=free)
    groups = [("reshaped", i64(0, 2, -1)), ("ones", np.ones(2, F32)), ("zeros", np.zeros(2, F32)),
              ("scale", r.f(6, 1, 1)), ("bias", r.f(6, 1, 1))]
    write("group_norm_as_torch_writes_it", [
        node("Shape", ["x"], ["shape"]), node("Reshape", ["x", "reshaped"], ["rows"]),
        node("InstanceNormalization", ["rows", "ones", "zeros"], ["normal"], epsilon=1e-5),
        node("Reshape", ["normal", "shape"], ["image"]), node("Mul", ["image", "scale"], ["scaled"]),
        node("Add", ["scaled", "bias"], ["y"])], [("x", r.f(2, 6, 3, 4))], ["y"], 13, groups,
        free=[("x", 0, "batch"), ("x", 2, "height"), ("x", 3, "width")])

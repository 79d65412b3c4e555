"""Convolutions whose weights are data, and windows over three spatial axes."""
import numpy as np

F32 = np.float32


def cases(write, node, Rand):
    r = Rand("volumes")

    def op(name, kind, args, const=(), opset=19, **attributes):
        names = [f"x{j}" for j in range(len(args))]
        pairs = list(zip(names, args))
        stored = {f"x{j}" for j in const}
        write(name, [node(kind, names, ["y"], name=f"{kind.lower()}_0", **attributes)],
              [p for p in pairs if p[0] not in stored], ["y"], opset, [p for p in pairs if p[0] in stored])

    op("conv_of_data_few_results", "Conv", [r.f(2, 5, 6, 4), r.f(3, 5, 3, 2), r.f(3)], strides=[2, 1], pads=[1, 0, 1, 1], dilations=[1, 2])
    op("conv_of_data_groups", "Conv", [r.f(2, 6, 5, 7), r.f(9, 2, 3, 3)], group=3, pads=[0, 1, 2, 1])
    op("conv_of_data_depthwise_1d", "Conv", [r.f(2, 5, 9), r.f(5, 1, 4), r.f(5)], group=5, pads=[3, 0])
    op("conv_of_data_one_tap", "Conv", [r.f(1, 3, 4, 5), r.f(2, 3, 1, 1)])
    op("volume_conv", "Conv", [r.f(2, 5, 4, 6, 5), r.f(10, 5, 3, 2, 3), r.f(10)], const=[1, 2], strides=[1, 2, 1], pads=[1, 0, 1, 0, 1, 1])
    op("volume_conv_groups", "Conv", [r.f(1, 4, 5, 4, 6), r.f(6, 2, 2, 2, 2)], const=[1], group=2, dilations=[2, 1, 3])
    op("volume_conv_of_data", "Conv", [r.f(1, 3, 4, 4, 5), r.f(2, 3, 2, 3, 1)])
    op("conv_transpose_of_data", "ConvTranspose", [r.f(2, 5, 4, 3), r.f(5, 3, 3, 2), r.f(3)], strides=[2, 3], pads=[1, 0, 2, 1],
       output_padding=[1, 2])
    op("conv_transpose_of_data_groups", "ConvTranspose", [r.f(1, 6, 3, 4), r.f(6, 2, 3, 3)], group=2, dilations=[2, 1])
    op("conv_transpose_of_data_cut", "ConvTranspose", [r.f(1, 2, 6, 7), r.f(2, 3, 2, 1)], pads=[2, 1, 2, 3])
    op("conv_transpose_of_data_1d", "ConvTranspose", [r.f(2, 3, 5), r.f(3, 4, 4)], strides=[2])
    op("volume_conv_transpose", "ConvTranspose", [r.f(1, 4, 3, 2, 3), r.f(4, 5, 2, 3, 2), r.f(5)], const=[1, 2], strides=[2, 1, 2],
       pads=[0, 1, 0, 1, 0, 1])
    volume = r.f(2, 3, 5, 6, 7)
    op("volume_max_pool", "MaxPool", [volume], kernel_shape=[2, 3, 2], strides=[2, 1, 3], pads=[1, 0, 1, 0, 1, 0])
    op("volume_max_pool_ceil_dilated", "MaxPool", [volume], kernel_shape=[2, 2, 3], strides=[2, 2, 2], dilations=[2, 1, 1], ceil_mode=1)
    op("volume_average_pool", "AveragePool", [volume], kernel_shape=[2, 3, 2], strides=[1, 2, 2], pads=[1, 1, 0, 0, 1, 1])
    op("volume_average_pool_count_padding", "AveragePool", [volume], kernel_shape=[3, 2, 2], pads=[1, 1, 0, 1, 0, 1], count_include_pad=1)
    op("volume_average_pool_ceil", "AveragePool", [volume], kernel_shape=[2, 2, 2], strides=[2, 2, 3], pads=[1, 0, 0, 1, 1, 0], ceil_mode=1)
    op("volume_lp_pool", "LpPool", [volume], kernel_shape=[2, 2, 2], strides=[2, 1, 2], p=3)

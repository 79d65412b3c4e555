"""Sizes of images as exporters compute them: taken from shapes, scaled as floats, and rounded to sizes again."""
import numpy as np

F32, I64 = np.float32, np.int64
FLOAT, INT64 = 1, 7

# Height and width of each data set.
IMAGES = [(7, 8), (1, 1), (8, 3), (4, 5)]


def i64(*values):
    return np.array(values, I64)


def cases(write, node, Rand):
    r = Rand("sizes")
    images = [r.f(1, 3, *size) for size in IMAGES]

    def on_images(name, nodes, outputs, constants=()):
        more = [[("x", x)] for x in images[1:]]
        write(f"free_sizes_{name}", nodes, [("x", images[0])], outputs, 17, constants,
              free=[("x", 2, "height"), ("x", 3, "width")], more=more)

    def scaled(by, rounding, op="Mul"):
        """Height and width, each for itself, times a number: what interpolate() with recomputed scales becomes."""
        nodes = [node("Shape", ["x"], ["shape"])]
        for axis in ("height", "width"):
            nodes += [
                node("Gather", ["shape", f"{axis}_at"], [axis]), node("Cast", [axis], [f"{axis}_float"], to=FLOAT),
                node(op, [f"{axis}_float", "by"], [f"{axis}_scaled"]), node(rounding, [f"{axis}_scaled"], [f"{axis}_whole"]),
                node("Unsqueeze", [f"{axis}_whole", "zero"], [f"{axis}_row"])]
        return nodes + [
            node("Concat", ["height_row", "width_row"], ["both_float"], axis=0), node("Cast", ["both_float"], ["both"], to=INT64),
            node("Slice", ["shape", "zero", "two", "zero"], ["front"]), node("Concat", ["front", "both"], ["sizes"], axis=0),
        ], [("height_at", np.array(2, I64)), ("width_at", np.array(3, I64)), ("zero", i64(0)), ("two", i64(2)), ("by", np.array(by, F32))]

    def resized(name, by, rounding, mode, op="Mul"):
        nodes, constants = scaled(by, rounding, op)
        resize = node("Resize", ["x", "", "", "sizes"], ["y"], mode=mode, coordinate_transformation_mode="asymmetric" if mode == "nearest"
                      else "half_pixel", nearest_mode="floor")
        on_images(name, nodes + [resize], ["y"], constants)

    resized("twice_as_floats", 2.0, "Floor", "nearest")
    resized("half_more_as_floats", 1.5, "Floor", "linear")
    resized("halves_as_floats", 2.0, "Ceil", "linear", "Div")
    resized("seven_tenths_as_floats", 0.7, "Ceil", "linear")
    # All sizes at once, by a list of scales.
    on_images("list_as_floats", [
        node("Shape", ["x"], ["shape"]), node("Cast", ["shape"], ["float"], to=FLOAT), node("Mul", ["float", "scales"], ["scaled"]),
        node("Cast", ["scaled"], ["sizes"], to=INT64), node("Resize", ["x", "", "", "sizes"], ["y"], mode="linear")],
        ["y"], [("scales", np.array([1, 1, 1.5, 3], F32))])
    # The rows of a mask of half the height, rounded up.
    on_images("mask_as_floats", [
        node("Shape", ["x"], ["shape"]), node("Slice", ["shape", "two", "three", "zero"], ["height"]), node("Cast", ["height"], ["float"], to=FLOAT),
        node("Div", ["float", "by"], ["half"]), node("Ceil", ["half"], ["whole"]), node("Cast", ["whole"], ["rows"], to=INT64),
        node("Slice", ["x", "zero", "rows", "two"], ["y"])],
        ["y"], [("zero", i64(0)), ("two", i64(2)), ("three", i64(3)), ("by", np.array(2, F32))])

    # Of no element; a mean is left out, since ONNX leaves it open. There is one model for all floats, and one for each other type.
    axes = [("axes", i64(1))]
    floats = ["Sum", "Prod", "Max", "Min", "L1", "L2", "SumSquare", "LogSum", "LogSumExp"]
    write("reductions_of_nothing", [node(f"Reduce{kind}", ["x", "axes"], [kind], keepdims=0) for kind in floats],
          [("x", np.zeros((3, 0, 2), F32))], floats, 20, axes)
    integers = ["Sum", "Prod", "Max", "Min"]
    write("reductions_of_nothing_i32", [node(f"Reduce{kind}", ["x", "axes"], [kind], keepdims=0) for kind in integers],
          [("x", np.zeros((3, 0, 2), np.int32))], integers, 20, axes)
    write("reductions_of_nothing_i8", [node(f"Reduce{kind}", ["x", "axes"], [kind], keepdims=0) for kind in integers[2:]],
          [("x", np.zeros((3, 0, 2), np.int8))], integers[2:], 20, axes)

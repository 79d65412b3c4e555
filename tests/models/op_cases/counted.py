"""Operators whose results are as large as data say, and what is computed with such results."""
import numpy as np

F32, I64, I32, BOOL = np.float32, np.int64, np.int32, np.bool_


def i64(*values):
    return np.array(values, I64)


def cases(write, node, Rand):
    r = Rand("counted")
    some = np.array([[0, 1.5, 0, -2], [0, 0, 0, 3], [-0.0, 0, np.nan, 0]], F32)
    write("non_zero_of_data", [node("NonZero", ["x"], ["y"])], [("x", some)], ["y"], 13)
    write("non_zero_of_nothing", [node("NonZero", ["x"], ["y"])], [("x", np.zeros((2, 3), F32))], ["y"], 9)
    write("non_zero_of_all", [node("NonZero", ["x"], ["y"])], [("x", np.ones(5, BOOL))], ["y"], 13)
    write("non_zero_i64", [node("NonZero", ["x"], ["y"])], [("x", r.i(2, 1, 3, 2, low=-1, high=2))], ["y"], 13)
    flags = np.array([1, 0, 1, 1], BOOL)
    write("compress_of_data", [node("Compress", ["x", "c"], ["y"], axis=1)], [("x", r.f(3, 5, 2)), ("c", flags)], ["y"], 11)
    write("compress_of_data_flat", [node("Compress", ["x", "c"], ["y"])], [("x", r.f(3, 2)), ("c", flags)], ["y"], 9)
    for k in (0, 2, 7):
        write(f"top_k_of_data_{k}", [node("TopK", ["x", "k"], ["y", "i"])], [("x", r.f(3, 7)), ("k", i64(k))], ["y", "i"], 11)
    write("top_k_of_data_smallest", [node("TopK", ["x", "k"], ["y", "i"], axis=0, largest=0)],
          [("x", r.i(6, 2)), ("k", i64(4))], ["y", "i"], 11)
    slices = {"": ([1, -3], [4, 9], [0, 1], [1, 2]), "_down": ([5], [-20], [1], [-2]), "_empty": ([3], [1], [0], [1])}
    for name, (starts, ends, axes, steps) in slices.items():
        write(f"slice_of_data{name}", [node("Slice", ["x", "s", "e", "axes", "steps"], ["y"])],
              [("x", r.f(5, 6)), ("s", i64(*starts)), ("e", i64(*ends))], ["y"], 13,
              [("axes", i64(*axes)), ("steps", i64(*steps))])
    # What is computed with as many as there are.
    places = [node("Greater", ["score", "least"], ["is_high"]), node("NonZero", ["is_high"], ["at"]),
              node("Transpose", ["at"], ["tuples"], perm=[1, 0]), node("GatherND", ["x", "tuples"], ["rows"])]
    x, score, least = ("x", r.f(9, 4)), ("score", np.array([3, 0, 2, -1, 5, 0, 1, 0, 4], F32)), ("least", np.array(0.5, F32))
    none = ("least", np.array(9, F32))
    rows = [x, score]

    def on_rows(name, nodes, outputs, constants=(), least=least, opset=18):
        write(f"counted_rows_{name}", places + nodes, rows + [least], outputs, opset, constants)

    on_rows("as_they_are", [], ["rows"])
    on_rows("of_none", [], ["rows", "at"], least=none)
    on_rows("product", [node("MatMul", ["rows", "w"], ["p"]), node("Relu", ["p"], ["q"]), node("Softmax", ["q"], ["y"], axis=1)],
            ["y"], [("w", r.f(4, 3))])
    # The second factor is read across: a layer as exporters write it, and rows by rows in both orders.
    on_rows("layer", [node("Gemm", ["rows", "w", "b"], ["p"], transB=1), node("Einsum", ["rows", "w"], ["q"], equation="nc,kc->nk"),
                      node("Einsum", ["w", "rows"], ["r"], equation="kc,nc->kn"), node("Einsum", ["rows", "rows"], ["s"], equation="nc,nk->ck"),
                      node("Einsum", ["rows", "rows"], ["t"], equation="nc,mc->nm")],
            ["p", "q", "r", "s", "t"], [("w", Rand("layer").f(3, 4)), ("b", Rand("layer").f(3))])
    on_rows("reduced", [
        node("ReduceSum", ["rows", "zero"], ["sum"], keepdims=0), node("ReduceMean", ["rows", "zero"], ["mean"]),
        node("ReduceMax", ["rows", "zero"], ["max"]), node("ReduceMin", ["rows"], ["min"], keepdims=0),
        node("ReduceProd", ["rows", "zero"], ["prod"]), node("ReduceL2", ["rows", "zero"], ["norm"]),
        node("ReduceLogSumExp", ["rows", "zero"], ["lse"])],
        ["sum", "mean", "max", "min", "prod", "norm", "lse"], [("zero", i64(0))])
    on_rows("searched", [
        node("ArgMax", ["rows"], ["best"], axis=0), node("ArgMin", ["rows"], ["worst"], axis=0, keepdims=0),
        node("Softmax", ["rows"], ["soft"], axis=0), node("CumSum", ["rows", "along"], ["sums"], reverse=1),
        node("CumSum", ["rows", "along"], ["sums_up"], exclusive=1)],
        ["best", "worst", "soft", "sums", "sums_up"], [("along", np.array(0, I64))])
    on_rows("gram", [node("Transpose", ["rows"], ["turned"]), node("MatMul", ["turned", "rows"], ["small"]),
                     node("MatMul", ["rows", "turned"], ["large"])], ["small", "large"])
    on_rows("shapes", [
        node("Shape", ["rows"], ["shape"]), node("Size", ["rows"], ["size"]), node("Reshape", ["rows", "flat"], ["line"]),
        node("Unsqueeze", ["rows", "one"], ["four"]), node("Cast", ["size"], ["number"], to=1), node("Mul", ["line", "number"], ["y"])],
        ["shape", "y", "four"], [("flat", i64(-1)), ("one", i64(1))])
    on_rows("joined", [
        node("Concat", ["x", "rows"], ["behind"], axis=0), node("Concat", ["rows", "x", "rows"], ["around"], axis=0),
        node("Concat", ["rows", "rows"], ["beside"], axis=1)], ["behind", "around", "beside"])
    on_rows("cut", [
        node("Slice", ["rows", "zero", "three", "zero"], ["front"]), node("Slice", ["rows", "two", "far", "zero"], ["back"]),
        node("Slice", ["rows", "minus", "far", "zero"], ["last"]), node("Gather", ["rows", "ends"], ["some"])],
        ["front", "back", "last", "some"],
        [("zero", i64(0)), ("two", i64(2)), ("three", i64(3)), ("far", i64(2**62)), ("minus", i64(-2)), ("ends", i64(0, -1))])
    on_rows("counted_again", [
        node("ReduceSum", ["rows", "one"], ["total"], keepdims=0), node("Greater", ["total", "zero"], ["is_up"]),
        node("Compress", ["rows", "is_up"], ["y"], axis=0)], ["y"], [("one", i64(1)), ("zero", np.array(0, F32))])
    on_rows("best_of", [node("Shape", ["rows"], ["shape"]), node("Gather", ["shape", "zero"], ["count"]), node("Min", ["count", "three"], ["k"]),
                        node("Gather", ["rows", "column"], ["line"], axis=1), node("TopK", ["line", "k"], ["y", "i"])],
            ["y", "i"], [("zero", i64(0)), ("three", i64(3)), ("column", np.array(1, I64))])
    on_rows("least_of", [node("Shape", ["rows"], ["shape"]), node("Gather", ["shape", "zero"], ["k"]),
                         node("TopK", ["rows", "k"], ["y", "i"], axis=0, largest=0)], ["y", "i"], [("zero", i64(0))])
    on_rows("written_back", [node("Mul", ["rows", "two"], ["twice"]), node("ScatterND", ["x", "tuples", "twice"], ["y"]),
                             node("ScatterND", ["x", "tuples", "twice"], ["z"], reduction="add")],
            ["y", "z"], [("two", np.array(2, F32))])
    on_rows("numbered", [node("Shape", ["rows"], ["shape"]), node("Gather", ["shape", "zero"], ["count"]),
                         node("Range", ["zero", "count", "one"], ["y"]), node("ConstantOfShape", ["shape"], ["none"])],
            ["y", "none"], [("zero", np.array(0, I64)), ("one", np.array(1, I64))])

    # Of boxes that overlap some are kept.
    def boxes(images, count, size=10.0):
        low = r.f(images, count, 2, low=0.0, high=size)
        return np.concatenate([low, low + r.f(images, count, 2, low=0.5, high=4.0)], 2)

    def kept(name, given, scores, most=None, overlap=None, least=None, stored=True, opset=11, **attributes):
        numbers = [("most", most, I64), ("overlap", overlap, F32), ("least", least, F32)]
        numbers = [(n, np.array([v], t)) for n, v, t in numbers if v is not None]
        names = {n for n, _ in numbers}
        operands = [n if n in names else "" for n in ("most", "overlap", "least")]
        while operands and not operands[-1]:
            operands.pop()
        write(f"non_max_suppression_{name}", [node("NonMaxSuppression", ["boxes", "scores", *operands], ["kept"], **attributes)],
              [("boxes", given), ("scores", scores)] + ([] if stored else numbers), ["kept"], opset, numbers if stored else ())

    kept("of_two_images", boxes(2, 13), r.f(2, 3, 13), 4, 0.3, 0.1)
    kept("by_center", np.abs(boxes(1, 30)), r.f(1, 2, 30), 30, 0.2, center_point_box=1)
    kept("numbers_at_run_time", boxes(1, 9), r.f(1, 2, 9), 3, 0.4, 0.0, stored=False)
    kept("without_numbers", boxes(1, 5), r.f(1, 1, 5))
    kept("none_high_enough", boxes(1, 6), r.f(1, 2, 6), 5, 0.5, 9.0)
    kept("all", boxes(1, 7) + 20 * np.arange(7, dtype=F32).reshape(1, 7, 1), r.f(1, 1, 7), 100, 0.5)
    kept("equal_scores", boxes(1, 12, 4.0), np.round(r.f(1, 2, 12)), 12, 0.3, opset=10)
    turned = boxes(1, 11)
    kept("turned_corners", np.where(r.b(1, 11, 1), turned, turned[:, :, [2, 1, 0, 3]]), r.f(1, 2, 11), 11, 0.25)
    flat = boxes(1, 8)
    flat[0, ::3, 2] = flat[0, ::3, 0]
    kept("empty_boxes", flat, r.f(1, 1, 8), 8, 0.0)
    kept("many", boxes(1, 700, 40.0), r.f(1, 2, 700), 60, 0.2, 0.5)
    write("detections", [
        node("NonMaxSuppression", ["boxes", "scores", "most", "overlap", "least"], ["kept"]),
        node("GatherND", ["scores", "kept"], ["score"]), node("Gather", ["kept", "two"], ["place"], axis=1),
        node("Gather", ["kept", "one"], ["class"], axis=1), node("Squeeze", ["boxes", "zero"], ["own"]),
        node("Gather", ["own", "place"], ["box"]), node("Split", ["box"], ["low", "high"], axis=1, num_outputs=2),
        node("Sub", ["high", "low"], ["size"]), node("Concat", ["low", "size"], ["found"], axis=1),
        node("Shape", ["kept"], ["shape"]), node("Gather", ["shape", "number"], ["count"]), node("Min", ["count", "five"], ["k"]),
        node("TopK", ["score", "k"], ["best", "best_at"]), node("Gather", ["found", "best_at"], ["best_found"])],
          [("boxes", boxes(1, 40)), ("scores", r.f(1, 3, 40))], ["found", "score", "class", "best", "best_found"], 18,
          [("most", i64(10)), ("overlap", np.array([0.3], F32)), ("least", np.array([0.2], F32)), ("zero", i64(0)),
           ("number", i64(0)), ("one", np.array(1, I64)), ("two", np.array(2, I64)), ("five", i64(5))])
    # What is different.
    few = r.i(17, low=0, high=6)
    for is_sorted in (0, 1):
        write(f"unique_sorted_{is_sorted}", [node("Unique", ["x"], ["y", "first", "inverse", "counts"], sorted=is_sorted)],
              [("x", few.astype(F32).reshape(1, 17))], ["y", "first", "inverse", "counts"], 11)
        rows = np.stack([few % 2, few // 4], 1)
        write(f"unique_rows_sorted_{is_sorted}", [node("Unique", ["x"], ["y", "first", "inverse", "counts"], sorted=is_sorted, axis=0)],
              [("x", rows)], ["y", "first", "inverse", "counts"], 11)
    write("unique_columns", [node("Unique", ["x"], ["y", "first", "inverse", "counts"], axis=-1)],
          [("x", np.round(r.f(2, 2, 9, low=0, high=1.4)))], ["y", "first", "inverse", "counts"], 11)
    write("unique_only_values", [node("Unique", ["x"], ["y"])], [("x", i64(5, 5, 5))], ["y"], 11)
    # Joined of what is known and what is data.
    write("slice_of_data_beside_constants", [
        node("Concat", ["one", "n"], ["s"], axis=0), node("Concat", ["three", "six"], ["e"], axis=0), node("Slice", ["x", "s", "e"], ["y"])],
        [("x", r.f(5, 6)), ("n", i64(2))], ["y"], 13, [("one", i64(1)), ("three", i64(3)), ("six", i64(6))])

    # Downwards a start before the first element is the first.
    r = Rand("slices from before")
    before = [("s", i64(-9)), ("e", i64(-30))]
    steps = [("axes", i64(1)), ("steps", i64(-2))]
    sliced = [node("Slice", ["x", "s", "e", "axes", "steps"], ["y"])]
    write("slice_of_data_from_before", sliced, [("x", r.f(2, 6)), *before], ["y"], 13, steps)
    write("slice_from_before", sliced, [("x", r.f(2, 6))], ["y"], 13, [*before, *steps])

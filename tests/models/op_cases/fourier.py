"""Fourier transforms, windows and the mel scale."""
import numpy as np

F32, I64 = np.float32, np.int64


def cases(write, node, Rand):
    r = Rand("fourier")

    def op(name, kind, args, opset, const=(), outputs=1, **attributes):
        names = ["" if v is None else f"x{j}" for j, v in enumerate(args)]
        pairs = [(n, np.asarray(v)) for n, v in zip(names, args) if n]
        stored = {f"x{j}" for j in const}
        out = [f"y{j}" for j in range(outputs)]
        write(name, [node(kind, names, out, name=f"{kind.lower()}_0", **attributes)],
              [p for p in pairs if p[0] not in stored], out, opset, [p for p in pairs if p[0] in stored])

    real, both = r.f(2, 9, 5, 1), r.f(2, 9, 5, 2)
    for name, x, opset, attributes in [
            ("real", real, 17, {}), ("complex_axis_2", both, 17, {"axis": 2}), ("onesided", real, 17, {"onesided": 1}),
            ("onesided_even", r.f(2, 8, 1), 17, {"onesided": 1}), ("inverse", both, 17, {"inverse": 1}),
            ("of_one", r.f(3, 1, 2), 17, {})]:
        op(f"dft_{name}", "DFT", [x], opset, **attributes)
    for name, x, length, axis, attributes in [
            ("shorter", real, 6, 1, {}), ("longer", both, 16, 1, {}), ("longer_onesided", real, 7, 2, {"onesided": 1}),
            ("inverse_of_first", both, 5, 0, {"inverse": 1})]:
        op(f"dft20_{name}", "DFT", [x, I64(length), I64(axis)], 20, const=[1, 2], **attributes)
    op("dft20_default_axis", "DFT", [real], 20)
    signal = r.f(2, 20, 1)
    for name, args, attributes in [
            ("window", [signal, I64(3), r.f(8)], {}), ("window_and_length", [signal, I64(4), r.f(7), I64(7)], {}),
            ("no_window", [signal, I64(5), None, I64(6)], {}), ("twosided", [signal, I64(3), r.f(8)], {"onesided": 0}),
            ("complex", [r.f(2, 20, 2), I64(3), r.f(8)], {"onesided": 0})]:
        op(f"stft_{name}", "STFT", args, 17, const=[1, 2, 3], **attributes)
    op("stft_window_is_data", "STFT", [signal, I64(3), r.f(8)], 17, const=[1])
    for kind in ("HannWindow", "HammingWindow", "BlackmanWindow"):
        op(f"{kind.lower()}_periodic", kind, [I64(10)], 17, const=[0])
        op(f"{kind.lower()}_symmetric", kind, [I64(9)], 17, const=[0], periodic=0)
    for name, numbers in [("usual", (40, 512, 16000, 20.0, 7600.0)), ("narrow", (8, 16, 8192, 0.0, 4096.0))]:
        args = [I64(numbers[0]), I64(numbers[1]), I64(numbers[2]), F32(numbers[3]), F32(numbers[4])]
        op(f"melweightmatrix_{name}", "MelWeightMatrix", args, 17, const=range(5))

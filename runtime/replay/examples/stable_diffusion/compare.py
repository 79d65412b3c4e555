#!/usr/bin/env python3
"""Run the example's loop in onnxruntime and compare it step by step.

usage: compare.py TRACE TEXT_ENCODER.onnx UNET.onnx VAE_DECODER.onnx [--scheduler pndm|ddim] [--steps N] [--guidance G]
       compare.py --self-check
(needs: pip install onnxruntime numpy)

TRACE is what the example wrote with --trace. Two things are compared: each UNet evaluation on the example's own latents, and
the whole loop from the same first latents. Errors are relative to the largest magnitude of the reference; the exit code is 1
where an evaluation is off by more than --tolerance.
"""
import argparse
import sys
from pathlib import Path

import numpy as np

BETAS = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
ALPHAS = np.cumprod(1 - BETAS)


def alpha(t):
    return ALPHAS[max(t, 0)]


def ddim(x, model, steps):
    stride = 1000 // steps
    for t in range((steps - 1) * stride + 1, 0, -stride):
        e = model(x, t)
        x0 = (x - np.sqrt(1 - alpha(t)) * e) / np.sqrt(alpha(t))
        x = np.sqrt(alpha(t - stride)) * x0 + np.sqrt(1 - alpha(t - stride)) * e
        yield e, x


def transfer(x, e, a, b):
    """PNDM's step from level a to level b, in the form of its equation 9."""
    return np.sqrt(b / a) * x - (b - a) * e / (np.sqrt(a) * (np.sqrt((1 - b) * a) + np.sqrt((1 - a) * b)))


def pndm(x, model, steps):
    stride = 1000 // steps
    times = list(range((steps - 1) * stride + 1, 0, -stride))
    first = model(x, times[0])
    guess = transfer(x, first, alpha(times[0]), alpha(times[0] - stride))
    yield first, guess
    second = model(guess, times[1])
    x = transfer(x, (first + second) / 2, alpha(times[0]), alpha(times[1]))
    yield second, x
    past = [first]
    for t in times[1:]:
        e = model(x, t)
        past = (past + [e])[-4:]
        weights = {2: [-1, 3], 3: [5, -16, 23], 4: [-9, 37, -59, 55]}[len(past)]
        combined = sum(w * p for w, p in zip(weights, past)) / {2: 2, 3: 12, 4: 24}[len(past)]
        x = transfer(x, combined, alpha(t), alpha(t - stride))
        yield e, x


LOOPS = {"ddim": ddim, "pndm": pndm}


def error(got, expected):
    return float(np.abs(got.astype(np.float64) - expected).max() / np.abs(expected).max())


class Session:
    def __init__(self, path):
        import onnxruntime

        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def __call__(self, **inputs):
        types = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
        types |= {"tensor(int64)": np.int64, "tensor(int32)": np.int32}
        feed = {}
        for port in self.session.get_inputs():
            shape = [d if isinstance(d, int) else 1 for d in port.shape] if port.name == "timestep" else None
            value = np.asarray(inputs[port.name]).astype(types[port.type])
            feed[port.name] = value.reshape(shape) if shape is not None else value
        return self.session.run(None, feed)


def self_check():
    for name, loop in LOOPS.items():
        x = np.array([1.0, -0.5, 0.25])
        for _, x in loop(x, lambda x, t: 0.5 * x + t / 2000, 10):
            pass
        print(name, x)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("trace", type=Path, nargs="?")
    parser.add_argument("models", nargs="*")
    parser.add_argument("--scheduler", choices=LOOPS, default="pndm")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=7.5)
    parser.add_argument("--scale", type=float, default=0.18215)
    parser.add_argument("--tolerance", type=float, default=1e-2)
    parser.add_argument("--self-check", action="store_true")
    args = parser.parse_args()
    if args.self_check:
        return self_check()
    text_encoder, unet, vae = map(Session, args.models)
    traced = lambda name: np.fromfile(args.trace / f"{name}.f32", np.float32)
    worst = 0.0

    hidden = []
    for name in ("negative", "positive"):
        tokens = traced(f"tokens_{name}").astype(np.int64)[None]
        hidden.append(next(out for out in text_encoder(input_ids=tokens) if out.ndim == 3))
        found = error(traced(f"hidden_{name}"), hidden[-1].ravel())
        print(f"text encoder, {name}: {found:.2e}")
        worst = max(worst, found)
    side = int((traced("latents_00").size // 4) ** 0.5)
    shape = (1, 4, side, side)

    def model(x, t):
        negative, positive = (
            unet(sample=x, timestep=t, encoder_hidden_states=text)[0].astype(np.float64) for text in hidden
        )
        return negative, positive

    def guided(x, t):
        negative, positive = model(x, t)
        return negative + args.guidance * (positive - negative)

    start = traced("latents_00").reshape(shape).astype(np.float64)
    teacher = start
    times = []
    loop = LOOPS[args.scheduler](start, lambda x, t: times.append(t) or guided(x, t), args.steps)
    for index, (noise, latents) in enumerate(loop, 1):
        # The same evaluation on the example's latents. Guidance multiplies the error of the difference, so the scale is that
        # of the terms which it adds up.
        negative, positive = model(teacher, times[-1])
        expected = negative + args.guidance * (positive - negative)
        scale = args.guidance * np.abs(positive).max() + abs(args.guidance - 1) * np.abs(negative).max()
        got = traced(f"noise_{index:02}").reshape(shape)
        single = float(np.abs(got - expected).max() / scale)
        teacher = traced(f"latents_{index:02}").reshape(shape).astype(np.float64)
        print(f"step {index:2} at {times[-1]:3}: evaluation {single:.2e}, loop so far {error(teacher, latents):.2e}")
        worst = max(worst, single)
    picture = next(iter(vae(latent_sample=teacher / args.scale, z=teacher / args.scale)))
    found = error(traced("picture"), picture.ravel())
    print(f"decoder: {found:.2e}")
    worst = max(worst, found)
    print(f"worst {worst:.2e}, tolerance {args.tolerance:.0e}")
    return int(not worst <= args.tolerance)


if __name__ == "__main__":
    sys.exit(main())

"""Transcribes a WAV file as `main.rs` does, in onnxruntime: the reference of the tests.

    python3 reference.py encoder.onnx decoder.onnx decoder_with_past.onnx speech.wav --prompt 1,2,3,4 --end 0 > tokens.json

Needs numpy and onnxruntime. The spectrogram is OpenAI's (`whisper/audio.py`) in numpy.
"""

import argparse
import json
import wave

import numpy as np
import onnxruntime


def mel_filters(mels, bins, rate):
    mel = lambda f: np.where(f < 1000, f * 3 / 200, 15 + np.log(np.maximum(f, 1) / 1000) / (np.log(6.4) / 27))
    hertz = lambda m: np.where(m < 15, m * 200 / 3, 1000 * np.exp((m - 15) * np.log(6.4) / 27))
    edges = hertz(np.linspace(0, mel(np.array(rate / 2)), mels + 2))
    frequencies = np.linspace(0, rate / 2, bins)
    ramps = edges[:, None] - frequencies[None]
    width = np.diff(edges)
    weights = np.maximum(0, np.minimum(-ramps[:-2] / width[:-1, None], ramps[2:] / width[1:, None]))
    return weights * (2 / (edges[2:] - edges[:-2]))[:, None]


def log_mel(samples, mels, frames, rate=16000, window=400, hop=160):
    samples = np.concatenate([samples[: frames * hop], np.zeros(max(0, frames * hop - len(samples)))])
    samples = np.pad(samples, window // 2, mode="reflect")
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    power = np.stack([np.abs(np.fft.rfft(samples[f * hop : f * hop + window] * hann)) ** 2 for f in range(frames)], 1)
    log = np.log10(np.maximum(mel_filters(mels, window // 2 + 1, rate) @ power, 1e-10))
    return ((np.maximum(log, log.max() - 8) + 4) / 4).astype(np.float32)


def main():
    parser = argparse.ArgumentParser()
    for name in ("encoder", "prefill", "decode", "wav"):
        parser.add_argument(name)
    parser.add_argument("--prompt", type=lambda text: [int(id) for id in text.split(",")], required=True)
    parser.add_argument("--end", type=int, required=True)
    parser.add_argument("--tokens", type=int, default=32)
    args = parser.parse_args()
    encoder, prefill, decode = (onnxruntime.InferenceSession(getattr(args, n)) for n in ("encoder", "prefill", "decode"))
    run = lambda session, **inputs: dict(zip([o.name for o in session.get_outputs()], session.run(None, inputs)))
    with wave.open(args.wav) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16) / 32768
    _, mels, frames = encoder.get_inputs()[0].shape
    features = log_mel(samples, mels, frames)
    (hidden,) = run(encoder, input_features=features[None]).values()
    out = run(prefill, input_ids=np.array([args.prompt]), encoder_hidden_states=hidden)
    past, tokens, margins = {}, [], []
    while True:
        past |= {n.replace("present", "past_key_values"): v for n, v in out.items() if n != "logits"}
        logits = out["logits"][0, -1]
        token = int(logits.argmax())
        best, second = np.sort(logits)[:-3:-1]
        margins.append(float((best - second) / np.abs(logits).max()))
        if token == args.end or len(tokens) == args.tokens:
            break
        tokens.append(token)
        out = run(decode, input_ids=np.array([[token]]), **past)
    report = {"prompt": args.prompt, "end": args.end, "tokens": tokens, "least_margin": min(margins)}
    print(json.dumps(report | {"features": [round(float(v), 5) for v in features[:, ::8].ravel()]}))


if __name__ == "__main__":
    main()

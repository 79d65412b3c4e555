"""Makes the demo's model: a small convolutional network that tells drawn shapes apart, trained here on shapes drawn here.

Writes `shapes/model.onnx`, and beside it an input with onnxruntime's output for it. Everything is seeded, but sums of floats
differ between processors: run it again only to change the model.

    python3 demo/make_model.py        needs numpy, onnx and onnxruntime
"""

import os

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

LABELS = ["circle", "cross", "heart", "square", "star", "triangle"]
OUTPUTS = ["probabilities", "logits"]
SIDE = 32
HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "shapes")

random = np.random.default_rng(5)


def outline(label):
    """Points along a shape of radius 1, as one or more lines."""
    turn = np.linspace(0, 2 * np.pi, 65)
    polygon = lambda angles, radii: [np.stack([np.cos(angles) * radii, np.sin(angles) * radii], 1)]
    if label == "circle":
        return polygon(turn, 1)
    if label == "cross":
        return [np.array([[-1.0, 0], [1, 0]]), np.array([[0.0, -1], [0, 1]])]
    if label == "heart":
        x, y = 16 * np.sin(turn) ** 3, 13 * np.cos(turn) - 5 * np.cos(2 * turn) - 2 * np.cos(3 * turn) - np.cos(4 * turn)
        return [np.stack([x, -y], 1) / 16]
    corners = {"square": 4, "star": 10, "triangle": 3}[label]
    angles = np.arange(corners + 1) * 2 * np.pi / corners
    return polygon(angles, np.where(np.arange(corners + 1) % 2 == 0, 1, 0.42) if label == "star" else 1)


def distance(lines):
    """From each pixel to the nearest segment."""
    grid = np.stack(np.meshgrid(np.arange(SIDE) + 0.5, np.arange(SIDE) + 0.5), -1)
    nearest = np.full((SIDE, SIDE), np.inf)
    for line in lines:
        for a, b in zip(line[:-1], line[1:]):
            along = np.clip(((grid - a) @ (b - a)) / max(((b - a) ** 2).sum(), 1e-9), 0, 1)
            nearest = np.minimum(nearest, np.linalg.norm(grid - a - along[..., None] * (b - a), axis=-1))
    return nearest


def inside(line):
    """Which pixels a closed line goes around, by crossings."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] + 0.5
    odd = np.zeros((SIDE, SIDE), bool)
    for (ax, ay), (bx, by) in zip(line[:-1], line[1:]):
        if ay != by:
            odd ^= ((ay > y) != (by > y)) & (x < (bx - ax) * (y - ay) / (by - ay) + ax)
    return odd


def draw(label):
    """A shape as somebody may draw it: of any size, somewhere, turned, shaky, thin or thick, sometimes filled."""
    angle = random.uniform(-0.4, 0.4) if label == "heart" else random.uniform(0, 2 * np.pi)
    size, middle = random.uniform(7, 14), SIDE / 2 + random.uniform(-2.5, 2.5, 2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    stretch = np.diag(random.uniform(0.85, 1.15, 2))
    lines = []
    for line in outline(label):
        # Points between, each a little off, as a hand is.
        many = np.concatenate([np.linspace(a, b, 6, endpoint=False) for a, b in zip(line[:-1], line[1:])] + [line[-1:]])
        shaky = many + random.normal(0, 0.5, many.shape).cumsum(0) * random.uniform(0, 0.025)
        lines.append(shaky @ stretch @ turn.T * size + middle)
    image = np.clip(random.uniform(0.7, 2.2) + 0.5 - distance(lines), 0, 1)
    if label != "cross" and random.random() < 0.25:
        image = np.maximum(image, inside(lines[0]))
    return np.clip(image * random.uniform(0.7, 1) + random.normal(0, 0.02, image.shape), 0, 1)


def data(count):
    labels = random.integers(0, len(LABELS), count)
    images = np.stack([draw(LABELS[label]) for label in labels])
    return images[:, None].astype(np.float32), labels


def patches(x, stride):
    """Windows of 3x3 with padding 1: [n, height, width, 9 channels]."""
    n, c, h, w = x.shape
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    parts = [padded[:, :, i : i + h : stride, j : j + w : stride] for i in range(3) for j in range(3)]
    return np.stack(parts, 2).reshape(n, c * 9, -1).transpose(0, 2, 1)


class Conv:
    """3x3, padding 1, with ReLU after it."""

    def __init__(self, inputs, outputs, stride):
        self.stride = stride
        self.w = (random.normal(0, 1, (inputs * 9, outputs)) * np.sqrt(2 / (inputs * 9))).astype(np.float32)
        self.b = np.zeros(outputs, np.float32)

    def forward(self, x):
        self.shape, self.cols = x.shape, patches(x, self.stride)
        side = -(-x.shape[2] // self.stride)
        self.out = np.maximum(self.cols @ self.w + self.b, 0)
        return self.out.transpose(0, 2, 1).reshape(x.shape[0], -1, side, side)

    def backward(self, d):
        n, c = d.shape[:2]
        d = d.reshape(n, c, -1).transpose(0, 2, 1) * (self.out > 0)
        self.dw, self.db = np.einsum("npk,npc->kc", self.cols, d, optimize=True), d.sum((0, 1))
        n, c, h, w = self.shape
        parts = (d @ self.w.T).transpose(0, 2, 1).reshape(n, c, 3, 3, -(-h // self.stride), -1)
        padded = np.zeros((n, c, h + 2, w + 2), np.float32)
        for i in range(3):
            for j in range(3):
                padded[:, :, i : i + h : self.stride, j : j + w : self.stride] += parts[:, :, i, j]
        return padded[:, :, 1:-1, 1:-1]


class Linear:
    def __init__(self, inputs, outputs):
        self.w = (random.normal(0, 1, (inputs, outputs)) / np.sqrt(inputs)).astype(np.float32)
        self.b = np.zeros(outputs, np.float32)

    def forward(self, x):
        self.x = x
        return x @ self.w + self.b

    def backward(self, d):
        self.dw, self.db = self.x.T @ d, d.sum(0)
        return d @ self.w.T


def train(layers, head, epochs=14, count=9000, batch=60):
    images, labels = data(count)
    moments, step = {}, 0
    for epoch in range(epochs):
        order, right = random.permutation(count), 0
        for at in range(0, count, batch):
            x, y = images[order[at : at + batch]], labels[order[at : at + batch]]
            for layer in layers:
                x = layer.forward(x)
            side = x.shape[2]
            logits = head.forward(x.mean((2, 3)))
            right += (logits.argmax(1) == y).sum()
            p = np.exp(logits - logits.max(1, keepdims=True))
            p /= p.sum(1, keepdims=True)
            p[np.arange(len(y)), y] -= 1
            d = head.backward((p / len(y)).astype(np.float32))
            d = np.broadcast_to(d[:, :, None, None] / side**2, d.shape + (side, side))
            for layer in reversed(layers):
                d = layer.backward(d)
            step += 1
            rate = 3e-3 * min(1, 2 * (1 - step * batch / (epochs * count)) + 0.02)
            for layer in layers + [head]:
                for name in ("w", "b"):
                    g = getattr(layer, "d" + name)
                    m, v = moments.get((layer, name), (0, 0))
                    m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g * g
                    moments[layer, name] = m, v
                    change = rate * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.99**step)) + 1e-7)
                    setattr(layer, name, (getattr(layer, name) - change).astype(np.float32))
        print(f"epoch {epoch}: {100 * right / count:.1f} % right", flush=True)


def export(layers, head):
    nodes, weights, before = [], [], "image"
    for n, layer in enumerate(layers):
        channels = layer.w.shape[1]
        w = layer.w.T.reshape(channels, -1, 3, 3)
        weights += [numpy_helper.from_array(w.copy(), f"conv{n}.weight"), numpy_helper.from_array(layer.b, f"conv{n}.bias")]
        attributes = dict(kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[layer.stride] * 2)
        nodes.append(helper.make_node("Conv", [before, f"conv{n}.weight", f"conv{n}.bias"], [f"c{n}"], f"conv{n}", **attributes))
        nodes.append(helper.make_node("Relu", [f"c{n}"], [f"r{n}"], f"relu{n}"))
        before = f"r{n}"
    weights += [numpy_helper.from_array(head.w, "head.weight"), numpy_helper.from_array(head.b, "head.bias")]
    nodes += [
        helper.make_node("GlobalAveragePool", [before], ["pooled"], "pool"),
        helper.make_node("Flatten", ["pooled"], ["flat"], "flatten"),
        helper.make_node("Gemm", ["flat", "head.weight", "head.bias"], ["logits"], "head"),
        helper.make_node("Softmax", ["logits"], ["probabilities"], "softmax", axis=1),
    ]
    tensor = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    inputs, outputs = [tensor("image", [1, 1, SIDE, SIDE])], [tensor(name, [1, len(LABELS)]) for name in OUTPUTS]
    graph = helper.make_graph(nodes, "shapes", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="make_model.py")
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    return model


def main():
    layers = [Conv(1, 12, 2), Conv(12, 24, 2), Conv(24, 48, 2), Conv(48, 48, 1)]
    head = Linear(48, len(LABELS))
    train(layers, head)
    os.makedirs(os.path.join(HERE, "test_data_set_0"), exist_ok=True)
    path = os.path.join(HERE, "model.onnx")
    onnx.save(export(layers, head), path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    images, labels = data(1200)
    found = [session.run(None, {"image": image[None]})[0].argmax() for image in images]
    print(f"{100 * np.mean(found == labels):.1f} % of 1200 new shapes right")
    star = draw("star")[None, None].astype(np.float32)
    expected = session.run(OUTPUTS, {"image": star})
    stored = [("image", "input_0.pb", star)]
    stored += [(name, f"output_{n}.pb", array) for n, (name, array) in enumerate(zip(OUTPUTS, expected))]
    for name, file, array in stored:
        with open(os.path.join(HERE, "test_data_set_0", file), "wb") as out:
            out.write(numpy_helper.from_array(array, name).SerializeToString())
    print(dict(zip(LABELS, np.round(expected[1][0], 3).tolist())))


main()

"""Recurrent networks."""
import numpy as np

F32, I32 = np.float32, np.int32
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def cases(write, node, Rand):
    r = Rand("recurrent")

    def net(name, kind, opset=14, sequence=3, batch=2, size=5, hidden=6, bias=True, lengths=None, states=False, peepholes=False,
            const=True, outputs=None, free=(), **attributes):
        directions = 2 if attributes.get("direction") == "bidirectional" else 1
        rows = GATES[kind] * hidden
        stored = [("W", r.f(directions, rows, size, low=-1, high=1)), ("R", r.f(directions, rows, hidden, low=-1, high=1))]
        if bias:
            stored.append(("B", r.f(directions, 2 * rows, low=-1, high=1)))
        fed = [("X", r.f(sequence, batch, size))]
        if lengths is not None:
            fed.append(("lengths", np.array(lengths, I32)))
        names = ["initial_h"] + (["initial_c"] if kind == "LSTM" else [])
        if states:
            fed += [(n, r.f(directions, batch, hidden, low=-1, high=1)) for n in names]
        if peepholes:
            stored.append(("P", r.f(directions, 3 * hidden, low=-1, high=1)))
        known = {n for n, _ in stored + fed}
        order = ["X", "W", "R", "B", "lengths", *names, *(["P"] if kind == "LSTM" else [])]
        operands = [n if n in known else "" for n in order]
        while not operands[-1]:
            operands.pop()
        results = ["Y", "Y_h"] + (["Y_c"] if kind == "LSTM" else [])
        results = [n if outputs is None or n in outputs else "" for n in results]
        if not const:
            fed, stored = fed + stored, []
        write(name, [node(kind, operands, results, name=f"{kind.lower()}_0", hidden_size=hidden, **attributes)],
              fed, [n for n in results if n], opset, stored, free=free)

    for kind in GATES:
        low = kind.lower()
        net(f"{low}_forward", kind)
        net(f"{low}_reverse", kind, opset=7, direction="reverse", hidden=8)
        net(f"{low}_bidirectional_lengths", kind, direction="bidirectional", lengths=[3, 1], states=True)
        net(f"{low}_one_step", kind, sequence=1, batch=1, states=True, outputs=["Y_h"])
        net(f"{low}_without_bias", kind, bias=False, outputs=["Y"], hidden=4)
        net(f"{low}_clip", kind, clip=0.5)
        net(f"{low}_weights_as_inputs", kind, const=False, direction="bidirectional")
    net("lstm_peepholes", "LSTM", peepholes=True, states=True)
    net("lstm_peepholes_clip", "LSTM", peepholes=True, states=True, clip=0.7, direction="reverse")
    net("lstm_coupled_gates", "LSTM", peepholes=True, states=True, input_forget=1)
    net("lstm_other_activations", "LSTM", activations=["HardSigmoid", "Softsign", "ScaledTanh"], activation_alpha=[0.3, 1.5],
        activation_beta=[0.4, 0.7])
    net("lstm_free_batch", "LSTM", free=[("X", 1, "batch")], outputs=["Y"])
    net("lstm_only_the_cell", "LSTM", outputs=["Y_c"], lengths=[2, 3])
    net("lstm_many_steps", "LSTM", sequence=40, batch=1, size=8, hidden=32, direction="bidirectional")
    net("gru_linear_before_reset", "GRU", linear_before_reset=1)
    net("gru_linear_before_reset_both_ways", "GRU", linear_before_reset=1, direction="bidirectional", states=True, lengths=[1, 3])
    net("gru_other_activations", "GRU", activations=["Sigmoid", "LeakyRelu"], activation_alpha=[0.2])
    net("rnn_relu", "RNN", activations=["Relu"])
    net("rnn_affine_and_elu", "RNN", direction="bidirectional", activations=["Affine", "Elu"], activation_alpha=[0.5, 0.8],
        activation_beta=[0.1])

"""ONNX Runtime's operators of language models: norms of sums, rotary embeddings, attention with caches and masks."""
import numpy as np
from onnx import helper

F16, F32, I64, I32 = np.float16, np.float32, np.int64, np.int32
MICROSOFT = [helper.make_opsetid("com.microsoft", 1)]


def cases(write, node, Rand):
    def op(name, kind, args, outputs=1, const=(), domain="com.microsoft", opset=22, **attributes):
        """One node. `args` are arrays or None, `outputs` a number or a list with empty names; `const` are stored."""
        names = ["" if v is None else f"x{j}" for j, v in enumerate(args)]
        out = [f"y{j}" for j in range(outputs)] if isinstance(outputs, int) else outputs
        pairs = [(n, np.asarray(v)) for n, v in zip(names, args) if n]
        stored = {f"x{j}" for j in const}
        write(name, [node(kind, names, out, name=f"{kind.lower()}_0", domain=domain, **attributes)],
              [p for p in pairs if p[0] not in stored], [n for n in out if n], opset,
              [p for p in pairs if p[0] in stored], extra_opsets=MICROSOFT)

    norms(op, Rand("norms of sums"))
    rotary(op, Rand("rotary of onnxruntime"))
    grouped(op, Rand("grouped queries"))
    multi_head(op, Rand("multi-head"))
    packed(op, Rand("packed attention"))


def norms(op, r):
    x, skip, gamma, beta, bias = r.f(2, 3, 6), r.f(2, 3, 6), r.f(6), r.f(6), r.f(6)
    kind = "SkipSimplifiedLayerNormalization"
    op("skip_rms_norm", kind, [x, skip, gamma], ["y", "", "", "sum"], const=[2], epsilon=1e-6)
    op("skip_rms_norm_bias", kind, [x, skip, gamma, bias], ["y", "", "inverse", "sum"], const=[2, 3])
    op("skip_rms_norm_one_batch", kind, [x, skip[:1], gamma], const=[2])
    op("skip_rms_norm_matrix_skip", kind, [x, skip[0], gamma], ["y", "", "", "sum"])
    wide = [v.astype(F16) for v in (300 * x, 300 * skip, gamma)]
    op("skip_rms_norm_f16", kind, wide, ["y", "", "", "sum"], const=[2], epsilon=1e-5)
    # The sum is beyond what f16 holds, the norm is not.
    high = np.full((1, 2, 6), 40000, F16) * np.array([1, -1, 1, 1, -1, 1], F16)
    op("skip_rms_norm_f16_beyond", kind, [high, high, gamma.astype(F16)], ["y", "", "", "sum"])
    kind = "SkipLayerNormalization"
    op("skip_layer_norm_statistics", kind, [x, skip, gamma, beta, bias], ["y", "mean", "inverse", "sum"], const=[2, 3, 4])
    op("skip_layer_norm_plain", kind, [x[0], skip[0], gamma])
    op("skip_layer_norm_f16", kind, [*wide, beta.astype(F16)], ["y", "", "", "sum"])
    op("simplified_layer_norm_inverse", "SimplifiedLayerNormalization", [x, gamma], 2, domain="")
    constant = np.full((1, 2, 6), 0.5, F32)
    op("skip_layer_norm_of_equals", kind, [constant, constant, gamma], ["y"])


def rotary(op, r):
    kind = "RotaryEmbedding"
    cos, sin = r.f(12, 4, low=-1, high=1), r.f(12, 4, low=-1, high=1)
    ids = np.array([[0, 3, 11], [1, 2, 5]], I64)
    for name, interleaved in [("", 0), ("_interleaved", 1)]:
        op(f"microsoft_rotary{name}", kind, [r.f(2, 3, 24), ids, cos, sin], const=[2, 3], interleaved=interleaved)
        op(f"microsoft_rotary{name}_heads_first", kind, [r.f(2, 4, 3, 8), ids, cos, sin], const=[2, 3],
           interleaved=interleaved)
        op(f"microsoft_rotary{name}_part", kind, [r.f(2, 3, 36), ids, cos, sin], const=[2, 3], interleaved=interleaved,
           num_heads=3, rotary_embedding_dim=8)
    op("microsoft_rotary_first_position", kind, [r.f(2, 3, 16), np.array([7], I64), cos, sin], const=[2, 3], scale=0.5)
    op("microsoft_rotary_one_token_f16", kind, [r.f(1, 1, 16, dtype=F16), np.array([4], I64), cos.astype(F16),
                                               sin.astype(F16)], const=[1, 2, 3])
    for name, interleaved in [("", 0), ("_interleaved", 1)]:
        op(f"rotary_part_of_heads_first{name}", kind, [r.f(2, 4, 3, 12), cos, sin, ids], const=[1, 2], domain="",
           opset=23, interleaved=interleaved, rotary_embedding_dim=8)


def grouped(op, r):
    def case(name, batch, new, past, total, lengths, heads=4, groups=2, size=16, dtype=F32, packed=False, rotary=False,
             bias=None, sink=None, ids=None, fixed=(), shared=False, outputs=3, partial=False, **attributes):
        own = 0 if shared else new
        q, k, v = (r.f(batch, rows, n * size, dtype=dtype) for rows, n in ((new, heads), (own, groups), (own, groups)))
        caches = [None, None] if past is None else [r.f(batch, groups, past, size, dtype=dtype) for _ in range(2)]
        turned = (size // 2) // (2 if partial else 1)
        angles = [r.f(64, turned, low=-1, high=1, dtype=dtype) for _ in range(2)] if rotary else [None, None]
        projections = [np.concatenate([q, k, v], -1), None, None] if packed else [q, k, v]
        args = [*projections, *caches, np.array(lengths, I32), np.array(total, I32), *angles,
                ids, None if bias is None else bias.astype(dtype), None if sink is None else sink.astype(dtype)]
        while args[-1] is None:
            args.pop()
        op(f"gqa_{name}", "GroupQueryAttention", args, outputs, const=[6, *fixed] + ([7, 8] if rotary else []),
           num_heads=heads, kv_num_heads=groups, do_rotary=int(rotary), **attributes)

    case("prompt", 2, 5, None, 5, [4, 4])
    case("prompt_empty_past", 1, 5, 0, 5, [4], rotary=True)
    case("prompt_packed_rotary", 2, 3, 0, 3, [2, 2], packed=True, rotary=True)
    case("prompt_interleaved", 1, 4, 0, 4, [3], packed=True, rotary=True, rotary_interleaved=1)
    case("prompt_part_rotary", 1, 3, 0, 3, [2], rotary=True, size=32, partial=True)
    case("prompt_in_a_larger_cache", 1, 3, 8, 3, [2], rotary=True)
    case("prompt_of_one", 2, 1, 0, 1, [0, 0], rotary=True)
    case("prompt_positions", 2, 3, 0, 3, [2, 2], rotary=True, ids=np.array([[4, 9, 9], [7, 0, 1]], I64))
    case("decode", 1, 1, 5, 6, [5], packed=True, rotary=True)
    case("decode_known", 2, 1, 5, 6, [5, 5], rotary=True, fixed=[5])
    case("decode_ragged", 2, 1, 5, 6, [5, 2], rotary=True)
    case("decode_in_a_larger_cache", 2, 1, 9, 6, [5, 1], rotary=True)
    case("decode_in_a_larger_cache_known", 1, 1, 9, 6, [5], rotary=True, fixed=[5])
    case("decode_positions", 2, 1, 4, 5, [4, 3], rotary=True, ids=np.array([[9], [30]], I64))
    case("chunk", 1, 3, 4, 7, [6], rotary=True)
    case("chunk_short", 1, 3, 4, 7, [4], rotary=True)
    case("prompt_as_capacity", 1, 3, 8, 8, [2], rotary=True)
    case("one_group", 1, 4, 2, 6, [5], heads=3, groups=1, size=8)
    case("as_many_groups", 1, 4, 0, 4, [3], heads=2, groups=2, size=8)
    case("scale", 1, 3, 0, 3, [2], scale=0.5)
    case("softcap", 1, 4, 0, 4, [3], softcap=1.5)
    case("window", 1, 6, 0, 6, [5], local_window_size=2)
    case("window_of_one", 1, 4, 0, 4, [3], local_window_size=1)
    case("window_of_none", 1, 4, 0, 4, [3], local_window_size=0)
    case("window_decode", 2, 1, 6, 7, [6, 3], local_window_size=3, rotary=True)
    case("smooth", 1, 4, 0, 4, [3], smooth_softmax=1)
    case("smooth_window_softcap", 1, 5, 3, 8, [7], smooth_softmax=1, local_window_size=2, softcap=2.0)
    case("sink", 2, 4, 0, 4, [3, 3], sink=r.f(4))
    case("sink_decode_bias", 2, 1, 4, 5, [4, 2], sink=r.f(4), bias=r.f(1, 1, 1, 5))
    case("bias", 2, 4, 0, 4, [3, 3], bias=r.f(2, 1, 4, 4))
    case("bias_heads_larger_cache", 1, 1, 8, 6, [5], bias=r.f(1, 4, 1, 6))
    hidden = r.f(1, 4, 3, 3)
    hidden[0, 1, 2] = -np.inf
    case("bias_hides_a_row", 1, 3, 0, 3, [2], bias=hidden)
    case("not_causal", 1, 4, 0, 4, [3], causal=0)
    case("not_causal_short", 2, 4, 0, 4, [3, 1], causal=0)
    case("not_causal_past", 1, 2, 3, 5, [4], causal=0)
    case("shared_keys", 1, 1, 5, 5, [4], shared=True, rotary=True)
    case("shared_keys_short", 1, 1, 5, 5, [2], shared=True)
    case("shared_keys_prompt", 1, 5, 5, 5, [4], shared=True)
    case("shows_scores", 1, 3, 2, 5, [4], outputs=4, qk_output=1, softcap=2.0)
    case("shows_weights", 1, 3, 0, 3, [2], outputs=4, qk_output=2, bias=r.f(1, 4, 3, 3))
    case("f16", 1, 3, 4, 7, [6], dtype=F16, packed=True, rotary=True)
    case("f16_decode", 1, 1, 4, 5, [4], dtype=F16, softcap=30.0, local_window_size=3)


def multi_head(op, r):
    kind, n, d = "MultiHeadAttention", 2, 8

    def case(name, q, k, v, *rest, outputs=1, **attributes):
        op(f"mha_{name}", kind, [q, k, v, *rest], outputs, num_heads=n, **attributes)

    q, k, v = r.f(2, 3, d), r.f(2, 5, d), r.f(2, 5, d)
    narrow, bias = r.f(2, 5, 6), r.f(3 * d)
    past = [r.f(2, n, 2, d // n) for _ in range(2)]
    ends = np.array([5, 3], I32)
    case("plain", q, k, v)
    case("narrow_values", q, k, narrow, r.f(2 * d + 6), outputs=3)
    case("bias_scale", q, k, v, bias, scale=0.3)
    case("mask_lengths", q, k, v, None, ends)
    case("mask_keys", q, k, v, None, np.array([[1, 0, 1, 1, 0], [0, 1, 1, 1, 1]], I32))
    case("mask_nothing_left", q, k, v, None, np.array([[0] * 5, [1, 0, 0, 0, 0]], I32))
    case("mask_queries", q, k, v, None, r.i(2, 3, 5, low=0, high=2, dtype=I32), mask_filter_value=-3.0)
    case("mask_lengths_and_sums", q, k, v, None, np.array([5, 3, 0, 3, 6, 0, 5, 8], I32))
    case("added", q, k, v, None, None, r.f(1, n, 3, 5))
    case("added_and_mask", q, k, v, bias, ends, r.f(2, 1, 3, 5))
    case("past", q, k, v, None, None, None, *past, outputs=3)
    case("past_mask", q, k, v, bias, r.i(2, 7, low=0, high=2, dtype=I32), None, *past, outputs=3)
    case("past_lengths", q, k, v, None, np.array([7, 4], I32), None, *past, outputs=3)
    case("causal", q, r.f(2, 3, d), r.f(2, 3, d), unidirectional=1)
    case("causal_past", q, r.f(2, 3, d), r.f(2, 3, d), None, None, None, *past, outputs=3, unidirectional=1)
    case("causal_mask", q, r.f(2, 3, d), r.f(2, 3, d), None, np.array([3, 2], I32), unidirectional=1)
    case("heads_first", q, r.f(2, n, 5, 4), r.f(2, n, 5, 4))
    case("heads_first_bias", q, r.f(2, n, 5, 4), r.f(2, n, 5, 4), bias)
    case("one_token", r.f(1, 1, d), r.f(1, 1, d), r.f(1, 1, d))
    case("f16", *((v / 4).astype(F16) for v in (q, k, v, bias)), ends)


def packed(op, r):
    n, d = 2, 8
    x, weights, bias = r.f(2, 3, 6), r.f(6, 3 * d), r.f(3 * d)

    def case(name, *args, outputs=1, **attributes):
        op(f"packed_attention_{name}", "Attention", args, outputs, const=[1, 2], num_heads=n, **attributes)

    past = r.f(2, 2, n, 2, d // n)
    case("plain", x, weights, bias)
    case("no_bias", x, weights, None)
    case("sizes", x, r.f(6, 2 * d + 4), r.f(2 * d + 4), qkv_hidden_sizes=[d, d, 4])
    case("past", x, weights, bias, None, past, outputs=2)
    case("present", x, weights, bias, outputs=2, unidirectional=1)
    case("mask_ends", x, weights, bias, np.array([3, 2], I32), past, outputs=2)
    case("mask_ends_and_starts", x, weights, bias, np.array([3, 2, 0, 1], I32))
    case("mask_keys", x, weights, bias, np.array([[1, 1, 0, 1, 1], [1, 0, 1, 1, 1]], I32), past, outputs=2)
    case("mask_queries", x, weights, bias, r.i(2, 3, 3, low=0, high=2, dtype=I32), unidirectional=1)
    case("mask_of_one", x, weights, bias, np.array([[1], [0]], I32))
    case("added", x, weights, bias, None, None, r.f(1, 1, 3, 3), scale=0.4)

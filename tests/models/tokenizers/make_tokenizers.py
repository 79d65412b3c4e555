"""Writes three small model folders without a model: tokenizer, chat template, settings, and what Python says of them;
and a tokenizer for the carried Llama.

Needs the packages `tokenizers` and `jinja2`, which also give the expected results in each `cases.json`. The
vocabularies are trained on this project's documentation, so that a later run writes other ones: commit all of what a
run writes.
"""

import datetime
import json
from pathlib import Path

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = Path(__file__).resolve().parent
DOCS = sorted((HERE.parents[2] / "docs").glob("*.md"))
NOW = datetime.datetime(2026, 3, 7, 14, 5, 9)

# Contractions, words with what stands before them, digits in threes, runs of other characters, and white space of which
# the last character belongs to what follows: a look-ahead, so that the pattern needs more than a plain regex engine.
WORDS = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)

CHATML = """\
{%- if messages[0].role != 'system' -%}
{{ '<|im_start|>system\\nAnswer in short words.<|im_end|>\\n' }}
{%- endif -%}
{%- if tools -%}
{%- for tool in tools -%}
{{ '<|im_start|>tool\\n' + tool | tojson + '<|im_end|>\\n' }}
{%- endfor -%}
{%- endif -%}
{%- for message in messages -%}
  {%- if message.role not in ['system', 'user', 'assistant'] -%}
    {{- raise_exception('a ' + message.role + ' cannot speak here') -}}
  {%- endif -%}
{{ '<|im_start|>' + message['role'] + '\\n' }}
  {%- if message.role == 'assistant' -%}
    {%- generation -%}
{{ message.content.split('</think>')[-1].lstrip('\\n') + '<|im_end|>' }}
    {%- endgeneration -%}
{{ '\\n' }}
  {%- else -%}
{{ message.content + '<|im_end|>\\n' }}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{ '<|im_start|>assistant\\n' }}
{%- endif -%}
"""

LLAMA = """\
{{ bos_token }}
{%- set today = strftime_now('%d %b %Y') if strftime_now is defined else '1 Jan 2020' %}
{%- set ns = namespace(system='') %}
{% if messages[0]['role'] == 'system' %}
    {%- set ns.system = messages[0]['content'] | trim %}
    {%- set messages = messages[1:] %}
{% endif %}
{{- '<|start_header_id|>system<|end_header_id|>\\n\\nToday is ' + today + '.\\n' }}
{{- ns.system + '<|eot_id|>' }}
{# What users and models say, in turn. #}
{% for message in messages %}
    {% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{ raise_exception('users and models take turns') }}
    {% endif %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""

SPACES = """\
{{ bos_token }}{% for message in messages %}
{% if loop.index > 40 %}{% break %}{% endif %}
{% if message.role == 'user' %}
[user] {{ message.content.strip() }} [/user]
{%- else %}
 {{ message.content }} {{ eos_token }}
{%- endif %}
{% endfor %}
"""


def corpus():
    return [path.read_text(encoding="utf-8") for path in DOCS]


def byte_level(size, special):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(WORDS), behavior="isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    return tokenizer


def spaces(size):
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    special = ["<unk>", "<s>", "</s>"]
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=special + [f"<0x{byte:02X}>" for byte in range(256)],
        limit_alphabet=80,
        show_progress=False,
    )
    # Without a split a merge would cross words: the trainer sees one word at a time.
    tokenizer.train_from_iterator((word for text in corpus() for word in text.split()), trainer)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    # A trainer takes all that it is given for special tokens, which decoding leaves out; bytes are text.
    described = json.loads(tokenizer.to_str())
    described["added_tokens"] = [token for token in described["added_tokens"] if token["content"] in special]
    return Tokenizer.from_str(json.dumps(described))


def with_bos(tokenizer, bos):
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, tokenizer.token_to_id(bos))]
    )
    return tokenizer


class Generation(Extension):
    """The block whose tokens training looks at: here it is what is in it."""

    tags = {"generation"}

    def parse(self, parser):
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def render(template, **variables):
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = NOW.strftime
    return environment.from_string(template).render(**variables)


USER = {"role": "user", "content": "  What is a warp?\n"}
CONVERSATIONS = [
    [USER],
    [{"role": "system", "content": "Be \u201cbrief\u201d."}, USER],
    [
        USER,
        {"role": "assistant", "content": "<think>\nhm\n</think>\n\n32 lanes \U0001F680"},
        {"role": "user", "content": "{{ 1 + 1 }} 'quoted' \u00e9\u4e2d"},
    ],
]

TEXTS = [
    "",
    "a",
    " Hello, world! It's 12345 tokens; we'll see.",
    "line\n\n  indented\ttab \r\n trailing   ",
    "caf\u00e9 cafe\u0301 \u4e2d\u6587 \U0001F468\u200D\U0001F469\u200D\U0001F467 \u0645\u0631\u062d\u0628\u0627",
    "<|im_end|> <|eot_id|></s> are special here or there",
    "DRIFT'S shaders'LL dispatch",
]


def write(name, tokenizer, files, template, variables):
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    for file, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content, indent=2) + "\n"
        (folder / file).write_text(text, encoding="utf-8")
    encode = []
    for text in TEXTS:
        for special in (False, True):
            ids = tokenizer.encode(text, add_special_tokens=special).ids
            encode.append({"text": text, "special": special, "ids": ids, "decoded": tokenizer.decode(ids)})
    renders = [
        {"messages": messages, "text": render(template, messages=messages, add_generation_prompt=True, **variables)}
        for messages in CONVERSATIONS
    ]
    lines = [f' "{name}": [\n  ' + ",\n  ".join(map(json.dumps, cases)) + "\n ]" for name, cases in
             (("encode", encode), ("render", renders))]
    (folder / "cases.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def tiny():
    """A tokenizer of 256 tokens beside the carried Llama, which has as many: ASCII, and merges of it."""
    letters = [chr(code) for code in range(0x21, 0x7F)] + ["\u0120", "\u010A"]  # Space and line end, as bytes are spelled.
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=254, initial_alphabet=letters, limit_alphabet=len(letters), show_progress=False
    )
    ascii_only = ("".join(c for c in text if c == "\n" or " " <= c <= "~") for text in corpus())
    tokenizer.train_from_iterator(ascii_only, trainer)
    bos, eos = "<|begin|>", "<|end|>"
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in (bos, eos)])
    with_bos(tokenizer, bos)
    assert tokenizer.get_vocab_size() == 256, tokenizer.get_vocab_size()
    folder = HERE.parent / "tiny_llama_genai_fp32_cpu"
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    template = (
        "{{ bos_token }}{% for message in messages %}[{{ message.role }}] {{ message.content }}{{ eos_token }}"
        "{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"
    )
    config = {"chat_template": template, "bos_token": bos, "eos_token": eos}
    settings = {"do_sample": False, "eos_token_id": tokenizer.token_to_id(eos)}
    for file, content in (("tokenizer_config.json", config), ("generation_config.json", settings)):
        (folder / file).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def main():
    tiny()
    tokenizer = byte_level(400, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    ids = {token: tokenizer.token_to_id(token) for token in ("<|endoftext|>", "<|im_end|>")}
    files = {
        "tokenizer_config.json": {"chat_template": CHATML, "eos_token": "<|im_end|>", "bos_token": None},
        "generation_config.json": {
            "do_sample": True,
            "eos_token_id": [ids["<|im_end|>"], ids["<|endoftext|>"]],
            "temperature": 0.7,
            "top_k": 20,
            "top_p": 0.8,
            "repetition_penalty": 1.1,
        },
        "config.json": {"model_type": "qwen2", "eos_token_id": ids["<|endoftext|>"], "vocab_size": 416},
    }
    write("chatml", tokenizer, files, CHATML, {"eos_token": "<|im_end|>"})

    bos, eot = "<|begin_of_text|>", "<|eot_id|>"
    tokenizer = byte_level(420, [bos, "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", eot])
    with_bos(tokenizer, bos)
    files = {
        "chat_template.jinja": LLAMA,
        # A token may be written as an object.
        "tokenizer_config.json": {"bos_token": {"__type": "AddedToken", "content": bos}, "eos_token": eot},
        "genai_config.json": {
            "model": {"type": "llama", "eos_token_id": [tokenizer.token_to_id("<|end_of_text|>"), tokenizer.token_to_id(eot)]},
            "search": {"do_sample": False, "top_k": 50, "top_p": 0.9, "temperature": 0.6},
        },
    }
    write("llama", tokenizer, files, LLAMA, {"bos_token": bos, "eos_token": eot})

    tokenizer = with_bos(spaces(420), "<s>")
    templates = [{"name": "default", "template": SPACES}, {"name": "tool_use", "template": "{{ raise_exception('no') }}"}]
    files = {"tokenizer_config.json": {"chat_template": templates, "bos_token": "<s>", "eos_token": "</s>"}}
    write("spaces", tokenizer, files, SPACES, {"bos_token": "<s>", "eos_token": "</s>"})


if __name__ == "__main__":
    main()

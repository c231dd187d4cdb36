"""A real llama.cpp server with a real, tiny, random model that is made here, for the tests that want no
script and no double.

Needs the wheel `xllamacpp` with `gguf` and `numpy`; tests skip where they cannot be imported. The model is
random, so what it says means nothing; a token is a byte, one slot answers, and everything else about the
server is real.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NAME = "tiny-random"
CONTEXT = 512
HELLO_TOKENS = 24
"""What the prompt "hello" counts in its chat template."""

MAKE = """
import sys
import gguf, numpy
blocks, width, feed = 2, 64, 128
writer = gguf.GGUFWriter(sys.argv[1], "llama")
writer.add_context_length(2048); writer.add_embedding_length(width); writer.add_block_count(blocks)
writer.add_feed_forward_length(feed); writer.add_head_count(4); writer.add_head_count_kv(4)
writer.add_layer_norm_rms_eps(1e-5); writer.add_rope_dimension_count(width // 4); writer.add_file_type(0)
plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
odd = [byte for byte in range(256) if byte not in plain]
letters = {byte: chr(byte) for byte in plain} | {byte: chr(256 + place) for place, byte in enumerate(odd)}
tokens = [letters[byte] for byte in range(256)] + [letters[32] + "t"]
special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>"]
kinds = [gguf.TokenType.NORMAL] * len(tokens) + [gguf.TokenType.CONTROL] * len(special)
tokens += special
writer.add_tokenizer_model("gpt2"); writer.add_tokenizer_pre("gpt-2")
writer.add_token_list(tokens); writer.add_token_types(kinds); writer.add_token_merges([letters[32] + " t"])
writer.add_bos_token_id(257); writer.add_eos_token_id(259); writer.add_pad_token_id(260)
writer.add_add_bos_token(False)
writer.add_chat_template(
    "{% for message in messages %}<|im_start|>{{ message.role }}\\n{{ message.content }}<|im_end|>\\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\\n{% endif %}"
)
chance = numpy.random.default_rng(0)
def tensor(name, *shape):
    writer.add_tensor(name, chance.normal(0, 0.05, shape).astype(numpy.float32))
def ones(name):
    writer.add_tensor(name, numpy.ones(width, dtype=numpy.float32))
tensor("token_embd.weight", len(tokens), width)
ones("output_norm.weight"); tensor("output.weight", len(tokens), width)
for block in range(blocks):
    ones(f"blk.{block}.attn_norm.weight"); ones(f"blk.{block}.ffn_norm.weight")
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        tensor(f"blk.{block}.{name}.weight", width, width)
    for name in ("ffn_gate", "ffn_up"):
        tensor(f"blk.{block}.{name}.weight", feed, width)
    tensor(f"blk.{block}.ffn_down.weight", width, feed)
writer.write_header_to_file(); writer.write_kv_data_to_file(); writer.write_tensors_to_file(); writer.close()
"""

SERVE = """
import sys, threading
from xllamacpp import CommonParams, Server
asked = CommonParams()
asked.model.path = sys.argv[1]; asked.n_ctx = int(sys.argv[2]); asked.n_parallel = 1
asked.hostnames = ["127.0.0.1"]; asked.port = 0; asked.model_alias = {sys.argv[3]}
asked.cpuparams.n_threads = 1; asked.offline = True; asked.ui = False; asked.warmup = False
server = Server(asked)
print(server.listening_address, flush=True)
sys.stdin.read()
"""


@contextmanager
def llama_server(folder: Path) -> Iterator[str]:
    """The address of a server, in a process of its own that ends with its standard input. Skips the test
    without one."""
    for needed in ("xllamacpp", "gguf", "numpy"):
        pytest.importorskip(needed, exc_type=ImportError)
    model = folder / "tiny.gguf"
    subprocess.run([sys.executable, "-c", MAKE, str(model)], check=True, capture_output=True)
    running = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(model), str(CONTEXT), NAME],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=dict(os.environ),
    )
    assert running.stdout is not None
    assert running.stdin is not None
    address = next((line.strip() for line in running.stdout if "127.0.0.1" in line), "")
    try:
        assert address, "the server did not start"
        yield address if address.startswith("http") else f"http://{address}"
    finally:
        running.stdin.close()
        try:
            running.wait(10)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()
        running.stdout.close()

"""The three dialects as a scripted server speaks them, and the providers that read them.

A `Dialect` says how a good answer looks whole and streamed, so that a test can be written once for all three.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from engine.providers.anthropic import AnthropicProvider
from engine.providers.base import Egress, Permit, Request, Target
from engine.providers.ollama import OllamaProvider
from engine.providers.openai import OpenAIProvider
from engine.providers.secret import Secret
from engine.providers.wire_provider import WireProvider

from .wire_server import Answer, Handler, Received, in_events, in_json, in_lines

DIGEST = "sha256:policy"
KEY = "sk-canary-7f3a9c51e2b84d06"
WORDS = ("Hello", ", ", "wörld ", "\u2028\x85", "👋")
TEXT = "".join(WORDS)
MODEL = "tiny:1b"
SHOWN = {
    "capabilities": ["completion", "tools"],
    "model_info": {"general.architecture": "llama", "llama.context_length": 8192},
}
TAGS = {"models": [{"name": MODEL, "model": MODEL, "digest": "d1", "capabilities": ["completion", "tools"]}]}
PS = {"models": [{"name": MODEL, "model": MODEL, "digest": "d1", "context_length": 4096}]}


def target(url: str, name: str = "there", egress: Egress = Egress.LOCAL, **more: Any) -> Target:
    """A target at `url`."""
    return Target(name, url, egress, DIGEST, **more)


def permit(there: Target) -> Permit:
    """The permit for it."""
    return Permit(there.name, there.egress, there.policy_digest)


def asked(there: Target, text: str = "say hello", **more: Any) -> Request:
    """A small request to it."""
    messages = more.pop("messages", [{"role": "user", "content": text}])
    return Request(more.pop("model", MODEL), permit(there), messages, **more)


@dataclass(frozen=True)
class Dialect:
    """How one dialect looks on the wire; `base_path` is what follows the host in a base URL."""

    name: str
    provider: Callable[..., WireProvider]
    base_path: str
    prompt_path: str
    whole: Callable[[], Answer]
    streamed: Callable[[], Answer]

    def at(self, url: str, egress: Egress = Egress.LOCAL, **more: Any) -> WireProvider:
        """A provider of this dialect for a server at `url`."""
        if egress is Egress.CLOUD:
            more.setdefault("api_key", Secret(KEY))
        return self.provider(target(url + self.base_path, egress=egress), **more)

    def handler(self, whole: Answer | None = None, streamed: Answer | None = None) -> Handler:
        """Answers errands well, and prompts with the given answers (the good ones unless told)."""

        def answer(received: Received) -> Answer:
            if received.path != self.prompt_path:
                return errand(received)
            if received.json.get("stream"):
                return streamed or self.streamed()
            return whole or self.whole()

        return answer


def errand(received: Received) -> Answer:
    """What an obliging server says to everything but prompts."""
    match received.path.partition("?")[0]:
        case "/api/tags":
            return in_json(TAGS)
        case "/api/ps":
            return in_json(PS)
        case "/api/show":
            return in_json(SHOWN)
        case "/api/version":
            return in_json({"version": "0.32.9"})
        case "/api/status":
            return in_json({"cloud": {"disabled": True, "source": "env"}})
        case "/v1/models":
            return in_json(
                {
                    "object": "list",
                    "data": [{"id": MODEL, "object": "model", "type": "model", "max_model_len": 2048}],
                    "has_more": False,
                }
            )
        case _:
            return in_json({"error": "no such path"}, 404)


def _openai_whole() -> Answer:
    return in_json(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": MODEL,
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}
            ],
            "usage": {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 15,
                "prompt_tokens_details": {"cached_tokens": 4},
                "completion_tokens_details": {"reasoning_tokens": 2},
            },
        },
        headers={"x-request-id": "req_1"},
    )


def openai_events(pieces: tuple[str, ...] = WORDS, finish: str = "stop") -> list[tuple[str | None, object]]:
    """A good stream of chat completion chunks."""

    def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": MODEL,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
        }

    usage = chunk({}) | {
        "choices": [],
        "usage": {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 4},
            "completion_tokens_details": {"reasoning_tokens": 2},
        },
    }
    told = [chunk({"role": "assistant", "content": ""}), *(chunk({"content": piece}) for piece in pieces)]
    return [(None, data) for data in [*told, chunk({}, finish), usage, "[DONE]"]]


def _anthropic_usage(output: int) -> dict[str, Any]:
    return {
        "input_tokens": 6,
        "cache_read_input_tokens": 4,
        "cache_creation_input_tokens": 0,
        "output_tokens": output,
    }


def _anthropic_whole() -> Answer:
    return in_json(
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": MODEL,
            "content": [{"type": "text", "text": TEXT}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": _anthropic_usage(5),
        },
        headers={"request-id": "req_1"},
    )


def anthropic_events(
    pieces: tuple[str, ...] = WORDS, stop: str = "end_turn"
) -> list[tuple[str | None, object]]:
    """A good stream of message events."""
    started = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": _anthropic_usage(1),
    }
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": started},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        *(
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}
            for piece in pieces
        ),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": stop, "stop_sequence": None},
            "usage": {"output_tokens": 5},
        },
        {"type": "message_stop"},
    ]
    return [(event["type"], event) for event in events]


def _ollama_end() -> dict[str, Any]:
    return {
        "model": MODEL,
        "created_at": "2026-11-01T00:00:00Z",
        "message": {"role": "assistant", "content": ""},
        "done": True,
        "done_reason": "stop",
        "prompt_eval_count": 10,
        "eval_count": 5,
        "total_duration": 5,
    }


def _ollama_whole() -> Answer:
    return in_json(_ollama_end() | {"message": {"role": "assistant", "content": TEXT}})


def ollama_lines(pieces: tuple[str, ...] = WORDS) -> list[object]:
    """A good stream of chat lines."""
    return [
        *(
            {
                "model": MODEL,
                "created_at": "x",
                "message": {"role": "assistant", "content": piece},
                "done": False,
            }
            for piece in pieces
        ),
        _ollama_end(),
    ]


OPENAI = Dialect(
    "openai", OpenAIProvider, "/v1", "/v1/chat/completions", _openai_whole, lambda: in_events(openai_events())
)
ANTHROPIC = Dialect(
    "anthropic",
    AnthropicProvider,
    "",
    "/v1/messages",
    _anthropic_whole,
    lambda: in_events(anthropic_events()),
)
OLLAMA = Dialect("ollama", OllamaProvider, "", "/api/chat", _ollama_whole, lambda: in_lines(ollama_lines()))
DIALECTS = {dialect.name: dialect for dialect in (OPENAI, ANTHROPIC, OLLAMA)}


def changed(answer: Answer, **more: Any) -> Answer:
    """The same answer with some of it changed."""
    return replace(answer, **more)

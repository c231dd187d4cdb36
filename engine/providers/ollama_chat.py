"""Ollama's `/api/chat`: a request as its body, and its answer as a reply. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from engine.providers.base import Request, text_bytes
from engine.providers.errors import ContextOverflow
from engine.providers.messages import Tool, Turn, arguments_of, finish_with, tool_call_of
from engine.providers.reply import FinishReason, Reply, ToolCall
from engine.providers.wire_provider import Attempt

BUCKETS = (4096, 8192, 16384, 32768, 65536, 131072, 262144, 524288, 1048576)
"""Context windows asked for, in tokens. Every other value makes the daemon load the model again."""


def chat_body(
    request: Request, turns: Sequence[Turn], tools: Sequence[Tool], *, model: str, num_ctx: int, stream: bool
) -> dict[str, Any]:
    """The body: `model` is what to call the model by, `num_ctx` the window to ask for, in tokens.

    `truncate: false` makes the daemon refuse a prompt that is too long instead of cutting it.
    """
    body: dict[str, Any] = {
        "model": model,
        "messages": [_written(turn) for turn in turns],
        "stream": stream,
        "truncate": False,
        "options": {"num_ctx": num_ctx},
    }
    if tools:
        body["tools"] = [_written_tool(tool) for tool in tools]
    if request.max_tokens is not None:
        body["options"]["num_predict"] = request.max_tokens
    if request.temperature is not None:
        body["options"]["temperature"] = request.temperature
    return body


def _written_tool(tool: Tool) -> dict[str, Any]:
    function = {
        "name": tool.name,
        "description": tool.description or "",
        "parameters": dict(tool.parameters),
    }
    return {"type": "function", "function": function}


def window_for(request: Request, *, window: int | None, loaded: int | None) -> int:
    """The window to ask for, in tokens: the loaded one when the request fits it, else the smallest bucket
    that it fits.

    `window` is the model's own. Raises ContextOverflow.
    """
    answer_tokens = request.max_tokens if request.max_tokens is not None else 1024
    needed = expected_tokens(request) * 5 // 4 + answer_tokens
    if loaded is not None and needed <= loaded:
        return loaded
    most = window or BUCKETS[-1]
    if expected_tokens(request) > most:
        raise ContextOverflow(dispatched=False, detail=f"about {expected_tokens(request)} tokens, of {most}")
    return min(next((bucket for bucket in BUCKETS if bucket >= needed), BUCKETS[-1]), most)


def expected_tokens(request: Request) -> int:
    """The expected size of the prompt, in tokens: a mean, not a bound."""
    if request.context_tokens is not None:
        return request.context_tokens
    return text_bytes(request.messages) // 4


def _written(turn: Turn) -> dict[str, Any]:
    message: dict[str, Any] = {"role": turn.role, "content": turn.text}
    if turn.images:
        message["images"] = [image.data for image in turn.images]
    if turn.tool_calls:
        message["tool_calls"] = [
            {
                "id": call["id"],
                "function": {"name": call["function"]["name"], "arguments": arguments_of(call)},
            }
            for call in turn.tool_calls
        ]
    if turn.tool_call_id is not None:
        message["tool_call_id"] = turn.tool_call_id
    if turn.tool_name is not None:
        message["tool_name"] = turn.tool_name
    return message


def message_of(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """The message of an answer or of a line of a stream; empty when there is none."""
    message = answer.get("message")
    return message if isinstance(message, Mapping) else {}


def tool_calls_of(message: Mapping[str, Any], before: int) -> Iterable[ToolCall]:
    """The tool calls of a message, numbered on from those `before` it."""
    for place, call in enumerate(message.get("tool_calls") or (), start=before):
        function = call["function"]
        yield tool_call_of(call.get("id"), str(function["name"]), function.get("arguments") or {}, place)


_FINISH: dict[str, FinishReason] = {"stop": "stop", "length": "length", "None": "stop"}


def reply_of(
    attempt: Attempt,
    body: Mapping[str, Any],
    answer: Mapping[str, Any],
    text: str,
    calls: tuple[ToolCall, ...],
    thinking: str,
) -> Reply:
    """The reply, with a note when the prompt all but fills the window that `body` asked for."""
    finish = finish_with(calls, _FINISH.get(str(answer.get("done_reason")), "other"))
    counted, window = attempt.usage.input_tokens or 0, body["options"]["num_ctx"]
    nearly_full = f"the prompt fills {counted} of {window} tokens: its beginning may have been cut"
    return Reply(
        model=attempt.request.model,
        content=text,
        tool_calls=calls,
        finish_reason=finish,
        usage=attempt.usage,
        reasoning=thinking,
        cold=attempt.cold,
        notes=(nearly_full,) if counted * 100 >= window * 95 else (),
    )

"""Ollama's `/api/chat`: a request as its body, and its answer as a reply. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from engine.providers.attempt import Attempt
from engine.providers.base import Request, text_bytes
from engine.providers.errors import ContextOverflow
from engine.providers.field_table import Carried
from engine.providers.messages import arguments_of, finish_with, tool_call_of
from engine.providers.options import ReasoningWanted
from engine.providers.parts import Tool, ToolUse, Turn
from engine.providers.reply import FinishReason, Reply, ToolCall
from engine.providers.tool_call_ids import ANY, with_ids

BUCKETS = (4096, 8192, 16384, 32768, 65536, 131072, 262144, 524288, 1048576)
"""Context windows asked for, in tokens. Every other value makes the daemon load the model again."""


def chat_body(
    request: Request, kept: Carried, *, model: str, num_ctx: int, stream: bool
) -> tuple[dict[str, Any], list[str]]:
    """The body, and notes on what is not in it: `model` is what to call the model by, `num_ctx` the window
    to ask for, in tokens.

    `truncate: false` makes the daemon refuse a prompt that is too long instead of cutting it.
    """
    settings: dict[str, Any] = {"num_ctx": num_ctx}
    body: dict[str, Any] = {
        "model": model,
        "messages": [_written(turn) for turn in with_ids(kept.turns, ANY)],
        "stream": stream,
        "truncate": False,
        "options": settings,
    }
    options, notes = request.options, list(kept.notes)
    calls_nothing = options.tool_choice is not None and options.tool_choice.kind == "none"
    if kept.tools and not calls_nothing:
        body["tools"] = [_written_tool(tool) for tool in kept.tools]
    if request.max_tokens is not None:
        settings["num_predict"] = request.max_tokens
    for name in kept.options:
        match name:
            case "stop":
                settings[name] = list(options.stop)
            case "top_p" | "temperature" | "seed":
                settings[name] = getattr(options, name)
            case "response_format" if (form := options.response_format) is not None:
                body["format"] = "json" if form.schema is None else dict(form.schema)
            case "reasoning" if (wanted := options.reasoning) is not None:
                body["think"] = _think(wanted, notes)
            case _:
                pass  # A free choice of tools is what the daemon does by itself.
    if calls_nothing:
        notes.append("tools were not sent: tool_choice is none, and the daemon takes no tool_choice")
    extra = options.extra.get("ollama", {})
    own = extra.get("options")
    body |= {key: value for key, value in extra.items() if key != "options"}
    settings |= own if isinstance(own, Mapping) else {}
    return body, notes


def _think(wanted: ReasoningWanted, notes: list[str]) -> bool | str:
    if wanted.effort is None:
        notes.append("reasoning was sent as yes: the daemon takes no budget")
        return True
    if wanted.effort == "none":
        return False
    effort = {"minimal": "low", "xhigh": "high", "max": "high"}.get(wanted.effort, wanted.effort)
    if effort != wanted.effort:
        notes.append(f"reasoning was sent as effort {effort}: the daemon knows low, medium and high")
    return effort


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


def fills(counted: int, window: int) -> bool:
    """True when a prompt of `counted` tokens leaves no more than a twentieth of its window."""
    return counted * 100 >= window * 95


def expected_tokens(request: Request) -> int:
    """The expected size of the prompt, in tokens: a mean, not a bound."""
    if request.context_tokens is not None:
        return request.context_tokens
    return text_bytes(request.messages) // 4


def _written(turn: Turn) -> dict[str, Any]:
    message: dict[str, Any] = {"role": turn.role, "content": turn.error_text}
    for reasoning in turn.reasoning:
        message |= reasoning.raw
    if turn.images:
        message["images"] = [image.data for image in turn.images]
    calls = [part for part in turn.parts if isinstance(part, ToolUse)]
    if calls:
        message["tool_calls"] = [
            {
                "id": part.call["id"],
                "function": {
                    "name": part.call["function"]["name"],
                    "arguments": arguments_of(part.call, part.where),
                },
            }
            for part in calls
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
        notes=(*attempt.notes, *((nearly_full,) if fills(counted, window) else ())),
        hand_back={"thinking": thinking} if thinking else {},
    )

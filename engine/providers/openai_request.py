"""A request -> the body of a chat completion, for OpenAI itself and for every server that speaks like it.
Pure."""

from __future__ import annotations

from typing import Any, assert_never

from engine.providers.base import Request
from engine.providers.field_table import LIMIT_NAMES, Dialect, carried
from engine.providers.messages import cannot_carry, read_tools
from engine.providers.options import RequestOptions, ResponseFormat, ToolChoice
from engine.providers.parts import Aside, Audio, Document, Image, Part, Reasoning, Text, Tool, ToolUse, Turn
from engine.providers.tool_call_ids import ANY, MISTRAL, with_ids

_LOW_BUDGET, _MEDIUM_BUDGET = 2048, 8192
"""Up to how many tokens of reasoning an effort stands for."""


def chat_request(
    request: Request, *, is_vendor: bool, host: str, fetches: bool
) -> tuple[dict[str, Any], list[str]]:
    """The body, and notes on what is not in it. `extra_body` holds what the caller wants passed as it is.
    Raises InvalidRequest."""
    options = request.options
    dialect: Dialect = "openai" if is_vendor else "compatible"
    kept = carried(
        request.read(),
        read_tools(request.tools),
        options,
        dialect,
        fetches=fetches,
        refused=request.refused,
    )
    turns = with_ids(kept.turns, MISTRAL if host == "api.mistral.ai" else ANY)
    notes = list(kept.notes)
    body: dict[str, Any] = {"model": request.model, "messages": [_written(turn) for turn in turns]}
    if kept.tools:
        body["tools"] = [written_tool(tool) for tool in kept.tools]
    if request.max_tokens is not None:
        body[_limit_name(request.refused, notes, is_vendor=is_vendor)] = request.max_tokens
    for name in kept.options:
        key, value = _option(options, name, notes)
        body[key] = value
    if is_vendor:
        body["store"] = False
    if extra := options.extra.get("openai"):
        body["extra_body"] = dict(extra)
    return body, notes


def _limit_name(refused: frozenset[str], notes: list[str], *, is_vendor: bool) -> str:
    """What the target calls the bound of the output. Raises Unfit when it has refused both names: what is
    held is by that bound."""
    usual, other = reversed(LIMIT_NAMES) if is_vendor else LIMIT_NAMES
    if usual not in refused:
        return usual
    if other in refused:
        raise cannot_carry("max_tokens", "was refused by the target under both its names")
    notes.append(f"{usual} was sent as {other}: the target refused the first name")
    return other


def _option(options: RequestOptions, name: str, notes: list[str]) -> tuple[str, Any]:
    value = getattr(options, name)
    match name:
        case "tool_choice":
            return name, _tool_choice(value)
        case "response_format":
            return name, _response_format(value)
        case "stop":
            return name, list(value)
        case "metadata":
            return name, dict(value)
        case "reasoning":
            effort = value.effort
            if effort is None:
                budget = value.budget_tokens
                effort = "low" if budget <= _LOW_BUDGET else "medium" if budget <= _MEDIUM_BUDGET else "high"
                notes.append(f"reasoning was sent as effort {effort}: the API takes no budget")
            return "reasoning_effort", effort
        case _:
            return name, value


def _tool_choice(choice: ToolChoice) -> Any:
    return {"type": "function", "function": {"name": choice.name}} if choice.kind == "named" else choice.kind


def _response_format(form: ResponseFormat) -> dict[str, Any]:
    if form.schema is None:
        return {"type": "json_object"}
    described: dict[str, Any] = {"name": form.name, "schema": dict(form.schema)}
    if form.strict is not None:
        described["strict"] = form.strict
    return {"type": "json_schema", "json_schema": described}


def _written(turn: Turn) -> dict[str, Any]:
    if (text := turn.plain_text) is not None:
        return {"role": turn.role, "content": text}
    message: dict[str, Any] = {"role": turn.role, "content": _content(turn)}
    for reasoning in turn.reasoning:
        if "type" not in reasoning.raw:
            message |= reasoning.raw
    if turn.tool_calls:
        message["tool_calls"] = [dict(call) for call in turn.tool_calls]
        message["content"] = message["content"] or None
    if turn.tool_call_id is not None:
        message["tool_call_id"] = turn.tool_call_id
    if turn.name is not None:
        message["name"] = turn.name
    return message


def _content(turn: Turn) -> str | list[dict[str, Any]]:
    if turn.is_text and not any("type" in reasoning.raw for reasoning in turn.reasoning):
        return turn.error_text
    return [written for part in turn.parts if (written := _part(part)) is not None]


def _part(part: Part) -> dict[str, Any] | None:
    match part:
        case Text(text):
            return {"type": "text", "text": text}
        case Image(media_type, data, url, detail):
            image = {"url": url or f"data:{media_type};base64,{data}"}
            return {"type": "image_url", "image_url": image if detail is None else image | {"detail": detail}}
        case Document(text=str(text)):
            return {"type": "text", "text": text}
        case Document(media_type, data, title=title):
            inline = f"data:{media_type};base64,{data}"
            return {"type": "file", "file": {"filename": title or "document", "file_data": inline}}
        case Audio(form, data):
            return {"type": "input_audio", "input_audio": {"data": data, "format": form}}
        case Reasoning(_, raw):
            return dict(raw) if "type" in raw else None
        case ToolUse() | Aside():
            return None
        case _:
            assert_never(part)


def written_tool(tool: Tool) -> dict[str, Any]:
    """A tool in OpenAI's form."""
    function: dict[str, Any] = {"name": tool.name, "parameters": dict(tool.parameters)}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}

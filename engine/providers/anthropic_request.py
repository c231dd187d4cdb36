"""A request -> the body of Anthropic's messages. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, assert_never

from engine.providers.base import Request
from engine.providers.field_table import carried
from engine.providers.messages import arguments_of, cannot_carry, read_tools
from engine.providers.options import RequestOptions
from engine.providers.parts import Aside, Audio, Document, Image, Part, Reasoning, Text, Tool, ToolUse, Turn
from engine.providers.tool_call_ids import ANTHROPIC, with_ids

DEFAULT_MAX_TOKENS = 4096
"""Sent when a request says none: the API demands a bound."""

LEAST_BUDGET = 1024
"""The smallest budget of reasoning that the API takes, in tokens."""


def messages_request(request: Request, *, fetches: bool) -> tuple[dict[str, Any], list[str]]:
    """The body, and notes on what is not in it. `extra_body` holds what the caller wants passed as it is.
    Raises InvalidRequest."""
    options = request.options
    tools = read_tools(request.tools)
    kept = carried(request.read(), tools, options, "anthropic", fetches=fetches, refused=request.refused)
    turns, notes = with_ids(kept.turns, ANTHROPIC), list(kept.notes)
    most = request.max_tokens if request.max_tokens is not None else DEFAULT_MAX_TOKENS
    body: dict[str, Any] = {"model": request.model, "max_tokens": most, "messages": _messages(turns)}
    if system := _system(turns):
        body["system"] = system
    if kept.tools:
        body["tools"] = [_tool(tool) for tool in kept.tools]
    for name in kept.options:
        _write_option(body, options, name, notes)
    if extra := options.extra.get("anthropic"):
        body["extra_body"] = dict(extra)
    return body, notes


def _write_option(body: dict[str, Any], options: RequestOptions, name: str, notes: list[str]) -> None:
    match name:
        case "tool_choice" if (choice := options.tool_choice) is not None:
            kind = {"required": "any", "named": "tool"}.get(choice.kind, choice.kind)
            named = {"name": choice.name} if choice.kind == "named" else {}
            body["tool_choice"] = {"type": kind} | named | body.get("tool_choice", {})
        case "parallel_tool_calls":
            made = body.setdefault("tool_choice", {"type": "auto"})
            if made["type"] != "none":
                made["disable_parallel_tool_use"] = not options.parallel_tool_calls
        case "response_format" if (form := options.response_format) is not None:
            if form.schema is None:
                raise cannot_carry(name, "asks for any JSON, and Anthropic takes a schema")
            body.setdefault("output_config", {})["format"] = {
                "type": "json_schema",
                "schema": dict(form.schema),
            }
        case "stop":
            body["stop_sequences"] = list(options.stop)
        case "reasoning":
            _write_reasoning(body, options, notes)
        case "user":
            body["metadata"] = {"user_id": options.user}
        case "cache":
            body["cache_control"] = {"type": "ephemeral"} | ({"ttl": "1h"} if options.cache == "1h" else {})
        case _:
            raise AssertionError(f"{name} is sent, and nothing writes it")


def _write_reasoning(body: dict[str, Any], options: RequestOptions, notes: list[str]) -> None:
    wanted = options.reasoning
    assert wanted is not None
    if wanted.effort == "none":
        body["thinking"] = {"type": "disabled"}
    elif wanted.effort is not None:
        body["thinking"] = {"type": "adaptive"}
        effort = "low" if wanted.effort == "minimal" else wanted.effort
        body.setdefault("output_config", {})["effort"] = effort
        if effort != wanted.effort:
            notes.append("reasoning was sent as effort low, the least that the API takes")
    elif body["max_tokens"] <= LEAST_BUDGET:
        notes.append(
            f"reasoning was not sent: its least budget is {LEAST_BUDGET} tokens, and max_tokens is no more"
        )
    else:
        asked = wanted.budget_tokens or 0
        budget = min(max(asked, LEAST_BUDGET), body["max_tokens"] - 1)
        body["thinking"] = {"type": "enabled", "budget_tokens": budget}
        if budget != asked:
            notes.append(f"reasoning was sent with a budget of {budget} tokens, within what the API takes")


def _system(turns: Iterable[Turn]) -> str | list[dict[str, Any]]:
    """The system's text: one text, or blocks where a part of it is marked to be kept."""
    said = [turn for turn in turns if turn.role == "system" and turn.text]
    if not any(_is_marked(turn) for turn in said):
        return "\n\n".join(turn.text for turn in said)
    return [block for turn in said for block in _blocks(turn)]


def _messages(turns: Iterable[Turn]) -> list[dict[str, Any]]:
    """The turns but the system's; answers to several tool calls of one turn go back in one message."""
    messages: list[dict[str, Any]] = []
    for turn in turns:
        match turn.role:
            case "system":
                continue
            case "tool":
                result = _tool_result(turn)
                last = messages[-1]["content"] if messages else None
                if isinstance(last, list) and last and last[0]["type"] == "tool_result":
                    last.append(result)
                else:
                    messages.append({"role": "user", "content": [result]})
            case "user" | "assistant":
                messages.append({"role": turn.role, "content": _content(turn)})
            case _:
                assert_never(turn.role)
    return messages


def _content(turn: Turn) -> str | list[dict[str, Any]]:
    """One text where there is nothing else, else blocks in their order."""
    plain = all(isinstance(part, Text) for part in turn.parts) and not _is_marked(turn)
    return turn.text if plain else _blocks(turn)


def _tool_result(turn: Turn) -> dict[str, Any]:
    plain = all(isinstance(part, Text) for part in turn.parts)
    content = turn.text if plain and not _is_marked(turn) else _blocks(turn, marks_last=False)
    result: dict[str, Any] = {"type": "tool_result", "tool_use_id": turn.tool_call_id, "content": content}
    if turn.is_error:
        result["is_error"] = True
    if turn.cache is not None:
        result["cache_control"] = dict(turn.cache)
    return result


def _is_marked(turn: Turn) -> bool:
    return turn.cache is not None or any(getattr(part, "cache", None) is not None for part in turn.parts)


def _blocks(turn: Turn, *, marks_last: bool = True) -> list[dict[str, Any]]:
    blocks = [written for part in turn.parts if (written := _part(part)) is not None]
    if turn.cache is not None and marks_last and blocks:
        blocks[-1]["cache_control"] = dict(turn.cache)
    return blocks


def _part(part: Part) -> dict[str, Any] | None:
    match part:
        case Text(text, cache):
            return _marked({"type": "text", "text": text}, cache) if text else None
        case Image(media_type, data, url, cache=cache):
            return _marked({"type": "image", "source": _source(media_type, data, url)}, cache)
        case Document(media_type, data, text, url, title, cites, cache):
            plain = {"type": "text", "media_type": "text/plain", "data": text}
            source = plain if text is not None else _source(media_type, data, url)
            block: dict[str, Any] = {"type": "document", "source": source}
            block |= {} if title is None else {"title": title}
            block |= {"citations": {"enabled": True}} if cites else {}
            return _marked(block, cache)
        case Reasoning(_, raw):
            return dict(raw)
        case ToolUse(call, cache):
            used = {"type": "tool_use", "id": call["id"], "name": call["function"]["name"]}
            return _marked(used | {"input": arguments_of(call, part.where)}, cache)
        case Audio() | Aside():
            return None
        case _:
            assert_never(part)


def _source(media_type: str | None, data: str | None, url: str | None) -> dict[str, Any]:
    if url is not None:
        return {"type": "url", "url": url}
    return {"type": "base64", "media_type": media_type, "data": data}


def _marked(block: dict[str, Any], cache: Mapping[str, Any] | None) -> dict[str, Any]:
    return block if cache is None else block | {"cache_control": dict(cache)}


def _tool(tool: Tool) -> dict[str, Any]:
    written: dict[str, Any] = {"name": tool.name, "input_schema": {"type": "object"} | dict(tool.parameters)}
    if tool.description is not None:
        written["description"] = tool.description
    if tool.strict is not None:
        written["strict"] = tool.strict
    return _marked(written, tool.cache)

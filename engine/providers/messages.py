"""Messages and tools in OpenAI's or Anthropic's form, read once into turns that each provider writes in its
own form.

What is not known is refused by place (`messages[2].content[0]`), never dropped and never quoted. What a
provider's form cannot carry is decided later, by `engine.providers.field_table`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeGuard

from engine.providers.errors import InvalidRequest, Unfit
from engine.providers.parts import Aside, Audio, Document, Image, Part, Reasoning, Text, Tool, ToolUse, Turn
from engine.providers.reply import FinishReason, ToolCall

_DATA_URL = re.compile(r"data:(?P<type>[a-z]+/[A-Za-z0-9.+-]+);base64,(?P<data>[A-Za-z0-9+/=\s]*)")

_FIELD_NAME = re.compile(r"[a-z][a-z_]{0,30}")

_MESSAGE_KEYS = frozenset(
    {"role", "content", "name", "tool_calls", "tool_call_id", "is_error", "cache_control", "labels"}
)
_PART_KEYS = frozenset(
    {
        *("type", "text", "refusal", "image_url", "source", "file", "input_audio", "thinking", "data"),
        *("signature", "id", "name", "input", "cache_control", "title", "citations", "closed"),
        *("tool_use_id", "content", "is_error"),
    }
)
_ASIDES = frozenset({"annotations", "citations", "refusal", "provider_specific_fields", "caller", "logprobs"})
"""What SDKs and gateways put into an answer, and callers hand back with it."""
_REASONING_FIELDS = {
    "reasoning_content": "openai",
    "reasoning": "openai",
    "reasoning_details": "openai",
    "extra_content": "openai",
    "thinking": "ollama",
}
"""Fields of a message that hold reasoning or its signature, and the API that writes them."""


def read_messages(messages: Sequence[Mapping[str, Any]]) -> tuple[Turn, ...]:
    """Read messages. Raises InvalidRequest."""
    names: dict[str, str] = {}
    turns: list[Turn] = []
    for place, message in enumerate(messages):
        for turn in _turns(message, f"messages[{place}]"):
            if turn.role == "tool" and turn.tool_name is None and turn.tool_call_id in names:
                turn = replace(turn, tool_name=names[turn.tool_call_id])
            names.update({call["id"]: call["function"]["name"] for call in turn.tool_calls})
            turns.append(turn)
    if not turns:
        raise refusal("messages", "is empty")
    return tuple(turns)


def read_tools(tools: Sequence[Mapping[str, Any]] | None) -> tuple[Tool, ...]:
    """Read function tools, in OpenAI's form or Anthropic's. Raises InvalidRequest."""
    return tuple(_tool(tool, f"tools[{place}]") for place, tool in enumerate(tools or ()))


def arguments_of(call: ToolCall, where: str = "a tool call") -> dict[str, Any]:
    """A tool call's arguments as an object. Raises Unfit when they are not one."""
    try:
        arguments = json.loads(call["function"]["arguments"] or "{}")
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict):
        raise cannot_carry(where, "has arguments that are no JSON object")
    return arguments


def tool_call_of(
    id: str | None, name: str, arguments: object, place: int, extra: Mapping[str, Any] | None = None
) -> ToolCall:
    """A tool call in the one shape; an object of arguments becomes JSON text, a missing id is numbered.
    `extra` is kept as `extra_content`: a signature that must go back with the call."""
    written = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    call: ToolCall = {
        "id": id or f"call_{place}",
        "type": "function",
        "function": {"name": name, "arguments": written or "{}"},
    }
    if extra:
        call["extra_content"] = extra
    return call


def finish_with(calls: Sequence[ToolCall], finish: FinishReason) -> FinishReason:
    """The finish reason of an answer with these calls: `tool_calls`, unless it was cut by its length."""
    return "tool_calls" if calls and finish != "length" else finish


def refusal(where: str, why: str) -> InvalidRequest:
    """What is said of a field or part that cannot be sent: its place, never what it holds."""
    return InvalidRequest(dispatched=False, detail=f"{where} {why}")


def cannot_carry(where: str, why: str) -> Unfit:
    """The same of what only the form of one API cannot carry: another target may."""
    return Unfit(dispatched=False, detail=f"{where} {why}")


# --- Messages ---------------------------------------------------------------------------------------------


def _turns(message: object, where: str) -> Iterator[Turn]:
    """The turns of one message: Anthropic's form puts the answers of tools into a user's message."""
    if not isinstance(message, Mapping):
        raise refusal(where, "is not a mapping")
    cache = _cache(message, where)
    match message.get("role"):
        case "system" | "developer":
            _check_keys(message, where)
            yield Turn(
                "system", _of_kinds(message, where, (Text,)), name=_name(message), cache=cache, where=where
            )
        case "user":
            _check_keys(message, where)
            yield from _user(message, where, cache)
        case "assistant":
            _check_keys(message, where, *_REASONING_FIELDS, "thinking_blocks")
            parts = (
                *_reasoning(message, where),
                *_content(message, where),
                *_calls(message, where),
                *_asides(message, where),
            )
            for part in parts:
                if not isinstance(part, Text | Reasoning | ToolUse | Aside):
                    raise refusal(part.where, "is not for an assistant's message")
            yield Turn("assistant", parts, name=_name(message), cache=cache, where=where)
        case "tool":
            _check_keys(message, where, "tool_name")
            answered, name = message.get("tool_call_id"), _name(message) or message.get("tool_name")
            if not isinstance(answered, str):
                raise refusal(where, "answers a tool call and has no tool_call_id")
            yield Turn(
                "tool",
                _of_kinds(message, where, (Text, Image, Document)),
                answered,
                name if isinstance(name, str) else None,
                message.get("is_error") is True,
                cache=cache,
                where=where,
            )
        case _:
            raise refusal(where, "has a role other than system, developer, user, assistant, tool")


def _check_keys(message: Mapping[str, Any], where: str, *more: str) -> None:
    for key, value in message.items():
        if key not in _MESSAGE_KEYS and key not in more and key not in _ASIDES and value is not None:
            raise refusal(_at(where, key), "is a field that no API here knows")


def _at(where: str, key: object) -> str:
    """The place of a field, unless its name is none that could be repeated."""
    plain = isinstance(key, str) and _FIELD_NAME.fullmatch(key) is not None
    return f"{where}.{key}" if plain else f"a field of {where}"


def _asides(holder: Mapping[str, Any], where: str) -> Iterator[Aside]:
    return (Aside(_at(where, key)) for key in holder if key in _ASIDES and holder[key])


def _user(message: Mapping[str, Any], where: str, cache: Mapping[str, Any] | None) -> Iterator[Turn]:
    content, rest = message.get("content"), list[Part]()
    if isinstance(content, str):
        yield Turn(
            "user", (Text(content, where=f"{where}.content"),), name=_name(message), cache=cache, where=where
        )
        return
    for place, block in enumerate(content if _is_list(content) else ()):
        if isinstance(block, Mapping) and block.get("type") == "tool_result":
            yield _tool_result(block, f"{where}.content[{place}]")
    for part in _content(message, where, skip="tool_result"):
        if isinstance(part, Reasoning | ToolUse):
            raise refusal(part.where, "is not for a user's message")
        rest.append(part)
    if rest or not _is_list(content) or not content:
        yield Turn("user", tuple(rest), name=_name(message), cache=cache, where=where)


def _tool_result(block: Mapping[str, Any], where: str) -> Turn:
    answered = block.get("tool_use_id")
    if not isinstance(answered, str):
        raise refusal(where, "answers a tool call and has no tool_use_id")
    parts = _of_kinds(block, where, (Text, Image, Document))
    is_error = block.get("is_error") is True
    return Turn("tool", parts, answered, is_error=is_error, cache=_cache(block, where), where=where)


def _name(message: Mapping[str, Any]) -> str | None:
    name = message.get("name")
    return name if isinstance(name, str) else None


def _of_kinds(message: Mapping[str, Any], where: str, kinds: tuple[type, ...]) -> tuple[Part, ...]:
    parts = tuple(_content(message, where))
    for part in parts:
        if not isinstance(part, (*kinds, Aside)):
            raise refusal(part.where, "is not for a message of this role")
    return parts


def _content(message: Mapping[str, Any], where: str, *, skip: str | None = None) -> Iterator[Part]:
    content = message.get("content")
    if content is None:
        return
    if isinstance(content, str):
        yield Text(content, where=f"{where}.content")
        return
    if not _is_list(content):
        raise refusal(f"{where}.content", "is neither text nor a list of parts")
    for place, part in enumerate(content):
        spot = f"{where}.content[{place}]"
        if not isinstance(part, Mapping):
            raise refusal(spot, "is not a mapping")
        if part.get("type") != skip:
            for key, value in part.items():
                if key not in _PART_KEYS and key not in _ASIDES and value is not None:
                    raise refusal(_at(spot, key), "is a field that no API here knows")
            yield _part(part, spot)
            if part.get("type") in ("text", "output_text", "tool_use"):
                yield from _asides(part, spot)


def _part(part: Mapping[str, Any], where: str) -> Part:
    cache = _cache(part, where)
    match part:
        case {"type": "text" | "input_text" | "output_text", "text": str(text)}:
            return Text(text, cache, where)
        case {"type": "refusal", "refusal": str(text)}:
            return Text(text, cache, where)
        case {"type": "image_url", "image_url": {"url": str(url), **rest}}:
            detail = rest.get("detail")
            return replace(_image(url, cache, where), detail=detail if isinstance(detail, str) else None)
        case {"type": "image_url", "image_url": str(url)}:
            return _image(url, cache, where)
        case {"type": "input_image", "image_url": str(url)}:
            return _image(url, cache, where)
        case {"type": "image", "source": {"type": "url", "url": str(url)}}:
            return _image(url, cache, where)
        case {"type": "image", "source": {"type": "base64", "media_type": str(kind), "data": str(data)}}:
            return _image(f"data:{kind};base64,{data}", cache, where)
        case {"type": "document", "source": source}:
            return _document(part, source, cache, where)
        case {"type": "file", "file": {"file_data": str(data), **rest}}:
            inline = _inline(data, where)
            title = rest.get("filename")
            named = title if isinstance(title, str) else None
            return Document(inline["type"], inline["data"], title=named, cache=cache, where=where)
        case {"type": "input_audio", "input_audio": {"data": str(data), "format": str(form)}}:
            return Audio(form, data, where)
        case {"type": "thinking", "thinking": str()} | {"type": "redacted_thinking", "data": str()}:
            return Reasoning("anthropic", part, where)
        case {"type": "thinking", "thinking": list() | tuple()}:
            return Reasoning("openai", part, where)
        case {"type": "tool_use", "id": str(id), "name": str(name), "input": Mapping() as arguments}:
            return ToolUse(tool_call_of(id, name, dict(arguments), 0), cache, where)
        case _:
            raise refusal(where, "is of no kind that is known, or lacks what its kind needs")


def _image(url: str, cache: Mapping[str, Any] | None, where: str) -> Image:
    if not url.startswith("data:"):
        if not url.startswith(("https://", "http://")):
            raise refusal(where, "is an image that is neither a base64 data URL nor an http(s) URL")
        return Image(url=url, cache=cache, where=where)
    inline = _inline(url, where)
    if not inline["type"].startswith("image/"):
        raise refusal(where, "is called an image and its data URL is none")
    return Image(inline["type"], inline["data"], cache=cache, where=where)


def _document(
    part: Mapping[str, Any], source: object, cache: Mapping[str, Any] | None, where: str
) -> Document:
    title, told = part.get("title"), part.get("citations")
    cites = isinstance(told, Mapping) and told.get("enabled") is True
    read = Document(title=title if isinstance(title, str) else None, cites=cites, cache=cache, where=where)
    match source:
        case {"type": "base64", "media_type": str(kind), "data": str(data)}:
            return replace(read, media_type=kind, data=data)
        case {"type": "text", "data": str(text)}:
            return replace(read, media_type="text/plain", text=text)
        case {"type": "url", "url": str(url)} if url.startswith(("https://", "http://")):
            return replace(read, url=url)
        case _:
            raise refusal(where, "is a document whose source is neither base64, text nor an http(s) URL")


def _inline(url: str, where: str) -> dict[str, str]:
    found = _DATA_URL.fullmatch(url)
    if found is None:
        raise refusal(where, "is not a base64 data URL")
    return {"type": found["type"], "data": "".join(found["data"].split())}


def _reasoning(message: Mapping[str, Any], where: str) -> Iterator[Reasoning]:
    """Reasoning beside the content: one part for each API whose fields are there."""
    blocks = message.get("thinking_blocks")
    for place, block in enumerate(blocks if _is_list(blocks) else ()):
        spot = f"{where}.thinking_blocks[{place}]"
        part = _part(block, spot) if isinstance(block, Mapping) else None
        if not isinstance(part, Reasoning):
            raise refusal(spot, "is not a thinking block")
        yield part
    for api in dict.fromkeys(_REASONING_FIELDS.values()):
        told = {
            name: message[name]
            for name, of in _REASONING_FIELDS.items()
            if of == api and message.get(name) not in (None, "", [], {})
        }
        if told:
            yield Reasoning(api, told, f"{where}.{next(iter(told))}")


def _calls(message: Mapping[str, Any], where: str) -> Iterator[ToolUse]:
    calls = message.get("tool_calls") or ()
    if not _is_list(calls):
        raise refusal(f"{where}.tool_calls", "is not a list")
    for place, call in enumerate(calls):
        spot = f"{where}.tool_calls[{place}]"
        match call:
            case {"id": str(id), "function": {"name": str(name), "arguments": str() | Mapping() as given}}:
                extra = call.get("extra_content")
                arguments = given if isinstance(given, str) else dict(given)
                written = tool_call_of(
                    id, name, arguments, place, extra if isinstance(extra, Mapping) else None
                )
                if isinstance(given, str):
                    written["function"]["arguments"] = given
                yield ToolUse(written, where=spot)
            case _:
                raise refusal(spot, "is not a function call with id, name and arguments")


def _cache(holder: Mapping[str, Any], where: str) -> Mapping[str, Any] | None:
    match holder.get("cache_control"):
        case None:
            return None
        case {"type": "ephemeral"} as told:
            return dict(told)
        case _:
            raise refusal(f"{where}.cache_control", "is not of type ephemeral")


# --- Tools ------------------------------------------------------------------------------------------------


def _tool(tool: object, where: str) -> Tool:
    if not isinstance(tool, Mapping):
        raise refusal(where, "is not a mapping")
    match tool:
        case {"type": "function", "function": Mapping() as function}:
            schema = function.get("parameters")
        case {"input_schema": schema, **rest} if rest.get("type") in (None, "custom"):
            function = tool
        case _:
            raise refusal(where, "is not a function tool")
    name, schema = function.get("name"), {} if schema is None else schema
    if not isinstance(name, str) or not isinstance(schema, Mapping):
        raise refusal(where, "needs a name and an object of parameters")
    description, strict = function.get("description"), function.get("strict")
    return Tool(
        name,
        description if isinstance(description, str) else None,
        schema,
        strict if isinstance(strict, bool) else None,
        _cache(tool, where),
        where,
    )


def _is_list(value: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)

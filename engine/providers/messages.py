"""OpenAI-style messages and tools, read once into turns that each provider writes in its own form.

What cannot be carried is refused by place (`messages[2].content[0]`), never dropped and never quoted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from engine.providers.errors import InvalidRequest
from engine.providers.reply import FinishReason, ToolCall

Role = Literal["system", "user", "assistant", "tool"]

_DATA_URL = re.compile(r"data:(?P<type>image/[a-z0-9.+-]+);base64,(?P<data>[A-Za-z0-9+/=\s]+)")


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of text."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Image:
    """An image: base64 `data` of a media type, or a `url` that the provider would fetch."""

    media_type: str | None = None
    data: str | None = field(default=None, repr=False)
    url: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Turn:
    """One message. `developer` has become `system`; `tool_name` is looked up from the call it answers."""

    role: Role
    parts: tuple[Text | Image, ...] = ()
    tool_calls: tuple[ToolCall, ...] = field(default=(), repr=False)
    tool_call_id: str | None = None
    tool_name: str | None = None

    @property
    def text(self) -> str:
        """All its text, joined."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def images(self) -> tuple[Image, ...]:
        """Its images."""
        return tuple(part for part in self.parts if isinstance(part, Image))


@dataclass(frozen=True, slots=True)
class Tool:
    """A function tool; `parameters` is a JSON Schema."""

    name: str
    description: str | None = field(default=None, repr=False)
    parameters: Mapping[str, Any] = field(default_factory=dict, repr=False)


def read_messages(messages: Sequence[Mapping[str, Any]], *, image_urls: bool) -> tuple[Turn, ...]:
    """Read messages. Raises InvalidRequest.

    `image_urls` allows images by http(s) URL: only where the vendor fetches them, since a local server told
    to fetch a URL would carry it out of the house.
    """
    names: dict[str, str] = {}
    turns = []
    for place, message in enumerate(messages):
        turn = _turn(message, f"messages[{place}]", names, image_urls=image_urls)
        names.update({call["id"]: call["function"]["name"] for call in turn.tool_calls})
        turns.append(turn)
    if not turns:
        raise _refusal("messages", "is empty")
    return tuple(turns)


def read_tools(tools: Sequence[Mapping[str, Any]] | None) -> tuple[Tool, ...]:
    """Read function tools. Raises InvalidRequest."""
    read = []
    for place, tool in enumerate(tools or ()):
        where = f"tools[{place}]"
        function = tool.get("function") if isinstance(tool, Mapping) else None
        if not isinstance(function, Mapping) or tool.get("type") != "function":
            raise _refusal(where, "is not a function tool")
        name, parameters = function.get("name"), function.get("parameters", {})
        if not isinstance(name, str) or not isinstance(parameters, Mapping):
            raise _refusal(where, "needs a name and an object of parameters")
        description = function.get("description")
        read.append(Tool(name, description if isinstance(description, str) else None, parameters))
    return tuple(read)


def arguments_of(call: ToolCall) -> dict[str, Any]:
    """A tool call's arguments as an object. Raises InvalidRequest when they are not one."""
    try:
        arguments = json.loads(call["function"]["arguments"] or "{}")
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict):
        raise _refusal("a tool call's arguments", "are not a JSON object")
    return arguments


def tool_call_of(id: str | None, name: str, arguments: object, place: int) -> ToolCall:
    """A tool call in the one shape; an object of arguments becomes JSON text, a missing id is numbered."""
    written = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return {
        "id": id or f"call_{place}",
        "type": "function",
        "function": {"name": name, "arguments": written or "{}"},
    }


def finish_with(calls: Sequence[ToolCall], finish: FinishReason) -> FinishReason:
    """The finish reason of an answer with these calls: `tool_calls`, unless it was cut by its length."""
    return "tool_calls" if calls and finish != "length" else finish


def _turn(message: object, where: str, names: Mapping[str, str], *, image_urls: bool) -> Turn:
    if not isinstance(message, Mapping):
        raise _refusal(where, "is not a mapping")
    match message.get("role"):
        case "system" | "developer":
            return Turn("system", _only_text(message, where))
        case "user":
            return Turn("user", tuple(_parts(message, where, image_urls=image_urls)))
        case "assistant":
            calls = tuple(_calls(message.get("tool_calls") or (), where))
            return Turn("assistant", _only_text(message, where), calls)
        case "tool":
            answered = message.get("tool_call_id")
            if not isinstance(answered, str):
                raise _refusal(where, "answers a tool call and has no tool_call_id")
            name = message.get("name")
            told = name if isinstance(name, str) else names.get(answered)
            return Turn("tool", _only_text(message, where), tool_call_id=answered, tool_name=told)
        case _:
            raise _refusal(where, "has a role other than system, developer, user, assistant, tool")


def _only_text(message: Mapping[str, Any], where: str) -> tuple[Text, ...]:
    parts = tuple(_parts(message, where, image_urls=False))
    if not all(isinstance(part, Text) for part in parts):
        raise _refusal(where, "has an image, which only a user's message may have")
    return tuple(part for part in parts if isinstance(part, Text))


def _parts(message: Mapping[str, Any], where: str, *, image_urls: bool) -> Iterator[Text | Image]:
    content = message.get("content")
    if content is None:
        return
    if isinstance(content, str):
        yield Text(content)
        return
    if not isinstance(content, Sequence):
        raise _refusal(f"{where}.content", "is neither text nor a list of parts")
    for place, part in enumerate(content):
        spot = f"{where}.content[{place}]"
        match part:
            case {"type": "text", "text": str(text)}:
                yield Text(text)
            case {"type": "image_url", "image_url": {"url": str(url)} | str(url)}:
                yield _image(url, spot, image_urls=image_urls)
            case _:
                raise _refusal(spot, "is neither text nor an image_url")


def _image(url: str, where: str, *, image_urls: bool) -> Image:
    inline = _DATA_URL.fullmatch(url)
    if inline is not None:
        return Image(inline["type"], "".join(inline["data"].split()))
    if not url.startswith(("https://", "http://")):
        raise _refusal(where, "is an image that is neither a base64 data URL nor an http(s) URL")
    if not image_urls:
        raise _refusal(where, "is an image by URL, which only a cloud provider may be asked to fetch")
    return Image(url=url)


def _calls(calls: object, where: str) -> Iterator[ToolCall]:
    if not isinstance(calls, Sequence):
        raise _refusal(f"{where}.tool_calls", "is not a list")
    for place, call in enumerate(calls):
        match call:
            case {"id": str(id), "function": {"name": str(name), "arguments": str(arguments)}}:
                yield {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
            case _:
                raise _refusal(
                    f"{where}.tool_calls[{place}]", "is not a function call with id, name and arguments"
                )


def _refusal(where: str, why: str) -> InvalidRequest:
    return InvalidRequest(dispatched=False, detail=f"{where} {why}")

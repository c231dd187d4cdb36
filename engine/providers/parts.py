"""What a conversation is made of once it has been read: turns of parts, each with its place in the caller's
list.

No part's repr shows what it holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from engine.providers.reply import ToolCall

Role = Literal["system", "user", "assistant", "tool"]


def _hidden(default: Any = None) -> Any:
    return field(default=default, repr=False)


def _place() -> Any:
    return field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of text. `cache` is the `cache_control` that stood with it, here and below."""

    text: str = field(repr=False)
    cache: Mapping[str, Any] | None = _hidden()
    where: str = _place()


@dataclass(frozen=True, slots=True)
class Image:
    """An image: base64 `data` of a media type, or a `url` that the provider would fetch."""

    media_type: str | None = None
    data: str | None = _hidden()
    url: str | None = _hidden()
    detail: str | None = None
    cache: Mapping[str, Any] | None = _hidden()
    where: str = _place()


@dataclass(frozen=True, slots=True)
class Document:
    """A document: base64 `data` of a media type, plain `text`, or a `url`. `cites` asks for citations of
    it."""

    media_type: str | None = None
    data: str | None = _hidden()
    text: str | None = _hidden()
    url: str | None = _hidden()
    title: str | None = _hidden()
    cites: bool = False
    cache: Mapping[str, Any] | None = _hidden()
    where: str = _place()


@dataclass(frozen=True, slots=True)
class Audio:
    """Sound as base64 `data`; `format` is `wav`, `mp3`, ..."""

    format: str
    data: str = field(repr=False)
    where: str = _place()


@dataclass(frozen=True, slots=True)
class Reasoning:
    """Reasoning as one API wrote it, signature included. Only that API can read it again, so `raw` goes back
    there unchanged: a block of content when it has a `type`, else fields of the message."""

    api: str
    raw: Mapping[str, Any] = field(repr=False)
    where: str = _place()


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A call of a tool by the model."""

    call: ToolCall = field(repr=False)
    cache: Mapping[str, Any] | None = _hidden()
    where: str = _place()


@dataclass(frozen=True, slots=True)
class Aside:
    """Something that an answer says of itself (its citations, its annotations) and that no request holds."""

    where: str = _place()


Part: TypeAlias = Text | Image | Document | Audio | Reasoning | ToolUse | Aside


@dataclass(frozen=True, slots=True)
class Turn:
    """One message. `developer` has become `system`; each answer of a tool is a turn of its own, and its
    `tool_name` is looked up from the call it answers. `name` is the speaker's."""

    role: Role
    parts: tuple[Part, ...] = ()
    tool_call_id: str | None = field(default=None, repr=False)
    tool_name: str | None = field(default=None, repr=False)
    is_error: bool = False
    name: str | None = _hidden()
    cache: Mapping[str, Any] | None = _hidden()
    where: str = _place()

    @property
    def text(self) -> str:
        """All its text, joined; a document of plain text is text too."""
        return "".join(text_of_part(part) for part in self.parts)

    @property
    def plain_text(self) -> str | None:
        """Its text, where it is one unmarked text and nothing stands beside it; None of any other turn."""
        match self.parts:
            case (Text(text, None),) if self.role in ("system", "user"):
                return text if self.name is None and self.cache is None else None
            case _:
                return None

    @property
    def images(self) -> tuple[Image, ...]:
        """Its images."""
        return tuple(part for part in self.parts if isinstance(part, Image))

    @property
    def is_text(self) -> bool:
        """Whether it holds nothing but text, reasoning and calls aside."""
        return not any(
            isinstance(part, Image | Audio) or (isinstance(part, Document) and part.text is None)
            for part in self.parts
        )

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The calls it makes."""
        return tuple(part.call for part in self.parts if isinstance(part, ToolUse))

    @property
    def reasoning(self) -> tuple[Reasoning, ...]:
        """Its reasoning."""
        return tuple(part for part in self.parts if isinstance(part, Reasoning))

    @property
    def error_text(self) -> str:
        """The text of a tool's answer for a form that has no `is_error`: a failure says so."""
        text = self.text
        return f"Error: {text}" if self.is_error and not text.lower().startswith("error") else text


def text_of_part(part: Part) -> str:
    """The text of a part; empty where it has none."""
    match part:
        case Text(text):
            return text
        case Document(text=str(text)):
            return f"{text}\n"
        case _:
            return ""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function tool; `parameters` is a JSON Schema, `strict` whether the arguments must keep to it."""

    name: str = field(repr=False)
    description: str | None = _hidden()
    parameters: Mapping[str, Any] = field(default_factory=dict, repr=False)
    strict: bool | None = None
    cache: Mapping[str, Any] | None = _hidden()
    where: str = _place()

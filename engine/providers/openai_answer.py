"""The answers of servers that speak OpenAI's chat completions: tool calls however they are cut into pieces,
reasoning under several names, signatures that must go back, citations."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.providers.messages import tool_call_of
from engine.providers.reply import ToolCall
from engine.providers.sdk_objects import fields_of

_TEXTS = ("reasoning_content", "reasoning")
_JOINED = frozenset({"text", "summary", "data", "signature"})


def reasoning_text(message: Any) -> str:
    """The reasoning of a message or of a piece of one, as text; empty when there is none."""
    fields = fields_of(message)
    return next((text for name in _TEXTS if isinstance(text := fields.get(name), str)), "")


def content_of(message: Any) -> tuple[str, str]:
    """Text and reasoning of a content that may be a list of parts (Mistral's reasoning models)."""
    content = fields_of(message).get("content")
    if not isinstance(content, list):
        return content or "", ""
    parts = [_plain(part) for part in content]
    texts = [part["text"] for part in parts if isinstance(part.get("text"), str)]
    return "".join(texts), "".join(_thought(part) for part in parts)


def _thought(part: Mapping[str, Any]) -> str:
    told = part.get("thinking") if part.get("type") == "thinking" else None
    if not isinstance(told, list):
        return ""
    return "".join(one["text"] for one in map(_plain, told) if isinstance(one.get("text"), str))


def hand_back(kept: dict[str, Any], message: Any) -> None:
    """Add what must go back with the next request, from a whole message or from one piece after another:
    reasoning under the name it came by, its details, and what stands in `extra_content`."""
    fields = fields_of(message)
    for name in _TEXTS:
        text = fields.get(name)
        if isinstance(text, str) and text:
            kept[name] = f"{kept.get(name, '')}{text}"
    content = fields.get("content")
    for part in _mappings(content if isinstance(content, list) else ()):
        if part.get("type") == "thinking":
            kept.setdefault("thinking_blocks", []).append(part)
    details = fields.get("reasoning_details")
    if isinstance(details, list):
        kept["reasoning_details"] = _joined([*kept.get("reasoning_details", []), *_mappings(details)])
    extra = fields.get("extra_content")
    if isinstance(extra, Mapping) and extra:
        kept["extra_content"] = dict(extra)


def citations_of(answer: Any, message: Any) -> list[Mapping[str, Any]]:
    """Citations of an answer or of a piece of one: annotations of the message, or a list beside it."""
    annotations = fields_of(message).get("annotations")
    listed = fields_of(answer).get("citations")
    if not annotations and not listed:
        return []
    return [one for one in map(_plain, annotations or ()) if one] + [
        {"url": one} if isinstance(one, str) else dict(one)
        for one in (listed if isinstance(listed, list) else ())
        if isinstance(one, str | Mapping)
    ]


def _joined(details: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Details as whole ones: a piece belongs to the one before it with its type and number."""
    whole: list[dict[str, Any]] = []
    for piece in details:
        last = whole[-1] if whole else None
        number = piece.get("index")
        kind = piece.get("type")
        if last is None or number is None or (last.get("type"), last.get("index")) != (kind, number):
            whole.append(dict(piece))
            continue
        for key, value in piece.items():
            if key in _JOINED and isinstance(value, str) and isinstance(last.get(key), str):
                last[key] += value
            elif value is not None:
                last[key] = value
    return whole


def _mappings(values: Iterable[Any]) -> list[Mapping[str, Any]]:
    return [value for value in map(_plain, values) if value]


def _plain(value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    dump = getattr(value, "model_dump", None)
    plain: dict[str, Any] = dump(mode="json", exclude_unset=True) if callable(dump) else {}
    return plain


# --- Tool calls -------------------------------------------------------------------------------------------


def whole_tool_call(made: Any, place: int) -> ToolCall:
    """A tool call that came in one piece."""
    extra = getattr(made, "extra_content", None)
    told = made.function.arguments or {}
    return tool_call_of(
        made.id, str(made.function.name), told, place, extra if isinstance(extra, Mapping) else None
    )


@dataclass(slots=True, repr=False)
class _Building:
    """A tool call whose pieces are still coming."""

    index: int | None
    id: str | None
    name: str = ""
    arguments: str = ""
    extra: Mapping[str, Any] | None = None

    def is_continued_by(self, piece: Any) -> bool:
        """Whether a piece belongs to this call. Some servers number every call 0, some none at all: an id of
        its own always begins a new one, and so does a name after whole arguments."""
        if piece.id and self.id and piece.id != self.id:
            return False
        if piece.index != self.index and not (piece.index is None and piece.id in (None, "", self.id)):
            return False
        named = piece.function is not None and bool(piece.function.name)
        unnumbered = not piece.index and not (piece.id and self.id)
        return not (named and unnumbered and _is_object(self.arguments))

    def add(self, piece: Any) -> None:
        """A further piece. Some servers repeat name and id, some give the arguments as an object, some
        give the id late."""
        self.id = self.id or piece.id or None
        told = getattr(piece, "extra_content", None)
        self.extra = told if isinstance(told, Mapping) and told else self.extra
        if piece.function is None:
            return
        name, arguments = piece.function.name or "", piece.function.arguments or ""
        if name != self.name:
            self.name += name
        self.arguments += arguments if isinstance(arguments, str) else json.dumps(arguments)


@dataclass(slots=True, repr=False)
class ToolCallPieces:
    """The tool calls of a stream, put together from their pieces."""

    building: list[_Building] = field(default_factory=list)

    def take(self, pieces: Iterable[Any]) -> None:
        """Further pieces."""
        for piece in pieces:
            made = next((one for one in reversed(self.building) if one.is_continued_by(piece)), None)
            if made is None and self.building and not _begins(piece):
                made = self.building[-1]
            if made is None:
                made = _Building(piece.index, piece.id)
                self.building.append(made)
            made.add(piece)

    def whole(self) -> list[ToolCall]:
        """The calls, now that all has come."""
        return [
            tool_call_of(made.id, made.name, made.arguments, place, made.extra)
            for place, made in enumerate(self.building)
        ]


def _begins(piece: Any) -> bool:
    """Whether a piece can be a call's first: one with neither id nor name belongs to the call under way,
    whatever its number says."""
    return bool(piece.id or (piece.function is not None and piece.function.name))


def _is_object(arguments: str) -> bool:
    try:
        return isinstance(json.loads(arguments), dict)
    except ValueError:
        return False

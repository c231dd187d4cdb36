"""What becomes of every field and part of a request in every dialect: one table, as data.

The adapters obey it, the page about requests is written from it, and the tests hold each cell against what
goes out. A field that a dialect has no place for is refused by place when leaving it out would change what
the caller gets, and otherwise left out with a note in the attempt. Nothing is dropped without a word.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Literal, TypeAlias, assert_never

from engine.providers.messages import cannot_carry
from engine.providers.options import RequestOptions
from engine.providers.parts import Aside, Audio, Document, Image, Part, Reasoning, Text, Tool, ToolUse, Turn

Dialect: TypeAlias = Literal["openai", "compatible", "anthropic", "ollama"]
"""`openai` is OpenAI itself, `compatible` every other server that speaks its chat completions."""

DIALECTS: tuple[Dialect, ...] = ("openai", "compatible", "anthropic", "ollama")


@dataclass(frozen=True, slots=True)
class Sent:
    """It is sent; `at` is where it stands in the body."""

    at: str
    but: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """The request is refused at this target, by place."""

    why: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """It is not sent, and a note in the attempt says so."""

    why: str


Fate: TypeAlias = Sent | Refused | LeftOut


class WhenRefused(Enum):
    """What the router does when a target that should take a field says that it will not."""

    WITHOUT = "asked again without it"
    WITHOUT_AS_LAST = "asked again without it when it is the last"
    NEXT = "the next member is asked"


@dataclass(frozen=True, slots=True)
class Row:
    """One field or part: `meaning` for people, a fate for each dialect, and what is done where a target
    refuses what its dialect has a place for."""

    name: str
    meaning: str
    openai: Fate
    compatible: Fate
    anthropic: Fate
    ollama: Fate
    when_refused: WhenRefused = WhenRefused.NEXT

    def fate(self, dialect: Dialect) -> Fate:
        """What becomes of it there."""
        fate: Fate = getattr(self, dialect)
        return fate


LIMIT_NAMES = ("max_tokens", "max_completion_tokens")
"""What OpenAI's form calls the bound of the output: of the two a target takes one, or both. It is never left
out, for what is held is by it."""

USAGE_WANTED = "stream_options"
"""What asks a stream for its usage. Where it is refused, what was used counts as unknown."""

_NO_PLACE = "the API has no place for it"
_CACHES = "the server caches by itself"
_OTHER_API = "only the API that wrote it can read it"
_WILL_NOT = LeftOut("the target refused it")
_NOT_FETCHED = Refused("is by URL, and a local server is asked to fetch nothing")


def _alike(
    name: str,
    meaning: str,
    openai: Fate,
    anthropic: Fate,
    ollama: Fate,
    when_refused: WhenRefused = WhenRefused.NEXT,
) -> Row:
    return Row(name, meaning, openai, openai, anthropic, ollama, when_refused)


_FIELD_ROWS = (
    _alike(
        "tool_choice",
        "whether tools may or must be called, or which",
        Sent("tool_choice"),
        Sent("tool_choice"),
        Refused("asks for something Ollama cannot promise: it lets the model choose"),
    ),
    _alike(
        "parallel_tool_calls",
        "whether several tools may be called at once",
        Sent("parallel_tool_calls"),
        Sent("tool_choice.disable_parallel_tool_use", "turned round; left out where no tools are passed"),
        LeftOut(_NO_PLACE),
        when_refused=WhenRefused.WITHOUT,
    ),
    _alike(
        "response_format",
        "an answer in JSON, of a schema or any",
        Sent("response_format"),
        Sent("output_config.format", "a schema; any JSON at all is refused"),
        Sent("format"),
    ),
    _alike(
        "stop",
        "texts that end the answer",
        Sent("stop"),
        Sent("stop_sequences"),
        Sent("options.stop"),
        when_refused=WhenRefused.WITHOUT_AS_LAST,
    ),
    _alike(
        "top_p",
        "nucleus sampling",
        Sent("top_p"),
        LeftOut("the API does not take one"),
        Sent("options.top_p"),
        when_refused=WhenRefused.WITHOUT,
    ),
    _alike(
        "temperature",
        "sampling temperature",
        Sent("temperature"),
        LeftOut("the API does not take one"),
        Sent("options.temperature"),
        when_refused=WhenRefused.WITHOUT,
    ),
    _alike(
        "seed",
        "a seed for sampling",
        Sent("seed"),
        LeftOut(_NO_PLACE),
        Sent("options.seed"),
        when_refused=WhenRefused.WITHOUT,
    ),
    _alike(
        "reasoning",
        "how much to reason: an effort, or a budget in tokens",
        Sent("reasoning_effort", "a budget as the nearest effort"),
        Sent("thinking", "an effort as adaptive thinking with `output_config.effort`"),
        Sent("think", "low, medium or high; a budget as yes"),
        when_refused=WhenRefused.WITHOUT,
    ),
    Row(
        "metadata",
        "names and values for the provider's own records",
        LeftOut("OpenAI takes it only for what it stores, and nothing is stored"),
        Sent("metadata"),
        LeftOut("the API takes a `user` and nothing else"),
        LeftOut(_NO_PLACE),
        when_refused=WhenRefused.WITHOUT,
    ),
    _alike(
        "user",
        "who the request is for, in a form that names nobody",
        Sent("user"),
        Sent("metadata.user_id"),
        LeftOut(_NO_PLACE),
        when_refused=WhenRefused.WITHOUT,
    ),
    _alike(
        "cache",
        "keep the prompt for the next request",
        LeftOut(_CACHES),
        Sent("cache_control"),
        LeftOut(_CACHES),
        when_refused=WhenRefused.WITHOUT,
    ),
)

_PART_ROWS = (
    _alike(
        "text", "text of any role", Sent("messages[].content"), Sent("messages[].content"),
        Sent("messages[].content"),
    ),
    _alike(
        "image", "an image as data", Sent("messages[].content[].image_url"),
        Sent("messages[].content[].source"), Sent("messages[].images"),
    ),
    _alike(
        "image by URL", "an image that the provider fetches", Sent("messages[].content[].image_url"),
        Sent("messages[].content[].source"), _NOT_FETCHED,
    ),
    _alike(
        "image detail", "how closely to look at an image", Sent("messages[].content[].image_url.detail"),
        LeftOut(_NO_PLACE), LeftOut(_NO_PLACE),
    ),
    _alike(
        "document", "a document as data, such as a PDF", Sent("messages[].content[].file"),
        Sent("messages[].content[].source"), Refused("is a document, which Ollama does not read"),
    ),
    _alike(
        "document of text", "a document that is plain text", Sent("messages[].content", "as text"),
        Sent("messages[].content[].source"), Sent("messages[].content", "as text"),
    ),
    _alike(
        "document by URL", "a document that the provider fetches",
        Refused("is a document by URL, which the API does not fetch"),
        Sent("messages[].content[].source"), _NOT_FETCHED,
    ),
    _alike(
        "citations wanted", "ask for citations of a document", LeftOut(_NO_PLACE),
        Sent("messages[].content[].citations"), LeftOut(_NO_PLACE),
    ),
    _alike(
        "audio", "sound as data", Sent("messages[].content[].input_audio"),
        Refused("is audio, which the API does not take"), Refused("is audio, which Ollama does not take"),
    ),
    _alike(
        "tool call", "a call that the model made", Sent("messages[].tool_calls"),
        Sent("messages[].content[].input"), Sent("messages[].tool_calls"),
    ),
    _alike(
        "tool call's signature", "`extra_content` of a call", Sent("messages[].tool_calls[].extra_content"),
        LeftOut(_OTHER_API), LeftOut(_OTHER_API), when_refused=WhenRefused.WITHOUT,),
    _alike(
        "tool result", "the answer of a tool", Sent("messages[].content"),
        Sent("messages[].content[].content"), Sent("messages[].content"),
    ),
    _alike(
        "image in a tool result", "an image that a tool gave",
        Refused("is an image or document from a tool, for which the API has no place"),
        Sent("messages[].content[].content[].source"),
        Refused("is an image or document from a tool, for which the API has no place"),
    ),
    _alike(
        "failed tool", "`is_error` of a tool's answer",
        Sent("messages[].content", "as the word Error before it"), Sent("messages[].content[].is_error"),
        Sent("messages[].content", "as the word Error before it"),
    ),
    Row(
        "reasoning of OpenAI's form", "`reasoning_content`, `reasoning_details`, thought signatures",
        LeftOut("OpenAI's chat completions take no reasoning back"), Sent("messages[]"),
        LeftOut(_OTHER_API), LeftOut(_OTHER_API), when_refused=WhenRefused.WITHOUT,),
    _alike(
        "reasoning of Anthropic's form", "thinking blocks with their signatures", LeftOut(_OTHER_API),
        Sent("messages[].content[]"), LeftOut(_OTHER_API), when_refused=WhenRefused.WITHOUT,),
    _alike(
        "reasoning of Ollama's form", "`thinking` of a message", LeftOut(_OTHER_API), LeftOut(_OTHER_API),
        Sent("messages[].thinking"), when_refused=WhenRefused.WITHOUT,),
    _alike(
        "cache_control", "a mark in place: keep the prompt up to here", LeftOut(_CACHES),
        Sent("messages[].content[].cache_control"), LeftOut(_CACHES), when_refused=WhenRefused.WITHOUT,
    ),
    _alike(
        "speaker's name", "`name` of a message", Sent("messages[].name"), LeftOut(_NO_PLACE),
        LeftOut(_NO_PLACE), when_refused=WhenRefused.WITHOUT,),
    _alike(
        "what an answer says of itself", "citations and annotations of an earlier answer",
        LeftOut("it is no part of a request"), LeftOut("it is no part of a request"),
        LeftOut("it is no part of a request"),
    ),
)  # fmt: skip

FIELDS: Mapping[str, Row] = {row.name: row for row in _FIELD_ROWS}
PARTS: Mapping[str, Row] = {row.name: row for row in _PART_ROWS}

_REASONING_ROWS = {
    "openai": "reasoning of OpenAI's form",
    "anthropic": "reasoning of Anthropic's form",
    "ollama": "reasoning of Ollama's form",
}


@dataclass(frozen=True, slots=True)
class Carried:
    """What a dialect is sent: the turns, the tools and the names of the options that are left, and the notes
    on the rest."""

    turns: tuple[Turn, ...]
    tools: tuple[Tool, ...]
    options: tuple[str, ...]
    notes: tuple[str, ...]


def carried(
    turns: tuple[Turn, ...],
    tools: tuple[Tool, ...],
    options: RequestOptions,
    dialect: Dialect,
    *,
    fetches: bool,
    refused: frozenset[str] = frozenset(),
) -> Carried:
    """What of a request a dialect can carry. `fetches` allows images and documents by URL: only where the
    vendor fetches them, since a local server told to fetch a URL would carry it out of the house. `refused`
    are the rows that this very target has refused. Raises Unfit for what is refused."""
    notes: dict[str, None] = {}
    sending = _Sending(dialect, fetches, refused)
    kept = tuple(_turn(turn, sending, notes) for turn in turns)
    wanted = []
    for tool in tools:
        if tool.cache is not None and isinstance(fate := sending.fate(PARTS["cache_control"]), LeftOut):
            notes[f"{tool.where}.cache_control was not sent: {fate.why}"] = None
    for name in options.wanted():
        if name in ("tool_choice", "parallel_tool_calls") and not tools:
            notes[f"{name} was not sent: no tools were passed"] = None
            continue
        match sending.fate(FIELDS[name]):
            case Sent():
                wanted.append(name)
            case LeftOut(why):
                notes[f"{name} was not sent: {why}"] = None
            case Refused(why):
                choice = options.tool_choice
                if name == "tool_choice" and choice is not None and choice.kind in ("auto", "none"):
                    wanted.append(name)  # The writer lets the model choose, or passes no tools.
                else:
                    raise cannot_carry(name, why)
            case never:
                assert_never(never)
    if "cache_control" in refused:
        tools = tuple(replace(tool, cache=None) for tool in tools)
    return Carried(kept, tools, tuple(wanted), tuple(notes))


@dataclass(frozen=True, slots=True)
class _Sending:
    """To whom a request goes, as far as that changes the table."""

    dialect: Dialect
    fetches: bool
    refused: frozenset[str]

    def fate(self, row: Row) -> Fate:
        """What becomes of a row at this target."""
        fate = row.fate(self.dialect)
        if not isinstance(fate, Sent):
            return fate
        if row.name.endswith("by URL") and not self.fetches:
            return _NOT_FETCHED
        if row.name in self.refused:
            return Refused("was refused by the target") if row.when_refused is WhenRefused.NEXT else _WILL_NOT
        return fate


def _turn(turn: Turn, sending: _Sending, notes: dict[str, None]) -> Turn:
    if turn.plain_text is not None:
        return turn
    parts: list[Part] = []
    for part in turn.parts:
        stays = True
        for name in _rows_of(part, in_tool_result=turn.role == "tool"):
            match sending.fate(PARTS[name]):
                case Sent():
                    pass
                case Refused(why):
                    raise cannot_carry(part.where, why)
                case LeftOut(why):
                    notes[_note(part, name, why)] = None
                    part, stays = _without(part, name), stays and name not in _WHOLE
                case never:
                    assert_never(never)
        if stays:
            parts.append(part)
    for name, is_there in (("speaker's name", turn.name), ("cache_control", turn.cache)):
        fate = sending.fate(PARTS[name])
        if is_there and isinstance(fate, LeftOut):
            field = "name" if name == "speaker's name" else name
            notes[f"{turn.where}.{field} was not sent: {fate.why}"] = None
    if sending.refused & {"speaker's name", "cache_control"}:
        turn = replace(
            turn,
            name=None if "speaker's name" in sending.refused else turn.name,
            cache=None if "cache_control" in sending.refused else turn.cache,
        )
    return turn if len(parts) == len(turn.parts) and tuple(parts) == turn.parts else _with(turn, parts)


def rows_of(turns: Iterable[Turn], tools: Iterable[Tool], options: RequestOptions) -> frozenset[str]:
    """The rows that a request has something of."""
    found = set(options.wanted())
    for turn in turns:
        found |= {name for part in turn.parts for name in _rows_of(part, in_tool_result=turn.role == "tool")}
        found |= {"speaker's name"} if turn.name is not None else set()
        found |= {"cache_control"} if turn.cache is not None else set()
    return frozenset(found | {"cache_control" for tool in tools if tool.cache is not None})


def _with(turn: Turn, parts: list[Part]) -> Turn:
    return replace(turn, parts=tuple(parts))


_WHOLE = frozenset({*_REASONING_ROWS.values(), "what an answer says of itself"})
"""Rows whose part goes as a whole when they are left out; the others are something on a part."""


def _rows_of(part: Part, *, in_tool_result: bool) -> Iterator[str]:
    """The rows that speak of a part."""
    match part:
        case Text(cache=cache):
            yield "text"
        case Image(url=url, detail=detail, cache=cache):
            if in_tool_result:
                yield "image in a tool result"
            yield "image" if url is None else "image by URL"
            if detail is not None:
                yield "image detail"
        case Document(text=text, url=url, cites=cites, cache=cache):
            if in_tool_result and text is None:
                yield "image in a tool result"
            yield "document of text" if text is not None else "document" if url is None else "document by URL"
            if cites:
                yield "citations wanted"
        case Audio():
            yield "audio"
            return
        case Reasoning(api):
            yield _REASONING_ROWS[api]
            return
        case ToolUse(call, cache):
            yield "tool call"
            if call.get("extra_content"):
                yield "tool call's signature"
        case Aside():
            yield "what an answer says of itself"
            return
        case _:
            assert_never(part)
    if cache is not None:
        yield "cache_control"


def _without(part: Part, row: str) -> Part:
    """A part less what a row speaks of."""
    match part:
        case Image() if row == "image detail":
            return replace(part, detail=None)
        case Document() if row == "citations wanted":
            return replace(part, cites=False)
        case ToolUse(call) if row == "tool call's signature":
            plain = call.copy()
            plain.pop("extra_content")
            return replace(part, call=plain)
        case Text() | Image() | Document() | ToolUse() if row == "cache_control":
            return replace(part, cache=None)
        case _:
            return part


def _note(part: Part, row: str, why: str) -> str:
    match part:
        case Reasoning(api):
            return f"reasoning in the form of {api} was not sent: {why}"
        case Aside(where):
            return f"{where} was not sent: {why}"
        case _:
            told = {"image detail": "detail", "citations wanted": "citations"}.get(row, row)
            if row == "cache_control":
                return f"cache_control was not sent: {why}"
            return f"{part.where}: {told} was not sent: {why}"

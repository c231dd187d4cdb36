"""The table of fields and parts is what happens: each cell against the body that goes out, and the notes.

The vendors' own types judge the bodies; random conversations go through every dialect.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from engine.providers.anthropic_request import messages_request
from engine.providers.base import Egress, Permit, Request
from engine.providers.errors import Unfit
from engine.providers.field_table import (
    DIALECTS,
    FIELDS,
    PARTS,
    Dialect,
    LeftOut,
    Refused,
    Row,
    Sent,
    carried,
)
from engine.providers.messages import read_messages, read_tools
from engine.providers.ollama_chat import chat_body
from engine.providers.openai_request import chat_request
from engine.providers.options import read_options

MARK = "Zebra17Quagmire"
PERMIT = Permit("there", Egress.CLOUD, "sha256:p")
TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
HELLO = {"role": "user", "content": "hello"}
PIXEL = "iVBORw0KGgo="

FIELD_VALUES: dict[str, Any] = {
    "tool_choice": {"type": "function", "function": {"name": "look"}},
    "parallel_tool_calls": False,
    "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}},
    "stop": ["END"],
    "top_p": 0.5,
    "temperature": 0.25,
    "seed": 7,
    "reasoning": "low",
    "metadata": {"case": MARK},
    "user": MARK,
    "cache": True,
}


def _user(*parts: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(parts)}]


def _called(**more: Any) -> list[dict[str, Any]]:
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": f'{{"at": "{MARK}"}}'}}
    return [HELLO, {"role": "assistant", "content": None, "tool_calls": [call | more]}]


def _result(content: Any, **more: Any) -> list[dict[str, Any]]:
    return [
        *_called(),
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "c1", "content": content} | more],
        },
    ]


IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
PDF = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PIXEL}}
LINK = f"https://example.com/{MARK}"
INLINE = f"data:image/png;base64,{PIXEL}"
PART_VALUES: dict[str, tuple[list[dict[str, Any]], str]] = {
    "text": (_user({"type": "text", "text": MARK}), MARK),
    "image": (_user(IMAGE), PIXEL),
    "image by URL": (_user({"type": "image_url", "image_url": {"url": LINK}}), LINK),
    "image detail": (
        _user(
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}", "detail": "high"}}
        ),
        "high",
    ),
    "document": (_user(PDF), PIXEL),
    "document of text": (
        _user({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": MARK}}),
        MARK,
    ),
    "document by URL": (_user({"type": "document", "source": {"type": "url", "url": LINK}}), LINK),
    "citations wanted": (
        _user(
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "x"},
                "citations": {"enabled": True},
            }
        ),
        '"citations"',
    ),
    "audio": (_user({"type": "input_audio", "input_audio": {"data": PIXEL, "format": "wav"}}), PIXEL),
    "tool call": (_called(), MARK),
    "tool call's signature": (_called(extra_content={"google": {"thought_signature": "c2ln"}}), "c2ln"),
    "tool result": (_result("sunny"), "sunny"),
    "image in a tool result": (_result([IMAGE]), PIXEL),
    "failed tool": (_result("boom", is_error=True), "rror"),
    "reasoning of OpenAI's form": ([{"role": "assistant", "content": "x", "reasoning_content": MARK}], MARK),
    "reasoning of Anthropic's form": (
        [
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": MARK, "signature": "c2ln"},
                    {"type": "text", "text": "x"},
                ],
            }
        ],
        MARK,
    ),
    "reasoning of Ollama's form": ([{"role": "assistant", "content": "x", "thinking": MARK}], MARK),
    "cache_control": (
        _user({"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}),
        "cache_control",
    ),
    "speaker's name": ([{"role": "user", "content": "x", "name": MARK}], MARK),
    "what an answer says of itself": (
        [{"role": "assistant", "content": "x", "annotations": [{"url": MARK}]}, HELLO],
        MARK,
    ),
}
_TYPES: dict[str, str] = {
    "anthropic": "anthropic.types.message_create_params:MessageCreateParamsNonStreaming",
    "openai": "openai.types.chat.completion_create_params:CompletionCreateParamsNonStreaming",
}


def _request(messages: list[dict[str, Any]], tools: Any = None, **fields: Any) -> Request:
    return Request(
        "m", PERMIT, messages, tools=tools, max_tokens=2000, options=read_options(fields), context_tokens=9
    )


def _written(request: Request, dialect: Dialect) -> tuple[dict[str, Any], list[str]]:
    """The body for a dialect, in the cloud, and its notes."""
    match dialect:
        case "anthropic":
            return messages_request(request, fetches=True)
        case "ollama":
            tools = read_tools(request.tools)
            kept = carried(request.read(), tools, request.options, "ollama", fetches=False)
            return chat_body(request, kept, model="m", num_ctx=4096, stream=False)
        case _:
            return chat_request(request, is_vendor=dialect == "openai", host="h", fetches=True)


def _at(body: Any, path: str) -> Iterator[Any]:
    """Everything that stands at a path such as `messages[].content`."""
    head, _, rest = path.partition(".")
    name, is_list = head.removesuffix("[]"), head.endswith("[]")
    found = body.get(name) if isinstance(body, dict) else None
    for value in (found if isinstance(found, list) else []) if is_list else [found]:
        if rest:
            yield from _at(value, rest)
        elif value is not None:
            yield value


def _is_as_said(row: Row, dialect: Dialect, request: Request, mark: str | None) -> None:
    fate = row.fate(dialect)
    if isinstance(fate, Refused):
        with pytest.raises(Unfit) as refused:
            _written(request, dialect)
        assert refused.value.detail.startswith((row.name, "messages["))
        assert MARK not in str(refused.value)
        return
    body, notes = _written(request, dialect)
    told = json.dumps(body)
    if isinstance(fate, Sent):
        found = list(_at(body, fate.at))
        assert found
        assert mark is None or mark in told
        assert not [note for note in notes if "was not sent" in note]
    else:
        assert isinstance(fate, LeftOut)
        assert mark is None or mark not in told
        assert len([note for note in notes if "was not sent" in note and fate.why in note]) == 1
        assert MARK not in str(notes)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", FIELDS)
def test_a_field(name: str, dialect: Dialect) -> None:
    """Each field stands where its cell says, or is refused by its name, or has its note."""
    request = _request([HELLO], TOOLS, **{name: FIELD_VALUES[name]})
    mark = MARK if MARK in str(FIELD_VALUES[name]) else None
    _is_as_said(FIELDS[name], dialect, request, mark)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", PARTS)
def test_a_part(name: str, dialect: Dialect) -> None:
    """Each part stands where its cell says, or is refused by its place, or has its note."""
    messages, mark = PART_VALUES[name]
    _is_as_said(PARTS[name], dialect, _request(messages), mark)


def test_the_table_is_whole() -> None:
    """Every field that can be asked for has a row, and every row a value here."""
    everything = read_options(FIELD_VALUES)
    assert set(everything.wanted()) == set(FIELDS) == set(FIELD_VALUES)
    assert set(PARTS) == set(PART_VALUES)


# --- Random conversations ---------------------------------------------------------------------------------

WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=12)
IDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=60)
ARGUMENTS = st.dictionaries(st.sampled_from("abc"), st.one_of(st.integers(), WORDS), max_size=3)


@st.composite
def conversations(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A conversation with tool rounds in either vendor's form, with reasoning of any API."""
    messages: list[dict[str, Any]] = []
    for _ in range(draw(st.integers(1, 4))):
        messages.append({"role": "user", "content": draw(WORDS)})
        ids = draw(st.lists(IDS, min_size=1, max_size=3, unique=True))
        results = [(id, draw(WORDS), draw(st.booleans())) for id in ids]
        thinking = draw(st.sampled_from([{}, {"reasoning_content": "hm"}, {"thinking": "hm"}]))
        if draw(st.booleans()):
            calls = [
                {
                    "id": id,
                    "type": "function",
                    "function": {"name": "look", "arguments": json.dumps(draw(ARGUMENTS))},
                }
                for id in ids
            ]
            messages.append({"role": "assistant", "content": None, "tool_calls": calls, **thinking})
            messages += [
                {"role": "tool", "tool_call_id": id, "content": told, "is_error": failed}
                for id, told, failed in results
            ]
        else:
            blocks: list[dict[str, Any]] = [{"type": "thinking", "thinking": "hm", "signature": "c2ln"}]
            blocks += [{"type": "tool_use", "id": id, "name": "look", "input": draw(ARGUMENTS)} for id in ids]
            messages.append({"role": "assistant", "content": blocks})
            messages.append(
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": id, "content": told, "is_error": failed}
                        for id, told, failed in results
                    ],
                }
            )
    return messages


def _calls_of(messages: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    """Ids and arguments of all calls, and ids and texts of all answers, in order, as any dialect has them."""
    found: list[tuple[str, Any]] = []
    for message in messages:
        content = message.get("content")
        for block in content if isinstance(content, list) else ():
            if block["type"] == "tool_use":
                found.append((block["id"], block["input"]))
            elif block["type"] == "tool_result":
                found.append((block["tool_use_id"], block["content"]))
        for call in message.get("tool_calls") or ():
            arguments = call["function"]["arguments"]
            found.append((call["id"], json.loads(arguments) if isinstance(arguments, str) else arguments))
        if message["role"] == "tool":
            found.append((message["tool_call_id"], content))
    return found


def _checked(dialect: Dialect, body: dict[str, Any]) -> None:
    """The vendor's own types accept the body."""
    from importlib import import_module

    told = _TYPES.get("openai" if dialect == "compatible" else dialect)
    if told is not None:
        module, _, name = told.partition(":")
        plain = {key: value for key, value in body.items() if key != "extra_body"}
        TypeAdapter(getattr(import_module(module), name)).validate_python(plain)


@pytest.mark.parametrize("dialect", DIALECTS)
@given(messages=conversations())
def test_a_tool_conversation_arrives(dialect: Dialect, messages: list[dict[str, Any]]) -> None:
    """Calls, arguments and answers arrive whole and in order; each answer has the id of its call, no two
    calls share one, and a body that is read and written again is the same."""
    request = _request(messages, TOOLS)
    body, _ = _written(request, dialect)
    turns = read_messages(messages)
    found = _calls_of(body["messages"])
    arguments = [json.loads(call["function"]["arguments"]) for turn in turns for call in turn.tool_calls]
    texts = [
        turn.text if dialect == "anthropic" else turn.error_text for turn in turns if turn.role == "tool"
    ]
    called = [(id, held) for id, held in found if isinstance(held, dict)]
    answered = [(id, held) for id, held in found if not isinstance(held, dict)]
    assert [held for _, held in called] == arguments
    assert [held for _, held in answered] == texts
    assert [id for id, _ in called] == [id for id, _ in answered]
    assert len({id for id, _ in called}) == len(called)
    assert body == _written(_request(body["messages"], TOOLS), dialect)[0]


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
@pytest.mark.parametrize("name", [*FIELDS, *PARTS])
def test_the_vendors_types_accept_it(name: str, dialect: Dialect) -> None:
    """Every cell that sends something sends what the vendor's SDK has a type for."""
    row = FIELDS.get(name) or PARTS[name]
    if isinstance(row.fate(dialect), Refused):
        return
    fields = {name: FIELD_VALUES[name]} if name in FIELDS else {}
    messages = [HELLO] if name in FIELDS else PART_VALUES[name][0]
    _checked(dialect, _written(_request(messages, TOOLS, **fields), dialect)[0])

"""Answers of servers that speak like OpenAI, as they are in use: calls in odd pieces, reasoning under several
names, signatures, citations."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.providers.reply import Reply, collect

from .dialects import OPENAI, asked, openai_events
from .wire_server import in_events, in_json, wire_server

WHOLE = '{"city": "Rome"}'
ONE = [("look", WHOLE)]
TWO = [("look", WHOLE), ("look", WHOLE)]


def _f(name: str | None = None, arguments: Any = None) -> dict[str, Any]:
    told = {"name": name, "arguments": arguments}
    return {key: value for key, value in told.items() if value is not None}


PIECES: dict[str, tuple[list[tuple[str, str]], list[dict[str, Any]]]] = {
    "as OpenAI cuts": (
        ONE,
        [
            {"index": 0, "id": "a", "function": _f("look", "")},
            {"index": 0, "function": _f(None, '{"city": ')},
            {"index": 0, "function": _f(None, '"Rome"}')},
        ],
    ),
    "name and id in each piece": (
        ONE,
        [
            {"index": 0, "id": "a", "function": _f("look", '{"city": ')},
            {"index": 0, "id": "a", "function": _f("look", '"Rome"}')},
        ],
    ),
    "name in each piece, no id": (
        ONE,
        [
            {"index": 0, "function": _f("look", "")},
            {"index": 0, "function": _f("look", '{"city": ')},
            {"index": 0, "function": _f("look", '"Rome"}')},
        ],
    ),
    "empty name and id later": (
        ONE,
        [
            {"index": 0, "id": "a", "function": _f("look", "")},
            {"index": 0, "id": "", "function": _f("", WHOLE)},
        ],
    ),
    "the id comes late": (
        ONE,
        [
            {"index": 0, "function": _f("look", '{"city": ')},
            {"index": 0, "id": "a", "function": _f(None, '"Rome"}')},
        ],
    ),
    "no index": (
        ONE,
        [{"id": "a", "function": _f("look", '{"city": ')}, {"function": _f(None, '"Rome"}')}],
    ),
    "the index is left out later": (
        ONE,
        [
            {"index": 0, "id": "a", "function": _f("look", '{"city": ')},
            {"function": _f(None, '"Rome"}')},
        ],
    ),
    "arguments as an object": (ONE, [{"index": 0, "id": "a", "function": _f("look", {"city": "Rome"})}]),
    "two calls, both number 0": (
        TWO,
        [
            {"index": 0, "id": "a", "function": _f("look", WHOLE)},
            {"index": 0, "id": "b", "function": _f("look", WHOLE)},
        ],
    ),
    "two calls, no id and no index": (
        TWO,
        [{"function": _f("look", WHOLE)}, {"function": _f("look", WHOLE)}],
    ),
    "two calls, pieces in turn": (
        TWO,
        [
            {"index": 0, "id": "a", "function": _f("look", '{"city": ')},
            {"index": 1, "id": "b", "function": _f("look", '{"city": ')},
            {"index": 0, "function": _f(None, '"Rome"}')},
            {"index": 1, "function": _f(None, '"Rome"}')},
        ],
    ),
    "the second call first": (
        TWO,
        [
            {"index": 1, "id": "b", "function": _f("look", WHOLE)},
            {"index": 0, "id": "a", "function": _f("look", WHOLE)},
        ],
    ),
}


def _stream(deltas: list[dict[str, Any]], finish: str = "tool_calls") -> Any:
    events = openai_events((), finish)
    shape = json.loads(json.dumps(events[0][1]))
    middle: list[tuple[str | None, object]] = []
    for delta in deltas:
        shape["choices"][0]["delta"] = delta
        middle.append((None, json.loads(json.dumps(shape))))
    return in_events([events[0], *middle, *events[1:]])


def _whole(message: dict[str, Any], finish: str = "stop", **beside: Any) -> Any:
    answer = json.loads(OPENAI.whole().body)
    answer["choices"][0] |= {"message": {"role": "assistant", **message}, "finish_reason": finish}
    return in_json(answer | beside)


async def _reply(*, whole: Any = None, streamed: Any = None) -> Reply:
    async with wire_server(OPENAI.handler(whole=whole, streamed=streamed)) as served:
        provider = OPENAI.at(served.url)
        request = asked(provider.target)
        if streamed is not None:
            reply = await collect(provider.stream(request))
        else:
            reply = await provider.complete(request)
        await provider.aclose()
    return reply


@pytest.mark.parametrize("case", PIECES)
async def test_pieces_become_whole_calls(case: str) -> None:
    """Name and arguments of each call are whole, whatever the server repeats or leaves out; no two ids are
    alike."""
    expected, pieces = PIECES[case]
    reply = await _reply(streamed=_stream([{"tool_calls": [piece]} for piece in pieces]))
    assert [
        (call["function"]["name"], call["function"]["arguments"]) for call in reply.tool_calls
    ] == expected
    assert len({call["id"] for call in reply.tool_calls}) == len(expected)
    assert reply.finish_reason == "tool_calls"


SIGNED = {"google": {"thought_signature": "c2ln"}}
CALL = {"id": "a", "type": "function", "function": {"name": "look", "arguments": WHOLE}}
PARTS = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "hi"}]
DETAIL = {"type": "reasoning.text", "index": 0, "signature": "c2ln"}
HANDED: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "reasoning_content": ("hm", {"reasoning_content": "hm"}, {"content": "hi", "reasoning_content": "hm"}),
    "reasoning": ("hm", {"reasoning": "hm"}, {"content": "hi", "reasoning": "hm"}),
    "details with a signature": (
        "hm",
        {
            "reasoning": "hm",
            "reasoning_details": [{"type": "reasoning.text", "index": 0, "signature": "c2ln"}],
        },
        {
            "content": "hi",
            "reasoning": "hm",
            "reasoning_details": [{"type": "reasoning.text", "index": 0, "signature": "c2ln"}],
        },
    ),
    "a signature of the text": ("", {"extra_content": SIGNED}, {"content": "hi", "extra_content": SIGNED}),
    "reasoning among the parts": ("hm", {"thinking_blocks": [PARTS[0]]}, {"content": PARTS}),
}


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("case", HANDED)
async def test_what_must_go_back_is_kept(case: str, streamed: bool) -> None:
    """Reasoning is told as text, and kept under the name it came by, for the next request."""
    thought, kept, message = HANDED[case]
    reply = await (_reply(streamed=_stream([message], "stop")) if streamed else _reply(whole=_whole(message)))
    assert (reply.content, reply.reasoning, dict(reply.hand_back)) == ("hi", thought, kept)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_a_calls_signature_is_kept(streamed: bool) -> None:
    """`extra_content` stays with its call."""
    call = CALL | {"extra_content": SIGNED}
    reply = await (
        _reply(streamed=_stream([{"tool_calls": [call | {"index": 0}]}]))
        if streamed
        else _reply(whole=_whole({"content": None, "tool_calls": [call]}, "tool_calls"))
    )
    assert [told.get("extra_content") for told in reply.tool_calls] == [SIGNED]


async def test_citations_are_told() -> None:
    """Annotations of a message, and a list of addresses beside it, are citations."""
    cited = {"type": "url_citation", "url_citation": {"url": "https://a.example"}}
    reply = await _reply(
        whole=_whole({"content": "hi", "annotations": [cited]}, citations=["https://b.example"])
    )
    assert [one.get("url") or one["url_citation"]["url"] for one in reply.citations] == [
        "https://a.example",
        "https://b.example",
    ]

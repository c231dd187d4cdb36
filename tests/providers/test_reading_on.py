"""A stream is read on after its finish reason, for the usage that comes behind it, but not for ever."""

from __future__ import annotations

from typing import Any

import pytest

from engine.providers import openai
from engine.providers.errors import ProviderError, Truncated
from engine.providers.reply import Reply, collect

from .dialects import MODEL, OPENAI, asked
from .wire_server import Answer, in_events, wire_server

ZERO = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
PARTIAL = {"prompt_tokens": 1200, "completion_tokens": 1, "total_tokens": 1201}
REAL = {"prompt_tokens": 1200, "completion_tokens": 340, "total_tokens": 1540}
DONE = (None, "[DONE]")


def _chunk(text: str = "", finish: str | None = None, usage: object = None) -> Any:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    told = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": MODEL, "choices": [choice]}
    return None, told if usage is None else told | {"usage": usage}


def _last(usage: object) -> Any:
    name, told = _chunk()
    return name, told | {"choices": [], "usage": usage}


async def _read(streamed: Answer) -> Reply:
    async with wire_server(OPENAI.handler(streamed=streamed)) as served:
        provider = OPENAI.at(served.url)
        try:
            return await collect(provider.stream(asked(provider.target)))
        finally:
            await provider.aclose()


@pytest.mark.parametrize(
    "events",
    [
        (_chunk("a", usage=ZERO), _chunk(finish="stop", usage=ZERO), _last(REAL), DONE),
        (_chunk("a", usage=PARTIAL), _chunk(finish="stop", usage=PARTIAL), _last(REAL), DONE),
        (_chunk("a"), _chunk(finish="stop", usage=REAL), _last(PARTIAL), DONE),
        (_chunk("a"), _chunk(finish="stop", usage=REAL), DONE),
        (_chunk("a"), _chunk(finish="stop", usage=REAL)),
        (_chunk("a"), _chunk(finish="stop"), _chunk(usage=REAL), DONE),
    ],
    ids=[
        "zeros, then real", "partial, then real", "real, then less", "with the finish reason",
        "without an end mark, in a framed body", "after the finish reason, with a choice",
    ],
)  # fmt: skip
async def test_the_largest_usage_up_to_the_end_is_final(events: tuple[Any, ...]) -> None:
    """Whatever comes before it."""
    reply = await _read(in_events(list(events)))
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (1200, 340)
    assert reply.usage_is_final


async def test_usage_inside_the_choice_is_read() -> None:
    """As Kimi tells it."""
    choice = _chunk(finish="stop")
    choice[1]["choices"][0]["usage"] = REAL
    reply = await _read(in_events([_chunk("a"), choice, DONE]))
    assert (reply.usage.output_tokens, reply.usage_is_final) == (340, True)


@pytest.mark.parametrize(
    "events",
    [
        (_chunk("a"), _chunk(finish="stop"), DONE),
        (_chunk("a", usage=REAL), _chunk(finish="stop"), DONE),
        (_chunk("a"), _chunk(finish="stop", usage=ZERO), DONE),
    ],
    ids=["none", "none at the end", "zeros at the end"],
)
async def test_a_usage_that_does_not_come_with_the_end_is_not_final(events: tuple[Any, ...]) -> None:
    """The answer is whole; what it cost is unknown."""
    reply = await _read(in_events(list(events)))
    assert reply.content == "a"
    assert not reply.usage_is_final


@pytest.mark.parametrize("after", ["close", "reset"])
async def test_a_stream_cut_after_a_first_usage_has_no_final_one(after: Any) -> None:
    """What comes behind the finish reason may have been more."""
    whole = in_events([_chunk("a"), _chunk(finish="stop", usage=PARTIAL), _last(REAL), DONE])
    cut = whole.body.index(b"\n\n", whole.body.index(b'"stop"')) + 2
    reply = await _read(Answer(200, whole.body, whole.headers, framing="chunked", cut=cut, after=after))
    assert (reply.content, reply.usage_is_final) == ("a", False)


async def test_a_stream_that_stays_open_after_its_usage_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller does not wait for an end that never comes; what came is not proved to be all."""
    monkeypatch.setattr(openai, "DRAIN_S", 0.01)
    told = in_events([_chunk("a"), _chunk(finish="stop", usage=REAL)])
    reply = await _read(
        Answer(200, told.body, told.headers, framing="chunked", cut=len(told.body), after="hang")
    )
    assert (reply.content, reply.usage.output_tokens, reply.usage_is_final) == ("a", 340, False)


async def test_a_stream_that_stays_open_without_usage_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its finish reason has come, so the answer is whole."""
    monkeypatch.setattr(openai, "READ_ON_S", 0.01)
    told = in_events([_chunk("a"), _chunk(finish="stop")])
    reply = await _read(
        Answer(200, told.body, told.headers, framing="chunked", cut=len(told.body), after="hang")
    )
    assert (reply.content, reply.usage_is_final) == ("a", False)


async def test_a_finish_reason_alone_is_not_an_end() -> None:
    """Closed right behind it, without usage and without an end mark, the answer counts as cut."""
    with pytest.raises(ProviderError) as failed:
        await _read(in_events([_chunk("a"), _chunk(finish="stop")], framing="close", after="close"))
    assert failed.value.kind is Truncated.kind

"""The clocks of an attempt: what counts as life, what ends it all the same, a server that says it loads."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from engine.providers.base import Timeouts
from engine.providers.errors import OutcomeUnknown, Overloaded, StreamInterrupted
from engine.providers.reply import Reply, collect
from engine.providers.wire_provider import WireProvider

from .dialects import ANTHROPIC, OLLAMA, OPENAI, TEXT, Dialect, asked, permit
from .test_ollama import changed
from .time_jump import TimeJump
from .wire_server import Answer, Handler, WireServer, in_json, wire_server

LIFE = {
    "openai": b": OPENROUTER PROCESSING\n\n",
    "anthropic": b'event: ping\ndata: {"type": "ping"}\n\n',
    "ollama": b"\n",
}
"""What a server sends while its model thinks: a comment, a ping, an empty line."""


@dataclass
class Warm:
    """A provider whose imports are behind it, and its server."""

    provider: WireProvider
    server: WireServer

    async def streamed(self, **more: Any) -> Reply:
        return await collect(self.provider.stream(asked(self.provider.target, deadline_s=900.0, **more)))


@asynccontextmanager
async def warm(dialect: Dialect, handler: Handler) -> AsyncIterator[Warm]:
    async with wire_server(handler) as served:
        provider = dialect.at(served.url)
        await provider.discover(permit(provider.target), timeout_s=60.0)
        yield Warm(provider, served)
        await provider.aclose()


def _thinking(dialect: Dialect, signs: int) -> Answer:
    """A good stream behind so many signs of life."""
    good = dialect.streamed()
    return changed(good, parts=(LIFE[dialect.name],) * signs + (good.body,))


async def test_a_sign_of_life_is_no_silence(dialect: Dialect) -> None:
    """A comment, a ping or an empty line every 40 seconds keeps a stream whose first token may take 60."""
    async with warm(dialect, dialect.handler(streamed=_thinking(dialect, 6))) as there:
        jump = TimeJump()
        there.server.between_parts = lambda: jump.by(40.0)
        reply = await there.streamed(timeouts=Timeouts(first_token_s=60.0, idle_s=60.0, answer_s=900.0))
    assert reply.content == TEXT


async def test_without_a_sign_of_life_the_same_is_silence(dialect: Dialect) -> None:
    """The limit of the first token still ends what says nothing at all."""
    async with warm(dialect, dialect.handler(streamed=_thinking(dialect, 1))) as there:
        jump = TimeJump()
        there.server.between_parts = lambda: jump.by(70.0)
        with pytest.raises(OutcomeUnknown, match="silent for too long"):
            await there.streamed(timeouts=Timeouts(first_token_s=60.0, idle_s=60.0, answer_s=900.0))


async def test_life_without_an_answer_ends_at_the_attempt_s_share(dialect: Dialect) -> None:
    """Pings alone hold nobody up who stands behind: something must be shown within `answer_s`."""
    async with warm(dialect, dialect.handler(streamed=_thinking(dialect, 6))) as there:
        jump = TimeJump()
        there.server.between_parts = lambda: jump.by(40.0)
        with pytest.raises(OutcomeUnknown, match="not done in the time"):
            await there.streamed(timeouts=Timeouts(answer_s=100.0))


async def test_the_whole_of_a_stream_has_its_limit(dialect: Dialect) -> None:
    """`whole_s` ends a stream that goes on and on; what it has said comes with the error."""
    good = dialect.streamed()
    parts = tuple(line + b"\n" for line in good.body.split(b"\n"))
    async with warm(dialect, dialect.handler(streamed=changed(good, parts=parts))) as there:
        jump = TimeJump()
        there.server.between_parts = lambda: jump.by(10.0)
        with pytest.raises((StreamInterrupted, OutcomeUnknown)) as ended:
            await there.streamed(timeouts=Timeouts(whole_s=25.0, answer_s=900.0))
    assert "not done in the time" in str(ended.value)


LLAMA_CPP = in_json(
    {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}, status=503
)
LOADING = [
    (OPENAI, LLAMA_CPP),
    (OPENAI, in_json({"error": "Model acme/tiny is currently loading", "estimated_time": 20.0}, status=503)),
    (ANTHROPIC, LLAMA_CPP),
    (OLLAMA, in_json({"error": "llm server loading model"}, status=500)),
]


def _loading(dialect: Dialect, answer: Answer, times: int) -> Handler:
    """So many prompts are refused because the model is being loaded."""
    good, left = dialect.handler(), [answer] * times

    def handler(received: Any) -> Answer:
        return left.pop() if received.path == dialect.prompt_path and left else good(received)

    return handler


@pytest.mark.parametrize("way", ["whole", "streamed"])
@pytest.mark.parametrize(
    ("dialect", "answer"), LOADING, ids=["llama.cpp", "hugging face", "messages", "ollama"]
)
async def test_a_server_that_says_it_loads_is_waited_for(
    dialect: Dialect, answer: Answer, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked again until it answers; the attempt stays one, was cold, and left the ledger once."""
    monkeypatch.setattr("engine.providers.wire_provider.LOAD_PAUSE_S", 0.001)
    left: list[str] = []
    async with warm(dialect, _loading(dialect, answer, 3)) as there:
        request = asked(there.provider.target, on_dispatch=lambda: left.append("left"))
        call = there.provider.complete(request) if way == "whole" else collect(there.provider.stream(request))
        reply = await call
        prompts = there.server.prompts()
    assert (reply.content, left, len(prompts)) == (TEXT, ["left"], 4)


async def test_loading_is_waited_for_within_its_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that loads for ever is given up when the load budget is spent, and nothing is owed for it."""
    monkeypatch.setattr("engine.providers.wire_provider.LOAD_PAUSE_S", 0.001)
    async with warm(OPENAI, _loading(OPENAI, LLAMA_CPP, 10**6)) as there:
        jump = TimeJump()
        seen: list[int] = []

        def later(received: Any, good: Handler = there.server.handler) -> Answer:
            seen.append(1)
            jump.by(20.0)
            return good(received)

        there.server.handler = later
        with pytest.raises(Overloaded, match="Loading model"):
            await there.streamed(timeouts=Timeouts(load_s=70.0))
    assert 3 <= len(seen) <= 5

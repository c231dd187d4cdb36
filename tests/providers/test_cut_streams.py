"""A stream that is cut is never a success, wherever the cut falls."""

from __future__ import annotations

import pytest

from engine.providers.base import Request
from engine.providers.conduct import ErrorClass
from engine.providers.errors import ProviderError, StreamInterrupted
from engine.providers.reply import Reply
from engine.providers.wire_provider import WireProvider

from .dialects import TEXT, Dialect, asked
from .wire_server import Answer, Framing, Received, in_events, wire_server

# What must have arrived whole for an answer to count: the terminal mark, and with OpenAI's dialect, whose
# finish reason comes before it, also the usage or [DONE].
LAST = {"openai": b'"usage": {', "anthropic": b'"type": "message_stop"}', "ollama": b'"total_duration": 5}'}


def _whole_from(dialect: Dialect, body: bytes) -> int:
    """The shortest prefix of a good stream that says everything."""
    mark = body.index(LAST[dialect.name])
    if dialect.name == "ollama":
        return mark + len(LAST["ollama"])
    return body.index(b"\n\n", mark) + 2


@pytest.mark.parametrize(("framing", "step"), [("close", 1), ("chunked", 5), ("length", 11)])
async def test_cut_anywhere(dialect: Dialect, framing: Framing, step: int) -> None:
    """Cut before its end a stream is TRUNCATED with exactly the content that came; from there on it is
    whole."""
    body = dialect.streamed().body
    whole_from = _whole_from(dialect, body)
    cuts = iter(range(0, len(body), step))
    cut = 0

    def handler(received: Received) -> Answer:
        streamed = Answer(
            200, body, {"content-type": "text/event-stream"}, framing=framing, cut=cut, after="close"
        )
        return dialect.handler(streamed=streamed)(received)

    async with wire_server(handler) as served:
        provider = dialect.at(served.url)
        for cut in cuts:
            said, end = await _read(provider, asked(provider.target))
            if isinstance(end, ProviderError):
                assert end.kind is ErrorClass.TRUNCATED, f"cut at {cut}"
                assert isinstance(end, StreamInterrupted) == bool(said), f"cut at {cut}"
                assert (end.partial if isinstance(end, StreamInterrupted) else "") == said
                assert TEXT.startswith(said)
                assert end.conduct.health.name == "FAILING"
            else:
                assert cut >= whole_from, f"cut at {cut} of {len(body)} passed for a whole answer"
                assert (end.content, end.usage.output_tokens) == (TEXT, 5)
        await provider.aclose()


async def _read(provider: WireProvider, request: Request) -> tuple[str, Reply | ProviderError]:
    """What a stream says, and how it ends."""
    said: list[str] = []
    reply = None
    try:
        async for chunk in provider.stream(request):
            said.append(chunk.text)
            reply = chunk.reply
    except ProviderError as failed:
        return "".join(said), failed
    assert reply is not None
    return "".join(said), reply


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
async def test_any_packet_size_reads_the_same(dialect: Dialect, size: int) -> None:
    """However the bytes are parcelled, also within a character, the answer is the same."""
    good = dialect.streamed()
    parts = tuple(good.body[place : place + size] for place in range(0, len(good.body), size))
    parcelled = Answer(200, good.body, good.headers, framing="chunked", parts=parts)
    async with wire_server(dialect.handler(streamed=parcelled)) as served:
        provider = dialect.at(served.url)
        chunks = [chunk async for chunk in provider.stream(asked(provider.target))]
        await provider.aclose()
    assert "".join(chunk.text for chunk in chunks) == TEXT
    assert chunks[-1].reply is not None


async def test_a_finish_reason_without_what_follows_is_not_an_end() -> None:
    """An OpenAI-style stream that stops after its finish reason, without usage and without [DONE], is
    TRUNCATED; a server that sends no usage and ends with [DONE] is believed."""
    from .dialects import OPENAI, openai_events

    events = openai_events()
    for tail, whole in (([], False), ([events[-1]], True), ([events[-2]], True)):
        async with wire_server(OPENAI.handler(streamed=in_events([*events[:-2], *tail]))) as served:
            provider = OPENAI.at(served.url)
            _, end = await _read(provider, asked(provider.target))
            assert isinstance(end, Reply) == whole
            assert whole or (isinstance(end, StreamInterrupted) and end.kind is ErrorClass.TRUNCATED)
            await provider.aclose()

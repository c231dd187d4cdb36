"""A good answer comes through the same in all three dialects, whole and streamed."""

from __future__ import annotations

from engine.providers.base import Provider
from engine.providers.reply import Usage, collect

from .dialects import MODEL, TEXT, WORDS, Dialect, asked, permit
from .wire_server import wire_server


async def test_whole(dialect: Dialect) -> None:
    """The text, the finish reason and the counts of a whole answer are read."""
    async with wire_server(dialect.handler()) as served:
        provider = dialect.at(served.url)
        assert isinstance(provider, Provider)
        reply = await provider.complete(asked(provider.target))
        await provider.aclose()
    assert (reply.content, reply.finish_reason, reply.model) == (TEXT, "stop", MODEL)
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (10, 5)


async def test_streamed(dialect: Dialect) -> None:
    """The pieces of a stream are the words as sent, and the last one carries the same reply as a whole
    answer."""
    async with wire_server(dialect.handler()) as served:
        provider = dialect.at(served.url)
        chunks = [chunk async for chunk in provider.stream(asked(provider.target))]
        whole = await provider.complete(asked(provider.target))
        again = await collect(provider.stream(asked(provider.target)))
        await provider.aclose()
    assert [chunk.text for chunk in chunks if chunk.text] == list(WORDS)
    assert chunks[-1].reply is not None
    assert chunks[-1].reply.usage == whole.usage != Usage()
    assert chunks[-1].reply == again
    assert (again.content, again.finish_reason) == (whole.content, whole.finish_reason)


async def test_probe_and_discover(dialect: Dialect) -> None:
    """A server that is up is `up`, and its models are listed."""
    async with wire_server(dialect.handler()) as served:
        provider = dialect.at(served.url, clock=iter([1.0, 1.5]).__next__)
        health = await provider.probe(permit(provider.target))
        models = await provider.discover(permit(provider.target))
        await provider.aclose()
    assert (health.status, health.latency_s) == ("up", 0.5)
    assert [model.id for model in models] == [MODEL]
    assert not served.prompts()

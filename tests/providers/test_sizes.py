"""Nothing is larger than it says: encoded bodies are refused unread, and an answer ends at its cap."""

from __future__ import annotations

import gzip
import tracemalloc
from dataclasses import replace

import pytest

from engine.providers import transport
from engine.providers.errors import AuthFailed, BrokenAnswer, ProviderError
from engine.providers.reply import collect

from .dialects import Dialect, asked
from .wire_server import Answer, wire_server

MIB = 1024 * 1024
BOMB = gzip.compress(bytes(8 * MIB))
ENCODINGS = ("gzip", "GZIP", "x-gzip", "deflate", "br", "zstd", "gzip, gzip", "compress", "x-of-their-own")


async def _failure(dialect: Dialect, answer: Answer, *, streamed: bool) -> ProviderError:
    async with wire_server(dialect.handler(answer, answer)) as served:
        provider = dialect.at(served.url)
        request = asked(provider.target)
        with pytest.raises(ProviderError) as failed:
            await (collect(provider.stream(request)) if streamed else provider.complete(request))
        await provider.aclose()
    return failed.value


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_an_encoding_that_was_not_asked_for_is_refused(
    dialect: Dialect, encoding: str, streamed: bool
) -> None:
    """Whatever decodes to a thousand times its size is not read at all, and the refusal says why."""
    kind = "text/event-stream" if streamed else "application/json"
    answer = Answer(200, BOMB, {"content-type": kind, "content-encoding": encoding})
    failure = await _failure(dialect, answer, streamed=streamed)
    assert isinstance(failure, BrokenAnswer)
    assert "which was not asked for" in str(failure)
    assert "their-own" not in str(failure)


async def test_an_encoded_error_is_judged_by_its_status(dialect: Dialect) -> None:
    """A proxy that compresses its error pages refuses all the same."""
    answer = Answer(401, BOMB, {"content-type": "text/html", "content-encoding": "gzip"})
    assert isinstance(await _failure(dialect, answer, streamed=False), AuthFailed)


async def test_identity_is_no_encoding(dialect: Dialect) -> None:
    """A server may say that it has not encoded anything."""
    whole = dialect.whole()
    named = replace(whole, headers={**whole.headers, "content-encoding": "Identity"})
    async with wire_server(dialect.handler(named)) as served:
        provider = dialect.at(served.url)
        assert (await provider.complete(asked(provider.target))).content
        await provider.aclose()


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_an_answer_ends_at_its_cap(
    dialect: Dialect, streamed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer of eight times the cap is given up at the cap, and never more than twice the cap is held."""
    async with wire_server(dialect.handler()) as served:  # what is imported once does not count
        provider = dialect.at(served.url)
        await provider.complete(asked(provider.target))
        await provider.aclose()
    monkeypatch.setattr(transport, "ANSWER_BYTES", 4 * MIB)
    kind = "text/event-stream" if streamed else "application/json"
    part = b"data: " + b"x" * MIB
    answer = Answer(200, b"", {"content-type": kind}, framing="chunked", parts=(part,) * 32)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    failure = await _failure(dialect, answer, streamed=streamed)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "larger than any answer" in str(failure)
    # Two mebibytes are the scripted server's own, in this process: its part and what waits to be sent.
    assert most - before <= 2 * 4 * MIB + 2 * MIB

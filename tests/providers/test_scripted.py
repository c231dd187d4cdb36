"""The scripted double keeps the protocol it stands in for."""

from __future__ import annotations

import pytest

from engine.providers.base import Egress, Permit, Provider, Request, Target
from engine.providers.errors import (
    Cancelled,
    EgressRefused,
    OutcomeUnknown,
    Overloaded,
    ProviderError,
    StreamInterrupted,
    Truncated,
)
from engine.providers.reply import Chunk, Usage, collect
from engine.providers.scripted import Answer, Break, Fault, Hang, ScriptedProvider, tool_call

TARGET = Target("ollama", "http://127.0.0.1:11434", Egress.LOCAL, "sha256:a")
PERMIT = Permit("ollama", Egress.LOCAL, "sha256:a")


def asked(text: str = "hello", **more: object) -> Request:
    return Request("m", PERMIT, [{"role": "user", "content": text}], **more)  # type: ignore[arg-type]


def test_it_is_a_provider() -> None:
    """The double satisfies the protocol."""
    assert isinstance(ScriptedProvider(TARGET), Provider)


async def test_acts_are_played_in_order_then_otherwise() -> None:
    """Each attempt plays the next act; when the script is over, `otherwise` is played."""
    provider = ScriptedProvider(TARGET, [Fault(Overloaded()), Answer("one")], otherwise=Answer("rest"))
    with pytest.raises(Overloaded) as failed:
        await provider.complete(asked())
    said = [(await provider.complete(asked())).content for _ in range(3)]
    assert said == ["one", "rest", "rest"]
    assert (failed.value.provider, failed.value.model) == ("ollama", "m")
    assert len(provider.calls) == 4


@pytest.mark.parametrize("text", ["", "one", "one two", " a  b ", "x\n y"])
async def test_a_stream_is_the_answer_cut_in_pieces(text: str) -> None:
    """The pieces of a stream join to the content of its reply, and the last chunk carries the reply."""
    provider = ScriptedProvider(TARGET, otherwise=Answer(text, tool_calls=(tool_call("f"),)))
    chunks = [chunk async for chunk in provider.stream(asked())]
    assert text == "".join(chunk.text for chunk in chunks)
    assert chunks[-1].reply == await provider.complete(asked())
    assert chunks[-1].reply == await collect(provider.stream(asked()))


async def test_a_break_after_content_is_an_interruption() -> None:
    """After content the error is StreamInterrupted with the partial text; without content it is the cause."""
    provider = ScriptedProvider(TARGET, [Break(("a ", "b"), Overloaded()), Break((), None)])
    seen: list[Chunk] = []
    with pytest.raises(StreamInterrupted) as broken:
        seen.extend([chunk async for chunk in provider.stream(asked())])
    assert ("a b", Overloaded) == (broken.value.partial, type(broken.value.cause))
    assert Usage(output_tokens=1) == broken.value.usage_estimate
    with pytest.raises(Truncated):
        await collect(provider.stream(asked()))


@pytest.mark.parametrize(
    ("permit"),
    [
        Permit("other", Egress.LOCAL, "sha256:a"),
        Permit("ollama", Egress.CLOUD, "sha256:a"),
        Permit("ollama", Egress.LOCAL, "sha256:b"),
    ],
)
async def test_it_refuses_what_the_transport_refuses(permit: Permit) -> None:
    """A permit for another target, class or policy is refused, and the attempt is not even counted."""
    provider = ScriptedProvider(TARGET)
    with pytest.raises(EgressRefused):
        await provider.complete(Request("m", permit, []))
    assert provider.calls == []
    assert (await provider.probe(permit)).status == "misconfigured"


async def test_a_hang_ends_at_the_limit() -> None:
    """A hang is UNKNOWN at the attempt's limit and CANCELLED at the request's deadline."""
    provider = ScriptedProvider(TARGET, otherwise=Hang())
    with pytest.raises(Cancelled):
        await provider.complete(asked(deadline_s=0.001))
    from engine.providers.base import Timeouts

    with pytest.raises(OutcomeUnknown):
        await collect(provider.stream(asked(timeouts=Timeouts(first_token_s=0.001))))


async def test_a_fault_is_a_fresh_error_every_time() -> None:
    """One act played twice raises two errors, so that no traceback grows from request to request."""
    provider = ScriptedProvider(TARGET, otherwise=Fault(Overloaded(retry_after_s=2.0)))
    raised: list[ProviderError] = []
    for _ in range(2):
        with pytest.raises(Overloaded) as failed:
            await provider.complete(asked())
        raised.append(failed.value)
    assert raised[0] is not raised[1]
    assert raised[1].retry_after_s == 2.0

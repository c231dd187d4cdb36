"""Against a real llama.cpp server with a real, tiny, random model (`llama_cpp.py`): no script, no double.

That it says the same whole and streamed, counts tokens, overflows and queues is real.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from engine.providers.anthropic import AnthropicProvider
from engine.providers.base import Egress, Permit, Request, Target, Timeouts
from engine.providers.conduct import ErrorClass
from engine.providers.errors import ContextOverflow
from engine.providers.openai import OpenAIProvider
from engine.providers.reply import collect
from engine.providers.wire_provider import WireProvider

from .llama_cpp import CONTEXT, HELLO_TOKENS, NAME, llama_server

pytestmark = pytest.mark.realserver


@pytest.fixture(scope="module")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the server."""
    with llama_server(tmp_path_factory.mktemp("model")) as url:
        yield url


@pytest.fixture(params=["openai", "anthropic"])
def provider(request: pytest.FixtureRequest, base_url: str) -> WireProvider:
    """The server, spoken to in either of the dialects it knows."""
    if request.param == "openai":
        return OpenAIProvider(Target("llama", f"{base_url}/v1", Egress.LOCAL, "d"))
    return AnthropicProvider(Target("llama", base_url, Egress.LOCAL, "d"))


def _asked(provider: WireProvider, text: str = "hello", **more: object) -> Request:
    limits = Timeouts(first_token_s=60, idle_s=60, answer_s=60)
    permit = Permit("llama", Egress.LOCAL, "d")
    messages = [{"role": "user", "content": text}]
    return Request(NAME, permit, messages, max_tokens=12, timeouts=limits, **more)  # type: ignore[arg-type]


async def test_it_answers_and_counts(provider: WireProvider) -> None:
    """A real answer, whole and streamed, counts a prompt of twenty-four tokens and stays within twelve."""
    whole = await provider.complete(_asked(provider))
    streamed = await collect(provider.stream(_asked(provider)))
    await provider.aclose()
    for reply in (whole, streamed):
        # Its Anthropic stream leaves out `message_start`, with the input count, when the first token is half
        # a character.
        lost = isinstance(provider, AnthropicProvider) and reply is streamed
        assert reply.usage.input_tokens in ((HELLO_TOKENS, None) if lost else (HELLO_TOKENS,))
        assert 1 <= (reply.usage.output_tokens or 0) <= 12
        assert reply.finish_reason in ("length", "stop")


async def test_it_overflows(provider: WireProvider) -> None:
    """A prompt beyond the window is OVERFLOW, which no retry helps and only a larger window takes."""
    for ask in (provider.complete, lambda request: collect(provider.stream(request))):
        with pytest.raises(ContextOverflow) as failed:
            await ask(_asked(provider, "x" * (2 * CONTEXT)))
        assert failed.value.kind is ErrorClass.OVERFLOW
    await provider.aclose()


async def test_it_queues(provider: WireProvider) -> None:
    """Six requests at one slot all get their answer."""
    replies = await asyncio.gather(*(provider.complete(_asked(provider)) for _ in range(6)))
    await provider.aclose()
    assert [reply.usage.input_tokens for reply in replies] == [HELLO_TOKENS] * 6


async def test_it_is_found(provider: WireProvider) -> None:
    """It is up and lists its model."""
    permit = Permit("llama", Egress.LOCAL, "d")
    assert (await provider.probe(permit, timeout_s=60)).status == "up"
    assert NAME in [model.id for model in await provider.discover(permit, timeout_s=60)]
    await provider.aclose()

"""One attempt: its limits, its one request, its loops, and what it loads when."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import traceback
from typing import Any

import pytest

from engine.errors import EngineError
from engine.providers.base import Egress, Timeouts
from engine.providers.conduct import Billed
from engine.providers.errors import Cancelled, OutcomeUnknown, ProviderError, StreamInterrupted, Unreachable
from engine.providers.reply import Reply, collect
from engine.providers.wire_provider import WireProvider

from .dialects import (
    DIALECTS,
    OLLAMA,
    OPENAI,
    TEXT,
    Dialect,
    asked,
    changed,
    ollama_lines,
    permit,
    target,
)
from .test_translation import TOOL_ANSWERS
from .time_jump import TimeJump
from .wire_server import Answer, Received, WireServer, in_json, in_lines, wire_server

SHORT = 0.15


async def _warm(provider: WireProvider) -> None:
    """Have the SDK's import behind us: it counts against the deadline alone."""
    await provider.discover(permit(provider.target), timeout_s=60.0)


async def _interrupted(dialect: Dialect, **more: Any) -> StreamInterrupted:
    """How a stream ends that says a little, and then nothing for 40 seconds."""
    good = dialect.streamed()
    half = changed(good, cut=good.body.index("wörld".encode()) - 40, after="hang")
    async with wire_server(dialect.handler(streamed=half)) as served:
        provider = dialect.at(served.url)
        await _warm(provider)
        jump = TimeJump()
        said = []

        async def listen() -> None:
            async for chunk in provider.stream(asked(provider.target, **more)):
                said.append(chunk.text)
                jump.soon(40.0)

        with pytest.raises(StreamInterrupted) as broken:
            await listen()
        await provider.aclose()
    assert broken.value.partial == "".join(said)
    assert TEXT.startswith(broken.value.partial)
    return broken.value


async def test_silence_after_content_is_an_interruption(dialect: Dialect) -> None:
    """A stream that says something and then nothing ends at the idle limit, with what it said."""
    broken = await _interrupted(dialect, deadline_s=900.0, timeouts=Timeouts(idle_s=15.0))
    assert isinstance(broken.cause, OutcomeUnknown)
    assert broken.conduct.billed is Billed.UNKNOWN


async def test_the_deadline_ends_a_stream_in_the_middle(dialect: Dialect) -> None:
    """The deadline of the request ends a stream too, as CANCELLED behind an interruption."""
    broken = await _interrupted(dialect, deadline_s=30.0, timeouts=Timeouts(idle_s=900.0))
    assert isinstance(broken.cause, Cancelled)


async def test_a_tool_call_in_the_making_is_a_sign_of_life(dialect: Dialect) -> None:
    """A long tool call is shown only when it is whole; while its pieces come, no limit runs out."""
    good = TOOL_ANSWERS[dialect.name]()[1]
    separator = b"\n" if dialect is OLLAMA else b"\n\n"
    parts = tuple(part + separator for part in good.body.split(separator) if part)
    async with wire_server(dialect.handler(streamed=changed(good, parts=parts))) as served:
        provider = dialect.at(served.url)
        await _warm(provider)
        jump = TimeJump()
        served.between_parts = lambda: jump.by(7.0)
        chunks = [chunk async for chunk in provider.stream(asked(provider.target, deadline_s=900.0))]
        await provider.aclose()
    assert all(chunk.is_content or chunk.reply or chunk.unseen_bytes for chunk in chunks), "no piece is empty"
    assert len([chunk for chunk in chunks if chunk.tool_call]) == 2


async def test_a_peer_that_does_not_accept_is_unreachable(dialect: Dialect) -> None:
    """A connect that hangs ends at the connect limit, with nothing dispatched."""

    async def resolve(host: str, port: int) -> Any:
        await asyncio.get_running_loop().create_future()

    provider = dialect.provider(target(f"http://my-gpu:1{dialect.base_path}"), resolve=resolve)
    with pytest.raises(Unreachable) as failed:
        await provider.complete(asked(provider.target, timeouts=Timeouts(connect_s=SHORT)))
    assert (failed.value.dispatched, failed.value.conduct.billed) == (False, Billed.NO)
    assert (await provider.probe(permit(provider.target), timeout_s=SHORT)).status == "down"
    await provider.aclose()


@pytest.mark.parametrize("loaded", [False, True])
@pytest.mark.parametrize("way", ["whole", "streamed"])
async def test_a_cold_model_has_its_load_budget(loaded: bool, way: str) -> None:
    """A model that is not loaded gets the load budget on top of its limits; a loaded one does not."""
    jump = TimeJump()

    def handler(received: Received) -> Answer:
        if received.path == "/api/ps" and not loaded:
            return in_json({"models": []})
        if received.path == "/api/chat":
            jump.soon(50.0)
            return Answer(silent=True, after="hang") if loaded else OLLAMA.handler()(received)
        return OLLAMA.handler()(received)

    async with wire_server(handler) as served:
        provider = OLLAMA.at(served.url)
        request = asked(
            provider.target,
            timeouts=Timeouts(first_token_s=15.0, answer_s=15.0, load_s=60.0),
            deadline_s=900.0,
        )
        answer = provider.complete(request) if way == "whole" else collect(provider.stream(request))
        if loaded:
            with pytest.raises(OutcomeUnknown):
                await answer
        else:
            assert (await answer).content == TEXT
        await provider.aclose()


async def test_a_cold_start_is_told() -> None:
    """A reply says whether its model had to be loaded."""
    for models, cold in (([], True), (None, False)):

        def handler(received: Received, models: Any = models) -> Answer:
            if received.path == "/api/ps" and models is not None:
                return in_json({"models": models})
            return OLLAMA.handler()(received)

        async with wire_server(handler) as served:
            provider = OLLAMA.at(served.url)
            assert (await provider.complete(asked(provider.target))).cold is cold
            await provider.aclose()


@pytest.mark.parametrize("way", ["whole", "streamed"])
async def test_a_cancel_stays_a_cancel(dialect: Dialect, way: str) -> None:
    """A caller's cancel comes out as CancelledError, at once, and the connection is given up."""
    async with wire_server(dialect.handler(*[Answer(silent=True, after="hang")] * 2)) as served:
        provider = dialect.at(served.url)
        request = asked(provider.target)
        ask = provider.complete(request) if way == "whole" else collect(provider.stream(request))
        task = asyncio.create_task(ask)
        while not served.prompts():
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        await provider.aclose()


async def test_a_cancel_before_the_loop_gets_there(dialect: Dialect) -> None:
    """A task that is cancelled before it ran sends nothing."""
    async with wire_server(dialect.handler()) as served:
        provider = dialect.at(served.url)
        task = asyncio.create_task(provider.complete(asked(provider.target)))
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        await provider.aclose()
    assert not served.prompts()


async def test_a_stream_given_up_early_frees_its_connection(dialect: Dialect) -> None:
    """Closing the iterator after the first piece ends the request; the next one works."""
    from contextlib import aclosing

    async with wire_server(dialect.handler()) as served:
        provider = dialect.at(served.url)
        for _ in range(3):
            async with aclosing(provider.stream(asked(provider.target))) as chunks:
                async for _chunk in chunks:
                    break
        assert (await provider.complete(asked(provider.target))).content == TEXT
        await provider.aclose()


async def test_an_answer_that_is_whole_needs_no_more(dialect: Dialect) -> None:
    """A server that says everything and then leaves its answer open is believed, soon; one that ends it
    well keeps its connection for the next request."""
    open_end = changed(dialect.streamed(), after="hang")
    async with wire_server(dialect.handler(streamed=open_end)) as served:
        provider = dialect.at(served.url)
        await _warm(provider)
        jump = TimeJump()
        said = ""
        async for chunk in provider.stream(asked(provider.target)):
            said += chunk.text
            if said == TEXT:
                jump.soon(5.0)
        assert chunk.reply is not None
        await provider.aclose()
    async with wire_server(dialect.handler()) as served:
        provider = dialect.at(served.url)
        for _ in range(3):
            await collect(provider.stream(asked(provider.target)))
        await provider.aclose()
    assert served.connections == 1


async def test_dispatch_is_told_before_the_prompt_leaves(dialect: Dialect) -> None:
    """`on_dispatch` is called once for each attempt, when the server has seen no prompt yet, and not by
    errands."""
    seen: list[int] = []
    async with wire_server(dialect.handler()) as served:
        provider = dialect.at(served.url)
        request = asked(provider.target, on_dispatch=lambda: seen.append(len(served.prompts())))
        await provider.complete(request)
        await collect(provider.stream(request))
        await provider.discover(request.permit)
        await provider.aclose()
    assert seen == [0, 1]


@pytest.mark.parametrize("objection", [EngineError("the ledger cannot note it"), OSError("disk full")])
@pytest.mark.parametrize("way", ["whole", "streamed"])
async def test_a_dispatch_that_cannot_be_noted_does_not_happen(
    dialect: Dialect, objection: Exception, way: str
) -> None:
    """What `on_dispatch` raises comes out as it is, with no frame of ours that holds the prompt; the
    prompt stays."""

    def object_to_it() -> None:
        raise objection

    async with wire_server(dialect.handler()) as served:
        provider = dialect.at(served.url)
        request = asked(provider.target, on_dispatch=object_to_it)
        with pytest.raises(type(objection)) as raised:
            await (provider.complete(request) if way == "whole" else collect(provider.stream(request)))
        await provider.aclose()
    assert raised.value is objection
    assert b"say hello" not in served.raw
    told = traceback.TracebackException.from_exception(raised.value, capture_locals=True)
    shown = [
        frame for frame in told.stack if "/engine/" in frame.filename or "/site-packages/" in frame.filename
    ]
    assert not [frame for frame in shown if "say hello" in str(frame.locals)]


@pytest.mark.parametrize("status", [429, 500, 503, 529])
async def test_no_attempt_is_repeated_behind_our_back(dialect: Dialect, status: int) -> None:
    """Whatever the server answers, and even when it asks for a retry by header, one attempt is one
    request."""
    answer = in_json(
        {"error": {"message": "no"}}, status, headers={"x-should-retry": "true", "retry-after": "0"}
    )
    async with wire_server(dialect.handler(answer, answer)) as served:
        provider = dialect.at(served.url)
        with pytest.raises(ProviderError):
            await provider.complete(asked(provider.target))
        with pytest.raises(ProviderError):
            await collect(provider.stream(asked(provider.target)))
        await provider.aclose()
    assert len(served.prompts()) == 2


async def test_many_at_once(dialect: Dialect) -> None:
    """Sixty-four attempts at once, whole and streamed, each get their own answer."""
    async with wire_server(dialect.handler()) as served:
        provider = dialect.at(served.url)
        asks = [
            provider.complete(asked(provider.target))
            if place % 2
            else collect(provider.stream(asked(provider.target)))
            for place in range(64)
        ]
        replies: list[Reply] = await asyncio.gather(*asks)
        await provider.aclose()
    assert {reply.content for reply in replies} == {TEXT}
    assert len(served.prompts()) == 64


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_second_event_loop_gets_its_own_connections(dialect: Dialect) -> None:
    """A provider outlives `asyncio.run`: connections of an ended loop are not used again."""
    providers: dict[str, WireProvider] = {}

    async def once(port: int) -> tuple[str, int]:
        served = WireServer(dialect.handler())
        listening = await asyncio.start_server(served.serve, "127.0.0.1", port)
        served.port = listening.sockets[0].getsockname()[1]
        provider = providers.setdefault("one", dialect.at(served.url))
        reply = await provider.complete(asked(provider.target))
        await provider.aclose()
        await provider.aclose()
        again = await provider.complete(asked(provider.target))
        await provider.aclose()
        served.end()
        listening.close()
        await listening.wait_closed()
        assert again.content == reply.content
        return reply.content, served.port

    first, port = asyncio.run(once(0))
    second, _ = asyncio.run(once(port))
    assert (first, second) == (TEXT, TEXT)


def test_nothing_heavy_is_imported_before_it_is_used() -> None:
    """Importing every module of the package, and making providers, loads no SDK and no HTTP library."""
    code = """
import sys
from engine.providers import addresses, anthropic, base, conduct, errors, error_mapping, http_exchange
from engine.providers import messages, ollama, openai, reply, sanitising, scripted, secret, wire_provider
from engine.errors import EngineError
from engine.providers.base import Egress, Target
there = Target("x", "http://127.0.0.1:1", Egress.LOCAL, "d")
made = [anthropic.AnthropicProvider(there), openai.OpenAIProvider(there), ollama.OllamaProvider(there)]
heavy = {"anthropic", "openai", "httpx2", "httpcore2", "pydantic", "anyio"} & set(sys.modules)
print(sorted(heavy))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_api_version_is_the_sdk_s() -> None:
    """The version the transport sends is the one the installed SDK speaks."""
    from anthropic import AsyncAnthropic

    from engine.providers.anthropic import API_VERSION

    spoken = AsyncAnthropic(api_key="x", base_url="http://127.0.0.1:1").default_headers["anthropic-version"]
    assert spoken == API_VERSION


async def test_a_probe_never_raises(dialect: Dialect) -> None:
    """Down, wrong, refusing, slow: a probe says so and raises nothing; it carries no prompt."""
    for answer, status in (
        (Answer(silent=True, after="reset"), "down"),
        (Answer(500), "down"),
        (Answer(503), "down"),
        (Answer(401), "misconfigured"),
        (Answer(404), "misconfigured"),
        (Answer(429, headers={"retry-after": "1"}), "up"),
        (Answer(302, headers={"location": "http://127.0.0.1:9/"}), "misconfigured"),
        (Answer(200, b"<html>"), "down"),
        (Answer(silent=True, after="hang"), "down"),
    ):
        async with wire_server(answer) as served:
            provider = dialect.at(served.url)
            await provider._opened()
            health = await provider.probe(
                permit(provider.target), timeout_s=SHORT if answer.after == "hang" else 30.0
            )
            await provider.aclose()
            assert (health.status, health.error is None) == (status, False), answer
        assert not served.prompts()


async def test_a_certificate_nobody_vouched_for_is_unreachable() -> None:
    """TLS to a server that speaks none is UNREACHABLE, and nothing of the request was sent."""
    async with wire_server(OPENAI.handler()) as served:
        provider = OPENAI.provider(target(served.url.replace("http", "https") + "/v1", egress=Egress.LOCAL))
        with pytest.raises(Unreachable) as failed:
            await provider.complete(asked(provider.target, timeouts=Timeouts(connect_s=SHORT)))
        await provider.aclose()
    assert not failed.value.dispatched
    assert b"say hello" not in served.raw


async def test_the_oracle_reads_what_our_ollama_server_says() -> None:
    """The scripted Ollama is one: the vendor's own client reads its answers and its lines."""
    ollama = pytest.importorskip("ollama")
    async with wire_server(OLLAMA.handler(streamed=in_lines(ollama_lines(("Hello", " you"))))) as served:
        client = ollama.AsyncClient(host=served.url, trust_env=False)
        whole = await client.chat(model="tiny:1b", messages=[{"role": "user", "content": "x"}])
        assert whole.message.content == TEXT
        lines = [line async for line in await client.chat(model="tiny:1b", messages=[], stream=True)]
        assert (lines[-1].done, lines[-1].prompt_eval_count) == (True, 10)
        assert (await client.list()).models[0].model == "tiny:1b"
        assert (await client.ps()).models[0].context_length == 4096
        await client._client.aclose()


def test_every_dialect_is_tried() -> None:
    """The three dialects of these tests are all there are."""
    assert set(DIALECTS) == {"anthropic", "ollama", "openai"}

"""Ollama: a model that is not local gets no prompt, a prompt that does not fit is not cut in silence."""

from __future__ import annotations

from typing import Any

import pytest

from engine.providers.base import Egress, Request
from engine.providers.conduct import ErrorClass
from engine.providers.errors import (
    ContextOverflow,
    ContextTruncated,
    EgressAlarm,
    EgressRefused,
    ModelMissing,
    ProviderError,
    StreamInterrupted,
)
from engine.providers.ollama import OllamaProvider
from engine.providers.ollama_chat import BUCKETS
from engine.providers.ollama_models import cloud_name
from engine.providers.reply import collect

from .dialects import (
    MODEL,
    OLLAMA,
    PS,
    SHOWN,
    TAGS,
    TEXT,
    asked,
    changed,
    errand,
    ollama_lines,
    permit,
    target,
)
from .wire_server import Answer, Handler, Received, in_json, in_lines, wire_server

REMOTE = {"remote_host": "https://ollama.com:443", "remote_model": "gpt-oss:120b"}
CLOUD_NAMES = """
gpt-oss:120b-cloud gpt-oss:cloud gpt-oss:20b:cloud x:CLOUD x:Latest-Cloud library/x:cloud
registry.ollama.ai/library/x:cloud me/mine:7b-cloud x:cloud:local x:local:cloud x:7b-cloud:local
kimi-k2:1t-cloud deepseek-v3.1:671b-CLOUD localhost:11434/library/x:cloud qwen3-coder:480b-cloud
""".split()  # noqa: SIM905
ODD_NAMES = [
    "",
    "   ",
    "x:cloud ",
    " x:cloud",
    "x: cloud",
    "x\n:cloud",
    "x:cloud\t",
    "../x",
    "x?y",
    "x#:cloud",
    "🦙",
]


def daemon(
    tags: dict[str, Any] | None = None,
    show: dict[str, Any] | None = None,
    chat: Answer | None = None,
    **more: Any,
) -> Handler:
    """An Ollama daemon that says this of its model."""

    def answer(received: Received) -> Answer:
        match received.path:
            case "/api/tags":
                return in_json({"models": [TAGS["models"][0] | (tags or {})]})
            case "/api/show":
                return in_json(SHOWN | (show or {}))
            case "/api/chat":
                return chat or (OLLAMA.streamed() if received.json["stream"] else OLLAMA.whole())
            case path if path in more:
                return more[path]  # type: ignore[no-any-return]
            case _:
                return errand(received)

    return answer


async def _both(provider: OllamaProvider, request: Request) -> list[ProviderError]:
    """What complete and stream raise."""
    failures = []
    for ask in (lambda: provider.complete(request), lambda: collect(provider.stream(request))):
        with pytest.raises(ProviderError) as failed:
            await ask()
        failures.append(failed.value)
    return failures


@pytest.mark.parametrize("name", CLOUD_NAMES)
async def test_a_cloud_name_gets_no_prompt(name: str) -> None:
    """A name that asks for the vendor's cloud is refused before the daemon is even asked."""
    assert cloud_name(name)
    async with wire_server(daemon({"name": name, "model": name})) as served:
        provider = OllamaProvider(target(served.url))
        for failed in await _both(provider, asked(provider.target, model=name)):
            assert (type(failed), failed.dispatched) == (EgressRefused, False)
        await provider.aclose()
    assert not served.received


@pytest.mark.parametrize("name", ODD_NAMES)
async def test_an_odd_name_gets_no_prompt(name: str) -> None:
    """A name that is none of Ollama's, as one with blanks around a cloud suffix, reaches no daemon."""
    async with wire_server(daemon({"name": name, "model": name})) as served:
        provider = OllamaProvider(target(served.url))
        for failed in await _both(provider, asked(provider.target, model=name)):
            assert failed.kind in (ErrorClass.MISSING, ErrorClass.EGRESS)
        await provider.aclose()
    assert not served.received


@pytest.mark.parametrize("said_by", ["tags", "show"])
@pytest.mark.parametrize(
    "remote",
    [
        REMOTE,
        {"remote_host": "https://ollama.com:443"},
        {"remote_model": "gpt-oss:120b"},
        {"remote_host": "http://127.0.0.1:4000"},
        {"remote_host": "ollama.com"},
        {"remote_host": ["odd"]},
        {"remote_host": True},
        {"remote_host": {"url": "https://ollama.com"}},
        {"remote_host": "", "remote_model": "gpt-oss"},
        {"remote_host": 1},
    ],
)
async def test_a_remote_backed_model_gets_no_prompt(said_by: str, remote: dict[str, Any]) -> None:
    """A model under a plain name, of which the daemon says in either place that it is remote, is refused."""
    async with wire_server(daemon(**{said_by: remote})) as served:
        provider = OllamaProvider(target(served.url))
        for failed in await _both(provider, asked(provider.target)):
            assert (type(failed), failed.dispatched) == (EgressRefused, False)
            assert "remote host" in failed.detail
        models = await provider.discover(permit(provider.target))
        await provider.aclose()
    assert not served.prompts()
    assert models[0].remote_host


async def test_a_model_that_turns_remote_after_the_check_gets_no_prompt() -> None:
    """Local at first and remote later (with or without a new digest): asked before every prompt, it is
    caught."""
    for later in (REMOTE, REMOTE | {"digest": "d2"}):
        said: dict[str, Any] = {}

        def handler(received: Received, said: dict[str, Any] = said) -> Answer:
            return daemon(tags=said)(received)

        async with wire_server(handler) as served:
            provider = OllamaProvider(target(served.url))
            assert (await provider.complete(asked(provider.target))).content == TEXT
            said |= later
            for failed in await _both(provider, asked(provider.target)):
                assert isinstance(failed, EgressRefused)
            await provider.aclose()
        assert len(served.prompts()) == 1


async def test_a_new_digest_is_shown_again() -> None:
    """The same name with another digest is another model: the daemon is asked for it anew."""
    digests = iter(["d1", "d1", "d2", "d2"])

    def handler(received: Received) -> Answer:
        tags = {"digest": next(digests)} if received.path == "/api/tags" else {}
        return daemon(tags)(received)

    async with wire_server(handler) as served:
        provider = OllamaProvider(target(served.url))
        for _ in range(4):
            await provider.complete(asked(provider.target))
        await provider.aclose()
    assert [got.path for got in served.received].count("/api/show") == 2


async def test_an_answer_from_a_remote_host_is_an_alarm_and_a_quarantine() -> None:
    """When the answer itself names a remote host, that is raised, and the model gets no further prompt."""
    for stream in (False, True):
        remote = [line | REMOTE for line in ollama_lines() if isinstance(line, dict)]
        chat = in_lines(list(remote)) if stream else in_json(remote[-1])
        async with wire_server(daemon(chat=chat)) as served:
            provider = OllamaProvider(target(served.url))
            request = asked(provider.target)
            with pytest.raises(EgressAlarm) as alarm:
                await (collect(provider.stream(request)) if stream else provider.complete(request))
            assert (alarm.value.kind, alarm.value.conduct.next_target.name) == (ErrorClass.LEAK, "NO")
            for failed in await _both(provider, asked(provider.target)):
                assert "quarantined" in failed.detail
            await provider.aclose()
        assert len(served.prompts()) == 1


async def test_an_alarm_in_the_middle_of_a_stream_is_an_interruption() -> None:
    """A stream that turns remote after content ends as an interruption of class LEAK."""
    lines: list[object] = [*ollama_lines()[:2], {"remote_host": "https://ollama.com", "done": False}]
    async with wire_server(daemon(chat=in_lines(lines))) as served:
        provider = OllamaProvider(target(served.url))
        with pytest.raises(StreamInterrupted) as broken:
            await collect(provider.stream(asked(provider.target)))
        assert (broken.value.kind, broken.value.conduct.health.name) == (ErrorClass.LEAK, "QUARANTINED")
        await provider.aclose()


async def test_a_model_that_is_not_there_gets_no_prompt() -> None:
    """A model the daemon does not list is MISSING without a prompt: it may be found elsewhere by the
    daemon."""
    async with wire_server(daemon()) as served:
        provider = OllamaProvider(target(served.url))
        for failed in await _both(provider, asked(provider.target, model="absent")):
            assert (type(failed), failed.status, failed.dispatched) == (ModelMissing, 404, False)
        await provider.aclose()
    assert not served.prompts()


async def test_the_local_suffix_is_used_where_it_is_known() -> None:
    """A daemon that knows `name:local` is called so; one that does not is called by the plain name."""
    for knows in (True, False):

        def handler(received: Received, knows: bool = knows) -> Answer:
            if received.path == "/api/show" and received.json["model"].endswith(":local") and not knows:
                return in_json({"error": "model not found"}, 404)
            return daemon()(received)

        async with wire_server(handler) as served:
            provider = OllamaProvider(target(served.url))
            assert (await provider.complete(asked(provider.target))).model == MODEL
            await provider.aclose()
        assert served.prompts()[0].json["model"] == (f"{MODEL}:local" if knows else MODEL)


@pytest.mark.parametrize(
    ("status", "prompts"),
    [
        (in_json({"cloud": {"disabled": True, "source": "env"}}), 1),
        (in_json({"cloud": {"disabled": False, "source": "none"}}), 0),
        (in_json({"cloud": {"disabled": "true"}}), 0),
        (in_json({}), 0),
        (in_json({"error": "no such path"}, 404), 0),
    ],
)
async def test_strict_wants_the_cloud_switched_off(status: Answer, prompts: int) -> None:
    """A strict provider sends no prompt to a daemon that does not say its cloud features are off."""
    async with wire_server(daemon(**{"/api/status": status})) as served:
        provider = OllamaProvider(target(served.url), strict=True)
        if prompts:
            await provider.complete(asked(provider.target))
        else:
            await _both(provider, asked(provider.target))
        await provider.aclose()
    assert len(served.prompts()) == prompts


async def test_a_cloud_ollama_may_be_remote() -> None:
    """For a target the configuration calls cloud, a remote-backed model is what was asked for."""
    name = "gpt-oss:120b-cloud"
    async with wire_server(daemon(REMOTE | {"name": name, "model": name}, REMOTE)) as served:
        provider = OLLAMA.at(served.url, Egress.CLOUD)
        assert (await provider.complete(asked(provider.target, model=name))).content == TEXT
        await provider.aclose()


@pytest.mark.parametrize(
    ("loaded", "expected", "max_tokens", "num_ctx"),
    [
        (4096, 100, 500, 4096),  # fits what is loaded
        (6000, 100, 500, 6000),  # an odd window that is loaded is kept: any other would load the model again
        (4096, 4000, 500, 8192),  # does not fit: the next bucket
        (None, 100, 500, 4096),
        (None, 7000, 1000, 8192),  # the model's own window is the most
        (None, 10, None, 4096),
        (8192, 10, 100, 8192),
    ],
)
async def test_the_window_asked_for(
    loaded: int | None, expected: int, max_tokens: int | None, num_ctx: int
) -> None:
    """`num_ctx` is the loaded window when the request fits it, else the smallest bucket, never above the
    model's."""
    running = {"models": [PS["models"][0] | {"context_length": loaded}]} if loaded else {"models": []}
    async with wire_server(daemon(**{"/api/ps": in_json(running)})) as served:
        provider = OllamaProvider(target(served.url))
        request = asked(provider.target, context_tokens=expected, max_tokens=max_tokens)
        assert (await provider.complete(request)).cold == (loaded is None)
        await provider.aclose()
    body = served.prompts()[0].json
    assert (body["options"]["num_ctx"], body["truncate"]) == (num_ctx, False)
    assert body["options"].get("num_predict") == max_tokens
    assert num_ctx in {*BUCKETS, loaded}


async def test_a_prompt_beyond_the_window_is_not_sent() -> None:
    """What the model's own window cannot hold is OVERFLOW before anything is sent."""
    async with wire_server(daemon()) as served:
        provider = OllamaProvider(target(served.url))
        for failed in await _both(provider, asked(provider.target, context_tokens=9000)):
            assert (type(failed), failed.dispatched) == (ContextOverflow, False)
        await provider.aclose()
    assert not served.prompts()


def _counts(tokens: int) -> tuple[Answer, Answer]:
    """A whole answer and a stream that count this many prompt tokens."""
    said = f'"prompt_eval_count": {tokens}'.encode()
    whole, streamed = (
        changed(answer, body=answer.body.replace(b'"prompt_eval_count": 10', said))
        for answer in (OLLAMA.whole(), OLLAMA.streamed())
    )
    return whole, streamed


async def test_a_cut_prompt_is_said() -> None:
    """More was sent than the loaded window holds, and just the window was read: ContextTruncated, whole and
    streamed (after content, as an interruption)."""
    async with wire_server(OLLAMA.handler(*_counts(4090))) as served:
        provider = OllamaProvider(target(served.url))
        request = asked(provider.target, "word " * 6000)
        with pytest.raises(ContextTruncated) as cut:
            await provider.complete(request)
        with pytest.raises(StreamInterrupted) as broken:
            await collect(provider.stream(request))
        await provider.aclose()
    assert (cut.value.kind, cut.value.conduct.next_target.name) == (ErrorClass.OVERFLOW, "LARGER_WINDOW")
    assert isinstance(broken.value.cause, ContextTruncated)
    assert broken.value.partial == TEXT


@pytest.mark.parametrize("counted", [10, 1200, 3800])
async def test_a_low_count_alone_is_no_cut(counted: int) -> None:
    """Far fewer tokens than bytes over four, and fewer than the window: the answer is handed over. Dense
    scripts, rule lines, padded tables and cached turns count so."""
    async with wire_server(OLLAMA.handler(*_counts(counted))) as served:
        provider = OllamaProvider(target(served.url))
        request = asked(provider.target, "=" * 24_000)
        assert (await provider.complete(request)).content == TEXT
        assert (await collect(provider.stream(request))).content == TEXT
        await provider.aclose()


async def test_a_nearly_full_window_is_noted() -> None:
    """A prompt that fills the window is answered, with a note that its beginning may be missing."""
    full = OLLAMA.whole().body.replace(b'"prompt_eval_count": 10', b'"prompt_eval_count": 4000')
    async with wire_server(daemon(chat=changed(OLLAMA.whole(), body=full))) as served:
        provider = OllamaProvider(target(served.url))
        reply = await provider.complete(asked(provider.target))
        await provider.aclose()
    assert [note for note in reply.notes if "4000 of 4096" in note]


async def test_a_list_that_says_all_is_enough() -> None:
    """A daemon whose list tells capabilities and windows is not asked about each model; odd names are left
    out."""
    details = {"details": {"context_length": 2048}}
    odd = [TAGS["models"][0] | {"name": name, "model": name} for name in ("x\x1b[31m", "", "y" * 400)]
    listed = {"models": [TAGS["models"][0] | details, *odd]}

    def handler(received: Received) -> Answer:
        return in_json(listed) if received.path == "/api/tags" else daemon()(received)

    async with wire_server(handler) as served:
        provider = OllamaProvider(target(served.url))
        (found,) = await provider.discover(permit(provider.target))
        await provider.aclose()
    assert (found.id, found.context_tokens, found.tools) == (MODEL, 2048, True)
    assert [got.path for got in served.received] == ["/api/tags", "/api/ps"]


async def test_discovery_tells_what_is_there() -> None:
    """Digest, windows, tools, warmth and remote hosts are told; a remote-backed model is not asked about
    further."""
    listed = {"models": [TAGS["models"][0], {"name": "far", "model": "far", "digest": "d9"} | REMOTE]}

    def handler(received: Received) -> Answer:
        return in_json(listed) if received.path == "/api/tags" else daemon()(received)

    async with wire_server(handler) as served:
        provider = OllamaProvider(target(served.url))
        far, near = await provider.discover(permit(provider.target))
        health = await provider.probe(permit(provider.target))
        await provider.aclose()
    assert (far.id, far.remote_host, far.tools) == ("far", "https://ollama.com:443", None)
    assert (near.id, near.digest, near.context_tokens, near.loaded_context_tokens) == (
        MODEL,
        "d1",
        8192,
        4096,
    )
    assert (near.tools, near.warm, near.remote_host) == (True, True, None)
    assert health.version == "0.32.9"

"""The conducts again over real sockets, real HTTP and the real SDKs: scripted servers, never a patched
client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from engine.budget.usage import export_rows, verify
from engine.execution.errors import ChainExhausted
from engine.model_router import ModelRouter
from engine.providers.errors import Refused, StreamInterrupted
from engine.task_profiles import TaskProfile

from ..providers.dialects import (
    ANTHROPIC,
    MODEL,
    OLLAMA,
    OPENAI,
    TEXT,
    Dialect,
    anthropic_events,
    errand,
    openai_events,
)
from ..providers.wire_server import Answer, Received, WireServer, in_events, in_json, wire_server
from .worlds import HELLO, catalogue, cloud, local, policy_of
from .worlds import model as listed

TASK = TaskProfile("qa")
Wire = Callable[[Received], Answer]


def _scripted(dialect: Dialect, *failures: Answer) -> Wire:
    """Failures first, in order, then good answers."""
    left = list(failures)

    def answer(received: Received) -> Answer:
        if received.path != dialect.prompt_path:
            return errand(received)
        if left:
            return left.pop(0)
        return dialect.streamed() if received.json.get("stream") else dialect.whole()

    return answer


@dataclass
class Place:
    router: ModelRouter
    primary: WireServer
    fallback: WireServer
    home: WireServer


async def _place(
    stack: AsyncExitStack, primary: Wire, *, dialect: Dialect = ANTHROPIC, routes: str = ""
) -> Place:
    """A cloud primary of this dialect, an OpenAI-compatible cloud behind it, Ollama at home last."""
    servers = [
        await stack.enter_async_context(wire_server(handler))
        for handler in (primary, _scripted(OPENAI), _scripted(OLLAMA))
    ]
    urls = [server.url for server in servers]
    models = catalogue(
        primary=cloud(
            listed("p1", price=1.0), api=dialect.name, base_url=urls[0] + dialect.base_path, api_key_env="K"
        ),
        fallback=cloud(listed("f1", price=1.0, context=200_000), base_url=urls[1] + "/v1", api_key_env="K"),
        home=local(listed(MODEL), base_url=urls[2]),
    )
    policy = policy_of(models, routes or f'route r: use "p1", then "f1", then "{MODEL}"\n')
    router = await stack.enter_async_context(ModelRouter.of(policy, dry_run=False))
    router._shared.async_ledger.ledger()
    return Place(router, *servers)


async def _asked(place: Place, *, streamed: bool, **more: Any) -> dict[str, Any]:
    if not streamed:
        return await place.router.select_and_invoke(TASK, HELLO, **more)
    result: dict[str, Any] = {}
    async for piece in place.router.stream(TASK, HELLO, **more):
        result = piece["result"] or result
    return result


OVERLOADED = in_json({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, 529)
IN_STREAM = in_events(
    [("error", {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})]
)
THROTTLED = in_json(
    {"type": "error", "error": {"type": "rate_limit_error", "message": "slow"}},
    429,
    headers={"retry-after": "0"},
)
SPENT = in_json({"type": "error", "error": {"type": "rate_limit_error", "message": "limit"}}, 429)
TOO_LONG = in_json(
    {"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 1 > 0"}}, 400
)
GONE = Answer(silent=True, after="reset")

CONDUCTS: dict[str, tuple[tuple[Answer, ...], str, tuple[int, int], list[str]]] = {
    "overloaded once: once more": ((OVERLOADED,), "primary", (2, 0), ["released", "settled"]),
    "overloaded twice: the next": (
        (OVERLOADED, OVERLOADED),
        "fallback",
        (2, 1),
        ["released", "released", "settled"],
    ),
    "throttled, Retry-After 0: once more": ((THROTTLED,), "primary", (2, 0), ["released", "settled"]),
    "429 without Retry-After: the next": (
        (SPENT,),
        "fallback",
        (1, 1),
        ["released", "settled"],
    ),
    "prompt too long: the larger window": ((TOO_LONG,), "fallback", (1, 1), ["released", "settled"]),
    "reset after the request was written: the next, charged whole": (
        (GONE,),
        "fallback",
        (1, 1),
        ["forfeited", "settled"],
    ),
    "500 once: once more": ((in_json({}, 500),), "primary", (2, 0), ["released", "settled"]),
}


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key for the clouds on loopback; and the SDKs, which take seconds to load, are there."""
    import anthropic  # noqa: F401
    import openai  # noqa: F401

    monkeypatch.setenv("K", "sk-test")


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("name", CONDUCTS)
async def test_a_failure_on_the_wire_is_met_alike(name: str, streamed: bool) -> None:
    """Who answers, how many prompts each server got, how each row ended; whole and streamed alike."""
    failures, served_by, prompts, states = CONDUCTS[name]
    async with AsyncExitStack() as stack:
        place = await _place(stack, _scripted(ANTHROPIC, *failures))
        result = await _asked(place, streamed=streamed)
        assert result["provider"] == served_by
        assert result["content"] == TEXT
        assert (len(place.primary.prompts()), len(place.fallback.prompts())) == prompts
        rows = export_rows(place.router.ledger)
        assert [row.state for row in rows] == states
        assert verify(place.router.ledger).ok
        assert place.home.prompts() == []


@pytest.mark.parametrize("dialect", [ANTHROPIC, OPENAI], ids=lambda dialect: dialect.name)
async def test_overloaded_inside_a_200_stream_moves_on_before_content_only(dialect: Dialect) -> None:
    """The SDKs call this status 200; before content the next answers, after it the stream is interrupted."""
    events = anthropic_events() if dialect is ANTHROPIC else openai_events()
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    broken = in_events([*events[:6], ("error" if dialect is ANTHROPIC else None, error)])
    before = in_events([("error" if dialect is ANTHROPIC else None, error)])
    async with AsyncExitStack() as stack:
        place = await _place(stack, _scripted(dialect, before, before), dialect=dialect)
        assert (await _asked(place, streamed=True))["provider"] == "fallback"
    async with AsyncExitStack() as stack:
        place = await _place(stack, _scripted(dialect, broken), dialect=dialect)
        with pytest.raises(StreamInterrupted) as caught:
            await _asked(place, streamed=True)
        assert caught.value.partial
        assert TEXT.startswith(caught.value.partial)
        assert place.fallback.prompts() == []


async def test_a_truncated_stream_is_never_a_success() -> None:
    """EOF without the terminal mark, after content."""
    good = ANTHROPIC.streamed()
    cut = replace(good, cut=good.body.index(b"message_delta"), after="close")
    async with AsyncExitStack() as stack:
        place = await _place(stack, _scripted(ANTHROPIC, cut))
        with pytest.raises(StreamInterrupted):
            await _asked(place, streamed=True)
        (row,) = export_rows(place.router.ledger)
        assert (row.state, row.basis) == ("forfeited", "reserved")
        assert row.input_tokens + row.cached_input_tokens == 0, "what nobody knows is no token count"


async def test_a_server_that_is_not_there_is_passed_over() -> None:
    """Refused connections: one quick retry, nothing charged, the next member answers."""
    async with AsyncExitStack() as stack:
        place = await _place(stack, _scripted(ANTHROPIC))
        place.primary.end()
        listening = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        listening.close()
        await listening.wait_closed()
        models = catalogue(
            primary=cloud(listed("p1", price=1.0), base_url=f"http://127.0.0.1:{port}/v1", api_key_env="K"),
            home=local(listed(MODEL), base_url=place.home.url),
        )
        policy = policy_of(models, f'route r: use "p1", then "{MODEL}"\n')
        async with ModelRouter.of(policy, dry_run=False) as router:
            result = await router.select_and_invoke(TASK, HELLO)
            assert [attempt["error_class"] for attempt in result["attempts"]] == ["unreachable"] * 2 + [None]
            assert [row.state for row in export_rows(router.ledger)] == ["released", "released", "settled"]
            health = await router.health_check()
            assert (health["primary"]["status"], health["home"]["status"]) == ("down", "up")
            assert router.plan(TASK).model.provider_name == "home"


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (401, {"error": {"type": "authentication_error", "message": "no"}}, "AuthFailed"),
        (400, {"error": {"type": "invalid_request_error", "message": "bad"}}, "Unfit"),
        (307, {}, "Unfit"),
    ],
)
async def test_a_targets_own_fault_is_not_the_callers(status: int, body: Any, error: str) -> None:
    """A refused key, a request that this target does not take and a redirect: the next member answers."""
    async with AsyncExitStack() as stack:
        wrong = in_json(body, status, headers={"location": "http://127.0.0.1:1/"} if status == 307 else {})
        place = await _place(stack, _scripted(OPENAI, wrong), dialect=OPENAI)
        result = await _asked(place, streamed=False)
        assert result["provider"] == "fallback"
        assert [attempt["error"] for attempt in result["attempts"]] == [error, None]
        assert (len(place.primary.prompts()), place.home.prompts()) == (1, [])


async def test_a_refusal_is_not_routed_around() -> None:
    """What a filter refused is asked of nobody else."""
    body = {"error": {"type": "invalid_request_error", "code": "content_policy_violation", "message": "no"}}
    async with AsyncExitStack() as stack:
        place = await _place(stack, _scripted(OPENAI, in_json(body, 400)), dialect=OPENAI)
        with pytest.raises(Refused):
            await _asked(place, streamed=False)
        assert (len(place.primary.prompts()), place.fallback.prompts(), place.home.prompts()) == (1, [], [])


async def test_every_dialect_answers_in_one_shape() -> None:
    """Same text, same keys, same tool calls from the three."""
    seen = []
    for dialect in (ANTHROPIC, OPENAI):
        async with AsyncExitStack() as stack:
            place = await _place(stack, _scripted(dialect), dialect=dialect)
            seen.append(await _asked(place, streamed=False))
    async with AsyncExitStack() as stack:
        place = await _place(stack, _scripted(ANTHROPIC), routes=f'route r: use "{MODEL}"\n')
        seen.append(await _asked(place, streamed=True))
    assert {tuple(result) for result in seen} == {tuple(seen[0])}
    assert {result["content"] for result in seen} == {TEXT}
    assert {result["usage"]["input_tokens"] for result in seen} == {10}
    assert {result["finish_reason"] for result in seen} == {"stop"}


async def test_a_local_provider_at_a_public_address_gets_no_prompt(tmp_path: Path) -> None:
    """It is refused with the reason, its health says misconfigured, and the next local one answers."""
    async with AsyncExitStack() as stack:
        place = await _place(stack, _scripted(ANTHROPIC))
        models = catalogue(
            far=local(listed("l1"), base_url="http://198.51.100.7:11434"),
            home=local(listed(MODEL), base_url=place.home.url),
        )
        policy = policy_of(models, f'route r: use l1, then "{MODEL}"\n')
        async with ModelRouter.of(policy, dry_run=False) as router:
            result = await router.select_and_invoke(TASK, HELLO)
            assert result["provider"] == "home"
            assert "neither loopback nor in its networks" in result["attempts"][0]["reason"]
            assert (await router.health_check())["far"]["status"] == "misconfigured"


async def test_everything_down_says_of_each(tmp_path: Path) -> None:
    """ChainExhausted has a line for each member."""
    bad = in_json({}, 503)
    async with AsyncExitStack() as stack:
        place = await _place(stack, _scripted(ANTHROPIC, bad, bad), routes='route r: use "p1"\n')
        with pytest.raises(ChainExhausted, match="p1 \\(primary\\): primary / p1: is overloaded"):
            await _asked(place, streamed=False)

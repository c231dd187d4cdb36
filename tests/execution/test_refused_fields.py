"""A target that refuses a field is asked again without it, over a real socket: what is sent, what is said of
it, what is booked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from engine.budget.usage import export_rows
from engine.execution.errors import ChainExhausted
from engine.model_router import ModelRouter

from ..providers.dialects import ANTHROPIC, OPENAI, Dialect, errand
from ..providers.wire_server import Answer, Received, WireServer, in_json, wire_server
from .worlds import HELLO, TASK, catalogue, cloud, model, policy_of


def _unsupported(name: str) -> Answer:
    said = f"Unsupported parameter: '{name}' is not supported with this model."
    error = {"message": said, "type": "invalid_request_error", "param": name, "code": "unsupported_parameter"}
    return in_json({"error": error}, 400)


@asynccontextmanager
async def _lone(
    refused: Callable[[Any], Answer | str | None], dialect: Dialect = OPENAI
) -> AsyncIterator[Any]:
    """A router whose chain is one paid member, which refuses the field of a body that `refused` names, or
    answers what it gives."""

    def answer(received: Received) -> Answer:
        if received.path != dialect.prompt_path:
            return errand(received)
        found = refused(received.json)
        if found is not None:
            return _unsupported(found) if isinstance(found, str) else found
        return dialect.streamed() if received.json.get("stream") else dialect.whole()

    async with wire_server(answer) as server:
        at = {"api": dialect.name, "base_url": server.url + dialect.base_path, "api_key_env": "K"}
        offered = model("m", price=1.0) | {"capabilities": ["tools", "structured_output"]}
        policy = policy_of(catalogue(there=cloud(offered, **at)), "route r: use m\n")
        async with ModelRouter.of(policy, dry_run=False) as router:
            yield router, server


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key for the cloud on loopback."""
    monkeypatch.setenv("K", "sk-test")


def _first_of(*names: str) -> Callable[[Any], str | None]:
    return lambda body: next((name for name in names if name in body), None)


def _bodies(server: WireServer) -> list[Any]:
    return [received.json for received in server.prompts()]


async def _asked(router: ModelRouter, streamed: bool, **more: Any) -> dict[str, Any]:
    if not streamed:
        return await router.select_and_invoke(TASK, HELLO, **more)
    pieces = [piece async for piece in router.stream(TASK, HELLO, **more)]
    result: dict[str, Any] = pieces[-1]["result"]
    return result


@pytest.mark.parametrize("streamed", [False, True])
async def test_the_limit_goes_by_its_other_name(streamed: bool) -> None:
    """`max_completion_tokens` bounds the answer as `max_tokens` did, and the next call says it at once."""
    async with _lone(_first_of("max_tokens")) as (router, server):
        results = [await _asked(router, streamed, max_tokens=77) for _ in range(2)]
        names = ("max_tokens", "max_completion_tokens")
        sent = [{name: body[name] for name in names if name in body} for body in _bodies(server)]
        assert sent == [{"max_tokens": 77}, {"max_completion_tokens": 77}, {"max_completion_tokens": 77}]
        said = "max_tokens was sent as max_completion_tokens: the target refused the first name"
        assert all(result["attempts"][-1]["notes"] == [said] for result in results)
        assert [row.state for row in export_rows(router.ledger)] == ["released", "settled", "settled"]


@pytest.mark.parametrize("streamed", [False, True])
async def test_without_a_bound_of_the_output_nothing_is_sent(streamed: bool) -> None:
    """A target that refuses both names gets no call that nothing bounds, and nothing stays held."""
    async with _lone(_first_of("max_tokens", "max_completion_tokens")) as (router, server):
        for _ in range(2):
            with pytest.raises(ChainExhausted, match="under both its names"):
                await _asked(router, streamed, max_tokens=77)
        assert len(_bodies(server)) == 2
        assert all("max_tokens" in body or "max_completion_tokens" in body for body in _bodies(server))
        assert {row.state for row in export_rows(router.ledger)} == {"released"}


@pytest.mark.parametrize("streamed", [False, True])
async def test_several_fields_are_refused_one_after_the_other(streamed: bool) -> None:
    """Each is left out with a note, and the call is answered."""
    more = {"temperature": 0.2, "seed": 7, "reasoning": "low"}
    async with _lone(_first_of("temperature", "max_tokens", "seed", "reasoning_effort")) as (router, server):
        result = await _asked(router, streamed, **more)
        notes = " ".join(result["attempts"][-1]["notes"])
        for name in more:
            assert f"{name} was not sent: the target refused it" in notes
        assert len(_bodies(server)) == 5
        await _asked(router, streamed, **more)
        assert len(_bodies(server)) == 6


async def test_the_usage_of_a_stream_need_not_be_asked_for() -> None:
    """Where `stream_options` is refused the stream is asked for without, and a note says so."""
    async with _lone(_first_of("stream_options")) as (router, server):
        result = await _asked(router, True, max_tokens=77)
        assert "stream_options" not in _bodies(server)[-1]
        assert any("stream_options was not sent" in note for note in result["attempts"][-1]["notes"])


MOST_OUTPUT = {
    "max_tokens is too large: 77. This model supports at most 50 completion tokens, whereas you provided 77.",
    "max_tokens: 77 > 50, which is the maximum allowed number of output tokens for claude-9",
    "`max_tokens` must be less than or equal to `50`",
    "Invalid max_tokens value, the valid range of max_tokens is [1, 50]",
    "The maximum tokens you requested exceeds the model limit of 50. Try again with a lower value.",
}


@pytest.mark.parametrize("said", sorted(MOST_OUTPUT))
async def test_less_output_is_asked_for(said: str) -> None:
    """A model that gives less than `max_tokens`, and says how much, is asked for that much; less is held."""

    def refuse(body: Any) -> Answer | None:
        return in_json({"error": {"message": said}}, 400) if body["max_tokens"] > 50 else None

    async with _lone(refuse) as (router, server):
        result = await _asked(router, False, max_tokens=77)
        assert [body["max_tokens"] for body in _bodies(server)] == [77, 50]
        assert result["attempts"][-1]["max_tokens"] == 50


@pytest.mark.parametrize("name", ["messages", "model", "tools", "response_format", "store"])
async def test_nothing_but_what_can_be_spared_is_left_out(name: str) -> None:
    """A refusal of anything else ends the call, with the target's own sentence."""
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}
    async with _lone(lambda body: name) as (router, server):
        with pytest.raises(ChainExhausted, match=f"'{name}' is not supported"):
            await _asked(router, False, tools=[tool], response_format=form)
        assert len(_bodies(server)) == 1


async def test_the_callers_own_extra_is_never_left_out() -> None:
    """It may be what keeps a prompt private: a target that refuses it does not get the prompt without."""
    extra = {"openai": {"provider": {"data_collection": "deny"}}}
    async with _lone(_first_of("provider")) as (router, server):
        with pytest.raises(ChainExhausted):
            await _asked(router, False, extra=extra)
        assert all("provider" in body for body in _bodies(server))


async def test_anthropics_thinking_is_spared() -> None:
    """An older model takes no thinking: it answers without."""
    async with _lone(_first_of("thinking"), ANTHROPIC) as (router, server):
        result = await _asked(router, False, reasoning=2048, max_tokens=4096)
        assert "thinking" not in _bodies(server)[-1]
        assert result["attempts"][-1]["notes"] == ["reasoning was not sent: the target refused it"]

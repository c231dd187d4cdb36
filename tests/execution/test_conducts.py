"""How failures are met: every class of the taxonomy, and what the router does about each.

Each runs whole and streamed and must end alike: same answer or error, same calls, same rows in the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from engine.budget import BudgetExceeded, Limits
from engine.execution.errors import ChainExhausted, DeadlineExceeded
from engine.model_router import NoEligibleModel
from engine.providers.conduct import ErrorClass, NextTarget
from engine.providers.errors import (
    BY_CLASS,
    AuthFailed,
    BrokenAnswer,
    ContextOverflow,
    EgressAlarm,
    EgressRefused,
    InvalidRequest,
    ModelMissing,
    NotAllowed,
    OutcomeUnknown,
    Overloaded,
    ProviderError,
    QuotaSpent,
    Refused,
    ServerFailed,
    StreamInterrupted,
    Throttled,
    TooLarge,
    Transient,
    Truncated,
    Unfit,
    Unreachable,
)
from engine.providers.reply import Usage
from engine.providers.scripted import Act, Answer, Break, Fault, Hang
from engine.task_profiles import TaskProfile

from .worlds import IN_ORDER, LOCAL_FIRST, TASK, World, asked, policy_of, world

Virtually = Callable[[Callable[[Path], Any]], Any]


@dataclass(frozen=True)
class Conduct:
    """What is scripted and what must follow. `calls` are by provider; `states` the ledger rows' ends in
    order; `within_s` bounds the virtual seconds it takes."""

    scripts: Mapping[str, Sequence[Act]]
    served_by: str | None
    calls: Mapping[str, int]
    states: Sequence[str]
    raises: type[Exception] | None = None
    within_s: tuple[float, float] = (0.0, 0.001)
    routes: str = IN_ORDER
    more: Mapping[str, Any] = field(default_factory=dict)
    task: TaskProfile = TASK


DOWN = Fault(Unreachable(dispatched=False))
CONDUCTS: dict[str, Conduct] = {
    "primary down: one quick retry, then the next": Conduct(
        {"east": [DOWN, DOWN]}, "west", {"east": 2, "west": 1}, ["released", "released", "settled"]
    ),
    "primary down once: the quick retry answers": Conduct(
        {"east": [DOWN]}, "east", {"east": 2}, ["released", "settled"]
    ),
    "primary hung: given up when half the time is over, or at the first token's limit": Conduct(
        {"east": [Hang()]}, "west", {"east": 1, "west": 1}, ["forfeited", "settled"], within_s=(15.0, 60.0)
    ),
    "429 with a Retry-After that fits: waited for, then answered": Conduct(
        {"east": [Fault(Throttled(status=429, retry_after_s=7.0))]},
        "east",
        {"east": 2},
        ["released", "settled"],
        within_s=(7.0, 7.001),
    ),
    "429 with a Retry-After that does not fit: the next": Conduct(
        {"east": [Fault(Throttled(status=429, retry_after_s=600.0))]},
        "west",
        {"east": 1, "west": 1},
        ["released", "settled"],
    ),
    "429 without Retry-After: the next": Conduct(
        {"east": [Fault(Throttled(status=429))]}, "west", {"east": 1, "west": 1}, ["released", "settled"]
    ),
    "spend limit: never again at this one, the next": Conduct(
        {"east": [Fault(QuotaSpent(status=429))]}, "west", {"east": 1, "west": 1}, ["released", "settled"]
    ),
    "overloaded: once more with jitter, then the next; once its answer has begun it may be billed": Conduct(
        {"east": [Fault(Overloaded(status=529)), Fault(Overloaded(status=200))]},
        "west",
        {"east": 2, "west": 1},
        ["released", "forfeited", "settled"],
        within_s=(0.0, 4.0),
    ),
    "server failed with 500: once more": Conduct(
        {"east": [Fault(ServerFailed(status=500))]},
        "east",
        {"east": 2},
        ["released", "settled"],
        within_s=(0.0, 4.0),
    ),
    "gateway timed out with 504: may have been billed": Conduct(
        {"east": [Fault(ServerFailed(status=504))]},
        "east",
        {"east": 2},
        ["forfeited", "settled"],
        within_s=(0.0, 4.0),
    ),
    "408: once more; what was worked may have been billed": Conduct(
        {"east": [Fault(Transient(status=408))]},
        "east",
        {"east": 2},
        ["forfeited", "settled"],
        within_s=(0.0, 4.0),
    ),
    "reset after the request was written: not again here, its reservation is charged whole": Conduct(
        {"east": [Fault(OutcomeUnknown())]}, "west", {"east": 1, "west": 1}, ["forfeited", "settled"]
    ),
    "ended without its mark, nothing shown: the next; its reservation is charged whole": Conduct(
        {"east": [Fault(Truncated(status=200, usage=Usage(5, 3)))]},
        "west",
        {"east": 1, "west": 1},
        ["forfeited", "settled"],
    ),
    "too long for the window: only a larger one": Conduct(
        {"east": [Fault(ContextOverflow(status=400))]},
        "west",
        {"east": 1, "west": 1},
        ["released", "settled"],
    ),
    "too long for the largest window: nobody with a smaller one is asked": Conduct(
        {"west": [Fault(ContextOverflow(status=400))]},
        None,
        {"west": 1, "east": 0, "ollama": 0},
        ["released"],
        raises=ChainExhausted,
        routes='route in-order: use "west-1", then "east-1", then large\n',
    ),
    "too large: only a larger limit": Conduct(
        {"east": [Fault(TooLarge(status=413))]}, "west", {"east": 1, "west": 1}, ["released", "settled"]
    ),
    "wrong key: never again here, the next": Conduct(
        {"east": [Fault(AuthFailed(status=401))]}, "west", {"east": 1, "west": 1}, ["released", "settled"]
    ),
    "the model is gone: the next": Conduct(
        {"east": [Fault(ModelMissing(status=404))]}, "west", {"east": 1, "west": 1}, ["released", "settled"]
    ),
    "this key may not use the model: the next": Conduct(
        {"east": [Fault(NotAllowed(status=403))]}, "west", {"east": 1, "west": 1}, ["released", "settled"]
    ),
    "a parameter is not supported: the next": Conduct(
        {"east": [Fault(Unfit(status=400))]}, "west", {"east": 1, "west": 1}, ["released", "settled"]
    ),
    "what came is no answer: the next, charged whole": Conduct(
        {"east": [Fault(BrokenAnswer(status=200, usage=Usage(5, 3)))]},
        "west",
        {"east": 1, "west": 1},
        ["forfeited", "settled"],
    ),
    "429 without Retry-After and nobody behind: a short pause, then once more": Conduct(
        {"east": [Fault(Throttled(status=429))]},
        "east",
        {"east": 2},
        ["released", "settled"],
        within_s=(1.0, 1.001),
        routes='route only: use "east-1"\n',
    ),
    "overloaded for a time it names: waited for to its end": Conduct(
        {"east": [Fault(Overloaded(status=529, retry_after_s=6.0))]},
        "east",
        {"east": 2},
        ["released", "settled"],
        within_s=(6.0, 6.001),
    ),
    "refused by the model: not routed around, settled by what it reported": Conduct(
        {"east": [Fault(Refused(status=200, usage=Usage(5, 3)))]},
        None,
        {"east": 1},
        ["settled"],
        raises=Refused,
    ),
    "refused by the model, and no usage: its reservation is charged whole": Conduct(
        {"east": [Fault(Refused(status=200))]}, None, {"east": 1}, ["forfeited"], raises=Refused
    ),
    "refused before an answer began: the prompt is charged, no output": Conduct(
        {"east": [Fault(Refused(status=400))]}, None, {"east": 1}, ["settled"], raises=Refused
    ),
    "malformed, whoever is asked: seen at once": Conduct(
        {"east": [Fault(InvalidRequest(dispatched=False))]},
        None,
        {"east": 1},
        ["released"],
        raises=InvalidRequest,
    ),
    "an address that is not local: refused, the next is checked in its turn": Conduct(
        {"ollama": [Fault(EgressRefused(dispatched=False))] * 2},
        "east",
        {"ollama": 2, "east": 1},
        ["released", "released", "settled"],
        routes=LOCAL_FIRST,
    ),
    "a local model that was not: alarm, nobody else": Conduct(
        {"ollama": [Fault(EgressAlarm())]},
        None,
        {"ollama": 1},
        ["settled"],
        raises=EgressAlarm,
        routes=LOCAL_FIRST,
    ),
    "every member fails: told of each": Conduct(
        dict.fromkeys(("east", "west", "ollama"), [Fault(OutcomeUnknown())] * 9),
        None,
        {"east": 1, "west": 1, "ollama": 2},
        ["forfeited"] * 4,
        raises=ChainExhausted,
    ),
    "everybody hangs: over at the deadline": Conduct(
        dict.fromkeys(("east", "west", "ollama"), [Hang()] * 9),
        None,
        {},
        [],
        raises=(ChainExhausted),
        within_s=(9.0, 10.25),
        more={"deadline_s": 10.0},
    ),
}


async def _end(place: World, conduct: Conduct, *, streamed: bool) -> dict[str, Any] | Exception:
    try:
        return await asked(place, streamed=streamed, task=conduct.task, **conduct.more)
    except Exception as error:
        return error


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("name", CONDUCTS)
def test_a_failure_is_met_as_the_taxonomy_says(name: str, streamed: bool, virtually: Virtually) -> None:
    """Who is called, how often, after how long, and what the ledger holds afterwards."""
    conduct = CONDUCTS[name]

    async def main(folder: Path) -> None:
        place = world(folder, conduct.scripts, policy=policy_of(routes=conduct.routes))
        end = await _end(place, conduct, streamed=streamed)
        passed_s = place.passed_s
        if conduct.raises is None:
            assert isinstance(end, dict), end
            assert end["provider"] == conduct.served_by
            assert end["content"] == "This is a scripted answer."
        else:
            assert isinstance(end, conduct.raises), end
        for provider, calls in conduct.calls.items():
            assert place.calls(provider) == calls, (provider, place.calls(provider))
        if conduct.states:
            assert [row.state for row in place.rows] == list(conduct.states)
        assert not [row for row in place.rows if row.state in ("reserved", "dispatched")]
        least, most = conduct.within_s
        assert least <= passed_s <= most, passed_s

    virtually(main)


@pytest.mark.parametrize("kind", list(BY_CLASS), ids=lambda kind: kind.value)
def test_whole_and_streamed_end_alike(kind: ErrorClass, virtually: Virtually) -> None:
    """The same error gives the same calls, the same rows and the same end, and as many attempts as its class
    allows."""

    async def main(folder: Path) -> None:
        told = []
        for streamed in (False, True):
            error = BY_CLASS[kind](status=None, usage=Usage(5, 3))
            place = world(folder / str(streamed), {"east": [Fault(error)] * 9}, chance=lambda: 0.5)
            end = await _end(place, Conduct({}, None, {}, []), streamed=streamed)
            answer = end["provider"] if isinstance(end, dict) else type(end)
            rows = [(row.state, row.charge_micro_usd, row.basis, row.model) for row in place.rows]
            told.append((answer, rows, place.calls("east"), place.calls("west"), place.slept))
            conduct = error.conduct
            goes_on = conduct.next_target is not NextTarget.NO
            assert place.calls("west") == (1 if goes_on else 0)
            assert place.calls("east") <= 2
        assert told[0] == told[1]

    virtually(main)


@pytest.mark.parametrize("act", [Break(("Hel", "lo"), Overloaded(status=200)), Break(("Hel", "lo"))])
def test_after_content_a_stream_never_moves_on(act: Break, virtually: Virtually) -> None:
    """It ends with StreamInterrupted, which carries the text, the cause and an estimate; one row, charged
    whole."""

    async def main(folder: Path) -> None:
        place = world(folder, {"east": [act]})
        shown: list[str] = []

        async def read() -> None:
            async for piece in place.router.stream(TASK, [{"role": "user", "content": "hello"}]):
                shown.append(piece["content"])

        with pytest.raises(StreamInterrupted) as caught:
            await read()
        broken = caught.value
        assert ("".join(shown), broken.partial) == ("Hello", "Hello")
        assert broken.cause.kind in (ErrorClass.OVERLOADED, ErrorClass.TRUNCATED)
        assert broken.usage_estimate.output_tokens == 1
        assert (place.calls("east"), place.calls("west")) == (1, 0)
        (row,) = place.rows
        assert (row.state, row.served) == ("forfeited", False)
        assert row.charge_micro_usd == row.reserved_micro_usd > 0

    virtually(main)


def test_a_broken_answer_that_nobody_saw_starts_again_at_the_next(virtually: Virtually) -> None:
    """The same break, taken whole, has shown nothing: the next member answers."""

    async def main(folder: Path) -> None:
        place = world(folder, {"east": [Break(("Hel", "lo"))]})
        result = await asked(place, streamed=False)
        assert result["provider"] == "west"

    virtually(main)


def test_a_slow_first_token_moves_a_stream_on(virtually: Virtually) -> None:
    """A stream that somebody stands behind has a minute to its first token."""

    async def main(folder: Path) -> None:
        place = world(folder, {"east": [Hang()]})
        result = await asked(place, streamed=True)
        assert result["provider"] == "west"
        assert 60.0 <= place.passed_s <= 60.25

    virtually(main)


def test_a_cold_local_model_is_waited_for(virtually: Virtually) -> None:
    """A local first token may take a minute, and what a request may spend on loading comes on top; the cloud
    is not asked."""

    async def main(folder: Path) -> None:
        place = world(folder, policy=policy_of(routes=LOCAL_FIRST))
        result = await asked(place, streamed=True)
        (request,) = place.providers["ollama"].calls
        assert request.timeouts.first_token_s == 60.0
        assert request.timeouts.load_s == 60.0
        assert (result["provider"], place.calls("east")) == ("ollama", 0)

    virtually(main)


def test_a_smaller_window_in_the_chain_is_never_called(virtually: Virtually) -> None:
    """What does not fit is no member: prompt, reply and tools count, whatever the profile says."""

    async def main(folder: Path) -> None:
        place = world(folder, policy=policy_of(routes=LOCAL_FIRST))
        await asked(place, streamed=False, messages=[{"role": "user", "content": "x" * 40_000}])
        assert [request.model for request in place.providers["ollama"].calls] == ["large"]
        await asked(place, streamed=False, max_tokens=30_000)
        assert place.providers["ollama"].calls[-1].model == "large"

    virtually(main)


def test_tools_are_never_lost(virtually: Virtually) -> None:
    """A model without tools is no member when tools are passed, and who answers was sent them."""
    from .worlds import catalogue, local, model

    tools = [{"type": "function", "function": {"name": "f", "parameters": {}}}]

    async def main(folder: Path) -> None:
        models = catalogue(ollama=local(model("without", tools="no"), model("with")))
        place = world(folder, policy=policy_of(models, "route all: use any\n"))
        result = await asked(place, streamed=False, tools=tools)
        (request,) = place.providers["ollama"].calls
        assert (result["model"], request.tools) == ("with", tools)

    virtually(main)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_a_budget_that_goes_between_plan_and_call(streamed: bool, virtually: Virtually) -> None:
    """The plan had money; at the call it is gone: the next member that costs nothing, or a refusal that names
    the budget."""

    async def main(folder: Path) -> None:
        limits = Limits(daily_usd=1)
        place = world(folder, limits=limits)
        planned = place.router.plan(TASK)
        assert planned.model.provider_name == "east"
        _spend_everything(place)
        result = await asked(place, streamed=streamed)
        assert (result["provider"], place.calls("east"), place.calls("west")) == ("ollama", 0, 0)
        assert [attempt["outcome"] for attempt in result["attempts"]] == ["unaffordable"] * 2 + ["answered"]
        assert "budget daily" in result["attempts"][0]["reason"]

        cloud_only = world(folder, policy=policy_of(routes="route all: use cloud\n"), limits=limits)
        cloud_only.router._runtime_facts._until = float("inf")
        with pytest.raises((BudgetExceeded, NoEligibleModel), match=r"budget"):
            await asked(cloud_only, streamed=streamed)
        assert (cloud_only.calls("east"), cloud_only.calls("west")) == (0, 0)

    virtually(main)


def _spend_everything(place: World) -> None:
    """Another process takes all that is left, behind the router's back."""
    from engine.budget import Attempt, Rates, TokenPrices

    prices = TokenPrices(Rates(1, 1))
    place.ledger.reserve(Attempt("other", "other", "elsewhere", "m", False, 1_000_000, prices, 600))
    place.router._runtime_facts._until = float("inf")


def test_what_a_budget_has_left_shortens_the_answer_and_never_the_reservation(virtually: Virtually) -> None:
    """A cap on max_tokens is sent to the provider, and the row holds the worst case of what was sent."""

    async def main(folder: Path) -> None:
        place = world(folder, limits=Limits(daily_usd=0))
        from decimal import Decimal

        place = world(folder / "b", limits=Limits(daily_usd=Decimal("0.000700")))
        result = await asked(place, streamed=False, max_tokens=1000)
        (request,) = place.providers["east"].calls
        assert request.max_tokens is not None
        assert 250 <= request.max_tokens < 1000
        (row,) = place.rows
        assert row.reserved_micro_usd <= 700
        attempt = result["attempts"][0]
        assert attempt["max_tokens"] == request.max_tokens
        assert "the budget allowed" in attempt["notes"][0]

    virtually(main)


def test_time_left_below_a_second_begins_no_other_attempt(virtually: Virtually) -> None:
    """No hop is started with less than a second left."""

    async def main(folder: Path) -> None:
        place = world(folder, {"east": [Hang()]})
        with pytest.raises(DeadlineExceeded) as caught:
            await asked(place, streamed=False, deadline_s=1.5)
        assert place.calls("west") == 0
        assert [attempt["provider"] for attempt in caught.value.attempts] == ["east"]

    virtually(main)


def test_at_most_six_attempts_and_four_targets(virtually: Virtually) -> None:
    """However long the chain is."""
    from .worlds import catalogue, cloud, model

    async def main(folder: Path) -> None:
        names = [f"c{number}" for number in range(8)]
        models = catalogue(**{name: cloud(model(f"m-{name}", price=1)) for name in names})
        routes = "route all: use " + ", then ".join(f'"m-{name}"' for name in names) + "\n"
        place = world(folder, policy=policy_of(models, routes), otherwise=Fault(Overloaded(status=503)))
        with pytest.raises(ChainExhausted) as caught:
            await asked(place, streamed=False)
        called = [attempt for attempt in caught.value.attempts if attempt["attempt_id"]]
        assert len(called) <= 6
        assert len({attempt["provider"] for attempt in called}) <= 4
        assert sum(place.calls(name) for name in names) == len(called)

    virtually(main)


def test_an_error_says_nothing_of_the_request(virtually: Virtually) -> None:
    """ChainExhausted names models and reasons, and pickles."""
    import pickle

    async def main(folder: Path) -> None:
        place = world(folder, otherwise=Fault(OutcomeUnknown()))
        with pytest.raises(ChainExhausted, match="east-1 \\(east\\)") as caught:
            await asked(
                place, streamed=False, messages=[{"role": "user", "content": "a very private matter"}]
            )
        again = pickle.loads(pickle.dumps(caught.value))
        assert str(again) == str(caught.value)
        assert "private" not in repr(again) + str(again)

    virtually(main)


def test_an_answer_has_one_shape(virtually: Virtually) -> None:
    """The documented keys, no more and no less."""

    async def main(folder: Path) -> None:
        place = world(folder, {"east": [Answer("hi", usage=Usage(100, 10, cached_read_tokens=40))]})
        result = await asked(place, streamed=False)
        assert list(result) == [
            "content", "model", "provider", "tool_calls", "reasoning", "citations", "message",
            "finish_reason", "budget_cut", "usage", "cost_usd", "attempts", "decision_id",
        ]  # fmt: skip
        (row,) = place.rows
        assert (row.input_tokens, row.cached_input_tokens, row.output_tokens) == (60, 40, 10)
        assert result["usage"]["input_tokens"] == 100
        assert f"{result['cost_usd']:f}" == "0.000110" == row.charge_usd

    virtually(main)


def test_every_class_is_in_the_table() -> None:
    """No class of the taxonomy goes without a conduct here."""
    scripted = {
        act.error.kind
        for conduct in CONDUCTS.values()
        for acts in conduct.scripts.values()
        for act in acts
        if isinstance(act, Fault) and isinstance(act.error, ProviderError)
    }
    assert set(BY_CLASS) - scripted <= {ErrorClass.CANCELLED}

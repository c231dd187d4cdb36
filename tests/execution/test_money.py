"""Money under concurrency: never over, the budget named, one charge for each attempt that reached a
provider."""

from __future__ import annotations

import asyncio
import random
from decimal import Decimal
from pathlib import Path

import pytest

from engine.budget import BudgetError, BudgetExceeded, Clock, Limits, open_ledger
from engine.budget.usage import export_rows, verify
from engine.errors import EngineError
from engine.execution.holds import AHEAD
from engine.model_router import ModelRouter, NoEligibleModel
from engine.policy import Policy
from engine.providers.base import Request, Target
from engine.providers.conduct import ErrorClass
from engine.providers.errors import BY_CLASS
from engine.providers.reply import Usage
from engine.providers.scripted import Act, Answer, Break, Fault, Hang, ScriptedProvider

from ..budget.clocks import real_clock
from .test_conducts import Virtually
from .worlds import HELLO, TASK, World, asked, catalogue, cloud, model, policy_of, world

CLOUD_ONLY = "route cloud-only: use cloud\n"
WITH_LOCAL = "route cheap-last: use cloud, then local\n"


def _router(folder: Path, limits: Limits, routes: str) -> tuple[ModelRouter, dict[str, ScriptedProvider]]:
    """A router with a real ledger in a thread, and providers that take a moment."""
    made: dict[str, ScriptedProvider] = {}

    class Slow(ScriptedProvider):
        async def complete(self, request: Request):  # type: ignore[no-untyped-def]
            await asyncio.sleep(0)
            return await super().complete(request)

    def make(target: Target) -> ScriptedProvider:
        made[target.name] = Slow(target, lambda request: Answer("y" * 4 * (request.max_tokens or 0)))
        return made[target.name]

    ledger = open_ledger(state_dir=folder, url=None, limits=limits, clock=real_clock())
    return ModelRouter.of(policy_of(routes=routes), ledger=ledger, providers=make, dry_run=False), made


@pytest.mark.parametrize("routes", [CLOUD_ONLY, WITH_LOCAL], ids=["cloud only", "with a local model"])
async def test_64_at_once_with_a_budget_for_10(routes: str, tmp_path: Path) -> None:
    """What is admitted costs no more than the limit; the rest is refused with the budget named, or served
    locally."""
    # 1,000 tokens of output at $1 per million, and about 85 of prompt: 1,085 micro-dollars at worst for each.
    limits = Limits(daily_usd=Decimal("0.011"))
    router, providers = _router(tmp_path, limits, routes)
    ends = await asyncio.gather(
        *(router.select_and_invoke(TASK, HELLO) for _ in range(64)), return_exceptions=True
    )
    answered = [end for end in ends if isinstance(end, dict)]
    refused = [end for end in ends if not isinstance(end, dict)]
    in_the_cloud = [end for end in answered if end["provider"] != "ollama"]
    charged = sum(row.charge_micro_usd for row in export_rows(router.ledger))
    assert charged <= 11_000
    # A few more than ten fit, because answers cost less than was held for them, and a last one may be
    # shortened.
    assert 10 <= len(in_the_cloud) <= 15
    if routes is CLOUD_ONLY:
        assert len(refused) == 64 - len(in_the_cloud)
        for end in refused:
            assert isinstance(end, BudgetExceeded | NoEligibleModel)
            assert "budget" in str(end)
    else:
        assert not refused
        assert len(answered) == 64
    assert verify(router.ledger).ok
    assert not [row for row in export_rows(router.ledger) if row.state in ("reserved", "dispatched")]
    assert sum(len(provider.calls) for provider in providers.values()) == len(answered)
    await router.aclose()


def _random_act(chance: random.Random) -> Act:
    # A leak shuts a model out for good and a spent quota its provider for the day: nothing would be left to
    # try.
    kinds = [made for kind, made in BY_CLASS.items() if kind not in (ErrorClass.LEAK, ErrorClass.QUOTA)]
    match chance.randrange(4):
        case 0:
            return Answer("word " * chance.randrange(1, 40))
        case 1:
            return Break(("some ", "text"), chance.choice(kinds)())
        case _:
            return Fault(chance.choice(kinds)(retry_after_s=chance.choice([None, 1.0, 900.0])))


@pytest.mark.parametrize("seed", range(4))
def test_every_way_to_call_charges_exactly_once(seed: int, virtually: Virtually) -> None:
    """Whole, streamed, closed early, cancelled, failed in every class: each call that reached a provider has
    one row, every row has ended, and the books add up."""

    async def main(folder: Path) -> None:
        chance = random.Random(seed)
        acts = {name: (lambda _: _random_act(chance)) for name in ("east", "west", "ollama")}
        place = world(folder, acts, limits=Limits(daily_usd=1000))
        for number in range(120):
            await _one_way(place, number, chance)
            await asyncio.sleep(30.0)
        calls = sum(place.calls(name) for name in place.providers)
        rows = place.rows
        assert len([row for row in rows if not (row.reason or "").startswith("never sent")]) == calls
        assert calls > 60
        assert {row.state for row in rows} <= {"settled", "released", "forfeited"}
        assert verify(place.router.ledger).ok

    virtually(main)


async def _one_way(place: World, number: int, chance: random.Random) -> None:
    try:
        match number % 4:
            case 0:
                await asked(place, streamed=False)
            case 1:
                await asked(place, streamed=True)
            case 2:
                pieces = place.router.stream(TASK, HELLO)
                async for _ in pieces:
                    if chance.random() < 0.5:
                        break
                await pieces.aclose()
            case 3:
                calling = asyncio.ensure_future(asked(place, streamed=bool(chance.randrange(2))))
                for _ in range(chance.randrange(12)):
                    await asyncio.sleep(0)
                calling.cancel()
                await asyncio.wait([calling])
                if not calling.cancelled():
                    calling.exception()
    except EngineError:
        return


def _east(on_abort: str | None) -> Policy:
    billing = {} if on_abort is None else {"billing": {"on_abort": on_abort}}
    return policy_of(catalogue(east=cloud(model("east-1", price=1), **billing)), CLOUD_ONLY)


@pytest.mark.parametrize("on_abort", [None, "whole"])
def test_a_stream_closed_early_is_charged_whole(on_abort: str | None, virtually: Virtually) -> None:
    """The caller stops listening after some words: the provider may go on and bill all that was asked for."""

    async def main(folder: Path) -> None:
        place = world(folder, {"east": [Answer(pieces=("one ", "two ", "three "))]}, policy=_east(on_abort))
        pieces = place.router.stream(TASK, HELLO)
        assert (await anext(pieces))["content"] == "one "
        await pieces.aclose()
        (row,) = place.rows
        assert (row.state, row.basis, row.served) == ("forfeited", "reserved", True)
        assert row.charge_micro_usd == row.reserved_micro_usd > 0

    virtually(main)


def test_a_stream_closed_early_is_charged_as_shown_where_an_abort_stops_billing(virtually: Virtually) -> None:
    """`on_abort: as-shown`: what was shown is charged, a token for each byte, with what was on its way, and
    marked as estimated."""

    async def main(folder: Path) -> None:
        place = world(folder, {"east": [Answer(pieces=("one ", "two ", "three "))]}, policy=_east("as-shown"))
        pieces = place.router.stream(TASK, HELLO)
        assert (await anext(pieces))["content"] == "one "
        await pieces.aclose()
        (row,) = place.rows
        assert (row.state, row.basis, row.output_tokens) == ("settled", "estimated", len("one ") + AHEAD)
        assert 0 < row.charge_micro_usd < row.reserved_micro_usd

    virtually(main)


def test_nothing_shown_is_charged_whole_wherever_billing_stops(virtually: Virtually) -> None:
    """Even with `on_abort: as-shown` nobody knows what a provider did before its first word."""

    async def main(folder: Path) -> None:
        place = world(folder, {"east": [Hang()]}, policy=_east("as-shown"))
        calling = asyncio.ensure_future(asked(place, streamed=True))
        await asyncio.sleep(1.0)
        calling.cancel()
        await asyncio.wait([calling])
        (row,) = place.rows
        assert (row.state, row.charge_micro_usd) == ("forfeited", row.reserved_micro_usd)

    virtually(main)


def test_an_answer_without_usage_is_charged_whole_and_says_so(virtually: Virtually) -> None:
    """A whole answer of two bytes that reports nothing may have cost all that was held for it."""

    async def main(folder: Path) -> None:
        place = world(folder, {"east": [Answer("hi", usage=Usage())]}, policy=_east(None))
        result = await asked(place, streamed=False)
        (row,) = place.rows
        assert (row.state, row.charge_micro_usd, row.served) == ("forfeited", row.reserved_micro_usd, True)
        (attempt,) = result["attempts"]
        assert attempt["charged_by"] == result["usage"]["basis"] == "reserved"
        assert attempt["notes"] == ["the whole reservation is charged: its usage was not reported in full"]

    virtually(main)


def test_an_answer_that_was_measured_says_so(virtually: Virtually) -> None:
    """Usage that the provider reported, charged as it stands."""

    async def main(folder: Path) -> None:
        place = world(folder, {"east": [Answer("hi", usage=Usage(20, 3))]}, policy=_east(None))
        result = await asked(place, streamed=False)
        assert result["usage"]["basis"] == result["attempts"][0]["charged_by"] == "measured"
        assert result["cost_usd"] == Decimal("0.000023")

    virtually(main)


@pytest.mark.parametrize("told", [Usage(20, 10**6), Usage(10**6, 20), Usage(10**6, 10**6)])
def test_a_report_beyond_what_was_asked_is_charged_at_the_bound(told: Usage, virtually: Virtually) -> None:
    """No more than the output that was asked for and the input that was sent; it is a breach, and told."""

    async def main(folder: Path) -> None:
        limits = Limits(daily_usd=Decimal(1))
        place = world(folder, {"east": [Answer("hi", usage=told)]}, policy=_east(None), limits=limits)
        result = await asked(place, streamed=False, max_tokens=1_000)
        (row,) = place.rows
        assert row.charge_micro_usd <= row.reserved_micro_usd < 1_200
        assert "where at most" in (row.reason or "")
        assert "the most is charged" in " ".join(result["attempts"][0]["notes"])
        assert "`engine ledger reopen daily`" in " ".join(result["attempts"][0]["notes"])
        with pytest.raises((BudgetError, NoEligibleModel)):
            await asked(place, streamed=False)

    virtually(main)


async def test_a_call_cancelled_before_its_answer_is_charged_whole(tmp_path: Path) -> None:
    """Sent and not answered: it may have been billed."""
    ledger = open_ledger(state_dir=tmp_path, url=None, limits=Limits(), clock=real_clock())
    router = ModelRouter.of(
        policy_of(),
        ledger=ledger,
        providers=lambda target: ScriptedProvider(target, otherwise=Hang()),
        dry_run=False,
    )
    calling = asyncio.create_task(router.select_and_invoke(TASK, HELLO))
    while not router._shared.slots.taken("east"):
        await asyncio.sleep(0)
    while (
        "east" not in router._reloader.planner.snapshot._providers
        or not router._reloader.planner.snapshot.provider("east").calls
    ):  # type: ignore[attr-defined]
        await asyncio.sleep(0)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    (row,) = export_rows(router.ledger)
    assert (row.state, row.charge_micro_usd) == ("forfeited", row.reserved_micro_usd)
    await router.aclose()


def _broken_ledger(folder: Path) -> Path:
    """A state folder whose ledger is no database."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ledger.sqlite3").write_bytes(b"this is no database, and never was one" * 200)
    return folder


async def test_a_broken_ledger_refuses_the_cloud_and_serves_locally(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without books nothing that costs money is sent; what is free goes on."""
    monkeypatch.setenv("ENGINE_STATE_DIR", str(_broken_ledger(tmp_path / "broken")))
    made: dict[str, ScriptedProvider] = {}

    def make(target: Target) -> ScriptedProvider:
        made[target.name] = ScriptedProvider(target)
        return made[target.name]

    async with ModelRouter.of(policy_of(routes=WITH_LOCAL), providers=make, dry_run=False) as router:
        result = await router.select_and_invoke(TASK, HELLO)
        assert result["provider"] == "ollama"
        explanation = router.plan(TASK).explanation
        assert explanation.facts.budget_daily_used == 100
        assert "counted as spent" in explanation.facts_with_sources.sources["budget.daily.used"]
    async with ModelRouter.of(policy_of(routes=CLOUD_ONLY), providers=make, dry_run=False) as router:
        with pytest.raises(NoEligibleModel):
            await router.select_and_invoke(TASK, HELLO)
        # Even when a plan still thinks there is money, no call is made.
        router._runtime_facts._known = None
        runtime_facts = router._current_facts(router._reloader.planner.snapshot)._replace(
            budget_daily_used=Decimal(0)
        )
        router._runtime_facts._known, router._runtime_facts._until = (
            (router._reloader.planner.snapshot, runtime_facts),
            float("inf"),
        )
        with pytest.raises(BudgetError):
            await router.select_and_invoke(TASK, HELLO)
    assert {name for name, provider in made.items() if provider.calls} == {"ollama"}


async def test_a_dry_run_calls_nobody_and_charges_nothing(tmp_path: Path) -> None:
    """It says who would be called and at what cost."""
    made: list[ScriptedProvider] = []

    def make(target: Target) -> ScriptedProvider:
        made.append(ScriptedProvider(target))
        return made[-1]

    async with ModelRouter.of(policy_of(), providers=make, dry_run=True) as router:
        result = await router.select_and_invoke(TASK, HELLO)
        assert "east-1 (east) would be called, for at most $0.00" in result["content"]
        assert (result["provider"], result["cost_usd"], result["finish_reason"]) == ("east", 0, "dry_run")
        pieces = [piece async for piece in router.stream(TASK, HELLO)]
        assert pieces[0]["content"].startswith("dry run")
        assert (await router.health_check())["east"]["status"] == "unknown"
        assert router.get_available_models()
        assert not export_rows(router.ledger)
    assert not [provider for provider in made if provider.calls or provider.probes]


async def test_limits_of_the_environment_win(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DAILY_BUDGET_LIMIT=0 is a limit of zero."""
    monkeypatch.setenv("DAILY_BUDGET_LIMIT", "0")
    async with ModelRouter.of(
        policy_of(routes=CLOUD_ONLY), providers=ScriptedProvider, dry_run=False
    ) as router:
        with pytest.raises(NoEligibleModel, match="budget-exhausted"):
            await router.select_and_invoke(TASK, HELLO)


def test_the_clock_that_is_handed_in_is_the_ledgers(tmp_path: Path) -> None:
    """Both readings come from it, so that no simulated year looks like a jump."""
    from datetime import UTC, datetime

    from engine.execution.runtime import ledger_clock

    made = ledger_clock(lambda: datetime(2030, 1, 1, tzinfo=UTC))
    assert isinstance(made, Clock)
    assert made.wall_ns() == made.uptime_ns() == 1_893_456_000 * 10**9

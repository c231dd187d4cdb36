"""One deadline over the whole chain: 10,000 simulated requests with slow, hung and failing targets never
overrun it."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from engine.errors import EngineError
from engine.providers.base import Request
from engine.providers.errors import Overloaded, Throttled, Unreachable
from engine.providers.scripted import Act, Answer, Fault, Hang
from engine.task_profiles import TaskProfile

from .test_conducts import Virtually
from .worlds import HELLO, World, catalogue, cloud, local, model, policy_of, world

OVERRUN_S = 0.25
PARTS, RUNS = 4, 2_500
MODELS = catalogue(
    house=local(model("l1"), model("l2"), max_concurrent=2),
    east=cloud(model("c1", price=1.0)),
    west=cloud(model("c2", price=1.0)),
)
CHAIN = 'route r: use l1, then "c1", then "c2", then l2\n'


def _act(chance: random.Random) -> Act:
    match chance.randrange(6):
        case 0:
            return Answer("fine")
        case 1 | 2:
            return Hang()
        case 3:
            return Fault(Throttled(status=429, retry_after_s=chance.choice([0.5, 5.0, 60.0, 3600.0])))
        case 4:
            return Fault(Unreachable(dispatched=False))
        case _:
            return Fault(Overloaded(status=529))


@pytest.mark.parametrize("part", range(PARTS))
def test_no_run_goes_past_its_deadline(part: int, virtually: Virtually) -> None:
    """Overrun at most 250 ms, several requests at once, waiting in line included; and nobody hangs."""

    async def main(folder: Path) -> None:
        chance = random.Random(part)
        loop = asyncio.get_running_loop()
        overruns: list[float] = []

        async def one(place: World) -> None:
            deadline_s = chance.choice([0.2, 1.5, 10.0, 30.0, 120.0])
            began_at = loop.time()
            with suppress(EngineError):
                await _complete(place, deadline_s, streamed=chance.random() < 0.5)
            overruns.append(loop.time() - began_at - deadline_s)

        for number in range(RUNS // 50):
            script = dict.fromkeys(("house", "east", "west"), lambda _: _act(chance))
            place = world(folder / str(number), script, policy=policy_of(MODELS, CHAIN), chance=chance.random)
            for _ in range(10):
                await asyncio.gather(*(one(place) for _ in range(5)))
                await asyncio.sleep(60.0)
        assert len(overruns) == RUNS
        assert max(overruns) <= OVERRUN_S

    virtually(main)


async def _complete(place: World, deadline_s: float, *, streamed: bool) -> Any:
    if not streamed:
        return await place.router.select_and_invoke(TaskProfile("qa"), HELLO, deadline_s=deadline_s)
    return [piece async for piece in place.router.stream(TaskProfile("qa"), HELLO, deadline_s=deadline_s)]


@pytest.mark.parametrize(("sensitivity", "expected_s"), [("low", 600.0), ("medium", 90.0), ("high", 20.0)])
def test_the_policy_says_how_long(sensitivity: str, expected_s: float, virtually: Virtually) -> None:
    """`timeouts` by the task's latency sensitivity; 120 s where nothing is said."""
    timeouts = (
        "routing: {default_mode: balanced}\n"
        "timeouts: {default: 90, high_latency_ok: 600, low_latency_required: 20}\n"
    )

    async def main(folder: Path) -> None:
        place = world(folder, policy=policy_of(policies=timeouts))
        await place.router.select_and_invoke(TaskProfile("qa", latency_sensitivity=sensitivity), HELLO)
        assert place.providers["east"].calls[0].deadline_s == pytest.approx(expected_s)
        plain = world(folder / "plain")
        await plain.router.select_and_invoke(TaskProfile("qa"), HELLO)
        assert plain.providers["east"].calls[0].deadline_s == pytest.approx(120.0)

    virtually(main)


def test_a_limit_of_calls_at_once_is_kept_and_waits_in_line(virtually: Virtually) -> None:
    """`max_concurrent` calls run, the rest take turns; and the provider is busy while they do."""
    models = catalogue(house=local(model("l1"), max_concurrent=2))

    async def main(folder: Path) -> None:
        running, most = 0, 0

        class Counting:
            def __call__(self, request: Request) -> Act:
                return Answer("ok")

        place = world(folder, {"house": Counting()}, policy=policy_of(models, "route r: use any\n"))
        provider = place.router._reloader.planner.snapshot.provider("house")
        plain = provider.complete

        async def slow(request: Request) -> Any:
            nonlocal running, most
            running += 1
            most = max(most, running)
            assert place.router.plan(TaskProfile("qa")).explanation.facts.provider_busy == (
                frozenset({"house"}) if place.router._shared.slots.taken("house") == 2 else frozenset()
            )
            await asyncio.sleep(1.0)
            running -= 1
            return await plain(request)

        provider.complete = slow  # type: ignore[method-assign]
        ends = await asyncio.gather(
            *(place.router.select_and_invoke(TaskProfile("qa"), HELLO) for _ in range(10))
        )
        assert most == 2
        assert {end["content"] for end in ends} == {"ok"}
        assert place.passed_s == pytest.approx(5.0)
        assert place.router._shared.slots.taken("house") == 0

    virtually(main)


def test_a_turn_that_never_comes_moves_on(virtually: Virtually) -> None:
    """Who waits in line too long asks the next member."""
    models = catalogue(house=local(model("l1"), max_concurrent=1), east=cloud(model("c1", price=1.0)))

    async def main(folder: Path) -> None:
        place = world(folder, {"house": [Hang()]}, policy=policy_of(models, 'route r: use l1, then "c1"\n'))
        first = asyncio.ensure_future(
            place.router.select_and_invoke(TaskProfile("qa"), HELLO, deadline_s=100.0)
        )
        await asyncio.sleep(0.5)
        second = await place.router.select_and_invoke(TaskProfile("qa"), HELLO, deadline_s=10.0)
        assert second["provider"] == "east"
        assert "no turn came" in second["attempts"][0]["reason"]
        assert (await first)["provider"] == "east"

    virtually(main)

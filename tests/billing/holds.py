"""How much is held for calls of coding agents, and whether it suffices.

    python -m tests.billing.holds                    hold over cost, and calls at once on a $10 day
    python -m tests.billing.holds --schedules 200    random calls, limits and ends: is more billed than held?
    python -m tests.billing.holds --plant all        planted bugs, each of which must be seen every time

The provider (`agents.Metered`) keeps its own books. The last line printed is a JSON object; exit code 1 when
anything was violated or a planted bug was not seen.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import random
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any
from unittest.mock import patch

from engine import EngineError, ModelRouter, TaskProfile
from engine.budget import Ledger, Limits, open_ledger
from engine.budget.learning import ENOUGH
from engine.budget.usage import ExportRow, export_rows, verify
from engine.config.folder import folder_in_memory
from engine.execution.runtime import ledger_clock, utc_now
from engine.language.diagnostics import Problems
from engine.policy import Policy, build
from engine.providers.base import Target

from .agents import MOST_OUTPUT, Metered, body, output_tokens
from .planted import HOLDS

TASK = TaskProfile("chat")
DAY = Decimal(10)
TAUGHT = ENOUGH + 8
"""Calls after which all is learnt, though a few answers were too short to learn from."""

MEDIAN, P99, AT_ONCE = 2.0, 3.0, 50
"""What is promised: hold over cost at the median and the 99th percentile, and calls at once on a $10 day."""

MODELS = """\
providers:
  acme:
    type: cloud
    api: openai
    base_url: https://acme.invalid/v1
    billing: {on_abort: as-shown}
    models:
      - {id: m, max_context: 1000000, quality_tier: high, latency_tier: medium, tools: "yes",
         cost_profile: {type: paid, currency: USD, input_per_1m: 3, output_per_1m: 15}}
"""


def policy_of(holds: str) -> Policy:
    """One provider that stops its meter when a stream is left."""
    problems = Problems()
    policies = f"routing: {{default_mode: balanced}}\nbudgets: {{holds: {holds}, default_max_output: 500}}\n"
    files = folder_in_memory(MODELS, policies, {"only.route": "route only: use m\n"}, problems=problems)
    policy = None if files is None else build(files, problems)
    assert policy is not None, problems
    return policy


@dataclass
class Place:
    """A router, its ledger, and the provider behind it."""

    router: ModelRouter
    ledger: Ledger
    vendor: Metered
    limit_usd: Decimal = Decimal(1_000_000)

    def limit(self, usd: Decimal) -> None:
        """Another limit a day."""
        self.limit_usd = usd
        self.ledger.use_limits(Limits(daily_usd=usd))
        self.router._runtime_facts.forget_books()

    async def call(
        self, size: int, dice: random.Random, *, most: int | None = MOST_OUTPUT, leaves: int | None = None
    ) -> dict[str, Any] | None:
        """One streamed call; None when its caller left after so many pieces."""
        messages, tools = body(dice, size) if size > 100 else ([{"role": "user", "content": "go on"}], None)
        shown, result = 0, None
        async with aclosing(self.router.stream(TASK, messages, most, tools, deadline_s=600)) as pieces:
            async for piece in pieces:
                shown += 1
                result = piece["result"] or result
                if shown == leaves:
                    return None
        return result

    async def taught(self, size: int, dice: random.Random, calls: int = ENOUGH) -> None:
        """So many calls to their end."""
        for _ in range(calls):
            await self.call(size, dice)

    def rows(self) -> list[ExportRow]:
        """The ledger's rows, in the order of their reservation."""
        return sorted(
            (row for row in export_rows(self.router.ledger) if row.kind == "attempt"),
            key=lambda row: row.reserved_at,
        )

    def violations(self) -> list[str]:
        """The provider's books against the limit and the ledger's."""
        rows, billed = self.rows(), sum(self.vendor.bills, Fraction(0))
        limit = int(self.limit_usd * 1_000_000)
        booked = sum(row.charge_micro_usd for row in rows)
        found = [f"{float(billed):.0f} billed of {limit}"] if billed > limit else []
        if billed > booked:
            found.append(f"{float(billed):.0f} billed, {booked} booked")
        if verify(self.router.ledger).findings:
            found.append("the books do not add up")
        return found


@asynccontextmanager
async def place(answers: Callable[[], int], *, holds: str = "learnt") -> AsyncIterator[Place]:
    """A new one, with a ledger in memory where there is such a folder."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    vendors: list[Metered] = []

    def make(target: Target) -> Metered:
        vendors.append(Metered(target, answers))
        return vendors[-1]

    with (
        tempfile.TemporaryDirectory(dir=memory) as folder,
        patch.dict(os.environ, ENGINE_STATE_DIR=folder),
    ):
        ledger = open_ledger(state_dir=Path(folder), url=None, limits=Limits(), clock=ledger_clock(utc_now))
        async with ModelRouter.of(policy_of(holds), ledger=ledger, providers=make, dry_run=False) as router:
            router._reloader.planner.snapshot.provider("acme")
            yield Place(router, ledger, vendors[0])
        ledger.close()


# --- The figures


async def figures(calls: int, seed: int) -> dict[str, Any]:
    """Hold over cost before and after learning, and how many calls a $10 day takes on at once."""
    dice = random.Random(seed)
    told: dict[str, Any] = {"calls": calls}
    async with place(lambda: output_tokens(dice)) as here:
        await here.taught(87_000, dice, TAUGHT)
        learning = [_ratio(row) for row in here.rows()[:ENOUGH]]
        for _ in range(calls):
            await here.call(87_000, dice)
        learnt = [_ratio(row) for row in here.rows()[TAUGHT:]]
        told |= {"bytes": _shares(learning), "learnt": _shares(learnt), "violations": here.violations()}
    for holds in ("bytes", "learnt"):
        async with place(lambda: output_tokens(dice), holds=holds) as here:
            await here.taught(87_000, dice, TAUGHT)
            told[f"at_once_{holds}"] = await _at_once(here, dice)
            told["violations"] += here.violations()
    return told


def _ratio(row: ExportRow) -> float:
    return row.reserved_micro_usd / row.charge_micro_usd


def _shares(ratios: list[float]) -> dict[str, float]:
    ordered = sorted(ratios)
    at = {"median": 0.5, "p99": 0.99, "most": 1.0}
    return {name: round(ordered[ceil(share * len(ordered)) - 1], 2) for name, share in at.items()}


async def _at_once(here: Place, dice: random.Random, asked: int = 120) -> dict[str, int]:
    """Of so many callers at the same time on a $10 day: how many got their first piece while all the others
    held theirs, and how many came to their own end."""
    spent = sum(row.charge_micro_usd for row in here.rows())
    here.limit(DAY + Decimal(spent).scaleb(-6))
    begun, go_on = 0, asyncio.Event()

    async def gate() -> None:
        nonlocal begun
        begun += 1
        await go_on.wait()

    here.vendor.gate = gate
    ended = [asyncio.create_task(_outcome(here.call(87_000, dice))) for _ in range(asked)]
    refused = 0
    while begun + refused < asked:
        await asyncio.sleep(0.01)
        refused = sum(task.done() for task in ended)
    admitted = begun
    go_on.set()
    outcomes = await asyncio.gather(*ended)
    return {
        "asked": asked,
        "admitted": admitted,
        "whole": outcomes.count("whole"),
        "cut": outcomes.count("cut"),
    }


async def _outcome(call: Awaitable[dict[str, Any] | None]) -> str:
    try:
        result = await call
    except EngineError as error:
        return type(error).__name__
    if result is None:
        return "left"
    return "cut" if result["budget_cut"] else "whole"


# --- Random schedules


async def schedule(seed: int) -> tuple[list[str], list[str]]:
    """One ledger, one limit, forty calls of many sizes at once, some of which are left; what was violated,
    and what became of them."""
    dice = random.Random(seed)
    async with place(lambda: output_tokens(dice)) as here:
        size = dice.choice((12, 8_000, 20_000))
        await here.taught(size, dice, dice.choice((0, 1, ENOUGH - 1, ENOUGH, ENOUGH + 5)))
        spent = Decimal(sum(row.charge_micro_usd for row in here.rows())).scaleb(-6)
        here.limit(spent + Decimal(dice.choice(("0.02", "0.1", "0.3", "1", "3"))))
        calls = [
            here.call(
                size,
                dice,
                most=dice.choice((None, 300, 4_000, MOST_OUTPUT)),
                leaves=dice.choice((None, None, None, 1, 5, 60)),
            )
            for _ in range(40)
        ]
        outcomes = await asyncio.gather(*map(_outcome, calls))
        return here.violations(), outcomes


# --- Scenarios, each of which shows one bug


async def _tight(here: Place, micro_usd: int) -> None:
    spent = sum(row.charge_micro_usd for row in here.rows())
    here.limit(Decimal(spent + micro_usd).scaleb(-6))


async def a_stream_that_is_cut() -> list[str]:
    """Little is left: the next slice cannot be had, and what is on its way is billed."""
    lengths = iter([500] * ENOUGH + [20_000])
    dice = random.Random(1)
    async with place(lambda: next(lengths)) as here:
        await here.taught(12, dice)
        await _tight(here, 100_000)
        await _outcome(here.call(12, dice))
        return here.violations()


async def a_dense_text(light: int, *, dense_first: bool) -> list[str]:
    """Text that splits finer than the last calls', when so much is left as the last calls would suggest."""
    dice = random.Random(2)
    async with place(lambda: 300) as here:
        here.vendor.density = Fraction(5, 2) if dense_first else Fraction(1)
        await here.taught(20_000, dice, 1)
        here.vendor.density = Fraction(1)
        await here.taught(20_000, dice, light)
        cost = here.rows()[-1].charge_micro_usd
        here.vendor.density = Fraction(5, 2)
        await _tight(here, cost * 8 // 5)
        await _outcome(here.call(20_000, dice, most=300))
        return here.violations()


async def no_limit_of_output() -> list[str]:
    """A caller that sends none, and a model that goes on."""
    async with place(lambda: 30_000) as here:
        await _outcome(here.call(12, random.Random(3), most=None))
        return here.violations()


@dataclass(frozen=True, slots=True)
class Scenario:
    """Calls that end well, and the bugs under which they do not."""

    play: Callable[[], Awaitable[list[str]]]
    shows: tuple[str, ...] = field(default=())


SCENARIOS: Mapping[str, Scenario] = {
    "a stream that is cut": Scenario(a_stream_that_is_cut, ("slice taken after use",)),
    "dense again": Scenario(
        lambda: a_dense_text(ENOUGH, dense_first=True), ("learnt bound that forgets its largest",)
    ),
    "dense after one": Scenario(
        lambda: a_dense_text(0, dense_first=False), ("learnt bound used before enough was observed",)
    ),
    "no limit of output": Scenario(no_limit_of_output, ("default output limit not sent",)),
}


def played(name: str, bug: str | None) -> list[str]:
    """A scenario in a process of its own, with a bug planted there or none."""
    reads, writes = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            if bug is not None:
                HOLDS[bug]()
            os.write(writes, json.dumps(asyncio.run(SCENARIOS[name].play())).encode())  # type: ignore[arg-type]
        finally:
            os._exit(0)
    os.close(writes)
    with os.fdopen(reads) as told:
        text = told.read()
    os.waitpid(pid, 0)
    found: list[str] = json.loads(text)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=300, help="calls for the figures")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--schedules", type=int)
    parser.add_argument("--plant", choices=["all", *sorted(HOLDS)])
    asked = parser.parse_args()
    logging.getLogger("engine").setLevel(logging.CRITICAL + 1)
    if asked.plant is not None:
        return _told_of_bugs(asked.plant)
    if asked.schedules is not None:
        return _told_of_schedules(asked.schedules, asked.seed)
    told = asyncio.run(figures(asked.calls, asked.seed))
    print(json.dumps(told))
    kept = told["learnt"]["median"] <= MEDIAN and told["learnt"]["p99"] <= P99
    return 0 if kept and told["at_once_learnt"]["admitted"] >= AT_ONCE and not told["violations"] else 1


def _told_of_schedules(schedules: int, first_seed: int) -> int:
    outcomes: dict[str, int] = {}
    violations = 0
    for seed in range(first_seed, first_seed + schedules):
        found, became = asyncio.run(schedule(seed))
        violations += len(found)
        for outcome in became:
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
        for violation in found:
            print(f"schedule {seed}: {violation}")
    print(json.dumps({"schedules": schedules, "violations": violations, "outcomes": outcomes}))
    return 1 if violations else 0


def _told_of_bugs(asked: str) -> int:
    unseen, wrong = [], []
    for name, scenario in SCENARIOS.items():
        wrong += played(name, None)
        for bug in scenario.shows:
            if asked not in ("all", bug):
                continue
            found = played(name, bug)
            print(f"{bug}: {found[0] if found else 'NOT SEEN'}")
            unseen += [] if found else [bug]
    print(json.dumps({"planted": len(HOLDS), "unseen": unseen, "violations_without": wrong}))
    return 1 if unseen or wrong else 0


if __name__ == "__main__":
    sys.exit(main())

"""Random schedules of calls against a provider that tells little or late: is more ever billed than a limit?

    python -m tests.billing.overspend --schedules 10000              the bill stays within every limit
    python -m tests.billing.overspend --schedules 300 --relaxed      one provider stops billing on an abort
    python -m tests.billing.overspend --schedules 40 --plant NAME    a planted bug: must come out red

A schedule is one ledger, one limit and eight worker processes that call through `ModelRouter`, some of them
killed with SIGKILL in the middle and begun again. The provider (`vendor`) is a process of its own and bills
before it answers. After a schedule its log is compared with the limit and with the ledger. The last line
printed is a JSON object; exit code 1 when anything was violated.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

from engine import EngineError, ModelRouter, TaskProfile
from engine.policy import Policy, load_or_raise

from . import planted
from .vendor import MANNERS

WORKERS = 8
CALLS = 4
DEADLINE_S = 1.5
LEAVES = (None, None, None, 1, 1, 2, 5)
"""After how many pieces a caller leaves a stream; None: it reads to the end."""
SELDOM = {"whole/silent": 0.05, "stream/silent": 0.05, "stream/endless": 0.3}
"""Manners that take long, and so come less often than the others."""

MODELS = """\
providers:
  acme:
    type: cloud
    api: openai
    base_url: http://127.0.0.1:{port}{billing}
    api_key_env: BILLING_TEST_KEY
    models:
      - {{id: m, max_context: 200000, quality_tier: high, latency_tier: medium, tools: "yes",
         cost_profile: {{type: paid, currency: USD, input_per_1m: 1, output_per_1m: 10,
                         cached_input_per_1m: 0.1}}}}
  beta:
    type: cloud
    api: anthropic
    base_url: http://127.0.0.1:{port}
    api_key_env: BILLING_TEST_KEY
    models:
      - {{id: n, max_context: 200000, quality_tier: high, latency_tier: medium, tools: "yes",
         cost_profile: {{type: paid, currency: USD, input_per_1m: 1, output_per_1m: 10,
                         cached_input_per_1m: 0.1, cache_write_per_1m: 1.25}}}}
"""
POLICIES = """\
routing:
  default_mode: balanced
  modes:
    balanced: {{allow_cloud: true, cloud_usage_strategy: balanced}}
task_types: [chat, messages]
budgets:
  daily: {{total_usd: {limit}{holds}}}
"""
ROUTES = """\
route chat: use acme, then beta when task.type is chat
route messages: use beta, then acme
"""
STRICT, RELAXED = "/v1", "/stops/v1\n    billing: {on_abort: as-shown}"
"""What `acme` says and does; `beta` never stops billing."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What all schedules of a run have in common."""

    port: int
    log: Path
    state: Path
    relaxed: bool = False
    bug: str | None = None
    holds: str | None = None


@dataclass(slots=True)
class Report:
    """What was seen; `violations` must stay empty. Money in micro-dollars."""

    schedules: int = 0
    calls: int = 0
    answered: int = 0
    refused: int = 0
    kills: int = 0
    limits: int = 0
    billed: float = 0
    booked: int = 0
    forfeited: int = 0
    worst_share_of_a_limit: float = 0
    violations: list[str] = field(default_factory=list)
    manners: Counter[str] = field(default_factory=Counter)


class Schedule:
    """One ledger, one limit, eight workers."""

    def __init__(self, plan: Plan, seed: int) -> None:
        self.plan, self.run = plan, f"{seed}"
        self.dice = random.Random(seed)
        self.limit = Decimal(self.dice.choice(("0.01", "0.03", "0.1", "0.3")))
        self.kills = self.dice.choice((0, 0, 1, 3))
        self.state = plan.state / self.run
        self.state.mkdir(parents=True)
        self.policy = policy_of(plan, self.limit)

    def work(self) -> tuple[int, Counter[str]]:
        """All workers to their end; how many were killed, and what became of the calls."""
        reads, writes = os.pipe()
        running = {self._fork(number, writes): number for number in range(WORKERS)}
        killed, births = 0, WORKERS
        while running:
            if killed < self.kills:
                time.sleep(self.dice.uniform(0.005, 0.15))
                victim = self.dice.choice(sorted(running))
                os.kill(victim, signal.SIGKILL)
                killed += 1
            pid, status = os.waitpid(-1, 0)
            number = running.pop(pid)
            if os.WIFSIGNALED(status) and births < WORKERS + self.kills:
                running[self._fork(births, writes)] = number
                births += 1
        os.close(writes)
        with os.fdopen(reads) as told:
            return killed, Counter(told.read().split())

    def _fork(self, number: int, told: int) -> int:
        pid = os.fork()
        if pid:
            return pid
        try:
            os.environ["ENGINE_STATE_DIR"] = str(self.state)
            if self.plan.bug is not None:
                planted.plant(self.plan.bug)
            asyncio.run(self._calls(number, told))
        except BaseException:
            (self.state / f"traceback-{os.getpid()}").write_text(traceback.format_exc())
        finally:
            os._exit(0)

    async def _calls(self, number: int, told: int) -> None:
        dice = random.Random(f"{self.run} {number}")
        weights = [SELDOM.get(manner, 1.0) for manner in MANNERS]
        async with ModelRouter.of(self.policy) as router:
            for _ in range(CALLS):
                manner = dice.choices(MANNERS, weights)[0]
                leaves = dice.choice(LEAVES)
                text = f"run {self.run} manner {manner} leaves {leaves or 0} tokens "
                size = dice.choice((40, 400, 4_000, 12_000))
                # No more tokens than bytes, as a byte-level tokeniser promises.
                text += f"{dice.randint(10, size)} " + "x" * size
                outcome = await self._call(router, dice, manner, text, leaves)
                os.write(told, f"{outcome} {manner}\n".encode())

    async def _call(
        self, router: ModelRouter, dice: random.Random, manner: str, text: str, leaves: int | None
    ) -> str:
        task = TaskProfile(dice.choice(("chat", "messages")))
        messages = [{"role": "user", "content": text}]
        most = dice.choice((64, 300, 1_000))
        try:
            if manner.startswith("whole"):
                asked = router.select_and_invoke(task, messages, max_tokens=most, deadline_s=DEADLINE_S)
                await (asked if leaves is None else asyncio.wait_for(asked, dice.uniform(0.0005, 0.05)))
                return "answered"
            seen = 0
            stream = router.stream(task, messages, max_tokens=most, deadline_s=DEADLINE_S)
            async with aclosing(stream) as pieces:
                async for _ in pieces:
                    seen += 1
                    if seen == leaves:
                        return "left"
            return "answered"
        except TimeoutError:
            return "left"
        except EngineError as error:
            return type(error).__name__

    def judge(self, report: Report, bills: list[dict[str, Any]]) -> None:
        """The provider's books against the limit and the ledger's."""
        billed = sum((Fraction(bill["micro_usd"]) for bill in bills), Fraction(0))
        limit = int(self.limit * 1_000_000)
        booked, forfeited = self._booked()
        report.schedules += 1
        report.limits += limit
        report.billed += float(billed)
        report.booked += booked
        report.forfeited += forfeited
        report.worst_share_of_a_limit = max(report.worst_share_of_a_limit, float(billed / limit))
        report.manners.update(bill["manner"] for bill in bills)
        if billed > limit:
            report.violations.append(f"run {self.run}: {float(billed):.0f} billed of {limit}")
        if billed > booked:
            short = float(billed) - booked
            report.violations.append(f"run {self.run}: {short:.2f} billed and not booked")
        for path in self.state.glob("traceback-*"):
            report.violations.append(f"run {self.run}: {path.read_text().splitlines()[-1]}")

    def _booked(self) -> tuple[int, int]:
        """Spent and held today in all, and what of it was forfeited; read by a process of its own."""
        reads, writes = os.pipe()
        pid = os.fork()
        if not pid:
            try:
                os.write(writes, " ".join(map(str, booked(self.state, self.policy))).encode())
            except BaseException:
                os.write(writes, traceback.format_exc().encode())
            finally:
                os._exit(0)
        os.close(writes)
        os.waitpid(pid, 0)
        with os.fdopen(reads) as told:
            text = told.read()
        try:
            spent, forfeited = map(int, text.split())
        except ValueError:
            raise RuntimeError(text) from None
        return spent, forfeited


@cache
def policy_of(plan: Plan, limit: Decimal) -> Policy:
    """The one policy there is, with this limit a day in dollars."""
    folder = plan.state / f"policy-{limit}"
    folder.mkdir(parents=True)
    billing = RELAXED if plan.relaxed else STRICT
    holds = "" if plan.holds is None else f"}}\n  holds: {plan.holds}\n  monthly: {{total_usd: 1000"
    (folder / "models.yaml").write_text(MODELS.format(port=plan.port, billing=billing))
    (folder / "policies.yaml").write_text(POLICIES.format(limit=limit, holds=holds))
    (folder / "rules.route").write_text(ROUTES)
    return load_or_raise(folder)


def booked(state: Path, policy: Policy) -> tuple[int, int]:
    """What the ledger in `state` holds against the daily limit, and how much of it is forfeits, in
    micro-dollars."""
    os.environ["ENGINE_STATE_DIR"] = str(state)
    router = ModelRouter.of(policy)
    day = next(one for one in router.ledger.snapshot().accounts if one.account.account_id == "daily")
    sql = "SELECT COALESCE(SUM(forfeited_micro_usd), 0) FROM ledger_windows WHERE account_id = 'daily'"
    forfeited = router.ledger.store.read(lambda session: session.rows(sql))[0][0]
    return day.spent_micro_usd + day.held_micro_usd, int(forfeited or 0)


def run(
    schedules: int, first_seed: int, *, relaxed: bool, bug: str | None, holds: str | None = None
) -> Report:
    """So many schedules, one after the other."""
    report = Report()
    logging.getLogger("engine").setLevel(logging.CRITICAL)
    os.environ["BILLING_TEST_KEY"] = "k-000-test-000"
    with tempfile.TemporaryDirectory(dir=_memory()) as folder, _vendor(Path(folder) / "bills") as port:
        log = Path(folder) / "bills"
        plan = Plan(port, log, Path(folder) / "state", relaxed, bug, holds)
        _warm_up(plan)
        read = 0
        for seed in range(first_seed, first_seed + schedules):
            schedule = Schedule(plan, seed)
            kills, outcomes = schedule.work()
            time.sleep(0.02)  # what a caller left is billed when the vendor sees it
            bills: dict[str, list[dict[str, Any]]] = defaultdict(list)
            with log.open("rb") as lines:
                lines.seek(read)
                for line in lines:
                    bill = json.loads(line)
                    bills[bill["run"]].append(bill)
                    read += len(line)
            schedule.judge(report, bills[schedule.run])
            report.kills += kills
            report.calls += sum(outcomes[manner] for manner in MANNERS)
            report.answered += outcomes["answered"]
            report.refused += outcomes["BudgetExceeded"] + outcomes["NoEligibleModel"]
            shutil.rmtree(schedule.state)
            if bug is not None and report.violations:
                break
    return report


def _warm_up(plan: Plan) -> None:
    """Have everything imported and built before the workers are forked: their deadlines are for calls."""
    os.environ["ENGINE_STATE_DIR"] = str(plan.state / "warm-up")
    silent = os.open(os.devnull, os.O_WRONLY)
    for seed in range(-4, 0):
        asyncio.run(Schedule(plan, seed)._calls(0, silent))
    os.close(silent)


def _memory() -> str | None:
    """A folder in memory where there is one: what is tried here is the sums, not the disk."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


@contextmanager
def _vendor(log: Path) -> Iterator[int]:
    log.touch()
    command = [sys.executable, "-m", "tests.billing.vendor", str(log)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as vendor:
        assert vendor.stdout is not None
        yield int(vendor.stdout.readline())
        vendor.kill()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--schedules", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--relaxed", action="store_true", help="the provider documents that an abort stops billing"
    )
    parser.add_argument("--plant", choices=sorted(planted.BUGS))
    parser.add_argument("--holds", choices=("bytes", "learnt"))
    asked = parser.parse_args()
    report = run(asked.schedules, asked.seed, relaxed=asked.relaxed, bug=asked.plant, holds=asked.holds)
    for violation in report.violations[:20]:
        print(violation)
    told = asdict(report) | {"violations": len(report.violations), "manners": dict(report.manners)}
    print(json.dumps(told))
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())

"""Random schedules of calls against a provider that tells little or late: is more ever billed than a limit?

    python -m tests.billing.overspend --schedules 10000 --jobs 4     the bill stays within every limit
    python -m tests.billing.overspend --schedules 300 --relaxed      one provider stops billing on an abort
    python -m tests.billing.overspend --plant all                    planted bugs, each of which must be seen

A schedule is one ledger, one limit and eight worker processes that call through `ModelRouter`, some of them
killed with SIGKILL in the middle and begun again. The provider (`vendor`) is a process of its own and bills
before it answers. After a schedule its log is compared with the limit, and call by call with the ledger. The
last line printed is a JSON object; exit code 1 when anything was violated.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
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
from collections.abc import Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from fractions import Fraction
from functools import cache
from math import inf
from pathlib import Path
from typing import Any

from engine import EngineError, ModelRouter, TaskProfile
from engine.budget.usage import export_rows, verify
from engine.execution.runtime import machine_runtime
from engine.policy import Policy, load_or_raise

from .planted import BUGS, Bug
from .vendor import MANNERS

DEADLINE_S = 1.5
LEAVES: tuple[int | None, ...] = (None, None, None, 1, 1, 2, 5)
"""After how many pieces a caller leaves a stream; None: it reads to the end."""
SELDOM = {"whole/silent": 0.05, "stream/silent": 0.05, "stream/endless": 0.2}
"""Manners that take long, and so come less often than the others."""
BREACHES = ("whole/too-much", "stream/too-much")
"""Manners after which budgets are closed: they come in one schedule of five."""
LIMITS_USD = ("0.01", "0.03", "0.1", "0.3")

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
TASKS = ("chat", "messages")
ROUTES = """\
route chat: use acme, then beta when task.type is chat
route messages: use beta, then acme
"""
STRICT, RELAXED = "/v1", "/stops/v1\n    billing: {on_abort: as-shown}"
"""What `acme` says and does; `beta` never stops billing."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What all schedules of a run have in common: `workers` processes with so many `calls` each.

    No schedule is begun after `ends_at`, in monotonic seconds.
    """

    port: int
    log: Path
    state: Path
    relaxed: bool = False
    bug: Bug | None = None
    holds: str | None = None
    workers: int = 8
    calls: int = 4
    ends_at: float = inf


@dataclass(slots=True)
class Report:
    """What was seen; `violations` must stay empty. Money in micro-dollars."""

    schedules: int = 0
    calls: int = 0
    answered: int = 0
    refused: int = 0
    closed: int = 0
    kills: int = 0
    limits: int = 0
    billed: float = 0
    booked: int = 0
    forfeited: int = 0
    worst_share_of_a_limit: float = 0
    violations: list[str] = field(default_factory=list)
    manners: Counter[str] = field(default_factory=Counter)

    def add(self, other: Mapping[str, Any]) -> None:
        """Take in another report, written as JSON."""
        self.worst_share_of_a_limit = max(self.worst_share_of_a_limit, other["worst_share_of_a_limit"])
        self.violations += other["violations"]
        self.manners.update(other["manners"])
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + other[name])

    def told(self) -> dict[str, Any]:
        """What a reader wants of it."""
        sums = {name: getattr(self, name) for name in _SUMS}
        return sums | {
            "booked_of_billed": round(self.booked / self.billed, 3) if self.billed else None,
            "forfeited_of_billed": round(self.forfeited / self.billed, 3) if self.billed else None,
            "billed_of_limits": round(self.billed / self.limits, 3) if self.limits else None,
            "worst_share_of_a_limit": self.worst_share_of_a_limit,
            "violations": len(self.violations),
        }


_SUMS = (
    "schedules", "calls", "answered", "refused", "closed", "kills", "limits", "billed", "booked", "forfeited",
)  # fmt: skip


class Schedule:
    """One ledger, one limit, eight workers."""

    def __init__(self, plan: Plan, seed: int) -> None:
        self.plan, self.run = plan, f"{seed}"
        self.dice = random.Random(seed)
        self.limit = Decimal(self.dice.choice(LIMITS_USD))
        self.kills = self.dice.choice((0, 0, 1, 3))
        has_breaches = self.dice.random() < 0.2
        self.manners = tuple(manner for manner in MANNERS if has_breaches or manner not in BREACHES)
        self.leaves = LEAVES
        if plan.bug is not None:
            self.limit, self.kills, self.manners = plan.bug.limit_usd, 0, plan.bug.manners
            self.leaves = (1,) if plan.bug.leaves else (None,)
        self.state = plan.state / self.run
        self.state.mkdir(parents=True)
        self.policy = policy_of(plan, self.limit)

    def work(self) -> tuple[int, Counter[str]]:
        """All workers to their end; how many were killed, and what became of the calls."""
        reads, writes = os.pipe()
        running = {self._fork(number, writes): number for number in range(self.plan.workers)}
        killed, births = 0, self.plan.workers
        while running:
            if killed < self.kills:
                time.sleep(self.dice.uniform(0.005, 0.15))
                victim = self.dice.choice(sorted(running))
                os.kill(victim, signal.SIGKILL)
                killed += 1
            pid, status = os.waitpid(-1, 0)
            number = running.pop(pid)
            if os.WIFSIGNALED(status) and births < self.plan.workers + self.kills:
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
                self.plan.bug.plant()
            asyncio.run(self._calls(number, told))
        except BaseException:
            (self.state / f"traceback-{os.getpid()}").write_text(traceback.format_exc())
        finally:
            os._exit(0)

    async def _calls(self, number: int, told: int) -> None:
        dice = random.Random(f"{self.run} {number}")
        weights = [SELDOM.get(manner, 1.0) for manner in self.manners]
        call = ""
        # What the router calls its decisions is handed in, so that the rows of a call are known by its name.
        runtime = replace(machine_runtime(None), new_id=lambda: call)
        async with ModelRouter.of(self.policy, runtime=runtime) as router:
            for place in range(self.plan.calls):
                call = f"{self.run}.{number}.{place}"
                manner = dice.choices(self.manners, weights)[0]
                leaves = dice.choice(self.leaves)
                text = f"run {self.run} call {call} manner {manner} leaves {leaves or 0} tokens "
                size = dice.choice((40, 400, 4_000, 12_000))
                # No more tokens than bytes, as a byte-level tokeniser promises.
                text += f"{dice.randint(10, size)} " + "x" * size
                task = TaskProfile(dice.choice(TASKS))
                outcome = await ask(router, dice, task, manner, text, leaves=leaves)
                os.write(told, f"{outcome} {manner}\n".encode())

    def judge(self, report: Report, bills: list[dict[str, Any]]) -> None:
        """The provider's books against the limit and the ledger's."""
        billed = sum((Fraction(bill["micro_usd"]) for bill in bills), Fraction(0))
        limit = int(self.limit * 1_000_000)
        books = self._books()
        report.schedules += 1
        report.limits += limit
        report.billed += float(billed)
        report.booked += books["used"]
        report.forfeited += books["forfeited"]
        report.worst_share_of_a_limit = max(report.worst_share_of_a_limit, float(billed / limit))
        report.manners.update(bill["manner"] for bill in bills)
        if billed > limit:
            report.violations.append(f"run {self.run}: {float(billed):.0f} billed of {limit}")
        of_call: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
        for bill in bills:
            of_call[bill["call"], bill["manner"]] += Fraction(bill["micro_usd"])
        for (call, manner), amount in of_call.items():
            booked = books["of_call"].get(call, 0)
            if amount > booked:
                told = f"call {call} ({manner}): {float(amount):.2f} billed, {booked} booked"
                report.violations.append(told)
        if books["used"] > limit:
            report.violations.append(f"run {self.run}: {books['used']} booked of {limit}")
        if books["findings"]:
            report.violations.append(f"run {self.run}: {books['findings']} findings in the books")
        for path in self.state.glob("traceback-*"):
            report.violations.append(f"run {self.run}: {path.read_text().splitlines()[-1]}")

    def _books(self) -> dict[str, Any]:
        """As `books_of` has them; read by a process of its own, in which no bug is planted."""
        reads, writes = os.pipe()
        pid = os.fork()
        if not pid:
            try:
                os.write(writes, json.dumps(books_of(self.state, self.policy)).encode())
            except BaseException:
                os.write(writes, traceback.format_exc().encode())
            finally:
                os._exit(0)
        os.close(writes)
        with os.fdopen(reads) as told:
            text = told.read()
        os.waitpid(pid, 0)
        try:
            books: dict[str, Any] = json.loads(text)
        except ValueError:
            raise RuntimeError(text) from None
        return books


async def ask(
    router: ModelRouter,
    dice: random.Random,
    task: TaskProfile,
    manner: str,
    text: str,
    *,
    leaves: int | None,
) -> str:
    """One call, and what became of it."""
    messages = [{"role": "user", "content": text}]
    most = dice.choice((64, 300, 1_000))
    try:
        if manner.startswith("whole"):
            asked = router.select_and_invoke(task, messages, max_tokens=most, deadline_s=DEADLINE_S)
            await (asked if leaves is None else asyncio.wait_for(asked, dice.uniform(0.0005, 0.05)))
            return "answered"
        shown = 0
        stream = router.stream(task, messages, max_tokens=most, deadline_s=DEADLINE_S)
        async with aclosing(stream) as pieces:
            async for _ in pieces:
                shown += 1
                if shown == leaves:
                    return "left"
        return "answered"
    except TimeoutError:
        return "left"
    except EngineError as error:
        return type(error).__name__


def policy_of(plan: Plan, limit: Decimal) -> Policy:
    """The policy of all schedules with this limit a day, in dollars."""
    return _policy(plan.port, plan.state, plan.relaxed, plan.holds, limit)


@cache
def _policy(port: int, state: Path, relaxed: bool, holds: str | None, limit: Decimal) -> Policy:
    folder = state / f"policy-{limit}"
    folder.mkdir(parents=True)
    chosen = "" if holds is None else f"}}\n  holds: {holds}\n  monthly: {{total_usd: 1000"
    billing = RELAXED if relaxed else STRICT
    (folder / "models.yaml").write_text(MODELS.format(port=port, billing=billing))
    (folder / "policies.yaml").write_text(POLICIES.format(limit=limit, holds=chosen))
    (folder / "rules.route").write_text(ROUTES)
    return load_or_raise(folder)


def books_of(state: Path, policy: Policy) -> dict[str, Any]:
    """What the ledger in `state` holds against the daily limit and how much of it is forfeits, in
    micro-dollars; what is charged or held for each call; and how many things are wrong in its books."""
    os.environ["ENGINE_STATE_DIR"] = str(state)
    ledger = ModelRouter.of(policy).ledger
    day = next(one for one in ledger.snapshot().accounts if one.account.account_id == "daily")
    rows = export_rows(ledger)
    of_call: Counter[str] = Counter()
    for row in rows:
        is_open = row.state in ("reserved", "dispatched")
        of_call[row.decision_id] += row.reserved_micro_usd if is_open else row.charge_micro_usd
    return {
        "used": day.spent_micro_usd + day.held_micro_usd,
        "forfeited": sum(row.charge_micro_usd for row in rows if row.state == "forfeited"),
        "of_call": of_call,
        "findings": len(verify(ledger).findings),
    }


def run(
    schedules: int, first_seed: int, *, relaxed: bool, holds: str | None = None, minutes: float = inf
) -> Report:
    """So many schedules, one after the other, or as many as are begun within `minutes`."""
    with _plan(relaxed=relaxed, holds=holds) as plan:
        return _run(replace(plan, ends_at=time.monotonic() + 60 * minutes), schedules, first_seed)


def seen(bugs: Mapping[str, Bug], schedules: int = 5) -> dict[str, str | None]:
    """The first violation that shows each bug, None when so many schedules have shown none."""
    found: dict[str, str | None] = {}
    with _plan(relaxed=False) as strict, _plan(relaxed=True) as relaxed:
        for number, (name, bug) in enumerate(bugs.items()):
            plan = _with(relaxed if bug.relaxed else strict, bug)
            violations = _run(plan, schedules, 1_000 * (number + 1)).violations
            found[name] = violations[0] if violations else None
    return found


def _with(plan: Plan, bug: Bug) -> Plan:
    return replace(plan, bug=bug, workers=2, calls=5)


@contextmanager
def _plan(*, relaxed: bool, holds: str | None = None) -> Iterator[Plan]:
    """A provider that is up, a folder for all the ledgers, and everything imported and built."""
    logging.getLogger("engine").setLevel(logging.CRITICAL + 1)
    os.environ["BILLING_TEST_KEY"] = "k-000-test-000"
    with tempfile.TemporaryDirectory(dir=_memory()) as folder, _vendor(Path(folder) / "bills") as port:
        plan = Plan(port, Path(folder) / "bills", Path(folder) / "state", relaxed, holds=holds)
        _warm_up(plan)
        yield plan


def _run(plan: Plan, schedules: int, first_seed: int) -> Report:
    """Ends early when a planted bug was seen."""
    report = Report()
    read = plan.log.stat().st_size
    for seed in range(first_seed, first_seed + schedules):
        if time.monotonic() > plan.ends_at:
            break
        schedule = Schedule(plan, seed)
        kills, outcomes = schedule.work()
        time.sleep(0.02)  # what a caller left is billed when the vendor sees it
        bills: dict[str, list[dict[str, Any]]] = defaultdict(list)
        with plan.log.open("rb") as lines:
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
        report.closed += outcomes["AccountClosed"]
        shutil.rmtree(schedule.state)
        if plan.bug is not None and report.violations:
            break
    return report


def _warm_up(plan: Plan) -> None:
    """Have everything imported and built before the workers are forked: their deadlines are for calls.

    The SDKs build what they read an answer with when they first see one of its kind, so every manner of both
    APIs is seen once.
    """
    os.environ["ENGINE_STATE_DIR"] = str(plan.state / "warm-up")

    async def call_all() -> None:
        async with ModelRouter.of(policy_of(plan, Decimal(100))) as router:
            await asyncio.gather(
                *(
                    call(router, TaskProfile(task), manner)
                    for manner in MANNERS
                    for task in TASKS
                    if manner not in SELDOM
                )
            )

    async def call(router: ModelRouter, task: TaskProfile, manner: str) -> None:
        dice = random.Random(manner)
        text = f"run warm-up call warm-up manner {manner} leaves 0 tokens 10 {'x' * 40}"
        await ask(router, dice, task, manner, text, leaves=None)

    asyncio.run(call_all())
    gc.collect()
    gc.freeze()


def _memory() -> str | None:
    """A folder in memory where there is one: what is tried here is the sums, not the disk."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


@contextmanager
def _vendor(log: Path) -> Iterator[int]:
    log.touch()
    command = [sys.executable, "-m", "tests.billing.vendor", str(log)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as vendor:
        assert vendor.stdout is not None
        try:
            yield int(vendor.stdout.readline())
        finally:
            vendor.kill()


def _side_by_side(jobs: int, asked: argparse.Namespace) -> Report:
    """The schedules dealt to so many processes: much of a schedule is waiting."""
    shares = [asked.schedules // jobs + (number < asked.schedules % jobs) for number in range(jobs)]
    running, seed = [], asked.seed
    for share in shares:
        command = [sys.executable, "-m", "tests.billing.overspend", "--schedules", str(share)]
        command += ["--seed", str(seed), "--raw", *(["--relaxed"] if asked.relaxed else [])]
        command += [] if asked.holds is None else ["--holds", asked.holds]
        command += ["--minutes", str(asked.minutes)]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        seed += share
    report = Report()
    for process in running:
        report.add(json.loads(process.communicate()[0].splitlines()[-1]))
    return report


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--schedules", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="so many processes side by side")
    parser.add_argument("--minutes", type=float, default=inf, help="begin no schedule after so many")
    parser.add_argument("--relaxed", action="store_true", help="acme documents that an abort stops billing")
    parser.add_argument("--holds", choices=("bytes", "learnt"))
    parser.add_argument("--plant", choices=["all", *sorted(BUGS)], help="a planted bug, or each in turn")
    parser.add_argument("--raw", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.plant is not None:
        return _told_of_bugs(BUGS if asked.plant == "all" else {asked.plant: BUGS[asked.plant]})
    if asked.jobs > 1:
        report = _side_by_side(asked.jobs, asked)
    else:
        report = run(
            asked.schedules, asked.seed, relaxed=asked.relaxed, holds=asked.holds, minutes=asked.minutes
        )
    if asked.raw:
        print(json.dumps({each.name: getattr(report, each.name) for each in fields(report)}))
    else:
        for violation in report.violations[:20]:
            print(violation)
        print(json.dumps(report.told()))
    return 1 if report.violations else 0


def _told_of_bugs(bugs: Mapping[str, Bug]) -> int:
    """0 when every bug was seen."""
    found = seen(bugs)
    for name, violation in found.items():
        print(f"{name}: {violation or 'NOT SEEN'}")
    print(json.dumps({"planted": len(found), "unseen": [name for name in found if found[name] is None]}))
    return 1 if None in found.values() else 0


if __name__ == "__main__":
    sys.exit(main())

"""Random schedules of calls against a provider that tells little or late: is more ever billed than a limit?

    python -m tests.billing.overspend --schedules 10000 --jobs 4     the bill stays within every limit
    python -m tests.billing.overspend --schedules 300 --relaxed      one provider stops billing on an abort
    python -m tests.billing.overspend --plant all                    planted bugs, each of which must be seen

A schedule is one ledger, one limit and eight worker processes that call through `ModelRouter`, some of them
killed with SIGKILL in the middle and replaced by new ones. The provider (`vendor`) is a process of its own
and bills before it answers. After a schedule its log is compared with the limit, and call by call with the
ledger. The last line printed is a JSON object; exit code 1 when anything was violated. A run in which nothing
was billed ends with an error and says what became of the calls.
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
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from functools import cache, partial
from itertools import count
from math import inf
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from engine import EngineError, ModelRouter, TaskProfile
from engine.budget import Ledger
from engine.budget.usage import export_rows, verify
from engine.execution.runtime import machine_runtime
from engine.policy import Policy, load_or_raise

from .planted import BUGS, Bug
from .report import Outcome, Report
from .vendor import MANNERS
from .workers import Crew

NO_SUCH_VARIABLES = ("ENGINE_", "MODEL_", "DAILY_", "MONTHLY_", "DRY_RUN", "LOG_LEVEL")
"""How the names of variables begin that would change what is tried: they are taken away."""
QUIET_WITHIN_S = 30
"""How long the provider may still answer callers who have gone; then the run is given up."""
SAYS_EVERY = 50
"""After so many schedules the report so far is printed on standard error; a violation at once."""
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
    """What all schedules of a run have in common: `workers` processes with at most so many `calls` each.

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

    @property
    def limits(self) -> tuple[Decimal, ...]:
        """The limits of its schedules, in dollars a day."""
        return tuple(map(Decimal, LIMITS_USD)) if self.bug is None else (self.bug.limit_usd,)


class Schedule:
    """One ledger, one limit, eight workers. The same for the same seed, in every process."""

    def __init__(self, plan: Plan, seed: int) -> None:
        self.plan, self.run = plan, f"{seed}"
        dice = self.dice = random.Random(seed)
        self.limit = dice.choice(plan.limits)
        kills = dice.choice((0, 0, 1, 3))
        self.most_calls = plan.calls if plan.bug else dice.randint(1, plan.calls)
        self.kills = sorted(dice.randrange(plan.workers * self.most_calls) for _ in range(kills))
        has_breaches = dice.random() < 0.2
        self.manners = tuple(manner for manner in MANNERS if has_breaches or manner not in BREACHES)
        self.leaves = LEAVES
        if plan.bug is not None:
            self.kills, self.manners = [], plan.bug.manners
            self.leaves = (1,) if plan.bug.leaves else (None,)
        self.state = plan.state / self.run
        self.policy = policy_of(plan, self.limit)

    def work(self, crew: Crew) -> tuple[int, list[Outcome]]:
        """All workers to their end; how many were killed, and what became of the calls."""
        self.state.mkdir(parents=True)
        orders = (f"{self.run} {number}" for number in count())
        killed, told = crew.perform(orders, self.kills, self.dice)
        return killed, [Outcome(*line.split(" ", 2)) for line in told]

    async def calls(self, number: str, tell: Callable[[str], None]) -> None:
        """The calls of one worker; `number` says which it is."""
        dice = random.Random(f"{self.run} {number}")
        weights = [SELDOM.get(manner, 1.0) for manner in self.manners]
        call = ""
        # What the router calls its decisions is handed in, so that the rows of a call are known by its name.
        runtime = replace(machine_runtime(None), new_id=lambda: call)
        async with ModelRouter.of(self.policy, runtime=runtime, dry_run=False) as router:
            for place in range(self.most_calls):
                call = f"{self.run}.{number}.{place}"
                manner = dice.choices(self.manners, weights)[0]
                leaves = dice.choice(self.leaves)
                text = f"run {self.run} call {call} manner {manner} leaves {leaves or 0} tokens "
                size = dice.choice((40, 400, 4_000, 12_000))
                # No more tokens than bytes, as a byte-level tokeniser promises.
                text += f"{dice.randint(10, size)} " + "x" * size
                task = TaskProfile(dice.choice(TASKS))
                outcome = await ask(router, dice, task, manner, text, leaves=leaves)
                tell(f"{outcome.became} {manner} {outcome.message}")

    def judge(self, report: Report, outcomes: list[Outcome], bills: list[dict[str, Any]]) -> None:
        """The provider's books against the limit and the ledger's."""
        billed = sum((Fraction(bill["micro_usd"]) for bill in bills), Fraction(0))
        limit = int(self.limit * 1_000_000)
        # In this process no bug is ever planted.
        books = books_of(self.state, self.policy)
        report.schedules += 1
        report.take(outcomes)
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
        for outcome in outcomes:
            if outcome.became == "bug":
                report.violations.append(f"run {self.run}: {outcome.manner} {outcome.message}")


async def ask(
    router: ModelRouter,
    dice: random.Random,
    task: TaskProfile,
    manner: str,
    text: str,
    *,
    leaves: int | None,
) -> Outcome:
    """One call, and what became of it."""
    messages = [{"role": "user", "content": text}]
    most = dice.choice((64, 300, 1_000))
    try:
        if manner.startswith("whole"):
            asked = router.select_and_invoke(task, messages, max_tokens=most, deadline_s=DEADLINE_S)
            await (asked if leaves is None else asyncio.wait_for(asked, dice.uniform(0.0005, 0.05)))
            return Outcome("answered", manner)
        shown = 0
        stream = router.stream(task, messages, max_tokens=most, deadline_s=DEADLINE_S)
        async with aclosing(stream) as pieces:
            async for _ in pieces:
                shown += 1
                if shown == leaves:
                    return Outcome("left", manner)
        return Outcome("answered", manner)
    except TimeoutError:
        return Outcome("left", manner)
    except EngineError as error:
        return Outcome(type(error).__name__, manner, " ".join(str(error).split())[:300])


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
    ledger = ModelRouter.of(policy, dry_run=False).ledger
    try:
        return _books(ledger)
    finally:
        ledger.close()


def _books(ledger: Ledger) -> dict[str, Any]:
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
    for name in [name for name in os.environ if name.startswith(NO_SUCH_VARIABLES)]:
        del os.environ[name]
    os.environ["BILLING_TEST_KEY"] = "k-000-test-000"
    with tempfile.TemporaryDirectory(dir=_memory()) as folder, _vendor(Path(folder) / "bills") as port:
        plan = Plan(port, Path(folder) / "bills", Path(folder) / "state", relaxed, holds=holds)
        _warm_up(plan)
        yield plan


def _run(plan: Plan, schedules: int, first_seed: int) -> Report:
    """Ends early when a planted bug was seen. Raises RuntimeError when nothing was billed: nothing was tried
    then."""
    report = Report()
    bills = Bills(plan)
    for limit in plan.limits:
        policy_of(plan, limit)  # loaded before the workers are forked
    crew = Crew(plan.workers, partial(_work, plan), lambda: None if plan.bug is None else plan.bug.plant())
    try:
        for seed in range(first_seed, first_seed + schedules):
            if time.monotonic() > plan.ends_at:
                break
            schedule = Schedule(plan, seed)
            kills, outcomes = schedule.work(crew)
            known, billed = len(report.violations), bills.of(schedule.run)
            schedule.judge(report, outcomes, billed)
            if len(report.violations) > known and plan.bug is None:
                _keep(schedule, billed, report.violations[known:])
            report.kills += kills
            shutil.rmtree(schedule.state)
            if plan.bug is not None and report.violations:
                break
            if report.schedules % SAYS_EVERY == 0:
                print(json.dumps(report.told()), file=sys.stderr, flush=True)
    finally:
        crew.dismiss()
    if report.schedules and not report.billed:
        raise RuntimeError(f"nothing was billed, so nothing was tried:\n{report.what_happened()}")
    return report


def _keep(schedule: Schedule, bills: list[dict[str, Any]], violations: list[str]) -> None:
    """Say what was violated at once, and leave the ledger and the bills for whoever looks for the cause."""
    folder = Path(tempfile.mkdtemp(prefix=f"overspend-{schedule.run}-"))
    shutil.copytree(schedule.state, folder / "state")
    (folder / "bills.json").write_text(json.dumps(bills, indent=1))
    print("\n".join(violations), f"kept in {folder}", sep="\n", file=sys.stderr, flush=True)


def _work(plan: Plan, order: str, tell: Callable[[str], None]) -> None:
    """One worker's calls of a schedule."""
    run, number = order.split()
    schedule = Schedule(plan, int(run))
    os.environ["ENGINE_STATE_DIR"] = str(schedule.state)
    _runner().run(schedule.calls(number, tell))


@cache
def _runner() -> asyncio.Runner:
    """The event loop of a worker, for all its calls."""
    return asyncio.Runner()


class Bills:
    """The provider's own books, read as they grow."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._read = plan.log.stat().st_size

    def of(self, run: str) -> list[dict[str, Any]]:
        """All bills of a run whose callers have gone. Raises RuntimeError for a bill of another run."""
        with urlopen(f"http://127.0.0.1:{self._plan.port}/quiet", timeout=QUIET_WITHIN_S) as quiet:
            quiet.read()
        with self._plan.log.open("rb") as lines:
            lines.seek(self._read)
            bills = [json.loads(line) for line in lines]
            self._read = lines.tell()
        if any(bill["run"] != run for bill in bills):
            raise RuntimeError(f"billed after its run was judged, in run {run}: {bills}")
        return bills


def _warm_up(plan: Plan) -> None:
    """Have everything imported and built before the workers are forked: their deadlines are for calls.

    The SDKs build what they read an answer with when they first see one of its kind, so every manner of both
    APIs is seen once; and every policy makes its first decision. Raises RuntimeError when the calls do not
    come through.
    """
    os.environ["ENGINE_STATE_DIR"] = str(plan.state / "warm-up")
    report, bills = Report(), Bills(plan)

    async def call_all(limit: Decimal, manners: Sequence[str]) -> None:
        async with ModelRouter.of(policy_of(plan, limit), dry_run=False) as router:
            calls = [call(router, TaskProfile(task), manner) for manner in manners for task in TASKS]
            report.take(await asyncio.gather(*calls))

    async def call(router: ModelRouter, task: TaskProfile, manner: str) -> Outcome:
        dice = random.Random(manner)
        text = f"run warm-up call warm-up manner {manner} leaves 0 tokens 10 {'x' * 40}"
        return await ask(router, dice, task, manner, text, leaves=None)

    asyncio.run(call_all(Decimal(100), [manner for manner in MANNERS if manner not in SELDOM]))
    asyncio.run(call_all(Decimal(100), ("whole/inside", "stream/inside")))
    for limit in plan.limits:
        asyncio.run(call_all(limit, ("stream/inside",)))
    if not report.outcomes["answered"] or not bills.of("warm-up"):
        raise RuntimeError(f"no call comes through to the provider:\n{report.what_happened()}")
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
        told = process.communicate()[0].splitlines()
        if process.returncode not in (0, 1) or not told:
            raise RuntimeError(f"a process of the run ended with {process.returncode}; see above")
        report.add(json.loads(told[-1]))
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
        print(json.dumps(report.raw()))
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

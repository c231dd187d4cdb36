"""Many workers, one ledger, a provider that keeps its own books: is anything ever overspent or lost?

    python -m tests.budget.soak --workers 100 --processes 8 --calls 1000 --days 0   no overspend under load
    python -m tests.budget.soak --runs 200 --kills 8             1,600 kills -9 at random moments
    python -m tests.budget.soak --plant refund-on-expiry         must come out red
    ... --store postgres                                         the same against PostgreSQL

The provider writes a line to its billing log the moment it bills; a killed worker cannot take that back. At
the end the log is compared with the ledger: sums by account and window against the limits, and every billed
attempt against its charge, in exact fractions. The last line printed is a JSON object; exit code 1 when
anything was violated.

This process forks its workers and must not hold a database connection while it does, so it is a program of
its own.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter, defaultdict
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

from engine.budget import (
    Attempt,
    AttemptConflict,
    BudgetExceeded,
    Ledger,
    LedgerUnavailable,
    Limits,
    Period,
    Rates,
    TokenPrices,
    Usage,
    worst_case_micro_usd,
)
from engine.budget.gate import Gate
from engine.budget.schema import STEPS
from engine.budget.sqlite_store import SqliteStore
from engine.budget.store import Store
from engine.budget.usage import verify
from engine.budget.windows import window_at

from . import planted, servers
from .clocks import FastClock

PRICES = {
    "north": TokenPrices(Rates.from_usd("3", "15", "0.3", "3.75")),
    "south": TokenPrices(Rates.from_usd("0.137", "0.553", "0.0171")),
}
_ZONE = "Asia/Tokyo"
_LEASE_S = 24 * 3600
_MEAN_COST = 6_600  # micro-dollars billed a call, on average over both providers and all fates


@dataclass(frozen=True)
class Plan:
    """One run: how many workers in how many processes, how many calls each, how many kills, which planted
    bug."""

    store: str = "sqlite"
    processes: int = 4
    workers: int = 8
    calls: int = 25
    kills: int = 0
    seed: int = 0
    bug: str | None = None
    strict: bool = False
    url: str = ""
    days: int = 3  # simulated days that go by; 0: none, everything falls into one window
    days_in: Fraction = Fraction(1)  # real seconds these days take


@dataclass
class Report:
    """What a run saw; `violations` and `failures` must stay empty."""

    runs: int = 0
    calls: int = 0
    kills: int = 0
    refused: int = 0
    unavailable: int = 0  # the ledger gave up within its bounded wait; on a busy machine it may
    billed_attempts: int = 0
    billed_micro_usd: int = 0
    over_micro_usd: int = 0
    lost_micro_usd: int = 0
    violations: list[str] = field(default_factory=list)  # the books are wrong
    failures: list[str] = field(default_factory=list)  # a worker ended with an error nobody expects

    def add(self, other: "Report") -> None:
        for name, value in asdict(other).items():
            setattr(self, name, getattr(self, name) + value)


def run(plan: Plan) -> Report:
    """Fork, kill, wait, compare."""
    with tempfile.TemporaryDirectory(prefix="soak") as folder:
        url = servers.fresh_schema(plan.url) if plan.store == "postgres" else ""
        world = _World(plan, Path(folder), url)
        kills = world.work()
        report = world.judge()
        report.runs, report.kills = 1, kills
        if url:
            servers.drop_schema(url)
        return report


class _World:
    def __init__(self, plan: Plan, folder: Path, url: str) -> None:
        self.plan, self.folder, self.url = plan, folder, url
        self.fast = FastClock(max(1, int(plan.days * 24 * 3600 / plan.days_in)), time.monotonic_ns())
        windows = max(1, plan.days)
        # The demand is 110 % of what the days allow together.
        daily = _MEAN_COST * plan.workers * plan.calls * 10 // 11 // windows
        self.limits = Limits(
            daily_usd=Decimal(daily).scaleb(-6),
            monthly_usd=Decimal(daily * windows * 9 // 10).scaleb(-6),
            per_provider_daily={"north": Decimal(daily * 3 // 4).scaleb(-6)},
            per_provider_monthly={"south": Decimal(daily // 8).scaleb(-6)},
            time_zone=_ZONE,
        )
        self.billing = os.open(folder / "billing", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        self.errors = os.open(folder / "errors", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        planted.meet(plan.workers)
        self.counts = os.open(folder / "counts", os.O_CREAT | os.O_WRONLY | os.O_APPEND)

    def open(self, fast: FastClock) -> Ledger:
        steps = planted.unchecked_steps() if self.plan.bug else STEPS
        store: Store
        if self.url:
            from engine.budget.postgres_store import PostgresStore

            store = PostgresStore(self.url, fast.clock, server_time=False, steps=steps)
        else:
            store = SqliteStore(self.folder, fast.clock, steps=steps)
            store._gate = Gate(
                self.folder / "ledger.gate", time.monotonic_ns
            )  # patience is measured in real time
        return Ledger(store, self.limits, fast.clock, strict_dispatch=self.plan.strict)

    def work(self) -> int:
        """All workers to their end, those killed begun again; the number of kills."""
        dice = random.Random(self.plan.seed)
        running = {self._fork(number): number for number in range(self.plan.processes)}
        births, kills = self.plan.processes, 0
        while running:
            if kills < self.plan.kills:
                time.sleep(dice.uniform(0.001, float(self.plan.days_in) / max(1, self.plan.kills)))
                victim = dice.choice(sorted(running))
                os.kill(victim, signal.SIGKILL)
                kills += 1
            pid, status = os.waitpid(-1, os.WNOHANG if kills < self.plan.kills else 0)
            if pid:
                running.pop(pid)
                killed = os.WIFSIGNALED(status)
                if not killed and os.WEXITSTATUS(status):
                    os.write(self.errors, f"a worker process ended with {status}\n".encode())
                # As long as kills are owed there is somebody to kill.
                if kills < self.plan.kills or (killed and births < self.plan.processes + self.plan.kills):
                    running[self._fork(births)] = births
                    births += 1
        return kills

    def _fork(self, number: int) -> int:
        pid = os.fork()
        if pid:
            return pid
        try:
            if self.plan.bug:
                planted.plant(self.plan.bug)
            ledger = self.open(self.fast)
            threads = [
                threading.Thread(target=self._worker, args=(ledger, f"{number}.{thread}"))
                for thread in range(self._threads_of(number))
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            ledger.close()
        except BaseException as error:
            self._failed(f"process {number}", error)
        finally:
            os._exit(0)

    def _threads_of(self, number: int) -> int:
        share, rest = divmod(self.plan.workers, self.plan.processes)
        return max(1, share + (number % self.plan.processes < rest))

    def _worker(self, ledger: Ledger, name: str) -> None:
        dice = random.Random(f"{self.plan.seed} {name}")
        counts: Counter[str] = Counter()
        try:
            for number in range(self.plan.calls):
                counts["calls"] += 1
                try:
                    self._call(ledger, f"{name}.{number}", dice)
                except BudgetExceeded:
                    counts["refused"] += 1
                except LedgerUnavailable:
                    counts["unavailable"] += 1
        except BaseException as error:
            self._failed(f"worker {name}", error)
        os.write(self.counts, f"{counts['calls']} {counts['refused']} {counts['unavailable']}\n".encode())

    def _failed(self, who: str, error: BaseException) -> None:
        os.write(self.errors, f"{who} raised {error!r}\n".encode())
        traceback.print_exception(error)

    def _call(self, ledger: Ledger, attempt_id: str, dice: random.Random) -> None:
        """One call from its reservation to its end; raises BudgetExceeded, LedgerUnavailable.

        A ledger that is unavailable after the provider billed leaves the attempt open: its lease will end.
        """
        provider = dice.choice(("north", "south"))
        usage, bound, max_tokens = _usage(dice)
        prices = PRICES[provider]
        amount = worst_case_micro_usd(prices, bound, max_tokens)
        attempt = Attempt(attempt_id, "decision", provider, "model", False, amount, prices, _LEASE_S)
        before = self._day()
        reservation = ledger.reserve(attempt)
        after = self._day()
        fate = dice.random()
        if fate < 0.05:  # cancelled before anything was sent
            ledger.release(reservation, "never sent")
            return
        try:
            ledger.dispatched(reservation)
        except AttemptConflict:
            return
        if fate < 0.10:  # refused by the provider, with proof
            ledger.release(reservation, "throttled")
            return
        # From here on the provider bills, whatever becomes of us.
        tokens = f"{usage.input_tokens} {usage.output_tokens} {usage.cached_input_tokens}"
        os.write(self.billing, f"{attempt_id} {provider} {before} {after} {tokens}\n".encode())
        if fate < 0.15:
            ledger.forfeit(reservation, "no answer")
        elif fate >= 0.20:  # between: abandoned, its lease will end
            ledger.settle(reservation, usage)
            if fate > 0.8:  # a repeated settle changes nothing
                ledger.settle(reservation, usage)

    def _day(self) -> int:
        return window_at(Period.DAILY, _ZONE, self.fast.clock.wall_ns() // 10**9).start_s

    def judge(self) -> Report:
        """Compare the provider's books with ours, after every lease is over."""
        later = replace(self.fast, ahead_ns=self.fast.ahead_ns + 2 * _LEASE_S * 10**9)
        report = Report()
        for line in (self.folder / "counts").read_text().splitlines():
            calls, refused, unavailable = map(int, line.split())
            report.calls += calls
            report.refused += refused
            report.unavailable += unavailable
        report.failures += (self.folder / "errors").read_text().splitlines()
        if self.plan.bug:
            self._expire_with_the_bug(later)
        ledger = self.open(later)
        ledger.expire()
        self._compare(ledger, report)
        books = verify(ledger)
        report.violations += [f"{finding}" for finding in books.findings]
        ledger.close()
        for each in (self.billing, self.errors, self.counts):
            os.close(each)
        return report

    def _expire_with_the_bug(self, later: FastClock) -> None:
        """The expiry is the ledger's too, so the bug is planted into it as well, in a process of its own."""
        pid = os.fork()
        if pid:
            os.waitpid(pid, 0)
            return
        try:
            planted.plant(str(self.plan.bug))
            ledger = self.open(later)
            ledger.expire()
            ledger.close()
        finally:
            os._exit(0)

    def _compare(self, ledger: Ledger, report: Report) -> None:
        charges = {
            str(row[0]): row
            for row in ledger.store.read(
                lambda session: session.rows(
                    "SELECT a.attempt_id, a.state, a.day_start_s, a.month_start_s, "
                    "CAST(a.charge_micro_usd + COALESCE((SELECT SUM(c.delta_micro_usd) "
                    "FROM ledger_corrections AS c WHERE c.attempt_id = a.attempt_id), 0) AS BIGINT) "
                    "FROM ledger_attempts AS a"
                )
            )
        }
        billed: dict[tuple[Period, str | None, int], Fraction] = defaultdict(Fraction)
        for line in (self.folder / "billing").read_text().splitlines():
            attempt_id, provider, before, after, *tokens = line.split()
            exact = _exact_cost(PRICES[provider], *(int(number) for number in tokens))
            report.billed_attempts += 1
            report.billed_micro_usd += int(exact)
            if attempt_id not in charges:
                report.violations.append(f"{attempt_id} was billed and is not in the ledger")
                report.lost_micro_usd += int(exact) + 1
                continue
            _, state, day_s, month_s, charge = charges[attempt_id]
            assert isinstance(day_s, int)
            assert isinstance(month_s, int)
            assert isinstance(charge, int)
            if charge < exact:
                report.violations.append(f"{attempt_id} was billed {exact}, charged {charge} ({state})")
                report.lost_micro_usd += int(exact - charge) + 1
            if state == "settled" and not 0 <= charge - exact < 1:
                report.violations.append(f"{attempt_id} was billed {exact}, settled at {charge}")
            if not int(before) <= day_s <= int(after):
                report.violations.append(f"{attempt_id} of {before}..{after} is booked on {day_s}")
            for period, start_s in ((Period.DAILY, day_s), (Period.MONTHLY, month_s)):
                for name in (None, provider):
                    billed[period, name, start_s] += exact
        for (period, name, start_s), amount in billed.items():
            limit = self.limits.account(period, name).limit_micro_usd
            if limit is not None and amount > limit:
                report.violations.append(f"{period} {name} {start_s}: billed {amount} of {limit}")
                report.over_micro_usd += int(amount - limit) + 1
        windows = ledger.store.read(
            lambda session: session.rows(
                "SELECT account_id, reserved_micro_usd, ever_breached FROM ledger_windows"
            )
        )
        report.violations += [f"{name} still holds {amount}" for name, amount, _ in windows if amount]
        # No call of a soak costs more than its worst case, so no account may ever be closed by a breach.
        report.violations += [f"{name} was breached" for name, _, breached in windows if breached]


def _usage(dice: random.Random) -> tuple[Usage, int, int]:
    """What a call will use, the bound of its prompt, and its max_tokens: the bound is reached now and
    then."""
    prompt = dice.randrange(200, 3_000)
    max_tokens = dice.randrange(50, 2_000)
    output = max_tokens if dice.random() < 0.3 else dice.randrange(max_tokens + 1)
    cached = dice.randrange(prompt) if dice.random() < 0.3 else 0
    bound = prompt if dice.random() < 0.5 else prompt * 2
    return Usage(prompt - cached, output, cached), bound, max_tokens


def _exact_cost(prices: TokenPrices, fresh: int, output: int, cached: int) -> Fraction:
    rates = prices.rates
    cached_rate = rates.input if rates.cached_input is None else rates.cached_input
    return Fraction(fresh * rates.input + output * rates.output + cached * cached_rate, 1_000_000)


def soak(plan: Plan, runs: int, *, until_red: bool = False) -> Report:
    """`runs` runs with a seed each; `until_red` stops at the first violation."""
    total = Report()
    with ExitStack() as stack:
        url = (
            stack.enter_context(servers.postgres()) if plan.store == "postgres" and not plan.url else plan.url
        )
        for number in range(runs):
            total.add(run(replace(plan, seed=plan.seed + number, url=url)))
            if until_red and total.violations:
                break
    return total


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="tests.budget.soak", description="Soak the ledger.")
    parser.add_argument("--store", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--calls", type=int, default=25)
    parser.add_argument("--kills", type=int, default=0, help="kills in each run")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--days", type=int, default=3, help="simulated days that go by; 0: one window for all"
    )
    parser.add_argument("--seconds", type=Fraction, default=None, help="real seconds these days take")
    parser.add_argument("--strict", action="store_true", help="with strict_dispatch")
    parser.add_argument("--plant", choices=sorted(planted.BUGS), default=None)
    parser.add_argument("--url", default="", help="a PostgreSQL server that runs already")
    chosen = parser.parse_args(arguments)
    expected = Fraction(chosen.workers * chosen.calls, 1000) * (1 if chosen.store == "sqlite" else 4)
    plan = Plan(
        store=chosen.store,
        processes=chosen.processes,
        workers=chosen.workers,
        calls=chosen.calls,
        kills=chosen.kills,
        seed=chosen.seed,
        bug=chosen.plant,
        strict=chosen.strict,
        url=chosen.url,
        days=chosen.days,
        days_in=chosen.seconds or max(Fraction(1, 4), expected),
    )
    report = soak(plan, chosen.runs, until_red=chosen.plant is not None)
    summary = asdict(report)
    summary["violations"] = report.violations[:20]
    summary["violated"] = len(report.violations)
    summary["failures"] = report.failures[:20]
    print(json.dumps(summary))
    return 1 if report.violations or report.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
